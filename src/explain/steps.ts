/**
 * The decisions on the way to an answer, a sentence each.
 *
 * @module
 */
import { ON_ALL_DOWN } from "../config/model.ts";
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
  for (const considered of situation.considered) {
    add("pool", poolStep(considered, situation));
    for (const text of clientSteps(considered, situation)) add("client", text);
    add("client", mapStep(considered, situation, client));
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

function poolStep({ look, pool, listed }: Considered, { asked }: Situation): string {
  const family = asked.type === TYPE.A ? "IPv4" : "IPv6";
  const { up, needed } = look;
  if (listed.length === 0) return `pool ${pool.name} has no enabled ${family} member`;
  const verdict = up >= needed ? "" : " – too few";
  return `pool ${pool.name} (${pool.algorithm}): ${up} of ${listed.length} enabled ${family} members ` +
    `${up === 1 ? "is" : "are"} up, ${needed} needed${verdict}`;
}

function clientSteps({ look, pool }: Considered, { decidedFor, sources }: Situation): string[] {
  if (!look.reason || !decidedFor) return [];
  const { country, continent, asn, place, rule } = look.reason.reason;
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
  if (rule) {
    const named = look.reason.candidates[rule.candidate]!;
    steps.push(
      `geo rule ${formatRule(rule)} names ${formatIp(named.address)}${named.isUp ? "" : ", which is down"}`,
    );
  }
  return steps;
}

function placelessness(sources: Situation["sources"]): string {
  const { city, asn } = sources.current().snapshot.atlas;
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
  if (sources.current().snapshot.atlas.map === null) return "no map file is in effect (mapFile.path)";
  if (!look.reason) return null;
  return mapFile === null
    ? "no line of the map file covers it"
    : `line ${mapFile.line} of the map file covers it: ${mapFile.prefix}`;
}

function allDownStep(
  considered: Considered,
  { considered: all, decider, message }: Situation,
): string | null {
  const { look, pool } = considered;
  const { allDown, up, needed } = look;
  if (!allDown) {
    if (up >= needed || considered === decider || look.list === 0) return null;
    return "the other family has enough members that are up: no answer for this one, so that clients take the other";
  }
  const policy = ON_ALL_DOWN[allDown.policy]!;
  const why = allDown.isFenced
    ? "all that the geofence leaves this client are down"
    : "the pool counts as down";
  if (policy === "fallback") {
    const next = all[all.indexOf(considered) + 1];
    return `${why}; onAllDown is fallback: ${
      next ? `on to the pool ${next.pool.name}` : "there is no pool to go on to"
    }`;
  }
  const what = message.answers.length === 0
    ? "nothing is answered"
    : policy === "last-healthy" && up > 0 && !allDown.isFenced
    ? "those that are still up are answered"
    : policy === "last-healthy" && !allDown.isFenced
    ? "those that went down last are answered"
    : allDown.isFenced
    ? "they are answered all the same"
    : "all enabled members are answered";
  return `${why}; onAllDown of ${pool.name} is ${policy}: ${what}`;
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
  const turn = lead < 2 ? "" : `; ${lead} take turns, this is turn ${ticket % cycle + 1} of ${cycle}`;
  return `answered: ${addresses} (${most})${turn}`;
}

function ttlStep({ choice, decider, service, nowSeconds }: Situation): string | null {
  if (!choice || !decider || !service) return null;
  const { ttl } = choice;
  if (ttl === service.ttl) return `TTL ${ttl} s, as configured`;
  const planned = `the next planned change of the pool ${decider.pool.name} is at ${
    time(decider.changesAt * 1000)
  }`;
  const left = Math.max(0, decider.changesAt - nowSeconds);
  return ttl > left
    ? `TTL ${ttl} s, the service's minTtl: ${planned}`
    : `TTL ${ttl} s instead of ${service.ttl} s: ${planned}`;
}

function scopeStep(situation: Situation): string | null {
  const { asked: { ecs, client }, message, service, scopeBits, sources: { engine } } = situation;
  if (!ecs) return null;
  if (!message.edns?.ecs) {
    if (!engine.ecs.enabled) return "the client subnet isn't looked at: dns.ecs.enabled is false";
    const isTrusted = engine.ecs.trusted.length === 0 ||
      engine.ecs.trusted.some((prefix) => prefixContains(prefix, client));
    return isTrusted
      ? null
      : `the client subnet isn't looked at: ${formatIp(client)} isn't in dns.ecs.trustedResolvers`;
  }
  if (service?.ecs === false) return "scope 0: this service doesn't look at client subnets";
  if (scopeBits === 0) return "scope 0: every client gets this answer";
  const bytes = maskBits(ecs.bytes, scopeBits);
  const whole = { family: familyOf(bytes), bytes, length: scopeBits };
  return scopeBits <= ecs.length
    ? `scope ${scopeBits}: all of ${formatPrefix(whole)} is decided alike, and nothing wider`
    : `scope ${scopeBits}: narrower than the subnet that was sent, parts of which are decided otherwise`;
}
