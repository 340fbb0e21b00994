/**
 * What became of every member of the pools that were looked at, and why, in words that somebody woken at night can
 * act on.
 *
 * @module
 */
import { haversineKm } from "../balance/geo.ts";
import type { Member } from "../config/model.ts";
import { formatIp, formatSocketAddress } from "../ip.ts";
import { TYPE } from "../wire/record_type.ts";
import type { ExplainedCandidate, ExplainedHealth } from "./explanation.ts";
import type { Considered, Evidence, Listed, RulingOverride, Situation } from "./situation.ts";
import { formatRule, time } from "./words.ts";

/** Every member of every pool on the way: those answered first, then those that may be, then the others. */
export function explainCandidates(situation: Situation): ExplainedCandidate[] {
  return situation.considered.flatMap((considered) =>
    membersOf(considered, situation).map((it) => candidateOf(it, considered, situation)).sort(byRank)
  );
}

/** A member with all that is known of it. */
interface Known {
  readonly member: Member;
  /** As the engine sees it; `null` = it isn't among those that it chooses from. */
  readonly listed: Listed | null;
  readonly override: RulingOverride | null;
  readonly evidence: Evidence;
  /** Position in the answer, or −1. */
  readonly position: number;
}

function membersOf({ look, pool, listed }: Considered, { choice, sources, ruling }: Situation): Known[] {
  const chosen = choice && choice.list === look.list ? choice.members : [];
  const aliases = new Set(listed.map(({ alias }) => alias));
  const known = pool.members.flatMap((member) =>
    aliases.has(member.target) ? member : addressed(member, sources)
  )
    .map((member) => ({ member, override: ruling(pool.id, member) }));
  const taken = new Set<Listed>();
  // Members keep their order in the tables; where one address stands twice, those that are left out come second.
  const places = new Map<Member, Listed>();
  for (const { member } of known.toSorted((a, b) => Number(isOut(a)) - Number(isOut(b)))) {
    const found = listed.find((it) => !taken.has(it) && isOne(it, member));
    if (!found) continue;
    taken.add(found);
    places.set(member, found);
  }
  return known.map(({ member, override }) => {
    const place = places.get(member) ?? null;
    return {
      member,
      override,
      listed: place,
      evidence: sources.health(pool, member, override?.state === "up"),
      position: place ? chosen.indexOf(place.index) : -1,
    };
  });
}

function isOne({ alias, address }: Listed, { ipAddress, target }: Member): boolean {
  return alias === null ? formatIp(address) === ipAddress : ipAddress === null && alias === target;
}

/** A member by name as many times as its name has addresses. */
function addressed(member: Member, { addressesOf }: Situation["sources"]): Member[] {
  const addresses = member.ipAddress === null ? addressesOf(member.target!) : [];
  return addresses.length === 0 ? [member] : addresses.map((ipAddress) => ({ ...member, ipAddress }));
}

function isOut({ member, override }: { member: Member; override: RulingOverride | null }): boolean {
  if (override?.state === "up") return false;
  return !member.enabled || override?.state === "down" || override?.share === 0;
}

function candidateOf(known: Known, considered: Considered, situation: Situation): ExplainedCandidate {
  const { member, listed, override, evidence, position } = known;
  const { pool, look } = considered;
  const { reason, isKept } = judgementOf(known, considered, situation);
  const place = placeOf(known);
  const client = look.reason?.reason.place ?? null;
  return {
    pool: pool.name,
    memberId: member.id || null,
    member: formatSocketAddress({ hostname: member.target ?? member.ipAddress ?? "", port: member.port }),
    address: listed?.alias === null ? formatIp(listed.address) : member.ipAddress,
    outcome: isKept ? "kept" : "dropped",
    reason,
    rank: position < 0 ? null : position + 1,
    distanceKm: client && place ? Math.round(haversineKm(client, place)) : null,
    weight: member.weight,
    priority: member.priority,
    health: pool.healthCheck && (listed || member.ipAddress !== null) ? healthOf(evidence) : null,
    override: override && {
      state: override.state,
      reason: override.reason,
      owner: override.owner,
      expiresAt: time(override.expiresAt),
    },
  };
}

function placeOf({ listed, member: { latitude, longitude } }: Known) {
  if (listed?.place) return listed.place;
  return latitude === null || longitude === null ? null : { latitude, longitude };
}

function healthOf(
  { state, standing, why, since, lastError, latencyMs, checkedAt }: Evidence,
): ExplainedHealth {
  return {
    state,
    standing,
    why,
    since: since === null ? null : time(since),
    lastError,
    latencyMs,
    checkedAt: checkedAt === null ? null : time(checkedAt),
  };
}

interface Judgement {
  readonly isKept: boolean;
  readonly reason: string;
}

const kept = (reason: string): Judgement => ({ isKept: true, reason });
const dropped = (reason: string): Judgement => ({ isKept: false, reason });

function judgementOf(known: Known, considered: Considered, situation: Situation): Judgement {
  const { listed, override } = known;
  if (!listed) return dropped(whyUnlisted(known, situation));
  const forced = override?.state === "up" ? `${overrideWords(override)}; ` : "";
  const draining = override?.state === "drain" ? `; ${overrideWords(override)}` : "";
  const isDecider = considered === situation.decider;
  const { allDown } = considered.look;
  if (!isDecider) return dropped(listed.isUp ? `${forced}up, but its pool isn't answered` : whyDown(known));
  if (allDown && (allDown.isFenced || considered.look.leading === null)) {
    const state = listed.isUp ? `${forced}up` : whyDown(known);
    return isLastResort(known, considered)
      ? kept(
        `${state}; ${resortOf(considered)}${known.position < 0 ? "; its turn comes later" : ""}${draining}`,
      )
      : dropped(state);
  }
  if (!listed.isUp) return dropped(whyDown(known));
  if (known.position >= 0) return kept(`${forced}${whyAnswered(known, considered, situation)}${draining}`);
  const out = whyOutdone(known, considered, situation);
  return out
    ? dropped(`${forced}${out}${draining}`)
    : kept(`${forced}${whyLater(known, considered, situation)}${draining}`);
}

/** Whether a member is among those that are answered although too few are up. */
function isLastResort(known: Known, considered: Considered): boolean {
  const { look: { allDown }, pool, downAt } = considered;
  if (allDown!.isFenced) return isLeading(known, considered);
  return pool.onAllDown !== "last-healthy" || downAt[known.listed!.index] === Math.max(...downAt);
}

/** Why those are answered. */
function resortOf({ look: { allDown }, pool }: Considered): string {
  if (allDown!.isFenced) return "answered all the same: the geofence leaves nobody else";
  return pool.onAllDown === "last-healthy"
    ? "answered all the same: it went down last (onAllDown: last-healthy)"
    : "answered all the same (onAllDown: all)";
}

function whyUnlisted({ member, override }: Known, { asked }: Situation): string {
  if (override?.state === "down") return overrideWords(override);
  if (override?.state === "drain" && override.share === 0) return overrideWords(override);
  if (!member.enabled && override?.state !== "up") return "disabled";
  if (member.ipAddress === null) return `no address of ${member.target} is known`;
  const family = member.ipAddress.includes(":") ? 6 : 4;
  if (family !== (asked.type === TYPE.A ? 4 : 6)) {
    return `IPv${family}, which ${family === 4 ? "A" : "AAAA"} queries get`;
  }
  if (member.target !== null) {
    return "another member of the pool stands for this address, or its name just changed";
  }
  return "changed a moment ago, and not answered from yet";
}

function overrideWords({ state, owner, reason, expiresAt, share }: RulingOverride): string {
  const what = state === "up"
    ? "forced up"
    : state === "down"
    ? "forced down"
    : share === 0
    ? "drained"
    : `draining, ${Math.round(share * 100)} % left`;
  return `${what} until ${time(expiresAt)} by ${owner}: ${reason}`;
}

/** Why a member whose bit is down is down. */
function whyDown({ evidence: { state, why, since, lastError } }: Known): string {
  const at = since === null ? "" : ` since ${time(since)}`;
  if (state === "unhealthy") return `unhealthy${at}: ${lastError ?? why ?? "its check failed"}`;
  return why === null ? "down" : `${state}${at}, but out: ${why}`;
}

/** Why a member is in the answer. */
function whyAnswered(known: Known, considered: Considered, { choice }: Situation): string {
  if (!isLeading(known, considered)) return `${placeBehind(known, considered)}; fills the answer`;
  const { lead, ticket, cycle } = choice!.turn;
  const turn = lead < 2
    ? ""
    : known.position > 0
    ? "; follows in the rotation"
    : `; its turn (${ticket % cycle + 1} of ${cycle})`;
  return `${meritOf(known, considered)}${turn}`;
}

/** Whether a member is one of those that take turns. */
function isLeading({ listed }: Known, { look: { leading } }: Considered): boolean {
  return listed !== null && leading !== null && leading.includes(listed.index);
}

/** What puts a member among the first. */
function meritOf(known: Known, considered: Considered): string {
  const { pool, look } = considered;
  const rule = look.reason?.reason.rule;
  if (rule && isNamed(known, considered)) return `up; geo rule ${formatRule(rule)} names it`;
  switch (pool.algorithm) {
    case "failover":
      return `up; ${tierOf(known.member.priority)} is the first with anybody up`;
    case "latency":
      return `up; fastest${rttOf(known)}`;
    case "hash":
      return "up; first by the hash of the client's network";
    case "geoip":
      return look.reason?.reason.place
        ? `up; nearest${kmOf(known, considered)}`
        : "up; nobody knows where the client is";
    case "map-file":
      return look.reason?.reason.isMapped && look.leading!.length < look.up
        ? "up; the map file names it"
        : "up; the map file prefers nobody";
    default:
      return "up";
  }
}

/** Where a member stands that isn't among the first. */
function placeBehind(known: Known, considered: Considered): string {
  switch (considered.pool.algorithm) {
    case "latency":
      return `up, slower${rttOf(known)}`;
    case "geoip":
      return `up, farther away${kmOf(known, considered)}`;
    case "hash":
      return "up, behind by the hash of the client's network";
    case "map-file":
      return "up, not named by the map file";
    default:
      return "up";
  }
}

/** Why a member that is up is never answered to this client as things are; `null` = it may be. */
function whyOutdone(known: Known, considered: Considered, situation: Situation): string | null {
  if (isLeading(known, considered)) return null;
  const { pool, look } = considered;
  if (pool.geofence && look.reason) return "up, but outside the geofence of this client";
  if (pool.algorithm === "failover" && isBehind(known, situation)) {
    return `up, but ${tierOf(known.member.priority)} waits until all tiers before it are down`;
  }
  return null;
}

/** Whether a member of a better tier is answered. */
function isBehind({ member }: Known, { choice, decider }: Situation): boolean {
  const first = choice && decider?.listed[choice.members[0]!];
  return first !== null && first !== undefined && orderOf(first.priority) < orderOf(member.priority);
}

/** Tier 0 is the last one. */
function orderOf(priority: number): number {
  return priority === 0 ? Infinity : priority;
}

function tierOf(priority: number): string {
  return priority === 0 ? "the last tier" : `tier ${priority}`;
}

/** Why a member that may be answered isn't this time. */
function whyLater(known: Known, considered: Considered, { choice }: Situation): string {
  if (!isLeading(known, considered)) return `${placeBehind(known, considered)}; others go first`;
  const { lead } = choice!.turn;
  return `${
    meritOf(known, considered)
  }; its turn comes later (${considered.pool.maxAnswers} of ${lead} an answer)`;
}

function isNamed({ listed }: Known, { look: { reason: facts } }: Considered): boolean {
  const named = facts!.candidates[facts!.reason.rule!.candidate];
  return named?.index === listed?.index;
}

function rttOf({ listed }: Known): string {
  return listed && listed.rttUs > 0 ? ` (${(listed.rttUs / 1000).toFixed(1)} ms)` : " (not measured yet)";
}

function kmOf(known: Known, { look }: Considered): string {
  const client = look.reason?.reason.place;
  const place = placeOf(known);
  return client && place ? ` (${Math.round(haversineKm(client, place))} km)` : " (its place is unknown)";
}

/** Those in the answer by rank, then those that may be, then the others; else as they were declared. */
function byRank(a: ExplainedCandidate, b: ExplainedCandidate): number {
  return (a.rank ?? Infinity) - (b.rank ?? Infinity) ||
    Number(a.outcome === "dropped") - Number(b.outcome === "dropped");
}
