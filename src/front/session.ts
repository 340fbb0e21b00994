/**
 * Control sessions over real sockets: frames are gathered in one buffer a backend and leave in one call a batch; what comes
 * back is read in large pieces.
 *
 * A backend that doesn't read fills the kernel's buffer, and then costs no more than the tail of one batch: it is *stuck*, and
 * takes nothing until the tail has left.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { BATCH } from "../sockets/batch_socket.ts";
import { AGAIN, BROKEN, type Poller, READY, type StreamSockets } from "../sockets/stream_sockets.ts";
import {
  DATAGRAM_MAX,
  FEATURE,
  FRAME,
  type FrameReader,
  HEAD_MAX,
  readFrames,
  writeAnnouncement,
  writeBare,
  writeDatagramHead,
} from "../wire/balancer_frames.ts";
import type { ControlSession } from "./backends.ts";

/** Room for a batch of the longest datagrams, and for what else is said in a turn. */
const OUTPUT_SIZE = BATCH * (HEAD_MAX + DATAGRAM_MAX) + 256;
/** Bytes read at once: 1,000 answers. */
const INPUT_SIZE = 128 * 1024;
/**
 * What the kernel keeps for a backend that doesn't read, as it counts: some 1,200 queries, which one at 25,000 a second
 * answers within 50 ms.
 */
const UNREAD_BYTES = 512 * 1024;
/** Milliseconds that one which is going has for what it was sent; less than a service manager waits. */
const FINISH_MS = 10_000;

/** Where all sessions of a thread read into, one after the other. */
const input = new Uint8Array(INPUT_SIZE);

/** What a session needs of its thread. */
export interface SessionOptions {
  /** The C library. */
  readonly sockets: StreamSockets;
  /** Told what the session waits for. */
  readonly poller: Poller;
  /** Says how long one that is going has. */
  readonly clock: Pick<Clock, "monotonicMs">;
  /** Gets the frames. */
  readonly reader: FrameReader;
  /** Called when its other end has closed it, or it is broken; it must be aborted then. */
  onEnd(reason: string): void;
  /** Called when it has been aborted. */
  onAbort(): void;
}

/** One control session. */
export class Session implements ControlSession {
  /** Its descriptor. */
  readonly fd: number;
  readonly #options: SessionOptions;
  readonly #output = new Uint8Array(OUTPUT_SIZE);
  #queued = 0;
  /** Of a frame that hasn't come whole. */
  #rest = new Uint8Array(HEAD_MAX + DATAGRAM_MAX);
  #restSize = 0;
  /** Kept by whoever writes batches: whether it is among those to be flushed. */
  isWritten = false;
  #isStuck = false;
  #isClosed = false;
  /** When one that is going must have ended. */
  #endByMs = Infinity;
  /** Datagrams handed over and not answered. */
  #inFlight = 0;

  /** Says hello over a new connection. */
  constructor(fd: number, options: SessionOptions) {
    this.fd = fd;
    this.#options = options;
    options.sockets.limitUnread(fd, UNREAD_BYTES);
    options.poller.add(fd, READY.read);
    const hello = this.#output.subarray(0, writeBare(this.#output, 0, FRAME.clientHello));
    options.sockets.send(fd, hello); // a new connection has room; one that is broken already is reported by the poller
  }

  /** Whether it takes nothing, because its backend doesn't read. */
  get isStuck(): boolean {
    return this.#isStuck;
  }

  /** Datagrams handed over and not answered. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Queues a datagram for the next `flush`; a batch of them has room, unless it is stuck. */
  put(address: Uint8Array, port: number, packet: Uint8Array, size: number): void {
    const output = this.#output;
    const type = address.length === 4 ? FRAME.inboundUdp : FRAME.inboundUdp6;
    let at = this.#queued;
    at += writeDatagramHead(output, at, { type, address, port, size });
    if (size > COPY_BY_HAND_MAX) output.set(packet.subarray(0, size), at);
    else for (let i = 0; i < size; i++) output[at + i] = packet[i]!;
    this.#queued = at + size;
    this.#inFlight++;
  }

  /** Sends what is queued, as far as there is room. */
  flush(): void {
    if (this.#queued === 0 || this.#isClosed) return;
    const { sockets, poller } = this.#options;
    const sent = sockets.send(this.fd, this.#output.subarray(0, this.#queued));
    if (sent === BROKEN) {
      // What its server said before is still read, and then the end.
      this.#queued = 0;
      this.#isStuck = true;
      return;
    }
    if (sent === this.#queued) this.#queued = 0;
    else if (sent !== AGAIN) {
      this.#output.copyWithin(0, sent, this.#queued);
      this.#queued -= sent;
    }
    const isStuck = this.#queued > 0;
    if (isStuck === this.#isStuck) return;
    this.#isStuck = isStuck;
    poller.change(this.fd, READY.read | (isStuck ? READY.write : 0));
    if (!isStuck && this.#endByMs < Infinity) sockets.endSending(this.fd);
  }

  /** Reads what waits, once. */
  receive(): void {
    if (this.#isClosed) return;
    input.set(this.#rest.subarray(0, this.#restSize));
    const count = this.#options.sockets.receive(this.fd, input.subarray(this.#restSize));
    if (count === AGAIN) return;
    if (count === BROKEN) return this.#options.onEnd("it can't be read from");
    if (count === 0) return this.#options.onEnd("it has closed the connection");
    const end = this.#restSize + count;
    this.#restSize = 0;
    const at = readFrames(input, 0, end, this.#options.reader);
    if (at < 0) return;
    this.#rest.set(input.subarray(at, end));
    this.#restSize = end - at;
  }

  /** Notes that a datagram came back. */
  noteAnswer(): void {
    if (this.#inFlight > 0) this.#inFlight--;
  }

  /** Sends a heartbeat; `false` = it is stuck. */
  sendHeartbeat(): boolean {
    if (this.#isStuck) return false;
    this.#queued += writeBare(this.#output, this.#queued, FRAME.clientHeartbeat);
    this.flush();
    return true;
  }

  /** Says which extensions are understood. */
  announce(): void {
    if (this.#isStuck) return; // a backend that doesn't read its first frames learns nothing of them
    const features = FEATURE.address16 | FEATURE.going;
    this.#queued += writeAnnouncement(this.#output, this.#queued, FRAME.inboundUdp, features);
    this.flush();
  }

  /** Sends nothing more but what is queued; it ends when its server does, or when time is up. */
  finish(): void {
    this.#endByMs = this.#options.clock.monotonicMs() + FINISH_MS;
    if (!this.#isStuck) this.#options.sockets.endSending(this.fd);
  }

  /** Whether it is going and has taken too long. */
  isOverdue(nowMs: number): boolean {
    return nowMs >= this.#endByMs;
  }

  /** Ends it at once. @returns datagrams that were handed over and not answered */
  abort(): number {
    if (this.#isClosed) return 0;
    this.#isClosed = true;
    this.#options.sockets.abort(this.fd);
    this.#options.onAbort();
    return this.#inFlight;
  }
}

/** Up to here a loop is faster than a view and a copy. */
const COPY_BY_HAND_MAX = 96;
