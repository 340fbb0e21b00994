/**
 * The four services, put together from their settings.
 *
 * @module
 */
import { homedir } from "node:os";
import { join } from "node:path";
import { type Rng, systemRng } from "../clock.ts";
import { ServiceWatch } from "../consul/services.ts";
import { formatSocketAddress, parseSocketAddress, type SocketAddress } from "../ip.ts";
import { OwnCertificate } from "../tls/own_certificate.ts";
import { RenewableListener } from "../tls/renewable_listener.ts";
import { ApiProxy } from "./api_proxy.ts";
import { Broker } from "./broker.ts";
import { Greeting } from "./greeting.ts";
import { HealthChecker } from "./health_checker.ts";
import {
  checkerMetrics,
  providerMetrics,
  proxyMetrics,
  type SyncerMetrics,
  syncerMetrics,
} from "./metrics.ts";
import { SecondarySyncer } from "./secondary_syncer.ts";
import {
  consulTermsOf,
  dnsOf,
  linkTermsOf,
  powerDnsOf,
  register,
  secondariesOf,
  type ServiceGround,
  type ServiceName,
  subjectsOf,
} from "./service.ts";
import { upstreamOf } from "./upstream.ts";
import { ZoneProvider } from "./zone_provider.ts";

/** A service that runs. */
export interface RunningService extends AsyncDisposable {
  /** Where it listens, for people; `null` = nowhere. */
  readonly listens: string | null;
  /** Where it listens. */
  readonly address: SocketAddress | null;
  /** Whether NATS is connected to. */
  readonly isConnected: () => boolean;
}

/** Port of the API proxy unless its URL has another. */
const PROXY_PORT = 30_000;
/** Connections at the same time. */
const PROXY_CONNECTIONS_MAX = 1_024;

/** What differs in tests. */
export interface ServiceOptions {
  /** Spreads. */
  readonly rng?: Rng;
}

/** Starts the API proxy. @throws {Error} when a port or a certificate can't be had */
export async function startApiProxy(
  ground: ServiceGround,
  { rng = systemRng }: ServiceOptions = {},
): Promise<RunningService> {
  const { settings, clock, log, registry } = ground;
  const url = new URL(settings.service.url!);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const { cert, key, certLifetime, listenAddr } = settings.service;
  const isGiven = cert !== null && key !== null;
  const certificate = await OwnCertificate.open({
    certFile: isGiven ? cert : join(homedir(), "cert.pem"),
    keyFile: isGiven ? key : join(homedir(), "key.pem"),
    host,
    leafMs: certLifetime,
  }, { clock, log });
  const metrics = proxyMetrics(registry);
  const greeting = new Greeting({
    ...{ service: "api-proxy", host: ground.host, clock },
    publish: (subject, data) => broker.publishNow(subject, data),
  });
  const broker: Broker = new Broker(
    { terms: linkTermsOf("api-proxy", ground), clock, rng, log, onLost: () => metrics.lost.inc() },
    [],
    () => greeting.connected(),
  );
  const proxy = new ApiProxy({
    ...{ clock, log },
    upstream: upstreamOf(settings.powerDNS.url!),
    writesAtOnce: settings.powerDNS.writesAtOnce,
    subjects: subjectsOf(settings),
    publish: (subject, data) => broker.publish(subject, data),
    metrics,
  });
  const ending = new AbortController();
  let listener: RenewableListener;
  try {
    listener = new RenewableListener({
      address: { hostname: listenAddr, port: url.port === "" ? PROXY_PORT : Number(url.port) },
      certificate: certificate.current,
      connectionsMax: PROXY_CONNECTIONS_MAX,
      serve: (connection) => proxy.serve(connection),
    });
  } catch (error) {
    await greeting[Symbol.asyncDispose]();
    await broker[Symbol.asyncDispose]();
    throw error;
  }
  registry.gauge("apiproxy_certificate_end_seconds", "When the certificate ends, Unix time.", {
    collect: () => certificate.endMs / 1000,
  });
  const keeping = certificate.keep((current) => listener.use(current), ending.signal);
  return registered("api-proxy", ground, {
    listens: `https://${formatSocketAddress(listener.address)}`,
    address: listener.address,
    isConnected: () => broker.isConnected,
    [Symbol.asyncDispose]: async () => {
      ending.abort();
      await keeping;
      await listener[Symbol.asyncDispose]();
      await greeting[Symbol.asyncDispose]();
      await broker[Symbol.asyncDispose]();
    },
  }, rng);
}

/** What the metrics of a service begin with. */
const METRICS_PREFIX: Readonly<Record<Exclude<ServiceName, "status">, string>> = {
  "api-proxy": "apiproxy",
  "zone-provider": "zoneprovider",
  "health-checker": "healthchecker",
  "secondary-syncer": "secondarysyncer",
};

/** A service in its registers, and counted as connected, as long as it runs. */
function registered(
  service: Exclude<ServiceName, "status">,
  ground: ServiceGround,
  running: RunningService,
  rng: Rng,
): RunningService {
  ground.registry.gauge(`${METRICS_PREFIX[service]}_nats_connected`, "Whether NATS is connected to.", {
    collect: () => running.isConnected() ? 1 : 0,
  });
  const registration = register(service, ground, { rng, isWell: running.isConnected });
  return {
    ...running,
    [Symbol.asyncDispose]: async () => {
      await registration[Symbol.asyncDispose]();
      await running[Symbol.asyncDispose]();
    },
  };
}

/** Starts a zone provider. */
export function startZoneProvider(
  ground: ServiceGround,
  { rng = systemRng }: ServiceOptions = {},
): RunningService {
  const { settings, clock, log, registry } = ground;
  const greeting = new Greeting({
    ...{ service: "zone-provider", host: ground.host, clock },
    publish: (subject, data) => broker.publishNow(subject, data),
  });
  const provider = new ZoneProvider({ dns: dnsOf(settings), clock, log, metrics: providerMetrics(registry) });
  const broker: Broker = new Broker(
    { terms: linkTermsOf("zone-provider", ground), clock, rng, log },
    [provider.subscription(subjectsOf(settings), () => broker)],
    () => greeting.connected(),
  );
  return registered("zone-provider", ground, {
    listens: null,
    address: null,
    isConnected: () => broker.isConnected,
    [Symbol.asyncDispose]: async () => {
      await greeting[Symbol.asyncDispose]();
      await broker[Symbol.asyncDispose]();
      await provider[Symbol.asyncDispose]();
    },
  }, rng);
}

/** Starts a secondary syncer. @throws {Error} when the local address can't be had */
export function startSecondarySyncer(
  ground: ServiceGround,
  { rng = systemRng }: ServiceOptions = {},
): RunningService {
  const { settings, clock, log, registry, host } = ground;
  const { metrics, powerDns } = countedPowerDns(ground);
  const syncer = new SecondarySyncer({
    ...{ host, clock, rng, log, powerDns },
    link: linkTermsOf("secondary-syncer", ground),
    subjects: subjectsOf(settings),
    dns: { ...dnsOf(settings), server: parseSocketAddress(settings.powerDNS.dnsAddress) },
    listen: parseSocketAddress(settings.axfrPrimary.address),
    workers: settings.powerDNS.apiWorker,
    eventDelayMs: settings.powerDNS.eventDelay,
    metrics: (counts) => metrics.current = syncerMetrics(registry, counts),
  });
  return registered("secondary-syncer", ground, {
    listens: formatSocketAddress(syncer.address),
    address: syncer.address,
    isConnected: () => syncer.isConnected,
    [Symbol.asyncDispose]: () => syncer[Symbol.asyncDispose](),
  }, rng);
}

/** The syncer's metrics are made with it, and the client that counts into them before. */
function countedPowerDns({ settings }: ServiceGround) {
  const metrics: { current: SyncerMetrics | null } = { current: null };
  const powerDns = powerDnsOf(
    settings,
    (what, isDone) => metrics.current?.apiCalls.labels(isDone ? "successful" : "failed", what).inc(),
  );
  return { metrics, powerDns };
}

/** Starts a health checker. @throws {Error} when the primary's zones can't be read */
export async function startHealthChecker(
  ground: ServiceGround,
  { rng = systemRng }: ServiceOptions = {},
): Promise<RunningService> {
  const { settings, clock, log, registry } = ground;
  const { healthChecks: checks, secondaries, messageBroker } = settings;
  const checker = await HealthChecker.start({
    ...{ clock, rng, log },
    host: ground.host,
    boot: crypto.randomUUID().replaceAll("-", ""),
    link: linkTermsOf("health-checker", ground),
    subjects: subjectsOf(settings),
    powerDns: powerDnsOf(settings),
    dns: dnsOf(settings),
    hosts: secondaries.hosts,
    discovers: secondaries.source === "nats",
    usesLease: messageBroker.jetStream === "auto",
    keptMs: messageBroker.keepEvents,
    intervals: {
      eventWaitMs: checks.eventCheckWaitTime,
      refreshMs: checks.activeZoneSecondaryRefreshInterval,
      periodicMs: checks.periodicalCheckInterval,
      nsec3Ms: checks.nsec3CheckInterval,
      signatureMs: checks.signatureCheckInterval,
      remainingMs: checks.signatureRemaining,
    },
    metrics: (counts) => checkerMetrics(registry, counts),
  });
  const consul = consulTermsOf(settings);
  const following = secondaries.source === "consul" && consul !== null
    ? new ServiceWatch(
      { terms: consul, clock, rng, log },
      secondariesOf(settings),
      (hosts) => checker.findSecondaries(hosts),
    )
    : null;
  return registered("health-checker", ground, {
    listens: null,
    address: null,
    isConnected: () => checker.isConnected,
    [Symbol.asyncDispose]: async () => {
      await following?.[Symbol.asyncDispose]();
      await checker[Symbol.asyncDispose]();
    },
  }, rng);
}
