/**
 * The listener of discovery itself: DNS over UDP and TCP, as its resolvers are set up for. Names outside the dns zones don't
 * exist here (NXDOMAIN): a resolver that is told to ask elsewhere would try again and again.
 *
 * @module
 */
import { formatSocketAddress, type SocketAddress } from "../ip.ts";
import { isOfOneConnection, listenFault, TCP_BACKLOG } from "../sockets/listening.ts";
import type { Logger } from "../telemetry/log.ts";
import { type Answered, type DnsAnswers, UDP_SIZE_MAX } from "./dns_answers.ts";

/** What a listener is made of. */
export interface ListenerOptions {
  /** Where; port 0 = any free one. */
  readonly address: SocketAddress;
  /** What is answered. */
  readonly answers: DnsAnswers;
  /** Hears of each answer. */
  readonly observe: (answered: Answered & { readonly protocol: "udp" | "tcp"; readonly ms: number }) => void;
  /** Hears what fails. */
  readonly log: Logger;
}

/** Connections at a time: a resolver in front has few. */
const CONNECTIONS_MAX = 256;
/** Milliseconds that a connection may be silent. */
const IDLE_MS = 10_000;
/** Pause after a failure of the machine, such as too many open files. */
const PAUSE_MS = 100;
const MESSAGE_MAX = 65_535;
/** Attempts to find a port that is free for both, where any will do. */
const ANY_PORT_TRIES = 16;

/** A bound listener. */
export class Listener implements AsyncDisposable {
  /** Where it listens really. */
  readonly address: SocketAddress;
  readonly #options: ListenerOptions;
  readonly #udp: Deno.DatagramConn;
  readonly #tcp: Deno.TcpListener;
  readonly #connections = new Set<Deno.TcpConn>();
  /** One each: over UDP the system reads it until it is sent. */
  readonly #udpOut = new Uint8Array(UDP_SIZE_MAX);
  readonly #tcpOut = new Uint8Array(MESSAGE_MAX);
  readonly #running: Promise<unknown>;
  #isClosed = false;

  /**
   * Binds, and begins to answer.
   *
   * @throws {Error} with a message for people when the address can't be had
   */
  constructor(options: ListenerOptions) {
    const { udp, tcp } = bind(options.address);
    this.#options = options;
    this.#udp = udp;
    this.#tcp = tcp;
    this.address = { hostname: options.address.hostname, port: tcp.addr.port };
    this.#running = Promise.all([this.#serveUdp(), this.#serveTcp()]);
    options.log.info("Discovery answers DNS", { address: formatSocketAddress(this.address) });
  }

  /** Answers no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#udp.close();
    this.#tcp.close();
    for (const connection of this.#connections) close(connection);
    await this.#running;
  }

  async #serveUdp(): Promise<void> {
    const buffer = new Uint8Array(MESSAGE_MAX);
    while (!this.#isClosed) {
      try {
        const [packet, from] = await this.#udp.receive(buffer);
        const size = this.#answer(packet, "udp", this.#udpOut);
        if (size > 0) await this.#udp.send(this.#udpOut.subarray(0, size), from);
      } catch (error) {
        if (!this.#isClosed) await this.#pause("A DNS query could not be answered", error);
      }
    }
  }

  async #serveTcp(): Promise<void> {
    const serving = new Set<Promise<void>>();
    while (!this.#isClosed) {
      try {
        const connection = await this.#tcp.accept();
        if (this.#connections.size >= CONNECTIONS_MAX) {
          close(connection);
          continue;
        }
        this.#connections.add(connection);
        const served = this.#serve(connection).catch(() => {}).finally(() => {
          this.#connections.delete(connection);
          close(connection);
          serving.delete(served);
        });
        serving.add(served);
      } catch (error) {
        if (!this.#isClosed && !isOfOneConnection(error)) {
          await this.#pause("A DNS connection can't be accepted", error);
        }
      }
    }
    await Promise.all(serving);
  }

  /** Message after message, until the client is silent for too long. */
  async #serve(connection: Deno.TcpConn): Promise<void> {
    connection.setNoDelay(true);
    const head = new Uint8Array(2);
    for (;;) {
      const idle = setTimeout(() => close(connection), IDLE_MS);
      try {
        if (!await readWhole(connection, head)) return;
        const message = new Uint8Array(head[0]! << 8 | head[1]!);
        if (!await readWhole(connection, message)) return;
        const size = this.#answer(message, "tcp", this.#tcpOut);
        if (size === 0) return;
        const framed = new Uint8Array(2 + size);
        framed[0] = size >>> 8;
        framed[1] = size & 0xff;
        framed.set(this.#tcpOut.subarray(0, size), 2);
        for (let at = 0; at < framed.length;) at += await connection.write(framed.subarray(at));
      } finally {
        clearTimeout(idle);
      }
    }
  }

  #answer(packet: Uint8Array, protocol: "udp" | "tcp", out: Uint8Array): number {
    const { answers, observe } = this.#options;
    const start = performance.now();
    const asked = { stream: protocol === "tcp", everything: true };
    const answered = answers.answer(packet, packet.length, out, asked);
    if (answered.size > 0) observe({ ...answered, protocol, ms: performance.now() - start });
    return answered.size;
  }

  async #pause(message: string, error: unknown): Promise<void> {
    this.#options.log.warn(message, { error });
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

function bind(address: SocketAddress): { udp: Deno.DatagramConn; tcp: Deno.TcpListener } {
  const advice = { ss: "-lntup", choice: "discovery.dnsAddr" };
  for (let attempt = 1;; attempt++) {
    let tcp: Deno.TcpListener | null = null;
    try {
      tcp = Deno.listen({ ...address, tcpBacklog: TCP_BACKLOG });
      const udp = Deno.listenDatagram({ ...address, port: tcp.addr.port, transport: "udp" });
      return { udp, tcp };
    } catch (error) {
      tcp?.close();
      const mayPass = address.port === 0 && error instanceof Deno.errors.AddrInUse;
      if (!mayPass || attempt === ANY_PORT_TRIES) {
        throw new Error(listenFault(address, error, advice), { cause: error });
      }
    }
  }
}

/** Fills the buffer. @returns false = the client has ended */
async function readWhole(connection: Deno.TcpConn, buffer: Uint8Array): Promise<boolean> {
  for (let at = 0; at < buffer.length;) {
    const count = await connection.read(buffer.subarray(at));
    if (count === null || count === 0) return false;
    at += count;
  }
  return true;
}

/** Once more does no harm. */
function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch (cause) {
    if (!(cause instanceof Deno.errors.BadResource)) throw cause;
  }
}
