/**
 * The control plane of a node: binds its sockets before anything takes time, and answers on them when all else is there.
 *
 * @module
 */
import type { ApiParts, DnsListenerStatus, NodePort, NodeStatus } from "../api/ports.ts";
import type { Resource } from "../api/resource.ts";
import { type Certificate, type ConnectionFate, HttpServer } from "../api/server.ts";
import type { Clock } from "../clock.ts";
import { Explainer } from "../explain/explainer.ts";
import { sourcesOf } from "../explain/node_sources.ts";
import type { Fleet } from "../dns/fleet.ts";
import type { HealthState } from "../health/verdict.ts";
import { PEM_BYTES_MAX, readShortFile } from "../input/regular_file.ts";
import { formatSocketAddress, isLoopback, parseIp, type SocketAddress } from "../ip.ts";
import { CLUSTER } from "../cluster/port.ts";
import type { Store } from "../store/store.ts";
import { type LicenseStatus, LICENSING } from "../license/licensing.ts";
import { lackOfRule } from "../model/steering.ts";
import { systemOutside } from "../settings/outside.ts";
import { pemFault } from "../settings/pem.ts";
import type { Settings } from "../settings/settings.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Registry } from "../telemetry/metrics.ts";
import { VERSION } from "../version.ts";
import { type DnsWorkers, engineOptions } from "./dns_workers.ts";
import type { OpenGround } from "./ground.ts";
import type { Core, Part } from "./part.ts";
import { stateOfPool } from "./pool_states.ts";
import { POOLS_DOWN } from "./pools_down.ts";

/** The sockets of the control plane. */
export interface ControlSockets extends AsyncDisposable {
  /** `null` = the API is off. */
  readonly api: HttpServer | null;
  /** `null` = metrics are on the API's listener, or off. */
  readonly metrics: HttpServer | null;
  /** Counts the connections of a listener, of which there are so many at the moment. */
  readonly count: (listener: string, size: () => number) => (fate: ConnectionFate) => void;
}

/**
 * Binds what the settings name, before anything takes time: a port that is taken is said at once, and who comes early
 * waits instead of being refused.
 *
 * @throws {Error} with a message for people when an address can't be bound
 */
export function bindControl(
  settings: Settings,
  { log, registry, clock, beside = [] }: {
    readonly log: Logger;
    readonly registry: Registry;
    readonly clock: Clock;
    /** Where another process listens whose place this one takes. */
    readonly beside?: readonly (SocketAddress | null)[];
  },
): ControlSockets {
  const { api, metrics } = settings;
  const { maxConnections, maxConnectionsPerClient } = api;
  const fates = registry.counter("pleiades_http_connections_total", "HTTP connections by outcome.", [
    "listener",
    "result",
  ]);
  const open = registry.gauge("pleiades_http_connections", "Open HTTP connections.", ["listener"]);
  const count: ControlSockets["count"] = (listener, size) => {
    for (const fate of ["accepted", "refused", "evicted", "failed"]) fates.labels(listener, fate);
    registry.onCollect(() => open.labels(listener).set(size()));
    return (fate) => fates.labels(listener, fate).inc();
  };
  const bound: HttpServer[] = [];
  const bind = (listener: "api" | "metrics", address: SocketAddress, choice: string) => {
    const server: HttpServer = HttpServer.bind({
      address,
      choice,
      beside: beside.some((other) => other?.hostname === address.hostname && other.port === address.port),
      tls: readCertificate(settings),
      limits: { maxConnections, maxConnectionsPerClient },
      log,
      clock,
      observe: count(listener, () => server.connections),
    });
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
      count,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

/**
 * Makes sure that an API which other hosts can reach has a token to ask for: one of the settings, or one in the database
 * that may create others.
 *
 * @throws {Error} that says how to make one
 */
export function expectToken(
  settings: Settings,
  { store, clock }: { readonly store: Pick<Store, "tokens">; readonly clock: Pick<Clock, "unixMs"> },
): void {
  if (!needsToken(settings) || store.tokens.hasAdmin(clock.unixMs())) return;
  const { api, database: { path } } = settings;
  throw new Error(
    `The API's address ${api.listenAddr} isn't loopback, and ${path} has no token of the scope admin that counts ` +
      `(make one: pleiades tokens create NAME --scope admin --db ${path}; or set api.tokens, or listen on 127.0.0.1)`,
  );
}

/** Whether the API is on an address at which there must be a token, and the settings have none. */
export function needsToken({ api: { enabled, listenAddr, tokens } }: Settings): boolean {
  return enabled && tokens.length === 0 && !isLoopback(parseIp(listenAddr)!);
}

/** What the control plane shows besides what every part sees. */
export interface ControlParts {
  /** Has the sockets. */
  readonly ground: OpenGround;
  /** What the API tells of. */
  readonly core: Core;
  /** What answers DNS. */
  readonly workers: DnsWorkers;
  /** What the API serves; `RESOURCES` when left out. */
  readonly resources?: readonly Resource[];
}

/**
 * Answers on the sockets of the control plane; loaded only now, because DNS doesn't wait for it. `lifetime` ends what
 * goes on beside.
 */
export async function serveControl(
  { ground, core, workers, resources }: ControlParts,
  lifetime: AsyncDisposableStack,
): Promise<void> {
  const { sockets, log, registry } = ground;
  const { api, metrics, discovery } = ground.settings();
  const providers = discovery.enabled ? discovery.socket : null;
  if (!sockets.api && !sockets.metrics && providers === null) return;
  const { KnownTokens, createApi, createMetricsApp, earlyRefusals } = await loadControl();
  const requests = registry.counter("pleiades_api_requests_total", "Requests to the API.", [
    "method",
    "route",
    "status",
  ]);
  const ending = new AbortController();
  lifetime.defer(() => ending.abort());
  const expose = () => registry.exposeInSlices({ clock: ground.clock, signal: ending.signal });
  const auth = { tokens: api.tokens, loopback: isLoopback(parseIp(api.listenAddr)!) };
  const { store, clock } = ground;
  const credentials = new KnownTokens({ access: auth, store, clock, log });
  lifetime.use(credentials.follow());
  const parts: ApiParts = {
    store: ground.store,
    changes: ground.changes,
    auth,
    credentials,
    node: nodePort({ ground, core, workers }),
    ports: ground.ports,
    explainer: new Explainer(sourcesOf({
      ...core,
      publisher: core.answers.publisher,
      engine: engineOptions(ground.settings()),
    })),
    exposeMetrics: metrics.enablePrometheus && !sockets.metrics ? expose : null,
    observe: ({ method, route, status }) => requests.labels(method, route, String(status)).inc(),
    log,
    clock: ground.clock,
    version: VERSION,
  };
  const app = createApi(parts, resources);
  sockets.api?.serve({
    fetch: (request, source) => app.fetch(request, source),
    refuse: earlyRefusals(parts, resources),
  });
  if (sockets.metrics) {
    const access = { loopback: isLoopback(parseIp(metrics.listenAddr!)!) };
    sockets.metrics.serve(createMetricsApp({ expose, access, log }));
  }
  if (providers !== null) lifetime.use(await serveProviders(providers, parts, sockets));
}

/** Look-ups and registrations alone, for programs of this machine. */
async function serveProviders(
  path: string,
  parts: ApiParts,
  { count }: Pick<ControlSockets, "count">,
): Promise<AsyncDisposable> {
  const [{ UnixServer }, { createApi }, { EVERYONE: credentials }, { lookup }] = await Promise.all([
    import("../api/unix_server.ts"),
    import("../api/api.ts"),
    import("../api/known_tokens.ts"),
    import("../api/lookup.ts"),
  ]);
  const { clock, log } = parts;
  const app = createApi({ ...parts, credentials, auth: { tokens: [], loopback: false } }, [lookup]);
  const server: AsyncDisposable & { readonly connections: number } = new UnixServer({
    path,
    app: { fetch: (request, source) => app.fetch(request, source) },
    observe: count("socket", () => server.connections),
    ...{ clock, log },
  });
  return server;
}

/** What answers on the sockets of the control plane. */
export type Control =
  & Pick<typeof import("../api/known_tokens.ts"), "KnownTokens">
  & Pick<typeof import("../api/api.ts"), "createApi" | "createMetricsApp">
  & Pick<typeof import("../api/early_refusals.ts"), "earlyRefusals">;

/** Loads it, if it hasn't been loaded. */
export async function loadControl(): Promise<Control> {
  const [{ KnownTokens }, { createApi, createMetricsApp }, { earlyRefusals }] = await Promise.all([
    import("../api/known_tokens.ts"),
    import("../api/api.ts"),
    import("../api/early_refusals.ts"),
  ]);
  return { KnownTokens, createApi, createMetricsApp, earlyRefusals };
}

/** Why the node isn't ready to be relied on, in words; `null` = it is. */
export function unreadiness(
  { stopping, internalErrors }: Pick<OpenGround, "stopping" | "internalErrors">,
  fleet: Pick<Fleet, "isAnswering">,
): string | null {
  if (stopping.aborted) return "The node is stopping";
  if (!fleet.isAnswering) return "The node doesn't answer DNS yet, or no longer";
  return internalErrors.complaint;
}

function nodePort({ ground, core, workers: { fleet, totals, settled } }: ControlParts): NodePort {
  const { settings, clock, startedMs, ports } = ground;
  const { health } = core;
  const { cluster, node } = settings();
  return {
    settled,
    memberHealth: (pool, member) => health.memberHealth(pool, { ...member, forcedUp: false }),
    failBack: (pool, member, how) => health.failBack(pool, { ...member, forcedUp: false }, how),
    settingsFallback: () => settings().fallback,
    unready: () => unreadiness(ground, fleet),
    lackOfRule: (rule) => lackOfRule(rule, settings()),
    status: () => ({
      node: { id: node.id, region: node.region },
      cluster: { id: cluster.id },
      uptimeSeconds: (clock.monotonicMs() - startedMs) / 1000,
      dns: {
        ...{ listeners: listenersOf(fleet), answers: totals.answers(), workers: fleet.workers },
        udp: { transport: fleet.transport, reason: fleet.whyPortable },
        limited: totals.limited(),
      },
      peers: health.peers(),
      nats: ports.find(CLUSTER)?.status() ?? null,
      health: statesOf(health.states()),
      poolsDown: ports.find(POOLS_DOWN)?.poolsDown() ?? { count: 0, pools: [] },
      license: licenseOf(ports.find(LICENSING)?.status()),
    }),
    poolState: (id) => stateOfPool(id, null, core),
  };
}

/**
 * The certificate of these listeners as a part of reloads: its files are read again, and a pair that can't be served keeps
 * the node as it is. Other files than those of the start are for the next one.
 */
export function certificateOf(
  { api, metrics }: ControlSockets,
  { settings, log }: { readonly settings: Settings; readonly log: Logger },
): Pick<Part, "name" | "prepare"> {
  const servers = [api, metrics].filter((server) => server !== null);
  return {
    name: "the API's certificate",
    prepare: () => {
      const certificate = readCertificate(settings);
      if (certificate === null) return () => {};
      expectServable(certificate, settings);
      return () => {
        for (const server of servers) {
          try {
            server.useCertificate(certificate);
          } catch (error) {
            log.error("The API goes on with the certificate that it had", { error });
          }
        }
      };
    },
  };
}

function readCertificate({ api: { tls } }: Settings): Certificate | null {
  if (tls.certFile === null || tls.keyFile === null) return null;
  const read = (path: string) => new TextDecoder().decode(readShortFile(path, PEM_BYTES_MAX));
  return { cert: read(tls.certFile), key: read(tls.keyFile) };
}

/** The files may be others than those that the settings were judged by. @throws {Error} that names them */
function expectServable({ cert, key }: Certificate, { api: { tls } }: Settings): void {
  const fault = pemFault({ cert, key }, systemOutside.tlsRefusal);
  if (fault !== null) throw new Error(`${tls[fault.key]} ${fault.reason}`);
}

function listenersOf({ addresses, encrypted: { tls, https } }: Fleet): DnsListenerStatus[] {
  const at = (socket: SocketAddress, ...transports: DnsListenerStatus["transport"][]) =>
    transports.map((transport) => ({ transport, address: formatSocketAddress(socket) }));
  return [
    ...addresses.flatMap((socket) => at(socket, "udp", "tcp")),
    ...tls.flatMap((socket) => at(socket, "tls")),
    ...https.flatMap((socket) => at(socket, "https")),
  ];
}

/** A node whose parts don't include licensing answers whatever is asked. */
function licenseOf(status: LicenseStatus | undefined): NodeStatus["license"] {
  if (!status) return UNLICENSED;
  const { state, reason, license, limit, busiest, warnings } = status;
  const { tier = null, id = null, exp = null } = license ?? {};
  const expiresMs = exp === null ? null : exp * 1000;
  return { state, reason, tier, id, limit, used: busiest, expiresMs, warnings };
}

const UNLICENSED: NodeStatus["license"] = {
  ...{ state: "off", reason: null, tier: null, id: null, limit: null, used: 0, expiresMs: null },
  warnings: [],
};

function statesOf(all: Iterable<HealthState>): { healthy: number; unhealthy: number; unknown: number } {
  const states = { healthy: 0, unhealthy: 0, unknown: 0 };
  for (const state of all) states[state]++;
  return states;
}
