/**
 * A process whose main thread hangs for a while and comes back, with a fleet that sees it.
 *
 * @module
 */
import { Loopback } from "./loopback.ts";

const patience = { lookMs: 20, quietMs: 500, hungMs: 500, deafMs: 500 };
await using _node = await Loopback.start({}, { patience, mainPatience: patience });
const HANG_MS = 2_500;
// Not a loop, which would take its processor from what else is tested.
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, HANG_MS);
// Time is the subject: the worker has to see that the thread turns again.
await new Promise((resolve) => setTimeout(resolve, HANG_MS / 2));
