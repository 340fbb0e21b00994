/**
 * What is probed: members of any pools that would be probed in the same way share one target, hence one probe
 * and one verdict. The key is stable over restarts, so that stored verdicts find their target again.
 *
 * @module
 */
import type { HealthCheck, Member } from "./model.ts";

/** One address with one way of probing it. */
export interface CheckTarget {
  /** Identifies the target; equal keys are probed once. */
  readonly key: string;
  /** Canonical address. */
  readonly ipAddress: string;
  /** Where the probe connects, 1–65535. */
  readonly port: number;
  /** How it is probed. */
  readonly check: HealthCheck;
}

/** The target of a member under its pool's check. */
export function checkTargetOf(member: Pick<Member, "ipAddress" | "port">, check: HealthCheck): CheckTarget {
  const port = check.port ?? member.port;
  return { key: checkTargetKey(member.ipAddress, port, check), ipAddress: member.ipAddress, port, check };
}

/**
 * The targets of a pool's members. Disabled ones are probed too: before one is taken in, people want to see whether
 * it is well.
 */
export function checkTargetsOf(
  { members, healthCheck }: {
    readonly members: readonly Pick<Member, "ipAddress" | "port">[];
    readonly healthCheck: HealthCheck | null;
  },
): CheckTarget[] {
  return healthCheck ? members.map((member) => checkTargetOf(member, healthCheck)) : [];
}

function checkTargetKey(ipAddress: string, port: number, check: HealthCheck): string {
  const at =
    `${check.type} ${ipAddress} ${port} ${check.intervalMs} ${check.timeoutMs} ${check.rise} ${check.fall}`;
  if (check.type === "tcp") return at;
  return [
    at,
    check.httpMethod,
    check.httpPath,
    check.httpHost ?? "-",
    check.httpExpectedStatus,
    check.insecureSkipVerify ? "insecure" : "verify",
    JSON.stringify(check.httpContains),
  ].join(" ");
}
