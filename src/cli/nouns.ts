/**
 * The things that the shell can list, get, create, update and delete, as one table. It is data, and loads fast:
 * the tree of commands, the completions and `resources.ts` are all derived from it, and a test holds its
 * fields against the schemas of the API.
 *
 * @module
 */
import { ALGORITHMS, CHECK_TYPES, FAILBACK, ON_ALL_DOWN } from "../model/model.ts";

/** What a flag's value is, hence how it is read. */
export type FieldKind =
  | "text"
  | "integer"
  /** A number, or a word such as `50%` or `any`. */
  | "number-or-word"
  | "number"
  /** `--flag` and `--no-flag`. */
  | "boolean"
  /** `250ms`, `10s`, `5m`; milliseconds on the wire. */
  | "duration"
  | "json"
  /** Texts with commas between. */
  | "list"
  /** Name or id of a pool. */
  | "pool"
  /** Address, host name or id of a member of the object's pool. */
  | "member";

/** A field that a command can set. */
export interface Field {
  /** Its JSON name. */
  readonly name: string;
  /** Its flag, without dashes. */
  readonly flag: string;
  /** How its value is read. */
  readonly kind: FieldKind;
  /** For the help: what it means, no capital, no final stop. */
  readonly description: string;
  /** Whether `--no-FLAG` sets it to `null`. */
  readonly nullable?: boolean;
  /** The few words that the value may be. */
  readonly choices?: readonly string[];
  /** Whether `create` needs it. */
  readonly required?: boolean;
  /** The field that it can't exceed: where only that one is lowered, this one goes along. */
  readonly atMost?: string;
  /** What it is when nothing is said, as one would type it. */
  readonly byDefault?: string;
}

/**
 * How the API keeps a kind of thing: in a collection of its own · in a collection of each pool · one per pool ·
 * as a text per domain · one in all.
 */
export type Shape = "collection" | "in-pool" | "one-per-pool" | "text" | "single";

/** A column: one that is worked out, or a field under the words that head it. */
export type ColumnName =
  | "pool"
  | "member"
  | "address"
  /** `2/3`, of a list. */
  | "healthy"
  | "answered"
  | "why"
  | "clients"
  | { readonly title: string; readonly path: string; readonly isDuration?: boolean };

/** One kind of thing. */
export interface Noun {
  /** The command, and the last part of the collection's path. */
  readonly name: string;
  /** One of them, for sentences. */
  readonly one: string;
  /** Where the API keeps it. */
  readonly shape: Shape;
  /** For the help: what they are, no capital, no final stop. */
  readonly description: string;
  /** What can be set. */
  readonly fields: readonly Field[];
  /** JSON names of the fields by which one can be named besides its id; the first is what `create` takes as a word. */
  readonly keys: readonly string[];
  /** Whether the API patches it; else an update sends the whole object, on condition that it is still the one read. */
  readonly patched: boolean;
  /** Columns of its table, which fits 80 characters; what one looks for comes first. */
  readonly columns: readonly ColumnName[];
  /** Those that only `-o wide` has, behind them. */
  readonly wideColumns: readonly ColumnName[];
  /** Command lines worth showing, without `pleiades`. */
  readonly examples: readonly string[];
}

/** What the fields of a new object are when nothing is said; a test holds them against the API's schemas. */
const DEFAULTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "pools": {
    algorithm: "round-robin",
    maxAnswers: "1",
    onAllDown: "all",
    minHealthy: "0",
    failback: "auto",
    failbackDelayMs: "0ms",
    geofence: "no",
    flatten: "yes",
  },
  "members": { weight: "1", priority: "0", enabled: "yes" },
  "services": { ttl: "30", minTtl: "0", ecs: "yes" },
  "health-checks": {
    type: "tcp",
    intervalMs: "10s",
    timeoutMs: "2s",
    rise: "2",
    fall: "3",
    httpMethod: "GET",
    httpPath: "/",
    httpExpectedStatus: "200-399",
    insecureSkipVerify: "no",
    require: "all",
  },
};

const DECLARED: readonly Noun[] = [
  {
    name: "pools",
    one: "pool",
    shape: "collection",
    patched: true,
    description: "sets of interchangeable members",
    keys: ["name"],
    columns: [
      column("name"),
      "healthy",
      column("algorithm"),
      column("max answers", "maxAnswers"),
      column("all down", "onAllDown"),
    ],
    wideColumns: [column("min healthy", "minHealthy"), column("failback"), column("discover"), column("id")],
    fields: [
      text("name", "unique name", { required: true }),
      text("algorithm", "how it chooses among its members", { choices: ALGORITHMS }),
      integer("maxAnswers", "most addresses per answer; 0 = all eligible ones"),
      text("onAllDown", "what is answered when no member is healthy", {
        choices: ON_ALL_DOWN,
      }),
      {
        name: "fallbackPoolId",
        flag: "fallback-pool",
        kind: "pool",
        nullable: true,
        description: "pool that answers instead, with --on-all-down fallback",
      },
      numberOrWord("minHealthy", "fewest healthy members with which it counts as up, such as 2 or 50%"),
      text("failback", "how a member comes back after it was down", { choices: FAILBACK }),
      duration("failbackDelayMs", "failback-delay", "how long it must be healthy before that, such as 5m"),
      flag("geofence", "whether clients only ever get the members of their geo rule or nearest site"),
      flag("flatten", "whether members by name are answered as their addresses, not as CNAME"),
      text("discover", "address of a service whose instances are members, such as http.web.prod.shop.gg", {
        nullable: true,
      }),
    ],
    examples: [
      "pools create web --algorithm weighted-round-robin --max-answers 2",
      "pools update web --on-all-down last-healthy",
      "pools list -o json",
    ],
  },
  {
    name: "members",
    one: "member",
    shape: "in-pool",
    patched: true,
    description: "addresses and host names that a pool can answer",
    keys: ["ipAddress", "target"],
    columns: [
      "pool",
      "address",
      column("port"),
      column("weight"),
      column("health", "health.state"),
      "answered",
      "why",
    ],
    wideColumns: [column("priority"), column("region"), column("enabled"), column("id")],
    fields: [
      text("ipAddress", "IPv4 or IPv6 address", { flag: "ip", nullable: true, required: true }),
      text("target", "host name, in place of an address", { nullable: true }),
      integer("port", "port of the service, 1–65535; or after the address"),
      integer("weight", "share among members of equal rank; round-robin ignores it"),
      integer("priority", "tier under failover: 1 is first, 0 = unset"),
      flag("enabled", "whether it is answered at all"),
      coordinate("latitude", "degrees north"),
      coordinate("longitude", "degrees east"),
      text("region", "site of the member"),
    ],
    examples: [
      "members create 192.0.2.1 --pool web --port 443 --weight 3",
      "members create lb.example.net --pool web --port 443 --region us-east",
      "members list --pool web",
      "members update 192.0.2.1 --pool web --no-enabled",
    ],
  },
  {
    name: "services",
    one: "service",
    shape: "collection",
    patched: true,
    description: "domains that are answered from a pool",
    keys: ["domain"],
    columns: [column("domain"), "pool", "healthy", column("ttl")],
    wideColumns: [column("min ttl", "minTtl"), column("client subnet", "ecs"), column("id")],
    fields: [
      text("domain", "the name that is answered; may begin with *.", { required: true }),
      {
        name: "poolId",
        flag: "pool",
        kind: "pool",
        nullable: true,
        description: "pool that answers; none = the static fallback",
      },
      integer("ttl", "seconds that resolvers may keep an answer"),
      integer("minTtl", "seconds; a planned change never lowers the TTL further"),
      flag("ecs", "whether the client subnet (RFC 7871) may be used"),
    ],
    examples: ["services create www.example.com --pool web --ttl 30", "services delete www.example.com"],
  },
  {
    name: "health-checks",
    one: "health check",
    shape: "one-per-pool",
    patched: false,
    description: "how the members of a pool are probed",
    keys: [],
    columns: [
      "pool",
      column("type"),
      column("port"),
      { ...column("interval", "intervalMs"), isDuration: true },
      { ...column("timeout", "timeoutMs"), isDuration: true },
      column("rise"),
      column("fall"),
      column("path", "httpPath"),
    ],
    wideColumns: [column("method", "httpMethod"), column("status", "httpExpectedStatus")],
    fields: [
      text("type", "tcp connects; http and https check the response; calculated combines its --checks", {
        choices: CHECK_TYPES,
      }),
      integer("port", "where to probe; none = the member's own port", { nullable: true }),
      duration("intervalMs", "interval", "time between probes, such as 2s"),
      { ...duration("timeoutMs", "timeout", "time a probe may take, such as 500ms"), atMost: "intervalMs" },
      integer("rise", "successes in a row until healthy"),
      integer("fall", "failures in a row until unhealthy"),
      text("httpMethod", "method", { flag: "method", choices: ["GET", "HEAD", "POST", "OPTIONS"] }),
      text("httpPath", "path of the request", { flag: "path" }),
      text("httpHost", "Host header and TLS server name", { flag: "host", nullable: true }),
      text("httpExpectedStatus", "status codes that count as success, such as 200,204 or 200-399", {
        flag: "expected-status",
      }),
      text("httpContains", "text that the body must contain", { flag: "contains", nullable: true }),
      flag("insecureSkipVerify", "accept any certificate"),
      numberOrWord("require", "how many of the --checks must pass: all, any or a number"),
      {
        name: "checks",
        flag: "checks",
        kind: "json",
        description: "the checks of a calculated check, as JSON",
      },
    ],
    examples: [
      "health-checks set web --type https --path /healthz --interval 2s --timeout 500ms",
      `health-checks set web --type calculated --require any --checks '[{"port": 80}, {"port": 443}]'`,
      "health-checks get web -o yaml",
    ],
  },
  {
    name: "geo-rules",
    one: "geo rule",
    shape: "in-pool",
    patched: false,
    description: "clients that are sent to one member of a pool",
    keys: ["cidr", "country", "continent", "asn"],
    columns: ["pool", "clients", "member"],
    wideColumns: [column("id")],
    fields: [
      text("cidr", "clients of this prefix", { nullable: true }),
      text("country", "clients of this country (ISO 3166-1)", { nullable: true }),
      text("continent", "clients of this continent", {
        nullable: true,
        choices: ["AF", "AN", "AS", "EU", "NA", "OC", "SA"],
      }),
      integer("asn", "clients of this autonomous system", { nullable: true }),
      {
        name: "memberId",
        flag: "member",
        kind: "member",
        required: true,
        description: "address, host name or id of the member that they are sent to",
      },
    ],
    examples: ["geo-rules create --pool web --cidr 198.51.100.0/24 --member 192.0.2.1"],
  },
  {
    name: "zones",
    one: "zone",
    shape: "text",
    patched: false,
    description: "static records, as zone files",
    keys: ["domain"],
    columns: [column("domain")],
    wideColumns: [],
    fields: [],
    examples: ["zones put example.com example.com.zone", "zones get example.com > example.com.zone"],
  },
  {
    name: "fallback",
    one: "static fallback",
    shape: "single",
    patched: false,
    description: "what is answered for names that nothing else answers",
    keys: [],
    columns: [
      column("source"),
      column("algorithm"),
      column("endpoints"),
      column("on all down", "onAllDown"),
      column("ttl"),
    ],
    wideColumns: [],
    fields: [
      text("algorithm", "how it chooses among its endpoints", { choices: ALGORITHMS }),
      { name: "endpoints", flag: "endpoints", kind: "list", description: "comma-separated addresses" },
      { name: "weights", flag: "weights", kind: "json", description: "weights by address, as JSON" },
      text("onAllDown", "what is answered when no endpoint is healthy", {
        choices: ON_ALL_DOWN.filter((policy) => policy !== "fallback"),
      }),
      integer("ttl", "seconds that resolvers may keep an answer; none = dns.ttl", { nullable: true }),
      {
        name: "healthCheck",
        flag: "health-check",
        kind: "json",
        nullable: true,
        description: "how the endpoints are probed, as JSON; none = they count as healthy",
      },
    ],
    examples: [
      "fallback set --endpoints 192.0.2.80,2001:db8::80 --ttl 30",
      `fallback update --health-check '{"type": "https", "port": 443}'`,
      "fallback get",
    ],
  },
];

/** Every kind of thing, in the order of the help. */
export const NOUNS: readonly Noun[] = DECLARED.map((noun) => ({
  ...noun,
  fields: noun.fields.map((field) => {
    const byDefault = DEFAULTS[noun.name]?.[field.name];
    return byDefault === undefined ? field : { ...field, byDefault };
  }),
}));

function column(title: string, path: string = title): { readonly title: string; readonly path: string } {
  return { title, path };
}

function text(
  name: string,
  description: string,
  more: Partial<Pick<Field, "flag" | "choices" | "nullable" | "required">> = {},
): Field {
  return { name, flag: kebab(name), kind: "text", description, ...more };
}

function integer(
  name: string,
  description: string,
  more: Partial<Pick<Field, "nullable" | "required">> = {},
): Field {
  return { name, flag: kebab(name), kind: "integer", description, ...more };
}

function numberOrWord(name: string, description: string): Field {
  return { name, flag: kebab(name), kind: "number-or-word", description };
}

function flag(name: string, description: string): Field {
  return { name, flag: kebab(name), kind: "boolean", description };
}

function duration(name: string, flag: string, description: string): Field {
  return { name, flag, kind: "duration", description };
}

function coordinate(name: string, description: string): Field {
  return { name, flag: name, kind: "number", nullable: true, description };
}

function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
