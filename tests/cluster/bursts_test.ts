/** @module When it is told that very much was read. */
import { equal } from "node:assert/strict";
import { BURST_LOOK_MS, BURST_MESSAGES, Bursts } from "../../src/cluster/bursts.ts";
import { ManualClock } from "../clock.ts";

function bed() {
  const clock = new ManualClock();
  const ending = new AbortController();
  let told = 0;
  const bursts = new Bursts({ clock, signal: ending.signal, over: () => void told++ });
  return { clock, ending, bursts, told: () => told };
}

Deno.test("very many messages are told of while they come, and once behind them", async () => {
  const { clock, bursts, told } = bed();
  for (let i = 0; i < BURST_MESSAGES; i++) bursts.count(1);
  equal(told(), 0);
  await clock.advance(BURST_LOOK_MS);
  equal(told(), 1);
  bursts.count(BURST_MESSAGES);
  await clock.advance(BURST_LOOK_MS);
  equal(told(), 2);
  await clock.advance(BURST_LOOK_MS * 10);
  equal(told(), 2, "nothing came");
  bursts.count(BURST_MESSAGES);
  await clock.advance(BURST_LOOK_MS);
  equal(told(), 3, "another one");
});

Deno.test("a few messages again and again are no burst, and nothing is told of at the end", async () => {
  const { clock, ending, bursts, told } = bed();
  for (let i = 0; i < 5; i++) {
    bursts.count(BURST_MESSAGES - 1);
    await clock.advance(BURST_LOOK_MS);
  }
  equal(told(), 0);
  bursts.count(BURST_MESSAGES);
  ending.abort();
  await clock.advance(BURST_LOOK_MS);
  equal(told(), 0);
});
