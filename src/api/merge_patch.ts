/**
 * JSON Merge Patch (RFC 7396): what is named is replaced, `null` puts the default back, the rest stays.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { invalidFields } from "./problem.ts";
import { withoutDefault } from "./route.ts";

/**
 * The fields of an object after a patch, checked as a whole: what the patch leaves alone must still fit.
 *
 * @param stored may have more than the schema's fields; the rest is left out
 * @throws {ApiProblem} 400 with every wrong field
 */
export function patched<Schema extends z.ZodObject>(
  schema: Schema,
  { stored, patch }: {
    readonly stored: Readonly<z.output<Schema>>;
    readonly patch: Readonly<Record<string, unknown>>;
  },
): z.output<Schema> {
  const names = Object.keys(schema.shape);
  const fields = Object.fromEntries(Object.entries(stored).filter(([name]) => names.includes(name)));
  const result = schema.safeParse(mergePatch(fields, patch));
  if (!result.success) throw invalidFields(result.error.issues);
  return result.data;
}

/** The flat case of RFC 7396 §2, which is all that this API's objects need. */
function mergePatch(
  stored: Readonly<Record<string, unknown>>,
  patch: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const merged = new Map(Object.entries(stored));
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) merged.delete(name);
    else merged.set(name, value);
  }
  return Object.fromEntries(merged);
}

/**
 * The schema of a patch for objects of a schema: any of its fields, `null` for those that have a default.
 *
 * Defaults are taken off, since a field that is absent from a patch must stay absent.
 */
export function patchSchemaOf(schema: z.ZodObject): z.ZodObject {
  const shape = Object.entries(schema.shape).map(([name, field]) => {
    const plain = withoutDefault(field);
    const patch = plain === field ? plain : z.nullable(plain).meta(plain.meta() ?? {});
    return [name, z.optional(patch).meta(plain.meta() ?? {})];
  });
  return schema.clone({ ...schema.def, shape: Object.fromEntries(shape), checks: [] });
}
