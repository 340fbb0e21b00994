/**
 * A short run of `prove events`; what a slow listener gets needs the long one.
 *
 * @module
 */
import { deepEqual, ok } from "node:assert/strict";
import { listenToAll } from "../prove/events.ts";

Deno.test("each of many listeners is told of everything, though it leaves and the node is started again", async () => {
  const { faults, returns } = await listenToAll({ listeners: 20, events: 200, unread: 0 });
  deepEqual(faults, []);
  ok(returns >= 20, `came back ${returns} times`);
});
