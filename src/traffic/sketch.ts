/**
 * What was counted and isn't kept yet: queries by hour, declared name and the client's network, in bounded memory. What
 * finds no room counts for its name without its network, or for its hour without its name: no query is forgotten.
 *
 * @module
 */
import type { NameCount, NetworkCount, QueryCount, Recorded } from "../store/traffic.ts";

/** One counted query, as workers tell of it. */
export interface CountedQuery {
  /** The declared name that answered. */
  readonly name: string;
  /** What was asked for. */
  readonly type: "A" | "AAAA";
  /** The client's network, 3 bytes (/24 of IPv4) or 6 (/48 of IPv6); copied. */
  readonly network: Uint8Array;
  /** Queries it stands for, 1 or more. */
  readonly weight: number;
}

/** Names and networks at most, some 150 bytes each: 5 MB. */
export const ENTRIES_MAX = 32_768;

/** Queries that found no room, under no name. */
const NAMELESS = "";
/** Added to the number of an IPv6 network, so that it is never one of IPv4. */
const IPV6_BIT = 2 ** 48;

/** Counts queries. */
export class Sketch {
  readonly #entriesMax: number;
  #entries = 0;
  /** By hour and name. */
  #hours = new Map<number, Map<string, CountOfName>>();

  /** Has counted nothing. */
  constructor(entriesMax: number = ENTRIES_MAX) {
    this.#entriesMax = entriesMax;
  }

  /** Names and networks in it. */
  get entries(): number {
    return this.#entries;
  }

  /**
   * Counts a query.
   *
   * @param hour since 1970-01-01T00:00:00Z
   * @returns false = its name or its network found no room
   */
  add(hour: number, { name, type, network, weight }: CountedQuery): boolean {
    const named = this.#named(hour, name);
    named.add(type, weight);
    named.variance += weight * (weight - 1);
    if (named.name === NAMELESS) return false;
    const key = keyOf(network);
    let count = named.byKey.get(key);
    if (count === undefined) {
      if (this.#isFull) return false;
      this.#entries++;
      named.byKey.set(key, count = new Count());
    }
    count.add(type, weight);
    return true;
  }

  /** Gives all that was counted, and begins again with nothing. */
  drain(): NameCount[] {
    const drained = [...this.#hours.values()].flatMap((names) => [...names.values()]);
    this.#hours = new Map();
    this.#entries = 0;
    return drained;
  }

  /** What was counted in some hours, the last one included; as it is at this moment. */
  between(fromHour: number, toHour: number): Recorded[] {
    const counted: Recorded[] = [];
    for (const [hour, names] of this.#hours) {
      if (hour < fromHour || hour > toHour) continue;
      for (const named of names.values()) counted.push(...recordedOf(named));
    }
    return counted;
  }

  get #isFull(): boolean {
    return this.#entries >= this.#entriesMax;
  }

  #named(hour: number, name: string): CountOfName {
    let names = this.#hours.get(hour);
    if (names === undefined) this.#hours.set(hour, names = new Map());
    const known = names.get(name);
    if (known !== undefined) return known;
    if (!this.#isFull) this.#entries++;
    else if (name !== NAMELESS) return this.#named(hour, NAMELESS);
    const named = new CountOfName(hour, name);
    names.set(name, named);
    return named;
  }
}

/** A name's networks, and what was counted of it without one; nothing of names that found no room. */
export function* recordedOf({ hour, name, networks, a, aaaa, samples }: NameCount): Generator<Recorded> {
  if (name === NAMELESS) return;
  const left = { a, aaaa, samples };
  for (const count of networks) {
    yield { hour, name, ...count };
    left.a -= count.a;
    left.aaaa -= count.aaaa;
    left.samples -= count.samples;
  }
  if (left.a + left.aaaa > 0) yield { hour, name, network: null, ...left };
}

class Count implements QueryCount {
  a = 0;
  aaaa = 0;
  samples = 0;

  add(type: "A" | "AAAA", weight: number): void {
    if (type === "A") this.a += weight;
    else this.aaaa += weight;
    this.samples++;
  }
}

class CountOfName extends Count implements NameCount {
  variance = 0;
  readonly hour: number;
  readonly name: string;
  /** By `keyOf`. */
  readonly byKey = new Map<number, Count>();

  constructor(hour: number, name: string) {
    super();
    this.hour = hour;
    this.name = name;
  }

  /** In the order of the table that they are written to, so that they lie in few of its pages. Made when asked for. */
  get networks(): NetworkCount[] {
    return [...this.byKey].sort(([one], [other]) => one - other).map(([key, { a, aaaa, samples }]) => ({
      network: networkOf(key),
      a,
      aaaa,
      samples,
    }));
  }
}

/** A number for the bytes: for a map, a number is several times cheaper than a text. */
function keyOf(network: Uint8Array): number {
  let key = 0;
  for (let i = 0; i < network.length; i++) key = key * 256 + network[i]!;
  return network.length === 6 ? key + IPV6_BIT : key;
}

function networkOf(key: number): Uint8Array {
  const network = new Uint8Array(key >= IPV6_BIT ? 6 : 3);
  for (let i = network.length - 1, rest = key % IPV6_BIT; i >= 0; i--) {
    network[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return network;
}
