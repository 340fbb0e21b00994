/**
 * A node that is replaced while it is asked: `deno task prove replace [ROUNDS [QPS [CLIENTS]]]`.
 *
 * A real `serve`, the executable where `PLEIADES_EXECUTABLE` names it, answers dnsperf over UDP, clients that open a connection for each query, and clients that stay on theirs, a
 * tenth of them over TLS, while `serve --replace` takes its place again and again, each time from the process that came before.
 * Where this process may make a network device (root, in a namespace of its own: `unshare -n`), twenty more clients are
 * 300 ms away. No answer may be missing, no connection reset, no answer cut short. One client that asks over UDP alone follows a
 * rotation of three members through all of the processes; another reads the metrics, of which no counter may ever fall; a
 * third changes the model. At the end there is one process.
 *
 * After that the same is asked for as long of the last process, and nothing is replaced: what a busy machine loses by itself
 * stands beside it.
 *
 * A client that stays is told to leave by the end of its connection, between two answers. One that has asked at that very
 * moment asks again on another connection (RFC 7766 §6.2.4 has it so), which is counted and is no fault.
 *
 * @module
 */
import { parseSocketAddress, type SocketAddress } from "../../src/ip.ts";
import { kernelText } from "../../src/kernel_text.ts";
import { DnsLoad, isFlawless, type LoadReport } from "../dns_load.ts";
import { freePort } from "../free_port.ts";
import { selfSigned } from "../health/certificates.ts";
import { program } from "../programs.ts";
import { call } from "../rest.ts";
import { ServeProcess } from "../serve_process.ts";
import { Clients, FOLLOWED, OPENED, type Way } from "./replace/clients.ts";
import { DELAYED_HOST, DELAYED_PEER, DelayedNetwork } from "./replace/delayed_network.ts";

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
  /** Clients that are far away, half of either kind. */
  readonly delayed: number;
  /** Milliseconds from the beginning of one replacement to that of the next, unless one takes longer. */
  readonly intervalMs: number;
  /** Whether the same is asked for as long afterwards, and nothing replaced. */
  readonly hasControl: boolean;
}

/** What clients saw in a while. */
export interface Seen {
  readonly load: LoadReport;
  /** Queries over streams that were answered. */
  readonly answered: number;
  /** Those that were asked again, as the connection had ended between two answers. */
  readonly askedAgain: number;
  /** Connections that ended when nothing was asked. */
  readonly left: number;
  /** Changes that were made, and the longest time without one, milliseconds. */
  readonly written: number;
  readonly longestUnwrittenMs: number;
  /** A line for each connection that was reset or refused, and each answer that was cut short. */
  readonly faults: readonly string[];
  /** A line for each counter that fell. */
  readonly fallen: readonly string[];
  /** What the process at the end says of what wasn't answered. */
  readonly dropped: readonly string[];
}

/** What came of a run. */
export interface ReplaceReport {
  /** Without a replacement; `null` = it wasn't looked at. */
  readonly control: Seen | null;
  readonly replaced: Seen;
  /** Replacements that took place. */
  readonly rounds: number;
  /** From the beginning of the first one until the last process answered, and until the last but one had ended, milliseconds. */
  readonly replacedMs: number;
  readonly tookMs: number;
  /** How often each member was answered to the client that follows the rotation. */
  readonly rotation: readonly number[];
  /** Of each replacement, milliseconds. */
  readonly gaps: readonly Gap[];
  /** Seconds of a processor that a process took from its start to its end, on average; `null` = not known. */
  readonly cpuSeconds: number | null;
  /** Whether there were clients far away. */
  readonly isDelayed: boolean;
  /** Processes that run at the end. */
  readonly left: number;
}

/** One replacement, milliseconds. */
export interface Gap {
  /** For how long nothing was written. */
  readonly frozenMs: number;
  /** For how long no UDP was received. */
  readonly silentMs: number;
  /** From its beginning until the new process answered. */
  readonly startMs: number;
  /** What that process took of a processor by then; 0 = not known. */
  readonly cpuMs: number;
}

/** For each replacement: sixty in a minute. */
const PACE_MS = 1_000;
/** From the beginning of one to that of the next, so that the last of sixty is over within the minute, too. */
const INTERVAL_MS = 980;

/** Runs the proof; 60 replacements at 50,000 queries a second unless told otherwise. */
export async function prove(
  [rounds = "60", perSecond = "50000", clients = "250"]: string[],
): Promise<boolean> {
  const staying = Math.round(Number(clients) / 5);
  const report = await replace({
    ...{ rounds: Number(rounds), perSecond: Number(perSecond) },
    ...{
      opening: Number(clients) - staying,
      staying,
      delayed: 20,
      intervalMs: INTERVAL_MS,
      hasControl: true,
    },
  });
  print(report);
  return isGood(report) && report.isDelayed && report.gaps.every(({ frozenMs }) => frozenMs < 1_000) &&
    report.replacedMs <= report.rounds * PACE_MS;
}

function print(report: ReplaceReport): void {
  const { control, replaced, gaps } = report;
  const row = (title: string, figure: (seen: Seen) => unknown) =>
    console.log(
      title.padEnd(26) + String(control ? figure(control) : "").padEnd(26) + String(figure(replaced)),
    );
  console.log(`${"".padEnd(26)}${(control ? "nothing replaced" : "").padEnd(26)}replaced`);
  row("UDP sent", ({ load }) => load.sent);
  row("UDP answered a second", ({ load }) => load.perSecond.toFixed(0));
  row("UDP lost", ({ load }) => load.lost);
  row("response codes", ({ load }) => load.codes);
  row("streams answered", ({ answered }) => answered);
  row("streams asked again", ({ askedAgain }) => askedAgain);
  row("connections left", ({ left }) => left);
  row("faults", ({ faults }) => faults.length);
  row("counters fallen", ({ fallen }) => fallen.length);
  row("changes made", ({ written }) => written);
  row("longest without one, ms", ({ longestUnwrittenMs }) => longestUnwrittenMs.toFixed(0));
  for (const seen of [control, replaced]) {
    const kinds = Map.groupBy([...seen?.faults ?? [], ...seen?.fallen ?? []], (line) => line.slice(0, 100));
    for (const [kind, { length }] of [...kinds].slice(0, 20)) {
      console.log(`  ${seen === control ? "control" : "replaced"} ${length} × ${kind}`);
    }
  }
  for (const line of replaced.dropped) console.log(`  ${line}`);
  for (const line of control?.dropped ?? []) console.log(`  then ${line}`);
  const spread = (of: (gap: ReplaceReport["gaps"][number]) => number) => {
    const sorted = gaps.map(of).sort((a, b) => a - b);
    return `median ${sorted[sorted.length >> 1]} ms, longest ${sorted.at(-1)} ms`;
  };
  const seconds = (ms: number) => (ms / 1000).toFixed(1);
  console.log(`replacements              ${report.rounds} in ${seconds(report.replacedMs)} s`);
  console.log(`each of them              ${spread(({ startMs }) => Math.round(startMs))}`);
  console.log(`  of a processor          ${spread(({ cpuMs }) => cpuMs)}`);
  console.log(`  to the end, too         ${report.cpuSeconds?.toFixed(2) ?? "?"} s on average`);
  console.log(`the last one's end        after ${seconds(report.tookMs)} s`);
  console.log(`what runs                 ${program("pleiades") ?? "the sources"}`);
  console.log(`nothing written           ${spread(({ frozenMs }) => frozenMs)}`);
  console.log(`no UDP received           ${spread(({ silentMs }) => silentMs)}`);
  console.log(`rotation                  ${report.rotation.join(" ")}`);
  console.log(`clients 300 ms away       ${report.isDelayed ? "yes" : "no: a network device can't be made"}`);
  console.log(`processes left            ${report.left}`);
}

/** Whether nothing was lost. */
export function isGood({ replaced, rotation, left }: ReplaceReport): boolean {
  const { load, faults, fallen, answered } = replaced;
  const isEven = Math.max(...rotation) - Math.min(...rotation) <= 1;
  return isFlawless(load) && faults.length === 0 && isEven && fallen.length === 0 && left === 1 &&
    answered > 0;
}

const MEMBERS = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
const LOADED = "loaded.example.org";
/** One way to the far away clients and back is half of it. */
const DELAY_MS = 300;
/** One client in so many speaks TLS. */
const TLS_EVERY = 10;

/** Replaces a node under load. */
export async function replace(options: ReplaceOptions): Promise<ReplaceReport> {
  await using stack = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "pleiades-replace-" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const network = options.delayed > 0 ? await DelayedNetwork.open(DELAY_MS / 2) : null;
  if (network) stack.use(network);
  const { cert, key } = await selfSigned({ ipAddresses: ["127.0.0.1", DELAYED_PEER] });
  await Deno.writeTextFile(`${folder}/dns.crt`, cert);
  await Deno.writeTextFile(`${folder}/dns.key`, key);
  const tlsPort = freePort();
  const start = (args: readonly string[]) =>
    stack.use(ServeProcess.spawn({
      args: ["--db", `${folder}/pleiades.db`, ...args],
      executable: program("pleiades"),
      env: {
        // All clients have one address.
        PLEIADES_DNS_TCP_MAX_CONNECTIONS: "2000",
        PLEIADES_DNS_TCP_MAX_CONNECTIONS_PER_CLIENT: "2000",
        PLEIADES_DNS_TLS_CERT_FILE: `${folder}/dns.crt`,
        PLEIADES_DNS_TLS_KEY_FILE: `${folder}/dns.key`,
        PLEIADES_DNS_TLS_PORT: String(tlsPort),
      },
    }));
  const first = start(network ? ["--dns", "127.0.0.1:0", "--dns", `${DELAYED_HOST}:0`] : []);
  await first.ready();
  const started = [first];
  const poolId = await declare(first);
  const listeners = await listenersOf(first);
  const near = (transport: string) =>
    listeners.find((each) => each.transport === transport && each.isNear)!.address;
  const far = (transport: string): SocketAddress => ({
    hostname: DELAYED_PEER,
    port: listeners.find((each) => each.transport === transport && !each.isNear)!.address.port,
  });
  const ways = (at: typeof near, count: number): Way[] =>
    Array.from({ length: count }, (_, i) => {
      const isTls = i % TLS_EVERY === 0;
      return { server: at(isTls ? "tls" : "tcp"), caCerts: isTls ? [cert] : null };
    });
  const farOf = network ? options.delayed >> 1 : 0;
  const opening = [...ways(near, options.opening), ...ways(far, farOf)];
  const staying = [...ways(near, options.staying), ...ways(far, farOf)];

  /** What clients see as long as something goes on. */
  const watch = async (goesOn: () => Promise<ServeProcess>): Promise<{ clients: Clients; seen: Seen }> => {
    await using load = await DnsLoad.start({
      ...{ server: near("udp"), questions: [`${LOADED} A`], perSecond: options.perSecond, seconds: 3600 },
    });
    const clients = new Clients();
    const ending = new AbortController();
    const { signal } = ending;
    const running = Promise.all([
      ...opening.map((way) => clients.openEach(way, signal)),
      ...staying.map((way) => clients.stay(way, signal)),
      clients.follow(near("udp"), signal),
      clients.scrape(new URL("/metrics", first.api).href, signal),
      clients.write(first.api, poolId, signal),
    ]);
    const { api } = await goesOn();
    ending.abort();
    await running;
    const metrics = await fetch(new URL("/metrics", api)).then((response) => response.text());
    const dropped = metrics.split("\n").filter((line) =>
      /^pleiades_dns_(dropped|overloaded\w+|faults|workers_replaced)_total/.test(line) && !line.endsWith(" 0")
    );
    return { clients, seen: { ...figuresOf(clients), load: await load.stop(), dropped } };
  };

  let [replacedMs, tookMs] = [0, 0];
  const starts: Pick<Gap, "startMs" | "cpuMs">[] = [];
  let cpuSeconds: number | null = null;
  const { clients: { rotation }, seen: replaced } = await watch(async () => {
    const startMs = performance.now();
    const args = [
      "--replace",
      ...network ? ["--dns", `127.0.0.1:0`, "--dns", `${DELAYED_HOST}:0`] : [],
    ];
    for (let round = 0; round < options.rounds; round++) {
      const dueMs = startMs + round * options.intervalMs;
      await new Promise((resolve) => setTimeout(resolve, dueMs - performance.now()));
      const beganMs = performance.now();
      const next = start(args);
      started.push(next);
      await next.ready();
      starts.push({ startMs: performance.now() - beganMs, cpuMs: ticksOf(next.pid).own * TICK_MS });
    }
    replacedMs = performance.now() - startMs;
    for (const earlier of started.slice(0, -1)) await earlier.ended();
    tookMs = performance.now() - startMs;
    const { ended } = ticksOf(Deno.pid);
    cpuSeconds = ended === 0 ? null : ended * TICK_MS / 1000 / (started.length - 1);
    return started.at(-1)!;
  });
  const last = started.at(-1)!;
  const control = options.hasControl
    ? await watch(async () => {
      await new Promise((resolve) => setTimeout(resolve, tookMs));
      return last;
    })
    : null;
  const later = control?.clients.rotation;
  return {
    control: control?.seen ?? null,
    ...{ replaced, replacedMs, tookMs, rounds: started.length - 1, isDelayed: network !== null },
    rotation: MEMBERS.map((member) => (rotation.get(member) ?? 0) + (later?.get(member) ?? 0)),
    gaps: started.slice(1).map((each, i) => ({ ...gapsOf(each), ...starts[i]! })),
    cpuSeconds,
    left: started.filter(isRunning).length,
  };
}

function figuresOf(clients: Clients): Omit<Seen, "load" | "dropped"> {
  const { answered, askedAgain, left, written, longestUnwrittenMs, faults, fallen } = clients;
  return { answered, askedAgain, left, written, longestUnwrittenMs, faults, fallen };
}

/** Linux counts a hundred a second for programs. */
const TICK_MS = 10;

/** What a process took of a processor, and its children that have ended (proc_pid_stat(5)); 0 where the system doesn't tell. */
function ticksOf(pid: number): { readonly own: number; readonly ended: number } {
  const fields = (kernelText(`/proc/${pid}/stat`) ?? "").split(") ")[1]?.split(" ").map(Number) ?? [];
  const [own = 0, ownSystem = 0, ended = 0, endedSystem = 0] = fields.slice(11);
  return { own: own + ownSystem, ended: ended + endedSystem };
}

function gapsOf({ lines }: ServeProcess): Pick<Gap, "frozenMs" | "silentMs"> {
  const line = lines.find((line) => line.includes('"Took over"'));
  if (line === undefined) throw new Error(`a process doesn't say that it took over:\n${lines.join("\n")}`);
  return JSON.parse(line);
}

interface Listener {
  readonly transport: string;
  readonly address: SocketAddress;
  readonly isNear: boolean;
}

async function listenersOf({ api }: ServeProcess): Promise<Listener[]> {
  const status = await call<{ dns: { listeners: { transport: string; address: string }[] } }>(api, {
    ...{ method: "GET", path: "/status" },
  });
  return status.dns.listeners.map(({ transport, address: text }) => {
    const address = parseSocketAddress(text);
    return { transport, address, isNear: address.hostname === "127.0.0.1" };
  });
}

function isRunning({ pid }: ServeProcess): boolean {
  try {
    Deno.kill(pid, "SIGCONT");
    return true;
  } catch {
    return false;
  }
}

/** @returns the pool that is changed */
async function declare({ api }: ServeProcess): Promise<string> {
  const post = (path: string, json: unknown) =>
    call<{ readonly id: string }>(api, { method: "POST", path, json });
  const pool = await post("/pools", { name: "web" });
  for (const ipAddress of MEMBERS) {
    await post(`/pools/${pool.id}/members`, { ipAddress, port: 80 });
  }
  for (const domain of [OPENED, FOLLOWED, LOADED]) {
    await post("/services", { domain, poolId: pool.id });
  }
  return (await post("/pools", { name: "changed" })).id;
}
