/**
 * A proxy in front of Consul that answers wrongly as long as it is told to.
 *
 * @module
 */

/** What it answers in place of Consul; `null` = what Consul answers. */
export type Answer =
  | null
  /** Says nothing at all, and keeps the connection. */
  | "silence"
  /** These bytes, and no more. */
  | { readonly bytes: string; readonly ends: boolean }
  /** What Consul answers, a byte at a time. */
  | "dribble";

/** Between a client and one Consul. */
export class ConsulProxy implements AsyncDisposable {
  readonly #to: number;
  readonly #listener: Deno.TcpListener;
  readonly #open = new Set<Deno.Conn>();
  readonly #running = new Set<Promise<void>>();
  readonly #accepting: Promise<void>;
  #answer: Answer = null;

  constructor(to: number, hostname = "127.0.0.1") {
    this.#to = to;
    this.#listener = Deno.listen({ hostname, port: 0 });
    this.#accepting = this.#accept();
  }

  get address(): { readonly hostname: string; readonly port: number } {
    return { hostname: "127.0.0.1", port: this.#listener.addr.port };
  }

  /** Answers so from now on; what is open is closed. */
  become(answer: Answer): void {
    this.#answer = answer;
    for (const connection of this.#open) close(connection);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.become(null);
    await this.#accepting;
    await Promise.all(this.#running);
  }

  async #accept(): Promise<void> {
    for await (const near of this.#listener) {
      const served = this.#serve(near).catch(() => {}).finally(() => {
        close(near);
        this.#open.delete(near);
        this.#running.delete(served);
      });
      this.#running.add(served);
    }
  }

  async #serve(near: Deno.TcpConn): Promise<void> {
    this.#open.add(near);
    const answer = this.#answer;
    if (answer !== null && answer !== "dribble") {
      await near.read(new Uint8Array(65_536));
      if (answer === "silence") {
        await near.read(new Uint8Array(1));
        return;
      }
      await writeAll(near, new TextEncoder().encode(answer.bytes));
      if (!answer.ends) await near.read(new Uint8Array(1));
      return;
    }
    const far = await Deno.connect({ hostname: "127.0.0.1", port: this.#to });
    this.#open.add(far);
    try {
      await Promise.race([pipe(near, far, false), pipe(far, near, answer === "dribble")]);
    } finally {
      close(far);
      this.#open.delete(far);
    }
  }
}

async function pipe(from: Deno.Conn, to: Deno.Conn, isSlow: boolean): Promise<void> {
  const buffer = new Uint8Array(isSlow ? 1 : 65_536);
  for (;;) {
    const size = await from.read(buffer);
    if (size === null) return;
    await writeAll(to, buffer.subarray(0, size));
    if (isSlow) await new Promise((resolve) => setTimeout(resolve, 1_000)); // Time is the subject: it is slow.
  }
}

async function writeAll(to: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
}

function close(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch (cause) {
    if (!(cause instanceof Deno.errors.BadResource)) throw cause;
  }
}
