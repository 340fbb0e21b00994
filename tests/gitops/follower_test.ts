/** @module When a branch is looked at: at intervals, for operators at once, for webhooks no more than twice a second. */
import { deepEqual, equal } from "node:assert/strict";
import { Follower } from "../../src/gitops/follower.ts";
import { RepositoryError } from "../../src/gitops/repository.ts";
import { ManualClock, settle } from "../clock.ts";

/** A follower of a branch that can't be reached, which each look finds out. */
function following() {
  const clock = new ManualClock();
  const looks: number[] = [];
  const follower = new Follower({
    ...{ repository: "https://git.example.org/dns.git", branch: "main", pathPrefix: "" },
    ...{ pollIntervalMs: 60_000, requireSignature: false, since: null, onDrift: "report" },
    ...{ allowedSigners: [], keyring: null, signedTags: false },
  }, {
    changes: { apply: () => Promise.reject(new Error("nothing is applied")) },
    state: { applied: () => null, drift: () => ({ count: 0, isMore: false, changes: [] }) },
    clock,
    rng: () => 2 ** 31,
    open: () => ({
      fetch: () => {
        looks.push(clock.monotonicMs());
        return Promise.reject(new RepositoryError("unreachable", "nothing listens there"));
      },
      descends: () => Promise.resolve("unknown"),
      look: () => Promise.reject(new Error("there is no commit")),
      read: () => Promise.reject(new Error("there is no commit")),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }),
    tell: () => {},
  });
  return { clock, looks, follower };
}

Deno.test("a thousand webhooks have the branch looked at twice a second, and the last is not forgotten", async () => {
  const { clock, looks, follower } = following();
  await settle();
  const asked: Promise<unknown>[] = [];
  for (let i = 0; i < 1_000; i++) {
    asked.push(follower.sync(null));
    await clock.advance(2);
  }
  await clock.advance(500);
  await Promise.all(asked);
  deepEqual(looks, [0, 500, 1_000, 1_500, 2_000]);
  await follower[Symbol.asyncDispose]();
});

Deno.test("an operator doesn't wait behind webhooks", async () => {
  const { clock, looks, follower } = following();
  await settle();
  const hook = follower.sync(null);
  await clock.advance(100);
  equal((await follower.sync({ force: false, by: "anna", reason: "" })).kind, "failed");
  await hook;
  deepEqual(looks, [0, 100]);
  await follower[Symbol.asyncDispose]();
});
