/**
 * How long a process's main thread waited for a processor, as Linux counts it (`schedstat` of `proc_pid(5)`): where two
 * processors are shared by five nodes, a server and those who measure, that is what the others took, not what the node did.
 *
 * @module
 */
import { nowMs } from "../stall/process.ts";

/** Milliseconds since the process began in which its main thread could have run; 0 where the system doesn't say. */
export function waitedMs(pid: number): number {
  return processorOf(pid).waitedMs;
}

/** The same, and for how long it ran. */
export function processorOf(pid: number): { readonly ranMs: number; readonly waitedMs: number } {
  try {
    const [ran, waited] = Deno.readTextFileSync(`/proc/${pid}/schedstat`).split(" ");
    return { ranMs: Number(ran) / 1e6, waitedMs: Number(waited) / 1e6 };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { ranMs: 0, waitedMs: 0 };
    throw error;
  }
}

/** Milliseconds that all threads of a process ran; 0 where the system doesn't say. */
export function processorMs(pid: number): number {
  try {
    const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).replace(/^.*\) /, "").split(" ");
    return (Number(fields[11]) + Number(fields[12])) * 1_000 / TICKS_PER_SECOND;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

/** Of what `proc_pid_stat(5)` counts in, on every Linux that Deno runs on. */
const TICKS_PER_SECOND = 100;

/** Between two looks. */
const LOOK_MS = 5;

/** Follows what the main thread of a process waits, until it is disposed of. */
export class Waits implements Disposable {
  readonly #looks: { readonly atMs: number; readonly waitedMs: number }[] = [];
  readonly #looking: ReturnType<typeof setInterval>;

  /** Begins. */
  constructor(pid: number) {
    this.#looking = setInterval(
      () => void this.#looks.push({ atMs: nowMs(), waitedMs: waitedMs(pid) }),
      LOOK_MS,
    );
  }

  /** How long it waited between two moments, milliseconds since 1970; at least so long, and never longer than they are apart. */
  between(fromMs: number, toMs: number): number {
    const within = this.#looks.filter(({ atMs }) => atMs >= fromMs && atMs <= toMs);
    return Math.min(toMs - fromMs, (within.at(-1)?.waitedMs ?? 0) - (within[0]?.waitedMs ?? 0));
  }

  [Symbol.dispose](): void {
    clearInterval(this.#looking);
  }
}
