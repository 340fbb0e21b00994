/**
 * What the stream worker answers on: one TCP listener an address, whose connections rotate together.
 *
 * @module
 */
import type { SocketAddress } from "../ip.ts";
import { TCP_BACKLOG } from "../sockets/listening.ts";
import { bindAll } from "./binding.ts";
import type { Exchange } from "./exchange.ts";
import type { Bound, Service } from "./service.ts";
import { StreamTurns } from "./stream_turns.ts";
import { type TcpLimits, TcpServer } from "./tcp.ts";

/** How streams are to be answered. */
export interface StreamDuty {
  /** What a worker does. */
  readonly kind: "streams";
  /** Limits of each TCP listener. */
  readonly tcp: TcpLimits;
}

/** The listeners of a worker. */
export class StreamService implements Service {
  /** What it answers on. */
  readonly bound: Bound;
  readonly #servers: readonly TcpServer[];

  /**
   * Binds all addresses and begins to accept.
   *
   * @throws {BindingFault} when an address can't be had
   */
  constructor(
    { tcp: limits }: StreamDuty,
    { listen, exchange }: { readonly listen: readonly SocketAddress[]; readonly exchange: Exchange },
  ) {
    const { sockets, covered } = bindAll<Deno.TcpListener>(listen, {
      bind: ({ hostname, port }) =>
        Deno.listen({ transport: "tcp", hostname, port, tcpBacklog: TCP_BACKLOG }),
      portOf: ({ addr }) => addr.port,
      close: (listener) => listener.close(),
      ss: "-ltnp",
    });
    this.bound = {
      addresses: sockets.map(({ address }) => address),
      covered,
      descriptors: [], // the run time closes them with the thread
      udp: null,
    };
    const turns = new StreamTurns();
    this.#servers = sockets.map(({ socket }) => new TcpServer(socket, exchange, { limits, turns }));
  }

  /** Ends idle connections at once, the others after their answers. */
  async stop(graceMs: number): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.close(graceMs)));
  }
}
