/**
 * Registrations that nodes of a cluster share over a real NATS server, with the permissions that are shipped.
 *
 * @module
 */
import { deepEqual, equal } from "node:assert/strict";
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
