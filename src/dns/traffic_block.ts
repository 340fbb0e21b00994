/**
 * Counted queries on their way from a worker to the main thread, for the query sketch: which declared name answered
 * and the client's network, never its address. Written into memory that was allocated before, handed over once a
 * second. Nothing here waits, allocates or grows.
 *
 * One query in `every` is counted, and stands for so many. That begins with every single one, doubles each time a
 * second's share is used up, and halves when less than half of the share was: so a quiet node counts exactly, and a
 * flood costs a busy one no more than its share.
 *
 * | bytes  | of a record                                          |
 * | ------ | ---------------------------------------------------- |
 * | 1      | 1 = asked for AAAA, + 2 = the network is IPv6        |
 * | 1      | bytes of the name                                    |
 * | 4      | queries it stands for                                |
 * | 3 or 6 | the network: /24 of IPv4, /48 of IPv6                |
 * | …      | the name in wire format and lower case               |
 *
 * @module
 */
import { TYPE } from "../wire/record_type.ts";
import { wireToName } from "../wire/name.ts";

/** One counted query. */
export interface CountedQuery {
  /** The declared name that answered, lower case, without a final dot. */
  readonly name: string;
  /** What was asked for. */
  readonly type: "A" | "AAAA";
  /** The first 3 bytes of an IPv4 address or the first 6 of an IPv6 one: a view that is good until the next one. */
  readonly network: Uint8Array;
  /** Queries it stands for, 1 or more. */
  readonly weight: number;
}

/**
 * Bytes of a block. A second's share of the only worker, with names of a hundred bytes; longer ones find no room, and are
 * counted as lost.
 */
const BLOCK_SIZE = 128 * 1024;
const HEAD_SIZE = 6;
const IS_AAAA = 1;
const IS_IPV6 = 2;
/** Bytes of the network of an IPv4 and of an IPv6 client. */
const NETWORK_SIZE = { ipv4: 3, ipv6: 6 } as const;
/** Queries that one stands for at most; a share of one a second would take a million queries a second to get there. */
const EVERY_MAX = 1 << 20;

/** Gathers counted queries. */
export class TrafficBlock {
  readonly #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(BLOCK_SIZE);
  readonly #share: number;
  readonly #rng: () => number;
  #used = 0;
  #every = 1;
  /** Queries that the one that is counted next stands for. */
  #weight = 1;
  #countedThisSecond = 0;

  /**
   * Allocates it.
   *
   * @param share queries counted a second, more or less: some more where the load rises
   * @param rng draws an unsigned 32-bit integer (`Rng`), for each that is counted, so a cheap one
   */
  constructor(share: number, rng: () => number) {
    this.#share = share;
    this.#rng = rng;
  }

  /**
   * How many queries until one is counted, that one included: as if each were drawn by itself with a chance of 1 in `every`
   * (a geometric distribution). So it may be drawn again at any time, and the error is the one of textbooks.
   */
  drawGap(): number {
    const every = this.#weight = this.#every;
    if (every === 1) return 1;
    return 1 + Math.floor(Math.log((this.#rng() + 1) / 2 ** 32) / Math.log1p(-1 / every));
  }

  /**
   * Counts a query.
   *
   * @param name has the declared name from `from` to `end`
   * @param isWildcard whether what answers is the wildcard below that name
   * @param type A or AAAA
   * @param address the client's, 4 or 16 bytes
   * @returns false = there is no room
   */
  add(
    name: Uint8Array,
    from: number,
    end: number,
    isWildcard: boolean,
    type: number,
    address: Uint8Array,
  ): boolean {
    if (++this.#countedThisSecond % this.#share === 0) this.#every = Math.min(this.#every * 2, EVERY_MAX);
    const bytes = this.#bytes;
    const networkSize = address.length === 4 ? NETWORK_SIZE.ipv4 : NETWORK_SIZE.ipv6;
    const nameSize = end - from + (isWildcard ? 2 : 0);
    let at = this.#used;
    if (at + HEAD_SIZE + networkSize + nameSize > bytes.length) return false;
    const weight = this.#weight;
    bytes[at++] = (type === TYPE.AAAA ? IS_AAAA : 0) | (address.length === 4 ? 0 : IS_IPV6);
    bytes[at++] = nameSize;
    bytes[at++] = weight >>> 24;
    bytes[at++] = weight >>> 16;
    bytes[at++] = weight >>> 8;
    bytes[at++] = weight;
    for (let i = 0; i < networkSize; i++) bytes[at++] = address[i]!;
    if (isWildcard) {
      bytes[at++] = 1;
      bytes[at++] = 0x2a;
    }
    for (let i = from; i < end; i++) bytes[at++] = name[i]!;
    this.#used = at;
    return true;
  }

  /** Begins another second. @returns whether more are counted from now on, so that the gap is to be drawn again */
  beginSecond(): boolean {
    const isFewer = this.#countedThisSecond * 2 < this.#share;
    this.#countedThisSecond = 0;
    if (!isFewer || this.#every === 1) return false;
    this.#every >>>= 1;
    return true;
  }

  /** What was counted since the last call, a copy of the caller's own; `null` = nothing. */
  take(): Uint8Array<ArrayBuffer> | null {
    if (this.#used === 0) return null;
    const taken = this.#bytes.slice(0, this.#used);
    this.#used = 0;
    return taken;
  }
}

/** The counted queries of what `take` gave, in their order. */
export function* readTraffic(bytes: Uint8Array): Generator<CountedQuery> {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (let at = 0; at < bytes.length;) {
    const flags = bytes[at]!;
    const network = at + HEAD_SIZE;
    const name = network + ((flags & IS_IPV6) === 0 ? NETWORK_SIZE.ipv4 : NETWORK_SIZE.ipv6);
    yield {
      name: wireToName(bytes, name),
      type: (flags & IS_AAAA) === 0 ? "A" : "AAAA",
      network: bytes.subarray(network, name),
      weight: view.getUint32(at + 2),
    };
    at = name + bytes[at + 1]!;
  }
}
