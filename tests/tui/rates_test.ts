/**
 * How often services are asked for, by what a node counts.
 *
 * @module
 */
import { deepEqual, equal } from "node:assert/strict";
import { Store } from "../../src/store/store.ts";
import type { NameCount } from "../../src/store/traffic.ts";
import { Rates } from "../../src/tui/rates.ts";
import { ManualClock } from "../clock.ts";

const HOUR_MS = 3_600_000;

Deno.test("a rate is the average of the hour first, and what came between two writings then, over the turn of the hour too", async () => {
  using store = Store.memory();
  const clock = new ManualClock();
  // Ten minutes before the next hour.
  await clock.advance(HOUR_MS - clock.unixMs() % HOUR_MS + 50 * 60_000);
  const hour = () => Math.floor(clock.unixMs() / HOUR_MS);
  const count = (name: string, a: number) => {
    const counted: NameCount = { hour: hour(), name, a, aaaa: 0, samples: a, variance: 0, networks: [] };
    const steps = store.traffic.writing([counted], { maxBytes: 1 << 20, onDropped: () => {} });
    while (steps.step());
  };
  const rates = new Rates(store.traffic, clock);
  deepEqual([...rates.of(["www.example.org"])], []);
  count("www.example.org", 3_000);
  deepEqual([...rates.of(["www.example.org", "api.example.org"])], [["www.example.org", 1], [
    "api.example.org",
    0,
  ]]);
  // Once to see that it is more, and once to see that it is all.
  deepEqual([rates.look(), rates.look(), rates.look()], [false, false, false]);
  await clock.advance(60_000);
  count("www.example.org", 600);
  deepEqual([rates.look(), rates.look(), rates.look()], [false, true, false]);
  equal(rates.of(["www.example.org"]).get("www.example.org"), 10);
  await clock.advance(10 * 60_000);
  count("www.example.org", 1_200);
  rates.look();
  equal(rates.look(), true);
  equal(rates.of(["www.example.org"]).get("www.example.org"), 2);
});
