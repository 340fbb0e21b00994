/**
 * A catalog of Consul's: each zone is a datacenter, each product a service, and the rest of an address stands in tags.
 *
 * ```text
 * /v1/catalog/services      blocked: which products and jobs there are ─▶ a reading for each
 * /v1/health/service/…      blocked, one for each product and job: who is healthy ─▶ put, remove
 * /v1/catalog/service/…     plain, every two seconds: whether the datacenter has a leader, how old its state is
 * /v1/agent/members?wan     plain: name servers, by zone
 * ```
 *
 * A question for each product *and* job, since news of a product with 10,000 instances take 226–466 ms, and with the tag of one
 * of its jobs 15–24 ms (Consul 1.21). A server bears 200 connections of a client: beyond that there is a question for each
 * product, and beyond that they have their turns.
 *
 * Each change of a product wakes all questions about it, and each of them is answered in full. Where nodes have far less to say at
 * a change than products have, nodes are asked instead (`consul_nodes.ts`).
 *
 * What can't be read stays as it was read last. Nothing is taken away for lack of an answer: only a list that is one, and that
 * lacks an instance, takes it away.
 *
 * @module
 */
import { anySignal } from "../any_signal.ts";
import type { Clock } from "../clock.ts";
import {
  type Channel,
  type ConsulAnswer,
  ConsulClient,
  ConsulFault,
  type ConsulQuestion,
  type ConsulTerms,
} from "../consul/client.ts";
import { follow } from "../consul/following.ts";
import { Pace, Pause } from "../consul/pace.ts";
import { formatSocketAddress, type SocketAddress } from "../ip.ts";
import type { Logger } from "../telemetry/log.ts";
import { Turns } from "../turns.ts";
import { type Change, type Instance, isSameInstance, type NameServer, type Standing } from "./catalog.ts";
import { instancesOf, readEntry, readJobs, readNodes, readServers, readZones } from "./consul_entries.ts";
import { type Followed, NodesReading } from "./consul_nodes.ts";
import { EntryList } from "./entry_list.ts";
import { ListRoom } from "./json_list.ts";
import type { StoreError, StoreOperation } from "./provider_files.ts";

/** What reads a registry, wherever it runs; disposing ends it. */
export interface Reading extends AsyncDisposable {
  /** What can't be read, in words. */
  readonly problems: readonly string[];
}

/** What a catalog of Consul's is made of. */
export interface ConsulCatalogOptions {
  /** How it is reached. */
  readonly terms: ConsulTerms;
  /** The zone of this machine, which is the datacenter of the server that is asked. */
  readonly zone: string;
  /** Whether other datacenters are read, too; otherwise they are referred to. */
  readonly readsAll: boolean;
  /** For how long what was read last counts, milliseconds. */
  readonly staleFor: number;
  /**
   * What counts as read before it is read here, by zone: ids of instances that the last run had, or a thread that has died.
   * What of it isn't there any more is taken away when all of its zone is read.
   */
  readonly kept: () => ReadonlyMap<string, readonly string[]>;
  /** Gets what changes. */
  readonly write: (changes: readonly Change[]) => void;
  /** Paces the questions. */
  readonly clock: Pick<Clock, "sleep" | "monotonicMs">;
  /** Hears of zones that can't be read, and that can again. */
  readonly log: Pick<Logger, "info" | "warn">;
  /** Hears of each answer. */
  readonly observe: (operation: StoreOperation, error: StoreError, seconds: number) => void;
}

/** Questions about instances at a time: with all others well below the 200 connections that a server bears. */
const BLOCKED_MAX = 140;
/** How long a question is blocked, seconds; where they have their turns, a turn. */
const WAIT_SECONDS = 30;
const TURN_SECONDS = 1;
/**
 * How long the first question that blocks waits for who is to be asked, milliseconds: what was blocked once costs Consul something
 * at each change for another twenty minutes.
 */
const FIRST_MS = 5_000;
/** What an answer may take beyond that: a large one takes a second. */
const ANSWER_MS = 10_000;
/** How often it is asked how old the state is, and what that answer may take; milliseconds. */
const PULSE_MS = 2_000;
const PULSE_ANSWER_MS = 3_000;
/** State of this age is called stale; milliseconds. */
const AGE_MAX_MS = 5_000;
/** How often it is asked which zones and name servers there are. */
const SERVERS_MS = 5_000;
/** After a failure: at first, and at most. */
const RETRY_MS = 250;
const RETRY_MAX_MS = 2_000;
/** What answers may take that are kept to be compared with those that follow, all together, bytes. */
const LISTS_BYTES_MAX = 64 << 20;
/** What a change brings where it is worth to ask nodes, bytes; and the part of it that nodes may bring. */
const WORTH_BYTES_MIN = 50e3;
const NODES_SHARE_MAX = 0.75;
/** How long an entry is of a node's list, as a part of what it is in a product's: it has no node and no checks. */
const ENTRY_SHARE = 2 / 3;
/** Before nodes are asked again that once couldn't be. */
const NODES_AGAIN_MS = 3_600_000;
/** Entries that are named in the log, of each answer. */
const NAMED_MAX = 3;

/** What is registered in a Consul. */
export class ConsulCatalog implements Reading {
  readonly #options: ConsulCatalogOptions;
  readonly #client: ConsulClient;
  readonly #ending = new AbortController();
  readonly #zones = new Map<string, ZoneReading>();
  readonly #servers = new Map<string, string>();
  readonly #turns = new Turns(BLOCKED_MAX);
  readonly #lists = new ListRoom(LISTS_BYTES_MAX);
  readonly #pace: Pace;
  readonly #following: Promise<void>;
  readonly #kept: ReadonlyMap<string, readonly string[]>;
  #areZonesKnown = false;

  /** Begins to read. */
  constructor(options: ConsulCatalogOptions) {
    this.#options = options;
    this.#client = new ConsulClient(options.terms);
    this.#pace = new Pace(options.clock);
    this.#kept = options.kept();
    options.write([{ kind: "zones", areKnown: false }]);
    this.#read(options.zone);
    if (options.readsAll) { for (const zone of this.#kept.keys()) this.#read(zone); }
    this.#following = this.#followServers();
  }

  /** What can't be read, in words. */
  get problems(): readonly string[] {
    return [...this.#zones.values()].flatMap(({ problem }) => problem ?? []);
  }

  /** Reads no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    this.#client[Symbol.dispose]();
    await Promise.all([this.#following, ...[...this.#zones.values()].map(({ ended }) => ended)]);
  }

  #read(zone: string): void {
    if (this.#zones.has(zone)) return;
    const reading = new ZoneReading(zone, {
      ...this.#options,
      client: this.#client,
      ending: this.#ending.signal,
      ...{ turns: this.#turns, lists: this.#lists, pace: this.#pace },
      shareOf: () => Math.floor(BLOCKED_MAX / this.#zones.size),
      keptIds: this.#kept.get(zone) ?? null,
    });
    this.#zones.set(zone, reading);
    reading.start();
  }

  async #followServers(): Promise<void> {
    const { clock, readsAll, observe, staleFor } = this.#options;
    using channel = this.#client.channel();
    let readMs = clock.monotonicMs();
    while (!this.#ending.signal.aborted) {
      const start = clock.monotonicMs();
      let error: StoreError = "none";
      try {
        const zones = readZones((await channel.ask(plain("/v1/catalog/datacenters"))).document);
        if (readsAll) {
          for (const zone of zones) this.#read(zone);
          this.#setZonesKnown(true);
        }
        // There is always one: an empty list is one that this token may not see.
        const members = { ...plain("/v1/agent/members", { wan: "1" }), mayBeFiltered: false };
        this.#takeServers(readServers((await channel.ask(members)).document));
        this.#setZonesKnown(true);
        readMs = clock.monotonicMs();
      } catch (cause) {
        error = faultOf(cause).kind;
        if (clock.monotonicMs() - readMs >= staleFor) this.#setZonesKnown(false);
      }
      if (this.#ending.signal.aborted) return;
      observe("getServers", error, (clock.monotonicMs() - start) / 1000);
      await clock.sleep(error === "none" ? SERVERS_MS : RETRY_MAX_MS, this.#ending.signal);
    }
  }

  #takeServers(servers: ReadonlyMap<string, readonly NameServer[]>): void {
    const { zone: own, write } = this.#options;
    const changes = [...servers].flatMap(([zone, those]): Change[] => {
      const text = JSON.stringify(those);
      if (this.#servers.get(zone) === text) return [];
      this.#servers.set(zone, text);
      const isForeign = zone !== own && !this.#zones.has(zone);
      return [
        { kind: "servers", zone, servers: those },
        ...isForeign ? [{ kind: "standing", zone, standing: "foreign" } as const] : [],
      ];
    });
    if (changes.length > 0) write(changes);
  }

  #setZonesKnown(areKnown: boolean): void {
    if (areKnown === this.#areZonesKnown) return;
    this.#areZonesKnown = areKnown;
    this.#options.write([{ kind: "zones", areKnown }]);
  }
}

interface ZoneParts extends ConsulCatalogOptions {
  readonly client: ConsulClient;
  readonly ending: AbortSignal;
  readonly turns: Turns;
  readonly lists: ListRoom;
  readonly pace: Pace;
  /** How many questions about instances the zone may have blocked at a time. */
  readonly shareOf: () => number;
  /** Instances that count as read; `null` = the zone doesn't. */
  readonly keptIds: readonly string[] | null;
}

/** Whose faults a zone has: the list of services, the pulse, a reading's key, or what nodes are read by. */
type Source = "list" | "pulse" | string;

/** One datacenter. */
class ZoneReading {
  readonly #zone: string;
  readonly #parts: ZoneParts;
  readonly #readings = new Map<string, JobReading>();
  /** Who has said of an instance last that it is there. */
  readonly #owners = new Map<string, JobReading>();
  readonly #faults = new Map<Source, { readonly kind: string; readonly message: string }>();
  /** What hasn't been read yet. */
  readonly #unread = new Set<Source>(["list"]);
  readonly #running = new Set<Promise<void>>();
  /** Ids of instances that count and that nothing has said yet; with what they are, where that is known. */
  readonly #left: Map<string, Instance | null>;
  /** Ends the questions about products. */
  #productsOver = new AbortController();
  /** Who is asked in place of products; `null` = these are. */
  #nodes: NodesReading | null = null;
  /** Nodes aren't asked before. */
  #nodesNotBeforeMs = -Infinity;
  /** Aborted when it was looked at who has less to say. */
  readonly #weighed = new AbortController();
  /** How long an entry of a product's list is. */
  #entryBytes = 0;
  #standing: Standing;
  /** Whether all of it was read once. */
  #isComplete = false;
  /** Whether it was said that the zone was never read. */
  #isSaid = false;
  /** Whether there is a question for each product only; once so, for good. */
  #isCoarse = false;

  constructor(zone: string, parts: ZoneParts) {
    this.#zone = zone;
    this.#parts = parts;
    this.#left = new Map((parts.keptIds ?? []).map((id) => [id, null]));
    this.#standing = parts.keptIds === null ? "lost" : "stale";
  }

  /** What can't be read, in words. */
  get problem(): string | null {
    const [fault] = this.#faults.values();
    return fault ? `zone ${this.#zone}: ${fault.message}` : null;
  }

  /** Resolves when nothing is read any more. */
  get ended(): Promise<unknown> {
    return Promise.all(this.#running);
  }

  start(): void {
    this.#parts.write([{ kind: "standing", zone: this.#zone, standing: this.#standing }]);
    this.#run(this.#followList());
    this.#run(this.#followPulse());
  }

  /** How many instances are known. */
  get #size(): number {
    return this.#nodes?.size ?? this.#owners.size;
  }

  async #followList(): Promise<void> {
    const { clock } = this.#parts;
    const over = this.#productsOver.signal;
    const pause = new Pause();
    let askedMs = clock.monotonicMs();
    await this.#follow({
      ...{ source: "list", path: "/v1/catalog/services", query: {}, instances: false, mayBeFiltered: false },
      over,
      take: async ({ document }) => {
        // Consul makes the whole list again at each change of any service.
        const isNews = this.#expect(readJobs(document));
        await clock.sleep(pause.after(isNews, clock.monotonicMs() - askedMs), over);
        askedMs = clock.monotonicMs();
        return true;
      },
    });
  }

  /** What a change of a product brings, in the mean of all instances, and what one of a node would. */
  #bytesPerChange(instances: Iterable<Instance>): { readonly products: number; readonly nodes: number } {
    const [products, nodes] = [new Map<string, number>(), new Map<string, number>()];
    const count = (counts: Map<string, number>, key: string) => counts.set(key, (counts.get(key) ?? 0) + 1);
    for (const { address, node } of instances) {
      count(products, address.product);
      count(nodes, node);
    }
    const mean = (counts: ReadonlyMap<string, number>) => {
      const all = [...counts.values()];
      return all.reduce((sum, each) => sum + each * each, 0) /
        Math.max(1, all.reduce((sum, each) => sum + each, 0));
    };
    return {
      products: mean(products) * this.#entryBytes,
      nodes: mean(nodes) * this.#entryBytes * ENTRY_SHARE,
    };
  }

  /** Whether nodes would have far less to say. */
  #isWorthNodes(): boolean {
    const isReading = !this.#isComplete || this.#unread.size > 0;
    if (this.#nodes !== null || isReading || this.#parts.clock.monotonicMs() < this.#nodesNotBeforeMs) {
      return false;
    }
    const readings = [...this.#readings.values()];
    const bytes = readings.reduce((sum, { list }) => sum + list.bytes, 0);
    // Nothing is worth it where all products together have less to say.
    if (bytes < WORTH_BYTES_MIN) return false;
    this.#entryBytes = bytes / Math.max(1, this.#owners.size);
    const { products, nodes } = this.#bytesPerChange(readings.flatMap(({ known }) => [...known.values()]));
    return products >= WORTH_BYTES_MIN && nodes <= products * NODES_SHARE_MAX;
  }

  /** Asks nodes from now on, and products no more. */
  #askNodes(names: readonly string[]): void {
    const { write, lists, log } = this.#parts;
    this.#productsOver.abort();
    for (const reading of this.#readings.values()) {
      for (const [id, instance] of reading.known) this.#left.set(id, instance);
      reading.over.abort();
      reading.list.forget();
    }
    this.#readings.clear();
    this.#owners.clear();
    this.#forgetSources();
    log.info("Nodes have less to say at a change than products: they are asked for", {
      zone: this.#zone,
      nodes: names.length,
    });
    this.#nodes = new NodesReading({
      ...{ zone: this.#zone, room: lists, write, left: this.#left },
      follow: (followed) => {
        this.#unread.add(followed.source);
        this.#run(this.#follow(followed));
      },
      plain: (path, query) => plain(path, { dc: this.#zone, stale: "", ...query }),
      complain: (list, node) => this.#complain(list, { node }),
      ended: (source) => this.#forget(source),
      nodesMax: () => this.#parts.shareOf(),
      giveUp: (reason) => this.#giveUpNodes(reason),
    }, names);
  }

  #noNodes(): void {
    this.#nodesNotBeforeMs = this.#parts.clock.monotonicMs() + NODES_AGAIN_MS;
  }

  /** Asks products from now on, and nodes no more. */
  #giveUpNodes(reason: string): void {
    if (this.#nodes === null) return;
    this.#noNodes();
    this.#parts.log.info("Products are asked for again, and no nodes", { zone: this.#zone, reason });
    for (const instance of this.#nodes.instances) this.#left.set(instance.id, instance);
    this.#nodes[Symbol.dispose]();
    this.#nodes = null;
    this.#productsOver = new AbortController();
    this.#forgetSources();
    this.#unread.add("list");
    this.#run(this.#followList());
  }

  /** Whatever instances are read by counts no more. */
  #forgetSources(): void {
    for (const source of this.#faults.keys()) if (source !== "pulse") this.#faults.delete(source);
    this.#unread.clear();
  }

  #forget(source: Source): void {
    this.#unread.delete(source);
    this.#right(source);
  }

  /**
   * Has a reading for each job, or for each product where those are too many.
   *
   * @returns whether there are others than before
   */
  #expect(jobs: ReadonlyMap<string, ReadonlySet<string>>): boolean {
    const count = [...jobs.values()].reduce((sum, { size }) => sum + size, 0);
    if (!this.#isCoarse && count > this.#parts.shareOf()) {
      this.#isCoarse = true;
      this.#parts.log.info("There are too many jobs for a question each: products are asked for", {
        zone: this.#zone,
        jobs: count,
      });
    }
    const wanted = new Map<string, { readonly product: string; readonly job: string | null }>();
    for (const [product, those] of jobs) {
      if (this.#isCoarse) wanted.set(product, { product, job: null });
      else for (const job of those) wanted.set(`${job}.${product}`, { product, job });
    }
    let isNews = false;
    for (const [key, { product, job }] of wanted) {
      if (this.#readings.has(key)) continue;
      isNews = true;
      const reading = new JobReading(product, job, this.#listOf());
      this.#readings.set(key, reading);
      this.#unread.add(key);
      this.#run(this.#followJob(key, reading));
    }
    for (const [key, reading] of this.#readings) {
      reading.isListed = wanted.has(key);
      // What it knew is the product's from now on, to be kept or taken away by the product's first answer.
      const heir = reading.isListed ? undefined : this.#readings.get(reading.product);
      if (heir && heir !== reading) {
        for (const [id, instance] of reading.known) {
          heir.known.set(id, instance);
          this.#owners.set(id, heir);
        }
        reading.known.clear();
        // Also where that says what it said before.
        heir.list.forget();
      }
      if (!reading.isListed && reading.known.size === 0) this.#end(key, reading);
    }
    return isNews;
  }

  async #followJob(key: string, reading: JobReading): Promise<void> {
    const { product, job } = reading;
    const query = { passing: "1", ...job !== null && { tag: `glimpse:job=${job}` } };
    const path = `/v1/health/service/${encodeURIComponent(product)}`;
    await this.#follow({
      ...{ source: key, path, query, instances: true, mayBeFiltered: false, over: reading.over.signal },
      take: ({ body }) => {
        this.#take(reading, body);
        if (reading.isListed || reading.known.size > 0) return true;
        this.#end(key, reading);
        return false;
      },
    });
  }

  #listOf(): EntryList {
    return new EntryList({
      ...{ room: this.#parts.lists, opening: "[" },
      elementsOf: (document) => {
        if (!Array.isArray(document)) throw new SyntaxError("the instances are no list");
        return document;
      },
      read: (element) => readEntry(element, this.#zone),
    });
  }

  /** Writes the difference between an answer and what is known. */
  #take(reading: JobReading, body: Uint8Array): void {
    const { write } = this.#parts;
    const isNews = reading.list.take(body);
    this.#complain(reading.list, { product: reading.product });
    if (!isNews) return;
    const { instances } = instancesOf(reading.list.entries);
    const next = new Map(
      instances.filter(({ address }) => reading.job === null || address.job === reading.job)
        .map((instance) => [instance.id, instance]),
    );
    const changed = [...next.values()].filter((instance) => {
      const before = reading.known.get(instance.id) ?? this.#left.get(instance.id);
      return !before || !isSameInstance(before, instance);
    });
    const gone = [...reading.known.keys()].filter((id) => !next.has(id) && this.#owners.get(id) === reading);
    reading.known = next;
    for (const id of next.keys()) {
      this.#left.delete(id);
      if (!this.#owners.has(id)) this.#owners.set(id, reading);
    }
    for (const { id } of changed) this.#owners.set(id, reading);
    for (const id of gone) this.#owners.delete(id);
    const changes: Change[] = [];
    // In this order: where others take the place of all there were, there is no moment without any.
    if (changed.length > 0) changes.push({ kind: "put", zone: this.#zone, instances: changed });
    if (gone.length > 0) changes.push({ kind: "remove", zone: this.#zone, ids: gone });
    if (changes.length > 0) write(changes);
  }

  /** Counts what can't be used of a list, and says it once. */
  #complain(list: EntryList, of: Readonly<Record<string, string>>): void {
    const { observe, log } = this.#parts;
    const { faults } = list;
    for (const { kind } of faults) observe("getInstances", kind, 0);
    const reason = faults.slice(0, NAMED_MAX).map(({ message }) => message).join("; ");
    if (!list.isNews(reason)) return;
    log.warn("Consul has entries that can't be used", {
      ...{ zone: this.#zone, ...of, entries: faults.length, reason },
    });
  }

  #end(key: string, reading: JobReading): void {
    reading.over.abort();
    reading.list.forget();
    this.#readings.delete(key);
    this.#forget(key);
  }

  /** Asks how old the state is, and whether the server that is asked answers at all: what is blocked doesn't show it. */
  async #followPulse(): Promise<void> {
    const { client, clock, ending } = this.#parts;
    using channel = client.channel();
    while (!ending.aborted) {
      const { server } = client;
      try {
        const { isLed, ageMs } = await channel.ask({
          ...plain("/v1/catalog/service/consul", { dc: this.#zone, stale: "" }),
          answerMs: PULSE_ANSWER_MS,
        });
        const at = `Consul at ${formatSocketAddress(server)}`;
        if (isLed && ageMs <= AGE_MAX_MS) {
          this.#right("pulse");
          await this.#weigh(channel);
        } else if (!isLed) this.#wrong("pulse", { kind: "consulapi", message: `${at} knows of no leader` });
        else this.#wrong("pulse", { kind: "consulapi", message: `${at} is ${ageMs} ms behind its leader` });
      } catch (cause) {
        const fault = faultOf(cause);
        if (ending.aborted) return;
        this.#wrong("pulse", fault);
        this.#leave(server, fault.kind);
      }
      const isSoon = this.#faults.has("pulse") || !this.#isComplete;
      await clock.sleep(isSoon ? RETRY_MS : PULSE_MS, ending);
    }
  }

  /** Asks whoever has less to say at a change. */
  async #weigh(channel: Channel): Promise<void> {
    if (this.#nodes !== null) {
      const { products } = this.#bytesPerChange(this.#nodes.instances);
      if (this.#unread.size > 0 || this.#nodes.bytesPerChange <= products) return;
      return this.#giveUpNodes("they have more to say at a change");
    }
    if (this.#isWorthNodes()) await this.#tryNodes(channel);
    if (this.#isComplete) this.#weighed.abort();
  }

  async #tryNodes(channel: Channel): Promise<void> {
    const answer = await channel.ask(plain("/v1/catalog/nodes", { dc: this.#zone, stale: "" }));
    const names = readNodes(answer.document);
    // A node of which the token may see a part only can't be told from one that has no more.
    if (answer.isFiltered || names.length > this.#parts.shareOf()) this.#noNodes();
    else if (this.#isWorthNodes()) this.#askNodes(names);
  }

  /**
   * Asks again and again, blocked until there is news. Where it is over, the question that is blocked then is let come to its end:
   * Consul counts the connection until then, whether it is closed or not.
   */
  async #follow({ source, path, query, instances, mayBeFiltered, over, take }: Followed): Promise<void> {
    const { client, clock, ending, turns, pace, observe } = this.#parts;
    using channel = client.channel();
    let retryMs = RETRY_MS;
    let startMs = 0;
    let { server } = client;
    await follow({
      question: () => {
        startMs = clock.monotonicMs();
        ({ server } = client);
        return {
          ...{
            path,
            query: { dc: this.#zone, stale: "", ...query },
            ...{ answerMs: ANSWER_MS, mayBeFiltered, isBodyEnough: instances },
          },
          waitSeconds: instances && turns.waiting > 0 ? TURN_SECONDS : WAIT_SECONDS,
        };
      },
      ask: (question) => instances ? inTurn(turns, channel, question) : channel.ask(question),
      take: async (answer, { isAwaited }) => {
        const goesOn = !over.aborted && await take(answer, { isAwaited, channel });
        if (over.aborted) return false;
        observe("getInstances", "none", isAwaited ? 0 : (clock.monotonicMs() - startMs) / 1000);
        retryMs = RETRY_MS;
        this.#unread.delete(source);
        this.#right(source);
        if (!goesOn || !instances) return goesOn;
        if (isAwaited) await pace.after(answer.body.length, over);
        else if (!this.#weighed.signal.aborted) {
          await clock.sleep(FIRST_MS, anySignal([ending, over, this.#weighed.signal]));
          // It may have been ended meanwhile, which would pass for a fault of what is asked next.
          channel.close();
        }
        return goesOn;
      },
      fail: async (cause) => {
        const fault = faultOf(cause);
        // Another server is asked meanwhile: that this one was left is no failure.
        if (client.server !== server) return;
        observe("getInstances", fault.kind, (clock.monotonicMs() - startMs) / 1000);
        this.#wrong(source, fault);
        this.#leave(server, fault.kind);
        await clock.sleep(retryMs, ending);
        retryMs = Math.min(RETRY_MAX_MS, 2 * retryMs);
      },
      signal: anySignal([ending, over]),
      clock,
    });
  }

  /** Asks another server from now on, unless it is another datacenter that doesn't answer through this one. */
  #leave(server: SocketAddress, error: StoreError): void {
    if (error === "noanswer" && this.#zone === this.#parts.zone) this.#parts.client.leave(server);
  }

  #right(source: Source): void {
    this.#faults.delete(source);
    this.#judge();
  }

  #wrong(source: Source, { kind, message }: { readonly kind: string; readonly message: string }): void {
    // What goes wrong is to be noticed by all, and at once.
    this.#weighed.abort();
    this.#faults.set(source, { kind, message });
    this.#judge();
  }

  /** What was never read is lost, unless it was kept; what can't be read now is stale. */
  #judge(): void {
    const { write, log } = this.#parts;
    const zone = this.#zone;
    const [fault] = this.#faults.values();
    if (this.#unread.size === 0) {
      if (!this.#isComplete) this.#complete();
      else if (this.#left.size > 0) write([this.#takeLeft()]);
    }
    if (!this.#isComplete) {
      if (fault && !this.#isSaid) {
        this.#isSaid = true;
        const message = this.#standing === "lost"
          ? "A zone's registry can't be read, and never was"
          : "A zone's registry can't be read; what the last run has read goes on to count";
        log.warn(message, { zone, error: fault.kind, reason: fault.message });
      }
      return;
    }
    const standing = fault ? "stale" : "fresh";
    if (standing === this.#standing) return;
    this.#standing = standing;
    if (fault) {
      log.warn("A zone's registry can't be read; what was registered goes on to count", {
        ...{ zone, error: fault.kind, reason: fault.message },
      });
    }
    write([{ kind: "standing", zone, standing }]);
    if (!fault) log.info("A zone's registry is read", { zone, instances: this.#size });
  }

  /** All of it is read: what counted until then counts no more, unless it was found. */
  #complete(): void {
    const { write, log } = this.#parts;
    const zone = this.#zone;
    this.#isComplete = true;
    const changes = this.#left.size === 0 ? [] : [this.#takeLeft()];
    // However long it has been stale: it isn't any more, even if it is again at once.
    this.#standing = "fresh";
    write([...changes, { kind: "standing", zone, standing: "fresh" }]);
    log.info("A zone's registry is read", { zone, instances: this.#size });
  }

  /** What nothing has said, though all was read, isn't there any more. */
  #takeLeft(): Change {
    const ids = [...this.#left.keys()];
    this.#left.clear();
    return { kind: "remove", zone: this.#zone, ids };
  }

  #run(running: Promise<void>): void {
    this.#running.add(running);
    running.finally(() => this.#running.delete(running));
  }
}

/** What is known of one job of a product, or of a whole product. */
class JobReading {
  readonly product: string;
  /** `null` = all of them. */
  readonly job: string | null;
  readonly over = new AbortController();
  known = new Map<string, Instance>();
  /** The answer that came last. */
  readonly list: EntryList;
  /** Whether the list of services has it. */
  isListed = true;

  constructor(product: string, job: string | null, list: EntryList) {
    this.product = product;
    this.job = job;
    this.list = list;
  }
}

/** Asks when there is a turn for it. */
function inTurn(turns: Turns, channel: Channel, question: ConsulQuestion): Promise<ConsulAnswer> {
  return turns.take(async () => {
    try {
      return await channel.ask(question);
    } finally {
      // A connection that stays open counts as well.
      if (turns.waiting > 0) channel.close();
    }
  });
}

/** A question that doesn't block. */
function plain(path: string, query: Readonly<Record<string, string>> = {}): ConsulQuestion {
  return { path, query, index: 0, waitSeconds: 0, answerMs: ANSWER_MS, mayBeFiltered: true };
}

/** What went wrong with a question; anything else is ours. */
function faultOf(
  cause: unknown,
): { readonly kind: "noanswer" | "denied" | "consulapi"; readonly message: string } {
  if (cause instanceof ConsulFault) return cause;
  if (cause instanceof SyntaxError) {
    return { kind: "consulapi", message: `Consul's answer is none: ${cause.message}` };
  }
  throw cause;
}
