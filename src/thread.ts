/**
 * Starting a thread of ours.
 *
 * A folder's threads have one entry, `src/FOLDER/worker.ts`, and what it says and is told stands there. The executable carries
 * each of them as a bundle of its own beside the main one, which `scripts/compile.ts` calls `FOLDER_worker.js`; there this
 * module is a part of the main bundle, so that both are found from here.
 *
 * @module
 */

/** The folders of `src/` that have an entry. */
export type ThreadFolder = "dns" | "geo" | "plan";

/**
 * Starts a thread. An error that it throws ends it, and the process as well unless `onerror` prevents the default.
 *
 * @param name for debuggers
 */
export function startThread(folder: ThreadFolder, name: string): Worker {
  const entry = Deno.build.standalone ? `./${folder}_worker.js` : `./${folder}/worker.ts`;
  return new Worker(new URL(entry, import.meta.url), { type: "module", name });
}
