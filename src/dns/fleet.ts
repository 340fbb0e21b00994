/**
 * The DNS workers, seen from the main thread: starts them, hands them each new snapshot and waits until all of them
 * answer from it, replaces one that died, stops them.
 *
 * @module
 */
import { formatSocketAddress, type SocketAddress } from "../ip.ts";
import type { LiveBoard } from "../snapshot/live.ts";
import type { Snapshot } from "../snapshot/view.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Sample } from "./exchange.ts";
import type { UdpTransport } from "./udp.ts";
import { closeAbandoned } from "./udp_linux.ts";
import type { Order, Report, WorkerOptions } from "./worker.ts";

/** What a fleet is started with. */
export interface FleetOptions {
  /** What every worker is told. */
  readonly worker: WorkerOptions;
  /** The state to begin with. */
  readonly snapshot: Snapshot;
  /** Shared with every worker. */
  readonly board: LiveBoard;
  /** Hears of workers that die. */
  readonly log: Logger;
  /** Gets what `samplesPerSecond` asks for. */
  readonly onSample?: (sample: Sample) => void;
  /** Called when no worker can be had any more: the node can't answer. */
  readonly onLost?: (error: Error) => void;
}

/** Time for streams to end when the fleet stops. */
const STOP_GRACE_MS = 2000;
/** A worker that hasn't ended so long after its streams had to is ended by force. */
const STOP_FORCE_MS = 500;
/** Deaths within a minute after which a worker isn't replaced any more. */
const DEATHS_MAX = 10;
/**
 * Attempts to start a replacement. The dead worker's thread closes its sockets a moment after its death is
 * reported, and until then the addresses are taken; an attempt takes some 50 ms.
 */
const REPLACE_TRIES = 20;

/** The workers of a node. */
export class Fleet implements AsyncDisposable {
  /** What is really listened on: port 0 replaced by the port that was found. */
  readonly addresses: readonly SocketAddress[];
  /** How UDP is served. */
  readonly transport: UdpTransport["name"];
  readonly #options: FleetOptions;
  /** `null` while there is none: between a death and its replacement, and when none can be had any more. */
  #worker: Worker | null = null;
  #snapshot: Snapshot;
  #board: LiveBoard;
  #acknowledged = 0;
  #waiting: Waiting[] = [];
  #deaths: number[] = [];
  #replacing: Promise<void> | null = null;
  #lost: Error | null = null;
  #stopping: Promise<void> | null = null;
  readonly #stopped = Promise.withResolvers<void>();

  private constructor(options: FleetOptions, launched: Launched) {
    this.addresses = launched.addresses;
    this.transport = launched.transport;
    this.#options = options;
    this.#snapshot = options.snapshot;
    this.#board = options.board;
    this.#employ(launched, options.snapshot);
  }

  /**
   * Starts the workers; resolves when all sockets are bound and answers are being given.
   *
   * @throws {Error} when an address can't be bound, `Deno.errors.AddrInUse` when it is taken
   */
  static async start(options: FleetOptions): Promise<Fleet> {
    const launched = await launch(options.worker, options.snapshot, options.board);
    for (const address of launched.covered) {
      options.log.debug(`${formatSocketAddress(address)} needs no socket of its own on this machine`);
    }
    if (launched.transportNote !== "") options.log.info(`${launched.transportNote}; using the portable one`);
    return new Fleet(options, launched);
  }

  /**
   * Hands a snapshot to every worker; resolves when each answers from it or from a later one, or when the fleet is
   * stopped.
   *
   * @throws {Error} when no worker is left
   */
  publish(snapshot: Snapshot, board: LiveBoard): Promise<void> {
    if (this.#lost) return Promise.reject(this.#lost);
    if (this.#stopping) return Promise.resolve();
    this.#snapshot = snapshot;
    this.#board = board;
    if (this.#worker) this.#use(this.#worker);
    return new Promise((resolve, reject) => this.#waiting.push({ epoch: snapshot.epoch, resolve, reject }));
  }

  /** Stops all workers: UDP at once, streams within two seconds. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#stopping ??= this.#stop();
  }

  async #stop(): Promise<void> {
    this.#board.stop();
    await this.#replacing;
    const worker = this.#worker;
    if (worker) {
      worker.postMessage({ kind: "stop", graceMs: STOP_GRACE_MS } satisfies Order);
      const deadline = setTimeout(this.#stopped.resolve, STOP_GRACE_MS + STOP_FORCE_MS);
      await this.#stopped.promise;
      clearTimeout(deadline);
      worker.terminate();
    }
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }

  /** Takes a worker on; it was started with `snapshot`, and another may have been published meanwhile. */
  #employ({ worker, descriptors }: Launched, snapshot: Snapshot): void {
    this.#worker = worker;
    worker.onmessage = ({ data: report }: MessageEvent<Report>) => {
      if (report.kind === "using") this.#acknowledge(report.epoch);
      else if (report.kind === "sample") this.#options.onSample?.(report.sample);
      else if (report.kind === "fault") {
        this.#options.log.error("A query could not be answered", { ...report.fault });
      } else if (report.kind === "stopped") this.#stopped.resolve();
    };
    worker.onerror = (event) => {
      event.preventDefault();
      this.#worker = null;
      closeAbandoned(descriptors);
      if (this.#stopping) this.#stopped.resolve();
      else this.#replacing = this.#replace(event.message);
    };
    if (snapshot === this.#snapshot) this.#acknowledge(snapshot.epoch);
    else this.#use(worker);
  }

  #use(worker: Worker): void {
    worker.postMessage(
      { kind: "use", snapshot: this.#snapshot, board: this.#board.buffer } satisfies Order,
    );
  }

  #acknowledge(epoch: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, epoch);
    const done = this.#waiting.filter((waiting) => waiting.epoch <= this.#acknowledged);
    this.#waiting = this.#waiting.filter((waiting) => waiting.epoch > this.#acknowledged);
    for (const { resolve } of done) resolve();
  }

  async #replace(reason: string): Promise<void> {
    this.#options.log.error("A DNS worker died; starting another", { reason });
    try {
      this.#countDeath(reason);
      await this.#employReplacement();
    } catch (error) {
      this.#giveUp(error as Error);
    }
    this.#replacing = null;
  }

  #countDeath(reason: string): void {
    const now = performance.now();
    this.#deaths = [...this.#deaths.filter((death) => death > now - 60_000), now];
    if (this.#deaths.length > DEATHS_MAX) {
      throw new Error(`${this.#deaths.length} DNS workers died within a minute: ${reason}`);
    }
  }

  /** Starts a worker on the same addresses. */
  async #employReplacement(): Promise<void> {
    const options = { ...this.#options.worker, listen: this.addresses };
    for (let attempt = 1;; attempt++) {
      const snapshot = this.#snapshot;
      try {
        return this.#employ(await launch(options, snapshot, this.#board), snapshot);
      } catch (error) {
        const mayPass = error instanceof Deno.errors.AddrInUse || snapshot !== this.#snapshot;
        if (!mayPass || attempt === REPLACE_TRIES || this.#stopping) throw error;
      }
    }
  }

  #giveUp(error: Error): void {
    if (this.#stopping) return;
    this.#lost = error;
    this.#options.log.error("No DNS worker is left", { error });
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    this.#options.onLost?.(error);
  }
}

/** Someone who wants to know when a snapshot is in the answers. */
interface Waiting {
  readonly epoch: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

interface Launched {
  readonly worker: Worker;
  readonly addresses: readonly SocketAddress[];
  readonly covered: readonly SocketAddress[];
  readonly descriptors: readonly number[];
  readonly transport: UdpTransport["name"];
  readonly transportNote: string;
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
        resolve({ worker, ...report });
      }
      if (report.kind !== "failed") return;
      worker.terminate();
      reject(report.taken ? new Deno.errors.AddrInUse(report.message) : new Error(report.message));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(`Cannot start a DNS worker: ${event.message}`));
    };
    worker.postMessage({ kind: "start", options, snapshot, board: board.buffer } satisfies Order);
  });
}
