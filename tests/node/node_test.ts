/**
 * What a whole node must show: changes by REST in the next answer, whatever they are, and health in the answers.
 *
 * @module
 */
import assert from "node:assert/strict";
import { ENDS_HUNG_THREADS } from "../dns/faulty_snapshots.ts";
import { HaltingThreads } from "../dns/halting_threads.ts";
import { ask, askFor, call, create, startTestNode, TEST_SETTINGS, until } from "../test_node.ts";
import { loadSettings } from "../../src/settings/settings.ts";
import { RCODE } from "../../src/wire/record_type.ts";

Deno.test("a change by REST is in the next answer when the call returns", async () => {
  await using node = await startTestNode();
  const pool = await create(node, "/pools", { name: "web", maxAnswers: 0 });
  const first = await create(node, `/pools/${pool}/members`, { ipAddress: "192.0.2.1", port: 443 });
  await create(node, "/services", { domain: "www.example.com", poolId: pool });
  assert.deepEqual(await askFor(node, "www.example.com"), ["192.0.2.1"]);

  const second = await create(node, `/pools/${pool}/members`, { ipAddress: "192.0.2.2", port: 443 });
  assert.deepEqual((await askFor(node, "www.example.com")).sort(), ["192.0.2.1", "192.0.2.2"]);

  await call(node, "PATCH", `/members/${first}`, { enabled: false });
  assert.deepEqual(await askFor(node, "www.example.com"), ["192.0.2.2"]);

  await call(node, "PATCH", `/members/${second}`, { ipAddress: "192.0.2.3" });
  assert.deepEqual(await askFor(node, "www.example.com"), ["192.0.2.3"]);

  await call(node, "DELETE", `/members/${second}?force=true&reason=test`);
  assert.deepEqual(await askFor(node, "www.example.com"), []);
});

Deno.test("the static fallback is changed by REST in the next answer, and the settings' one comes back after it", async () => {
  const ofSettings = {
    algorithm: "round-robin",
    endpoints: ["192.0.2.1"],
    weights: {},
    onAllDown: "all",
    ttl: null,
    healthCheck: null,
  } as const;
  await using node = await startTestNode({
    dns: { ...TEST_SETTINGS.dns, domain: ["example.com"] },
    fallback: ofSettings,
  });
  const answered = async () =>
    (await ask(node, "any.example.com")).answers.map(({ data, ttl }) => [data, ttl]);
  assert.deepEqual(await answered(), [["192.0.2.1", 30]]);
  const { status } = await call(node, "PUT", "/fallback", { endpoints: ["192.0.2.2"], ttl: 5 });
  assert.equal(status, 200);
  assert.deepEqual(await answered(), [["192.0.2.2", 5]]);
  await call(node, "DELETE", "/fallback");
  assert.deepEqual(await answered(), [["192.0.2.1", 30]]);
});

Deno.test("an empty database has no pools; a deleted pool leaves its service without one and takes its members along", async () => {
  await using node = await startTestNode();
  assert.deepEqual(await call(node, "GET", "/pools"), { status: 200, json: [] });
  const pool = await create(node, "/pools", { name: "web" });
  const member = await create(node, `/pools/${pool}/members`, { ipAddress: "192.0.2.1", port: 443 });
  const service = await create(node, "/services", { domain: "www.example.com", poolId: pool });
  assert.equal((await call(node, "DELETE", `/pools/${pool}?force=true&reason=test`)).status, 204);
  const { json } = await call(node, "GET", `/services/${service}`);
  assert.equal((json as { poolId: string | null }).poolId, null);
  assert.equal((await call(node, "GET", `/members/${member}`)).status, 404);
  const { rcode, answers } = await ask(node, "www.example.com");
  assert.deepEqual([rcode, answers], [RCODE.NOERROR, []]);
});

Deno.test("a member of weight 0 weighs 1; ports 0 and 65536 and a bad address are refused", async () => {
  await using node = await startTestNode();
  const members = `/pools/${await create(node, "/pools", { name: "web" })}/members`;
  const { json } = await call(node, "POST", members, { ipAddress: "192.0.2.1", port: 443, weight: 0 });
  assert.equal((json as { weight: number }).weight, 1);
  for (const wrong of [{ port: 0 }, { port: 65_536 }, { ipAddress: "192.0.2.256" }, { ipAddress: "web1" }]) {
    const { status, json } = await call(node, "POST", members, {
      ipAddress: "192.0.2.2",
      port: 443,
      ...wrong,
    });
    const { errors } = json as { errors: readonly { pointer: string }[] };
    assert.deepEqual([status, errors.map(({ pointer }) => pointer)], [400, [`/${Object.keys(wrong)[0]}`]]);
  }
});

Deno.test("a name is found in any case, with or without final dot", async () => {
  await using node = await startTestNode();
  const pool = await create(node, "/pools", { name: "web" });
  await create(node, `/pools/${pool}/members`, { ipAddress: "192.0.2.1", port: 443 });
  await create(node, "/services", { domain: "Www.Example.COM.", poolId: pool });
  assert.deepEqual(await askFor(node, "WWW.Example.COM."), ["192.0.2.1"]);
  assert.deepEqual(await askFor(node, "www.example.com"), ["192.0.2.1"]);
});

Deno.test("an endpoint that fails its checks leaves the answers, and comes back", async () => {
  await using node = await startTestNode();
  // Ended at once: an end in good order may wait for a probe, and now and then for nothing at all.
  const listen = (hostname: string, port: number) => {
    const end = new AbortController();
    const options = { hostname, port, signal: end.signal, onListen: () => {} };
    const { addr, finished } = Deno.serve(options, () => new Response("ok"));
    return {
      port: addr.port,
      [Symbol.asyncDispose]: () => {
        end.abort();
        return finished;
      },
    };
  };
  await using steady = listen("127.0.0.1", 0);
  const failing = listen("127.0.0.2", steady.port);
  const pool = await create(node, "/pools", { name: "web", maxAnswers: 0 });
  await call(node, "PUT", `/pools/${pool}/health-check`, {
    type: "http",
    intervalMs: 250,
    timeoutMs: 200,
    rise: 2,
    fall: 2,
  });
  for (const ipAddress of ["127.0.0.1", "127.0.0.2"]) {
    await create(node, `/pools/${pool}/members`, { ipAddress, port: steady.port });
  }
  await create(node, "/services", { domain: "www.example.com", poolId: pool });
  const answered = () => askFor(node, "www.example.com");
  assert.equal((await answered()).length, 2, "members without a verdict count as healthy");

  await failing[Symbol.asyncDispose]();
  assert.deepEqual(await until(answered, (addresses) => addresses.length === 1), ["127.0.0.1"]);

  await using _back = listen("127.0.0.2", steady.port);
  assert.equal((await until(answered, (addresses) => addresses.length === 2)).includes("127.0.0.2"), true);
});

Deno.test("verdicts outlive the process: what was down at the end is down at the start", async () => {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-node-" });
  try {
    const settings = { database: { path: `${folder}/node.db` } };
    {
      await using node = await startTestNode(settings);
      const pool = await create(node, "/pools", { name: "web", maxAnswers: 0 });
      await create(node, `/pools/${pool}/members`, { ipAddress: "127.0.0.2", port: 1 });
      await create(node, `/pools/${pool}/members`, {
        ipAddress: "127.0.0.1",
        port: node.node.api!.port,
      });
      await call(node, "PUT", `/pools/${pool}/health-check`, {
        type: "tcp",
        intervalMs: 3_600_000,
        timeoutMs: 60_000,
        rise: 1,
        fall: 1,
      });
      await create(node, "/services", { domain: "www.example.com", poolId: pool });
      await until(() => askFor(node, "www.example.com"), (addresses) => addresses.length === 1);
    }
    await using again = await startTestNode({
      ...settings,
      health: { ...TEST_SETTINGS.health, startTimeout: 0 },
    });
    assert.deepEqual(await askFor(again, "www.example.com"), ["127.0.0.1"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("every metric carries the cluster and node labels", async () => {
  await using node = await startTestNode();
  await ask(node, "www.example.com");
  const text = await (await fetch(node.api.replace("/api/v1", "/metrics"))).text();
  const samples = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  assert.ok(samples.length > 20);
  assert.deepEqual(samples.filter((line) => !/[{,]cluster="test",node="node-1"/.test(line)), []);
  assert.match(text, /pleiades_dns_responses_total\{cluster="test",node="node-1",rcode="REFUSED"\} 1/);
});

Deno.test("settings can be replaced while running, all or nothing", async () => {
  await using node = await startTestNode();
  const { TEST_SETTINGS } = await import("../test_node.ts");
  assert.equal((await ask(node, "x.gslb.example")).rcode, RCODE.REFUSED);
  const dns = { ...TEST_SETTINGS.dns, domain: ["gslb.example"] };
  assert.deepEqual(await node.node.use({ ...TEST_SETTINGS, dns }), []);
  assert.equal((await ask(node, "x.gslb.example")).rcode, RCODE.NXDOMAIN);
  const restart = await node.node.use({
    ...TEST_SETTINGS,
    dns: { ...dns, port: 1 },
    api: { ...TEST_SETTINGS.api, port: 1 },
  });
  assert.deepEqual(restart, ["dns.port", "api.port"]);
});

Deno.test("what a reload takes over at once has its effect at once", async () => {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-node-" });
  try {
    const file = `${folder}/pleiades.yaml`;
    await Deno.writeTextFile(`${folder}/clients.map`, "203.0.113.0/24 192.0.2.1\n");
    await Deno.writeTextFile(
      file,
      `
dns: { domain: gslb.example, ttl: 77, nameservers: ns9.example.net }
loadbalancer: { endpoints: [192.0.2.80] }
health: { canaries: { targets: ["127.0.0.1:1"] } }
mapFile: { path: clients.map }
history: { keep: 1 }
`,
    );
    const { settings } = loadSettings({ file, env: {} });
    const { fallback, mapFile, history, health, dns } = settings!;
    const { domain, ttl, nameservers } = dns;
    await using node = await startTestNode();
    const metrics = async () => await (await fetch(node.api.replace("/api/v1", "/metrics"))).text();
    assert.deepEqual(
      await node.node.use({
        ...TEST_SETTINGS,
        ...{ fallback, mapFile, history },
        dns: { ...TEST_SETTINGS.dns, domain, ttl, nameservers },
        health: { ...TEST_SETTINGS.health, canaries: health.canaries },
      }),
      [],
    );
    const { answers } = await ask(node, "any.gslb.example");
    assert.deepEqual(answers.map(({ ttl, data }) => [ttl, data]), [[77, "192.0.2.80"]]);
    assert.deepEqual(await askFor(node, "gslb.example", "NS"), ["ns9.example.net."]);
    assert.match(await metrics(), /^pleiades_map_file_prefixes\{.*\} 1$/m);
    assert.match(await until(metrics, (text) => /^pleiades_health_blind\{.*\} 1$/m.test(text)), /./);
    for (const name of ["a", "b", "c"]) await create(node, "/pools", { name });
    const { json } = await call(node, "GET", "/history");
    assert.equal((json as unknown[]).length, 1);

    assert.deepEqual(await node.node.use(TEST_SETTINGS), []);
    assert.equal((await ask(node, "any.gslb.example")).rcode, RCODE.REFUSED);
    assert.match(await metrics(), /^pleiades_map_file_prefixes\{.*\} 0$/m);
    assert.match(await metrics(), /^pleiades_health_blind\{.*\} 0$/m);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("settings that can't be answered leave nothing behind, and the next ones are taken over", async () => {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-node-" });
  try {
    const path = `${folder}/clients.map`;
    await Deno.writeTextFile(path, "203.0.113.0/24 192.0.2.1\n");
    await using node = await startTestNode();
    const metric = async (name: string) => {
      const text = await (await fetch(node.api.replace("/api/v1", "/metrics"))).text();
      return Number(new RegExp(`^${name}\\{[^}]*\\} (\\d+)$`, "m").exec(text)?.[1]);
    };
    const dns = { ...TEST_SETTINGS.dns, domain: ["gslb.example"] };
    const next = { ...TEST_SETTINGS, dns, mapFile: { path } };
    const { store } = node.node;
    const source = store.source.bind(store);
    store.source = () => {
      throw new Error("thrown on purpose");
    };
    const refused = node.node.use(next);
    const second = node.node.use(TEST_SETTINGS);
    await assert.rejects(refused, /on purpose/);
    await assert.rejects(second, /on purpose/);
    assert.equal((await ask(node, "x.gslb.example")).rcode, RCODE.REFUSED);
    assert.equal(await metric("pleiades_map_file_prefixes"), 0);
    store.source = source;
    assert.deepEqual(await node.node.use(next), []);
    assert.equal((await ask(node, "x.gslb.example")).rcode, RCODE.NXDOMAIN);
    assert.equal(await metric("pleiades_map_file_prefixes"), 1);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a pool whose algorithm lacks what it goes by is warned of when it gets it, once", async () => {
  await using node = await startTestNode();
  const warnings = () => node.lines.map((line) => JSON.parse(line)).filter(({ level }) => level === "warn");
  const pool = await create(node, "/pools", { name: "web", algorithm: "latency" });
  await create(node, `/pools/${pool}/members`, { ipAddress: "192.0.2.1", port: 443 });
  await call(node, "PATCH", `/pools/${pool}`, { maxAnswers: 2 });
  assert.deepEqual(warnings().map(({ message }) => message), [
    "Members of pool web only rotate: latency needs a health check",
  ]);
  await call(node, "PATCH", `/pools/${pool}`, { algorithm: "weighted-round-robin" });
  assert.equal(warnings().length, 1);
});

if (ENDS_HUNG_THREADS) {
  Deno.test("a node whose DNS worker hangs isn't ready, settles nothing, and is whole again by itself", async () => {
    using threads = new HaltingThreads();
    await using node = await startTestNode();
    const pool = await create(node, "/pools", { name: "web" });
    await create(node, `/pools/${pool}/members`, { ipAddress: "192.0.2.1", port: 443 });
    await create(node, "/services", { domain: "www.example.com", poolId: pool });
    assert.deepEqual(await askFor(node, "www.example.com"), ["192.0.2.1"]);

    await threads.halt("udp");
    const readyz = () =>
      fetch(new URL("/readyz", node.api)).then(({ body, status }) => body!.cancel().then(() => status));
    await until(readyz, (status) => status === 503);
    const response = await fetch(`${node.api}/pools/${pool}/members`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ipAddress: "192.0.2.2", port: 443 }),
    });
    assert.equal(response.status, 201);
    await response.body!.cancel();
    if (response.headers.get("pleiades-settled") !== "false") {
      assert.equal((await askFor(node, "www.example.com")).length, 1);
    }
    assert.ok(node.lines.some((line) => line.includes("A DNS worker hung; starting another")));
    await until(readyz, (status) => status === 200);
    assert.equal((await askFor(node, "www.example.com")).length, 1);
    const metrics = await (await fetch(new URL("/metrics", node.api))).text();
    assert.match(metrics, /^pleiades_dns_workers_replaced_total\{.*reason="hung"\} 1$/m);
  });
}

Deno.test("a pool with nobody left is told by the log, the status and the metrics, and so is its return", async () => {
  await using node = await startTestNode();
  using alive = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = alive.addr;
  const spare = await create(node, "/pools", { name: "spare" });
  await create(node, `/pools/${spare}/members`, { ipAddress: "127.0.0.1", port });
  const web = await create(node, "/pools", { name: "web", onAllDown: "fallback", fallbackPoolId: spare });
  const members = await Promise.all(
    ["127.0.0.2", "127.0.0.3"].map((ipAddress) => create(node, `/pools/${web}/members`, { ipAddress, port })),
  );
  const told = async () => {
    const { json } = await call(node, "GET", "/status");
    return (json as { pools: { downPools: Record<string, unknown>[] } }).pools;
  };
  assert.deepEqual(await told(), { total: 2, down: 0, downPools: [] });

  const check = { type: "tcp", intervalMs: 250, timeoutMs: 200, rise: 1, fall: 1 };
  await call(node, "PUT", `/pools/${web}/health-check`, check);
  const down = { id: web, name: "web", family: null, members: 2, healthy: 0, answers: "fallback spare" };
  assert.deepEqual((await until(told, ({ downPools }) => downPools.length > 0)).downPools, [down]);
  const { json: states } = await call(node, "GET", "/pool-states");
  assert.deepEqual(states, [
    { poolId: spare, members: 1, healthy: 1, answersWhenDown: "answering all" },
    { poolId: web, members: 2, healthy: 0, answersWhenDown: "fallback spare" },
  ]);
  const metrics = await (await fetch(node.api.replace("/api/v1", "/metrics"))).text();
  assert.match(
    metrics,
    new RegExp(`^pleiades_pool_down\\{.*,pool="web",pool_id="${web}",family="all"\\} 1$`, "m"),
  );
  assert.match(metrics, /^pleiades_pool_members_healthy\{.*,pool="spare",pool_id="[0-9a-f]{32}"\} 1$/m);
  assert.equal(
    node.lines.filter((line) => /Pool is down.*"pool":"web","healthy":"0\/2"/.test(line)).length,
    1,
  );

  const force = { target: `member:${members[0]}`, state: "up", reason: "test", owner: "test", for: "1h" };
  await create(node, "/overrides", force);
  await until(told, ({ downPools }) => downPools.length === 0);
  assert.ok(node.lines.some((line) => /Pool is up again.*"healthy":"1\/2"/.test(line)));
});

Deno.test("what takes the last member away doesn't matter: an override, a switch, one family of two", async () => {
  await using node = await startTestNode();
  const web = await create(node, "/pools", { name: "web" });
  const member = await create(node, `/pools/${web}/members`, { ipAddress: "192.0.2.1", port: 80 });
  const told = async () => {
    const { json } = await call(node, "GET", "/status");
    const { downPools } = (json as { pools: { downPools: Record<string, unknown>[] } }).pools;
    return downPools.map(({ family, members, healthy, answers }) => [family, members, healthy, answers]);
  };
  const override = { target: "pool:web", state: "down", reason: "test", owner: "test", for: "1h" };
  const id = await create(node, "/overrides", override);
  assert.deepEqual(await until(told, ({ length }) => length > 0), [[null, 1, 0, "NODATA"]]);
  await create(node, "/services", { domain: "www.example.com", poolId: web });
  assert.deepEqual(await askFor(node, "www.example.com"), [], "the status tells what is answered");
  await call(node, "DELETE", `/overrides/${id}`);
  await until(told, ({ length }) => length === 0);

  await call(node, "PATCH", `/members/${member}?force=true&reason=test`, { enabled: false });
  assert.deepEqual(await until(told, ({ length }) => length > 0), [[null, 0, 0, "NODATA"]]);
  await call(node, "PATCH", `/members/${member}`, { enabled: true });
  await until(told, ({ length }) => length === 0);

  await call(node, "PATCH", `/members/${member}`, { ipAddress: "127.0.0.2", port: 1 });
  const other = await create(node, `/pools/${web}/members`, { ipAddress: "2001:db8::1", port: 1 });
  await create(node, "/overrides", { ...override, target: `member:${other}`, state: "up" });
  await call(node, "PUT", `/pools/${web}/health-check`, {
    type: "tcp",
    intervalMs: 250,
    timeoutMs: 200,
    fall: 1,
  });
  assert.deepEqual(await until(told, ({ length }) => length > 0), [["v4", 1, 0, "NODATA for A"]]);
});

Deno.test("a rule that no database can decide is told to who makes it, and in the log", async () => {
  await using node = await startTestNode();
  const pool = await create(node, "/pools", { name: "web" });
  const memberId = await create(node, `/pools/${pool}/members`, { ipAddress: "192.0.2.1", port: 80 });
  const response = await fetch(`${node.api}/pools/${pool}/geo-rules`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ country: "DE", memberId }),
  });
  await response.body?.cancel();
  assert.equal(response.status, 201);
  const lack = "country DE needs the setting geoip.database";
  assert.equal(response.headers.get("pleiades-remark"), `This rule never matches: ${lack}`);
  assert.ok(node.lines.some((line) => line.includes(`Geo rules that never match: web: ${lack}`)));
});
