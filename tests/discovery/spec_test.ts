/**
 * What a faithful implementation must show, line by line, over real sockets.
 *
 * @module
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { removeProviderFile, writeProviderFile } from "../../src/discovery/registration.ts";
import { decodeMessage, encodeQuery, type Message } from "../../src/wire/message.ts";
import { rcodeName, typeNumber } from "../../src/wire/record_type.ts";
import { pause } from "../clock.ts";
import { askTcp, askUdp } from "../dns/clients.ts";
import { ask, brief, instance, World, ZONE } from "./world.ts";

const WEB = "http.web.prod.shop.gg";
const THREE = [
  instance("a", { node: "h1.example.net", ipAddress: "192.0.2.1", port: 8001 }),
  instance("b", { node: "h2.example.net", ipAddress: "192.0.2.2", port: 8002 }),
  instance("c", { node: "h3.example.net", ipAddress: "2001:db8::3", port: 8003, priority: 5, weight: 7 }),
];

/** Asks over UDP and over TCP, which must be told the same. */
async function both(world: World, name: string, type: string): Promise<Message> {
  const [udp, tcp] = [await world.ask(name, type), await world.ask(name, type, { tcp: true })];
  for (const part of ["answers", "authorities", "additionals"] as const) {
    const told = ({ [part]: records }: Message) =>
      records.map(({ name, ttl, data }) => [name, ttl, withoutSerial(data)]);
    deepEqual(told(udp), told(tcp), `${name} ${type}`);
  }
  deepEqual([udp.rcode, udp.flags], [tcp.rcode, tcp.flags], `${name} ${type}`);
  return udp;
}

/** The serial of an SOA is the time. */
function withoutSerial(data: string): string {
  return data.replace(/ \d+ 3600 600 /, " ");
}

Deno.test("spec line 1: SRV has one record for each instance, with port, target and a TTL of 5", async () => {
  await using world = World.start({ "chef.json": { instances: THREE } });
  for (const tcp of [false, true]) {
    const message = await world.ask(WEB, "SRV", { tcp });
    equal(
      brief(message),
      "NOERROR|aa|5 0 0 8001 h1.example.net.|5 0 0 8002 h2.example.net.|5 5 7 8003 h3.example.net.",
    );
    deepEqual(message.additionals.map(({ name, data }) => `${name} ${data}`), [
      "h1.example.net 192.0.2.1",
      "h2.example.net 192.0.2.2",
      "h3.example.net 2001:db8::3",
    ]);
  }
});

Deno.test("spec line 2: A gives the IPv4 addresses of the nodes, and AAAA those of IPv6", async () => {
  await using world = World.start({ "chef.json": { instances: THREE } });
  equal(brief(await both(world, WEB, "A")), "NOERROR|aa|5 192.0.2.1|5 192.0.2.2");
  equal(brief(await both(world, WEB, "AAAA")), "NOERROR|aa|5 2001:db8::3");
});

Deno.test("spec line 3: what isn't registered is missing, and NXDOMAIN without SOA when nothing is", async () => {
  await using world = World.start({ "chef.json": { instances: THREE.slice(0, 2) } });
  equal(brief(await both(world, WEB, "A")), "NOERROR|aa|5 192.0.2.1|5 192.0.2.2");
  await world.discovery.register("chef", new TextEncoder().encode('{"instances": []}'));
  const message = await both(world, WEB, "A");
  equal(brief(message), "NXDOMAIN|aa");
  deepEqual([...message.authorities, ...message.additionals], []);
  equal(brief(await both(world, "http.web.prod.shop.zz", "SRV")), "NXDOMAIN|aa", "an unknown zone");
});

Deno.test("spec line 4: other types at an address are NOERROR and empty", async () => {
  await using world = World.start({ "chef.json": { instances: THREE.slice(0, 2) } });
  for (const type of ["TXT", "MX", "AAAA"]) equal(brief(await both(world, WEB, type)), "NOERROR|aa", type);
  equal(brief(await both(world, "http.web.test.shop.gg", "SRV")), "NOERROR|aa", "another environment");
  equal(brief(await both(world, "smtp.web.prod.shop.gg", "A")), "NOERROR|aa", "another service");
});

Deno.test("spec line 5: what is no address is NXDOMAIN, with an SOA that is kept for a day", async () => {
  await using world = World.start({ "chef.json": { instances: THREE } });
  const wrong = [
    ...["http.web.prod.shop.ggg", "http.web.prod.shop.g", "web.prod.shop.gg", "x.http.web.prod.shop.gg"],
    ...["nsX.gg", "ns-1.gg", "ns00.gg", "ns00", "ns1.ns1.gg"],
  ];
  for (const name of wrong) {
    for (const type of ["SRV", "A", "MX"]) {
      const message = await both(world, name, type);
      equal(brief(message), "NXDOMAIN|aa", name);
      deepEqual(message.additionals.map((record) => [record.name, record.ttl]), [[
        `${name}.${ZONE}`,
        86_400,
      ]]);
      deepEqual(message.authorities.map((record) => [record.name, record.ttl]), [[ZONE, 86_400]]);
      match(
        message.additionals[0]!.data,
        /^ns0\.srv\.example\.org\. hostmaster\.srv\.example\.org\. \d+ 3600 600 86400 5$/,
      );
    }
  }
});

Deno.test("spec line 6: a name outside of the zone is NXDOMAIN without AA and SOA", async () => {
  await using world = World.start({ "chef.json": { instances: THREE } });
  for (const name of ["example.org", "xsrv.example.org", `${WEB}.xsrv.example.org`, "."]) {
    const message = await ask(world.discovery.dns!, name, "A");
    equal(brief(message), "NXDOMAIN|", name);
    deepEqual([...message.authorities, ...message.additionals], []);
  }
});

Deno.test("spec line 7: two questions are NOTIMP, and none is FORMERR", async () => {
  await using world = World.start({ "chef.json": { instances: THREE } });
  const one = encodeQuery({ id: 7, name: `${WEB}.${ZONE}`, type: 33 });
  const two = Uint8Array.from([...one, ...one.subarray(12)]);
  two[5] = 2;
  const none = one.slice(0, 12);
  none[5] = 0;
  for (
    const [packet, rcode] of [[two, "NOTIMP"], [none, "FORMERR"], [one.slice(0, 20), "FORMERR"]] as const
  ) {
    for (
      const answer of [
        await askUdp(world.discovery.dns!, packet),
        (await askTcp(world.discovery.dns!, packet))!,
      ]
    ) {
      const message = decodeMessage(answer);
      deepEqual([rcodeName(message.rcode), message.flags.aa, message.id], [rcode, false, 7]);
    }
  }
});

Deno.test("spec line 8: SERVFAIL while the registry was never read; it recovers by itself", async () => {
  await using world = World.start(null);
  for (const type of ["SRV", "A"]) equal(brief(await both(world, WEB, type)), "SERVFAIL|aa");
  for (const type of ["NS", "A"]) equal(brief(await both(world, "gg", type)), "SERVFAIL|aa");
  equal(brief(await both(world, "http.web.prod.shop.ggg", "SRV")), "NXDOMAIN|aa");
  Deno.mkdirSync(world.directory);
  world.provide("chef", THREE);
  equal(await until(() => world.ask(WEB, "A"), "NOERROR"), "NOERROR|aa|5 192.0.2.1|5 192.0.2.2");
});

Deno.test("spec line 8: without patience for what is stale, SERVFAIL as soon as the registry is gone", async () => {
  await using world = World.start({ "chef.json": { instances: THREE } }, { staleFor: 0 });
  equal(brief(await world.ask(WEB, "A")), "NOERROR|aa|5 192.0.2.1|5 192.0.2.2");
  Deno.renameSync(world.directory, `${world.directory}-away`);
  equal(await until(() => world.ask(WEB, "A"), "SERVFAIL"), "SERVFAIL|aa");
  Deno.renameSync(`${world.directory}-away`, world.directory);
  equal(await until(() => world.ask(WEB, "A"), "NOERROR"), "NOERROR|aa|5 192.0.2.1|5 192.0.2.2");
});

Deno.test("spec line 8: what is stale is answered for as long as there is patience", async () => {
  await using world = World.start({ "chef.json": { instances: THREE } });
  Deno.renameSync(world.directory, `${world.directory}-away`);
  while (world.discovery.catalog.standingOf("gg") !== "stale") {
    equal(brief(await world.ask(WEB, "A")), "NOERROR|aa|5 192.0.2.1|5 192.0.2.2");
  }
  equal(brief(await world.ask(WEB, "A")), "NOERROR|aa|5 192.0.2.1|5 192.0.2.2");
  match(world.registry.expose(), /pleiades_discovery_stale_seconds\{[^}]*zone="gg"\} [\d.e-]*[1-9]/);
  Deno.renameSync(`${world.directory}-away`, world.directory);
});

Deno.test("spec line 9: 44 instances are 43 answers and TC over UDP, and 44 over TCP", async () => {
  const instances = Array.from(
    { length: 44 },
    (_, i) => instance(`i${String(i).padStart(2, "0")}`, { node: `h${i}`, ipAddress: `192.0.2.${i + 1}` }),
  );
  await using world = World.start({ "chef.json": { instances } });
  const udp = decodeMessage(
    await askUdp(
      world.discovery.dns!,
      encodeQuery({ id: 1, name: `${WEB}.${ZONE}`, type: typeNumber("A")!, edns: { udpSize: 1232 } }),
    ),
  );
  deepEqual([udp.answers.length, udp.flags.tc], [43, true]);
  const tcp = await world.ask(WEB, "A", { tcp: true });
  deepEqual([tcp.answers.length, tcp.flags.tc], [44, false]);
  equal((await world.ask(WEB, "SRV", { tcp: true })).answers.length, 44);
});

Deno.test("an answer that is too large for its client has the leading records that fit, and TC", async () => {
  const instances = Array.from(
    { length: 40 },
    (_, i) => instance(`i${i + 10}`, { node: `h${i}.example.net` }),
  );
  await using world = World.start({ "chef.json": { instances } });
  const message = decodeMessage(
    await askUdp(world.discovery.dns!, encodeQuery({ id: 1, name: `${WEB}.${ZONE}`, type: 33 })),
  );
  ok(message.flags.tc && message.answers.length > 5 && message.answers.length < 40);
  deepEqual(message.additionals, []);
});

Deno.test("spec line 10: NS lists ns0, ns1 …, and each has an address; their order is that of host names", async () => {
  await using world = World.start({});
  for (const name of ["", "gg"]) {
    const below = name === "" ? ZONE : `${name}.${ZONE}`;
    const message = await both(world, name, "NS");
    equal(brief(message), `NOERROR|aa|5 ns0.${below}.|5 ns1.${below}.|5 ns2.${below}.`);
    const at = (label: string) => name === "" ? label : `${label}.${name}`;
    equal(brief(await both(world, at("ns0"), "A")), "NOERROR|aa|5 192.0.2.52");
    equal(brief(await both(world, at("ns1"), "A")), "NOERROR|aa|5 192.0.2.53");
    equal(brief(await both(world, at("ns2"), "A")), "NOERROR|aa|5 192.0.2.54");
    equal(brief(await both(world, name, "A")), "NOERROR|aa|5 192.0.2.52|5 192.0.2.53|5 192.0.2.54");
    equal(brief(await both(world, at("ns0"), "NS")), "NOERROR|aa");
    equal(brief(await both(world, name, "SOA")), "NOERROR|aa");
  }
  equal(brief(await both(world, "zz", "NS")), "NOERROR|aa", "an unknown zone has none");
});

Deno.test("spec line 11: ns7 of three servers is NOERROR and empty", async () => {
  await using world = World.start({});
  equal(brief(await both(world, "ns7.gg", "A")), "NOERROR|aa");
  equal(brief(await both(world, "ns7", "A")), "NOERROR|aa");
});

Deno.test("spec line 12: an underscore is refused; digits, hyphens and capitals aren't", async () => {
  await using world = World.start({
    "chef.json": {
      instances: [instance("a", { address: "HTTP2.web-1.Prod.shop.GG", ipAddress: "192.0.2.9" })],
    },
  });
  equal(brief(await both(world, "http2.WEB-1.prod.sHop.gg", "A")), "NOERROR|aa|5 192.0.2.9");
  equal(brief(await both(world, "_http.web.prod.shop.gg", "A")), "NXDOMAIN|aa");
});

Deno.test("spec line 13: an instance that is taken out of its file is out of the answers", async () => {
  await using world = World.start({ "chef.json": { instances: THREE } });
  equal(brief(await world.ask(WEB, "A")), "NOERROR|aa|5 192.0.2.1|5 192.0.2.2");
  world.provide("chef", THREE.slice(1));
  for (let turn = 0; brief(await world.ask(WEB, "A")) !== "NOERROR|aa|5 192.0.2.2"; turn++) await pause(turn);
  Deno.removeSync(`${world.directory}/chef.json`);
  equal(await until(() => world.ask(WEB, "A"), "NXDOMAIN"), "NXDOMAIN|aa");
});

Deno.test("spec line 14: a provider's file is never seen half-written, and nothing is left beside it", async () => {
  const directory = Deno.makeTempDirSync();
  const bytes = new TextEncoder().encode(JSON.stringify({ instances: THREE }));
  await writeProviderFile(directory, "chef", bytes);
  await writeProviderFile(directory, "chef", bytes);
  deepEqual([...Deno.readDirSync(directory)].map(({ name }) => name), ["chef.json"]);
  deepEqual(Deno.readFileSync(`${directory}/chef.json`), bytes);
  // Where it can't come into its place, what was there stays, and nothing else does.
  Deno.mkdirSync(`${directory}/other.json/full`, { recursive: true });
  try {
    await writeProviderFile(directory, "other", bytes);
    ok(false, "a directory was overwritten");
  } catch (error) {
    ok(error instanceof Error);
  }
  deepEqual([...Deno.readDirSync(directory)].map(({ name }) => name).sort(), ["chef.json", "other.json"]);
  ok(await removeProviderFile(directory, "chef"));
  ok(!await removeProviderFile(directory, "chef"));
  Deno.removeSync(directory, { recursive: true });
});

Deno.test("spec line 15: the metrics have the four families after a query of each kind", async () => {
  const files = { "chef.json": { instances: THREE }, "wrong.json": "{" };
  await using world = World.start(files, { addressMetrics: true });
  await world.ask(WEB, "SRV");
  await world.ask("gg", "NS");
  await world.ask(WEB, "TXT", { tcp: true });
  const text = world.registry.expose();
  match(text, /dns_request_duration_seconds_count\{.*protocol="udp",qtype="SRV",rcode="NOERROR"\} 1/);
  match(text, /dns_request_duration_seconds_count\{.*protocol="tcp",qtype="other",rcode="NOERROR"\} 1/);
  match(text, /pleiades_discovery_store_request_duration_seconds_count\{.*operation="getInstances"\} [12]/);
  match(text, /pleiades_discovery_store_errors_total\{.*error="invalidfile",operation="getInstances"\} 1/);
  match(text, /pleiades_discovery_instances\{.*zone="gg"\} 3/);
  const labels = 'service="http",job="web",env="prod",product="shop",zone="gg",operation="getInstances"';
  match(text, new RegExp(`pleiades_discovery_responses\\{.*${labels}\\} 3`));
  match(text, /pleiades_discovery_responses\{.*zone="gg",operation="getServers"\} 3/);
  await using quiet = World.start(files);
  match(quiet.registry.expose(), /^(?![^]*pleiades_discovery_responses\{)/);
});

Deno.test("what is asked about a zone that is answered elsewhere is referred to its name servers", async () => {
  await using world = World.start({ "chef.json": { instances: THREE } }, {
    servers: [
      { zone: "fr", host: "a", ips: ["198.51.100.1"], port: 53 },
      { zone: "fr", host: "b", ips: ["198.51.100.2", "2001:db8:1::2"], port: 53 },
    ],
  });
  const message = await both(world, "http.web.prod.shop.fr", "SRV");
  equal(brief(message), "NOERROR|");
  deepEqual(message.authorities.map(({ name, data }) => `${name} ${data}`), [
    `fr.${ZONE} ns0.fr.${ZONE}.`,
    `fr.${ZONE} ns1.fr.${ZONE}.`,
  ]);
  deepEqual(message.additionals.map(({ name, data }) => `${name} ${data}`), [
    `ns0.fr.${ZONE} 198.51.100.1`,
    `ns1.fr.${ZONE} 198.51.100.2`,
    `ns1.fr.${ZONE} 2001:db8:1::2`,
  ]);
  equal(
    brief(await both(world, WEB, "A")),
    "NOERROR|aa|5 192.0.2.1|5 192.0.2.2",
    "the own zone isn't touched",
  );
});

async function until(look: () => ReturnType<typeof ask>, rcode: string): Promise<string> {
  for (let turn = 0;; turn++) {
    const message = await look();
    if (rcodeName(message.rcode) === rcode) return brief(message);
    await pause(turn);
  }
}
