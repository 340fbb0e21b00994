/**
 * Changes that no guard of answers can refuse, told apart without a forecast, so that the edit of a single pool costs next to
 * nothing, and an override of a region with 10,000 pools holds the thread that commits it for a tenth of the time.
 *
 * It errs on one side: what it calls harmless a forecast would never refuse, and what it can't tell is forecast. A
 * change is harmless when each pool that it touches answers every client in every family in which it could before, with
 * health as it is now, and when the names that it reaches are too few for the limit of the share, however much of
 * their answers moves. Overrides may move all; of theirs the pools that are in doubt are forecast alone.
 *
 * @module
 */
import { eligibilityKeyOf } from "../desired/eligibility.ts";
import type { SteeredMember, SteeredPool } from "../desired/desired.ts";
import { type AddressesOf, flattenedPool } from "../desired/flattened.ts";
import { applyOverrides } from "../desired/overridden.ts";
import type { Family } from "../ip.ts";
import type { Touched } from "../store/touched.ts";
import type { FrozenHealth } from "./forecast.ts";
import { inEffect, poolsReached } from "./scope.ts";
import type { ModelState, StoredState } from "./states.ts";

/** What a change is judged by. */
export interface HarmlessOptions {
  /** Of this moment. */
  readonly health: FrozenHealth;
  /** What is known of members by name. */
  readonly addressesOf: AddressesOf;
  /** For overrides, Unix milliseconds. */
  readonly nowMs: number;
  /** Revision of the overrides that the change makes. */
  readonly generation: number;
  /** Whether so many names may be answered otherwise altogether. */
  readonly mayMove: (names: number) => boolean;
}

/** Of more pools and services a forecast costs no more for each. */
const TOUCHED_MAX = 16;
const FAMILIES: readonly Family[] = [4, 6];

/** Whether it is certain that a forecast would find no name emptied, nor more moved than may be. */
export function isHarmless(
  { everything, poolIds, serviceIds, zoneDomains, fallback }: Touched,
  { before, after }: { readonly before: ModelState; readonly after: StoredState },
  options: HarmlessOptions,
): boolean {
  if (everything || fallback || zoneDomains.length > 0) return false;
  if (poolIds.length + serviceIds.length > TOUCHED_MAX) return false;
  const [was, is] = [new Effective(before, options), new Effective(after, options)];
  const moving = poolIds.filter((id) => !isAlike(was.pool(id), is.pool(id)));
  if (!moving.every((id) => keepsAnswering(was.pool(id), is.pool(id), options))) return false;
  const services = [before.services(serviceIds), after.services(serviceIds)] as const;
  const led = serviceIds.map((id) => [services[0].get(id), services[1].get(id)] as const)
    .filter(([service, next]) => service?.domain !== next?.domain || service?.poolId !== next?.poolId);
  for (const [service, next] of led) {
    // What else may answer a name that comes, goes or has no pool is looked for by the forecast.
    if (!service?.poolId || !next?.poolId || service.domain !== next.domain) return false;
    if (!keepsAnswering(was.pool(service.poolId), is.pool(next.poolId), options)) return false;
  }
  const reached = poolsReached(moving, { before, after });
  const names = [...reached].reduce((sum, id) => sum + after.servicesCount(id), led.length);
  return options.mayMove(names);
}

/**
 * Of the pools that a change of nothing but overrides touches, those by which a name may be emptied; in the order in which they
 * are read.
 *
 * Of the others none can: each answers whoever it could answer before, and a name that comes to it only from a pool in
 * doubt is reached from that one. Pools are read once for both states, in a row where they are many.
 */
export function poolsInDoubt(
  poolIds: Iterable<string>,
  { before, after }: { readonly before: ModelState; readonly after: StoredState },
  options: Omit<HarmlessOptions, "mayMove">,
): string[] {
  const { addressesOf, nowMs } = options;
  const [were, are] = [before, after].map((state) => inEffect(state.overrides(), options));
  const inDoubt: string[] = [];
  for (const pool of after.pools(new Set(poolIds))) {
    const [was, is] = [were!, are!].map((overrides) =>
      flattenedPool(applyOverrides(pool, overrides, nowMs), addressesOf)
    );
    if (!keepsAnswering(was!, is!, options) && !isAlike(was!, is!)) inDoubt.push(pool.id);
  }
  return inDoubt;
}

/** Pools as answers are made from them. */
class Effective {
  readonly #state: ModelState;
  readonly #options: HarmlessOptions;
  readonly #known = new Map<string, SteeredPool | null>();

  constructor(state: ModelState, options: HarmlessOptions) {
    this.#state = state;
    this.#options = options;
  }

  pool(id: string): SteeredPool | null {
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    const { addressesOf, nowMs } = this.#options;
    const [pool] = this.#state.pools(new Set([id]));
    const overrides = inEffect(this.#state.overrides(), this.#options);
    const effective = pool ? flattenedPool(applyOverrides(pool, overrides, nowMs), addressesOf) : null;
    this.#known.set(id, effective);
    return effective;
  }
}

function isAlike(before: SteeredPool | null, after: SteeredPool | null): boolean {
  return before !== null && after !== null &&
    JSON.stringify({ ...before, changesAt: 0 }) === JSON.stringify({ ...after, changesAt: 0 });
}

/** Whether the second pool answers every client in every family in which the first one could answer any. */
function keepsAnswering(
  before: SteeredPool | null,
  after: SteeredPool | null,
  { health }: Pick<HarmlessOptions, "health">,
): boolean {
  // To a new pool nothing leads but what is touched itself.
  if (before === null) return after !== null;
  if (after === null || after.geofence || after.named) return false;
  return FAMILIES.every((family) =>
    suffices(after, family, health) ||
    (isSilent(before, family, health) && isSilent(after, family, health) &&
      (before.fallbackPoolId === null) === (after.fallbackPoolId === null))
  );
}

/** Whether enough of a family are healthy, so that no other pool is asked. */
function suffices(pool: SteeredPool, family: Family, health: FrozenHealth): boolean {
  const members = membersOf(pool, family);
  const healthy = members.filter((member) => isHealthy(pool, member, health)).length;
  return healthy > 0 && healthy >= neededOf(members.length, pool.minHealthy);
}

/** Whether a pool answers no client in a family: it has no members of it, and no other one is asked for them. */
function isSilent(pool: SteeredPool, family: Family, health: FrozenHealth): boolean {
  if (pool.geofence || pool.named || membersOf(pool, family).length > 0) return false;
  return pool.fallbackPoolId === null || suffices(pool, family === 4 ? 6 : 4, health);
}

function membersOf({ members }: SteeredPool, family: Family): SteeredMember[] {
  return members.filter(({ enabled, ipAddress }) =>
    enabled && ipAddress !== null && ipAddress.includes(":") === (family === 6)
  );
}

function isHealthy(pool: SteeredPool, member: SteeredMember, { out }: FrozenHealth): boolean {
  const key = eligibilityKeyOf(pool, member);
  return key === null || out.get(key) === undefined;
}

/** As the engine counts (`snapshot/view.ts`), rounded up. */
function neededOf(count: number, minHealthy: SteeredPool["minHealthy"]): number {
  return typeof minHealthy === "number"
    ? Math.max(1, minHealthy)
    : Math.max(1, Math.ceil(count * Number.parseInt(minHealthy) / 100));
}
