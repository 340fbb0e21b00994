/** @module What servers don't answer is asked again. */
import { equal, rejects } from "node:assert/strict";
import { askedAgain } from "../../src/nats/asked_again.ts";
import { ManualClock } from "../clock.ts";

Deno.test("what isn't answered is asked again twice a second, and any answer counts", async () => {
  const clock = new ManualClock();
  const asked: PromiseWithResolvers<string>[] = [];
  const ask = () => {
    asked.push(Promise.withResolvers());
    return asked.at(-1)!.promise;
  };
  const { signal } = new AbortController();
  const answer = askedAgain(ask, { clock, signal });
  await clock.advance(1_200);
  equal(asked.length, 3);
  asked[1]!.resolve("it");
  equal(await answer, "it");
  equal(clock.sleeperCount, 0);
  // What the others say doesn't matter any more.
  asked[0]!.reject(new Error("time-out"));
  asked[2]!.reject(new Error("time-out"));
  await clock.advance(1_000);
  equal(asked.length, 3);
});

Deno.test("what fails, fails, and nothing is asked again when the session is over", async () => {
  const clock = new ManualClock();
  const ending = new AbortController();
  await rejects(
    askedAgain(() => Promise.reject(new Error("no")), { clock, signal: ending.signal }),
    /no/,
  );
  let asked = 0;
  const { promise, reject } = Promise.withResolvers<never>();
  const answer = askedAgain(() => (asked++, promise), { clock, signal: ending.signal });
  ending.abort();
  await clock.advance(5_000);
  reject(new Error("closed"));
  await rejects(answer, /closed/);
  equal(asked, 1);
});
