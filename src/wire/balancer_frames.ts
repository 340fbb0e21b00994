/**
 * What a host's DNS balancer and the DNS servers behind it say to each other over `AF_UNIX` stream sockets: the protocol of
 * *mname-balancer*, and an extension that is used only with who announces it ([the page](../../docs/balancer.md)).
 *
 * All numbers are unsigned, 32 bits, little-endian. There is no length before a frame: its type says how long it is. An IPv4
 * address is its number in host order, so that its bytes go out in reverse; of a port's number the low 16 bits count.
 *
 * A **control session** begins with `clientHello` and its answer, and then carries datagrams and heartbeats both ways. A
 * **stream session** begins with `inboundTcp` or `inboundTcp6` and its answer, and is a byte stream from there on.
 *
 * The **announcement** that both ends know the extension is made of frames that older ends take for datagrams: the balancer
 * sends an `inboundUdp` of 8 bytes from 0.0.0.0 port 0, too short for DNS and so left without an answer; a server that knows
 * it answers with an `outboundUdp` of 8 bytes to 0.0.0.0 port 0. The 8 bytes are `PLDS` and a number whose bits say what its
 * sender understands ({@linkcode FEATURE}).
 *
 * @module
 */

/** Types of frames. 1–4 and 1001–1004 are mname-balancer's, the others need an announcement. */
export const FRAME = {
  /** Balancer to server: the first frame of a control session; 4 bytes. */
  clientHello: 1,
  /** Balancer to server: a datagram of a client; 16 bytes and the datagram. */
  inboundUdp: 2,
  /** Balancer to server: the first frame of a stream session; 12 bytes. */
  inboundTcp: 3,
  /** Balancer to server: is to be answered; 4 bytes. */
  clientHeartbeat: 4,
  /** Balancer to server: a datagram of an IPv6 client; 28 bytes and the datagram. */
  inboundUdp6: 5,
  /** Balancer to server: the first frame of an IPv6 client's stream session; 24 bytes. */
  inboundTcp6: 6,
  /** Server to balancer: the answer to `clientHello`. */
  serverHello: 1001,
  /** Server to balancer: a datagram to a client, in any order, asked for or not; 16 bytes and the datagram. */
  outboundUdp: 1002,
  /** Server to balancer: the answer to `inboundTcp` and `inboundTcp6`; what follows is the stream's. */
  inboundTcpOk: 1003,
  /** Server to balancer: the answer to `clientHeartbeat`. */
  serverHeartbeat: 1004,
  /** Server to balancer: a datagram to an IPv6 client; 28 bytes and the datagram. */
  outboundUdp6: 1005,
  /** Server to balancer: send nothing more and end your side; what was sent is answered first. */
  going: 1006,
} as const;

/** Bits of an announcement. */
export const FEATURE = {
  /** Frames with 16-byte addresses: 5, 6 and 1005. */
  address16: 1,
  /** Frame 1006. */
  going: 2,
} as const;

/** Most bytes of a datagram in a frame. */
export const DATAGRAM_MAX = 1500;
/** Bytes of the longest head of a frame. */
export const HEAD_MAX = 28;
/** Bytes before the datagram of an IPv4 client. */
export const HEAD4 = 16;
/** Bytes of `inboundTcp`. */
export const TCP_HEAD4 = 12;
/** Bytes of `inboundTcp6`. */
export const TCP_HEAD6 = 24;
/** Bytes of an announcement's datagram. */
export const ANNOUNCEMENT_SIZE = 8;
/** `PLDS`, read as a number. */
const ANNOUNCEMENT = 0x53444c50;

/** Writes a frame that is nothing but its type; its size. */
export function writeBare(bytes: Uint8Array, at: number, type: number): number {
  return writeU32(bytes, at, type);
}

/**
 * Writes the head of a frame with a datagram: type 2 or 1002, and for a 16-byte address 5 or 1005.
 *
 * @param address 4 or 16 bytes, in network order
 * @returns its size; the datagram belongs behind it
 */
export function writeDatagramHead(
  bytes: Uint8Array,
  at: number,
  { type, address, port, size }: {
    readonly type: number;
    readonly address: Uint8Array;
    readonly port: number;
    readonly size: number;
  },
): number {
  const headed = writeStreamHead(bytes, at, { type, address, port });
  return headed + writeU32(bytes, at + headed, size);
}

/** Writes `inboundTcp` or `inboundTcp6`; its size. */
export function writeStreamHead(
  bytes: Uint8Array,
  at: number,
  { type, address, port }: { readonly type: number; readonly address: Uint8Array; readonly port: number },
): number {
  writeU32(bytes, at, type);
  const { length } = address;
  if (length === 4) { for (let i = 0; i < 4; i++) bytes[at + 4 + i] = address[3 - i]!; }
  else bytes.set(address, at + 4);
  writeU32(bytes, at + 4 + length, port);
  return 8 + length;
}

/** Writes the datagram of an announcement, head included; its size. */
export function writeAnnouncement(bytes: Uint8Array, at: number, type: number, features: number): number {
  const head = writeDatagramHead(bytes, at, { type, address: NOWHERE, port: 0, size: ANNOUNCEMENT_SIZE });
  writeU32(bytes, at + head, ANNOUNCEMENT);
  writeU32(bytes, at + head + 4, features);
  return head + ANNOUNCEMENT_SIZE;
}

/** What both ends of the announced extension understand, as the datagram says; `null` = it is no announcement. */
export function readAnnouncement(datagram: Uint8Array): number | null {
  if (datagram.length !== ANNOUNCEMENT_SIZE || readU32(datagram, 0) !== ANNOUNCEMENT) return null;
  return readU32(datagram, 4);
}

/** Reads a number. */
export function readU32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 | bytes[at + 3]! << 24) >>> 0;
}

/** Who gets the frames of a control session. Each may answer `false`: then nothing more of it is read. */
export interface FrameReader {
  /** Types with a datagram that this end takes, and how long their addresses are; others with none are `bare`. */
  readonly datagramTypes: readonly [type4: number, type6: number];
  /** A datagram `bytes[at … at + size)`; of the client at `address`, 4 or 16 bytes of the reader's own memory. */
  datagram(address: Uint8Array, port: number, bytes: Uint8Array, at: number, size: number): boolean;
  /** Any other frame; `false` is how an unknown type is refused, too. */
  bare(type: number): boolean;
  /** A datagram longer than `DATAGRAM_MAX`; nothing more is read. */
  tooLong(size: number): void;
}

const address4 = new Uint8Array(4);
const address16 = new Uint8Array(16);

/**
 * Reads all whole frames in `bytes[from … end)`.
 *
 * @returns where the first one begins that isn't whole; -1 = the reader wants no more
 */
export function readFrames(bytes: Uint8Array, from: number, end: number, reader: FrameReader): number {
  const [type4, type6] = reader.datagramTypes;
  let at = from;
  while (end - at >= 4) {
    const type = readU32(bytes, at);
    if (type !== type4 && type !== type6) {
      if (!reader.bare(type)) return -1;
      at += 4;
      continue;
    }
    const address = type === type4 ? address4 : address16;
    const head = 12 + address.length;
    if (end - at < head) break;
    const size = readU32(bytes, at + head - 4);
    if (size > DATAGRAM_MAX) {
      reader.tooLong(size);
      return -1;
    }
    if (end - at < head + size) break;
    readAddress(bytes, at + 4, address);
    const port = bytes[at + head - 8]! | bytes[at + head - 7]! << 8;
    if (!reader.datagram(address, port, bytes, at + head, size)) return -1;
    at += head + size;
  }
  return at;
}

/** Reads an address into `address`, whose length says of which kind it is. */
export function readAddress(bytes: Uint8Array, at: number, address: Uint8Array): void {
  const { length } = address;
  if (length === 4) { for (let i = 0; i < 4; i++) address[3 - i] = bytes[at + i]!; }
  else for (let i = 0; i < length; i++) address[i] = bytes[at + i]!;
}

function writeU32(bytes: Uint8Array, at: number, value: number): number {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
  return 4;
}

const NOWHERE = new Uint8Array(4);
