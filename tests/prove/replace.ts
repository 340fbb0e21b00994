/**
 * A node that is replaced while it is asked: `deno task prove replace [ROUNDS [QPS]]`.
 *
 * A real `serve` answers dnsperf over UDP, clients that open a connection for each query, and clients that stay on theirs,
 * while `serve --replace` takes its place again and again, each time from the process that came before. No answer may be
 * missing, no connection reset, no answer cut short. One client that asks over UDP alone follows a rotation of three members
 * through all of the processes; another reads the metrics, of which no counter may ever fall. At the end there is one
 * process.
 *
 * A client that stays is told to leave by the end of its connection, between two answers. One that has asked at that very
 * moment asks again on another connection (RFC 7766 §6.2.4 has it so), which is counted and is no fault.
 *
 * @module
 */
import { runQuery } from "../../src/dns_client.ts";
import type { SocketAddress } from "../../src/ip.ts";
import { CLASS, TYPE } from "../../src/wire/record_type.ts";
import { DnsLoad, isFlawless, type LoadReport, printLoad } from "../dns_load.ts";
import { program } from "../programs.ts";
import { call } from "../rest.ts";
import { ServeProcess } from "../serve_process.ts";
import { query } from "../dns/packets.ts";

/** How a run differs from the full one. */
export interface ReplaceOptions {
  /** Replacements. */
  readonly rounds: number;
  /** Queries offered over UDP. */
  readonly perSecond: number;
  /** Clients that open a connection for each query. */
  readonly opening: number;
  /** Clients that stay on theirs. */
  readonly staying: number;
  /** Milliseconds from one replacement to the next, at least. */
  readonly pauseMs: number;
}

/** What came of a run. */
export interface ReplaceReport {
  readonly load: LoadReport;
  /** Replacements that took place. */
  readonly rounds: number;
  /** Queries of clients over streams that were answered. */
  readonly answered: number;
  /** Those that were asked again, as the connection had ended between two answers. */
  readonly askedAgain: number;
  /** A line for each connection that was reset or refused, and each answer that was cut short. */
  readonly faults: readonly string[];
  /** How often each member was answered to the client that follows the rotation. */
  readonly rotation: readonly number[];
  /** A line for each counter that fell. */
  readonly fallen: readonly string[];
  /** What the last process says of what wasn't answered. */
  readonly dropped: readonly string[];
  /** Milliseconds from the start of a process to its first answer. */
  readonly slowestMs: number;
  /** Processes that run at the end. */
  readonly left: number;
}

/** Runs the proof; 60 replacements at 50,000 queries a second unless told otherwise. */
export async function prove([rounds = "60", perSecond = "50000"]: string[]): Promise<boolean> {
  const report = await replace({
    rounds: Number(rounds),
    perSecond: Number(perSecond),
    opening: 200,
    staying: 50,
    pauseMs: 1_000,
  });
  printLoad(report.load);
  console.log(`replacements       ${report.rounds}, the slowest in ${report.slowestMs.toFixed(0)} ms`);
  console.log(`over streams       ${report.answered} answered, ${report.askedAgain} of them asked again`);
  console.log(`faults             ${report.faults.length}`);
  for (const fault of report.faults.slice(0, 10)) console.log(`  ${fault}`);
  console.log(`rotation           ${report.rotation.join(" ")}`);
  console.log(`counters fallen    ${report.fallen.length}`);
  for (const line of report.fallen.slice(0, 10)) console.log(`  ${line}`);
  for (const line of report.dropped) console.log(`  ${line}`);
  console.log(`processes left     ${report.left}`);
  return isGood(report);
}

/** Whether nothing was lost. */
export function isGood({ load, faults, rotation, fallen, left, answered }: ReplaceReport): boolean {
  const isEven = Math.max(...rotation) - Math.min(...rotation) <= 1;
  return isFlawless(load) && faults.length === 0 && isEven && fallen.length === 0 && left === 1 &&
    answered > 0;
}

/** All clients have one address. */
const ENV = {
  PLEIADES_DNS_TCP_MAX_CONNECTIONS: "2000",
  PLEIADES_DNS_TCP_MAX_CONNECTIONS_PER_CLIENT: "2000",
};
const MEMBERS = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
const OPENED = "opened.example.org";
const FOLLOWED = "followed.example.org";
const LOADED = "loaded.example.org";

/** Replaces a node under load. */
export async function replace(options: ReplaceOptions): Promise<ReplaceReport> {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-replace-" });
  const started: ServeProcess[] = [];
  try {
    const args = ["--db", `${folder}/pleiades.db`];
    const executable = program("pleiades");
    let present = await ServeProcess.start({ args, executable, env: ENV });
    started.push(present);
    await declare(present);
    await using load = await DnsLoad.start({
      server: present.dns,
      questions: [`${LOADED} A`],
      perSecond: options.perSecond,
      seconds: 3600,
    });
    const clients = new Clients(present.dns);
    const ending = new AbortController();
    const running = Promise.all([
      ...Array.from({ length: options.opening }, () => clients.openEach(ending.signal)),
      ...Array.from({ length: options.staying }, () => clients.stay(ending.signal)),
      clients.follow(ending.signal),
      clients.scrape(new URL("/metrics", present.api).href, ending.signal),
    ]);
    let slowestMs = 0;
    let rounds = 0;
    for (; rounds < options.rounds; rounds++) {
      const paused = new Promise((resolve) => setTimeout(resolve, options.pauseMs));
      const startMs = performance.now();
      const next = ServeProcess.spawn({
        args: [
          ...args,
          "--replace",
          "--dns",
          `127.0.0.1:${present.dns.port}`,
          "--api",
          new URL(present.api).host,
        ],
        executable,
        env: ENV,
      });
      started.push(next);
      await next.ready();
      slowestMs = Math.max(slowestMs, performance.now() - startMs);
      present = next;
      await paused;
    }
    for (const earlier of started.slice(0, -1)) await earlier.ended();
    ending.abort();
    await running;
    const metrics = await fetch(new URL("/metrics", present.api)).then((response) => response.text());
    const dropped = metrics.split("\n").filter((line) =>
      /^pleiades_dns_(dropped|overloaded\w+|faults|workers_replaced)_total/.test(line) && !line.endsWith(" 0")
    );
    const { answered, askedAgain, faults, rotation, fallen } = clients;
    return {
      load: await load.stop(),
      ...{ rounds, answered, askedAgain, faults, fallen, dropped, slowestMs },
      rotation: MEMBERS.map((member) => rotation.get(member) ?? 0),
      left: started.filter(isRunning).length,
    };
  } finally {
    for (const each of started) await each[Symbol.asyncDispose]();
    await Deno.remove(folder, { recursive: true });
  }
}

function isRunning({ pid }: ServeProcess): boolean {
  try {
    Deno.kill(pid, "SIGCONT");
    return true;
  } catch {
    return false;
  }
}

async function declare({ api }: ServeProcess): Promise<void> {
  const post = (path: string, json: unknown) =>
    call<{ readonly id: string }>(api, { method: "POST", path, json });
  const pool = await post("/pools", { name: "web" });
  for (const ipAddress of MEMBERS) {
    await post(`/pools/${pool.id}/members`, { ipAddress, port: 80 });
  }
  for (const domain of [OPENED, FOLLOWED, LOADED]) {
    await post("/services", { domain, poolId: pool.id });
  }
}

/** Time for an answer; a client gives up after five seconds. */
const ANSWER_MS = 5_000;
/** Between two queries of a client that opens connections, and of one that stays. */
const OPEN_PAUSE_MS = 100;
const STAY_PAUSE_MS = 50;

/** Whoever asks beside dnsperf. */
class Clients {
  answered = 0;
  askedAgain = 0;
  readonly faults: string[] = [];
  readonly fallen: string[] = [];
  readonly rotation = new Map<string, number>();
  readonly #server: SocketAddress;
  readonly #query = framed(OPENED);

  constructor(server: SocketAddress) {
    this.#server = server;
  }

  async openEach(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        using connection = await this.#connect();
        if (!await this.#exchange(connection)) this.faults.push("opened: ended without an answer");
      } catch (error) {
        this.faults.push(`opened: ${error}`);
      }
      await pause(OPEN_PAUSE_MS);
    }
  }

  async stay(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        using connection = await this.#connect();
        while (!signal.aborted) {
          if (!await this.#exchange(connection)) {
            this.askedAgain++;
            break;
          }
          await pause(STAY_PAUSE_MS);
        }
      } catch (error) {
        this.faults.push(`stayed: ${error}`);
        await pause(STAY_PAUSE_MS);
      }
    }
  }

  /** The only client of its service, so that each answer is the next of the rotation. */
  async follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const { message } = await runQuery({
          server: this.#server,
          ...{ name: FOLLOWED, type: TYPE.A, class: CLASS.IN, ecs: null, tcp: false, udpSize: 1232 },
          timeoutMs: ANSWER_MS,
          signal: AbortSignal.timeout(ANSWER_MS),
        });
        const member = message.answers.map(({ data }) => String(data)).join();
        this.rotation.set(member, (this.rotation.get(member) ?? 0) + 1);
      } catch (error) {
        this.faults.push(`followed: ${error}`);
      }
      await pause(5);
    }
  }

  async scrape(url: string, signal: AbortSignal): Promise<void> {
    const before = new Map<string, number>();
    while (!signal.aborted) {
      try {
        const text = await fetch(url, { headers: { connection: "close" } }).then((response) =>
          response.text()
        );
        for (const [, series, value] of text.matchAll(/^(\w+_(?:total|count|sum|bucket)\S*) (\S+)$/gm)) {
          const now = Number(value);
          const last = before.get(series!);
          if (last !== undefined && now < last) this.fallen.push(`${series}: ${last} → ${now}`);
          before.set(series!, now);
        }
      } catch (error) {
        this.faults.push(`metrics: ${error}`);
      }
      await pause(100);
    }
  }

  #connect(): Promise<Deno.TcpConn> {
    return Deno.connect({ ...this.#server, transport: "tcp" });
  }

  /** @returns false = the connection ended between two answers */
  async #exchange(connection: Deno.TcpConn): Promise<boolean> {
    await connection.write(this.#query);
    const answer = new Uint8Array(512);
    let size = 0;
    for (;;) {
      const count = await connection.read(answer.subarray(size));
      if (count === null) {
        if (size > 0) throw new Error(`an answer was cut after ${size} bytes`);
        return false;
      }
      size += count;
      if (size >= 2 && size >= 2 + (answer[0]! << 8 | answer[1]!)) break;
    }
    this.answered++;
    return true;
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function framed(name: string): Uint8Array {
  const message = query(name, "A");
  const bytes = new Uint8Array(2 + message.length);
  new DataView(bytes.buffer).setUint16(0, message.length);
  bytes.set(message, 2);
  return bytes;
}
