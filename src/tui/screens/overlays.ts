/**
 * What keys do in what lies over a screen: forms, the pool picker, questions and texts.
 *
 * @module
 */
import { edited, focused, type Form, valuesOf, withPool, withProblems } from "../form.ts";
import type { Command } from "../keys.ts";
import { marked, movedTo } from "../list.ts";
import type { Intent } from "../messages.ts";
import { questionLines } from "../reading.ts";
import {
  type Confirmation,
  listHeight,
  NO_POOL,
  type Overlay,
  overlayHeight,
  questionHeight,
  type State,
} from "../state.ts";
import {
  change,
  closed,
  confirming,
  isAsking,
  missing,
  moved,
  onTop,
  over,
  picking,
  question,
  read,
  type Step,
} from "../steps.ts";
import { reasonForm } from "./forms.ts";

/** In a form. */
export function onFormKey(state: State, form: Form, command: Command): Step {
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

/** In the pool picker. */
export function onPickerKey(
  state: State,
  overlay: Extract<Overlay, { kind: "picker" }>,
  command: Command,
): Step {
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

/** In a question. */
export function onConfirmKey(state: State, overlay: Confirmation, command: Command): Step {
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

/** In a text of so many lines. */
export function onTextKey(
  state: State,
  overlay: Extract<Overlay, { kind: "text" | "help" }>,
  command: Command,
  count: number,
): Step {
  if (command === "back") return [closed(state), []];
  const top = read(overlay.top, command, { count, height: listHeight(state) });
  return [top === null ? state : onTop(state, () => ({ ...overlay, top })), []];
}
