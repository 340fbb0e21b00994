/**
 * What a commit touched, up to the size at which a list would be no help any more.
 *
 * @module
 */
import { type Commit } from "./edit.ts";

/** More ids than this aren't listed: reloading everything costs a follower less than so many single steps. */
export const TOUCHED_MAX = 10_000;

/** Gathers ids while a commit is made. */
export class Touched {
  readonly #pools = new Set<string>();
  readonly #services = new Set<string>();
  readonly #zones = new Set<string>();
  #fallback = false;
  #everything = false;

  pool(id: string): void {
    this.#add(this.#pools, id);
  }

  service(id: string): void {
    this.#add(this.#services, id);
  }

  zone(domain: string): void {
    this.#add(this.#zones, domain);
  }

  fallback(): void {
    this.#fallback = true;
  }

  /** As a commit says it. */
  list(): Omit<Commit, "generation"> {
    const everything = this.#everything;
    return {
      everything,
      poolIds: [...this.#pools],
      serviceIds: [...this.#services],
      zoneDomains: [...this.#zones],
      fallback: this.#fallback && !everything,
    };
  }

  #add(set: Set<string>, id: string): void {
    if (this.#everything) return;
    set.add(id);
    if (this.#pools.size + this.#services.size + this.#zones.size <= TOUCHED_MAX) return;
    this.#everything = true;
    for (const ids of [this.#pools, this.#services, this.#zones]) ids.clear();
  }
}
