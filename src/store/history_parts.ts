/**
 * What a generation did to very many objects: compressed parts of lines, so that neither who writes nor who reads them
 * holds all of it.
 *
 * A line is `kind TAB id TAB before TAB after LF`: the id and the objects are JSON, in which there is neither a tab nor a
 * line feed; nothing stands for an object that wasn't, or isn't any more. A part is some whole lines, gzipped at its
 * lowest level: 100,000 changed services are 35 MB of lines and a sixth of that in parts.
 *
 * @module
 */
import { gunzipSync, gzipSync } from "node:zlib";
import type { Database } from "./database.ts";
import type { ObjectKind } from "./history.ts";

/** Bytes of lines in a part: it is unpacked in some milliseconds. */
export const PART_BYTES: number = 1 << 20;

/** What one generation did to one object; the objects are JSON. */
export interface RecordedChange {
  /** What it is. */
  readonly kind: ObjectKind;
  /** As `ObjectChange` has it. */
  readonly id: string;
  /** `null` = there was none. */
  readonly before: string | null;
  /** `null` = there is none any more. */
  readonly after: string | null;
}

/** The line of one change. */
export function lineOf({ kind, id, before, after }: RecordedChange): string {
  return `${kind}\t${JSON.stringify(id)}\t${before ?? ""}\t${after ?? ""}\n`;
}

/** Writes the parts of one generation, within its transaction. */
export class PartWriter {
  readonly #database: Database;
  readonly #generation: number;
  #lines: Uint8Array[] = [];
  #bytes = 0;
  #written = 0;

  /** Nothing is written before the first part is full. */
  constructor(database: Database, generation: number) {
    this.#database = database;
    this.#generation = generation;
  }

  /** How many parts were written. */
  get written(): number {
    return this.#written;
  }

  /** Adds whole lines in UTF-8; the bytes are the writer's from now on. */
  add(lines: Uint8Array): void {
    this.#lines.push(lines);
    this.#bytes += lines.length;
    if (this.#bytes >= PART_BYTES) this.flush();
  }

  /** Writes what isn't written yet. */
  flush(): void {
    if (this.#bytes === 0) return;
    const lines = new Uint8Array(this.#bytes);
    let at = 0;
    for (const each of this.#lines) {
      lines.set(each, at);
      at += each.length;
    }
    this.#database.run(INSERT, this.#generation, ++this.#written, gzipSync(lines, { level: 1 }));
    this.#lines = [];
    this.#bytes = 0;
  }
}

/** What the parts of a generation say, one part in memory at a time. */
export function* readParts(database: Database, generation: number): Generator<RecordedChange> {
  for (let part = 1;; part++) {
    const row = database.get<{ bytes: Uint8Array }>(
      "SELECT bytes FROM history_parts WHERE generation = ? AND part = ?",
      generation,
      part,
    );
    if (!row) return;
    const lines = gunzipSync(row.bytes).toString("utf8");
    for (let at = 0; at < lines.length;) {
      const end = lines.indexOf("\n", at);
      yield readLine(lines.slice(at, end));
      at = end + 1;
    }
  }
}

/**
 * Deletes parts of which the generation is forgotten, at most so many: each is a hundred pages, and a generation may have
 * hundreds of parts.
 */
export function forgetParts(database: Database, countMax: number): void {
  database.run(FORGET, countMax);
}

/** Reads the line of one change. @throws {SyntaxError} when it is none */
export function readLine(line: string): RecordedChange {
  const [kind, id, before, after] = line.split("\t") as [ObjectKind, string, string, string];
  return { kind, id: JSON.parse(id), before: before || null, after: after || null };
}

const INSERT = "INSERT INTO history_parts (generation, part, bytes) VALUES (?, ?, ?)";
const FORGET = "DELETE FROM history_parts WHERE rowid IN (SELECT rowid FROM history_parts " +
  "WHERE generation < (SELECT min(generation) FROM history) ORDER BY generation, part LIMIT ?)";
