/**
 * The guard of a node: forecasts what a change would do to answers, and says whether it is to be refused.
 *
 * Asked inside the committing transaction, it compares what the touched names are answered from before and after the change,
 * with health frozen. A change that can neither empty a name nor move many answers isn't forecast unless a person is to
 * see it, so that an edit of one pool costs next to nothing.
 *
 * @module
 */
import {
  type AnswersForeseen,
  DIFFERENCES_MAX,
  type Examination,
  type Guard,
  NOTHING_FORESEEN,
  type Proposal,
  type Replay,
} from "../change/guard.ts";
import type { AddressesOf } from "../desired/flattened.ts";
import type { GeoData } from "../geo/geo_data.ts";
import { locationOf, type Placed } from "../geo/geo_files.ts";
import { Mmdb } from "../geo/mmdb.ts";
import type { Settings } from "../settings/settings.ts";
import type { ObjectKind } from "../store/history.ts";
import type { ChangeCounts } from "../store/replacement.ts";
import type { Store } from "../store/store.ts";
import type { Touched } from "../store/touched.ts";
import { CLIENTS_MAX, clientsOf } from "./clients.ts";
import { differ, type Differences } from "./differences.ts";
import { Forecast, type FrozenHealth, type World } from "./forecast.ts";
import { type DeletedObjects, type GuardLimits, judge } from "./guards.ts";
import { isHarmless, poolsInDoubt } from "./harmless.ts";
import { replayOf } from "./replay.ts";
import { type Reach, reachOf } from "./scope.ts";
import { type ModelState, StateBefore, StoredState } from "./states.ts";

/** What a guard goes by; asked for each change. */
export interface AnswerGuardOptions {
  /** Of now. */
  readonly settings: () => GuardSettings;
  /** Health, clients and places of this moment. */
  readonly world: () => World;
  /** What is known of members by name. */
  readonly addressesOf: AddressesOf;
  /** Unix milliseconds. */
  readonly nowMs: () => number;
  /** All of it for another thread. */
  readonly portable: () => PortableGuard;
}

/** What a guard on another thread goes by, as it is at one moment. */
export interface PortableGuard {
  /** Those that answers and guards depend on. */
  readonly settings: GuardSettings & { readonly geoip: Pick<Settings["geoip"], "endpointLocations"> };
  /** Who is out, and how far away members are. */
  readonly health: FrozenHealth;
  /** What is known of clients; its memory is shared. */
  readonly geoData: GeoData;
  /** By name, the addresses that are known. */
  readonly addresses: ReadonlyMap<string, readonly string[]>;
  /** Unix milliseconds. */
  readonly nowMs: number;
}

/** The settings that answers and guards depend on. */
export type GuardSettings = Pick<Settings, "dns" | "fallback" | "guards">;

/** Looks at changes of a node's model. */
export class AnswerGuard implements Guard {
  readonly #options: AnswerGuardOptions;

  /** Reads nothing yet. */
  constructor(options: AnswerGuardOptions) {
    this.#options = options;
  }

  /** The guard of another thread. */
  static of(portable: PortableGuard): AnswerGuard {
    const { settings, health, geoData, addresses, nowMs } = portable;
    const { endpointLocations } = settings.geoip;
    const city = geoData.city.map((file) => ({ mmdb: new Mmdb(new Uint8Array(file)) }));
    const world = {
      health,
      geoData,
      locationOf: (member: Placed) => locationOf(member, { endpointLocations, city }),
    };
    return new AnswerGuard({
      settings: () => settings,
      world: () => world,
      addressesOf: (target) => addresses.get(target) ?? [],
      nowMs: () => nowMs,
      portable: () => portable,
    });
  }

  /** What another thread's guard is made of. */
  portable(): PortableGuard {
    return this.#options.portable();
  }

  /** What a change would do to answers, and whether that is to be refused. */
  examine(proposal: Proposal): Examination {
    const { store, counts, touched, isPlan } = proposal;
    const { guards } = this.#options.settings();
    const limits = {
      movedShare: guards.movedPercent / 100,
      deletedShare: guards.deletedPercent / 100,
      minObjects: guards.minObjects,
    };
    const deleted = deletedOf(proposal, limits);
    const isReached = proposal.replayMs > 0 || reaches(store, touched, counts);
    const found = touched.everything || !isReached ? null : this.#compare(proposal, limits);
    if (!isPlan && found === null && deleted.length === 0) return NOTHING_FORESEEN;
    const { differences, losingPool, replay } = found ?? NOTHING_FOUND;
    const names = isPlan
      ? namesBefore(proposal)
      : namesBefore(proposal, enoughFor(differences.movedWeight, limits));
    const refusals = judge({
      differences,
      losingPool,
      names: { count: names, weight: names },
      deleted,
      isOverride: isOverride(counts),
    }, limits);
    return { refusals, answers: foreseen(differences, names), replay };
  }

  /** `null` = whatever differs, it can't be refused. */
  #compare(proposal: Proposal, limits: GuardLimits): Found | null {
    const { store, counts, generation, before, isPlan, replayMs, expectWanted } = proposal;
    let { touched } = proposal;
    const after = new StoredState(store);
    const past: ModelState = before
      ? new StoredState(before)
      : new StateBefore(after, store.history.changes(generation));
    const { settings, addressesOf, nowMs } = this.#options;
    const world = this.#options.world();
    const { health } = world;
    if (!isPlan && replayMs === 0) {
      const options = { health, addressesOf, nowMs: nowMs(), generation };
      const states = { before: past, after };
      if (isOverride(counts)) {
        touched = { ...touched, poolIds: poolsInDoubt(touched.poolIds, states, options) };
        if (touched.poolIds.length === 0) return null;
      } else {
        const mayMove = (names: number) => isFew(names, proposal, limits);
        if (isHarmless(touched, states, { ...options, mayMove })) return null;
      }
    }
    const reach = reachOf(touched, { before: past, after }, {
      settings: settings(),
      addressesOf,
      nowMs: nowMs(),
      generation,
      // Recorded queries are asked of each name.
      health: replayMs === 0 ? health : null,
      isShown: isPlan,
    });
    if (reach.subjects.length === 0 && replayMs === 0) return NOTHING_FOUND;
    expectWanted();
    const [was, willBe] = [new Forecast(reach.before, world), new Forecast(reach.after, world)];
    const differences = differ(was, willBe, {
      subjects: eachWanted(reach.subjects, expectWanted),
      clients: clientsOf([reach.before, reach.after], world.geoData, clientsMaxOf(reach, isPlan)),
    });
    const to = Math.floor(nowMs() / HOUR_MS);
    const from = to - Math.ceil(replayMs / HOUR_MS) + 1;
    const replay = replayMs === 0 ? null : replayOf({
      ...{ before: was, after: willBe, hours: { from, to } },
      names: new Set(reach.subjects.map(({ name }) => name)),
      total: store.traffic.total(from, to),
      recorded: eachWanted(store.traffic.between(from, to), expectWanted),
    });
    return { differences, losingPool: reach.losingPool, replay };
  }
}

/** Each of the items, until `expectWanted` throws. */
function* eachWanted<Item>(items: Iterable<Item>, expectWanted: () => void): Generator<Item> {
  for (const item of items) {
    expectWanted();
    yield item;
  }
}

/** Milliseconds of an hour. */
const HOUR_MS = 3_600_000;
/** Clients that are asked about in all pools together where a person is to see the differences, and otherwise. */
const ASKED = { plan: 400_000, guard: 400 };
/** Some countries at least. */
const CLIENTS_MIN = 32;

/** How many clients are asked about: each costs some microseconds for each pool. */
function clientsMaxOf({ pools }: Reach, isPlan: boolean): number {
  const asked = isPlan ? ASKED.plan : ASKED.guard;
  return Math.max(CLIENTS_MIN, Math.min(CLIENTS_MAX, Math.floor(asked / Math.max(1, pools))));
}

/** What came of a comparison. */
interface Found {
  readonly differences: Differences;
  readonly losingPool: readonly string[];
  readonly replay: Replay | null;
}

const NOTHING_FOUND: Found = {
  differences: { names: 0, differences: [], count: 0, movedWeight: 0, emptied: [], emptiedNames: 0 },
  losingPool: [],
  replay: null,
};

function foreseen({ names, differences, count, movedWeight }: Differences, all: number): AnswersForeseen {
  return {
    services: names,
    movedShare: all > 0 ? Math.min(1, movedWeight / all) : 0,
    differences: differences.slice(0, DIFFERENCES_MAX),
    truncated: count > differences.length,
  };
}

function created(counts: ChangeCounts, kind: ObjectKind): number {
  return counts[kind]?.created ?? 0;
}

function isOverride(counts: ChangeCounts): boolean {
  return Object.keys(counts).every((kind) => kind === "override");
}

/** How many names there are before the change; of more than `enough`, so many or more. */
function namesBefore({ store, counts }: Proposal, enough = Infinity): number {
  const { created = 0, deleted = 0 } = counts.service ?? {};
  const { services } = store;
  return (enough === Infinity ? services.count() : services.countUpTo(enough + created)) - created + deleted;
}

/** Of so many names so much may move, however many more there are. */
function enoughFor(movedWeight: number, { movedShare, minObjects }: GuardLimits): number {
  return movedWeight === 0 ? minObjects : Math.max(minObjects, Math.ceil(movedWeight / movedShare));
}

/** Whether so many names are no more than may move altogether. */
function isFew(names: number, proposal: Proposal, limits: GuardLimits): boolean {
  if (names === 0) return true;
  const all = namesBefore(proposal, enoughFor(names, limits));
  return all < limits.minObjects || names / all <= limits.movedShare;
}

/** Whether any name may be answered otherwise: nothing is answered from what is new and nothing leads to. */
function reaches(
  store: Store,
  { poolIds, serviceIds, zoneDomains, fallback }: Touched,
  counts: ChangeCounts,
): boolean {
  if (fallback || zoneDomains.length > 0) return true;
  if (serviceIds.length > created(counts, "service")) return true;
  return poolIds.some((id) =>
    store.services.someOf(id, 1).length > 0 || store.pools.fallingBackTo(id).length > 0
  );
}

const KINDS = [
  ["pool", "pools"],
  ["service", "services"],
  ["member", "members"],
  ["zone", "zones"],
] as const;

/** What is deleted, of kinds of which it may be too much. */
function deletedOf(
  { counts, store, generation }: Proposal,
  limits: GuardLimits,
): DeletedObjects[] {
  return KINDS.flatMap(([kind, plural]) => {
    const { deleted = 0, created = 0 } = counts[kind] ?? {};
    if (deleted === 0) return [];
    const before = store[plural].count() - created + deleted;
    if (before < limits.minObjects || deleted / before <= limits.deletedShare) return [];
    return [{ kind: plural, before, deleted, names: namesOf(store, generation, kind) }];
  });
}

/** Names that are shown of objects that go. */
const NAMES_MAX = 10;

function namesOf(store: Store, generation: number, kind: ObjectKind): string[] {
  const names: string[] = [];
  for (const change of store.history.changes(generation)) {
    if (change.kind !== kind || change.after !== null) continue;
    const { name, domain, ipAddress, target } = change.before as Record<string, unknown>;
    names.push(String(name ?? domain ?? ipAddress ?? target));
    if (names.length === NAMES_MAX) break;
  }
  return names;
}
