/**
 * The supervisor of one DNS worker, on the main thread: starts it, hands it each new snapshot and waits until it answers from
 * it, replaces it when it dies or doesn't turn any more, stops it.
 *
 * @module
 */
import type { LiveBoard } from "../snapshot/live.ts";
import type { Snapshot } from "../snapshot/view.ts";
import type { Logger } from "../telemetry/log.ts";
import { COUNTER } from "./counters.ts";
import type { AdoptedSocket } from "./binding.ts";
import type { LimitTerms } from "./limits.ts";
import { type Patience, PulseWatch } from "./pulse.ts";
import { readSamples, type Sample } from "./samples.ts";
import type { Bound } from "./service.ts";
import type { Certificate } from "./stream_service.ts";
import { closeAbandoned } from "../sockets/batch_socket.ts";
import { ARRIVAL_MS_MAX, QUEUE_MS_MAX } from "../sockets/listener_control.ts";
import { type CountedQuery, readTraffic } from "./traffic_block.ts";
import type { Order, Report, WorkerOptions } from "./worker.ts";
import { AddressTaken, type Adoption, type Launched, WorkerLaunch } from "./worker_launch.ts";

/** What a worker is supervised with. */
export interface SupervisedWorkerOptions {
  /** As the log calls it, such as `A DNS worker`. */
  readonly title: string;
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
  /** After how many milliseconds one that was given up is tried again; `null` = it never is. */
  readonly retryMs: number | null;
  /** Called whenever the worker is to be replaced. */
  readonly onReplace?: (why: Replacement) => void;
  /** Gets what `samplesPerSecond` asks for. */
  readonly onSample?: (sample: Sample) => void;
  /** Gets what `countTraffic` asks for. */
  readonly onCounted?: (counted: CountedQuery) => void;
}

/** Why a worker is replaced: it ended by itself, or had to be ended. */
export type Replacement = "died" | "hung";

/** Time for streams to end when the worker is stopped. */
const STOP_GRACE_MS = 2000;
/** Where another process goes on, so that no client loses anything. */
const LEAVE_GRACE_MS = 5000;
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

/** One worker after the other, at most one at a time. */
export class SupervisedWorker implements AsyncDisposable {
  /** What its first worker found. */
  readonly bound: Bound;
  /** Resolves when it is given up and won't be tried again. */
  readonly lost: Promise<Error>;
  readonly #options: SupervisedWorkerOptions;
  /** `null` while there is none: between a death and its replacement, and when none can be had. */
  #worker: Worker | null = null;
  /** Of the worker; closed for it when it can't. */
  #held: Set<number> = new Set();
  /** Those of them that another process can go on with. */
  #sockets: readonly AdoptedSocket[] = [];
  /** The replacement that is being started. */
  #launch: WorkerLaunch | null = null;
  readonly #watch: PulseWatch;
  #isQuiet = false;
  #snapshot: Snapshot;
  #board: LiveBoard;
  /** Queries counted a second, by the worker at hand and every one that takes its place. */
  #trafficShare = 0;
  #limits: LimitTerms;
  /** The last that it was told to serve; `null` = none since the start. */
  #certificate: Certificate | null = null;
  #acknowledged = 0;
  #waiting: Waiting[] = [];
  #deaths: number[] = [];
  #replacing: Promise<void> | null = null;
  #givenUp: Error | null = null;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #stopping: Promise<void> | null = null;
  /** Until the worker says that it pauses. */
  #pausing: PromiseWithResolvers<void> | null = null;
  #isSucceeded = false;
  readonly #stopped = Promise.withResolvers<"ended" | "late">();
  readonly #lost = Promise.withResolvers<Error>();

  private constructor(options: SupervisedWorkerOptions, launched: Launched) {
    this.bound = launched.bound;
    this.lost = this.#lost.promise;
    this.#options = options;
    this.#snapshot = options.snapshot;
    this.#board = options.board;
    this.#limits = options.worker.limits;
    this.#watch = new PulseWatch(options.patience);
    this.#supervise(launched, options.snapshot);
  }

  /**
   * Starts the worker; resolves when its sockets are bound and answers are being given.
   *
   * @param launch a thread that is loading already
   * @throws {AddressTaken} when an address is taken
   * @throws {Error} when an address can't be bound
   */
  static async start(options: SupervisedWorkerOptions, launch: WorkerLaunch): Promise<SupervisedWorker> {
    const { worker, snapshot, board } = options;
    return new SupervisedWorker(options, await launch.begin(worker, snapshot, board));
  }

  /** The same of a thread that was prepared with these options, and that gets sockets of another process. */
  static async adopt(
    options: SupervisedWorkerOptions,
    launch: WorkerLaunch,
    adoption: Adoption,
  ): Promise<SupervisedWorker> {
    return new SupervisedWorker(options, await launch.adopt(adoption));
  }

  /** Whether it was given up: no worker survives. */
  get isGivenUp(): boolean {
    return this.#givenUp !== null;
  }

  /** Whether there is a worker, and it has turned in the last seconds. */
  get isAnswering(): boolean {
    return this.#worker !== null && !this.#isQuiet;
  }

  /** Whether there is a worker, and it has turned just now, or it has been told to stop. */
  get isTurning(): boolean {
    if (this.#stopping !== null) return true; // nothing is waited for that it does
    const freshMs = FRESH_LOOKS * this.#options.patience.lookMs;
    return this.#worker !== null &&
      (this.#watch.sinceBeatMs < freshMs || this.#watch.hasMoved(this.#board.beatsOf(this.#lane)));
  }

  /** Looks after the worker; to be called every `lookMs` of the patience. One that hangs is replaced. */
  look(): void {
    if (this.#stopping || !(this.#worker ?? this.#launch)) return;
    const counters = this.#board.lane(this.#lane);
    const work = counters[COUNTER.queriesUdp]! + counters[COUNTER.queriesTcp]!;
    const pulse = this.#watch.look(performance.now(), this.#board.beatsOf(this.#lane), work);
    this.#isQuiet = pulse !== "turning";
    if (pulse === "hung" && this.#worker) this.#end(this.#worker);
    // A start takes its time on a busy machine, so it gets all that there is.
    const seconds = this.#watch.sinceBeatMs / 1000;
    if (seconds * 1000 >= this.#options.patience.deafMs) {
      this.#launch?.abort(new Error(`it has not begun to answer within ${seconds} s`));
    }
  }

  get #lane(): number {
    return this.#options.worker.engine.lane;
  }

  /**
   * Hands a snapshot to the worker; resolves when it answers from it or from a later one, or when it is stopped.
   *
   * @throws {Error} when it was given up; should it be tried again, it begins with this snapshot
   */
  publish(snapshot: Snapshot, board: LiveBoard): Promise<void> {
    if (this.#stopping) return Promise.resolve();
    this.#snapshot = snapshot;
    if (board.buffer !== this.#board.buffer) this.#watch.restart(); // until the worker has it, it beats on the old one
    this.#board = board;
    if (this.#givenUp) return Promise.reject(this.#givenUp);
    if (this.#worker) this.#use(this.#worker);
    return new Promise((resolve, reject) => this.#waiting.push({ epoch: snapshot.epoch, resolve, reject }));
  }

  /** Has the worker count so many queries a second from now on; 0 = none. */
  countTraffic(share: number): void {
    this.#trafficShare = share;
    if (this.#worker) this.#count(this.#worker);
  }

  /** Has the worker go by these limits, and every one that takes its place. */
  limit(limits: LimitTerms): void {
    this.#limits = limits;
    this.#worker?.postMessage({ kind: "limit", limits } satisfies Order);
  }

  /** Has a worker of streams serve this certificate, and every one that takes its place. */
  certify(certificate: Certificate): void {
    this.#certificate = certificate;
    this.#worker?.postMessage({ kind: "certify", certificate } satisfies Order);
  }

  /** The sockets of the worker; none while there is no worker. */
  get sockets(): readonly AdoptedSocket[] {
    return this.#worker === null ? [] : this.#sockets;
  }

  /** Has a worker of UDP answer all for so long from now on, however old. */
  answerAll(forMs: number): void {
    this.#worker?.postMessage({ kind: "answer_all", forMs } satisfies Order);
  }

  /**
   * Has a worker of UDP receive nothing more until `resume`; resolves when what it received is answered.
   *
   * @throws {Error} when there is no worker to pause, or it ends meanwhile
   */
  async pause(): Promise<void> {
    if (this.#worker === null) throw new Error("a DNS worker is being replaced");
    this.#pausing = Promise.withResolvers();
    this.#worker.postMessage({ kind: "pause" } satisfies Order);
    await this.#pausing.promise;
  }

  /** Has it go on. */
  resume(): void {
    this.#pausing = null;
    this.#worker?.postMessage({ kind: "resume" } satisfies Order);
  }

  /** Stops it as `dispose` does where another process answers at the same addresses: what is on its way is waited for. */
  succeed(): void {
    this.#isSucceeded = true;
    this[Symbol.asyncDispose]();
  }

  /** Stops the worker: UDP at once, streams within two seconds. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#stopping ??= this.#stop();
  }

  async #stop(): Promise<void> {
    clearTimeout(this.#retry);
    this.#launch?.abort(new Error("it is stopped"));
    await this.#replacing;
    const worker = this.#worker;
    if (worker) {
      const isSucceeded = this.#isSucceeded;
      const graceMs = isSucceeded ? LEAVE_GRACE_MS : STOP_GRACE_MS;
      worker.postMessage({ kind: "stop", graceMs, isSucceeded } satisfies Order);
      const arrivalMs = isSucceeded ? ARRIVAL_MS_MAX + QUEUE_MS_MAX : 0;
      const deadlineMs = arrivalMs + graceMs + STOP_FORCE_MS;
      const deadline = setTimeout(this.#stopped.resolve, deadlineMs, "late");
      const end = await this.#stopped.promise;
      clearTimeout(deadline);
      worker.terminate();
      if (end === "late") await closeAfter(this.#held);
    }
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }

  /** Takes charge of a worker; it was started with `snapshot`, and another may have been published meanwhile. */
  #supervise({ worker, bound: { descriptors, sockets } }: Launched, snapshot: Snapshot): void {
    this.#worker = worker;
    this.#sockets = sockets;
    const held = this.#held = new Set(descriptors);
    this.#watch.restart();
    this.#isQuiet = false;
    worker.onmessage = ({ data: report }: MessageEvent<Report>) => {
      if (report.kind === "using") this.#acknowledge(report.epoch);
      else if (report.kind === "samples") this.#readSamples(worker, report.bytes);
      else if (report.kind === "traffic") this.#readTraffic(worker, report.bytes);
      else if (report.kind === "fault") {
        const { kind, reason, asked } = report.fault;
        if (kind === "shortage") {
          this.#options.log.warn("DNS connections over TCP can't be accepted; trying again", { reason });
        } else if (asked) this.#options.log.error("A query could not be answered", { reason, ...asked });
        else this.#options.log.error("Something failed in a DNS worker, which goes on", { reason });
      } else if (report.kind === "paused") this.#pausing?.resolve();
      else if (report.kind === "certified") this.#tellOfCertificate(report.fault);
      else if (report.kind === "holds") held.add(report.descriptor);
      else if (report.kind === "let_go") held.delete(report.descriptor);
      else if (report.kind === "stopped") this.#stopped.resolve("ended");
    };
    worker.onerror = (event) => {
      event.preventDefault();
      if (this.#worker !== worker) return;
      this.#worker = null;
      this.#pausing?.reject(new Error(`a DNS worker died: ${event.message}`));
      closeAbandoned([...held]);
      if (this.#stopping) this.#stopped.resolve("ended");
      else this.#replacing = this.#replace("died", event.message);
    };
    if (this.#trafficShare > 0) this.#count(worker);
    if (snapshot === this.#snapshot) this.#acknowledge(snapshot.epoch);
    else this.#use(worker);
  }

  #tellOfCertificate(fault: string | null): void {
    const { log } = this.#options;
    if (fault === null) log.info("DNS over TLS and HTTPS serve the new certificate");
    else {log.error("DNS over TLS and HTTPS keep their certificate: the new one can't be served", {
        reason: fault,
      });}
  }

  /** Ends a worker that hangs, and has it replaced. */
  #end(worker: Worker): void {
    const seconds = this.#watch.sinceBeatMs / 1000;
    this.#worker = null;
    this.#pausing?.reject(new Error("a DNS worker hangs"));
    worker.onmessage = null;
    worker.onerror = (event) => event.preventDefault();
    worker.terminate();
    this.#replacing = closeAfter(this.#held)
      .then(() => this.#replace("hung", `it has not run for ${seconds} s`));
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

  #count(worker: Worker): void {
    worker.postMessage({ kind: "count", share: this.#trafficShare } satisfies Order);
  }

  #readTraffic(worker: Worker, bytes: Uint8Array): void {
    for (const counted of readTraffic(bytes)) this.#options.onCounted?.(counted);
    worker.postMessage({ kind: "counted" } satisfies Order);
  }

  #acknowledge(epoch: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, epoch);
    const done = this.#waiting.filter((waiting) => waiting.epoch <= this.#acknowledged);
    this.#waiting = this.#waiting.filter((waiting) => waiting.epoch > this.#acknowledged);
    for (const { resolve } of done) resolve();
  }

  async #replace(why: Replacement, reason: string): Promise<void> {
    this.#options.log.error(`${this.#options.title} ${why}; starting another`, { reason });
    this.#options.onReplace?.(why);
    try {
      this.#countDeath(reason);
      await this.#startAnother();
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
  async #startAnother(): Promise<void> {
    const untilMs = performance.now() + REPLACE_PATIENCE_MS;
    while (!this.#stopping) {
      const snapshot = this.#snapshot;
      const limits = this.#limits;
      const certificate = this.#certificate;
      const options = {
        ...this.#options.worker,
        ...resumed(this.#options.worker, this.bound, certificate),
        limits,
      };
      try {
        this.#supervise(await this.#launchAnother(options, snapshot), snapshot);
        if (limits !== this.#limits) this.limit(this.#limits);
        if (this.#certificate !== null && certificate !== this.#certificate) this.certify(this.#certificate);
        return;
      } catch (error) {
        const mayPass = error instanceof AddressTaken || snapshot !== this.#snapshot;
        if (!mayPass || performance.now() > untilMs) throw error;
        await new Promise((resolve) => setTimeout(resolve, REPLACE_PAUSE_MS));
      }
    }
  }

  async #launchAnother(options: WorkerOptions, snapshot: Snapshot): Promise<Launched> {
    this.#watch.restart();
    this.#launch = new WorkerLaunch(options.duty.kind);
    try {
      return await this.#launch.begin(options, snapshot, this.#board);
    } finally {
      this.#launch = null;
    }
  }

  #giveUp(error: Error): void {
    if (this.#stopping) return;
    const { title, log, retryMs } = this.#options;
    this.#givenUp = error;
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    if (retryMs === null) {
      log.error(`${title} can't be replaced`, { error });
      this.#lost.resolve(error);
      return;
    }
    log.error(`${title} can't be replaced; trying again later`, { error, afterSeconds: retryMs / 1000 });
    this.#retry = setTimeout(() => {
      this.#replacing = this.#tryAgain();
    }, retryMs);
  }

  async #tryAgain(): Promise<void> {
    try {
      await this.#startAnother();
      if (this.#worker) {
        this.#givenUp = null;
        this.#options.log.warn(`${this.#options.title} answers again`);
      }
    } catch (error) {
      this.#giveUp(error as Error);
    }
    this.#replacing = null;
  }
}

/** The same addresses for one that takes the place of another, ports that were found included, and the last certificate. */
function resumed(
  { duty }: WorkerOptions,
  { addresses, encrypted: { tls, https } }: Bound,
  certificate: Certificate | null,
): Pick<WorkerOptions, "listen" | "duty"> {
  if (duty.kind === "udp") {
    // What was adopted was closed with the worker.
    const company = duty.company === "none" ? "none" : "now";
    return { listen: addresses, duty: { ...duty, company } };
  }
  // It had the path; who has it by now is its successor.
  if (duty.kind === "backend") return { listen: addresses, duty: { ...duty, takesOver: false } };
  if (duty.encrypted === null) return { listen: addresses, duty };
  const encrypted = { ...duty.encrypted, tls, https, ...(certificate && { certificate }) };
  return { listen: addresses, duty: { ...duty, encrypted } };
}

/** Closes what a worker that was ended by force has left open. */
async function closeAfter(descriptors: Iterable<number>): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, TERMINATE_MS));
  closeAbandoned([...descriptors]);
}

/** What waits until a snapshot is in the answers. */
interface Waiting {
  readonly epoch: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}
