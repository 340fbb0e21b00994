/**
 * How wrong tokens are slowed down, and who isn't.
 *
 * @module
 */
import assert from "node:assert/strict";
import { KnownTokens } from "../../src/api/known_tokens.ts";
import {
  LOGIN_BURST,
  LOGIN_PAUSE_MS,
  LoginLimiter,
  REFUSAL_PAUSE_MS,
  REFUSAL_TURN_MS,
} from "../../src/api/login_limiter.ts";
import { ApiProblem } from "../../src/api/problem.ts";
import { HttpServer } from "../../src/api/server.ts";
import { TokenChanges } from "../../src/change/token_changes.ts";
import { systemClock } from "../../src/clock.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { ManualClock } from "../clock.ts";
import { apiWorld } from "./api_world.ts";

const WEAK = "letmein";
const STRONG = "k".repeat(32);
const ATTACKER = "192.0.2.66";

function knownTokens() {
  const world = apiWorld();
  const { store, clock, parts: { log } } = world;
  const { secret } = new TokenChanges(world).create(
    { name: "ci", scope: "read", expiresAt: null },
    { via: "cli", by: "", reason: "" },
  );
  const known = new KnownTokens({ access: { tokens: [WEAK, STRONG], loopback: true }, store, clock, log });
  const statusOf = (token: string, from: string): number => {
    try {
      known.authenticate({ authorization: `Bearer ${token}`, from });
      return 200;
    } catch (error) {
      if (error instanceof ApiProblem) return error.status;
      throw error;
    }
  };
  return { clock, secret, statusOf, [Symbol.dispose]: () => world[Symbol.dispose]() };
}

Deno.test("a hundred wrong tokens are looked at, then one a second; 429 says when", async () => {
  using w = knownTokens();
  const statuses = () =>
    Array.from({ length: 3 }, (_, i) => w.statusOf(`${i}wrong`.padEnd(20, "-"), ATTACKER));
  for (let i = 0; i < LOGIN_BURST; i++) {
    assert.equal(w.statusOf(`guess-no-${i}-${i}`, ATTACKER), i < 100 ? 401 : 429);
  }
  assert.deepEqual(statuses(), [429, 429, 429]);
  await w.clock.advance(LOGIN_PAUSE_MS);
  assert.deepEqual(statuses(), [401, 429, 429]);
  assert.equal(w.statusOf("elsewhere-elsewhere", "192.0.2.67"), 401);
});

Deno.test("tokens that can't be guessed work from a network that is slowed down; short ones wait", async () => {
  using w = knownTokens();
  for (let i = 0; i < 10_000; i++) w.statusOf(`${i}-guess-of-an-attacker`, ATTACKER);
  assert.deepEqual([w.statusOf(w.secret, ATTACKER), w.statusOf(STRONG, ATTACKER)], [200, 200]);
  assert.equal(w.statusOf(WEAK, ATTACKER), 429);
  assert.equal(w.statusOf(WEAK, "192.0.2.7"), 200);
  await w.clock.advance(LOGIN_PAUSE_MS);
  assert.equal(w.statusOf(WEAK, ATTACKER), 200);
});

Deno.test("one token that is tried from everywhere is slowed down, too", () => {
  using w = knownTokens();
  const guess = `${w.secret.slice(0, 30)}wrong`;
  const statuses = Array.from({ length: LOGIN_BURST + 1 }, (_, i) => w.statusOf(guess, `198.51.100.${i}`));
  assert.deepEqual([statuses.at(0), statuses.at(-2), statuses.at(-1)], [401, 401, 429]);
  assert.equal(w.statusOf(w.secret, "198.51.100.1"), 200);
});

Deno.test("an IPv6 /64 is one network", () => {
  using w = knownTokens();
  for (let i = 0; i < LOGIN_BURST; i++) w.statusOf(`${i}-guess-guess`, `2001:db8::${i.toString(16)}`);
  assert.equal(w.statusOf("one-more-guess", "2001:db8::ffff"), 429);
  assert.equal(w.statusOf("one-more-guess", "2001:db8:0:1::1"), 401);
});

Deno.test("the memory of wrong tokens is bounded, and forgets the ones heard of longest ago", () => {
  const clock = new ManualClock();
  const limiter = new LoginLimiter(clock);
  for (let i = 0; i <= LOGIN_BURST; i++) limiter.count(["first"]);
  assert.ok(limiter.waitMs(["first"]) > 0);
  for (let i = 0; i < 100_000; i++) limiter.count([`other ${i}`]);
  assert.equal(limiter.size, 4_096);
  assert.equal(limiter.waitMs(["first"]), 0);
});

Deno.test("refusals of one network are told some at a time, those of others beside them", () => {
  const clock = new ManualClock();
  const limiter = new LoginLimiter(clock);
  const together = REFUSAL_TURN_MS / REFUSAL_PAUSE_MS;
  const waits = Array.from({ length: 2 * together }, () => limiter.refusalWaitMs("a"));
  assert.deepEqual(waits, waits.map((_, i) => i < together ? REFUSAL_TURN_MS : 2 * REFUSAL_TURN_MS));
  assert.equal(limiter.refusalWaitMs("b"), REFUSAL_TURN_MS);
  for (let i = 0; i < 10_000; i++) limiter.refusalWaitMs("a");
  assert.equal(limiter.refusalWaitMs("a"), 1_000);
});

Deno.test("what is held back for wrong tokens gives way to others, and ends with its connection", async () => {
  const limits = { maxConnections: 4, maxConnectionsPerClient: 4 };
  const held = Promise.withResolvers<void>();
  let fetched = 0;
  const server = HttpServer.bind({
    address: { hostname: "127.0.0.1", port: 0 },
    choice: "--api ADDR:PORT",
    tls: null,
    limits,
    log: createLogger({ level: "error", format: "json", clock: systemClock, write: () => {} }),
    clock: systemClock,
  });
  server.serve({
    fetch: async (request, { holdBack }) => {
      if (!request.url.endsWith("/wrong")) return new Response("right");
      if (++fetched === limits.maxConnections) held.resolve();
      await holdBack(3_600_000);
      return new Response("wrong", { status: 429 });
    },
  });
  const url = `http://127.0.0.1:${server.address.port}`;
  const wrong = Array.from({ length: limits.maxConnections }, () => fetch(`${url}/wrong`).catch(() => null));
  await held.promise;
  assert.equal(await (await fetch(`${url}/right`)).text(), "right");
  await server.close();
  await Promise.all(wrong);
});
