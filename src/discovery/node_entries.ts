/**
 * What the nodes of a zone say together, where each is asked by itself. An address has instances on many nodes, and what one of
 * them weighs depends on the others: where none has asked for a weight, all have 0.
 *
 * @module
 */
import { formatAddress } from "./address.ts";
import { type Instance, isSameInstance } from "./catalog.ts";
import { type EntryReading, USUAL_WEIGHT } from "./consul_entries.ts";

/** What is another than before. */
export interface NodeChange {
  /** Those that are new or other ones. */
  readonly put: readonly Instance[];
  /** Ids. */
  readonly gone: readonly string[];
}

/** An entry that is an instance. */
type Present = EntryReading & { readonly instance: Instance };

interface Place {
  readonly entries: Map<string, Present>;
  /** How many of them have asked for a weight. */
  weighted: number;
}

/** Instances of all nodes. */
export class NodeEntries {
  readonly #byNode = new Map<string, ReadonlyMap<string, Present>>();
  readonly #places = new Map<string, Place>();
  #size = 0;

  /** How many there are. */
  get size(): number {
    return this.#size;
  }

  /** How many a node has. */
  sizeOf(node: string): number {
    return this.#byNode.get(node)?.size ?? 0;
  }

  /** All of them. */
  instances(): Instance[] {
    return [...this.#places.values()].flatMap((place) =>
      [...place.entries.values()].map((entry) => weighed(entry, place))
    );
  }

  /** Makes this all that a node has. */
  take(node: string, entries: readonly EntryReading[]): NodeChange {
    const before = this.#byNode.get(node) ?? NONE;
    const next = new Map(entries.filter(isPresent).map((entry) => [entry.instance.id, entry]));
    /** Whether those at places that are touched had weights. */
    const hadWeights = new Map<string, boolean>();
    const put = new Map<string, Present>();
    const gone: string[] = [];
    for (const [id, entry] of before) {
      const now = next.get(id);
      if (now !== undefined && isSame(entry, now)) continue;
      this.#move(entry, -1, hadWeights);
      if (now === undefined) gone.push(id);
    }
    for (const [id, entry] of next) {
      const was = before.get(id);
      if (was !== undefined && isSame(was, entry)) continue;
      this.#move(entry, 1, hadWeights);
      put.set(id, entry);
    }
    for (const [key, had] of hadWeights) {
      const place = this.#places.get(key);
      if (place === undefined || place.weighted > 0 === had) continue;
      for (const [id, entry] of place.entries) put.set(id, entry);
    }
    if (next.size > 0) this.#byNode.set(node, next);
    else this.#byNode.delete(node);
    this.#size += next.size - before.size;
    const placeOf = ({ instance }: Present) => this.#places.get(formatAddress(instance.address))!;
    return { put: [...put.values()].map((entry) => weighed(entry, placeOf(entry))), gone };
  }

  #move(entry: Present, by: 1 | -1, hadWeights: Map<string, boolean>): void {
    const { id, address } = entry.instance;
    const key = formatAddress(address);
    let place = this.#places.get(key);
    if (!place) this.#places.set(key, place = { entries: new Map(), weighted: 0 });
    if (!hadWeights.has(key)) hadWeights.set(key, place.weighted > 0);
    if (by > 0) place.entries.set(id, entry);
    else place.entries.delete(id);
    if (entry.weight !== USUAL_WEIGHT) place.weighted += by;
    if (place.entries.size === 0) this.#places.delete(key);
  }
}

const NONE: ReadonlyMap<string, Present> = new Map();

function isPresent(entry: EntryReading): entry is Present {
  return entry.instance !== null;
}

function isSame(a: Present, b: Present): boolean {
  return a === b || a.weight === b.weight && isSameInstance(a.instance, b.instance);
}

function weighed({ instance, weight }: Present, { weighted }: Place): Instance {
  return weighted > 0 && instance.weight !== weight ? { ...instance, weight } : instance;
}
