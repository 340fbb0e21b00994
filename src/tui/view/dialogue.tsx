/**
 * What lies over a screen: forms, questions, the pool picker, texts and the keys.
 *
 * @module
 */
import { Box, Text } from "ink";
import type { ReactElement } from "react";
import { charactersOf, type Field, type Form } from "../form.ts";
import { keyLabel, KEYS, type Mode } from "../keys.ts";
import { type Confirmation, listHeight, type Overlay, overlayHeight, type State } from "../model.ts";
import { cut, fit, harmless, widthOf, wrapped } from "../screen_text.ts";
import { choiceColumns } from "./columns.ts";
import { Line } from "./line.tsx";
import { Lines, List } from "./list.tsx";

/** An overlay, in the room of a list. */
export function Dialogue(
  { state, overlay }: { readonly state: State; readonly overlay: Overlay },
): ReactElement {
  const width = state.size.columns;
  const height = listHeight(state);
  switch (overlay.kind) {
    case "form":
      return <FormView form={overlay.form} width={width} height={height} />;
    case "confirm":
      return <Question overlay={overlay} width={width} height={height} />;
    case "picker": {
      const { list, isFiltering } = overlay;
      const filter = isFiltering
        ? `  filter: ${harmless(list.filter)}▏`
        : list.filter === ""
        ? ""
        : `  filter: ${harmless(list.filter)}`;
      return (
        <Box flexDirection="column">
          <List
            title={` Choose a pool${filter}`}
            list={list}
            columns={choiceColumns()}
            width={width}
            height={overlayHeight(state)}
            empty="No pool matches"
          />
          {Array.from(
            { length: height - overlayHeight(state) },
            (_, i) => <Line key={i} width={width} text="" />,
          )}
        </Box>
      );
    }
    case "text": {
      const lines = overlay.lines.flatMap((line) =>
        wrapped(harmless(line), width - 2).map((part) => ` ${part}`)
      );
      return (
        <Lines
          title={` ${harmless(overlay.title)}`}
          lines={lines.slice(overlay.top)}
          width={width}
          height={height}
        />
      );
    }
    case "loading":
      return <Lines title=" reading …" lines={[]} width={width} height={height} />;
    case "help":
      return (
        <Lines title=" Keys" lines={helpLines(overlay.of).slice(overlay.top)} width={width} height={height} />
      );
  }
}

/** The keys of a mode, a line for each thing that they do. */
export function helpLines(mode: Mode): string[] {
  return KEYS[mode].map(({ keys, does }) => `  ${fit(keys.map(keyLabel).join(" "), 16)}  ${does}`);
}

/** Cells of the labels. */
const LABEL_WIDTH = 24;

function FormView(
  { form, width, height }: { readonly form: Form; readonly width: number; readonly height: number },
): ReactElement {
  const intro = form.intro.flatMap((line) => wrapped(line, width - 4)).map((text) => ({
    text: `  ${text}`,
    field: null,
  }));
  const general = form.problems.filter(({ field }) => field === "")
    .flatMap(({ message }) => wrapped(`! ${harmless(message)}`, width - 4)).map((text) => ({
      text: `  ${text}`,
      field: null,
    }));
  const rows = form.fields.flatMap((field, i) => [
    { text: "", field: i },
    ...form.problems.filter((problem) => problem.field === field.name)
      .flatMap(({ message }) => wrapped(`! ${harmless(message)}`, width - LABEL_WIDTH - 6))
      .map((text) => ({ text: `${" ".repeat(LABEL_WIDTH + 4)}${text}`, field: null })),
  ]);
  const all = [...intro, ...general, { text: "", field: null }, ...rows];
  // The field in focus is on the screen, however many there are.
  const at = all.findIndex(({ field }) => field === form.focus);
  const from = Math.max(0, Math.min(at - (height >> 1), all.length - height));
  const shown = all.slice(from, from + height);
  return (
    <Box flexDirection="column">
      <Line width={width} text={` ${harmless(form.title)}`} bold />
      <Line width={width} text="" />
      {Array.from({ length: height }, (_, i) => {
        const row = shown[i];
        if (row === undefined) return <Line key={i} width={width} text="" />;
        if (row.field === null) {
          return (
            <Line key={i} width={width} text={row.text} {...row.text.includes("! ") && { tone: "bad" }} />
          );
        }
        return (
          <FieldLine
            key={i}
            field={form.fields[row.field]!}
            isFocused={row.field === form.focus}
            cursor={form.cursor}
            width={width}
          />
        );
      })}
    </Box>
  );
}

function FieldLine(
  { field, isFocused, cursor, width }: {
    readonly field: Field;
    readonly isFocused: boolean;
    readonly cursor: number;
    readonly width: number;
  },
): ReactElement {
  const label = `${isFocused ? ">" : " "} ${fit(field.label, LABEL_WIDTH)}  `;
  const room = width - widthOf(label) - 1;
  if (field.kind !== "text" || !isFocused) {
    return <Line width={width} text={`${label}${cut(shownValue(field), room)}`} bold={isFocused} />;
  }
  const { before, under, after } = aroundCursor(field.value, { cursor, room });
  const used = widthOf(before) + widthOf(under) + widthOf(after);
  const hint = after === "" && field.hint ? cut(`   ${field.hint}`, room - used) : "";
  return (
    <Text wrap="truncate">
      <Text bold>{label}</Text>
      {before}
      <Text inverse>{under}</Text>
      {after}
      <Text dimColor>{hint}</Text>
    </Text>
  );
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

function Question(
  { overlay, width, height }: {
    readonly overlay: Confirmation;
    readonly width: number;
    readonly height: number;
  },
): ReactElement {
  const { preview, isYes, title } = overlay;
  const guards = (preview?.guards ?? []).map(({ guard, message }) => `! ${message} [${guard}]`);
  const said = preview === null ? ["working out what it would do …"] : preview.lines;
  // What speaks against it comes first, and isn't cut.
  const lines = [...guards.length > 0 ? ["A guard would refuse this:", ...guards, ""] : [], ...said]
    .flatMap((line) => wrapped(harmless(line), width - 4)).map((line) => `  ${line}`);
  const room = height - 2;
  const shown = lines.length <= room
    ? lines
    : [...lines.slice(0, room - 1), `  and ${lines.length - room + 1} more lines`];
  return (
    <Box flexDirection="column">
      <Line width={width} text={` ${harmless(title)}`} bold />
      <Line width={width} text="" />
      {Array.from(
        { length: room },
        (_, i) => (
          <Line
            key={i}
            width={width}
            text={shown[i] ?? ""}
            {...shown[i]?.startsWith("  ! ") && { tone: "bad" }}
          />
        ),
      )}
      <Line width={width} text="" />
      <Text wrap="truncate">
        {"  "}
        <Text inverse={!isYes} bold={!isYes}>{isYes ? "  No  " : "[ No ]"}</Text>{"  "}
        <Text inverse={isYes} bold={isYes}>{isYes ? "[ Yes ]" : "  Yes  "}</Text>
      </Text>
    </Box>
  );
}
