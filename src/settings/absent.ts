/**
 * Settings of what this version doesn't have.
 *
 * A node that is told to limit rates, and doesn't, is worse than one that doesn't start: so whatever would switch such
 * a part on is refused, where it stands. What leaves it off is let pass, so that a file need not be taken apart that
 * states what is the case.
 *
 * @module
 */
import { absentEntries, isSection, type SettingsKey, type SettingsSection } from "./keys.ts";
import type { Layers } from "./layers.ts";
import { isMapping } from "../input/spelling.ts";
import type { FileProblem } from "../input/yaml_source.ts";

/** Takes all of it out of the layers, and says what of it would switch something on. */
export function takeOutAbsent(layers: Layers, tree: SettingsSection): FileProblem[] {
  return absentEntries(tree).flatMap((entry) => {
    const wanted = wantedPaths(valueAt(layers.values, entry.path), entry);
    const problems = wanted.map((at) => layers.problem(at, notInThisVersion(at)));
    layers.remove(entry.path);
    return problems;
  });
}

/** The sentence on a key of what isn't there. */
export function notInThisVersion(path: readonly string[]): string {
  return `${path.join(".")} isn't in this version; remove it`;
}

/** The parts of a value by which something is wanted; none = it leaves everything off. */
export function wantedPaths(
  value: unknown,
  entry: SettingsKey | SettingsSection,
): (readonly string[])[] {
  const { path } = entry;
  if (isOff(value)) return [];
  if (!isSection(entry)) return JSON.stringify(value) === JSON.stringify(entry.byDefault) ? [] : [path];
  if (!isMapping(value)) return [path];
  if (value["enabled"] === false) return [];
  const wanted = entry.entries.flatMap((inner) => wantedPaths(ownValue(value, inner.path.at(-1)!), inner));
  const known = new Set(entry.entries.map((inner) => inner.path.at(-1)!));
  // However many there are: one sentence for those whose names mean nothing.
  return Object.keys(value).every((key) => known.has(key)) ? wanted : [path, ...wanted];
}

/** Nothing, `false`, and what is empty. */
function isOff(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === "") return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

function valueAt(values: unknown, path: readonly string[]): unknown {
  return path.reduce((value, step) => isMapping(value) ? ownValue(value, step) : undefined, values);
}

function ownValue(mapping: Readonly<Record<string, unknown>>, key: string): unknown {
  return Object.hasOwn(mapping, key) ? mapping[key] : undefined;
}
