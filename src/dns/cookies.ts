/**
 * DNS cookies (RFC 7873) in the form that servers agree upon (RFC 9018): whoever sends back the server cookie that was
 * sent to its address can receive there, so its address isn't forged.
 *
 * ```text
 *  0  client cookie        8 bytes
 *  8  version 1            1
 *  9  reserved, zero       3
 * 12  time stamp           4   Unix seconds, modulo 2³²
 * 16  hash                 8   SipHash-2-4 of all before and the client's address, by a secret of 16 bytes
 * ```
 *
 * Servers with the same secret accept each other's cookies. Nothing is needed of a client that it doesn't send, and
 * nothing is allocated. A hash takes half as long as an answer, so those that were found good last are remembered: in a
 * table of fixed size, in which a cookie and its address are compared as a whole.
 *
 * @module
 */

/** Bytes of a client cookie (RFC 7873 §4). */
export const CLIENT_COOKIE_SIZE = 8;
/** Bytes of our server cookies, and of all that are worth a look. */
export const SERVER_COOKIE_SIZE = 16;
/** Bytes of a secret. */
export const SECRET_SIZE = 16;
/** Secrets that may be valid at a time: each is tried, and a forger has the cost of a query of all of them. */
export const SECRETS_MAX = 4;

const VERSION = 1;
/** How old a time stamp may be, and how far ahead, seconds (RFC 9018 §4.3). */
const AGE_MAX = 3600;
const AHEAD_MAX = 300;
/** From which age on a client gets a new cookie, seconds (RFC 9018 §4.3). */
const RENEWED_AGE = 1800;
/** Words of the longest input: both cookies without the hash, an IPv6 address, and the last block, which says the length. */
const INPUT_WORDS = (CLIENT_COOKIE_SIZE + 8 + 16) / 4 + 2;

/** Cookies that are remembered, a power of two: 44 KiB. */
const KNOWN = 1024;
/** Words of each: client and server cookie, bytes of the address, and the address, behind an IPv4 one zeros. */
const KNOWN_WORDS = 6 + 1 + 4;

/**
 * What a cookie is worth: there is no server cookie yet; there is one to be sent back as it is; one that is good, to be
 * replaced by a newer one; or one of another server, for another address or out of date.
 */
export type CookieVerdict = "new" | "current" | "valid" | "invalid";

/** Makes and verifies server cookies. */
export class Cookies {
  /** Four words a secret, the newest first. */
  readonly #keys: Int32Array;
  readonly #input = new Int32Array(INPUT_WORDS);
  readonly #hash = new Int32Array(2);
  readonly #known = new Int32Array(KNOWN * KNOWN_WORDS);

  /**
   * Goes by these secrets.
   *
   * @param secrets 1 to `SECRETS_MAX` of `SECRET_SIZE` bytes; the first one makes cookies, all of them verify
   */
  constructor(secrets: readonly Uint8Array[]) {
    this.#keys = new Int32Array(secrets.length * 4);
    for (const [i, secret] of secrets.entries()) {
      for (let word = 0; word < 4; word++) this.#keys[i * 4 + word] = wordAt(secret, word * 4);
    }
  }

  /**
   * Judges the cookie of a query, and writes the server cookie for its answer, unless the one that it carries is current.
   *
   * @param packet holds client and server cookie, from `at` on
   * @param size bytes of both: 8, or 16–40
   * @param address of the client, 4 or 16 bytes
   * @param nowSeconds Unix time
   * @param issued receives `SERVER_COOKIE_SIZE` bytes
   */
  judge(
    packet: Uint8Array,
    at: number,
    size: number,
    address: Uint8Array,
    nowSeconds: number,
    issued: Uint8Array,
  ): CookieVerdict {
    let verdict: CookieVerdict = "new";
    if (size > CLIENT_COOKIE_SIZE) {
      const age = this.#ageOf(packet, at, size, nowSeconds);
      verdict = age < 0 ? "invalid" : "valid";
      if (age >= 0) {
        const isYoung = age < RENEWED_AGE + AHEAD_MAX;
        const slot = this.#slotOf(packet, at, address);
        if (isYoung && this.#isKnown(slot, packet, at, address)) return "current";
        const key = this.#keyOf(packet, at, address);
        if (key < 0) verdict = "invalid";
        if (key === 0 && isYoung) {
          this.#remember(slot, packet, at, address);
          return "current";
        }
      }
    }
    this.#issue(packet, at, address, nowSeconds, issued);
    return verdict;
  }

  /** Seconds since the time stamp, plus `AHEAD_MAX`; below 0 = it is out of date, or it isn't a cookie of ours at all. */
  #ageOf(packet: Uint8Array, at: number, size: number, nowSeconds: number): number {
    const isOurs = size === CLIENT_COOKIE_SIZE + SERVER_COOKIE_SIZE &&
      packet[at + CLIENT_COOKIE_SIZE] === VERSION;
    // As serial numbers, so that the stamp may wrap (RFC 1982).
    const age = nowSeconds - stampAt(packet, at) | 0;
    return isOurs && age <= AGE_MAX ? age + AHEAD_MAX : -1;
  }

  #slotOf(packet: Uint8Array, at: number, address: Uint8Array): number {
    const hash = wordAt(packet, at) ^ wordAt(packet, at + 16) ^ wordAt(address, address.length - 4);
    return ((hash ^ hash >>> 16) & KNOWN - 1) * KNOWN_WORDS;
  }

  #isKnown(slot: number, packet: Uint8Array, at: number, address: Uint8Array): boolean {
    const known = this.#known;
    for (let i = 0; i < 6; i++) if (known[slot + i] !== wordAt(packet, at + i * 4)) return false;
    if (known[slot + 6] !== address.length) return false;
    for (let i = 0; i < 4; i++) {
      if (known[slot + 7 + i] !== (i * 4 < address.length ? wordAt(address, i * 4) : 0)) return false;
    }
    return true;
  }

  #remember(slot: number, packet: Uint8Array, at: number, address: Uint8Array): void {
    const known = this.#known;
    for (let i = 0; i < 6; i++) known[slot + i] = wordAt(packet, at + i * 4);
    known[slot + 6] = address.length;
    for (let i = 0; i < 4; i++) known[slot + 7 + i] = i * 4 < address.length ? wordAt(address, i * 4) : 0;
  }

  /** Which secret a server cookie was made with; −1 = with none, for this client. */
  #keyOf(packet: Uint8Array, at: number, address: Uint8Array): number {
    const serverAt = at + CLIENT_COOKIE_SIZE;
    const low = wordAt(packet, serverAt + 8);
    const high = wordAt(packet, serverAt + 12);
    this.#readInput(packet, at, wordAt(packet, serverAt), wordAt(packet, serverAt + 4), address);
    for (let key = 0; key * 4 < this.#keys.length; key++) {
      sipHash(this.#keys, key * 4, this.#input, blocksFor(address), this.#hash);
      // Both words in one go: how long it takes says nothing of how far they agree.
      if (((this.#hash[0]! ^ low) | (this.#hash[1]! ^ high)) === 0) return key;
    }
    return -1;
  }

  #issue(packet: Uint8Array, at: number, address: Uint8Array, nowSeconds: number, issued: Uint8Array): void {
    issued.fill(0);
    issued[0] = VERSION;
    issued[4] = nowSeconds >>> 24;
    issued[5] = nowSeconds >>> 16;
    issued[6] = nowSeconds >>> 8;
    issued[7] = nowSeconds;
    this.#readInput(packet, at, wordAt(issued, 0), wordAt(issued, 4), address);
    sipHash(this.#keys, 0, this.#input, blocksFor(address), this.#hash);
    for (let i = 0; i < 8; i++) issued[8 + i] = this.#hash[i >> 2]! >>> 8 * (i & 3);
  }

  /** Client cookie, version and reserved, time stamp, address; the last block has the length in its last byte. */
  #readInput(packet: Uint8Array, at: number, version: number, stamp: number, address: Uint8Array): void {
    const input = this.#input;
    input[0] = wordAt(packet, at);
    input[1] = wordAt(packet, at + 4);
    input[2] = version;
    input[3] = stamp;
    input[4] = wordAt(address, 0);
    if (address.length === 4) {
      input[5] = 20 << 24;
      return;
    }
    input[5] = wordAt(address, 4);
    input[6] = wordAt(address, 8);
    input[7] = wordAt(address, 12);
    input[8] = 0;
    input[9] = 32 << 24;
  }
}

/** Blocks of 8 bytes that are hashed for a client. */
function blocksFor(address: Uint8Array): number {
  return address.length === 4 ? 3 : 5;
}

function stampAt(packet: Uint8Array, cookieAt: number): number {
  const at = cookieAt + CLIENT_COOKIE_SIZE + 4;
  return (packet[at]! << 24 | packet[at + 1]! << 16 | packet[at + 2]! << 8 | packet[at + 3]!) >>> 0;
}

/** Four bytes as SipHash reads them, little-endian. */
function wordAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 | bytes[at + 3]! << 24;
}

/**
 * SipHash-2-4 (Aumasson and Bernstein, 2012) of whole blocks, in halves of 32 bits, low half first. What a block has
 * for its last byte is up to the caller.
 *
 * @param at where the four words of the key begin
 * @param hash receives low and high half
 */
function sipHash(keys: Int32Array, at: number, input: Int32Array, blocks: number, hash: Int32Array): void {
  let al = keys[at]! ^ 0x70736575, ah = keys[at + 1]! ^ 0x736f6d65;
  let bl = keys[at + 2]! ^ 0x6e646f6d, bh = keys[at + 3]! ^ 0x646f7261;
  let cl = keys[at]! ^ 0x6e657261, ch = keys[at + 1]! ^ 0x6c796765;
  let dl = keys[at + 2]! ^ 0x79746573, dh = keys[at + 3]! ^ 0x74656462;
  let t = 0;
  for (let block = 0; block <= blocks; block++) {
    const isLast = block === blocks;
    const low = isLast ? 0 : input[block * 2]!;
    const high = isLast ? 0 : input[block * 2 + 1]!;
    dl ^= low;
    dh ^= high;
    if (isLast) cl ^= 0xff;
    for (let round = isLast ? 4 : 2; round > 0; round--) {
      // a += b; b = b <<< 13 ^ a; a <<<= 32
      al = al + bl | 0;
      ah = ah + bh + (al >>> 0 < bl >>> 0 ? 1 : 0) | 0;
      t = bl << 13 | bh >>> 19;
      bh = (bh << 13 | bl >>> 19) ^ ah;
      bl = t ^ al;
      t = al;
      al = ah;
      ah = t;
      // c += d; d = d <<< 16 ^ c
      cl = cl + dl | 0;
      ch = ch + dh + (cl >>> 0 < dl >>> 0 ? 1 : 0) | 0;
      t = dl << 16 | dh >>> 16;
      dh = (dh << 16 | dl >>> 16) ^ ch;
      dl = t ^ cl;
      // a += d; d = d <<< 21 ^ a
      al = al + dl | 0;
      ah = ah + dh + (al >>> 0 < dl >>> 0 ? 1 : 0) | 0;
      t = dl << 21 | dh >>> 11;
      dh = (dh << 21 | dl >>> 11) ^ ah;
      dl = t ^ al;
      // c += b; b = b <<< 17 ^ c; c <<<= 32
      cl = cl + bl | 0;
      ch = ch + bh + (cl >>> 0 < bl >>> 0 ? 1 : 0) | 0;
      t = bl << 17 | bh >>> 15;
      bh = (bh << 17 | bl >>> 15) ^ ch;
      bl = t ^ cl;
      t = cl;
      cl = ch;
      ch = t;
    }
    al ^= low;
    ah ^= high;
  }
  hash[0] = al ^ bl ^ cl ^ dl;
  hash[1] = ah ^ bh ^ ch ^ dh;
}
