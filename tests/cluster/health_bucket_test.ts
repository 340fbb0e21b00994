/** @module When what a bucket has kept is read, and whether its watch is alive, though others write to it all the time. */
import { deepEqual, equal } from "node:assert/strict";
import type { StreamInfo } from "@nats-io/jetstream";
import type { KV, KvWatchEntry } from "@nats-io/kv";
import { Watch } from "../../src/cluster/health_bucket.ts";
import { settle } from "../clock.ts";

type Entries = Awaited<ReturnType<KV["watch"]>>;

/** A watch that delivers what the test says. @param kept values of the bucket when it began */
function bed(kept: number) {
  const waiting: KvWatchEntry[] = [];
  let more = Promise.withResolvers<void>();
  let isStopped = false;
  const entries = {
    async *[Symbol.asyncIterator]() {
      while (!isStopped) {
        await more.promise;
        more = Promise.withResolvers<void>();
        yield* waiting.splice(0);
      }
    },
    stop: () => {
      isStopped = true;
      more.resolve();
    },
  };
  const log: string[] = [];
  const first = { created: "then", state: { messages: kept, last_seq: kept } } as StreamInfo;
  const watch = new Watch(first, entries as unknown as Entries, {
    entry: (key) => log.push(key),
    caughtUp: () => log.push("caught up"),
  });
  let revision = 0;
  /** @param delta how many wait behind it */
  const deliver = async (key: string, delta: number) => {
    const value = new Uint8Array(1);
    // As the library counts: what was there when the watch began is no update, but for the last of it.
    const isUpdate = ++revision >= kept;
    waiting.push({ key, operation: "PUT", revision, delta, isUpdate, value } as unknown as KvWatchEntry);
    more.resolve();
    await settle();
  };
  return { log, watch, deliver };
}

Deno.test("a watch has caught up with the last value there was, however many are written meanwhile", async () => {
  const { log, watch, deliver } = bed(3);
  await using _ = watch;
  for (const [key, delta] of [["a", 5], ["b", 7], ["c", 9], ["d", 11], ["e", 0]] as const) {
    await deliver(key, delta);
  }
  deepEqual(log, ["a", "b", "c", "caught up", "d", "e"]);
});

Deno.test("a watch of which nothing waits any more has caught up, though some values have gone", async () => {
  const { log, watch, deliver } = bed(3);
  await using _ = watch;
  await deliver("a", 0);
  deepEqual(log, ["a", "caught up"]);
  const state = { messages: 1, last_seq: 3 };
  equal(watch.isDead({ created: "then", state } as StreamInfo), false);
  equal(watch.isDead({ created: "then", state } as StreamInfo), false);
});

Deno.test("a watch is dead that doesn't come to what there was at the look before, and not one that is behind", async () => {
  const { watch, deliver } = bed(3);
  await using _ = watch;
  const isDead = (last_seq: number) =>
    watch.isDead({ created: "then", state: { messages: last_seq, last_seq } } as StreamInfo);
  equal(isDead(10), false);
  await deliver("a", 9);
  equal(isDead(20), false, "it comes further");
  await deliver("b", 18);
  equal(isDead(30), false, "it comes further");
  equal(isDead(30), true);
  equal(watch.isDead({ created: "later", state: { messages: 2, last_seq: 2 } } as StreamInfo), true);
});
