/**
 * What a schema says of a key beside what it accepts. It stands in the key's `.meta()`, next to description and
 * example, so that a key is described in one place: loading, the warning after a reload, the reference, the start file
 * and the JSON Schema all read it there.
 *
 * A mark on a section holds for every key in it that doesn't say otherwise.
 *
 * @module
 */
import { z } from "zod";

/** What is marked. */
export interface Marks {
  /**
   * Whether a reload takes the key over at once. Without the mark it waits for the next start, so that a key that
   * is forgotten is named in a warning and never silently without effect.
   */
  readonly reload?: "live" | "restart";
  /**
   * `${ENV_NAME}`, `file:/path` or the secret itself: it is resolved when settings are loaded, and never shown. One that
   * can't be resolved is an error; `own` = its block resolves it (`Loading.secret`), and says what is to be said.
   */
  readonly secret?: boolean | "own";
  /**
   * The name is kept for what this version doesn't have: a value that would switch it on is an error. What lands takes
   * the mark away.
   */
  readonly absent?: boolean;
  /** Few need it, so the file of `config init` doesn't have it. */
  readonly rare?: boolean;
  /** The start file has it commented out although it has a default: to set it, whatever to, turns something on. */
  readonly commentedOut?: boolean;
  /** The environment variable by which an earlier system reads it. */
  readonly variableAlias?: string;
}

declare module "zod" {
  interface GlobalMeta extends Marks {}
}

/** The names of all marks, which mean nothing outside of this program. */
export const MARKS: readonly (keyof Marks)[] = [
  "reload",
  "secret",
  "absent",
  "rare",
  "commentedOut",
  "variableAlias",
];

/** A schema without what is wrapped around it: defaults, `null`, what is done before and after. */
export interface Unwrapped {
  /** What tells a text from a list, and leads to what is inside. */
  readonly def: z.core.$ZodTypes["_zod"]["def"];
  /** Marks, description, examples; the outermost word counts. */
  readonly meta: z.core.GlobalMeta;
  /** What an absent value becomes; `undefined` = none, or `null`. */
  readonly byDefault: unknown;
}

/** Looks through the wrapping of a schema. */
export function unwrap(schema: z.core.$ZodType): Unwrapped {
  let meta: z.core.GlobalMeta = {};
  let byDefault: unknown;
  let at = schema;
  for (;;) {
    meta = { ...z.core.globalRegistry.get(at), ...meta };
    // The library's way to tell its types apart: every schema is one of them.
    const { def } = (at as z.core.$ZodTypes)._zod;
    switch (def.type) {
      case "default":
      case "prefault":
        byDefault ??= def.defaultValue;
        at = def.innerType;
        break;
      case "nullable":
        at = def.innerType;
        break;
      case "pipe":
        at = isTransform(def.out) ? def.in : def.out;
        break;
      default:
        return { def, meta, byDefault: meta["byDefault"] ?? byDefault ?? undefined };
    }
  }
}

function isTransform(schema: z.core.$ZodType): boolean {
  return schema._zod.def.type === "transform";
}
