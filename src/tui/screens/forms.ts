/**
 * The forms: which fields each has, filled in with what is stored.
 *
 * @module
 */
import {
  addressOf,
  ALGORITHMS,
  FAILBACK,
  HEALTH_CHECK_DEFAULTS,
  type HealthCheck,
  MEMBER_DEFAULTS,
  ON_ALL_DOWN,
  PLAIN_CHECK_TYPES,
  POOL_DEFAULTS,
  SERVICE_DEFAULTS,
} from "../../model/model.ts";
import { type Choice, type Field, type Form, formOf } from "../form.ts";
import type { MemberItem, PoolDetail, RuleItem, ServiceDetail } from "../messages.ts";

/** A new pool. */
export function createPoolForm(): Form {
  return formOf({
    title: "Create a pool",
    subject: { kind: "pool", id: null, revision: null },
    fields: [text("name", "Name", ""), ...poolFields(POOL_DEFAULTS, null)],
  });
}

/** Another name of a pool. */
export function renamePoolForm(
  pool: { readonly id: string; readonly name: string; readonly revision: number },
): Form {
  return formOf({
    title: `Rename pool ${pool.name}`,
    subject: { kind: "pool", id: pool.id, revision: pool.revision },
    fields: [text("name", "Name", pool.name)],
  });
}

/** The settings of a pool. */
export function poolForm({ pool, fallbackPool }: PoolDetail): Form {
  return formOf({
    title: `Pool ${pool.name}`,
    subject: { kind: "pool", id: pool.id, revision: pool.revision },
    fields: poolFields(pool, fallbackPool),
  });
}

function poolFields(
  pool: Omit<PoolDetail["pool"], "id" | "name" | "revision">,
  fallbackPool: string | null,
): readonly Field[] {
  return [
    choice("algorithm", "Algorithm", pool.algorithm, ALGORITHMS),
    number("maxAnswers", "Addresses per answer", pool.maxAnswers, "0 = all eligible"),
    choice("onAllDown", "When all are down", pool.onAllDown, ON_ALL_DOWN),
    {
      ...text("fallbackPool", "Fallback pool", fallbackPool ?? ""),
      type: "textOrNone",
      hint: "a pool's name",
    },
    {
      ...text("minHealthy", "Healthy members needed", String(pool.minHealthy)),
      type: "numberOrText",
      hint: "2, or 50%",
    },
    choice("failback", "Failback", pool.failback, FAILBACK),
    number("failbackDelayMs", "Failback after", pool.failbackDelayMs, "milliseconds"),
    flag("geofence", "Geofence", pool.geofence),
    flag("flatten", "Flatten names", pool.flatten),
    {
      ...text("discover", "Discover members at", pool.discover ?? ""),
      type: "textOrNone",
      hint: "service.job.env.product.zone",
    },
  ];
}

/** A member; `null` = a new one. */
export function memberForm(
  pool: { readonly id: string; readonly name: string },
  member: MemberItem | null,
): Form {
  const stored = member ?? { ...MEMBER_DEFAULTS, port: 443 };
  return formOf({
    title: member === null ? `Add a member to ${pool.name}` : `Member of ${pool.name}`,
    subject: { kind: "member", id: member?.id ?? null, poolId: pool.id, revision: member?.revision ?? null },
    fields: [
      { ...text("address", "Address", addressOf(stored)), hint: "IPv4, IPv6 or a host name" },
      number("port", "Port", stored.port),
      number("weight", "Weight", stored.weight),
      number("priority", "Priority", stored.priority, "failover: 1 is first, 0 = unset"),
      flag("enabled", "Enabled", stored.enabled),
      numberOrNone("latitude", "Latitude", stored.latitude, "degrees"),
      numberOrNone("longitude", "Longitude", stored.longitude, "degrees"),
      { ...text("region", "Region", stored.region), hint: "may be empty" },
    ],
  });
}

/** The health check of a pool; `null` = it gets one. `null` is returned for a calculated one, which files describe. */
export function checkForm(
  pool: { readonly id: string; readonly name: string },
  stored: (HealthCheck & { readonly revision: number }) | null,
): Form | null {
  const check = stored ?? HEALTH_CHECK_DEFAULTS;
  if (check.type === "calculated") return null;
  return formOf({
    title: stored === null ? `Set a health check for ${pool.name}` : `Health check of ${pool.name}`,
    subject: { kind: "healthCheck", poolId: pool.id, revision: stored?.revision ?? null },
    fields: [
      choice("type", "Type", check.type, PLAIN_CHECK_TYPES),
      numberOrNone("port", "Port", check.port, "empty = the member's"),
      number("intervalMs", "Interval", check.intervalMs, "milliseconds"),
      number("timeoutMs", "Timeout", check.timeoutMs, "milliseconds"),
      number("rise", "Rise", check.rise, "successes until healthy"),
      number("fall", "Fall", check.fall, "failures until unhealthy"),
      choice("httpMethod", "HTTP method", check.httpMethod, ["GET", "HEAD", "POST", "OPTIONS"]),
      text("httpPath", "HTTP path", check.httpPath),
      {
        ...text("httpHost", "HTTP host", check.httpHost ?? ""),
        type: "textOrNone",
        hint: "empty = the member's",
      },
      text("httpExpectedStatus", "Expected status", check.httpExpectedStatus),
      {
        ...text("httpContains", "Body contains", check.httpContains ?? ""),
        type: "textOrNone",
        hint: "empty = any",
      },
      flag("insecureSkipVerify", "Any certificate", check.insecureSkipVerify),
    ],
  });
}

const MATCHES = ["cidr", "country", "continent", "asn"] as const;

/** A geo rule; `null` = a new one. */
export function ruleForm({ pool, members }: PoolDetail, rule: RuleItem | null): Form {
  const match = MATCHES.find((each) => rule !== null && rule[each] !== null) ?? "cidr";
  const choices = members.map((member): Choice => ({
    value: member.id,
    label: `${addressOf(member)}:${member.port}`,
  }));
  return formOf({
    title: rule === null ? `Add a geo rule to ${pool.name}` : `Geo rule of ${pool.name}`,
    subject: { kind: "geoRule", id: rule?.id ?? null, poolId: pool.id, revision: rule?.revision ?? null },
    fields: [
      choice("match", "Clients of a", match, MATCHES),
      {
        ...text("value", "Which", rule === null ? "" : String(rule[match] ?? "")),
        type: "numberOrText",
        hint: "198.51.100.0/24, DE, EU or 64500",
      },
      {
        ...{ name: "memberId", label: "Member", kind: "choice", type: "text" },
        value: rule?.memberId ?? members[0]?.id ?? "",
        choices,
      },
    ],
  });
}

/** A service; `null` = a new one. */
export function serviceForm(detail: ServiceDetail | null): Form {
  const stored = detail?.service ?? { ...SERVICE_DEFAULTS, domain: "" };
  return formOf({
    title: detail === null ? "Create a service" : `Service ${detail.service.domain}`,
    subject: { kind: "service", id: detail?.service.id ?? null, revision: detail?.service.revision ?? null },
    fields: [
      text("domain", "Domain", stored.domain),
      poolField(stored.poolId, detail?.pool ?? null),
      number("ttl", "TTL", stored.ttl, "seconds"),
      number("minTtl", "Lowest TTL", stored.minTtl, "seconds"),
      flag("ecs", "Client subnet", stored.ecs),
    ],
  });
}

/** Another pool for a service: the picker is opened over it at once. */
export function assignForm({ service, pool }: ServiceDetail): Form {
  return formOf({
    title: `Pool of ${service.domain}`,
    subject: { kind: "service", id: service.id, revision: service.revision },
    fields: [poolField(service.poolId, pool)],
  });
}

/** How a drain is to go. */
export function drainForm(target: string, name: string): Form {
  return formOf({
    title: `Drain ${name}`,
    intro: ["Its share of the answers falls to nothing, and comes back at the end. A preview follows."],
    subject: { kind: "drain", target },
    fields: [
      { ...text("duration", "For", "1h"), hint: "10m, 2h, 1d" },
      { ...text("drainMs", "Over", "5m"), hint: "how long the share takes to fall; 0s = at once" },
      { ...text("reason", "Reason", ""), hint: "for those who find it" },
    ],
  });
}

/** Whose answer is to be explained. */
export function explainForm(domain: string): Form {
  return formOf({
    title: "Explain an answer",
    subject: { kind: "explain" },
    fields: [
      text("name", "Name", domain),
      choice("type", "Type", "A", ["A", "AAAA"]),
      { ...text("client", "Client", ""), hint: "an address; empty = this machine" },
    ],
  });
}

/** Why guards are overruled. */
export function reasonForm(intent: Extract<Form["subject"], { kind: "force" }>["intent"]): Form {
  return formOf({
    title: "Do it all the same",
    intro: ["A guard refuses this. The history keeps why it was done."],
    subject: { kind: "force", intent },
    fields: [{ ...text("reason", "Reason", ""), hint: "required" }],
  });
}

function text(name: string, label: string, value: string): Field {
  return { name, label, kind: "text", type: "text", value };
}

function number(name: string, label: string, value: number, hint = ""): Field {
  return { name, label, kind: "text", type: "number", value: String(value), hint };
}

function numberOrNone(name: string, label: string, value: number | null, hint = ""): Field {
  return {
    name,
    label,
    kind: "text",
    type: "numberOrNone",
    value: value === null ? "" : String(value),
    hint,
  };
}

function choice(name: string, label: string, value: string, values: readonly string[]): Field {
  const choices = values.map((each) => ({ value: each, label: each }));
  return { name, label, kind: "choice", type: "text", value, choices };
}

function flag(name: string, label: string, value: boolean): Field {
  return { ...choice(name, label, value ? "yes" : "no", ["yes", "no"]), type: "flag" };
}

function poolField(poolId: string | null, name: string | null): Field {
  return { name: "poolId", label: "Pool", kind: "pool", type: "textOrNone", value: name ?? "", poolId };
}
