/**
 * Which names a change may touch: those of all services, and in zones that differ the owners of addresses and aliases.
 * Names that only the static fallback answers aren't among them, since there are as many as people ask for; services
 * without a pool, which it answers as well, are.
 *
 * @module
 */
import type { Desired, DesiredZone } from "../../src/desired/desired.ts";
import { wireToName } from "../../src/wire/name.ts";
import { TYPE } from "../../src/wire/record_type.ts";
import type { Subject } from "../../src/plan/differences.ts";

/**
 * The subjects of a change from one state to another, as far as the states are handed in.
 *
 * @param weightOf what a name counts for
 */
export function subjectsOf(
  before: Desired,
  after: Desired,
  weightOf: (name: string) => number = () => 1,
): Subject[] {
  const services = new Set(domainsOf(after));
  const zones = new Map(after.zones.map((zone) => [zone.domain, zone]));
  const kept = new Set(after.zones.filter((zone) => !before.zones.includes(zone)).flatMap(ownersIn));
  const removed = new Map<string, boolean>();
  for (const name of kept) removed.set(name, false);
  for (const zone of before.zones) {
    const next = zones.get(zone.domain);
    if (next === zone) continue;
    // A zone that stays says by its text which names it gives up; one that goes doesn't.
    for (const name of ownersIn(zone)) removed.set(name, next !== undefined && !kept.has(name));
  }
  for (const name of domainsOf(before)) removed.set(name, !services.has(name));
  for (const name of services) removed.set(name, false);
  return [...removed].map(([name, isRemoved]) => ({ name, weight: weightOf(name), isRemoved }));
}

function* domainsOf(desired: Desired): Generator<string> {
  for (const { domain } of desired.services()) yield domain;
}

/** Owners of records that give a name an address. */
function ownersIn({ records }: DesiredZone): string[] {
  const owners = (records ?? []).filter(({ type }) => GIVES_ADDRESS.includes(type)).map(({ owner }) =>
    wireToName(owner)
  );
  return [...new Set(owners)];
}

const GIVES_ADDRESS: readonly number[] = [TYPE.A, TYPE.AAAA, TYPE.CNAME];
