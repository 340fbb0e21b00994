/**
 * The layers that settings are put together from: file, environment, flags. Each value keeps where it came from,
 * so that a problem names the variable or the flag that is wrong, not a file that isn't.
 *
 * @module
 */
import type { z } from "zod";
import { notInThisVersion, wantedPaths } from "./absent.ts";
import { environmentName, type SettingsKey, settingsKeys } from "./keys.ts";
import { isMapping } from "../input/spelling.ts";
import { nearest } from "../input/nearest.ts";
import {
  compareText,
  type FileProblem,
  type Path,
  schemaProblems,
  type Source,
} from "../input/yaml_source.ts";

/** The environment, read only. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Raw values on their way to the schema. */
export class Layers {
  /** Nested mappings, as a file would have them; changed by `set`. */
  readonly values: Record<string, unknown>;
  readonly #source: Source;
  readonly #origins = new Map<string, string>();

  /**
   * Begins with the values of a file, which are changed.
   *
   * @param source the file that they came from
   */
  constructor(values: Record<string, unknown>, source: Source) {
    this.values = values;
    this.#source = source;
  }

  /** Puts a value over whatever was there; `origin` is the name of the variable or flag. */
  set(
    path: readonly string[],
    { value, origin }: { readonly value: unknown; readonly origin: string },
  ): void {
    let at = this.values;
    for (const step of path.slice(0, -1)) {
      const next = Object.hasOwn(at, step) ? at[step] : undefined;
      const inner = isMapping(next) ? next : {};
      at[step] = inner;
      at = inner;
    }
    at[path.at(-1)!] = value;
    this.#origins.set(path.join("."), origin);
  }

  /** Takes the value at the path out; of a list, the whole, so that no index shifts. */
  remove(path: Path): void {
    const index = path.findIndex((step) => typeof step === "number");
    const keys = (index < 0 ? path : path.slice(0, index)).map(String);
    let at: unknown = this.values;
    for (const step of keys.slice(0, -1)) at = isMapping(at) ? at[step] : undefined;
    const last = keys.at(-1);
    if (isMapping(at) && last !== undefined) delete at[last];
  }

  /** A problem with the value at the path, placed where the value came from. */
  problem(path: Path, message: string): FileProblem {
    const origin = this.#originOf(path);
    if (origin !== null) return { file: origin, line: 0, column: 0, message };
    return { file: this.#source.file, ...this.#source.locate(path), message };
  }

  /** What a schema found in the values. */
  problems(error: z.ZodError): FileProblem[] {
    return error.issues.flatMap((issue) =>
      this.#originOf(issue.path) === null
        ? schemaProblems(this.#source, { issues: [issue] })
        : [this.problem(issue.path, issue.message)]
    );
  }

  /** Whether the value came from the file, whose folder its relative paths start at. */
  isFromFile(path: Path): boolean {
    return this.#originOf(path) === null;
  }

  #originOf(path: Path): string | null {
    for (let length = path.length; length > 0; length--) {
      const origin = this.#origins.get(path.slice(0, length).join("."));
      if (origin !== undefined) return origin;
    }
    return null;
  }
}

/** Puts the environment's settings over the layers; reports variables that are nearly one. */
export function addEnvironment(layers: Layers, environment: Environment): FileProblem[] {
  const problems: FileProblem[] = [];
  // In alphabetical order GSLB_… comes first, so that the names used here win over their aliases.
  for (const [name, text] of Object.entries(environment).sort(([a], [b]) => compareText(a, b))) {
    if (text === undefined || text === "" || !isOurs(name)) continue;
    const key = variables().get(name);
    if (!key) problems.push(...strayProblems(name));
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

/** The names by which an earlier system reads its licence. */
const VARIABLE_ALIASES: readonly (readonly [alias: string, variable: string])[] = [
  ["GSLB_LICENSE_SECRET", "PLEIADES_LICENSE_SECRET"],
  ["GSLB_LICENSE_KEY", "PLEIADES_LICENSE_KEY"],
];

function isOurs(name: string): boolean {
  if (VARIABLE_ALIASES.some(([alias]) => alias === name)) return true;
  return name.startsWith(PREFIX) && !OTHER_VARIABLES.has(name);
}

/** The key that each variable sets; read from the schema when there is a variable to look up. */
function variables(): ReadonlyMap<string, SettingsKey> {
  return keysByVariable ??= readVariables();
}

let keysByVariable: ReadonlyMap<string, SettingsKey> | null = null;

function readVariables(): Map<string, SettingsKey> {
  const keys = new Map<string, SettingsKey>();
  for (const key of settingsKeys()) if (key.environment !== null) keys.set(key.environment, key);
  for (const [alias, variable] of VARIABLE_ALIASES) keys.set(alias, keys.get(variable)!);
  return keys;
}

/** Those of what is in this version. */
function proposedVariables(): string[] {
  return [...variables()].filter(([, { absent }]) => !absent).map(([name]) => name);
}

function absentProblems({ path }: SettingsKey, value: unknown, name: string): FileProblem[] {
  return wantedPaths(value, path).map((at) => ({
    file: name,
    line: 0,
    column: 0,
    message: notInThisVersion(at),
  }));
}

function strayProblems(name: string): FileProblem[] {
  const at = { file: name, line: 0, column: 0 };
  const structure = settingsKeys().find(({ kind, path }) =>
    kind === "structure" && environmentName(path) === name
  );
  if (structure) {
    return [{
      ...at,
      message: `${structure.path.join(".")} can't be set by a variable (put it into the file)`,
    }];
  }
  const rest = name.slice(PREFIX.length);
  const near = nearest(rest, proposedVariables().map((known) => known.slice(PREFIX.length)));
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
