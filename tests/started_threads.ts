/**
 * The threads that are started while a test runs.
 *
 * @module
 */

/** Hears of each thread that is started, until it is disposed of. */
export class StartedThreads implements Disposable {
  /** In the order in which they were started. */
  readonly threads: readonly Worker[];
  readonly #Worker = globalThis.Worker;

  constructor() {
    const threads: Worker[] = [];
    this.threads = threads;
    globalThis.Worker = class extends Worker {
      constructor(url: string | URL, options?: WorkerOptions) {
        super(url, options);
        threads.push(this);
      }
    };
  }

  /** Lets whoever has started a thread believe that it died. */
  kill(at: number): void {
    this.threads[at]!.onerror!(new ErrorEvent("error", { message: "on purpose", cancelable: true }));
  }

  [Symbol.dispose](): void {
    globalThis.Worker = this.#Worker;
  }
}
