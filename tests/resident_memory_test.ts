/**
 * What is taken for a leak, and what isn't: series as real processes draw them.
 *
 * @module
 */
import assert from "node:assert/strict";
import { EXTENSIONS_MAX, flatness, SAMPLES } from "./resident_memory.ts";

const MEBIBYTE = 2 ** 20;

/** A process left to itself: 150 MiB when it is warm, 40 MiB less after a collection, and back within some samples. */
function collected(index: number): number {
  const warming = Math.min(1, 0.7 + index / SAMPLES);
  const dip = Math.max(0, 40 - 5 * (index % 16));
  return (150 * warming - dip) * MEBIBYTE;
}

function run(length: number, more: (index: number) => number = () => 0): number[] {
  return Array.from({ length }, (_, index) => collected(index) + more(index));
}

Deno.test("a process that warms up, collects and keeps nothing is flat", () => {
  assert(flatness(run(SAMPLES)).isFlat);
});

Deno.test("collections that come twice as often in the end are no leak, and hide none", () => {
  const often = (index: number) => index > SAMPLES * 0.75 && index % 8 < 4 ? -40 * MEBIBYTE : 0;
  assert(flatness(run(SAMPLES, often)).isFlat);
  assert(!flatness(run(SAMPLES, (index) => often(index) + index * 25 * 4096)).isFlat);
});

Deno.test("4 KiB kept in each of 25 reloads a sample are a leak", () => {
  assert(!flatness(run(SAMPLES, (index) => index * 25 * 4096)).isFlat);
});

Deno.test("a leak of a third of that is seen when the run goes on as often as it may", () => {
  const leak = (index: number) => index * 25 * 1365;
  assert(!flatness(run(SAMPLES << EXTENSIONS_MAX, leak)).isFlat);
});

Deno.test("a step in the last quarter isn't flat, but is when the run goes on", () => {
  const step = (index: number) => index > SAMPLES * 0.8 ? 15 * MEBIBYTE : 0;
  assert(!flatness(run(SAMPLES, step)).isFlat);
  assert(flatness(run(SAMPLES * 2, step)).isFlat);
});

Deno.test("memory that falls is flat", () => {
  assert(flatness(run(SAMPLES, (index) => -index * 100_000)).isFlat);
});
