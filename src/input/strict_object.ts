/**
 * Objects that refuse keys they don't know, and say which key was probably meant.
 *
 * A mistyped key that is silently ignored is the costliest kind of configuration error: the file looks right
 * and the old default goes on ruling. So every object that an operator writes is one of these.
 *
 * @module
 */
import { z } from "zod";
import { nearest } from "./nearest.ts";

/** A strict object schema that yields a `T`; its shape can be read field by field and extended. */
export type SchemaOf<T> = z.ZodObject<{ -readonly [Key in keyof T]: z.ZodType<T[Key]> }, z.core.$strict>;

/**
 * An object schema whose unknown keys are errors with a "did you mean".
 *
 * @param aliases other spellings that were turned into keys of the shape before; only for the guess
 * @param elsewhere keys that other systems have here, and what to use in their place
 * @param unproposed keys that are kept for what isn't there yet, and so are no fix
 */
export function strictObject<Shape extends z.core.$ZodLooseShape>(
  shape: Shape,
  aliases: readonly string[] = [],
  elsewhere: ReadonlyMap<string, string> = new Map(),
  unproposed: readonly string[] = [],
): z.ZodObject<Shape, z.core.$strict> {
  const known = Object.keys(shape).filter((key) => !unproposed.includes(key));
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code === "unrecognized_keys") {
        const keys = issue.keys.slice(0, UNKNOWN_KEYS_MAX);
        return keys.map((key) => unknownKeyMessage(key, { known, aliases, elsewhere })).join(
          UNKNOWN_KEYS_SEPARATOR,
        );
      }
      return `must be a mapping with keys such as ${known.slice(0, 3).join(", ")}, is ${kindOf(issue.input)}`;
    },
  });
}

/** A nested object that may be left out: then every key of it has its default. */
export function section<Schema extends z.core.SomeType>(
  schema: Schema,
  description: string,
): z.ZodType<z.output<Schema>> {
  // The empty step before the schema has input type `unknown`, for which `{}` is a value.
  return z.preprocess((value) => value, schema).prefault({}).meta({ description });
}

/** Unknown keys of one mapping that get a sentence each, with a guess: more of them are no typing errors. */
export const UNKNOWN_KEYS_MAX = 100;

/** Stands between the sentences of one issue that has several unknown keys. */
export const UNKNOWN_KEYS_SEPARATOR = "; ";

/** `Unknown key "intervall" (did you mean "interval"?)`; without a near key, the possible ones are listed. */
export function unknownKeyMessage(
  key: string,
  { known, aliases = [], elsewhere }: {
    readonly known: readonly string[];
    readonly aliases?: readonly string[];
    readonly elsewhere?: ReadonlyMap<string, string>;
  },
): string {
  const instead = elsewhere?.get(key);
  if (instead !== undefined) return `Unknown key ${JSON.stringify(key)} (not in this version; ${instead})`;
  const near = nearest(key, [...known, ...aliases]);
  if (near !== null) return `Unknown key ${JSON.stringify(key)} (did you mean "${near}"?)`;
  return `Unknown key ${JSON.stringify(key)} (known here: ${known.join(", ")})`;
}

/**
 * What a value is, for messages about a mapping or list that isn't one: a text or a number in its place may be a secret
 * that was written one level too high, so it isn't shown.
 */
export function kindOf(value: unknown): string {
  if (value === undefined) return "missing";
  if (Array.isArray(value)) return "a list";
  if (value !== null && typeof value === "object") return "a mapping";
  if (typeof value === "string") return "a text";
  return typeof value === "number" || typeof value === "bigint" ? "a number" : String(value);
}

/** A value as it stands in an error message: JSON, cut at 60 characters. */
export function show(value: unknown): string {
  if (value === undefined || (value !== null && typeof value === "object")) return kindOf(value);
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 60 ? text : `${text.slice(0, 57)}…"`;
}
