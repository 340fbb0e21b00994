/** @module Settings of what this version doesn't have: what would switch it on is refused, wherever it comes from. */
import { deepEqual, ok } from "node:assert/strict";
import { z } from "zod";
import { section } from "../../src/input/strict_object.ts";
import type { Block } from "../../src/settings/block.ts";
import { BLOCKS } from "../../src/settings/blocks.ts";
import { flag, integer } from "../../src/input/fields.ts";
import { wantedPaths } from "../../src/settings/absent.ts";
import { mapping } from "../../src/settings/fields.ts";
import { loadSettings } from "../../src/settings/settings.ts";
import { absentEntries, keysOf, settingsTree } from "../../src/settings/keys.ts";
import type { SettingsOutside } from "../../src/settings/outside.ts";
import { formatProblem } from "../../src/input/yaml_source.ts";

function problemsOf(
  text: string,
  env: Readonly<Record<string, string>> = {},
  blocks: readonly Block[] = BLOCKS,
): string[] {
  const outside: SettingsOutside = {
    readFile: () => new TextEncoder().encode(text),
    expectReadable: () => {},
    exists: () => false,
    isWritable: () => false,
    hostname: () => "node",
    homeFolder: () => "/",
    processors: () => 1,
    tlsRefusal: () => null,
  };
  return loadSettings({ file: "p.yaml", env, outside, blocks }).problems.map(formatProblem);
}

/** What stands at a path of the file, as JSON, which is YAML. */
function fileWith(path: readonly string[], value: unknown): string {
  return JSON.stringify(path.reduceRight<unknown>((inner, step) => ({ [step]: inner }), value));
}

for (const key of keysOf(settingsTree()).filter(({ absent }) => absent)) {
  const name = key.path.join(".");
  Deno.test(`${name} is refused when it would switch something on, and let pass when it wouldn't`, () => {
    const value = key.kind === "boolean"
      ? true
      : key.kind === "number"
      ? 77
      : key.example ?? { any: "thing" };
    if (JSON.stringify(value) !== JSON.stringify(key.byDefault)) {
      const [problem = "", ...others] = problemsOf(fileWith(key.path, value));
      ok(problem.endsWith(`: ${name} isn't in this version; remove it`), problem);
      deepEqual(others, []);
    }
    const offs = [false, "", [], {}, null, ...(key.byDefault === undefined ? [] : [key.byDefault])];
    for (const off of offs) deepEqual(problemsOf(fileWith(key.path, off)), [], JSON.stringify(off));
    if (key.environment === null || key.byDefault === true) return;
    const said = problemsOf("log:", { [key.environment]: key.kind === "boolean" ? "true" : "77" });
    deepEqual(said, [`${key.environment}: ${name} isn't in this version; remove it`]);
  });
}

Deno.test("no guess and no list proposes what isn't in this version", () => {
  const said = [
    ...problemsOf("node: { latitud: 1, longitud: 1 }\n"),
    ...problemsOf("log:", { PLEIADES_NODE_LATITUD: "1" }),
  ];
  ok(said.length >= 2, said.join("\n"));
  for (const sentence of said) {
    ok(!/(?:\? ?|: |, |")(?:latitude|longitude)\b|NODE_LATITUDE/.test(sentence), sentence);
  }
});

Deno.test("a section of which each key is wanted is refused at each of them; unknown ones count once", () => {
  const [wanted, other] = [flag("later.wanted"), flag("later.other")].map((key) => key.default(false));
  const later = section(mapping({ wanted: wanted!, other: other! }), "Something later").meta({
    absent: true,
  });
  const text = "later:\n  wanted: true\n  other: true\n  a: 1\n  b: 2\n";
  deepEqual(problemsOf(text, {}, [...BLOCKS, { shape: { later } }]), [
    "p.yaml:2:3: later isn't in this version; remove it",
    "p.yaml:2:11: later.wanted isn't in this version; remove it",
    "p.yaml:3:10: later.other isn't in this version; remove it",
  ]);
});

Deno.test("a section that is switched off may say how it would be if it were on", () => {
  const lamp = mapping({ enabled: flag("enabled").default(false), watts: integer("watts", 1, 9).default(1) });
  const [entry] = absentEntries(
    settingsTree([{ shape: { lamp: section(lamp, "A lamp").meta({ absent: true }) } }]),
  );
  deepEqual(wantedPaths({ enabled: false, watts: 3 }, entry!), []);
  deepEqual(wantedPaths({ enabled: true, watts: 3 }, entry!).map((path) => path.join(".")), [
    "lamp.enabled",
    "lamp.watts",
  ]);
});

Deno.test("a variable and its older name are named each, also beside the file", () => {
  const key = z.string().nullable().default(null).meta({ absent: true, variableAlias: "GSLB_LATER_KEY" });
  const later = { shape: { later: section(mapping({ key }), "Something later") } };
  const env = { PLEIADES_LATER_KEY: "a", GSLB_LATER_KEY: "b" };
  deepEqual(problemsOf("later: { key: d }", env, [...BLOCKS, later]), [
    "GSLB_LATER_KEY: later.key isn't in this version; remove it",
    "PLEIADES_LATER_KEY: later.key isn't in this version; remove it",
    "p.yaml:1:15: later.key isn't in this version; remove it",
  ]);
});

Deno.test("a section that is no mapping is refused without what it says", () => {
  for (const { path } of absentEntries(settingsTree())) {
    const [problem = ""] = problemsOf(fileWith(path, "hunter2"));
    ok(problem.endsWith(`: ${path.join(".")} isn't in this version; remove it`), problem);
  }
});
