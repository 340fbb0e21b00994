/**
 * What three answers to one question say of ours: nothing, where all agree; that it is presumably wrong, where Knot and
 * NSD agree and ours differs; and nothing either where it differs by a documented choice, or where the two differ.
 *
 * @module
 */
import {
  isAtOrBelow,
  lowerCaseName,
  nameKey,
  nameSize,
  nameToWire,
  wireToName,
} from "../../../src/wire/name.ts";
import type { ResourceRecord } from "../../../src/wire/message.ts";
import { mapRdataNames } from "../../../src/wire/rdata.ts";
import { RCODE, rcodeName, TYPE, typeName } from "../../../src/wire/record_type.ts";
import type { Reply } from "./servers.ts";
import type { RandomQuestion, RandomWorld, RandomZone } from "./zones.ts";

/** Where answers may differ from the two others' by choice; what follows is the reason, and where it is documented. */
export const ALLOWED = {
  minimal:
    "answers don't carry the zone's NS, nor addresses of what all record types name (docs/dns.md, Answers)",
  "addresses that fit":
    "addresses of what records name go where they don't fit, each RRset by itself (docs/dns.md, Answers)",
  uncompressed: "names in record data aren't compressed, so fewer records fit (docs/dns.md, EDNS)",
  "other zones": "a CNAME is followed into other zones of the node (docs/dns.md, Who answers)",
  "long chain": "eight CNAMEs are followed at most (docs/dns.md, Who answers)",
  "nested zone":
    "names above a served zone exist, delegated or not (docs/dns.md, Zones above and below each other)",
  "foreign glue":
    "a referral carries addresses from other zones too (docs/dns.md, Zones above and below each other)",
  "wildcard glue":
    "a wildcard gives no addresses to a referral (docs/dns.md, Zones above and below each other)",
  "wildcard addresses": "a wildcard gives no addresses to what records name (docs/dns.md, Answers)",
  "addresses from below": "addresses in a zone below are those of that zone (docs/dns.md, Answers)",
  "needed glue":
    "glue from below the cut that didn't fit behind what others put before it: it is to be there (RFC 9471 §3.1)",
  "optional glue":
    "addresses of servers outside of the delegation go where they don't fit (docs/dns.md, Zones above …)",
} as const;

/** Why a difference is allowed. */
export type Allowed = keyof typeof ALLOWED;

/** One field of an answer in which ours differs. */
export interface Finding {
  readonly verdict: "bug" | "allowed" | "free";
  readonly field: Field | "reply";
  readonly reason: Allowed | "presumed bug" | "as knot" | "as nsd" | "three ways";
}

type Field = "rcode" | "aa" | "tc" | "answer" | "authority" | "additional";

/** Three answers to one question, `null` where none came. */
export interface Replies {
  readonly pleiades: Reply | null;
  readonly knot: Reply | null;
  readonly nsd: Reply | null;
}

/** Compares. `whole` is our answer over TCP where one of these was truncated, or carries addresses of what it names. */
export function compare(
  question: RandomQuestion,
  replies: Replies,
  { world, stream, whole }: {
    readonly world: RandomWorld;
    readonly stream: boolean;
    readonly whole: Reply | null;
  },
): Finding[] {
  const ours = factsOf(replies.pleiades);
  // Peers say the record of a loop twice now and then; a set holds no duplicates (RFC 2181 §5).
  if (!ours || saysTwice(ours)) return [{ verdict: "bug", field: "reply", reason: "presumed bug" }];
  const [knot, nsd] = [factsOf(replies.knot), factsOf(replies.nsd)];
  if (!knot || !nsd) return [];
  const situation: Situation = { question, ours, knot, world, whole: whole && factsOf(whole), stream };
  const isCut = ours.tc === "1" || knot.tc === "1" || nsd.tc === "1";
  const fields: readonly Field[] = isCut
    ? ["rcode", "aa", "tc"]
    : ["rcode", "aa", "answer", "authority", "additional"];
  return fields.flatMap((field): Finding[] => {
    if (knot[field] === nsd[field] && ours[field] === knot[field]) return [];
    if (knot[field] !== nsd[field]) {
      const reason = ours[field] === knot[field]
        ? "as knot"
        : ours[field] === nsd[field]
        ? "as nsd"
        : "three ways";
      return [{ verdict: "free", field, reason }];
    }
    const reason = allowanceFor(field, situation);
    return [
      reason ? { verdict: "allowed", field, reason } : { verdict: "bug", field, reason: "presumed bug" },
    ];
  });
}

/** What is compared, as text; records sorted, names in lower case. */
type Facts = Readonly<Record<Field, string>> & {
  readonly size: number;
  readonly message: NonNullable<Reply["message"]>;
};

interface Situation {
  readonly question: RandomQuestion;
  readonly ours: Facts;
  /** The peers agree, so one stands for both. */
  readonly knot: Facts;
  readonly world: RandomWorld;
  readonly whole: Facts | null;
  readonly stream: boolean;
}

function factsOf(reply: Reply | null): Facts | null {
  if (!reply?.message) return null;
  const { size, message } = reply;
  return {
    size,
    message,
    rcode: rcodeName(message.rcode),
    aa: message.flags.aa ? "1" : "0",
    tc: message.flags.tc ? "1" : "0",
    answer: setOf(message.answers),
    authority: setOf(message.authorities),
    additional: setOf(message.additionals),
  };
}

function setOf(records: readonly ResourceRecord[]): string {
  return [...new Set(records.map(lineOf))].sort().join("\n");
}

function saysTwice({ message }: Facts): boolean {
  return [message.answers, message.authorities, message.additionals].some((records) =>
    new Set(records.map(lineOf)).size < records.length
  );
}

function lineOf({ name, type, ttl, rdata }: ResourceRecord): string {
  return `${name.toLowerCase()} ${ttl} ${typeName(type)} ${lowerCaseNames(type, rdata).toHex()}`;
}

function lowerCaseNames(type: number, rdata: Uint8Array): Uint8Array {
  return mapRdataNames(type, { bytes: rdata, at: 0, end: rdata.length }, (at) => {
    const end = at + nameSize(rdata, at);
    return { name: lowerCaseName(rdata.subarray(at, end)), end };
  });
}

function allowanceFor(field: Field, situation: Situation): Allowed | null {
  const { ours, question, world } = situation;
  const { answers } = ours.message;
  if (leavesItsZone(situation)) return "other zones";
  if (answers.filter(({ type }) => type === TYPE.CNAME).length > 8) return "long chain";
  const reason = field === "tc" ? truncationAllowance(situation) : contentAllowance(field, situation);
  return reason ?? (isAboveNestedZone(question, world) ? "nested zone" : null);
}

function truncationAllowance({ ours, question, whole, stream }: Situation): Allowed | null {
  const limit = question.udpSize === null ? 512 : Math.min(1232, question.udpSize);
  if (ours.tc === "1") return !stream && whole && whole.size > limit ? "uncompressed" : null;
  // What others leave out of the authority section for want of room, or can't, isn't in ours to begin with.
  return whole?.answer === ours.answer && whole.authority === ours.authority ? "minimal" : null;
}

function contentAllowance(field: Field, situation: Situation): Allowed | null {
  const { ours, knot } = situation;
  const { answers, authorities, rcode } = ours.message;
  const isPositive = rcode === RCODE.NOERROR && answers.length > 0;
  const isReferral = authorities.some(({ type }) => type === TYPE.NS);
  if (field === "authority" && isPositive && ours.authority === "") return "minimal";
  if (field !== "additional") return null;
  if (isReferral) return ours.authority === knot.authority ? glueAllowance(situation) : null;
  if (!isPositive) return null;
  if (ours.additional === "") return "minimal";
  if (!differsInZone(situation)) return "addresses from below";
  if (areOfWildcards(situation)) return "wildcard addresses";
  const all = new Set(situation.whole?.message.additionals.map(lineOf));
  const given = [...ours.message.additionals, ...knot.message.additionals];
  return !situation.stream && given.every((record) => all.has(lineOf(record))) ? "addresses that fit" : null;
}

/** Whether the additional sections differ in names of the zone that is asked. */
function differsInZone({ ours, knot, question, world }: Situation): boolean {
  const mine = new Set(ours.message.additionals.map(lineOf));
  const theirs = new Set(knot.message.additionals.map(lineOf));
  return [...ours.message.additionals, ...knot.message.additionals].some((record) =>
    mine.has(lineOf(record)) !== theirs.has(lineOf(record)) &&
    zoneOf(record.name, world) === zoneOf(question.name, world)
  );
}

/** Whether all that the others add and we don't is at names that no record owns, and we add nothing more. */
function areOfWildcards({ ours, knot, question, world }: Situation): boolean {
  const mine = new Set(ours.message.additionals.map(lineOf));
  const theirs = new Set(knot.message.additionals.map(lineOf));
  const zone = zoneOf(question.name, world);
  const owners = new Set(zone?.records.map(({ owner }) => nameKey(lowerCaseName(owner))));
  return [...mine].every((line) => theirs.has(line)) &&
    knot.message.additionals.every((record) =>
      mine.has(lineOf(record)) || !owners.has(nameKey(lowerCaseName(nameToWire(record.name))))
    );
}

/** The deepest zone of the world at or above a name. */
function zoneOf(name: string, { zones }: RandomWorld): RandomZone | null {
  const wire = lowerCaseName(nameToWire(name));
  const around = zones.filter(({ domain }) => isAtOrBelow(wire, nameToWire(domain)));
  return around.sort((a, b) => b.domain.length - a.domain.length)[0] ?? null;
}

/** Whether some CNAME of the chain leads from one zone of the world into another. */
function leavesItsZone({ ours, knot, world }: Situation): boolean {
  return [...ours.message.answers, ...knot.message.answers].some(({ type, name, rdata }) => {
    if (type !== TYPE.CNAME) return false;
    const target = zoneOf(wireToName(rdata), world);
    return target !== null && target !== zoneOf(name, world);
  });
}

/** Whether a zone that its parent doesn't delegate makes names exist at or above the one asked for, or a DS's place. */
function isAboveNestedZone({ name, type }: RandomQuestion, world: RandomWorld): boolean {
  const asked = lowerCaseName(nameToWire(name));
  return world.zones.some(({ domain }) => {
    const apex = nameToWire(domain);
    const parent = zoneOf(domain.slice(domain.indexOf(".") + 1), world);
    if (!parent) return false;
    const isDelegated = parent.records.some((record) =>
      record.type === TYPE.NS && record.owner.length > parent.domain.length + 2 &&
      isAtOrBelow(apex, record.owner)
    );
    if (isDelegated) return false;
    const first = domain.slice(0, -parent.domain.length - 1).split(".").at(-1);
    const isBeside = isAtOrBelow(asked, nameToWire(`${first}.${parent.domain}`)) &&
      zoneOf(name, world) === parent;
    return isBeside || (type === "DS" && nameKey(asked) === nameKey(apex));
  });
}

function glueAllowance({ ours, knot, world, stream }: Situation): Allowed | null {
  const [mine, theirs] = [ours, knot].map(({ message }) =>
    new Map(message.additionals.map((each) => [lineOf(each), each]))
  );
  const extra = [...mine!].filter(([line]) => !theirs!.has(line)).map(([, record]) => record);
  const missing = [...theirs!].filter(([line]) => !mine!.has(line)).map(([, record]) => record);
  const cut = ours.message.authorities.find(({ type }) => type === TYPE.NS)!.name;
  const zone = zoneAbove(cut, world);
  const isKnownHere = ({ name, type }: ResourceRecord) =>
    zone?.records.some((record) => record.type === type && wireToName(record.owner) === name.toLowerCase()) ??
      false;
  const below = lowerCaseName(nameToWire(cut));
  const isOptional = ({ name }: ResourceRecord) => !isAtOrBelow(lowerCaseName(nameToWire(name)), below);
  if (extra.some(isKnownHere)) {
    if (stream) return null;
    if (extra.every(isOptional)) return "optional glue";
    return missing.length === 0 && extra.every(isKnownHere) ? "needed glue" : null;
  }
  if (missing.length === 0) return "foreign glue";
  if (missing.every((record) => !isKnownHere(record))) return "wildcard glue";
  return !stream && missing.every(isOptional) ? "optional glue" : null;
}

/** The zone that delegates a name. */
function zoneAbove(name: string, world: RandomWorld): RandomZone | null {
  return zoneOf(name.slice(name.indexOf(".") + 1), world);
}
