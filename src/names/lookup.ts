/**
 * One look at a name: its addresses of one family, asked of one resolver after the other until one knows.
 *
 * A resolver knows when it says NOERROR or NXDOMAIN. Whatever else comes (SERVFAIL, REFUSED, nonsense, nothing) is a
 * failure of the resolver and says nothing about the name, so the next one is asked.
 *
 * @module
 */
import { canonicalIp, type Family, formatIp, formatSocketAddress, type SocketAddress } from "../ip.ts";
import type { Message } from "../wire/message.ts";
import { RCODE, rcodeName, TYPE } from "../wire/record_type.ts";

/** Asks one resolver one question; rejects when there is no answer. */
export type AskResolver = (question: {
  readonly server: SocketAddress;
  readonly name: string;
  readonly type: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}) => Promise<Message>;

/** What came of a look. TTLs are seconds. */
export type Look =
  /** In canonical form, sorted, each once. */
  | { readonly kind: "found"; readonly addresses: readonly string[]; readonly ttl: number }
  /** The name doesn't exist, or has no addresses of the family. */
  | { readonly kind: "empty"; readonly reason: string; readonly ttl: number }
  /** No resolver knows: nothing is said about the name. */
  | { readonly kind: "failed"; readonly reason: string };

/** Addresses of one family that are taken of one name: as many as fit into an answer over UDP, and more. */
export const ADDRESSES_MAX = 64;

/** Looks a name's addresses of one family up. */
export async function lookUp(
  { name, family, resolvers, timeoutMs, ask, signal }: {
    readonly name: string;
    readonly family: Family;
    readonly resolvers: readonly SocketAddress[];
    /** For each resolver. */
    readonly timeoutMs: number;
    readonly ask: AskResolver;
    readonly signal: AbortSignal;
  },
): Promise<Look> {
  const type = family === 4 ? TYPE.A : TYPE.AAAA;
  const reasons: string[] = [];
  for (const server of resolvers) {
    const look = await ask({ server, name, type, timeoutMs, signal })
      .then((message) => readAnswer(message, type), failureOf);
    if (look.kind !== "failed") return look;
    reasons.push(`${formatSocketAddress(server)}: ${look.reason}`);
    if (signal.aborted) break;
  }
  return { kind: "failed", reason: reasons.join("; ") };
}

/** What an answer says. Aliases have been followed by the resolver; their TTLs count, too. */
export function readAnswer({ rcode, answers, authorities }: Message, type: number): Look {
  if (rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN) {
    return { kind: "failed", reason: rcodeName(rcode) };
  }
  const addresses = answers.filter((record) => record.type === type)
    .map(({ rdata }) => canonicalIp(formatIp(rdata)))
    .filter((address) => address !== null)
    .filter((address) => address.includes(":") === (type === TYPE.AAAA) && !UNSPECIFIED.includes(address));
  if (addresses.length > 0) {
    const sorted = [...new Set(addresses)].sort().slice(0, ADDRESSES_MAX);
    return { kind: "found", addresses: sorted, ttl: Math.min(...answers.map(({ ttl }) => ttl)) };
  }
  const soa = authorities.find((record) => record.type === TYPE.SOA);
  const reason = rcode === RCODE.NXDOMAIN ? "it doesn't exist (NXDOMAIN)" : "it has no addresses (NODATA)";
  return { kind: "empty", reason, ttl: soa ? Math.min(soa.ttl, lastNumberOf(soa.rdata)) : 0 };
}

/** Stand in some answers for "nowhere". */
const UNSPECIFIED = ["0.0.0.0", "::"];

/** The last field of an SOA record: for how long nothing stays nothing (RFC 2308 §5). */
function lastNumberOf(rdata: Uint8Array): number {
  return new DataView(rdata.buffer, rdata.byteOffset + rdata.length - 4, 4).getUint32(0);
}

function failureOf(error: unknown): Look {
  return { kind: "failed", reason: error instanceof Error ? error.message : String(error) };
}
