/** @module When a branch is looked at: at intervals, for operators at once, for webhooks no more than twice a second. */
import { deepEqual, equal } from "node:assert/strict";
import { Follower } from "../../src/gitops/follower.ts";
import { RepositoryError } from "../../src/gitops/repository.ts";
import type { GitWork } from "../../src/gitops/git_work.ts";
import type { SyncResult } from "../../src/gitops/sync_result.ts";
import { ManualClock, settle } from "../clock.ts";

/** A follower of a branch that can't be reached, which each look finds out; or of what `open` gives. */
function following(open?: () => GitWork) {
  const clock = new ManualClock();
  const looks: number[] = [];
  const results: SyncResult[] = [];
  const follower = new Follower({
    ...{ repository: "https://git.example.org/dns.git", branch: "main", pathPrefix: "" },
    ...{ pollIntervalMs: 60_000, requireSignature: false, since: null, onDrift: "report" },
    ...{ allowedSigners: [], keyring: null, signedTags: false },
  }, {
    changes: { apply: () => Promise.reject(new Error("nothing is applied")) },
    state: { applied: () => null, drift: () => ({ count: 0, isMore: false, changes: [] }) },
    clock,
    rng: () => 2 ** 31,
    open: open ?? (() => ({
      isAlive: true,
      fetch: () => {
        looks.push(clock.monotonicMs());
        return Promise.reject(new RepositoryError("unreachable", "nothing listens there"));
      },
      descends: () => Promise.resolve("unknown"),
      look: () => Promise.reject(new Error("there is no commit")),
      read: () => Promise.reject(new Error("there is no commit")),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    })),
    tell: (told) => told.kind === "result" && results.push(told.result),
  });
  return { clock, looks, results, follower };
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

/** A thread that never answers; what it was asked for fails when it is ended. */
class SilentWork implements GitWork {
  isAlive = true;
  readonly #asked = Promise.withResolvers<never>();

  constructor() {
    this.#asked.promise.catch(() => {});
  }

  fetch(): Promise<string> {
    return this.#asked.promise;
  }
  descends(): Promise<"unknown"> {
    return this.#asked.promise;
  }
  look(): Promise<never> {
    return this.#asked.promise;
  }
  read(): Promise<never> {
    return this.#asked.promise;
  }
  /** The thread is gone. */
  die(reason: string): void {
    this.isAlive = false;
    this.#asked.reject(new Error(reason));
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.die("The repository was given up");
    await Promise.resolve();
  }
}

Deno.test("a look that doesn't end is given up after ten minutes, and the next one has another thread", async () => {
  const opened: SilentWork[] = [];
  const { clock, results, follower } = following(() => {
    opened.push(new SilentWork());
    return opened.at(-1)!;
  });
  await clock.advance(599_999);
  deepEqual([opened.length, results.length], [1, 0]);
  await clock.advance(1);
  await settle();
  deepEqual(results.map((result) => result.kind === "failed" && result.message), [
    "The repository can't be fetched: it took longer than 10 minutes",
  ]);
  await clock.advance(200_000);
  deepEqual([opened.length, opened[0]!.isAlive, opened[1]!.isAlive], [2, false, true]);
  await follower[Symbol.asyncDispose]();
});

Deno.test("a thread that dies is said, and the next look has another one", async () => {
  const opened: SilentWork[] = [];
  const { clock, results, follower } = following(() => {
    opened.push(new SilentWork());
    return opened.at(-1)!;
  });
  await settle();
  opened[0]!.die("The thread of Git failed: out of memory");
  await settle();
  deepEqual(results.map((result) => result.kind === "failed" && result.message), [
    "The repository can't be fetched: The thread of Git failed: out of memory",
  ]);
  await clock.advance(200_000);
  deepEqual(opened.map(({ isAlive }) => isAlive), [false, true]);
  await follower[Symbol.asyncDispose]();
});
