/**
 * The DNS workers of a node, and what comes back from them: counters, sampled exchanges, the word that none is left.
 *
 * @module
 */
import type { EngineOptions } from "../dns/engine.ts";
import { Fleet, type FleetThreads, type Succession } from "../dns/fleet.ts";
import { kernelDrops } from "../dns/kernel_drops.ts";
import { type DnsTotals, registerDnsMetrics, registerFleetMetrics } from "../dns/metrics.ts";
import { QUERY_LOG, QueryLog } from "../dns/query_log.ts";
import type { Sample } from "../dns/samples.ts";
import type { Certificate, EncryptedDuty } from "../dns/stream_service.ts";
import { parsePrefix, type SocketAddress } from "../ip.ts";
import { LICENSING } from "../license/licensing.ts";
import type { Settings } from "../settings/settings.ts";
import { TRAFFIC } from "../traffic/traffic.ts";
import type { Answers } from "./answers.ts";
import { DNS_CERTIFICATE } from "./dns_certificate.ts";
import { DNS_LIMITS, type DnsLimits } from "./dns_limits.ts";
import type { Ground } from "./ground.ts";

/** How often the counters are fetched, so that none wraps twice unseen. */
const TALLY_INTERVAL_MS = 10_000;

/** Gets sampled exchanges in place of the query log. */
export interface AnswerWatch {
  /** At most. */
  readonly perSecond: number;
  /** Gets each of them. */
  readonly onSample: (sample: Sample) => void;
}

/** Workers that answer. */
export interface DnsWorkers {
  /** All of them. */
  readonly fleet: Fleet;
  /** What they have counted. */
  readonly totals: DnsTotals;
  /** Rejects when the last UDP worker is lost for good. */
  readonly lost: Promise<never>;
  /** Resolves when every worker answers from this generation. */
  settled(generation: number): Promise<void>;
}

/**
 * Starts the workers; resolves when they answer. `lifetime` stops them.
 *
 * @throws {Error} when an address can't be bound
 */
export async function startDnsWorkers(
  ground: Ground,
  { answers, watchAnswers, threads }: {
    readonly answers: Answers;
    readonly watchAnswers: AnswerWatch | null;
    readonly threads: FleetThreads | null;
  },
  lifetime: AsyncDisposableStack,
): Promise<DnsWorkers> {
  const { settings, log, registry, clock, events, ports } = ground;
  const start = settings();
  const { publisher } = answers;
  let listening: readonly SocketAddress[] = [];
  /** The kernel counts for a socket as long as it lives, whoever has it. */
  let droppedBefore = 0;
  const totals = registerDnsMetrics(registry, {
    board: () => publisher.current.board,
    kernelDrops: () => {
      const drops = kernelDrops(listening);
      return drops && Math.max(0, drops - droppedBefore);
    },
  });
  const queryLog = lifetime.use(
    new QueryLog({ ...start.queryLog, log, clock, registry, missed: totals.missedSamples }),
  );
  lifetime.use(ports.offer(QUERY_LOG, queryLog));
  const traffic = ports.find(TRAFFIC);
  const licensing = ports.find(LICENSING);
  const limits = ports.find(DNS_LIMITS);
  const certificate = ports.find(DNS_CERTIFICATE);
  const lost = Promise.withResolvers<never>();
  lost.promise.catch(() => {});
  const given = publisher.current;
  const fleet = lifetime.use(
    await Fleet.start({
      ...fleetOptions(start),
      ...(limits && { limits: limits.terms }),
      encrypted: encryptedDuty(start, certificate?.current ?? null),
      ...sampling(start.queryLog, { queryLog, watchAnswers }),
      ...given,
      ...licensing && { allowance: licensing.allowance },
      ...{ log, threads },
      succession: successionOf(ground, {
        answers,
        limits,
        onRelease: (addresses) => droppedBefore = kernelDrops(addresses) ?? 0,
      }),
      onReplace: (reason) => {
        totals.workerReplaced(reason);
        events.emit({ kind: "worker", reason });
      },
      onCounted: (counted) => traffic?.take(counted),
      onLost: lost.reject,
    }),
  );
  registerFleetMetrics(registry, fleet);
  listening = fleet.addresses;
  lifetime.use(answers.attach(fleet, given));
  if (limits) lifetime.use(limits.attach(fleet));
  if (certificate) lifetime.use(certificate.attach(fleet));
  if (traffic) {
    lifetime.use(
      traffic.attach({ count: (perSecond) => fleet.countTraffic(perSecond), lost: totals.lostTraffic }),
    );
  }
  const tally = setInterval(totals.update, TALLY_INTERVAL_MS);
  lifetime.defer(() => clearInterval(tally));
  return {
    ...{ fleet, totals, lost: lost.promise },
    // A change is settled when it is in the tables and whoever answers from them turns.
    settled: async (generation) => {
      await publisher.settled(generation);
      await fleet.turning();
    },
  };
}

/** How the workers take the place of another process's. */
function successionOf(
  { predecessor, registry }: Ground,
  { answers, limits, onRelease }: {
    readonly answers: Answers;
    readonly limits: DnsLimits | null;
    readonly onRelease: (addresses: readonly SocketAddress[]) => void;
  },
): Succession | null {
  if (predecessor === null) return null;
  const { dns, tls, https } = predecessor.state;
  return {
    listening: [...dns, ...tls, ...https],
    sockets: async () => {
      const { state, sockets } = await predecessor.release();
      registry.goOnFrom(state.metrics);
      onRelease(sockets.map(({ address }) => address));
      answers.rotateFrom(state);
      if (limits && state.rates !== null) limits.countFrom(Uint8Array.fromBase64(state.rates));
      return sockets;
    },
    onAnswering: () => predecessor.answered(),
  };
}

/** What every engine of the node goes by. */
export function engineOptions({ dns: { nsid, chaos, ecs, rotate } }: Settings): Omit<EngineOptions, "lane"> {
  return {
    nsid,
    chaos,
    rotate,
    ecs: { enabled: ecs.enabled, trusted: ecs.trustedResolvers.map(parsePrefix) },
  };
}

function fleetOptions(settings: Settings) {
  const { dns, workers, log } = settings;
  return {
    workers,
    listen: listenersOf(settings),
    transport: dns.transport,
    engine: engineOptions(settings),
    tcp: dns.tcp,
    backendSocket: dns.backendSocket,
    workerLog: log,
  };
}

function listenersOf({ dns: { listen, listenAddr, port } }: Settings): readonly SocketAddress[] {
  return listen.length > 0 ? listen : listenAddr.map((hostname) => ({ hostname, port }));
}

/** Encrypted DNS on the addresses of plain DNS; `null` = there is no certificate. */
function encryptedDuty(settings: Settings, certificate: Certificate | null): EncryptedDuty | null {
  if (certificate === null) return null;
  const { tls, https } = settings.dns;
  const hostnames = [...new Set(listenersOf(settings).map(({ hostname }) => hostname))];
  const at = (port: number | null) => port === null ? [] : hostnames.map((hostname) => ({ hostname, port }));
  return { certificate, tls: at(tls.port), https: at(https.port), path: https.path };
}

function sampling(
  { sample, maxPerSecond }: Settings["queryLog"],
  { queryLog, watchAnswers }: { readonly queryLog: QueryLog; readonly watchAnswers: AnswerWatch | null },
) {
  if (watchAnswers) return { samplesPerSecond: watchAnswers.perSecond, onSample: watchAnswers.onSample };
  if (sample === 0) return { samplesPerSecond: 0 };
  return {
    samplesPerSecond: maxPerSecond,
    sampleEvery: sample,
    onSample: (exchange: Sample) => queryLog.take(exchange),
  };
}
