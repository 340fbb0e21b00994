/**
 * Snapshots that no worker bears, as only a fault of ours could make them: one in which the look-up of a name never ends,
 * so that whichever worker is asked for one hangs for good, and one that can't be opened.
 *
 * @module
 */
import assert from "node:assert/strict";
import { MAGIC, ROOT } from "../../src/snapshot/layout.ts";
import type { Snapshot } from "../../src/snapshot/view.ts";

/**
 * Whether this run time ends a thread that hangs when it is told to terminate it. Deno 2.9.6 leaves such a thread running, with
 * its sockets, so that nobody else gets its addresses.
 */
export const ENDS_HUNG_THREADS = Deno.version.deno.localeCompare("2.9.0", "en", { numeric: true }) < 0;

/** Names in the table; a power of two. */
const NAMES = 16;

/** The same but for its table of names, which has no empty slot, and none that any name would have. */
export function endless({ epoch, ...buffers }: Snapshot): Snapshot {
  const names = new SharedArrayBuffer(NAMES * 2 * 4);
  new Int32Array(names).fill(1);
  return { ...buffers, epoch: epoch + 1, names };
}

/** What no worker survives: opening it throws. */
export function fatal({ epoch, ...buffers }: Snapshot): Snapshot {
  const records = new SharedArrayBuffer(ROOT.end * 4);
  assert.notEqual(new Uint32Array(records)[ROOT.magic], MAGIC);
  return { ...buffers, epoch: epoch + 1, records };
}
