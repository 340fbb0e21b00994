/**
 * A flood from one network against the rate: it gets the rate and its share of short answers, and others nothing of it.
 *
 * @module
 */
import type { SocketAddress } from "../../../src/ip.ts";
import { RCODE } from "../../../src/wire/record_type.ts";
import { askTcp, UdpClient } from "../../dns/clients.ts";
import { query } from "../../dns/packets.ts";
import { within } from "../streams/within.ts";
import { Asking, counterOf, sockets, sum } from "./asking.ts";
import { NAME, Node, ZONE } from "./node.ts";
import type { Second } from "./offer.ts";
import { atMost, equals, type Line } from "./verdict.ts";

/** How a run differs from the full one. */
export interface RateOptions {
  readonly workers: readonly number[];
  /** Queries a second of the flood. */
  readonly perSecond: number;
  readonly seconds: number;
  readonly onStep: (line: string) => void;
}

const RATE = 1_000;
const SLIP = 4;
/** Sockets of the flood, of as many addresses in 127.0.0.0/24. */
const FLOODERS = 32;
/** Queries a second of a client in another network, which is below its own rate. */
const OTHERS_PER_SECOND = 500;
const OTHER = "127.0.6.1";
const WITHIN = 0.1;
const RATIO_MAX = 1.2;
/** What is shorter is a clock's and a scheduler's. */
const FLOOR_MS = 0.5;
/** Queries of each client that has proved its address, how often one asks for a cookie, and for how long it waits. */
const EACH = 200;
const TRIES = 100;
const UDP_MS_MAX = 100;
const TCP_MS_MAX = 5_000;

/** Runs it. */
export async function rate({ workers, perSecond, seconds, onStep }: RateOptions): Promise<Line[]> {
  const lines: Line[] = [];
  for (const count of workers) {
    await using node = await Node.start({
      workers: count,
      hostname: "0.0.0.0",
      dns: { rateLimit: { enabled: true, responsesPerSecond: RATE, slip: SLIP, exempt: [] } },
    });
    const server = { hostname: "127.0.0.1", port: node.serve.dns.port };
    await using other = await Asking.start({
      server,
      name: NAME,
      isRandom: false,
      sources: sockets(16, OTHER),
    });
    const alone = await other.ask({ perSecond: OTHERS_PER_SECOND, seconds });
    for (const isRandom of [false, true]) {
      const what = `${count} worker(s), ${isRandom ? "random names" : "one name"}`;
      onStep(what);
      const sources = Array.from({ length: FLOODERS }, (_, i) => `127.0.0.${i + 2}`);
      await using flood = await Asking.start({ server, name: isRandom ? ZONE : NAME, isRandom, sources });
      const before = await countedBy(node);
      const [flooded, others, clients] = await Promise.all([
        flood.ask({ perSecond, seconds: seconds + 2 }),
        other.ask({ perSecond: OTHERS_PER_SECOND, seconds }),
        proven(server),
      ]);
      const after = await countedBy(node);
      const counted = {
        short: after.short - before.short,
        dropped: after.dropped - before.dropped,
        untaken: after.untaken - before.untaken,
      };
      // The first and the last second of the flood are cut by the clock's.
      const inner = flooded.seconds.slice(1, -1);
      const lost = sum(others.seconds, (second) => second.asked - second.answered);
      const p99 = RATIO_MAX * Math.max(FLOOR_MS, p99Of(alone.seconds));
      lines.push(...[
        ...judge(inner, counted, isRandom),
        atMost("others, lost; and what the kernel dropped", lost, counted.untaken),
        atMost("others, p99", p99Of(others.seconds), p99, "ms"),
        atMost(`with a cookie, lost of ${EACH}`, EACH - clients.cookie, counted.untaken),
        equals("over TCP, answered", clients.tcp, EACH),
      ].map((line) => ({ ...line, what: `${what}: ${line.what}` })));
    }
  }
  return lines;
}

/** What a node counted. */
interface Counted {
  /** Beyond the rate: answered short, and not at all. */
  readonly short: number;
  readonly dropped: number;
  /** What the node had no time for. */
  readonly untaken: number;
}

async function countedBy({ serve: { api } }: Node): Promise<Counted> {
  const dropped = (reason: string) => counterOf(api, "pleiades_dns_dropped_total", `reason="${reason}"`);
  return {
    short: await counterOf(api, "pleiades_dns_limited_total", 'limit="rate"'),
    dropped: await dropped("rate_limit"),
    untaken: await dropped("kernel_buffer") + await dropped("stale"),
  };
}

function judge(seconds: readonly Second[], { short, dropped }: Counted, isRandom: boolean): Line[] {
  const whole = sum(seconds, (second) => isRandom ? second.other : second.answered) / seconds.length;
  const asked = sum(seconds, (second) => second.asked) / seconds.length;
  const wanted = (short + dropped) / SLIP;
  return [
    {
      what: `${asked.toFixed(0)} asked a second, answered whole`,
      figure: `${whole.toFixed(1)} of ${RATE}`,
      isMet: Math.abs(whole - RATE) <= WITHIN * RATE,
    },
    {
      what: `of ${short + dropped} beyond one of ${SLIP} is short`,
      figure: `${short} of ${wanted.toFixed(0)}`,
      // In each second a count of its own begins, for each name.
      isMet: Math.abs(short - wanted) <= 4 * (seconds.length + 2),
    },
  ];
}

function p99Of(seconds: readonly Second[]): number {
  const p99 = seconds.map(({ ageMs }) => ageMs.p99).sort((a, b) => a - b);
  return p99[p99.length >> 1]!;
}

/** Clients in the network of the flood that have proved their address: how many of their queries are answered whole. */
async function proven(
  server: SocketAddress,
): Promise<{ readonly cookie: number; readonly tcp: number }> {
  let cookie = "0123456789abcdef";
  let [answered, tcp] = [0, 0];
  // Short answers bring a cookie; of the others beyond the rate there are none.
  for (let tries = 0; cookie.length === 16 && tries < TRIES; tries++) {
    const answer = await askOnce(server, withCookie(cookie));
    cookie = answer && cookieOf(answer) || cookie;
  }
  for (let i = 0; i < EACH; i++) {
    const answer = await askOnce(server, withCookie(cookie));
    if (answer && (answer[3]! & 15) === RCODE.NOERROR && answer[7] === 1 && (answer[2]! & 2) === 0) {
      answered++;
    }
    const overTcp = await within(TCP_MS_MAX, askTcp(server, query(NAME, "A")), null);
    if (overTcp?.[7] === 1) tcp++;
  }
  return { cookie: answered, tcp };
}

async function askOnce(server: SocketAddress, packet: Uint8Array): Promise<Uint8Array | null> {
  using client = new UdpClient(server);
  return await within(UDP_MS_MAX, client.ask(packet), null);
}

/** The question with an OPT record and a cookie in it (RFC 7873 §4). */
function withCookie(cookie: string): Uint8Array {
  const packet = query(NAME, "A");
  const size = cookie.length / 2;
  const opt = Uint8Array.fromHex(
    `00002904d000000000${hex(size + 4)}000a${hex(size)}${cookie}`,
  );
  const whole = new Uint8Array([...packet, ...opt]);
  whole[11] = 1;
  return whole;
}

/** The cookie of an answer, its last option. */
function cookieOf(answer: Uint8Array): string | null {
  const text = answer.toHex();
  const at = text.lastIndexOf("000a0018");
  return at < 0 ? null : text.slice(at + 8, at + 8 + 48);
}

function hex(number: number): string {
  return number.toString(16).padStart(4, "0");
}
