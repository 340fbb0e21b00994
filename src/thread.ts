/**
 * Starting a thread of ours.
 *
 * A folder's threads have one entry, `src/FOLDER/worker.ts`, and what it says and is told stands there. The executable carries
 * each of them as a bundle of its own beside the files of the main one, which `scripts/compile.ts` calls `FOLDER_worker.js`; there
 * this module is a part of one of those, so that all are found from here.
 *
 * @module
 */

/** The folders of `src/` that have an entry. */
export type ThreadFolder = "discovery" | "dns" | "front" | "geo" | "gitops" | "plan" | "tui";

/**
 * What each may do, never more than the process; what isn't named is refused. The threads that read packets can start no
 * program and neither read nor write files.
 */
export const MAY: Readonly<Record<ThreadFolder, Deno.PermissionOptionsObject>> = {
  discovery: { net: "inherit", ffi: "inherit" },
  dns: { net: "inherit", ffi: "inherit" },
  front: { ffi: "inherit" },
  geo: { read: "inherit", ffi: "inherit" },
  gitops: {
    ...{ net: "inherit", read: "inherit", write: "inherit", run: "inherit" },
    env: ["PATH", "LOG_STREAM", "LOG_TOKENS"],
  },
  // The YAML parser looks for two variables, here and in tui.
  plan: { read: "inherit", write: "inherit", ffi: "inherit", env: ["LOG_STREAM", "LOG_TOKENS"] },
  tui: { read: "inherit", write: "inherit", ffi: "inherit", env: ["LOG_STREAM", "LOG_TOKENS"] },
};

/**
 * Starts a thread. An error that it throws ends it, and the process as well unless `onerror` prevents the default.
 *
 * @param name for debuggers
 */
export function startThread(folder: ThreadFolder, name: string): Worker {
  const entry = Deno.build.standalone ? `./${folder}_worker.js` : `./${folder}/worker.ts`;
  const options = { type: "module", name, deno: { permissions: MAY[folder] } } as const;
  return new Worker(new URL(entry, import.meta.url), options as WorkerOptions);
}
