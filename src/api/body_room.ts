/**
 * Bodies that are read whole, and how much memory they may take together: there may be as many clients as there are connections, each
 * with the largest body.
 *
 * @module
 */
import { ApiProblem } from "./problem.ts";

/** A body that was read; disposing of it gives its room back. */
export interface WholeBody extends Disposable {
  /** All of it. */
  readonly bytes: Uint8Array;
}

/** Most bytes. */
export interface BodyRoomTerms {
  /** Of one body. */
  readonly eachMax: number;
  /** Of all that are read or used at a time. */
  readonly allMax: number;
}

/** How long a client waits that has found no room. */
const RETRY_AFTER_SECONDS = 1;

/** Room for bodies. */
export class BodyRoom {
  readonly #terms: BodyRoomTerms;
  #taken = 0;

  /** With so much of it. */
  constructor(terms: BodyRoomTerms) {
    this.#terms = terms;
  }

  /** Bytes that are taken. */
  get taken(): number {
    return this.#taken;
  }

  /**
   * Reads a body. What has come of it counts, so that a client that sends nothing keeps no others out.
   *
   * @throws {ApiProblem} 413 where it is too large, 503 where there is no room; the rest isn't read then
   */
  async read({ body, headers }: Pick<Request, "body" | "headers">): Promise<WholeBody> {
    const { eachMax, allMax } = this.#terms;
    const tooLarge = () =>
      new ApiProblem(413, `The body has more than ${eachMax} bytes, which is the most that is read here`);
    if (Number(headers.get("content-length") ?? 0) > eachMax) throw tooLarge();
    const pieces: Uint8Array[] = [];
    let size = 0;
    const giveBack = () => {
      this.#taken -= size;
      size = 0;
    };
    try {
      for await (const piece of body ?? []) {
        size += piece.length;
        this.#taken += piece.length;
        if (size > eachMax) throw tooLarge();
        if (this.#taken > allMax) {
          throw new ApiProblem(503, "There are too many large bodies at this moment (send it again)", [], {
            "retry-after": String(RETRY_AFTER_SECONDS),
          });
        }
        pieces.push(piece);
      }
    } catch (error) {
      giveBack();
      throw error;
    }
    return { bytes: joined(pieces, size), [Symbol.dispose]: giveBack };
  }
}

function joined(pieces: readonly Uint8Array[], size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
