/** @module A flood from one network on real sockets: two workers keep to one rate, and others hear nothing of it. */
import { ok } from "node:assert/strict";
import { seededRng } from "../../src/clock.ts";
import { COUNTER } from "../../src/dns/counters.ts";
import { NO_LIMITS } from "../../src/dns/limits.ts";
import { rangesOf } from "../../src/dns/prefix_ranges.ts";
import { createRateTable } from "../../src/dns/rate_table.ts";
import { Loopback } from "./loopback.ts";
import { query } from "./packets.ts";

const RATE = 100;
const FLOOD_MS = 2500;
const SOCKETS = 16;
/** Packets of each socket at a time, and what is waited after them. */
const BURST = 4;
const BURST_PAUSE_MS = 5;

const second = () => Math.floor(Date.now() / 1000);

/** Sockets of as many addresses in 127.0.5.0/24, which the kernel spreads over the workers. */
function network(): Deno.DatagramConn[] {
  return Array.from(
    { length: SOCKETS },
    (_, i) => Deno.listenDatagram({ transport: "udp", hostname: `127.0.5.${i + 1}`, port: 0 }),
  );
}

const KINDS: readonly [title: string, name: (i: number) => string, rcode: number][] = [
  ["of one name", () => "www.example.com", 0],
  ["of random names that don't exist", (i) => `x${i}.example.com`, 3],
];
for (const [title, name, rcode] of KINDS) {
  Deno.test({
    name: `a flood ${title} from one network gets the set rate from two workers together`,
    ignore: Deno.build.os !== "linux",
    fn: async () => {
      const terms = { responsesPerSecond: RATE, slip: 2, ipv4PrefixLength: 24, ipv6PrefixLength: 56 };
      const rate = { ...terms, table: createRateTable(seededRng(1)), exempt: rangesOf([]) };
      await using node = await Loopback.start({
        pools: [{ name: "web", members: ["192.0.2.10"] }],
        services: { "www.example.com": "web" },
        zones: { "example.com": null },
      }, { workers: 2, transport: "linux", limits: { ...NO_LIMITS, rate } });
      const sockets = network();
      const other = Deno.listenDatagram({ transport: "udp", hostname: "127.0.6.1", port: 0 });
      const to = { transport: "udp", ...node.address } as const;

      const firstSecond = second();
      const endMs = performance.now() + FLOOD_MS;
      let answered = 0;
      for (let i = 0; performance.now() < endMs; i++) {
        for (let j = 0; j < BURST; j++) {
          const at = (i * BURST + j) * SOCKETS;
          await Promise.all(sockets.map((socket, k) => socket.send(query(name(at + k), "A"), to)));
        }
        if (i % 5 === 0 && answered < RATE) {
          await other.send(query("www.example.com", "A"), to);
          await other.receive();
          answered++;
        }
        // Time is the subject: a hundred times the rate is flood enough, and more takes three processors.
        await new Promise((resolve) => setTimeout(resolve, BURST_PAUSE_MS));
      }
      const count = (counter: number) =>
        [0, 1].reduce((sum, lane) => sum + node.world.board.lane(lane)[counter]!, 0);
      for (const socket of [...sockets, other]) socket.close();

      const [slipped, dropped] = [count(COUNTER.rateSlipped), count(COUNTER.rateDropped)];
      const all = count(COUNTER.rcode + rcode);
      const whole = rcode === 0 ? all - slipped - answered : all;
      const seconds = second() - firstSecond + 1;
      // Where a second begins, two workers may both take its first answer.
      const most = RATE * seconds + seconds;
      ok(whole <= most && whole >= RATE * (seconds - 2), `${whole} whole answers in ${seconds} s`);
      ok(dropped > 10 * RATE, `only ${dropped} dropped: this was no flood`);
      ok(Math.abs(dropped - slipped) <= 2 * seconds, `${dropped} dropped and ${slipped} short`);
      ok(
        [0, 1].every((lane) => node.world.board.lane(lane)[COUNTER.queriesUdp]! > 0),
        "one worker got all of it",
      );
      ok(answered > 0);
    },
  });
}
