/** @module The start file and the reference: they load, they are whole, and their examples are right. */
import { deepEqual, doesNotMatch, equal, match, ok } from "node:assert/strict";
import { modelReference, settingsReference, startFile } from "../../src/settings/reference.ts";
import { loadSettings } from "../../src/settings/settings.ts";
import { schemaAsJson, settingsKeys } from "../../src/settings/keys.ts";
import { type SettingsOutside, systemOutside } from "../../src/settings/outside.ts";
import { formatProblem, parseYaml } from "../../src/input/yaml_source.ts";
import { ABSENT_PATHS, settingsFileSchema } from "../../src/settings/schema.ts";
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
    const issues = settingsFileSchema.safeParse(value).error?.issues ?? [];
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
  for (const { path, environment, absent } of settingsKeys()) {
    ok(reference.includes(`\`${path.join(".")}\``), path.join("."));
    if (absent) continue;
    ok(new RegExp(`^ *(# )?${path.at(-1)}:`, "m").test(text), path.join("."));
    if (environment !== null) ok(reference.includes(`\`${environment}\``), environment);
  }
});

Deno.test("what this version lacks isn't in the start file, and stands apart in the reference", () => {
  const text = startFile({ rare: true });
  const [known, absent] = settingsReference().split("## Not in this version");
  for (const path of ABSENT_PATHS) {
    const name = path.split(".").at(-1);
    ok(!new RegExp(`^ *(# )?${name}:`, "m").test(text.replace("endpointLocations", "")), path);
    ok(!known!.includes(`\`${path}`) && absent!.includes(`\`${path}`), path);
  }
});

Deno.test("the JSON Schema says of a key that it isn't in this version", () => {
  const { properties } = schemaAsJson() as { properties: Record<string, { description: string }> };
  match(properties["gitops"]!.description, /\(not in this version\)$/);
  doesNotMatch(properties["dns"]!.description, /not in this version/);
});

Deno.test("every key is described and, unless its default says how it looks, has an example", () => {
  for (const { path, description, example, byDefault, kind } of settingsKeys()) {
    ok(description !== "", path.join("."));
    if (path.length > 1) ok(example !== undefined || byDefault !== undefined, `${path.join(".")} (${kind})`);
  }
});

Deno.test("no two keys have the same variable", () => {
  const variables = settingsKeys().flatMap(({ environment }) => environment ?? []);
  equal(new Set(variables).size, variables.length);
});

Deno.test("tables of the references have the same number of cells in every row", () => {
  for (const text of [settingsReference(), modelReference()]) {
    for (const line of text.split("\n").filter((line) => line.startsWith("|"))) {
      equal(line.replaceAll("\\|", "").split("|").length, 6, line);
    }
  }
});
