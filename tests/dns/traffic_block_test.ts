/**
 * What a worker counts for the query sketch: under which name, for which network, and how many stand behind one.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { seededRng } from "../../src/clock.ts";
import { COUNTER } from "../../src/dns/counters.ts";
import { Exchange, NamedClient } from "../../src/dns/exchange.ts";
import { type CountedQuery, readTraffic } from "../../src/dns/traffic_block.ts";
import { parsePrefix } from "../../src/ip.ts";
import { query } from "./packets.ts";
import { type Declared, PLAIN, World } from "./world.ts";

const DECLARED: Declared = {
  pools: [{ name: "web", members: ["192.0.2.10"] }],
  services: {
    "www.example.com": "web",
    "*.cdn.example.com": "web",
    "blind.example.com": { pool: "web", ecs: false },
  },
  zones: {
    "example.com": `
@ SOA ns1 hostmaster 1 1h 10m 1w 1m
@ NS ns1
static A 192.0.2.80
alias CNAME www
two CNAME alias
away CNAME www.example.net.
one CNAME other
other CNAME one
loop CNAME one
*.wild A 192.0.2.81
below NS ns1.below
ns1.below A 192.0.2.53
`,
  },
};

/** A worker's answering side that counts, and what it has counted since the last look. */
function counting({ share = 1_000, declared = DECLARED, ecs = PLAIN.ecs } = {}) {
  const world = new World(declared);
  const exchange = new Exchange({ ...PLAIN, ecs }, {
    samplesPerSecond: 0,
    sampleEvery: 1,
    rng: seededRng(1),
    fault: ({ reason }) => {
      throw new Error(reason);
    },
  });
  exchange.use(world.snapshot, world.board);
  exchange.countTraffic(share);
  const out = new Uint8Array(1232);
  const client = new NamedClient("udp");
  const ask = (packet: Uint8Array, from = "198.51.100.77") => {
    client.text = from;
    exchange.answerDatagram(packet, packet.length, client, out);
  };
  const counted = () =>
    [...readTraffic(exchange.takeTraffic() ?? new Uint8Array(0))].map((each) => ({
      ...each,
      network: [...each.network].join("."),
    }));
  return { exchange, ask, counted, lane: world.board.lane(0) };
}

const NETWORK = "198.51.100";

Deno.test("a query counts under the declared name that answered it", () => {
  const { ask, counted } = counting();
  const names = (...asked: [name: string, type?: string][]) => {
    for (const [name, type = "A"] of asked) ask(query(name, type));
    return counted().map(({ name, type }) => `${name} ${type}`);
  };
  deepEqual(names(["www.example.com"], ["WWW.Example.COM", "AAAA"]), [
    "www.example.com A",
    "www.example.com AAAA",
  ]);
  deepEqual(names(["static.example.com"]), ["static.example.com A"]);
  deepEqual(names(["a.b.cdn.example.com"], ["x.wild.example.com"]), [
    "*.cdn.example.com A",
    "*.wild.example.com A",
  ]);
  // Where an alias leads to is what gives the addresses.
  deepEqual(names(["alias.example.com"], ["two.example.com"]), ["www.example.com A", "www.example.com A"]);
  deepEqual(names(["away.example.com"]), ["away.example.com A"]);
  deepEqual(names(["loop.example.com"]), ["other.example.com A"]);
});

Deno.test("what isn't declared, isn't about addresses, or isn't answered here doesn't count", () => {
  const { ask, counted } = counting();
  ask(query("absent.example.com", "A"));
  ask(query("www.example.net", "A"));
  ask(query("www.below.example.com", "A"));
  ask(query("www.example.com", "HTTPS"));
  ask(query("www.example.com", "ANY"));
  ask(query("www.example.com", "A", { class: "CH" }));
  ask(query("www.example.com", "A", { ednsVersion: 1 }));
  ask(query("www.example.com", "A").subarray(0, 20));
  ask(query("www.example.com", "A").with(2, 0x80));
  ask(new Uint8Array(3));
  deepEqual(counted(), []);
});

Deno.test("an answer that is cut doesn't count, since its client comes back over a stream", () => {
  const many = Array.from({ length: 40 }, (_, i) => `many A 192.0.2.${i}`).join("\n");
  const declared = { zones: { "example.com": `@ SOA ns1 h 1 1h 10m 1w 1m\n@ NS ns1\n${many}\n` } };
  const { ask, counted } = counting({ declared });
  ask(query("many.example.com", "A"));
  deepEqual(counted(), []);
  ask(query("many.example.com", "A", { udpSize: 1232 }));
  deepEqual(counted().map(({ name }) => name), ["many.example.com"]);
});

Deno.test("what the static fallback answers counts under *, and a service without a pool under its name", () => {
  const fallback = { endpoints: ["192.0.2.99"] };
  const declared = { services: { "bare.example.com": null }, zones: { "example.com": null }, fallback };
  const { ask, counted } = counting({ declared });
  ask(query("anything.example.com", "A"));
  ask(query("bare.example.com", "A"));
  deepEqual(counted().map(({ name }) => name), ["*", "bare.example.com"]);
});

Deno.test("the client is a /24 or a /48, of the subnet where that is what the engine goes by", () => {
  const { ask, counted } = counting();
  const network = (asked: Parameters<typeof query>[2], from?: string, name = "www.example.com") => {
    ask(query(name, "A", asked), from);
    return counted()[0]!.network;
  };
  equal(network({}), NETWORK);
  equal(network({}, "2001:db8:1:2:3:4:5:6"), "32.1.13.184.0.1");
  equal(network({}, "::ffff:203.0.113.9"), "203.0.113");
  equal(network({ ecs: "203.0.113.128/25" }), "203.0.113");
  equal(network({ ecs: "203.0.0.0/16" }), "203.0.0");
  equal(network({ ecs: "2001:db8:7::/56" }), "32.1.13.184.0.7");
  // Not to be looked at (RFC 7871 §7.1.2), and not looked at.
  equal(network({ ecs: "0.0.0.0/0" }), NETWORK);
  equal(network({ ecs: "203.0.113.0/24" }, undefined, "blind.example.com"), NETWORK);
});

Deno.test("the subnet of a resolver that isn't trusted is nothing to go by", () => {
  const ecs = { enabled: true, trusted: [parsePrefix("192.0.2.0/24")] };
  const { ask, counted } = counting({ ecs });
  for (const from of ["192.0.2.1", "198.51.100.77"]) {
    ask(query("www.example.com", "A", { ecs: "203.0.113.0/24" }), from);
  }
  deepEqual(counted().map(({ network }) => network), ["203.0.113", NETWORK]);
});

Deno.test("every query is counted as long as there are few", () => {
  const { exchange, ask, counted } = counting({ share: 100 });
  for (let second = 0; second < 10; second++) {
    for (let i = 0; i < 99; i++) ask(query("www.example.com", "A"));
    exchange.refill();
  }
  deepEqual(counted().map(({ weight }) => weight), Array(990).fill(1));
});

Deno.test("many queries are sampled, about a share a second, and the samples stand for all of them", () => {
  const { exchange, ask, counted } = counting({ share: 100 });
  const www = query("www.example.com", "A");
  const all: Omit<CountedQuery, "network">[] = [];
  const asked = 20 * 10_000;
  for (let second = 0; second < 20; second++) {
    for (let i = 0; i < 10_000; i++) ask(www);
    const ofSecond = counted();
    ok(ofSecond.length <= (second === 0 ? 1_000 : 200), `${ofSecond.length} in second ${second}`);
    all.push(...ofSecond);
    exchange.refill();
  }
  const estimate = all.reduce((sum, { weight }) => sum + weight, 0);
  ok(Math.abs(estimate / asked - 1) < 0.05, `${estimate} of ${asked}`);
  // When it gets quiet every single one counts again.
  for (let second = 0; second < 20; second++) exchange.refill();
  for (let i = 0; i < 300; i++) ask(www);
  counted();
  exchange.refill();
  exchange.refill();
  ask(www);
  deepEqual(counted().map(({ weight }) => weight), [1]);
});

Deno.test("names that are asked in turn are met alike", () => {
  const { ask, counted } = counting({ share: 500 });
  const packets = ["www.example.com", "static.example.com", "x.cdn.example.com", "x.wild.example.com"]
    .map((name) => query(name, "A"));
  for (let i = 0; i < 400_000; i++) ask(packets[i % 4]!);
  const counts = new Map<string, number>();
  for (const { name, weight } of counted()) counts.set(name, (counts.get(name) ?? 0) + weight);
  equal(counts.size, 4);
  for (const [name, count] of counts) ok(Math.abs(count / 100_000 - 1) < 0.4, `${name}: ${count}`);
});

Deno.test("what finds no room is counted as lost, and there is room again once it was taken", () => {
  const { ask, counted, lane } = counting({ share: 1_000_000 });
  const www = query("www.example.com", "A");
  for (let i = 0; i < 10_000; i++) ask(www);
  const found = counted().length;
  ok(found > 1_000 && found < 10_000, `${found}`);
  equal(lane[COUNTER.trafficLost], 10_000 - found);
  ask(www);
  equal(counted().length, 1);
});

Deno.test("nothing is counted unless it is asked for, and nothing more when it no longer is", () => {
  const { exchange, ask, counted } = counting({ share: 0 });
  ask(query("www.example.com", "A"));
  equal(exchange.takeTraffic(), null);
  exchange.countTraffic(10);
  ask(query("www.example.com", "A"));
  equal(counted().length, 1);
  exchange.countTraffic(0);
  ask(query("www.example.com", "A"));
  equal(exchange.takeTraffic(), null);
});
