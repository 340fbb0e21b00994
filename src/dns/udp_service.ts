/**
 * What a UDP worker answers on: sockets of the best transport that works here.
 *
 * @module
 */
import type { SocketAddress } from "../ip.ts";
import { type AdoptedSocket, bindAll } from "./binding.ts";
import type { Exchange } from "./exchange.ts";
import { type Bound, PLAIN_ONLY, type Service } from "./service.ts";
import { PortableUdp, type UdpSocket, type UdpTransport } from "./udp.ts";
import { LinuxUdp } from "./udp_linux.ts";

/** How UDP is to be answered. */
export interface UdpDuty {
  /** What a worker does. */
  readonly kind: "udp";
  /** Which transport to use; `auto` = the Linux one where it works. */
  readonly transport: "auto" | "linux" | "portable";
  /**
   * Who else answers on the same addresses: no other worker · none yet · others do. Only in the last case a socket is bound
   * beside those that are there; otherwise an address that any other socket has is taken.
   */
  readonly company: "none" | "later" | "now";
  /** Bound sockets of another process that take the place of new ones; more than one for an address is possible. */
  readonly adopted?: readonly AdoptedSocket[];
}

/** The UDP sockets of a worker. */
export class UdpService implements Service {
  /** What it answers on. */
  readonly bound: Bound;
  readonly #transport: UdpTransport;

  /**
   * Binds all addresses and begins to answer.
   *
   * @param onEnd called when a socket can't be read any more
   * @throws {BindingFault} when an address can't be had
   * @throws {Error} when the transport that was asked for can't be used
   */
  constructor(
    duty: UdpDuty,
    { listen, exchange, onEnd }: {
      readonly listen: readonly SocketAddress[];
      readonly exchange: Exchange;
      readonly onEnd: (error: unknown) => void;
    },
  ) {
    const { transport, whyPortable } = chooseTransport(duty);
    const { sockets, covered } = bindAll<UdpSocket>(listen, {
      bind: (address) => transport.bind(address),
      portOf: ({ port }) => port,
      close: (socket) => socket[Symbol.dispose](),
      ...{ ss: "-lunp", choice: "--dns ADDR:PORT" },
    });
    this.#transport = transport;
    const all = [...sockets, ...transport.bindRest?.() ?? []];
    const kept = all.flatMap(({ address, socket }) => socket.fd === null ? [] : [{ address, fd: socket.fd }]);
    this.bound = {
      addresses: sockets.map(({ address }) => address),
      covered,
      descriptors: kept.map(({ fd }) => fd),
      sockets: kept,
      udp: { transport: transport.name, whyPortable },
      encrypted: PLAIN_ONLY,
    };
    transport.serve(all.map(({ socket }) => socket), exchange).catch(onEnd);
  }

  /** Answers all for so long, however old. */
  answerAll(forMs: number): void {
    this.#transport.answerAll?.(forMs);
  }

  /** Receives nothing more until `resume`. */
  async pause(): Promise<void> {
    await this.#transport.pause?.();
  }

  /** Goes on. */
  resume(): void {
    this.#transport.resume?.();
  }

  /** Answers nothing more, at once. */
  stop(): Promise<void> {
    return this.#transport.stop();
  }
}

function chooseTransport(
  { transport: wanted, company, adopted = [] }: UdpDuty,
): { transport: UdpTransport; whyPortable: string | null } {
  if (wanted === "portable") return { transport: new PortableUdp(), whyPortable: null };
  try {
    return { transport: new LinuxUdp(company !== "now", adopted), whyPortable: null };
  } catch (error) {
    const { message } = error as Error;
    if (wanted === "linux") {
      throw new Error(
        `The Linux UDP transport can't be used: ${message} (set dns.transport to auto or portable)`,
        { cause: error },
      );
    }
    return { transport: new PortableUdp(), whyPortable: message };
  }
}
