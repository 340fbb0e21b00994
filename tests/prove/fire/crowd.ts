/**
 * A crowd of connections that say nothing or don't read, and what it costs those that ask over UDP.
 *
 * Rounds without and with the crowd take turns; the ratio of the medians of their 99th percentiles counts.
 *
 * @module
 */
import { LineProcess } from "../../store/line_process.ts";
import { Asking, counterOf, sockets } from "./asking.ts";
import type { Held } from "./hold.ts";
import { NAME, Node } from "./node.ts";
import { atMost, type Line, median } from "./verdict.ts";

/** How a run differs from the full one. */
export interface CrowdOptions {
  readonly silent: number;
  readonly slow: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly perSecond: number;
  readonly onStep: (line: string) => void;
}

/** As many as a process of this machine may have descriptors, less some for itself; `wanted` at most. */
export function connectionsWithin(descriptors: number, wanted: number): number {
  return Math.min(wanted, descriptors - SPARE);
}

const SPARE = 200;
/** What is shorter is a clock's and a scheduler's. */
const FLOOR_MS = 0.5;
/** Connections are spread over so many addresses of the node, and a process holds so many. */
const ADDRESSES = 4;
const HELD_MAX = 5_000;
const RATIO_MAX = 1.2;
/**
 * Memory of a connection that says nothing, and of one that doesn't read: its buffers, 64 KiB of answers that wait, and
 * what the kernel keeps isn't in it.
 */
const SILENT_MB = 0.02;
const SLOW_MB = 0.25;
/** Longer than a round takes; the limits that hold by default are shorter. */
const PATIENCE = "60s";
const SETTLE_MS = 90_000;
/** As long without a query over TCP. */
const STILL_MS = 500;
/** Descriptors that come and go by themselves. */
const STRAY = 4;

/** Runs it. */
export async function crowd(options: CrowdOptions): Promise<Line[]> {
  const connections = options.silent + options.slow;
  await using node = await Node.start({
    hostname: "0.0.0.0",
    dns: {
      tcp: {
        ...{ maxConnections: connections + SPARE, maxConnectionsPerClient: connections + SPARE },
        ...{ idleTimeout: PATIENCE, queryTimeout: PATIENCE },
      },
    },
  });
  const { port } = node.serve.dns;
  const asker = {
    server: { hostname: "127.0.0.1", port },
    name: NAME,
    isRandom: false,
    sources: sockets(64),
  };
  await using asking = await Asking.start(asker);
  const p99 = async () => {
    const { seconds } = await asking.ask({ perSecond: options.perSecond, seconds: options.seconds });
    for (const { asked, answered } of seconds) lost += asked - answered;
    return median(seconds.map(({ ageMs }) => ageMs.p99));
  };
  let lost = 0;
  await p99(); // warms up
  lost = 0;
  const descriptors = await node.descriptors();
  const before = await node.megabytes();
  const [alone, together, held, megabytes]: number[][] = [[], [], [], []];
  for (let round = 0; round < options.rounds; round++) {
    alone!.push(await p99());
    {
      await using _holders = await hold(port, options);
      await settled(node, (now) => now >= descriptors + connections);
      // What those that don't read have asked for is answered until nothing more goes out: `bench streams` is about that.
      await stuck(node);
      held!.push(await node.descriptors() - descriptors);
      together!.push(await p99());
      megabytes!.push(await node.megabytes());
    }
    await settled(node, (now) => now <= descriptors + STRAY);
    options.onStep(
      `round ${round + 1}: ${held!.at(-1)} connections, UDP p99 ${alone!.at(-1)!.toFixed(2)} ms alone, ` +
        `${together!.at(-1)!.toFixed(2)} ms with them, ${megabytes!.at(-1)!.toFixed(0)} MB`,
    );
  }
  const left = await node.descriptors() - descriptors;
  const bound = before + options.silent * SILENT_MB + options.slow * SLOW_MB + 64;
  return [
    {
      what: `connections held, of ${connections}`,
      figure: String(Math.min(...held!)),
      isMet: Math.min(...held!) >= 0.99 * connections,
    },
    atMost(
      "UDP p99 with them, of that without",
      median(together!),
      RATIO_MAX * Math.max(FLOOR_MS, median(alone!)),
      "ms",
    ),
    atMost("queries over UDP lost meanwhile", lost, 0),
    atMost(`memory, ${before.toFixed(0)} MB before`, Math.max(...megabytes!), bound, "MB"),
    atMost("descriptors left afterwards", left, STRAY),
  ];
}

async function hold(port: number, { silent, slow }: CrowdOptions): Promise<AsyncDisposableStack> {
  const stack = new AsyncDisposableStack();
  const count = Math.ceil((silent + slow) / HELD_MAX);
  const held: Held = {
    hostnames: Array.from({ length: ADDRESSES }, (_, i) => `127.0.0.${i + 1}`),
    ...{ port, name: NAME },
    ...{ silent: Math.floor(silent / count), slow: Math.floor(slow / count) },
  };
  const script = new URL("hold.ts", import.meta.url);
  const holders = Array.from(
    { length: count },
    () => stack.use(new LineProcess(script, [JSON.stringify(held)])),
  );
  for (const holder of holders) await holder.receive();
  return stack;
}

/** Waits until the node has as many descriptors as it should, or for too long. */
async function settled(node: Node, isSettled: (descriptors: number) => boolean): Promise<void> {
  for (const untilMs = performance.now() + SETTLE_MS; performance.now() < untilMs;) {
    if (isSettled(await node.descriptors())) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Waits until no more queries over TCP are answered. */
async function stuck({ serve: { api } }: Node): Promise<void> {
  for (let before = NaN, now = 0; now !== before;) {
    before = now;
    await new Promise((resolve) => setTimeout(resolve, STILL_MS));
    now = await counterOf(api, "pleiades_dns_requests_total", 'transport="tcp"');
  }
}
