/**
 * One connection of DNS over HTTPS (RFC 8484), HTTP/2 or HTTP/1.1 by ALPN. The HTTP is the run time's; the connection is
 * ours: `Deno.serve` by itself takes any number of connections, waits for each of them for ever, and gives up for good at
 * the first one that it can't accept (Deno 2.6). So we accept, and hand over one connection at a time, by the call on
 * which the run time's own `node:http2` stands.
 *
 * What a client can have us keep is bounded: requests under way per connection, bytes of answers that wait for clients
 * of the whole worker. Beyond it requests are answered 503. Heads and their continuations are bounded by the run time
 * (16 KiB over HTTP/2), and so are streams that are reset at once.
 *
 * @module
 */
import { Timer } from "../timer.ts";
import { COUNTER, type Cut, HTTPS_STATUSES } from "./counters.ts";
import {
  DohFault,
  dohResponse,
  faultResponse,
  type HttpsStatus,
  MESSAGE_MAX,
  messageOf,
  tooLarge,
} from "./doh.ts";
import { type Exchange, NamedClient, STREAM_SIZE_MAX } from "./exchange.ts";
import type { ConnectionHooks, StreamConnection, StreamLimits } from "./stream_server.ts";
import type { StreamTurns } from "./stream_turns.ts";

/** Requests under way of one connection: HTTP/2 clients are told 200, and resolvers need a few dozen. */
const REQUESTS_MAX = 100;
/** Bytes of answers that wait for clients of one worker. */
const UNSENT_MAX = 16 << 20;
/** Where each answer is made before it is copied. */
const scratch = new Uint8Array(STREAM_SIZE_MAX);

/** Answers of a worker that wait for their clients. */
export class Unsent {
  /** Bytes. */
  bytes = 0;
}

/** What a connection is served with. */
export interface DohOptions extends ConnectionHooks {
  /** Answers. */
  readonly exchange: Exchange;
  /** Where messages are answered, such as `/dns-query`. */
  readonly path: string;
  /** How long is waited for the client. */
  readonly limits: Pick<StreamLimits, "idleTimeout" | "queryTimeout">;
  /** What all connections of the worker share. */
  readonly turns: StreamTurns;
  /** The same. */
  readonly unsent: Unsent;
}

/** One connection. */
export class DohConnection implements StreamConnection {
  /** Never rejects. */
  readonly ended: Promise<void>;
  readonly #socket: Deno.TlsConn;
  readonly #options: DohOptions;
  readonly #asker = new NamedClient("https");
  readonly #aborting = new AbortController();
  #server: HttpOnConnection | null = null;
  /** Whether the server has, and of itself, so that nothing of it is left. */
  #hasEnded = false;
  #isHeld = false;
  readonly #timer = new Timer();
  #underWay = 0;
  /** Requests before which others are served: that isn't the client's time. */
  #inLine = 0;
  #draining = false;
  #isLeaving = false;
  #closed = false;

  /** Begins to serve. */
  constructor(socket: Deno.TlsConn, options: DohOptions) {
    this.#socket = socket;
    this.#asker.text = (socket.remoteAddr as Deno.NetAddr).hostname;
    this.#options = options;
    this.#await("no_query");
    this.ended = this.#serve().catch(() => {}).finally(() => this.close());
  }

  /** Whether none of its requests is being answered. */
  get isIdle(): boolean {
    return this.#underWay === 0;
  }

  /** Whether something is under way that `close` doesn't cancel: a write or, even when it has ended, a handshake. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** Ends it at once. */
  close(): void {
    this.#timer.clear();
    if (this.#closed) return;
    this.#closed = true;
    if (this.#isHeld || this.#underWay > 0) this.#options.onStalled();
    if (this.#server === null) this.#socket.close();
    else if (!this.#hasEnded) this.#aborting.abort(); // the socket is the run time's
  }

  /** Ends it after the answers under way. */
  drain(): void {
    this.#draining = true;
    if (this.isIdle) this.close();
    else this.#server?.shutdown();
  }

  /** Has the run time tell the client that it answers no further requests, those aside that are on their way. */
  leave(): void {
    if (this.#server === null) return this.drain();
    this.#draining = this.#isLeaving = true;
    this.#server.shutdown().catch(() => {}); // `finished` tells
  }

  async #serve(): Promise<void> {
    await this.#shakeHands();
    if (this.#closed || this.#draining) return;
    this.#server = serveHttpOnConnection(
      this.#socket,
      this.#aborting.signal,
      (request, info) => this.#answer(request, info.completed),
      () => faultResponse(new DohFault(500, "The request failed inside Pleiades; its log says why")),
      () => {},
    );
    const server = this.#server;
    await server.finished.catch((error) => {
      // One that fails, in the middle of a request for one, leaves 9 KB of the run time's behind unless it is shut down.
      server.shutdown().catch(() => {});
      throw error;
    }).finally(() => this.#hasEnded = true);
  }

  async #shakeHands(): Promise<void> {
    this.#isHeld = true;
    try {
      await this.#socket.handshake();
    } catch (error) {
      if (!this.#closed) this.#options.onCut("handshake");
      throw error;
    } finally {
      this.#isHeld = this.#closed; // one that was closed goes on behind the promise's back
    }
    this.#await("no_query");
  }

  async #answer(request: Request, completed: Promise<void>): Promise<Response> {
    const { exchange, unsent } = this.#options;
    this.#underWay++;
    this.#await("unread");
    let size = 0;
    const end = () => {
      unsent.bytes -= size;
      this.#underWay--;
      this.#options.onAnswered();
      if (this.#underWay > 0) this.#await("unread");
      else if (this.#draining && !this.#isLeaving) this.close();
      else this.#await("idle");
    };
    completed.then(end, end);
    try {
      const answer = await this.#answerOf(request);
      unsent.bytes += size = answer.length;
      this.#count(200);
      return dohResponse(answer);
    } catch (error) {
      if (error instanceof DohFault) {
        this.#count(error.status);
        return faultResponse(error);
      }
      this.#count(500);
      if (!this.#closed) exchange.complain(error);
      throw error;
    }
  }

  async #answerOf(request: Request): Promise<Uint8Array<ArrayBuffer>> {
    const { exchange, path, turns, unsent } = this.#options;
    const before = this.#underWay - 1;
    if (this.#underWay > REQUESTS_MAX || unsent.bytes > UNSENT_MAX) {
      throw new DohFault(503, "Too many answers wait for their clients");
    }
    const message = await messageOf(request, path, (request) => this.#bodyOf(request));
    if (turns.mustWait()) {
      this.#inLine++;
      await turns.next(before);
      this.#inLine--;
      if (!this.#closed) this.#await("unread");
    }
    const size = exchange.answerMessage(message, this.#asker, scratch);
    if (size === 0) throw new DohFault(400, "The message is no DNS query");
    return scratch.slice(0, size);
  }

  /** Reads a body as far as it may go, and for as long as a query may take. */
  async #bodyOf(request: Request): Promise<Uint8Array> {
    if (request.body === null) return new Uint8Array(0);
    const reader = request.body.getReader();
    const late = Promise.withResolvers<never>();
    const timer = new Timer();
    timer.set(() => {
      this.#options.onCut("half_query");
      late.reject(new DohFault(408, "The message did not come in time"));
    }, this.#options.limits.queryTimeout);
    const chunks: Uint8Array[] = [];
    let size = 0;
    try {
      for (;;) {
        const { done, value } = await Promise.race([reader.read(), late.promise]);
        if (done) return joined(chunks, size);
        chunks.push(value);
        size += value.length;
        if (size > MESSAGE_MAX) throw tooLarge();
      }
    } catch (error) {
      reader.cancel().catch(() => {});
      if (error instanceof DohFault) throw error;
      throw new DohFault(400, "The message did not come whole");
    } finally {
      timer.clear();
    }
  }

  #count(status: HttpsStatus): void {
    this.#options.exchange.count(COUNTER.httpsStatus + HTTPS_STATUSES.indexOf(status));
  }

  /** Waits for something from now on, and for no longer than it may take. */
  #await(what: Cut): void {
    if (this.#closed) return this.#timer.clear();
    const { idleTimeout, queryTimeout } = this.#options.limits;
    this.#timer.set(() => {
      if (this.#inLine > 0) return this.#await(what);
      this.#options.onCut(what);
      this.close();
    }, what === "no_query" ? Math.min(queryTimeout, idleTimeout) : idleTimeout);
  }
}

function joined(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

/** HTTP on one connection. */
interface HttpOnConnection {
  /** Resolves when the connection has ended. */
  readonly finished: Promise<void>;
  /** Ends it after the answers under way. */
  shutdown(): Promise<void>;
}

/** The run time's call; it has no name in its public interface (Deno 2.6, `ext/http/00_serve.ts`). */
type ServeHttpOnConnection = (
  connection: Deno.Conn,
  signal: AbortSignal,
  handler: (
    request: Request,
    info: { readonly completed: Promise<void> },
  ) => Promise<Response>,
  onError: (error: unknown) => Response,
  onListen: () => void,
) => HttpOnConnection;

function serveHttpOnConnection(...args: Parameters<ServeHttpOnConnection>): HttpOnConnection {
  const runtime = Deno as unknown as { readonly internal: symbol };
  const internals = Reflect.get(Deno, runtime.internal) as {
    readonly serveHttpOnConnection: ServeHttpOnConnection;
  };
  return internals.serveHttpOnConnection(...args);
}
