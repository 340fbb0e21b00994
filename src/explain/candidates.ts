/**
 * What became of every member of the pools that were looked at, and why, in words that a person woken at night can
 * act on.
 *
 * @module
 */
import { haversineKm } from "../geo/location.ts";
import type { Member } from "../model/model.ts";
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
      createdBy: override.createdBy,
      expiresAt: time(override.expiresAt),
    },
  };
}

function placeOf({ listed, member: { latitude, longitude } }: Known) {
  if (listed?.place) return listed.place;
  return latitude === null || longitude === null ? null : { latitude, longitude };
}

function healthOf(
  { state, eligible, why, since, lastError, latencyMs, checkedAt, views }: Evidence,
): ExplainedHealth {
  return {
    state,
    eligible,
    why,
    since: since === null ? null : time(since),
    lastError,
    latencyMs,
    checkedAt: checkedAt === null ? null : time(checkedAt),
    ...(views && { views: [...views] }),
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
  const state = `${listed.isUp ? `${forced}up` : whyDown(known)}${disagreement(known)}`;
  if (considered !== situation.decider) {
    return dropped(listed.isUp ? `${state}, but its pool isn't answered` : state);
  }
  if (isOutside(known, considered)) {
    return dropped(`${state}; outside the geofence of this client${draining}`);
  }
  const { look } = considered;
  // Without a ranking it is those that went down last.
  if (look.leading === null) return judgeLastDown(known, considered, { state, draining });
  if (!listed.isUp && look.whom === "up") return dropped(state);
  const out = whyOutdone(known, considered);
  if (out !== null) return dropped(`${state}${out}${draining}`);
  const anyhow = look.whom === "all" ? "; answered all the same (onAllDown: all)" : "";
  return kept(`${state}${anyhow}${whyKept(known, considered, situation)}${draining}`);
}

function judgeLastDown(
  known: Known,
  { downAt, intervalMs, look }: Considered,
  { state, draining }: { readonly state: string; readonly draining: string },
): Judgement {
  const inside = look.reason?.reason.fence?.inside.map((at) => look.reason!.candidates[at]!.index);
  const latest = Math.max(...downAt.filter((_, index) => inside?.includes(index) ?? true));
  if (latest - downAt[known.listed!.index]! > intervalMs) return dropped(state);
  const turn = known.position < 0 ? "; its turn comes later" : "";
  return kept(
    `${state}; answered all the same: it went down last (onAllDown: last-healthy)${turn}${draining}`,
  );
}

function isOutside({ listed }: Known, { look: { reason } }: Considered): boolean {
  const fence = reason?.reason.fence;
  return Boolean(fence) && !fence!.inside.some((at) => reason!.candidates[at]!.index === listed!.index);
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
    return "another member of the pool provides this address, or its name just changed";
  }
  return "changed a moment ago, and not in the answers yet";
}

function overrideWords({ state, owner, createdBy, reason, expiresAt, share }: RulingOverride): string {
  const what = state === "up"
    ? "forced up"
    : state === "down"
    ? "forced down"
    : share === 0
    ? "drained"
    : `draining, ${Math.round(share * 100)} % left`;
  const author = createdBy === "" || createdBy === owner ? "" : ` (created by ${createdBy})`;
  return `${what} until ${time(expiresAt)} by ${owner}${author}: ${reason}`;
}

/** Why a member whose bit is down is down. */
function whyDown({ evidence: { state, why, since, lastError } }: Known): string {
  const at = since === null ? "" : ` since ${time(since)}`;
  if (state === "unhealthy") return `unhealthy${at}: ${lastError ?? why ?? "its check failed"}`;
  return why === null ? "down" : `${state}${at}, but out: ${why}`;
}

/** What each node finds, where they don't agree. */
function disagreement({ evidence: { views = [] } }: Known): string {
  const split = views.flatMap(({ check, own, reports }) => {
    const said = [
      ...(own === null ? [] : [{ node: "this node", state: own }]),
      ...reports,
    ];
    if (new Set(said.map(({ state }) => state)).size < 2) return [];
    const which = views.length === 1 ? "" : `${check}: `;
    return `${which}${said.map(({ node, state }) => `${node} ${state}`).join(", ")}`;
  });
  return split.length === 0 ? "" : ` (${split.join("; ")})`;
}

function isLeading({ listed }: Known, { look: { leading } }: Considered): boolean {
  return listed !== null && leading !== null && leading.includes(listed.index);
}

/** Why a member that may be answered is, or isn't this time; begins with a separator. */
function whyKept(known: Known, considered: Considered, { choice }: Situation): string {
  const { pool } = considered;
  const isLed = isLeading(known, considered);
  const place = isLed ? meritOf(known, considered) : placeBehind(known, considered);
  if (known.position >= 0) return isLed ? `${place}${turnOf(known, choice!)}` : `${place}; fills the answer`;
  if (isTold(known, considered, choice)) return `${place}; its address is in the answer already`;
  if (!isLed) return `${place}; others go first`;
  return `${place}; its turn comes later (${pool.maxAnswers} of ${choice!.turn.lead} an answer)`;
}

/** By which turn one of those that lead is in the answer. */
function turnOf(
  { position }: Known,
  { turn: { lead, ticket, cycle } }: NonNullable<Situation["choice"]>,
): string {
  if (lead < 2) return "";
  return position > 0 ? "; follows in the rotation" : `; its turn (${ticket % cycle + 1} of ${cycle})`;
}

/** Whether another member with the same address is in the answer. */
function isTold({ listed }: Known, { listed: all }: Considered, choice: Situation["choice"]): boolean {
  const address = formatIp(listed!.address);
  return listed!.alias === null &&
    choice!.members.some((index) => all[index]!.alias === null && formatIp(all[index]!.address) === address);
}

/** What puts a member among the first. */
function meritOf(known: Known, considered: Considered): string {
  const { pool, look } = considered;
  const facts = look.reason?.reason;
  if (facts?.rule && isAmong(known, considered, facts.named)) {
    return `; geo rule ${formatRule(facts.rule)} names it`;
  }
  switch (pool.algorithm) {
    case "failover":
      return `; ${tierOf(known.member.priority)} is the first${
        look.whom === "up" ? " with a member up" : ""
      }`;
    case "latency":
      return known.listed!.rttUs > 0 ? `; among the fastest${rttOf(known)}` : "; none is measured yet";
    case "hash":
      return "; first by the hash of the client's network";
    case "geoip":
      if (!facts?.place) return "; the client's location is unknown";
      return placeOf(known) ? `; nearest${kmOf(known, considered)}` : "; no member's location is known";
    case "map-file":
      return facts && isAmong(known, considered, facts.mapped)
        ? "; the map file names it"
        : "; the map file prefers none of the pool";
    default:
      return "";
  }
}

/** Where a member stands that isn't among the first. */
function placeBehind(known: Known, considered: Considered): string {
  const { pool, look, listed } = considered;
  const facts = look.reason?.reason;
  if (
    facts?.rule &&
    look.leading!.every((index) => isAmong({ listed: listed[index]! }, considered, facts.named))
  ) {
    return `, but geo rule ${formatRule(facts.rule)} names others`;
  }
  switch (pool.algorithm) {
    case "failover":
      return `, but ${tierOf(known.member.priority)} only takes over from members that drain`;
    case "latency":
      return `, slower${rttOf(known)}`;
    case "geoip":
      return placeOf(known) ? `, farther away${kmOf(known, considered)}` : ", and its location is unknown";
    case "hash":
      return ", behind by the hash of the client's network";
    case "map-file":
      return ", not named by the map file";
    default:
      return "";
  }
}

/** Why a member is never answered to this client as things are; `null` = it may be. */
function whyOutdone(known: Known, considered: Considered): string | null {
  const { pool, look } = considered;
  if (isLeading(known, considered) || pool.algorithm !== "failover") return null;
  const ranked = considered.listed.filter(({ isUp }) => isUp || look.whom === "all");
  const tier = orderOf(known.listed!.priority);
  const best = (of: readonly Listed[]) => Math.min(...of.map(({ priority }) => orderOf(priority)));
  const isDraining = look.leading!.some((index) => considered.listed[index]!.left < 1);
  if (tier <= best(ranked) || (isDraining && tier <= best(ranked.filter(({ left }) => left === 1)))) {
    return null;
  }
  return `, but ${tierOf(known.member.priority)} waits until all tiers before it are down`;
}

/** Tier 0 is the last one. */
function orderOf(priority: number): number {
  return priority === 0 ? Infinity : priority;
}

function tierOf(priority: number): string {
  return priority === 0 ? "the last tier" : `tier ${priority}`;
}

/** @param positions of candidates */
function isAmong(
  { listed }: Pick<Known, "listed">,
  { look: { reason } }: Considered,
  positions: readonly number[],
): boolean {
  return positions.some((position) => reason!.candidates[position]!.index === listed?.index);
}

function rttOf({ listed }: Known): string {
  return listed && listed.rttUs > 0 ? ` (${(listed.rttUs / 1000).toFixed(1)} ms)` : " (not measured yet)";
}

/** The way from the client to a member, both of whose places are known. */
function kmOf(known: Known, { look }: Considered): string {
  return ` (${Math.round(haversineKm(look.reason!.reason.place!, placeOf(known)!))} km)`;
}

/** Those in the answer by rank, then those that may be, then the others; else as they were declared. */
function byRank(a: ExplainedCandidate, b: ExplainedCandidate): number {
  return (a.rank ?? Infinity) - (b.rank ?? Infinity) ||
    Number(a.outcome === "dropped") - Number(b.outcome === "dropped");
}
