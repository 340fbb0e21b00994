/**
 * Replaces the servers of a region one after the other: each is taken out of DNS, ended, and waited for.
 *
 * Two flaws of the system that this continues are not inherited. The block is refreshed with its address by a timer of
 * its own until the server is gone: a slow provider or destroyer would outlast it, and the server would add itself again
 * just before it ends. And a server counts as replaced only when it has failed a probe: one that lives on for a while
 * would count as its own replacement.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import type { Logger } from "../telemetry/log.ts";
import { blockedForMs, BlockHeld, Lock, readBlock } from "./block.ts";
import type { Destroyer, PeerProbe, RegionFilter } from "./ports.ts";
import type { RecordManager, RecordSet } from "./records.ts";

/** What a replacement is made of. */
export interface RollingReplaceOptions {
  /** The name whose servers are replaced. */
  readonly fqdn: string;
  /** Which of its records is read. */
  readonly type: "A" | "AAAA";
  /** Milliseconds between rounds of the agents; below a second the record's TTL is taken. */
  readonly intervalMs: number;
  /** Where the record is. */
  readonly records: RecordManager;
  /** Looks at servers. */
  readonly probe: PeerProbe;
  /** Which servers are in the region. */
  readonly region: RegionFilter;
  /** Ends them. */
  readonly destroyer: Destroyer;
  /** Time. */
  readonly clock: Clock;
  /** Told of what fails and is tried again. */
  readonly log: Logger;
  /** Told of each step. */
  readonly onStep?: (step: ReplaceStep) => void;
  /** Names the operator in the record; a random one if left out. */
  readonly owner?: string;
}

/** Where a replacement is. */
export interface ReplaceStep {
  /** The server that is replaced. */
  readonly address: string;
  /** It is the so manieth, from 1. */
  readonly index: number;
  /** Of so many. */
  readonly count: number;
  /** What is done with it. */
  readonly doing: "blocking" | "removing" | "draining" | "destroying" | "waiting" | "replaced";
  /** While waiting: what for. */
  readonly waitingFor?: string;
}

/** The longest TTL of a record from which a server was taken, seconds. */
const REMOVAL_TTL_MAX_S = 5;

/** Tries of a removal that finds the record changed each time. */
const TRIES_MAX = 8;

/** Between looks at a server that is ending, milliseconds: a restart is soon over. */
const GOING_PAUSE_MS = 250;

/**
 * Replaces all servers of a region.
 *
 * @throws {Error} at the first failure, and when the signal is aborted; the lock is given back in any case
 */
export async function rollingReplace(options: RollingReplaceOptions, signal: AbortSignal): Promise<void> {
  const { fqdn, type, records, clock, log, region } = options;
  const read = await records.read(fqdn, type, signal);
  const addresses = await region.filter(read.values, signal);
  await refuseActive(options, addresses, signal);
  if (addresses.length < 2) {
    throw new Error(
      `The region has ${
        addresses.length === 0 ? "no server" : "one server"
      } of ${fqdn}: two are needed, so that one ` +
        "answers while the other is replaced",
    );
  }
  const ttlMs = options.intervalMs < 1000 ? Math.max(1, read.ttl) * 1000 : options.intervalMs;
  const lock = new Lock({ fqdn, records, clock }, options.owner);
  try {
    for (const [i, address] of addresses.entries()) {
      const run = new Replacement(options, { lock, ttlMs, address, index: i + 1, count: addresses.length });
      await run.replace(signal);
    }
  } finally {
    await lock.releaseAtEnd(log);
  }
}

async function refuseActive(
  { fqdn, records, clock }: RollingReplaceOptions,
  addresses: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const block = await readBlock({ fqdn, records, clock }, signal);
  if (block === null) return;
  const isActive = addresses.some((address) => blockedForMs(block, address, clock.unixMs()) > 0);
  if (!isActive) throw new BlockHeld(fqdn, block);
  throw new Error(
    `Another rolling replace is active: ${block.owner} has blocked ${block.address} (wait until it has finished)`,
  );
}

/** Which server's turn it is. */
interface Turn {
  readonly lock: Lock;
  /** Milliseconds; the record's TTL, by which all waiting is measured. */
  readonly ttlMs: number;
  readonly address: string;
  readonly index: number;
  readonly count: number;
}

/** One server's turn. */
class Replacement {
  readonly #options: RollingReplaceOptions;
  readonly #turn: Turn;
  /** Whether it has failed a probe since it was to be destroyed. */
  #isGone = false;

  constructor(options: RollingReplaceOptions, turn: Turn) {
    this.#options = options;
    this.#turn = turn;
  }

  async replace(signal: AbortSignal): Promise<void> {
    const { lock, ttlMs, address } = this.#turn;
    this.#tell("blocking");
    await lock.take(address, ttlMs, signal);
    const run = new AbortController();
    const end = () => run.abort(signal.reason);
    signal.addEventListener("abort", end);
    const refreshing = this.#refresh(run);
    try {
      await this.#steps(run.signal);
    } catch (error) {
      // What broke the lock is the cause of what it broke off.
      throw run.signal.aborted ? run.signal.reason : error;
    } finally {
      signal.removeEventListener("abort", end);
      run.abort();
      await refreshing;
    }
  }

  async #steps(signal: AbortSignal): Promise<void> {
    const { ttlMs, address } = this.#turn;
    const { destroyer, clock } = this.#options;
    this.#tell("removing");
    await this.#remove(signal);
    this.#tell("draining");
    await clock.sleep(ttlMs, signal);
    signal.throwIfAborted();
    this.#tell("destroying");
    const watching = this.#watch(signal);
    await destroyer.destroy([address], signal);
    await this.#untilReplaced(signal);
    await watching;
    this.#tell("replaced");
  }

  /** Keeps the lock, with the address until it is gone; a lock that is about to be lost ends the run. */
  async #refresh(run: AbortController): Promise<void> {
    const { lock, ttlMs, address } = this.#turn;
    const { clock, log } = this.#options;
    let heldMs = clock.monotonicMs();
    for (;;) {
      await clock.sleep(ttlMs / 4, run.signal);
      if (run.signal.aborted) return;
      const startMs = clock.monotonicMs();
      try {
        await lock.take(this.#isGone ? null : address, ttlMs, run.signal);
        heldMs = startMs;
      } catch (error) {
        if (run.signal.aborted) return;
        // An address is blocked for twice as long; what is left is for what is under way.
        if (error instanceof BlockHeld || clock.monotonicMs() - heldMs > ttlMs) return run.abort(error);
        log.warn("The lock couldn't be refreshed; it is tried again", { error });
      }
    }
  }

  async #remove(signal: AbortSignal): Promise<void> {
    const { fqdn, type, records } = this.#options;
    const { address, ttlMs } = this.#turn;
    const ttl = Math.max(1, Math.ceil(Math.min(REMOVAL_TTL_MAX_S, ttlMs / 1000)));
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const expected: RecordSet = await records.read(fqdn, type, signal);
      const rest = expected.values.filter((other) => other !== address);
      if (rest.length === expected.values.length) return;
      if (rest.length === 0) {
        throw new Error(`${address} is the last server of ${fqdn}: nothing would be left`);
      }
      if (await records.write(fqdn, type, rest, { ttl, wait: true, expected }, signal) === "written") return;
    }
    throw new Error(`${fqdn} changes faster than ${address} can be removed from it`);
  }

  /** Looks at the server until it fails a probe for the first time since it was to be destroyed. */
  async #watch(signal: AbortSignal): Promise<void> {
    const { address, ttlMs } = this.#turn;
    while (!this.#isGone && !signal.aborted) {
      if (await this.#look(address, signal).catch(() => null) !== null) this.#isGone = !signal.aborted;
      else await this.#options.clock.sleep(Math.min(GOING_PAUSE_MS, ttlMs / 16), signal);
    }
  }

  async #untilReplaced(signal: AbortSignal): Promise<void> {
    const { fqdn, type, records, region, clock } = this.#options;
    const { address, ttlMs, count } = this.#turn;
    for (;;) {
      const { values } = await records.read(fqdn, type, signal);
      const addresses = await region.filter(values, signal);
      const faults = await Promise.all(addresses.map((each) => this.#look(each, signal)));
      signal.throwIfAborted();
      const failing = addresses.filter((_, i) => faults[i] !== null);
      if (this.#isGone && failing.length === 0 && addresses.length >= count) return;
      const waitingFor = !this.#isGone
        ? `${address} to end`
        : failing.length > 0
        ? `${failing.join(", ")} to answer`
        : `${count - addresses.length} more`;
      this.#tell("waiting", waitingFor);
      await clock.sleep(ttlMs / 4, signal);
      signal.throwIfAborted();
    }
  }

  /** A probe with the deadline of the agents'. */
  async #look(address: string, signal: AbortSignal): Promise<string | null> {
    const { probe, clock } = this.#options;
    const [over, deadline] = [new AbortController(), new AbortController()];
    const end = () => over.abort();
    signal.addEventListener("abort", end);
    const late = clock.sleep(this.#turn.ttlMs / 4, over.signal).then(() => {
      deadline.abort();
      return "no answer in time";
    });
    try {
      return await Promise.race([probe(address, deadline.signal), late]);
    } finally {
      signal.removeEventListener("abort", end);
      over.abort();
    }
  }

  #tell(doing: ReplaceStep["doing"], waitingFor?: string): void {
    const { address, index, count } = this.#turn;
    this.#options.onStep?.({ address, index, count, doing, ...(waitingFor !== undefined && { waitingFor }) });
  }
}
