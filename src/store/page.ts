/**
 * Reading a collection a page at a time, by key: a page begins behind the last key of the one before, so rows that
 * come and go meanwhile neither repeat others nor hide them, and page 10,000 costs as much as page 1.
 *
 * @module
 */

/** Which part of a collection. */
export interface PageRequest {
  /** 1 or more; the caller bounds it. */
  readonly limit: number;
  /** `next` of the page before; absent or `null` for the first page. */
  readonly cursor?: string | null;
}

/** A part of a collection, in the collection's order. */
export interface Page<Item> {
  /** At most `limit` of them. */
  readonly items: readonly Item[];
  /** The cursor of the following page; `null` when this is the last one. */
  readonly next: string | null;
}

/** Makes a page of rows that were read with `limit + 1`: the extra one tells that there are more. */
export function pageOf<Item>(
  rows: readonly Item[],
  { limit, keyOf }: { readonly limit: number; readonly keyOf: (item: Item) => string | number },
): Page<Item> {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return { items, next: rows.length > limit && last !== undefined ? String(keyOf(last)) : null };
}
