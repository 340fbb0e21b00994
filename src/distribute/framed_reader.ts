/**
 * Messages of DNS over TCP, each behind its length (RFC 1035 §4.2.2). Mostly both come at once, and are read at once.
 *
 * @module
 */

/** Bytes that are read at first: more than most messages have. */
const SIZE_FIRST = 4 * 1024;
/** A length and the largest message. */
const SIZE_MAX = 2 + 65_535;

/** Reads one connection. */
export class FramedReader {
  readonly #conn: Pick<Deno.TcpConn, "read">;
  #bytes = new Uint8Array(SIZE_FIRST);
  #size = 0;

  /** Reads nothing yet. */
  constructor(conn: Pick<Deno.TcpConn, "read">) {
    this.#conn = conn;
  }

  /** The next message; `null` = the other end has closed. */
  async next(): Promise<Uint8Array | null> {
    for (;;) {
      const end = this.#size < 2 ? SIZE_FIRST : 2 + (this.#bytes[0]! << 8 | this.#bytes[1]!);
      if (this.#size >= end) {
        const message = this.#bytes.slice(2, end);
        this.#bytes.copyWithin(0, end, this.#size);
        this.#size -= end;
        return message;
      }
      if (end > this.#bytes.length) {
        const larger = new Uint8Array(SIZE_MAX);
        larger.set(this.#bytes.subarray(0, this.#size));
        this.#bytes = larger;
      }
      const count = await this.#conn.read(this.#bytes.subarray(this.#size));
      if (count === null || count === 0) return null;
      this.#size += count;
    }
  }
}
