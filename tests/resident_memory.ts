/**
 * Whether a process keeps what it should give back, judged by the memory that it has in RAM (RSS, less the pages
 * of files).
 *
 * Left to itself, that figure is no straight line for a process that keeps nothing. It falls by 5 to 15 % at each
 * of the larger garbage collections and climbs back, more often when the machine has other work, and rises in steps as the
 * collector takes more room. Beside that a small leak isn't seen. So the process is run with a collector that doesn't put anything
 * off (`COLLECTING`): what it has in RAM is then what it keeps, to some tenths of a percent.
 *
 * What is left are steps, as the allocator finds its holes and code is compiled. What tells a leak from them is that it goes
 * on. Hence many samples are taken, the first half is warming up, and the upper decile of the last quarter must not
 * be above the third's. A step may fall into the last quarter; who isn't flat is to go on, twice as long, and then
 * half of all samples is warming up again. A step is behind us by then, and a leak has grown twice as much.
 *
 * @module
 */

/**
 * The environment of a process that is to be judged. Every collection is of the whole heap, and the young generation has
 * one size, 16 MiB, from the start. glibc hands blocks of 32 KiB and more back as soon as they are freed: by itself it
 * learns to keep them, and after 20,000 reloads more than half of its heap was holes.
 */
export const COLLECTING: Readonly<Record<string, string>> = {
  DENO_V8_FLAGS: "--gc-global,--min-semi-space-size=16,--max-semi-space-size=16",
  MALLOC_MMAP_THRESHOLD_: String(32 * 1024),
};
/** Samples to take in the course of a run. */
export const SAMPLES = 400;
/** How often a run that isn't flat goes on, each time until it is twice as long. */
export const EXTENSIONS_MAX = 2;
/**
 * How much the last quarter's upper decile may be above the third's. Reloads that keep nothing showed 2 %, since the DNS
 * worker's thread collects old tables only when it has some 30 MiB of them. At 120 MiB it is 3.6 MiB in a quarter of
 * a run: 1.5 KiB for each of 10,000 reloads, or a quarter of that after two extensions; more where a leak of small
 * blocks first fills holes that the allocator has.
 */
const GROWTH_MAX = 0.03;

/** What the samples of a run say. */
export interface Flatness {
  readonly isFlat: boolean;
  /** In a line, for people. */
  readonly text: string;
}

/** Samples of the memory of one process. */
export class ResidentMemory {
  readonly #pid: number;
  readonly #samples: number[] = [];

  /** Watches the process with this id. */
  constructor(pid: number) {
    this.#pid = pid;
  }

  /** Takes a sample, in the same distances of work. */
  async sample(): Promise<void> {
    const bytes = await residentBytes(this.#pid);
    if (bytes !== null) this.#samples.push(bytes);
  }

  /** The last sample in words. */
  get now(): string {
    const last = this.#samples.at(-1);
    return last === undefined ? "unknown" : mebibytes(last);
  }

  /** Judges all samples; a system that doesn't say passes, and the text says so. */
  judge(): Flatness {
    return this.#samples.length === 0
      ? { isFlat: true, text: "unknown on this system" }
      : flatness(this.#samples);
  }
}

/** Judges samples in their order. */
export function flatness(samples: readonly number[]): Flatness {
  const quarter = samples.length / 4;
  const [third, last] = [samples.slice(quarter * 2, quarter * 3), samples.slice(quarter * 3)].map(spread);
  const growth = last!.upperDecile / third!.upperDecile - 1;
  const text = `climbs back to ${mebibytes(third!.upperDecile)} in the third quarter and ` +
    `${mebibytes(last!.upperDecile)} in the last, ${growth < 0 ? "" : "+"}${(growth * 100).toFixed(1)} % ` +
    `(allowed: +${GROWTH_MAX * 100} %; from ${third!.range} and ${last!.range})`;
  return { isFlat: growth <= GROWTH_MAX, text };
}

function spread(samples: readonly number[]): { readonly upperDecile: number; readonly range: string } {
  const sorted = samples.toSorted((a, b) => a - b);
  return {
    upperDecile: sorted[Math.floor(sorted.length * 0.9)]!,
    range: `${(sorted[0]! / MEBIBYTE).toFixed(0)}–${mebibytes(sorted.at(-1)!)}`,
  };
}

/**
 * Bytes that a process has in RAM, without what it can read from files again: the kernel takes pages of a program
 * away when they weren't used for a while, 50 MiB at once. `null` when it is gone, or where the system doesn't say.
 */
export async function residentBytes(pid: number): Promise<number | null> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => "");
  const kibibytes = [...status.matchAll(/^Rss(?:Anon|Shmem):\s+(\d+) kB$/gm)].map(([, number]) =>
    Number(number)
  );
  return kibibytes.length === 0 ? null : kibibytes.reduce((sum, each) => sum + each) * 1024;
}

const MEBIBYTE = 2 ** 20;

function mebibytes(bytes: number): string {
  return `${(bytes / MEBIBYTE).toFixed(0)} MiB`;
}
