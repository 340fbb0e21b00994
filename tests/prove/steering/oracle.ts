/**
 * Who must be answered, by the letter of docs/choosing.md, docs/geo.md and docs/map-file.md, and by nothing of the
 * product that decides it: prefixes are matched one by one, distances measured, members counted.
 *
 * @module
 */
import { parseIp, parsePrefix, type Prefix, prefixContains } from "../../../src/ip.ts";
import type { Knowledge, Model, ModelMember, ModelPool, ModelRule, Network } from "./model.ts";

/** What must be answered. */
export interface Verdict {
  /** Members in groups of equals, the best first; none = NODATA. */
  readonly groups: readonly (readonly ModelMember[])[];
  /** Index of the pool that answers, −1 = none. */
  readonly pool: number;
  /** Whether the order is that of hashing, which the docs don't give: any will do, if it stays. */
  readonly isHashed: boolean;
  /** How often each of the first group is first in a cycle. */
  readonly turns: readonly number[];
  /** Seconds. */
  readonly ttl: number;
  /** Members inside the client's geofence in the pool that answers; `null` = nothing fences it. */
  readonly inside: readonly ModelMember[] | null;
}

/** Decides over one model and what is known of clients. */
export class Oracle {
  readonly #model: Model;
  readonly #knowledge: Knowledge;
  readonly #prefixes = new Map<string, Prefix>();

  constructor(model: Model, knowledge: Knowledge) {
    this.#model = model;
    this.#knowledge = knowledge;
  }

  /** Who must be answered to a client. @param client 4 or 16 bytes */
  decide(family: 4 | 6, client: Uint8Array): Verdict {
    const { pools } = this.#model;
    let scarce: Verdict | null = null;
    for (let index: number | null = 0, step = 0; index !== null; step++) {
      const pool: ModelPool = pools[index]!;
      const inside = this.#inside(pool, client);
      const among: readonly ModelMember[] = inside ?? pool.members;
      const own = among.filter((member) => isEnabled(member) && familyOf(member) === family);
      const others = among.filter((member) => isEnabled(member) && familyOf(member) !== family);
      const up = own.filter((member) => isUp(pool, member));
      const give = (members: readonly ModelMember[]) => this.#give(index!, { inside, members, client });
      if (up.length >= needed(pool, own, inside !== null)) return give(up);
      if (others.filter((member) => isUp(pool, member)).length >= needed(pool, others, inside !== null)) {
        return scarce ?? this.#nothing();
      }
      if (up.length > 0) scarce ??= give(up);
      switch (pool.onAllDown) {
        case "fallback":
          index = pool.fallback;
          continue;
        case "all":
          return step > 0 && scarce ? scarce : own.length === 0 ? this.#nothing() : give(own);
        case "none":
          return step > 0 && scarce ? scarce : this.#nothing();
        case "last-healthy": {
          if (scarce) return scarce;
          if (own.length === 0) return this.#nothing();
          const last = Math.max(...own.map(({ downAtMs }) => downAtMs));
          const group = own.filter(({ downAtMs }) => last - downAtMs <= pool.intervalMs);
          return { ...give(own), groups: [group], turns: group.map(() => 1), isHashed: false };
        }
      }
    }
    return scarce ?? this.#nothing();
  }

  /** Where a client is, by the longest prefix. */
  networkOf(client: Uint8Array): Network | null {
    return this.#longest(this.#knowledge.networks, ({ prefix }) => prefix, client);
  }

  #nothing(): Verdict {
    return { groups: [], pool: -1, isHashed: false, turns: [], ttl: 0, inside: null };
  }

  #give(
    index: number,
    { inside, members, client }: {
      readonly inside: readonly ModelMember[] | null;
      readonly members: readonly ModelMember[];
      readonly client: Uint8Array;
    },
  ): Verdict {
    const pool = this.#model.pools[index]!;
    const named = inside ? [] : this.#named(pool, client, (member) => members.includes(member));
    const groups = inside ? [members] : [
      named,
      ...this.#byAlgorithm(pool, members, client).map((group) =>
        group.filter((member) => !named.includes(member))
      ),
    ].filter((group) => group.length > 0);
    const isHashed = !inside && pool.algorithm === "hash" && named.length < members.length;
    return {
      groups,
      pool: index,
      isHashed,
      turns: groups[0]!.map(({ weight }) => pool.algorithm === "round-robin" ? 1 : weight),
      ttl: this.#ttl(pool),
      inside,
    };
  }

  #inside(pool: ModelPool, client: Uint8Array): readonly ModelMember[] | null {
    if (!pool.geofence) return null;
    const named = this.#named(pool, client, () => true);
    if (named.length > 0) return named;
    if (pool.algorithm === "geoip") {
      const placed = pool.members.filter(({ place }) => place !== null);
      const from = this.#locationOf(client);
      return from && placed.length > 0 ? sitesFrom(from, placed)[0]! : null;
    }
    if (pool.algorithm !== "map-file") return null;
    const mapped = this.#mapped(pool.members, client);
    return mapped.length > 0 ? mapped : null;
  }

  /** Members that the narrowest matching value names that names any of those wanted. */
  #named(
    pool: ModelPool,
    client: Uint8Array,
    isWanted: (member: ModelMember) => boolean,
  ): readonly ModelMember[] {
    const network = this.networkOf(client);
    const width = (rule: ModelRule) =>
      rule.cidr !== undefined
        ? 1000 + this.#prefix(rule.cidr).length
        : rule.asn !== undefined
        ? 3
        : rule.country !== undefined
        ? 2
        : 1;
    const matching = pool.rules.filter((rule) =>
      rule.cidr !== undefined
        ? prefixContains(this.#prefix(rule.cidr), client)
        : network !== null && (rule.asn !== undefined
          ? network.asn === rule.asn
          : rule.country !== undefined
          ? network.country === rule.country
          : network.continent === rule.continent)
    );
    for (const narrow of [...new Set(matching.map(width))].sort((a, b) => b - a)) {
      const members = new Set(
        matching.filter((rule) => width(rule) === narrow).map(({ member }) => pool.members[member]!),
      );
      const wanted = [...members].filter(isWanted);
      if (wanted.length > 0) return wanted;
    }
    return [];
  }

  #byAlgorithm(
    pool: ModelPool,
    members: readonly ModelMember[],
    client: Uint8Array,
  ): readonly (readonly ModelMember[])[] {
    switch (pool.algorithm) {
      case "failover": {
        const tier = ({ priority }: ModelMember) => priority === 0 ? Infinity : priority;
        const best = Math.min(...members.map(tier));
        return [members.filter((member) => tier(member) === best)];
      }
      case "latency": {
        const measured = members.filter((member) => isMeasured(pool, member)).sort((a, b) =>
          a.rttUs - b.rttUs
        );
        if (measured.length === 0) return [members];
        const most = Math.max(measured[0]!.rttUs * 1.1, measured[0]!.rttUs + 1_000);
        const behind = measured.filter(({ rttUs }) => rttUs > most);
        return [
          measured.filter(({ rttUs }) => rttUs <= most),
          ...behind.map((member) => [member]),
          members.filter((member) => !isMeasured(pool, member)),
        ];
      }
      case "geoip": {
        const from = this.#locationOf(client);
        const placed = members.filter(({ place }) => place !== null);
        if (!from || placed.length === 0) return [members];
        return [...sitesFrom(from, placed), members.filter(({ place }) => place === null)];
      }
      case "map-file": {
        const mapped = this.#mapped(members, client);
        return [mapped, members.filter((member) => !mapped.includes(member))];
      }
      default:
        return [members];
    }
  }

  #mapped(members: readonly ModelMember[], client: Uint8Array): readonly ModelMember[] {
    const line = this.#longest(this.#knowledge.lines, ({ prefix }) => prefix, client);
    return members.filter(({ ip }) => line?.to.includes(ip));
  }

  #locationOf(client: Uint8Array): readonly [number, number] | null {
    const network = this.networkOf(client);
    return network?.latitude === undefined ? null : [network.latitude, network.longitude!];
  }

  /** The TTL, cut where an override of the pool begins or ends that is seen. */
  #ttl(pool: ModelPool): number {
    const { ttl, minTtl } = this.#model;
    const changes = pool.members.flatMap((member) => {
      const { override } = member;
      if (!override) return [];
      const before = lookOf(pool, member, override.beginsInMs <= 0);
      const at = override.beginsInMs > 0 ? override.beginsInMs : override.endsInMs;
      return before === lookOf(pool, member, override.beginsInMs > 0) ? [] : [at];
    });
    if (changes.length === 0) return ttl;
    return Math.min(ttl, Math.max(minTtl, Math.floor(Math.min(...changes) / 1000)));
  }

  #longest<Item>(items: readonly Item[], prefixOf: (item: Item) => string, client: Uint8Array): Item | null {
    let best: Item | null = null;
    let length = -1;
    for (const item of items) {
      const prefix = this.#prefix(prefixOf(item));
      if (prefix.length > length && prefixContains(prefix, client)) [best, length] = [item, prefix.length];
    }
    return best;
  }

  #prefix(text: string): Prefix {
    const known = this.#prefixes.get(text) ?? parsePrefix(text);
    this.#prefixes.set(text, known);
    return known;
  }
}

/** Members by site, the nearest first. */
function sitesFrom(
  from: readonly [number, number],
  placed: readonly ModelMember[],
): readonly (readonly ModelMember[])[] {
  const sites = [...Map.groupBy(placed, ({ place }) => place!.join()).values()];
  const way = ([member]: readonly ModelMember[]) => kilometres(from, member!.place!);
  return sites.sort((a, b) => way(a) - way(b));
}

/** Along a great circle, by the spherical law of cosines in a form that is exact for near places (Vincenty 1975). */
function kilometres([φ1, λ1]: readonly [number, number], [φ2, λ2]: readonly [number, number]): number {
  const [a, b, d] = [φ1 * Math.PI / 180, φ2 * Math.PI / 180, (λ2 - λ1) * Math.PI / 180];
  const y = Math.hypot(
    Math.cos(b) * Math.sin(d),
    Math.cos(a) * Math.sin(b) - Math.sin(a) * Math.cos(b) * Math.cos(d),
  );
  return 6371 * Math.atan2(y, Math.sin(a) * Math.sin(b) + Math.cos(a) * Math.cos(b) * Math.cos(d));
}

function needed({ minHealthy }: ModelPool, members: readonly ModelMember[], isFenced: boolean): number {
  if (typeof minHealthy === "string") {
    return Math.max(1, Math.ceil(members.length * Number.parseInt(minHealthy) / 100));
  }
  return Math.max(1, isFenced ? Math.min(minHealthy, members.length) : minHealthy);
}

function ruling({ override }: ModelMember): "up" | "down" | null {
  return override && override.beginsInMs <= 0 ? override.state : null;
}

/** Whether it takes part, as far as declarations and overrides go. */
export function isEnabled(member: ModelMember): boolean {
  const state = ruling(member);
  return state === "up" || (state === null && member.enabled);
}

/** Whether it is taken for healthy. */
export function isUp(pool: ModelPool, member: ModelMember): boolean {
  return !pool.isChecked || ruling(member) === "up" || member.isHealthy;
}

/** Whether its round trip is known; of one that is forced up it doesn't count. */
export function isMeasured(pool: ModelPool, member: ModelMember): boolean {
  return pool.isChecked && member.rttUs > 0 && ruling(member) !== "up";
}

/** How a member is answered, in a word. */
function lookOf(pool: ModelPool, { enabled, override }: ModelMember, isRuled: boolean): string {
  const state = isRuled ? override!.state : null;
  if (state === "up") return pool.isChecked || !enabled ? "up" : "checked";
  return state === "down" || !enabled ? "out" : "checked";
}

/** Of a member's address. */
export function familyOf({ ip }: ModelMember): 4 | 6 {
  return parseIp(ip)!.length === 4 ? 4 : 6;
}
