/**
 * The writes of one lane, and what a lane's objects are after each: an oracle that knows nothing of ids, revisions or
 * tables, only of what an author asked for.
 *
 * @module
 */
import type { Store } from "../../../src/store/store.ts";

/** One thing that a lane wants to be different, told by names, since ids are the server's to give. */
export type Write =
  | { readonly kind: "createPool"; readonly pool: string }
  | { readonly kind: "changePool"; readonly pool: string; readonly maxAnswers: number }
  /** Takes the members along, and leaves the services without pool: the write with the most parts. */
  | { readonly kind: "deletePool"; readonly pool: string }
  | {
    readonly kind: "createMember";
    readonly pool: string;
    readonly ipAddress: string;
    readonly weight: number;
  }
  | {
    readonly kind: "changeMember";
    readonly pool: string;
    readonly ipAddress: string;
    readonly weight: number;
  }
  | { readonly kind: "deleteMember"; readonly pool: string; readonly ipAddress: string }
  | {
    readonly kind: "createService";
    readonly domain: string;
    readonly pool: string | null;
    readonly ttl: number;
  }
  | {
    readonly kind: "changeService";
    readonly domain: string;
    readonly pool: string | null;
    readonly ttl: number;
  }
  | { readonly kind: "deleteService"; readonly domain: string };

/** All that a lane owns; keys are sorted. */
export interface LaneObjects {
  readonly pools: Readonly<
    Record<string, { readonly maxAnswers: number; readonly members: Readonly<Record<string, number>> }>
  >;
  readonly services: Readonly<Record<string, { readonly pool: string | null; readonly ttl: number }>>;
}

/** A lane that has not written yet. */
export const NOTHING: LaneObjects = { pools: {}, services: {} };

/** The port of every member. */
export const MEMBER_PORT = 80;

/** Draws a write that is valid for what the lane has. */
export function nextWrite(lane: number, { pools, services }: LaneObjects, rng: () => number): Write {
  const one = <Item>(items: readonly Item[]): Item => items[rng() % items.length]!;
  const pool = one(named((i) => `lane${lane}-pool${i}`));
  const domain = one(named((i) => `s${i}.lane${lane}.example.org`));
  const owned = pools[pool];
  if (rng() % 2 === 0) {
    const fields = { domain, pool: one([null, ...Object.keys(pools)]), ttl: rng() % 300 };
    if (!services[domain]) return { kind: "createService", ...fields };
    return rng() % 4 === 0 ? { kind: "deleteService", domain } : { kind: "changeService", ...fields };
  }
  if (!owned) return { kind: "createPool", pool };
  if (rng() % 8 === 0) return { kind: "deletePool", pool };
  if (rng() % 4 === 0) return { kind: "changePool", pool, maxAnswers: rng() % 100 };
  const ipAddress = one(named((i) => `192.0.2.${i}`));
  const weight = 1 + rng() % 1_000;
  if (owned.members[ipAddress] === undefined) return { kind: "createMember", pool, ipAddress, weight };
  if (rng() % 4 === 0) return { kind: "deleteMember", pool, ipAddress };
  return { kind: "changeMember", pool, ipAddress, weight };
}

function named(name: (i: number) => string): string[] {
  return Array.from({ length: 6 }, (_, i) => name(i + 1));
}

/** What a lane has after a write. */
export function applied(objects: LaneObjects, write: Write): LaneObjects {
  const { pools, services } = objects;
  switch (write.kind) {
    case "createPool":
      return { pools: sorted({ ...pools, [write.pool]: { maxAnswers: 1, members: {} } }), services };
    case "changePool":
      return withPool(objects, write.pool, (pool) => ({ ...pool, maxAnswers: write.maxAnswers }));
    case "deletePool":
      return {
        pools: without(pools, write.pool),
        services: Object.fromEntries(
          Object.entries(services).map((
            [domain, service],
          ) => [domain, service.pool === write.pool ? { ...service, pool: null } : service]),
        ),
      };
    case "createMember":
    case "changeMember":
      return withPool(objects, write.pool, (pool) => ({
        ...pool,
        members: sorted({ ...pool.members, [write.ipAddress]: write.weight }),
      }));
    case "deleteMember":
      return withPool(objects, write.pool, (pool) => ({
        ...pool,
        members: without(pool.members, write.ipAddress),
      }));
    case "createService":
    case "changeService":
      return {
        pools,
        services: sorted({ ...services, [write.domain]: { pool: write.pool, ttl: write.ttl } }),
      };
    case "deleteService":
      return { pools, services: without(services, write.domain) };
  }
}

/** What a lane has in the database. */
export function laneOf(store: Store, lane: number): LaneObjects {
  const model = store.model();
  const names = new Map(model.pools.map((pool) => [pool.id, pool.name]));
  const pools = model.pools.filter((pool) => pool.name.startsWith(`lane${lane}-`));
  const services = model.services.filter((service) => service.domain.endsWith(`.lane${lane}.example.org`));
  return {
    pools: sorted(Object.fromEntries(pools.map(({ name, maxAnswers, members }) => [name, {
      maxAnswers,
      members: sorted(Object.fromEntries(members.map((member) => [member.ipAddress, member.weight]))),
    }]))),
    services: sorted(Object.fromEntries(services.map(({ domain, poolId, ttl }) => [domain, {
      pool: poolId && names.get(poolId)!,
      ttl,
    }]))),
  };
}

function withPool(
  { pools, services }: LaneObjects,
  name: string,
  change: (pool: LaneObjects["pools"][string]) => LaneObjects["pools"][string],
): LaneObjects {
  return { pools: { ...pools, [name]: change(pools[name]!) }, services };
}

function without<Value>(record: Readonly<Record<string, Value>>, key: string): Record<string, Value> {
  return Object.fromEntries(Object.entries(record).filter(([each]) => each !== key));
}

function sorted<Value>(record: Readonly<Record<string, Value>>): Record<string, Value> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => a < b ? -1 : 1));
}
