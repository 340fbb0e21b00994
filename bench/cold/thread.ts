/**
 * A thread as a DNS worker's, without sockets: it has an engine of its own, whose code nobody has run yet, and answers as
 * many queries a millisecond as it is told, with a slice of work ahead in between.
 *
 * @module
 */
import { AheadPace } from "../../src/dns/ahead_pace.ts";
import { Exchange, NamedClient } from "../../src/dns/exchange.ts";
import { LiveBoard } from "../../src/snapshot/live.ts";
import type { Snapshot } from "../../src/snapshot/view.ts";
import { UDP_SIZE_MAX } from "../../src/dns/engine.ts";
import { PLAIN } from "../../tests/dns/world.ts";
import { othersCpuNs } from "./cpu.ts";

/** What the thread is told. */
export type ColdOrder =
  | {
    readonly kind: "begin";
    readonly snapshot: Snapshot;
    readonly board: SharedArrayBuffer;
    readonly queries: Queries;
  }
  /** Answer so many: of each millisecond so many at once, or all as soon as can be. */
  | { readonly kind: "ask"; readonly answers: number; readonly perMs: number };

/** Packets one after the other; `ends` says where each of them ends. */
export interface Queries {
  readonly bytes: SharedArrayBuffer;
  readonly ends: SharedArrayBuffer;
}

/** What it took. */
export interface Taken {
  /** Processor time of the thread and of those that compile and collect for it, nanoseconds. */
  readonly cpuNs: number;
  /** Of single answers, nanoseconds. */
  readonly p99: number;
  /** Of a single answer or of a slice of work ahead, nanoseconds. */
  readonly most: number;
  /** Of all work ahead, nanoseconds. */
  readonly aheadNs: number;
}

/** As in a worker (`src/dns/worker.ts`). */
const AHEAD_SLICE_MS = 0.2;

const client = new NamedClient("udp");
client.text = "192.0.2.53";
const out = new Uint8Array(UDP_SIZE_MAX);
const pause = new Int32Array(new SharedArrayBuffer(4));

const pace = new AheadPace();
let exchange: Exchange;
let packets: readonly Uint8Array[] = [];
let next = 0;

const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<ColdOrder>) => void;
  postMessage(report: Taken | "loaded"): void;
};

scope.onmessage = ({ data: order }) => {
  if (order.kind === "begin") begin(order);
  else scope.postMessage(ask(order.answers, order.perMs));
};

// As a worker does when it has loaded. With the first message that a thread posts V8 throws away all that it has compiled of code
// that reads typed arrays, since from then on their memory may go: later it would be charged to the answers.
scope.postMessage("loaded");

function begin({ snapshot, board, queries }: ColdOrder & { readonly kind: "begin" }): void {
  exchange = new Exchange(PLAIN, {
    ...{ samplesPerSecond: 0, sampleEvery: 1, rng: () => 0 },
    fault: ({ reason }) => {
      throw new Error(reason);
    },
  });
  exchange.use(snapshot, new LiveBoard(board));
  const bytes = new Uint8Array(queries.bytes);
  const ends = new Uint32Array(queries.ends);
  packets = Array.from(ends, (end, i) => bytes.slice(i === 0 ? 0 : ends[i - 1], end));
}

function ask(answers: number, perMs: number): Taken {
  const times = new Float64Array(answers);
  let most = 0;
  let aheadNs = 0;
  let lookMs = 0;
  const cpuNs = othersCpuNs();
  const beginMs = performance.now();
  for (let done = 0, tick = 0; done < answers; tick++) {
    const count = Math.min(perMs, answers - done);
    let before = performance.now();
    for (let i = 0; i < count; i++) {
      const packet = packets[next++ % packets.length]!;
      if (exchange.answerDatagram(packet, packet.length, client, out) === 0) throw new Error("no answer");
      const now = performance.now();
      times[done++] = (now - before) * 1e6;
      before = now;
    }
    if (tick >= lookMs) {
      const isMore = exchange.makeAhead(() => performance.now() >= before + AHEAD_SLICE_MS);
      const tookNs = (performance.now() - before) * 1e6;
      aheadNs += tookNs;
      most = Math.max(most, tookNs);
      lookMs = tick + pace.pauseMs(isMore, exchange.queries, performance.now());
    }
    const leftMs = beginMs + tick + 1 - performance.now();
    if (leftMs > 0 && done < answers) Atomics.wait(pause, 0, 0, leftMs);
  }
  const taken = othersCpuNs() - cpuNs;
  times.sort();
  return {
    cpuNs: taken,
    p99: times[Math.floor(answers * 0.99)]!,
    most: Math.max(most, times.at(-1)!),
    aheadNs,
  };
}
