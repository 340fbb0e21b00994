/**
 * The memory that `recvmmsg(2)` and `sendmmsg(2)` take: where the fields of C's structures lie, and an arena of slots.
 *
 * Layouts are those of 64-bit little-endian Linux with glibc (x86_64 and aarch64 agree in all of them), asserted by a test
 * against the C compiler's.
 *
 * @module
 */

/** Datagrams per call: enough to make the call cheap, few enough to answer the first before the last gets old. */
export const BATCH = 64;

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

/** Bytes that a slot has for `struct sockaddr`, … */
export const NAME_ROOM = 32;
/** … and for all of its `struct cmsghdr`. */
export const CONTROL_ROOM = 64;

/** Numbers of Linux's headers. */
export const C = {
  AF_INET: 2,
  AF_INET6: 10,
  SOCK_DGRAM: 2,
  SOCK_CLOEXEC: 0x80000,
  SOL_IP: 0,
  SOL_SOCKET: 1,
  SOL_UDP: 17,
  SOL_IPV6: 41,
  SO_RCVBUF: 8,
  SO_REUSEPORT: 15,
  SO_RCVBUFFORCE: 33,
  IP_PKTINFO: 8,
  IP_MTU_DISCOVER: 10,
  IP_PMTUDISC_OMIT: 5,
  IPV6_MTU_DISCOVER: 23,
  UDP_SEGMENT: 103,
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

/** Words of a `struct mmsghdr`, and where in it some of its fields lie. */
export const HEADER_WORDS: number = OFFSET.mmsghdr.size / 4;
/** See `HEADER_WORDS`. */
export const VECTOR_WORD: number = OFFSET.mmsghdr.vector / 4;
/** See `HEADER_WORDS`. */
export const VECTOR_COUNT_WORD: number = OFFSET.mmsghdr.vectorCount / 4;
/** See `HEADER_WORDS`. */
export const CONTROL_WORD: number = OFFSET.mmsghdr.control / 4;
/** See `HEADER_WORDS`. */
export const CONTROL_LENGTH_WORD: number = OFFSET.mmsghdr.controlLength / 4;
/** Words of a `struct iovec`, and where in it its length lies. */
export const VECTOR_WORDS: number = OFFSET.iovec.size / 4;
/** See `VECTOR_WORDS`. */
export const VECTOR_LENGTH_WORD: number = OFFSET.iovec.length / 4;

/** The memory of one socket: parts of `BATCH` equal slots each. */
export class Arena {
  readonly #buffer: ArrayBuffer;
  readonly #base: bigint;
  #end = 0;

  /** Takes so many bytes. */
  constructor(size: number) {
    this.#buffer = new ArrayBuffer(size);
    this.#base = Deno.UnsafePointer.value(Deno.UnsafePointer.of(new Uint8Array(this.#buffer)));
  }

  /** The next part, of slots of so many bytes. */
  part(slotSize: number): Part {
    const at = this.#end;
    this.#end += BATCH * slotSize;
    return new Part(this.#buffer, this.#base, { at, slotSize });
  }
}

/** `BATCH` slots of one kind. */
export class Part {
  /** All of it. */
  readonly view: DataView<ArrayBuffer>;
  readonly #buffer: ArrayBuffer;
  readonly #base: bigint;
  readonly #at: number;
  readonly #slotSize: number;

  /** Of an arena that begins at `base`. */
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

  /** The bytes of a slot. */
  bytesOf(slot: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#buffer, this.#at + slot * this.#slotSize, this.#slotSize);
  }

  /** All of it, by words. */
  words(): Uint32Array<ArrayBuffer> {
    return new Uint32Array(this.#buffer, this.#at, BATCH * this.#slotSize / 4);
  }
}

/** Writes a pointer. */
export function setPointer(view: DataView, at: number, address: bigint): void {
  view.setBigUint64(at, address, true);
}

/** The two halves of the pointer to these bytes, which must not lie on the collector's heap. */
export function pointerTo(bytes: Uint8Array<ArrayBuffer>): Uint32Array {
  return new Uint32Array(new BigUint64Array([Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes))]).buffer);
}
