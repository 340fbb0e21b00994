/**
 * What the answer depends on where it depends on the client: opens the geo data for reading, turns the records of a list
 * into candidates and rules, and shares one `ClientMap` among all lists for which it would be the same. Which one that is
 * is found by comparing words: what health doesn't change is the *grounds* of a list, and it has a map for each state.
 *
 * @module
 */
import { type Fence, type JudgedFence, judgeFence } from "../balance/fence.ts";
import {
  type Base,
  canInherit,
  type ClientFacts,
  ClientMap,
  type ClientMapOptions,
} from "../balance/client_map.ts";
import { Extents } from "../geo/extents.ts";
import { Lasting, type LastingMember } from "../balance/lasting.ts";
import { MapFile } from "../geo/map_file_table.ts";
import { Mmdb } from "../geo/mmdb.ts";
import { NamedMembers } from "../balance/named_members.ts";
import { type Candidate, type PlainCandidate, rankEqual, rankGroups } from "../balance/ranking.ts";
import { hashOfWords, TABLE } from "../balance/rule_table.ts";
import { Trie } from "../balance/trie.ts";
import { ALGORITHMS } from "../model/model.ts";
import type { Family } from "../ip.ts";
import type { GeoData } from "../geo/geo_data.ts";
import type { LiveBoard } from "../snapshot/live.ts";
import {
  addressOf,
  algorithmOf,
  copyGrounds,
  groundsSizeOf,
  hasTwins,
  isGeofenced,
  isInBothLists,
  leftOf,
  locationOf,
  membersIn,
  neededOf,
  outsidersIn,
  outsiderSlotOf,
  outsidersOf,
  rankOf,
  rulesOf,
  slotOf,
  type SnapshotView,
} from "../snapshot/view.ts";
import { type Limits, rankAlike } from "./selection.ts";

/** The decisions for a list. */
export interface ClientsOfList {
  /** By client. */
  readonly map: ClientMap;
  /** Whether any can be answered. */
  readonly isSomebodyUp: boolean;
}

/** What all states of health of a list share. */
export interface LastingList {
  /** What its maps rest on. */
  readonly lasting: Lasting;
  /** Members as if all were up; with a geofence, behind them those that only make fences. */
  readonly up: readonly Candidate[];
  /** With a geofence: the same as if all were down. */
  readonly down: readonly Candidate[];
  /** Of each, with a geofence: whether it may be in the answer (`Fence`), … */
  readonly listed: readonly boolean[];
  /** … or in those for the other family; empty = none may. */
  readonly others: readonly boolean[];
}

/** What a map file says of members. */
interface Named {
  /** Theirs, one after the other with the length of each before it. */
  readonly addresses: Uint8Array;
  readonly named: NamedMembers;
}

/** Of lists that are alike, whatever the health of their members: the decisions, by state of health. */
export interface Grounds {
  /** All that decisions follow from but health: the table of the rules, … */
  readonly rules: Uint32Array;
  /** … and the rest; … */
  readonly words: Uint32Array;
  /** … and what is made from them once it is needed. */
  made: LastingList | null;
  /** Whether it was forgotten before. */
  readonly isAgain: boolean;
  /** By state, see `Clients.of`. */
  readonly maps: Map<string, ClientsOfList>;
  /** The first of these maps, and those made last: of `RECENT_MAX` states. */
  readonly recent: { readonly state: string; readonly map: ClientMap }[];
}

/**
 * Among which of a list's members is chosen.
 *
 * - `up`: those that are up; with a geofence the decision also says whether these are enough.
 * - `up without draining`: likewise without those that drain.
 * - `all`: all, as if they were up.
 * - `all without draining`: all but those that drain.
 * - `inside`: all that a geofence leaves, as equals.
 */
export type Among = "up" | "up without draining" | "all" | "all without draining" | "inside";

/** What a list costs when something is made for it, beside its members, in members. */
export const MADE_FOR_A_LIST = 64;
/** So many states of health are looked through for maps in which more was up. */
const RECENT_MAX = 8;
/** So many maps wait for being made out ahead; of more the oldest go without. */
const AHEAD_MAPS_MAX = 64;
/** Prefixes made out ahead between two looks at the time: together they take 0.2 ms at most. */
const AHEAD_PREFIXES = 4;
/** Ranges of a map file that are walked over between two looks at the time; likewise. */
const RANGES_AHEAD = 16;
/** Ranges that are walked over at once: all of a small file. */
const RANGES_AT_ONCE = 256;
/** Maps kept before all are forgotten, … */
const MAPS_MAX = 16_384;
/** … and bytes that they may take, nearly: a large pool whose members come and go is in another state at each change. */
const BYTES_MAX = 64 << 20;
/** The same where pools need more than that at once, and would be made out at each query again. */
const BYTES_MAX_LARGE = 1 << 30;
/** So many grounds are known to have been forgotten. */
const FORGOTTEN_MAX = 65_536;
/** What members take, nearly, where they last. */
const BYTES = { member: 500 } as const;

/** Geo data opened for reading, with all that was made out by it; outlives snapshots. */
export class OpenGeoData implements ClientFacts {
  /** Of the geo data. */
  readonly edition: number;
  /** The map file. */
  readonly map: MapFile | null;
  readonly #city = new Map<Family, { mmdb: Mmdb; extents: Extents | null }>();
  readonly #asn = new Map<Family, Mmdb>();
  #trie = new Trie();
  #epoch = 0;
  #bytesMax = BYTES_MAX;
  /** Hashes of the words of grounds that were forgotten, and bytes taken since for such as were made again. */
  readonly #forgotten = new Set<number>();
  #takenAgain = 0;
  /** By hash of their words. */
  readonly #grounds = new Map<number, Grounds[]>();
  #maps = 0;
  /** Maps that may be made out ahead, the newest one last. */
  readonly #ahead: ClientMap[] = [];
  /** Which members the map file names, by hash of their addresses. */
  readonly #named = new Map<number, Named[]>();
  /** Those of them that don't know the whole of the file yet, the newest one last; and what of their memory is counted. */
  readonly #walking: { readonly named: NamedMembers; readonly bytes: number }[] = [];
  /** Whether what takes long may be found out at once, where it is asked for. */
  readonly mayWait: boolean;
  /** For how many members decisions or rankings were made, ever, each list counting `MADE_FOR_A_LIST` more. */
  made = 0;

  /**
   * Opens every file; they were found sound when the geo data was made.
   *
   * @param mayWait whether what takes long may be found out at once, where it is asked for, and not in `makeAhead`
   */
  constructor(geoData: GeoData, { mayWait = false }: { readonly mayWait?: boolean } = {}) {
    this.mayWait = mayWait;
    this.edition = geoData.edition;
    this.map = geoData.map ? new MapFile(geoData.map) : null;
    for (const [i, file] of geoData.city.entries()) {
      const mmdb = new Mmdb(new Uint8Array(file));
      const bounds = geoData.extents[i];
      const opened = { mmdb, extents: bounds ? new Extents(bounds) : null };
      for (const family of familiesOf(mmdb)) if (!this.#city.has(family)) this.#city.set(family, opened);
    }
    for (const file of geoData.asn) {
      const mmdb = new Mmdb(new Uint8Array(file));
      for (const family of familiesOf(mmdb)) if (!this.#asn.has(family)) this.#asn.set(family, mmdb);
    }
  }

  /** The first database of places that knows of the family. */
  city(family: Family): { readonly mmdb: Mmdb; readonly extents: Extents | null } | null {
    return this.#city.get(family) ?? null;
  }

  /** The first database of autonomous systems that knows of the family. */
  asn(family: Family): Mmdb | null {
    return this.#asn.get(family) ?? null;
  }

  /** Which of these members, whose indices are their places, the map file names; `null` = there is none. */
  named(members: readonly LastingMember[], grounds: Pick<Grounds, "isAgain">): NamedMembers | null {
    if (!this.map) return null;
    const addresses = joined(members);
    const hash = hashOfBytes(addresses);
    const alike = this.#named.get(hash);
    const known = alike?.find((each) => isSame(each.addresses, addresses));
    if (known) return known.named;
    const named = new NamedMembers(this.map, members);
    if (alike) alike.push({ addresses, named });
    else this.#named.set(hash, [{ addresses, named }]);
    const isMore = named.walk(this.mayWait ? Infinity : RANGES_AT_ONCE);
    const { bytes } = named;
    if (isMore) this.#walking.push({ named, bytes });
    this.take(bytes, grounds);
    return named;
  }

  /**
   * Another number whenever all maps were forgotten: whoever keeps maps or grounds is to forget them as well, and to ask
   * before each use.
   */
  get epoch(): number {
    if (this.#trie.beside > this.#bytesMax) this.#forget();
    return this.#epoch;
  }

  /** Says that grounds take so many bytes more, until all is forgotten. */
  take(bytes: number, { isAgain }: Pick<Grounds, "isAgain">): void {
    this.#trie.beside += bytes;
    if (isAgain) this.#takenAgain += bytes;
  }

  /** The decisions on these grounds in this state of health; made when there are none. */
  decisionsFor(grounds: Grounds, state: string, options: () => ClientMapOptions): ClientsOfList {
    const known = grounds.maps.get(state);
    if (known) return known;
    if (this.#maps++ === MAPS_MAX) this.#forget();
    const given = options();
    const mayInherit = canInherit(given);
    const isSomebodyUp = given.candidates.some(({ isUp }) => isUp);
    this.made += MADE_FOR_A_LIST + given.candidates.length;
    const formers = mayInherit ? formersOf(grounds, state) : [];
    const made = { map: new ClientMap({ ...given, formers }, this, this.#trie), isSomebodyUp };
    if (isByLatency(grounds)) this.#release(grounds);
    grounds.maps.set(state, made);
    if (isByLatency(grounds)) return made;
    if (this.#ahead.length === AHEAD_MAPS_MAX) this.#ahead.shift();
    this.#ahead.push(made.map);
    if (!mayInherit) return made;
    // The first one is kept, since it is mostly the one in which all are up.
    if (grounds.recent.length === RECENT_MAX) grounds.recent.splice(1, 1);
    grounds.recent.push({ state, map: made.map });
    return made;
  }

  /**
   * Finds out what a map file says of members, and makes decisions out ahead for the maps that are asked, until all are or time is
   * up.
   *
   * @returns whether there is more to do
   */
  makeAhead(isTimeUp: () => boolean): boolean {
    // What fails isn't tried again, here and below.
    for (let walk = this.#walking.pop(); walk !== undefined; walk = this.#walking.pop()) {
      const { named, bytes } = walk;
      let isMore = true;
      do isMore = named.walk(RANGES_AHEAD); while (isMore && !isTimeUp());
      this.#trie.beside += named.bytes - bytes;
      if (isMore) {
        this.#walking.push({ named, bytes: named.bytes });
        return true;
      }
      this.#begin(named);
      if (isTimeUp()) return true;
    }
    for (let i = this.#ahead.length - 1; i >= 0; i--) {
      const map = this.#ahead[i]!;
      if (map.isAskedLittle) continue;
      this.#ahead.splice(i, 1);
      while (map.makeAhead(AHEAD_PREFIXES)) {
        if (!isTimeUp()) continue;
        this.#ahead.push(map);
        return true;
      }
    }
    return false;
  }

  /** The grounds that these words and this table of rules stand for. Both are the caller's, and used again. */
  groundsOf(words: Uint32Array, rules: Uint32Array): Grounds {
    const hash = hashOfWords(words, rules[TABLE.hash]);
    const alike = this.#grounds.get(hash);
    const known = alike?.find((grounds) => isSame(grounds.words, words) && isSame(grounds.rules, rules));
    if (known) return known;
    const made = {
      rules: rules.slice(),
      words: words.slice(),
      made: null,
      isAgain: this.#forgotten.has(hash),
      maps: new Map<string, ClientsOfList>(),
      recent: [],
    };
    if (alike) alike.push(made);
    else this.#grounds.set(hash, [made]);
    return made;
  }

  /** Has decisions that were made while not all was known of members made again: they hold for narrower prefixes than they could. */
  #begin(named: NamedMembers): void {
    for (const alike of this.#grounds.values()) {
      for (const { made, maps } of alike) {
        if (made?.lasting.named === named) { for (const { map } of maps.values()) map.begin(); }
      }
    }
  }

  /** Round trips never come again as they were: only the last state is worth being kept. */
  #release({ maps }: Grounds): void {
    for (const { map } of maps.values()) map.release();
    this.#maps -= maps.size;
    maps.clear();
  }

  #forget(): void {
    this.#maps = 0;
    this.#epoch++;
    // What is needed still would be forgotten by turns.
    if (this.#takenAgain > this.#bytesMax / 2) this.#bytesMax = Math.min(2 * this.#bytesMax, BYTES_MAX_LARGE);
    this.#takenAgain = 0;
    if (this.#forgotten.size > FORGOTTEN_MAX) this.#forgotten.clear();
    for (const hash of this.#grounds.keys()) this.#forgotten.add(hash);
    for (const { maps, recent } of [...this.#grounds.values()].flat()) {
      maps.clear();
      recent.length = 0;
    }
    this.#grounds.clear();
    this.#ahead.length = 0;
    this.#named.clear();
    this.#walking.length = 0;
    this.#trie = new Trie();
  }
}

function isByLatency({ words }: Grounds): boolean {
  return ALGORITHMS[words[0]!] === "latency";
}

/** Of the same list, the map made last in which more was up, and the first one. */
function formersOf({ recent }: Grounds, state: string): ClientMap[] {
  const within = recent.filter((former) => isWithin(state, former.state));
  const [first, last] = [within[0], within.at(-1)];
  if (!first || !last) return [];
  return first === last ? [first.map] : [last.map, first.map];
}

/** Whether all that are up in a state are so in another one, too. */
function isWithin(state: string, other: string): boolean {
  for (let i = 0; i < state.length; i++) {
    if ((state.charCodeAt(i) & ~other.charCodeAt(i)) !== 0) return false;
  }
  return true;
}

/** Addresses one after the other, each behind its length. */
function joined(members: readonly LastingMember[]): Uint8Array {
  const bytes = new Uint8Array(members.reduce((sum, { address }) => sum + 1 + address.length, 0));
  let at = 0;
  for (const { address } of members) {
    bytes[at++] = address.length;
    for (let byte = 0; byte < address.length; byte++) bytes[at++] = address[byte]!;
  }
  return bytes;
}

/** FNV-1a. */
function hashOfBytes(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  return hash;
}

function isSame<T extends Uint32Array | Uint8Array>(a: T, b: T): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function familiesOf(mmdb: Mmdb): Family[] {
  return ([4, 6] as const).filter((family) => mmdb.root(family) >= 0);
}

/** The lists of one snapshot as candidates, rules and decisions. */
export class Clients {
  readonly #records: Uint32Array;
  readonly #board: LiveBoard;
  readonly #geoData: OpenGeoData;
  #words = new Uint32Array(256);

  /** Reads nothing yet. */
  constructor(view: SnapshotView, board: LiveBoard, geoData: OpenGeoData) {
    this.#records = view.records;
    this.#board = board;
    this.#geoData = geoData;
  }

  /** See `OpenGeoData.epoch`. */
  get epoch(): number {
    return this.#geoData.epoch;
  }

  /** See `OpenGeoData.made`. */
  get made(): number {
    return this.#geoData.made;
  }

  set made(made: number) {
    this.#geoData.made = made;
  }

  /** See `OpenGeoData.mayWait`. */
  get mayWait(): boolean {
    return this.#geoData.mayWait;
  }

  /** The members of a list, up or not. */
  candidates(list: number): Candidate[] {
    return this.#candidatesWith(list, { withAddresses: true, isUp: (slot) => this.#board.isUp(slot) });
  }

  /** The same, as far as those need them who don't look at the client: pools of hundreds are ranked at a change. */
  plain(list: number): PlainCandidate[] {
    const records = this.#records;
    const candidates: PlainCandidate[] = [];
    const count = membersIn(records, list);
    for (let index = 0; index < count; index++) {
      const slot = slotOf(records, list, index);
      const rank = rankOf(records, list, index);
      candidates.push({
        index,
        isUp: this.#board.isUp(slot),
        weight: rank & 0xffff,
        priority: rank >>> 16,
        rttUs: this.#board.rtt[slot]!,
      });
    }
    return candidates;
  }

  /** The grounds of a list with facts; they hold for as long as the list and its limits do. */
  groundsOf(list: number, among: Among, limits: Readonly<Limits>): Grounds {
    return this.#geoData.groundsOf(this.#wordsOf(list, among, limits), rulesOf(this.#records, list));
  }

  /** The decisions for a list with facts, with the health of now. @param grounds those of the list, where they are known */
  of(
    list: number,
    among: Among,
    limits: Readonly<Limits>,
    grounds: Grounds = this.groundsOf(list, among, limits),
  ): ClientsOfList {
    return this.#geoData.decisionsFor(
      grounds,
      this.#stateOf(list, among),
      () => this.#optionsOf(list, among, limits, grounds),
    );
  }

  /** Those to choose from; with a geofence, also those that only make fences. */
  among(list: number, among: Among): Candidate[] {
    const listed = this.candidates(list).map((member) => ({
      ...member,
      isUp: this.#isAmong(list, member, among),
    }));
    return isGeofenced(this.#records, list)
      ? [...listed, ...this.#outsiders(list, listed.length)]
      : listed.filter(({ isUp }) => isUp);
  }

  /**
   * What a geofence leaves a client with the health of now, without decisions.
   *
   * @param inside the map of all that it leaves, in any state of health, and its grounds
   */
  judge(
    list: number,
    { need }: Readonly<Limits>,
    inside: { readonly map: ClientMap; readonly grounds: Grounds },
    address: Uint8Array,
  ): JudgedFence {
    const { listed, others } = inside.grounds.made!;
    const members = membersIn(this.#records, list);
    return judgeFence(
      { listed, others, needed: (among) => neededOf(among, need) },
      inside.map.insideFor(address),
      (at) =>
        at < members
          ? this.#board.isUp(slotOf(this.#records, list, at))
          : this.#isOutsiderUp(list, at - members),
    );
  }

  #optionsOf(
    list: number,
    among: Among,
    { max, need }: Readonly<Limits>,
    grounds: Grounds,
  ): ClientMapOptions {
    const isFencing = isGeofenced(this.#records, list);
    const isAnyEnough = isAll(among) || among === "up without draining";
    const made = grounds.made ??= this.#made(list, grounds);
    const candidates = this.#candidatesOf(list, among, made);
    const { lasting } = made;
    return {
      candidates,
      lasting,
      base: this.#base(list, candidates, among),
      fence: isFencing ? this.#fence(list, made, { candidates, among, need: isAnyEnough ? 0 : need }) : null,
      // Of an address that stands twice one is left out in the end, so that more are shown than asked for.
      max: hasTwins(this.#records, list) || among === "inside" ? 0 : max,
    };
  }

  /** What health doesn't change. */
  #made(list: number, grounds: Grounds): LastingList {
    const records = this.#records;
    const isFencing = isGeofenced(records, list);
    const algorithm = ALGORITHMS[algorithmOf(records, list)]!;
    const withAddresses = GO_BY_ADDRESS.includes(algorithm);
    const members = this.#candidatesWith(list, { withAddresses, isUp: () => true });
    const outsiders = isFencing ? this.#outsiders(list, members.length) : [];
    const up = outsiders.length === 0
      ? members
      : [...members, ...outsiders.map((member) => ({ ...member, isUp: true }))];
    this.#geoData.take(
      up.length * BYTES.member + grounds.words.byteLength + grounds.rules.byteLength,
      grounds,
    );
    const others = isFencing
      ? [
        ...members.map((_, index) => isInBothLists(records, list, index)),
        ...outsiders.map(({ isOther }) => isOther),
      ]
      : [];
    return {
      lasting: new Lasting(
        up,
        grounds.rules,
        algorithm === "map-file" ? this.#geoData.named(up, grounds) : null,
      ),
      up,
      down: isFencing ? up.map((member) => ({ ...member, isUp: false })) : [],
      listed: isFencing ? up.map((_, index) => index < members.length) : [],
      others: others.includes(true) ? others : [],
    };
  }

  /** Those to choose from in this state of health; with a geofence, also those that only make fences. */
  #candidatesOf(list: number, among: Among, { up, down }: LastingList): Candidate[] {
    // Round trips change as health does.
    if (ALGORITHMS[algorithmOf(this.#records, list)] === "latency") return this.among(list, among);
    const members = membersIn(this.#records, list);
    // Without `map` and `filter`, which take twice as long for hundreds.
    const candidates = up.slice();
    let count = 0;
    for (const member of up) {
      const isUp = member.index < members
        ? this.#isAmong(list, member, among)
        : this.#isOutsiderUp(list, member.index - members);
      if (isUp) candidates[count++] = member;
      else if (down.length > 0) candidates[count++] = down[member.index]!;
    }
    candidates.length = count;
    return candidates;
  }

  /** Whether a member counts as up. */
  #isAmong(list: number, { index, left }: Candidate, among: Among): boolean {
    const goesPast = among === "up without draining" || among === "all without draining";
    if (goesPast && left < 1) return false;
    return isAll(among) || this.#board.isUp(slotOf(this.#records, list, index));
  }

  /** All that decisions follow from but health and rules: of members and those outside, and addresses where they count. */
  #wordsOf(list: number, among: Among, { max, need }: Readonly<Limits>): Uint32Array {
    const records = this.#records;
    const algorithm = algorithmOf(records, list);
    const withAddresses = GO_BY_ADDRESS.includes(ALGORITHMS[algorithm]!);
    const size = HEAD_WORDS + groundsSizeOf(records, list, withAddresses);
    if (this.#words.length < size) this.#words = new Uint32Array(size * 2);
    const words = this.#words;
    words[0] = algorithm;
    words[1] = hasTwins(records, list) ? 0 : max;
    words[2] = isGeofenced(records, list) ? need : 0;
    words[3] = AMONG.indexOf(among);
    words[4] = membersIn(records, list);
    copyGrounds(records, list, { words, at: HEAD_WORDS, withAddresses });
    return words.subarray(0, size);
  }

  /**
   * Who is up, those that only make fences included, as far as that matters; by latency also how fast. As many members as a list has
   * count.
   */
  #stateOf(list: number, among: Among): string {
    const records = this.#records;
    const count = membersIn(records, list);
    // All that a fence leaves is the same whoever is up.
    const outsiders = among === "inside" ? 0 : outsidersIn(records, list);
    let state = "";
    let bits = 0;
    let many = 0;
    for (let i = isAll(among) ? count : 0; i < count + outsiders; i++) {
      const slot = i < count ? slotOf(records, list, i) : outsiderSlotOf(records, list, i - count);
      bits = bits << 1 | (slot !== null && this.#board.isUp(slot) ? 1 : 0);
      if (++many % BITS_IN_CHARACTER !== 0) continue;
      state += String.fromCharCode(bits);
      bits = 0;
    }
    state += String.fromCharCode(bits);
    if (among === "inside" || ALGORITHMS[algorithmOf(records, list)] !== "latency") return state;
    for (let i = 0; i < count; i++) state += ` ${this.#board.rtt[slotOf(records, list, i)]}`;
    return state;
  }

  #fence(
    list: number,
    { listed, others }: LastingList,
    { candidates, among, need }: {
      readonly candidates: readonly Candidate[];
      readonly among: Among;
      readonly need: number;
    },
  ): Fence {
    const algorithm = algorithmOf(this.#records, list);
    return {
      listed,
      others,
      needed: (members) => neededOf(members, need),
      rankAlike: (positions) => {
        if (among === "inside") return rankGroups([positions]);
        const { order, ...ranking } = rankAlike(
          algorithm,
          positions.map((position) => candidates[position]!),
        );
        return { ...ranking, order: order.map((i) => positions[i]!) };
      },
    };
  }

  /** Members of the pool that make fences only; their indices are behind those of the list. */
  #outsiders(list: number, count: number): (Candidate & { readonly isOther: boolean })[] {
    return outsidersOf(this.#records, list).map(({ slot, place, address }, i) => ({
      index: count + i,
      isUp: this.#isOutsiderUp(list, i),
      weight: 1,
      priority: 0,
      rttUs: 0,
      left: 1,
      place,
      address,
      isOther: slot !== null,
    }));
  }

  #isOutsiderUp(list: number, index: number): boolean {
    const slot = outsiderSlotOf(this.#records, list, index);
    return slot !== null && this.#board.isUp(slot);
  }

  #base(list: number, candidates: readonly Candidate[], among: Among): Base {
    const algorithm = algorithmOf(this.#records, list);
    switch (ALGORITHMS[algorithm]) {
      case "geoip":
        // Who stands at one place is as near as the others to everyone; a fence tells those apart whose place is known.
        return isGeofenced(this.#records, list) || areApart(candidates)
          ? { kind: "nearest" }
          : { kind: "alike", ranking: rankEqual(candidates) };
      case "map-file":
        return { kind: "mapped" };
      case "hash":
        if (among !== "inside") return { kind: "hashed" };
        // Falls through: those inside are equals.
      default:
        // A fence ranks those that are up itself.
        return { kind: "alike", ranking: rankAlike(algorithm, candidates) };
    }
  }

  #candidatesWith(
    list: number,
    { withAddresses, isUp }: { readonly withAddresses: boolean; readonly isUp: (slot: number) => boolean },
  ): Candidate[] {
    const records = this.#records;
    const candidates: Candidate[] = [];
    const count = membersIn(records, list);
    for (let index = 0; index < count; index++) {
      const slot = slotOf(records, list, index);
      const rank = rankOf(records, list, index);
      candidates.push({
        index,
        isUp: isUp(slot),
        weight: rank & 0xffff,
        priority: rank >>> 16,
        rttUs: this.#board.rtt[slot]!,
        left: leftOf(records, list, index),
        place: locationOf(records, list, index),
        address: withAddresses ? addressOf(records, list, index) : NO_ADDRESS,
      });
    }
    return candidates;
  }
}

/** All of `Among`, by the number that stands for each. */
const AMONG: readonly Among[] = ["up", "up without draining", "all", "all without draining", "inside"];

/** Whether members count as up whether they are or not. */
function isAll(among: Among): boolean {
  return among !== "up" && among !== "up without draining";
}

/** Algorithms that look at members' addresses. */
const GO_BY_ADDRESS: readonly string[] = ["map-file", "hash"];
/** Of members where addresses say nothing. */
const NO_ADDRESS: readonly number[] = [];
/** Words before those of the records. */
const HEAD_WORDS = 5;
/** Members whose state fits into a character. */
const BITS_IN_CHARACTER = 15;

/** Whether candidates don't all stand at one place, or all at none. */
function areApart(candidates: readonly Candidate[]): boolean {
  const first = candidates[0]?.place;
  return candidates.some(({ place }) =>
    place?.latitude !== first?.latitude || place?.longitude !== first?.longitude
  );
}
