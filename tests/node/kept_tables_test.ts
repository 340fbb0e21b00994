/**
 * A large node starts from the tables of its last run, whatever happened to the database meanwhile.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Changes } from "../../src/change/commit.ts";
import { systemClock } from "../../src/clock.ts";
import { MEMBER_DEFAULTS, type Model, POOL_DEFAULTS, SERVICE_DEFAULTS } from "../../src/model/model.ts";
import { newId } from "../../src/model/id.ts";
import { HISTORY_LIMITS, type HistoryLimits } from "../../src/store/history.ts";
import { Store } from "../../src/store/store.ts";
import { applyModel } from "../change/read_model.ts";
import { askFor, startTestNode } from "../test_node.ts";

const ORIGIN = { via: "test", by: "", reason: "" };
/** Enough for the tables to be kept, also when some are deleted. */
const SERVICES = 20_100;

/** A pool of one member with many services. */
function model(ipAddress: string): Model {
  const pool = newId();
  const member = { ...MEMBER_DEFAULTS, id: newId(), ipAddress, port: 443 };
  return {
    generation: 0,
    pools: [{ ...POOL_DEFAULTS, id: pool, name: "web", members: [member], healthCheck: null, geoRules: [] }],
    services: Array.from(
      { length: SERVICES },
      (_, i) => ({ ...SERVICE_DEFAULTS, id: newId(), domain: `s${i}.example`, poolId: pool }),
    ),
    zones: [],
    fallback: null,
  };
}

/** Commits to a database that no node has open. */
async function change(
  path: string,
  make: (store: Store, changes: Changes) => Promise<unknown> | void,
  history: HistoryLimits = HISTORY_LIMITS,
): Promise<void> {
  using store = Store.open(path);
  const changes = new Changes({ store, clock: systemClock, history });
  await make(store, changes);
  await changes.idle();
}

Deno.test("tables that were kept are used, made up for and, where they don't hold, ignored", async (t) => {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-kept-" });
  const path = `${folder}/node.db`;
  let tookOver = false;
  let lines: readonly string[] = [];
  const answers = async (name: string) => {
    await using node = await startTestNode({ database: { path } });
    lines = node.lines;
    tookOver = node.lines.some((line) => line.includes("Began with the tables of the last run"));
    return await askFor(node, name);
  };
  try {
    await change(path, (_, changes) => applyModel(changes, model("192.0.2.1")));
    assert.deepEqual(await answers("s19999.example"), ["192.0.2.1"]);
    const kept = await Deno.readFile(`${path}.tables`);

    await t.step("what was committed while the node was away is answered", async () => {
      await change(path, (store, changes) => {
        const pool = store.pools.byName("web")!.id;
        const [member] = store.members.of(pool);
        changes.commit([{
          kind: "updateMember",
          id: member!.id,
          fields: { ...member!, ipAddress: "192.0.2.2" },
        }], ORIGIN);
        changes.commit([{ kind: "deleteService", id: store.services.byDomain("s0.example")!.id }], ORIGIN);
      });
      assert.deepEqual(await answers("s1.example"), ["192.0.2.2"]);
      assert.ok(tookOver);
      assert.deepEqual(await answers("s0.example"), []);
    });

    await t.step("a file of an earlier run is made up for, too", async () => {
      await Deno.writeFile(`${path}.tables`, kept);
      assert.deepEqual(await answers("s1.example"), ["192.0.2.2"]);
      assert.ok(tookOver);
    });

    await t.step("one of twenty generations ago is made up for where the history keeps but ten", async () => {
      const limits = { ...HISTORY_LIMITS, keep: 10 };
      await change(path, (store, changes) => {
        const pool = store.pools.byName("web")!.id;
        const [member] = store.members.of(pool);
        const readdress = (ipAddress: string) =>
          changes.commit(
            [{ kind: "updateMember", id: member!.id, fields: { ...member!, ipAddress } }],
            ORIGIN,
          );
        readdress("192.0.2.3");
        const first = store.services.byDomain("s2.example")!;
        changes.commit([{ kind: "deleteService", id: first.id }], ORIGIN);
        const second = store.services.byDomain("s3.example")!;
        for (let ttl = 1; ttl <= 18; ttl++) {
          changes.commit([{ kind: "updateService", id: second.id, fields: { ...second, ttl } }], ORIGIN);
        }
        assert.equal(store.history.oldest(), store.generation() - 9);
      }, limits);
      await Deno.writeFile(`${path}.tables`, kept);
      assert.deepEqual(await answers("s1.example"), ["192.0.2.3"]);
      await Deno.writeFile(`${path}.tables`, kept);
      assert.deepEqual(await answers("s2.example"), []);
    });

    await t.step("a file of another database of the same age is ignored", async () => {
      const other = `${folder}/other.db`;
      await change(other, (_, changes) => applyModel(changes, model("198.51.100.1")));
      await Deno.writeFile(`${other}.tables`, kept);
      await using node = await startTestNode({ database: { path: other } });
      assert.deepEqual(await askFor(node, "s1.example"), ["198.51.100.1"]);
    });

    await t.step("a file that is garbage is ignored with a word", async () => {
      await Deno.writeTextFile(`${path}.tables`, "garbage\n");
      assert.deepEqual(await answers("s1.example"), ["192.0.2.3"]);
      assert.ok(!tookOver);
      assert.ok(lines.some((line) => line.includes("tables of the last run aren't valid")));
    });

    await t.step("a file without a line, of any size, is ignored with a word", async () => {
      using file = await Deno.open(`${path}.tables`, { write: true, truncate: true });
      await file.truncate(64 * 2 ** 30); // no block of it is on the disk
      assert.deepEqual(await answers("s1.example"), ["192.0.2.3"]);
      assert.ok(lines.some((line) => line.includes("tables of the last run aren't valid")));
    });

    await t.step({
      name: "a pipe in its place is not waited for, and ignored with a word",
      ignore: Deno.build.os === "windows",
      fn: async () => {
        await Deno.remove(`${path}.tables`);
        assert.ok((await new Deno.Command("mkfifo", { args: [`${path}.tables`] }).output()).success);
        assert.deepEqual(await answers("s1.example"), ["192.0.2.3"]);
        assert.ok(lines.some((line) => line.includes("Cannot read the tables of the last run")));
      },
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
