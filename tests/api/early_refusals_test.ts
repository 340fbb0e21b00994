/**
 * What is refused by its head alone, and that it is told of as everything else.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createApi } from "../../src/api/api.ts";
import { earlyRefusals } from "../../src/api/early_refusals.ts";
import { parseHead } from "../../src/api/http_head.ts";
import { LOGIN_BURST } from "../../src/api/login_limiter.ts";
import type { ObservedRequest } from "../../src/api/ports.ts";
import { HttpServer } from "../../src/api/server.ts";
import { systemClock } from "../../src/clock.ts";
import { apiWorld } from "./api_world.ts";

const RIGHT = "right-right-right-right-right-right-right";
const ATTACKER = { remoteAddress: "192.0.2.66" };
const auth = { tokens: [RIGHT], loopback: true };

/** An API, and an attacker of whom nothing more is looked at. */
function attackedWorld() {
  const observed: ObservedRequest[] = [];
  const world = apiWorld({ auth, observe: (request) => observed.push(request) });
  const refuse = earlyRefusals(world.parts);
  const app = createApi(world.parts);
  for (let i = 0; i < LOGIN_BURST; i++) {
    try {
      world.parts.credentials.authenticate({
        authorization: `Bearer wrong-${i}-wrong`,
        from: ATTACKER.remoteAddress,
      });
    } catch { /* it is wrong */ }
  }
  const headOf = (line: string, headers: Record<string, string>) => {
    const fields = Object.entries({ host: "localhost", ...headers }).map((field) => field.join(": "));
    return parseHead(new TextEncoder().encode([`${line} HTTP/1.1`, ...fields].join("\r\n")), "http");
  };
  return {
    ...{ world, app, observed },
    refuse: (line: string, headers: Record<string, string>, source = ATTACKER) =>
      refuse(headOf(line, headers), source),
  };
}

const WRONG = { authorization: "Bearer one-more-wrong-token" };

Deno.test("what is refused by its head is answered, counted and audited as by the application", async () => {
  const { world, app, observed, refuse } = attackedWorld();
  using _ = world;
  for (const line of ["GET /api/v1/pools/7?reason=r", "POST /api/v1/pools?force=true", "PUT /no-such-path"]) {
    const early = refuse(line, WRONG)!;
    const [method, path] = line.split(" ");
    const late = await app.request(`http://localhost${path}`, { method: method!, headers: WRONG }, ATTACKER);
    assert.deepEqual({ ...early.headers, body: JSON.parse(early.body), status: early.status }, {
      ...Object.fromEntries(late.headers),
      ...{ body: await late.json(), status: late.status },
    });
    const [first, second] = observed.splice(0).map(({ durationMs: _, ...rest }) => rest);
    assert.deepEqual(first, second);
    assert.equal(world.audited().at(-1)!.count, 2, "both are one row of the audit");
  }
});

Deno.test("a token in the path of what is refused by its head is in no answer and no audit", () => {
  const { world, refuse } = attackedWorld();
  using _ = world;
  const answer = refuse("GET /api/v1/pools/one-more-wrong-token?reason=one-more-wrong-token", WRONG)!;
  assert.ok(!`${answer.body}${JSON.stringify(world.audited())}`.includes("one-more-wrong-token"));
});

const ANSWERED: readonly (readonly [string, string, Record<string, string>, { remoteAddress: string }])[] = [
  ["a right token", "GET /api/v1/pools", { authorization: `Bearer ${RIGHT}` }, ATTACKER],
  ["no token", "GET /api/v1/pools", {}, ATTACKER],
  ["a path that asks for none", "GET /healthz", WRONG, ATTACKER],
  ["one that asks for none on loopback", "GET /metrics", WRONG, ATTACKER],
  ["another network", "GET /api/v1/pools", WRONG, { remoteAddress: "192.0.2.67" }],
];

for (const [what, line, headers, source] of ANSWERED) {
  Deno.test(`where too many wrong tokens came from, the application answers ${what}`, () => {
    const { world, refuse } = attackedWorld();
    using _ = world;
    assert.equal(refuse(line, headers, source), null);
  });
}

/** A server that refuses by the head what isn't `/right`. */
function server() {
  const reached: string[] = [];
  const server = HttpServer.bind({
    address: { hostname: "127.0.0.1", port: 0 },
    choice: "--api ADDR:PORT",
    tls: null,
    limits: { maxConnections: 4, maxConnectionsPerClient: 4 },
    log: apiWorld().parts.log,
    clock: systemClock,
  });
  server.serve({
    fetch: ({ url }) => {
      reached.push(new URL(url).pathname);
      return new Response("right");
    },
    refuse: ({ url }) =>
      url.endsWith("/right") ? null : {
        ...{ status: 429, headers: { "retry-after": "1" }, body: "wörong", holdMs: 1 },
      },
  });
  const send = async (text: string) => {
    using socket = await Deno.connect({ hostname: "127.0.0.1", port: server.address.port });
    await socket.write(new TextEncoder().encode(text));
    return await new Response(socket.readable).text();
  };
  return { send, reached, [Symbol.asyncDispose]: () => server.close() };
}

Deno.test("a connection goes on behind a refusal by the head, and the application sees nothing of it", async () => {
  await using it = server();
  const text = await it.send(
    "GET /a HTTP/1.1\r\nHost: h\r\n\r\nHEAD /b HTTP/1.1\r\nHost: h\r\n\r\n" +
      "GET /right HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
  );
  const [a, b, right] = text.split("HTTP/1.1 ").slice(1);
  assert.match(
    a!,
    /^429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: 7\r\ndate: [^\r]+\r\n\r\nwörong$/,
  );
  assert.match(b!, /^429 [^]+content-length: 7\r\n[^]+\r\n\r\n$/);
  assert.match(right!, /^200 [^]+right$/);
  assert.deepEqual(it.reached, ["/right"]);
});

Deno.test("a body behind such a head isn't read: the connection ends with the answer", async () => {
  await using it = server();
  for (
    const [framing, body] of [["Content-Length: 1000000000000", "x".repeat(100_000)], [
      "Transfer-Encoding: chunked",
      "5\r\nhello",
    ]]
  ) {
    const text = await it.send(`POST /a HTTP/1.1\r\nHost: h\r\n${framing}\r\n\r\n${body}`);
    assert.match(text, /^HTTP\/1\.1 429 [^]+connection: close\r\n\r\nwörong$/);
  }
  assert.deepEqual(it.reached, []);
});
