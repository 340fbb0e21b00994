/**
 * What the node says of itself: alive, ready, status, metrics.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { EXPOSITION_CONTENT_TYPE } from "../telemetry/metrics.ts";
import { rfc3339 } from "../clock.ts";
import { isOtherModel, type NodeModel } from "../cluster/node_model.ts";
import { CONFIG_LOG, type LogPort, SHARED_MODEL, type SharedModel } from "../cluster/port.ts";
import { GITOPS, type GitopsStatus } from "../gitops/gitops.ts";
import type { ViewStatus } from "../health/global_view.ts";
import type { NatsState, NodeLicense } from "./ports.ts";
import { ApiProblem } from "./problem.ts";
import type { Resource, ResourceParts } from "./resource.ts";
import { BASE, json, problems, type Routes } from "./route.ts";

/** Where Prometheus scrapes. */
export const METRICS_PATH = "/metrics";

const HealthSchema = z.object({ status: z.literal("ok") }).openapi("Health");

const StatusSchema = z.object({
  version: z.string().meta({ description: "Version of the program" }),
  generation: z.int().min(0).meta({ description: "Of the model: grows by one with every change" }),
  ready: z.boolean().meta({ description: "Whether the node can be relied on: /readyz says why not" }),
  node: z.object({ id: z.string(), region: z.string() }).meta({ description: "Identity of this node" }),
  cluster: z.object({ id: z.string() }).meta({ description: "The cluster it belongs to" }),
  uptimeSeconds: z.number().min(0).meta({ description: "Since the process started" }),
  dns: z.object({
    listeners: z.array(z.object({
      transport: z.enum(["udp", "tcp", "tls", "https"]),
      address: z.string().meta({ examples: ["127.0.0.1:5353", "[::1]:5353"] }),
    })),
    answers: z.int().min(0).meta({ description: "Answers since the start" }),
    workers: z.int().min(0).meta({ description: "Threads that answer UDP; there is one more for streams" }),
    udp: z.object({
      transport: z.enum(["linux", "portable"]).meta({
        description: "In use, of those that dns.transport names",
      }),
      reason: z.string().nullable().meta({
        description: "Why the Linux one can't be used; null = it is, or dns.transport says portable",
        examples: ["it may call no foreign functions (--allow-ffi)"],
      }),
    }).meta({ description: "How packets come in" }),
    limited: z.object({
      denied: z.int().min(0).meta({ description: "Of clients that dns.deny names: dropped" }),
      refused: z.int().min(0).meta({ description: "Of clients that dns.allow doesn't name: REFUSED" }),
      rate: z.int().min(0).meta({ description: "Beyond dns.rateLimit: dropped, or answered short" }),
      amplification: z.int().min(0).meta({
        description: "With answers beyond dns.amplificationMax: answered short",
      }),
      overload: z.int().min(0).meta({
        description: "Dropped, as more came over UDP than could be answered",
      }),
    }).meta({ description: "Queries since the start that weren't answered as they were asked" }),
  }).meta({ description: "What answers DNS" }),
  health: z.object({
    healthy: z.int().min(0),
    unhealthy: z.int().min(0),
    unknown: z.int().min(0),
  }).meta({ description: "Probed targets by state" }),
  peers: z.object({
    policy: z.string().meta({ description: "state.healthPolicy", examples: ["global-quorum"] }),
    quorumMinPercent: z.int().meta({ description: "state.quorumMinPercent, for global-quorum" }),
    sight: z.enum(["sees", "contradicted", "blind"]).meta({
      description: "contradicted: a peer sees most targets up that this node finds down, and either may be " +
        "right; blind: most peers do, and this node goes by them",
    }),
    differing: z.int().min(0).meta({
      description: "Targets that count as something else than own probes find",
    }),
    nodes: z.array(z.object({
      id: z.string(),
      region: z.string(),
      heartbeatAgeSeconds: z.number().min(0).meta({ description: "Since its last heartbeat came in" }),
      model: z.object({
        generation: z.int().min(0).meta({ description: "The node's own, which differ rightly" }),
        digest: z.int().min(0).nullable().meta({
          description: "Equal on nodes whose models are equal; null = the node is still reading its model",
        }),
        differs: z.boolean().meta({
          description: "Whether it has as much of the log as this node, and another model",
        }),
        log: z.object({
          entries: z.int().min(0).meta({ description: "Of the log, that its model has" }),
          behind: z.int().min(0).meta({ description: "Messages of the log that it hasn't taken yet" }),
          pending: z.int().min(0).meta({ description: "Commits of its own that the log hasn't yet" }),
        }).nullable().meta({ description: "null = it takes no part in the log" }),
      }).nullable().meta({
        description: "How far its model had come at its last heartbeat; null = it doesn't say",
      }),
    })).meta({ description: "The active nodes, this one included" }),
  }).optional().meta({ description: "The nodes that share what their probes find; absent where none do" }),
  nats: z.object({
    server: z.string().nullable().meta({ description: "The one it is connected to; null = none" }),
    faults: z.array(z.string()).meta({
      description:
        "What is wrong: with the connection, with what is kept for nodes that come later, with ids",
    }),
  }).optional().meta({ description: "How the nodes tell each other; absent where this one doesn't" }),
  log: z.object({
    current: z.boolean().meta({ description: "Whether this node has all that the log has" }),
    entries: z.int().min(0).meta({ description: "Of the log, that the model has" }),
    head: z.string().meta({
      description:
        "Names the last of them and all before it: nodes with one head and nothing pending have one model",
    }),
    pending: z.int().min(0).meta({ description: "Commits of this node that the log hasn't yet" }),
    behind: z.int().min(0).meta({ description: "Messages of the log that weren't taken yet" }),
    unreadable: z.int().min(0).meta({ description: "Messages since the start that were left out" }),
    fault: z.string().nullable().meta({
      description: "Why it isn't followed; null = it is, or nothing is connected",
    }),
    conflicts: z.array(z.object({
      id: z.string(),
      foundAt: z.iso.datetime().meta({ description: "When" }),
      node: z.string().meta({ description: "Where it was made" }),
      via: z.string(),
      by: z.string(),
      reason: z.string(),
      why: z.string().meta({ description: "Why it doesn't fit" }),
    })).meta({
      description: "The last 20 changes that didn't fit what others changed before them, newest first",
    }),
  }).optional().meta({ description: "The cluster's log; absent where this node has no part in it" }),
  document: z.object({
    taken: z.object({
      version: z.string().meta({ description: "As its publisher counts; may be empty" }),
      commit: z.string().meta({ description: "Of Git; may be empty" }),
      publishedAt: z.iso.datetime().meta({ description: "When it was published" }),
    }).nullable().meta({ description: "The last one that this node took over; null = none since its start" }),
    fault: z.string().nullable().meta({
      description:
        "Why the one that is there wasn't taken over, or can't be looked at; null = nothing is wrong",
    }),
  }).optional().meta({
    description: "The cluster's document, which programs publish; absent where this node has no part in it",
  }),
  pools: z.object({
    total: z.int().min(0),
    down: z.int().min(0).meta({
      description: "With too few members left to answer by their own rule; at most a second old",
    }),
    downPools: z.array(z.object({
      id: z.string().meta({ description: "Its id; (fallback) = the static fallback" }),
      name: z.string(),
      family: z.enum(["v4", "v6"]).nullable().meta({
        description: "The only family that lacks members; null = there are too few of both",
      }),
      members: z.int().min(0).meta({ description: "Enabled ones, of that family" }),
      healthy: z.int().min(0).meta({ description: "Those of them that are eligible" }),
      answers: z.string().meta({
        description: "What is answered instead",
        examples: ["answering all", "answering the last healthy", "fallback spare", "NODATA"],
      }),
    })).meta({ description: "Some of them, by name" }),
  }).meta({ description: "How many pools there are, and which are down" }),
  overrides: z.object({
    active: z.int().min(0),
    planned: z.int().min(0),
  }).meta({ description: "Overrides, in effect and planned" }),
  license: z.object({
    state: z.enum(["off", "valid", "missing", "invalid", "expired"]).meta({
      description: "off = no secret is set, and there is no limit; else what the token is worth",
    }),
    reason: z.string().nullable().meta({
      description: "Why the token doesn't count; null = it does, or state is off",
    }),
    tier: z.string().nullable().meta({ description: "As the token says" }),
    id: z.string().nullable().meta({ description: "Names the token, which itself is never shown" }),
    limit: z.int().min(1).nullable().meta({
      description: "Answers a second that are allowed; null = no limit",
    }),
    used: z.int().min(0).meta({ description: "Answers in the busiest second of the last minute" }),
    expiresAt: z.iso.datetime().nullable().meta({ description: "When the token expires, or did" }),
    warnings: z.array(z.string()).meta({ description: "What there is to do" }),
  }).meta({ description: "How many answers a second are allowed, and why" }),
  gitops: z.object({
    state: z.enum(["off", "starting", "synced", "drifted", "refused", "failing"]).meta({
      description: "As GET /gitops has it, which says more",
    }),
    commit: z.string().nullable().meta({ description: "That the model was made of last; null = none" }),
    signer: z.string().nullable().meta({ description: "Who signed it; empty = that wasn't asked for" }),
    drift: z.int().min(0).meta({ description: "Objects that were changed by another way since" }),
    problem: z.string().nullable().meta({ description: "What is wrong; null = nothing" }),
  }).meta({ description: "How the model stands to its repository" }),
}).openapi("Status");

const routes = {
  health: {
    operationId: "getHealth",
    method: "get",
    path: `${BASE}/health`,
    scope: "open",
    summary: "Whether the API answers",
    responses: { 200: { description: "It does", content: json(HealthSchema) } },
  },
  healthz: {
    operationId: "getHealthz",
    method: "get",
    path: "/healthz",
    scope: "open",
    summary: "Whether the process is alive",
    responses: { 200: { description: "It is", content: json(HealthSchema) } },
  },
  readyz: {
    operationId: "getReadyz",
    method: "get",
    path: "/readyz",
    scope: "open",
    summary: "Whether the node answers DNS",
    responses: { 200: { description: "It does", content: json(HealthSchema) }, ...problems(503) },
  },
  metrics: {
    operationId: "getMetrics",
    method: "get",
    path: METRICS_PATH,
    scope: "read",
    isOpenOnLoopback: true,
    summary: "Metrics for Prometheus",
    description: "Open without a token where the API listens on a loopback address.",
    responses: {
      200: {
        description: "All metrics of this node",
        content: { "text/plain": { schema: z.string() } },
      },
      ...problems(404),
    },
  },
  status: {
    operationId: "getStatus",
    method: "get",
    path: `${BASE}/status`,
    scope: "read",
    summary: "State of the node",
    responses: { 200: { description: "The state", content: json(StatusSchema) }, ...problems() },
  },
} satisfies Routes;

/** The state of the node, as the API serves it. */
export const node: Resource = {
  tag: "Node",
  description: "State of this node.",
  routes: Object.values(routes),
  serve,
};

function serve(app: OpenAPIHono, { node, store, clock, exposeMetrics, version, ports }: ResourceParts): void {
  app.openapi(routes.health, (c) => c.json({ status: "ok" as const }, 200));
  app.openapi(routes.healthz, (c) => c.json({ status: "ok" as const }, 200));
  app.openapi(routes.readyz, (c) => {
    const reason = node.unready();
    if (reason !== null) throw new ApiProblem(503, reason);
    return c.json({ status: "ok" as const }, 200);
  });
  app.openapi(routes.metrics, async (c) => {
    if (!exposeMetrics) {
      throw new ApiProblem(404, "Metrics are not served here (see metrics.* in the settings)");
    }
    return c.text(await exposeMetrics(), 200, { "content-type": EXPOSITION_CONTENT_TYPE });
  });
  app.openapi(routes.status, (c) => {
    const { node: self, cluster, uptimeSeconds, dns, health, peers, nats, poolsDown, license } = node
      .status();
    const configLog = ports.find(CONFIG_LOG);
    const shared = ports.find(SHARED_MODEL);
    const nowMs = clock.unixMs();
    const overrides = store.overrides.all().filter(({ expiresAt }) => expiresAt > nowMs);
    const planned = overrides.filter(({ startsAt }) => startsAt > nowMs).length;
    return c.json({
      version,
      generation: store.generation(),
      ready: node.unready() === null,
      node: self,
      cluster,
      uptimeSeconds,
      dns: { ...dns, listeners: [...dns.listeners] },
      health,
      ...(peers && { peers: peersJson(peers, nats?.models ?? new Map()) }),
      ...(nats && { nats: natsJson(nats) }),
      ...(configLog && { log: logJson(configLog) }),
      ...(shared && { document: documentJson(shared) }),
      pools: {
        total: store.pools.count(),
        down: poolsDown.count,
        downPools: poolsDown.pools.map(({ id, name, family, members, eligible, answersWhenDown }) => ({
          id,
          name,
          family: family === null ? null : family === 4 ? "v4" as const : "v6" as const,
          members,
          healthy: eligible,
          answers: answersWhenDown,
        })),
      },
      overrides: { active: overrides.length - planned, planned },
      license: licenseJson(license),
      gitops: gitopsJson(ports.find(GITOPS)?.status() ?? null),
    }, 200);
  });
}

function natsJson({ server, fault, storeFault, remarks, isIdTaken }: NatsState) {
  const double = isIdTaken ? "another process of this cluster has this node's id (node.id)" : null;
  const faults = [fault, storeFault, double, ...remarks].filter((each) => each !== null);
  return { server, faults: [...new Set(faults)] };
}

/** Conflicts that are shown. */
const CONFLICTS_SHOWN = 20;

function logJson(log: LogPort) {
  const { isCurrent: current, fault, stamp: entries, head, pending, behind, unreadable } = log.status();
  const conflicts = log.conflicts(CONFLICTS_SHOWN).map(({ id, foundAt, node, via, by, reason, why }) => ({
    ...{ id, foundAt: rfc3339(foundAt), node, via, by, reason, why },
  }));
  return { current, entries, head, pending, behind, unreadable, fault, conflicts };
}

function documentJson(shared: SharedModel) {
  const { taken, fault } = shared.status();
  return { taken: taken && { ...taken, publishedAt: rfc3339(taken.publishedAt) }, fault };
}

function peersJson(
  { node: self, policy, quorumMinPercent, sight, differing, nodes }: ViewStatus,
  models: ReadonlyMap<string, NodeModel>,
) {
  const own = models.get(self);
  const shown = nodes.map(({ node, region, heartbeatAgeMs }) => ({
    id: node,
    region,
    heartbeatAgeSeconds: heartbeatAgeMs / 1000,
    model: modelJson(models.get(node), own),
  }));
  return { policy, quorumMinPercent, sight, differing, nodes: shown };
}

function modelJson(model: NodeModel | undefined, own: NodeModel | undefined) {
  if (model === undefined) return null;
  return { ...model, differs: own !== undefined && isOtherModel(own, model) };
}

function gitopsJson(status: GitopsStatus | null) {
  if (status === null) return { state: "off" as const, commit: null, signer: null, drift: 0, problem: null };
  const { state, applied, drift, problem } = status;
  return {
    state,
    commit: applied?.commit ?? null,
    signer: applied?.signer ?? null,
    drift: drift.count,
    problem: problem?.message ?? null,
  };
}

function licenseJson({ expiresMs, warnings, ...license }: NodeLicense) {
  const expiresAt = expiresMs === null ? null : rfc3339(expiresMs);
  return { ...license, expiresAt, warnings: [...warnings] };
}
