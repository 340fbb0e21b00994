/**
 * Settings in the environment: `PLEIADES_` and the path of a key, in capitals.
 *
 * @module
 */
import { notInThisVersion, wantedPaths } from "./absent.ts";
import { environmentName, keysOf, type SettingsKey, type SettingsSection } from "./keys.ts";
import type { Layers } from "./layers.ts";
import type { Environment } from "./loading.ts";
import { nearest } from "../input/nearest.ts";
import { compareText, type FileProblem } from "../input/yaml_source.ts";

/** Puts the environment's settings over the layers; reports variables that are nearly one. */
export function addEnvironment(
  layers: Layers,
  environment: Environment,
  tree: SettingsSection,
): FileProblem[] {
  const problems: FileProblem[] = [];
  const variables = variablesOf(keysOf(tree));
  // In alphabetical order GSLB_… comes first, so that the names used here win over their aliases.
  for (const [name, text] of Object.entries(environment).sort(([a], [b]) => compareText(a, b))) {
    const key = variables.get(name);
    const isOurs = key !== undefined || (name.startsWith(PREFIX) && !OTHER_VARIABLES.has(name));
    if (text === undefined || text === "" || !isOurs) continue;
    if (!key) problems.push(...strayProblems(name, { tree, variables }));
    // Refused here, where each variable is seen: over a value of the file, or under its alias, it would hide the other.
    else if (key.absent) problems.push(...absentProblems(key, valueOf(text, key), name));
    else layers.set(key.path, { value: valueOf(text, key), origin: name });
  }
  return problems;
}

const PREFIX = "PLEIADES_";

/** Variables that aren't settings: the shell's commands and the tests read them. */
const OTHER_VARIABLES: ReadonlySet<string> = new Set([
  "PLEIADES_API_URL",
  "PLEIADES_API_TOKEN",
  "PLEIADES_DEBUG",
  "PLEIADES_EXECUTABLE",
  "PLEIADES_TEST_ALL",
]);

/** The key that each variable sets. */
function variablesOf(keys: readonly SettingsKey[]): ReadonlyMap<string, SettingsKey> {
  return new Map(
    keys.flatMap((key) =>
      [key.environment, key.variableAlias].flatMap((name) => name === null ? [] : [[name, key] as const])
    ),
  );
}

function absentProblems(key: SettingsKey, value: unknown, name: string): FileProblem[] {
  return wantedPaths(value, key).map((at) => ({
    file: name,
    line: 0,
    column: 0,
    message: notInThisVersion(at),
  }));
}

function strayProblems(
  name: string,
  { tree, variables }: {
    readonly tree: SettingsSection;
    readonly variables: ReadonlyMap<string, SettingsKey>;
  },
): FileProblem[] {
  const at = { file: name, line: 0, column: 0 };
  const structure = keysOf(tree).find(({ kind, path }) =>
    kind === "structure" && environmentName(path) === name
  );
  if (structure) {
    return [{
      ...at,
      message: `${structure.path.join(".")} can't be set by a variable (put it into the file)`,
    }];
  }
  const rest = name.slice(PREFIX.length);
  const proposed = [...variables].filter(([, { absent }]) => !absent).map(([known]) => known);
  const near = nearest(rest, proposed.map((known) => known.slice(PREFIX.length)));
  return near === null ? [] : [{ ...at, message: `Unknown variable (did you mean ${PREFIX}${near}?)` }];
}

/** Text in the form that the file would have; what doesn't fit stays text, and the schema says so. */
function valueOf(text: string, { kind }: SettingsKey): unknown {
  if (kind === "list") return text.split(",").map((part) => part.trim()).filter((part) => part !== "");
  if (kind === "number" && /^[+-]?\d+(?:\.\d+)?$/.test(text.trim())) return Number(text);
  if (kind === "boolean" && /^(?:true|false)$/i.test(text.trim())) {
    return text.trim().toLowerCase() === "true";
  }
  return text;
}
