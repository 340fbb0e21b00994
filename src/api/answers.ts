/**
 * What every kind of object answers when all goes well, as the OpenAPI document says it; `problems` in `route.ts` has
 * the rest.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { pageHeaders } from "./paging.ts";
import {
  createHeaders,
  type DeclaredHeaders,
  etagHeader,
  json,
  updateHeaders,
  writeHeaders,
} from "./route.ts";

/** A page of a collection. */
export function aPage<Schema extends z.ZodType>(
  nouns: string,
  schema: Schema,
): { 200: Answer<z.ZodArray<Schema>> } {
  return { 200: { description: `A page of ${nouns}`, headers: pageHeaders, content: json(z.array(schema)) } };
}

/** A new object, or one that would be. */
export function created<Schema extends z.ZodType>(
  noun: string,
  schema: Schema,
): { 200: Answer<Schema>; 201: Answer<Schema> } {
  return {
    200: { description: `The ${noun} as it would be (dry run)`, content: json(schema) },
    201: { description: `The new ${noun}`, headers: createHeaders, content: json(schema) },
  };
}

/** An object, unless the client has it already. */
export function unlessKnown<Schema extends z.ZodType>(
  noun: string,
  schema: Schema,
): { 200: Answer<Schema>; 304: { description: string } } {
  return {
    200: { description: `The ${noun}`, headers: etagHeader, content: json(schema) },
    304: { description: `The ${noun} still has the ETag of If-None-Match` },
  };
}

/** An object after a write. */
export function updated<Schema extends z.ZodType>(noun: string, schema: Schema): { 200: Answer<Schema> } {
  return { 200: { description: `The ${noun} as it is now`, headers: updateHeaders, content: json(schema) } };
}

/** Nothing, since the object is no more. */
export const deleted: { 204: { description: string; headers: DeclaredHeaders } } = {
  204: { description: "It is gone", headers: writeHeaders },
};

/** An answer with a JSON body. */
export interface Answer<Schema extends z.ZodType> {
  /** What it means. */
  description: string;
  /** Those that matter to its reader. */
  headers?: DeclaredHeaders;
  /** The body. */
  content: { "application/json": { schema: Schema } };
}
