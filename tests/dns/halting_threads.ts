/**
 * Threads that answer DNS and can be made to hang.
 *
 * @module
 */
import type { Order } from "../../src/dns/worker.ts";
import type { Halt } from "./halting_worker.ts";
import { starts } from "./intercepted_orders.ts";

const SOURCE = new URL("../../src/dns/worker.ts", import.meta.url).href;
const HALTING = new URL("./halting_worker.ts", import.meta.url);

/** What a worker does. */
type Kind = Parameters<typeof starts>[1];

/** All workers that are made until the disposal can be made to hang. */
export class HaltingThreads implements Disposable {
  readonly #Worker = globalThis.Worker;
  readonly #last = new Map<Kind, Worker>();

  constructor() {
    const last = this.#last;
    globalThis.Worker = class extends Worker {
      constructor(from: string | URL, options?: WorkerOptions) {
        super(String(from) === SOURCE ? HALTING : from, options);
      }

      override postMessage(order: Order): void {
        for (const kind of ["udp", "streams"] as const) if (starts(order, kind)) last.set(kind, this);
        super.postMessage(order);
      }
    };
  }

  /** Makes the worker hang that was the last to be started for this. */
  async halt(kind: Kind): Promise<void> {
    const stands = new Int32Array(new SharedArrayBuffer(4));
    this.#last.get(kind)!.postMessage({ kind: "halt", stands } satisfies Halt);
    await Atomics.waitAsync(stands, 0, 0).value;
  }

  [Symbol.dispose](): void {
    globalThis.Worker = this.#Worker;
  }
}
