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
  parseBody,
} from "../consul/client.ts";
import { follow } from "../consul/following.ts";
import { Pace } from "../consul/pace.ts";
import { formatSocketAddress, type SocketAddress } from "../ip.ts";
import type { Logger } from "../telemetry/log.ts";
import { type Change, type Instance, isSameInstance, type NameServer, type Standing } from "./catalog.ts";
import {
  type EntryFault,
  type EntryReading,
  instancesOf,
  readEntry,
  readJobs,
  readServers,
  readZones,
} from "./consul_entries.ts";
import { JsonList, ListRoom } from "./json_list.ts";
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
/** Between two lists of services: others may register without end. */
const LIST_PAUSE_MS = 20;
/** What answers may take that are kept to be compared with those that follow, all together, bytes. */
const LISTS_BYTES_MAX = 64 << 20;
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

/** Whose faults a zone has: the list of services, the pulse, or a reading's key. */
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
  /** Instances that count as read and that nothing has said yet. */
  readonly #left: Set<string>;
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
    this.#left = new Set(parts.keptIds);
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

  async #followList(): Promise<void> {
    const { clock, ending } = this.#parts;
    await this.#follow(
      "list",
      "/v1/catalog/services",
      { query: {}, instances: false },
      async ({ document }) => {
        this.#expect(readJobs(document));
        await clock.sleep(LIST_PAUSE_MS, ending);
        return true;
      },
    );
  }

  /** Has a reading for each job, or for each product where those are too many. */
  #expect(jobs: ReadonlyMap<string, ReadonlySet<string>>): void {
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
    for (const [key, { product, job }] of wanted) {
      if (this.#readings.has(key)) continue;
      const reading = new JobReading(product, job);
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
        this.#parts.lists.drop(heir.list);
        heir.list = null;
      }
      if (!reading.isListed && reading.known.size === 0) this.#end(key, reading);
    }
  }

  async #followJob(key: string, reading: JobReading): Promise<void> {
    const { product, job } = reading;
    const query = { passing: "1", ...job !== null && { tag: `glimpse:job=${job}` } };
    const path = `/v1/health/service/${encodeURIComponent(product)}`;
    const over = reading.over.signal;
    await this.#follow(key, path, { query, instances: true, over }, ({ body }) => {
      if (over.aborted) return false;
      this.#take(reading, body);
      if (reading.isListed || reading.known.size > 0) return true;
      this.#end(key, reading);
      return false;
    });
  }

  /** Writes the difference between an answer and what is known. */
  #take(reading: JobReading, body: Uint8Array): void {
    const { write, observe, log } = this.#parts;
    const isNews = this.#read(reading, body);
    for (const { kind } of reading.faults) observe("getInstances", kind, 0);
    if (!isNews) return;
    const { instances, faults } = instancesOf(reading.entries);
    reading.faults = faults;
    const next = new Map(
      instances.filter(({ address }) => reading.job === null || address.job === reading.job)
        .map((instance) => [instance.id, instance]),
    );
    const changed = [...next.values()].filter((instance) => {
      const before = reading.known.get(instance.id);
      return before === undefined || !isSameInstance(before, instance);
    });
    const gone = [...reading.known.keys()].filter((id) => !next.has(id) && this.#owners.get(id) === reading);
    reading.known = next;
    for (const id of next.keys()) this.#left.delete(id);
    for (const { id } of changed) this.#owners.set(id, reading);
    for (const id of gone) this.#owners.delete(id);
    const changes: Change[] = [];
    // In this order: where others take the place of all there were, there is no moment without any.
    if (changed.length > 0) changes.push({ kind: "put", zone: this.#zone, instances: changed });
    if (gone.length > 0) changes.push({ kind: "remove", zone: this.#zone, ids: gone });
    if (changes.length > 0) write(changes);
    for (const { kind } of faults) observe("getInstances", kind, 0);
    const said = faults.slice(0, NAMED_MAX).map(({ message }) => message).join("; ");
    if (said !== reading.said && said !== "") {
      log.warn("Consul has entries that can't be used", {
        zone: this.#zone,
        product: reading.product,
        entries: faults.length,
        reason: said,
      });
    }
    reading.said = said;
  }

  /**
   * Takes an answer apart, or what is another of it than in the one before.
   *
   * @returns whether anything is
   * @throws {SyntaxError | TypeError} where it is no list in JSON
   */
  #read(reading: JobReading, body: Uint8Array): boolean {
    const { lists } = this.#parts;
    const { list, entries } = reading;
    const read = (elements: readonly unknown[]) => elements.map((each) => readEntry(each, this.#zone));
    const difference = list?.difference(body) ?? null;
    if (list !== null && difference !== null) {
      const { from, to, elements } = difference;
      list.follow(body, difference);
      if (to === 0) return false;
      reading.entries = [...entries.slice(0, from), ...read(elements), ...entries.slice(to)];
      if (!lists.keep(list)) reading.list = null;
      return true;
    }
    const document = parseBody(body);
    if (!Array.isArray(document)) throw new SyntaxError("the instances are no list");
    lists.drop(list);
    reading.entries = read(document);
    const next = JsonList.of(body);
    reading.list = next !== null && lists.keep(next) ? next : null;
    return true;
  }

  #end(key: string, reading: JobReading): void {
    reading.over.abort();
    this.#parts.lists.drop(reading.list);
    reading.list = null;
    this.#readings.delete(key);
    this.#unread.delete(key);
    this.#faults.delete(key);
    this.#judge();
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
        if (isLed && ageMs <= AGE_MAX_MS) this.#right("pulse");
        else if (!isLed) this.#wrong("pulse", { kind: "consulapi", message: `${at} knows of no leader` });
        else this.#wrong("pulse", { kind: "consulapi", message: `${at} is ${ageMs} ms behind its leader` });
      } catch (cause) {
        const fault = faultOf(cause);
        if (ending.aborted) return;
        this.#wrong("pulse", fault);
        this.#leave(server, fault.kind);
      }
      await clock.sleep(this.#faults.has("pulse") ? RETRY_MS : PULSE_MS, ending);
    }
  }

  /** Asks again and again, blocked until there is news; `take` says whether to go on. */
  async #follow(
    source: Source,
    path: string,
    { query, instances, over }: {
      readonly query: Readonly<Record<string, string>>;
      readonly instances: boolean;
      readonly over?: AbortSignal;
    },
    take: (answer: ConsulAnswer) => boolean | Promise<boolean>,
  ): Promise<void> {
    const { client, clock, ending, turns, pace, observe } = this.#parts;
    using channel = client.channel();
    over?.addEventListener("abort", () => channel[Symbol.dispose](), { once: true });
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
            answerMs: ANSWER_MS,
            mayBeFiltered: false,
            isBodyEnough: instances,
          },
          waitSeconds: instances && turns.areScarce ? TURN_SECONDS : WAIT_SECONDS,
        };
      },
      ask: (question) => instances ? turns.take(channel, question) : channel.ask(question),
      take: async (answer, { isAwaited }) => {
        const goesOn = await take(answer);
        observe("getInstances", "none", isAwaited ? 0 : (clock.monotonicMs() - startMs) / 1000);
        retryMs = RETRY_MS;
        this.#unread.delete(source);
        this.#right(source);
        if (goesOn && instances && isAwaited) await pace.after(answer.body.length, over ?? ending);
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
      signal: over === undefined ? ending : anySignal([ending, over]),
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
    this.#faults.set(source, { kind, message });
    this.#judge();
  }

  /** What was never read is lost, unless it was kept; what can't be read now is stale. */
  #judge(): void {
    const { write, log } = this.#parts;
    const zone = this.#zone;
    const [fault] = this.#faults.values();
    if (!this.#isComplete && this.#unread.size === 0) this.#complete();
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
    if (!fault) log.info("A zone's registry is read", { zone, instances: this.#owners.size });
  }

  /** All of it is read: what counted until then counts no more, unless it was found. */
  #complete(): void {
    const { write, log } = this.#parts;
    const zone = this.#zone;
    this.#isComplete = true;
    const changes: Change[] = this.#left.size === 0 ? [] : [{ kind: "remove", zone, ids: [...this.#left] }];
    this.#left.clear();
    // However long it has been stale: it isn't any more, even if it is again at once.
    this.#standing = "fresh";
    write([...changes, { kind: "standing", zone, standing: "fresh" }]);
    log.info("A zone's registry is read", { zone, instances: this.#owners.size });
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
  /** The answer that came last, and what its entries say; `null` = the next one is taken apart as a whole. */
  list: JsonList | null = null;
  entries: readonly EntryReading[] = [];
  faults: readonly EntryFault[] = [];
  /** Whether the list of services has it. */
  isListed = true;
  /** What was said of its entries last. */
  said = "";

  constructor(product: string, job: string | null) {
    this.product = product;
    this.job = job;
  }
}

/** So many questions at a time; who comes later waits for one of them to end. */
class Turns {
  readonly #max: number;
  readonly #waiting: (() => void)[] = [];
  #taken = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Whether anyone waits. */
  get areScarce(): boolean {
    return this.#waiting.length > 0;
  }

  async take(channel: Channel, question: ConsulQuestion): Promise<ConsulAnswer> {
    if (this.#taken >= this.#max) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#taken++;
    try {
      return await channel.ask(question);
    } finally {
      const next = this.#waiting.shift();
      // A connection that stays open counts as well.
      if (next) {
        channel.close();
        next();
      } else this.#taken--;
    }
  }
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
