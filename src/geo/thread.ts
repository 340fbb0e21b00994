/**
 * The main thread's end of a job on a thread of its own (`worker.ts`).
 *
 * @module
 */
import { startThread } from "../thread.ts";
import type { Order, Reports } from "./worker.ts";

/**
 * Has an order carried out on a thread that is made for it and ended behind it.
 *
 * @throws {Error} when the thread fails, by running out of memory for example
 * @throws the signal's reason when it is aborted; the thread is ended then
 */
export async function onThread<Kind extends Order["kind"]>(
  order: Order & { readonly kind: Kind },
  signal: AbortSignal,
): Promise<Reports[Kind]> {
  signal.throwIfAborted();
  const worker = startThread("geo", "geo");
  const { promise, resolve, reject } = Promise.withResolvers<Reports[Kind]>();
  const abort = () => reject(signal.reason);
  signal.addEventListener("abort", abort);
  worker.onmessage = ({ data }: MessageEvent<Reports[Kind]>) => resolve(data);
  worker.onerror = (event) => {
    event.preventDefault();
    reject(new Error(`The thread for "${order.path}" failed: ${event.message}`));
  };
  try {
    worker.postMessage(order);
    return await promise;
  } finally {
    signal.removeEventListener("abort", abort);
    worker.terminate();
  }
}
