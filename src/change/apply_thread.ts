/**
 * The main thread's end of an apply, or a rollback, on a thread of its own (`orders.ts`): hands the bytes over at the pace
 * at which they are read, leaves the database to the other thread for the time of its transaction, and takes the outcome.
 *
 * @module
 */
import { StoreBusy } from "../store/database.ts";
import type { Store } from "../store/store.ts";
import { startThread } from "../thread.ts";
import {
  type Applied,
  type ApplyOptions,
  ChangeRefused,
  type RollbackOptions,
  type RolledBack,
} from "./edit.ts";
import type { LogMessage } from "./log_message.ts";
import type { Plan } from "./plan_report.ts";
import type { Order, Report, ThreadLog, ThreadOptions, ThreadPlan, ThreadRollback } from "./orders.ts";

/** What became of the model, and when the thread is gone. */
export interface ThreadOutcome<Outcome> {
  /** What is known as soon as it is committed. */
  readonly outcome: Outcome;
  /** Resolves when the thread has folded its log into the file and closed it. */
  readonly closed: Promise<void>;
}

/** Bytes on their way to the thread: enough to keep it busy, few enough to be no matter. */
const AHEAD_BYTES_MAX = 4 << 20;

/**
 * Applies a model on a thread that is made for it.
 *
 * @throws {ChangeRefused} as `Changes.apply`
 * @throws {StoreBusy} when another process holds the database
 * @throws the body's error, or the reason of an abort before the commit; nothing is changed then
 */
export async function applyOnThread(
  body: AsyncIterable<Uint8Array>,
  options: ApplyOptions & Pick<ThreadOptions, "history" | "guard"> & { readonly store: Store },
): Promise<ThreadOutcome<Applied>> {
  const { store, signal, ...sent } = options;
  return await onThread(options, async (thread, givenUp) => {
    thread.start(store.path, sent);
    const chunks = body[Symbol.asyncIterator]();
    for (;;) {
      // A body may never end.
      const { done, value } = await Promise.race([chunks.next(), givenUp]);
      if (done) break;
      await thread.send(value);
    }
    await thread.finishReading();
    signal.throwIfAborted();
    using _ = sent.dryRun ? null : store.lend();
    return await thread.commit();
  });
}

/**
 * Rolls back on a thread that is made for it.
 *
 * @throws {ChangeRefused} as `Changes.rollback`
 * @throws {StoreBusy} when another process holds the database
 * @throws the reason of an abort before the commit; nothing is changed then
 */
export async function rollBackOnThread(
  options: RollbackOptions & Pick<ThreadOptions, "history" | "guard"> & { readonly store: Store },
): Promise<ThreadOutcome<RolledBack>> {
  const { store, signal: _, ...sent } = options;
  return await onThread(options, async (thread) => {
    using _ = sent.dryRun ? null : store.lend();
    return await thread.rollBack(store.path, sent);
  });
}

/**
 * Makes a plan of edits on a thread that is made for it.
 *
 * @throws {ChangeRefused} as `Changes.dryRun`
 * @throws the signal's reason
 */
export async function planOnThread(
  { store, signal, ...sent }: Omit<ThreadPlan, "aborted" | "dryRun"> & {
    readonly store: Store;
    readonly signal: AbortSignal;
  },
): Promise<ThreadOutcome<Plan>> {
  return await onThread({ signal }, (thread) => thread.plan(store.path, { ...sent, dryRun: true }));
}

/**
 * Takes messages of the cluster's log on a thread that is made for it.
 *
 * @throws {StoreBusy} when another process holds the database; nothing is changed then
 * @throws what `part` throws, and the signal's reason
 */
export async function takeLogOnThread(
  messages: readonly LogMessage[],
  { store, named, part, signal, ...options }: Pick<ThreadLog, "whole" | "history" | "guard"> & {
    readonly store: Store;
    readonly named: readonly string[];
    readonly part: (digest: string) => AsyncIterable<Uint8Array>;
    readonly signal: AbortSignal;
  },
): Promise<ThreadOutcome<TakenOnThread>> {
  return await onThread({ signal }, async (thread) => {
    thread.startLog(store.path, { ...options, messages, dryRun: false });
    for (const digest of named) {
      thread.openPart(digest);
      for await (const bytes of part(digest)) await thread.send(bytes);
    }
    await thread.finishReading();
    signal.throwIfAborted();
    using _ = store.lend();
    return await thread.takeLog();
  });
}

/** What became of messages, and the commits that they made. */
export type TakenOnThread = Pick<Extract<Report, { readonly kind: "taken" }>, "taken" | "commits">;

/** Has a thread do the work until the signal, of which nothing is left when it fails. */
async function onThread<Outcome>(
  { signal }: { readonly signal: AbortSignal },
  work: (thread: ApplyThread, givenUp: Promise<never>) => Promise<Outcome>,
): Promise<ThreadOutcome<Outcome>> {
  const thread = new ApplyThread();
  const givenUp = Promise.withResolvers<never>();
  givenUp.promise.catch(() => {});
  const abort = () => {
    thread.abort();
    givenUp.reject(signal.reason);
  };
  signal.addEventListener("abort", abort);
  try {
    signal.throwIfAborted();
    return { outcome: await work(thread, givenUp.promise), closed: thread.closed };
  } catch (cause) {
    thread.abort();
    // The caller may begin again at once: then nothing of this attempt must be left.
    await thread.closed;
    throw signal.aborted ? signal.reason : cause;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

class ApplyThread {
  readonly #worker: Worker;
  readonly #aborted = new SharedArrayBuffer(4);
  readonly #ready = Promise.withResolvers<void>();
  readonly #done = Promise.withResolvers<Applied>();
  readonly #rolledBack = Promise.withResolvers<RolledBack>();
  readonly #planned = Promise.withResolvers<Plan>();
  readonly #taken = Promise.withResolvers<TakenOnThread>();
  readonly #closed = Promise.withResolvers<void>();
  #aheadBytes = 0;
  /** Whether the thread has opened the database, or is about to. */
  #hasDatabase = false;
  #wake: () => void = () => {};

  constructor() {
    this.#worker = startThread("plan", "apply");
    this.#worker.onmessage = ({ data }: MessageEvent<Report>) => this.#take(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#fail(new Error(`The thread that applies a model failed: ${event.message}`));
      this.#end();
    };
    for (const { promise } of [this.#ready, this.#done, this.#rolledBack, this.#planned, this.#taken]) {
      promise.catch(() => {});
    }
  }

  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  start(path: string, options: Omit<ThreadOptions, "aborted">): void {
    this.#hasDatabase = options.format === "ndjson";
    this.#post({ kind: "start", path, options: { ...options, aborted: this.#aborted } });
  }

  /** Rolls back, from the opening of the database to the commit. */
  async rollBack(path: string, options: Omit<ThreadRollback, "aborted">): Promise<RolledBack> {
    this.#hasDatabase = true;
    this.#post({ kind: "rollback", path, options: { ...options, aborted: this.#aborted } });
    return await this.#rolledBack.promise;
  }

  /** Makes a plan. */
  async plan(path: string, options: Omit<ThreadPlan, "aborted">): Promise<Plan> {
    this.#hasDatabase = true;
    this.#post({ kind: "plan", path, options: { ...options, aborted: this.#aborted } });
    return await this.#planned.promise;
  }

  /** Begins to take messages. */
  startLog(path: string, options: Omit<ThreadLog, "aborted">): void {
    this.#post({ kind: "log", path, options: { ...options, aborted: this.#aborted } });
  }

  /** Says that the bytes that follow are those of a part. */
  openPart(digest: string): void {
    this.#post({ kind: "part", digest });
  }

  /** Takes the messages, when all was read. */
  async takeLog(): Promise<TakenOnThread> {
    this.#post({ kind: "commit" });
    return await this.#taken.promise;
  }

  /** Hands bytes over; resolves when there is room for more. */
  async send(bytes: Uint8Array): Promise<void> {
    this.#aheadBytes += bytes.length;
    this.#post({ kind: "bytes", bytes });
    while (this.#aheadBytes > AHEAD_BYTES_MAX) {
      const room = new Promise<void>((resolve) => this.#wake = resolve);
      await Promise.race([room, this.#ready.promise]);
    }
  }

  async finishReading(): Promise<void> {
    this.#post({ kind: "end" });
    await this.#ready.promise;
  }

  async commit(): Promise<Applied> {
    this.#post({ kind: "commit" });
    return await this.#done.promise;
  }

  /**
   * Undoes what isn't committed; may be called at any time, and more than once.
   *
   * A thread that parses a document is stopped wherever it is: it hears nothing as long as it does, and has nothing open.
   * One that reads lines, judges or commits looks at the word in between and closes its connection, which only it can.
   */
  abort(): void {
    Atomics.store(new Int32Array(this.#aborted), 0, 1);
    if (this.#hasDatabase) this.#post({ kind: "abort" });
    else this.#end();
  }

  #take(report: Report): void {
    switch (report.kind) {
      case "read":
        this.#aheadBytes -= report.bytes;
        return this.#wake();
      case "parsed":
        this.#hasDatabase = true;
        return this.#post({ kind: "judge" });
      case "ready":
        return this.#ready.resolve();
      case "done":
        return this.#done.resolve(report.applied);
      case "rolledBack":
        return this.#rolledBack.resolve(report.outcome);
      case "planned":
        return this.#planned.resolve(report.plan);
      case "taken":
        return this.#taken.resolve(report);
      case "refused":
        return this.#fail(new ChangeRefused(report.refusal, report.problems, report.guards));
      case "busy":
        return this.#fail(new StoreBusy(report.message));
      case "failed":
        return this.#fail(new Error(report.message));
      case "closed":
        return this.#end();
    }
  }

  #fail(cause: Error): void {
    this.#ready.reject(cause);
    this.#done.reject(cause);
    this.#rolledBack.reject(cause);
    this.#planned.reject(cause);
    this.#taken.reject(cause);
  }

  #end(): void {
    this.#worker.terminate();
    this.#fail(new Error("The thread that applies a model has ended"));
    this.#closed.resolve();
  }

  #post(order: Order): void {
    this.#worker.postMessage(order);
  }
}
