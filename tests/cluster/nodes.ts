/**
 * Nodes of a cluster as far as they tell each other of themselves: what their probes find is said by the test.
 *
 * @module
 */
import { systemClock, systemRng } from "../../src/clock.ts";
import { PeerView } from "../../src/cluster/peer_view.ts";
import { Cluster, type ClusterTerms } from "../../src/cluster/cluster.ts";
import type { LocalReport, LocalReports, PeerReport } from "../../src/health/peers.ts";
import { Listeners } from "../../src/listeners.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { Registry } from "../../src/telemetry/metrics.ts";

/** What the test says that probes found. */
export class SaidReports implements LocalReports {
  readonly #reports = new Map<string, LocalReport>();
  readonly #heard = new Listeners<readonly LocalReport[]>();

  /** Says it. */
  say(reports: readonly LocalReport[]): void {
    for (const report of reports) {
      const key = `${report.address} ${report.target}`;
      if (report.state === null) this.#reports.delete(key);
      else this.#reports.set(key, report);
    }
    this.#heard.tell(reports);
  }

  reports(): Iterable<LocalReport> {
    return this.#reports.values();
  }

  onReports(listener: (changed: readonly LocalReport[]) => void): Disposable {
    return this.#heard.add(listener);
  }
}

/** Terms of a test, beside those of its servers. */
export type NodeOptions = Partial<Omit<ClusterTerms, "link" | "node">> & {
  readonly link?: Partial<ClusterTerms["link"]>;
};

/** No certificates, no credentials. */
export const NO_AUTH: ClusterTerms["link"]["auth"] = {
  ...{ user: null, password: null, token: null, nkeySeed: null, creds: null },
};

/** A node of a cluster. */
export interface PeerNode extends AsyncDisposable {
  readonly id: string;
  readonly cluster: Cluster;
  readonly view: PeerView;
  readonly local: SaidReports;
  readonly registry: Registry;
  readonly lines: readonly string[];
  /** Says that a target is in a state. */
  say(address: string, state: LocalReport["state"], target?: string): void;
  /** What others say of it, by node. */
  heard(address: string, target?: string): Readonly<Record<string, PeerReport["state"]>>;
  /** The nodes that are active, sorted. */
  active(): string[];
}

/** What is probed unless a test says otherwise. */
export const TARGET = "tcp:443:4f53cda1";

/** Starts one, with heartbeats ten times a second. */
export function startPeer(id: string, servers: readonly string[], options: NodeOptions = {}): PeerNode {
  const { link, ...terms } = options;
  const lines: string[] = [];
  const registry = new Registry({ cluster: "test", node: id });
  const local = new SaidReports();
  const all: ClusterTerms = {
    ...{
      cluster: "test",
      node: id,
      region: "",
      heartbeatIntervalMs: 100,
      heartbeatTtlMs: 1_000,
      domain: null,
      lookMs: 200,
    },
    ...terms,
    link: { servers, tls: { ca: null, client: null, handshakeFirst: false }, auth: NO_AUTH, ...link },
  };
  const view = new PeerView({
    ...{ node: id, region: all.region, ttlMs: all.heartbeatTtlMs, keepMs: 60_000, clock: systemClock },
  });
  const cluster = new Cluster({
    terms: all,
    ...{ view, local, clock: systemClock, rng: systemRng, registry, configLog: null },
    log: createLogger({
      ...{ level: "debug", format: "json", clock: systemClock },
      write: (line) => void lines.push(line),
    }),
  });
  return {
    ...{ id, cluster, view, local, registry, lines },
    say: (address, state, target = TARGET) =>
      local.say([{ address, target, state, since: state === null ? null : Date.now() }]),
    heard: (address, target = TARGET) =>
      Object.fromEntries(view.reports(address, target).map(({ node, state }) => [node, state])),
    active: () => view.active().map(({ node }) => node).sort(),
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
}

/** How long anything may take; far longer than it does. */
const PATIENCE_MS = 120_000;

/**
 * Looks again and again until it is as wanted.
 *
 * @returns how long it took, milliseconds
 */
export async function until<Value>(look: () => Value, wanted: (value: Value) => boolean): Promise<number> {
  const fromMs = performance.now();
  for (;;) {
    const value = look();
    const tookMs = performance.now() - fromMs;
    if (wanted(value)) return tookMs;
    if (tookMs > PATIENCE_MS) throw new Error(`It stays ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 1)); // Time is the subject: another side's.
  }
}
