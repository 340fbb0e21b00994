/**
 * Ending connections whose client doesn't read: closing one doesn't cancel the write that is under way
 * (denoland/deno#36369), nor a TLS handshake, so that the connection would stay until its client leaves. On Linux with
 * glibc it is shut down in the kernel by its descriptor (`shutdown(2)`), which ends what is under way; what was queued for
 * the client is thrown away (`SO_LINGER` of no time). Elsewhere nothing can be done.
 *
 * Its descriptor is looked for by its two addresses, of which no two connections have the same. What is under way keeps
 * the descriptor open meanwhile.
 *
 * @module
 */
import { findLibc, type Libc } from "../libc.ts";
import { descriptors, nameOfDescriptor, nameOfEnd, NAMING } from "./socket_names.ts";

/** What names a connection. */
export interface Ends {
  /** This side. */
  readonly localAddr: Deno.Addr;
  /** The other one. */
  readonly remoteAddr: Deno.Addr;
}

const SYMBOLS = {
  getpeername: NAMING,
  getsockname: NAMING,
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

const SOL_SOCKET = 1;
const SO_LINGER = 13;
const SHUT_RDWR = 2;
/** `struct linger`: on, for no time. */
const NO_LINGER = new Uint8Array(new Int32Array([1, 0]).buffer);

/** Time in which connections gather: looking for one costs as much as looking for all. */
const GATHER_MS = 100;

/** Ends connections, as far as this system lets it. Disposing ends those that have gathered and closes the C library. */
export class Stalled implements Disposable {
  /** `undefined` = not asked for yet, `null` = not to be had. */
  #libc: Libc<typeof SYMBOLS> | null | undefined;
  readonly #gathered = new Set<Ends>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Ends a connection that was closed with something under way, in a moment. */
  end(connection: Ends): void {
    this.#gathered.add(connection);
    this.#timer ??= setTimeout(() => this.#endGathered(), GATHER_MS);
  }

  /** To be told when a connection has ended by itself: its client may come again from the same port. */
  forget(connection: Ends): void {
    this.#gathered.delete(connection);
  }

  /** Ends what is left; afterwards there is nothing to be ended. */
  [Symbol.dispose](): void {
    this.#endGathered();
    this.#libc?.close();
    this.#libc = null;
  }

  #endGathered(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#gathered.size === 0) return;
    const wanted = new Set(
      [...this.#gathered].map((each) => `${nameOfEnd(each.remoteAddr)} ${nameOfEnd(each.localAddr)}`),
    );
    this.#gathered.clear();
    if (this.#libc === undefined) this.#libc = findLibc(SYMBOLS);
    if (this.#libc === null) return;
    const { getpeername, getsockname, setsockopt, shutdown } = this.#libc.symbols;
    for (const fd of descriptors()) {
      const remote = nameOfDescriptor(getpeername, fd);
      if (remote === null || !wanted.has(`${remote} ${nameOfDescriptor(getsockname, fd)}`)) continue;
      setsockopt(fd, SOL_SOCKET, SO_LINGER, NO_LINGER, NO_LINGER.length);
      shutdown(fd, SHUT_RDWR);
    }
  }
}
