/**
 * A network between a node and its server that can be cut, in one direction alone, or made slow and jumpy.
 *
 * @module
 */
import { type Jumbling, ServerMessages, subjectOf } from "./jumble.ts";

/** What happens to bytes. */
export type Weather =
  | { readonly kind: "fair" }
  /** Nothing gets through, and nothing says so: connections stay open. */
  | { readonly kind: "silent" }
  /** The same, of what the server says alone, or of what the node says. */
  | { readonly kind: "deaf" }
  | { readonly kind: "mute" }
  /** Connections are refused, and those that are open are closed. */
  | { readonly kind: "cut" }
  /** Each piece comes late, and some of them later still, as TCP makes it of packets that are lost. */
  | {
    readonly kind: "bad";
    readonly delayMs: number;
    readonly lossPercent: number;
    readonly resendMs: number;
  }
  /** What the server says comes twice, late and out of order. */
  | { readonly kind: "jumbled" } & Jumbling;

/** Where bytes go. */
type Direction = "toServer" | "toNode";

const STOPPED: Readonly<Record<Direction, ReadonlySet<Weather["kind"]>>> = {
  toServer: new Set(["silent", "mute"]),
  toNode: new Set(["silent", "deaf"]),
};

/** Forwards one port of loopback to another. */
export class Proxy implements AsyncDisposable {
  readonly #to: number;
  #listener: Deno.TcpListener;
  #accepting: Promise<void>;
  #weather: Weather = { kind: "fair" };
  /** By direction: resolves when something gets through again. */
  readonly #cleared: Record<Direction, PromiseWithResolvers<void> | null> = { toServer: null, toNode: null };
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
    for (const direction of ["toServer", "toNode"] as const) {
      if (STOPPED[direction].has(weather.kind)) this.#cleared[direction] ??= Promise.withResolvers();
      else {
        this.#cleared[direction]?.resolve();
        this.#cleared[direction] = null;
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.become({ kind: "cut" });
    this.#listener.close();
    await this.#accepting;
    await Promise.all(this.#piping);
  }

  #accepts(): boolean {
    return this.#weather.kind !== "cut" && !this.#isClosed;
  }

  #closeAll(): void {
    for (const connection of this.#open) connection.close();
    this.#open.clear();
  }

  async #accept(listener: Deno.TcpListener): Promise<void> {
    for await (const near of listener) {
      if (!this.#accepts()) {
        near.close();
        continue;
      }
      const far = await Deno.connect({ hostname: "127.0.0.1", port: this.#to }).catch(() => null);
      // It may have become so meanwhile.
      if (far === null || !this.#accepts()) {
        far?.close();
        near.close();
        continue;
      }
      this.#open.add(near).add(far);
      for (const [from, to, direction] of [[near, far, "toServer"], [far, near, "toNode"]] as const) {
        const piping = this.#pipe(from, to, direction).finally(() => this.#piping.delete(piping));
        this.#piping.add(piping);
      }
    }
  }

  async #pipe(from: Deno.Conn, to: Deno.Conn, direction: Direction): Promise<void> {
    const buffer = new Uint8Array(16 * 1024);
    const messages = new ServerMessages();
    // Pieces are on their way at the same time, and arrive in order.
    let arriving: Promise<void> = Promise.resolve();
    try {
      for (;;) {
        const size = await from.read(buffer);
        if (size === null) break;
        await this.#cleared[direction]?.promise;
        // Cut into messages all the time: it may be jumbled from any of them on.
        const pieces = direction === "toNode"
          ? messages.push(buffer.subarray(0, size))
          : [buffer.slice(0, size)];
        for (const piece of pieces) {
          const write = async () => {
            for (let sent = 0; sent < piece.length;) sent += await to.write(piece.subarray(sent));
          };
          for (const lateMs of this.#latenesses(piece, direction)) {
            if (lateMs > 0) {
              // Time is the subject: a slow network's.
              setTimeout(() => arriving = arriving.then(write).catch(() => {}), lateMs);
            } else {
              arriving = Promise.all([arriving, this.#lateness()]).then(write);
              arriving.catch(() => {});
            }
          }
        }
      }
      await arriving;
    } catch {
      // One of the two was closed.
    }
    for (const connection of [from, to]) if (this.#open.delete(connection)) connection.close();
  }

  /** When a message comes, once or twice; 0 = in its turn. */
  #latenesses(message: Uint8Array, direction: Direction): number[] {
    const weather = this.#weather;
    if (weather.kind !== "jumbled" || direction !== "toNode") return [0];
    const { subjects, twicePercent, latePercent, lateMs } = weather;
    if (!subjectOf(message)?.startsWith(subjects)) return [0];
    const isOneOf = (percent: number) => Math.random() * 100 < percent;
    const later = () => 1 + Math.random() * lateMs;
    return [isOneOf(latePercent) ? later() : 0, ...isOneOf(twicePercent) ? [later()] : []];
  }

  #lateness(): Promise<void> | null {
    const weather = this.#weather;
    if (weather.kind !== "bad") return null;
    const isLost = Math.random() * 100 < weather.lossPercent;
    const ms = weather.delayMs + (isLost ? weather.resendMs : 0);
    return new Promise((resolve) => setTimeout(resolve, ms)); // Time is the subject: a slow network's.
  }
}
