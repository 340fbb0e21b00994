/**
 * A whole node for tests: real sockets on free loopback ports, a database of its own, a log that can be read.
 *
 * @module
 */
import type { Message } from "../src/wire/message.ts";
import { distribute } from "../src/settings/blocks/distribute.ts";
import { loadSettings, type Settings } from "../src/settings/settings.ts";
import { type NodeOptions, type RunningNode, startNode } from "../src/node/node.ts";
import { sharedConfigLog } from "../src/node/config_log.ts";
import type { Start } from "../src/node/part.ts";
import { PARTS } from "../src/node/parts.ts";
import { createLogger } from "../src/telemetry/log.ts";
import { runQuery } from "../src/dns_client.ts";
import { systemClock } from "../src/clock.ts";
import { typeNumber } from "../src/wire/record_type.ts";
import { pause } from "./clock.ts";

/** Settings of a node on free ports with a database in memory of the process that goes with it. */
export const TEST_SETTINGS: Settings = {
  agent: {
    fqdn: null,
    tcpPort: null,
    doTls: false,
    http: { path: null, host: null, expectedStatus: "200-399" },
    checkInterval: 60_000,
    writtenInterval: 60_000,
    minimumFailures: 3,
    maximumFailures: 60,
    addresses: [],
    region: "",
    regions: {},
    allRegions: false,
    preserve: false,
    destroy: { command: [], webhook: { url: null, secret: null }, timeout: 60_000 },
    rfc2136: {
      server: null,
      zone: null,
      keyName: null,
      algorithm: "hmac-sha256",
      secret: null,
      secondaries: [],
    },
    pleiades: { api: null, token: null, pool: null },
    route53HostedZoneId: null,
    awsProfile: null,
    awsAssumeRoleArn: null,
    awsEndpoint: null,
    ec2: { enabled: false, region: null },
  },
  cluster: { id: "test" },
  node: { id: "node-1", region: "" },
  dns: {
    listenAddr: ["127.0.0.1"],
    port: 0,
    listen: [],
    domain: [],
    nameservers: [],
    ttl: 30,
    zones: [],
    ecs: { enabled: true, trustedResolvers: [] },
    rotate: true,
    transport: "auto",
    tcp: { maxConnections: 100, maxConnectionsPerClient: 100, idleTimeout: 10_000, queryTimeout: 5_000 },
    tls: { certFile: null, keyFile: null, port: 853, certificate: null },
    https: { port: null, path: "/dns-query" },
    nsid: "",
    chaos: { version: "", id: "" },
    allow: [],
    deny: [],
    cookies: { enabled: true, secret: [] },
    rateLimit: {
      ...{ enabled: false, responsesPerSecond: 20, slip: 2, ipv4PrefixLength: 24, ipv6PrefixLength: 56 },
      exempt: ["127.0.0.0/8", "::1/128"],
    },
    amplificationMax: null,
    backendSocket: null,
  },
  fallback: null,
  health: {
    startTimeout: 2000,
    flipGuard: { share: 0.5, atLeast: 5, hold: 30_000 },
    canaries: { targets: [], interval: 2000, timeout: 1000, hold: 300_000 },
  },
  geoip: { database: [], asnDatabase: [], endpointLocations: {} },
  mapFile: { path: null },
  database: { path: ":memory:" },
  api: {
    enabled: true,
    listenAddr: "127.0.0.1",
    port: 0,
    tls: { certFile: null, keyFile: null },
    maxConnections: 256,
    maxConnectionsPerClient: 64,
    tokens: [],
  },
  metrics: { enablePrometheus: true, listenAddr: null, port: 0 },
  log: { level: "info", format: "json" },
  guards: { movedPercent: 30, deletedPercent: 30, minObjects: 10 },
  history: { keep: 10_000, maxBytes: 256 * 1024 * 1024 },
  audit: { keep: 1_000, maxAge: 86_400_000 },
  queries: { sketch: false, maxBytes: 64 * 1024 * 1024 },
  queryLog: { sample: 0, maxPerSecond: 100, path: "" },
  notify: { webhooks: [] },
  license: { secret: [], key: null, keyFault: null, scope: "node" },
  state: {
    healthPolicy: "prefer-local",
    quorumMinPercent: 51,
    heartbeatInterval: 10_000,
    heartbeatTTL: 30_000,
    offlineEdits: "allow",
    nodes: null,
    signing: { key: null, keys: [] },
    nats: {
      servers: [],
      tls: { caFile: null, certFile: null, keyFile: null, handshakeFirst: false, ca: null, client: null },
      auth: { credsFile: null, user: null, password: null, token: null, nkeySeed: null, creds: null },
      jetStream: { domain: null, replicas: 1 },
    },
  },
  gitops: null,
  distribute: loadSettings({ file: null, env: {}, blocks: [distribute] }).settings!.distribute,
  discovery: {
    enabled: false,
    dnsAddr: { hostname: "0.0.0.0", port: 5959 },
    dnsZone: ["srv.glimpse.io"],
    maxAnswers: 43,
    zone: "gg",
    directory: null,
    socket: null,
    nats: { enabled: false, ttl: 30_000 },
    node: "node",
    ipAddress: [],
    ignoreScripts: false,
    addressMetrics: false,
    consul: {
      ...{ enabled: false, address: [], token: null },
      tls: { enabled: false, caFile: null, serverName: null, caCerts: [] },
    },
    otherZones: "refer",
    servers: [],
    staleFor: 86_400_000,
  },
  names: { resolvers: [], minTtl: 5000, maxTtl: 300_000, timeout: 2000 },
  workers: 1,
};

/** Parts of a node whose model is its own, though it is in a cluster. */
export const WITHOUT_LOG: readonly Start[] = PARTS.filter((part) => part !== sharedConfigLog);

/** A running node with the lines it logged. */
export interface TestNode extends AsyncDisposable {
  readonly node: RunningNode;
  readonly lines: readonly string[];
  /** Base of the API, such as `http://127.0.0.1:40123/api/v1`. */
  readonly api: string;
}

/** Starts a node; `settings` replace whole sections. */
export async function startTestNode(
  settings: Partial<Settings> = {},
  options: Partial<NodeOptions> = {},
): Promise<TestNode> {
  const lines: string[] = [];
  const log = createLogger({
    level: "debug",
    format: "json",
    clock: systemClock,
    write: (line) => lines.push(line),
  });
  const node = await startNode({ settings: { ...TEST_SETTINGS, ...settings }, log, ...options });
  return {
    node,
    lines,
    api: `http://127.0.0.1:${node.api?.port ?? 0}/api/v1`,
    [Symbol.asyncDispose]: () => node[Symbol.asyncDispose](),
  };
}

/** Longer than any answer takes, though the machine has other work. */
const ANSWER_MS_MAX = 20_000;

/** Asks the node one question over UDP. */
export async function ask({ node }: Pick<TestNode, "node">, name: string, type = "A"): Promise<Message> {
  const { message } = await runQuery({
    server: node.dns[0]!,
    name,
    type: typeNumber(type)!,
    class: 1,
    ecs: null,
    tcp: false,
    udpSize: 1232,
    timeoutMs: ANSWER_MS_MAX,
  });
  return message;
}

/** The data of the records of the type asked for, as text. */
export async function askFor(node: Pick<TestNode, "node">, name: string, type = "A"): Promise<string[]> {
  const { answers } = await ask(node, name, type);
  return answers.filter((record) => record.type === typeNumber(type)).map((record) => record.data);
}

/** One call of the API, with what it answered. */
export async function call(
  { api }: Pick<TestNode, "api">,
  method: string,
  path: string,
  body?: unknown,
): Promise<{ readonly status: number; readonly json: unknown }> {
  const response = await fetch(`${api}${path}`, {
    method,
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
  const text = await response.text();
  return { status: response.status, json: text === "" ? null : JSON.parse(text) };
}

/** Creates what must be creatable, and gives its id. */
export async function create(node: Pick<TestNode, "api">, path: string, body: unknown): Promise<string> {
  const { status, json } = await call(node, "POST", path, body);
  if (status !== 201) throw new Error(`POST ${path}: ${status} ${JSON.stringify(json)}`);
  return (json as { readonly id: string }).id;
}

/** Asks again and again until the answer is as wanted, for two minutes; in between all else gets on. */
export async function until<Value>(
  get: () => Promise<Value>,
  wanted: (value: Value) => boolean,
): Promise<Value> {
  for (let turn = 0, endMs = performance.now() + PATIENCE_MS;; turn++) {
    const value = await get();
    if (wanted(value)) return value;
    if (performance.now() > endMs) throw new Error(`It stays ${JSON.stringify(value)}`);
    await pause(turn);
  }
}

const PATIENCE_MS = 120_000;
