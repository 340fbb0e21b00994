/**
 * Repositories that are made to harm: `deno task prove hostile_repositories [ONLY]`.
 *
 * A pack of 2 GB, a gigabyte of zeros, 10⁵ files, 10,000 folders within each other, names that no file should have, and others, each served by
 * a real Git server over HTTPS and by its path, read by a process of its own with the bounds that a node has. Each must be refused within 30
 * seconds with the path and the bound, in at most 300 MB more memory than the process began with and no more disk than is allowed; the next good
 * commit must be read into the same folder. At last a reader is killed fifty times while it fetches one commit after the other, and the next one must
 * find a folder that it can use.
 *
 * @module
 */
import { BOUNDS } from "../../src/gitops/repository.ts";
import { hostileRepositories, type HostileRow } from "./gitops/hostile.ts";
import { GitFixture } from "../gitops/git_fixture.ts";
import { killWhileReading, readHere, readInProcess } from "./gitops/reader.ts";

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
  return (!"killed".includes(only) || await survivesKills()) && isGood;
}

/** Kills at fifty points between the begin of a fetch and its end. */
async function survivesKills(): Promise<boolean> {
  await using git = await GitFixture.create();
  const terms = { url: git.path, caCert: "", folder: `${git.folder}/store`, bounds: BOUNDS };
  await Deno.mkdir(terms.folder);
  const content = "0123456789abcdef\n".repeat(100);
  let kills = 0;
  let faults = 0;
  await git.commit(
    Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`${index}.yaml`, `${index}${content}`])),
  );
  const { tookMs } = await timed(() => readInProcess(terms));
  for (let point = 0; point < KILLS; point++) {
    // Now and then all is fetched once more.
    if (point % 5 === 0) {
      await Deno.remove(terms.folder, { recursive: true }).then(() => Deno.mkdir(terms.folder));
    }
    await git.commit({ "changed.yaml": `${point}${content}` });
    if (await killWhileReading(terms, tookMs * point / KILLS)) kills++;
    const after = await readHere(terms);
    if (after.reason !== null) {
      faults++;
      console.log(
        `MISSED killed after ${(tookMs * point / KILLS).toFixed(0)} ms: ${after.reason} ${after.message}`,
      );
    }
  }
  console.log(
    `${
      faults === 0 ? "ok    " : "MISSED"
    } killed ${kills} times in ${KILLS} reads, ${faults} folders of no use`,
  );
  return faults === 0 && kills >= KILLS / 5;
}

const KILLS = 50;

async function timed(work: () => Promise<unknown>): Promise<{ readonly tookMs: number }> {
  const beganMs = performance.now();
  await work();
  return { tookMs: performance.now() - beganMs };
}

/** Whether all that is promised was kept. */
export function holds({ isRight, reading, after }: HostileRow): boolean {
  return isRight && after.reason === null &&
    [reading, after].every(({ tookMs, grewBytes, diskBytes }) =>
      tookMs < VERDICT_MS_MAX && (grewBytes ?? 0) < GROWTH_BYTES_MAX && diskBytes <= BOUNDS.diskBytes
    );
}
