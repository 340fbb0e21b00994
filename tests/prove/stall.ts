/**
 * The main thread never stands still: `deno task prove stall [SERVICES [SECONDS [PROBED]]]`.
 *
 * A real `serve` process with 100,000 services probes 1,000 members by TCP every second and is changed by turns, with a
 * rest after each change. In the first half a zone is put, a zone is deleted and the fallback is replaced; in the second
 * the settings are reloaded by SIGHUP, a model in which a fifth of all services differ is applied, and another one
 * is planned while a service is patched again and again. Processes of their own ask `/healthz` every
 * five milliseconds and a name over UDP five hundred times a second, and take the probes.
 *
 * What counts is what they see while a change is under way and shortly after it, beside what they see while the node rests: `/healthz` answers,
 * probes come in time, the change is in the next answer when the call returns, answers over UDP take no longer, and
 * the memory doesn't grow by more than a fifth with single edits, and never doubles where a whole snapshot is written
 * beside the present one.
 *
 * @module
 */
import { setTimeout as wait } from "node:timers/promises";
import { runQuery } from "../../src/dns_client.ts";
import { Store } from "../../src/store/store.ts";
import type { Message } from "../../src/wire/message.ts";
import { RCODE, TYPE } from "../../src/wire/record_type.ts";
import { program } from "../programs.ts";
import { call } from "../rest.ts";
import { ServeProcess } from "../serve_process.ts";
import { LineProcess } from "../store/line_process.ts";
import { nowMs, type TimedSample } from "./stall/process.ts";

/** How a run differs from the full one. */
export interface StallOptions {
  /** Each with a pool of two members of its own, which nothing probes. */
  readonly services: number;
  /** Of changes and rests; the round that has begun then is ended. */
  readonly seconds: number;
  /** Members that are probed every second. */
  readonly probed: number;
  /** Between two changes. */
  readonly restMs: number;
  /** Told what comes next. */
  readonly onStep: (step: string) => void;
}

/** What was seen while one kind of change was under way, or none was. */
export interface Row {
  /** Of the change; `rest` = none was under way. */
  readonly kind: string;
  /** How long each change took until the call returned, milliseconds, in ascending order. */
  readonly callsMs: readonly number[];
  /** From when a question to `/healthz` was due to its answer, milliseconds, in ascending order. */
  readonly healthzMs: readonly number[];
  /** By how much probes came later than their interval, milliseconds, in ascending order; zero or less is in time. */
  readonly probesLateMs: readonly number[];
  /** From a query over UDP to its answer, milliseconds, in ascending order. */
  readonly dnsMs: readonly number[];
}

/** What came of a run. */
export interface StallReport {
  /** The one of the rests is the first. */
  readonly rows: readonly Row[];
  /** A line for each answer that didn't show the change before it. */
  readonly stale: readonly string[];
  /** Of single edits, and of changes of the whole. */
  readonly memory: readonly [edits: Memory, wholes: Memory];
  /** Made one after the other while plans were. */
  readonly patches: Patches;
}

/** Changes of a service's TTL. */
interface Patches {
  /** Until each call returned, milliseconds. */
  readonly tookMs: number[];
  /** What was said to those that were refused. */
  readonly refused: string[];
}

/** Memory in RAM before some changes, and the most that there was since; bytes, 0 where the system doesn't say. */
interface Memory {
  readonly beforeBytes: number;
  readonly peakBytes: number;
}

const HEALTHZ_P99_MS_MAX = 50;
const PROBE_LATE_MS_MAX = 100;
const PATCH_P99_MS_MAX = 50;
const DNS_FACTOR_MAX = 1.2;
const EDITS_MEMORY_FACTOR_MAX = 1.2;
const WHOLES_MEMORY_FACTOR_MAX = 2;

const PROBE_INTERVAL_MS = 1_000;
const QUERIES_PER_SECOND = 500;
/** Until all probes have their rhythm, and what the start left behind is collected. */
const SETTLE_MS = 3_000;
/** Services of which one differs in an applied model. */
const APPLIED_SHARE = 5;

/** Runs the proof; 100,000 services, 60 seconds and 1,000 probed members unless told otherwise. */
export async function prove(
  [services = "100000", seconds = "60", probed = "1000"]: string[],
): Promise<boolean> {
  const report = await stall({
    services: Number(services),
    seconds: Number(seconds),
    probed: Number(probed),
    restMs: 500,
    onStep: (step) => console.log(step),
  });
  for (const line of tableOf(report.rows)) console.log(line);
  for (const line of [...report.stale, ...report.patches.refused].slice(0, 10)) console.log(`  ${line}`);
  const lines = judge(report);
  for (const { what, figure, bar, isMet } of lines) {
    console.log(`${what.padEnd(44)}${figure.padStart(12)}  ${bar.padEnd(10)}${isMet ? "ok" : "MISSED"}`);
  }
  return lines.every(({ isMet }) => isMet);
}

function tableOf(rows: readonly Row[]): string[] {
  const cells = (row: readonly string[]) =>
    row.map((cell, i) => i === 0 ? cell.padEnd(16) : cell.padStart(9)).join("");
  return [
    cells(["", "", "call", "", "healthz", "", "", "probe", "late", "UDP"]),
    cells(["milliseconds", "calls", "p50", "max", "p50", "p99", "max", "max", "> 100", "p99"]),
    ...rows.map(({ kind, callsMs, healthzMs, probesLateMs, dnsMs }) =>
      cells([
        kind,
        String(callsMs.length),
        ...[quantile(callsMs, 0.5), quantile(callsMs, 1)].map(figureOf),
        ...[0.5, 0.99, 1].map((share) => figureOf(quantile(healthzMs, share))),
        figureOf(quantile(probesLateMs, 1)),
        String(probesLateMs.filter((ms) => ms > PROBE_LATE_MS_MAX).length),
        figureOf(quantile(dnsMs, 0.99)),
      ])
    ),
  ];
}

interface Line {
  readonly what: string;
  readonly figure: string;
  readonly bar: string;
  readonly isMet: boolean;
}

function judge({ rows: [rest, ...changes], stale, memory: [edits, wholes], patches }: StallReport): Line[] {
  const all = (values: (row: Row) => readonly number[]) => ascending(changes.flatMap(values));
  const atMost = (what: string, value: number, max: number, unit: string): Line => ({
    what,
    figure: `${figureOf(value)} ${unit}`.trimEnd(),
    bar: `≤ ${figureOf(max)}`,
    isMet: value <= max,
  });
  const probesLate = ascending([...rest!.probesLateMs, ...all(({ probesLateMs }) => probesLateMs)]);
  const restP99 = quantile(rest!.dnsMs, 0.99);
  const memoryOf = (what: string, { beforeBytes, peakBytes }: Memory, factor: number) =>
    atMost(
      `memory with ${what}, ${(beforeBytes / 1e6).toFixed(0)} before`,
      peakBytes / 1e6,
      beforeBytes / 1e6 * factor,
      "MB",
    );
  return [
    atMost(
      "/healthz while something changes, p99",
      quantile(all((row) => row.healthzMs), 0.99),
      HEALTHZ_P99_MS_MAX,
      "ms",
    ),
    atMost("latest probe", Math.max(0, quantile(probesLate, 1)), PROBE_LATE_MS_MAX, "ms"),
    atMost("changes that the next answer didn't show", stale.length, 0, ""),
    atMost(
      "UDP while something changes, p99",
      quantile(all((row) => row.dnsMs), 0.99),
      restP99 * DNS_FACTOR_MAX,
      "ms",
    ),
    atMost(
      `PATCH while a plan is made, ${patches.tookMs.length} of them, p99`,
      quantile(ascending(patches.tookMs), 0.99),
      PATCH_P99_MS_MAX,
      "ms",
    ),
    atMost("PATCHes that were refused", patches.refused.length, 0, ""),
    memoryOf("edits", edits, EDITS_MEMORY_FACTOR_MAX),
    memoryOf("reloads, applies, plans", wholes, WHOLES_MEMORY_FACTOR_MAX),
  ];
}

function figureOf(value: number): string {
  if (Number.isNaN(value)) return "–";
  return Number.isInteger(value) || value >= 1000 ? value.toFixed(0) : value.toFixed(2);
}

function quantile(ascending: readonly number[], share: number): number {
  return ascending[Math.ceil(share * ascending.length) - 1] ?? NaN;
}

function ascending(values: readonly number[]): number[] {
  return values.toSorted((a, b) => a - b);
}

/** Changes a node by turns, and has it watched. */
export async function stall(options: StallOptions): Promise<StallReport> {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-stall-" });
  try {
    await using backends = new LineProcess(new URL("stall/backends.ts", import.meta.url), [
      String(options.probed),
      String(PROBE_INTERVAL_MS),
    ]);
    const ports: readonly number[] = JSON.parse((await backends.receive())!);
    options.onStep(`writing ${options.services.toLocaleString("en")} services`);
    writeDatabase(`${folder}/stall.db`, { services: options.services, ports });
    const files = new SettingsFiles(folder);
    await files.write(0);
    options.onStep("starting");
    await using serve = await ServeProcess.start({
      args: ["-c", files.settings, "--db", `${folder}/stall.db`],
      executable: program("pleiades"),
    });
    const edits = [putZone(serve), deleteZone(serve), replaceFallback(serve)];
    const patched = await createService(serve);
    const models = await writeModels(serve, folder);
    const patches: Patches = { tookMs: [], refused: [] };
    const wholes = [
      reloadSettings(serve, files),
      applyModel(serve, models),
      planModel(serve, { models, patched, patches }),
    ];
    await wait(SETTLE_MS);
    return { ...await watchChanges(serve, { edits, wholes }, { backends, options }), patches };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A kind of change, made with a new version each time. */
interface Kind {
  readonly name: string;
  /** Resolves when it is in effect. */
  readonly change: (version: number) => Promise<void>;
  readonly question: { readonly name: string; readonly type: number };
  /** Whether an answer is that of a version. */
  readonly fits: (message: Message, version: number) => boolean;
}

/** From when to when something changed, with half of the rest behind it: what a call leaves to be done counts, too. */
interface Span {
  readonly kind: string;
  readonly beginMs: number;
  readonly endMs: number;
  /** How long the call took. */
  readonly callMs: number;
}

async function watchChanges(
  serve: ServeProcess,
  { edits, wholes }: { readonly edits: readonly Kind[]; readonly wholes: readonly Kind[] },
  { backends, options }: { readonly backends: LineProcess; readonly options: StallOptions },
): Promise<Omit<StallReport, "patches">> {
  const { hostname, port } = serve.dns;
  await using healthz = new LineProcess(new URL("stall/healthz.ts", import.meta.url), [
    serve.api.replace("/api/v1", "/healthz"),
  ]);
  await using dns = new LineProcess(new URL("stall/dns.ts", import.meta.url), [
    ...[hostname, String(port)],
    ...[nameOf(0), String(QUERIES_PER_SECOND)],
  ]);
  const watchers = [healthz, dns];
  for (const watcher of watchers) await watcher.receive();
  const beginMs = nowMs();
  await wait(SETTLE_MS);
  const seen: Seen = { spans: [], stale: [] };
  options.onStep("editing");
  const memory = [
    await changeByTurns(serve, edits, { options, seen }),
    await changeByTurns(serve, wholes, { options, seen }),
  ] as const;
  const [healthzMs, dnsMs, probesLateMs] = await Promise.all(
    [...watchers, backends].map(async (watcher): Promise<TimedSample[]> => {
      const samples: TimedSample[] = JSON.parse((await watcher.ask("stop"))!);
      return samples.filter(([atMs]) => atMs >= beginMs);
    }),
  );
  return {
    rows: rowsOf(seen.spans, [...edits, ...wholes], {
      healthzMs: healthzMs!,
      dnsMs: dnsMs!,
      probesLateMs: probesLateMs!,
    }),
    ...{ stale: seen.stale, memory },
  };
}

/** What changes have brought so far. */
interface Seen {
  readonly spans: Span[];
  readonly stale: string[];
}

/** Makes changes of these kinds by turns for half of the time. */
async function changeByTurns(
  serve: ServeProcess,
  kinds: readonly Kind[],
  { options: { seconds, restMs }, seen: { spans, stale } }: {
    readonly options: StallOptions;
    readonly seen: Seen;
  },
): Promise<Memory> {
  await forgetPeak(serve.pid);
  const { bytes: beforeBytes } = await memoryOf(serve.pid);
  const beginMs = nowMs();
  for (let version = 1; version === 1 || nowMs() < beginMs + seconds * 500; version++) {
    for (const kind of kinds) {
      const beginMs = nowMs();
      await kind.change(version);
      const callMs = nowMs() - beginMs;
      const { message } = await runQuery({
        ...{ server: serve.dns, ...kind.question, class: 1 },
        ...{ ecs: null, tcp: false, udpSize: 1232, timeoutMs: 5000 },
      });
      if (!kind.fits(message, version)) {
        const said = message.answers.map(({ ttl, data }) => `${ttl} ${data}`).join(", ");
        stale.push(`${kind.name} ${version}: rcode ${message.rcode}, "${said}"`);
      }
      await wait(restMs / 2);
      spans.push({ kind: kind.name, beginMs, endMs: nowMs(), callMs });
      await wait(restMs / 2);
    }
  }
  return { beforeBytes, peakBytes: (await memoryOf(serve.pid)).peakBytes };
}

function rowsOf(
  spans: readonly Span[],
  kinds: readonly Kind[],
  samples: Readonly<Record<"healthzMs" | "dnsMs" | "probesLateMs", readonly TimedSample[]>>,
): Row[] {
  const byKind = (all: readonly TimedSample[]) => Map.groupBy(all, ([atMs]) => kindAt(spans, atMs));
  const [healthz, dns, probes] = [samples.healthzMs, samples.dnsMs, samples.probesLateMs].map(byKind);
  const valuesOf = (those: Map<string, TimedSample[]>, kind: string) =>
    ascending((those.get(kind) ?? []).map(([, value]) => value));
  return [REST, ...kinds.map(({ name }) => name)].map((kind) => ({
    kind,
    callsMs: ascending(spans.filter((span) => span.kind === kind).map(({ callMs }) => callMs)),
    healthzMs: valuesOf(healthz!, kind),
    probesLateMs: valuesOf(probes!, kind),
    dnsMs: valuesOf(dns!, kind),
  }));
}

const REST = "rest";

/** What was under way at a time; spans are in the order of time and don't overlap. */
function kindAt(spans: readonly Span[], atMs: number): string {
  let low = 0;
  for (let high = spans.length; low < high;) {
    const middle = (low + high) >> 1;
    if (spans[middle]!.endMs < atMs) low = middle + 1;
    else high = middle;
  }
  const span = spans[low];
  return span !== undefined && span.beginMs <= atMs ? span.kind : REST;
}

/** A small zone that shows a version. */
function zoneText(version: number): string {
  return `$TTL 60\n@ SOA ns1 hostmaster ${version} 1h 10m 1w 1m\n@ NS ns1\nns1 A 192.0.2.53\n@ TXT "${version}"\n`;
}

function putZone({ api }: ServeProcess): Kind {
  return {
    name: "put a zone",
    change: async (version) => {
      await call(api, { method: "PUT", path: "/zones/put.example", zone: zoneText(version) });
    },
    question: { name: "put.example", type: TYPE.TXT },
    fits: ({ answers }, version) => answers.length === 1 && answers[0]!.data === `"${version}"`,
  };
}

function deleteZone({ api }: ServeProcess): Kind {
  return {
    name: "delete a zone",
    change: async () => {
      await call(api, { method: "DELETE", path: "/zones/put.example?force=true&reason=proof" });
    },
    question: { name: "put.example", type: TYPE.TXT },
    fits: ({ rcode }) => rcode === RCODE.REFUSED,
  };
}

function replaceFallback({ api }: ServeProcess): Kind {
  const addressOf = (version: number) => `203.0.${version >> 8 & 255}.${version & 255}`;
  return {
    name: "edit fallback",
    change: async (version) => {
      const json = { algorithm: "round-robin", endpoints: [addressOf(version)] };
      await call(api, { method: "PUT", path: "/fallback", json });
    },
    question: { name: "nothing-else.fallback.example", type: TYPE.A },
    fits: ({ answers }, version) => answers.length === 1 && answers[0]!.data === addressOf(version),
  };
}

/** The settings and the zone file that they name. */
class SettingsFiles {
  readonly settings: string;
  readonly #zone: string;

  constructor(folder: string) {
    this.settings = `${folder}/settings.yaml`;
    this.#zone = `${folder}/file.zone`;
  }

  async write(version: number): Promise<void> {
    await Deno.writeTextFile(this.#zone, zoneText(version));
    await Deno.writeTextFile(
      this.settings,
      "dns:\n  domain: [example.org, fallback.example]\n" +
        `  zones: [{ domain: file.example, file: ${this.#zone} }]\n`,
    );
  }
}

function reloadSettings(serve: ServeProcess, files: SettingsFiles): Kind {
  const gone = serve.ended().then(({ code }) => {
    throw new Error(`serve ended with code ${code}`);
  });
  gone.catch(() => {}); // at the end it is to be gone
  return {
    name: "reload by SIGHUP",
    change: async (version) => {
      await files.write(version);
      const heard = serve.nextLine((line) => /"(Reloaded|Not reloaded)/.test(line));
      serve.kill("SIGHUP");
      const line = await Promise.race([heard, gone]);
      if (line.includes("Not reloaded")) throw new Error(`SIGHUP with version ${version}: ${line}`);
    },
    question: { name: "file.example", type: TYPE.TXT },
    fits: ({ answers }, version) => answers.length === 1 && answers[0]!.data === `"${version}"`,
  };
}

/** The service that is patched; the models have it, too. */
async function createService({ api }: ServeProcess): Promise<string> {
  const json = { domain: PATCHED, ttl: 1 };
  const { id } = await call<{ readonly id: string }>(api, { method: "POST", path: "/services", json });
  return id;
}

const PATCHED = "patched.example.org";

/** The whole model, in two files with different TTLs for a part of its services. */
async function writeModels({ api }: ServeProcess, folder: string): Promise<readonly [string, string]> {
  const files = [`${folder}/even.ndjson`, `${folder}/odd.ndjson`] as const;
  const exported = await fetch(`${api}/model`, { headers: { accept: "application/x-ndjson" } });
  const writeLines = async (lines: readonly string[]) => {
    for (const [version, file] of files.entries()) {
      const text = lines.map((line) => `${withTtl(line, ttlOf(version))}\n`).join("");
      await Deno.writeTextFile(file, text, { append: true });
    }
  };
  let rest = "";
  for await (const chunk of exported.body!.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop()!;
    await writeLines(lines);
  }
  return files;
}

function ttlOf(version: number): number {
  return 100 + version % 2;
}

async function send(url: string, path: string): Promise<void> {
  using file = await Deno.open(path);
  const response = await fetch(url, {
    method: "POST",
    body: file.readable,
    headers: { "content-type": "application/x-ndjson" },
  });
  const said = await response.text();
  if (!response.ok) throw new Error(`POST ${url}: ${response.status} ${said.slice(0, 1000)}`);
}

/** The whole model, by turns with two TTLs for a part of its services. */
function applyModel({ api }: ServeProcess, models: readonly string[]): Kind {
  return {
    name: "apply a model",
    change: (version) => send(`${api}/apply?force=true&reason=proof`, models[version % 2]!),
    question: { name: nameOf(0), type: TYPE.A },
    fits: ({ answers }, version) => answers.length === 1 && answers[0]!.ttl === ttlOf(version),
  };
}

/** A plan of the model that isn't in effect, while a service is patched, again and again. */
function planModel({ api }: ServeProcess, { models, patched, patches }: {
  readonly models: readonly string[];
  readonly patched: string;
  readonly patches: Patches;
}): Kind {
  return {
    name: "plan a model",
    change: async (version) => {
      let isPlanning = true;
      const planned = send(`${api}/plan`, models[(version + 1) % 2]!).finally(() => isPlanning = false);
      planned.catch(() => {}); // is waited for below
      while (isPlanning) {
        const beginMs = nowMs();
        const json = { ttl: 1 + patches.tookMs.length };
        await call(api, { method: "PATCH", path: `/services/${patched}`, json })
          .catch(({ message }) => patches.refused.push(message));
        patches.tookMs.push(nowMs() - beginMs);
      }
      await planned;
    },
    // The plan must have changed nothing.
    question: { name: nameOf(0), type: TYPE.A },
    fits: ({ answers }, version) => answers.length === 1 && answers[0]!.ttl === ttlOf(version),
  };
}

/** A line of a model with another TTL, if it is one of the services to change. */
function withTtl(line: string, ttl: number): string {
  const [, number] = /"domain":"s(\d+)\./.exec(line) ?? [];
  if (number === undefined || Number(number) % APPLIED_SHARE !== 0) return line;
  const { service } = JSON.parse(line);
  return JSON.stringify({ service: { ...service, ttl } });
}

function nameOf(service: number): string {
  return `s${service}.example.org`;
}

/** Members of each pool that is probed. */
const PROBED_PER_POOL = 10;

/** Objects as `config apply` leaves them, written in a fraction of the time. */
function writeDatabase(
  path: string,
  { services, ports }: { readonly services: number; readonly ports: readonly number[] },
): void {
  using store = Store.open(path);
  store.prepareForBulk();
  store.database.transact(() => {
    store.database.exec(`
      UPDATE meta SET generation = 1, committing = 1;
      CREATE TEMP TABLE numbered AS
        WITH RECURSIVE numbers(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i < ${services - 1})
        SELECT i, lower(hex(randomblob(16))) AS id FROM numbers;
      INSERT INTO pools (id, name) SELECT id, 'pool-' || i FROM numbered ORDER BY i;
      INSERT INTO members (id, pool_id, ip_address, port)
        SELECT lower(hex(randomblob(16))), id,
          (10 + k) || '.' || (i >> 16 & 255) || '.' || (i >> 8 & 255) || '.' || (i & 255), 443
        FROM numbered, (SELECT 0 AS k UNION ALL SELECT 1) ORDER BY i, k;
      INSERT INTO services (id, domain, pool_id, reversed_domain)
        SELECT lower(hex(randomblob(16))), 's' || i || '.example.org', id, 'org.example.s' || i
        FROM numbered ORDER BY i;
      INSERT INTO history (generation, at, via, "by", reason) VALUES (1, 0, 'prove', '', '');
    `);
    for (const [i, port] of ports.entries()) {
      const pool = `probed-${Math.floor(i / PROBED_PER_POOL)}`;
      if (i % PROBED_PER_POOL === 0) {
        store.database.run("INSERT INTO pools (id, name) VALUES (lower(hex(randomblob(16))), ?)", pool);
        store.database.run(
          "INSERT INTO health_checks (pool_id, interval_ms, timeout_ms) " +
            `SELECT id, ${PROBE_INTERVAL_MS}, ${PROBE_INTERVAL_MS / 2} FROM pools WHERE name = ?`,
          pool,
        );
      }
      store.database.run(
        "INSERT INTO members (id, pool_id, ip_address, port) " +
          "SELECT lower(hex(randomblob(16))), id, '127.0.0.1', ? FROM pools WHERE name = ?",
        port,
        pool,
      );
    }
    store.database.exec("UPDATE meta SET committing = 0");
  });
  store.checkpoint();
}

/** Memory in RAM, now and at most since `forgetPeak`; 0 where the system doesn't say. */
async function memoryOf(pid: number): Promise<{ readonly bytes: number; readonly peakBytes: number }> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => "");
  const bytes = (field: string) =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1] ?? 0) * 1024;
  return { bytes: bytes("VmRSS"), peakBytes: bytes("VmHWM") };
}

/** Begins to look for the most memory anew (proc(5), `clear_refs`), where the system can do that. */
async function forgetPeak(pid: number): Promise<void> {
  await Deno.writeTextFile(`/proc/${pid}/clear_refs`, "5", { create: false }).catch(() => {});
}
