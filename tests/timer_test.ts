/** @module A timer against what else comes in the turn of the event loop in which it is due. */
import { deepEqual, equal } from "node:assert/strict";
import { Timer } from "../src/timer.ts";
import { lateTogether, TELLS_OF_BYTES_FIRST } from "./late_together.ts";

Deno.test({
  name: "a timer that is cleared, or set anew, doesn't run though it was due",
  ignore: !TELLS_OF_BYTES_FIRST,
  fn: async () => {
    const ran: number[] = [];
    for (let isTogether = false; !isTogether;) {
      const timers = [new Timer(), new Timer(), new Timer()];
      ran.length = 0;
      await lateTogether(() => {
        for (const [i, timer] of timers.entries()) timer.set(() => ran.push(i), 1);
      }, () => {
        isTogether = ran.length === 0;
        timers[0]!.clear();
        timers[1]!.set(() => ran.push(10), 60_000);
      });
      timers[1]!.clear();
    }
    deepEqual(ran, [2]);
  },
});

Deno.test("a timer runs once, and only what was set last", async () => {
  const timer = new Timer();
  const ran: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  timer.set(() => ran.push("first"), 1);
  timer.set(() => {
    ran.push("second");
    resolve();
  }, 2);
  await promise;
  timer.clear();
  equal(ran.join(), "second");
});
