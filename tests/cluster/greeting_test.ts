/** @module When nodes that come, and those that are there, count each other: not before each knows what the other finds. */
import { deepEqual, equal } from "node:assert/strict";
import type { NatsConnection } from "@nats-io/nats-core";
import { BURST_LOOK_MS, BURST_MESSAGES } from "../../src/cluster/bursts.ts";
import { type Carrier, Cluster } from "../../src/cluster/cluster.ts";
import { PeerView } from "../../src/cluster/peer_view.ts";
import {
  decodeHeartbeat,
  encodeEvent,
  encodeHeartbeat,
  encodeValue,
  healthKey,
  type Heartbeat,
  seqDigest,
  wireNames,
} from "../../src/cluster/wire_format.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { Registry } from "../../src/telemetry/metrics.ts";
import { ManualClock, settle } from "../clock.ts";
import { NO_AUTH, SaidReports, TARGET } from "./nodes.ts";

type Callback = (error: null, message: { readonly subject: string; readonly data: Uint8Array }) => void;

const BOOT = "0011223344556677";

/** A node whose connection is made, with a bucket that is never read. */
function bed() {
  const clock = new ManualClock();
  const names = wireNames("test", "a");
  const heard = new Map<string, Callback>();
  const said: string[] = [];
  const flushed = Promise.withResolvers<void>();
  const ended = new AbortController();
  const watching = Promise.withResolvers<Parameters<Carrier["watch"]>[1]["listener"]>();
  const connection = {
    subscribe: (subject: string, { callback }: { readonly callback: Callback }) =>
      void heard.set(subject, callback),
    publish: (subject: string, data: Uint8Array) => {
      if (subject === names.heartbeat) {
        const { kind, asks = [] } = decodeHeartbeat(data);
        said.push([kind, ...asks].join(" "));
      }
      if (subject === names.health.v4) said.push("reports");
    },
    flush: () => flushed.promise,
    isClosed: () => ended.signal.aborted,
    async *status() {},
  };
  const carrier: Carrier = {
    connect: ({ session }) => {
      const running = session(connection as unknown as NatsConnection, ended.signal);
      return {
        status: () => ({ server: "nats://test", fault: null }),
        use: () => {},
        [Symbol.asyncDispose]: async () => {
          ended.abort();
          await running;
        },
      };
    },
    watch: (_, { listener, signal }) => {
      watching.resolve(listener);
      return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    },
  };
  const registry = new Registry({});
  const local = new SaidReports();
  local.say([{ address: "192.0.2.7", target: TARGET, state: "healthy", since: 0 }]);
  const view = new PeerView({ node: "a", region: "", ttlMs: 60_000, keepMs: 60_000, clock });
  const cluster = new Cluster({
    terms: {
      ...{ cluster: "test", node: "a", region: "", domain: null, lookMs: 5_000 },
      ...{ heartbeatIntervalMs: 50, heartbeatTtlMs: 60_000 },
      link: { servers: [], tls: { ca: null, client: null, handshakeFirst: false }, auth: NO_AUTH },
    },
    ...{
      view,
      local,
      clock,
      rng: () => 0,
      registry,
      burstOver: () => void bursts++,
      configLog: null,
      carrier,
    },
    log: createLogger({ level: "error", format: "json", clock, write: () => {} }),
  });
  let seq = 0;
  let bursts = 0;
  return {
    ...{ clock, cluster, said, flushed },
    hear: (node: string, kind: Heartbeat["kind"], more: Pick<Heartbeat, "found" | "asks"> = {}) => {
      const heartbeat = { boot: BOOT, seq: ++seq, region: "", intervalMs: 50, kind, ...more };
      const { heartbeat: subject } = wireNames("test", node);
      heard.get(names.heartbeats)!(null, { subject, data: encodeHeartbeat(heartbeat) });
    },
    tell: (node: string, reports: Parameters<typeof encodeEvent>[1]) =>
      heard.get(names.healthEvents)!(null, {
        subject: wireNames("test", node).health.v4,
        data: encodeEvent(BOOT, reports),
      }),
    listener: watching.promise,
    /** How often it was said that very much was read. */
    bursts: () => bursts,
    /** Values of the bucket that were read. */
    got: () => Number(/kv_get_total\{bucket="health",result="ok"\} (\d+)/.exec(registry.expose())?.[1] ?? 0),
    active: () => view.active().map(({ node }) => node),
  };
}

Deno.test("who greets is told what the bucket lacks before the next sign of life, though this node hasn't read it itself", async () => {
  const { clock, cluster, said, flushed, hear } = bed();
  await using _ = cluster;
  flushed.resolve();
  await settle();
  deepEqual(said.splice(0), ["reports", "hello"]);
  await clock.advance(50);
  deepEqual(said.splice(0), ["alive"]);
  hear("b", "hello");
  await clock.advance(50);
  await clock.advance(40);
  deepEqual(said.splice(0), []);
  await clock.advance(10);
  deepEqual(said.splice(0, 2), ["reports", "alive"]);
});

Deno.test("who greets and asks others isn't told anything, but that this node is there", async () => {
  const { clock, cluster, said, flushed, hear } = bed();
  await using _ = cluster;
  flushed.resolve();
  await settle();
  said.splice(0);
  const answer = async (...asked: (readonly string[])[]) => {
    for (const asks of asked) hear("b", "hello", { asks });
    said.splice(0);
    await clock.advance(100);
    return said.splice(0, 2);
  };
  deepEqual(await answer([]), ["alive", "alive"]);
  deepEqual(await answer(["c"]), ["alive", "alive"]);
  deepEqual(await answer(["c", "a"]), ["reports", "alive"]);
  deepEqual(await answer(["a"], []), ["reports", "alive"], "one of two who are answered together");
});

Deno.test("a node of which something is missing is asked for it once, and counts when it has answered", async () => {
  const { clock, cluster, said, flushed, hear, tell, active } = bed();
  await using _ = cluster;
  const found = { addresses: 1, digest: seqDigest(6) };
  hear("b", "alive", { found });
  flushed.resolve();
  await settle();
  await clock.advance(2_000);
  said.splice(0);
  for (const node of ["b", "c"]) hear(node, "alive", { found });
  await settle();
  deepEqual([active(), said.splice(0)], [["a"], []]);
  await clock.advance(20);
  deepEqual(said.splice(0).filter((each) => each !== "alive"), ["hello b c"]);
  tell("b", [{ address: "192.0.2.8", seq: 6, targets: [{ target: TARGET, state: "healthy", since: "" }] }]);
  hear("b", "alive", { found });
  await settle();
  deepEqual(active(), ["a", "b"]);
  hear("c", "alive", { found });
  await settle();
  deepEqual(active(), ["a", "b", "c"], "with what is known of it: the bucket has it, or no one has");
  // What is missing later was told while this node listened, and is on its way.
  hear("b", "alive", { found: { addresses: 2, digest: 7 } });
  await clock.advance(1_000);
  deepEqual(said.filter((each) => each.startsWith("hello")), []);
});

Deno.test("a node that ends asks nothing behind its goodbye", async () => {
  const { clock, cluster, said, flushed, hear } = bed();
  flushed.resolve();
  await settle();
  hear("b", "alive", { found: { addresses: 1, digest: seqDigest(6) } });
  await settle();
  said.splice(0);
  const ending = cluster[Symbol.asyncDispose]();
  await clock.advance(300);
  await ending;
  deepEqual(said, ["bye"]);
});

Deno.test("a node counts by what it says after this one's greeting, when that can be answered", async () => {
  const { clock, cluster, flushed, hear, active } = bed();
  await using _ = cluster;
  hear("b", "alive");
  hear("c", "alive");
  flushed.resolve();
  await settle();
  hear("c", "alive");
  deepEqual(active(), ["a"], "what was kept isn't read");
  await clock.advance(2_000);
  deepEqual(active(), ["a", "c"]);
  hear("b", "alive");
  equal(active().length, 3);
});

Deno.test("a node of which events have told all counts at once, though nothing that is kept is read", async () => {
  const { clock, cluster, flushed, hear, tell, active } = bed();
  await using _ = cluster;
  flushed.resolve();
  await settle();
  const targets = [{ target: TARGET, state: "healthy", since: "" }] as const;
  const bothFound = { addresses: 2, digest: seqDigest(6) + seqDigest(7) };
  tell("b", [{ address: "192.0.2.8", seq: 6, targets }, { address: "192.0.2.9", seq: 7, targets }]);
  // What is read in the meantime counts: the greeting comes behind it.
  hear("b", "hello", { found: bothFound });
  await settle();
  deepEqual(active(), ["a", "b"]);
  tell("c", [{ address: "192.0.2.8", seq: 6, targets }, { address: "192.0.2.9", seq: 7, targets: [] }]);
  hear("c", "hello", { found: bothFound });
  await settle();
  deepEqual(active(), ["a", "b"], "one of them is missing");
  hear("c", "alive", { found: { addresses: 1, digest: seqDigest(8) } });
  await settle();
  deepEqual(active(), ["a", "b"], "and there is a later report on the other");
  hear("c", "alive", { found: { addresses: 1, digest: seqDigest(6) } });
  await settle();
  deepEqual(active(), ["a", "b", "c"]);
  await clock.advance(2_000);
  deepEqual(active(), ["a", "b", "c"]);
});

Deno.test("of the bucket's values only those wait to be read of which no event has told", async () => {
  const { cluster, flushed, listener, tell, got } = bed();
  await using _ = cluster;
  flushed.resolve();
  const { entry } = await listener;
  const [address, targets] = ["192.0.2.9", [{ target: TARGET, state: "healthy", since: "" }]] as const;
  const value = (seq: number) => encodeValue({ boot: BOOT, seq, targets });
  tell("b", [{ address, seq: 7, targets }]);
  await settle();
  entry(healthKey("b", address), value(7));
  equal(got(), 1, "at once");
  entry(healthKey("b", address), value(8));
  entry(healthKey("c", address), value(7));
  equal(got(), 1, "what is new is read in slices");
  await settle();
  equal(got(), 3);
});

Deno.test("that very much was read is told of, whether events said it or the bucket", async () => {
  const { clock, cluster, flushed, listener, tell, bursts } = bed();
  await using _ = cluster;
  flushed.resolve();
  const { entry } = await listener;
  const targets = [{ target: TARGET, state: "healthy", since: "" }] as const;
  const addressAt = (i: number) => `10.0.${i >> 8}.${i & 255}`;
  const reports = Array.from({ length: BURST_MESSAGES }, (_, i) => ({
    ...{ address: addressAt(i), seq: 1, targets },
  }));
  tell("b", reports);
  await settle();
  await clock.advance(BURST_LOOK_MS);
  equal(bursts(), 1);
  for (const { address } of reports) {
    entry(healthKey("b", address), encodeValue({ boot: BOOT, seq: 1, targets }));
  }
  await clock.advance(BURST_LOOK_MS);
  equal(bursts(), 2);
});
