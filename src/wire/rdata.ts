/**
 * Record data: presentation tokens ↔ wire bytes.
 *
 * Each type is a list of fields, and each field knows how to read its tokens, how to write its bytes as text,
 * and how many bytes it takes; so a type is one line of the table `FIELDS`. A type without a line, and any type
 * on request, has the generic form of RFC 3597 §5: `\# LENGTH HEX`. Names in the wire form are uncompressed
 * and keep their case.
 *
 * Sources: RFC 1035 §3.3, RFC 1183 (RP, AFSDB, RT), 1876 (LOC; in `location.ts`), 2230 (KX), 2782 (SRV), 3123 (APL;
 * in `address_prefixes.ts`), 3403 (NAPTR), 3596 (AAAA), 3597 (unknown types), 4034 (DS, DNSKEY, RRSIG, NSEC; sets of
 * types in `type_bitmap.ts`), 4255 (SSHFP), 4398 (CERT), 4701 (DHCID), 5155 (NSEC3, NSEC3PARAM), 6672 (DNAME), 6698
 * (TLSA), 6742 (NID, L32, L64, LP), 7043 (EUI48, EUI64), 7477 (CSYNC), 7553 (URI), 7929 (OPENPGPKEY), 8162 (SMIMEA),
 * 8659 (CAA), 8976 (ZONEMD), 9460 (SVCB, HTTPS; in `svcb.ts`).
 *
 * @module
 */

import { type Family, formatIp } from "../ip.ts";
import { parseAddress } from "./address.ts";
import { formatAddressPrefixes, parseAddressPrefixes } from "./address_prefixes.ts";
import { nameSize, nameToWire, wireToAbsoluteName } from "./name.ts";
import { TYPE, typeName, typeNumber } from "./record_type.ts";
import { formatLocation, parseLocation } from "./location.ts";
import { formatSvcParams, parseSvcParams } from "./svcb.ts";
import { formatTypes, parseTypes } from "./type_bitmap.ts";
import { bytesToString, scanLine, stringToBytes, type Token } from "./zone_tokens.ts";

/** Most bytes of record data: its length is 16 bits, RFC 1035 §3.2.1. */
const RDATA_SIZE_MAX = 0xffff;

/** Most seconds of a TTL, RFC 2181 §8. */
const TTL_MAX = 0x7fff_ffff;

/** A fault in the presentation form of record data. */
export class RdataError extends SyntaxError {
  /** The index of the token at fault; the number of tokens if one is missing. */
  readonly tokenIndex: number;

  /** Says what is wrong with the token of that index. */
  constructor(message: string, tokenIndex: number) {
    super(message);
    this.name = "RdataError";
    this.tokenIndex = tokenIndex;
  }
}

/**
 * Reads record data from the tokens behind the type.
 *
 * @param origin completes relative names; without it every name counts as complete
 * @returns new bytes in wire form
 * @throws {RdataError} naming the field and what it must be
 */
export function parseRdata(type: number, tokens: readonly Token[], origin?: Uint8Array): Uint8Array {
  const reader = new TokenReader(type, tokens, origin);
  const wire = reader.isGeneric() ? parseGeneric(type, reader) : parseFields(type, reader);
  if (wire.length > RDATA_SIZE_MAX) reader.fail(`${typeName(type)} data may take 65535 bytes at most`, 0);
  return wire;
}

/**
 * Reads record data from text, such as `10 mail.example.com.`.
 *
 * @param origin completes relative names; without it every name counts as complete
 * @throws {SyntaxError} naming the field and what it must be
 */
export function rdataFromText(type: number, text: string, origin?: Uint8Array): Uint8Array {
  return parseRdata(type, scanLine(text), origin);
}

/**
 * Writes record data as text that `rdataFromText` reads back to the same bytes.
 *
 * @throws {SyntaxError} when the bytes are no data of that type
 */
export function formatRdata(type: number, rdata: Uint8Array): string {
  const fields = FIELDS.get(type);
  if (!fields) return formatGeneric(rdata);
  const texts: string[] = [];
  let at = 0;
  for (const field of fields) {
    const size = sizeOf(type, field, { bytes: rdata, at });
    texts.push(field.format(rdata.subarray(at, at + size)));
    at += size;
  }
  if (at < rdata.length) {
    throw new SyntaxError(`${typeName(type)} data has ${rdata.length - at} bytes too many`);
  }
  const fault = faultOfDigest(type, rdata);
  if (fault !== null) throw new SyntaxError(fault);
  return texts.filter((text) => text !== "").join(" ");
}

/** Writes any record data in the generic form `\# LENGTH HEX` of RFC 3597 §5. */
export function formatGeneric(rdata: Uint8Array): string {
  return rdata.length === 0 ? "\\# 0" : `\\# ${rdata.length} ${rdata.toHex().toUpperCase()}`;
}

/** A stretch of record data inside a buffer. */
export interface RdataSpan {
  /** The whole buffer, a message say. */
  readonly bytes: Uint8Array;
  /** Where the data begins. */
  readonly at: number;
  /** Where it ends. */
  readonly end: number;
}

/**
 * A copy of record data in which each name is what `readName` makes of it: decompressed or lower-cased, say.
 *
 * Types whose form isn't known are copied as they are; RFC 3597 §4 forbids compression in them.
 *
 * @param readName returns the name at an offset of `span.bytes` and where it ends there
 * @throws {SyntaxError} when the bytes are no data of that type
 */
export function mapRdataNames(
  type: number,
  span: RdataSpan,
  readName: (at: number) => { name: Uint8Array; end: number },
): Uint8Array {
  const fields = FIELDS.get(type);
  if (!fields) return span.bytes.slice(span.at, span.end);
  // Fields are measured in a view that ends with the data, so that none runs into what follows.
  const bytes = span.bytes.subarray(0, span.end);
  const parts: Uint8Array[] = [];
  let at = span.at;
  for (const field of fields) {
    const { name, end } = field.isName
      ? readName(at)
      : { name: undefined, end: at + sizeOf(type, field, { bytes, at }) };
    parts.push(name ?? bytes.slice(at, end));
    at = end;
  }
  if (at !== span.end) throw new SyntaxError(`${typeName(type)} data doesn't end with its last field`);
  return concat(parts);
}

/**
 * Seconds written as a number, or in units as in `1h30m` or `2D` (weeks, days, hours, minutes, seconds).
 *
 * @returns `null` when the text is neither, or more than `TTL_MAX`
 */
export function parseTtl(text: string): number | null {
  if (!/^(?:\d+|(?:\d+[wdhms])+)$/i.test(text)) return null;
  let seconds = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)([wdhms]?)/gi)) {
    seconds += Number(count) * UNIT_SECONDS[unit!.toLowerCase()]!;
  }
  return seconds <= TTL_MAX ? seconds : null;
}

const UNIT_SECONDS: Readonly<Record<string, number>> = { "": 1, s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/** One part of a type's data. */
interface Field {
  /** Reads its tokens. */
  parse(reader: TokenReader): Uint8Array;
  /** Writes its own bytes, and no others. */
  format(bytes: Uint8Array): string;
  /** How many bytes it takes at `at`; beyond the end of the bytes if they are too few. */
  size(bytes: Uint8Array, at: number): number;
  readonly isName?: true;
}

/** RFC 4034 appendix A.1 and the registry that it began. */
const ALGORITHMS: Readonly<Record<string, number>> = {
  RSAMD5: 1,
  DH: 2,
  DSA: 3,
  RSASHA1: 5,
  "DSA-NSEC3-SHA1": 6,
  "RSASHA1-NSEC3-SHA1": 7,
  RSASHA256: 8,
  RSASHA512: 10,
  "ECC-GOST": 12,
  ECDSAP256SHA256: 13,
  ECDSAP384SHA384: 14,
  ED25519: 15,
  ED448: 16,
  INDIRECT: 252,
  PRIVATEDNS: 253,
  PRIVATEOID: 254,
};

/** RFC 4398 §2.1. */
const CERTIFICATE_TYPES: Readonly<Record<string, number>> = {
  PKIX: 1,
  SPKI: 2,
  PGP: 3,
  IPKIX: 4,
  ISPKI: 5,
  IPGP: 6,
  ACPKIX: 7,
  IACPKIX: 8,
  URI: 253,
  OID: 254,
};

/** Bytes of a digest by its type: SHA-1, SHA-256, GOST R 34.11-94, SHA-384 (RFC 3658, 4509, 5933, 6605). */
const DIGEST_SIZES: Readonly<Record<number, number>> = { 1: 20, 2: 32, 3: 32, 4: 48 };

/** The fields of every type whose form is known. */
const FIELDS: ReadonlyMap<number, readonly Field[]> = new Map<number, readonly Field[]>([
  [TYPE.A, [address(4)]],
  [TYPE.NS, [name("name server")]],
  [TYPE.CNAME, [name("canonical name")]],
  [TYPE.SOA, [
    name("primary name server"),
    name("mailbox"),
    unsigned(4, "serial"),
    time("refresh interval"),
    time("retry interval"),
    time("expire limit"),
    time("negative TTL"),
  ]],
  [TYPE.PTR, [name("pointed-to name")]],
  [TYPE.HINFO, [string("CPU"), string("operating system")]],
  [TYPE.MX, [unsigned(2, "preference"), name("mail exchange")]],
  [TYPE.TXT, [strings("text")]],
  [TYPE.RP, [name("mailbox"), name("TXT name")]],
  [TYPE.AFSDB, [unsigned(2, "subtype"), name("host name")]],
  [TYPE.RT, [unsigned(2, "preference"), name("intermediate host")]],
  [TYPE.AAAA, [address(6)]],
  [TYPE.LOC, [words(16, parseLocation, formatLocation)]],
  [TYPE.SRV, [unsigned(2, "priority"), unsigned(2, "weight"), unsigned(2, "port"), name("target")]],
  [TYPE.NAPTR, [
    unsigned(2, "order"),
    unsigned(2, "preference"),
    string("flags"),
    string("services"),
    string("regular expression"),
    name("replacement"),
  ]],
  [TYPE.KX, [unsigned(2, "preference"), name("key exchanger")]],
  [TYPE.CERT, [
    mnemonic(2, "certificate type", CERTIFICATE_TYPES),
    unsigned(2, "key tag"),
    algorithm(),
    base64("certificate"),
  ]],
  [TYPE.DNAME, [name("target")]],
  [TYPE.APL, [words("rest", parseAddressPrefixes, formatAddressPrefixes)]],
  [TYPE.DS, digestFields()],
  [TYPE.SSHFP, [unsigned(1, "algorithm"), unsigned(1, "fingerprint type"), hex("fingerprint")]],
  [TYPE.RRSIG, [
    recordType("type covered"),
    algorithm(),
    unsigned(1, "label count"),
    unsigned(4, "original TTL"),
    instant("expiration"),
    instant("inception"),
    unsigned(2, "key tag"),
    name("signer"),
    base64("signature"),
  ]],
  [TYPE.NSEC, [name("next name"), types()]],
  [TYPE.DNSKEY, keyFields()],
  [TYPE.DHCID, [base64("identifier")]],
  [TYPE.NSEC3, [...saltFields(), base32("next hashed name"), types()]],
  [TYPE.NSEC3PARAM, saltFields()],
  [TYPE.TLSA, certificateFields()],
  [TYPE.SMIMEA, certificateFields()],
  [TYPE.CDS, digestFields()],
  [TYPE.CDNSKEY, keyFields()],
  [TYPE.OPENPGPKEY, [base64("key")]],
  [TYPE.CSYNC, [unsigned(4, "serial"), unsigned(2, "flags"), types()]],
  [TYPE.ZONEMD, [
    unsigned(4, "serial"),
    unsigned(1, "scheme"),
    unsigned(1, "hash algorithm"),
    hex("digest"),
  ]],
  [TYPE.SVCB, [unsigned(2, "priority"), name("target"), words("rest", parseSvcParams, formatSvcParams)]],
  [TYPE.HTTPS, [unsigned(2, "priority"), name("target"), words("rest", parseSvcParams, formatSvcParams)]],
  [TYPE.SPF, [strings("text")]],
  [TYPE.NID, [unsigned(2, "preference"), groups({ count: 4, bytes: 2, between: ":" }, "node identifier")]],
  [TYPE.L32, [unsigned(2, "preference"), address(4)]],
  [TYPE.L64, [unsigned(2, "preference"), groups({ count: 4, bytes: 2, between: ":" }, "locator")]],
  [TYPE.LP, [unsigned(2, "preference"), name("locator's name")]],
  [TYPE.EUI48, [groups({ count: 6, bytes: 1, between: "-" }, "address")]],
  [TYPE.EUI64, [groups({ count: 8, bytes: 1, between: "-" }, "address")]],
  [TYPE.URI, [unsigned(2, "priority"), unsigned(2, "weight"), restString("URI")]],
  [TYPE.CAA, [unsigned(1, "flags"), caaTag(), restString("value")]],
]);

function digestFields(): Field[] {
  return [unsigned(2, "key tag"), algorithm(), unsigned(1, "digest type"), hex("digest")];
}

function keyFields(): Field[] {
  return [unsigned(2, "flags"), unsigned(1, "protocol"), algorithm(), base64("public key")];
}

function saltFields(): Field[] {
  return [unsigned(1, "hash algorithm"), unsigned(1, "flags"), unsigned(2, "iterations"), salt()];
}

function certificateFields(): Field[] {
  return [
    unsigned(1, "usage"),
    unsigned(1, "selector"),
    unsigned(1, "matching type"),
    hex("certificate data"),
  ];
}

/** Hands out the tokens of one record's data, and makes errors that point at them. */
class TokenReader {
  readonly #type: number;
  readonly #tokens: readonly Token[];
  readonly origin: Uint8Array | undefined;
  #index = 0;

  constructor(type: number, tokens: readonly Token[], origin: Uint8Array | undefined) {
    this.#type = type;
    this.#tokens = tokens;
    this.origin = origin;
  }

  /** Whether the data are in the generic form. */
  isGeneric(): boolean {
    const first = this.#tokens[0];
    return first !== undefined && first.kind === "plain" && first.text === "\\#";
  }

  /** The next token's text. */
  next(what: string): string {
    const token = this.#tokens[this.#index];
    if (!token) {
      this.fail(`the ${what} of the ${typeName(this.#type)} record is missing`, this.#tokens.length);
    }
    this.#index++;
    if (token.kind === "mixed") this.fail(`the ${what} has a quote inside; put the whole of it in quotes`);
    return token.text;
  }

  /** The next token's text, which stays the next; empty when there is none. */
  peek(): string {
    const token = this.#tokens[this.#index];
    return token?.kind === "plain" ? token.text : "";
  }

  /** All tokens that are left, at least one. */
  rest(what: string): string[] {
    const texts = [this.next(what)];
    while (this.#index < this.#tokens.length) texts.push(this.next(what));
    return texts;
  }

  /** All tokens that are left as they stand, perhaps none. */
  raw(): readonly Token[] {
    const tokens = this.#tokens.slice(this.#index);
    this.#index = this.#tokens.length;
    return tokens;
  }

  /** Refuses tokens behind the last field. */
  end(): void {
    const surplus = this.#tokens[this.#index];
    if (surplus) {
      this.fail(`"${surplus.text}" is too much for a ${typeName(this.#type)} record; remove it`, this.#index);
    }
  }

  /** Throws an error that points at the token of that index, or at the one read last. */
  fail(message: string, tokenIndex: number = Math.max(0, this.#index - 1)): never {
    throw new RdataError(message, tokenIndex);
  }
}

function parseFields(type: number, reader: TokenReader): Uint8Array {
  const fields = FIELDS.get(type);
  if (!fields) {
    reader.fail(`${typeName(type)} data must be in the generic form of RFC 3597, such as \\# 2 ABCD`, 0);
  }
  const wire = concat(fields.map((field) => field.parse(reader)));
  reader.end();
  if (type === TYPE.SVCB || type === TYPE.HTTPS) refuseAliasParams(wire, reader);
  const fault = faultOfDigest(type, wire);
  if (fault !== null) reader.fail(fault);
  return wire;
}

/** In AliasMode parameters are ignored (RFC 9460 §2.4.2), so whoever writes some is mistaken. */
function refuseAliasParams(wire: Uint8Array, reader: TokenReader): void {
  const isAlias = wire[0] === 0 && wire[1] === 0;
  if (isAlias && wire.length > 2 + nameSize(wire, 2)) {
    reader.fail(
      "a record of priority 0 is an alias and takes no parameters; remove them or raise the priority",
      2,
    );
  }
}

/** A digest of another length than its type's is of no use, and a sign of a text that was cut off. */
function faultOfDigest(type: number, wire: Uint8Array): string | null {
  const size = type === TYPE.DS || type === TYPE.CDS ? DIGEST_SIZES[wire[3]!] : undefined;
  return size === undefined || wire.length - 4 === size
    ? null
    : `a digest of type ${wire[3]} has ${size} bytes, not ${wire.length - 4}`;
}

function parseGeneric(type: number, reader: TokenReader): Uint8Array {
  reader.next("mark");
  const lengthText = reader.next("length");
  if (!/^\d{1,5}$/.test(lengthText)) reader.fail(`the length "${lengthText}" behind \\# must be 0–65535`);
  const digits = reader.raw().map((token) => token.text).join("");
  const wire = /^(?:[0-9a-f]{2})*$/i.test(digits) ? Uint8Array.fromHex(digits) : null;
  if (!wire) reader.fail(`the data behind \\# ${lengthText} must be pairs of hex digits`, 2);
  if (wire.length !== Number(lengthText)) {
    reader.fail(`the length behind \\# is ${lengthText}, but there are ${wire.length} bytes of data`, 1);
  }
  if (FIELDS.has(type)) assertWellFormed(type, wire, reader);
  return wire;
}

/** The generic form of a type that is known must still be data of that type (RFC 3597 §5). */
function assertWellFormed(type: number, wire: Uint8Array, reader: TokenReader): void {
  try {
    formatRdata(type, wire);
  } catch (error) {
    reader.fail(`the bytes behind \\# are no ${typeName(type)} data: ${messageOf(error)}`, 2);
  }
}

function sizeOf(type: number, field: Field, { bytes, at }: { bytes: Uint8Array; at: number }): number {
  const size = field.size(bytes, at);
  if (at + size > bytes.length) throw new SyntaxError(`${typeName(type)} data end early`);
  return size;
}

function name(what: string): Field {
  return {
    isName: true,
    parse(reader) {
      const text = reader.next(what);
      try {
        return nameToWire(text, reader.origin);
      } catch (error) {
        return reader.fail(`the ${what} is wrong: ${messageOf(error)}`);
      }
    },
    format: (bytes) => wireToAbsoluteName(bytes),
    size: (bytes, at) => nameSize(bytes, at),
  };
}

function address(family: Family): Field {
  const example = family === 4 ? "192.0.2.1" : "2001:db8::1";
  return {
    parse(reader) {
      const text = reader.next("address");
      return parseAddress(text, family) ??
        reader.fail(`"${text}" is no IPv${family} address; write one such as ${example}`);
    },
    format: formatIp,
    size: () => family === 4 ? 4 : 16,
  };
}

function unsigned(size: 1 | 2 | 4, what: string): Field {
  const most = 2 ** (size * 8) - 1;
  return {
    parse(reader) {
      const text = reader.next(what);
      const value = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
      return value <= most ? toBytes(value, size) : reader.fail(`the ${what} "${text}" must be 0–${most}`);
    },
    format: (bytes) => String(toNumber(bytes)),
    size: () => size,
  };
}

/** A number that may be written by its mnemonic, in any case; it is shown as a number. */
function mnemonic(size: 1 | 2, what: string, numbers: Readonly<Record<string, number>>): Field {
  const number = unsigned(size, what);
  return {
    ...number,
    parse(reader) {
      const known = numbers[reader.peek().toUpperCase()];
      if (known === undefined) return number.parse(reader);
      reader.next(what);
      return toBytes(known, size);
    },
  };
}

function algorithm(): Field {
  return mnemonic(1, "algorithm", ALGORITHMS);
}

/** Seconds that may be written in units. */
function time(what: string): Field {
  return {
    parse(reader) {
      const text = reader.next(what);
      const seconds = parseTtl(text) ??
        (/^\d{1,10}$/.test(text) && Number(text) < 2 ** 32 ? Number(text) : null);
      return seconds === null
        ? reader.fail(`the ${what} "${text}" must be seconds, or a time such as 1h30m`)
        : toBytes(seconds, 4);
    },
    format: (bytes) => String(toNumber(bytes)),
    size: () => 4,
  };
}

/** A point in time as YYYYMMDDHHmmSS, or as seconds since 1970, RFC 4034 §3.2. */
function instant(what: string): Field {
  return {
    parse(reader) {
      const text = reader.next(what);
      const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$/.exec(text);
      const ms = parts ? Date.parse(`${parts.slice(1, 4).join("-")}T${parts.slice(4).join(":")}Z`) : NaN;
      const seconds = parts ? ms / 1000 : /^\d{1,10}$/.test(text) ? Number(text) : NaN;
      return seconds >= 0 && seconds < 2 ** 32
        ? toBytes(seconds, 4)
        : reader.fail(`the ${what} "${text}" must be a time as YYYYMMDDHHmmSS`);
    },
    format: (bytes) => new Date(toNumber(bytes) * 1000).toISOString().replace(/[-:T]|\.\d+Z/g, ""),
    size: () => 4,
  };
}

function recordType(what: string): Field {
  return {
    parse(reader) {
      const text = reader.next(what);
      const type = typeNumber(text);
      return type === null ? reader.fail(`the ${what} "${text}" is no record type`) : toBytes(type, 2);
    },
    format: (bytes) => typeName(toNumber(bytes)),
    size: () => 2,
  };
}

function string(what: string): Field {
  return {
    parse: (reader) => characterString(reader, what, reader.next(what)),
    format: (bytes) => `"${bytesToString(bytes.subarray(1))}"`,
    size: (bytes, at) => 1 + (bytes[at] ?? 0),
  };
}

/** One character-string or more, up to the end of the data. */
function strings(what: string): Field {
  return {
    parse: (reader) => concat(reader.rest(what).map((text) => characterString(reader, what, text))),
    format(bytes) {
      const texts: string[] = [];
      for (let at = 0; at < bytes.length; at += bytes[at]! + 1) {
        texts.push(`"${bytesToString(bytes.subarray(at + 1, at + 1 + bytes[at]!))}"`);
      }
      return texts.join(" ");
    },
    size(bytes, at) {
      // At least one string, so empty data come out as one byte too few.
      let end = at;
      do end += (bytes[end] ?? 0) + 1; while (end < bytes.length);
      return end - at;
    },
  };
}

function characterString(reader: TokenReader, what: string, text: string): Uint8Array {
  const bytes = unescape(reader, what, text);
  if (bytes.length > 255) {
    reader.fail(`the ${what} is ${bytes.length} bytes long; split it into quoted strings of at most 255`);
  }
  return concat([Uint8Array.of(bytes.length), bytes]);
}

/** A string without a length octet, up to the end of the data. */
function restString(what: string): Field {
  return {
    parse: (reader) => unescape(reader, what, reader.next(what)),
    format: (bytes) => `"${bytesToString(bytes)}"`,
    size: (bytes, at) => bytes.length - at,
  };
}

function caaTag(): Field {
  return {
    parse(reader) {
      const text = reader.next("tag");
      if (!/^[0-9a-z]{1,255}$/i.test(text)) {
        reader.fail(`the tag "${text}" must be letters and digits, such as issue or iodef`);
      }
      return concat([Uint8Array.of(text.length), stringToBytes(text)]);
    },
    format(bytes) {
      const text = bytesToString(bytes.subarray(1));
      if (!/^[0-9a-z]+$/i.test(text)) throw new SyntaxError(`the CAA tag "${text}" isn't letters and digits`);
      return text;
    },
    size: (bytes, at) => 1 + (bytes[at] ?? 0),
  };
}

function hex(what: string): Field {
  return {
    parse(reader) {
      const digits = reader.rest(what).join("");
      return /^(?:[0-9a-f]{2})+$/i.test(digits)
        ? Uint8Array.fromHex(digits)
        : reader.fail(`the ${what} must be pairs of hex digits`);
    },
    format: (bytes) => bytes.toHex().toUpperCase(),
    size: (bytes, at) => Math.max(1, bytes.length - at),
  };
}

function base64(what: string): Field {
  return {
    parse(reader) {
      const text = reader.rest(what).join("");
      return decodeBase64(text) ?? reader.fail(`the ${what} must be base64`);
    },
    format: (bytes) => bytes.toBase64(),
    size: (bytes, at) => Math.max(1, bytes.length - at),
  };
}

/** `null` for text that is no base64, and for no bytes. */
function decodeBase64(text: string): Uint8Array | null {
  try {
    const bytes = Uint8Array.fromBase64(text, { lastChunkHandling: "strict" });
    return bytes.length > 0 ? bytes : null;
  } catch {
    return null;
  }
}

/** Hex digits behind their count; `-` = none (RFC 5155 §3.3). */
function salt(): Field {
  return {
    parse(reader) {
      const text = reader.next("salt");
      const bytes = text === "-"
        ? new Uint8Array()
        : /^(?:[0-9a-f]{2}){1,255}$/i.test(text)
        ? Uint8Array.fromHex(text)
        : reader.fail(`the salt "${text}" must be pairs of hex digits, or - for none`);
      return concat([Uint8Array.of(bytes.length), bytes]);
    },
    format: (bytes) => bytes.length === 1 ? "-" : bytes.subarray(1).toHex().toUpperCase(),
    size: (bytes, at) => 1 + (bytes[at] ?? 0),
  };
}

/** Base32 with the extended hex alphabet and without padding (RFC 4648 §7), behind the count of its bytes. */
function base32(what: string): Field {
  return {
    parse(reader) {
      const text = reader.next(what).toUpperCase();
      const bytes = new Uint8Array(Math.floor(text.length * 5 / 8));
      let bits = 0;
      let count = 0;
      let at = 0;
      for (const char of text) {
        const digit = BASE32.indexOf(char);
        if (digit < 0) reader.fail(`the ${what} must be base32 with the digits 0–9 and A–V`);
        bits = (bits << 5 | digit) & 0xfff;
        count += 5;
        if (count >= 8) bytes[at++] = bits >> (count -= 8);
      }
      const isWhole = (bits & ((1 << count) - 1)) === 0 && count < 5;
      if (!isWhole || bytes.length === 0 || bytes.length > 255) reader.fail(`the ${what} is cut off`);
      return concat([Uint8Array.of(bytes.length), bytes]);
    },
    format(bytes) {
      const bits = Array.from(bytes.subarray(1), (byte) => byte.toString(2).padStart(8, "0")).join("");
      if (bits === "") throw new SyntaxError(`the ${what} is empty`);
      return bits.replace(/.{1,5}/g, (digit) => BASE32[parseInt(digit.padEnd(5, "0"), 2)]!);
    },
    size: (bytes, at) => 1 + (bytes[at] ?? 0),
  };
}

const BASE32 = "0123456789ABCDEFGHIJKLMNOPQRSTUV";

/** A fixed number of groups of hex digits. */
function groups(
  { count, bytes: size, between }: {
    readonly count: number;
    readonly bytes: number;
    readonly between: string;
  },
  what: string,
): Field {
  const form = new RegExp(`^[0-9a-f]{${size * 2}}(?:${between}[0-9a-f]{${size * 2}}){${count - 1}}$`, "i");
  const example = Array.from({ length: count }, () => "0".repeat(size * 2)).join(between);
  return {
    parse(reader) {
      const text = reader.next(what);
      return form.test(text)
        ? Uint8Array.fromHex(text.replaceAll(between, ""))
        : reader.fail(`the ${what} "${text}" must be written as ${example}`);
    },
    format: (bytes) => bytes.toHex().match(new RegExp(`.{${size * 2}}`, "g"))!.join(between),
    size: () => count * size,
  };
}

/** A set of record types, perhaps none, up to the end of the data. */
function types(): Field {
  return words("rest", parseTypes, formatTypes);
}

/** All tokens that are left, read as one; of so many bytes, or up to the end of the data. */
function words(
  size: number | "rest",
  parse: (texts: readonly string[]) => Uint8Array,
  format: (bytes: Uint8Array) => string,
): Field {
  return {
    parse(reader) {
      const texts = reader.raw().map((token) => token.text);
      try {
        return parse(texts);
      } catch (error) {
        return reader.fail(messageOf(error));
      }
    },
    format,
    size: (bytes, at) => size === "rest" ? bytes.length - at : size,
  };
}

function unescape(reader: TokenReader, what: string, text: string): Uint8Array {
  try {
    return stringToBytes(text);
  } catch (error) {
    return reader.fail(`the ${what} is wrong: ${messageOf(error)}`);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function toBytes(value: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i++) bytes[i] = value / 2 ** (8 * (size - 1 - i));
  return bytes;
}

function toNumber(bytes: Uint8Array): number {
  return bytes.reduce((value, byte) => value * 256 + byte, 0);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
