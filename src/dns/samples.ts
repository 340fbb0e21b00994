/**
 * Samples of exchanges on their way from a worker to the main thread: copied into one block of memory that was
 * allocated before, handed over a whole block at a time. A full block takes no more; nothing here waits or grows.
 *
 * | bytes | of a record                          |
 * | ----- | ------------------------------------ |
 * | 8     | Unix milliseconds, a float           |
 * | 1     | the transport, its index in `TRANSPORTS` |
 * | 1     | bytes of the client's address, 4 or 16 |
 * | 2     | bytes of the query                   |
 * | 2     | bytes of the answer                  |
 * | …     | address, query, answer               |
 *
 * @module
 */
import { formatIp } from "../ip.ts";
import { type Transport, TRANSPORTS } from "./transport.ts";

/** One exchange, copied for whoever watches. */
export interface Sample {
  /** When it was answered, Unix milliseconds. */
  readonly unixMs: number;
  /** How it came. */
  readonly transport: Transport;
  /** The client's address as text. */
  readonly client: string;
  /** The packet as it came. */
  readonly query: Uint8Array;
  /** The packet as it went. */
  readonly answer: Uint8Array;
}

/** One exchange as the answering side has it: views that are only good until the next one. */
export interface Exchanged {
  /** Now, Unix milliseconds. */
  readonly unixMs: number;
  /** How it came. */
  readonly transport: Transport;
  /** The client's address, 4 or 16 bytes. */
  readonly client: Uint8Array;
  /** The packet as it came. */
  readonly query: Uint8Array;
  /** The packet as it goes. */
  readonly answer: Uint8Array;
}

/**
 * Bytes of a block: a tenth of a second, after which it is handed over, of the 100,000 exchanges a second that may be
 * asked for at most, of 200 bytes each.
 */
export const BLOCK_SIZE = 2_000_000;

const HEAD_SIZE = 14;

/** Gathers samples. */
export class SampleBlock {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  #used = 0;

  /** Allocates it. */
  constructor(size: number = BLOCK_SIZE) {
    this.#bytes = new Uint8Array(size);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Copies an exchange; false = there is no room. */
  add({ unixMs, transport, client, query, answer }: Exchanged): boolean {
    const at = this.#used;
    const end = at + HEAD_SIZE + client.length + query.length + answer.length;
    if (end > this.#bytes.length) return false;
    this.#view.setFloat64(at, unixMs);
    this.#view.setUint8(at + 8, TRANSPORTS.indexOf(transport));
    this.#view.setUint8(at + 9, client.length);
    this.#view.setUint16(at + 10, query.length);
    this.#view.setUint16(at + 12, answer.length);
    this.#bytes.set(client, at + HEAD_SIZE);
    this.#bytes.set(query, at + HEAD_SIZE + client.length);
    this.#bytes.set(answer, at + HEAD_SIZE + client.length + query.length);
    this.#used = end;
    return true;
  }

  /** What was gathered since the last call, a copy of the caller's own; `null` = nothing. */
  take(): Uint8Array<ArrayBuffer> | null {
    if (this.#used === 0) return null;
    const taken = this.#bytes.slice(0, this.#used);
    this.#used = 0;
    return taken;
  }
}

/** The samples of what `take` gave, in their order; their packets are views of it. */
export function* readSamples(bytes: Uint8Array): Generator<Sample> {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (let at = 0; at < bytes.length;) {
    const client = at + HEAD_SIZE;
    const query = client + view.getUint8(at + 9);
    const answer = query + view.getUint16(at + 10);
    const end = answer + view.getUint16(at + 12);
    yield {
      unixMs: view.getFloat64(at),
      transport: TRANSPORTS[view.getUint8(at + 8)]!,
      client: formatIp(bytes.slice(client, query)),
      query: bytes.subarray(query, answer),
      answer: bytes.subarray(answer, end),
    };
    at = end;
  }
}
