/**
 * Ending connections whose client doesn't read: closing one doesn't cancel the write that is under way
 * (denoland/deno#36369), nor a TLS handshake, so that the connection would stay until its client leaves. On Linux with
 * glibc it is shut down in the kernel by its descriptor (`shutdown(2)`), which ends what is under way; what was queued for
 * the client is thrown away (`SO_LINGER` of no time). Elsewhere nothing can be done.
 *
 * Deno doesn't tell a connection's descriptor, so it is looked for among all of the process by its two addresses, of
 * which no two connections have the same. What is under way keeps the descriptor open meanwhile.
 *
 * @module
 */
import { formatIp, parseIp } from "../ip.ts";

/** What names a connection. */
export interface Ends {
  /** This side. */
  readonly localAddr: Deno.Addr;
  /** The other one. */
  readonly remoteAddr: Deno.Addr;
}

const SYMBOLS = {
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

const AF_INET = 2;
const AF_INET6 = 10;
const SOL_SOCKET = 1;
const SO_LINGER = 13;
const SHUT_RDWR = 2;
/** Size of `struct sockaddr_in6`, the larger one. */
const NAME_SIZE = 28;
/** `struct linger`: on, for no time. */
const NO_LINGER = new Uint8Array(new Int32Array([1, 0]).buffer);

/** Time in which connections gather: looking for one costs as much as looking for all. */
const GATHER_MS = 100;

/** Ends connections, as far as this system lets it. Disposing ends those that have gathered and closes the C library. */
export class Stalled implements Disposable {
  /** `undefined` = not asked for yet, `null` = not to be had. */
  #libc: Libc | null | undefined;
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
      [...this.#gathered].map((each) => `${keyOf(each.remoteAddr)} ${keyOf(each.localAddr)}`),
    );
    this.#gathered.clear();
    if (this.#libc === undefined) this.#libc = openLibc();
    if (this.#libc === null) return;
    const { getpeername, getsockname, setsockopt, shutdown } = this.#libc.symbols;
    for (const { name } of Deno.readDirSync("/proc/self/fd")) {
      const fd = Number(name);
      const remote = nameOf(getpeername, fd);
      if (remote === null || !wanted.has(`${remote} ${nameOf(getsockname, fd)}`)) continue;
      setsockopt(fd, SOL_SOCKET, SO_LINGER, NO_LINGER, NO_LINGER.length);
      shutdown(fd, SHUT_RDWR);
    }
  }
}

type Libc = Deno.DynamicLibrary<typeof SYMBOLS>;

/** `null` where there is no glibc. Opened once: each time takes memory that isn't given back. */
function openLibc(): Libc | null {
  if (Deno.build.os !== "linux") return null;
  try {
    return Deno.dlopen("libc.so.6", SYMBOLS);
  } catch {
    return null;
  }
}

function keyOf(address: Deno.Addr): string {
  const { hostname, port } = address as Deno.NetAddr;
  const bytes = parseIp(hostname);
  return `${bytes ? formatIp(bytes) : hostname} ${port}`;
}

/** An end of a socket as `keyOf` writes it; `null` = the descriptor is none of an internet socket, or has no such end. */
function nameOf(
  get: (fd: number, name: Uint8Array<ArrayBuffer>, size: Uint8Array<ArrayBuffer>) => number,
  fd: number,
): string | null {
  const name = new Uint8Array(NAME_SIZE);
  if (get(fd, name, new Uint8Array(new Uint32Array([NAME_SIZE]).buffer)) !== 0) return null;
  const view = new DataView(name.buffer);
  const family = view.getUint16(0, true);
  if (family !== AF_INET && family !== AF_INET6) return null;
  const bytes = family === AF_INET ? name.slice(4, 8) : name.slice(8, 24);
  return `${formatIp(parseIp(formatIp(bytes))!)} ${view.getUint16(2)}`;
}
