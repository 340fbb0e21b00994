/**
 * Asks over UDP at a steady rate, whatever comes back: `offer.ts JSON`, an `Asker`. Each line of stdin is an `Offer`; it is
 * answered on stdout by a line of `Outcome` when it is over. Ends with stdin.
 *
 * It asks up to 64 queries a call (`batch_socket.ts`), so that it costs less than what it asks. An answer belongs to the
 * second in which it was asked for.
 *
 * @module
 */
import process from "node:process";
import { createInterface } from "node:readline";
import { takeShortSlices } from "../../../src/sockets/scheduling.ts";
import { parseIp } from "../../../src/ip.ts";
import { type BatchSocket, BatchSockets } from "../../../src/sockets/batch_socket.ts";
import { BATCH } from "../../../src/sockets/message_memory.ts";
import type { Peer } from "../../../src/sockets/peer.ts";
import { query } from "../../dns/packets.ts";

/** Who asks whom. */
export interface Asker {
  readonly server: { readonly hostname: string; readonly port: number };
  /** Asked for its A records. */
  readonly name: string;
  /** Whether each query is for a name of its own below it. */
  readonly isRandom: boolean;
  /** Whether queries carry a cookie: `good` = the one that the server gives each socket, `none` = not even an OPT record. */
  readonly cookie?: "none" | "opt" | "good";
  /**
   * Addresses to ask from, a socket each; several of one address are several sockets. The kernel tells the time of the last
   * datagram of a socket only, so with many each age is its own.
   */
  readonly sources: readonly string[];
}

/** What is asked next. */
export interface Offer {
  /** Queries a second; 0 = as many as are answered, with `WINDOW` under way. */
  readonly perSecond: number;
  readonly seconds: number;
}

/** What came of an offer, for each of its seconds. */
export interface Outcome {
  readonly seconds: readonly Second[];
}

/** A second of an offer. */
export interface Second {
  readonly asked: number;
  /** Answers with records. */
  readonly answered: number;
  /** Answers with TC. */
  readonly short: number;
  /** Answers of any other kind. */
  readonly other: number;
  /** How old whole answers were when they came, milliseconds. */
  readonly ageMs: { readonly p50: number; readonly p99: number; readonly most: number };
  /** Whole answers that were older than `LATE_MS`. */
  readonly late: number;
}

/** No answer should be older. */
export const LATE_MS = 100;

/** Queries under way where as many are asked as are answered. */
const WINDOW = 512;
/** Those of them without an answer for so long are taken for lost. */
const SILENCE_MS = 200;
/** After an offer answers are waited for until none has come for so long, milliseconds. */
const DRAIN_MS = 300;
/** The finest age that is told apart, and the greatest. */
const AGE_STEP_MS = 0.1;
const AGES = 20_000;
const IDS = 0x10000;
/**
 * With nothing to do it rests for so long: a process that never does keeps the kernel's own threads from a processor, those that
 * hand over what came, and what it measures is its own doing.
 */
const REST_MS = 0.1;
const NEVER = new Int32Array(new SharedArrayBuffer(4));
const SLICE_NS = 100_000;
const CLIENT_COOKIE = "0123456789abcdef";
/** How much a name is longer that is one of its own. */
const LABEL = 8;

/** Sockets that ask in turn. */
class Sockets {
  readonly #sockets: readonly BatchSocket[];
  readonly #peers: readonly Peer[];
  /** What each socket asks. */
  readonly #packets: Uint8Array[];
  readonly #isRandom: boolean;
  /** When each was asked, by socket and id; 0 = it isn't under way. */
  readonly #askedMs: Float64Array;
  readonly #ids: Uint16Array;
  #number = 0;
  #turn = 0;

  constructor({ server, name, isRandom, sources, cookie = "none" }: Asker) {
    const library = new BatchSockets();
    const packet = query(isRandom ? `${"x".repeat(LABEL)}.${name}` : name, "A");
    this.#packets = sources.map(() => cookie === "none" ? packet : withOpt(packet, ""));
    this.#isRandom = isRandom;
    this.#sockets = sources.map((hostname) =>
      library.bind({ hostname, port: 0 }, { reusePort: false, receiveMax: 1500, sendMax: 512 })
    );
    this.#peers = this.#sockets.map((socket) => {
      const peer = socket.createPeer();
      peer.set(parseIp(server.hostname)!, server.port);
      return peer;
    });
    this.#askedMs = new Float64Array(sources.length * IDS);
    this.#ids = new Uint16Array(sources.length);
    if (cookie === "good") this.#learnCookies(packet);
  }

  /** Gets a cookie of the server for each socket (RFC 7873 §5.1). */
  #learnCookies(packet: Uint8Array): void {
    for (const [i, socket] of this.#sockets.entries()) {
      const first = withOpt(packet, CLIENT_COOKIE);
      for (let size = 0; size === 0;) {
        socket.queue(this.#peers[i]!, first);
        socket.flush();
        for (const untilMs = performance.now() + SILENCE_MS; size === 0 && performance.now() < untilMs;) {
          if (socket.receive() > 0) size = socket.lengthOf(0);
        }
        // The option is the last of the answer, and the server's part the last of it (RFC 9018 §4).
        const server = socket.packet(0).subarray(size - 16, size).toHex();
        this.#packets[i] = withOpt(packet, CLIENT_COOKIE + server);
      }
    }
  }

  /** Asks so many queries, up to a batch, from the next socket. */
  ask(count: number, nowMs: number): void {
    const turn = this.#turn = (this.#turn + 1) % this.#sockets.length;
    const socket = this.#sockets[turn]!;
    const peer = this.#peers[turn]!;
    const packet = this.#packets[turn]!;
    for (let i = 0; i < count; i++) {
      const id = this.#ids[turn]!++;
      this.#askedMs[turn * IDS + id] = nowMs;
      const out = socket.outgoing;
      out.set(packet);
      out[0] = id >> 8;
      out[1] = id;
      if (this.#isRandom) writeDigits(out, 13, this.#number++);
      socket.queue(peer, out, packet.length);
    }
    socket.flush();
  }

  /** Hands on what came, with when it was asked. @returns how many answers there were */
  receive(onAnswer: (answer: Uint8Array, askedMs: number, nowMs: number) => void): number {
    let all = 0;
    for (const [i, socket] of this.#sockets.entries()) {
      for (let count = BATCH; count === BATCH;) {
        count = socket.receive();
        // What waited here, while this process was kept from its work, is no older for that.
        const nowMs = performance.now() -
          (count > 0 ? socket.ageMs(performance.timeOrigin + performance.now()) : 0);
        for (let slot = 0; slot < count; slot++) {
          const answer = socket.packet(slot);
          const at = i * IDS + (answer[0]! << 8 | answer[1]!);
          const askedMs = this.#askedMs[at]!;
          this.#askedMs[at] = 0;
          if (askedMs > 0) onAnswer(answer, askedMs, nowMs);
        }
        all += Math.max(0, count);
      }
    }
    return all;
  }
}

/** The query with an OPT record (RFC 6891), and a cookie in it unless that is empty. */
function withOpt(packet: Uint8Array, cookie: string): Uint8Array {
  const hex = (number: number) => number.toString(16).padStart(4, "0");
  const option = cookie === "" ? "" : `000a${hex(cookie.length / 2)}${cookie}`;
  const opt = Uint8Array.fromHex(`00002904d000000000${hex(option.length / 2)}${option}`);
  const whole = new Uint8Array([...packet, ...opt]);
  whole[11] = 1;
  return whole;
}

/** A number as letters, a label of its own. */
function writeDigits(out: Uint8Array, at: number, number: number): void {
  for (let i = 0; i < LABEL; i++) {
    out[at + i] = 97 + (number & 15);
    number >>>= 4;
  }
}

/** What is counted of a second. */
class Counts {
  asked = 0;
  answered = 0;
  short = 0;
  other = 0;
  late = 0;
  readonly #ages = new Uint32Array(AGES);
  #most = 0;

  add(answer: Uint8Array, ageMs: number): void {
    if ((answer[2]! & 2) !== 0) this.short++;
    else if ((answer[3]! & 15) === 0 && answer[7]! > 0) {
      this.answered++;
      this.#ages[Math.min(AGES - 1, Math.floor(ageMs / AGE_STEP_MS))]!++;
      this.#most = Math.max(this.#most, ageMs);
      if (ageMs > LATE_MS) this.late++;
    } else this.other++;
  }

  report(): Second {
    const { asked, answered, short, other, late } = this;
    const quantile = (share: number) => {
      let left = share * answered;
      for (const [i, count] of this.#ages.entries()) if ((left -= count) <= 0) return i * AGE_STEP_MS;
      return this.#most;
    };
    const ageMs = { p50: quantile(0.5), p99: quantile(0.99), most: this.#most };
    return { asked, answered, short, other, late, ageMs };
  }
}

async function carryOut(sockets: Sockets, { perSecond, seconds }: Offer): Promise<Outcome> {
  const counts = Array.from({ length: seconds }, () => new Counts());
  const startMs = performance.now();
  const endMs = startMs + seconds * 1000;
  const onAnswer = (answer: Uint8Array, askedMs: number, nowMs: number) =>
    counts[Math.floor((askedMs - startMs) / 1000)]?.add(answer, nowMs - askedMs);
  let asked = 0;
  let underWay = 0;
  let heardMs = startMs;
  for (let nowMs = startMs, turnMs = startMs; nowMs < endMs; nowMs = performance.now()) {
    const came = sockets.receive(onAnswer);
    underWay = Math.max(0, underWay - came);
    if (came > 0) heardMs = nowMs;
    else if (nowMs - heardMs > SILENCE_MS) {
      underWay = 0;
      heardMs = nowMs;
    }
    const due = perSecond === 0
      ? WINDOW - underWay < BATCH / 4 ? 0 : WINDOW - underWay
      : Math.floor((nowMs - startMs) / 1000 * perSecond) - asked;
    const count = Math.min(BATCH, due);
    if (count > 0) {
      sockets.ask(count, nowMs);
      counts[Math.floor((nowMs - startMs) / 1000)]!.asked += count;
      asked += count;
      underWay += count;
    }
    if (count <= 0 && came === 0 && perSecond > 0) Atomics.wait(NEVER, 0, 0, REST_MS);
    if (nowMs - turnMs > 20) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      turnMs = performance.now();
    }
  }
  for (let lastMs = performance.now(); performance.now() - lastMs < DRAIN_MS;) {
    if (sockets.receive(onAnswer) > 0) lastMs = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return { seconds: counts.map((each) => each.report()) };
}

if (import.meta.main) {
  const asker: Asker = JSON.parse(Deno.args[0]!);
  takeShortSlices(SLICE_NS);
  const sockets = new Sockets(asker);
  console.log("ready");
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await carryOut(sockets, JSON.parse(line))));
  }
  Deno.exit(0);
}
