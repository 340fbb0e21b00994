/** @module Whole nodes that share what they find: the long runs of `tests/prove/`, in short. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { TestAuthority } from "../health/certificates.ts";
import { NatsServer } from "../nats/server.ts";
import { testWith } from "../programs.ts";
import { Member } from "../prove/partition/member.ts";
import { faultsOf, partitions, SHORT } from "../prove/partition.ts";
import { changesSpread, declare, SERVICE, sharingNode } from "../prove/spread.ts";
import { askFor, call, until, WITHOUT_LOG } from "../test_node.ts";

testWith(["nats-server"], "what one node finds is in another one's answers at once", async () => {
  const took = await changesSpread(4);
  equal(took.length, 4);
  // Its own next look is an hour away; how soon it is to the millisecond is the long run's matter.
  ok(took.every((ms) => ms < 60_000), `${took} ms`);
});

testWith(
  ["nats-server"],
  "nodes answer while a server is gone and has lost its store, and agree soon after",
  async () => {
    const [row] = await partitions(SHORT, ["wiped"]);
    // Too short for `b` to go by itself; within how many seconds they agree is for the long run on a quiet machine.
    deepEqual(faultsOf({ ...row!, meanwhile: "own", convergedMs: 0, agreedMs: 0 }), []);
    ok(row!.seen.asked > 10 && row!.edits > 0);
  },
);

testWith(
  ["nats-server"],
  "where an interval is edited on one node alone, what the others report goes on counting there",
  async () => {
    const authority = await TestAuthority.create("edited");
    await using server = await NatsServer.start();
    await using member = new Member(await authority.issue({ ipAddresses: ["127.0.0.1"] }));
    await member.turn(true);
    // Each has a model of its own, as where one node hears of a change later than the other.
    await using a = await sharingNode("a", server.url, { caCerts: [authority.cert], parts: WITHOUT_LOG });
    await using b = await sharingNode("b", server.url, { caCerts: [], parts: WITHOUT_LOG });
    for (const node of [a, b]) await declare(node, member.port);
    const isAnswered = async () => (await askFor(b, SERVICE)).includes("127.0.0.1");
    await until(isAnswered, (is) => is);
    const [pool] = (await call(b, "GET", "/pools")).json as { readonly id: string }[];
    for (const intervalMs of [1_000, 400, 30_000]) {
      const check = { type: "https", port: member.port, intervalMs, timeoutMs: 200, rise: 1, fall: 1 };
      equal((await call(b, "PUT", `/pools/${pool!.id}/health-check`, check)).status, 200);
      await b.node.settled(b.node.store.generation());
      for (let i = 0; i < 10; i++) ok(await isAnswered());
    }
    // And a change of it comes as ever.
    await member.turn(false);
    await until(isAnswered, (is) => !is);
  },
);
