/**
 * Answers of a server that holds no snapshot: encoded one at a time, from records in wire form.
 *
 * Owners at or below the question's name end in a pointer to it (RFC 1035 §4.1.4), which is all the compression that a
 * transfer of one zone needs. Names in record data stay whole.
 *
 * @module
 */
import { isAtOrBelow, lowerCaseName, nameToWire } from "./name.ts";
import { CLASS, TYPE } from "./record_type.ts";

/** A record to be written; its class is IN. */
export interface WireRecord {
  /** Lower-case, uncompressed wire form. */
  readonly owner: Uint8Array;
  /** The number of its type. */
  readonly type: number;
  /** Seconds. */
  readonly ttl: number;
  /** Names in it are uncompressed. */
  readonly rdata: Uint8Array;
}

/** What is answered. */
export interface Response {
  /** As in the query. */
  readonly id: number;
  /** As in the query. */
  readonly rd: boolean;
  /** Whether the answer is authoritative. */
  readonly aa: boolean;
  /** 0–15. */
  readonly rcode: number;
  /** Repeated from the query; `null` = it couldn't be read. */
  readonly question: { readonly name: string; readonly type: number; readonly class: number } | null;
  /** The answer section. */
  readonly answers: readonly WireRecord[];
  /** The OPT record; `null` = the query had none. */
  readonly edns: { readonly udpSize: number; readonly do: boolean } | null;
}

/** Bytes of the header, RFC 1035 §4.1.1. */
const HEADER_SIZE = 12;

/** Bytes that a record takes at most: its owner in full, ten bytes of fixed fields, its data. */
export function recordSizeMax({ owner, rdata }: WireRecord): number {
  return owner.length + 10 + rdata.length;
}

/**
 * Writes an answer.
 *
 * @throws {SyntaxError} when the question's name is none
 */
export function encodeResponse(response: Response): Uint8Array {
  const { id, rd, aa, rcode, question, answers, edns } = response;
  const name = question === null ? null : nameToWire(question.name);
  const questionSize = name === null ? 0 : name.length + 4;
  const size = answers.reduce((sum, each) => sum + recordSizeMax(each), HEADER_SIZE + questionSize + 11);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, id);
  view.setUint16(2, 0x8000 | (aa ? 0x0400 : 0) | (rd ? 0x0100 : 0) | rcode);
  view.setUint16(4, name === null ? 0 : 1);
  view.setUint16(6, answers.length);
  view.setUint16(10, edns === null ? 0 : 1);
  let at = HEADER_SIZE;
  if (question !== null && name !== null) {
    bytes.set(name, at);
    view.setUint16(at + name.length, question.type);
    view.setUint16(at + name.length + 2, question.class);
    at += questionSize;
  }
  const apex = name === null ? null : lowerCaseName(name);
  for (const { owner, type, ttl, rdata } of answers) {
    at = writeOwner(bytes, { at, owner, apex });
    view.setUint16(at, type);
    view.setUint16(at + 2, CLASS.IN);
    view.setUint32(at + 4, ttl);
    view.setUint16(at + 8, rdata.length);
    bytes.set(rdata, at + 10);
    at += 10 + rdata.length;
  }
  if (edns !== null) {
    view.setUint16(at + 1, TYPE.OPT);
    view.setUint16(at + 3, edns.udpSize);
    view.setUint16(at + 7, edns.do ? 0x8000 : 0);
    at += 11;
  }
  return bytes.subarray(0, at);
}

/** Writes the owner, and where it can its tail as a pointer to the question; gives where it ends. */
function writeOwner(
  bytes: Uint8Array,
  { at, owner, apex }: { readonly at: number; readonly owner: Uint8Array; readonly apex: Uint8Array | null },
): number {
  if (apex === null || apex.length === 1 || !isAtOrBelow(owner, apex)) {
    bytes.set(owner, at);
    return at + owner.length;
  }
  const labels = owner.length - apex.length;
  bytes.set(owner.subarray(0, labels), at);
  bytes[at + labels] = 0xc0;
  bytes[at + labels + 1] = HEADER_SIZE;
  return at + labels + 2;
}
