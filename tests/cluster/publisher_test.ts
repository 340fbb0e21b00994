/** @module What a node tells others of what its probes find: as events, and as values of a bucket. */
import { deepEqual, equal, ok } from "node:assert/strict";
import type { KV } from "@nats-io/kv";
import { PeerView } from "../../src/cluster/peer_view.ts";
import { Publisher } from "../../src/cluster/publisher.ts";
import {
  decodeEvent,
  decodeValue,
  EVENT_ADDRESSES_MAX,
  healthKey,
  SWEEP_MS,
  wireNames,
} from "../../src/cluster/wire_format.ts";
import type { LocalReport } from "../../src/health/peers.ts";
import { ManualClock, settle } from "../clock.ts";
import { SaidReports, TARGET } from "./nodes.ts";

/** A bucket that counts what is written; a write takes until it is let go on, if it is held. */
class CountingBucket {
  readonly values = new Map<string, Uint8Array>();
  /** How often each key was written or deleted. */
  readonly writes = new Map<string, number>();
  isBroken = false;
  underWay = 0;
  mostUnderWay = 0;

  async put(key: string, value: Uint8Array): Promise<number> {
    await this.#write(key);
    this.values.set(key, value);
    return 1;
  }

  async delete(key: string): Promise<void> {
    await this.#write(key);
    this.values.delete(key);
  }

  async #write(key: string): Promise<void> {
    this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay);
    await settle();
    this.underWay--;
    if (this.isBroken) throw new Error("timeout");
    this.writes.set(key, (this.writes.get(key) ?? 0) + 1);
  }
}

function bed() {
  const clock = new ManualClock();
  const local = new SaidReports();
  const bucket = new CountingBucket();
  /** How many addresses each event had. */
  const events: number[] = [];
  const told = new Map<string, string>();
  let failed = 0;
  const publisher = new Publisher({
    ...{ local, node: "a", names: wireNames("test", "a"), boot: "0011223344556677", clock, seq: 0 },
    published: () => {},
    written: (error) => void (failed += error === null ? 0 : 1),
  });
  const send = (_: string, payload: Uint8Array) => {
    const reports = decodeEvent(payload);
    events.push(reports.length);
    for (const { address, targets } of reports) told.set(address, targets[0]?.state ?? "none");
    return true;
  };
  const signal = new AbortController().signal;
  return {
    ...{ clock, local, bucket, events, told, publisher },
    failures: () => failed,
    connected: () => publisher.connected(send, signal),
    opened: () => publisher.bucketOpened(bucket as unknown as KV),
    /** Lets everything go on until nothing is left to be written. */
    written: async () => {
      for (let i = 0; !publisher.isWritten || bucket.underWay > 0; i++) {
        if (i > 10_000) throw new Error("It stays unwritten");
        await clock.advance(1);
      }
      await settle();
    },
  };
}

const addressAt = (i: number) => `10.0.${i >> 8}.${i & 255}`;

function found(count: number, state: LocalReport["state"]): LocalReport[] {
  return Array.from({ length: count }, (_, i) => ({
    ...{ address: addressAt(i), target: TARGET, state, since: state === null ? null : 0 },
  }));
}

Deno.test("a change is told at once, and one of very many targets with turns of the event loop in between", async () => {
  const { clock, local, events, told, publisher, connected } = bed();
  await using _ = publisher;
  await connected();
  local.say(found(EVENT_ADDRESSES_MAX, "healthy"));
  deepEqual(events, [EVENT_ADDRESSES_MAX]);
  local.say(found(1_000, "unhealthy"));
  deepEqual(events, [EVENT_ADDRESSES_MAX], "whoever found it goes on first");
  // What comes meanwhile doesn't wait behind it, and stays what was said last.
  local.say([{ address: addressAt(999), target: TARGET, state: "healthy", since: 1 }]);
  deepEqual(events, [EVENT_ADDRESSES_MAX, 1]);
  // Neither does what is gone meanwhile get lost.
  local.say([{ address: addressAt(998), target: TARGET, state: null, since: null }]);
  await clock.advance(0);
  equal(told.size, 1_000);
  deepEqual([997, 998, 999].map((i) => told.get(addressAt(i))), ["unhealthy", "none", "healthy"]);
  equal(publisher.size, 999);
});

Deno.test("all that is found is said in short: what others have of it when they have heard everything", async () => {
  const { clock, local, publisher } = bed();
  await using _ = publisher;
  const view = new PeerView({ node: "b", region: "", ttlMs: 1_000, keepMs: 1_000, clock });
  local.say(found(250, "healthy"));
  const boot = "0011223344556677";
  const hasAll = () => view.hasAll("a", { boot, found: publisher.found });
  await publisher.connected((_, payload) => {
    for (const { address, ...report } of decodeEvent(payload)) view.put("a", address, report);
    return true;
  }, new AbortController().signal);
  equal(publisher.found.addresses, 250);
  equal(hasAll(), true);
  local.say(found(1, null));
  local.say([{ address: addressAt(7), target: TARGET, state: "unhealthy", since: 1 }]);
  equal(publisher.found.addresses, 249);
  equal(hasAll(), true);
  publisher.disconnected();
  local.say([{ address: addressAt(7), target: TARGET, state: "healthy", since: 2 }]);
  equal(hasAll(), false, "that wasn't told");
});

Deno.test("what is found is written to the bucket, some at a time, and deleted when it is gone", async () => {
  const { local, bucket, publisher, opened, written } = bed();
  await using _ = publisher;
  local.say(found(300, "unhealthy"));
  opened();
  await written();
  equal(bucket.values.size, 300);
  equal(bucket.mostUnderWay, 64);
  deepEqual(decodeValue(bucket.values.get(healthKey("a", addressAt(7)))!).targets, [
    { target: TARGET, state: "unhealthy", since: "1970-01-01T00:00:00.000Z" },
  ]);
  // One write at a time may be under way when thousands follow.
  local.say(found(1, "healthy"));
  local.say(found(300, null));
  await written();
  equal(bucket.values.size, 0);
  equal(publisher.size, 0);
});

Deno.test("what is gone is told, though the bucket has forgotten it before", async () => {
  const { clock, local, bucket, told, publisher, connected, opened, written } = bed();
  await using _ = publisher;
  await connected();
  opened();
  local.say(found(200, "healthy"));
  await clock.advance(0);
  await written();
  deepEqual([told.size, bucket.values.size], [200, 200]);
  local.say(found(200, null));
  for (let i = 0; bucket.values.size > 0 && i < 1_000; i++) await settle();
  equal(bucket.values.size, 0);
  equal(told.get(addressAt(7)), "healthy");
  await clock.advance(0);
  deepEqual(new Set(told.values()), new Set(["none"]));
  equal(publisher.size, 0);
});

Deno.test("what can't be written is tried again a second later, by no more writes than before", async () => {
  const { clock, local, bucket, publisher, opened, written, failures } = bed();
  await using _ = publisher;
  local.say(found(100, "healthy"));
  bucket.isBroken = true;
  opened();
  await clock.advance(0);
  await clock.advance(0);
  equal(bucket.underWay, 0);
  equal(failures(), 64);
  await clock.advance(999);
  equal(failures(), 64);
  bucket.isBroken = false;
  await clock.advance(1);
  await written();
  deepEqual([bucket.values.size, failures()], [100, 64]);
});

Deno.test("of very many values so many a second are written", async () => {
  const { clock, local, bucket, publisher, opened, written } = bed();
  await using _ = publisher;
  local.say(found(5_000, "healthy"));
  opened();
  await clock.advance(0);
  for (let i = 0; i < 1_000; i++) await settle();
  const atOnce = bucket.values.size;
  ok(atOnce >= 500 && atOnce <= 600, `${atOnce} at once`);
  for (let ms = 0; ms < 1_000; ms++) await clock.advance(1);
  const more = bucket.values.size - atOnce;
  ok(more > 900 && more < 1_100, `${more} in a second`);
  await written();
  equal(bucket.values.size, 5_000);
});

Deno.test("who comes is told what isn't in the bucket yet, and no more", async () => {
  const { clock, local, bucket, events, publisher, connected, opened, written } = bed();
  await using _ = publisher;
  const { signal } = new AbortController();
  local.say(found(200, "healthy"));
  await connected();
  events.length = 0;
  await publisher.tellUnwritten(signal);
  deepEqual(events, [100, 100], "there is no bucket");
  opened();
  await written();
  events.length = 0;
  await publisher.tellUnwritten(signal);
  deepEqual(events, []);
  bucket.isBroken = true;
  local.say(found(7, "unhealthy"));
  await clock.advance(0);
  events.length = 0;
  await publisher.tellUnwritten(signal);
  deepEqual(events, [7]);
});

Deno.test("of an address with very many targets some are told, as many as others take", async () => {
  const { bucket, local, publisher, told, connected, opened, written } = bed();
  await using _ = publisher;
  const targets = Array.from({ length: 1_000 }, (_, i) => ({
    ...{ address: addressAt(0), target: `tcp:${i + 1}:4f53cda1`, state: "healthy" as const, since: 0 },
  }));
  local.say([...targets, ...found(50, "healthy")]);
  await connected();
  equal(told.size, 50);
  opened();
  await written();
  equal(decodeValue(bucket.values.get(healthKey("a", addressAt(0)))!).targets.length, 64);
  const many = Array.from(
    { length: 100 },
    (_, i) => targets.map((each) => ({ ...each, address: addressAt(i) })),
  );
  // With 64 targets each they are too many for one event.
  local.say(many.flat());
  equal(told.size, 100);
});

Deno.test("every value is written once more in five minutes, and what only the last run reported is deleted after one", async () => {
  const { clock, local, bucket, publisher, opened, written } = bed();
  await using _ = publisher;
  local.say(found(1_000, "healthy"));
  opened();
  await written();
  for (const address of [addressAt(5), "192.0.2.7"]) {
    bucket.values.set(healthKey("a", address), new Uint8Array(1));
    publisher.seen(address);
  }
  bucket.writes.clear();
  const passed = async (seconds: number) => {
    for (let second = 0; second < seconds; second++) {
      await clock.advance(1_000);
      await written();
    }
  };
  await passed(59);
  ok(bucket.values.has(healthKey("a", "192.0.2.7")), "this run may find it yet");
  await passed(3);
  ok(!bucket.values.has(healthKey("a", "192.0.2.7")));
  equal(bucket.values.size, 1_000);
  const swept = bucket.writes.size;
  ok(swept > 100 && swept < 300, `${swept} in a minute`);
  await passed(SWEEP_MS / 1_000 - 62);
  equal([...bucket.writes.keys()].filter((key) => bucket.values.has(key)).length, 1_000);
});
