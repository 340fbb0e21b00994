/**
 * What can be wrong with one object when the others are looked at, in the words of the judge of whole models. Each function judges an object as it is stored at
 * that moment, costs no more than what the object is tied to, and finds no fault with one that isn't there.
 *
 * @module
 */
import type { Member } from "../model/model.ts";
import {
  FALLBACK_REQUIRED,
  GEO_RULES_MAX,
  GEO_RULES_TOO_MANY,
  MEMBERS_MAX,
  MEMBERS_TOO_MANY,
} from "../model/model_schema.ts";
import { notInPool } from "../model/pool_parts.ts";
import type { Store } from "../store/store.ts";
import { checkDomain } from "../wire/name.ts";
import type { RefusalKind } from "./edit.ts";
import { belowCut, fallbackCircle, ownName, poolMissing } from "./sentences.ts";

/** Why a commit must be refused. */
export interface Fault {
  /** What REST makes a status of. */
  readonly kind: RefusalKind;
  /** What is wrong, and the fix. */
  readonly message: string;
}

/** A pool must end its chain of fallbacks in a pool that exists, and have one where `onAllDown` needs it. */
export function fallbackFault(store: Store, poolId: string): Fault | null {
  const pool = store.pools.get(poolId);
  if (!pool) return null;
  if (pool.onAllDown === "fallback" && pool.fallbackPoolId === null) {
    return {
      kind: "invalid",
      message: FALLBACK_REQUIRED,
    };
  }
  const chain = [pool];
  for (let last = pool; last.fallbackPoolId !== null;) {
    const next = store.pools.get(last.fallbackPoolId);
    if (!next) {
      return {
        kind: "missing-reference",
        message: poolMissing(
          last.fallbackPoolId,
          `let pool "${last.name}" fall back to another one, or choose another onAllDown`,
        ),
      };
    }
    if (next.id === pool.id) {
      return { kind: "invalid", message: fallbackCircle([...chain, next].map(({ name }) => name)) };
    }
    // A circle further on is the fault of the pools in it.
    if (chain.some(({ id }) => id === next.id)) return null;
    chain.push(next);
    last = next;
  }
  return null;
}

/** A service's pool must exist. */
export function servicePoolFault(store: Store, serviceId: string): Fault | null {
  const service = store.services.get(serviceId);
  if (!service || service.poolId === null || store.pools.get(service.poolId)) return null;
  return {
    kind: "missing-reference",
    message: poolMissing(service.poolId, "create it first, or leave poolId null for the static fallback"),
  };
}

/** A service must not lie strictly below a zone cut of the zone around it. */
export function serviceCutFault(store: Store, serviceId: string): Fault | null {
  const service = store.services.get(serviceId);
  return service && cutFault(store, service.domain);
}

/** A service must not be answered by its own name: that would be asked of this node, which would ask itself. */
export function serviceOwnNameFault(store: Store, serviceId: string): Fault | null {
  const service = store.services.get(serviceId);
  if (!service || service.poolId === null) return null;
  return store.resolvedNames.poolsOf(service.domain).includes(service.poolId)
    ? ownNameFault(store, { domain: service.domain, poolId: service.poolId })
    : null;
}

/** A member must not go by the name of a service that its pool answers. */
export function memberOwnNameFault(store: Store, memberId: string): Fault | null {
  const member = store.members.get(memberId);
  if (!member || member.target === null) return null;
  const service = store.services.byDomain(member.target);
  return service?.poolId === member.poolId
    ? ownNameFault(store, { domain: service.domain, poolId: member.poolId })
    : null;
}

/** No service may lie below a cut of the zone; the first one that does is named. */
export function zoneCutsFault(store: Store, zone: string | null): Fault | null {
  if (zone === null) return null;
  for (const cut of store.zones.cutsOf(zone)) {
    // A zone of our own at the cut: nothing below it is handed over.
    if (store.zones.get(cut)) continue;
    for (const service of store.services.below(cut)) {
      const fault = cutFault(store, service.domain);
      if (fault) return fault;
    }
  }
  return null;
}

/** A geo rule must lead to a member of its own pool. */
export function ruleMemberFault(store: Store, ruleId: string): Fault | null {
  const rule = store.geoRules.get(ruleId);
  if (!rule || store.members.get(rule.memberId)?.poolId === rule.poolId) return null;
  return {
    kind: "missing-reference",
    message: `${notInPool(rule.memberId)} (name one of pool ${rule.poolId})`,
  };
}

/** A pool must not be given more members than it may have; one that has more since earlier may keep them. */
export function membersFault(store: Store, poolId: string): Fault | null {
  if (store.members.countOf(poolId) <= MEMBERS_MAX) return null;
  return { kind: "invalid", message: MEMBERS_TOO_MANY };
}

/** Likewise geo rules. */
export function geoRulesFault(store: Store, poolId: string): Fault | null {
  if (store.geoRules.countOf(poolId) <= GEO_RULES_MAX) return null;
  return { kind: "invalid", message: GEO_RULES_TOO_MANY };
}

/** The field by which a member is called. */
export function addressField({ ipAddress }: Pick<Member, "ipAddress">): "ipAddress" | "target" {
  return ipAddress === null ? "target" : "ipAddress";
}

/** Why the text can't be the domain of a service or zone as it stands, or `null`. */
export function domainFault(domain: string, { wildcard }: { readonly wildcard: boolean }): string | null {
  try {
    const canonical = checkDomain(domain);
    if (canonical !== domain) return `The domain "${domain}" must be written "${canonical}"`;
    return wildcard || !domain.startsWith("*") ? null : `The zone "${domain}" must not be a wildcard`;
  } catch (cause) {
    if (cause instanceof SyntaxError) return cause.message;
    throw cause;
  }
}

function ownNameFault(
  store: Store,
  { domain, poolId }: { readonly domain: string; readonly poolId: string },
): Fault {
  return { kind: "invalid", message: ownName({ domain, pool: store.pools.get(poolId)?.name ?? poolId }) };
}

function cutFault(store: Store, domain: string): Fault | null {
  const cut = store.zones.cuts.above(domain);
  return cut === null ? null : { kind: "invalid", message: belowCut({ domain, cut }) };
}
