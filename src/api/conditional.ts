/**
 * Conditional requests (RFC 9110 §13): an object's `ETag` is its revision in quotes.
 *
 * `If-Match` makes a write safe against a change in between. `If-None-Match` saves sending what the client has;
 * it isn't offered where health is part of the answer, because health changes without a new revision.
 *
 * @module
 */
import type { Context, MiddlewareHandler } from "hono";
import { ApiProblem } from "./problem.ts";

/** The entity tag of a revision. */
export function etagOf(revision: number): string {
  return `"${revision}"`;
}

/**
 * What an edit of an object with this revision must carry so that `If-Match` holds: nothing when any revision will
 * do (`*`, or no header).
 *
 * @param current `null` = there is no such object yet, so nothing matches
 * @throws {ApiProblem} 412 when none of the tags is the object's
 */
export function ifRevision(c: Context, current: number | null): { readonly ifRevision?: number } {
  const header = c.req.header("if-match");
  if (header === undefined || (header.trim() === "*" && current !== null)) return {};
  if (current !== null && tagsOf(header).includes(etagOf(current))) return { ifRevision: current };
  throw new ApiProblem(
    412,
    current === null
      ? `If-Match ${header} can't match: there is no such object yet (leave If-Match out)`
      : `If-Match ${header} doesn't match ${etagOf(current)}: the object has changed (read it again)`,
  );
}

/**
 * Refuses a write to what is known by a tag that isn't a revision's.
 *
 * @param current without quotes
 * @throws {ApiProblem} 412 when `If-Match` is there and none of its tags is this one
 */
export function expectTag(c: Context, current: string): void {
  const header = c.req.header("if-match");
  if (header === undefined || header.trim() === "*" || tagsOf(header).includes(`"${current}"`)) return;
  throw new ApiProblem(
    412,
    `If-Match ${header} doesn't match "${current}": something of it has changed (read it again)`,
  );
}

/** Answers 304 when `If-None-Match` names the tag of the answer. */
export const notModified: MiddlewareHandler = async (c, next) => {
  await next();
  const header = c.req.header("if-none-match");
  const etag = c.res.headers.get("etag");
  if (header === undefined || etag === null || c.res.status !== 200) return;
  if (header.trim() !== "*" && !tagsOf(header).includes(etag)) return;
  const headers = new Headers(c.res.headers);
  for (const name of ["content-type", "content-length"]) headers.delete(name);
  // Hono merges the headers of the response it replaces into the new one, unless there is none.
  await c.res.body?.cancel();
  c.res = undefined;
  c.res = new Response(null, { status: 304, headers });
};

/**
 * The tags of a list, without the mark of weak ones. Ours are strong; but a server that compresses an answer makes
 * its tag a weak one, and a client that sends that back in `If-Match` means the revision all the same.
 */
export function tagsOf(header: string): string[] {
  return header.match(/"[^"]*"/g) ?? [];
}
