/**
 * The counts in memory against a count of everything: nothing is forgotten, and there is never more than there may be.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { Sketch } from "../../src/traffic/sketch.ts";

const NETWORKS = [[198, 51, 100], [203, 0, 113], [0, 0, 0], [32, 1, 13, 184, 0, 1], [0, 0, 0, 0, 0, 0], [
  255,
  255,
  255,
  255,
  255,
  255,
]].map((bytes) => Uint8Array.from(bytes));

const queries = fc.array(
  fc.record({
    hour: fc.integer({ min: 490_000, max: 490_002 }),
    name: fc.constantFrom("a.example", "b.example", "*.c.example", "*"),
    type: fc.constantFrom("A" as const, "AAAA" as const),
    network: fc.constantFrom(...NETWORKS),
    weight: fc.integer({ min: 1, max: 1_000_000 }),
  }),
  { maxLength: 200 },
);

type Sum = { a: number; aaaa: number; samples: number };

/** Sums by whatever a query is about. */
function sums<Item>(items: Iterable<Item>, keyOf: (item: Item) => string, countOf: (item: Item) => Sum) {
  const found: Record<string, Sum> = {};
  for (const item of items) {
    const sum = found[keyOf(item)] ??= { a: 0, aaaa: 0, samples: 0 };
    const { a, aaaa, samples } = countOf(item);
    sum.a += a;
    sum.aaaa += aaaa;
    sum.samples += samples;
  }
  return found;
}

const one = ({ type, weight }: { readonly type: string; readonly weight: number }): Sum => ({
  a: type === "A" ? weight : 0,
  aaaa: type === "A" ? 0 : weight,
  samples: 1,
});
const itself = ({ a, aaaa, samples }: Sum): Sum => ({ a, aaaa, samples });

Deno.test("with room enough, it is the count of everything by hour, name and network", () => {
  fc.assert(fc.property(queries, (all) => {
    const sketch = new Sketch();
    for (const query of all) equal(sketch.add(query.hour, query), true);
    const key = (
      each: { readonly hour: number; readonly name: string; readonly network: Uint8Array | null },
    ) => `${each.hour} ${each.name} ${each.network}`;
    deepEqual(sums(sketch.between(0, Infinity), key, itself), sums(all, key, one));
    deepEqual(
      sums(sketch.between(490_001, 490_001), key, itself),
      sums(all.filter(({ hour }) => hour === 490_001), key, one),
    );
  }));
});

Deno.test("with less, sums by hour are whole, names never have more, and there is no more than there may be", () => {
  fc.assert(fc.property(queries, fc.integer({ min: 0, max: 12 }), (all, room) => {
    const sketch = new Sketch(room);
    let missed = 0;
    for (const query of all) if (!sketch.add(query.hour, query)) missed += query.weight;
    // A row for what found none, an hour.
    ok(sketch.entries <= room + 3, `${sketch.entries} of ${room}`);
    const seen = sketch.between(0, Infinity);
    const drained = sketch.drain();
    equal(sketch.entries, 0);
    deepEqual(sketch.between(0, Infinity), []);
    const byHour = ({ hour }: { readonly hour: number }) => `${hour}`;
    deepEqual(sums(drained, byHour, itself), sums(all, byHour, one));
    const byName = ({ hour, name }: { readonly hour: number; readonly name: string }) => `${hour} ${name}`;
    const real = sums(all, byName, one);
    for (const [name, sum] of Object.entries(sums(seen, byName, itself))) deepEqual(sum, real[name]);
    const withNetwork = seen.filter(({ network }) => network !== null).reduce(
      (sum, { a, aaaa }) => sum + a + aaaa,
      0,
    );
    equal(withNetwork + missed, all.reduce((sum, { weight }) => sum + weight, 0));
  }));
});

Deno.test("a network is copied", () => {
  const sketch = new Sketch();
  const network = Uint8Array.of(198, 51, 100);
  sketch.add(490_000, { name: "a.example", type: "A", network, weight: 1 });
  network.fill(0);
  deepEqual(sketch.between(490_000, 490_000)[0]!.network, Uint8Array.of(198, 51, 100));
});
