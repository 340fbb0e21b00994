/**
 * The sockets of the HTTP side: binds, accepts, and keeps the number of connections within bounds.
 *
 * Connecting needs no login, so a connection must not cost what DNS needs: there are so many in all and so many of
 * one client, and none waits for ever. Where all are taken, one that is idle gives way, then one whose body doesn't come, so
 * that silent clients keep no others out; among them those of clients with more than their share come first.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { isOfOneConnection, listenFault, TCP_BACKLOG } from "../sockets/listening.ts";
import { arrived, expectFree, ListenerControl } from "../sockets/listener_control.ts";
import { clientNetwork, type SocketAddress } from "../ip.ts";
import { type PlaceLimits, Places } from "../sockets/places.ts";
import { Stalled } from "../sockets/stalled.ts";
import type { Logger } from "../telemetry/log.ts";
import { type App, givingWay, HttpConnection, type Patience } from "./http_connection.ts";

/** What `HttpServer.bind` needs. */
export interface HttpServerOptions {
  /** An address of this machine; port 0 = any free one. */
  readonly address: SocketAddress;
  /** Where another port can be chosen, such as `--api ADDR:PORT`. */
  readonly choice: string;
  /** `null` = plain HTTP. */
  readonly tls: Certificate | null;
  /** Whether another process listens there, whose place this one takes: nothing is bound before `serve` then. */
  readonly beside?: boolean;
  /** How many connections there may be; a client is an IPv4 address, or an IPv6 network of 64 bits. */
  readonly limits: PlaceLimits;
  /** What is borne of clients; `PATIENCE` when left out. */
  readonly patience?: Patience;
  /** Hears of connections that can't be accepted. */
  readonly log: Logger;
  /** Says how long ago that was said. */
  readonly clock: Clock;
  /** Told what becomes of each connection. */
  readonly observe?: (fate: ConnectionFate) => void;
}

/** A certificate chain and its private key, PEM texts. */
export interface Certificate {
  /** The chain, the server's own first. */
  readonly cert: string;
  /** Not encrypted. */
  readonly key: string;
}

/** `evicted` = closed because another one came and all were taken; `failed` = it couldn't be accepted. */
export type ConnectionFate = "accepted" | "refused" | "evicted" | "failed";

/** What is borne of clients. */
export const PATIENCE: Patience = {
  headMs: 10_000,
  // Longer than the usual interval of a scrape.
  idleMs: 75_000,
  body: { stallMs: 30_000, sumMs: 30_000 },
  writeMs: 30_000,
};

/** How long requests under way may take after `close`, milliseconds. */
export const GRACE_MS = 2_000;
/** Where another process answers from then on, so that no client loses anything. */
const LEAVE_GRACE_MS = 5_000;
/** After a connection that couldn't be accepted, mostly for lack of descriptors. */
const ACCEPT_PAUSE_MS = 100;
/** How often that is said. */
export const COMPLAINT_INTERVAL_MS = 30_000;

/** A listener and its connections. */
export class HttpServer {
  /** What is really listened on: port 0 replaced by the port that was found. */
  readonly address: SocketAddress;
  readonly #options: HttpServerOptions;
  readonly #control = new ListenerControl();
  /** `null` = nothing is bound yet. */
  #listener: Listener | null;
  #certificate: Certificate | null;
  #isSucceeded = false;
  #closed: Promise<void> | null = null;
  #app: App | null = null;
  readonly #connections: Places<HttpConnection>;
  readonly #stalled = new Stalled();
  readonly #closing = new AbortController();
  /** Of each listener so far. */
  readonly #accepting: Promise<void>[] = [];
  #complainedMs = -Infinity;
  #complaints = 0;

  private constructor(options: HttpServerOptions, listener: Listener | null) {
    const { hostname, port } = (listener?.addr ?? options.address) as Deno.NetAddr;
    this.address = { hostname, port };
    this.#options = options;
    this.#connections = new Places(options.limits);
    this.#listener = listener;
    this.#certificate = options.tls;
  }

  /**
   * Binds the address; connections wait until `serve`.
   *
   * @throws {Error} that says why it can't be had, and what to do
   */
  static bind(options: HttpServerOptions): HttpServer {
    const { address, tls, choice, beside = false } = options;
    if (beside) return new HttpServer(options, null);
    try {
      // Listeners that share a port share it with any other such one: whether it is free a plain one tells.
      if (address.port !== 0) expectFree(address);
      return new HttpServer(options, listen(address, tls));
    } catch (error) {
      throw new Error(listenFault(address, error, { ss: "-ltnp", choice }), { cause: error });
    }
  }

  /**
   * Shows another certificate to connections that come from now on; those that are there keep theirs.
   *
   * @throws {Error} when it can't be served; everything is as before then
   */
  useCertificate(certificate: Certificate): void {
    const { cert, key } = this.#certificate ?? {};
    if (this.#closing.signal.aborted || (cert === certificate.cert && key === certificate.key)) return;
    const old = this.#listener;
    if (old !== null) this.#listener = listen(this.address, certificate);
    this.#certificate = certificate;
    if (old === null) return;
    this.#control.steerToNewest([this.address]);
    if (this.#app !== null) this.#accepting.push(this.#accept(this.#app, this.#listener!));
    this.#accepting.push(this.#retire(old));
  }

  /** Closes it where another process listens, too, and gets what comes from now on: what is on its way is waited for. */
  succeed(): void {
    this.#isSucceeded = true;
    this.close();
  }

  /** How many connections there are. */
  get connections(): number {
    return this.#connections.size;
  }

  /**
   * Begins to accept.
   *
   * @throws {Error} when another process gave its address away before its place was taken
   */
  serve(app: App): void {
    this.#app = app;
    if (this.#listener === null) {
      this.#listener = listen(this.address, this.#certificate);
      this.#control.steerToNewest([this.address]);
    }
    this.#accepting.push(this.#accept(app, this.#listener));
  }

  /**
   * Takes no new connection; ends idle ones at once, the others after their answers, all within `GRACE_MS`. Where another
   * process answers from now on, idle ones may ask once more, and have more time.
   */
  close(): Promise<void> {
    return this.#closed ??= this.#close();
  }

  async #close(): Promise<void> {
    if (this.#isSucceeded) await arrived([this.address], this.#closing.signal);
    this.#closing.abort();
    this.#listener?.close();
    await Promise.all(this.#accepting);
    this.#control[Symbol.dispose]();
    const all = [...this.#connections];
    for (const connection of all) {
      if (this.#isSucceeded) connection.leave();
      else connection.drain();
    }
    let late: ReturnType<typeof setTimeout> | undefined;
    await Promise.race([
      Promise.all(all.map((connection) => connection.ended)),
      new Promise((resolve) => late = setTimeout(resolve, this.#isSucceeded ? LEAVE_GRACE_MS : GRACE_MS)),
    ]);
    clearTimeout(late);
    for (const connection of all) connection.close();
    this.#stalled[Symbol.dispose]();
  }

  /** Closes a listener when what was on its way to it has been accepted: what is left in its queue is reset. */
  async #retire(listener: Listener): Promise<void> {
    await arrived([this.address], this.#closing.signal);
    listener.close();
  }

  /** Until the listener is closed, or another one takes its place. */
  async #accept(app: App, listener: Listener): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        this.#admit(await listener.accept(), app);
      } catch (error) {
        if (signal.aborted || listener !== this.#listener) return;
        if (isOfOneConnection(error)) {
          await new Promise((resolve) => setTimeout(resolve, 0)); // whatever comes, others have their turn
          continue;
        }
        this.#complain(error);
        await this.#options.clock.sleep(ACCEPT_PAUSE_MS, signal);
      }
    }
  }

  #admit(socket: Deno.TcpConn | Deno.TlsConn, app: App): void {
    const { tls, patience = PATIENCE, log, observe } = this.#options;
    const client = clientNetwork((socket.remoteAddr as Deno.NetAddr).hostname);
    const rivals = this.#connections.rivals(client);
    if (rivals !== null) {
      const yielding = givingWay([...rivals]);
      if (!yielding) {
        observe?.("refused");
        return socket.close();
      }
      observe?.("evicted");
      this.#connections.release(yielding);
      yielding.close();
    }
    observe?.("accepted");
    const connection = new HttpConnection(socket, {
      app,
      scheme: tls ? "https" : "http",
      patience,
      log,
      onRequest: () => this.#connections.refresh(connection),
      onStalled: () => this.#stalled.end(socket),
    });
    this.#connections.take(connection, client);
    connection.ended.then(() => {
      if (!connection.isHeld) this.#stalled.forget(socket);
      this.#connections.release(connection);
    });
  }

  #complain(error: unknown): void {
    const { log, clock, observe, address: { port } } = this.#options;
    observe?.("failed");
    this.#complaints++;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#complainedMs < COMPLAINT_INTERVAL_MS) return;
    log.error("HTTP connections can't be accepted; trying again", {
      port: port || this.address.port,
      failures: this.#complaints,
      error,
    });
    this.#complainedMs = nowMs;
    this.#complaints = 0;
  }
}

type Listener = Deno.Listener<Deno.TcpConn | Deno.TlsConn>;

/** A listener beside which another one, with another certificate or of another process, may listen on the same port. */
function listen({ hostname, port }: SocketAddress, certificate: Certificate | null): Listener {
  const options = { hostname, port, tcpBacklog: TCP_BACKLOG, reusePort: Deno.build.os === "linux" };
  if (certificate === null) return Deno.listen(options);
  const { cert, key } = certificate;
  return Deno.listenTls({ ...options, cert, key, alpnProtocols: ["http/1.1"] });
}
