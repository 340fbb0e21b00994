/**
 * The shape of the settings file, key by key: what validates it, and what its reference, its start file and its
 * JSON Schema are made from, so that none of them can drift.
 *
 * Keys of parts that this version doesn't have are in it, too: their names are kept for them, and {@linkcode ABSENT_PATHS}
 * marks them as absent.
 *
 * @module
 */
import { z } from "zod";
import { formatDuration } from "../input/duration.ts";
import {
  checkCoordinates,
  choice,
  cidr,
  coordinates,
  decimal,
  domain,
  duration,
  flag,
  integer,
  ipAddress,
  list,
  mustBe,
  oneOrMore,
  refuse,
  regionName,
  socketAddress,
  together,
} from "../input/fields.ts";
import {
  checkTimeout,
  HEALTH_ALIASES,
  type HealthBlock,
  healthShape,
  type LoadbalancerBlock,
  loadbalancerSchema,
} from "../model/fallback_schema.ts";
import { CHECK_KEYS_ELSEWHERE } from "../model/not_here.ts";
import type { Settings } from "./settings.ts";
import { section, strictObject } from "../input/strict_object.ts";

/** Keys whose values are secrets: `${ENV_NAME}`, `file:/path` or the secret itself; `*` stands for any index. */
export const SECRET_PATHS: readonly string[] = [
  "api.tokens.*",
  "license.secret",
  "license.key",
  "dns.cookies.secret",
  "notify.webhooks.*.secret",
  "state.nats.auth.password",
  "state.nats.auth.nkeySeed",
  "gitops.auth.password",
  "gitops.auth.token",
];

/**
 * Sections and keys of what this version doesn't have. Whoever switches one of them on believes that something happens,
 * so that is an error; off, empty and as by default they are let pass. A part that lands takes its line out of here:
 * loading, reference, start file and JSON Schema follow.
 */
export const ABSENT_PATHS: readonly string[] = [
  "node.latitude",
  "node.longitude",
  "dns.rateLimit",
  "dns.cookies",
  "dns.backendSocket",
  "notify",
  "state",
  "gitops",
  "license",
  "agent",
  "discovery",
  "distribute",
];

/** The keys of a section, or at the top, that stand for what isn't there. */
function absentIn(section: string): string[] {
  const prefix = section === "" ? "" : `${section}.`;
  return ABSENT_PATHS.filter((path) => path.startsWith(prefix))
    .map((path) => path.slice(prefix.length)).filter((key) => !key.includes("."));
}

/** The settings file as it is validated; durations become milliseconds. */
export const settingsFileSchema: z.ZodType<SettingsFile> = strictObject(
  {
    cluster: section(
      strictObject({
        id: id("cluster.id").default("default").meta({
          description: "Name of the cluster; a label of every metric",
          examples: ["production"],
        }),
      }),
      "The cluster this node belongs to",
    ),
    node: section(nodeSchema(), "This node"),
    dns: section(dnsSchema(), "How DNS is served"),
    loadbalancer: section(loadbalancerSchema, "The static fallback: answers names that nothing else answers"),
    health: section(
      strictObject(
        {
          ...healthShape,
          ...healthOfNodeShape(),
        },
        HEALTH_ALIASES,
        CHECK_KEYS_ELSEWHERE,
      ).check(together(["checkInterval", "timeout"], checkTimeout)),
      "How the endpoints of loadbalancer are probed; without any of the keys from type to http they aren't",
    ),
    geoip: section(geoipSchema(), "Where clients are"),
    mapFile: section(
      strictObject({
        path: path("mapFile.path").meta({
          description: "Map file: one rule a line, CIDR ADDRESS[,ADDRESS…], # begins a comment",
          examples: ["clients.map"],
        }),
      }),
      "Clients sent to addresses by prefix",
    ),
    database: section(
      strictObject({
        path: path("database.path").meta({
          description: "SQLite file; none = no database, static endpoints only. By default " +
            "/var/lib/pleiades/pleiades.db where writable, else pleiades/pleiades.db in the user's XDG state folder",
          examples: ["/var/lib/pleiades/pleiades.db"],
        }),
      }),
      "Where the model is kept",
    ),
    api: section(apiSchema(), "The REST API"),
    metrics: section(
      strictObject({
        enablePrometheus: flag("enablePrometheus").default(true).meta({
          description: "Serve /metrics",
          examples: [true],
        }),
        listenAddr: ipAddress("listenAddr").nullable().default(null).meta({
          description: "Address of a listener of its own; none = on the API's listener",
          examples: ["127.0.0.1"],
        }),
        port: port("port").default(9090).meta({ description: "Port of that listener", examples: [9090] }),
      }),
      "Metrics for Prometheus",
    ),
    log: section(
      strictObject({
        level: choice("level", ["debug", "info", "warn", "error"]).default("info").meta({
          description: "Least severity that is logged",
          examples: ["info"],
        }),
        format: choice("format", ["auto", "text", "json"]).default("auto").meta({
          description: "auto = text on a terminal, else JSON lines",
          examples: ["json"],
        }),
      }),
      "What is logged",
    ),
    queryLog: section(queryLogSchema(), "Which queries are logged, each with its answer"),
    history: section(historySchema(), "How much of the history of changes is kept"),
    names: section(namesSchema(), "How members by name are resolved"),
    workers: integer("workers", 1, 64).nullable().default(null).meta({
      description:
        "Threads that answer DNS; by default one less than the machine has processors, at least 1, at most 8",
      examples: [2],
    }),
    notify: section(
      strictObject({
        webhooks: list(
          "webhooks",
          strictObject({
            url: url("url").meta({
              description: "Where events are posted",
              examples: ["https://hooks.example.com/dns"],
            }),
            secret: secret("secret").meta({
              description: "Key of the HMAC-SHA256 that signs each post",
              examples: ["${WEBHOOK_SECRET}"],
            }),
            events: list("events", choice("event", ["health", "override", "change"])).nullable().default(null)
              .meta({
                description: "Which events; by default all",
                examples: [["health"]],
              }),
          }),
        ).default([]).meta({
          description: "Receivers of signed posts on health, override and change events",
          examples: [[{ url: "https://hooks.example.com/dns", secret: "${WEBHOOK_SECRET}" }]],
        }),
      }),
      "Who is told of events",
    ),
    state: section(stateSchema(), "What nodes tell each other"),
    gitops: section(gitopsSchema(), "The model from a Git repository"),
    license: section(
      strictObject({
        secret: secret("license.secret").meta({
          description: "Shared secret of tokens; none = licensing is off",
          examples: ["${PLEIADES_LICENSE_SECRET}"],
        }),
        key: secret("license.key").meta({
          description: "The token",
          examples: ["file:/etc/pleiades/license"],
        }),
        scope: choice("license.scope", ["node", "cluster"]).default("node").meta({
          description: "Whether the rate holds for each node or is split by the cluster's",
          examples: ["cluster"],
        }),
      }, ["licenseKey"]),
      "Licensing",
    ),
    agent: companion("agent"),
    discovery: companion("discovery"),
    distribute: companion("distribute"),
  },
  [],
  new Map(),
  absentIn(""),
);

/** What the schema makes of a file, as far as this version uses it. */
export interface SettingsFile extends Pick<Settings, "cluster" | "geoip" | "mapFile" | "metrics" | "log"> {
  /** With what is let pass but has no effect. */
  readonly api: Settings["api"] & { readonly webuiPath: string };
  /** A path as it was written. */
  readonly queryLog: Settings["queryLog"];
  /** As settings have it. */
  readonly history: Settings["history"];
  /** Resolvers are yet to be taken apart. */
  readonly names: Omit<Settings["names"], "resolvers"> & { readonly resolvers: readonly string[] };
  /** Without the host name, which takes the place of an empty id. */
  readonly node: Settings["node"];
  /** Zone files are yet to be read. */
  readonly dns: Omit<Settings["dns"], "listen" | "zones"> & {
    readonly zones: readonly { readonly domain: string; readonly file: string }[];
  };
  /** The static fallback's endpoints. */
  readonly loadbalancer: LoadbalancerBlock;
  /** How they are probed, and how probing starts. */
  readonly health:
    & HealthBlock
    & Pick<Settings["health"], "startTimeout" | "flipGuard">
    & {
      readonly canaries: Omit<Settings["health"]["canaries"], "targets"> & {
        readonly targets: readonly string[];
      };
    };
  /** `null` = the default place. */
  readonly database: { readonly path: string | null };
  /** `null` = by the number of processors. */
  readonly workers: number | null;
}

function nodeSchema() {
  const nodeId = mustBe("node.id", "1–63 letters, digits, underscores and hyphens, or empty");
  return strictObject(
    {
      id: z.string({ error: nodeId }).regex(/^[A-Za-z0-9_-]{0,63}$/, { error: nodeId }).default("").meta({
        description: "Name of this node, unique in its cluster; empty = the host name with - for .",
        examples: ["fra1-a"],
      }),
      region: regionName("region").default("").meta({
        description:
          "Site that this node stands in, as its status shows it; members have regions of their own",
        examples: ["eu-central"],
      }),
      ...coordinates(),
    },
    [],
    new Map(),
    absentIn("node"),
  ).check(together(["latitude", "longitude"], checkCoordinates));
}

function dnsSchema() {
  return strictObject(
    {
      listenAddr: oneOrMore("listenAddr", ipAddress("listenAddr")).prefault(["0.0.0.0", "::"]).meta({
        description: "Addresses to listen on, UDP and TCP",
        example: ["192.0.2.53", "2001:db8::53"],
      }),
      port: port("port").default(5353).meta({
        description: "Port of those addresses; below 1024 needs CAP_NET_BIND_SERVICE",
        examples: [53],
      }),
      domain: oneOrMore("domain", domain("domain", { wildcard: false })).prefault([]).meta({
        description: "Zones this node is authoritative for, without a zone file: SOA and NS are made up",
        example: ["gslb.example.com"],
      }),
      nameservers: oneOrMore("nameservers", domain("nameserver", { wildcard: false })).prefault([]).meta({
        description: "Names of the name servers, for NS and SOA of those zones",
        example: ["ns1.example.com", "ns2.example.com"],
      }),
      ttl: integer("ttl", 0, 86_400, "seconds").default(30).meta({
        description: "TTL in seconds of records and of a static fallback that state none",
        examples: [30],
      }),
      zones: list(
        "zones",
        strictObject({
          domain: domain("domain", { wildcard: false }).meta({
            description: "Apex of the zone",
            examples: ["example.com"],
          }),
          file: requiredPath("file").meta({
            description: "Zone file (RFC 1035), relative to this file",
            examples: ["example.com.zone"],
          }),
        }),
      ).default([]).meta({
        description: "Static records from zone files",
        examples: [[{ domain: "example.com", file: "example.com.zone" }]],
      }),
      ecs: section(
        strictObject({
          enabled: flag("enabled").default(true).meta({
            description: "Use the client subnet that resolvers send",
            examples: [true],
          }),
          trustedResolvers: oneOrMore("trustedResolvers", cidr("trustedResolvers")).prefault([]).meta({
            description: "Prefixes of resolvers it is taken from; empty = all",
            example: ["192.0.2.0/24"],
          }),
        }),
        "EDNS Client Subnet (RFC 7871)",
      ),
      transport: choice("transport", ["auto", "linux", "portable"]).default("auto").meta({
        description: "linux = batched system calls, portable = Deno's sockets, auto = the fastest that works",
        examples: ["portable"],
      }),
      tcp: section(
        strictObject({
          maxConnections: integer("maxConnections", 1, 65_535).default(1024).meta({
            description:
              "Open TCP connections at most; where all are taken, the one idle for longest gives way",
            examples: [1024],
          }),
          maxConnectionsPerClient: integer("maxConnectionsPerClient", 1, 65_535).default(128).meta({
            description: "Open TCP connections of one client at most: of an IPv4 address, or of an IPv6 /64",
            examples: [128],
          }),
          idleTimeout: millis("idleTimeout", { minMs: 100, maxMs: 600_000, byDefault: 10_000 }).meta({
            description: "A connection without a query for this long is closed",
            example: "10s",
          }),
        }),
        "Limits of DNS over TCP",
      ),
      nsid: z.string({ error: mustBe("nsid", "a text") }).max(128, {
        error: mustBe("nsid", "a text of at most 128 characters"),
      })
        .default("").meta({
          description: "Name server identifier (RFC 5001); empty = not answered",
          examples: ["fra1-a"],
        }),
      chaos: section(
        strictObject({
          version: chaosText("version").meta({
            description: "What version.bind CH TXT says; empty = refused",
            examples: ["Pleiades"],
          }),
          id: chaosText("id").meta({
            description: "What id.server CH TXT says; empty = refused",
            examples: ["fra1-a"],
          }),
        }),
        "Names of class CHAOS",
      ),
      rateLimit: section(
        strictObject({
          enabled: flag("enabled").default(false).meta({
            description: "Limit answers per client prefix",
            examples: [true],
          }),
          responsesPerSecond: integer("responsesPerSecond", 1, 1_000_000).default(20).meta({
            description: "Equal answers a second for one prefix",
            examples: [20],
          }),
          slip: integer("slip", 0, 10).default(2).meta({
            description: "Every n-th dropped answer is sent truncated; 0 = none",
            examples: [2],
          }),
          ipv4PrefixLength: integer("ipv4PrefixLength", 8, 32).default(24).meta({
            description: "Clients of such a prefix count as one",
            examples: [24],
          }),
          ipv6PrefixLength: integer("ipv6PrefixLength", 16, 128).default(56).meta({
            description: "Clients of such a prefix count as one",
            examples: [56],
          }),
          exempt: oneOrMore("exempt", cidr("exempt")).prefault(["127.0.0.0/8", "::1/128"]).meta({
            description: "Prefixes without limit",
            example: ["127.0.0.0/8", "::1/128"],
          }),
        }),
        "Response rate limiting",
      ),
      cookies: section(
        strictObject({
          enabled: flag("enabled").default(false).meta({
            description: "Answer DNS cookies (RFC 7873, RFC 9018)",
            examples: [true],
          }),
          secret: secret("dns.cookies.secret").meta({
            description:
              "32 hex digits shared by sites behind one address; by default each start draws its own",
            examples: ["${DNS_COOKIE_SECRET}"],
          }),
        }),
        "DNS cookies",
      ),
      backendSocket: path("backendSocket").meta({
        description: "Unix socket on which a balancer in front hands over queries",
        examples: ["/run/pleiades/5301"],
      }),
    },
    [],
    new Map(),
    absentIn("dns"),
  );
}

function geoipSchema() {
  return strictObject({
    database: oneOrMore("geoip.database", requiredPath("geoip.database")).prefault([]).meta({
      description: "MaxMind DB with countries or cities; a list where one file is for IPv4 and one for IPv6",
      example: ["/var/lib/GeoIP/GeoLite2-City.mmdb"],
    }),
    asnDatabase: oneOrMore("geoip.asnDatabase", requiredPath("geoip.asnDatabase")).prefault([]).meta({
      description: "MaxMind DB with autonomous systems; a list where one file is for IPv4 and one for IPv6",
      example: ["/var/lib/GeoIP/GeoLite2-ASN.mmdb"],
    }),
    endpointLocations: z.record(
      ipAddress("address"),
      strictObject({
        latitude: decimal("latitude", -90, 90).meta({ description: "Degrees north", examples: [50.1] }),
        longitude: decimal("longitude", -180, 180).meta({ description: "Degrees east", examples: [8.7] }),
      }),
      {
        error: (issue) =>
          (issue.code === "invalid_key" ? issue.issues[0]?.message : undefined) ??
            mustBe("endpointLocations", "a mapping of address to {latitude, longitude}")(issue),
      },
    ).default({}).meta({
      description:
        "Where addresses are, by address; for members and endpoints without coordinates of their own",
      examples: [{ "192.0.2.80": { latitude: 50.1, longitude: 8.7 } }],
    }),
  });
}

/** Keys of the health block that are about the node and not about the endpoints of the static fallback. */
export const HEALTH_OF_NODE_KEYS: readonly string[] = Object.keys(healthOfNodeShape());

function healthOfNodeShape() {
  return {
    startTimeout: millis("startTimeout", { minMs: 0, maxMs: 60_000, byDefault: 2000 }).meta({
      description: "Longest wait for a first round of probes before answering",
      example: "2s",
    }),
    flipGuard: section(
      strictObject({
        share: decimal("share", 0, 1).default(0.5).meta({
          description:
            "Share of all targets; when more turn down within one interval the guard trips; 0 = no guard",
          examples: [0.5],
        }),
        atLeast: integer("atLeast", 1, 1_000_000).default(5).meta({
          description: "So many must turn down at least",
          examples: [5],
        }),
        hold: millis("hold", { minMs: 1000, maxMs: 3_600_000, byDefault: 30_000 }).meta({
          description: "How long the last good state is held before it fails over all the same",
          example: "30s",
        }),
      }),
      "Holds health still when very much turns down at once",
    ),
    canaries: section(
      strictObject({
        targets: oneOrMore("targets", socketAddress("target")).prefault([]).meta({
          description:
            "Addresses with ports that accept TCP as long as this node can see at all; none = no canaries",
          example: ["192.0.2.1:443"],
        }),
        interval: millis("interval", { minMs: 250, maxMs: 3_600_000, byDefault: 2000 }).meta({
          description: "Time between two looks at them",
          example: "2s",
        }),
        timeout: millis("timeout", { minMs: 10, maxMs: 60_000, byDefault: 1000 }).meta({
          description: "Time a look may take; at most the interval",
          example: "1s",
        }),
        hold: millis("hold", { minMs: 1000, maxMs: 86_400_000, byDefault: 300_000 }).meta({
          description: "How long the last good state is held while none of them is seen",
          example: "5m",
        }),
      }).check(together(["interval", "timeout"], (payload) => {
        const { interval, timeout } = payload.value;
        if (timeout <= interval) return;
        const message = `timeout must be at most interval (${formatDuration(interval)}), is ${
          formatDuration(timeout)
        }`;
        refuse(payload, message, ["timeout"]);
      })),
      "What tells that this node is blind from that they are down",
    ),
  };
}

function historySchema() {
  return strictObject({
    keep: integer("keep", 1, 1_000_000_000).default(10_000).meta({
      description: "Generations that are kept; older ones are forgotten by the changes that follow",
      examples: [1000],
    }),
    maxBytes: integer("maxBytes", 1024 * 1024, 2 ** 40, "bytes").default(256 * 1024 * 1024).meta({
      description: "Bytes of objects before and after that are kept; the last generation is, whatever it has",
      examples: [67108864],
    }),
  });
}

function queryLogSchema() {
  return strictObject({
    sample: integer("sample", 0, 1_000_000_000).default(0).meta({
      description: "One query in so many is logged; 0 = none, 1 = all",
      examples: [1000],
    }),
    maxPerSecond: integer("maxPerSecond", 1, 100_000).default(100).meta({
      description: "Queries that are logged at most in a second",
      examples: [100],
    }),
    path: z.string({ error: mustBe("path", "a path") }).max(4096, { error: mustBe("path", "a path") })
      .default("")
      .meta({
        description: "File they are appended to; empty = the log",
        examples: ["/var/log/pleiades/queries.log"],
      }),
  });
}

function namesSchema() {
  return strictObject({
    resolvers: oneOrMore("resolvers", socketAddress("resolver", 53)).prefault([]).meta({
      description: "Addresses of resolvers, with or without port; none = the system's",
      example: ["192.0.2.53", "[2001:db8::53]:53"],
    }),
    minTtl: millis("minTtl", { minMs: 1000, maxMs: 86_400_000, byDefault: 5000 }).meta({
      description: "A name is kept at least so long, whatever its TTL",
      example: "5s",
    }),
    maxTtl: millis("maxTtl", { minMs: 1000, maxMs: 86_400_000, byDefault: 300_000 }).meta({
      description: "A name is asked again at least so often",
      example: "5m",
    }),
    timeout: millis("timeout", { minMs: 100, maxMs: 60_000, byDefault: 2000 }).meta({
      description: "Time that a resolver may take",
      example: "2s",
    }),
  }).check(together(["minTtl", "maxTtl"], (payload) => {
    const { minTtl, maxTtl } = payload.value;
    if (minTtl <= maxTtl) return;
    const message = `minTtl must be at most maxTtl (${formatDuration(maxTtl)}), is ${formatDuration(minTtl)}`;
    refuse(payload, message, ["minTtl"]);
  }));
}

function apiSchema() {
  return strictObject({
    enabled: flag("enabled").default(true).meta({ description: "Serve the REST API", examples: [true] }),
    listenAddr: ipAddress("listenAddr").default("127.0.0.1").meta({
      description: "Address to listen on; one that isn't loopback needs a token",
      examples: ["127.0.0.1"],
    }),
    port: port("port").default(8080).meta({ description: "Port to listen on", examples: [8080] }),
    tls: section(
      strictObject({
        certFile: path("certFile").meta({
          description: "Certificate chain, PEM",
          examples: ["/etc/pleiades/tls/api.crt"],
        }),
        keyFile: path("keyFile").meta({
          description: "Private key, PEM",
          examples: ["/etc/pleiades/tls/api.key"],
        }),
      }).check(together(["certFile", "keyFile"], (payload) => {
        const { certFile, keyFile } = payload.value;
        if ((certFile === null) === (keyFile === null)) return;
        const missing = certFile === null ? "certFile" : "keyFile";
        refuse(payload, `${missing} is required because the other file is set (give both or none)`, [
          missing,
        ]);
      })),
      "TLS of the API",
    ),
    maxConnections: integer("maxConnections", 1, 65_535).default(256).meta({
      description: "Connections at the same time; where all are taken, the one idle for longest gives way",
      examples: [256],
    }),
    maxConnectionsPerClient: integer("maxConnectionsPerClient", 1, 65_535).default(64).meta({
      description: "Connections of one IPv4 address or IPv6 /64 at the same time",
      examples: [64],
    }),
    webuiPath: z.string({ error: mustBe("webuiPath", "a path") }).max(4096, {
      error: mustBe("webuiPath", "a path"),
    }).default("").meta({
      description: "Folder of a web console: without effect, since this version has none",
      examples: ["/usr/share/gslbd/webui"],
    }),
    tokens: oneOrMore("tokens", requiredSecret("token")).prefault([]).meta({
      description: "Bearer tokens that the API accepts",
      example: ["${PLEIADES_ADMIN_TOKEN}"],
    }),
  });
}

function stateSchema() {
  return strictObject({
    healthPolicy: choice("healthPolicy", [
      "prefer-local",
      "local-only",
      "global-any-healthy",
      "global-quorum",
    ])
      .default("prefer-local").meta({ description: "Whose probes count", examples: ["global-quorum"] }),
    quorumMinPercent: integer("quorumMinPercent", 1, 100).default(51).meta({
      description: "Share of active nodes that must report healthy under global-quorum",
      examples: [67],
    }),
    heartbeatInterval: millis("heartbeatInterval", { minMs: 100, maxMs: 3_600_000, byDefault: 10_000 }).meta({
      description: "Time between heartbeats",
      example: "10s",
    }),
    heartbeatTTL: millis("heartbeatTTL", { minMs: 100, maxMs: 3_600_000, byDefault: 30_000 }).meta({
      description: "A node without a heartbeat for this long isn't active",
      example: "30s",
    }),
    nats: section(
      strictObject({
        servers: oneOrMore(
          "servers",
          z.string({ error: mustBe("server", "an address such as nats://192.0.2.4:4222") }).min(1),
        )
          .prefault([]).meta({
            description: "NATS servers; none = no cluster",
            example: ["nats://192.0.2.4:4222"],
          }),
        tls: section(
          strictObject({
            caFile: path("caFile").meta({
              description: "Certificates of authorities, PEM",
              examples: ["ca.pem"],
            }),
            certFile: path("certFile").meta({
              description: "Client certificate, PEM",
              examples: ["node.pem"],
            }),
            keyFile: path("keyFile").meta({ description: "Its private key, PEM", examples: ["node.key"] }),
          }),
          "TLS towards NATS",
        ),
        auth: section(
          strictObject({
            credsFile: path("credsFile").meta({
              description: "Credentials file (JWT and seed)",
              examples: ["node.creds"],
            }),
            user: text("user").meta({ description: "User name", examples: ["pleiades"] }),
            password: secret("state.nats.auth.password").meta({
              description: "Its password",
              examples: ["${NATS_PASSWORD}"],
            }),
            nkeySeed: secret("state.nats.auth.nkeySeed").meta({
              description: "Seed of an nkey",
              examples: ["file:/etc/pleiades/nkey"],
            }),
          }),
          "Who this node is to NATS; one way at most",
        ),
        jetStream: section(
          strictObject({
            domain: text("domain").meta({ description: "JetStream domain", examples: ["hub"] }),
          }),
          "JetStream",
        ),
      }),
      "Connection to NATS",
    ),
  }).check(together(["heartbeatInterval", "heartbeatTTL"], (payload) => {
    const { heartbeatInterval, heartbeatTTL } = payload.value;
    if (heartbeatTTL > heartbeatInterval) return;
    refuse(
      payload,
      `heartbeatTTL must be more than heartbeatInterval (${formatDuration(heartbeatInterval)}), is ${
        formatDuration(heartbeatTTL)
      }`,
      ["heartbeatTTL"],
    );
  }));
}

function gitopsSchema() {
  return strictObject({
    repoURL: text("repoURL").meta({
      description: "Repository; none = no GitOps",
      examples: ["https://git.example.com/dns.git"],
    }),
    branch: z.string({ error: mustBe("branch", "the name of a branch") }).min(1, {
      error: mustBe("branch", "the name of a branch"),
    })
      .default("main").meta({ description: "Branch that is followed", examples: ["main"] }),
    pathPrefix: z.string({ error: mustBe("pathPrefix", "a folder") }).default("").meta({
      description: "Folder of the model in the repository",
      examples: ["sites/fra1"],
    }),
    pollInterval: millis("pollInterval", { minMs: 1000, maxMs: 86_400_000, byDefault: 30_000 }).meta({
      description: "Time between fetches",
      example: "30s",
    }),
    requireSignature: flag("requireSignature").default(true).meta({
      description: "Refuse a HEAD that isn't signed",
      examples: [true],
    }),
    allowedSigners: oneOrMore(
      "allowedSigners",
      z.string({ error: mustBe("signer", "a fingerprint or a key") }).min(1),
    ).prefault([])
      .meta({
        description: "Fingerprints or keys whose signatures count",
        example: ["SHA256:mVPwvezndPv/ARoIadVY98vAC0g+P/5633yTC4d/wXE"],
      }),
    publish: flag("publish").default(false).meta({
      description: "Publish what was applied to the cluster",
      examples: [false],
    }),
    auth: section(
      strictObject({
        sshKeyPath: path("sshKeyPath").meta({
          description: "Private key for SSH",
          examples: ["/etc/pleiades/git.key"],
        }),
        user: text("user").meta({ description: "User name for HTTPS", examples: ["deploy"] }),
        password: secret("gitops.auth.password").meta({
          description: "Its password",
          examples: ["${GIT_PASSWORD}"],
        }),
        token: secret("gitops.auth.token").meta({
          description: "Access token for HTTPS",
          examples: ["${GIT_TOKEN}"],
        }),
      }),
      "Who this node is to the repository",
    ),
  });
}

/** The keys of a companion program, which will say itself what they are. */
function companion(name: string) {
  return z.record(z.string(), z.unknown(), { error: mustBe(name, "a mapping") }).default({}).meta({
    description: `Settings of pleiades ${name}`,
  });
}

function id(name: string): z.ZodString {
  const error = mustBe(name, "1–63 letters, digits, underscores and hyphens");
  return z.string({ error }).regex(/^[A-Za-z0-9_-]{1,63}$/, { error });
}

function port(name: string): z.ZodInt {
  return integer(name, 1, 65_535);
}

function millis(name: string, { byDefault, ...range }: { minMs: number; maxMs: number; byDefault: number }) {
  return duration(name, range).prefault(formatDuration(byDefault));
}

function requiredPath(name: string): z.ZodString {
  const error = mustBe(name, "a path");
  return z.string({ error }).min(1, { error }).max(4096, { error });
}

function path(name: string) {
  return requiredPath(name).nullable().default(null);
}

function text(name: string) {
  const error = mustBe(name, "a text");
  return z.string({ error }).min(1, { error }).nullable().default(null);
}

/** Whoever has the address of a webhook may post to it, so it is shown as little as a secret. */
function url(name: string): z.ZodString {
  const error = `${name} must be an http or https address of at most 2048 characters`;
  return z.string({ error }).min(1, { error }).max(2048, { error }).check((payload) => {
    if (payload.issues.length > 0) return;
    if (!/^https?:$/.test(URL.parse(payload.value)?.protocol ?? "")) refuse(payload, error);
  });
}

function chaosText(name: string) {
  const error = mustBe(name, "a text of at most 255 bytes");
  return z.string({ error }).max(255, { error }).default("");
}

/** Secrets never stand in a message, not even when they are wrong. */
function requiredSecret(name: string): z.ZodString {
  const error = `${name} must be a text: \${ENV_NAME}, file:/path or the secret itself (put it in quotes)`;
  return z.string({ error }).min(1, { error });
}

function secret(name: string) {
  return requiredSecret(name).nullable().default(null);
}
