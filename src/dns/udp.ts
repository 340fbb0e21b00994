/**
 * The portable UDP transport, on `Deno.listenDatagram`.
 *
 * Two loops read from one socket, each with buffers of its own: while one waits for its answer to be handed to
 * the kernel, the other already takes the next packet. Nothing is queued by us: what we are too slow for waits in
 * the socket's buffer, and beyond it the kernel drops it.
 *
 * @module
 */
import type { SocketAddress } from "../ip.ts";
import { COUNTER } from "./counters.ts";
import { UDP_SIZE_MAX } from "./engine.ts";
import { turnEventLoop } from "./event_loop.ts";
import { type Exchange, NamedClient } from "./exchange.ts";

/**
 * Loops per socket: while one waits for a full send buffer, the other still receives. More bring nothing: an answer
 * costs the same with 1, 2, 4 or 8 (7.1–7.4 CPU-seconds a million, `bench dns` on two cores, 2026-11).
 */
const LOOPS = 2;
/** Queries are short; what is longer than this loses its tail and is answered FORMERR. */
const QUERY_MAX = 4096;

/** Failures in a row after which a socket is given up; want of memory passes sooner. */
const FAILURES_MAX = 20;
/** Pause after each of them, milliseconds. */
const FAILURE_PAUSE_MS = 50;

/** UDP on one of the transports: every address is bound before the first packet is answered. */
export interface UdpTransport {
  /** As `dns.transport` calls it. */
  readonly name: "linux" | "portable";
  /**
   * Binds an address; port 0 = any free one.
   *
   * @throws {Deno.errors.AddrInUse | Deno.errors.PermissionDenied | Error} when it can't be had
   */
  bind(address: SocketAddress): UdpSocket;
  /**
   * Answers everything that arrives on these sockets, until `stop`.
   *
   * @returns resolves when they are closed; rejects when one of them can't be read any more
   */
  serve(sockets: readonly UdpSocket[], exchange: Exchange): Promise<void>;
  /** Takes over what is left of the sockets that it was to adopt. */
  bindRest?(): { readonly address: SocketAddress; readonly socket: UdpSocket }[];
  /** Answers all for so long from now on, however old; 0 = no longer. */
  answerAll?(forMs: number): void;
  /** Receives nothing more until `resume`; resolves when what was received is answered. */
  pause?(): Promise<void>;
  /** Goes on. */
  resume?(): void;
  /** Resolves when all sockets that are served are closed. */
  stop(): Promise<void>;
}

/** A bound socket; disposing closes it, which is only for sockets that aren't served. */
export interface UdpSocket extends Disposable {
  /** 1–65535. */
  readonly port: number;
  /** A descriptor that isn't closed with the worker's thread, or `null`. */
  readonly fd: number | null;
}

/** The transport that works everywhere. */
export class PortableUdp implements UdpTransport {
  /** As `dns.transport` calls it. */
  readonly name = "portable";
  #sockets: readonly PortableUdpSocket[] = [];
  #served = Promise.resolve();

  /** Binds a socket of Deno's. */
  bind({ hostname, port }: SocketAddress): PortableUdpSocket {
    return new PortableUdpSocket(Deno.listenDatagram({ transport: "udp", hostname, port }));
  }

  /** Runs some loops on each socket. */
  serve(sockets: readonly PortableUdpSocket[], exchange: Exchange): Promise<void> {
    this.#sockets = sockets;
    return this.#served = Promise.all(
      sockets.flatMap(({ conn }) => Array.from({ length: LOOPS }, () => answerLoop(conn, exchange))),
    ).then(() => {});
  }

  /** Closes the sockets, which ends their loops. */
  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket[Symbol.dispose]();
    await this.#served;
  }
}

/** What is used of a socket of Deno's. */
export type DatagramSocket = Pick<Deno.DatagramConn, "receive" | "send" | "close" | "addr">;

/** A socket of Deno's. */
export class PortableUdpSocket implements UdpSocket {
  /** Deno closes it with the thread. */
  readonly fd = null;
  /** The socket. */
  readonly conn: DatagramSocket;

  /** Takes over a bound socket. */
  constructor(conn: DatagramSocket) {
    this.conn = conn;
  }

  /** 1–65535. */
  get port(): number {
    return (this.conn.addr as Deno.NetAddr).port;
  }

  /** Gives the port back. */
  [Symbol.dispose](): void {
    this.conn.close();
  }
}

async function answerLoop(socket: DatagramSocket, exchange: Exchange): Promise<void> {
  const buffer = new Uint8Array(QUERY_MAX);
  const out = new Uint8Array(UDP_SIZE_MAX);
  const client = new NamedClient("udp");
  for (;;) {
    const received = await receive(socket, buffer);
    if (!received) return;
    const [packet, from] = received;
    client.text = (from as Deno.NetAddr).hostname;
    const size = exchange.answerDatagram(packet, packet.length, client, out);
    if (size === 0) continue;
    try {
      await socket.send(out.subarray(0, size), from);
    } catch {
      exchange.count(COUNTER.sendErrors); // the client's network said no; it will ask again
    }
  }
}

/** The next packet; `null` when the socket was closed. */
async function receive(
  socket: DatagramSocket,
  buffer: Uint8Array,
): Promise<[Uint8Array, Deno.Addr] | null> {
  for (let failures = 0;;) {
    try {
      return await socket.receive(buffer);
    } catch (error) {
      if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) return null;
      // An ICMP error for an earlier answer shows up here on some systems; the socket itself is fine.
      if (error instanceof Deno.errors.ConnectionRefused || error instanceof Deno.errors.ConnectionReset) {
        await turnEventLoop(); // an error that comes again at once, and again, keeps nothing else waiting
        continue;
      }
      if (++failures > FAILURES_MAX) throw error;
      await new Promise((resolve) => setTimeout(resolve, FAILURE_PAUSE_MS));
    }
  }
}
