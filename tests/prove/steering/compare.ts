/**
 * Holds the product's answers against the oracle's.
 *
 * @module
 */
import { familyOf as familyOfBytes, formatIp, maskBits, parseIp, parsePrefix } from "../../../src/ip.ts";
import type { GeoData } from "../../../src/geo/geo_data.ts";
import { decodeMessage, type Message } from "../../../src/wire/message.ts";
import { TYPE } from "../../../src/wire/record_type.ts";
import type { Explanation } from "../../../src/explain/explanation.ts";
import type { World } from "../../explain/world.ts";
import {
  type Knowledge,
  knowledgeOf,
  type Model,
  type ModelMember,
  modelOf,
  type Question,
  questionOf,
  Random,
} from "./model.ts";
import { isEnabled, isMeasured, Oracle, type Verdict } from "./oracle.ts";
import { geoDataOf, NAME, Products } from "./product.ts";

/** Where they don't agree; the seed brings it back. */
export interface Disagreement {
  readonly seed: number;
  readonly what: string;
}

/** What came of it. */
export interface Comparison {
  readonly disagreements: Disagreement[];
  questions: number;
  answers: number;
  scopes: number;
  neighbours: number;
  narrow: number;
}

const QUESTIONS = 12;
/** Different states of what is known of clients. */
const KNOWLEDGE = 40;
/** Answers asked in a row at most to see the turns. */
const TURNS_MAX = 120;
/** Addresses looked at within a scope. */
const NEIGHBOURS = 8;

/** Compares so many models. */
export function compareModels(
  { first, count }: { readonly first: number; readonly count: number },
): Comparison {
  const comparison: Comparison = {
    disagreements: [],
    ...{ questions: 0, answers: 0, scopes: 0, neighbours: 0, narrow: 0 },
  };
  const products = new Products();
  const known = new Map<number, { readonly knowledge: Knowledge; readonly geoData: GeoData }>();
  for (let seed = first; seed < first + count; seed++) {
    const number = seed % KNOWLEDGE;
    let about = known.get(number);
    if (!about) {
      const knowledge = knowledgeOf(number);
      known.set(number, about = { knowledge, geoData: geoDataOf(knowledge, number + 1) });
    }
    const model = modelOf(seed);
    const random = new Random(seed + 5_000_000);
    const one = new Comparing(model, about.knowledge, {
      world: products.of(model, about.geoData),
      random,
      comparison,
    });
    for (let i = 0; i < QUESTIONS; i++) {
      const question = questionOf(random, about.knowledge);
      const what = one.disagreement(question);
      comparison.questions++;
      if (what !== null) {
        comparison.disagreements.push({ seed, what: `${JSON.stringify(question)}: ${what}` });
      }
    }
  }
  return comparison;
}

/** The address that decides. */
export function decidingAddress({ ecs: isUsed }: Model, { client, ecs }: Question): Uint8Array {
  const prefix = ecs === null ? null : parsePrefix(ecs);
  return prefix && isUsed && prefix.length > 0 ? prefix.bytes : parseIp(client)!;
}

/** What is wrong with one answer, apart from its turn; `null` = nothing. */
export function faultOfAnswer(answers: Message["answers"], verdict: Verdict, model: Model): string | null {
  const expected = addressesOf(verdict);
  const wanted = expected.flat().length;
  const max = verdict.pool < 0 ? 0 : model.pools[verdict.pool]!.maxAnswers;
  const count = max === 0 ? wanted : Math.min(max, wanted);
  const got = answers.map(({ data }) => data);
  const should = `expected ${count} of ${JSON.stringify(expected)}`;
  if (got.length !== count) return `${got.length} addresses (${got}), ${should}`;
  if (new Set(got).size !== got.length) return `an address twice: ${got}`;
  let at = 0;
  for (const group of expected) {
    for (const address of got.slice(at, at + group.length)) {
      if (!group.includes(address)) return `${got}, ${should}`;
    }
    at += group.length;
  }
  const wrong = answers.find(({ ttl }) => ttl !== verdict.ttl);
  return wrong ? `TTL ${wrong.ttl}, expected ${verdict.ttl}` : null;
}

/** Addresses by group; one that stands in several members counts where it comes first. */
function addressesOf({ groups }: Verdict): string[][] {
  const seen = new Set<string>();
  return groups.map((group) =>
    [...new Set(group.map(({ ip }) => ip))].filter((ip) => !seen.has(ip) && Boolean(seen.add(ip)))
  ).filter((group) => group.length > 0);
}

/** Compares over one model. */
class Comparing {
  readonly #model: Model;
  readonly #knowledge: Knowledge;
  readonly #oracle: Oracle;
  readonly #world: World;
  readonly #random: Random;
  readonly #comparison: Comparison;
  readonly #out = new Uint8Array(65_535);

  constructor(
    model: Model,
    knowledge: Knowledge,
    { world, random, comparison }: {
      readonly world: World;
      readonly random: Random;
      readonly comparison: Comparison;
    },
  ) {
    this.#model = model;
    this.#knowledge = knowledge;
    this.#oracle = new Oracle(model, knowledge);
    this.#world = world;
    this.#random = random;
    this.#comparison = comparison;
  }

  disagreement(question: Question): string | null {
    const family = question.type === "A" ? 4 : 6;
    const client = parseIp(question.client)!;
    const explanation = this.#world.explainer.explain({
      name: NAME,
      type: TYPE[question.type],
      client,
      ecs: question.ecs === null ? null : parsePrefix(question.ecs),
      udpSize: 4096,
    });
    const packet = Uint8Array.fromHex(explanation.question.wire);
    const wire = this.#answer(packet, client);
    if (wire.toHex() !== explanation.answer.wire) return "the explained answer isn't the answer";
    const message = decodeMessage(wire);
    const verdict = this.#oracle.decide(family, decidingAddress(this.#model, question));
    return faultOfAnswer(message.answers, verdict, this.#model) ??
      this.#faultOfTurns(packet, { client, verdict, first: message }) ??
      this.#faultOfScope(question, { message, verdict, family }) ??
      faultOfWords(explanation, { verdict, model: this.#model, oracle: this.#oracle, question });
  }

  #answer(packet: Uint8Array, client: Uint8Array): Uint8Array {
    this.#comparison.answers++;
    const size = this.#world.engine.answer(
      packet,
      packet.length,
      { stream: true, address: () => client },
      this.#out,
      this.#out.length,
    );
    return this.#out.slice(0, size);
  }

  /** Over a cycle each of those that lead is first as often as it should be; behind them all come up alike. */
  #faultOfTurns(
    packet: Uint8Array,
    { client, verdict, first }: {
      readonly client: Uint8Array;
      readonly verdict: Verdict;
      readonly first: Message;
    },
  ): string | null {
    const [lead, second] = verdict.groups;
    if (!lead) return null;
    const isAnyOrder = verdict.isHashed && verdict.groups.length === 1;
    const divisor = verdict.turns.reduce(greatestCommonDivisor);
    const cycle = isAnyOrder ? 1 : verdict.turns.reduce((sum, turns) => sum + turns, 0) / divisor;
    const behind = verdict.isHashed ? 1 : second?.length ?? 1;
    const rounds = cycle * behind <= TURNS_MAX ? behind : 1;
    if (cycle > TURNS_MAX) return null;
    const answers = Array.from(
      { length: Math.max(2, cycle * rounds) },
      () => decodeMessage(this.#answer(packet, client)).answers.map(({ data }) => data),
    );
    for (const answer of answers) {
      const fault = faultOfAnswer(
        answer.map((data) => ({ ...first.answers[0]!, data })),
        verdict,
        this.#model,
      );
      if (fault) return `a later turn: ${fault}`;
    }
    if (isAnyOrder) {
      const same = first.answers.map(({ data }) => data).join();
      return answers.every((answer) => answer.join() === same) ? null : "an order by hash that doesn't stay";
    }
    const counted = answers.slice(0, cycle * rounds);
    for (const ip of new Set(lead.map(({ ip }) => ip))) {
      const turns = lead.reduce((sum, member, i) => sum + (member.ip === ip ? verdict.turns[i]! : 0), 0);
      const firsts = counted.filter((answer) => answer[0] === ip).length;
      if (firsts !== turns / divisor * rounds) {
        return `${ip} is first ${firsts} times in ${counted.length}, expected ${turns / divisor * rounds}`;
      }
    }
    const distinct = addressesOf(verdict);
    const hasTwins = distinct.flat().length !== verdict.groups.flat().length;
    if (hasTwins || verdict.isHashed || !second || rounds !== second.length) return null;
    if (counted[0]!.length <= lead.length) return null;
    for (const { ip } of second) {
      const firsts = counted.filter((answer) => answer[lead.length] === ip).length;
      if (firsts !== cycle) {
        return `${ip} leads those behind ${firsts} times in ${counted.length}, expected ${cycle}`;
      }
    }
    return null;
  }

  #faultOfScope(
    question: Question,
    { message, verdict, family }: {
      readonly message: Message;
      readonly verdict: Verdict;
      readonly family: 4 | 6;
    },
  ): string | null {
    const ecs = message.edns?.ecs;
    if (question.ecs === null) return ecs ? "a client subnet that wasn't asked with" : null;
    if (!ecs) return "no client subnet though it was asked with one";
    const { bytes, length } = parsePrefix(question.ecs);
    if (!this.#model.ecs || length === 0) return ecs.scope === 0 ? null : `scope ${ecs.scope}, expected 0`;
    this.#comparison.scopes++;
    const key = this.#keyOf(verdict);
    for (const other of this.#within(bytes, ecs.scope)) {
      this.#comparison.neighbours++;
      const there = this.#oracle.decide(family, other);
      if (!verdict.isHashed && !there.isHashed) {
        if (this.#keyOf(there) === key) continue;
        return `scope ${ecs.scope} is too wide: ${formatIp(other)} is decided otherwise`;
      }
      // By hash another order may come out the same; where a rule's members take turns before it, turns differ.
      if (verdict.groups.length > 1 || there.groups.length > 1) continue;
      const [here, beside] = [bytes, other].map((address) => this.#ask(question, address));
      if (here !== beside) return `scope ${ecs.scope} is too wide by hash: ${formatIp(other)}`;
    }
    const isNarrow = ecs.scope > 0 && !verdict.isHashed &&
      this.#turningPoints(maskBits(bytes, ecs.scope - 1), ecs.scope - 1)
        .every((other) => this.#keyOf(this.#oracle.decide(family, other)) === key);
    if (isNarrow) this.#comparison.narrow++;
    return null;
  }

  /** What a subnet of one address gets, as a set, and first. */
  #ask({ type, client }: Question, address: Uint8Array): string {
    const { question } = this.#world.explainer.explain({
      name: NAME,
      type: TYPE[type],
      client: parseIp(client)!,
      ecs: { family: familyOfBytes(address), bytes: address, length: address.length * 8 },
      udpSize: 4096,
    });
    const answers = decodeMessage(this.#answer(Uint8Array.fromHex(question.wire), parseIp(client)!)).answers;
    return answers.map(({ data }) => data).sort().join();
  }

  /** Groups as far as answers show them. */
  #keyOf({ groups, turns, pool }: Verdict): string {
    if (pool < 0) return "nothing";
    const max = this.#model.pools[pool]!.maxAnswers;
    const told: string[] = [`${pool}`, `${groups.length === 0 ? "" : turnsOf(groups[0]!, turns)}`];
    let shown = 0;
    for (const group of groups) {
      if (max !== 0 && shown >= max) break;
      shown += group.length;
      told.push(group.map(({ ip, port }) => `${ip} ${port}`).sort().join());
    }
    return told.join(" | ");
  }

  /** Addresses in a prefix: its ends, random ones, and the first of whatever lies in it. */
  #within(address: Uint8Array, bits: number): Uint8Array[] {
    const first = maskBits(address, bits);
    const random = () => first.map((byte, i) => byte | this.#random.below(256) & restOf(bits, i));
    return [
      lastOf(address, bits),
      ...this.#random.times(NEIGHBOURS, random),
      ...this.#turningPoints(address, bits),
    ];
  }

  /** All addresses in a prefix at which something that is known of clients begins or has ended, its first one included. */
  #turningPoints(address: Uint8Array, bits: number): Uint8Array[] {
    const first = maskBits(address, bits);
    const isInside = (other: Uint8Array) =>
      other.length === first.length && maskBits(other, bits).every((byte, i) => byte === first[i]);
    const points = [
      ...this.#knowledge.networks.map(({ prefix }) => prefix),
      ...this.#knowledge.lines.map(({ prefix }) => prefix),
      ...this.#model.pools.flatMap(({ rules }) => rules.flatMap(({ cidr }) => cidr ?? [])),
    ].map((text) => parsePrefix(text)).flatMap(({ bytes, length }) => [bytes, behind(lastOf(bytes, length))]);
    return [first, ...points.filter(isInside)];
  }
}

/** Bits of a byte that lie behind the first `bits` of an address, as a mask. */
function restOf(bits: number, byte: number): number {
  return 0xff >> Math.max(0, Math.min(8, bits - byte * 8));
}

/** The last address of a prefix. */
function lastOf(address: Uint8Array, bits: number): Uint8Array {
  return maskBits(address, bits).map((byte, i) => byte | restOf(bits, i));
}

/** The next address; behind the last one comes the first. */
function behind(address: Uint8Array): Uint8Array {
  const next = address.slice();
  for (let i = next.length - 1; i >= 0; i--) {
    next[i]!++; // 255 becomes 0
    if (next[i] !== 0) break;
  }
  return next;
}

function turnsOf(group: readonly ModelMember[], turns: readonly number[]): string {
  return group.map(({ ip, port }, i) => `${ip} ${port} ${turns[i]}`).sort().join();
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** A sentence of the account that isn't so; `null` = none. */
function faultOfWords(
  { candidates, steps }: Explanation,
  { verdict, model, oracle, question }: {
    readonly verdict: Verdict;
    readonly model: Model;
    readonly oracle: Oracle;
    readonly question: Question;
  },
): string | null {
  const network = oracle.networkOf(decidingAddress(model, question));
  const isPlaced = network?.latitude !== undefined;
  const answered = new Set(verdict.groups.flat());
  for (const { pool, member: name, outcome, reason, rank } of candidates) {
    const index = Number(pool.slice("pool-".length));
    const member = model.pools[index]!.members.find(({ ip, port }) =>
      name === (ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`)
    )!;
    const told = `${name} of ${pool} (${outcome}): "${reason}"`;
    const isDecider = index === verdict.pool;
    const isKept = isDecider && answered.has(member);
    if ((outcome === "kept") !== isKept) return `${told}, expected ${isKept ? "kept" : "dropped"}`;
    if (rank !== null && !isKept) return `${told} has rank ${rank}`;
    const claims: readonly (readonly [said: RegExp, isSo: boolean])[] = [
      [/nobody knows where the client is/, !isPlaced],
      [/nobody knows where it is|its place is unknown/, isPlaced && member.place === null],
      [/nobody knows where any member is/, isPlaced && member.place === null],
      [/farther away|nearest \(/, isPlaced && member.place !== null],
      [/^disabled/, !isEnabled(member)],
      [/outside the geofence/, verdict.inside !== null && !verdict.inside.includes(member)],
      [/tier \d+ is the first/, reason.includes(`tier ${member.priority} is`)],
      [/the last tier is the first/, member.priority === 0],
      [
        /geo rule .* names it/,
        model.pools[index]!.rules.some(({ member: at }) => model.pools[index]!.members[at] === member),
      ],
      [/none is measured yet|not measured yet/, !isMeasured(model.pools[index]!, member)],
      [/onAllDown: all/, model.pools[index]!.onAllDown === "all"],
      [/onAllDown: last-healthy/, model.pools[index]!.onAllDown === "last-healthy"],
    ];
    const wrong = claims.find(([said, isSo]) => said.test(reason) && !isSo);
    if (wrong) return `${told} isn't so`;
    if (isDecider && verdict.inside && isEnabled(member) && !verdict.inside.includes(member)) {
      if ((question.type === "A") === !member.ip.includes(":") && !/outside the geofence/.test(reason)) {
        return `${told} doesn't say that it is outside the geofence`;
      }
    }
  }
  const fenced = steps.some(({ text }) => text.startsWith("geofence ("));
  return verdict.pool >= 0 && verdict.inside && !fenced ? "no step names the geofence" : null;
}
