/**
 * What is left of a pool: how many of its members may be answered, and what is answered when too few are left.
 *
 * @module
 */
import { drainShare, type OverrideIndex, rulingOf } from "../desired/overridden.ts";
import type { Member, Pool } from "../model/model.ts";
import type { Family } from "../ip.ts";

/** How a pool is doing. */
export interface PoolState {
  /** What the operator calls it. */
  readonly name: string;
  /** Members that are enabled, or forced up. */
  readonly members: number;
  /** Those of them that may be answered: their checks, overrides and failback allow it. */
  readonly eligible: number;
  /** What is answered while too few are eligible, in words. */
  readonly answersWhenDown: string;
}

/** What the state of a pool follows from, beside the pool. */
export interface PoolFacts {
  /** Whether a member may be answered, as far as health goes. */
  readonly isEligible: (member: Member) => boolean;
  /** All overrides. */
  readonly overrides: OverrideIndex;
  /** Unix milliseconds. */
  readonly nowMs: number;
  /** The name of the pool that answers instead; `null` = there is none. */
  readonly fallbackName: string | null;
}

/** How a pool is doing, or its members of one family; members by name belong to both. */
export function poolStateOf(
  pool: Pick<Pool, "id" | "name" | "onAllDown" | "members">,
  { isEligible, overrides, nowMs, fallbackName }: PoolFacts,
  family: Family | null = null,
): PoolState {
  let members = 0;
  let eligible = 0;
  let forcedOut = 0;
  for (const member of pool.members) {
    if (family !== null && member.ipAddress !== null && familyOf(member.ipAddress) !== family) continue;
    const ruling = rulingOf(overrides.covering(pool.id, member), nowMs);
    if (!member.enabled && ruling?.state !== "up") continue;
    members++;
    const isOut = ruling !== null && ruling.state !== "up" && drainShare(ruling, nowMs) === 0;
    if (isOut) forcedOut++;
    if (ruling?.state === "up" || (!isOut && isEligible(member))) eligible++;
  }
  const answersWhenDown = family !== null
    ? `NODATA for ${family === 4 ? "A" : "AAAA"}`
    : answersOf(pool, { left: members - forcedOut, fallbackName });
  return { name: pool.name, members, eligible, answersWhenDown };
}

function answersOf(
  { onAllDown }: Pick<Pool, "onAllDown">,
  { left, fallbackName }: { readonly left: number; readonly fallbackName: string | null },
): string {
  if (onAllDown === "fallback" && fallbackName !== null) return `fallback ${fallbackName}`;
  // Who is forced down or disabled isn't answered even when all are down.
  if (left === 0 || onAllDown === "none" || onAllDown === "fallback") return "NODATA";
  return onAllDown === "all" ? "answering all" : "answering the last healthy";
}

function familyOf(ipAddress: string): Family {
  return ipAddress.includes(":") ? 6 : 4;
}
