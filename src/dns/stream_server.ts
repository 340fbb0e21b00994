/**
 * Accepts connections of one address, whatever is spoken on them, and keeps their number within bounds: so many in all
 * and so many of one client. Where all are taken one that is idle gives way ({@linkcode Places}).
 *
 * @module
 */
import { clientNetwork } from "../ip.ts";
import { isOfOneConnection } from "../sockets/listening.ts";
import { type PlaceLimits, Places } from "../sockets/places.ts";
import { Stalled } from "../sockets/stalled.ts";
import { COUNTER, type Cut, CUTS } from "./counters.ts";
import { turnEventLoop } from "./event_loop.ts";
import { type Exchange, NamedClient } from "./exchange.ts";
import { STREAM_TRANSPORTS, type StreamTransport } from "./transport.ts";

/** What a listener bears. A client is an IPv4 address, or an IPv6 /64. */
export interface StreamLimits extends PlaceLimits {
  /** Milliseconds without a whole query, or with an answer that isn't read, after which a connection is closed. */
  readonly idleTimeout: number;
  /** Milliseconds from connecting to the first byte, for a TLS handshake, and from a query's first byte to its last. */
  readonly queryTimeout: number;
}

/** What is used of a listener of Deno's. */
export interface StreamListener<Socket> {
  /** Rejects with `BadResource` or `Interrupted` when it was closed. */
  accept(): Promise<Socket>;
  /** Ends `accept`. */
  close(): void;
}

/** What of a socket admits it. */
export type AdmissibleSocket = Pick<Deno.Conn, "close" | "localAddr" | "remoteAddr">;

/** One connection, whatever is spoken on it. */
export interface StreamConnection {
  /**
   * Resolves when it is closed, whoever closed it, and nothing of it is left: a write to a client that doesn't read may
   * outlive `close`, and counts against the limits until it has ended, so that such clients can't collect sockets
   * without bound.
   */
  readonly ended: Promise<void>;
  /** Whether it waits for its client, which may have begun a query and loses nothing but time. */
  readonly isIdle: boolean;
  /** Whether something is under way that `close` doesn't cancel: a write or, even when it has ended, a handshake. */
  readonly isHeld: boolean;
  /** Ends it as soon as nothing is half read. */
  drain(): void;
  /** Ends it so that its client loses nothing, and may go on elsewhere; it takes a moment. */
  leave(): void;
  /** Ends it at once. */
  close(): void;
}

/** What a connection tells its server. */
export interface ConnectionHooks {
  /** All that was asked is answered. */
  onAnswered(): void;
  /** It was closed with something under way, which goes on for as long as the client likes. */
  onStalled(): void;
  /** It is about to be closed before its client did so. */
  onCut(why: Cut): void;
}

/** How connections are served. */
export interface StreamServerOptions<Socket> {
  /** What is spoken. */
  readonly transport: StreamTransport;
  /** How many connections there may be, and for how long. */
  readonly limits: StreamLimits;
  /** Begins to serve one. */
  readonly serve: (socket: Socket, hooks: ConnectionHooks) => StreamConnection;
}

/** Pause after an accept that failed for lack of descriptors or memory, so that the loop doesn't spin. */
const ACCEPT_PAUSE_MS = 50;
/** Accepts that fail are told of once in this time, milliseconds: at the limit they come and go with each connection. */
const ACCEPT_TELL_MS = 60_000;

/** Accepts and serves connections, until `close`. */
export class StreamServer<Socket extends AdmissibleSocket> {
  readonly #exchange: Exchange;
  readonly #options: StreamServerOptions<Socket>;
  readonly #transport: number;
  /** Those that are accepted from; one, but while a port is handed over. */
  readonly #accepting = new Map<StreamListener<Socket>, Promise<void>>();
  readonly #connections: Places<StreamConnection>;
  /** Those on which nothing was answered yet. */
  readonly #fresh = new Set<StreamConnection>();
  /** How connections end once they are answered; `null` = they stay. */
  #ending: "drain" | "leave" | null = null;
  readonly #stalled = new Stalled();
  /** Who has just connected. */
  readonly #newcomer = new NamedClient("tcp");
  #toldMs = -Infinity;

  /** Begins to accept. */
  constructor(
    listener: StreamListener<Socket>,
    exchange: Exchange,
    options: StreamServerOptions<Socket>,
  ) {
    this.#exchange = exchange;
    this.#options = options;
    this.#connections = new Places(options.limits);
    this.#transport = STREAM_TRANSPORTS.indexOf(options.transport);
    this.add(listener);
  }

  /** Accepts from another listener of the same address as well, within the same limits. */
  add(listener: StreamListener<Socket>): void {
    this.#accepting.set(listener, this.#accept(listener));
  }

  /** Accepts no more from a listener; its connections stay. */
  async retire(listener: StreamListener<Socket>): Promise<void> {
    const accepting = this.#accepting.get(listener);
    this.#accepting.delete(listener);
    listener.close();
    await accepting;
  }

  /**
   * Takes no new connection; ends idle ones at once, the others after their answers, all within `graceMs`.
   *
   * @param isSucceeded whether another process answers here: then no client is to lose anything. Those who have just
   * connected are answered first, since those who open a connection for a query would miss the answer and not know why; the
   * others leave one by one
   */
  async close(graceMs: number, isSucceeded: boolean = false): Promise<void> {
    await Promise.all([...this.#accepting.keys()].map((listener) => this.retire(listener)));
    const ending = this.#ending = isSucceeded ? "leave" : "drain";
    for (const connection of this.#connections) {
      if (!isSucceeded || !this.#fresh.has(connection)) connection[ending]();
    }
    const ended = Promise.all([...this.#connections].map((connection) => connection.ended));
    let deadline: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise((resolve) => deadline = setTimeout(resolve, graceMs));
    await Promise.race([ended, late]);
    clearTimeout(deadline);
    for (const connection of this.#connections) connection.close();
    this.#stalled[Symbol.dispose]();
  }

  async #accept(listener: StreamListener<Socket>): Promise<void> {
    for (;;) {
      let socket: Socket;
      try {
        socket = await listener.accept();
      } catch (error) {
        if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) return;
        if (isOfOneConnection(error)) {
          await turnEventLoop();
          continue;
        }
        this.#exchange.count(COUNTER.acceptErrors);
        if (performance.now() - this.#toldMs >= ACCEPT_TELL_MS) {
          this.#toldMs = performance.now();
          this.#exchange.lack(error instanceof Error ? error.message : String(error));
        }
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE_MS));
        continue;
      }
      this.#admit(socket);
    }
  }

  #admit(socket: Socket): void {
    const { hostname } = socket.remoteAddr as Deno.NetAddr;
    this.#newcomer.text = hostname;
    if (this.#exchange.denies(this.#newcomer)) return socket.close();
    const client = clientNetwork(hostname);
    if (!this.#makeRoom(client)) {
      this.#exchange.count(COUNTER.tcpRefused);
      socket.close();
      return;
    }
    this.#exchange.count(COUNTER.connections + this.#transport);
    const connection = this.#options.serve(socket, {
      onAnswered: () => {
        this.#fresh.delete(connection);
        if (this.#ending) connection[this.#ending]();
        this.#connections.refresh(connection);
      },
      onStalled: () => this.#stalled.end(socket),
      onCut: (why) =>
        this.#exchange.count(COUNTER.streamCuts + this.#transport * CUTS.length + CUTS.indexOf(why)),
    });
    this.#connections.take(connection, client);
    this.#fresh.add(connection);
    connection.ended.then(() => {
      this.#fresh.delete(connection);
      if (!connection.isHeld) this.#stalled.forget(socket);
      this.#connections.release(connection);
    });
  }

  /**
   * Whether there is a place for one more of this client; one that is idle may have given way, so that silent clients shut none out
   * (RFC 7766 §6.2.3 lets a server close idle connections whenever it must).
   */
  #makeRoom(client: string): boolean {
    const rivals = this.#connections.rivals(client);
    if (rivals === null) return true;
    for (const connection of rivals) {
      if (!connection.isIdle) continue;
      this.#exchange.count(COUNTER.tcpEvicted);
      this.#connections.release(connection);
      connection.close();
      return true;
    }
    return false;
  }
}
