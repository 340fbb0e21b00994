/**
 * Processor time of a thread and of those that work for it.
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
