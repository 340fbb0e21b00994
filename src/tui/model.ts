/**
 * All of the terminal UI but its looks: what is on the screen as plain data, and what each thing that happens makes of it. Pure:
 * what is to be done outside (asking the database or the node, leaving) is handed back as effects.
 *
 * @module
 */
import { typed } from "./form.ts";
import { onStore } from "./from_store.ts";
import type { Input } from "./key_decoder.ts";
import { type Command, commandOf } from "./keys.ts";
import { type ListState, scrolled } from "./list.ts";
import type { FromStore } from "./messages.ts";
import { helpLines, textLines } from "./reading.ts";
import { onHistoryKey, onPoolsKey, onServicesKey, onSiteKey } from "./screens/lists.ts";
import { onConfirmKey, onFormKey, onPickerKey, onTextKey } from "./screens/overlays.ts";
import { onPoolKey } from "./screens/pool.ts";
import { EVENTS_MAX, listHeight, modeOf, type ServerState, type State, TAB_NAMES } from "./state.ts";
import { asking, closed, isAsking, missing, onTop, over, refreshed, type Step, undoing } from "./steps.ts";

/** What happens. */
export type Event =
  | Input
  | { readonly kind: "resized"; readonly columns: number; readonly rows: number }
  | { readonly kind: "store"; readonly message: FromStore }
  | { readonly kind: "server"; readonly change: Partial<ServerState> }
  | { readonly kind: "happened"; readonly words: readonly string[] }
  | { readonly kind: "explained"; readonly title: string; readonly lines: readonly string[] };

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
