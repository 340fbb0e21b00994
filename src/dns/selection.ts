/**
 * Which members of a list are answered now, and in which order. That is a pure function of the list, its health
 * bits and the client, so all workers agree. For a small list of equals it is looked at anew each time; for others it
 * is derived once per change of health, by each worker on its own at the first query that needs it; where it depends on
 * the client, once per prefix (`balance/client_map.ts`).
 *
 * @module
 */
import type { ClientMap, Decision } from "../balance/client_map.ts";
import { rankByTier } from "../balance/failover.ts";
import { rankByLatency } from "../balance/latency.ts";
import { type Candidate, rankEqual, type Ranking } from "../balance/ranking.ts";
import { rotate } from "../balance/round_robin.ts";
import { smoothSchedule } from "../balance/weighted.ts";
import { ALGORITHMS } from "../config/model.ts";
import { LIST, NEED_PERCENT, NO_LIST_ID, SMALL_LIST_MAX } from "../snapshot/layout.ts";
import type { LiveBoard } from "../snapshot/live.ts";
import type { SnapshotView } from "../snapshot/view.ts";
import type { Clients, ClientsOfList } from "./clients.ts";

/** Most addresses one answer can carry: 64 KiB of AAAA records. */
export const CHOSEN_MAX = 2340;

/** Multiples of it lie evenly between whole numbers, so that tickets go past a drain evenly, too. */
const GOLDEN_RATIO = 0.6180339887498949;
/** Stands in `DERIVED.past`. */
const NOBODY = 0xffffffff;
/** Maps kept before all are looked for again. */
const MAPS_MAX = 16_384;

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
  /** How many at its head take turns. */
  lead: 4,
  /** Where the answer depends on the client: one more than the index of its map, 0 = not looked for yet, … */
  map: 5,
  /** … and for how many addresses that is. */
  max: 6,
  /** Likewise the map without those that drain; `NOBODY` = there is nobody else. */
  past: 7,
  size: 8,
} as const;

/** Chooses members of the lists of one snapshot. */
export class Selection {
  /** Indices of the members chosen last, in order of preference. */
  readonly chosen = new Uint32Array(CHOSEN_MAX);
  /** Bits of the client's address that the last choice depends on. */
  scope = 0;
  /** Whether tickets are only looked at: then the same is chosen again and again. */
  isRehearsing = false;
  /** How many turns ahead a rehearsal looks. */
  ahead = 0;
  /** The ticket drawn last, how many members took turns by it, and how many turns their cycle has. */
  readonly turn = { ticket: 0, lead: 0, cycle: 0 };
  readonly #records: Uint32Array;
  readonly #board: LiveBoard;
  readonly #clients: Clients;
  /** What was derived for each list: `DERIVED`, side by side, since one look-up reads all of it. */
  readonly #derived: Uint32Array;
  /** Indices of those in the ranking; a list's part begins at `LIST.base`. */
  readonly #order: Uint32Array;
  /** Indices of the eligible members of the small list looked at last. */
  readonly #few = new Uint32Array(SMALL_LIST_MAX);
  #fewCount = 0;
  /** Turns of a list whose leading members differ in weight, by list id. */
  readonly #schedules = new Map<number, Uint16Array>();
  /** Decisions that depend on the client; many lists share one, and say which by `DERIVED.map`. */
  readonly #maps: ClientMap[] = [];
  readonly #mapNumbers = new Map<ClientMap, number>();

  /** Derives nothing yet; that is done per list, when it is asked for. */
  constructor(view: SnapshotView, board: LiveBoard, clients: Clients) {
    this.#records = view.records;
    this.#board = board;
    this.#clients = clients;
    this.#derived = new Uint32Array(view.listsMax * DERIVED.size);
    this.#order = new Uint32Array(view.listMembersMax);
  }

  /** How many members of the list are up. */
  eligible(list: number): number {
    const id = this.#records[list + LIST.id]!;
    if (id === NO_LIST_ID) return this.#glance(list);
    const at = id * DERIVED.size;
    if (this.#derived[at] !== this.#board.healthGeneration || this.#derived[at + DERIVED.from] !== list) {
      this.#derive(list, id);
    }
    return this.#derived[at + DERIVED.up]!;
  }

  /**
   * Chooses among the members that are up, of which there must be at least one; right after `eligible` of this list.
   *
   * @param max 0 = all
   * @param client 4 or 16 bytes; read only where the answer depends on it
   * @returns how many are in `chosen`; 0 = the client is fenced in with members that are down, see `chooseFenced`
   */
  chooseEligible(list: number, cursor: number, max: number, client: () => Uint8Array): number {
    this.scope = 0;
    const id = this.#records[list + LIST.id]!;
    if (id === NO_LIST_ID) return this.#take(this.#few, 0, this.#fewCount, this.#fewCount, null, cursor, max);
    if (this.#records[list + LIST.facts] === 0) {
      return this.#take(
        this.#order,
        this.#records[list + LIST.base]!,
        this.#derived[id * DERIVED.size + DERIVED.ranked]!,
        this.#derived[id * DERIVED.size + DERIVED.lead]!,
        this.#schedules.get(id) ?? null,
        cursor,
        max,
      );
    }
    const map = this.#mapOf(list, id, max);
    const address = client();
    const decision = map.find(address);
    this.scope = map.depth;
    if (decision.left < 1) return this.#choosePast(list, cursor, max, { address, decision });
    const { order, lead, schedule, isDown } = decision;
    return isDown ? 0 : this.#take(order, 0, order.length, lead, schedule, cursor, max);
  }

  /** Goes past those that drain, as often as they have lost of their share. */
  #choosePast(
    list: number,
    cursor: number,
    max: number,
    { address, decision }: { readonly address: Uint8Array; readonly decision: Decision },
  ): number {
    const past = this.#pastOf(list, max);
    const beside = past ? past.find(address) : decision;
    if (past && past.depth > this.scope) this.scope = past.depth;
    const ticket = this.#draw(cursor, decision.lead, decision.lead);
    const { order, lead, schedule, isDown } = ticket * GOLDEN_RATIO % 1 < decision.left ? decision : beside;
    if (isDown) return 0;
    this.turn.lead = lead;
    this.turn.cycle = schedule ? schedule.length : lead;
    const first = schedule ? schedule[ticket % schedule.length]! : ticket;
    return this.#lay(order, 0, order.length, lead, first, max);
  }

  /** Decisions without those that drain; `null` = nobody else is up. */
  #pastOf(list: number, max: number): ClientMap | null {
    const at = this.#records[list + LIST.id]! * DERIVED.size + DERIVED.past;
    if (this.#derived[at] === 0) {
      const map = this.#clients.past(list, max);
      this.#derived[at] = map ? this.#numberOf(map) : NOBODY;
    }
    return this.#derived[at] === NOBODY ? null : this.#maps[this.#derived[at]! - 1]!;
  }

  /** Chooses among all members of the list, up or not. */
  chooseAll(list: number, cursor: number, max: number): number {
    const count = this.#records[list + LIST.count]!;
    const n = Math.min(count, limit(max));
    const ticket = this.#draw(cursor, count, count);
    for (let i = 0; i < n; i++) this.chosen[i] = (ticket + i) % count;
    return n;
  }

  /** Chooses among all members that a geofence leaves the client, up or not; right after `chooseEligible` gave 0. */
  chooseFenced(list: number, cursor: number, max: number, client: () => Uint8Array): number {
    const { order } = this.#mapOf(list, this.#records[list + LIST.id]!, max).find(client());
    return this.#take(order, 0, order.length, order.length, null, cursor, max);
  }

  /** Chooses among those members that went down last (all of a list that was never up count as such). */
  chooseLastHealthy(list: number, cursor: number, max: number): number {
    const count = this.#records[list + LIST.count]!;
    let latest = 0;
    let found = 0;
    for (let i = 0; i < count; i++) {
      const downAt = this.#board.downAt[this.#slot(list, i)]!;
      if (downAt > latest) {
        latest = downAt;
        found = 0;
      }
      if (downAt === latest) found++;
    }
    const n = Math.min(found, limit(max));
    let skip = this.#draw(cursor, found, found) % found;
    for (let i = 0, chosen = 0; chosen < n; i = (i + 1) % count) {
      if (this.#board.downAt[this.#slot(list, i)] !== latest) continue;
      if (skip > 0) skip--;
      else this.chosen[chosen++] = i;
    }
    return n;
  }

  /** How many members of the list have to be up for the pool not to count as down. */
  needed(list: number, minHealthy: number): number {
    if (minHealthy < NEED_PERCENT) return minHealthy > 1 ? minHealthy : 1;
    const percent = minHealthy - NEED_PERCENT;
    return Math.max(1, Math.ceil(this.#records[list + LIST.count]! * percent / 100));
  }

  /** The decisions for the list by client; only of a list with facts, right after `eligible` of it. */
  clientsOf(list: number, max: number): ClientsOfList {
    return this.#clients.of(list, max);
  }

  /** Who takes turns: indices of members, valid until the next call; right after `chooseEligible` of this list. */
  leading(list: number, max: number, client: () => Uint8Array): Uint32Array {
    const id = this.#records[list + LIST.id]!;
    if (id === NO_LIST_ID) return this.#few.subarray(0, this.#fewCount);
    if (this.#records[list + LIST.facts] !== 0) {
      const { order, lead } = this.#mapOf(list, id, max).find(client());
      return order.subarray(0, lead);
    }
    const base = this.#records[list + LIST.base]!;
    return this.#order.subarray(base, base + this.#derived[id * DERIVED.size + DERIVED.lead]!);
  }

  /** Members that lead take turns, the others follow in order. */
  #take(
    order: Uint32Array,
    at: number,
    count: number,
    lead: number,
    schedule: Uint16Array | null,
    cursor: number,
    max: number,
  ): number {
    if (lead === 1) {
      this.turn.lead = 1;
      return this.#lay(order, at, count, lead, 0, max);
    }
    const ticket = this.#draw(cursor, lead, schedule ? schedule.length : lead);
    return this.#lay(order, at, count, lead, schedule ? schedule[ticket % schedule.length]! : ticket, max);
  }

  /** Writes the members in order, beginning with the one whose turn it is. */
  #lay(
    order: Uint32Array,
    at: number,
    count: number,
    lead: number,
    first: number,
    max: number,
  ): number {
    const n = Math.min(count, limit(max));
    rotate(order, at, lead, first, n, this.chosen);
    for (let i = lead; i < n; i++) this.chosen[i] = order[at + i]!;
    return n;
  }

  #draw(cursor: number, lead: number, cycle: number): number {
    const { tickets } = this.#board;
    const ticket = this.isRehearsing
      ? (Atomics.load(tickets, cursor) + this.ahead) >>> 0
      : Atomics.add(tickets, cursor, 1);
    this.turn.ticket = ticket;
    this.turn.lead = lead;
    this.turn.cycle = cycle;
    return ticket;
  }

  #glance(list: number): number {
    const count = this.#records[list + LIST.count]!;
    let found = 0;
    for (let i = 0; i < count; i++) if (this.#board.isUp(this.#slot(list, i))) this.#few[found++] = i;
    return this.#fewCount = found;
  }

  #derive(list: number, id: number): void {
    const generation = this.#board.healthGeneration;
    const count = this.#records[list + LIST.count]!;
    let up = 0;
    for (let i = 0; i < count; i++) if (this.#board.isUp(this.#slot(list, i))) up++;
    if (this.#records[list + LIST.facts] === 0 && up > 0) this.#rank(list, id);
    const at = id * DERIVED.size;
    this.#derived[at + DERIVED.map] = 0;
    this.#derived[at + DERIVED.past] = 0;
    this.#derived[at + DERIVED.up] = up;
    this.#derived[at + DERIVED.from] = list;
    this.#derived[at + DERIVED.generation] = generation;
  }

  /** Ranks the members that are up, for every client alike. */
  #rank(list: number, id: number): void {
    const base = this.#records[list + LIST.base]!;
    const candidates = this.#clients.candidates(list).filter(({ isUp }) => isUp);
    const { order, lead } = rankAlike(this.#records[list + LIST.algorithm]!, candidates);
    for (const [i, position] of order.entries()) this.#order[base + i] = candidates[position]!.index;
    this.#derived[id * DERIVED.size + DERIVED.ranked] = order.length;
    this.#derived[id * DERIVED.size + DERIVED.lead] = lead;
    const weights = order.slice(0, lead).map((position) => candidates[position]!.weight);
    if (weights.some((weight) => weight !== weights[0])) this.#schedules.set(id, smoothSchedule(weights));
    else this.#schedules.delete(id);
  }

  #mapOf(list: number, id: number, max: number): ClientMap {
    const at = id * DERIVED.size;
    const known = this.#derived[at + DERIVED.map]!;
    if (known !== 0 && this.#derived[at + DERIVED.max] === max) return this.#maps[known - 1]!;
    const { map } = this.#clients.of(list, max);
    this.#derived[at + DERIVED.map] = this.#numberOf(map);
    this.#derived[at + DERIVED.max] = max;
    this.#derived[at + DERIVED.past] = 0;
    return map;
  }

  /** One more than the map's index in `#maps`. */
  #numberOf(map: ClientMap): number {
    const known = this.#mapNumbers.get(map);
    if (known !== undefined) return known;
    // Those of former states of health pile up; lists that still need theirs look for it again.
    if (this.#maps.length === MAPS_MAX) {
      this.#maps.length = 0;
      this.#mapNumbers.clear();
      for (let at = 0; at < this.#derived.length; at += DERIVED.size) {
        this.#derived[at + DERIVED.map] = 0;
        this.#derived[at + DERIVED.past] = 0;
      }
    }
    const number = this.#maps.push(map);
    this.#mapNumbers.set(map, number);
    return number;
  }

  #slot(list: number, index: number): number {
    return this.#records[list + LIST.members + index * LIST.memberSize + LIST.memberSlot]!;
  }
}

const FAILOVER = ALGORITHMS.indexOf("failover");
const LATENCY = ALGORITHMS.indexOf("latency");

/** Ranks by an algorithm that doesn't look at the client. */
export function rankAlike(algorithm: number, candidates: readonly Candidate[]): Ranking {
  if (algorithm === FAILOVER) return rankByTier(candidates);
  if (algorithm === LATENCY) return rankByLatency(candidates);
  return rankEqual(candidates);
}

function limit(max: number): number {
  return max === 0 ? CHOSEN_MAX : max;
}
