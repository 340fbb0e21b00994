/**
 * Names that differ in nothing but addresses: of all of them the first is forecast, and what is found of it holds for the
 * others with their own addresses. So a change of very many pools that are made alike costs little more than to read
 * them.
 *
 * Two names are alike when the pools that answer them before the change have one form, and those after it, too. A
 * **form** is all that the choice among a pool's members depends on, with addresses numbered in the order in which they
 * come in the pool before and in the one after. Pools whose choice depends on the client, on another pool, on
 * measurements or on names have none.
 *
 * @module
 */
import type { SteeredMember, SteeredPool } from "../desired/desired.ts";
import { eligibilityKeyOf } from "../desired/eligibility.ts";
import type { FrozenHealth } from "./forecast.ts";

/** Which name another one is like, and what stands for each address of that one. */
export interface Alike {
  /** It is alike to none itself. */
  readonly model: string;
  /** By number, the model's. */
  readonly addressesOfModel: readonly string[];
  /** By number, those in their place. */
  readonly addresses: readonly string[];
}

/** Algorithms that go by nothing but what the pool says. */
const PLAIN_ALGORITHMS: readonly string[] = ["round-robin", "weighted-round-robin", "failover"];

/** Finds for each name the first one that it is like. */
export class Alikes {
  readonly #health: FrozenHealth;
  readonly #models = new Map<string, { readonly name: string; readonly addresses: readonly string[] }>();
  readonly #forms = new WeakMap<SteeredPool, Form & { readonly after: SteeredPool }>();

  /** Knows no name yet. */
  constructor(health: FrozenHealth) {
    this.#health = health;
  }

  /**
   * The name that this one is like; `null` = it is the first of its kind, or the only one that there may be.
   *
   * @param before the pool that answers the name before the change, with addresses in place of names
   * @param after the same after it
   */
  of(
    name: string,
    { before, after }: { readonly before: SteeredPool; readonly after: SteeredPool },
  ): Alike | null {
    const { word, addresses } = this.#formOf(before, after);
    if (word === null) return null;
    const model = this.#models.get(word);
    if (model) return { model: model.name, addressesOfModel: model.addresses, addresses };
    this.#models.set(word, { name, addresses });
    return null;
  }

  #formOf(before: SteeredPool, after: SteeredPool): Form {
    // Names of a pool mostly come with the same one after the change.
    const known = this.#forms.get(before);
    if (known?.after === after) return known;
    const numbers = new Map<string, number>();
    const words = [before, after].map((pool) => wordOf(pool, numbers, this.#health));
    const form = {
      after,
      word: words.includes(null) ? null : words.join(" → "),
      addresses: [...numbers.keys()],
    };
    this.#forms.set(before, form);
    return form;
  }
}

/** The form of a pool before and of one after a change. */
interface Form {
  /** `null` = there is none. */
  readonly word: string | null;
  /** By number. */
  readonly addresses: readonly string[];
}

/** Numbers the addresses that are new. */
function wordOf(pool: SteeredPool, numbers: Map<string, number>, health: FrozenHealth): string | null {
  const { algorithm, maxAnswers, onAllDown, minHealthy, fallbackPoolId, geofence, geoRules, named } = pool;
  if (!PLAIN_ALGORITHMS.includes(algorithm) || fallbackPoolId !== null || geofence || named) return null;
  if (geoRules.length > 0) return null;
  let word = `${algorithm} ${maxAnswers} ${onAllDown} ${minHealthy}`;
  for (const member of pool.members) {
    if (!member.enabled || member.ipAddress === null) continue;
    const isOut = isOutOf(pool, member, health);
    // Which of them was the last to go out is each pool's own.
    if (isOut && onAllDown === "last-healthy") return null;
    let number = numbers.get(member.ipAddress);
    if (number === undefined) numbers.set(member.ipAddress, number = numbers.size);
    const family = member.ipAddress.includes(":") ? 6 : 4;
    const { priority, share, left = 1 } = member;
    const weight = algorithm === "round-robin" ? 1 : member.weight;
    word += `;${number} ${family} ${weight} ${priority} ${share} ${left}${isOut ? " out" : ""}`;
  }
  return word;
}

function isOutOf(pool: SteeredPool, member: SteeredMember, { out }: FrozenHealth): boolean {
  const key = eligibilityKeyOf(pool, member);
  return key !== null && out.get(key) !== undefined;
}
