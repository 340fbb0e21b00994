/**
 * Steps that several screens take: what is asked of the database, what lies over a screen, where a mark moves.
 *
 * @module
 */
import type { ListedPool, ListingRequest } from "../store/listing.ts";
import type { Command } from "./keys.ts";
import { asBefore, type NameOf, UNREAD, wanted } from "./list.ts";
import type {
  ChangeTerms,
  DeletedKind,
  HistoryItem,
  Intent,
  PoolItem,
  Question,
  ServiceItem,
} from "./messages.ts";
import { type Confirmation, listHeight, NO_POOL, type Overlay, overlayHeight, type State } from "./state.ts";

/** What is to be done outside. */
export type Effect =
  | { readonly kind: "ask"; readonly number: number; readonly question: Question }
  | { readonly kind: "explain"; readonly name: string; readonly type: string; readonly client: string }
  | { readonly kind: "suspend" }
  | { readonly kind: "redraw" }
  | { readonly kind: "quit" };

/** The next state, and what is to be done. */
export type Step = readonly [State, readonly Effect[]];

/** Adds questions for rows that came to the screen and aren't here. */
export function asking([state, effects]: Step, before: State): Step {
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

/** Asks the database something. */
export function ask([state, effects]: Step, question: Question): Step {
  return [{ ...state, next: state.next + 1 }, [...effects, { kind: "ask", number: state.next, question }]];
}

/** Reads again what is on the screen, with the mark where it is. */
export function refreshed(state: State): Step {
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

/** With something more over the screen. */
export function over(state: State, overlay: Overlay): State {
  return { ...state, overlays: [...state.overlays, overlay] };
}

/** Without what lies on top. */
export function closed(state: State): State {
  return { ...state, overlays: state.overlays.slice(0, -1) };
}

/** With something else in the place of what lies on top. */
export function onTop(state: State, change: (overlay: Overlay) => Overlay): State {
  const top = state.overlays.at(-1);
  return top === undefined ? state : { ...state, overlays: [...state.overlays.slice(0, -1), change(top)] };
}

/** With a word about why nothing happens. */
export function missing(state: State, text: string): State {
  return { ...state, notice: { text, tone: "plain" } };
}

/** A question, of which No is marked, and what would be done isn't known yet. */
export function question(title: string, yes: Confirmation["yes"]): Confirmation {
  return { kind: "confirm", title, preview: null, yes, isYes: false, top: 0 };
}

/** Asks, and has worked out beforehand what it would do. */
export function confirming(state: State, title: string, intent: Intent): Step {
  return change(over(state, question(title, intent)), intent, { isPreview: true, force: false, reason: "" });
}

/** Asks whether to take a generation back. */
export function undoing(state: State, generation: number): Step {
  return confirming(state, `Undo generation ${generation}?`, { kind: "undo", generation });
}

/** Asks whether to delete something. */
export function deleting(
  state: State,
  what: DeletedKind,
  { id, revision, called }: { readonly id: string; readonly revision: number; readonly called: string },
): Step {
  return confirming(state, `Delete ${called}?`, { kind: "delete", what, id, revision });
}

/** Has a change made, or worked out. */
export function change(state: State, intent: Intent, terms: ChangeTerms): Step {
  const asked = { number: state.next, intent, terms, isWaiting: false };
  return ask([{ ...state, asked, notice: null }, []], { kind: "change", intent, terms });
}

/** Whether the form in front waits for an answer. */
export function isAsking(state: State): boolean {
  return state.asked !== null;
}

/** With the pool picker over the form. */
export function picking(state: State): Step {
  return [over(state, { kind: "picker", list: UNREAD, isFiltering: false }), []];
}

/** Where a command moves the mark of a list; `null` = it doesn't. */
export function moved(
  cursor: number,
  command: Command,
  { count, height }: { readonly count: number; readonly height: number },
): number | null {
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
export function read(
  top: number,
  command: Command,
  { count, height }: { readonly count: number; readonly height: number },
): number | null {
  const to = moved(top, command, { count, height });
  return to === null ? null : Math.min(to, Math.max(0, count - height));
}
