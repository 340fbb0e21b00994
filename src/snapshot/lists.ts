/**
 * Lists of members: who of a pool is answered for a family, and what is known of them.
 *
 * @module
 */
import { type ClientRule, encodeRules, layRules, TABLE } from "../balance/rule_table.ts";
import { checkTargetOf } from "../desired/check_target.ts";
import type { SteeredGeoRule, SteeredMember, SteeredPool } from "../desired/desired.ts";
import { weigher } from "../desired/effective_weight.ts";
import { eligibilityKeyOf, plainChecks } from "../desired/eligibility.ts";
import { type Location, twoLetters } from "../geo/location.ts";
import { type Family, ipv4Number, parseIp, parsePrefix } from "../ip.ts";
import { type Algorithm, ALGORITHMS } from "../model/model.ts";
import { lowerCaseName, nameToWire } from "../wire/name.ts";
import {
  FACTS,
  IN_BOTH_LISTS,
  LEFT_UNITS,
  LIST,
  NAMED,
  NO_PLACE,
  NO_SLOT,
  OUTSIDER,
  PLACE_UNITS,
  ROOT,
  TWINS,
} from "./layout.ts";
import { type Bytes, OutOfRoom, type Words } from "./memory.ts";
import { hashText } from "./name_hash.ts";
import type { Slots } from "./slots.ts";
import { NO_LIST_ID, SMALL_LIST_MAX } from "./view.ts";

/** Algorithms that give every member its turn. */
const TAKES_TURNS: readonly Algorithm[] = ["round-robin", "weighted-round-robin"];
/** Algorithms that fence even without a geo rule. */
const FENCING: readonly Algorithm[] = ["geoip", "map-file"];
/** Algorithms whose answers depend on the client even without a geo rule. */
const DEPENDS_ON_CLIENT: readonly Algorithm[] = ["geoip", "map-file", "hash"];
/** From so many rules on they are laid out here: fewer are as quickly where they are asked for first, if they ever are. */
const LAID_OUT_MIN = 16;
/** Lists, and members of lists, that may come later: this share of what there is, and at least so many. */
const SPARE_SHARE = 1 / 4;
const SPARE_MIN = 4096;

/** What lists are written with. */
export interface ListsOptions {
  /** Where to. */
  readonly records: Words;
  /** For names as which members are answered. */
  readonly heap: Bytes;
  /** Health slots by eligibility. */
  readonly healthSlots: Slots;
  /** Where a member stands, if that is known. */
  readonly locationOf: (member: SteeredMember) => Location | null;
}

/** Ids given to lists, and room. */
export interface KeptLists {
  /** The list record of all lists without members. */
  readonly emptyList: number;
  /** Ids given to lists. */
  readonly lists: number;
  /** Room given to lists. */
  readonly listMembers: number;
}

/** Writes lists. */
export class Lists {
  readonly #records: Words;
  readonly #heap: Bytes;
  readonly #healthSlots: Slots;
  readonly #locationOf: (member: SteeredMember) => Location | null;
  readonly #measured = new Map<number, { readonly slot: number; readonly key: string }>();
  /** Where tables of rules lie that are laid out, by the hash of these. */
  readonly #rules = new Map<number, readonly number[]>();
  #empty = 0;
  #count = 0;
  #members = 0;
  #isSealed = false;

  /** Writes nothing yet. */
  constructor({ records, heap, healthSlots, locationOf }: ListsOptions) {
    this.#records = records;
    this.#heap = heap;
    this.#healthSlots = healthSlots;
    this.#locationOf = locationOf;
  }

  /** Writes the one list record of all lists without members; before any other. */
  begin(): void {
    this.#empty = this.#writeHead(0, 0, NOWHERE);
  }

  /** Leaves room for later lists. */
  seal(): void {
    const withSpare = (count: number) => count + Math.max(SPARE_MIN, Math.ceil(count * SPARE_SHARE));
    this.#records.set(ROOT.listsMax, withSpare(this.#count));
    this.#records.set(ROOT.listMembersMax, withSpare(this.#members));
    this.#isSealed = true;
  }

  /** The health slots whose round trip answers go by, and the check targets by which it is measured. */
  get measured(): Iterable<{ readonly slot: number; readonly key: string }> {
    return this.#measured.values();
  }

  /** What a later process can take over. */
  keep(): KeptLists {
    return { emptyList: this.#empty, lists: this.#count, listMembers: this.#members };
  }

  /** Takes over what an earlier process gave out. */
  load({ emptyList, lists, listMembers }: KeptLists): void {
    this.#empty = emptyList;
    this.#count = lists;
    this.#members = listMembers;
    this.#isSealed = true;
  }

  /**
   * Writes the list of a pool's enabled members of a family.
   *
   * @param before the list in whose place it comes, whose id and room it takes over; 0 = none
   * @throws {OutOfRoom} when sealed and full
   */
  put(pool: SteeredPool, family: Family, before: number): number {
    const members = pool.members.filter((member) => isOf(member, family));
    if (members.length === 0 && !isFencing(pool)) return this.#empty;
    if (members.length <= SMALL_LIST_MAX && isPlain(pool)) {
      return this.#writeList(members, pool, { family, place: NOWHERE });
    }
    const isSuccessor = before !== 0 && this.#records.get(before + LIST.id) !== NO_LIST_ID;
    if (isSuccessor && this.#records.get(before + LIST.capacity) >= members.length) {
      const place = {
        id: this.#records.get(before + LIST.id),
        base: this.#records.get(before + LIST.base),
        capacity: this.#records.get(before + LIST.capacity),
      };
      return this.#writeList(members, pool, { family, place });
    }
    const id = isSuccessor ? this.#records.get(before + LIST.id) : this.#count;
    if (this.#isSealed) this.#requireRoomForList(id + 1, this.#members + members.length);
    const place = { id, base: this.#members, capacity: members.length };
    const list = this.#writeList(members, pool, { family, place });
    if (id === this.#count) this.#count++;
    this.#members += members.length;
    return list;
  }

  /** What the pool answers where it may answer names; 0 = addresses, as elsewhere. */
  putNamed(pool: SteeredPool, before: number): number {
    if (!pool.named?.members.some(({ enabled, ipAddress }) => enabled && ipAddress === null)) return 0;
    const choice = { ...pool, ...pool.named };
    const list4 = this.put(choice, 4, before && this.#records.get(before + NAMED.list4));
    const list6 = this.put(choice, 6, before && this.#records.get(before + NAMED.list6));
    const aliases4 = this.#writeAliases(choice.members.filter((member) => isOf(member, 4)));
    const aliases6 = this.#writeAliases(choice.members.filter((member) => isOf(member, 6)));
    const named = this.#records.reserve(NAMED.size);
    this.#records.set(named + NAMED.list4, list4);
    this.#records.set(named + NAMED.list6, list6);
    this.#records.set(named + NAMED.aliases4, aliases4);
    this.#records.set(named + NAMED.aliases6, aliases6);
    return named;
  }

  /** The lists were written before, so no name lies at offset 0. */
  #writeAliases(members: readonly SteeredMember[]): number {
    const aliases = this.#records.reserve(members.length);
    for (const [i, { ipAddress, target }] of members.entries()) {
      if (ipAddress === null) {
        this.#records.set(aliases + i, this.#heap.append(lowerCaseName(nameToWire(target!))));
      }
    }
    return aliases;
  }

  #requireRoomForList(lists: number, listMembers: number): void {
    if (lists > this.#records.get(ROOT.listsMax) || listMembers > this.#records.get(ROOT.listMembersMax)) {
      throw new OutOfRoom(`${lists} lists of ${listMembers} members`);
    }
  }

  /** The head of a list and the room for its members and their addresses, of so many words each. */
  #writeHead(count: number, addressWords: number, place: ListPlace): number {
    const list = this.#records.reserve(LIST.members + count * (LIST.memberSize + addressWords));
    this.#records.set(list + LIST.id, place.id);
    this.#records.set(list + LIST.count, count);
    this.#records.set(list + LIST.base, place.base);
    this.#records.set(list + LIST.capacity, place.capacity);
    return list;
  }

  #writeList(
    members: readonly SteeredMember[],
    pool: SteeredPool,
    { family, place }: { readonly family: Family; readonly place: ListPlace },
  ): number {
    const addressSize = family === 4 ? 4 : 16;
    const twins = twinsOf(members);
    const list = this.#writeHead(members.length, addressSize / 4 + (twins ? 1 : 0), place);
    this.#records.set(list + LIST.addressSize, addressSize + (twins ? TWINS : 0));
    let addressAt = list + LIST.members + members.length * LIST.memberSize;
    this.#records.set(list + LIST.algorithm, ALGORITHMS.indexOf(pool.algorithm));
    const weightOf = weigher(pool);
    for (const [i, member] of members.entries()) {
      const at = list + LIST.members + i * LIST.memberSize;
      const key = eligibilityKeyOf(pool, member);
      const slot = key === null ? 0 : this.#healthSlots.of(key);
      this.#records.set(at + LIST.memberSlot, slot);
      this.#records.set(at + LIST.memberRank, (member.priority << 16 | weightOf(member)) >>> 0);
      const ipv4 = family === 4 && member.ipAddress !== null ? ipv4Number(member.ipAddress) : -1;
      if (ipv4 >= 0) this.#records.set(addressAt++, ipv4);
      else addressAt = this.#writeAddress(addressAt, addressBytes(member, pool, family));
      if (pool.algorithm === "latency" && slot !== 0) this.#measure(slot, pool, member);
    }
    for (const first of twins ?? []) this.#records.set(addressAt++, first);
    if (dependsOnClient(pool)) this.#records.set(list + LIST.facts, this.#writeFacts(members, pool));
    return list;
  }

  /** Writes an address in words, and gives the place behind it. */
  #writeAddress(at: number, address: Uint8Array): number {
    for (let byte = 0; byte < address.length; byte += 4) this.#records.set(at++, wordAt(address, byte));
    return at;
  }

  /** Who is answered as a name is as far away as its first address. */
  #measure(slot: number, { healthCheck }: SteeredPool, member: SteeredMember): void {
    const ipAddress = firstAddress(member);
    if (ipAddress === null) return;
    const { key } = checkTargetOf({ ...member, ipAddress }, plainChecks(healthCheck!)[0]!);
    this.#measured.set(slot, { slot, key });
    this.#records.set(ROOT.measuresLatency, 1);
  }

  /** What has to be known to choose by who asks. */
  #writeFacts(members: readonly SteeredMember[], pool: SteeredPool): number {
    const outsiders = isFencing(pool) ? pool.members.filter((member) => !members.includes(member)) : [];
    const all = [...members, ...outsiders];
    const rules = pool.geoRules.filter((rule) => all.includes(pool.members[rule.member]!));
    const table = this.#rulesFor(
      rules.map((rule) => clientRuleOf(rule, all.indexOf(pool.members[rule.member]!))),
    );
    const size = FACTS.places + members.length * FACTS.placeSize + outsiders.length * OUTSIDER.size;
    const facts = this.#records.reserve(size);
    this.#records.set(facts + FACTS.geofence, isFencing(pool) ? 1 : 0);
    this.#records.set(facts + FACTS.rules, table);
    this.#records.set(facts + FACTS.outsiders, outsiders.length);
    let at = facts + FACTS.places;
    for (const member of members) {
      this.#writePlace(at + FACTS.placeLatitude, member);
      const left = Math.round((member.left ?? 1) * LEFT_UNITS);
      this.#records.set(at + FACTS.placeLeft, member.ipAddress === null ? left + IN_BOTH_LISTS : left);
      at += FACTS.placeSize;
    }
    for (const outsider of outsiders) {
      this.#writeOutsider(at, outsider, pool);
      at += OUTSIDER.size;
    }
    return facts;
  }

  /** Writes latitude and, in the next word, longitude. */
  #writePlace(at: number, member: SteeredMember): void {
    const place = this.#locationOf({ ...member, ipAddress: firstAddress(member) });
    if (member.latitude === null) this.#records.set(ROOT.asksForPlaces, 1);
    this.#records.set(at, place ? Math.round(place.latitude * PLACE_UNITS) : NO_PLACE);
    this.#records.set(at + 1, place ? Math.round(place.longitude * PLACE_UNITS) : 0);
  }

  #writeOutsider(at: number, member: SteeredMember, pool: SteeredPool): void {
    const key = eligibilityKeyOf(pool, member);
    const slot = key === null ? 0 : this.#healthSlots.of(key);
    this.#records.set(at + OUTSIDER.slot, isOf(member, 4) || isOf(member, 6) ? slot : NO_SLOT);
    this.#writePlace(at + OUTSIDER.placeLatitude, member);
    const first = firstAddress(member);
    if (first === null) return;
    const bytes = parseIp(first)!;
    const address = new Uint8Array(16);
    address.set(bytes, 16 - bytes.length);
    if (bytes.length === 4) address.fill(0xff, 10, 12);
    this.#writeAddress(at + OUTSIDER.address, address);
  }

  /** The table of these rules; 0 = there are none. Lists with the same hundreds of them have one together. */
  #rulesFor(rules: readonly ClientRule[]): number {
    if (rules.length === 0) return 0;
    const encoded = encodeRules(rules);
    if (rules.length < LAID_OUT_MIN) return this.#append(encoded);
    const hash = encoded[TABLE.hash]!;
    const alike = this.#rules.get(hash) ?? [];
    const known = alike.find((at) => this.#isTableOf(at, encoded));
    if (known !== undefined) return known;
    const at = this.#append(layRules(encoded));
    this.#rules.set(hash, [...alike, at]);
    return at;
  }

  #isTableOf(at: number, encoded: Uint32Array): boolean {
    if (this.#records.get(at + TABLE.rules) !== encoded[TABLE.rules]) return false;
    for (let i = TABLE.head; i < encoded.length; i++) {
      if (this.#records.get(at + i) !== encoded[i]) return false;
    }
    return true;
  }

  #append(words: Uint32Array): number {
    const at = this.#records.reserve(words.length);
    for (let i = 0; i < words.length; i++) this.#records.set(at + i, words[i]!);
    return at;
  }
}

/** A rule as tables have it. @param member its member's index in the list */
function clientRuleOf({ cidr, country, continent, asn }: SteeredGeoRule, member: number): ClientRule {
  if (cidr !== null) {
    const { bytes, length } = parsePrefix(cidr);
    return { match: { kind: "cidr", prefix: bytes, bits: length }, member };
  }
  if (asn !== null) return { match: { kind: "asn", number: asn }, member };
  if (country !== null) return { match: { kind: "country", code: twoLetters(country) }, member };
  return { match: { kind: "continent", code: twoLetters(continent!) }, member };
}

/** Where a member stands that says it itself. */
export function ownLocation({ latitude, longitude }: SteeredMember): Location | null {
  return latitude === null || longitude === null ? null : { latitude, longitude };
}

/** Whether the member is in the list of the family; who is answered as a name is in both. */
function isOf({ enabled, ipAddress, addresses }: SteeredMember, family: Family): boolean {
  if (!enabled || ipAddress === null) return enabled && addresses !== undefined;
  return (ipAddress.includes(":") ? 6 : 4) === family;
}

function firstAddress({ ipAddress, addresses }: SteeredMember): string | null {
  return ipAddress ?? addresses?.[0] ?? null;
}

/**
 * The bytes by which a member goes. Of one that is answered as its name they are made of the name, so that hashing
 * doesn't move clients when the name's addresses change; only a map file knows names by their first address.
 */
function addressBytes(
  { ipAddress, target, addresses = [] }: SteeredMember,
  { algorithm }: SteeredPool,
  family: Family,
): Uint8Array {
  if (ipAddress !== null) return parseIp(ipAddress)!;
  const known = addresses.find((address) => (address.includes(":") ? 6 : 4) === family);
  if (algorithm === "map-file" && known !== undefined) return parseIp(known)!;
  const bytes = new Uint8Array(family === 4 ? 4 : 16);
  const words = new DataView(bytes.buffer);
  for (let i = 0; i < bytes.length / 4; i++) words.setUint32(i * 4, hashText(target!, i));
  return bytes;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!) >>> 0;
}

/** What a worker keeps for a list, and where. */
interface ListPlace {
  readonly id: number;
  readonly base: number;
  readonly capacity: number;
}

/** A list for which nothing is kept. */
const NOWHERE: ListPlace = { id: NO_LIST_ID, base: 0, capacity: 0 };

/** Whether all that are up are simply equals, so that nothing has to be derived for a few of them. */
function isPlain(pool: SteeredPool): boolean {
  return pool.algorithm === "round-robin" && !dependsOnClient(pool) &&
    pool.members.every((member) => member.share === 1);
}

/** A drain moves clients to the members that the algorithm would choose next, unless all rotate anyway. */
function dependsOnClient({ algorithm, geoRules, members }: SteeredPool): boolean {
  return DEPENDS_ON_CLIENT.includes(algorithm) || geoRules.length > 0 ||
    (!TAKES_TURNS.includes(algorithm) && members.some(({ left = 1 }) => left < 1));
}

/** Whether something may fence a client of the pool: a rule, the nearest site, or the map file. */
function isFencing({ geofence, algorithm, geoRules, members }: SteeredPool): boolean {
  return geofence && members.length > 0 && (FENCING.includes(algorithm) || geoRules.length > 0);
}

/** Index of the first member with the same address, for each; `null` = all differ. */
function twinsOf(members: readonly SteeredMember[]): readonly number[] | null {
  if (members.length < 2) return null;
  const first = new Map<string, number>();
  for (const [i, { ipAddress, target }] of members.entries()) {
    const key = ipAddress ?? `name ${target}`;
    if (!first.has(key)) first.set(key, i);
  }
  if (first.size === members.length) return null;
  return members.map(({ ipAddress, target }) => first.get(ipAddress ?? `name ${target}`)!);
}
