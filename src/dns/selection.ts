/**
 * Which members of a list are answered now, and in which order. That is a pure function of the list, its health
 * bits and the client, so all workers agree. For a small list of equals it is looked at again each time; for others it
 * is derived once per change of health, by each worker on its own at the first query that needs it; where it depends on
 * the client, once per prefix (`balance/client_map.ts`).
 *
 * @module
 */
import type { ClientMap } from "../balance/client_map.ts";
import type { Decision } from "../balance/decisions.ts";
import { STATE, type State } from "../balance/fence.ts";
import { rankByTier } from "../balance/failover.ts";
import { rankByLatency } from "../balance/latency.ts";
import {
  type Candidate,
  indicesOf,
  type PlainCandidate,
  rankEqual,
  type Ranking,
} from "../balance/ranking.ts";
import { rotate } from "../balance/round_robin.ts";
import { type Schedule, scheduleOf } from "../balance/weighted.ts";
import { ALGORITHMS } from "../model/model.ts";
import type { LiveBoard } from "../snapshot/live.ts";
import {
  algorithmOf,
  baseOf,
  factsOf,
  hasTwins,
  isGeofenced,
  listIdOf,
  membersIn,
  neededOf,
  NO_LIST_ID,
  outsidersIn,
  slotOf,
  SMALL_LIST_MAX,
  type SnapshotView,
  twinsAt,
} from "../snapshot/view.ts";
import { type Among, type Clients, type Grounds, MADE_FOR_A_LIST } from "./clients.ts";

/** Most addresses one answer can carry: 64 KiB of AAAA records. */
export const CHOSEN_MAX = 2340;

/** Multiples of it lie evenly between whole numbers, so that tickets go past a drain evenly, too. */
const GOLDEN_RATIO = 0.6180339887498949;
/** After so many turns those behind the lead move on, however long a cycle is. */
const ROUND_MAX = 4096;
/** Stands in `DERIVED.withoutDraining`. */
const NONE_LEFT = 0xffffffff;
/** Things that have a number before all are looked for again. */
const NUMBERED_MAX = 16_384;

/** What is derived for a list. */
const DERIVED = {
  /** Health generation for which it was derived; 0 = never. */
  generation: 0,
  /** The list record it was derived from: a change of members makes another one with the same id. */
  from: 1,
  /** Members that are up. */
  up: 2,
  /** How many of them are in the ranking. */
  ranked: 3,
  /** Where the answer depends on the client, instead: the number of its grounds, 0 = not looked for yet. */
  grounds: 3,
  /** How many at its head rotate. */
  lead: 4,
  /** Where the answer depends on the client: whether its map was looked for, in this state of health. */
  map: 5,
  /** Elsewhere, instead: whether the list has a schedule or groups behind the lead; most have neither. */
  isUneven: 5,
  /** For which limits `grounds` and `map` hold (`limitsWord`). */
  limits: 6,
  /** Elsewhere, instead: whether the list was ranked in this state of health; a chain of pools that have too few isn't. */
  isRanked: 6,
  /** Whether the map without those that drain was looked for, likewise; `NONE_LEFT` = all drain. */
  withoutDraining: 7,
  size: 8,
} as const;

/** Among which members is chosen: those that are up, or all, as if they were. */
export type Whom = "up" | "all";

/** What was derived for a list as if all its members were up, while some are. */
interface AsIfUp {
  readonly from: number;
  readonly generation: number;
  readonly order: Uint32Array;
  readonly lead: number;
  readonly schedule: Schedule | null;
  readonly ends: Uint32Array | null;
}

/**
 * For how many members a query has decisions made, those apart that it is answered from; each list counts so many more
 * (`MADE_FOR_A_LIST`). In other pools with a fence it is judged alone.
 */
const MADE_A_QUERY = 250;
/** Where decisions and rankings were made for more, no pool's CNAME is followed any more: of two large ones. */
const MADE_FOLLOWED = 600;
/** So many lists are kept for which that was derived; beyond, all are forgotten. */
const AS_IF_UP_MAX = 16_384;

/** Members of a list in order; those at the head rotate. */
export type Rotation = Pick<Decision, "order" | "lead" | "ends" | "schedule">;

/** How members of a list rotate. */
export interface Turns {
  /** What tickets stand for. */
  readonly all: Rotation;
  /** What those tickets stand for that go past members that drain; `null` = none does. */
  readonly withoutDraining: Rotation | null;
  /** The share of tickets that don't (`isLeft`). */
  readonly left: number;
}

/** What a pool says of its answers. */
export interface Limits {
  /** Addresses in an answer; 0 = all. */
  max: number;
  /** For `neededOf`; only a geofence asks for it here. */
  need: number;
}

/** Chooses members of the lists of one snapshot. */
export class Selection {
  /** Indices of the members chosen last, in order of preference. */
  readonly chosen = new Uint32Array(CHOSEN_MAX);
  /** Bits of the client's address that the last choice depends on. */
  scope = 0;
  /** Whether a member is up of those that the client judged last may be answered, be there too few of them or not. */
  isAnyUp = false;
  /** Whether tickets are only looked at: then the same is chosen again and again. */
  isDryRun = false;
  /** How many turns ahead a dry run looks. */
  ahead = 0;
  /** Those of the pool at hand; to be set before `eligible` is asked about its list. */
  readonly limits: Limits = { max: 0, need: 0 };
  /** The ticket drawn last, how many members took turns by it, and how many turns their cycle has. */
  readonly turn = { ticket: 0, lead: 0, cycle: 0 };
  readonly #records: Uint32Array;
  readonly #board: LiveBoard;
  readonly #clients: Clients;
  /** What was derived for each list: `DERIVED`, side by side, since one look-up reads all of it. */
  readonly #derived: Uint32Array;
  /** Indices of those in the ranking; a list's part begins at its base. */
  readonly #order: Uint32Array;
  /** Indices of the eligible members of the small list looked at last. */
  readonly #few = new Uint32Array(SMALL_LIST_MAX);
  #fewCount = 0;
  /** Turns of a list whose leading members differ in weight, by list id. */
  readonly #schedules = new Map<number, Schedule>();
  /** Where groups of equals behind those that lead end, by list id; few lists have any. */
  readonly #ends = new Map<number, Uint32Array>();
  /**
   * Decisions that depend on the client, by list id; many lists share one. Only the last of a list is kept here, so that
   * states of health that are over don't pile up.
   */
  #maps: (ClientMap | undefined)[] = [];
  /** The same without those that drain; few lists have any. */
  readonly #mapsWithoutDraining = new Map<number, ClientMap>();
  readonly #listsMax: number;
  /** What they rest on: many lists share that, and say which by `DERIVED.grounds`. */
  readonly #grounds = new Numbered<Grounds>();
  /** What is asked for in outages only: decisions of lists with facts, by what they are among, … */
  readonly #rare = { all: new Map<number, RareMap>(), inside: new Map<number, RareMap>() };
  /** … and rankings of lists without, some members of which are up. By list id. */
  readonly #asIfUp = new Map<number, AsIfUp>();
  /** Of these maps and grounds (`OpenGeoData.epoch`). */
  #epoch: number;
  /** When each address was taken last, by `TWINS`: the number of the choice. */
  #taken = new Uint32Array(0);
  #choices = 0;
  /** What was made when the query at hand began (`Clients.made`). */
  #madeBefore = 0;
  /** The first list in which the query at hand was judged alone, and its limits; 0 = none. */
  readonly #unmade = { list: 0, max: 0, need: 0 };

  /** Derives nothing yet; that is done per list, when it is asked for. */
  constructor(view: SnapshotView, board: LiveBoard, clients: Clients) {
    this.#records = view.records;
    this.#board = board;
    this.#clients = clients;
    this.#epoch = clients.epoch;
    this.#listsMax = view.listsMax;
    this.#derived = new Uint32Array(view.listsMax * DERIVED.size);
    this.#order = new Uint32Array(view.listMembersMax);
  }

  /** How many members of the list are up. */
  eligible(list: number): number {
    const id = listIdOf(this.#records, list);
    if (id === NO_LIST_ID) return this.#glance(list);
    if (!this.#isDerived(list, id)) this.#derive(list, id);
    return this.#derived[id * DERIVED.size + DERIVED.up]!;
  }

  /** Whether something may fence a client: then it is judged for each what can be answered (`stateFor`). */
  isFencing(list: number): boolean {
    return isGeofenced(this.#records, list);
  }

  /** Begins another query. */
  begin(): void {
    this.#madeBefore = this.#clients.made;
    this.#unmade.list = 0;
  }

  /** Ends it: what it had to do without is made now if nothing else was. */
  end(): void {
    const { list, max, need } = this.#unmade;
    if (list === 0 || this.#clients.made !== this.#madeBefore) return;
    this.limits.max = max;
    this.limits.need = need;
    this.eligible(list);
    this.#mapOf(list, listIdOf(this.#records, list));
  }

  /** Whether so much was made for the query at hand that it is to be answered with what there is. */
  get isSpent(): boolean {
    return this.#clients.made - this.#madeBefore > MADE_FOLLOWED && !this.#clients.mayWait;
  }

  /** What can be answered to a client of a list that fences; `isAnyUp` then says whether it may be answered a member that is up. */
  judge(list: number, client: () => Uint8Array): State {
    const id = listIdOf(this.#records, list);
    const isAtHand = this.#isDerived(list, id) && this.#mapAtHand(id) !== undefined;
    if (!isAtHand && !this.#mayMakeFor(list)) return this.#judgeAlone(list, client());
    this.eligible(list);
    const map = this.#mapOf(list, id);
    const { state, lead } = map.find(client());
    this.scope = map.depth;
    this.isAnyUp = lead > 0;
    return state;
  }

  /** Whether decisions for a list can be made for the query at hand on top of what was, though another one may be answered from. */
  #mayMakeFor(list: number): boolean {
    const made = this.#clients.made - this.#madeBefore;
    const members = membersIn(this.#records, list) + outsidersIn(this.#records, list);
    return made + MADE_FOR_A_LIST + members <= MADE_A_QUERY || this.#clients.mayWait;
  }

  /** Without decisions, as far as that depends on one client: nothing is known of its neighbours then. */
  #judgeAlone(list: number, address: Uint8Array): State {
    const { max, need } = this.limits;
    if (this.#unmade.list === 0) {
      this.#unmade.list = list;
      this.#unmade.max = max;
      this.#unmade.need = need;
    }
    const inside = this.#rareMapOf(list, "inside");
    const { state, up } = this.#clients.judge(list, this.limits, inside, address);
    this.scope = address.length * 8;
    this.isAnyUp = up > 0;
    if (state === STATE.up) this.eligible(list);
    return state;
  }

  /**
   * Chooses members of a list, right after `eligible` of it.
   *
   * @param client 4 or 16 bytes; read only where the answer depends on it
   * @returns how many are in `chosen`
   */
  choose(list: number, cursor: number, whom: Whom, client: () => Uint8Array): number {
    this.scope = 0;
    const id = listIdOf(this.#records, list);
    if (id === NO_LIST_ID) {
      if (whom === "all") this.#takeAll(list);
      return this.#takeFew(list, cursor);
    }
    if (factsOf(this.#records, list) !== 0) return this.#chooseFor(list, cursor, whom, client);
    const up = this.#derived[id * DERIVED.size + DERIVED.up]!;
    if (whom === "all" && up > 0) return this.#chooseAsIfUp(list, id, cursor);
    if (this.#derived[id * DERIVED.size + DERIVED.isRanked] === 0) this.#rank(list, id, up === 0);
    const isUneven = this.#derived[id * DERIVED.size + DERIVED.isUneven] !== 0;
    return this.#take(
      list,
      this.#order,
      baseOf(this.#records, list),
      this.#derived[id * DERIVED.size + DERIVED.ranked]!,
      this.#derived[id * DERIVED.size + DERIVED.lead]!,
      isUneven ? this.#schedules.get(id) ?? null : null,
      isUneven ? this.#ends.get(id) ?? null : null,
      cursor,
    );
  }

  #chooseFor(list: number, cursor: number, whom: Whom, client: () => Uint8Array): number {
    const id = listIdOf(this.#records, list);
    const map = whom === "up" ? this.#mapOf(list, id) : this.#rareMapOf(list, "all").map;
    const address = client();
    const decision = map.find(address);
    this.scope = map.depth;
    if (decision.left < 1) return this.#chooseWithoutDraining(list, cursor, whom, { address, decision });
    const { order, lead, ends, schedule } = decision;
    return this.#take(list, order, 0, order.length, lead, schedule, ends, cursor);
  }

  /** Goes past those that drain, as often as they have lost of their share. */
  #chooseWithoutDraining(
    list: number,
    cursor: number,
    whom: Whom,
    { address, decision }: { readonly address: Uint8Array; readonly decision: Decision },
  ): number {
    const others = this.#othersOf(list, whom);
    const beside = besideOf(others, address, decision);
    if (others && others.depth > this.scope) this.scope = others.depth;
    const ticket = this.#draw(cursor, decision.lead, decision.lead);
    const { order, lead, ends, schedule } = isLeft(ticket, decision.left) ? decision : beside;
    this.turn.lead = lead;
    this.turn.cycle = schedule ? schedule.cycle : lead;
    return this.#lay(list, order, 0, order.length, lead, schedule, ends, ticket);
  }

  #othersOf(list: number, whom: Whom): ClientMap | null {
    if (whom === "up") return this.#withoutDrainingOf(list);
    const rare = this.#rareMapOf(list, "all");
    if (rare.withoutDraining !== undefined) return rare.withoutDraining;
    return rare.withoutDraining = this.#withoutDraining(list, "all without draining");
  }

  /** Decisions without those that drain; `null` = all do. */
  #withoutDrainingOf(list: number): ClientMap | null {
    const id = listIdOf(this.#records, list);
    const at = id * DERIVED.size + DERIVED.withoutDraining;
    if (this.#derived[at] === NONE_LEFT) return null;
    const known = this.#derived[at] === 0 ? undefined : this.#mapsWithoutDraining.get(id);
    if (known) return known;
    const map = this.#withoutDraining(list, "up without draining");
    this.#derived[at] = map ? 1 : NONE_LEFT;
    if (map) this.#mapsWithoutDraining.set(id, map);
    return map;
  }

  #withoutDraining(list: number, among: Among): ClientMap | null {
    const { map, isSomebodyUp } = this.#clients.of(list, among, this.limits);
    return isSomebodyUp ? map : null;
  }

  /** Chooses as if all members were up from a list that has an id, no facts, and some that are. */
  #chooseAsIfUp(list: number, id: number, cursor: number): number {
    const generation = this.#board.healthGeneration;
    let known = this.#asIfUp.get(id);
    if (!known || known.from !== list || known.generation !== generation) {
      if (this.#asIfUp.size >= AS_IF_UP_MAX) this.#asIfUp.clear();
      known = { from: list, generation, ...this.#ranked(list, this.#clients.plain(list)) };
      this.#asIfUp.set(id, known);
    }
    const { order, lead, schedule, ends } = known;
    return this.#take(list, order, 0, order.length, lead, schedule, ends, cursor);
  }

  /**
   * Chooses among those members that went down last, and those that did so shortly before; all of a list that was
   * never up count as such.
   *
   * @param withinMs milliseconds before the last one within which a member went down "last", too
   */
  chooseLastHealthy(
    list: number,
    cursor: number,
    withinMs: number,
    client: () => Uint8Array,
  ): number {
    this.scope = 0;
    const inside = this.isFencing(list) ? this.#inside(list, client()) : null;
    const count = inside ? inside.length : membersIn(this.#records, list);
    const downAt = (i: number) => this.#board.downAt[slotOf(this.#records, list, inside ? inside[i]! : i)]!;
    let latest = 0;
    for (let i = 0; i < count; i++) if (downAt(i) > latest) latest = downAt(i);
    let found = 0;
    for (let i = 0; i < count; i++) if (latest - downAt(i) <= withinMs) found++;
    if (found === 0) return 0;
    const n = Math.min(found, hasTwins(this.#records, list) ? found : limit(this.limits.max));
    let skip = this.#draw(cursor, found, found) % found;
    for (let i = 0, chosen = 0; chosen < n; i = (i + 1) % count) {
      if (latest - downAt(i) > withinMs) continue;
      if (skip > 0) skip--;
      else this.chosen[chosen++] = inside ? inside[i]! : i;
    }
    return this.#withoutTwins(list, n);
  }

  /** All that a geofence leaves the client, up or not. */
  #inside(list: number, address: Uint8Array): Uint32Array {
    const { map } = this.#rareMapOf(list, "inside");
    const { order } = map.find(address);
    this.scope = map.depth;
    return order;
  }

  /** How many members of the list have to be up for the pool not to count as down. */
  needed(list: number, minHealthy: number): number {
    return neededOf(membersIn(this.#records, list), minHealthy);
  }

  /** The decisions for the list by client, and those they choose from; only of a list with facts. */
  clientsOf(
    list: number,
    whom: Whom,
  ): { readonly map: ClientMap; readonly candidates: readonly Candidate[] } {
    return {
      map: this.#clients.of(list, whom, this.limits).map,
      candidates: this.#clients.among(list, whom),
    };
  }

  /** Which members rotate: their indices, valid until the next call; right after `choose` of this list. */
  leading(list: number, whom: Whom, client: () => Uint8Array): Uint32Array {
    const id = listIdOf(this.#records, list);
    if (id === NO_LIST_ID) return this.#few.subarray(0, this.#fewCount);
    if (factsOf(this.#records, list) !== 0) {
      const map = whom === "up" ? this.#mapOf(list, id) : this.#rareMapOf(list, "all").map;
      const { order, lead } = map.find(client());
      return order.subarray(0, lead);
    }
    const asIfUp = this.#asIfUp.get(id);
    if (whom === "all" && this.#derived[id * DERIVED.size + DERIVED.up]! > 0 && asIfUp) {
      return asIfUp.order.subarray(0, asIfUp.lead);
    }
    const base = baseOf(this.#records, list);
    return this.#order.subarray(base, base + this.#derived[id * DERIVED.size + DERIVED.lead]!);
  }

  /**
   * How they rotate, valid as long as health and the list are what they are; right after `choose` of this list. `null` =
   * all of a small list are equals.
   */
  turns(list: number, whom: Whom, client: () => Uint8Array): Turns | null {
    const id = listIdOf(this.#records, list);
    if (id === NO_LIST_ID) return null;
    if (factsOf(this.#records, list) !== 0) {
      const map = whom === "up" ? this.#mapOf(list, id) : this.#rareMapOf(list, "all").map;
      const address = client();
      const all = map.find(address);
      const isDraining = all.left < 1;
      const withoutDraining = isDraining ? besideOf(this.#othersOf(list, whom), address, all) : null;
      return { all, withoutDraining, left: all.left };
    }
    const asIfUp = this.#asIfUp.get(id);
    if (whom === "all" && this.#derived[id * DERIVED.size + DERIVED.up]! > 0 && asIfUp) {
      return { all: asIfUp, withoutDraining: null, left: 1 };
    }
    const base = baseOf(this.#records, list);
    const at = id * DERIVED.size;
    const all = {
      order: this.#order.subarray(base, base + this.#derived[at + DERIVED.ranked]!),
      lead: this.#derived[at + DERIVED.lead]!,
      schedule: this.#schedules.get(id) ?? null,
      ends: this.#ends.get(id) ?? null,
    };
    return { all, withoutDraining: null, left: 1 };
  }

  /** Those of a small list rotate, all of them. What most answers are made by: it has no branch that it can do without. */
  #takeFew(list: number, cursor: number): number {
    const count = this.#fewCount;
    if (count < 2) {
      this.turn.lead = count;
      this.chosen[0] = this.#few[0]!;
      return count;
    }
    const ticket = this.#draw(cursor, count, count);
    if (hasTwins(this.#records, list)) return this.#lay(list, this.#few, 0, count, count, null, null, ticket);
    const { max } = this.limits;
    const n = max === 0 || max > count ? count : max;
    rotate(this.#few, 0, count, ticket, n, this.chosen);
    return n;
  }

  /** Members that lead rotate, the others follow in order; equals among them rotate, too. */
  #take(
    list: number,
    order: Uint32Array,
    at: number,
    count: number,
    lead: number,
    schedule: Schedule | null,
    ends: Uint32Array | null,
    cursor: number,
  ): number {
    if (count === 0) return 0;
    if (lead === 1 && (ends === null || this.limits.max === 1)) {
      this.turn.lead = 1;
      return this.#lay(list, order, at, count, lead, null, ends, 0);
    }
    const ticket = this.#draw(cursor, lead, schedule ? schedule.cycle : lead);
    return this.#lay(list, order, at, count, lead, schedule, ends, ticket);
  }

  /** Writes the members in order, beginning with the one whose turn it is. */
  #lay(
    list: number,
    order: Uint32Array,
    at: number,
    count: number,
    lead: number,
    schedule: Schedule | null,
    ends: Uint32Array | null,
    ticket: number,
  ): number {
    const isTwinned = hasTwins(this.#records, list);
    const n = isTwinned ? count : Math.min(count, limit(this.limits.max));
    const first = schedule ? schedule.at(ticket) : ticket;
    rotate(order, at, lead, first, n, this.chosen);
    if (ends === null) { for (let i = lead; i < n; i++) this.chosen[i] = order[at + i]!; }
    else {this.#layBehind(
        order,
        at,
        lead,
        ends,
        Math.floor(ticket / roundOf(lead, schedule)),
        n,
      );}
    return isTwinned ? this.#withoutTwins(list, n) : n;
  }

  /** Writes those that don't lead: each group of equals moves on by one when those that lead have had their turns. */
  #layBehind(order: Uint32Array, at: number, lead: number, ends: Uint32Array, turn: number, n: number): void {
    let begin = lead;
    for (let group = 0; group < ends.length && begin < n; group++) {
      const end = ends[group]!;
      const size = end - begin;
      for (let i = begin; i < end && i < n; i++) {
        this.chosen[i] = order[at + begin + (i - begin + turn) % size]!;
      }
      begin = end;
    }
  }

  /** Keeps each address once among those that were chosen (RFC 2181 §5), and so many at most. */
  #withoutTwins(list: number, chosen: number): number {
    if (!hasTwins(this.#records, list)) return chosen;
    const count = membersIn(this.#records, list);
    if (this.#taken.length < count) this.#taken = new Uint32Array(Math.max(count, CHOSEN_MAX));
    const choice = this.#choices = (this.#choices + 1) >>> 0;
    const twins = twinsAt(this.#records, list);
    let kept = 0;
    for (let i = 0; i < chosen && kept < limit(this.limits.max); i++) {
      const member = this.chosen[i]!;
      const first = this.#records[twins + member]!;
      if (this.#taken[first] === choice) continue;
      this.#taken[first] = choice;
      this.chosen[kept++] = member;
    }
    return kept;
  }

  #draw(cursor: number, lead: number, cycle: number): number {
    const { tickets } = this.#board;
    const ticket = this.isDryRun
      ? (Atomics.load(tickets, cursor) + this.ahead) >>> 0
      : Atomics.add(tickets, cursor, 1);
    this.turn.ticket = ticket;
    this.turn.lead = lead;
    this.turn.cycle = cycle;
    return ticket;
  }

  #glance(list: number): number {
    const count = membersIn(this.#records, list);
    let found = 0;
    for (let i = 0; i < count; i++) {
      if (this.#board.isUp(slotOf(this.#records, list, i))) this.#few[found++] = i;
    }
    return this.#fewCount = found;
  }

  /** All of a small list, as if they were up. */
  #takeAll(list: number): void {
    this.#fewCount = membersIn(this.#records, list);
    for (let i = 0; i < this.#fewCount; i++) this.#few[i] = i;
  }

  #isDerived(list: number, id: number): boolean {
    const at = id * DERIVED.size;
    return this.#derived[at] === this.#board.healthGeneration && this.#derived[at + DERIVED.from] === list;
  }

  #derive(list: number, id: number): void {
    const generation = this.#board.healthGeneration;
    const count = membersIn(this.#records, list);
    let up = 0;
    for (let i = 0; i < count; i++) if (this.#board.isUp(slotOf(this.#records, list, i))) up++;
    const at = id * DERIVED.size;
    if (factsOf(this.#records, list) === 0) this.#derived[at + DERIVED.isRanked] = 0;
    else {
      if (this.#derived[at + DERIVED.from] !== list) this.#derived[at + DERIVED.grounds] = 0;
      this.#derived[at + DERIVED.map] = 0;
    }
    this.#derived[at + DERIVED.withoutDraining] = 0;
    this.#derived[at + DERIVED.up] = up;
    this.#derived[at + DERIVED.from] = list;
    this.#derived[at + DERIVED.generation] = generation;
  }

  /** Ranks the members that are up, for every client alike; while none is, all of them as if they were. */
  #rank(list: number, id: number, isAllDown: boolean): void {
    this.#clients.made += MADE_FOR_A_LIST + membersIn(this.#records, list);
    const base = baseOf(this.#records, list);
    const candidates = this.#clients.plain(list).filter(({ isUp }) => isUp || isAllDown);
    const { order, lead, schedule, ends } = this.#ranked(list, candidates);
    this.#order.set(order, base);
    this.#derived[id * DERIVED.size + DERIVED.ranked] = order.length;
    this.#derived[id * DERIVED.size + DERIVED.lead] = lead;
    this.#derived[id * DERIVED.size + DERIVED.isUneven] = schedule || ends ? 1 : 0;
    this.#derived[id * DERIVED.size + DERIVED.isRanked] = 1;
    if (schedule) this.#schedules.set(id, schedule);
    else this.#schedules.delete(id);
    if (ends) this.#ends.set(id, ends);
    else this.#ends.delete(id);
  }

  #ranked(list: number, candidates: readonly PlainCandidate[]) {
    const { order, lead, ends } = rankAlike(algorithmOf(this.#records, list), candidates);
    const weights = order.slice(0, lead).map((position) => candidates[position]!.weight);
    return {
      order: indicesOf(order, candidates),
      lead,
      schedule: scheduleOf(weights),
      ends: ends ? Uint32Array.from(ends) : null,
    };
  }

  /** The decisions of a list in this state of health and for these limits, if they were asked for before. */
  #mapAtHand(id: number): ClientMap | undefined {
    if (this.#clients.epoch !== this.#epoch) this.#forgetMaps();
    const at = id * DERIVED.size;
    const isSame = this.#derived[at + DERIVED.map] !== 0 &&
      this.#derived[at + DERIVED.limits] === limitsWord(this.limits);
    return isSame ? this.#maps[id] : undefined;
  }

  #mapOf(list: number, id: number): ClientMap {
    const known = this.#mapAtHand(id);
    if (known) return known;
    const at = id * DERIVED.size;
    const limits = limitsWord(this.limits);
    const isSameLimits = this.#derived[at + DERIVED.limits] === limits;
    let grounds = isSameLimits ? this.#grounds.get(this.#derived[at + DERIVED.grounds]!) : undefined;
    if (!grounds) {
      grounds = this.#clients.groundsOf(list, "up", this.limits);
      this.#derived[at + DERIVED.grounds] = this.#grounds.numberOf(grounds);
      this.#derived[at + DERIVED.limits] = limits;
      this.#derived[at + DERIVED.withoutDraining] = 0;
    }
    const { map } = this.#clients.of(list, "up", this.limits, grounds);
    this.#derived[at + DERIVED.map] = 1;
    // All at once: where it grew by gaps V8 would look places up by hashes.
    if (this.#maps.length === 0) this.#maps = new Array<ClientMap | undefined>(this.#listsMax);
    this.#maps[id] = map;
    return map;
  }

  /** Lets go of maps that are forgotten elsewhere; they are found again, or made, where they are asked for. */
  #forgetMaps(): void {
    this.#epoch = this.#clients.epoch;
    this.#maps = [];
    this.#mapsWithoutDraining.clear();
    this.#grounds.forget();
    this.#rare.all.clear();
    this.#rare.inside.clear();
  }

  /** Decisions that only an outage asks for. */
  #rareMapOf(list: number, among: "all" | "inside"): RareMap {
    if (this.#clients.epoch !== this.#epoch) this.#forgetMaps();
    const limits = limitsWord(this.limits);
    const id = listIdOf(this.#records, list);
    const generation = this.#board.healthGeneration;
    const maps = this.#rare[among];
    const last = maps.get(id);
    const known = last && last.from === list && last.limits === limits ? last : null;
    if (known?.generation === generation) return known;
    if (maps.size >= AS_IF_UP_MAX) maps.clear();
    const grounds = known?.grounds ?? this.#clients.groundsOf(list, among, this.limits);
    const { map } = this.#clients.of(list, among, this.limits, grounds);
    const made = { from: list, generation, limits, grounds, map, withoutDraining: undefined };
    maps.set(id, made);
    return made;
  }
}

/** Decisions as if all members were up, or of all inside a fence. */
interface RareMap {
  readonly from: number;
  readonly generation: number;
  readonly limits: number;
  /** What it rests on, in any state of health. */
  readonly grounds: Grounds;
  readonly map: ClientMap;
  /** The same without those that drain; `undefined` = it wasn't asked for yet, `null` = all do. */
  withoutDraining: ClientMap | null | undefined;
}

/** How members rotate by tickets that go past those that drain. */
function besideOf(others: ClientMap | null, address: Uint8Array, decision: Decision): Decision {
  const beside = others ? others.find(address) : decision;
  // Inside a fence that leaves no others those that drain keep what they have.
  return beside.order.length === 0 ? decision : beside;
}

/** Whether a ticket still stands for those that drain, of which so much is left. */
export function isLeft(ticket: number, left: number): boolean {
  return ticket * GOLDEN_RATIO % 1 < left;
}

/** After how many tickets those behind the lead move on. */
export function roundOf(lead: number, schedule: Schedule | null): number {
  return schedule ? Math.min(schedule.cycle, ROUND_MAX) : lead;
}

/** A pool's limits as one word, so that a list that stays while its pool changes is looked at again. */
function limitsWord({ max, need }: Limits): number {
  return (max << 17 ^ need) >>> 0;
}

/**
 * Things by number, so that a word can stand for one. Those that nothing needs any more pile up; when there are too many,
 * all lose their numbers, and whoever still needs one looks for it again.
 */
class Numbered<T> {
  #things: T[] = [];
  readonly #numbers = new Map<T, number>();
  /** Of the things with numbers now; numbers from before stand for nothing. */
  #from = 1;

  /** What a number stands for, if anything; 0 never does. */
  get(number: number): T | undefined {
    return number < this.#from ? undefined : this.#things[number - this.#from];
  }

  /** The number of a thing, which gets one when it has none. */
  numberOf(thing: T): number {
    const known = this.#numbers.get(thing);
    if (known !== undefined) return known;
    if (this.#things.length === NUMBERED_MAX) this.forget();
    const number = this.#from + this.#things.push(thing) - 1;
    this.#numbers.set(thing, number);
    return number;
  }

  /** Takes all their numbers away. */
  forget(): void {
    this.#from += this.#things.length;
    this.#things = [];
    this.#numbers.clear();
  }
}

const FAILOVER = ALGORITHMS.indexOf("failover");
const LATENCY = ALGORITHMS.indexOf("latency");

/** Ranks by an algorithm that doesn't look at the client. */
export function rankAlike(algorithm: number, candidates: readonly PlainCandidate[]): Ranking {
  if (algorithm === FAILOVER) return rankByTier(candidates);
  if (algorithm === LATENCY) return rankByLatency(candidates);
  return rankEqual(candidates);
}

function limit(max: number): number {
  return max === 0 ? CHOSEN_MAX : max;
}
