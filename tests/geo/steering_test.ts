/** @module Tests of databases in a running node: what they say is in the answers, and what breaks isn't. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { runQuery } from "../../src/dns_client.ts";
import { parsePrefix } from "../../src/ip.ts";
import { TYPE } from "../../src/wire/record_type.ts";
import { flatRecord, type MmdbValue, writeMmdb } from "./mmdb_writer.ts";
import { call, create, startTestNode, TEST_SETTINGS, type TestNode, until } from "../test_node.ts";

const FRANKFURT = { latitude: 50.1, longitude: 8.7 };
const NEW_YORK = { latitude: 40.7, longitude: -74 };

Deno.test("a node goes by its database, takes a new one over, and goes on with it when that breaks", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/city.mmdb`;
    const place = (where: typeof NEW_YORK) =>
      writeMmdb({ networks: [["198.51.100.0/24", flatRecord(where)]] });
    await Deno.writeFile(path, place(FRANKFURT));
    const geoip = { database: [path], asnDatabase: [], endpointLocations: {} };
    await using test = await startTestNode({ geoip });
    await declare(test);
    deepEqual(await askFrom(test, "198.51.100.0/24"), { address: "192.0.2.10", scope: 24 });
    await Deno.writeFile(path, place(NEW_YORK));
    await test.node.use({ ...TEST_SETTINGS, geoip });
    await until(() => askFrom(test, "198.51.100.0/24"), ({ address }) => address === "192.0.2.20");
    await Deno.writeFile(path, place(FRANKFURT).subarray(0, 100));
    await test.node.use({ ...TEST_SETTINGS, geoip });
    equal((await askFrom(test, "198.51.100.0/24")).address, "192.0.2.20");
    ok(test.lines.some((line) => line.includes("Database not loaded, the previous one stays")));
    const metrics = await (await fetch(new URL("/metrics", test.api))).text();
    match(metrics, /^pleiades_geoip_loads_total\{.*result="error"\} 1$/m);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("bounds that were worked out while a node started are in its answers", async () => {
  const folder = await Deno.makeTempDir();
  // Takes connections and says nothing, so that the node waits for its first round of probes.
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  try {
    const networks = Array.from({ length: 256 }, (_, i): [string, MmdbValue] => [
      `10.${i}.0.0/16`,
      flatRecord({ ...FRANKFURT, asn: i + 1 }),
    ]);
    await Deno.writeFile(`${folder}/city.mmdb`, writeMmdb({ networks }));
    const settings = {
      geoip: { database: [`${folder}/city.mmdb`], asnDatabase: [], endpointLocations: {} },
      database: { path: `${folder}/pleiades.db` },
      health: { ...TEST_SETTINGS.health, startTimeout: 3000 },
    };
    const check = { type: "http", port: silent.addr.port, intervalMs: 60_000, timeoutMs: 60_000 };
    {
      await using before = await startTestNode({ database: settings.database });
      await declare(before);
      const pool = await create(before, "/pools", { name: "slow" });
      await create(before, `/pools/${pool}/members`, { ipAddress: "127.0.0.1", port: 80 });
      const put = await call(before, "PUT", `/pools/${pool}/health-check`, check);
      ok(put.status < 300, JSON.stringify(put));
    }
    await using test = await startTestNode(settings);
    // Without bounds it takes too many visits to see that all of 10.0.0.0/8 is alike.
    await until(() => askFrom(test, "10.1.2.0/24"), ({ scope }) => scope === 8);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** A pool at two sites, behind www.example.org. */
async function declare(test: TestNode): Promise<void> {
  const pool = await create(test, "/pools", { name: "web", algorithm: "geoip" });
  await create(test, `/pools/${pool}/members`, { ipAddress: "192.0.2.10", port: 443, ...FRANKFURT });
  await create(test, `/pools/${pool}/members`, { ipAddress: "192.0.2.20", port: 443, ...NEW_YORK });
  await create(test, "/services", { domain: "www.example.org", poolId: pool });
}

/** What a client gets, and for how wide a prefix. */
async function askFrom({ node }: TestNode, prefix: string) {
  const { message } = await runQuery({
    ...{ server: node.dns[0]!, name: "www.example.org", type: TYPE.A, class: 1, ecs: parsePrefix(prefix) },
    ...{ tcp: false, udpSize: 1232, timeoutMs: 20_000 },
  });
  return { address: message.answers[0]?.data, scope: message.edns?.ecs?.scope };
}
