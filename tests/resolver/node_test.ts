/**
 * Members by name on a whole node, with a resolver that changes its mind and backends that come and go.
 *
 * @module
 */
import { deepEqual, equal, match } from "node:assert/strict";
import { pause } from "../clock.ts";
import { Folder } from "../store/folder.ts";
import {
  ask,
  askFor,
  call,
  create,
  startTestNode,
  TEST_SETTINGS,
  type TestNode,
  until,
} from "../test_node.ts";
import { LoopbackResolver } from "./resolver.ts";

const CHECK = { type: "tcp", intervalMs: 1000, timeoutMs: 200, rise: 1, fall: 1 };

/** TTLs as short as a test wants them; operators can't set less than a second. */
function startWith(resolver: LoopbackResolver, path = ":memory:"): Promise<TestNode> {
  return startTestNode({
    names: { resolvers: [resolver.address], minTtl: 30, maxTtl: 300_000, timeout: 400 },
    health: { ...TEST_SETTINGS.health, flipGuard: { share: 0, atLeast: 5, hold: 0 } },
    database: { path },
    dns: { ...TEST_SETTINGS.dns, domain: ["example.com"] },
  });
}

interface Wanted {
  readonly pool?: object;
  readonly members: readonly object[];
  readonly domain?: string;
}

/** Declares a pool, its members and a service that it answers; gives the pool's id. */
async function declare(
  node: TestNode,
  { pool = {}, members, domain = "www.example.com" }: Wanted,
): Promise<string> {
  const poolId = await create(node, "/pools", { name: "web", maxAnswers: 0, ...pool });
  for (const member of members) await create(node, `/pools/${poolId}/members`, { port: 443, ...member });
  await create(node, "/services", { domain, poolId });
  return poolId;
}

async function addresses(
  node: TestNode,
  wanted: readonly string[],
  domain = "www.example.com",
): Promise<void> {
  await until(async () => (await askFor(node, domain)).sort().join(), (data) => data === wanted.join());
}

/** Resolves when something holds that nobody tells of; meanwhile the event loop turns. */
async function eventually(holds: () => boolean): Promise<void> {
  while (!holds()) await pause();
}

/** Resolves when the resolver was asked so many more times. */
async function asked(resolver: LoopbackResolver, times: number): Promise<void> {
  const enough = resolver.asked.length + times;
  await eventually(() => resolver.asked.length >= enough);
}

async function metric(node: TestNode, name: string): Promise<string[]> {
  const { metrics } = node.node;
  const text = await (await fetch(`http://127.0.0.1:${metrics!.port}/metrics`)).text();
  return text.split("\n").filter((line) => line.startsWith(name)).map((line) =>
    line.replace(/(cluster|node)="[^"]*",?/g, "")
  );
}

Deno.test("a member by name is answered with the addresses of its name, and follows them", async () => {
  await using resolver = new LoopbackResolver({
    "web.example.net": { a: ["192.0.2.7"], aaaa: ["2001:db8::7"], ttl: 0 },
  });
  await using node = await startWith(resolver);
  await declare(node, { members: [{ target: "web.example.net" }] });
  await addresses(node, ["192.0.2.7"]);
  deepEqual(await askFor(node, "www.example.com", "AAAA"), ["2001:db8::7"]);
  resolver.says["web.example.net"] = { a: ["192.0.2.9", "192.0.2.8"], ttl: 0, alias: "cdn.example.org" };
  await addresses(node, ["192.0.2.8", "192.0.2.9"]);
});

Deno.test("the last good addresses stay while no resolver answers, and that is said once", async () => {
  await using resolver = new LoopbackResolver({ "web.example.net": { a: ["192.0.2.7"], ttl: 0 } });
  await using node = await startWith(resolver);
  await declare(node, { members: [{ target: "web.example.net" }] });
  await addresses(node, ["192.0.2.7"]);
  const warnings = () => node.lines.filter((line) => line.includes("Cannot resolve web.example.net"));
  resolver.says["web.example.net"] = "SERVFAIL";
  await eventually(() => warnings().length > 0);
  await asked(resolver, 10);
  resolver.says["web.example.net"] = "nothing at all";
  await asked(resolver, 6);
  deepEqual(await askFor(node, "www.example.com"), ["192.0.2.7"]);
  equal(warnings().length, 1);
  match(warnings()[0]!, /"reason":"127\.0\.0\.1:\d+: SERVFAIL"/);
  deepEqual(
    (await metric(node, "pleiades_names_targets{")).sort(),
    ["resolved", "stale", "unresolved"].map((state) =>
      `pleiades_names_targets{state="${state}"} ${state === "stale" ? 1 : 0}`
    ),
  );
  resolver.says["web.example.net"] = { a: ["192.0.2.8"], ttl: 0 };
  await addresses(node, ["192.0.2.8"]);
  equal(node.lines.some((line) => line.includes("web.example.net is resolved again")), true);
});

Deno.test("a name that is said twice not to exist has no addresses any more", async () => {
  await using resolver = new LoopbackResolver({
    "web.example.net": { a: ["192.0.2.7"], ttl: 0 },
    "other.example.net": { a: ["192.0.2.8"], ttl: 0 },
  });
  await using node = await startWith(resolver);
  const poolId = await declare(node, {
    members: [{ target: "web.example.net" }, { target: "other.example.net" }],
  });
  await addresses(node, ["192.0.2.7", "192.0.2.8"]);
  resolver.says["web.example.net"] = "NXDOMAIN";
  await addresses(node, ["192.0.2.8"]);
  const { json } = await call(node, "GET", `/pools/${poolId}/members`);
  deepEqual(
    (json as { health: { eligible: boolean; why: string | null } }[]).map(({ health }) => health.why),
    [
      "no address of web.example.net is known",
      null,
    ],
  );
});

Deno.test("a name that no member goes by any more isn't asked for", async () => {
  await using resolver = new LoopbackResolver({
    "web.example.net": { a: ["192.0.2.7"], ttl: 0 },
    "other.example.net": { a: ["192.0.2.8"], ttl: 0 },
  });
  await using node = await startWith(resolver);
  const poolId = await declare(node, { members: [{ target: "other.example.net" }] });
  const memberId = await create(node, `/pools/${poolId}/members`, { target: "web.example.net", port: 443 });
  await addresses(node, ["192.0.2.7", "192.0.2.8"]);
  equal((await call(node, "DELETE", `/members/${memberId}`)).status, 204);
  deepEqual(await askFor(node, "www.example.com"), ["192.0.2.8"]);
  await asked(resolver, 4);
  const before = resolver.asked.length;
  await asked(resolver, 6);
  deepEqual([...new Set(resolver.asked.slice(before))].sort(), [
    "other.example.net A",
    "other.example.net AAAA",
  ]);
});

Deno.test("after a restart while no resolver answers, the addresses of before are answered", async () => {
  using folder = new Folder();
  await using resolver = new LoopbackResolver({ "web.example.net": { a: ["192.0.2.7"], ttl: 0 } });
  {
    await using node = await startWith(resolver, folder.file("p.db"));
    await declare(node, { members: [{ target: "web.example.net" }] });
    await addresses(node, ["192.0.2.7"]);
  }
  resolver.says["web.example.net"] = "nothing at all";
  await using node = await startWith(resolver, folder.file("p.db"));
  deepEqual(await askFor(node, "www.example.com"), ["192.0.2.7"]);
});

Deno.test("at the first start the names are resolved before anything is answered", async () => {
  using folder = new Folder();
  await using resolver = new LoopbackResolver({ "web.example.net": "nothing at all" });
  {
    await using node = await startWith(resolver, folder.file("p.db"));
    await declare(node, { members: [{ target: "web.example.net" }] });
    deepEqual(await askFor(node, "www.example.com"), []);
  }
  resolver.says["web.example.net"] = { a: ["192.0.2.7"], ttl: 60 };
  await using node = await startWith(resolver, folder.file("p.db"));
  deepEqual(await askFor(node, "www.example.com"), ["192.0.2.7"]);
});

/** A TCP backend on one loopback address; the port is the first one's. */
function backend(hostname: string, port = 0) {
  const listener = Deno.listen({ hostname, port });
  const serving = (async () => {
    for await (const connection of listener) connection.close();
  })();
  return {
    port: listener.addr.port,
    [Symbol.asyncDispose]: async () => {
      listener.close();
      await serving;
    },
  };
}

Deno.test("each address of a name is probed by itself", async () => {
  await using resolver = new LoopbackResolver({
    "web.example.net": { a: ["127.0.0.1", "127.0.0.2"], ttl: 60 },
  });
  await using node = await startWith(resolver);
  await using first = backend("127.0.0.1");
  const second = backend("127.0.0.2", first.port);
  const poolId = await create(node, "/pools", { name: "web", maxAnswers: 0 });
  equal((await call(node, "PUT", `/pools/${poolId}/health-check`, CHECK)).status, 201);
  await create(node, `/pools/${poolId}/members`, { target: "web.example.net", port: first.port });
  await create(node, "/services", { domain: "www.example.com", poolId });
  await addresses(node, ["127.0.0.1", "127.0.0.2"]);
  await second[Symbol.asyncDispose]();
  await addresses(node, ["127.0.0.1"]);
  const { json } = await call(node, "GET", `/pools/${poolId}/members`);
  const [{ health }] = json as [{ health: Record<string, string> }];
  deepEqual([health.state, health.eligible, health.why], ["healthy", true, "1 of 2 addresses are up"]);
});

Deno.test("an alias is answered as long as one of its name's addresses is up", async () => {
  await using resolver = new LoopbackResolver({
    "web.example.net": { a: ["127.0.0.1", "127.0.0.2"], ttl: 60 },
    "spare.example.net": { a: ["127.0.0.3"], ttl: 60 },
  });
  await using node = await startWith(resolver);
  const first = backend("127.0.0.1");
  const second = backend("127.0.0.2", first.port);
  await using _spare = backend("127.0.0.3", first.port);
  const poolId = await create(node, "/pools", { name: "web", algorithm: "failover", flatten: false });
  equal((await call(node, "PUT", `/pools/${poolId}/health-check`, CHECK)).status, 201);
  const { port } = first;
  await create(node, `/pools/${poolId}/members`, { target: "web.example.net", port, priority: 1 });
  await create(node, `/pools/${poolId}/members`, { target: "spare.example.net", port, priority: 2 });
  await create(node, "/services", { domain: "www.example.com", poolId });
  const alias = async () => (await ask(node, "www.example.com")).answers.map(({ data }) => data).join();
  const probed = async () =>
    (await call(node, "GET", `/pools/${poolId}/members`)).json as [
      { health: { state: string; why: string } },
    ];
  await until(alias, (data) => data === "web.example.net.");
  await until(probed, ([{ health }]) => health.state === "healthy");
  await second[Symbol.asyncDispose]();
  await until(probed, ([{ health }]) => health.why === "1 of 2 addresses are up");
  equal(await alias(), "web.example.net.");
  await first[Symbol.asyncDispose]();
  await until(alias, (data) => data === "spare.example.net.");
});

Deno.test("who goes by name is asked by it: Host is the name when the check says none", async () => {
  await using resolver = new LoopbackResolver({ "web.example.net": { a: ["127.0.0.1"], ttl: 60 } });
  await using node = await startWith(resolver);
  const hosts = new Set<string | null>();
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    hosts.add(request.headers.get("host"));
    return new Response("ok");
  });
  const poolId = await create(node, "/pools", { name: "web" });
  equal((await call(node, "PUT", `/pools/${poolId}/health-check`, { ...CHECK, type: "http" })).status, 201);
  const { port } = server.addr;
  await create(node, `/pools/${poolId}/members`, { target: "web.example.net", port });
  await eventually(() => hosts.size > 0);
  deepEqual([...hosts], ["web.example.net"]);
});
