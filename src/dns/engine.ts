/**
 * The answer: query bytes in, answer bytes out. Pure but for the tickets it draws and the counters it moves: no
 * clock, no socket, no `await`, and nothing allocated per query.
 *
 * Who answers a name inside the zones, in this order: its service (A, AAAA) → its static records, a delegation
 * and a DNAME above it included → the wildcard's service → the wildcard's records → the static fallback → NODATA or
 * NXDOMAIN. Outside every zone: REFUSED. RFC 1034 §4.3.2 and RFC 6672 §3.2 with the steered names put before the data;
 * RFC 4592 for wildcards.
 *
 * @module
 */
import { Prefetch } from "../snapshot/prefetch.ts";
import { STATE, type State } from "../balance/fence.ts";
import { ON_ALL_DOWN } from "../model/model.ts";
import { type Family, type Prefix, prefixContains } from "../ip.ts";
import { LANE_SIZE, type LiveBoard } from "../snapshot/live.ts";
import { hashSuffix } from "../snapshot/name_hash.ts";
import {
  addressesAt,
  aliasAt,
  aliasesOf,
  apexLengthOf,
  changesAtOf,
  cursorOf,
  cutOf,
  factsOf,
  fallbackOf,
  findRrset,
  firstRrsetOf,
  glueBytesOf,
  glueCountOf,
  glueEntryOf,
  glueNameAt,
  glueOf,
  glueRecordsAt,
  glueSetAt,
  glueSetsIn,
  glueTypeOf,
  intervalMsOf,
  listOf,
  maxAnswersOf,
  membersIn,
  millisecondsUntil,
  minHealthyOf,
  minTtlOf,
  namedListOf,
  namedOf,
  nameLengthOf,
  neededGlueSetsIn,
  nextRrsetOf,
  onAllDownOf,
  poolOf,
  recordBytesOf,
  recordsAt,
  recordsIn,
  serviceOf,
  type Snapshot,
  SnapshotView,
  soaAtOf,
  soaBytesOf,
  takesSubnet,
  ttlOf,
  typeOf,
  zoneOf,
} from "../snapshot/view.ts";
import { NAME_SIZE_MAX } from "../wire/name.ts";
import { CLASS, RCODE, TYPE } from "../wire/record_type.ts";
import { Clients, OpenGeoData } from "./clients.ts";
import { COUNTER, RCODES_COUNTED } from "./counters.ts";
import { DROP_RESPONSE, DROP_SHORT, HEADER_SIZE, LOWER_CASE, Query } from "./query.ts";
import { Selection, type Whom } from "./selection.ts";
import type { AnswerSource, Trace } from "./trace.ts";
import type { TrafficBlock } from "./traffic_block.ts";
import type { StreamTransport } from "./transport.ts";

/** Who asks. The worker keeps one and fills it for each packet. */
export interface Client {
  /** Whether the query came over a stream: then only 65535 bytes limit the answer. */
  readonly stream: boolean;
  /** Which stream that is; absent = TCP. */
  readonly over?: StreamTransport;
  /** For how long its connection may stay idle, tenths of a second; 0 = it should be closed, absent = isn't said. */
  readonly keepalive?: number;
  /** The address, 4 or 16 bytes; read only where something depends on it. */
  address(): Uint8Array;
}

/** What an engine says about its node; all of it is hidden unless configured. */
export interface EngineOptions {
  /** NSID (RFC 5001); empty = the option is ignored. */
  readonly nsid: string;
  /** Answers to `version.bind` and `id.server` in class CH; empty = REFUSED. */
  readonly chaos: { readonly version: string; readonly id: string };
  /** Whether the client subnet (RFC 7871) is used, and from which resolvers; no prefixes = all. */
  readonly ecs: { readonly enabled: boolean; readonly trusted: readonly Prefix[] };
  /** Whether the records of an answer begin with another one each time (RFC 1794). */
  readonly rotate: boolean;
  /** The worker's lane of the live board. */
  readonly lane: number;
}

/** Our own limit for UDP answers: no fragment on any common path (RFC 9715). */
export const UDP_SIZE_MAX = 1232;
/** What a sender without EDNS can take (RFC 1035 §4.2.1). */
const UDP_SIZE_PLAIN = 512;
/** Queries that are read before the first of them is answered, at most: as many fetches as a processor has under way. */
export const READ_MAX = 16;
/** Tables up to this size are in the processor's cache, and nothing needs to be fetched. */
const AT_HAND_BYTES = 512 * 1024;
/** CNAMEs followed within our own data before giving up, loops included. */
const CNAME_STEPS_MAX = 8;
/**
 * Pools tried one after the other by `onAllDown: fallback`; cycles are refused earlier. Once more were looked at for a
 * query, no CNAME of a pool is followed any more: services that are names of one another may have a chain of pools each.
 */
const POOL_STEPS_MAX = 8;
/** Names in record data whose addresses are added, at most: as many as a zone has name servers. */
const ADDRESSED_MAX = 16;
/** Bytes of a finished record before its data: owner as a pointer, type, class, TTL, length. */
const FINISHED_HEAD = 12;
/** TTL of the HINFO that stands for ANY (RFC 8482 §4.2), seconds. */
const ANY_TTL = 3600;
const QUESTION_NAME = 0xc00c;
/** Answers that are made again because the tables were changed meanwhile: then the last one is good enough. */
const ATTEMPTS_MAX = 4;
/** Looks at whether a change is over: some 10 µs, in which thousands of words are written. */
const LOOKS_MAX = 4096;
/** Bytes that are copied one by one: more than any answer over UDP has. */
const COPIED_MAX = 1232;
/** Longer identities are cut: the smallest answer must have room for question, subnet and NSID. */
const NSID_MAX = 128;

const FLAG_AA = 0x04;
const FLAG_TC = 0x02;

const ALL_DOWN = {
  all: ON_ALL_DOWN.indexOf("all"),
  none: ON_ALL_DOWN.indexOf("none"),
  lastHealthy: ON_ALL_DOWN.indexOf("last-healthy"),
  fallback: ON_ALL_DOWN.indexOf("fallback"),
} as const;

/** Answers queries from one snapshot at a time. */
export class Engine {
  /** Told of every step; while it is there, no ticket is drawn: what is explained is the next answer. */
  readonly #trace: Trace | null;
  readonly #options: EngineOptions;
  readonly #unixMs: () => number;
  readonly #nsid: Uint8Array;
  /** Those read last, by the number that they were read under. */
  readonly #queries: readonly Query[] = Array.from({ length: READ_MAX }, () => new Query());
  /** What `Query.parse` said of each. */
  readonly #verdicts = new Int32Array(READ_MAX);
  /** The one that is answered. */
  #query: Query = this.#queries[0]!;
  #prefetch!: Prefetch;
  #readsAhead = false;
  #view!: SnapshotView;
  /** The view's, at hand: they are read some thirty times an answer. */
  #records!: Uint32Array;
  #board!: LiveBoard;
  #geoData: OpenGeoData | null = null;
  #selection!: Selection;
  #lane!: Uint32Array;
  #client!: Client;
  #packet!: Uint8Array;
  /** Whether the service at hand looks at the client subnet. */
  #takesSubnet = true;
  /** Bits of the client subnet that the answer depends on. */
  #scope = 0;
  /** The client subnet as an address, the bits behind it zero. */
  readonly #subnet4 = new Uint8Array(4);
  readonly #subnet6 = new Uint8Array(16);
  readonly #whoAsks = (): Uint8Array => this.#readClient();

  // The answer being written.
  #out: Uint8Array = new Uint8Array(0);
  #at = 0;
  #limit = 0;
  #answers = 0;
  #authorities = 0;
  #additionals = 0;
  #truncated = false;
  #authoritative = false;
  #rcode: number = RCODE.NOERROR;
  #subject = 0;
  /** Owner of what is written next, as a compression pointer: the question's name or a CNAME's target. */
  #owner = QUESTION_NAME;
  /** The entry found last: the name's own or its closest encloser's. */
  #entry = 0;
  /** That entry, or where it has no zone the closest one above that has. */
  #zoned = 0;
  /** Where in the answer the question's name lies and those that CNAMEs led to, in order, and their hashes. */
  readonly #chain = new Uint16Array(CNAME_STEPS_MAX + 2).fill(HEADER_SIZE, 0, 1);
  readonly #chainHashes = new Int32Array(CNAME_STEPS_MAX + 2);
  #chained = 0;
  /**
   * What is declared for the name at hand, as a number of labels to cut from it: 0 = itself, more = the wildcard below the
   * rest; or `UNDECLARED`, `FALLBACK`.
   */
  #declared = UNDECLARED;
  /** Which name of the chain that is about. */
  #declaredChained = 0;
  /** A name in record data. */
  readonly #target = new Query();
  /** Entries whose addresses have been added. */
  readonly #addressed = new Uint32Array(ADDRESSED_MAX);
  /** The DNAME RRsets that are in the answer. */
  readonly #redirects = new Uint32Array(CNAME_STEPS_MAX + 1);
  #redirected = 0;
  /** Pools that were looked at for the query at hand, of all names in its chain. */
  #looked = 0;
  /** Whether the client may be answered a member of the pool looked at last that is up, be there too few of them or not. */
  #isAnyUp = false;

  /**
   * Makes an engine that answers once `use` was called.
   *
   * @param unixMs which time it is; asked only where an answer ends with a planned change
   */
  constructor(options: EngineOptions, unixMs: () => number, trace: Trace | null = null) {
    this.#options = options;
    this.#unixMs = unixMs;
    this.#trace = trace;
    this.#nsid = new TextEncoder().encode(options.nsid).subarray(0, NSID_MAX);
  }

  /**
   * Answers from this snapshot and board from now on.
   *
   * @param opened the snapshot's geo data, where they are opened already: engines of one thread may share them
   */
  use(snapshot: Snapshot, board: LiveBoard, opened: OpenGeoData | null = null): void {
    this.#view = new SnapshotView(snapshot);
    this.#records = this.#view.records;
    for (const query of this.#queries) query.seed = this.#view.seed;
    this.#target.seed = this.#view.seed;
    this.#prefetch = new Prefetch(this.#view, READ_MAX);
    this.#readsAhead = snapshot.records.byteLength + snapshot.names.byteLength > AT_HAND_BYTES;
    this.#board = board;
    // A dry run counts nothing.
    this.#lane = this.#trace ? new Uint32Array(LANE_SIZE) : board.lane(this.#options.lane);
    if (opened) this.#geoData = opened;
    else if (this.#geoData?.edition !== snapshot.geoData.edition) {
      // Nothing waits for a dry run.
      this.#geoData = new OpenGeoData(snapshot.geoData, { mayWait: this.#trace !== null });
    }
    this.#selection = new Selection(this.#view, board, new Clients(this.#view, board, this.#geoData));
    this.#selection.isDryRun = this.#trace !== null;
  }

  /**
   * Makes decisions by client that are likely to be asked for; at any time when nothing else is to be done.
   *
   * @param isTimeUp asked every 0.2 ms or less
   * @returns whether there is more to do
   */
  makeAhead(isTimeUp: () => boolean): boolean {
    return this.#geoData?.makeAhead(isTimeUp) ?? false;
  }

  /** Has a dry run look this many turns of every rotation ahead; 0 = the next answer. */
  lookAhead(turns: number): void {
    this.#selection.ahead = turns;
  }

  /** Number of the snapshot in use. */
  get epoch(): number {
    return this.#view.epoch;
  }

  /**
   * Answers one packet.
   *
   * @param packet the query, from 0 to `length`; read only
   * @param out receives the answer
   * @param sizeMax most bytes to write; EDNS may lower it for UDP, never raise it
   * @returns bytes written, or 0: say nothing
   */
  answer(packet: Uint8Array, length: number, client: Client, out: Uint8Array, sizeMax: number): number {
    this.read(0, packet, length);
    const size = this.answerRead(0, packet, length, client, out, sizeMax);
    if (size > 0) this.countAnswer(size);
    return size;
  }

  /**
   * Reads a packet that `answerRead` answers before another snapshot is used.
   *
   * @param number 0 to `READ_MAX` − 1; what was read under it before is forgotten
   */
  read(number: number, packet: Uint8Array, length: number): void {
    const query = this.#queries[number]!;
    const verdict = this.#verdicts[number] = query.parse(packet, length);
    if (verdict !== RCODE.NOERROR || query.questionEnd === 0) query.hasSubnet = false;
    this.#prefetch.hashes[number] = query.hashes[0]!;
  }

  /** Whether it pays to read several queries and to fetch for them before the first one is answered. */
  get readsAhead(): boolean {
    return this.#readsAhead;
  }

  /** Has the processor fetch what the answers to the queries read under 0 to `count` − 1 begin with, for all at once. */
  fetch(count: number): void {
    this.#prefetch.touch(count);
  }

  /** Answers the packet that was read under a number; see `answer`. It isn't counted yet as given (`countAnswer`). */
  answerRead(
    number: number,
    packet: Uint8Array,
    length: number,
    client: Client,
    out: Uint8Array,
    sizeMax: number,
  ): number {
    const lane = this.#lane;
    lane[client.stream ? COUNTER.queriesTcp : COUNTER.queriesUdp]!++;
    const query = this.#query = this.#queries[number]!;
    let rcode = this.#verdicts[number]!;
    if (rcode < 0) return this.#drop(rcode);
    this.#begin(packet, client, out, sizeMax);
    if (rcode === RCODE.NOERROR && query.questionEnd > 0) {
      rcode = this.#resolveWhole(packet, length, client, out, sizeMax);
    }
    this.#trace?.scope(this.#scope);
    return this.#finish(packet, rcode);
  }

  /** Counts the answer that was made last as given. @param size its bytes */
  countAnswer(size: number): void {
    const lane = this.#lane;
    const rcode = this.#rcode;
    if (this.#truncated) lane[COUNTER.truncated]!++;
    lane[COUNTER.rcode + (rcode < RCODES_COUNTED ? rcode : RCODE.SERVFAIL)]!++;
    lane[COUNTER.bytesOut]! += size;
  }

  /** Whether queries are read for cookies, and answers carry those that are written into `queryAt`; not at first. */
  readCookies(reads: boolean): void {
    for (const query of this.#queries) query.readsCookies = reads;
  }

  /** The query that was read under a number, before its answer is made. */
  queryAt(number: number): Query {
    return this.#queries[number]!;
  }

  /** Whether `answerRead` is going to look up what the query read under a number asks for; else it says what is wrong, if anything. */
  looksUp(number: number): boolean {
    return this.#verdicts[number] === RCODE.NOERROR;
  }

  /** Has `answerRead` answer a query that was read, and was well-formed, with this RCODE and nothing else. */
  refuse(number: number, rcode: number): void {
    if (this.#verdicts[number] === RCODE.NOERROR) this.#verdicts[number] = rcode;
  }

  /**
   * What the last answer was made of, a reference: an entry, a wildcard's or a delegation's for all names below it, a
   * zone for all of its names that don't exist; 0 = nothing of ours. It holds as long as the snapshot.
   */
  get subject(): number {
    return this.#subject;
  }

  /**
   * Makes of the last answer one without records, in the same place: TC where the RCODE is NOERROR, so that the client
   * comes back over TCP; otherwise this RCODE. An error stays the one that it is.
   *
   * @param packet the query
   * @returns bytes of the answer: 16 more than of the query at most, for a cookie
   */
  shorten(packet: Uint8Array, rcode: number): number {
    const query = this.#query;
    const last = this.#rcode;
    const isError = last !== RCODE.NOERROR && last !== RCODE.NXDOMAIN && last !== RCODE.YXDOMAIN;
    this.#answers = 0;
    this.#authorities = 0;
    this.#additionals = 0;
    this.#authoritative = false;
    this.#truncated = !isError && rcode === RCODE.NOERROR;
    this.#scope = 0;
    query.wantsNsid = false;
    this.#at = query.questionEnd || HEADER_SIZE;
    return this.#finish(packet, isError ? last : rcode);
  }

  /**
   * Counts the answer that was given last: the declared name that it came from, and the network of the client it was for.
   * Only answers about addresses, which are steered; and none that is cut, since its client comes back over a stream.
   *
   * @returns false = there is no room
   */
  countTraffic(block: TrafficBlock): boolean {
    const query = this.#query;
    const isAddress = query.type === TYPE.A || query.type === TYPE.AAAA;
    if (this.#declared === UNDECLARED || !isAddress || this.#truncated) return true;
    if (this.#declared === FALLBACK) {
      const root = query.nameLength - 1;
      return block.add(query.name, root, query.nameLength, true, query.type, this.#readClient());
    }
    // The name at hand may be another one by now: a CNAME may have led in a circle, or away from what is ours.
    if (this.#chained > 1) query.setName(this.#out, this.#chain[this.#declaredChained - 1]!);
    const from = query.starts[this.#declared]!;
    return block.add(query.name, from, query.nameLength, this.#declared > 0, query.type, this.#readClient());
  }

  #drop(reason: number): number {
    if (reason === DROP_SHORT) this.#lane[COUNTER.droppedMalformed]!++;
    else if (reason === DROP_RESPONSE) this.#lane[COUNTER.droppedResponse]!++;
    return 0;
  }

  /** Echoes the question, case and all, and sets aside room for the OPT record. */
  #begin(packet: Uint8Array, client: Client, out: Uint8Array, sizeMax: number): void {
    const query = this.#query;
    this.#out = out;
    this.#answers = 0;
    this.#authorities = 0;
    this.#additionals = 0;
    this.#truncated = false;
    this.#authoritative = false;
    this.#owner = QUESTION_NAME;
    this.#client = client;
    this.#packet = packet;
    this.#takesSubnet = true;
    this.#scope = 0;
    this.#declared = UNDECLARED;
    this.#subject = 0;
    if (query.hasSubnet && !this.#usesSubnet(client)) query.hasSubnet = false;
    if (query.wantsKeepalive && client.keepalive === undefined) query.wantsKeepalive = false;
    let limit = sizeMax;
    if (!client.stream) {
      const accepted = query.hasEdns && query.udpSize > UDP_SIZE_PLAIN ? query.udpSize : UDP_SIZE_PLAIN;
      limit = Math.min(sizeMax, accepted, UDP_SIZE_MAX);
    }
    this.#limit = limit - this.#optSize();
    for (let i = HEADER_SIZE; i < query.questionEnd; i++) out[i] = packet[i]!;
    this.#at = query.questionEnd || HEADER_SIZE;
  }

  #usesSubnet(client: Client): boolean {
    const { enabled, trusted } = this.#options.ecs;
    if (!enabled || trusted.length === 0) return enabled;
    const address = client.address();
    return trusted.some((prefix) => prefixContains(prefix, address));
  }

  /** Who the answer is for: the subnet of RFC 7871 where it is there and wanted, else who sent the query. */
  #readClient(): Uint8Array {
    const query = this.#query;
    // A source length of 0 asks not to be looked at (RFC 7871 §7.1.2).
    const usesSubnet = query.hasSubnet && this.#takesSubnet && query.subnetLength > 0;
    if (!usesSubnet) {
      const address = this.#client.address();
      this.#trace?.client("address", address, address.length * 8);
      return address;
    }
    const address = query.subnetFamily === 1 ? this.#subnet4 : this.#subnet6;
    for (let i = 0; i < address.length; i++) {
      address[i] = i < query.subnetBytes ? this.#packet[query.subnetAt + i]! : 0;
    }
    this.#trace?.client("ecs", address, query.subnetLength);
    return address;
  }

  /** Writes header and OPT; returns the size of the answer. */
  #finish(packet: Uint8Array, rcode: number): number {
    const out = this.#out;
    const query = this.#query;
    const wantsTsig = rcode === RCODE.NOTAUTH;
    if (wantsTsig && this.#at + this.#tsigSize() > this.#limit) this.#truncated = true;
    if (query.hasEdns) this.#writeOpt(packet, rcode);
    if (wantsTsig && !this.#truncated) this.#writeTsig(packet);
    this.#rcode = rcode;
    out[0] = packet[0]!;
    out[1] = packet[1]!;
    // QR; opcode and RD as asked; AA and TC as found out; RA, AD and CD are not ours to set (RFC 1035 §4.1.1).
    out[2] = 0x80 | packet[2]! & 0x79 | (this.#authoritative ? FLAG_AA : 0) |
      (this.#truncated ? FLAG_TC : 0);
    out[3] = rcode & 0x0f;
    out[4] = 0;
    out[5] = query.questionEnd === 0 ? 0 : 1;
    this.#writeCount(6, this.#answers);
    this.#writeCount(8, this.#authorities);
    this.#writeCount(10, this.#additionals);
    return this.#at;
  }

  #writeCount(at: number, count: number): void {
    this.#out[at] = count >>> 8;
    this.#out[at + 1] = count;
  }

  /** Answers from one state of the tables: where they were changed meanwhile, once more. */
  #resolveWhole(
    packet: Uint8Array,
    length: number,
    client: Client,
    out: Uint8Array,
    sizeMax: number,
  ): number {
    for (let attempt = 1;; attempt++) {
      const changes = this.#changes();
      const rcode = this.#resolve();
      if (this.#view.changes === changes || attempt === ATTEMPTS_MAX) return rcode;
      this.#query.parse(packet, length);
      this.#begin(packet, client, out, sizeMax);
    }
  }

  /** Which change was the last, after the one that is being made; but no answer waits for long. */
  #changes(): number {
    let changes = this.#view.changes;
    for (let looks = 0; (changes & 1) !== 0 && looks < LOOKS_MAX; looks++) changes = this.#view.changes;
    return changes;
  }

  #resolve(): number {
    const query = this.#query;
    if (query.class === CLASS.CH) return this.#answerChaos();
    if (query.class !== CLASS.IN) return RCODE.REFUSED;
    switch (query.type) {
      case TYPE.OPT:
      case TYPE.TSIG:
      case TYPE.TKEY:
        return RCODE.FORMERR;
      case TYPE.AXFR:
      case TYPE.IXFR:
        return RCODE.REFUSED;
    }
    this.#selection.begin();
    const rcode = this.#followName();
    this.#selection.end();
    return rcode;
  }

  /** Answers the name at hand, then the names its CNAMEs lead to, as long as they are ours. */
  #followName(): number {
    const query = this.#query;
    this.#chained = 1;
    this.#redirected = 0;
    this.#looked = 0;
    for (let step = 0;; step++) {
      const encloser = this.#closestEncloser();
      if (encloser < 0) {
        this.#traceName(0, "nothing");
        return step === 0 ? RCODE.REFUSED : RCODE.NOERROR;
      }
      const exists = encloser === 0;
      const entry = this.#entry;
      const zoned = this.#zoned;
      const side = exists && query.type === TYPE.DS && zoned === entry ? this.#parentSide(entry) : zoned;
      const cut = cutOf(this.#records, side);
      let rcode: number = STAY;
      if (cut !== 0) {
        this.#declared = UNDECLARED;
        rcode = this.#leave(cut, entry, exists);
      }
      if (step === 0) this.#subject = cut;
      if (rcode === STAY) {
        this.#authoritative = true;
        const source = exists ? entry : this.#wildcard(encloser);
        this.#declared = source === 0 ? UNDECLARED : encloser;
        this.#declaredChained = this.#chained;
        if (step === 0) this.#subject = source === 0 ? zoneOf(this.#records, side) : source;
        if (query.type === TYPE.ANY) return this.#answerAny(zoned, source);
        rcode = this.#answerFrom(source, exists, side);
      }
      if (rcode !== FOLLOW) return rcode;
      // The client's resolver asks for what is behind it.
      if (step === CNAME_STEPS_MAX || this.#looked > POOL_STEPS_MAX || this.#selection.isSpent) {
        return RCODE.NOERROR;
      }
    }
  }

  /** The entry that says what there is of a DS record: for a zone's apex one of the zone above (RFC 4035 §3.1.4.1). */
  #parentSide(entry: number): number {
    const query = this.#query;
    const zone = zoneOf(this.#records, entry);
    if (apexLengthOf(this.#records, zone) !== query.nameLength) return entry;
    for (let label = 1; label < query.labels; label++) {
      const above = this.#view.find(query.hashes[label]!, query.name, query.starts[label]!, query.nameLength);
      if (above !== 0 && zoneOf(this.#records, above) !== 0) return above;
    }
    return entry;
  }

  /**
   * Answers a name at or below a delegation or a DNAME's owner.
   *
   * @param entry the name's entry, or its closest encloser's
   * @returns `STAY` when the name is answered as if there were neither
   */
  #leave(cut: number, entry: number, exists: boolean): number {
    let servers = 0;
    let redirect = 0;
    const records = this.#records;
    for (let rrset = firstRrsetOf(records, cut); rrset !== 0; rrset = nextRrsetOf(records, rrset)) {
      const type = typeOf(records, rrset);
      if (type === TYPE.NS) servers = rrset;
      else if (type === TYPE.DNAME) redirect = rrset;
    }
    if (redirect !== 0) {
      // Its owner is as any other name (RFC 6672 §2.3), and a service below it is steered.
      const isHere = exists && (cut === entry || serviceOf(records, entry) !== 0);
      return isHere ? STAY : this.#redirect(cut, redirect);
    }
    // A DS record belongs to the parent's side of the cut.
    if (exists && cut === entry && this.#query.type === TYPE.DS) return STAY;
    this.#traceName(cut, "delegation");
    this.#refer(cut, servers);
    return RCODE.NOERROR;
  }

  #traceName(entry: number, source: AnswerSource): void {
    this.#trace?.name(this.#query.name.subarray(0, this.#query.nameLength), entry, source);
  }

  /**
   * Finds the closest encloser (RFC 4592 §3.3.1) and keeps its entry; beside it, the one that says which zone it is in,
   * which lies further up for a name between the zones of two services.
   *
   * @returns the number of labels to cut from the name until it exists; −1 when it lies outside every zone
   */
  #closestEncloser(): number {
    const query = this.#query;
    let encloser = -1;
    for (let label = 0; label < query.labels; label++) {
      const entry = this.#view.find(query.hashes[label]!, query.name, query.starts[label]!, query.nameLength);
      if (entry === 0) continue;
      if (encloser < 0) {
        encloser = label;
        this.#entry = entry;
      }
      if (zoneOf(this.#records, entry) === 0) continue;
      this.#zoned = entry;
      return encloser;
    }
    return -1;
  }

  /** The entry of the wildcard below the closest encloser, or 0 (RFC 4592 §3.3.1). */
  #wildcard(encloser: number): number {
    const query = this.#query;
    return this.#view.findWildcard(
      hashSuffix(query.hashes[encloser]!, this.#view.asterisk),
      query.name,
      query.starts[encloser]!,
      query.nameLength,
    );
  }

  /**
   * @param source the entry whose data answers: the name's own or the wildcard's; 0 = there is none
   * @param exists whether the name itself exists
   * @param entry the name's entry, or its closest encloser's
   */
  #answerFrom(source: number, exists: boolean, entry: number): number {
    const query = this.#query;
    const isAddress = query.type === TYPE.A || query.type === TYPE.AAAA;
    const service = source === 0 ? 0 : serviceOf(this.#records, source);
    const pool = service === 0 ? 0 : poolOf(this.#records, service);
    if (isAddress && pool !== 0 && this.#supplies(pool)) {
      this.#traceName(source, exists ? "service" : "wildcard-service");
      return this.#steer(service, pool, entry);
    }
    if (source !== 0) {
      const rrset = findRrset(this.#records, source, query.type);
      if (rrset !== 0) {
        this.#traceName(source, exists ? "records" : "wildcard-records");
        // A DNAME that led to its own owner is in the answer already (RFC 2181 §5).
        if (!this.#isRedirectedBy(rrset)) this.#answerRrset(rrset, entry);
        return RCODE.NOERROR;
      }
      const alias = findRrset(this.#records, source, TYPE.CNAME);
      if (alias !== 0) {
        this.#traceName(source, "alias");
        return this.#followAlias(alias);
      }
    }
    if (!isAddress && pool !== 0 && this.#named(pool) !== 0) {
      this.#traceName(source, exists ? "service" : "wildcard-service");
      return this.#steerOther(service, pool, entry);
    }
    const fallback = this.#view.fallback;
    if (isAddress && fallback !== 0 && (source === 0 || (service !== 0 && pool === 0))) {
      this.#lane[COUNTER.fallback]!++;
      if (source === 0) this.#declared = FALLBACK;
      this.#traceName(fallback, "fallback");
      return this.#steer(fallback, poolOf(this.#records, fallback), entry);
    }
    this.#traceName(entry, "nothing");
    this.#deny(entry);
    return exists || source !== 0 || (fallback !== 0 && !isAddress) ? RCODE.NOERROR : RCODE.NXDOMAIN;
  }

  /** Answers with records as they stand, and the addresses of those that they name. */
  #answerRrset(rrset: number, entry: number): void {
    const from = this.#at;
    const count = recordsIn(this.#records, rrset);
    const written = this.#options.rotate && count > 1
      ? this.#writeRotated(rrset, (this.#packet[0]! << 8 | this.#packet[1]!) % count)
      : this.#writeRrset(rrset, this.#owner);
    this.#answers += written;
    const targetAt = written === 0 ? 0 : targetOffsetOf(typeOf(this.#records, rrset));
    if (targetAt !== 0) this.#addAddresses(from, this.#at, targetAt, zoneOf(this.#records, entry));
  }

  /**
   * Writes an RRset whole or not at all, from one of its records on. Which one goes by the query's identifier, which
   * resolvers draw by chance (RFC 5452 §9.2): nothing has to be kept or written for it.
   */
  #writeRotated(rrset: number, first: number): number {
    const size = recordBytesOf(this.#records, rrset);
    if (this.#at + size > this.#limit) {
      this.#truncated = true;
      return 0;
    }
    const { heap } = this.#view;
    const from = recordsAt(this.#records, rrset);
    let at = from;
    for (let i = 0; i < first; i++) at += FINISHED_HEAD + (heap[at + 10]! << 8 | heap[at + 11]!);
    this.#writeFinished(at, from + size - at, this.#owner);
    this.#writeFinished(from, at - from, this.#owner);
    return recordsIn(this.#records, rrset);
  }

  /**
   * Adds the addresses of the names in the records written from `from` to `end`, as far as they are static records in
   * the same zone or below and fit whole (RFC 1034 §4.3.2 step 6, RFC 2782, RFC 9460 §4.1). A service's addresses have a turn, a
   * health and a client of their own, so they are answered when they are asked for.
   */
  #addAddresses(from: number, end: number, targetAt: number, zone: number): void {
    const target = this.#target;
    let named = 0;
    for (let at = from; at < end && at + targetAt <= POINTER_MAX && named < ADDRESSED_MAX;) {
      const nameAt = at + targetAt;
      at += FINISHED_HEAD + (this.#out[at + 10]! << 8 | this.#out[at + 11]!);
      target.setName(this.#out, nameAt);
      const entry = this.#view.find(target.hashes[0]!, target.name, 0, target.nameLength);
      const isStatic = entry !== 0 && this.#isTargetIn(zone) && serviceOf(this.#records, entry) === 0;
      if (!isStatic || this.#isAddressed(entry, named)) continue;
      this.#addressed[named++] = entry;
      this.#addRrset(findRrset(this.#records, entry, TYPE.A), 0xc000 | nameAt);
      this.#addRrset(findRrset(this.#records, entry, TYPE.AAAA), 0xc000 | nameAt);
    }
  }

  /** Whether the name in record data lies at or below the apex of the zone of the name at hand: others aren't believed. */
  #isTargetIn(zone: number): boolean {
    const { name, nameLength, starts, labels } = this.#target;
    const apexLength = apexLengthOf(this.#records, zone);
    const shift = this.#query.nameLength - nameLength;
    let at = nameLength - apexLength;
    for (let label = 0; label < labels; label++) {
      if (starts[label] !== at) continue;
      while (at < nameLength && name[at] === this.#query.name[at + shift]) at++;
      return at === nameLength;
    }
    return false;
  }

  #isAddressed(entry: number, named: number): boolean {
    for (let i = 0; i < named; i++) if (this.#addressed[i] === entry) return true;
    return false;
  }

  /** Adds an RRset to the additional section if it fits; what doesn't is no reason to come back (RFC 2181 §9). */
  #addRrset(rrset: number, owner: number): void {
    const size = recordBytesOf(this.#records, rrset);
    if (rrset === 0 || this.#at + size > this.#limit) return;
    this.#writeFinished(recordsAt(this.#records, rrset), size, owner);
    this.#additionals += recordsIn(this.#records, rrset);
  }

  /** Whether the pool has enabled members of the family asked for, or could get them from another pool. */
  #supplies(pool: number): boolean {
    return membersIn(this.#records, this.#list(pool)) !== 0 || fallbackOf(this.#records, pool) !== 0;
  }

  #list(pool: number): number {
    return this.#listOf(pool, this.#query.type === TYPE.AAAA ? 6 : 4);
  }

  #listOf(pool: number, family: Family): number {
    const named = this.#named(pool);
    return named === 0 ? listOf(this.#records, pool, family) : namedListOf(this.#records, named, family);
  }

  /** The pool's named record where names may be answered; 0 elsewhere: an apex is no alias (RFC 1034 §3.6.2). */
  #named(pool: number): number {
    const named = namedOf(this.#records, pool);
    if (named === 0) return 0;
    const zone = zoneOf(this.#records, this.#entry);
    return apexLengthOf(this.#records, zone) === this.#query.nameLength ? 0 : named;
  }

  /**
   * Answers another type than addresses: an alias is one for every type. Who comes next is asked, but takes no turn,
   * since it is by addresses that turns are counted.
   */
  #steerOther(service: number, pool: number, entry: number): number {
    const selection = this.#selection;
    const { isDryRun } = selection;
    selection.isDryRun = true;
    const rcode = this.#steer(service, pool, entry);
    selection.isDryRun = isDryRun;
    return rcode;
  }

  /** Answers with members of the pool, of its fallback, or with nothing. */
  #steer(service: number, pool: number, entry: number): number {
    const selection = this.#selection;
    const family = this.#query.type === TYPE.AAAA ? 6 : 4;
    const cursor = cursorOf(this.#records, service, family);
    this.#takesSubnet = takesSubnet(this.#records, service);
    /** The first pool of the chain that has a member up, if too few: still better than nothing. */
    let scarce = 0;
    for (let step = 0; step < POOL_STEPS_MAX; step++) {
      this.#looked++;
      const list = this.#turnTo(pool);
      const state = this.#stateOf(pool, list, family);
      if (state === STATE.up) {
        this.#lane[COUNTER.steered]!++;
        const count = selection.choose(list, cursor, "up", this.#whoAsks);
        return this.#answerChosen(service, pool, list, count, "up", entry);
      }
      if (state === STATE.elsewhere) break;
      if (scarce === 0 && this.#isAnyUp) scarce = pool;
      this.#lane[COUNTER.allDown]!++;
      const policy = onAllDownOf(this.#records, pool);
      this.#trace?.allDown(pool, policy);
      if (policy === ALL_DOWN.fallback) {
        pool = fallbackOf(this.#records, pool);
        if (pool === 0) break;
        continue;
      }
      // A chain ends with members that are up if it has any; a pool alone does what it says.
      if (scarce !== 0 && (step > 0 || policy === ALL_DOWN.lastHealthy)) break;
      if (policy === ALL_DOWN.all) {
        const count = selection.choose(list, cursor, "all", this.#whoAsks);
        return this.#answerChosen(service, pool, list, count, "all", entry);
      }
      if (policy === ALL_DOWN.lastHealthy) {
        const withinMs = intervalMsOf(this.#records, pool);
        const count = selection.chooseLastHealthy(list, cursor, withinMs, this.#whoAsks);
        this.#widenScope();
        if (count > 0) return this.#answerWith(service, pool, list, count, entry);
      }
      scarce = 0;
      break;
    }
    if (scarce === 0) {
      this.#deny(entry);
      return RCODE.NOERROR;
    }
    const list = this.#turnTo(scarce);
    selection.eligible(list);
    const count = selection.choose(list, cursor, "up", this.#whoAsks);
    return this.#answerChosen(service, scarce, list, count, "up", entry);
  }

  /** Has the choice go by the pool's limits; gives its list. */
  #turnTo(pool: number): number {
    const { limits } = this.#selection;
    limits.max = maxAnswersOf(this.#records, pool);
    limits.need = minHealthyOf(this.#records, pool);
    return this.#list(pool);
  }

  /** What can be answered from a pool: for all clients alike, or by what fences this one. */
  #stateOf(pool: number, list: number, family: Family): State {
    const selection = this.#selection;
    const { need } = selection.limits;
    const isFencing = selection.isFencing(list);
    const up = isFencing && !this.#trace ? 0 : selection.eligible(list);
    this.#trace?.pool(pool, list, up, need === 0 ? 1 : selection.needed(list, need));
    if (isFencing) {
      const state = selection.judge(list, this.#whoAsks);
      this.#isAnyUp = selection.isAnyUp;
      // The decision says so, too, that those who are up are chosen by.
      if (state === STATE.up) return state;
      this.#widenScope();
      if (this.#trace) this.#traceReason(list, "up");
      return state;
    }
    this.#isAnyUp = up > 0;
    if (up > 0 && (need === 0 || up >= selection.needed(list, need))) return STATE.up;
    return this.#isOtherFamilyUp(pool, family, need) ? STATE.elsewhere : STATE.down;
  }

  /** Answers with those that were chosen from a list, if any were. */
  #answerChosen(
    service: number,
    pool: number,
    list: number,
    count: number,
    whom: Whom,
    entry: number,
  ): number {
    this.#widenScope();
    if (this.#trace) this.#traceRanking(list, whom);
    if (count > 0) return this.#answerWith(service, pool, list, count, entry);
    this.#deny(entry);
    return RCODE.NOERROR;
  }

  /** Reports which members rotate, and which facts of the client decided that, if any. */
  #traceRanking(list: number, whom: Whom): void {
    const selection = this.#selection;
    const turns = selection.turns(list, whom, this.#whoAsks);
    this.#trace!.leading(list, whom, selection.leading(list, whom, this.#whoAsks), turns);
    this.#traceReason(list, whom);
  }

  #traceReason(list: number, whom: Whom): void {
    if (!this.#trace?.reason || factsOf(this.#records, list) === 0) return;
    const selection = this.#selection;
    // A fence is told of as it is, not as it would be.
    const { map, candidates } = selection.clientsOf(list, selection.isFencing(list) ? "up" : whom);
    this.#trace.reason(list, candidates, map.reasonFor(this.#readClient()));
  }

  /** Judged per family: while the other family has enough healthy members, this one is merely not there. */
  #isOtherFamilyUp(pool: number, family: Family, need: number): boolean {
    const other = this.#listOf(pool, family === 4 ? 6 : 4);
    const up = this.#selection.eligible(other);
    return up > 0 && (need === 0 || up >= this.#selection.needed(other, need));
  }

  /** What was chosen by the client subnet holds for no more than so many bits of it. */
  #widenScope(): void {
    const query = this.#query;
    if (!query.hasSubnet || !this.#takesSubnet || query.subnetLength === 0) return;
    if (this.#selection.scope > this.#scope) this.#scope = this.#selection.scope;
  }

  #answerWith(service: number, pool: number, list: number, count: number, entry: number): number {
    const ttl = this.#ttl(service, pool);
    this.#trace?.chosen(list, this.#selection.chosen.subarray(0, count), this.#selection.turn, ttl);
    const { type } = this.#query;
    const family = type === TYPE.AAAA ? 6 : 4;
    const named = this.#named(pool);
    if (named === 0) return this.#writeAddresses(list, count, family, ttl);
    const aliases = aliasesOf(this.#records, named, family);
    const target = aliasAt(this.#records, aliases, this.#selection.chosen[0]!);
    if (target !== 0) return this.#alias(target, ttl);
    if (type === TYPE.A || type === TYPE.AAAA) {
      return this.#writeAddresses(list, this.#keepAddresses(aliases, count), family, ttl);
    }
    this.#deny(entry);
    return RCODE.NOERROR;
  }

  /** Takes those who are answered as names out of the choice; returns how many are left. */
  #keepAddresses(aliases: number, count: number): number {
    const { chosen } = this.#selection;
    let kept = 0;
    for (let i = 0; i < count; i++) {
      if (aliasAt(this.#records, aliases, chosen[i]!) === 0) chosen[kept++] = chosen[i]!;
    }
    return kept;
  }

  /** Writes a CNAME to a name in the heap, and makes that the name at hand. */
  #alias(nameAt: number, ttl: number): number {
    const { heap } = this.#view;
    let size = 1;
    while (heap[nameAt + size - 1] !== 0) size += heap[nameAt + size - 1]! + 1;
    if (this.#at + 12 + size > this.#limit) {
      this.#truncated = true;
      return RCODE.NOERROR;
    }
    this.#writeHead(TYPE.CNAME, CLASS.IN, ttl, size);
    const targetAt = this.#at;
    for (let i = 0; i < size; i++) this.#out[this.#at++] = heap[nameAt + i]!;
    this.#answers++;
    return this.#follow(targetAt);
  }

  /** Seconds until the next planned change of the pool at most, but no less than the service's least TTL. */
  #ttl(service: number, pool: number): number {
    const ttl = ttlOf(this.#records, service);
    const changesAt = changesAtOf(this.#records, pool);
    if (changesAt === 0) return ttl;
    const left = Math.floor(millisecondsUntil(changesAt, this.#unixMs()) / 1000);
    return Math.min(ttl, Math.max(left, minTtlOf(this.#records, service)));
  }

  #writeAddresses(list: number, count: number, family: Family, ttl: number): number {
    const size = family === 4 ? 4 : 16;
    if (this.#at + count * (12 + size) > this.#limit) {
      this.#truncated = true;
      return RCODE.NOERROR;
    }
    const out = this.#out;
    const words = size / 4;
    const records = this.#records;
    const addresses = addressesAt(records, list);
    let at = this.#at;
    for (let i = 0; i < count; i++) {
      out[at++] = this.#owner >>> 8;
      out[at++] = this.#owner;
      out[at++] = 0;
      out[at++] = this.#query.type;
      out[at++] = 0;
      out[at++] = CLASS.IN;
      out[at++] = ttl >>> 24;
      out[at++] = ttl >>> 16;
      out[at++] = ttl >>> 8;
      out[at++] = ttl;
      out[at++] = 0;
      out[at++] = size;
      const from = addresses + this.#selection.chosen[i]! * words;
      for (let word = from; word < from + words; word++) {
        const bytes = records[word]!;
        out[at++] = bytes >>> 24;
        out[at++] = bytes >>> 16;
        out[at++] = bytes >>> 8;
        out[at++] = bytes;
      }
    }
    this.#at = at;
    this.#answers += count;
    return RCODE.NOERROR;
  }

  /** Writes the CNAME and makes its target the name at hand. */
  #followAlias(alias: number): number {
    const written = this.#writeRrset(alias, this.#owner);
    if (written === 0) return RCODE.NOERROR;
    this.#answers += written;
    return this.#follow(this.#at - recordBytesOf(this.#records, alias) + 12);
  }

  /**
   * Writes the DNAME, and the CNAME that it makes of the name at hand, whose target becomes the name at hand (RFC 6672
   * §3.1).
   */
  #redirect(cut: number, redirect: number): number {
    this.#traceName(cut, "redirect");
    this.#authoritative = true;
    const query = this.#query;
    const { heap } = this.#view;
    const ownerLength = nameLengthOf(this.#records, cut);
    if (!this.#isRedirectedBy(redirect)) {
      const written = this.#writeRrset(redirect, this.#ancestor(ownerLength));
      if (written === 0) return RCODE.NOERROR;
      this.#answers += written;
      this.#redirects[this.#redirected++] = redirect;
    }
    const from = recordsAt(this.#records, redirect);
    const kept = query.nameLength - ownerLength;
    const size = kept + (heap[from + 10]! << 8 | heap[from + 11]!);
    if (size > NAME_SIZE_MAX) return RCODE.YXDOMAIN;
    if (this.#at + 12 + size > this.#limit) {
      this.#truncated = true;
      return RCODE.NOERROR;
    }
    const ttl = heap[from + 6]! << 24 | heap[from + 7]! << 16 | heap[from + 8]! << 8 | heap[from + 9]!;
    this.#writeHead(TYPE.CNAME, CLASS.IN, ttl, size);
    const out = this.#out;
    const nameAt = this.#owner & POINTER_MAX;
    const targetAt = this.#at;
    for (let i = 0; i < kept; i++) out[targetAt + i] = out[nameAt + i]!;
    for (let i = kept; i < size; i++) out[targetAt + i] = heap[from + 12 + i - kept]!;
    this.#at = targetAt + size;
    this.#answers++;
    return query.type === TYPE.ANY ? RCODE.NOERROR : this.#follow(targetAt);
  }

  #isRedirectedBy(redirect: number): boolean {
    for (let i = 0; i < this.#redirected; i++) if (this.#redirects[i] === redirect) return true;
    return false;
  }

  /** Makes the target of a CNAME, written before, the name at hand, unless it was before: then it's a loop. */
  #follow(targetAt: number): number {
    const query = this.#query;
    if (query.type === TYPE.CNAME) return RCODE.NOERROR;
    this.#chainHashes[this.#chained - 1] = query.hashes[0]!;
    query.setName(this.#out, targetAt);
    const hash = query.hashes[0]!;
    for (let i = 0; i < this.#chained; i++) {
      if (this.#chainHashes[i] === hash && this.#isAtHand(this.#chain[i]!)) return RCODE.NOERROR;
    }
    // A chain is at most a few KiB long, so that every name of it is within reach of a compression pointer.
    this.#chain[this.#chained++] = targetAt;
    this.#owner = 0xc000 | targetAt;
    return FOLLOW;
  }

  /** Whether an uncompressed name of the answer is the name that was read last. */
  #isAtHand(at: number): boolean {
    const { name, nameLength } = this.#query;
    for (let i = 0; i < nameLength; i++) if (LOWER_CASE[this.#out[at + i]!] !== name[i]) return false;
    return true;
  }

  /** Hands the client on to the servers below a zone cut (RFC 1034 §4.3.2 step 3b), with their addresses. */
  #refer(cut: number, servers: number): void {
    const from = this.#at;
    this.#authorities += this.#writeRrset(servers, this.#ancestor(nameLengthOf(this.#records, cut)));
    if (this.#authorities === 0) return;
    const glue = glueOf(this.#records, servers);
    if (glue === 0) return;
    const count = glueSetsIn(this.#records, glue);
    const needed = neededGlueSetsIn(this.#records, glue);
    for (let i = 0; i < count; i++) {
      if (this.#writeGlue(from, glueSetAt(glue, i))) continue;
      // RFC 9471 §3: for lack of an address below the cut the client has to come back over TCP, for lack of others not.
      if (i < needed) {
        this.#truncated = true;
        return;
      }
    }
  }

  /** Writes the addresses of one server of a delegation, if there is room; `from` is where the NS records begin. */
  #writeGlue(from: number, set: number): boolean {
    const nameAt = from + glueNameAt(this.#records, set);
    let at = glueRecordsAt(this.#records, set);
    let count = glueCountOf(this.#records, set);
    let bytes = glueBytesOf(this.#records, set);
    if (count === 0) {
      const rrset = findRrset(this.#records, glueEntryOf(this.#records, set), glueTypeOf(this.#records, set));
      if (rrset === 0) return true;
      at = recordsAt(this.#records, rrset);
      count = recordsIn(this.#records, rrset);
      bytes = recordBytesOf(this.#records, rrset);
    }
    const isNear = nameAt <= POINTER_MAX;
    const nameSize = isNear ? 2 : this.#nameSize(nameAt);
    if (this.#at + bytes + count * (nameSize - 2) > this.#limit) return false;
    if (isNear) this.#writeFinished(at, bytes, 0xc000 | nameAt);
    else this.#writeInFull(at, bytes, { nameAt, nameSize });
    this.#additionals += count;
    return true;
  }

  #nameSize(at: number): number {
    let size = 1;
    while (this.#out[at + size - 1] !== 0) size += this.#out[at + size - 1]! + 1;
    return size;
  }

  /** Copies finished records of addresses with an owner that is too far away for a compression pointer. */
  #writeInFull(
    heapAt: number,
    bytes: number,
    { nameAt, nameSize }: { readonly nameAt: number; readonly nameSize: number },
  ): void {
    const out = this.#out;
    const { heap } = this.#view;
    const size = 12 + heap[heapAt + 11]!;
    for (let record = heapAt; record < heapAt + bytes; record += size) {
      out.copyWithin(this.#at, nameAt, nameAt + nameSize);
      this.#at += nameSize;
      for (let i = 2; i < size; i++) out[this.#at++] = heap[record + i]!;
    }
  }

  /** Says that there is nothing, with the SOA that tells for how long (RFC 2308 §3). */
  #deny(entry: number): void {
    const zone = zoneOf(this.#records, entry);
    const size = soaBytesOf(this.#records, zone);
    if (this.#at + size > this.#limit) {
      this.#truncated = true;
      return;
    }
    this.#writeFinished(
      soaAtOf(this.#records, zone),
      size,
      this.#ancestor(apexLengthOf(this.#records, zone)),
    );
    this.#authorities++;
  }

  /** Minimal ANY (RFC 8482 §4.2): a synthesized HINFO where there is anything at all. */
  #answerAny(entry: number, source: number): number {
    if (source === 0 && this.#view.fallback === 0) {
      this.#deny(entry);
      return RCODE.NXDOMAIN;
    }
    const out = this.#out;
    if (this.#at + 12 + HINFO_RDATA.length > this.#limit) {
      this.#truncated = true;
      return RCODE.NOERROR;
    }
    this.#writeHead(TYPE.HINFO, CLASS.IN, ANY_TTL, HINFO_RDATA.length);
    for (let i = 0; i < HINFO_RDATA.length; i++) out[this.#at++] = HINFO_RDATA[i]!;
    this.#answers++;
    return RCODE.NOERROR;
  }

  /** `version.bind`, `version.server`, `hostname.bind` and `id.server` TXT in class CH (RFC 4892), if configured. */
  #answerChaos(): number {
    const query = this.#query;
    if (query.type !== TYPE.TXT && query.type !== TYPE.ANY) return RCODE.REFUSED;
    const { version, id } = this.#options.chaos;
    const name = chaosNames.find((chaos) => this.#asksFor(chaos.name));
    const text = name === undefined ? "" : name.says === "version" ? version : id;
    if (text === "") return RCODE.REFUSED;
    const bytes = new TextEncoder().encode(text).subarray(0, 255);
    if (this.#at + 13 + bytes.length > this.#limit) {
      this.#truncated = true;
      return RCODE.NOERROR;
    }
    this.#authoritative = true;
    this.#writeHead(TYPE.TXT, CLASS.CH, 0, bytes.length + 1);
    this.#out[this.#at++] = bytes.length;
    this.#out.set(bytes, this.#at);
    this.#at += bytes.length;
    this.#answers++;
    return RCODE.NOERROR;
  }

  #asksFor(name: Uint8Array): boolean {
    if (this.#query.nameLength !== name.length) return false;
    for (let i = 0; i < name.length; i++) if (this.#query.name[i] !== name[i]) return false;
    return true;
  }

  #writeHead(type: number, rrClass: number, ttl: number, rdataSize: number): void {
    const out = this.#out;
    let at = this.#at;
    out[at++] = this.#owner >>> 8;
    out[at++] = this.#owner;
    out[at++] = type >>> 8;
    out[at++] = type;
    out[at++] = rrClass >>> 8;
    out[at++] = rrClass;
    out[at++] = ttl >>> 24;
    out[at++] = ttl >>> 16;
    out[at++] = ttl >>> 8;
    out[at++] = ttl;
    out[at++] = rdataSize >>> 8;
    out[at++] = rdataSize;
    this.#at = at;
  }

  /** A compression pointer to the ancestor of the name at hand that is so many bytes long. */
  #ancestor(length: number): number {
    return this.#owner + this.#query.nameLength - length;
  }

  /** Copies an RRset whole or not at all; returns how many records were written. */
  #writeRrset(rrset: number, owner: number): number {
    const size = recordBytesOf(this.#records, rrset);
    if (this.#at + size > this.#limit) {
      this.#truncated = true;
      return 0;
    }
    this.#writeFinished(recordsAt(this.#records, rrset), size, owner);
    return recordsIn(this.#records, rrset);
  }

  /** Copies finished records, and gives each its owner. */
  #writeFinished(heapAt: number, size: number, owner: number): void {
    const out = this.#out;
    const heap = this.#view.heap;
    const from = this.#at;
    // A view is an allocation, so it is for what takes long.
    if (size > COPIED_MAX) out.set(heap.subarray(heapAt, heapAt + size), from);
    else for (let i = 0; i < size; i++) out[from + i] = heap[heapAt + i]!;
    this.#at = from + size;
    if (owner === QUESTION_NAME) return;
    for (let at = from; at < this.#at; at += 12 + (out[at + 10]! << 8 | out[at + 11]!)) {
      out[at] = owner >>> 8;
      out[at + 1] = owner;
    }
  }

  #optSize(): number {
    const query = this.#query;
    if (!query.hasEdns) return 0;
    const nsid = query.wantsNsid && this.#nsid.length > 0 ? 4 + this.#nsid.length : 0;
    const cookie = query.hasCookie ? COOKIE_OPTION_SIZE : 0;
    const keepalive = query.wantsKeepalive ? KEEPALIVE_OPTION_SIZE : 0;
    return 11 + nsid + (query.hasSubnet ? 8 + query.subnetBytes : 0) + cookie + keepalive;
  }

  /** The OPT record (RFC 6891 §6.1.2): our size, the RCODE's high bits, DO as asked, and the options we know. */
  #writeOpt(packet: Uint8Array, rcode: number): void {
    const query = this.#query;
    const out = this.#out;
    const size = this.#optSize() - 11;
    let at = this.#at;
    out[at++] = 0;
    out[at++] = 0;
    out[at++] = TYPE.OPT;
    out[at++] = UDP_SIZE_MAX >>> 8;
    out[at++] = UDP_SIZE_MAX & 0xff;
    out[at++] = rcode >>> 4;
    out[at++] = 0;
    out[at++] = query.dnssecOk ? 0x80 : 0;
    out[at++] = 0;
    out[at++] = size >>> 8;
    out[at++] = size;
    if (query.wantsNsid && this.#nsid.length > 0) {
      out[at++] = 0;
      out[at++] = 3;
      out[at++] = this.#nsid.length >>> 8;
      out[at++] = this.#nsid.length;
      out.set(this.#nsid, at);
      at += this.#nsid.length;
    }
    if (query.wantsKeepalive) {
      const keepalive = this.#client.keepalive!;
      out[at++] = 0;
      out[at++] = 11;
      out[at++] = 0;
      out[at++] = KEEPALIVE_OPTION_SIZE - 4;
      out[at++] = keepalive >>> 8;
      out[at++] = keepalive;
    }
    if (query.hasSubnet) {
      // RFC 7871 §7.2.1: family, source length and address as asked; the scope is for how much of it the answer holds.
      out[at++] = 0;
      out[at++] = 8;
      out[at++] = 0;
      out[at++] = 4 + query.subnetBytes;
      out[at++] = 0;
      out[at++] = query.subnetFamily;
      out[at++] = query.subnetLength;
      out[at++] = this.#scope;
      for (let i = 0; i < query.subnetBytes; i++) out[at++] = packet[query.subnetAt + i]!;
    }
    if (query.hasCookie) {
      // RFC 7873 §5.2: the client's cookie as it came, then ours.
      out[at++] = 0;
      out[at++] = 10;
      out[at++] = 0;
      out[at++] = COOKIE_OPTION_SIZE - 4;
      const echoed = query.echoesCookie ? 24 : 8;
      for (let i = 0; i < echoed; i++) out[at++] = packet[query.cookieAt + i]!;
      for (let i = echoed; i < 24; i++) out[at++] = query.serverCookie[i - 8]!;
    }
    this.#at = at;
    this.#additionals++;
  }

  #tsigSize(): number {
    const { tsigOwnerBytes, tsigAlgorithmBytes } = this.#query;
    return tsigOwnerBytes + 10 + tsigAlgorithmBytes + 16;
  }

  /** Says that the key isn't known: the query's TSIG record without a MAC, the error BADKEY (RFC 8945 §5.2.1, §5.3.2). */
  #writeTsig(packet: Uint8Array): void {
    const { tsigAt, tsigOwnerBytes, tsigAlgorithmBytes } = this.#query;
    const out = this.#out;
    let at = this.#at;
    const dataAt = tsigAt + tsigOwnerBytes + 10;
    const size = tsigAlgorithmBytes + 16;
    for (let i = tsigAt; i < dataAt - 2; i++) out[at++] = packet[i]!;
    out[at++] = size >>> 8;
    out[at++] = size;
    // The algorithm, the time and the fudge as signed.
    for (let i = dataAt; i < dataAt + tsigAlgorithmBytes + 8; i++) out[at++] = packet[i]!;
    out[at++] = 0;
    out[at++] = 0;
    out[at++] = packet[0]!;
    out[at++] = packet[1]!;
    out[at++] = 0;
    out[at++] = RCODE.BADKEY;
    out[at++] = 0;
    out[at++] = 0;
    this.#at = at;
    this.#additionals++;
  }
}

/** Returned where an RCODE is due: go on with the name a CNAME led to. */
const FOLLOW = -1;
/** Returned where an RCODE is due: the name isn't led away, it is answered here. */
const STAY = -2;
/** What `#declared` says of a name for which nothing is declared, and of one that the static fallback answers. */
const UNDECLARED = -1;
const FALLBACK = -2;
/** Bytes of the option that says how long a connection may stay idle (RFC 7828). */
const KEEPALIVE_OPTION_SIZE = 4 + 2;
/** Bytes of the option with the client's cookie and ours. */
const COOKIE_OPTION_SIZE = 4 + 8 + 16;
/** Furthest position a compression pointer can name (RFC 1035 §4.1.4). */
const POINTER_MAX = 0x3fff;
/** From the start of a finished record to the name in its data whose addresses are of use to the client; 0 = there is none. */
function targetOffsetOf(type: number): number {
  switch (type) {
    case TYPE.NS:
      return FINISHED_HEAD;
    case TYPE.MX:
    case TYPE.SVCB:
    case TYPE.HTTPS:
      return FINISHED_HEAD + 2;
    case TYPE.SRV:
      return FINISHED_HEAD + 6;
    default:
      return 0;
  }
}

/** HINFO "RFC8482" "". */
const HINFO_RDATA = new Uint8Array([7, 0x52, 0x46, 0x43, 0x38, 0x34, 0x38, 0x32, 0]);

const chaosNames = [
  { name: chaosName("version", "bind"), says: "version" },
  { name: chaosName("version", "server"), says: "version" },
  { name: chaosName("hostname", "bind"), says: "id" },
  { name: chaosName("id", "server"), says: "id" },
] as const;

function chaosName(...labels: string[]): Uint8Array {
  return new Uint8Array(
    [...labels, ""].flatMap((label) => [label.length, ...new TextEncoder().encode(label)]),
  );
}
