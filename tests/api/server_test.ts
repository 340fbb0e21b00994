/**
 * The API on a real socket.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createApi, createMetricsApp } from "../../src/api/api.ts";
import type { App } from "../../src/api/http_connection.ts";
import { type ConnectionFate, HttpServer, type HttpServerOptions, PATIENCE } from "../../src/api/server.ts";
import { systemClock } from "../../src/clock.ts";
import { TestAuthority } from "../health/certificates.ts";
import { type ApiWorld, apiWorld } from "./api_world.ts";

/** An API that listens on a free loopback port until it is disposed of. */
function listening(
  options: Partial<HttpServerOptions> = {},
  app: (world: ApiWorld) => App = (world) => createApi(world.parts),
) {
  const world = apiWorld();
  const fates: ConnectionFate[] = [];
  const server = HttpServer.bind({
    address: { hostname: "127.0.0.1", port: 0 },
    choice: "--api ADDR:PORT",
    tls: null,
    limits: { maxConnections: 100, maxConnectionsPerClient: 100 },
    log: world.parts.log,
    clock: systemClock,
    observe: (fate) => fates.push(fate),
    ...options,
  });
  server.serve(app(world));
  return {
    world,
    server,
    fates,
    port: server.address.port,
    url: `http://127.0.0.1:${server.address.port}`,
    async [Symbol.asyncDispose]() {
      await server.close();
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
  const rebound = await rawRequest(api.port, "GET /api/v1/pools HTTP/1.1\r\nHost: evil.example\r\n");
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
  const closed = api.server.close();
  resolve();
  assert.equal((await response).status, 201);
  await (await response).body?.cancel();
  await closed;
  await assert.rejects(fetch(`${api.url}/healthz`));
});

Deno.test("a body that breaks off or doesn't come changes nothing, and is no error of the node", async () => {
  const patience = { ...PATIENCE, body: { stallMs: 50, sumMs: 50 } };
  await using api = listening({ patience });
  for (const [path, type] of [["pools", "application/json"], ["apply", "application/yaml"]]) {
    const head =
      `POST /api/v1/${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${type}\r\nContent-Length: 9`;
    assert.match(await rawRequest(api.port, `${head}\r\n`), /^HTTP\/1\.1 408 Request Timeout\r\n/);
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: api.port });
    await connection.write(new TextEncoder().encode(`${head}\r\n\r\n{`));
    await connection.closeWrite();
    const answer = await new Response(connection.readable).text();
    assert.match(answer, /^HTTP\/1\.1 400 [^]*(?:broke off|given up)/);
  }
  assert.deepEqual(api.world.logged, []);
});

Deno.test("the listener for metrics alone refuses foreign pages as the API does", async () => {
  await using metrics = listening(
    {},
    ({ parts: { log } }) =>
      createMetricsApp({ expose: () => Promise.resolve("up 1\n"), access: { loopback: true }, log }),
  );
  const get = (host: string) => rawRequest(metrics.port, `GET /metrics HTTP/1.1\r\nHost: ${host}\r\n`);
  assert.match(await get("localhost"), /^HTTP\/1\.1 200 [^]*up 1\n$/);
  assert.match(await get("evil.example"), /^HTTP\/1\.1 403 [^]*evil\.example/);
});

Deno.test("with a certificate the API speaks HTTPS", async () => {
  const authority = await TestAuthority.create("api");
  const tls = await authority.issue({ ipAddresses: ["127.0.0.1"] });
  await using api = listening({ tls });
  using client = Deno.createHttpClient({ caCerts: [authority.cert] });
  const origin = `https://127.0.0.1:${api.port}`;
  const response = await fetch(`${origin}/api/v1/health`, { client, headers: { origin } });
  assert.deepEqual(await response.json(), { status: "ok" });
});

Deno.test("a port that is taken is an error at once", async () => {
  await using api = listening();
  assert.throws(() => listening({ address: api.server.address }), /port is taken .*--api ADDR:PORT/);
});

/** Sends a request head as it stands and gives the head of the answer; fetch() won't send a foreign Host. */
async function rawRequest(port: number, head: string): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(new TextEncoder().encode(`${head}Connection: close\r\n\r\n`));
  return await new Response(connection.readable).text();
}
