/**
 * What the transports of one worker share: the engine, the client at hand, the counters, and a few samples of
 * answers for whoever wants to watch.
 *
 * @module
 */
import { formatIp, parseIp } from "../ip.ts";
import type { LiveBoard } from "../snapshot/live.ts";
import type { Snapshot } from "../snapshot/view.ts";
import { RCODE } from "../wire/record_type.ts";
import { COUNTER, LATENCY_BOUNDS_NS, LATENCY_SAMPLE } from "./counters.ts";
import { type Client, Engine, type EngineOptions, UDP_SIZE_MAX } from "./engine.ts";
import { HEADER_SIZE } from "./query.ts";

/** One exchange, copied for a watcher. */
export interface Sample {
  /** How it came. */
  readonly transport: "udp" | "tcp";
  /** The client's address as text. */
  readonly client: string;
  /** The packet as it came. */
  readonly query: Uint8Array;
  /** The packet as it went. */
  readonly answer: Uint8Array;
}

/** A query that made the engine throw: always a fault of ours, whatever was in the packet. */
export interface Fault {
  /** The error with its stack. */
  readonly reason: string;
  /** The client's address as text. */
  readonly client: string;
  /** The packet, in hex. */
  readonly query: string;
}

/** Who looks on. */
export interface Watchers {
  /** How many exchanges `sample` gets to see a second at most. */
  readonly samplesPerSecond: number;
  /** Gets an exchange. */
  sample(sample: Sample): void;
  /** Gets a fault, a few a second at most. */
  fault(fault: Fault): void;
}

/** Faults told a second: one packet can be sent a million times. */
const FAULTS_PER_SECOND = 5;

/** Most bytes of an answer over a stream: what its length prefix can say (RFC 1035 §4.2.2). */
export const STREAM_SIZE_MAX = 65_535;

/** The answering side of a worker. */
export class Exchange {
  readonly #engine: Engine;
  readonly #laneIndex: number;
  readonly #watchers: Watchers;
  #lane!: Uint32Array;
  #samplesLeft: number;
  #faultsLeft = FAULTS_PER_SECOND;
  #untilTimed = LATENCY_SAMPLE;

  /** Makes the answering side; it answers once `use` was called. */
  constructor(options: EngineOptions, watchers: Watchers) {
    this.#engine = new Engine(options);
    this.#laneIndex = options.lane;
    this.#samplesLeft = watchers.samplesPerSecond;
    this.#watchers = watchers;
  }

  /** Answers from this state from now on. */
  use(snapshot: Snapshot, board: LiveBoard): void {
    this.#lane = board.lane(this.#laneIndex);
    this.#engine.use(snapshot, board);
  }

  /** Answers the first `length` bytes of `packet` into `out`; 0 = say nothing. */
  answerDatagram(packet: Uint8Array, length: number, client: Client, out: Uint8Array): number {
    return this.#answer(packet, length, client, out, UDP_SIZE_MAX);
  }

  /** Answers a message of a stream into `out`, which has room for `STREAM_SIZE_MAX`; 0 = say nothing. */
  answerMessage(message: Uint8Array, client: Client, out: Uint8Array): number {
    return this.#answer(message, message.length, client, out, STREAM_SIZE_MAX);
  }

  /** Moves a counter by one. */
  count(counter: number): void {
    this.#lane[counter]!++;
  }

  /** Allows the watchers the next second's share. */
  refill(): void {
    this.#samplesLeft = this.#watchers.samplesPerSecond;
    this.#faultsLeft = FAULTS_PER_SECOND;
  }

  /**
   * No packet may end the worker, for then one sender could: what the engine fails at is answered SERVFAIL, told,
   * and forgotten. The engine keeps nothing from one packet to the next.
   */
  #answer(packet: Uint8Array, length: number, client: Client, out: Uint8Array, sizeMax: number): number {
    try {
      const size = --this.#untilTimed === 0
        ? this.#answerTimed(packet, length, client, out, sizeMax)
        : this.#engine.answer(packet, length, client, out, sizeMax);
      if (this.#samplesLeft > 0 && size > 0) {
        this.#sample(packet.subarray(0, length), client, out.subarray(0, size));
      }
      return size;
    } catch (error) {
      return this.#fail(packet.subarray(0, length), client, out, error);
    }
  }

  #answerTimed(packet: Uint8Array, length: number, client: Client, out: Uint8Array, sizeMax: number): number {
    this.#untilTimed = LATENCY_SAMPLE;
    const start = performance.now();
    const size = this.#engine.answer(packet, length, client, out, sizeMax);
    const ns = Math.round((performance.now() - start) * 1e6);
    let bucket = 0;
    while (bucket < LATENCY_BOUNDS_NS.length && ns > LATENCY_BOUNDS_NS[bucket]!) bucket++;
    this.#lane[COUNTER.latency + bucket]!++;
    this.#lane[COUNTER.latencySum]! += ns;
    return size;
  }

  /** A bare header with the query's identifier and the RCODE (RFC 1035 §4.1.1). */
  #fail(packet: Uint8Array, client: Client, out: Uint8Array, error: unknown): number {
    this.#lane[COUNTER.rcode + RCODE.SERVFAIL]!++;
    if (this.#faultsLeft > 0) {
      this.#faultsLeft--;
      this.#watchers.fault({
        reason: error instanceof Error ? error.stack ?? error.message : String(error),
        client: formatIp(client.address()),
        query: packet.toHex(),
      });
    }
    out.fill(0, 0, HEADER_SIZE);
    out[0] = packet[0]!;
    out[1] = packet[1]!;
    out[2] = 0x80 | packet[2]! & 0x79;
    out[3] = RCODE.SERVFAIL;
    return HEADER_SIZE;
  }

  #sample(packet: Uint8Array, client: Client, answer: Uint8Array): void {
    this.#samplesLeft--;
    this.#watchers.sample({
      transport: client.stream ? "tcp" : "udp",
      client: formatIp(client.address()),
      query: packet.slice(),
      answer: answer.slice(),
    });
  }
}

/** A client known by its address in text, as Deno's sockets give it; parsed only when something asks for it. */
export class NamedClient implements Client {
  /** Whether it asks over TCP. */
  readonly stream: boolean;
  #text = "";
  #address: Uint8Array | null = null;

  /**
   * Stands for nobody yet.
   *
   * @param stream whether it asks over TCP
   */
  constructor(stream: boolean) {
    this.stream = stream;
  }

  /** Makes it stand for another client; a dual-stack socket names IPv4 clients `::ffff:192.0.2.1`. */
  set text(text: string) {
    this.#text = text;
    this.#address = null;
  }

  /** The address, parsed at the first call. */
  address(): Uint8Array {
    return this.#address ??= parseIp(this.#text) ?? new Uint8Array(4);
  }
}
