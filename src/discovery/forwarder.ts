/**
 * Questions about zones that are answered elsewhere, handed on to the zone's own servers: for resolvers that don't follow
 * referrals, or can't reach those servers.
 *
 * What is handed on says so, by an option of EDNS (RFC 6891 §6.1.2, a code for local use): a server never hands on what another
 * one has handed on, so that two that name each other don't ask each other without end.
 *
 * @module
 */
import type { SocketAddress } from "../ip.ts";
import { RCODE, TYPE } from "../wire/record_type.ts";
import { type Elsewhere, HANDED_ON, UDP_SIZE_PLAIN } from "./dns_answers.ts";

/** Questions at a time: each has a socket of its own, whose port can only be guessed. */
const ASKED_MAX = 256;
/** What a server may take, milliseconds, and how many of them are asked. */
const ANSWER_MS = 1_000;
const SERVERS_MAX = 3;
const HEADER_SIZE = 12;
const OPT_SIZE = 11;
const OPTION_HEAD = 4;

/** A question that is handed on. */
export interface HandedOn extends Elsewhere {
  /** The query; it is copied. */
  readonly packet: Uint8Array;
  /** Whether it came by a stream. */
  readonly stream: boolean;
}

/** Hands questions on. */
export class Forwarder implements Disposable {
  readonly #servers: ReadonlyMap<string, readonly SocketAddress[]>;
  readonly #open = new Set<Disposable>();
  /** The server of a zone that is asked first: it answered last. */
  readonly #first = new Map<string, number>();
  #asked = 0;
  #isEnded = false;

  /** Nothing is asked yet. @param servers of each zone that is handed on */
  constructor(servers: ReadonlyMap<string, readonly SocketAddress[]>) {
    this.#servers = servers;
  }

  /** Whether questions about a zone are handed on. */
  serves(zone: string): boolean {
    return this.#servers.has(zone);
  }

  /** Asks. Never rejects: where no server answers, that is SERVFAIL. */
  async ask(question: HandedOn): Promise<Uint8Array> {
    const { zone, stream, questionEnd } = question;
    const packet = question.packet.slice(0, questionEnd);
    const servers = this.#servers.get(zone) ?? [];
    if (this.#asked >= ASKED_MAX) return failure(packet);
    this.#asked++;
    try {
      for (let i = 0; i < Math.min(SERVERS_MAX, servers.length) && !this.#isEnded; i++) {
        const at = ((this.#first.get(zone) ?? 0) + i) % servers.length;
        const udpSize = question.udpSize ?? UDP_SIZE_PLAIN;
        const query = queryOf(packet, udpSize);
        const asking = stream
          ? this.#askByStream(servers[at]!, query)
          : this.#askByDatagram(servers[at]!, query, udpSize);
        const answer = await asking.catch(() => null);
        if (answer === null) continue;
        this.#first.set(zone, at);
        const whole = question.udpSize === null ? withoutOpt(answer) : answer;
        whole.set(packet.subarray(0, 2));
        // Whether they offer recursion is not ours to say.
        whole[3]! &= 0x7f;
        return whole;
      }
    } finally {
      this.#asked--;
    }
    return failure(packet);
  }

  /** Asks no more; what is asked then is SERVFAIL. */
  [Symbol.dispose](): void {
    this.#isEnded = true;
    for (const each of this.#open) each[Symbol.dispose]();
  }

  async #askByDatagram(server: SocketAddress, query: Uint8Array, udpSize: number): Promise<Uint8Array> {
    const hostname = server.hostname.includes(":") ? "::" : "0.0.0.0";
    const socket = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
    return await this.#within(socket, async () => {
      await socket.send(query, { transport: "udp", ...server });
      for (;;) {
        const [answer, from] = await socket.receive(new Uint8Array(4_096));
        const { hostname, port } = from as Deno.NetAddr;
        const isTheirs = port === server.port && hostname === server.hostname;
        if (isTheirs && answer.length <= udpSize && isAnswerTo(query, answer)) return answer;
      }
    });
  }

  async #askByStream(server: SocketAddress, query: Uint8Array): Promise<Uint8Array> {
    const opening = new AbortController();
    const connection = await this.#within(
      { close: () => opening.abort() },
      () => Deno.connect({ ...server, signal: opening.signal }),
    );
    return await this.#within(connection, async () => {
      const framed = new Uint8Array(2 + query.length);
      framed.set([query.length >>> 8, query.length & 0xff]);
      framed.set(query, 2);
      for (let at = 0; at < framed.length;) at += await connection.write(framed.subarray(at));
      const head = await readWhole(connection, 2);
      const answer = await readWhole(connection, head[0]! << 8 | head[1]!);
      if (!isAnswerTo(query, answer)) throw new Error("It answers something else");
      return answer;
    });
  }

  /** Runs it, and closes what it needs: at its end, when it takes too long, and when nothing is asked any more. */
  async #within<Result>(needed: { close(): void }, run: () => Promise<Result>): Promise<Result> {
    let isOpen = true;
    const open = {
      [Symbol.dispose]: () => {
        if (isOpen) needed.close();
        isOpen = false;
      },
    };
    this.#open.add(open);
    const late = setTimeout(() => open[Symbol.dispose](), ANSWER_MS);
    try {
      return await run();
    } finally {
      clearTimeout(late);
      open[Symbol.dispose]();
      this.#open.delete(open);
    }
  }
}

/** The same question under another number, that says that it is handed on. */
function queryOf(packet: Uint8Array, udpSize: number): Uint8Array {
  const query = new Uint8Array(packet.length + OPT_SIZE + OPTION_HEAD);
  query.set(packet);
  crypto.getRandomValues(query.subarray(0, 2));
  query.set([packet[2]! & 0x01, 0, 0, 1, 0, 0, 0, 0, 0, 1], 2);
  const option = [HANDED_ON >>> 8, HANDED_ON & 0xff, 0, 0];
  const opt = [0, 0, TYPE.OPT, udpSize >>> 8, udpSize & 0xff, 0, 0, 0, 0, 0, OPTION_HEAD];
  query.set([...opt, ...option], packet.length);
  return query;
}

/** Whether it is a response of the same number, to the same question. */
function isAnswerTo(query: Uint8Array, answer: Uint8Array): boolean {
  const end = query.length - OPT_SIZE - OPTION_HEAD;
  if (answer.length < end || (answer[2]! & 0x80) === 0) return false;
  for (let i = 0; i < end; i++) {
    const isOurs = i < 2 || i === 4 || i === 5 || i >= HEADER_SIZE;
    if (isOurs && answer[i] !== query[i]) return false;
  }
  return true;
}

/** A message without its OPT record, where that is its last one, as it mostly is. */
function withoutOpt(message: Uint8Array): Uint8Array {
  const additionals = message[10]! << 8 | message[11]!;
  const at = message.length - OPT_SIZE;
  const isLast = additionals > 0 && at >= HEADER_SIZE && message[at] === 0 && message[at + 1] === 0 &&
    message[at + 2] === TYPE.OPT && message[at + 9] === 0 && message[at + 10] === 0;
  if (!isLast) return message;
  const whole = message.slice(0, at);
  whole[10] = additionals - 1 >>> 8;
  whole[11] = additionals - 1;
  return whole;
}

/** SERVFAIL, of the question alone. */
function failure(packet: Uint8Array): Uint8Array {
  const answer = packet.slice();
  answer.set([0x80 | packet[2]! & 0x79, RCODE.SERVFAIL, 0, 1, 0, 0, 0, 0, 0, 0], 2);
  return answer;
}

/** @throws {Error} when it ends before */
async function readWhole(connection: Deno.Conn, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size;) {
    const count = await connection.read(bytes.subarray(at));
    if (count === null || count === 0) throw new Error("It ends the connection");
    at += count;
  }
  return bytes;
}
