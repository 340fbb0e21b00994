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

/** Names that are remembered; then it begins again. One takes some 400 bytes, and what its records have. */
const NAMES_MAX = 10_000;

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
  readonly #name = new Uint8Array(NAME_SIZE_MAX);
  /** The same bytes, which it makes a text of. */
  readonly #text = Buffer.from(this.#name.buffer);
  /** Names that were asked for before, by their labels in front of the dns zone. */
  readonly #asked = new Map<string, AskedName>();
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
    const asked = this.#askedName(nameSize - zone.length);
    const decision = decide(this.#catalog, asked.subject, wantedOf(qtype));
    const rcode = this.#write(decision, {
      ...{ qtype, zone, nameSize, asked },
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

  /** What is known of the labels in front of the dns zone. @param end bytes of them */
  #askedName(end: number): AskedName {
    const text = this.#text.toString("latin1", 0, end);
    let asked = this.#asked.get(text);
    if (asked === undefined) {
      if (this.#asked.size >= NAMES_MAX) this.#asked.clear();
      this.#asked.set(text, asked = { subject: this.#readSubject(end), finished: null });
    }
    return asked;
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
    { qtype, zone, nameSize, asked, countMax, sizeMax }: {
      readonly qtype: number;
      readonly zone: Uint8Array;
      readonly nameSize: number;
      readonly asked: AskedName;
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
        this.#writeLeading(finishedOf(asked, decision.instances, { qtype, sizeMax }), countMax);
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

  /** Writes the leading records that fit, and TC where some are left out. */
  #writeLeading(finished: Finished, countMax: number): void {
    const from = this.#at;
    const size = finished.copyTo(this.#out, from, { countMax, end: this.#limit });
    const count = finished.copied;
    this.#at = from + size;
    this.#counts.answers = count;
    this.#isTruncated = count < finished.count;
    if (this.#isTruncated) return;
    const { glue, glueSize } = finished;
    for (let at = 0; at < glueSize;) {
      const nameAt = glue[at]! << 8 | glue[at + 1]!;
      const ipSize = glue[at + 2]!;
      if (from + nameAt > POINTER_MAX) return;
      const type = ipSize === 4 ? TYPE.A : TYPE.AAAA;
      if (!this.#addGlueHead(0xc000 | from + nameAt, type, ipSize)) return;
      at += GLUE_HEAD;
      // Byte by byte: a part of an array for each would have to be collected.
      for (const end = at + ipSize; at < end; at++) this.#out[this.#at++] = glue[at]!;
    }
  }

  #addGlue(owner: number, type: number, ip: Uint8Array): boolean {
    if (!this.#addGlueHead(owner, type, ip.length)) return false;
    this.#out.set(ip, this.#at);
    this.#at += ip.length;
    return true;
  }

  #addGlueHead(owner: number, type: number, size: number): boolean {
    if (this.#at + HEAD + size > this.#limit) return false;
    this.#writeHead(owner, type, TTL_SECONDS, size);
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

/** A name that was asked for. */
interface AskedName {
  readonly subject: Subject;
  /** What it was answered by type; `null` = it had no instances so far. */
  finished: Map<number, Finished> | null;
}

/** The records of instances. @param sizeMax no answer of this kind has more bytes */
function finishedOf(
  asked: AskedName,
  instances: readonly Instance[],
  { qtype, sizeMax }: { readonly qtype: number; readonly sizeMax: number },
): Finished {
  const byType = asked.finished ??= new Map();
  let finished = byType.get(qtype);
  if (finished === undefined) byType.set(qtype, finished = new Finished());
  if (!finished.isOf(instances, sizeMax)) {
    if (qtype === TYPE.SRV) writeSrvs(finished.begin(instances, sizeMax), instances);
    else writeAddresses(finished.begin(instances, sizeMax), instances, qtype);
  }
  return finished;
}

function writeSrvs(finished: Finished, instances: readonly Instance[]): void {
  const named = new Set<string>();
  for (const { priority, weight, port, node, ips } of instances) {
    if (finished.isFull) break;
    const target = nameToWire(node);
    const at = finished.add(TYPE.SRV, SRV_NUMBERS + target.length);
    const { bytes } = finished;
    bytes[at] = priority >>> 8;
    bytes[at + 1] = priority;
    bytes[at + 2] = weight >>> 8;
    bytes[at + 3] = weight;
    bytes[at + 4] = port >>> 8;
    bytes[at + 5] = port;
    bytes.set(target, at + SRV_NUMBERS);
    if (named.has(node)) continue;
    named.add(node);
    const addresses = ips.map((ip) => parseIp(ip)!);
    for (const size of [4, 16]) {
      for (const ip of addresses) if (ip.length === size) finished.addGlue(at + SRV_NUMBERS, ip);
    }
  }
}

/** Bytes of priority, weight and port. */
const SRV_NUMBERS = 6;

/** Addresses, each once: equal records of a set are one (RFC 2181 §5). */
function writeAddresses(
  finished: Finished,
  of: readonly { readonly ips: readonly string[] }[],
  qtype: number,
): void {
  const isV6 = qtype === TYPE.AAAA;
  const written = new Set<string>();
  for (const { ips } of of) {
    if (finished.isFull) break;
    for (const ip of ips) {
      if (ip.includes(":") !== isV6 || written.has(ip)) continue;
      written.add(ip);
      const rdata = parseIp(ip)!;
      const at = finished.add(qtype, rdata.length);
      finished.bytes.set(rdata, at);
    }
  }
}

function addressRecords(servers: readonly NameServer[], qtype: number): Finished {
  const finished = new Finished().begin(null, STREAM_SIZE_MAX);
  writeAddresses(finished, servers, qtype);
  return finished;
}

/** Names that stay while servers come and go: a resolver's configuration needn't change. */
function serverNames(servers: readonly NameServer[], qname: Uint8Array): Finished {
  const finished = new Finished().begin(null, STREAM_SIZE_MAX);
  for (const [i, { ips }] of servers.entries()) {
    const label = bytesOf(`ns${i}`);
    if (label.length + 1 + qname.length > NAME_SIZE_MAX) break;
    const nameAt = finished.add(TYPE.NS, 1 + label.length + qname.length);
    finished.bytes[nameAt] = label.length;
    finished.bytes.set(label, nameAt + 1);
    finished.bytes.set(qname, nameAt + 1 + label.length);
    for (const ip of ips) finished.addGlue(nameAt, parseIp(ip)!);
  }
  return finished;
}

/** Before an address: where its name begins in the records, and its length. */
const GLUE_HEAD = 3;

/**
 * Finished records, one after the other. When what they are of changes they are written again in their place: what would be thrown
 * away instead has lived for seconds, so that a collection of the whole heap alone gives it back, and where a hundred instances a
 * second change those were tens of megabytes.
 */
class Finished {
  /** The records; there is room behind them. */
  bytes: Uint8Array = new Uint8Array(128);
  /** Addresses of names in the data, each name once; there is room behind them. */
  glue: Uint8Array = new Uint8Array(0);
  glueSize = 0;
  /** How many records there are. */
  count = 0;
  /** How many were copied last. */
  copied = 0;
  #size = 0;
  /** Where each record ends; likewise. */
  #ends = new Uint32Array(4);
  #of: readonly Instance[] | null = null;
  #sizeMax = 0;

  /** Whether they are all of these, or more than fit into an answer of so many bytes. */
  isOf(instances: readonly Instance[], sizeMax: number): boolean {
    return this.#of === instances && (!this.isFull || this.#size > sizeMax);
  }

  /** Whether there is more than fits: to finish what is behind it would be for nothing. */
  get isFull(): boolean {
    return this.#size > this.#sizeMax;
  }

  /** Begins again. @param sizeMax an answer has no more bytes */
  begin(of: readonly Instance[] | null, sizeMax: number): this {
    this.#of = of;
    this.#sizeMax = sizeMax;
    this.#size = this.count = this.glueSize = 0;
    return this;
  }

  /** Adds a record. @returns where its data, of so many bytes, is to be written */
  add(type: number, size: number): number {
    const dataAt = this.#size + HEAD;
    this.bytes = withRoom(this.bytes, dataAt + size);
    if (this.count === this.#ends.length) {
      const before = this.#ends;
      this.#ends = new Uint32Array(2 * before.length);
      this.#ends.set(before);
    }
    writeHead(this.bytes, this.#size, { owner: QUESTION_NAME, type, ttl: TTL_SECONDS, size });
    this.#size = dataAt + size;
    this.#ends[this.count++] = this.#size;
    return dataAt;
  }

  /** Adds an address of a name that begins there. */
  addGlue(nameAt: number, ip: Uint8Array): void {
    const at = this.glueSize;
    this.glueSize += GLUE_HEAD + ip.length;
    this.glue = withRoom(this.glue, this.glueSize);
    this.glue[at] = nameAt >>> 8;
    this.glue[at + 1] = nameAt;
    this.glue[at + 2] = ip.length;
    this.glue.set(ip, at + GLUE_HEAD);
  }

  /** Copies the leading ones that fit before an end. @returns their bytes */
  copyTo(
    out: Uint8Array,
    at: number,
    { countMax, end }: { readonly countMax: number; readonly end: number },
  ): number {
    let count = 0;
    let size = 0;
    while (count < this.count && count < countMax && at + this.#ends[count]! <= end) {
      size = this.#ends[count++]!;
    }
    out.set(this.bytes.subarray(0, size), at);
    this.copied = count;
    return size;
  }
}

function withRoom(bytes: Uint8Array, size: number): Uint8Array {
  if (size <= bytes.length) return bytes;
  const larger = new Uint8Array(Math.max(size, 2 * bytes.length));
  larger.set(bytes);
  return larger;
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

function u32(value: number): [number, number, number, number] {
  return [value >>> 24, value >>> 16 & 0xff, value >>> 8 & 0xff, value & 0xff];
}
