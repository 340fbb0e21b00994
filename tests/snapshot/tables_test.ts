/**
 * Tables that are changed in place against tables that are written anew from the same state.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { SteeredPool } from "../../src/desired/desired.ts";
import type { Service } from "../../src/model/model.ts";
import { OutOfRoom } from "../../src/snapshot/memory.ts";
import { addresses, query, show } from "../dns/packets.ts";
import { type Declared, desiredOf, World } from "../dns/world.ts";

const ZONES = {
  "example.com": "@ SOA ns h 1 1 1 1 60\n@ NS ns\nns A 192.0.2.53\na.b TXT x\nwww TXT y\n",
  "far.below.example.org": "@ SOA ns h 2 1 1 1 60\n@ NS ns\nns A 192.0.2.53\n",
};
/** Inside the zones, beside their data, below and above each other, wildcards, and outside of every zone. */
const DOMAINS = [
  "www.example.com",
  "b.example.com",
  "a.b.example.com",
  "x.y.z.example.com",
  "y.z.example.com",
  "*.z.example.com",
  "*.example.com",
  "ns.example.com",
  "example.com",
  "own.example.org",
  "x.own.example.org",
  "*.own.example.org",
  "example.org",
  "*.example.org",
  "a.b.own.example.org",
  "*.c.b.own.example.org",
  "q.r.s.t.own.example.org",
  "b.own.example.org",
  "x.*.own.example.org",
  "x.far.below.example.org",
  "*.wild.example.net",
  "wild.example.net",
];
const NAMES = [
  ...DOMAINS.map((domain) => domain.replace("*", "any")),
  "z.example.com",
  "none.example.com",
  "example.net",
  "org",
  "none.example.org",
  "below.example.org",
  "none.below.example.org",
  "c.b.own.example.org",
  "none.b.own.example.org",
  "t.own.example.org",
  "s.t.own.example.org",
  "*.own.example.org",
];
const MEMBERS = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2"];
const POOLS = ["p0", "p1", "p2"];

type Change =
  | { readonly kind: "service"; readonly domain: string; readonly pool: string | null; readonly ttl: number }
  | { readonly kind: "noService"; readonly domain: string }
  | {
    readonly kind: "pool";
    readonly name: string;
    readonly members: readonly string[];
    readonly all: boolean;
  };

const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({
    kind: fc.constant("service" as const),
    domain: fc.constantFrom(...DOMAINS),
    pool: fc.constantFrom(null, ...POOLS),
    ttl: fc.integer({ min: 0, max: 300 }),
  }),
  fc.record({ kind: fc.constant("noService" as const), domain: fc.constantFrom(...DOMAINS) }),
  fc.record({
    kind: fc.constant("pool" as const),
    name: fc.constantFrom(...POOLS),
    members: fc.subarray(MEMBERS),
    all: fc.boolean(),
  }),
);

/** What is declared, by name, so that changes can be made to it. */
class State {
  readonly pools = new Map(
    POOLS.map((name) => [name, { name, members: [] as readonly string[], maxAnswers: 0 }]),
  );
  readonly services = new Map<string, { readonly pool: string | null; readonly ttl: number }>();

  get declared(): Declared {
    return { zones: ZONES, pools: [...this.pools.values()] };
  }

  /** The whole state, in the order in which the store would stream it. */
  world(): World {
    const world = new World(this.declared);
    for (const [domain, service] of [...this.services].sort(([a], [b]) => a < b ? -1 : 1)) {
      world.tables!.putService(this.service(domain, service));
    }
    return world;
  }

  /** Makes a change here and, in place, in the tables of a world. */
  make(change: Change, world: World): void {
    if (change.kind === "service") {
      this.services.set(change.domain, change);
      world.tables!.putService(this.service(change.domain, change));
    } else if (change.kind === "noService") {
      this.services.delete(change.domain);
      world.tables!.removeService(change.domain);
    } else {
      this.pools.set(change.name, {
        name: change.name,
        members: change.members,
        maxAnswers: change.all ? 0 : 3,
      });
      world.tables!.putPools([this.pool(change.name)]);
    }
  }

  pool(name: string): SteeredPool {
    return [...desiredOf(this.declared).pools()].find((pool) => pool.id === name)!;
  }

  service(domain: string, { pool, ttl }: { readonly pool: string | null; readonly ttl: number }): Service {
    return { id: domain, domain, poolId: pool, ttl, minTtl: 0, ecs: true };
  }
}

/** All there is to know of a world: every name's answer, addresses sorted, since two worlds rotate apart. */
function portrait(world: World): string[] {
  return NAMES.flatMap((name) =>
    ["A", "AAAA", "TXT", "DS"].map((type) => {
      const answer = world.ask(query(name, type));
      const lines = show(answer).split("\n").map((line) => line.replace(/(SOA \S+) \d+$/, "$1"));
      return `${name} ${type}: ${lines.sort().join(" | ")}`;
    })
  );
}

Deno.test("tables changed in place answer as tables written anew", () => {
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 40 }), (changes) => {
      const state = new State();
      const changed = new World(state.declared);
      for (const each of changes) state.make(each, changed);
      assert.deepEqual(portrait(changed), portrait(state.world()));
    }),
    { numRuns: 300 },
  );
});

/** What a resolver is told that comes down to the inner one of two services label by label (RFC 9156). */
const NESTED: readonly [question: string, answer: string][] = [
  ["d.example.org A", "NOERROR aa\nns example.org 30 SOA example.org 1"],
  ["b.d.example.org A", "NOERROR aa\nns example.org 30 SOA example.org 1"],
  ["b.d.example.org DS", "NOERROR aa\nns example.org 30 SOA example.org 1"],
  ["x.b.d.example.org A", "NXDOMAIN aa\nns example.org 30 SOA example.org 1"],
  ["c.a.b.d.example.org A", "NXDOMAIN aa\nns a.b.d.example.org 30 SOA a.b.d.example.org 1"],
  ["a.b.d.example.org A", "NOERROR aa\nan a.b.d.example.org 30 A 192.0.2.1"],
  // Above both there is nothing of ours
  ["org A", "REFUSED"],
];
for (const outerFirst of [true, false]) {
  Deno.test(`names between two services exist, the ${outerFirst ? "outer" : "inner"} one being first`, () => {
    const world = new World({ pools: [{ name: "web", members: ["192.0.2.1"] }] });
    const services = ["example.org", "a.b.d.example.org", "z.b.d.example.org"];
    for (const domain of outerFirst ? services : services.reverse()) {
      world.tables!.putService({ domain, poolId: "web", ttl: 30, minTtl: 0, ecs: true });
    }
    const ask = (question: string) => {
      const [name, type] = question.split(" ") as [string, string];
      return show(world.ask(query(name, type)));
    };
    for (const [question, answer] of NESTED) assert.equal(ask(question), answer);
    world.tables!.removeService("a.b.d.example.org");
    assert.equal(ask("b.d.example.org A"), "NOERROR aa\nns example.org 30 SOA example.org 1");
    world.tables!.removeService("z.b.d.example.org");
    assert.equal(ask("b.d.example.org A"), "NXDOMAIN aa\nns example.org 30 SOA example.org 1");
    assert.equal(ask("d.example.org A"), "NXDOMAIN aa\nns example.org 30 SOA example.org 1");
    world.tables!.removeService("example.org");
    assert.equal(ask("b.d.example.org A"), "REFUSED");
  });
}

Deno.test("names between a service and a zone below it exist", () => {
  const world = new World({
    pools: [{ name: "web", members: ["192.0.2.1"] }],
    services: { "example.org": "web" },
    zones: { "a.b.example.org": "@ SOA ns h 1 1 1 1 60\n@ NS ns\nns A 192.0.2.53\n" },
  });
  assert.match(show(world.ask(query("b.example.org", "A"))), /^NOERROR aa\nns example\.org /);
  world.tables!.removeService("example.org");
  assert.equal(show(world.ask(query("b.example.org", "A"))), "REFUSED");
});

Deno.test("a changed pool is in the next answer of an engine that has answered from it before", () => {
  const state = new State();
  const world = new World(state.declared);
  state.make({ kind: "service", domain: "www.example.com", pool: "p0", ttl: 30 }, world);
  for (const members of [["192.0.2.1"], ["192.0.2.2", "192.0.2.3"], ["192.0.2.1"], [], ["192.0.2.3"]]) {
    state.make({ kind: "pool", name: "p0", members, all: true }, world);
    assert.deepEqual(addresses(world.ask(query("www.example.com", "A"))).sort(), members);
  }
});

Deno.test("a service keeps its rotation over changes in place and over whole snapshots", () => {
  const state = new State();
  const world = new World(state.declared);
  const first = () => addresses(world.ask(query("www.example.com", "A")))[0];
  state.make(
    { kind: "pool", name: "p0", members: ["192.0.2.1", "192.0.2.2", "192.0.2.3"], all: true },
    world,
  );
  state.make({ kind: "service", domain: "www.example.com", pool: "p0", ttl: 30 }, world);
  assert.equal(first(), "192.0.2.1");
  state.make({ kind: "service", domain: "own.example.org", pool: "p0", ttl: 30 }, world);
  state.make({ kind: "service", domain: "www.example.com", pool: "p0", ttl: 60 }, world);
  assert.equal(first(), "192.0.2.2");
  world.declare({ ...state.declared, services: { "0.example": "p0", "www.example.com": "p0" } });
  assert.equal(first(), "192.0.2.3");
});

Deno.test("full tables say so and go on answering what they held", () => {
  const state = new State();
  const world = new World(state.declared);
  state.make({ kind: "pool", name: "p0", members: ["192.0.2.1"], all: true }, world);
  state.make({ kind: "service", domain: "www.example.com", pool: "p0", ttl: 30 }, world);
  assert.throws(() => {
    for (let i = 0; i < 100_000; i++) {
      world.tables!.putService(state.service(`n${i}.example.com`, { pool: "p0", ttl: 30 }));
    }
  }, OutOfRoom);
  assert.deepEqual(addresses(world.ask(query("www.example.com", "A"))), ["192.0.2.1"]);
  assert.deepEqual(addresses(world.ask(query("n0.example.com", "A"))), ["192.0.2.1"]);
});

Deno.test("tables don't keep those before them alive", async () => {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--v8-flags=--expose-gc", new URL("replaced_tables.ts", import.meta.url).pathname],
    stderr: "inherit",
  }).output();
  assert.equal(new TextDecoder().decode(stdout), "1 of 10 is alive\n");
});
