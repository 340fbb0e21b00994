/** @module When what a bucket has kept is read, and whether its watch is alive, though others write to it all the time. */
import { deepEqual, equal } from "node:assert/strict";
import type { JetStreamClient, JsMsg, StreamInfo } from "@nats-io/jetstream";
import { headers as messageHeaders } from "@nats-io/nats-core";
import { Watch, watchBucket } from "../../src/cluster/health_bucket.ts";
import { settle } from "../clock.ts";

/** A watch that delivers what the test says. @param kept values of the bucket when it began */
function bed(kept: number) {
  const log: string[] = [];
  const first = { created: "then", state: { messages: kept, last_seq: kept } } as StreamInfo;
  const watch = new Watch(first, kept, {
    entry: (key) => log.push(key),
    caughtUp: () => log.push("caught up"),
  });
  const { promise: closed, resolve: close } = Promise.withResolvers<void>();
  watch.follow({ stop: close, closed: () => closed });
  let revision = 0;
  /** @param pending how many wait behind it */
  const deliver = (key: string, pending: number) =>
    watch.take({ key, revision: ++revision, pending, value: new Uint8Array(1) });
  return { log, watch, deliver, close };
}

function isDead(watch: Watch, info: object): Promise<boolean> {
  return watch.isDead(() => Promise.resolve({ created: "then", ...info } as StreamInfo));
}

Deno.test("a watch has caught up with the last value there was, however many are written meanwhile", async () => {
  const { log, watch, deliver } = bed(3);
  await using _ = watch;
  for (const [key, delta] of [["a", 5], ["b", 7], ["c", 9], ["d", 11], ["e", 0]] as const) {
    deliver(key, delta);
  }
  deepEqual(log, ["a", "b", "c", "caught up", "d", "e"]);
});

Deno.test("a watch of which nothing waits any more has caught up, though some values have gone", async () => {
  const { log, watch, deliver } = bed(3);
  await using _ = watch;
  deliver("a", 0);
  deepEqual(log, ["a", "caught up"]);
  const state = { messages: 1, last_seq: 3 };
  equal(await isDead(watch, { state }), false);
  equal(await isDead(watch, { state }), false);
});

Deno.test("a watch is dead that doesn't come to what there was at the look before, and not one that is behind", async () => {
  const { watch, deliver } = bed(3);
  await using _ = watch;
  const isDeadAt = (last_seq: number) => isDead(watch, { state: { messages: last_seq, last_seq } });
  equal(await isDeadAt(10), false);
  deliver("a", 9);
  equal(await isDeadAt(20), false, "it comes further");
  deliver("b", 18);
  equal(await isDeadAt(30), false, "it comes further");
  equal(await isDeadAt(30), true);
  equal(await isDead(watch, { created: "later", state: { messages: 2, last_seq: 2 } }), true);
});

Deno.test("what comes before the server's answer is taken doesn't make the bucket an older one", async () => {
  const { watch, deliver } = bed(1);
  await using _ = watch;
  deliver("a", 0);
  const info = { created: "then", state: { messages: 1, last_seq: 1 } } as StreamInfo;
  const asked = watch.isDead(() => {
    deliver("b", 0);
    return Promise.resolve(info);
  });
  equal(await asked, false);
  equal(await watch.isDead(() => Promise.resolve(info)), true, "it was put back");
});

Deno.test("a watch that has ended by itself is dead, and one that is disposed of tells no more", async () => {
  const { watch, close } = bed(0);
  const state = { messages: 0, last_seq: 0 };
  equal(await isDead(watch, { state }), false);
  close();
  await settle();
  equal(await isDead(watch, { state }), true);
  const other = bed(1);
  await other.watch[Symbol.asyncDispose]();
  other.deliver("a", 0);
  deepEqual(other.log, []);
});

Deno.test("what says that a key has gone has no value, and every other message has its own", async () => {
  let deliver!: (message: JsMsg) => void;
  const { promise: ended, resolve: stop } = Promise.withResolvers<void>();
  const consumers = {
    getPushConsumer: () =>
      Promise.resolve({
        info: () => Promise.resolve({ num_pending: 4 }),
        consume: ({ callback }: { callback: typeof deliver }) => {
          deliver = callback;
          return Promise.resolve({ stop, closed: () => ended });
        },
      }),
  };
  const first = { created: "then", config: { name: "KV_health" }, state: { messages: 4, last_seq: 4 } };
  const seen: string[] = [];
  await using _ = await watchBucket({ consumers } as unknown as JetStreamClient, first as StreamInfo, {
    entry: (key, value) => seen.push(`${key} ${value.length}`),
    caughtUp: () => seen.push("caught up"),
  });
  const said = [
    ["n.1", null],
    ["n.2", "KV-Operation"],
    ["n.3", "Nats-Marker-Reason"],
    ["n.4", "Nats-Stream-Source"],
  ] as const;
  for (const [i, [key, name]] of said.entries()) {
    const headers = name === null ? undefined : messageHeaders();
    if (name !== null) headers!.set(name, "DEL");
    const info = { streamSequence: i + 1, pending: 3 - i };
    deliver({ subject: `$KV.health.${key}`, data: new Uint8Array(5), headers, info } as JsMsg);
  }
  deepEqual(seen, ["n.1 5", "n.2 0", "n.3 0", "n.4 5", "caught up"]);
});
