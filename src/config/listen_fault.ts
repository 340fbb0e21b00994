/**
 * Why an address can't be listened on, and what to do about it, in the words of the person who named it.
 *
 * @module
 */
import { formatSocketAddress, type SocketAddress } from "../ip.ts";

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
