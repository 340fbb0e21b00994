/**
 * Where a running node's explainer looks things up.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import type { Settings } from "../settings/settings.ts";
import type { AddressesOf } from "../desired/flattened.ts";
import type { EngineOptions } from "../dns/engine.ts";
import type { NodeHealth } from "../health/node_health.ts";
import { MEMBER_DEFAULTS, type Pool } from "../model/model.ts";
import type { LiveBoard } from "../snapshot/live.ts";
import type { Snapshot } from "../snapshot/view.ts";
import type { Store } from "../store/store.ts";
import type { Failovers } from "./failovers.ts";
import { rulingsOf } from "./rulings.ts";
import type { ExplainSources } from "./situation.ts";

/** The parts of a node that know. */
export interface NodeParts {
  /** Read only. */
  readonly store: Store;
  /** Those of now. */
  readonly settings: () => Pick<Settings, "dns" | "fallback" | "health">;
  /** What is believed of members. */
  readonly health: Pick<NodeHealth, "memberHealth" | "peers">;
  /** What is answered from. */
  readonly publisher: {
    readonly current: { readonly snapshot: Snapshot; readonly board: LiveBoard };
    readonly generation: number;
  };
  /** What members by name, and what pools discover, are made of. */
  readonly addressesOf: AddressesOf;
  /** What past failovers took. */
  readonly failovers: Failovers;
  /** As the workers have them. */
  readonly engine: Omit<EngineOptions, "lane">;
  /** Says which override has begun. */
  readonly clock: Pick<Clock, "unixMs">;
}

/** Names shown to those who asked for one that isn't ours. */
const NAMES_SHOWN = 5;

/** A pool with the members that it discovers, as they are at this moment. */
function withDiscovered(pool: Pool | null, { instancesOf }: AddressesOf): Pool | null {
  if (pool === null || pool.discover === null || instancesOf === undefined) return pool;
  const found = instancesOf(pool.discover).map((member) => ({ ...MEMBER_DEFAULTS, ...member }));
  return { ...pool, members: [...pool.members, ...found] };
}

/** Looks everything up when it is asked for. */
export function sourcesOf(
  { store, settings, health, publisher, addressesOf, failovers, engine, clock }: NodeParts,
): ExplainSources {
  return {
    current: () => publisher.current,
    generation: () => publisher.generation,
    service: (domain) => store.services.byDomain(domain),
    pool: (id) => withDiscovered(store.pools.whole(id), addressesOf),
    fallback: () => {
      const fallback = store.fallback() ?? settings().fallback;
      return fallback && { fallback, ttl: fallback.ttl ?? settings().dns.ttl };
    },
    health: (pool, member, forcedUp) => health.memberHealth(pool, { ...member, forcedUp }),
    peers: () => health.peers(),
    rulings: () => rulingsOf(store.overrides.index(), clock.unixMs(), (id) => authorOf(store, id)),
    ours: () => {
      const { domain, zones } = settings().dns;
      const services = store.services.page({ limit: NAMES_SHOWN, cursor: null }).items;
      const names = [
        ...domain,
        ...zones.map((zone) => zone.domain),
        ...store.zones.all().map((zone) => zone.domain),
        ...services.map((service) => service.domain),
      ];
      return [...new Set(names)].slice(0, NAMES_SHOWN);
    },
    addressesOf,
    failovers,
    limits: () => settings().dns,
    flipGuardHoldMs: () => {
      const { share, hold } = settings().health.flipGuard;
      return share === 0 ? null : hold;
    },
    engine,
    clock,
  };
}

/** Who made the change in which an override came, as far as the history goes back. */
function authorOf({ overrides, history }: Store, id: string): string {
  const override = overrides.get(id);
  return override === null ? "" : history.get(override.revision)?.by ?? "";
}
