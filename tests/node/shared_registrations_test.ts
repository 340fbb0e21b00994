/**
 * Registrations that nodes of a cluster share over a real NATS server, with the permissions that are shipped.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { Kvm } from "@nats-io/kv";
import { NatsConnectionImpl } from "@nats-io/nats-core/internal";
import { useDenoTransport } from "../../src/nats/transport.ts";
import { instance, SETTINGS } from "../discovery/world.ts";
import { NatsServer } from "../nats/server.ts";
import { testWith } from "../programs.ts";
import { call, startTestNode, TEST_SETTINGS, type TestNode, until } from "../test_node.ts";

const WEB = "http.web.prod.shop.gg";
const SHIPPED = Deno.readTextFileSync(new URL("../../packaging/nats/pleiades.conf", import.meta.url))
  .replaceAll(/\$PLEIADES_NATS_(\w+)/g, (_, node: string) => `"of-${node.toLowerCase()}"`)
  .replace("authorization {", "authorization {\n  timeout: 60");

function start(id: string, { url }: NatsServer, directory: string): Promise<TestNode> {
  const { state } = TEST_SETTINGS;
  const auth = { ...state.nats.auth, user: id, password: `of-${id}` };
  return startTestNode({
    cluster: { id: "production" },
    node: { ...TEST_SETTINGS.node, id },
    state: {
      ...state,
      heartbeatInterval: 200,
      heartbeatTTL: 2_000,
      nats: { ...state.nats, servers: [url], auth },
    },
    discovery: { ...SETTINGS, directory, nats: { enabled: true, ttl: 3_000 } },
  });
}

testWith(
  ["nats-server"],
  "what is registered with one node is found at the others, as long as it lives, and while there is no server",
  async () => {
    await using server = await NatsServer.start({ config: SHIPPED });
    const directories = [await Deno.makeTempDir(), await Deno.makeTempDir()] as const;
    await using fra = await start("fra1", server, directories[0]);
    await using ams = await start("ams1", server, directories[1]);
    const found = async (node: TestNode) => {
      const { status, json } = await call(node, "GET", `/lookup/${WEB}`);
      if (status !== 200) return { status, ids: [], isStale: false };
      const { instances, stale } = json as {
        readonly instances: { readonly id: string }[];
        readonly stale: boolean;
      };
      return { status, ids: instances.map(({ id }) => id), isStale: stale };
    };
    const finds = (node: TestNode, ...wanted: string[]) =>
      until(() => found(node), ({ ids }) => ids.join() === wanted.join());
    const register = async (node: TestNode, provider: string, ...ids: string[]) => {
      const instances = ids.map((id) => instance(id));
      equal((await call(node, "PUT", `/providers/${provider}`, { instances })).status, 200);
    };
    for (const node of [fra, ams]) await until(() => found(node), ({ status }) => status === 404);
    await register(fra, "chef", "a", "b");
    await register(ams, "chef", "a");
    for (const node of [fra, ams]) await finds(node, "ams1/a", "fra1/a", "fra1/b");
    await register(fra, "chef", "b");
    for (const node of [fra, ams]) await finds(node, "ams1/a", "fra1/b");
    equal((await call(ams, "DELETE", "/providers/chef")).status, 204);
    for (const node of [fra, ams]) await finds(node, "fra1/b");

    await server.kill();
    await until(() => found(ams), ({ isStale }) => isStale);
    deepEqual((await found(ams)).ids, ["fra1/b"]);
    await server.start();
    await until(() => found(ams), ({ isStale }) => !isStale);
    await finds(ams, "fra1/b");

    await fra[Symbol.asyncDispose]();
    await until(() => found(ams), ({ status }) => status === 404);
    for (const directory of directories) await Deno.remove(directory, { recursive: true });
  },
);

testWith(
  ["nats-server"],
  "whatever else is written into the bucket, what is right is found, and the rest is counted and named",
  async () => {
    await using server = await NatsServer.start();
    const directory = await Deno.makeTempDir();
    const { state } = TEST_SETTINGS;
    await using node = await startTestNode({
      state: { ...state, nats: { ...state.nats, servers: [server.url] } },
      discovery: { ...SETTINGS, directory, nats: { enabled: true, ttl: 60_000 } },
    });
    await until(() => call(node, "GET", `/lookup/${WEB}`), ({ status }) => status === 404);
    useDenoTransport();
    const connection = await NatsConnectionImpl.connect({ servers: [server.url] });
    try {
      const bucket = await new Kvm(connection).open("gslb_test_discovery");
      const valueOf = (id: string, port: number, v = 1) =>
        JSON.stringify({
          ...{ v, zone: "gg" },
          instances: [
            { id, provider: "p", address: WEB, node: "h", ips: ["192.0.2.9"], port, priority: 0, weight: 0 },
          ],
        });
      await bucket.put("n2.5", valueOf("n2/x", 80));
      const wrong: readonly (readonly [key: string, value: string, reason: string])[] = [
        ["w1.5", " ".repeat(1_000_000), "the part 5 has more than 512 KiB"],
        ["w2.5", "[".repeat(400_000), "it isn't JSON"],
        ["w3.5", `${"[".repeat(200_000)}${"]".repeat(200_000)}`, "the value: "],
        ["w4.5", valueOf("w4/x", 80, 2), "v: "],
        ["w5.5", valueOf("n2/x", 80), "n2/x is no id of this node"],
        ["w6.part", valueOf("w6/x", 80), "part is no part"],
        ["no.node.at.all", "x", "it is the key of no node"],
      ];
      for (const [key, value] of wrong) await bucket.put(key, value);
      const nodes = 400;
      const keys = Array.from({ length: nodes }, (_, i) => `m${i}`);
      await Promise.all(keys.map((each) => bucket.put(`${each}.5`, valueOf(`${each}/x`, 80))));
      await bucket.put("n2.5", valueOf("n2/x", 81));
      const found = async () => {
        const { json } = await call(node, "GET", `/lookup/${WEB}`);
        const { instances } = json as {
          readonly instances: { readonly id: string; readonly port: number }[];
        };
        return instances;
      };
      const portOf = (those: Awaited<ReturnType<typeof found>>) =>
        those.find(({ id }) => id === "n2/x")?.port;
      equal((await until(found, (those) => portOf(those) === 81)).length, 256, "as many as nodes may be");
      for (const [key, , reason] of wrong) {
        const named = new RegExp(`"node":"${key.replace(/^(w\d)\..*/, "$1")}","reason":"${reason}`);
        ok(node.lines.some((line) => named.test(line)), `${key} ${named}`);
      }
      const metrics = await (await fetch(`${new URL(node.api).origin}/metrics`)).text();
      const counted = /store_errors_total\{[^}]*error="invalidvalue"[^}]*\} (\d+)/.exec(metrics)?.[1];
      equal(Number(counted), wrong.length + nodes - 255);
    } finally {
      await connection.close();
    }
    await Deno.remove(directory, { recursive: true });
  },
);
