/**
 * Secrets in the settings file: the schema marks them, and they are resolved wherever they stand.
 *
 * @module
 */
import type { z } from "zod";
import { isMapping } from "../input/spelling.ts";
import type { Path } from "../input/yaml_source.ts";
import { unwrap } from "./marks.ts";

/**
 * A copy of a value in which each secret is replaced.
 *
 * @param replace gets the secret as it is written, and the path that leads to it
 */
export function replaceSecrets(
  value: unknown,
  schema: z.core.$ZodType,
  replace: (secret: string, path: Path) => string,
  path: Path = [],
): unknown {
  const { def, meta } = unwrap(schema);
  const inner = (part: unknown, of: z.core.$ZodType, step: PropertyKey) =>
    replaceSecrets(part, of, replace, [...path, step]);
  if (meta.secret === true && typeof value === "string") return replace(value, path);
  if (def.type === "array" && Array.isArray(value)) {
    return value.map((part, i) => inner(part, def.element, i));
  }
  if (!isMapping(value)) return value;
  const schemaOf = (key: string) =>
    def.type === "object" ? def.shape[key] : def.type === "record" ? def.valueType : undefined;
  return Object.fromEntries(
    Object.entries(value).map(([key, part]) => {
      const of = schemaOf(key);
      return [key, of ? inner(part, of, key) : part];
    }),
  );
}
