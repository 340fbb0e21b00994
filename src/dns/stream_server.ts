/**
 * Accepts connections of one address, whatever is spoken on them, and keeps their number within bounds: so many in all
 * and so many of one client. Where all are taken the one that has been idle for longest gives way.
 *
 * @module
 */
import { parseIp } from "../ip.ts";
import { isOfOneConnection } from "../sockets/listening.ts";
import { Stalled } from "../sockets/stalled.ts";
import { COUNTER, type Cut, CUTS } from "./counters.ts";
import { turnEventLoop } from "./event_loop.ts";
import { type Exchange, NamedClient } from "./exchange.ts";
import { STREAM_TRANSPORTS, type StreamTransport } from "./transport.ts";

/** What a listener bears. */
export interface StreamLimits {
  /** Connections at the same time. */
  readonly maxConnections: number;
  /** Connections of one client at the same time: of an IPv4 address, or of an IPv6 /64. */
  readonly maxConnectionsPerClient: number;
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
  /** With their clients, in the order in which they were last busy, as those of each client are. */
  readonly #connections = new Map<StreamConnection, string>();
  readonly #ofClients = new Map<string, Set<StreamConnection>>();
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
    for (const connection of this.#connections.keys()) {
      if (!isSucceeded || !this.#fresh.has(connection)) connection[ending]();
    }
    const ended = Promise.all([...this.#connections.keys()].map((connection) => connection.ended));
    let deadline: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise((resolve) => deadline = setTimeout(resolve, graceMs));
    await Promise.race([ended, late]);
    clearTimeout(deadline);
    for (const connection of this.#connections.keys()) connection.close();
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
    const client = clientOf(hostname);
    if (!this.#makeRoom(client)) {
      this.#exchange.count(COUNTER.tcpRefused);
      socket.close();
      return;
    }
    this.#exchange.count(COUNTER.connections + this.#transport);
    let own = this.#ofClients.get(client);
    if (!own) this.#ofClients.set(client, own = new Set());
    const connection = this.#options.serve(socket, {
      onAnswered: () => {
        this.#fresh.delete(connection);
        if (this.#ending) connection[this.#ending]();
        // To the end of the order: it is the youngest now.
        if (!this.#connections.delete(connection)) return;
        this.#connections.set(connection, client);
        own.delete(connection);
        own.add(connection);
      },
      onStalled: () => this.#stalled.end(socket),
      onCut: (why) =>
        this.#exchange.count(COUNTER.streamCuts + this.#transport * CUTS.length + CUTS.indexOf(why)),
    });
    this.#connections.set(connection, client);
    own.add(connection);
    this.#fresh.add(connection);
    connection.ended.then(() => {
      this.#fresh.delete(connection);
      if (!connection.isHeld) this.#stalled.forget(socket);
      this.#release(connection);
    });
  }

  /**
   * Whether there is a place for one more of this client. Where all are taken, its own or all there are, the one that
   * has been idle for longest gives way, so that silent clients shut none out (RFC 7766 §6.2.3 lets a server close
   * idle connections whenever it must).
   */
  #makeRoom(client: string): boolean {
    const { maxConnections, maxConnectionsPerClient } = this.#options.limits;
    const own = this.#ofClients.get(client);
    const rivals = own && own.size >= maxConnectionsPerClient
      ? own
      : this.#connections.size >= maxConnections
      ? this.#connections.keys()
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

  #release(connection: StreamConnection): void {
    const client = this.#connections.get(connection);
    if (client === undefined) return;
    this.#connections.delete(connection);
    const own = this.#ofClients.get(client)!;
    own.delete(connection);
    if (own.size === 0) this.#ofClients.delete(client);
  }
}

/** As what a client is counted: who has an IPv6 address has all of its /64 (RFC 4291 §2.5.4). */
function clientOf(hostname: string): string {
  const bytes = parseIp(hostname);
  return bytes?.length === 16 ? bytes.subarray(0, 8).toHex() : hostname;
}
