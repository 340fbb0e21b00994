/**
 * What is registered with nodes of a cluster, over values that are carried by hand.
 *
 * @module
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { writeKept } from "../../src/discovery/kept_catalog.ts";
import type { NodeValues } from "../../src/discovery/shared_registrations.ts";
import { toEnd } from "../../src/slices.ts";
import { until } from "../consul/server.ts";
import { brief, instance, World } from "./world.ts";

const WEB = "http.web.prod.shop.gg";
const FR = "http.web.prod.shop.fr";

/** Carries values to nowhere, and hands in what the test says. */
class Carrier implements NodeValues {
  readonly own = new Map<string, string>();
  listener: Parameters<NodeValues["follow"]>[0] | null = null;

  put(name: string, value: Uint8Array | null): void {
    if (value === null) this.own.delete(name);
    else this.own.set(name, new TextDecoder().decode(value));
  }

  follow(listener: Parameters<NodeValues["follow"]>[0]): void {
    this.listener = listener;
  }

  /** Another node has these, as it writes them. */
  say(node: string, part: string, document: unknown): void {
    const text = typeof document === "string" ? document : JSON.stringify(document);
    this.listener!.value(node, part, new TextEncoder().encode(text));
  }
}

function valueOf(instances: readonly Readonly<Record<string, unknown>>[], zone = "gg") {
  return {
    ...{ v: 1, zone },
    instances: instances.map((more) => ({
      ...{ id: "n2/x", provider: "chef", address: WEB, node: "h2", ips: ["192.0.2.9"] },
      ...{ port: 80, priority: 0, weight: 0, ...more },
    })),
  };
}

function start(carrier: Carrier, more: Parameters<typeof World.start>[1] = {}) {
  return World.start({ "chef.json": { instances: [instance("a", { ipAddress: "192.0.2.1" })] } }, {
    shared: { node: "n1", values: carrier, ttlMs: 1 },
    ...more,
  });
}

Deno.test("what nodes have is found at each of them by the node's name and the id", async () => {
  const carrier = new Carrier();
  await using world = start(carrier);
  const asked = async (name = WEB) => brief(await world.ask(name, "A"));
  const ids = () => world.discovery.catalog.instancesOf("gg").map(({ id }) => id).sort();
  equal(await asked(), "SERVFAIL|aa", "what other nodes have is not known");
  carrier.listener!.standing(true);
  equal(await asked(), "NOERROR|aa|5 192.0.2.1");
  const [own] = [...carrier.own.values()].map((text) => JSON.parse(text));
  deepEqual([own.zone, own.instances[0].id, own.instances[0].address], ["gg", "n1/a", WEB]);

  carrier.say("n2", "5", valueOf([{}, { id: "n2/y", ips: ["192.0.2.10"] }]));
  equal(await asked(), "NOERROR|aa|5 192.0.2.1|5 192.0.2.9|5 192.0.2.10");
  carrier.say("n2", "5", valueOf([{ ips: ["192.0.2.11"] }]));
  equal(await asked(), "NOERROR|aa|5 192.0.2.1|5 192.0.2.11");
  carrier.say("n3", "5", valueOf([{ id: "n3/x", ips: ["192.0.2.12"] }]));
  carrier.listener!.standing(false);
  equal(
    world.discovery.lookUp({ service: "http", job: "web", env: "prod", product: "shop", zone: "gg" }).isStale,
    true,
  );
  match(world.discovery.problems.join(), /other nodes can't be read/);
  carrier.listener!.standing(true);
  carrier.listener!.value("n2", "5", null);
  deepEqual(ids(), ["n1/a", "n3/x"]);

  world.provide("chef", []);
  await until(ids, (those) => those.join() === "n3/x");
  deepEqual([...carrier.own.keys()], []);
  carrier.say("n4", "1", valueOf([{ id: "n4/x", address: FR }], "fr"));
  equal(await asked(FR), "NXDOMAIN|aa", "other zones aren't read here");
});

Deno.test("a value that can't be used is named, and what its node said last goes on to count", async () => {
  const carrier = new Carrier();
  await using world = start(carrier);
  carrier.listener!.standing(true);
  const wrong: readonly (readonly [unknown, RegExp])[] = [
    ["{", /isn't JSON/],
    [{ ...valueOf([{}]), v: 2 }, /"reason":"v: /],
    [valueOf([{ id: "n2/x" }, { id: "n1/a" }]), /n1\/a is no id of this node/],
    [valueOf([{ port: 0 }]), /instances\.0\.port/],
    [valueOf([{ ips: ["10.0.0.300"] }]), /instances\.0\.ips/],
    [valueOf([{ node: "a..b" }]), /instances\.0\.node/],
    [valueOf([{ address: FR }]), /of the zone fr/],
    [valueOf([{ address: "web.prod.shop.gg" }]), /five labels/],
  ];
  for (const [i, [document, reason]] of wrong.entries()) {
    const node = i === 2 ? "n2" : `m${i}`;
    carrier.say(node, "5", valueOf([{ id: `${node}/x` }]));
    const isOfOther = typeof document !== "string" && node !== "n2";
    carrier.say(
      node,
      "5",
      isOfOther ? JSON.parse(JSON.stringify(document).replaceAll("n2/", `${node}/`)) : document,
    );
    match(world.lines.at(-1)!, reason);
    ok(world.discovery.catalog.instancesOf("gg").some(({ id }) => id === `${node}/x`));
  }
});

Deno.test("zones of other nodes are answered where they are to be, and what the last run had until it isn't said again", async () => {
  const carrier = new Carrier();
  const keptFile = await Deno.makeTempFile();
  const address = { service: "http", job: "web", env: "prod", product: "shop", zone: "gg" };
  const old = {
    id: "n2/old",
    provider: "p",
    address,
    node: "h",
    ips: ["192.0.2.99"],
    port: 80,
    priority: 0,
    weight: 0,
  };
  const own = { ...old, id: "n1/a" };
  toEnd(writeKept(keptFile, [{ zone: "gg", staleMs: 0, servers: [], instances: [old, own] }], Date.now()));
  {
    await using world = start(carrier, { keptFile, otherZones: "forward" });
    const asked = async (name: string) => brief(await world.ask(name, "A"));
    equal(await asked(WEB), "NOERROR|aa|5 192.0.2.1|5 192.0.2.99");
    equal(await asked(FR), "SERVFAIL|aa");
    carrier.listener!.standing(true);
    equal(await asked(FR), "NXDOMAIN|aa");
    carrier.say("n4", "1", valueOf([{ id: "n4/x", address: FR }], "fr"));
    equal(await asked(FR), "NOERROR|aa|5 192.0.2.9");
    const sizes = () => world.discovery.catalog.sizeOf("gg");
    await until(sizes, (count) => count === 1);
    equal(await asked(WEB), "NOERROR|aa|5 192.0.2.1");
  }
  await Deno.remove(keptFile);
});
