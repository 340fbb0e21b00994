/**
 * What is answered: the publisher, given what it works with, and joined to all that answers follow from.
 *
 * ```text
 *            model ─ commits ─┐
 *  geo data, names, overrides ┼──▶ Publisher ──▶ tables, which the workers answer from
 *                      health ┘
 * ```
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { desiredOf } from "../desired/desired.ts";
import { applyOverrides, overriddenSource } from "../desired/overridden.ts";
import type { Fleet } from "../dns/fleet.ts";
import { RoundTrips } from "../health/round_trips.ts";
import { Listeners } from "../listeners.ts";
import type { ReleasedState } from "../replace/state.ts";
import type { Settings } from "../settings/settings.ts";
import type { Store } from "../store/store.ts";
import type { Ground } from "./ground.ts";
import { type ChangeSource, type Geo, Publisher } from "./publisher.ts";
import type { Sources } from "./sources.ts";
import { AnswerGuard } from "../plan/answer_guard.ts";
import { keeperOf } from "./tables_keeper.ts";

/** How often members are asked how far away they are. */
const ROUND_TRIPS_INTERVAL_MS = 1_000;

/** What answers are made of besides the model. */
interface Ingredients {
  readonly settings: Settings;
  readonly geo: Geo;
}

/** Answers by other settings, which are ready to be given. */
export interface Publication {
  /**
   * Gives them.
   *
   * @throws what was wrong with them; the answers before stay then, and the attempt is counted
   */
  publish(): Promise<void>;
  /** Takes over what they are made of, when they are given. */
  readonly take: () => void;
}

/** The answers of a node. */
export class Answers implements AsyncDisposable {
  /** Keeps the tables equal to what is desired. */
  readonly publisher: Publisher;
  readonly #geo: Sources["geo"];
  readonly #clock: Pick<Clock, "unixMs">;
  readonly #changed = new Listeners();
  readonly #joints = new DisposableStack();
  readonly #countRefused: () => void;
  readonly #noteApplied: () => void;
  #isSucceeded = false;
  #ingredients: Ingredients;

  /** Makes the first tables; from then on targets are probed, and whatever changes is published. */
  constructor(
    { settings, store, changes, commits, events, clock, log, registry }: Ground,
    sources: Sources,
  ) {
    const { addressesOf, health, geo } = sources;
    this.#geo = geo;
    this.#clock = clock;
    this.#ingredients = { settings: settings(), geo };
    const published = registry.counter(
      "pleiades_config_reloads_total",
      "States published to the workers, and refused reloads.",
      ["result"],
    );
    const applied = registry.gauge(
      "pleiades_config_applied_timestamp_seconds",
      "When the workers got the last state.",
    ).labels();
    this.#countRefused = () => published.labels("error").inc();
    this.#noteApplied = () => applied.set(clock.unixMs() / 1000);
    const desiredIn = (from: Store) =>
      desiredOf(this.#ingredients.settings, overriddenNow(from, clock), addressesOf);
    this.publisher = new Publisher({
      desired: () => desiredIn(store),
      frozen: () => {
        const frozen = store.frozen();
        return frozen && { ...desiredIn(frozen), [Symbol.dispose]: () => frozen.close() };
      },
      addressesOf,
      changes: changesOf(store),
      overridden: (pool) => applyOverrides(pool, store.overrides.index(), clock.unixMs()),
      eligibility: health.eligibility,
      geo: () => this.#ingredients.geo,
      ...{ clock, log },
      keeper: keeperOf({ store, settings: () => this.#ingredients.settings, log }),
      onAnswersChanged: () => this.#changed.tell(),
      onPublished: (result) => {
        published.labels(result).inc();
        if (result === "success") this.#noteApplied();
        else events.emit(NOT_PUBLISHED);
      },
    });
    changes.guardBy(this.#guard(sources));
    registry.gauge("pleiades_config_generation", "Generation of the model in the answers.", {
      collect: () => this.publisher.generation,
    });
    this.#join({ store, commits }, sources);
  }

  /** Tells of each change of what is answered, and of each change of health, until it is disposed of. */
  onChange(hear: () => void): Disposable {
    return this.#changed.add(hear);
  }

  /** Counts a reload that was refused before it came here. */
  countRefused(): void {
    this.#countRefused();
  }

  /**
   * Makes answers by other settings ready: reads the files that they name, and changes nothing.
   *
   * @throws {Error} when they can't be given
   */
  async prepare(next: Settings, signal: AbortSignal): Promise<Publication> {
    const geo = await this.#geo.prepare(next, signal);
    return {
      publish: () => this.#publish({ settings: next, geo }),
      take: () => {
        geo.take();
        this.#ingredients = { settings: next, geo: this.#geo };
      },
    };
  }

  /** Publishes to these workers, which were started with `given`; keeps the tables for the next start at both ends. */
  attach(fleet: Fleet, given: Publisher["current"]): AsyncDisposable {
    this.publisher.attach(fleet, given);
    this.#noteApplied();
    this.publisher.keep();
    return {
      [Symbol.asyncDispose]: async () => {
        if (!this.#isSucceeded) this.publisher.keep();
        await this.publisher[Symbol.asyncDispose]();
      },
    };
  }

  /** Where the rotations of these services stand, and that of the fallback. */
  rotations(domains: readonly string[]): Pick<ReleasedState, "tickets" | "fallback"> {
    return this.publisher.rotations(domains);
  }

  /** Has the rotations of services go on from there, and that of the fallback; before the first answer. */
  rotateFrom(state: Pick<ReleasedState, "tickets" | "fallback">): void {
    this.publisher.rotateFrom(state);
  }

  /** Says that another process keeps the tables for the next start. */
  succeed(): void {
    this.#isSucceeded = true;
  }

  /** Has answers go by the round trips of probes; the first ones are there at once. */
  measure({ checker }: Sources["health"]): Disposable {
    const roundTrips = new RoundTrips({
      measured: () => this.publisher.measured,
      latencyMs: (key) => checker.verdict(key).latencyMs,
      publish: (changes) => this.publisher.measure(changes),
    });
    roundTrips.look();
    const looking = setInterval(() => roundTrips.look(), ROUND_TRIPS_INTERVAL_MS);
    return { [Symbol.dispose]: () => clearInterval(looking) };
  }

  /** Hears of no change any more, and gives up what is being written. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#joints.dispose();
    await this.publisher[Symbol.asyncDispose]();
  }

  /** Forecasts by the same that is answered by. */
  #guard({ names, addressesOf }: Sources): AnswerGuard {
    const { publisher } = this;
    const settings = () => this.#ingredients.settings;
    const nowMs = () => this.#clock.unixMs();
    return new AnswerGuard({
      settings,
      world: () => {
        const { geo } = this.#ingredients;
        const { health } = publisher;
        let roundTrips: ReadonlyMap<string, number> | null = null;
        return {
          health: {
            out: { get: (key) => health.outSince(key) },
            roundTripsUs: { get: (key) => (roundTrips ??= health.roundTrips()).get(key) },
          },
          geoData: geo.geoData,
          locationOf: (member) => geo.locationOf(member),
        };
      },
      addressesOf,
      nowMs,
      portable: () => {
        const { dns, fallback, guards, geoip: { endpointLocations } } = settings();
        const { health } = publisher;
        return {
          settings: { dns, fallback, guards, geoip: { endpointLocations } },
          health: { out: new Map(health.out()), roundTripsUs: health.roundTrips() },
          geoData: this.#ingredients.geo.geoData,
          addresses: names.known(),
          nowMs: nowMs(),
        };
      },
    });
  }

  #join(
    { store, commits }: Pick<Ground, "store" | "commits">,
    { names, health, geo, overrides }: Sources,
  ): void {
    const { publisher } = this;
    this.#joints.use(health.onEligibility((keys) => publisher.judge(keys)));
    this.#joints.use(geo.onChange(() => publisher.touchGeoData()));
    this.#joints.use(overrides.onDue((poolIds) => publisher.touchPools(poolIds)));
    this.#joints.use(
      names.onChange((targets) =>
        publisher.touchPools(targets.flatMap((target) => store.resolvedNames.poolsOf(target)))
      ),
    );
    this.#joints.use(commits.subscribe(({ everything, poolIds }) => {
      overrides.wake();
      if (everything || poolIds.length > 0) names.follow(store.resolvedNames.targets());
      publisher.touch(everything);
    }));
  }

  /** The publisher reads other ingredients for as long as this takes, or for good. */
  async #publish(ingredients: Ingredients): Promise<void> {
    const before = { ingredients: this.#ingredients, snapshot: this.publisher.current.snapshot };
    this.#ingredients = ingredients;
    try {
      await this.publisher.refresh();
    } catch (error) {
      this.#ingredients = before.ingredients;
      // A step that was under way may have published by what is given back now.
      if (this.publisher.current.snapshot !== before.snapshot) this.publisher.touch(true);
      throw error;
    }
  }
}

/** Why is in the log. */
const NOT_PUBLISHED = {
  kind: "failure",
  what: "publishing",
  message: "The last change can't reach the answers; the previous state stays",
} as const;

function overriddenNow(store: Store, clock: Pick<Clock, "unixMs">) {
  return overriddenSource(store.source(), { overrides: store.overrides.index(), nowMs: clock.unixMs() });
}

function changesOf(store: Store): ChangeSource {
  const { history, overrides, resolvedNames, pools, services, zones } = store;
  return {
    generation: () => store.generation(),
    touchedSince: (generation) => history.touchedSince(generation),
    formerDomains: (generation) => history.formerDomains(generation),
    overriddenPools: () => overrides.all().flatMap((override) => overrides.poolsCoveredBy(override)),
    namedPools: () => resolvedNames.targets().flatMap((target) => resolvedNames.poolsOf(target)),
    pool: (id) => pools.whole(id),
    service: (id) => services.get(id),
    serviceByDomain: (domain) => services.byDomain(domain),
    zone: (domain) => zones.get(domain),
    fallback: () => store.fallback(),
  };
}
