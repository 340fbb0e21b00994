/**
 * A few nodes with real health, from probe to eligibility, which tell each other by the real `src/cluster/`; the broker, the
 * network and the clocks are simulated. Faults of targets, paths, nodes, messages and clocks come by a seed.
 *
 * Two things are checked:
 *
 * - **Always**: a target that is up, and that all nodes have reached for a while, is eligible on every node, whatever
 *   happens to messages, nodes and clocks; nodes report what they find; of two nodes none counts as blind.
 * - **When things have stood still for a while**: each node answers exactly what the policy, written down here once more,
 *   makes of what each active node can find.
 *
 * @module
 */
import { type Rng, seededRng } from "../../../src/clock.ts";
import { type CheckTarget, checkTargetOf, wireTargetOf } from "../../../src/desired/check_target.ts";
import type { Joined } from "../../../src/health/global_view.ts";
import { NodeHealth } from "../../../src/health/node_health.ts";
import { Cluster } from "../../../src/cluster/cluster.ts";
import { PeerView } from "../../../src/cluster/peer_view.ts";
import { HEALTH_AGE_MS, LOOK_MS } from "../../../src/cluster/wire_format.ts";
import type { LocalReport } from "../../../src/health/peers.ts";
import type { HealthPolicy } from "../../../src/health/policy.ts";
import type { Verdict } from "../../../src/health/verdict.ts";
import { HEALTH_CHECK_DEFAULTS, type HealthCheck } from "../../../src/model/model.ts";
import { createLogger } from "../../../src/telemetry/log.ts";
import { Registry } from "../../../src/telemetry/metrics.ts";
import { Broker, Line } from "./broker.ts";
import { Schedule } from "./clock.ts";

const CHECK: HealthCheck = {
  ...HEALTH_CHECK_DEFAULTS,
  ...{ intervalMs: 10_000, timeoutMs: 2_000, rise: 2, fall: 3 },
};
const TARGETS = 8;
const BEAT_MS = 10_000;
const TTL_MS = 30_000;
/** Longer than anything takes that follows from a fault: detection, silence, doubt, and every hold after the other. */
const QUIET_MS = 300_000;
/** For so long a target has to be reached by all before it must be eligible. */
const SEEN_MS = 60_000;
/** The patience with a node that starts, and its heartbeat's time to live. */
const FRESH_MS = 90_000;
const POLICIES: readonly HealthPolicy[] = [
  "prefer-local",
  "global-any-healthy",
  "global-quorum",
  "global-quorum",
  "local-only",
];

/** What was found wrong. */
export class Broken extends Error {}

/** One simulation; the same seed gives the same. */
export class SimulatedWorld {
  readonly schedule = new Schedule();
  readonly policy: HealthPolicy;
  readonly quorumMinPercent: number;
  readonly #rng: Rng;
  readonly #nodes: SimulatedNode[];
  readonly #targets: readonly CheckTarget[];
  readonly #byAddress: ReadonlyMap<string, number>;
  /** Which targets are down for all. */
  readonly #down = new Set<number>();
  /** When a target or a path to it changed last. */
  readonly #touchedMs: number[];
  readonly broker: Broker = new Broker(this.schedule, this);
  readonly trace: string[] = [];
  /** Of messages. */
  isRough = false;
  checks = 0;

  /** @param seed decides everything */
  constructor(seed: number) {
    this.#rng = seededRng(seed * 2_654_435_761 + 1);
    for (let i = 0; i < 8; i++) this.#rng();
    this.policy = POLICIES[seed % POLICIES.length]!;
    this.quorumMinPercent = this.pick([34, 51, 67, 100]);
    const count = 2 + this.below(4);
    this.#targets = Array.from(
      { length: TARGETS },
      (_, i) => checkTargetOf({ ipAddress: `192.0.2.${i + 1}`, port: 443 }, CHECK),
    );
    this.#byAddress = new Map(this.#targets.map(({ ipAddress }, i) => [ipAddress, i]));
    this.#touchedMs = this.#targets.map(() => 0);
    this.#nodes = Array.from({ length: count }, (_, i) => new SimulatedNode(this, "abcde"[i]!));
    // A model that one node hasn't got yet, and may never get.
    if (this.below(2) === 0) this.#nodes[0]!.lacks = TARGETS - 1;
    this.note(`${count} nodes, ${this.policy} ${this.quorumMinPercent} %`);
  }

  /** Runs for so long, simulated. @param checked hears when all that it found was right @throws {Broken} */
  async run(durationMs: number, checked: (nowMs: number) => void = () => {}): Promise<void> {
    for (const node of this.#nodes) node.start();
    try {
      while (this.schedule.nowMs < durationMs) {
        this.isRough = this.below(4) > 0;
        const endMs = this.schedule.nowMs + 30_000 + this.below(600_000);
        while (this.schedule.nowMs < endMs) {
          await this.#fault();
          await this.#pass(this.below(60_000));
        }
        this.isRough = false;
        for (const node of this.#nodes) {
          node.isCutOff = false;
          if (this.below(4) > 0) node.start();
        }
        await this.#pass(QUIET_MS);
        this.#check();
        checked(this.schedule.nowMs);
      }
    } finally {
      for (const node of this.#nodes) await node.stop();
    }
  }

  get targets(): readonly CheckTarget[] {
    return this.#targets;
  }

  get nodes(): readonly SimulatedNode[] {
    return this.#nodes;
  }

  below(bound: number): number {
    return this.#rng() % bound;
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)]!;
  }

  note(what: string): void {
    this.trace.push(`${Math.round(this.schedule.nowMs / 100) / 10} s: ${what}`);
    if (this.trace.length > 60) this.trace.splice(1, 1);
  }

  fail(what: string): never {
    throw new Broken(`${what}\n  ${this.trace.join("\n  ")}`);
  }

  /** What a probe finds. */
  isReached(node: SimulatedNode, address: string): boolean {
    const target = this.#byAddress.get(address)!;
    return !this.#down.has(target) && !node.cutPaths.has(target) && node.lacks !== target;
  }

  /** Nothing may take away what all have reached for a while. */
  expectTaken(node: SimulatedNode, key: string): void {
    const target = this.#targets.findIndex((it) => it.key === key);
    if (target < 0 || this.#down.has(target)) return;
    if (this.#nodes.some(({ cutPaths, lacks }) => cutPaths.has(target) || lacks === target)) return;
    if (this.schedule.nowMs - Math.max(this.#touchedMs[target]!, node.startedMs) < SEEN_MS) return;
    // A node that starts and is cut off before it said anything counts in a quorum as long as its heartbeat does.
    const isFresh = (it: SimulatedNode) => this.schedule.nowMs - it.startedMs < FRESH_MS;
    if (
      this.policy === "global-quorum" && this.#nodes.some(isFresh) && this.#nodes.some((it) => it.isCutOff)
    ) return;
    this.fail(`${node.id} doesn't answer target ${target}, which all nodes reach`);
  }

  async #pass(ms: number): Promise<void> {
    await this.schedule.run(this.schedule.nowMs + ms);
    const failure = this.#nodes.find(({ failure }) => failure)?.failure;
    if (failure) throw failure;
    for (const node of this.#nodes) {
      if (this.#nodes.length < 3 && node.health?.peers()?.sight === "blind") {
        this.fail(`${node.id} is blind of two`);
      }
    }
  }

  async #fault(): Promise<void> {
    const node = this.pick(this.#nodes);
    const target = this.below(TARGETS);
    switch (this.below(12)) {
      case 0:
      case 1:
        this.note(`target ${target} goes down`);
        this.#down.add(target);
        this.#touch(target);
        break;
      case 2:
      case 3:
        this.note(`target ${target} is up`);
        this.#down.delete(target);
        this.#touch(target);
        break;
      case 4:
      case 5:
        this.note(`no path from ${node.id} to target ${target}`);
        if (node.cutPaths.size < 2) node.cutPaths.add(target);
        this.#touch(target);
        break;
      case 6:
        this.note(`all paths from ${node.id} are well`);
        for (const cut of node.cutPaths) this.#touch(cut);
        node.cutPaths.clear();
        break;
      case 7:
        this.note(`no path from ${node.id} to any target`);
        for (let all = 0; all < TARGETS; all++) node.cutPaths.add(all), this.#touch(all);
        break;
      case 8:
        this.note(`${node.id} starts again`);
        await node.stop({ isSudden: this.below(2) === 0 });
        node.start();
        break;
      case 9:
        this.note(`${node.id} stops, or starts`);
        if (node.health) await node.stop({ isSudden: this.below(2) === 0 });
        else node.start();
        break;
      case 10:
        node.isCutOff = !node.isCutOff;
        this.note(`${node.id} is ${node.isCutOff ? "cut off from" : "joined with"} the others`);
        break;
      case 11:
        node.wall.offsetMs += this.pick([-300_000, 300_000]);
        this.note(`the wall clock of ${node.id} is set`);
        break;
    }
  }

  #touch(target: number): void {
    this.#touchedMs[target] = this.schedule.nowMs;
  }

  /** The policy once more, over what is the case. */
  #check(): void {
    const running = this.#nodes.filter(({ health }) => health !== null);
    const finds = (node: SimulatedNode, target: number) =>
      this.isReached(node, this.#targets[target]!.ipAddress);
    for (const node of running) {
      const others = running.filter((other) => other !== node);
      const isBlind = node.health!.peers()!.sight === "blind";
      const outvoted = this.#targets.filter((_, target) =>
        !finds(node, target) && node.lacks !== target &&
        others.filter((other) => finds(other, target)).length >
          others.filter((o) => o.lacks !== target && !finds(o, target)).length + 1
      ).length;
      if (this.policy === "local-only" || others.length < 2) {
        if (isBlind) this.fail(`${node.id} counts as blind`);
      } else if (outvoted >= 5 && !isBlind) {
        this.fail(`${node.id} doesn't count as blind, and is outvoted on ${outvoted}`);
      } else if (outvoted * 4 <= TARGETS && isBlind) this.fail(`${node.id} still counts as blind`);
      for (const [target, { key }] of this.#targets.entries()) {
        if (node.lacks === target) continue;
        const witnesses = (isBlind ? others : [node, ...others]).filter((it) => finds(it, target)).length;
        const all = isBlind ? others.length : running.length;
        const own = finds(node, target);
        const expected = this.policy === "local-only" || others.length === 0
          ? own
          : this.policy === "prefer-local"
          ? (isBlind ? witnesses > 0 : own)
          : this.policy === "global-any-healthy"
          ? witnesses > 0
          : witnesses * 100 >= this.quorumMinPercent * all;
        const answered = node.health!.eligibility.isEligible(key);
        this.checks++;
        if (answered === expected) continue;
        this.fail(
          `${node.id} ${
            answered ? "answers" : "doesn't answer"
          } target ${target}: ${witnesses} of ${all} reach it`,
        );
      }
    }
  }
}

/** One node, which may start again and again. */
class SimulatedNode {
  readonly id: string;
  readonly wall = { offsetMs: 1_767_225_600_000 };
  /** Targets that it doesn't reach. */
  readonly cutPaths = new Set<number>();
  /** A target that isn't in its model. */
  lacks: number | null = null;
  /** What it kept from its last run may be long past. */
  startedMs = 0;
  health: NodeHealth | null = null;
  failure: unknown = null;
  readonly #world: SimulatedWorld;
  readonly #memory = new Map<string, Verdict>();
  readonly #line = new Line();
  #cluster: Cluster | null = null;
  #joined: Joined | null = null;
  #boots = 0;

  constructor(world: SimulatedWorld, id: string) {
    this.#world = world;
    this.id = id;
  }

  /** Whether no message comes or goes. */
  get isCutOff(): boolean {
    return this.#line.isCut;
  }

  set isCutOff(isCutOff: boolean) {
    this.#line.become(isCutOff);
  }

  start(): void {
    if (this.health) return;
    const world = this.#world;
    const clock = world.schedule.clockOf(this.wall, world.below(1_000_000));
    const boot = (++this.#boots).toString(16).padStart(16, "0");
    this.startedMs = world.schedule.nowMs;
    const view = new PeerView({
      ...{ node: this.id, region: "", ttlMs: TTL_MS, keepMs: HEALTH_AGE_MS, clock, boot },
    });
    const log = createLogger({
      level: "error",
      format: "json",
      clock,
      write: (line) => this.#takeLine(line),
    });
    const registry = new Registry({});
    const memory = this.#memory;
    const health = this.health = new NodeHealth({
      clock,
      rng: seededRng(world.below(2 ** 31)),
      ...{ registry, log },
      probe: ({ ipAddress }) =>
        Promise.resolve(
          world.isReached(this, ipAddress) ? { ok: true, latencyMs: 1 } : { ok: false, error: "refused" },
        ),
      guard: {
        flipGuard: { share: 0.5, atLeast: 5, holdMs: 30_000 },
        canaries: { targets: [], intervalMs: 1_000, timeoutMs: 500, holdMs: 60_000 },
      },
      addressesOf: () => [],
      memory: {
        verdicts: () => [...memory],
        outs: () => [],
        keepVerdicts: (verdicts) => verdicts.forEach(([key, verdict]) => memory.set(key, verdict)),
        forgetVerdicts: () => {},
        keepOuts: () => {},
      },
    });
    health.onEligibility((keys) => {
      for (const key of keys) {
        if (!health.eligibility.isEligible(key)) this.#guarded(() => world.expectTaken(this, key));
      }
    });
    health.eligibility.follow({
      added: world.targets.filter((_, target) => target !== this.lacks),
      gone: [],
    });
    const joined = this.#joined = health.join({
      node: this.id,
      peers: view,
      terms: { policy: world.policy, quorumMinPercent: world.quorumMinPercent },
    });
    joined.onReports((reports) => this.#expectFound(reports));
    this.#cluster = new Cluster({
      terms: {
        ...{ cluster: "test", node: this.id, region: "", domain: null, lookMs: LOOK_MS },
        ...{ heartbeatIntervalMs: BEAT_MS, heartbeatTtlMs: TTL_MS },
        link: {
          servers: [],
          tls: { ca: null, client: null, handshakeFirst: false },
          auth: { user: null, password: null, token: null, nkeySeed: null, creds: null },
        },
      },
      ...{ view, local: joined, clock, rng: seededRng(world.below(2 ** 31)), log, registry, configLog: null },
      carrier: world.broker.carrierOf(this.#line),
    });
  }

  /** Stops it; one that ends suddenly says no goodbye. */
  async stop({ isSudden = false } = {}): Promise<void> {
    const { health } = this;
    const isCut = this.isCutOff;
    if (isSudden) this.isCutOff = true;
    await this.#cluster?.[Symbol.asyncDispose]();
    this.isCutOff = isCut;
    this.#joined?.[Symbol.dispose]();
    this.health = null;
    this.#cluster = null;
    this.#joined = null;
    await health?.[Symbol.asyncDispose]();
  }

  /** What is told to others is what probes find, and nothing that was heard. */
  #expectFound(reports: readonly LocalReport[]): void {
    const world = this.#world;
    for (const { address, target, state } of reports) {
      const { key } = world.targets.find((it) => it.ipAddress === address && wireTargetOf(it) === target)!;
      const found = this.health!.checker.found(key)?.state ?? null;
      if (state !== found) this.#guarded(() => world.fail(`${this.id} reports ${state}, and finds ${found}`));
    }
  }

  /** An error isn't the simulated part's, which might catch it. */
  #guarded(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.failure ??= error;
    }
  }

  #takeLine(line: string): void {
    if (line.includes("Cannot")) this.failure ??= new Broken(line);
  }
}
