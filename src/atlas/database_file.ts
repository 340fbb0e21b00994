/**
 * One MaxMind database on its way into shared memory: read, opened, and tried out before anybody relies on it.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { Reader, type Response } from "maxmind";
import { Mmdb } from "../balance/mmdb.ts";
import { seededRng } from "../clock.ts";
import { formatIp } from "../ip.ts";
import { weightOf } from "../snapshot/memory.ts";

/** What a database is read for. */
export type DatabaseKind = "city" | "asn";

/** A database that is good. */
export interface Database {
  /** The file's bytes, never written again. */
  readonly bytes: SharedArrayBuffer;
  /** A reader of them for this thread. */
  readonly mmdb: Mmdb;
  /** Lets the garbage collector know what goes when this goes. */
  readonly weight: ArrayBuffer;
}

/** Read at a time, so that the thread goes on with other things in between. */
const CHUNK_BYTES = 1 << 20;
/** Records that are tried out: takes some 10 ms, and finds a file of which one record in a hundred is broken. */
const SAMPLES = 1000;

/**
 * Reads a database.
 *
 * @throws {Error} when it can't be read, is none, is corrupt as far as a sample shows, or holds nothing of its kind
 */
export async function readDatabase(path: string, kind: DatabaseKind): Promise<Database> {
  const bytes = await readShared(path);
  const view = new Uint8Array(bytes);
  if (view[0] === 0x1f && view[1] === 0x8b) throw new Error("it is compressed (unpack it first)");
  const mmdb = new Mmdb(view);
  tryOut(mmdb, { reader: new Reader(Buffer.from(bytes)), kind });
  return { bytes, mmdb, weight: weightOf([bytes]) };
}

async function readShared(path: string): Promise<SharedArrayBuffer> {
  using file = await Deno.open(path);
  const { size } = await file.stat();
  const bytes = new Uint8Array(new SharedArrayBuffer(size));
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

/** Looks up addresses all over the tree, and sees that both readers find the same, and something of use. */
function tryOut(
  mmdb: Mmdb,
  { reader, kind }: { readonly reader: Reader<Response>; readonly kind: DatabaseKind },
): void {
  const rng = seededRng(mmdb.nodeCount);
  let useful = 0;
  for (let i = 0; i < SAMPLES; i++) {
    const address = addressWithData(mmdb, rng);
    const place = mmdb.place(mmdb.find(address));
    const isUseful = kind === "asn" ? mmdb.asn(place) !== 0 : isPlaced(mmdb, place);
    if (isUseful) useful++;
    try {
      reader.get(formatIp(address));
    } catch (cause) {
      throw new Error(`what it says of ${formatIp(address)} can't be read (download it again)`, { cause });
    }
  }
  if (useful > 0) return;
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
