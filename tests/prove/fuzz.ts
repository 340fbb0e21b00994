/**
 * `deno task prove fuzz [--seed N] [--count N]`: one million mutated packets against the engine, and one in ten of
 * them against real fleets on either UDP transport, over UDP and TCP. No crash, no answer longer than allowed or otherwise wrong, and flat
 * memory over the second half.
 *
 * @module
 */
import { COUNTER } from "../../src/dns/counters.ts";
import { STREAM_SIZE_MAX } from "../../src/dns/exchange.ts";
import { Tally } from "../../src/dns/tally.ts";
import type { LogFields } from "../../src/telemetry/log.ts";
import { framed, TcpClient, UdpClient } from "../dns/clients.ts";
import { judge } from "../dns/judge.ts";
import { Loopback } from "../dns/loopback.ts";
import { FUZZED, Mutator } from "../dns/mutate.ts";
import { query } from "../dns/packets.ts";
import { World } from "../dns/world.ts";

/** How a run differs from the full one. */
export interface FuzzOptions {
  readonly seed: number;
  /** Packets for the engine; one in `FLEET_SHARE` goes over the network as well. */
  readonly count: number;
  readonly onProgress: (done: number) => void;
}

const FLEET_SHARE = 10;
/** One in so many packets for the fleets goes over TCP; odd, so that both get their share. */
const TCP_SHARE = 5;
const PROGRESS_STEPS = 20;
const RSS_DEVIATION_MAX = 0.1;

/** Runs the proof. */
export async function prove(args: string[]): Promise<boolean> {
  const seed = numberAfter(args, "--seed") ?? crypto.getRandomValues(new Uint32Array(1))[0]!;
  const count = numberAfter(args, "--count") ?? 1_000_000;
  console.log(`${count} packets, repeated by --seed ${seed}`);
  const memory: number[] = [];
  const start = performance.now();
  const fault = await fuzz({
    seed,
    count,
    onProgress: (done) => {
      const rss = Deno.memoryUsage().rss;
      if (done >= count / 2) memory.push(rss);
      console.log(
        `${done} packets, ${((performance.now() - start) / 1000).toFixed(0)} s, RSS ${mebibytes(rss)}`,
      );
    },
  });
  if (fault !== null) {
    console.log(fault);
    return false;
  }
  const deviation = Math.max(...memory.map((rss) => Math.abs(rss / memory[0]! - 1)));
  console.log(`no fault; RSS within ${(deviation * 100).toFixed(1)} % over the second half (allowed: 10 %)`);
  return deviation <= RSS_DEVIATION_MAX;
}

/** Asks `count` times; says what went wrong first, `null` = nothing did. */
export async function fuzz({ seed, count, onProgress }: FuzzOptions): Promise<string | null> {
  const complaints: string[] = [];
  const onLog = (line: string, fields: LogFields) => {
    if (line.startsWith("error")) complaints.push(`${line} ${JSON.stringify(fields)}`);
  };
  await using fast = await Loopback.start(FUZZED, { engine: OUTSPOKEN, transport: "auto", onLog });
  await using portable = await Loopback.start(FUZZED, { engine: OUTSPOKEN, transport: "portable", onLog });
  const world = new World(FUZZED, OUTSPOKEN);
  const mutator = new Mutator(seed);
  using toFast = new Wire(fast);
  using toPortable = new Wire(portable);
  const askFleet = (packet: Uint8Array, turn: number) =>
    (turn % 2 === 0 ? toFast : toPortable).ask(packet, turn % TCP_SHARE === 0);
  for (let number = 1; number <= count; number++) {
    const packet = mutator.next();
    const fault = askEngine(world, packet) ??
      (number % FLEET_SHARE === 0 ? await askFleet(packet, number / FLEET_SHARE) : null) ??
      complaints[0];
    if (fault) return `packet ${number} of seed ${seed}: ${fault}\n${packet.toHex()}`;
    if (number % Math.ceil(count / PROGRESS_STEPS) === 0) onProgress(number);
  }
  return ledger(fast) ?? ledger(portable);
}

/** Nothing is hidden: what is only said when configured can go wrong, too. */
const OUTSPOKEN = { nsid: "node-1", chaos: { version: "1.2.3", id: "node-1" } };

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
      return `the engine threw ${(error as Error).stack}`;
    }
    const answer = size === 0 ? null : out.subarray(0, size);
    const fault = judge({ query: packet, answer, stream });
    if (fault !== null) return `${fault} (${stream ? "TCP" : "UDP"}): ${answer?.toHex() ?? ""}`;
  }
  return null;
}

/**
 * Real clients of a fleet. Behind each packet goes a good query under another identifier, so that silence can be
 * told from an answer that is still to come: the good one's answer always comes.
 */
class Wire implements Disposable {
  readonly #node: Loopback;
  readonly #udp: UdpClient;
  #tcp: TcpClient | null = null;

  constructor(node: Loopback) {
    this.#node = node;
    this.#udp = new UdpClient(node.address);
  }

  async ask(packet: Uint8Array, stream: boolean): Promise<string | null> {
    const marker = query("www.example.com", "A");
    marker[0] = ~(packet[0] ?? 0);
    const answers = stream ? await this.#askTcp(packet, marker) : await this.#askUdp(packet, marker);
    const answer = answers.find((each) => each[0] !== marker[0]) ?? null;
    const fault = judge({ query: packet, answer, stream });
    return fault && `${fault} (over the network, ${stream ? "TCP" : "UDP"}): ${answer?.toHex() ?? ""}`;
  }

  /** Both answers, or the good query's alone. Which comes first is left to the server. */
  async #askUdp(packet: Uint8Array, marker: Uint8Array): Promise<Uint8Array[]> {
    await this.#udp.send(packet);
    await this.#udp.send(marker);
    const first = await this.#udp.receive();
    return isSilent(packet) ? [first] : [first, await this.#udp.receive()];
  }

  /** The server ends a connection on which something else than a query comes. */
  async #askTcp(packet: Uint8Array, marker: Uint8Array): Promise<Uint8Array[]> {
    this.#tcp ??= await TcpClient.connect(this.#node.address);
    await this.#tcp.write(framed(packet, marker));
    const answers: Uint8Array[] = [];
    for (const answer of await this.#tcp.readAll(2)) if (answer) answers.push(answer);
    if (answers.length < 2) this.#hangUp();
    return answers;
  }

  #hangUp(): void {
    this.#tcp?.[Symbol.dispose]();
    this.#tcp = null;
  }

  [Symbol.dispose](): void {
    this.#udp[Symbol.dispose]();
    this.#hangUp();
  }
}

function isSilent(packet: Uint8Array): boolean {
  return packet.length < 12 || (packet[2]! & 0x80) !== 0;
}

/** What the fleet's own books say at the end. */
function ledger(node: Loopback): string | null {
  const tally = new Tally();
  tally.update(node.world.board);
  const failures = tally.total(COUNTER.rcode + 2) + tally.total(COUNTER.sendErrors);
  return failures === 0 ? null : `${failures} answers were SERVFAIL or could not be sent`;
}

function numberAfter(args: readonly string[], flag: string): number | undefined {
  const at = args.indexOf(flag);
  return at < 0 ? undefined : Number(args[at + 1]);
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB`;
}
