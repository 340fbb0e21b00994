/**
 * Texts for people keep to the words of the field: members, pools and clients are it or they, and what has a name there
 * has that name here. Pages, texts that the program shows, and comments are searched for words that a reader who knows
 * DNS stumbles over.
 *
 * @module
 */
import { deepEqual } from "node:assert/strict";
import { filesBelow } from "../scripts/check.ts";
import { ROOT } from "../scripts/process.ts";
import { pages } from "./docs_pages.ts";
import { commentsOf, literalsOf, none, type Piece } from "./source_text.ts";

/** What to say, and what not. A blank stands for any white space, so that a phrase is found across lines. */
const WORDS: readonly (readonly [instead: string, pattern: RegExp])[] = [
  ["fix", /mend(?:s|ed|ing)?/],
  ["the member, no client, all pools …", /(?:some|no|every)body|anybody/],
  ["which client, the member that …", /whom/],
  ["fail, go down", /turn(?:s|ed|ing)? down/],
  ["synthesized, synthetic", /made(?:-| )up/],
  ["at the start", /at the begin/],
  ["again", /anew/],
  ["rotate, in rotation", /tak(?:e|es|en|ing) turns|takes? (?:its|their) turns?/],
  ["healthy; recovers", /(?:is|are|be|been|being) well(?: again)?(?! (?:known|below|above|within))/],
  ["dry run", /rehears(?:e|es|ed|al|ing)/],
  ["for lack of", /for want of/],
];

/** Where one of these words is right, by page; each with its reason. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  // Its anchor is linked to.
  "docs/choosing.md": ["## Whom an answer is for"],
};

const SEARCHES = WORDS.map(([instead, { source }]) => ({
  instead,
  search: new RegExp(`\\b(?:${source.replaceAll(" ", "[\\s*/]+")})\\b`, "gi"),
}));

/** `file:line: "word": say this` for each of the words in the text. */
function wordsIn(file: string, { text, line }: Piece): string[] {
  const rest = (ALLOWED[file] ?? []).reduce((all, right) => all.replaceAll(right, blanked), text);
  return SEARCHES.flatMap(({ instead, search }) =>
    [...rest.matchAll(search)].map(({ 0: found, index }) =>
      `${file}:${line + rest.slice(0, index).split("\n").length - 1}: "${
        found.replaceAll(/\s+/g, " ")
      }": say "${instead}"`
    )
  );
}

const blanked = (text: string) => text.replaceAll(/[^\n]/g, " ");

/** A page without code and link targets: what is typed and printed there comes from the program. Drawings stay. */
function proseOf(file: string): Piece {
  const text = Deno.readTextFileSync(`${ROOT}/${file}`)
    .replaceAll(/^```(?!mermaid)[\s\S]*?^```$/gm, blanked)
    .replaceAll(/`[^`\n]*`|\]\([^()\s]*\)/g, blanked);
  return { text, line: 1 };
}

/** A literal without the code in its placeholders, as far as their first text. */
function shown({ text, line }: Piece): Piece {
  return { text: text.replaceAll(/\$\{[^"'`}]*/g, blanked), line };
}

const SOURCES = ["main.ts", ...await filesBelow("src")].map((file) => ({
  file,
  text: Deno.readTextFileSync(`${ROOT}/${file}`),
}));

Deno.test("wordsIn() finds words across lines and in any case, names the place, and leaves parts of words", () => {
  const text = "Nobody.\nTakes their\n * turns; amended, bodywork, well known, it is well below";
  deepEqual(wordsIn("a.md", { text, line: 7 }), [
    'a.md:7: "Nobody": say "the member, no client, all pools …"',
    'a.md:8: "Takes their * turns": say "rotate, in rotation"',
  ]);
});

Deno.test("literalsOf() and commentsOf() tell strings, templates, comments and regular expressions apart", () => {
  const source = [
    "// one",
    "// run",
    'const a = "x // y"; /* b',
    "c */ const d = `e ${f ? `g` : 'h'} i`;",
    "const j = 4 / 2, k = /[`'\"/]/.test(a); // l",
  ].join("\n");
  deepEqual(literalsOf(source), [
    { text: '"x // y"', line: 3 },
    { text: "`e ${f ? `g` : 'h'} i`", line: 4 },
  ]);
  deepEqual(commentsOf(source), [
    { text: "// one\n// run", line: 1 },
    { text: "/* b\nc */", line: 3 },
    { text: "// l", line: 5 },
  ]);
});

Deno.test("pages say it in the words of the field", async () => {
  const files = (await pages()).map(({ file }) => file);
  none(files.flatMap((file) => wordsIn(file, proseOf(file))));
});

Deno.test("what the program shows says it in the words of the field", () => {
  none(
    SOURCES.flatMap(({ file, text }) => literalsOf(text).flatMap((piece) => wordsIn(file, shown(piece)))),
  );
});

Deno.test("comments say it in the words of the field", () => {
  none(
    SOURCES.flatMap(({ file, text }) => commentsOf(text).flatMap((piece) => wordsIn(file, piece))),
  );
});
