/**
 * What the history keeps of a change of very many objects.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { Changes } from "../../src/change/commit.ts";
import { jsonOf } from "../../src/change/history_json.ts";
import { RECORDED_MAX } from "../../src/store/history.ts";
import { PART_BYTES } from "../../src/store/history_parts.ts";
import { Store } from "../../src/store/store.ts";
import { ManualClock } from "../clock.ts";
import { createOverride, createPool, createService, id, ORIGIN } from "./samples.ts";

const MIB = 1024 * 1024;

interface Shape {
  readonly pools: number;
  readonly weight: number;
  readonly latitude: number;
  readonly zone: string;
}

/** A model of which every kind of object differs from that of another shape. */
function* lines({ pools, weight, latitude, zone }: Shape): Generator<string> {
  for (let i = 0; i < pools; i++) {
    yield `{"pool":${
      JSON.stringify({
        name: `pool-${i}`,
        maxAnswers: weight,
        minHealthy: weight % 2 === 0 ? "50%" : 1,
        ...i > 0 ? { fallbackPool: `pool-${i - 1}` } : {},
        members: [
          { ipAddress: `192.0.2.${i % 250}`, port: 80, weight, latitude, longitude: -0.1 },
          { ipAddress: `198.51.100.${i % 250}`, port: 80 + weight, enabled: false },
        ],
        healthCheck: { type: "http", httpPath: `/${weight}`, httpContains: 'a "quoted"\ttext\nof two lines' },
        geoRules: [{ country: weight % 2 === 0 ? "DE" : "FR", member: `192.0.2.${i % 250}` }],
      })
    }}\n`;
    yield `{"service":{"domain":"s${i}.example.com","pool":${
      JSON.stringify(`pool-${i}`)
    },"ttl":${weight}}}\n`;
  }
  yield `{"zone":{"domain":"example.net","text":${JSON.stringify(zone)}}}\n`;
}

const ZONE = "@ SOA ns h 1 1 1 1 1\n@ NS ns\nns A 192.0.2.1\n";

async function apply(changes: Changes, shape: Shape): Promise<void> {
  const applied = await changes.apply(
    ReadableStream.from(lines(shape)).pipeThrough(new TextEncoderStream()),
    {
      file: "body",
      format: "ndjson",
      origin: ORIGIN,
      dryRun: false,
      ifGeneration: null,
      signal: new AbortController().signal,
    },
  );
  equal(applied.kind, "applied", JSON.stringify(applied).slice(0, 500));
}

/** Every object of the model as the history has it. */
function objectsOf(store: Store): Map<string, unknown> {
  const objects = new Map<string, unknown>();
  const add = (kind: string, id: string, json: string) => objects.set(`${kind} ${id}`, JSON.parse(json));
  for (const { id, members, geoRules, healthCheck } of store.pools.each()) {
    add("pool", id, jsonOf("pool", store.pools.get(id)!));
    for (const member of members) {
      add("member", member.id, jsonOf("member", store.members.get(member.id)!));
    }
    for (const rule of geoRules) add("geoRule", rule.id, jsonOf("geoRule", store.geoRules.get(rule.id)!));
    if (healthCheck) add("healthCheck", id, jsonOf("healthCheck", store.healthChecks.get(id)!));
  }
  for (const service of store.services.each()) {
    add("service", service.id, jsonOf("service", store.services.get(service.id)!));
  }
  for (const zone of store.zones.all()) add("zone", zone.domain, jsonOf("zone", zone));
  return objects;
}

/** Makes of one generation's objects those of the next, and finds the recorded ones as they were. */
function fold(store: Store, generation: number, before: ReadonlyMap<string, unknown>): Map<string, unknown> {
  const objects = new Map(before);
  for (const change of store.history.changes(generation)) {
    if (change.kind === "override") continue;
    const key = `${change.kind} ${change.id}`;
    deepEqual(objects.get(key) ?? null, change.before, key);
    if (change.after === null) objects.delete(key);
    else objects.set(key, change.after);
  }
  return objects;
}

function partsOf(store: Store): number[] {
  return store.database.all<{ generation: number }>(
    "SELECT DISTINCT generation FROM history_parts ORDER BY generation",
  ).map(({ generation }) => generation);
}

function setUp(): { store: Store; changes: Changes } {
  const store = Store.memory();
  return { store, changes: new Changes({ store, clock: new ManualClock() }) };
}

const SHAPE: Shape = { pools: 1_700, weight: 1, latitude: 50.1, zone: ZONE };

Deno.test("a change of very many objects keeps every one before and after, whatever its kind", async () => {
  const { store, changes } = setUp();
  using _ = store;
  const steps: Shape[] = [
    SHAPE,
    { ...SHAPE, weight: 2, latitude: 0.1 + 0.2, zone: `${ZONE}a A 192.0.2.2\n` },
    { ...SHAPE, pools: 10, weight: 3 },
  ];
  let objects = new Map<string, unknown>();
  for (const [i, step] of steps.entries()) {
    await apply(changes, step);
    ok(store.history.summary(i + 1), "it is a large one");
    equal([...store.history.listed(i + 1)].length, 0);
    objects = fold(store, i + 1, objects);
    deepEqual(objects, objectsOf(store));
  }
  deepEqual(partsOf(store), [1, 2, 3]);
});

Deno.test("an override that goes with a large change is recorded with it", async () => {
  const { store, changes } = setUp();
  using _ = store;
  await apply(changes, SHAPE);
  const pool = store.pools.byName("pool-1699")!;
  changes.commit([createOverride(7, { target: `pool:${pool.id}` })], ORIGIN);
  await apply(changes, { ...SHAPE, pools: 10 });
  deepEqual(
    [...store.history.changes(3)].filter(({ kind }) => kind === "override").map((
      { id, after },
    ) => [id, after]),
    [[id(7), null]],
  );
});

Deno.test("parts are small, and their bytes count for how much history is kept", async () => {
  const { store, changes } = setUp();
  using _ = store;
  await apply(changes, { ...SHAPE, pools: 3_400 });
  const { parts, size } = store.database.get<{ parts: number; size: number }>(
    "SELECT count(*) AS parts, sum(octet_length(bytes)) AS size FROM history_parts",
  )!;
  ok(parts > 2, `${parts} parts`);
  ok(size < parts * PART_BYTES / 2, `${size} bytes`);
  const { bytes } = store.database.get<{ bytes: number }>("SELECT bytes FROM history")!;
  ok(bytes > size && bytes < size + 1_000, `${bytes} of ${size}`);
  changes.use({ keep: 100, maxBytes: 10_000 });
  changes.commit([createPool(1)], ORIGIN);
  equal(store.history.oldest(), 2);
});

Deno.test("parts of a forgotten generation are deleted some at a time", async () => {
  const { store, changes } = setUp();
  using _ = store;
  const count = () => store.database.get<{ n: number }>("SELECT count(*) AS n FROM history_parts")!.n;
  for (let part = 1; part <= 20; part++) {
    store.database.run("INSERT INTO history_parts VALUES (1, ?, x'00')", part);
  }
  changes.use({ keep: 1, maxBytes: MIB });
  const counts = [];
  for (let i = 0; i < 5; i++) {
    changes.commit([createPool(i + 1, { name: `pool-${i}` })], ORIGIN);
    counts.push(count());
  }
  deepEqual(counts, [20, 12, 4, 0, 0]);
  await apply(changes, SHAPE);
  equal(store.history.oldest(), 6);
  ok(count() > 0);
});

Deno.test("as many parts more are deleted as are written, so that they don't become more", async () => {
  const { store, changes } = setUp();
  using _ = store;
  changes.commit([createPool(1)], ORIGIN);
  for (let part = 1; part <= 30; part++) {
    store.database.run("INSERT INTO history_parts VALUES (1, ?, x'00')", part);
  }
  const count = (generation: number) =>
    store.database.get<{ n: number }>(
      "SELECT count(*) AS n FROM history_parts WHERE generation = ?",
      generation,
    )!.n;
  changes.use({ keep: 1, maxBytes: MIB });
  await apply(changes, SHAPE);
  ok(count(2) > 1);
  equal(count(1), 30 - 8 - count(2));
});

Deno.test("an edit list of very many objects is recorded in rows, as ever", () => {
  const { store, changes } = setUp();
  using _ = store;
  const edits = Array.from(
    { length: RECORDED_MAX + 1 },
    (_, i) => createService(i, { domain: `s${i}.example.com` }),
  );
  changes.commit(edits, ORIGIN);
  equal([...store.history.listed(1)].length, RECORDED_MAX + 1);
  deepEqual(partsOf(store), []);
});

Deno.test("what an older release kept of a large change is its counts alone", () => {
  const { store, changes } = setUp();
  using _ = store;
  changes.commit([createPool(1)], ORIGIN);
  const summary = { service: { created: 20_000, changed: 0, deleted: 0 } };
  store.database.run(
    "UPDATE history_changes SET kind = 'summary', id = '', after = ?",
    JSON.stringify(summary),
  );
  deepEqual([...store.history.changes(1)], []);
  deepEqual(store.history.summary(1), summary);
});
