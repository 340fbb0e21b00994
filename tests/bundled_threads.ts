/**
 * Loaded before each file of tests of a whole run: threads begin from one bundle each, the one that the executable carries, and not
 * from eighty modules and more. A run starts a thousand of them, and each loads in half of the processor time.
 *
 * @module
 */

/** The variable of the environment that says in which folder the bundles lie that `scripts/test.ts` has made. */
export const THREADS = "PLEIADES_TEST_THREADS";

const FOLDER = Deno.env.get(THREADS);
const SOURCES = new URL("../src/", import.meta.url).href;

if (FOLDER !== undefined) {
  const bundleOf = (from: string) => {
    const folder = from.startsWith(SOURCES) && /^(\w+)\/worker\.ts$/.exec(from.slice(SOURCES.length))?.[1];
    return folder ? `file://${FOLDER}/${folder}_worker.js` : from;
  };
  globalThis.Worker = class extends Worker {
    constructor(from: string | URL, options?: WorkerOptions) {
      super(bundleOf(String(from)), options);
    }
  };
}
