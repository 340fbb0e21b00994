/**
 * A simulated day of three agents, one of whose servers comes and goes; prints by how many MB the heap has grown. Run with
 * `--v8-flags=--expose-gc`.
 *
 * @module
 */
import { Simulation } from "../../agent/simulation.ts";

declare const gc: () => void;

await using simulation = new Simulation({ addresses: ["192.0.2.1", "192.0.2.2", "192.0.2.3"] });
const { down, clock, probed, records, lines } = simulation.world;

await hours(3);
const before = heap();
await hours(24);
console.log((heap() - before).toFixed(2));

async function hours(count: number): Promise<void> {
  for (let passed = 0; passed < count; passed++) {
    down.set("192.0.2.2", "connection refused");
    await clock.advance(1_800_000);
    down.clear();
    await clock.advance(1_800_000);
    for (const list of [probed, records.calls, lines]) list.length = 0;
  }
}

function heap(): number {
  gc();
  return Deno.memoryUsage().heapUsed / 1e6;
}
