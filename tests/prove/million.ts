/**
 * A million services: `deno task prove million [SERVICES [SECONDS [PER_SECOND [CHANGES]]]]`.
 *
 * A real `serve` process is started on a database of 1,000,000 services, each with a pool of two members: twice
 * without the tables that a run keeps for the next one, then with them. Each time it is asked until it answers. Then it
 * answers 50,000 queries a second from dnsperf while members, spread over all pools, are changed over REST, one after the
 * other; after each change the name is asked once, and the answer must show it.
 *
 * At the first start all names lie in a zone that the settings declare, as is usual; after that none is declared, so
 * that every service is a zone of its own: there is no more to write than that.
 *
 * @module
 */
import { setTimeout as wait } from "node:timers/promises";
import { runQuery } from "../../src/dns_client.ts";
import type { SocketAddress } from "../../src/ip.ts";
import { Store } from "../../src/store/store.ts";
import { TYPE } from "../../src/wire/record_type.ts";
import { DnsLoad, isFlawless, type LoadReport, printLoad } from "../dns_load.ts";
import { program } from "../programs.ts";
import { call } from "../rest.ts";
import { ServeProcess } from "../serve_process.ts";
import { freePort } from "../free_port.ts";

/** How a run differs from the full one. */
export interface MillionOptions {
  readonly services: number;
  /** Of load. */
  readonly seconds: number;
  /** Queries offered. */
  readonly perSecond: number;
  /** Members changed, spread over the seconds. */
  readonly changes: number;
  /** Told what comes next. */
  readonly onStep: (step: string) => void;
}

/** What came of a run. */
export interface MillionReport {
  /** Started without kept tables, all names in one zone. */
  readonly inZone: Start;
  /** Started without kept tables, each name a zone of its own. */
  readonly cold: Start;
  /** Started with them. */
  readonly warm: Start;
  /** From sending each change to having the answer that shows it, milliseconds, in ascending order. */
  readonly changesMs: readonly number[];
  /** A line for each answer that didn't show the change before it. */
  readonly stale: readonly string[];
  /** The most memory in RAM while it answered and was changed, bytes. */
  readonly servingBytes: number;
  readonly load: LoadReport;
}

/** A start. */
export interface Start {
  /** From spawning the process to the first answer. */
  readonly firstAnswerMs: number;
  /** Of all its threads until its API listened: what other programs on the machine hardly change. */
  readonly cpuSeconds: number;
  /** Memory in RAM when it had answered and its API listened, bytes. */
  readonly bytes: number;
  /** The most that it had until then, bytes. */
  readonly peakBytes: number;
}

const FIRST_ANSWER_MS_MAX = 6_000;
const CHANGE_MS_MAX = 20;
const MEMORY_MB_MAX = 700;
/** Of the queries offered, so many must have been answered; dnsperf takes its time to begin and to end. */
const ANSWERED_SHARE_MIN = 0.95;
const ASK_EVERY_MS = 2;
/** Names that the load asks for; to be hit by caches they would have to be far fewer. */
const NAMES_ASKED_MAX = 200_000;

/** Runs the proof; 1,000,000 services, 30 s, 50,000 queries a second and 1,500 changes unless told otherwise. */
export async function prove(
  [services = "1000000", seconds = "30", perSecond = "50000", changes = "1500"]: string[],
): Promise<boolean> {
  const report = await million({
    services: Number(services),
    seconds: Number(seconds),
    perSecond: Number(perSecond),
    changes: Number(changes),
    onStep: (step) => console.log(step),
  });
  printLoad(report.load);
  for (const line of report.stale.slice(0, 10)) console.log(`  ${line}`);
  const lines = judge(report, Number(perSecond));
  for (const { what, figure, bar, isMet } of lines) {
    console.log(`${what.padEnd(44)}${figure.padStart(12)}  ${bar.padEnd(10)}${isMet ? "ok" : "MISSED"}`);
  }
  return lines.every(({ isMet }) => isMet);
}

interface Line {
  readonly what: string;
  readonly figure: string;
  /** Empty = the figure is for information. */
  readonly bar: string;
  readonly isMet: boolean;
}

function judge(
  { inZone, cold, warm, changesMs, stale, servingBytes, load }: MillionReport,
  perSecond: number,
): Line[] {
  const atMost = (what: string, value: number, max: number | null, unit: string): Line => ({
    what,
    figure: `${unit === "s" ? value.toFixed(2) : unit === "ms" ? value.toFixed(1) : value} ${unit}`.trimEnd(),
    bar: max === null ? "" : `≤ ${max}`,
    isMet: max === null || value <= max,
  });
  const megabytes = (bytes: number) => Math.round(bytes / 1e6);
  const linesOf = (how: string, start: Start) => [
    atMost(`first answer, ${how}`, start.firstAnswerMs / 1000, FIRST_ANSWER_MS_MAX / 1000, "s"),
    atMost("  CPU time of all threads until then", start.cpuSeconds, null, "s"),
    atMost("  memory then", megabytes(start.bytes), MEMORY_MB_MAX, "MB"),
    atMost("  most memory until then", megabytes(start.peakBytes), null, "MB"),
  ];
  return [
    ...linesOf("no tables kept, one zone", inZone),
    ...linesOf("no tables kept, a zone each", cold),
    ...linesOf("tables kept, a zone each", warm),
    {
      what: "answered a second under load",
      figure: load.perSecond.toFixed(0),
      bar: `≥ ${perSecond * ANSWERED_SHARE_MIN}`,
      isMet: load.perSecond >= perSecond * ANSWERED_SHARE_MIN,
    },
    atMost("lost queries", load.lost, 0, ""),
    { what: "answers other than NOERROR", figure: load.codes, bar: "none", isMet: isFlawless(load) },
    atMost("from a change to the answer, p50", quantile(changesMs, 0.5), null, "ms"),
    atMost("from a change to the answer, p99", quantile(changesMs, 0.99), CHANGE_MS_MAX, "ms"),
    atMost("from a change to the answer, longest", quantile(changesMs, 1), null, "ms"),
    atMost(`stale answers after ${changesMs.length} changes`, stale.length, 0, ""),
    atMost("most memory while serving", megabytes(servingBytes), MEMORY_MB_MAX, "MB"),
  ];
}

function quantile(ascending: readonly number[], share: number): number {
  return ascending[Math.ceil(share * ascending.length) - 1] ?? NaN;
}

/** Starts a node twice, and changes it under load. */
export async function million(options: MillionOptions): Promise<MillionReport> {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-million-" });
  try {
    const path = `${folder}/million.db`;
    options.onStep(`writing ${options.services.toLocaleString("en")} services`);
    writeDatabase(path, options.services);
    const changeable = membersToChange(path, options);
    const settings = `${folder}/settings.yaml`;
    await Deno.writeTextFile(settings, "dns:\n  domain: [example.org]\n");
    options.onStep("starting without kept tables, all names in one zone");
    const inZone = await startOnly(path, ["-c", settings]);
    // What that start kept holds for its zone only.
    options.onStep("starting without kept tables, each name a zone of its own");
    const cold = await startOnly(path, []);
    options.onStep("starting with kept tables");
    await using node = await Node.start(path, []);
    options.onStep(`${options.perSecond.toLocaleString("en")} queries a second, ${options.changes} changes`);
    return { inZone, cold, warm: node.start, ...await changeUnderLoad(node, changeable, options) };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Objects as `config apply` leaves them, ids at random, within half a minute instead of two. */
export function writeDatabase(path: string, services: number): void {
  using store = Store.open(path);
  store.prepareForBulk();
  store.database.transact(() =>
    store.database.exec(`
      UPDATE meta SET committing = 1;
      CREATE TEMP TABLE numbered AS
        WITH RECURSIVE numbers(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i < ${services - 1})
        SELECT i, lower(hex(randomblob(16))) AS id FROM numbers;
      INSERT INTO pools (id, name, max_answers) SELECT id, 'pool-' || i, 0 FROM numbered ORDER BY i;
      INSERT INTO members (id, pool_id, ip_address, port)
        SELECT lower(hex(randomblob(16))), id,
          (10 + k) || '.' || (i >> 16 & 255) || '.' || (i >> 8 & 255) || '.' || (i & 255), 443
        FROM numbered, (SELECT 0 AS k UNION ALL SELECT 1) ORDER BY i, k;
      INSERT INTO services (id, domain, pool_id, reversed_domain)
        SELECT lower(hex(randomblob(16))), 's' || i || '.example.org', id, 'org.example.s' || i
        FROM numbered ORDER BY i;
      UPDATE meta SET generation = 1, committing = 0;
      INSERT INTO history (generation, at, via, "by", reason) VALUES (1, 0, 'prove', '', '');
    `)
  );
  store.checkpoint();
}

/** The name that the service of a number answers. */
export function nameOf(service: number): string {
  return `s${service}.example.org`;
}

/** Numbers that are spread over all, in no order that memory would like. */
function spread(count: number, all: number): number[] {
  return Array.from({ length: Math.min(count, all) }, (_, i) => Math.floor((i * GOLDEN_RATIO % 1) * all));
}

const GOLDEN_RATIO = 1.618033988749895;

/** A member to change, and the name whose answer shows it. */
interface Changeable {
  readonly memberId: string;
  readonly name: string;
}

function membersToChange(path: string, { services, changes }: MillionOptions): Changeable[] {
  using store = Store.open(path);
  const sql =
    "SELECT m.id FROM services AS s JOIN members AS m ON m.pool_id = s.pool_id WHERE s.domain = ? LIMIT 1";
  return spread(changes, services).map((service) => {
    const name = nameOf(service);
    return { memberId: store.database.get<{ id: string }>(sql, name)!.id, name };
  });
}

async function startOnly(path: string, args: readonly string[]): Promise<Start> {
  await using node = await Node.start(path, args);
  await node.stop();
  return node.start;
}

/** A process, and how it started. */
class Node implements AsyncDisposable {
  readonly serve: ServeProcess;
  readonly start: Start;

  private constructor(serve: ServeProcess, start: Start) {
    this.serve = serve;
    this.start = start;
  }

  static async start(path: string, args: readonly string[]): Promise<Node> {
    const dns = { hostname: "127.0.0.1", port: freePort() };
    const begin = performance.now();
    const starting = ServeProcess.start({
      args: ["--db", path, "--dns", `${dns.hostname}:${dns.port}`, ...args],
      executable: program("pleiades"),
    });
    const failed = new AbortController();
    starting.catch((error) => failed.abort(error));
    await untilAnswered(dns, failed.signal);
    const firstAnswerMs = performance.now() - begin;
    const serve = await starting;
    const cpuSeconds = await cpuSecondsOf(serve.pid);
    return new Node(serve, { firstAnswerMs, cpuSeconds, ...await memoryOf(serve.pid) });
  }

  /** Ends it as a service manager does. */
  async stop(): Promise<void> {
    this.serve.kill("SIGTERM");
    await this.serve.ended();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.serve[Symbol.asyncDispose]();
  }
}

/** @throws what the signal is aborted with */
async function untilAnswered(server: SocketAddress, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const addresses = await addressesOf(server, nameOf(0), ASK_EVERY_MS * 10).catch(() => []);
    if (addresses.length === 2) return;
    await wait(ASK_EVERY_MS);
  }
}

async function addressesOf(server: SocketAddress, name: string, timeoutMs: number): Promise<string[]> {
  const { message } = await runQuery({
    ...{ server, name, type: TYPE.A, class: 1 },
    ...{ ecs: null, tcp: false, udpSize: 1232, timeoutMs },
  });
  return message.answers.map((record) => record.data);
}

/** Changes members one by one, spread over the time, and asks after each change. */
async function changeUnderLoad(
  { serve }: Node,
  changeable: readonly Changeable[],
  { services, seconds, perSecond }: MillionOptions,
): Promise<Pick<MillionReport, "changesMs" | "stale" | "servingBytes" | "load">> {
  const questions = spread(NAMES_ASKED_MAX, services).map((service) => `${nameOf(service)} A`);
  await using load = await DnsLoad.start({ server: serve.dns, questions, perSecond, seconds });
  const changesMs: number[] = [];
  const stale: string[] = [];
  let servingBytes = 0;
  const start = performance.now();
  for (const [i, { memberId, name }] of changeable.entries()) {
    const ipAddress = `203.${i >> 16 & 255}.${i >> 8 & 255}.${i & 255}`;
    const begin = performance.now();
    await call(serve.api, { method: "PATCH", path: `/members/${memberId}`, json: { ipAddress } });
    const addresses = await addressesOf(serve.dns, name, 5000);
    changesMs.push(performance.now() - begin);
    if (!addresses.includes(ipAddress)) stale.push(`${name}: ${ipAddress} is missing in ${addresses}`);
    servingBytes = Math.max(servingBytes, (await memoryOf(serve.pid)).bytes);
    // Spread over the whole run, so that there is no second of it without changes.
    const aheadMs = (i + 1) / changeable.length * (seconds - 1) * 1000 - (performance.now() - start);
    if (aheadMs > 0) await wait(aheadMs);
  }
  return { changesMs: changesMs.toSorted((a, b) => a - b), stale, servingBytes, load: await load.report() };
}

/** Memory in RAM, now and at most; 0 where the system doesn't say. */
async function memoryOf(pid: number): Promise<{ readonly bytes: number; readonly peakBytes: number }> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => "");
  const bytes = (field: string) =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1] ?? 0) * 1024;
  return { bytes: bytes("VmRSS"), peakBytes: bytes("VmHWM") };
}

/** 0 where the system doesn't say. */
async function cpuSecondsOf(pid: number): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "");
  // Behind the name in brackets: utime and stime are fields 14 and 15, in hundredths (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return stat === "" ? 0 : (Number(fields[11]) + Number(fields[12])) / 100;
}
