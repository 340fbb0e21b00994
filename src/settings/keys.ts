/**
 * The settings as a tree of keys, read back from the schemas of their blocks: for loading, the warning after a reload,
 * the reference and the start file.
 *
 * @module
 */
import { z } from "zod";
import type { Block } from "./block.ts";
import { BLOCKS, settingsSchemaOf } from "./blocks.ts";
import { MARKS, type Marks, unwrap } from "./marks.ts";
import { isMapping } from "../input/spelling.ts";

/** What is said of a key and of a section. */
export interface Named {
  /** `["dns", "listenAddr"]`. */
  readonly path: readonly string[];
  /** What it means or is about, no final stop. */
  readonly description: string;
  /** Whether this version lacks all that it is about. */
  readonly absent: boolean;
  /** Whether few need it. */
  readonly rare: boolean;
}

/** A key of the settings file with a value of its own. */
export interface SettingsKey extends Named {
  /** How the value is written; `structure` = a list of mappings or a mapping by name. */
  readonly kind: "text" | "number" | "boolean" | "list" | "structure";
  /** As the file would have it; `undefined` = none. */
  readonly byDefault: unknown;
  /** A value as the file would have it; `undefined` = none. */
  readonly example: unknown;
  /** The words that are allowed, where they are few. */
  readonly choices: readonly string[] | null;
  /** Whether its value must never be shown. */
  readonly secret: boolean;
  /** What a reload does with it: it is taken over at once, or at the next start. */
  readonly reload: "live" | "restart";
  /** Whether the start file has it commented out although it has a default. */
  readonly commentedOut: boolean;
  /** `null` for structures, which the environment can't hold. */
  readonly environment: string | null;
  /** The variable by which an earlier system reads it; `null` = none. */
  readonly variableAlias: string | null;
}

/** A mapping of keys, such as `dns` or `dns.tcp`. */
export interface SettingsSection extends Named {
  /** In the order of the schema. */
  readonly entries: readonly (SettingsKey | SettingsSection)[];
}

/** The whole tree; its path is empty. */
export function settingsTree(blocks: readonly Block[] = BLOCKS): SettingsSection {
  const marks: Marks = {};
  const entries = Object.entries(settingsSchemaOf(blocks).shape).map(([name, schema]) =>
    entryOf([name], schema, marks)
  );
  return { path: [], description: "", absent: false, rare: false, entries };
}

/** All keys of a section, depth first. */
export function keysOf(section: SettingsSection): SettingsKey[] {
  return section.entries.flatMap((entry) => isSection(entry) ? keysOf(entry) : [entry]);
}

/** The outermost sections and keys of what this version doesn't have. */
export function absentEntries(section: SettingsSection): (SettingsKey | SettingsSection)[] {
  return section.entries.flatMap((entry) =>
    entry.absent ? [entry] : isSection(entry) ? absentEntries(entry) : []
  );
}

/** The JSON Schema (2020-12) of the settings file. */
export function schemaAsJson(blocks: readonly Block[] = BLOCKS): Record<string, unknown> {
  const schema = z.toJSONSchema(settingsSchemaOf(blocks), {
    io: "input",
    override: ({ jsonSchema }) => {
      for (const mark of MARKS) delete jsonSchema[mark];
    },
  });
  for (const { path } of absentEntries(settingsTree(blocks))) markAbsent(schema, path);
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

function entryOf(
  path: readonly string[],
  schema: z.core.$ZodType,
  inherited: Marks,
): SettingsKey | SettingsSection {
  const { def, meta, byDefault } = unwrap(schema);
  const marks = { ...inherited, ...marksOf(meta) };
  const { absent = false, rare = false } = marks;
  const named = { path, description: meta.description ?? "", absent, rare };
  if (def.type === "object") {
    const entries = Object.entries(def.shape).map(([name, inner]) => entryOf([...path, name], inner, marks));
    return { ...named, entries };
  }
  const element = def.type === "array" ? unwrap(def.element) : null;
  const kind = kindOf(def.type, element?.def.type);
  const examples = Array.isArray(meta["examples"]) ? meta["examples"] : [];
  return {
    ...named,
    kind,
    byDefault,
    // Values that are transformed are shown as they are written: those that the schema holds are others.
    example: meta["example"] ?? examples[0],
    choices: def.type === "enum" ? Object.values(def.entries).map(String) : null,
    secret: Boolean(marks.secret ?? element?.meta.secret),
    reload: marks.reload ?? "restart",
    commentedOut: marks.commentedOut === true,
    environment: kind === "structure" ? null : environmentName(path),
    variableAlias: marks.variableAlias ?? null,
  };
}

function marksOf(meta: Marks): Marks {
  return Object.fromEntries(MARKS.flatMap((mark) => meta[mark] === undefined ? [] : [[mark, meta[mark]]]));
}

function kindOf(type: string, element: string | undefined): SettingsKey["kind"] {
  if (type === "boolean" || type === "number") return type;
  if (type === "array") return element === "string" || element === "enum" ? "list" : "structure";
  return type === "record" ? "structure" : "text";
}
