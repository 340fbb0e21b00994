/**
 * Between the fleet and its workers: a test sees each order before it arrives, and may exchange it.
 *
 * @module
 */
import type { Order } from "../../src/dns/worker.ts";

/**
 * Shows the orders of all workers that are made until the disposal.
 *
 * @param intercept gets an order and gives the one that is sent
 */
export function interceptOrders(intercept: (order: Order) => Order): Disposable {
  const { Worker } = globalThis;
  globalThis.Worker = class extends Worker {
    override postMessage(order: Order): void {
      super.postMessage(intercept(order));
    }
  };
  return { [Symbol.dispose]: () => void (globalThis.Worker = Worker) };
}

/** Whether an order starts a worker for this. */
export function starts(order: Order, kind: "udp" | "streams"): order is Order & { readonly kind: "start" } {
  return order.kind === "start" && order.options.duty.kind === kind;
}
