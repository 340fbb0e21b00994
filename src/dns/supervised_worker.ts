/**
 * The post of one DNS worker, seen from the main thread: starts a worker on it, hands it each new snapshot and waits
 * until it answers from it, replaces it when it dies or doesn't turn any more, stops it.
 *
 * @module
 */
import type { SocketAddress } from "../ip.ts";
import type { LiveBoard } from "../snapshot/live.ts";
import type { Snapshot } from "../snapshot/view.ts";
import type { Logger } from "../telemetry/log.ts";
import { startThread } from "../thread.ts";
import { COUNTER } from "./counters.ts";
import { type Patience, PulseWatch } from "./pulse.ts";
import { readSamples, type Sample } from "./samples.ts";
import type { UdpTransport } from "./udp.ts";
import { closeAbandoned } from "./udp_linux.ts";
import type { Order, Report, WorkerOptions } from "./worker.ts";

/** What a post is manned with. */
export interface PostOptions {
  /** What the worker is told. */
  readonly worker: WorkerOptions;
  /** The state to begin with. */
  readonly snapshot: Snapshot;
  /** Shared with all workers. */
  readonly board: LiveBoard;
  /** Hears of its deaths. */
  readonly log: Logger;
  /** What is borne of a worker that doesn't turn. */
  readonly patience: Patience;
  /** Called whenever the worker is to be replaced. */
  readonly onReplace?: (why: Replacement) => void;
  /** Gets what `samplesPerSecond` asks for. */
  readonly onSample?: (sample: Sample) => void;
  /** Called when no worker can be had any more. */
  readonly onLost?: (error: Error) => void;
}

/** Why a worker is replaced: it ended by itself, or had to be ended. */
export type Replacement = "died" | "hung";

/** Time for streams to end when the worker is stopped. */
const STOP_GRACE_MS = 2000;
/** A worker that hasn't ended so long after its streams had to is ended by force. */
const STOP_FORCE_MS = 500;
/** Deaths within a minute after which a worker isn't replaced any more. */
const DEATHS_MAX = 10;
/**
 * How long a replacement is tried for while the addresses are still taken: a worker that died keeps its sockets for a moment
 * after its death is reported, one that hung until its thread has been ended, which takes longer on a busy machine.
 */
const REPLACE_PATIENCE_MS = 10_000;
const REPLACE_PAUSE_MS = 50;

/**
 * Time that a worker which was ended by force has to leave its sockets alone before they are closed: it is ended at its
 * next loop or call, and a number that was closed may be another's by then.
 */
const TERMINATE_MS = 50;
/** Without a beat at so many looks, it isn't taken for granted that a worker answers: half a second. */
const FRESH_LOOKS = 2;

/** A place that one worker at a time fills. */
export class Post implements AsyncDisposable {
  /** What its first worker found. */
  readonly bound: Bound;
  readonly #options: PostOptions;
  /** `null` while there is none: between a death and its replacement, and when none can be had any more. */
  #worker: Worker | null = null;
  /** Of the worker; closed for it when it can't. */
  #descriptors: readonly number[] = [];
  readonly #watch: PulseWatch;
  #isQuiet = false;
  #snapshot: Snapshot;
  #board: LiveBoard;
  #acknowledged = 0;
  #waiting: Waiting[] = [];
  #deaths: number[] = [];
  #replacing: Promise<void> | null = null;
  #lost: Error | null = null;
  #stopping: Promise<void> | null = null;
  readonly #stopped = Promise.withResolvers<void>();

  private constructor(options: PostOptions, launched: Launched) {
    this.bound = launched;
    this.#options = options;
    this.#snapshot = options.snapshot;
    this.#board = options.board;
    this.#watch = new PulseWatch(options.patience);
    this.#employ(launched, options.snapshot);
  }

  /**
   * Starts the worker; resolves when its sockets are bound and answers are being given.
   *
   * @throws {Error} when an address can't be bound, `Deno.errors.AddrInUse` when it is taken
   */
  static async start(options: PostOptions): Promise<Post> {
    return new Post(options, await launch(options.worker, options.snapshot, options.board));
  }

  /** Whether it was given up: no worker survives on it. */
  get isLost(): boolean {
    return this.#lost !== null;
  }

  /** Whether there is a worker, and it has turned in the last seconds. */
  get isAnswering(): boolean {
    return this.#worker !== null && !this.#isQuiet;
  }

  /** Whether there is a worker, and it has turned just now. */
  get isTurning(): boolean {
    const freshMs = FRESH_LOOKS * this.#options.patience.lookMs;
    return this.#worker !== null &&
      (this.#watch.sinceBeatMs < freshMs || this.#watch.hasMoved(this.#board.beatsOf(this.#lane)));
  }

  /** Looks after the worker; to be called every `lookMs` of the patience. One that hangs is replaced. */
  look(): void {
    if (!this.#worker || this.#stopping) return;
    const counters = this.#board.lane(this.#lane);
    const work = counters[COUNTER.queriesUdp]! + counters[COUNTER.queriesTcp]!;
    const pulse = this.#watch.look(performance.now(), this.#board.beatsOf(this.#lane), work);
    this.#isQuiet = pulse !== "turning";
    if (pulse === "hung") this.#end(this.#worker);
  }

  get #lane(): number {
    return this.#options.worker.engine.lane;
  }

  /**
   * Hands a snapshot to the worker; resolves when it answers from it or from a later one, or when it is stopped.
   *
   * @throws {Error} when the post was given up
   */
  publish(snapshot: Snapshot, board: LiveBoard): Promise<void> {
    if (this.#lost) return Promise.reject(this.#lost);
    if (this.#stopping) return Promise.resolve();
    this.#snapshot = snapshot;
    if (board.buffer !== this.#board.buffer) this.#watch.restart(); // until the worker has it, it beats on the old one
    this.#board = board;
    if (this.#worker) this.#use(this.#worker);
    return new Promise((resolve, reject) => this.#waiting.push({ epoch: snapshot.epoch, resolve, reject }));
  }

  /** Stops the worker: UDP at once, streams within two seconds. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#stopping ??= this.#stop();
  }

  async #stop(): Promise<void> {
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
    this.#descriptors = descriptors;
    this.#watch.restart();
    this.#isQuiet = false;
    worker.onmessage = ({ data: report }: MessageEvent<Report>) => {
      if (report.kind === "using") this.#acknowledge(report.epoch);
      else if (report.kind === "samples") this.#readSamples(worker, report.bytes);
      else if (report.kind === "fault") {
        const { kind, reason, asked } = report.fault;
        if (kind === "shortage") {
          this.#options.log.warn("DNS connections over TCP can't be accepted; trying again", { reason });
        } else if (asked) this.#options.log.error("A query could not be answered", { reason, ...asked });
        else this.#options.log.error("Something failed in a DNS worker, which goes on", { reason });
      } else if (report.kind === "stopped") this.#stopped.resolve();
    };
    worker.onerror = (event) => {
      event.preventDefault();
      this.#worker = null;
      closeAbandoned(descriptors);
      if (this.#stopping) this.#stopped.resolve();
      else this.#replacing = this.#replace("died", event.message);
    };
    if (snapshot === this.#snapshot) this.#acknowledge(snapshot.epoch);
    else this.#use(worker);
  }

  /** Ends a worker that hangs, and has it replaced. */
  #end(worker: Worker): void {
    const seconds = this.#watch.sinceBeatMs / 1000;
    this.#worker = null;
    worker.onmessage = null;
    worker.onerror = (event) => event.preventDefault();
    worker.terminate();
    const descriptors = this.#descriptors;
    this.#replacing = new Promise<void>((resolve) => setTimeout(resolve, TERMINATE_MS)).then(() => {
      closeAbandoned(descriptors);
      return this.#replace("hung", `it has not turned for ${seconds} s`);
    });
  }

  #use(worker: Worker): void {
    worker.postMessage(
      { kind: "use", snapshot: this.#snapshot, board: this.#board.buffer } satisfies Order,
    );
  }

  #readSamples(worker: Worker, bytes: Uint8Array): void {
    for (const sample of readSamples(bytes)) this.#options.onSample?.(sample);
    worker.postMessage({ kind: "sampled" } satisfies Order);
  }

  #acknowledge(epoch: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, epoch);
    const done = this.#waiting.filter((waiting) => waiting.epoch <= this.#acknowledged);
    this.#waiting = this.#waiting.filter((waiting) => waiting.epoch > this.#acknowledged);
    for (const { resolve } of done) resolve();
  }

  async #replace(why: Replacement, reason: string): Promise<void> {
    this.#options.log.error(`A DNS worker ${why}; starting another`, { reason });
    this.#options.onReplace?.(why);
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
      throw new Error(`${this.#deaths.length} DNS workers died or hung within a minute: ${reason}`);
    }
  }

  /** Starts a worker on the same addresses. */
  async #employReplacement(): Promise<void> {
    const options = { ...this.#options.worker, listen: this.bound.addresses };
    const untilMs = performance.now() + REPLACE_PATIENCE_MS;
    for (;;) {
      const snapshot = this.#snapshot;
      try {
        return this.#employ(await launch(options, snapshot, this.#board), snapshot);
      } catch (error) {
        const mayPass = error instanceof Deno.errors.AddrInUse || snapshot !== this.#snapshot;
        if (!mayPass || performance.now() > untilMs || this.#stopping) throw error;
        await new Promise((resolve) => setTimeout(resolve, REPLACE_PAUSE_MS));
      }
    }
  }

  #giveUp(error: Error): void {
    if (this.#stopping) return;
    this.#lost = error;
    this.#options.log.error("A DNS worker can't be replaced", { error });
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

/** What a worker could bind. */
export interface Bound {
  /** What is really listened on: port 0 replaced by the port that was found. */
  readonly addresses: readonly SocketAddress[];
  /** What needs no socket of its own. */
  readonly covered: readonly SocketAddress[];
  /** How UDP is served. */
  readonly transport: UdpTransport["name"];
  /** Why the transport isn't the best one; empty = it is, or was asked for. */
  readonly transportNote: string;
}

interface Launched extends Bound {
  readonly worker: Worker;
  readonly descriptors: readonly number[];
}

function launch(options: WorkerOptions, snapshot: Snapshot, board: LiveBoard): Promise<Launched> {
  const worker = startThread("dns", "dns");
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
