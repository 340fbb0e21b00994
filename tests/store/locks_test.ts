/**
 * A process that has a database open keeps SQLite's locks of it, whatever it does: others come and go, and all see what is
 * written.
 *
 * @module
 */
import { equal } from "node:assert/strict";
import { call, startTestNode, TEST_SETTINGS } from "../test_node.ts";
import { Folder } from "./folder.ts";
import { LineProcess } from "./line_process.ts";

const SECOND = new URL("./second_process.ts", import.meta.url);
/** More than are applied on the thread of the node. */
const SERVICES = 3_000;
const MODEL = [
  { pool: { name: "web" } },
  ...Array.from({ length: SERVICES }, (_, i) => ({ service: { domain: `s${i}.example.org`, pool: "web" } })),
].map((line) => `${JSON.stringify(line)}\n`).join("");

Deno.test("whatever a node does with its database, another process that ends leaves it the write-ahead log", async () => {
  using folder = new Folder();
  const path = folder.file("node.db");
  await using node = await startTestNode({ database: { ...TEST_SETTINGS.database, path } });
  const { store } = node.node;
  const apply = async (query: string) => {
    const response = await fetch(`${node.api}/apply${query}`, {
      ...{ method: "POST", body: MODEL, headers: { "content-type": "application/x-ndjson" } },
    });
    equal(response.status, 200, await response.text());
  };
  const get = async (url: string) => {
    const response = await fetch(url);
    equal(response.status, 200, await response.text());
  };
  const deeds: Readonly<Record<string, () => Promise<unknown>>> = {
    "a plan": () => apply("?dryRun=true"),
    "an apply": () => apply(""),
    "the digest": () => get(`http://127.0.0.1:${node.node.api!.port}/metrics`),
    "a look at its health": () => get(`${node.api}/doctor`),
    "a rollback": () => call(node, "POST", "/rollback?force=true&reason=test", { to: 0 }),
  };
  let pools = 0;
  for (const [deed, work] of Object.entries(deeds)) {
    // A file whose log is empty is looked at in another way.
    store.checkpoint();
    await work();
    const { ino } = Deno.statSync(`${path}-wal`);
    await generationSeenBy(path);
    equal(Deno.statSync(`${path}-wal`).ino, ino, deed);
    await call(node, "POST", "/pools", { name: `pool-${pools++}` });
  }
  equal(await generationSeenBy(path), store.generation());
});

/** By another process, which ends. */
async function generationSeenBy(path: string): Promise<number> {
  await using second = new LineProcess(SECOND, [path]);
  return Number((await second.ask("open"))!.split(" ")[1]);
}
