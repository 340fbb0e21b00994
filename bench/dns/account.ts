/**
 * What a server has used, from Linux's `/proc`: CPU time of all its threads and processes, and memory.
 *
 * @module
 */

/** CPU time. */
export interface CpuTime {
  /** Seconds on a core, counted by the scheduler in nanoseconds. */
  readonly seconds: number;
  /** Ticks in user mode: sampled every 10 ms, so only their ratio to the kernel's is of use, and only over seconds. */
  readonly userTicks: number;
  /** Ticks in the kernel. */
  readonly kernelTicks: number;
}

/** A process and those it has started, in the order in which they were found. */
export function processTree(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const fields = statFields(Number(name));
    if (fields) parents.set(Number(name), Number(fields[1]));
  }
  const tree = [pid];
  // Those found are appended to what is walked over, so that their own children are found, too.
  for (const parent of tree) for (const [child, of] of parents) if (of === parent) tree.push(child);
  return tree;
}

/** What the processes have used so far: `/proc/PID/task/TID/schedstat`, and utime and stime of proc(5). */
export function cpuTime(pids: readonly number[]): CpuTime {
  const sum = { seconds: 0, userTicks: 0, kernelTicks: 0 };
  for (const pid of pids) {
    const fields = statFields(pid);
    if (!fields) continue;
    sum.userTicks += Number(fields[11]);
    sum.kernelTicks += Number(fields[12]);
    for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
      sum.seconds += Number(readText(`/proc/${pid}/task/${name}/schedstat`)?.split(" ")[0] ?? 0) / 1e9;
    }
  }
  return sum;
}

/** Resident memory, MiB; what processes share is shared out between them (`Pss`), not counted twice. */
export function memoryMebibytes(pids: readonly number[]): number {
  const kibibytes = pids.map((pid) => {
    const text = readText(`/proc/${pid}/smaps_rollup`) ?? "";
    return Number(/^Pss:\s+(\d+)/m.exec(text)?.[1] ?? 0);
  });
  return kibibytes.reduce((sum, each) => sum + each, 0) / 1024;
}

/** The fields of `stat` from the state on: 1 = parent, 11 = utime, 12 = stime. */
function statFields(pid: number): string[] | undefined {
  const text = readText(`/proc/${pid}/stat`);
  return text?.slice(text.lastIndexOf(") ") + 2).split(" ");
}

/** `undefined` when the process or the thread is gone. */
function readText(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
}
