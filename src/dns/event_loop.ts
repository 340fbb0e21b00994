/**
 * A turn of the event loop, for loops that would otherwise keep it: an `await` alone lets only microtasks run.
 *
 * @module
 */
import { setImmediate } from "node:timers";

/** Lets messages, timers and sockets have their turn. */
export function turnEventLoop(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
