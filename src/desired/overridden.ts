/**
 * What overrides make of a pool: the one function between what is declared and what is answered. It is pure; time comes
 * in as a number, and what it will be later can be asked for beforehand, so that an answer's TTL never outlives the
 * next planned change.
 *
 * Of the overrides that cover a member one rules: the narrowest (member, pool, region), then the newest. A member that
 * is forced down or wholly drained is handed on as a disabled one, so that indexes into the members stay.
 *
 * @module
 */
import type { DesiredSource, SteeredMember, SteeredPool } from "./desired.ts";
import { type Override, targetOf } from "../model/override.ts";

/** A drain lowers the share in so many steps at most: 64 of 30 minutes are 28 s long. */
const DRAIN_STEPS_MAX = 64;
/** Shorter steps than this wouldn't be noticed behind any resolver. */
const DRAIN_STEP_MIN_MS = 250;

/** Overrides by what they cover. */
export class OverrideIndex<Kind extends Override = Override> {
  /** All of them, in the order given. */
  readonly overrides: readonly Kind[];
  /** By ids and names, the newest first. */
  readonly #by = {
    member: new Map<string, Kind[]>(),
    pool: new Map<string, Kind[]>(),
    region: new Map<string, Kind[]>(),
  };

  /** Later ones of the same instant count as newer. */
  constructor(overrides: readonly Kind[]) {
    this.overrides = overrides;
    for (const override of overrides.toReversed().sort((a, b) => b.createdAt - a.createdAt)) {
      const target = targetOf(override);
      const same = this.#by[target.kind];
      const key = target.kind === "region" ? target.name : target.id;
      const before = same.get(key);
      if (before) before.push(override);
      else same.set(key, [override]);
    }
  }

  /** Whether any of them covers a member of the pool. */
  concerns({ id, members }: Pick<SteeredPool, "id" | "members">): boolean {
    return this.overrides.length > 0 &&
      (this.#by.pool.has(id) || members.some((member) => this.#names(member)));
  }

  /** Those that cover a member, the one that rules before the others once it has begun. */
  covering(poolId: string, { id, region }: Pick<SteeredMember, "id" | "region">): readonly Kind[] {
    return [
      ...(id === null ? undefined : this.#by.member.get(id)) ?? [],
      ...this.#by.pool.get(poolId) ?? [],
      ...this.#by.region.get(region) ?? [],
    ];
  }

  #names({ id, region }: SteeredMember): boolean {
    return this.#by.region.has(region) || (id !== null && this.#by.member.has(id));
  }
}

/** The pool as it is to be answered at `nowMs` (Unix milliseconds); the very same one where no override has a say. */
export function applyOverrides(pool: SteeredPool, overrides: OverrideIndex, nowMs: number): SteeredPool {
  if (!overrides.concerns(pool)) return pool;
  let changesAtMs = Infinity;
  let isOther = false;
  const members = pool.members.map((member) => {
    const covering = overrides.covering(pool.id, member);
    changesAtMs = Math.min(changesAtMs, nextChange(pool, { member, covering, nowMs }));
    const after = overridden(member, rulingOf(covering, nowMs), nowMs);
    isOther ||= after !== member;
    return after;
  });
  if (!isOther && changesAtMs === Infinity) return pool;
  return { ...pool, members, changesAt: earlier(pool.changesAt, changesAtMs) };
}

/** What a database holds, with its overrides as they are at `nowMs` (Unix milliseconds). */
export function overriddenSource(
  source: DesiredSource,
  { overrides, nowMs }: { readonly overrides: OverrideIndex; readonly nowMs: number },
): DesiredSource {
  if (overrides.overrides.length === 0) return source;
  return {
    ...source,
    pools: () => overriddenPools(source.pools(), overrides, nowMs),
    checkedPools: () => overriddenPools(source.checkedPools(), overrides, nowMs),
  };
}

function* overriddenPools(
  pools: Iterable<SteeredPool>,
  overrides: OverrideIndex,
  nowMs: number,
): Generator<SteeredPool> {
  for (const pool of pools) yield applyOverrides(pool, overrides, nowMs);
}

/** The override that decides at that time, of those that cover a member; `null` = none has begun, or all are over. */
export function rulingOf(covering: readonly Override[], nowMs: number): Override | null {
  return covering.find(({ startsAt, expiresAt }) => startsAt <= nowMs && nowMs < expiresAt) ?? null;
}

/** What is left of a member that is being drained, 0–1; it falls in equal steps. */
export function drainShare({ startsAt, drainMs }: Override, nowMs: number): number {
  if (nowMs - startsAt >= drainMs) return 0;
  const steps = stepsOf(drainMs);
  return 1 - Math.floor((nowMs - startsAt) * steps / drainMs) / steps;
}

/**
 * How far an override is: −1 = it hasn't begun, 0 and up = steps of its drain, infinite = over. It changes exactly
 * when what it does to its members may.
 */
export function stepOf(override: Override, nowMs: number): number {
  const { state, startsAt, expiresAt, drainMs } = override;
  if (nowMs < startsAt) return -1;
  if (nowMs >= expiresAt) return Infinity;
  return state === "drain" ? Math.round((1 - drainShare(override, nowMs)) * stepsOf(drainMs)) : 0;
}

/** When the next of the overrides begins, takes a step of its drain or ends, Unix milliseconds; `null` = never. */
export function nextStep(overrides: readonly Override[], nowMs: number): number | null {
  let next = Infinity;
  for (const override of overrides) next = Math.min(next, nextStepOf(override, nowMs));
  return next === Infinity ? null : next;
}

function nextStepOf(override: Override, nowMs: number): number {
  const { state, startsAt, expiresAt, drainMs } = override;
  if (nowMs < startsAt) return startsAt;
  if (nowMs >= expiresAt) return Infinity;
  const rampEnd = startsAt + drainMs;
  if (state !== "drain" || nowMs >= rampEnd) return expiresAt;
  const steps = stepsOf(drainMs);
  return Math.min(startsAt + Math.ceil((stepOf(override, nowMs) + 1) * drainMs / steps), rampEnd);
}

/** Steps of a drain of that length, 1 or more. */
function stepsOf(drainMs: number): number {
  return Math.max(1, Math.min(DRAIN_STEPS_MAX, Math.floor(drainMs / DRAIN_STEP_MIN_MS)));
}

function overridden(member: SteeredMember, override: Override | null, nowMs: number): SteeredMember {
  if (override === null) return member;
  if (override.state === "up") return { ...member, enabled: true, forcedUp: true };
  const share = override.state === "drain" ? drainShare(override, nowMs) : 0;
  if (share === 1 || !member.enabled) return member;
  return share === 0
    ? { ...member, enabled: false }
    : { ...member, share: member.share * share, left: share };
}

/** When the answers of a member change next because of its overrides, Unix milliseconds; infinite = never. */
function nextChange(
  pool: SteeredPool,
  { member, covering, nowMs }: {
    readonly member: SteeredMember;
    readonly covering: readonly Override[];
    readonly nowMs: number;
  },
): number {
  const looks = (ms: number) => appearance(pool, { member, override: rulingOf(covering, ms), nowMs: ms });
  const now = looks(nowMs);
  const instants = covering.flatMap(({ startsAt, expiresAt, drainMs }) => [
    startsAt,
    startsAt + drainMs,
    expiresAt,
  ]).filter((ms) => ms > nowMs).sort((a, b) => a - b);
  return instants.find((ms) => looks(ms) !== now) ?? Infinity;
}

/** A word for how a member is answered; equal words mean that a change from one to the other isn't seen. */
function appearance(
  { healthCheck }: SteeredPool,
  { member: { enabled }, override, nowMs }: {
    readonly member: SteeredMember;
    readonly override: Override | null;
    readonly nowMs: number;
  },
): string {
  if (override?.state === "up") return enabled && healthCheck === null ? "as declared" : "up";
  if (!enabled) return "out";
  if (override === null) return healthCheck === null ? "as declared" : "as checked";
  if (override.state === "down" || drainShare(override, nowMs) === 0) return "out";
  return override.id;
}

/** The earlier of two times, the first of which is never when it is 0, and the other one when it is infinite. */
function earlier(planned: number, ms: number): number {
  const other = ms === Infinity ? 0 : ms;
  return planned === 0 || other === 0 ? planned || other : Math.min(planned, other);
}
