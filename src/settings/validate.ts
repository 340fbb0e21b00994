/**
 * One question about any file of an operator: is it fine? Settings and models are told apart by what is in them,
 * so that nobody has to say which.
 *
 * @module
 */
import { MODEL_SECTIONS } from "../model/model_reader.ts";
import { countOf } from "../input/count.ts";
import { fileFault } from "../input/file_fault.ts";
import { formatOf, formatOfHead, loadModel, readModel, STDIN } from "../model/model_files.ts";
import { BLOCKS } from "./blocks.ts";
import { judgeDatabases } from "./databases.ts";
import { loadSettings, type Settings } from "./settings.ts";
import type { Environment } from "./loading.ts";
import { systemOutside } from "./outside.ts";
import { isMapping } from "../input/spelling.ts";
import { type FileProblem, readYaml } from "../input/yaml_source.ts";

/** What a path holds and how it is. */
export interface Validation {
  /** `settings` for a settings file; a path that can't be read counts as a model. */
  readonly kind: "settings" | "model";
  /** In printing order; none = it is fine. */
  readonly problems: readonly FileProblem[];
  /** What is let pass, though it has no effect. */
  readonly notes: readonly FileProblem[];
  /** What is in it, as `config validate` says it. */
  readonly summary: string;
}

/**
 * Judges settings files, model directories, model files and NDJSON, each by itself; the environment holds secrets that
 * they name. Where one settings file is among them, notes say what of the models steers less than it says under it.
 *
 * @param stdin what comes where a path is `-`
 * @returns in the order of the paths
 */
export async function validatePaths(
  paths: readonly string[],
  env: Environment,
  stdin: () => ReadableStream<Uint8Array> = () => Deno.stdin.readable,
): Promise<Validation[]> {
  const typed = paths.includes(STDIN) ? new Uint8Array(await new Response(stdin()).arrayBuffer()) : null;
  const given = paths.map((path): Given => ({ path, typed: path === STDIN ? typed : null }));
  const kinds = await Promise.all(given.map(attemptKind));
  const settings = new Map<string, SettingsValidation>();
  for (const [i, kind] of kinds.entries()) {
    if (kind === "settings") settings.set(paths[i]!, await validateSettings(given[i]!, env));
  }
  const [only, ...others] = settings.values();
  const known = only && others.length === 0 ? only.settings : null;
  const validations: Validation[] = [];
  for (const [i, each] of given.entries()) {
    const kind = kinds[i]!;
    if (typeof kind === "object") {
      validations.push({ kind: "model", problems: [kind], notes: [], summary: "" });
    } else if (kind === "model") validations.push(await validateModel(each, known));
    else validations.push(settings.get(each.path)!.validation);
  }
  return validations;
}

/** A path, with what came on stdin where that is meant. */
interface Given {
  readonly path: string;
  readonly typed: Uint8Array<ArrayBuffer> | null;
}

async function attemptKind(given: Given): Promise<Validation["kind"] | FileProblem> {
  try {
    return await kindOf(given);
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    return { file: given.path, line: 0, column: 0, message: `can't be read: ${fileFault(cause)}` };
  }
}

async function kindOf({ path, typed }: Given): Promise<Validation["kind"]> {
  if (typed === null && (await Deno.stat(path)).isDirectory) return "model";
  if ((typed ? formatOfHead(typed) : await formatOf(path)) === "ndjson") return "model";
  const { source } = readYaml(path, typed ?? await Deno.readFile(path));
  const keys = isMapping(source?.value) ? Object.keys(source.value) : [];
  const count = (known: ReadonlySet<string>) => keys.filter((key) => known.has(key)).length;
  const modelCount = count(MODEL_ONLY);
  return modelCount > 0 && modelCount >= count(SETTINGS_ONLY) ? "model" : "settings";
}

const SETTINGS_KEYS = BLOCKS.flatMap(({ shape }) => Object.keys(shape));

/** Both kinds of file have `loadbalancer` and `health`. */
const MODEL_ONLY: ReadonlySet<string> = new Set(MODEL_SECTIONS.filter((key) => !SETTINGS_KEYS.includes(key)));
const SETTINGS_ONLY: ReadonlySet<string> = new Set(
  SETTINGS_KEYS.filter((key) => !MODEL_SECTIONS.some((section) => section === key)),
);

interface SettingsValidation {
  readonly validation: Validation;
  readonly settings: Settings | null;
}

async function validateSettings({ path, typed }: Given, env: Environment): Promise<SettingsValidation> {
  const outside = typed === null
    ? systemOutside
    : { ...systemOutside, readFile: (file: string) => file === path ? typed : systemOutside.readFile(file) };
  const loaded = loadSettings({ file: path, env, fileOnly: true, outside });
  const { settings, problems, notes } = await judgeDatabases(loaded);
  const endpoints = settings?.fallback?.endpoints.length ?? 0;
  const zones = (settings?.dns.domain.length ?? 0) + (settings?.dns.zones.length ?? 0);
  const content = `${countOf(endpoints, "static endpoint")}, ${countOf(zones, "zone")}`;
  const summary = `0 pools, 0 members, 0 services (settings: ${content})`;
  return { settings, validation: { kind: "settings", problems, notes, summary } };
}

async function validateModel({ path, typed }: Given, settings: Settings | null): Promise<Validation> {
  const model = typed === null
    ? await loadModel(path)
    : await readModel(ReadableStream.from([typed]), { file: path, format: formatOfHead(typed) });
  const { reading, counts } = model;
  const { pools, members, services, zones } = counts;
  const more = zones > 0 ? ` (and ${countOf(zones, "zone")})` : "";
  return {
    kind: "model",
    problems: reading.problems,
    notes: settings && reading.model !== null ? model.notes(settings) : [],
    summary: `${countOf(pools, "pool")}, ${countOf(members, "member")}, ${
      countOf(services, "service")
    }${more}`,
  };
}
