/**
 * An answer that many requests get at the same moment: it is put into bytes once for each form, whoever gets it.
 *
 * The way of an answer through the application and its encoding costs some hundred microseconds, a write of bytes that are there
 * already some ten: with thousands of clients that wait for the same news that is whether the last is told in a second.
 *
 * @module
 */
import { encodeAnswer, type Framing, joined } from "./http_answer.ts";

/** For so long bytes are used again; they have their date in them. Milliseconds. */
const DATED_MS = 1_000;

/** An answer for many. */
export class SharedAnswer {
  /** Of the answer. */
  readonly status: number;
  readonly #make: () => Response;
  readonly #encoded = new Map<string, Promise<Uint8Array>>();
  #encodedMs = -Infinity;

  /**
   * Makes it once, for its status.
   *
   * @param make makes it, the same each time, with all headers but those of the framing
   */
  constructor(make: () => Response) {
    this.#make = make;
    this.status = make().status;
  }

  /** The answer for whoever writes it in another way. */
  response(): Response {
    return this.#make();
  }

  /** All of the answer in one piece. */
  bytes(framing: Framing): Promise<Uint8Array> {
    const nowMs = performance.now();
    if (nowMs - this.#encodedMs >= DATED_MS) {
      this.#encoded.clear();
      this.#encodedMs = nowMs;
    }
    const form = Object.values(framing).join(" ");
    let encoded = this.#encoded.get(form);
    if (encoded === undefined) {
      this.#encoded.set(form, encoded = wholeOf(encodeAnswer(this.#make(), framing)));
    }
    return encoded;
  }
}

/** An answer of many, for one of them. */
export interface LaterAnswer {
  /** What it is. */
  readonly answer: SharedAnswer;
  /** Resolves when its client's next request may be read: while others wait for the same, they come first. */
  readonly next: Promise<void>;
}

async function wholeOf(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return joined(all);
}
