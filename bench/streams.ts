/**
 * What streams cost UDP: 20,000 queries a second over UDP, alone and while 1,024 TCP connections pipeline queries as
 * fast as they are answered (`pipeline.c`).
 *
 * The fleet runs on one core, all load on another, so that UDP and streams share a core: with one to themselves there
 * would be less to be seen. The load on TCP gives way to that on UDP (`nice`), and the age of an answer is the kernel's: it is
 * the server that is judged, not a client that waits for the other. Rounds without and with streams take turns; what counts is
 * the ratio of the medians of their 99th percentiles: of each kind, about every third round has some 2 ms of its own on a shared
 * machine.
 *
 * `deno task bench streams [--connections N] [--seconds N] [--rounds N]`
 *
 * @module
 */
import { parseArgs } from "node:util";
import { program } from "../tests/programs.ts";
import { buildC } from "./programs/c_program.ts";
import { Asking, keepOnCore, sockets, sum } from "../tests/prove/fire/asking.ts";
import { median } from "../tests/prove/fire/verdict.ts";
import { LOAD_CORE } from "./dns/load.ts";
import { Server } from "./dns/servers.ts";
import { questions, WORKLOADS } from "./dns/workloads.ts";
import { pleiades } from "./peers/pleiades.ts";

/** Queries a second over UDP. */
const PER_SECOND = 20_000;
const SOCKETS = 64;
/** 99 % of the answers may take so many times as long as without streams. */
const RATIO_MAX = 1.2;
const TOOLS = {
  cc: "apt install gcc libc6-dev",
  nice: "apt install coreutils",
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
    const workload = WORKLOADS.find(({ id }) => id === "a")!;
    const pipeline = await buildC("pipeline", folder);
    const { name } = questions(workload)[0]!;
    await using server = await Server.start({
      peer: pleiades,
      program: Deno.execPath(),
      workload,
      zoneFile: "",
      folder: `${folder}/server`,
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
      `${PER_SECOND} queries a second over UDP, ${connections} TCP connections, ${rounds} rounds; ` +
        `load average ${Deno.loadavg()[0]!.toFixed(1)}`,
    );
    console.log(
      "UDP alone: p50, p99 ms   with streams: p50, p99 ms   lost   streams: answers/s   ratio of p99",
    );
    const aloneMs: number[] = [];
    const togetherMs: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const alone = await udp();
      // A second longer on both ends than what is measured.
      const streams = askOverTcp(pipeline, [server.port, name, connections, seconds + 2]);
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      const together = await udp();
      const answersPerSecond = await streams;
      aloneMs.push(alone.p99Ms);
      togetherMs.push(together.p99Ms);
      console.log(
        [
          `${milliseconds(alone.p50Ms)} ${milliseconds(alone.p99Ms)}`.padStart(24),
          `${milliseconds(together.p50Ms)} ${milliseconds(together.p99Ms)}`.padStart(27),
          String(alone.lost + together.lost).padStart(6),
          answersPerSecond.toFixed(0).padStart(20),
          (together.p99Ms / alone.p99Ms).toFixed(2).padStart(14),
        ].join(" "),
      );
    }
    const [without, withStreams] = [median(aloneMs), median(togetherMs)];
    console.log(
      `medians of p99: alone ${without.toFixed(2)} ms, with streams ${withStreams.toFixed(2)} ms, ` +
        `ratio ${(withStreams / without).toFixed(2)}; wanted: ${RATIO_MAX} at most`,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Answers a second; every connection must last. */
async function askOverTcp(pipeline: string, args: readonly (string | number)[]): Promise<number> {
  const { stdout, stderr } = await new Deno.Command("taskset", {
    args: ["-c", LOAD_CORE, "nice", "-n", "19", pipeline, ...args.map(String)],
  }).output();
  const [answers, took, lost] = new TextDecoder().decode(stdout).split(" ").map(Number);
  if (lost !== 0 || !answers) {
    throw new Error(`${lost} connections were lost, ${answers} answers: ${new TextDecoder().decode(stderr)}`);
  }
  return answers / took!;
}

function milliseconds(ms: number): string {
  return ms.toFixed(2).padStart(7);
}
