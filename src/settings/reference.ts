/**
 * The settings and the model as people read about them: the reference in Markdown and the commented start file.
 * Both are written from the schemas, so that they can't say anything else than what is checked.
 *
 * @module
 */
import { Document, isCollection, visit } from "yaml";
import { z } from "zod";
import { poolFileSchema, serviceFileSchema, zoneFileSchema } from "../model/model_schema.ts";
import type { Block } from "./block.ts";
import { BLOCKS } from "./blocks.ts";
import { isSection, keysOf, type SettingsKey, type SettingsSection, settingsTree } from "./keys.ts";
import { isMapping } from "../input/spelling.ts";

/** The reference of every key of the settings file, in Markdown. */
export function settingsReference(blocks: readonly Block[] = BLOCKS): string {
  const tree = settingsTree(blocks);
  const tables = sectionsBelow(present(tree)).map(sectionTable);
  const absent = keyTable(keysOf(tree).filter((key) => key.absent));
  return [SETTINGS_INTRODUCTION, ...tables, ABSENT_INTRODUCTION, absent].join("\n\n") + "\n";
}

/** The reference of every field of model files, in Markdown. */
export function modelReference(): string {
  return [
    MODEL_INTRODUCTION,
    fieldTable("pools[]", jsonSchema(poolFileSchema)),
    fieldTable("pools[].members[]", jsonSchema(poolFileSchema.shape.members)),
    fieldTable("pools[].healthCheck", jsonSchema(poolFileSchema.shape.healthCheck)),
    fieldTable("pools[].geoRules[]", jsonSchema(poolFileSchema.shape.geoRules)),
    fieldTable("services[]", jsonSchema(serviceFileSchema)),
    fieldTable("zones[]", jsonSchema(zoneFileSchema)),
  ].join("\n\n") + "\n";
}

/**
 * A settings file with a comment above each key. Keys with a default have it, the others are commented out with an
 * example, as are those that turn something on; so it loads as it stands and changes nothing.
 *
 * @param rare whether to show also what few need; `config.example.yaml` does
 */
export function startFile(
  { rare, blocks = BLOCKS }: { readonly rare: boolean; readonly blocks?: readonly Block[] },
): string {
  const entries = present(settingsTree(blocks)).entries.filter((entry) => rare || !entry.rare);
  const head = [
    "# Settings of a Pleiades node. Keys without a # show their default.",
    `# Check this file with "pleiades config validate FILE"; run it with "pleiades serve -c FILE".`,
    ...(rare ? [] : [`# These are the usual keys; docs/configuration.md has all of them.`]),
  ];
  return [...head, ...entries.flatMap((entry) => ["", ...entryLines(entry, { indent: "", rare })])].join(
    "\n",
  ) + "\n";
}

const SETTINGS_INTRODUCTION = `# Settings

Flags win over the environment, the environment over the file, the file over defaults. \`serve -c FILE\` names the
file; without it \`/etc/pleiades/config.yaml\` is read when it exists. \`pleiades config init\` writes a start file,
\`pleiades config validate FILE\` shows every problem with line, column and fix, and \`pleiades config schema\` prints
the JSON Schema for editors.

- Durations have a unit: \`250ms\`, \`10s\`, \`5m\`, \`1h\`, \`7d\`.
- Relative paths start at the folder of the settings file.
- A secret may be \`\${ENV_NAME}\` or \`file:/path\`, of a file of 64 KiB at most; secrets are never printed, logged or
  exported.
- The column "reload" says when a change takes effect after SIGHUP: \`at once\`, or at the \`next start\`.
- In the environment, lists are separated by commas. An empty variable counts as unset.
- A key that isn't known is an error. \`checkinterval\`, \`interval\` and \`expectedstatus\` are read as
  \`checkInterval\` and \`expectedStatus\`, and the algorithms \`wrr\`, \`weighted_rr\` and \`rr\` as
  \`weighted-round-robin\` and \`round-robin\`.`;

const ABSENT_INTRODUCTION = `## Not in this version

These names are reserved for later versions. A value that would switch something on is an error, in the file and in the
environment, at the start, at a reload and in \`pleiades config validate\`: remove it. What is \`false\`, empty or as
its default, and a section with \`enabled: false\`, is accepted.`;

const MODEL_INTRODUCTION = `# Model files

A model is a directory (every \`*.yaml\` and \`*.ndjson\` below it, merged), one file, or NDJSON with one
\`{"pool": …}\`, \`{"service": …}\` or \`{"zone": …}\` a line. A name that is defined twice is an error that names both
places. YAML may have 1,000 anchors and aliases in a file. \`loadbalancer\` and \`health\` have the keys of the [settings](configuration.md) and replace them.`;

type Entry = SettingsKey | SettingsSection;

/** The section without what this version lacks. */
function present(section: SettingsSection): SettingsSection {
  const entries = section.entries.filter(({ absent }) => !absent);
  return { ...section, entries: entries.map((entry) => isSection(entry) ? present(entry) : entry) };
}

function entryLines(entry: Entry, layout: { readonly indent: string; readonly rare: boolean }): string[] {
  const { indent, rare } = layout;
  const name = entry.path.at(-1)!;
  if (!isSection(entry)) return keyLines(entry, indent);
  const entries = entry.entries.filter((inner) => rare || !inner.rare);
  const lines = entries.flatMap((inner) => entryLines(inner, { indent: `${indent}  `, rare }));
  return [...commentLines(entry.description, indent), `${indent}${name}:`, ...lines];
}

function keyLines(key: SettingsKey, indent: string): string[] {
  const name = key.path.at(-1)!;
  const choices = key.choices === null ? "" : `: ${key.choices.join(", ")}`;
  const isSet = key.byDefault !== undefined && !isEmpty(key.byDefault) && !key.commentedOut;
  const value = isSet ? key.byDefault : key.example ?? key.byDefault ?? {};
  const line = inFlow({ [name]: value });
  return [...commentLines(`${key.description}${choices}`, indent), `${indent}${isSet ? "" : "# "}${line}`];
}

function commentLines(text: string, indent: string): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1)!;
    if (line !== "" && indent.length + line.length + word.length > COMMENT_WIDTH) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines.map((line) => `${indent}## ${line}`);
}

const COMMENT_WIDTH = 96;

/** One line of YAML: nested lists and mappings in brackets and braces. */
function inFlow(value: Readonly<Record<string, unknown>>): string {
  const document = new Document(value);
  visit(document, {
    Pair: (_, { value }) => {
      if (isCollection(value)) value.flow = true;
    },
  });
  return document.toString({ lineWidth: 0 }).trimEnd();
}

function isEmpty(value: unknown): boolean {
  return value === "" || (typeof value === "object" && value !== null && Object.keys(value).length === 0);
}

/** Sections with keys of their own, outer ones first; keys at the root form one without a name. */
function sectionsBelow(section: SettingsSection): SettingsSection[] {
  const inner = section.entries.filter(isSection);
  const keys = section.entries.filter((entry) => !isSection(entry));
  const own = keys.length > 0 ? [{ ...section, entries: keys }] : [];
  return [...own, ...inner.flatMap(sectionsBelow)];
}

function sectionTable({ path, description, entries }: SettingsSection): string {
  const title = path.length === 0 ? "Keys at the top" : `\`${path.join(".")}\``;
  const table = keyTable(entries.flatMap((entry) => isSection(entry) ? [] : [entry]));
  return [`## ${title}`, "", ...(description === "" ? [] : [`${escaped(description)}.`, ""]), table].join(
    "\n",
  );
}

/** A table of keys; of those that this version has, it says what a reload does with them. */
function keyTable(keys: readonly SettingsKey[]): string {
  const rows = keys.map((key) => {
    const byDefault = key.byDefault === undefined ? "–" : code(key.byDefault);
    const choices = key.choices === null ? "" : `: ${key.choices.map((word) => `\`${word}\``).join(", ")}`;
    const variable = key.environment === null ? "–" : `\`${key.environment}\``;
    return [
      `\`${key.path.join(".")}\``,
      byDefault,
      `${escaped(key.description)}${choices}`,
      ...(key.absent ? [] : [RELOAD[key.reload]]),
      variable,
    ];
  });
  const isOfAbsent = keys.every(({ absent }) => absent);
  const head = ["key", "default", "meaning", ...(isOfAbsent ? [] : ["reload"]), "environment"];
  return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** As the pages say it. */
const RELOAD: Readonly<Record<SettingsKey["reload"], string>> = { live: "at once", restart: "next start" };

function fieldTable(title: string, schema: Readonly<Record<string, unknown>>): string {
  const required = Array.isArray(schema["required"]) ? schema["required"] : [];
  const properties = isMapping(schema["properties"]) ? schema["properties"] : {};
  const rows = Object.entries(properties).filter(([, field]) => isMapping(field)).map(([name, field]) => {
    const { description, default: byDefault, examples, enum: choices } = isMapping(field) ? field : {};
    const shown = required.includes(name) ? "required" : code(byDefault ?? null);
    const words = Array.isArray(choices) ? `: ${choices.map((word) => `\`${word}\``).join(", ")}` : "";
    const example = Array.isArray(examples) && examples[0] !== null ? code(examples[0]) : "";
    return `| \`${name}\` | ${shown} | ${escaped(String(description ?? ""))}${words} | ${example} |`;
  });
  return [
    `## \`${title}\``,
    "",
    "| field | default | meaning | example |",
    "| --- | --- | --- | --- |",
    ...rows,
  ].join("\n");
}

/** The schema of the elements of a list, and of what a value is when it isn't `null`. */
function jsonSchema(schema: z.ZodType): Record<string, unknown> {
  const json: Record<string, unknown> = z.toJSONSchema(schema, { io: "input" });
  const { items, anyOf } = json;
  if (isMapping(items)) return items;
  const alternatives = Array.isArray(anyOf) ? anyOf.filter(isMapping) : [];
  return alternatives.find(({ type }) => type === "object") ?? json;
}

function code(value: unknown): string {
  return value === null
    ? "–"
    : `\`${escaped(typeof value === "string" ? value || '""' : JSON.stringify(value))}\``;
}

function escaped(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", "\\n");
}
