/**
 * Where everything lies in a snapshot.
 *
 * A snapshot is three `SharedArrayBuffer`s that only the main thread writes, in `tables.ts`, and workers read:
 *
 * | buffer | unit | content |
 * | --- | --- | --- |
 * | names | i32 | open addressing, load ≤ ½: pairs of (hash, entry record); entry 0 = the slot is free; the hash is seeded |
 * | records | u32 | the root record and the records below; a reference is an index into this buffer, 0 = none |
 * | heap | u8 | wire names, finished resource records |
 *
 * All of it is written before the workers get to see it. What changes later is appended behind what is in use and
 * then made reachable by atomic stores of references, so a worker sees the old or the new record, never a half
 * one. What a change leaves behind stays as it was until the next whole snapshot, so no reader loses the ground
 * under its feet. Where a change takes several stores, they come all together at its end, between two moves of
 * `ROOT.changes`: an answer that was begun before and ended after is made once more.
 *
 * A *finished* resource record is owner `C0 0C`, type, class, TTL, RDLENGTH, RDATA in wire format: it is copied
 * into an answer as it stands, and only where the owner isn't the question's name its first two bytes are patched.
 *
 * @module
 */

/** "PLEI": says that a buffer holds records. */
export const MAGIC = 0x504c4549;

/** The root record. It lies behind 8 zero words, so that reading any record through reference 0 yields zeros. */
export const ROOT = {
  magic: 8,
  /** Service record of the static fallback, or 0. */
  fallback: 9,
  /** Most member lists there may be: their ids run from 0. */
  listsMax: 10,
  /** Most members that all lists together may have. */
  listMembersMax: 11,
  /** 1 = some member doesn't say itself where it stands; only the writer looks at it. */
  asksForPlaces: 12,
  /** 1 = some list goes by round trips; only the writer looks at it. */
  measuresLatency: 13,
  /** With which hashes of names begin (`name_hash.ts`). */
  seed: 14,
  /** Declared zones; only the writer looks at it. */
  declaredZones: 15,
  /** Odd while words are changed that are to be seen all at once; moves on by two with each such change. */
  changes: 16,
  /** First word behind the root record. */
  end: 18,
} as const;

/** A name that exists: as an owner of data, or as an empty non-terminal (RFC 8499 §7). */
export const ENTRY = {
  /** Heap offset of the lower-case wire name. */
  nameAt: 0,
  /** Bytes of the wire name, root label included: 1–255. */
  nameLength: 1,
  /**
   * Zone record. 0 = the name is in none, or no more; but with names below it, which are zones of services or are served
   * from a file, it exists in the zone of the closest name above that has one.
   */
  zone: 2,
  /** Service record, or 0. */
  service: 3,
  /**
   * The delegation or the owner of a DNAME (an entry) at or above this name, or 0: what is there is answered by a
   * referral, what is below a DNAME by a CNAME made of it.
   */
  cut: 4,
  /** First RRset record, or 0. */
  rrset: 5,
  /** Names directly below this one that exist, or have such below them. */
  children: 6,
  /** The entry directly below this one that was made last, whether it exists or not, or 0; only the writer looks at it. */
  first: 7,
  /** The one made before this one, with the same parent, or 0; only the writer looks at it. */
  next: 8,
  size: 9,
} as const;

/** The records of one type at one name. */
export const RRSET = {
  type: 0,
  count: 1,
  /** Heap offset of `count` finished resource records, one after the other. */
  at: 2,
  bytes: 3,
  /** The next RRset of the entry, or 0. */
  next: 4,
  /** Only on the NS RRset of a delegation: its glue record, or 0. */
  glue: 5,
  size: 6,
} as const;

/** The addresses of a delegation's name servers: `count` sets of records, those without which it is lost first. */
export const GLUE = {
  count: 0,
  /** How many of the sets, from the first, belong to servers inside the delegation (RFC 9471 §2.1). */
  needed: 1,
  sets: 2,
  /** Bytes from the start of the NS RRset to the server's name in its RDATA. */
  setName: 0,
  /**
   * Heap offset of the finished A or AAAA records, one after the other. Where the zone's own text has none: the entry of
   * the server's name, whose records of the time count.
   */
  setAt: 1,
  /** Bytes of the records; the type looked for, where there is an entry. */
  setBytes: 2,
  /** How many records; 0 = there is an entry. */
  setCount: 3,
  setSize: 4,
} as const;

/** A zone: what a negative answer carries. */
export const ZONE = {
  /** Bytes of the apex's wire name; the apex is a suffix of every name in the zone. */
  apexLength: 0,
  /** Heap offset of the finished SOA record, its TTL already the negative one (RFC 2308 §5). */
  soaAt: 1,
  soaBytes: 2,
  /** 1 = it is declared, and not a single service's; only the writer looks at it. */
  isDeclared: 3,
  size: 4,
} as const;

/** A steered name. */
export const SERVICE = {
  /** Pool record, or 0: then the static fallback answers. */
  pool: 0,
  /** Seconds. */
  ttl: 1,
  /** Ticket slots on the live board, one per family, so that each rotates on its own. */
  cursor4: 2,
  cursor6: 3,
  /** Seconds below which a planned change doesn't lower the TTL. */
  minTtl: 4,
  /** 1 = the client subnet of RFC 7871 isn't used for this service. */
  ignoresSubnet: 5,
  size: 6,
} as const;

/**
 * A pool. What every answer reads comes last, since a new pool's list of IPv4 members is written right behind it: less
 * memory to fetch for a pool that is in no cache.
 */
export const POOL = {
  /** Four words that stand for the pool's id. */
  id: 0,
  /** Index into `ON_ALL_DOWN` of `model/model.ts`. */
  onAllDown: 4,
  /** Milliseconds between two probes of a member; 0 = there are none. */
  intervalMs: 5,
  /** Pool record, or 0. */
  fallback: 6,
  /** List record of the enabled IPv6 members. */
  list6: 7,
  /** List record of the enabled IPv4 members. */
  list4: 8,
  /** Named record, or 0: then members are answered by addresses only. */
  named: 9,
  /** 0 = all. */
  maxAnswers: 10,
  /** Members of a family that must be up: a number, or `NEED_PERCENT` plus a percentage; 0 = one. */
  minHealthy: 11,
  /** When its answers change next by plan: Unix milliseconds modulo 2³² (`plannedWord`); 0 = never. */
  changesAt: 12,
  size: 13,
} as const;

/** What a pool answers where it may answer names: wherever the name asked for isn't a zone's apex. */
export const NAMED = {
  /** List record of the enabled members that go by name or by an IPv4 address. */
  list4: 0,
  list6: 1,
  /** A word for each member of the list: heap offset of its name in wire form, or 0 = it goes by address. */
  aliases4: 2,
  aliases6: 3,
  size: 4,
} as const;

/** A time in Unix milliseconds as `POOL.changesAt` has it. */
export function plannedWord(unixMs: number): number {
  // 0 says that nothing is planned: a millisecond before does no harm.
  return unixMs % 2 ** 32 || 2 ** 32 - 1;
}

/** In `POOL.minHealthy`: the rest is a percentage of the members of the family. */
export const NEED_PERCENT = 0x10000;

/**
 * The enabled members of one family: a head, `count` members, then `count` addresses; what every answer reads lies
 * together. Addresses are big-endian words, one for IPv4 and four for IPv6; for a name there is one that stands for it,
 * which isn't answered.
 */
export const LIST = {
  /** Index into `ALGORITHMS` of `model/model.ts`. */
  algorithm: 0,
  /** Members that fit behind `base`; only the writer looks at it. */
  capacity: 1,
  /** Index of the first member among all lists' members. */
  base: 2,
  /** Bytes of an address, 4 or 16; plus `TWINS`. */
  addressSize: 3,
  /** Facts record, or 0: then the answer doesn't depend on the client. */
  facts: 4,
  /** Index of what a worker derives for this list, which keeps it when its members change; or `NO_LIST_ID` (`view.ts`). */
  id: 5,
  count: 6,
  members: 7,
  /** Health slot on the live board. */
  memberSlot: 0,
  /** Weight in the low 16 bits, priority in the high 16. Where weights don't count, all are the same. */
  memberRank: 1,
  memberSize: 2,
} as const;

/**
 * In `LIST.addressSize`: some address stands twice in the list. Then a word for each member follows the addresses, the
 * index of the first member with the same address.
 */
export const TWINS = 0x100;

/**
 * What answers that depend on the client need to know of a list: a head, then a place per member; where there is a geofence, then the
 * outsiders: the pool's other members, which are never answered from this list but may be inside a fence. A rule that names an
 * outsider has its index behind those of the list's members.
 */
export const FACTS = {
  /** 1 = clients get no members but those that a rule, the nearest site or the map file names. */
  geofence: 0,
  /** How many outsiders follow the places. */
  outsiders: 1,
  /** The table of the rules (`balance/rule_table.ts`), which lists with equal rules may share; 0 = there are none. */
  rules: 2,
  places: 3,
  /** Millionths of a degree, as i32, or `NO_PLACE`. */
  placeLatitude: 0,
  placeLongitude: 1,
  /** What is left of a draining member, in `LEFT_UNITS`; plus `IN_BOTH_LISTS`. */
  placeLeft: 2,
  placeSize: 3,
} as const;

/** In `FACTS.placeLeft`: the member is answered as a name, and so it stands in the list of the other family, too. */
export const IN_BOTH_LISTS = 0x80000000;

/** A member that makes fences only. */
export const OUTSIDER = {
  /** Slot on the live board, or `NO_SLOT`: then it is disabled. */
  slot: 0,
  placeLatitude: 1,
  placeLongitude: 2,
  /** Four words; an IPv4 address as `::ffff:a.b.c.d`. */
  address: 3,
  size: 7,
} as const;

/** Stands in `OUTSIDER.slot` of a member that isn't in the list of the other family either. */
export const NO_SLOT = 0xffffffff;

/** Stands in `FACTS.placeLatitude` of a member whose place isn't known. */
export const NO_PLACE = 0x7fffffff;
/** Units of a degree in which places are written. */
export const PLACE_UNITS = 1e6;

/** Stands in `FACTS.placeLeft` of a member that doesn't drain. */
export const LEFT_UNITS = 0x10000;
