/**
 * Processor time of a thread and of those that work for it, and of the threads of a process.
 *
 * @module
 */
import process from "node:process";

/** Of all threads of this process but the main one, those that have ended included: nanoseconds so far. */
export function othersCpuNs(): number {
  const { user, system } = process.cpuUsage();
  const main = Deno.readTextFileSync(`/proc/self/task/${Deno.pid}/schedstat`);
  return (user + system) * 1000 - Number(main.split(" ")[0]);
}

/** Processor time of a process so far, nanoseconds, by who took it. */
export interface CpuShares {
  /** The main thread. */
  readonly main: number;
  /** Threads that compile and collect garbage, for whichever thread. */
  readonly v8: number;
  /** All others: those that answer, and what works for them. */
  readonly others: number;
}

/** Of a process with all of its threads that there are. */
export function cpuSharesOf(pid: number): CpuShares {
  const shares = { main: 0, v8: 0, others: 0 };
  for (const { name: tid } of Deno.readDirSync(`/proc/${pid}/task`)) {
    try {
      const thread = `/proc/${pid}/task/${tid}`;
      const ns = Number(Deno.readTextFileSync(`${thread}/schedstat`).split(" ")[0]);
      const isV8 = Deno.readTextFileSync(`${thread}/comm`).startsWith("V8 ");
      shares[tid === String(pid) ? "main" : isV8 ? "v8" : "others"] += ns;
    } catch {
      // It has ended since.
    }
  }
  return shares;
}
