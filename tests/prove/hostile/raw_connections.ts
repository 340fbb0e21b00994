/**
 * TCP connections from any loopback address, by the C library: Deno can't choose the address that it connects from, and what
 * is done to a listener from one address hits that address's own limit first.
 *
 * Nothing is waited for, so that who makes them can be its own judge meanwhile: loopback connects at once, or, where the
 * listener takes no more, later or never.
 *
 * @module
 */

const SYMBOLS = {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
} as const;

const AF_INET = 2;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 2048;
const SOL_SOCKET = 1;
const SO_LINGER = 13;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

/** A set of connections; disposing closes them all. */
export class RawConnections implements Disposable {
  readonly #libc = Deno.dlopen("libc.so.6", SYMBOLS);
  readonly #open = new Set<number>();

  /** How many are held. */
  get size(): number {
    return this.#open.size;
  }

  /**
   * Connects.
   *
   * @param from an address of 127.0.0.0/8
   * @returns the descriptor
   */
  connect(from: string, to: { readonly hostname: string; readonly port: number }): number {
    const fd = this.#libc.symbols.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0) throw new Error("No socket: this process has no descriptor left (ulimit -n)");
    this.#open.add(fd);
    this.#libc.symbols.bind(fd, sockaddr(from, 0), 16);
    this.#libc.symbols.connect(fd, sockaddr(to.hostname, to.port), 16);
    return fd;
  }

  /** Sends what the socket takes without waiting; how many bytes, 0 = none: it is full, closed or not connected. */
  send(fd: number, bytes: Uint8Array): number {
    const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    return Math.max(
      0,
      Number(this.#libc.symbols.send(fd, new Uint8Array(bytes), BigInt(bytes.length), flags)),
    );
  }

  /** Ends a connection with a reset. */
  reset(fd: number): void {
    const lingerForNothing = new Uint8Array(Int32Array.of(1, 0).buffer);
    this.#libc.symbols.setsockopt(fd, SOL_SOCKET, SO_LINGER, lingerForNothing, 8);
    this.close(fd);
  }

  /** Ends a connection. */
  close(fd: number): void {
    if (this.#open.delete(fd)) this.#libc.symbols.close(fd);
  }

  [Symbol.dispose](): void {
    for (const fd of [...this.#open]) this.close(fd);
    this.#libc.close();
  }
}

function sockaddr(hostname: string, port: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setUint16(0, AF_INET, true);
  new DataView(bytes.buffer).setUint16(2, port);
  bytes.set(hostname.split(".").map(Number), 4);
  return bytes;
}
