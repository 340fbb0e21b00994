/**
 * A node that has no file descriptors left, taken by connections that need no token.
 *
 * @module
 */
import { equal, match, ok } from "node:assert/strict";
import { raiseDescriptorLimit } from "../../src/node/descriptors.ts";
import { runQuery } from "../../src/dns_client.ts";
import { RawConnections } from "../prove/hostile/raw_connections.ts";
import { ServeProcess } from "../serve_process.ts";

/** As many as a listener takes by default, from few enough of each address. */
const CLIENTS = 32;
const CONNECTIONS_EACH = 32;

Deno.test({
  name:
    "a node whose descriptors are all taken by idle DNS connections lives, answers UDP, and HTTP afterwards",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    raiseDescriptorLimit(); // this process holds the other ends
    await using node = await ServeProcess.start({ args: ["--db", ":memory:"], openFiles: "1024:1024" });
    const root = node.api.replace("/api/v1", "");
    const udp = {
      name: "www.example.com",
      type: 1,
      class: 1,
      ecs: null,
      tcp: false,
      udpSize: 1232,
      timeoutMs: 20_000,
    };
    let isOver = false;
    let answers = 0;
    const asking = (async () => {
      for (; !isOver; answers++) await runQuery({ ...udp, server: node.dns });
    })();
    asking.catch(() => {}); // told below
    let waiting: Promise<Response>;
    {
      using connections = new RawConnections();
      for (let client = 1; client <= CLIENTS; client++) {
        for (let i = 0; i < CONNECTIONS_EACH; i++) connections.connect(`127.0.1.${client}`, node.dns);
      }
      await node.line((line) => line.includes("DNS connections over TCP can't be accepted"));
      waiting = fetch(`${root}/healthz`);
      const before = answers;
      while (answers < before + 100 && !isOver) {
        await Promise.race([asking, runQuery({ ...udp, server: node.dns })]);
      }
    }
    const response = await waiting;
    equal(response.status, 200);
    await response.body?.cancel();
    isOver = true;
    await asking;
    const metrics = await (await fetch(`${root}/metrics`)).text();
    match(metrics, /pleiades_dns_dropped_total\{[^}]*reason="tcp_accept"[^}]*\} [1-9]/);
    match(metrics, /pleiades_internal_errors_total\{[^}]*\} 0/);
    ok(answers > 100);
    node.kill("SIGTERM");
    equal((await node.ended()).code, 0);
  },
});
