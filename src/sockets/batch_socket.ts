/**
 * UDP sockets that receive and send up to 64 datagrams a call: `recvmmsg(2)` and `sendmmsg(2)` of Linux through the
 * foreign-function interface. What the datagrams say is none of this file's business.
 *
 * A socket receives into slots, and what is to be sent is queued: any number of datagrams, to any peers, in the order in
 * which they were queued. Nothing is allocated for a datagram. A datagram that is made where the socket sends from
 * (`outgoing`) isn't copied.
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
 * Memory: C holds addresses into one arena, an `ArrayBuffer` that lives as long as its socket. Layouts are those of 64-bit
 * little-endian Linux with glibc (x86_64 and aarch64 agree in all of them), named in `OFFSET` and asserted by a test against
 * the C compiler's.
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

/** Datagrams per call: enough to make the call cheap, few enough to answer the first before the last gets old. */
export const BATCH = 64;
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
  timespec: { seconds: 0, nanoseconds: 8, size: 16 },
  sockaddrIn: { family: 0, port: 2, address: 4, size: 16 },
  sockaddrIn6: { family: 0, port: 2, address: 8, scope: 24, size: 28 },
  inPktinfo: { index: 0, source: 4, size: 12 },
  in6Pktinfo: { address: 0, index: 16, size: 20 },
  pollfd: { fd: 0, events: 4, found: 6, size: 8 },
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
  SHUT_RD: 0,
  SIOCGSTAMPNS: 0x8907,
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

  /** @throws {Error} with the reason why it can't be used */
  constructor() {
    this.#libc = openLibc();
  }

  /**
   * Binds a socket; port 0 = any free one.
   *
   * @throws {Deno.errors.AddrInUse | Deno.errors.PermissionDenied | Error} when the address can't be had
   */
  bind(address: SocketAddress, options: BatchSocketOptions): BatchSocket {
    return new BatchSocket(this.#libc, address, options);
  }

  /** Takes over a descriptor that is bound to the address already, such as one of another process; it closes it. */
  adopt(address: SocketAddress, fd: number, options: BatchSocketOptions): BatchSocket {
    return new BatchSocket(this.#libc, address, options, fd);
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

  /** Binds, or takes over what is bound; `BatchSockets` says how. */
  constructor(
    libc: Libc,
    { hostname, port }: SocketAddress,
    { reusePort, receiveMax, sendMax }: BatchSocketOptions,
    adopted: number | null = null,
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
   * `peer` must live and stay as it is until then; of bytes that aren't `outgoing` a copy is sent.
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
    for (let slot = 0; slot < end;) {
      const count = this.#libc.symbols.sendmmsg(this.fd, this.#sentFrom[slot]!, end - slot, 0);
      if (count > 0) slot += count;
      else if (count === 0 || errnoOf(this.#libc) !== C.EINTR) {
        this.#failed++;
        slot++;
      }
    }
  }
}

/** The memory of a peer; those of slots share theirs. */
interface PeerMemory {
  /** `struct sockaddr`. */
  readonly name: Uint8Array<ArrayBuffer>;
  /** Where the packet info, `struct cmsghdr`, lies at `controlAt`. */
  readonly controls: DataView<ArrayBuffer>;
  readonly controlAt: number;
  /** Where the length of the packet info lies at `lengthAt`. */
  readonly lengths: Uint32Array<ArrayBuffer>;
  readonly lengthAt: number;
}

/** The other end of a datagram, and on a wildcard socket the address of ours that it was sent to. */
export class Peer {
  /** Where C finds its address: the low and the high half of a pointer. */
  readonly nameWords: Uint32Array;
  /** Where C finds its packet info. */
  readonly controlWords: Uint32Array;
  readonly #name: Uint8Array;
  readonly #address4: Uint8Array;
  readonly #address6: Uint8Array;
  /** The IPv4 address in the IPv6 one. */
  readonly #mapped4: Uint8Array;
  readonly #control: Uint8Array<ArrayBuffer>;
  /** The addresses in the packet info. */
  readonly #local4: Uint8Array;
  readonly #local6: Uint8Array;
  readonly #localMapped4: Uint8Array;
  readonly #controls: DataView;
  readonly #controlAt: number;
  readonly #lengths: Uint32Array;
  readonly #lengthAt: number;

  /** Reads its memory as it is at the moment. */
  constructor({ name, controls, controlAt, lengths, lengthAt }: PeerMemory) {
    this.#name = name;
    this.#address4 = name.subarray(OFFSET.sockaddrIn.address, OFFSET.sockaddrIn.address + 4);
    this.#address6 = name.subarray(OFFSET.sockaddrIn6.address, OFFSET.sockaddrIn6.address + 16);
    this.#mapped4 = this.#address6.subarray(12);
    this.#control = new Uint8Array(controls.buffer, controls.byteOffset + controlAt, CONTROL_ROOM);
    const { data } = OFFSET.cmsghdr;
    const { source } = OFFSET.inPktinfo;
    this.#local4 = this.#control.subarray(data + source, data + source + 4);
    this.#local6 = this.#control.subarray(data, data + 16);
    this.#localMapped4 = this.#local6.subarray(12);
    this.#controls = controls;
    this.#controlAt = controlAt;
    this.#lengths = lengths;
    this.#lengthAt = lengthAt;
    this.nameWords = pointerTo(name);
    this.controlWords = pointerTo(this.#control);
  }

  /** A view of its address, 4 or 16 bytes; IPv4 as such on a dual-stack socket, too. */
  address(): Uint8Array {
    if (this.#name[0] === C.AF_INET) return this.#address4;
    return isMapped(this.#address6) ? this.#mapped4 : this.#address6;
  }

  /** Its port. */
  get port(): number {
    return this.#name[OFFSET.sockaddrIn.port]! << 8 | this.#name[OFFSET.sockaddrIn.port + 1]!;
  }

  /** A view of the address of ours that it sent to, 4 or 16 bytes; `null` = the socket has only one, or chooses itself. */
  localAddress(): Uint8Array | null {
    if (this.#lengths[this.#lengthAt]! < OFFSET.cmsghdr.data) return null;
    if (this.#isInfo4) return this.#local4;
    return isMapped(this.#local6) ? this.#localMapped4 : this.#local6;
  }

  /** Becomes what another one is now. */
  copyFrom(other: Peer): void {
    this.#name.set(other.#name);
    this.#control.set(other.#control);
    this.#lengths[this.#lengthAt] = other.#lengths[other.#lengthAt]!;
  }

  /**
   * Becomes an address, 4 or 16 bytes.
   *
   * @param from the address of ours that is sent from, on a wildcard socket; absent = the system chooses one
   */
  set(address: Uint8Array, port: number, from: Uint8Array | null = null): void {
    if (this.#name[0] === C.AF_INET) this.#address4.set(address);
    else {
      if (address.length === 4) this.#address6.set(MAPPED);
      this.#address6.set(address, 16 - address.length);
      this.#name.fill(0, OFFSET.sockaddrIn6.scope, OFFSET.sockaddrIn6.size);
    }
    this.#name[OFFSET.sockaddrIn.port] = port >>> 8;
    this.#name[OFFSET.sockaddrIn.port + 1] = port;
    this.#lengths[this.#lengthAt] = from === null ? 0 : this.#setInfo(from);
  }

  /** Writes packet info with an address of ours; its size. */
  #setInfo(from: Uint8Array): number {
    const { data } = OFFSET.cmsghdr;
    const { inPktinfo, in6Pktinfo } = OFFSET;
    const isV4 = this.#name[0] === C.AF_INET;
    const size = data + (isV4 ? inPktinfo.size : in6Pktinfo.size);
    const info = this.#control;
    info.fill(0);
    info[OFFSET.cmsghdr.length] = size;
    info[OFFSET.cmsghdr.level] = isV4 ? C.SOL_IP : C.SOL_IPV6;
    info[OFFSET.cmsghdr.type] = isV4 ? C.IP_PKTINFO : C.IPV6_PKTINFO;
    if (isV4) info.set(from, data + inPktinfo.source);
    else {
      if (from.length === 4) info.set(MAPPED, data + in6Pktinfo.address);
      info.set(from, data + in6Pktinfo.address + 16 - from.length);
    }
    return (size + 7) & ~7;
  }

  /**
   * Makes the kernel's packet info what is handed back with an answer: the same less the interface, since the answer may
   * leave by another one than the query came by, unless the address is link-local.
   *
   * @returns its length; 0 = there is none
   */
  prepareInfo(): number {
    const length = this.#lengths[this.#lengthAt]!;
    if (length < OFFSET.cmsghdr.data) return length;
    const controls = this.#controls;
    const data = this.#controlAt + OFFSET.cmsghdr.data;
    if (this.#isInfo4) controls.setUint32(data + OFFSET.inPktinfo.index, 0, true);
    else if (controls.getUint16(data + OFFSET.in6Pktinfo.address) >> 6 !== LINK_LOCAL >> 6) {
      controls.setUint32(data + OFFSET.in6Pktinfo.index, 0, true);
    }
    return length;
  }

  get #isInfo4(): boolean {
    return this.#controls.getUint32(this.#controlAt + OFFSET.cmsghdr.level, true) === C.SOL_IP;
  }
}

const FOUND_STEP = OFFSET.pollfd.size / 2;
const FOUND_WORD = OFFSET.pollfd.found / 2;
const HEADER_WORDS = OFFSET.mmsghdr.size / 4;
const CONTROL_WORD = OFFSET.mmsghdr.control / 4;
const CONTROL_LENGTH_WORD = OFFSET.mmsghdr.controlLength / 4;
const MESSAGE_LENGTH_WORD = OFFSET.mmsghdr.messageLength / 4;
const VECTOR_WORDS = OFFSET.iovec.size / 4;
const VECTOR_LENGTH_WORD = OFFSET.iovec.length / 4;

/** Bytes that one slot takes in an arena besides its datagrams. */
const HEADERS_BYTES = 2 * (OFFSET.mmsghdr.size + OFFSET.iovec.size) + NAME_ROOM + CONTROL_ROOM;

/** The memory of one socket: parts of `BATCH` equal slots each. */
class Arena {
  readonly #buffer: ArrayBuffer;
  readonly #base: bigint;
  #end = 0;

  constructor(size: number) {
    this.#buffer = new ArrayBuffer(size);
    this.#base = Deno.UnsafePointer.value(Deno.UnsafePointer.of(new Uint8Array(this.#buffer)));
  }

  part(slotSize: number): Part {
    const at = this.#end;
    this.#end += BATCH * slotSize;
    return new Part(this.#buffer, this.#base, { at, slotSize });
  }
}

/** `BATCH` slots of one kind. */
class Part {
  readonly view: DataView<ArrayBuffer>;
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

  bytesOf(slot: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#buffer, this.#at + slot * this.#slotSize, this.#slotSize);
  }

  words(): Uint32Array<ArrayBuffer> {
    return new Uint32Array(this.#buffer, this.#at, BATCH * this.#slotSize / 4);
  }
}

/** Whether it is an IPv4 address as a dual-stack socket sees it (RFC 4291 §2.5.5.2). */
function isMapped(address: Uint8Array): boolean {
  for (let i = 0; i < 10; i++) if (address[i] !== 0) return false;
  return address[10] === 0xff && address[11] === 0xff;
}

/** First 12 bytes of ::ffff:0:0/96. */
const MAPPED = new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
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

function setPointer(view: DataView, at: number, address: bigint): void {
  view.setBigUint64(at, address, true);
}

/** The two halves of the pointer to these bytes, which must not lie on the collector's heap. */
function pointerTo(bytes: Uint8Array<ArrayBuffer>): Uint32Array {
  return new Uint32Array(new BigUint64Array([Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes))]).buffer);
}
