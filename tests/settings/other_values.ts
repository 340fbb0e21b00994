/**
 * For any key of the settings another value than its default, found from the schema; so that tests can change each key
 * without a list of them.
 *
 * @module
 */
import type { SettingsKey } from "../../src/settings/keys.ts";

/** Values where the schema's own example isn't another one, or needs what isn't there. */
const BY_HAND: Readonly<Record<string, unknown>> = {
  "api.listenAddr": "127.0.0.2",
  "api.tokens": ["another"],
  "database.path": "another.db",
  "queryLog.path": "another.log",
};

/** Keys of which one alone is wrong, with the value that the file has before. */
const GIVEN: Readonly<Record<string, unknown>> = {
  "api.tls.certFile": "api.crt",
  "api.tls.keyFile": "api.key",
};

/** What the file says of the keys that can't be changed from nothing. */
export const BEFORE: Readonly<Record<string, unknown>> = { ...GIVEN, workers: 1 };

/** A valid value that isn't the default, nor what {@linkcode BEFORE} has. */
export function otherValue({ path, kind, byDefault, choices, example }: SettingsKey): unknown {
  const name = path.join(".");
  if (Object.hasOwn(BY_HAND, name)) return BY_HAND[name];
  if (Object.hasOwn(GIVEN, name)) return `another-${GIVEN[name]}`;
  if (choices) return choices.find((word) => word !== byDefault);
  if (kind === "boolean") return !byDefault;
  if (kind === "number") return Number(BEFORE[name] ?? byDefault ?? example) + 1;
  // A duration: its example may be its default.
  if (typeof byDefault === "string" && /^\d+[a-z]+$/.test(byDefault)) {
    return byDefault.replace(/\d+/, (count) => String(Number(count) + 1));
  }
  return example;
}

/** A settings file, which as JSON is YAML, with these values by the names of their keys. */
export function fileOf(values: Readonly<Record<string, unknown>>): string {
  const root: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(values)) {
    const path = name.split(".");
    let at = root;
    for (const step of path.slice(0, -1)) at = (at[step] ??= {}) as Record<string, unknown>;
    at[path.at(-1)!] = value;
  }
  return JSON.stringify(root, null, 1);
}
