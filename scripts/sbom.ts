/**
 * A software bill of materials of the executable (CycloneDX 1.6, JSON), made from `deno.lock`: the packages that the
 * program imports and all that they need, each with the hash that the lock pins. Packages for tests aren't in the
 * executable, hence not in the bill.
 *
 * @module
 */
import { VERSION } from "../src/version.ts";
import { ROOT } from "./process.ts";

/** Imports of `deno.json` that only tests use. */
const TEST_ONLY = ["dns-packet", "fast-check"];

/** The part of `deno.lock` (version 5) that is read here. */
export interface Lock {
  /** Requested package → resolved version, such as `npm:hono@4.13.19` → `4.13.19`. */
  readonly specifiers: Readonly<Record<string, string>>;
  /** Resolved package, such as `hono@4.13.19`, with peer versions behind `_`. */
  readonly npm: Readonly<Record<string, LockedPackage>>;
}

/** A package as the lock pins it. */
export interface LockedPackage {
  /** Subresource integrity, `sha512-…` in base64. */
  readonly integrity: string;
  /** Names of its dependencies, with a version where there are several. */
  readonly dependencies?: readonly string[];
}

/** The bill: a CycloneDX document. */
export function billOfMaterials(lock: Lock, version: string): Record<string, unknown> {
  const application = { type: "application", name: "pleiades", version, "bom-ref": "pleiades" };
  const packages = [...runtimePackages(lock)].sort();
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: { component: { ...application, licenses: [{ license: { id: "Apache-2.0" } }] } },
    components: packages.map((key) => componentOf(key, lock.npm[key]!)),
  };
}

/** Keys of `lock.npm` that the program reaches, in no order. */
function runtimePackages({ specifiers, npm }: Lock): Set<string> {
  const reached = new Set<string>();
  const queue = Object.entries(specifiers)
    .map(([specifier, version]) => `${nameOf(specifier.replace(/^npm:/, ""))}@${version}`)
    .filter((key) => !TEST_ONLY.includes(nameOf(key)));
  for (let key = queue.pop(); key !== undefined; key = queue.pop()) {
    if (reached.has(key)) continue;
    reached.add(key);
    queue.push(...(npm[key]?.dependencies ?? []).map((dependency) => resolve(dependency, npm)));
  }
  return reached;
}

/** The key of a dependency: its version is left out in the lock where only one is there. */
function resolve(dependency: string, npm: Lock["npm"]): string {
  if (dependency in npm) return dependency;
  const key = Object.keys(npm).find((each) => nameOf(each) === nameOf(dependency));
  if (key === undefined) throw new Error(`deno.lock has no package "${dependency}"`);
  return key;
}

function componentOf(key: string, { integrity }: LockedPackage): Record<string, unknown> {
  const name = nameOf(key);
  const version = key.slice(name.length + 1).split("_")[0]!;
  const purl = `pkg:npm/${name.replace("@", "%40")}@${version}`;
  const hash = Uint8Array.fromBase64(integrity.replace(/^sha512-/, "")).toHex();
  return {
    type: "library",
    "bom-ref": purl,
    name,
    version,
    purl,
    hashes: [{ alg: "SHA-512", content: hash }],
  };
}

/** `@scope/name` or `name` of `name@version…`. */
function nameOf(key: string): string {
  const at = key.indexOf("@", 1);
  return at < 0 ? key : key.slice(0, at);
}

if (import.meta.main) {
  const lock: Lock = JSON.parse(Deno.readTextFileSync(`${ROOT}/deno.lock`));
  console.log(JSON.stringify(billOfMaterials(lock, VERSION), null, 2));
}
