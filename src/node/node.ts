/**
 * A running node: everything built in order, joined, and taken down in reverse. `serve` runs one for good, `demo` one
 * for a while, tests as many as they like.
 *
 * Order: store → last verdicts → first snapshot and first probes → DNS workers → API. DNS is first to come and last
 * to go; nothing it does waits for what comes after.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { createHash } from "node:crypto";
import { HttpServer } from "../api/server.ts";
import { AtlasFiles } from "../geo/geo_files.ts";
import { Changes } from "../change/commit.ts";
import { DigestGauge } from "../change/digest_gauge.ts";
import { OverrideClock, registerOverrideMetrics } from "../change/override_clock.ts";
import { systemClock, systemRng } from "../clock.ts";
import { Events } from "../events/events.ts";
import { desiredOf } from "../desired/desired.ts";
import { FALLBACK_POOL } from "../desired/fallback.ts";
import type { Fallback, Pool } from "../model/model.ts";
import { applyOverrides, overriddenSource, OverrideIndex } from "../desired/overridden.ts";
import { needingRestart } from "../settings/reloading.ts";
import type { Settings } from "../settings/settings.ts";
import { lackOfRule, remarkOnRules, remarkOnSteering } from "../model/steering.ts";
import { type EngineOptions, UDP_SIZE_MAX } from "../dns/engine.ts";
import { Fleet } from "../dns/fleet.ts";
import { kernelDrops } from "../dns/kernel_drops.ts";
import { type DnsTotals, registerDnsMetrics, registerFleetMetrics } from "../dns/metrics.ts";
import { QueryLog } from "../dns/query_log.ts";
import type { Sample } from "../dns/samples.ts";
import { Explainer } from "../explain/explainer.ts";
import { Failovers } from "../explain/failovers.ts";
import { sourcesOf } from "../explain/node_sources.ts";
import { runQuery } from "../dns_client.ts";
import { createProbe } from "../health/probe.ts";
import { type GuardTerms, type HealthMemory, NodeHealth } from "../health/node_health.ts";
import { type PoolState, poolStateOf } from "../health/pool_state.ts";
import { PoolWatch } from "../health/pool_watch.ts";
import type { HealthChecker } from "../health/health_checker.ts";
import { RoundTrips } from "../health/round_trips.ts";
import { commitEvent, guardEvent, healthEvent, overrideEvent, poolEvent } from "./happenings.ts";
import { InternalErrors } from "./internal_errors.ts";
import {
  type Family,
  formatSocketAddress,
  isLoopback,
  parseIp,
  parsePrefix,
  type SocketAddress,
} from "../ip.ts";
import type { AskResolver } from "../resolver/lookup.ts";
import { Names, type NamesMemory } from "../resolver/member_resolver.ts";
import { systemResolvers } from "../resolver/system_resolvers.ts";
import { Publisher, type TablesKeeper } from "./publisher.ts";
import { readKept, writeKept } from "../snapshot/kept_file.ts";
import { Store } from "../store/store.ts";
import { type ForeignCommit, watch } from "../store/watch.ts";
import type { Logger } from "../telemetry/log.ts";
import { Registry } from "../telemetry/metrics.ts";
import { registerProcessMetrics } from "../telemetry/process.ts";
import { VERSION } from "../version.ts";
import { CLASS } from "../wire/record_type.ts";

/** What a node is started with. */
export interface NodeOptions {
  /** All of them, valid. */
  readonly settings: Settings;
  /** Where the node says what happens to it. */
  readonly log: Logger;
  /** PEM certificates that health checks trust beside the system's. */
  readonly caCerts?: readonly string[];
  /** Gets up to `perSecond` exchanges a second, and the query log none. */
  readonly watchAnswers?: { readonly perSecond: number; readonly onSample: (sample: Sample) => void };
}

/** A node that answers. */
export interface RunningNode extends AsyncDisposable {
  /** What is really listened on: port 0 replaced by the port that was found. */
  readonly dns: readonly SocketAddress[];
  /** Where the API listens; `null` = it is off. */
  readonly api: SocketAddress | null;
  /** Where `/metrics` is served, on the API's listener or its own; `null` = it is off. */
  readonly metrics: SocketAddress | null;
  /** The open database. */
  readonly store: Store;
  /** The one path of every change. */
  readonly changes: Changes;
  /** What happens inside, since the start. */
  readonly events: Events;
  /** Resolves when every worker answers from this generation. */
  settled(generation: number): Promise<void>;
  /** Takes over what can change while running; gives the keys that differ from the start's and need another one. */
  use(settings: Settings): Promise<string[]>;
  /** Counts settings that were refused before they came here, and the databases among what was wrong with them. */
  refuse(databases: number): void;
  /** Whether every DNS worker turns and none is being replaced. */
  isAnswering(): boolean;
  /** Rejects when the node can't answer any more. */
  readonly lost: Promise<never>;
}

/** How often members are asked how far away they are. */
const ROUND_TRIPS_INTERVAL_MS = 1_000;
/** How often the counters are fetched, so that none wraps twice unseen. */
const TALLY_INTERVAL_MS = 10_000;
/** Pools shown one by one in the metrics; with more, only the sums are. */
const POOL_METRICS_MAX = 2_000;

/**
 * Starts a node; resolves when it answers DNS and its API listens.
 *
 * @throws {Error} with a message for people when the database can't be opened or an address can't be bound
 */
export async function startNode(options: NodeOptions): Promise<RunningNode> {
  await using stack = new AsyncDisposableStack();
  const { log } = options;
  let settings = options.settings;
  const startedMs = systemClock.monotonicMs();
  const ending = new AbortController();

  const registry = new Registry({ cluster: settings.cluster.id, node: settings.node.id });
  registerProcessMetrics(registry, { version: VERSION, clock: systemClock });

  const events = new Events(systemClock);
  events.emit({ kind: "node", state: "starting" });

  const internalErrors = stack.use(new InternalErrors({ log, registry, clock: systemClock }));
  const sockets = stack.use(bindHttp(options, registry));

  const store = stack.use(openStore(settings.database.path));
  const changes = new Changes({ store, clock: systemClock, history: settings.history });
  stack.defer(() => changes.idle());

  const failovers = new Failovers(systemClock);
  const health = stack.use(
    new NodeHealth({
      clock: systemClock,
      rng: systemRng,
      probe: createProbe({ version: VERSION, clock: systemClock, caCerts: options.caCerts ?? [] }),
      log,
      registry,
      guard: guardTermsOf(settings),
      addressesOf: (target) => names.addressesOf(target),
      memory: memoryOf(store, log),
      onStandings: (keys) => publisher.judge(keys),
      onVerdicts: (verdicts) => {
        failovers.note(verdicts);
        for (const change of verdicts) events.emit(healthEvent(change));
      },
      onGuardEvent: (event) => events.emit(guardEvent(event)),
    }),
  );

  const reloads = registry.counter(
    "pleiades_config_reloads_total",
    "States published to the workers, and refused reloads.",
    [
      "result",
    ],
  );
  const applied = registry.gauge(
    "pleiades_config_applied_timestamp_seconds",
    "When the workers got the last state.",
  )
    .labels();
  const atlas = stack.use(new AtlasFiles({ settings, clock: systemClock, log, registry }));
  await atlas.reload();
  const overrides = new OverrideClock({
    store,
    changes,
    touchPools: (ids) => publisher.touchPools(ids),
    clock: systemClock,
    log,
  });
  stack.use(overrides.onTurn((turn) => events.emit(overrideEvent(turn))));
  registerOverrideMetrics(registry, {
    overrides: () => store.overrides.index().overrides,
    unixMs: systemClock.unixMs,
  });
  let touchNamed = (_pools: Iterable<string>) => {};
  const names = stack.use(
    new Names({
      terms: settings.names,
      systemResolvers,
      ask: askResolver,
      clock: systemClock,
      rng: systemRng,
      log,
      registry,
      memory: namesMemoryOf(store, log),
      onChange: (targets) => touchNamed(targets.flatMap((target) => store.resolvedNames.poolsOf(target))),
    }),
  );
  names.follow(store.resolvedNames.targets());
  await names.firstRound(AbortSignal.timeout(settings.health.startTimeout));
  const poolStates = { store, health, fallback: () => store.fallback() ?? settings.fallback };
  const poolWatch = stack.use(
    new PoolWatch({
      clock: systemClock,
      log,
      registry,
      find: (places, found) => publisher.findDown(places, found),
      stateOf: (id, family) => stateOfPool(id, family, poolStates),
    }),
  );
  stack.use(poolWatch.onTurn((turn) => events.emit(poolEvent(turn))));
  const publisher: Publisher = new Publisher({
    desired: () =>
      desiredOf(
        settings,
        overriddenSource(store.source(), {
          overrides: store.overrides.index(),
          nowMs: systemClock.unixMs(),
        }),
        names.addressesOf,
      ),
    addressesOf: names.addressesOf,
    changes: {
      generation: () => store.generation(),
      touchedSince: (generation) => store.history.touchedSince(generation),
      formerDomains: (generation) => store.history.formerDomains(generation),
      poolCount: () => store.pools.count(),
      overriddenPools: () =>
        store.overrides.all().flatMap((override) => store.overrides.poolsCoveredBy(override)),
      namedPools: () =>
        store.resolvedNames.targets().flatMap((target) => store.resolvedNames.poolsOf(target)),
      pool: (id) => store.pools.whole(id),
      service: (id) => store.services.get(id),
      serviceByDomain: (domain) => store.services.byDomain(domain),
    },
    overridden: (pool) => applyOverrides(pool, store.overrides.index(), systemClock.unixMs()),
    standings: health.standings,
    atlas: () => atlas.atlas,
    placeOf: (member) => atlas.placeOf(member),
    clock: systemClock,
    log,
    onAnswersChanged: () => poolWatch.wake(),
    keeper: keeperOf(store, () => settings, log),
    onPublished: (result) => {
      reloads.labels(result).inc();
      if (result === "success") applied.set(systemClock.unixMs() / 1000);
    },
  });
  touchNamed = (pools) => publisher.touchPools(pools);
  poolWatch.wake();
  registry.gauge("pleiades_config_generation", "Generation of the model that is answered.", {
    collect: () => publisher.generation,
  });
  stack.use(new DigestGauge({ store, clock: systemClock, log, registry }));
  let listening: readonly SocketAddress[] = [];
  const totals = registerDnsMetrics(registry, {
    board: () => publisher.current.board,
    kernelDrops: () => kernelDrops(listening),
  });
  const queryLog = stack.use(
    new QueryLog({ ...settings.queryLog, log, clock: systemClock, registry, missed: totals.missedSamples }),
  );
  registerPoolMetrics(registry, store, health);
  await health.checker.firstRound(AbortSignal.timeout(settings.health.startTimeout));

  const roundTrips = new RoundTrips({
    measured: () => publisher.measured,
    latencyMs: (key) => health.checker.verdict(key).latencyMs,
    publish: (changes) => publisher.measure(changes),
  });
  roundTrips.look();
  const looking = setInterval(() => roundTrips.look(), ROUND_TRIPS_INTERVAL_MS);
  stack.defer(() => clearInterval(looking));

  const lost = Promise.withResolvers<never>();
  lost.promise.catch(() => {});
  const fleet = stack.use(
    await Fleet.start({
      ...fleetOptions(options, queryLog),
      ...publisher.current,
      onReplace: (reason) => {
        totals.workerReplaced(reason);
        events.emit({ kind: "worker", reason });
      },
      onLost: lost.reject,
    }),
  );
  registerFleetMetrics(registry, fleet);
  publisher.attach(fleet);
  listening = fleet.addresses;
  applied.set(systemClock.unixMs() / 1000);

  publisher.keep();
  stack.defer(() => publisher.keep());

  const tally = setInterval(totals.update, TALLY_INTERVAL_MS);
  stack.defer(() => clearInterval(tally));
  stack.use(atlas.onChange(() => publisher.touchAtlas()));
  // Bounds may have been worked out while the first probes were awaited, and nobody listened.
  if (publisher.current.snapshot.atlas !== atlas.atlas) publisher.touchAtlas();
  stack.use(changes.subscribe((commit) => {
    events.emit(commitEvent(commit, { store, isForeign: false }));
    overrides.wake();
    if (commit.everything || commit.poolIds.length > 0) names.follow(store.resolvedNames.targets());
    publisher.touch(commit.everything);
    const { everything, poolIds, generation } = commit;
    if (!everything && poolIds.length > 0) remarkOnPools(store, log, { generation, settings });
  }));
  if (!store.readOnly) {
    followOthers(store, {
      onCommit: (commit) => {
        events.emit(commitEvent(commit, { store, isForeign: true }));
        overrides.wake();
        names.follow(store.resolvedNames.targets());
        publisher.touch(commit.everything);
      },
      log,
      signal: ending.signal,
    });
    const following = overrides.run(ending.signal);
    stack.defer(() => following);
  }
  // Here for a start that fails below: what stands above waits for the end. A node that runs says it before all else.
  stack.defer(() => ending.abort());

  await serveHttp({
    options,
    sockets,
    settingsNow: () => settings,
    internalErrors,
    store,
    changes,
    health,
    poolWatch,
    poolState: (id) => stateOfPool(id, null, poolStates),
    publisher,
    fleet,
    registry,
    totals,
    explainer: new Explainer(
      sourcesOf({
        store,
        settings: () => settings,
        health,
        publisher,
        names,
        failovers,
        engine: engineOptions(settings),
        clock: systemClock,
      }),
    ),
    startedMs,
    ending: ending.signal,
  });
  stack.use(sockets); // once more: a running node closes them first

  /** All or nothing: what was taken over of settings that can't be answered is given back. */
  const use = async (next: Settings) => {
    const before = settings;
    settings = next;
    const takeAtlas = async (settings: Settings) => (await atlas.prepare(settings, ending.signal)).take();
    try {
      await takeAtlas(next);
      await publisher.refresh();
    } catch (error) {
      settings = before;
      await takeAtlas(before);
      throw error;
    }
    health.use(guardTermsOf(next));
    names.use(next.names);
    changes.use(next.history);
  };
  let using: Promise<void> = Promise.resolve();

  stack.defer(() => {
    ending.abort();
    events.emit({ kind: "node", state: "stopping" });
  });
  events.emit({ kind: "node", state: "answering" });
  const running = stack.move();
  return {
    dns: fleet.addresses,
    api: sockets.api?.address ?? null,
    metrics: (sockets.metrics ?? (settings.metrics.enablePrometheus ? sockets.api : null))?.address ?? null,
    store,
    changes,
    events,
    settled: (generation) => settled(generation, { publisher, fleet }),
    isAnswering: () => fleet.isAnswering,
    lost: lost.promise,
    use: (next) => {
      const used = using.then(() => use(next));
      using = used.catch(() => {}); // told to whoever called; the next one has its turn all the same
      return used.then(() => {
        const keys = needingRestart(options.settings, next);
        events.emit({ kind: "settings", outcome: "reloaded", needingRestart: keys });
        return keys;
      }, (error) => {
        events.emit(REFUSED);
        throw error;
      });
    },
    refuse: (databases) => {
      reloads.labels("error").inc();
      atlas.countRefused(databases);
      events.emit(REFUSED);
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

const REFUSED = { kind: "settings", outcome: "refused", needingRestart: [] } as const;

function guardTermsOf({ health: { flipGuard, canaries } }: Settings): GuardTerms {
  const { share, atLeast, hold: holdMs } = flipGuard;
  const { targets, interval: intervalMs, timeout: timeoutMs, hold: blindHoldMs } = canaries;
  return {
    flipGuard: { share, atLeast, holdMs },
    canaries: { targets, intervalMs, timeoutMs, holdMs: blindHoldMs },
  };
}

function openStore(path: string): Store {
  if (path === "none") return Store.none();
  return path === ":memory:" ? Store.memory() : Store.open(path);
}

function fleetOptions({ settings, log, watchAnswers }: NodeOptions, queryLog: QueryLog) {
  const { dns } = settings;
  return {
    workers: settings.workers,
    listen: dns.listen.length > 0
      ? dns.listen
      : dns.listenAddr.map((hostname) => ({ hostname, port: dns.port })),
    transport: dns.transport,
    engine: {
      nsid: dns.nsid,
      chaos: dns.chaos,
      ecs: { enabled: dns.ecs.enabled, trusted: dns.ecs.trustedResolvers.map(parsePrefix) },
    },
    tcp: dns.tcp,
    workerLog: settings.log,
    ...(watchAnswers
      ? { samplesPerSecond: watchAnswers.perSecond, onSample: watchAnswers.onSample }
      : samplingOf(settings.queryLog, queryLog)),
    log,
  };
}

function samplingOf({ sample, maxPerSecond }: Settings["queryLog"], queryLog: QueryLog) {
  if (sample === 0) return { samplesPerSecond: 0 };
  return {
    samplesPerSecond: maxPerSecond,
    sampleEvery: sample,
    onSample: (exchange: Sample) => queryLog.take(exchange),
  };
}

/** A change is settled when it is in the tables and whoever answers from them turns. */
async function settled(
  generation: number,
  { publisher, fleet }: { readonly publisher: Publisher; readonly fleet: Fleet },
): Promise<void> {
  await publisher.settled(generation);
  await fleet.turning();
}

/** What every engine of the node goes by. */
function engineOptions({ dns: { nsid, chaos, ecs } }: Settings): Omit<EngineOptions, "lane"> {
  return { nsid, chaos, ecs: { enabled: ecs.enabled, trusted: ecs.trustedResolvers.map(parsePrefix) } };
}

/** Services from which on it is quicker to read a file of tables than the database. */
const KEEP_SERVICES_MIN = 20_000;

/** The keeper of a large node's tables, in a file beside its database. */
function keeperOf(store: Store, settings: () => Settings, log: Logger): TablesKeeper | null {
  if (store.readOnly || store.path === ":memory:") return null;
  const path = `${store.path}.tables`;
  const isWorthIt = () => store.services.count() >= KEEP_SERVICES_MIN;
  const fingerprintOf = (generation: number) => fingerprint(store, settings(), generation);
  return {
    load: () => {
      if (!isWorthIt()) return null;
      try {
        const kept = readKept(path, fingerprintOf);
        if (!kept && existsSync(path)) {
          log.info("The tables of the last run don't hold any more", { file: path });
        }
        return kept;
      } catch (error) {
        // They only make the start quicker.
        log.warn("Cannot read the tables of the last run; making them anew", { file: path, error });
        return null;
      }
    },
    save: (tables) => {
      if (isWorthIt()) writeKept(path, tables, fingerprintOf(tables.generation));
    },
  };
}

/**
 * Stands for everything that tables depend on but pools and services, and for the commit that they hold: a database
 * that was restored from a backup has another commit of that number, or none.
 */
function fingerprint(store: Store, { dns, fallback }: Settings, generation: number): string {
  const { domain, zones, nameservers, ttl } = dns;
  const commit = store.history.get(generation);
  const parts = [
    VERSION,
    domain,
    zones,
    nameservers,
    ttl,
    fallback,
    store.zones.all(),
    store.fallback(),
    commit,
  ];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

/** Asks a resolver over UDP, and over TCP where the answer is too large for it. */
const askResolver: AskResolver = async ({ server, name, type, timeoutMs, signal }) => {
  const { message } = await runQuery({
    server,
    name,
    type,
    class: CLASS.IN,
    ecs: null,
    tcp: false,
    udpSize: UDP_SIZE_MAX,
    timeoutMs,
    signal,
  });
  return message;
};

/** A writer of observations: they are a help for the next start, so when one can't be written, answering goes on. */
function observer({ readOnly }: Store, what: string, log: Logger): (write: () => void) => void {
  return (write) => {
    if (readOnly) return;
    try {
      write();
    } catch (error) {
      log.warn(`Cannot keep ${what} in the database`, { error });
    }
  };
}

function namesMemoryOf(store: Store, log: Logger): NamesMemory {
  const { resolvedNames } = store;
  const keep = observer(store, "the addresses of names", log);
  return {
    each: () => resolvedNames.each(),
    save: (entries) => keep(() => resolvedNames.save(entries)),
    forget: (targets) => keep(() => resolvedNames.forget(targets)),
  };
}

function memoryOf(store: Store, log: Logger): HealthMemory {
  const { verdicts } = store;
  const keep = observer(store, "the last verdicts", log);
  return {
    verdicts: () => verdicts.each(),
    outs: () => verdicts.eachOut(),
    keepVerdicts: (entries) => keep(() => verdicts.save(entries)),
    forgetVerdicts: (targets) => keep(() => verdicts.forget(targets)),
    keepOuts: (outs) => keep(() => verdicts.saveOuts(outs)),
  };
}

function followOthers(
  store: Store,
  { onCommit, log, signal }: {
    readonly onCommit: (commit: ForeignCommit) => void;
    readonly log: Logger;
    readonly signal: AbortSignal;
  },
): void {
  watch(store, { clock: systemClock, signal, onCommit })
    .catch((error) =>
      log.error("Changes of other processes to the database are not seen any more", { error })
    );
}

/** Warns of pools that a commit gave an algorithm, or geo rules, which lack what they go by. */
function remarkOnPools(
  store: Store,
  log: Logger,
  { generation, settings }: { generation: number; settings: Settings },
): void {
  const pools: Pool[] = [];
  const ruled = new Map<string, Pool>();
  for (const { kind, id, before, after } of store.history.changes(generation)) {
    if (kind === "geoRule" && after !== null) {
      const pool = store.pools.whole(store.geoRules.get(id)?.poolId ?? "");
      if (pool) ruled.set(pool.id, pool);
    }
    if (kind !== "pool" || algorithmIn(before) === algorithmIn(after)) continue;
    const pool = store.pools.whole(id);
    if (pool) pools.push(pool);
  }
  for (const remark of [remarkOnSteering(pools, settings), remarkOnRules(ruled.values(), settings)]) {
    if (remark !== null) log.warn(remark);
  }
}

function algorithmIn(fields: unknown): unknown {
  return fields !== null && typeof fields === "object" && "algorithm" in fields ? fields.algorithm : null;
}

/** What the states of pools follow from. */
interface PoolStateSources {
  readonly store: Store;
  readonly health: NodeHealth;
  /** The static fallback of now. */
  readonly fallback: () => Fallback | null;
}

/** How a pool is doing; `null` = there is no such pool, or it has no members. */
function stateOfPool(
  id: string,
  family: Family | null,
  { store, health, fallback }: PoolStateSources,
): PoolState | null {
  if (id === FALLBACK_POOL) return stateOfFallback(fallback(), family, health);
  if (store.members.page(id, { limit: 1 }).items.length === 0) return null;
  const pool = store.pools.whole(id);
  return pool && poolStateOf(pool, {
    healthOf: (member) => health.memberHealth(pool, { ...member, forcedUp: false }),
    overrides: store.overrides.index(),
    nowMs: systemClock.unixMs(),
    fallbackName: pool.fallbackPoolId && (store.pools.get(pool.fallbackPoolId)?.name ?? null),
  }, family);
}

function stateOfFallback(
  fallback: Fallback | null,
  family: Family | null,
  health: NodeHealth,
): PoolState | null {
  if (fallback === null) return null;
  const { endpoints, onAllDown, healthCheck } = fallback;
  const pool = {
    id: FALLBACK_POOL,
    name: "static fallback",
    onAllDown,
    healthCheck,
    failback: "auto",
    failbackDelayMs: 0,
    members: endpoints.map((ipAddress) => ({ ...FALLBACK_MEMBER, ipAddress, port: healthCheck?.port ?? 0 })),
  } as const;
  return poolStateOf(pool, {
    healthOf: (member) => health.memberHealth(pool, { ...member, forcedUp: false }),
    overrides: new OverrideIndex([]),
    nowMs: 0,
    fallbackName: null,
  }, family);
}

const FALLBACK_MEMBER = {
  id: "",
  target: null,
  weight: 1,
  priority: 0,
  enabled: true,
  latitude: null,
  longitude: null,
  region: "",
} as const;

function registerPoolMetrics(registry: Registry, store: Store, health: NodeHealth): void {
  const total = registry.gauge("pleiades_pool_members_total", "Enabled members of a pool.", [
    "pool",
    "pool_id",
  ]);
  const healthy = registry.gauge(
    "pleiades_pool_members_healthy",
    "Enabled members of a pool that are not known to be unhealthy.",
    ["pool", "pool_id"],
  );
  registry.onCollect(() => {
    total.clear();
    healthy.clear();
    if (store.counts().pools > POOL_METRICS_MAX) return;
    for (const pool of store.pools.each()) {
      const enabled = pool.members.filter((member) => member.enabled);
      const up = enabled.filter((member) =>
        health.memberHealth(pool, { ...member, forcedUp: false }).state !== "unhealthy"
      );
      total.labels(pool.name, pool.id).set(enabled.length);
      healthy.labels(pool.name, pool.id).set(up.length);
    }
  });
}

/** What the HTTP listeners are made of. */
interface HttpParts {
  readonly options: NodeOptions;
  readonly sockets: HttpSockets;
  /** As they are since the last reload. */
  readonly settingsNow: () => Settings;
  readonly internalErrors: InternalErrors;
  readonly store: Store;
  readonly changes: Changes;
  readonly health: NodeHealth;
  readonly poolWatch: PoolWatch;
  readonly poolState: (poolId: string) => PoolState | null;
  readonly publisher: Publisher;
  readonly fleet: Fleet;
  readonly registry: Registry;
  readonly totals: DnsTotals;
  readonly explainer: Explainer;
  readonly startedMs: number;
  /** Aborted when the node begins to stop. */
  readonly ending: AbortSignal;
}

/** Answers on the sockets of the control plane; loaded only now, because DNS doesn't wait for it. */
async function serveHttp(parts: HttpParts): Promise<void> {
  const {
    options: { settings, log },
    sockets,
    settingsNow,
    internalErrors,
    store,
    changes,
    health,
    poolWatch,
    poolState,
    publisher,
    fleet,
    registry,
    totals,
    explainer,
    startedMs,
    ending,
  } = parts;
  const { api, metrics } = settings;
  if (!sockets.api && !sockets.metrics) return;
  const { createApi, createMetricsApp } = await import("../api/api.ts");
  const requests = registry.counter("pleiades_api_requests_total", "Requests to the API.", [
    "method",
    "route",
    "status",
  ]);
  const app = createApi({
    store,
    changes,
    auth: { tokens: api.tokens, loopback: isLoopback(parseIp(api.listenAddr)!) },
    node: {
      settled: (generation) => settled(generation, { publisher, fleet }),
      memberHealth: (pool, member) => health.memberHealth(pool, { ...member, forcedUp: false }),
      failBack: (pool, member, how) => health.failBack(pool, { ...member, forcedUp: false }, how),
      settingsFallback: () => settingsNow().fallback,
      unready: () => {
        if (ending.aborted) return "The node is stopping";
        if (!fleet.isAnswering) return "The node doesn't answer DNS yet, or no longer";
        return internalErrors.complaint;
      },
      lackOfRule: (rule) => lackOfRule(rule, settingsNow()),
      status: () => ({
        node: { id: settings.node.id, region: settings.node.region },
        cluster: { id: settings.cluster.id },
        uptimeSeconds: (systemClock.monotonicMs() - startedMs) / 1000,
        dns: { listeners: listenersOf(fleet), answers: totals.answers(), workers: fleet.workers },
        health: statesOf(health.checker),
        poolsDown: { count: poolWatch.count, pools: poolWatch.down },
      }),
      poolState,
    },
    explainer,
    exposeMetrics: metrics.enablePrometheus && !sockets.metrics ? () => registry.expose() : null,
    observe: ({ method, route, status }) => requests.labels(method, route, String(status)).inc(),
    log,
    clock: systemClock,
    version: VERSION,
  });
  if (sockets.api) sockets.api.serve(app);
  if (sockets.metrics) {
    const access = { loopback: isLoopback(parseIp(metrics.listenAddr!)!) };
    sockets.metrics.serve(createMetricsApp({ expose: () => registry.expose(), access, log }));
  }
}

/** The sockets of the control plane. */
interface HttpSockets {
  /** `null` = the API is off. */
  readonly api: HttpServer | null;
  /** `null` = metrics are on the API's listener, or off. */
  readonly metrics: HttpServer | null;
}

/**
 * Binds what the settings name, before anything takes time: a port that is taken is said at once, and who comes early
 * waits instead of being refused.
 */
function bindHttp({ settings, log }: NodeOptions, registry: Registry): HttpSockets & AsyncDisposable {
  const { api, metrics } = settings;
  const { maxConnections, maxConnectionsPerClient } = api;
  const fates = registry.counter("pleiades_http_connections_total", "What became of HTTP connections.", [
    "listener",
    "result",
  ]);
  const open = registry.gauge("pleiades_http_connections", "HTTP connections at the moment.", ["listener"]);
  const bound: HttpServer[] = [];
  const bind = (listener: "api" | "metrics", address: SocketAddress, choice: string) => {
    for (const fate of ["accepted", "refused", "evicted", "failed"]) fates.labels(listener, fate);
    const server = HttpServer.bind({
      address,
      choice,
      tls: tlsOf(settings),
      limits: { maxConnections, maxConnectionsPerClient },
      log,
      clock: systemClock,
      observe: (fate) => fates.labels(listener, fate).inc(),
    });
    registry.onCollect(() => open.labels(listener).set(server.connections));
    bound.push(server);
    return server;
  };
  const close = async () => {
    await Promise.all(bound.map((server) => server.close()));
  };
  const { listenAddr } = metrics;
  try {
    return {
      api: api.enabled ? bind("api", { hostname: api.listenAddr, port: api.port }, "--api ADDR:PORT") : null,
      metrics: metrics.enablePrometheus && listenAddr !== null
        ? bind("metrics", { hostname: listenAddr, port: metrics.port }, "metrics.port")
        : null,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

function tlsOf({ api: { tls } }: Settings): { readonly cert: string; readonly key: string } | null {
  if (tls.certFile === null || tls.keyFile === null) return null;
  return { cert: Deno.readTextFileSync(tls.certFile), key: Deno.readTextFileSync(tls.keyFile) };
}

function listenersOf(fleet: Fleet) {
  return fleet.addresses.flatMap((socket) => {
    const address = formatSocketAddress(socket);
    return [{ transport: "udp" as const, address }, { transport: "tcp" as const, address }];
  });
}

function statesOf(health: HealthChecker): { healthy: number; unhealthy: number; unknown: number } {
  const states = { healthy: 0, unhealthy: 0, unknown: 0 };
  for (const [, { state }] of health.verdicts()) states[state]++;
  return states;
}
