/**
 * A state as lines for a terminal. Ink paints them: only those that it hasn't painted lately, since laying out and painting a
 * whole large screen takes longer than a person's next key.
 *
 * @module
 */
import chalk from "chalk";
import { Box, renderToString, Text } from "ink";
import type { State } from "../state.ts";
import type { Line, Span } from "./line.ts";
import { screenLines } from "./screen.ts";

/** Painted lines that are kept: some screens of the largest terminals. */
const PAINTED_MAX = 1_000;

const COLOURS = { good: "green", bad: "red", warn: "yellow" } as const;

/** By what is to be painted; the one that was painted first is the first to go. */
const painted = new Map<string, string>();

/**
 * The lines of a frame, as many as the terminal has, with colours unless it shall have none. Marks, weight and underlines are
 * there in either case.
 */
export function frameOf(state: State, { colour }: { readonly colour: boolean }): string[] {
  const lines = screenLines(state).slice(0, state.size.rows);
  const keys = lines.map((line) => JSON.stringify(line));
  paint(new Map(keys.flatMap((key, i) => painted.has(key) ? [] : [[key, lines[i]!]])), state.size.columns);
  const shown = keys.map((key) => painted.get(key) ?? "");
  while (painted.size > PAINTED_MAX) painted.delete(painted.keys().next().value!);
  return [
    ...colour ? shown : shown.map((line) => line.replaceAll(COLOUR, "")),
    ...Array.from({ length: state.size.rows - lines.length }, () => ""),
  ];
}

function paint(lines: ReadonlyMap<string, Line>, columns: number): void {
  if (lines.size === 0) return;
  // Chalk, by which Ink paints, would look at stdout, which is none of its business here.
  chalk.level = 1;
  const text = renderToString(
    <Box flexDirection="column">
      {[...lines].map(([key, line]) => (
        <Text key={key} wrap="truncate">{line.map((span, i) => <Painted key={i} span={span} />)}</Text>
      ))}
    </Box>,
    { columns },
  ).split("\n");
  for (const [i, key] of [...lines.keys()].entries()) painted.set(key, text[i] ?? "");
}

function Painted({ span: { text, tone = "plain", inverse = false, bold = false, dim = false } }: {
  readonly span: Span;
}) {
  return (
    <Text {...tone !== "plain" && { color: COLOURS[tone] }} inverse={inverse} bold={bold} dimColor={dim}>
      {text}
    </Text>
  );
}

/** SGR of the sixteen colours and of the way back from them (ECMA-48 §8.3.117). */
const COLOUR = new RegExp(String.raw`\x1b\[(?:3[0-79]|4[0-79]|9[0-7]|10[0-7])m`, "g");
