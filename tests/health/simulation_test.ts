/**
 * A quarter of an hour of each of a few clusters, simulated; `deno task prove health_simulation` is the long run, and puts
 * deliberate faults into the program, which it must find out.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { simulate } from "../prove/health_simulation.ts";
import { MUTANTS } from "../prove/health_simulation/mutants.ts";
import { SimulatedWorld } from "../prove/health_simulation/world.ts";

Deno.test("nodes answer what their policy makes of what they find, through faults of any kind", async () => {
  equal(await simulate([1, 2, 3, 4, 5], 900_000), true);
});

Deno.test("a seed gives the same simulation again", async () => {
  const traceOf = async () => {
    const world = new SimulatedWorld(7);
    await world.run(600_000);
    return [world.checks, world.trace];
  };
  deepEqual(await traceOf(), await traceOf());
});

Deno.test("every deliberate fault has its place in the program", () => {
  ok(MUTANTS.length >= 10);
  for (const { name, file, from } of MUTANTS) {
    const text = Deno.readTextFileSync(new URL(`../../${file}`, import.meta.url));
    equal(text.split(from).length, 2, name);
  }
});
