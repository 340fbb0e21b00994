/**
 * The numbers of DNS parameters and their names: record types, classes, opcodes, response codes.
 *
 * Only what this program handles or shows by name is listed; every other type and class has the generic name
 * of RFC 3597 §5 (`TYPE65280`, `CLASS32`).
 *
 * Sources: IANA "Domain Name System (DNS) Parameters"; RFC 1035 §3.2, §4.1.1; RFC 6895.
 *
 * @module
 */

/** Record and query types. */
export const TYPE = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  HINFO: 13,
  MX: 15,
  TXT: 16,
  RP: 17,
  AFSDB: 18,
  RT: 21,
  SIG: 24,
  KEY: 25,
  AAAA: 28,
  LOC: 29,
  SRV: 33,
  NAPTR: 35,
  KX: 36,
  CERT: 37,
  DNAME: 39,
  OPT: 41,
  APL: 42,
  DS: 43,
  SSHFP: 44,
  RRSIG: 46,
  NSEC: 47,
  DNSKEY: 48,
  DHCID: 49,
  NSEC3: 50,
  NSEC3PARAM: 51,
  TLSA: 52,
  SMIMEA: 53,
  CDS: 59,
  CDNSKEY: 60,
  OPENPGPKEY: 61,
  CSYNC: 62,
  ZONEMD: 63,
  SVCB: 64,
  HTTPS: 65,
  SPF: 99,
  NID: 104,
  L32: 105,
  L64: 106,
  LP: 107,
  EUI48: 108,
  EUI64: 109,
  TKEY: 249,
  TSIG: 250,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
  URI: 256,
  CAA: 257,
} as const;

/** Classes; records are IN throughout this program. */
export const CLASS = { IN: 1, CH: 3, HS: 4, NONE: 254, ANY: 255 } as const;

/** What a message asks for, RFC 1035 §4.1.1. */
const OPCODE = { QUERY: 0, IQUERY: 1, STATUS: 2, NOTIFY: 4, UPDATE: 5, DSO: 6 } as const;

/** Response codes; those above 15 need an OPT record, which carries the upper 8 bits (RFC 6891 §6.1.3). */
export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  YXDOMAIN: 6,
  YXRRSET: 7,
  NXRRSET: 8,
  NOTAUTH: 9,
  NOTZONE: 10,
  BADVERS: 16,
  BADKEY: 17,
  BADTIME: 18,
  BADCOOKIE: 23,
} as const;

/**
 * The number of a type's mnemonic (any case) or of its generic form `TYPE123`.
 *
 * @returns `null` when the text names no type
 */
export function typeNumber(text: string): number | null {
  return numberOf(text, TYPE_NUMBERS, "TYPE");
}

/** The mnemonic of a type, or its generic form `TYPE123`. */
export function typeName(type: number): string {
  return TYPE_NAMES.get(type) ?? `TYPE${type}`;
}

/**
 * The number of a class's mnemonic (any case) or of its generic form `CLASS32`.
 *
 * @returns `null` when the text names no class
 */
export function classNumber(text: string): number | null {
  return numberOf(text, CLASS_NUMBERS, "CLASS");
}

/** The mnemonic of a class, or its generic form `CLASS32`. */
export function className(number: number): string {
  return CLASS_NAMES.get(number) ?? `CLASS${number}`;
}

/** The mnemonic of a response code (0–4095, the extended bits included), or `RCODE123`. */
export function rcodeName(rcode: number): string {
  return RCODE_NAMES.get(rcode) ?? `RCODE${rcode}`;
}

/** The mnemonic of an opcode, or `OPCODE9`. */
export function opcodeName(opcode: number): string {
  return OPCODE_NAMES.get(opcode) ?? `OPCODE${opcode}`;
}

/** Whether a type can't be the type of stored data: OPT and the range of RFC 6895 §3.1 (TSIG, AXFR, ANY …). */
export function isMetaType(type: number): boolean {
  return type === 0 || type === TYPE.OPT || (type >= 128 && type <= 255);
}

const TYPE_NUMBERS: ReadonlyMap<string, number> = new Map(Object.entries(TYPE));
const TYPE_NAMES = namesOf(TYPE);
const CLASS_NUMBERS: ReadonlyMap<string, number> = new Map(Object.entries(CLASS));
const CLASS_NAMES = namesOf(CLASS);
const RCODE_NAMES = namesOf(RCODE);
const OPCODE_NAMES = namesOf(OPCODE);

function namesOf(numbers: Readonly<Record<string, number>>): ReadonlyMap<number, string> {
  return new Map(Object.entries(numbers).map(([name, number]) => [number, name]));
}

function numberOf(text: string, numbers: ReadonlyMap<string, number>, generic: string): number | null {
  const upper = text.toUpperCase();
  const known = numbers.get(upper);
  if (known !== undefined) return known;
  const digits = upper.startsWith(generic) ? upper.slice(generic.length) : "";
  return /^\d{1,5}$/.test(digits) && Number(digits) <= 0xffff ? Number(digits) : null;
}
