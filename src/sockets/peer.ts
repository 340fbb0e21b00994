/**
 * The other end of a datagram, in the memory that C reads it from.
 *
 * @module
 */
import { C, CONTROL_ROOM, OFFSET, pointerTo } from "./message_memory.ts";

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
  /** The same by words, … */
  readonly #words: Uint32Array;
  /** … and the packet info likewise. */
  readonly #infoWords: Uint32Array;
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
    this.#words = wordsOf(name);
    this.#address4 = name.subarray(OFFSET.sockaddrIn.address, OFFSET.sockaddrIn.address + 4);
    this.#address6 = name.subarray(OFFSET.sockaddrIn6.address, OFFSET.sockaddrIn6.address + 16);
    this.#mapped4 = this.#address6.subarray(12);
    this.#control = new Uint8Array(controls.buffer, controls.byteOffset + controlAt, CONTROL_ROOM);
    this.#infoWords = wordsOf(this.#control);
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

  /** The same number for peers that are alike. */
  get hash(): number {
    return this.#words[0]! ^ this.#words[1]! ^ this.#words[LAST_ADDRESS_WORD]!;
  }

  /** Whether it is the same other end and the same address of ours, as `prepareInfo` left that. */
  isLike(other: Peer): boolean {
    if (other === this) return true;
    for (let i = 0; i < NAME_WORDS; i++) if (this.#words[i] !== other.#words[i]) return false;
    const length = this.#lengths[this.#lengthAt]!;
    if (length !== other.#lengths[other.#lengthAt]!) return false;
    if (length < OFFSET.cmsghdr.data) return true;
    for (let i = this.#infoWords[0]! / 4 - 1; i >= 0; i--) {
      if (this.#infoWords[i] !== other.#infoWords[i]) return false;
    }
    return true;
  }

  /** Copies the packet info; how many words it takes, up to where more may follow. */
  copyInfo(words: Uint32Array, at: number): number {
    const length = this.#lengths[this.#lengthAt]!;
    if (length < OFFSET.cmsghdr.data) return 0;
    const count = (this.#infoWords[0]! + 7 >>> 3) * 2;
    for (let i = 0; i < count; i++) words[at + i] = this.#infoWords[i]!;
    return count;
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

/** Words of the larger kind of address. */
const NAME_WORDS = OFFSET.sockaddrIn6.size / 4;
const LAST_ADDRESS_WORD = OFFSET.sockaddrIn6.scope / 4 - 1;

function wordsOf(bytes: Uint8Array<ArrayBuffer>): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
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
