/**
 * A state as lines for a terminal.
 *
 * @module
 */
import chalk from "chalk";
import { renderToString } from "ink";
import type { State } from "../model.ts";
import { Screen } from "./screen.tsx";

/**
 * The lines of a frame, as many as the terminal has, with colours unless it shall have none. Marks, weight and underlines are
 * there in either case.
 */
export function frameOf(state: State, { colour }: { readonly colour: boolean }): string[] {
  // Chalk, by which Ink paints, would look at stdout, which is none of its business here.
  chalk.level = 1;
  const text = renderToString(<Screen state={state} />, { columns: state.size.columns });
  const lines = (colour ? text : text.replaceAll(COLOUR, "")).split("\n").slice(0, state.size.rows);
  return [...lines, ...Array.from({ length: state.size.rows - lines.length }, () => "")];
}

/** SGR of the sixteen colours and of the way back from them (ECMA-48 §8.3.117). */
const COLOUR = new RegExp(String.raw`\x1b\[(?:3[0-79]|4[0-79]|9[0-7]|10[0-7])m`, "g");
