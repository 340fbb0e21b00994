/**
 * The addresses of members by name, kept up to date away from the answers: whoever compiles or explains an answer asks
 * `addressesOf` and never waits.
 *
 * A name is asked for again when its TTL is over, within the limits of the settings. What is known of it stays
 *
 * - as long as no resolver answers, however long that is: an outage of resolvers must not become one of services;
 * - until a resolver has said twice in a row that there is nothing (NXDOMAIN, or no addresses of the family): one such
 *   answer may be a slip while a zone is edited, two are what its owner wants.
 *
 * Names that nothing declares any more are forgotten, and not asked for again.
 *
 * @module
 */
import { anySignal } from "../any_signal.ts";
import type { Clock, Rng } from "../clock.ts";
import type { Settings } from "../settings/settings.ts";
import { type Family, formatSocketAddress, type SocketAddress } from "../ip.ts";
import { Listeners } from "../listeners.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Registry } from "../telemetry/metrics.ts";
import { type AskResolver, type Look, lookUp } from "./lookup.ts";

/** Where addresses outlive the process. */
export interface NamesMemory {
  /** What was kept. */
  each(): Iterable<readonly [target: string, addresses: readonly string[]]>;
  /** Keeps the addresses of these names. */
  save(entries: readonly (readonly [target: string, addresses: readonly string[]])[]): void;
  /** Drops names that nothing declares any more. */
  forget(targets: readonly string[]): void;
}

/** What names need. */
export interface NamesOptions {
  /** Which resolvers to ask, and for how long an answer holds; milliseconds. */
  readonly terms: Settings["names"];
  /** The resolvers when the terms name none. */
  readonly systemResolvers: () => readonly SocketAddress[];
  /** Asks one of them. */
  readonly ask: AskResolver;
  /** Paces the looks. */
  readonly clock: Pick<Clock, "monotonicMs" | "sleep">;
  /** Spreads them. */
  readonly rng: Rng;
  /** Hears when a name begins to fail, ends to, or has other addresses. */
  readonly log: Logger;
  /** Gets the metrics. */
  readonly registry: Registry;
  /** Where the last run left off. */
  readonly memory: NamesMemory;
}

/** Looks that are under way at the same time at most; each asks for both families. */
const LOOKS_MAX = 32;
/** Names that change within this time are told of together, milliseconds. */
const GATHER_MS = 20;
/** A look comes late by this share of the TTL at most, so that names asked for together don't stay together. */
const JITTER_SHARE = 1 / 10;
/** Answers that say that there is nothing, in a row, from which on it is believed. */
const EMPTY_NEEDED = 2;

/** Keeps the addresses of names. */
export class MemberResolver implements AsyncDisposable {
  readonly #options: NamesOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #kept: Map<string, readonly string[]>;
  readonly #running = new Set<Promise<void>>();
  readonly #ending = new AbortController();
  readonly #count: (result: Look["kind"]) => void;
  /** Those who wait for one of the looks that may be under way. */
  readonly #queue: (() => void)[] = [];
  readonly #listeners = new Listeners<readonly string[]>();
  #looks = 0;
  /** Names to be told of. */
  readonly #changed = new Set<string>();
  #terms: Settings["names"];
  /** The resolver that answered last: one that is down is waited for once, not at every look. */
  #preferred: string | null = null;

  /** Knows what the last run knew; asks when there is something to ask for. */
  constructor(options: NamesOptions) {
    this.#options = options;
    this.#terms = options.terms;
    this.#kept = new Map(options.memory.each());
    const results = options.registry.counter(
      "pleiades_names_resolutions_total",
      "Look-ups of names of members, one for each family, by result.",
      ["result"],
    );
    this.#count = (result) => results.labels(result).inc();
    options.registry.gauge("pleiades_names_targets", "Names of members by state.", {
      labelNames: ["state"],
      collect: () => this.#states(),
    });
  }

  /** The addresses of a name, in canonical form, IPv4 first; none = not known yet, or there are none. */
  readonly addressesOf = (target: string): readonly string[] => this.#entries.get(target)?.addresses ?? [];

  /** The addresses of all names, for another thread. */
  known(): Map<string, readonly string[]> {
    return new Map([...this.#entries].map(([target, { addresses }]) => [target, addresses]));
  }

  /** Tells of names that have other addresses, until it is disposed of; where a listener throws, it is told again later. */
  onChange(hear: (targets: readonly string[]) => void): Disposable {
    return this.#listeners.add(hear);
  }

  /** Asks for these names and no others from now on. */
  follow(targets: Iterable<string>): void {
    const wanted = new Set(targets);
    const gone = [...this.#entries.keys(), ...this.#kept.keys()].filter((target) => !wanted.has(target));
    for (const target of gone) {
      this.#entries.get(target)?.ending.abort();
      this.#entries.delete(target);
      this.#changed.delete(target);
    }
    for (const target of wanted) if (!this.#entries.has(target)) this.#begin(target);
    this.#kept.clear();
    if (gone.length > 0) this.#options.memory.forget([...new Set(gone)]);
  }

  /** Takes other terms; every name is asked for again, as other resolvers may know other addresses. */
  use(terms: Settings["names"]): void {
    if (JSON.stringify(terms) === JSON.stringify(this.#terms)) return;
    this.#terms = terms;
    this.#preferred = null;
    for (const entry of this.#entries.values()) entry.hurry.abort();
  }

  /** Resolves when every name was looked at once, or the signal fires. */
  async firstRound(signal: AbortSignal): Promise<void> {
    const looked = Promise.all([...this.#entries.values()].map(({ looked }) => looked.promise));
    const given = Promise.withResolvers<void>();
    const giveUp = () => given.resolve();
    signal.addEventListener("abort", giveUp);
    if (!signal.aborted) await Promise.race([looked, given.promise]);
    signal.removeEventListener("abort", giveUp);
    this.#tell();
  }

  /** Stops; resolves when no question is under way any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    for (const { ending, hurry } of this.#entries.values()) {
      ending.abort();
      hurry.abort();
    }
    await Promise.all(this.#running);
  }

  #begin(target: string): void {
    const addresses = this.#kept.get(target) ?? [];
    const entry: Entry = {
      target,
      addresses,
      families: [4, 6].map((family) => ({
        family: family as Family,
        addresses: addresses.filter((address) => address.includes(":") === (family === 6)),
        empties: 0,
      })),
      state: "new",
      ending: new AbortController(),
      hurry: new AbortController(),
      looked: Promise.withResolvers(),
    };
    this.#entries.set(target, entry);
    const run = this.#run(entry).finally(() => this.#running.delete(run));
    this.#running.add(run);
  }

  async #run(entry: Entry): Promise<void> {
    const { clock } = this.#options;
    while (!entry.ending.signal.aborted) {
      entry.hurry = new AbortController();
      const waitMs = await this.#inTurn(() => this.#look(entry)).catch((error) => this.#failed(entry, error));
      entry.looked.resolve();
      if (entry.ending.signal.aborted) return;
      await clock.sleep(waitMs, anySignal([entry.ending.signal, entry.hurry.signal]));
    }
  }

  async #inTurn<Result>(act: () => Promise<Result>): Promise<Result> {
    if (this.#looks === LOOKS_MAX) await new Promise<void>((resolve) => this.#queue.push(resolve));
    else this.#looks++;
    try {
      return await act();
    } finally {
      const next = this.#queue.shift();
      if (next) next();
      else this.#looks--;
    }
  }

  /** Asks once, and gives how long to wait then. */
  async #look(entry: Entry): Promise<number> {
    const { ending: { signal }, target, families } = entry;
    if (signal.aborted) return 0;
    const resolvers = this.#resolvers();
    const looks = await Promise.all(families.map(({ family }) =>
      lookUp({
        name: target,
        family,
        resolvers,
        timeoutMs: this.#terms.timeout,
        ask: async (question) => {
          const answer = await this.#options.ask(question);
          this.#preferred = formatSocketAddress(question.server);
          return answer;
        },
        signal,
      })
    ));
    if (signal.aborted) return 0;
    for (const look of looks) this.#count(look.kind);
    this.#take(entry, looks);
    return this.#waitMs(entry, looks);
  }

  /** A fault of this program, or of the system: it costs this look, never the looks to come or the process. */
  #failed({ target }: Entry, error: unknown): number {
    this.#options.log.error(`Looking up ${target} failed; it is looked up again`, { error });
    return this.#terms.minTtl;
  }

  #resolvers(): readonly SocketAddress[] {
    const { resolvers } = this.#terms;
    const all = resolvers.length > 0 ? resolvers : this.#options.systemResolvers();
    const isPreferred = (server: SocketAddress) => formatSocketAddress(server) === this.#preferred;
    return [...all.filter(isPreferred), ...all.filter((server) => !isPreferred(server))];
  }

  #take(entry: Entry, looks: readonly Look[]): void {
    for (const [i, known] of entry.families.entries()) {
      const look = looks[i]!;
      if (look.kind === "found") known.addresses = look.addresses;
      known.empties = look.kind === "empty" ? known.empties + 1 : look.kind === "found" ? 0 : known.empties;
      if (known.empties >= EMPTY_NEEDED) known.addresses = [];
    }
    const before = entry.addresses;
    const addresses = entry.families.flatMap((known) => known.addresses);
    entry.addresses = addresses;
    this.#report(entry, { before, looks });
    if (addresses.join() === before.join()) return;
    this.#changed.add(entry.target);
    if (this.#changed.size === 1) this.#tellLater(GATHER_MS);
  }

  /** Says what is new, once. */
  #report(
    entry: Entry,
    { before, looks }: { readonly before: readonly string[]; readonly looks: readonly Look[] },
  ): void {
    const { target, addresses } = entry;
    const { log } = this.#options;
    const was = entry.state;
    const failed = looks.find((look) => look.kind === "failed");
    const empty = looks.find((look) => look.kind === "empty");
    const isEmpty = looks.every((look) => look.kind === "empty");
    entry.state = failed ? "failing" : isEmpty ? "empty" : "resolved";
    const kept = addresses.length > 0 ? addresses : "none";
    if (entry.state !== was && failed) {
      log.warn(`Cannot resolve ${target}; its last addresses stay`, {
        reason: failed.reason,
        addresses: kept,
      });
    } else if (entry.state !== was && isEmpty) {
      log.warn(
        `${target} has no addresses any more, or never had; the last ones stay until a second answer says so`,
        {
          reason: empty!.reason,
          addresses: kept,
        },
      );
    } else if (entry.state === "resolved" && was !== "new" && was !== "resolved") {
      log.info(`${target} is resolved again`, { addresses: kept });
    }
    if (was !== "new" && addresses.join() !== before.join()) {
      log.info(`${target} has other addresses`, { addresses: kept, before });
    }
  }

  #waitMs({ families }: Entry, looks: readonly Look[]): number {
    const { minTtl, maxTtl } = this.#terms;
    const isDoubted = families.some(({ addresses, empties }) => empties > 0 && addresses.length > 0);
    const ttls = looks.map((look) => look.kind === "failed" ? 0 : look.ttl * 1000);
    // That there are none of the other family is usual, and nothing to be asked again and again.
    const found = ttls.filter((_, i) => looks[i]!.kind !== "empty");
    const ttlMs = isDoubted ? 0 : Math.min(...(found.length > 0 ? found : ttls));
    const late = 1 + JITTER_SHARE * this.#options.rng() / 2 ** 32;
    return Math.min(maxTtl, Math.max(minTtl, ttlMs) * late);
  }

  async #tellLater(waitMs: number): Promise<void> {
    await this.#options.clock.sleep(waitMs, this.#ending.signal);
    if (!this.#ending.signal.aborted) this.#tell();
  }

  /** Nothing waits for this, so a failure is told to the log, and the names are told of again. */
  #tell(): void {
    if (this.#changed.size === 0) return;
    const changed = [...this.#changed];
    this.#changed.clear();
    try {
      this.#options.memory.save(changed.map((target) => [target, this.addressesOf(target)]));
      this.#listeners.tell(changed);
    } catch (error) {
      this.#options.log.error("Names have other addresses, and taking them failed; it is tried again", {
        error,
      });
      for (const target of changed) if (this.#entries.has(target)) this.#changed.add(target);
      if (this.#changed.size > 0) this.#tellLater(this.#terms.minTtl);
    }
  }

  #states(): [labelValues: string[], value: number][] {
    const counts = { resolved: 0, stale: 0, unresolved: 0 };
    for (const { state, addresses } of this.#entries.values()) {
      if (addresses.length === 0) counts.unresolved++;
      else if (state === "resolved") counts.resolved++;
      else counts.stale++;
    }
    return Object.entries(counts).map(([state, count]) => [[state], count]);
  }
}

interface Entry {
  readonly target: string;
  addresses: readonly string[];
  readonly families: readonly { readonly family: Family; addresses: readonly string[]; empties: number }[];
  state: "new" | "resolved" | "empty" | "failing";
  /** Nothing declares it any more. */
  readonly ending: AbortController;
  /** Ends the wait for the next look. */
  hurry: AbortController;
  /** Resolves after the first look. */
  readonly looked: PromiseWithResolvers<void>;
}
