/**
 * What a client sends, buffered: read when a caller waits for it, each time with an end to the patience, and watched
 * while none does, so that a client that goes away is noticed.
 *
 * @module
 */

/** The reading half of a connection of Deno's. */
export type ByteReader = Pick<Deno.Conn, "read">;

/** Nothing came in time. */
export class TooSlow extends Error {}

const ROOM_MIN = 4 << 10;
const ROOM_MAX = 64 << 10;

/** Bytes received and not yet taken. */
export class HttpInput {
  readonly #reader: ByteReader;
  /** Received and not taken is `#buffer[#start … #end)`. */
  #buffer = new Uint8Array(ROOM_MIN);
  #start = 0;
  #end = 0;
  /** The read under way; it outlives the patience of whoever began it. */
  #reading: Promise<boolean> | null = null;

  /** Takes over the reading of a connection. */
  constructor(reader: ByteReader) {
    this.#reader = reader;
  }

  /** What is there, valid until the next call of anything here. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#buffer.subarray(this.#start, this.#end);
  }

  /** Drops bytes from the beginning of `bytes`. */
  skip(count: number): void {
    this.#start += count;
  }

  /**
   * Resolves when there are more bytes than before, to false when there will be none: the client has closed its side,
   * or is gone.
   *
   * @throws {TooSlow} when nothing comes in time
   */
  async more(timeoutMs: number): Promise<boolean> {
    const reading = this.#reading ??= this.#read();
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(new TooSlow()), timeoutMs);
    try {
      return await Promise.race([reading, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Calls `onEnd` when the client closes its side before it sends anything more. */
  watch(onEnd: () => void): void {
    if (this.bytes.length >= ROOM_MAX) return;
    const reading = this.#reading ??= this.#read();
    reading.then((isMore) => isMore || onEnd());
  }

  async #read(): Promise<boolean> {
    this.#makeRoom();
    try {
      const count = await this.#reader.read(this.#buffer.subarray(this.#end));
      this.#end += count ?? 0;
      return count !== null && count > 0;
    } catch {
      return false; // reset, or closed by us
    } finally {
      this.#reading = null;
    }
  }

  #makeRoom(): void {
    if (this.#start === this.#end) this.#start = this.#end = 0;
    if (this.#end < this.#buffer.length) return;
    const left = this.bytes;
    const grown = left.length > this.#buffer.length / 2
      ? new Uint8Array(Math.max(this.#buffer.length * 2, left.length + 1))
      : this.#buffer;
    grown.set(left);
    this.#buffer = grown;
    this.#start = 0;
    this.#end = left.length;
  }
}
