/**
 * What one simulated node has heard of the others: heartbeats and reports, as they came in.
 *
 * @module
 */
import type { Clock } from "../../../src/clock.ts";
import type { ActiveNode, PeerReport, Peers, ReportKey } from "../../../src/health/peers.ts";
import { Listeners } from "../../../src/listeners.ts";

/** A sign of life. */
export interface Heartbeat {
  readonly boot: string;
  /** Within the boot. */
  readonly seq: number;
  readonly region: string;
}

/** All that a node's probes found at one address. */
export interface AddressReport {
  readonly boot: string;
  /** Within the boot. */
  readonly seq: number;
  readonly targets: readonly Pick<PeerReport, "target" | "state">[];
}

/** What is made with. */
export interface HeardPeersTerms {
  readonly node: string;
  readonly region: string;
  readonly ttlMs: number;
  readonly clock: Clock;
}

/** The other nodes, as one knows them. */
export class HeardPeers implements Peers {
  readonly #terms: HeardPeersTerms;
  readonly #nodes = new Map<string, Heartbeat & { readonly heardMs: number; readonly former: Set<string> }>();
  readonly #reports = new Map<string, Map<string, AddressReport>>();
  readonly #heard = new Listeners<readonly ReportKey[] | "membership">();

  constructor(terms: HeardPeersTerms) {
    this.#terms = terms;
  }

  active(): readonly ActiveNode[] {
    const { node, region } = this.#terms;
    const others = [...this.#nodes].map(([node, { boot, region }]) => ({
      ...{ node, boot, region, heartbeatAgeMs: 0 },
    }));
    return [{ node, region, boot: "", heartbeatAgeMs: 0 }, ...others];
  }

  reports(address: string, target: string): readonly PeerReport[] {
    return [...this.#reports.get(address) ?? []].flatMap(([node, { boot, targets }]) => {
      const report = targets.find((it) => it.target === target);
      return report && this.#nodes.get(node)?.boot === boot ? { node, address, ...report } : [];
    });
  }

  subscribe(listener: (changed: readonly ReportKey[] | "membership") => void): Disposable {
    return this.#heard.add(listener);
  }

  /** Takes a heartbeat, however late and however often it comes. */
  hear(node: string, heartbeat: Heartbeat): void {
    const heardMs = this.#terms.clock.monotonicMs();
    const known = this.#nodes.get(node);
    if (known?.boot === heartbeat.boot && heartbeat.seq <= known.seq) return;
    if (known?.former.has(heartbeat.boot)) return;
    const former = known?.former ?? new Set();
    if (known && known.boot !== heartbeat.boot) former.add(known.boot);
    this.#nodes.set(node, { ...heartbeat, heardMs, former });
    if (known?.boot !== heartbeat.boot) this.#heard.tell("membership");
  }

  /** Takes what a node found at an address, unless something newer is known. */
  put(node: string, address: string, report: AddressReport): void {
    const nodes = this.#reports.get(address) ?? new Map<string, AddressReport>();
    this.#reports.set(address, nodes);
    const known = nodes.get(node);
    const isActive = (boot?: string) => boot !== undefined && this.#nodes.get(node)?.boot === boot;
    if (known?.boot === report.boot ? report.seq <= known.seq : isActive(known?.boot)) return;
    nodes.set(node, report);
    const targets = [...known?.targets ?? [], ...report.targets].map(({ target }) => target);
    this.#heard.tell([...new Set(targets)].map((target) => ({ address, target })));
  }

  /** Lets go of nodes that were silent for too long. */
  expire(): void {
    const { ttlMs, clock } = this.#terms;
    const gone = [...this.#nodes].filter(([, { heardMs }]) => clock.monotonicMs() - heardMs > ttlMs);
    for (const [node] of gone) this.#nodes.delete(node);
    if (gone.length > 0) this.#heard.tell("membership");
  }
}
