/**
 * What the database's answers make of a state, and what others do to the file.
 *
 * @module
 */
import { withProblems } from "./form.ts";
import { marked, withListing } from "./list.ts";
import type {
  Answer,
  FromStore,
  HistoryItem,
  PoolDetail,
  PoolItem,
  Preview,
  ServiceItem,
} from "./messages.ts";
import { assignForm, poolForm, serviceForm } from "./screens/forms.ts";
import { type Asked, listHeight, NO_POOL, type Notice, overlayHeight, type State } from "./state.ts";
import { closed, missing, onTop, over, picking, question, refreshed, type Step } from "./steps.ts";

/** What a message of the thread makes of a state. */
export function onStore(state: State, message: FromStore): Step {
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
