/**
 * What the answer depends on where it depends on the client: opens the atlas for reading, turns the records of a list
 * into candidates and rules, and shares one `ClientMap` among all lists for which it would be the same. Which one that is
 * is found by comparing words: what health doesn't change is the *grounds* of a list, and it has a map for each state.
 *
 * @module
 */
import type { Fence } from "../balance/fence.ts";
import { type Base, type ClientFacts, ClientMap, type ClientMapOptions } from "../balance/client_map.ts";
import { Extents } from "../geo/extents.ts";
import { MapFile } from "../geo/map_file_table.ts";
import { Mmdb } from "../geo/mmdb.ts";
import { NamedMembers } from "../balance/named_by_map.ts";
import { type Candidate, type PlainCandidate, rankGroups } from "../balance/ranking.ts";
import type { ClientRule } from "../balance/rule_groups.ts";
import { Trie } from "../balance/trie.ts";
import { ALGORITHMS } from "../model/model.ts";
import type { Family } from "../ip.ts";
import type { Atlas } from "../geo/geo_data.ts";
import {
  FACTS,
  IN_BOTH_LISTS,
  LEFT_UNITS,
  LIST,
  NO_PLACE,
  NO_SLOT,
  OUTSIDER,
  PLACE_UNITS,
  RULE,
  RULE_KINDS,
  TWINS,
} from "../snapshot/layout.ts";
import type { LiveBoard } from "../snapshot/live.ts";
import { neededOf, type SnapshotView } from "../snapshot/view.ts";
import { type Limits, rankAlike } from "./selection.ts";

/** The decisions for a list. */
export interface ClientsOfList {
  /** By client. */
  readonly map: ClientMap;
  /** Whether somebody can be answered. */
  readonly isSomebodyUp: boolean;
}

/** Of lists that are alike, whatever the health of their members: the decisions, by state of health. */
export interface Grounds {
  /** All that decisions follow from but health. */
  readonly words: Uint32Array;
  /** By state, see `Clients.of`. */
  readonly maps: Map<string, ClientsOfList>;
}

/**
 * Among which of a list's members is chosen.
 *
 * - `up`: those that are up; with a geofence the decision also says whether these are enough.
 * - `past`: likewise without those that drain.
 * - `all`: all, as if they were up.
 * - `past all`: all but those that drain.
 * - `inside`: all that a geofence leaves, as equals.
 */
export type Among = "up" | "past" | "all" | "past all" | "inside";

/** Maps kept before all are forgotten: those of former states of health are among them. */
const MAPS_MAX = 16_384;

/** An atlas opened for reading, with all that was made out by it; outlives snapshots. */
export class OpenAtlas implements ClientFacts {
  /** Of the atlas. */
  readonly edition: number;
  /** The map file. */
  readonly map: MapFile | null;
  readonly #city = new Map<Family, { mmdb: Mmdb; extents: Extents | null }>();
  readonly #asn = new Map<Family, Mmdb>();
  #trie = new Trie();
  /** By hash of their words. */
  readonly #grounds = new Map<number, Grounds[]>();
  #maps = 0;
  readonly #named = new Map<string, NamedMembers>();

  /** Opens every file; they were found sound when the atlas was made. */
  constructor(atlas: Atlas) {
    this.edition = atlas.edition;
    this.map = atlas.map ? new MapFile(atlas.map) : null;
    for (const [i, file] of atlas.city.entries()) {
      const mmdb = new Mmdb(new Uint8Array(file));
      const bounds = atlas.extents[i];
      const opened = { mmdb, extents: bounds ? new Extents(bounds) : null };
      for (const family of familiesOf(mmdb)) if (!this.#city.has(family)) this.#city.set(family, opened);
    }
    for (const file of atlas.asn) {
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

  /** Which of these addresses the map file names; `null` = there is none. */
  named(addresses: readonly Uint8Array[]): NamedMembers | null {
    if (!this.map) return null;
    const key = addresses.join("|");
    const known = this.#named.get(key);
    if (known) return known;
    const named = new NamedMembers(this.map, addresses);
    this.#named.set(key, named);
    return named;
  }

  /** The decisions on these grounds in this state of health; made when there are none. */
  decisionsFor({ maps }: Grounds, state: string, options: () => ClientMapOptions): ClientsOfList {
    const known = maps.get(state);
    if (known) return known;
    if (++this.#maps > MAPS_MAX) this.#forget();
    const given = options();
    const isSomebodyUp = given.candidates.some(({ isUp }) => isUp);
    const made = { map: new ClientMap(given, this, this.#trie), isSomebodyUp };
    maps.set(state, made);
    return made;
  }

  /** The grounds that these words stand for. @param words the caller's, and used again */
  groundsOf(words: Uint32Array): Grounds {
    const hash = hashOf(words);
    const alike = this.#grounds.get(hash);
    const known = alike?.find((grounds) => isSame(grounds.words, words));
    if (known) return known;
    const made = { words: words.slice(), maps: new Map<string, ClientsOfList>() };
    if (alike) alike.push(made);
    else this.#grounds.set(hash, [made]);
    return made;
  }

  #forget(): void {
    this.#maps = 1;
    for (const { maps } of [...this.#grounds.values()].flat()) maps.clear();
    this.#grounds.clear();
    this.#named.clear();
    this.#trie = new Trie();
  }
}

/** FNV-1a over words. */
function hashOf(words: Uint32Array): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < words.length; i++) hash = Math.imul(hash ^ words[i]!, 0x01000193);
  return hash;
}

function isSame(a: Uint32Array, b: Uint32Array): boolean {
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
  readonly #atlas: OpenAtlas;
  #words = new Uint32Array(256);

  /** Reads nothing yet. */
  constructor(view: SnapshotView, board: LiveBoard, atlas: OpenAtlas) {
    this.#records = view.records;
    this.#board = board;
    this.#atlas = atlas;
  }

  /** The members of a list, up or not. */
  candidates(list: number): Candidate[] {
    const count = this.#word(list + LIST.count);
    return Array.from({ length: count }, (_, index) => this.#candidate(list, index));
  }

  /** The same, as far as those need them who don't look at the client: pools of hundreds are ranked at a change. */
  plain(list: number): PlainCandidate[] {
    const candidates: PlainCandidate[] = [];
    const end = list + LIST.members + this.#word(list + LIST.count) * LIST.memberSize;
    for (let member = list + LIST.members; member < end; member += LIST.memberSize) {
      const slot = this.#word(member + LIST.memberSlot);
      const rank = this.#word(member + LIST.memberRank);
      candidates.push({
        index: candidates.length,
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
    return this.#atlas.groundsOf(this.#wordsOf(list, among, limits));
  }

  /** The decisions for a list with facts, with the health of now. @param grounds those of the list, where they are known */
  of(
    list: number,
    among: Among,
    limits: Readonly<Limits>,
    grounds: Grounds = this.groundsOf(list, among, limits),
  ): ClientsOfList {
    return this.#atlas.decisionsFor(grounds, this.#stateOf(list), () => this.#optionsOf(list, among, limits));
  }

  /** Those among whom is chosen; with a geofence, also those that only make fences. */
  among(list: number, among: Among): Candidate[] {
    const facts = this.#word(list + LIST.facts);
    const goesPast = among === "past" || among === "past all";
    const isWhole = isAll(among);
    const isUp = (candidate: Candidate) => !(goesPast && candidate.left < 1) && (isWhole || candidate.isUp);
    const listed = this.candidates(list).map((candidate) => ({ ...candidate, isUp: isUp(candidate) }));
    return this.#word(facts + FACTS.geofence) === 1
      ? [...listed, ...this.#outsiders(list, listed.length)]
      : listed.filter(({ isUp }) => isUp);
  }

  #optionsOf(list: number, among: Among, { max, need }: Readonly<Limits>): ClientMapOptions {
    const facts = this.#word(list + LIST.facts);
    const isFencing = this.#word(facts + FACTS.geofence) === 1;
    const isAnyEnough = isAll(among) || among === "past";
    const candidates = this.among(list, among);
    return {
      candidates,
      rules: this.#rules(list, candidates),
      base: this.#base(list, candidates, among),
      fence: isFencing ? this.#fence(list, { candidates, among, need: isAnyEnough ? 0 : need }) : null,
      // Of an address that stands twice one is left out in the end, so that more are shown than asked for.
      max: this.#hasTwins(list) || among === "inside" ? 0 : max,
    };
  }

  /** All that decisions follow from but health: of members, rules and those outside, and addresses where they count. */
  #wordsOf(list: number, among: Among, { max, need }: Readonly<Limits>): Uint32Array {
    const records = this.#records;
    const count = this.#word(list + LIST.count);
    const facts = this.#word(list + LIST.facts);
    const algorithm = this.#word(list + LIST.algorithm);
    const placesAndRules = FACTS.places + count * FACTS.placeSize +
      this.#word(facts + FACTS.rules) * RULE.size;
    const outsiders = this.#word(facts + FACTS.outsiders) * OUTSIDER.size;
    const addressWords = GO_BY_ADDRESS.includes(ALGORITHMS[algorithm]!)
      ? count * (this.#word(list + LIST.addressSize) & ~TWINS) / 4
      : 0;
    const size = HEAD_WORDS + count + placesAndRules + outsiders + addressWords;
    if (this.#words.length < size) this.#words = new Uint32Array(size * 2);
    const words = this.#words;
    words[0] = algorithm;
    words[1] = this.#hasTwins(list) ? 0 : max;
    words[2] = this.#word(facts + FACTS.geofence) === 1 ? need : 0;
    words[3] = AMONG.indexOf(among);
    words[4] = count;
    let at = HEAD_WORDS;
    const members = list + LIST.members;
    for (let i = 0; i < count; i++) words[at++] = records[members + i * LIST.memberSize + LIST.memberRank]!;
    for (let i = 0; i < placesAndRules; i++) words[at++] = records[facts + i]!;
    for (let i = 0; i < outsiders; i++) {
      // Slots are numbers of the node; here only counts whether there is one.
      const word = records[facts + placesAndRules + i]!;
      words[at++] = i % OUTSIDER.size !== OUTSIDER.slot ? word : word === NO_SLOT ? 0 : 1;
    }
    const addresses = members + count * LIST.memberSize;
    for (let i = 0; i < addressWords; i++) words[at++] = records[addresses + i]!;
    return words.subarray(0, at);
  }

  /** Who is up, those that only make fences included; by latency also how fast. As many members as a list has count. */
  #stateOf(list: number): string {
    const count = this.#word(list + LIST.count);
    const facts = this.#word(list + LIST.facts);
    const members = list + LIST.members + LIST.memberSlot;
    let state = "";
    let bits = 0;
    let size = 0;
    const add = (slot: number) => {
      bits = bits << 1 | (slot !== NO_SLOT && this.#board.isUp(slot) ? 1 : 0);
      if (++size % BITS_IN_CHARACTER !== 0) return;
      state += String.fromCharCode(bits);
      bits = 0;
    };
    for (let i = 0; i < count; i++) add(this.#word(members + i * LIST.memberSize));
    const outsiders = facts + FACTS.places + count * FACTS.placeSize +
      this.#word(facts + FACTS.rules) * RULE.size;
    for (let i = 0; i < this.#word(facts + FACTS.outsiders); i++) {
      add(this.#word(outsiders + i * OUTSIDER.size + OUTSIDER.slot));
    }
    state += String.fromCharCode(bits);
    if (ALGORITHMS[this.#word(list + LIST.algorithm)] !== "latency") return state;
    for (let i = 0; i < count; i++) state += ` ${this.#board.rtt[this.#word(members + i * LIST.memberSize)]}`;
    return state;
  }

  #hasTwins(list: number): boolean {
    return (this.#word(list + LIST.addressSize) & TWINS) !== 0;
  }

  #fence(
    list: number,
    { candidates, among, need }: {
      readonly candidates: readonly (Candidate & { readonly isOther?: boolean })[];
      readonly among: Among;
      readonly need: number;
    },
  ): Fence {
    const count = this.#word(list + LIST.count);
    const facts = this.#word(list + LIST.facts);
    const algorithm = this.#word(list + LIST.algorithm);
    const isInBoth = (index: number) =>
      (this.#word(facts + FACTS.places + index * FACTS.placeSize + FACTS.placeLeft) & IN_BOTH_LISTS) !== 0;
    return {
      listed: candidates.map((_, position) => position < count),
      others: candidates.map(({ isOther = false }, position) =>
        position < count ? isInBoth(position) : isOther
      ),
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
    const facts = this.#word(list + LIST.facts);
    const from = facts + FACTS.places + count * FACTS.placeSize + this.#word(facts + FACTS.rules) * RULE.size;
    return Array.from({ length: this.#word(facts + FACTS.outsiders) }, (_, i) => {
      const at = from + i * OUTSIDER.size;
      const slot = this.#word(at + OUTSIDER.slot);
      return {
        index: count + i,
        isUp: slot !== NO_SLOT && this.#board.isUp(slot),
        weight: 1,
        priority: 0,
        rttUs: 0,
        left: 1,
        place: this.#placeAt(at + OUTSIDER.placeLatitude),
        address: this.#addressAt(at + OUTSIDER.address, 16),
        isOther: slot !== NO_SLOT,
      };
    });
  }

  #base(list: number, candidates: readonly Candidate[], among: Among): Base {
    const algorithm = this.#word(list + LIST.algorithm);
    switch (ALGORITHMS[algorithm]) {
      case "geoip":
        return { kind: "nearest" };
      case "map-file":
        return {
          kind: "mapped",
          named: this.#atlas.named(this.#addresses(list)),
        };
      case "hash":
        if (among !== "inside") return { kind: "hashed" };
        // Falls through: those inside are equals.
      default:
        // A fence ranks those that are up itself.
        return { kind: "alike", ranking: rankAlike(algorithm, candidates) };
    }
  }

  /** Of all that may become candidates. */
  #addresses(list: number): Uint8Array[] {
    const count = this.#word(list + LIST.count);
    return [
      ...Array.from({ length: count }, (_, index) => this.#address(list, index)),
      ...this.#outsiders(list, count).map(({ address }) => address),
    ];
  }

  #candidate(list: number, index: number): Candidate {
    const member = list + LIST.members + index * LIST.memberSize;
    const slot = this.#word(member + LIST.memberSlot);
    const rank = this.#word(member + LIST.memberRank);
    return {
      index,
      isUp: this.#board.isUp(slot),
      weight: rank & 0xffff,
      priority: rank >>> 16,
      rttUs: this.#board.rtt[slot]!,
      left: this.#left(list, index),
      place: this.#place(list, index),
      address: this.#address(list, index),
    };
  }

  #left(list: number, index: number): number {
    const facts = this.#word(list + LIST.facts);
    if (facts === 0) return 1;
    const word = this.#word(facts + FACTS.places + index * FACTS.placeSize + FACTS.placeLeft);
    return (word & ~IN_BOTH_LISTS) / LEFT_UNITS;
  }

  #place(list: number, index: number): Candidate["place"] {
    const facts = this.#word(list + LIST.facts);
    return facts === 0
      ? null
      : this.#placeAt(facts + FACTS.places + index * FACTS.placeSize + FACTS.placeLatitude);
  }

  /** Latitude at a word and longitude in the next one. */
  #placeAt(at: number): Candidate["place"] {
    const latitude = this.#word(at) | 0;
    if (latitude === NO_PLACE) return null;
    return { latitude: latitude / PLACE_UNITS, longitude: (this.#word(at + 1) | 0) / PLACE_UNITS };
  }

  #address(list: number, index: number): Uint8Array {
    const size = this.#word(list + LIST.addressSize) & ~TWINS;
    const from = list + LIST.members + this.#word(list + LIST.count) * LIST.memberSize;
    return this.#addressAt(from + index * size / 4, size);
  }

  #addressAt(from: number, size: number): Uint8Array {
    const address = new Uint8Array(size);
    const words = new DataView(address.buffer);
    for (let i = 0; i < size / 4; i++) words.setUint32(i * 4, this.#word(from + i));
    return address;
  }

  /** Rules whose member is among the candidates. */
  #rules(list: number, candidates: readonly Candidate[]): ClientRule[] {
    const facts = this.#word(list + LIST.facts);
    const from = facts + FACTS.places + this.#word(list + LIST.count) * FACTS.placeSize;
    return Array.from({ length: this.#word(facts + FACTS.rules) }, (_, i) => from + i * RULE.size)
      .map((at) => ({
        match: this.#match(at),
        candidate: candidates.findIndex(({ index }) => index === this.#word(at + RULE.member)),
      }))
      .filter(({ candidate }) => candidate >= 0);
  }

  #match(at: number): ClientRule["match"] {
    const value = this.#word(at + RULE.value);
    const kind = RULE_KINDS[this.#word(at + RULE.kind)]!;
    if (kind === "asn") return { kind, number: value };
    if (kind !== "cidr4" && kind !== "cidr6") return { kind, code: value };
    const prefix = new Uint8Array(kind === "cidr4" ? 4 : 16);
    const words = new DataView(prefix.buffer);
    for (let i = 0; i < prefix.length / 4; i++) words.setUint32(i * 4, this.#word(at + RULE.prefix + i));
    return { kind: "cidr", prefix, bits: value };
  }

  #word(at: number): number {
    return this.#records[at]!;
  }
}

/** All of `Among`, by the number that stands for each. */
const AMONG: readonly Among[] = ["up", "past", "all", "past all", "inside"];

/** Whether members count as up whether they are or not. */
function isAll(among: Among): boolean {
  return among !== "up" && among !== "past";
}

/** Algorithms that look at members' addresses. */
const GO_BY_ADDRESS: readonly string[] = ["map-file", "hash"];
/** Words before those of the records. */
const HEAD_WORDS = 5;
/** Members whose state fits into a character. */
const BITS_IN_CHARACTER = 15;
