/** @module Which nodes are there, by their heartbeats. */
import { deepEqual, equal } from "node:assert/strict";
import { type Heard, Membership, NODES_MAX } from "../../src/cluster/membership.ts";
import type { Heartbeat } from "../../src/cluster/wire_format.ts";

const TTL_MS = 30_000;

function membership() {
  const nodes = new Membership(TTL_MS);
  return {
    nodes,
    hear: (node: string, boot: string, seq: number, atMs: number, kind: Heartbeat["kind"] = "alive"): Heard =>
      nodes.hear(node, { boot, seq, region: "", intervalMs: 10_000, kind }, atMs),
    there: () => [...nodes.nodes()].map(({ node, boot }) => `${node} ${boot}`),
  };
}

Deno.test("a node is there from its first heartbeat until it is silent for longer than the time to live", () => {
  const { nodes, hear, there } = membership();
  equal(hear("b", "b1", 1, 1_000), "changed");
  equal(hear("b", "b1", 2, 11_000), "alive");
  equal(nodes.nextExpiryMs(), 11_000 + TTL_MS);
  deepEqual(nodes.expire(11_000 + TTL_MS), []);
  deepEqual(there(), ["b b1"]);
  deepEqual(nodes.expire(11_001 + TTL_MS), ["b"]);
  deepEqual([there(), nodes.bootOf("b"), nodes.nextExpiryMs()], [[], null, Infinity]);
});

Deno.test("repeated and late heartbeats keep no node alive", () => {
  const { nodes, hear } = membership();
  hear("b", "b1", 5, 0);
  equal(hear("b", "b1", 5, 20_000), "ignored");
  equal(hear("b", "b1", 4, 20_000), "ignored");
  deepEqual(nodes.expire(TTL_MS + 1), ["b"]);
});

Deno.test("a node that starts again replaces itself, and what is late of its last run brings that back never", () => {
  const { hear, there, nodes } = membership();
  hear("b", "b1", 7, 0);
  equal(hear("b", "b2", 1, 1_000), "changed");
  equal(hear("b", "b1", 8, 2_000), "ignored");
  deepEqual(there(), ["b b2"]);
  equal(nodes.bootOf("b"), "b2");
});

Deno.test("of two processes with one id the second counts, until it is silent", () => {
  const { hear, there, nodes } = membership();
  hear("b", "b1", 1, 0);
  hear("b", "b2", 1, 1_000);
  for (let atMs = 2_000; atMs < 20_000; atMs += 1_000) hear("b", "b1", atMs, atMs);
  deepEqual(nodes.expire(1_001 + TTL_MS), ["b"]);
  equal(hear("b", "b1", 20_001, 1_002 + TTL_MS), "changed");
  deepEqual(there(), ["b b1"]);
});

Deno.test("a process that was replaced may come back when it was silent for the time to live", () => {
  const { hear, there, nodes } = membership();
  hear("b", "b1", 1, 0);
  hear("b", "b2", 1, 0);
  for (let seq = 2; seq < 8; seq++) hear("b", "b2", seq, seq * 10_000);
  nodes.expire(70_001);
  equal(hear("b", "b1", 2, 70_002), "changed");
  deepEqual(there(), ["b b1"]);
});

Deno.test("a goodbye ends a node at once, and a heartbeat from before it changes nothing", () => {
  const { hear, there, nodes } = membership();
  hear("b", "b1", 1, 0);
  equal(hear("b", "b1", 3, 1_000, "bye"), "changed");
  deepEqual([there(), nodes.bootOf("b")], [[], null]);
  equal(hear("b", "b1", 2, 1_001), "ignored");
  deepEqual(there(), []);
  equal(hear("b", "b2", 1, 2_000, "hello"), "changed");
  deepEqual(there(), ["b b2"]);
});

Deno.test("a goodbye of a node that isn't known is no news, and neither is its silence after one", () => {
  const { hear, nodes } = membership();
  equal(hear("c", "c1", 1, 0, "bye"), "ignored");
  hear("b", "b1", 1, 0);
  hear("b", "b1", 2, 0, "bye");
  deepEqual(nodes.expire(TTL_MS * 2), []);
});

Deno.test("time in which this node couldn't listen counts for no node", () => {
  const { hear, nodes } = membership();
  hear("b", "b1", 1, 0);
  nodes.grant(60_000);
  deepEqual(nodes.expire(80_000), []);
  deepEqual(nodes.expire(90_001), ["b"]);
});

Deno.test("more nodes than a cluster has aren't taken in", () => {
  const { hear, there } = membership();
  for (let i = 0; i < NODES_MAX + 10; i++) hear(`n${i}`, "aa", 1, 0);
  equal(there().length, NODES_MAX);
  equal(hear("n1", "aa", 2, 1), "alive");
});
