/**
 * The fast UDP transport of Linux: `recvmmsg(2)` and `sendmmsg(2)` through the foreign-function interface, up to 64
 * packets a call, answered in one arena.
 *
 * The cost of a DNS answer is the kernel's, so what counts is to enter it seldom. The loop is a hybrid: it receives
 * without blocking as long as packets are there; when there are none the worker sleeps for a moment itself, and only
 * when nothing comes even then it awaits a `poll(2)` on another thread, so that the worker's event loop turns. Waking
 * two threads for every packet costs as much as the answer. Under load the event loop turns every few batches.
 *
 * Answers leave from the address that was asked: on a wildcard socket the kernel tells it with each packet
 * (`IP_PKTINFO`, `IPV6_PKTINFO`) and takes the same words back with the answer.
 *
 * Memory: C holds addresses into one arena, an `ArrayBuffer` that lives as long as its socket. Layouts are those of 64-bit little-endian Linux with glibc
 * (x86_64 and aarch64 agree in all of them), named in `OFFSET` and asserted by a test against the C compiler's.
 *
 * | part of the arena | size | use |
 * | --- | --- | --- |
 * | received | 64 × `struct mmsghdr` | where packet, sender and control words of each slot go |
 * | sent | 64 × `struct mmsghdr` | the answer of the same slot, back to its sender |
 * | vectors | 2 × 64 × `struct iovec` | one for each header above |
 * | names | 64 × `struct sockaddr_in6` | the senders |
 * | controls | 64 × 64 bytes | `struct cmsghdr` with the packet info |
 * | packets | 64 × 2048 bytes | queries |
 * | answers | 64 × 1232 bytes | answers |
 *
 * @module
 */
import { formatIp, parseIp, type SocketAddress } from "../ip.ts";
import { COUNTER } from "./counters.ts";
import { type Client, UDP_SIZE_MAX } from "./engine.ts";
import { turnEventLoop } from "./event_loop.ts";
import type { Exchange } from "./exchange.ts";
import type { UdpSocket, UdpTransport } from "./udp.ts";

/** Packets per call: enough to make the call cheap, few enough to answer the first before the last gets old. */
const BATCH = 64;
/** Room for a query; longer ones lose their tail and are answered FORMERR. */
const QUERY_MAX = 2048;
/** Batches after which the event loop gets its turn, even if more packets wait. */
const BATCHES_PER_TURN = 16;
/** Time after which the event loop gets its turn where packets come in ones and twos, milliseconds. */
const TURN_MS = 2;
/** How long the worker itself sleeps for the next packet, milliseconds; nothing else of it runs meanwhile. */
const NAP_MS = 1;
/** Longest sleep without packets, milliseconds: how soon a stop is noticed. */
const POLL_MS = 100;
/** Times in a row that the kernel may say there is a packet and give none; a damaged one is such a case, now and then. */
const EMPTY_MAX = 16;
/** Pause after that, milliseconds: the loop never spins on nothing, whatever the reason. */
const NOTHING_PAUSE_MS = 20;
/** What we ask the kernel to keep for us while we are busy: 20 ms at 200,000 packets of 768 bytes each a second. */
const RECEIVE_BUFFER_BYTES = 4 << 20;

/** Where the fields of the C structures lie. */
export const OFFSET = {
  mmsghdr: {
    name: 0,
    nameLength: 8,
    vector: 16,
    vectorCount: 24,
    control: 32,
    controlLength: 40,
    flags: 48,
    messageLength: 56,
    size: 64,
  },
  iovec: { base: 0, length: 8, size: 16 },
  cmsghdr: { length: 0, level: 8, type: 12, data: 16 },
  sockaddrIn: { family: 0, port: 2, address: 4, size: 16 },
  sockaddrIn6: { family: 0, port: 2, address: 8, scope: 24, size: 28 },
  inPktinfo: { index: 0, source: 4, size: 12 },
  in6Pktinfo: { address: 0, index: 16, size: 20 },
  pollfd: { fd: 0, events: 4, size: 8 },
} as const;

const NAME_ROOM = 32;
const CONTROL_ROOM = 64;

const C = {
  AF_INET: 2,
  AF_INET6: 10,
  SOCK_DGRAM: 2,
  SOCK_CLOEXEC: 0x80000,
  SOL_IP: 0,
  SOL_SOCKET: 1,
  SOL_IPV6: 41,
  SO_RCVBUF: 8,
  SO_REUSEPORT: 15,
  SO_RCVBUFFORCE: 33,
  IP_PKTINFO: 8,
  IP_MTU_DISCOVER: 10,
  IP_PMTUDISC_OMIT: 5,
  IPV6_MTU_DISCOVER: 23,
  IPV6_V6ONLY: 26,
  IPV6_RECVPKTINFO: 49,
  IPV6_PKTINFO: 50,
  MSG_DONTWAIT: 0x40,
  POLLIN: 1,
  EINTR: 4,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EADDRINUSE: 98,
  ENOBUFS: 105,
} as const;

const LIBC_SYMBOLS = {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  recvmmsg: { parameters: ["i32", "buffer", "u32", "i32", "pointer"], result: "i32" },
  sendmmsg: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  malloc: { parameters: ["usize"], result: "pointer" },
  free: { parameters: ["pointer"], result: "void" },
  poll: { parameters: ["pointer", "u64", "i32"], result: "i32", nonblocking: true },
  nap: { name: "poll", parameters: ["pointer", "u64", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  strerror: { parameters: ["i32"], result: "pointer" },
  __errno_location: { parameters: [], result: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The C library's socket calls. */
type Libc = Deno.DynamicLibrary<typeof LIBC_SYMBOLS>;

/** Closes sockets whose worker died and so can't do it itself. */
export function closeAbandoned(descriptors: readonly number[]): void {
  if (descriptors.length === 0) return;
  const libc = openLibc();
  for (const fd of descriptors) libc.symbols.close(fd);
  libc.close();
}

/** @throws {Error} with the reason for which the portable transport has to do */
function openLibc(): Libc {
  const { os, arch } = Deno.build;
  if (os !== "linux") throw new Error(`it needs Linux, this is ${os}`);
  if (arch !== "x86_64" && arch !== "aarch64") throw new Error(`it needs x86_64 or aarch64, this is ${arch}`);
  try {
    return Deno.dlopen("libc.so.6", LIBC_SYMBOLS);
  } catch (error) {
    throw new Error(`it needs glibc: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}

/** A bound UDP socket with its arena. */
export class LinuxUdpSocket implements UdpSocket {
  /** With the port that was found where 0 was asked for. */
  readonly port: number;
  /** Its descriptor. */
  readonly fd: number;
  readonly #libc: Libc;
  readonly #wildcard: boolean;
  readonly #received: Uint32Array<ArrayBuffer>;
  readonly #sent: Uint32Array<ArrayBuffer>;
  readonly #sentVectors: Uint32Array<ArrayBuffer>;
  readonly #controls: DataView;
  readonly #senders: readonly Sender[];
  readonly #packets: readonly Uint8Array[];
  readonly #answers: readonly Uint8Array[];
  /** The headers to send, from each slot on. */
  readonly #sentFrom: readonly Uint32Array<ArrayBuffer>[];

  /**
   * Binds.
   *
   * @param reusePort whether other workers bind the same address and share its packets
   * @throws {Deno.errors.AddrInUse | Deno.errors.PermissionDenied | Error} when the address can't be had
   */
  constructor(libc: Libc, { hostname, port }: SocketAddress, reusePort: boolean) {
    this.#libc = libc;
    const bytes = parseIp(hostname)!;
    this.#wildcard = bytes.every((byte) => byte === 0);
    this.fd = openSocket(libc, bytes, { port, reusePort, wildcard: this.#wildcard });
    this.port = port === 0 ? boundPort(libc, this.fd) : port;

    const arena = new Arena();
    const slots = Array.from({ length: BATCH }, (_, slot) => slot);
    const received = arena.part(OFFSET.mmsghdr.size);
    const sent = arena.part(OFFSET.mmsghdr.size);
    const receivedVectors = arena.part(OFFSET.iovec.size);
    const sentVectors = arena.part(OFFSET.iovec.size);
    const names = arena.part(NAME_ROOM);
    const controls = arena.part(CONTROL_ROOM);
    const packets = arena.part(QUERY_MAX);
    const answers = arena.part(UDP_SIZE_MAX);
    const nameSize = bytes.length === 4 ? OFFSET.sockaddrIn.size : OFFSET.sockaddrIn6.size;
    for (const slot of slots) {
      const header = slot * OFFSET.mmsghdr.size;
      const vector = slot * OFFSET.iovec.size;
      for (
        const [headers, vectors, buffers] of [[received, receivedVectors, packets], [
          sent,
          sentVectors,
          answers,
        ]] as const
      ) {
        setPointer(headers.view, header + OFFSET.mmsghdr.name, names.addressOf(slot));
        headers.view.setUint32(header + OFFSET.mmsghdr.nameLength, nameSize, true);
        setPointer(headers.view, header + OFFSET.mmsghdr.vector, vectors.addressOf(slot));
        setPointer(headers.view, header + OFFSET.mmsghdr.vectorCount, 1n);
        if (this.#wildcard) {
          setPointer(headers.view, header + OFFSET.mmsghdr.control, controls.addressOf(slot));
        }
        setPointer(vectors.view, vector + OFFSET.iovec.base, buffers.addressOf(slot));
        setPointer(vectors.view, vector + OFFSET.iovec.length, BigInt(QUERY_MAX));
      }
    }
    this.#received = received.words();
    this.#sent = sent.words();
    this.#sentVectors = sentVectors.words();
    this.#controls = controls.view;
    this.#senders = slots.map((slot) => new Sender(names.bytesOf(slot)));
    this.#packets = slots.map((slot) => packets.bytesOf(slot));
    this.#answers = slots.map((slot) => answers.bytesOf(slot));
    this.#sentFrom = slots.map((slot) => this.#sent.subarray(slot * HEADER_WORDS));
  }

  /**
   * Receives what waits, up to a batch, and answers it.
   *
   * @returns how many packets there were; 0 = none waited
   */
  answerBatch(exchange: Exchange): number {
    const count = this.#receive();
    let from = 0;
    for (let slot = 0; slot < count; slot++) {
      const length = this.#received[slot * HEADER_WORDS + MESSAGE_LENGTH_WORD]!;
      const size = exchange.answerDatagram(
        this.#packets[slot]!,
        length,
        this.#senders[slot]!,
        this.#answers[slot]!,
      );
      if (size > 0) {
        this.#sentVectors[slot * VECTOR_WORDS + VECTOR_LENGTH_WORD] = size;
        if (this.#wildcard) this.#answerFromWhereAsked(slot);
      } else {
        this.#send(from, slot, exchange);
        from = slot + 1;
      }
    }
    this.#send(from, count, exchange);
    return count;
  }

  /** Gives the port back. */
  [Symbol.dispose](): void {
    this.#libc.symbols.close(this.fd);
  }

  #receive(): number {
    if (this.#wildcard) {
      for (let slot = 0; slot < BATCH; slot++) {
        this.#received[slot * HEADER_WORDS + CONTROL_LENGTH_WORD] = CONTROL_ROOM;
      }
    }
    const count = this.#libc.symbols.recvmmsg(this.fd, this.#received, BATCH, C.MSG_DONTWAIT, null);
    if (count >= 0) return count;
    const errno = errnoOf(this.#libc);
    // An ICMP error for an earlier answer is reported here once; the socket itself is fine.
    if (errno === C.EAGAIN || errno === C.EINTR || ICMP_ERRORS.has(errno)) return 0;
    if (errno === C.ENOMEM || errno === C.ENOBUFS) return 0; // passes
    throw failure(this.#libc, `receive on UDP port ${this.port}`, errno);
  }

  /**
   * Hands the kernel's packet info back with the answer, less the interface: the answer may leave by another one than
   * the query came by, unless the address is link-local.
   */
  #answerFromWhereAsked(slot: number): void {
    const length = this.#received[slot * HEADER_WORDS + CONTROL_LENGTH_WORD]!;
    this.#sent[slot * HEADER_WORDS + CONTROL_LENGTH_WORD] = length;
    if (length < OFFSET.cmsghdr.data) return;
    const at = slot * CONTROL_ROOM;
    const data = at + OFFSET.cmsghdr.data;
    if (this.#controls.getUint32(at + OFFSET.cmsghdr.level, true) === C.SOL_IP) {
      this.#controls.setUint32(data + OFFSET.inPktinfo.index, 0, true);
    } else if (this.#controls.getUint16(data + OFFSET.in6Pktinfo.address) >> 6 !== LINK_LOCAL >> 6) {
      this.#controls.setUint32(data + OFFSET.in6Pktinfo.index, 0, true);
    }
  }

  /** Sends the answers in these slots; one that can't be sent is counted and passed over. */
  #send(from: number, to: number, exchange: Exchange): void {
    for (let slot = from; slot < to;) {
      const count = this.#libc.symbols.sendmmsg(this.fd, this.#sentFrom[slot]!, to - slot, 0);
      if (count > 0) slot += count;
      else if (count === 0 || errnoOf(this.#libc) !== C.EINTR) {
        exchange.count(COUNTER.sendErrors);
        slot++;
      }
    }
  }
}

const HEADER_WORDS = OFFSET.mmsghdr.size / 4;
const CONTROL_LENGTH_WORD = OFFSET.mmsghdr.controlLength / 4;
const MESSAGE_LENGTH_WORD = OFFSET.mmsghdr.messageLength / 4;
const VECTOR_WORDS = OFFSET.iovec.size / 4;
const VECTOR_LENGTH_WORD = OFFSET.iovec.length / 4;

/** The memory of one socket: parts of `BATCH` equal slots each. */
class Arena {
  readonly #buffer = new ArrayBuffer(BATCH * ARENA_SLOT_BYTES);
  readonly #base = Deno.UnsafePointer.value(Deno.UnsafePointer.of(new Uint8Array(this.#buffer)));
  #end = 0;

  part(slotSize: number): Part {
    const at = this.#end;
    this.#end += BATCH * slotSize;
    return new Part(this.#buffer, this.#base, { at, slotSize });
  }
}

/** Bytes that one packet takes in an arena. */
const ARENA_SLOT_BYTES = 2 * (OFFSET.mmsghdr.size + OFFSET.iovec.size) + NAME_ROOM + CONTROL_ROOM +
  QUERY_MAX +
  UDP_SIZE_MAX;

/** `BATCH` slots of one kind. */
class Part {
  readonly view: DataView;
  readonly #buffer: ArrayBuffer;
  readonly #base: bigint;
  readonly #at: number;
  readonly #slotSize: number;

  constructor(
    buffer: ArrayBuffer,
    base: bigint,
    { at, slotSize }: { readonly at: number; readonly slotSize: number },
  ) {
    this.view = new DataView(buffer, at, BATCH * slotSize);
    this.#buffer = buffer;
    this.#base = base;
    this.#at = at;
    this.#slotSize = slotSize;
  }

  /** Where C finds the slot. */
  addressOf(slot: number): bigint {
    return this.#base + BigInt(this.#at + slot * this.#slotSize);
  }

  bytesOf(slot: number): Uint8Array {
    return new Uint8Array(this.#buffer, this.#at + slot * this.#slotSize, this.#slotSize);
  }

  words(): Uint32Array<ArrayBuffer> {
    return new Uint32Array(this.#buffer, this.#at, BATCH * this.#slotSize / 4);
  }
}

/** The transport for Linux with glibc. */
export class LinuxUdp implements UdpTransport {
  /** As `dns.transport` calls it. */
  readonly name = "linux";
  readonly #libc: Libc;
  readonly #reusePort: boolean;
  readonly #stopping = new AbortController();
  #served: Promise<void> = Promise.resolve();

  /**
   * Opens the C library.
   *
   * @param reusePort whether other workers bind the same addresses and share their packets
   * @throws {Error} with the reason for which the portable transport has to do
   */
  constructor(reusePort: boolean) {
    this.#libc = openLibc();
    this.#reusePort = reusePort;
  }

  /** Binds a socket with an arena of its own. */
  bind(address: SocketAddress): LinuxUdpSocket {
    return new LinuxUdpSocket(this.#libc, address, this.#reusePort);
  }

  /** Runs one loop over all sockets. */
  serve(sockets: readonly LinuxUdpSocket[], exchange: Exchange): Promise<void> {
    return this.#served = answerUntil(this.#stopping.signal, { libc: this.#libc, sockets, exchange });
  }

  /** Ends the loop, which closes the sockets, and closes the C library. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#served;
    this.#libc.close();
  }
}

async function answerUntil(
  signal: AbortSignal,
  { libc, sockets, exchange }: {
    readonly libc: Libc;
    readonly sockets: readonly LinuxUdpSocket[];
    readonly exchange: Exchange;
  },
): Promise<void> {
  // The only memory that C writes to from another thread. It isn't the worker's, so that a worker may die meanwhile.
  const size = sockets.length * OFFSET.pollfd.size;
  const list = libc.symbols.malloc(BigInt(size))!;
  const view = new DataView(Deno.UnsafePointerView.getArrayBuffer(list, size));
  for (const [i, { fd }] of sockets.entries()) {
    view.setInt32(i * OFFSET.pollfd.size + OFFSET.pollfd.fd, fd, true);
    view.setInt32(i * OFFSET.pollfd.size + OFFSET.pollfd.events, C.POLLIN, true);
  }
  const count = BigInt(sockets.length);
  while (!signal.aborted) {
    const next = answerWaiting(sockets, exchange, () => libc.symbols.nap(list, count, NAP_MS) > 0);
    if (next === "turn") await turnEventLoop();
    else if (next === "wait") await libc.symbols.poll(list, count, POLL_MS);
    else await new Promise((resolve) => setTimeout(resolve, NOTHING_PAUSE_MS));
  }
  for (const socket of sockets) socket[Symbol.dispose]();
  libc.symbols.free(list);
}

/**
 * Answers until nothing comes any more or the event loop is due.
 *
 * @param nap sleeps until a packet is there, for a moment at most; whether there is one
 * @returns what to do next: `turn` the event loop, `wait` for a packet, or `pause`, because the kernel says again and
 * again that there is something and gives nothing
 */
function answerWaiting(
  sockets: readonly LinuxUdpSocket[],
  exchange: Exchange,
  nap: () => boolean,
): "turn" | "wait" | "pause" {
  const turnAtMs = performance.now() + TURN_MS;
  for (let batch = 0, empty = 0; batch < BATCHES_PER_TURN;) {
    let packets = 0;
    for (const socket of sockets) packets += socket.answerBatch(exchange);
    if (packets > 0) {
      batch++;
      empty = 0;
    } else if (++empty > EMPTY_MAX) return "pause";
    else if (performance.now() >= turnAtMs) return "turn";
    else if (!nap()) return "wait";
  }
  return "turn";
}

/** The sender of the packet in one slot, read from its `sockaddr` when something asks. */
class Sender implements Client {
  readonly stream = false;
  readonly #name: Uint8Array;
  readonly #address4: Uint8Array;
  readonly #address6: Uint8Array;

  constructor(name: Uint8Array) {
    this.#name = name;
    this.#address4 = name.subarray(OFFSET.sockaddrIn.address, OFFSET.sockaddrIn.address + 4);
    this.#address6 = name.subarray(OFFSET.sockaddrIn6.address, OFFSET.sockaddrIn6.address + 16);
  }

  address(): Uint8Array {
    if (this.#name[0] === C.AF_INET) return this.#address4;
    return isMapped(this.#address6) ? this.#address6.subarray(12) : this.#address6;
  }
}

/** Whether it is an IPv4 address as a dual-stack socket sees it (RFC 4291 §2.5.5.2). */
function isMapped(address: Uint8Array): boolean {
  for (let i = 0; i < 10; i++) if (address[i] !== 0) return false;
  return address[10] === 0xff && address[11] === 0xff;
}

/** First 16 bits of fe80::/10. */
const LINK_LOCAL = 0xfe80;
/** ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, EPROTO, ENOPROTOOPT. */
const ICMP_ERRORS: ReadonlySet<number> = new Set([111, 113, 101, 112, 71, 92]);

function openSocket(
  libc: Libc,
  bytes: Uint8Array,
  { port, reusePort, wildcard }: {
    readonly port: number;
    readonly reusePort: boolean;
    readonly wildcard: boolean;
  },
): number {
  const isV6 = bytes.length === 16;
  const { symbols } = libc;
  const fd = symbols.socket(isV6 ? C.AF_INET6 : C.AF_INET, C.SOCK_DGRAM | C.SOCK_CLOEXEC, 0);
  if (fd < 0) throw failure(libc, "open a socket", errnoOf(libc));
  const set = (level: number, option: number, value: number) =>
    symbols.setsockopt(fd, level, option, new Uint8Array(new Int32Array([value]).buffer), 4) === 0;
  if (isV6) set(C.SOL_IPV6, C.IPV6_V6ONLY, 0); // as Deno's sockets do: `::` takes IPv4, too
  if (reusePort) set(C.SOL_SOCKET, C.SO_REUSEPORT, 1);
  if (wildcard) {
    if (isV6) set(C.SOL_IPV6, C.IPV6_RECVPKTINFO, 1);
    else set(C.SOL_IP, C.IP_PKTINFO, 1);
  }
  // Forged "fragmentation needed" messages must not make the kernel fragment answers (RFC 9715 §3.1).
  if (isV6) set(C.SOL_IPV6, C.IPV6_MTU_DISCOVER, C.IP_PMTUDISC_OMIT);
  else set(C.SOL_IP, C.IP_MTU_DISCOVER, C.IP_PMTUDISC_OMIT);
  if (!set(C.SOL_SOCKET, C.SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)) {
    set(C.SOL_SOCKET, C.SO_RCVBUF, RECEIVE_BUFFER_BYTES); // without privileges: as much as net.core.rmem_max allows
  }
  const name = new Uint8Array(isV6 ? OFFSET.sockaddrIn6.size : OFFSET.sockaddrIn.size);
  const view = new DataView(name.buffer);
  view.setUint16(0, isV6 ? C.AF_INET6 : C.AF_INET, true);
  view.setUint16(OFFSET.sockaddrIn.port, port);
  name.set(bytes, isV6 ? OFFSET.sockaddrIn6.address : OFFSET.sockaddrIn.address);
  if (symbols.bind(fd, name, name.length) !== 0) {
    const errno = errnoOf(libc);
    symbols.close(fd);
    throw failure(libc, `bind ${formatIp(bytes)} port ${port}`, errno);
  }
  return fd;
}

function boundPort(libc: Libc, fd: number): number {
  const name = new Uint8Array(OFFSET.sockaddrIn6.size);
  libc.symbols.getsockname(fd, name, new Uint8Array(new Uint32Array([name.length]).buffer));
  return new DataView(name.buffer).getUint16(OFFSET.sockaddrIn.port);
}

/** The class that Deno's own sockets would throw. */
function failure(libc: Libc, what: string, errno: number): Error {
  const reason = new Deno.UnsafePointerView(libc.symbols.strerror(errno)!).getCString();
  const message = `Cannot ${what}: ${reason} (os error ${errno})`;
  if (errno === C.EADDRINUSE) return new Deno.errors.AddrInUse(message);
  if (errno === C.EACCES) return new Deno.errors.PermissionDenied(message);
  return new Error(message);
}

/** Read at once after the call: the run time's own calls set it, too. */
function errnoOf(libc: Libc): number {
  return new Deno.UnsafePointerView(libc.symbols.__errno_location()!).getInt32();
}

function setPointer(view: DataView, at: number, address: bigint): void {
  view.setBigUint64(at, address, true);
}
