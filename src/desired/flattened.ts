/**
 * What the addresses of members by name make of a pool: the one function between what is declared and what is answered
 * and probed. It is pure; the addresses come in as a function, and are looked up elsewhere.
 *
 * A member by name becomes one member for each of its addresses. Those of a family share its weight evenly, so that a
 * name with five addresses gets as much as one with one. Everything else they have from it: priority, region, place,
 * id, and its name, by which they are probed. A name without any known address is out, but where there is a geofence
 * it stays as a disabled member: a client that is fenced in with it isn't let out. An address that an enabled
 * member of the pool has already, on the same port, isn't answered twice: that one stands for both.
 *
 * Of a family so many addresses make members at most (`ADDRESSES_MAX`), so that what a pool costs a query has a bound:
 * each name gives its first one, then each its second one, and so on, in the order of the members, until they are
 * so many. A name's addresses come sorted, so the same ones are taken as long as they are the same.
 *
 * A pool that answers names as names (`flatten: false`) keeps its members as they are beside that, because a zone's
 * apex can't be an alias and gets the addresses all the same.
 *
 * @module
 */
import { MEMBERS_MAX } from "../model/model_schema.ts";
import type { SteeredMember, SteeredPool } from "./desired.ts";

/** Members of a family that a pool has at most when its names are addresses; each name has one all the same. */
export const ADDRESSES_MAX: number = MEMBERS_MAX;

/** The known addresses of a name, in canonical form. */
export interface AddressesOf {
  /** Of a host name. */
  (target: string): readonly string[];
  /** What is registered at the address of a service; absent = nothing is discovered. */
  readonly instancesOf?: (address: string) => readonly DiscoveredMember[];
}

/** A process of a service that announces itself, at one of its addresses. */
export interface DiscoveredMember extends Pick<SteeredMember, "port" | "weight" | "priority"> {
  /** As of a member. */
  readonly id: string;
  /** Canonical. */
  readonly ipAddress: string;
}

/** The pool with addresses in place of names; one without names is handed back as it is. */
export function flattenedPool(declared: SteeredPool, addressesOf: AddressesOf): SteeredPool {
  const pool = discoveredPool(declared, addressesOf);
  if (pool.members.every(({ ipAddress }) => ipAddress !== null)) return pool;
  const knownOf = boundedAddresses(pool, addressesOf);
  const taken = new Set(
    pool.members.filter(({ ipAddress, enabled }) => ipAddress !== null && enabled)
      .map(({ ipAddress, port }) => placeOf(ipAddress!, port)),
  );
  const members = pool.members.flatMap((member) => {
    if (member.ipAddress !== null) return member;
    const known = knownOf(member);
    if (known.length === 0 && pool.geofence) return { ...member, enabled: false };
    return addressed(member, untaken(member, known, taken));
  });
  const indexes = Map.groupBy(
    members.keys(),
    (i) => placeOf(members[i]!.ipAddress ?? members[i]!.target!, members[i]!.port),
  );
  const geoRules = pool.geoRules.flatMap((rule) => {
    const named = pool.members[rule.member]!;
    const known = knownOf(named);
    const wanted = known.length === 0 && pool.geofence ? [named.target!] : known;
    return wanted.flatMap((address) => indexes.get(placeOf(address, named.port)) ?? [])
      .map((member) => ({ ...rule, member }));
  });
  const flat = { ...pool, members, geoRules };
  return pool.flatten ? flat : { ...flat, named: asNamed(pool, knownOf) };
}

/** The pool with the instances of the service that it discovers behind its own members, as many as a pool may have. */
function discoveredPool(pool: SteeredPool, { instancesOf }: AddressesOf): SteeredPool {
  if (pool.discover === null || instancesOf === undefined) return pool;
  const taken = new Set(pool.members.map(({ ipAddress, port }) => placeOf(ipAddress ?? "", port)));
  const found: SteeredMember[] = [];
  for (const { ipAddress, port, ...instance } of instancesOf(pool.discover)) {
    if (pool.members.length + found.length >= MEMBERS_MAX) break;
    if (taken.has(placeOf(ipAddress, port))) continue;
    taken.add(placeOf(ipAddress, port));
    found.push({
      ...{ ...instance, ipAddress, port, target: null, enabled: true },
      ...{ latitude: null, longitude: null, region: "", share: 1, forcedUp: false },
    });
  }
  return { ...pool, members: [...pool.members, ...found] };
}

/** What each member of a pool is known by, as far as the pool takes it. */
function boundedAddresses(
  { members }: SteeredPool,
  addressesOf: AddressesOf,
): (member: SteeredMember) => readonly string[] {
  const known = new Map(
    members.map((
      member,
    ) => [member, member.ipAddress !== null ? [member.ipAddress] : addressesOf(member.target!)]),
  );
  for (const isIpv6 of [false, true]) {
    const isOfFamily = (address: string) => address.includes(":") === isIpv6;
    const counts = members.map((member) => known.get(member)!.filter(isOfFamily).length);
    const taken = shared(counts, ADDRESSES_MAX);
    for (const [i, member] of members.entries()) {
      let left = taken[i]!;
      if (left === counts[i]) continue;
      known.set(member, known.get(member)!.filter((address) => !isOfFamily(address) || left-- > 0));
    }
  }
  return (member) => known.get(member)!;
}

/** Deals so many out in turns, to each no more than it has; in the first turn each gets one. */
function shared(counts: readonly number[], most: number): readonly number[] {
  if (counts.reduce((sum, count) => sum + count, 0) <= most) return counts;
  const taken = counts.map((count) => Math.min(count, 1));
  let left = most - taken.reduce((sum, count) => sum + count, 0);
  for (let i = 0; left > 0; i = (i + 1) % counts.length) {
    if (taken[i]! === counts[i]!) continue;
    taken[i]!++;
    left--;
  }
  return taken;
}

/** The members to choose from where names are answered as names. */
function asNamed(
  { members, geoRules }: SteeredPool,
  knownOf: (member: SteeredMember) => readonly string[],
): NonNullable<SteeredPool["named"]> {
  return {
    members: members.map((member) =>
      member.ipAddress === null ? { ...member, addresses: knownOf(member) } : member
    ),
    geoRules,
  };
}

/** The addresses that none before has; from then on they are taken. */
function untaken(
  { port, enabled }: SteeredMember,
  addresses: readonly string[],
  taken: Set<string>,
): string[] {
  const left = addresses.filter((address) => !taken.has(placeOf(address, port)));
  if (enabled) { for (const address of left) taken.add(placeOf(address, port)); }
  return left;
}

function addressed(member: SteeredMember, addresses: readonly string[]): SteeredMember[] {
  const byFamily = Map.groupBy(addresses, (address) => address.includes(":"));
  return addresses.map((ipAddress) => ({
    ...member,
    ipAddress,
    share: member.share / byFamily.get(ipAddress.includes(":"))!.length,
  }));
}

function placeOf(address: string, port: number): string {
  return `${address} ${port}`;
}
