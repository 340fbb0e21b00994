/**
 * Where a request comes from: the address at the other end of its connection. What a proxy says of its own clients isn't
 * believed, since anyone can say it.
 *
 * @module
 */
import type { Context } from "hono";
import { formatIp, parseIp } from "../ip.ts";

/** What the server tells the application of a request's connection. */
export interface RequestSource {
  /** Address of the client, without its port. */
  readonly remoteAddress: string;
  /** Resolves after so many milliseconds, or when the connection ends; until then it gives way to others like an idle one. */
  readonly holdBack: (ms: number) => Promise<void>;
}

/** Address of a request's client; empty when it came by no connection. */
export function remoteAddressOf(c: Context): string {
  const source: Partial<RequestSource> | undefined = c.env;
  return source?.remoteAddress ?? "";
}

/** Keeps the answer to a request back for a while. */
export async function holdBack(c: Context, ms: number): Promise<void> {
  const source: Partial<RequestSource> | undefined = c.env;
  await source?.holdBack?.(ms);
}

/** Who counts as one client: a network of 64 bits is what one customer has (RFC 6177). */
export function clientNetwork(address: string): string {
  const bytes = parseIp(address.replace(/%.*$/, ""));
  if (bytes === null || bytes.length === 4) return bytes ? formatIp(bytes) : address;
  return bytes.subarray(0, 8).join(".");
}
