/**
 * What a node answers behind a balancer of its host: queries come over an `AF_UNIX` socket with the addresses of their clients,
 * and are answered as if they had come from there ([the protocol](../wire/balancer_frames.ts)).
 *
 * The socket is bound under another name and renamed into its place: so there is no moment at which a balancer finds none, be
 * it after a crash or while a successor takes over, and none in which it refuses.
 *
 * @module
 */
import { turnUntil } from "../sockets/polling.ts";
import { AGAIN, BROKEN, type Poller, READY, SHORTAGE, StreamSockets } from "../sockets/stream_sockets.ts";
import { FRAME, readAddress, readU32, TCP_HEAD4, TCP_HEAD6, writeBare } from "../wire/balancer_frames.ts";
import { BackendSession } from "./backend_session.ts";
import { COUNTER } from "./counters.ts";
import type { Exchange } from "./exchange.ts";
import { PolledStream } from "./polled_stream.ts";
import { type Bound, PLAIN_ONLY, type Service } from "./service.ts";
import { type StreamLimits, type StreamListener, StreamServer } from "./stream_server.ts";
import { StreamTurns } from "./stream_turns.ts";
import { FramedConnection } from "./tcp.ts";

/** How what comes from a balancer is to be answered. */
export interface BackendDuty {
  /** What a worker does. */
  readonly kind: "backend";
  /** Where the balancer finds the socket, at most 97 bytes. */
  readonly path: string;
  /** Whether the path may be taken from another process, whose place this one takes. */
  readonly takesOver: boolean;
  /** Limits of connections. */
  readonly limits: StreamLimits;
}

/** Connections that the kernel keeps until they are accepted. */
const BACKLOG = 1024;
/** Connections accepted in one go. */
const ACCEPT_MAX = 64;
/** Control sessions at the same time; a balancer has one. */
const SESSIONS_MAX = 64;
/** Milliseconds between accepts where descriptors are short. */
const SHORTAGE_PAUSE_MS = 100;

/** What a service tells its worker. */
export interface BackendHooks {
  /** Answers. */
  readonly exchange: Exchange;
  /** Called when it can't go on. */
  readonly onEnd: (error: unknown) => void;
  /** Called when there is a descriptor that must be closed should the thread die. */
  readonly onHold: (fd: number) => void;
  /** Called before it is closed. */
  readonly onLetGo: (fd: number) => void;
}

/** The socket of a worker, and all that a balancer has opened to it. */
export class BackendService implements Service {
  /** What it answers on: no address. */
  readonly bound: Bound;
  readonly #duty: BackendDuty;
  readonly #hooks: BackendHooks;
  readonly #sockets = new StreamSockets();
  readonly #poller: Poller;
  readonly #listener: number;
  readonly #arrivals = new Map<number, Arrival>();
  readonly #sessions = new Map<number, BackendSession>();
  readonly #streams = new Map<number, PolledStream>();
  readonly #accepted = new AcceptedStreams();
  readonly #server: StreamServer<PolledStream>;
  readonly #stopping = new AbortController();
  readonly #turning: Promise<void>;
  #isListening = true;
  #acceptAtMs = Infinity;
  #hasToTurn = false;

  /**
   * Takes the path, and begins to answer.
   *
   * @throws {Error} when it can't be had, or such sockets can't be used here
   */
  constructor(duty: BackendDuty, hooks: BackendHooks) {
    this.#duty = duty;
    this.#hooks = hooks;
    try {
      if (!duty.takesOver) refuseTaken(this.#sockets, duty.path);
      this.#listener = listenInPlace(this.#sockets, duty.path);
    } catch (error) {
      this.#sockets[Symbol.dispose]();
      throw new Error(`dns.backendSocket can't be served: ${(error as Error).message}`, { cause: error });
    }
    this.#poller = this.#sockets.poller();
    this.#poller.add(this.#listener, READY.read);
    this.bound = {
      ...{ addresses: [], covered: [], descriptors: [this.#listener], sockets: [], udp: null },
      encrypted: PLAIN_ONLY,
    };
    const { exchange } = hooks;
    const shared = { exchange, limits: duty.limits, turns: new StreamTurns(exchange) };
    this.#server = new StreamServer<PolledStream>(this.#accepted, exchange, {
      ...{ transport: "tcp", limits: duty.limits },
      serve: (stream, connection) => new FramedConnection(stream, { ...connection, ...shared }),
    });
    this.#turning = turnUntil(this.#stopping.signal, this.#poller, (ready) => this.#serve(ready));
    this.#turning.catch(hooks.onEnd);
  }

  /**
   * Takes nothing new: the file goes first, unless another process has put its own there. Balancers that know how are told
   * to send nothing more, and get their answers.
   */
  async stop(graceMs: number): Promise<void> {
    const endMs = performance.now() + graceMs;
    this.#stopListening();
    for (const session of this.#sessions.values()) session.leave();
    await this.#server.close(graceMs);
    while (this.#sessions.size > 0 && performance.now() < endMs) {
      await new Promise((resolve) => setTimeout(resolve, STOP_LOOK_MS));
    }
    this.#stopping.abort();
    await this.#turning;
    for (const fd of [...this.#sessions.keys(), ...this.#streams.keys(), ...this.#arrivals.keys()]) {
      this.#close(fd);
    }
    this.#poller[Symbol.dispose]();
    this.#sockets[Symbol.dispose]();
  }

  #serve(ready: number): boolean {
    const nowMs = performance.now();
    this.#hasToTurn = false;
    for (let i = 0; i < ready; i++) {
      const fd = this.#poller.fdOf(i);
      const readiness = this.#poller.readinessOf(i);
      const stream = this.#streams.get(fd);
      const session = this.#sessions.get(fd);
      if (session) session.serve(readiness);
      else if (stream) {
        stream.serve(readiness);
        this.#hasToTurn = true;
      } else if (fd === this.#listener && this.#isListening) this.#accept(nowMs);
      else this.#identify(fd);
    }
    this.#look(nowMs);
    return this.#hasToTurn;
  }

  #accept(nowMs: number): void {
    for (let i = 0; i < ACCEPT_MAX; i++) {
      const accepted = this.#sockets.accept(this.#listener);
      if (accepted === AGAIN) return;
      if (accepted === BROKEN) continue;
      if (accepted === SHORTAGE) {
        this.#hooks.exchange.count(COUNTER.acceptErrors);
        this.#poller.remove(this.#listener);
        this.#acceptAtMs = nowMs + SHORTAGE_PAUSE_MS;
        return;
      }
      const { fd } = accepted;
      if (this.#arrivals.size >= this.#duty.limits.maxConnections) {
        this.#sockets.close(fd);
        continue;
      }
      this.#hooks.onHold(fd);
      this.#arrivals.set(fd, {
        byMs: nowMs + this.#duty.limits.queryTimeout,
        bytes: new Uint8Array(TCP_HEAD6),
        size: 0,
      });
      this.#poller.add(fd, READY.read);
    }
  }

  /** Reads the first frame of a connection, which says what it is; whatever else says so isn't a balancer. */
  #identify(fd: number): void {
    const arrival = this.#arrivals.get(fd);
    if (arrival === undefined) return;
    const { bytes } = arrival;
    const type = arrival.size >= 4 ? readU32(bytes, 0) : 0;
    const wanted = arrival.size < 4 ? 4 : HEADS[type]!;
    const count = this.#sockets.receive(fd, bytes.subarray(arrival.size, wanted));
    if (count === AGAIN) return;
    if (count <= 0) return this.#close(fd);
    arrival.size += count;
    if (arrival.size < 4) return;
    const size = HEADS[readU32(bytes, 0)];
    if (size === undefined) return this.#cut(fd);
    if (arrival.size < size) return; // the rest is reported again
    this.#arrivals.delete(fd);
    if (size === 4) this.#beginSession(fd);
    else this.#beginStream(fd, bytes.subarray(0, size));
  }

  #beginSession(fd: number): void {
    if (this.#sessions.size >= SESSIONS_MAX) return this.#cut(fd);
    this.#hooks.exchange.count(COUNTER.backendSessions);
    const session = new BackendSession(fd, {
      ...{ sockets: this.#sockets, poller: this.#poller, exchange: this.#hooks.exchange },
      onEnd: () => this.#close(fd),
    });
    this.#sessions.set(fd, session);
    session.greet();
  }

  #beginStream(fd: number, head: Uint8Array): void {
    const address = new Uint8Array(head.length === TCP_HEAD4 ? 4 : 16);
    readAddress(head, 4, address);
    const port = readU32(head, 4 + address.length) & 0xffff;
    const ok = new Uint8Array(4);
    writeBare(ok, 0, FRAME.inboundTcpOk);
    if (this.#sockets.send(fd, ok) !== ok.length) return this.#close(fd);
    this.#hooks.exchange.count(COUNTER.backendConnections);
    const stream = new PolledStream(fd, {
      ...{ sockets: this.#sockets, poller: this.#poller, address, port },
      onClose: () => this.#close(fd),
    });
    this.#streams.set(fd, stream);
    this.#hasToTurn = true;
    if (!this.#accepted.add(stream)) stream.close();
  }

  #look(nowMs: number): void {
    if (nowMs >= this.#acceptAtMs && this.#isListening) {
      this.#acceptAtMs = Infinity;
      this.#poller.add(this.#listener, READY.read);
    }
    for (const [fd, { byMs }] of this.#arrivals) {
      if (nowMs < byMs) break; // they are in the order of their time
      this.#cut(fd);
    }
  }

  #cut(fd: number): void {
    this.#hooks.exchange.count(COUNTER.backendCut);
    this.#close(fd);
  }

  #close(fd: number): void {
    this.#arrivals.delete(fd);
    this.#sessions.delete(fd);
    this.#streams.delete(fd);
    this.#hooks.onLetGo(fd);
    this.#sockets.close(fd);
  }

  #stopListening(): void {
    this.#isListening = false;
    if (isOurs(this.#sockets, this.#duty.path)) this.#sockets.unlink(this.#duty.path);
    this.#sockets.close(this.#listener);
  }
}

/** A connection that hasn't said what it is. */
interface Arrival {
  /** When it must have. */
  readonly byMs: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  size: number;
}

/** Bytes of the frames that a connection may begin with. */
const HEADS: Readonly<Record<number, number>> = {
  [FRAME.clientHello]: 4,
  [FRAME.inboundTcp]: TCP_HEAD4,
  [FRAME.inboundTcp6]: TCP_HEAD6,
};

/** How often is looked whether sessions have ended. */
const STOP_LOOK_MS = 5;

/** The connections that balancers hand over, as a listener has them. */
class AcceptedStreams implements StreamListener<PolledStream> {
  readonly #waiting: PolledStream[] = [];
  #accepting: PromiseWithResolvers<PolledStream> | null = null;
  #isClosed = false;

  /** @returns whether it will be accepted */
  add(stream: PolledStream): boolean {
    if (this.#isClosed) return false;
    if (this.#accepting === null) this.#waiting.push(stream);
    else this.#accepting.resolve(stream);
    this.#accepting = null;
    return true;
  }

  accept(): Promise<PolledStream> {
    const next = this.#waiting.shift();
    if (next) return Promise.resolve(next);
    if (this.#isClosed) return Promise.reject(new Deno.errors.BadResource("It was closed"));
    return (this.#accepting = Promise.withResolvers()).promise;
  }

  close(): void {
    this.#isClosed = true;
    this.#accepting?.reject(new Deno.errors.BadResource("It was closed"));
    for (const stream of this.#waiting.splice(0)) stream.close();
  }
}

/** Listens at a path in one step, whatever is there. */
function listenInPlace(sockets: StreamSockets, path: string): number {
  const slash = path.lastIndexOf("/") + 1;
  const name = path.slice(slash);
  const aside = `${path.slice(0, slash)}.${name}.${crypto.getRandomValues(new Uint8Array(4)).toHex()}`;
  const listener = sockets.listenUnix(aside, BACKLOG);
  try {
    sockets.rename(aside, path);
  } catch (error) {
    sockets.close(listener);
    sockets.unlink(aside);
    throw error;
  }
  return listener;
}

/** Whether what listens at a path is this process; its successor may, by now. */
function isOurs(sockets: StreamSockets, path: string): boolean {
  try {
    return processBehind(sockets, path) === Deno.pid;
  } catch {
    return false;
  }
}

/**
 * A socket that a live process listens at isn't taken from it: its balancer would turn to this one without a word.
 *
 * @throws {Error} with its process, unless nothing listens there, or this process does
 */
function refuseTaken(sockets: StreamSockets, path: string): void {
  let process: number | null;
  try {
    process = processBehind(sockets, path);
  } catch (error) {
    throw new Error(`${path} can't be asked who listens there: ${(error as Error).message}`, {
      cause: error,
    });
  }
  if (process === null || process === Deno.pid) return;
  const holder = process === 0 ? "another process" : `process ${process}`;
  throw new Error(`${holder} listens at ${path}: end it, take its place by --replace, or name another path`);
}

/** The process that listens at a path; 0 = it can't be seen from here, `null` = none does. */
function processBehind(sockets: StreamSockets, path: string): number | null {
  let fd: number;
  try {
    fd = sockets.connectUnix(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.ConnectionRefused) return null;
    throw error;
  }
  const process = sockets.processAt(fd);
  sockets.close(fd);
  return process;
}
