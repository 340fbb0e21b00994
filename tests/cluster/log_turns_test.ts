/** @module Who publishes next on the cluster's log. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { LogTurns } from "../../src/cluster/log_turns.ts";

Deno.test("the node whose last entry is the oldest publishes next, and each of the others a step later", () => {
  let nowMs = 1_000;
  const clock = { monotonicMs: () => nowMs };
  const nodes = ["a", "b", "c"].map((node) => new LogTurns({ node, clock }));
  const waits = () => nodes.map((turns) => turns.waitMs());
  deepEqual(waits(), [0, 0, 0]);
  for (const node of ["a", "b"]) {
    for (const turns of nodes) turns.published(node);
    nowMs += 3;
  }
  const [first, second, other] = waits();
  deepEqual([first, other], [0, 0]);
  ok(second! > 0);
  // What the server refused is heard, too: it is waited for, before those that had their turn, and longer than they are.
  for (const turns of nodes) turns.wants("c");
  const [a, b, c] = waits();
  equal(c, 0);
  ok(0 < a! && a! < b!);
  ok(a! > 2 * (b! - a!));
  for (const turns of nodes) turns.published("c");
  equal(nodes[0]!.waitMs(), 0);
  ok(nodes[1]!.waitMs() < nodes[2]!.waitMs());
  nowMs += 1_001;
  deepEqual(waits(), [0, 0, 0]);
});
