/**
 * Mutated packets over UDP, many at a time, each answer judged by the packet that it belongs to.
 *
 * A packet's identifier is the low half of its number, so answers may come in any order. Every packet that may be
 * answered must be. So that this can be asked for, no more packets are under way than fit into the receive buffers of
 * both sides (`WINDOW`): what isn't answered then was not lost by the kernel. Now and then a good query goes along: it
 * shows that the node still answers rightly, and that packets to which nothing is said were taken all the same.
 *
 * @module
 */
import type { SocketAddress } from "../../../src/ip.ts";
import { describe, judge, mayBeAnswered } from "../../dns/judge.ts";
import { MUTATED_MAX, type Mutator } from "../../dns/mutate.ts";
import { query } from "../../dns/packets.ts";

/** What to send, and where. */
export interface Pumped {
  readonly server: SocketAddress;
  readonly mutator: Mutator;
  /** Packets. */
  readonly count: number;
  /** Packets after which `onStep` is called. */
  readonly step: number;
  /** Sending waits for it. It says what is wrong, `null` = nothing. */
  readonly onStep: () => Promise<string | null>;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/**
 * Packets from the oldest without an answer to the newest. Linux counts 768 bytes for a packet of ordinary size and
 * 2,304 for an answer of 1,232 bytes against a buffer of 212,992, which is what Deno's sockets have.
 */
const WINDOW = 64;
/** Packets that are remembered; what comes for an older one is an answer too many. */
const REMEMBERED = 1024;
/** One packet in so many is a good query. */
const GOOD_SHARE = 16;
/**
 * Looks without an answer since the look before, after which the node has lost something, or hangs: 5 s. They are
 * counted, because by the clock it would be the node's fault when this process wasn't given the processor.
 */
const SILENT_LOOKS_MAX = 10;
const LOOK_INTERVAL_MS = 500;

const SILENT = 0;
const AWAITED = 1;
const ANSWERED = 2;

/** Sends and judges; says what went wrong first, `null` = nothing did. */
export async function pumpDatagrams(pumped: Pumped): Promise<string | null> {
  return await new Pump(pumped).run();
}

class Pump {
  readonly #pumped: Pumped;
  readonly #socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  readonly #to: Deno.NetAddr;
  readonly #good = query("www.example.com", "A");
  readonly #packets = Array.from({ length: REMEMBERED }, () => new Uint8Array(MUTATED_MAX));
  readonly #sizes = new Uint16Array(REMEMBERED);
  readonly #states = new Uint8Array(REMEMBERED);
  /** Number of the next packet, good ones included. */
  #next = 0;
  /** Everything before it is done with. */
  #oldest = 0;
  #answers = 0;
  #isSent = false;
  #isEnded = false;
  #fault: string | null = null;
  #wake: () => void = () => {};

  constructor(pumped: Pumped) {
    const { hostname, port } = pumped.server;
    this.#pumped = pumped;
    this.#to = { transport: "udp", hostname, port };
  }

  async run(): Promise<string | null> {
    const { signal } = this.#pumped;
    const onAbort = () => this.#end(null);
    signal.addEventListener("abort", onAbort, { once: true });
    const watch = this.#watch();
    try {
      await Promise.all([this.#send(), this.#receive()]);
    } finally {
      clearInterval(watch);
      signal.removeEventListener("abort", onAbort);
    }
    return this.#fault;
  }

  async #send(): Promise<void> {
    const { mutator, count, step, onStep } = this.#pumped;
    for (let sent = 1; sent <= count && !this.#isEnded; sent++) {
      await this.#sendOne(mutator.next());
      if (sent % GOOD_SHARE === 0) await this.#sendOne(this.#good);
      if (sent % step !== 0) continue;
      const fault = await onStep();
      if (fault !== null) this.#end(fault);
    }
    this.#isSent = true;
    await this.#sendOne(this.#good); // is awaited, so that the last answer ends it all
  }

  async #sendOne(packet: Uint8Array): Promise<void> {
    while (this.#next - this.#oldest >= WINDOW && !this.#isEnded) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    if (this.#isEnded) return;
    const number = this.#next++;
    const slot = number % REMEMBERED;
    const copy = this.#packets[slot]!;
    copy.set(packet);
    copy[0] = number >>> 8;
    copy[1] = number;
    this.#sizes[slot] = packet.length;
    this.#states[slot] = mayBeAnswered(packet) ? AWAITED : SILENT;
    try {
      await this.#socket.send(copy.subarray(0, packet.length), this.#to);
    } catch (error) {
      this.#end(`packet ${number} can't be sent: ${error}`);
    }
  }

  async #receive(): Promise<void> {
    const buffer = new Uint8Array(65_535);
    while (!this.#isEnded) {
      try {
        const [answer] = await this.#socket.receive(buffer);
        this.#take(answer);
      } catch (error) {
        this.#end(`no answer can be received: ${error}`);
      }
    }
  }

  #take(answer: Uint8Array): void {
    this.#answers++;
    const fault = this.#judge(answer);
    if (fault !== null) return this.#end(fault);
    while (this.#oldest < this.#next && this.#states[this.#oldest % REMEMBERED] !== AWAITED) this.#oldest++;
    if (this.#isSent && this.#oldest === this.#next) return this.#end(null);
    this.#wake();
  }

  #judge(answer: Uint8Array): string | null {
    const latest = this.#next - 1;
    const number = latest - ((latest - (answer[0]! << 8 | answer[1]!)) & 0xffff);
    if (number < 0 || number <= latest - REMEMBERED) {
      return `an answer to nothing that was asked lately: ${answer.toHex()}`;
    }
    const slot = number % REMEMBERED;
    const packet = this.#packet(slot);
    if (this.#states[slot] === ANSWERED) return describe("a second answer", packet, answer);
    this.#states[slot] = ANSWERED;
    const fault = judge({ query: packet, answer, stream: false });
    if (fault !== null) return describe(fault, packet, answer);
    const isRight = !this.#isGood(packet) || (answer[3]! & 0x0f) === 0 && answer[7] === 1;
    return isRight ? null : describe("a good query wasn't answered with an address", packet, answer);
  }

  #isGood(packet: Uint8Array): boolean {
    if (packet.length !== this.#good.length) return false;
    for (let i = 2; i < packet.length; i++) if (packet[i] !== this.#good[i]) return false;
    return true;
  }

  #packet(slot: number): Uint8Array {
    return this.#packets[slot]!.subarray(0, this.#sizes[slot]);
  }

  #watch(): ReturnType<typeof setInterval> {
    let answers = this.#answers;
    let silentLooks = 0;
    return setInterval(() => {
      silentLooks = this.#answers === answers && this.#oldest < this.#next ? silentLooks + 1 : 0;
      answers = this.#answers;
      if (silentLooks < SILENT_LOOKS_MAX) return;
      const packet = this.#packet(this.#oldest % REMEMBERED);
      this.#end(describe(`no answer within ${silentLooks * LOOK_INTERVAL_MS / 1000} s`, packet, null));
    }, LOOK_INTERVAL_MS);
  }

  /** Ends everything; only the first fault counts. */
  #end(fault: string | null): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#fault = fault;
    this.#socket.close();
    this.#wake();
  }
}
