/**
 * Stream sockets of Linux by descriptor, `AF_UNIX` and TCP, that never block, and `epoll(7)` to wait on thousands of them:
 * through the foreign-function interface of Deno. For programs that relay: a peer that doesn't read can be left at any
 * moment, a listener's queue is as long as one likes, and a connection can be reset.
 *
 * What isn't done yet is never an error: it is {@linkcode AGAIN}.
 *
 * @module
 */
import { parseIp, type SocketAddress } from "../ip.ts";
import { type Libc, openLibc } from "../libc.ts";

/** Instead of a count or a descriptor: nothing waits, or there is no room; the poller tells when that changes. */
export const AGAIN: -1 = -1;
/** Instead of a count: the connection is broken. */
export const BROKEN: -2 = -2;
/** Instead of a descriptor: the process, or the machine, has no more of them, or no memory. */
export const SHORTAGE: -3 = -3;

/** What a descriptor is waited on for, and what it is reported for. */
export const READY = {
  /** There is something to read, or the end. */
  read: 0x001,
  /** There is room to write. */
  write: 0x004,
  /** It is broken; always reported. */
  error: 0x008,
  /** Both directions have ended; always reported. */
  hangUp: 0x010,
} as const;

const SYMBOLS = {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" },
  accept4: { parameters: ["i32", "buffer", "buffer", "i32"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  rename: { parameters: ["buffer", "buffer"], result: "i32" },
  unlink: { parameters: ["buffer"], result: "i32" },
  epoll_create1: { parameters: ["i32"], result: "i32" },
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
  poll: { parameters: ["pointer", "u64", "i32"], result: "i32", nonblocking: true },
  usleep: { parameters: ["u32"], result: "i32" },
  malloc: { parameters: ["usize"], result: "pointer" },
  free: { parameters: ["pointer"], result: "void" },
  strerror: { parameters: ["i32"], result: "pointer" },
  __errno_location: { parameters: [], result: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

const C = {
  AF_UNIX: 1,
  AF_INET: 2,
  AF_INET6: 10,
  SOCK_STREAM: 1,
  SOCK_NONBLOCK: 0x800,
  SOCK_CLOEXEC: 0x80000,
  SOL_SOCKET: 1,
  SO_REUSEADDR: 2,
  SO_SNDBUF: 7,
  SO_KEEPALIVE: 9,
  SO_LINGER: 13,
  SO_PEERCRED: 17,
  SO_MEMINFO: 55,
  IPPROTO_TCP: 6,
  TCP_NODELAY: 1,
  MSG_NOSIGNAL: 0x4000,
  SHUT_WR: 1,
  EPOLL_CLOEXEC: 0x80000,
  EPOLL_CTL_ADD: 1,
  EPOLL_CTL_DEL: 2,
  EPOLL_CTL_MOD: 3,
  POLLIN: 1,
  ENOENT: 2,
  EINTR: 4,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  ENFILE: 23,
  EMFILE: 24,
  EADDRINUSE: 98,
  ENOBUFS: 105,
  ECONNREFUSED: 111,
} as const;

/** `struct sockaddr_un`. */
const UNIX_NAME_SIZE = 110;
/** `struct sockaddr_in6`, the larger one of the internet's. */
const INTERNET_NAME_SIZE = 28;
/** `struct epoll_event` is packed on x86_64 only. */
const EVENT = Deno.build.arch === "x86_64" ? { size: 12, data: 4 } : { size: 16, data: 8 };
/** Events fetched at once. */
const EVENTS_MAX = 256;
/** `struct pollfd`. */
const POLLFD = { size: 8, events: 4 };

/** Who has connected. */
export interface Accepted {
  /** Its descriptor. */
  readonly fd: number;
  /** 4 or 16 bytes; IPv4 as such on a dual-stack listener, too; none of an `AF_UNIX` connection. */
  readonly address: Uint8Array;
  /** 0 of an `AF_UNIX` connection. */
  readonly port: number;
}

/** The C library's calls. Disposing closes it; descriptors are their owner's. */
export class StreamSockets implements Disposable {
  readonly #libc: Libc<typeof SYMBOLS>;
  readonly #symbols: Libc<typeof SYMBOLS>["symbols"];
  readonly #errno: Deno.UnsafePointerView;
  readonly #name = new Uint8Array(UNIX_NAME_SIZE);
  readonly #nameSize = new Uint32Array(1);

  /** @throws {Error} with the reason why they can't be used */
  constructor() {
    const { os, arch } = Deno.build;
    if (os !== "linux") throw new Error(`it needs Linux, this is ${os}`);
    if (arch !== "x86_64" && arch !== "aarch64") {
      throw new Error(`it needs x86_64 or aarch64, this is ${arch}`);
    }
    this.#libc = openLibc(SYMBOLS);
    this.#symbols = this.#libc.symbols;
    // One address for as long as the thread lives.
    this.#errno = new Deno.UnsafePointerView(this.#symbols.__errno_location()!);
  }

  /**
   * Connects to a path, at once or not at all: where the listener's queue is full, that is an error.
   *
   * @returns a descriptor
   * @throws {Deno.errors.NotFound} where there is no such file
   * @throws {Deno.errors.ConnectionRefused} where nothing listens at it
   * @throws {Error} where it can't be connected to
   */
  connectUnix(path: string): number {
    const fd = this.#open(C.AF_UNIX);
    const name = unixName(path);
    if (this.#symbols.connect(fd, name, name.length) === 0) return fd;
    const errno = this.#errno.getInt32();
    this.close(fd);
    throw this.#failure(`connect to ${path}`, errno);
  }

  /**
   * Listens at a path that doesn't exist yet.
   *
   * @returns a descriptor
   * @throws {Deno.errors.AddrInUse | Deno.errors.PermissionDenied | Error} where it can't be had
   */
  listenUnix(path: string, backlog: number): number {
    const fd = this.#open(C.AF_UNIX);
    return this.#listen(fd, unixName(path), { backlog, what: path });
  }

  /**
   * Listens for TCP; port 0 = any free one.
   *
   * @throws {Deno.errors.AddrInUse | Deno.errors.PermissionDenied | Error} where it can't be had
   */
  listenTcp(
    { hostname, port }: SocketAddress,
    backlog: number,
  ): { readonly fd: number; readonly port: number } {
    const bytes = parseIp(hostname)!;
    const isV6 = bytes.length === 16;
    const fd = this.#open(isV6 ? C.AF_INET6 : C.AF_INET);
    this.#set(fd, C.SOL_SOCKET, C.SO_REUSEADDR, 1);
    const name = new Uint8Array(isV6 ? INTERNET_NAME_SIZE : 16);
    const view = new DataView(name.buffer);
    view.setUint16(0, isV6 ? C.AF_INET6 : C.AF_INET, true);
    view.setUint16(2, port);
    name.set(bytes, isV6 ? 8 : 4);
    this.#listen(fd, name, { backlog, what: `${hostname} port ${port}` });
    if (port !== 0) return { fd, port };
    this.#nameSize[0] = name.length;
    this.#symbols.getsockname(fd, name, new Uint8Array(this.#nameSize.buffer));
    return { fd, port: view.getUint16(2) };
  }

  /** Takes the next connection of a listener; `AGAIN`, `SHORTAGE`, or `BROKEN`: that one was, the next may be whole. */
  accept(listener: number): Accepted | typeof AGAIN | typeof SHORTAGE | typeof BROKEN {
    this.#nameSize[0] = this.#name.length;
    const size = new Uint8Array(this.#nameSize.buffer);
    const fd = this.#symbols.accept4(listener, this.#name, size, C.SOCK_NONBLOCK | C.SOCK_CLOEXEC);
    if (fd >= 0) return { fd, ...senderIn(this.#name) };
    const errno = this.#errno.getInt32();
    if (errno === C.EAGAIN || errno === C.EINTR) return AGAIN;
    return SHORTAGES.has(errno) ? SHORTAGE : BROKEN;
  }

  /** Receives into `bytes`: how many, 0 = it has ended, `AGAIN` or `BROKEN`. */
  receive(fd: number, bytes: Uint8Array<ArrayBuffer>): number {
    const count = Number(this.#symbols.recv(fd, bytes, BigInt(bytes.length), 0));
    return count >= 0 ? count : this.#whyNot();
  }

  /** Sends what there is room for: how many bytes, `AGAIN` or `BROKEN`. */
  send(fd: number, bytes: Uint8Array<ArrayBuffer>): number {
    const count = Number(this.#symbols.send(fd, bytes, BigInt(bytes.length), C.MSG_NOSIGNAL));
    return count >= 0 ? count : this.#whyNot();
  }

  /** Says that nothing more will be sent. */
  endSending(fd: number): void {
    this.#symbols.shutdown(fd, C.SHUT_WR);
  }

  /** Has the kernel keep so many bytes for a peer that doesn't read, about. */
  limitUnread(fd: number, bytes: number): void {
    this.#set(fd, C.SOL_SOCKET, C.SO_SNDBUF, bytes);
  }

  /** `AF_UNIX`: the process that listens, or that has connected; 0 = it can't be seen from here. */
  processAt(fd: number): number {
    const credentials = new Int32Array(3); // struct ucred: pid, uid, gid
    const size = new Uint8Array(new Uint32Array([credentials.byteLength]).buffer);
    const bytes = new Uint8Array(credentials.buffer);
    const result = this.#symbols.getsockopt(fd, C.SOL_SOCKET, C.SO_PEERCRED, bytes, size);
    return result === 0 ? credentials[0]! : 0;
  }

  /** Datagrams that came when the socket had no room for them; 0 where the system doesn't tell (before Linux 4.12). */
  droppedOf(fd: number): number {
    const figures = new Uint32Array(MEMINFO_FIGURES);
    const size = new Uint8Array(new Uint32Array([figures.byteLength]).buffer);
    const bytes = new Uint8Array(figures.buffer);
    this.#symbols.getsockopt(fd, C.SOL_SOCKET, C.SO_MEMINFO, bytes, size);
    return figures[MEMINFO_DROPS]!;
  }

  /** TCP: notices peers that have vanished, and sends what is written at once. */
  tuneTcp(fd: number): void {
    this.#set(fd, C.SOL_SOCKET, C.SO_KEEPALIVE, 1);
    this.#set(fd, C.IPPROTO_TCP, C.TCP_NODELAY, 1);
  }

  /** Closes it; what was sent still arrives. */
  close(fd: number): void {
    this.#symbols.close(fd);
  }

  /** Closes it, and throws away what hasn't arrived; over TCP the peer gets a reset. */
  abort(fd: number): void {
    this.#symbols.setsockopt(fd, C.SOL_SOCKET, C.SO_LINGER, NO_LINGER, NO_LINGER.length);
    this.#symbols.close(fd);
  }

  /** Puts a file in the place of another. @throws {Error} where it can't be done */
  rename(from: string, to: string): void {
    if (this.#symbols.rename(cText(from), cText(to)) === 0) return;
    throw this.#failure(`rename ${from} to ${to}`, this.#errno.getInt32());
  }

  /** Removes a file; whether there was one. */
  unlink(path: string): boolean {
    return this.#symbols.unlink(cText(path)) === 0;
  }

  /** Sleeps with this thread for so many microseconds, and some 50 more, whatever comes. */
  sleep(us: number): void {
    this.#symbols.usleep(us);
  }

  /** Waits on descriptors. */
  poller(): Poller {
    return new Poller(this.#symbols);
  }

  /** Closes the library. */
  [Symbol.dispose](): void {
    this.#libc.close();
  }

  #open(family: number): number {
    const fd = this.#symbols.socket(family, C.SOCK_STREAM | C.SOCK_NONBLOCK | C.SOCK_CLOEXEC, 0);
    if (fd < 0) throw this.#failure("open a socket", this.#errno.getInt32());
    return fd;
  }

  #listen(
    fd: number,
    name: Uint8Array<ArrayBuffer>,
    { backlog, what }: { readonly backlog: number; readonly what: string },
  ): number {
    if (this.#symbols.bind(fd, name, name.length) === 0 && this.#symbols.listen(fd, backlog) === 0) return fd;
    const errno = this.#errno.getInt32();
    this.close(fd);
    throw this.#failure(`listen on ${what}`, errno);
  }

  #set(fd: number, level: number, option: number, value: number): void {
    const bytes = new Uint8Array(new Int32Array([value]).buffer);
    this.#symbols.setsockopt(fd, level, option, bytes, bytes.length);
  }

  #whyNot(): number {
    const errno = this.#errno.getInt32();
    return errno === C.EAGAIN || errno === C.EINTR || errno === C.ENOBUFS ? AGAIN : BROKEN;
  }

  /** The class that Deno's own sockets would throw. */
  #failure(what: string, errno: number): Error {
    const reason = new Deno.UnsafePointerView(this.#symbols.strerror(errno)!).getCString();
    const message = `Cannot ${what}: ${reason} (os error ${errno})`;
    if (errno === C.ENOENT) return new Deno.errors.NotFound(message);
    if (errno === C.EADDRINUSE) return new Deno.errors.AddrInUse(message);
    if (errno === C.ECONNREFUSED) return new Deno.errors.ConnectionRefused(message);
    if (errno === C.EACCES) return new Deno.errors.PermissionDenied(message);
    return new Error(message);
  }
}

type Symbols = Libc<typeof SYMBOLS>["symbols"];

/** Waits until one of many descriptors is ready; what is ready and isn't dealt with is reported again. */
export class Poller implements Disposable {
  readonly #symbols: Symbols;
  readonly #fd: number;
  readonly #events = new Uint8Array(EVENTS_MAX * EVENT.size);
  readonly #view = new DataView(this.#events.buffer);
  readonly #event = new Uint8Array(EVENT.size);
  readonly #eventView = new DataView(this.#event.buffer);
  /** The only memory that C reads from another thread. It isn't the isolate's, which may end meanwhile. */
  readonly #list: Deno.PointerObject;

  /** Waits on nothing yet. */
  constructor(symbols: Symbols) {
    this.#symbols = symbols;
    this.#fd = symbols.epoll_create1(C.EPOLL_CLOEXEC);
    if (this.#fd < 0) throw new Error("Cannot create an epoll instance: no descriptors or no memory left");
    this.#list = symbols.malloc(BigInt(POLLFD.size))!;
    const view = new DataView(Deno.UnsafePointerView.getArrayBuffer(this.#list, POLLFD.size));
    view.setInt32(0, this.#fd, true);
    view.setInt32(POLLFD.events, C.POLLIN, true);
  }

  /** Begins to wait on a descriptor, for bits of `READY`. One that is closed is forgotten by itself. */
  add(fd: number, wanted: number): void {
    this.#control(C.EPOLL_CTL_ADD, fd, wanted);
  }

  /** Waits on it for something else. */
  change(fd: number, wanted: number): void {
    this.#control(C.EPOLL_CTL_MOD, fd, wanted);
  }

  /** Waits on it no longer. */
  remove(fd: number): void {
    this.#control(C.EPOLL_CTL_DEL, fd, 0);
  }

  /** Sleeps with this thread for so many milliseconds at most. @returns how many are ready */
  nap(ms: number): number {
    return Math.max(0, this.#symbols.epoll_wait(this.#fd, this.#events, EVENTS_MAX, ms));
  }

  /** The same with another thread, so that the event loop turns; then `nap(0)` tells what is ready. */
  async wait(ms: number): Promise<void> {
    await this.#symbols.poll(this.#list, 1n, ms);
  }

  /** The descriptor of one that is ready, from 0 on. */
  fdOf(index: number): number {
    return this.#view.getInt32(index * EVENT.size + EVENT.data, true);
  }

  /** What it is ready for, bits of `READY`. */
  readinessOf(index: number): number {
    return this.#view.getUint32(index * EVENT.size, true);
  }

  /** Closes it, with no wait under way. */
  [Symbol.dispose](): void {
    this.#symbols.close(this.#fd);
    this.#symbols.free(this.#list);
  }

  #control(operation: number, fd: number, wanted: number): void {
    this.#eventView.setUint32(0, wanted, true);
    this.#eventView.setInt32(EVENT.data, fd, true);
    if (this.#symbols.epoll_ctl(this.#fd, operation, fd, this.#event) !== 0) {
      throw new Error(`Cannot wait on descriptor ${fd}`);
    }
  }
}

/** What `SO_MEMINFO` tells, and which of it is the number of drops. */
const MEMINFO_FIGURES = 9;
const MEMINFO_DROPS = 8;
/** `struct linger`: on, for no time. */
const NO_LINGER = new Uint8Array(new Int32Array([1, 0]).buffer);
const SHORTAGES: ReadonlySet<number> = new Set([C.EMFILE, C.ENFILE, C.ENOMEM, C.ENOBUFS]);

function unixName(path: string): Uint8Array<ArrayBuffer> {
  const bytes = cText(path);
  const name = new Uint8Array(2 + bytes.length);
  if (name.length > UNIX_NAME_SIZE) throw new Error(`${path} has more than 107 bytes`);
  name[0] = C.AF_UNIX;
  name.set(bytes, 2);
  return name;
}

function cText(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${text}\0`);
}

function senderIn(name: Uint8Array): { readonly address: Uint8Array; readonly port: number } {
  const family = name[0]! | name[1]! << 8;
  const port = name[2]! << 8 | name[3]!;
  if (family === C.AF_INET) return { address: name.slice(4, 8), port };
  if (family !== C.AF_INET6) return { address: new Uint8Array(), port: 0 };
  const isMapped = name.subarray(8, 18).every((byte) => byte === 0) && name[18] === 0xff && name[19] === 0xff;
  return { address: isMapped ? name.slice(20, 24) : name.slice(8, 24), port };
}
