/**
 * A DNS worker that stands still for good when it is told to. It waits, and so it takes no processor time from what else is tested,
 * as a loop without end does for as long as it takes to find and to end it.
 *
 * @module
 */
import "../../src/dns/worker.ts";

/** Stand still, and let this word be 1. */
export interface Halt {
  readonly kind: "halt";
  readonly stands: Int32Array<SharedArrayBuffer>;
}

const scope = globalThis as unknown as { onmessage: (event: MessageEvent) => void };
const { onmessage } = scope;

scope.onmessage = (event: MessageEvent<Halt>) => {
  if (event.data.kind !== "halt") return onmessage(event);
  const { stands } = event.data;
  Atomics.store(stands, 0, 1);
  Atomics.notify(stands, 0);
  Atomics.wait(stands, 0, 1);
};
