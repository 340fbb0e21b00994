/**
 * What stands around every route: unknown paths, methods, media types, sizes, failures, and the wait for DNS.
 *
 * @module
 */
import assert from "node:assert/strict";
import { runs } from "../property_runs.ts";
import { SERVICE_DEFAULTS } from "../../src/model/model.ts";
import fc from "fast-check";
import { BODY_BYTES_MAX, createMetricsApp } from "../../src/api/api.ts";
import type { ObservedRequest } from "../../src/api/ports.ts";
import { routesOf } from "../../src/api/resource.ts";
import { RESOURCES } from "../../src/api/routes.ts";
import { SETTLE_MS } from "../../src/api/write.ts";
import { StoreBusy } from "../../src/store/database.ts";
import { type ApiWorld, apiWorld } from "./api_world.ts";

/** Every declared route, with its parameters filled in so that nothing is found there. */
const LINES = routesOf(RESOURCES).map(({ method, path }) =>
  `${method.toUpperCase()} ${
    path.replace("{id}", "0".repeat(32)).replace("{domain}", "example.net").replace("{generation}", "9")
  }`
);

Deno.test("an unknown path is 404 with a problem document that names it", async () => {
  using world = apiWorld();
  const response = await world.send("GET /api/v1/pool");
  assert.equal(response.headers.get("content-type"), "application/problem+json");
  assert.deepEqual(await response.json(), {
    type: "about:blank",
    title: "Not Found",
    status: 404,
    detail: "Nothing is at /api/v1/pool (see /docs/api)",
    instance: "/api/v1/pool",
  });
});

for (const path of new Set(LINES.map((line) => line.split(" ")[1]!))) {
  Deno.test(`a method that ${path} hasn't is 405 with the ones it has`, async () => {
    using world = apiWorld();
    const declared = LINES.filter((line) => line.endsWith(` ${path}`)).map((line) => line.split(" ")[0]!);
    const expected = [...declared, ...(declared.includes("GET") ? ["HEAD"] : [])].sort().join(", ");
    for (const method of ["OPTIONS", "POST", "PUT", "PATCH", "DELETE"]) {
      if (declared.includes(method)) continue;
      const response = await world.send(`${method} ${path}`);
      assert.equal(response.status, 405, method);
      assert.equal(response.headers.get("allow"), expected);
    }
  });
}

Deno.test("HEAD answers like GET without a body", async () => {
  using world = apiWorld();
  const response = await world.send("HEAD /api/v1/pools");
  assert.equal(response.status, 200);
  assert.equal(await response.text(), "");
});

for (const line of LINES.filter((line) => /^(POST|PUT|PATCH) /.test(line))) {
  for (
    const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
  ) {
    Deno.test(`${line} with ${type || "no media type"} is 415, as a web page's form would send it`, async () => {
      using world = apiWorld();
      const response = await world.send(line, { body: "{}", headers: { "content-type": type } });
      assert.equal(response.status, 415);
      assert.equal(world.store.generation(), 0);
    });
  }
}

Deno.test("a compressed body is 415", async () => {
  using world = apiWorld();
  const headers = { "content-encoding": "gzip" };
  assert.equal((await world.send("POST /api/v1/pools", { body: {}, headers })).status, 415);
});

const NOT_JSON: readonly (readonly [string, string, RegExp])[] = [
  ["is empty", "", /is empty/],
  ["is blank", "  ", /is empty/],
  ["breaks off", `{"name": `, /isn't JSON/],
  ["is YAML", "name: web", /isn't JSON/],
  [
    "has 90,000 keys",
    JSON.stringify(Object.fromEntries(Array.from({ length: 90_000 }, (_, i) => [`k${i}`, 0]))),
    /10,000/,
  ],
];

for (const [what, body, detail] of NOT_JSON) {
  Deno.test(`a body that ${what} is 400`, async () => {
    using world = apiWorld();
    const response = await world.send("POST /api/v1/pools", { body });
    assert.equal(response.status, 400);
    assert.match((await response.json()).detail, detail);
  });
}

for (const body of ["null", "[]", `"web"`, "1", "true"]) {
  Deno.test(`a body that is ${body} instead of an object is 400`, async () => {
    using world = apiWorld();
    for (const line of ["POST /api/v1/pools", "POST /api/v1/services"]) {
      assert.equal((await world.send(line, { body })).status, 400);
    }
  });
}

Deno.test("a body of more than 1 MiB is 413", async () => {
  using world = apiWorld();
  const body = { name: "x".repeat(BODY_BYTES_MAX) };
  assert.equal((await world.send("POST /api/v1/pools", { body })).status, 413);
});

Deno.test("a parameter that nobody knows is refused, so that a mistyped dryRun isn't a real write", async () => {
  using world = apiWorld();
  const response = await world.send("POST /api/v1/pools?dryrun=true", { body: { name: "web" } });
  assert.equal(response.status, 400);
  assert.match((await response.json()).detail, /Unknown parameter "dryrun" \(did you mean "dryRun"\?\)/);
  assert.equal(world.store.generation(), 0);
});

Deno.test("dryRun that is neither true nor false is refused", async () => {
  using world = apiWorld();
  const response = await world.send("POST /api/v1/pools?dryRun=1", { body: { name: "web" } });
  assert.equal(response.status, 400);
  assert.equal(world.store.generation(), 0);
});

Deno.test("a failure inside is 500, tells nothing about the inside, and is logged", async () => {
  using world = apiWorld();
  world.parts.node.status = () => {
    throw new Error("secret detail");
  };
  const response = await world.send("GET /api/v1/status");
  assert.equal(response.status, 500);
  assert.doesNotMatch(await response.text(), /secret/);
  assert.match(world.logged.join(""), /secret detail/);
});

Deno.test("a database that another process holds is 503 with Retry-After", async () => {
  using world = apiWorld();
  world.changes.commit = () => {
    throw new StoreBusy("locked");
  };
  const response = await world.send("POST /api/v1/pools", { body: { name: "web" } });
  assert.equal(response.status, 503);
  assert.equal(response.headers.get("retry-after"), "1");
  assert.deepEqual(world.logged, []);
});

Deno.test("a change of another process between If-Match and the commit is 412", async () => {
  using world = apiWorld();
  const { id } = await world.create("/services", { domain: "www.example.com" });
  const commit = world.changes.commit.bind(world.changes);
  world.changes.commit = (edits, origin) => {
    const fields = { ...SERVICE_DEFAULTS, domain: "www.example.com", ttl: 7 };
    commit([{ kind: "updateService", id, fields }], { via: "tui", by: "", reason: "" });
    return commit(edits, origin);
  };
  const headers = { "if-match": `"1"` };
  const response = await world.send(`PATCH /api/v1/services/${id}`, { body: { ttl: 5 }, headers });
  assert.equal(response.status, 412);
  assert.equal(world.store.services.get(id)!.ttl, 7);
});

Deno.test("a write answers only when DNS answers from its generation", async () => {
  using world = apiWorld();
  const asked: number[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  world.parts.node.settled = (generation) => {
    asked.push(generation);
    return promise;
  };
  let answered = false;
  const response = world.send("POST /api/v1/pools", { body: { name: "web" } }).finally(() => answered = true);
  await world.clock.advance(SETTLE_MS - 1);
  assert.deepEqual([asked, answered], [[1], false]);
  resolve();
  assert.equal((await response).headers.get("pleiades-settled"), null);
});

Deno.test("a write answers after 5 s even if a DNS worker doesn't come along, and says so", async () => {
  using world = apiWorld();
  world.parts.node.settled = () => new Promise(() => {});
  const response = world.send("POST /api/v1/pools", { body: { name: "web" } });
  await world.clock.advance(SETTLE_MS);
  assert.equal((await response).status, 201);
  assert.equal((await response).headers.get("pleiades-settled"), "false");
  assert.match(world.logged.join(""), /slow/);
});

Deno.test("every request is counted under its route's pattern, and nothing from the wire becomes a label", async () => {
  const seen: ObservedRequest[] = [];
  using world = apiWorld({ observe: (request) => seen.push(request) });
  await world.send(`GET /api/v1/pools/${"0".repeat(32)}`);
  await world.send("POST /api/v1/pools", { body: "{" });
  await world.send("HEAD /healthz");
  await world.send("BREW /wp-login.php");
  assert.deepEqual(seen.map(({ method, route, status }) => [method, route, status]), [
    ["GET", "/api/v1/pools/{id}", 404],
    ["POST", "/api/v1/pools", 400],
    ["HEAD", "/healthz", 200],
    ["other", "unknown", 404],
  ]);
});

Deno.test("every answer forbids sniffing, storing and embedding", async () => {
  using world = apiWorld();
  for (const line of ["GET /api/v1/pools", "GET /nothing", "GET /docs/api", "GET /metrics"]) {
    const { headers } = await world.send(line);
    assert.equal(headers.get("x-content-type-options"), "nosniff", line);
    assert.equal(headers.get("cache-control"), "no-store", line);
    assert.equal(headers.get("cross-origin-resource-policy"), "same-origin", line);
  }
});

Deno.test("a listener for metrics serves nothing else", async () => {
  using world = apiWorld();
  const app = createMetricsApp({
    expose: () => Promise.resolve("pleiades_up 1\n"),
    access: { loopback: true },
    log: world.parts.log,
  });
  const response = await app.request("/metrics");
  assert.equal(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  assert.equal(await response.text(), "pleiades_up 1\n");
  assert.equal((await app.request("/api/v1/pools")).status, 404);
});

/** A world in which every path of `WRITES` leads to an object. */
async function populated(): Promise<{ world: ApiWorld; writes: string[] }> {
  const world = apiWorld();
  const pool = await world.create("/pools", { name: "web" });
  const member = await world.create(`/pools/${pool.id}/members`, { ipAddress: "192.0.2.1", port: 80 });
  const rule = await world.create(`/pools/${pool.id}/geo-rules`, { country: "DE", memberId: member.id });
  const service = await world.create("/services", { domain: "www.example.com", poolId: pool.id });
  const writes = [
    "POST /api/v1/pools",
    `PUT /api/v1/pools/${pool.id}`,
    `POST /api/v1/pools/${pool.id}/members`,
    `PUT /api/v1/members/${member.id}`,
    `POST /api/v1/pools/${pool.id}/geo-rules`,
    `PUT /api/v1/geo-rules/${rule.id}`,
    "POST /api/v1/services",
    `PUT /api/v1/services/${service.id}`,
    "POST /api/v1/apply",
  ];
  return { world, writes };
}

for (const key of ["__proto__", "constructor", "toString"]) {
  Deno.test(`a field called ${key} is unknown like any other, created or patched`, async () => {
    using world = apiWorld();
    const { id } = await world.create("/pools", { name: "web" });
    const created = `{"name": "api", "${key}": {"maxAnswers": 5}}`;
    const patched = `{"${key}": {"maxAnswers": 5}}`;
    for (const [line, body] of [["POST /api/v1/pools", created], [`PATCH /api/v1/pools/${id}`, patched]]) {
      const response = await world.send(line!, { body });
      assert.equal(response.status, 400, line);
      const { errors } = await response.json();
      assert.deepEqual(errors.map(({ pointer }: { pointer: string }) => pointer), [`/${key}`]);
    }
    assert.equal(Reflect.get({}, "maxAnswers"), undefined);
  });
}

Deno.test("no random body makes a write fail inside, and what is refused changes nothing", async () => {
  const { world, writes } = await populated();
  using _ = world;
  const keys = [
    "name",
    "ipAddress",
    "port",
    "domain",
    "poolId",
    "memberId",
    "cidr",
    "pools",
    "services",
    "__proto__",
  ];
  const body = fc.oneof(
    fc.json(),
    fc.string(),
    fc.dictionary(fc.constantFrom(...keys), fc.jsonValue()).map((value) => JSON.stringify(value)),
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...writes), body, async (line, text) => {
      const generation = world.store.generation();
      const { status } = await world.send(line, { body: text });
      assert.ok(status < 500, `${line} answered ${status}`);
      if (status >= 400) assert.equal(world.store.generation(), generation);
    }),
    { numRuns: runs(500), seed: 7 },
  );
  assert.deepEqual(world.logged, []);
});
