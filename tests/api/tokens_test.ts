/**
 * Tokens: what each scope may do, what becomes of a token, and that none is ever shown again.
 *
 * @module
 */
import assert from "node:assert/strict";
import { KnownTokens } from "../../src/api/known_tokens.ts";
import { routesOf } from "../../src/api/resource.ts";
import { RESOURCES } from "../../src/api/routes.ts";
import type { Route } from "../../src/api/route.ts";
import { TokenChanges } from "../../src/change/token_changes.ts";
import { systemClock } from "../../src/clock.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { type Scope, SCOPES } from "../../src/model/token.ts";
import { type ApiWorld, apiWorld } from "./api_world.ts";

const TEST = { via: "test", by: "test", reason: "" };
const HOUR_MS = 3_600_000;

/** Creates a token past the API. */
function tokenFor(
  { store, clock }: Pick<ApiWorld, "store" | "clock">,
  scope: Scope,
  { name = scope, lifeMs = null }: { readonly name?: string; readonly lifeMs?: number | null } = {},
): { readonly id: string; readonly secret: string } {
  const expiresAt = lifeMs === null ? null : clock.unixMs() + lifeMs;
  const { stored, secret } = new TokenChanges({ store, clock }).create({ name, scope, expiresAt }, TEST);
  return { id: stored.id, secret };
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

/** Bearers of every kind, by what they are called. */
async function bearers(world: ApiWorld): Promise<ReadonlyMap<string, Record<string, string>>> {
  const all = new Map<string, Record<string, string>>([["no token", {}]]);
  for (const scope of SCOPES) all.set(scope, bearer(tokenFor(world, scope).secret));
  all.set("expired", bearer(tokenFor(world, "admin", { name: "expired", lifeMs: HOUR_MS }).secret));
  const revoked = tokenFor(world, "admin", { name: "revoked" });
  new TokenChanges(world).revoke(revoked.id, TEST);
  all.set("revoked", bearer(revoked.secret));
  await world.clock.advance(HOUR_MS);
  return all;
}

/** What a token of each scope may do; no other bearer may do anything. */
const ALLOWED: Readonly<Record<string, readonly Scope[]>> = {
  read: ["read"],
  operate: ["read", "operate"],
  write: ["read", "operate", "write"],
  admin: ["read", "operate", "write", "admin"],
};

/** What becomes of a request by who makes it: a status, or that it came through. */
function expected({ scope, isOpenOnLoopback }: Route, who: string, loopback: boolean): 401 | 403 | "through" {
  if (scope === "open" || (isOpenOnLoopback && loopback)) return "through";
  const allowed = ALLOWED[who];
  if (allowed === undefined) return 401;
  return allowed.includes(scope) ? "through" : 403;
}

for (const loopback of [true, false]) {
  Deno.test(`each operation asks for its scope, ${loopback ? "on" : "off"} loopback`, async () => {
    using world = apiWorld({ auth: { tokens: [], loopback } });
    const all = await bearers(world);
    const wrong: string[] = [];
    for (const route of routesOf(RESOURCES)) {
      for (const [who, headers] of all) {
        const path = route.path.replace(/\{generation\}/, "1").replace(/\{[^}]+\}/g, "0".repeat(32));
        const response = await world.send(`${route.method.toUpperCase()} ${path}?dryRun=true`, { headers });
        const { status } = response;
        const got = status === 401 || status === 403 ? status : "through";
        const want = expected(route, who, loopback);
        if (got !== want) wrong.push(`${route.operationId} with ${who}: ${status}, expected ${want}`);
        await response.body?.cancel();
      }
    }
    assert.deepEqual(wrong, []);
    assert.equal(world.store.generation(), 0);
  });
}

Deno.test("a loopback API is open until the first token, asks for one from then on, and never opens again", async () => {
  using world = apiWorld();
  assert.equal((await world.send("GET /api/v1/pools")).status, 200);
  const response = await world.send("POST /api/v1/tokens", { body: { name: "anna", scope: "admin" } });
  assert.equal(response.status, 201);
  assert.match(response.headers.get("pleiades-remark")!, /first token: from now on the API asks for one/);
  const { token, id, ...rest } = await response.json();
  assert.match(token, /^plei_[A-Za-z0-9_-]{43}$/);
  assert.deepEqual([rest.name, rest.scope, rest.state, rest.expiresAt], ["anna", "admin", "valid", null]);
  assert.equal((await world.send("GET /api/v1/pools")).status, 401);
  assert.equal((await world.send("GET /api/v1/pools", { headers: bearer(token) })).status, 200);
  const revoked = await world.send(`DELETE /api/v1/tokens/${id}`, { headers: bearer(token) });
  assert.equal(revoked.status, 204);
  assert.match(revoked.headers.get("pleiades-remark")!, /^No token is left that may create others/);
  const after = await world.send("GET /api/v1/pools", { headers: bearer(token) });
  assert.deepEqual([after.status, (await after.json()).detail], [401, 'The token "anna" was revoked']);
  assert.equal((await world.send("GET /api/v1/pools")).status, 401);
});

Deno.test("what a token was created and used for is listed, and its secret isn't", async () => {
  using world = apiWorld();
  const admin = tokenFor(world, "admin");
  const headers = bearer(admin.secret);
  const made = await (await world.send("POST /api/v1/tokens", {
    body: { name: "ci", scope: "write", expiresIn: "1h" },
    headers,
  })).json();
  await world.send("GET /api/v1/pools", { headers: bearer(made.token) });
  const listed = await world.send("GET /api/v1/tokens", { headers });
  const text = await listed.text();
  assert.ok(!text.includes(made.token.slice(5)) && !text.includes(admin.secret.slice(5)));
  const [, ci] = JSON.parse(text);
  assert.deepEqual(
    [ci.name, ci.createdBy, Date.parse(ci.expiresAt) - Date.parse(ci.createdAt), ci.lastUsedAt, ci.state],
    ["ci", "admin", HOUR_MS, new Date(world.clock.unixMs()).toISOString(), "valid"],
  );
  await world.clock.advance(HOUR_MS);
  const late = await world.send("GET /api/v1/pools", { headers: bearer(made.token) });
  assert.deepEqual([late.status, (await late.json()).detail], [401, 'The token "ci" has expired']);
  assert.equal(
    (await (await world.send(`GET /api/v1/tokens/${made.id}`, { headers })).json()).state,
    "expired",
  );
});

Deno.test("a dry run of a token creates none and shows none", async () => {
  using world = apiWorld();
  const tried = await world.send("POST /api/v1/tokens?dryRun=true", { body: { name: "a", scope: "read" } });
  assert.equal(tried.status, 200);
  assert.equal("token" in await tried.json(), false);
  assert.deepEqual([world.store.tokens.count(), world.store.audit.page({ limit: 9 }, null).items], [0, []]);
  assert.equal((await world.send("GET /api/v1/pools")).status, 200);
});

const WRONG: readonly (readonly [string, Record<string, unknown>, number, RegExp])[] = [
  ["no name", { scope: "read" }, 400, /name is required|name must be/],
  [
    "a name with a space",
    { name: "a b", scope: "read" },
    400,
    /name must have 1–64 visible characters and no spaces, is "a b"/,
  ],
  ["a name with a control character", { name: "a\u0007", scope: "read" }, 400, /visible characters/],
  ["a name that is a token", { name: `plei_${"x".repeat(43)}`, scope: "read" }, 400, /must not be a token/],
  ["a name that is too long", { name: "x".repeat(65), scope: "read" }, 400, /1–64 visible/],
  ["an unknown scope", { name: "a", scope: "root" }, 400, /scope must be one of|scope must be/],
  [
    "two ends",
    { name: "a", scope: "read", expiresIn: "1h", expiresAt: "2999-01-01T00:00:00Z" },
    400,
    /give one of them/,
  ],
  [
    "an end in the past",
    { name: "a", scope: "read", expiresAt: "1960-01-01T00:00:00Z" },
    400,
    /must lie in the future/,
  ],
  [
    "an end too far away",
    { name: "a", scope: "read", expiresAt: "2999-01-01T00:00:00Z" },
    400,
    /at most ten years/,
  ],
  ["no time", { name: "a", scope: "read", expiresAt: "tomorrow" }, 400, /expiresAt must be a time such as/],
  [
    "no duration",
    { name: "a", scope: "read", expiresIn: "-1h" },
    400,
    /expiresIn must be a duration up to 3650d/,
  ],
  ["a life of nothing", { name: "a", scope: "read", expiresIn: "0s" }, 400, /expiresIn must be a duration/],
  ["an unknown field", { name: "a", scope: "read", owner: "b" }, 400, /Unknown key "owner"/],
  ["a name that is taken", { name: "taken", scope: "read" }, 409, /A token is called "taken" already/],
];

for (const [what, body, status, message] of WRONG) {
  Deno.test(`a token with ${what} is refused: ${status}`, async () => {
    using world = apiWorld();
    const headers = bearer(tokenFor(world, "admin", { name: "taken" }).secret);
    const response = await world.send("POST /api/v1/tokens", { body, headers });
    assert.equal(response.status, status);
    assert.match((await response.json()).detail, message);
    assert.equal(world.store.tokens.count(), 1);
  });
}

Deno.test("the name of a revoked token is free again", async () => {
  using world = apiWorld();
  const headers = bearer(tokenFor(world, "admin").secret);
  const create = async () =>
    await (await world.send("POST /api/v1/tokens", { body: { name: "ci", scope: "read" }, headers })).json();
  const first = await create();
  for (let times = 0; times < 2; times++) {
    assert.equal((await world.send(`DELETE /api/v1/tokens/${first.id}`, { headers })).status, 204);
  }
  assert.equal((await create()).name, "ci");
  assert.equal((await world.send(`DELETE /api/v1/tokens/${"0".repeat(32)}`, { headers })).status, 404);
});

Deno.test("changes carry the name of the token in the history, or the name given on an open loopback", async () => {
  using world = apiWorld();
  const byOf = () => world.store.history.page({ limit: 1 }).items[0]!.by;
  await world.send("POST /api/v1/pools", { body: { name: "a" } });
  assert.equal(byOf(), "");
  await world.send("POST /api/v1/pools", {
    body: { name: "b" },
    headers: { "pleiades-user": "j%C3%BCrgen" },
  });
  assert.equal(byOf(), "jürgen");
  const refused = await world.send("POST /api/v1/pools", {
    body: { name: "x" },
    headers: { "pleiades-user": "a%0Ab" },
  });
  assert.equal(refused.status, 400);
  const headers = bearer(tokenFor(world, "write", { name: "ci" }).secret);
  await world.send("POST /api/v1/pools", {
    body: { name: "c" },
    headers: { ...headers, "pleiades-user": "root" },
  });
  assert.equal(byOf(), "ci");
});

Deno.test("a token as a reason, or in the body of its own request, is refused and repeated nowhere", async () => {
  const ofSettings = "a-token-of-the-settings";
  using world = apiWorld({ auth: { tokens: [ofSettings], loopback: true } });
  const { secret } = tokenFor(world, "admin");
  const tries = [
    [`/api/v1/pools?reason=${secret}`, { name: "a" }, secret],
    [`/api/v1/pools?reason=${ofSettings}`, { name: "a" }, ofSettings],
    ["/api/v1/pools", { name: ofSettings }, ofSettings],
    [
      "/api/v1/overrides",
      { target: "pool:a", state: "up", reason: secret, owner: "a", for: "1h" },
      ofSettings,
    ],
    ["/api/v1/tokens", { name: secret, scope: "read" }, ofSettings],
  ] as const;
  await world.send("POST /api/v1/pools", { body: { name: "a" }, headers: bearer(ofSettings) });
  for (const [path, body, token] of tries) {
    const response = await world.send(`POST ${path}`, { body, headers: bearer(token) });
    const text = await response.text();
    assert.equal(response.status, 400, text);
    assert.ok(!text.includes(secret) && !text.includes(ofSettings), text);
  }
  assert.equal(world.store.generation(), 1);
});

Deno.test("what lasts is told when its token is revoked, expires, or when the first one is created", async () => {
  using world = apiWorld();
  const { store, clock, parts: { log } } = world;
  const credentials = new KnownTokens({ access: { tokens: [], loopback: true }, store, clock, log });
  const ended: string[] = [];
  await using _ = credentials.follow();
  credentials.onRevoked(
    credentials.authenticate({ authorization: undefined, from: "" }),
    () => ended.push("open"),
  );
  const kept = tokenFor(world, "read", { name: "kept" });
  const tokens = [tokenFor(world, "read"), tokenFor(world, "read", { name: "b", lifeMs: HOUR_MS }), kept];
  for (const [i, { secret }] of tokens.entries()) {
    const credential = credentials.authenticate({ authorization: `Bearer ${secret}`, from: "" });
    credentials.onRevoked(credential, () => ended.push(`${i}`));
  }
  await world.clock.advance(250);
  assert.deepEqual(ended, ["open"]);
  new TokenChanges({ store, clock }).revoke(tokens[0]!.id, TEST);
  await world.clock.advance(250);
  assert.deepEqual(ended, ["open", "0"]);
  await world.clock.advance(HOUR_MS);
  assert.deepEqual(ended, ["open", "0", "1"]);
});

Deno.test("what lasts is told by the very call that revokes its token, or creates the first one", async () => {
  using world = apiWorld();
  const { credentials } = world.parts;
  const ended: string[] = [];
  const last = (token: string | null, name: string) => {
    const authorization = token === null ? undefined : `Bearer ${token}`;
    credentials.onRevoked(credentials.authenticate({ authorization, from: "" }), () => ended.push(name));
  };
  last(null, "open");
  const body = { name: "root", scope: "admin" };
  const root = await (await world.send("POST /api/v1/tokens?dryRun=true", { body })).json();
  assert.deepEqual([root.token, ended], [undefined, []], "a dry run ends nothing");
  const { token: admin } = await (await world.send("POST /api/v1/tokens", { body })).json();
  assert.deepEqual(ended, ["open"]);
  const { id, secret } = tokenFor(world, "read");
  last(secret, "reader");
  last(admin, "admin");
  const headers = { authorization: `Bearer ${admin}` };
  await world.send(`DELETE /api/v1/tokens/${id}?dryRun=true`, { headers });
  assert.deepEqual(ended, ["open"]);
  assert.equal((await world.send(`DELETE /api/v1/tokens/${id}`, { headers })).status, 204);
  assert.deepEqual(ended, ["open", "reader"]);
});

Deno.test("no answer of any operation, no line of the log and nothing that is kept has a token in it", async () => {
  const lines: string[] = [];
  const ofSettings = "canary-canary-canary-canary-canary";
  const log = createLogger({
    level: "debug",
    format: "json",
    clock: systemClock,
    write: (line) => lines.push(line),
  });
  using world = apiWorld({ auth: { tokens: [ofSettings], loopback: true }, log });
  const { secret } = tokenFor(world, "admin");
  for (const token of [secret, ofSettings]) {
    for (const { method, path, operationId } of routesOf(RESOURCES)) {
      const asked = path.replace(/\{[^}]+\}/g, token);
      for (
        const query of [
          "",
          `?reason=${token}`,
          `?${token}=1`,
          `?force=true&reason=${token}`,
        ]
      ) {
        const response = await world.send(`${method.toUpperCase()} ${asked}${query}`, {
          headers: { ...bearer(token), "idempotency-key": token, "if-match": token, "pleiades-user": token },
          ...(method !== "get" && { body: { name: token, [token]: token, poolId: token, domain: token } }),
        });
        const headers = JSON.stringify([...response.headers]);
        const text = `${headers} ${await response.text()}`;
        assert.ok(
          !text.includes(token.slice(5)),
          `${operationId}${query.split("=")[0]}: ${text.slice(0, 500)}`,
        );
      }
    }
    const kept = JSON.stringify([
      world.audited(),
      world.store.model(),
      world.store.history.page({ limit: 100 }),
    ]);
    assert.ok(!kept.includes(token.slice(5)), kept);
    assert.ok(!lines.join("\n").includes(token.slice(5)));
  }
  assert.ok(lines.length > 100, `${lines.length}`);
});
