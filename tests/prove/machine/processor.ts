/**
 * How long a process's main thread waited for a processor, as Linux counts it (`schedstat` of `proc_pid(5)`): where two
 * processors are shared by five nodes, a server and those who measure, that is what the others took, not what the node did.
 *
 * @module
 */
import { getPriority, setPriority } from "node:os";
import { nowMs } from "../stall/process.ts";
import type { Standstills } from "./standstills.ts";

/** What a process's main thread has had of the processors so far; zeros where the system doesn't say. */
export interface ProcessorLook {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  /** For how long it ran, milliseconds. */
  readonly ranMs: number;
  /** For how long it could have run, and other threads did, milliseconds. */
  readonly queuedMs: number;
  /** The one that it ran on last. */
  readonly processor: number;
}

/** Looks at a process. */
export function processorOf(pid: number): ProcessorLook {
  try {
    const [ran, queued] = Deno.readTextFileSync(`/proc/${pid}/schedstat`).split(" ");
    return {
      ...{ atMs: nowMs(), ranMs: Number(ran) / 1e6, queuedMs: Number(queued) / 1e6 },
      processor: Number(statOf(pid)[36]),
    };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { atMs: nowMs(), ranMs: 0, queuedMs: 0, processor: 0 };
    throw error;
  }
}

/** A stretch of time in the life of a main thread. */
export interface Stretch {
  /** When it ended, milliseconds since 1970. */
  readonly toMs: number;
  /** How long it was, milliseconds. */
  readonly tookMs: number;
  /** Of it the thread ran, and could have run while others did, milliseconds. */
  readonly ranMs: number;
  readonly queuedMs: number;
  /** Those that it ran on before and behind. */
  readonly processors: readonly number[];
}

/** What was between two looks. */
export function stretchOf(before: ProcessorLook, now: ProcessorLook): Stretch {
  return {
    ...{ toMs: now.atMs, tookMs: now.atMs - before.atMs },
    ...{ ranMs: now.ranMs - before.ranMs, queuedMs: now.queuedMs - before.queuedMs },
    processors: [before.processor, now.processor],
  };
}

/** For how long the machine stood still in it, milliseconds. */
export function stoodStillMs({ toMs, tookMs, processors }: Stretch, standstills: Standstills): number {
  return standstills.between(toMs - tookMs, toMs, processors);
}

/**
 * What is left of it when the time without a processor is taken off, milliseconds; never less. Who queues for a processor that stands
 * still is counted by both, so that of the two only the longer one counts.
 */
export function ownMs(stretch: Stretch, standstills: Standstills): number {
  return stretch.tookMs - Math.max(stretch.queuedMs, stoodStillMs(stretch, standstills));
}

/** What follows a process's name in `proc_pid_stat(5)`: its third field and those behind. */
function statOf(pid: number): string[] {
  return Deno.readTextFileSync(`/proc/${pid}/stat`).replace(/^.*\) /s, "").split(" ");
}

/** Milliseconds that all threads of a process ran; 0 where the system doesn't say. */
export function processorMs(pid: number): number {
  try {
    const fields = statOf(pid);
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

/**
 * Follows what the main thread of a process waits, until it is disposed of. It goes before others meanwhile: a look that comes late
 * doesn't tell what was waited for before it. What is started meanwhile would go before others as well.
 */
export class Waits implements Disposable {
  readonly #looks: ProcessorLook[] = [];
  readonly #looking: ReturnType<typeof setInterval>;
  readonly #standstills: Standstills;
  readonly #priority = getPriority();

  /** Begins. */
  constructor(pid: number, standstills: Standstills) {
    this.#standstills = standstills;
    try {
      setPriority(FIRST);
    } catch {
      // Only root may: looks come late then, and less is taken off.
    }
    this.#looking = setInterval(() => void this.#looks.push(processorOf(pid)), LOOK_MS);
  }

  /** How long it waited between two moments, milliseconds since 1970; at least so long, and never longer than they are apart. */
  between(fromMs: number, toMs: number): number {
    const within = this.#looks.filter(({ atMs }) => atMs >= fromMs && atMs <= toMs);
    const [first, last] = [within[0], within.at(-1)];
    if (first === undefined || last === undefined) return 0;
    const stoodStillMs = this.#standstills.between(fromMs, toMs, [first.processor, last.processor]);
    return Math.min(toMs - fromMs, Math.max(last.queuedMs - first.queuedMs, stoodStillMs));
  }

  [Symbol.dispose](): void {
    clearInterval(this.#looking);
    setPriority(this.#priority);
  }
}

/** Before all others. */
const FIRST = -20;
