/**
 * A short run of `prove events`; what a slow listener gets needs the long one.
 *
 * @module
 */
import { deepEqual, ok } from "node:assert/strict";
import { listenToAll } from "../prove/events.ts";

for (const middle of ["restarted", "replaced"] as const) {
  Deno.test(`each of many listeners is told of everything, though it leaves and the node is ${middle}`, async () => {
    const { faults, returns } = await listenToAll({ listeners: 10, events: 100, unread: 0, middle });
    deepEqual(faults, []);
    ok(returns >= 10, `came back ${returns} times`);
  });
}
