/**
 * A whole node that learns what four others find at 10,000 addresses each, while it answers and probes.
 *
 * `pleiades serve` with a database has a model of these addresses, finds nothing there, and probes a thousand members of
 * loopback every second. The others find all up, and a NATS server is started: how long it takes until every address counts
 * as up, how much memory, how long answers over UDP take meanwhile, and whether a probe is late. The model goes into the
 * cluster's log at the same time.
 *
 * All five nodes, the server and those who ask share one machine, which at rest has nothing to do: what the node does to its
 * answers and probes isn't what the others take from it. So a bare echo in C is asked beside it, as often, and how long
 * the thread that probes waited for a processor is taken from the system.
 *
 * @module
 */
import { setTimeout as wait } from "node:timers/promises";
import type { SocketAddress } from "../../../src/ip.ts";
import { NatsServer } from "../../nats/server.ts";
import { call } from "../../rest.ts";
import { ServeProcess } from "../../serve_process.ts";
import { LineProcess } from "../../store/line_process.ts";
import { startEcho } from "../stall/echo.ts";
import { nowMs, type TimedSample } from "../stall/process.ts";
import { addressAt, HEARTBEATS, startWriters } from "./found.ts";
import { processorMs, Waits } from "../machine/processor.ts";
import type { Standstills } from "../machine/standstills.ts";

/** How much there is. */
export interface AnsweringTerms {
  /** Addresses that the others find up. */
  readonly members: number;
  /** This one included. */
  readonly nodes: number;
  /** Members that are probed every second. */
  readonly probed: number;
  /** Questions a second, to the node and to the echo each. */
  readonly perSecond: number;
  /** How long rest is looked at before it, milliseconds. */
  readonly restMs: number;
  /** Of the machine: what they take isn't the node's. */
  readonly standstills: Standstills;
}

/** What was seen. */
export interface Answering {
  /** From when the server took connections until every address counted as up. */
  readonly tookMs: number;
  /** By which the process grew. */
  readonly bytes: number;
  /** Of answers over UDP. */
  readonly dns: Answers;
  /** The same of the echo. */
  readonly echo: Answers;
  /** By how much probes came later than their interval, the latest first. */
  readonly probes: readonly LateProbe[];
  /** When it was first seen, milliseconds from when the server took connections: what is waited for in between. */
  readonly steps: Readonly<Record<string, number>>;
  /** What was written to the bucket and read of it, and events that came, until the end. */
  readonly counts: Readonly<Record<string, number>>;
  /** How often a backend that answers was found down: a probe of it had no result in time. */
  readonly fell: number;
  /** Processor time that each process took until all counted, and until the end, milliseconds. */
  readonly processors: readonly Readonly<Record<string, number>>[];
}

/** How long each took, milliseconds; a question without an answer took `LOST_MS`. */
export interface Answers {
  /** Before there was a server. */
  readonly rest: readonly number[];
  /** While the node learnt. */
  readonly meanwhile: readonly number[];
}

/** A probe. */
export interface LateProbe {
  /** Milliseconds; zero or less is in time. */
  readonly lateMs: number;
  /** Of these: in which the node's thread could have run, and others had the processors, or the machine stood still. */
  readonly waitedMs: number;
}

const PROBE_INTERVAL_MS = 1_000;
const PER_POOL = 10;
/** Until all probes have their rhythm. */
const SETTLE_MS = 3_000;
/** What learning leaves to be done counts, too: it takes the others longer than this to write it. */
const READ_MS = 10_000;
/** Between looks at whether all is read. */
const READ_LOOK_MS = 1_000;
/** How often it is looked whether all is known. */
const LOOK_MS = 50;
const PATIENCE_MS = 120_000;
/** As `stall/dns.ts` has it. */
export const LOST_MS = 5_000;

/** Runs it. */
export async function answering(terms: AnsweringTerms): Promise<Answering> {
  const { members, nodes, probed, perSecond } = terms;
  const folder = await Deno.makeTempDir({ prefix: "pleiades-spread-" });
  await using cleaning = new AsyncDisposableStack();
  cleaning.defer(() => Deno.remove(folder, { recursive: true }));
  await using server = await NatsServer.prepared();
  await using backends = new LineProcess(new URL("../stall/backends.ts", import.meta.url), [
    ...[String(probed), String(PROBE_INTERVAL_MS)],
  ]);
  const ports: readonly number[] = JSON.parse((await backends.receive())!);
  await Deno.writeTextFile(`${folder}/node.yaml`, JSON.stringify(settingsOf(server.url, folder)));
  await using serve = await ServeProcess.start({ args: ["-c", `${folder}/node.yaml`] });
  await apply(serve, [...membersOf(members), ...probedOf(ports)]);
  await reached(serve, ({ health }) => health.unhealthy >= members && health.healthy >= probed);
  await using writers = await startWriters({ server: server.url, nodes: nodes - 1, addresses: members });
  await wait(SETTLE_MS);
  const asking = ({ hostname, port }: SocketAddress) =>
    new LineProcess(new URL("../stall/dns.ts", import.meta.url), [
      ...[hostname, String(port), "s0.example.org", String(perSecond)],
    ]);
  await using dns = asking(serve.dns);
  await using echo = asking({ hostname: "127.0.0.1", port: await startEcho(cleaning, folder) });
  await Promise.all([dns.receive(), echo.receive()]);
  const restedMs = nowMs();
  const fellBefore = fallenOf(await metricsOf(serve));
  // As often as it is looked meanwhile.
  await reached(serve, () => nowMs() >= restedMs + terms.restMs);
  const before = await memoryOf(serve.pid);
  const startedMs = nowMs();
  await server.start();
  using waits = new Waits(serve.pid, terms.standstills);
  const beginMs = nowMs();
  const processes = {
    ...{ node: serve.pid, others: writers.pid, server: server.pid!, dns: dns.pid, echo: echo.pid },
    ...{ backends: backends.pid, self: Deno.pid },
  };
  const ran = processorsOf(processes);
  const steps: Record<string, number> = {};
  const seen = (step: string) => void (steps[step] ??= nowMs() - beginMs);
  await reached(serve, ({ nats, peers }) => {
    if (nats?.server) seen("connected");
    if ((peers?.nodes.length ?? 0) > 1) seen("first node");
    if ((peers?.nodes.length ?? 0) >= nodes) seen("all nodes");
    if ((peers?.differing ?? 0) > 0) seen("first counts");
    return (peers?.differing ?? 0) >= members;
  });
  const tookMs = nowMs() - beginMs;
  const untilCounted = processorsOf(processes, ran);
  // What the bucket has of it comes in, too, as fast as the others write it.
  await wait(READ_MS);
  const wanted = members * (nodes - 1);
  let metrics = await metricsOf(serve);
  while (countsIn(metrics).read! < wanted && nowMs() < beginMs + PATIENCE_MS) {
    await wait(READ_LOOK_MS);
    metrics = await metricsOf(serve);
  }
  const untilRead = processorsOf(processes, ran);
  const bytes = await memoryOf(serve.pid) - before;
  const endMs = nowMs();
  seen("all read");
  const [counts, fell] = [countsIn(metrics), fallenOf(metrics) - fellBefore];
  const samplesOf = async (from: LineProcess) => JSON.parse((await from.ask("stop"))!) as TimedSample[];
  const [answers, echoes, probes] = await Promise.all([dns, echo, backends].map(samplesOf));
  const within = (samples: readonly TimedSample[], fromMs: number, toMs: number) =>
    samples.filter(([atMs]) => atMs >= fromMs && atMs < toMs);
  const answersOf = (samples: readonly TimedSample[]): Answers => ({
    rest: within(samples, restedMs, startedMs).map(([, ms]) => ms),
    meanwhile: within(samples, beginMs, endMs).map(([, ms]) => ms),
  });
  return {
    ...{ steps, counts, fell, processors: [untilCounted, untilRead] },
    ...{ tookMs, bytes, dns: answersOf(answers!), echo: answersOf(echoes!) },
    probes: within(probes!, beginMs, endMs).toSorted(([, a], [, b]) => b - a)
      .map(([dueMs, lateMs]) => ({ lateMs, waitedMs: waits.between(dueMs, dueMs + lateMs) })),
  };
}

function settingsOf(server: string, folder: string) {
  return {
    ...{ cluster: { id: "test" }, node: { id: "answering" }, dns: { domain: "example.org" } },
    database: { path: `${folder}/node.db` },
    state: {
      healthPolicy: "global-any-healthy",
      heartbeatInterval: `${HEARTBEATS.heartbeatIntervalMs}ms`,
      heartbeatTTL: `${HEARTBEATS.heartbeatTtlMs}ms`,
      nats: { servers: [server] },
    },
  };
}

/** Pools of members that the others find up, each with a service. */
function* membersOf(count: number): Generator<object> {
  for (let i = 0; i < count; i += PER_POOL) {
    const members = Array.from({ length: Math.min(PER_POOL, count - i) }, (_, k) => ({
      ...{ ipAddress: addressAt(i + k), port: 443 },
    }));
    const name = `seen-${i / PER_POOL}`;
    const healthCheck = { type: "tcp", intervalMs: 3_600_000, rise: 1, fall: 1 };
    yield { pool: { name, members, healthCheck } };
    yield { service: { domain: `s${i / PER_POOL}.example.org`, pool: name } };
  }
}

/** Pools of members that this node probes all the time. */
function* probedOf(ports: readonly number[]): Generator<object> {
  for (let i = 0; i < ports.length; i += PER_POOL) {
    const members = ports.slice(i, i + PER_POOL).map((port) => ({ ipAddress: "127.0.0.1", port }));
    // One probe that fails is a change of state, which is counted.
    const healthCheck = {
      ...{ type: "tcp", intervalMs: PROBE_INTERVAL_MS, timeoutMs: PROBE_INTERVAL_MS / 2 },
      ...{ rise: 1, fall: 1 },
    };
    yield { pool: { name: `probed-${i / PER_POOL}`, members, healthCheck } };
  }
}

async function apply({ api }: ServeProcess, lines: readonly object[]): Promise<void> {
  const response = await fetch(`${api}/apply`, {
    method: "POST",
    headers: { "content-type": "application/x-ndjson" },
    body: lines.map((line) => `${JSON.stringify(line)}\n`).join(""),
  });
  const said = await response.text();
  if (!response.ok) throw new Error(`The model was refused: ${response.status} ${said.slice(0, 1_000)}`);
}

/** As `/status` has it. */
interface Status {
  readonly health: { readonly healthy: number; readonly unhealthy: number };
  readonly peers?: { readonly differing: number; readonly nodes: readonly unknown[] };
  readonly nats?: { readonly server: string | null };
}

async function reached({ api }: ServeProcess, isReached: (status: Status) => boolean): Promise<void> {
  const untilMs = nowMs() + PATIENCE_MS;
  for (;;) {
    const status = await call<Status>(api, { method: "GET", path: "/status" });
    if (isReached(status)) return;
    if (nowMs() > untilMs) throw new Error(`It stays ${JSON.stringify([status.health, status.peers])}`);
    await wait(LOOK_MS);
  }
}

async function metricsOf({ api }: ServeProcess): Promise<string> {
  return await (await fetch(new URL("/metrics", api))).text();
}

/** How often an address was found down that had been up. */
function fallenOf(metrics: string): number {
  return Number(/detection_seconds_count\{[^}]*direction="down"\} (\d+)/.exec(metrics)![1]);
}

/** What it has read and written. */
function countsIn(text: string): Record<string, number> {
  const of = (series: string) =>
    Number(new RegExp(`^pleiades_state_${series}\\} (\\d+)$`, "m").exec(text)?.[1] ?? 0);
  return {
    written: of('kv_put_total\\{[^}]*bucket="health",result="ok"'),
    refused: of('kv_put_total\\{[^}]*bucket="health",result="error"'),
    read: of('kv_get_total\\{[^}]*bucket="health",result="ok"'),
    told: of('nats_published_total\\{[^}]*type="health"'),
    events: of('nats_received_total\\{[^}]*type="health"'),
    invalid: of('nats_received_total\\{[^}]*type="invalid"'),
  };
}

/** Processor time of all their threads, less what they had taken before, milliseconds. */
function processorsOf(
  pids: Readonly<Record<string, number>>,
  before: Readonly<Record<string, number>> = {},
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(pids).map(([name, pid]) => [name, processorMs(pid) - (before[name] ?? 0)]),
  );
}

/** Memory in RAM, bytes; 0 where the system doesn't say. */
async function memoryOf(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => "");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}
