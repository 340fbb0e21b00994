/**
 * DNS over UDP: datagrams in, answers out, with `recvmmsg(2)` and `sendmmsg(2)` where they are to be had, which costs a third of
 * what Deno's own sockets do.
 *
 * Where datagrams keep coming the thread itself sleeps for the next, a millisecond at a time; otherwise another one waits, so
 * that the event loop turns. It turns every few milliseconds in any case: that is how changes of the catalog come in.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { formatIp, type SocketAddress } from "../ip.ts";
import { type BatchSocket, BatchSockets, type Readiness } from "../sockets/batch_socket.ts";

/**
 * Makes an answer.
 *
 * @param sender who asks
 * @returns its bytes in `out`; 0 = say nothing now
 */
export type AnswerDatagram = (
  packet: Uint8Array,
  length: number,
  out: Uint8Array,
  sender: Sender,
) => number;

/** Who asks; to be called before the answer is made. */
export interface Sender {
  /** The address as text. */
  readonly client: () => string;
  /** For whoever answers later. */
  readonly later: () => Reply;
}

/** Answers a datagram that came before; once the socket is closed it does nothing. */
export type Reply = (answer: Uint8Array) => void;

/** A bound socket whose datagrams are answered; disposing closes it. */
export interface Datagrams extends AsyncDisposable {
  /** 1–65535. */
  readonly port: number;
  /** A descriptor that isn't closed with the thread, or `null`. */
  readonly fd: number | null;
  /** Begins. */
  answer(answer: AnswerDatagram): void;
}

/** Room for a query; longer ones lose their tail and are answered FORMERR. */
const QUERY_MAX = 2048;
/** Time after which the event loop gets its turn, milliseconds. */
const TURN_MS = 2;
/** How long the thread itself sleeps for the next datagram, milliseconds. */
const NAP_MS = 1;
/**
 * Longest sleep without datagrams, milliseconds. A stop ends it, and what a thread that died slept on is free again before another
 * one takes its place.
 */
const POLL_MS = 500;
/** Pause after a failure of the machine. */
const PAUSE_MS = 100;

/** Sockets of Linux, on a thread that does nothing else. */
export class LinuxDatagrams implements Datagrams {
  /** 1–65535. */
  readonly port: number;
  /** Its descriptor. */
  readonly fd: number;
  readonly #sockets = new BatchSockets();
  readonly #socket: BatchSocket;
  readonly #readiness: Readiness;
  #running: Promise<void> = Promise.resolve();
  #isClosed = false;
  /** Of the datagram that is being answered. */
  #slot = 0;
  readonly #sender: Sender = {
    client: () => formatIp(this.#socket.peer(this.#slot).address().slice()),
    later: () => {
      const peer = this.#socket.createPeer();
      peer.copyFrom(this.#socket.peer(this.#slot));
      return (answer) => {
        if (this.#isClosed) return;
        this.#socket.queue(peer, answer);
        this.#socket.flush();
      };
    },
  };

  /** Binds. @throws {Error} when the address can't be had */
  constructor(address: SocketAddress, sendMax: number) {
    try {
      this.#socket = this.#sockets.bind(address, { reusePort: false, receiveMax: QUERY_MAX, sendMax });
    } catch (error) {
      this.#sockets[Symbol.dispose]();
      throw error;
    }
    ({ port: this.port, fd: this.fd } = this.#socket);
    this.#readiness = this.#sockets.readiness([this.#socket]);
  }

  /** Begins. */
  answer(answer: AnswerDatagram): void {
    this.#running = this.#serve(answer);
  }

  /** Closes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#socket.shutDown();
    await this.#running;
    this.#socket[Symbol.dispose]();
    this.#readiness[Symbol.dispose]();
    this.#sockets[Symbol.dispose]();
  }

  async #serve(answer: AnswerDatagram): Promise<void> {
    while (!this.#isClosed) {
      if (this.#answerWaiting(answer)) await new Promise<void>((resolve) => setImmediate(resolve));
      else await this.#readiness.wait(POLL_MS);
    }
  }

  /** Answers what waits. @returns whether more may wait */
  #answerWaiting(answer: AnswerDatagram): boolean {
    const turnAtMs = performance.now() + TURN_MS;
    for (;;) {
      const count = this.#socket.receive();
      for (let slot = 0; slot < count; slot++) {
        const out = this.#socket.outgoing;
        this.#slot = slot;
        const size = answer(this.#socket.packet(slot), this.#socket.lengthOf(slot), out, this.#sender);
        if (size > 0) this.#socket.queue(this.#socket.peer(slot), out, size);
      }
      // What can't be sent is asked for again.
      if (count > 0) this.#socket.flush();
      if (performance.now() >= turnAtMs) return true;
      if (count === 0 && !this.#readiness.nap(NAP_MS)) return false;
    }
  }
}

/** Deno's own sockets. */
export class PortableDatagrams implements Datagrams {
  /** 1–65535. */
  readonly port: number;
  /** Deno closes it with the thread. */
  readonly fd = null;
  readonly #socket: Deno.DatagramConn;
  readonly #out: Uint8Array;
  #running: Promise<void> = Promise.resolve();
  #isClosed = false;

  /** Binds. @throws {Error} when the address can't be had */
  constructor(address: SocketAddress, sendMax: number) {
    this.#socket = Deno.listenDatagram({ ...address, transport: "udp" });
    this.port = (this.#socket.addr as Deno.NetAddr).port;
    this.#out = new Uint8Array(sendMax);
  }

  /** Begins. */
  answer(answer: AnswerDatagram): void {
    this.#running = this.#serve(answer);
  }

  /** Closes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#socket.close();
    await this.#running;
  }

  async #serve(answer: AnswerDatagram): Promise<void> {
    const buffer = new Uint8Array(QUERY_MAX);
    while (!this.#isClosed) {
      try {
        const [packet, from] = await this.#socket.receive(buffer);
        const sender: Sender = {
          client: () => (from as Deno.NetAddr).hostname,
          later: () => (bytes) => {
            // What can't be sent is asked for again.
            if (!this.#isClosed) this.#socket.send(bytes, from).catch(() => {});
          },
        };
        const size = answer(packet, packet.length, this.#out, sender);
        if (size > 0) await this.#socket.send(this.#out.subarray(0, size), from);
      } catch {
        // The client's network said no, or this machine is short of something, which passes.
        if (!this.#isClosed) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    }
  }
}
