/**
 * One connection of a client that speaks HTTP/1.1 (RFC 9112): requests one after the other, each wait with its end.
 *
 * Why not `Deno.serve`: it takes any number of connections, waits for each of them for ever, and gives up for good at
 * the first connection that it can't accept; `node:http` stands on it and ignores its own limits (Deno 2.6).
 *
 * @module
 */
import { withoutTokens } from "../model/token.ts";
import type { Logger } from "../telemetry/log.ts";
import { type BodyPatience, RequestBody } from "./http_body.ts";
import { HEAD_BYTES_MAX, HttpFault, parseHead, type RequestHead } from "./http_head.ts";
import { HttpInput, TooSlow } from "./http_input.ts";
import { encodeAnswer, encodeShort, type Framing } from "./http_answer.ts";
import { PROBLEM_TYPE } from "./problem.ts";
import type { RequestSource } from "./request_source.ts";
import type { LaterAnswer } from "./shared_answer.ts";

/** What answers, such as `createApi` makes it. */
export interface App {
  /** Never rejects for anything that a client sent. */
  fetch(request: Request, source: RequestSource): Response | Promise<Response>;
  /** Refuses a request by its head, at the least cost; `null` = `fetch` answers it. */
  refuse?(head: RequestHead, source: Pick<RequestSource, "remoteAddress">): ShortAnswer | null;
}

/** A whole answer of some hundred bytes. */
export interface ShortAnswer {
  /** 400–599. */
  readonly status: number;
  /** Without those of the framing. */
  readonly headers: Readonly<Record<string, string>>;
  /** All of it. */
  readonly body: string;
  /** For how long it is held back, milliseconds. */
  readonly holdMs: number;
}

/** What is borne of a client, milliseconds. */
export interface Patience {
  /** From the beginning of a connection, or the first byte of a later request, to the end of the request's head. */
  readonly headMs: number;
  /** From an answer to the first byte of the next request. */
  readonly idleMs: number;
  /** For a body. */
  readonly body: BodyPatience;
  /** For an answer that isn't read. */
  readonly writeMs: number;
}

/** What is used of a connection of Deno's. */
export type HttpSocket =
  & Pick<Deno.Conn, "read" | "write" | "close" | "closeWrite" | "localAddr" | "remoteAddr">
  & { readonly handshake?: () => Promise<unknown>; readonly setNoDelay?: (isOn: boolean) => void };

/** What a connection is served with. */
export interface ConnectionOptions {
  /** Answers. */
  readonly app: App;
  /** Which of the two the client speaks. */
  readonly scheme: "http" | "https";
  /** What is borne. */
  readonly patience: Patience;
  /** Gets what an application should have answered itself. */
  readonly log: Logger;
  /** Called when a request begins to be answered. */
  readonly onRequest: () => void;
  /** Called when it was closed with a write or a handshake under way, which goes on for as long as the client likes. */
  readonly onStalled: () => void;
}

/** A client that sends on after the last answer is read for so long, so that the answer isn't lost by a reset. */
const LINGER_MS = 1_000;
const LINGER_BYTES_MAX = 1 << 20;
/** A client that asks nothing for so long is told that it is asked elsewhere from now on. */
const QUIET_MS = 250;
/** In which what has come is read. */
const READ_MS = 10;

/** One connection; `ended` resolves when it is closed, whoever closed it, and no write of it is under way any more. */
export class HttpConnection {
  /** Never rejects. */
  readonly ended: Promise<void>;
  readonly #socket: HttpSocket;
  readonly #options: ConnectionOptions;
  readonly #input: HttpInput;
  readonly #source: RequestSource;
  /** The body of the request that is being answered. */
  #body: RequestBody | null = null;
  #isAnswering = false;
  /** What it is answered in place of its response. */
  #later: Promise<LaterAnswer> | null = null;
  /** Ends the wait of an answer that is held back; `null` = none is. */
  #letGo: (() => void) | null = null;
  #isHeld = false;
  #isDraining = false;
  /** Another process answers from now on. */
  #isLeaving = false;
  #isAnswered = false;
  /** Nothing can be answered any more. */
  #isOver = false;
  #quiet: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  /** Begins to serve. */
  constructor(socket: HttpSocket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#input = new HttpInput(socket);
    this.#source = {
      // A unix socket's client has none.
      remoteAddress: "hostname" in socket.remoteAddr ? socket.remoteAddr.hostname : "",
      holdBack: (ms) => this.#holdBack(ms),
      answerLater: (answer) => this.#later = answer,
    };
    this.ended = this.#serve().catch((error) => {
      if (!this.#isClosed && !isOfNetwork(error)) options.log.error("An HTTP connection failed", { error });
    }).finally(() => this.close());
  }

  /** Whether no request of it is being answered: its client would lose nothing but time. */
  get isIdle(): boolean {
    return !this.#isAnswering || this.#letGo !== null;
  }

  /** Whether a request of it is stuck because the client has sent a part of its body and no more. */
  get isStalled(): boolean {
    return this.#body?.isWaiting ?? false;
  }

  /** Whether something is under way that `close` doesn't cancel: a write, or a TLS handshake. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** Ends it after the answer under way, at once if there is none. */
  drain(): void {
    this.#isDraining = true;
    if (this.isIdle) this.close();
  }

  /** Ends it behind its next answer, which says so; without one in a moment, where it has had one. */
  leave(): void {
    this.#isLeaving = true;
    if (this.#isAnswered) this.#endWhenQuiet();
  }

  #endWhenQuiet(): void {
    clearTimeout(this.#quiet);
    // On a busy machine a request may have come by then that hasn't been read.
    this.#quiet = setTimeout(() => {
      this.#quiet = setTimeout(() => {
        if (this.isIdle && this.#input.bytes.length === 0) {
          this.#isOver = true;
          this.#socket.closeWrite().catch(() => this.close());
        }
      }, READ_MS);
    }, QUIET_MS);
  }

  /** Ends it at once. */
  close(): void {
    clearTimeout(this.#quiet);
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#isHeld) this.#options.onStalled();
    this.#letGo?.();
    this.#socket.close();
  }

  #holdBack(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    this.#letGo = resolve;
    if (this.#isClosed) resolve();
    return promise.finally(() => {
      clearTimeout(timer);
      this.#letGo = null;
    });
  }

  async #serve(): Promise<void> {
    const { headMs, idleMs } = this.#options.patience;
    const startedMs = performance.now();
    this.#socket.setNoDelay?.(true); // answers are written whole; none must wait for the ACK of the one before
    if (this.#socket.handshake) {
      const late = setTimeout(() => this.close(), headMs);
      this.#isHeld = true;
      await this.#socket.handshake().finally(() => {
        clearTimeout(late);
        this.#isHeld = this.#isClosed; // one that was closed goes on behind the promise's back
      });
    }
    for (let number = 0; !this.#isDraining; number++) {
      let head: RequestHead | null;
      try {
        head = await this.#readHead(number === 0 ? startedMs + headMs : performance.now() + idleMs, number);
      } catch (error) {
        if (!(error instanceof HttpFault)) throw error;
        this.#isAnswering = true;
        return await this.#refuse(error);
      }
      // What couldn't be answered isn't done either: the client asks elsewhere.
      if (head === null || this.#isOver) return;
      this.#isAnswering = true;
      this.#options.onRequest();
      const refusal = this.#options.app.refuse?.(head, this.#source) ?? null;
      if (!await (refusal === null ? this.#answer(head) : this.#refuseByHead(head, refusal))) return;
      this.#isAnswering = false;
      this.#isAnswered = true;
      // Its head had been sent by the time that this one was to leave: the client takes the connection for one that goes on.
      if (this.#isLeaving) this.#endWhenQuiet();
    }
  }

  get #isLast(): boolean {
    return this.#isDraining || this.#isLeaving;
  }

  /** The next head; `null` when the client has closed, or sent nothing in time. */
  async #readHead(untilMs: number, number: number): Promise<RequestHead | null> {
    let deadlineMs = untilMs;
    let isBegun = false;
    for (let seen = 0;;) {
      // A client may end its former request with an empty line too many (RFC 9112 §2.2).
      while (this.#input.bytes[0] === CR && this.#input.bytes[1] === LF) this.#input.skip(2);
      const { bytes } = this.#input;
      if (bytes.length > 0 && !isBegun) {
        isBegun = true;
        if (number > 0) deadlineMs = performance.now() + this.#options.patience.headMs;
      }
      const end = endOfHead(bytes, seen);
      if (end >= 0 && end <= HEAD_BYTES_MAX) {
        const head = parseHead(bytes.subarray(0, end), this.#options.scheme);
        this.#input.skip(end + END_OF_HEAD);
        return head;
      }
      if (bytes.length > HEAD_BYTES_MAX) {
        throw new HttpFault(431, `The head has more than ${HEAD_BYTES_MAX} bytes`);
      }
      seen = bytes.length;
      try {
        if (!await this.#input.more(Math.max(0, deadlineMs - performance.now()))) return null;
      } catch (error) {
        if (!(error instanceof TooSlow)) throw error;
        if (!isBegun) return null;
        throw new HttpFault(408, "The request did not come in time");
      }
    }
  }

  /** Whether the connection can go on. */
  async #answer(head: RequestHead): Promise<boolean> {
    const gone = new AbortController();
    const watch = () => this.#input.watch(() => gone.abort());
    const body = new RequestBody(this.#input, {
      framing: head.body,
      patience: this.#options.patience.body,
      onStart: async () => {
        if (head.awaitsContinue) await this.#write(CONTINUE);
      },
      onDone: watch,
    });
    if (head.body === 0) watch();
    this.#body = body;
    const response = await this.#respond(requestOf(head, body, gone.signal));
    this.#body = null;
    const later = await this.#later;
    this.#later = null;
    const canGoOn = body.giveUp() && head.keepsAlive && !this.#isLast;
    const framing: Framing = {
      isHead: head.method === "HEAD",
      minorVersion: head.minorVersion,
      isLast: !canGoOn,
      acceptsGzip: /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))/i.test(
        head.headers.get("accept-encoding") ?? "",
      ),
    };
    if (later !== null) await this.#write(await later.answer.bytes(framing));
    else for await (const bytes of encodeAnswer(response, framing)) await this.#write(bytes);
    if (!canGoOn) await this.#linger();
    else await later?.next;
    return canGoOn;
  }

  /** Whether the connection can go on: a body isn't read, and what is behind it can't be found. */
  async #refuseByHead(head: RequestHead, { holdMs, ...answer }: ShortAnswer): Promise<boolean> {
    await this.#holdBack(holdMs);
    if (this.#isClosed) return false;
    const canGoOn = head.body === 0 && head.keepsAlive && !this.#isLast;
    await this.#write(encodeShort(answer, { isHead: head.method === "HEAD", isLast: !canGoOn }));
    if (!canGoOn) await this.#linger();
    return canGoOn;
  }

  async #respond(request: Request): Promise<Response> {
    try {
      return await this.#options.app.fetch(request, this.#source);
    } catch (error) {
      this.#options.log.error("Request failed", {
        method: request.method,
        path: withoutTokens(request.url),
        error,
      });
      return problem(500, "The request failed inside Pleiades; its log says why");
    }
  }

  /** The answer to what is no request. */
  async #refuse({ status, message }: HttpFault): Promise<void> {
    const framing = { isHead: false, minorVersion: 1, isLast: true, acceptsGzip: false };
    for await (const bytes of encodeAnswer(problem(status, message), framing)) await this.#write(bytes);
    await this.#linger();
  }

  /** Says that nothing more will come, and reads on for a moment: a reset would take the answer from the client. */
  async #linger(): Promise<void> {
    const late = setTimeout(() => this.close(), LINGER_MS);
    try {
      await this.#socket.closeWrite();
      for (let read = 0; read < LINGER_BYTES_MAX && await this.#input.more(LINGER_MS);) {
        read += this.#input.bytes.length;
        this.#input.skip(this.#input.bytes.length);
      }
    } catch (error) {
      if (!(error instanceof TooSlow)) throw error;
    } finally {
      clearTimeout(late);
    }
  }

  /** Writes all of it; a client that doesn't read loses the connection. */
  async #write(bytes: Uint8Array): Promise<void> {
    const late = setTimeout(() => this.close(), this.#options.patience.writeMs);
    this.#isHeld = true;
    try {
      for (let sent = 0; sent < bytes.length;) {
        const count = await this.#socket.write(bytes.subarray(sent));
        if (count === 0) throw new Deno.errors.WriteZero("The socket took nothing of an answer");
        sent += count;
      }
    } finally {
      this.#isHeld = false;
      clearTimeout(late);
    }
  }
}

/**
 * Which of them gives way where there may be no more: the one that has been idle for longest, then one whose body doesn't
 * come; `undefined` = all are busy.
 *
 * @param connections in the order in which they were last busy
 */
export function givingWay(connections: readonly HttpConnection[]): HttpConnection | undefined {
  return connections.find((connection) => connection.isIdle) ??
    connections.find((connection) => connection.isStalled);
}

const CR = 13;
const LF = 10;
/** CR LF CR LF. */
const END_OF_HEAD = 4;
const CONTINUE = new TextEncoder().encode("HTTP/1.1 100 Continue\r\n\r\n");

/** Where the empty line begins whose CR LF CR LF ends the head; −1 = it isn't there yet. */
function endOfHead(bytes: Uint8Array, seen: number): number {
  for (let at = Math.max(0, seen - END_OF_HEAD);;) {
    at = bytes.indexOf(CR, at);
    if (at < 0) return -1;
    if (bytes[at + 1] === LF && bytes[at + 2] === CR && bytes[at + 3] === LF) return at;
    at++;
  }
}

function requestOf(head: RequestHead, body: RequestBody, signal: AbortSignal): Request {
  const { url, method, headers } = head;
  const mayHaveBody = method !== "GET" && method !== "HEAD" && head.body !== 0;
  const isOrdinary = !["CONNECT", "TRACE", "TRACK"].includes(method.toUpperCase());
  const request = new Request(url, {
    method: isOrdinary ? method : "POST",
    headers,
    signal,
    body: mayHaveBody ? body.stream : null,
  });
  // What the constructor refuses, since no page may send it, is the application's to refuse here; and it changes the
  // case of the usual ones, although methods are case-sensitive.
  if (request.method !== method) Object.defineProperty(request, "method", { value: method });
  return request;
}

function problem(status: number, detail: string): Response {
  const document = { type: "about:blank", status, detail };
  return new Response(JSON.stringify(document), { status, headers: { "content-type": PROBLEM_TYPE } });
}

/** What a network and its clients do, which can't be fixed here. */
function isOfNetwork(error: unknown): boolean {
  return error instanceof TooSlow || error instanceof Deno.errors.WriteZero ||
    NETWORK_ERRORS.some((kind) => error instanceof kind) ||
    // What TLS says of a client that speaks something else.
    (error instanceof Error && error.name === "InvalidData");
}

const NETWORK_ERRORS = [
  Deno.errors.BadResource,
  Deno.errors.BrokenPipe,
  Deno.errors.ConnectionReset,
  Deno.errors.ConnectionAborted,
  Deno.errors.NotConnected,
  Deno.errors.Interrupted,
  Deno.errors.TimedOut,
  Deno.errors.UnexpectedEof,
];
