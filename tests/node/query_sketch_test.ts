/**
 * The query sketch of a whole node: from a packet to the file, and what never gets there.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { Store } from "../../src/store/store.ts";
import { askTcp, askUdp } from "../dns/clients.ts";
import { query } from "../dns/packets.ts";
import { Folder } from "../store/folder.ts";
import { create, startTestNode, TEST_SETTINGS, type TestNode, until } from "../test_node.ts";

const ON = { queries: { ...TEST_SETTINGS.queries, sketch: true } };
const OFF = { queries: TEST_SETTINGS.queries };

async function declare(node: TestNode): Promise<void> {
  const pool = await create(node, "/pools", { name: "web" });
  await create(node, `/pools/${pool}/members`, { ipAddress: "192.0.2.1", port: 443 });
  await create(node, "/services", { domain: "www.example.org", poolId: pool });
}

async function counted(node: TestNode): Promise<number> {
  const text = await (await fetch(new URL("/metrics", node.api))).text();
  return Number(/^pleiades_query_sketch_queries_total\{.*\} (\d+)/m.exec(text)![1]);
}

const rowsOf = (store: Store) =>
  [...store.traffic.between(0, 1e6)]
    .map(({ name, network, a, aaaa }) => `${name} ${network}${a > 0 ? " A" : ""}${aaaa > 0 ? " AAAA" : ""}`)
    .toSorted();

/** Asks until it has been counted: a worker hears of the setting in a moment, and tells its counts once a second. */
async function askUntilCounted(node: TestNode, ask: () => Promise<unknown>): Promise<void> {
  const before = await counted(node);
  await until(async () => {
    await ask();
    return await counted(node);
  }, (queries) => queries > before);
}

Deno.test("queries are in the file after a stop, with the networks of their clients and no address", async () => {
  using folder = new Folder();
  const path = folder.file("pleiades.db");
  {
    await using node = await startTestNode({ ...ON, database: { path } });
    await declare(node);
    const www = query("www.example.org", "A", { ecs: "203.0.113.219/32" });
    await askUntilCounted(node, () => askUdp(node.node.dns[0]!, www));
    const www6 = query("www.example.org", "AAAA", { ecs: "2001:db8:7:9192:9394:9596:9798:999a/128" });
    await askUntilCounted(node, () => askTcp(node.node.dns[0]!, www6));
    await askUdp(node.node.dns[0]!, query("absent.example.org", "A"));
  }
  using store = Store.open(path);
  deepEqual(rowsOf(store), ["www.example.org 203,0,113 A", "www.example.org 32,1,13,184,0,7 AAAA"]);
  const bytes = folder.names().map((name) => Deno.readFileSync(folder.file(name)).toHex()).join("");
  ok(bytes.includes("cb0071"), "the network of the client isn't where this test looks for it");
  ok(bytes.includes("20010db80007"));
  for (const address of ["203.0.113.219", "2001:db8:7:9192"]) {
    ok(!bytes.includes(new TextEncoder().encode(address).toHex()), address);
  }
  for (const address of ["cb0071db", "20010db800079192", "93949596", "9798999a"]) {
    ok(!bytes.includes(address), address);
  }
});

Deno.test("a reload switches it on and off, and other processes see the same model as before", async () => {
  using folder = new Folder();
  const path = folder.file("pleiades.db");
  {
    await using node = await startTestNode({ ...OFF, database: { path } });
    await declare(node);
    using other = Store.open(path);
    const mark = other.mark();
    const ask = () => askUdp(node.node.dns[0]!, query("www.example.org", "A"));
    await ask();
    deepEqual(await node.node.use({ ...TEST_SETTINGS, ...ON, database: { path } }), []);
    await askUntilCounted(node, ask);
    deepEqual(await node.node.use({ ...TEST_SETTINGS, ...OFF, database: { path } }), []);
    deepEqual(other.mark(), mark);
  }
  using store = Store.open(path);
  deepEqual(rowsOf(store), ["www.example.org 127,0,0 A"]);
  equal(store.mark().byHand, 0);
});

Deno.test("without a database nothing is counted, and the log says why", async () => {
  const node = await startTestNode({ ...ON, database: { path: "none" } });
  await node.node.use({ ...TEST_SETTINGS, ...ON, database: { path: "none" } });
  await node[Symbol.asyncDispose]();
  equal(
    node.lines.filter((line) => /queries\.sketch has no effect: it needs a database/.test(line)).length,
    2,
  );
});
