/**
 * Reading a query: the question and the EDNS options of one packet, into fields that are used again for the next.
 * Nothing is allocated, nothing throws; what is wrong comes back as an RCODE.
 *
 * @module
 */
import { hashByte, hashSuffix, LABELS_MAX } from "../snapshot/name_hash.ts";
import { LABEL_SIZE_MAX, NAME_SIZE_MAX } from "../wire/name.ts";
import { CLASS, RCODE, TYPE } from "../wire/record_type.ts";

/** Bytes of a DNS header (RFC 1035 §4.1.1). */
export const HEADER_SIZE = 12;

/** `parse` says: never answer this packet. */
export const DROP_SHORT: number = -1;
/** `parse` says: this is a response; answering it could make two servers talk for ever. */
export const DROP_RESPONSE: number = -2;

/** Position of the question's name: compression pointers to it are `C0 0C`. */
const QUESTION_AT = HEADER_SIZE;

const EDNS_NSID = 3;
const EDNS_CLIENT_SUBNET = 8;
const EDNS_COOKIE = 10;
const EDNS_TCP_KEEPALIVE = 11;
/** Bytes of a client cookie, and of one with a server cookie (RFC 7873 §4). */
const COOKIE_SIZE = 8;
const COOKIES_SIZE_MIN = 16;
const COOKIES_SIZE_MAX = 40;

/** The query at hand. One instance per engine. */
export class Query {
  /** With which hashes begin: the snapshot's. */
  seed = 0;
  /** The QNAME in lower case, wire format; valid up to `nameLength`. */
  readonly name = new Uint8Array(NAME_SIZE_MAX);
  /** Bytes of the QNAME, 1–255. */
  nameLength = 0;
  /** Positions of the labels in `name`, the root's included; valid up to `labels`. */
  readonly starts = new Uint8Array(LABELS_MAX);
  /** Hash of the suffix that begins at each label. */
  readonly hashes = new Int32Array(LABELS_MAX);
  /** Number of labels, the root's included. */
  labels = 0;
  /** QTYPE. */
  type = 0;
  /** QCLASS. */
  class = 0;
  /** Where the question ends in the packet; 0 = there is no readable question. */
  questionEnd = 0;

  /** Whether there is an OPT record; the four fields below are valid then. */
  hasEdns = false;
  /** The sender's UDP payload size (RFC 6891 §6.2.3). */
  udpSize = 0;
  /** EDNS version; anything but 0 is answered BADVERS. */
  ednsVersion = 0;
  /** The DO bit (RFC 3225). */
  dnssecOk = false;
  /** Whether the NSID option is there (RFC 5001). */
  wantsNsid = false;
  /** Whether the sender asks for how long it may keep its connection (RFC 7828); with a time of its own it asks wrongly. */
  wantsKeepalive = false;

  /** Whether the query carries a client subnet (RFC 7871); the four fields below are valid then. */
  hasSubnet = false;
  /** 1 = IPv4, 2 = IPv6 (IANA address family numbers). */
  subnetFamily = 0;
  /** SOURCE PREFIX-LENGTH. */
  subnetLength = 0;
  /** Where the option's address lies in the packet, and its bytes. */
  subnetAt = 0;
  /** Bytes of the option's address. */
  subnetBytes = 0;

  /** Whether cookies are read (RFC 7873); otherwise the option means nothing. */
  readsCookies = false;
  /** Whether there is a cookie; the three fields below are valid then. */
  hasCookie = false;
  /** Where client and server cookie lie in the packet. */
  cookieAt = 0;
  /** Bytes of both: 8 = there is no server cookie, or 16–40. */
  cookieSize = 0;
  /** Whether the answer says both as they came. */
  echoesCookie = false;
  /** Otherwise, the server cookie for the answer; whoever knows the time and the secret writes it. */
  readonly serverCookie = new Uint8Array(16);

  /** Where the TSIG record begins (RFC 8945); valid when `parse` says `NOTAUTH`, as all below. */
  tsigAt = 0;
  /** Bytes of its owner, which is the key's name. */
  tsigOwnerBytes = 0;
  /** Bytes of the algorithm's name, with which its data begin. */
  tsigAlgorithmBytes = 0;

  /**
   * Reads a packet.
   *
   * @returns `NOERROR`, or the RCODE to answer with, or `DROP_…`
   */
  parse(packet: Uint8Array, length: number): number {
    this.questionEnd = 0;
    this.hasEdns = false;
    this.hasSubnet = false;
    this.hasCookie = false;
    this.wantsNsid = false;
    this.wantsKeepalive = false;
    this.dnssecOk = false;
    if (length < HEADER_SIZE) return DROP_SHORT;
    if (packet[2]! & 0x80) return DROP_RESPONSE;
    if (packet[2]! & 0x78) return RCODE.NOTIMP;
    if (packet[4] !== 0 || packet[5] !== 1) return this.#parseWithoutQuestion(packet, length);
    const nameEnd = this.#readName(packet, QUESTION_AT, length);
    if (nameEnd < 0 || nameEnd + 4 > length) return RCODE.FORMERR;
    this.type = packet[nameEnd]! << 8 | packet[nameEnd + 1]!;
    this.class = packet[nameEnd + 2]! << 8 | packet[nameEnd + 3]!;
    this.questionEnd = nameEnd + 4;
    const records = (packet[6]! << 8 | packet[7]!) + (packet[8]! << 8 | packet[9]!);
    const additional = packet[10]! << 8 | packet[11]!;
    if (records + additional === 0) return RCODE.NOERROR;
    const at = this.questionEnd;
    // Nearly every query has an OPT record, and nothing else.
    const isOptAlone = records === 0 && additional === 1 && at + 11 <= length &&
      packet[at] === 0 && packet[at + 1] === 0 && packet[at + 2] === TYPE.OPT;
    if (!isOptAlone) return this.#parseRecords(packet, length, { at, records, additional });
    const end = at + 11 + (packet[at + 9]! << 8 | packet[at + 10]!);
    if (end > length) return RCODE.FORMERR;
    const rcode = this.#parseOpt(packet, at + 1, end);
    return rcode === RCODE.NOERROR && this.ednsVersion !== 0 ? RCODE.BADVERS : rcode;
  }

  /** No question at all asks for a cookie, if it carries one (RFC 7873 §5.4). */
  #parseWithoutQuestion(packet: Uint8Array, length: number): number {
    if (!this.readsCookies || packet[4] !== 0 || packet[5] !== 0) return RCODE.FORMERR;
    this.labels = 0;
    const records = (packet[6]! << 8 | packet[7]!) + (packet[8]! << 8 | packet[9]!);
    const additional = packet[10]! << 8 | packet[11]!;
    const rcode = this.#parseRecords(packet, length, { at: HEADER_SIZE, records, additional });
    return rcode === RCODE.NOERROR && !this.hasCookie ? RCODE.FORMERR : rcode;
  }

  /** Replaces the name by another one in wire format, such as a CNAME's target. */
  setName(bytes: Uint8Array, at: number): void {
    this.#readName(bytes, at, bytes.length);
  }

  /**
   * Copies a name in lower case, and hashes it on the way; compression is not allowed in a question that comes first.
   *
   * @returns the position behind it, or −1
   */
  #readName(bytes: Uint8Array, from: number, length: number): number {
    const { name, starts, hashes, seed } = this;
    let labels = 0;
    let at = from;
    for (;;) {
      if (at >= length) return -1;
      const size = bytes[at]!;
      const start = at - from;
      const end = at + 1 + size;
      if (size > LABEL_SIZE_MAX || start + size >= NAME_SIZE_MAX || end > length) return -1;
      name[start] = size;
      starts[labels] = start;
      at++;
      if (size === 0) break;
      let hash = hashByte(seed, size);
      for (; at < end; at++) {
        const byte = LOWER_CASE[bytes[at]!]!;
        name[at - from] = byte;
        hash = hashByte(hash, byte);
      }
      hashes[labels++] = hash;
    }
    let hash = seed;
    hashes[labels] = hash;
    for (let label = labels - 1; label >= 0; label--) {
      hash = hashSuffix(hash, hashes[label]!);
      hashes[label] = hash;
    }
    this.labels = labels + 1;
    this.nameLength = at - from;
    return at;
  }

  /** Walks over the records behind the question to the one that matters, OPT; what follows them is ignored. */
  #parseRecords(
    packet: Uint8Array,
    length: number,
    { at, records, additional }: { at: number; readonly records: number; readonly additional: number },
  ): number {
    let isSigned = false;
    for (let i = 0; i < records + additional; i++) {
      const owner = at;
      at = skipName(packet, length, at);
      if (at < 0 || at + 10 > length) return RCODE.FORMERR;
      const type = packet[at]! << 8 | packet[at + 1]!;
      const end = at + 10 + (packet[at + 8]! << 8 | packet[at + 9]!);
      if (end > length) return RCODE.FORMERR;
      if (type === TYPE.OPT) {
        // RFC 6891 §6.1.1: one OPT, in the additional section, owned by the root.
        if (i < records || this.hasEdns || packet[owner] !== 0) return RCODE.FORMERR;
        const rcode = this.#parseOpt(packet, at, end);
        if (rcode !== RCODE.NOERROR) return rcode;
      } else if (type === TYPE.TSIG) {
        // RFC 8945 §5.1: one TSIG, the last record of all.
        const isLast = i === records + additional - 1 && additional > 0;
        if (!isLast || !this.#parseTsig(packet, owner, at, end)) return RCODE.FORMERR;
        isSigned = true;
      }
      at = end;
    }
    // There are no keys here, so none is known (RFC 8945 §5.2.1); that is judged before anything else is looked at.
    if (isSigned) return RCODE.NOTAUTH;
    return this.hasEdns && this.ednsVersion !== 0 ? RCODE.BADVERS : RCODE.NOERROR;
  }

  #parseOpt(packet: Uint8Array, at: number, end: number): number {
    this.hasEdns = true;
    this.udpSize = packet[at + 2]! << 8 | packet[at + 3]!;
    this.ednsVersion = packet[at + 5]!;
    this.dnssecOk = (packet[at + 6]! & 0x80) !== 0;
    if (this.ednsVersion !== 0) return RCODE.NOERROR; // what options mean is up to the version
    for (let option = at + 10; option < end;) {
      if (option + 4 > end) return RCODE.FORMERR;
      const code = packet[option]! << 8 | packet[option + 1]!;
      const optionEnd = option + 4 + (packet[option + 2]! << 8 | packet[option + 3]!);
      if (optionEnd > end) return RCODE.FORMERR;
      if (code === EDNS_NSID) this.wantsNsid = true;
      else if (code === EDNS_TCP_KEEPALIVE) this.wantsKeepalive = optionEnd === option + 4;
      else if (code === EDNS_CLIENT_SUBNET && !this.#parseSubnet(packet, option + 4, optionEnd)) {
        return RCODE.FORMERR;
      } else if (code === EDNS_COOKIE && this.readsCookies && !this.#parseCookie(option + 4, optionEnd)) {
        return RCODE.FORMERR;
      }
      option = optionEnd;
    }
    return RCODE.NOERROR;
  }

  /** RFC 7873 §5.2: of several options the first counts; one of a length that no cookie has is malformed. */
  #parseCookie(at: number, end: number): boolean {
    if (this.hasCookie) return true;
    const size = end - at;
    if (size !== COOKIE_SIZE && (size < COOKIES_SIZE_MIN || size > COOKIES_SIZE_MAX)) return false;
    this.hasCookie = true;
    this.cookieAt = at;
    this.cookieSize = size;
    return true;
  }

  /** RFC 8945 §4.2: class ANY, TTL 0, an algorithm's name, and lengths that reach to the end of the data. */
  #parseTsig(packet: Uint8Array, owner: number, at: number, end: number): boolean {
    const isPlain = packet[at + 2] === 0 && packet[at + 3] === CLASS.ANY &&
      (packet[at + 4]! | packet[at + 5]! | packet[at + 6]! | packet[at + 7]!) === 0;
    if (!isPlain || !this.#isRepeatable(packet, owner, at)) return false;
    const algorithmAt = at + 10;
    const timeAt = wholeNameEnd(packet, end, algorithmAt);
    if (timeAt < 0 || timeAt + 10 > end) return false;
    const macEnd = timeAt + 10 + (packet[timeAt + 8]! << 8 | packet[timeAt + 9]!);
    if (macEnd + 6 > end || macEnd + 6 + (packet[macEnd + 4]! << 8 | packet[macEnd + 5]!) !== end) {
      return false;
    }
    this.tsigAt = owner;
    this.tsigOwnerBytes = at - owner;
    this.tsigAlgorithmBytes = timeAt - algorithmAt;
    return true;
  }

  /** Whether a name from `from` to `end` reads the same in an answer: it leads nowhere but to a label of the question. */
  #isRepeatable(packet: Uint8Array, from: number, end: number): boolean {
    if (wholeNameEnd(packet, end, from) === end) return true;
    if (end - from < 2 || packet[end - 2]! < 0xc0) return false;
    const target = (packet[end - 2]! & 0x3f) << 8 | packet[end - 1]!;
    for (let label = 0; label < this.labels; label++) {
      const start = this.starts[label]!;
      if (QUESTION_AT + start === target) return end - 2 - from + this.nameLength - start <= NAME_SIZE_MAX;
    }
    return false;
  }

  /** RFC 7871 §6 and §7.1.2: known family, length in range, scope 0, as many bytes as needed, spare bits zero. */
  #parseSubnet(packet: Uint8Array, at: number, end: number): boolean {
    if (this.hasSubnet || end - at < 4) return false;
    const family = packet[at]! << 8 | packet[at + 1]!;
    const length = packet[at + 2]!;
    const bytes = end - at - 4;
    if (family !== 1 && family !== 2) return false;
    if (length > (family === 1 ? 32 : 128) || packet[at + 3] !== 0 || bytes !== (length + 7) >> 3) {
      return false;
    }
    if ((length & 7) !== 0 && (packet[end - 1]! & (0xff >> (length & 7))) !== 0) return false;
    this.hasSubnet = true;
    this.subnetFamily = family;
    this.subnetLength = length;
    this.subnetAt = at + 4;
    this.subnetBytes = bytes;
    return true;
  }
}

/** The position behind a name that isn't compressed, or −1. */
function wholeNameEnd(packet: Uint8Array, length: number, at: number): number {
  const from = at;
  while (at < length && at - from < NAME_SIZE_MAX) {
    const size = packet[at]!;
    if (size === 0) return at + 1;
    if (size > LABEL_SIZE_MAX) return -1;
    at += size + 1;
  }
  return -1;
}

/** The position behind a possibly compressed name, or −1. */
function skipName(packet: Uint8Array, length: number, at: number): number {
  while (at < length) {
    const size = packet[at]!;
    if (size === 0) return at + 1;
    if (size >= 0xc0) return at + 2;
    if (size > 63) return -1;
    at += size + 1;
  }
  return -1;
}

/** Each byte's lower case (RFC 4343 §3: ASCII letters only). */
export const LOWER_CASE: Uint8Array = Uint8Array.from(
  { length: 256 },
  (_, byte) => byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte,
);
