/**
 * Control sessions over real sockets: frames are gathered in one buffer a backend and leave in one call a batch; what comes
 * back is read in large pieces. Frames stay where they are until the buffer is written over, so that what a backend hasn't
 * answered when its session ends can be handed over.
 *
 * A backend that doesn't read fills the kernel's buffer, and then costs no more than the tail of one batch: it is *stuck*, and
 * takes nothing until the tail has left.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { BATCH } from "../sockets/message_memory.ts";
import { AGAIN, BROKEN, type Poller, READY, type StreamSockets } from "../sockets/stream_sockets.ts";
import {
  ANNOUNCEMENT_SIZE,
  DATAGRAM_MAX,
  FEATURE,
  FRAME,
  type FrameReader,
  HEAD4,
  HEAD_MAX,
  readFrames,
  writeAnnouncement,
  writeBare,
  writeDatagramHead,
} from "../wire/balancer_frames.ts";
import type { ControlSession } from "./backends.ts";
import { Outstanding } from "./outstanding.ts";

/** Room for a batch of the longest datagrams, and for what else is said in a turn. */
const BATCH_ROOM = BATCH * (HEAD_MAX + DATAGRAM_MAX) + 256;
/** With what was sent before: 1,500 queries at least. */
const OUTPUT_SIZE = BATCH_ROOM + 160 * 1024;
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
  /** Of the table of what isn't answered, unpredictable. */
  readonly seed: number;
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
  readonly #outstanding: Outstanding;
  /** Where in the output begins what hasn't been sent, and where it ends. */
  #unsent = 0;
  #queued = 0;
  /** Of a frame that hasn't come whole. */
  #rest = new Uint8Array(HEAD_MAX + DATAGRAM_MAX);
  #restSize = 0;
  /** Kept by whoever writes batches: whether it is among those to be flushed. */
  isWritten = false;
  /** Kept by whoever reads announcements: whether its backend has said that it knows 16-byte addresses. */
  knowsAddress16 = false;
  #isStuck = false;
  #isClosed = false;
  /** Whether a heartbeat isn't answered yet. */
  #isBeating = false;
  /** When one that is going must have ended. */
  #endByMs = Infinity;

  /** Says hello over a new connection. */
  constructor(fd: number, options: SessionOptions) {
    this.fd = fd;
    this.#options = options;
    this.#outstanding = new Outstanding(options.seed);
    options.sockets.limitUnread(fd, UNREAD_BYTES);
    options.poller.add(fd, READY.read);
    const hello = this.#output.subarray(0, writeBare(this.#output, 0, FRAME.clientHello));
    options.sockets.send(fd, hello); // a new connection has room; one that is broken already is reported by the poller
  }

  /** Whether it takes no datagrams, because its backend doesn't read. */
  get isStuck(): boolean {
    return this.#isStuck;
  }

  /** Datagrams handed over and not answered, as far as they are still known. */
  get inFlight(): number {
    return this.#outstanding.count;
  }

  /** Datagrams handed over and not answered for so long that they aren't known any more. */
  get forgotten(): number {
    return this.#outstanding.forgotten;
  }

  /**
   * Queues a datagram for the next `flush`; a batch of them has room, unless it is stuck.
   *
   * @param isAgain whether another backend was asked before
   */
  put(
    address: Uint8Array,
    port: number,
    packet: Uint8Array,
    size: number,
    nowMs: number,
    isAgain: boolean,
  ): void {
    const output = this.#output;
    const type = address.length === 4 ? FRAME.inboundUdp : FRAME.inboundUdp6;
    const from = this.#claim(12 + address.length + size);
    const at = from + writeDatagramHead(output, from, { type, address, port, size });
    if (size > COPY_BY_HAND_MAX) output.set(packet.subarray(0, size), at);
    else for (let i = 0; i < size; i++) output[at + i] = packet[i]!;
    this.#outstanding.add(address, port, idOf(packet, 0, size), from, nowMs, isAgain);
  }

  /** Sends what is queued, as far as there is room. */
  flush(): void {
    if (this.#queued === this.#unsent || this.#isClosed) return;
    const { sockets, poller } = this.#options;
    const sent = sockets.send(this.fd, this.#output.subarray(this.#unsent, this.#queued));
    if (sent === BROKEN) {
      // What its server said before is still read, and then the end.
      this.#unsent = this.#queued;
      this.#isStuck = true;
      return;
    }
    if (sent !== AGAIN) this.#unsent += sent;
    const isStuck = this.#unsent < this.#queued;
    if (!isStuck && this.#queued > OUTPUT_SIZE - BATCH_ROOM) {
      this.#unsent = this.#queued = 0;
      this.#outstanding.beginLap();
    }
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

  /** Notes that a datagram came back, which is `bytes[at … at + size)`. */
  noteAnswer(address: Uint8Array, port: number, bytes: Uint8Array, at: number, size: number): void {
    this.#outstanding.answer(address, port, idOf(bytes, at, size));
  }

  /** Sends a heartbeat, which of one that is stuck waits with the rest: it must be read in time, too. */
  sendHeartbeat(): boolean {
    if (this.#queued + 4 > OUTPUT_SIZE) return false;
    writeBare(this.#output, this.#claim(4), FRAME.clientHeartbeat);
    this.#isBeating = true;
    this.flush();
    return true;
  }

  /** Notes that a heartbeat is answered. @returns whether one was to be */
  noteHeartbeat(): boolean {
    const isAwaited = this.#isBeating;
    this.#isBeating = false;
    return isAwaited;
  }

  /** Says which extensions are understood. */
  announce(): void {
    if (this.#isStuck) return; // a backend that doesn't read its first frames learns nothing of them
    const features = FEATURE.address16 | FEATURE.going;
    writeAnnouncement(this.#output, this.#claim(HEAD4 + ANNOUNCEMENT_SIZE), FRAME.inboundUdp, features);
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

  /** Ends it at once. */
  abort(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#options.sockets.abort(this.fd);
    this.#options.onAbort();
  }

  /**
   * Hands on what it was asked since then, for the first time, and hasn't answered; once, when it has been aborted.
   *
   * @param take gets each datagram, `bytes[at … at + size)`; whether it is taken
   * @returns how many are lost
   */
  handOn(sinceMs: number, take: FrameReader["datagram"]): number {
    let lost = 0;
    const reader: FrameReader = {
      datagramTypes: [FRAME.inboundUdp, FRAME.inboundUdp6],
      datagram: (address, port, bytes, at, size) => {
        if (!take(address, port, bytes, at, size)) lost++;
        return false; // what stands behind it is another one's
      },
      bare: () => false,
      tooLong: () => {},
    };
    this.#outstanding.each((at, sentMs, isAgain) => {
      if (isAgain || sentMs < sinceMs) lost++;
      else readFrames(this.#output, at, OUTPUT_SIZE, reader);
    });
    return lost;
  }

  /** Room for a frame behind what is queued. @returns where */
  #claim(size: number): number {
    const at = this.#queued;
    this.#queued += size;
    this.#outstanding.claim(this.#queued);
    return at;
  }
}

/** The id of a DNS message, which its answer has, too; 0 where it is too short for one. */
function idOf(bytes: Uint8Array, at: number, size: number): number {
  return size < 2 ? 0 : bytes[at]! << 8 | bytes[at + 1]!;
}

/** Up to here a loop is faster than a view and a copy. */
const COPY_BY_HAND_MAX = 96;
