/** @module A small part of `prove plan`: what a plan foretells of random models is what comes. */
import { deepEqual, ok } from "node:assert/strict";
import { comparePlans } from "../prove/plan.ts";

Deno.test("a plan lists what differs, foretells what is answered, and finds nothing to do when it is applied", async () => {
  const { faults, objects, different, alike } = await comparePlans({ first: 1, count: 60, clients: 20 });
  deepEqual(faults, []);
  ok(objects > 300 && different > 100 && alike > 5, `${objects} ${different} ${alike}`);
});
