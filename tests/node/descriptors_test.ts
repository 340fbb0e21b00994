/**
 * A node that runs out of file descriptors, or could: through a real process under a limit of its own.
 *
 * @module
 */
import { equal, match } from "node:assert/strict";
import { ServeProcess } from "../serve_process.ts";
import { runQuery } from "../../src/dns_client.ts";
import { formatSocketAddress } from "../../src/ip.ts";

const MEMORY = ["--db", ":memory:"];
/** Connections that are more than the limit leaves room for. */
const HELD_MIN = 120;

Deno.test({
  name: "a node raises its limit of open files as far as it may, and says when that isn't enough",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await using node = await ServeProcess.start({ args: MEMORY, openFiles: "256:700" });
    const limits = await Deno.readTextFile(`/proc/${node.pid}/limits`);
    match(limits, /^Max open files +700 +700 /m);
    const warning = await node.line((line) => line.includes("could be needed"));
    match(warning, /"700 files may be open at once, and \d+ could be needed: 1024 DNS over TCP/);
  },
});

Deno.test({
  name: "a node without a descriptor left goes on answering, says so, and takes connections again later",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await using node = await ServeProcess.start({ args: MEMORY, openFiles: "110:110" });
    const [api] = /(?<=http:\/\/)[^/]+/.exec(node.api)!;
    const port = Number(api.split(":")[1]);
    const held: Deno.TcpConn[] = [];
    try {
      const complaint = node.line((line) => line.includes("HTTP connections can't be accepted"));
      let isTold = false;
      complaint.then(() => void (isTold = true));
      // Whichever of the two is quicker takes what is left; the API goes on until it finds nothing.
      for (let i = 0; i < HELD_MIN || !isTold; i++) {
        const to = i < HELD_MIN && i % 2 === 0 ? node.dns : { hostname: "127.0.0.1", port };
        held.push(await Deno.connect(to));
      }
      match(await complaint, /Too many open files/);
      const { message } = await runQuery({
        server: node.dns,
        name: "www.example.org",
        type: 1,
        class: 1,
        ecs: null,
        tcp: false,
        udpSize: 1232,
        timeoutMs: 5_000,
      });
      equal(message.rcode, 5, formatSocketAddress(node.dns));
    } finally {
      for (const connection of held) connection.close();
    }
    equal((await (await fetch(`${node.api}/health`)).json()).status, "ok");
  },
});
