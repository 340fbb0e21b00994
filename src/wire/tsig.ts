/**
 * Transaction signatures (RFC 8945): an HMAC over a message, by a key that both sides share.
 *
 * The record is the last one of the additional section. Its code covers the message as it was before the record was
 * added, then the fields of the record itself, and in an answer first of all the code of the request, so that no other
 * answer fits.
 *
 * @module
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { lowerCaseName, nameToWire, readCompressedName, sameName } from "./name.ts";
import { CLASS, TYPE } from "./record_type.ts";

/** HMACs that are offered; the older ones are of no use any more (RFC 8945 §6). */
export const TSIG_ALGORITHMS = ["hmac-sha256", "hmac-sha512"] as const;

/** One of them, by the name that it has in the record. */
export type TsigAlgorithm = (typeof TSIG_ALGORITHMS)[number];

/** A key that both sides share. */
export interface TsigKey {
  /** Its name, which both sides call it by; presentation form. */
  readonly name: string;
  /** The HMAC. */
  readonly algorithm: TsigAlgorithm;
  /** The secret itself, not its base64. */
  readonly secret: Uint8Array;
}

/** Error codes of the record, RFC 8945 §3. */
export const TSIG_ERROR = { NONE: 0, BADSIG: 16, BADKEY: 17, BADTIME: 18, BADTRUNC: 22 } as const;

/** Seconds by which the clocks of both sides may differ, RFC 8945 §10. */
const FUDGE_S = 300;

/** A signed message. */
export interface Signed {
  /** The message with its record. */
  readonly bytes: Uint8Array;
  /** The code, which the answer's covers. */
  readonly mac: Uint8Array;
}

/**
 * Signs a request.
 *
 * @param message without a TSIG record
 * @throws {SyntaxError} when the key's name is none
 */
export function signMessage(message: Uint8Array, key: TsigKey, unixSeconds: number): Signed {
  const fields: Fields = {
    name: lowerCaseName(nameToWire(key.name)),
    algorithm: nameToWire(key.algorithm),
    unixSeconds,
    fudge: FUDGE_S,
    error: TSIG_ERROR.NONE,
    other: new Uint8Array(0),
  };
  const mac = hmac(key, [message, variablesOf(fields)]);
  const rdata = [
    ...fields.algorithm,
    ...u48(unixSeconds),
    ...u16(FUDGE_S),
    ...u16(mac.length),
    ...mac,
    message[0]!,
    message[1]!,
    ...u16(TSIG_ERROR.NONE),
    ...u16(0),
  ];
  const record = [...fields.name, ...u16(TYPE.TSIG), ...u16(CLASS.ANY), 0, 0, 0, 0, ...u16(rdata.length)];
  const bytes = Uint8Array.from([...message, ...record, ...rdata]);
  bytes.set(u16((message[10]! << 8 | message[11]!) + 1), 10);
  return { bytes, mac };
}

/** What a signature says, and whether it can be believed. */
export interface TsigVerdict {
  /** Whether the code is the one that the key gives. */
  readonly isGenuine: boolean;
  /** The record's error code: why the server refused the request's signature; 0 = it didn't. */
  readonly error: number;
  /** Unix seconds at which the server signed. */
  readonly signedAt: number;
  /** Unix seconds of the server's clock, where it says that ours is wrong (BADTIME); else `null`. */
  readonly serverUnixSeconds: number | null;
}

/**
 * Judges the signature of an answer.
 *
 * @param requestMac the code of the request
 * @returns `null` when the answer isn't signed
 * @throws {SyntaxError} when the message or its record isn't well-formed
 */
export function verifyAnswer(answer: Uint8Array, key: TsigKey, requestMac: Uint8Array): TsigVerdict | null {
  const found = lastRecord(answer);
  if (found === null || found.type !== TYPE.TSIG) return null;
  const { fields, mac, originalId } = tsigOf(answer, found);
  // Without the record: its bytes, its count, and the id that the sender gave the message.
  const message = answer.slice(0, found.at);
  message.set(originalId, 0);
  message.set(u16((answer[10]! << 8 | answer[11]!) - 1), 10);
  const isKey = sameName(fields.name, lowerCaseName(nameToWire(key.name))) &&
    sameName(fields.algorithm, nameToWire(key.algorithm));
  const expected = hmac(key, [
    Uint8Array.from(u16(requestMac.length)),
    requestMac,
    message,
    variablesOf(fields),
  ]);
  return {
    isGenuine: isKey && mac.length === expected.length && timingSafeEqual(mac, expected),
    error: fields.error,
    signedAt: fields.unixSeconds,
    serverUnixSeconds: fields.error === TSIG_ERROR.BADTIME && fields.other.length === 6
      ? readU48(fields.other, 0)
      : null,
  };
}

/** What the code covers beside the message. */
interface Fields {
  /** Lower-case wire form (RFC 8945 §4.3.3). */
  readonly name: Uint8Array;
  readonly algorithm: Uint8Array;
  readonly unixSeconds: number;
  readonly fudge: number;
  readonly error: number;
  readonly other: Uint8Array;
}

/** RFC 8945 §4.3.3. */
function variablesOf({ name, algorithm, unixSeconds, fudge, error, other }: Fields): Uint8Array {
  return Uint8Array.from([
    ...name,
    ...u16(CLASS.ANY),
    ...[0, 0, 0, 0],
    ...algorithm,
    ...u48(unixSeconds),
    ...u16(fudge),
    ...u16(error),
    ...u16(other.length),
    ...other,
  ]);
}

function hmac({ algorithm, secret }: TsigKey, parts: readonly Uint8Array[]): Uint8Array {
  const code = createHmac(algorithm.slice("hmac-".length), secret);
  for (const part of parts) code.update(part);
  return new Uint8Array(code.digest());
}

/** Where a record lies in a message. */
interface Found {
  /** Of its name. */
  readonly at: number;
  readonly name: Uint8Array;
  readonly type: number;
  /** Of its data. */
  readonly dataAt: number;
  readonly end: number;
}

/** The last record of the additional section; `null` = that is empty. */
function lastRecord(message: Uint8Array): Found | null {
  const count = (at: number) => u16At(message, at);
  let at = 12;
  for (let i = count(4); i > 0; i--) at = readCompressedName(message, at).end + 4;
  let last: Found | null = null;
  for (let i = count(6) + count(8) + count(10); i > 0; i--) {
    const { name, end } = readCompressedName(message, at);
    const dataAt = end + 10;
    last = { at, name, type: u16At(message, end), dataAt, end: dataAt + u16At(message, end + 8) };
    at = last.end;
  }
  if (at > message.length) throw new SyntaxError("The message ends within its last record");
  return count(10) === 0 ? null : last;
}

function tsigOf(message: Uint8Array, { name, dataAt, end }: Found) {
  const data = message.subarray(dataAt, end);
  // RFC 8945 §4.2: of class ANY, with a TTL of 0.
  if (
    u16At(message, dataAt - 8) !== CLASS.ANY || u16At(message, dataAt - 6) + u16At(message, dataAt - 4) > 0
  ) {
    throw new SyntaxError("The TSIG record has a wrong class or TTL");
  }
  const { name: algorithm, end: at } = readCompressedName(data, 0);
  const macSize = u16At(data, at + 8);
  const idAt = at + 10 + macSize;
  const otherSize = u16At(data, idAt + 4);
  if (idAt + 6 + otherSize !== data.length) throw new SyntaxError("The TSIG record has a wrong length");
  const fields: Fields = {
    name: lowerCaseName(name),
    algorithm: lowerCaseName(algorithm),
    unixSeconds: readU48(data, at),
    fudge: u16At(data, at + 6),
    error: u16At(data, idAt + 2),
    other: data.slice(idAt + 6),
  };
  return { fields, mac: data.slice(at + 10, idAt), originalId: data.slice(idAt, idAt + 2) };
}

function u16At(bytes: Uint8Array, at: number): number {
  if (at + 2 > bytes.length) {
    throw new SyntaxError(`The message ends at byte ${bytes.length}, within a number`);
  }
  return bytes[at]! << 8 | bytes[at + 1]!;
}

function readU48(bytes: Uint8Array, at: number): number {
  return u16At(bytes, at) * 2 ** 32 + u16At(bytes, at + 2) * 2 ** 16 + u16At(bytes, at + 4);
}

function u16(value: number): [number, number] {
  return [value >> 8 & 0xff, value & 0xff];
}

function u48(value: number): number[] {
  return [...u16(Math.floor(value / 2 ** 32)), ...u16(Math.floor(value / 2 ** 16)), ...u16(value)];
}
