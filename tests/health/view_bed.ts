/**
 * The health of one node, real from probe to eligibility, with peers that a test speaks for and a clock that it moves.
 *
 * @module
 */
import assert from "node:assert/strict";
import { seededRng } from "../../src/clock.ts";
import { type CheckTarget, checkTargetOf, wireTargetOf } from "../../src/desired/check_target.ts";
import type { GuardEvent, PassedChange } from "../../src/health/flip_guard.ts";
import type { Joined, PolicyTurn } from "../../src/health/global_view.ts";
import { type GuardTerms, NodeHealth } from "../../src/health/node_health.ts";
import type { ActiveNode, LocalReport, PeerReport, Peers, ReportKey } from "../../src/health/peers.ts";
import type { Found, PolicyTerms } from "../../src/health/policy.ts";
import type { Verdict } from "../../src/health/verdict.ts";
import { HEALTH_CHECK_DEFAULTS, type HealthCheck } from "../../src/model/model.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { Registry } from "../../src/telemetry/metrics.ts";
import { ManualClock } from "../clock.ts";

/** Every second, down after three failures, up after one success. */
export const BED_CHECK: HealthCheck = {
  ...HEALTH_CHECK_DEFAULTS,
  intervalMs: 1_000,
  timeoutMs: 500,
  rise: 1,
  fall: 3,
};

/** `192.0.2.1`, `192.0.2.2`, … */
export function targetsTo(count: number, check: Partial<HealthCheck> = {}): CheckTarget[] {
  return Array.from(
    { length: count },
    (_, i) => checkTargetOf({ ipAddress: `192.0.2.${i + 1}`, port: 80 }, { ...BED_CHECK, ...check }),
  );
}

/** Peers that say what a test has them say. */
export class ToldPeers implements Peers {
  readonly #nodes = new Map<string, { boot: string; region: string }>();
  readonly #reports = new Map<string, Map<string, Found>>();
  readonly #listeners = new Set<Parameters<Peers["subscribe"]>[0]>();

  constructor(readonly self: string) {
    this.#nodes.set(self, { boot: "1", region: "" });
  }

  active(): readonly ActiveNode[] {
    return [...this.#nodes].map(([node, { boot, region }]) => ({ node, boot, region, heartbeatAgeMs: 0 }));
  }

  reports(address: string, target: string): readonly PeerReport[] {
    return [...this.#reports.get(`${address} ${target}`) ?? []].map(([node, state]) => ({
      node,
      address,
      target,
      state,
    }));
  }

  subscribe(listener: Parameters<Peers["subscribe"]>[0]): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Nodes come, or start again under another boot id, with which their reports end. */
  come(node: string, boot = "1"): void {
    if (this.#nodes.get(node)?.boot !== boot) this.#forget(node);
    this.#nodes.set(node, { boot, region: `region of ${node}` });
    this.#tell("membership");
  }

  /** A node isn't heard of any more. */
  leave(node: string): void {
    this.#nodes.delete(node);
    this.#forget(node);
    this.#tell("membership");
  }

  /** A node reports targets, all in one message; `null` = not any more. */
  say(node: string, state: Found | null, targets: readonly CheckTarget[]): void {
    const changed = targets.map((target) => ({ address: target.ipAddress, target: wireTargetOf(target) }));
    for (const { address, target } of changed) {
      const key = `${address} ${target}`;
      const reports = this.#reports.get(key) ?? new Map<string, Found>();
      this.#reports.set(key, reports);
      if (state === null) reports.delete(node);
      else reports.set(node, state);
    }
    this.#tell(changed);
  }

  #forget(node: string): void {
    for (const reports of this.#reports.values()) reports.delete(node);
  }

  #tell(changed: readonly ReportKey[] | "membership"): void {
    for (const listener of this.#listeners) listener(changed);
  }
}

/** What a bed begins with. */
export interface ViewBedOptions {
  readonly terms?: Partial<PolicyTerms>;
  readonly guard?: Partial<GuardTerms["flipGuard"]>;
  readonly canaries?: GuardTerms["canaries"]["targets"];
  readonly kept?: readonly (readonly [key: string, verdict: Verdict])[];
  readonly targets?: readonly CheckTarget[];
}

/** The node `a`. */
export class ViewBed implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly peers = new ToldPeers("a");
  readonly health: NodeHealth;
  readonly joined: Joined;
  readonly targets: readonly CheckTarget[];
  /** What answers were to follow. */
  readonly passed: PassedChange[] = [];
  /** As many as came together. */
  readonly batches: number[] = [];
  readonly turns: PolicyTurn[] = [];
  readonly events: GuardEvent[] = [];
  readonly told: LocalReport[] = [];
  readonly lines: string[] = [];
  readonly registry = new Registry({});
  /** Addresses whose probes fail; `hung` ones find nothing. */
  readonly failing = new Set<string>();
  #addresses: readonly string[] = [];
  readonly hung = new Set<string>();

  constructor({ terms, guard, canaries = [], kept = [], targets = targetsTo(1) }: ViewBedOptions = {}) {
    const { clock } = this;
    this.targets = targets;
    this.health = new NodeHealth({
      clock,
      rng: seededRng(0x2545f491),
      registry: this.registry,
      log: createLogger({
        level: "warn",
        format: "json",
        clock,
        write: (line) => this.lines.push(line),
        isTerminal: false,
      }),
      probe: ({ ipAddress }, signal) =>
        this.hung.has(ipAddress)
          ? new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))))
          : Promise.resolve(
            this.failing.has(ipAddress) ? { ok: false, error: "refused" } : { ok: true, latencyMs: 1 },
          ),
      guard: {
        flipGuard: { share: 0, atLeast: 5, holdMs: 30_000, ...guard },
        canaries: { targets: canaries, intervalMs: 1_000, timeoutMs: 500, holdMs: 60_000 },
      },
      addressesOf: () => this.#addresses,
      memory: {
        verdicts: () => kept,
        outs: () => [],
        keepVerdicts: () => {},
        forgetVerdicts: () => {},
        keepOuts: () => {},
      },
    });
    this.health.onVerdicts((changes) => {
      this.passed.push(...changes);
      this.batches.push(changes.length);
    });
    this.health.onPolicyTurn((turns) => this.turns.push(...turns));
    this.health.onGuardEvent((event) => this.events.push(event));
    this.health.eligibility.follow({ added: targets, gone: [] });
    this.joined = this.health.join({
      node: "a",
      peers: this.peers,
      terms: { policy: "prefer-local", quorumMinPercent: 51, ...terms },
    });
    this.joined.onReports((reports) => this.told.push(...reports));
  }

  /** States of the targets as answers see them: `.` up, `x` down. */
  get up(): string {
    return this.targets.map(({ key }) => this.health.eligibility.isEligible(key) ? "." : "x").join("");
  }

  /** This node finds targets down, or up. */
  fail(...targets: readonly CheckTarget[]): void {
    for (const { ipAddress } of targets) this.failing.add(ipAddress);
  }

  succeed(...targets: readonly CheckTarget[]): void {
    for (const { ipAddress } of targets) this.failing.delete(ipAddress);
  }

  /** What is known of a target as a member. */
  member(target: CheckTarget = this.targets[0]!) {
    const pool = { id: "p", healthCheck: target.check, failback: "auto", failbackDelayMs: 0 } as const;
    const member = { ipAddress: target.ipAddress, port: target.port, target: null, forcedUp: false };
    const known = this.health.memberHealth(pool, member);
    assert.equal(this.health.isEligible(pool, member), known.eligible);
    return known;
  }

  /** Whether a member by a name is answered that has these addresses; by all that is known, and by that alone. */
  isNamedEligible(addresses: readonly string[], target: CheckTarget = this.targets[0]!): boolean {
    const pool = { id: "p", healthCheck: target.check, failback: "auto", failbackDelayMs: 0 } as const;
    this.#addresses = addresses;
    const member = { ipAddress: null, port: target.port, target: "web.example.org", forcedUp: false };
    const { eligible } = this.health.memberHealth(pool, member);
    assert.equal(this.health.isEligible(pool, member), eligible);
    return eligible;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.health[Symbol.asyncDispose]();
  }
}
