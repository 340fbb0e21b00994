/**
 * How far a change reaches: the names whose answers it may move, and as much of the model before and after it as they are
 * answered from.
 *
 * A pool that is touched moves the names of its services, and those of pools that answer from it when they are down
 * themselves, however long the chain is. What an answer needs besides is what these pools fall back to.
 *
 * @module
 */
import {
  type Desired,
  desiredOf,
  type DesiredSource,
  type DesiredZone,
  type MergedDesired,
  type SteeredPool,
  type SteeredService,
} from "../desired/desired.ts";
import { type AddressesOf, flattenedPool } from "../desired/flattened.ts";
import { applyOverrides, OverrideIndex } from "../desired/overridden.ts";
import type { OverrideRow } from "../store/overrides.ts";
import type { Settings } from "../settings/settings.ts";
import type { Touched } from "../store/touched.ts";
import { wireToName } from "../wire/name.ts";
import { TYPE } from "../wire/record_type.ts";
import { Alikes } from "./alike.ts";
import type { Subject } from "./differences.ts";
import type { FrozenHealth } from "./forecast.ts";
import type { Family } from "../ip.ts";
import type { ModelState, StoredState } from "./states.ts";

/** What a change reaches. */
export interface Reach {
  /** Names that stay, but whose pool is deleted, whatever answers them then. */
  readonly losingPool: readonly string[];
  /** Each name once, in no order. */
  readonly subjects: readonly Subject[];
  /** What they are answered from before it. */
  readonly before: Desired;
  /** What they are answered from after it. */
  readonly after: Desired;
  /** How many pools there are in the larger of the two. */
  readonly pools: number;
}

/** What a state is merged with, to be what is answered. */
export interface ReachOptions {
  /** Zones, fallback and TTLs of the settings. */
  readonly settings: Pick<Settings, "dns" | "fallback">;
  /** What is known of members by name. */
  readonly addressesOf: AddressesOf;
  /** For overrides, Unix milliseconds. */
  readonly nowMs: number;
  /** Revision of the overrides that the change makes: what they do in the end counts, not how they begin. */
  readonly generation: number;
  /** By which names are found that are alike; `null` = each name is to be answered from what is reached. */
  readonly health: FrozenHealth | null;
  /**
   * Whether names are wanted, too, that nothing is lost with but that people want to see: aliases of those that differ,
   * and names that exist only because of others below them.
   */
  readonly isShown: boolean;
}

const FAMILIES: readonly Family[] = [4, 6];
/** With this label, the name that stands for all those which neither a service nor a record answers. */
export const ANY_OTHER_LABEL = "any-other-name";
/** Names of which those above are looked at, and so many above them. */
const PARENTS_MAX = 1_000;
/** Services below a name that are looked through for one that stays. */
const SERVICES_LOOKED_AT = 100;
/** Texts of zones that are read for aliases, characters in all. */
const ALIASES_TEXT_MAX = 4_000_000;
/** Zones that are looked for one by one, before all of their names are read. */
const ZONES_SINGLE_MAX = 1_000;
/** Zones of which such a name is asked for where the fallback is another. */
const ZONES_SHOWN = 100;
/** Records of a zone of which the loss is seen by whoever asks for an address. */
const LEADING_TO_ADDRESSES: ReadonlySet<number> = new Set([TYPE.A, TYPE.AAAA, TYPE.CNAME]);

/** Finds what a change reaches. */
export function reachOf(
  touched: Touched,
  { before, after }: { readonly before: ModelState; readonly after: StoredState },
  options: ReachOptions,
): Reach {
  const sides = { before: new Side(before, options), after: new Side(after, options) };
  const subjects = new Map<string, Subject>();
  const add = (name: string, { isRemoved }: Pick<Subject, "isRemoved">) =>
    subjects.set(name, { name, weight: 1, isRemoved });
  const losingPool: string[] = [];
  /** Names that are in one of the states only, or have other records. */
  const comeOrGone: string[] = [];
  /** Services that keep their domain. */
  const staying: (readonly [was: SteeredService, is: SteeredService])[] = [];
  const [servicesBefore, servicesAfter] = [before, after].map((state) => state.services(touched.serviceIds));
  const domainsAfter = new Set([...servicesAfter!.values()].map(({ domain }) => domain));
  for (const service of after.servicesOf(poolsReached(touched.poolIds, { before, after }))) {
    if (!domainsAfter.has(service.domain)) staying.push([service, service]);
  }
  for (const id of touched.serviceIds) {
    const [was, is] = [servicesBefore!.get(id), servicesAfter!.get(id)];
    if (was?.poolId && is?.poolId === null && after.fallbackOf(was.poolId) === undefined) {
      losingPool.push(is.domain);
    }
    if (was && was.domain === is?.domain) {
      staying.push([was, is]);
      continue;
    }
    for (const service of [was, is]) if (service) comeOrGone.push(service.domain);
    if (was) {
      sides.before.serve(was);
      // Another one may have taken its domain over.
      add(was.domain, { isRemoved: !domainsAfter.has(was.domain) });
    }
    if (is) {
      sides.after.serve(is);
      if (!subjects.has(is.domain)) add(is.domain, { isRemoved: false });
    }
  }
  staying.push(...answeredAsNames(touched, { after, comeOrGone, staying, domainsAfter }));
  sides.before.load(staying.map(([{ poolId }]) => poolId));
  sides.after.load(staying.map(([, { poolId }]) => poolId));
  const { health } = options;
  const alikes = health && touched.zoneDomains.length === 0 ? new Alikes(health) : null;
  /** Names that something else than their pool may answer as well, in one of the states. */
  const open = new Set<string>();
  for (const [was, is] of staying) {
    const name = is.domain;
    const [before, after] = [sides.before.poolOf(was), sides.after.poolOf(is)];
    const isClosed = before !== null && after !== null && answerAlone(before, after);
    const alike = alikes !== null && isClosed ? alikes.of(name, { before, after }) : null;
    subjects.set(name, { name, weight: 1, isRemoved: false, alike });
    if (alike) continue;
    sides.before.serve(was);
    sides.after.serve(is);
    if (!isClosed) open.add(name);
  }
  // What answers a name without a pool is what answers any other name there.
  const addPoolless = (isMeant: (domain: string) => boolean) => {
    for (const side of [sides.after, sides.before]) {
      for (const service of side.state.poolless()) {
        if (!isMeant(service.domain)) continue;
        side.serve(service);
        if (!subjects.has(service.domain)) add(service.domain, { isRemoved: false });
      }
    }
  };
  for (const domain of touched.zoneDomains) {
    const [was, is] = [sides.before.host(domain), sides.after.host(domain)];
    for (const owner of differing(was, is)) {
      comeOrGone.push(owner);
      if (subjects.has(owner)) continue;
      add(owner, { isRemoved: is !== null && was?.has(owner) === true && !is.has(owner) });
    }
    if ((was === null) === (is === null)) continue;
    // Names that nothing answers are the fallback's where no zone is around them.
    addPoolless((name) => isWithin(name, domain));
    add(`${ANY_OTHER_LABEL}.${domain}`, { isRemoved: true });
  }
  if (touched.fallback) {
    addPoolless(() => true);
    for (const domain of sides.after.zoneDomains().slice(0, ZONES_SHOWN)) {
      for (const side of [sides.before, sides.after]) side.host(domain);
      add(`${ANY_OTHER_LABEL}.${domain}`, { isRemoved: false });
    }
  }
  const both = [sides.before, sides.after];
  if (options.isShown) {
    const zonesBelow = new Map(
      both.flatMap((side) => side.zoneDomains())
        .flatMap((domain) => [...parentsOf([domain])].map((parent) => [parent, domain] as const)),
    );
    const parents = parentsOf(comeOrGone);
    for (const parent of parents) if (!subjects.has(parent)) add(parent, { isRemoved: true });
    // Whether there is such a name depends on whether there is one below it.
    for (const name of [...parents, ...comeOrGone.slice(0, PARENTS_MAX)]) {
      const below = after.servicesBelow(name, SERVICES_LOOKED_AT)
        .find(({ domain }) => !domainsAfter.has(domain));
      const zone = zonesBelow.get(name);
      for (const side of both) {
        if (below) side.serve(below);
        if (zone !== undefined) side.lookAround(zone);
      }
    }
    // Where a zone or the fallback is another one, so may be what answers a name that there isn't.
    const isAnyOther = touched.fallback || touched.zoneDomains.length > 0;
    for (const alias of isAnyOther ? allAliases(both) : aliasesTo(subjects.keys(), both)) {
      if (!subjects.has(alias)) add(alias, { isRemoved: true });
    }
  }
  const looked = [...subjects.values()].filter(({ name, alike }) =>
    !alike && (open.has(name) || both.some((side) => !side.hasPool(name)))
  ).map(({ name }) => name);
  // What is around is the same in both states, or it is a difference of them; so is what aliases lead to.
  const known = new Set(looked);
  for (const name of known) {
    for (const side of both) side.lookAround(name);
    for (const side of both) for (const target of side.aliasesAt(name)) known.add(target);
  }
  const [was, is] = [sides.before.desired(), sides.after.desired()];
  const pools = Math.max(sides.before.pools, sides.after.pools);
  return { subjects: [...subjects.values()], losingPool, before: was, after: is, pools };
}

/**
 * Services that no change touches but for the zone that they lie in: at its apex the names of members are answered as
 * addresses, and below it as names.
 */
function answeredAsNames(
  { zoneDomains }: Touched,
  { after, comeOrGone, staying, domainsAfter }: {
    readonly after: StoredState;
    readonly comeOrGone: readonly string[];
    readonly staying: readonly (readonly [SteeredService, SteeredService])[];
    readonly domainsAfter: ReadonlySet<string>;
  },
): (readonly [SteeredService, SteeredService])[] {
  const domains = new Set([...zoneDomains, ...comeOrGone]);
  if (domains.size === 0) return [];
  const pools = after.poolsWithNames();
  if (pools.size === 0) return [];
  const known = new Set(staying.map(([, { domain }]) => domain));
  return [...after.servicesOf(pools)].filter(({ domain }) =>
    !known.has(domain) && !domainsAfter.has(domain) &&
    [domain, ...parentsOf([domain])].some((above) => domains.has(above))
  ).map((service) => [service, service]);
}

/** The names above some, as many as are looked at; the last two labels are left to those who delegate them. */
function parentsOf(names: Iterable<string>): Set<string> {
  const parents = new Set<string>();
  for (const name of names) {
    for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1)) {
      const parent = name.slice(dot + 1);
      if (!parent.includes(".") || parents.size === PARENTS_MAX) break;
      parents.add(parent);
    }
  }
  return parents;
}

function allAliases(sides: readonly Side[]): Set<string> {
  return new Set(sides.flatMap((side) => [...side.aliases()].map(([owner]) => owner)));
}

/** The owners of aliases that lead to some names in one of the states, over however many steps. */
function aliasesTo(names: Iterable<string>, sides: readonly Side[]): Set<string> {
  const byTarget = new Map<string, string[]>();
  for (const [owner, target] of sides.flatMap((side) => [...side.aliases()])) {
    byTarget.set(target, [...byTarget.get(target) ?? [], owner]);
  }
  const found = new Set<string>();
  const all = new Set(names);
  if (byTarget.size === 0) return found;
  const wildcards = [...all].filter((name) => name.startsWith("*.")).map((name) => name.slice(1));
  for (const target of byTarget.keys()) if (wildcards.some((end) => target.endsWith(end))) all.add(target);
  for (const name of all) {
    for (const owner of byTarget.get(name) ?? []) {
      found.add(owner);
      all.add(owner);
    }
  }
  return found;
}

/**
 * Whether a name that one pool answers before and the other after a change is answered by nothing else in one of the
 * states only. Where a pool has no member of a family, records of the name, or of a wildcard, answer in it; whether a
 * member may be answered as a name depends on where the zone begins.
 */
function answerAlone(before: SteeredPool, after: SteeredPool): boolean {
  return !before.named && !after.named &&
    FAMILIES.every((family) => supplies(before, family) === supplies(after, family));
}

function supplies({ members, fallbackPoolId }: SteeredPool, family: Family): boolean {
  return fallbackPoolId !== null ||
    members.some(({ enabled, ipAddress }) =>
      enabled && ipAddress !== null && ipAddress.includes(":") === (family === 6)
    );
}

/** These pools and all that answer from them, before or after a change, when they are down themselves. */
export function poolsReached(
  poolIds: Iterable<string>,
  { before, after }: { readonly before: ModelState; readonly after: StoredState },
): Set<string> {
  const hasChains = before.hasChains() || after.hasChains();
  return closure(
    poolIds,
    (id) => hasChains ? [...before.fallingBackTo(id), ...after.fallingBackTo(id)] : [],
  );
}

/** Everything that is reached from these. */
function closure(ids: Iterable<string>, next: (id: string) => Iterable<string>): Set<string> {
  const reached = new Set(ids);
  for (const id of reached) for (const other of next(id)) reached.add(other);
  return reached;
}

/** By name, what a zone says that addresses depend on. */
type Owners = ReadonlyMap<string, string>;

/** The names of a zone that may be answered otherwise, in no order. */
function differing(was: Owners | null, is: Owners | null): Iterable<string> {
  const owners = new Set([...was?.keys() ?? [], ...is?.keys() ?? []]);
  // What hands names over, or redirects them, hides others that are as they were.
  if (was === null || is === null || was.get(HANDED_OVER) !== is.get(HANDED_OVER)) return owners;
  return [...owners].filter((owner) => was.get(owner) !== is.get(owner));
}

/** Stands for all names that a zone hands over or redirects; no name has a space. */
const HANDED_OVER = " ";

function ownersIn(zone: DesiredZone): Map<string, string> {
  const owners = new Map<string, string>();
  for (const { owner, type, rdata } of zone.records ?? []) {
    const name = wireToName(owner);
    const text = `${type} ${rdata.toHex()} `;
    if (LEADING_TO_ADDRESSES.has(type)) owners.set(name, (owners.get(name) ?? "") + text);
    const isHandedOver = type === TYPE.DNAME || (type === TYPE.NS && name !== zone.domain);
    if (isHandedOver) owners.set(HANDED_OVER, `${owners.get(HANDED_OVER) ?? ""}${name} ${text}`);
  }
  return owners;
}

/** Overrides, those of a generation as they are when they have begun and nothing drains any more. */
export function inEffect(
  index: OverrideIndex<OverrideRow>,
  { nowMs, generation }: { readonly nowMs: number; readonly generation: number },
): OverrideIndex {
  if (index.overrides.every(({ revision }) => revision !== generation)) return index;
  return new OverrideIndex(
    index.overrides.map((override) =>
      override.revision === generation
        ? { ...override, startsAt: Math.min(override.startsAt, nowMs), drainMs: 0 }
        : override
    ),
  );
}

/** A database in which there is nothing. */
const NOTHING: DesiredSource = {
  generation: 0,
  pools: () => [],
  checkedPools: () => [],
  services: () => [],
  zones: [],
  fallback: null,
  *prepare() {
    yield;
    return 0;
  },
};

/** Whether a name is a domain or lies below it. */
function isWithin(name: string, domain: string): boolean {
  return name === domain || name.endsWith(`.${domain}`);
}

/** One of the two states, as far as it is reached. */
class Side {
  readonly state: ModelState;
  readonly #options: ReachOptions;
  readonly #poolIds = new Set<string>();
  readonly #services = new Map<string, SteeredService>();
  /** Of zones that there may be. */
  readonly #zoneDomains = new Set<string>();
  /** As they are answered from; `null` = there is none of that id. */
  readonly #pools = new Map<string, SteeredPool | null>();
  #overrides: OverrideIndex | null = null;
  readonly #lookedAt = new Set<string>();
  /** By domain, those that were looked for; `null` = there is none. */
  readonly #zones = new Map<string, DesiredZone | null>();
  readonly #aliasesIn = new Map<string, ReadonlyMap<string, string>>();
  /** All there are, where too many were looked for one by one. */
  #allZones: ReadonlySet<string> | null = null;
  /** The settings alone. */
  #merged: MergedDesired | null = null;

  constructor(state: ModelState, options: ReachOptions) {
    this.state = state;
    this.#options = options;
  }

  /** Reads pools that will be asked for, all at once. */
  load(poolIds: Iterable<string | null>): void {
    const missing = new Set<string>();
    for (const id of poolIds) if (id !== null && !this.#pools.has(id)) missing.add(id);
    if (missing.size === 0) return;
    const { addressesOf, nowMs } = this.#options;
    this.#overrides ??= inEffect(this.state.overrides(), this.#options);
    for (const pool of this.state.pools(missing)) {
      this.#pools.set(pool.id, flattenedPool(applyOverrides(pool, this.#overrides, nowMs), addressesOf));
    }
    for (const id of missing) if (!this.#pools.has(id)) this.#pools.set(id, null);
  }

  /** The pool of a service, which was loaded, with addresses in place of names; `null` = it has none. */
  poolOf({ poolId }: SteeredService): SteeredPool | null {
    return poolId === null ? null : this.#pools.get(poolId) ?? null;
  }

  serve(service: SteeredService): void {
    this.#services.set(service.domain, service);
    if (service.poolId !== null) this.#poolIds.add(service.poolId);
  }

  /** Takes in a zone with those around it and within it; gives what it says, or `null` when it isn't there. */
  host(domain: string): Owners | null {
    for (const other of this.zoneDomains()) {
      if (isWithin(other, domain) || isWithin(domain, other)) this.#zoneDomains.add(other);
    }
    const zone = this.#zoneAt(domain);
    return zone && ownersIn(zone);
  }

  /** All zones, those of the settings included. */
  zoneDomains(): string[] {
    return [
      ...new Set([...this.state.zoneDomains(), ...this.#ofSettings().zones.map(({ domain }) => domain)]),
    ];
  }

  #ofSettings(): MergedDesired {
    const { settings, addressesOf } = this.#options;
    return this.#merged ??= desiredOf(settings, NOTHING, addressesOf);
  }

  /** How many pools are reached directly. */
  get pools(): number {
    return this.#poolIds.size;
  }

  /** Whether a name has a service of its own with a pool, which answers it whatever is around. */
  hasPool(name: string): boolean {
    return this.#services.get(name)?.poolId != null;
  }

  /** Takes in what answers a name that nothing of its own does: services and wildcards above it, and zones around it. */
  lookAround(name: string): void {
    this.#lookAt(name);
    for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1)) {
      const above = name.slice(dot + 1);
      this.#lookAt(above);
      this.#lookAt(`*.${above}`);
    }
  }

  #lookAt(name: string): void {
    if (this.#lookedAt.has(name)) return;
    this.#lookedAt.add(name);
    const service = this.state.serviceAt(name);
    if (service) this.serve(service);
    this.#zoneDomains.add(name);
  }

  /** A zone, if there is one. */
  #zoneAt(domain: string): DesiredZone | null {
    const known = this.#zones.get(domain);
    if (known !== undefined) return known;
    if (this.#zones.size > ZONES_SINGLE_MAX) {
      this.#allZones ??= new Set(this.zoneDomains());
      if (!this.#allZones.has(domain)) return null;
    }
    const zone = this.#ofSettings().zoneOf(domain, this.state.zone(domain));
    this.#zones.set(domain, zone);
    return zone;
  }

  /** The names that records make of a name, its own or those of a wildcard above it. */
  *aliasesAt(name: string): Generator<string> {
    const owners = [name];
    for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1)) {
      owners.push(`*${name.slice(dot)}`);
    }
    for (const domain of [name, ...owners.slice(1).map((owner) => owner.slice(2))]) {
      const zone = this.#zoneAt(domain);
      const aliases = zone && this.#aliasesOf(zone);
      for (const owner of aliases ? owners : []) {
        const target = aliases!.get(owner);
        if (target !== undefined) yield target;
      }
    }
  }

  /** All aliases by their owners, of as many zones as are read for them. */
  *aliases(): Generator<readonly [owner: string, target: string]> {
    let read = 0;
    for (const domain of this.zoneDomains()) {
      const text = this.state.zone(domain)?.text ?? "CNAME";
      if ((read += text.length) > ALIASES_TEXT_MAX) return;
      const zone = /cname/i.test(text) ? this.#zoneAt(domain) : null;
      if (zone) yield* this.#aliasesOf(zone);
    }
  }

  #aliasesOf(zone: DesiredZone): ReadonlyMap<string, string> {
    const known = this.#aliasesIn.get(zone.domain);
    if (known) return known;
    const aliases = new Map(
      (zone.records ?? []).filter(({ type }) => type === TYPE.CNAME)
        .map(({ owner, rdata }) => [wireToName(owner), wireToName(rdata).toLowerCase()]),
    );
    this.#aliasesIn.set(zone.domain, aliases);
    return aliases;
  }

  desired(): Desired {
    const { settings, addressesOf } = this.#options;
    const { state } = this;
    const poolIds = this.#withFallbacks();
    const services = [...this.#services.values()];
    const pools = [...poolIds].map((id) => this.#pools.get(id)).filter((pool) =>
      pool !== null && pool !== undefined
    );
    const source: DesiredSource = { ...NOTHING, services: () => services, fallback: state.fallback() };
    const desired = desiredOf(settings, source, addressesOf);
    const zones = [...this.#zoneDomains].map((domain) => this.#zoneAt(domain)).filter((zone) =>
      zone !== null
    );
    return { ...desired, pools: () => pools, zones };
  }

  /** The pools of the services, and those that stand in for them. */
  #withFallbacks(): Set<string> {
    const ids = new Set(this.#poolIds);
    for (let next = [...ids]; next.length > 0;) {
      this.load(next);
      next = next.map((id) => this.#pools.get(id)?.fallbackPoolId)
        .filter((id): id is string => typeof id === "string" && !ids.has(id));
      for (const id of next) ids.add(id);
    }
    return ids;
  }
}
