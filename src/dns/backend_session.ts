/**
 * A control session of a balancer: datagrams of its clients, their answers, and its heartbeats.
 *
 * Nothing is read as long as answers wait for a balancer that doesn't read them, so that they can't gather without bound.
 *
 * @module
 */
import { BROKEN, type Poller, READY, type StreamSockets } from "../sockets/stream_sockets.ts";
import {
  DATAGRAM_MAX,
  FEATURE,
  FRAME,
  type FrameReader,
  HEAD_MAX,
  readAnnouncement,
  readFrames,
  writeAnnouncement,
  writeBare,
  writeDatagramHead,
} from "../wire/balancer_frames.ts";
import { COUNTER } from "./counters.ts";
import { type Client, UDP_SIZE_MAX } from "./engine.ts";
import type { Exchange } from "./exchange.ts";

/** Bytes read at once: 500 queries. */
const INPUT_SIZE = 32 * 1024;
/** Answers are sent when so many bytes have gathered, and when all that was read is answered. */
const GATHER = 64 * 1024;
/** What waits at most: answers of all that is read at once, 16 bytes of query for each at least. */
const OUTPUT_MAX = GATHER + INPUT_SIZE / 16 * (HEAD_MAX + UDP_SIZE_MAX);

/** Where all sessions read into, one after the other. */
const input = new Uint8Array(HEAD_MAX + DATAGRAM_MAX + INPUT_SIZE);

/** What a session needs of its service. */
export interface BackendSessionOptions {
  /** The C library. */
  readonly sockets: StreamSockets;
  /** Knows the descriptor already, for reading. */
  readonly poller: Poller;
  /** Answers. */
  readonly exchange: Exchange;
  /** Closes the descriptor. */
  readonly onEnd: () => void;
}

/** One session. */
export class BackendSession implements FrameReader {
  /** Of this direction. */
  readonly datagramTypes = [FRAME.inboundUdp, FRAME.inboundUdp6] as const;
  readonly #fd: number;
  readonly #options: BackendSessionOptions;
  readonly #client = new FramedClient();
  #output = new Uint8Array(2 * GATHER);
  #queued = 0;
  #rest = new Uint8Array(HEAD_MAX + DATAGRAM_MAX);
  #restSize = 0;
  #isBlocked = false;
  #isLeaving = false;
  /** The balancer has said all: the session ends when it has read all. */
  #isFinishing = false;
  #isOver = false;
  /** What the balancer has announced. */
  #features = 0;

  /** Waits for what the balancer says. */
  constructor(fd: number, options: BackendSessionOptions) {
    this.#fd = fd;
    this.#options = options;
  }

  /** Answers a hello. */
  greet(): void {
    this.#say(FRAME.serverHello);
    this.#flush();
  }

  /** Does what its descriptor is ready for. */
  serve(readiness: number): void {
    if ((readiness & READY.write) !== 0) this.#flush();
    if (!this.#isOver && !this.#isBlocked) this.#receive();
  }

  /**
   * Has the balancer send nothing more, where it knows how, and ends when what it has sent is answered; else ends with what
   * has come by now.
   */
  leave(): void {
    if (this.#isLeaving || this.#isOver) return;
    this.#isLeaving = true;
    if ((this.#features & FEATURE.going) === 0) {
      this.#receive();
      if (!this.#isOver) this.#end();
      return;
    }
    this.#say(FRAME.going);
    this.#flush();
  }

  /** Answers a client's datagram. */
  datagram(address: Uint8Array, port: number, bytes: Uint8Array, at: number, size: number): boolean {
    const packet = bytes.subarray(at, at + size);
    if (port === 0 && address.length === 4 && isZero(address)) return this.#hearAnnouncement(packet);
    this.#options.exchange.count(COUNTER.backendDatagrams);
    this.#makeRoom(HEAD_MAX + UDP_SIZE_MAX);
    const head = 12 + address.length;
    const out = this.#output.subarray(this.#queued + head, this.#queued + head + UDP_SIZE_MAX);
    this.#client.bytes = address;
    const answered = this.#options.exchange.answerDatagram(packet, size, this.#client, out);
    if (answered === 0) return true;
    const type = address.length === 4 ? FRAME.outboundUdp : FRAME.outboundUdp6;
    writeDatagramHead(this.#output, this.#queued, { type, address, port, size: answered });
    this.#queued += head + answered;
    if (this.#queued >= GATHER && !this.#isBlocked) this.#flush();
    return !this.#isOver;
  }

  /** Any other frame; an unknown one ends the session. */
  bare(type: number): boolean {
    if (type === FRAME.clientHello) this.#say(FRAME.serverHello);
    else if (type === FRAME.clientHeartbeat) this.#say(FRAME.serverHeartbeat);
    else {
      this.#cut();
      return false;
    }
    return true;
  }

  /** Ends the session: no query is as long. */
  tooLong(): void {
    this.#cut();
  }

  #hearAnnouncement(datagram: Uint8Array): true {
    const features = readAnnouncement(datagram);
    if (features === null) return true;
    this.#features = features;
    this.#makeRoom(64);
    const mine = FEATURE.address16 | FEATURE.going;
    this.#queued += writeAnnouncement(this.#output, this.#queued, FRAME.outboundUdp, mine);
    return true;
  }

  #receive(): void {
    input.set(this.#rest.subarray(0, this.#restSize));
    const room = input.subarray(this.#restSize, this.#restSize + INPUT_SIZE);
    const count = this.#options.sockets.receive(this.#fd, room);
    if (count === BROKEN) return this.#end();
    if (count === 0) {
      this.#isFinishing = true;
      if (this.#queued === 0) this.#end();
      else this.#flush();
      return;
    }
    if (count < 0) return;
    const end = this.#restSize + count;
    this.#restSize = 0;
    const at = readFrames(input, 0, end, this);
    if (at < 0) return;
    this.#rest.set(input.subarray(at, end));
    this.#restSize = end - at;
    if (!this.#isBlocked) this.#flush();
  }

  #say(type: number): void {
    this.#makeRoom(4);
    this.#queued += writeBare(this.#output, this.#queued, type);
  }

  #makeRoom(size: number): void {
    if (this.#queued + size <= this.#output.length) return;
    const grown = new Uint8Array(Math.min(OUTPUT_MAX, this.#output.length * 2));
    grown.set(this.#output.subarray(0, this.#queued));
    this.#output = grown;
  }

  #flush(): void {
    if (this.#queued === 0 || this.#isOver) return;
    const { sockets, poller } = this.#options;
    const sent = sockets.send(this.#fd, this.#output.subarray(0, this.#queued));
    if (sent === BROKEN) return this.#end();
    if (sent > 0) {
      this.#output.copyWithin(0, sent, this.#queued);
      this.#queued -= sent;
    }
    const isBlocked = this.#queued > 0;
    if (!isBlocked && this.#isFinishing) return this.#end();
    if (isBlocked === this.#isBlocked) return;
    this.#isBlocked = isBlocked;
    poller.change(this.#fd, isBlocked ? READY.write : READY.read);
  }

  #cut(): void {
    this.#options.exchange.count(COUNTER.backendCut);
    this.#end();
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.onEnd();
  }
}

/** The client whose query is at hand. */
class FramedClient implements Client {
  readonly stream = false;
  bytes: Uint8Array = new Uint8Array(4);

  address(): Uint8Array {
    return this.bytes;
  }
}

function isZero(address: Uint8Array): boolean {
  for (let i = 0; i < address.length; i++) if (address[i] !== 0) return false;
  return true;
}
