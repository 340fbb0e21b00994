/**
 * A client of one DNS server: one question, one answer.
 *
 * A query goes out once, over UDP, and again over TCP if the answer is truncated. A datagram counts as the
 * answer only if it comes from the server asked and carries the query's id and question (RFC 5452 §9.1);
 * anything else is passed over, as it may be a guess.
 *
 * @module
 */
import { systemClock } from "./clock.ts";
import { canonicalIp, formatSocketAddress, type Prefix, type SocketAddress } from "./ip.ts";
import { decodeMessage, encodeQuery, type Message } from "./wire/message.ts";
import { lowerCaseName, nameToWire, sameName } from "./wire/name.ts";
import { RCODE } from "./wire/record_type.ts";

/** What is asked, which server, and how. */
export interface QueryOptions {
  /** Address and port of the server. */
  readonly server: SocketAddress;
  /** Presentation form; complete with or without a final dot. */
  readonly name: string;
  /** The type's number. */
  readonly type: number;
  /** The class's number. */
  readonly class: number;
  /** The client subnet to send, or `null` for none; needs EDNS. */
  readonly ecs: Prefix | null;
  /** Whether to ask over TCP at once; else only after a truncated answer. */
  readonly tcp: boolean;
  /** Bytes of the largest answer over UDP; 0 = a query without EDNS. */
  readonly udpSize: number;
  /** Longest wait for the answer in all, in milliseconds. */
  readonly timeoutMs: number;
  /** Ends the waiting early, as if the time were over. */
  readonly signal?: AbortSignal;
}

/** An answer and how it came. */
export interface QueryResult {
  /** The answer, decoded. */
  readonly message: Message;
  /** The answer as it came. */
  readonly bytes: Uint8Array;
  /** From sending the query to having the answer, a second try over TCP included. */
  readonly elapsedMs: number;
  /** Over which the answer came. */
  readonly transport: "udp" | "tcp";
}

/**
 * Asks one question.
 *
 * @throws {Deno.errors.TimedOut} when there is no answer in time
 * @throws {SyntaxError} when the name is none, or the answer isn't well-formed
 * @throws {Error} the system's error when the server can't be reached
 */
export async function runQuery(options: QueryOptions): Promise<QueryResult> {
  const { server, name, type, class: queryClass, ecs, tcp, udpSize, timeoutMs, signal } = options;
  const id = crypto.getRandomValues(new Uint16Array(1))[0]!;
  const edns = udpSize > 0 ? { edns: ecs ? { udpSize, ecs } : { udpSize } } : {};
  const exchange = { id, query: encodeQuery({ id, name, type, class: queryClass, ...edns }), options };
  const deadline = new AbortController();
  const end = () => deadline.abort();
  const timer = setTimeout(end, timeoutMs);
  if (signal?.aborted) end();
  signal?.addEventListener("abort", end);
  const startMs = systemClock.monotonicMs();
  try {
    const udp = tcp ? null : await askUdp(exchange, deadline.signal);
    const answer = udp && !udp.message.flags.tc ? udp : await askTcp(exchange, deadline.signal);
    const transport = answer === udp ? "udp" : "tcp";
    return { ...answer, transport, elapsedMs: systemClock.monotonicMs() - startMs };
  } catch (error) {
    if (!deadline.signal.aborted) throw error;
    const address = formatSocketAddress(server);
    throw new Deno.errors.TimedOut(`No answer from ${address} within ${timeoutMs} ms`, { cause: error });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", end);
  }
}

interface Exchange {
  readonly id: number;
  readonly query: Uint8Array;
  readonly options: QueryOptions;
}

type Answer = Pick<QueryResult, "message" | "bytes">;

async function askUdp(exchange: Exchange, signal: AbortSignal): Promise<Answer> {
  const { hostname, port } = exchange.options.server;
  const socket = Deno.listenDatagram({
    transport: "udp",
    hostname: hostname.includes(":") ? "::" : "0.0.0.0",
    port: 0,
  });
  const release = closeOnAbort(socket, signal);
  try {
    await socket.send(exchange.query, { transport: "udp", hostname, port });
    const buffer = new Uint8Array(0xffff);
    for (;;) {
      const [bytes, from] = await socket.receive(buffer);
      const isFromServer = from.transport === "udp" && from.port === port &&
        canonicalIp(from.hostname) === hostname;
      const answer = isFromServer ? readAnswer(bytes.slice(), exchange) : null;
      if (answer) return answer;
    }
  } finally {
    release();
  }
}

async function askTcp(exchange: Exchange, signal: AbortSignal): Promise<Answer> {
  const connection = await Deno.connect({ ...exchange.options.server, transport: "tcp", signal });
  const release = closeOnAbort(connection, signal);
  try {
    const { query } = exchange;
    await writeAll(connection, Uint8Array.of(query.length >> 8, query.length, ...query));
    const [high, low] = await readExactly(connection, 2);
    const bytes = await readExactly(connection, high! << 8 | low!);
    const answer = readAnswer(bytes, exchange);
    if (!answer) throw new SyntaxError("The server answered something else than what it was asked over TCP");
    return answer;
  } finally {
    release();
  }
}

/** Closes the resource when the signal fires or the returned function is called, whichever comes first. */
function closeOnAbort(resource: { close(): void }, signal: AbortSignal): () => void {
  const close = () => {
    signal.removeEventListener("abort", close);
    resource.close();
  };
  if (signal.aborted) close();
  else signal.addEventListener("abort", close);
  return () => {
    if (!signal.aborted) close();
  };
}

/** The answer in these bytes, or `null` when they are none to this query. @throws {SyntaxError} if malformed */
function readAnswer(bytes: Uint8Array, { id, options }: Exchange): Answer | null {
  const isResponse = bytes.length >= 12 && (bytes[2]! & 0x80) !== 0;
  if (!isResponse || (bytes[0]! << 8 | bytes[1]!) !== id) return null;
  const message = decodeMessage(bytes);
  return asksTheSame(message, options) ? { message, bytes } : null;
}

function asksTheSame(
  { questions, rcode }: Message,
  { name, type, class: queryClass }: QueryOptions,
): boolean {
  // A server that couldn't read the question can't repeat it, nor does it know anything of the name.
  if (questions.length === 0) return rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN;
  const [question] = questions;
  return questions.length === 1 && question!.type === type && question!.class === queryClass &&
    sameName(lowerCaseName(nameToWire(question!.name)), lowerCaseName(nameToWire(name)));
}

async function writeAll(connection: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

async function readExactly(connection: Deno.TcpConn, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size;) {
    const count = await connection.read(bytes.subarray(at));
    if (count === null) throw new Deno.errors.UnexpectedEof(`The server closed the connection at byte ${at}`);
    at += count;
  }
  return bytes;
}
