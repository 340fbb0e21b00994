/** @module What comes in from other nodes, and waits until it is read. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { Inbox, type Waiting } from "../../src/cluster/inbox.ts";
import type { Clock } from "../../src/clock.ts";
import { ManualClock } from "../clock.ts";

/** Reading a message takes half a millisecond. */
function bed() {
  const manual = new ManualClock();
  let spentMs = 0;
  const clock: Clock = {
    monotonicMs: () => manual.monotonicMs() + spentMs,
    unixMs: () => manual.unixMs(),
    sleep: (ms, signal) => manual.sleep(ms, signal),
  };
  const log: string[] = [];
  const inbox = new Inbox({
    clock,
    read: ({ name }) => {
      spentMs += 0.5;
      log.push(name);
    },
    sliceEnded: () => log.push("told"),
    overflowed: () => log.push("overflowed"),
  });
  const { signal } = new AbortController();
  const add = (name: string, size = 1) => {
    const message: Waiting = { name, data: new Uint8Array(size), isValue: true, atMs: 0 };
    inbox.add(message, signal);
  };
  return { manual, inbox, log, add };
}

Deno.test("what comes in one turn of the event loop is told of together, and at once", async () => {
  const { inbox, log, add } = bed();
  for (const name of ["a", "b", "c"]) add(name);
  equal(log.length, 0);
  inbox.whenRead(() => log.push("read"));
  await inbox.idle();
  deepEqual(log, ["a", "b", "c", "told", "read", "told"]);
  inbox.whenRead(() => log.push("at once"));
  equal(log.at(-1), "at once");
});

Deno.test("much is read in slices, in order, and what was read is told of every 20 ms", async () => {
  const { manual, inbox, log, add } = bed();
  for (let i = 0; i < 100; i++) add(`${i}`);
  for (let slices = 0, before = 0; log.filter((each) => each !== "told").length < 100; slices++) {
    if (slices > 0) await manual.advance(0);
    else await Promise.resolve();
    ok(log.length >= before);
    before = log.length;
  }
  await inbox.idle();
  deepEqual(log.filter((each) => each !== "told"), Array.from({ length: 100 }, (_, i) => `${i}`));
  // 50 ms of reading: after 20, after 40, and at the end.
  equal(log.filter((each) => each === "told").length, 3);
});

Deno.test("answers wait for what is read: others' work takes none of its six milliseconds", async () => {
  const { manual, log, inbox, add } = bed();
  for (let i = 0; i < 100; i++) add(`${i}`);
  for (let hop = 0; hop < 10; hop++) await null;
  equal(log.length, 12);
  for (let turns = 0; turns < 20; turns++) await manual.advance(0);
  await inbox.idle();
});

Deno.test("what waits for what is there waits for nothing that comes after it", async () => {
  const { inbox, log, add } = bed();
  add("a");
  inbox.whenRead(() => log.push("read"));
  add("b");
  await inbox.idle();
  deepEqual(log, ["a", "told", "read", "b", "told"]);
});

Deno.test("of more than may wait all is dropped, and that is said", async () => {
  const { inbox, log, add } = bed();
  for (let i = 0; i <= 100_000; i++) add("x");
  deepEqual(log, ["overflowed"]);
  inbox.whenRead(() => log.push("read"));
  for (let i = 0; i < 3; i++) add("large", 30 * 1024 * 1024);
  deepEqual(log, ["overflowed", "overflowed"]);
  add("next");
  await inbox.idle();
  deepEqual(log, ["overflowed", "overflowed", "told", "read", "next", "told"]);
});
