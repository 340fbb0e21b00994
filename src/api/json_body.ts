/**
 * The text of a JSON body, and why it isn't one.
 *
 * @module
 */
import { ApiProblem } from "./problem.ts";

/**
 * Keys that one object of a body has at most; none that the API reads may have a tenth. V8 takes a fortieth of a second for
 * 50,000 different ones, in which nothing else of the main thread runs.
 */
const KEYS_MAX = 10_000;
/** A shorter text can't have so many. */
const WIDE_LENGTH_MIN = 6 * KEYS_MAX;

/** What a text says. @throws {ApiProblem} 400 when it isn't JSON, or has an object with more than `KEYS_MAX` keys */
export function readJsonBody(text: string): unknown {
  if (text.length >= WIDE_LENGTH_MIN && hasWideObject(text)) {
    throw notRead(
      `The body has an object with more than ${KEYS_MAX.toLocaleString("en")} keys (none may have so many)`,
    );
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw notRead(
      text.trim() === "" ? "The body is empty (send a JSON object)" : `The body isn't JSON: ${reason}`,
    );
  }
}

function notRead(message: string): ApiProblem {
  return new ApiProblem(400, message, [{ pointer: "", message }]);
}

/** Counts commas outside of strings; of a text that isn't JSON it may say anything. */
function hasWideObject(text: string): boolean {
  /** Commas of each object that is open; below 0 = it is a list, which may be as long as it is. */
  const open: number[] = [];
  let commas = -Infinity;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = endOfString(text, at);
        break;
      case COMMA:
        if (++commas >= KEYS_MAX) return true;
        break;
      case OBJECT:
        open.push(commas);
        commas = 0;
        break;
      case LIST:
        open.push(commas);
        commas = -Infinity;
        break;
      case OBJECT_END:
      case LIST_END:
        commas = open.pop() ?? -Infinity;
    }
  }
  return false;
}

/** Where the string that begins at `at` ends. */
function endOfString(text: string, at: number): number {
  for (let end = text.indexOf('"', at + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let escapes = 0;
    while (text.charCodeAt(end - 1 - escapes) === ESCAPE) escapes++;
    if (escapes % 2 === 0) return end;
  }
  return text.length;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const LIST = 0x5b;
const ESCAPE = 0x5c;
const LIST_END = 0x5d;
const OBJECT = 0x7b;
const OBJECT_END = 0x7d;
