/**
 * Collections a page at a time: `limit` and `cursor` in the URL, `Link: <…>; rel="next"` (RFC 8288) in the answer.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { DeclaredHeaders } from "./route.ts";
import { strictObject } from "../input/strict_object.ts";
import type { Page, PageRequest } from "../store/page.ts";

/** Objects of a page when the client names no number. */
const LIMIT_DEFAULT = 1_000;

/** 10,000 members with their health are some 3 MB of JSON. */
const LIMIT_MAX = 10_000;

const limitError = { error: `limit must be a whole number 1–${LIMIT_MAX}` };

const limit = z.coerce.number(limitError).int(limitError).min(1, limitError).max(LIMIT_MAX, limitError)
  .default(LIMIT_DEFAULT).meta({ description: "Objects of a page" });

/** The query of a collection. */
export type PageQuery = z.ZodObject<{
  limit: z.ZodDefault<z.ZodCoercedNumber>;
  cursor: z.ZodOptional<z.ZodString>;
}, z.core.$strict>;

/** The query of a collection ordered by a name. */
export const pageQuery: PageQuery = strictObject({
  limit,
  cursor: z.string().optional().meta({ description: "From the Link of the page before" }),
});

/** The query of a collection ordered by number. */
export const numberedPageQuery: PageQuery = strictObject({
  limit,
  cursor: z.string().regex(/^[0-9]{1,15}$/, { error: "cursor must come from the Link of the page before" })
    .optional().meta({ description: "From the Link of the page before" }),
});

/** Headers of a collection's answer. */
export const pageHeaders: DeclaredHeaders = {
  Link: {
    description: `The next page: <URL>; rel="next"; absent on the last one`,
    schema: { type: "string" },
  },
};

/** What the store is asked for. */
export function pageRequest(query: z.infer<typeof pageQuery>): PageRequest {
  return { limit: query.limit, cursor: query.cursor ?? null };
}

/** Sets the `Link` of a page and returns what is on it. */
export function linkNext<Item>(c: Context, { items, next }: Page<Item>): Item[] {
  if (next !== null) {
    const url = new URL(c.req.url);
    url.searchParams.set("cursor", next);
    c.header("Link", `<${url.pathname}${url.search}>; rel="next"`);
  }
  return [...items];
}
