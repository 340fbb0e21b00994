/**
 * Which exchanges are copied for the query log, and what is counted where they aren't.
 *
 * @module
 */
import { equal, ok } from "node:assert/strict";
import { seededRng } from "../../src/clock.ts";
import { type SampledExchange, Sampler } from "../../src/discovery/sampler.ts";

const exchange: SampledExchange = {
  ...{ unixMs: 0, transport: "udp", client: "192.0.2.1" },
  ...{ query: new Uint8Array(12), answer: new Uint8Array(12) },
};

Deno.test("one in so many is copied, no more than may be in a second, and no more than there is room for", () => {
  const notes = (count: number, sampler: Sampler, size = 24) => {
    for (let i = 0; i < count; i++) sampler.note(size, () => exchange);
    return sampler.take();
  };
  const all = new Sampler({ every: 1, perSecond: 10 }, seededRng(1));
  equal(all.take(), null);
  const { exchanges, overRate, overSize } = notes(25, all)!;
  ok(exchanges.length >= 10 && exchanges.length + overRate === 25);
  equal(overSize, 0);
  const tenth = notes(10_000, new Sampler({ every: 10, perSecond: 100_000 }, seededRng(1)))!;
  ok(tenth.exchanges.length > 800 && tenth.exchanges.length < 1_200, String(tenth.exchanges.length));
  const large = new Sampler({ every: 1, perSecond: 100 }, seededRng(1));
  equal(notes(40, large, 65_535)!.overSize, 10);
  equal(notes(1, large, 65_535)!.exchanges.length, 1, "there is room again");
});
