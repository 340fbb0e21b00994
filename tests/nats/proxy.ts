/**
 * A network between a node and its server that can be cut, or made slow and jumpy.
 *
 * @module
 */

/** What happens to bytes. */
export type Weather =
  | { readonly kind: "fair" }
  /** Nothing gets through, and nothing says so: connections stay open. */
  | { readonly kind: "silent" }
  /** Connections are refused, and those that are open are closed. */
  | { readonly kind: "cut" }
  /** Each piece comes late, and some of them later still, as TCP makes it of packets that are lost. */
  | {
    readonly kind: "bad";
    readonly delayMs: number;
    readonly lossPercent: number;
    readonly resendMs: number;
  };

/** Forwards one port of loopback to another. */
export class Proxy implements AsyncDisposable {
  readonly #to: number;
  #listener: Deno.TcpListener;
  #accepting: Promise<void>;
  #weather: Weather = { kind: "fair" };
  #cleared: PromiseWithResolvers<void> | null = null;
  readonly #open = new Set<Deno.Conn>();
  readonly #piping = new Set<Promise<void>>();
  #isClosed = false;

  constructor(to: number) {
    this.#to = to;
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.#accepting = this.#accept(this.#listener);
  }

  /** As settings name it. */
  get url(): string {
    return `nats://127.0.0.1:${(this.#listener.addr as Deno.NetAddr).port}`;
  }

  /** Makes it so from now on. */
  become(weather: Weather): void {
    this.#weather = weather;
    if (weather.kind === "cut") this.#closeAll();
    if (weather.kind === "silent") this.#cleared ??= Promise.withResolvers();
    else {
      this.#cleared?.resolve();
      this.#cleared = null;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.become({ kind: "cut" });
    this.#listener.close();
    await this.#accepting;
    await Promise.all(this.#piping);
  }

  #closeAll(): void {
    for (const connection of this.#open) connection.close();
    this.#open.clear();
  }

  async #accept(listener: Deno.TcpListener): Promise<void> {
    for await (const near of listener) {
      if (this.#weather.kind === "cut" || this.#isClosed) {
        near.close();
        continue;
      }
      const far = await Deno.connect({ hostname: "127.0.0.1", port: this.#to }).catch(() => null);
      if (far === null) {
        near.close();
        continue;
      }
      this.#open.add(near).add(far);
      for (const [from, to] of [[near, far], [far, near]] as const) {
        const piping = this.#pipe(from, to).finally(() => this.#piping.delete(piping));
        this.#piping.add(piping);
      }
    }
  }

  async #pipe(from: Deno.Conn, to: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(16 * 1024);
    // Pieces are on their way at the same time, and arrive in order.
    let arriving: Promise<void> = Promise.resolve();
    try {
      for (;;) {
        const size = await from.read(buffer);
        if (size === null) break;
        await this.#cleared?.promise;
        const piece = buffer.slice(0, size);
        const late = this.#lateness();
        const before = arriving;
        arriving = Promise.all([before, late]).then(async () => {
          for (let sent = 0; sent < piece.length;) sent += await to.write(piece.subarray(sent));
        });
        arriving.catch(() => {});
      }
      await arriving;
    } catch {
      // One of the two was closed.
    }
    for (const connection of [from, to]) if (this.#open.delete(connection)) connection.close();
  }

  #lateness(): Promise<void> | null {
    const weather = this.#weather;
    if (weather.kind !== "bad") return null;
    const isLost = Math.random() * 100 < weather.lossPercent;
    const ms = weather.delayMs + (isLost ? weather.resendMs : 0);
    return new Promise((resolve) => setTimeout(resolve, ms)); // Time is the subject: a slow network's.
  }
}
