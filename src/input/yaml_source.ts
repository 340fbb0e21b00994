/**
 * A YAML (or JSON) file as a value whose every part can be traced back to its line and column.
 *
 * Positions are looked up only when there is something to complain about: a walk over the document's nodes per
 * problem, nothing per value, so that large files without faults cost no more than parsing.
 *
 * Reading takes a time that grows with the text and nothing else, whatever the text is. The YAML library compares each
 * alias with each anchor, and each key of a mapping with each other: so the first two are few, or refused while the text
 * is cut into words, and equal keys are found here.
 *
 * @module
 */
import {
  type Alias,
  Composer,
  type CST,
  type Document,
  isAlias,
  isCollection,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  Parser,
} from "yaml";
import type { z } from "zod";
import { UNKNOWN_KEYS_MAX, UNKNOWN_KEYS_SEPARATOR } from "./strict_object.ts";

/** Something wrong at a place of a file. */
export interface FileProblem {
  /** As the operator named it, or what stands in its place: `PLEIADES_DNS_PORT`, `--api`. */
  readonly file: string;
  /** From 1; 0 = the whole of it. */
  readonly line: number;
  /** From 1, in UTF-16 code units; 0 = the whole line or file. */
  readonly column: number;
  /** What is wrong, with the value, and the fix. */
  readonly message: string;
}

/** Where something stands. */
export interface Position {
  /** From 1; 0 = nowhere in particular. */
  readonly line: number;
  /** From 1; 0 = the whole line. */
  readonly column: number;
}

/** The way from the root of a document to one of its parts. */
export type Path = readonly PropertyKey[];

/** A document that can tell where its parts stand. */
export interface Source {
  /** As problems name it. */
  readonly file: string;
  /** The position of the value at the path, or of its nearest ancestor; of the key itself when `at` says so. */
  locate(path: Path, at?: "key" | "value"): Position;
}

/** A parsed document: plain JavaScript values and the way back to the text. */
export interface YamlSource extends Source {
  /** `null` when the document has nothing but comments. */
  readonly value: unknown;
  /**
   * The position of a place inside a text value, given by its own line and column (both from 1); `null` where
   * the text isn't a block (`|`), since then its lines aren't lines of the file.
   */
  locateInText(path: Path, inner: Position): Position | null;
}

/** Largest YAML file that is read: some 10 s of parsing at 2–3 MB/s. Bulk data goes as NDJSON. */
export const YAML_SIZE_MAX = 32 * 1024 * 1024;

/** What became of a text. */
export interface YamlReading {
  /** `null` when the text can't be read as YAML at all. */
  readonly source: YamlSource | null;
  /** In the order of their finding. */
  readonly problems: readonly FileProblem[];
}

/** Where problems of a whole file stand. */
const START: Position = { line: 1, column: 1 };

/** Most anchors and aliases of a file together: each alias is compared with all of them. */
const MARKS_MAX = 1_000;

/** Most values that come from behind aliases: a bomb has millions, a thousand members with the same defaults 10,000. */
const REPEATED_MAX = 100_000;

/** Most problems of one object that get a place each. */
const ISSUES_MAX = 1_000;

/** `file:line:column: message`, as editors and CI logs understand it. */
export function formatProblem({ file, line, column, message }: FileProblem): string {
  const place = [file, ...[line, column].filter((part) => part > 0)].join(":");
  return `${place}: ${message}`;
}

/** The order in which problems are printed: by file, line, column. */
function compareProblems(a: FileProblem, b: FileProblem): number {
  return compareText(a.file, b.file) || a.line - b.line || a.column - b.column ||
    compareText(a.message, b.message);
}

/** Problems in printing order, each once. */
export function sortProblems(problems: readonly FileProblem[]): FileProblem[] {
  return problems.toSorted(compareProblems).filter((problem, i, sorted) =>
    i === 0 || compareProblems(sorted[i - 1]!, problem) !== 0
  );
}

/** Orders by code units, the same on every machine. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * Reads one YAML document.
 *
 * @param file the name that problems carry
 */
export function readYaml(file: string, bytes: Uint8Array): YamlReading {
  const decoded = decodeText(file, bytes);
  if ("problem" in decoded) return { source: null, problems: [decoded.problem] };
  return parseYaml(file, decoded.text);
}

/** The bytes as text without byte-order mark, or why they are none. */
export function decodeText(
  file: string,
  bytes: Uint8Array,
): { readonly text: string } | { readonly problem: FileProblem } {
  const refuse = (message: string, at: Position = START) => ({
    problem: { file, ...at, message },
  });
  if (bytes.length > YAML_SIZE_MAX) {
    return refuse(
      `the file has ${bytes.length} bytes, at most ${YAML_SIZE_MAX} are read (split it, or write bulk data as NDJSON)`,
    );
  }
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)) {
    return refuse("the file is UTF-16 (save it as UTF-8)");
  }
  const binary = binaryAt(bytes);
  if (binary >= 0) {
    const hex = bytes[binary]!.toString(16).padStart(2, "0");
    return refuse(
      `byte 0x${hex} doesn't belong in text (is this a binary file?)`,
      bytePosition(bytes, binary),
    );
  }
  try {
    return { text: UTF_8.decode(bytes) };
  } catch {
    return refuse("the file is not UTF-8 (save it as UTF-8)", bytePosition(bytes, invalidUtf8At(bytes)));
  }
}

/** Like {@linkcode readYaml}, from text that is already decoded. */
export function parseYaml(file: string, text: string): YamlReading {
  if (text.trim() === "") {
    const message = "the file is empty (write a setting or a model, or delete it)";
    return { source: null, problems: [{ file, ...START, message }] };
  }
  const lines = new LineCounter();
  try {
    const document = documentOf(text, lines);
    const parsed = { document, lines };
    const syntax = syntaxProblem(file, parsed);
    if (syntax) return { source: null, problems: [syntax] };
    const walk = new Walk();
    walk.take(document.contents);
    const value: unknown = document.toJS({ maxAliasCount: -1 });
    const problems = walk.repeatedKeys.map((key) => problemAt(file, { lines, node: key, message: TWICE }));
    return {
      source: new DocumentSource({ file, text, ...parsed, value, anchored: walk.anchored }),
      problems,
    };
  } catch (cause) {
    if (!(cause instanceof Fault)) throw cause;
    const { line, col } = lines.linePos(cause.offset);
    return { source: null, problems: [{ file, line, column: col, message: cause.message }] };
  }
}

/** Something for which a text is given up at once. */
class Fault extends Error {
  /** @param offset of the text, where it stands */
  constructor(message: string, readonly offset: number) {
    super(message);
  }
}

function documentOf(text: string, lines: LineCounter): Document.Parsed {
  const composer = new Composer({ lineCounter: lines, uniqueKeys: false, logLevel: "error" });
  let document: Document.Parsed | undefined;
  for (
    const next of composer.compose(new MarkCountingParser(lines.addNewLine).parse(text), true, text.length)
  ) {
    if (document) throw new Fault(SYNTAX_MESSAGES["MULTIPLE_DOCS"]!, next.range[0]);
    document = next;
  }
  return document!;
}

/** Counts anchors and aliases while the text is cut into words, before anything is made of them. */
class MarkCountingParser extends Parser {
  #marks = 0;
  #isText = false;

  override next(word: string): Generator<CST.Token, void> {
    const isMark = !this.#isText && (word[0] === "&" || word[0] === "*");
    this.#isText = word === TEXT_FOLLOWS;
    if (isMark && ++this.#marks > MARKS_MAX) {
      throw new Fault(
        `more than ${MARKS_MAX} anchors (&) and aliases (*) are in the file (write the values out, or write bulk data as NDJSON)`,
        this.offset,
      );
    }
    return super.next(word);
  }
}

/** What the library's lexer says before the words of a plain or block scalar. */
const TEXT_FOLLOWS = "\x1f";

/** One walk over a document, before values are made of it. */
class Walk {
  /** Keys that their mapping has already. */
  readonly repeatedKeys: Node[] = [];
  /** What each alias stands for. */
  readonly anchored = new Map<Alias, Node>();
  /** By name; the last so far. */
  readonly #anchors = new Map<string, { readonly node: Node; size: number | null }>();
  #repeated = 0;

  /** @returns how many values the node has, those behind aliases included */
  take(node: unknown): number {
    if (isAlias(node)) return this.#takeAlias(node);
    if (!isCollection(node)) {
      if (isScalar(node) && node.anchor) this.#anchors.set(node.anchor, { node, size: 1 });
      return 1;
    }
    const anchor = { node, size: null as number | null };
    if (node.anchor) this.#anchors.set(node.anchor, anchor);
    let size = 1;
    const keys = new Set<unknown>();
    for (const item of node.items) {
      if (!isPair(item)) {
        size += this.take(item);
        continue;
      }
      size += this.take(item.key) + this.take(item.value);
      const key = isScalar(item.key) ? item.key.value : item.key;
      if (!keys.has(key)) keys.add(key);
      else if (isNode(item.key)) this.repeatedKeys.push(item.key);
    }
    return anchor.size = size;
  }

  #takeAlias(alias: Alias): number {
    const anchor = this.#anchors.get(alias.source);
    const offset = alias.range?.[0] ?? 0;
    if (!anchor) {
      throw new Fault(`this alias names no anchor (define it above with "&", or quote the value)`, offset);
    }
    if (anchor.size === null) {
      throw new Fault(`this alias is inside of what it names (write the value out)`, offset);
    }
    this.#repeated += anchor.size;
    if (this.#repeated > REPEATED_MAX) {
      throw new Fault(`aliases repeat more than ${REPEATED_MAX} values (write the values out)`, offset);
    }
    this.anchored.set(alias, anchor.node);
    return anchor.size;
  }
}

/** What a schema found, each issue at its place in the file; of very many the first ones. */
export function schemaProblems(
  source: Source,
  { issues, path = [] }: { readonly issues: readonly z.core.$ZodIssue[]; readonly path?: Path },
): FileProblem[] {
  const problems: FileProblem[] = [];
  let unseen = 0;
  const add = (here: Path, message: string, at?: "key") => {
    if (problems.length === ISSUES_MAX) unseen++;
    else problems.push({ file: source.file, ...source.locate(here, at), message });
  };
  for (const issue of issues) {
    const here = [...path, ...issue.path];
    if (issue.code !== "unrecognized_keys") {
      add(here, issue.message);
      continue;
    }
    // The sentence of each key names it in JSON quotes; so keys that hold the separator don't matter.
    const keys = issue.keys.slice(0, UNKNOWN_KEYS_MAX);
    const sentences = splitSentences(issue.message, keys.length);
    for (const [i, key] of keys.entries()) add([...here, key], sentences[i] ?? issue.message, "key");
    unseen += issue.keys.length - keys.length;
  }
  if (unseen === 0) return problems;
  const message = `${unseen} further problems in here aren't shown (fix the others first)`;
  return [...problems, { file: source.file, ...source.locate(path), message }];
}

interface Parsed {
  readonly document: Document;
  readonly lines: LineCounter;
}

class DocumentSource implements YamlSource {
  readonly file: string;
  readonly value: unknown;
  readonly #text: string;
  readonly #parsed: Parsed;
  readonly #anchored: ReadonlyMap<Alias, Node>;

  constructor(
    parts: Parsed & {
      readonly file: string;
      readonly text: string;
      readonly value: unknown;
      readonly anchored: ReadonlyMap<Alias, Node>;
    },
  ) {
    this.file = parts.file;
    this.value = parts.value;
    this.#text = parts.text;
    this.#parsed = parts;
    this.#anchored = parts.anchored;
  }

  locate(path: Path, at: "key" | "value" = "value"): Position {
    return this.#position(this.#find(path, at));
  }

  locateInText(path: Path, inner: Position): Position | null {
    const node = this.#find(path, "value");
    if (!isScalar(node) || node.type !== "BLOCK_LITERAL") return null;
    const line = this.#parsed.lines.linePos(node.range?.[0] ?? 0).line + inner.line;
    const inFile = lineAt(this.#text, line);
    const inValue = lineAt(String(node.value), inner.line);
    return { line, column: Math.max(0, inFile.length - inValue.length) + inner.column };
  }

  #position(node: Node | null): Position {
    const { line, col } = this.#parsed.lines.linePos(node?.range?.[0] ?? 0);
    return { line, column: col };
  }

  /** The node at the path; where the path leads nowhere, the last one on it. */
  #find(path: Path, at: "key" | "value"): Node | null {
    let node: Node | null = this.#parsed.document.contents;
    for (const [i, step] of path.entries()) {
      const parent = isAlias(node) ? this.#anchored.get(node) : node;
      if (isMap(parent)) {
        const pair = parent.items.find(({ key }) => keyText(key) === String(step));
        if (!pair) return node;
        const wantsKey = at === "key" && i === path.length - 1;
        const next = wantsKey || pair.value === null ? pair.key : pair.value;
        if (isNode(next)) node = next;
      } else if (isSeq(parent)) {
        const item = parent.items[Number(step)];
        if (!isNode(item)) return node;
        node = item;
      } else return node;
    }
    return node;
  }
}

/** A line of a text, counted from 1, without its line feed; empty behind the end. */
function lineAt(text: string, line: number): string {
  return text.split(/\r?\n/, line)[line - 1] ?? "";
}

function keyText(key: unknown): string {
  return isScalar(key) ? String(key.value) : String(key);
}

/** One syntax error drags others behind it, so only the first counts. */
function syntaxProblem(file: string, { document, lines }: Parsed): FileProblem | null {
  const [error] = [...document.errors, ...document.warnings];
  if (!error) return null;
  const { line, col } = lines.linePos(error.pos[0]);
  return { file, line, column: col, message: SYNTAX_MESSAGES[error.code] ?? `YAML: ${error.message}` };
}

function problemAt(
  file: string,
  { lines, node, message }: { readonly lines: LineCounter; readonly node: Node; readonly message: string },
): FileProblem {
  const { line, col } = lines.linePos(node.range?.[0] ?? 0);
  return { file, line, column: col, message };
}

const TWICE = "this key is given twice in the same mapping (delete one of them)";

/** The library's errors where ours can say what to do about them. */
const SYNTAX_MESSAGES: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: "a tab indents this line (YAML allows spaces only)",
  MULTIPLE_DOCS: `a second YAML document begins here (delete "---" or "...", or split the file)`,
  TAG_RESOLVE_FAILED: "tags such as !include aren't supported (write the value itself)",
  MISSING_CHAR: "a quote, bracket or brace that was opened above isn't closed (close it)",
  BAD_INDENT:
    "this line isn't indented as what it belongs to, or a bracket above isn't closed (align it, or close it)",
  BAD_ALIAS: `"*" and "&" begin aliases and anchors (quote the value)`,
  BAD_SCALAR_START: "a value can't begin with this character (quote the value)",
  UNEXPECTED_TOKEN: "this doesn't belong here (is a key, a colon or a dash missing above?)",
  MULTILINE_IMPLICIT_KEY: "a key must be on one line (is a colon missing?)",
  BLOCK_AS_IMPLICIT_KEY:
    `a second ": " on this line, or a wrong indentation (quote the value, or align the keys)`,
};

function splitSentences(message: string, count: number): readonly string[] {
  const sentences = message.split(new RegExp(`${UNKNOWN_KEYS_SEPARATOR}(?=Unknown key ")`));
  return sentences.length === count ? sentences : [];
}

/** Kept, because decoders cost more than the short texts that they are asked for by the million. */
const UTF_8 = new TextDecoder("utf-8", { fatal: true });

/** Where a byte is that no text has; −1 = nowhere. A plain loop: every byte of bulk data passes here. */
function binaryAt(bytes: Uint8Array): number {
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i]! < 0x20 && !TEXT_CONTROLS.has(bytes[i]!)) return i;
  }
  return -1;
}

/** Tab, line feed, form feed and carriage return, as YAML and zone files have them. */
const TEXT_CONTROLS: ReadonlySet<number> = new Set([0x09, 0x0a, 0x0c, 0x0d]);

function bytePosition(bytes: Uint8Array, offset: number): Position {
  const before = bytes.subarray(0, offset);
  const lineStart = before.lastIndexOf(0x0a) + 1;
  const line = before.reduce((count, byte) => count + (byte === 0x0a ? 1 : 0), 1);
  return { line, column: new TextDecoder().decode(before.subarray(lineStart)).length + 1 };
}

/** The first byte that no valid UTF-8 could continue with; found by halving, since decoding is fast. */
function invalidUtf8At(bytes: Uint8Array): number {
  let [valid, invalid] = [0, bytes.length];
  while (invalid - valid > 1) {
    const middle = (valid + invalid) >> 1;
    if (isUtf8Prefix(bytes.subarray(0, middle))) valid = middle;
    else invalid = middle;
  }
  return valid;
}

function isUtf8Prefix(bytes: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}
