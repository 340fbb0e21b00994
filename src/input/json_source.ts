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

/**
 * Reads a text.
 *
 * @throws {JsonFault} when it isn't JSON
 */
export function parseJson(text: string): JsonNode {
  const reader = new Reader(text);
  const node = reader.value(0);
  reader.end();
  return node;
}

/** Line and column of a place, both from 1. */
export function positionIn(text: string, at: number): Position {
  const before = text.slice(0, at);
  const line = before.split("\n").length;
  return { line, column: at - before.lastIndexOf("\n") };
}

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
    if (text.startsWith("\ufeff")) throw new JsonFault(0, "there is a byte order mark; save it without");
  }

  value(depth: number): JsonNode {
    this.#space();
    const at = this.#at;
    const next = this.#text[at];
    if (depth > DEPTH_MAX) throw new JsonFault(at, `values are nested more than ${DEPTH_MAX} deep`);
    if (next === "{") return { at, value: this.#object(depth) };
    if (next === "[") return { at, value: this.#list(depth) };
    if (next === '"') return { at, value: this.#string() };
    return { at, value: this.#word() };
  }

  end(): void {
    this.#space();
    if (this.#at < this.#text.length) throw this.#unexpected("the end");
  }

  #object(depth: number): Map<string, JsonNode> {
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
      entries.set(key, this.value(depth + 1));
      this.#space();
    } while (this.#takes(","));
    if (!this.#takes("}")) throw this.#unexpected('"," or "}"');
    return entries;
  }

  #list(depth: number): JsonNode[] {
    const elements: JsonNode[] = [];
    this.#at++;
    this.#space();
    if (this.#takes("]")) return elements;
    do {
      elements.push(this.value(depth + 1));
      this.#space();
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
