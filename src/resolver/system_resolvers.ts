/**
 * The resolvers that the machine itself asks, for nodes whose settings name none.
 *
 * @module
 */
import { parseIp, type SocketAddress } from "../ip.ts";

/** Where most systems name their resolvers (resolv.conf(5)). */
const RESOLV_CONF = "/etc/resolv.conf";
const DNS_PORT = 53;
/** What resolv.conf(5) says when no server is named: the one on this machine. */
const DEFAULT_RESOLVER: SocketAddress = { hostname: "127.0.0.1", port: DNS_PORT };

/**
 * The system's resolvers of now, in order; they change when a machine moves from network to network. Where none is named,
 * or the file may not be read, it is the one on this machine.
 */
export function systemResolvers(path: string = RESOLV_CONF): SocketAddress[] {
  const named = readResolvers(textOf(path));
  return named.length > 0 ? named : [DEFAULT_RESOLVER];
}

/** The addresses in lines such as `nameserver 192.0.2.53`. Scoped ones, as `fe80::1%eth0`, are left out. */
export function readResolvers(text: string): SocketAddress[] {
  return text.split("\n").flatMap((line) => {
    const [word, hostname] = line.trim().split(/\s+/);
    const isUsable = word === "nameserver" && hostname !== undefined && parseIp(hostname) !== null;
    return isUsable ? [{ hostname, port: DNS_PORT }] : [];
  });
}

function textOf(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) return "";
    throw error;
  }
}
