/**
 * The audit: what is listed, by whose name, and what never is.
 *
 * @module
 */
import assert from "node:assert/strict";
import { TokenChanges } from "../../src/change/token_changes.ts";
import { apiWorld, type SendOptions } from "./api_world.ts";

const ADMIN = "an-admin-token-of-the-settings-000";
const AUTH = { tokens: [ADMIN], loopback: true };
const AS_ADMIN = { authorization: `Bearer ${ADMIN}` };

/** A refused request, and how it is listed. */
interface Refused {
  readonly what: string;
  readonly line: string;
  readonly request: SendOptions;
  readonly status: number;
  readonly by: string;
  readonly detail: RegExp;
}

const REFUSED: readonly Refused[] = [
  {
    what: "without a token",
    line: "POST /api/v1/pools",
    request: { body: { name: "b" }, headers: { "pleiades-user": "mallory" } },
    ...{ status: 401, by: "", detail: /A token is needed/ },
  },
  {
    what: "with an unknown token, even if it only reads",
    line: "GET /api/v1/pools",
    request: { headers: { authorization: "Bearer nonsense" } },
    ...{ status: 401, by: "", detail: /not known/ },
  },
  {
    what: "of a foreign page",
    line: "POST /api/v1/pools",
    request: { body: { name: "b" }, headers: { ...AS_ADMIN, origin: "https://evil.example" } },
    ...{ status: 403, by: "", detail: /Origin .* is not this node/ },
  },
  {
    what: "of a rebound name",
    line: "GET /api/v1/pools",
    request: { headers: { ...AS_ADMIN, host: "evil.example" } },
    ...{ status: 403, by: "", detail: /Host .* is not this node/ },
  },
  {
    what: "with a wrong field",
    line: "POST /api/v1/pools?reason=why+not",
    request: { body: { name: "" }, headers: AS_ADMIN },
    ...{ status: 400, by: "settings token", detail: /name/ },
  },
  {
    what: "for a name that is taken",
    line: "POST /api/v1/pools",
    request: { body: { name: "taken" }, headers: AS_ADMIN },
    ...{ status: 409, by: "settings token", detail: /taken/ },
  },
  {
    what: "for a reference that leads nowhere",
    line: "POST /api/v1/services",
    request: { body: { domain: "a.example", poolId: "0".repeat(32) }, headers: AS_ADMIN },
    ...{ status: 422, by: "settings token", detail: /pool .* doesn't exist/ },
  },
  {
    what: "for an object that isn't there",
    line: `DELETE /api/v1/pools/${"0".repeat(32)}`,
    request: { headers: AS_ADMIN },
    ...{ status: 404, by: "settings token", detail: /No pool has the id/ },
  },
];

for (const { what, line, request, status, by, detail } of REFUSED) {
  Deno.test(`a request that is refused ${what} is listed: ${status}`, async () => {
    using world = apiWorld({ auth: AUTH });
    await world.send("POST /api/v1/pools", { body: { name: "taken" }, headers: AS_ADMIN });
    const before = world.audited().length;
    assert.equal((await world.send(line, request)).status, status);
    const [row, ...others] = world.audited().slice(before);
    assert.deepEqual(others, []);
    assert.deepEqual(
      [row!.outcome, row!.status, row!.by, row!.via, row!.request, row!.generation, row!.count],
      ["refused", status, by, "api", line.split("?")[0], null, 1],
    );
    assert.match(row!.detail, detail);
    assert.equal(row!.reason, line.includes("reason") ? "why not" : "");
  });
}

Deno.test("a write on the condition of an old ETag is listed as refused, and one that a guard stops is too", async () => {
  using world = apiWorld();
  const { id } = await world.create("/pools", { name: "web" });
  await world.send(`DELETE /api/v1/pools/${id}`, { headers: { "if-match": '"99"' } });
  assert.deepEqual(world.audited().map(({ outcome, status }) => [outcome, status]), [["done", null], [
    "refused",
    412,
  ]]);
});

Deno.test("what only reads or asks isn't listed, whatever comes of it", async () => {
  using world = apiWorld();
  for (
    const line of ["GET /api/v1/pools", "GET /api/v1/nothing", "GET /api/v1/pools?limit=x", "GET /healthz"]
  ) {
    await (await world.send(line)).body?.cancel();
  }
  await world.send("POST /api/v1/pools?dryRun=true", { body: { name: "web" } });
  await world.send("POST /api/v1/pools?dryRun=true", { body: { name: "" } });
  assert.deepEqual(world.audited(), []);
});

Deno.test("a change is listed with its generation, its author, its request and its reason", async () => {
  using world = apiWorld();
  const { stored, secret } = new TokenChanges(world).create(
    { name: "ci", scope: "write", expiresAt: null },
    { via: "cli", by: "anna", reason: "first" },
  );
  await world.send("POST /api/v1/pools?reason=new+site&force=true", {
    body: { name: "web" },
    headers: { authorization: `Bearer ${secret}` },
  });
  const [created, pool] = world.audited();
  assert.deepEqual(
    [created!.by, created!.via, created!.request, created!.detail, created!.reason, created!.generation],
    ["anna", "cli", "tokens create", "ci: write, without end", "first", null],
  );
  assert.deepEqual(
    [pool!.by, pool!.via, pool!.request, pool!.tokenId, pool!.reason, pool!.generation, pool!.outcome],
    ["ci", "api", "POST /api/v1/pools?force=true", stored.id, "new site", 1, "done"],
  );
});

Deno.test("an override's entry in history and audit has its reason, unless the change has one of its own", async () => {
  using world = apiWorld();
  await world.create("/pools", { name: "web" });
  const override = { target: "pool:web", state: "up", reason: "wrong checks", owner: "anna", for: "1h" };
  const entry = () => world.store.history.page({ limit: 1 }).items[0]!;
  await world.send("POST /api/v1/overrides", { body: override, headers: { "pleiades-user": "bert" } });
  assert.deepEqual([entry().reason, entry().by], ["wrong checks", "bert"]);
  await world.send("POST /api/v1/overrides?reason=ticket+7", { body: override });
  assert.deepEqual([entry().reason, entry().by], ["ticket 7", "anna"]);
});

Deno.test("no part of the audit has a token in it, wherever a request had one", async () => {
  using world = apiWorld({ auth: AUTH });
  const { secret } = new TokenChanges(world).create(
    { name: "a", scope: "read", expiresAt: null },
    { via: "cli", by: "", reason: "" },
  );
  for (
    const [token, headers] of [[secret, { authorization: `Bearer ${secret}` }], [ADMIN, AS_ADMIN]] as const
  ) {
    await world.send(`POST /api/v1/${token}`, { headers });
    await world.send(`DELETE /api/v1/pools/${token}?reason=${token}`, { headers });
    await world.send(`POST /api/v1/pools?reason=${token}`, { body: { name: token }, headers });
    await world.send(`POST /api/v1/tokens`, { body: { name: token, scope: token }, headers });
    const foreign = await world.send(`GET /api/v1/${token}`, {
      headers: { ...headers, host: token, origin: token },
    });
    await foreign.body?.cancel();
  }
  const text = JSON.stringify(world.audited());
  assert.ok(world.audited().length >= 6, text);
  assert.ok(!text.includes(secret.slice(5)) && !text.includes(ADMIN), text);
});

Deno.test("GET /audit is for admins, gives pages, the newest first, and one outcome where asked for", async () => {
  using world = apiWorld({ auth: AUTH });
  for (const name of ["a", "b", "c"]) {
    await world.send("POST /api/v1/pools", { body: { name }, headers: AS_ADMIN });
  }
  await world.send("GET /api/v1/pools");
  world.audited();
  const list = async (query: string) => await world.send(`GET /api/v1/audit${query}`, { headers: AS_ADMIN });
  const first = await list("?limit=2");
  const [refused, last] = await first.json();
  assert.deepEqual([refused.outcome, refused.status, last.generation], ["refused", 401, 3]);
  assert.match(last.at, /^\d{4}-\d\d-\d\dT.*Z$/);
  const next = /<([^>]+)>/.exec(first.headers.get("link")!)![1]!.replace("/api/v1/audit", "");
  assert.deepEqual((await (await list(next)).json()).map((row: { generation: number }) => row.generation), [
    2,
    1,
  ]);
  assert.equal((await (await list("?outcome=done")).json()).length, 3);
  assert.equal((await list("?outcome=gone")).status, 400);
  assert.deepEqual(await (await list("?outcome=failed")).json(), []);
});
