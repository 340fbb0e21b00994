/**
 * What streams cost UDP: 20,000 queries a second over UDP, alone and while 1,024 TCP connections pipeline queries as
 * fast as they are answered (`pipeline.c`).
 *
 * The server and the whole load of TCP share one core, so that UDP and streams compete for it; who asks over UDP has the other to
 * itself, and the age of an answer is the kernel's. So it is the server that is judged: beside TCP clients on its own core,
 * who asks over UDP sees up to 2 ms that are its own, since the kernel hands over what those clients get in the midst of
 * its sending. Rounds without and with streams take turns; what counts is the ratio of the medians of their 99th
 * percentiles. `--servers` measures others the same way.
 *
 * `deno task bench streams [--connections N] [--seconds N] [--rounds N] [--servers NAME,NAME]`
 *
 * @module
 */
import { parseArgs } from "node:util";
import { program } from "../tests/programs.ts";
import { buildC } from "./programs/c_program.ts";
import { Asking, keepOnCore, sockets, sum } from "../tests/prove/fire/asking.ts";
import { median } from "../tests/prove/fire/verdict.ts";
import { LOAD_CORE } from "./dns/load.ts";
import { Server, SERVER_CORE } from "./dns/servers.ts";
import { questions, WORKLOADS, zoneFile } from "./dns/workloads.ts";
import { knot } from "./peers/knot.ts";
import type { Peer } from "./peers/peer.ts";
import { pleiades } from "./peers/pleiades.ts";

/** Queries a second over UDP. */
const PER_SECOND = 20_000;
const SOCKETS = 64;
/** 99 % of the answers may take so many times as long as without streams. */
const RATIO_MAX = 1.2;
const PEERS: readonly Peer[] = [pleiades, knot];
const TOOLS = {
  cc: "apt install gcc libc6-dev",
  setpriv: "apt install util-linux",
  taskset: "apt install util-linux",
};

/** What was seen of UDP in one round. */
interface Round {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly lost: number;
}

/** Prints both percentiles of each round, and the ratios. */
export async function bench(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      connections: { type: "string", default: "1024" },
      seconds: { type: "string", default: "5" },
      rounds: { type: "string", default: "5" },
      servers: { type: "string", default: "pleiades" },
    },
  });
  const [connections, seconds, rounds] = [
    Number(values.connections),
    Number(values.seconds),
    Number(values.rounds),
  ];
  const missing = Object.entries(TOOLS).filter(([name]) => program(name) === null);
  for (const [name, install] of missing) console.log(`not measured: ${name} is missing (${install})`);
  if (missing.length > 0) return;
  const folder = await Deno.makeTempDir({ prefix: "bench-streams-" });
  try {
    const pipeline = await buildC("pipeline", folder);
    for (const peer of PEERS.filter(({ name }) => values.servers.split(",").includes(name))) {
      const path = peer === pleiades ? Deno.execPath() : program(peer.program);
      if (path === null) {
        console.log(`${peer.name}: not measured, ${peer.program} is missing (${peer.install})`);
      } else await measure({ peer, path, folder, pipeline }, { connections, seconds, rounds });
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Measures one server, and prints what was seen. */
async function measure(
  { peer, path, folder, pipeline }: {
    readonly peer: Peer;
    readonly path: string;
    readonly folder: string;
    readonly pipeline: string;
  },
  { connections, seconds, rounds }: Readonly<Record<"connections" | "seconds" | "rounds", number>>,
): Promise<void> {
  const workload = WORKLOADS.find(({ id }) => id === "a")!;
  const { name } = questions(workload)[0]!;
  const zone = `${folder}/zone`;
  await Deno.writeFile(zone, ReadableStream.from(zoneFile(workload)).pipeThrough(new TextEncoderStream()));
  await using server = await Server.start({
    ...{ peer, program: path, workload, zoneFile: zone },
    folder: `${folder}/${peer.name}`,
  });
  await using asking = await Asking.start({
    server: { hostname: "127.0.0.1", port: server.port },
    ...{ name, isRandom: false, cookie: "opt", sources: sockets(SOCKETS) },
  });
  await keepOnCore(asking.pid, Number(LOAD_CORE));
  const udp = async (): Promise<Round> => {
    const outcome = await asking.ask({ perSecond: PER_SECOND, seconds });
    return {
      p50Ms: median(outcome.seconds.map(({ ageMs }) => ageMs.p50)),
      p99Ms: median(outcome.seconds.map(({ ageMs }) => ageMs.p99)),
      lost: sum(outcome.seconds, ({ asked, answered }) => asked - answered),
    };
  };
  await udp(); // warms up
  console.log(
    `${peer.name}: ${PER_SECOND} queries a second over UDP, ${connections} TCP connections, ${rounds} rounds; ` +
      `load average ${Deno.loadavg()[0]!.toFixed(1)}`,
  );
  console.log(
    "UDP alone: p50, p99 ms   with streams: p50, p99 ms   lost   streams: answers/s    cut   ratio of p99",
  );
  const aloneMs: number[] = [];
  const togetherMs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const alone = await udp();
    // A second longer on both ends than what is measured.
    const streams = askOverTcp(pipeline, [server.port, name, connections, seconds + 2]);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const together = await udp();
    const { answersPerSecond, cut } = await streams;
    aloneMs.push(alone.p99Ms);
    togetherMs.push(together.p99Ms);
    console.log(
      [
        `${milliseconds(alone.p50Ms)} ${milliseconds(alone.p99Ms)}`.padStart(24),
        `${milliseconds(together.p50Ms)} ${milliseconds(together.p99Ms)}`.padStart(27),
        String(alone.lost + together.lost).padStart(6),
        answersPerSecond.toFixed(0).padStart(20),
        String(cut).padStart(6),
        (together.p99Ms / alone.p99Ms).toFixed(2).padStart(14),
      ].join(" "),
    );
  }
  const [without, withStreams] = [median(aloneMs), median(togetherMs)];
  console.log(
    `${peer.name}: medians of p99: alone ${without.toFixed(2)} ms, with streams ${
      withStreams.toFixed(2)
    } ms, ` +
      `ratio ${(withStreams / without).toFixed(2)}; wanted: ${RATIO_MAX} at most`,
  );
}

/** What came over TCP. */
interface Streamed {
  readonly answersPerSecond: number;
  /** Connections that didn't last. */
  readonly cut: number;
}

async function askOverTcp(pipeline: string, args: readonly (string | number)[]): Promise<Streamed> {
  const { stdout, stderr } = await new Deno.Command("taskset", {
    args: ["-c", SERVER_CORE, pipeline, ...args.map(String)],
  }).output();
  const [answers, took, cut] = new TextDecoder().decode(stdout).split(" ").map(Number);
  if (!answers) throw new Error(`no answers over TCP: ${new TextDecoder().decode(stderr)}`);
  return { answersPerSecond: answers / took!, cut: cut! };
}

function milliseconds(ms: number): string {
  return ms.toFixed(2).padStart(7);
}
