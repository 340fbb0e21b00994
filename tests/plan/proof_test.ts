/** @module A small part of `prove plan`: what a plan foretells of random models is what comes. */
import { deepEqual, ok } from "node:assert/strict";
import { runs } from "../property_runs.ts";
import { comparePlans } from "../prove/plan.ts";

Deno.test("a plan lists what differs, foretells what is answered, and finds nothing to do when it is applied", async () => {
  const { faults, objects, different, alike } = await comparePlans({
    first: 1,
    count: runs(10),
    clients: 20,
  });
  deepEqual(faults, []);
  ok(objects > runs(50) && different > runs(15) && alike > 0, `${objects} ${different} ${alike}`);
});
