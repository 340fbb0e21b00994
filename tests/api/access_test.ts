/**
 * Who is let in: tokens, and requests that web pages elsewhere may have caused.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Access } from "../../src/api/access.ts";
import { apiWorld } from "./api_world.ts";

const SECURED: Access = { tokens: ["first-token", "second-token"], loopback: false };

async function statusOf(auth: Access, path: string, headers: Record<string, string> = {}): Promise<number> {
  using world = apiWorld({ auth });
  return (await world.send(`GET ${path}`, { headers })).status;
}

const TOKENS: readonly (readonly [string, string | null, number])[] = [
  ["no token", null, 401],
  ["the first token", "Bearer first-token", 200],
  ["the second token", "Bearer second-token", 200],
  ["the scheme in lower case", "bearer second-token", 200],
  ["an unknown token", "Bearer third-token", 401],
  ["a token cut short", "Bearer first-toke", 401],
  ["a token and more", "Bearer first-token x", 401],
  ["an empty token", "Bearer ", 401],
  ["another scheme", "Basic Zmlyc3QtdG9rZW4=", 401],
];

for (const [what, authorization, status] of TOKENS) {
  Deno.test(`where tokens are set, ${what} is answered ${status}`, async () => {
    const headers = authorization === null ? {} : { authorization };
    assert.equal(await statusOf(SECURED, "/api/v1/pools", headers), status);
  });
}

Deno.test("a refused token says how to log in, and what is wrong with it", async () => {
  using world = apiWorld({ auth: SECURED });
  const without = await world.send("GET /api/v1/pools");
  assert.equal(without.headers.get("www-authenticate"), `Bearer realm="pleiades"`);
  const wrong = await world.send("GET /api/v1/pools", { headers: { authorization: "Bearer x" } });
  assert.equal(wrong.headers.get("www-authenticate"), `Bearer realm="pleiades", error="invalid_token"`);
  assert.equal((await wrong.json()).title, "Unauthorized");
});

Deno.test("without tokens nobody has to log in, and any Authorization is ignored", async () => {
  const open: Access = { tokens: [], loopback: true };
  assert.equal(await statusOf(open, "/api/v1/pools"), 200);
  assert.equal(await statusOf(open, "/api/v1/pools", { authorization: "Bearer x" }), 200);
});

for (const path of ["/api/v1/health", "/healthz", "/readyz", "/openapi.json", "/docs/api", "/docs/api.css"]) {
  Deno.test(`${path} is open without a token`, async () => {
    assert.equal(await statusOf(SECURED, path), 200);
  });
}

Deno.test("/metrics is open on a loopback listener, and needs a token on another", async () => {
  assert.equal(await statusOf({ ...SECURED, loopback: true }, "/metrics"), 200);
  assert.equal(await statusOf(SECURED, "/metrics"), 401);
  assert.equal(await statusOf(SECURED, "/metrics", { authorization: "Bearer first-token" }), 200);
});

Deno.test("without a token nobody learns which paths exist", async () => {
  assert.equal(await statusOf(SECURED, "/api/v1/nothing"), 401);
});

Deno.test("a refused write changes nothing", async () => {
  using world = apiWorld({ auth: SECURED });
  assert.equal((await world.send("POST /api/v1/pools", { body: { name: "web" } })).status, 401);
  assert.equal(world.store.generation(), 0);
});

const HOSTS: readonly (readonly [string, number])[] = [
  ["localhost", 200],
  ["LOCALHOST:8080", 200],
  ["127.0.0.1:8080", 200],
  ["127.1.2.3", 200],
  ["[::1]:8080", 200],
  ["gslb.example.org:8080", 200],
  ["evil.example", 403],
  ["127.0.0.1.evil.example", 403],
  ["localhost.evil.example", 403],
  ["192.0.2.1:8080", 403],
  ["[2001:db8::1]", 403],
];

for (const [host, status] of HOSTS) {
  Deno.test(`on a loopback listener Host ${host} is answered ${status}`, async () => {
    const auth: Access = { tokens: [], loopback: true, hostnames: ["gslb.example.org"] };
    assert.equal(await statusOf(auth, "/api/v1/pools", { host }), status);
  });
}

Deno.test("on a listener that isn't a loopback one any Host will do, since tokens guard it", async () => {
  const headers = { host: "anything.example", authorization: "Bearer first-token" };
  assert.equal(await statusOf(SECURED, "/api/v1/pools", headers), 200);
});

const ORIGINS: readonly (readonly [string, number])[] = [
  ["http://localhost:8080", 200],
  ["http://localhost", 403],
  ["http://localhost:9090", 403],
  ["https://evil.example", 403],
  ["null", 403],
  ["http://localhost:8080.evil.example", 403],
];

for (const [origin, status] of ORIGINS) {
  Deno.test(`a request to localhost:8080 from a page of ${origin} is answered ${status}`, async () => {
    const headers = { host: "localhost:8080", origin };
    assert.equal(await statusOf({ tokens: [], loopback: true }, "/api/v1/pools", headers), status);
  });
}
