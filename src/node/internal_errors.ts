/**
 * Errors that no part of the program took: a rejection that nothing waited for, an exception out of a timer.
 *
 * By default they end the process, DNS included, although the workers that answer aren't concerned. Here they are
 * logged and counted, and for a while the node says that it isn't ready: the part that failed may stand still.
 *
 * @module
 */
import { type Clock, rfc3339 } from "../clock.ts";
import { Listeners } from "../listeners.ts";
import type { Logger } from "../telemetry/log.ts";
import { describeError } from "../telemetry/log.ts";
import type { Registry } from "../telemetry/metrics.ts";

/** What `InternalErrors` needs. */
export interface InternalErrorsOptions {
  /** Gets each of them. */
  readonly log: Logger;
  /** Gets their number. */
  readonly registry: Registry;
  /** Says how long ago the last one was. */
  readonly clock: Pick<Clock, "monotonicMs" | "unixMs">;
}

/**
 * How long the node isn't ready after the last one, milliseconds: long enough to be seen by whoever looks every minute.
 * Not for ever, so that one stray rejection doesn't take a node out that works.
 */
export const UNREADY_MS = 5 * 60_000;
/** Lines a minute; the counter goes on. */
const LINES_MAX = 60;

/** Takes what nothing else took, from when it is made to its disposal. */
export class InternalErrors implements Disposable {
  readonly #options: InternalErrorsOptions;
  readonly #count: { inc(): void };
  readonly #listeners = new Listeners<unknown>();
  #last: { readonly atMs: number; readonly unixMs: number; readonly what: string } | null = null;
  #minute = 0;
  #lines = 0;

  /** Begins to listen. */
  constructor(options: InternalErrorsOptions) {
    this.#options = options;
    this.#count = options.registry.counter(
      "pleiades_internal_errors_total",
      "Errors that no part of the program handled: each is a fault of the program.",
    ).labels();
    globalThis.addEventListener("unhandledrejection", this.#onRejection);
    globalThis.addEventListener("error", this.#onError);
  }

  /** Why the node isn't to be relied on; `null` = nothing is known against it. */
  get complaint(): string | null {
    const { clock } = this.#options;
    if (this.#last === null || clock.monotonicMs() - this.#last.atMs > UNREADY_MS) return null;
    const at = rfc3339(this.#last.unixMs);
    return `Something failed inside the node at ${at}, and a part of it may have stopped: ${this.#last.what} ` +
      `(DNS goes on; the log says more)`;
  }

  /** Tells of each of them, as far as they are logged, until the result is disposed of. */
  onError(hear: (error: unknown) => void): Disposable {
    return this.#listeners.add(hear);
  }

  /** Leaves such errors to the run time again. */
  [Symbol.dispose](): void {
    globalThis.removeEventListener("unhandledrejection", this.#onRejection);
    globalThis.removeEventListener("error", this.#onError);
  }

  readonly #onRejection = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    this.#take(event.reason);
  };

  readonly #onError = (event: ErrorEvent) => {
    event.preventDefault();
    this.#take(event.error);
  };

  #take(error: unknown): void {
    const { log, clock } = this.#options;
    const atMs = clock.monotonicMs();
    this.#last = { atMs, unixMs: clock.unixMs(), what: describeError(error) };
    this.#count.inc();
    const minute = Math.floor(atMs / 60_000);
    if (minute !== this.#minute) this.#lines = 0;
    this.#minute = minute;
    if (++this.#lines > LINES_MAX) return;
    const stack = error instanceof Error ? error.stack : undefined;
    log.error("Something failed that nothing waited for; DNS goes on", { error, stack });
    this.#listeners.tell(error);
  }
}
