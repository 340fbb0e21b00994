/**
 * The thread on which large files about clients are worked on, so that the main thread goes on with probes and
 * requests meanwhile.
 *
 * It lives for one job: an `Order` comes in, its `Report` goes out, and whoever started the thread ends it
 * (`thread.ts`).
 *
 * @module
 */
import { type MapFileReading, readMapFile } from "./map_file_reading.ts";

/** What to do. */
export interface Order {
  /** Read and compile a map file. */
  readonly kind: "map file";
  /** Where it lies. */
  readonly path: string;
}

/** What came of it. */
export type Report = MapFileReading;

/** The worker's global scope, as far as it is used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<Order>) => void) | null;
  postMessage(report: Report): void;
}

const scope = globalThis as unknown as WorkerScope;

scope.onmessage = async ({ data: order }) => {
  scope.postMessage(await readMapFile(order.path));
};
