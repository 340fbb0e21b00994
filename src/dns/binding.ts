/**
 * Binding what a worker listens on: every address, or none of them.
 *
 * @module
 */
import { type ListenAdvice, listenFault } from "../sockets/listening.ts";
import type { SocketAddress } from "../ip.ts";

/** What could be bound. */
export interface Binding<Socket> {
  /** One socket an address; port 0 replaced by the port that was found. */
  readonly sockets: readonly { readonly address: SocketAddress; readonly socket: Socket }[];
  /** What needs no socket of its own. */
  readonly covered: readonly SocketAddress[];
}

/** A bound socket of another process, which is taken over with what waits in it. */
export interface AdoptedSocket {
  /** What it is bound to. */
  readonly address: SocketAddress;
  /** Its descriptor in this process. */
  readonly fd: number;
}

/** How a socket is made. */
export interface Binder<Socket> {
  /**
   * Binds an address; port 0 = any free one.
   *
   * @throws {Deno.errors.AddrInUse | Deno.errors.PermissionDenied | Error} when it can't be had
   */
  bind(address: SocketAddress): Socket;
  /** The port that it has. */
  portOf(socket: Socket): number;
  /** Gives its port back. */
  close(socket: Socket): void;
  /** What `ss(8)` lists such sockets with. */
  readonly ss: string;
  /** Where another port can be chosen. */
  readonly choice: string;
}

/** An address that can't be had; the message names it with the fix, the cause is the system's error. */
export class BindingFault extends Error {
  /** As it was asked for. */
  readonly address: SocketAddress;

  /** Says it in the words of the person who named the address. */
  constructor(address: SocketAddress, cause: unknown, advice: ListenAdvice) {
    super(listenFault(address, cause, advice), { cause });
    this.address = address;
  }
}

/**
 * Binds every address. `::` takes IPv4 too on most systems, so it is bound first, and `0.0.0.0` beside it is then
 * covered; where IPv6 is off, `::` beside `0.0.0.0` is left out.
 *
 * @throws {BindingFault} when an address can't be had; nothing is bound then
 */
export function bindAll<Socket>(
  addresses: readonly SocketAddress[],
  { bind, portOf, close, ss, choice }: Binder<Socket>,
): Binding<Socket> {
  const sockets: { address: SocketAddress; socket: Socket }[] = [];
  const covered: SocketAddress[] = [];
  const wildcardFirst = addresses.toSorted((a, b) =>
    Number(b.hostname === "::") - Number(a.hostname === "::")
  );
  for (const address of wildcardFirst) {
    const twin = (hostname: string, among: readonly SocketAddress[]) =>
      among.some((other) => other.hostname === hostname && other.port === address.port);
    try {
      const socket = bind(address);
      sockets.push({ address: { hostname: address.hostname, port: portOf(socket) }, socket });
    } catch (error) {
      const coveredByTwin = address.hostname === "0.0.0.0" && error instanceof Deno.errors.AddrInUse &&
        twin("::", sockets.map((bound) => bound.address));
      const withoutIpv6 = address.hostname === "::" && twin("0.0.0.0", addresses) &&
        !(error instanceof Deno.errors.AddrInUse) && !(error instanceof Deno.errors.PermissionDenied);
      if (coveredByTwin || withoutIpv6) {
        covered.push(address);
        continue;
      }
      for (const { socket } of sockets) close(socket);
      throw new BindingFault(address, error, { ss, choice });
    }
  }
  return { sockets, covered };
}
