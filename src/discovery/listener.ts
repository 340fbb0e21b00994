/**
 * The listener of discovery itself: DNS over UDP and TCP, as its resolvers are set up for. Names outside the dns zones don't
 * exist here (NXDOMAIN): a resolver that is told to ask elsewhere would try again and again.
 *
 * @module
 */
import type { SocketAddress } from "../ip.ts";
import { batchSocketFault } from "../sockets/batch_socket.ts";
import { isOfOneConnection, listenFault, TCP_BACKLOG } from "../sockets/listening.ts";
import { Timer } from "../timer.ts";
import { type Datagrams, LinuxDatagrams, PortableDatagrams, type Sender } from "./datagrams.ts";
import { type Asked, type DnsAnswers, UDP_SIZE_MAX } from "./dns_answers.ts";
import type { Forwarder } from "./forwarder.ts";
import type { Sampler } from "./sampler.ts";
import type { Counted } from "./tally.ts";

/** What a listener is made of. */
export interface ListenerOptions {
  /** Where; port 0 = any free one. */
  readonly address: SocketAddress;
  /** What is answered. */
  readonly answers: DnsAnswers;
  /** Asks the servers of other zones; the listener disposes of it. */
  readonly forwarder: Forwarder;
  /** Whether its thread does nothing else, so that it may sleep for datagrams. */
  readonly isAlone: boolean;
  /** Hears of each answer. */
  readonly observe: (answered: Counted) => void;
  /** Copies some of them; `null` = none. */
  readonly sampler: Sampler | null;
  /** Hears what fails: what, and why. */
  readonly fault: (message: string, reason: string) => void;
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
  readonly #udp: Datagrams;
  readonly #tcp: Deno.TcpListener;
  readonly #connections = new Set<Deno.TcpConn>();
  readonly #tcpOut = new Uint8Array(MESSAGE_MAX);
  readonly #running: Promise<unknown>;
  #isClosed = false;

  /**
   * Binds, and begins to answer.
   *
   * @throws {Error} with a message for people when the address can't be had
   */
  constructor(options: ListenerOptions) {
    const { udp, tcp } = bind(options);
    this.#options = options;
    this.#udp = udp;
    this.#tcp = tcp;
    this.address = { hostname: options.address.hostname, port: tcp.addr.port };
    udp.answer((packet, length, out, sender) =>
      this.#answer(packet, length, { protocol: "udp", out, sender })
    );
    this.#running = this.#serveTcp();
  }

  /** A descriptor that isn't closed with the thread, or `null`. */
  get fd(): number | null {
    return this.#udp.fd;
  }

  /** Answers no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#options.forwarder[Symbol.dispose]();
    this.#tcp.close();
    for (const connection of this.#connections) close(connection);
    await Promise.all([this.#udp[Symbol.asyncDispose](), this.#running]);
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
    const client = () => (connection.remoteAddr as Deno.NetAddr).hostname;
    const idle = new Timer();
    for (;;) {
      idle.set(() => close(connection), IDLE_MS);
      try {
        if (!await readWhole(connection, head)) return;
        const message = new Uint8Array(head[0]! << 8 | head[1]!);
        if (!await readWhole(connection, message)) return;
        const handedOn: { answer: Promise<Uint8Array> | null } = { answer: null };
        const later = () => {
          const { promise, resolve } = Promise.withResolvers<Uint8Array>();
          handedOn.answer = promise;
          return resolve;
        };
        const sender = { client, later };
        const size = this.#answer(message, message.length, { protocol: "tcp", out: this.#tcpOut, sender });
        if (size === 0 && handedOn.answer === null) return;
        const answer = await (handedOn.answer ?? this.#tcpOut.slice(0, size));
        const framed = new Uint8Array(2 + answer.length);
        framed[0] = answer.length >>> 8;
        framed[1] = answer.length & 0xff;
        framed.set(answer, 2);
        for (let at = 0; at < framed.length;) at += await connection.write(framed.subarray(at));
      } finally {
        idle.clear();
      }
    }
  }

  #answer(
    packet: Uint8Array,
    length: number,
    { protocol, out, sender }: {
      readonly protocol: "udp" | "tcp";
      readonly out: Uint8Array;
      readonly sender: Sender;
    },
  ): number {
    const { answers, observe, sampler, forwarder } = this.#options;
    const start = performance.now();
    const asked = protocol === "tcp" ? TCP : UDP;
    const { size, rcode, qtype, elsewhere } = answers.answer(packet, length, out, asked);
    if (elsewhere !== null && forwarder.serves(elsewhere.zone)) {
      const reply = sender.later();
      const client = sender.client();
      const query = packet.slice(0, length);
      forwarder.ask({ ...elsewhere, packet, stream: protocol === "tcp" }).then((answer) => {
        observe({ rcode: answer[3]! & 0x0f, qtype, protocol, ms: performance.now() - start });
        this.#sample(protocol, () => client, query, answer);
        reply(answer);
      });
      return 0;
    }
    if (size > 0) {
      observe({ rcode, qtype, protocol, ms: performance.now() - start });
      if (sampler !== null) {
        this.#sample(protocol, sender.client, packet.subarray(0, length), out.subarray(0, size));
      }
    }
    return size;
  }

  #sample(transport: "udp" | "tcp", client: () => string, query: Uint8Array, answer: Uint8Array): void {
    this.#options.sampler?.note(query.length + answer.length, () => ({
      ...{ unixMs: Date.now(), transport, client: client() },
      ...{ query: query.slice(), answer: answer.slice() },
    }));
  }

  async #pause(message: string, error: unknown): Promise<void> {
    this.#options.fault(message, error instanceof Error ? error.message : String(error));
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

const UDP: Asked = { stream: false, everything: true };
const TCP: Asked = { stream: true, everything: true };

function bind({ address, isAlone }: ListenerOptions): { udp: Datagrams; tcp: Deno.TcpListener } {
  const advice = { ss: "-lntup", choice: "discovery.dnsAddr" };
  const Udp = isAlone && batchSocketFault() === null ? LinuxDatagrams : PortableDatagrams;
  for (let attempt = 1;; attempt++) {
    let tcp: Deno.TcpListener | null = null;
    try {
      tcp = Deno.listen({ ...address, tcpBacklog: TCP_BACKLOG });
      return { udp: new Udp({ ...address, port: tcp.addr.port }, UDP_SIZE_MAX), tcp };
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
