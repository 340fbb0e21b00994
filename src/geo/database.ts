/**
 * The one judge of MaxMind databases: what passes here is taken by settings, by a start and while a node runs, and
 * what doesn't is refused by all three, in the same words.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { seededRng } from "../clock.ts";
import { formatIp } from "../ip.ts";
import { Mmdb } from "./mmdb.ts";

/** What a database is read for. */
export type DatabaseKind = "city" | "asn";

/** A database that is good. */
export interface OpenDatabase {
  /** Reads the bytes. */
  readonly mmdb: Mmdb;
  /** Of the records that were tried out, the share without coordinates, 0–1. */
  readonly unplaced: number;
}

/** Records that are tried out: takes some 20 ms, and finds a file of which one record in a hundred is broken. */
const SAMPLES = 1000;

/** Records that are tried out in one turn: a millisecond. */
const SLICE = 50;

/** The last second that a date can name. */
const TIME_MAX = 8.64e12;

/**
 * Opens a database and tries it out.
 *
 * @param bytes the whole file; nothing may write to it any more
 * @throws {Error} when it is none, is corrupt as far as a sample shows, or holds nothing of its kind
 */
export function openDatabase(bytes: Uint8Array, kind: DatabaseKind): OpenDatabase {
  const mmdb = mmdbOf(bytes);
  const trying = tryOut(mmdb, kind);
  for (;;) {
    const { done, value } = trying.next();
    if (done) return { mmdb, unplaced: value };
  }
}

/**
 * The same, with turns of the event loop in between: for the thread that has probes to make.
 *
 * @throws {Error} as `openDatabase`
 */
export async function openDatabaseInTurns(bytes: Uint8Array, kind: DatabaseKind): Promise<OpenDatabase> {
  const mmdb = mmdbOf(bytes);
  const trying = tryOut(mmdb, kind);
  for (;;) {
    const { done, value } = trying.next();
    if (done) return { mmdb, unplaced: value };
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

function mmdbOf(bytes: Uint8Array): Mmdb {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) throw new Error("it is compressed (unpack it first)");
  const mmdb = new Mmdb(bytes);
  if (!(mmdb.buildEpoch <= TIME_MAX)) {
    throw new Error(
      `build_epoch in its metadata is ${mmdb.buildEpoch}, which is no time (the file is corrupt: download it again)`,
    );
  }
  return mmdb;
}

/**
 * Looks up addresses all over the tree, and sees that all of what is there can be read, and something of use; stops after
 * each slice.
 *
 * @returns the share of the records without coordinates
 */
function* tryOut(mmdb: Mmdb, kind: DatabaseKind): Generator<void, number, void> {
  const rng = seededRng(mmdb.nodeCount);
  let useful = 0;
  let unplaced = 0;
  for (let i = 0; i < SAMPLES; i++) {
    if (i > 0 && i % SLICE === 0) yield;
    const address = addressWithData(mmdb, rng);
    const leaf = mmdb.find(address);
    const place = mmdb.place(leaf);
    if (kind === "asn" ? mmdb.asn(place) !== 0 : isPlaced(mmdb, place)) useful++;
    if (Number.isNaN(mmdb.latitude(place))) unplaced++;
    if (!mmdb.isWhole(leaf)) {
      throw new Error(
        `what it says of ${formatIp(address)} can't be read (the file is corrupt: download it again)`,
      );
    }
  }
  if (useful > 0) return unplaced / SAMPLES;
  const wanted = kind === "asn" ? "autonomous systems" : "coordinates, countries or continents";
  throw new Error(`its type is "${mmdb.databaseType}", and there are no ${wanted} in it (name another file)`);
}

function isPlaced(mmdb: Mmdb, place: number): boolean {
  return mmdb.country(place) !== 0 || mmdb.continent(place) !== 0 || !Number.isNaN(mmdb.latitude(place));
}

/** A random address below which the tree has data, if there is any on the way. */
function addressWithData(mmdb: Mmdb, rng: () => number): Uint8Array {
  const address = new Uint8Array(mmdb.ipVersion === 6 ? 16 : 4);
  let node = 0;
  for (let depth = 0; depth < address.length * 8 && node < mmdb.nodeCount; depth++) {
    const drawn = rng() >>> 16 & 1;
    const bit = mmdb.child(node, drawn) === mmdb.nodeCount ? 1 - drawn : drawn;
    address[depth >> 3]! |= bit << (7 - (depth & 7));
    node = mmdb.child(node, bit);
  }
  return address;
}
