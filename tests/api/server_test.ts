/**
 * The API on a real socket.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createApi } from "../../src/api/api.ts";
import { serveApi } from "../../src/api/server.ts";
import { TestAuthority } from "../health/certificates.ts";
import { apiWorld } from "./api_world.ts";

/** An API that listens on a free loopback port until it is disposed of. */
function listening() {
  const world = apiWorld();
  const closing = new AbortController();
  const server = serveApi({
    app: createApi(world.parts),
    hostname: "127.0.0.1",
    port: 0,
    tls: null,
    signal: closing.signal,
  });
  return {
    world,
    server,
    closing,
    url: `http://127.0.0.1:${server.port}`,
    async [Symbol.asyncDispose]() {
      closing.abort();
      await server.finished;
      world.store.close();
    },
  };
}

Deno.test("an object created over HTTP is read back over HTTP", async () => {
  await using api = listening();
  const created = await fetch(`${api.url}/api/v1/pools`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: "web" }),
  });
  assert.equal(created.status, 201);
  const read = await fetch(`${api.url}${created.headers.get("location")}`);
  assert.deepEqual(await read.json(), await created.json());
});

Deno.test("a body that is streamed without its length and grows too large is 413", async () => {
  await using api = listening();
  const chunk = new Uint8Array(1 << 20).fill(0x23);
  for (
    const [path, type, count] of [["pools", "application/json", 2], [
      "apply",
      "application/yaml",
      33,
    ]] as const
  ) {
    const response = await fetch(`${api.url}/api/v1/${path}`, {
      method: "POST",
      headers: { "content-type": type },
      body: ReadableStream.from(Array(count).fill(chunk)),
    });
    assert.equal(response.status, 413, path);
    assert.equal((await response.json()).title, "Content Too Large");
  }
});

Deno.test("a request from another site's page is refused by its Host and by its Origin", async () => {
  await using api = listening();
  const rebound = await rawRequest(api.server.port, "GET /api/v1/pools HTTP/1.1\r\nHost: evil.example\r\n");
  assert.match(rebound, /^HTTP\/1\.1 403 /);
  const crossSite = await fetch(`${api.url}/api/v1/pools`, { headers: { origin: "https://evil.example" } });
  assert.equal(crossSite.status, 403);
  await crossSite.body?.cancel();
});

Deno.test("a compressed answer's ETag can be sent back in If-Match", async () => {
  await using api = listening();
  const { id } = await api.world.create("/pools", { name: "web" });
  const path = `${api.url}/api/v1/pools/${id}`;
  const read = await fetch(path, { headers: { "accept-encoding": "gzip" } });
  await read.body?.cancel();
  const deleted = await fetch(path, { method: "DELETE", headers: { "if-match": read.headers.get("etag")! } });
  assert.equal(deleted.status, 204);
});

Deno.test("after the signal a request under way is answered, and new ones find nobody", async () => {
  await using api = listening();
  const { promise, resolve } = Promise.withResolvers<void>();
  const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
  api.world.parts.node.settled = () => {
    ask();
    return promise;
  };
  const response = fetch(`${api.url}/api/v1/pools`, {
    method: "POST",
    headers: { "content-type": "application/json", "connection": "close" },
    body: JSON.stringify({ name: "web" }),
  });
  await asked;
  api.closing.abort();
  resolve();
  assert.equal((await response).status, 201);
  await (await response).body?.cancel();
  await api.server.finished;
  await assert.rejects(fetch(`${api.url}/healthz`));
});

Deno.test("with a certificate the API speaks HTTPS, HTTP/2 included", async () => {
  using world = apiWorld();
  const authority = await TestAuthority.create("api");
  const identity = await authority.issue({ ipAddresses: ["127.0.0.1"] });
  const closing = new AbortController();
  const server = serveApi({
    app: createApi(world.parts),
    hostname: "127.0.0.1",
    port: 0,
    tls: identity,
    signal: closing.signal,
  });
  using client = Deno.createHttpClient({ caCerts: [authority.cert], http1: false, http2: true });
  const origin = `https://127.0.0.1:${server.port}`;
  const response = await fetch(`${origin}/api/v1/health`, { client, headers: { origin } });
  assert.deepEqual(await response.json(), { status: "ok" });
  closing.abort();
  await server.finished;
});

Deno.test("a port that is taken is an error at once", async () => {
  await using api = listening();
  const { parts } = api.world;
  assert.throws(
    () =>
      serveApi({
        app: createApi(parts),
        hostname: "127.0.0.1",
        port: api.server.port,
        tls: null,
        signal: api.closing.signal,
      }),
    Deno.errors.AddrInUse,
  );
});

/** Sends a request head as it stands and gives the head of the answer; fetch() won't send a foreign Host. */
async function rawRequest(port: number, head: string): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(new TextEncoder().encode(`${head}Connection: close\r\n\r\n`));
  return await new Response(connection.readable).text();
}
