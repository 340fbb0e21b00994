/**
 * Models told by their natural keys, so that two can be compared whose new objects have other ids.
 *
 * @module
 */
import { addressOf, type Model } from "../../src/model/model.ts";
import { Changes } from "../../src/change/commit.ts";
import { ChangeRefused, type Edit } from "../../src/change/edit.ts";
import { Store } from "../../src/store/store.ts";
import { ManualClock } from "../clock.ts";
import { ORIGIN } from "./samples.ts";

/** A store with what those of the commits leave that are not refused. */
export function storeOf(commits: readonly (readonly Edit[])[]): Store {
  const store = Store.memory();
  const changes = new Changes({ store, clock: new ManualClock() });
  for (const edits of commits) {
    try {
      changes.commit(edits, ORIGIN);
    } catch (cause) {
      if (!(cause instanceof ChangeRefused)) throw cause;
    }
  }
  return store;
}

/** The model told by natural keys alone, in one order. */
export function withoutIds({ pools, services, zones, fallback }: Model): unknown {
  const names = new Map(pools.map((pool) => [pool.id, pool.name]));
  return {
    pools: pools.map(({ id: _, fallbackPoolId, members, geoRules, ...fields }) => {
      const keys = new Map(members.map((member) => [member.id, `${addressOf(member)} ${member.port}`]));
      return {
        ...fields,
        fallback: fallbackPoolId && names.get(fallbackPoolId),
        members: members.map(({ id: _, ...member }) => JSON.stringify(member)).toSorted(),
        geoRules: geoRules.map(({ id: _, memberId, ...rule }) => JSON.stringify([rule, keys.get(memberId)]))
          .toSorted(),
      };
    }),
    services: services.map(({ id: _, poolId, ...fields }) => ({
      ...fields,
      pool: poolId && names.get(poolId),
    })),
    zones,
    fallback,
  };
}

/**
 * Whether the model can be written as a file: edits may leave half a location, and rules that lead to one of two members
 * of one address, which no file can tell apart.
 */
export function fitsFile({ pools }: Model): boolean {
  return pools.every(({ members, geoRules }) =>
    members.every(({ latitude, longitude }) => (latitude === null) === (longitude === null)) &&
    geoRules.every(({ memberId }) => {
      const address = addressOf(members.find(({ id }) => id === memberId)!);
      return members.filter((member) => addressOf(member) === address).length === 1;
    })
  );
}

/** The id of each pool, member and service by its natural key. */
export function keysToIds({ pools, services }: Model): Map<string, string> {
  return new Map([
    ...pools.flatMap((pool): [string, string][] => [
      [`pool ${pool.name}`, pool.id],
      ...pool.members.map((
        it,
      ): [string, string] => [`member ${pool.name} ${addressOf(it)} ${it.port}`, it.id]),
    ]),
    ...services.map((service): [string, string] => [`service ${service.domain}`, service.id]),
  ]);
}

/** The revision of each row that has a natural key, and those of all rules, sorted. */
export function revisionsByKey(store: Store): Map<string, number | readonly number[]> {
  const { pools, services, zones } = store.model();
  const revisions = new Map<string, number | readonly number[]>();
  for (const { id, name, members, geoRules, healthCheck } of pools) {
    revisions.set(`pool ${name}`, store.pools.get(id)!.revision);
    for (const member of members) {
      const key = `member ${name} ${addressOf(member)} ${member.port}`;
      revisions.set(key, store.members.get(member.id)!.revision);
    }
    if (healthCheck) revisions.set(`check ${name}`, store.healthChecks.get(id)!.revision);
    revisions.set(`rules ${name}`, geoRules.map(({ id }) => store.geoRules.get(id)!.revision).toSorted());
  }
  for (const { id, domain } of services) revisions.set(`service ${domain}`, store.services.get(id)!.revision);
  for (const { domain } of zones) revisions.set(`zone ${domain}`, store.zones.get(domain)!.revision);
  return new Map([...revisions].toSorted(([a], [b]) => a < b ? -1 : 1));
}
