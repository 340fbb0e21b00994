/**
 * What is registered: instances by address, name servers by zone, and how far the registry of each zone is to be believed.
 *
 * It holds plain data and knows neither files nor Consul: those write it by changes. Every thread that answers has a copy, which is kept equal by the changes of this one.
 *
 * An instance is found by its zone and id, and what is asked for is indexed: answers cost the same however many there are.
 *
 * @module
 */
import { type Address, formatAddress } from "./address.ts";

/** One process of a service, at one port. */
export interface Instance {
  /** What it is called by; once in a zone. */
  readonly id: string;
  /** Who registered it, and alone may change it. */
  readonly provider: string;
  /** Where it is found. */
  readonly address: Address;
  /** Name of its machine, in lower case and without final dot: the target of its SRV record. */
  readonly node: string;
  /** Addresses of the machine, canonical; those that were none are left out. */
  readonly ips: readonly string[];
  /** 1–65535. */
  readonly port: number;
  /** Of its SRV record (RFC 2782), 0–65535. */
  readonly priority: number;
  /** Likewise. */
  readonly weight: number;
}

/** A name server of a zone. */
export interface NameServer {
  /** Name by which they are put in order. */
  readonly host: string;
  /** Canonical addresses. */
  readonly ips: readonly string[];
}

/** A change of what is registered. */
export type Change =
  | { readonly kind: "put"; readonly zone: string; readonly instances: readonly Instance[] }
  | { readonly kind: "remove"; readonly zone: string; readonly ids: readonly string[] }
  | { readonly kind: "servers"; readonly zone: string; readonly servers: readonly NameServer[] }
  | { readonly kind: "standing"; readonly zone: string; readonly standing: Standing }
  /** Whether a zone that isn't here is none: until a registry has said which there are, it is not known. */
  | { readonly kind: "zones"; readonly areKnown: boolean };

/**
 * How far a zone's registry is to be believed: `fresh` = what is here is what it has; `stale` = it can't be read, and what it
 * had last counts; `lost` = it was never read, or not for too long; `foreign` = it is answered elsewhere.
 */
export type Standing = "fresh" | "stale" | "lost" | "foreign";

/** Instances of one address, and what answers are made of them. */
export interface Registered {
  /** By id. */
  readonly instances: readonly Instance[];
  /** Whether any of them has an address. */
  readonly hasIps: boolean;
}

/** Instances of an address in order, and the ids of those that have come, gone or changed since. */
interface Before {
  readonly instances: readonly Instance[];
  readonly ids: Set<string>;
}

/** Ids of instances that have come, gone or changed, by address. */
type Touched = Map<string, Set<string>>;

/** What is registered in one zone. */
class Zone {
  standing: Standing = "lost";
  servers: readonly NameServer[] = [];
  readonly byId = new Map<string, Instance>();
  /** By address, then by id. */
  readonly byAddress = new Map<string, Map<string, Instance>>();
  /** How many instances each product and job has. */
  readonly jobs = new Map<string, number>();
}

/** What is registered in all zones. */
export class Catalog {
  readonly #zones = new Map<string, Zone>();
  readonly #registered = new Map<string, Registered>();
  /** What addresses had that have changed since they were asked for. */
  readonly #before = new Map<string, Before>();
  #areZonesKnown = true;

  /** Whether a zone that isn't here is none. */
  get areZonesKnown(): boolean {
    return this.#areZonesKnown;
  }

  /** Zones that are known, in order. */
  get zones(): readonly string[] {
    return [...this.#zones.keys()].sort();
  }

  /** How many instances a zone has. */
  sizeOf(zone: string): number {
    return this.#zones.get(zone)?.byId.size ?? 0;
  }

  /** How far a zone is to be believed; `null` = there is no such zone. */
  standingOf(zone: string): Standing | null {
    return this.#zones.get(zone)?.standing ?? null;
  }

  /** The name servers of a zone, or of all zones, in the order of their host names; an unknown zone has none. */
  serversOf(zone: string | null): readonly NameServer[] {
    if (zone !== null) return this.#zones.get(zone)?.servers ?? [];
    return [...this.#zones.values()].flatMap(({ servers }) => servers).sort(byHost);
  }

  /** What is registered at an address; `null` = nothing. */
  at(address: Address): Registered | null {
    const key = formatAddress(address);
    const known = this.#registered.get(key);
    if (known) return known;
    const those = this.#zones.get(address.zone)?.byAddress.get(key);
    if (those === undefined) return null;
    // By id, so that catalogs with the same content answer the same, in whichever order it came.
    const before = this.#before.get(key);
    this.#before.delete(key);
    const instances = before ? inOrder(before, those) : [...those.values()].sort(byId);
    const hasIps = instances.some(({ ips }) => ips.length > 0);
    const registered = { instances, hasIps };
    this.#registered.set(key, registered);
    return registered;
  }

  /** Whether anything of a product's job is registered in a zone, in whichever environment. */
  hasJob({ zone, product, job }: Pick<Address, "zone" | "product" | "job">): boolean {
    return this.#zones.get(zone)?.jobs.has(`${job}.${product}`) ?? false;
  }

  /** All addresses at which something is registered, in order. */
  addresses(): string[] {
    return [...this.#zones.values()].flatMap(({ byAddress }) => [...byAddress.keys()]).sort();
  }

  /** Makes a change. @returns the addresses whose answers it may have changed; `null` = any of its zone */
  apply(change: Change): ReadonlySet<string> | null {
    if (change.kind === "zones") {
      this.#areZonesKnown = change.areKnown;
      return null;
    }
    const zone = this.#zone(change.zone);
    if (change.kind === "standing") zone.standing = change.standing;
    else if (change.kind === "servers") zone.servers = [...change.servers].sort(byHost);
    else {
      const touched: Touched = new Map();
      if (change.kind === "put") { for (const instance of change.instances) put(zone, instance, touched); }
      else for (const id of change.ids) remove(zone, id, touched);
      for (const [address, ids] of touched) this.#touch(address, ids, zone.byAddress.has(address));
      return new Set(touched.keys());
    }
    return null;
  }

  #touch(address: string, ids: ReadonlySet<string>, isLeft: boolean): void {
    const known = this.#registered.get(address);
    const before = known ? { instances: known.instances, ids: new Set<string>() } : this.#before.get(address);
    this.#registered.delete(address);
    if (before === undefined) return;
    for (const id of ids) before.ids.add(id);
    if (isLeft && before.ids.size <= before.instances.length) this.#before.set(address, before);
    else this.#before.delete(address);
  }

  /** The changes that make an empty catalog equal to this one. */
  everything(): Change[] {
    const zones = [...this.#zones].flatMap(([zone, { standing, servers, byId }]): Change[] => [
      { kind: "servers", zone, servers },
      { kind: "put", zone, instances: [...byId.values()] },
      { kind: "standing", zone, standing },
    ]);
    return [...zones, { kind: "zones", areKnown: this.#areZonesKnown }];
  }

  /** How many instances there are at addresses, of so many of them, in the order in which these came. */
  sizes(max: number): (readonly [Address, number])[] {
    const sizes: (readonly [Address, number])[] = [];
    for (const { byAddress } of this.#zones.values()) {
      for (const those of byAddress.values()) {
        if (sizes.length === max) return sizes;
        const [first] = those.values();
        sizes.push([first!.address, those.size]);
      }
    }
    return sizes;
  }

  /** The instances of a zone, in no order. */
  instancesOf(zone: string): readonly Instance[] {
    return [...this.#zones.get(zone)?.byId.values() ?? []];
  }

  /** What is read here and was read at least once: zones with the ids of their instances. */
  read(): ReadonlyMap<string, readonly string[]> {
    return new Map(
      [...this.#zones].filter(([, { standing }]) => standing === "fresh" || standing === "stale")
        .map(([zone, { byId }]) => [zone, [...byId.keys()]]),
    );
  }

  #zone(name: string): Zone {
    const known = this.#zones.get(name);
    if (known) return known;
    const zone = new Zone();
    this.#zones.set(name, zone);
    return zone;
  }
}

/** The same changes in the same order, in portions that aren't large; as few of them as may be, since each is made at once. */
export function* portionsOf(changes: readonly Change[]): Generator<readonly Change[]> {
  let portion: Change[] = [];
  let room = PORTION;
  for (const change of changes) {
    const size = change.kind === "put"
      ? change.instances.length
      : change.kind === "remove"
      ? change.ids.length
      : null;
    if (size === null) portion.push(change);
    for (let at = 0; at < (size ?? 0);) {
      const end = Math.min(at + room, size!);
      portion.push(partOf(change, at, end));
      room -= end - at;
      at = end;
      if (room > 0) continue;
      yield portion;
      portion = [];
      room = PORTION;
    }
  }
  if (portion.length > 0) yield portion;
}

function partOf(change: Change, from: number, to: number): Change {
  if (change.kind === "put") return { ...change, instances: change.instances.slice(from, to) };
  return change.kind === "remove" ? { ...change, ids: change.ids.slice(from, to) } : change;
}

/** Instances of a portion: it takes the main thread a millisecond or two. */
const PORTION = 250;

/** Whether two instances make the same answers. */
export function isSameInstance(a: Instance, b: Instance): boolean {
  if (a === b) return true;
  return a.id === b.id && a.provider === b.provider && a.node === b.node && a.port === b.port &&
    a.priority === b.priority && a.weight === b.weight && isSameAddress(a.address, b.address) &&
    isSameIps(a.ips, b.ips);
}

/**
 * An instance with all that it has in common with the one before it being that one's: what is as old as that one and not used any
 * more is given back by a collection of the whole heap alone, which is rare, and as long as that the memory is taken.
 */
export function withPartsOf(before: Instance, now: Instance): Instance {
  const address = isSameAddress(before.address, now.address) ? before.address : now.address;
  const ips = isSameIps(before.ips, now.ips) ? before.ips : now.ips;
  // So it is already, or there is nothing of the kind.
  if (address === now.address && ips === now.ips) return now;
  const { node, provider } = before;
  return {
    ...now,
    ...{ id: before.id, address, ips },
    provider: provider === now.provider ? provider : now.provider,
    node: node === now.node ? node : now.node,
  };
}

function isSameIps(a: readonly string[], b: readonly string[]): boolean {
  return a === b || a.length === b.length && a.every((ip, i) => ip === b[i]);
}

function isSameAddress(a: Address, b: Address): boolean {
  return a === b ||
    a.job === b.job && a.product === b.product && a.service === b.service && a.env === b.env &&
      a.zone === b.zone;
}

function put(zone: Zone, now: Instance, touched: Touched): void {
  const before = zone.byId.get(now.id);
  const instance = before === undefined ? now : withPartsOf(before, now);
  const key = formatAddress(instance.address);
  const stays = before !== undefined && formatAddress(before.address) === key;
  if (!stays) {
    remove(zone, instance.id, touched);
    count(zone, instance.address, 1);
  }
  zone.byId.set(instance.id, instance);
  let those = zone.byAddress.get(key);
  if (!those) zone.byAddress.set(key, those = new Map());
  those.set(instance.id, instance);
  touch(touched, key, instance.id);
}

function remove(zone: Zone, id: string, touched: Touched): void {
  const instance = zone.byId.get(id);
  if (!instance) return;
  const key = formatAddress(instance.address);
  zone.byId.delete(id);
  const those = zone.byAddress.get(key)!;
  those.delete(id);
  if (those.size === 0) zone.byAddress.delete(key);
  count(zone, instance.address, -1);
  touch(touched, key, id);
}

function touch(touched: Touched, address: string, id: string): void {
  const ids = touched.get(address);
  if (ids) ids.add(id);
  else touched.set(address, new Set([id]));
}

/** By id, at the cost of a copy: to sort ten thousand for each that changes would take all the time there is. */
function inOrder({ instances, ids }: Before, those: ReadonlyMap<string, Instance>): Instance[] {
  const changed = [...ids].flatMap((id) => those.get(id) ?? []).sort(byId);
  const all: Instance[] = [];
  let next = 0;
  for (const instance of instances) {
    if (ids.has(instance.id)) continue;
    while (next < changed.length && byId(changed[next]!, instance) < 0) all.push(changed[next++]!);
    all.push(instance);
  }
  return all.concat(changed.slice(next));
}

function count({ jobs }: Zone, { job, product }: Address, by: number): void {
  const key = `${job}.${product}`;
  const now = (jobs.get(key) ?? 0) + by;
  if (now === 0) jobs.delete(key);
  else jobs.set(key, now);
}

function byId(a: Instance, b: Instance): number {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

function byHost(a: NameServer, b: NameServer): number {
  return a.host < b.host ? -1 : a.host > b.host ? 1 : 0;
}
