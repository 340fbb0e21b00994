/**
 * DNS over TCP (RFC 7766) and, behind a handshake, over TLS (RFC 7858): many queries on one connection, each behind its
 * length, answered in order and written together; every wait for the client has its end.
 *
 * @module
 */
import { Timer } from "../timer.ts";
import type { Cut } from "./counters.ts";
import { type Exchange, NamedClient, STREAM_SIZE_MAX } from "./exchange.ts";
import type { ConnectionHooks, StreamConnection, StreamLimits } from "./stream_server.ts";
import type { StreamTurns } from "./stream_turns.ts";

/** What is used of a connection of Deno's. */
export type StreamSocket =
  & Pick<Deno.Conn, "read" | "write" | "close" | "localAddr" | "remoteAddr">
  & {
    /** TCP only; TLS writes at once as it is. */
    readonly setNoDelay?: (isOn: boolean) => void;
    /** TLS only. */
    readonly handshake?: () => Promise<unknown>;
    /** Says that nothing more will be written; absent = it can't be said. */
    readonly closeWrite?: () => Promise<void>;
  };

/** Bytes of the length before each message. */
const PREFIX = 2;
/** A connection whose client asks nothing for so long ends in between where another process answers from now on. */
const QUIET_MS = 250;
/** How long such a client is waited for that has been told. */
const LINGER_MS = 1_000;
/** Answers are gathered up to this size before they are written. */
const GATHER_MAX = 64 * 1024;
/** Where each answer is made before it joins its connection's output: idle connections hold no 64 KiB. */
const scratch = new Uint8Array(STREAM_SIZE_MAX);

/** What a connection is served with. */
export interface FramedOptions extends ConnectionHooks {
  /** Answers. */
  readonly exchange: Exchange;
  /** How long is waited for the client. */
  readonly limits: Pick<StreamLimits, "idleTimeout" | "queryTimeout">;
  /** What all connections of the worker share. */
  readonly turns: StreamTurns;
}

/** One connection of messages behind their lengths. */
export class FramedConnection implements StreamConnection {
  /** Never rejects. */
  readonly ended: Promise<void>;
  readonly #socket: StreamSocket;
  readonly #asker: NamedClient;
  readonly #options: FramedOptions;
  #isHeld = false;
  readonly #timer = new Timer();
  /** What is waited for. */
  #awaited: Cut = "no_query";
  #draining = false;
  /** Another process answers from now on: the connection ends so that its client loses nothing. */
  #isLeaving = false;
  /** It has been said that no more answers come. */
  #hasLeft = false;
  readonly #quiet = new Timer();
  #waiting = true;
  /** Others are served before it: that isn't its client's time. */
  #isInLine = false;
  #closed = false;
  /** Bytes received and not yet answered are `#input[0 … #filled)`. */
  #input = new Uint8Array(1024);
  #filled = 0;
  #output = new Uint8Array(2048);
  #pending = 0;

  /** Begins to serve. */
  constructor(socket: StreamSocket, options: FramedOptions) {
    this.#socket = socket;
    this.#asker = new NamedClient(socket.handshake ? "tls" : "tcp");
    this.#asker.keepalive = Math.floor(options.limits.idleTimeout / 100);
    this.#asker.text = (socket.remoteAddr as Deno.NetAddr).hostname;
    this.#options = options;
    this.#await("no_query");
    this.ended = this.#serve().catch(() => {}).finally(() => this.close());
  }

  /** Whether it waits for its client, which may have begun a query and loses nothing but time. */
  get isIdle(): boolean {
    return this.#waiting;
  }

  /** Whether something is under way that `close` doesn't cancel: a write or, even when it has ended, a handshake. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** Ends it at once. */
  close(): void {
    this.#timer.clear();
    this.#quiet.clear();
    if (this.#closed) return;
    this.#closed = true;
    if (this.#isHeld) this.#options.onStalled();
    this.#socket.close();
  }

  /** Ends the connection as soon as nothing is half read. */
  drain(): void {
    this.#draining = true;
    this.#asker.keepalive = 0;
    if (this.#waiting && this.#filled === 0) this.close();
  }

  /**
   * Ends it behind its next answer, when its client is least likely to ask, or when none is asked for in a moment. What comes
   * after that is read until the client closes, too: to close with a query unread would reset the connection.
   */
  leave(): void {
    if (this.#isLeaving || this.#closed) return;
    this.#isLeaving = this.#draining = true;
    this.#asker.keepalive = 0;
    this.#quiet.set(() => {
      if (this.#waiting && this.#filled === 0) this.#endAnswers().catch(() => this.close());
    }, QUIET_MS);
  }

  async #serve(): Promise<void> {
    this.#socket.setNoDelay?.(true); // answers are written whole; the second must not wait for the first one's ACK
    if (this.#socket.handshake) await this.#shakeHands(this.#socket.handshake());
    while (!this.#closed) {
      this.#waiting = true;
      const count = await this.#socket.read(this.#input.subarray(this.#filled));
      this.#waiting = false;
      // 0 is what a read into an empty buffer gives, of a closed socket too, and gives again at once and for ever.
      if (count === null || count === 0) return;
      if (this.#hasLeft) continue;
      this.#filled += count;
      if (!await this.#answerWhole()) return;
      if (!this.#draining || this.#filled > 0) continue;
      if (!this.#isLeaving) return;
      await this.#endAnswers();
    }
  }

  /** From here on what comes is read and thrown away. */
  async #endAnswers(): Promise<void> {
    if (this.#hasLeft) return;
    if (!this.#socket.closeWrite) return this.close();
    this.#hasLeft = true;
    this.#quiet.set(() => this.close(), LINGER_MS);
    this.#isHeld = true;
    await this.#socket.closeWrite();
    this.#isHeld = false;
  }

  async #shakeHands(handshake: Promise<unknown>): Promise<void> {
    this.#isHeld = true;
    try {
      await handshake;
    } catch (error) {
      if (!this.#closed) this.#options.onCut("handshake");
      throw error;
    } finally {
      this.#isHeld = this.#closed; // one that was closed goes on behind the promise's back
    }
    this.#await("no_query");
  }

  /** Answers every whole message in the buffer and keeps the rest, with room behind it; whether more may come. */
  async #answerWhole(): Promise<boolean> {
    const { turns } = this.#options;
    let at = 0;
    for (let answered = 0; this.#filled - at >= PREFIX; answered++) {
      const size = this.#input[at]! << 8 | this.#input[at + 1]!;
      if (this.#filled - at - PREFIX < size) {
        this.#input = withRoom(this.#input, PREFIX + size);
        break;
      }
      if (at === 0) this.#await("unread");
      if (at === 0 ? turns.mustWait() : turns.isOver(answered)) {
        this.#isInLine = true;
        await turns.next(answered);
        this.#isInLine = false;
        if (this.#closed) return false;
        this.#await("unread");
      }
      const message = this.#input.subarray(at + PREFIX, at + PREFIX + size);
      at += PREFIX + size;
      if (!this.#answer(message)) {
        // Not DNS: there is nothing more to be said on this stream, but what was asked before is answered.
        await this.#flush();
        this.#options.onCut("malformed");
        return false;
      }
      if (this.#pending >= GATHER_MAX) await this.#flush();
    }
    this.#input.copyWithin(0, at, this.#filled);
    this.#filled -= at;
    if (at > 0) {
      await this.#flush();
      this.#options.onAnswered();
    }
    if (this.#filled === 0) this.#await("idle");
    else if (at > 0 || this.#awaited !== "half_query") this.#await("half_query");
    return true;
  }

  #answer(message: Uint8Array): boolean {
    const size = this.#options.exchange.answerMessage(message, this.#asker, scratch);
    if (size === 0) return false;
    this.#output = withRoom(this.#output, this.#pending + PREFIX + size);
    this.#output[this.#pending] = size >>> 8;
    this.#output[this.#pending + 1] = size;
    this.#output.set(scratch.subarray(0, size), this.#pending + PREFIX);
    this.#pending += PREFIX + size;
    return true;
  }

  async #flush(): Promise<void> {
    this.#isHeld = true;
    for (let sent = 0; sent < this.#pending;) {
      const count = await this.#socket.write(this.#output.subarray(sent, this.#pending));
      if (count === 0) throw new Deno.errors.WriteZero("The socket took nothing of an answer");
      sent += count;
    }
    this.#isHeld = false;
    this.#pending = 0;
  }

  /** Waits for something from now on, and for no longer than it may take. */
  #await(what: Cut): void {
    this.#awaited = what;
    if (this.#closed) return this.#timer.clear();
    const { idleTimeout, queryTimeout } = this.#options.limits;
    const isShort = what === "no_query" || what === "half_query";
    this.#timer.set(() => {
      if (this.#isInLine) return this.#await(what);
      this.#options.onCut(what);
      this.close();
    }, isShort ? Math.min(queryTimeout, idleTimeout) : idleTimeout);
  }
}

/** The same bytes in a buffer of at least `size`. */
function withRoom(bytes: Uint8Array<ArrayBuffer>, size: number): Uint8Array<ArrayBuffer> {
  if (bytes.length >= size) return bytes;
  const grown = new Uint8Array(Math.max(size, bytes.length * 2));
  grown.set(bytes);
  return grown;
}
