/** @module Tests of recorded queries that are answered once more. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { Changes } from "../../src/change/commit.ts";
import type { Plan } from "../../src/change/plan_report.ts";
import { EMPTY_GEO_DATA } from "../../src/geo/geo_data.ts";
import { AnswerGuard } from "../../src/plan/answer_guard.ts";
import { ownLocation } from "../../src/snapshot/lists.ts";
import { Store } from "../../src/store/store.ts";
import type { NameCount } from "../../src/store/traffic.ts";
import { createMember, createPool, createService, geoRuleFields, id, ORIGIN } from "../change/samples.ts";
import { ManualClock } from "../clock.ts";
import { TEST_SETTINGS } from "../test_node.ts";

const HOUR = 480_000;
const RULED = new Uint8Array([198, 51, 100]);
const OTHER = new Uint8Array([203, 0, 113]);

/** A model whose first rule sends 198.51.100.0/24 to the first member, and the other clients to both in turn. */
const MODEL = [
  createPool(1, { name: "web", maxAnswers: 1 }),
  createMember(11, 1, { ipAddress: "192.0.2.1" }),
  createMember(12, 1, { ipAddress: "192.0.2.2" }),
  {
    kind: "createGeoRule" as const,
    id: id(21),
    poolId: id(1),
    fields: geoRuleFields({ memberId: id(11), cidr: "198.51.100.0/24" }),
  },
  createService(31, { domain: "www.example.com", poolId: id(1) }),
  createService(32, { domain: "other.example.com", poolId: null }),
];
/** The same with its rule led to the second member. */
const NEXT =
  `{"pool":{"name":"web","members":[{"ipAddress":"192.0.2.1","port":80},{"ipAddress":"192.0.2.2","port":80}],` +
  `"geoRules":[{"cidr":"198.51.100.0/24","member":"192.0.2.2"}]}}\n` +
  `{"service":{"domain":"www.example.com","pool":"web"}}\n{"service":{"domain":"other.example.com"}}\n`;

Deno.test("of recorded queries those are different whose clients get others, and members' shares are told before and after", async () => {
  using world = worldWith([
    count("www.example.com", { a: 60, samples: 60, network: RULED }),
    count("www.example.com", { a: 20, samples: 20, network: OTHER }),
    count("other.example.com", { a: 120, samples: 120, network: OTHER }),
  ]);
  const { replay } = await world.planned(3_600_000);
  deepEqual(replay, {
    from: new Date(HOUR * 3_600_000).toISOString(),
    to: new Date((HOUR + 1) * 3_600_000).toISOString(),
    queries: 200,
    different: 60,
    share: 0.3,
    errorBar: 0,
    members: [
      { address: "192.0.2.1", before: 70 / 80, after: 10 / 80 },
      { address: "192.0.2.2", before: 10 / 80, after: 70 / 80 },
    ],
  });
});

Deno.test("where queries stand for others the share has an error bar that the real one lies within", async () => {
  // Of each ten queries one was looked at: 70 of 1,000 of the network that differs are taken for 700, not 600 of 10,000.
  using world = worldWith([
    count("www.example.com", { a: 700, samples: 70, network: RULED }),
    count("www.example.com", { a: 9_300, samples: 930, network: OTHER }),
  ]);
  const { replay } = await world.planned(3_600_000);
  ok(replay);
  equal(replay.share, 0.07);
  ok(replay.errorBar > 0.01 && replay.errorBar < 0.03, String(replay.errorBar));
});

Deno.test("samples that show no difference may have missed some: the share has an error bar all the same", async () => {
  using world = worldWith([count("www.example.com", { a: 10_000, samples: 1_000, network: OTHER })]);
  const { replay } = await world.planned(3_600_000);
  // Of 27 queries none is looked at with a chance of 0.9²⁷, 6 %.
  deepEqual([replay!.share, replay!.errorBar], [0, 0.0027]);
});

Deno.test("samples that stand for many queries make a share less sure than as many that stand for few", async () => {
  const errorBar = async (busy: number) => {
    using world = worldWith([
      count("www.example.com", { a: 500, samples: 500, network: RULED }),
      count("www.example.com", { a: busy, samples: 10, network: OTHER }),
    ]);
    return (await world.planned(3_600_000)).replay!.errorBar;
  };
  equal(await errorBar(10), 0);
  // Half of all queries are known by ten samples: their number alone may be off by a third.
  ok(await errorBar(500) > 0.15);
});

Deno.test("hours before the ones that are asked for don't count, and without any there is no replay", async () => {
  using world = worldWith([count("www.example.com", { a: 5, samples: 5, network: RULED, hour: HOUR - 2 })]);
  equal((await world.planned(3_600_000)).replay, null);
  equal((await world.planned(3 * 3_600_000)).replay?.queries, 5);
  equal((await world.planned(0)).replay, null);
});

interface Counted {
  readonly a: number;
  readonly samples: number;
  readonly network: Uint8Array;
  readonly hour?: number;
}

function count(name: string, { a, samples, network, hour = HOUR }: Counted): NameCount {
  const variance = a * (a / samples - 1);
  return { hour, name, a, aaaa: 0, samples, variance, networks: [{ network, a, aaaa: 0, samples }] };
}

/** A store with the model and these counts, in the middle of their hour. */
function worldWith(counts: readonly NameCount[]) {
  const store = Store.memory();
  const changes = new Changes({ store, clock: new ManualClock() });
  changes.commit(MODEL, ORIGIN);
  const terms = { maxBytes: 1 << 26, onDropped: () => {} };
  for (const each of counts) {
    const steps = store.traffic.writing([each], terms);
    while (steps.step());
  }
  changes.guardBy(
    new AnswerGuard({
      settings: () => TEST_SETTINGS,
      world: () => ({
        health: { out: new Map(), roundTripsUs: new Map() },
        geoData: EMPTY_GEO_DATA,
        locationOf: ownLocation,
      }),
      addressesOf: () => [],
      nowMs: () => HOUR * 3_600_000 + 1_000,
      portable: () => {
        throw new Error("There is one thread");
      },
    }),
  );
  return {
    planned: async (replayMs: number): Promise<Plan> => {
      const applied = await changes.apply(ReadableStream.from([new TextEncoder().encode(NEXT)]), {
        ...{ file: "body", format: "ndjson", origin: ORIGIN, dryRun: true, replayMs, ifGeneration: null },
        signal: new AbortController().signal,
      });
      if (applied.kind !== "applied") throw new Error(JSON.stringify(applied));
      return applied.plan!;
    },
    [Symbol.dispose]: () => store.close(),
  };
}
