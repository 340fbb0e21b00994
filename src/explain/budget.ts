/**
 * How long a fault is seen in answers: from the fault to the verdict, and from there until the last cached answer is gone.
 *
 * With the interval `I`, the time-out `T`, `fall` and `rise` of a check: two probes start at most `I` apart, and a fault
 * comes at any point between two starts. A backend that *refuses* fails its probe at once, one that *hangs* only
 * after `T`. So the last of `fall` failures in a row is known
 *
 * | the backend | typically after           | at worst after |
 * | ----------- | ------------------------- | -------------- |
 * | refuses     | `I/2 + (fall − 1) I`      | `fall I`       |
 * | hangs       | `I/2 + (fall − 1) I + T`  | `fall I + T`   |
 *
 * and a backend that recovered after `I/2 + (rise − 1) I`, at worst `rise I + T`. The next answer shows it; the last
 * one before it stays in caches for its TTL. A calculated check that needs `n` of `k` is down when `k − n + 1` of its
 * checks are, and back when `n` are.
 *
 * @module
 */
import { rfc3339 } from "../clock.ts";
import { checkTargetOf } from "../desired/check_target.ts";
import type { HealthCheck, Pool } from "../model/model.ts";
import { neededOf, plainChecks } from "../desired/eligibility.ts";
import { compareText } from "../input/yaml_source.ts";
import { formatSocketAddress } from "../ip.ts";
import type { Failovers } from "./failovers.ts";

/** A span that is half as long as at worst on average, and no longer than that. Milliseconds. */
export interface Span {
  /** On average over when the fault comes. */
  typicalMs: number;
  /** Never longer. */
  worstMs: number;
}

/** From a fault to the verdict, and to the end of the last answer that was given before it. */
export interface FaultBudget {
  /** To the first answer without the member. */
  detection: Span;
  /** Until no cache has it any more. */
  lastCachedAnswer: Span;
}

/** What one pool's check promises. */
export interface PoolBudget {
  /** Of the pool. */
  pool: string;
  /** The check in words; `null` = there is none, so a fault is never seen. */
  check: string | null;
  /** Whose probes fail at once. */
  refusing: FaultBudget | null;
  /** Whose probes fail by the time-out. */
  hanging: FaultBudget | null;
  /** From recovery to the first answer with it; `null` = nothing is probed, or an operator has to say so. */
  back: Span | null;
  /** How it comes back beyond that, in words. */
  failback: string | null;
}

/** How long faults of a service are seen in answers. */
export interface Budget {
  /** As it was asked for. */
  name: string;
  /** Domain of the service that answers it; `null` = the static fallback does. */
  service: string | null;
  /** Seconds. */
  ttl: number;
  /** In the order in which they answer. */
  pools: PoolBudget[];
  /** By how much more detection takes when very many targets go down at once; `null` = it never does. */
  flipGuardHoldMs: number | null;
  /** The last failovers of the pools' members, the newest first. */
  failovers: PastFailover[];
}

/** A member that left the answers or came back. */
export interface PastFailover {
  /** Name of its pool. */
  pool: string;
  /** As `192.0.2.1:443`. */
  member: string;
  /** The check that changed its mind. */
  check: string;
  /** Which way. */
  direction: "down" | "up";
  /** When the answers showed it, RFC 3339. */
  at: string;
  /** From the last probe that still said otherwise to the verdict; `null` = this run had no such probe. */
  detectedMs: number | null;
  /** For how long the flip guard held the verdict back. */
  heldMs: number;
}

/** The last failovers of a pool's members, the newest first. */
export function pastFailovers(pool: Pool, failovers: Pick<Failovers, "of">): PastFailover[] {
  const { healthCheck } = pool;
  if (healthCheck === null) return [];
  return pool.members.flatMap(({ ipAddress, port }) => {
    if (ipAddress === null) return [];
    return plainChecks(healthCheck).flatMap((check) => {
      const target = checkTargetOf({ ipAddress, port }, check);
      return failovers.of(target.key).map(({ direction, at, detectedMs, heldMs }) => ({
        pool: pool.name,
        member: formatSocketAddress({ hostname: ipAddress, port }),
        check: `${check.type} ${target.port}`,
        direction,
        at: rfc3339(at),
        detectedMs,
        heldMs,
      }));
    });
  }).sort((a, b) => compareText(b.at, a.at));
}

/** What a pool's check promises, for answers with this TTL in seconds. */
export function budgetOf(pool: Pool, ttl: number): PoolBudget {
  const { name, healthCheck: check } = pool;
  if (check === null) {
    return { pool: name, check: null, refusing: null, hanging: null, back: null, failback: null };
  }
  const fault = (kind: "refusing" | "hanging"): FaultBudget => {
    const detection = detectionOf(check, kind);
    return { detection, lastCachedAnswer: later(detection, ttl * 1000) };
  };
  return {
    pool: name,
    check: describeCheck(check),
    refusing: fault("refusing"),
    hanging: fault("hanging"),
    back: pool.failback === "manual" ? null : later(returnOf(check), pool.failbackDelayMs),
    failback: failbackWords(pool),
  };
}

/** From a fault that every check sees to the verdict. */
export function detectionOf(check: HealthCheck, kind: "refusing" | "hanging"): Span {
  const spans = plainChecks(check).map(({ intervalMs, timeoutMs, fall }): Span => {
    const waitMs = kind === "hanging" ? timeoutMs : 0;
    return { typicalMs: (fall - 0.5) * intervalMs + waitMs, worstMs: fall * intervalMs + waitMs };
  });
  return nth(spans, spans.length - neededOf(check) + 1);
}

/** From the end of the fault to the verdict. */
export function returnOf(check: HealthCheck): Span {
  const spans = plainChecks(check).map(({ intervalMs, timeoutMs, rise }): Span => ({
    typicalMs: (rise - 0.5) * intervalMs,
    worstMs: rise * intervalMs + timeoutMs,
  }));
  return nth(spans, neededOf(check));
}

/** When the n-th of several things has happened; each column for itself, so that neither is too short. */
function nth(spans: readonly Span[], n: number): Span {
  const column = (of: (span: Span) => number) => spans.map(of).sort((a, b) => a - b)[n - 1]!;
  return { typicalMs: column(({ typicalMs }) => typicalMs), worstMs: column(({ worstMs }) => worstMs) };
}

function later({ typicalMs, worstMs }: Span, byMs: number): Span {
  return { typicalMs: typicalMs + byMs, worstMs: worstMs + byMs };
}

function describeCheck(check: HealthCheck): string {
  if (check.type !== "calculated") return describePlain(check);
  return `${neededOf(check)} of ${check.checks.length}: ${check.checks.map(describePlain).join("; ")}`;
}

function describePlain({ type, intervalMs, timeoutMs, fall, rise }: HealthCheck): string {
  return `${type} every ${intervalMs / 1000} s, timeout ${timeoutMs / 1000} s, fall ${fall}, rise ${rise}`;
}

function failbackWords({ failback, failbackDelayMs }: Pool): string | null {
  if (failback === "manual") return "only when an operator says so (pleiades failback MEMBER)";
  return failbackDelayMs === 0 ? null : `when it has been healthy for ${failbackDelayMs / 1000} s`;
}
