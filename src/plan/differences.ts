/**
 * What differs between the answers of two states: by name, family and class of clients. Names that the same pools answer in
 * both states share one computation.
 *
 * *Moved* is the share of the answers before that are others after: with other addresses first, or with none. Where
 * both states answer every client that is the total variation distance of the shares. An answer where there was none has
 * moved nothing, so that new names and repaired ones don't count. TTLs don't either.
 *
 * @module
 */
import { type AnswerDifference, type AnswerShare, DIFFERENCES_MAX } from "../change/guard.ts";
import { TYPE } from "../wire/record_type.ts";
import type { Alike } from "./alike.ts";
import type { ClientClass } from "./clients.ts";
import { EVERYONE } from "./clients.ts";
import type { AddressType, Forecast, Outcome } from "./forecast.ts";

/** A name to compare. */
export interface Subject {
  /** As services and zones write it, lower-case, without a final dot. */
  readonly name: string;
  /** What the name counts for in `movedShare`: 1, or how often it is asked for. */
  readonly weight: number;
  /** Whether the change takes away itself what answers the name: then it isn't emptied, and nothing of it moves. */
  readonly isRemoved: boolean;
  /** A name that came before, of which the same holds with other addresses; absent or `null` = it is its own. */
  readonly alike?: Alike | null;
}

/** A name that loses its last address of a family. */
export interface Emptied {
  /** Of the subject. */
  readonly name: string;
  /** What is asked for. */
  readonly type: "A" | "AAAA";
  /** For which clients: their labels, or `everyone`. */
  readonly clients: readonly string[];
  /** Of all clients, 0–1. */
  readonly share: number;
}

/** All that differs. */
export interface Differences {
  /** Names whose answers differ. */
  readonly names: number;
  /** The first `DIFFERENCES_MAX`, in the order of the subjects. */
  readonly differences: readonly AnswerDifference[];
  /** How many there are in all. */
  readonly count: number;
  /** What has moved, each name by its weight. Names that are asked for either family count by the mean of both. */
  readonly movedWeight: number;
  /** The first `DIFFERENCES_MAX`; not those that the change removes. */
  readonly emptied: readonly Emptied[];
  /** How many names are emptied. */
  readonly emptiedNames: number;
}

const TYPES = [["A", TYPE.A], ["AAAA", TYPE.AAAA]] as const;
/** Shares are sums of fractions. */
const EPSILON = 1e-9;

/**
 * Compares what clients are answered to questions for the subjects' addresses.
 *
 * @param subjects each name once; both forecasts must know all that answers them
 * @param clients at least one: for each of these answers are compared where they depend on the client
 * @throws {SyntaxError} when a name is none
 */
export function differ(
  before: Forecast,
  after: Forecast,
  { subjects, clients }: { readonly subjects: Iterable<Subject>; readonly clients: readonly ClientClass[] },
): Differences {
  const computed = new Map<string, Pair>();
  const pairOf = (name: string, [type, number]: (typeof TYPES)[number]) => {
    const sources = [before.sourceOf(name, number), after.sourceOf(name, number)];
    const key = `${type} ${sources.join(" | ")}`;
    let pair = computed.get(key);
    const isSteered = sources.some((source) => !source.startsWith("records "));
    if (!pair) {
      pair = { ...compare({ before, after, name, type: number, clients }), isSteered };
      computed.set(key, pair);
    }
    return pair;
  };
  /** Of names that others are alike to. */
  const models = new Map<string, readonly Pair[]>();
  const differences: AnswerDifference[] = [];
  const emptied: Emptied[] = [];
  let [names, count, movedWeight, emptiedNames] = [0, 0, 0, 0];
  for (const { name, weight, isRemoved, alike = null } of subjects) {
    let pairs = alike && models.get(alike.model);
    if (!pairs) pairs = TYPES.map((type) => pairOf(alike?.model ?? name, type));
    if (alike) models.set(alike.model, pairs);
    let isOther = false;
    let isEmptied = false;
    for (const [i, [type]] of TYPES.entries()) {
      const pair = pairs[i]!;
      count += pair.count;
      isOther ||= pair.count > 0;
      if (pair.count > 0 && differences.length < DIFFERENCES_MAX) {
        const shown = pair.differences().slice(0, DIFFERENCES_MAX - differences.length);
        for (const difference of shown) {
          differences.push({ name, type, ...(alike ? renamed(difference, alike) : difference) });
        }
      }
      if (isRemoved || !pair.emptied) continue;
      isEmptied = true;
      if (emptied.length < DIFFERENCES_MAX) emptied.push({ name, type, ...pair.emptied });
    }
    if (isOther) names++;
    if (isEmptied) emptiedNames++;
    if (!isRemoved) movedWeight += weight * movedOf(pairs);
  }
  return { names, differences, count, movedWeight, emptied, emptiedNames };
}

/** Of the answers to a name: the mean of the families that it is asked for. Of one that is steered, records are none. */
function movedOf(pairs: readonly Pair[]): number {
  const isSteered = pairs.some((pair) => pair.isAnswered && pair.isSteered);
  const counted = pairs.filter((pair) => pair.isAnswered && (!isSteered || pair.isSteered || pair.moved > 0));
  return counted.length === 0 ? 0 : counted.reduce((sum, { moved }) => sum + moved, 0) / counted.length;
}

/** What differs for a name, told of one that is like it. */
function renamed<Kind extends Pick<AnswerDifference, "before" | "after">>(
  difference: Kind,
  { addressesOfModel, addresses }: Alike,
): Kind {
  const own = new Map(addressesOfModel.map((address, number) => [address, addresses[number]!]));
  const [before, after] = [difference.before, difference.after].map((shares) =>
    inOrder(shares.map(({ address, share }) => ({ address: own.get(address)!, share })))
  );
  return { ...difference, before: before!, after: after! };
}

/** What differs for all names that the same answers in one state and in the other. */
interface Pair {
  readonly count: number;
  /** Each of them: of very many names few are shown. */
  readonly differences: () => readonly Omit<AnswerDifference, "name" | "type">[];
  /** Of all clients' answers. */
  readonly moved: number;
  readonly emptied: Omit<Emptied, "name" | "type"> | null;
  /** Whether any client was answered before. */
  readonly isAnswered: boolean;
  /** Whether a pool answers, before or after. */
  readonly isSteered: boolean;
}

/** What differs for the clients of a label, by their weights. */
interface Labelled {
  weight: number;
  moved: number;
  emptied: number;
  isOther: boolean;
  readonly before: Map<string, number>;
  readonly after: Map<string, number>;
}

function compare(
  { before, after, name, type, clients }: {
    readonly before: Forecast;
    readonly after: Forecast;
    readonly name: string;
    readonly type: AddressType;
    readonly clients: readonly ClientClass[];
  },
): Omit<Pair, "isSteered"> {
  const [first] = EVERYONE;
  const beforeFirst = before.outcome(name, type, first!.address);
  const afterFirst = after.outcome(name, type, first!.address);
  if (beforeFirst.clientBits === null && afterFirst.clientBits === null) {
    return ofAll(beforeFirst, afterFirst);
  }
  const labels = new Map<string, Labelled>();
  let isAnswered = false;
  for (const { label, weight, address } of clients) {
    const was = before.outcome(name, type, address);
    const willBe = after.outcome(name, type, address);
    isAnswered ||= was.shares.size > 0;
    const labelled = labels.get(label) ?? noneOf();
    labels.set(label, labelled);
    add(labelled, { weight, was, willBe });
  }
  return { ...summed(labels), isAnswered };
}

/** The same for all clients. */
function ofAll(was: Outcome, willBe: Outcome): Omit<Pair, "isSteered"> {
  const label = EVERYONE[0]!.label;
  const moved = movedBetween(was, willBe);
  const isEmptied = was.shares.size > 0 && willBe.shares.size === 0;
  return {
    count: isSame(was, willBe) ? 0 : 1,
    differences: () => {
      const labelled = noneOf();
      add(labelled, { weight: 1, was, willBe });
      return [differenceOf(label, labelled, 1)];
    },
    moved,
    emptied: isEmptied ? { clients: [label], share: 1 } : null,
    isAnswered: was.shares.size > 0,
  };
}

function add(
  labelled: Labelled,
  { weight, was, willBe }: { readonly weight: number; readonly was: Outcome; readonly willBe: Outcome },
): void {
  labelled.weight += weight;
  labelled.isOther ||= !isSame(was, willBe);
  labelled.moved += weight * movedBetween(was, willBe);
  if (was.shares.size > 0 && willBe.shares.size === 0) labelled.emptied += weight;
  for (const [to, outcome] of [[labelled.before, was], [labelled.after, willBe]] as const) {
    for (const it of outcome.all) to.set(it, (to.get(it) ?? 0) + weight * (outcome.shares.get(it) ?? 0));
  }
}

function noneOf(): Labelled {
  return { weight: 0, moved: 0, emptied: 0, isOther: false, before: new Map(), after: new Map() };
}

function summed(labels: ReadonlyMap<string, Labelled>): Omit<Pair, "isAnswered" | "isSteered"> {
  const all = [...labels];
  const total = all.reduce((sum, [, { weight }]) => sum + weight, 0);
  const moved = all.reduce((sum, [, labelled]) => sum + labelled.moved, 0) / total;
  const emptied = all.filter(([, labelled]) => labelled.emptied > 0);
  const others = all.filter(([, { isOther }]) => isOther)
    .map(([clients, labelled]) => differenceOf(clients, labelled, total));
  const [first] = others;
  const isForAll = first !== undefined && others.length === all.length &&
    others.every(({ before, after }) => areSame(before, first.before) && areSame(after, first.after));
  const differences = isForAll ? [{ ...first, clients: EVERYONE[0]!.label, share: 1, moved }] : others;
  return {
    count: differences.length,
    differences: () => differences,
    moved,
    emptied: emptied.length === 0 ? null : {
      clients: emptied.length === all.length ? [EVERYONE[0]!.label] : emptied.map(([clients]) => clients),
      share: emptied.reduce((sum, [, labelled]) => sum + labelled.emptied, 0) / total,
    },
  };
}

function differenceOf(
  clients: string,
  { weight, moved, before, after }: Labelled,
  total: number,
): Omit<AnswerDifference, "name" | "type"> {
  return {
    clients,
    share: weight / total,
    before: sharesOf(before, weight),
    after: sharesOf(after, weight),
    moved: moved / weight,
  };
}

function sharesOf(shares: ReadonlyMap<string, number>, weight: number): AnswerShare[] {
  return inOrder([...shares].map(([address, share]) => ({ address, share: share / weight })));
}

/** The most frequent first. */
function inOrder(shares: AnswerShare[]): AnswerShare[] {
  return shares.sort((a, b) => b.share - a.share || (a.address < b.address ? -1 : 1));
}

function isSame(a: Outcome, b: Outcome): boolean {
  if (a.all.size !== b.all.size || a.shares.size !== b.shares.size) return false;
  for (const it of a.all) if (!b.all.has(it)) return false;
  for (const [it, share] of a.shares) if (Math.abs(share - (b.shares.get(it) ?? 0)) > EPSILON) return false;
  return true;
}

/** The share of the answers before that are others after. */
export function movedBetween(was: Outcome, willBe: Outcome): number {
  let moved = 0;
  for (const [it, share] of was.shares) {
    const lost = share - (willBe.shares.get(it) ?? 0);
    if (lost > EPSILON) moved += lost;
  }
  return moved;
}

function areSame(a: readonly AnswerShare[], b: readonly AnswerShare[]): boolean {
  return a.length === b.length &&
    a.every(({ address, share }, i) => address === b[i]!.address && Math.abs(share - b[i]!.share) <= EPSILON);
}
