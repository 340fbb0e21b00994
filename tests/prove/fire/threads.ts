/**
 * What threads of a process have had of the processors, as Linux tells it.
 *
 * @module
 */

/** Milliseconds for which a thread has run, and has waited for its turn (`schedstat`, proc(5)). */
export function timesOf(thread: string): { readonly runMs: number; readonly waitMs: number } {
  const [run, wait] = Deno.readTextFileSync(`${thread}/schedstat`).split(" ").map(Number);
  return { runMs: run! / 1e6, waitMs: wait! / 1e6 };
}

/** The thread of a process that runs most while something is done. */
export async function busiestThread(pid: number, work: () => Promise<unknown>): Promise<string> {
  const folder = `/proc/${pid}/task`;
  const threads = [...Deno.readDirSync(folder)].map(({ name }) => `${folder}/${name}`);
  const before = threads.map((thread) => timesOf(thread).runMs);
  await work();
  const ran = threads.map((thread, i) => timesOf(thread).runMs - before[i]!);
  return threads[ran.indexOf(Math.max(...ran))]!;
}
