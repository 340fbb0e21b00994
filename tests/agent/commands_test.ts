/** @module `pleiades agent …` with settings of its own, against a real server. */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { run as main } from "../../main.ts";
import { type AgentContext, blockServer, replaceServers, run } from "../../src/agent/commands.ts";
import { Rfc2136Records } from "../../src/agent/records/rfc2136.ts";
import { systemClock } from "../../src/clock.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { program, testWith } from "../programs.ts";
import { freePort } from "../free_port.ts";
import { KEY, KEY_SECRET, NameServer, ZONE } from "./name_servers.ts";

const FQDN = `www.${ZONE}`;
const signal = new AbortController().signal;

/** Settings in a file, and a terminal that remembers. */
class Place implements AsyncDisposable {
  readonly lines: string[] = [];
  readonly file: string;
  readonly #folder: string;

  constructor() {
    this.#folder = Deno.makeTempDirSync({ prefix: "pleiades-agent-" });
    this.file = `${this.#folder}/agent.yaml`;
  }

  write(...lines: readonly string[]): this {
    Deno.writeTextFileSync(this.file, ["agent:", ...lines.map((line) => `  ${line}`), ""].join("\n"));
    return this;
  }

  /** A context that is told to stop when `stop` is called. */
  context(): AgentContext & { readonly stop: () => void } {
    const { promise: stopped, resolve } = Promise.withResolvers<Deno.Signal>();
    return { terminal: this.terminal, stopped, stop: () => resolve("SIGINT") };
  }

  readonly terminal = {
    out: (text: string) => void this.lines.push(text),
    err: (text: string) => void this.lines.push(text),
    env: () => undefined,
    colour: false,
  };

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#folder, { recursive: true });
  }
}

function recordsAt(server: NameServer): Rfc2136Records {
  const log = createLogger({ level: "error", format: "json", clock: systemClock, write: () => {} });
  return new Rfc2136Records({
    server: server.address,
    zone: ZONE,
    key: KEY,
    secondaries: [],
    clock: systemClock,
    log,
  });
}

function settingsFor(server: NameServer, ...more: readonly string[]): string[] {
  const { hostname, port } = server.address;
  return [
    `fqdn: ${FQDN}`,
    "check_interval: 5s",
    `rfc2136: { server: "${hostname}:${port}", zone: ${ZONE}, keyName: agents, secret: "${KEY_SECRET}" }`,
    ...more,
  ];
}

testWith(
  ["knotd"],
  "agent run adds the server, serves metrics and leaves the address when it is stopped",
  async () => {
    await using server = await NameServer.start("knot");
    await using place = new Place();
    for (
      const [right, wrong, words] of [
        [KEY_SECRET, "c2VjcmV0", /doesn't take the secret of the key agents \(fix agent\.rfc2136\.secret\)/],
        [
          "keyName: agents",
          "keyName: strange",
          /doesn't know the key strange .*\(fix agent\.rfc2136\.keyName/,
        ],
        [ZONE, "example.net", /www\.example\.org isn't in the zone example\.net \(fix agent\.fqdn or/],
      ] as const
    ) {
      const lines = settingsFor(server, "tcp_port: 443", "addresses: [192.0.2.10]");
      place.write(...lines.map((line) => line.startsWith("rfc2136") ? line.replace(right, wrong) : line));
      place.lines.length = 0;
      equal(await main(["agent", "run", "-c", place.file], place.terminal), 1);
      equal(place.lines.length, 1);
      match(place.lines[0]!, words);
      ok(!place.lines[0]!.includes("c2Vj"), "the secret is shown");
    }
    place.lines.length = 0;
    const port = freePort();
    place.write(...settingsFor(server, "tcp_port: 443", "addresses: [192.0.2.10, 2001:db8::10]"));
    Deno.writeTextFileSync(
      place.file,
      `${
        Deno.readTextFileSync(place.file)
      }metrics: { listenAddr: 127.0.0.1, port: ${port} }\nlog: { level: error }\n`,
    );
    const context = place.context();
    const running = run({ config: place.file }, context);
    const records = recordsAt(server);
    for (const [type, address] of [["A", "192.0.2.10"], ["AAAA", "2001:db8::10"]] as const) {
      while ((await records.read(FQDN, type, signal)).values.length === 0);
      deepEqual((await records.read(FQDN, type, signal)).values, [address]);
    }
    const scrape = () => fetch(`http://127.0.0.1:${port}/metrics`).then((response) => response.text());
    let metrics = await scrape();
    while (!metrics.includes('outcome="written"')) metrics = await scrape();
    match(metrics, /pleiades_agent_added_total\{.*family="v4"\} 1/);
    context.stop();
    equal(await running, 0);
    deepEqual((await records.read(FQDN, "A", signal)).values, ["192.0.2.10"]);
    deepEqual(place.lines, []);
  },
);

testWith(
  ["knotd"],
  "agent block holds the record until it is ended, and the next operator is told who has it",
  async () => {
    await using server = await NameServer.start("knot");
    await using place = new Place();
    place.write(...settingsFor(server, "tcpPort: 443"));
    Deno.writeTextFileSync(place.file, `${Deno.readTextFileSync(place.file)}log: { level: error }\n`);
    const flags = { config: place.file, for: 60_000 };
    const context = place.context();
    const blocking = blockServer("192.0.2.10", flags, context);
    const records = recordsAt(server);
    const strings = async () => (await records.read(`_blocked.${FQDN}`, "TXT", signal)).values;
    while ((await strings()).length === 0);
    match((await strings()).join(), /IP=192\.0\.2\.10/);
    await rejects(
      blockServer("192.0.2.11", flags, place.context()),
      /belongs to another operator, [0-9a-f]{8}, until/,
    );
    context.stop();
    equal(await blocking, 0);
    deepEqual(await strings(), []);
  },
);

testWith(["knotd"], "agent rolling-replace stopped on the way leaves no lock", async () => {
  await using server = await NameServer.start("knot");
  await using place = new Place();
  const lines = settingsFor(server, "tcpPort: 1", "regions: { fra: [192.0.2.0/24], one: [192.0.2.1/32] }");
  place.write(...lines);
  Deno.writeTextFileSync(place.file, `${Deno.readTextFileSync(place.file)}log: { level: error }\n`);
  const records = recordsAt(server);
  const expected = { values: [], ttl: 0 };
  await records.write(FQDN, "A", ["192.0.2.1", "192.0.2.2"], { ttl: 5, wait: false, expected }, signal);
  const flags = { config: place.file };
  await rejects(replaceServers(["one"], flags, place.context()), /The region has one server/);
  await rejects(
    replaceServers(["nyc"], flags, place.context()),
    /agent\.regions has no region "nyc" \(fra, one\)/,
  );
  const context = place.context();
  const replacing = replaceServers(["fra"], flags, context);
  replacing.catch(() => {});
  while ((await records.read(FQDN, "A", signal)).values.length === 2);
  context.stop();
  await rejects(replacing, /Stopped while fra was replaced; the lock is gone/);
  deepEqual((await records.read(`_blocked.${FQDN}`, "TXT", signal)).values, []);
  match(place.lines.join("\n"), /fra 1\/2 192\.0\.2\.[12] removing\nfra 1\/2 192\.0\.2\.[12] draining/);
});

const PROVIDER = 'rfc2136: { server: "127.0.0.1:1", zone: example.org, keyName: agents, secret: "c2VjcmV0" }';

const NAME = `fqdn: ${FQDN}`;

for (
  const [title, lines, words] of [
    ["no name", ["tcpPort: 443", PROVIDER], /no FQDN specified: set agent\.fqdn/],
    ["no port", ["fqdn: www.example.org", PROVIDER], /no port specified: set agent\.tcpPort/],
    ["port 0", ["tcpPort: 0"], /agent\.tcpPort must be 1–65535, is 0/],
    [
      "no provider",
      ["fqdn: www.example.org", "tcpPort: 443"],
      /no DNS zone provider: set agent\.rfc2136\.server/,
    ],
    [
      "two providers",
      [NAME, "tcpPort: 443", PROVIDER, "route53HostedZoneId: Z1"],
      /multiple DNS zone providers: agent\.rfc2136\.server and agent\.route53HostedZoneId are set \(keep one/,
    ],
    [
      "all regions with destroying",
      [NAME, "allRegions: true"],
      /agent\.allRegions needs agent\.preserve: true/,
    ],
    [
      "a secret that isn't base64",
      [NAME, PROVIDER.replace("c2VjcmV0", "%%")],
      /rfc2136\.secret must be base64/,
    ],
    [
      "no key",
      [NAME, 'rfc2136: { server: "127.0.0.1" }'],
      /rfc2136\.keyName is required with agent\.rfc2136\.server/,
    ],
    ["a network with host bits", ["regions: { fra: [10.1.2.3/8] }"], /did you mean 10\.0\.0\.0\/8/],
    ["a loopback address", ["addresses: 127.0.0.1"], /127\.0\.0\.1 is no address that clients elsewhere/],
    ["a link-local address", ["addresses: fe80::1"], /fe80::1 is no address that clients elsewhere/],
    ["two addresses of a family", ["addresses: [192.0.2.1, 192.0.2.2]"], /more than one IPv4 address/],
    ["a key with a typing error", ["fqdm: www.example.org"], /Unknown key "fqdm" \(did you mean "fqdn"\?\)/],
    ["two spellings", ["tcp_port: 1", "tcpPort: 1"], /tcp_port and tcpPort mean the same; keep tcpPort/],
    ["a command and a webhook", [
      NAME,
      "tcpPort: 443",
      PROVIDER,
      'destroy: { command: [/bin/true], webhook: { url: "https://a.example", secret: s } }',
    ], /agent\.destroy\.command and agent\.destroy\.webhook both end machines; keep one/],
    [
      "a webhook without a secret",
      [NAME, 'destroy: { webhook: { url: "https://a.example" } }'],
      /webhook\.secret is required/,
    ],
    ["an unknown region", [
      "fqdn: www.example.org",
      "tcpPort: 443",
      "region: nyc",
      "regions: { fra: [10.0.0.0/8] }",
      PROVIDER,
    ], /agent\.regions has no region "nyc" \(fra\)/],
    [
      "no region",
      ["fqdn: www.example.org", "tcpPort: 443", "regions: { fra: [10.0.0.0/8] }", PROVIDER],
      /which region is this\? set agent\.region to one of agent\.regions: fra/,
    ],
  ] as const
) {
  Deno.test(`agent run with ${title} ends with lines that name the key`, async () => {
    await using place = new Place();
    equal(await main(["agent", "run", "-c", place.write(...lines).file], place.terminal), 1);
    match(place.lines.join("\n"), words);
    ok(!place.lines.join("\n").includes("c2VjcmV0"), "the secret is shown");
    for (const line of place.lines) {
      match(line, /^(error|note): .*agent\.?|^error: .*(Unknown key|mean the same|CIDR)/);
    }
  });
}

Deno.test("agent run behind a provider that answers from loopback asks for an address", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using place = new Place();
  const provider = PROVIDER.replace("127.0.0.1:1", `127.0.0.1:${listener.addr.port}`);
  place.write("fqdn: www.example.org", "tcpPort: 443", provider);
  const running = rejects(
    run({ config: place.file }, place.context()),
    /is reached from 127\.0\.0\.1.*set agent\.addresses/,
  );
  (await listener.accept()).close();
  await running;
});

Deno.test("agent run whose metrics have no port of their own, as beside a node with the same settings, says where", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using place = new Place();
  place.write(NAME, "tcpPort: 443", "addresses: 192.0.2.10", PROVIDER);
  Deno.writeTextFileSync(
    place.file,
    `${Deno.readTextFileSync(place.file)}metrics: { listenAddr: 127.0.0.1, port: ${taken.addr.port} }\n` +
      "log: { level: error }\n",
  );
  equal(await main(["agent", "run", "-c", place.file], place.terminal), 1);
  deepEqual(place.lines, [
    `error: Cannot listen on 127.0.0.1:${taken.addr.port}: the port is taken (see who holds it: ss -ltnp 'sport = ` +
    `:${taken.addr.port}'; or choose another with metrics.port)`,
  ]);
});

Deno.test("a block and regions that can't be are wrong usage", async () => {
  await using place = new Place();
  place.write("fqdn: www.example.org", "tcpPort: 443", PROVIDER);
  const wrong: readonly (readonly [string, RegExp])[] = [
    ["block 192.0.2.10 --for 59s", /from 1m to 1h/],
    ["block 192.0.2.10 --for 61m", /from 1m to 1h/],
    ["block www.example.org --for 5m", /Cannot block "www\.example\.org"/],
    ["block 127.0.0.1 --for 5m", /Cannot block "127\.0\.0\.1"/],
    ["block -blockDuration=2h 192.0.2.10", /from 1m to 1h/],
    ["block", /missing required argument 'ip'/],
    ["rolling-replace", /missing required argument 'region'/],
    ["rolling-replace a b c d", /Give 1–3 regions/],
  ];
  for (const [line, words] of wrong) {
    place.lines.length = 0;
    equal(await main(["agent", ...line.split(" "), "-configFile", place.file], place.terminal), 2, line);
    match(place.lines.join("\n"), words);
  }
});

for (
  const [lines, words] of [
    [["http: { host: www.example.org }"], /agent\.http has no effect without agent\.http\.path$/],
    [['http: { expectedStatus: "204" }'], /agent\.http has no effect without agent\.http\.path$/],
    [
      ["preserve: true", "destroy: { command: [/bin/true] }"],
      /agent\.destroy has no effect with agent\.preserve: true$/,
    ],
    [
      ["ec2: { enabled: true }", "regions: { fra: [10.0.0.0/8] }"],
      /agent\.regions has no effect with agent\.ec2\.enabled \(agent\.ec2\.region names/,
    ],
    [["ec2: { enabled: true }", "region: fra"], /agent\.region has no effect with agent\.ec2\.enabled/],
  ] as const
) {
  Deno.test(`agent run says that ${lines.join(", ")} has no effect`, async () => {
    await using place = new Place();
    equal(await main(["agent", "run", "-c", place.write(NAME, ...lines).file], place.terminal), 1);
    match(place.lines[0]!, /^note: /);
    match(place.lines[0]!, words);
    equal(place.lines.length, 2); // and what is missing
  });
}

Deno.test("a short interval counts as 5s, and is said to", async () => {
  await using place = new Place();
  place.write("checkInterval: 1s");
  equal(await main(["agent", "run", "-c", place.file], place.terminal), 1);
  match(place.lines[0]!, /^note: .*agent\.checkInterval 1s counts as 5s/);
});

testWith(["bash"], "programs end machines, and what they say when they fail is told", async () => {
  const { commandDestroyer } = await import("../../src/agent/destroyers.ts");
  const bash = program("bash")!;
  const shell = (script: string, timeoutMs = 60_000) =>
    commandDestroyer({ program: bash, args: ["-c", script, "destroy"], timeoutMs });
  await shell('[ "$*" = "192.0.2.1 192.0.2.2" ]').destroy(["192.0.2.1", "192.0.2.2"], signal);
  await rejects(
    shell("echo no such machine >&2; exit 3").destroy(["192.0.2.1"], signal),
    /exit code 3: no such machine/,
  );
  await rejects(
    shell("exec sleep 60", 50).destroy(["192.0.2.1"], signal),
    /wasn't done within 50 ms, and was ended/,
  );
  const stop = new AbortController();
  const stopped = rejects(shell("exec sleep 60").destroy(["192.0.2.1"], stop.signal), /AbortError/);
  stop.abort();
  await stopped;
});

testWith(
  ["bash"],
  "a program that can't be ended, or that leaves others behind, holds no round up",
  async () => {
    const { commandDestroyer } = await import("../../src/agent/destroyers.ts");
    const folder = await Deno.makeTempDir({ prefix: "pleiades-destroy-" });
    const destroyed = (script: string, timeoutMs: number) =>
      commandDestroyer({ program: program("bash")!, args: ["-c", script, "destroy"], timeoutMs })
        .destroy(["192.0.2.1"], signal);
    try {
      await rejects(
        destroyed('trap "" TERM; exec sleep 600', 200),
        /wasn't done within 200 ms, and was ended/,
      );
      // What it has started keeps its standard error open.
      const leaving = (code: number) => `sleep 600 & echo $! >> ${folder}/pids; echo left >&2; exit ${code}`;
      await rejects(destroyed(leaving(3), 600_000), /exit code 3: left$/);
      await destroyed(leaving(0), 600_000);
      // It says more than any message needs, and isn't held up by that.
      await rejects(
        destroyed("head -c 5000000 /dev/zero | tr '\\0' x >&2; exit 4", 600_000),
        /exit code 4: x{200}…$/,
      );
    } finally {
      const pids = await Deno.readTextFile(`${folder}/pids`);
      for (const pid of pids.trim().split("\n")) Deno.kill(Number(pid), "SIGKILL");
      await Deno.remove(folder, { recursive: true });
    }
  },
);

Deno.test("a service ends machines: what is posted is signed", async () => {
  const { webhookDestroyer } = await import("../../src/agent/destroyers.ts");
  const posts: (readonly [string, string | null])[] = [];
  let status = 204;
  await using service = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      posts.push([await request.text(), request.headers.get("pleiades-signature")]);
      return new Response(null, { status });
    },
  );
  const url = `http://127.0.0.1:${service.addr.port}/destroy?key=hidden`;
  const destroyer = webhookDestroyer({ url, secret: "secret", timeoutMs: 5_000 });
  await destroyer.destroy(["192.0.2.1"], signal);
  // printf '{"destroy":["192.0.2.1"]}' | openssl dgst -sha256 -hmac secret
  deepEqual(posts, [[
    '{"destroy":["192.0.2.1"]}',
    "sha256=644d953d97189068a33ecf44544eb17bf0e7bb584390a6f5fa89de3181e52c5e",
  ]]);
  status = 500;
  const error: unknown = await destroyer.destroy(["192.0.2.1"], signal).catch((error) => error);
  match(String(error), /didn't destroy 192\.0\.2\.1/);
  equal(String(error).includes("hidden"), false);
});
