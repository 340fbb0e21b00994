/**
 * Discovery in a node: the catalog, those who write it, those who answer by it, and those who wait for a change of it.
 *
 * ```text
 * provider files ─┬▶ Discovery.write ──▶ catalog ─┬▶ DNS (own listener, on a thread)
 * (and NATS)      │                               ├▶ look-ups and subscriptions
 * or Consul ──────┘  (on a thread)                └▶ a file for the next run (of what comes from elsewhere)
 * ```
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { ConsulTerms } from "../consul/client.ts";
import type { Clock } from "../clock.ts";
import type { SocketAddress } from "../ip.ts";
import { Listeners } from "../listeners.ts";
import type { Logger } from "../telemetry/log.ts";
import type { CallbackGauge, Registry } from "../telemetry/metrics.ts";
import { type Address, ADDRESS_FIELDS, formatAddress, parseAddress } from "./address.ts";
import type { AnswerThreadOptions } from "./answer_thread.ts";
import type { Answering } from "./answering.ts";
import { Catalog, type Change, type Instance, type NameServer, portionsOf } from "./catalog.ts";
import type { Reading } from "./consul_catalog.ts";
import { decide, type Decision } from "./decisions.ts";
import { DirectoryNames } from "./directory_names.ts";
import { DirectoryWatch } from "./directory_watch.ts";
import { KeptCatalog, type KeptZone, readKept } from "./kept_catalog.ts";
import type { DiscoveredMember, DiscoveryPort, Found, Registration } from "./port.ts";
import { readProviderInSteps } from "./provider_file.ts";
import { ProviderFiles, type StoreError, type StoreOperation } from "./provider_files.ts";
import type { ReadingThreadOptions } from "./reading_thread.ts";
import { removeProviderFile, writeProviderFile } from "./registration.ts";
import type { Sampled, SamplingTerms } from "./sampler.ts";
import { type NodeValues, SharedRegistrations } from "./shared_registrations.ts";
import { inSlices, pacer } from "../slices.ts";
import { DURATION_BUCKETS, TallySum } from "./tally.ts";

/** What discovery is made of, of the settings. */
export interface DiscoveryTerms {
  /** Where its own listener is; `null` = it has none. */
  readonly dnsAddr: SocketAddress | null;
  /** Dns zones, without final dot. */
  readonly dnsZone: readonly string[];
  /** Most records of an answer over UDP. */
  readonly maxAnswers: number;
  /** The zone of this machine. */
  readonly zone: string;
  /** Where providers keep their files, absolute; `null` = there are none. */
  readonly directory: string | null;
  /** Name of this machine. */
  readonly node: string;
  /** Its addresses, for registrations that don't say their own. */
  readonly ipAddress: readonly string[];
  /** Whether checks in Consul's files are passed over. */
  readonly ignoreScripts: boolean;
  /** Whether metrics tell addresses apart. */
  readonly addressMetrics: boolean;
  /** A Consul in place of the directory; `null` = there is none. */
  readonly consul: ConsulTerms | null;
  /** What becomes of questions about zones that aren't read here. */
  readonly otherZones: "refer" | "forward";
  /** Name servers: of this zone, and of those that are answered elsewhere. */
  readonly servers: readonly (NameServer & { readonly zone: string; readonly port: number })[];
  /** For how long what was read last counts while nothing can be read, milliseconds. */
  readonly staleFor: number;
}

/** What it needs of a node. */
export interface DiscoveryNeeds {
  /** Those of the start. */
  readonly terms: DiscoveryTerms;
  /** Paces and dates. */
  readonly clock: Clock;
  /** Hears what can't be read. */
  readonly log: Logger;
  /** Gets the metrics. */
  readonly registry: Registry;
  /** Starts what answers DNS: a thread of its own, in a node. */
  readonly answer: (options: AnswerThreadOptions) => Answering;
  /** Starts what reads Consul: likewise. */
  readonly read: (options: ReadingThreadOptions) => Reading;
  /** Where what was read last is kept for the next run; `null` = nowhere. */
  readonly keptFile: string | null;
  /** Shares what is registered with other nodes of a cluster; `null` = it is found here alone. */
  readonly shared: { readonly node: string; readonly values: NodeValues; readonly ttlMs: number } | null;
  /** Which exchanges of its own listener are copied for the query log; `null` = none. */
  readonly sampling: SamplingTerms | null;
  /** Gets them. */
  readonly sampled: (sampled: Sampled) => void;
}

/** Services that announce themselves. */
export class Discovery implements AsyncDisposable, DiscoveryPort {
  /** What is registered. */
  readonly catalog = new Catalog();
  /** Tells the addresses at which something changes. */
  readonly changes: Listeners<ReadonlySet<string>> = new Listeners();
  readonly #needs: DiscoveryNeeds;
  readonly #parts = new AsyncDisposableStack();
  readonly #files: ProviderFiles | null = null;
  readonly #consul: Reading | null = null;
  readonly #shared: SharedRegistrations | null = null;
  readonly #keeper: KeptCatalog | null = null;
  readonly #answering: Answering | null = null;
  readonly #observeStore: (operation: StoreOperation, error: StoreError, seconds: number) => void;
  /** When a zone became stale; on the clock that never jumps. */
  readonly #staleSince = new Map<string, number>();
  readonly #ending = new AbortController();
  /** Those who wait, by address. */
  readonly #waiting = new Map<string, PromiseWithResolvers<void>>();
  readonly #tags = new WeakMap<readonly Instance[], string>();
  /** Changes that are still to be made, and who makes them; `null` = there are none. */
  readonly #changesLeft: (readonly Change[])[] = [];
  #writing: Promise<void> | null = null;
  /** Whether others may wait for this thread. */
  #isStarted = false;
  /** Registrations have their turns: the one that came last is what counts in the end. */
  #registering: Promise<unknown> = Promise.resolve();

  /** Reads what there is to read, and begins to answer; see {@linkcode Discovery.ready}. */
  constructor(needs: DiscoveryNeeds) {
    const { terms, clock, log, registry } = this.#needs = needs;
    const errors = registry.counter(
      "pleiades_discovery_store_errors_total",
      "What registries couldn't say.",
      ["error", "operation"],
    );
    const durations = registry.histogram(
      "pleiades_discovery_store_request_duration_seconds",
      "What reading registries takes.",
      [1e-3, 1e-2, 0.1, 1, 10],
      ["error", "operation"],
    );
    this.#observeStore = (operation, error, seconds) => {
      durations.labels(error, operation).observe(seconds);
      if (error !== "none") errors.labels(error, operation).inc();
    };
    const perZone = (value: (zone: string) => number): CallbackGauge => ({
      labelNames: ["zone"],
      collect: () => this.catalog.zones.map((zone) => [[zone], value(zone)] as const),
    });
    registry.gauge(
      "pleiades_discovery_instances",
      "Registered instances.",
      perZone((zone) => this.catalog.sizeOf(zone)),
    );
    registry.gauge(
      "pleiades_discovery_stale_seconds",
      "For how long a zone's registry can't be read.",
      perZone((zone) => this.#staleMs(zone) / 1000),
    );
    registry.gauge("pleiades_discovery_responses", "Instances at an address, or name servers of a zone.", {
      labelNames: [...ADDRESS_FIELDS, "operation"],
      collect: () => terms.addressMetrics ? this.#responses() : [],
    });
    this.write(serversOf(terms));
    const isFromElsewhere = terms.consul !== null || needs.shared !== null;
    const keptFile = terms.staleFor === 0 || !isFromElsewhere ? null : needs.keptFile;
    if (keptFile !== null) this.#recall(keptFile);
    let own = (changes: readonly Change[]) => this.write(changes);
    if (needs.shared !== null) {
      const shared = this.#shared = new SharedRegistrations({
        ...{ ...needs.shared, zone: terms.zone, readsAll: this.#readsAll, kept: this.catalog.read() },
        ...{ write: own, clock, log, signal: this.#ending.signal },
        observe: (error, seconds) => this.#observeStore("getInstances", error, seconds),
      });
      own = (changes) => shared.own(changes);
    }
    if (terms.consul !== null) {
      const { staleFor, zone } = terms;
      this.#consul = this.#parts.use(needs.read({
        ...{ terms: terms.consul, zone, readsAll: this.#readsAll, staleFor, kept: () => this.catalog.read() },
        ...{ write: (changes) => this.write(changes), observe: this.#observeStore, clock, log },
      }));
    } else if (terms.directory !== null) {
      this.#files = this.#parts.use(
        new ProviderFiles({
          directory: terms.directory,
          names: new DirectoryNames(terms.directory),
          watch: new DirectoryWatch(terms.directory),
          terms: this.#providerTerms,
          write: own,
          observe: (error, seconds) => this.#observeStore("getInstances", error, seconds),
          ...{ clock, log },
        }),
      );
    } else own([{ kind: "standing", zone: terms.zone, standing: "fresh" }]);
    if (keptFile !== null) {
      const zones = () => this.#zonesToKeep();
      this.#keeper = this.#parts.use(new KeptCatalog({ path: keptFile, zones, clock, log }));
    }
    if (terms.dnsAddr !== null) this.#answering = this.#parts.use(this.#answer(terms.dnsAddr));
    this.#isStarted = true;
  }

  /** Resolves when it answers; rejects with a message for people when the address can't be had. */
  get ready(): Promise<void> {
    return this.#answering?.ready ?? Promise.resolve();
  }

  /** Where its own listener is really; `null` = it has none. */
  get dns(): SocketAddress | null {
    return this.#answering?.address ?? null;
  }

  /** Whether nothing will change any more. */
  get isEnded(): boolean {
    return this.#ending.signal.aborted;
  }

  /** What is wrong, in words. */
  get problems(): readonly string[] {
    return [
      ...this.#files?.fault ? [this.#files.fault] : [],
      ...this.#files?.problems ?? [],
      ...this.#consul?.problems ?? [],
      ...this.#shared?.problem ? [this.#shared.problem] : [],
    ];
  }

  /** Makes changes to the catalog, and tells those who wait for them: of many at once a part in each turn. */
  write(changes: readonly Change[]): void {
    const [first = [], ...rest] = this.#isStarted ? portionsOf(changes) : [changes];
    if (rest.length === 0 && this.#writing === null) return this.#write(first);
    this.#changesLeft.push(first, ...rest);
    this.#writing ??= this.#writeLeft();
  }

  async #writeLeft(): Promise<void> {
    const { signal } = this.#ending;
    const pace = pacer({ clock: this.#needs.clock, signal });
    try {
      for (let next = this.#changesLeft.shift(); next; next = this.#changesLeft.shift()) {
        // First, so that what throws does so when the promise of all of it is kept.
        await pace();
        this.#write(next);
      }
    } catch (cause) {
      if (!signal.aborted) throw cause;
    } finally {
      this.#writing = null;
    }
  }

  #write(changes: readonly Change[]): void {
    this.#answering?.apply(changes);
    this.#keeper?.note();
    for (const change of changes) {
      if (change.kind === "standing" && this.catalog.standingOf(change.zone) === change.standing) continue;
      const touched = this.catalog.apply(change);
      if (change.kind === "standing") this.#noteStanding(change.zone);
      if (touched === null) { for (const address of [...this.#waiting.keys()]) this.#wake(address); }
      else {
        for (const address of touched) this.#wake(address);
        this.changes.tell(touched);
      }
    }
  }

  /** Looks an address up, by the decisions of DNS. */
  lookUp(address: Address): Found {
    const decision = decide(this.catalog, { kind: "service", address }, "SRV");
    const isStale = this.catalog.standingOf(address.zone) === "stale";
    const instances = decision.kind === "instances" ? decision.instances : NONE;
    const tag = decision.kind === "instances" ? this.#tagOf(instances) : decision.kind;
    return { address: formatAddress(address), rcode: WORDS[decision.kind], instances, isStale, tag };
  }

  /** What a pool answers that takes its members from an address; what was read last, also when that is long ago. */
  membersAt(address: string): readonly DiscoveredMember[] {
    const instances = this.catalog.at(parseAddress(address))?.instances ?? NONE;
    return instances.flatMap(({ id, ips, port, weight, priority }) =>
      ips.map((ipAddress) => ({
        id: createHash("sha256").update(JSON.stringify([address, id, ipAddress])).digest("hex").slice(0, 32),
        ...{ ipAddress, port },
        weight: Math.max(1, weight),
        priority: Math.min(65_535, priority + 1),
      }))
    );
  }

  /** Addresses at which something is registered, in order. */
  addresses(): readonly string[] {
    return this.catalog.addresses();
  }

  /** Resolves when something at the address may be another, and at once when the signal is aborted. */
  async changed(address: Address, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const key = formatAddress(address);
    let waiting = this.#waiting.get(key);
    if (!waiting) this.#waiting.set(key, waiting = Promise.withResolvers());
    const gone = Promise.withResolvers<void>();
    const leave = () => gone.resolve();
    signal.addEventListener("abort", leave, { once: true });
    await Promise.race([waiting.promise, gone.promise]);
    signal.removeEventListener("abort", leave);
  }

  /** Makes this the complete state of a provider; when it is done, it is on the disk and in the answers. */
  register(provider: string, bytes: Uint8Array): Promise<Registration> {
    return this.#inTurn(() => this.#register(provider, bytes));
  }

  async #register(provider: string, bytes: Uint8Array): Promise<Registration> {
    const { clock, terms: { directory } } = this.#needs;
    const files = this.#files;
    if (directory === null || files === null) return { kind: "nowhere" };
    const steps = readProviderInSteps(provider, bytes, { ...this.#providerTerms, provider });
    const reading = await inSlices(steps, { clock, signal: this.#ending.signal });
    if (reading.problems.length > 0) return { kind: "invalid", problems: reading.problems };
    for (const { id } of reading.instances) {
      const owner = files.ownerOf(id);
      if (owner !== null && owner !== provider) return { kind: "owned", id, owner };
    }
    // At once, so that the next look at the directory doesn't read it again.
    await writeProviderFile(
      directory,
      provider,
      bytes,
      (ino) => files.take(provider, reading.instances, ino),
    );
    await this.#settled();
    return { kind: "done", instances: reading.instances.length };
  }

  /** Takes back all that a provider has registered. @returns whether there was anything */
  withdraw(provider: string): Promise<boolean> {
    return this.#inTurn(() => this.#withdraw(provider));
  }

  async #withdraw(provider: string): Promise<boolean> {
    const { directory } = this.#needs.terms;
    if (directory === null || !await removeProviderFile(directory, provider)) return false;
    this.#files?.drop(provider);
    await this.#settled();
    return true;
  }

  /** Resolves when all changes so far are in the answers. */
  async #settled(): Promise<void> {
    await this.#writing;
    await this.#answering?.settled();
  }

  /** Ends all of it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    for (const address of [...this.#waiting.keys()]) this.#wake(address);
    await this.#writing;
    await this.#parts[Symbol.asyncDispose]();
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#registering.then(work);
    this.#registering = turn.catch(() => {});
    return turn;
  }

  /** How many records an answer has, of some addresses and of all zones: never by names that came from the wire. */
  #responses(): (readonly [readonly string[], number])[] {
    const ofAddresses = this.catalog.sizes(ADDRESSES_MAX).map(([address, size]) =>
      [[...ADDRESS_FIELDS.map((field) => address[field]), "getInstances"], size] as const
    );
    const ofZones = this.catalog.zones.map((zone) =>
      [["", "", "", "", zone, "getServers"], this.catalog.serversOf(zone).length] as const
    );
    return [...ofAddresses, ...ofZones];
  }

  get #providerTerms() {
    const { zone, node, ipAddress: ips, ignoreScripts } = this.#needs.terms;
    return { zone, node, ips, ignoreScripts };
  }

  #answer(address: SocketAddress): Answering {
    const { registry, log, clock, answer, sampling, sampled, terms } = this.#needs;
    const { dnsZone: dnsZones, maxAnswers } = terms;
    const durations = registry.histogram(
      "pleiades_discovery_dns_request_duration_seconds",
      "What answers of discovery's own listener take.",
      [...DURATION_BUCKETS],
      ["protocol", "qtype", "rcode"],
    );
    const sum = new TallySum();
    return answer({
      options: { address, dnsZones, maxAnswers, handedOn: handedOnOf(terms), sampling },
      everything: () => this.catalog.everything(),
      count: (rows) => sum.add(rows, (labels) => durations.labels(...labels)),
      ...{ sampled, clock, log },
    });
  }

  #wake(address: string): void {
    const waiting = this.#waiting.get(address);
    this.#waiting.delete(address);
    waiting?.resolve();
  }

  #staleMs(zone: string): number {
    const since = this.#staleSince.get(zone);
    return since === undefined ? 0 : this.#needs.clock.monotonicMs() - since;
  }

  /**
   * A zone that is stale for too long is lost; one that was never read is that at once.
   *
   * @param staleMs for how long it was stale before
   */
  #noteStanding(zone: string, staleMs = 0): void {
    const { clock, terms, log } = this.#needs;
    const standing = this.catalog.standingOf(zone);
    if (standing === "fresh" || standing === "foreign") {
      this.#staleSince.delete(zone);
      return;
    }
    if (this.#staleSince.has(zone)) return;
    const sinceMs = clock.monotonicMs() - staleMs;
    this.#staleSince.set(zone, sinceMs);
    if (standing !== "stale") return;
    clock.sleep(terms.staleFor - staleMs, this.#ending.signal).then(() => {
      if (this.#ending.signal.aborted || this.#staleSince.get(zone) !== sinceMs) return;
      log.error("What was registered doesn't count any more: it is too old", { zone });
      this.write([{ kind: "standing", zone, standing: "lost" }]);
    });
  }

  /** Whether other zones than our own are read. */
  get #readsAll(): boolean {
    return this.#needs.terms.otherZones === "forward";
  }

  /** What the last run has read counts as if it had become stale when that ended, or before. */
  #recall(file: string): void {
    const { clock, log, terms } = this.#needs;
    let zones: readonly KeptZone[];
    try {
      zones = readKept(file, clock.unixMs());
    } catch (error) {
      log.warn("What was registered in the last run can't be read", { file, error });
      return;
    }
    for (const { zone, staleMs, servers, instances } of zones) {
      if (staleMs >= terms.staleFor || (zone !== terms.zone && !this.#readsAll)) continue;
      this.catalog.apply({ kind: "servers", zone, servers });
      this.catalog.apply({ kind: "put", zone, instances });
      this.catalog.apply({ kind: "standing", zone, standing: "stale" });
      this.#noteStanding(zone, staleMs);
      log.info("What was registered in the last run counts until Consul is read", {
        ...{ zone, instances: instances.length, ageSeconds: Math.round(staleMs / 1000) },
      });
    }
  }

  #zonesToKeep(): readonly KeptZone[] {
    return [...this.catalog.read().keys()].map((zone) => ({
      ...{ zone, staleMs: this.#staleMs(zone) },
      servers: this.catalog.serversOf(zone),
      instances: this.catalog.instancesOf(zone),
    }));
  }

  #tagOf(instances: readonly Instance[]): string {
    let tag = this.#tags.get(instances);
    if (tag === undefined) {
      const hash = createHash("sha256");
      for (const { id, node, ips, port, priority, weight } of instances) {
        hash.update(JSON.stringify([id, node, ips, port, priority, weight]));
      }
      this.#tags.set(instances, tag = hash.digest("base64url").slice(0, 22));
    }
    return tag;
  }
}

const NONE: readonly Instance[] = [];
/** Addresses that metrics tell apart. */
const ADDRESSES_MAX = 1_000;

const WORDS: Readonly<Record<Decision["kind"], Found["rcode"]>> = {
  nxdomain: "NXDOMAIN",
  servfail: "SERVFAIL",
  empty: "NOERROR",
  instances: "NOERROR",
  referral: "elsewhere",
  names: "NOERROR",
  servers: "NOERROR",
};

/** Where questions about other zones are handed on, unless Consul is what answers them. */
function handedOnOf(
  { servers, zone: own, otherZones, consul }: DiscoveryTerms,
): ReadonlyMap<string, readonly SocketAddress[]> {
  const handedOn = new Map<string, SocketAddress[]>();
  if (otherZones !== "forward" || consul !== null) return handedOn;
  for (const { zone, ips, port } of servers) {
    if (zone === own) continue;
    const addresses = ips.map((hostname) => ({ hostname, port }));
    handedOn.set(zone, [...handedOn.get(zone) ?? [], ...addresses]);
  }
  return handedOn;
}

/** Zones with name servers and without a registry here are answered by those. */
function serversOf({ servers, zone: own }: DiscoveryTerms): Change[] {
  const zones = new Set(servers.map(({ zone }) => zone));
  const of = (zone: string) =>
    servers.filter((server) => server.zone === zone).map(({ host, ips }) => ({ host, ips }));
  return [...zones].flatMap((zone): Change[] => [
    { kind: "servers", zone, servers: of(zone) },
    ...zone === own ? [] : [{ kind: "standing", zone, standing: "foreign" } as const],
  ]);
}
