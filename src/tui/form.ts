/**
 * A form: fields with what is typed into them, a cursor, and what was found wrong. Pure; nothing typed is ever thrown away but
 * by leaving the form.
 *
 * @module
 */
import type { Problem } from "../change/edit.ts";
import type { Command } from "./keys.ts";
import type { Intent, Values } from "./messages.ts";

/** A field. */
export interface Field {
  /** Its name in the model, or in `intents.ts`. */
  readonly name: string;
  /** The same for people. */
  readonly label: string;
  /** How it is filled in: typed, one of `choices`, or the pool picker. */
  readonly kind: "text" | "choice" | "pool";
  /** What it is in the model. An empty number is left out; an empty `…OrNone` is none. */
  readonly type: "text" | "textOrNone" | "number" | "numberOrNone" | "flag" | "numberOrText";
  /** What is typed, chosen, or the name of the pool. */
  readonly value: string;
  /** Of a choice. */
  readonly choices?: readonly Choice[];
  /** Id of the pool that was picked. */
  readonly poolId?: string | null;
  /** What may stand there. */
  readonly hint?: string;
}

/** One of several values. */
export interface Choice {
  /** In the model. */
  readonly value: string;
  /** For people. */
  readonly label: string;
}

/** An intent that lacks its values. */
export type WithoutValues<Kind> = Kind extends { readonly values: Values } ? Omit<Kind, "values"> : never;

/** What a form is for: an intent that lacks its values, a reason for what guards refuse, or a question to the node. */
export type FormSubject =
  | WithoutValues<Intent>
  | { readonly kind: "force"; readonly intent: Intent }
  | { readonly kind: "explain" };

/** A form on the screen. */
export interface Form {
  /** What is filled in. */
  readonly title: string;
  /** Lines above the fields. */
  readonly intro: readonly string[];
  /** What it is for. */
  readonly subject: FormSubject;
  /** In their order. */
  readonly fields: readonly Field[];
  /** Which one takes keys. */
  readonly focus: number;
  /** Place of the cursor in a text, characters. */
  readonly cursor: number;
  /** What is wrong, by field; of no field under the empty name. */
  readonly problems: readonly { readonly field: string; readonly message: string }[];
  /** Whether anything was typed. */
  readonly isTouched: boolean;
}

/** Longest text of a field: a domain has 253 characters, a path and a reason may have some more. */
const TEXT_MAX = 1_024;

/** A form with the first field in focus. */
export function formOf(
  { title, subject, fields, intro = [] }:
    & Pick<Form, "title" | "subject" | "fields">
    & Partial<Pick<Form, "intro">>,
): Form {
  const cursor = charactersOf(fields[0]?.value ?? "").length;
  return { title, intro, subject, fields, focus: 0, cursor, problems: [], isTouched: false };
}

/** The field in focus. */
export function focused(form: Form): Field {
  return form.fields[form.focus]!;
}

/** Puts text where the cursor is; a field to choose in takes none. */
export function typed(form: Form, text: string): Form {
  const field = focused(form);
  if (field.kind !== "text") return form;
  const characters = charactersOf(field.value);
  const room = TEXT_MAX - characters.length;
  const added = charactersOf(text).slice(0, Math.max(0, room));
  if (added.length === 0) return form;
  const value = [...characters.slice(0, form.cursor), ...added, ...characters.slice(form.cursor)].join("");
  return { ...withValue(form, value), cursor: form.cursor + added.length };
}

/** What a command makes of a form; the same one where it does nothing here. */
export function edited(form: Form, command: Command): Form {
  const field = focused(form);
  const characters = charactersOf(field.value);
  switch (command) {
    case "down":
      return focusOn(form, (form.focus + 1) % form.fields.length);
    case "up":
      return focusOn(form, (form.focus + form.fields.length - 1) % form.fields.length);
    case "left":
      if (field.kind === "choice") return chosen(form, -1);
      return { ...form, cursor: Math.max(0, form.cursor - 1) };
    case "right":
      if (field.kind === "choice") return chosen(form, 1);
      return { ...form, cursor: Math.min(characters.length, form.cursor + 1) };
    case "first":
      return { ...form, cursor: 0 };
    case "last":
      return { ...form, cursor: characters.length };
    case "toggle":
      return field.kind === "choice" ? chosen(form, 1) : typed(form, " ");
    case "clear":
      return field.kind === "text" ? { ...withValue(form, ""), cursor: 0 } : form;
    case "eraseBack":
      if (field.kind !== "text" || form.cursor === 0) return form;
      return {
        ...withValue(form, characters.toSpliced(form.cursor - 1, 1).join("")),
        cursor: form.cursor - 1,
      };
    case "eraseForward":
      if (field.kind !== "text" || form.cursor >= characters.length) return form;
      return withValue(form, characters.toSpliced(form.cursor, 1).join(""));
    default:
      return form;
  }
}

/** With the pool that was picked for the field in focus. */
export function withPool(form: Form, pool: { readonly id: string | null; readonly name: string }): Form {
  const fields = form.fields.map((field, i) =>
    i === form.focus ? { ...field, value: pool.name, poolId: pool.id } : field
  );
  return { ...form, fields, isTouched: true };
}

/** With what is wrong; the first field at fault is in focus. */
export function withProblems(form: Form, problems: readonly Problem[]): Form {
  const found = problems.map(({ pointer, message }) => {
    const name = pointer.split("/").filter((part) => !/^\d*$/.test(part))[0] ?? "";
    return { field: form.fields.some((field) => field.name === name) ? name : "", message };
  });
  const first = form.fields.findIndex(({ name }) => name === found[0]?.field);
  return { ...first < 0 ? form : focusOn(form, first), problems: found };
}

/** The values as they go into the model. */
export function valuesOf(form: Form): Values {
  return Object.fromEntries(form.fields.flatMap((field) => {
    const value = valueOf(field);
    return value === undefined ? [] : [[field.name, value]];
  }));
}

function valueOf({ kind, type, value, poolId }: Field): unknown {
  if (kind === "pool") return poolId ?? null;
  const text = kind === "choice" ? value : value.trim();
  switch (type) {
    case "flag":
      return text === "yes";
    case "text":
      return text;
    case "textOrNone":
      return text === "" ? null : text;
    case "numberOrText":
      return numberOr(text);
    case "number":
      return text === "" ? undefined : numberOr(text);
    case "numberOrNone":
      return text === "" ? null : numberOr(text);
  }
}

/** What is no number stays the text that it is, so that the schema says what is wrong with it. */
function numberOr(text: string): number | string {
  return /^[+-]?\d+(?:\.\d+)?$/.test(text) ? Number(text) : text;
}

function focusOn(form: Form, focus: number): Form {
  return { ...form, focus, cursor: charactersOf(form.fields[focus]!.value).length };
}

function chosen(form: Form, by: number): Form {
  const { choices = [], value } = focused(form);
  if (choices.length === 0) return form;
  const now = choices.findIndex((choice) => choice.value === value);
  return withValue(form, choices[(now + by + choices.length) % choices.length]!.value);
}

function withValue(form: Form, value: string): Form {
  const fields = form.fields.map((field, i) => i === form.focus ? { ...field, value } : field);
  return { ...form, fields, isTouched: true };
}

const SEGMENTER = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** Characters as people count them: `é` of two code points is one. */
export function charactersOf(text: string): string[] {
  return [...SEGMENTER.segment(text)].map(({ segment }) => segment);
}
