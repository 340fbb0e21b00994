/**
 * Loaded before each file of tests of a whole run: threads that answer DNS begin from one bundle, as those of the executable do, and
 * not from eighty modules. A run starts nine hundred of them, and each loads in half of the processor time.
 *
 * @module
 */

/** The variable of the environment that says where the bundle lies which `scripts/test.ts` has made. */
export const DNS_WORKER = "PLEIADES_DNS_WORKER";

const BUNDLE = Deno.env.get(DNS_WORKER);
const SOURCE = new URL("../src/dns/worker.ts", import.meta.url).href;

if (BUNDLE !== undefined) {
  const bundle = new URL(`file://${BUNDLE}`);
  globalThis.Worker = class extends Worker {
    constructor(from: string | URL, options?: WorkerOptions) {
      super(String(from) === SOURCE ? bundle : from, options);
    }
  };
}
