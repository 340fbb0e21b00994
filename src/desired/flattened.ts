/**
 * What the addresses of members by name make of a pool: the one function between what is declared and what is answered
 * and probed. It is pure; the addresses come in as a function, and are looked up elsewhere.
 *
 * A member by name becomes one member for each of its addresses. Those of a family share its weight evenly, so that a
 * name with five addresses gets as much as one with one. Everything else they have from it: priority, region, place,
 * id, and its name, by which they are probed. A name without any known address is nobody, but where there is a geofence
 * it stays as a disabled member: a client that is fenced in with it isn't let out. An address that an enabled
 * member of the pool has already, on the same port, isn't answered twice: that one stands for both.
 *
 * A pool that answers names as names (`flatten: false`) keeps its members as they are beside that, because a zone's
 * apex can't be an alias and gets the addresses all the same.
 *
 * @module
 */
import type { SteeredMember, SteeredPool } from "./desired.ts";

/** The known addresses of a name, in canonical form. */
export type AddressesOf = (target: string) => readonly string[];

/** The pool with addresses in place of names; one without names is handed back as it is. */
export function flattenedPool(pool: SteeredPool, addressesOf: AddressesOf): SteeredPool {
  if (pool.members.every(({ ipAddress }) => ipAddress !== null)) return pool;
  const knownOf = ({ ipAddress, target }: SteeredMember) =>
    ipAddress !== null ? [ipAddress] : addressesOf(target!);
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

/** The members among whom is chosen where names are answered as names. */
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

/** The addresses that nobody before has; from then on they are taken. */
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
