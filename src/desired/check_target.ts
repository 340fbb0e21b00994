/**
 * What is probed: members of any pools that would be probed in the same way share one target, hence one probe
 * and one verdict. The key is stable over restarts, so that stored verdicts find their target again.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { HealthCheck, Member } from "../model/model.ts";

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

/** Where a member is, if it has an address; the address may be one of its name's. */
export type Endpoint = Pick<Member, "ipAddress" | "port"> & Partial<Pick<Member, "target">>;

/** The target of a member under a plain check. Whoever goes by name is asked by it, unless the check says another. */
export function checkTargetOf(
  { ipAddress, port: ownPort, target }: Endpoint & { readonly ipAddress: string },
  declared: HealthCheck,
): CheckTarget {
  const port = declared.port ?? ownPort;
  const check = target && declared.httpHost === null && declared.type !== "tcp"
    ? { ...declared, httpHost: target }
    : declared;
  return { key: checkTargetKey(ipAddress, port, check), ipAddress, port, check };
}

/**
 * The targets of a pool's members, of each as many as its check has plain ones; none of members by name. Disabled ones
 * are probed too: before one is taken in, people want to see whether it is healthy.
 */
export function checkTargetsOf(
  { members, named, healthCheck }: {
    readonly members: readonly Endpoint[];
    readonly named?: { readonly members: readonly (Endpoint & { readonly addresses?: readonly string[] })[] };
    readonly healthCheck: HealthCheck | null;
  },
): CheckTarget[] {
  const checks = healthCheck === null
    ? []
    : healthCheck.type === "calculated"
    ? healthCheck.checks
    : [healthCheck];
  // Of a name all addresses count, also one that isn't answered because a member has it: that is probed by another name.
  const byName = (named?.members ?? []).flatMap(({ addresses = [], ...member }) =>
    addresses.map((ipAddress) => ({ ...member, ipAddress }))
  );
  return [...members, ...byName].flatMap((member) => {
    const { ipAddress } = member;
    return ipAddress === null ? [] : checks.map((check) => checkTargetOf({ ...member, ipAddress }, check));
  });
}

/** What a target's key begins with: how it is probed, and where. */
export function endpointOfKey(
  key: string,
): Pick<CheckTarget, "ipAddress" | "port"> & { readonly type: string } {
  const [type = "", ipAddress = "", port = ""] = key.split(" ", 3);
  return { type, ipAddress, port: Number(port) };
}

/**
 * The target's name among nodes, together with its address: where it is probed and what is asked, `"https:8443:2b435658"`. The
 * last part is 32 bits of SHA-256. How often is asked, and after how many answers a state changes, isn't part of it: a node
 * whose model differs in these goes on sharing what it finds.
 */
export function wireTargetOf({ port, check }: Pick<CheckTarget, "port" | "check">): string {
  const asked = JSON.stringify(askedBy(check));
  return `${check.type}:${port}:${createHash("sha256").update(asked).digest("hex").slice(0, 8)}`;
}

/** Whatever an answer depends on besides the endpoint; the order is part of the format. */
function askedBy(check: HealthCheck): readonly unknown[] {
  if (check.type === "tcp") return [];
  const { httpMethod, httpPath, httpHost, httpExpectedStatus, httpContains, insecureSkipVerify } = check;
  const verifies = check.type === "https" && !insecureSkipVerify;
  return [httpMethod, httpPath, httpHost, httpExpectedStatus, httpContains, verifies];
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
