/**
 * A DNS worker on its way to its first answer: the thread loads at once, and binds its sockets when it is told which.
 *
 * @module
 */
import type { SocketAddress } from "../ip.ts";
import type { LiveBoard } from "../snapshot/live.ts";
import type { Snapshot } from "../snapshot/view.ts";
import { startThread } from "../thread.ts";
import type { AdoptedSocket } from "./binding.ts";
import type { Bound } from "./service.ts";
import type { Order, Report, WorkerOptions } from "./worker.ts";

/** A worker that answers. */
export interface Launched {
  /** Its thread, which nothing listens to yet. */
  readonly worker: Worker;
  /** What it answers on. */
  readonly bound: Bound;
}

/** What a prepared thread for UDP is to answer on. */
export interface Adoption {
  /** Bound sockets of another process. */
  readonly sockets: readonly AdoptedSocket[];
  /** All addresses; those without such a socket are bound. */
  readonly listen: readonly SocketAddress[];
}

/** An address that another socket has; the message names it with the fix. */
export class AddressTaken extends Deno.errors.AddrInUse {
  /** As it was asked for. */
  readonly address: SocketAddress;

  /** Says it in the worker's words. */
  constructor(message: string, address: SocketAddress) {
    super(message);
    this.address = address;
  }
}

/** One thread; disposing of it before it has been launched ends it. */
export class WorkerLaunch implements Disposable {
  readonly #worker: Worker;
  readonly #launched = Promise.withResolvers<Launched>();
  readonly #loaded = Promise.withResolvers<void>();
  readonly #prepared = Promise.withResolvers<void>();
  #isOver = false;

  /** Begins to load the thread; the kind is for debuggers. */
  constructor(kind: WorkerOptions["duty"]["kind"]) {
    this.#launched.promise.catch(() => {}); // told to whoever calls `begin`, however late
    this.#loaded.promise.catch(() => {}); // as are those who don't wait for it
    this.#prepared.promise.catch(() => {});
    this.#worker = startThread("dns", `dns ${kind}`);
    this.#worker.onmessage = ({ data: report }: MessageEvent<Report>) => {
      if (report.kind === "loaded") this.#loaded.resolve();
      else if (report.kind === "prepared") this.#prepared.resolve();
      else if (report.kind === "listening") this.#succeed(report.bound);
      else if (report.kind === "failed") {
        const { message, taken } = report;
        this.abort(taken ? new AddressTaken(message, taken) : new Error(message));
      }
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.abort(new Error(`Cannot start a DNS worker: ${event.message}`));
    };
  }

  /**
   * Resolves when the sockets are bound and answers are being given.
   *
   * @throws {AddressTaken} when an address is taken
   * @throws {Error} when an address can't be had, or the thread fails
   */
  begin(options: WorkerOptions, snapshot: Snapshot, board: LiveBoard): Promise<Launched> {
    this.#start(options, snapshot, { board, awaitsSockets: false });
    return this.#launched.promise;
  }

  /** Has a thread for UDP make ready all but its sockets. @throws {Error} when it fails */
  prepare(options: WorkerOptions, snapshot: Snapshot, board: LiveBoard): Promise<void> {
    this.#start(options, snapshot, { board, awaitsSockets: true });
    return this.#prepared.promise;
  }

  /** Gives a thread that is prepared what it is to answer on; for the rest as `begin`. */
  adopt(adoption: Adoption): Promise<Launched> {
    this.#worker.postMessage({ kind: "adopt", ...adoption } satisfies Order);
    return this.#launched.promise;
  }

  /** Resolves when the thread does at once what it is told. @throws {Error} when it fails before */
  get loaded(): Promise<void> {
    return this.#loaded.promise;
  }

  /** Ends a thread that hasn't been launched; `begin` throws the reason. */
  abort(reason: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#worker.onmessage = null;
    this.#worker.onerror = (event) => event.preventDefault();
    this.#worker.terminate();
    this.#launched.reject(reason);
    this.#loaded.reject(reason);
    this.#prepared.reject(reason);
  }

  /** Ends a thread that is of no use any more. */
  [Symbol.dispose](): void {
    this.abort(new Error("The launch was given up"));
  }

  #start(
    options: WorkerOptions,
    snapshot: Snapshot,
    { board, awaitsSockets }: { readonly board: LiveBoard; readonly awaitsSockets: boolean },
  ): void {
    const order = { kind: "start", options, snapshot, board: board.buffer, awaitsSockets } as const;
    this.#worker.postMessage(order satisfies Order);
  }

  #succeed(bound: Bound): void {
    this.#isOver = true;
    this.#launched.resolve({ worker: this.#worker, bound });
  }
}
