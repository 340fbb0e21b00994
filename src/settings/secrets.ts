/**
 * Secrets in the settings file: the schema marks them, and they are resolved wherever they stand.
 *
 * @module
 */
import type { z } from "zod";
import { isMapping } from "../input/spelling.ts";
import type { Path } from "../input/yaml_source.ts";
import { unwrap, type Unwrapped } from "./marks.ts";

/** The last names of keys whose files are secrets as a whole: private keys and credentials. */
export const SECRET_FILE_KEYS: readonly string[] = ["keyFile", "credsFile", "sshKeyPath"];

/** The paths in a value that `SECRET_FILE_KEYS` lead to, wherever they stand, as they are written. */
export function* secretFilesIn(value: unknown, path: Path = []): Generator<{ path: Path; file: string }> {
  if (!isMapping(value)) return;
  for (const [key, part] of Object.entries(value)) {
    const at = [...path, key];
    if (typeof part === "string" && SECRET_FILE_KEYS.includes(key)) yield { path: at, file: part };
    else yield* secretFilesIn(part, at);
  }
}

/** How secrets are found and replaced. */
export interface SecretsOf {
  /** Of the value. */
  readonly schema: z.core.$ZodType;
  /** Leads to the value. */
  readonly path: Path;
  /** Gets each secret as it is written, and the path that leads to it. */
  readonly replace: (secret: string, path: Path) => string;
}

/** The value with each secret in it replaced: in keys, lists and mappings by name. */
export function replaceSecrets(value: unknown, { schema, path, replace }: SecretsOf): unknown {
  if (!holdsSecret(schema)) return value;
  const { def, meta } = unwrap(schema);
  const inner = (part: unknown, of: z.core.$ZodType, step: PropertyKey) =>
    replaceSecrets(part, { schema: of, path: [...path, step], replace });
  if (meta.secret === true && typeof value === "string") return replace(value, path);
  if (def.type === "array" && Array.isArray(value)) {
    return value.map((part, i) => inner(part, def.element, i));
  }
  if (!isMapping(value)) return value;
  const schemaOf = (key: string) => def.type === "object" ? def.shape[key] : innerOf(def)[0];
  return Object.fromEntries(
    Object.entries(value).map(([key, part]) => [key, inner(part, schemaOf(key)!, key)]),
  );
}

/** Most of the settings hold none, and may be long. */
function holdsSecret(schema: z.core.$ZodType): boolean {
  const { def, meta } = unwrap(schema);
  return meta.secret === true || innerOf(def).some(holdsSecret);
}

function innerOf(def: Unwrapped["def"]): readonly z.core.$ZodType[] {
  switch (def.type) {
    case "object":
      return Object.values(def.shape);
    case "array":
      return [def.element];
    case "record":
      return [def.valueType];
    default:
      return [];
  }
}
