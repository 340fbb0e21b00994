/**
 * The history over REST.
 *
 * @module
 */
import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { createApi } from "../../src/api/api.ts";
import { Changes } from "../../src/change/commit.ts";
import type { Edit } from "../../src/change/edit.ts";
import { Store } from "../../src/store/store.ts";
import { openFiles } from "../change/open_files.ts";
import { createPool, createService, id, ORIGIN, serviceFields } from "../change/samples.ts";
import { ManualClock } from "../clock.ts";
import { apiWorld } from "./api_world.ts";

Deno.test("the history lists what was changed, the newest first", async () => {
  using world = apiWorld();
  await world.create("/pools?reason=one", { name: "one" });
  await world.create("/pools?reason=two", { name: "two" });
  const entry = { at: "2026-01-01T00:00:00.000Z", via: "api", by: "" };
  assert.deepEqual(await (await world.send("GET /api/v1/history")).json(), [
    { generation: 2, ...entry, reason: "two" },
    { generation: 1, ...entry, reason: "one" },
  ]);
});

Deno.test("a generation shows each object before and after", async () => {
  using world = apiWorld();
  const { id } = await world.create("/services", { domain: "www.example.com" });
  await world.send(`PATCH /api/v1/services/${id}`, { body: { ttl: 5 } });
  const { changes, truncated } = await (await world.send("GET /api/v1/history/2")).json();
  const service = { id, domain: "www.example.com", poolId: null, ttl: 30, minTtl: 0, ecs: true };
  const named = { name: "www.example.com", action: "changed", with: null };
  assert.deepEqual(changes, [{
    kind: "service",
    id,
    before: service,
    after: { ...service, ttl: 5 },
    ...named,
  }]);
  assert.equal(truncated, false);
});

Deno.test("an override in the history has its times as everywhere else", async () => {
  using world = apiWorld();
  const { id } = await world.create("/pools", { name: "web" });
  const fields = { target: `pool:${id}`, state: "down", reason: "test", owner: "ops", for: "1h" };
  const made = await world.create<Record<string, unknown>>("/overrides", fields);
  const { at, changes } = await (await world.send("GET /api/v1/history/2")).json();
  assert.equal(at, "2026-01-01T00:00:00.000Z");
  const [{ after }] = changes;
  assert.deepEqual(
    [after.startsAt, after.expiresAt],
    [made["startsAt"], made["expiresAt"]],
  );
  assert.equal(after.expiresAt, "2026-01-01T01:00:00.000Z");
});

Deno.test("a generation with very many changes shows the first thousand and says so", async () => {
  using world = apiWorld();
  const lines = Array.from({ length: 1_001 }, (_, i) => `{"service":{"domain":"s${i}.example.com"}}\n`);
  await world.send("POST /api/v1/apply", {
    body: lines.join(""),
    headers: { "content-type": "application/x-ndjson" },
  });
  const { changes, truncated } = await (await world.send("GET /api/v1/history/1")).json();
  assert.deepEqual([changes.length, truncated], [1_000, true]);
});

for (const generation of ["7", "0", "latest", "-1"]) {
  Deno.test(`generation ${generation} of an empty history is 404`, async () => {
    using world = apiWorld();
    assert.equal((await world.send(`GET /api/v1/history/${generation}`)).status, 404);
  });
}

Deno.test("a generation that is forgotten is 410, and it says what is kept", async () => {
  using world = apiWorld();
  world.changes.use({ keep: 2, maxBytes: 1024 * 1024 });
  for (const domain of ["a", "b", "c", "d"]) {
    await world.create("/services", { domain: `${domain}.example.com` });
  }
  const response = await world.send("GET /api/v1/history/2");
  assert.equal(response.status, 410);
  const detail = "Generation 2 was deleted: the history begins with 3 " +
    "(history.keep and history.maxBytes say how much is kept)";
  assert.equal((await response.json()).detail, detail);
  assert.equal((await world.send("GET /api/v1/history/3")).status, 200);
  assert.equal((await world.send("GET /api/v1/history/5")).status, 404);
  assert.deepEqual((await (await world.send("GET /api/v1/history")).json()).length, 2);
});

/** An API on a database of its own with many services, whose clock says at each look that a slice is over. */
class LargeHistory implements Disposable {
  readonly #folder = Deno.makeTempDirSync();
  /** What others do in their next turn. */
  inTurn = () => {};
  turns = 0;
  readonly #clock = {
    unixMs: () => 0,
    monotonicMs: () => this.#nowMs += 10,
    sleep: async (ms: number, signal: AbortSignal) => {
      if (ms > 0) return await new ManualClock().sleep(ms, signal);
      this.turns++;
      this.inTurn();
      this.inTurn = () => {};
      await setImmediate();
    },
  };
  #nowMs = 0;
  readonly #store = Store.open(`${this.#folder}/pleiades.db`);
  readonly #changes = new Changes({ store: this.#store, clock: this.#clock });
  readonly world = apiWorld({ store: this.#store, changes: this.#changes, clock: this.#clock });
  readonly #app = createApi(this.world.parts);

  constructor() {
    this.commit(...Array.from({ length: 300 }, (_, i) => createService(i, { domain: `s${i}.example.com` })));
    const fields = serviceFields({ domain: "changed.example.com" });
    this.commit({ kind: "updateService", id: id(7), fields });
  }

  commit(...edits: Edit[]): void {
    this.#changes.commit(edits, ORIGIN);
  }

  async get(path: string, signal?: AbortSignal): Promise<Response> {
    return await this.#app.request(`http://localhost/api/v1${path}`, signal ? { signal } : {});
  }

  /** Descriptors of the database; SQLite keeps one for the next connection. */
  get descriptors(): number {
    return Deno.build.os === "linux" ? openFiles(this.#folder).length : 0;
  }

  [Symbol.dispose](): void {
    this.world[Symbol.dispose]();
    this.#store.close();
    Deno.removeSync(this.#folder, { recursive: true });
  }
}

Deno.test("generations are read as one commit left the database, while others have their turns", async () => {
  using history = new LargeHistory();
  history.inTurn = () => history.commit(createPool(1, { name: "one" }));
  const difference = await (await history.get("/diff?from=0&to=2")).json();
  assert.deepEqual(difference.objects, { service: { created: 300, changed: 0, deleted: 0 } });
  assert.ok(history.turns > 300, `others had ${history.turns} turns`);
  history.inTurn = () => history.commit(createPool(2, { name: "two" }));
  history.turns = 0;
  const past = await (await history.get("/history/1/model")).json();
  assert.deepEqual([past.pools, past.services.length], [undefined, 300]);
  assert.ok(past.services.every(({ domain }: { readonly domain: string }) => !domain.startsWith("changed")));
  assert.ok(history.turns > 300, `others had ${history.turns} turns`);
  const after = await (await history.get("/diff?from=2&to=4")).json();
  assert.deepEqual(after.objects, { pool: { created: 2, changed: 0, deleted: 0 } });
});

Deno.test("a generation whose reader leaves, or isn't kept, leaves no connection to the database", async () => {
  using history = new LargeHistory();
  await history.get("/diff?from=0&to=1");
  const before = history.descriptors;
  for (const path of ["/diff?from=0&to=2", "/history/1/model"]) {
    for (let times = 0; times < 12; times++) {
      const left = new AbortController();
      history.inTurn = () => left.abort();
      assert.equal((await history.get(path, left.signal)).status, 400);
    }
    assert.equal(history.descriptors, before);
  }
  assert.equal((await history.get("/diff?from=0&to=9")).status, 404);
  for (let times = 0; times < 12; times++) {
    assert.equal((await history.get("/history/9/model")).status, 404);
  }
  assert.equal(history.descriptors, before);
  const past = await (await history.get("/history/1/model")).json();
  assert.equal(past.services.length, 300);
});

Deno.test({
  name: "two generations are read at a time, and others wait for their turns",
  ignore: Deno.build.os !== "linux",
  async fn() {
    using history = new LargeHistory();
    const most = async (at: number) => {
      let descriptors = 0;
      const look = () => {
        descriptors = Math.max(descriptors, history.descriptors);
        queueMicrotask(() => history.inTurn = look);
      };
      history.inTurn = look;
      const answers = await Promise.all(Array.from({ length: at }, () => history.get("/diff?from=0&to=2")));
      assert.ok(answers.every(({ status }) => status === 200));
      return descriptors;
    };
    const ofTwo = await most(2);
    assert.ok(ofTwo > await most(1));
    assert.equal(await most(6), ofTwo);
  },
});
