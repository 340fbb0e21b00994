/**
 * Consul's HTTP API: one question or change after the other over a channel, which keeps its connection. A question may be
 * blocked until there is news, for half a minute.
 *
 * Of several servers one is asked, and the next as soon as that one doesn't answer: then every channel moves.
 *
 * What real Consul (1.21) says that must not be taken literally:
 *
 * - Without the right to see anything it answers 200 and an empty list. Whether that is so stands in its headers, and is a
 *   refusal here: otherwise a token that was deleted would empty the catalog.
 * - Blocked questions are answered from a stream of events, which doesn't say that it was filtered: nothing is certain only
 *   when a plain question says so.
 * - An index of 0 doesn't block, and one that goes back means that the state was replaced: begin again.
 * - Blocking questions say `KnownLeader: false` always; only plain ones tell how old the state is.
 *
 * @module
 */
import { type Connection, connectTcp, connectTls, explainFailure } from "../health/connection.ts";
import { formatSocketAddress, type SocketAddress } from "../ip.ts";
import { exchange, type HttpAnswer, HttpFault, type HttpRequest } from "./exchange.ts";

/** How Consul is reached. */
export interface ConsulTerms {
  /** Its servers or agents, one or more; any of them will do. Hosts may be names. */
  readonly addresses: readonly SocketAddress[];
  /** ACL token. */
  readonly token: string | null;
  /** The token's key in the settings, for messages. */
  readonly tokenKey: string;
  /** `null` = plain HTTP. */
  readonly tls: {
    /** What their certificates name, such as `server.gg.consul`; `null` = their addresses. */
    readonly serverName: string | null;
    /** PEM certificates of authorities that count beside the system's. */
    readonly caCerts: readonly string[];
  } | null;
}

/** What can be wrong: nothing is answered; it may not be told; what is answered is no answer. */
export type ConsulError = "noanswer" | "denied" | "consulapi";

/** Consul didn't say what it was asked for. */
export class ConsulFault extends Error {
  /** Of the kind of error. */
  override name = "ConsulFault";
  /** For metrics. */
  readonly kind: ConsulError;

  /** With a message for people, which names the server. */
  constructor(kind: ConsulError, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

/** A question. */
export interface ConsulQuestion {
  /** Such as `/v1/catalog/services`. */
  readonly path: string;
  /** What goes behind it; an empty value is written as a flag, and of a list each. */
  readonly query: Readonly<Record<string, string | readonly string[]>>;
  /** Blocks until the state is beyond this; 0 = answers at once. */
  readonly index: number;
  /** For so many seconds at most. */
  readonly waitSeconds: number;
  /** Milliseconds that the answer may take beyond that. */
  readonly answerMs: number;
  /** Whether an empty answer is fine even where it is for lack of rights. */
  readonly mayBeFiltered: boolean;
  /** Whether the body is enough, and who asks takes it apart: it may have megabytes. */
  readonly isBodyEnough?: boolean;
}

/** A change at the agent that is asked. Made twice it is what it is made once. */
export interface ConsulChange {
  /** Such as `/v1/agent/service/register`. */
  readonly path: string;
  /** What is written; `null` = nothing. */
  readonly body: object | null;
  /** Milliseconds that the answer may take. */
  readonly answerMs: number;
}

/** An answer. */
export interface ConsulAnswer {
  /** What the body says; `undefined` = it is enough, and has more than nothing. */
  readonly document: unknown;
  /** As it came. */
  readonly body: Uint8Array;
  /** By which the next question blocks; 0 = don't. */
  readonly index: number;
  /** Whether the server that answered knows of a leader; of plain questions only. */
  readonly isLed: boolean;
  /** How old its state is at most, milliseconds; of plain questions only. */
  readonly ageMs: number;
  /** Whether there may be more than this token is told; what comes from a stream of events doesn't say so. */
  readonly isFiltered: boolean;
}

/** Largest body: 10,000 instances have 9 MB. */
const BODY_BYTES_MAX = 64 << 20;

/** A client of one Consul. */
export class ConsulClient implements Disposable {
  readonly #terms: ConsulTerms;
  readonly #channels = new Set<Channel>();
  /** Servers whose handshakes end. */
  readonly #reliable = new Set<SocketAddress>();
  #at = 0;

  /** Connects to nothing yet. */
  constructor(terms: ConsulTerms) {
    this.#terms = terms;
  }

  /** The server that is asked. */
  get server(): SocketAddress {
    return this.#terms.addresses[this.#at]!;
  }

  /** Asks the next server from now on, if this one is still asked; what is blocked at it ends. */
  leave(server: SocketAddress): void {
    const { addresses } = this.#terms;
    if (server !== this.server || addresses.length === 1) return;
    this.#at = (this.#at + 1) % addresses.length;
    for (const channel of this.#channels) channel.close();
  }

  /** Questions one after the other. */
  channel(): Channel {
    const channel = new Channel(this.#terms, {
      server: () => this.server,
      connect: (server, signal) => this.#connect(server, signal),
      onClose: () => this.#channels.delete(channel),
    });
    this.#channels.add(channel);
    return channel;
  }

  /** Ends all questions. */
  [Symbol.dispose](): void {
    for (const channel of [...this.#channels]) channel[Symbol.dispose]();
  }

  async #connect(server: SocketAddress, signal: AbortSignal): Promise<Connection> {
    // Of a name's addresses Deno tries the first only, and this one mostly has two.
    if (server.hostname !== "localhost") return await this.#connectTo(server.hostname, server, signal);
    try {
      return await this.#connectTo("127.0.0.1", server, signal);
    } catch (cause) {
      if (!(cause instanceof Deno.errors.ConnectionRefused)) throw cause;
      return await this.#connectTo("::1", server, signal);
    }
  }

  async #connectTo(ipAddress: string, server: SocketAddress, signal: AbortSignal): Promise<Connection> {
    const { tls } = this.#terms;
    const endpoint = { ipAddress, port: server.port };
    if (tls === null) return await connectTcp(endpoint, signal);
    const connection = await connectTls(endpoint, {
      serverName: tls.serverName ?? server.hostname,
      caCerts: tls.caCerts,
      isVerified: true,
      isReliable: this.#reliable.has(server),
    }, signal);
    this.#reliable.add(server);
    return connection;
  }
}

/** What a channel needs of its client. */
interface ChannelParts {
  readonly server: () => SocketAddress;
  readonly connect: (server: SocketAddress, signal: AbortSignal) => Promise<Connection>;
  readonly onClose: () => void;
}

/** A connection, and what closes it. */
interface Held {
  readonly server: SocketAddress;
  readonly closing: AbortController;
  connection: Connection | null;
}

/** Questions one after the other, over a connection that is kept. */
export class Channel implements Disposable {
  readonly #terms: ConsulTerms;
  readonly #parts: ChannelParts;
  #held: Held | null = null;
  #isEnded = false;

  /** See {@linkcode ConsulClient.channel}. */
  constructor(terms: ConsulTerms, parts: ChannelParts) {
    this.#terms = terms;
    this.#parts = parts;
  }

  /**
   * Asks; never twice at a time.
   *
   * @throws {ConsulFault} where that isn't answered, and when it is closed
   */
  async ask(question: ConsulQuestion): Promise<ConsulAnswer> {
    const { index, waitSeconds, answerMs } = question;
    const { token, tokenKey } = this.#terms;
    // Consul adds up to a sixteenth to how long it waits.
    const longestMs = answerMs + (index > 0 ? waitSeconds * 1000 * 17 / 16 : 0);
    const get = (each: ConsulQuestion): Order => ({
      method: "GET",
      target: targetOf(each),
      body: "",
      longestMs,
    });
    // Where it goes on may be another server, whose state is another one.
    const plain = { ...question, index: 0 };
    const { answer, server, isSecond } = await this.#order(get(question), get(plain));
    return readAnswer(answer, { ...(isSecond ? plain : question), ...{ server, token, tokenKey } });
  }

  /**
   * Makes a change; never twice at a time.
   *
   * @throws {ConsulFault} where it isn't made, or nothing says that it is
   */
  async change({ path, body, answerMs }: ConsulChange): Promise<void> {
    const text = body === null ? "" : JSON.stringify(body);
    const put: Order = { method: "PUT", target: path, body: text, longestMs: answerMs };
    const { answer, server } = await this.#order(put, put);
    expectOk(answer, server);
  }

  /** Closes the connection, and ends the question on it; the next question opens another. */
  close(): void {
    this.#held?.closing.abort();
    this.#held = null;
  }

  /** Ends it. */
  [Symbol.dispose](): void {
    this.#isEnded = true;
    this.close();
    this.#parts.onClose();
  }

  /** @param again what is said where the connection that was kept is none any more */
  async #order(order: Order, again: Order): Promise<{
    readonly answer: HttpAnswer;
    readonly server: SocketAddress;
    readonly isSecond: boolean;
  }> {
    const wasKept = this.#held !== null;
    const { answer, server, isLate } = await this.#exchange(order);
    if (!(answer instanceof ConsulFault)) return { answer, server, isSecond: false };
    // The other end may close a connection that waits for its next question at any moment: also at this one.
    if (!wasKept || isLate || answer.kind !== "noanswer" || this.#isEnded) throw answer;
    const second = await this.#exchange(again);
    if (second.answer instanceof ConsulFault) throw second.answer;
    return { answer: second.answer, server: second.server, isSecond: true };
  }

  async #exchange(order: Order): Promise<{
    readonly answer: HttpAnswer | ConsulFault;
    readonly server: SocketAddress;
    readonly isLate: boolean;
  }> {
    const server = this.#parts.server();
    if (this.#held?.server !== server) this.close();
    const held = this.#held ??= { server, closing: new AbortController(), connection: null };
    let isLate = false;
    const deadline = setTimeout(() => {
      isLate = true;
      held.closing.abort();
    }, order.longestMs);
    try {
      if (this.#isEnded) throw new Error("it is closed");
      held.connection ??= await this.#parts.connect(server, held.closing.signal);
      const answer = await exchange(held.connection, this.#request(server, order));
      if (!answer.isKept) this.#drop(held);
      return { answer, server, isLate };
    } catch (cause) {
      this.#drop(held);
      const reason = isLate
        ? "it takes too long"
        : explainFailure(cause, this.#terms.tls?.serverName ?? server.hostname);
      const kind = cause instanceof HttpFault && !isLate ? "consulapi" : "noanswer";
      const message = `Consul at ${formatSocketAddress(server)}: ${reason ?? String(cause)}`;
      return { answer: new ConsulFault(kind, message, { cause }), server, isLate };
    } finally {
      clearTimeout(deadline);
    }
  }

  #drop(held: Held): void {
    held.closing.abort();
    if (this.#held === held) this.#held = null;
  }

  #request(server: SocketAddress, { method, target, body }: Order): HttpRequest {
    const { token } = this.#terms;
    return {
      ...{ method, path: target, body },
      headers: {
        ...{ host: formatSocketAddress(server), accept: "application/json" },
        ...body !== "" && { "content-type": "application/json" },
        ...token !== null && { "x-consul-token": token },
      },
      bodyBytesMax: BODY_BYTES_MAX,
    };
  }
}

/** What is said to a server. */
interface Order {
  readonly method: "GET" | "PUT";
  /** Path and query. */
  readonly target: string;
  readonly body: string;
  readonly longestMs: number;
}

function targetOf({ path, query, index, waitSeconds }: ConsulQuestion): string {
  const parts = Object.entries(query).flatMap(([key, values]) =>
    [values].flat().map((value) => value === "" ? key : `${key}=${encodeURIComponent(value)}`)
  );
  if (index > 0) parts.push(`index=${index}`, `wait=${waitSeconds}s`);
  return parts.length === 0 ? path : `${path}?${parts.join("&")}`;
}

/** @throws {ConsulFault} where it says that it isn't done */
function expectOk({ status, body }: HttpAnswer, server: SocketAddress): void {
  if (status === 200) return;
  const said = new TextDecoder().decode(body.subarray(0, 200)).replace(/[^\x20-\x7e]+/g, " ").trim();
  const kind = status === 401 || status === 403 ? "denied" : "consulapi";
  throw new ConsulFault(
    kind,
    `Consul at ${formatSocketAddress(server)} answers ${status}${said && `: ${said}`}`,
  );
}

/** @throws {ConsulFault} where the answer is none */
function readAnswer(
  answer: HttpAnswer,
  { server, token, tokenKey, index: asked, mayBeFiltered, isBodyEnough = false }: ConsulQuestion & {
    readonly server: SocketAddress;
    readonly token: string | null;
    readonly tokenKey: string;
  },
): ConsulAnswer {
  expectOk(answer, server);
  const { headers, body } = answer;
  const at = `Consul at ${formatSocketAddress(server)}`;
  let document: unknown;
  try {
    if (!isBodyEnough || body.length <= NOTHING_BYTES_MAX) document = parseBody(body);
  } catch (cause) {
    throw new ConsulFault("consulapi", `${at} doesn't answer in JSON`, { cause });
  }
  const isFiltered = headers.get("x-consul-results-filtered-by-acls") === "true";
  const isAnonymous = token === null && headers.get("x-consul-default-acl-policy") === "deny";
  if (!mayBeFiltered && (isFiltered || isAnonymous) && isNothing(document)) {
    throw new ConsulFault(
      "denied",
      `${at} tells ${isFiltered ? "this token" : "without a token"} nothing (${tokenKey})`,
    );
  }
  const index = Number(headers.get("x-consul-index") ?? NaN);
  const isUsable = Number.isSafeInteger(index) && index >= 1 && index >= asked;
  return {
    ...{ document, body },
    index: isUsable ? index : 0,
    isLed: headers.get("x-consul-knownleader") === "true",
    ageMs: Number(headers.get("x-consul-lastcontact") ?? 0) || 0,
    isFiltered: isFiltered || isAnonymous,
  };
}

/** Longer ones say something. */
const NOTHING_BYTES_MAX = 64;

/** What a body says. @throws {SyntaxError | TypeError} where it isn't JSON */
export function parseBody(body: Uint8Array): unknown {
  return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
}

/** Whether an answer is nothing, or a list or mapping of nothing. */
export function isNothing(document: unknown): boolean {
  return document === null || typeof document === "object" && Object.keys(document).length === 0;
}
