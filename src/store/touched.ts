/**
 * What was touched, up to the size at which a list would be no help any more.
 *
 * @module
 */

/** More ids than this aren't listed: reloading everything costs a follower less than so many single steps. */
export const TOUCHED_MAX = 10_000;

/** Enough for a follower to reload only what was touched. */
export interface Touched {
  /** Too much was touched, or it isn't known what: all lists are empty, and followers reload everything. */
  readonly everything: boolean;
  /** Pools of which the own fields, a member, the check or a rule is another now. */
  readonly poolIds: readonly string[];
  /** Services that came, changed or went. */
  readonly serviceIds: readonly string[];
  /** Zones that came, changed or went. */
  readonly zoneDomains: readonly string[];
  /** Whether the override of the settings' fallback is another now. */
  readonly fallback: boolean;
}

/** Nothing. */
export const UNTOUCHED: Touched = {
  everything: false,
  poolIds: [],
  serviceIds: [],
  zoneDomains: [],
  fallback: false,
};

/** Everything, whatever it is. */
export const EVERYTHING: Touched = { ...UNTOUCHED, everything: true };

/** Gathers what is touched, each object once. */
export class TouchedList {
  readonly #max: number;
  readonly #pools = new Set<string>();
  readonly #services = new Set<string>();
  readonly #zones = new Set<string>();
  #fallback = false;
  #everything = false;

  /** Nothing yet. @param max ids beyond which it isn't listed any more */
  constructor(max: number = TOUCHED_MAX) {
    this.#max = max;
  }

  /** Adds a pool. */
  pool(id: string): void {
    this.#add(this.#pools, id);
  }

  /** Adds a service. */
  service(id: string): void {
    this.#add(this.#services, id);
  }

  /** Adds a zone. */
  zone(domain: string): void {
    this.#add(this.#zones, domain);
  }

  /** Adds the fallback. */
  fallback(): void {
    this.#fallback = true;
  }

  /** Gives up listing: too much is touched. */
  everything(): void {
    this.#everything = true;
    for (const ids of [this.#pools, this.#services, this.#zones]) ids.clear();
  }

  /** What was added. @param max ids that the list may have */
  list(max: number = this.#max): Touched {
    if (this.#everything || this.#size > max) return EVERYTHING;
    return {
      everything: false,
      poolIds: [...this.#pools],
      serviceIds: [...this.#services],
      zoneDomains: [...this.#zones],
      fallback: this.#fallback,
    };
  }

  #add(set: Set<string>, id: string): void {
    if (this.#everything) return;
    set.add(id);
    if (this.#size > this.#max) this.everything();
  }

  get #size(): number {
    return this.#pools.size + this.#services.size + this.#zones.size;
  }
}
