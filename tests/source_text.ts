/**
 * Source files as text, for tests that hold the house rules.
 *
 * @module
 */
import { AssertionError } from "node:assert/strict";

/** A piece of a source file. */
export interface Piece {
  /** As in the source: quotes and comment marks included. */
  readonly text: string;
  /** Of its first character, from 1. */
  readonly line: number;
}

/**
 * Blanks out comments and the text of string and template literals, keeping lines, so that a search finds code only.
 * What stands in a template's `${…}` is blanked with it; regular expressions are left as they are.
 */
export function codeOnly(source: string): string {
  return source.replaceAll(
    TOKENS,
    (match, regularExpression) => regularExpression === undefined ? match.replaceAll(/[^\n]/g, " ") : match,
  );
}

/** String and template literals. A template's `${…}` belongs to it. */
export function literalsOf(source: string): Piece[] {
  return piecesOf(source).filter(({ text }) => /^["'`]/.test(text));
}

/** Comments, whole: a block with all of its lines, a run of `//` lines as one. */
export function commentsOf(source: string): Piece[] {
  return piecesOf(source).filter(({ text }) => text.startsWith("/"));
}

function piecesOf(source: string): Piece[] {
  let line = 1;
  let from = 0;
  return [...source.matchAll(TOKENS)].filter(([, regularExpression]) => regularExpression === undefined)
    .map(({ 0: text, index }) => {
      line += source.slice(from, index).split("\n").length - 1;
      from = index;
      return { text, line };
    });
}

/**
 * Comments, literals, and regular expressions (the one group), which may hold quotes. A slash begins one only where a
 * value may begin; elsewhere it divides.
 */
const TOKENS = new RegExp(
  [
    /\/\*[\s\S]*?\*\//,
    /\/\/[^\n]*(?:\n[ \t]*\/\/[^\n]*)*/,
    /"(?:\\.|[^"\\\n])*"/,
    /'(?:\\.|[^'\\\n])*'/,
    // A template, with templates in its placeholders.
    /`(?:\\.|\$\{(?:[^`{}]|`(?:\\.|[^`\\])*`|\{[^{}]*\})*\}|[^`\\])*`/,
    /((?<=[=(,:!&|?{}[;>]\s*|\breturn\s+)\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/[a-z]*)/,
  ].map(({ source }) => source).join("|"),
  "g",
);

/** `file:line: text` for each line of the file that the expression finds. */
export function findings(
  { file, text }: { readonly file: string; readonly text: string },
  expression: RegExp,
): string[] {
  return text.split("\n").flatMap((line, i) =>
    expression.test(line) ? [`${file}:${i + 1}: ${line.trim()}`] : []
  );
}

/** Fails with every finding on a line of its own. */
export function none(found: readonly string[]): void {
  if (found.length > 0) throw new AssertionError({ message: `${found.length} found:\n${found.join("\n")}` });
}
