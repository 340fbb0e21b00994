/**
 * A connection by its descriptor, as Deno has them: promises to read and to write, which end at once when it is closed.
 *
 * @module
 */
import { formatIp } from "../ip.ts";
import { BROKEN, type Poller, READY, type StreamSockets } from "../sockets/stream_sockets.ts";
import type { StreamSocket } from "./tcp.ts";

/** What a stream is made of. */
export interface PolledStreamOptions {
  /** The C library. */
  readonly sockets: StreamSockets;
  /** Knows the descriptor already, for reading. */
  readonly poller: Poller;
  /** Of the client, 4 or 16 bytes. */
  readonly address: Uint8Array;
  /** Of the client. */
  readonly port: number;
  /** Closes the descriptor; called once. */
  readonly onClose: () => void;
}

/** One connection, which a client has by way of a balancer. */
export class PolledStream implements StreamSocket {
  /** Not known. */
  readonly localAddr: Deno.NetAddr = { transport: "tcp", hostname: "0.0.0.0", port: 0 };
  /** The client's. */
  readonly remoteAddr: Deno.NetAddr;
  readonly #fd: number;
  readonly #options: PolledStreamOptions;
  #reading: Pending | null = null;
  #writing: Pending | null = null;
  #wanted: number = READY.read;
  #isClosed = false;

  /** Takes over a descriptor. */
  constructor(fd: number, options: PolledStreamOptions) {
    this.#fd = fd;
    this.#options = options;
    this.remoteAddr = { transport: "tcp", hostname: formatIp(options.address), port: options.port };
  }

  /** Reads once; `null` = the end, its own included. One read at a time. */
  async read(bytes: Uint8Array<ArrayBuffer>): Promise<number | null> {
    while (!this.#isClosed) {
      const count = this.#options.sockets.receive(this.#fd, bytes);
      if (count > 0) return count;
      if (count === 0) return null;
      if (count === BROKEN) throw new Deno.errors.ConnectionReset("The balancer has ended the connection");
      this.#reading = Promise.withResolvers<void>();
      this.#want();
      await this.#reading.promise;
    }
    return null;
  }

  /** Writes once. One write at a time. */
  async write(bytes: Uint8Array<ArrayBuffer>): Promise<number> {
    while (!this.#isClosed) {
      const count = this.#options.sockets.send(this.#fd, bytes);
      if (count >= 0) return count;
      if (count === BROKEN) throw new Deno.errors.BrokenPipe("The balancer has ended the connection");
      this.#writing = Promise.withResolvers<void>();
      this.#want();
      await this.#writing.promise;
    }
    throw new Deno.errors.BadResource("It was closed");
  }

  /** Ends it, and what waits. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#options.onClose();
    this.#wake(READY.read | READY.write);
  }

  /** Lets go on what its descriptor is ready for. */
  serve(readiness: number): void {
    const isOver = (readiness & (READY.error | READY.hangUp)) !== 0;
    this.#wake(isOver ? READY.read | READY.write : readiness);
    if (!this.#isClosed) this.#want();
  }

  #wake(readiness: number): void {
    if ((readiness & READY.read) !== 0) {
      this.#reading?.resolve();
      this.#reading = null;
    }
    if ((readiness & READY.write) !== 0) {
      this.#writing?.resolve();
      this.#writing = null;
    }
  }

  #want(): void {
    const wanted = (this.#reading ? READY.read : 0) | (this.#writing ? READY.write : 0);
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    this.#options.poller.change(this.#fd, wanted);
  }
}

type Pending = PromiseWithResolvers<void>;
