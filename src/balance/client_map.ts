/**
 * Who gets what: the decision for every client address, for one set of candidates. Found out prefix by prefix as
 * clients come, and kept, so that a known client costs a walk over a few bits of its address.
 *
 * The map is a binary trie over addresses. A node is unknown (nobody asked), alike (the decision is the same for
 * every address below it) or mixed. An unknown node is made out once: all that decides is looked at below it — the
 * databases' trees, the map file's ranges, the rules' prefixes — until two addresses differ or none is left, and
 * `Extents` prove most subtrees alike without a visit. So the depth at which a look-up ends is the widest prefix
 * with one decision: the scope of RFC 7871.
 *
 * @module
 */
import type { Extents } from "./extents.ts";
import { type Fence, judgeFence, STATE, type State } from "./fence.ts";
import { unitVector } from "../geo/geo.ts";
import { HASH_BITS_V4, HASH_BITS_V6, rankByHash } from "./hash.ts";
import type { MapFile } from "./map_file.ts";
import { NamedByMap, type NamedMembers } from "./named_by_map.ts";
import { type ClientRule, INSIDE, NO_CIDR, type RuleGroup, RuleGroups } from "./rule_groups.ts";
import type { Mmdb } from "../geo/mmdb.ts";
import { type Candidate, groupsOf, keepRanked, rankEqual, rankGroups, type Ranking } from "./ranking.ts";
import type { Trie } from "./trie.ts";
import { smoothSchedule } from "./weighted.ts";

/** What is known of clients, opened for reading. */
export interface ClientFacts {
  /** The database of places for a family; `null` = nothing is known. */
  city(family: 4 | 6): { readonly mmdb: Mmdb; readonly extents: Extents | null } | null;
  /** The database of autonomous systems for a family. */
  asn(family: 4 | 6): Mmdb | null;
  /** The map file. */
  readonly map: MapFile | null;
}

/** How candidates are ordered where no rule decides. */
export type Base =
  /** The same for every client. */
  | { readonly kind: "alike"; readonly ranking: Ranking }
  /** Nearest first. */
  | { readonly kind: "nearest" }
  /** Those first that the map file names; `named` is about all who might become candidates. */
  | { readonly kind: "mapped"; readonly named: NamedMembers | null }
  /** By rendezvous hashing. */
  | { readonly kind: "hashed" };

/** What a map is made for. */
export interface ClientMapOptions {
  /** Those that may be answered; with a geofence all members of the pool. */
  readonly candidates: readonly Candidate[];
  /** Looked at before `base`. */
  readonly rules: readonly ClientRule[];
  /** How candidates are ordered. */
  readonly base: Base;
  /** How a client is fenced in; `null` = never. */
  readonly fence: Fence | null;
  /** Addresses in an answer; 0 = all. */
  readonly max: number;
}

/** Who is answered, in which order. */
export interface Decision {
  /** Indices of members (`Candidate.index`) in order; the first `lead` take turns. */
  readonly order: Uint32Array;
  /** How many at the head are equals. */
  readonly lead: number;
  /** Where the groups of equals behind the head end; `null` = all differ. */
  readonly ends: Uint32Array | null;
  /** The equals' turns where their weights differ: positions in `order`. */
  readonly schedule: Uint16Array | null;
  /** With a geofence: whether enough are up. Without, what can be answered is judged for all clients alike. */
  readonly state: State;
  /** What is left of the equals while some of them drain: their share of the answers; the others go past them. */
  readonly left: number;
}

/** Why a client gets what it gets; for people. */
export interface Reason {
  /** The rule that matched first, or `null`. */
  readonly rule: ClientRule | null;
  /** Positions of the candidates that it and its like name. */
  readonly named: readonly number[];
  /** Where the client is, by the database. */
  readonly place: { readonly latitude: number; readonly longitude: number } | null;
  /** Two letters, or `null`. */
  readonly country: string | null;
  /** Two letters, or `null`. */
  readonly continent: string | null;
  /** Number of the autonomous system, 0 = unknown. */
  readonly asn: number;
  /** Positions of the candidates that the map file names for the client, where it is asked. */
  readonly mapped: readonly number[];
  /** What fences the client, if anything does. */
  readonly fence: ClientFence | null;
}

/** A client's geofence. */
export interface ClientFence {
  /** What drew it. */
  readonly by: "rule" | "site" | "map";
  /** Positions of the candidates inside. */
  readonly inside: readonly number[];
  /** Of those inside that may be answered, how many are up, … */
  readonly up: number;
  /** … and how many have to be. */
  readonly needed: number;
}

/** Bits that a map's shortcut takes at once, … */
const SHORTCUT_DEPTH = 16;
/** … the look-ups after which it is worth its 256 KiB, … */
const SHORTCUT_FINDS = 10_000;
/** … and how many bits a depth takes in it. */
const DEPTH_BITS = 5;
const DEPTH_MASK = 31;
/** Stands for "two addresses below this node differ". */
const MIXED = -1;
/** Stands for "any decision will do" where an expected one is named. */
const ANY = -1;
/** Nodes visited at most to make one out; beyond, it counts as mixed: the scope gets narrower, never wrong. */
const VISITS_MAX = 16_384;
/** The same while bounds haven't been worked out yet: then nearly all of it would be for nothing. */
const VISITS_MAX_UNBOUNDED = 128;
/** Different decisions that a map may hold. */
const DECISIONS_MAX = 65_536;
/** Below this, one place isn't proved nearer than another: the rounding of unit vectors. */
const DOT_MARGIN = 1e-7;

/** The decisions for one set of candidates. */
export class ClientMap {
  /** Bits of the address looked at last that its decision depends on. */
  depth = 0;
  readonly #options: ClientMapOptions;
  readonly #facts: ClientFacts;
  readonly #trie: Trie;
  #root = 0;
  /**
   * What the first 16 bits of an IPv4 address lead to, so that a map that is asked a lot isn't walked from its root: 0 =
   * not looked up yet, the children of a node, or `~(decision << 5 | depth)`.
   */
  #shortcut: Int32Array | null = null;
  #finds = 0;
  #grown = -1;
  #decisions: Decision[] = [];
  #numbers = new Map<string, number>();
  readonly #remembered: [v4: Map<number, number>, v6: Map<number, number>] = [new Map(), new Map()];
  readonly #groups: RuleGroups;
  readonly #sites: readonly Site[];
  /** Candidates whose place nobody knows, by position. */
  readonly #unplaced: readonly number[];
  /** What the map file says of the candidates; `null` = it isn't asked. */
  readonly #named: NamedByMap | null;

  /** How many of the candidates can be in a decision. */
  readonly #rankedCount: number;

  // What the node being made out depends on.
  #prefix: Uint8Array = new Uint8Array(4);
  readonly #prefix4 = new Uint8Array(4);
  readonly #prefix6 = new Uint8Array(16);
  #city: Mmdb | null = null;
  #extents: Extents | null = null;
  #asn: Mmdb | null = null;
  /** How many more nodes may be visited. */
  #visits = 0;

  /** Nothing is made out yet. */
  constructor(options: ClientMapOptions, facts: ClientFacts, trie: Trie) {
    this.#options = options;
    this.#facts = facts;
    this.#trie = trie;
    this.#groups = new RuleGroups(options.rules);
    const { sites, unplaced } = sitesOf(options.base.kind === "nearest" ? options.candidates : []);
    this.#sites = sites;
    this.#unplaced = unplaced;
    const { base, candidates, fence } = options;
    this.#rankedCount =
      candidates.filter(({ isUp }, at) => fence === null || (fence.listed[at] && isUp)).length;
    this.#named = base.kind === "mapped" && facts.map && base.named
      ? new NamedByMap(facts.map, base.named, candidates)
      : null;
  }

  /** The decision for an address of 4 or 16 bytes; `depth` tells for how wide a prefix it holds. */
  find(address: Uint8Array): Decision {
    const trie = this.#trie;
    if (this.#grown !== trie.clearings) this.#begin();
    let at = this.#root + (address.length === 4 ? 0 : 1);
    let depth = 0;
    const shortcut = address.length === 4 ? this.#shortcut : null;
    if (shortcut !== null) {
      const known = shortcut[address[0]! << 8 | address[1]!]!;
      if (known < 0) {
        this.depth = ~known & DEPTH_MASK;
        return this.#decisions[~known >>> DEPTH_BITS]!;
      }
      if (known > 0) {
        at = known + bitAt(address, SHORTCUT_DEPTH);
        depth = SHORTCUT_DEPTH + 1;
      }
    }
    for (;; depth++) {
      let node = trie.words[at]!;
      if (node === 0) {
        node = this.#makeOut(address, depth);
        if (this.#grown !== trie.clearings || !trie.put(at, node)) return this.find(address);
        node = trie.words[at]!;
      }
      if (shortcut !== null && (depth === SHORTCUT_DEPTH || (node < 0 && depth < SHORTCUT_DEPTH))) {
        shortcut[address[0]! << 8 | address[1]!] = node < 0 ? ~(~node << DEPTH_BITS | depth) : node;
      }
      if (node < 0) {
        this.depth = depth;
        if (++this.#finds === SHORTCUT_FINDS) this.#shortcut = new Int32Array(2 ** SHORTCUT_DEPTH);
        return this.#decisions[~node]!;
      }
      at = node + bitAt(address, depth);
    }
  }

  /** What the decision for an address is based on. */
  reasonFor(address: Uint8Array): Reason {
    this.#look(address);
    const city = this.#leaf(this.#city, address);
    const asn = this.#leaf(this.#asn, address);
    const mmdb = this.#city;
    const latitude = mmdb && city !== 0 ? mmdb.latitude(city) : NaN;
    this.#prefix.set(address);
    const cidr = this.#groups.cidrAt(this.#prefix, address.length * 8);
    const group = cidr === INSIDE ? null : this.#groupFor(cidr, city, asn);
    const { fence, candidates } = this.#options;
    const inside = fence ? this.#insideOf(group, city) : null;
    const judged = inside && judgeFence(fence!, candidates, inside);
    return {
      rule: group === null ? null : this.#options.rules[group.rules[0]!]!,
      named: group?.candidates.order ?? [],
      place: Number.isNaN(latitude) ? null : { latitude, longitude: mmdb!.longitude(city) },
      country: mmdb ? lettersOf(mmdb.country(city)) : null,
      continent: mmdb ? lettersOf(mmdb.continent(city)) : null,
      asn: this.#asn ? this.#asn.asn(asn) : 0,
      mapped: this.#named?.at(address) ?? [],
      fence: judged && {
        by: group ? "rule" : this.#options.base.kind === "nearest" ? "site" : "map",
        inside: inside!,
        up: judged.up.length,
        needed: judged.needed,
      },
    };
  }

  #begin(): void {
    this.#root = this.#trie.reserve();
    this.#grown = this.#trie.clearings;
    this.#decisions = [];
    this.#shortcut?.fill(0);
    this.#numbers.clear();
    for (const known of this.#remembered) known.clear();
  }

  #look(address: Uint8Array): void {
    const family = address.length === 4 ? 4 : 6;
    const city = this.#facts.city(family);
    this.#city = city?.mmdb ?? null;
    this.#extents = city?.extents ?? null;
    this.#asn = this.#facts.asn(family);
    this.#prefix = family === 4 ? this.#prefix4 : this.#prefix6;
  }

  #leaf(mmdb: Mmdb | null, address: Uint8Array): number {
    return mmdb ? mmdb.place(mmdb.find(address)) : 0;
  }

  /** What the trie has to hold for the first `depth` bits of an address: `~decision`, or 0 for a mixed node. */
  #makeOut(address: Uint8Array, depth: number): number {
    this.#look(address);
    const prefix = this.#prefix;
    prefix.fill(0);
    for (let bit = 0; bit < depth; bit++) if (bitAt(address, bit) === 1) setBit(prefix, bit);
    const family = address.length === 4 ? 4 : 6;
    // Nobody to choose from: the same for everybody, whatever is known of them.
    if (this.#options.candidates.length < 2 && !this.#options.fence) {
      return ~this.#decide(NO_CIDR, NOWHERE, NOWHERE);
    }
    this.#visits = this.#extents || !this.#needsCity ? VISITS_MAX : VISITS_MAX_UNBOUNDED;
    const city = this.#needsCity ? nodeAt(this.#city, family, address, depth) : NOWHERE;
    const asn = this.#groups.hasAsn ? nodeAt(this.#asn, family, address, depth) : NOWHERE;
    const decision = this.#alike(depth, city, asn, ANY);
    return decision === MIXED ? 0 : ~decision;
  }

  get #needsCity(): boolean {
    return this.#options.base.kind === "nearest" || this.#groups.hasCountry || this.#groups.hasContinent;
  }

  /**
   * Whether all addresses of `#prefix` (`depth` bits) get the same decision.
   *
   * @param city node of the database of places at the prefix; `asn` likewise
   * @param wanted the decision it has to be, or `ANY`
   * @returns the decision, or `MIXED`
   */
  #alike(depth: number, city: number, asn: number, wanted: number): number {
    if (--this.#visits < 0) return MIXED;
    const isWhole = depth === this.#prefix.length * 8;
    const cityEnds = isLeaf(this.#city, city);
    const cidr = this.#groups.cidrAt(this.#prefix, depth);
    const rulesEnd = isLeaf(this.#asn, asn) && cidr !== INSIDE;
    const othersEnd = rulesEnd && this.#isBaseSame(depth);
    if (isWhole || (cityEnds && (othersEnd || (rulesEnd && this.#isRuleEnough(cidr, city, asn))))) {
      const decision = this.#decide(cidr, city, asn);
      return wanted === ANY || wanted === decision ? decision : MIXED;
    }
    if (othersEnd && this.#extents) {
      const proved = this.#prove(cidr, city, asn, wanted);
      if (proved !== UNPROVED) return proved;
    }
    const left = this.#alike(
      depth + 1,
      cityEnds ? city : this.#city!.child(city, 0),
      this.#childOfAsn(asn, 0),
      wanted,
    );
    if (left === MIXED) return MIXED;
    setBit(this.#prefix, depth);
    const right = this.#alike(
      depth + 1,
      cityEnds ? city : this.#city!.child(city, 1),
      this.#childOfAsn(asn, 1),
      left,
    );
    clearBit(this.#prefix, depth);
    return right;
  }

  /** Whether the algorithm, places apart, orders candidates in the same way for all of the prefix. */
  #isBaseSame(depth: number): boolean {
    switch (this.#options.base.kind) {
      case "hashed":
        return this.#rankedCount < 2 ||
          depth >= (this.#prefix.length === 4 ? HASH_BITS_V4 : HASH_BITS_V6);
      case "mapped":
        return this.#named === null || this.#named.isSame(this.#prefix, depth);
      default:
        return true;
    }
  }

  /** Whether a rule alone fills the answer, so that nothing depends on the algorithm. */
  #isRuleEnough(cidr: number, city: number, asn: number): boolean {
    const { candidates, fence, max } = this.#options;
    const group = this.#groupFor(cidr, this.#placeAt(city), this.#networkAt(asn));
    if (!group) return false;
    const up = group.candidates.order.filter((position) => candidates[position]!.isUp).length;
    return fence !== null || (up > 0 && (up + 1 >= candidates.length || (max !== 0 && up >= max)));
  }

  #placeAt(city: number): number {
    return this.#city && city !== NOWHERE ? this.#city.place(city) : 0;
  }

  #networkAt(asn: number): number {
    return this.#asn && asn !== NOWHERE ? this.#asn.place(asn) : 0;
  }

  #childOfAsn(asn: number, bit: number): number {
    return isLeaf(this.#asn, asn) ? asn : this.#asn!.child(asn, bit);
  }

  /** Tries to tell from the bounds of a subtree that all of it decides alike; the rest doesn't vary below it. */
  #prove(cidr: number, city: number, asn: number, wanted: number): number {
    const extent = this.#extents!.find(city);
    if (extent < 0) return UNPROVED;
    const extents = this.#extents!;
    const groups = this.#groups;
    if (cidr < 0) {
      if (groups.hasCountry && extents.country(extent) === SEVERAL) return UNPROVED;
      if (groups.hasContinent && extents.continent(extent) === SEVERAL) return UNPROVED;
    }
    if (this.#options.base.kind === "nearest") {
      if (extents.hasUnknown(extent)) return UNPROVED;
      const leaf = this.#firstLeaf(city);
      if (!this.#isOrderSame(extent, this.#nearestSites(this.#city!.place(leaf)))) return UNPROVED;
    }
    const decision = this.#decide(cidr, this.#firstLeaf(city), asn);
    return wanted === ANY || wanted === decision ? decision : MIXED;
  }

  #firstLeaf(city: number): number {
    let node = city;
    while (!isLeaf(this.#city, node)) node = this.#city!.child(node, 0);
    return node;
  }

  /** Whether, as seen from anywhere within the bounds, the sites come in this order as far as answers show it. */
  #isOrderSame(extent: number, order: readonly number[]): boolean {
    let shown = 0;
    for (let i = 0; i < order.length - 1; i++) {
      const site = this.#sites[order[i]!]!;
      for (let j = i + 1; j < order.length; j++) {
        const other = this.#sites[order[j]!]!;
        if (this.#nearestGain(extent, other, site) > -DOT_MARGIN) return false;
      }
      shown += site.candidates.length;
      if (this.#options.fence || (this.#options.max !== 0 && shown >= this.#options.max)) return true;
    }
    return true;
  }

  /** The most by which `other` can be nearer than `site` within the bounds, as a difference of scalar products. */
  #nearestGain(extent: number, other: Site, site: Site): number {
    const extents = this.#extents!;
    const dx = other.x - site.x;
    const dy = other.y - site.y;
    const dz = other.z - site.z;
    return dx * (dx > 0 ? extents.maxX(extent) : extents.minX(extent)) +
      dy * (dy > 0 ? extents.maxY(extent) : extents.minY(extent)) +
      dz * (dz > 0 ? extents.maxZ(extent) : extents.minZ(extent));
  }

  /** The decision where nothing varies any more; remembered where it depends on the place alone. */
  #decide(cidr: number, cityLeaf: number, asnLeaf: number): number {
    const place = this.#placeAt(cityLeaf);
    const network = this.#networkAt(asnLeaf);
    const { kind } = this.#options.base;
    if (kind === "mapped" || kind === "hashed" || network !== 0) return this.#work(cidr, place, network);
    const known = this.#remembered[this.#prefix.length === 4 ? 0 : 1];
    const key = place * (this.#groups.count + 1) + (cidr < 0 ? 0 : cidr + 1);
    const before = known.get(key);
    if (before !== undefined) return before;
    const decision = this.#work(cidr, place, network);
    known.set(key, decision);
    return decision;
  }

  #work(cidr: number, place: number, network: number): number {
    const ranking = this.#rank(this.#groupFor(cidr, place, network), place);
    const { candidates, max } = this.#options;
    const shown = shownOf(ranking, max);
    const ends = ranking.ends?.filter((end) => end <= shown) ?? [];
    const key = `${ranking.state} ${ranking.lead} ${ends} ${ranking.order.slice(0, shown).join(" ")}`;
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    // A decision that is forgotten takes the whole trie with it.
    if (this.#decisions.length === DECISIONS_MAX) this.#trie.clear();
    const order = ranking.order.slice(0, shown);
    const equals = order.slice(0, ranking.lead);
    const weights = equals.map((position) => candidates[position]!.weight);
    this.#numbers.set(key, this.#decisions.length);
    return this.#decisions.push({
      order: Uint32Array.from(order, (position) => candidates[position]!.index),
      lead: ranking.lead,
      ends: ends.length > 0 ? Uint32Array.from(ends) : null,
      schedule: weights.some((weight) => weight !== weights[0]) ? smoothSchedule(weights) : null,
      state: ranking.state,
      left: leftOf(equals.map((position) => candidates[position]!)),
    }) - 1;
  }

  /** The group of rules that matches: the longest prefix, else the network, else the country, else the continent. */
  #groupFor(cidr: number, place: number, network: number): RuleGroup | null {
    const groups = this.#groups;
    if (cidr >= 0) return groups.at(cidr);
    const byNetwork = network === 0 ? null : groups.named("asn", this.#asn!.asn(network));
    if (byNetwork || place === 0) return byNetwork;
    return groups.named("country", this.#city!.country(place)) ??
      groups.named("continent", this.#city!.continent(place));
  }

  #rank(group: RuleGroup | null, place: number): Ranking & { readonly state: State } {
    const { candidates, fence } = this.#options;
    if (fence) return this.#rankFenced(fence, group, place);
    const ranking = this.#base(place);
    const named = group?.candidates.order.filter((position) => candidates[position]!.isUp) ?? [];
    if (named.length === 0) return { ...ranking, state: STATE.up };
    // Whatever the order of the rules, the same members are the same decision.
    named.sort((a, b) => a - b);
    const others = keepRanked(ranking, (position) => !named.includes(position));
    return { ...rankGroups([named, ...groupsOf(others)]), state: STATE.up };
  }

  /** Those inside that are up, as equals; of a client that nothing fences, those of the pool by the algorithm. */
  #rankFenced(fence: Fence, group: RuleGroup | null, place: number): Ranking & { readonly state: State } {
    const inside = this.#insideOf(group, place);
    const { state, up } = judgeFence(fence, this.#options.candidates, inside);
    if (state === STATE.elsewhere || up.length === 0) return { order: [], lead: 0, state };
    if (inside) return { ...rankGroups([up]), state };
    if (this.#options.base.kind === "alike") return { ...fence.rankAlike(up), state };
    return { ...keepRanked(this.#base(place), (position) => up.includes(position)), state };
  }

  /** Positions inside the client's fence, up or not; `null` = nothing fences it. */
  #insideOf(group: RuleGroup | null, place: number): readonly number[] | null {
    if (group) return group.candidates.order.toSorted((a, b) => a - b);
    switch (this.#options.base.kind) {
      case "nearest": {
        const [nearest] = this.#nearestSites(place);
        return nearest === undefined ? null : this.#sites[nearest]!.candidates;
      }
      case "mapped": {
        const named = this.#named?.at(this.#prefix) ?? [];
        return named.length === 0 ? null : named;
      }
      default:
        return null;
    }
  }

  #base(place: number): Ranking {
    const { base, candidates } = this.#options;
    switch (base.kind) {
      case "alike":
        return base.ranking;
      case "hashed":
        return rankByHash(candidates, this.#prefix);
      case "mapped":
        return this.#rankMapped();
      case "nearest":
        return this.#rankNearest(place);
    }
  }

  /** Those first that the map file names, in the order in which they stand among the candidates. */
  #rankMapped(): Ranking {
    const named = this.#named?.at(this.#prefix) ?? [];
    const all = [...this.#options.candidates.keys()];
    return rankGroups([named, all.filter((position) => !named.includes(position))]);
  }

  #rankNearest(place: number): Ranking {
    const sites = this.#nearestSites(place);
    if (sites.length === 0) return rankEqual(this.#options.candidates);
    return rankGroups([...sites.map((site) => this.#sites[site]!.candidates), this.#unplaced]);
  }

  /** Sites by distance from a place of the database; none when nobody knows where it is. */
  #nearestSites(place: number): number[] {
    const city = this.#city;
    if (place === 0 || !city || Number.isNaN(city.latitude(place))) return [];
    const x = city.x(place);
    const y = city.y(place);
    const z = city.z(place);
    // The larger the scalar product of two unit vectors, the shorter the way between them.
    const nearness = this.#sites.map((site) => site.x * x + site.y * y + site.z * z);
    return [...this.#sites.keys()].sort((a, b) => nearness[b]! - nearness[a]! || a - b);
  }
}

/** How many of a ranking answers show: whole groups, since their members take turns. */
function shownOf({ order, lead, ends }: Ranking, max: number): number {
  if (max === 0) return order.length;
  if (max <= lead) return lead;
  return ends?.find((end) => end >= max) ?? Math.min(max, order.length);
}

/** Weights are those of now; what they would be without drains follows from what is left. */
function leftOf(equals: readonly Candidate[]): number {
  const now = equals.reduce((sum, { weight }) => sum + weight, 0);
  const whole = equals.reduce((sum, { weight, left }) => sum + weight / left, 0);
  return whole === 0 ? 1 : now / whole;
}

/** Candidates that stand at the same place. */
interface Site {
  readonly x: number;
  readonly y: number;
  readonly z: number;
  /** By position. */
  readonly candidates: number[];
}

function sitesOf(candidates: readonly Candidate[]): { sites: Site[]; unplaced: number[] } {
  const sites = new Map<string, Site>();
  const unplaced: number[] = [];
  const vector = new Float64Array(3);
  for (const [position, { place }] of candidates.entries()) {
    if (!place) {
      unplaced.push(position);
      continue;
    }
    const key = `${place.latitude} ${place.longitude}`;
    unitVector(place.latitude, place.longitude, vector);
    const site = sites.get(key) ?? { x: vector[0]!, y: vector[1]!, z: vector[2]!, candidates: [] };
    site.candidates.push(position);
    sites.set(key, site);
  }
  return { sites: [...sites.values()], unplaced };
}

/** A database's node where it knows nothing of the family, or isn't asked. */
const NOWHERE = -1;
/** What `Extents` say of several countries or continents. */
const SEVERAL = 0xffff;
/** Bounds don't tell. */
const UNPROVED = -2;

function isLeaf(mmdb: Mmdb | null, node: number): boolean {
  return mmdb === null || node === NOWHERE || node >= mmdb.nodeCount;
}

/** The node that the first `depth` bits of an address lead to. */
function nodeAt(mmdb: Mmdb | null, family: 4 | 6, address: Uint8Array, depth: number): number {
  let node = mmdb ? mmdb.root(family) : NOWHERE;
  for (let bit = 0; bit < depth && !isLeaf(mmdb, node); bit++) {
    node = mmdb!.child(node, bitAt(address, bit));
  }
  return node;
}

function bitAt(address: Uint8Array, bit: number): number {
  return address[bit >> 3]! >> (7 - (bit & 7)) & 1;
}

function setBit(address: Uint8Array, bit: number): void {
  address[bit >> 3]! |= 0x80 >> (bit & 7);
}

function clearBit(address: Uint8Array, bit: number): void {
  address[bit >> 3]! &= ~(0x80 >> (bit & 7));
}

function lettersOf(code: number): string | null {
  return code === 0 ? null : String.fromCharCode(code >> 8, code & 0xff);
}
