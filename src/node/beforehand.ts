/**
 * What a process does before it takes the place of another one, as long as that still takes changes: whatever needs nothing
 * of the database.
 *
 * @module
 */
import { FleetThreads } from "../dns/fleet.ts";
import type { Settings } from "../settings/settings.ts";
import { loadControl } from "./http.ts";

/** What is ready. Disposing ends the threads that got nothing to do. */
export class Beforehand implements Disposable {
  #threads: FleetThreads | null = null;

  /** Threads for DNS, which have loaded; `null` = nothing was made ready. */
  get threads(): FleetThreads | null {
    return this.#threads;
  }

  /** Loads the threads and the code that is loaded only where it is needed. @throws {Error} when a thread can't be started */
  async make({ workers, state }: Settings): Promise<void> {
    this.#threads = new FleetThreads(workers);
    const isInCluster = state.nats.servers.length > 0;
    await Promise.all([
      this.#threads.loaded(),
      loadControl(),
      ...isInCluster ? [import("../cluster/cluster.ts"), import("../cluster/config_log.ts")] : [],
    ]);
  }

  /** Ends what wasn't needed. */
  [Symbol.dispose](): void {
    this.#threads?.[Symbol.dispose]();
  }
}
