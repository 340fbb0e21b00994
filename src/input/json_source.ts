/**
 * Reading JSON of people and programs strictly, with the place of every value: a key twice, a trailing comma or a byte order
 * mark is an error that says where (RFC 8259).
 *
 * @module
 */
import type { Position } from "./yaml_source.ts";

/** A value, and where it begins. */
export interface JsonNode {
  /** Characters before it. */
  readonly at: number;
  /** Text, number, truth or `null` as they are; lists and objects of nodes. */
  readonly value: string | number | boolean | null | readonly JsonNode[] | ReadonlyMap<string, JsonNode>;
}

/** What is wrong with a text, and where. */
export class JsonFault extends SyntaxError {
  /** Characters before the place. */
  readonly at: number;

  /** At this place. */
  constructor(at: number, message: string) {
    super(message);
    this.at = at;
  }
}

/** Deeper values are taken for a mistake. */
const DEPTH_MAX = 32;
/** Within so many lists and objects each element is a step. */
const STEPS_DEPTH = 2;

/**
 * Reads a text, and yields after each element of the outer lists and objects.
 *
 * @throws {JsonFault} when it isn't JSON
 */
export function* parseJson(text: string): Generator<void, JsonNode> {
  const reader = new Reader(text);
  const node = yield* reader.value(0);
  reader.end();
  return node;
}

/** Lines and columns of places in a text, both from 1; places that come in order cost what one does. */
export class Positions {
  readonly #text: string;
  #line = 1;
  #lineAt = 0;

  /** Of this text. */
  constructor(text: string) {
    this.#text = text;
  }

  /** Of a place. */
  of(at: number): Position {
    if (at < this.#lineAt) {
      this.#line = 1;
      this.#lineAt = 0;
    }
    for (;;) {
      const end = this.#text.indexOf("\n", this.#lineAt);
      if (end < 0 || end >= at) return { line: this.#line, column: at - this.#lineAt + 1 };
      this.#line++;
      this.#lineAt = end + 1;
    }
  }
}

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
    if (text.startsWith("\ufeff")) throw new JsonFault(0, "there is a byte order mark; save it without");
  }

  *value(depth: number): Generator<void, JsonNode> {
    this.#space();
    if (!this.#isNested) return this.#plain();
    const at = this.#at;
    if (depth > DEPTH_MAX) throw new JsonFault(at, `values are nested more than ${DEPTH_MAX} deep`);
    return { at, value: this.#text[at] === "{" ? yield* this.#object(depth) : yield* this.#list(depth) };
  }

  /** Whether a list or an object begins here. */
  get #isNested(): boolean {
    const next = this.#text[this.#at];
    return next === "{" || next === "[";
  }

  #plain(): JsonNode {
    const at = this.#at;
    return { at, value: this.#text[at] === '"' ? this.#string() : this.#word() };
  }

  end(): void {
    this.#space();
    if (this.#at < this.#text.length) throw this.#unexpected("the end");
  }

  *#object(depth: number): Generator<void, Map<string, JsonNode>> {
    const entries = new Map<string, JsonNode>();
    this.#at++;
    this.#space();
    if (this.#takes("}")) return entries;
    do {
      this.#space();
      const at = this.#at;
      if (this.#text[at] !== '"') throw this.#unexpected('a key in "quotes"');
      const key = this.#string();
      if (entries.has(key)) throw new JsonFault(at, `the key ${JSON.stringify(key)} is there twice`);
      this.#space();
      if (!this.#takes(":")) throw this.#unexpected('":"');
      this.#space();
      // Without a generator for each: most values are texts and numbers.
      entries.set(key, this.#isNested ? yield* this.value(depth + 1) : this.#plain());
      this.#space();
      if (depth < STEPS_DEPTH) yield;
    } while (this.#takes(","));
    if (!this.#takes("}")) throw this.#unexpected('"," or "}"');
    return entries;
  }

  *#list(depth: number): Generator<void, JsonNode[]> {
    const elements: JsonNode[] = [];
    this.#at++;
    this.#space();
    if (this.#takes("]")) return elements;
    do {
      elements.push(yield* this.value(depth + 1));
      this.#space();
      if (depth < STEPS_DEPTH) yield;
    } while (this.#takes(","));
    if (!this.#takes("]")) throw this.#unexpected('"," or "]"');
    return elements;
  }

  #string(): string {
    STRING.lastIndex = this.#at;
    const [literal] = STRING.exec(this.#text) ?? [];
    if (literal === undefined) {
      throw new JsonFault(this.#at, "the text isn't ended by a quote (\") on its line");
    }
    try {
      const text: string = JSON.parse(literal);
      this.#at += literal.length;
      return text;
    } catch (cause) {
      if (!(cause instanceof SyntaxError)) throw cause;
      throw new JsonFault(this.#at, "the text has an escape that JSON doesn't have");
    }
  }

  #word(): number | boolean | null {
    WORD.lastIndex = this.#at;
    const [word] = WORD.exec(this.#text) ?? [];
    if (word === undefined) throw this.#unexpected("a value");
    this.#at += word.length;
    if (word === "null") return null;
    return word === "true" || (word !== "false" && Number(word));
  }

  #space(): void {
    SPACE.lastIndex = this.#at;
    SPACE.exec(this.#text);
    this.#at = SPACE.lastIndex;
  }

  #takes(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #unexpected(expected: string): JsonFault {
    const found = this.#text[this.#at];
    return new JsonFault(
      this.#at,
      `${expected} must be here, ${
        found === undefined ? "the file ends" : `there is ${JSON.stringify(found)}`
      }`,
    );
  }
}

const SPACE = /[ \t\r\n]*/y;
const STRING = /"(?:[^"\\\p{Cc}]|\\.)*"/yu;
const WORD = /(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.])/y;
