/**
 * A backend that does to each connection exactly what a test wants, over plain TCP or TLS.
 *
 * @module
 */
import type { Identity } from "./certificates.ts";

/** What happens to a connection; it is closed when this resolves. */
export type Behaviour = (connection: Deno.Conn) => Promise<void>;

/** Listens on a free port of 127.0.0.1. */
export class Backend implements AsyncDisposable {
  readonly #listener: Deno.TcpListener | Deno.TlsListener;
  readonly #open = new Set<Deno.Conn>();
  readonly #handled: Promise<void>[] = [];
  readonly #accepting: Promise<void>;
  #isClosed = false;
  /** Connections accepted so far. */
  accepted = 0;
  /** The errors that connections ended with, such as a reset by the prober. */
  readonly errors: unknown[] = [];

  constructor(behaviour: Behaviour, identity?: Identity) {
    const where = { hostname: "127.0.0.1", port: 0 };
    this.#listener = identity ? Deno.listenTls({ ...where, ...identity }) : Deno.listen(where);
    this.#accepting = this.#accept(behaviour);
  }

  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  async #accept(behaviour: Behaviour): Promise<void> {
    while (!this.#isClosed) {
      try {
        const connection = await this.#listener.accept();
        this.accepted++;
        this.#handled.push(this.#handle(connection, behaviour));
      } catch (error) {
        if (!this.#isClosed) this.errors.push(error);
      }
    }
  }

  async #handle(connection: Deno.Conn, behaviour: Behaviour): Promise<void> {
    this.#open.add(connection);
    try {
      await behaviour(connection);
    } catch (error) {
      this.errors.push(error);
    }
    this.#close(connection);
  }

  #close(connection: Deno.Conn): void {
    if (this.#open.delete(connection)) connection.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#listener.close();
    for (const connection of this.#open) this.#close(connection);
    await this.#accepting;
    await Promise.all(this.#handled);
  }
}

/** Reads a request up to its blank line, then sends the pieces one by one. */
export function responding(...pieces: (string | Uint8Array)[]): Behaviour {
  return async (connection) => {
    await readRequest(connection);
    for (const piece of pieces) await send(connection, piece);
  };
}

/** Reads up to the blank line that ends a request's head. */
export async function readRequest(connection: Deno.Conn): Promise<string> {
  let text = "";
  const buffer = new Uint8Array(4096);
  while (!text.includes("\r\n\r\n")) {
    const size = await connection.read(buffer);
    if (size === null) return text;
    text += new TextDecoder().decode(buffer.subarray(0, size));
  }
  return text;
}

/** Never answers; ends when the peer goes away. */
export const silent: Behaviour = async (connection) => {
  const buffer = new Uint8Array(4096);
  while (await connection.read(buffer) !== null);
};

/** Sends all of the bytes. */
export async function send(connection: Deno.Conn, piece: string | Uint8Array): Promise<void> {
  const bytes = typeof piece === "string" ? new TextEncoder().encode(piece) : piece;
  for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
}

/** A port of 127.0.0.1 on which nobody listens. */
export function closedPort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}
