/** @module A member that goes up and down, and that only those can see who trust the authority of its certificate. */
import { freePort } from "../../free_port.ts";
import type { Identity } from "../../health/certificates.ts";

/** A port of loopback on which a server is, or nothing. */
export class Member implements AsyncDisposable {
  readonly port: number = freePort();
  readonly #identity: Identity;
  #listener: Deno.TlsListener | null = null;
  #accepting: Promise<void> = Promise.resolve();

  constructor(identity: Identity) {
    this.#identity = identity;
  }

  get isUp(): boolean {
    return this.#listener !== null;
  }

  async turn(isUp: boolean): Promise<void> {
    if (isUp === this.isUp) return;
    if (!isUp) return await this[Symbol.asyncDispose]();
    const listener = Deno.listenTls({ hostname: "127.0.0.1", port: this.port, ...this.#identity });
    this.#listener = listener;
    this.#accepting = this.#accept(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener?.close();
    this.#listener = null;
    await this.#accepting;
  }

  async #accept(listener: Deno.TlsListener): Promise<void> {
    const answering = new Set<Promise<void>>();
    while (this.#listener === listener) {
      const connection = await listener.accept().catch(() => null);
      if (connection === null) continue;
      const answer = this.#answer(connection).finally(() => answering.delete(answer));
      answering.add(answer);
    }
    await Promise.all(answering);
  }

  async #answer(connection: Deno.Conn): Promise<void> {
    try {
      if (await connection.read(new Uint8Array(4096)) === null) return;
      const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nup";
      await connection.write(new TextEncoder().encode(answer));
    } catch {
      // It doesn't trust this server.
    } finally {
      connection.close();
    }
  }
}
