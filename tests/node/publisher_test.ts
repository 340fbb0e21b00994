/**
 * The publisher by itself: commits that are written into the tables in place against a whole snapshot of the same
 * model, judged by the answers.
 *
 * @module
 */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import fc from "fast-check";
import { checkTargetOf } from "../../src/desired/check_target.ts";
import type { MergedDesired, SteeredPool } from "../../src/desired/desired.ts";
import {
  type Fallback,
  HEALTH_CHECK_DEFAULTS,
  MEMBER_DEFAULTS,
  type Pool,
  POOL_DEFAULTS,
  type Service,
  SERVICE_DEFAULTS,
  type Zone,
} from "../../src/model/model.ts";
import { readZoneText } from "../../src/model/zone_text.ts";
import { Engine } from "../../src/dns/engine.ts";
import type { Fleet } from "../../src/dns/fleet.ts";
import { Publisher, type PublisherOptions } from "../../src/node/publisher.ts";
import { EMPTY_GEO_DATA } from "../../src/geo/geo_data.ts";
import type { Snapshot } from "../../src/snapshot/view.ts";
import { type Touched, TouchedList } from "../../src/store/touched.ts";
import type { Logger } from "../../src/telemetry/log.ts";
import { addresses, query, show } from "../dns/packets.ts";
import { PLAIN } from "../dns/world.ts";
import { runs } from "../property_runs.ts";

/** An id as the store makes them: 32 hex digits. */
function idOf(digit: number): string {
  return digit.toString(16).padStart(2, "0").repeat(16);
}

const CHECK = { ...HEALTH_CHECK_DEFAULTS, port: 80 };
const QUIET: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  with: () => QUIET,
};

interface PoolSpec {
  readonly members?: readonly string[];
  readonly fallback?: string | null;
}

/** A model that says what was touched since when, as the store does. */
class Model {
  readonly pools = new Map<string, Pool>();
  readonly services = new Map<string, Service>();
  readonly zones = new Map<string, Zone>();
  fallback: Fallback | null = null;
  readonly down = new Set<string>();
  /** What is done whenever a turn ends in the middle of long work. */
  betweenSlices: () => void = () => {};
  /** Whether the model can be read in slices, as a file can. */
  isFile = false;
  /** Readings of the frozen model that aren't over. */
  reading = 0;
  readonly #touched: {
    readonly generation: number;
    readonly touched: Touched;
    readonly domains: string[];
  }[] = [];
  #list = new TouchedList();
  #domains: string[] = [];
  generation = 1;

  putPool(id: string, { members = [], fallback = null }: PoolSpec): void {
    this.#list.pool(id);
    this.pools.set(id, {
      ...POOL_DEFAULTS,
      id,
      name: id,
      maxAnswers: 0,
      onAllDown: fallback === null ? "none" : "fallback",
      fallbackPoolId: fallback,
      healthCheck: CHECK,
      geoRules: [],
      members: members.map((ipAddress, i) => ({
        ...MEMBER_DEFAULTS,
        id: `${id}-${i}`,
        poolId: id,
        ipAddress,
        port: 80,
      })),
    });
  }

  removePool(id: string): void {
    this.#list.pool(id);
    this.pools.delete(id);
  }

  putService(domain: string, poolId: string | null): void {
    this.#list.service(domain);
    this.services.set(domain, { ...SERVICE_DEFAULTS, id: domain, domain, poolId });
  }

  removeService(domain: string): void {
    this.#list.service(domain);
    this.#domains.push(domain);
    this.services.delete(domain);
  }

  putZone(domain: string, text: string): void {
    this.#list.zone(domain);
    this.zones.set(domain, { domain, text });
  }

  removeZone(domain: string): void {
    this.#list.zone(domain);
    this.zones.delete(domain);
  }

  putFallback(endpoints: readonly string[] | null): void {
    this.#list.fallback();
    this.fallback = endpoints &&
      {
        algorithm: "round-robin",
        endpoints: [...endpoints],
        weights: {},
        onAllDown: "all",
        ttl: null,
        healthCheck: null,
      };
  }

  /** Ends a commit; what it touched is told in this order. */
  commit(order: (ids: readonly string[]) => readonly string[] = (ids) => ids): void {
    const touched = this.#list.list();
    this.#touched.push({
      generation: ++this.generation,
      touched: { ...touched, poolIds: order(touched.poolIds) },
      domains: this.#domains,
    });
    this.#list = new TouchedList();
    this.#domains = [];
  }

  options(): PublisherOptions {
    let ms = 1;
    const steered = (pool: Pool): SteeredPool => ({
      ...pool,
      changesAt: 0,
      geoRules: [],
      members: pool.members.map((member) => ({ ...member, share: 1, forcedUp: false })),
    });
    const isEligible = (key: string) =>
      ![...this.down].some((ipAddress) => checkTargetOf({ ipAddress, port: 80 }, CHECK).key === key);
    return {
      desired: () => desiredOf(this, steered),
      frozen: () => {
        if (!this.isFile) return null;
        const { generation, fallback } = this;
        const [pools, services, zones] = [new Map(this.pools), new Map(this.services), new Map(this.zones)];
        this.reading++;
        return {
          ...desiredOf({ generation, pools, services, zones, fallback }, steered),
          [Symbol.dispose]: () => {
            this.reading--;
          },
        };
      },
      changes: {
        generation: () => this.generation,
        touchedSince: (generation) => this.#since(generation),
        formerDomains: (generation) =>
          this.#touched.filter((each) => each.generation > generation).flatMap(({ domains }) => domains),
        overriddenPools: () => [],
        namedPools: () => [],
        pool: (id) => this.pools.get(id) ?? null,
        service: (id) => this.services.get(id) ?? null,
        serviceByDomain: (domain) => this.services.get(domain) ?? null,
        zone: (domain) => this.zones.get(domain) ?? null,
        fallback: () => this.fallback,
      },
      overridden: (pool) => pool,
      addressesOf: () => [],
      eligibility: {
        put: () => UNCHANGED,
        remove: () => UNCHANGED,
        replace: () => UNCHANGED,
        begin() {},
        tell: () => [],
        end: function* () {},
        giveUp: function* () {},
        follow() {},
        isEligible,
      },
      geo: () => ({ geoData: EMPTY_GEO_DATA, locationOf: () => null }),
      keeper: null,
      onPublished() {},
      onAnswersChanged() {},
      clock: {
        // Every look at it is a slice later.
        monotonicMs: () => ms += 10,
        sleep: async () => {
          await Promise.resolve();
          this.betweenSlices();
        },
      },
      log: QUIET,
    };
  }

  #since(generation: number): Touched {
    const since = this.#touched.filter((each) => each.generation > generation).map(({ touched }) => touched);
    return {
      everything: false,
      poolIds: since.flatMap(({ poolIds }) => poolIds),
      serviceIds: since.flatMap(({ serviceIds }) => serviceIds),
      zoneDomains: since.flatMap(({ zoneDomains }) => zoneDomains),
      fallback: since.some(({ fallback }) => fallback),
    };
  }
}

/** What a model is for answers. */
function desiredOf(
  model: Pick<Model, "generation" | "pools" | "services" | "zones" | "fallback">,
  steered: (pool: Pool) => SteeredPool,
): MergedDesired {
  const zoneOf = (_: string, zone: Zone | null) =>
    zone && { domain: zone.domain, records: readZoneText(zone.text, zone).records };
  return {
    generation: model.generation,
    *prepare() {
      yield;
      return model.pools.size;
    },
    *pools() {
      for (const pool of model.pools.values()) yield steered(pool);
    },
    checkedPools: () => [...model.pools.values()].map(steered),
    services: () => model.services.values(),
    zones: [...model.zones.values()].map((zone) => zoneOf("", zone)!),
    zoneOf,
    fallback: model.fallback,
    fallbackOf: (declared) => declared,
    defaultTtl: 30,
    nameservers: [],
  };
}

const UNCHANGED = { added: [], gone: [] };

/** Answers from what a publisher has published. */
class Resolver {
  readonly #engine = new Engine(PLAIN, () => 0);
  readonly #publisher: Publisher;

  constructor(publisher: Publisher) {
    this.#publisher = publisher;
  }

  addressesOf(domain: string): string[] {
    return addresses(this.#ask(domain)).sort();
  }

  /** The whole answer but for the serial, in any order: the two that are compared rotate apart. */
  answerOf(domain: string): string[] {
    return show(this.#ask(domain)).split("\n").map((line) => line.replace(/ SOA .*/, " SOA")).sort();
  }

  #ask(domain: string): Uint8Array {
    const { snapshot, board } = this.#publisher.current;
    this.#engine.use(snapshot, board);
    const packet = query(domain, "A");
    const out = new Uint8Array(512);
    const client = { stream: false, address: () => new Uint8Array(4) };
    return out.subarray(0, this.#engine.answer(packet, packet.length, client, out, 512));
  }
}

/** Publishes and says whether that was done in place: a whole snapshot has other memory. */
async function publish(publisher: Publisher, { generation }: Model): Promise<boolean> {
  const before = publisher.current.snapshot.names;
  publisher.touch(false);
  await publisher.settled(generation);
  return publisher.current.snapshot.names === before;
}

for (const [order, ids] of Object.entries({ ascending: [1, 2, 3], descending: [3, 2, 1] })) {
  Deno.test(`a chain of fallback pools made in one commit is whole, ids ${order} along it`, async () => {
    const model = new Model();
    const publisher = new Publisher(model.options());
    const [first, second, last] = ids.map(idOf) as [string, string, string];
    model.putPool(first, { fallback: second });
    model.putPool(second, { fallback: last });
    model.putPool(last, { members: ["192.0.2.1"] });
    model.putService("www.example.com", first);
    model.commit((touched) => touched.toSorted());
    equal(await publish(publisher, model), true);
    deepEqual(new Resolver(publisher).addressesOf("www.example.com"), ["192.0.2.1"]);
  });
}

const POOLS = Array.from({ length: 5 }, (_, i) => idOf(0x10 + i));
/** Some of them above others, with labels between. */
const DOMAINS = [
  "s0.example.com",
  "example.com",
  "a.b.s0.example.com",
  "c.b.s0.example.com",
  "*.example.com",
];
const BETWEEN = [
  "b.s0.example.com",
  "none.example.com",
  "com",
  "www.b.s0.example.com",
  "none.b.s0.example.com",
];
const ZONES = ["example.com", "b.s0.example.com"];
const zoneText = (ttl: number) =>
  `$TTL ${ttl}\n@ SOA ns h 1 1 1 1 60\n@ NS ns\nns A 192.0.2.53\nwww A 192.0.2.80\nx.s0 A 192.0.2.81\n`;
const MEMBERS = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];

type Edit =
  | {
    readonly kind: "pool";
    readonly id: string;
    readonly members: string[];
    readonly fallback: string | null;
  }
  | { readonly kind: "noPool"; readonly id: string }
  | { readonly kind: "service"; readonly domain: string; readonly pool: string }
  | { readonly kind: "noService"; readonly domain: string }
  | { readonly kind: "zone"; readonly domain: string; readonly ttl: number }
  | { readonly kind: "noZone"; readonly domain: string }
  | { readonly kind: "fallback"; readonly endpoints: readonly string[] | null };

const edit: fc.Arbitrary<Edit> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("pool" as const),
      id: fc.constantFrom(...POOLS),
      members: fc.subarray(MEMBERS, { maxLength: 1 }),
      fallback: fc.option(fc.constantFrom(...POOLS)),
    }),
  },
  fc.record({ kind: fc.constant("noPool" as const), id: fc.constantFrom(...POOLS) }),
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("service" as const),
      domain: fc.constantFrom(...DOMAINS),
      pool: fc.constantFrom(...POOLS),
    }),
  },
  fc.record({ kind: fc.constant("noService" as const), domain: fc.constantFrom(...DOMAINS) }),
  fc.record({
    kind: fc.constant("zone" as const),
    domain: fc.constantFrom(...ZONES),
    ttl: fc.integer({ min: 1, max: 3 }),
  }),
  fc.record({ kind: fc.constant("noZone" as const), domain: fc.constantFrom(...ZONES) }),
  fc.record({
    kind: fc.constant("fallback" as const),
    endpoints: fc.constantFrom(null, ["192.0.2.200"], ["192.0.2.201"]),
  }),
);

const commit = fc.record({
  edits: fc.array(edit, { minLength: 1, maxLength: 10 }),
  order: fc.shuffledSubarray(POOLS, { minLength: POOLS.length }),
  down: fc.subarray(MEMBERS, { maxLength: 1 }),
});

/** Makes an edit where a commit would: a pool in use stays, a fallback exists and leads round in no circle. */
function make(model: Model, edit: Edit): void {
  if (edit.kind === "service") {
    if (model.pools.has(edit.pool)) model.putService(edit.domain, edit.pool);
  } else if (edit.kind === "noService") {
    if (model.services.has(edit.domain)) model.removeService(edit.domain);
  } else if (edit.kind === "zone") {
    model.putZone(edit.domain, zoneText(edit.ttl));
  } else if (edit.kind === "noZone") {
    if (model.zones.has(edit.domain)) model.removeZone(edit.domain);
  } else if (edit.kind === "fallback") {
    model.putFallback(edit.endpoints);
  } else if (edit.kind === "noPool") {
    const isUsed = [...model.services.values()].some(({ poolId }) => poolId === edit.id) ||
      [...model.pools.values()].some(({ fallbackPoolId }) => fallbackPoolId === edit.id);
    if (model.pools.has(edit.id) && !isUsed) model.removePool(edit.id);
  } else {
    model.putPool(edit.id, {
      ...edit,
      fallback: leadsTo(model, edit.fallback, edit.id) ? null : edit.fallback,
    });
  }
}

function leadsTo(model: Model, from: string | null, id: string): boolean {
  for (let at = from; at !== null; at = model.pools.get(at)!.fallbackPoolId) {
    if (at === id || !model.pools.has(at)) return true;
  }
  return false;
}

Deno.test("commits written in place answer as a whole snapshot of the same model", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(commit, { minLength: 1, maxLength: 6 }), async (commits) => {
      const model = new Model();
      const publisher = new Publisher(model.options());
      for (const { edits, order, down } of commits) {
        for (const each of edits) make(model, each);
        model.down.clear();
        for (const ipAddress of down) model.down.add(ipAddress);
        model.commit((ids) => order.filter((id) => ids.includes(id)));
        equal(await publish(publisher, model), true);
        publisher.judge(MEMBERS.map((ipAddress) => checkTargetOf({ ipAddress, port: 80 }, CHECK).key));
        const whole = new Publisher(model.options());
        deepEqual(
          [...DOMAINS, ...BETWEEN].map((domain) => new Resolver(publisher).answerOf(domain)),
          [...DOMAINS, ...BETWEEN].map((domain) => new Resolver(whole).answerOf(domain)),
        );
      }
    }),
    { numRuns: runs(15) },
  );
});

Deno.test("commits made while a whole snapshot is written are answered at once, and after it", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(commit, { minLength: 1, maxLength: 8 }),
      fc.boolean(),
      async (commits, everything) => {
        const model = fileModel();
        const publisher = new Publisher(model.options());
        const before = publisher.current.snapshot.names;
        const answered: Promise<void>[] = [];
        let slices = 0;
        model.betweenSlices = () => {
          const next = ++slices % 3 === 0 ? commits.shift() : undefined;
          if (!next) return;
          for (const each of next.edits) make(model, each);
          model.commit();
          publisher.touch(false);
          answered.push(publisher.settled(model.generation));
        };
        const refreshed = publisher.refresh();
        if (everything) publisher.touch(true);
        await refreshed;
        await Promise.all(answered);
        await publisher.refresh();
        equal(commits.length, 0);
        equal(publisher.generation, model.generation);
        equal(publisher.current.snapshot.names === before, false);
        assertAnswersAs(publisher, model);
        equal(model.reading, 0);
      },
    ),
    { numRuns: runs(13) },
  );
});

Deno.test("a change is answered from the present tables while a whole snapshot is written", async () => {
  const model = fileModel();
  const publisher = new Publisher(model.options());
  const resolver = new Resolver(publisher);
  const before = publisher.current.snapshot.names;
  let seen: string[] | null = null;
  let slices = 0;
  model.betweenSlices = () => {
    if (++slices !== 5) return;
    model.putZone("late.example", zoneText(1));
    model.commit();
    publisher.touch(false);
    publisher.settled(model.generation).then(() => {
      if (publisher.current.snapshot.names === before) seen = resolver.addressesOf("www.late.example");
    });
  };
  await publisher.refresh();
  deepEqual(seen, ["192.0.2.80"]);
  deepEqual(resolver.addressesOf("www.late.example"), ["192.0.2.80"]);
});

Deno.test("a whole snapshot that fails in the middle leaves the state before it, and what comes after works", async () => {
  const model = fileModel();
  const options = model.options();
  let fault: Error | null = new Error("a row that can't be read");
  const publisher = new Publisher({
    ...options,
    frozen: () => {
      const frozen = options.frozen()!;
      if (!fault) return frozen;
      return {
        ...frozen,
        *services() {
          yield* [...frozen.services()].slice(0, 1);
          throw fault;
        },
      };
    },
  });
  const resolver = new Resolver(publisher);
  const before = publisher.current.snapshot.names;
  await rejects(publisher.refresh(), fault);
  equal(publisher.current.snapshot.names, before);
  equal(model.reading, 0);
  model.putService("new.example.com", POOLS[0]!);
  model.commit();
  equal(await publish(publisher, model), true);
  deepEqual(resolver.addressesOf("new.example.com"), ["192.0.2.1"]);
  fault = null;
  await publisher.refresh();
  assertAnswersAs(publisher, model);
});

Deno.test("a stop in the middle of a whole snapshot ends it, and what is answered stays", async () => {
  const model = fileModel();
  const publisher = new Publisher(model.options());
  const before = publisher.current.snapshot.names;
  let stopped: Promise<void> | null = null;
  let slices = 0;
  model.betweenSlices = () => {
    if (++slices === 6) stopped = publisher[Symbol.asyncDispose]();
  };
  await rejects(publisher.refresh());
  await stopped;
  equal(publisher.current.snapshot.names, before);
  deepEqual([model.reading, slices], [0, 6]);
  assertAnswersAs(publisher, model);
});

Deno.test("a second whole snapshot that is wanted in the middle of one comes after it", async () => {
  const model = fileModel();
  const publisher = new Publisher(model.options());
  let slices = 0;
  const taken: unknown[] = [];
  let second: Promise<void> | null = null;
  model.betweenSlices = () => {
    if (!taken.includes(publisher.current.snapshot.names)) taken.push(publisher.current.snapshot.names);
    if (++slices === 4) second = publisher.refresh();
  };
  await publisher.refresh();
  await second;
  // The first one, that which was under way and the second.
  equal(new Set([...taken, publisher.current.snapshot.names]).size, 3);
  assertAnswersAs(publisher, model);
});

Deno.test("workers that start while other geo data comes get it with the tables that are there", async () => {
  const model = fileModel();
  const options = model.options();
  let geoData = EMPTY_GEO_DATA;
  let wholes = 0;
  let published = Promise.withResolvers<void>();
  await using publisher = new Publisher({
    ...options,
    geo: () => ({
      ...options.geo(),
      get geoData() {
        return geoData;
      },
    }),
    frozen: () => {
      wholes++;
      return options.frozen();
    },
    onPublished: () => published.resolve(),
  });
  const given = publisher.current;
  geoData = { ...EMPTY_GEO_DATA, edition: 1 };
  publisher.touchGeoData();
  await published.promise;
  published = Promise.withResolvers();
  const taken: Snapshot[] = [];
  const fleet = { publish: (snapshot: Snapshot) => Promise.resolve(void taken.push(snapshot)) };
  publisher.attach(fleet as unknown as Fleet, given);
  await published.promise;
  const { names, records, heap } = given.snapshot;
  deepEqual(taken.map(({ epoch: _, ...all }) => all), [{ names, records, heap, geoData }]);
  ok(taken[0]!.records === records);
  equal(wholes, 0);
  await publisher.settled(model.generation);
});

Deno.test("workers that were given what is current get nothing more", async () => {
  const model = fileModel();
  await using publisher = new Publisher(model.options());
  const fleet = { publish: () => Promise.reject(new Error("they have it")) };
  publisher.attach(fleet as unknown as Fleet, publisher.current);
  await publisher.settled(model.generation);
});

/** Some pools, services and zones, as a file has them. */
function fileModel(): Model {
  const model = new Model();
  model.isFile = true;
  for (const [i, id] of POOLS.entries()) model.putPool(id, { members: [MEMBERS[i % MEMBERS.length]!] });
  for (const [i, domain] of DOMAINS.entries()) model.putService(domain, POOLS[i % POOLS.length]!);
  model.putZone(ZONES[0]!, zoneText(1));
  model.commit();
  return model;
}

/** What is answered is what a whole snapshot of the model answers. */
function assertAnswersAs(publisher: Publisher, model: Model): void {
  const whole = new Publisher(model.options());
  const domains = [...DOMAINS, ...BETWEEN];
  deepEqual(
    domains.map((domain) => new Resolver(publisher).answerOf(domain)),
    domains.map((domain) => new Resolver(whole).answerOf(domain)),
  );
}

Deno.test("a commit that can't be published leaves the state before it, and the next one makes up for it", async () => {
  const model = new Model();
  const options = model.options();
  let fault: Error | null = null;
  const failed = Promise.withResolvers<void>();
  const publisher = new Publisher({
    ...options,
    changes: {
      ...options.changes,
      pool: (id) => {
        if (fault) throw fault;
        return options.changes.pool(id);
      },
    },
    onPublished: (result) => result === "error" && failed.resolve(),
  });
  const resolver = new Resolver(publisher);
  model.putPool(POOLS[0]!, { members: ["192.0.2.1"] });
  model.putService("www.example.com", POOLS[0]!);
  model.commit();
  await publish(publisher, model);
  fault = new Error("a row that can't be read");
  model.putPool(POOLS[0]!, { fallback: POOLS[1]! });
  model.putPool(POOLS[1]!, { members: ["192.0.2.2"] });
  model.commit();
  publisher.touch(false);
  await failed.promise;
  deepEqual(resolver.addressesOf("www.example.com"), ["192.0.2.1"]);
  fault = null;
  model.putPool(POOLS[1]!, { members: ["192.0.2.3"] });
  model.commit();
  await publish(publisher, model);
  deepEqual(resolver.addressesOf("www.example.com"), ["192.0.2.3"]);
});
