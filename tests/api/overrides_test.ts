/** @module The routes of overrides. */
import { deepEqual, equal, match } from "node:assert/strict";
import { type ApiWorld, apiWorld } from "./api_world.ts";

const WHY = { reason: "kernel upgrade", owner: "alice" };

interface Override {
  readonly id: string;
  readonly target: string;
  readonly targetName: string;
  readonly phase: string;
}

async function pools(world: ApiWorld): Promise<{ readonly pool: string; readonly member: string }> {
  const { id: pool } = await world.create("/pools", { name: "web" });
  const { id: member } = await world.create(`/pools/${pool}/members`, {
    ipAddress: "192.0.2.1",
    port: 443,
    region: "fra",
  });
  return { pool, member };
}

Deno.test("names become ids, and come back as names", async () => {
  using world = apiWorld();
  const { pool, member } = await pools(world);
  for (
    const [given, target, targetName] of [
      ["member:web/192.0.2.1", `member:${member}`, "member:web/192.0.2.1:443"],
      [`web/192.0.2.1:443`, `member:${member}`, "member:web/192.0.2.1:443"],
      [`member:${member}`, `member:${member}`, "member:web/192.0.2.1:443"],
      ["pool:web", `pool:${pool}`, "pool:web"],
      [`pool:${pool}`, `pool:${pool}`, "pool:web"],
      ["region:fra", "region:fra", "region:fra"],
    ]
  ) {
    const made = await world.create<Override>("/overrides", {
      target: given,
      state: "down",
      for: "1h",
      ...WHY,
    });
    deepEqual([made.target, made.targetName], [target, targetName]);
  }
});

Deno.test("an override is planned, draining, active and expired in its time", async () => {
  using world = apiWorld();
  await pools(world);
  const { id } = await world.create("/overrides", {
    target: "pool:web",
    state: "drain",
    startsAt: new Date(world.clock.unixMs() + 10_000).toISOString(),
    for: "20s",
    drain: "10s",
    ...WHY,
  });
  const phases = [];
  for (let i = 0; i < 4; i++) {
    const { phase }: Override = await (await world.send(`GET /api/v1/overrides/${id}`)).json();
    phases.push(phase);
    await world.clock.advance(10_000);
  }
  deepEqual(phases, ["planned", "draining", "active", "expired"]);
});

Deno.test("an override has its times in RFC 3339, and says when it is in the list and by its target", async () => {
  using world = apiWorld();
  await pools(world);
  const made = await world.create("/overrides", { target: "region:fra", state: "up", for: "30m", ...WHY });
  await world.create("/overrides", { target: "pool:web", state: "down", for: "30m", ...WHY });
  const { id, ...rest } = made as unknown as Record<string, unknown>;
  deepEqual(rest, {
    target: "region:fra",
    targetName: "region:fra",
    state: "up",
    phase: "active",
    reason: "kernel upgrade",
    owner: "alice",
    startsAt: "2026-01-01T00:00:00.000Z",
    expiresAt: "2026-01-01T00:30:00.000Z",
    drainMs: 0,
    createdAt: "2026-01-01T00:00:00.000Z",
  });
  const all: Override[] = await (await world.send("GET /api/v1/overrides")).json();
  equal(all.length, 2);
  const ofRegion: Override[] = await (await world.send("GET /api/v1/overrides?target=region:fra")).json();
  deepEqual(ofRegion.map((each) => each.id), [id]);
});

Deno.test("a target that a pool doesn't have is told with the addresses that it has, each once", async () => {
  using world = apiWorld();
  const { pool } = await pools(world);
  await world.create(`/pools/${pool}/members`, { ipAddress: "192.0.2.1", port: 80 });
  const refused = await world.send("POST /api/v1/overrides", {
    body: {
      target: "web/192.0.2.9",
      state: "up",
      for: "30m",
      ...WHY,
    },
  });
  match(await refused.text(), /has no member \\"192\.0\.2\.9\\" \(it has 192\.0\.2\.1\)/);
});

for (
  const [what, fields, status, pointer, message] of [
    ["an unreadable target", { target: "web" }, 400, "/target", /it must be region:NAME, pool:NAME/],
    [
      "an unknown pool",
      { target: "pool:wev" },
      422,
      "/target",
      /No pool is called "wev" \(did you mean "web"\?\)/,
    ],
    ["an unknown region", { target: "region:fre" }, 422, "/target", /did you mean "fra"\?/],
    [
      "an unknown address",
      { target: "web/192.0.2.9" },
      422,
      "/target",
      /has no member "192.0.2.9" \(it has 192.0.2.1\)/,
    ],
    [
      "an unknown id",
      { target: `member:${"0".repeat(32)}` },
      422,
      "/target",
      /There is nothing called member:0/,
    ],
    ["an unknown state", { state: "off" }, 400, "/state", /one of up, down, drain/],
    ["no reason", { reason: undefined }, 400, "/reason", /reason is required/],
    ["a blank reason", { reason: "  " }, 400, "/reason", /reason is required/],
    ["no owner", { owner: undefined }, 400, "/owner", /owner is required/],
    ["no end", { for: undefined }, 400, "/expiresAt", /no override is for ever/],
    [
      "an end in the past",
      { for: undefined, expiresAt: "2025-12-31T00:00:00Z" },
      400,
      "/expiresAt",
      /has passed/,
    ],
    [
      "an end too far away",
      { for: undefined, expiresAt: "2026-02-01T00:00:00Z" },
      400,
      "/expiresAt",
      /more than 30 days away/,
    ],
    [
      "a drain longer than its life",
      { state: "drain", drain: "2h" },
      400,
      "/drain",
      /longer than the override/,
    ],
  ] as const
) {
  Deno.test(`an override with ${what} is refused`, async () => {
    using world = apiWorld();
    await pools(world);
    const response = await world.send("POST /api/v1/overrides", {
      body: Object.assign({ target: "region:fra", state: "down", for: "1h", ...WHY }, fields),
    });
    equal(response.status, status);
    equal(response.headers.get("content-type"), "application/problem+json");
    const { errors } = await response.json();
    deepEqual(errors.map((error: { pointer: string }) => error.pointer), [pointer]);
    match(errors[0].message, message);
    equal(world.store.overrides.count(), 0);
  });
}

Deno.test("an address that two members share needs its port", async () => {
  using world = apiWorld();
  const { pool } = await pools(world);
  await world.create(`/pools/${pool}/members`, { ipAddress: "192.0.2.1", port: 8443 });
  const send = (target: string) =>
    world.send("POST /api/v1/overrides", { body: { target, state: "down", for: "1h", ...WHY } });
  const response = await send("web/192.0.2.1");
  equal(response.status, 422);
  match((await response.json()).detail, /on the ports 443, 8443: add the port/);
  equal((await send("web/192.0.2.1:8443")).status, 201);
});

Deno.test("a member says what overrides it, while it does", async () => {
  using world = apiWorld();
  const { pool, member } = await pools(world);
  const overrideOf = async () => (await (await world.send(`GET /api/v1/members/${member}`)).json()).override;
  equal(await overrideOf(), null);
  await world.create("/overrides", { target: "region:fra", state: "down", for: "1h", ...WHY });
  const expected = { state: "down", ...WHY, expiresAt: "2026-01-01T01:00:00.000Z" };
  deepEqual(await overrideOf(), expected);
  const [listed] = await (await world.send(`GET /api/v1/pools/${pool}/members`)).json();
  deepEqual(listed.override, expected);
  await world.clock.advance(3_600_000);
  equal(await overrideOf(), null);
});

Deno.test("a dry run changes nothing, and a create that is sent twice with one key happens once", async () => {
  using world = apiWorld();
  await pools(world);
  const body = { target: "region:fra", state: "down", for: "1h", ...WHY };
  const dry = await world.send("POST /api/v1/overrides?dryRun=true", { body });
  equal(dry.status, 200);
  equal((await dry.json()).changes[0].name, "down region fra");
  equal(world.store.overrides.count(), 0);
  const headers = { "idempotency-key": "one" };
  const first = await world.send("POST /api/v1/overrides", { body, headers });
  const second = await world.send("POST /api/v1/overrides", { body, headers });
  equal((await first.json()).id, (await second.json()).id);
  equal(world.store.overrides.count(), 1);
});

Deno.test("an override is deleted once, and only as the one that was read", async () => {
  using world = apiWorld();
  await pools(world);
  const { id } = await world.create("/overrides", { target: "region:fra", state: "down", for: "1h", ...WHY });
  const path = `/api/v1/overrides/${id}`;
  const etag = (await world.send(`GET ${path}`)).headers.get("etag")!;
  equal((await world.send(`DELETE ${path}`, { headers: { "if-match": '"1"' } })).status, 412);
  equal((await world.send(`DELETE ${path}`, { headers: { "if-match": etag } })).status, 204);
  equal((await world.send(`DELETE ${path}`)).status, 404);
  equal((await world.send(`GET ${path}`)).status, 404);
});
