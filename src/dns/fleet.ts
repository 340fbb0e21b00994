/**
 * The DNS workers, seen from the main thread: starts them, hands them each new snapshot and waits until all of them
 * answer from it, replaces one that died, stops them.
 *
 * @module
 */
import { formatSocketAddress, type SocketAddress } from "../ip.ts";
import { type LiveBoard } from "../snapshot/live.ts";
import { type Snapshot } from "../snapshot/view.ts";
import { type Logger } from "../telemetry/log.ts";
import { type Sample } from "./exchange.ts";
import { type Order, type Report, type WorkerOptions } from "./worker.ts";

/** What a fleet is started with. */
export interface FleetOptions {
  readonly worker: WorkerOptions;
  readonly snapshot: Snapshot;
  readonly board: LiveBoard;
  readonly log: Logger;
  /** Gets what `samplesPerSecond` asks for. */
  readonly onSample?: (sample: Sample) => void;
  /** Called when no worker can be had any more: the node can't answer. */
  readonly onLost?: (error: Error) => void;
}

/** Time for streams to end when the fleet stops. */
const STOP_GRACE_MS = 2000;
/** Deaths within a minute after which a worker isn't replaced any more. */
const DEATHS_MAX = 10;

/** The workers of a node. */
export class Fleet implements AsyncDisposable {
  /** What is really listened on: port 0 replaced by the port that was found. */
  readonly addresses: readonly SocketAddress[];
  readonly #options: FleetOptions;
  #worker: Worker;
  #snapshot: Snapshot;
  #board: LiveBoard;
  #acknowledged: number;
  #waiting: { readonly epoch: number; readonly resolve: () => void }[] = [];
  #deaths: number[] = [];
  #stopped: (() => void) | null = null;

  private constructor(options: FleetOptions, worker: Worker, addresses: readonly SocketAddress[]) {
    this.addresses = addresses;
    this.#options = options;
    this.#worker = worker;
    this.#snapshot = options.snapshot;
    this.#board = options.board;
    this.#acknowledged = options.snapshot.epoch;
    this.#attend(worker);
  }

  /**
   * Starts the workers; resolves when all sockets are bound and answers are being given.
   *
   * @throws {Error} when an address can't be bound
   */
  static async start(options: FleetOptions): Promise<Fleet> {
    const { worker, addresses, covered } = await launch(options.worker, options.snapshot, options.board);
    for (const address of covered) {
      options.log.debug(`${formatSocketAddress(address)} needs no socket of its own on this machine`);
    }
    return new Fleet(options, worker, addresses);
  }

  /** Hands a snapshot to every worker; resolves when each answers from it or from a later one. */
  publish(snapshot: Snapshot, board: LiveBoard): Promise<void> {
    this.#snapshot = snapshot;
    this.#board = board;
    this.#order({ kind: "use", snapshot, board: board.buffer });
    return new Promise((resolve) => this.#waiting.push({ epoch: snapshot.epoch, resolve }));
  }

  /** Stops all workers: UDP at once, streams within two seconds. */
  async [Symbol.asyncDispose](): Promise<void> {
    const stopped = new Promise<void>((resolve) => this.#stopped = resolve);
    this.#board.stop();
    this.#order({ kind: "stop", graceMs: STOP_GRACE_MS });
    await stopped;
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }

  #order(order: Order): void {
    this.#worker.postMessage(order);
  }

  #attend(worker: Worker): void {
    worker.onmessage = ({ data: report }: MessageEvent<Report>) => {
      if (report.kind === "using") this.#acknowledge(report.epoch);
      else if (report.kind === "sample") this.#options.onSample?.(report.sample);
      else if (report.kind === "stopped") this.#stopped?.();
    };
    worker.onerror = (event) => {
      event.preventDefault();
      if (this.#stopped) return this.#stopped();
      this.#replace(event.message);
    };
  }

  #acknowledge(epoch: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, epoch);
    const done = this.#waiting.filter((waiting) => waiting.epoch <= this.#acknowledged);
    this.#waiting = this.#waiting.filter((waiting) => waiting.epoch > this.#acknowledged);
    for (const { resolve } of done) resolve();
  }

  async #replace(reason: string): Promise<void> {
    const { log, worker: options, onLost } = this.#options;
    log.error("A DNS worker died; starting another", { reason });
    const now = performance.now();
    this.#deaths = [...this.#deaths.filter((death) => death > now - 60_000), now];
    try {
      if (this.#deaths.length > DEATHS_MAX) {
        throw new Error(`${DEATHS_MAX} DNS workers died within a minute: ${reason}`);
      }
      const launched = await launch({ ...options, listen: this.addresses }, this.#snapshot, this.#board);
      this.#worker = launched.worker;
      this.#attend(launched.worker);
      this.#acknowledge(this.#snapshot.epoch);
    } catch (error) {
      log.error("No DNS worker is left", { error });
      onLost?.(error as Error);
    }
  }
}

interface Launched {
  readonly worker: Worker;
  readonly addresses: readonly SocketAddress[];
  readonly covered: readonly SocketAddress[];
}

function launch(options: WorkerOptions, snapshot: Snapshot, board: LiveBoard): Promise<Launched> {
  // The executable carries the worker as a bundle of its own beside the main one.
  const url = Deno.build.standalone
    ? new URL("./dns_worker.js", import.meta.url)
    : new URL("./worker.ts", import.meta.url);
  const worker = new Worker(url, { type: "module", name: "dns" });
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data: report }: MessageEvent<Report>) => {
      if (report.kind === "listening") {
        resolve({ worker, addresses: report.addresses, covered: report.covered });
      }
      if (report.kind !== "failed") return;
      worker.terminate();
      reject(new Error(report.message));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(`Cannot start a DNS worker: ${event.message}`));
    };
    worker.postMessage({ kind: "start", options, snapshot, board: board.buffer } satisfies Order);
  });
}
