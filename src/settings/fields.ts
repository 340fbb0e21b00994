/**
 * Kinds of value that only settings have: paths, secrets, durations with a default.
 *
 * @module
 */
import { z } from "zod";
import { formatDuration } from "../input/duration.ts";
import { duration, type DurationRange, integer, mustBe } from "../input/fields.ts";
import { strictObject } from "../input/strict_object.ts";
import { unwrap } from "./marks.ts";

/**
 * A mapping of keys, whose unknown ones are errors. Keys of what this version doesn't have are never proposed.
 *
 * @param aliases other spellings that were turned into keys of the shape before; only for the guess
 * @param elsewhere keys that other systems have here, and what to use in their place
 */
export function mapping<Shape extends z.core.$ZodLooseShape>(
  shape: Shape,
  { aliases = [], elsewhere = new Map() }: {
    readonly aliases?: readonly string[];
    readonly elsewhere?: ReadonlyMap<string, string>;
  } = {},
): z.ZodObject<Shape, z.core.$strict> {
  const absent = Object.keys(shape).filter((key) => unwrap(shape[key]!).meta.absent === true);
  return strictObject(shape, aliases, elsewhere, absent);
}

/** A port to listen on. */
export function port(name: string): z.ZodInt {
  return integer(name, 1, 65_535);
}

/** A duration with a default; becomes milliseconds. */
export function millis(
  name: string,
  { byDefault, ...range }: DurationRange & {
    /** Milliseconds. */
    readonly byDefault: number;
  },
): z.ZodPrefault<z.ZodType<number>> {
  return duration(name, range).prefault(formatDuration(byDefault));
}

/** A path. */
export function requiredPath(name: string): z.ZodString {
  const error = mustBe(name, "a path");
  return z.string({ error }).min(1, { error }).max(4096, { error });
}

/** A path, by default none. */
export function path(name: string): OrNone {
  return requiredPath(name).nullable().default(null);
}

/** A path, by default none; earlier systems write an empty text for that. */
export function pathOrEmpty(name: string): z.ZodDefault<z.ZodString> {
  const error = mustBe(name, "a path");
  return z.string({ error }).max(4096, { error }).default("");
}

/** A text, by default none. */
export function text(name: string): OrNone {
  const error = mustBe(name, "a text");
  return z.string({ error }).min(1, { error }).nullable().default(null);
}

/** A secret; it never stands in a message, not even when it is wrong. */
export function requiredSecret(name: string): z.ZodString {
  const error = `${name} must be a text: \${ENV_NAME}, file:/path or the secret itself (put it in quotes)`;
  return z.string({ error }).min(1, { error }).meta({ secret: true });
}

/** A secret, by default none. */
export function secret(name: string): OrNone {
  return requiredSecret(name).nullable().default(null);
}

/** Text, or `null`. */
export type OrNone = z.ZodDefault<z.ZodNullable<z.ZodString>>;

/** The section of a companion program that this version doesn't have. */
export function companion(name: string): z.ZodDefault<z.ZodRecord<z.ZodString, z.ZodUnknown>> {
  return z.record(z.string(), z.unknown(), { error: mustBe(name, "a mapping") }).default({}).meta({
    absent: true,
    description: `Settings of pleiades ${name}`,
  });
}
