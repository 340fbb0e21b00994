/** @module Settings: where each value comes from, and what is found wrong in one run. */
import { deepEqual, equal, match } from "node:assert/strict";
import { judgeDatabases } from "../../src/settings/databases.ts";
import { loadSettings, type Settings, type SettingsInput } from "../../src/settings/settings.ts";
import type { SettingsOutside } from "../../src/settings/outside.ts";
import { formatProblem } from "../../src/input/yaml_source.ts";
import { selfSigned } from "../health/certificates.ts";

const FIXTURE = new URL("../fixtures/config/settings.yaml", import.meta.url).pathname;

/** A machine with those files and nothing writable. */
function machine(files: Readonly<Record<string, string | Uint8Array>> = {}): SettingsOutside {
  const readFile = (path: string) => {
    const content = files[path];
    if (content === undefined) throw new Deno.errors.NotFound(path);
    return typeof content === "string" ? new TextEncoder().encode(content) : content;
  };
  return {
    readFile,
    expectReadable: readFile,
    exists: (path) => path in files,
    isWritable: () => false,
    hostname: () => "ns1.example.com",
    homeFolder: () => "/home/pleiades",
    processors: () => 4,
    tlsRefusal: () => null,
  };
}

function load(
  input: Partial<SettingsInput> & { readonly files?: Record<string, string | Uint8Array> },
): Settings {
  const { settings, problems } = loadSettings({ env: {}, outside: machine(input.files), ...input });
  deepEqual(problems.map(formatProblem), []);
  return settings!;
}

function problemsOf(
  input: Partial<SettingsInput> & { readonly files?: Record<string, string | Uint8Array> },
): string[] {
  return loadSettings({ env: {}, outside: machine(input.files), ...input }).problems.map(formatProblem);
}

Deno.test("loadSettings() runs on defaults when there is no file", () => {
  deepEqual(load({}), {
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
    cluster: { id: "default" },
    node: { id: "ns1-example-com", region: "" },
    dns: {
      listenAddr: ["0.0.0.0", "::"],
      port: 5353,
      listen: [],
      domain: [],
      nameservers: [],
      ttl: 30,
      zones: [],
      ecs: { enabled: true, trustedResolvers: [] },
      rotate: true,
      transport: "auto",
      tcp: {
        maxConnections: 1024,
        maxConnectionsPerClient: 128,
        idleTimeout: 10_000,
        queryTimeout: 5_000,
      },
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
    database: { path: "/home/pleiades/.local/state/pleiades/pleiades.db" },
    api: {
      enabled: true,
      listenAddr: "127.0.0.1",
      port: 8080,
      maxConnections: 256,
      maxConnectionsPerClient: 64,
      tls: { certFile: null, keyFile: null },
      tokens: [],
    },
    metrics: { enablePrometheus: true, listenAddr: null, port: 9090 },
    log: { level: "info", format: "auto" },
    history: { keep: 10_000, maxBytes: 268_435_456 },
    audit: { keep: 10_000, maxAge: 31_536_000_000 },
    guards: { movedPercent: 30, deletedPercent: 30, minObjects: 10 },
    queries: { sketch: false, maxBytes: 67_108_864 },
    queryLog: { sample: 0, maxPerSecond: 100, path: "" },
    discovery: {
      ...{ enabled: false, dnsAddr: { hostname: "0.0.0.0", port: 5959 }, dnsZone: ["srv.glimpse.io"] },
      ...{ maxAnswers: 43, zone: "gg", directory: null, node: "ns1.example.com", ipAddress: [] },
      ...{
        ignoreScripts: false,
        addressMetrics: false,
        otherZones: "refer",
        servers: [],
        socket: null,
        nats: { enabled: false, ttl: 30_000 },
        staleFor: 86_400_000,
      },
      consul: {
        ...{ enabled: false, address: [{ hostname: "127.0.0.1", port: 8500 }], token: null },
        tls: { enabled: false, caFile: null, serverName: null, caCerts: [] },
      },
    },
    gitops: null,
    distribute: {
      service: {
        ...{ url: null, host: null, listenAddr: "::", cert: null, key: null, tags: [] },
        certLifetime: 90 * 86_400_000,
      },
      prometheus: { address: null },
      messageBroker: {
        ...{ url: null, username: null, password: null, jetStream: "auto", keepEvents: 0 },
        tls: { caFile: null, certFile: null, keyFile: null, ca: null, client: null },
      },
      powerDNS: {
        ...{ url: "http://127.0.0.1:8081", apiToken: null, serverID: "localhost", writesAtOnce: 1 },
        ...{ dnsAddress: "127.0.0.1:53", axfrAddress: null, axfrTimeout: 2_000, eventDelay: 0, apiWorker: 4 },
      },
      secondaries: { hosts: [], source: "static" },
      consul: { url: null, token: null, caFile: null, ca: null },
      zoneEventTopics: { add: "zone.add", mod: "zone.modified", del: "zone.delete" },
      zoneStateTopics: { prefix: "zonestate." },
      zoneDataTopics: { prefix: "zonedata.", wildcard: "zonedata.*" },
      healthChecks: {
        ...{ eventCheckWaitTime: 20_000, activeZoneSecondaryRefreshInterval: 300_000 },
        ...{ periodicalCheckInterval: 900_000, nsec3CheckInterval: 900_000 },
        ...{ signatureCheckInterval: 43_200_000, signatureRemaining: 259_200_000 },
      },
      axfrPrimary: { address: "127.0.0.1:20102" },
    },
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
    names: { resolvers: [], minTtl: 5000, maxTtl: 300_000, timeout: 2000 },
    notify: { webhooks: [] },
    workers: 3,
  });
});

Deno.test("loadSettings() reads a whole file, other spellings included", () => {
  const { settings } = loadSettings({ file: FIXTURE, env: { ADMIN_TOKEN: "s3cret" } });
  const { dns, fallback, api, node } = settings!;
  equal(node.id, "fra1-a");
  deepEqual(dns.domain, ["gslb.example.com"]);
  deepEqual(dns.ecs.trustedResolvers, ["192.0.2.0/24"]);
  equal(dns.zones[0]!.domain, "example.com");
  match(dns.zones[0]!.text, /steered by Pleiades/);
  deepEqual(api.tokens, ["s3cret"]);
  deepEqual(fallback, {
    algorithm: "weighted-round-robin",
    endpoints: ["192.0.2.80", "2001:db8::80"],
    weights: { "192.0.2.80": 3 },
    onAllDown: "all",
    ttl: null,
    healthCheck: {
      type: "https",
      port: 443,
      intervalMs: 5000,
      timeoutMs: 500,
      rise: 2,
      fall: 3,
      httpMethod: "GET",
      httpPath: "/healthz",
      httpHost: null,
      httpExpectedStatus: "200",
      httpContains: null,
      insecureSkipVerify: false,
      require: "all",
      checks: [],
    },
  });
});

Deno.test("loadSettings() reads how steering is guarded, logged and located", () => {
  const files = {
    "/etc/p.yaml": `health:
  flipGuard: { share: 0, hold: 1m }
  canaries: { targets: ["192.0.2.1:443", "[2001:DB8::1]:53"], interval: 5s }
queryLog: { sample: 100, path: queries.log }
names: { resolvers: 192.0.2.53, maxTtl: 1h }
geoip: { database: [a.mmdb, /b.mmdb] }
`,
  };
  const { fallback, health, queryLog, names, geoip } = load({ file: "/etc/p.yaml", files });
  equal(fallback, null);
  deepEqual(health.flipGuard, { share: 0, atLeast: 5, hold: 60_000 });
  deepEqual(health.canaries, {
    targets: [{ hostname: "192.0.2.1", port: 443 }, { hostname: "2001:db8::1", port: 53 }],
    interval: 5000,
    timeout: 1000,
    hold: 300_000,
  });
  deepEqual(queryLog, { sample: 100, maxPerSecond: 100, path: "/etc/queries.log" });
  const resolvers = [{ hostname: "192.0.2.53", port: 53 }];
  deepEqual(names, { resolvers, minTtl: 5000, maxTtl: 3_600_000, timeout: 2000 });
  deepEqual([geoip.database, geoip.asnDatabase], [["/etc/a.mmdb", "/b.mmdb"], []]);
});

Deno.test("keys of steering that must go together are checked together", () => {
  const files = {
    "/p.yaml": "health: { canaries: { interval: 1s, timeout: 2s } }\nnames: { minTtl: 10m, maxTtl: 5m }\n",
  };
  deepEqual(problemsOf({ file: "/p.yaml", files }), [
    "/p.yaml:1:46: timeout must be at most interval (1s), is 2s",
    "/p.yaml:2:18: minTtl must be at most maxTtl (5m), is 10m",
  ]);
});

Deno.test("health keys that are about the node alone make no check of the static endpoints", () => {
  const files = {
    "/p.yaml": "loadbalancer: { endpoints: [192.0.2.80] }\nhealth: { flipGuard: { share: 0.3 } }\n",
  };
  equal(load({ file: "/p.yaml", files }).fallback!.healthCheck, null);
});

Deno.test("flags win over the environment, the environment over the file, the file over defaults", () => {
  const files = { "/etc/p.yaml": "dns: { port: 1001, ttl: 1 }\ndatabase: { path: file.db }\nworkers: 1\n" };
  const fromFile = load({ file: "/etc/p.yaml", files });
  deepEqual([fromFile.dns.port, fromFile.database.path, fromFile.workers], [1001, "/etc/file.db", 1]);
  const env = { PLEIADES_DNS_PORT: "1002", PLEIADES_DATABASE_PATH: "/env.db", PLEIADES_WORKERS: "2" };
  const fromEnv = load({ file: "/etc/p.yaml", files, env });
  deepEqual([fromEnv.dns.port, fromEnv.dns.ttl, fromEnv.database.path, fromEnv.workers], [
    1002,
    1,
    "/env.db",
    2,
  ]);
  const flags = { db: "/flag.db", workers: 3, dns: ["127.0.0.1:0", "[::1]:53", "192.0.2.1"], api: "[::1]:0" };
  const fromFlags = load({ file: "/etc/p.yaml", files, env, flags });
  deepEqual([fromFlags.database.path, fromFlags.workers], ["/flag.db", 3]);
  deepEqual(fromFlags.dns.listen, [
    { hostname: "127.0.0.1", port: 0 },
    { hostname: "::1", port: 53 },
    { hostname: "192.0.2.1", port: 1002 },
  ]);
  deepEqual([fromFlags.api.listenAddr, fromFlags.api.port], ["::1", 0]);
});

Deno.test("the default file is read when it exists and none is named", () => {
  const files = { "/etc/pleiades/config.yaml": "cluster: { id: system }\n" };
  equal(load({ files }).cluster.id, "system");
  equal(load({ files, file: null }).cluster.id, "default");
});

Deno.test("the environment holds lists, numbers, booleans, durations and words", () => {
  const settings = load({
    env: {
      PLEIADES_DNS_LISTEN_ADDR: "127.0.0.1, ::1",
      PLEIADES_HEALTH_FLIP_GUARD_SHARE: "0.25",
      PLEIADES_DNS_ECS_ENABLED: "False",
      PLEIADES_HEALTH_START_TIMEOUT: "0s",
      PLEIADES_LOG_LEVEL: "debug",
      PLEIADES_NODE_REGION: "",
    },
  });
  deepEqual(settings.dns.listenAddr, ["127.0.0.1", "::1"]);
  equal(settings.health.flipGuard.share, 0.25);
  equal(settings.dns.ecs.enabled, false);
  equal(settings.health.startTimeout, 0);
  equal(settings.log.level, "debug");
});

Deno.test("a problem names the variable or flag that is wrong, and a variable that is nearly one", () => {
  const env = {
    PLEIADES_DNS_PORT: "http",
    PLEIADES_DNS_LISTEN_ADR: "127.0.0.1",
    PLEIADES_DNS_ZONES: "example.com",
    PLEIADES_API_URL: "http://127.0.0.1:8080",
    PLEIADES_API_TOKEN: "x",
    PLEIADES_TEST_ALL: "1",
    PLEIADES_SOMETHING_ELSE_ALTOGETHER: "1",
  };
  const flags = { dns: ["localhost:53"], api: "127.0.0.1:99999", workers: 0 };
  deepEqual(problemsOf({ env, flags }), [
    '--api: Cannot parse "127.0.0.1:99999": the port must be 0–65535',
    '--dns: Cannot parse "localhost:53": write ADDRESS:PORT, such as 127.0.0.1:5353 or [::1]:5353',
    "--workers: workers must be 1–64, is 0",
    "PLEIADES_DNS_LISTEN_ADR: Unknown variable (did you mean PLEIADES_DNS_LISTEN_ADDR?)",
    'PLEIADES_DNS_PORT: port must be 1–65535, is "http"',
    "PLEIADES_DNS_ZONES: dns.zones can't be set by a variable (put it into the file)",
  ]);
});

Deno.test("an API that any host can reach needs a token, in the settings or in a database", () => {
  const open = /isn't a loopback address.*set api.tokens/;
  for (const db of ["none", ":memory:"]) {
    match(problemsOf({ flags: { api: "0.0.0.0:8080", db } })[0]!, /^--api: .*isn't a loopback/);
    match(problemsOf({ env: { PLEIADES_API_LISTEN_ADDR: "192.0.2.1" }, flags: { db } })[0]!, open);
  }
  const env = { PLEIADES_API_TOKENS: "${TOKEN},literal", TOKEN: "from the environment" };
  deepEqual(load({ flags: { api: "0.0.0.0:8080" }, env }).api.tokens, ["from the environment", "literal"]);
  equal(
    load({ files: { "/p.yaml": "api: { listenAddr: 0.0.0.0, enabled: false }" }, file: "/p.yaml" }).api
      .enabled,
    false,
  );
  equal(load({ env: { PLEIADES_API_LISTEN_ADDR: "127.0.0.53" } }).api.tokens.length, 0);
  equal(load({ flags: { api: "0.0.0.0:8080", db: "/node.db" } }).api.tokens.length, 0, "it may be in there");
});

Deno.test("a secret may be in a file, and its line feed isn't part of it", () => {
  const files = { "/etc/p/p.yaml": "api: { tokens: [file:token] }", "/etc/p/token": "s3cret\n" };
  deepEqual(load({ file: "/etc/p/p.yaml", files }).api.tokens, ["s3cret"]);
});

Deno.test("secrets of cookies are one or a list, the newest first, and what is none is said without showing it", () => {
  const [one, other] = ["00112233445566778899aabbccddeeff", "FF".repeat(16)];
  const secretsOf = (text: string) =>
    load({
      file: "/p.yaml",
      files: { "/p.yaml": `dns: { cookies: { secret: ${text} } }`, "/new": `${one}\n` },
    })
      .dns.cookies.secret;
  deepEqual(secretsOf("file:new"), [one]);
  deepEqual(secretsOf(`[file:new, "${other}"]`), [one, other]);
  const problemsOf = (text: string) => {
    const files = { "/p.yaml": `dns: { cookies: { secret: ${text} } }` };
    return loadSettings({ env: {}, outside: machine(files), file: "/p.yaml" }).problems.map(formatProblem);
  };
  deepEqual(problemsOf(`"${one}0"`), ["/p.yaml:1:27: dns.cookies.secret must be 32 hex digits"]);
  deepEqual(problemsOf(`["${one}", abc]`), ["/p.yaml:1:64: dns.cookies.secret must be 32 hex digits"]);
  deepEqual(problemsOf(`[${Array(5).fill(`"${one}"`).join(", ")}]`), [
    "/p.yaml:1:27: dns.cookies.secret may hold 4 secrets at most, has 5",
  ]);
});

Deno.test("what gslbd writes for nothing means nothing: no id, no text in the body, any status", () => {
  const files = {
    "/p.yaml": `node: { id: "" }
loadbalancer: { endpoints: [192.0.2.80] }
health: { type: http, http: { contains: "", expectedstatus: 0 } }
api: { webuiPath: "" }
`,
  };
  const { node, fallback } = load({ file: "/p.yaml", files });
  deepEqual([node.id, fallback!.healthCheck!.httpContains], ["ns1-example-com", null]);
});

Deno.test("a folder of a web console is let pass with a note that says where it is and that it has no effect", () => {
  const said = (input: Parameters<typeof load>[0]) => {
    load(input);
    return loadSettings({ env: {}, outside: machine(input.files), ...input }).notes.map(formatProblem);
  };
  const message =
    "api.webuiPath has no effect: this version has no web console (remove it, or leave it for later)";
  const files = { "/p.yaml": "api:\n  webuiPath: /usr/share/gslbd/webui\n" };
  deepEqual(said({ file: "/p.yaml", files }), [`/p.yaml:2:14: ${message}`]);
  deepEqual(said({ env: { PLEIADES_API_WEBUI_PATH: "/webui" } }), [`PLEIADES_API_WEBUI_PATH: ${message}`]);
  deepEqual(said({}), []);
});

Deno.test("a key without a value counts as not set", () => {
  const files = { "/p.yaml": "dns:\napi:\n  port:\n  tokens:\nhealth:\n" };
  equal(load({ file: "/p.yaml", files }).api.port, 8080);
});

Deno.test("a file with nothing but comments is one with defaults", () => {
  equal(load({ file: "/p.yaml", files: { "/p.yaml": "# later\n" } }).dns.port, 5353);
});

Deno.test("endpoints without a health block aren't probed; http has its usual port", () => {
  const healthOf = (health: string) => {
    const files = { "/p.yaml": `loadbalancer: { endpoints: [192.0.2.80] }\n${health}` };
    return load({ file: "/p.yaml", files }).fallback!.healthCheck;
  };
  equal(healthOf(""), null);
  equal(healthOf("health: { startTimeout: 1s }"), null);
  equal(healthOf("health: { type: http }")!.port, 80);
  equal(healthOf("health: { type: https }")!.port, 443);
  equal(healthOf("health: { type: http, http: { expectedstatus: 0 } }")!.httpExpectedStatus, "100-599");
});

Deno.test("a time-out that isn't given is never longer than the interval that is", () => {
  const timesOf = (health: string) => {
    const files = {
      "/p.yaml": `loadbalancer: { endpoints: [192.0.2.80] }\nhealth: { port: 80, ${health} }\n`,
    };
    const { intervalMs, timeoutMs } = load({ file: "/p.yaml", files }).fallback!.healthCheck!;
    return [intervalMs, timeoutMs];
  };
  deepEqual(timesOf("rise: 2"), [10_000, 2_000]);
  deepEqual(timesOf("checkInterval: 1s"), [1_000, 1_000]);
  deepEqual(timesOf("checkInterval: 1s, timeout: 300ms"), [1_000, 300]);
  const files = { "/p.yaml": "health: { port: 80, checkInterval: 1s, timeout: 2s }\n" };
  match(problemsOf({ file: "/p.yaml", files })[0]!, /timeout must be at most checkInterval \(1s\), is 2s/);
});

Deno.test("what is wrong in one place doesn't hide what is wrong in another", async () => {
  const files = {
    "/etc/p.yaml": `dns:
  port: 70000
  zones: [{ domain: example.com, file: a.zone }, { domain: example.com, file: a.zone }]
geoip: { database: a.zone }
mapFile: { path: none.map }
`,
    "/etc/a.zone": "@ SOA ns1 hostmaster 1 1h 10m 1w 1m\n@ A 192.0.2.256\n",
  };
  const loaded = loadSettings({ file: "/etc/p.yaml", env: {}, outside: machine(files) });
  const judged = await judgeDatabases(
    loaded,
    (path, kind) => Promise.resolve({ isUnreadable: false, reason: `${path} has no ${kind}` }),
  );
  const problems = judged.problems.map(formatProblem);
  equal(problems[3], "/etc/p.yaml:4:20: a.zone can't be used as a database: /etc/a.zone has no city");
  const places = problems.map((problem) => problem.split(" ")[0]);
  deepEqual(places, [
    "/etc/a.zone:2:5:",
    "/etc/p.yaml:2:9:",
    "/etc/p.yaml:3:60:",
    "/etc/p.yaml:4:20:",
    "/etc/p.yaml:5:18:",
  ]);
});

Deno.test("databases that can't be gone by leave no settings, and are counted", async () => {
  const files = { "/p.yaml": "geoip: { database: [a.mmdb, b.mmdb], asnDatabase: c.mmdb }\n" };
  const loaded = loadSettings({ file: "/p.yaml", env: {}, outside: machine(files) });
  deepEqual(await judgeDatabases(loaded, () => Promise.resolve(null)), loaded);
  const asked: string[] = [];
  const judged = await judgeDatabases(loaded, (path, kind) => {
    asked.push(`${path} ${kind}`);
    return Promise.resolve(path === "/a.mmdb" ? null : { isUnreadable: true, reason: "it is gone" });
  });
  deepEqual(asked, ["/a.mmdb city", "/b.mmdb city", "/c.mmdb asn"]);
  deepEqual([judged.settings, "refusedDatabases" in judged && judged.refusedDatabases], [null, 2]);
  deepEqual(judged.problems.map(formatProblem), [
    "/p.yaml:1:29: b.mmdb can't be read: it is gone",
    "/p.yaml:1:51: c.mmdb can't be read: it is gone",
  ]);
});

Deno.test("a zone that is answered already isn't judged again, unless its defaults are others", () => {
  const file = (ttl: number) => `dns: { ttl: ${ttl}, zones: [{ domain: example.com, file: a.zone }] }\n`;
  const files = {
    "/p.yaml": file(30),
    "/60.yaml": file(60),
    "/a.zone": "@ SOA ns1 hostmaster 1 1h 10m 1w 1m\n@ NS ns1\nns1 A 192.0.2.1\n",
  };
  equal(load({ file: "/p.yaml", files }).dns.zones[0]!.domain, "example.com");
  // A text that can't have been judged shows that it isn't.
  const text = "nonsense\n";
  const faulty = { ...files, "/a.zone": text };
  const zonesInEffect = [{ domain: "example.com", text, defaultTtl: 30 }];
  equal(load({ file: "/p.yaml", files: faulty, zonesInEffect }).dns.zones[0]!.text, text);
  match(problemsOf({ file: "/60.yaml", files: faulty, zonesInEffect })[0]!, /^\/a\.zone:1:9: /);
  const others = [{ ...zonesInEffect[0]!, text: "" }, { ...zonesInEffect[0]!, domain: "example.org" }];
  match(problemsOf({ file: "/p.yaml", files: faulty, zonesInEffect: others })[0]!, /^\/a\.zone:1:9: /);
});

Deno.test("the database lies in /var/lib where that is writable, else in the user's state folder", () => {
  const writable = { ...machine(), isWritable: (folder: string) => folder === "/var/lib/pleiades" };
  equal(load({ outside: writable }).database.path, "/var/lib/pleiades/pleiades.db");
  equal(load({ env: { XDG_STATE_HOME: "/state" } }).database.path, "/state/pleiades/pleiades.db");
  equal(load({ flags: { db: "none" } }).database.path, "none");
});

Deno.test("a file that can't be read is a problem, not an exception", () => {
  deepEqual(problemsOf({ file: "/nowhere.yaml" }), ["/nowhere.yaml: can't be read: there is no such file"]);
});

Deno.test("a client certificate of X.509 version 1, on which the library would abort, is refused by name", async () => {
  const { cert, key } = await selfSigned({ version: 1 });
  const yaml = "state: { nats: { servers: nats://192.0.2.4, tls: { certFile: c.pem, keyFile: k.pem } } }\n";
  deepEqual(problemsOf({ file: "/p.yaml", files: { "/p.yaml": yaml, "/c.pem": cert, "/k.pem": key } }), [
    "/p.yaml:1:62: c.pem is a certificate of X.509 version 1, and TLS wants version 3 (openssl x509 -req … -extfile …)",
  ]);
});
