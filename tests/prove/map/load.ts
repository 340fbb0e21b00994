/**
 * `deno run load.ts MAP_FILE ADDRESSES BITS`: a process that does nothing but load a map file as a node does, and look
 * up the addresses of the other file: 16 bytes each, of which only the first 4 count where `BITS` is 32. Prints its
 * figures as JSON; on its own, so that neither time nor memory is anybody else's.
 *
 * @module
 */
import process from "node:process";
import { MapFileSource } from "../../../src/geo/watched_map_file.ts";
import { MapFile } from "../../../src/geo/map_file_table.ts";
import { systemClock } from "../../../src/clock.ts";
import { createLogger } from "../../../src/telemetry/log.ts";
import { Registry } from "../../../src/telemetry/metrics.ts";

/** What is printed. */
export interface LoadFigures {
  /** From the call to the rules in effect, the thread's start included. */
  readonly loadMs: number;
  /** CPU of all threads in that time. */
  readonly cpuMs: number;
  /** The longest time for which the main thread didn't turn. */
  readonly stallMs: number;
  readonly lookUpNs: number;
  /** Of the process in RAM: before, the largest seen meanwhile, and when the rules were in effect; bytes. */
  readonly rssBytes: { readonly before: number; readonly peak: number; readonly after: number };
}

const LOOK_UPS = 500_000;

if (import.meta.main) {
  const [path, addresses, bits] = Deno.args;
  const { table, ...figures } = await load(path!);
  const lookUpNs = timeLookUps(new MapFile(table), readAddresses(addresses!, Number(bits)));
  console.log(JSON.stringify({ ...figures, lookUpNs } satisfies LoadFigures));
}

async function load(
  path: string,
): Promise<Omit<LoadFigures, "lookUpNs"> & { readonly table: SharedArrayBuffer }> {
  await using source = new MapFileSource({
    path,
    clock: systemClock,
    log: createLogger({ level: "warn", format: "text", clock: systemClock }),
    registry: new Registry({}),
    onChange: () => {},
  });
  const before = Deno.memoryUsage().rss;
  let [turnedMs, stallMs, peak] = [performance.now(), 0, before];
  const turn = () => {
    stallMs = Math.max(stallMs, performance.now() - turnedMs);
    peak = Math.max(peak, Deno.memoryUsage().rss);
    turnedMs = performance.now();
  };
  const timer = setInterval(turn, 1);
  const [startMs, startCpu] = [performance.now(), process.cpuUsage()];
  await source.reload();
  const loadMs = performance.now() - startMs;
  const cpu = process.cpuUsage(startCpu);
  turn();
  clearInterval(timer);
  if (source.current === null) throw new Error("The map file wasn't taken");
  const rssBytes = { before, peak, after: Deno.memoryUsage().rss };
  return { table: source.current, loadMs, cpuMs: (cpu.user + cpu.system) / 1000, stallMs, rssBytes };
}

function readAddresses(path: string, bits: number): Uint8Array[] {
  const bytes = Deno.readFileSync(path);
  return Array.from({ length: bytes.length / 16 }, (_, i) => bytes.slice(i * 16, i * 16 + bits / 8));
}

function timeLookUps(map: MapFile, addresses: readonly Uint8Array[]): number {
  let startMs = 0;
  let sum = 0;
  // The first half warms up.
  for (let i = -LOOK_UPS; i < LOOK_UPS; i++) {
    if (i === 0) startMs = performance.now();
    sum += map.rule(map.find(addresses[(i + LOOK_UPS) % addresses.length]!));
  }
  if (sum < 0) throw new Error("Rules are numbered from 0");
  return (performance.now() - startMs) / LOOK_UPS * 1e6;
}
