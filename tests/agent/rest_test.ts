/** @module Records that are pools of a real node. */
import { deepEqual, equal, match, rejects } from "node:assert/strict";
import { formatBlock, Lock, parseBlock } from "../../src/agent/block.ts";
import { CheckLoop } from "../../src/agent/loop.ts";
import { NO_RECORDS } from "../../src/agent/records.ts";
import { RestRecords } from "../../src/agent/records/rest.ts";
import { systemClock } from "../../src/clock.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { runs } from "../property_runs.ts";
import { askFor, startTestNode } from "../test_node.ts";
import { call } from "../rest.ts";
import { draws } from "./world.ts";

const FQDN = "www.example.org";
const signal = new AbortController().signal;
const terms = { ttl: 5, wait: false };
const log = createLogger({ level: "error", format: "json", clock: systemClock, write: () => {} });

interface Shown {
  readonly id: string;
  readonly ipAddress: string | null;
  readonly weight: number;
  readonly target?: string;
}

Deno.test("an agent keeps its address among the members of a pool", async (test) => {
  await using node = await startTestNode();
  const api = node.api;
  const json = (path: string, fields: unknown) =>
    call<{ readonly id: string }>(api, { method: "POST", path, json: fields });
  const pool = await json("/pools", { name: "web" });
  await json("/services", { domain: FQDN, poolId: pool.id, ttl: 5 });
  const url = new URL(api).origin;
  const records = new RestRecords({ api: url, token: null, pool: "web", port: 443 });
  const members = () => call<Shown[]>(api, { method: "GET", path: `/pools/${pool.id}/members` });
  const generation = async () => (await call<unknown[]>(api, { method: "GET", path: "/history" })).length;

  await test.step("members are added and removed as one change, and DNS answers by them at once", async () => {
    const read = await records.read(FQDN, "A", signal);
    deepEqual(read.values, []);
    const before = await generation();
    const values = ["192.0.2.1", "192.0.2.2"];
    equal(await records.write(FQDN, "A", values, { ...terms, expected: read }, signal), "written");
    equal(await generation(), before + 1);
    deepEqual((await records.read(FQDN, "A", signal)).values, values);
  });

  await test.step("those that stay keep what they have; names and the other family are left alone", async () => {
    const [first] = await members();
    await call(api, { method: "PATCH", path: `/members/${first!.id}`, json: { weight: 7 } });
    await json(`/pools/${pool.id}/geo-rules`, {
      cidr: "198.51.100.0/24",
      memberId: first!.id,
    });
    await json(`/pools/${pool.id}/members`, { ipAddress: "2001:db8::1", port: 443 });
    const read = await records.read(FQDN, "A", signal);
    equal(
      await records.write(FQDN, "A", ["192.0.2.1", "192.0.2.3"], { ...terms, expected: read }, signal),
      "written",
    );
    const now = await members();
    deepEqual(now.map(({ ipAddress }) => ipAddress).sort(), ["192.0.2.1", "192.0.2.3", "2001:db8::1"]);
    const kept = now.find(({ ipAddress }) => ipAddress === "192.0.2.1")!;
    deepEqual([kept.id, kept.weight], [first!.id, 7]);
    equal((await call<unknown[]>(api, { method: "GET", path: `/pools/${pool.id}/geo-rules` })).length, 1);
    deepEqual((await records.read(FQDN, "AAAA", signal)).values, ["2001:db8::1"]);
  });

  await test.step("nothing is written when a member was created, changed or deleted meanwhile", async () => {
    const write = async (change: () => Promise<unknown>) => {
      const expected = await records.read(FQDN, "A", signal);
      await change();
      return await records.write(FQDN, "A", ["192.0.2.9"], { ...terms, expected }, signal);
    };
    const at = async (address: string) =>
      (await members()).find(({ ipAddress }) => ipAddress === address)!.id;
    equal(
      await write(() => json(`/pools/${pool.id}/members`, { ipAddress: "192.0.2.4", port: 443 })),
      "changed",
    );
    const id = await at("192.0.2.4");
    equal(
      await write(() => call(api, { method: "PATCH", path: `/members/${id}`, json: { weight: 2 } })),
      "changed",
    );
    equal(await write(() => call(api, { method: "DELETE", path: `/members/${id}` })), "changed");
    equal(
      await records.write(FQDN, "A", ["192.0.2.9"], { ...terms, expected: NO_RECORDS }, signal),
      "changed",
    );
    await rejects(
      records.write(FQDN, "A", [], { ...terms, expected: await records.read(FQDN, "A", signal) }, signal),
    );
    await rejects(records.delete(FQDN, "A", await records.read(FQDN, "A", signal), signal), RangeError);
  });

  await test.step("a lock is taken, refused to others, and given back", async () => {
    const place = { fqdn: FQDN, records, clock: systemClock };
    const lock = new Lock(place, "aaaaaaaa");
    await lock.take("192.0.2.1", 5_000, signal);
    await lock.take(null, 5_000, signal);
    await rejects(new Lock(place, "bbbbbbbb").take("192.0.2.1", 5_000, signal), /another operator, aaaaaaaa/);
    const stale = await records.read(FQDN, "TXT", signal);
    await lock.take("192.0.2.1", 5_000, signal);
    const strings = formatBlock({ address: null, addressUntilMs: null, owner: "cccccccc", ownerUntilMs: 0 });
    equal(await records.write(FQDN, "TXT", strings, { ...terms, expected: stale }, signal), "changed");
    const { values } = await records.read(FQDN, "TXT", signal);
    equal(parseBlock(values, systemClock.unixMs()).kind, "live");
    await lock.release(signal);
    deepEqual((await records.read(FQDN, "TXT", signal)).values, []);
  });

  await test.step("two agents that remove each other never leave the pool empty", async () => {
    const both = ["192.0.2.1", "192.0.2.3"];
    const loops = both.map((self, i) =>
      new CheckLoop({
        fqdn: FQDN,
        self,
        intervalMs: 5_000,
        limits: { minimumFailures: 1, maximumFailures: 60 },
        records: new RestRecords({ api: url, token: null, pool: "web", port: 443 }),
        probe: () => Promise.resolve("connection refused"),
        clock: systemClock,
        rng: draws(i + 1),
        log,
      })
    );
    for (let round = 0; round < runs(10); round++) {
      await Promise.all(loops.map((loop) => loop.round(signal)));
      equal((await records.read(FQDN, "A", signal)).values.length, 1);
    }
    match((await askFor(node, FQDN)).join(), /192\.0\.2\.[13]/);
  });

  await test.step("guards of shares, whose limits are for people, keep no server out and none in; the history says what was passed", async () => {
    const shared = await json("/pools", { name: "shared" });
    for (let i = 0; i < 12; i++) await json("/services", { domain: `s${i}.example.org`, poolId: shared.id });
    const own = new RestRecords({ api: url, token: null, pool: "shared", port: 443 });
    const servers = Array.from({ length: 12 }, (_, i) => `192.0.2.${101 + i}`);
    // The second one takes half of all answers, and eleven of twelve members go at once.
    for (const count of [1, 2, 12, 1]) {
      const expected = await own.read(FQDN, "A", signal);
      equal(await own.write(FQDN, "A", servers.slice(0, count), { ...terms, expected }, signal), "written");
    }
    deepEqual((await own.read(FQDN, "A", signal)).values, ["192.0.2.101"]);
    const entries = await call<{ readonly reason: string }[]>(api, { method: "GET", path: "/history" });
    deepEqual(entries.slice(0, 4).map(({ reason }) => reason).reverse(), [
      "pleiades agent: added 192.0.2.101",
      "pleiades agent: added 192.0.2.102; past moved-share",
      `pleiades agent: added ${servers.slice(2, 10).join(", ")} and 2 more; past moved-share`,
      `pleiades agent: removed ${
        servers.slice(1, 9).join(", ")
      } and 3 more; past moved-share and deleted-share`,
    ]);
    const done = await call<{ readonly request: string }[]>(api, {
      method: "GET",
      path: "/audit?outcome=done",
    });
    const forced = done.filter(({ request }) => request.endsWith("?force=true"));
    deepEqual(
      forced.map(({ request }) => request),
      Array(3).fill(`PUT ${new URL(api).pathname}/pools/${shared.id}/members?force=true`),
    );
  });

  await test.step("what would leave a name without addresses stays refused, and answered as it was", async () => {
    const two = await json("/pools", { name: "two" });
    await json("/services", { domain: "two.example.org", poolId: two.id });
    const own = new RestRecords({ api: url, token: null, pool: "two", port: 443 });
    const write = async (values: readonly string[]) =>
      await own.write(FQDN, "A", values, { ...terms, expected: await own.read(FQDN, "A", signal) }, signal);
    equal(await write(["192.0.2.201", "192.0.2.202"]), "written");
    const [first] = await call<Shown[]>(api, { method: "GET", path: `/pools/${two.id}/members` });
    const able = (enabled: boolean) =>
      call(api, { method: "PATCH", path: `/members/${first!.id}`, json: { enabled } });
    await able(false);
    await rejects(
      write(["192.0.2.201"]),
      /RecordsRefused: the node refuses it: 1 name would lose .*two\.example\.org.* \(enable another member of the pool two,/,
    );
    deepEqual(await askFor(node, "two.example.org"), ["192.0.2.202"]);
    await able(true);
    equal(await write(["192.0.2.201"]), "written");
    const [{ reason }] = await call<[{ readonly reason: string }]>(api, { method: "GET", path: "/history" });
    equal(reason, "pleiades agent: removed 192.0.2.202");
  });

  await test.step("a pool that was deleted and created again is found at the second look", async () => {
    const first = await json("/pools", { name: "again" });
    const own = new RestRecords({ api: url, token: null, pool: "again", port: 443 });
    deepEqual((await own.read(FQDN, "A", signal)).values, []);
    await call(api, { method: "DELETE", path: `/pools/${first.id}` });
    await json("/pools", { name: "again" });
    await rejects(own.read(FQDN, "A", signal));
    deepEqual((await own.read(FQDN, "A", signal)).values, []);
  });

  await test.step("a pool that isn't there, and a token that may not write, are said with the key", async () => {
    const none = new RestRecords({ api: url, token: null, pool: "wep", port: 443 });
    await rejects(
      none.check(FQDN, "A", signal),
      /RecordsRefused: there is no pool "wep" \(fix agent\.pleiades\.pool/,
    );
    const { token } = await call<{ readonly token: string }>(api, {
      method: "POST",
      path: "/tokens",
      json: { name: "reader", scope: "read" },
    });
    const reader = new RestRecords({ api: url, token, pool: "web", port: 443 });
    const expected = await reader.read(FQDN, "A", signal);
    const words = /RecordsRefused: .*fix agent\.pleiades\.token/;
    await rejects(reader.write(FQDN, "A", ["192.0.2.9"], { ...terms, expected }, signal), words);
    const wrong = new RestRecords({ api: url, token: "wrong", pool: "web", port: 443 });
    await rejects(wrong.check(FQDN, "A", signal), words);
  });
});

Deno.test("a node that shares nothing forgets a lock when it ends: its holder refreshes it, unless another was faster", async () => {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-lock-" });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const settings = { database: { path: `${folder}/node.db` } };
  let node = await startTestNode(settings);
  stack.defer(() => node[Symbol.asyncDispose]());
  const lockOf = (pool: string, owner: string) =>
    new Lock({
      fqdn: FQDN,
      clock: systemClock,
      get records() {
        return new RestRecords({ api: new URL(node.api).origin, token: null, pool, port: 443 });
      },
    }, owner);
  const pools = ["web", "db"] as const;
  for (const name of pools) await call(node.api, { method: "POST", path: "/pools", json: { name } });
  const holders = pools.map((pool) => lockOf(pool, "aaaaaaaa"));
  for (const holder of holders) await holder.take("192.0.2.1", 5_000, signal);
  await node[Symbol.asyncDispose]();
  node = await startTestNode(settings);

  await holders[0]!.take("192.0.2.1", 5_000, signal);
  await rejects(lockOf("web", "bbbbbbbb").take(null, 5_000, signal), /another operator, aaaaaaaa/);
  await lockOf("db", "bbbbbbbb").take(null, 5_000, signal);
  await rejects(holders[1]!.take("192.0.2.1", 5_000, signal), /another operator, bbbbbbbb/);
});
