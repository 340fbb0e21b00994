/**
 * A DNS worker: binds the sockets it is told to and answers on them, on a thread of its own, so that whatever keeps
 * the main thread busy — a reload, a probe, a request — keeps no client waiting.
 *
 * It knows nothing but the snapshot and the board it was given last. Messages in: `Order`; out: `Report`.
 *
 * @module
 */
import { seededRng, systemClock, systemRng } from "../clock.ts";
import { listenFault, TCP_BACKLOG } from "../sockets/listening.ts";
import type { SocketAddress } from "../ip.ts";
import { LiveBoard } from "../snapshot/live.ts";
import type { Snapshot } from "../snapshot/view.ts";
import { createLogger, type Logger, type LoggerOptions } from "../telemetry/log.ts";
import type { EngineOptions } from "./engine.ts";
import { Exchange, type Fault } from "./exchange.ts";
import { type Patience, PulseWatch } from "./pulse.ts";
import { StreamTurns } from "./stream_turns.ts";
import { type TcpLimits, TcpServer } from "./tcp.ts";
import { PortableUdp, type UdpSocket, type UdpTransport } from "./udp.ts";
import { LinuxUdp } from "./udp_linux.ts";

/** What a worker needs to begin. */
export interface WorkerOptions {
  /** Addresses to answer on; port 0 = any free one. */
  readonly listen: readonly SocketAddress[];
  /** What the engine says about the node. */
  readonly engine: EngineOptions;
  /** Which UDP transport to use; `auto` = the Linux one where it works. */
  readonly transport: "auto" | "linux" | "portable";
  /** Whether other workers answer UDP on the same addresses. */
  readonly sharesPorts: boolean;
  /** Whether this worker answers TCP as well. */
  readonly streams: boolean;
  /** Limits of each TCP listener. */
  readonly tcp: TcpLimits;
  /** Exchanges reported per second at most; 0 = none. */
  readonly samplesPerSecond: number;
  /** One exchange in so many is reported, 1 or more. */
  readonly sampleEvery: number;
  /** How to say by itself that the main thread hangs, which then can't. */
  readonly log: Pick<LoggerOptions, "level" | "format">;
  /** What is borne of the main thread. */
  readonly mainPatience: Patience;
}

/** From the fleet to a worker. */
export type Order =
  | {
    readonly kind: "start";
    readonly options: WorkerOptions;
    readonly snapshot: Snapshot;
    readonly board: SharedArrayBuffer;
  }
  | { readonly kind: "use"; readonly snapshot: Snapshot; readonly board: SharedArrayBuffer }
  /** The last samples have been read, and more may come. */
  | { readonly kind: "sampled" }
  | { readonly kind: "stop"; readonly graceMs: number };

/** From a worker to the fleet. */
export type Report =
  | {
    readonly kind: "listening";
    readonly addresses: readonly SocketAddress[];
    readonly covered: readonly SocketAddress[];
    /** What the fleet has to close when the worker dies. */
    readonly descriptors: readonly number[];
    readonly transport: UdpTransport["name"];
    /** Why the transport isn't the best one; empty = it is, or was asked for. */
    readonly transportNote: string;
  }
  | { readonly kind: "failed"; readonly message: string; readonly taken: boolean }
  | { readonly kind: "using"; readonly epoch: number }
  /** As `readSamples` reads them. */
  | { readonly kind: "samples"; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: "fault"; readonly fault: Fault }
  | { readonly kind: "stopped" };

/** Sockets of one address. */
interface Listener {
  readonly address: SocketAddress;
  readonly udp: UdpSocket;
  /** `null` where another worker answers streams. */
  readonly tcp: Deno.TcpListener | null;
}

/** Time that samples gather before they are reported. */
const REPORT_INTERVAL_MS = 100;

/** For addresses that can't be had. */
const ADVICE = { ss: "-lunp", choice: "--dns ADDR:PORT" };

/** Attempts to find a port that is free for UDP and TCP alike, where any port will do. */
const ANY_PORT_TRIES = 16;

let exchange: Exchange;
let transport: UdpTransport;
let tcpServers: TcpServer[] = [];
let board: LiveBoard;
let log: Logger;
let refill: ReturnType<typeof setInterval> | undefined;
let beating: ReturnType<typeof setInterval> | undefined;
let reporting: ReturnType<typeof setInterval> | undefined;
/** Whether the fleet hasn't read the last samples yet: meanwhile they gather here, where there is a bound. */
let areSamplesUnread = false;

/** The worker's global scope, as far as it is used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<Order>) => void) | null;
  onunhandledrejection: ((event: PromiseRejectionEvent) => void) | null;
  postMessage(report: Report, transfer?: Transferable[]): void;
  close(): void;
}
const scope = globalThis as unknown as WorkerScope;

scope.onmessage = ({ data: order }) => {
  if (order.kind === "start") start(order.options, order.snapshot, order.board);
  else if (order.kind === "use") {
    board = new LiveBoard(order.board);
    exchange.use(order.snapshot, board);
    scope.postMessage({ kind: "using", epoch: order.snapshot.epoch });
  } else if (order.kind === "sampled") areSamplesUnread = false;
  else stop(order.graceMs);
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

function start(options: WorkerOptions, snapshot: Snapshot, buffer: SharedArrayBuffer): void {
  board = new LiveBoard(buffer);
  log = createLogger({ ...options.log, clock: systemClock });
  exchange = new Exchange(options.engine, {
    samplesPerSecond: options.samplesPerSecond,
    sampleEvery: options.sampleEvery,
    rng: seededRng(systemRng()),
    fault: (fault) => scope.postMessage({ kind: "fault", fault }),
  });
  exchange.use(snapshot, board);
  try {
    const chosen = chooseTransport(options);
    transport = chosen.transport;
    const { listeners, covered } = bindAll(options);
    transport.serve(listeners.map(({ udp }) => udp), exchange).catch(endWith);
    const streams = { limits: options.tcp, turns: new StreamTurns(() => transport.answerNow()) };
    tcpServers = listeners.flatMap(({ tcp }) => tcp ? new TcpServer(tcp, exchange, streams) : []);
    beating = startBeating(options);
    refill = setInterval(() => exchange.refill(), 1000);
    if (options.samplesPerSecond > 0) {
      reporting = setInterval(() => areSamplesUnread || reportSamples(), REPORT_INTERVAL_MS);
    }
    scope.postMessage({
      kind: "listening",
      addresses: listeners.map(({ address }) => address),
      covered,
      descriptors: listeners.flatMap(({ udp }) => udp.fd ?? []),
      transport: transport.name,
      transportNote: chosen.note,
    });
  } catch (error) {
    const { message, cause } = error as Error;
    scope.postMessage({ kind: "failed", message, taken: cause instanceof Deno.errors.AddrInUse });
  }
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
    else log.warn("The main thread turns again", { seconds });
  }, mainPatience.lookMs);
}

function chooseTransport(
  { transport: wanted, sharesPorts }: WorkerOptions,
): { transport: UdpTransport; note: string } {
  if (wanted === "portable") return { transport: new PortableUdp(), note: "" };
  try {
    return { transport: new LinuxUdp(sharesPorts), note: "" };
  } catch (error) {
    const note = `The Linux UDP transport can't be used: ${(error as Error).message}`;
    if (wanted === "linux") {
      throw new Error(`${note} (set dns.transport to auto or portable)`, { cause: error });
    }
    return { transport: new PortableUdp(), note };
  }
}

function reportSamples(): void {
  const bytes = exchange.takeSamples();
  if (!bytes) return;
  areSamplesUnread = true;
  scope.postMessage({ kind: "samples", bytes }, [bytes.buffer]);
}

async function stop(graceMs: number): Promise<void> {
  clearInterval(beating);
  clearInterval(refill);
  clearInterval(reporting);
  await Promise.allSettled([transport.stop(), ...tcpServers.map((server) => server.close(graceMs))]);
  reportSamples();
  scope.postMessage({ kind: "stopped" });
  scope.close();
}

/**
 * Binds every address. `::` takes IPv4 too on most systems, so it is bound first, and `0.0.0.0` beside it is then
 * covered; where IPv6 is off, `::` beside `0.0.0.0` is left out.
 *
 * @throws {Error} naming the address that can't be bound and the mend
 */
function bindAll(
  { listen: addresses, streams }: WorkerOptions,
): { listeners: Listener[]; covered: SocketAddress[] } {
  const bound: Listener[] = [];
  const covered: SocketAddress[] = [];
  const wildcardFirst = [...addresses].sort((a, b) =>
    Number(b.hostname === "::") - Number(a.hostname === "::")
  );
  for (const address of wildcardFirst) {
    const twin = (hostname: string, among: readonly SocketAddress[]) =>
      among.some((other) => other.hostname === hostname && other.port === address.port);
    try {
      bound.push(bind(address, streams));
    } catch (error) {
      const coveredByTwin = address.hostname === "0.0.0.0" && error instanceof Deno.errors.AddrInUse &&
        twin("::", bound.map((listener) => listener.address));
      const withoutIpv6 = address.hostname === "::" && twin("0.0.0.0", addresses) &&
        !(error instanceof Deno.errors.AddrInUse) && !(error instanceof Deno.errors.PermissionDenied);
      if (coveredByTwin || withoutIpv6) {
        covered.push(address);
        continue;
      }
      for (const { udp, tcp } of bound) {
        udp[Symbol.dispose]();
        tcp?.close();
      }
      throw new Error(listenFault(address, error, ADVICE), { cause: error });
    }
  }
  return { listeners: bound, covered };
}

function bind({ hostname, port }: SocketAddress, streams: boolean): Listener {
  for (let attempt = 1;; attempt++) {
    const udp = transport.bind({ hostname, port });
    try {
      const tcp = streams
        ? Deno.listen({ transport: "tcp", hostname, port: udp.port, tcpBacklog: TCP_BACKLOG })
        : null;
      return { address: { hostname, port: udp.port }, udp, tcp };
    } catch (error) {
      udp[Symbol.dispose]();
      if (port !== 0 || !(error instanceof Deno.errors.AddrInUse) || attempt === ANY_PORT_TRIES) throw error;
    }
  }
}
