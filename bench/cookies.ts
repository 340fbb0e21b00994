/**
 * What DNS cookies cost: `deno task bench cookies [--rounds N]`.
 *
 * The answering side of a worker alone, in paired rounds: queries without a cookie, with the cookie of a client alone, which
 * takes a server cookie to be made, and with a good one, of few clients and of more than are remembered. The time of an
 * answer isn't that of a packet: what the kernel takes for it, some 2 to 3 µs, comes on top, and is the same. So then whole
 * workers are compared: the processor time that one takes for an answer with good cookies, and of another without
 * cookies, under the same load in turn.
 *
 * @module
 */
import { seededRng } from "../src/clock.ts";
import { Exchange } from "../src/dns/exchange.ts";
import { type LimitTerms, NO_LIMITS } from "../src/dns/limits.ts";
import { Loopback } from "../tests/dns/loopback.ts";
import { query } from "../tests/dns/packets.ts";
import { type Declared, PLAIN, World } from "../tests/dns/world.ts";
import { Asking, sockets, sum } from "../tests/prove/fire/asking.ts";
import { busiestThread, timesOf } from "../tests/prove/fire/threads.ts";
import { printPairedRounds } from "./timing/paired_rounds.ts";

const NAMES = 10_000;
const ANSWERS_A_ROUND = 320_000;
const BATCH = 64;
const SECRET = Uint8Array.fromHex("e5e973e5a6b2a43f48e7dc849e37bfcf");
const FEW = 100;
const MANY = 100_000;
const DECLARED: Declared = {
  pools: [{ name: "web", members: ["192.0.2.10", "192.0.2.11"] }],
  services: Object.fromEntries(Array.from({ length: NAMES }, (_, i) => [nameOf(i), "web"])),
};

/** A packet and its sender. */
interface Asked {
  readonly packet: Uint8Array;
  readonly client: { readonly stream: false; readonly address: () => Uint8Array };
}

/** Prints the table. */
export async function bench(args: string[]): Promise<void> {
  const cookies = { ...NO_LIMITS, cookieSecrets: [SECRET] };
  printPairedRounds([
    { name: "cookies off", time: timed(NO_LIMITS, askedBy(FEW)) },
    { name: "on, queries without", time: timed(cookies, askedBy(FEW)) },
    { name: "on, clients that have none yet", time: timed(cookies, askedBy(FEW, () => "")) },
    { name: `on, good ones of ${FEW} clients`, time: timed(cookies, learned(cookies, FEW)) },
    { name: `on, good ones of ${MANY} clients`, time: timed(cookies, learned(cookies, MANY)) },
  ], args);
  await wholeWorkers();
}

const PAIRS = 12;
const PER_SECOND = 40_000;
const RATIO_MAX = 1.1;

async function wholeWorkers(): Promise<void> {
  await using off = await Worker.start(NO_LIMITS, "opt");
  await using on = await Worker.start({ ...NO_LIMITS, cookieSecrets: [SECRET] }, "good");
  const ratios: number[] = [];
  for (let pair = -1; pair < PAIRS; pair++) {
    const without = await off.nsAnAnswer();
    const withCookies = await on.nsAnAnswer();
    if (pair >= 0) ratios.push(withCookies / without); // the first pair warms up
  }
  ratios.sort((a, b) => a - b);
  const at = (share: number) => ratios[Math.floor(share * ratios.length)]!.toFixed(3);
  console.log(
    `whole workers at ${PER_SECOND} queries a second, with good cookies ÷ without cookies: ` +
      `${at(0.25)}, ${at(0.5)}, ${at(0.75)} (quartiles of ${PAIRS} pairs); wanted: ${RATIO_MAX} at most`,
  );
}

/** A worker on loopback, and what asks it. */
class Worker implements AsyncDisposable {
  readonly #node: Loopback;
  readonly #asking: Asking;
  readonly #thread: string;

  private constructor(node: Loopback, asking: Asking, thread: string) {
    this.#node = node;
    this.#asking = asking;
    this.#thread = thread;
  }

  static async start(limits: LimitTerms, cookie: "opt" | "good"): Promise<Worker> {
    const node = await Loopback.start(DECLARED, { transport: "linux", limits });
    const asking = await Asking.start({
      ...{ server: node.address, name: nameOf(0), isRandom: false, sources: sockets(8), cookie },
    });
    const thread = await busiestThread(Deno.pid, () => asking.ask({ perSecond: PER_SECOND, seconds: 1 }));
    return new Worker(node, asking, thread);
  }

  async nsAnAnswer(): Promise<number> {
    const before = timesOf(this.#thread).runMs;
    const { seconds } = await this.#asking.ask({ perSecond: PER_SECOND, seconds: 1 });
    return (timesOf(this.#thread).runMs - before) * 1e6 / sum(seconds, ({ answered }) => answered);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#asking[Symbol.asyncDispose]();
    await this.#node[Symbol.asyncDispose]();
  }
}

function nameOf(i: number): string {
  return `n${i}.example.org`;
}

/** Queries of so many clients; with a cookie where there is one of the server, which may be empty. */
function askedBy(clients: number, serverCookie?: (client: number) => string): Asked[] {
  return Array.from({ length: Math.max(clients, NAMES) }, (_, i) => {
    const number = i % clients;
    const address = new Uint8Array([10, number >> 16, number >> 8, number]);
    const cookie = serverCookie && number.toString(16).padStart(16, "0") + serverCookie(number);
    const packet = withOpt(query(nameOf(i % NAMES), "A"), cookie);
    return { packet, client: { stream: false, address: () => address } };
  });
}

/** Queries with the cookies that the server gives out. */
function learned(terms: LimitTerms, clients: number): Asked[] {
  const exchange = exchangeOf(terms);
  const out = new Uint8Array(1232);
  const cookies = askedBy(clients, () => "").slice(0, clients).map(({ packet, client }) => {
    const size = exchange.answerDatagram(packet, packet.length, client, out);
    // The option is the last of the answer (RFC 9018 §4: 8 + 16 bytes).
    return out.subarray(size - 16, size).toHex();
  });
  return askedBy(clients, (client) => cookies[client]!);
}

/** The query with an OPT record (RFC 6891), and a cookie in it if there is one. */
function withOpt(packet: Uint8Array, cookie?: string): Uint8Array {
  const hex = (number: number) => number.toString(16).padStart(4, "0");
  const option = cookie === undefined ? "" : `000a${hex(cookie.length / 2)}${cookie}`;
  const opt = Uint8Array.fromHex(`00002904d000000000${hex(option.length / 2)}${option}`);
  const whole = new Uint8Array([...packet, ...opt]);
  whole[11] = 1;
  return whole;
}

function exchangeOf(terms: LimitTerms): Exchange {
  const world = new World(DECLARED);
  const fault = ({ reason }: { readonly reason: string }) => {
    throw new Error(reason);
  };
  const exchange = new Exchange(PLAIN, { sampleEvery: 1, samplesPerSecond: 0, rng: seededRng(1), fault });
  exchange.use(world.snapshot, world.board);
  exchange.limit(terms);
  return exchange;
}

function timed(terms: LimitTerms, all: readonly Asked[]): () => number {
  const exchange = exchangeOf(terms);
  const out = new Uint8Array(1232);
  let next = 0;
  return () => {
    const start = performance.now();
    for (let i = 0; i < ANSWERS_A_ROUND; i += BATCH) {
      exchange.begin(BATCH);
      for (let j = 0; j < BATCH; j++) {
        const { packet, client } = all[next++ % all.length]!;
        exchange.read(0, packet, packet.length);
        const size = exchange.answerRead(0, packet, packet.length, client, out);
        if (size === 0 || (out[3]! & 15) !== 0) throw new Error("No answer");
      }
      exchange.end();
    }
    return (performance.now() - start) * 1e6 / ANSWERS_A_ROUND;
  };
}
