/**
 * Turns of the event loop in each of which sockets are looked at.
 *
 * Deno's loop (tokio's scheduler for one thread) looks at its sockets when it has nothing else to do, or else behind every 61 of its
 * tasks. One of them is all JavaScript that can run: where some work goes on in slices and asks for its next turn by a timer that is
 * over already, there is always something to do, and a turn is some five tasks. With 40 ms a turn, connections of probes that were there
 * after a tenth of a millisecond counted half a second later, and time-outs ended what had been answered in time.
 *
 * So the next turn is asked for over a socket: a byte that the process sends itself comes when all others were looked at, too.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import type { Clock } from "../clock.ts";

/** The one that is open in this thread. */
let open: SocketClock | null = null;

/** A turn of the event loop in which sockets are looked at; where no {@linkcode SocketClock} is open in this thread, in which they may be. */
export function turnWithSockets(): Promise<void> {
  return open?.sleep(0, NEVER) ?? new Promise((resolve) => void setImmediate(resolve));
}

const NEVER = new AbortController().signal;

/** A clock whose `sleep(0)` lasts until sockets were looked at; until its own is there, and where none can be had, it is as the given one. */
export class SocketClock implements Clock, AsyncDisposable {
  /** As the given clock's. */
  readonly monotonicMs: () => number;
  /** As the given clock's. */
  readonly unixMs: () => number;
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();
  readonly #closing = new AbortController();
  readonly #opened = Promise.withResolvers<void>();
  readonly #running: Promise<void>;
  /** Where a turn is asked for. */
  #near: Deno.TcpConn | null = null;
  #isAsked = false;
  /** Ends the wait for a turn that may not come; `null` = there is none. */
  #patience: AbortController | null = null;

  /** Opens a connection of the process with itself over the loopback. */
  constructor(clock: Clock) {
    this.#clock = clock;
    this.monotonicMs = () => clock.monotonicMs();
    this.unixMs = () => clock.unixMs();
    this.#running = this.#run();
  }

  /** Resolves when it has its connection, or has none to expect. */
  get opened(): Promise<void> {
    return this.#opened.promise;
  }

  /** As the given clock's, but for no time at all. */
  readonly sleep = (ms: number, signal: AbortSignal): Promise<void> => {
    if (ms > 0 || this.#near === null || signal.aborted) return this.#clock.sleep(ms, signal);
    return new Promise((resolve) => {
      const wake = () => {
        signal.removeEventListener("abort", wake);
        this.#waiting.delete(wake);
        resolve();
      };
      signal.addEventListener("abort", wake);
      this.#waiting.add(wake);
      this.#ask();
    });
  };

  /** Closes the connection; who sleeps wakes. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  #ask(): void {
    if (this.#patience === null) this.#wakeAnyway();
    if (this.#isAsked) return;
    this.#isAsked = true;
    // A connection that is broken is seen where it is read.
    this.#near!.write(TURN).catch(() => {});
  }

  async #run(): Promise<void> {
    try {
      using pair = await connectedPair(this.#closing.signal);
      this.#closing.signal.addEventListener("abort", () => pair[Symbol.dispose]());
      if (this.#closing.signal.aborted) return;
      this.#near = pair.near;
      open ??= this;
      this.#opened.resolve();
      // More than comes: what fills it could leave something behind, and the next read wouldn't wait.
      const buffer = new Uint8Array(TURN.length + 1);
      while (await pair.far.read(buffer) !== null) {
        this.#isAsked = false;
        this.#wake();
      }
    } catch {
      // Where the loopback can't be had, timers alone make the turns.
    } finally {
      this.#near = null;
      if (open === this) open = null;
      this.#opened.resolve();
      this.#wake();
    }
  }

  /** A firewall may swallow what was asked, also on the loopback: turns are rare then, but there are some. */
  #wakeAnyway(): void {
    const { signal } = this.#patience = new AbortController();
    this.#clock.sleep(LATE_MS, signal).then(() => {
      if (!signal.aborted) this.#wake();
    });
  }

  #wake(): void {
    this.#patience?.abort();
    this.#patience = null;
    for (const wake of [...this.#waiting]) wake();
  }
}

const TURN = Uint8Array.of(1);

/** How long a turn is waited for at most, milliseconds: longer than one takes on a machine with too much to do. */
const LATE_MS = 250;

/** Two ends of a connection. */
interface Pair extends Disposable {
  readonly near: Deno.TcpConn;
  readonly far: Deno.TcpConn;
}

/** Connects the process with itself. Another may come first; one that has another port isn't taken. */
async function connectedPair(signal: AbortSignal): Promise<Pair> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  using ends = new DisposableStack();
  const near = await Deno.connect({ hostname: "127.0.0.1", port, signal });
  ends.defer(() => near.close());
  near.setNoDelay(true);
  for (;;) {
    const far = await listener.accept();
    if (far.remoteAddr.port !== near.localAddr.port) {
      far.close();
      continue;
    }
    ends.defer(() => far.close());
    const opened = ends.move();
    return { near, far, [Symbol.dispose]: () => opened.dispose() };
  }
}
