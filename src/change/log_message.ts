/**
 * What the messages of the cluster's log say.
 *
 * What is large isn't in the message: it lies beside the log, named by a digest, as lines of objects (`lineOf`). Whoever takes
 * the message reads them first.
 *
 * @module
 */
import { NOUNS } from "./log_changes.ts";
import { lineOf, readLine, type RecordedChange } from "../store/history_parts.ts";
import type { LogConflict, LogEntry } from "../store/log.ts";

/** An entry as a message has it. */
export interface MessageEntry extends LogEntry {
  /** Digest of the lines that are its changes, which are empty here; `null` = they are here. */
  readonly parts: string | null;
}

/** One message of the log: entries that were published together, or a model that the log begins with. */
export interface LogMessage {
  /** Where the broker has it. */
  readonly sequence: number;
  /** The position that it follows; empty = it is the first one. */
  readonly prev: string;
  /** Of the last of its entries. */
  readonly stamp: number;
  /** In their order. */
  readonly entries: readonly MessageEntry[];
  /** `null` = it has entries. */
  readonly base: LogBase | null;
}

/** A whole model, with which a log begins whose entries before are lost. */
export interface LogBase {
  /** Of the entry that it counts as. */
  readonly id: string;
  /** The node that published it. */
  readonly node: string;
  /** The last positions that its node has taken, the last one first. */
  readonly recent: readonly string[];
  /** The position that it leads to, where the log has entries before it; `null` = that after `prev` by its id. */
  readonly position: string | null;
  /** Every object, as created. */
  readonly model: readonly RecordedChange[];
  /** Digest of the lines that are its model, which is empty here; `null` = it is here. */
  readonly parts: string | null;
}

/**
 * What a log that is taken from its begin is to a node: `ours` = the one that it followed, of which what it has isn't kept any
 * more; `another` = one that it has nothing in common with.
 */
export type Whole = "ours" | "another";

/** What became of a message. */
export type Taken =
  | { readonly kind: "taken"; readonly entries: number; readonly conflicts: readonly LogConflict[] }
  /** It doesn't follow the head: the broker has lost entries, or was given others. */
  | { readonly kind: "broken" }
  /** This node has a model of its own that isn't that of the log. */
  | { readonly kind: "foreign" }
  /** What it refers to isn't what it should be. */
  | { readonly kind: "unreadable"; readonly reason: string };

/** The digests of what messages refer to, each once. */
export function partsNamed(messages: readonly LogMessage[]): readonly string[] {
  const named = messages.flatMap(({ entries, base }) => [
    ...entries.map(({ parts }) => parts),
    base?.parts ?? null,
  ]);
  return [...new Set(named.filter((parts) => parts !== null))];
}

/** The messages with what they refer to in them. */
export function filled(
  messages: readonly LogMessage[],
  parts: ReadonlyMap<string, readonly RecordedChange[]>,
): LogMessage[] {
  return messages.map(({ entries, base, ...rest }) => ({
    ...rest,
    entries: entries.map((entry) =>
      entry.parts === null ? entry : { ...entry, changes: parts.get(entry.parts)!, parts: null }
    ),
    base: base && (base.parts === null ? base : { ...base, model: parts.get(base.parts)!, parts: null }),
  }));
}

/** Bytes of lines that are given at once. */
const CHUNK_LENGTH = 64 << 10;

/** Objects as bytes of lines. */
export function* linesOf(changes: Iterable<RecordedChange>): Generator<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder();
  let text = "";
  for (const change of changes) {
    text += lineOf(change);
    if (text.length < CHUNK_LENGTH) continue;
    yield encoder.encode(text);
    text = "";
  }
  if (text !== "") yield encoder.encode(text);
}

function expectObject(json: string): void {
  const value: unknown = JSON.parse(json);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return;
  throw new SyntaxError("what it has is no object");
}

/** Bytes of lines back to objects. */
export class LineReader {
  readonly #changes: RecordedChange[] = [];
  readonly #decoder = new TextDecoder("utf-8", { fatal: true });
  #rest = "";

  /** Takes the next bytes. @throws {Error} when a line is none of an object */
  write(bytes: Uint8Array): void {
    const lines = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split("\n");
    this.#rest = lines.pop()!;
    for (const line of lines) {
      const change = readLine(line);
      for (const json of [change.before, change.after]) if (json !== null) expectObject(json);
      if (change.kind !== "override" && !Object.hasOwn(NOUNS, change.kind)) {
        throw new SyntaxError(`"${change.kind}" is no kind of object`);
      }
      this.#changes.push(change);
    }
  }

  /** All that was written. @throws {Error} when the last line is cut off */
  end(): readonly RecordedChange[] {
    if (this.#rest + this.#decoder.decode() !== "") throw new SyntaxError("its last line is cut off");
    return this.#changes;
  }
}
