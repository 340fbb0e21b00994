/**
 * Who gets what: the decision for every client address, for one state of health. Found out prefix by prefix as clients
 * come, and kept, so that a known client costs a walk over a few bits of its address.
 *
 * The map is a binary trie over addresses. A node is unknown (no query came), alike (the decision is the same for every
 * address below it) or mixed. An unknown node is made out from below: down to where nothing that decides varies any
 * more — the databases' trees, the rules' prefixes, the map file's ranges —, and then up as long as the other half of
 * the prefix decides alike. `Extents` prove most halves alike without a visit; of the others all is visited until an
 * address differs. So the depth at which a look-up ends is the widest prefix with one decision: the scope of RFC 7871.
 *
 * One budget bounds all of that for a query, whatever the databases, the rules and the client: when it is spent, the
 * scope is narrower than it could be, never wrong.
 *
 * @module
 */
import type { Extents } from "../geo/extents.ts";
import { type Decision, type DecisionKey, Decisions, hashOf, isSame } from "./decisions.ts";
import { type Fence, type JudgedFence, judgeFence, STATE, type State, upInside } from "./fence.ts";
import { hashBits } from "./hash.ts";
import type { Lasting } from "./lasting.ts";
import type { MapFile } from "../geo/map_file_table.ts";
import type { Mmdb } from "../geo/mmdb.ts";
import { NamedByMap } from "./named_by_map.ts";
import {
  type Candidate,
  costsFor,
  indicesOf,
  keepRanked,
  orderBy,
  rankEqual,
  rankGroups,
  type Ranking,
  rankRuns,
} from "./ranking.ts";
import type { RuleGroup } from "./rule_groups.ts";
import type { ClientRule, Kind } from "./rule_table.ts";
import { NO_SITES, type Sites } from "./sites.ts";
import type { Trie } from "./trie.ts";
import { scheduleOf } from "./weighted.ts";

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
  /** Those first that the map file names. */
  | { readonly kind: "mapped" }
  /** By rendezvous hashing. */
  | { readonly kind: "hashed" };

/** What a map is made for. */
export interface ClientMapOptions {
  /** Those that may be answered, by index; with a geofence all members of the pool. */
  readonly candidates: readonly Candidate[];
  /** All that may ever be candidates, and the rules, which are looked at before `base`. */
  readonly lasting: Lasting;
  /** How candidates are ordered. */
  readonly base: Base;
  /** How a client is fenced in; `null` = never. */
  readonly fence: Fence | null;
  /** Addresses in an answer; 0 = all. */
  readonly max: number;
  /**
   * Maps that differ from this one only in that more candidates were up. What they decided for clients that get none of
   * the fallen ones still holds. The last one is kept and asked first for as long as this map is: it should be the one
   * that knows most. What the others know is taken over, the first one's first. Not looked at where `canInherit` says so.
   */
  readonly formers?: readonly ClientMap[];
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

/** A map in which more candidates were up. */
interface Former {
  readonly map: ClientMap;
  /** By number of its decisions: what they are here; `undefined` = not asked yet, −1 = they don't hold. */
  numbers: (number | undefined)[];
}

/** Look-ups after which a map is worth being made out ahead. */
const AHEAD_FINDS = 64;
/** Prefixes that are made out ahead for a map at most, those included that were known. */
const AHEAD_MAX = 1 << 20;
/** Bits that a map's shortcut takes at once. */
const SHORTCUT_DEPTH = 16;
/** Look-ups after which a shortcut is worth its 256 KiB. */
const SHORTCUT_FINDS = 10_000;
/** Bits that a depth takes in a shortcut. */
const DEPTH_BITS = 5;
const DEPTH_MASK = 31;
/** Steps that a query may take to make a prefix out, one for each node visited. */
export const STEPS_MAX = 512;
/** The same while bounds haven't been worked out yet: then nearly all of it would be for nothing. */
const STEPS_MAX_UNBOUNDED = 128;
/** What a question to the map file counts: two searches in it. */
const STEPS_OF_MAP = 8;
/** Changes in what it says that are looked at in a step. */
const CHANGES_A_STEP = 4;
/** Sites that are compared in a step. */
const SITES_A_STEP = 4;
/** Where rules of a kind name more sets of members it isn't looked at whether they make a difference, … */
const COMPARED_MAX = 8;
/** … nor where so many candidates would have to be ranked for it. */
const CANDIDATES_COMPARED = 512;
/** Candidates of which the first is found in a step. */
const CANDIDATES_A_STEP = 4;
/** Their number, squared, divided by this is what sorting them takes beside a step for each. */
const CANDIDATES_SORTED = 256;
/** What things take in memory, nearly (`Trie.beside`). */
const BYTES = { map: 3_000, candidate: 16, decision: 400, key: 40, word: 4 } as const;
/** Below this, one place isn't proved nearer than another: the rounding of unit vectors. */
const DOT_MARGIN = 1e-7;

/** Stands in the place of a number of clearings before anything is made out. */
const NEVER = -1;

/** The decisions for one state of health. */
export class ClientMap {
  /** Bits of the address looked at last that its decision depends on. */
  depth = 0;
  /** Steps taken to make prefixes out, ever: what a query may cost, apart from the time that it takes. */
  steps = 0;
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
  #grown = NEVER;
  readonly #decisions = new Decisions();
  /** With a geofence: by site, the number of the decision for what it fences in; `undefined` = not asked yet. */
  #siteDecisions: (number | undefined)[] = [];
  readonly #remembered: [v4: Map<number, number>, v6: Map<number, number>] = [new Map(), new Map()];
  /** Those that are looked at where a prefix has to be made out. */
  readonly #formers: readonly Former[];
  /**
   * The one that is asked before the own trie, which only gets what doesn't hold any more or wasn't known: so right after
   * a fall all clients but those of the fallen cost what they cost before.
   */
  readonly #kept: Former | null;
  /** Of the candidates, by index; −1 = it is none. */
  readonly #positions: number[];
  readonly #isUp = (position: number): boolean => this.#options.candidates[position]!.isUp;
  /** The kinds of rules that can make a difference. */
  readonly #sees: KindsSeen;
  /** All places at which members stand, … */
  readonly #allSites: Sites;
  /** … and the numbers of those at which candidates do. */
  readonly #sites: readonly number[];
  /** Candidates whose place isn't known, by position. */
  readonly #unplaced: number[] = [];
  /** What the map file says of the candidates; `null` = it isn't asked. */
  readonly #named: NamedByMap | null;
  /** Whether a hash is asked, and has something to choose. */
  readonly #isHashed: boolean;

  /** The address that is made out ahead next: of IPv4, then of IPv6, then none; `undefined` = the first one. */
  #ahead: Uint8Array | null | undefined;
  #aheadLeft = AHEAD_MAX;

  /** Bytes that it takes whatever it knows, … */
  readonly #fixed: number;
  /** … and those of its decisions, and of what is remembered of them. */
  #bytes = 0;

  // What the prefix being made out depends on.
  #prefix: Uint8Array = PREFIX_V4;
  #city: Mmdb | null = null;
  #extents: Extents | null = null;
  #asn: Mmdb | null = null;
  /** How many more steps may be taken. */
  #left = 0;
  /** The group of rules of the client being made out. */
  #group: RuleGroup | null = null;
  /** The sites in the order of the client being made out, as far as any is asked for; and its place, of that database. */
  #order: readonly number[] = NONE;
  #orderPlace = 0;
  #orderCity: Mmdb | null = null;

  /** Nothing is made out yet. */
  constructor(options: ClientMapOptions, facts: ClientFacts, trie: Trie) {
    this.#options = options;
    this.#facts = facts;
    this.#trie = trie;
    const { base, candidates, lasting, fence, formers = [] } = options;
    this.#positions = new Array<number>(lasting.size).fill(NO_CANDIDATE);
    for (let position = 0; position < candidates.length; position++) {
      const { index, place } = candidates[position]!;
      this.#positions[index] = position;
      if (place === null) this.#unplaced.push(position);
    }
    this.#allSites = base.kind === "nearest" ? lasting.sites : NO_SITES;
    this.#sites = this.#sitesAmong(this.#allSites);
    this.#isHashed = base.kind === "hashed" && rankedOf(candidates, fence) > 1;
    this.#named = base.kind === "mapped" && facts.map && lasting.named
      ? new NamedByMap(facts.map, lasting.named, this.#positions)
      : null;
    this.#fixed = BYTES.map + BYTES.candidate * lasting.size;
    trie.beside += this.#fixed;
    this.#sees = this.#kindsSeen();
    // Where nothing is looked at any more all clients are alike.
    const isVarying = this.#seesCity || this.#sees.cidr || this.#sees.asn || this.#isByAddress;
    const inherited = canInherit(options) && isVarying && candidates.length > 1
      ? formers.map((map): Former => ({ map, numbers: [] }))
      : [];
    this.#kept = inherited.pop() ?? null;
    this.#formers = inherited;
  }

  /** The decision for an address of 4 or 16 bytes; `depth` tells for how wide a prefix it holds. */
  find(address: Uint8Array): Decision {
    const trie = this.#trie;
    if (this.#grown !== trie.clearings) this.#begin();
    const held = this.#heldOf(this.#kept, address);
    if (held >= 0) {
      this.#finds++;
      return this.#decisions.at(held);
    }
    let at = this.#root + (address.length === 4 ? 0 : 1);
    let depth = 0;
    const shortcut = address.length === 4 ? this.#shortcut : null;
    if (shortcut !== null) {
      const known = shortcut[address[0]! << 8 | address[1]!]!;
      if (known < 0) {
        this.depth = ~known & DEPTH_MASK;
        return this.#decisions.at(~known >>> DEPTH_BITS);
      }
      if (known > 0) {
        at = known + bitAt(address, SHORTCUT_DEPTH);
        depth = SHORTCUT_DEPTH + 1;
      }
    }
    for (;; depth++) {
      let node = trie.words[at]!;
      if (node === 0) {
        if (!this.#makeOut(at, depth, address)) return this.find(address);
        node = trie.words[at]!;
      }
      if (shortcut !== null && (depth === SHORTCUT_DEPTH || (node < 0 && depth < SHORTCUT_DEPTH))) {
        shortcut[address[0]! << 8 | address[1]!] = node < 0 ? ~(~node << DEPTH_BITS | depth) : node;
      }
      if (node < 0) {
        this.depth = depth;
        if (++this.#finds === SHORTCUT_FINDS) this.#takeShortcut();
        return this.#decisions.at(~node);
      }
      at = node + bitAt(address, depth);
    }
  }

  /** Forgets what it has made out: more is known by now. */
  begin(): void {
    this.#grown = NEVER;
  }

  /** Says that it isn't kept any more. */
  release(): void {
    this.#trie.beside -= this.#fixed + this.#bytes;
  }

  /** Whether so few clients asked that making the map out ahead isn't worth it. */
  get isAskedLittle(): boolean {
    return this.#finds < AHEAD_FINDS;
  }

  /**
   * Makes the next prefixes of all addresses out, so that the first client of each finds it known: one after the other,
   * neighbours' nodes are still at hand, and it takes half of what clients in any order cost. Not where a decision holds
   * for a network at most, nor when nodes take half of their room.
   *
   * @param count so many, each of which may take `STEPS_MAX`
   * @returns whether there may be more
   */
  makeAhead(count: number): boolean {
    if (this.#isByAddress) return false;
    for (let i = 0; i < count; i++) {
      const address = this.#ahead === undefined ? this.#ahead = new Uint8Array(4) : this.#ahead;
      if (address === null || this.#aheadLeft-- === 0 || this.#trie.isHalfFull) return false;
      // Without bounds scopes are narrow, and all is made out again when they are there.
      if (this.#seesCity && this.#facts.city(address.length === 4 ? 4 : 6)?.extents === null) return false;
      this.find(address);
      if (stepPast(address, this.depth)) this.#ahead = address.length === 4 ? new Uint8Array(16) : null;
    }
    return true;
  }

  #takeShortcut(): void {
    this.#shortcut = this.#trie.shortcut(2 ** SHORTCUT_DEPTH, () => {
      this.#shortcut = null;
      this.#finds = 0;
    });
  }

  /** What the decision for an address is based on. */
  reasonFor(address: Uint8Array): Reason {
    const { city, asn, group } = this.#factsOf(address);
    const mmdb = this.#city;
    const latitude = mmdb && city !== 0 ? mmdb.latitude(city) : NaN;
    const { fence, lasting: { groups } } = this.#options;
    const inside = fence ? this.#insideOf(group, city) : null;
    const judged = inside && this.#judge(inside);
    return {
      rule: group === null
        ? null
        : groups.ruleOf(group, (member) => this.#positions[member] !== NO_CANDIDATE),
      named: group === null ? [] : this.#positionsOf(group.members),
      place: Number.isNaN(latitude) ? null : { latitude, longitude: mmdb!.longitude(city) },
      country: mmdb ? lettersOf(mmdb.country(city)) : null,
      continent: mmdb ? lettersOf(mmdb.continent(city)) : null,
      asn: this.#asn ? this.#asn.asn(asn) : 0,
      mapped: this.#named?.at(address) ?? [],
      fence: judged && {
        by: group ? "rule" : this.#options.base.kind === "nearest" ? "site" : "map",
        inside: inside!,
        up: judged.up,
        needed: judged.needed,
      },
    };
  }

  /**
   * What a geofence leaves a client, up or not, looked up for this one alone: positions of candidates; `null` = nothing
   * fences it. It takes a tenth of what a decision does in a map that knows nothing yet.
   */
  insideFor(address: Uint8Array): readonly number[] | null {
    const { city, group } = this.#factsOf(address);
    return this.#insideOf(group, city);
  }

  /** The records that databases have of a client, and the group of rules that it is in. */
  #factsOf(
    address: Uint8Array,
  ): { readonly city: number; readonly asn: number; readonly group: RuleGroup | null } {
    this.#look(address);
    const city = this.#leaf(this.#city, address);
    const asn = this.#leaf(this.#asn, address);
    this.#prefix.set(address);
    return { city, asn, group: this.#firstGroup(this.#cidrLeaf(address), city, asn, ALL_KINDS) };
  }

  #begin(): void {
    this.#root = this.#trie.reserve();
    this.#grown = this.#trie.clearings;
    this.#decisions.clear();
    this.#siteDecisions = [];
    this.#shortcut?.fill(0);
    for (const known of this.#remembered) known.clear();
    this.#trie.beside -= this.#bytes;
    this.#bytes = 0;
    if (this.#kept !== null) this.#kept.numbers = [];
    for (const former of this.#formers) former.numbers = [];
  }

  #look(address: Uint8Array): void {
    const family = address.length === 4 ? 4 : 6;
    const city = this.#facts.city(family);
    this.#city = city?.mmdb ?? null;
    this.#extents = city?.extents ?? null;
    this.#asn = this.#facts.asn(family);
    this.#prefix = family === 4 ? PREFIX_V4 : PREFIX_V6;
  }

  #leaf(mmdb: Mmdb | null, address: Uint8Array): number {
    return mmdb ? mmdb.place(mmdb.find(address)) : 0;
  }

  #cidrLeaf(address: Uint8Array): number {
    const { groups } = this.#options.lasting;
    let node = groups.cidrRoot(address.length);
    for (let bit = 0; node >= 0; bit++) {
      node = groups.cidrChild(node, bit, bitAt(address, bit));
    }
    return node;
  }

  /**
   * Which kinds of rules can make a difference. Where all others get the same, rules that name just those don't,
   * unless they keep a client from a rule behind them that does.
   */
  #kindsSeen(): KindsSeen {
    const sees = { cidr: false, asn: false, country: false, continent: false };
    let isBehind = false;
    for (const kind of ["continent", "country", "asn", "cidr"] as const) {
      sees[kind] = this.#isAnyLive(kind) && (isBehind || !this.#areLikeOthers(kind));
      isBehind ||= sees[kind];
    }
    return sees;
  }

  #isAnyLive(kind: Kind): boolean {
    const { groups } = this.#options.lasting;
    for (let i = 0; i < groups.namingCount(kind); i++) {
      if (this.#isLive(groups.namingAt(kind, i))) return true;
    }
    return false;
  }

  /** Whether clients of a kind's groups get what all others get, as far as that is the same for all. */
  #areLikeOthers(kind: Kind): boolean {
    if (this.#options.base.kind !== "alike") return false;
    const most = Math.min(COMPARED_MAX, Math.ceil(CANDIDATES_COMPARED / this.#options.candidates.length));
    let others: DecisionKey | null = null;
    let compared = 0;
    const { groups } = this.#options.lasting;
    for (let i = 0; i < groups.namingCount(kind); i++) {
      const group = groups.namingAt(kind, i);
      if (!this.#isLive(group)) continue;
      if (compared++ === most) return false;
      others ??= this.#keyOf(this.#rank(null, 0));
      if (!isSame(this.#keyOf(this.#rank(group, 0)), others)) return false;
    }
    return true;
  }

  /**
   * Makes out the widest prefix of an address that decides alike, of at least `depth` bits, and lays it into the trie.
   *
   * @param at the word that those bits lead to
   * @returns whether the trie still is as it was
   */
  #makeOut(at: number, depth: number, address: Uint8Array): boolean {
    let decision = this.#inherited(depth, address);
    if (decision < 0) decision = this.#explore(depth, address);
    const trie = this.#trie;
    if (this.#grown !== trie.clearings) return false;
    for (let bit = depth; bit < this.depth; bit++) {
      if (!trie.put(at, 0)) return false;
      at = trie.words[at]! + bitAt(address, bit);
    }
    return trie.put(at, ~decision);
  }

  /** The decision that one of the former maps has made for an address of which `depth` bits are known, or −1. */
  #inherited(depth: number, address: Uint8Array): number {
    for (const former of this.#formers) {
      const number = this.#heldOf(former, address);
      if (number < 0) continue;
      this.depth = Math.max(depth, this.depth);
      return number;
    }
    return -1;
  }

  /**
   * The decision that a former map has made for an address, if it still holds; −1 = there is none. `depth` then says for
   * how wide a prefix. It could be wider by now, since some that were answered beside it have fallen.
   */
  #heldOf(former: Former | null, address: Uint8Array): number {
    if (former === null) return -1;
    const { map, numbers } = former;
    const number = map.#glance(address);
    if (number < 0) return -1;
    this.depth = map.depth;
    return numbers[number] ??= this.#held(map.#decisions.at(number));
  }

  /** The number of a former decision: that it holds for as long as none of those in it has fallen. */
  #held(decision: Decision): number {
    for (const index of decision.order) if (this.#positions[index] === NO_CANDIDATE) return -1;
    const hash = hashOf(decision);
    const known = this.#decisions.find(decision, hash);
    return known >= 0 ? known : this.#added(decision, hash);
  }

  /** The number of the decision for an address, if it was made out before; else −1. */
  #glance(address: Uint8Array): number {
    const trie = this.#trie;
    if (this.#grown !== trie.clearings) return -1;
    const held = this.#heldOf(this.#kept, address);
    if (held >= 0) return held;
    let at = this.#root + (address.length === 4 ? 0 : 1);
    let depth = 0;
    if (this.#shortcut !== null && address.length === 4) {
      const known = this.#shortcut[address[0]! << 8 | address[1]!]!;
      if (known < 0) {
        this.depth = ~known & DEPTH_MASK;
        return ~known >>> DEPTH_BITS;
      }
      if (known > 0) {
        at = known + bitAt(address, SHORTCUT_DEPTH);
        depth = SHORTCUT_DEPTH + 1;
      }
    }
    let node = trie.words[at]!;
    while (node > 0) node = trie.words[node + bitAt(address, depth++)]!;
    this.depth = depth;
    return ~node;
  }

  /** The decision for an address; `depth` then says for how wide a prefix it was made out to hold. */
  #explore(depth: number, address: Uint8Array): number {
    this.#look(address);
    const prefix = this.#prefix;
    this.depth = depth;
    // None to choose from: the same for all clients, whatever is known of them.
    if (this.#options.candidates.length < 2 && !this.#options.fence) return this.#decide(null, 0);
    const budget = this.#extents || !this.#seesCity ? STEPS_MAX : STEPS_MAX_UNBOUNDED;
    this.#left = budget;
    let end = this.#descend(address, depth);
    const place = this.#placeAt(CITY_PATH[end]!);
    const network = this.#networkAt(ASN_PATH[end]!);
    this.#group = this.#groupFor(CIDR_PATH[end]!, place, network);
    const isByAddress = this.#isByAddress && !this.#isRuleEnough(this.#group);
    if (isByAddress) end = this.#descendFurther(end, this.#baseDepth(address));
    prefix.set(address);
    maskFrom(prefix, end);
    this.#order = this.#nearestSites(place);
    this.#orderPlace = place;
    this.#orderCity = this.#city;
    const decision = this.#decide(this.#group, place);
    // What a hash says depends on every bit that it looks at.
    const least = isByAddress && this.#isHashed ? Math.max(depth, hashBits(address)) : depth;
    while (end > least && this.#isOtherHalfAlike(end, decision)) clearBit(prefix, --end);
    this.depth = end;
    this.steps += budget - this.#left;
    return decision;
  }

  get #seesCity(): boolean {
    return this.#options.base.kind === "nearest" || this.#sees.country || this.#sees.continent;
  }

  /** Whether the algorithm looks at addresses themselves. */
  get #isByAddress(): boolean {
    return this.#isHashed || this.#named !== null;
  }

  /** Walks down to where neither a database nor a rule's prefix makes a difference; gives the depth, at least `least`. */
  #descend(address: Uint8Array, least: number): number {
    const bits = address.length * 8;
    const family = address.length === 4 ? 4 : 6;
    const { groups } = this.#options.lasting;
    const [cities, asns, cidrs] = [CITY_PATH, ASN_PATH, CIDR_PATH];
    const city = this.#city;
    const asn = this.#asn;
    let end = 0;
    cities[0] = this.#seesCity && city ? leafOr(city.root(family)) : NOWHERE;
    asns[0] = this.#sees.asn && asn ? leafOr(asn.root(family)) : NOWHERE;
    cidrs[0] = this.#sees.cidr ? groups.cidrRoot(address.length) : NOTHING;
    if (city && asns[0] === NOWHERE && cidrs[0] === NOTHING) return this.#descendPlaces(city, address, least);
    while (end < bits) {
      const isRuleEnd = isLeaf(asn, asns[end]!) && cidrs[end]! < 0;
      if (
        isRuleEnd && end >= least && (isLeaf(city, cities[end]!) || this.#isRuled(cidrs[end]!, asns[end]!))
      ) break;
      const bit = bitAt(address, end);
      cities[end + 1] = childOf(city, cities[end]!, bit);
      asns[end + 1] = childOf(asn, asns[end]!, bit);
      cidrs[end + 1] = groups.cidrChild(cidrs[end]!, end, bit);
      end++;
    }
    return end;
  }

  /** Likewise where only places count: what most maps go by, and most of what a new prefix costs. */
  #descendPlaces(city: Mmdb, address: Uint8Array, least: number): number {
    const [cities, asns, cidrs] = [CITY_PATH, ASN_PATH, CIDR_PATH];
    const { nodeCount } = city;
    const bits = address.length * 8;
    let node = cities[0]!;
    let end = 0;
    while (end < bits && (end < least || node < nodeCount)) {
      if (node < nodeCount) node = city.child(node, bitAt(address, end));
      end++;
      cities[end] = node;
      asns[end] = NOWHERE;
      cidrs[end] = NOTHING;
    }
    return end;
  }

  /** Whether a rule for prefixes or networks fills the answer, so that it makes no difference where a client is. */
  #isRuled(cidr: number, asn: number): boolean {
    return this.#isRuleEnough(this.#groupFor(cidr, 0, this.#networkAt(asn)));
  }

  /** Likewise on to a depth, below leaves. */
  #descendFurther(from: number, to: number): number {
    for (let depth = from; depth < to; depth++) {
      CITY_PATH[depth + 1] = CITY_PATH[depth]!;
      ASN_PATH[depth + 1] = ASN_PATH[depth]!;
      CIDR_PATH[depth + 1] = CIDR_PATH[depth]!;
    }
    return Math.max(from, to);
  }

  /** The depth from which on the algorithm makes no difference within a prefix. */
  #baseDepth(address: Uint8Array): number {
    if (this.#named === null) return hashBits(address);
    this.#left -= STEPS_OF_MAP * 4;
    return this.#named.depthFor(address);
  }

  #isOtherHalfAlike(depth: number, wanted: number): boolean {
    const bit = depth - 1;
    const prefix = this.#prefix;
    flipBit(prefix, bit);
    const other = bitAt(prefix, bit);
    const isAlike = this.#isAlike(
      depth,
      childOf(this.#city, CITY_PATH[bit]!, other),
      childOf(this.#asn, ASN_PATH[bit]!, other),
      this.#options.lasting.groups.cidrChild(CIDR_PATH[bit]!, bit, other),
      wanted,
    );
    flipBit(prefix, bit);
    return isAlike;
  }

  /**
   * Whether all addresses of `#prefix` (`depth` bits) get this decision; `false` also when that would take too long.
   *
   * @param city node of the database of places at the prefix; `asn` and `cidr` likewise
   */
  #isAlike(depth: number, city: number, asn: number, cidr: number, wanted: number): boolean {
    if (--this.#left < 0) return false;
    const prefix = this.#prefix;
    const isWhole = depth === prefix.length * 8;
    const isCityEnd = isLeaf(this.#city, city);
    const isRuleEnd = cidr < 0 && isLeaf(this.#asn, asn);
    if (isRuleEnd && !isCityEnd) {
      const group = this.#groupFor(cidr, 0, this.#networkAt(asn));
      if (this.#isRuleEnough(group)) return this.#decidesAs(group, 0, wanted);
    }
    if (isWhole || (isCityEnd && isRuleEnd)) {
      const place = this.#placeAt(city);
      const group = this.#groupFor(cidr, place, this.#networkAt(asn));
      if (isWhole || this.#isBaseSame(depth) || this.#isRuleEnough(group)) {
        return this.#decidesAs(group, place, wanted);
      }
      if (this.#isHashed) return false;
    } else if (isRuleEnd && this.#extents !== null && this.#isBaseSame(depth)) {
      const proved = this.#prove(city, asn, cidr, wanted);
      if (proved !== UNPROVED) return proved === ALIKE;
    }
    const { groups } = this.#options.lasting;
    for (let bit = 0; bit < 2; bit++) {
      if (bit === 1) flipBit(prefix, depth);
      const isAlike = this.#isAlike(
        depth + 1,
        childOf(this.#city, city, bit),
        childOf(this.#asn, asn, bit),
        groups.cidrChild(cidr, depth, bit),
        wanted,
      );
      if (bit === 1) flipBit(prefix, depth);
      if (!isAlike) return false;
    }
    return true;
  }

  /** Whether the algorithm, places apart, orders candidates in the same way for all of the prefix. */
  #isBaseSame(depth: number): boolean {
    if (this.#isHashed) return depth >= hashBits(this.#prefix);
    if (this.#named === null) return true;
    const { looked } = this.#named;
    const isSame = this.#named.isSame(this.#prefix, depth);
    this.#left -= STEPS_OF_MAP + Math.ceil((this.#named.looked - looked) / CHANGES_A_STEP);
    return isSame;
  }

  /** Whether a rule alone fills the answer, so that nothing depends on the algorithm. */
  #isRuleEnough(group: RuleGroup | null): boolean {
    if (!group) return false;
    const { candidates, fence, max } = this.#options;
    const named = this.#countOf(group.members);
    return fence !== null || named + 1 >= candidates.length || (max !== 0 && named >= max);
  }

  #placeAt(city: number): number {
    return this.#city && city !== NOWHERE ? this.#city.place(city) : 0;
  }

  #networkAt(asn: number): number {
    return this.#asn && asn !== NOWHERE ? this.#asn.place(asn) : 0;
  }

  /** Tries to tell from the bounds of a subtree whether all of it decides as wanted; the rest doesn't vary below it. */
  #prove(city: number, asn: number, cidr: number, wanted: number): number {
    const extents = this.#extents!;
    const extent = extents.find(city);
    if (extent < 0) return UNPROVED;
    const network = this.#networkAt(asn);
    const isNamed = this.#firstGroup(cidr, 0, network, this.#sees) !== null;
    if (!isNamed && this.#sees.country && extents.country(extent) === SEVERAL) return UNPROVED;
    if (!isNamed && this.#sees.continent && extents.continent(extent) === SEVERAL) return UNPROVED;
    const place = this.#placeAt(this.#firstLeaf(city));
    const group = this.#groupFor(cidr, place, network);
    if (this.#options.base.kind !== "nearest") {
      return this.#decidesAs(group, place, wanted) ? ALIKE : MIXED;
    }
    const isNowhere = extents.minX(extent) === Infinity;
    if (extents.hasUnknown(extent) !== isNowhere) return UNPROVED;
    const isKnown = !isNowhere && this.#order.length > 0;
    if (isKnown && group === this.#group && this.#isOrderSame(extent)) return ALIKE;
    if (!this.#decidesAs(group, place, wanted)) return MIXED;
    if (isNowhere || this.#options.fence && group) return ALIKE;
    return this.#isFenceSame(extent, wanted) ? ALIKE : UNPROVED;
  }

  #firstLeaf(city: number): number {
    let node = city;
    for (let depth = 0; depth < BITS_MAX && !isLeaf(this.#city, node); depth++) {
      node = this.#city!.child(node, 0);
    }
    return node;
  }

  /**
   * Whether, as seen from anywhere within the bounds, the sites come in the order of the client being made out, as far as
   * answers show it. Each is nearer than the next one, and hence than all behind; the last one shown is nearer than the
   * rest, in whichever order that comes.
   */
  #isOrderSame(extent: number): boolean {
    const { fence, max } = this.#options;
    const order = this.#order;
    const sites = this.#sites;
    let shown = 0;
    for (let i = 0; i < this.#order.length && this.#left >= 0; i++) {
      const site = sites[order[i]!]!;
      shown += this.#countAt(site);
      if (fence !== null || (max !== 0 && shown >= max)) return this.#isNearerThanRest(extent, i);
      if (i % SITES_A_STEP === 0) this.#left--;
      if (i + 1 === this.#order.length) break;
      if (this.#nearestGain(extent, sites[order[i + 1]!]!, site) > -DOT_MARGIN) return false;
    }
    return this.#left >= 0;
  }

  /** Whether the site at a position of the order is nearer than all behind it, from anywhere within the bounds. */
  #isNearerThanRest(extent: number, at: number): boolean {
    const sites = this.#sites;
    const site = sites[this.#order[at]!]!;
    this.#left -= Math.floor((sites.length - at) / SITES_A_STEP);
    if (this.#left < 0) return false;
    // Where only the first is asked for, the order ends with it.
    const isWhole = this.#order.length === sites.length;
    for (let i = isWhole ? at + 1 : 0; i < sites.length; i++) {
      const other = isWhole ? sites[this.#order[i]!]! : sites[i]!;
      if (other !== site && this.#nearestGain(extent, other, site) > -DOT_MARGIN) return false;
    }
    return true;
  }

  /** Whether, seen from anywhere within the bounds, each site that may be the nearest one fences in the same decision. */
  #isFenceSame(extent: number, wanted: number): boolean {
    if (!this.#options.fence || this.#group !== null) return false;
    this.#left -= Math.floor(this.#sites.length ** 2 / SITES_A_STEP);
    if (this.#left < 0) return false;
    const isWanted = (site: number) => this.#fencedInBy(site) === wanted;
    return this.#sites.every((site, i) =>
      isWanted(i) ||
      this.#sites.some((nearer, j) => isWanted(j) && this.#nearestGain(extent, site, nearer) <= -DOT_MARGIN)
    );
  }

  /** The most by which `other` can be nearer than `site` within the bounds, as a difference of scalar products. */
  #nearestGain(extent: number, other: number, site: number): number {
    const extents = this.#extents!;
    const { vectors } = this.#allSites;
    const dx = vectors[other * 3]! - vectors[site * 3]!;
    const dy = vectors[other * 3 + 1]! - vectors[site * 3 + 1]!;
    const dz = vectors[other * 3 + 2]! - vectors[site * 3 + 2]!;
    return dx * (dx > 0 ? extents.maxX(extent) : extents.minX(extent)) +
      dy * (dy > 0 ? extents.maxY(extent) : extents.minY(extent)) +
      dz * (dz > 0 ? extents.maxZ(extent) : extents.minZ(extent));
  }

  /** The decision where nothing varies any more; remembered unless it depends on the bits of the address. */
  #decide(group: RuleGroup | null, place: number): number {
    if (this.#isHashed && !this.#isRuleEnough(group)) return this.#work(group, place);
    const known = this.#remembered[this.#prefix.length === 4 ? 0 : 1];
    const key = this.#partOf(group, place) * (this.#options.lasting.groups.count + 1) +
      (group === null ? 0 : group.number + 1);
    const before = known.get(key);
    if (before !== undefined) return before;
    const decision = this.#work(group, place);
    known.set(key, decision);
    this.#take(BYTES.key);
    return decision;
  }

  /** What a decision depends on beside the group of rules; 0 = nothing. */
  #partOf(group: RuleGroup | null, place: number): number {
    if (this.#isRuleEnough(group)) return 0;
    if (this.#options.base.kind === "nearest") return place;
    return this.#named !== null ? this.#named.setAt(this.#prefix) : 0;
  }

  #work(group: RuleGroup | null, place: number): number {
    const { base, candidates, fence, max } = this.#options;
    if (fence !== null && group === null && base.kind === "nearest" && this.#isPlaced(place)) {
      this.#left -= Math.ceil(this.#sites.length / SITES_A_STEP);
      return this.#fencedInBy(this.#costOfSites(place));
    }
    // Where only the first counts nothing is sorted.
    this.#left -= max === 1
      ? Math.floor(candidates.length / CANDIDATES_A_STEP)
      : candidates.length + Math.floor(candidates.length ** 2 / CANDIDATES_SORTED);
    return this.#numberOf(this.#rank(group, place));
  }

  /**
   * Whether clients at a place are decided as wanted, which is the decision of the client being made out. Where only the
   * order of sites counts that is seen without a decision of their own.
   */
  #decidesAs(group: RuleGroup | null, place: number, wanted: number): boolean {
    const { base, fence } = this.#options;
    const isByOrder = base.kind === "nearest" && fence === null && group === this.#group &&
      this.#order.length > 0 && this.#isPlaced(place);
    if (!isByOrder) return this.#decide(group, place) === wanted;
    this.#left -= Math.floor(this.#sites.length / SITES_A_STEP / SITES_A_STEP);
    if (this.#isOrderAt(place)) return true;
    // Where a rule moves members to the front, the same may be left behind them.
    return group !== null && this.#decide(group, place) === wanted;
  }

  /** Whether the sites come in the order of the client being made out, as far as answers show it. */
  #isOrderAt(place: number): boolean {
    const { max } = this.#options;
    const first = this.#costOfSites(place);
    const costs = costsFor(this.#sites.length);
    const order = this.#order;
    if (first !== order[0]) return false;
    if (this.#order.length === 1) return true;
    let shown = 0;
    for (let i = 0; i + 1 < this.#order.length; i++) {
      shown += this.#countAt(this.#sites[order[i]!]!);
      const isLast = max !== 0 && shown >= max;
      for (let j = i + 1; j < (isLast ? this.#order.length : i + 2); j++) {
        const [a, b] = [order[i]!, order[j]!];
        if (costs[b]! < costs[a]! || (costs[b] === costs[a] && b < a)) return false;
      }
      if (isLast) return true;
    }
    return true;
  }

  /** The number of the decision for a ranking. */
  #numberOf(ranking: Ranking & { readonly state: State }): number {
    const { candidates } = this.#options;
    const key = this.#keyOf(ranking);
    const hash = hashOf(key);
    const known = this.#decisions.find(key, hash);
    if (known >= 0) return known;
    const equals: Candidate[] = [];
    for (let i = 0; i < ranking.lead; i++) equals.push(candidates[ranking.order[i]!]!);
    const schedule = scheduleOf(equals.map(({ weight }) => weight));
    return this.#added({ ...key, schedule, left: leftOf(equals) }, hash);
  }

  #added(decision: Decision, hash: number): number {
    const number = this.#decisions.add(decision, hash);
    const turns = decision.schedule ? decision.schedule.size : 0;
    this.#take(BYTES.decision + (decision.order.length + turns) * BYTES.word);
    // A decision that is forgotten takes the whole trie with it.
    if (this.#decisions.isFull) this.#trie.clear();
    return number;
  }

  #take(bytes: number): void {
    this.#bytes += bytes;
    this.#trie.beside += bytes;
  }

  /** Says everything of a decision that makes it another one. */
  #keyOf(ranking: Ranking & { readonly state: State }): DecisionKey {
    const { candidates, max } = this.#options;
    const shown = shownOf(ranking, max);
    const ends = ranking.ends?.filter((end) => end <= shown) ?? [];
    return {
      order: indicesOf(
        shown === ranking.order.length ? ranking.order : ranking.order.slice(0, shown),
        candidates,
      ),
      lead: ranking.lead,
      ends: ends.length > 0 ? Uint32Array.from(ends) : null,
      state: ranking.state,
    };
  }

  /** The group of rules that matches, of the kinds that make a difference. */
  #groupFor(cidr: number, place: number, network: number): RuleGroup | null {
    return this.#firstGroup(cidr, place, network, this.#sees);
  }

  /** The group of rules that matches: the longest prefix, else the network, else the country, else the continent. */
  #firstGroup(cidr: number, place: number, network: number, sees: KindsSeen): RuleGroup | null {
    const { groups } = this.#options.lasting;
    const city = this.#city;
    let group = sees.cidr ? this.#liveOf(groups.groupAt(cidr)) : null;
    if (group === null && sees.asn && network !== 0) {
      group = this.#liveOf(groups.named("asn", this.#asn!.asn(network)));
    }
    if (place === 0) return group;
    if (group === null && sees.country) group = this.#liveOf(groups.named("country", city!.country(place)));
    if (group === null && sees.continent) {
      group = this.#liveOf(groups.named("continent", city!.continent(place)));
    }
    return group;
  }

  /** The group, or the one around it that counts where none of its members is a candidate. */
  #liveOf(group: RuleGroup | null): RuleGroup | null {
    let live = group;
    while (live !== null && !this.#isLive(live)) live = live.around;
    return live;
  }

  /** Whether a member of the group is a candidate; else it counts as if there were no such rule. */
  #isLive({ members }: RuleGroup): boolean {
    return this.#firstOf(members) !== NO_CANDIDATE;
  }

  /** How many of the members are candidates. */
  #countOf(members: readonly number[]): number {
    let count = 0;
    for (let i = 0; i < members.length; i++) if (this.#positions[members[i]!] !== NO_CANDIDATE) count++;
    return count;
  }

  /** Those of the members that are candidates, as such. */
  #positionsOf(members: readonly number[]): number[] {
    const positions: number[] = [];
    for (let i = 0; i < members.length; i++) {
      const position = this.#positions[members[i]!]!;
      if (position !== NO_CANDIDATE) positions.push(position);
    }
    return positions;
  }

  /** Numbers of sites at which candidates stand, in the order in which these do: among those as far away the first comes first. */
  #sitesAmong(all: Sites): readonly number[] {
    const sites: number[] = [];
    let last = NO_CANDIDATE;
    let isInOrder = true;
    for (let site = 0; site < all.count; site++) {
      const first = this.#firstAt(site);
      if (first === NO_CANDIDATE) continue;
      sites.push(site);
      if (first < last) isInOrder = false;
      last = first;
    }
    return isInOrder ? sites : sites.sort((a, b) => this.#firstAt(a) - this.#firstAt(b));
  }

  /** The first of the members at a site that is a candidate, as such. */
  #firstAt(site: number): number {
    const { members, starts } = this.#allSites;
    for (let at = starts[site]!; at < starts[site + 1]!; at++) {
      const position = this.#positions[members[at]!]!;
      if (position !== NO_CANDIDATE) return position;
    }
    return NO_CANDIDATE;
  }

  /** How many of the members at a site are candidates. */
  #countAt(site: number): number {
    const { members, starts } = this.#allSites;
    let count = 0;
    for (let at = starts[site]!; at < starts[site + 1]!; at++) {
      if (this.#positions[members[at]!] !== NO_CANDIDATE) count++;
    }
    return count;
  }

  /** Adds those of the members at a site that are candidates, as such. */
  #addAt(site: number, positions: number[]): number[] {
    const { members, starts } = this.#allSites;
    for (let at = starts[site]!; at < starts[site + 1]!; at++) {
      const position = this.#positions[members[at]!]!;
      if (position !== NO_CANDIDATE) positions.push(position);
    }
    return positions;
  }

  /** The first of the members that is a candidate, as such. */
  #firstOf(members: readonly number[]): number {
    for (let i = 0; i < members.length; i++) {
      const position = this.#positions[members[i]!]!;
      if (position !== NO_CANDIDATE) return position;
    }
    return NO_CANDIDATE;
  }

  #rank(group: RuleGroup | null, place: number): Ranking & { readonly state: State } {
    const { candidates, fence, max } = this.#options;
    if (fence) return this.#rankFenced(fence, group, place);
    if (group === null) return { ...this.#base(place), state: STATE.up };
    const named = this.#positionsOf(group.members);
    // What is behind those that fill the answer says nothing.
    if (max !== 0 && named.length >= max) return { ...rankGroups([named]), state: STATE.up };
    const isNamed = maskOf(candidates.length, named);
    const ranking = keepRanked(this.#base(place), (position) => isNamed[position] === 0, named);
    return { ...ranking, state: STATE.up };
  }

  /** Those inside that are up, as equals; of a client that nothing fences, those of the pool by the algorithm. */
  #rankFenced(fence: Fence, group: RuleGroup | null, place: number): Ranking & { readonly state: State } {
    const inside = this.#insideOf(group, place);
    const equals = this.#rankInside(inside);
    const { order: up, state } = equals;
    if (inside || up.length === 0) return equals;
    if (this.#options.base.kind === "alike") return { ...fence.rankAlike(up), state };
    const isUp = maskOf(this.#options.candidates.length, up);
    return { ...keepRanked(this.#base(place), (position) => isUp[position] === 1), state };
  }

  #judge(inside: readonly number[] | null): JudgedFence {
    return judgeFence(this.#options.fence!, inside, this.#isUp);
  }

  /** Those inside that are up, as equals; none where clients take the other family's. */
  #rankInside(inside: readonly number[] | null): Ranking & { readonly state: State } {
    const { state } = this.#judge(inside);
    const order = state === STATE.elsewhere ? NONE : upInside(this.#options.fence!, inside, this.#isUp);
    return { order, lead: order.length, state };
  }

  /** Positions inside the client's fence, up or not; `null` = nothing fences it. */
  #insideOf(group: RuleGroup | null, place: number): readonly number[] | null {
    if (group) return this.#positionsOf(group.members);
    switch (this.#options.base.kind) {
      case "nearest": {
        return this.#isPlaced(place) ? this.#addAt(this.#sites[this.#costOfSites(place)]!, []) : null;
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
    const { base, candidates, lasting, fence, max } = this.#options;
    switch (base.kind) {
      case "alike":
        return base.ranking;
      case "hashed":
        if (!this.#isHashed) return rankEqual(candidates);
        return lasting.rendezvous.rank(candidates, this.#prefix, fence ? 0 : max);
      case "mapped":
        return this.#rankMapped();
      case "nearest":
        return this.#rankNearest(place);
    }
  }

  /** Those first that the map file names, in the order in which they stand among the candidates. */
  #rankMapped(): Ranking {
    const { candidates } = this.#options;
    const named = this.#named?.at(this.#prefix) ?? NONE;
    if (named.length === 0) return rankEqual(candidates);
    const isNamed = maskOf(candidates.length, named);
    return keepRanked(rankEqual(candidates), (position) => isNamed[position] === 0, named);
  }

  #rankNearest(place: number): Ranking {
    const sites = this.#nearestSites(place);
    if (sites.length === 0) return rankEqual(this.#options.candidates);
    const { candidates } = this.#options;
    const unplaced = this.#unplaced;
    const order: number[] = [];
    const areAlone = this.#sites.length + unplaced.length === candidates.length && unplaced.length < 2;
    if (areAlone) {
      for (const site of sites) order.push(this.#firstAt(this.#sites[site]!));
      for (const position of unplaced) order.push(position);
      return { order, lead: 1 };
    }
    const ends: number[] = [];
    for (const site of sites) {
      ends.push(this.#addAt(this.#sites[site]!, order).length);
    }
    if (unplaced.length > 0) ends.push(order.push(...unplaced));
    return rankRuns(order, ends);
  }

  /** The number of the decision for clients that a site fences in. */
  #fencedInBy(site: number): number {
    const known = this.#siteDecisions[site];
    if (known !== undefined) return known;
    this.#left -= Math.ceil(this.#options.candidates.length / CANDIDATES_A_STEP);
    const inside = this.#addAt(this.#sites[site]!, []);
    return this.#siteDecisions[site] = this.#numberOf(this.#rankInside(inside));
  }

  /** Sites by distance from a place of the database; none when it isn't known. Where only the first counts, it is all. */
  #nearestSites(place: number): readonly number[] {
    if (!this.#isPlaced(place)) return NONE;
    if (place === this.#orderPlace && this.#city === this.#orderCity) return this.#order;
    const first = this.#costOfSites(place);
    return this.#isFirstEnough ? [first] : orderBy(costsFor(this.#sites.length), this.#sites.length);
  }

  get #isFirstEnough(): boolean {
    return this.#options.max === 1 || this.#options.fence !== null;
  }

  /** Whether there are sites, and it is known how far they are from a place. */
  #isPlaced(place: number): boolean {
    const city = this.#city;
    return this.#sites.length > 0 && place !== 0 && city !== null && !Number.isNaN(city.latitude(place));
  }

  /** Works out what each site costs from a known place. @returns the one with the least costs, the first among equals */
  #costOfSites(place: number): number {
    const city = this.#city!;
    const sites = this.#sites;
    const x = city.x(place);
    const y = city.y(place);
    const z = city.z(place);
    const costs = costsFor(sites.length);
    let first = 0;
    // The larger the scalar product of two unit vectors, the shorter the way between them.
    const { vectors } = this.#allSites;
    for (let i = 0; i < sites.length; i++) {
      const at = sites[i]! * 3;
      costs[i] = -(vectors[at]! * x + vectors[at + 1]! * y + vectors[at + 2]! * z);
      if (costs[i]! < costs[first]!) first = i;
    }
    return first;
  }
}

/** Whether what maps of more candidates decided can hold: where all are shown the fallen ones were, and fences tell who is down. */
export function canInherit({ fence, max }: Pick<ClientMapOptions, "fence" | "max">): boolean {
  return fence === null && max !== 0;
}

/** How many a hash has to choose from. */
function rankedOf(candidates: readonly Candidate[], fence: Fence | null): number {
  if (fence === null) return candidates.length;
  let count = 0;
  for (let at = 0; at < candidates.length; at++) if (fence.listed[at] && candidates[at]!.isUp) count++;
  return count;
}

/** How many of a ranking answers show: whole groups, since their members rotate. */
function shownOf({ order, lead, ends }: Ranking, max: number): number {
  if (max === 0) return order.length;
  if (max <= lead) return lead;
  return ends?.find((end) => end >= max) ?? Math.min(max, order.length);
}

/** Weights are those of now; what they would be without drains follows from what is left. */
function leftOf(equals: readonly Candidate[]): number {
  let now = 0;
  let whole = 0;
  for (const { weight, left } of equals) {
    now += weight;
    whole += weight / left;
  }
  return whole === 0 ? 1 : now / whole;
}

/** By position: 1 = it is among these. */
function maskOf(size: number, positions: readonly number[]): Uint8Array {
  const mask = new Uint8Array(size);
  for (const position of positions) mask[position] = 1;
  return mask;
}

type KindsSeen = Readonly<Record<ClientRule["match"]["kind"], boolean>>;

const ALL_KINDS: KindsSeen = { cidr: true, asn: true, country: true, continent: true };
const NONE: readonly number[] = [];
/** Stands in place of a candidate's position. */
const NO_CANDIDATE = -1;
/** Bits of the longest address. */
const BITS_MAX = 128;
// What the prefix being made out goes by; one map does that at a time.
const PREFIX_V4 = new Uint8Array(4);
const PREFIX_V6 = new Uint8Array(16);
// The nodes on the way to the client, by depth.
const CITY_PATH = new Uint32Array(BITS_MAX + 1);
const ASN_PATH = new Uint32Array(BITS_MAX + 1);
const CIDR_PATH = new Int32Array(BITS_MAX + 1);
/** A database's node where it knows nothing of the family, or isn't asked. */
const NOWHERE = 0xffffffff;
/** A leaf of the rules' prefixes where none is asked for. */
const NOTHING = -1;
/** What `Extents` say of several countries or continents. */
const SEVERAL = 0xffff;
/** Bounds don't tell; or they tell that some of a subtree decides otherwise, or that nothing does. */
const UNPROVED = -1;
const MIXED = 0;
const ALIKE = 1;

function leafOr(root: number): number {
  return root < 0 ? NOWHERE : root;
}

function isLeaf(mmdb: Mmdb | null, node: number): boolean {
  return mmdb === null || node >= mmdb.nodeCount;
}

function childOf(mmdb: Mmdb | null, node: number, bit: number): number {
  return isLeaf(mmdb, node) ? node : mmdb!.child(node, bit);
}

function bitAt(address: Uint8Array, bit: number): number {
  return address[bit >> 3]! >> (7 - (bit & 7)) & 1;
}

function flipBit(address: Uint8Array, bit: number): void {
  address[bit >> 3]! ^= 0x80 >> (bit & 7);
}

function clearBit(address: Uint8Array, bit: number): void {
  address[bit >> 3]! &= ~(0x80 >> (bit & 7));
}

/** Makes an address the first one behind its prefix of so many bits. @returns whether there is none */
function stepPast(address: Uint8Array, bits: number): boolean {
  maskFrom(address, bits);
  for (let bit = bits - 1; bit >= 0; bit--) {
    flipBit(address, bit);
    if (bitAt(address, bit) === 1) return false;
  }
  return true;
}

/** Clears the bits behind the first `bits`. */
function maskFrom(address: Uint8Array, bits: number): void {
  for (let i = bits >> 3; i < address.length; i++) address[i]! &= i === bits >> 3 ? ~(0xff >> (bits & 7)) : 0;
}

function lettersOf(code: number): string | null {
  return code === 0 ? null : String.fromCharCode(code >> 8, code & 0xff);
}
