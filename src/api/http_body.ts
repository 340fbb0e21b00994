/**
 * The body of a request as a stream that is read as it is asked for (RFC 9112 §6, §7.1).
 *
 * A body that breaks off, comes too slowly or isn't chunked as it says ends the stream with an `ApiProblem`, so that
 * whoever reads it answers the client, and it doesn't count as a fault of the node.
 *
 * @module
 */
import { type HttpInput, TooSlow } from "./http_input.ts";
import { ApiProblem } from "./problem.ts";

/** How long a body may take. */
export interface BodyPatience {
  /** The longest wait for the next byte, milliseconds. */
  readonly stallMs: number;
  /** Waits for it in sum, milliseconds; each KiB that has come adds one second. */
  readonly sumMs: number;
}

/** Longest line with the size of a chunk; extensions, which clients don't use, count. */
const SIZE_LINE_MAX = 128;
/** Lines after the last chunk, bytes. */
const TRAILER_MAX = 4 << 10;
/** Most bytes handed on at once. */
const PIECE_MAX = 64 << 10;

/** The body of one request. */
export class RequestBody {
  readonly #makeStream: () => ReadableStream<Uint8Array<ArrayBuffer>>;
  #stream: ReadableStream<Uint8Array<ArrayBuffer>> | null = null;
  readonly #input: HttpInput;
  readonly #patience: BodyPatience;
  readonly #isChunked: boolean;
  /** Bytes left of the body, or of the chunk. */
  #left: number;
  #isFirstChunk = true;
  #isDone: boolean;
  #isGivenUp = false;
  #isWaiting = false;
  #received = 0;
  #waitedMs = 0;

  /**
   * Begins a body.
   *
   * @param onStart called once, before the first byte is waited for
   * @param onDone called once, when the last byte has been read
   */
  constructor(
    input: HttpInput,
    { framing, patience, onStart, onDone }: {
      readonly framing: number | "chunked";
      readonly patience: BodyPatience;
      readonly onStart: () => Promise<void>;
      readonly onDone: () => void;
    },
  ) {
    this.#input = input;
    this.#patience = patience;
    this.#isChunked = framing === "chunked";
    this.#left = framing === "chunked" ? 0 : framing;
    this.#isDone = framing === 0;
    let isStarted = false;
    this.#makeStream = () =>
      new ReadableStream({
        pull: async (controller) => {
          if (!isStarted) {
            isStarted = true;
            await onStart();
          }
          const piece = await this.#next();
          if (piece) controller.enqueue(piece);
          if (!this.#isDone) return;
          controller.close();
          onDone();
        },
      }, { highWaterMark: 0 });
  }

  /** What the application reads; made when it is asked for, as most requests have no body. */
  get stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#stream ??= this.#makeStream();
  }

  /** Whether the client is waited for, which has not sent what it said it would. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /**
   * Ends the reading; afterwards the connection can be read on when this says so: all of the body had been read, or had
   * come by then.
   */
  giveUp(): boolean {
    this.#isGivenUp = true;
    if (this.#isDone) return true;
    if (this.#isChunked || this.#input.bytes.length < this.#left) return false;
    this.#input.skip(this.#left);
    return true;
  }

  /** The next piece; null when there is none left. */
  async #next(): Promise<Uint8Array<ArrayBuffer> | null> {
    if (this.#isGivenUp) throw brokenOff();
    if (this.#isChunked && this.#left === 0) await this.#nextChunk();
    if (this.#isDone) return null;
    if (this.#input.bytes.length === 0) await this.#more();
    const piece = this.#input.bytes.slice(0, Math.min(this.#left, PIECE_MAX));
    this.#input.skip(piece.length);
    this.#left -= piece.length;
    if (this.#left === 0 && !this.#isChunked) this.#isDone = true;
    return piece;
  }

  async #nextChunk(): Promise<void> {
    if (!this.#isFirstChunk && await this.#line(2) !== "") throw notChunked();
    this.#isFirstChunk = false;
    const size = /^([0-9a-f]{1,8})[ \t]*(?:;|$)/i.exec(await this.#line(SIZE_LINE_MAX))?.[1];
    if (size === undefined) throw notChunked();
    this.#left = parseInt(size, 16);
    if (this.#left > 0) return;
    for (let left = TRAILER_MAX; left > 0;) {
      const line = await this.#line(left);
      if (line === "") {
        this.#isDone = true;
        return;
      }
      left -= line.length;
    }
    throw notChunked();
  }

  /** A line without its end. */
  async #line(sizeMax: number): Promise<string> {
    for (;;) {
      const { bytes } = this.#input;
      const end = bytes.indexOf(LF);
      if (end > sizeMax || (end < 0 && bytes.length > sizeMax)) throw notChunked();
      if (end >= 0) {
        if (bytes[end - 1] !== CR) throw notChunked();
        const line = String.fromCharCode(...bytes.subarray(0, end - 1));
        this.#input.skip(end + 1);
        return line;
      }
      await this.#more();
    }
  }

  async #more(): Promise<void> {
    const before = this.#input.bytes.length;
    const startedMs = performance.now();
    const { stallMs, sumMs } = this.#patience;
    const leftMs = sumMs + this.#received - this.#waitedMs;
    this.#isWaiting = true;
    try {
      if (!await this.#input.more(Math.max(0, Math.min(stallMs, leftMs)))) throw brokenOff();
    } catch (error) {
      if (error instanceof TooSlow) {
        throw new ApiProblem(408, "The body did not come in time (send it again)");
      }
      throw error;
    } finally {
      this.#isWaiting = false;
    }
    if (this.#isGivenUp) throw brokenOff(); // what came belongs to the next request
    this.#waitedMs += performance.now() - startedMs;
    this.#received += this.#input.bytes.length - before;
  }
}

const CR = 13;
const LF = 10;

function brokenOff(): ApiProblem {
  return new ApiProblem(400, "The body broke off: nothing is changed");
}

function notChunked(): ApiProblem {
  return new ApiProblem(400, "The body isn't chunked as Transfer-Encoding says");
}
