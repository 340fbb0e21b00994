/**
 * What is known of the other nodes at this moment: who is there, and what those found. It is all in memory, so that health
 * can look it up at every verdict; whatever brings it in may come and go.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import type { ActiveNode, PeerReport, Peers, ReportKey } from "../health/peers.ts";
import { Listeners } from "../listeners.ts";
import { type Heard, Membership } from "./membership.ts";
import type { NodeModel } from "./node_model.ts";
import { PeerReports } from "./peer_reports.ts";
import type { AddressReport, Heartbeat } from "./wire_format.ts";

/** What a view is made with. */
export interface PeerViewTerms {
  /** Id of this node. */
  readonly node: string;
  /** Where this node stands; may be empty. */
  readonly region: string;
  /** How long a node counts after a heartbeat. */
  readonly ttlMs: number;
  /** How long what a silent node said is kept, in case that it is heard again. */
  readonly keepMs: number;
  /** Measures ages. */
  readonly clock: Pick<Clock, "monotonicMs">;
  /** Of the process whose place this one takes; drawn when left out. */
  readonly boot?: string;
}

/** The other nodes, as this one knows them. */
export class PeerView implements Peers {
  /** Of this process. */
  readonly boot: string;
  readonly #terms: PeerViewTerms;
  readonly #membership: Membership;
  readonly #reports: PeerReports;
  readonly #heard = new Listeners<readonly ReportKey[] | "membership">();
  /** Nodes that don't count but of which reports are kept, since when. */
  readonly #silent = new Map<string, number>();
  #changed: ReportKey[] = [];

  /** Of no other node yet. */
  constructor(terms: PeerViewTerms) {
    this.boot = terms.boot ?? crypto.getRandomValues(new Uint8Array(8)).toHex();
    this.#terms = terms;
    this.#membership = new Membership(terms.ttlMs);
    this.#reports = new PeerReports((node) => this.#membership.bootOf(node));
  }

  /** The nodes whose heartbeat is fresh, this one first. */
  active(): readonly ActiveNode[] {
    const { clock, node, region } = this.#terms;
    const nowMs = clock.monotonicMs();
    const others = [...this.#membership.nodes()].map(({ node, region, boot, heardMs }) => ({
      ...{ node, region, boot },
      heartbeatAgeMs: Math.max(0, nowMs - heardMs),
    }));
    return [{ node, region, boot: this.boot, heartbeatAgeMs: 0 }, ...others];
  }

  /** What active nodes last said of a target. */
  reports(address: string, target: string): readonly PeerReport[] {
    return this.#reports.reports(address, target);
  }

  /** Tells what differs, until it is disposed of. */
  subscribe(listener: (changed: readonly ReportKey[] | "membership") => void): Disposable {
    return this.#heard.add(listener);
  }

  /** Reports that are kept, each address of each node. */
  get size(): number {
    return this.#reports.size;
  }

  /** How far the models of other nodes had come by their last heartbeats, of those that say. */
  models(): ReadonlyMap<string, NodeModel> {
    const models = new Map<string, NodeModel>();
    for (const { node, model } of this.#membership.nodes()) if (model !== null) models.set(node, model);
    return models;
  }

  /** Whether a node is there. */
  isThere(node: string): boolean {
    return this.#membership.bootOf(node) !== null;
  }

  /** Whether all is known that a node finds by its heartbeat; `false` = not all, or it doesn't say. */
  hasAll(node: string, { boot, found }: Pick<Heartbeat, "boot" | "found">): boolean {
    return found !== undefined && this.#reports.hasAll(node, boot, found);
  }

  /** Takes a heartbeat, and tells if other reports count by it. */
  hear(node: string, heartbeat: Heartbeat): Heard {
    const heard = this.#membership.hear(node, heartbeat, this.#terms.clock.monotonicMs());
    if (heard === "changed") this.#heard.tell("membership");
    return heard;
  }

  /** The report of a node on an address that was taken last: nothing would come of it again, or of earlier ones of its boot. */
  latest(node: string, address: string): Pick<AddressReport, "boot" | "seq"> | null {
    return this.#reports.latest(node, address);
  }

  /** Takes what a node says of an address; what differs by it is told by `tellChanged`. */
  put(node: string, address: string, report: AddressReport): void {
    const changed = this.#reports.put(node, address, report);
    if (changed !== null) this.#changed.push(...changed);
  }

  /** Tells what differs since it was told last. */
  tellChanged(): void {
    if (this.#changed.length === 0) return;
    const changed = this.#changed;
    this.#changed = [];
    this.#heard.tell(changed);
  }

  /** Lets go of who has been silent for too long, tells that, and gives the nodes. */
  expire(): readonly string[] {
    const nowMs = this.#terms.clock.monotonicMs();
    const gone = this.#membership.expire(nowMs);
    if (gone.length > 0) this.#heard.tell("membership");
    this.#forgetSilent(nowMs);
    return gone;
  }

  /** When it must be called again at the latest, monotonic milliseconds. */
  get nextExpiryMs(): number {
    return this.#membership.nextExpiryMs();
  }

  /** Grants all nodes the time in which this one couldn't listen. */
  grant(ms: number): void {
    this.#membership.grant(ms);
  }

  #forgetSilent(nowMs: number): void {
    for (const node of this.#reports.nodes()) {
      if (this.isThere(node)) this.#silent.delete(node);
      else if (!this.#silent.has(node)) this.#silent.set(node, nowMs);
    }
    for (const [node, sinceMs] of this.#silent) {
      if (nowMs - sinceMs < this.#terms.keepMs) continue;
      this.#reports.forget(node);
      this.#silent.delete(node);
    }
  }
}
