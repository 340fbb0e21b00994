/**
 * A world without sockets: a record in memory that counts what is done with it, and peers that answer or don't, all on
 * a clock that stands still until it is moved.
 *
 * @module
 */
import { type Rng, seededRng } from "../../src/clock.ts";
import { CheckLoop, type LoopOptions, type Round } from "../../src/agent/loop.ts";
import {
  NO_RECORDS,
  type RecordManager,
  type RecordSet,
  type RecordType,
  type WriteResult,
  type WriteTerms,
} from "../../src/agent/records.ts";
import { MemoryRecords } from "./memory_records.ts";
import { createLogger, type Logger } from "../../src/telemetry/log.ts";
import { ManualClock } from "../clock.ts";

export const FQDN = "www.example.org";
export const BLOCK = `_blocked.${FQDN}`;

/** A call of a record manager. */
export interface Call {
  readonly call: "read" | "write" | "delete";
  readonly name: string;
  readonly values: readonly string[];
}

/** Records in memory that keep a list of calls, and fail or change when a test wants it. */
export class WatchedRecords implements RecordManager {
  readonly memory = new MemoryRecords();
  readonly calls: Call[] = [];
  /** Called before each call; what it throws fails the call. */
  before: (call: Call) => void | Promise<void> = () => {};

  async read(name: string, type: RecordType): Promise<RecordSet> {
    await this.#note({ call: "read", name, values: [] });
    return await this.memory.read(name, type);
  }

  async write(
    name: string,
    type: RecordType,
    values: readonly string[],
    terms: WriteTerms,
  ): Promise<WriteResult> {
    await this.#note({ call: "write", name, values });
    return await this.memory.write(name, type, values, terms);
  }

  async delete(name: string, type: RecordType, expected: RecordSet): Promise<WriteResult> {
    await this.#note({ call: "delete", name, values: [] });
    return await this.memory.delete(name, type, expected);
  }

  /** The kinds of call about a name, in their order. */
  callsOf(name: string): string[] {
    return this.calls.filter((call) => call.name === name).map(({ call }) => call);
  }

  async #note(call: Call): Promise<void> {
    this.calls.push(call);
    await this.before(call);
  }
}

/** One record, some peers, one clock. */
export class World {
  readonly clock = new ManualClock();
  readonly records = new WatchedRecords();
  /** Addresses that don't answer, and what is wrong with them. */
  readonly down = new Map<string, string>();
  /** Addresses that accept and say nothing. */
  readonly silent = new Set<string>();
  readonly probed: string[] = [];
  readonly lines: string[] = [];
  readonly log: Logger = createLogger({
    level: "debug",
    format: "json",
    clock: this.clock,
    write: (line) => void this.lines.push(line),
  });
  readonly signal = new AbortController().signal;

  constructor(addresses: readonly string[] = [], type: "A" | "AAAA" = "A") {
    this.records.memory.put(FQDN, type, { values: addresses, ttl: 5 });
  }

  /** The addresses in the record. */
  addresses(type: "A" | "AAAA" = "A"): readonly string[] {
    return this.records.memory.at(FQDN, type).values;
  }

  /** The strings of the block. */
  get block(): RecordSet {
    return this.records.memory.at(BLOCK, "TXT");
  }

  /** Puts a block there; none removes it. */
  putBlock(values: readonly string[]): void {
    this.records.memory.put(BLOCK, "TXT", values.length === 0 ? NO_RECORDS : { values, ttl: 5 });
  }

  readonly probe = async (address: string, signal: AbortSignal): Promise<string | null> => {
    this.probed.push(address);
    if (!this.silent.has(address)) return this.down.get(address) ?? null;
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve(), { once: true });
    });
    return "no answer";
  };

  /** A loop of this world. */
  loop(self: string, options: Partial<LoopOptions> = {}): CheckLoop {
    return new CheckLoop({
      fqdn: FQDN,
      self,
      intervalMs: 5_000,
      limits: { minimumFailures: 3, maximumFailures: 60 },
      records: this.records,
      probe: this.probe,
      clock: this.clock,
      rng: draws(1),
      log: this.log,
      ...options,
    });
  }

  /** One round, with the clock moved as far as it needs. */
  async round(loop: CheckLoop): Promise<Round> {
    const round = loop.round(this.signal);
    round.catch(() => {});
    return await this.over(round);
  }

  /** Moves the clock until a promise has settled. */
  async over<Value>(promise: Promise<Value>): Promise<Value> {
    let isOver = false;
    const end = () => void (isOver = true);
    promise.then(end, end);
    await this.clock.advance(0);
    while (!isOver) await this.clock.advance(this.clock.nextWakeMs ?? 1);
    return await promise;
  }
}

/** A repeatable generator. */
export function draws(seed: number): Rng {
  return seededRng(seed);
}
