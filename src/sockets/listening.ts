/**
 * Listening: how long the queue is, and why an address can't be had, in the words of the person who named it.
 *
 * @module
 */
import { formatSocketAddress, type SocketAddress } from "../ip.ts";

/**
 * Connections that the kernel keeps for a listener until they are accepted; it takes no more than `net.core.somaxconn`. Where
 * the queue is full the kernel drops what comes, and its client tries again after one second, then after two and four: a
 * burst of one client's connections must not do that to others.
 */
export const TCP_BACKLOG = 4096;

/**
 * Whether a connection couldn't be accepted for its own sake: its client has reset it while it was in the queue, so that it
 * has no peer any more. The next one may be whole, and must not wait: a pause for each of them would let a few hundred
 * resets a second keep all clients out.
 */
export function isOfOneConnection(error: unknown): boolean {
  return error instanceof Deno.errors.NotConnected || error instanceof Deno.errors.ConnectionAborted ||
    error instanceof Deno.errors.ConnectionReset;
}

/** How the address came to be, for the advice. */
export interface ListenAdvice {
  /** What `ss(8)` lists such sockets with, such as `-lunp`. */
  readonly ss: string;
  /** Where another port can be chosen, such as `--dns ADDR:PORT`. */
  readonly choice: string;
}

/** What failed, why, and the fix. */
export function listenFault(address: SocketAddress, error: unknown, { ss, choice }: ListenAdvice): string {
  const where = formatSocketAddress(address);
  if (error instanceof Deno.errors.AddrInUse) {
    return `Cannot listen on ${where}: the port is taken (see who holds it: ` +
      `ss ${ss} 'sport = :${address.port}'; or choose another with ${choice})`;
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return `Cannot listen on ${where}: ports below 1024 need CAP_NET_BIND_SERVICE ` +
      `(packaging/pleiades.service grants it), or choose another port with ${choice.split(" ")[0]}`;
  }
  if (error instanceof Deno.errors.AddrNotAvailable) {
    return `Cannot listen on ${where}: this machine has no such address (see what it has: ip address; ` +
      `or choose another with ${choice})`;
  }
  return `Cannot listen on ${where}: ${error instanceof Error ? error.message : error}`;
}
