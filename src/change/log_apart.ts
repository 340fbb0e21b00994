/**
 * Whether what two entries of the log do is so far apart that their order makes no difference: neither to the model, nor to
 * whether each of them fits it, nor to what a guard would say of names without an address. Such an entry of another node is
 * made on top of what is pending, which needn't be undone and made again for it.
 *
 * Of what it calls apart that is certain. Of much that is apart as well it can't tell: whatever is deleted, zones, checks, geo
 * rules, overrides, the fallback, pools with a fallback or that are one, members by name.
 *
 * @module
 */
import type { RecordedChange } from "../store/history_parts.ts";
import type { Store } from "../store/store.ts";
import { objectOf, type Recorded } from "./history_json.ts";

/** Of more objects it isn't told what they touch: making a pending entry again costs less. */
const OBJECTS_MAX = 1_000;

/** What some entries touch: objects, unique names, and whatever they refer to. */
export class Reach {
  readonly #written = new Set<string>();
  readonly #read = new Set<string>();

  private constructor() {}

  /** What these changes touch; `null` = that can't be told. @param store which has the objects' surroundings */
  static of(store: Store, changes: readonly RecordedChange[]): Reach | null {
    if (changes.length > OBJECTS_MAX) return null;
    const reach = new Reach();
    for (const change of changes) if (!reach.#add(store, change)) return null;
    return reach;
  }

  /** Whether neither touches what the other one writes. */
  isApartFrom(other: Reach): boolean {
    return this.#written.isDisjointFrom(other.#written) && this.#written.isDisjointFrom(other.#read) &&
      this.#read.isDisjointFrom(other.#written);
  }

  #add(store: Store, { kind, id, before, after }: RecordedChange): boolean {
    if (after === null) return false;
    this.#written.add(`${kind} ${id}`);
    const jsons = before === null ? [after] : [before, after];
    switch (kind) {
      case "service":
        for (const json of jsons) this.#addService(objectOf(kind, json));
        return true;
      case "pool":
        return isAlone(store, id) && jsons.every((json) => this.#addPool(objectOf(kind, json)));
      case "member":
        // New ones are placed behind all others, and so is one that another has the place of.
        if (before === null || objectOf(kind, before).seq !== objectOf(kind, after).seq) {
          this.#written.add("places");
        }
        return jsons.every((json) => this.#addMember(store, objectOf(kind, json)));
      default:
        return false;
    }
  }

  #addService({ domain, poolId }: Recorded["service"]): void {
    this.#written.add(`domain ${domain}`);
    if (poolId !== null) this.#read.add(`pool ${poolId}`);
  }

  #addPool({ name, fallbackPoolId }: Recorded["pool"]): boolean {
    this.#written.add(`name ${name}`);
    return fallbackPoolId === null;
  }

  /** Its pool answers otherwise. */
  #addMember(store: Store, { poolId, target }: Recorded["member"]): boolean {
    this.#written.add(`pool ${poolId}`);
    return target === null && isAlone(store, poolId);
  }
}

/** Whether neither a pool answers for it, nor it for one. */
function isAlone(store: Store, poolId: string): boolean {
  return (store.pools.get(poolId)?.fallbackPoolId ?? null) === null &&
    store.pools.fallingBackTo(poolId).length === 0;
}
