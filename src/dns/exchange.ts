/**
 * What the transports of one worker share: the engine, the client at hand, the counters, and a few samples of
 * answers for whoever wants to watch.
 *
 * @module
 */
import { parseIp } from "../ip.ts";
import { type LiveBoard } from "../snapshot/live.ts";
import { type Snapshot } from "../snapshot/view.ts";
import { COUNTER, LATENCY_BOUNDS_NS, LATENCY_SAMPLE } from "./counters.ts";
import { type Client, Engine, type EngineOptions, UDP_SIZE_MAX } from "./engine.ts";

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

/** Most bytes of an answer over a stream: what its length prefix can say (RFC 1035 §4.2.2). */
export const STREAM_SIZE_MAX = 65_535;

/** The answering side of a worker. */
export class Exchange {
  readonly #engine: Engine;
  readonly #client = new Remote();
  readonly #laneIndex: number;
  readonly #samplesPerSecond: number;
  readonly #watch: (sample: Sample) => void;
  #lane!: Uint32Array;
  #samplesLeft: number;
  #untilTimed = LATENCY_SAMPLE;

  /**
   * Makes the answering side; it answers once `use` was called.
   *
   * @param samplesPerSecond how many exchanges `watch` gets to see at most; refilled by `refill`
   */
  constructor(options: EngineOptions, samplesPerSecond: number, watch: (sample: Sample) => void) {
    this.#engine = new Engine(options);
    this.#laneIndex = options.lane;
    this.#samplesPerSecond = samplesPerSecond;
    this.#samplesLeft = samplesPerSecond;
    this.#watch = watch;
  }

  /** Answers from this state from now on. */
  use(snapshot: Snapshot, board: LiveBoard): void {
    this.#lane = board.lane(this.#laneIndex);
    this.#engine.use(snapshot, board);
  }

  /** Answers a datagram into `out`; 0 = say nothing. */
  answerDatagram(packet: Uint8Array, from: Deno.NetAddr, out: Uint8Array): number {
    this.#client.set(from.hostname, false);
    return this.#answer(packet, out, UDP_SIZE_MAX);
  }

  /** Answers a message of a stream into `out`, which has room for `STREAM_SIZE_MAX`; 0 = say nothing. */
  answerMessage(message: Uint8Array, from: Deno.NetAddr, out: Uint8Array): number {
    this.#client.set(from.hostname, true);
    return this.#answer(message, out, STREAM_SIZE_MAX);
  }

  /** Moves a counter by one. */
  count(counter: number): void {
    this.#lane[counter]!++;
  }

  /** Allows the next second's samples. */
  refill(): void {
    this.#samplesLeft = this.#samplesPerSecond;
  }

  #answer(packet: Uint8Array, out: Uint8Array, sizeMax: number): number {
    if (--this.#untilTimed === 0) return this.#answerTimed(packet, out, sizeMax);
    const size = this.#engine.answer(packet, packet.length, this.#client, out, sizeMax);
    if (this.#samplesLeft > 0 && size > 0) this.#sample(packet, out.subarray(0, size));
    return size;
  }

  #answerTimed(packet: Uint8Array, out: Uint8Array, sizeMax: number): number {
    this.#untilTimed = LATENCY_SAMPLE;
    const start = performance.now();
    const size = this.#engine.answer(packet, packet.length, this.#client, out, sizeMax);
    const ns = Math.round((performance.now() - start) * 1e6);
    let bucket = 0;
    while (bucket < LATENCY_BOUNDS_NS.length && ns > LATENCY_BOUNDS_NS[bucket]!) bucket++;
    this.#lane[COUNTER.latency + bucket]!++;
    this.#lane[COUNTER.latencySum]! += ns;
    return size;
  }

  #sample(packet: Uint8Array, answer: Uint8Array): void {
    this.#samplesLeft--;
    this.#watch({
      transport: this.#client.stream ? "tcp" : "udp",
      client: this.#client.text,
      query: packet.slice(),
      answer: answer.slice(),
    });
  }
}

/** The client of the packet at hand; its address is parsed only when something asks for it. */
class Remote implements Client {
  stream = false;
  text = "";
  #address: Uint8Array | null = null;

  set(text: string, stream: boolean): void {
    this.text = text;
    this.stream = stream;
    this.#address = null;
  }

  address(): Uint8Array {
    return this.#address ??= parseIp(this.text) ?? new Uint8Array(4);
  }
}
