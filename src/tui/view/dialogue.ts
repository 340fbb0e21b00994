/**
 * What lies over a screen: forms, questions, the pool picker, texts and the keys.
 *
 * @module
 */
import { charactersOf, type Field, type Form } from "../form.ts";
import {
  type Confirmation,
  listHeight,
  type Overlay,
  overlayHeight,
  questionHeight,
  type State,
} from "../state.ts";
import { helpLines, questionLines, textLines } from "../reading.ts";
import { cut, fit, harmless, widthOf, wrapped } from "../screen_text.ts";
import { choiceColumns } from "./columns.ts";
import { filledTo, type Line, lineOf } from "./line.ts";
import { listLines, listTitle, placeWords, textInstead } from "./list.ts";

/** An overlay, in the room of a list. */
export function dialogueLines(state: State, overlay: Overlay): Line[] {
  const width = state.size.columns;
  const height = listHeight(state);
  switch (overlay.kind) {
    case "form":
      return formLines(overlay.form, { width, height });
    case "confirm":
      return confirmationLines(overlay, state);
    case "picker": {
      const { list, isFiltering } = overlay;
      const lines = listLines({
        title: listTitle("Choose a pool", list, isFiltering),
        list,
        columns: choiceColumns(),
        width,
        height: overlayHeight(state),
        empty: "No pool matches",
      });
      return filledTo(lines, height + 2, width);
    }
    case "text": {
      const lines = textLines(overlay.lines, width);
      return textInstead({ title: ` ${harmless(overlay.title)}`, lines, top: overlay.top, width, height });
    }
    case "loading":
      return textInstead({ title: " reading …", lines: [], width, height });
    case "help":
      return textInstead({ title: " Keys", lines: helpLines(overlay.of), top: overlay.top, width, height });
  }
}

/** Cells of the labels. */
const LABEL_WIDTH = 24;

function formLines(
  form: Form,
  { width, height }: { readonly width: number; readonly height: number },
): Line[] {
  const ofField = (field: number) => ({ field, line: fieldLine(form, field, width) });
  const ofNone = (text: string) => ({
    field: null,
    line: lineOf(text, width, text.includes("! ") ? { tone: "bad" } : {}),
  });
  const intro = form.intro.flatMap((line) => wrapped(line, width - 4)).map((text) => ofNone(`  ${text}`));
  const general = form.problems.filter(({ field }) => field === "")
    .flatMap(({ message }) => wrapped(`! ${harmless(message)}`, width - 4)).map((text) =>
      ofNone(`  ${text}`)
    );
  const rows = form.fields.flatMap((field, i) => [
    ofField(i),
    ...form.problems.filter((problem) => problem.field === field.name)
      .flatMap(({ message }) => wrapped(`! ${harmless(message)}`, width - LABEL_WIDTH - 6))
      .map((text) => ofNone(`${" ".repeat(LABEL_WIDTH + 4)}${text}`)),
  ]);
  const all = [...intro, ...general, ofNone(""), ...rows];
  // The field in focus is on the screen, however many there are.
  const at = all.findIndex(({ field }) => field === form.focus);
  const from = Math.max(0, Math.min(at - (height >> 1), all.length - height));
  return [
    lineOf(` ${harmless(form.title)}`, width, { bold: true }),
    lineOf("", width),
    ...filledTo(all.slice(from, from + height).map(({ line }) => line), height, width),
  ];
}

function fieldLine({ fields, focus, cursor }: Form, place: number, width: number): Line {
  const field = fields[place]!;
  const isFocused = place === focus;
  const label = `${isFocused ? ">" : " "} ${fit(field.label, LABEL_WIDTH)}  `;
  const room = width - widthOf(label) - 1;
  if (field.kind !== "text" || !isFocused) {
    return lineOf(`${label}${cut(shownValue(field), room)}`, width, { bold: isFocused });
  }
  const { before, under, after } = aroundCursor(field.value, { cursor, room });
  const used = widthOf(before) + widthOf(under) + widthOf(after);
  const hint = after === "" && field.hint ? cut(`   ${field.hint}`, room - used) : "";
  return [
    { text: label, bold: true },
    { text: before },
    { text: under, inverse: true },
    { text: after },
    { text: hint, dim: true },
  ].filter(({ text }) => text !== "");
}

function shownValue({ kind, value, choices = [], hint }: Field): string {
  if (kind === "choice") {
    return `‹ ${harmless(choices.find((choice) => choice.value === value)?.label ?? value)} ›`;
  }
  if (kind === "pool") {
    return `${value === "" ? "no pool: the static fallback answers" : harmless(value)}   (Space chooses)`;
  }
  return value === "" && hint ? `(${hint})` : harmless(value);
}

/** The part of a text that is shown, with its cursor; of a long one the part around the cursor. */
function aroundCursor(
  value: string,
  { cursor, room }: { readonly cursor: number; readonly room: number },
): { readonly before: string; readonly under: string; readonly after: string } {
  const characters = charactersOf(value).map(harmless);
  let from = 0;
  while (from < cursor && widthOf(characters.slice(from, cursor).join("")) > room - 2) from++;
  const before = characters.slice(from, cursor).join("");
  const under = characters[cursor] ?? " ";
  const after = cut(
    characters.slice(cursor + 1).join(""),
    Math.max(0, room - widthOf(before) - widthOf(under)),
  );
  return { before, under, after };
}

function confirmationLines(overlay: Confirmation, state: State): Line[] {
  const width = state.size.columns;
  const height = questionHeight(state);
  const { preview, isYes, title, top } = overlay;
  const lines = questionLines(preview, width);
  const place = placeWords({ top, height, count: lines.length });
  return [
    lineOf(` ${harmless(title)}`, width, { bold: true }),
    lineOf("", width),
    ...filledTo(
      lines.slice(top, top + height).map((line) =>
        lineOf(line, width, line.startsWith("  ! ") ? { tone: "bad" } : {})
      ),
      height,
      width,
    ),
    lineOf(`  ${place}`, width, { dim: true }),
    [
      { text: "  " },
      answer("No", !isYes),
      { text: "  " },
      answer("Yes", isYes),
    ],
  ];
}

function answer(text: string, isMarked: boolean): Line[number] {
  return { text: isMarked ? `[ ${text} ]` : `  ${text}  `, inverse: isMarked, bold: isMarked };
}
