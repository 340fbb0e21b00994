/**
 * What a whole node must show of overrides: the very next answer, the end at its instant, and a restart in between.
 *
 * @module
 */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { Changes } from "../../src/change/commit.ts";
import { systemClock } from "../../src/clock.ts";
import { newId } from "../../src/model/id.ts";
import type { Model } from "../../src/model/model.ts";
import { memberFieldsSchema, poolFieldsSchema, serviceFieldsSchema } from "../../src/model/model_schema.ts";
import { Store } from "../../src/store/store.ts";
import { applyModel } from "../change/read_model.ts";
import {
  ask,
  askFor,
  call,
  create,
  startTestNode,
  TEST_SETTINGS,
  type TestNode,
  until,
} from "../test_node.ts";

/** A pool `web` of two members in two regions, answered whole under `www.example.com`. */
async function webOf(node: TestNode, fields: object = {}): Promise<string[]> {
  const pool = await create(node, "/pools", { name: "web", maxAnswers: 0, ...fields });
  const members = [];
  for (const [ipAddress, region] of [["192.0.2.1", "fra"], ["192.0.2.2", "ams"]]) {
    members.push(await create(node, `/pools/${pool}/members`, { ipAddress, port: 443, region }));
  }
  await create(node, "/services", { domain: "www.example.com", poolId: pool, ttl: 300 });
  return members;
}

const WHY = { reason: "kernel upgrade", owner: "alice" };
const BOTH = ["192.0.2.1", "192.0.2.2"];

async function answered(node: TestNode): Promise<string[]> {
  return (await askFor(node, "www.example.com")).sort();
}

for (
  const [what, target] of [
    ["a member by its address", "member:web/192.0.2.1"],
    ["a member by pool and port", "web/192.0.2.1:443"],
    ["a region", "region:fra"],
  ] as const
) {
  Deno.test(`down takes ${what} out of the very next answer, and undoing it brings it back in the next`, async () => {
    await using node = await startTestNode();
    await webOf(node);
    assert.deepEqual(await answered(node), BOTH);
    const id = await create(node, "/overrides", { target, state: "down", for: "1h", ...WHY });
    assert.deepEqual(await answered(node), ["192.0.2.2"]);
    assert.equal((await call(node, "DELETE", `/overrides/${id}`)).status, 204);
    assert.deepEqual(await answered(node), BOTH);
  });
}

Deno.test("a pool that is forced down answers with its fallback pool", async () => {
  await using node = await startTestNode();
  const spare = await create(node, "/pools", { name: "spare" });
  await create(node, `/pools/${spare}/members`, { ipAddress: "192.0.2.9", port: 443 });
  await webOf(node, { onAllDown: "fallback", fallbackPoolId: spare });
  await create(node, "/overrides", { target: "pool:web", state: "down", for: "1h", ...WHY });
  assert.deepEqual(await answered(node), ["192.0.2.9"]);
});

Deno.test("an override ends by itself, its end caps the TTL, and the history says that it expired", async () => {
  await using node = await startTestNode();
  await webOf(node);
  const startedMs = Date.now();
  const { json } = await call(node, "POST", "/overrides", {
    target: "region:fra",
    state: "down",
    for: "2s",
    ...WHY,
  });
  const { expiresAt } = json as { readonly expiresAt: string };
  const { answers } = await ask(node, "www.example.com");
  assert.ok(answers[0]!.ttl <= 2, `TTL ${answers[0]!.ttl}`);
  await until(() => answered(node), (addresses) => addresses.length === 2);
  const endedMs = Date.now();
  assert.ok(endedMs >= Date.parse(expiresAt), "not before its end");
  assert.ok(endedMs - startedMs < 60_000);
  await until(() => call(node, "GET", "/overrides"), ({ json }) => (json as unknown[]).length === 0);
  const history = await call(node, "GET", "/history?limit=1");
  const [{ via, reason }] = history.json as [{ readonly via: string; readonly reason: string }];
  assert.deepEqual([via, reason], ["expiry", "expired"]);
  const { answers: after } = await ask(node, "www.example.com");
  assert.equal(after[0]!.ttl, 300);
  const said = node.lines.map((line) => JSON.parse(line)).filter(({ message }) =>
    message.startsWith("Override")
  );
  assert.deepEqual(said.map(({ message, target }) => [message, target]), [
    ["Override begins", "region:fra"],
    ["Override has expired", "region:fra"],
  ]);
});

Deno.test("a drain takes a member out step by step", async () => {
  await using node = await startTestNode();
  await webOf(node, { maxAnswers: 1 });
  await create(node, "/overrides", { target: "region:fra", state: "drain", for: "1h", drain: "4s", ...WHY });
  const shares: number[] = [];
  const share = async () => {
    const answers = await Promise.all(Array.from({ length: 30 }, () => askFor(node, "www.example.com")));
    const drained = answers.filter(([address]) => address === "192.0.2.1").length;
    shares.push(drained);
    return drained;
  };
  await until(share, (drained) => drained === 0);
  assert.ok(shares[0]! >= 7, `it begins with about half: ${shares}`);
  assert.ok(
    shares.some((drained) => drained > 0 && drained < 10),
    `there is something in between: ${shares}`,
  );
  const { answers } = await ask(node, "www.example.com");
  assert.equal(answers[0]!.ttl, 300);
});

Deno.test("an override outlives the process, and what ended while it was down has ended", async () => {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-overrides-" });
  try {
    const settings = { database: { path: `${folder}/node.db` } };
    {
      await using node = await startTestNode(settings);
      await webOf(node);
      await create(node, "/overrides", { target: "region:fra", state: "down", for: "1h", ...WHY });
      await create(node, "/overrides?force=true&reason=test", {
        target: "region:ams",
        state: "down",
        for: "1h",
        ...WHY,
      });
    }
    letPass(settings.database.path, "region:ams", 3_600_001);
    await using again = await startTestNode(settings);
    assert.deepEqual(await answered(again), ["192.0.2.2"]);
    const { json } = await until(
      () => call(again, "GET", "/overrides"),
      ({ json }) => (json as unknown[]).length === 1,
    );
    assert.equal((json as [{ readonly target: string }])[0].target, "region:fra");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("tables that were kept don't bring back the time before an override", async () => {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-overrides-" });
  try {
    const path = `${folder}/node.db`;
    {
      using store = Store.open(path);
      const changes = new Changes({ store, clock: systemClock });
      await applyModel(changes, largeModel());
      await changes.idle();
    }
    {
      await using node = await startTestNode({ database: { path } });
      const startsAt = new Date(Date.now() + 3_600_000).toISOString();
      await create(node, "/overrides", { target: "region:ams", state: "down", startsAt, for: "1h", ...WHY });
      assert.deepEqual(await answered(node), BOTH);
    }
    letPass(path, "region:ams", 3_600_001);
    await using again = await startTestNode({ database: { path } });
    assert.ok(again.lines.some((line) => line.includes("Began with the tables of the last run")));
    assert.deepEqual(await answered(again), ["192.0.2.1"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** Makes an override older, as if so much time had passed while no node ran. */
function letPass(path: string, target: string, ms: number): void {
  using database = new DatabaseSync(path);
  database.prepare(
    "UPDATE overrides SET starts_at = starts_at - ?, expires_at = expires_at - ? WHERE target = ?",
  )
    .run(ms, ms, target);
}

/** The pool of `webOf` in a model so large that its tables are kept. */
function largeModel(): Model {
  const pool = newId();
  const members = [["192.0.2.1", "fra"], ["192.0.2.2", "ams"]].map(([ipAddress, region]) => ({
    id: newId(),
    ...memberFieldsSchema.parse({ ipAddress, port: 443, region }),
  }));
  const serviceOf = (domain: string) => ({
    id: newId(),
    ...serviceFieldsSchema.parse({ domain, poolId: pool }),
  });
  return {
    generation: 0,
    pools: [{
      id: pool,
      ...poolFieldsSchema.parse({ name: "web", maxAnswers: 0 }),
      members,
      healthCheck: null,
      geoRules: [],
    }],
    services: [
      serviceOf("www.example.com"),
      ...Array.from({ length: 20_000 }, (_, i) => serviceOf(`s${i}.example`)),
    ],
    zones: [],
    fallback: null,
  };
}

Deno.test("a member that is forced up is answered though it is disabled and its check fails", async () => {
  await using node = await startTestNode();
  const [first] = await webOf(node, { onAllDown: "none" });
  const { json } = await call(node, "GET", "/pools");
  const [{ id: pool }] = json as [{ readonly id: string }];
  await call(node, "PATCH", `/members/${first}`, { enabled: false, ipAddress: "127.0.0.9", port: 1 });
  await call(node, "PUT", `/pools/${pool}/health-check`, {
    type: "tcp",
    intervalMs: 250,
    timeoutMs: 200,
    fall: 1,
  });
  await create(node, "/overrides", { target: `member:${first}`, state: "up", for: "1h", ...WHY });
  assert.deepEqual(await until(() => answered(node), (all) => all.length === 1), ["127.0.0.9"]);
});

Deno.test("a member that joins a region is covered by the region's override at once", async () => {
  await using node = await startTestNode();
  const [, second] = await webOf(node);
  await create(node, "/overrides", { target: "region:fra", state: "down", for: "1h", ...WHY });
  await call(node, "PATCH", `/members/${second}?force=true&reason=test`, { region: "fra" });
  assert.deepEqual(await answered(node), []);
});

Deno.test("a member's override is in whole snapshots as well", async () => {
  await using node = await startTestNode();
  await webOf(node);
  await create(node, "/overrides", { target: "web/192.0.2.1", state: "down", for: "1h", ...WHY });
  await node.node.use({ ...TEST_SETTINGS, dns: { ...TEST_SETTINGS.dns, domain: ["gslb.example"] } });
  assert.deepEqual(await answered(node), ["192.0.2.2"]);
});

Deno.test("the overrides in effect are counted by state", async () => {
  await using node = await startTestNode();
  await webOf(node);
  await create(node, "/overrides", { target: "region:fra", state: "down", for: "1h", ...WHY });
  await create(node, "/overrides?force=true&reason=test", {
    target: "region:ams",
    state: "down",
    startsAt: new Date(Date.now() + 60_000).toISOString(),
    for: "1h",
    ...WHY,
  });
  const text = await (await fetch(node.api.replace("/api/v1", "/metrics"))).text();
  assert.match(text, /pleiades_overrides_active\{[^}]*state="down"\} 1\n/);
  assert.match(text, /pleiades_overrides_active\{[^}]*state="up"\} 0\n/);
});
