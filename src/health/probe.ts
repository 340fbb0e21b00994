/**
 * One probe of one target: does the port open, and does it say over HTTP what it should?
 *
 * What is wrong with a target is a value, a short phrase for people; only what is wrong with the prober (no free file
 * descriptor) is thrown, so that it never takes a target down.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import type { CheckTarget } from "../desired/check_target.ts";
import { parseHost } from "../input/host.ts";
import { type Connection, connectTcp, connectTls, explainFailure, type TlsTerms } from "./connection.ts";
import { type Exchange, exchange, HttpSyntaxError, type Response } from "./http_exchange.ts";
import type { Probe } from "./health_checker.ts";
import type { ProbeResult } from "./verdict.ts";

/** What probes of all targets have in common. */
export interface ProbeOptions {
  /** Of Pleiades; backends see `pleiades-health/<version>` as the user agent. */
  readonly version: string;
  /** Measures latency. */
  readonly clock: Pick<Clock, "monotonicMs">;
  /** PEM certificates of authorities that are trusted beside the system's. */
  readonly caCerts: readonly string[];
}

/**
 * Makes the probe of a `HealthChecker`.
 *
 * It ends when its signal is aborted, with whatever it knows by then; how long a probe may take is for its caller to
 * decide.
 */
export function createProbe({ version, clock, caCerts }: ProbeOptions): Probe {
  // What follows from a target alone is worked out once, and goes when the target goes.
  const plans = new WeakMap<CheckTarget, Plan>();
  const reliable = new WeakSet<CheckTarget>();
  return async (target, signal) => {
    const startMs = clock.monotonicMs();
    let plan = plans.get(target);
    if (!plan) plans.set(target, plan = planOf(target, version));
    const { serverName } = plan;
    // Databases of versions that took any name may hold one.
    if (serverName === null) {
      return failure(
        `${JSON.stringify(target.check.httpHost)} isn't a host name that TLS can ask for; fix httpHost`,
      );
    }
    try {
      const isReliable = reliable.delete(target);
      await using connection = await open(
        target,
        { serverName, caCerts, isReliable },
        signal,
      );
      reliable.add(target);
      const error = await attempt(connection, target, plan);
      return error === null ? { ok: true, latencyMs: clock.monotonicMs() - startMs } : failure(error);
    } catch (error) {
      if (signal.aborted) return failure("probe was stopped");
      if (error instanceof HttpSyntaxError) return failure(error.message);
      const phrase = explainFailure(error, serverName);
      if (phrase === null) throw error;
      return failure(phrase);
    }
  };
}

/** Status codes as ranges. */
export type StatusSet = readonly { readonly from: number; readonly to: number }[];

/**
 * Reads a set of codes and ranges: `"200"`, `"200,204"`, `"200-399"`.
 *
 * @throws {SyntaxError} naming the part that is neither
 */
export function parseStatusSet(text: string): StatusSet {
  return text.split(",").map((part) => {
    const match = /^\s*([1-5]\d\d)(?:-([1-5]\d\d))?\s*$/.exec(part);
    if (!match) {
      throw new SyntaxError(`Cannot parse status "${part}": write a code (200) or a range (200-399)`);
    }
    return { from: Number(match[1]), to: Number(match[2] ?? match[1]) };
  });
}

/** Whether the status is in the set. */
export function statusMatches(set: StatusSet, status: number): boolean {
  return set.some(({ from, to }) => from <= status && status <= to);
}

interface Plan {
  readonly exchange: Exchange;
  readonly expectedStatus: StatusSet;
  /** `null` = TLS would have to ask for it and can't. */
  readonly serverName: string | null;
}

function open(
  target: CheckTarget,
  terms: Omit<TlsTerms, "isVerified">,
  signal: AbortSignal,
): Promise<Connection> {
  if (target.check.type !== "https") return connectTcp(target, signal);
  return connectTls(target, { ...terms, isVerified: !target.check.insecureSkipVerify }, signal);
}

/** @returns what is wrong with the target, `null` when nothing is */
async function attempt(connection: Connection, target: CheckTarget, plan: Plan): Promise<string | null> {
  if (target.check.type === "tcp") return null;
  return complaintAbout(await exchange(connection, plan.exchange), target, plan);
}

function complaintAbout({ status, body }: Response, { check }: CheckTarget, plan: Plan): string | null {
  if (!statusMatches(plan.expectedStatus, status)) {
    return `status ${status}, expected ${check.httpExpectedStatus}`;
  }
  if (body === "missing") return `body does not contain ${JSON.stringify(check.httpContains)}`;
  if (body === "too-long") {
    return `first 1 MiB of the body does not contain ${JSON.stringify(check.httpContains)}`;
  }
  return null;
}

function planOf(target: CheckTarget, version: string): Plan {
  const { check, ipAddress, port } = target;
  const address = ipAddress.includes(":") ? `[${ipAddress}]` : ipAddress;
  const isDefaultPort = port === (check.type === "https" ? 443 : 80);
  const host = check.httpHost ?? (isDefaultPort ? address : `${address}:${port}`);
  const lines = [
    `${check.httpMethod} ${check.httpPath} HTTP/1.1`,
    `Host: ${host}`,
    `User-Agent: pleiades-health/${version}`,
    "Accept: */*",
    // A compressed body could not be searched.
    "Accept-Encoding: identity",
    ...(check.httpMethod === "POST" ? ["Content-Length: 0"] : []),
    "Connection: close",
  ];
  return {
    exchange: {
      request: new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`),
      needle: check.httpContains === null ? null : new TextEncoder().encode(check.httpContains),
      hasBody: check.httpMethod !== "HEAD",
    },
    expectedStatus: parseStatusSet(check.httpExpectedStatus),
    serverName: check.httpHost === null || check.type !== "https"
      ? ipAddress
      : parseHost(check.httpHost)?.name ?? null,
  };
}

function failure(error: string): ProbeResult {
  return { ok: false, error };
}
