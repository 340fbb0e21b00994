/** @module Nodes that tell each other of themselves, over a real server. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { NatsServer } from "../nats/server.ts";
import { testWith } from "../programs.ts";
import { startPeer, until } from "./nodes.ts";

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
