/**
 * The main thread's end of the thread that reads Consul (`worker.ts`): what Consul says may be megabytes, which take a tenth of a
 * second to be taken apart. Changes come in portions, so that none of them keeps this thread.
 *
 * A thread that dies is replaced; until the next one has read a zone, it is stale.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import type { Logger } from "../telemetry/log.ts";
import { startThread } from "../thread.ts";
import type { ConsulCatalogOptions, Reading } from "./consul_catalog.ts";
import type { Order, Report } from "./worker.ts";

/** What a thread is made with. */
export interface ReadingThreadOptions extends ConsulCatalogOptions {
  /** Paces what is tried again. */
  readonly clock: Clock;
  /** Hears of what the thread does, and of its end. */
  readonly log: Logger;
}

/** Before a thread that died is replaced. */
const RETRY_MS = 1_000;

/** A thread that reads. */
export class ReadingThread implements Reading {
  readonly #parts: ReadingThreadOptions;
  readonly #ending = new AbortController();
  #worker: Worker | null = null;
  #stopped = Promise.withResolvers<void>();
  #problems: readonly string[] = [];

  /** Starts it. */
  constructor(parts: ReadingThreadOptions) {
    this.#parts = parts;
    this.#launch();
  }

  /** What can't be read, in words. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  /** Reads no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    if (this.#worker === null) return;
    this.#worker.postMessage({ kind: "stop" } satisfies Order);
    await this.#stopped.promise;
    this.#worker?.terminate();
    this.#worker = null;
  }

  #launch(): void {
    const { terms, zone, readsAll, staleFor, kept, write, observe, log } = this.#parts;
    const worker = this.#worker = startThread("discovery", "discovery registry");
    this.#stopped = Promise.withResolvers();
    worker.onmessage = ({ data: report }: MessageEvent<Report>) => {
      switch (report.kind) {
        case "changes":
          return write(report.changes);
        case "observed":
          for (const [operation, error, seconds] of report.answers) observe(operation, error, seconds);
          return;
        case "said":
          return log[report.level](report.message, report.fields);
        case "problems":
          this.#problems = report.problems;
          return;
        case "stopped":
          return this.#stopped.resolve();
      }
    };
    worker.onerror = (event) => {
      event.preventDefault();
      log.error("The thread that reads Consul for discovery died; another one takes its place", {
        reason: event.message,
      });
      worker.terminate();
      this.#worker = null;
      this.#stopped.resolve();
      void this.#replace();
    };
    worker.postMessage(
      { kind: "read", options: { terms, zone, readsAll, staleFor }, kept: kept() } satisfies Order,
    );
  }

  async #replace(): Promise<void> {
    const { clock, write, kept } = this.#parts;
    // Nothing is heard of them for now.
    write([...kept().keys()].map((zone) => ({ kind: "standing", zone, standing: "stale" })));
    await clock.sleep(RETRY_MS, this.#ending.signal);
    if (!this.#ending.signal.aborted) this.#launch();
  }
}
