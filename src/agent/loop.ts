/**
 * The check loop: a server adds its own address to the record of its name, probes the other addresses there, and
 * removes those that stay bad. There is no leader, and servers don't speak with each other: the record is all they share.
 *
 * @module
 */
import type { Clock, Rng } from "../clock.ts";
import type { Logger } from "../telemetry/log.ts";
import { blockedForMs, readBlock } from "./block.ts";
import { type Destroyer, EVERY_REGION, type PeerProbe, PRESERVE, type RegionFilter } from "./ports.ts";
import { type RecordManager, type RecordSet, sameValues } from "./records.ts";
import {
  badOf,
  counted,
  type FailureCounts,
  isQuiet,
  type Limits,
  nextValues,
  pauseMs,
  peersOf,
  removableUndestroyed,
  removalsOf,
} from "./round.ts";

/** What a loop is made of. */
export interface LoopOptions {
  /** The name whose record it is. */
  readonly fqdn: string;
  /** This server's own address, canonical; its family says which record is kept. */
  readonly self: string;
  /** Milliseconds between rounds; also the record's TTL. */
  readonly intervalMs: number;
  /** When something is done about a peer. */
  readonly limits: Limits;
  /** Where the record is. */
  readonly records: RecordManager;
  /** Looks at peers. */
  readonly probe: PeerProbe;
  /** Which peers are in this server's region; all when left out. */
  readonly region?: RegionFilter;
  /** Ends what is removed; nothing does when left out. */
  readonly destroyer?: Destroyer;
  /** Time. */
  readonly clock: Clock;
  /** Spreads the rounds of several servers. */
  readonly rng: Rng;
  /** Told of changes and failures. */
  readonly log: Logger;
  /** Told of each round. */
  readonly onRound?: (round: Round) => void;
}

/** What came of a round. */
export interface Round {
  /** `conflict` = others changed the record each time that this server would have written it. */
  readonly outcome: "quiet" | "unchanged" | "written" | "conflict" | "failed";
  /** Addresses in the record, as far as they were read. */
  readonly addresses: number;
  /** Peers that failed this round's probe. */
  readonly failing: number;
  /** Whether this server's address was added. */
  readonly added: boolean;
  /** Peers that were taken out. */
  readonly removed: readonly string[];
  /** Writes that were refused because the record had changed. */
  readonly conflicts: number;
  /** Milliseconds. */
  readonly elapsedMs: number;
}

/** Writes of a round that may find the record changed: with jitter, fifty servers that join at once need six. */
const TRIES_MAX = 8;

/** The loop of one server and one record. */
export class CheckLoop {
  readonly #options: LoopOptions;
  readonly #type: "A" | "AAAA";
  #counts: FailureCounts = new Map();
  /** Of the round that runs. */
  #seen = { addresses: 0, failing: 0, conflicts: 0 };

  /** Does nothing yet. */
  constructor(options: LoopOptions) {
    this.#options = options;
    this.#type = options.self.includes(":") ? "AAAA" : "A";
  }

  /** Makes rounds until the signal is aborted; the first one at once. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { intervalMs, clock, rng, log } = this.#options;
    while (!signal.aborted) {
      try {
        await this.round(signal);
      } catch (error) {
        if (!signal.aborted) log.warn("The round was given up", { error });
      }
      await clock.sleep(pauseMs(intervalMs, rng), signal);
    }
  }

  /** One round. @throws {Error} what ended it early; failures are counted on in the next one */
  async round(signal: AbortSignal): Promise<Round> {
    const startMs = this.#options.clock.monotonicMs();
    this.#seen = { addresses: 0, failing: 0, conflicts: 0 };
    let done: Pick<Round, "outcome" | "added" | "removed"> = { outcome: "failed", added: false, removed: [] };
    try {
      done = await this.#round(startMs, signal);
    } finally {
      const elapsedMs = this.#options.clock.monotonicMs() - startMs;
      this.#options.onRound?.({ ...done, ...this.#seen, elapsedMs });
    }
    return { ...done, ...this.#seen, elapsedMs: this.#options.clock.monotonicMs() - startMs };
  }

  async #round(startMs: number, signal: AbortSignal): Promise<Pick<Round, "outcome" | "added" | "removed">> {
    const { self, intervalMs, limits, clock } = this.#options;
    const { values } = await this.#read(signal);
    const failed = await this.#probe(peersOf(values, self), signal);
    this.#seen.failing = failed.length;
    this.#counts = counted(this.#counts, failed);
    const bad = badOf(this.#counts, limits);
    const elapsedMs = clock.monotonicMs() - startMs;
    if (isQuiet({ isPresent: values.includes(self), bad, elapsedMs, intervalMs })) {
      return { outcome: "quiet", added: false, removed: [] };
    }
    return await this.#write(await this.#removals(bad, signal), signal);
  }

  async #read(signal: AbortSignal): Promise<RecordSet> {
    const { fqdn, records } = this.#options;
    const set = await records.read(fqdn, this.#type, signal);
    this.#seen.addresses = set.values.length;
    return set;
  }

  /** Which of the peers are bad: all are probed at once, and have a quarter of the interval. */
  async #probe(peers: readonly string[], signal: AbortSignal): Promise<string[]> {
    const { probe, intervalMs, clock, log } = this.#options;
    if (peers.length === 0) return [];
    const [over, deadline] = [new AbortController(), new AbortController()];
    const end = () => over.abort();
    signal.addEventListener("abort", end);
    const timeMs = intervalMs / 4;
    const late = clock.sleep(timeMs, over.signal).then(() => {
      deadline.abort();
      return `no answer within ${timeMs} ms`;
    });
    try {
      const results = await Promise.all(peers.map(async (address) => {
        // A probe that doesn't hear its signal is not waited for.
        const fault = await Promise.race([probe(address, deadline.signal), late]);
        return { address, fault };
      }));
      signal.throwIfAborted();
      return results.flatMap(({ address, fault }) => {
        if (fault === null) return [];
        const failures = (this.#counts.get(address) ?? 0) + 1;
        log.info("A peer failed its probe", { address, fault, failures });
        return [address];
      });
    } finally {
      signal.removeEventListener("abort", end);
      over.abort();
    }
  }

  /** What to remove, destroyed as far as that can be: the rest stays in DNS for later rounds. */
  async #removals(bad: readonly string[], signal: AbortSignal): Promise<readonly string[]> {
    const { region = EVERY_REGION, destroyer = PRESERVE, limits, log } = this.#options;
    if (bad.length === 0) return [];
    const inRegion = await region.filter(bad, signal);
    const remove = removalsOf({ bad, inRegion, counts: this.#counts, limits });
    if (remove.length === 0) return [];
    try {
      await destroyer.destroy(remove, signal);
      return remove;
    } catch (error) {
      const overdue = removableUndestroyed(remove, this.#counts, limits);
      if (overdue.length === 0) throw error;
      log.warn("Peers are removed although they couldn't be destroyed", { addresses: overdue, error });
      return overdue;
    }
  }

  /** Writes what follows from another read: others may have changed the record meanwhile. */
  async #write(
    remove: readonly string[],
    signal: AbortSignal,
  ): Promise<Pick<Round, "outcome" | "added" | "removed">> {
    const { fqdn, self, intervalMs, records, clock, rng, log } = this.#options;
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      if (tries > 0) await clock.sleep((rng() % 256) / 256 * tries * CONFLICT_PAUSE_MS, signal);
      signal.throwIfAborted();
      const read = await this.#read(signal);
      const isPresent = read.values.includes(self);
      const mayAdd = isPresent || await this.#mayAdd(signal);
      const next = nextValues(read.values, { self, remove, mayAdd });
      // Only a blocked server whose peers are all bad would leave nothing: an address that fails is better than none.
      if (next.length === 0 || sameValues(next, read.values)) {
        this.#forget(remove.filter((address) => !read.values.includes(address)));
        return { outcome: "unchanged", added: false, removed: [] };
      }
      const terms = { ttl: Math.ceil(intervalMs / 1000), wait: false, expected: read };
      if (await records.write(fqdn, this.#type, next, terms, signal) === "changed") {
        this.#seen.conflicts++;
        continue;
      }
      const removed = read.values.filter((address) => !next.includes(address));
      const added = !isPresent && mayAdd;
      log.info("The record was changed", { fqdn, ...(added && { added: self }), removed });
      this.#seen.addresses = next.length;
      this.#forget(removed);
      return { outcome: "written", added, removed };
    }
    log.warn("The record changed each time before it could be written", { fqdn, tries: TRIES_MAX });
    return { outcome: "conflict", added: false, removed: [] };
  }

  /** Whether this server isn't blocked; one that can't find out isn't. */
  async #mayAdd(signal: AbortSignal): Promise<boolean> {
    const { fqdn, self, records, clock, log } = this.#options;
    try {
      const leftMs = blockedForMs(await readBlock({ fqdn, records, clock }, signal), self, clock.unixMs());
      if (leftMs <= 0) return true;
      log.info("This server is blocked, and doesn't add itself", { address: self, leftMs });
      return false;
    } catch (error) {
      signal.throwIfAborted();
      log.warn("Whether this server is blocked can't be read; it adds itself", { error });
      return true;
    }
  }

  #forget(addresses: readonly string[]): void {
    this.#counts = new Map([...this.#counts].filter(([address]) => !addresses.includes(address)));
  }
}

/** Most milliseconds before the second try; the third waits for up to twice as long, and so on. */
const CONFLICT_PAUSE_MS = 100;
