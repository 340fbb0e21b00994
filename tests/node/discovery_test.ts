/**
 * Discovery in a whole node: registering, looking up, following, over HTTP, DNS and the shell.
 *
 * @module
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { lookup, registerFile, watch } from "../../src/cli/discovery.ts";
import { DISCOVERY } from "../../src/discovery/port.ts";
import { ask, brief, instance, SETTINGS, ZONE } from "../discovery/world.ts";
import { askFor, startTestNode, TEST_SETTINGS, type TestNode, until } from "../test_node.ts";
import { ConsulServer, ROOT_TOKEN } from "../consul/server.ts";
import { testWith } from "../programs.ts";
import { freePort } from "../free_port.ts";
import { ServeProcess } from "../serve_process.ts";
import type { Core } from "../../src/node/part.ts";
import { PARTS } from "../../src/node/parts.ts";
import type { Settings } from "../../src/settings/settings.ts";

const WEB = "http.web.prod.shop.gg";
const encoder = new TextEncoder();

/** A node whose discovery has a directory of its own. */
class Place implements AsyncDisposable {
  readonly #node: TestNode;
  readonly directory: string;
  readonly #core: () => Core;

  private constructor(node: TestNode, directory: string, core: () => Core) {
    this.#node = node;
    this.directory = directory;
    this.#core = core;
  }

  static async start(more: Partial<Settings["discovery"]> = {}): Promise<Place> {
    const directory = await Deno.makeTempDir();
    const discovery = { ...SETTINGS, directory, ...more };
    let core: Core | null = null;
    const parts = [(each: Core) => {
      core = each;
      return null;
    }, ...PARTS];
    return new Place(await startTestNode({ discovery }, { parts }), directory, () => core!);
  }

  get api(): string {
    return this.#node.api;
  }

  get node(): TestNode {
    return this.#node;
  }

  get dns() {
    return this.#core().ports.find(DISCOVERY)!.dns!;
  }

  async call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
    const response = await fetch(`${this.api}${path}`, {
      method,
      headers: { ...body !== undefined && { "content-type": "application/json" }, ...headers },
      ...body !== undefined && { body: JSON.stringify(body) },
    });
    const text = await response.text();
    return {
      status: response.status,
      etag: response.headers.get("etag"),
      json: text && JSON.parse(text),
      text,
    };
  }

  async apply(yaml: string): Promise<void> {
    const applied = await fetch(`${this.api}/apply`, {
      method: "POST",
      headers: { "content-type": "application/yaml" },
      body: yaml,
    });
    equal(applied.status, 200, await applied.text());
  }

  async exported(): Promise<string> {
    const response = await fetch(`${this.api}/model`, { headers: { accept: "application/yaml" } });
    return await response.text();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#node[Symbol.asyncDispose]();
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** A pool that takes its members from an address. */
const SHOP = `pools:
  - name: shop
    maxAnswers: 0
    members:
      discover: HTTP.web.prod.shop.gg
services:
  - domain: shop.example.com
    pool: shop
zones:
  - domain: example.com
    text: |
      @ 3600 IN SOA ns1.example.com. admin.example.com. 1 3600 600 86400 60
      @ 3600 IN NS ns1.example.com.
      ns1 3600 IN A 192.0.2.53
`;

Deno.test("what a provider registers is answered over DNS and HTTP when the call returns, until it is withdrawn", async () => {
  await using place = await Place.start();
  const document = {
    instances: [instance("a", { weight: 3 }), instance("b", { ipAddress: "192.0.2.9", node: "h2" })],
  };
  deepEqual((await place.call("PUT", "/providers/chef", document)).json, { instances: 2 });
  equal(
    brief(await ask(place.dns, `${WEB}.${ZONE}`, "SRV")),
    "NOERROR|aa|5 0 3 8080 host1.example.net.|5 0 0 8080 h2.",
  );
  const found = await place.call("GET", `/lookup/${WEB.toUpperCase()}`);
  equal(found.status, 200);
  deepEqual(found.json, {
    address: WEB,
    stale: false,
    instances: [
      {
        ...{
          id: "a",
          provider: "chef",
          node: "host1.example.net",
          ipAddresses: ["192.0.2.1", "2001:db8::1"],
        },
        ...{ port: 8080, priority: 0, weight: 3 },
      },
      {
        id: "b",
        provider: "chef",
        node: "h2",
        ipAddresses: ["192.0.2.9"],
        port: 8080,
        priority: 0,
        weight: 0,
      },
    ],
  });
  equal((await place.call("GET", `/lookup/${WEB}`, undefined, { "if-none-match": found.etag! })).status, 304);
  deepEqual((await place.call("GET", "/lookup?suffix=shop.gg")).json, [WEB]);
  deepEqual((await place.call("GET", "/lookup?suffix=op.gg")).json, []);
  deepEqual((await place.call("GET", "/lookup/http.web.test.shop.gg")).json.instances, []);
  equal((await place.call("GET", "/lookup/http.web.prod.none.gg")).status, 404);
  match((await place.call("GET", "/lookup/web.prod.shop.gg")).text, /must have five labels/);

  const owned = await place.call("PUT", "/providers/other", { instances: [instance("a")] });
  equal(owned.status, 409);
  match(owned.text, /The id \\"a\\" is registered by chef/);
  const wrong = await place.call("PUT", "/providers/chef", { instances: [instance("a", { port: 0 })] });
  equal(wrong.status, 400);
  match(wrong.text, /chef:1:\d+: port must be a number from 1 to 65535, is 0/);
  equal((await place.call("PUT", "/providers/_x", { instances: [] })).status, 404);
  const page = await place.call("PUT", "/providers/chef", { instances: [] }, {
    origin: new URL(place.api).origin,
  });
  equal(page.status, 403);
  equal((await place.call("DELETE", "/providers/chef")).status, 204);
  equal((await place.call("DELETE", "/providers/chef")).status, 404);
  equal(brief(await ask(place.dns, `${WEB}.${ZONE}`, "SRV")), "NXDOMAIN|aa");
});

Deno.test("a look-up waits for another state than the one that its client has", async () => {
  await using place = await Place.start();
  await place.call("PUT", "/providers/chef", { instances: [instance("a")] });
  const { etag } = await place.call("GET", `/lookup/${WEB}`);
  const waiting = place.call("GET", `/lookup/${WEB}?wait=30`, undefined, { "if-none-match": etag! });
  await place.call("PUT", "/providers/other", {
    instances: [instance("x", { address: "http.web.prod.none.gg" })],
  });
  await place.call("PUT", "/providers/chef", { instances: [instance("a"), instance("b")] });
  const { json, etag: another } = await waiting;
  deepEqual(json.instances.map(({ id }: { id: string }) => id), ["a", "b"]);

  // What has waited looks like what hasn't, over the same connection as well.
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(new URL(place.api).port) });
  const asked = async (method: string, tag: string, query: string, headers = "") => {
    const path = `/api/v1/lookup/${WEB}${query}`;
    await connection.write(encoder.encode(
      `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: ${tag}\r\n${headers}\r\n`,
    ));
  };
  const answered = async (end: string) => {
    let text = "";
    const buffer = new Uint8Array(4096);
    while (!text.includes("\r\n\r\n") || !text.endsWith(end)) {
      text += new TextDecoder().decode(buffer.subarray(0, (await connection.read(buffer))!));
    }
    return text.replace(/date: .*\r\n/, "").split("\r\n").sort();
  };
  await asked("GET", `W/${another}`, "?wait=30");
  await place.call("PUT", "/providers/chef", { instances: [instance("b")] });
  const waited = await answered("]}");
  await asked("GET", another!, "");
  deepEqual(waited, await answered("]}"));
  const { etag: last } = await place.call("GET", `/lookup/${WEB}`);
  await asked("GET", last!, "?wait=1");
  const unchanged = await answered("\r\n\r\n");
  await asked("HEAD", last!, "");
  deepEqual(unchanged, await answered("\r\n\r\n"));
  await asked("GET", last!, "?wait=30", "Connection: close\r\n");
  await place.call("DELETE", "/providers/chef");
  const gone = await answered("}");
  ok(gone.includes("HTTP/1.1 404 Not Found") && gone.includes("connection: close"), gone.join("\n"));
  const metrics = await (await fetch(`${new URL(place.api).origin}/metrics`)).text();
  match(metrics, /pleiades_api_requests_total\{.*route="\/api\/v1\/lookup\/\{address\}",status="404"\} 1\n/);
});

Deno.test({
  name:
    "programs of this machine register at a socket without a token; another process's socket takes its place",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const directory = await Deno.makeTempDir();
    const socket = `${directory}/.socket`;
    const start = () =>
      startTestNode({
        discovery: { ...SETTINGS, directory, socket },
        api: { ...TEST_SETTINGS.api, tokens: ["a token of the settings"] },
      });
    await using first = await start();
    const refused = await fetch(`${first.api}/providers/chef`, {
      ...{ method: "PUT", headers: { "content-type": "application/json" } },
      body: JSON.stringify({ instances: [] }),
    });
    equal(refused.status, 401, await refused.text());
    equal((await Deno.stat(socket)).mode! & 0o777, 0o600);
    const document = { instances: [instance("a")] };
    match(await overSocket(socket, "PUT", "/providers/chef", document), /^HTTP\/1\.1 200 [^]*"instances":1/);
    match(await overSocket(socket, "GET", `/lookup/${WEB}`), /^HTTP\/1\.1 200 [^]*"id":"a"/);
    match(await overSocket(socket, "GET", "/pools"), /^HTTP\/1\.1 404 /);
    await using second = await start();
    await first[Symbol.asyncDispose]();
    match(await overSocket(socket, "DELETE", "/providers/chef"), /^HTTP\/1\.1 204 /);
    await second[Symbol.asyncDispose]();
    deepEqual([...Deno.readDirSync(directory)], []);
    await Deno.remove(directory);
  },
});

Deno.test({
  name: "what was registered is there after a kill, and so is the socket",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const folder = await Deno.makeTempDir();
    await Deno.mkdir(`${folder}/providers`);
    const socket = `${folder}/s.sock`;
    const dnsAddr = `127.0.0.1:${freePort()}`;
    const discovery = { enabled: true, dnsAddr, directory: `${folder}/providers`, socket };
    await Deno.writeTextFile(`${folder}/node.yaml`, JSON.stringify({ discovery }));
    const args = ["-c", `${folder}/node.yaml`, "--db", ":memory:"];
    {
      await using serve = await ServeProcess.start({ args });
      const answer = await overSocket(socket, "PUT", "/providers/chef", { instances: [instance("a")] });
      serve.kill("SIGKILL");
      await serve.ended();
      match(answer, /^HTTP\/1\.1 200 [^]*"instances":1/);
    }
    ok((await Deno.lstat(socket)).isSocket, "nothing has removed it");
    await using _serve = await ServeProcess.start({ args });
    match(await overSocket(socket, "GET", `/lookup/${WEB}`), /^HTTP\/1\.1 200 [^]*"id":"a"/);
    deepEqual([...Deno.readDirSync(`${folder}/providers`)].map(({ name }) => name), ["chef.json"]);
    await Deno.remove(folder, { recursive: true });
  },
});

/** The whole answer of a call at a unix socket. */
async function overSocket(path: string, method: string, target: string, body?: unknown): Promise<string> {
  using connection = await Deno.connect({ transport: "unix", path });
  const text = body === undefined ? "" : JSON.stringify(body);
  const head = [`${method} /api/v1${target} HTTP/1.1`, "Host: localhost", "Connection: close"];
  if (text !== "") head.push("Content-Type: application/json", `Content-Length: ${text.length}`);
  await connection.write(encoder.encode(`${head.join("\r\n")}\r\n\r\n${text}`));
  let answer = "";
  const buffer = new Uint8Array(4096);
  for (let size = await connection.read(buffer); size !== null; size = await connection.read(buffer)) {
    answer += new TextDecoder().decode(buffer.subarray(0, size));
  }
  return answer;
}

Deno.test("the commands of discovery register, look up and follow", async () => {
  await using place = await Place.start();
  const options = { api: new URL(place.api).origin, output: "json" as const };
  const said: string[] = [];
  let wake = () => {};
  const terminal = {
    out: (text: string) => {
      said.push(text);
      wake();
    },
    ...{ err: (text: string) => said.push(`err: ${text}`), env: () => undefined, colour: false },
  };
  const file = `${place.directory}/../chef-${crypto.randomUUID()}.json`;
  Deno.writeTextFileSync(file, JSON.stringify({ instances: [instance("a")] }));
  equal(await registerFile(file, { ...options, provider: "chef", zone: "gg" }, terminal), 0);
  deepEqual(said.splice(0), ["ok: 1 instance of chef"]);
  equal(await lookup(WEB, { ...options, output: "table" }, terminal), 0);
  match(said.splice(0).join(), /a +host1\.example\.net +.*8080 +0 +0 +chef/);

  const first = new Promise<void>((resolve) => wake = resolve);
  const watching = watch(WEB, { ...options, changes: 2 }, terminal);
  await first;
  Deno.writeTextFileSync(file, JSON.stringify({ instances: [instance("a"), instance("b")] }));
  equal(
    await registerFile(file, {
      zone: "gg",
      provider: "chef",
      directory: place.directory,
      reloadCommand: "true",
    }, terminal),
    0,
  );
  equal(await watching, 0);
  const states = said.splice(0).filter((line) => line.startsWith("{")).map((line) =>
    JSON.parse(line).instances.length
  );
  deepEqual(states, [1, 2]);

  Deno.writeTextFileSync(file, '{"instances": [{"id": "a"}]}');
  equal(await registerFile(file, { zone: "gg", provider: "chef", directory: place.directory }, terminal), 1);
  match(said.splice(0).join(), /^err: .*:1:16: address is required/);
  for (
    const [command, reason] of [["false", "ended with 1"], [
      "/none/such",
      "can't be run: there is no such file",
    ]]
  ) {
    Deno.writeTextFileSync(file, JSON.stringify({ instances: [] }));
    const failing = registerFile(
      file,
      { zone: "gg", provider: "chef", directory: place.directory, reloadCommand: command! },
      terminal,
    );
    const message = await failing.then(() => "", ({ message }) => message);
    ok(message.startsWith("It is registered, but") && message.includes(reason!), message);
  }
  const flags = { provider: "chef", directory: place.directory, zone: "gg", reloadCommand: "sleep 60" };
  const hanging = registerFile(file, flags, terminal, 50);
  match(await hanging.then(() => "", ({ message }) => message), /but sleep 60 was ended after 0\.05 s/);
  Deno.removeSync(file);
});

Deno.test("a node without discovery says so", async () => {
  await using node = await startTestNode();
  const response = await fetch(`${node.api}/lookup/${WEB}`);
  equal(response.status, 404);
  match(await response.text(), /Discovery is off/);
});

Deno.test("a pool has the instances of a service as members, as they come and go", async () => {
  await using place = await Place.start();
  const register = (instances: readonly unknown[]) => place.call("PUT", "/providers/chef", { instances });
  await register([
    instance("a", { ipAddress: "192.0.2.1" }),
    instance("b", { ipAddress: "192.0.2.2", weight: 3 }),
  ]);
  await place.apply(SHOP);
  const answered = async () => (await askFor(place.node, "shop.example.com")).sort();
  await until(answered, (those) => those.length === 2);
  deepEqual(await answered(), ["192.0.2.1", "192.0.2.2"]);
  await register([
    instance("b", { ipAddress: "192.0.2.2" }),
    instance("c", { ipAddress: "192.0.2.3", port: 81 }),
  ]);
  await until(answered, (those) => those.join() === "192.0.2.2,192.0.2.3");
  const { json: account } = await place.call("GET", "/explain?name=shop.example.com&type=A");
  match(JSON.stringify(account.steps), /pool shop, with those registered at http\.web\.prod\.shop\.gg/);
  deepEqual(account.candidates.map(({ member }: { member: string }) => member).sort(), [
    "192.0.2.2:8080",
    "192.0.2.3:81",
  ]);
  match(await place.exported(), /members:\n +discover: http\.web\.prod\.shop\.gg\n/);
  equal((await place.call("DELETE", "/providers/chef")).status, 204);
  await until(answered, (those) => those.length === 0);
  const { json } = await place.call("GET", "/pools");
  equal(json[0].discover, WEB);
  const wrong = await place.call("PATCH", `/pools/${json[0].id}`, { discover: "web.prod.shop.gg" });
  equal(wrong.status, 400);
  match(wrong.text, /discover must be an address such as http\.web\.prod\.shop\.gg/);
});

testWith(
  ["consul"],
  "a pool has what Consul says of a service, and what it said last while it is away",
  async () => {
    await using consul = await ConsulServer.start({ acl: true });
    const register = (id: string, ipAddress: string) =>
      consul.register(id, "http.web.prod.shop", { ipAddress, port: 80 });
    await register("a", "192.0.2.1");
    await register("b", "192.0.2.2");
    await using place = await Place.start({
      ...{ directory: null, servers: [] },
      consul: { ...SETTINGS.consul, enabled: true, address: [consul.address], token: ROOT_TOKEN },
    });
    await place.apply(SHOP);
    /** Resolves when the pool, discovery's own DNS, look-ups and explain all say these. */
    const say = async (...wanted: string[]) => {
      const areWanted = (those: readonly string[]) => those.toSorted().join() === wanted.join();
      await until(() => askFor(place.node, "shop.example.com"), areWanted);
      const asked = () => ask(place.dns, `${WEB}.${ZONE}`, "A");
      await until(async () => (await asked()).answers.map(({ data }) => data), areWanted);
      const { json } = await place.call("GET", `/lookup/${WEB}`);
      deepEqual(json.instances.flatMap(({ ipAddresses }: { ipAddresses: string[] }) => ipAddresses), wanted);
      const { json: account } = await place.call("GET", "/explain?name=shop.example.com&type=A");
      deepEqual(
        account.candidates.map(({ member }: { member: string }) => member).sort(),
        wanted.map((ip) => `${ip}:80`),
      );
      return json.stale;
    };
    equal(await say("192.0.2.1", "192.0.2.2"), false);
    await consul.check("b", "fail");
    equal(await say("192.0.2.1"), false);
    await consul.check("b", "pass");
    await say("192.0.2.1", "192.0.2.2");
    await consul.deregister("a");
    await say("192.0.2.2");
    const exported = await place.exported();
    await consul.kill();
    await until(() => say("192.0.2.2"), (isStale) => isStale);
    await place.apply(exported);
    equal(await place.exported(), exported);
    equal(await say("192.0.2.2"), true);
  },
);
