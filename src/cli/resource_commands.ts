/**
 * The noun-verb commands (`pools create web …`), derived from `NOUNS`. What they do is in `resources.ts`, which is
 * loaded when one of them runs.
 *
 * @module
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import {
  addApiOptions,
  addOutputOption,
  addWriteOptions,
  type CommandContext,
  examples,
  milliseconds,
} from "./command_line.ts";
import { type Field, type Noun, NOUNS } from "./nouns.ts";
import type { ResourceRequest, Verb } from "./resources.ts";

/** Adds a command per noun; `done` gets the exit code of the one that ran. */
export function register(root: Command, { terminal, done }: CommandContext): void {
  for (const noun of NOUNS) {
    const group = root.command(noun.name)
      .description(noun.description)
      .addHelpText("after", examplesOf(noun));
    for (const verb of verbsOf(noun)) addVerb(group, { noun, verb, terminal, done });
  }
}

interface VerbCommand extends Pick<CommandContext, "terminal" | "done"> {
  readonly noun: Noun;
  readonly verb: VerbDescription;
}

interface VerbDescription {
  readonly verb: Verb;
  readonly name: string;
  readonly aliases: readonly string[];
  /** Words after the command, in commander's notation. */
  readonly words: string;
  readonly description: string;
}

function verbsOf(noun: Noun): VerbDescription[] {
  const { one } = noun;
  const reference = {
    "collection": noun.keys[0],
    "in-pool": "ref",
    "one-per-pool": "pool",
    "text": "domain",
    "single": undefined,
  };
  const word = `<${reference[noun.shape] ?? "ref"}>`;
  const list = describe("list", "", `all of them`);
  const get = describe("get", word, `one ${one}`);
  const remove = describe("delete", word, `delete a ${one}`);
  switch (noun.shape) {
    case "text":
      return [
        list,
        get,
        {
          ...describe("put", `${word} <file>`, `create or replace a ${one} from a file (- reads stdin)`),
          aliases: ["create", "update"],
        },
        remove,
      ];
    case "single":
      return [
        describe("get", "", `show the one in effect, the model's or the settings'`),
        describe("set", "", `create or replace the model's; fields not given get their defaults`),
        describe("update", "", `change some of its fields`),
        describe("delete", "", `delete the model's: the settings' one takes effect again`),
      ];
    case "one-per-pool":
      return [
        list,
        get,
        {
          ...describe("set", "[pool]", `create or replace it; fields not given get their defaults`),
          aliases: ["create"],
        },
        describe("update", "[pool]", `change some of its fields`),
        remove,
      ];
    default:
      return [
        list,
        get,
        describe("create", noun.shape === "collection" ? word : `[${wordOf(noun)}]`, `create a ${one}`),
        describe("update", word, `change some fields of a ${one}`),
        remove,
      ];
  }
}

/** What the word after `create` is, as its flag is called. */
function wordOf({ fields, keys }: Noun): string {
  return fields.find(({ name }) => name === keys[0])!.flag;
}

function describe(verb: Verb, words: string, description: string): VerbDescription {
  return { verb, name: verb, aliases: [], words, description };
}

function addVerb(group: Command, { noun, verb, terminal, done }: VerbCommand): void {
  const command = group.command(`${verb.name} ${verb.words}`.trim())
    .aliases([...verb.aliases])
    .description(verb.description);
  const writes = verb.verb !== "list" && verb.verb !== "get";
  const sets = fieldsOf(noun, verb.verb);
  if (noun.shape === "in-pool") command.addOption(poolOption(verb.verb));
  if (noun.shape === "one-per-pool") command.option("--pool <pool>", "its pool, by name or id");
  for (const field of sets) {
    addField(command, {
      field,
      isNew: verb.verb !== "update",
      mandatory: verb.verb === "create" && field.name !== noun.keys[0],
    });
  }
  if (writes) addWriteOptions(command);
  addOutputOption(addApiOptions(command), ["table", "wide", "json", "yaml"]);
  if (writes) command.addHelpText("after", examplesOf(noun));
  command.action(async () => {
    const [reference, file] = command.args;
    const options = command.opts();
    const request: ResourceRequest = {
      noun,
      verb: verb.verb,
      reference,
      file,
      fields: fieldValues(sets, options),
      pool: noun.shape === "collection" ? undefined : options["pool"],
      api: options["api"],
      token: options["token"],
      output: options["output"],
      dryRun: options["dryRun"] === true,
      force: options["force"] === true,
      reason: options["reason"],
    };
    done(await (await import("./resources.ts")).runResource(request, terminal));
  });
}

/** The fields that a verb sets by flags; the name of a new object that has one is a word only. */
function fieldsOf(noun: Noun, verb: Verb): readonly Field[] {
  if (verb !== "create" && verb !== "update" && verb !== "set") return [];
  const named = verb === "create" && noun.shape === "collection" ? noun.keys[0] : undefined;
  return noun.fields.filter((field) => field.name !== named);
}

function poolOption(verb: Verb): Option {
  return verb === "create"
    ? new Option("--pool <pool>", "its pool, by name or id (required)").makeOptionMandatory()
    : new Option("--pool <pool>", "its pool, by name or id");
}

/** How a field is to be given. */
interface FieldUse {
  readonly field: Field;
  /** Whether the object is a new one: then there are defaults, and nothing to unset. */
  readonly isNew: boolean;
  readonly mandatory: boolean;
}

function addField(command: Command, { field, isNew, mandatory }: FieldUse): void {
  const { flag, kind, byDefault } = field;
  const isMandatory = mandatory && field.required === true;
  const note = isMandatory
    ? " (required)"
    : isNew && byDefault !== undefined
    ? ` (default ${byDefault})`
    : "";
  const unset = new Option(`--no-${flag}`, `without --${flag}`);
  if (kind === "boolean") {
    command.option(`--${flag}`, `${field.description}; --no-${flag} is the opposite${note}`);
    command.addOption(unset.hideHelp());
    return;
  }
  const option = new Option(`--${flag} <${PLACEHOLDERS[kind]}>`, `${field.description}${note}`);
  if (field.choices !== undefined) option.choices([...field.choices]);
  else option.argParser((text) => valueOf(kind, text));
  if (isMandatory) option.makeOptionMandatory();
  command.addOption(option);
  if (field.nullable === true) command.addOption(isNew ? unset.hideHelp() : unset);
}

const PLACEHOLDERS: Readonly<Record<Exclude<Field["kind"], "boolean">, string>> = {
  text: "text",
  integer: "n",
  "number-or-word": "n|word",
  number: "number",
  duration: "duration",
  json: "json",
  list: "a,b",
  pool: "pool",
  member: "member",
};

function valueOf(kind: Field["kind"], text: string): unknown {
  switch (kind) {
    case "integer":
      return number(text, /^-?\d+$/, "a whole number");
    case "number":
      return number(text, /^-?\d+(\.\d+)?$/, "a number");
    case "number-or-word":
      return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
    case "json":
      return json(text);
    case "list":
      return text.split(",").map((part) => part.trim());
    case "duration":
      return milliseconds(text);
    default:
      return text;
  }
}

function number(text: string, form: RegExp, what: string): number {
  if (!form.test(text)) throw new InvalidArgumentError(`It must be ${what}.`);
  return Number(text);
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    if (cause instanceof SyntaxError) throw new InvalidArgumentError(`It must be JSON: ${cause.message}.`);
    throw cause;
  }
}

/** Commander keeps `--no-x` as `false`: for a boolean that is the value, for the others it means `null`. */
function fieldValues(
  fields: readonly Field[],
  options: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const given = fields.filter((field) => options[attribute(field.flag)] !== undefined);
  return Object.fromEntries(given.map((field) => {
    const value = options[attribute(field.flag)];
    return [field.name, value === false && field.kind !== "boolean" ? null : value];
  }));
}

function attribute(flag: string): string {
  return flag.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function examplesOf(noun: Noun): string {
  return examples(...noun.examples.map((line) => `pleiades ${line}`));
}
