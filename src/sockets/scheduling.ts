/**
 * Who comes first where processors are short.
 *
 * Linux keeps the niceness of `nice(2)` for each thread, and the length of its slices. How much of a processor a thread gets is
 * a matter of niceness; how long it waits for its part is one of slices: since Linux 6.12 a thread that wakes up and asks for
 * shorter ones goes before a running one at once, where it would otherwise wait until that one has used up its milliseconds.
 *
 * @module
 */
import { openLibc } from "../libc.ts";

/**
 * Makes the calling thread nicer. Does nothing where that can't be had: without glibc, or where a sandbox forbids it.
 *
 * @param steps 1–19; of a processor that another thread wants, too, one that is 10 steps nicer gets about a tenth,
 *   one that is 19 steps nicer 1.4 %; less than 0: it goes before others instead, where the process may
 */
export function giveWay(steps: number): void {
  if (Deno.build.os !== "linux") return;
  try {
    const libc = openLibc({ nice: { parameters: ["i32"], result: "i32" } });
    libc.symbols.nice(steps);
    libc.close();
  } catch {
    // Another C library: all threads are equals then.
  }
}

/**
 * Has the calling thread wait less for its part of a processor, and use it in smaller pieces. Does nothing where that can't be
 * had: on other systems, other processors, or in a sandbox that forbids it; before Linux 6.12 it has no effect.
 *
 * @param ns length of a slice, 100,000 to 100,000,000; the system's own are some milliseconds
 */
export function takeShortSlices(ns: number): void {
  const numbers = SYSCALLS[Deno.build.arch];
  if (Deno.build.os !== "linux") return;
  try {
    const libc = openLibc({
      syscall: { parameters: ["i32", "i32", "buffer", "u32", "u32"], result: "i64" },
    });
    const attributes = new Uint8Array(ATTRIBUTES_SIZE);
    // All else stays as it is: the system takes the whole of it, niceness and policy included.
    if (Number(libc.symbols.syscall(numbers.get, 0, attributes, ATTRIBUTES_SIZE, 0)) === 0) {
      const view = new DataView(attributes.buffer);
      view.setBigUint64(FLAGS_AT, view.getBigUint64(FLAGS_AT, true) | RESET_ON_FORK, true);
      view.setBigUint64(RUNTIME_AT, BigInt(ns), true);
      libc.symbols.syscall(numbers.set, 0, attributes, 0, 0);
    }
    libc.close();
  } catch {
    // Another C library: the system's slices are as good.
  }
}

/** `sched_setattr(2)` and `sched_getattr(2)`, for which older C libraries have no name. */
const SYSCALLS = { x86_64: { set: 314, get: 315 }, aarch64: { set: 274, get: 275 } } as const;
/** Size of `struct sched_attr`, and where in it `sched_flags` and `sched_runtime` stand: of a thread with no deadlines, its slice. */
const ATTRIBUTES_SIZE = 56;
const FLAGS_AT = 8;
const RUNTIME_AT = 24;
/** Threads that this one makes, which the runtime does, are as all others. */
const RESET_ON_FORK = 1n;
