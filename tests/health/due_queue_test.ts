/**
 * The queue against a sorted list, over random operations.
 *
 * @module
 */
import assert from "node:assert/strict";
import { seededRng } from "../../src/clock.ts";
import { type Due, DueQueue } from "../../src/health/due_queue.ts";

Deno.test("DueQueue gives what a sorted list gives, whatever is put, moved and removed", () => {
  const rng = seededRng(7);
  const queue = new DueQueue<Due>();
  const entries: Due[] = Array.from({ length: 200 }, () => ({ dueMs: 0, heapIndex: -1 }));
  const model = new Set<Due>();
  for (let step = 0; step < 20_000; step++) {
    const entry = entries[rng() % entries.length]!;
    if (rng() % 3 === 0) {
      queue.remove(entry);
      model.delete(entry);
    } else {
      queue.put(entry, rng() % 1000);
      model.add(entry);
    }
    assert.equal(queue.size, model.size);
    assert.equal(queue.peek()?.dueMs, earliest(model));
  }
});

Deno.test("DueQueue gives its entries in the order of time", () => {
  const queue = new DueQueue<Due>();
  for (const dueMs of [5, 3, 9, 1, 7, 3]) queue.put({ dueMs: 0, heapIndex: -1 }, dueMs);
  const order: number[] = [];
  for (let entry = queue.peek(); entry; entry = queue.peek()) {
    order.push(entry.dueMs);
    queue.remove(entry);
  }
  assert.deepEqual(order, [1, 3, 3, 5, 7, 9]);
});

function earliest(entries: ReadonlySet<Due>): number | undefined {
  return entries.size === 0 ? undefined : Math.min(...[...entries].map((entry) => entry.dueMs));
}
