/**
 * Connections to the API of PowerDNS. It ends each with its answer, so that one is made for each call; the calls are most of
 * what a change of a zone takes a service, and `fetch` around them took more than they do.
 *
 * @module
 */
import { lookup } from "node:dns/promises";
import { parseIp } from "../ip.ts";

/** Where the API is. */
export interface Upstream {
  /** An address, or a name that has some. */
  readonly hostname: string;
  /** Of TCP. */
  readonly port: number;
  /** Whether it is spoken to over TLS. */
  readonly isTls: boolean;
}

/** The server that a URL names. */
export function upstreamOf(url: string): Upstream {
  const { protocol, hostname, port } = new URL(url);
  const isTls = protocol === "https:";
  return {
    hostname: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port) || (isTls ? 443 : 80),
    isTls,
  };
}

/**
 * Connects.
 *
 * @param signal ends the attempt
 * @throws {Error} when none of its addresses takes the connection
 */
export async function connectUpstream(
  { hostname, port, isTls }: Upstream,
  signal: AbortSignal,
): Promise<Deno.Conn> {
  const plain = parseIp(hostname) === null
    ? await connectByName({ hostname, port }, signal)
    : await Deno.connect({ hostname, port, signal });
  return isTls ? await Deno.startTls(plain, { hostname }) : plain;
}

/** `localhost` often has an address that nothing listens on, before the one that is meant. */
async function connectByName(
  { hostname, port }: Pick<Upstream, "hostname" | "port">,
  signal: AbortSignal,
): Promise<Deno.TcpConn> {
  let fault: unknown = new Error(`${hostname} has no address`);
  for (const { address } of await lookup(hostname, { all: true })) {
    try {
      return await Deno.connect({ hostname: address, port, signal });
    } catch (error) {
      if (signal.aborted) throw error;
      fault = error;
    }
  }
  throw fault;
}
