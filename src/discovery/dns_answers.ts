/**
 * DNS answers of a catalog: a query's bytes in, an answer's bytes out. Nothing waits, and nothing is asked elsewhere.
 *
 * The records of an address are finished once and copied into each answer as they stand: owner `C0 0C`, type, class, TTL,
 * length and data, whose names aren't compressed. Behind SRV records come the addresses of their targets, as far as there is
 * room; they are never a reason to come back over TCP.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { parseIp } from "../ip.ts";
import { LABEL_SIZE_MAX, lowerCaseName, NAME_SIZE_MAX, nameToWire } from "../wire/name.ts";
import { CLASS, RCODE, TYPE } from "../wire/record_type.ts";
import { type Subject, subjectOf } from "./address.ts";
import type { Catalog, Instance, NameServer } from "./catalog.ts";
import { decide, type Decision, type Wanted } from "./decisions.ts";

/** Seconds for which an answer may be kept: one that is gone isn't asked for longer than that. */
export const TTL_SECONDS = 5;
/** Seconds for which it may be kept that a name is none. */
const SOA_TTL = 86_400;
/** Our own limit for answers over UDP: no fragment on any common path (RFC 9715). */
export const UDP_SIZE_MAX = 1232;
/** What a sender without EDNS can take (RFC 1035 §4.2.1). */
export const UDP_SIZE_PLAIN = 512;
const STREAM_SIZE_MAX = 65_535;
const HEADER_SIZE = 12;
/** An OPT record without options. */
const OPT_SIZE = 11;
/** Bytes of a finished record before its data. */
const HEAD = 12;
/** Furthest byte to which a compression pointer can lead. */
const POINTER_MAX = 0x3fff;
const QUESTION_NAME = 0xc00c;
const FLAG = { qr: 0x80, aa: 0x04, tc: 0x02 } as const;

/** Names that are remembered; then it begins again. One takes some 400 bytes. */
const SUBJECTS_MAX = 10_000;

/** What answers go by. */
export interface AnswerTerms {
  /** Names of the dns zones, without final dot. */
  readonly dnsZones: readonly string[];
  /** Most records of an answer over UDP. */
  readonly maxAnswers: number;
  /** Unix time; the serial of SOA records. */
  readonly unixMs: () => number;
}

/** How a query came. */
export interface Asked {
  /** Whether by a stream, so that only 65,535 bytes are a limit. */
  readonly stream: boolean;
  /** Whether names outside the dns zones are answered, too (NXDOMAIN), and malformed messages. */
  readonly everything: boolean;
}

/** What was answered, for the log and for metrics. */
export interface Answered {
  /** Bytes of the answer; 0 = say nothing. */
  readonly size: number;
  /** Its code. */
  readonly rcode: number;
  /** What was asked for; `null` = there was no question. */
  readonly qtype: number | null;
  /** Where it is a referral, and the question may be handed on instead. */
  readonly elsewhere: Elsewhere | null;
}

/** A question that another zone's servers may be asked. */
export interface Elsewhere {
  /** The zone. */
  readonly zone: string;
  /** Where the question ends in the query. */
  readonly questionEnd: number;
  /** What its sender takes over UDP, and no more than we send; `null` = it doesn't say, and gets no OPT record. */
  readonly udpSize: number | null;
}

/** The option of EDNS by which a query says that it was handed on; it has no data. */
export const HANDED_ON = 65_001;

/** Answers queries by what is in a catalog. */
export class DnsAnswers {
  readonly #catalog: Catalog;
  readonly #zones: readonly Uint8Array[];
  readonly #terms: AnswerTerms;
  /** Finished records by what they are of and by type; thrown away as soon as that changes. */
  readonly #finished = new WeakMap<readonly Instance[], Map<number, Finished>>();
  readonly #name = new Uint8Array(NAME_SIZE_MAX);
  /** The same bytes, which it makes a text of. */
  readonly #text = Buffer.from(this.#name.buffer);
  /** What names stand for that were asked for before, by their labels in front of the dns zone. */
  readonly #subjects = new Map<string, Subject>();
  #out: Uint8Array = new Uint8Array(0);
  #at = 0;
  #limit = 0;
  #counts = { answers: 0, authorities: 0, additionals: 0 };
  #isTruncated = false;

  /** Answers by this catalog as it is when a query comes. */
  constructor(catalog: Catalog, terms: AnswerTerms) {
    this.#catalog = catalog;
    this.#terms = terms;
    // The longest first: one may lie within another.
    this.#zones = terms.dnsZones.map((zone) => lowerCaseName(nameToWire(zone)))
      .sort((a, b) => b.length - a.length);
  }

  /**
   * Answers a query.
   *
   * @param packet the query is in its first `length` bytes
   * @param out receives the answer; has room for 1,232 bytes, or for 65,535 where it is for a stream
   */
  answer(packet: Uint8Array, length: number, out: Uint8Array, { stream, everything }: Asked): Answered {
    // Answering a response could make two servers talk for ever.
    if (length < HEADER_SIZE || (packet[2]! & FLAG.qr) !== 0) return SILENCE;
    this.#out = out;
    this.#counts = { answers: 0, authorities: 0, additionals: 0 };
    this.#isTruncated = false;
    this.#at = HEADER_SIZE;
    const questions = packet[4]! << 8 | packet[5]!;
    if (questions !== 1) {
      if (!everything) return SILENCE;
      return this.#finish(packet, { rcode: questions === 0 ? RCODE.FORMERR : RCODE.NOTIMP });
    }
    const nameEnd = this.#readName(packet, length);
    if (nameEnd < 0 || nameEnd + 4 > length) {
      return everything ? this.#finish(packet, { rcode: RCODE.FORMERR }) : SILENCE;
    }
    const nameSize = nameEnd - HEADER_SIZE;
    const zone = this.#zoneOf(nameSize);
    if (!zone && !everything) return SILENCE;
    for (let i = HEADER_SIZE; i < nameEnd + 4; i++) out[i] = packet[i]!;
    this.#at = nameEnd + 4;
    const qtype = packet[nameEnd]! << 8 | packet[nameEnd + 1]!;
    const edns = ednsSize(packet, length, nameEnd + 4);
    if (edns !== null && edns.version > 0) {
      return this.#finish(packet, { rcode: 0, upper: 1, qtype, edns: true });
    }
    const most = stream ? STREAM_SIZE_MAX : Math.min(UDP_SIZE_MAX, Math.max(UDP_SIZE_PLAIN, edns?.size ?? 0));
    this.#limit = Math.min(most, out.length) - (edns ? OPT_SIZE : 0);
    if (!zone) return this.#finish(packet, { rcode: RCODE.NXDOMAIN, qtype, edns: edns !== null });
    const subject = this.#subject(nameSize - zone.length);
    const decision = decide(this.#catalog, subject, wantedOf(qtype));
    const rcode = this.#write(decision, {
      ...{ qtype, zone, nameSize },
      countMax: stream ? Infinity : this.#terms.maxAnswers,
      sizeMax: stream ? STREAM_SIZE_MAX : UDP_SIZE_MAX,
    });
    if (decision.kind !== "referral") {
      return this.#finish(packet, { rcode, qtype, edns: edns !== null, aa: true });
    }
    const { zone: of } = decision;
    const udpSize = edns && Math.min(UDP_SIZE_MAX, Math.max(UDP_SIZE_PLAIN, edns.size));
    const elsewhere = edns?.isHandedOn ? null : { zone: of, questionEnd: nameEnd + 4, udpSize };
    return { ...this.#finish(packet, { rcode, qtype, edns: edns !== null }), elsewhere };
  }

  /** The dns zone that the name is in. */
  #zoneOf(nameSize: number): Uint8Array | undefined {
    for (const zone of this.#zones) if (isAtOrBelow(this.#name, nameSize, zone)) return zone;
    return undefined;
  }

  /** Copies the question's name in lower case. @returns where it ends; −1 when it is none */
  #readName(packet: Uint8Array, length: number): number {
    const name = this.#name;
    let at = HEADER_SIZE;
    for (;;) {
      const size = packet[at]!;
      if (at >= length || size > LABEL_SIZE_MAX || at - HEADER_SIZE + size + 1 > NAME_SIZE_MAX) return -1;
      name[at - HEADER_SIZE] = size;
      if (size === 0) return at + 1;
      for (let i = at + 1; i <= at + size; i++) {
        const byte = packet[i] ?? 0;
        name[i - HEADER_SIZE] = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
      }
      at += size + 1;
    }
  }

  /** What the labels in front of the dns zone stand for. @param end bytes of them */
  #subject(end: number): Subject {
    const text = this.#text.toString("latin1", 0, end);
    let subject = this.#subjects.get(text);
    if (subject === undefined) {
      if (this.#subjects.size >= SUBJECTS_MAX) this.#subjects.clear();
      this.#subjects.set(text, subject = this.#readSubject(end));
    }
    return subject;
  }

  #readSubject(end: number): Subject {
    const labels: string[] = [];
    for (let at = 0; at < end;) {
      const size = this.#name[at]!;
      labels.push(String.fromCharCode(...this.#name.subarray(at + 1, at + 1 + size)));
      at += size + 1;
    }
    return subjectOf(labels);
  }

  #write(
    decision: Decision,
    { qtype, zone, nameSize, countMax, sizeMax }: {
      readonly qtype: number;
      readonly zone: Uint8Array;
      readonly nameSize: number;
      readonly countMax: number;
      readonly sizeMax: number;
    },
  ): number {
    switch (decision.kind) {
      case "servfail":
        return RCODE.SERVFAIL;
      case "nxdomain":
        if (decision.withSoa) this.#writeSoa(zone);
        return RCODE.NXDOMAIN;
      case "empty":
        return RCODE.NOERROR;
      case "instances":
        this.#writeLeading(this.#finishedOf(decision.instances, qtype, sizeMax), countMax);
        return RCODE.NOERROR;
      case "servers":
        this.#writeLeading(addressRecords(decision.servers, qtype), countMax);
        return RCODE.NOERROR;
      case "names":
        this.#writeLeading(serverNames(decision.servers, this.#name.subarray(0, nameSize)), countMax);
        return RCODE.NOERROR;
      case "referral":
        this.#writeReferral(decision.servers, { zone, labels: decision.zone });
        return RCODE.NOERROR;
    }
  }

  /** @param sizeMax no answer of this kind has more bytes */
  #finishedOf(instances: readonly Instance[], qtype: number, sizeMax: number): Finished {
    let byType = this.#finished.get(instances);
    if (!byType) this.#finished.set(instances, byType = new Map());
    let finished = byType.get(qtype);
    if (!finished || (!finished.isWhole && finished.bytes.length <= sizeMax)) {
      finished = qtype === TYPE.SRV
        ? srvRecords(instances, sizeMax)
        : addressRecords(instances, qtype, sizeMax);
      byType.set(qtype, finished);
    }
    return finished;
  }

  /** Writes the leading records that fit, and TC where some are left out. */
  #writeLeading({ bytes, ends, glue }: Finished, countMax: number): void {
    const from = this.#at;
    let count = 0;
    let size = 0;
    while (count < ends.length && count < countMax && from + ends[count]! <= this.#limit) {
      size = ends[count++]!;
    }
    this.#out.set(size === bytes.length ? bytes : bytes.subarray(0, size), from);
    this.#at = from + size;
    this.#counts.answers = count;
    this.#isTruncated = count < ends.length;
    if (this.#isTruncated) return;
    for (const { nameAt, type, ips } of glue) {
      if (from + nameAt > POINTER_MAX) return;
      for (const ip of ips) if (!this.#addGlue(0xc000 | from + nameAt, type, ip)) return;
    }
  }

  #addGlue(owner: number, type: number, ip: Uint8Array): boolean {
    if (this.#at + HEAD + ip.length > this.#limit) return false;
    this.#writeHead(owner, type, TTL_SECONDS, ip.length);
    this.#out.set(ip, this.#at);
    this.#at += ip.length;
    this.#counts.additionals++;
    return true;
  }

  /** NS records of a zone that is answered elsewhere, and the addresses of its servers, without which they are of no use. */
  #writeReferral(
    servers: readonly NameServer[],
    { zone, labels }: { readonly zone: Uint8Array; readonly labels: string },
  ): void {
    const apexAt = this.#questionApexAt(zone);
    const owner = 0xc000 | apexAt - labels.length - 1;
    const names: number[] = [];
    for (const [i] of servers.entries()) {
      const label = new TextEncoder().encode(`ns${i}`);
      const size = label.length + 1 + 2;
      if (this.#at + HEAD + size > this.#limit) return void (this.#isTruncated = true);
      this.#writeHead(owner, TYPE.NS, TTL_SECONDS, size);
      names.push(this.#at);
      this.#out[this.#at++] = label.length;
      this.#out.set(label, this.#at);
      this.#at += label.length;
      this.#out[this.#at++] = owner >>> 8;
      this.#out[this.#at++] = owner & 0xff;
      this.#counts.authorities++;
    }
    for (const [i, { ips }] of servers.entries()) {
      for (const ip of ips) {
        const bytes = parseIp(ip)!;
        const type = bytes.length === 4 ? TYPE.A : TYPE.AAAA;
        if (!this.#addGlue(0xc000 | names[i]!, type, bytes)) return void (this.#isTruncated = true);
      }
    }
  }

  /** Where the dns zone begins within the question. */
  #questionApexAt(zone: Uint8Array): number {
    let end = HEADER_SIZE;
    while (this.#out[end] !== 0) end += this.#out[end]! + 1;
    return end + 1 - zone.length;
  }

  /**
   * SOA of a name that is none, in the authority section (RFC 2308 §2.1), and in the additional section, where it has always
   * been. Both or none of the two: a resolver keeps what it is told for a day.
   */
  #writeSoa(zone: Uint8Array): void {
    const apexAt = this.#questionApexAt(zone);
    const apex = [0xc0 | apexAt >>> 8, apexAt & 0xff];
    const serial = Math.floor(this.#terms.unixMs() / 1000) >>> 0;
    const mname = [3, ...bytesOf("ns0"), ...apex];
    const rname = [10, ...bytesOf("hostmaster"), ...apex];
    const numbers = [serial, 3600, 600, 86_400, TTL_SECONDS].flatMap(u32);
    const rdata = Uint8Array.from([...mname, ...rname, ...numbers]);
    const size = HEAD + rdata.length;
    for (const owner of [0xc000 | apexAt, QUESTION_NAME]) {
      if (this.#at + size > this.#limit) return;
      this.#writeHead(owner, TYPE.SOA, SOA_TTL, rdata.length);
      this.#out.set(rdata, this.#at);
      this.#at += rdata.length;
      if (owner === QUESTION_NAME) this.#counts.additionals++;
      else this.#counts.authorities++;
    }
  }

  #writeHead(owner: number, type: number, ttl: number, size: number): void {
    this.#at = writeHead(this.#out, this.#at, { owner, type, ttl, size });
  }

  #finish(
    packet: Uint8Array,
    { rcode, upper = 0, qtype = null, edns = false, aa = false }: {
      readonly rcode: number;
      /** Bits of the code for the OPT record. */
      readonly upper?: number;
      readonly qtype?: number | null;
      readonly edns?: boolean;
      readonly aa?: boolean;
    },
  ): Answered {
    const out = this.#out;
    const { answers, authorities, additionals } = this.#counts;
    if (edns) this.#writeOpt(upper);
    out[0] = packet[0]!;
    out[1] = packet[1]!;
    out[2] = FLAG.qr | packet[2]! & 0x79 | (aa ? FLAG.aa : 0) | (this.#isTruncated ? FLAG.tc : 0);
    out[3] = rcode;
    const allAdditionals = additionals + (edns ? 1 : 0);
    out[4] = 0;
    out[5] = qtype === null ? 0 : 1;
    out[6] = answers >>> 8;
    out[7] = answers;
    out[8] = authorities >>> 8;
    out[9] = authorities;
    out[10] = allAdditionals >>> 8;
    out[11] = allAdditionals;
    return { size: this.#at, rcode, qtype, elsewhere: null };
  }

  /** RFC 6891 §6.1.2. */
  #writeOpt(upper: number): void {
    const opt = [0, 0, TYPE.OPT, UDP_SIZE_MAX >>> 8, UDP_SIZE_MAX & 0xff, upper, 0, 0, 0, 0, 0];
    this.#out.set(opt, this.#at);
    this.#at += OPT_SIZE;
  }
}

const SILENCE: Answered = { size: 0, rcode: 0, qtype: null, elsewhere: null };

/** Finished records, one after the other. */
interface Finished {
  readonly bytes: Uint8Array;
  /** Where each record ends. */
  readonly ends: readonly number[];
  /** Whether they are all; otherwise more than fit into the answer that they were finished for. */
  readonly isWhole: boolean;
  /** Addresses of names in the data, each name once. */
  readonly glue: readonly {
    /** Where the name begins. */
    readonly nameAt: number;
    readonly type: number;
    readonly ips: readonly Uint8Array[];
  }[];
}

function srvRecords(instances: readonly Instance[], sizeMax: number): Finished {
  const writer = new RecordWriter(sizeMax);
  const glue: { nameAt: number; type: number; ips: Uint8Array[] }[] = [];
  const named = new Set<string>();
  for (const { priority, weight, port, node, ips } of instances) {
    if (writer.isFull) break;
    const target = nameToWire(node);
    const numbers = [priority, weight, port].flatMap(u16);
    const nameAt = writer.add(TYPE.SRV, Uint8Array.from([...numbers, ...target])) + numbers.length;
    if (named.has(node)) continue;
    named.add(node);
    const addresses = ips.map((ip) => parseIp(ip)!);
    for (const [type, size] of [[TYPE.A, 4], [TYPE.AAAA, 16]] as const) {
      const those = addresses.filter(({ length }) => length === size);
      if (those.length > 0) glue.push({ nameAt, type, ips: those });
    }
  }
  return { ...writer.end(), glue };
}

/** Addresses, each once: equal records of a set are one (RFC 2181 §5). */
function addressRecords(
  of: readonly { readonly ips: readonly string[] }[],
  qtype: number,
  sizeMax: number = STREAM_SIZE_MAX,
): Finished {
  const writer = new RecordWriter(sizeMax);
  const isV6 = qtype === TYPE.AAAA;
  const written = new Set<string>();
  for (const { ips } of of) {
    if (writer.isFull) break;
    for (const ip of ips) {
      if (ip.includes(":") !== isV6 || written.has(ip)) continue;
      written.add(ip);
      writer.add(qtype, parseIp(ip)!);
    }
  }
  return { ...writer.end(), glue: [] };
}

/** Names that stay while servers come and go: a resolver's configuration needn't change. */
function serverNames(servers: readonly NameServer[], qname: Uint8Array): Finished {
  const writer = new RecordWriter(STREAM_SIZE_MAX);
  const glue: { nameAt: number; type: number; ips: Uint8Array[] }[] = [];
  for (const [i, { ips }] of servers.entries()) {
    const label = bytesOf(`ns${i}`);
    if (label.length + 1 + qname.length > NAME_SIZE_MAX) break;
    const nameAt = writer.add(TYPE.NS, Uint8Array.from([label.length, ...label, ...qname]));
    for (const ip of ips.map((each) => parseIp(each)!)) {
      glue.push({ nameAt, type: ip.length === 4 ? TYPE.A : TYPE.AAAA, ips: [ip] });
    }
  }
  return { ...writer.end(), glue };
}

class RecordWriter {
  #bytes = new Uint8Array(1024);
  #at = 0;
  readonly #ends: number[] = [];
  readonly #sizeMax: number;

  /** For an answer that has no more bytes. */
  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax;
  }

  /** Whether there is more than fits: to finish what is behind it would be for nothing. */
  get isFull(): boolean {
    return this.#at > this.#sizeMax;
  }

  /** Adds a record. @returns where its data begins */
  add(type: number, rdata: Uint8Array): number {
    while (this.#at + HEAD + rdata.length > this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#bytes.length);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    const dataAt = writeHead(this.#bytes, this.#at, {
      ...{ owner: QUESTION_NAME, type, ttl: TTL_SECONDS, size: rdata.length },
    });
    this.#bytes.set(rdata, dataAt);
    this.#at = dataAt + rdata.length;
    this.#ends.push(this.#at);
    return dataAt;
  }

  end(): Pick<Finished, "bytes" | "ends" | "isWhole"> {
    return { bytes: this.#bytes.subarray(0, this.#at), ends: this.#ends, isWhole: !this.isFull };
  }
}

/** @returns where the data begins */
function writeHead(
  out: Uint8Array,
  at: number,
  { owner, type, ttl, size }: {
    readonly owner: number;
    readonly type: number;
    readonly ttl: number;
    readonly size: number;
  },
): number {
  // Byte by byte: a list of them would cost more than all else of an answer.
  out[at] = owner >>> 8;
  out[at + 1] = owner;
  out[at + 2] = type >>> 8;
  out[at + 3] = type;
  out[at + 4] = 0;
  out[at + 5] = CLASS.IN;
  out[at + 6] = ttl >>> 24;
  out[at + 7] = ttl >>> 16;
  out[at + 8] = ttl >>> 8;
  out[at + 9] = ttl;
  out[at + 10] = size >>> 8;
  out[at + 11] = size;
  return at + HEAD;
}

/** Whether a name in lower case is a zone's apex or below it: by labels, since bytes alone also match within one. */
function isAtOrBelow(name: Uint8Array, size: number, zone: Uint8Array): boolean {
  const start = size - zone.length;
  if (start < 0) return false;
  let at = 0;
  while (at < start) at += name[at]! + 1;
  if (at !== start) return false;
  for (let i = 0; i < zone.length; i++) if (name[start + i] !== zone[i]) return false;
  return true;
}

/** What the OPT record says, if there is one; what can't be read is passed over. */
function ednsSize(
  packet: Uint8Array,
  length: number,
  at: number,
): { readonly size: number; readonly version: number; readonly isHandedOn: boolean } | null {
  let left = (packet[6]! << 8 | packet[7]!) + (packet[8]! << 8 | packet[9]!) +
    (packet[10]! << 8 | packet[11]!);
  for (; left > 0 && at < length; left--) {
    const isRoot = packet[at] === 0;
    while (at < length && packet[at]! !== 0 && packet[at]! < 0xc0) at += packet[at]! + 1;
    at += at < length && packet[at]! >= 0xc0 ? 2 : 1;
    if (at + 10 > length) return null;
    const type = packet[at]! << 8 | packet[at + 1]!;
    const end = at + 10 + (packet[at + 8]! << 8 | packet[at + 9]!);
    if (isRoot && type === TYPE.OPT) {
      return {
        size: packet[at + 2]! << 8 | packet[at + 3]!,
        version: packet[at + 5]!,
        isHandedOn: hasOption(packet, at + 10, Math.min(end, length), HANDED_ON),
      };
    }
    at = end;
  }
  return null;
}

/** Whether options of EDNS have one of this code (RFC 6891 §6.1.2). */
function hasOption(packet: Uint8Array, from: number, end: number, code: number): boolean {
  for (let at = from; at + 4 <= end; at += 4 + (packet[at + 2]! << 8 | packet[at + 3]!)) {
    if ((packet[at]! << 8 | packet[at + 1]!) === code) return true;
  }
  return false;
}

function wantedOf(qtype: number): Wanted {
  switch (qtype) {
    case TYPE.SRV:
      return "SRV";
    case TYPE.A:
      return "A";
    case TYPE.AAAA:
      return "AAAA";
    case TYPE.NS:
      return "NS";
    default:
      return "other";
  }
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function u16(value: number): [number, number] {
  return [value >>> 8 & 0xff, value & 0xff];
}

function u32(value: number): [number, number, number, number] {
  return [value >>> 24, value >>> 16 & 0xff, value >>> 8 & 0xff, value & 0xff];
}
