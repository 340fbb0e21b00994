/**
 * Discovery over a real Consul: one server for all of it, with ACLs and TLS, and a proxy that answers wrongly.
 *
 * @module
 */
import { equal, match, ok } from "node:assert/strict";
import type { ConsulTerms } from "../../src/consul/client.ts";
import { ConsulProxy } from "../consul/proxy.ts";
import { ConsulServer, ROOT_TOKEN, until } from "../consul/server.ts";
import { writeKept } from "../../src/discovery/kept_catalog.ts";
import { StartedThreads } from "../started_threads.ts";
import { ReadingThread } from "../../src/discovery/reading_thread.ts";
import { testWith } from "../programs.ts";
import type { Standing } from "../../src/discovery/catalog.ts";
import { brief, World } from "./world.ts";

const WEB = "http.web.prod.shop.gg";

function over(terms: Partial<ConsulTerms>, more: Parameters<typeof World.start>[1] = {}): World {
  const consul = {
    ...{ addresses: [], token: ROOT_TOKEN, tokenKey: "discovery.consul.token", tls: null },
    ...terms,
  };
  return World.start({}, { directory: null, servers: [], consul, ...more });
}

/** So many at so few nodes that these have far less to say at a change than their product. */
async function crowd(consul: ConsulServer): Promise<void> {
  await Promise.all(Array.from({ length: 150 }, (_, i) =>
    consul.must("PUT", "/v1/catalog/register", {
      ...{ Node: `crowd${i % 3}`, Address: "198.51.100.1" },
      Service: { ...{ ID: `crowd-${i}`, Service: "crowd", Port: 80 }, Tags: CROWD_TAGS },
    })));
}

const CROWD_TAGS = ["glimpse:env=prod", "glimpse:job=web", "glimpse:service=http"];

/** Resolves when an address is answered so. */
async function answers(world: World, name: string, type: string, wanted: string): Promise<void> {
  await until(() => world.ask(name, type).then(brief), (got) => got === wanted);
}

async function becomes(world: World, standing: Standing, zone = "gg"): Promise<void> {
  await until(() => world.discovery.catalog.standingOf(zone), (now) => now === standing);
}

for (const way of ["products", "nodes"] as const) {
  testWith(["consul"], `what is registered in Consul is answered, asked for by ${way}`, async (test) => {
    await using consul = await ConsulServer.start({ acl: true, tls: true, connections: 1_000 });
    await consul.register("a", "http.web.prod.shop", { ipAddress: "192.0.2.1", port: 8001 });
    await consul.register("b", "HTTP.web.Prod.shop", { ipAddress: "192.0.2.2", port: 8002 });
    await consul.register("c", "http.web.prod.shop", { ipAddress: "192.0.2.3", critical: true });
    if (way === "nodes") await crowd(consul);
    /** Resolves when it is asked in that way. */
    const isReading = (world: World) =>
      until(
        () => world.lines.some((line) => line.includes("they are asked for")),
        (said) => said || way !== "nodes",
      );
    const tls = { serverName: "server.gg.consul", caCerts: [consul.authority] };
    const secure = { addresses: [{ hostname: "127.0.0.1", port: consul.ports.https }], tls };

    await test.step("over TLS, and as it changes", async () => {
      await using world = over(secure);
      await isReading(world);
      await answers(world, WEB, "SRV", "NOERROR|aa|5 0 0 8001 s1.|5 0 0 8002 s1.");
      equal(brief(await world.ask(WEB, "A")), "NOERROR|aa|5 192.0.2.1|5 192.0.2.2");
      await answers(world, "gg", "NS", "NOERROR|aa|5 ns0.gg.srv.example.org.");
      equal(brief(await world.ask("ns0.gg", "A")), "NOERROR|aa|5 127.0.0.1");
      await consul.check("c", "pass");
      await answers(world, WEB, "A", "NOERROR|aa|5 192.0.2.1|5 192.0.2.2|5 192.0.2.3");
      await consul.check("a", "fail");
      await answers(world, WEB, "A", "NOERROR|aa|5 192.0.2.2|5 192.0.2.3");
      await consul.check("a", "warn");
      await consul.register("c", "http.api.prod.shop", { ipAddress: "192.0.2.3" });
      await answers(world, WEB, "A", "NOERROR|aa|5 192.0.2.2");
      await answers(world, "http.api.prod.shop.gg", "A", "NOERROR|aa|5 192.0.2.3");
      await consul.register("c", "http.web.prod.shop", { ipAddress: "192.0.2.3", passing: 7 });
      await consul.check("a", "pass");
      await answers(world, WEB, "SRV", "NOERROR|aa|5 0 1 8001 s1.|5 0 1 8002 s1.|5 0 7 8080 s1.");
      await answers(world, "http.api.prod.shop.gg", "A", "NXDOMAIN|aa");
      await consul.deregister("c");
      await answers(world, WEB, "SRV", "NOERROR|aa|5 0 0 8001 s1.|5 0 0 8002 s1.");
    });

    await test.step("what DNS can't say is left out, and named", async () => {
      await using world = over({ addresses: [consul.address] });
      await isReading(world);
      await consul.register("bad", "http.bad.prod.shop", { ipAddress: "10.0.0.300" });
      await consul.register("port", "http.bad.prod.shop", { ipAddress: "192.0.2.9", port: -1 });
      await becomes(world, "fresh");
      await answers(world, "http.bad.prod.shop.gg", "A", "SERVFAIL|aa");
      equal(brief(await world.ask("http.bad.prod.shop.gg", "SRV")), "NOERROR|aa|5 0 0 8080 s1.");
      await until(() => world.lines.join("\n"), (lines) => /s1\/port is left out: port must be/.test(lines));
      ok(world.lines.some((line) => /s1\/bad has no IP address/.test(line)), world.lines.join("\n"));
      match(
        world.registry.expose(),
        /store_errors_total\{.*error="invalidip",operation="getInstances"\} [1-9]/,
      );
      for (const id of ["bad", "port"]) await consul.deregister(id);
      await answers(world, "http.bad.prod.shop.gg", "A", "NXDOMAIN|aa");
    });

    await test.step("without the right to see anything nothing is taken away", async () => {
      for (const token of [null, "99999999-2222-3333-4444-555555555555"]) {
        await using world = over({ addresses: [consul.address], token });
        await until(() => world.discovery.problems.length, (count) => count > 0);
        equal(brief(await world.ask(WEB, "A")), "SERVFAIL|aa");
        equal(world.discovery.catalog.standingOf("gg"), "lost");
      }
      await consul.must("PUT", "/v1/acl/policy", {
        Name: "reader",
        Rules: 'node_prefix "" { policy = "read" } service_prefix "" { policy = "read" }',
      });
      const made = await consul.must("PUT", "/v1/acl/token", { Policies: [{ Name: "reader" }] });
      const { SecretID: token, AccessorID: accessor } = made as { SecretID: string; AccessorID: string };
      await using world = over({ addresses: [consul.address], token });
      await isReading(world);
      await answers(world, WEB, "A", "NOERROR|aa|5 192.0.2.1|5 192.0.2.2");
      await consul.must("DELETE", `/v1/acl/token/${accessor}`);
      await becomes(world, "stale");
      equal(brief(await world.ask(WEB, "A")), "NOERROR|aa|5 192.0.2.1|5 192.0.2.2");
      match(world.discovery.problems.join(), /answers 403: ACL not found/);
      match(world.registry.expose(), /stale_seconds\{.*zone="gg"\} [\d.e-]*[1-9]/);
    });

    await test.step("products are asked where a part of a node is kept back", async () => {
      if (way === "products") return;
      const rules = ['service "shop"', 'service "crowd"', 'node_prefix ""'];
      await consul.must("PUT", "/v1/acl/policy", {
        Name: "some",
        Rules: rules.map((rule) => `${rule} { policy = "read" }`).join(" "),
      });
      const made = await consul.must("PUT", "/v1/acl/token", { Policies: [{ Name: "some" }] });
      await using world = over({
        addresses: [consul.address],
        token: (made as { SecretID: string }).SecretID,
      });
      const isSaid = (word: string) => world.lines.some((line) => line.includes(word));
      await until(() => isSaid("Products are asked for again"), (said) => said);
      await consul.register("d", "http.some.prod.shop", { ipAddress: "192.0.2.4" });
      await answers(world, "http.some.prod.shop.gg", "A", "NOERROR|aa|5 192.0.2.4");
      await consul.deregister("d");
      await answers(world, "http.some.prod.shop.gg", "A", "NXDOMAIN|aa");
      equal(brief(await world.ask(WEB, "A")), "NOERROR|aa|5 192.0.2.1|5 192.0.2.2");
      equal(world.discovery.catalog.sizeOf("gg"), 152, "nothing was taken away, and nothing stays");
      ok(!isSaid("can't be read"), world.lines.join("\n"));
    });

    await test.step("whatever it answers, what was read last counts, and it recovers by itself", async () => {
      await using proxy = new ConsulProxy(consul.ports.http);
      await using world = over({ addresses: [proxy.address] });
      await isReading(world);
      await answers(world, WEB, "A", "NOERROR|aa|5 192.0.2.1|5 192.0.2.2");
      const body = (text: string, headers = "") =>
        ({
          bytes: `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n${headers}\r\n${text}`,
          ends: true,
        }) as const;
      const wrong = [
        [
          { bytes: "HTTP/1.1 403 Forbidden\r\nContent-Length: 13\r\n\r\nACL not found", ends: true },
          "denied",
        ],
        [body('{"Node":'), "consulapi"],
        [
          { bytes: "HTTP/1.1 500 Oops\r\nContent-Length: 17\r\n\r\nNo cluster leader", ends: true },
          "consulapi",
        ],
        [{ bytes: "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n[", ends: false }, "consulapi"],
        [{ bytes: "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n[", ends: true }, "consulapi"],
        ["dribble", "noanswer"],
        ["silence", "noanswer"],
        // The last one: from here on products are asked.
        [body("[]", "X-Consul-Results-Filtered-By-ACLs: true\r\n"), "denied"],
      ] as const;
      for (const [answer, kind] of wrong) {
        proxy.become(answer);
        await becomes(world, "stale");
        equal(brief(await world.ask(WEB, "A")), "NOERROR|aa|5 192.0.2.1|5 192.0.2.2", JSON.stringify(answer));
        const counted = new RegExp(`error="${kind}",operation="getInstances"\\} [1-9]`);
        await until(() => world.registry.expose(), (text) => counted.test(text));
        proxy.become(null);
        await becomes(world, "fresh");
      }
      equal(brief(await world.ask(WEB, "A")), "NOERROR|aa|5 192.0.2.1|5 192.0.2.2");
      const said = world.lines.filter((line) => line.includes("registry can't be read")).length;
      equal(said, wrong.length, `a line for each of them: ${world.lines.join("\n")}`);
    });

    await test.step("killed and started again", async () => {
      const both = "NOERROR|aa|5 192.0.2.1|5 192.0.2.2";
      const gone = "http.gone.prod.shop.gg";
      const elsewhere = "http.web.prod.shop.zz";
      await using stack = new AsyncDisposableStack();
      const folder = await Deno.makeTempDir();
      stack.defer(() => Deno.remove(folder, { recursive: true }));
      const at = { addresses: [consul.address] };
      const start = (more: Parameters<typeof World.start>[1] = {}) => stack.use(over(at, more));
      const keep = { keptFile: `${folder}/kept` };
      const first = over(at, keep);
      await answers(first, WEB, "A", both);
      await answers(first, elsewhere, "A", "NXDOMAIN|aa");
      await first[Symbol.asyncDispose]();
      // What has gone meanwhile.
      await writeKept(`${folder}/with-gone`, [{
        ...{ zone: "gg", staleMs: 0, servers: [] },
        instances: [...first.discovery.catalog.instancesOf("gg"), {
          ...{
            id: "s1/gone",
            provider: "test",
            node: "s1",
            ips: ["192.0.2.99"],
            port: 80,
            priority: 0,
            weight: 0,
          },
          address: { service: "http", job: "gone", env: "prod", product: "shop", zone: "gg" },
        }],
      }], { unixMs: Date.now() });
      const world = start();
      await answers(world, WEB, "A", both);
      await isReading(world);
      await consul.check("b", "pass");
      await consul.kill();
      await becomes(world, "stale");
      equal(brief(await world.ask(WEB, "A")), both);
      equal(brief(await world.ask(elsewhere, "A")), "NXDOMAIN|aa", "it was said which zones there are");
      const other = start();
      equal(brief(await other.ask(WEB, "A")), "SERVFAIL|aa", "one that has never read it");
      for (const type of ["A", "SRV"]) equal(brief(await other.ask(elsewhere, type)), "SERVFAIL|aa");
      equal(brief(await other.ask("zz", "NS")), "SERVFAIL|aa");
      const kept = start({ ...keep, read: (options) => new ReadingThread(options) });
      equal(brief(await kept.ask(WEB, "A")), both, "one whose last run has read it");
      equal(brief(await kept.ask("ns0.gg", "A")), "NOERROR|aa|5 127.0.0.1");
      match(kept.registry.expose(), /stale_seconds\{.*zone="gg"\} [\d.e-]*[1-9]/);
      const withGone = start({ keptFile: `${folder}/with-gone` });
      equal(brief(await withGone.ask(gone, "A")), "NOERROR|aa|5 192.0.2.99");
      const late = start({ ...keep, staleFor: 1 });
      equal(brief(await late.ask(WEB, "A")), "SERVFAIL|aa", "one that may not count for that long");
      consul.run();
      await consul.untilLed();
      for (const each of [world, other, kept, withGone]) {
        await becomes(each, "fresh");
        equal(brief(await each.ask(WEB, "A")), both);
        await answers(each, elsewhere, "A", "NXDOMAIN|aa");
      }
      equal(brief(await withGone.ask(gone, "A")), "NXDOMAIN|aa");
      // A server that has just begun may end what it was asked first.
      await until(() => world.discovery.problems, (problems) => problems.length === 0);
    });

    await test.step("read by a thread that dies, until another one has taken its place", async () => {
      using started = new StartedThreads();
      await using world = over({ addresses: [consul.address] }, {
        read: (options) => new ReadingThread(options),
      });
      await answers(world, WEB, "A", "NOERROR|aa|5 192.0.2.1|5 192.0.2.2");
      await isReading(world);
      started.kill(0);
      equal(world.discovery.catalog.standingOf("gg"), "stale");
      await consul.deregister("b");
      equal(brief(await world.ask(WEB, "A")), "NOERROR|aa|5 192.0.2.1|5 192.0.2.2");
      await answers(world, WEB, "A", "NOERROR|aa|5 192.0.2.1");
      await becomes(world, "fresh");
      match(world.lines.join("\n"), /died; another one takes its place.*on purpose/);
      equal(started.threads.length, 2);
      const isMeasured = (text: string) =>
        /request_duration_seconds_count\{.*operation="getServers"\} [1-9]/.test(text);
      await until(() => world.registry.expose(), isMeasured);
    });
  });
}
