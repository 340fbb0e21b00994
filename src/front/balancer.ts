/**
 * A running balancer, on the main thread: starts its two threads on one port, looks into the directory, writes the log and
 * tells what its threads know to whoever connects to `DIR/.balstat`.
 *
 * @module
 */
import { join } from "node:path";
import { isAlreadyThere, listDirectory } from "./directory.ts";
import type { Clock } from "../clock.ts";
import type { SocketAddress } from "../ip.ts";
import { startThread } from "../thread.ts";
import { type FrontEvent, type FrontLevel, type FrontLog, frontLog } from "./front_log.ts";
import { StatusSocket } from "./status_socket.ts";
import type { RelayCounts } from "./relay.ts";
import type { FrontDuty, FrontOrder, FrontReport, UdpState } from "./worker.ts";

/** How often the directory is looked into, milliseconds. */
const DISCOVERY_MS = 5_000;
/** Attempts to find a port that is free for UDP and TCP alike, where any port will do. */
const ANY_PORT_TRIES = 16;
/** Milliseconds that a thread has to end. */
const STOP_MS = 2_000;
/** The file of the status socket: a name that is never a backend's. */
export const STATUS_NAME = ".balstat";

/** How a balancer is started. */
export interface BalancerOptions {
  /** Where clients ask; port 0 = any free one. */
  readonly address: SocketAddress;
  /** Where the sockets of backends are. */
  readonly directory: string;
  /** What is said. */
  readonly level: FrontLevel;
  /** Gets what is said. */
  readonly take: (event: FrontEvent) => void;
  /** Stamps reports. */
  readonly clock: Pick<Clock, "unixMs">;
}

/** A balancer that forwards. Disposing stops it. */
export class Balancer implements AsyncDisposable {
  /** What clients ask. */
  readonly address: SocketAddress;
  /** Resolves with the reason when it can't go on. */
  readonly lost: Promise<Error>;
  readonly #udp: FrontThread;
  readonly #tcp: FrontThread;
  readonly #options: BalancerOptions;
  readonly #log: FrontLog;
  readonly #discovery: ReturnType<typeof setInterval>;
  readonly #startedUnixMs: number;
  #status: StatusSocket | null = null;
  /** Why the directory can't be read; `null` = it can. */
  #unreadable: string | null = null;
  #isListing = false;

  private constructor({ udp, tcp, port }: Threads, log: FrontLog, options: BalancerOptions) {
    this.#udp = udp;
    this.#tcp = tcp;
    this.#options = options;
    this.#log = log;
    this.#startedUnixMs = options.clock.unixMs();
    this.address = { hostname: options.address.hostname, port };
    this.lost = Promise.race([udp.lost, tcp.lost]);
    this.#discovery = setInterval(() => void this.#discover(), DISCOVERY_MS);
  }

  /**
   * Starts; resolves when it listens.
   *
   * @throws {Error} when the address can't be had, or the threads can't be used here
   */
  static async start(options: BalancerOptions): Promise<Balancer> {
    const log = frontLog(options.level, options.take);
    const balancer = new Balancer(await startThreads(options), log, options);
    try {
      balancer.#status = StatusSocket.open(join(options.directory, STATUS_NAME), {
        rows: () => balancer.#rows(),
        onError: (reason) => log.warn("balstat can't be served", { reason }),
      });
      await balancer.#discover();
    } catch (error) {
      await balancer[Symbol.asyncDispose]();
      throw error;
    }
    return balancer;
  }

  /** Ends it: nothing is forwarded any more, connections are reset. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#discovery);
    this.#status?.[Symbol.dispose]();
    await Promise.all([this.#udp.stop(), this.#tcp.stop()]);
  }

  async #discover(): Promise<void> {
    if (this.#isListing) return; // a directory that hangs isn't asked again before it has answered
    this.#isListing = true;
    const { directory } = this.#options;
    try {
      const { names, isWhole } = await listDirectory(directory);
      this.#udp.tell({ kind: "names", directory, names });
      if (!isWhole) {
        this.#log.warn("the directory has too many entries: some are left out", { path: directory });
      }
      if (this.#unreadable !== null) this.#log.info("the directory can be read again", { path: directory });
      this.#unreadable = null;
      // The directory may have been made after we began, or made again.
      if (this.#status && !isAlreadyThere(this.#status.path)) this.#status.reopen();
    } catch (error) {
      const reason = (error as Error).message;
      if (reason !== this.#unreadable) {
        this.#log.error("the directory can't be read", { path: directory, reason });
      }
      this.#unreadable = reason;
    } finally {
      this.#isListing = false;
    }
  }

  /** What there is to tell, a row an object: the balancer, backends, then clients, in parts. */
  async *#rows(): AsyncGenerator<StatusRow> {
    const tcp = await this.#tcp.report<RelayCounts>(0, 0);
    for (let from = 0;; from += ROWS_AT_ONCE) {
      const state = await this.#udp.report<UdpState>(from, ROWS_AT_ONCE);
      const unixMs = (ms: number) => Math.round(this.#options.clock.unixMs() - state.nowMs + ms);
      if (from === 0) {
        const { hostname, port } = this.address;
        const started = new Date(this.#startedUnixMs).toISOString();
        yield {
          balancer: {
            ...{ address: hostname, port, directory: this.#options.directory, pid: Deno.pid, started },
            ...{ udp: state.counts, tcp, clients: state.clients },
          },
        };
        for (const backend of state.backends) yield { backend };
      }
      for (const { firstSeenMs, lastSeenMs, ...remote } of state.remotes) {
        const seen = { firstSeen: isoOf(unixMs(firstSeenMs)), lastSeen: isoOf(unixMs(lastSeenMs)) };
        yield { remote: { ...remote, ...seen } };
      }
      if (state.remotes.length < ROWS_AT_ONCE) return;
    }
  }
}

/** A line of the status socket. */
export type StatusRow = Readonly<Record<string, object>>;

/** Clients that a thread makes rows of in one go: a millisecond. */
const ROWS_AT_ONCE = 1_024;

function isoOf(unixMs: number): string {
  return new Date(unixMs).toISOString();
}

interface Threads {
  readonly udp: FrontThread;
  readonly tcp: FrontThread;
  readonly port: number;
}

async function startThreads(options: BalancerOptions): Promise<Threads> {
  for (let attempt = 1;; attempt++) {
    const { port1, port2 } = new MessageChannel();
    const tcp = new FrontThread("tcp", options.take);
    const udp = new FrontThread("udp", options.take);
    try {
      const { level, address } = options;
      // TCP first: its port is never shared, which keeps two balancers off one port.
      const { hostname } = address;
      const port = await tcp.start({ address, level, peer: port1 });
      await udp.start({ address: { hostname, port }, level, peer: port2 });
      return { udp, tcp, port };
    } catch (error) {
      await Promise.all([udp.stop(), tcp.stop()]);
      for (const port of [port1, port2]) port.close();
      const wasFound = options.address.port === 0 && error instanceof Deno.errors.AddrInUse;
      if (!wasFound || attempt === ANY_PORT_TRIES) throw error;
    }
  }
}

/** A thread and what it is asked. */
class FrontThread {
  /** Resolves with the reason when it dies. */
  readonly lost: Promise<Error>;
  readonly #duty: FrontDuty;
  readonly #worker: Worker;
  readonly #lost = Promise.withResolvers<Error>();
  readonly #listening = Promise.withResolvers<number>();
  readonly #stopped = Promise.withResolvers<void>();
  readonly #asked: ((answer: unknown) => void)[] = [];

  constructor(duty: FrontDuty, take: (event: FrontEvent) => void) {
    this.#duty = duty;
    this.lost = this.#lost.promise;
    this.#listening.promise.catch(() => {}); // told to whoever starts it
    this.#worker = startThread("front", `front ${duty}`);
    this.#worker.onmessage = ({ data: report }: MessageEvent<FrontReport>) => {
      if (report.kind === "log") take(report.event);
      else if (report.kind === "listening") this.#listening.resolve(report.port);
      else if (report.kind === "failed") this.#fail(report);
      else if (report.kind === "udp") this.#asked.shift()?.(report.state);
      else if (report.kind === "tcp") this.#asked.shift()?.(report.counts);
      else this.#stopped.resolve();
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#fail({ message: event.message, isTaken: false });
      this.#stopped.resolve();
    };
  }

  /** Resolves with the port when it listens. @throws {Error} when it can't */
  start(
    options: { readonly address: SocketAddress; readonly level: FrontLevel; readonly peer: MessagePort },
  ) {
    const order: FrontOrder = { kind: "start", duty: this.#duty, ...options };
    this.#worker.postMessage(order, [options.peer]);
    return this.#listening.promise;
  }

  tell(order: FrontOrder): void {
    this.#worker.postMessage(order);
  }

  /** Asks for a report; answers come in the order of questions. */
  report<Report>(from: number, most: number): Promise<Report> {
    return new Promise((resolve) => {
      this.#asked.push(resolve as (answer: unknown) => void);
      this.tell({ kind: "report", from, most });
    });
  }

  async stop(): Promise<void> {
    this.tell({ kind: "stop" });
    const late = setTimeout(this.#stopped.resolve, STOP_MS);
    await this.#stopped.promise;
    clearTimeout(late);
    this.#worker.terminate();
  }

  #fail({ message, isTaken }: { readonly message: string; readonly isTaken: boolean }): void {
    const error = isTaken ? new Deno.errors.AddrInUse(message) : new Error(message);
    this.#listening.reject(error);
    this.#lost.resolve(error);
  }
}
