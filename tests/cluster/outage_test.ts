/** @module Servers that come late, go, lose everything or stand still, and nodes that end without a word. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { jetstreamManager } from "@nats-io/jetstream";
import { NatsConnectionImpl } from "@nats-io/nats-core/internal";
import { useDenoTransport } from "../../src/nats/transport.ts";
import { Proxy } from "../nats/proxy.ts";
import { NatsServer } from "../nats/server.ts";
import { testWith } from "../programs.ts";
import { startPeer, TARGET, until } from "./nodes.ts";

const ADDRESS = "192.0.2.1";

testWith(
  ["nats-server"],
  "nodes find each other whenever a server is there, and say then what is true then",
  async () => {
    await using server = await NatsServer.prepared();
    await using a = startPeer("a", [server.url]);
    await using b = startPeer("b", [server.url]);
    a.say(ADDRESS, "unhealthy");
    await until(() => b.cluster.status().fault, (fault) => fault !== null);
    deepEqual(b.active(), ["b"]);
    await server.start();
    await until(() => b.heard(ADDRESS), ({ a }) => a === "unhealthy");

    await server.kill();
    await until(() => a.cluster.status().server, (connected) => connected === null);
    a.say(ADDRESS, "healthy");
    a.say(ADDRESS, "unhealthy");
    a.say(ADDRESS, "healthy");
    await until(() => b.active(), (active) => active.length === 1);
    deepEqual(b.heard(ADDRESS), {}, "of a node that isn't heard of nothing counts");
    await server.start();
    await until(() => b.heard(ADDRESS), ({ a }) => a === "healthy");
    const refusals = b.lines.filter((line) => line.includes("nothing listens there"));
    ok(refusals.length === 1 || refusals.length === 2, `once each time at most: ${refusals.length}`);
  },
);

testWith(
  ["nats-server"],
  "a server that has lost its store is filled again, and its watches are made again",
  async () => {
    await using server = await NatsServer.start();
    await using a = startPeer("a", [server.url]);
    await using b = startPeer("b", [server.url]);
    a.say(ADDRESS, "unhealthy");
    await until(() => b.heard(ADDRESS), ({ a }) => a === "unhealthy");
    await server.kill({ wipe: true });
    await server.start();
    await until(() => b.active(), (active) => active.length === 2);
    a.say(ADDRESS, "healthy");
    await until(() => b.heard(ADDRESS), ({ a }) => a === "healthy");
    // Whoever comes now has only the bucket to find it in: a says nothing more of it.
    await until(() => b.registry.expose(), (text) => /kv_get_total\{[^}]*result="ok"\} [1-9]/.test(text));
    await using c = startPeer("c", [server.url]);
    await until(() => c.heard(ADDRESS), ({ a }) => a === "healthy");
  },
);

testWith(
  ["nats-server"],
  "a bucket that is made again under connected nodes is filled again, and watched",
  async () => {
    await using server = await NatsServer.start();
    await using a = startPeer("a", [server.url]);
    await using b = startPeer("b", [server.url]);
    a.say(ADDRESS, "unhealthy");
    const got = ({ registry }: typeof b) =>
      Number(/kv_get_total\{[^}]*result="ok"\} (\d+)/.exec(registry.expose())?.[1] ?? 0);
    await until(() => got(b), (count) => count > 0);
    useDenoTransport();
    const connection = await NatsConnectionImpl.connect({ servers: [server.url] });
    const manager = await jetstreamManager(connection);
    const { config } = await manager.streams.info("KV_gslb_test_health");
    await manager.streams.delete(config.name);
    await manager.streams.add(config);
    // What is in it now was written again; and what is delivered now comes by another watch, since a says nothing more.
    const before = got(b);
    await until(() => got(b), (count) => count > before);
    await connection.close();
    await using c = startPeer("c", [server.url]);
    await until(() => c.heard(ADDRESS), ({ a }) => a === "unhealthy");
    await until(() => a.cluster.status().storeFault, (fault) => fault === null);
  },
);

testWith(
  ["nats-server"],
  "who was cut off counts again by what is true then, never by what was before",
  async () => {
    await using server = await NatsServer.start();
    await using proxy = new Proxy(Number(new URL(server.url).port));
    await using a = startPeer("a", [proxy.url]);
    await using b = startPeer("b", [server.url]);
    // As many as are read in several slices, the one that is looked at last.
    const others = Array.from({ length: 4_000 }, (_, index) => `10.0.${index >> 8}.${index & 255}`);
    const say = (state: "healthy" | "unhealthy") =>
      a.local.say([...others, ADDRESS].map((address) => ({ address, target: TARGET, state, since: 0 })));
    say("unhealthy");
    await until(() => b.heard(ADDRESS), ({ a }) => a === "unhealthy");
    proxy.become({ kind: "cut" });
    await until(() => b.active(), (active) => active.length === 1);
    say("healthy");
    const counted = new Set<string>();
    using _hearing = b.view.subscribe(() => counted.add(b.heard(ADDRESS)["a"] ?? "none"));
    proxy.become({ kind: "fair" });
    await until(() => b.heard(ADDRESS), ({ a }) => a === "healthy");
    deepEqual([...counted].filter((state) => state !== "none"), ["healthy"]);
  },
);

testWith(["nats-server"], "a server that stands still is given up within the time to live", async () => {
  await using still = await NatsServer.start();
  await using a = startPeer("a", [still.url]);
  await until(() => a.cluster.status().server, (server) => server !== null);
  still.signal("SIGSTOP");
  await until(() => a.cluster.status().server, (server) => server === null);
  still.signal("SIGCONT");
  await until(() => a.cluster.status().server, (server) => server !== null);
});

testWith(["nats-server"], "a node that starts again doesn't count by what it found before", async () => {
  await using server = await NatsServer.start();
  await using a = startPeer("a", [server.url]);
  {
    await using b = startPeer("b", [server.url]);
    b.say(ADDRESS, "unhealthy");
    await until(() => a.heard(ADDRESS), ({ b }) => b === "unhealthy");
  }
  await until(() => a.active(), (active) => active.length === 1);
  deepEqual(a.heard(ADDRESS), {});
  await using b = startPeer("b", [server.url]);
  await until(() => a.active(), (active) => active.length === 2);
  deepEqual(a.heard(ADDRESS), {}, "the key of its last run is still there");
  b.say(ADDRESS, "healthy");
  await until(() => a.heard(ADDRESS), ({ b }) => b === "healthy");
});

testWith(["nats-server"], "a server without JetStream carries events, and says what it lacks", async () => {
  await using server = await NatsServer.start({ jetStream: false });
  await using a = startPeer("a", [server.url]);
  a.say(ADDRESS, "unhealthy");
  await using b = startPeer("b", [server.url]);
  await until(() => b.heard(ADDRESS), ({ a }) => a === "unhealthy");
  await until(() => a.cluster.status().storeFault, (fault) => fault !== null);
  match(a.cluster.status().storeFault!, /: the server offers no JetStream here/);
  equal(a.cluster.status().fault, null);
});

testWith(["nats-server"], "two processes with one id are told of, by both", async () => {
  await using server = await NatsServer.start();
  await using first = startPeer("a", [server.url]);
  await using second = startPeer("a", [server.url]);
  for (const { cluster, lines } of [first, second]) {
    await until(() => cluster.status().isIdTaken, (isTaken) => isTaken);
    equal(lines.filter((line) => line.includes("has this node's id")).length, 1);
  }
});
