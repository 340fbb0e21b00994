/**
 * What stands in the columns of each list.
 *
 * @module
 */
import { countOf } from "../../input/count.ts";
import { addressOf, type HealthCheck } from "../../model/model.ts";
import { wallTimeOfSecond } from "../../cli/wall_time.ts";
import type { ListedPool } from "../../store/listing.ts";
import type { HistoryItem, MemberItem, PoolItem, RuleItem, ServiceItem } from "../messages.ts";
import { NO_POOL, type ServerState, type State } from "../state.ts";
import type { Tone } from "./line.ts";

/** A column. It has a width of its own, or a share of what the others leave. */
export interface Column<Item> {
  /** Its head. */
  readonly title: string;
  /** What stands there. */
  readonly cell: (item: Item) => string;
  /** Cells. */
  readonly width?: number;
  /** Part of what is left. */
  readonly share?: number;
  /** The colour that it gives the row; `undefined` = none. */
  readonly tone?: (item: Item) => Tone | undefined;
}

/** Of the list of pools. Health is shown only where a node keeps it up to date. */
export function poolColumns({ state }: Pick<ServerState, "state">): readonly Column<PoolItem>[] {
  const isLive = state === "connected";
  return [
    { title: "POOL", share: 3, cell: ({ name }) => name },
    { title: "ALGORITHM", width: 20, cell: ({ algorithm }) => algorithm },
    { title: "MEMBERS", width: 7, cell: ({ members }) => String(members) },
    {
      title: "HEALTHY",
      width: 10,
      cell: ({ up, enabled }) => up === null ? "unchecked" : isLive ? `${up} of ${enabled}` : "?",
      tone: ({ up, enabled }) =>
        !isLive || up === null
          ? undefined
          : up === 0 && enabled > 0
          ? "bad"
          : up < enabled
          ? "warn"
          : undefined,
    },
    { title: "SERVICES", share: 3, cell: usedBy },
  ];
}

/** The services of a pool: one by name, the others as a number. */
function usedBy({ services, service }: Pick<ListedPool, "services" | "service">): string {
  if (service === null) return "-";
  return services === 1 ? service : `${service} +${services - 1}`;
}

/** Of the pool picker. */
export function choiceColumns(): readonly Column<ListedPool>[] {
  return [
    { title: "POOL", share: 2, cell: ({ name }) => name },
    { title: "MEMBERS", width: 8, cell: (pool) => pool === NO_POOL ? "" : String(pool.members) },
    {
      title: "USED BY",
      share: 2,
      cell: (pool) => pool === NO_POOL ? "" : pool.services === 0 ? "unassigned" : usedBy(pool),
    },
  ];
}

/** Of the list of services. How often they are asked for is shown where a node counts it. */
export function serviceColumns(rows: readonly ServiceItem[]): readonly Column<ServiceItem>[] {
  const rate: Column<ServiceItem> = {
    title: "QUERIES/S",
    width: 9,
    cell: ({ rate }) => rate === null ? "" : rate.toFixed(1).padStart(9),
  };
  return [
    { title: "SERVICE", share: 3, cell: ({ domain }) => domain },
    { title: "POOL", share: 2, cell: ({ pool }) => pool ?? "- (static fallback)" },
    { title: "TTL", width: 6, cell: ({ ttl }) => `${ttl} s` },
    ...rows.some((row) => row.rate !== null) ? [rate] : [],
  ];
}

/** Of the list of commits. */
export function historyColumns(): readonly Column<HistoryItem>[] {
  return [
    { title: "GEN", width: 7, cell: ({ generation }) => String(generation) },
    { title: "WHEN", width: 19, cell: ({ at }) => wallTimeOfSecond(new Date(at)) },
    { title: "BY", share: 1, cell: ({ by, via }) => by === "" ? via : `${by} (${via})` },
    { title: "WHAT", share: 2, cell: ({ what }) => what },
    { title: "WHY", share: 1, cell: ({ reason }) => reason },
  ];
}

/** Cells below which the members' addresses have all the room that there is; why one is unhealthy stands below the list. */
const ERROR_COLUMNS_MIN = 110;

/** Of the members of a pool. */
export function memberColumns(
  { server, size }: Pick<State, "server" | "size">,
): readonly Column<MemberItem>[] {
  const isLive = server.state === "connected";
  const healthOf = ({ health }: MemberItem) =>
    health.state === "unchecked" ? "unchecked" : isLive ? health.state : "?";
  const error: Column<MemberItem> = {
    ...{ title: "LAST ERROR", share: 2, cell: ({ health }) => isLive ? health.error ?? "" : "" },
  };
  return [
    { title: "ADDRESS", share: 3, cell: (member) => addressOf(member) },
    { title: "PORT", width: 5, cell: ({ port }) => String(port) },
    { title: "WEIGHT", width: 6, cell: ({ weight }) => String(weight) },
    { title: "PRIO", width: 4, cell: ({ priority }) => priority === 0 ? "-" : String(priority) },
    { title: "ENABLED", width: 7, cell: ({ enabled }) => enabled ? "yes" : "no" },
    {
      title: "HEALTH",
      width: 16,
      cell: (member) => member.override === "" ? healthOf(member) : `${healthOf(member)}, ${member.override}`,
      tone: ({ health }) => isLive && health.state === "unhealthy" ? "bad" : undefined,
    },
    { title: "REGION", width: 10, cell: ({ region }) => region || "-" },
    ...size.columns < ERROR_COLUMNS_MIN ? [] : [error],
  ];
}

/** Of the geo rules of a pool. */
export function ruleColumns(): readonly Column<RuleItem>[] {
  return [
    {
      title: "CLIENTS OF A",
      width: 12,
      cell: ({ cidr, country, continent }) =>
        cidr !== null
          ? "prefix"
          : country !== null
          ? "country"
          : continent !== null
          ? "continent"
          : "network",
    },
    {
      title: "WHICH",
      share: 1,
      cell: ({ cidr, country, continent, asn }) => cidr ?? country ?? continent ?? `AS${asn}`,
    },
    { title: "MEMBER", share: 1, cell: ({ member }) => member },
  ];
}

/** A health check, a line a field. */
export function checkLines(check: HealthCheck | null): readonly string[] {
  if (check === null) {
    return ["  The pool has no health check: its members count as healthy.", "  Enter sets one."];
  }
  if (check.type === "calculated") {
    const needed = typeof check.require === "number" ? `at least ${check.require}` : check.require;
    return [
      `  Type              calculated: ${needed} of ${countOf(check.checks.length, "check")} must pass`,
      "  It is written in files: pleiades config export shows it.",
    ];
  }
  const http = check.type === "tcp" ? [] : [
    ["Request", `${check.httpMethod} ${check.httpPath}`],
    ["Host", check.httpHost ?? "the member's"],
    ["Expected status", check.httpExpectedStatus],
    ["Body contains", check.httpContains ?? "anything"],
    ...check.type === "https" ? [["Certificate", check.insecureSkipVerify ? "any" : "must be valid"]] : [],
  ];
  return [
    ["Type", check.type],
    ["Port", check.port === null ? "the member's" : String(check.port)],
    ["Interval", `${check.intervalMs} ms`],
    ["Timeout", `${check.timeoutMs} ms`],
    ["Rise", `${check.rise === 1 ? "1 success" : `${check.rise} successes`} in a row until healthy`],
    ["Fall", `${countOf(check.fall, "failure")} in a row until unhealthy`],
    ...http,
  ].map(([label, value]) => `  ${label!.padEnd(16)}  ${value}`);
}
