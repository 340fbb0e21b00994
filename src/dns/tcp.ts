/**
 * DNS over TCP (RFC 7766): many queries on one connection, answered in order and written together; every
 * connection has its end in time and every listener its number of connections. Where all are taken the one that has been
 * idle for longest gives way.
 *
 * @module
 */
import { isOfOneConnection } from "../sockets/listening.ts";
import { COUNTER } from "./counters.ts";
import { turnEventLoop } from "./event_loop.ts";
import { type Exchange, NamedClient, STREAM_SIZE_MAX } from "./exchange.ts";
import { parseIp } from "../ip.ts";
import { Stalled } from "../sockets/stalled.ts";
import type { StreamTurns } from "./stream_turns.ts";

/** What a listener bears. */
export interface TcpLimits {
  /** Connections at the same time. */
  readonly maxConnections: number;
  /** Connections of one client at the same time: of an IPv4 address, or of an IPv6 /64. */
  readonly maxConnectionsPerClient: number;
  /** Milliseconds without a whole query, or with an answer that isn't read, after which a connection is closed. */
  readonly idleTimeout: number;
}

/** What is used of a listener of Deno's. */
export interface StreamListener {
  /** Rejects with `BadResource` or `Interrupted` when it was closed. */
  accept(): Promise<StreamSocket>;
  /** Ends `accept`. */
  close(): void;
}

/** What is used of a connection of Deno's. */
export type StreamSocket = Pick<
  Deno.TcpConn,
  "read" | "write" | "close" | "localAddr" | "remoteAddr" | "setNoDelay"
>;

/** Bytes of the length before each message. */
const PREFIX = 2;
/** Answers are gathered up to this size before they are written. */
const GATHER_MAX = 64 * 1024;
/** Pause after an accept that failed for lack of descriptors or memory, so that the loop doesn't spin. */
const ACCEPT_PAUSE_MS = 50;
/** Accepts that fail are told of once in this time, milliseconds: at the limit they come and go with each connection. */
const ACCEPT_TELL_MS = 60_000;
/** Where each answer is made before it joins its connection's output: idle connections hold no 64 KiB. */
const scratch = new Uint8Array(STREAM_SIZE_MAX);

/** Accepts and answers connections, until `close`. */
export class TcpServer {
  readonly #listener: StreamListener;
  readonly #exchange: Exchange;
  readonly #limits: TcpLimits;
  readonly #turns: StreamTurns;
  /** In the order in which they were last busy, as those of each client are. */
  readonly #connections = new Set<Connection>();
  readonly #ofClients = new Map<string, Set<Connection>>();
  readonly #accepting: Promise<void>;
  readonly #stalled = new Stalled();
  /** Who has just connected. */
  readonly #newcomer = new NamedClient(true);

  /**
   * Begins to accept.
   *
   * @param turns what this listener shares with the worker's others
   */
  constructor(
    listener: StreamListener,
    exchange: Exchange,
    { limits, turns }: { readonly limits: TcpLimits; readonly turns: StreamTurns },
  ) {
    this.#listener = listener;
    this.#exchange = exchange;
    this.#limits = limits;
    this.#turns = turns;
    this.#accepting = this.#accept();
  }

  /** Takes no new connection; ends idle ones at once, the others after their answers, all within `graceMs`. */
  async close(graceMs: number): Promise<void> {
    this.#listener.close();
    await this.#accepting;
    for (const connection of this.#connections) connection.drain();
    const ended = Promise.all([...this.#connections].map((connection) => connection.ended));
    let deadline: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise((resolve) => deadline = setTimeout(resolve, graceMs));
    await Promise.race([ended, late]);
    clearTimeout(deadline);
    for (const connection of this.#connections) connection.close();
    this.#stalled[Symbol.dispose]();
  }

  async #accept(): Promise<void> {
    for (let toldMs = -Infinity;;) {
      let socket: StreamSocket;
      try {
        socket = await this.#listener.accept();
      } catch (error) {
        if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) return;
        if (isOfOneConnection(error)) {
          await turnEventLoop();
          continue;
        }
        this.#exchange.count(COUNTER.acceptErrors);
        if (performance.now() - toldMs >= ACCEPT_TELL_MS) {
          toldMs = performance.now();
          this.#exchange.lack(error instanceof Error ? error.message : String(error));
        }
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE_MS));
        continue;
      }
      this.#admit(socket);
    }
  }

  #admit(socket: StreamSocket): void {
    const { hostname } = socket.remoteAddr as Deno.NetAddr;
    this.#newcomer.text = hostname;
    if (this.#exchange.denies(this.#newcomer)) return socket.close();
    const client = clientOf(hostname);
    if (!this.#makeRoom(client)) {
      this.#exchange.count(COUNTER.tcpRefused);
      socket.close();
      return;
    }
    this.#exchange.count(COUNTER.tcpConnections);
    let own = this.#ofClients.get(client);
    if (!own) this.#ofClients.set(client, own = new Set());
    const connection = new Connection(socket, this.#exchange, {
      client,
      idleTimeoutMs: this.#limits.idleTimeout,
      turns: this.#turns,
      onAnswered: () => {
        // To the end of the order: it is the youngest now.
        if (!this.#connections.delete(connection)) return;
        this.#connections.add(connection);
        own.delete(connection);
        own.add(connection);
      },
      onStalled: () => this.#stalled.end(socket),
    });
    this.#connections.add(connection);
    own.add(connection);
    connection.ended.then(() => {
      this.#stalled.forget(socket);
      this.#release(connection);
    });
  }

  /**
   * Whether there is a place for one more of this client. Where all are taken, its own or all there are, the one that
   * has been idle for longest gives way, so that silent clients shut none out (RFC 7766 §6.2.3 lets a server close
   * idle connections whenever it must).
   */
  #makeRoom(client: string): boolean {
    const { maxConnections, maxConnectionsPerClient } = this.#limits;
    const own = this.#ofClients.get(client);
    const rivals = own && own.size >= maxConnectionsPerClient
      ? own
      : this.#connections.size >= maxConnections
      ? this.#connections
      : null;
    if (rivals === null) return true;
    for (const connection of rivals) {
      if (!connection.isIdle) continue;
      this.#exchange.count(COUNTER.tcpEvicted);
      this.#release(connection);
      connection.close();
      return true;
    }
    return false;
  }

  #release(connection: Connection): void {
    if (!this.#connections.delete(connection)) return;
    const own = this.#ofClients.get(connection.client)!;
    own.delete(connection);
    if (own.size === 0) this.#ofClients.delete(connection.client);
  }
}

/** As what a client is counted: who has an IPv6 address has all of its /64 (RFC 4291 §2.5.4). */
function clientOf(hostname: string): string {
  const bytes = parseIp(hostname);
  return bytes?.length === 16 ? bytes.subarray(0, 8).toHex() : hostname;
}

/** What a connection is told. */
interface ConnectionOptions {
  /** As what its client is counted. */
  readonly client: string;
  readonly idleTimeoutMs: number;
  readonly turns: StreamTurns;
  /** Called when all that was asked is answered. */
  readonly onAnswered: () => void;
  /** Called when it was closed with a write under way, which goes on for as long as the client likes. */
  readonly onStalled: () => void;
}

/**
 * One connection; `ended` resolves when it is closed, whoever closed it, and nothing of it is left: a write to a client
 * that doesn't read may outlive `close`, and counts against the limits until it has ended, so that such clients can't
 * collect sockets without bound.
 */
class Connection {
  readonly ended: Promise<void>;
  readonly #socket: StreamSocket;
  readonly #asker = new NamedClient(true);
  readonly #exchange: Exchange;
  readonly #options: ConnectionOptions;
  #isWriting = false;
  #timer: ReturnType<typeof setTimeout>;
  #draining = false;
  #waiting = true;
  #closed = false;
  /** Bytes received and not yet answered are `#input[0 … #filled)`. */
  #input = new Uint8Array(1024);
  #filled = 0;
  #output = new Uint8Array(2048);
  #pending = 0;

  constructor(socket: StreamSocket, exchange: Exchange, options: ConnectionOptions) {
    this.#socket = socket;
    this.#asker.text = (socket.remoteAddr as Deno.NetAddr).hostname;
    this.#exchange = exchange;
    this.#options = options;
    this.#timer = setTimeout(() => this.close(), options.idleTimeoutMs);
    this.ended = this.#serve().catch(() => {}).finally(() => this.close());
  }

  /** As what its client is counted. */
  get client(): string {
    return this.#options.client;
  }

  /** Whether it waits for its client, who may have begun a query and loses nothing but time. */
  get isIdle(): boolean {
    return this.#waiting;
  }

  close(): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    this.#closed = true;
    if (this.#isWriting) this.#options.onStalled();
    this.#socket.close();
  }

  /** Ends the connection as soon as nothing is half read. */
  drain(): void {
    this.#draining = true;
    if (this.#waiting && this.#filled === 0) this.close();
  }

  async #serve(): Promise<void> {
    this.#socket.setNoDelay(true); // answers are written whole; the second must not wait for the first one's ACK
    while (!this.#closed && (!this.#draining || this.#filled > 0)) {
      this.#waiting = true;
      const count = await this.#socket.read(this.#input.subarray(this.#filled));
      this.#waiting = false;
      // 0 is what a read into an empty buffer gives, of a closed socket too, and gives again at once and for ever.
      if (count === null || count === 0) return;
      this.#filled += count;
      if (!await this.#answerWhole()) return;
    }
  }

  /** Answers every whole message in the buffer and keeps the rest, with room behind it; whether more may come. */
  async #answerWhole(): Promise<boolean> {
    const { turns } = this.#options;
    let at = 0;
    while (this.#filled - at >= PREFIX) {
      const size = this.#input[at]! << 8 | this.#input[at + 1]!;
      if (this.#filled - at - PREFIX < size) {
        this.#input = withRoom(this.#input, PREFIX + size);
        break;
      }
      if (at === 0 ? turns.mustWait() : turns.isOver()) {
        await turns.next();
        if (this.#closed) return false;
      }
      const message = this.#input.subarray(at + PREFIX, at + PREFIX + size);
      at += PREFIX + size;
      if (!this.#answer(message)) {
        // Not DNS: there is nothing more to be said on this stream, but what was asked before is answered.
        await this.#flush();
        return false;
      }
      if (this.#pending >= GATHER_MAX) await this.#flush();
    }
    this.#input.copyWithin(0, at, this.#filled);
    this.#filled -= at;
    if (at > 0) {
      await this.#flush();
      this.#restartTimer();
      this.#options.onAnswered();
    }
    return true;
  }

  #answer(message: Uint8Array): boolean {
    const size = this.#exchange.answerMessage(message, this.#asker, scratch);
    if (size === 0) return false;
    this.#output = withRoom(this.#output, this.#pending + PREFIX + size);
    this.#output[this.#pending] = size >>> 8;
    this.#output[this.#pending + 1] = size;
    this.#output.set(scratch.subarray(0, size), this.#pending + PREFIX);
    this.#pending += PREFIX + size;
    return true;
  }

  async #flush(): Promise<void> {
    this.#isWriting = true;
    for (let sent = 0; sent < this.#pending;) {
      const count = await this.#socket.write(this.#output.subarray(sent, this.#pending));
      if (count === 0) throw new Deno.errors.WriteZero("The socket took nothing of an answer");
      sent += count;
    }
    this.#isWriting = false;
    this.#pending = 0;
  }

  #restartTimer(): void {
    clearTimeout(this.#timer);
    if (!this.#closed) this.#timer = setTimeout(() => this.close(), this.#options.idleTimeoutMs);
  }
}

/** The same bytes in a buffer of at least `size`. */
function withRoom(bytes: Uint8Array<ArrayBuffer>, size: number): Uint8Array<ArrayBuffer> {
  if (bytes.length >= size) return bytes;
  const grown = new Uint8Array(Math.max(size, bytes.length * 2));
  grown.set(bytes);
  return grown;
}
