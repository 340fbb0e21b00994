/**
 * A node among others: tells them of itself, listens to them, and knows at each moment which of them are there and what they
 * found. Everything that is known is in memory; a server only carries it, and may come and go.
 *
 * ```text
 * LocalReports ─▶ Publisher ─▶ events, bucket ─▶ (other nodes)
 * events, bucket ─▶ Inbox ─▶ PeerView (Peers of health/peers.ts)
 * heartbeats ─────────────────▶ PeerView
 * ```
 *
 * @module
 */
import type { Msg, NatsConnection } from "@nats-io/nats-core";
import { anySignal } from "../any_signal.ts";
import type { Clock, Rng } from "../clock.ts";
import type { LocalReports } from "../health/peers.ts";
import { natsFault } from "../nats/fault.ts";
import { isFlushed, type LinkNeeds, type LinkTerms, NatsLink } from "../nats/link.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Registry } from "../telemetry/metrics.ts";
import type { ClusterStatus } from "./port.ts";
import { Bursts } from "./bursts.ts";
import { type Buckets, watchBuckets } from "./health_bucket.ts";
import { Inbox, type Waiting } from "./inbox.ts";
import { type ClusterCounters, registerClusterMetrics } from "./metrics.ts";
import type { ConfigLog } from "./config_log.ts";
import { isOtherModel, type NodeModel } from "./node_model.ts";
import type { Heard } from "./membership.ts";
import type { PeerView } from "./peer_view.ts";
import { Publisher } from "./publisher.ts";
import {
  ASKS_MAX,
  decodeEvent,
  decodeHeartbeat,
  decodeValue,
  encodeHeartbeat,
  HEALTH_AGE_MS,
  type Heartbeat,
  isNoLaterValue,
  nodeOfSubject,
  parseHealthKey,
  type WireNames,
  wireNames,
} from "./wire_format.ts";

/** How a node takes part. */
export interface ClusterTerms {
  /** Id of the cluster. */
  readonly cluster: string;
  /** Id of this node. */
  readonly node: string;
  /** Where this node stands; may be empty. */
  readonly region: string;
  /** Time between heartbeats. */
  readonly heartbeatIntervalMs: number;
  /** How long a node counts after a heartbeat. */
  readonly heartbeatTtlMs: number;
  /** How servers are connected to. */
  readonly link: Omit<LinkTerms, "name" | "inboxPrefix" | "pingIntervalMs">;
  /** JetStream domain; `null` = the server's own. */
  readonly domain: string | null;
  /** Servers that keep a copy of what is made; 1 when left out. */
  readonly replicas?: number;
  /** How often the watch of the bucket is held against it. */
  readonly lookMs: number;
}

/** What brings nodes together: NATS, unless a simulation takes its place. */
export interface Carrier {
  /** Connects, again and again. */
  readonly connect: (needs: LinkNeeds) => Pick<NatsLink, "status" | "use"> & AsyncDisposable;
  /** Opens and watches what is kept for nodes that come later. */
  readonly watch: typeof watchBuckets;
}

const NATS: Carrier = { connect: (needs) => new NatsLink(needs), watch: watchBuckets };

/** What it is made with. */
export interface ClusterNeeds {
  /** How this node takes part. */
  readonly terms: ClusterTerms;
  /** Gets what other nodes say. */
  readonly view: PeerView;
  /** What this node's own probes find. */
  readonly local: LocalReports;
  /** Measures ages, and paces what is repeated. */
  readonly clock: Clock;
  /** Spreads what nodes would do at the same time. */
  readonly rng: Rng;
  /** Hears who comes and goes, and what is wrong. */
  readonly log: Logger;
  /** Gets the metrics. */
  readonly registry: Registry;
  /** How far this node's model has come; absent = it has none to speak of. */
  readonly model?: () => NodeModel;
  /** With what heartbeats and reports of this boot begin; 0 when left out. */
  readonly seq?: number;
  /** The log of the configuration; `null` = this node takes no part in it. */
  readonly configLog: ConfigLog | null;
  /** NATS when left out. */
  readonly carrier?: Carrier;
  /** Called after very much was read; gives memory back. */
  readonly burstOver?: () => void;
  /** What else runs on every connection, until the signal is aborted; it mustn't fail. */
  readonly beside?: readonly ((connection: NatsConnection, signal: AbortSignal) => Promise<void>)[];
}

/** How often silent nodes are looked for. */
const TIDY_MS = 60_000;
/** Answers to those who greet, milliseconds apart at least: however many greet, each hears of this node soon. */
const GREET_MS = 100;
/** How long nodes that lack something are gathered before they are asked. */
const ASK_MS = 20;
/** How long nodes that come with the connection wait at most for what they have kept; without it they tell it again. */
const CATCH_UP_MS = 2_000;
/** Their heartbeats; of more the next ones count. */
const EARLY_MAX = 1_024;
/** A wait that ends this much late was no wait: the process stood still, and heard nothing. */
const STALL_MS = 500;
/** Of wrong payloads, each node's are told of once; so many nodes are remembered for it. */
const BLAMED_MAX = 256;
/** Remarks on a connection; each is of another kind, and there are few kinds. */
const REMARKS_MAX = 32;
/** Shares of a ping interval in the time to live, so that a dead server is noticed before nodes seem to be. */
const PINGS_PER_TTL = 15;
const PING_MIN_MS = 200;
const PING_MAX_MS = 5_000;

/** A node among others. */
export class Cluster implements AsyncDisposable {
  readonly #needs: ClusterNeeds;
  readonly #names: WireNames;
  readonly #view: PeerView;
  readonly #publisher: Publisher;
  readonly #inbox: Inbox;
  readonly #bursts: Bursts;
  readonly #carrier: Carrier;
  readonly #link: ReturnType<Carrier["connect"]>;
  readonly #counters: ClusterCounters;
  readonly #ending = new AbortController();
  readonly #watching: Promise<void>;
  #connection: NatsConnection | null = null;
  #refusals: Promise<void> = Promise.resolve();
  #buckets: Buckets | null = null;
  #isOverflowed = false;
  #storeFault: string | null = null;
  #remarks: readonly string[] = [];
  #seq: number;
  #isSucceeded = false;
  #greetedMs = -Infinity;
  /** Whether a node waits to be told what the bucket lacks. */
  #isTellingWanted = false;
  /** Answers to greetings that are on their way. */
  #greeting = 0;
  /** Whether what was kept is read, of this connection. */
  #isCaughtUp = false;
  /** Whether this node has told what it finds, and greeted, on this connection. */
  #hasGreeted = false;
  /** Nodes whose reports were compared with what they say that they find, of this connection: `true` = all of it is here. */
  readonly #compared = new Map<string, boolean>();
  /** Nodes that are to be asked for what they find. */
  readonly #wanted = new Set<string>();
  /** Heartbeats of nodes that weren't there, until it is. */
  #early: (readonly [node: string, heartbeat: Heartbeat])[] = [];
  #wake = new AbortController();
  /** Another process with this node's id. */
  #double: { readonly boot: string; readonly sinceMs: number; lastMs: number; isTold: boolean } | null = null;
  readonly #blamed = new Set<string>();
  readonly #slow = new Set<string>();

  /** Begins to connect, and returns at once. */
  constructor(needs: ClusterNeeds) {
    const { terms, view, local, clock, rng, log, registry } = needs;
    const { cluster, node } = terms;
    const { seq = 0, carrier = NATS, burstOver = () => {} } = needs;
    this.#needs = needs;
    this.#carrier = carrier;
    this.#seq = seq;
    this.#names = wireNames(cluster, node);
    this.#view = view;
    this.#counters = registerClusterMetrics(registry, {
      isConnected: () => this.isConnected,
      active: () => view.active().length,
      differing: () => this.#differing(),
    });
    this.#inbox = new Inbox({
      clock,
      read: (message) => this.#read(message),
      sliceEnded: () => view.tellChanged(),
      overflowed: () => {
        this.#isOverflowed = true;
        log.warn("More is reported by other nodes than can be read; the snapshot is read again");
      },
    });
    this.#bursts = new Bursts({ clock, signal: this.#ending.signal, over: burstOver });
    this.#publisher = new Publisher({
      ...{ local, node, names: this.#names, boot: view.boot, clock, seq },
      published: () => this.#counters.published("health"),
      written: (error) => this.#written("health", error),
    });
    this.#link = carrier.connect({
      terms: this.#linkTerms(terms.link),
      ...{ clock, rng, log },
      session: (connection, ended) => this.#session(connection, ended),
    });
    this.#watching = this.#watchMembers();
  }

  /** Whether there is a server. */
  get isConnected(): boolean {
    return this.#connection !== null;
  }

  /** Connects to other servers, or to the same by other credentials, if these aren't those of now. */
  use(link: ClusterTerms["link"]): void {
    this.#link.use(this.#linkTerms(link));
  }

  /** How it stands. */
  status(): ClusterStatus {
    return {
      ...this.#link.status(),
      storeFault: this.#connection === null ? null : this.#storeFault,
      remarks: this.#remarks,
      isIdTaken: this.#double?.isTold ?? false,
      reports: this.#view.size,
      models: this.#models(),
    };
  }

  #linkTerms(link: ClusterTerms["link"]): LinkTerms {
    const { node, heartbeatTtlMs } = this.#needs.terms;
    return {
      ...link,
      name: `pleiades ${node}`,
      inboxPrefix: this.#names.inboxPrefix,
      pingIntervalMs: Math.min(Math.max(heartbeatTtlMs / PINGS_PER_TTL, PING_MIN_MS), PING_MAX_MS),
    };
  }

  #models(): ReadonlyMap<string, NodeModel> {
    const { model, terms: { node } } = this.#needs;
    return model === undefined ? this.#view.models() : new Map([[node, model()], ...this.#view.models()]);
  }

  /** Nodes that have as much of the log as this one, or no log, and another model. */
  #differing(): number {
    const own = this.#needs.model?.();
    if (own === undefined) return 0;
    return [...this.#view.models().values()].filter((model) => isOtherModel(own, model)).length;
  }

  /** What other nodes know this process by; what it says later has higher numbers than these, but not by many. */
  get identity(): { readonly boot: string; readonly seq: number } {
    return { boot: this.#view.boot, seq: Math.max(this.#seq, this.#publisher.seq) };
  }

  /** Says that another process goes on by this one's identity: nothing is said to other nodes any more, no goodbye either. */
  succeed(): void {
    this.#isSucceeded = true;
  }

  /** Says goodbye, if there is a connection, and ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    const goodbye = this.#sayGoodbye();
    this.#ending.abort();
    this.#wake.abort();
    await goodbye;
    await this.#publisher[Symbol.asyncDispose]();
    await this.#link[Symbol.asyncDispose]();
    await Promise.all([this.#watching, this.#inbox.idle(), this.#refusals]);
  }

  /** All that happens on one connection. */
  async #session(connection: NatsConnection, ended: AbortSignal): Promise<void> {
    const { terms, clock, log } = this.#needs;
    const signal = anySignal([ended, this.#ending.signal]);
    const { heartbeats, healthEvents } = this.#names;
    this.#connection = connection;
    this.#remarks = [];
    this.#isCaughtUp = false;
    this.#early = [];
    this.#compared.clear();
    this.#wanted.clear();
    this.#hasGreeted = false;
    clock.sleep(CATCH_UP_MS, signal).then(() => {
      if (!signal.aborted) this.#catchUp();
    });
    // Ends by itself when the connection is closed, which comes after the session.
    this.#refusals = this.#hearRefusals(connection);
    try {
      connection.subscribe(heartbeats, { callback: (error, message) => this.#hear(error, message) });
      connection.subscribe(healthEvents, {
        callback: (error, { subject, data }) => {
          if (error || nodeOfSubject(subject) === terms.node) return;
          this.#inbox.add(
            { name: subject, data, isValue: false, atMs: clock.monotonicMs() },
            this.#ending.signal,
          );
        },
      });
      // Whoever is there answers a greeting; by then the server must know where to send it.
      if (!await isFlushed(connection, signal)) return;
      const logging = this.#needs.configLog?.session(connection, signal);
      const beside = (this.#needs.beside ?? []).map((run) => run(connection, signal));
      // First what is found and then the greeting: who counts by it again must not count by what it found before it was away.
      await this.#publisher.connected(
        (subject, payload) => this.#publish(connection, subject, payload),
        signal,
      );
      // Who is there has maybe told all while this node told its own: it is asked when it is known what is missing.
      this.#sendHeartbeat("hello", []);
      this.#hasGreeted = true;
      // Who was heard before it doesn't know yet what is missing here; the answers come soon.
      this.#early = [];
      const beating = this.#beat(signal);
      await this.#carrier.watch(connection, {
        terms: {
          ...this.#names,
          ...{ domain: terms.domain, replicas: terms.replicas ?? 1 },
          healthAgeMs: HEALTH_AGE_MS,
          membershipAgeMs: terms.heartbeatTtlMs,
          lookMs: terms.lookMs,
        },
        ...{ clock, signal },
        isOverflowed: () => {
          const was = this.#isOverflowed;
          this.#isOverflowed = false;
          return was;
        },
        listener: {
          entry: (key, data) => this.#takeValue(key, data),
          caughtUp: () => this.#catchUp(),
          opened: (buckets) => {
            if (this.#storeFault !== null) log.info("What nodes report is kept by JetStream again");
            this.#storeFault = null;
            this.#buckets = buckets;
            this.#publisher.bucketOpened(buckets.health);
            this.#keepHeartbeat("alive");
          },
          failed: (error) => this.#storeFailed(error),
          remark: (text) => this.#remark(text),
        },
      });
      await Promise.all([beating, logging, ...beside]);
    } finally {
      this.#connection = null;
      this.#buckets = null;
      this.#publisher.disconnected();
    }
  }

  /** Says which subjects this user may not use; the session goes on without. */
  async #hearRefusals(connection: NatsConnection): Promise<void> {
    for await (const status of connection.status()) {
      if (status.type === "error") {
        this.#remark(natsFault(status.error, this.#link.status().server ?? "NATS"));
      }
    }
  }

  #storeFailed(error: unknown): void {
    const { log } = this.#needs;
    this.#catchUp();
    this.#buckets = null;
    this.#publisher.bucketClosed();
    const fault = natsFault(error, this.#link.status().server ?? "NATS");
    if (fault !== this.#storeFault) {
      log.warn("What nodes report can't be kept by JetStream; they tell each other all the same", {
        reason: fault,
      });
    }
    this.#storeFault = fault;
  }

  async #beat(signal: AbortSignal): Promise<void> {
    const { terms: { heartbeatIntervalMs }, clock, rng } = this.#needs;
    while (!signal.aborted) {
      // A little early, so that nodes that started together drift apart.
      await clock.sleep(heartbeatIntervalMs * (1 - 0.1 * rng() / 2 ** 32), signal);
      if (signal.aborted) return;
      // Who greeted must not count this node by a heartbeat before it has been told what it can't find in the bucket.
      if (this.#greeting === 0) this.#sendHeartbeat("alive");
      this.#keepHeartbeat("alive");
    }
  }

  /** Whether it is on its way. A connection that has ended takes nothing: the next one begins with what is true then. */
  #publish(connection: NatsConnection, subject: string, payload: Uint8Array): boolean {
    if (connection.isClosed()) return false;
    try {
      connection.publish(subject, payload);
      return true;
    } catch (error) {
      // A server may take less than a message has; whoever found something must not stumble over it.
      this.#remark(natsFault(error, this.#link.status().server ?? "NATS"));
      return false;
    }
  }

  /** Says once on each connection what isn't as it should be. */
  #remark(text: string): void {
    if (this.#remarks.includes(text) || this.#remarks.length >= REMARKS_MAX) return;
    this.#remarks = [...this.#remarks, text];
    this.#needs.log.warn("Not all that nodes tell each other can be told", { reason: text });
  }

  #heartbeat(kind: Heartbeat["kind"]): Heartbeat {
    const { region, heartbeatIntervalMs: intervalMs } = this.#needs.terms;
    const model = this.#needs.model?.();
    return {
      ...{ boot: this.#view.boot, seq: ++this.#seq, region, intervalMs, kind },
      ...(model && { model }),
      found: this.#publisher.found,
    };
  }

  #sendHeartbeat(kind: Heartbeat["kind"], asks?: readonly string[]): void {
    const connection = this.#connection;
    if (connection === null || this.#isSucceeded) return;
    const heartbeat = { ...this.#heartbeat(kind), ...(asks && { asks }) };
    const isSent = this.#publish(connection, this.#names.heartbeat, encodeHeartbeat(heartbeat));
    this.#publish(
      connection,
      this.#names.publicHeartbeat,
      encodeHeartbeat(heartbeat, this.#needs.terms.node),
    );
    if (!isSent) return;
    this.#counters.published("heartbeat");
  }

  #keepHeartbeat(kind: Heartbeat["kind"]): void {
    const { node } = this.#needs.terms;
    this.#buckets?.membership.put(node, encodeHeartbeat(this.#heartbeat(kind), node)).then(
      () => this.#written("membership", null),
      (error) => this.#written("membership", error),
    );
  }

  #written(bucket: "health" | "membership", error: unknown): void {
    this.#counters.put(bucket, error === null ? "ok" : "error");
  }

  async #sayGoodbye(): Promise<void> {
    const connection = this.#connection;
    if (connection === null || connection.isClosed() || this.#isSucceeded) return;
    const { clock, terms: { node } } = this.#needs;
    this.#sendHeartbeat("bye");
    const said = Promise.all([this.#buckets?.membership.delete(node), connection.flush()]).catch(() => {});
    const isSaid = new AbortController();
    await Promise.race([said, clock.sleep(GOODBYE_MS, isSaid.signal)]);
    isSaid.abort();
  }

  #hear(error: Error | null, { subject, data }: Msg): void {
    if (error) return;
    const node = nodeOfSubject(subject);
    const heartbeat = this.#decoded(node, () => decodeHeartbeat(data));
    if (heartbeat === null) return;
    this.#counters.received("heartbeat");
    if (node === this.#needs.terms.node) {
      return this.#hearDouble(heartbeat, this.#needs.clock.monotonicMs());
    }
    const isHello = heartbeat.kind === "hello";
    const isAsked = heartbeat.asks?.includes(this.#needs.terms.node) ?? true;
    if (this.#view.isThere(node)) {
      if (this.#take(node, heartbeat) !== "ignored" && isHello) this.#greet(isAsked);
      if (heartbeat.kind !== "bye") this.#inbox.whenRead(() => void this.#isMissing(node, heartbeat));
      return;
    }
    // It waits for what it can't find in the bucket, whether or not this node has read all of that itself.
    if (isHello) this.#greet(isAsked);
    const { kind } = heartbeat;
    if (this.#isCaughtUp) {
      // What a node said before it came counts with it: what the bucket has of it, what waits to be read, and what it is asked for.
      this.#inbox.whenRead(() => {
        if (kind === "bye" || !this.#isMissing(node, heartbeat)) this.#take(node, heartbeat);
      });
      return;
    }
    if (this.#early.length >= EARLY_MAX) return;
    const early = [node, heartbeat] as const;
    this.#early.push(early);
    // Where nodes come together, events say all of it while servers are still making what they keep it in.
    this.#inbox.whenRead(() => {
      if (!this.#early.includes(early)) return;
      if (this.#isMissing(node, heartbeat)) this.#early.splice(this.#early.indexOf(early), 1);
      else if (this.#compared.get(node)) this.#take(node, heartbeat);
    });
  }

  /** Whether something of what a node finds isn't here, and it is asked for it now: once on each connection, the bucket may have it as well. */
  #isMissing(node: string, heartbeat: Heartbeat): boolean {
    const { clock, log } = this.#needs;
    const connection = this.#connection;
    const compared = this.#compared.get(node);
    if (heartbeat.found === undefined || compared === true || connection === null) return false;
    // Nothing hangs on it any more; and of very many reports it takes long, however often a node is heard.
    if (compared === false && this.#isCaughtUp) return false;
    if (compared === undefined && this.#compared.size >= EARLY_MAX) return false;
    const hasAll = this.#view.hasAll(node, heartbeat);
    if (!hasAll && !this.#hasGreeted) return false;
    this.#compared.set(node, hasAll);
    if (hasAll || compared !== undefined) return false;
    this.#wanted.add(node);
    if (this.#wanted.size > 1) return true;
    const { signal } = this.#ending;
    // Others are heard at the same time.
    clock.sleep(ASK_MS, signal).then(() => {
      if (signal.aborted || this.#connection !== connection) return;
      const asks = [...this.#wanted.values().take(ASKS_MAX)];
      for (const asked of this.#wanted) {
        // Who isn't asked now is at its next heartbeat.
        if (!asks.includes(asked)) this.#compared.delete(asked);
      }
      this.#wanted.clear();
      this.#sendHeartbeat("hello", asks);
    }).catch((error) => log.debug("Cannot ask other nodes for what they find", { error }));
    return true;
  }

  /** The bucket is read, or there is none: nodes count by what they say. */
  #catchUp(): void {
    this.#isCaughtUp = true;
    const early = this.#early;
    this.#early = [];
    this.#inbox.whenRead(() => {
      for (const [node, heartbeat] of early) this.#take(node, heartbeat);
    });
  }

  #take(node: string, heartbeat: Heartbeat): Heard {
    this.#warnIfSlow(node, heartbeat);
    const heard = this.#view.hear(node, heartbeat);
    if (heard === "changed") {
      const message = this.#view.isThere(node) ? "A node is there" : "A node has left";
      this.#needs.log.info(message, { node, region: heartbeat.region });
      this.#wake.abort();
    }
    return heard;
  }

  /**
   * Answers a node that has just come, so that it need not wait for the next heartbeat.
   *
   * @param isAsked whether it wants to be told what it can't find in the bucket, before it counts this node by what that said last
   */
  #greet(isAsked: boolean): void {
    const { clock, rng } = this.#needs;
    this.#isTellingWanted ||= isAsked;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#greetedMs < GREET_MS) return;
    this.#greetedMs = nowMs;
    const { signal } = this.#ending;
    this.#greeting++;
    // Greetings of others come within the wait as well, and are answered with it.
    clock.sleep(GREET_MS * rng() / 2 ** 32 + GREET_MS, signal).then(async () => {
      if (signal.aborted) return;
      const isWanted = this.#isTellingWanted;
      this.#isTellingWanted = false;
      if (isWanted) await this.#publisher.tellUnwritten(signal);
      this.#sendHeartbeat("alive");
    }).catch((error) => this.#needs.log.debug("Cannot answer a greeting", { error }))
      .finally(() => this.#greeting--);
  }

  /** A process that is replaced may be heard for a while beside this one; then there should be silence. */
  #hearDouble({ boot, kind }: Heartbeat, nowMs: number): void {
    if (boot === this.#view.boot || kind === "bye") return;
    const { log, terms: { node, heartbeatIntervalMs } } = this.#needs;
    if (this.#double?.boot !== boot) this.#double = { boot, sinceMs: nowMs, lastMs: nowMs, isTold: false };
    this.#double.lastMs = nowMs;
    if (this.#double.isTold || nowMs - this.#double.sinceMs < heartbeatIntervalMs * 1.5) return;
    this.#double.isTold = true;
    log.error(
      "Another process of this cluster has this node's id, and other nodes hear only one of the two",
      {
        node,
        fix: "give each its own node.id",
      },
    );
  }

  #warnIfSlow(node: string, { intervalMs }: Heartbeat): void {
    const { log, terms: { heartbeatTtlMs } } = this.#needs;
    if (intervalMs < heartbeatTtlMs || this.#slow.has(node)) return;
    if (this.#slow.size < BLAMED_MAX) this.#slow.add(node);
    log.warn("A node's heartbeats come less often than this node waits for them", {
      node,
      ...{ intervalMs, heartbeatTtlMs },
      fix: "give all nodes the same state.heartbeatInterval and state.heartbeatTTL",
    });
  }

  #takeValue(key: string, data: Uint8Array): void {
    const { clock, terms: { node } } = this.#needs;
    this.#bursts.count(1);
    if (key.startsWith(`${node}.`)) {
      const own = data.length === 0 ? null : parseHealthKey(key);
      if (own !== null) this.#publisher.seen(own.address);
      return;
    }
    // Of very many values nearly all need not wait to be read: to keep them until then would take more memory than all reports do.
    if (this.#isKnown(key, data)) {
      this.#counters.got("health", "ok");
      this.#counters.merged(0);
      return;
    }
    this.#inbox.add({ name: key, data, isValue: true, atMs: clock.monotonicMs() }, this.#ending.signal);
  }

  #read({ name, data, isValue, atMs }: Waiting): void {
    const node = isValue ? name.split(".", 1)[0]! : nodeOfSubject(name);
    // A key that is gone says less than the report of no targets that came with it, or nothing about now.
    if (isValue && data.length === 0) return;
    const isKnown = isValue && this.#isKnown(name, data);
    const reports = isKnown ? [] : this.#decoded(
      node,
      () =>
        isValue ? [readValue(name, data)] : decodeEvent(data, (address, { boot, seq }) => {
          const latest = this.#view.latest(node, address);
          return latest?.boot === boot && seq <= latest.seq;
        }),
    );
    if (isValue) this.#counters.got("health", reports === null ? "error" : "ok");
    else if (reports !== null) this.#counters.received("health");
    if (!isValue) this.#bursts.count(reports?.length ?? 0);
    for (const { address, ...report } of reports ?? []) this.#view.put(node, address, report);
    this.#counters.merged((this.#needs.clock.monotonicMs() - atMs) / 1000);
  }

  /** Whether a value says what an event said before it, as nearly all do while there is a connection. */
  #isKnown(key: string, data: Uint8Array): boolean {
    const named = parseHealthKey(key);
    const latest = named && this.#view.latest(named.node, named.address);
    return latest !== null && isNoLaterValue(data, latest);
  }

  /** `null` = it can't be read, which is counted, and told of once for each node. */
  #decoded<Read>(node: string, read: () => Read): Read | null {
    try {
      return read();
    } catch (error) {
      this.#counters.received("invalid");
      if (!this.#blamed.has(node) && this.#blamed.size < BLAMED_MAX) {
        this.#blamed.add(node);
        const reason = error instanceof Error ? error.message.slice(0, REASON_MAX) : String(error);
        this.#needs.log.warn("What a node says can't be read, and is left out", { node, reason });
      }
      return null;
    }
  }

  /** Lets nodes go that are silent, and forgets what they said when they stay so. */
  async #watchMembers(): Promise<void> {
    const { clock, log } = this.#needs;
    const { signal } = this.#ending;
    while (!signal.aborted) {
      const fromMs = clock.monotonicMs();
      const waitMs = Math.min(Math.max(this.#view.nextExpiryMs - fromMs + 1, 1), TIDY_MS);
      await clock.sleep(waitMs, this.#wake.signal);
      if (this.#wake.signal.aborted) this.#wake = new AbortController();
      if (signal.aborted) return;
      const nowMs = clock.monotonicMs();
      const lateMs = nowMs - fromMs - waitMs;
      if (lateMs > STALL_MS) this.#view.grant(lateMs);
      for (const node of this.#view.expire()) log.warn("A node isn't heard of any more", { node });
      this.#endDouble(nowMs);
    }
  }

  #endDouble(nowMs: number): void {
    if (this.#double === null || nowMs - this.#double.lastMs <= this.#needs.terms.heartbeatTtlMs) return;
    if (this.#double.isTold) this.#needs.log.info("No other process has this node's id any more");
    this.#double = null;
  }
}

/** How long a goodbye may take. */
const GOODBYE_MS = 300;
/** What is told of a payload that can't be read: its sender wrote part of it. */
const REASON_MAX = 200;

function readValue(key: string, data: Uint8Array) {
  const named = parseHealthKey(key);
  if (named === null) throw new SyntaxError("the key names no node and address");
  return { ...decodeValue(data), address: named.address };
}
