/** @module Nodes that tell each other of themselves, over a real server. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { freePort } from "../free_port.ts";
import { NatsServer } from "../nats/server.ts";
import { testWith } from "../programs.ts";
import { NO_AUTH, startPeer, until } from "./nodes.ts";

testWith(["nats-server"], "what a node finds is known to another", async () => {
  await using server = await NatsServer.start();
  await using a = startPeer("a", [server.url]);
  await using b = startPeer("b", [server.url], { region: "fra" });
  await until(() => a.active(), (active) => active.length === 2);
  a.say("192.0.2.1", "unhealthy");
  await until(() => b.heard("192.0.2.1"), ({ a }) => a === "unhealthy");
  a.say("192.0.2.1", "healthy");
  await until(() => b.heard("192.0.2.1"), ({ a }) => a === "healthy");
  await using c = startPeer("c", [server.url]);
  await until(() => c.heard("192.0.2.1"), ({ a }) => a === "healthy");
  ok(c.lines.length > 0);
  equal(a.view.active().find(({ node }) => node === "b")!.region, "fra");
  deepEqual(a.heard("192.0.2.1"), {});
});

testWith(["nats-server"], "nodes behind a leaf node share by the domain of the hub", async () => {
  const port = freePort();
  await using hub = await NatsServer.start({
    jetStream: { domain: "hub" },
    config: `leafnodes { listen: "127.0.0.1:${port}" }\n`,
  });
  await using leaf = await NatsServer.start({
    jetStream: false,
    config: `leafnodes { remotes: [{ url: "nats://127.0.0.1:${port}" }] }\n`,
  });
  await using a = startPeer("a", [leaf.url], { domain: "hub" });
  a.say("192.0.2.1", "unhealthy");
  await until(() => a.registry.expose(), (text) => /bucket="health",result="ok"\} [1-9]/.test(text));
  await using b = startPeer("b", [hub.url]);
  await until(() => b.heard("192.0.2.1"), ({ a }) => a === "unhealthy");
  await using c = startPeer("c", [leaf.url], { domain: "elsewhere" });
  await until(() => c.cluster.status().storeFault, (fault) => fault !== null);
  match(c.cluster.status().storeFault!, /offers no JetStream here \(.*see state\.nats\.jetStream\.domain\)/);
});

testWith(["nats-server"], "a node connects again by other servers and credentials, and goes on", async () => {
  const config = "authorization { users: [{ user: a, password: one }, { user: b, password: two }] }\n";
  await using server = await NatsServer.start({ config });
  const by = (user: string, password: string) => ({ auth: { ...NO_AUTH, user, password } });
  const tls = { ca: null, client: null, handshakeFirst: false };
  await using a = startPeer("a", [server.url], { link: by("a", "one") });
  await using b = startPeer("b", ["nats://127.0.0.1:1"], { link: by("b", "old") });
  a.say("192.0.2.1", "unhealthy");
  await until(() => b.cluster.status().fault ?? "", (fault) => /nothing listens there/.test(fault));
  b.cluster.use({ servers: [server.url], tls, ...by("b", "old") });
  await until(() => b.cluster.status().fault ?? "", (fault) => /refuses the credentials/.test(fault));
  b.cluster.use({ servers: [server.url], tls, ...by("b", "two") });
  await until(() => b.heard("192.0.2.1"), ({ a }) => a === "unhealthy");
  a.cluster.use({ servers: [server.url], tls, ...by("a", "one") });
  a.cluster.use({ servers: [server.url], tls, ...by("b", "two") });
  a.say("192.0.2.1", "healthy");
  await until(() => b.heard("192.0.2.1"), ({ a }) => a === "healthy");
  equal(a.lines.filter((line) => line.includes("is made again, by other settings")).length, 1);
});

testWith(
  ["nats-server"],
  "a node whose heartbeats come too seldom for another one is told of, once",
  async () => {
    await using server = await NatsServer.start();
    await using a = startPeer("a", [server.url], { heartbeatIntervalMs: 100, heartbeatTtlMs: 1_000 });
    await using b = startPeer("b", [server.url], { heartbeatIntervalMs: 1_500, heartbeatTtlMs: 30_000 });
    const told = () =>
      a.lines.filter((line) => line.includes("come less often than this node waits for them"));
    await until(told, ({ length }) => length === 1);
    match(told()[0]!, /"node":"b".*"intervalMs":1500,"heartbeatTtlMs":1000/);
    await until(
      () => b.registry.expose(),
      (text) => /published_total\{[^}]*type="heartbeat"\} [3-9]/.test(text),
    );
    equal(told().length, 1);
  },
);
