/** @module So many at a time, in the order of coming. */
import { deepEqual, equal, rejects } from "node:assert/strict";
import { Turns } from "../src/turns.ts";

/** Lets what waits for nothing but others' turns go on. */
async function goOn(): Promise<void> {
  for (let i = 0; i < 10; i++) await null;
}

Deno.test("a turn is handed on to the one that waits longest, and one that comes just then waits behind it", async () => {
  const turns = new Turns(2);
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const come = (name: string) =>
    turns.take(() => {
      begun.push(name);
      return new Promise<string>((resolve) => ends.set(name, () => resolve(name)));
    });
  const all = ["a", "b", "c", "d"].map(come);
  await goOn();
  deepEqual([begun, turns.waiting], [["a", "b"], 2]);
  ends.get("a")!();
  // At every moment between the end of the one and the beginning of the next.
  const late = [];
  for (let i = 0; i < 6; i++) {
    late.push(come(`late ${i}`));
    await null;
  }
  await goOn();
  deepEqual(begun, ["a", "b", "c"]);
  while (begun.length < all.length + late.length) {
    for (const end of ends.values()) end();
    await goOn();
  }
  deepEqual(begun, ["a", "b", "c", "d", ...late.map((_, i) => `late ${i}`)]);
  deepEqual(await Promise.all(all), ["a", "b", "c", "d"]);
});

Deno.test("a turn ends with an action that fails, and is there again when all have ended", async () => {
  const turns = new Turns(1);
  const [first, second] = [
    turns.take(() => Promise.reject(new Error("no"))),
    turns.take(() => Promise.resolve(2)),
  ];
  await rejects(first, { message: "no" });
  equal(await second, 2);
  equal(turns.waiting, 0);
  equal(await turns.take(() => Promise.resolve(3)), 3);
});
