/**
 * `deno task prove fuzz [--packets N] [--transport linux|portable|both] [--seed N]`: ten million mutated packets
 * against the engine, and then as many against each UDP transport of a real `serve` process, with one in twenty more
 * over TCP.
 *
 * The engine is asked in this process: what it throws is caught with the packet that made it throw. The
 * processes show what only they can: that none ends, loses a worker, complains, or leaves a query without an
 * answer, and that their memory is flat. Every answer is judged, by a reader that shares nothing with the engine.
 *
 * @module
 */
import { STREAM_SIZE_MAX } from "../../src/dns/exchange.ts";
import { describe, judge } from "../dns/judge.ts";
import { FUZZED, Mutator } from "../dns/mutate.ts";
import { World } from "../dns/world.ts";
import { EXTENSIONS_MAX, type Flatness, ResidentMemory, SAMPLES } from "../resident_memory.ts";
import { pumpDatagrams } from "./fuzz/datagrams.ts";
import { FuzzedNode, type Transport } from "./fuzz/node.ts";
import { pumpStreams } from "./fuzz/streams.ts";

/** What every part of a run is given. */
export interface FuzzOptions {
  readonly seed: number;
  readonly packets: number;
  /** Told now and then. */
  readonly onProgress: (line: string) => void;
}

/** What a node is given beside that. */
export interface NodeOptions extends FuzzOptions {
  /** How often the number of packets is doubled while the memory isn't flat. */
  readonly extensions: number;
}

/** What came of a node. */
export interface NodeReport {
  /** What went wrong first; `null` = nothing did. */
  readonly fault: string | null;
  readonly memory: Flatness;
}

/** To one message over TCP come so many over UDP. */
const STREAM_SHARE = 20;
const PROGRESS_STEPS = 20;
/** The node's world, as little hidden as there. */
const OUTSPOKEN = { nsid: "node-1", chaos: { version: "1.2.3", id: "node-1" } };

/** Runs the proof. */
export async function prove(args: string[]): Promise<boolean> {
  const seed = Number(valueOf(args, "--seed") ?? crypto.getRandomValues(new Uint32Array(1))[0]!);
  const packets = Number(valueOf(args, "--packets") ?? 10_000_000);
  const wanted = valueOf(args, "--transport") ?? "both";
  console.log(`${packets} packets each, repeated by --seed ${seed}`);
  const options = { seed, packets, onProgress: (line: string) => console.log(line) };
  const fault = fuzzEngine(options);
  console.log(`engine: ${fault ?? "no fault"}`);
  let good = fault === null;
  for (const transport of ["linux", "portable"] as const) {
    if (wanted !== "both" && wanted !== transport) continue;
    const { fault, memory } = await fuzzNode(transport, { ...options, extensions: EXTENSIONS_MAX });
    console.log(`${transport}: ${fault ?? "no fault"}`);
    console.log(`${transport}: RSS ${memory.text}`);
    good &&= fault === null && memory.isFlat;
  }
  return good;
}

/** Asks the engine alone, each packet as over UDP and as over TCP; says what went wrong first. */
export function fuzzEngine({ seed, packets, onProgress }: FuzzOptions): string | null {
  const world = new World(FUZZED, OUTSPOKEN);
  world.engine.readCookies(true);
  const mutator = new Mutator(seed);
  const step = Math.ceil(packets / PROGRESS_STEPS);
  for (let number = 1; number <= packets; number++) {
    const packet = mutator.next();
    const fault = askEngine(world, packet);
    if (fault !== null) return `packet ${number} of seed ${seed}: ${fault}`;
    if (number % step === 0) onProgress(`engine: ${number} packets`);
  }
  return null;
}

const out = new Uint8Array(STREAM_SIZE_MAX);
const CLIENT = new Uint8Array([192, 0, 2, 53]);
const overUdp = { stream: false, address: () => CLIENT };
const overTcp = { stream: true, address: () => CLIENT };

function askEngine(world: World, packet: Uint8Array): string | null {
  for (const client of [overUdp, overTcp]) {
    const { stream } = client;
    let size: number;
    try {
      size = world.engine.answer(packet, packet.length, client, out, stream ? STREAM_SIZE_MAX : 1232);
    } catch (error) {
      return describe(`the engine threw ${(error as Error).stack}`, packet, null);
    }
    const answer = size === 0 ? null : out.subarray(0, size);
    const fault = judge({ query: packet, answer, stream });
    if (fault !== null) return describe(`${fault} (${stream ? "TCP" : "UDP"})`, packet, answer);
  }
  return null;
}

/** Sends to a node of its own. */
export async function fuzzNode(transport: Transport, options: NodeOptions): Promise<NodeReport> {
  const node = await FuzzedNode.start(transport, { isMeasured: options.extensions > 0 });
  const memory = new ResidentMemory(node.process.pid);
  let fault: string | null;
  try {
    fault = await pumpUntilFlat(node, memory, {
      ...options,
      onProgress: (line) => options.onProgress(`${transport}: ${line}`),
    });
  } finally {
    await node[Symbol.asyncDispose]();
  }
  const faults = [fault, node.complaint()].filter((each) => each !== null);
  return { fault: faults.length === 0 ? null : faults.join("\n"), memory: memory.judge() };
}

async function pumpUntilFlat(
  node: FuzzedNode,
  memory: ResidentMemory,
  { seed, packets, extensions, onProgress }: NodeOptions,
): Promise<string | null> {
  const mutators = { datagrams: new Mutator(seed), streams: new Mutator(seed ^ 1) };
  const startMs = performance.now();
  const step = Math.ceil(packets / SAMPLES);
  let steps = 0;
  const onStep = async () => {
    await memory.sample();
    if (++steps % (SAMPLES / PROGRESS_STEPS) === 0) {
      const seconds = ((performance.now() - startMs) / 1000).toFixed(0);
      onProgress(`${steps * step} packets, ${seconds} s, RSS ${memory.now}`);
    }
    return node.complaint();
  };
  for (let count = packets, extension = 0;; extension++) {
    const fault = await pumpBoth(node, { mutators, count, step, onStep });
    const { isFlat, text } = memory.judge();
    if (fault !== null || isFlat || extension === extensions) return fault;
    onProgress(`RSS ${text}; going on`);
    if (extension > 0) count *= 2;
  }
}

/** Over UDP and TCP at once; says what went wrong first, `null` = nothing did. */
async function pumpBoth(
  { process }: FuzzedNode,
  { mutators, count, step, onStep }: {
    readonly mutators: { readonly datagrams: Mutator; readonly streams: Mutator };
    readonly count: number;
    readonly step: number;
    readonly onStep: () => Promise<string | null>;
  },
): Promise<string | null> {
  const ending = new AbortController();
  const { signal } = ending;
  let first: string | null = null;
  const note = (fault: string | null) => {
    first ??= fault;
    if (fault !== null) ending.abort();
  };
  const pumped = { server: process.dns, signal };
  await Promise.all([
    pumpDatagrams({ ...pumped, mutator: mutators.datagrams, count, step, onStep }).then(note),
    pumpStreams({ ...pumped, mutator: mutators.streams, count: count / STREAM_SHARE }).then(note),
  ]);
  return first;
}

function valueOf(args: readonly string[], flag: string): string | undefined {
  const at = args.indexOf(flag);
  return at < 0 ? undefined : args[at + 1];
}
