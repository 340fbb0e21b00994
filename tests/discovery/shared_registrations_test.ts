/**
 * What is registered with nodes of a cluster, over values that are carried by hand.
 *
 * @module
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { writeKept } from "../../src/discovery/kept_catalog.ts";
import type { NodeValues } from "../../src/discovery/shared_registrations.ts";
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
  const http = { service: "http", job: "web", env: "prod", product: "shop", zone: "gg" };
  await until(() => world.discovery.lookUp(http).isStale, (isStale) => isStale);
  match(world.discovery.problems.join(), /other nodes can't be read/);
  carrier.listener!.standing(true);
  carrier.listener!.value("n2", "5", null);
  await until(() => ids().join(), (those) => those === "n1/a,n3/x");

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
    const hasIts = () =>
      until(
        () => world.discovery.catalog.instancesOf("gg").map(({ id }) => id),
        (ids) => ids.includes(`${node}/x`),
      );
    carrier.say(node, "5", valueOf([{ id: `${node}/x` }]));
    // Of what comes faster than it is taken the last counts.
    await hasIts();
    const isOfOther = typeof document !== "string" && node !== "n2";
    carrier.say(
      node,
      "5",
      isOfOther ? JSON.parse(JSON.stringify(document).replaceAll("n2/", `${node}/`)) : document,
    );
    await until(() => world.lines.at(-1)!, (line) => reason.test(line));
    await hasIts();
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
  await writeKept(keptFile, [{ zone: "gg", staleMs: 0, servers: [], instances: [old, own] }], {
    unixMs: Date.now(),
  });
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

Deno.test("what other nodes may keep here is bounded, refused by name and counted, and what is right is kept", async () => {
  const carrier = new Carrier();
  await using world = start(carrier);
  const listener = carrier.listener!;
  const encoder = new TextEncoder();
  listener.standing(true);
  const refusals = () =>
    Number(
      /store_errors_total\{[^}]*error="invalidvalue"[^}]*\} (\d+)/.exec(world.registry.expose())?.[1] ?? 0,
    );
  const kept = () => world.discovery.catalog.sizeOf("gg");
  carrier.say("n2", "5", valueOf([{}]));
  const rightly = 2;
  await until(kept, (count) => count === rightly);

  const deep = `{"v":1,"zone":"gg","instances":[],"more":${"[".repeat(100_000)}${"]".repeat(100_000)}}`;
  equal(listener.value("deep", "1", encoder.encode(deep)), true, "what isn't known here is left alone");
  await until(() => listener.value("deep", "1", null), (isKept) => !isKept);
  const nested = `{"v":1,"zone":"gg","instances":${"[".repeat(10_000)}${"]".repeat(10_000)}}`;
  const wrong: readonly (readonly [node: string, part: string, text: string, reason: RegExp])[] = [
    ["m1", "5", " ".repeat(1 << 20), /the part 5 has more than 512 KiB/],
    ["m2", "40", "{}", /40 is no part/],
    ["m3", "x", "{}", /x is no part/],
    ["m4", "5", nested, /instances\.0: /],
  ];
  for (const [i, [node, part, text, reason]] of wrong.entries()) {
    listener.value(node, part, encoder.encode(text));
    await until(refusals, (count) => count === i + 1);
    match(world.lines.at(-1)!, reason);
    equal(listener.value(node, part, null), false, node);
  }
  const lines = world.lines.length;
  for (let i = 0; i < 100_000; i++) listener.stray(`no.id.${i}`);
  equal(refusals(), wrong.length + 100_000);
  ok(world.lines.length <= lines + 100, `${world.lines.length - lines} lines`);
  equal(kept(), rightly);
});

Deno.test("of a hundred thousand keys as many nodes are kept as a cluster has, and those that are there go on", async () => {
  const carrier = new Carrier();
  await using world = start(carrier);
  const listener = carrier.listener!;
  listener.standing(true);
  const encoder = new TextEncoder();
  const valueOfNode = (node: string) =>
    encoder.encode(JSON.stringify(valueOf([{ id: `${node}/x`, ips: ["192.0.2.9"] }])));
  equal(listener.value("n2", "5", valueOfNode("n2")), true);
  let kept = 0;
  for (let i = 0; i < 100_000; i++) {
    if (listener.value(`m${i}`, "5", valueOfNode(`m${i}`))) kept++;
  }
  equal(kept, 255);
  carrier.say("n2", "5", valueOf([{ ips: ["192.0.2.11"] }]));
  const ofN2 = () => world.discovery.catalog.instancesOf("gg").find(({ id }) => id === "n2/x");
  await until(() => ofN2()?.ips.join(), (ips) => ips === "192.0.2.11");
  await until(() => listener.value("m0", "5", null), (isKept) => !isKept);
  equal(listener.value("late", "5", valueOfNode("late")), true, "who leaves makes room");
});

Deno.test("a large value is taken a slice at a time, the last of each part, before all is known", async () => {
  const carrier = new Carrier();
  await using world = start(carrier);
  const listener = carrier.listener!;
  const large = (port: number) =>
    valueOf(Array.from({ length: 1_000 }, (_, i) => ({ id: `n2/${i}`, ips: ["192.0.2.9"], port })));
  carrier.say("n2", "5", large(81));
  carrier.say("n2", "5", large(82));
  carrier.say("n2", "5", large(83));
  listener.standing(true);
  const standing = () => world.discovery.catalog.standingOf("gg");
  equal(standing(), "lost");
  await until(standing, (each) => each === "fresh");
  const ports = () => new Set(world.discovery.catalog.instancesOf("gg").map(({ port }) => port));
  deepEqual(ports(), new Set([8080, 83]));
  carrier.say("n2", "5", large(84));
  listener.value("n2", "5", null);
  await until(ports, (those) => those.size === 1);
  deepEqual(ports(), new Set([8080]));
});
