/**
 * Members by name as the engine answers them: as addresses, or as aliases where the pool says so.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { addresses, query, show } from "./packets.ts";
import { type Declared, desiredOf, World } from "./world.ts";

const A = { target: "a.example.net" };
const B = { target: "b.example.net" };
const NAMES = { "a.example.net": ["192.0.2.1", "192.0.2.2", "2001:db8::1"], "b.example.net": ["192.0.2.9"] };

/** `www.example.com` answered by names, in a zone of its own. */
function aliases(
  members: NonNullable<Declared["pools"]>[number]["members"],
  more: Partial<NonNullable<Declared["pools"]>[number]> = {},
): Declared {
  return {
    names: NAMES,
    zones: { "example.com": "@ SOA ns h 1 1 1 1 60\n@ NS ns\nns A 192.0.2.53\n" },
    pools: [{ name: "web", healthCheck: null, flatten: false, ...more, members }],
    services: { "www.example.com": "web", "example.com": "web" },
  };
}

function answers(world: World, name: string, type: string, times = 1): string[] {
  return Array.from(
    { length: times },
    () => show(world.ask(query(name, type))).split("\n").slice(1).join(" | "),
  );
}

Deno.test("a pool that doesn't flatten answers with an alias, whichever family is asked for", () => {
  const world = new World(aliases([A]));
  const alias = "an www.example.com 30 CNAME a.example.net";
  for (const type of ["A", "AAAA", "CNAME", "TXT", "HTTPS"]) {
    deepEqual(answers(world, "www.example.com", type), [alias], type);
  }
});

Deno.test("aliases take turns, and one answer has one only", () => {
  const world = new World(aliases([A, B], { maxAnswers: 0 }));
  deepEqual(answers(world, "www.example.com", "A", 4), [
    "an www.example.com 30 CNAME a.example.net",
    "an www.example.com 30 CNAME b.example.net",
    "an www.example.com 30 CNAME a.example.net",
    "an www.example.com 30 CNAME b.example.net",
  ]);
});

Deno.test("other types are told who comes next without taking a turn", () => {
  const world = new World(aliases([A, B]));
  deepEqual(
    answers(world, "www.example.com", "TXT", 2),
    Array(2).fill("an www.example.com 30 CNAME a.example.net"),
  );
  deepEqual(answers(world, "www.example.com", "A"), ["an www.example.com 30 CNAME a.example.net"]);
  deepEqual(answers(world, "www.example.com", "TXT"), ["an www.example.com 30 CNAME b.example.net"]);
});

Deno.test("an address among names is answered as an address, and never beside an alias", () => {
  const world = new World(aliases([A, "198.51.100.1", "198.51.100.2"], { maxAnswers: 0 }));
  deepEqual(answers(world, "www.example.com", "A", 3), [
    "an www.example.com 30 CNAME a.example.net",
    "an www.example.com 30 A 198.51.100.1 | an www.example.com 30 A 198.51.100.2",
    "an www.example.com 30 A 198.51.100.2 | an www.example.com 30 A 198.51.100.1",
  ]);
  deepEqual(answers(world, "www.example.com", "AAAA"), ["an www.example.com 30 CNAME a.example.net"]);
});

Deno.test("another type finds nothing where an address comes next", () => {
  const world = new World(aliases([A, "198.51.100.1"]));
  answers(world, "www.example.com", "A");
  deepEqual(answers(world, "www.example.com", "TXT"), ["ns example.com 60 SOA ns.example.com 1"]);
});

Deno.test("a zone's apex is no alias: it gets the addresses of the names", () => {
  const world = new World(aliases([A, B], { maxAnswers: 0 }));
  deepEqual(addresses(world.ask(query("example.com", "A"))).sort(), ["192.0.2.1", "192.0.2.2", "192.0.2.9"]);
  deepEqual(answers(world, "example.com", "TXT"), ["ns example.com 60 SOA ns.example.com 1"]);
});

Deno.test("a service outside every zone is an apex of its own, and gets addresses", () => {
  const world = new World({ ...aliases([B]), zones: {} });
  deepEqual(addresses(world.ask(query("www.example.com", "A"))), ["192.0.2.9"]);
});

Deno.test("an alias of a name that is served here is followed", () => {
  const declared = aliases([{ target: "inner.example.com" }]);
  const world = new World({
    ...declared,
    pools: [...declared.pools!, { name: "inner", healthCheck: null, members: ["203.0.113.5"] }],
    services: { ...declared.services, "inner.example.com": "inner" },
  });
  deepEqual(answers(world, "www.example.com", "A"), [
    "an www.example.com 30 CNAME inner.example.com | an inner.example.com 30 A 203.0.113.5",
  ]);
});

Deno.test("aliases that lead to each other come to an end", () => {
  const world = new World({
    ...aliases([{ target: "other.example.com" }]),
    pools: [
      { name: "web", healthCheck: null, flatten: false, members: [{ target: "other.example.com" }] },
      { name: "other", healthCheck: null, flatten: false, members: [{ target: "www.example.com" }] },
    ],
    services: { "www.example.com": "web", "other.example.com": "other" },
  });
  equal(
    answers(world, "www.example.com", "A")[0],
    "an www.example.com 30 CNAME other.example.com | an other.example.com 30 CNAME www.example.com",
  );
});

Deno.test("an alias that doesn't fit is truncated", () => {
  const target = `${"long-label-of-a-host.".repeat(9)}example.net`;
  const world = new World(aliases([{ target }]));
  const answer = world.ask(query("www.example.com", "A"), { sizeMax: 100 })!;
  deepEqual([answer[2]! & 2, answer[7]], [2, 0]);
});

Deno.test("an alias is changed in place, to addresses and back", () => {
  const declared = aliases([A]);
  const world = new World(declared);
  const put = (changed: Declared) => world.tables!.putPools([...desiredOf(changed).pools()]);
  put(aliases([B]));
  deepEqual(answers(world, "www.example.com", "A"), ["an www.example.com 30 CNAME b.example.net"]);
  put(aliases([B], { flatten: true }));
  deepEqual(answers(world, "www.example.com", "A"), ["an www.example.com 30 A 192.0.2.9"]);
  put(declared);
  deepEqual(answers(world, "www.example.com", "A"), ["an www.example.com 30 CNAME a.example.net"]);
});

Deno.test("flattened, the addresses of a name share its weight", () => {
  const world = new World({
    names: { "five.example.net": [1, 2, 3, 4, 5].map((i) => `192.0.2.${i}`), "b.example.net": ["192.0.2.9"] },
    pools: [{ name: "web", healthCheck: null, members: [{ target: "five.example.net" }, B, "198.51.100.1"] }],
    services: { "www.example.com": "web" },
  });
  const counts = new Map<string, number>();
  for (let i = 0; i < 1500; i++) {
    const [address] = addresses(world.ask(query("www.example.com", "A")));
    counts.set(address!, (counts.get(address!) ?? 0) + 1);
  }
  deepEqual(Object.fromEntries([...counts].sort()), {
    "192.0.2.1": 100,
    "192.0.2.2": 100,
    "192.0.2.3": 100,
    "192.0.2.4": 100,
    "192.0.2.5": 100,
    "192.0.2.9": 500,
    "198.51.100.1": 500,
  });
});

Deno.test("shares that no common unit makes whole come out nearly even", () => {
  const sizes = [13, 17, 19];
  const names = Object.fromEntries(
    sizes.map((
      size,
    ) => [`n${size}.example.net`, Array.from({ length: size }, (_, i) => `10.0.${size}.${i}`)]),
  );
  const world = new World({
    names,
    pools: [{
      name: "web",
      healthCheck: null,
      members: sizes.map((size) => ({ target: `n${size}.example.net` })),
    }],
    services: { "www.example.com": "web" },
  });
  const counts = new Map<string, number>();
  for (let i = 0; i < 30_000; i++) {
    const [address] = addresses(world.ask(query("www.example.com", "A")));
    const name = address!.split(".")[2]!;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  for (const count of counts.values()) ok(Math.abs(count - 10_000) < 100, `${[...counts]}`);
});
