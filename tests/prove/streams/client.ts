/**
 * A client over TCP or TLS that says what it was answered wrongly.
 *
 * @module
 */
import type { SocketAddress } from "../../../src/ip.ts";

/** After which a node closes a connection that says nothing, milliseconds. */
export const IDLE_MS = 2_000;

/** One connection. */
export class Client implements Disposable {
  readonly #socket: Deno.TcpConn | Deno.TlsConn;
  readonly #chunk = new Uint8Array(16_384);
  /** When it began to connect: a node's patience with a connection begins before its handshake. */
  readonly #bornMs: number;
  /** Bytes read ahead. */
  #ahead = new Uint8Array(0);

  private constructor(socket: Deno.TcpConn | Deno.TlsConn, bornMs: number) {
    this.#socket = socket;
    this.#bornMs = bornMs;
  }

  static async connect({ hostname, port }: SocketAddress): Promise<Client> {
    const bornMs = performance.now();
    const socket = await Deno.connect({ hostname, port });
    socket.setNoDelay(true);
    return new Client(socket, bornMs);
  }

  /** @param protocol what is spoken inside (ALPN) */
  static async connectTls(
    { hostname, port }: SocketAddress,
    { caCerts }: { readonly caCerts: string[] },
    protocol: string,
  ): Promise<Client> {
    const bornMs = performance.now();
    const socket = await Deno.connectTls({ hostname, port, caCerts, alpnProtocols: [protocol] });
    await socket.handshake();
    return new Client(socket, bornMs);
  }

  /** For what may fail because the server has closed the connection, which is as it should be. */
  static expectClosed(error: unknown): void {
    const { BrokenPipe, ConnectionReset, NotConnected, UnexpectedEof } = Deno.errors;
    const expected = [BrokenPipe, ConnectionReset, NotConnected, UnexpectedEof];
    if (!expected.some((kind) => error instanceof kind)) throw error;
  }

  /** Sends all of it. */
  async send(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await this.#socket.write(rest));
  }

  closeWrite(): Promise<void> {
    return this.#socket.closeWrite();
  }

  /** Reads whatever is there; `false` = the end. */
  async readSome(): Promise<boolean> {
    const count = await this.#socket.read(this.#chunk).catch((error) => {
      Client.expectClosed(error);
      return null;
    });
    if (count === null) return false;
    const joined = new Uint8Array(this.#ahead.length + count);
    joined.set(this.#ahead);
    joined.set(this.#chunk.subarray(0, count), this.#ahead.length);
    this.#ahead = joined;
    return true;
  }

  /** Reads answers to the good queries 1 … `count`, each with an address. */
  async expect(count: number): Promise<string | null> {
    for (let id = 1; id <= count; id++) {
      const answer = await this.#next();
      if (answer === null) {
        if (this.#isOverdue()) return null;
        return `the connection ended before answer ${id} of ${count}, ${this.#ageMs().toFixed(0)} ms old`;
      }
      const isRight = (answer[0]! << 8 | answer[1]!) === id && (answer[3]! & 0x0f) === 0 && answer[7] === 1;
      if (!isRight) return `answer ${id} of ${count} is ${answer.toHex()}`;
    }
    return null;
  }

  /** Reads until the server closes the connection. */
  async expectEnd(): Promise<null> {
    while (await this.readSome()) this.#ahead = new Uint8Array(0);
    return null;
  }

  /** Reads the head of a response over HTTP/1.1. */
  async expectStatus(status: number): Promise<string | null> {
    let head = "";
    while (!head.includes("\r\n\r\n")) {
      const goesOn = await this.readSome();
      head = new TextDecoder().decode(this.#ahead);
      if (!goesOn) break;
    }
    if (head.startsWith(`HTTP/1.1 ${status} `)) return null;
    if (head === "" && this.#isOverdue()) return null;
    return `not status ${status} but ${JSON.stringify(head)} after ${this.#ageMs().toFixed(0)} ms`;
  }

  /** On a busy machine a query may come after the time that a node waits for one. */
  #isOverdue(): boolean {
    return this.#ageMs() > IDLE_MS;
  }

  #ageMs(): number {
    return performance.now() - this.#bornMs;
  }

  async #next(): Promise<Uint8Array | null> {
    for (;;) {
      if (this.#ahead.length >= 2) {
        const end = 2 + (this.#ahead[0]! << 8 | this.#ahead[1]!);
        if (this.#ahead.length >= end) {
          const message = this.#ahead.subarray(2, end);
          this.#ahead = this.#ahead.subarray(end);
          return message;
        }
      }
      if (!await this.readSome()) return null;
    }
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}
