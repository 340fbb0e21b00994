/**
 * What a question about a dns zone is answered: the one table of decisions, for DNS, for look-ups over HTTP and for the
 * shell.
 *
 * | a service's address | answer |
 * | --- | --- |
 * | its zone's registry was never read, or not for too long | SERVFAIL |
 * | which zones there are isn't known, and it isn't among those that are | SERVFAIL |
 * | its zone is none | NXDOMAIN |
 * | its zone is answered elsewhere | a referral |
 * | nothing of its product's job is registered | NXDOMAIN, without SOA, so that it isn't kept for long |
 * | the job is, but not in that environment or by that service | NOERROR, empty |
 * | something is | NOERROR, a record for each instance |
 *
 * What is neither an address nor a name server is NXDOMAIN with an SOA that may be kept for a day.
 *
 * @module
 */
import type { Subject } from "./address.ts";
import type { Catalog, Instance, NameServer } from "./catalog.ts";

/** What is asked for: `other` = a type that nothing here has. */
export type Wanted = "SRV" | "A" | "AAAA" | "NS" | "other";

/** What is answered. */
export type Decision =
  | { readonly kind: "nxdomain"; readonly withSoa: boolean }
  | { readonly kind: "servfail" }
  | { readonly kind: "empty" }
  /** All of an address, whichever family is asked for; the same object for as long as nothing of it changes. */
  | { readonly kind: "instances"; readonly instances: readonly Instance[] }
  /** Names of the name servers, numbered from 0. */
  | { readonly kind: "names"; readonly servers: readonly NameServer[] }
  /** Addresses of name servers. */
  | { readonly kind: "servers"; readonly servers: readonly NameServer[] }
  /** The zone's own name servers know. */
  | { readonly kind: "referral"; readonly zone: string; readonly servers: readonly NameServer[] };

const EMPTY: Decision = { kind: "empty" };
const SERVFAIL: Decision = { kind: "servfail" };
const UNKNOWN: Decision = { kind: "nxdomain", withSoa: false };

/** Decides. */
export function decide(catalog: Catalog, subject: Subject, wanted: Wanted): Decision {
  if (subject.kind === "none") return { kind: "nxdomain", withSoa: true };
  if (subject.kind === "servers") return decideServers(catalog, subject, wanted);
  const { address } = subject;
  const standing = catalog.standingOf(address.zone);
  if (standing === "foreign") {
    return { kind: "referral", zone: address.zone, servers: catalog.serversOf(address.zone) };
  }
  if (wanted !== "SRV" && wanted !== "A" && wanted !== "AAAA") return EMPTY;
  if (standing === null) return catalog.areZonesKnown ? UNKNOWN : SERVFAIL;
  if (standing === "lost") return SERVFAIL;
  const registered = catalog.at(address);
  if (registered === null) return catalog.hasJob(address) ? EMPTY : UNKNOWN;
  // Of an instance without any address there is nothing to be said; where no other is left, that isn't the client's fault.
  if (wanted !== "SRV" && !registered.hasIps) return SERVFAIL;
  return { kind: "instances", instances: registered.instances };
}

function decideServers(
  catalog: Catalog,
  { zone, number }: Extract<Subject, { kind: "servers" }>,
  wanted: Wanted,
): Decision {
  if (isLost(catalog, zone) && (wanted === "A" || wanted === "AAAA" || wanted === "NS")) return SERVFAIL;
  const servers = catalog.serversOf(zone);
  if (wanted === "NS") return number === null && servers.length > 0 ? { kind: "names", servers } : EMPTY;
  if (number === null) return serversIn(servers, wanted);
  const server = servers[number];
  return server ? serversIn([server], wanted) : EMPTY;
}

/** Whether what is known of name servers isn't to be believed: of all zones, where no zone is said. */
function isLost(catalog: Catalog, zone: string | null): boolean {
  const { zones, areZonesKnown } = catalog;
  if (zone !== null) return (catalog.standingOf(zone) ?? (areZonesKnown ? null : "lost")) === "lost";
  return zones.length > 0 && zones.every((each) => catalog.standingOf(each) === "lost");
}

function serversIn(servers: readonly NameServer[], wanted: Wanted): Decision {
  if (wanted !== "A" && wanted !== "AAAA") return EMPTY;
  const isV6 = wanted === "AAAA";
  const those = servers.filter(({ ips }) => ips.some((ip) => ip.includes(":") === isV6));
  return those.length === 0 ? EMPTY : { kind: "servers", servers: those };
}
