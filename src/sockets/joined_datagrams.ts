/**
 * Datagrams for one peer as segments of one message: the kernel routes, filters and queues it once and cuts it up at the end
 * (`UDP_SEGMENT`, udp(7)), which takes half of what it takes to send each by itself. All segments of a message have one size.
 *
 * It pays where several answers of a batch go to one port: to load balancers and forwarders, which ask from a few, and
 * under load. Those that go elsewhere are messages of their own.
 *
 * @module
 */
import {
  Arena,
  BATCH,
  C,
  CONTROL_LENGTH_WORD,
  CONTROL_ROOM,
  HEADER_WORDS,
  OFFSET,
  type Part,
  setPointer,
  VECTOR_COUNT_WORD,
  VECTOR_LENGTH_WORD,
  VECTOR_WORD,
  VECTOR_WORDS,
} from "./message_memory.ts";
import type { Peer } from "./peer.ts";

/**
 * Longer datagrams go by themselves: a segment that is longer than the way's packets is refused, where a datagram would be
 * fragmented. Every way takes so many with IPv6 (RFC 8200 §5).
 */
export const SEGMENT_MAX = 1232;
/** Bytes of all segments, less than the most that a UDP datagram may have. */
const MESSAGE_MAX = 64_000;

/** The memory of the messages that datagrams of one socket are joined to. */
export class JoinedDatagrams {
  /** Messages of the last `join`. */
  count = 0;
  readonly #headers: Uint32Array<ArrayBuffer>;
  readonly #headersFrom: readonly Uint32Array<ArrayBuffer>[];
  readonly #vectors: Uint32Array<ArrayBuffer>;
  /** Where each of them lies, as two words. */
  readonly #vectorPointers: Uint32Array;
  readonly #controls: Uint32Array<ArrayBuffer>;
  /** Where the datagrams are, as `struct iovec`. */
  readonly #datagrams: Uint32Array;
  /** By message: its first datagram and its last one, how many they are, and of which size. */
  readonly #first = new Int32Array(BATCH);
  readonly #last = new Int32Array(BATCH);
  readonly #members = new Int32Array(BATCH);
  readonly #sizes = new Int32Array(BATCH);
  /** By datagram: the next one of its message, or `NONE`. */
  readonly #next = new Int32Array(BATCH);
  /** By a hash of peer and size: the message that was begun last. */
  readonly #begun = new Int8Array(1 << BEGUN_BITS);

  /**
   * Makes room for a batch.
   *
   * @param datagrams where they are, as one `struct iovec` for each place in the queue
   * @param nameSize bytes of the address of a peer
   */
  constructor(datagrams: Uint32Array, nameSize: number) {
    this.#datagrams = datagrams;
    const arena = new Arena(BATCH * (OFFSET.mmsghdr.size + OFFSET.iovec.size + CONTROL_ROOM));
    const headers = arena.part(OFFSET.mmsghdr.size);
    const vectors = arena.part(OFFSET.iovec.size);
    const controls = arena.part(CONTROL_ROOM);
    this.#vectorPointers = pointersTo(vectors);
    for (let message = 0; message < BATCH; message++) {
      const at = message * OFFSET.mmsghdr.size;
      headers.view.setUint32(at + OFFSET.mmsghdr.nameLength, nameSize, true);
      setPointer(headers.view, at + OFFSET.mmsghdr.control, controls.addressOf(message));
    }
    this.#headers = headers.words();
    this.#headersFrom = Array.from({ length: BATCH }, (_, i) => this.#headers.subarray(i * HEADER_WORDS));
    this.#vectors = vectors.words();
    this.#controls = controls.words();
  }

  /**
   * Joins those of one size to one peer.
   *
   * @param peers of each datagram; as many as there are
   * @returns whether any were joined
   */
  join(peers: readonly (Peer | null)[], datagrams: number): boolean {
    this.#begun.fill(NONE);
    this.count = 0;
    for (let slot = 0; slot < datagrams; slot++) {
      const size = this.#datagrams[slot * VECTOR_WORDS + VECTOR_LENGTH_WORD]!;
      const peer = peers[slot]!;
      const place = Math.imul(peer.hash ^ size, 0x9e3779b1) >>> 32 - BEGUN_BITS;
      const message = this.#begun[place]!;
      this.#next[slot] = NONE;
      if (message !== NONE && this.#takes(message, size) && peers[this.#first[message]!]!.isLike(peer)) {
        this.#next[this.#last[message]!] = slot;
        this.#last[message] = slot;
        this.#members[message]!++;
      } else {
        this.#begun[place] = this.count;
        this.#begin(slot, size);
      }
    }
    if (this.count === datagrams) return false;
    for (let message = 0, vector = 0; message < this.count; message++) {
      this.#write(message, peers[this.#first[message]!]!, vector);
      vector += this.#members[message]!;
    }
    return true;
  }

  /** The headers of messages, from one of them on. */
  headersFrom(message: number): Uint32Array<ArrayBuffer> {
    return this.#headersFrom[message]!;
  }

  /** The first datagram of a message, by its place in the queue. */
  firstOf(message: number): number {
    return this.#first[message]!;
  }

  /** The datagram of the same message behind another one; negative = there is none. */
  nextOf(slot: number): number {
    return this.#next[slot]!;
  }

  #takes(message: number, size: number): boolean {
    // Segments of no bytes would be one empty datagram.
    return this.#sizes[message] === size && size > 0 && size <= SEGMENT_MAX &&
      (this.#members[message]! + 1) * size <= MESSAGE_MAX;
  }

  #begin(slot: number, size: number): void {
    const message = this.count++;
    this.#first[message] = this.#last[message] = slot;
    this.#members[message] = 1;
    this.#sizes[message] = size;
  }

  /** Writes what the kernel reads of a message, whose datagrams get the vectors from one on. */
  #write(message: number, peer: Peer, vector: number): void {
    const headers = this.#headers;
    const at = message * HEADER_WORDS;
    headers[at] = peer.nameWords[0]!;
    headers[at + 1] = peer.nameWords[1]!;
    headers[at + VECTOR_WORD] = this.#vectorPointers[vector * 2]!;
    headers[at + VECTOR_WORD + 1] = this.#vectorPointers[vector * 2 + 1]!;
    headers[at + VECTOR_COUNT_WORD] = this.#members[message]!;
    let to = vector * VECTOR_WORDS;
    for (let slot = this.#first[message]!; slot !== NONE; slot = this.#next[slot]!) {
      for (let word = slot * VECTOR_WORDS, i = 0; i < VECTOR_WORDS; i++) {
        this.#vectors[to++] = this.#datagrams[word + i]!;
      }
    }
    headers[at + CONTROL_LENGTH_WORD] = this.#writeControl(message, peer);
  }

  /** Packet info as the peer has it, and behind it how long a segment is; its bytes. */
  #writeControl(message: number, peer: Peer): number {
    const controls = this.#controls;
    const from = message * CONTROL_ROOM / 4;
    const infoWords = peer.copyInfo(controls, from);
    if (this.#members[message] === 1) return infoWords * 4;
    const at = from + infoWords;
    controls[at] = OFFSET.cmsghdr.data + 2;
    controls[at + 1] = 0;
    controls[at + 2] = C.SOL_UDP;
    controls[at + 3] = C.UDP_SEGMENT;
    controls[at + 4] = this.#sizes[message]!;
    return infoWords * 4 + SEGMENT_CONTROL_BYTES;
  }
}

const NONE = -1;
/** Places for messages that were begun: more than there can be of either, so that few get into each other's way. */
const BEGUN_BITS = 8;
/** `struct cmsghdr` with a 16-bit number, up to where the next one would begin. */
const SEGMENT_CONTROL_BYTES = OFFSET.cmsghdr.data + 8;

function pointersTo(part: Part): Uint32Array {
  return new Uint32Array(
    BigUint64Array.from({ length: BATCH }, (_, slot) => part.addressOf(slot)).buffer,
  );
}
