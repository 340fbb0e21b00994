/**
 * The settings as a tree of keys, read back from the schema: for the environment, the reference and the start file.
 *
 * @module
 */
import { z } from "zod";
import { ABSENT_PATHS, SECRET_PATHS, settingsFileSchema } from "./schema.ts";
import { isMapping } from "../input/spelling.ts";

/** A key of the settings file with a value of its own. */
export interface SettingsKey {
  /** `["dns", "listenAddr"]`. */
  readonly path: readonly string[];
  /** How the value is written; `structure` = a list of mappings or a mapping by name. */
  readonly kind: "text" | "number" | "boolean" | "list" | "structure";
  /** What it means, no final stop. */
  readonly description: string;
  /** As the file would have it; `undefined` = none. */
  readonly byDefault: unknown;
  /** A value as the file would have it; `undefined` = none. */
  readonly example: unknown;
  /** The words that are allowed, where they are few. */
  readonly choices: readonly string[] | null;
  /** Whether its value must never be shown. */
  readonly secret: boolean;
  /** `null` for structures, which the environment can't hold. */
  readonly environment: string | null;
  /** Whether this version lacks what it is about. */
  readonly absent: boolean;
}

/** A mapping of keys, such as `dns` or `dns.tcp`. */
export interface SettingsSection {
  /** `["dns", "tcp"]`. */
  readonly path: readonly string[];
  /** What it is about, no final stop. */
  readonly description: string;
  /** Whether this version lacks all that it is about. */
  readonly absent: boolean;
  /** In the order of the schema. */
  readonly entries: readonly (SettingsKey | SettingsSection)[];
}

/**
 * The whole tree; its path is empty. It is read at the first call: that takes some 10 ms, which a start without settings
 * in the environment can do without.
 */
export function settingsTree(): SettingsSection {
  return tree ??= sectionOf([], z.toJSONSchema(settingsFileSchema, { io: "input" }));
}

let tree: SettingsSection | null = null;

/** All keys, depth first. */
export function settingsKeys(): readonly SettingsKey[] {
  return keysOf(settingsTree());
}

/** The JSON Schema (2020-12) of the settings file. */
export function schemaAsJson(): Record<string, unknown> {
  const schema = z.toJSONSchema(settingsFileSchema, { io: "input" });
  for (const path of ABSENT_PATHS) markAbsent(schema, path.split("."));
  return schema;
}

/** In the words that editors show, and struck through where they can do that. */
function markAbsent(schema: Record<string, unknown>, [step = "", ...rest]: readonly string[]): void {
  const property = isMapping(schema["properties"]) ? schema["properties"][step] : undefined;
  if (!isMapping(property)) throw new Error(`No setting is called ${step}`);
  if (rest.length > 0) return markAbsent(property, rest);
  property["description"] = `${property["description"]} (not in this version)`;
  property["deprecated"] = true;
}

/** `dns.listenAddr` → `PLEIADES_DNS_LISTEN_ADDR`. */
export function environmentName(path: readonly string[]): string {
  const words = path.map((step) => step.replace(/([a-z0-9])([A-Z])/g, "$1_$2").toUpperCase());
  return ["PLEIADES", ...words].join("_");
}

/** Tells a section from a key. */
export function isSection(entry: SettingsKey | SettingsSection): entry is SettingsSection {
  return "entries" in entry;
}

function sectionOf(path: readonly string[], schema: Record<string, unknown>): SettingsSection {
  const properties = isMapping(schema["properties"]) ? schema["properties"] : {};
  const entries = Object.entries(properties).map(([name, property]) => {
    const inner = isMapping(property) ? property : {};
    return isMapping(inner["properties"]) ? sectionOf([...path, name], inner) : keyOf([...path, name], inner);
  });
  return { path, description: String(schema["description"] ?? ""), absent: isAbsent(path), entries };
}

function keyOf(path: readonly string[], schema: Record<string, unknown>): SettingsKey {
  const value = withoutNull(schema);
  const kind = kindOf(value);
  const examples = Array.isArray(schema["examples"]) ? schema["examples"] : [];
  const name = path.join(".");
  return {
    path,
    kind,
    description: String(schema["description"] ?? ""),
    // Keys whose values are transformed have these two, since the library drops their `default` and `examples`.
    byDefault: schema["default"] ?? schema["byDefault"],
    example: schema["example"] ?? examples[0],
    choices: Array.isArray(value["enum"]) ? value["enum"].map(String) : null,
    secret: SECRET_PATHS.some((secret) => secret === name || secret === `${name}.*`),
    environment: kind === "structure" ? null : environmentName(path),
    absent: isAbsent(path),
  };
}

function isAbsent(path: readonly string[]): boolean {
  const name = path.join(".");
  return ABSENT_PATHS.some((absent) => name === absent || name.startsWith(`${absent}.`));
}

/** The alternative that isn't `null`, where a key may be without a value. */
function withoutNull(schema: Record<string, unknown>): Record<string, unknown> {
  const alternatives = Array.isArray(schema["anyOf"]) ? schema["anyOf"].filter(isMapping) : [];
  const typed = alternatives.filter(({ type }) => type !== undefined && type !== "null");
  return typed[0] ?? schema;
}

function kindOf(schema: Record<string, unknown>): SettingsKey["kind"] {
  const { type, items } = schema;
  if (type === "boolean") return "boolean";
  if (type === "integer" || type === "number") return "number";
  if (type === "array") return isMapping(items) && items["type"] === "string" ? "list" : "structure";
  return type === "object" ? "structure" : "text";
}

function keysOf(section: SettingsSection): SettingsKey[] {
  return section.entries.flatMap((entry) => isSection(entry) ? keysOf(entry) : [entry]);
}
