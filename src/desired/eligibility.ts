/**
 * What must hold for a member to be answered: its eligibility. For most members it is that their one check target isn't
 * down, and then the target's key is the eligibility's key, and there is nothing more to it. Otherwise it is derived:
 * a calculated check asks for some of several targets, and a failback policy decides when a member that was out is
 * in again.
 *
 * Keys are stable over restarts. Equal calculated checks of one address share a key; a key with a failback policy
 * belongs to one member of one pool, and stays when the pool's check or policy changes, so that who waits for an
 * operator goes on waiting.
 *
 * @module
 */
import { type CheckTarget, checkTargetOf } from "./check_target.ts";
import type { Failback, HealthCheck, Member } from "../model/model.ts";

/** A derived eligibility. */
export interface EligibilityRule {
  /** Identifies it. */
  readonly key: string;
  /** What it depends on. */
  readonly targets: readonly CheckTarget[];
  /** How many of the targets belong to each address; more than one address has a member that is answered as its name. */
  readonly perAddress: number;
  /** So many targets of some address must not be down. */
  readonly atLeast: number;
  /** How the member comes back; `null` = at once. */
  readonly failback: FailbackPolicy | null;
}

/** How a member that was out comes back. */
export interface FailbackPolicy {
  /** `manual` = only when an operator says so. */
  readonly by: Failback;
  /** With `auto`: after it was well for so long without a break, milliseconds. */
  readonly delayMs: number;
}

/** As much of a pool as its members' eligibility depend on. */
export interface EligibilityPool {
  /** Of the pool, or any other word for what stands in a pool's place. */
  readonly id: string;
  /** `null` = its members always stand. */
  readonly healthCheck: HealthCheck | null;
  /** How its members come back. */
  readonly failback: Failback;
  /** With `auto`: after they were well for so long, milliseconds. */
  readonly failbackDelayMs: number;
}

/** As much of a member as its eligibility depends on. */
export interface EligibilityMember extends Pick<Member, "ipAddress" | "target" | "port"> {
  /** Whether an operator says that it is up. */
  readonly forcedUp: boolean;
  /** The known addresses of a member that is answered as its name; it has no `ipAddress` then. */
  readonly addresses?: readonly string[];
}

/** The key under which a member's eligibility is found; `null` = it always stands. */
export function eligibilityKeyOf(
  pool: EligibilityPool,
  { ipAddress, target, port, forcedUp, addresses }: EligibilityMember,
): string | null {
  const { healthCheck: check } = pool;
  if (check === null || forcedUp) return null;
  if (ipAddress === null) return addresses ? namedKeyOf(pool, { target, port, addresses }) : null;
  if (isPlain(pool)) return checkTargetOf({ ipAddress, target, port }, check).key;
  return keyOf(pool, { ipAddress, target, port });
}

/** The derived eligibility of a pool's members, disabled ones included; none where all are plain. */
export function derivedEligibility(
  pool: EligibilityPool & {
    readonly members: readonly EligibilityMember[];
    readonly named?: { readonly members: readonly EligibilityMember[] };
  },
): EligibilityRule[] {
  const { healthCheck: check, members, named } = pool;
  if (check === null) return [];
  const eligibility: EligibilityRule[] = [];
  const add = (key: string, addresses: readonly string[], { target, port, forcedUp }: EligibilityMember) => {
    const checks = plainChecks(check);
    eligibility.push({
      key,
      targets: addresses.flatMap((ipAddress) =>
        checks.map((check) => checkTargetOf({ ipAddress, target, port }, check))
      ),
      perAddress: checks.length,
      atLeast: neededOf(check),
      // Whoever forces a member up says that it is to be answered: it needn't be failed back afterwards.
      failback: hasFailback(pool) && !forcedUp ? { by: pool.failback, delayMs: pool.failbackDelayMs } : null,
    });
  };
  if (!isPlain(pool)) {
    for (const member of members) {
      const { ipAddress, target, port } = member;
      if (ipAddress !== null) add(keyOf(pool, { ipAddress, target, port }), [ipAddress], member);
    }
  }
  for (const member of named?.members ?? []) {
    const { target, port, addresses } = member;
    if (addresses) add(namedKeyOf(pool, { target, port, addresses }), addresses, member);
  }
  return eligibility;
}

/** The checks that are probed for a check. */
export function plainChecks(check: HealthCheck): readonly HealthCheck[] {
  return check.type === "calculated" ? check.checks : [check];
}

/** How many of its plain checks must pass. */
export function neededOf({ type, require, checks }: HealthCheck): number {
  if (type !== "calculated" || require === "any") return 1;
  return require === "all" ? checks.length : require;
}

function isPlain(pool: EligibilityPool): boolean {
  return pool.healthCheck!.type !== "calculated" && !hasFailback(pool);
}

function hasFailback({ failback, failbackDelayMs }: EligibilityPool): boolean {
  return failback === "manual" || failbackDelayMs > 0;
}

/** A member that is answered as its name stands as long as one of its addresses does; with none it doesn't. */
function namedKeyOf(
  pool: EligibilityPool,
  { target, port, addresses }: Pick<EligibilityMember, "target" | "port"> & {
    readonly addresses: readonly string[];
  },
): string {
  if (hasFailback(pool)) return `failback ${pool.id} ${target} ${port}`;
  const checks = plainChecks(pool.healthCheck!);
  const keys = addresses.map((ipAddress) =>
    checks.map((check) => checkTargetOf({ ipAddress, target, port }, check).key).sort().join("; ")
  );
  return `${target} by ${neededOf(pool.healthCheck!)} of (${keys.join(") or (")})`;
}

function keyOf(
  pool: EligibilityPool,
  member: Pick<EligibilityMember, "target" | "port"> & { readonly ipAddress: string },
): string {
  if (hasFailback(pool)) return `failback ${pool.id} ${member.ipAddress} ${member.port}`;
  const check = pool.healthCheck!;
  const keys = check.checks.map((part) => checkTargetOf(member, part).key).sort();
  return `${neededOf(check)} of (${keys.join("; ")})`;
}
