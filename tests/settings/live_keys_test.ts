/**
 * What a reload really does with every key of the settings, shown by one `pleiades serve` and its SIGHUP: a key that is
 * marked as live takes effect, and every other is named in the warning.
 *
 * Each live key needs an entry in {@linkcode LIVE}; a key that was given a mark and no entry is named by the test.
 *
 * @module
 */
import { deepEqual } from "node:assert/strict";
import { Cookies, SECRET_SIZE } from "../../src/dns/cookies.ts";
import { runQuery } from "../../src/dns_client.ts";
import { formatSocketAddress, parsePrefix } from "../../src/ip.ts";
import { issueToken } from "../../src/license/token.ts";
import { keysOf, type SettingsKey, settingsTree } from "../../src/settings/keys.ts";
import { decodeMessage, encodeQuery } from "../../src/wire/message.ts";
import { rcodeName, typeNumber } from "../../src/wire/record_type.ts";
import { pause } from "../clock.ts";
import { askTcp, askUdp, UdpClient } from "../dns/clients.ts";
import { query } from "../dns/packets.ts";
import { flatRecord, writeMmdb } from "../geo/mmdb_writer.ts";
import { Backend, closedPort } from "../health/backend.ts";
import { type Identity, selfSigned } from "../health/certificates.ts";
import { LoopbackResolver } from "../resolver/resolver.ts";
import { call } from "../rest.ts";
import { ServeProcess } from "../serve_process.ts";
import { fileOf, otherValue } from "./other_values.ts";

/** Values by the names of keys. */
type Values = Readonly<Record<string, unknown>>;

/** How a live key shows. */
interface Effect {
  /** What the file says besides, before and after. */
  readonly beside?: Values;
  /** The key's value before; absent = its default. */
  readonly from?: unknown;
  readonly to: unknown;
  /** Prepares, between the two reloads. */
  readonly prepare?: () => Promise<unknown> | void;
  /** What is seen before and after, where that can be asked for. */
  readonly seen?: readonly [look: () => Promise<unknown>, before: unknown, after: unknown];
  /** Resolves when the effect has come, where it comes by itself. */
  readonly comes?: () => Promise<unknown>;
  /** Takes away what the entry has made. */
  readonly tidy?: () => void;
}

/** Longer than any effect takes, and shorter than what a key has before: intervals of an hour, a hundred successes. */
const PATIENCE_MS = 60_000;

const KEYS = keysOf(settingsTree()).filter(({ absent }) => !absent);
const nameOf = ({ path }: SettingsKey) => path.join(".");

/** What is heard of, in its order, and since when. */
class Heard {
  readonly #items: string[] = [];
  #from = 0;
  #waiting: (() => void)[] = [];

  readonly add = (item: string): void => {
    this.#items.push(item);
    for (const wake of this.#waiting.splice(0)) wake();
  };

  /** From here on. */
  mark(): void {
    this.#from = this.#items.length;
  }

  /** So many that pass the test, since the mark. */
  async until(test: RegExp, count = 1): Promise<void> {
    while (this.#items.slice(this.#from).filter((item) => test.test(item)).length < count) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}

/** A node of its own, and all that it can be told to deal with. */
class Bed implements AsyncDisposable {
  readonly #stack: AsyncDisposableStack;
  readonly #file: string;
  /** Addresses that nobody else listens on: 127.0.0.0/8 is this machine's as a whole. */
  readonly #host: string;
  readonly node: ServeProcess;
  /** Heads of requests that the backend got; empty = a connection alone. */
  readonly heads = new Heard();
  /** Questions that each of the resolvers got. */
  readonly asked = [new Heard(), new Heard()] as const;
  readonly backend: Backend;
  readonly tlsBackend: Backend;
  readonly resolvers: readonly LoopbackResolver[];
  /** What the backend does. */
  mode: "ok" | "failing" | "silent" = "ok";
  #logFrom = 0;

  private constructor(stack: AsyncDisposableStack, parts: {
    readonly node: ServeProcess;
    readonly folder: string;
    readonly host: string;
    readonly identity: Identity;
  }) {
    this.#stack = stack;
    this.node = parts.node;
    this.#file = `${parts.folder}/pleiades.yaml`;
    this.#host = parts.host;
    const serve = (connection: Deno.Conn) => this.#serve(connection);
    this.backend = stack.use(new Backend(serve));
    this.tlsBackend = stack.use(new Backend(serve, parts.identity));
    this.resolvers = this.asked.map((heard) => stack.use(new LoopbackResolver({}, heard.add)));
  }

  static async start(): Promise<Bed> {
    await using stack = new AsyncDisposableStack();
    const folder = await Deno.makeTempDir({ prefix: "pleiades-live-" });
    stack.defer(() => Deno.remove(folder, { recursive: true }));
    const host = `127.${
      [...crypto.getRandomValues(new Uint8Array(3))].map((byte) => byte % 253 + 1).join(".")
    }`;
    const identity = await selfSigned({ ipAddresses: ["127.0.0.1"] });
    await writeFiles(folder, identity);
    await Deno.writeTextFile(`${folder}/pleiades.yaml`, fileOf(baseOf(host)));
    const node = stack.use(
      await ServeProcess.start({
        args: ["-c", `${folder}/pleiades.yaml`],
        // It is killed in the end, and leaves behind what is temporary.
        env: { PLEIADES_LOG_FORMAT: "", TMPDIR: folder },
        listensBySettings: true,
      }),
    );
    return new Bed(stack.move(), { node, folder, host, identity });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }

  /** What every file says: the node's own addresses, so that only what a test changes is another. */
  get base(): Values {
    return baseOf(this.#host);
  }

  /** Reloads with these values over the base; whatever is waited for afterwards came after. */
  async reload(values: Values): Promise<void> {
    await Deno.writeTextFile(this.#file, fileOf({ ...this.base, ...values }));
    this.heads.mark();
    for (const heard of this.asked) heard.mark();
    this.#logFrom = this.node.lines.length;
    this.node.kill("SIGHUP");
    const line = await this.logged(/"Reloaded the settings"|"Not reloaded/);
    if (line.includes("Not reloaded")) throw new Error(line);
  }

  /** The first line of the log since the reload that passes the test. */
  async logged(test: RegExp): Promise<string> {
    const seen = this.node.lines.slice(this.#logFrom).find((line) => test.test(line));
    return seen ?? await this.node.nextLine((line) => test.test(line));
  }

  /** What is answered for a name of `z.example` to a client in 198.51.100.0/24. */
  async answers(type = "A", name = "any.z.example") {
    const { message } = await runQuery({
      server: this.node.dns,
      name,
      type: typeNumber(type)!,
      class: 1,
      ecs: parsePrefix("198.51.100.0/24"),
      tcp: false,
      udpSize: 1232,
      timeoutMs: PATIENCE_MS,
    });
    return { rcode: rcodeName(message.rcode), ttl: message.answers[0]?.ttl, data: message.answers[0]?.data };
  }

  /** How often each address comes first in so many answers. */
  async shared(count: number): Promise<Readonly<Record<string, number>>> {
    const counts: Record<string, number> = {};
    for (let i = 0; i < count; i++) {
      const { data = "none" } = await this.answers();
      counts[data] = (counts[data] ?? 0) + 1;
    }
    return counts;
  }

  async metric(name: RegExp): Promise<boolean> {
    return name.test(await (await fetch(this.node.api.replace("/api/v1", "/metrics"))).text());
  }

  async historyLength(): Promise<number> {
    return (await call<unknown[]>(this.node.api, { method: "GET", path: "/history" })).length;
  }

  async auditedChanges(): Promise<number> {
    return (await call<unknown[]>(this.node.api, { method: "GET", path: "/audit?outcome=done" })).length;
  }

  async createPool(name: string): Promise<string> {
    return (await call<{ readonly id: string }>(this.node.api, {
      method: "POST",
      path: "/pools",
      json: { name },
    })).id;
  }

  async #serve(connection: Deno.Conn): Promise<void> {
    const bytes = new Uint8Array(4096);
    const size = await connection.read(bytes);
    this.heads.add(size === null ? "" : new TextDecoder().decode(bytes.subarray(0, size)));
    if (size === null) return;
    if (this.mode === "silent") { while (await connection.read(bytes) !== null); }
    const status = this.mode === "ok" ? 200 : 500;
    const answer = `HTTP/1.1 ${status} So\r\nContent-Length: 5\r\nConnection: close\r\n\r\nready`;
    await connection.write(new TextEncoder().encode(answer));
  }
}

function baseOf(host: string): Values {
  return {
    "dns.listenAddr": [host],
    "dns.tls.certFile": "another.crt",
    "dns.tls.keyFile": "another.key",
    "dns.tls.port": 8853,
    "api.listenAddr": host,
    "database.path": ":memory:",
    "log.level": "debug",
    "log.format": "json",
    workers: 1,
    // Nothing listens there, which is told once of each way of connecting.
    "state.nats.servers": ["nats://127.0.0.1:1"],
  };
}

/** Frankfurt and New York. */
const [EAST, WEST] = [{ latitude: 50.1, longitude: 8.7 }, { latitude: 40.7, longitude: -74 }];

/** Files that settings name; clients are east in one of each pair and west in the other. */
async function writeFiles(folder: string, { cert, key }: Identity): Promise<void> {
  const city = (place: typeof EAST) => writeMmdb({ networks: [["198.51.100.0/24", flatRecord(place)]] });
  const files: Record<string, string | Uint8Array> = {
    "east.mmdb": city(EAST),
    "west.mmdb": city(WEST),
    "asn.mmdb": writeMmdb({ networks: [["198.51.100.0/24", flatRecord({ asn: 64500 })]] }),
    "east.map": "198.51.100.0/24 192.0.2.1\n",
    "west.map": "198.51.100.0/24 192.0.2.2\n",
    "example.com.zone": "@ SOA ns1 hostmaster 1 1h 10m 1w 1m\n@ NS ns1\nns1 A 192.0.2.53\n",
    "another.crt": cert,
    "another.key": key,
    // The same once more, in other words.
    "renewed.crt": `${cert}\n`,
    "renewed.key": `${key}\n`,
    "node.creds": "-----BEGIN NATS USER JWT-----\n-----BEGIN USER NKEY SEED-----\n",
  };
  for (const [name, content] of Object.entries(files)) {
    await Deno.writeFile(
      `${folder}/${name}`,
      typeof content === "string" ? new TextEncoder().encode(content) : content,
    );
  }
}

/** Two endpoints of the static fallback, the first east and the second west. */
const TWO: Values = { "dns.domain": "z.example", "loadbalancer.endpoints": ["192.0.2.1", "192.0.2.2"] };
const PLACED: Values = {
  ...TWO,
  "loadbalancer.algorithm": "geoip",
  "geoip.endpointLocations": { "192.0.2.1": EAST, "192.0.2.2": WEST },
};

/** One answer a second to a network, and the others short. */
const RATED: Values = {
  ...TWO,
  "dns.rateLimit.enabled": true,
  "dns.rateLimit.exempt": [],
  "dns.rateLimit.slip": 1,
  "dns.rateLimit.responsesPerSecond": 1,
};

/** Whether one of three answers is short: of three in a row two are of the same second. */
function seenCut(bed: Bed): NonNullable<Effect["seen"]> {
  const look = async () => {
    using client = new UdpClient(bed.node.dns);
    let cuts = 0;
    for (let i = 0; i < 3; i++) {
      if (decodeMessage(await client.ask(query("any.z.example", "A"))).flags.tc) cuts++;
    }
    return cuts > 0;
  };
  return [look, false, true];
}

async function isAnsweredOverTcp(bed: Bed): Promise<boolean> {
  return await askTcp(bed.node.dns, query("any.z.example", "A")) !== null;
}

/** What the server answers to a cookie of its client. */
async function cookieOf(bed: Bed): Promise<Uint8Array | undefined> {
  const option = { code: 10, data: new Uint8Array(8) };
  const packet = encodeQuery({
    id: 1,
    name: "any.z.example",
    type: 1,
    edns: { udpSize: 1232, options: [option] },
  });
  return decodeMessage(await askUdp(bed.node.dns, packet)).edns!.options.find(({ code }) => code === 10)
    ?.data;
}

function isMadeWith(secret: Uint8Array, cookie: Uint8Array): boolean {
  const client = new Uint8Array([127, 0, 0, 1]);
  const nowSeconds = Math.floor(Date.now() / 1000);
  return new Cookies([secret]).judge(cookie, 0, cookie.length, client, nowSeconds, new Uint8Array(16)) ===
    "current";
}

let probed = 0;

/** One endpoint that is probed, unlike those of other keys, so that nothing is known of it; the guard holds nothing. */
function checked({ backend }: Bed, values: Values = {}): Values {
  return {
    "dns.domain": "z.example",
    "loadbalancer.endpoints": ["127.0.0.1"],
    "health.type": "http",
    "health.port": backend.port,
    "health.checkInterval": `${250 + probed++}ms`,
    "health.timeout": "200ms",
    "health.rise": 1,
    "health.fall": 1,
    "health.flipGuard.share": 0,
    ...values,
  };
}

const LICENSE_SECRET = "a-secret-of-these-tests";

async function licenseState({ node }: Bed): Promise<string> {
  const { license } = await call<{ readonly license: { readonly state: string } }>(node.api, {
    method: "GET",
    path: "/status",
  });
  return license.state;
}

/** What the node says when it tries to connect to NATS in another way than before. */
const triedAgain = (bed: Bed) => () => bed.logged(/Cannot connect to NATS/);

/** By the names of live keys. */
const LIVE: Readonly<Record<string, (bed: Bed) => Effect | Promise<Effect>>> = {
  "license.secret": (bed) => ({
    to: LICENSE_SECRET,
    seen: [() => licenseState(bed), "off", "missing"],
  }),
  "license.key": (bed) => ({
    beside: { "license.secret": LICENSE_SECRET },
    to: issueToken({ tier: "paid", maxRps: 1000, iat: 0, exp: 253_402_300_799, id: "live" }, LICENSE_SECRET),
    seen: [() => licenseState(bed), "missing", "valid"],
  }),
  "state.nats.servers": (bed) => ({
    to: ["nats://127.0.0.1:2"],
    comes: () => bed.logged(/Cannot connect to NATS.*127\.0\.0\.1:2/),
  }),
  "state.nats.tls.caFile": (bed) => ({ to: "another.crt", comes: triedAgain(bed) }),
  "state.nats.tls.certFile": (bed) => ({
    beside: { "state.nats.tls.keyFile": "another.key" },
    from: "another.crt",
    to: "renewed.crt",
    comes: triedAgain(bed),
  }),
  "state.nats.tls.keyFile": (bed) => ({
    beside: { "state.nats.tls.certFile": "another.crt" },
    from: "another.key",
    to: "renewed.key",
    comes: triedAgain(bed),
  }),
  "state.nats.tls.handshakeFirst": (bed) => ({ to: true, comes: triedAgain(bed) }),
  "state.nats.auth.credsFile": (bed) => ({ to: "node.creds", comes: triedAgain(bed) }),
  "state.nats.auth.user": (bed) => ({
    beside: { "state.nats.auth.password": "secret" },
    from: "ann",
    to: "bob",
    comes: triedAgain(bed),
  }),
  "state.nats.auth.password": (bed) => ({
    beside: { "state.nats.auth.user": "ann" },
    from: "secret",
    to: "another",
    comes: triedAgain(bed),
  }),
  "state.nats.auth.token": (bed) => ({ from: "one", to: "another", comes: triedAgain(bed) }),
  "state.nats.auth.nkeySeed": (bed) => ({ to: `SU${"A".repeat(56)}`, comes: triedAgain(bed) }),
  "dns.domain": (bed) => ({
    to: ["z.example"],
    seen: [async () => (await bed.answers()).rcode, "REFUSED", "NXDOMAIN"],
  }),
  "dns.nameservers": (bed) => ({
    beside: { "dns.domain": "z.example" },
    from: ["ns1.example.net"],
    to: ["ns2.example.net"],
    seen: [async () => (await bed.answers("NS", "z.example")).data, "ns1.example.net.", "ns2.example.net."],
  }),
  "dns.ttl": (bed) => ({ beside: TWO, to: 77, seen: [async () => (await bed.answers()).ttl, 30, 77] }),
  "dns.zones": (bed) => ({
    to: [{ domain: "example.com", file: "example.com.zone" }],
    seen: [async () => (await bed.answers("A", "ns1.example.com")).data, undefined, "192.0.2.53"],
  }),
  "dns.allow": (bed) => ({
    beside: TWO,
    to: ["192.0.2.0/24"],
    seen: [async () => (await bed.answers()).rcode, "NOERROR", "REFUSED"],
  }),
  "dns.deny": (bed) => ({
    beside: TWO,
    to: ["127.0.0.0/8"],
    seen: [() => isAnsweredOverTcp(bed), true, false],
  }),
  "dns.cookies.enabled": (bed) => ({
    beside: TWO,
    to: false,
    seen: [async () => await cookieOf(bed) !== undefined, true, false],
  }),
  "dns.cookies.secret": (bed) => ({
    beside: TWO,
    from: ["00".repeat(SECRET_SIZE)],
    to: ["ff".repeat(SECRET_SIZE)],
    seen: [async () => isMadeWith(new Uint8Array(SECRET_SIZE), (await cookieOf(bed))!), true, false],
  }),
  "dns.rateLimit.enabled": (bed) => ({ beside: RATED, from: false, to: true, seen: seenCut(bed) }),
  "dns.rateLimit.responsesPerSecond": (bed) => ({ beside: RATED, from: 1000, to: 1, seen: seenCut(bed) }),
  "dns.rateLimit.exempt": (bed) => ({ beside: RATED, from: ["127.0.0.0/8"], to: [], seen: seenCut(bed) }),
  "dns.rateLimit.slip": (bed) => ({
    beside: RATED,
    from: 1,
    to: 10,
    comes: async () => {
      using client = new UdpClient(bed.node.dns);
      const isDropped = () => bed.metric(/^pleiades_dns_dropped_total\{.*reason="rate_limit".*\} [1-9]/m);
      do await client.send(query("any.z.example", "A")); while (!(await isDropped()));
    },
  }),
  "dns.amplificationMax": (bed) => ({
    beside: { "dns.domain": "z.example" },
    to: 2,
    seen: seenCut(bed),
  }),
  "dns.tls.certFile": (bed) => ({
    from: "another.crt",
    to: "renewed.crt",
    comes: () => bed.logged(/DNS over TLS and HTTPS serve the new certificate/),
  }),
  "dns.tls.keyFile": (bed) => ({
    from: "another.key",
    to: "renewed.key",
    comes: () => bed.logged(/DNS over TLS and HTTPS serve the new certificate/),
  }),
  "loadbalancer.algorithm": (bed) => ({
    beside: TWO,
    from: "failover",
    to: "round-robin",
    seen: [() => bed.shared(4), { "192.0.2.1": 4 }, { "192.0.2.1": 2, "192.0.2.2": 2 }],
  }),
  "loadbalancer.endpoints": (bed) => ({
    beside: { "dns.domain": "z.example" },
    from: ["192.0.2.1"],
    to: ["192.0.2.2"],
    seen: [async () => (await bed.answers()).data, "192.0.2.1", "192.0.2.2"],
  }),
  "loadbalancer.weights": (bed) => ({
    beside: { ...TWO, "loadbalancer.algorithm": "weighted-round-robin" },
    to: { "192.0.2.1": 3 },
    seen: [() => bed.shared(8), { "192.0.2.1": 4, "192.0.2.2": 4 }, { "192.0.2.1": 6, "192.0.2.2": 2 }],
  }),
  "loadbalancer.onAllDown": (bed) => ({
    beside: checked(bed, { "health.port": closedPort() }),
    to: "none",
    prepare: () => bed.logged(/"Target is unhealthy"/),
    seen: [async () => (await bed.answers()).data, "127.0.0.1", undefined],
  }),
  "loadbalancer.ttl": (bed) => ({
    beside: TWO,
    to: 5,
    seen: [async () => (await bed.answers()).ttl, 30, 5],
  }),
  "health.type": (bed) => ({
    beside: checked(bed),
    from: "tcp",
    to: "http",
    comes: () => bed.heads.until(/^GET /),
  }),
  "health.port": (bed) => ({
    beside: checked(bed),
    from: closedPort(),
    to: bed.backend.port,
    comes: () => bed.heads.until(/^GET /),
  }),
  "health.checkInterval": (bed) => ({
    beside: checked(bed),
    from: "1h",
    to: "250ms",
    comes: () => bed.heads.until(/^GET /, 3),
  }),
  "health.timeout": (bed) => ({
    beside: checked(bed),
    to: "50ms",
    prepare: () => {
      bed.mode = "silent";
    },
    comes: () => bed.logged(/timeout after 50 ms/),
  }),
  "health.rise": (bed) => ({
    beside: checked(bed),
    from: 100,
    to: 1,
    prepare: () => {
      bed.mode = "failing";
    },
    comes: async () => {
      await bed.logged(/"Target is unhealthy"/);
      bed.mode = "ok";
      await bed.logged(/"Target is healthy"/);
    },
  }),
  "health.fall": (bed) => ({
    beside: checked(bed),
    from: 100,
    to: 1,
    comes: async () => {
      await bed.logged(/"Target is healthy"/);
      bed.mode = "failing";
      await bed.logged(/"Target is unhealthy"/);
    },
  }),
  "health.http.method": (bed) => ({
    beside: checked(bed),
    to: "POST",
    comes: () => bed.heads.until(/^POST /),
  }),
  "health.http.path": (bed) => ({
    beside: checked(bed),
    to: "/deep",
    comes: () => bed.heads.until(/^GET \/deep /),
  }),
  "health.http.host": (bed) => ({
    beside: checked(bed),
    to: "www.example.com",
    comes: () => bed.heads.until(/^host: www\.example\.com\r$/mi),
  }),
  "health.http.expectedStatus": (bed) => ({
    beside: checked(bed),
    to: "404",
    comes: () => bed.logged(/"Target is unhealthy"/),
  }),
  "health.http.contains": (bed) => ({
    beside: checked(bed),
    to: "nowhere",
    comes: () => bed.logged(/"Target is unhealthy"/),
  }),
  // A ClientHello begins with 22, its record's type (RFC 8446 §5.1), and a request with a letter.
  "health.http.tls": (bed) => ({
    beside: checked(bed),
    to: true,
    comes: () => bed.heads.until(/^[^A-Z]/),
  }),
  "health.http.insecureSkipVerify": (bed) => ({
    beside: checked(bed, { "health.type": "https", "health.port": bed.tlsBackend.port }),
    to: true,
    prepare: () => bed.logged(/"Target is unhealthy"/),
    comes: () => bed.logged(/"Target is healthy"/),
  }),
  "health.flipGuard.share": (bed) => ({
    beside: checked(bed, { "health.flipGuard.atLeast": 1 }),
    from: 1,
    to: 0.25,
    prepare: () => bed.logged(/"Target is healthy"/),
    comes: () => tripped(bed, /"allowedShare":0\.25/),
  }),
  "health.flipGuard.atLeast": (bed) => ({
    beside: checked(bed, { "health.flipGuard.share": 0.25 }),
    from: 1000,
    to: 1,
    prepare: () => bed.logged(/"Target is healthy"/),
    comes: () => tripped(bed, /Very many targets/),
  }),
  "health.flipGuard.hold": (bed) => ({
    beside: checked(bed, { "health.flipGuard.share": 0.25, "health.flipGuard.atLeast": 1 }),
    to: "77s",
    prepare: () => bed.logged(/"Target is healthy"/),
    comes: () => tripped(bed, /still down in 77 s/),
  }),
  "health.canaries.targets": (bed) => ({
    beside: { "health.canaries.interval": "250ms", "health.canaries.timeout": "200ms" },
    to: [`127.0.0.1:${closedPort()}`],
    comes: () => bed.logged(/No canary answers/),
  }),
  "health.canaries.interval": (bed) => ({
    beside: {
      "health.canaries.targets": [`127.0.0.1:${bed.backend.port}`],
      "health.canaries.timeout": "200ms",
    },
    from: "1h",
    to: "250ms",
    comes: () => bed.heads.until(/^$/, 3),
  }),
  "health.canaries.timeout": async (bed) => {
    const full = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
    const { port } = full.addr;
    // Nobody accepts, so that whoever comes after these waits.
    const queued = [await Deno.connect({ port }), await Deno.connect({ port })];
    return {
      beside: { "health.canaries.targets": [`127.0.0.1:${port}`], "health.canaries.interval": "1h" },
      from: "1m",
      to: "50ms",
      comes: () => bed.logged(/timeout after 50 ms/),
      tidy: () => {
        for (const connection of queued) connection.close();
        full.close();
      },
    };
  },
  "health.canaries.hold": (bed) => {
    const canary = new Backend(() => Promise.resolve());
    return {
      beside: {
        "health.canaries.targets": [`127.0.0.1:${canary.port}`],
        "health.canaries.interval": "250ms",
        "health.canaries.timeout": "200ms",
      },
      to: "77s",
      prepare: () => bed.logged(/"Target is healthy"/),
      comes: async () => {
        await canary[Symbol.asyncDispose]();
        await bed.logged(/No canary answers.*still down in 77 s/);
      },
    };
  },
  "geoip.database": (bed) => ({
    beside: PLACED,
    from: ["east.mmdb"],
    to: ["west.mmdb"],
    seen: [() => bed.shared(4), { "192.0.2.1": 4 }, { "192.0.2.2": 4 }],
  }),
  "geoip.asnDatabase": (bed) => ({
    to: ["asn.mmdb"],
    seen: [() => bed.metric(/^pleiades_geoip_build_timestamp_seconds\{.*kind="asn"/m), false, true],
  }),
  "geoip.endpointLocations": (bed) => ({
    beside: { ...PLACED, "geoip.database": ["east.mmdb"] },
    from: { "192.0.2.1": EAST, "192.0.2.2": WEST },
    to: { "192.0.2.1": WEST, "192.0.2.2": EAST },
    seen: [() => bed.shared(4), { "192.0.2.1": 4 }, { "192.0.2.2": 4 }],
  }),
  "mapFile.path": (bed) => ({
    beside: { ...TWO, "loadbalancer.algorithm": "map-file" },
    from: "east.map",
    to: "west.map",
    seen: [() => bed.shared(4), { "192.0.2.1": 4 }, { "192.0.2.2": 4 }],
  }),
  "api.webuiPath": (bed) => ({ to: "/webui", comes: () => bed.logged(/api\.webuiPath has no effect/) }),
  "notify.webhooks": (bed) => ({
    to: [{ url: `http://127.0.0.1:${bed.backend.port}/hook`, secret: "shared", events: ["commit"] }],
    prepare: async () => void await bed.createPool(`told-${await bed.historyLength()}`),
    comes: async () => {
      await bed.createPool(`told-${await bed.historyLength()}`);
      await bed.heads.until(/^POST \/hook .*pleiades-event: commit\r\n/is);
    },
  }),
  "queries.sketch": (bed) => ({
    beside: TWO,
    to: true,
    prepare: () => bed.answers(),
    comes: async () => {
      // The workers hear of it in a moment, and tell what they have counted once a second.
      for (let turn = 0;; turn++) {
        await bed.answers();
        if (await bed.metric(/^pleiades_query_sketch_queries_total\{.*\} [1-9]/m)) return;
        await pause(turn);
      }
    },
  }),
  "queries.maxBytes": (bed) => ({
    from: 1048576,
    to: 2097152,
    seen: [() => bed.metric(/^pleiades_query_sketch_max_bytes\{.*\} 2097152$/m), false, true],
  }),
  "guards.movedPercent": (bed) => ({
    beside: { "guards.minObjects": 1 },
    to: 100,
    seen: [() => refusedMove(bed, "moved"), ["moved-share"], []],
  }),
  "guards.deletedPercent": (bed) => ({
    beside: { "guards.minObjects": 1 },
    to: 100,
    seen: [() => refusedDeletion(bed, "deleted"), ["deleted-share"], []],
  }),
  "guards.minObjects": (bed) => ({
    beside: { "guards.movedPercent": 1 },
    to: 1,
    seen: [() => refusedMove(bed, "few"), [], ["moved-share"]],
  }),
  "history.keep": (bed) => ({
    to: 1,
    seen: [
      async () => {
        for (const round of [1, 2]) await bed.createPool(`keep-${round}-${await bed.historyLength()}`);
        return await bed.historyLength() > 1;
      },
      true,
      false,
    ],
  }),
  "history.maxBytes": (bed) => ({
    to: 1024 * 1024,
    seen: [
      async () => {
        for (const serial of [1, 2]) await putLargeZone(bed, serial);
        return await bed.historyLength() > 1;
      },
      true,
      false,
    ],
  }),
  "audit.keep": (bed) => ({
    to: 1,
    seen: [async () => (await bed.auditedChanges()) > 1, true, false],
  }),
  "audit.maxAge": (bed) => ({
    to: "1s",
    prepare: () => bed.createPool("aged"),
    // A refused attempt is written within a second, and what is too old goes with that.
    comes: async () => {
      for (let turn = 0; await bed.auditedChanges() > 0; turn++) {
        const { body } = await fetch(`${bed.node.api}/pools/none`, { method: "DELETE" });
        await body?.cancel();
        await pause(turn);
      }
    },
  }),
  "names.resolvers": (bed) => ({
    from: [addressOf(bed.resolvers[0]!)],
    to: [addressOf(bed.resolvers[1]!)],
    prepare: () => bed.asked[0].until(/./, FAMILIES),
    comes: () => bed.asked[1].until(/./),
  }),
  "names.minTtl": (bed) => {
    bed.resolvers[0]!.says[NAME] = { a: ["192.0.2.7"], ttl: 0 };
    return {
      beside: { "names.resolvers": [addressOf(bed.resolvers[0]!)], "names.maxTtl": "2h" },
      from: "1h",
      to: "1s",
      prepare: () => bed.asked[0].until(/./, FAMILIES),
      // Once because of the reload, and again when the time is over.
      comes: () => bed.asked[0].until(/./, 2 * FAMILIES),
    };
  },
  "names.maxTtl": (bed) => {
    bed.resolvers[0]!.says[NAME] = { a: ["192.0.2.7"], ttl: 3600 };
    return {
      beside: { "names.resolvers": [addressOf(bed.resolvers[0]!)], "names.minTtl": "1s" },
      from: "1h",
      to: "1s",
      prepare: () => bed.asked[0].until(/./, FAMILIES),
      comes: () => bed.asked[0].until(/./, 2 * FAMILIES),
    };
  },
  "names.timeout": (bed) => {
    bed.resolvers[0]!.says[NAME] = { a: ["192.0.2.7"], ttl: 3600 };
    return {
      beside: { "names.resolvers": [addressOf(bed.resolvers[0]!)] },
      to: "150ms",
      prepare: async () => {
        await bed.asked[0].until(/./, FAMILIES);
        bed.resolvers[0]!.says[NAME] = "nothing at all";
      },
      comes: () => bed.logged(/Cannot resolve.*within 150 ms/),
    };
  },
  ...Object.fromEntries(
    Object.entries({
      "gitops.repoURL": "file:///nonexistent/other.git",
      "gitops.branch": "next",
      "gitops.pathPrefix": "sites/fra1",
      "gitops.pollInterval": "2h",
      "gitops.requireSignature": true,
      "gitops.allowedSigners": [`SHA256:${"B".repeat(43)}`],
      "gitops.keyring": "another.crt",
      "gitops.signedTags": true,
      "gitops.since": "1".repeat(40),
      "gitops.onDrift": "restore",
      "gitops.publish": true,
      "gitops.caFile": "another.crt",
      "gitops.webhook.secret": "a secret of the hook",
      "gitops.auth.sshKeyPath": "another.key",
      "gitops.auth.knownHostsPath": "another.crt",
      "gitops.auth.user": "deploy",
      "gitops.auth.password": "a password",
      "gitops.auth.token": "a token",
    }).map(([name, to]) => [name, (bed: Bed): Effect => ({
      beside: FOLLOWED,
      from: FOLLOWED[name],
      to,
      comes: () => bed.logged(/Follows a repository/),
    })]),
  ),
};

/** A repository that isn't there: other settings of it are followed from the begin. */
const FOLLOWED: Values = {
  "gitops.repoURL": "file:///nonexistent/dns.git",
  "gitops.requireSignature": false,
  "gitops.allowedSigners": [`SHA256:${"A".repeat(43)}`],
  "gitops.pollInterval": "1h",
};

/** The name of a member. */
const NAME = "web.example.net";
/** A look at a name asks for each. */
const FAMILIES = 2;

function addressOf({ address }: LoopbackResolver): string {
  return formatSocketAddress(address);
}

/** Lets the one target turn down, and waits for what the guard says. */
async function tripped(bed: Bed, line: RegExp): Promise<void> {
  bed.mode = "failing";
  await bed.logged(line);
}

/** More than a MiB of history, before and after together. */
/** A service of one member, of as many as there were before; the guards that would refuse to move its answers. */
async function refusedMove(bed: Bed, name: string): Promise<readonly string[]> {
  const { memberId } = await createService(bed, name);
  return await refusals(bed, {
    method: "PATCH",
    path: `/members/${memberId}`,
    json: { ipAddress: "192.0.2.8" },
  });
}

/** The same, and those that would refuse to delete it. */
async function refusedDeletion(bed: Bed, name: string): Promise<readonly string[]> {
  const { serviceId } = await createService(bed, name);
  return await refusals(bed, { method: "DELETE", path: `/services/${serviceId}` });
}

async function createService(bed: Bed, name: string) {
  const { api } = bed.node;
  const label = `${name}-${await bed.historyLength()}`;
  const create = async (path: string, json: unknown) =>
    (await call<{ readonly id: string }>(api, { method: "POST", path, json })).id;
  const poolId = await bed.createPool(label);
  const memberId = await create(`/pools/${poolId}/members`, { ipAddress: "192.0.2.7", port: 443 });
  const serviceId = await create("/services", { domain: `${label}.example`, poolId });
  return { memberId, serviceId };
}

async function refusals(bed: Bed, request: { method: string; path: string; json?: unknown }) {
  const path = `${request.path}?dryRun=true`;
  const { refusals } = await call<{ readonly refusals: readonly { readonly guard: string }[] }>(
    bed.node.api,
    {
      ...request,
      path,
    },
  );
  return refusals.map(({ guard }) => guard);
}

async function putLargeZone({ node }: Bed, serial: number): Promise<void> {
  const text = `@ SOA ns1 hostmaster ${serial} 1h 10m 1w 1m\n@ NS ns1\nns1 A 192.0.2.53\n`;
  const zone = text + `; ${"x".repeat(1000)}\n`.repeat(600);
  await call(node.api, { method: "PUT", path: "/zones/large.example", zone });
}

Deno.test("every live key, and no other, has an entry that shows its effect", () => {
  const live = KEYS.filter(({ reload }) => reload === "live").map(nameOf);
  deepEqual(Object.keys(LIVE).sort(), live.sort(), "add to LIVE what a reload with another value shows");
});

Deno.test("one node takes every live key over at a reload, and names every other one", async (test) => {
  await using bed = await Bed.start();
  const pool = await bed.createPool("named");
  await call(bed.node.api, {
    method: "POST",
    path: `/pools/${pool}/members`,
    json: { target: NAME, port: 443 },
  });
  for (const [name, effectOn] of Object.entries(LIVE)) {
    await test.step(`${name} takes effect at once`, async () => expectEffect(bed, name, await effectOn(bed)));
  }
  const isOfNext = (line: string) => line.includes("These keys take effect at the next start only");
  await test.step("no live key was named", () => deepEqual(bed.node.lines.filter(isOfNext), []));
  await test.step("every other key is named", async () => {
    // Either Consul has registrations, or a directory and other nodes.
    const isBesideConsul = (name: string) => ["discovery.directory", "discovery.nats.enabled"].includes(name);
    const waiting = KEYS.filter((key) => key.reload === "restart" && !isBesideConsul(nameOf(key)));
    const values = waiting.map((key) => [nameOf(key), otherValue(key, bed.base[nameOf(key)])]);
    await bed.reload(Object.fromEntries(values));
    const line = await bed.logged(/at the next start only/);
    deepEqual(JSON.parse(line).keys, waiting.map(nameOf));
  });
});

/** Reloads without and with the key's other value, and sees that this is what makes the difference. */
async function expectEffect(bed: Bed, name: string, effect: Effect): Promise<void> {
  const { beside = {}, from, to, prepare, seen, comes, tidy } = effect;
  const patience = AbortSignal.timeout(PATIENCE_MS);
  const overdue = new Promise<never>((_, reject) => {
    patience.addEventListener("abort", () => reject(new Error(`nothing came of another ${name}`)));
  });
  overdue.catch(() => {});
  const soon = <Value>(coming: Promise<Value> | Value) => Promise.race([coming, overdue]);
  bed.mode = "ok";
  try {
    const { [name]: _, ...without } = beside;
    await soon(bed.reload(from === undefined ? without : { ...without, [name]: from }));
    await soon(prepare?.());
    if (seen) deepEqual(await soon(seen[0]()), seen[1], "before");
    await soon(bed.reload({ ...without, [name]: to }));
    if (seen) deepEqual(await soon(seen[0]()), seen[2], "after");
    await soon(comes?.());
  } finally {
    tidy?.();
  }
}
