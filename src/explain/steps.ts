/**
 * The decisions on the way to an answer, a sentence each.
 *
 * @module
 */
import { countOf } from "../input/count.ts";
import { ON_ALL_DOWN } from "../model/model.ts";
import type { ClientFence } from "../balance/client_map.ts";
import { familyOf, formatIp, formatPrefix, maskBits, prefixContains } from "../ip.ts";
import { wireToName } from "../wire/name.ts";
import { RCODE, TYPE, typeName } from "../wire/record_type.ts";
import type { ExplainedClient, ExplainedStep } from "./explanation.ts";
import type { Considered, Situation } from "./situation.ts";
import { formatRule, time } from "./words.ts";

/** All of them, in order. */
export function describeSteps(
  situation: Situation,
  client: Pick<ExplainedClient, "mapFile">,
): ExplainedStep[] {
  const steps: ExplainedStep[] = [];
  const add = (kind: ExplainedStep["kind"], text: string | null) => {
    if (text !== null) steps.push({ kind, text });
  };
  for (const named of situation.names) add("name", nameStep(named, situation));
  add("health", peersStep(situation));
  for (const considered of situation.considered) {
    add("pool", poolStep(considered, situation));
    for (const text of clientSteps(considered, situation)) add("client", text);
    add("client", mapStep(considered, situation, client));
    add("client", fenceStep(considered, situation));
    add("allDown", allDownStep(considered, situation));
  }
  add("chosen", chosenStep(situation));
  add("ttl", ttlStep(situation));
  add("scope", scopeStep(situation));
  return steps;
}

function nameStep({ name, source, owner }: Situation["names"][number], situation: Situation): string {
  const { asked, message } = situation;
  const text = wireToName(name);
  const type = typeName(asked.type);
  switch (source) {
    case "service":
      return `${text} is a service${withPool(situation)}`;
    case "wildcard-service":
      return `${text} is covered by the service ${owner}${withPool(situation)}`;
    case "records":
      return `${text} has static ${type} records`;
    case "wildcard-records":
      return `${text} is covered by the static ${type} records of ${owner}`;
    case "alias":
      return `${text} is an alias (CNAME)${owner === text ? "" : `, by ${owner}`}`;
    case "fallback":
      return `${text} has nothing of its own: the static fallback answers`;
    case "delegation":
      return `${owner} is delegated: its own name servers answer`;
    case "redirect":
      return `${text} is below the DNAME record of ${owner}`;
    case "nothing":
      return nothingStep({ text, type, owner, isNameError: message.rcode === RCODE.NXDOMAIN }, situation);
  }
}

function nothingStep(
  { text, type, owner, isNameError }: {
    readonly text: string;
    readonly type: string;
    readonly owner: string | null;
    readonly isNameError: boolean;
  },
  { asked, sources }: Situation,
): string {
  const isSteered = asked.type === TYPE.A || asked.type === TYPE.AAAA;
  const service = isSteered && owner !== null ? sources.service(owner) : null;
  if (service?.poolId === null) return `${text} is answered by the service ${owner}, which has no pool`;
  if (owner !== null) return isNameError ? `${text} doesn't exist` : `${text} has no ${type} records`;
  const ours = sources.ours();
  const some = ours.length === 0
    ? "nothing is: there are no zones and no services"
    : `these are: ${ours.join(", ")}`;
  return `${text} isn't answered here; ${some}`;
}

function withPool({ considered, service }: Situation): string {
  const [first] = considered;
  return first ? `, answered from the pool ${first.pool.name} with a TTL of ${service?.ttl ?? 0} s` : "";
}

/** Whose probes count, where it isn't this node's alone. */
function peersStep({ considered, sources }: Situation): string | null {
  const peers = sources.peers();
  if (peers === null || !considered.some(({ pool }) => pool.healthCheck)) return null;
  const { policy, quorumMinPercent, sight, nodes } = peers;
  const quorum = policy === "global-quorum" ? ` of ${quorumMinPercent} %` : "";
  const named = nodes.map(({ node, region }) => region === "" ? node : `${node} (${region})`).join(", ");
  const blind = sight === "blind" ? "; this node counts as blind and goes by its peers" : "";
  return `health policy ${policy}${quorum} over ${countOf(nodes.length, "active node")}: ${named}${blind}`;
}

function poolStep({ look, pool, listed }: Considered, { asked }: Situation): string {
  const family = asked.type === TYPE.A ? "IPv4" : "IPv6";
  const { up, needed } = look;
  const source = pool.discover === null ? "" : `, with those registered at ${pool.discover}`;
  if (listed.length === 0) return `pool ${pool.name}${source} has no enabled ${family} member`;
  const verdict = up >= needed || fenceOf(look) ? "" : " – too few";
  return `pool ${pool.name}${source} (${pool.algorithm}): ${up} of ${listed.length} enabled ${family} members ` +
    `${up === 1 ? "is" : "are"} up, ${needed} needed${verdict}`;
}

function clientSteps({ look, pool }: Considered, { decidedFor, sources }: Situation): string[] {
  if (!look.reason || !decidedFor) return [];
  const { country, continent, asn, place, rule, named } = look.reason.reason;
  const facts = [
    country,
    continent,
    asn === 0 ? null : `AS ${asn}`,
    place && `at ${place.latitude}, ${place.longitude}`,
  ].filter((fact) => fact !== null);
  const who = decidedFor.source === "ecs"
    ? `the client subnet ${formatIp(decidedFor.address)}/${decidedFor.bits}`
    : `the sender ${formatIp(decidedFor.address)}`;
  const asksDatabases = pool.algorithm === "geoip" || pool.geoRules.some(({ cidr }) => cidr === null);
  const where = facts.length > 0 ? facts.join(", ") : asksDatabases ? placelessness(sources) : null;
  const steps = [where === null ? `decided for ${who}` : `decided for ${who}: ${where}`];
  if (rule && !fenceOf(look)) {
    const addresses = named.map((at) => formatIp(look.reason!.candidates[at]!.address)).join(", ");
    steps.push(`geo rule ${formatRule(rule)} names ${addresses}`);
  }
  return steps;
}

function placelessness(sources: Situation["sources"]): string {
  const { city, asn } = sources.current().snapshot.geoData;
  return city.length + asn.length === 0
    ? "no database is in effect (geoip.database)"
    : "no database knows it";
}

function mapStep(
  { look, pool }: Considered,
  { sources }: Situation,
  { mapFile }: Pick<ExplainedClient, "mapFile">,
): string | null {
  if (pool.algorithm !== "map-file") return null;
  if (sources.current().snapshot.geoData.map === null) return "no map file is in effect (mapFile.path)";
  if (!look.reason) return null;
  return mapFile === null
    ? "no line of the map file covers it"
    : `line ${mapFile.line} of the map file covers it: ${mapFile.prefix}`;
}

function fenceOf({ reason }: Considered["look"]): ClientFence | null {
  return reason?.reason.fence ?? null;
}

/** Which members the geofence leaves the client, and whether these are enough. */
function fenceStep({ look, listed }: Considered, { asked }: Situation): string | null {
  const fence = fenceOf(look);
  if (!fence) return null;
  const inside = fence.inside.filter((at) => at < listed.length);
  const others = fence.inside.length - inside.length;
  const family = asked.type === TYPE.AAAA ? "IPv6" : "IPv4";
  const named = inside.map((at) => listed[at]!.alias ?? formatIp(listed[at]!.address));
  const more = others === 0 ? [] : [
    `${others} that ${others === 1 ? "isn't an" : "aren't"} enabled ${family} member${
      others === 1 ? "" : "s"
    }`,
  ];
  const by = {
    rule: () => `geo rule ${formatRule(look.reason!.reason.rule!)}`,
    site: () => "nearest site",
    map: () => "map file",
  }[fence.by]();
  return `geofence (${by}): this client gets only ${[...named, ...more].join(", ")}; ` +
    `${fence.up} of ${inside.length} up, ${fence.needed} needed${
      fence.up >= fence.needed ? "" : " – too few"
    }`;
}

function allDownStep(considered: Considered, situation: Situation): string | null {
  const { considered: all, decider } = situation;
  const { look, pool } = considered;
  const { allDown, up, needed } = look;
  const fence = fenceOf(look);
  const end =
    considered === all.at(-1) && decider?.look.allDown && decider.look.whom === "up" && all.length > 1
      ? `of the chain of pools, ${decider.pool.name} is the first with a member up`
      : null;
  if (!allDown) {
    const isEnough = fence ? fence.up >= fence.needed : up >= needed;
    if (isEnough || considered === decider || look.list === 0) return null;
    const elsewhere = `the other family has enough members that are up${fence ? " inside the geofence" : ""}`;
    return end
      ? `${elsewhere}; ${end}`
      : `${elsewhere}: no answer for this one, so that clients take the other`;
  }
  const policy = ON_ALL_DOWN[allDown.policy]!;
  const why = fence ? "too few members inside the geofence of this client are up" : "the pool counts as down";
  if (policy === "fallback") {
    const next = all[all.indexOf(considered) + 1];
    if (next) return `${why}; onAllDown is fallback: on to the pool ${next.pool.name}`;
    return `${why}; onAllDown is fallback: ${end ?? "there is no pool to go on to"}`;
  }
  return `${why}; onAllDown of ${pool.name} is ${policy}: ${
    end ?? resortWords(policy, considered, situation)
  }`;
}

/** What a pool answers that has too few members up. */
function resortWords(
  policy: (typeof ON_ALL_DOWN)[number],
  { look }: Considered,
  { message, decider }: Situation,
): string {
  if (message.answers.length === 0 || !decider) return "nothing is answered";
  if (policy === "all") return "the answer is as if all enabled members were up";
  return look.leading === null
    ? "those that went down last are answered"
    : "those that are still up are answered";
}

function chosenStep({ choice, decider }: Situation): string | null {
  if (!choice || !decider) return null;
  const { ticket, lead, cycle } = choice.turn;
  const chosen = choice.members.map((index) => decider.listed[index]!);
  const { alias } = chosen[0]!;
  // An answer has one alias or addresses, as whoever is chosen first.
  const addresses = alias === null
    ? chosen.filter((it) => it.alias === null).map(({ address }) => formatIp(address)).join(", ")
    : `the alias ${alias}`;
  const most = decider.pool.maxAnswers === 0 ? "all" : `at most ${decider.pool.maxAnswers}`;
  const turn = lead < 2 ? "" : `; ${lead} rotate, this is turn ${ticket % cycle + 1} of ${cycle}`;
  return `answered: ${addresses} (${most})${turn}`;
}

function ttlStep({ choice, decider, service, nowMs }: Situation): string | null {
  if (!choice || !decider || !service) return null;
  const { ttl } = choice;
  const { leftMs } = decider;
  if (ttl === service.ttl || leftMs === null) return `TTL ${ttl} s, as configured`;
  const planned = `the next planned change of the pool ${decider.pool.name} is at ${time(nowMs + leftMs)}`;
  return ttl > leftMs / 1000
    ? `TTL ${ttl} s, the service's minTtl: ${planned}`
    : `TTL ${ttl} s instead of ${service.ttl} s: ${planned}`;
}

function scopeStep(situation: Situation): string | null {
  const { asked: { ecs, client }, message, service, scopeBits, sources: { engine } } = situation;
  if (!ecs) return null;
  if (!message.edns?.ecs) {
    if (!engine.ecs.enabled) return "the client subnet is ignored: dns.ecs.enabled is false";
    const isTrusted = engine.ecs.trusted.length === 0 ||
      engine.ecs.trusted.some((prefix) => prefixContains(prefix, client));
    return isTrusted
      ? null
      : `the client subnet is ignored: ${formatIp(client)} isn't in dns.ecs.trustedResolvers`;
  }
  if (service?.ecs === false) return "scope 0: this service ignores client subnets";
  if (scopeBits === 0) return "scope 0: every client gets this answer";
  const bytes = maskBits(ecs.bytes, scopeBits);
  const whole = { family: familyOf(bytes), bytes, length: scopeBits };
  return scopeBits <= ecs.length
    ? `scope ${scopeBits}: all of ${formatPrefix(whole)} gets the same decision, and no wider prefix does`
    : `scope ${scopeBits}: narrower than the subnet that was sent, parts of which get another decision`;
}
