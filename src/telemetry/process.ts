/**
 * What the process itself costs: memory, processor time, start time and version.
 *
 * @module
 */
import { cpuUsage } from "node:process";
import type { Clock } from "../clock.ts";
import type { Registry } from "./metrics.ts";

/** What `registerProcessMetrics` needs. */
export interface ProcessFacts {
  /** Of Pleiades, such as `0.1.0`. */
  readonly version: string;
  /** Asked once, for the start time. */
  readonly clock: Pick<Clock, "unixMs">;
}

/** Adds the build's and the process's gauges; call it once, at the start of the process. */
export function registerProcessMetrics(registry: Registry, { version, clock }: ProcessFacts): void {
  registry.gauge("pleiades_build_info", "Version of Pleiades and of its run time; always 1.", [
    "version",
    "deno",
    "target",
  ]).labels(version, Deno.version.deno, Deno.build.target).set(1);
  registry.gauge("pleiades_process_start_time_seconds", "Unix time at which the process started.").labels()
    .set(clock.unixMs() / 1000);
  registry.gauge("pleiades_process_resident_memory_bytes", "Resident memory of the process.", {
    collect: () => Deno.memoryUsage().rss,
  });
  const cpu = registry.counter(
    "pleiades_process_cpu_seconds_total",
    "User and system time spent by all threads of the process.",
  ).labels();
  registry.onCollect(() => {
    const { user, system } = cpuUsage();
    cpu.mirror((user + system) / 1e6);
  });
}
