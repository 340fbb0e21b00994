/**
 * NATS over Deno's own sockets, since the transports that come with the library don't do TLS in Deno.
 *
 * The server speaks first: a line `INFO {…}`, in plain text even where TLS follows. So the line is read, the connection
 * becomes TLS if the server or the settings want it, and the line is then given to the library as the first that came. Servers
 * with `handshake_first` begin with TLS instead, and only they can be shown a client certificate.
 *
 * Source: docs.nats.io/reference/reference-protocols/nats-protocol
 *
 * @module
 */
import {
  checkOptions,
  type ConnectionOptions,
  type Deferred,
  deferred,
  INFO,
  type Server,
  setTransportFactory,
  type Transport,
} from "@nats-io/nats-core/internal";
import { turnWithSockets } from "../sockets/socket_clock.ts";
import { VERSION } from "../version.ts";

/** What a NATS server says first is a few hundred bytes, with a large cluster's addresses a few thousand. */
const INFO_SIZE_MAX = 64 * 1024;

/** What is read at once: of a snapshot of small values some forty, which the library reads in one go. */
const READ_SIZE = 16 * 1024;

/** Bytes that may wait for a server that doesn't read; with more it is given up, and another one is tried. */
const WAITING_SIZE_MAX = 16 * 1024 * 1024;

/** How long reading may go on without a turn of the event loop, milliseconds: what other work has of one, too. */
const TURN_MS = 4;

/** How long what is already written may take to leave when the connection is closed, milliseconds. */
const FLUSH_MS = 500;

/** What a server says first, as far as it matters here. */
interface ServerInfo {
  readonly tls_required?: boolean;
  readonly tls_available?: boolean;
}

/** Makes the library use this transport from now on; the same again has no effect. */
export function useDenoTransport(): void {
  setTransportFactory({ factory: () => new DenoTransport(), defaultPort: 4222 });
}

/** One connection to one server. */
class DenoTransport implements Transport {
  readonly lang = "pleiades";
  readonly version = VERSION;
  closeError?: Error;
  readonly #closed: Deferred<void | Error> = deferred();
  #conn: Deno.Conn | null = null;
  #isConnected = false;
  #isEncrypted = false;
  #isEnded = false;
  #first: Uint8Array = new Uint8Array(0);
  #writing: Promise<void> = Promise.resolve();
  #waitingSize = 0;
  /** Aborted when the connection isn't wanted any more: the system would go on trying for minutes. */
  readonly #ending = new AbortController();

  async connect({ hostname, port, tlsName }: Server, options: ConnectionOptions): Promise<void> {
    const { tls } = options;
    const caCerts = tls?.ca === undefined ? [] : [tls.ca];
    const name = tlsName || hostname;
    if (tls?.handshakeFirst) {
      const pair = tls.cert !== undefined && tls.key !== undefined ? { cert: tls.cert, key: tls.key } : {};
      this.#take(await Deno.connectTls({ hostname, port, caCerts, ...pair }));
      this.#isEncrypted = true;
      this.#first = (await this.#readInfo()).bytes;
    } else {
      const plain = await Deno.connect({ hostname, port, signal: this.#ending.signal });
      this.#take(plain);
      const { info, bytes } = await this.#readInfo();
      this.#first = bytes;
      checkOptions(info as Parameters<typeof checkOptions>[0], options);
      if (tls || info.tls_required || info.tls_available) {
        const secured = await Deno.startTls(plain, { hostname: name, caCerts });
        this.#take(secured);
        await secured.handshake();
        this.#isEncrypted = true;
      }
    }
    this.#isConnected = true;
  }

  async *[Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    yield this.#first;
    let fault: Error | undefined;
    const buffer = new Uint8Array(READ_SIZE);
    let turnedMs = performance.now();
    try {
      for (;;) {
        const size = await this.#conn!.read(buffer);
        if (size === null) break;
        // What is there already is read without a turn of the event loop: a large snapshot would keep timers and sockets waiting.
        if (performance.now() - turnedMs > TURN_MS) {
          await turnWithSockets();
          turnedMs = performance.now();
        }
        // A copy: what the library makes of it keeps the memory that it is given.
        yield buffer.slice(0, size);
      }
    } catch (error) {
      if (error instanceof Error) fault = error;
    }
    this.#end(fault);
  }

  get isClosed(): boolean {
    return this.#isEnded;
  }

  isEncrypted(): boolean {
    return this.#isEncrypted;
  }

  send(frame: Uint8Array): void {
    if (this.#isEnded) return;
    this.#waitingSize += frame.length;
    if (this.#waitingSize > WAITING_SIZE_MAX) {
      return this.#end(new Error(`the server has not read ${WAITING_SIZE_MAX} bytes that wait for it`));
    }
    this.#writing = this.#writing.then(() => this.#write(frame)).catch((error) => this.#end(error));
  }

  async close(error?: Error): Promise<void> {
    if (this.#isConnected && !this.#isEnded && !error) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      await Promise.race([this.#writing, new Promise((resolve) => timer = setTimeout(resolve, FLUSH_MS))]);
      clearTimeout(timer);
    }
    this.#end(error);
  }

  disconnect(): void {
    this.#end();
  }

  discard(): void {
    // What is closed has nothing left to give away.
  }

  closed(): Promise<void | Error> {
    return this.#closed;
  }

  async #write(frame: Uint8Array): Promise<void> {
    for (let written = 0; written < frame.length && !this.#isEnded;) {
      written += await this.#conn!.write(frame.subarray(written));
    }
    this.#waitingSize -= frame.length;
  }

  /** Takes over what was opened, which may come after the library has given up waiting for it. */
  #take(conn: Deno.TcpConn | Deno.TlsConn): void {
    this.#conn = conn;
    if (this.#isEnded) {
      conn.close();
      throw new Error("the connection was given up");
    }
    if ("setNoDelay" in conn) conn.setNoDelay(true);
  }

  async #readInfo(): Promise<{ readonly info: ServerInfo; readonly bytes: Uint8Array }> {
    let bytes = new Uint8Array(0);
    for (;;) {
      const line = INFO.exec(new TextDecoder().decode(bytes))?.[1];
      if (line !== undefined) return { info: JSON.parse(line), bytes };
      if (bytes.length > 0 && !"INFO ".startsWith(new TextDecoder().decode(bytes.subarray(0, 5)))) {
        throw new NoNatsServer();
      }
      if (bytes.length > INFO_SIZE_MAX) throw new NoNatsServer();
      const buffer = new Uint8Array(READ_SIZE);
      const size = await this.#conn!.read(buffer);
      if (size === null) throw new Error("the server closed the connection before it said anything");
      bytes = new Uint8Array([...bytes, ...buffer.subarray(0, size)]);
    }
  }

  #end(error?: Error): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#ending.abort();
    if (error) this.closeError = error;
    try {
      this.#conn?.close();
    } catch {
      // `startTls` has taken the plain connection over, or the other end was faster.
    }
    // Before that, the library is told by what `connect` throws; to be told twice it would dial twice.
    if (this.#isConnected) this.#closed.resolve(error);
  }
}

/** What answers isn't a NATS server. */
export class NoNatsServer extends Error {
  /** A new one. */
  constructor() {
    super("what answers there isn't a NATS server");
    this.name = "NoNatsServer";
  }
}
