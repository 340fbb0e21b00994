/**
 * Whole messages for clients and tests: queries are encoded, answers decoded and shown as `dig` shows them.
 *
 * Nothing here is on the server's hot path, so it allocates freely and checks strictly: a message that isn't
 * well-formed to its last byte is refused.
 *
 * ```text
 *  0  id              2 bytes
 *  2  QR opcode AA TC RD | RA Z AD CD rcode
 *  4  questions, answers, authorities, additionals: 2 bytes each
 * 12  the four sections
 * ```
 *
 * Sources: RFC 1035 §4, RFC 6891 (EDNS), RFC 7871 (client subnet), RFC 5001 (NSID), RFC 7873 (cookies),
 * RFC 8914 (extended errors).
 *
 * @module
 */

import { familyOf, formatIp, maskBits, type Prefix } from "../ip.ts";
import { nameToWire, readCompressedName, wireToName } from "./name.ts";
import { formatGeneric, formatRdata, mapRdataNames } from "./rdata.ts";
import { CLASS, className, opcodeName, rcodeName, TYPE, typeName } from "./record_type.ts";

/** Numbers of EDNS options that this program reads or writes. */
const EDNS_OPTION = { NSID: 3, CLIENT_SUBNET: 8, COOKIE: 10, EXTENDED_ERROR: 15 } as const;

/** What a query asks. */
export interface Query {
  /** 0–65535; random where a forged answer would do harm. */
  readonly id: number;
  /** Presentation form; complete with or without a final dot. */
  readonly name: string;
  /** The type's number. */
  readonly type: number;
  /** The class's number; IN if absent. */
  readonly class?: number;
  /** Whether recursion is desired; it is if absent. */
  readonly rd?: boolean;
  /** Absent = a query without an OPT record. */
  readonly edns?: QueryEdns;
}

/** The OPT record of a query. */
export interface QueryEdns {
  /** Bytes of the largest answer that the client takes over UDP. */
  readonly udpSize: number;
  /** Whether DNSSEC records are wanted; not if absent. */
  readonly do?: boolean;
  /** 0 if absent. */
  readonly version?: number;
  /** In the order in which they are written, before the client subnet. */
  readonly options?: readonly EdnsOption[];
  /** The client's subnet. */
  readonly ecs?: Prefix;
}

/** One option of an OPT record. */
export interface EdnsOption {
  /** Its number; see `EDNS_OPTION`. */
  readonly code: number;
  /** Its payload. */
  readonly data: Uint8Array;
}

/** A decoded message. */
export interface Message {
  /** 0–65535. */
  readonly id: number;
  /** The opcode's number. */
  readonly opcode: number;
  /** The response code, with the upper bits of an OPT record. */
  readonly rcode: number;
  /** The bits of the header. */
  readonly flags: Readonly<Record<Flag, boolean>>;
  /** What was asked. */
  readonly questions: readonly Question[];
  /** The answer section. */
  readonly answers: readonly ResourceRecord[];
  /** The authority section. */
  readonly authorities: readonly ResourceRecord[];
  /** The additional section without the OPT record. */
  readonly additionals: readonly ResourceRecord[];
  /** The OPT record, or `null` without one. */
  readonly edns: Edns | null;
}

/** The bits of a header by their names: RFC 1035 §4.1.1, RFC 4035 §3. */
export type Flag = "qr" | "aa" | "tc" | "rd" | "ra" | "ad" | "cd";

/** An entry of the question section. */
export interface Question {
  /** Presentation form without a final dot, case kept. */
  readonly name: string;
  /** The type's number. */
  readonly type: number;
  /** The class's number. */
  readonly class: number;
}

/** A record of one of the other sections. */
export interface ResourceRecord extends Question {
  /** Seconds. */
  readonly ttl: number;
  /** Wire form with names uncompressed. */
  readonly rdata: Uint8Array;
  /** The same in presentation form. */
  readonly data: string;
}

/** A decoded OPT record. */
export interface Edns {
  /** Bytes of the largest message that the sender takes over UDP. */
  readonly udpSize: number;
  /** 0 is the only version there is. */
  readonly version: number;
  /** The DNSSEC-OK bit. */
  readonly do: boolean;
  /** All options in their order. */
  readonly options: readonly EdnsOption[];
  /** The client-subnet option, or `null` without one. */
  readonly ecs: ClientSubnet | null;
  /** The name server's identifier (RFC 5001), or `null` without one. */
  readonly nsid: Uint8Array | null;
}

/** The payload of a client-subnet option, RFC 7871 §6. */
export interface ClientSubnet {
  /** The subnet of the client. */
  readonly prefix: Prefix;
  /** Bits of the address for which the answer holds. */
  readonly scope: number;
}

/**
 * Writes a query.
 *
 * @throws {SyntaxError} when the name is none
 */
export function encodeQuery(query: Query): Uint8Array {
  const { id, name, type, class: queryClass = CLASS.IN, rd = true, edns } = query;
  return Uint8Array.from([
    ...u16(id),
    rd ? 0x01 : 0,
    0,
    ...u16(1),
    ...u16(0),
    ...u16(0),
    ...u16(edns ? 1 : 0),
    ...nameToWire(name),
    ...u16(type),
    ...u16(queryClass),
    ...(edns ? encodeOpt(edns) : []),
  ]);
}

/**
 * Reads a message.
 *
 * @throws {SyntaxError} when it isn't well-formed, naming the byte
 */
export function decodeMessage(bytes: Uint8Array): Message {
  const reader = new MessageReader(bytes);
  const [id, flags] = [reader.u16(), reader.u16()];
  const counts = [reader.u16(), reader.u16(), reader.u16(), reader.u16()] as const;
  const questions = Array.from({ length: counts[0] }, () => reader.question());
  const [answers, authorities, withOpt] = counts.slice(1).map((count) => records(reader, count));
  reader.end();
  if ([...answers!, ...authorities!].some(({ type }) => type === TYPE.OPT)) {
    throw new SyntaxError("There is an OPT record outside the additional section");
  }
  const opts = withOpt!.filter(({ type }) => type === TYPE.OPT);
  if (opts.length > 1) throw new SyntaxError(`There are ${opts.length} OPT records; one is allowed`);
  const upperRcode = opts[0] ? Math.floor(opts[0].ttl / 2 ** 24) : 0;
  return {
    id,
    opcode: flags >> 11 & 15,
    rcode: upperRcode << 4 | flags & 15,
    flags: Object.fromEntries(FLAGS.map(({ name, bit }) => [name, (flags & bit) !== 0])) as Record<
      Flag,
      boolean
    >,
    questions,
    answers: answers!,
    authorities: authorities!,
    additionals: withOpt!.filter(({ type }) => type !== TYPE.OPT),
    edns: opts[0] ? decodeOpt(opts[0]) : null,
  };
}

/** Writes a message as `dig` does: header, OPT record, question, and those sections that aren't empty. */
export function formatMessage(message: Message): string {
  const { id, opcode, rcode, flags, questions, answers, authorities, additionals, edns } = message;
  const set = FLAGS.filter(({ name }) => flags[name]).map(({ name }) => ` ${name}`).join("");
  const counts = `QUERY: ${questions.length}, ANSWER: ${answers.length}, AUTHORITY: ${authorities.length}, ` +
    `ADDITIONAL: ${additionals.length + (edns ? 1 : 0)}`;
  const blocks = [
    `;; ->>HEADER<<- opcode: ${opcodeName(opcode)}, status: ${rcodeName(rcode)}, id: ${id}\n` +
    `;; flags:${set}; ${counts}`,
    [...(edns ? formatEdns(edns) : []), ...formatQuestions(questions)].join("\n"),
    formatSection("ANSWER", answers),
    formatSection("AUTHORITY", authorities),
    formatSection("ADDITIONAL", additionals),
  ];
  return `${blocks.filter((block) => block !== "").join("\n\n")}\n`;
}

const FLAGS: readonly { readonly name: Flag; readonly bit: number }[] = [
  { name: "qr", bit: 0x8000 },
  { name: "aa", bit: 0x0400 },
  { name: "tc", bit: 0x0200 },
  { name: "rd", bit: 0x0100 },
  { name: "ra", bit: 0x0080 },
  { name: "ad", bit: 0x0020 },
  { name: "cd", bit: 0x0010 },
];

class MessageReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  u16(): number {
    const [high, low] = this.#take(2);
    return high! << 8 | low!;
  }

  question(): Question {
    return { name: wireToName(this.#name()), type: this.u16(), class: this.u16() };
  }

  record(): ResourceRecord {
    const { name, type, class: recordClass } = this.question();
    const ttl = this.u16() * 2 ** 16 + this.u16();
    const size = this.u16();
    const at = this.#at;
    this.#take(size);
    if (type === TYPE.OPT && name !== ".") throw new SyntaxError(`The OPT record has the owner ${name}`);
    return { name, type, class: recordClass, ttl, ...this.#rdata({ type, class: recordClass }, at) };
  }

  end(): void {
    const surplus = this.#bytes.length - this.#at;
    if (surplus > 0) throw new SyntaxError(`The message has ${surplus} bytes behind its last record`);
  }

  #rdata(
    { type, class: recordClass }: Omit<Question, "name">,
    at: number,
  ): { rdata: Uint8Array; data: string } {
    const end = this.#at;
    // An address record has another form in other classes, and the empty data of an RFC 2136 update have none.
    const isGeneric = type === TYPE.OPT || (recordClass !== CLASS.IN && (type === TYPE.A || at === end));
    if (isGeneric) {
      const rdata = this.#bytes.slice(at, end);
      return { rdata, data: formatGeneric(rdata) };
    }
    const bytes = this.#bytes;
    const rdata = mapRdataNames(type, { bytes, at, end }, (nameAt) => readCompressedName(bytes, nameAt));
    return { rdata, data: formatRdata(type, rdata) };
  }

  #name(): Uint8Array {
    const { name, end } = readCompressedName(this.#bytes, this.#at);
    this.#at = end;
    return name;
  }

  #take(size: number): Uint8Array {
    const end = this.#at + size;
    if (end > this.#bytes.length) {
      throw new SyntaxError(
        `The message ends at byte ${this.#bytes.length}, within what should reach to ${end}`,
      );
    }
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }
}

function records(reader: MessageReader, count: number): ResourceRecord[] {
  return Array.from({ length: count }, () => reader.record());
}

/** Of an OPT record the class is the size and the TTL holds rcode bits, version and flags: RFC 6891 §6.1.3. */
function decodeOpt({ class: udpSize, ttl, rdata }: ResourceRecord): Edns {
  const options: EdnsOption[] = [];
  for (let at = 0; at < rdata.length;) {
    if (at + 4 > rdata.length) throw new SyntaxError("An EDNS option ends early");
    const end = at + 4 + (rdata[at + 2]! << 8 | rdata[at + 3]!);
    if (end > rdata.length) throw new SyntaxError("An EDNS option ends early");
    options.push({ code: rdata[at]! << 8 | rdata[at + 1]!, data: rdata.slice(at + 4, end) });
    at = end;
  }
  const dataOf = (code: number) => options.find((option) => option.code === code)?.data;
  const subnet = dataOf(EDNS_OPTION.CLIENT_SUBNET);
  return {
    udpSize,
    version: ttl >> 16 & 0xff,
    do: (ttl & 0x8000) !== 0,
    options,
    ecs: subnet ? decodeSubnet(subnet) : null,
    nsid: dataOf(EDNS_OPTION.NSID) ?? null,
  };
}

function encodeOpt(
  { udpSize, do: wantsDnssec = false, version = 0, options = [], ecs }: QueryEdns,
): number[] {
  const all = ecs ? [...options, { code: EDNS_OPTION.CLIENT_SUBNET, data: encodeSubnet(ecs) }] : options;
  const rdata = all.flatMap(({ code, data }) => [...u16(code), ...u16(data.length), ...data]);
  const flags = wantsDnssec ? 0x80 : 0;
  return [0, ...u16(TYPE.OPT), ...u16(udpSize), 0, version, flags, 0, ...u16(rdata.length), ...rdata];
}

/** Family, source and scope lengths, and as many bytes as the source length needs. */
function encodeSubnet({ family, bytes, length }: Prefix): Uint8Array {
  const address = maskBits(bytes, length).subarray(0, Math.ceil(length / 8));
  return Uint8Array.of(0, family === 4 ? 1 : 2, length, 0, ...address);
}

function decodeSubnet(data: Uint8Array): ClientSubnet {
  const [high, low, length, scope, ...address] = data;
  const size = high === 0 && low === 1 ? 4 : high === 0 && low === 2 ? 16 : 0;
  if (scope === undefined || size === 0 || length! > size * 8 || scope > size * 8) {
    throw new SyntaxError(`The client subnet ${data.toHex()} has a wrong family or length`);
  }
  const bytes = new Uint8Array(size);
  if (address.length === Math.ceil(length! / 8)) bytes.set(address);
  else throw new SyntaxError(`The client subnet has ${address.length} address bytes for /${length}`);
  if (maskBits(bytes, length!).some((byte, i) => byte !== bytes[i])) {
    throw new SyntaxError(`The client subnet ${formatIp(bytes)}/${length} has bits set behind its length`);
  }
  return { prefix: { family: familyOf(bytes), bytes, length: length! }, scope };
}

function formatEdns({ udpSize, version, do: isDo, options, ecs }: Edns): string[] {
  return [
    ";; OPT PSEUDOSECTION:",
    `; EDNS: version: ${version}, flags:${isDo ? " do" : ""}; udp: ${udpSize}`,
    ...options.map((option) => `; ${formatOption(option, ecs)}`),
  ];
}

function formatOption({ code, data }: EdnsOption, ecs: ClientSubnet | null): string {
  switch (code) {
    case EDNS_OPTION.CLIENT_SUBNET:
      return `CLIENT-SUBNET: ${formatIp(ecs!.prefix.bytes)}/${ecs!.prefix.length}/${ecs!.scope}`;
    case EDNS_OPTION.NSID:
      return `NSID: ${hexAndText(data)}`;
    case EDNS_OPTION.COOKIE:
      return `COOKIE: ${data.toHex()}`;
    case EDNS_OPTION.EXTENDED_ERROR:
      return data.length < 2 ? "EDE:" : `EDE: ${data[0]! << 8 | data[1]!}${quotedText(data.subarray(2))}`;
    default:
      return `OPT=${code}: ${hexAndText(data)}`;
  }
}

function hexAndText(data: Uint8Array): string {
  const hex = Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return `${hex}${quotedText(data)}`;
}

/** In brackets, bytes that no terminal should see as dots. */
function quotedText(data: Uint8Array): string {
  if (data.length === 0) return "";
  const text = Array.from(data, (byte) => byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".").join(
    "",
  );
  return ` ("${text}")`;
}

function formatQuestions(questions: readonly Question[]): string[] {
  const lines = questions.map(({ name, type, class: questionClass }) =>
    `${atColumn(`;${absolute(name)}`, 32)}${className(questionClass)}\t${typeName(type)}`
  );
  return lines.length === 0 ? [] : [";; QUESTION SECTION:", ...lines];
}

function formatSection(title: string, records: readonly ResourceRecord[]): string {
  return records.length === 0 ? "" : [`;; ${title} SECTION:`, ...records.map(formatRecord)].join("\n");
}

/** One record as a line of a zone file, in the columns of `dig`. */
function formatRecord({ name, ttl, class: recordClass, type, data }: ResourceRecord): string {
  return `${atColumn(absolute(name), 24)}${atColumn(String(ttl), 8)}${className(recordClass)}\t${
    typeName(type)
  }\t${data}`;
}

/** The text, and tabs of 8 columns up to `column`, at least one. */
function atColumn(text: string, column: number): string {
  return text + "\t".repeat(Math.max(1, Math.ceil((column - text.length) / 8)));
}

function absolute(name: string): string {
  return name === "." ? name : `${name}.`;
}

function u16(value: number): [number, number] {
  return [value >> 8 & 0xff, value & 0xff];
}
