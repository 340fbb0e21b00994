/**
 * Unix sockets between processes of one machine, which hand each other open descriptors (`SCM_RIGHTS`, unix(7)) and know
 * each other's user (`SO_PEERCRED`): what Deno's own don't do. On Linux with glibc.
 *
 * Nothing blocks: waiting is a `poll(2)` on another thread, which a `shutdown(2)` of this side ends. What C writes to from
 * there is no memory of the isolate, which may end meanwhile.
 *
 * @module
 */
import { type Libc as SharedLibc, openLibc as openShared } from "../libc.ts";

/** Where the fields of the C structures lie, on 64-bit little-endian Linux. */
const OFFSET = {
  msghdr: { vector: 16, vectorCount: 24, control: 32, controlLength: 40, flags: 48, size: 56 },
  iovec: { base: 0, length: 8, size: 16 },
  cmsghdr: { length: 0, level: 8, type: 12, data: 16 },
  sockaddrUn: { family: 0, path: 2, size: 110 },
  pollfd: { fd: 0, events: 4, size: 8 },
} as const;

const C = {
  AF_UNIX: 1,
  SOCK_STREAM: 1,
  SOCK_NONBLOCK: 0o4000,
  SOCK_CLOEXEC: 0o2000000,
  SOL_SOCKET: 1,
  SO_PEERCRED: 17,
  SCM_RIGHTS: 1,
  MSG_DONTWAIT: 0x40,
  MSG_NOSIGNAL: 0x4000,
  MSG_CMSG_CLOEXEC: 0x40000000,
  MSG_CTRUNC: 0x8,
  POLLIN: 1,
  POLLOUT: 4,
  SHUT_RDWR: 2,
  ENOENT: 2,
  EINTR: 4,
  EAGAIN: 11,
  EADDRINUSE: 98,
  ECONNREFUSED: 111,
} as const;

const SYMBOLS = {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" },
  accept4: { parameters: ["i32", "pointer", "pointer", "i32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  sendmsg: { parameters: ["i32", "buffer", "i32"], result: "isize" },
  recvmsg: { parameters: ["i32", "buffer", "i32"], result: "isize" },
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  poll: { parameters: ["pointer", "u64", "i32"], result: "i32", nonblocking: true },
  close: { parameters: ["i32"], result: "i32" },
  malloc: { parameters: ["usize"], result: "pointer" },
  free: { parameters: ["pointer"], result: "void" },
  strerror: { parameters: ["i32"], result: "pointer" },
  __errno_location: { parameters: [], result: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The C library, as one user of it has it. */
type Libc = SharedLibc<typeof SYMBOLS>;

/** Longest path of such a socket, bytes; the kernel's room less the zero behind it. */
export const LOCAL_PATH_MAX = 107;
/** Descriptors in one message: the kernel's bound (`SCM_MAX_FD`). */
export const DESCRIPTORS_MAX = 253;
/** Bytes received at a time. */
const CHUNK_BYTES = 64 * 1024;
/** Connections that wait to be accepted. */
const BACKLOG = 16;

/** The process at the other end, as the kernel knows it. */
export interface LocalPeer {
  /** Its number when it connected or listened. */
  readonly pid: number;
  /** The number of its user. */
  readonly uid: number;
}

/** What came in one go. */
export interface LocalMessage {
  /** One byte at least. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Open descriptors that came along, which the receiver closes. */
  readonly descriptors: readonly number[];
}

/** Why such sockets can't be had here; `null` = they can. */
export function localSocketFault(): string | null {
  try {
    // Whether there is such a library its least part tells.
    load({ close: SYMBOLS.close }).close();
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Closes descriptors that were received. */
export function closeDescriptors(descriptors: readonly number[]): void {
  if (descriptors.length === 0) return;
  const libc = openLibc();
  for (const fd of descriptors) libc.symbols.close(fd);
  libc.close();
}

/**
 * Listens on a path, which must not exist; the file's mode is 0600.
 *
 * @throws {RangeError} when the path is longer than the kernel takes
 * @throws {Error} when it can't be bound
 */
export function listenLocally(path: string): LocalListener {
  return new LocalListener(path);
}

/**
 * Connects to a path.
 *
 * @throws {Deno.errors.NotFound | Deno.errors.ConnectionRefused} when there is no such file, or a crash left it behind
 * @throws {RangeError} when the path is longer than the kernel takes
 * @throws {Error} when it can't be reached
 */
export function connectLocally(path: string): LocalConnection {
  const libc = openLibc();
  const fd = openSocket(libc);
  const name = nameOf(path);
  if (libc.symbols.connect(fd, name, name.length) === 0) return new LocalConnection(libc, fd);
  const errno = errnoOf(libc);
  const fault = failure(libc, `connect to ${path}`, errno);
  libc.symbols.close(fd);
  libc.close();
  throw fault;
}

/** A bound path. */
export class LocalListener implements AsyncDisposable {
  readonly #libc: Libc;
  readonly #fd: number;
  readonly #wait: Wait;
  #isClosed = false;

  /** Binds; `listenLocally` says how. */
  constructor(path: string) {
    const name = nameOf(path);
    const libc = openLibc();
    const fd = openSocket(libc);
    const { symbols } = libc;
    if (symbols.bind(fd, name, name.length) !== 0 || symbols.listen(fd, BACKLOG) !== 0) {
      const fault = failure(libc, `listen on ${path}`, errnoOf(libc));
      symbols.close(fd);
      libc.close();
      throw fault;
    }
    Deno.chmodSync(path, 0o600);
    this.#libc = libc;
    this.#fd = fd;
    this.#wait = new Wait(libc, fd);
  }

  /** The next connection; `null` = it was closed. */
  async accept(): Promise<LocalConnection | null> {
    while (!this.#isClosed) {
      const fd = this.#libc.symbols.accept4(this.#fd, null, null, C.SOCK_CLOEXEC | C.SOCK_NONBLOCK);
      if (fd >= 0) return new LocalConnection(openLibc(), fd);
      if (this.#isClosed) break;
      await this.#wait.until(C.POLLIN, -1);
    }
    return null;
  }

  /** Ends `accept`; the file stays where it is. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#libc.symbols.shutdown(this.#fd, C.SHUT_RDWR);
    await this.#wait.end();
    this.#libc.symbols.close(this.#fd);
    this.#libc.close();
  }
}

/** A connection; one `receive` and one `send` at a time. */
export class LocalConnection implements AsyncDisposable {
  /** Who is at the other end. */
  readonly peer: LocalPeer;
  readonly #libc: Libc;
  readonly #fd: number;
  readonly #reading: Wait;
  readonly #writing: Wait;
  readonly #chunk = new Uint8Array(CHUNK_BYTES);
  readonly #control = new Uint8Array(OFFSET.cmsghdr.data + DESCRIPTORS_MAX * 4 + 4);
  #isClosed = false;

  /** Takes over a connected socket and the library, which it closes. */
  constructor(libc: Libc, fd: number) {
    this.#libc = libc;
    this.#fd = fd;
    this.#reading = new Wait(libc, fd);
    this.#writing = new Wait(libc, fd);
    const credentials = new Int32Array(3);
    const size = new Uint32Array([credentials.byteLength]);
    libc.symbols.getsockopt(
      fd,
      C.SOL_SOCKET,
      C.SO_PEERCRED,
      new Uint8Array(credentials.buffer),
      new Uint8Array(size.buffer),
    );
    const [pid, uid] = credentials;
    this.peer = { pid: pid!, uid: uid! };
  }

  /**
   * What comes next; `null` = the other end has closed.
   *
   * @param untilMs monotonic milliseconds after which it is given up
   * @throws {Deno.errors.TimedOut} when nothing has come by then
   */
  async receive(untilMs: number): Promise<LocalMessage | null> {
    while (!this.#isClosed) {
      const header = header1(this.#chunk, this.#control);
      const size = Number(
        this.#libc.symbols.recvmsg(this.#fd, header.bytes, C.MSG_DONTWAIT | C.MSG_CMSG_CLOEXEC),
      );
      const errno = size < 0 ? errnoOf(this.#libc) : 0;
      if (size > 0) {
        const length = Number(header.view.getBigUint64(OFFSET.msghdr.controlLength, true));
        return { bytes: this.#chunk.slice(0, size), descriptors: descriptorsIn(this.#control, length) };
      }
      if (size === 0) return null;
      if (errno !== C.EAGAIN && errno !== C.EINTR) return null; // reset: as good as closed
      await this.#reading.untilTime(C.POLLIN, untilMs);
    }
    return null;
  }

  /**
   * Sends all of it, descriptors along with the first byte; they stay open here.
   *
   * @throws {Deno.errors.TimedOut} when the other end hasn't taken it by then
   * @throws {Deno.errors.BrokenPipe} when it has closed
   */
  async send(
    bytes: Uint8Array<ArrayBuffer>,
    { descriptors = [], untilMs }: { readonly descriptors?: readonly number[]; readonly untilMs: number },
  ): Promise<void> {
    let control: Uint8Array<ArrayBuffer> | null = descriptors.length > 0 ? controlOf(descriptors) : null;
    for (let at = 0; at < bytes.length;) {
      if (this.#isClosed) throw new Deno.errors.BrokenPipe("The connection is closed");
      const header = header1(bytes.subarray(at), control);
      const sent = Number(
        this.#libc.symbols.sendmsg(this.#fd, header.bytes, C.MSG_DONTWAIT | C.MSG_NOSIGNAL),
      );
      if (sent > 0) {
        at += sent;
        control = null;
        continue;
      }
      const errno = errnoOf(this.#libc);
      if (errno !== C.EAGAIN && errno !== C.EINTR) {
        throw new Deno.errors.BrokenPipe("The other end has closed the connection");
      }
      await this.#writing.untilTime(C.POLLOUT, untilMs);
    }
  }

  /** Closes it; what is under way ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#libc.symbols.shutdown(this.#fd, C.SHUT_RDWR);
    await Promise.all([this.#reading.end(), this.#writing.end()]);
    this.#libc.symbols.close(this.#fd);
    this.#libc.close();
  }
}

/** Waiting for one thing on one descriptor. */
class Wait {
  readonly #libc: Libc;
  readonly #list: Deno.PointerObject;
  readonly #view: DataView;
  #under: Promise<unknown> = Promise.resolve();

  constructor(libc: Libc, fd: number) {
    this.#libc = libc;
    this.#list = libc.symbols.malloc(BigInt(OFFSET.pollfd.size))!;
    this.#view = new DataView(Deno.UnsafePointerView.getArrayBuffer(this.#list, OFFSET.pollfd.size));
    this.#view.setInt32(OFFSET.pollfd.fd, fd, true);
  }

  async until(events: number, timeoutMs: number): Promise<number> {
    this.#view.setInt32(OFFSET.pollfd.events, events, true);
    const polled = this.#libc.symbols.poll(this.#list, 1n, timeoutMs);
    this.#under = polled;
    return await polled;
  }

  async untilTime(events: number, untilMs: number): Promise<void> {
    const leftMs = Math.ceil(untilMs - performance.now());
    if (leftMs <= 0 || await this.until(events, leftMs) === 0) {
      throw new Deno.errors.TimedOut("The other end was waited for in vain");
    }
  }

  /** Resolves when nothing is under way any more. */
  async end(): Promise<void> {
    await this.#under;
    this.#libc.symbols.free(this.#list);
  }
}

/** A `struct msghdr` of one run of bytes; the arrays must live until it was used. */
function header1(bytes: Uint8Array<ArrayBuffer>, control: Uint8Array<ArrayBuffer> | null) {
  const vector = new BigUint64Array([addressOf(bytes), BigInt(bytes.length)]);
  const header = new Uint8Array(OFFSET.msghdr.size);
  const view = new DataView(header.buffer);
  view.setBigUint64(OFFSET.msghdr.vector, addressOf(new Uint8Array(vector.buffer)), true);
  view.setBigUint64(OFFSET.msghdr.vectorCount, 1n, true);
  if (control) {
    view.setBigUint64(OFFSET.msghdr.control, addressOf(control), true);
    view.setBigUint64(OFFSET.msghdr.controlLength, BigInt(control.length), true);
  }
  return { bytes: header, view, vector };
}

function addressOf(bytes: Uint8Array<ArrayBuffer>): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes));
}

/** A `struct cmsghdr` with descriptors. */
function controlOf(descriptors: readonly number[]): Uint8Array<ArrayBuffer> {
  const length = OFFSET.cmsghdr.data + descriptors.length * 4;
  const control = new Uint8Array(length + length % 8);
  const view = new DataView(control.buffer);
  view.setBigUint64(OFFSET.cmsghdr.length, BigInt(length), true);
  view.setInt32(OFFSET.cmsghdr.level, C.SOL_SOCKET, true);
  view.setInt32(OFFSET.cmsghdr.type, C.SCM_RIGHTS, true);
  for (const [i, fd] of descriptors.entries()) view.setInt32(OFFSET.cmsghdr.data + i * 4, fd, true);
  return control;
}

function descriptorsIn(control: Uint8Array<ArrayBuffer>, length: number): number[] {
  if (length < OFFSET.cmsghdr.data) return [];
  const view = new DataView(control.buffer);
  const isRights = view.getInt32(OFFSET.cmsghdr.level, true) === C.SOL_SOCKET &&
    view.getInt32(OFFSET.cmsghdr.type, true) === C.SCM_RIGHTS;
  if (!isRights) return [];
  const end = Number(view.getBigUint64(OFFSET.cmsghdr.length, true));
  const found: number[] = [];
  for (let at: number = OFFSET.cmsghdr.data; at + 4 <= Math.min(end, length); at += 4) {
    found.push(view.getInt32(at, true));
  }
  return found;
}

/** `struct sockaddr_un` of a path. */
function nameOf(path: string): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(path);
  if (bytes.length > LOCAL_PATH_MAX) {
    throw new RangeError(
      `The path of a socket has ${LOCAL_PATH_MAX} bytes at most, and ${path} has ${bytes.length}`,
    );
  }
  const name = new Uint8Array(OFFSET.sockaddrUn.size);
  new DataView(name.buffer).setUint16(OFFSET.sockaddrUn.family, C.AF_UNIX, true);
  name.set(bytes, OFFSET.sockaddrUn.path);
  return name;
}

function openSocket(libc: Libc): number {
  const fd = libc.symbols.socket(C.AF_UNIX, C.SOCK_STREAM | C.SOCK_CLOEXEC | C.SOCK_NONBLOCK, 0);
  if (fd < 0) throw failure(libc, "open a socket", errnoOf(libc));
  return fd;
}

/** For one user, who closes it. @throws {Error} with the reason why it can't be used */
function openLibc(): Libc {
  return load(SYMBOLS);
}

/** @throws {Error} with the reason why it can't be used */
function load<const Symbols extends Deno.ForeignLibraryInterface>(
  symbols: Symbols,
): SharedLibc<Symbols> {
  const { os, arch } = Deno.build;
  if (os !== "linux" || (arch !== "x86_64" && arch !== "aarch64")) {
    throw new Error(`it needs Linux on x86_64 or aarch64, this is ${os} on ${arch}`);
  }
  try {
    return openShared(symbols);
  } catch (error) {
    throw new Error(`it needs glibc: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}

/** The class that Deno's own sockets would throw. */
function failure(libc: Libc, what: string, errno: number): Error {
  const reason = new Deno.UnsafePointerView(libc.symbols.strerror(errno)!).getCString();
  const message = `Cannot ${what}: ${reason} (os error ${errno})`;
  if (errno === C.ENOENT) return new Deno.errors.NotFound(message);
  if (errno === C.ECONNREFUSED) return new Deno.errors.ConnectionRefused(message);
  if (errno === C.EADDRINUSE) return new Deno.errors.AddrInUse(message);
  return new Error(message);
}

/** Read at once after the call: the run time's own calls set it, too. */
function errnoOf(libc: Libc): number {
  return new Deno.UnsafePointerView(libc.symbols.__errno_location()!).getInt32();
}
