/**
 * What clients will be answered, forecast by the real engine: small tables of a state, a board of their own with health as
 * it is at one instant, and dry runs in which each member in rotation is asked for once. Which members those are,
 * and how many turns each has, the engine says itself (`Trace`); no choice is made a second time here, and none by chance.
 *
 * **Exact** is a client's own forecast: the shares are those of a whole cycle of the rotation, and while members drain
 * those of infinitely many answers. Three things are out of it. Health is frozen: members that nothing is known of count as
 * healthy. A client is the address that decides, whether it comes from the client subnet or from the packet. And where an
 * answer begins with the name of a member, that name stands for whatever it leads to.
 *
 * @module
 */
import type { Desired, SteeredMember, SteeredService } from "../desired/desired.ts";
import { type Client, Engine } from "../dns/engine.ts";
import { isLeft, type Rotation, roundOf, type Turns, type Whom } from "../dns/selection.ts";
import type { AnswerSource, Trace } from "../dns/trace.ts";
import type { GeoData } from "../geo/geo_data.ts";
import type { Location } from "../geo/location.ts";
import { type Family, familyOf, formatIp } from "../ip.ts";
import { LiveBoard } from "../snapshot/live.ts";
import { Slots } from "../snapshot/slots.ts";
import { Tables } from "../snapshot/tables.ts";
import {
  addressOf,
  aliasAt,
  aliasesOf,
  fallbackOf,
  membersIn,
  namedListOf,
  namedOf,
  type SnapshotView,
} from "../snapshot/view.ts";
import { EVERYONE } from "./clients.ts";
import { openedOf } from "./opened_geo_data.ts";
import { decodeMessage, encodeQuery } from "../wire/message.ts";
import { nameToWire, wireToName } from "../wire/name.ts";
import { TYPE } from "../wire/record_type.ts";

/** Health at one instant; plain data that can be posted to another thread. Who isn't named is healthy. */
export interface FrozenHealth {
  /**
   * By eligibility key (`desired/eligibility.ts`) those that are out, and when each went out: milliseconds of any clock that
   * only grows; 0 = it never was in.
   */
  readonly out: Pick<ReadonlyMap<string, number>, "get">;
  /** By key of the check target (`Tables.measured`) what answers go by under `latency`: microseconds. */
  readonly roundTripsUs: Pick<ReadonlyMap<string, number>, "get">;
}

/** All that answers depend on besides what is declared. */
export interface World {
  /** Of members. */
  readonly health: FrozenHealth;
  /** Of clients. Forecasts with the very same one share what was found out in it. */
  readonly geoData: GeoData;
  /** Where a member is, if anything says so. */
  readonly locationOf: (member: SteeredMember) => Location | null;
}

/** What a client is answered to a question for addresses, over all turns of the rotation. */
export interface Outcome {
  /**
   * By address, or by name where an answer is a CNAME: the share of answers that begin with it, above 0. They sum to 1, or
   * to less by those answers that hold nothing.
   */
  readonly shares: ReadonlyMap<string, number>;
  /** Every address, or name, that some answer holds. */
  readonly all: ReadonlySet<string>;
  /** Clients with so many leading bits in common are answered the same; `null` = all are, of either family. */
  readonly clientBits: number | null;
}

/** Types of addresses. */
export type AddressType = typeof TYPE.A | typeof TYPE.AAAA;

const OUT_SIZE = 0xffff;
/** Answers are read before the next one is made, whichever forecast makes it. */
const OUT = new Uint8Array(OUT_SIZE);
/** Tickets of one turn that are looked through for one that is meant: of the most unlucky of cycles few are. */
const TICKETS_TRIED = 100_000;
/** Tickets are 32 bits wide. */
const TICKETS = 2 ** 32;
const NONE = new Uint32Array(0);
/** Pools that may stand in for each other, one after the other. */
const POOL_STEPS_MAX = 8;
/** Decisions whose outcome is kept, by list, before all are forgotten. */
const KNOWN_MAX = 4096;
/** The client as which names are looked up where it doesn't matter which one asks. */
const ANY_CLIENT = EVERYONE[0]!.address;
/** What sends the query; the client is in its subnet. */
const SENDER: Client = { stream: true, address: () => new Uint8Array([127, 0, 0, 1]) };
const ENGINE = {
  nsid: "",
  chaos: { version: "", id: "" },
  ecs: { enabled: true, trusted: [] },
  rotate: false,
  lane: 0,
} as const;

/** A query with a client subnet, written once for all states that it is asked of in a row. */
class Question {
  /** The query stands at its beginning. */
  readonly packet = new Uint8Array(512);
  #name: string | null = null;
  #typeAt = 0;
  #clientAt = 0;
  #clientSize = 0;

  /** Writes it, as far as it isn't there, and gives its length. @throws {SyntaxError} when the name is none */
  write(name: string, type: AddressType, client: Uint8Array): number {
    if (name !== this.#name || client.length !== this.#clientSize) this.#begin(name, client.length);
    this.packet[this.#typeAt] = type;
    this.packet.set(client, this.#clientAt);
    return this.#clientAt + this.#clientSize;
  }

  #begin(name: string, clientSize: number): void {
    const { head, tail } = clientSize === 4 ? QUERY.ofIpv4 : QUERY.ofIpv6;
    const qname = nameToWire(name);
    this.packet.set(head);
    this.packet.set(qname, head.length);
    this.packet.set(tail, head.length + qname.length);
    this.#name = name;
    this.#typeAt = head.length + qname.length + 1;
    this.#clientAt = head.length + qname.length + tail.length - clientSize;
    this.#clientSize = clientSize;
  }
}

/** What stands before and behind the name in a query with the subnet of a client of that many bytes. */
function aroundName(clientSize: number): { readonly head: Uint8Array; readonly tail: Uint8Array } {
  const client = new Uint8Array(clientSize);
  const ecs = { family: familyOf(client), bytes: client, length: clientSize * 8 };
  const packet = encodeQuery({ id: 0, name: ".", type: TYPE.A, edns: { udpSize: OUT_SIZE, ecs } });
  return { head: packet.slice(0, HEADER_SIZE), tail: packet.slice(HEADER_SIZE + 1) };
}

const HEADER_SIZE = 12;
const QUERY = { ofIpv4: aroundName(4), ofIpv6: aroundName(16) };
const QUESTION = new Question();

function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** The answers of one state. */
export class Forecast {
  readonly #engine: Engine;
  readonly #view: Pick<SnapshotView, "records" | "heap">;
  readonly #heard = new Heard();
  /** The question at hand. */
  #name = "";
  #client: Uint8Array = new Uint8Array(0);
  /** The answer by ticket 0, where nothing was asked since. */
  #asked: readonly string[] | null = null;
  #type: AddressType = TYPE.A;
  /** By list, what is answered by decisions that depend on the client. */
  readonly #known = new Map<number, Map<Rotation, Known>>();
  #knownCount = 0;
  /** By list, its members as text. */
  readonly #texts = new Map<number, readonly string[]>();

  /** Writes small tables: of all that is desired, so hand in only what matters. */
  constructor(desired: Desired, { health, geoData, locationOf }: World) {
    const slots = new Slots(1);
    const heeding: Desired = {
      generation: desired.generation,
      pools: () => desired.pools(),
      checkedPools: () => desired.checkedPools(),
      services: () => heedingSubnets(desired.services()),
      zones: desired.zones,
      fallback: desired.fallback,
      defaultTtl: desired.defaultTtl,
      nameservers: desired.nameservers,
    };
    const tables = Tables.of(heeding, { epoch: 1, healthSlots: slots, geoData, locationOf });
    const board = LiveBoard.create({ healthSlots: slots.size, ticketSlots: tables.ticketSlots });
    for (const [key, slot] of slots.each()) {
      const since = health.out.get(key);
      if (since !== undefined) board.setHealth([{ slot, up: false }], since);
    }
    const measured = [...tables.measured].map(({ slot, key }) => ({
      slot,
      rttUs: health.roundTripsUs.get(key) ?? 0,
    }));
    if (measured.length > 0) board.setRoundTrips(measured);
    this.#view = {
      records: new Uint32Array(tables.snapshot.records),
      heap: new Uint8Array(tables.snapshot.heap),
    };
    // TTLs are no part of an outcome, so that it doesn't matter which time it is.
    this.#engine = new Engine(ENGINE, () => 0, this.#heard);
    this.#engine.use(tables.snapshot, board, openedOf(geoData));
  }

  /**
   * What a client is answered.
   *
   * @param client 4 or 16 bytes
   * @throws {SyntaxError} when the name is none
   */
  outcome(name: string, type: AddressType, client: Uint8Array): Outcome {
    this.#pose(name, type, client);
    const first = this.#ask(0);
    const { choice, turns, isClientAsked, scopeBits } = this.#heard;
    const clientBits = isClientAsked ? scopeBits : null;
    const told = choice && this.#asTold(first, choice);
    if (told) return { ...told, clientBits };
    if (choice === null || turns === null) {
      return { ...this.#byEqualTurns(first, choice?.lead ?? 1), clientBits };
    }
    const isKept = isClientAsked && !this.#hasNames(choice.pool);
    const known = isKept ? this.#known.get(choice.list)?.get(turns.all) : undefined;
    if (known && known.withoutDraining === turns.withoutDraining) return { ...known.answers, clientBits };
    const answers = this.#byTurns(first, { ...choice, turns });
    if (isKept) this.#keep(choice.list, { turns, answers });
    return { ...answers, clientBits };
  }

  /**
   * A word for what a name is answered by: names of one word have equal outcomes of the type for every client. Those that a pool
   * answers have the pool's word, unless names are among its members: an answer may not lead to the name itself.
   *
   * @throws {SyntaxError} when the name is none
   */
  sourceOf(name: string, type: AddressType): string {
    this.#pose(name, type, ANY_CLIENT);
    const answer = this.#ask(0);
    const { asked, isSteered } = this.#heard;
    if (!isSteered) return `records ${answer.join(" ")}`;
    return asked === null || this.#hasNames(asked.pool) ? `name ${name}` : `pool ${asked.pool} ${asked.list}`;
  }

  /** Whether the pool, or one that stands in for it, has members by name that are answered as such. */
  #hasNames(pool: number): boolean {
    const { records } = this.#view;
    for (let step = 0; pool !== 0 && step < POOL_STEPS_MAX; step++) {
      if (namedOf(records, pool) !== 0) return true;
      pool = fallbackOf(records, pool);
    }
    return false;
  }

  /** Takes a question up; where it is the one that was asked last, as it was asked. */
  #pose(name: string, type: AddressType, client: Uint8Array): void {
    if (name === this.#name && type === this.#type && areEqual(client, this.#client)) return;
    this.#name = name;
    this.#type = type;
    this.#client = client.slice();
    this.#asked = null;
  }

  /** Asks for the answer by a ticket; gives what it holds, in order. */
  #ask(ticket: number): readonly string[] {
    if (ticket === 0 && this.#asked) return this.#asked;
    const answer = this.#answerBy(ticket);
    this.#asked = ticket === 0 ? answer : null;
    return answer;
  }

  #answerBy(ticket: number): readonly string[] {
    this.#heard.begin();
    this.#engine.lookAhead(ticket);
    const length = QUESTION.write(this.#name, this.#type, this.#client);
    const size = this.#engine.answer(QUESTION.packet, length, SENDER, OUT, OUT_SIZE);
    const { choice } = this.#heard;
    if (choice === null) return this.#read(size);
    const texts = this.#textsOf(choice.list);
    const targetOf = this.#targetsOf(choice);
    const target = targetOf(choice.members[0]!);
    if (target !== null) return this.#read(size).length === 0 ? [] : [target];
    return choice.members.filter((member) => targetOf(member) === null)
      .map((member) => texts[member]!);
  }

  /** As which name a member of a pool is answered; `null` = by its address. */
  #targetsOf({ pool, list }: Omit<Turning, "turns">): (member: number) => string | null {
    const { records, heap } = this.#view;
    const named = namedOf(records, pool);
    // At an apex members by name are answered by their addresses: that is the other list.
    if (named === 0 || namedListOf(records, named, this.#family) !== list) return () => null;
    const aliases = aliasesOf(records, named, this.#family);
    return (member) => {
      const nameAt = aliasAt(records, aliases, member);
      return nameAt === 0 ? null : wireToName(heap, nameAt);
    };
  }

  /** What the answer just given holds: its addresses, or the name to go on with. */
  #read(size: number): readonly string[] {
    if ((OUT[6]! | OUT[7]!) === 0) return [];
    const { answers } = decodeMessage(OUT.subarray(0, size));
    const addresses = answers.filter(({ type }) => type === this.#type).map(({ data }) => data);
    const target = answers.findLast(({ type }) => type === TYPE.CNAME);
    return addresses.length > 0 || !target || !this.#heard.leadsElsewhere
      ? addresses
      : [target.data.replace(/(.)\.$/, "$1")];
  }

  get #family(): Family {
    return this.#type === TYPE.AAAA ? 6 : 4;
  }

  #textsOf(list: number): readonly string[] {
    const known = this.#texts.get(list);
    if (known) return known;
    const { records } = this.#view;
    const texts = Array.from(
      { length: membersIn(records, list) },
      (_, member) => formatIp(addressOf(records, list, member)),
    );
    this.#texts.set(list, texts);
    return texts;
  }

  /**
   * Without asking again, where the first answer tells of all: each of those that lead comes first in its turns, and the
   * answer holds either one member, as all of them do then, or every one there is. `null` = it doesn't tell.
   */
  #asTold(first: readonly string[], { pool, list, members, leading }: Choice): Answers | null {
    const { turns } = this.#heard;
    if (turns !== null && turns.withoutDraining !== null) return null;
    const all = turns?.all;
    const leads = all ? all.order.subarray(0, all.lead) : leading;
    const isWhole = members.length === (all ? all.order.length : leads.length);
    if (first.length !== members.length || (members.length !== 1 && !isWhole)) return null;
    if (leads.length === 0 || namedOf(this.#view.records, pool) !== 0) return null;
    const texts = this.#textsOf(list);
    const shares = new Map<string, number>();
    const schedule = all?.schedule ?? null;
    for (let position = 0; position < leads.length; position++) {
      const text = texts[leads[position]!]!;
      const share = schedule ? schedule.turnsOf(position) / schedule.cycle : 1 / leads.length;
      shares.set(text, (shares.get(text) ?? 0) + share);
    }
    return { shares, all: new Set(isWhole ? first : shares.keys()) };
  }

  /** Of members that rotate as equals; those of an answer that doesn't rotate are one. */
  #byEqualTurns(first: readonly string[], lead: number): Answers {
    const gathered = new Gathered();
    gathered.add(first, 1 / Math.max(1, lead));
    for (let ticket = 1; ticket < lead; ticket++) gathered.add(this.#ask(ticket), 1 / lead);
    return gathered;
  }

  #byTurns(
    first: readonly string[],
    { pool, list, turns: { all, withoutDraining, left } }: Turning,
  ): Answers {
    const gathered = new Gathered();
    const part = { pool, list, first: withoutDraining === null ? first : null };
    if (withoutDraining === null) {
      this.#gather(gathered, { ...part, rotation: all, share: 1, isMeant: () => true });
      return gathered;
    }
    const isStillLeft = (ticket: number) => isLeft(ticket, left);
    this.#gather(gathered, { ...part, rotation: all, share: left, isMeant: isStillLeft });
    this.#gather(gathered, {
      ...part,
      rotation: withoutDraining,
      share: 1 - left,
      isMeant: (ticket) => !isStillLeft(ticket),
    });
    return gathered;
  }

  /** Asks for each of those that lead once, and for each turn of those behind them that answers have room for. */
  #gather(gathered: Gathered, part: Part): void {
    const { list, rotation: { order, lead, ends, schedule }, share, first, isMeant } = part;
    const cycle = schedule ? schedule.cycle : lead;
    for (let position = 0; position < lead; position++) {
      const turns = schedule ? schedule.turnsOf(position) : 1;
      const ticket = ticketAt(schedule ? schedule.turnOf(position) : position, cycle, isMeant);
      const member = order[position]!;
      const answer = ticket === null
        ? [this.#targetsOf(part)(member) ?? this.#textsOf(list)[member]!]
        : ticket === 0 && first
        ? first
        : this.#ask(ticket);
      gathered.add(answer, share * turns / cycle);
    }
    if (ends === null || gathered.most >= order.length) return;
    const round = roundOf(lead, schedule);
    let begin = lead;
    for (const end of ends) {
      const size = end - begin;
      for (let turn = 0; turn < size; turn++) {
        const ticket = ticketAt(turn * round, size * round, isMeant);
        if (ticket !== null) gathered.add(this.#ask(ticket), 0);
      }
      begin = end;
    }
  }

  #keep(list: number, known: { readonly turns: Turns; readonly answers: Answers }): void {
    if (++this.#knownCount > KNOWN_MAX) {
      this.#known.clear();
      this.#knownCount = 1;
    }
    const ofList = this.#known.get(list) ?? new Map<Rotation, Known>();
    this.#known.set(list, ofList);
    const { turns: { all, withoutDraining }, answers } = known;
    ofList.set(all, { withoutDraining, answers });
  }
}

type Answers = Pick<Outcome, "shares" | "all">;

/** What is answered by a decision, together with what it is while members drain. */
interface Known {
  readonly withoutDraining: Rotation | null;
  readonly answers: Answers;
}

/** Where members were chosen from, and how they rotate. */
interface Turning {
  readonly pool: number;
  readonly list: number;
  readonly turns: Turns;
}

/** Who was chosen for an answer. */
interface Choice {
  readonly pool: number;
  readonly list: number;
  readonly members: readonly number[];
  readonly lead: number;
  /** Those that rotate as equals; none where it isn't said which. */
  readonly leading: Uint32Array;
}

/** A rotation that a part of all tickets stands for. */
interface Part extends Omit<Turning, "turns"> {
  readonly rotation: Rotation;
  /** Of all tickets. */
  readonly share: number;
  /** The answer by ticket 0, where that is one of them. */
  readonly first: readonly string[] | null;
  /** Whether a ticket is one of them. */
  readonly isMeant: (ticket: number) => boolean;
}

/** Adds up what answers hold. */
class Gathered implements Answers {
  readonly shares = new Map<string, number>();
  readonly all = new Set<string>();
  #most = 0;

  /** The most that one of the answers held. */
  get most(): number {
    return this.#most;
  }

  /** @param share of all answers that are like this one; 0 = it only tells what answers hold */
  add(answer: readonly string[], share: number): void {
    const [first] = answer;
    if (first === undefined) return;
    if (share > 0) this.shares.set(first, (this.shares.get(first) ?? 0) + share);
    for (const it of answer) this.all.add(it);
    this.#most = Math.max(this.#most, answer.length);
  }
}

/** Keeps what the engine says of an answer until the first choice; then only whether names lead out of our zones. */
class Heard implements Trace {
  /** The pool and the list whose turn it was first; `null` = names led there, or none was asked. */
  asked: { readonly pool: number; readonly list: number } | null = null;
  choice: Choice | null = null;
  /** `null` = those that lead are equals, or none do. */
  turns: Turns | null = null;
  /** Whether any pool's turn it was. */
  isSteered = false;
  isClientAsked = false;
  scopeBits = 0;
  /** Whether the name that was looked at last is answered by others. */
  leadsElsewhere = false;
  #names = 0;
  #leading: Uint32Array = NONE;
  #looks: { readonly pool: number; readonly list: number }[] = [];

  begin(): void {
    this.asked = null;
    this.choice = null;
    this.turns = null;
    this.#leading = NONE;
    this.isSteered = false;
    this.isClientAsked = false;
    this.scopeBits = 0;
    this.#names = 0;
    this.#looks = [];
  }

  name(_: Uint8Array, entry: number, source: AnswerSource): void {
    this.#names++;
    this.leadsElsewhere = entry === 0 || source === "delegation";
  }

  pool(pool: number, list: number): void {
    if (this.choice !== null) return;
    this.#looks.push({ pool, list });
    this.isSteered = true;
    if (this.#names === 1) this.asked ??= { pool, list };
  }

  client(): void {
    if (this.choice === null) this.isClientAsked = true;
  }

  leading(_list: number, _whom: Whom, members: Uint32Array, turns: Turns | null): void {
    if (this.choice !== null) return;
    this.turns = turns;
    // What is told is kept by the engine only until it is asked again.
    this.#leading = turns === null ? members.slice() : NONE;
  }

  allDown(): void {}

  chosen(list: number, members: Uint32Array, { lead }: { readonly lead: number }): void {
    // A chain may come back to a pool that it went past.
    const pool = this.#looks.findLast((look) => look.list === list)?.pool ?? 0;
    this.choice ??= { pool, list, members: [...members], lead, leading: this.#leading };
  }

  scope(bits: number): void {
    this.scopeBits = bits;
  }
}

/** The first ticket of those that stand for a turn that is also meant; `null` = there is hardly any. */
function ticketAt(turn: number, cycle: number, isMeant: (ticket: number) => boolean): number | null {
  const end = Math.min(TICKETS, turn + cycle * TICKETS_TRIED);
  for (let ticket = turn; ticket < end; ticket += cycle) if (isMeant(ticket)) return ticket;
  return null;
}

/** Has clients come in the subnet, which every service then looks at. */
function* heedingSubnets(services: Iterable<SteeredService>): Generator<SteeredService> {
  for (const service of services) yield service.ecs ? service : { ...service, ecs: true };
}
