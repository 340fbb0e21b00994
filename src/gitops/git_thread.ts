/**
 * The main thread's end of the thread of Git.
 *
 * @module
 */
import { startThread } from "../thread.ts";
import type { CommitFacts, GitWork, ReadCommit, SignatureTerms } from "./git_work.ts";
import { RepositoryError, type RepositoryOptions } from "./repository.ts";
import type { Answers, Call, FromThread, ToThread } from "./thread_messages.ts";

/** How long the thread may take to give the repository up before it is ended, milliseconds. */
const CLOSE_MS = 5_000;

/** Has the work done on a thread of its own, which ends when this is disposed of. */
export class GitThread implements GitWork {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #number = 0;
  /** Why the thread is no more; `null` = it is there. */
  #fault: Error | null = null;
  readonly #opened: Promise<unknown>;

  /** Starts the thread. */
  constructor(options: RepositoryOptions) {
    this.#worker = startThread("gitops", "git");
    this.#worker.onmessage = ({ data }: MessageEvent<FromThread>) => this.#take(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#end(new Error(`The thread of Git failed: ${event.message}`));
    };
    this.#opened = this.#ask({ kind: "open", options });
    this.#opened.catch(() => {});
  }

  /** Whether it can be asked. */
  get isAlive(): boolean {
    return this.#fault === null;
  }

  /** Brings the head of the branch here. */
  async fetch(known: string | null, signal: AbortSignal): Promise<string> {
    await this.#opened;
    signal.throwIfAborted();
    const abort = () => this.#post({ abort: true });
    signal.addEventListener("abort", abort, { once: true });
    try {
      return await this.#ask({ kind: "fetch", known });
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  /** Whether a commit is another one or comes after it. */
  descends(commit: string, ancestor: string): Promise<"yes" | "no" | "unknown"> {
    return this.#ask({ kind: "descends", commit, ancestor });
  }

  /** Who made a commit, and why. */
  look(commit: string, terms: SignatureTerms | null): Promise<CommitFacts> {
    return this.#ask({ kind: "look", commit, terms });
  }

  /** Reads the model of a commit. */
  async read(commit: string, prefix: string): Promise<ReadCommit> {
    const problems = await this.#ask({ kind: "read", commit, prefix });
    if (problems.length > 0) return { kind: "invalid", problems };
    const lines = new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        const part = await this.#ask({ kind: "next" });
        if (part === null) controller.close();
        else controller.enqueue(part);
      },
    });
    return { kind: "model", lines };
  }

  /** Ends the thread. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#fault !== null) return;
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, CLOSE_MS);
    await Promise.race([this.#ask({ kind: "close" }).catch(() => {}), late.promise]);
    clearTimeout(timer);
    this.#end(new Error("The repository was given up"));
  }

  #ask<Kind extends Call["kind"]>(call: Call & { readonly kind: Kind }): Promise<Answers[Kind]> {
    if (this.#fault !== null) return Promise.reject(this.#fault);
    const number = ++this.#number;
    const waiting = Promise.withResolvers<unknown>();
    this.#waiting.set(number, waiting);
    this.#post({ number, call });
    // What answers a call of a kind is of its type: `carryOut` sees to that.
    return waiting.promise as Promise<Answers[Kind]>;
  }

  #take(message: FromThread): void {
    const waiting = this.#waiting.get(message.number);
    this.#waiting.delete(message.number);
    if ("answer" in message) return waiting?.resolve(message.answer);
    const { message: text, fault } = message.failure;
    waiting?.reject(fault === null ? new Error(text) : new RepositoryError(fault, text));
  }

  #end(fault: Error): void {
    this.#fault = fault;
    this.#worker.terminate();
    for (const { reject } of this.#waiting.values()) reject(fault);
    this.#waiting.clear();
  }

  #post(message: ToThread): void {
    if (this.#fault === null) this.#worker.postMessage(message);
  }
}
