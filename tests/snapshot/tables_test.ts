/**
 * Tables that are changed in place against tables that are written anew from the same state.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { DesiredZone, SteeredPool } from "../../src/desired/desired.ts";
import type { Service } from "../../src/model/model.ts";
import { OutOfRoom } from "../../src/snapshot/memory.ts";
import { addresses, query, show } from "../dns/packets.ts";
import { type Declared, desiredOf, World } from "../dns/world.ts";
import { runs } from "../property_runs.ts";

const ZONES = {
  "example.com": "@ SOA ns h 1 1 1 1 60\n@ NS ns\nns A 192.0.2.53\na.b TXT x\nwww TXT y\n",
  "far.below.example.org": "@ SOA ns h 2 1 1 1 60\n@ NS ns\nns A 192.0.2.53\n",
};
const HEAD = "@ SOA ns h 1 1 1 1 60\n@ NS ns\nns A 192.0.2.53\n";
/** What a zone may be, beside those above: over each other, over services, with delegations, DNAMEs and wildcards. */
const VERSIONS: Readonly<Record<string, readonly (string | null)[]>> = {
  "example.com": [
    ZONES["example.com"],
    null,
    `${HEAD}z NS ns.z\nz NS ns.example.org.\nz DS 1 13 2 ${
      "aa".repeat(32)
    }\nns.z A 192.0.2.60\nwww TXT z\n*.b TXT wild\n`,
    `${HEAD}y.z DNAME elsewhere.example.\nx.y.z TXT under\nz TXT parent\nnone.z TXT parent\n`,
    `${HEAD}sub NS ns.z\nsub NS ns.own.example.org.\nb NS ns.b\nb DS 2 13 2 ${
      "bb".repeat(32)
    }\nns.b A 192.0.2.61\n`,
  ],
  "z.example.com": [
    null,
    `${HEAD}x TXT child\nns AAAA 2001:db8::53\n`,
    `${HEAD}@ TXT other\ny NS ns.y\ny NS ns\nns.y A 192.0.2.62\n* TXT starred\n`,
  ],
  "y.z.example.com": [`${HEAD}x TXT grandchild\n`, null],
  "b.example.com": [`${HEAD}a TXT child\n`],
  "far.below.example.org": [ZONES["far.below.example.org"], null],
  "example.org": [
    `${HEAD}own.x TXT parent\nbelow TXT parent\nc.b.own TXT parent\nfar.below NS ns.far.below\nfar.below DS 3 13 2 ${
      "cc".repeat(32)
    }\n`,
    null,
  ],
  "own.example.org": [`${HEAD}* TXT wild\nns A 192.0.2.54\nb TXT here\n`, null],
  "wild.example.net": [`${HEAD}a A 192.0.2.99\n`],
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
  "ns.z.example.com",
  "x.z.example.com",
  "none.z.example.com",
  "sub.example.com",
  "a.sub.example.com",
  "q.y.z.example.com",
  "ns.b.example.com",
  "ns.own.example.org",
  "own.x.example.org",
  "far.below.example.org",
  "a.wild.example.net",
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
  }
  | { readonly kind: "zone"; readonly domain: string; readonly text: string | null }
  | { readonly kind: "noZone"; readonly domain: string }
  | { readonly kind: "fallback"; readonly endpoints: readonly string[] };

const zone: fc.Arbitrary<Change> = fc.constantFrom(
  ...Object.entries(VERSIONS).flatMap(([domain, texts]) =>
    texts.map((text): Change => ({ kind: "zone", domain, text }))
  ),
);

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
  { weight: 2, arbitrary: zone },
  fc.record({ kind: fc.constant("noZone" as const), domain: fc.constantFrom(...Object.keys(VERSIONS)) }),
  fc.record({
    kind: fc.constant("fallback" as const),
    endpoints: fc.constantFrom([], ["192.0.2.200"], ["192.0.2.201", "2001:db8::99"]),
  }),
);

/** The domain, or one that there is in its place. */
function oneOf(there: ReadonlyMap<string, unknown>, domain: string): string {
  const domains = [...there.keys()].sort();
  return there.has(domain) ? domain : domains[domain.length % Math.max(1, domains.length)] ?? domain;
}

/** Does all of it in one turn. */
function run(steps: Iterable<void>): void {
  for (const _ of steps);
}

/** What is declared, by name, so that changes can be made to it. */
class State {
  readonly pools = new Map(
    POOLS.map((name) => [name, { name, members: [] as readonly string[], maxAnswers: 0 }]),
  );
  readonly services = new Map<string, { readonly pool: string | null; readonly ttl: number }>();
  readonly zones = new Map<string, string | null>(Object.entries(ZONES));
  endpoints: readonly string[] = [];

  get declared(): Declared {
    return {
      zones: Object.fromEntries(this.zones),
      pools: [...this.pools.values()],
      ...(this.endpoints.length > 0 ? { fallback: { endpoints: this.endpoints } } : {}),
    };
  }

  /** The whole state, in the order in which the store would stream it. */
  world(): World {
    const world = new World(this.declared);
    for (const [domain, service] of [...this.services].sort(([a], [b]) => a < b ? -1 : 1)) {
      world.tables!.putService(this.service(domain, service));
    }
    return world;
  }

  /** Makes a change here and, in place, in the tables of a world, seen all at once. */
  make(change: Change, world: World): void {
    run(world.tables!.change(this.steps(change, world)));
  }

  /** The same, step by step. */
  *steps(change: Change, world: World): Generator<void> {
    if (change.kind === "zone") {
      this.zones.set(change.domain, change.text);
      yield* world.tables!.putZone(this.zone(change.domain));
    } else if (change.kind === "noZone") {
      const domain = oneOf(this.zones, change.domain);
      this.zones.delete(domain);
      yield* world.tables!.removeZone(domain, (domain) => this.zone(domain).records ?? []);
    } else if (change.kind === "fallback") {
      this.endpoints = change.endpoints;
      world.tables!.putFallback(desiredOf(this.declared).fallback);
    } else yield this.#makeInOneStep(change, world);
  }

  #makeInOneStep(change: Change, world: World): void {
    if (change.kind === "service") {
      this.services.set(change.domain, change);
      world.tables!.putService(this.service(change.domain, change));
    } else if (change.kind === "noService") {
      const domain = oneOf(this.services, change.domain);
      this.services.delete(domain);
      world.tables!.removeService(domain);
    } else if (change.kind === "pool") {
      this.pools.set(change.name, {
        name: change.name,
        members: change.members,
        maxAnswers: change.all ? 0 : 3,
      });
      world.tables!.putPools([this.pool(change.name)]);
    }
  }

  /** Becomes what another one is. */
  take({ pools, services, zones, endpoints }: State): void {
    for (const [name, pool] of pools) this.pools.set(name, pool);
    this.services.clear();
    for (const [domain, service] of services) this.services.set(domain, service);
    this.zones.clear();
    for (const [domain, text] of zones) this.zones.set(domain, text);
    this.endpoints = endpoints;
  }

  pool(name: string): SteeredPool {
    return [...desiredOf(this.declared).pools()].find((pool) => pool.id === name)!;
  }

  zone(domain: string): DesiredZone {
    return desiredOf(this.declared).zones.find((zone) => zone.domain === domain)!;
  }

  service(domain: string, { pool, ttl }: { readonly pool: string | null; readonly ttl: number }): Service {
    return { id: domain, domain, poolId: pool, ttl, minTtl: 0, ecs: true };
  }
}

/** All there is to know of a world: every name's answer, addresses sorted, since two worlds rotate apart. */
function portrait(world: World): string[] {
  return NAMES.flatMap((name) =>
    ["A", "AAAA", "TXT", "DS", "NS"].map((type) => {
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
    { numRuns: runs(20) },
  );
});

Deno.test("a change is seen when it is done and not before, and one that is given up not at all", () => {
  const commit = fc.record({
    changes: fc.array(change, { minLength: 1, maxLength: 6 }),
    givenUpAfter: fc.option(fc.nat({ max: 8 })),
  });
  fc.assert(
    fc.property(fc.array(commit, { minLength: 1, maxLength: 6 }), (commits) => {
      const state = new State();
      const world = new World(state.declared);
      for (const { changes, givenUpAfter } of commits) {
        const before = portrait(world);
        const made = new State();
        made.take(state);
        if (givenUpAfter !== null) {
          const given = world.tables!.change(all(made, changes, world));
          for (let step = 0; step < givenUpAfter && !given.next().done; step++);
          if (!given.next().done) {
            assert.deepEqual(portrait(world), before);
            given.return(undefined);
            assert.deepEqual(portrait(world), before);
            made.take(state);
          } else {
            state.take(made);
            continue;
          }
        }
        run(world.tables!.change(all(state, changes, world)));
        assert.deepEqual(portrait(world), portrait(state.world()));
      }
    }),
    { numRuns: runs(10) },
  );
});

function* all(state: State, changes: readonly Change[], world: World): Generator<void> {
  for (const each of changes) yield* state.steps(each, world);
}

Deno.test("a wildcard that goes takes its zone along, also where there are names below the asterisk", () => {
  const inner = "x.*.own.example.org";
  for (const others of [[], ["own.example.org"], ["example.org"], ["*.example.org"]]) {
    const state = new State();
    const world = new World(state.declared);
    const put = (domain: string) => state.make({ kind: "service", domain, pool: null, ttl: 30 }, world);
    for (const domain of [inner, ...others, "*.own.example.org"]) put(domain);
    assert.deepEqual(portrait(world), portrait(state.world()));
    state.make({ kind: "noService", domain: "*.own.example.org" }, world);
    assert.deepEqual(portrait(world), portrait(state.world()), `beside ${others}`);
    state.make({ kind: "noService", domain: inner }, world);
    assert.deepEqual(portrait(world), portrait(state.world()));
  }
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
