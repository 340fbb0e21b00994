/**
 * Settings of what this version doesn't have.
 *
 * A node that is told to limit rates, and doesn't, is worse than one that doesn't start: so whatever would switch such
 * a part on is refused, where it stands. What leaves it off is let pass, so that a file need not be taken apart that
 * states what is the case.
 *
 * @module
 */
import { isSection, type SettingsKey, type SettingsSection, settingsTree } from "./keys.ts";
import type { Layers } from "./layers.ts";
import { ABSENT_PATHS } from "./schema.ts";
import { isMapping } from "../input/spelling.ts";
import type { FileProblem } from "../input/yaml_source.ts";

/** Takes all of it out of the layers, and says what of it would switch something on. */
export function takeOutAbsent(layers: Layers): FileProblem[] {
  return ABSENT_PATHS.flatMap((name) => {
    const path = name.split(".");
    const wanted = wantedPaths(valueAt(layers.values, path), path);
    const problems = wanted.map((at) => layers.problem(at, notInThisVersion(at)));
    layers.remove(path);
    return problems;
  });
}

/** The sentence on a key of what isn't there. */
export function notInThisVersion(path: readonly string[]): string {
  return `${path.join(".")} isn't in this version; remove it`;
}

/** The parts of a value by which something is wanted; none = it leaves everything off. */
export function wantedPaths(value: unknown, path: readonly string[]): (readonly string[])[] {
  if (isOff(value)) return [];
  const entry = entryAt(path);
  if (!isSection(entry)) return JSON.stringify(value) === JSON.stringify(entry.byDefault) ? [] : [path];
  if (!isMapping(value)) return [path];
  if (value["enabled"] === false) return [];
  const known = new Set(entry.entries.map((inner) => inner.path.at(-1)!));
  const wanted = [...known].flatMap((key) => wantedPaths(ownValue(value, key), [...path, key]));
  // However many there are: one sentence for those whose names mean nothing.
  return Object.keys(value).every((key) => known.has(key)) ? wanted : [path, ...wanted];
}

/** Nothing, `false`, and what is empty. */
function isOff(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === "") return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

function entryAt(path: readonly string[]): SettingsKey | SettingsSection {
  return path.reduce<SettingsKey | SettingsSection>((entry, step) => {
    const found = isSection(entry) ? entry.entries.find((inner) => inner.path.at(-1) === step) : undefined;
    if (!found) throw new Error(`No setting is called ${path.join(".")}`);
    return found;
  }, settingsTree());
}

function valueAt(values: unknown, path: readonly string[]): unknown {
  return path.reduce((value, step) => isMapping(value) ? ownValue(value, step) : undefined, values);
}

function ownValue(mapping: Readonly<Record<string, unknown>>, key: string): unknown {
  return Object.hasOwn(mapping, key) ? mapping[key] : undefined;
}
