/** @module Whole nodes that share what they find: the long runs of `tests/prove/`, in short. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { TestAuthority } from "../health/certificates.ts";
import { NatsServer } from "../nats/server.ts";
import { testWith } from "../programs.ts";
import { Member } from "../prove/partition/member.ts";
import { faultsOf, partitions, SHORT } from "../prove/partition.ts";
import { changesSpread, declare, SERVICE, sharingNode } from "../prove/spread.ts";
import { askFor, call, startTestNode, TEST_SETTINGS, until, WITHOUT_LOG } from "../test_node.ts";

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
    // The one that is seen by isn't given up for being slow a time or two.
    const patient = { intervalMs: 500, timeoutMs: 500, fall: 3 };
    for (const node of [a, b]) await declare(node, member.port, patient);
    const isAnswered = async () => (await askFor(b, SERVICE)).includes("127.0.0.1");
    // Before it has found anything it answers the member as well: what counts is that it finds it down, and `a` up.
    const goesByPeers = async () => {
      const { json } = await call(b, "GET", "/status");
      return (json as { readonly peers: { readonly differing: number } }).peers.differing === 1;
    };
    await until(goesByPeers, (does) => does);
    const [pool] = (await call(b, "GET", "/pools")).json as { readonly id: string }[];
    for (const intervalMs of [1_000, 400, 30_000]) {
      const check = { type: "https", port: member.port, intervalMs, timeoutMs: 200, rise: 1, fall: 1 };
      equal((await call(b, "PUT", `/pools/${pool!.id}/health-check`, check)).status, 200);
      await b.node.settled(b.node.store.generation());
      do ok(await isAnswered()); while (!await goesByPeers());
      ok(await isAnswered());
    }
    // And a change of it comes as ever.
    await member.turn(false);
    await until(isAnswered, (is) => !is);
  },
);

testWith(["nats-server"], "to begin or to leave a cluster takes a restart, which is said", async () => {
  await using server = await NatsServer.start();
  const settingsOf = (servers: readonly string[]) => {
    const { state } = TEST_SETTINGS;
    return { ...TEST_SETTINGS, state: { ...state, nats: { ...state.nats, servers } } };
  };
  for (
    const [before, after, said] of [
      [[], [server.url], "The node joins a cluster at the next start"],
      [[server.url], [], "The node leaves its cluster at the next start: state.nats.servers is empty"],
    ] as const
  ) {
    await using node = await startTestNode(settingsOf(before));
    const isInCluster = async () => (await call(node, "GET", "/status")).json as { readonly nats?: object };
    const was = (await isInCluster()).nats !== undefined;
    await node.node.use(settingsOf(after));
    equal(node.lines.filter((line) => line.includes(said)).length, 1);
    equal((await isInCluster()).nats !== undefined, was);
    equal(was, before.length > 0);
  }
});
