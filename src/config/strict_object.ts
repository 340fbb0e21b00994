/**
 * Objects that refuse keys they don't know, and say which key was probably meant.
 *
 * A mistyped key that is silently ignored is the costliest kind of configuration error: the file looks right
 * and the old default goes on ruling. So every object that an operator writes is one of these.
 *
 * @module
 */
import { z } from "zod";

/** A strict object schema that yields a `T`; its shape can be read field by field and extended. */
export type SchemaOf<T> = z.ZodObject<{ -readonly [Key in keyof T]: z.ZodType<T[Key]> }, z.core.$strict>;

/**
 * An object schema whose unknown keys are errors with a "did you mean".
 *
 * @param aliases other spellings that somebody has turned into keys of the shape before; only for the guess
 */
export function strictObject<Shape extends z.core.$ZodLooseShape>(
  shape: Shape,
  aliases: readonly string[] = [],
): z.ZodObject<Shape, z.core.$strict> {
  const known = Object.keys(shape);
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code === "unrecognized_keys") {
        return issue.keys.map((key) => unknownKeyMessage(key, { known, aliases })).join(
          UNKNOWN_KEYS_SEPARATOR,
        );
      }
      return `must be a mapping with keys such as ${known.slice(0, 3).join(", ")}, is ${show(issue.input)}`;
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

/** Stands between the sentences of one issue that has several unknown keys. */
export const UNKNOWN_KEYS_SEPARATOR = "; ";

/** `Unknown key "intervall" (did you mean "interval"?)`; without a near key, the possible ones are listed. */
export function unknownKeyMessage(
  key: string,
  { known, aliases = [] }: { readonly known: readonly string[]; readonly aliases?: readonly string[] },
): string {
  const near = nearest(key, [...known, ...aliases]);
  if (near !== null) return `Unknown key ${JSON.stringify(key)} (did you mean "${near}"?)`;
  return `Unknown key ${JSON.stringify(key)} (known here: ${known.join(", ")})`;
}

/**
 * The candidate that differs least from the word, or `null` when none is close enough to be worth a guess:
 * at most a third of the letters may differ, whatever their case.
 */
export function nearest(word: string, candidates: Iterable<string>): string | null {
  let best: string | null = null;
  // A word longer than any key is no typing error, and the comparison below is quadratic.
  if (word.length > 64) return null;
  let distanceMax = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < distanceMax) [best, distanceMax] = [candidate, distance];
  }
  return best;
}

/** A value as it stands in an error message: JSON, cut at 60 characters. */
export function show(value: unknown): string {
  if (value === undefined) return "missing";
  if (Array.isArray(value)) return "a list";
  if (value !== null && typeof value === "object") return "a mapping";
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 60 ? text : `${text.slice(0, 57)}…"`;
}

/** Letters that differ, two swapped neighbours counting as one (optimal string alignment); O(a·b) time, O(b) memory. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swap = isSwap ? beforeLast[j - 2]! + 1 : Infinity;
      row.push(Math.min(substitution, swap, last[j]! + 1, row[j - 1]! + 1));
    }
    [beforeLast, last] = [last, row];
  }
  return last[b.length]!;
}
