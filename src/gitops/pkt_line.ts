/**
 * Packet lines, in which Git frames all that goes over the wire.
 *
 * A packet begins with its length in four hexadecimal digits, which count themselves; `0000`, `0001` and `0002` are marks
 * without content. Source: Documentation/gitprotocol-common.txt and gitprotocol-v2.txt of Git.
 *
 * @module
 */
import { RepositoryError } from "./repository.ts";

/** A packet: its content, or a mark. */
export type Packet =
  | { readonly kind: "data"; readonly bytes: Uint8Array }
  /** `0000`: end of a message. */
  | { readonly kind: "flush" }
  /** `0001`: end of a section. */
  | { readonly kind: "delimiter" }
  /** `0002`: end of an answer of a stateless connection. */
  | { readonly kind: "response end" };

/** Marks that are sent. */
export const FLUSH = "0000";
/** Parts the capabilities of a command from its arguments. */
export const DELIMITER = "0001";

/** A line to be sent, with its line end. */
export function packetLine(text: string): string {
  const bytes = new TextEncoder().encode(text).length;
  return `${(bytes + 5).toString(16).padStart(4, "0")}${text}\n`;
}

/** The text of a packet, without its line end; what isn't UTF-8 is replaced. */
export function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes).replace(/\n$/, "");
}

/** Reads packets from a stream of bytes. */
export class PacketReader implements AsyncDisposable {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #ended: () => Promise<RepositoryError>;
  #chunk: Uint8Array = new Uint8Array(0);

  /**
   * Reads nothing yet.
   *
   * @param ended what is to be said when the stream ends or breaks within a message
   */
  constructor(stream: ReadableStream<Uint8Array>, ended: () => Promise<RepositoryError>) {
    this.#reader = stream.getReader();
    this.#ended = ended;
  }

  /**
   * The next packet; its bytes are valid until the one after it is asked for.
   *
   * @throws {RepositoryError} `damaged` for what isn't a packet; what `ended` says at the end of the stream
   */
  async next(): Promise<Packet> {
    const digits = textOf(await this.#take(4));
    if (!/^[0-9a-f]{4}$/i.test(digits)) {
      throw new RepositoryError("damaged", "The answer isn't one of a Git server: no length before a packet");
    }
    const length = parseInt(digits, 16);
    if (length >= 4) return { kind: "data", bytes: await this.#take(length - 4) };
    const kind = (["flush", "delimiter", "response end"] as const)[length];
    if (kind === undefined) {
      throw new RepositoryError("damaged", "The answer isn't one of a Git server: a packet of 3 bytes");
    }
    return { kind };
  }

  /** Wants no more of the stream. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.cancel().catch(() => {});
  }

  async #take(count: number): Promise<Uint8Array> {
    if (this.#chunk.length >= count) return this.#cut(count);
    const taken = new Uint8Array(count);
    for (let filled = 0; filled < count;) {
      if (this.#chunk.length === 0) {
        const piece = await this.#reader.read().catch(() => ({ done: true, value: undefined }));
        if (piece.value === undefined) throw await this.#ended();
        this.#chunk = piece.value;
      }
      const piece = this.#cut(Math.min(this.#chunk.length, count - filled));
      taken.set(piece, filled);
      filled += piece.length;
    }
    return taken;
  }

  #cut(count: number): Uint8Array {
    const cut = this.#chunk.subarray(0, count);
    this.#chunk = this.#chunk.subarray(count);
    return cut;
  }
}
