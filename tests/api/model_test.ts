/**
 * The whole model: what is exported can be applied, and applying is all or nothing.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { NamedChange } from "../../src/change/plan_report.ts";
import { YAML_SIZE_MAX } from "../../src/input/yaml_source.ts";
import { type ApiWorld, apiWorld } from "./api_world.ts";

const MODEL = `pools:
  - name: web
    members:
      - ipAddress: 192.0.2.1
        port: 443
        weight: 3
services:
  - domain: www.example.com
    pool: web
`;

function apply(
  world: ApiWorld,
  body: string,
  { type = "application/yaml", query = "", headers = {} }: {
    type?: string;
    query?: string;
    headers?: Record<string, string>;
  } = {},
): Promise<Response> {
  return world.send(`POST /api/v1/apply${query}`, { body, headers: { "content-type": type, ...headers } });
}

async function exported(world: ApiWorld, accept: string): Promise<string> {
  return await (await world.send("GET /api/v1/model", { headers: { accept } })).text();
}

Deno.test("a model is applied in one generation, and says what was in it", async () => {
  using world = apiWorld();
  const response = await apply(world, MODEL, { query: "?reason=first" });
  assert.equal(response.status, 200);
  assert.deepEqual(await response.json(), {
    generation: 1,
    changed: true,
    pools: 1,
    members: 1,
    services: 1,
    zones: 0,
    objects: {
      member: { created: 1, changed: 0, deleted: 0 },
      pool: { created: 1, changed: 0, deleted: 0 },
      service: { created: 1, changed: 0, deleted: 0 },
    },
  });
  assert.equal(response.headers.get("etag"), `"1"`);
  assert.equal(world.store.history.get(1)!.reason, "first");
  assert.equal(world.store.services.byDomain("www.example.com")!.poolId, world.store.pools.byName("web")!.id);
});

Deno.test("applying the same model again changes nothing and keeps all ids", async () => {
  using world = apiWorld();
  await apply(world, MODEL);
  const before = world.store.model();
  const response = await apply(world, MODEL);
  assert.equal((await response.json()).changed, false);
  assert.deepEqual(world.store.model(), before);
});

Deno.test("what isn't in an applied model is deleted", async () => {
  using world = apiWorld();
  await apply(world, MODEL);
  await apply(world, "pools: [{ name: other }]\n");
  const { pools, services } = world.store.model();
  assert.deepEqual([pools.map(({ name }) => name), services], [["other"], []]);
});

for (const type of ["application/yaml", "application/json", "application/x-ndjson"]) {
  Deno.test(`a model exported as ${type} can be applied to an empty node, and is the same there`, async () => {
    using one = apiWorld();
    using other = apiWorld();
    await apply(one, MODEL);
    const text = await exported(one, type);
    const response = await apply(other, text, { type });
    assert.equal(response.status, 200);
    assert.equal(await exported(other, type), text);
  });
}

Deno.test("a model is exported as JSON unless Accept says otherwise", async () => {
  using world = apiWorld();
  await apply(world, MODEL);
  const response = await world.send("GET /api/v1/model", { headers: { accept: "*/*" } });
  assert.equal(response.headers.get("content-type"), "application/json");
  assert.deepEqual(await response.json(), {
    pools: [{ name: "web", members: [{ ipAddress: "192.0.2.1", port: 443, weight: 3 }] }],
    services: [{ domain: "www.example.com", pool: "web" }],
  });
  const preferred = await world.send("GET /api/v1/model", {
    headers: { accept: "application/json;q=0.5, application/yaml" },
  });
  assert.equal(await preferred.text(), MODEL);
});

Deno.test("the ETag of the model is its generation: 304 while it stands, 412 for an older one", async () => {
  using world = apiWorld();
  await apply(world, MODEL);
  const headers = { "if-none-match": `"1"` };
  assert.equal((await world.send("GET /api/v1/model", { headers })).status, 304);
  await world.create("/pools", { name: "other" });
  assert.equal((await apply(world, MODEL, { headers: { "if-match": `"1"` } })).status, 412);
  assert.equal((await apply(world, MODEL, { headers: { "if-match": `"2"` } })).status, 200);
});

for (const [what, path, query] of [["a dry run of apply", "apply", "?dryRun=true"], ["a plan", "plan", ""]]) {
  Deno.test(`${what} says what would happen and changes nothing`, async () => {
    using world = apiWorld();
    const headers = { "content-type": "application/yaml" };
    const response = await world.send(`POST /api/v1/${path}${query}`, { body: MODEL, headers });
    const plan = await response.json();
    assert.equal(plan.changed, true);
    assert.equal(plan.generation, 0);
    assert.deepEqual(plan.changes.map(({ name, action }: NamedChange) => `${action} ${name}`), [
      "created www.example.com",
      "created web",
      "created web/192.0.2.1:443",
    ]);
    assert.equal(response.headers.get("etag"), `"0"`);
    assert.equal(world.store.generation(), 0);
  });
}

Deno.test("a plan of what is there already is empty", async () => {
  using world = apiWorld();
  await apply(world, MODEL);
  const headers = { "content-type": "application/yaml" };
  const plan = await (await world.send("POST /api/v1/plan", { body: MODEL, headers })).json();
  assert.deepEqual(plan, {
    generation: 1,
    changed: false,
    objects: {},
    changes: [],
    truncated: false,
    refusals: [],
    replay: null,
    answers: { services: 0, movedShare: 0, differences: [], truncated: false },
  });
});

Deno.test("a plan for another generation is 412", async () => {
  using world = apiWorld();
  await apply(world, MODEL);
  const headers = { "content-type": "application/yaml", "if-match": `"7"` };
  assert.equal((await world.send("POST /api/v1/plan", { body: MODEL, headers })).status, 412);
});

Deno.test("a change is forced for a reason only", async () => {
  using world = apiWorld();
  for (const reason of ["", "&reason=", "&reason=%20"]) {
    assert.equal((await apply(world, MODEL, { query: `?force=true${reason}` })).status, 400);
  }
  assert.equal(world.store.generation(), 0);
  assert.equal((await apply(world, MODEL, { query: "?force=true&reason=drill" })).status, 200);
});

Deno.test("applies that are forced at once are made one after the other, each whole and with its own reason", async () => {
  using world = apiWorld();
  const other = MODEL.replace("www.example.com", "api.example.com").replace("name: web", "name: api")
    .replace("pool: web", "pool: api");
  await apply(world, MODEL);
  const answers = await Promise.all([
    apply(world, other, { query: "?force=true&reason=one" }),
    apply(world, MODEL, { query: "?force=true&reason=two" }),
    apply(world, other, { query: "?force=true&reason=three", headers: { "if-match": `"1"` } }),
  ]);
  assert.deepEqual(answers.map(({ status }) => status), [200, 200, 412]);
  const made = await Promise.all(answers.slice(0, 2).map((answer) => answer.json()));
  assert.deepEqual(made.map(({ generation }) => generation), [2, 3]);
  assert.deepEqual([2, 3].map((generation) => world.store.history.get(generation)!.reason), ["one", "two"]);
  assert.equal(await exported(world, "application/yaml"), MODEL);
});

const REFUSED: readonly (readonly [string, string, string, RegExp])[] = [
  ["a wrong field", "pools:\n  - nam: web\n", "application/yaml", /body:2:5: .*did you mean "name"/],
  [
    "a missing pool",
    "services:\n  - domain: a.example.com\n    pool: web\n",
    "application/yaml",
    /body:3:.*web/,
  ],
  ["YAML that is none", "pools: [\n", "application/yaml", /body:\d+:\d+/],
  ["an empty body", "", "application/yaml", /empty/],
  ["JSON that is none", `{"pools": `, "application/json", /body:/],
  [
    "a wrong line",
    `{"pool":{"name":"a"}}\n{"pol":{}}\n`,
    "application/x-ndjson",
    /body:2:.*did you mean "pool"/,
  ],
  [
    "a zone file by name",
    "zones: [{ domain: example.com, file: /etc/passwd }]\n",
    "application/yaml",
    /text:/,
  ],
];

for (const [what, body, type, message] of REFUSED) {
  Deno.test(`a model with ${what} is refused with the place, and nothing is applied`, async () => {
    using world = apiWorld();
    const response = await apply(world, body, { type });
    assert.equal(response.status, 400);
    const { errors } = await response.json();
    assert.match(errors.map((error: { message: string }) => error.message).join("\n"), message);
    assert.equal(world.store.generation(), 0);
  });
}

for (const body of ["# nothing\n", "null", "{}", "pools: []\n"]) {
  Deno.test(`a model that is empty (${JSON.stringify(body)}) is refused, since it would delete everything`, async () => {
    using world = apiWorld();
    await apply(world, MODEL);
    const response = await apply(world, body);
    assert.equal(response.status, 400);
    assert.match((await response.json()).detail, /would delete everything/);
    assert.equal(world.store.services.count(), 1);
  });
}

Deno.test("a YAML model that is too large is 413, whether or not its length is announced", async () => {
  using world = apiWorld();
  const response = await apply(world, "#".repeat(YAML_SIZE_MAX + 1));
  assert.equal(response.status, 413);
  assert.equal((await response.json()).status, 413);
});

Deno.test("a model in a form is 415", async () => {
  using world = apiWorld();
  const response = await apply(world, "pools=", { type: "application/x-www-form-urlencoded" });
  assert.equal(response.status, 415);
});
