/**
 * The lexical layer of master files: text → entries of tokens, and character-strings ↔ bytes.
 *
 * An entry is a line, or several joined by parentheses. Tokens keep their escapes, because what an escape means
 * depends on who reads the token (in a name `\.` is not a dot). The scanner is one loop over the characters: it
 * never recurses and never throws; what it can't accept it reports, and goes on behind it.
 *
 * Sources: RFC 1035 §5.1; RFC 9460 appendix A for `key="value"`.
 *
 * @module
 */

/** One word of a master file. */
export interface Token {
  /** The characters with escapes as they were written; without the quotes when `kind` is `quoted`. */
  readonly text: string;
  /** `plain` · `quoted` = wholly in quotes · `mixed` = with quotes inside, as in `alpn="h2,h3"`. */
  readonly kind: "plain" | "quoted" | "mixed";
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units, as editors count. */
  readonly column: number;
  /** The column behind the token, which is always on the same line. */
  readonly endColumn: number;
}

/** What one record or directive is made of; never without a token. */
export interface Entry {
  /** In the order of the text. */
  readonly tokens: readonly Token[];
  /** Whether the first line begins with white space, which stands for the owner of the record before. */
  readonly startsBlank: boolean;
}

/** What is wrong in a zone, where, and how it is fixed. */
export interface Problem {
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units. */
  readonly column: number;
  /** What is wrong and how it is fixed; without a final stop. */
  readonly message: string;
}

/** Splits a master file into its entries; problems are handed to `report` in the order of the text. */
export function* scanEntries(text: string, report: (problem: Problem) => void): Generator<Entry> {
  const scanner = new Scanner(text, report);
  for (let entry = scanner.next(); entry !== null; entry = scanner.next()) {
    if (entry.tokens.length > 0) yield entry;
  }
}

/** Splits one line, such as the data of a record, into tokens. @throws {SyntaxError} when it can't be split */
export function scanLine(text: string): Token[] {
  const tokens: Token[] = [];
  // Behind white space, since no owner comes first here.
  for (const entry of scanEntries(` ${text}`, (problem) => fail(problem.message))) {
    tokens.push(...entry.tokens);
  }
  return tokens;
}

/**
 * The bytes of a character-string: escapes resolved, everything else as UTF-8.
 *
 * @throws {SyntaxError} for an escape that is none
 */
export function stringToBytes(text: string): Uint8Array {
  if (!text.includes("\\")) return ENCODER.encode(text);
  const parts: number[] = [];
  for (let at = 0; at < text.length;) {
    const escape = text.indexOf("\\", at);
    const plain = text.slice(at, escape < 0 ? text.length : escape);
    for (const byte of ENCODER.encode(plain)) parts.push(byte);
    if (escape < 0) break;
    const digits = text.slice(escape + 1, escape + 4);
    if (/^\d/.test(digits)) {
      if (!/^\d{3}$/.test(digits) || Number(digits) > 255) {
        fail(`"\\${digits}" is no escape; write \\DDD with three decimal digits up to 255`);
      }
      parts.push(Number(digits));
      at = escape + 4;
    } else {
      // A character beyond U+FFFF is two units; half of it would not survive.
      const char = String.fromCodePoint(text.codePointAt(escape + 1) ?? fail("it ends in a lone backslash"));
      for (const byte of ENCODER.encode(char)) parts.push(byte);
      at = escape + 1 + char.length;
    }
  }
  return Uint8Array.from(parts);
}

/** Bytes as a character-string for use inside quotes: `\"`, `\\`, and `\DDD` for all but printable ASCII. */
export function bytesToString(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += ESCAPED[byte];
  return text;
}

const ENCODER = new TextEncoder();

const ESCAPED: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  if (byte < 0x20 || byte > 0x7e) return `\\${String(byte).padStart(3, "0")}`;
  const char = String.fromCharCode(byte);
  return char === '"' || char === "\\" ? `\\${char}` : char;
});

function fail(message: string): never {
  throw new SyntaxError(message);
}

/** Where in the text the scanner is. */
interface Position {
  readonly at: number;
  readonly line: number;
  readonly lineStart: number;
}

class Scanner {
  readonly #text: string;
  readonly #report: (problem: Problem) => void;
  #at = 0;
  #line = 1;
  #lineStart = 0;
  /**
   * Set once an opened parenthesis turned out to have no end. The text behind it is then scanned a second
   * time; doing so for every such parenthesis would take quadratic time.
   */
  #resumed = false;

  constructor(text: string, report: (problem: Problem) => void) {
    this.#text = text;
    this.#report = report;
    if (!text.startsWith("\ufeff")) return;
    this.#problem(
      "the file begins with a byte-order mark, which no other server reads; save it as UTF-8 without one",
    );
    this.#at = this.#lineStart = 1;
  }

  /** The next entry, perhaps without tokens; `null` at the end of the text. */
  next(): Entry | null {
    if (this.#at >= this.#text.length) return null;
    const tokens: Token[] = [];
    const startsBlank = isBlank(this.#text[this.#at]!);
    let opened: Position | null = null;
    let depth = 0;
    while (this.#at < this.#text.length) {
      const char = this.#text[this.#at]!;
      if (char === "\n") {
        this.#newLine();
        if (depth === 0) return { tokens, startsBlank };
      } else if (isBlank(char)) this.#at++;
      else if (char === ";") this.#skipComment();
      else if (char === "(") {
        if (depth === 1) this.#problem('"(" inside of parentheses; remove it and its ")"');
        else if (depth === 0 && tokens.length === 0 && !startsBlank) {
          this.#problem(
            'a record begins with its owner, or with white space, not with "("; move the parenthesis',
          );
        }
        if (depth++ === 0) opened = this.#place();
        this.#at++;
      } else if (char === ")") {
        if (depth === 0) this.#problem('")" without a "(" before it; remove it');
        else depth--;
        this.#at++;
      } else tokens.push(char === '"' ? this.#quoted() : this.#word());
    }
    if (depth > 0) return this.#resumeBehind(opened!);
    return { tokens, startsBlank };
  }

  /** Reports the unclosed parenthesis and goes on at the next line that looks like a new record. */
  #resumeBehind(opened: Position): Entry {
    const { at, line, lineStart } = opened;
    this.#report({ line, column: at - lineStart + 1, message: '"(" is never closed; add the ")"' });
    if (this.#resumed) return NO_TOKENS;
    this.#resumed = true;
    this.#at = at;
    this.#line = line;
    this.#lineStart = lineStart;
    do {
      this.#skipComment();
      if (this.#at < this.#text.length) this.#newLine();
    } while (/^[\s;)]/.test(this.#text.slice(this.#at, this.#at + 1)));
    return NO_TOKENS;
  }

  #quoted(): Token {
    const { line, at, lineStart } = this.#place();
    const closed = this.#skipQuotes();
    const text = this.#text.slice(at + 1, closed ? this.#at - 1 : this.#at);
    return { text, kind: "quoted", line, column: at - lineStart + 1, endColumn: this.#at - lineStart + 1 };
  }

  #word(): Token {
    const { line, at, lineStart } = this.#place();
    let kind: Token["kind"] = "plain";
    while (this.#at < this.#text.length && !endsWord(this.#text[this.#at]!)) {
      const char = this.#text[this.#at]!;
      if (char === '"') {
        kind = "mixed";
        this.#skipQuotes();
      } else this.#at += this.#charSize(char);
    }
    const text = this.#text.slice(at, this.#at);
    return { text, kind, line, column: at - lineStart + 1, endColumn: this.#at - lineStart + 1 };
  }

  /** Moves from the opening quote behind the closing one, or to the end of the line and returns false. */
  #skipQuotes(): boolean {
    const start = this.#at++;
    while (this.#at < this.#text.length && this.#text[this.#at] !== "\n") {
      const char = this.#text[this.#at]!;
      this.#at += this.#charSize(char);
      if (char === '"') return true;
    }
    const column = start - this.#lineStart + 1;
    this.#report({ line: this.#line, column, message: 'the quote is never closed on this line; add the "' });
    return false;
  }

  /** 2 for an escape, 1 for all else; a backslash never swallows the end of a line. */
  #charSize(char: string): number {
    const next = this.#text[this.#at + 1];
    return char === "\\" && next !== undefined && next !== "\n" && next !== "\r" ? 2 : 1;
  }

  #skipComment(): void {
    const end = this.#text.indexOf("\n", this.#at);
    this.#at = end < 0 ? this.#text.length : end;
  }

  #newLine(): void {
    this.#lineStart = ++this.#at;
    this.#line++;
  }

  #place(): Position {
    return { at: this.#at, line: this.#line, lineStart: this.#lineStart };
  }

  #problem(message: string): void {
    this.#report({ line: this.#line, column: this.#at - this.#lineStart + 1, message });
  }
}

const NO_TOKENS: Entry = { tokens: [], startsBlank: false };

function isBlank(char: string): boolean {
  return char === " " || char === "\t" || char === "\r";
}

function endsWord(char: string): boolean {
  return char === "\n" || char === ";" || char === "(" || char === ")" || isBlank(char);
}
