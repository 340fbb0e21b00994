/** @module Blocks of the settings: one more is one file and one line, and everything follows from its schema. */
import { deepEqual, equal, match, throws } from "node:assert/strict";
import { filesBelow } from "../../scripts/check.ts";
import { z } from "zod";
import { flag, integer, oneOrMore } from "../../src/input/fields.ts";
import { section } from "../../src/input/strict_object.ts";
import { formatProblem } from "../../src/input/yaml_source.ts";
import { BLOCKS, settingsSchemaOf } from "../../src/settings/blocks.ts";
import { mapping, path, requiredSecret } from "../../src/settings/fields.ts";
import { schemaAsJson } from "../../src/settings/keys.ts";
import type { FileOf, Loading } from "../../src/settings/loading.ts";
import { type SettingsOutside, systemOutside } from "../../src/settings/outside.ts";
import { settingsReference, startFile } from "../../src/settings/reference.ts";
import { needingRestart } from "../../src/settings/reloading.ts";
import { loadSettings } from "../../src/settings/settings.ts";

const shape = {
  sundial: section(
    mapping({
      latitude: integer("latitude", -90, 90).default(50).meta({
        reload: "live",
        description: "Degrees north",
        examples: [51],
      }),
      gnomon: path("gnomon").meta({ description: "What casts the shadow", examples: ["stick"] }),
      keeper: requiredSecret("keeper").default("nobody").meta({
        rare: true,
        description: "Who may turn it",
        examples: ["${KEEPER}"],
      }),
      alarm: flag("alarm").default(false).meta({ absent: true, description: "Rings", examples: [true] }),
    }),
    "A clock without a hand",
  ),
};

const sundial = {
  shape,
  settings: ({ sundial: { latitude, gnomon, keeper } }: FileOf<typeof shape>, loading: Loading) => ({
    sundial: {
      latitude,
      keeper,
      gnomon: gnomon === null ? null : loading.resolve(["sundial", "gnomon"], gnomon),
    },
  }),
};

const blocks = [...BLOCKS, sundial] as const;

function load(text: string, env: Readonly<Record<string, string>> = {}) {
  const outside: SettingsOutside = { ...systemOutside, readFile: () => new TextEncoder().encode(text) };
  return loadSettings({ file: "/etc/p.yaml", env, outside, blocks });
}

Deno.test("a block of one's own is loaded from file and environment beside all others", () => {
  const { settings } = load("sundial: { gnomon: stick, keeper: '${KEEPER}' }\ndns: { ttl: 7 }\n", {
    PLEIADES_SUNDIAL_LATITUDE: "51",
    KEEPER: "anne",
  });
  deepEqual(settings!.sundial, { latitude: 51, gnomon: "/etc/stick", keeper: "anne" });
  equal(settings!.dns.ttl, 7);
});

Deno.test("secrets are resolved wherever a schema marks them: in lists, mappings and mappings by name", () => {
  const vault = {
    shape: {
      vault: section(
        mapping({
          list: oneOrMore("list", requiredSecret("list")).prefault([]),
          byName: z.record(z.string(), mapping({ key: requiredSecret("key") })).default({}),
          plain: path("plain"),
        }),
        "Secrets",
      ),
    },
  };
  const text = "vault: { list: ['${A}', b], byName: { x: { key: '${A}' } }, plain: '${A}' }";
  const outside: SettingsOutside = { ...systemOutside, readFile: () => new TextEncoder().encode(text) };
  const { settings } = loadSettings({ file: "/p.yaml", env: { A: "a" }, outside, blocks: [vault] });
  deepEqual(settings!.vault, { list: ["a", "b"], byName: { x: { key: "a" } }, plain: "${A}" });
});

Deno.test("what is wrong in a block of one's own is said where it stands", () => {
  const { problems } = load(
    "sundial:\n  latitude: 91\n  gnomn: x\n  alarm: true\n  keeper: '${KEEPER}'\n",
    { PLEIADES_SUNDIAL_LATITUD: "1" },
  );
  deepEqual(problems.map(formatProblem), [
    "/etc/p.yaml:2:13: latitude must be -90–90, is 91",
    '/etc/p.yaml:3:3: Unknown key "gnomn" (did you mean "gnomon"?)',
    "/etc/p.yaml:4:10: sundial.alarm isn't in this version; remove it",
    "/etc/p.yaml:5:11: the environment variable KEEPER isn't set (export it before the start)",
    "PLEIADES_SUNDIAL_LATITUD: Unknown variable (did you mean PLEIADES_SUNDIAL_LATITUDE?)",
  ]);
});

Deno.test("of a block of one's own, too, a reload names the keys that aren't live", () => {
  const [before, after] = [load("{}"), load("sundial: { latitude: 51, gnomon: x, keeper: y }")];
  deepEqual(needingRestart(before.settings!, after.settings!, blocks), ["sundial.gnomon", "sundial.keeper"]);
});

Deno.test("reference, start file and JSON Schema have a block of one's own", () => {
  const reference = settingsReference(blocks);
  match(
    reference,
    /^\| `sundial\.latitude` \| `50` \| Degrees north \| at once \| `PLEIADES_SUNDIAL_LATITUDE` \|$/m,
  );
  match(reference, /^\| `sundial\.gnomon` \| – \| What casts the shadow \| next start \|/m);
  match(reference.split("## Not in this version")[1]!, /`sundial\.alarm`/);
  match(startFile({ rare: true, blocks }), /^sundial:\n.*\n {2}latitude: 50\n(.*\n)+ {2}keeper: nobody$/m);
  equal(/keeper/.test(startFile({ rare: false, blocks })), false);
  match(
    JSON.stringify(schemaAsJson(blocks)),
    /"gnomon":\{"default":null,"description":"What casts the shadow"/,
  );
});

Deno.test("two blocks can't have the same key", () => {
  throws(() => settingsSchemaOf([sundial, sundial]), /Two blocks of the settings have the key sundial/);
});

Deno.test("a block that asks another one is only loaded together with it", () => {
  const asking = {
    shape: { asking: path("asking") },
    settings: (_: object, loading: Loading) => ({ asked: loading.of(sundial).sundial.latitude }),
  };
  equal(loadSettings({ file: null, env: {}, blocks: [sundial, asking] }).settings!.asked, 50);
  throws(() => loadSettings({ file: null, env: {}, blocks: [asking] }), /no block with sundial/);
});

Deno.test("no files of the settings import each other in a circle", async () => {
  const files = await filesBelow("src/settings");
  const imported = new Map(files.map((file) => {
    const text = Deno.readTextFileSync(new URL(`../../${file}`, import.meta.url));
    const base = new URL(`file:///${file}`);
    const targets = [...text.matchAll(/^(?:import|\} from)\b.*"(\.[^"]+)";$/gm)]
      .map(([, target]) => new URL(target!, base).pathname.slice(1));
    return [file, targets.filter((target) => files.includes(target))];
  }));
  // Files that import nothing that is left are taken away until none can be.
  for (let size = -1; size !== imported.size;) {
    size = imported.size;
    for (const [file, targets] of imported) {
      if (!targets.some((target) => imported.has(target))) imported.delete(file);
    }
  }
  deepEqual([...imported.keys()], []);
});
