/**
 * What is on the screen, as plain data; how much of it fits, and what keys mean on it.
 *
 * @module
 */
import type { ListedPool } from "../store/listing.ts";
import type { Form } from "./form.ts";
import type { Mode } from "./keys.ts";
import { type ListState, UNREAD } from "./list.ts";
import type {
  ChangeTerms,
  HistoryItem,
  Intent,
  PoolDetail,
  PoolItem,
  Preview,
  ServiceItem,
} from "./messages.ts";
import { type NodeItem, siteLines } from "./reading.ts";

/** The tabs, from left to right. */
export const TAB_NAMES = ["pools", "services", "history", "site"] as const;

/** One of them. */
export type Tab = (typeof TAB_NAMES)[number];

/** The parts of a pool, from left to right. */
export const PART_NAMES = ["members", "check", "rules"] as const;

/** One of them. */
export type Part = (typeof PART_NAMES)[number];

/** Smaller than this nothing is drawn but that it is too small. */
export const SIZE_MIN = { columns: 80, rows: 24 } as const;

/** Rows that are no rows of a list: tabs, a line, the head; a line, the notice, keys. */
export const FRAME_ROWS = 6;

/** What is known of a node. */
export interface ServerState {
  /** `away` = it doesn't answer, or there is none; `refused` = it answers, and says no. */
  readonly state: "connecting" | "connected" | "away" | "refused";
  /** Where it is looked for. */
  readonly url: string;
  /** Why it isn't there, and what to do. */
  readonly message: string;
  /** Lines about the node. */
  readonly status: readonly string[];
  /** The nodes that share what they find. */
  readonly nodes: readonly NodeItem[];
  /** Newest last; at most {@linkcode EVENTS_MAX}. */
  readonly events: readonly string[];
  /** Answers a second of the whole node; `null` = not known yet. */
  readonly rate: number | null;
}

/** Events that are kept to look back on. */
export const EVENTS_MAX = 500;

/** A pool that is open. */
export interface OpenPool {
  /** Its id. */
  readonly id: string;
  /** Its name as it was in the list. */
  readonly name: string;
  /** Which part is shown. */
  readonly part: Part;
  /** `null` = not read yet. */
  readonly detail: PoolDetail | null;
  /** Place of the mark in members, and in rules. */
  readonly cursors: Readonly<Record<Part, number>>;
  /** Place of the first row on the screen. */
  readonly tops: Readonly<Record<Part, number>>;
}

/** What lies over the screen; the last one takes keys. */
export type Overlay =
  | { readonly kind: "form"; readonly form: Form }
  | { readonly kind: "picker"; readonly list: ListState<ListedPool>; readonly isFiltering: boolean }
  | Confirmation
  | { readonly kind: "text"; readonly title: string; readonly lines: readonly string[]; readonly top: number }
  | { readonly kind: "help"; readonly of: Mode; readonly top: number }
  /** A form comes here as soon as what fills it is read. */
  | { readonly kind: "loading"; readonly form: Loading; readonly id: string };

/** What is read before it can be shown: a form's object, or what a generation did. */
export type Loading = "settings" | "service" | "assign" | "generation";

/** A question with two answers. */
export interface Confirmation {
  /** Tells overlays apart. */
  readonly kind: "confirm";
  /** What is asked. */
  readonly title: string;
  /** What one should know before; `null` = it is being worked out. */
  readonly preview: Preview | null;
  /** What is done on yes; `leave` = a form with what was typed is closed. */
  readonly yes: Intent | "leave";
  /** Which answer is marked. */
  readonly isYes: boolean;
  /** First line of the preview that is shown. */
  readonly top: number;
}

/** One line about what was done, or wasn't. */
export interface Notice {
  /** The words. */
  readonly text: string;
  /** How bad it is. */
  readonly tone: "good" | "bad" | "plain";
}

/** Everything. */
export interface State {
  /** Characters and lines of the terminal. */
  readonly size: { readonly columns: number; readonly rows: number };
  /** The database. */
  readonly path: string;
  /** Whether it has been opened. */
  readonly isOpen: boolean;
  /** Of the last commit that is shown. */
  readonly generation: number;
  /** What is wrong with the file; `null` = nothing. */
  readonly fault: string | null;
  /** Which one is in front. */
  readonly tab: Tab;
  /** All pools. */
  readonly pools: ListState<PoolItem>;
  /** All services. */
  readonly services: ListState<ServiceItem>;
  /** All commits that are kept. */
  readonly history: ListState<HistoryItem>;
  /** The one that is open. */
  readonly pool: OpenPool | null;
  /** Whether keys go into the filter of the list. */
  readonly isFiltering: boolean;
  /** Of a node. */
  readonly server: ServerState;
  /** First line of the site that is shown. */
  readonly siteTop: number;
  /** The last one takes keys. */
  readonly overlays: readonly Overlay[];
  /** What was done last. */
  readonly notice: Notice | null;
  /** The change that is being written or worked out. */
  readonly asked: Asked | null;
  /** The generation that was made here last, to be undone. */
  readonly undoable: number | null;
  /** Number of the next question. */
  readonly next: number;
}

/** A change that was asked for. */
export interface Asked {
  /** Of the question. */
  readonly number: number;
  /** Which one. */
  readonly intent: Intent;
  /** How. */
  readonly terms: ChangeTerms;
  /** Whether another process holds the database. */
  readonly isWaiting: boolean;
}

/** The picker's first choice is no pool at all. */
export const NO_POOL: ListedPool = {
  id: "",
  name: "no pool: the static fallback answers",
  algorithm: "round-robin",
  revision: 0,
  members: 0,
  services: 0,
  service: null,
};

/** Before anything is known. */
export function initialState(
  { path, url, size }: { readonly path: string; readonly url: string; readonly size: State["size"] },
): State {
  return {
    size,
    path,
    isOpen: false,
    generation: 0,
    fault: null,
    tab: "pools",
    pools: UNREAD,
    services: UNREAD,
    history: UNREAD,
    pool: null,
    isFiltering: false,
    server: { state: "connecting", url, message: "", status: [], nodes: [], events: [], rate: null },
    siteTop: 0,
    overlays: [],
    notice: null,
    asked: null,
    undoable: null,
    next: 1,
  };
}

/** Rows of a list that the terminal has room for. */
export function listHeight({ size }: Pick<State, "size">): number {
  return Math.max(1, size.rows - FRAME_ROWS);
}

/** Lines of a question, without its two answers. */
export function questionHeight(state: Pick<State, "size">): number {
  return Math.max(1, listHeight(state) - 2);
}

/** The site, as far as it is known, in lines of the terminal. */
export function linesOfSite({ server, size }: Pick<State, "server" | "size">): string[] {
  return siteLines(server, size.columns);
}

/** Rows of a dialogue's list. */
export function overlayHeight({ size }: Pick<State, "size">): number {
  return Math.max(1, size.rows - 8);
}

/** What keys mean now. */
export function modeOf(state: State): Mode {
  const overlay = state.overlays.at(-1);
  if (overlay?.kind === "picker") return overlay.isFiltering ? "filter" : "picker";
  if (overlay?.kind === "loading") return "text";
  if (overlay !== undefined) return overlay.kind;
  if (state.isFiltering) return "filter";
  if (state.tab === "pools") return state.pool === null ? "pools" : state.pool.part;
  return state.tab;
}
