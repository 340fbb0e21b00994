/**
 * Notices pools that have too few members left, and says so: in the log, in the metrics and to whoever asks.
 *
 * It looks at what answers are made of, so it sees whatever takes the last member away: checks, overrides, a change of
 * the model, a name without addresses. With a million pools one look takes tens of milliseconds; so it is taken in
 * slices, with turns of the event loop in between, and at most once a second.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import type { Family } from "../ip.ts";
import { inSlices } from "../slices.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Registry } from "../telemetry/metrics.ts";
import type { PoolState } from "./pool_state.ts";

/** A pool with too few members left. */
export interface DownPool extends PoolState {
  /** Its id. */
  readonly id: string;
  /** The family that lacks members while the other has enough; `null` = both do. */
  readonly family: Family | null;
}

/** A pool that went down, or came back. */
export interface PoolTurn extends Pick<DownPool, "id" | "name" | "family"> {
  /** Whether it lacks members now. */
  readonly isDown: boolean;
}

/** What a watch works with. */
export interface PoolWatchOptions {
  /** Spaces the looks. */
  readonly clock: Clock;
  /** Hears of pools that go down and come back. */
  readonly log: Logger;
  /** Shows which are down. */
  readonly registry: Registry;
  /** Looks at some pools; gives the place to go on from, `null` at the end. */
  readonly find: (
    places: { readonly from: number; readonly count: number },
    found: (poolId: string, lack: Family | "health" | "members") => void,
  ) => number | null;
  /** How a pool is doing; `null` = there is no such pool, or it has no members at all. */
  readonly stateOf: (poolId: string, family: Family | null) => PoolState | null;
}

/** Between the beginnings of two looks, at least, … */
const INTERVAL_MS = 1_000;
/** … and so many times as long as the last one took. */
const IDLE_SHARE = 20;
/** Places of the index that are looked at in one turn: about a millisecond. */
const SLICE = 16_384;
/** Pools that are named; more are only counted. */
const NAMED_MAX = 500;
/** Lines that one look writes at most; a last one counts the rest. */
const LINES_MAX = 20;

/** Watches the pools of a node. */
export class PoolWatch implements AsyncDisposable {
  readonly #options: PoolWatchOptions;
  readonly #ending = new AbortController();
  readonly #listeners = new Set<(turn: PoolTurn) => void>();
  #down: ReadonlyMap<string, DownPool> = new Map();
  #count = 0;
  #isDirty = false;
  #looking: Promise<void> | null = null;

  /** Looks when it is woken. */
  constructor(options: PoolWatchOptions) {
    this.#options = options;
    const { registry } = options;
    registry.gauge("pleiades_pools_down", "Pools with too few members left to answer by their own rule.", {
      collect: () => this.#count,
    });
    registry.gauge(
      "pleiades_pool_down",
      "1 for each pool with too few members left; others have no series.",
      {
        labelNames: ["pool", "pool_id", "family"],
        collect: () =>
          [...this.#down.values()].map(({ id, name, family }) =>
            [[name, id, family === null ? "all" : `v${family}`], 1] as const
          ),
      },
    );
  }

  /** How many pools are down. */
  get count(): number {
    return this.#count;
  }

  /** Pools that are down, by name; of very many not all. */
  get down(): readonly DownPool[] {
    return [...this.#down.values()].sort((a, b) => a.name < b.name ? -1 : 1);
  }

  /** Tells of each pool that goes down or comes back, until it is disposed of; of very many not of all. */
  onTurn(listener: (turn: PoolTurn) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Says that pools may be doing otherwise than before. */
  wake(): void {
    this.#isDirty = true;
    this.#looking ??= this.#lookUntilClean().catch((error) => {
      if (this.#ending.signal.aborted) return;
      this.#options.log.error("Cannot find out which pools are down", { error });
    }).finally(() => {
      this.#looking = null;
      if (this.#isDirty && !this.#ending.signal.aborted) this.wake();
    });
  }

  /** Stops; resolves when nothing is looked at any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#looking;
  }

  async #lookUntilClean(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#ending;
    // Whoever woke us goes on first, and has changed all that it changes in this turn.
    await clock.sleep(0, signal);
    while (this.#isDirty && !signal.aborted) {
      this.#isDirty = false;
      const beganMs = clock.monotonicMs();
      await this.#look();
      const tookMs = clock.monotonicMs() - beganMs;
      await clock.sleep(Math.max(INTERVAL_MS, tookMs * IDLE_SHARE) - tookMs, signal);
    }
  }

  async #look(): Promise<void> {
    const { clock, find } = this.#options;
    const { signal } = this.#ending;
    const families = new Map<string, Family | null>();
    const empty: string[] = [];
    let beyond = 0;
    for (let from: number | null = 0; from !== null;) {
      from = find({ from, count: SLICE }, (poolId, lack) => {
        // Most pools without a member to answer are merely not filled yet: whether one is, takes a look at the model.
        if (lack === "members") { if (empty.length < NAMED_MAX) empty.push(poolId); }
        else if (families.size < NAMED_MAX) families.set(poolId, lack === "health" ? null : lack);
        else beyond++;
      });
      if (from !== null) await clock.sleep(0, signal);
      if (signal.aborted) return;
    }
    for (const poolId of empty) families.set(poolId, null);
    const before = this.#down;
    this.#down = await inSlices(this.#statesOf(families), { clock, signal });
    this.#count = this.#down.size + beyond;
    this.#tell(before, beyond);
  }

  #report(pools: readonly DownPool[], isDown: boolean): void {
    for (const { id, name, family } of pools) {
      for (const listener of this.#listeners) listener({ id, name, family, isDown });
    }
  }

  /** Each may have to be read from the model: 500 take 100 ms. */
  *#statesOf(families: ReadonlyMap<string, Family | null>): Generator<void, Map<string, DownPool>> {
    const down = new Map<string, DownPool>();
    for (const [id, family] of families) {
      const state = this.#options.stateOf(id, family);
      if (state !== null) down.set(id, { id, family, ...state });
      yield;
    }
    return down;
  }

  #tell(before: ReadonlyMap<string, DownPool>, beyond: number): void {
    const { log, stateOf } = this.#options;
    const went = [...this.#down.values()].filter(({ id, family }) => before.get(id)?.family !== family);
    for (const { name, family, members, eligible, answersWhenDown } of went.slice(0, LINES_MAX)) {
      const what = family === null ? "Pool is down" : `Pool is down for IPv${family}`;
      log.warn(what, { pool: name, healthy: `${eligible}/${members}`, answers: answersWhenDown });
    }
    this.#report(went, true);
    const more = went.length + beyond - LINES_MAX;
    if (went.length > 0 && more > 0) log.warn("More pools are down", { count: more });
    // With more pools down than are named, one that isn't among them may be down all the same.
    if (beyond > 0) return;
    const back = [...before.values()].filter(({ id }) => !this.#down.has(id));
    this.#report(back, false);
    for (const { id, name } of back.slice(0, LINES_MAX)) {
      const state = stateOf(id, null);
      log.info(
        state === null ? "Pool is gone, or has no members" : "Pool is up again",
        { pool: name, healthy: state === null ? undefined : `${state.eligible}/${state.members}` },
      );
    }
    if (back.length > LINES_MAX) log.info("More pools are up again", { count: back.length - LINES_MAX });
  }
}
