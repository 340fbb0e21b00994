/**
 * A long list of which only a window is in memory: the cursor moves at once, and what isn't there yet is asked for.
 *
 * @module
 */
import type { Listing, ListingFrom, ListingRequest } from "../store/listing.ts";

/** A list on the screen. */
export interface ListState<Item> {
  /** A part of the names that are shown; empty = all. */
  readonly filter: string;
  /** How many match. */
  readonly total: number;
  /** Place of the first row that is here. */
  readonly offset: number;
  /** Rows that are here. */
  readonly rows: readonly Item[];
  /** Place of the row that is marked, below `total`; 0 in an empty list. */
  readonly cursor: number;
  /** Place of the first row on the screen. */
  readonly top: number;
  /** Whether it was ever read. */
  readonly isRead: boolean;
  /** Of the model that it was read of. */
  readonly generation: number;
}

/** Nothing read yet. */
export const UNREAD: ListState<never> = {
  filter: "",
  total: 0,
  offset: 0,
  rows: [],
  cursor: 0,
  top: 0,
  isRead: false,
  generation: 0,
};

/** Rows that are read at a time: some screens of the largest terminals in use. */
export const WINDOW = 240;

/** The row that is marked, if it is here. */
export function marked<Item>(list: ListState<Item>): Item | null {
  return list.rows[list.cursor - list.offset] ?? null;
}

/** Moves the mark; `height` is that of the screen. */
export function movedTo<Item>(list: ListState<Item>, cursor: number, height: number): ListState<Item> {
  const inside = Math.max(0, Math.min(cursor, list.total - 1));
  return scrolled({ ...list, cursor: inside }, height);
}

/** With the mark on the screen. */
export function scrolled<Item>(list: ListState<Item>, height: number): ListState<Item> {
  const top = topOf(list, height);
  return top === list.top ? list : { ...list, top };
}

/** Place of the first row on the screen, as near to where it was as the mark allows. */
export function topOf(
  { cursor, top, total }: Pick<ListState<unknown>, "cursor" | "top" | "total">,
  height: number,
): number {
  const lowest = Math.max(0, total - height);
  return Math.min(lowest, Math.max(cursor - height + 1, Math.min(top, cursor)));
}

/** The name by which the database finds a row again; `null` = it has none. */
export type NameOf<Item> = (item: Item) => string | null;

/** What to ask for, so that a screen above and below the mark is here as well; `null` = nothing. */
export function wanted<Item>(
  list: ListState<Item>,
  height: number,
  nameOf: NameOf<Item>,
): ListingRequest | null {
  const from = Math.max(0, list.top - height);
  const to = Math.min(list.total, list.top + 2 * height);
  if (list.isRead && from >= list.offset && to <= list.offset + list.rows.length) return null;
  const first = list.top - (WINDOW >> 1);
  return { filter: list.filter, from: beginningAt(list, { first, limit: WINDOW }, nameOf), limit: WINDOW };
}

/** The same rows as they are by now: no more than are nearly in sight, around the row that is marked. */
export function asBefore<Item>(
  list: ListState<Item>,
  height: number,
  nameOf: NameOf<Item>,
): ListingRequest {
  const { filter, cursor, top } = list;
  const limit = 3 * height;
  const row = marked(list);
  const name = row === null ? null : nameOf(row);
  if (name === null) {
    return { filter, from: beginningAt(list, { first: top - height, limit }, nameOf), limit };
  }
  return { filter, from: { kind: "name", name, before: height + cursor - top, known: null }, limit };
}

/** Goes by the row that is here and nearest to the place, so that what lies between is all that is passed over. */
function beginningAt<Item>(
  list: ListState<Item>,
  { first, limit }: { readonly first: number; readonly limit: number },
  nameOf: NameOf<Item>,
): ListingFrom {
  const { offset, rows, total, generation } = list;
  if (first <= 0 || rows.length === 0 || !list.isRead) return { kind: "start" };
  if (first + limit >= total) return { kind: "end" };
  const place = Math.max(offset, Math.min(first, offset + rows.length - 1));
  const name = nameOf(rows[place - offset]!);
  if (name === null) return { kind: "start" };
  return { kind: "name", name, before: place - first, known: { place, total, generation } };
}

/** Takes what was read; another filter's answer comes too late. `marks` = that row is marked, wherever it is now. */
export function withListing<Item>(
  list: ListState<Item>,
  { filter, listing }: { readonly filter: string; readonly listing: Listing<Item> },
  { height, marks }: { readonly height: number; readonly marks: ((item: Item) => boolean) | null },
): ListState<Item> {
  if (filter !== list.filter) return list;
  const { total, offset, rows, generation } = listing;
  const found = marks === null ? -1 : rows.findIndex(marks);
  const cursor = found >= 0 ? offset + found : Math.max(0, Math.min(list.cursor, total - 1));
  // Where the mark moved with its row, the row stays at its place on the screen.
  const top = Math.max(0, list.top + (found >= 0 ? cursor - list.cursor : 0));
  return scrolled({ ...list, total, offset, rows, cursor, top, isRead: true, generation }, height);
}
