/**
 * A snapshot in which the look-up of a name never ends: whichever worker is asked for one hangs for good, as only a
 * fault of ours could make it.
 *
 * @module
 */
import type { Snapshot } from "../../src/snapshot/view.ts";

/** Names in the table; a power of two. */
const NAMES = 16;

/** The same but for its table of names, which has no empty slot, and none that any name would have. */
export function endless({ epoch, ...buffers }: Snapshot): Snapshot {
  const names = new SharedArrayBuffer(NAMES * 2 * 4);
  new Int32Array(names).fill(1);
  return { ...buffers, epoch: epoch + 1, names };
}
