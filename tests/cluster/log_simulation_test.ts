/** @module Never older, never empty, and in the end the same: random lives of three nodes; `deno task prove log` has more. */
import { simulate } from "./log_world.ts";

Deno.test("whatever goes wrong, no node goes back, no live name is empty, and all agree in the end", async () => {
  for (let seed = 1; seed <= 5; seed++) await simulate(seed);
});
