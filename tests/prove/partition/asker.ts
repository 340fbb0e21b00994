/**
 * Asks several servers at once over UDP, each so many questions a second: `asker.ts JSON`, an `Asking`. Says `ready`. A line on
 * stdin begins, which is answered by `asking`, and the next one ends, which is answered by a JSON list of `Asked`, in the order
 * of the servers; and so on until stdin ends.
 *
 * It mustn't be what loses: the time of an answer is when the kernel got it, however late this process gets a processor, and no
 * more is under way to a server than its socket can hold. What can't be asked for that reason, or for want of a processor,
 * isn't asked, and shows in the rate.
 *
 * @module
 */
import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import { takeShortSlices } from "../../../src/sockets/scheduling.ts";
import { parseIp, type SocketAddress } from "../../../src/ip.ts";
import { type BatchSocket, BatchSockets } from "../../../src/sockets/batch_socket.ts";
import { BATCH } from "../../../src/sockets/message_memory.ts";
import type { Peer } from "../../../src/sockets/peer.ts";
import { encodeQuery } from "../../../src/wire/message.ts";
import { TYPE } from "../../../src/wire/record_type.ts";

/** Who is asked what. */
export interface Asking {
  readonly servers: readonly SocketAddress[];
  /** Asked for in turn, for A records. */
  readonly names: readonly string[];
  /** Questions to each server. */
  readonly perSecond: number;
}

/** What came of it at a server. */
export interface Asked {
  readonly asked: number;
  /** Questions that weren't answered within five seconds. */
  readonly lost: number;
  /** Answers of NOERROR without a record. */
  readonly empty: number;
  /** Answers with another RCODE than NOERROR, by it. */
  readonly codes: Readonly<Record<string, number>>;
  /** Answers a second on the average, and in the second with the fewest. */
  readonly perSecond: number;
  readonly fewest: number;
  /** How old answers were when they came, milliseconds. */
  readonly p99Ms: number;
  readonly oldestMs: number;
}

/** After which a question counts as lost. */
const LOST_MS = 5_000;
/** Questions under way to a server at most: without privileges a socket holds 512 of them, and loses what comes then. */
const WINDOW = 400;
/** In turn: the kernel tells the time of the last datagram of a socket only. */
const SOCKETS = 8;
/** Between two looks at how many questions are due, and at what came. */
const TICK_MS = 1;
const SLICE_NS = 100_000;
const IDS = 0x10000;
/** The finest age that is told apart. */
const AGE_STEP_MS = 0.1;

/** A socket that asks one server. */
class AskingSocket {
  readonly #socket: BatchSocket;
  readonly #peer: Peer;
  /** By id; 0 = it isn't under way. */
  readonly #sentMs = new Float64Array(IDS);
  /** The id that is asked next, and the oldest one that may be under way. */
  #next = 0;
  #oldest = 0;

  constructor(library: BatchSockets, server: SocketAddress) {
    this.#socket = library.bind({ hostname: "127.0.0.1", port: 0 }, {
      ...{ reusePort: false, receiveMax: 1500, sendMax: 512 },
    });
    this.#peer = this.#socket.createPeer();
    this.#peer.set(parseIp(server.hostname)!, server.port);
    this.#socket.ageMs(Date.now()); // from now on the kernel stamps what comes
  }

  /** Asks these, a batch at most. */
  ask(questions: readonly Uint8Array[], nowMs: number): void {
    for (const question of questions) {
      const id = this.#next;
      this.#next = (id + 1) % IDS;
      this.#sentMs[id] = nowMs;
      const out = this.#socket.outgoing;
      out.set(question);
      out[0] = id >> 8;
      out[1] = id;
      this.#socket.queue(this.#peer, out, question.length);
    }
    this.#socket.flush();
  }

  /** Hands on what came, with when it was asked and when the kernel had it. */
  receive(heard: (answer: Uint8Array, askedMs: number, cameMs: number) => void): void {
    for (let count = BATCH; count === BATCH;) {
      count = this.#socket.receive();
      if (count <= 0) return;
      const cameMs = performance.now() -
        this.#socket.ageMs(performance.timeOrigin + performance.now());
      for (let slot = 0; slot < count; slot++) {
        const answer = this.#socket.packet(slot);
        const id = answer[0]! << 8 | answer[1]!;
        const askedMs = this.#sentMs[id]!;
        this.#sentMs[id] = 0;
        if (askedMs > 0) heard(answer, askedMs, cameMs);
      }
    }
  }

  /** Gives up what is too old. @returns how many */
  giveUp(nowMs: number): number {
    let lost = 0;
    for (; this.#oldest !== this.#next; this.#oldest = (this.#oldest + 1) % IDS) {
      const sentMs = this.#sentMs[this.#oldest]!;
      if (sentMs === 0) continue;
      if (nowMs - sentMs <= LOST_MS) break;
      this.#sentMs[this.#oldest] = 0;
      lost++;
    }
    return lost;
  }
}

/** What one server is asked. */
class Line {
  readonly #sockets: readonly AskingSocket[];
  readonly #questions: readonly Uint8Array[];
  readonly #perSecond: number;
  readonly #ages = new Uint32Array(LOST_MS / AGE_STEP_MS + 1);
  readonly #codes: Record<string, number> = {};
  /** Answers, by the second in which they were asked for. */
  readonly #bySecond: number[] = [];
  #startMs = 0;
  #asked = 0;
  /** What was due, and wasn't asked. */
  #passedOver = 0;
  #underWay = 0;
  #lost = 0;
  #empty = 0;
  #oldestMs = 0;
  #turn = 0;

  constructor(library: BatchSockets, server: SocketAddress, { names, perSecond }: Asking) {
    this.#sockets = Array.from({ length: SOCKETS }, () => new AskingSocket(library, server));
    this.#questions = names.map((name) => encodeQuery({ id: 0, name, type: TYPE.A }));
    this.#perSecond = perSecond;
  }

  get isQuiet(): boolean {
    return this.#underWay === 0;
  }

  begin(nowMs: number): void {
    this.#ages.fill(0);
    for (const code of Object.keys(this.#codes)) delete this.#codes[code];
    this.#bySecond.length = 0;
    this.#startMs = nowMs;
    this.#asked =
      this.#passedOver =
      this.#lost =
      this.#empty =
      this.#oldestMs =
        0;
  }

  /** Asks what is due. */
  ask(nowMs: number): void {
    let due = Math.floor((nowMs - this.#startMs) / 1000 * this.#perSecond) - this.#asked - this.#passedOver;
    // What is a second late isn't made up for: it would come as a flood.
    const late = Math.max(0, due - this.#perSecond);
    this.#passedOver += late;
    due = Math.min(due - late, WINDOW - this.#underWay);
    while (due > 0) {
      const questions = Array.from(
        { length: Math.min(due, BATCH) },
        (_, i) => this.#questions[(this.#asked + i) % this.#questions.length]!,
      );
      this.#sockets[this.#turn++ % SOCKETS]!.ask(questions, performance.now());
      due -= questions.length;
      this.#asked += questions.length;
      this.#underWay += questions.length;
    }
  }

  receive(): void {
    for (const socket of this.#sockets) {
      socket.receive((answer, askedMs, cameMs) => this.#hear(answer, askedMs, cameMs));
      const lost = socket.giveUp(performance.now());
      this.#lost += lost;
      this.#underWay -= lost;
    }
  }

  report(): Asked {
    const seconds = (performance.now() - this.#startMs) / 1000;
    const answered = this.#bySecond.reduce((sum, count) => sum + (count ?? 0), 0);
    // The last one isn't whole.
    const whole = Array.from({ length: Math.floor(seconds) }, (_, second) => this.#bySecond[second] ?? 0);
    let left = answered / 100;
    let step = this.#ages.length - 1;
    for (; step > 0 && (left -= this.#ages[step]!) > 0;) step--;
    return {
      ...{ asked: this.#asked, lost: this.#lost, empty: this.#empty, codes: { ...this.#codes } },
      ...{ perSecond: answered / seconds, fewest: Math.min(...whole) },
      ...{ p99Ms: step * AGE_STEP_MS, oldestMs: this.#oldestMs },
    };
  }

  #hear(answer: Uint8Array, askedMs: number, cameMs: number): void {
    this.#underWay--;
    const ageMs = Math.max(0, cameMs - askedMs);
    if (ageMs > LOST_MS) {
      this.#lost++;
      return;
    }
    this.#ages[Math.floor(ageMs / AGE_STEP_MS)]!++;
    this.#oldestMs = Math.max(this.#oldestMs, ageMs);
    const second = Math.floor((askedMs - this.#startMs) / 1000);
    this.#bySecond[second] = (this.#bySecond[second] ?? 0) + 1;
    const rcode = answer[3]! & 15;
    if (rcode !== 0) this.#codes[rcode] = (this.#codes[rcode] ?? 0) + 1;
    else if (answer[6] === 0 && answer[7] === 0) this.#empty++;
  }
}

async function askUntil(lines: readonly Line[], signal: AbortSignal): Promise<Asked[]> {
  for (const line of lines) line.begin(performance.now());
  while (!signal.aborted) {
    for (const line of lines) {
      line.ask(performance.now());
      line.receive();
    }
    await wait(TICK_MS);
  }
  const reports = lines.map((line) => line.report());
  while (!lines.every(({ isQuiet }) => isQuiet)) {
    for (const line of lines) line.receive();
    await wait(TICK_MS);
  }
  // What was under way at the end is answered by now, or lost; rates are those of the time in which was asked.
  return lines.map((line, i) => ({
    ...line.report(),
    ...{ perSecond: reports[i]!.perSecond, fewest: reports[i]!.fewest },
  }));
}

if (import.meta.main) {
  takeShortSlices(SLICE_NS);
  const asking: Asking = JSON.parse(Deno.args[0]!);
  const library = new BatchSockets();
  const lines = asking.servers.map((server) => new Line(library, server, asking));
  console.log("ready");
  let under: { readonly ending: AbortController; readonly asked: Promise<Asked[]> } | null = null;
  for await (const _ of createInterface({ input: process.stdin })) {
    if (under === null) {
      const ending = new AbortController();
      under = { ending, asked: askUntil(lines, ending.signal) };
      console.log("asking");
    } else {
      under.ending.abort();
      console.log(JSON.stringify(await under.asked));
      under = null;
    }
  }
  Deno.exit(0);
}
