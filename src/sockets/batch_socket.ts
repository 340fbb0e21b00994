/**
 * UDP sockets that receive and send up to 64 datagrams a call: `recvmmsg(2)` and `sendmmsg(2)` of Linux through the
 * foreign-function interface. What the datagrams say is none of this file's business.
 *
 * A socket receives into slots, and what is to be sent is queued: any number of datagrams, to any peers. Nothing is
 * allocated for a datagram. A datagram that is made where the socket sends from (`outgoing`) isn't copied.
 *
 * ```ts ignore
 * for (let count = socket.receive(), slot = 0; slot < count; slot++) {
 *   const size = answer(socket.packet(slot), socket.lengthOf(slot), socket.outgoing);
 *   socket.queue(socket.peer(slot), socket.outgoing, size);
 * }
 * const failed = socket.flush();
 * ```
 *
 * On a wildcard socket the kernel tells with each datagram which of our addresses it was sent to (`IP_PKTINFO`,
 * `IPV6_PKTINFO`), and takes the same words back with an answer, which then leaves from there: a `Peer` is both, the other
 * end's address and port and our own address.
 *
 * Several datagrams of one size to one peer go to the kernel as one, where it takes that: `src/sockets/joined_datagrams.ts`.
 *
 * Memory: C holds addresses into one arena, an `ArrayBuffer` that lives as long as its socket, laid out as
 * `src/sockets/message_memory.ts` says.
 *
 * | part of the arena | size | use |
 * | --- | --- | --- |
 * | received | 64 × `struct mmsghdr` | where packet, sender and packet info of each slot go |
 * | sent | 64 × `struct mmsghdr` | each queued datagram, its peer and its packet info |
 * | vectors | 2 × 64 × `struct iovec` | one for each header above |
 * | names | 64 × `struct sockaddr_in6` | the senders |
 * | controls | 64 × 64 bytes | `struct cmsghdr` with the packet info |
 * | packets | 64 × `receiveMax` | what was received |
 * | outgoing | 64 × `sendMax` | what is sent |
 *
 * @module
 */
import { formatIp, parseIp, type SocketAddress } from "../ip.ts";
import { type Libc as SharedLibc, openLibc as openShared } from "../libc.ts";
import { JoinedDatagrams } from "./joined_datagrams.ts";
import {
  Arena,
  BATCH,
  C,
  CONTROL_LENGTH_WORD,
  CONTROL_ROOM,
  CONTROL_WORD,
  HEADER_WORDS,
  NAME_ROOM,
  OFFSET,
  setPointer,
  VECTOR_LENGTH_WORD,
  VECTOR_WORDS,
} from "./message_memory.ts";
import { Peer } from "./peer.ts";

/**
 * What we ask the kernel to keep for us while we are busy, by its own count, of which it takes twice as much: 10,000 small
 * packets, 50 ms at 200,000 a second.
 */
export const RECEIVE_BUFFER_BYTES: number = 4 << 20;
/**
 * The same while one process hands its sockets to another and neither receives: 80,000 packets, more than a second at 50,000
 * a second. Without privileges the kernel gives no more than it gives at any time.
 */
export const HANDED_OVER_BUFFER_BYTES: number = 32 << 20;

const LIBC_SYMBOLS = {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  ioctl: { parameters: ["i32", "u32", "buffer"], result: "i32" },
  recvmmsg: { parameters: ["i32", "buffer", "u32", "i32", "pointer"], result: "i32" },
  sendmmsg: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  malloc: { parameters: ["usize"], result: "pointer" },
  free: { parameters: ["pointer"], result: "void" },
  poll: { parameters: ["pointer", "u64", "i32"], result: "i32", nonblocking: true },
  nap: { name: "poll", parameters: ["pointer", "u64", "i32"], result: "i32" },
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  strerror: { parameters: ["i32"], result: "pointer" },
  __errno_location: { parameters: [], result: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The C library's socket calls. */
type Libc = SharedLibc<typeof LIBC_SYMBOLS>;

/** Closes sockets whose thread died and so can't do it itself. */
export function closeAbandoned(descriptors: readonly number[]): void {
  if (descriptors.length === 0) return;
  const libc = openLibc();
  for (const fd of descriptors) libc.symbols.close(fd);
  libc.close();
}

/** @throws {Error} with the reason why it can't be used */
function openLibc(): Libc {
  const { os, arch } = Deno.build;
  if (os !== "linux") throw new Error(`it needs Linux, this is ${os}`);
  if (arch !== "x86_64" && arch !== "aarch64") throw new Error(`it needs x86_64 or aarch64, this is ${arch}`);
  try {
    return openShared(LIBC_SYMBOLS);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) {
      throw new Error("it may call no foreign functions (--allow-ffi)", { cause: error });
    }
    throw new Error(`it needs glibc: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}

/** Why such sockets can't be had here; `null` = they can. */
export function batchSocketFault(): string | null {
  try {
    openLibc().close();
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** How a socket is made. */
export interface BatchSocketOptions {
  /** Whether others bind the same address and share its packets (`SO_REUSEPORT`). */
  readonly reusePort: boolean;
  /** Most bytes of a datagram that is received; longer ones lose their tail. */
  readonly receiveMax: number;
  /** Most bytes of a datagram that is sent. */
  readonly sendMax: number;
}

/** The C library, for as many sockets as one likes. Disposing closes it, after the sockets. */
export class BatchSockets implements Disposable {
  readonly #libc: Libc;
  readonly #joins: boolean;

  /** @throws {Error} with the reason why it can't be used */
  constructor() {
    this.#libc = openLibc();
    this.#joins = takesJoined(this.#libc);
  }

  /**
   * Binds a socket; port 0 = any free one.
   *
   * @throws {Deno.errors.AddrInUse | Deno.errors.PermissionDenied | Error} when the address can't be had
   */
  bind(address: SocketAddress, options: BatchSocketOptions): BatchSocket {
    return new BatchSocket(this.#libc, address, options, { joins: this.#joins });
  }

  /** Takes over a descriptor that is bound to the address already, such as one of another process; it closes it. */
  adopt(address: SocketAddress, fd: number, options: BatchSocketOptions): BatchSocket {
    return new BatchSocket(this.#libc, address, options, { joins: this.#joins, adopted: fd });
  }

  /** Waits on sockets together. */
  readiness(sockets: readonly BatchSocket[]): Readiness {
    return new Readiness(this.#libc, sockets);
  }

  /** Closes the library. */
  [Symbol.dispose](): void {
    this.#libc.close();
  }
}

/** Waiting until one of several sockets has something to give. Disposing frees its memory, with no wait under way. */
export class Readiness implements Disposable {
  readonly #libc: Libc;
  /** The only memory that C writes to from another thread. It isn't the isolate's, which may end meanwhile. */
  readonly #list: Deno.PointerObject;
  readonly #count: bigint;
  /** The same memory. */
  readonly #words: Uint16Array;

  /** Takes note of the sockets. */
  constructor(libc: Libc, sockets: readonly BatchSocket[]) {
    const size = sockets.length * OFFSET.pollfd.size;
    this.#libc = libc;
    this.#list = libc.symbols.malloc(BigInt(size))!;
    this.#count = BigInt(sockets.length);
    const memory = Deno.UnsafePointerView.getArrayBuffer(this.#list, size);
    const view = new DataView(memory);
    this.#words = new Uint16Array(memory);
    for (const [i, { fd }] of sockets.entries()) {
      view.setInt32(i * OFFSET.pollfd.size + OFFSET.pollfd.fd, fd, true);
      view.setInt32(i * OFFSET.pollfd.size + OFFSET.pollfd.events, C.POLLIN, true);
    }
  }

  /** Sleeps with this thread until a socket has something, for so many milliseconds at most; whether one has. */
  nap(ms: number): boolean {
    return this.#libc.symbols.nap(this.#list, this.#count, ms) > 0;
  }

  /** Whether the last `nap` that found something found it at this socket, by its place among them. */
  isReady(place: number): boolean {
    return this.#words[place * FOUND_STEP + FOUND_WORD] !== 0;
  }

  /** The same with another thread, so that the event loop turns. */
  async wait(ms: number): Promise<void> {
    await this.#libc.symbols.poll(this.#list, this.#count, ms);
  }

  /** Frees its memory. */
  [Symbol.dispose](): void {
    this.#libc.symbols.free(this.#list);
  }
}

/** A bound UDP socket with its arena. */
export class BatchSocket implements Disposable {
  /** Whether the kernel has refused joined datagrams. */
  wasRefused = false;
  /** With the port that was found where 0 was asked for. */
  readonly port: number;
  /** Its descriptor, which isn't closed with its thread. */
  readonly fd: number;
  readonly #libc: Libc;
  readonly #isV6: boolean;
  readonly #wildcard: boolean;
  readonly #received: Uint32Array<ArrayBuffer>;
  readonly #sent: Uint32Array<ArrayBuffer>;
  readonly #sentVectors: Uint32Array<ArrayBuffer>;
  readonly #peers: readonly Peer[];
  readonly #packets: readonly Uint8Array[];
  readonly #outgoing: readonly Uint8Array[];
  /** The headers to send, from each slot on. */
  readonly #sentFrom: readonly Uint32Array<ArrayBuffer>[];
  /** The peers that the headers to send point to, which for answers are mostly those of before. */
  readonly #pointsTo: (Peer | null)[] = Array.from({ length: BATCH }, () => null);
  readonly #stamp = new Uint8Array(OFFSET.timespec.size);
  readonly #stampView = new DataView(this.#stamp.buffer);
  /** Slots of which the kernel has said how much packet info they have, where it needs to know how much room there is. */
  #filled = BATCH;
  #queued = 0;
  #failed = 0;
  /** What joins datagrams; `null` = the kernel doesn't take that. */
  readonly #joined: JoinedDatagrams | null;
  /** Batches that go unjoined before it is tried again, … */
  #unjoined = 0;
  /** … and how many it will be when nothing is found to be joined then. */
  #fruitless = 1;

  /** Binds, or takes over what is bound; `BatchSockets` says how. */
  constructor(
    libc: Libc,
    { hostname, port }: SocketAddress,
    { reusePort, receiveMax, sendMax }: BatchSocketOptions,
    { joins, adopted = null }: { readonly joins: boolean; readonly adopted?: number | null },
  ) {
    this.#libc = libc;
    const bytes = parseIp(hostname)!;
    this.#isV6 = bytes.length === 16;
    this.#wildcard = bytes.every((byte) => byte === 0);
    if (adopted !== null) askForQueue(libc, adopted, HANDED_OVER_BUFFER_BYTES); // until it is emptied
    this.fd = adopted ?? openSocket(libc, bytes, { port, reusePort, wildcard: this.#wildcard });
    this.port = port === 0 ? boundPort(libc, this.fd) : port;

    const arena = new Arena(BATCH * (HEADERS_BYTES + receiveMax + sendMax));
    const slots = Array.from({ length: BATCH }, (_, slot) => slot);
    const received = arena.part(OFFSET.mmsghdr.size);
    const sent = arena.part(OFFSET.mmsghdr.size);
    const receivedVectors = arena.part(OFFSET.iovec.size);
    const sentVectors = arena.part(OFFSET.iovec.size);
    const names = arena.part(NAME_ROOM);
    const controls = arena.part(CONTROL_ROOM);
    const packets = arena.part(receiveMax);
    const outgoing = arena.part(sendMax);
    for (const slot of slots) {
      const header = slot * OFFSET.mmsghdr.size;
      const vector = slot * OFFSET.iovec.size;
      for (
        const [headers, vectors, buffers] of [
          [received, receivedVectors, packets],
          [sent, sentVectors, outgoing],
        ] as const
      ) {
        headers.view.setUint32(header + OFFSET.mmsghdr.nameLength, this.#nameSize, true);
        setPointer(headers.view, header + OFFSET.mmsghdr.vector, vectors.addressOf(slot));
        setPointer(headers.view, header + OFFSET.mmsghdr.vectorCount, 1n);
        setPointer(vectors.view, vector + OFFSET.iovec.base, buffers.addressOf(slot));
      }
      setPointer(received.view, header + OFFSET.mmsghdr.name, names.addressOf(slot));
      setPointer(receivedVectors.view, vector + OFFSET.iovec.length, BigInt(receiveMax));
      if (this.#wildcard) {
        setPointer(received.view, header + OFFSET.mmsghdr.control, controls.addressOf(slot));
      }
    }
    this.#received = received.words();
    this.#sent = sent.words();
    this.#sentVectors = sentVectors.words();
    this.#peers = slots.map((slot) =>
      new Peer({
        name: names.bytesOf(slot),
        controls: controls.view,
        controlAt: slot * CONTROL_ROOM,
        lengths: this.#received,
        lengthAt: slot * HEADER_WORDS + CONTROL_LENGTH_WORD,
      })
    );
    this.#packets = slots.map((slot) => packets.bytesOf(slot));
    this.#outgoing = slots.map((slot) => outgoing.bytesOf(slot));
    this.#sentFrom = slots.map((slot) => this.#sent.subarray(slot * HEADER_WORDS));
    this.#joined = joins ? new JoinedDatagrams(this.#sentVectors, this.#nameSize) : null;
  }

  /**
   * Receives what waits, up to a batch, without blocking. What was in the slots is gone then; what is queued to peers of
   * slots must have been flushed.
   *
   * @returns how many datagrams there are, in the slots from 0 on
   */
  receive(): number {
    if (this.#wildcard) {
      for (let slot = 0; slot < this.#filled; slot++) {
        this.#received[slot * HEADER_WORDS + CONTROL_LENGTH_WORD] = CONTROL_ROOM;
      }
      this.#filled = 0;
    }
    const count = this.#libc.symbols.recvmmsg(this.fd, this.#received, BATCH, C.MSG_DONTWAIT, null);
    if (count >= 0) {
      this.#filled = count;
      return count;
    }
    const errno = errnoOf(this.#libc);
    // An ICMP error for an earlier answer is reported here once; the socket itself is fine.
    if (errno === C.EAGAIN || errno === C.EINTR || ICMP_ERRORS.has(errno)) return 0;
    if (errno === C.ENOMEM || errno === C.ENOBUFS) return 0; // passes
    throw failure(this.#libc, `receive on UDP port ${this.port}`, errno);
  }

  /**
   * For how long the datagram that was received last had been in the kernel; 0 where the kernel doesn't tell. The first call
   * has the kernel look at its clock for each datagram from then on, which costs it some 25 ns: what came before has no
   * stamp, and is taken for just come.
   *
   * @param nowUnixMs the clock on the wall, whose times stamps are
   */
  ageMs(nowUnixMs: number): number {
    if (this.#libc.symbols.ioctl(this.fd, C.SIOCGSTAMPNS, this.#stamp) !== 0) return 0;
    const seconds = Number(this.#stampView.getBigInt64(OFFSET.timespec.seconds, true));
    const ms = this.#stampView.getUint32(OFFSET.timespec.nanoseconds, true) / 1e6;
    return Math.max(0, nowUnixMs - (seconds * 1000 + ms));
  }

  /** Has the kernel keep so many bytes of datagrams that weren't received; what it has beyond that it still gives. */
  resizeQueue(bytes: number): void {
    askForQueue(this.#libc, this.fd, bytes);
  }

  /** The room of a slot: the datagram is its first `lengthOf` bytes. */
  packet(slot: number): Uint8Array {
    return this.#packets[slot]!;
  }

  /** Bytes of the datagram in a slot, as far as there was room. */
  lengthOf(slot: number): number {
    return this.#received[slot * HEADER_WORDS + MESSAGE_LENGTH_WORD]!;
  }

  /** Where the datagram in a slot came from, until the next `receive`; `copyFrom` keeps it for longer. */
  peer(slot: number): Peer {
    return this.#peers[slot]!;
  }

  /** A peer of this socket's own kind, for whoever answers later or asks first. */
  createPeer(): Peer {
    const buffer = new ArrayBuffer(NAME_ROOM + CONTROL_ROOM);
    const peer = new Peer({
      name: new Uint8Array(buffer, 0, NAME_ROOM),
      controls: new DataView(buffer, NAME_ROOM),
      controlAt: 0,
      lengths: new Uint32Array(1),
      lengthAt: 0,
    });
    new DataView(buffer).setUint16(0, this.#isV6 ? C.AF_INET6 : C.AF_INET, true);
    return peer;
  }

  /** Where the next datagram that is queued may be made, to be sent without a copy; another one after each `queue`. */
  get outgoing(): Uint8Array {
    return this.#outgoing[this.#queued]!;
  }

  /** The place in the queue that the next datagram gets, less than `BATCH`. */
  get nextSlot(): number {
    return this.#queued;
  }

  /**
   * Takes a datagram, the first `length` of these bytes, to be sent by the next `flush`; a full queue is sent at once.
   * `peer` must live and stay as it is until then; of bytes that aren't `outgoing` a copy is sent. Those of one size to one
   * peer stay in their order.
   */
  queue(peer: Peer, bytes: Uint8Array, length: number = bytes.length): void {
    const slot = this.#queued;
    const outgoing = this.#outgoing[slot]!;
    if (bytes !== outgoing) outgoing.set(bytes.length === length ? bytes : bytes.subarray(0, length));
    const header = slot * HEADER_WORDS;
    if (this.#pointsTo[slot] !== peer) {
      this.#pointsTo[slot] = peer;
      this.#sent.set(peer.nameWords, header);
      if (this.#wildcard) this.#sent.set(peer.controlWords, header + CONTROL_WORD);
    }
    if (this.#wildcard) this.#sent[header + CONTROL_LENGTH_WORD] = peer.prepareInfo();
    this.#sentVectors[slot * VECTOR_WORDS + VECTOR_LENGTH_WORD] = length;
    if (++this.#queued === BATCH) this.#send();
  }

  /**
   * Sends what is queued. One that can't be sent is passed over.
   *
   * @returns how many couldn't be sent since the last call
   */
  flush(): number {
    this.#send();
    const failed = this.#failed;
    this.#failed = 0;
    return failed;
  }

  /** Lets others bind the same address from now on and share its packets, as far as they ask for it. */
  share(): void {
    setOption(this.#libc, this.fd, { level: C.SOL_SOCKET, option: C.SO_REUSEPORT, value: 1 });
  }

  /** Receives no more, which wakes whoever waits for it; not for a socket that another process has as well. */
  shutDown(): void {
    // Linux does so of a socket without a peer, too, though it says that it has none.
    this.#libc.symbols.shutdown(this.fd, C.SHUT_RD);
  }

  /** Gives the port back. */
  [Symbol.dispose](): void {
    this.#libc.symbols.close(this.fd);
  }

  get #nameSize(): number {
    return this.#isV6 ? OFFSET.sockaddrIn6.size : OFFSET.sockaddrIn.size;
  }

  #send(): void {
    const end = this.#queued;
    this.#queued = 0;
    if (end > 1 && this.#joined !== null && --this.#unjoined < 0) {
      if (this.#joined.join(this.#pointsTo, end)) return this.#sendJoined(this.#joined);
      this.#unjoined = this.#fruitless;
      this.#fruitless = Math.min(2 * this.#fruitless, FRUITLESS_BATCHES_MAX);
    }
    this.#sendEach(0, end);
  }

  /** Sends those from a place in the queue on. */
  #sendEach(from: number, end: number): void {
    for (let slot = from; slot < end;) {
      const count = this.#sendSome(this.#sentFrom[slot]!, end - slot);
      slot += count;
      if (count > 0) continue;
      this.#failed++;
      slot++;
    }
  }

  /** Sends messages of several datagrams; those of one that is refused go by themselves. */
  #sendJoined(joined: JoinedDatagrams): void {
    this.#unjoined = 0;
    this.#fruitless = 1;
    for (let message = 0; message < joined.count;) {
      const count = this.#sendSome(joined.headersFrom(message), joined.count - message);
      message += count;
      if (count > 0) continue;
      const failed = this.#failed;
      let datagrams = 0;
      for (let slot = joined.firstOf(message); slot >= 0; slot = joined.nextOf(slot), datagrams++) {
        this.#sendEach(slot, slot + 1);
      }
      message++;
      // Where none of them can be sent either, as to port 0, which anyone may ask from, it isn't for being joined.
      if (this.#failed - failed === datagrams) continue;
      // It may be only where this one goes: packets of the way are shorter, or its device makes no checksums.
      this.#unjoined = REFUSED_BATCHES;
      this.wasRefused = true;
    }
  }

  /** How many messages the kernel took; 0 = it refused the first. */
  #sendSome(headers: Uint32Array<ArrayBuffer>, count: number): number {
    for (;;) {
      const sent = this.#libc.symbols.sendmmsg(this.fd, headers, count, 0);
      if (sent >= 0) return sent;
      if (errnoOf(this.#libc) !== C.EINTR) return 0;
    }
  }
}

/**
 * Whether the kernel takes several datagrams as one, found out by sending two over loopback: old ones would send what is
 * joined as a single datagram, and say nothing.
 */
function takesJoined(libc: Libc): boolean {
  try {
    using socket = new BatchSocket(libc, { hostname: "127.0.0.1", port: 0 }, {
      ...{ reusePort: false, receiveMax: 4 * PROBE.length, sendMax: PROBE.length },
    }, { joins: true });
    using readiness = new Readiness(libc, [socket]);
    const self = socket.createPeer();
    self.set(parseIp("127.0.0.1")!, socket.port);
    for (let i = 0; i < 2; i++) socket.queue(self, PROBE);
    socket.flush();
    let whole = 0;
    while (whole < 2 && readiness.nap(PROBE_MS)) {
      const count = socket.receive();
      for (let slot = 0; slot < count; slot++) if (isProbe(socket, slot)) whole++;
    }
    return whole === 2 && !socket.wasRefused;
  } catch {
    return false;
  }
}

function isProbe(socket: BatchSocket, slot: number): boolean {
  return socket.lengthOf(slot) === PROBE.length &&
    PROBE.every((byte, at) => socket.packet(slot)[at] === byte);
}

const PROBE = new TextEncoder().encode("probe");
/** How long it may take over loopback, milliseconds; mostly it is there at once. */
const PROBE_MS = 20;
/** Batches that go unjoined after a refusal: what is refused always costs nothing, and what isn't any more is joined again. */
const REFUSED_BATCHES = 1000;
/** The same where there was nothing to be joined, at most: resolvers hardly ever ask twice from one port. */
const FRUITLESS_BATCHES_MAX = 16;
const FOUND_STEP = OFFSET.pollfd.size / 2;
const FOUND_WORD = OFFSET.pollfd.found / 2;
const MESSAGE_LENGTH_WORD = OFFSET.mmsghdr.messageLength / 4;

/** Bytes that one slot takes in an arena besides its datagrams. */
const HEADERS_BYTES = 2 * (OFFSET.mmsghdr.size + OFFSET.iovec.size) + NAME_ROOM + CONTROL_ROOM;

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
  const set = (level: number, option: number, value: number) => setOption(libc, fd, { level, option, value });
  if (isV6) set(C.SOL_IPV6, C.IPV6_V6ONLY, 0); // as Deno's sockets do: `::` takes IPv4, too
  if (reusePort) set(C.SOL_SOCKET, C.SO_REUSEPORT, 1);
  if (wildcard) {
    if (isV6) set(C.SOL_IPV6, C.IPV6_RECVPKTINFO, 1);
    else set(C.SOL_IP, C.IP_PKTINFO, 1);
  }
  // Forged "fragmentation needed" messages must not make the kernel fragment answers (RFC 9715 §3.1).
  if (isV6) set(C.SOL_IPV6, C.IPV6_MTU_DISCOVER, C.IP_PMTUDISC_OMIT);
  else set(C.SOL_IP, C.IP_MTU_DISCOVER, C.IP_PMTUDISC_OMIT);
  askForQueue(libc, fd, RECEIVE_BUFFER_BYTES);
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

function askForQueue(libc: Libc, fd: number, bytes: number): void {
  if (setOption(libc, fd, { level: C.SOL_SOCKET, option: C.SO_RCVBUFFORCE, value: bytes })) return;
  // Without privileges: as much as net.core.rmem_max allows.
  setOption(libc, fd, { level: C.SOL_SOCKET, option: C.SO_RCVBUF, value: bytes });
}

function setOption(
  libc: Libc,
  fd: number,
  { level, option, value }: { readonly level: number; readonly option: number; readonly value: number },
): boolean {
  const bytes = new Uint8Array(new Int32Array([value]).buffer);
  return libc.symbols.setsockopt(fd, level, option, bytes, bytes.length) === 0;
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
