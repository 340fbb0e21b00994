/** @module Turns of the event loop in the main thread of a node. */
import { ok } from "node:assert/strict";
import { turnWithSockets } from "../../src/sockets/socket_clock.ts";
import { turnsUntilConnected } from "../sockets/connecting.ts";
import { startTestNode, until } from "../test_node.ts";

/** Fewer than tokio's scheduler takes by itself, 61 tasks. */
const TURNS_MAX = 10;

Deno.test("in a node's thread sockets are looked at in each turn", async () => {
  await using _node = await startTestNode();
  await until(() => turnsUntilConnected(turnWithSockets), (turns) => turns <= 2);
  for (let time = 0; time < 5; time++) {
    const turns = await turnsUntilConnected(turnWithSockets);
    ok(turns <= TURNS_MAX, `${turns} turns`);
  }
});
