/**
 * One line of the screen: text and how it is to be painted. Everything is fitted to its room by hand, so that a frame is as many
 * lines as the terminal has and only lines that are others now have to be painted.
 *
 * @module
 */
import { cut, fit } from "../screen_text.ts";

/** How good or bad it is; the words say so as well. */
export type Tone = "good" | "bad" | "warn" | "plain";

/** How text is painted. */
export interface Style {
  /** Its colour. */
  readonly tone?: Tone;
  /** Whether it is marked. */
  readonly inverse?: boolean;
  /** Whether it stands out. */
  readonly bold?: boolean;
  /** Whether it stands back. */
  readonly dim?: boolean;
}

/** Harmless text of one style. */
export interface Span extends Style {
  /** Without line breaks. */
  readonly text: string;
}

/** Spans from left to right; together at least a cell wide. */
export type Line = readonly Span[];

/** Text in one style, cut to the width; what is marked fills it, and elsewhere spaces at the end aren't worth sending. */
export function lineOf(text: string, width: number, style: Style = {}): Line {
  return [{ ...style, text: style.inverse ? fit(text, width) : cut(text, width).trimEnd() || " " }];
}

/** So many lines, of which the first ones are given. */
export function filledTo(lines: readonly Line[], height: number, width: number): Line[] {
  return Array.from({ length: height }, (_, i) => lines[i] ?? lineOf("", width));
}
