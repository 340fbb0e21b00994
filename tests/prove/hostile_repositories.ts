/**
 * Repositories that are made to harm: `deno task prove hostile_repositories [ONLY]`.
 *
 * A pack of 2 GB, a gigabyte of zeros, 10⁵ files, 10,000 folders within each other, names that no file should have, and others, each served by
 * a real Git server over HTTPS and by its path, read by a process of its own with the bounds that a node has. Each must be refused within 30
 * seconds with the path and the bound, in at most 300 MB more memory than the process began with and no more disk than is allowed; the next good
 * commit must be read into the same folder.
 *
 * @module
 */
import { BOUNDS } from "../../src/gitops/repository.ts";
import { hostileRepositories, type HostileRow } from "./gitops/hostile.ts";
import { readInProcess } from "./gitops/reader.ts";

const VERDICT_MS_MAX = 30_000;
const GROWTH_BYTES_MAX = 300e6;

/** Runs the proof. */
export async function prove([only = ""]: string[]): Promise<boolean> {
  let isGood = true;
  await hostileRepositories({
    sizes: { zeroBytes: 2 ** 30, endlessBytes: 2e9, files: 100_000, levels: 10_000, bounds: BOUNDS },
    only,
    isBrief: false,
    read: readInProcess,
    onRow: (row) => {
      const { reading, expected } = row;
      const grewMB = ((reading.grewBytes ?? 0) / 1e6).toFixed(0);
      const isAsItMustBe = holds(row);
      if (!isAsItMustBe) isGood = false;
      console.log(
        `${isAsItMustBe ? "ok    " : "MISSED"} ${row.attack}: ${
          (reading.tookMs / 1000).toFixed(1)
        } s, +${grewMB} MB, ` +
          `${(reading.diskBytes / 1e6).toFixed(1)} MB on disk: ${reading.reason} ${reading.message}`,
      );
      if (!isAsItMustBe) {
        console.log(`       expected ${expected}, then the good commit: ${JSON.stringify(row.after)}`);
      }
    },
  });
  return isGood;
}

/** Whether all that is promised was kept. */
export function holds({ isRight, reading, after }: HostileRow): boolean {
  return isRight && after.reason === null &&
    [reading, after].every(({ tookMs, grewBytes, diskBytes }) =>
      tookMs < VERDICT_MS_MAX && (grewBytes ?? 0) < GROWTH_BYTES_MAX && diskBytes <= BOUNDS.diskBytes
    );
}
