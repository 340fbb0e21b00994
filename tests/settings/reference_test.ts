/** @module The start file and the reference: they load, they are whole, and their examples are right. */
import { deepEqual, doesNotMatch, equal, match, ok } from "node:assert/strict";
import { modelReference, settingsReference, startFile } from "../../src/settings/reference.ts";
import { loadSettings } from "../../src/settings/settings.ts";
import { BLOCKS, settingsSchemaOf } from "../../src/settings/blocks.ts";
import { absentEntries, keysOf, schemaAsJson, settingsTree } from "../../src/settings/keys.ts";
import { MARKS } from "../../src/settings/marks.ts";
import { type SettingsOutside, systemOutside } from "../../src/settings/outside.ts";
import { formatProblem, parseYaml } from "../../src/input/yaml_source.ts";
import { dropNulls } from "../../src/input/spelling.ts";

function loadText(text: string) {
  const outside: SettingsOutside = { ...systemOutside, readFile: () => new TextEncoder().encode(text) };
  return loadSettings({ file: "start.yaml", env: {}, outside });
}

for (const rare of [false, true]) {
  Deno.test(`the start file ${rare ? "with" : "without"} rare keys loads and changes nothing`, () => {
    const { settings, problems } = loadText(startFile({ rare }));
    deepEqual(problems.map(formatProblem), []);
    deepEqual(settings, loadSettings({ file: null, env: {} }).settings);
  });
}

Deno.test("every key that is commented out in the start file is valid as its example shows it", () => {
  const lines = startFile({ rare: true }).split("\n");
  const commented = lines.flatMap((line, i) => /^ *# [a-zA-Z]+:/.test(line) ? [i] : []);
  ok(commented.length > 30);
  for (const i of commented) {
    const text = lines.with(i, lines[i]!.replace("# ", "")).join("\n");
    const { value } = parseYaml("start.yaml", text).source!;
    dropNulls(value);
    const issues = settingsSchemaOf(BLOCKS).safeParse(value).error?.issues ?? [];
    // A coordinate, a file of a pair, a weight: alone they ask for what belongs to them; that is all there may be.
    const others = issues.filter(({ message }) => !/is required because|no endpoint has/.test(message));
    deepEqual(others.map(({ message }) => message), [], lines[i]);
  }
});

Deno.test("to have a fallback it is enough to name its endpoints in the start file", () => {
  const text = startFile({ rare: false }).replace("# endpoints:", "endpoints:");
  const { settings, problems } = loadText(text);
  deepEqual(problems.map(formatProblem), []);
  deepEqual([settings?.fallback?.endpoints.length, settings?.fallback?.healthCheck], [2, null]);
});

Deno.test("the start file with rare keys and the reference have every key that this version knows", () => {
  const text = startFile({ rare: true });
  const reference = settingsReference();
  for (const { path, environment, absent } of keysOf(settingsTree())) {
    ok(reference.includes(`\`${path.join(".")}\``), path.join("."));
    if (absent) continue;
    ok(new RegExp(`^ *(# )?${path.at(-1)}:`, "m").test(text), path.join("."));
    if (environment !== null) ok(reference.includes(`\`${environment}\``), environment);
  }
});

Deno.test("what this version lacks isn't in the start file, and stands apart in the reference", () => {
  const text = startFile({ rare: true });
  const [known, absent] = settingsReference().split("## Not in this version");
  for (const entry of absentEntries(settingsTree())) {
    const [path, name] = [entry.path.join("."), entry.path.at(-1)];
    ok(!new RegExp(`^ *(# )?${name}:`, "m").test(text.replace("endpointLocations", "")), path);
    ok(!known!.includes(`\`${path}`) && absent!.includes(`\`${path}`), path);
  }
});

Deno.test("the JSON Schema says of a key that it isn't in this version", () => {
  type Described = Record<string, { description: string; properties: Described }>;
  const { properties } = schemaAsJson() as { properties: Described };
  match(properties["node"]!.properties["latitude"]!.description, /\(not in this version\)$/);
  doesNotMatch(properties["dns"]!.description, /not in this version/);
});

Deno.test("the JSON Schema has none of the marks, which mean nothing outside", () => {
  const found: string[] = [];
  JSON.stringify(schemaAsJson(), function (key, value) {
    // Below `properties` are keys of the settings, which may be called as they like.
    if (this !== null && "type" in this && MARKS.some((mark) => mark === key)) found.push(key);
    return value;
  });
  deepEqual(found, []);
});

Deno.test("the reference says of every key of this version what a reload does with it", () => {
  const rows = settingsReference().split("\n");
  for (const { path, absent, reload } of keysOf(settingsTree())) {
    const row = rows.find((line) => line.startsWith(`| \`${path.join(".")}\` `))!;
    equal(row.includes("| at once |"), !absent && reload === "live", row);
    equal(row.includes("| next start |"), !absent && reload === "restart", row);
  }
});

Deno.test("every key is described and, unless its default says how it looks, has an example", () => {
  for (const { path, description, example, byDefault, kind } of keysOf(settingsTree())) {
    ok(description !== "", path.join("."));
    if (path.length > 1) ok(example !== undefined || byDefault !== undefined, `${path.join(".")} (${kind})`);
  }
});

Deno.test("no two keys have the same variable", () => {
  const variables = keysOf(settingsTree()).flatMap(({ environment }) => environment ?? []);
  equal(new Set(variables).size, variables.length);
});

Deno.test("tables of the references have the same number of cells in every row", () => {
  for (const table of `${settingsReference()}${modelReference()}`.split("\n\n")) {
    const rows = table.split("\n").filter((line) => line.startsWith("|"));
    const cellsOf = (row = "") => row.replaceAll("\\|", "").split("|").length;
    for (const row of rows) equal(cellsOf(row), cellsOf(rows[0]), row);
  }
});
