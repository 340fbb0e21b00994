/**
 * A DNS worker: binds the sockets it is told to and answers on them, on a thread of its own, so that whatever keeps
 * the main thread busy — a reload, a probe, a request — keeps no client waiting. A worker answers UDP, or it answers
 * streams: what one client's connection does takes no turn from another client's packet.
 *
 * It knows nothing but the snapshot and the board it was given last. Messages in: `Order`; out: `Report`.
 *
 * @module
 */
import { seededRng, systemClock, systemRng } from "../clock.ts";
import type { SocketAddress } from "../ip.ts";
import { keepLibc } from "../libc.ts";
import { Allowance } from "../license/allowance.ts";
import { LicenseGate } from "../license/gate.ts";
import { LiveBoard } from "../snapshot/live.ts";
import type { Snapshot } from "../snapshot/view.ts";
import { batchSocketFault } from "../sockets/batch_socket.ts";
import { giveWay, takeShortSlices } from "../sockets/scheduling.ts";
import { createLogger, type Logger, type LoggerOptions } from "../telemetry/log.ts";
import { AheadPace } from "./ahead_pace.ts";
import { type BackendDuty, BackendService } from "./backend_service.ts";
import { type AdoptedSocket, BindingFault } from "./binding.ts";
import type { EngineOptions } from "./engine.ts";
import { Exchange, type Fault } from "./exchange.ts";
import type { LimitTerms } from "./limits.ts";
import { type Patience, PulseWatch } from "./pulse.ts";
import type { Bound, Service } from "./service.ts";
import { type Certificate, type StreamDuty, StreamService } from "./stream_service.ts";
import { type UdpDuty, UdpService } from "./udp_service.ts";

/** What a worker needs to begin. */
export interface WorkerOptions {
  /** Addresses to answer on; port 0 = any free one. */
  readonly listen: readonly SocketAddress[];
  /** What the engine says about the node. */
  readonly engine: EngineOptions;
  /** What it answers. */
  readonly duty: UdpDuty | StreamDuty | BackendDuty;
  /** Who is answered, and how much. */
  readonly limits: LimitTerms;
  /** Exchanges reported per second at most; 0 = none. */
  readonly samplesPerSecond: number;
  /** One exchange in so many is reported, 1 or more. */
  readonly sampleEvery: number;
  /** How to say by itself that the main thread hangs, which then can't. */
  readonly log: Pick<LoggerOptions, "level" | "format">;
  /** What is borne of the main thread. */
  readonly mainPatience: Patience;
  /** How much all workers together may answer, as the buffer of an `Allowance`; absent = whatever is asked. */
  readonly allowance?: SharedArrayBuffer;
}

/** From the fleet to a worker. */
export type Order =
  | {
    readonly kind: "start";
    readonly options: WorkerOptions;
    readonly snapshot: Snapshot;
    readonly board: SharedArrayBuffer;
    /** UDP only: whether all but the sockets is to be made ready, until `adopt`. */
    readonly awaitsSockets: boolean;
  }
  /** Answer on these addresses: on these sockets where they are of one, and on others that are bound. */
  | {
    readonly kind: "adopt";
    readonly sockets: readonly AdoptedSocket[];
    /** Instead of those of the options. */
    readonly listen: readonly SocketAddress[];
  }
  | { readonly kind: "use"; readonly snapshot: Snapshot; readonly board: SharedArrayBuffer }
  | { readonly kind: "limit"; readonly limits: LimitTerms }
  /** Streams only. */
  | { readonly kind: "certify"; readonly certificate: Certificate }
  /** The last samples have been read, and more may come. */
  | { readonly kind: "sampled" }
  /** Count so many queries a second for the query sketch from now on; 0 = none, as in the beginning. */
  | { readonly kind: "count"; readonly share: number }
  /** What was counted last has been read, and more may come. */
  | { readonly kind: "counted" }
  /** UDP only: answer all for so long from now on, however old. */
  | { readonly kind: "answer_all"; readonly forMs: number }
  /** UDP only: receive nothing until `resume`. */
  | { readonly kind: "pause" }
  | { readonly kind: "resume" }
  | { readonly kind: "stop"; readonly graceMs: number; readonly isSucceeded: boolean };

/** From a worker to the fleet. */
export type Report =
  /** The thread has loaded, and hears orders. */
  | { readonly kind: "loaded" }
  /** All but the sockets is ready. */
  | { readonly kind: "prepared" }
  /** What was received is answered, and nothing more is received. */
  | { readonly kind: "paused" }
  | { readonly kind: "listening"; readonly bound: Bound }
  | {
    readonly kind: "failed";
    readonly message: string;
    /** The address that is taken, if that is why. */
    readonly taken: SocketAddress | null;
  }
  | { readonly kind: "using"; readonly epoch: number }
  /** As `readSamples` reads them. */
  | { readonly kind: "samples"; readonly bytes: Uint8Array<ArrayBuffer> }
  /** As `readTraffic` reads it. */
  | { readonly kind: "traffic"; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: "fault"; readonly fault: Fault }
  /** The last certificate is served, or isn't for a reason. */
  | { readonly kind: "certified"; readonly fault: string | null }
  /** A descriptor was opened that isn't closed with the thread, and another is about to be closed. */
  | { readonly kind: "holds" | "let_go"; readonly descriptor: number }
  | { readonly kind: "stopped" };

/** Time that samples gather before they are reported. */
const REPORT_INTERVAL_MS = 100;

/**
 * How much the thread of streams gives way to those of UDP on a processor that they share. A UDP worker that shared its
 * processor with 1,024 pipelining connections waited 0.3–4.7 ms for each of its slices among equals, 0.1–0.4 ms at 5 steps
 * and 0.02–0.09 ms at 10 (`schedstat`, a busy machine of two cores, 2026-11). A quarter of a processor is left to streams
 * beside one busy thread of UDP, and less beside other programs: at 10 steps, a tenth, an answer over TCP took 5 s where
 * five threads kept both processors busy and thousands of connections came.
 */
const STREAM_NICENESS = 5;
/**
 * A slice of a worker of UDP, as long as a thousand answers take. On a processor with three other busy threads it waited 24 µs for each of its
 * slices instead of 41 µs (`schedstat`, 2026-11), and answers came within 0.2 ms instead of 0.5 ms.
 */
const UDP_SLICE_NS = 300_000;
/** Milliseconds that decisions are made ahead in one go; a packet waits no longer for it than for a costly query. */
const AHEAD_SLICE_MS = 0.2;

let exchange: Exchange;
/** What it was started with. */
let given: WorkerOptions;
let service: Service;
let board: LiveBoard;
let log: Logger;
let ahead: ReturnType<typeof setTimeout> | undefined;
const aheadPace = new AheadPace();
let refill: ReturnType<typeof setInterval> | undefined;
let beating: ReturnType<typeof setInterval> | undefined;
let reporting: ReturnType<typeof setInterval> | undefined;
/** Whether the fleet hasn't read the last samples yet: meanwhile they gather here, where there is a bound. */
let areSamplesUnread = false;
/** The same of counted queries. */
let isTrafficUnread = false;

/** The worker's global scope, as far as it is used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<Order>) => void) | null;
  onunhandledrejection: ((event: PromiseRejectionEvent) => void) | null;
  postMessage(report: Report, transfer?: Transferable[]): void;
  close(): void;
}
const scope = globalThis as unknown as WorkerScope;

scope.onmessage = ({ data: order }) => {
  if (order.kind === "start") start(order);
  else if (order.kind === "adopt") {
    given = { ...given, listen: order.listen };
    listen(order.sockets);
  } else if (order.kind === "use") {
    board = new LiveBoard(order.board);
    exchange.use(order.snapshot, board);
    scope.postMessage({ kind: "using", epoch: order.snapshot.epoch });
  } else if (order.kind === "limit") exchange.limit(order.limits);
  else if (order.kind === "certify") certify(order.certificate);
  else if (order.kind === "sampled") areSamplesUnread = false;
  else if (order.kind === "counted") isTrafficUnread = false;
  else if (order.kind === "count") {
    reportTraffic();
    exchange.countTraffic(order.share);
  } else if (order.kind === "pause") {
    service.pause?.().then(() => scope.postMessage({ kind: "paused" }));
  } else if (order.kind === "resume") service.resume?.();
  else if (order.kind === "answer_all") service.answerAll?.(order.forMs);
  else stop(order);
};

/**
 * A rejection that nothing waits for belongs to one exchange or one connection: it is told, counted, and the worker goes
 * on. What it can't do without ends it (`endWith`), and so does every error that is thrown: then another takes its place.
 */
scope.onunhandledrejection = (event) => {
  if (event.reason instanceof EndOfWorker) return;
  event.preventDefault();
  exchange?.complain(event.reason);
};

/** Ends the worker with an error that the fleet hears of. */
function endWith(cause: unknown): void {
  Promise.reject(new EndOfWorker(cause instanceof Error ? cause.message : String(cause), { cause }));
}

/** What ends the worker. */
class EndOfWorker extends Error {}

function start({ options, snapshot, board: buffer, awaitsSockets }: Extract<Order, { kind: "start" }>): void {
  given = options;
  keepLibc(); // as long as the thread lives
  board = new LiveBoard(buffer);
  log = createLogger({ ...options.log, clock: systemClock });
  exchange = new Exchange(options.engine, {
    samplesPerSecond: options.samplesPerSecond,
    sampleEvery: options.sampleEvery,
    rng: seededRng(systemRng()),
    fault: (fault) => scope.postMessage({ kind: "fault", fault }),
  }, options.allowance && new LicenseGate(new Allowance(options.allowance), systemClock.unixMs));
  exchange.use(snapshot, board);
  exchange.limit(options.limits);
  if (awaitsSockets) {
    batchSocketFault(); // loads what the sockets need, which nothing then has to wait for
    scope.postMessage({ kind: "prepared" });
  } else listen([]);
}

/** @param adopted sockets of another process, for UDP */
function listen(adopted: readonly AdoptedSocket[]): void {
  const { duty } = given;
  const options = duty.kind === "udp" ? { ...given, duty: { ...duty, adopted } } : given;
  try {
    service = serve(options);
  } catch (error) {
    const taken = error instanceof BindingFault && error.cause instanceof Deno.errors.AddrInUse
      ? error.address
      : null;
    scope.postMessage({ kind: "failed", message: (error as Error).message, taken });
    return;
  }
  beating = startBeating(options);
  refill = setInterval(() => {
    exchange.refill();
    if (!isTrafficUnread) reportTraffic();
  }, 1000);
  makeAhead();
  if (options.samplesPerSecond > 0) {
    reporting = setInterval(() => areSamplesUnread || reportSamples(), REPORT_INTERVAL_MS);
  }
  scope.postMessage({ kind: "listening", bound: service.bound });
}

function serve({ duty, listen }: WorkerOptions): Service {
  if (duty.kind !== "streams") takeShortSlices(UDP_SLICE_NS);
  if (duty.kind === "udp") {
    return new UdpService(duty, { listen, exchange, onEnd: endWith });
  }
  if (duty.kind === "backend") {
    return new BackendService(duty, {
      ...{ exchange, onEnd: endWith },
      onHold: (descriptor) => scope.postMessage({ kind: "holds", descriptor }),
      onLetGo: (descriptor) => scope.postMessage({ kind: "let_go", descriptor }),
    });
  }
  const streams = new StreamService(duty, { listen, exchange });
  // Not before: a node waits for these listeners, and one that takes the place of another on a busy machine.
  giveWay(STREAM_NICENESS);
  return streams;
}

/**
 * Moves the worker's heartbeat each time the event loop comes round, and looks whether the main thread moves its own: as
 * long as it doesn't, health and changes stand still, and no one else is there to say so.
 */
function startBeating({ engine, mainPatience }: WorkerOptions): ReturnType<typeof setInterval> {
  const watch = new PulseWatch(mainPatience);
  let isHung = false;
  return setInterval(() => {
    board.beat(engine.lane);
    const hungBefore = isHung;
    const seconds = Math.round(watch.sinceBeatMs / 1000);
    isHung = watch.look(performance.now(), board.mainBeats, 0) === "hung";
    if (isHung === hungBefore || engine.lane > 0) return;
    if (isHung) log.error("The main thread hangs: DNS goes on, health checks, changes and the API don't");
    else log.warn("The main thread runs again", { seconds });
  }, mainPatience.lookMs);
}

/** Makes decisions by client ahead, in slices so short that no packet notices, and so far apart that load doesn't. */
function makeAhead(): void {
  const end = performance.now() + AHEAD_SLICE_MS;
  const isMore = exchange.makeAhead(() => performance.now() >= end);
  ahead = setTimeout(makeAhead, aheadPace.pauseMs(isMore, exchange.queries, performance.now()));
}

function reportSamples(): void {
  const bytes = exchange.takeSamples();
  if (!bytes) return;
  areSamplesUnread = true;
  scope.postMessage({ kind: "samples", bytes }, [bytes.buffer]);
}

function reportTraffic(): void {
  const bytes = exchange.takeTraffic();
  if (!bytes) return;
  isTrafficUnread = true;
  scope.postMessage({ kind: "traffic", bytes }, [bytes.buffer]);
}

async function certify(certificate: Certificate): Promise<void> {
  const fault = await service.certify?.(certificate).then(() => null, (error: Error) => error.message) ??
    null;
  scope.postMessage({ kind: "certified", fault });
}

async function stop(
  { graceMs, isSucceeded }: { readonly graceMs: number; readonly isSucceeded: boolean },
): Promise<void> {
  clearInterval(beating);
  clearInterval(refill);
  clearTimeout(ahead);
  clearInterval(reporting);
  await service.stop(graceMs, isSucceeded).catch(() => {}); // it can't be read any more, which has been told
  reportSamples();
  reportTraffic();
  scope.postMessage({ kind: "stopped" });
  scope.close();
}

scope.postMessage({ kind: "loaded" });
