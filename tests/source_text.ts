/**
 * Source files as text, for tests that hold the house rules.
 *
 * @module
 */
import { AssertionError } from "node:assert/strict";

/**
 * Blanks out comments and the text of string and template literals, keeping lines, so that a search finds code only.
 * What stands in a template's `${…}` is blanked with it; regular expressions are left as they are.
 */
export function codeOnly(source: string): string {
  return source.replaceAll(
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`/g,
    (match) => match.replaceAll(/[^\n]/g, " "),
  );
}

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
