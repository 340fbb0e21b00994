/**
 * Zones: text in, the same text out.
 *
 * @module
 */
import assert from "node:assert/strict";
import { ZONE_BYTES_MAX } from "../../src/api/zones.ts";
import { type ApiWorld, apiWorld } from "./api_world.ts";

const ZONE = `$ORIGIN example.com.
@ 3600 IN SOA ns1 hostmaster 1 7200 900 1209600 300
@ IN NS ns1
ns1 A 192.0.2.53 ; the first of us
`;

function put(world: ApiWorld, path: string, { text = ZONE, headers = {} } = {}): Promise<Response> {
  return world.send(`PUT /api/v1/zones/${path}`, {
    body: text,
    headers: { "content-type": "text/dns", ...headers },
  });
}

Deno.test("a zone is created with 201 and read back byte for byte as text/dns", async () => {
  using world = apiWorld();
  const created = await put(world, "Example.COM.");
  assert.equal(created.status, 201);
  assert.equal(created.headers.get("location"), "/api/v1/zones/example.com");
  const read = await world.send("GET /api/v1/zones/example.com");
  assert.equal(read.headers.get("content-type"), "text/dns; charset=utf-8");
  assert.equal(await read.text(), ZONE);
  assert.deepEqual(await (await world.send("GET /api/v1/zones")).json(), [{ domain: "example.com" }]);
});

Deno.test("a zone is replaced and deleted with 204", async () => {
  using world = apiWorld();
  const created = await put(world, "example.com");
  const replaced = await put(world, "example.com", { text: ZONE.replace("53", "54") });
  assert.equal(replaced.status, 204);
  assert.notEqual(replaced.headers.get("etag"), created.headers.get("etag"));
  assert.equal((await world.send("DELETE /api/v1/zones/EXAMPLE.com")).status, 204);
  assert.equal((await world.send("GET /api/v1/zones/example.com")).status, 404);
  assert.equal((await world.send("DELETE /api/v1/zones/example.com")).status, 404);
});

Deno.test("a zone answers 304 to its ETag, and 412 to a write with an older one", async () => {
  using world = apiWorld();
  const etag = (await put(world, "example.com")).headers.get("etag")!;
  assert.equal(
    (await world.send("GET /api/v1/zones/example.com", { headers: { "if-none-match": etag } })).status,
    304,
  );
  await put(world, "example.com", { text: ZONE.replace("53", "54") });
  assert.equal((await put(world, "example.com", { headers: { "if-match": etag } })).status, 412);
  const stale = { headers: { "if-match": etag } };
  assert.equal((await world.send("DELETE /api/v1/zones/example.com", stale)).status, 412);
});

Deno.test("a zone file with mistakes is refused with their lines", async () => {
  using world = apiWorld();
  const response = await put(world, "example.com", { text: `${ZONE}www A 192.0.2.300\n` });
  assert.equal(response.status, 400);
  const { errors } = await response.json();
  assert.equal(errors[0].pointer, "/text");
  assert.match(errors[0].message, /line 5/);
  assert.equal(world.store.generation(), 0);
});

for (const domain of ["a b", "*.example.com", "a..b", "x".repeat(64)]) {
  Deno.test(`a zone can't be called ${JSON.stringify(domain)}`, async () => {
    using world = apiWorld();
    const response = await put(world, encodeURIComponent(domain));
    assert.equal(response.status, 400);
    assert.equal((await response.json()).errors[0].pointer, "/domain");
    assert.equal((await world.send(`GET /api/v1/zones/${encodeURIComponent(domain)}`)).status, 404);
  });
}

Deno.test("a zone that hides a service behind a delegation is refused", async () => {
  using world = apiWorld();
  await world.create("/services", { domain: "www.sub.example.com" });
  const response = await put(world, "example.com", { text: `${ZONE}sub NS ns.elsewhere.example.\n` });
  assert.equal(response.status, 400);
  assert.match((await response.json()).detail, /www\.sub\.example\.com/);
});

Deno.test("a zone in another media type is 415", async () => {
  using world = apiWorld();
  const response = await put(world, "example.com", { headers: { "content-type": "text/plain" } });
  assert.equal(response.status, 415);
});

Deno.test("a zone file that is too large is 413", async () => {
  using world = apiWorld();
  const text = ";".repeat(ZONE_BYTES_MAX + 1);
  assert.equal((await put(world, "example.com", { text })).status, 413);
});

Deno.test("a dry run stores no zone", async () => {
  using world = apiWorld();
  assert.equal((await put(world, "example.com?dryRun=true")).status, 200);
  assert.equal((await world.send("GET /api/v1/zones/example.com")).status, 404);
});
