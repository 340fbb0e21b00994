/**
 * Ours beside other DNS servers and beside a bare C echo of the same packets, all with the same zone.
 *
 * Servers run on one core, the load on another; the rounds of all are interleaved, and each begins with another server, so that what
 * else the machine does hits all alike. Absolute figures are those of a noisy machine: the result is the ratio to the
 * echo in the same round. The median over rounds is a run's figure; over runs median and range are told.
 *
 * Each round has five parts:
 *
 * - *full*: as fast as the server can, by `flood.c`, with hundreds of questions under way; it is the server that is the
 *   limit, unless its share of the core says otherwise.
 * - *small batches*: the same with eight questions under way on each socket.
 * - *many clients*: as *full*, with each question from another address, so that no two answers can be sent together.
 * - *steady*: 50,000 queries a second by dnsperf: CPU time per answer at the same work for all, waiting included.
 * - *calm*: 20,000 queries a second by dnsperf, for latency.
 *
 * Every question has an OPT record (RFC 6891), as nearly all that resolvers send have; `--plain` leaves it out. Ours are the
 * fleet alone and the whole node, from the sources and, where it was compiled, as the executable.
 *
 * Workload (c) has the first three parts only, since dnsperf can't give each query a client subnet of its own, and only those
 * servers that steer by place.
 *
 * ```text
 * deno task bench dns [--workload a|b|c|d|all] [--runs N] [--rounds N] [--seconds N] [--peers NAME,…]
 *   [--plain] [--check] [--json FILE] [--plot FILE]
 * ```
 *
 * `--check` only looks whether all answer rightly. `--plot` measures nothing: it draws the
 * figures that `--json` names and prints them in Markdown.
 *
 * @module
 */
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { program } from "../tests/programs.ts";
import { buildC } from "./programs/c_program.ts";
import {
  flood,
  LARGE_BATCHES,
  load,
  LOAD_CORE,
  type LoadReport,
  MANY_SENDERS,
  SMALL_BATCHES,
} from "./dns/load.ts";
import { plot } from "./dns/plot.ts";
import {
  CALM_PER_SECOND,
  type Figures,
  type Machine,
  markdown,
  type Measured,
  type Parts,
  STEADY_PER_SECOND,
  table,
  type UnderLoad,
} from "./dns/report.ts";
import { Server, SERVER_CORE } from "./dns/servers.ts";
import { questionLine, questions, type Workload, WORKLOADS, zoneFile } from "./dns/workloads.ts";
import { coredns } from "./peers/coredns.ts";
import { echo } from "./peers/echo.ts";
import { gdnsd } from "./peers/gdnsd.ts";
import { knot } from "./peers/knot.ts";
import { nsd } from "./peers/nsd.ts";
import type { Peer } from "./peers/peer.ts";
import { OURS } from "./peers/pleiades.ts";
import { powerdns } from "./peers/powerdns.ts";

/** Runs when no name is given, and then takes a minute and a half. */
export const quick = true;

const PEERS: readonly Peer[] = [echo, ...OURS, gdnsd, knot, nsd, powerdns, coredns];
const TOOLS = {
  cc: "apt install gcc libc6-dev",
  dnsperf: "apt install dnsperf",
  taskset: "apt install util-linux",
  setpriv: "apt install util-linux",
};

/** Prints a table for each workload. */
export async function bench(args: string[]): Promise<void> {
  const options = read(args);
  if (options.plot !== undefined) return await draw(options.json ?? "", options.plot);
  const missing = Object.entries(TOOLS).filter(([name]) => program(name) === null);
  for (const [name, install] of missing) console.log(`not measured: ${name} is missing (${install})`);
  if (missing.length > 0) return;
  const peers = options.peers.filter((peer) => {
    const found = findProgram(peer) !== null;
    if (!found) console.log(`not measured: ${peer.name} is missing (${peer.install})`);
    return found;
  });
  const folder = await Deno.makeTempDir({ prefix: "bench-dns-" });
  const measured: Measured = {
    machine: await machine(peers),
    edns: options.edns,
    seconds: options.seconds,
    rounds: options.rounds,
    workloads: [],
  };
  try {
    for (const workload of options.workloads) {
      console.log(`\n(${workload.id}) ${workload.title}`);
      const figures = await measure(workload, peers, { ...options, folder });
      if (options.check) continue;
      measured.workloads.push({ id: workload.id, title: workload.title, servers: figures });
      console.log(table(figures));
      if (options.json !== undefined) {
        await Deno.writeTextFile(options.json, `${JSON.stringify(measured, null, 1)}\n`);
      }
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function draw(from: string, to: string): Promise<void> {
  const measured: Measured = JSON.parse(await Deno.readTextFile(from));
  await Deno.writeTextFile(to, plot(measured));
  for (const { id, title, servers } of measured.workloads) {
    console.log(`\n(${id}) ${title}\n${markdown(servers)}`);
  }
}

interface Options {
  readonly workloads: readonly Workload[];
  readonly peers: readonly Peer[];
  readonly runs: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly edns: boolean;
  readonly check: boolean;
  readonly json?: string | undefined;
  readonly plot?: string | undefined;
}

/** @throws {TypeError} naming the value that is wrong */
function read(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      workload: { type: "string", default: "b" },
      runs: { type: "string", default: "1" },
      rounds: { type: "string", default: "3" },
      seconds: { type: "string", default: "1" },
      peers: { type: "string" },
      plain: { type: "boolean", default: false },
      check: { type: "boolean", default: false },
      json: { type: "string" },
      plot: { type: "string" },
    },
  });
  const wanted = values.peers?.split(",");
  const unknown = wanted?.find((name) => !PEERS.some((peer) => peer.name === name));
  if (unknown !== undefined) {
    throw new TypeError(
      `No server is called "${unknown}"; there are: ${PEERS.map(({ name }) => name).join(", ")}`,
    );
  }
  const workloads = WORKLOADS.filter(({ id }) => values.workload === "all" || values.workload === id);
  if (workloads.length === 0) {
    throw new TypeError(`No workload is called "${values.workload}"; there are: a, b, c, d, all`);
  }
  return {
    workloads,
    // The echo is what the others are compared with.
    peers: PEERS.filter((peer) => peer === echo || wanted === undefined || wanted.includes(peer.name)),
    runs: Number(values.runs),
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
    edns: !values.plain,
    check: values.check,
    json: values.json,
    plot: values.plot,
  };
}

function findProgram(peer: Peer): string | null {
  if (!peer.program.startsWith("/")) return program(peer.program);
  try {
    return Deno.statSync(peer.program).isFile ? peer.program : null;
  } catch {
    return null;
  }
}

async function measure(
  workload: Workload,
  peers: readonly Peer[],
  { folder, runs, rounds, seconds, edns, check }: Options & { readonly folder: string },
): Promise<Figures[]> {
  const zone = `${folder}/zone-${workload.id}`;
  await Deno.writeFile(zone, ReadableStream.from(zoneFile(workload)).pipeThrough(new TextEncoderStream()));
  const queryFile = `${folder}/queries-${workload.id}`;
  await Deno.writeTextFile(queryFile, questions(workload).map(questionLine).join(""));
  await using servers = new AsyncDisposableStack();
  const running: Server[] = [];
  for (const peer of peers.filter(({ steersByPlace }) => !workload.byPlace || steersByPlace)) {
    const server = await Server.start({
      peer,
      program: findProgram(peer)!,
      workload,
      zoneFile: zone,
      folder: `${folder}/${workload.id}-${peer.name}`,
    }).catch((error: Error) => {
      if (peer === echo || OURS.includes(peer)) throw error;
      console.log(`not measured: ${error.message} (${peer.install})`);
      return null;
    });
    if (server === null) continue;
    servers.use(server);
    if (peer.answers) await server.check(workload);
    running.push(server);
    const what = peer.answers ? "answers rightly" : "echoes";
    if (check) console.log(`${peer.name} ${what}; up in ${server.startSeconds.toFixed(2)} s`);
  }
  if (check) return [];
  const figures = running.map((server): Figures => ({
    name: server.peer.name,
    startSeconds: server.startSeconds,
    memoryMebibytes: 0,
    runs: [],
  }));
  // Code gets compiled, caches are filled.
  const asked: Asked = { program: await buildC("flood", folder), queryFile, seconds, edns };
  for (const { port } of running) {
    await flood({ ...asked, port, seconds: 1, outstanding: LARGE_BATCHES, senders: 1 });
  }
  for (let run = 0; run < runs; run++) {
    for (const { runs } of figures) runs.push([]);
    for (let round = 0; round < rounds; round++) {
      const first = (run * rounds + round) % running.length;
      const order = [...running.slice(first), ...running.slice(0, first)];
      const parts = await (workload.byPlace ? measureFull(order, asked) : measureRound(order, asked));
      for (const [i, server] of running.entries()) figures[i]!.runs[run]!.push(parts.get(server)!);
    }
  }
  for (const [i, server] of running.entries()) figures[i]!.memoryMebibytes = server.memoryMebibytes();
  return figures;
}

/** The parts by `flood.c` alone. */
async function measureFull(servers: readonly Server[], asked: Asked): Promise<Map<Server, Parts>> {
  const full = await inTurn(servers, (server) => flooded(server, asked, FULL));
  const small = await inTurn(
    servers,
    (server) => flooded(server, asked, { ...FULL, outstanding: SMALL_BATCHES }),
  );
  const apart = await inTurn(servers, (server) => flooded(server, asked, { ...FULL, senders: MANY_SENDERS }));
  return new Map(servers.map((server): [Server, Parts] => [server, {
    full: full.get(server)!,
    small: small.get(server)!,
    apart: apart.get(server)!,
    steady: NOT_MEASURED,
    calm: { p50Ms: NaN, p99Ms: NaN, lost: 0 },
  }]));
}

const NOT_MEASURED: UnderLoad = { perSecond: NaN, lost: 0, cpuPerMillion: NaN, busy: NaN, kernel: NaN };

/** Each part for all servers before the next part. */
async function measureRound(servers: readonly Server[], asked: Asked): Promise<Map<Server, Parts>> {
  const flooding = await measureFull(servers, asked);
  const fixed = ({ port }: Server, perSecond: number, timed: boolean) =>
    load({ ...asked, port, perSecond, timed });
  const steady = await inTurn(
    servers,
    (server) => accounted(server, () => fixed(server, STEADY_PER_SECOND, false)),
  );
  const calm = await inTurn(servers, (server) => fixed(server, CALM_PER_SECOND, true));
  return new Map(servers.map((server): [Server, Parts] => {
    const { latenciesMs, lost } = calm.get(server)!;
    const at = (share: number) => latenciesMs[Math.floor(latenciesMs.length * share)] ?? NaN;
    return [server, {
      ...flooding.get(server)!,
      steady: steady.get(server)!,
      calm: { p50Ms: at(0.5), p99Ms: at(0.99), lost },
    }];
  }));
}

async function inTurn<T>(
  servers: readonly Server[],
  part: (server: Server) => Promise<T>,
): Promise<Map<Server, T>> {
  const results = new Map<Server, T>();
  for (const server of servers) results.set(server, await part(server));
  return results;
}

const FULL = { outstanding: LARGE_BATCHES, senders: 1 };

function flooded(server: Server, asked: Asked, how: typeof FULL): Promise<UnderLoad> {
  return accounted(server, () => flood({ ...asked, ...how, port: server.port }));
}

/** What is asked in a round. */
interface Asked {
  /** What `flood.c` was built to. */
  readonly program: string;
  readonly queryFile: string;
  /** Of each part. */
  readonly seconds: number;
  /** Whether every question has an OPT record. */
  readonly edns: boolean;
}

async function accounted(server: Server, ask: () => Promise<LoadReport>): Promise<UnderLoad> {
  const before = server.cpuTime();
  const { answers, perSecond, lost } = await ask();
  const after = server.cpuTime();
  const seconds = after.seconds - before.seconds;
  const kernel = after.kernelTicks - before.kernelTicks;
  const user = after.userTicks - before.userTicks;
  return {
    perSecond,
    lost,
    cpuPerMillion: seconds * 1e6 / answers,
    busy: seconds * perSecond / answers,
    kernel: kernel / (kernel + user),
  };
}

async function machine(peers: readonly Peer[]): Promise<Machine> {
  const versions: Record<string, string> = {
    deno: Deno.version.deno,
    dnsperf: await versionOf("dnsperf", ["-h"]),
  };
  for (const peer of peers) {
    if (peer.version) versions[peer.name] = await versionOf(findProgram(peer)!, peer.version);
  }
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    kernel: Deno.osRelease(),
    serverCore: SERVER_CORE,
    loadCore: LOAD_CORE,
    versions,
  };
}

/** The first number with a point in what the program says. */
async function versionOf(program: string, args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await new Deno.Command(program, { args: [...args] }).output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  return /\d+(?:\.\d+)+/.exec(said)?.[0] ?? "unknown";
}
