/**
 * What the transports of one worker share: the engine and the gate before it, the client at hand, the counters, and a
 * few samples of answers for whoever wants to watch.
 *
 * @module
 */
import { type Rng, systemClock } from "../clock.ts";
import { formatIp, parseIp } from "../ip.ts";
import { Allowance } from "../license/allowance.ts";
import { LicenseGate } from "../license/gate.ts";
import type { LiveBoard } from "../snapshot/live.ts";
import type { Snapshot } from "../snapshot/view.ts";
import { RCODE } from "../wire/record_type.ts";
import { COUNTER, LATENCY_BOUNDS_NS, LATENCY_SAMPLE } from "./counters.ts";
import { type Client, Engine, type EngineOptions, UDP_SIZE_MAX } from "./engine.ts";
import { Limits, type LimitTerms, NO_LIMITS } from "./limits.ts";
import { HEADER_SIZE } from "./query.ts";
import { SampleBlock } from "./samples.ts";
import { STREAM_TRANSPORTS, type StreamTransport, type Transport } from "./transport.ts";
import { TrafficBlock } from "./traffic_block.ts";

/** What went wrong in a worker that goes on. */
export interface Fault {
  /** An `error` is a fault of ours, whatever was in a packet; a `shortage` is the machine's. */
  readonly kind: "error" | "shortage";
  /** The error with its stack. */
  readonly reason: string;
  /** The query that made the engine throw, if that is what it was. */
  readonly asked?: {
    /** The client's address as text. */
    readonly client: string;
    /** The packet, in hex. */
    readonly query: string;
  };
}

/** Who looks on. */
export interface Watchers {
  /** How many exchanges are sampled a second at most; 0 = none. */
  readonly samplesPerSecond: number;
  /** One exchange in so many is sampled, 1 or more. */
  readonly sampleEvery: number;
  /** Draws which; asked for each sample, so a cheap one. */
  readonly rng: Rng;
  /** Gets a fault, a few a second at most. */
  fault(fault: Fault): void;
}

/** Faults told a second: one packet can be sent a million times. */
const FAULTS_PER_SECOND = 5;

/** Messages of a turn for which all is taken at once: as many as a batch of packets has. */
const TURN_MESSAGES_MAX = 64;

/** Most bytes of an answer over a stream: what its length prefix can say (RFC 1035 §4.2.2). */
export const STREAM_SIZE_MAX = 65_535;

/** The answering side of a worker. */
export class Exchange {
  readonly #engine: Engine;
  readonly #laneIndex: number;
  readonly #watchers: Watchers;
  readonly #gate: LicenseGate;
  /** `null` = nothing is sampled. */
  readonly #samples: SampleBlock | null;
  #lane!: Uint32Array;
  #limitTerms = NO_LIMITS;
  #limits!: Limits;
  #samplesLeft: number;
  /** Exchanges until one is sampled, that one included; 0 = none is. */
  #untilSample = 0;
  /** `null` = nothing is counted for the query sketch. */
  #traffic: TrafficBlock | null = null;
  /** Exchanges until one is counted, that one included; 0 = none is. */
  #untilCounted = 0;
  #faultsLeft = FAULTS_PER_SECOND;
  #untilTimed = LATENCY_SAMPLE;
  /** Whether a turn of streams is under way. */
  #isTurn = false;
  /** Answered in it, or in the last one. */
  #messages = 0;

  /**
   * Makes the answering side; it answers once `use` was called.
   *
   * @param gate before the engine; absent = whatever is asked is answered
   */
  constructor(options: EngineOptions, watchers: Watchers, gate: LicenseGate = openGate()) {
    this.#engine = new Engine(options, systemClock.unixMs);
    this.#laneIndex = options.lane;
    this.#samplesLeft = watchers.samplesPerSecond;
    this.#watchers = watchers;
    this.#gate = gate;
    this.#samples = watchers.samplesPerSecond > 0 ? new SampleBlock() : null;
    if (this.#samples) this.#untilSample = this.#drawGap();
  }

  /** Answers from this state from now on. */
  use(snapshot: Snapshot, board: LiveBoard): void {
    this.#lane = board.lane(this.#laneIndex);
    this.#engine.use(snapshot, board);
    this.limit(this.#limitTerms);
  }

  /** Limits who is answered, and how much, from now on; without limits at first. */
  limit(terms: LimitTerms): void {
    this.#limitTerms = terms;
    this.#limits = new Limits(terms, {
      engine: this.#engine,
      lane: this.#lane,
      unixMs: systemClock.unixMs,
    });
    this.#engine.readCookies(this.#limits.takesCookies);
  }

  /** Whether a client that connects is to be turned away without a word; it is counted then. */
  denies(client: Client): boolean {
    return this.#limits.denies(client);
  }

  /** Asked so far, modulo 2³². */
  get queries(): number {
    return this.#lane[COUNTER.queriesUdp]! + this.#lane[COUNTER.queriesTcp]! >>> 0;
  }

  /** Has the engine make decisions out ahead. @returns whether there is more to do */
  makeAhead(isTimeUp: () => boolean): boolean {
    try {
      return this.#engine.makeAhead(isTimeUp);
    } catch (error) {
      this.complain(error);
      return false;
    }
  }

  /** Answers the first `length` bytes of `packet` into `out`; 0 = say nothing. */
  answerDatagram(packet: Uint8Array, length: number, client: Client, out: Uint8Array): number {
    this.begin(1);
    this.#engine.read(0, packet, length);
    const size = this.#answer(0, packet, length, client, out, UDP_SIZE_MAX);
    this.end();
    return size;
  }

  /**
   * Begins a batch of so many packets, 1 or more, which `answerRead` answers; `end` ends it. Limits and the gate look at the
   * clock once for all of them.
   */
  begin(packets: number): void {
    this.#gate.begin(packets, this.#limits.tick());
  }

  /** Ends the batch. */
  end(): void {
    this.#gate.end();
  }

  /**
   * Begins a turn of streams, in which as many messages may come as in the one before: they are a batch. A message
   * outside of a turn is one of its own.
   */
  beginTurn(): void {
    this.begin(Math.min(Math.max(1, this.#messages), TURN_MESSAGES_MAX));
    this.#messages = 0;
    this.#isTurn = true;
  }

  /** Ends the turn. */
  endTurn(): void {
    this.#isTurn = false;
    this.end();
  }

  /** Whether to read several packets and to fetch for them, rather than to answer each as it comes. */
  get readsAhead(): boolean {
    return this.#engine.readsAhead;
  }

  /** Reads a packet that `answerRead` answers within the same turn, under a number of 0 to `READ_MAX` − 1. */
  read(number: number, packet: Uint8Array, length: number): void {
    this.#engine.read(number, packet, length);
  }

  /** Fetches what the answers to the first `count` packets read begin with, for all of them at once. */
  fetch(count: number): void {
    this.#engine.fetch(count);
  }

  /** Answers a packet that was read; 0 = say nothing. */
  answerRead(number: number, packet: Uint8Array, length: number, client: Client, out: Uint8Array): number {
    return this.#answer(number, packet, length, client, out, UDP_SIZE_MAX);
  }

  /** Answers a message of a stream into `out`, which has room for `STREAM_SIZE_MAX`; 0 = say nothing. */
  answerMessage(message: Uint8Array, client: Client, out: Uint8Array): number {
    this.count(COUNTER.messages + STREAM_TRANSPORTS.indexOf(client.over ?? "tcp"));
    this.#messages++;
    if (!this.#isTurn) this.begin(1);
    this.#engine.read(0, message, message.length);
    const size = this.#answer(0, message, message.length, client, out, STREAM_SIZE_MAX);
    if (!this.#isTurn) this.end();
    return size;
  }

  /** Moves a counter, by one unless told otherwise. */
  count(counter: number, by = 1): void {
    this.#lane[counter]! += by;
  }

  /** Counts a fault, and tells it unless there were many. */
  complain(error: unknown, asked?: () => NonNullable<Fault["asked"]>): void {
    this.count(COUNTER.faults);
    if (this.#faultsLeft === 0) return;
    this.#faultsLeft--;
    const reason = error instanceof Error ? error.stack ?? error.message : String(error);
    this.#watchers.fault({ kind: "error", reason, ...(asked ? { asked: asked() } : {}) });
  }

  /** Tells that the machine lacks something; how often is up to the caller. */
  lack(reason: string): void {
    this.#watchers.fault({ kind: "shortage", reason });
  }

  /** The samples since the last call, as `readSamples` reads them; `null` = none. */
  takeSamples(): Uint8Array<ArrayBuffer> | null {
    return this.#samples?.take() ?? null;
  }

  /**
   * Counts queries from now on, by name and network.
   *
   * @param share how many are counted a second, and the others stand behind them; 0 = none, and what was counted and not
   * taken is forgotten
   */
  countTraffic(share: number): void {
    this.#traffic = share > 0 ? new TrafficBlock(share, this.#watchers.rng) : null;
    this.#untilCounted = this.#traffic?.drawGap() ?? 0;
  }

  /** What was counted since the last call, as `readTraffic` reads it; `null` = nothing. */
  takeTraffic(): Uint8Array<ArrayBuffer> | null {
    return this.#traffic?.take() ?? null;
  }

  /** Allows the watchers the next second's share. */
  refill(): void {
    if (this.#traffic?.beginSecond()) this.#untilCounted = this.#traffic.drawGap();
    this.#samplesLeft = this.#watchers.samplesPerSecond;
    this.#faultsLeft = FAULTS_PER_SECOND;
  }

  /**
   * No packet may end the worker, for then one sender could: what the engine fails at is answered SERVFAIL, told,
   * and forgotten. The engine keeps nothing from one packet to the next.
   */
  #answer(
    number: number,
    packet: Uint8Array,
    length: number,
    client: Client,
    out: Uint8Array,
    sizeMax: number,
  ): number {
    let size: number;
    try {
      if (!this.#limits.admit(number, packet, client)) return 0;
      // What is malformed, or refused already, asks for nothing: it costs nothing, and the gate has no say in it.
      const asks = this.#engine.looksUp(number);
      const isLicensed = !asks || this.#gate.admits();
      if (!isLicensed) this.#engine.refuse(number, RCODE.REFUSED);
      size = --this.#untilTimed === 0
        ? this.#answerTimed(number, packet, length, client, out, sizeMax)
        : this.#engine.answerRead(number, packet, length, client, out, sizeMax);
      if (size > 0) size = this.#limits.release(packet, length, client, size);
      if (size > 0) {
        this.#engine.countAnswer(size);
        if (!isLicensed) this.count(COUNTER.overLicense + this.#gate.standing);
        else if (asks && (out[3]! & 0x0f) !== RCODE.REFUSED) this.#gate.spend();
      }
      if (this.#untilCounted > 0 && --this.#untilCounted === 0) this.#countQuery(size);
    } catch (error) {
      size = this.#fail(packet.subarray(0, length), client, out, error);
    }
    if (this.#untilSample > 0 && --this.#untilSample === 0) {
      this.#sample(packet, length, client, out, size);
    }
    return size;
  }

  #answerTimed(
    number: number,
    packet: Uint8Array,
    length: number,
    client: Client,
    out: Uint8Array,
    sizeMax: number,
  ): number {
    this.#untilTimed = LATENCY_SAMPLE;
    const start = performance.now();
    const size = this.#engine.answerRead(number, packet, length, client, out, sizeMax);
    const ns = Math.round((performance.now() - start) * 1e6);
    let bucket = 0;
    while (bucket < LATENCY_BOUNDS_NS.length && ns > LATENCY_BOUNDS_NS[bucket]!) bucket++;
    this.#lane[COUNTER.latency + bucket]!++;
    this.#lane[COUNTER.latencySum]! += ns;
    return size;
  }

  #countQuery(size: number): void {
    const traffic = this.#traffic!;
    if (size > 0 && !this.#engine.countTraffic(traffic)) this.count(COUNTER.trafficLost);
    this.#untilCounted = traffic.drawGap();
  }

  /** A bare header with the query's identifier and the RCODE (RFC 1035 §4.1.1). */
  #fail(packet: Uint8Array, client: Client, out: Uint8Array, error: unknown): number {
    this.#lane[COUNTER.rcode + RCODE.SERVFAIL]!++;
    this.complain(error, () => ({ client: formatIp(client.address()), query: packet.toHex() }));
    out.fill(0, 0, HEADER_SIZE);
    out[0] = packet[0]!;
    out[1] = packet[1]!;
    out[2] = 0x80 | packet[2]! & 0x79;
    out[3] = RCODE.SERVFAIL;
    return HEADER_SIZE;
  }

  #sample(packet: Uint8Array, length: number, client: Client, out: Uint8Array, size: number): void {
    this.#untilSample = this.#drawGap();
    if (size === 0) return;
    if (this.#samplesLeft === 0) return this.count(COUNTER.samplesOverRate);
    this.#samplesLeft--;
    const hasRoom = this.#samples!.add({
      unixMs: Date.now(),
      transport: client.stream ? client.over ?? "tcp" : "udp",
      client: client.address(),
      query: packet.subarray(0, length),
      answer: out.subarray(0, size),
    });
    if (!hasRoom) this.count(COUNTER.samplesOverSize);
  }

  /**
   * By chance, from 1 to 2n − 1 with a mean of n: a plain count would meet the same names over and over where they are
   * asked in turn.
   */
  #drawGap(): number {
    const { sampleEvery, rng } = this.#watchers;
    return sampleEvery === 1 ? 1 : 1 + rng() % (2 * sampleEvery - 1);
  }
}

function openGate(): LicenseGate {
  return new LicenseGate(Allowance.create(), systemClock.unixMs);
}

/** A client known by its address in text, as Deno's sockets give it; parsed only when something asks for it. */
export class NamedClient implements Client {
  /** Whether it has connected. */
  readonly stream: boolean;
  /** What it has connected by. */
  readonly over?: StreamTransport;
  /** Set where its connection is one that stays as long as it likes (RFC 7828). */
  keepalive?: number;
  #text = "";
  #address: Uint8Array | null = null;

  /**
   * Has no client yet.
   *
   * @param transport how it asks
   */
  constructor(transport: Transport) {
    this.stream = transport !== "udp";
    if (transport !== "udp") this.over = transport;
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
