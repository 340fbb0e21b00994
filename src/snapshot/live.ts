/**
 * The live board: the only memory that is written while answers are made. One `SharedArrayBuffer` shared by the
 * main thread and all workers, which outlives snapshots.
 *
 * | section | unit | writer | use |
 * | --- | --- | --- | --- |
 * | head | 16 u32 | main | sizes, health generation, heartbeat of the main thread |
 * | health | 1 bit a slot | main | 1 = up; bits first, then the generation |
 * | downAt | f64 a slot | main | when the slot went down last, milliseconds of the main thread's clock |
 * | rtt | u32 a slot | main | measured round trip, µs; 0 = unknown |
 * | tickets | u32 a slot | workers, `Atomics.add` | rotation of (service, family), exact over all workers |
 * | beats | 65 u32 | one worker each | heartbeats: a word that doesn't move is a thread that doesn't turn |
 * | lanes | 65 × 256 u32 | one worker each | counters; main sums wrapped differences |
 *
 * Slot 0 of health belongs to members without a check: it is always up.
 *
 * @module
 */

const HEAD = {
  healthSlots: 0,
  ticketSlots: 1,
  healthGeneration: 2,
  mainBeat: 4,
  size: 16,
} as const;

/** Lanes on a board: of the most UDP workers that a node may have, 64, and behind them those of the backend's and the streams' workers. */
export const LANES = 66;
/** Counters in a lane. */
export const LANE_SIZE = 256;
/** A board is never smaller, so that ordinary growth needs no new one. */
const SLOTS_MIN = 65_536;

/** What to make a board for. */
export interface BoardSize {
  /** Check targets, slot 0 included. */
  readonly healthSlots: number;
  /** Twice the services. */
  readonly ticketSlots: number;
}

/** A change of one health slot. */
export interface SlotVerdict {
  /** Number of the slot. */
  readonly slot: number;
  /** Whether what it stands for may be answered. */
  readonly up: boolean;
}

/** A view of a board; any number may be opened on one buffer. */
export class LiveBoard {
  /** What to post to workers. */
  readonly buffer: SharedArrayBuffer;
  /** One bit a slot, read by the data plane without atomics: a late bit is a late packet. */
  readonly health: Uint32Array;
  /** When each slot went down last, in milliseconds that only grow; 0 = never. */
  readonly downAt: Float64Array;
  /** Measured round trip to what each slot stands for, microseconds; 0 = unknown. */
  readonly rtt: Uint32Array;
  /** Draw with `Atomics.add`. */
  readonly tickets: Uint32Array;
  readonly #head: Uint32Array;
  readonly #beats: Uint32Array;
  readonly #lanesAt: number;

  /** Opens a buffer that `create` made. */
  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#head = new Uint32Array(buffer, 0, HEAD.size);
    const healthSlots = this.#head[HEAD.healthSlots]!;
    const ticketSlots = this.#head[HEAD.ticketSlots]!;
    let at = HEAD.size * 4;
    this.health = new Uint32Array(buffer, at, healthSlots / 32);
    at += this.health.byteLength;
    this.downAt = new Float64Array(buffer, at, healthSlots);
    at += this.downAt.byteLength;
    this.rtt = new Uint32Array(buffer, at, healthSlots);
    at += this.rtt.byteLength;
    this.tickets = new Uint32Array(buffer, at, ticketSlots);
    at += this.tickets.byteLength;
    this.#beats = new Uint32Array(buffer, at, LANES);
    this.#lanesAt = at + this.#beats.byteLength;
  }

  /** A new board: everything up, all tickets 0. Sizes are rounded up. */
  static create(size: BoardSize): LiveBoard {
    const healthSlots = roundUp(size.healthSlots);
    const ticketSlots = roundUp(size.ticketSlots);
    const words = HEAD.size + healthSlots / 32 + healthSlots * 3 + ticketSlots + LANES + LANES * LANE_SIZE;
    const buffer = new SharedArrayBuffer(words * 4);
    new Uint32Array(buffer).set([healthSlots, ticketSlots, 1]);
    const board = new LiveBoard(buffer);
    board.health.fill(0xffffffff);
    return board;
  }

  /** A larger board with the verdicts, tickets and counters of this one. */
  grownTo(size: BoardSize): LiveBoard {
    const grown = LiveBoard.create({
      healthSlots: Math.max(size.healthSlots * 2, this.healthSlots),
      ticketSlots: Math.max(size.ticketSlots * 2, this.tickets.length),
    });
    grown.health.set(this.health);
    grown.downAt.set(this.downAt);
    grown.rtt.set(this.rtt);
    grown.#beats.set(this.#beats);
    grown.#head[HEAD.mainBeat] = this.mainBeats;
    grown.tickets.set(this.tickets);
    grown.#head[HEAD.healthGeneration] = this.healthGeneration + 1;
    for (let lane = 0; lane < LANES; lane++) grown.lane(lane).set(this.lane(lane));
    return grown;
  }

  /** Whether the board has room for so many slots. */
  holds(size: BoardSize): boolean {
    return size.healthSlots <= this.healthSlots && size.ticketSlots <= this.tickets.length;
  }

  /** Health slots on this board. */
  get healthSlots(): number {
    return this.downAt.length;
  }

  /** Moves with every change of health; starts at 1. */
  get healthGeneration(): number {
    return this.#head[HEAD.healthGeneration]!;
  }

  /** Whether the slot is up. */
  isUp(slot: number): boolean {
    return (this.health[slot >>> 5]! >>> (slot & 31) & 1) === 1;
  }

  /**
   * Writes verdicts, then moves the generation, so that whoever sees the new one sees all of them.
   *
   * @param atMs when that is: positive milliseconds that only grow
   */
  setHealth(verdicts: Iterable<SlotVerdict>, atMs: number): void {
    const next = this.healthGeneration + 1;
    for (const { slot, up } of verdicts) {
      const bit = 1 << (slot & 31);
      if (up) Atomics.or(this.health, slot >>> 5, bit);
      else {
        if (this.isUp(slot)) this.downAt[slot] = atMs;
        Atomics.and(this.health, slot >>> 5, ~bit);
      }
    }
    Atomics.store(this.#head, HEAD.healthGeneration, next);
  }

  /** Writes measured round trips, microseconds, then moves the generation as a change of health does. */
  setRoundTrips(measured: Iterable<{ readonly slot: number; readonly rttUs: number }>): void {
    for (const { slot, rttUs } of measured) this.rtt[slot] = rttUs;
    Atomics.store(this.#head, HEAD.healthGeneration, this.healthGeneration + 1);
  }

  /** Moves the heartbeat of a worker; only that worker does. */
  beat(lane: number): void {
    Atomics.add(this.#beats, lane, 1);
  }

  /** How often a worker's heart has beaten, modulo 2³²; what counts is that it moves. */
  beatsOf(lane: number): number {
    return Atomics.load(this.#beats, lane);
  }

  /** Moves the heartbeat of the main thread; only that thread does. */
  beatMain(): void {
    Atomics.add(this.#head, HEAD.mainBeat, 1);
  }

  /** How often the main thread's heart has beaten, modulo 2³². */
  get mainBeats(): number {
    return Atomics.load(this.#head, HEAD.mainBeat);
  }

  /** The counters of one worker. */
  lane(index: number): Uint32Array {
    return new Uint32Array(this.buffer, this.#lanesAt + index * LANE_SIZE * 4, LANE_SIZE);
  }
}

function roundUp(slots: number): number {
  return Math.max(SLOTS_MIN, Math.ceil(slots / 1024) * 1024);
}
