/**
 * What a UDP worker answers on: sockets of the best transport that works here.
 *
 * @module
 */
import type { SocketAddress } from "../ip.ts";
import { bindAll } from "./binding.ts";
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
  /** Whether other workers answer on the same addresses. */
  readonly sharesPorts: boolean;
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
    this.bound = {
      addresses: sockets.map(({ address }) => address),
      covered,
      descriptors: sockets.flatMap(({ socket }) => socket.fd ?? []),
      udp: { transport: transport.name, whyPortable },
      encrypted: PLAIN_ONLY,
    };
    transport.serve(sockets.map(({ socket }) => socket), exchange).catch(onEnd);
  }

  /** Answers nothing more, at once. */
  stop(): Promise<void> {
    return this.#transport.stop();
  }
}

function chooseTransport(
  { transport: wanted, sharesPorts }: UdpDuty,
): { transport: UdpTransport; whyPortable: string | null } {
  if (wanted === "portable") return { transport: new PortableUdp(), whyPortable: null };
  try {
    return { transport: new LinuxUdp(sharesPorts), whyPortable: null };
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
