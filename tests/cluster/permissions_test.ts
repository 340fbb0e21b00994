/**
 * The file of users and permissions that is shipped, in a real server: with it nodes can do all that they do, and none can speak
 * for another.
 *
 * @module
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { type NatsConnection, NatsConnectionImpl } from "@nats-io/nats-core/internal";
import { jetstream } from "@nats-io/jetstream";
import { NatsServer } from "../nats/server.ts";
import { testWith } from "../programs.ts";
import { useDenoTransport } from "../../src/nats/transport.ts";
import type { Settings } from "../../src/settings/settings.ts";
import { call, startTestNode, TEST_SETTINGS, type TestNode, until as eventually } from "../test_node.ts";
import { NO_AUTH, type NodeOptions, startPeer, until } from "./nodes.ts";

/** As it lies in the repository, with passwords in the place of variables of the environment. */
const SHIPPED = Deno.readTextFileSync(new URL("../../packaging/nats/pleiades.conf", import.meta.url))
  .replaceAll(/\$PLEIADES_NATS_(\w+)/g, (_, node: string) => `"of-${node.toLowerCase()}"`)
  // On a busy machine nodes of one process are still starting when the server's two seconds are over.
  .replace("authorization {", "authorization {\n  timeout: 60");

const of = (node: string, cluster = "production"): NodeOptions => ({
  cluster,
  link: { auth: { ...NO_AUTH, user: node, password: `of-${node}` } },
});

testWith(
  ["nats-server"],
  "with the permissions that are shipped nodes can do what they do, and nothing for another",
  async () => {
    await using server = await NatsServer.start({ config: SHIPPED });
    await using a = startPeer("fra1", [server.url], of("fra1"));
    a.say("192.0.2.1", "unhealthy");
    a.say("2001:db8::1", "healthy");
    await using b = startPeer("ams1", [server.url], of("ams1"));
    await using c = startPeer("lon1", [server.url], of("lon1"));
    await until(() => [b.active().length, c.active().length], ([b, c]) => b === 3 && c === 3);
    for (const node of [b, c]) {
      await until(() => node.heard("192.0.2.1"), ({ fra1 }) => fra1 === "unhealthy");
      await until(() => node.heard("2001:db8::1"), ({ fra1 }) => fra1 === "healthy");
    }
    a.say("192.0.2.1", null);
    await until(() => b.heard("192.0.2.1"), ({ fra1 }) => fra1 === undefined);
    for (const bucket of ["health", "membership"]) {
      const written = new RegExp(`kv_put_total\\{[^}]*bucket="${bucket}",result="ok"\\} [1-9]`);
      await until(() => a.registry.expose(), (text) => written.test(text));
    }
    await until(() => b.registry.expose(), (text) => /kv_get_total\{[^}]*result="ok"\} [1-9]/.test(text));
    for (const { cluster, registry } of [a, b, c]) {
      deepEqual([cluster.status().remarks, cluster.status().storeFault], [[], null]);
      ok(!/result="error"\} [1-9]/.test(registry.expose()));
    }

    await using intruder = await connectAs(server, "lon1");
    const refused = intruder.refusals;
    for (
      const subject of [
        "gslb.production.membership.heartbeat.fra1",
        "gslb.production.health.fra1.v4",
        "$KV.gslb_production_health.fra1.c0000201",
        "$KV.gslb_production_membership.fra1",
        "$JS.API.STREAM.DELETE.KV_gslb_production_health",
        "$JS.API.STREAM.PURGE.KV_gslb_production_health",
        "$JS.API.STREAM.UPDATE.KV_gslb_production_health",
      ]
    ) intruder.connection.publish(subject, "{}");
    intruder.connection.subscribe("_INBOX.production.fra1.>", { callback: () => {} });
    intruder.connection.subscribe(">", { callback: () => {} });
    await until(() => refused.length, (count) => count === 9);
    equal(b.view.active().length, 3);
  },
);

testWith(
  ["nats-server"],
  "with the permissions that are shipped only nodes of the role configuration change what all have",
  async () => {
    await using server = await NatsServer.start({ config: SHIPPED });
    await using fra1 = await startTestNode(settingsOf("fra1", server));
    await using ams1 = await startTestNode(settingsOf("ams1", server));
    await using lon1 = await startTestNode(settingsOf("lon1", server));
    const all = [fra1, ams1, lon1];
    const model = (name: string) => ({ pools: [{ name, members: [{ ipAddress: "192.0.2.1", port: 443 }] }] });
    const published = () => call(fra1, "POST", "/apply?cluster=true", model("web"));
    await eventually(async () => (await published()).status, (status) => status === 200);
    equal((await call(ams1, "PATCH", `/pools/${await idOf(ams1, "web")}`, { name: "www" })).status, 200);
    for (const node of all) await eventually(() => idOf(node, "www"), (id) => id !== "");
    const lock = async (node: TestNode) =>
      await call(node, "PUT", `/pools/${await idOf(node, "www")}/lock`, {
        values: ["OwnerId=0a1b2c3d"],
        ttlSeconds: 5,
      });
    equal((await lock(fra1)).status, 200);
    for (const { lines } of all) {
      deepEqual(lines.filter((line) => /may not|isn't taken over|refuse/.test(line)), []);
    }
    const refused = await lock(lon1);
    match(JSON.stringify(refused.json), /can't be asked for now: NATS: this user may not publish to \$KV\./);
    equal(refused.status, 503);

    // Without the role a change stays where it was made, and so does a document.
    equal((await call(lon1, "POST", "/pools", { name: "own" })).status, 201);
    const { status, json } = await call(lon1, "POST", "/apply?cluster=true", model("mine"));
    deepEqual([status, /not published: /.test(JSON.stringify(json))], [503, true]);
    equal((await call(ams1, "PATCH", `/pools/${await idOf(ams1, "www")}`, { name: "web" })).status, 200);
    for (const node of [fra1, ams1]) {
      await eventually(() => idOf(node, "web"), (id) => id !== "");
      deepEqual([await idOf(node, "own"), await idOf(node, "mine")], ["", ""]);
    }
    await using intruder = await connectAs(server, "lon1");
    const wanted = [
      "gslb.production.log",
      "gslb.production.config",
      "$KV.gslb_production_config.model",
      "$KV.gslb_production_config.taken",
      "$JS.API.STREAM.PURGE.KV_gslb_production_config",
      "$JS.API.STREAM.PURGE.GSLB_PRODUCTION_LOG",
      "$JS.API.STREAM.DELETE.GSLB_PRODUCTION_LOG",
      "$JS.API.STREAM.UPDATE.GSLB_PRODUCTION_CONFIG",
    ];
    for (const subject of wanted) intruder.connection.publish(subject, "{}");
    await until(() => intruder.refusals.length, (count) => count === wanted.length);
  },
);

testWith(["nats-server"], "what a node may not do is said once, and it does the rest", async () => {
  const config = `authorization { users: [
    { user: fra1, password: of-fra1, permissions: { publish: ["gslb.>"], subscribe: ["gslb.>", "_INBOX.>"] } },
    { user: ams1, password: of-ams1 }
  ] }\n`;
  await using server = await NatsServer.start({ config });
  await using a = startPeer("fra1", [server.url], of("fra1"));
  await using b = startPeer("ams1", [server.url], of("ams1"));
  a.say("192.0.2.1", "unhealthy");
  await until(() => b.heard("192.0.2.1"), ({ fra1 }) => fra1 === "unhealthy");
  const refusal = `${server.url}: this user may not publish to $JS.API.STREAM.INFO.KV_gslb_production_health`;
  await until(() => a.cluster.status().remarks, (remarks) => remarks.includes(refusal));
  await until(() => a.cluster.status().storeFault, (fault) => fault === refusal);
});

testWith(
  ["nats-server"],
  "buckets of another shape are used, and what is wrong with them is said",
  async () => {
    await using server = await NatsServer.start();
    useDenoTransport();
    const connection = await NatsConnectionImpl.connect({ servers: [server.url] });
    const manager = await jetstream(connection).jetstreamManager();
    const again = "(nats kv del gslb_test_health, and nodes make it again)";
    const few = (bucket: string) =>
      `the bucket ${bucket} has 1 of 3 replicas (nats stream edit KV_${bucket} --replicas 3)`;
    const shapes: readonly (readonly [shape: object, remarks: string[], replicas?: number])[] = [
      [{ max_msgs_per_subject: 64 }, [
        `the bucket gslb_test_health keeps a history of 64, and 1 is enough ${again}`,
      ]],
      [{ max_msg_size: 1024 }, [
        `the bucket gslb_test_health takes values of 1024 bytes, and they may have 16384 ${again}`,
      ]],
      [{ max_age: 60e9 }, [`the bucket gslb_test_health forgets after 60 s, and 900 s are needed ${again}`]],
      [{}, ["gslb_test_health", "gslb_test_membership"].map(few), 3],
    ];
    for (const [shape, remarks, replicas = 1] of shapes) {
      for (const bucket of ["gslb_test_health", "gslb_test_membership"]) {
        await manager.streams.add({
          name: `KV_${bucket}`,
          ...{ subjects: [`$KV.${bucket}.>`], max_msgs_per_subject: 1, allow_direct: true },
          ...(bucket === "gslb_test_health" && shape),
        });
      }
      await using a = startPeer("a", [server.url], { replicas });
      await until(() => a.cluster.status().remarks.length, (count) => count === remarks.length);
      deepEqual(a.cluster.status().remarks, remarks);
      a.say("192.0.2.1", "healthy");
      await until(() => a.registry.expose(), (text) => /put_total\{[^}]*"health",result="ok"\} 1/.test(text));
      for (const bucket of ["gslb_test_health", "gslb_test_membership"]) {
        await manager.streams.delete(`KV_${bucket}`);
      }
    }
    await connection.close();
  },
);

testWith(
  ["nats-server"],
  "what can't be read is counted, told of once a node, and changes nothing",
  async () => {
    await using server = await NatsServer.start();
    await using a = startPeer("a", [server.url]);
    useDenoTransport();
    const connection = await NatsConnectionImpl.connect({ servers: [server.url] });
    await until(() => a.cluster.status().server, (connected) => connected !== null);
    const heartbeat = "gslb.test.membership.heartbeat.x";
    const wrong = ["", "{", "[".repeat(10_000), `{"v":99}`, "x".repeat(100_000)];
    await until(
      () => {
        for (const text of wrong) {
          connection.publish(heartbeat, text);
          connection.publish("gslb.test.health.x.v4", text);
          connection.publish("gslb.test.health.a.b.v4", text);
        }
        return Number(/received_total\{[^}]*type="invalid"\} (\d+)/.exec(a.registry.expose())?.[1] ?? 0);
      },
      (count) => count >= 100,
    );
    await connection.close();
    equal(a.lines.filter((line) => line.includes("can't be read")).length, 1);
    deepEqual(a.active(), ["a"]);
  },
);

function settingsOf(id: string, { url }: NatsServer): Settings {
  const { state, node, ...rest } = TEST_SETTINGS;
  const auth = { ...state.nats.auth, user: id, password: `of-${id}` };
  return {
    ...rest,
    cluster: { id: "production" },
    node: { ...node, id },
    state: { ...state, nats: { ...state.nats, servers: [url], auth } },
  };
}

/** The id of a pool; empty = there is none of this name. */
async function idOf(node: TestNode, name: string): Promise<string> {
  const pools = (await call(node, "GET", "/pools")).json as { readonly id: string; readonly name: string }[];
  return pools.find((pool) => pool.name === name)?.id ?? "";
}

interface Intruder extends AsyncDisposable {
  readonly connection: NatsConnection;
  /** What was refused. */
  readonly refusals: readonly string[];
}

async function connectAs(server: NatsServer, user: string): Promise<Intruder> {
  useDenoTransport();
  const connection = await NatsConnectionImpl.connect({ servers: [server.url], user, pass: `of-${user}` });
  const refusals: string[] = [];
  const hearing = (async () => {
    for await (const status of connection.status()) {
      if (status.type === "error") refusals.push(status.error.message);
    }
  })();
  return {
    ...{ connection, refusals },
    [Symbol.asyncDispose]: async () => {
      await connection.close();
      await hearing;
    },
  };
}
