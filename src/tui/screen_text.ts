/**
 * Text as it may stand on the screen. Names come out of a database that anything may have written to: what would steer the
 * terminal, turn the direction of text round or take no room is shown as its code point.
 *
 * @module
 */
import stringWidth from "string-width";

/** Text that steers nothing: `\x1b[2J` becomes `‹1b›[2J`. */
export function harmless(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu,
    (each) => `‹${each.codePointAt(0)!.toString(16)}›`,
  );
}

/** Cells that a text takes on the screen: a wide character takes two, a combining one none. */
export function widthOf(text: string): number {
  return PLAIN.test(text) ? text.length : stringWidth(text);
}

/** Most text is plain, and measuring it must cost nothing. */
const PLAIN = /^[\x20-\x7e]*$/;

/** Text of exactly so many cells: cut with `…`, or filled with spaces. */
export function fit(text: string, width: number): string {
  const shown = cut(text, width);
  return shown + " ".repeat(Math.max(0, width - widthOf(shown)));
}

/** Text of at most so many cells. */
export function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  if (width <= 0) return "";
  let shown = "";
  let used = 0;
  for (const { segment } of SEGMENTER.segment(text)) {
    used += widthOf(segment);
    if (used > width - 1) break;
    shown += segment;
  }
  return `${shown}…`;
}

const SEGMENTER = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** Text in lines of at most so many cells, broken at spaces where there are some. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (widthOf(longer) <= width) line = longer;
    else {
      if (line !== "") lines.push(line);
      line = word;
      while (widthOf(line) > width) {
        const head = cut(line, width).slice(0, -1) || line.slice(0, 1);
        lines.push(head);
        line = line.slice(head.length);
      }
    }
  }
  return [...lines, line];
}
