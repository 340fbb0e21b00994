/**
 * All of the terminal UI but its looks: what is on the screen as plain data, and what each thing that happens makes of it. Pure:
 * what is to be done outside (asking the database or the node, leaving) is handed back as effects.
 *
 * @module
 */
import type { ListedPool, ListingRequest } from "../store/listing.ts";
import type { Input } from "./key_decoder.ts";
import { edited, focused, type Form, typed, valuesOf, withPool, withProblems } from "./form.ts";
import { type Command, commandOf, type Mode } from "./keys.ts";
import {
  asBefore,
  type ListState,
  marked,
  movedTo,
  type NameOf,
  scrolled,
  topOf,
  UNREAD,
  wanted,
  withListing,
} from "./list.ts";
import type {
  Answer,
  ChangeTerms,
  DeletedKind,
  FromStore,
  HistoryItem,
  Intent,
  MemberItem,
  PoolDetail,
  PoolItem,
  Preview,
  Question,
  RuleItem,
  ServiceItem,
} from "./messages.ts";
import { helpLines, type NodeItem, questionLines, siteLines, textLines } from "./reading.ts";
import {
  assignForm,
  checkForm,
  createPoolForm,
  drainForm,
  explainForm,
  memberForm,
  poolForm,
  reasonForm,
  renamePoolForm,
  ruleForm,
  serviceForm,
} from "./screens/forms.ts";

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

/** What happens. */
export type Event =
  | Input
  | { readonly kind: "resized"; readonly columns: number; readonly rows: number }
  | { readonly kind: "store"; readonly message: FromStore }
  | { readonly kind: "server"; readonly change: Partial<ServerState> }
  | { readonly kind: "happened"; readonly words: readonly string[] }
  | { readonly kind: "explained"; readonly title: string; readonly lines: readonly string[] };

/** What is to be done outside. */
export type Effect =
  | { readonly kind: "ask"; readonly number: number; readonly question: Question }
  | { readonly kind: "explain"; readonly name: string; readonly type: string; readonly client: string }
  | { readonly kind: "suspend" }
  | { readonly kind: "redraw" }
  | { readonly kind: "quit" };

/** The next state, and what is to be done. */
export type Step = readonly [State, readonly Effect[]];

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

/** What an event makes of a state; the very same state where it makes nothing of it. */
export function update(state: State, event: Event): Step {
  switch (event.kind) {
    case "key":
      return asking(onKey(state, event.key), state);
    case "paste":
      return asking(typedInto(state, event.text), state);
    case "resized": {
      const size = { columns: event.columns, rows: event.rows };
      const height = listHeight({ size });
      const lists = {
        pools: scrolled(state.pools, height),
        services: scrolled(state.services, height),
        history: scrolled(state.history, height),
      };
      return asking([{ ...state, ...lists, size }, [{ kind: "redraw" }]], state);
    }
    case "store":
      return asking(onStore(state, event.message), state);
    case "server": {
      const next = { ...state, server: { ...state.server, ...event.change } };
      // What is believed of members is read again once it is known that a node keeps it up to date.
      return next.server.state === state.server.state ? [next, []] : refreshed(next);
    }
    case "happened": {
      const events = [...state.server.events, ...event.words].slice(-EVENTS_MAX);
      const next = { ...state, server: { ...state.server, events } };
      return refreshed(next);
    }
    case "explained":
      return [
        over({ ...state, notice: null }, { kind: "text", title: event.title, lines: event.lines, top: 0 }),
        [],
      ];
  }
}

/** Adds questions for rows that came to the screen and aren't here. */
function asking([state, effects]: Step, before: State): Step {
  if (!state.isOpen) return [state, effects];
  let step: Step = [state, effects];
  const height = listHeight(state);
  const isOther = state.tab !== before.tab;
  if (state.tab === "pools" && (isOther || state.pools !== before.pools)) {
    step = askFor(step, "pools", wanted(state.pools, height, poolName));
  } else if (state.tab === "services" && (isOther || state.services !== before.services)) {
    step = askFor(step, "services", wanted(state.services, height, serviceName));
  } else if (state.tab === "history" && (isOther || state.history !== before.history)) {
    step = askFor(step, "history", wanted(state.history, height, historyName));
  }
  const overlay = state.overlays.at(-1);
  if (overlay?.kind === "picker" && overlay !== before.overlays.at(-1)) {
    step = askFor(step, "choices", wanted(overlay.list, overlayHeight(state), choiceName));
  }
  return step;
}

const poolName: NameOf<PoolItem> = ({ name }) => name;
const serviceName: NameOf<ServiceItem> = ({ domain }) => domain;
const historyName: NameOf<HistoryItem> = ({ generation }) => String(generation);
const choiceName: NameOf<ListedPool> = (pool) => pool === NO_POOL ? null : pool.name;

function askFor(
  step: Step,
  kind: "pools" | "services" | "history" | "choices",
  request: ListingRequest | null,
): Step {
  return request === null ? step : ask(step, { kind, request });
}

function ask([state, effects]: Step, question: Question): Step {
  return [{ ...state, next: state.next + 1 }, [...effects, { kind: "ask", number: state.next, question }]];
}

/** Reads again what is on the screen, with the mark where it is. */
function refreshed(state: State): Step {
  if (!state.isOpen) return [state, []];
  // No more than is nearly in sight: with members flapping this is read every second.
  const height = listHeight(state);
  let step: Step = [state, []];
  if (state.tab === "services") {
    step = askFor(step, "services", asBefore(state.services, height, serviceName));
  } else if (state.tab === "history") {
    step = askFor(step, "history", asBefore(state.history, height, historyName));
  } else if (state.tab === "pools" && state.pool === null) {
    step = askFor(step, "pools", asBefore(state.pools, height, poolName));
  }
  if (state.pool !== null) step = ask(step, { kind: "pool", id: state.pool.id });
  return step;
}

// What comes from the database

function onStore(state: State, message: FromStore): Step {
  switch (message.kind) {
    case "opened": {
      const text = message.isNew
        ? `${state.path} is new and empty: c creates a pool`
        : `This is ${state.path}`;
      const notice: Notice = { text, tone: "plain" };
      return refreshed({ ...state, isOpen: true, generation: message.generation, notice });
    }
    case "waiting":
      return [state.asked === null ? state : { ...state, asked: { ...state.asked, isWaiting: true } }, []];
    case "changed": {
      const notice: Notice | null = message.isReplaced
        ? {
          text: "Another database lies there now: all was read again, and nothing here can be undone",
          tone: "plain",
        }
        : state.fault === null
        ? state.notice
        : null;
      const undoable = message.isReplaced ? null : state.undoable;
      return refreshed({ ...state, generation: message.generation, fault: null, notice, undoable });
    }
    case "fault":
      return [{ ...state, fault: message.message }, []];
    case "answer":
      return onAnswer(state, message);
  }
}

function onAnswer(
  state: State,
  { number, answer }: { readonly number: number; readonly answer: Answer },
): Step {
  const height = listHeight(state);
  switch (answer.kind) {
    case "pools": {
      const id = marked(state.pools)?.id ?? null;
      const marks = id === null ? null : (item: PoolItem) => item.id === id;
      return [{ ...state, pools: withListing(state.pools, answer, { height, marks }) }, []];
    }
    case "services": {
      const id = marked(state.services)?.id ?? null;
      const marks = id === null ? null : (item: ServiceItem) => item.id === id;
      return [{ ...state, services: withListing(state.services, answer, { height, marks }) }, []];
    }
    case "history": {
      // Who looks at the newest one goes on to do so.
      const at = state.history.cursor === 0 ? null : marked(state.history)?.generation ?? null;
      const marks = at === null ? null : (item: HistoryItem) => item.generation === at;
      return [{ ...state, history: withListing(state.history, answer, { height, marks }) }, []];
    }
    case "generation": {
      const overlay = state.overlays.at(-1);
      if (overlay?.kind !== "loading" || overlay.id !== String(answer.generation)) return [state, []];
      const title = `Generation ${answer.generation}`;
      return [over(closed(state), { kind: "text", title, lines: answer.lines, top: 0 }), []];
    }
    case "choices":
      return [
        onTop(state, (overlay) => {
          if (overlay.kind !== "picker") return overlay;
          return {
            ...overlay,
            list: withListing(overlay.list, withNone(answer), { height: overlayHeight(state), marks: null }),
          };
        }),
        [],
      ];
    case "pool":
      return onPool(state, answer.id, answer.pool);
    case "service":
      return onService(state, answer);
    default:
      if (state.asked?.number === number) return onChanged(state, state.asked, answer);
      return [answer.kind === "failed" ? unread(state, answer.message) : state, []];
  }
}

/** What can't be read is waited for no longer. */
function unread(state: State, text: string): State {
  const rest = state.overlays.at(-1)?.kind === "loading" ? closed(state) : state;
  return { ...rest, notice: { text, tone: "bad" } };
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

function withNone(answer: Extract<Answer, { kind: "choices" }>): Extract<Answer, { kind: "choices" }> {
  if (answer.filter !== "") return answer;
  const { total, offset, rows, generation } = answer.listing;
  const listing = offset === 0
    ? { total: total + 1, offset, rows: [NO_POOL, ...rows], generation }
    : { total: total + 1, offset: offset + 1, rows, generation };
  return { ...answer, listing };
}

function onPool(state: State, id: string, detail: PoolDetail | null): Step {
  const overlay = state.overlays.at(-1);
  if (overlay?.kind === "loading" && overlay.form === "settings" && overlay.id === id) {
    if (detail !== null) return [over(closed(state), { kind: "form", form: poolForm(detail) }), []];
    return refreshed(missing(closed(state), "The pool is gone: it was deleted meanwhile"));
  }
  if (state.pool?.id !== id) return [state, []];
  if (detail === null) {
    const notice: Notice = { text: `Pool ${state.pool.name} is gone: it was deleted meanwhile`, tone: "bad" };
    return refreshed({ ...state, pool: null, notice });
  }
  const { detail: before } = state.pool;
  const cursors = {
    ...state.pool.cursors,
    members: markedStill(state.pool.cursors.members, before?.members ?? [], detail.members),
    rules: markedStill(state.pool.cursors.rules, before?.rules ?? [], detail.rules),
  };
  return [{ ...state, pool: { ...state.pool, name: detail.pool.name, detail, cursors } }, []];
}

/** Where the row is by now that was marked; of one that is gone, where it was. */
function markedStill<Row extends { readonly id: string }>(
  cursor: number,
  before: readonly Row[],
  rows: readonly Row[],
): number {
  const id = before[cursor]?.id;
  const found = id === undefined ? -1 : rows.findIndex((row) => row.id === id);
  return found >= 0 ? found : Math.max(0, Math.min(cursor, rows.length - 1));
}

function onService(state: State, { id, service }: Extract<Answer, { kind: "service" }>): Step {
  const overlay = state.overlays.at(-1);
  if (overlay?.kind !== "loading" || overlay.id !== id) return [state, []];
  if (service === null) {
    return refreshed(missing(closed(state), "The service is gone: it was deleted meanwhile"));
  }
  if (overlay.form === "service") {
    return [over(closed(state), { kind: "form", form: serviceForm(service) }), []];
  }
  return picking(over(closed(state), { kind: "form", form: assignForm(service) }));
}

function onChanged(state: State, asked: Asked, answer: Answer): Step {
  const quiet = { ...state, asked: null };
  switch (answer.kind) {
    case "preview":
      return [previewed(quiet, answer.preview), []];
    case "done": {
      const notice: Notice = answer.changed
        ? {
          text: `Saved as generation ${answer.generation}${
            asked.intent.kind === "undo" ? "" : " (u undoes it)"
          }`,
          tone: "good",
        }
        : { text: "Nothing was changed: it is as it was", tone: "plain" };
      const undoable = !answer.changed
        ? state.undoable
        : asked.intent.kind === "undo"
        ? null
        : answer.generation;
      return refreshed({ ...quiet, overlays: [], generation: answer.generation, notice, undoable });
    }
    case "failed":
      return [{
        ...quiet,
        overlays: state.overlays.filter(({ kind }) => kind !== "confirm"),
        notice: { text: answer.message, tone: "bad" },
      }, []];
    case "refused":
      return refused(quiet, asked, answer);
    default:
      return [quiet, []];
  }
}

function previewed(state: State, preview: Preview): State {
  return onTop(state, (overlay) => overlay.kind === "confirm" ? { ...overlay, preview } : overlay);
}

/** The form stays, with what was typed; without one, a notice says it. */
function refused(state: State, { intent }: Asked, answer: Extract<Answer, { kind: "refused" }>): Step {
  const { problems, guards, since } = answer;
  if (answer.refusal === "guarded") {
    const preview = { changed: true, lines: [], guards };
    const rest = state.overlays.at(-1)?.kind === "confirm" ? closed(state) : state;
    return [over(rest, { ...question("A guard refuses this. Do it all the same?", intent), preview }), []];
  }
  const messages = since === null ? problems : [
    {
      pointer: "",
      message: `It was ${since}; what you typed is kept: leave with Esc, open it again and compare`,
    },
  ];
  const overlays = state.overlays.filter(({ kind }) => kind !== "confirm");
  const kept = { ...state, overlays };
  const top = overlays.at(-1);
  if (top?.kind === "form") {
    return [onTop(kept, () => ({ kind: "form", form: withProblems(top.form, messages) })), []];
  }
  const step = refreshed({
    ...kept,
    notice: { text: messages.map(({ message }) => message).join("; "), tone: "bad" },
  });
  return step;
}

// What comes from the keyboard

function onKey(state: State, key: string): Step {
  const mode = modeOf(state);
  const command = commandOf(mode, key);
  if (command === null) return isCharacter(key) ? typedInto(state, key) : [state, []];
  if (command === "quit") return [state, [{ kind: "quit" }]];
  if (command === "suspend") return [state, [{ kind: "suspend" }]];
  if (command === "redraw") return [state, [{ kind: "redraw" }]];
  if (command === "help") return [over(state, { kind: "help", of: mode, top: 0 }), []];
  const overlay = state.overlays.at(-1);
  if (mode === "filter") return onFilterKey(state, command);
  switch (overlay?.kind) {
    case "form":
      return onFormKey(state, overlay.form, command);
    case "picker":
      return onPickerKey(state, overlay, command);
    case "confirm":
      return onConfirmKey(state, overlay, command);
    case "text":
      return onTextKey(state, overlay, command, textLines(overlay.lines, state.size.columns).length);
    case "help":
      return onTextKey(state, overlay, command, helpLines(overlay.of).length);
    case "loading":
      return [command === "back" ? closed(state) : state, []];
  }
  const general = onTabKey(state, command);
  if (general !== null) return general;
  if (state.tab === "services") return onServicesKey(state, command);
  if (state.tab === "history") return onHistoryKey(state, command);
  if (state.tab === "site") return onSiteKey(state, command);
  return state.pool === null ? onPoolsKey(state, command) : onPoolKey(state, state.pool, command);
}

function isCharacter(key: string): boolean {
  return [...key].length === 1;
}

/** Text goes into a form or a filter, and nowhere else. */
function typedInto(state: State, text: string): Step {
  const overlay = state.overlays.at(-1);
  if (overlay?.kind === "form") {
    if (isAsking(state)) return [state, []];
    const form = typed(overlay.form, text);
    return [form === overlay.form ? state : onTop(state, () => ({ kind: "form", form })), []];
  }
  if (modeOf(state) !== "filter") return [state, []];
  return [filtered(state, (filter) => (filter + text).slice(0, FILTER_MAX)), []];
}

/** A domain has no more characters. */
const FILTER_MAX = 255;

/** Whether the form in front waits for an answer. */
function isAsking(state: State): boolean {
  return state.asked !== null;
}

function onTabKey(state: State, command: Command): Step | null {
  switch (command) {
    case "nextTab":
    case "previousTab": {
      const by = command === "nextTab" ? 1 : TAB_NAMES.length - 1;
      const tab = TAB_NAMES[(TAB_NAMES.indexOf(state.tab) + by) % TAB_NAMES.length]!;
      return refreshed({ ...state, tab, notice: null });
    }
    case "undo": {
      if (state.tab === "history") return null;
      if (state.undoable === null) {
        return [
          missing(state, "Nothing was saved here that could be undone; History undoes what others saved"),
          [],
        ];
      }
      return undoing(state, state.undoable);
    }
    default:
      return null;
  }
}

function onFilterKey(state: State, command: Command): Step {
  const withFilter = (isFiltering: boolean, next: State): State =>
    state.overlays.at(-1)?.kind === "picker"
      ? onTop(next, (overlay) => overlay.kind === "picker" ? { ...overlay, isFiltering } : overlay)
      : { ...next, isFiltering };
  switch (command) {
    case "save":
      return [withFilter(false, state), []];
    case "back":
      return [withFilter(false, filtered(state, () => "")), []];
    case "clear":
      return [filtered(state, () => ""), []];
    case "eraseBack":
      return [filtered(state, (filter) => [...filter].slice(0, -1).join("")), []];
    default:
      return [state, []];
  }
}

function filtered(state: State, change: (filter: string) => string): State {
  const refilter = <Item>(list: ListState<Item>): ListState<Item> => {
    const filter = change(list.filter);
    return filter === list.filter ? list : { ...list, filter, cursor: 0, top: 0, isRead: false };
  };
  const overlay = state.overlays.at(-1);
  if (overlay?.kind === "picker") return onTop(state, () => ({ ...overlay, list: refilter(overlay.list) }));
  if (state.tab === "services") return { ...state, services: refilter(state.services) };
  if (state.tab === "history") return { ...state, history: refilter(state.history) };
  return { ...state, pools: refilter(state.pools) };
}

/** Where a command moves the mark of a list; `null` = it doesn't. */
function moved(
  cursor: number,
  command: Command,
  { count, height }: { readonly count: number; readonly height: number },
) {
  const to: Partial<Record<Command, number>> = {
    up: cursor - 1,
    down: cursor + 1,
    pageUp: cursor - height,
    pageDown: cursor + height,
    first: 0,
    last: count - 1,
  };
  const found = to[command];
  return found === undefined ? null : Math.max(0, Math.min(found, count - 1));
}

/** Where a command scrolls a text to, of which the last screen is full; `null` = it doesn't. */
function read(
  top: number,
  command: Command,
  { count, height }: { readonly count: number; readonly height: number },
): number | null {
  const to = moved(top, command, { count, height });
  return to === null ? null : Math.min(to, Math.max(0, count - height));
}

function onPoolsKey(state: State, command: Command): Step {
  const { pools } = state;
  const height = listHeight(state);
  const cursor = moved(pools.cursor, command, { count: pools.total, height });
  if (cursor !== null) return [{ ...state, pools: movedTo(pools, cursor, height) }, []];
  if (command === "filter") return [{ ...state, isFiltering: true }, []];
  if (command === "create") return [over(state, { kind: "form", form: createPoolForm() }), []];
  const pool = marked(pools);
  if (pool === null) return [missing(state, "There is no pool here: c creates one"), []];
  switch (command) {
    case "open": {
      const atTop = { members: 0, check: 0, rules: 0 };
      const opened: OpenPool = {
        ...{ id: pool.id, name: pool.name, part: "members", detail: null, cursors: atTop, tops: atTop },
      };
      return ask([{ ...state, pool: opened, notice: null }, []], { kind: "pool", id: pool.id });
    }
    case "rename":
      return [over(state, { kind: "form", form: renamePoolForm(pool) }), []];
    case "settings":
      return ask([over(state, { kind: "loading", form: "settings", id: pool.id }), []], {
        kind: "pool",
        id: pool.id,
      });
    case "drain":
      return [over(state, { kind: "form", form: drainForm(`pool:${pool.id}`, `pool ${pool.name}`) }), []];
    case "delete":
      return deleting(state, "pool", { ...pool, called: `pool ${pool.name}` });
    default:
      return [state, []];
  }
}

function onPoolKey(state: State, pool: OpenPool, command: Command): Step {
  const { part, detail } = pool;
  if (command === "back") return refreshed({ ...state, pool: null, notice: null });
  const at = PART_NAMES.indexOf(part);
  const parts: Partial<Record<Command, Part>> = {
    members: "members",
    check: "check",
    rules: "rules",
    left: PART_NAMES[(at + 2) % 3]!,
    right: PART_NAMES[(at + 1) % 3]!,
  };
  const next = parts[command];
  if (next !== undefined) return [{ ...state, pool: { ...pool, part: next }, notice: null }, []];
  if (detail === null) return [state, []];
  if (part === "check") return onCheckKey(state, detail, command);
  const items = part === "members" ? detail.members : detail.rules;
  const height = listHeight(state);
  const cursor = moved(pool.cursors[part], command, { count: items.length, height });
  if (cursor !== null) {
    const top = topOf({ cursor, top: pool.tops[part], total: items.length }, height);
    const cursors = { ...pool.cursors, [part]: cursor };
    return [{ ...state, pool: { ...pool, cursors, tops: { ...pool.tops, [part]: top } } }, []];
  }
  return part === "members"
    ? onMembersKey(state, detail, detail.members[pool.cursors.members] ?? null, command)
    : onRulesKey(state, detail, detail.rules[pool.cursors.rules] ?? null, command);
}

function onMembersKey(state: State, detail: PoolDetail, member: MemberItem | null, command: Command): Step {
  const { pool } = detail;
  if (command === "create") return [over(state, { kind: "form", form: memberForm(pool, null) }), []];
  if (member === null) return [missing(state, "The pool has no member: c adds one"), []];
  const called = `${member.ipAddress ?? member.target}:${member.port}`;
  switch (command) {
    case "open":
      return [over(state, { kind: "form", form: memberForm(pool, member) }), []];
    case "drain":
      return [
        over(state, { kind: "form", form: drainForm(`member:${member.id}`, `${called} of ${pool.name}`) }),
        [],
      ];
    case "delete":
      return deleting(state, "member", { ...member, called: `member ${called} of ${pool.name}` });
    default:
      return [state, []];
  }
}

function onCheckKey(state: State, { pool, check }: PoolDetail, command: Command): Step {
  if (command === "open") {
    const form = checkForm(pool, check);
    if (form !== null) return [over(state, { kind: "form", form }), []];
    return [missing(state, `A calculated check is written in files: "pleiades config export" shows it`), []];
  }
  if (command !== "delete") return [state, []];
  if (check === null) return [missing(state, "The pool has no health check: Enter sets one"), []];
  return deleting(state, "healthCheck", {
    id: pool.id,
    revision: check.revision,
    called: `the health check of ${pool.name}`,
  });
}

function onRulesKey(state: State, detail: PoolDetail, rule: RuleItem | null, command: Command): Step {
  if (command === "create") {
    if (detail.members.length === 0) {
      return [missing(state, "A rule leads to a member: add one first (1, then c)"), []];
    }
    return [over(state, { kind: "form", form: ruleForm(detail, null) }), []];
  }
  if (rule === null) return [missing(state, "The pool has no geo rule: c adds one"), []];
  switch (command) {
    case "open":
      return [over(state, { kind: "form", form: ruleForm(detail, rule) }), []];
    case "delete": {
      const match = rule.cidr ?? rule.country ?? rule.continent ?? `AS${rule.asn}`;
      return deleting(state, "geoRule", {
        ...rule,
        called: `the geo rule for ${match} of ${detail.pool.name}`,
      });
    }
    default:
      return [state, []];
  }
}

function onServicesKey(state: State, command: Command): Step {
  const { services } = state;
  const height = listHeight(state);
  const cursor = moved(services.cursor, command, { count: services.total, height });
  if (cursor !== null) return [{ ...state, services: movedTo(services, cursor, height) }, []];
  if (command === "filter") return [{ ...state, isFiltering: true }, []];
  if (command === "create") return [over(state, { kind: "form", form: serviceForm(null) }), []];
  const service = marked(services);
  if (command === "explain") return explaining(state, service?.domain ?? "");
  if (service === null) return [missing(state, "There is no service here: c creates one"), []];
  switch (command) {
    case "open":
    case "assign": {
      const { id } = service;
      const form = command === "open" ? "service" : "assign";
      return ask([over(state, { kind: "loading", form, id }), []], { kind: "service", id });
    }
    case "drain":
      if (service.poolId === null) {
        return [missing(state, `${service.domain} has no pool to drain: p gives it one`), []];
      }
      return [
        over(state, { kind: "form", form: drainForm(`pool:${service.poolId}`, `pool ${service.pool}`) }),
        [],
      ];
    case "delete":
      return deleting(state, "service", { ...service, called: `service ${service.domain}` });
    default:
      return [state, []];
  }
}

function onHistoryKey(state: State, command: Command): Step {
  const { history } = state;
  const height = listHeight(state);
  const cursor = moved(history.cursor, command, { count: history.total, height });
  if (cursor !== null) return [{ ...state, history: movedTo(history, cursor, height) }, []];
  if (command === "filter") return [{ ...state, isFiltering: true }, []];
  const entry = marked(history);
  if (entry === null) return [missing(state, "There is no change here yet"), []];
  const { generation } = entry;
  switch (command) {
    case "open": {
      const loading = over(state, { kind: "loading", form: "generation", id: String(generation) });
      return ask([loading, []], { kind: "generation", generation });
    }
    case "undo":
      return undoing(state, generation);
    default:
      return [state, []];
  }
}

function onSiteKey(state: State, command: Command): Step {
  if (command === "explain") return explaining(state, "");
  const top = read(state.siteTop, command, { count: linesOfSite(state).length, height: listHeight(state) });
  return [top === null ? state : { ...state, siteTop: top }, []];
}

function explaining(state: State, domain: string): Step {
  if (state.server.state === "connected") {
    return [over(state, { kind: "form", form: explainForm(domain) }), []];
  }
  return [
    missing(
      state,
      `An answer is explained by a running node: ${state.server.message || "none is connected yet"}`,
    ),
    [],
  ];
}

function onFormKey(state: State, form: Form, command: Command): Step {
  if (isAsking(state)) return [state, []];
  if (command === "back") {
    if (!form.isTouched) return [closed(state), []];
    const preview = { changed: true, lines: ["What was typed isn't saved."], guards: [] };
    return [over(state, { ...question("Leave without saving?", "leave"), preview }), []];
  }
  if (command === "toggle" && focused(form).kind === "pool") return picking(state);
  if (command === "save") return submitted(state, form);
  const next = edited(form, command);
  return [next === form ? state : onTop(state, () => ({ kind: "form", form: next })), []];
}

function submitted(state: State, form: Form): Step {
  const values = valuesOf(form);
  const { subject } = form;
  if (subject.kind === "explain") {
    const { name, type, client } = values;
    return [missing(closed(state), "Asking the node …"), [{
      kind: "explain",
      name: String(name),
      type: String(type),
      client: String(client),
    }]];
  }
  if (subject.kind === "force") {
    const reason = String(values["reason"]);
    if (reason === "") {
      const form = state.overlays.at(-1);
      if (form?.kind !== "form") return [state, []];
      const problems = [{ pointer: "/reason", message: "A reason is required: the history keeps it" }];
      return [onTop(state, () => ({ kind: "form", form: withProblems(form.form, problems) })), []];
    }
    return change(state, subject.intent, { isPreview: false, force: true, reason });
  }
  const intent: Intent = { ...subject, values };
  if (intent.kind === "drain") {
    return confirming(state, `${form.title}? In the end:`, intent);
  }
  return change(state, intent, { isPreview: false, force: false, reason: "" });
}

function picking(state: State): Step {
  return [over(state, { kind: "picker", list: UNREAD, isFiltering: false }), []];
}

function onPickerKey(state: State, overlay: Extract<Overlay, { kind: "picker" }>, command: Command): Step {
  const height = overlayHeight(state);
  const cursor = moved(overlay.list.cursor, command, { count: overlay.list.total, height });
  if (cursor !== null) {
    return [onTop(state, () => ({ ...overlay, list: movedTo(overlay.list, cursor, height) })), []];
  }
  switch (command) {
    case "filter":
      return [onTop(state, () => ({ ...overlay, isFiltering: true })), []];
    case "back":
      return [closed(state), []];
    case "open": {
      const pool = marked(overlay.list);
      const form = state.overlays.at(-2);
      if (pool === null || form?.kind !== "form") return [state, []];
      const picked = pool === NO_POOL ? { id: null, name: "" } : pool;
      return [onTop(closed(state), () => ({ kind: "form", form: withPool(form.form, picked) })), []];
    }
    default:
      return [state, []];
  }
}

function onConfirmKey(state: State, overlay: Confirmation, command: Command): Step {
  switch (command) {
    case "no":
      return [declined(state), []];
    case "left":
    case "right":
      return [onTop(state, () => ({ ...overlay, isYes: command === "right" })), []];
    case "yes":
      return confirmed(state, overlay);
    case "open":
      return overlay.isYes ? confirmed(state, overlay) : [declined(state), []];
    default: {
      const count = questionLines(overlay.preview, state.size.columns).length;
      const top = read(overlay.top, command, { count, height: questionHeight(state) });
      return [top === null || top === overlay.top ? state : onTop(state, () => ({ ...overlay, top })), []];
    }
  }
}

/** A preview that comes later on is of no use any more. */
function declined(state: State): State {
  const { asked } = state;
  return { ...closed(state), asked: asked?.terms.isPreview ? null : asked };
}

function confirmed(state: State, { yes, preview }: Confirmation): Step {
  if (yes === "leave") return [closed(closed(state)), []];
  // What isn't shown yet can't be agreed to.
  if (preview === null || isAsking(state)) return [state, []];
  if (preview.guards.length > 0) return [over(closed(state), { kind: "form", form: reasonForm(yes) }), []];
  return change(state, yes, { isPreview: false, force: false, reason: "" });
}

function onTextKey(
  state: State,
  overlay: Extract<Overlay, { kind: "text" | "help" }>,
  command: Command,
  count: number,
): Step {
  if (command === "back") return [closed(state), []];
  const top = read(overlay.top, command, { count, height: listHeight(state) });
  return [top === null ? state : onTop(state, () => ({ ...overlay, top })), []];
}

// Steps that several screens take

function question(title: string, yes: Confirmation["yes"]): Confirmation {
  return { kind: "confirm", title, preview: null, yes, isYes: false, top: 0 };
}

/** Asks, and has worked out beforehand what it would do. */
function confirming(state: State, title: string, intent: Intent): Step {
  return change(over(state, question(title, intent)), intent, { isPreview: true, force: false, reason: "" });
}

function undoing(state: State, generation: number): Step {
  return confirming(state, `Undo generation ${generation}?`, { kind: "undo", generation });
}

function deleting(
  state: State,
  what: DeletedKind,
  { id, revision, called }: { readonly id: string; readonly revision: number; readonly called: string },
): Step {
  return confirming(state, `Delete ${called}?`, { kind: "delete", what, id, revision });
}

function change(state: State, intent: Intent, terms: ChangeTerms): Step {
  const asked = { number: state.next, intent, terms, isWaiting: false };
  return ask([{ ...state, asked, notice: null }, []], { kind: "change", intent, terms });
}

function over(state: State, overlay: Overlay): State {
  return { ...state, overlays: [...state.overlays, overlay] };
}

function closed(state: State): State {
  return { ...state, overlays: state.overlays.slice(0, -1) };
}

function onTop(state: State, change: (overlay: Overlay) => Overlay): State {
  const top = state.overlays.at(-1);
  return top === undefined ? state : { ...state, overlays: [...state.overlays.slice(0, -1), change(top)] };
}

function missing(state: State, text: string): State {
  return { ...state, notice: { text, tone: "plain" } };
}
