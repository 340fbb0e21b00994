/** @module Limits on real sockets: what clients see of them, and how workers take over others. */
import assert, { deepEqual, equal, match } from "node:assert/strict";
import { seededRng } from "../../src/clock.ts";
import { COUNTER } from "../../src/dns/counters.ts";
import { STREAM_LANE } from "../../src/dns/fleet.ts";
import { type LimitTerms, NO_LIMITS } from "../../src/dns/limits.ts";
import { rangesOf } from "../../src/dns/prefix_ranges.ts";
import { createRateTable } from "../../src/dns/rate_table.ts";
import { parsePrefix } from "../../src/ip.ts";
import { program } from "../programs.ts";
import { until } from "../test_node.ts";
import { askTcp, askUdp, UdpClient } from "./clients.ts";
import { testEachTransport } from "./each_transport.ts";
import type { Loopback } from "./loopback.ts";
import { query, show } from "./packets.ts";
import type { Declared } from "./world.ts";

const EXAMPLE: Declared = {
  pools: [{ name: "web", members: ["192.0.2.10"] }],
  services: { "www.example.com": "web" },
  zones: { "example.com": null },
};
const WWW = query("www.example.com", "A");
const SECRET = Uint8Array.fromHex("e5e973e5a6b2a43f48e7dc849e37bfcf");
const LOOPBACK = rangesOf([parsePrefix("127.0.0.1/32")]);
const NOTHING = rangesOf([]);

function limits(terms: Partial<LimitTerms>): { readonly limits: LimitTerms } {
  return { limits: { ...NO_LIMITS, ...terms } };
}

function statusOf(answer: Uint8Array | null): string {
  return show(answer).split(/\s/)[0]!;
}

testEachTransport("a denied client is told nothing, and its connections are closed", async (start) => {
  await using node = await start(EXAMPLE, { listen: ["0.0.0.0:0"], ...limits({ deny: LOOPBACK }) });
  equal(await askTcp(node.address, WWW), null);
  equal(node.world.board.lane(STREAM_LANE)[COUNTER.denied], 1);
  using denied = new UdpClient(node.address);
  await denied.send(WWW);
  const other = { transport: "udp", hostname: "127.0.0.1", port: node.address.port } as const;
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.2", port: 0 });
  await socket.send(WWW, other);
  const [answer] = await socket.receive();
  socket.close();
  equal(statusOf(answer), "NOERROR");
  equal(node.world.board.lane(0)[COUNTER.denied], 1);
});

testEachTransport("limits are taken over while answers are given, by UDP and by streams", async (start) => {
  await using node = await start(EXAMPLE);
  const statuses = async () => [
    statusOf(await askUdp(node.address, WWW)),
    statusOf(await askTcp(node.address, WWW)),
  ];
  deepEqual(await statuses(), ["NOERROR", "NOERROR"]);
  node.fleet.limit({ ...NO_LIMITS, allow: rangesOf([parsePrefix("192.0.2.0/24")]) });
  await until(statuses, (all) => all.every((status) => status === "REFUSED"));
  await node.publish(EXAMPLE);
  deepEqual(await statuses(), ["REFUSED", "REFUSED"], "another snapshot leaves them as they are");
  node.fleet.limit(NO_LIMITS);
  await until(statuses, (all) => all.every((status) => status === "NOERROR"));
});

/** What kdig says of a query with a cookie of its own, or with this one. */
async function kdig({ address }: Loopback, cookie: string, ...more: string[]): Promise<string> {
  const args = [`@${address.hostname}`, `-p${address.port}`, `+cookie${cookie}`, ...more, "www.example.com"];
  const { stdout, stderr } = await new Deno.Command(program("kdig")!, { args }).output();
  const text = new TextDecoder().decode(stdout);
  assert(text !== "", new TextDecoder().decode(stderr));
  return text;
}

testEachTransport("kdig gets a cookie, and another node with the secret takes it", async (start) => {
  await using one = await start(EXAMPLE, limits({ cookieSecrets: [SECRET] }));
  await using other = await start(EXAMPLE, limits({ cookieSecrets: [new Uint8Array(16), SECRET] }));
  for (const transport of ["+notcp", "+tcp"]) {
    const text = await kdig(one, "=2464c4abcf10c957", transport);
    const cookie = /COOKIE: ([0-9A-Fa-f]{16}01000000[0-9A-Fa-f]{24})/.exec(text)?.[1];
    assert(cookie !== undefined, text);
    match(await kdig(other, `=${cookie}`, transport), /status: NOERROR/);
  }
  equal(other.world.board.lane(0)[COUNTER.cookiesValid], 1);
  equal(other.world.board.lane(STREAM_LANE)[COUNTER.cookiesValid], 1);
}, ["kdig"]);

testEachTransport("kdig comes back from BADCOOKIE with the cookie, and is answered", async (start) => {
  const rate = {
    table: createRateTable(seededRng(1)),
    ...{ responsesPerSecond: 1, slip: 1, ipv4PrefixLength: 24, ipv6PrefixLength: 56, exempt: NOTHING },
  };
  await using node = await start(EXAMPLE, limits({ cookieSecrets: [SECRET], rate }));
  const isLimited = async () => show(await askUdp(node.address, WWW)).startsWith("NOERROR tc");
  // The second may end between two queries, so both are asked until they meet in one.
  const texts = async () => await isLimited() ? await kdig(node, "") : "";
  const text = await until(texts, () => node.world.board.lane(0)[COUNTER.badCookies]! > 0);
  match(text, /status: NOERROR[\s\S]*192\.0\.2\.10/);
  equal(node.world.board.lane(0)[COUNTER.cookiesValid], 1);
}, ["kdig"]);
