/**
 * Observations wake nothing: `deno task prove observations [SECONDS [PER_SECOND [SERVICES]]]`.
 *
 * A real `serve` process with 10,000 services rests for half a minute. Then this process writes 1,000 verdicts a second
 * into its database, each in a transaction of its own as a node writes them, addresses of names among them. The node
 * must publish nothing, and take hardly more processor time than it did before. Meanwhile real changes come the same way
 * and by hand, as `sqlite3` makes them: each must be noticed within the second that the documentation gives it.
 *
 * @module
 */
import { setTimeout as wait } from "node:timers/promises";
import { Changes } from "../../src/change/commit.ts";
import type { Edit } from "../../src/change/edit.ts";
import { systemClock } from "../../src/clock.ts";
import { runQuery } from "../../src/dns_client.ts";
import { newId } from "../../src/model/id.ts";
import { SERVICE_DEFAULTS } from "../../src/model/model.ts";
import { backup } from "../../src/store/backup.ts";
import { Store } from "../../src/store/store.ts";
import { RCODE, TYPE } from "../../src/wire/record_type.ts";
import { ORIGIN, poolFields } from "../change/samples.ts";
import { program } from "../programs.ts";
import { ServeProcess } from "../serve_process.ts";

/** How a run differs from the full one. */
export interface ObservationOptions {
  /** Of resting, and of writing. */
  readonly seconds: number;
  /** Observations written. */
  readonly perSecond: number;
  /** Each with a pool of its own. */
  readonly services: number;
  /** Changes by another process while observations are written. */
  readonly changes: number;
}

/** What came of a run. */
export interface ObservationReport {
  /** Transactions of observations. */
  readonly written: number;
  /** What the node published while there was nothing but observations. */
  readonly published: number;
  /** Of the node, a second: while it rested, and while observations were written. */
  readonly restCpu: number;
  readonly busyCpu: number;
  /** From a commit of another process to the answer that shows it, milliseconds. */
  readonly commitsMs: readonly number[];
  /** The same for a row that was written by hand. */
  readonly byHandMs: readonly number[];
  /** Of the write-ahead log at the end, bytes. */
  readonly logBytes: number;
  /** Whether a backup that is taken meanwhile holds the observations. */
  readonly isBackedUp: boolean;
}

/** From a commit to the answers: a look every half a second, and what is touched written in place. */
const COMMIT_SEEN_MS_MAX = 1_000;
/** From a row by hand to the answers: the same, and the whole snapshot. */
const BY_HAND_SEEN_MS_MAX = 2_000;
/** Of a processor, more than at rest; publishing at each look would take most of one. */
const CPU_MAX = 0.05;
/** SQLite begins to write its log from the front again after 1,000 pages of 4 KiB. */
const LOG_BYTES_MAX = 16 << 20;
const ASK_EVERY_MS = 5;
/** Targets and names that are observed. */
const OBSERVED = 1_000;
const TICK_MS = 10;

/** Runs the proof; 30 seconds, 1,000 observations a second and 10,000 services unless told otherwise. */
export async function prove(
  [seconds = "30", perSecond = "1000", services = "10000"]: string[],
): Promise<boolean> {
  const report = await observe({
    seconds: Number(seconds),
    perSecond: Number(perSecond),
    services: Number(services),
    changes: 10,
  });
  const { written, published, restCpu, busyCpu, commitsMs, byHandMs, logBytes, isBackedUp } = report;
  const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
  console.log(`observations written   ${written} in ${seconds} s`);
  console.log(`published meanwhile    ${published}`);
  console.log(`processor              ${percent(busyCpu)}, at rest ${percent(restCpu)}`);
  console.log(`commits seen           ${commitsMs.map(Math.round).join(", ")} ms`);
  console.log(`rows by hand seen      ${byHandMs.map(Math.round).join(", ")} ms`);
  console.log(`write-ahead log        ${(logBytes / 1e6).toFixed(1)} MB`);
  console.log(`backup has them        ${isBackedUp ? "yes" : "no"}`);
  return written >= Number(seconds) * Number(perSecond) * 0.9 && published === 0 &&
    busyCpu - restCpu <= CPU_MAX && Math.max(...commitsMs) <= COMMIT_SEEN_MS_MAX &&
    Math.max(...byHandMs) <= BY_HAND_SEEN_MS_MAX &&
    logBytes <= LOG_BYTES_MAX && isBackedUp;
}

/** Observes beside a node. */
export async function observe(options: ObservationOptions): Promise<ObservationReport> {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-observations-" });
  try {
    const path = `${folder}/shared.db`;
    declare(path, options.services);
    await using serve = await ServeProcess.start({
      args: ["--db", path],
      executable: program("pleiades"),
    });
    using store = Store.open(path);
    const writer = new Writer(store, options.perSecond);
    const restCpu = await cpuWhile(serve.pid, () => wait(options.seconds * 1000));
    const before = await publishedBy(serve);
    const busyCpu = await cpuWhile(serve.pid, () => writer.writeFor(options.seconds * 1000));
    const { written } = writer;
    const domain = "last.example.net";
    const changes = new Changes({ store, clock: systemClock });
    await seenAfter(serve, domain, () => void changes.commit(serviceOf(domain), ORIGIN));
    // Once for that commit, whose answer shows that the node has looked.
    const published = await publishedBy(serve) - before - 1;
    await backup(store, `${folder}/copy.db`);
    using copy = Store.open(`${folder}/copy.db`);
    const isBackedUp = copy.verdicts.get(targetOf(0)) !== null;
    const seen = await changeMeanwhile(serve, store, { writer, count: options.changes });
    const { size: logBytes } = await Deno.stat(`${path}-wal`);
    return { written, published, restCpu, busyCpu, ...seen, logBytes, isBackedUp };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function declare(path: string, services: number): void {
  using store = Store.open(path);
  const changes = new Changes({ store, clock: systemClock });
  const edits = Array.from({ length: services }, (_, i) => serviceOf(`s${i}.example.org`));
  changes.commit(edits.flat(), ORIGIN);
}

/** The edits that make a service with a pool of its own. */
function serviceOf(domain: string): Edit[] {
  const poolId = newId();
  return [
    { kind: "createPool", id: poolId, fields: poolFields({ name: domain }) },
    { kind: "createService", id: newId(), fields: { ...SERVICE_DEFAULTS, domain, poolId } },
  ];
}

/** Writes observations at a pace. */
class Writer {
  readonly #store: Store;
  readonly #perSecond: number;
  /** Transactions so far. */
  written = 0;

  constructor(store: Store, perSecond: number) {
    this.#store = store;
    this.#perSecond = perSecond;
  }

  async writeFor(ms: number): Promise<void> {
    const ending = new AbortController();
    const writing = this.writeUntil(ending.signal);
    await wait(ms);
    ending.abort();
    await writing;
  }

  async writeUntil(signal: AbortSignal): Promise<void> {
    const startMs = performance.now();
    for (let count = 0; !signal.aborted;) {
      const due = (performance.now() - startMs) / 1000 * this.#perSecond;
      for (; count < due && !signal.aborted; count++) this.#write(count);
      await wait(TICK_MS);
    }
  }

  #write(count: number): void {
    const number = count % OBSERVED;
    this.written++;
    if (count % 10 === 9) {
      const addresses = [`192.0.2.${count % 251}`];
      return this.#store.resolvedNames.save([[`name${number}.example.net`, addresses]]);
    }
    const nowMs = Date.now();
    this.#store.verdicts.save([[targetOf(number), {
      state: count % 2 === 0 ? "healthy" : "unhealthy",
      ...{ since: nowMs, lastError: null, latencyMs: 1, checkedAt: nowMs },
    }]]);
  }
}

function targetOf(number: number): string {
  return `tcp 192.0.2.${number & 255} ${1024 + (number >> 8)}`;
}

/** Commits and writes by hand while observations are written, and waits for each change to be answered. */
async function changeMeanwhile(
  serve: ServeProcess,
  store: Store,
  { writer, count }: { readonly writer: Writer; readonly count: number },
): Promise<Pick<ObservationReport, "commitsMs" | "byHandMs">> {
  const ending = new AbortController();
  const writing = writer.writeUntil(ending.signal);
  const changes = new Changes({ store, clock: systemClock });
  const commitsMs: number[] = [];
  const byHandMs: number[] = [];
  try {
    for (let i = 0; i < count; i++) {
      const domain = `new${i}.example.net`;
      commitsMs.push(
        await seenAfter(serve, domain, () => void changes.commit(serviceOf(domain), ORIGIN)),
      );
      const handmade = `hand${i}.example.net`;
      byHandMs.push(
        await seenAfter(serve, handmade, () => {
          const sql = "INSERT INTO services (id, domain) VALUES (lower(hex(randomblob(16))), ?)";
          store.database.run(sql, handmade);
        }),
      );
    }
  } finally {
    ending.abort();
    await writing;
  }
  return { commitsMs, byHandMs };
}

/** How long it takes until a name is answered, milliseconds. */
async function seenAfter(serve: ServeProcess, name: string, change: () => void): Promise<number> {
  change();
  const startMs = performance.now();
  for (;;) {
    const { message } = await runQuery({
      ...{ server: serve.dns, name, type: TYPE.A, class: 1 },
      ...{ ecs: null, tcp: false, udpSize: 1232, timeoutMs: 5_000 },
    });
    if (message.rcode !== RCODE.REFUSED) return performance.now() - startMs;
    await wait(ASK_EVERY_MS);
  }
}

/** How often the node has published so far. */
async function publishedBy({ api }: ServeProcess): Promise<number> {
  const text = await (await fetch(api.replace("/api/v1", "/metrics"))).text();
  const line = /^pleiades_config_reloads_total\{[^}]*result="success"[^}]*\} (\d+)$/m.exec(text);
  return Number(line?.[1] ?? 0);
}

/** Processor seconds a second of all threads; 0 where the system doesn't say. */
async function cpuWhile(pid: number, work: () => Promise<void>): Promise<number> {
  const before = await cpuSecondsOf(pid);
  const startMs = performance.now();
  await work();
  const cpu = await cpuSecondsOf(pid) - before;
  return cpu / ((performance.now() - startMs) / 1000);
}

async function cpuSecondsOf(pid: number): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "");
  // Behind the name in brackets: utime and stime are fields 14 and 15, in hundredths (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return stat === "" ? 0 : (Number(fields[11]) + Number(fields[12])) / 100;
}
