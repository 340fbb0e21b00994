/** @module Locks of pools that nodes of a cluster share, over a real server: one at a time, whichever node is asked. */
import { deepEqual, equal, match, rejects } from "node:assert/strict";
import { BlockHeld, Lock } from "../../src/agent/block.ts";
import { RestRecords } from "../../src/agent/records/rest.ts";
import { systemClock } from "../../src/clock.ts";
import type { Settings } from "../../src/settings/settings.ts";
import { Kvm } from "@nats-io/kv";
import { NatsConnectionImpl } from "@nats-io/nats-core/internal";
import { useDenoTransport } from "../../src/nats/transport.ts";
import { NatsServer } from "../nats/server.ts";
import { testWith } from "../programs.ts";
import { call, startTestNode, TEST_SETTINGS, type TestNode, until } from "../test_node.ts";

const FQDN = "www.example.org";
const signal = new AbortController().signal;

testWith(
  ["nats-server"],
  "a pool's lock is one for all nodes, outlives them, and is never two's",
  async () => {
    await using server = await NatsServer.start();
    await using a = await startTestNode(settingsOf("a", server));
    const lockAt = (node: TestNode, owner: string) => new Lock(placeAt(node), owner);
    equal((await call(a, "POST", "/apply", { pools: [{ name: "web" }] })).status, 200);
    await isReady(a);
    {
      await using b = await startTestNode(settingsOf("b", server));
      await isReady(b);
      // Of ten that want it at once, at both nodes, one gets it.
      const wanted = await Promise.allSettled(Array.from({ length: 10 }, async (_, i) => {
        const lock = lockAt(i % 2 === 0 ? a : b, `0000000${i}`);
        await lock.take(null, 5_000, signal);
        return lock;
      }));
      const taken = wanted.flatMap((each) => each.status === "fulfilled" ? [each.value] : []);
      equal(taken.length, 1);
      for (const each of wanted) {
        if (each.status === "rejected") match(String(each.reason), /another operator, 0000000\d/);
      }
      await taken[0]!.release(signal);
      for (const node of [a, b]) {
        deepEqual((await placeAt(node).records.read(FQDN, "TXT", signal)).values, []);
      }

      await lockAt(b, "bbbbbbbb").take("192.0.2.1", 5_000, signal);
      await rejects(lockAt(a, "aaaaaaaa").take(null, 5_000, signal), /another operator, bbbbbbbb/);
    }
    // The node that was asked has ended; another one knows of it, and whoever holds the lock goes on there.
    await rejects(lockAt(a, "aaaaaaaa").take(null, 5_000, signal), BlockHeld);
    await lockAt(a, "bbbbbbbb").take("192.0.2.1", 5_000, signal);

    // Keys and buckets that are deleted by hand are no locks; others can be taken.
    useDenoTransport();
    const connection = await NatsConnectionImpl.connect({ servers: [server.url] });
    const kvm = new Kvm(connection);
    const bucket = await kvm.open("gslb_test_config");
    await bucket.delete(`lock.${new TextEncoder().encode("web").toHex()}`);
    await lockAt(a, "cccccccc").take(null, 5_000, signal);
    await rejects(lockAt(a, "aaaaaaaa").take(null, 5_000, signal), BlockHeld);
    await (await kvm.open("gslb_test_config")).destroy();
    await connection.close();
    await isReady(a);
    await lockAt(a, "aaaaaaaa").take(null, 5_000, signal);

    // Without the server no node has a lock of its own; the API says why.
    await server.kill();
    const { json } = await until(() => lockOf(a), ({ status }) => status === 503);
    match(JSON.stringify(json), /one of the whole cluster, and can't be asked for now/);
  },
);

function placeAt(node: TestNode) {
  const records = new RestRecords({ api: new URL(node.api).origin, token: null, pool: "web", port: 443 });
  return { fqdn: FQDN, records, clock: systemClock };
}

async function lockOf(node: TestNode) {
  const { json } = await call(node, "GET", "/pools");
  const [pool] = Array.isArray(json) ? json : [];
  return await call(node, "GET", `/pools/${pool?.id ?? "0".repeat(32)}/lock`);
}

/** Until it has the pool, and its lock can be asked for. */
async function isReady(node: TestNode): Promise<void> {
  await until(() => lockOf(node), ({ status }) => status === 200);
}

function settingsOf(id: string, server: NatsServer): Settings {
  return {
    ...TEST_SETTINGS,
    cluster: { id: "test" },
    node: { ...TEST_SETTINGS.node, id },
    state: {
      ...TEST_SETTINGS.state,
      ...{ heartbeatInterval: 200, heartbeatTTL: 2_000 },
      nats: { ...TEST_SETTINGS.state.nats, servers: [server.url] },
    },
  };
}
