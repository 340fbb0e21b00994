/**
 * Reading zones from a name server over TCP: whole ones (AXFR, RFC 5936), and the SOA record with its signatures.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { SocketAddress } from "../ip.ts";
import { decodeMessage, encodeQuery, type Message, type ResourceRecord } from "../wire/message.ts";
import { CLASS, RCODE, rcodeName, TYPE, typeName } from "../wire/record_type.ts";
import { FramedReader } from "./framed_reader.ts";
import type { Signature } from "./messages.ts";
import type { TransferReader } from "./zone_messages.ts";

/** Text of a zone that is taken: three million records. */
const TEXT_MAX = 256 * 1024 * 1024;

/** The SOA record of a zone as a server answers it. */
export interface SoaAnswer {
  /** Of the zone. */
  readonly serial: number;
  /** Lines of a zone file: the record, then its signatures. */
  readonly lines: readonly string[];
  /** `null` = the zone is unsigned. */
  readonly signature: Signature | null;
}

/** A connection to a name server, for one question after the other. */
export class DnsConnection implements Disposable {
  readonly #conn: Deno.TcpConn;
  readonly #reader: FramedReader;
  readonly #timeoutMs: number;

  private constructor(conn: Deno.TcpConn, timeoutMs: number) {
    this.#conn = conn;
    this.#reader = new FramedReader(conn);
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Connects.
   *
   * @param timeoutMs longest wait for the connection, and again for each message
   * @throws {Error} when the server can't be reached in time
   */
  static async open(server: SocketAddress, timeoutMs: number): Promise<DnsConnection> {
    const late = new AbortController();
    const timer = setTimeout(
      () => late.abort(new Deno.errors.TimedOut(`the server didn't answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
    try {
      const conn = await Deno.connect({ ...server, transport: "tcp", signal: late.signal });
      conn.setNoDelay(true);
      return new DnsConnection(conn, timeoutMs);
    } finally {
      clearTimeout(timer);
    }
  }

  /** The SOA record; `null` = the server doesn't have the zone. @throws {Error} when it doesn't say */
  async soa(zone: string): Promise<SoaAnswer | null> {
    const { rcode, answers } = await this.#ask(zone, TYPE.SOA);
    if (rcode === RCODE.NXDOMAIN || rcode === RCODE.REFUSED || rcode === RCODE.NOTAUTH) return null;
    if (rcode !== RCODE.NOERROR) throw new Error(`${zone} SOA is answered with ${rcodeName(rcode)}`);
    const own = answers.filter(({ name }) => sameZone(name, zone));
    const soa = own.find(({ type }) => type === TYPE.SOA);
    if (soa === undefined) return null;
    const signatures = own.filter(({ type, rdata }) =>
      type === TYPE.RRSIG && coveredType(rdata) === TYPE.SOA
    );
    return {
      serial: serialOf(soa.rdata),
      lines: [soa, ...signatures].map(lineOf),
      signature: signatureOf(signatures.map(({ rdata }) => rdata)),
    };
  }

  /**
   * A whole zone, record by record, the SOA record first and only once.
   *
   * @throws {Error} when the server refuses, or what it sends isn't the whole zone
   */
  async *transfer(zone: string): AsyncGenerator<ResourceRecord> {
    const id = await this.#send(zone, TYPE.AXFR, false);
    let hasBegun = false;
    let size = 0;
    for (;;) {
      const message = await this.#receive(id);
      if (message.rcode !== RCODE.NOERROR) {
        throw new Error(`the transfer of ${zone} is answered with ${rcodeName(message.rcode)}`);
      }
      if (message.answers.length === 0) throw new Error(`the transfer of ${zone} has an empty message`);
      for (const record of message.answers) {
        const isSoa = record.type === TYPE.SOA && sameZone(record.name, zone);
        if (!hasBegun && !isSoa) throw new Error(`the transfer of ${zone} doesn't begin with its SOA record`);
        if (hasBegun && isSoa) return;
        hasBegun = true;
        size += record.name.length + record.data.length;
        if (size > TEXT_MAX) throw new Error(`the zone ${zone} has more than ${TEXT_MAX} bytes`);
        yield record;
      }
    }
  }

  /**
   * A whole zone, as the messages that it comes in.
   *
   * @param reader looks through them
   * @throws {Error} when the server refuses, or what it sends isn't the whole zone
   */
  async *messages(zone: string, reader: TransferReader): AsyncGenerator<Uint8Array> {
    const id = await this.#send(zone, TYPE.AXFR, false);
    let size = 0;
    while (!reader.isWhole) {
      const message = await this.#receiveBytes();
      const isAnswer = message.length >= 4 && (message[0]! << 8 | message[1]!) === id &&
        (message[2]! & 0x80) !== 0;
      if (!isAnswer) throw new Error("the server answers another question");
      reader.take(message);
      size += message.length;
      if (size > TEXT_MAX) throw new Error(`the zone ${zone} has more than ${TEXT_MAX} bytes`);
      yield message;
    }
  }

  /** Closes it. */
  [Symbol.dispose](): void {
    this.#conn.close();
  }

  async #ask(zone: string, type: number): Promise<Message> {
    return await this.#receive(await this.#send(zone, type, true));
  }

  async #send(zone: string, type: number, wantsSignatures: boolean): Promise<number> {
    const id = crypto.getRandomValues(new Uint16Array(1))[0]!;
    const edns = wantsSignatures ? { edns: { udpSize: 4_096, do: true } } : {};
    const query = encodeQuery({ id, name: zone, type, class: CLASS.IN, rd: false, ...edns });
    const framed = Uint8Array.of(query.length >> 8, query.length & 0xff, ...query);
    for (let at = 0; at < framed.length;) at += await this.#conn.write(framed.subarray(at));
    return id;
  }

  async #receive(id: number): Promise<Message> {
    const message = decodeMessage(await this.#receiveBytes());
    if (message.id !== id || !message.flags.qr) throw new Error("the server answers another question");
    return message;
  }

  async #receiveBytes(): Promise<Uint8Array> {
    const late = Promise.withResolvers<never>();
    late.promise.catch(() => {});
    const timer = setTimeout(
      () => late.reject(new Deno.errors.TimedOut(`the server didn't answer within ${this.#timeoutMs} ms`)),
      this.#timeoutMs,
    );
    try {
      // What isn't read in time leaves the connection in the middle of a message; its owner closes it.
      const reading = this.#reader.next();
      reading.catch(() => {});
      const message = await Promise.race([reading, late.promise]);
      if (message === null) throw new Deno.errors.UnexpectedEof("the server closed the connection");
      return message;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Opens a connection, uses it and closes it. @throws {Error} as the two do */
export async function withDns<Result>(
  { server, timeoutMs }: DnsServer,
  use: (connection: DnsConnection) => Promise<Result>,
): Promise<Result> {
  using connection = await DnsConnection.open(server, timeoutMs);
  return await use(connection);
}

/** A name server, and how long it may take. */
export interface DnsServer {
  /** Where it answers over TCP. */
  readonly server: SocketAddress;
  /** Longest wait for each message. */
  readonly timeoutMs: number;
}

/** A record as a line of a zone file, without line break. */
export function lineOf({ name, ttl, type, data }: ResourceRecord): string {
  return `${name === "." ? name : `${name}.`}\t${ttl}\tIN\t${typeName(type)}\t${data}`;
}

/** Of all records but signatures, which differ from server to server; in any order, and of any case of owners. */
export class ContentDigest {
  readonly #lines: string[] = [];

  /** Takes a record in. */
  add({ name, ttl, type, data }: ResourceRecord): void {
    if (type !== TYPE.RRSIG) this.#lines.push(`${name.toLowerCase()} ${ttl} ${type} ${data}`);
  }

  /** Of what was taken in; hex. */
  text(): string {
    const hash = createHash("sha256");
    for (const line of this.#lines.sort()) hash.update(`${line}\n`);
    return hash.digest("hex").slice(0, 32);
  }
}

/** The digest of a zone as that connection's server has it. @throws {Error} when it can't be transferred */
export async function digestOf(connection: DnsConnection, zone: string): Promise<string> {
  const digest = new ContentDigest();
  for await (const record of connection.transfer(zone)) digest.add(record);
  return digest.text();
}

/** The serial in the data of an SOA record: behind its two names (RFC 1035 §3.3.13). */
export function serialOf(rdata: Uint8Array): number {
  return new DataView(rdata.buffer, rdata.byteOffset, rdata.byteLength).getUint32(rdata.length - 20);
}

/** RFC 4034 §3.1: type covered, algorithm, labels, TTL, end, begin, key tag. */
function coveredType(rdata: Uint8Array): number {
  return rdata[0]! << 8 | rdata[1]!;
}

/** What signatures say together: the latest begin, the earliest end. `null` = there are none. */
export function signatureOf(rrsigs: readonly Uint8Array[]): Signature | null {
  if (rrsigs.length === 0) return null;
  const read = rrsigs.map((rdata) => {
    const view = new DataView(rdata.buffer, rdata.byteOffset, rdata.byteLength);
    return { until: view.getUint32(8), from: view.getUint32(12), keyTag: view.getUint16(16) };
  });
  return {
    fromSeconds: Math.max(...read.map(({ from }) => from)),
    untilSeconds: Math.min(...read.map(({ until }) => until)),
    keyTags: read.map(({ keyTag }) => keyTag).sort((a, b) => a - b),
  };
}

function sameZone(name: string, zone: string): boolean {
  return (name === "." ? name : `${name}.`).toLowerCase() === zone;
}
