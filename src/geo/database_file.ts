/**
 * One MaxMind database on its way into shared memory: read, opened, and tried out before it is relied on.
 *
 * @module
 */
import { expectRegular } from "../input/regular_file.ts";
import { type DatabaseKind, openDatabaseInTurns } from "./database.ts";
import type { Mmdb } from "./mmdb.ts";
import { weightOf } from "../shared_weight.ts";
import { createShared } from "../shared_memory.ts";

/** A database that is good. */
export interface Database {
  /** The file's bytes, never written again. */
  readonly bytes: SharedArrayBuffer;
  /** A reader of them for this thread. */
  readonly mmdb: Mmdb;
  /** Of the records that were tried out, the share without coordinates, 0–1. */
  readonly unplaced: number;
  /** Lets the garbage collector know what goes when this goes. */
  readonly weight: ArrayBuffer;
}

/** Read at a time, so that the thread goes on with other things in between. */
const CHUNK_BYTES = 1 << 20;
/**
 * Reads a database.
 *
 * @throws {Error} when it can't be read, is none, is corrupt as far as a sample shows, or holds nothing of its kind
 */
export async function readDatabase(path: string, kind: DatabaseKind): Promise<Database> {
  const bytes = await readShared(path);
  const view = new Uint8Array(bytes);
  const { mmdb, unplaced } = await openDatabaseInTurns(view, kind);
  return { bytes, mmdb, unplaced, weight: weightOf([bytes]) };
}

async function readShared(path: string): Promise<SharedArrayBuffer> {
  expectRegular(await Deno.stat(path)); // before it is opened: that alone waits for the other end of a pipe
  using file = await Deno.open(path);
  const { size } = await file.stat();
  const bytes = new Uint8Array(createShared(size));
  // The system doesn't read into shared memory.
  const chunk = new Uint8Array(CHUNK_BYTES);
  let length = 0;
  for (let read = await file.read(chunk); read !== null; read = await file.read(chunk)) {
    if (length + read > size) throw new Error("it grew while it was read");
    bytes.set(chunk.subarray(0, read), length);
    length += read;
  }
  if (length < size) throw new Error("it shrank while it was read");
  return bytes.buffer;
}
