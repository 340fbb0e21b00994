/**
 * One look at a name: its addresses of one family, asked of one resolver after the other until one knows.
 *
 * A resolver knows when it says NOERROR or NXDOMAIN. Whatever else comes (SERVFAIL, REFUSED, nonsense, nothing) is a
 * failure of the resolver and says nothing about the name, so the next one is asked.
 *
 * @module
 */
import {
  type Family,
  formatIp,
  formatSocketAddress,
  isLoopback,
  isUnicast,
  parseIp,
  type SocketAddress,
} from "../ip.ts";
import type { Message, ResourceRecord } from "../wire/message.ts";
import { nameToWire, wireToName } from "../wire/name.ts";
import { CLASS, RCODE, rcodeName, TYPE } from "../wire/record_type.ts";

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
    const isOfThisMachine = isLoopback(parseIp(server.hostname)!);
    const look = await ask({ server, name, type, timeoutMs, signal })
      .then((message) => readAnswer(message, { name, type, isOfThisMachine }))
      .catch(failureOf);
    if (look.kind !== "failed") return look;
    reasons.push(`${formatSocketAddress(server)}: ${look.reason}`);
    if (signal.aborted) break;
  }
  return { kind: "failed", reason: reasons.join("; ") };
}

/**
 * What an answer says. Aliases have been followed by the resolver; their TTLs count, too.
 *
 * Of all that a message may hold, only what leads from the name asked for to its addresses is looked at: records of the
 * class IN whose owner is the name, or what it is an alias for. Anything else is no answer to this question.
 */
export function readAnswer(
  { rcode, answers, authorities }: Message,
  { name, type, isOfThisMachine }: {
    readonly name: string;
    readonly type: number;
    /** The resolver stands on this machine, so it may speak of it. */
    readonly isOfThisMachine: boolean;
  },
): Look {
  if (rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN) {
    return { kind: "failed", reason: rcodeName(rcode) };
  }
  const { owner, aliases } = followAliases(keyOf(name), answers);
  const records = answers.filter((record) => isOf(record, { owner, type }));
  const ttls = [...aliases, ...records].map(({ ttl }) => ttl);
  const useless = new Set<string>();
  const addresses = new Set<string>();
  for (const { rdata } of records) {
    const isUsed = isUnicast(rdata) || (isOfThisMachine && isLoopback(rdata));
    (isUsed ? addresses : useless).add(formatIp(rdata));
  }
  if (addresses.size > 0) {
    return {
      kind: "found",
      addresses: [...addresses].sort().slice(0, ADDRESSES_MAX),
      ttl: Math.min(...ttls),
    };
  }
  const reason = useless.size > 0
    ? `its addresses aren't reachable for clients (${[...useless].slice(0, REASONS_MAX).join(", ")})`
    : rcode === RCODE.NXDOMAIN
    ? "it doesn't exist (NXDOMAIN)"
    : "it has no addresses (NODATA)";
  const soa = authorities.find((record) =>
    record.class === CLASS.IN && record.type === TYPE.SOA && isAtOrBelow(owner, record.name.toLowerCase())
  );
  const ttl = useless.size > 0
    ? Math.min(...ttls)
    : soa
    ? Math.min(...ttls, soa.ttl, lastNumberOf(soa.rdata))
    : 0;
  return { kind: "empty", reason, ttl };
}

/** Useless addresses that a reason names. */
const REASONS_MAX = 3;

/** Where the aliases of a name end, and the records that led there. */
function followAliases(
  name: string,
  answers: readonly ResourceRecord[],
): { owner: string; aliases: readonly ResourceRecord[] } {
  const aliases: ResourceRecord[] = [];
  for (let owner = name;;) {
    const alias = answers.find((record) => isOf(record, { owner, type: TYPE.CNAME }));
    if (!alias) return { owner, aliases };
    if (aliases.includes(alias) || aliases.length === ALIASES_MAX) {
      throw new SyntaxError(`Its aliases form a loop, or lead further than ${ALIASES_MAX} names`);
    }
    aliases.push(alias);
    owner = wireToName(alias.rdata).toLowerCase();
  }
}

/** More than resolvers follow: unbound 11, BIND 16. */
const ALIASES_MAX = 32;

function isOf(record: ResourceRecord, { owner, type }: { owner: string; type: number }): boolean {
  return record.class === CLASS.IN && record.type === type && record.name.toLowerCase() === owner;
}

/** The form in which names are compared: as messages have them, in lower case. */
function keyOf(name: string): string {
  return wireToName(nameToWire(name)).toLowerCase();
}

function isAtOrBelow(name: string, zone: string): boolean {
  return zone === "." || name === zone || name.endsWith(`.${zone}`);
}

/** The last field of an SOA record: for how long nothing stays nothing (RFC 2308 §5). */
function lastNumberOf(rdata: Uint8Array): number {
  return new DataView(rdata.buffer, rdata.byteOffset + rdata.length - 4, 4).getUint32(0);
}

function failureOf(error: unknown): Look {
  return { kind: "failed", reason: error instanceof Error ? error.message : String(error) };
}
