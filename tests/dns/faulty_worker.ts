/**
 * A real worker that can be told to fail: what is thrown stands for any fault of ours.
 *
 * @module
 */
import "../../src/dns/worker.ts";

/** What the real one isn't told. */
export interface Failing {
  readonly kind: "fail";
  /** As a rejection that nothing waits for, or out of a timer. */
  readonly how: "reject" | "throw";
}

const scope = globalThis as unknown as { onmessage: (event: MessageEvent) => void };
const obey = scope.onmessage;
scope.onmessage = (event: MessageEvent) => {
  const order = event.data as { readonly kind: string } | Failing;
  if (order.kind !== "fail") return obey(event);
  const error = new Error("on purpose");
  if ((order as Failing).how === "throw") throw error;
  Promise.reject(error);
};
