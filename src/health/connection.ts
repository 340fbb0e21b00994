/**
 * Connections to a given address: plain, over verified TLS, and over TLS that accepts any certificate.
 *
 * Verified TLS is Deno's own (rustls), whose messages say exactly what is wrong with a certificate. Deno has no way
 * to turn verification off for one connection, but its `node:tls` has; so that is used for `insecureSkipVerify`
 * alone.
 *
 * Neither lets go of its TCP connection when it is closed during its handshake: a backend that accepts and then says
 * nothing would cost a file descriptor a probe. Therefore such handshakes run through a `Relay`, whose ends are ours to
 * close.
 *
 * @module
 */
import { connect as connectNodeTcp } from "node:net";
import { connect as connectNodeTls, type TLSSocket } from "node:tls";
import type { ByteStream } from "./http_exchange.ts";

/** An open connection; whoever opened it closes it. */
export interface Connection extends ByteStream, AsyncDisposable {}

/** Where to connect. */
export interface Endpoint {
  /** An address, never a name. */
  readonly ipAddress: string;
  /** 1–65535. */
  readonly port: number;
}

/** How the peer proves who it is. */
export interface TlsTerms {
  /** For SNI and for the certificate's names: a host name, or an address, for which no SNI is sent. */
  readonly serverName: string;
  /** PEM certificates of authorities that are trusted beside the system's. */
  readonly caCerts: readonly string[];
  /** `false` accepts any certificate. */
  readonly isVerified: boolean;
  /**
   * Whether this backend finished its last handshake; if so, a verified one is made without the relay, for two
   * thirds of the processor time.
   */
  readonly isReliable: boolean;
}

/** Opens a TCP connection; it is closed when `signal` is aborted. */
export async function connectTcp({ ipAddress, port }: Endpoint, signal: AbortSignal): Promise<Connection> {
  return new DenoConnection(await Deno.connect({ hostname: ipAddress, port, signal }), signal);
}

/** Opens a TLS connection, handshake done; it is closed when `signal` is aborted. */
export function connectTls(endpoint: Endpoint, terms: TlsTerms, signal: AbortSignal): Promise<Connection> {
  if (terms.isVerified) return connectVerified(endpoint, terms, signal);
  return UnverifiedConnection.open(endpoint, terms.serverName, signal);
}

/**
 * A short phrase for why a connection failed.
 *
 * @returns `null` when the error is not about the peer: it is the prober that is at fault
 */
export function explainFailure(error: unknown, serverName: string): string | null {
  if (!(error instanceof Error) || error instanceof RelayFault) return null;
  if (LOCAL_FAULT.test(error.message)) return null;
  for (const [pattern, phrase] of PHRASES) {
    const match = pattern.exec(error.message);
    if (match) return phrase(match, serverName);
  }
  if (error instanceof Deno.errors.UnexpectedEof) return "connection closed";
  return firstLine(error.message);
}

/**
 * EMFILE, ENFILE, ENOMEM, ENOBUFS, EADDRNOTAVAIL, and EPERM and EACCES, by which a firewall of this machine forbids to
 * connect: nothing that the peer did.
 */
const LOCAL_FAULT =
  /too many open files|EMFILE|ENFILE|cannot allocate memory|ENOMEM|no buffer space|ENOBUFS|cannot assign requested address|EADDRNOTAVAIL|operation not permitted|EPERM|permission denied|EACCES/i;

/** What Deno, rustls and node:net say → what operators look for. */
const PHRASES: readonly [RegExp, (match: RegExpExecArray, serverName: string) => string][] = [
  [/connection refused|ECONNREFUSED/i, () => "connection refused"],
  [/connection reset|ECONNRESET/i, () => "connection reset"],
  [/broken pipe|EPIPE|not connected|ENOTCONN/i, () => "connection closed"],
  [/no route to host|host is unreachable|EHOSTUNREACH/i, () => "no route to host"],
  [/network is unreachable|ENETUNREACH/i, () => "network is unreachable"],
  [/connection timed out|ETIMEDOUT/i, () => "connection timed out"],
  [/certificate expired|CertExpired/i, () => "certificate expired"],
  [/certificate not valid yet|CertNotValidYet/i, () => "certificate is not valid yet"],
  [
    /certificate is only valid for (.+)/i,
    (match, name) => `certificate is for ${namesIn(match[1]!)}, not ${name}`,
  ],
  [
    /certificate not valid for name|NotValidForName/i,
    (_match, name) => `certificate names no host, not even ${name}`,
  ],
  // A bad signature is what an authority of the same name with another key looks like.
  [/UnknownIssuer|BadSignature|CaUsedAsEndEntity/i, () => "certificate is not signed by a trusted authority"],
  [/invalid peer certificate: (.+)/i, (match) => `certificate is invalid: ${firstLine(match[1]!)}`],
  [/InvalidContentType|wrong version number/i, () => "the server does not speak TLS"],
  [/received fatal alert: (.+)/i, (match) => `TLS alert: ${firstLine(match[1]!)}`],
  [
    /handshake eof|peer closed connection|unexpected end of file|socket disconnected/i,
    () => "connection closed",
  ],
];

async function connectVerified(
  endpoint: Endpoint,
  terms: TlsTerms,
  signal: AbortSignal,
): Promise<Connection> {
  const remote = await connectRemote(endpoint, signal);
  const { client, relay } = terms.isReliable
    ? { client: remote, relay: null }
    : await Relay.open(remote, async (port) => {
      const client = await Deno.connect({ hostname: "127.0.0.1", port });
      client.setNoDelay(true);
      return { client, port: client.localAddr.port, close: () => client.close() };
    });
  const tls = await Deno.startTls(client, { hostname: terms.serverName, caCerts: [...terms.caCerts] })
    .catch((error) => {
      closeQuietly(client);
      relay?.close();
      throw error;
    });
  const connection = new DenoConnection(tls, signal, relay);
  try {
    await tls.handshake();
    return connection;
  } catch (error) {
    await connection[Symbol.asyncDispose]();
    throw error;
  }
}

async function connectRemote({ ipAddress, port }: Endpoint, signal: AbortSignal): Promise<Deno.TcpConn> {
  const remote = await Deno.connect({ hostname: ipAddress, port, signal });
  // Without it the request waits for the acknowledgement of the handshake's last message, up to 40 ms.
  remote.setNoDelay(true);
  return remote;
}

/** A connection of Deno's own. */
class DenoConnection implements Connection {
  readonly #conn: Deno.Conn;
  readonly #signal: AbortSignal;
  readonly #relay: Relay | null;
  readonly #onAbort = () => this.#close();
  #buffer: Uint8Array<ArrayBuffer> | null = null;
  #isOpen = true;

  constructor(conn: Deno.Conn, signal: AbortSignal, relay: Relay | null = null) {
    this.#conn = conn;
    this.#signal = signal;
    this.#relay = relay;
    signal.addEventListener("abort", this.#onAbort, { once: true });
    if (signal.aborted) this.#close();
  }

  async read(): Promise<Uint8Array | null> {
    this.#buffer ??= new Uint8Array(READ_SIZE);
    const size = await this.#conn.read(this.#buffer);
    return size === null ? null : this.#buffer.subarray(0, size);
  }

  write(bytes: Uint8Array): Promise<void> {
    return writeAll(this.#conn, bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close();
    await this.#relay?.ended;
  }

  #close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#signal.removeEventListener("abort", this.#onAbort);
    this.#conn.close();
    this.#relay?.close();
  }
}

/** Holds a usual response whole; a megabyte takes 64 reads. */
const READ_SIZE = 16 * 1024;

/** TLS by node:tls, which accepts any certificate. */
class UnverifiedConnection implements Connection {
  readonly #socket: TLSSocket;
  readonly #relay: Relay;
  readonly #signal: AbortSignal;
  /** Received and not yet read. An iterator over the socket would lose them when the socket fails behind them. */
  readonly #pieces: Uint8Array[] = [];
  #piecesSize = 0;
  /** Why nothing more will come: `null` = the peer has said all it wanted to. */
  #end: { readonly error: Error | null } | null = null;
  /** Resolves when there is a piece more, or an end. */
  #news = Promise.withResolvers<void>();
  readonly #closed: Promise<unknown>;
  /** Rejects when the connection is given up, so that nothing waits for a socket that says nothing any more. */
  readonly #over = Promise.withResolvers<never>();
  readonly #onAbort = () => void this[Symbol.asyncDispose]();
  #isSecured = false;

  /** Connects, and waits for the end of the handshake. */
  static async open(endpoint: Endpoint, serverName: string, signal: AbortSignal): Promise<Connection> {
    const remote = await connectRemote(endpoint, signal);
    const { client, relay } = await Relay.open(remote, (port) => dialUnverified(port, serverName));
    const connection = new UnverifiedConnection(client, relay, signal);
    try {
      await connection.#untilSecured();
      return connection;
    } catch (error) {
      await connection[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(socket: TLSSocket, relay: Relay, signal: AbortSignal) {
    this.#socket = socket;
    this.#relay = relay;
    this.#signal = signal;
    socket.on("data", (piece: Uint8Array) => this.#take(piece));
    socket.once("end", () => this.#finish(null));
    socket.once("error", (error) => this.#finish(CUT_OFF.test(error.message) ? null : error));
    this.#closed = new Promise((resolve) => socket.once("close", resolve));
    this.#over.promise.catch(() => {});
    signal.addEventListener("abort", this.#onAbort, { once: true });
    if (signal.aborted) this.#onAbort();
  }

  async read(): Promise<Uint8Array | null> {
    for (;;) {
      const piece = this.#pieces.shift();
      if (piece) {
        this.#piecesSize -= piece.length;
        if (this.#piecesSize < PIECES_SIZE_MAX) this.#relay.resume();
        return piece;
      }
      if (this.#end?.error) throw this.#end.error;
      if (this.#end) return null;
      this.#news = Promise.withResolvers();
      await Promise.race([this.#news.promise, this.#over.promise]);
    }
  }

  #take(piece: Uint8Array): void {
    this.#pieces.push(piece);
    this.#piecesSize += piece.length;
    // Not the socket: a paused one would lose what it holds when it fails.
    if (this.#piecesSize >= PIECES_SIZE_MAX) this.#relay.pause();
    this.#news.resolve();
  }

  #finish(error: Error | null): void {
    this.#end ??= { error };
    this.#news.resolve();
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#over.promise.catch(reject);
      this.#socket.write(bytes, (error) => error ? reject(error) : resolve());
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#signal.removeEventListener("abort", this.#onAbort);
    this.#over.reject(new Error("connection closed"));
    this.#relay.close();
    // A socket that is destroyed during its handshake stays open in Deno 2.6; the relay's end makes it fail first.
    if (this.#isSecured) this.#socket.destroy();
    const lastResort = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      this.#socket.destroy();
      lastResort.resolve();
    }, LAST_RESORT_MS);
    await Promise.race([Promise.all([this.#closed, this.#relay.ended]), lastResort.promise]);
    clearTimeout(timer);
  }

  #untilSecured(): Promise<void> {
    return new Promise((resolve, reject) => {
      // No race: it would resolve a turn later, when Deno 2.6 has destroyed a socket that it called secure.
      this.#over.promise.catch(reject);
      this.#socket.once("secureConnect", () => {
        this.#isSecured = true;
        // Deno 2.6 calls a failed handshake secure too, and fails the first read or write.
        if (this.#signal.aborted) this.#socket.destroy();
        resolve();
      });
      this.#socket.once("error", reject);
      this.#socket.once("close", () => reject(new Error("connection closed")));
    });
  }
}

/**
 * The peer closed TCP without TLS's own goodbye, as many servers do. What came before it is no less true, and where a
 * response ends is for HTTP to say.
 */
const CUT_OFF = /without sending TLS close_notify/;

/** Bytes that wait to be read before the relay stops taking more from the backend. */
const PIECES_SIZE_MAX = 256 * 1024;

/**
 * A socket that hasn't noticed its connection's end by then never will. It is left behind: a probe that never settles
 * would keep its target from ever being probed again.
 */
const LAST_RESORT_MS = 1_000;

async function dialUnverified(port: number, serverName: string): Promise<Dialled<TLSSocket>> {
  const isAddress = /^[\d.]+$|:/.test(serverName);
  const tcp = connectNodeTcp({ host: "127.0.0.1", port });
  await new Promise((resolve, reject) => tcp.once("connect", resolve).once("error", reject));
  // The same as with the backend: a message a time. TLS over it has no say in this any more.
  tcp.setNoDelay(true);
  const client = connectNodeTls({
    socket: tcp,
    rejectUnauthorized: false,
    ...(isAddress ? { host: serverName } : { servername: serverName }),
  });
  // Errors are told by reads, writes and "close"; without a listener of its own one would end the process.
  for (const socket of [tcp, client]) socket.on("error", () => {});
  // A socket that is destroyed during its handshake stays open in Deno 2.6; the listener's end makes it fail instead.
  return { client, port: tcp.localPort!, close: () => {} };
}

/**
 * The relay can't be made. Both its ends are ours, so it is never the backend's fault; node:net calls a want of
 * descriptors a refused connection.
 */
class RelayFault extends Error {
  constructor(cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(`No connection within this machine for TLS, mostly for lack of descriptors: ${reason}`, { cause });
  }
}

/** A client of a relay. */
interface Dialled<Client> {
  readonly client: Client;
  /** Which it connected from. */
  readonly port: number;
  readonly close: () => void;
}

/** Passes bytes between a TLS client on the loopback interface and the backend. */
class Relay {
  readonly #remote: Deno.TcpConn;
  readonly #local: Deno.TcpConn;
  /** Set while nothing is to be taken from the backend. */
  #paused: PromiseWithResolvers<void> | null = null;
  /** Resolves when nothing is passed any more. */
  readonly ended: Promise<unknown>;

  /**
   * Lets a client dial the relay, and takes over the connection to the backend.
   *
   * @param dial connects to the port of 127.0.0.1
   */
  static async open<Client>(
    remote: Deno.TcpConn,
    dial: (port: number) => Promise<Dialled<Client>>,
  ): Promise<{ client: Client; relay: Relay }> {
    let dialled: Dialled<Client> | null = null;
    try {
      using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      dialled = await dial(listener.addr.port);
      for (;;) {
        const local = await listener.accept();
        if (local.remoteAddr.port === dialled.port) {
          return { client: dialled.client, relay: new Relay(remote, local) };
        }
        // Someone else on this machine tried the port.
        local.close();
      }
    } catch (error) {
      // For lack of descriptors, mostly: a probe that kept one then would make the lack worse.
      dialled?.close();
      remote.close();
      throw new RelayFault(error);
    }
  }

  private constructor(remote: Deno.TcpConn, local: Deno.TcpConn) {
    this.#remote = remote;
    this.#local = local;
    local.setNoDelay(true);
    this.ended = Promise.all([pump(remote, local, () => this.#paused?.promise), pump(local, remote)]);
  }

  /** Takes nothing more from the backend for now. */
  pause(): void {
    this.#paused ??= Promise.withResolvers();
  }

  /** Takes from the backend again. */
  resume(): void {
    this.#paused?.resolve();
    this.#paused = null;
  }

  close(): void {
    this.resume();
    closeQuietly(this.#remote);
    closeQuietly(this.#local);
  }
}

/** Copies until either end is closed; what went wrong is told by the TLS that runs inside. */
async function pump(
  from: Deno.TcpConn,
  to: Deno.TcpConn,
  paused: () => Promise<void> | undefined = () => undefined,
): Promise<void> {
  const buffer = new Uint8Array(READ_SIZE);
  try {
    for (let size = await from.read(buffer); size !== null; size = await from.read(buffer)) {
      await writeAll(to, buffer.subarray(0, size));
      await paused();
    }
    await to.closeWrite();
  } catch {
    closeQuietly(to);
  }
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await conn.write(bytes.subarray(sent));
}

function closeQuietly(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch (error) {
    // Closed before; there is no way to ask.
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

/** `DnsName("a.example"), IpAddress(192.0.2.1)` → `a.example, 192.0.2.1`; three names say enough. */
function namesIn(text: string): string {
  const names = [...text.matchAll(/DnsName\("([^"]*)"\)|IpAddress\(([^)]*)\)/g)].map((match) =>
    match[1] ?? match[2]!
  );
  if (names.length === 0) return firstLine(text);
  return names.length > 3 ? `${names.slice(0, 3).join(", ")}, …` : names.join(", ");
}

/** The start of a message from elsewhere, fit for a log line. */
function firstLine(text: string): string {
  const line = text.split("\n", 1)[0]!.replace(/ \(os error \d+\)$/, "");
  return line.length > 120 ? `${line.slice(0, 119)}…` : line;
}
