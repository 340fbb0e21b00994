/**
 * What answers of resolvers say, and who is asked.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { Buffer } from "node:buffer";
import dnsPacket from "dns-packet";
import fc from "fast-check";
import { ADDRESSES_MAX, type Look, lookUp } from "../../src/resolver/lookup.ts";
import { readResolvers, systemResolvers } from "../../src/resolver/system_resolvers.ts";
import { runQuery } from "../../src/dns_client.ts";
import { type Family, isUnicast, parseIp } from "../../src/ip.ts";
import { decodeMessage } from "../../src/wire/message.ts";
import { CLASS } from "../../src/wire/record_type.ts";
import { LoopbackResolver, type Says } from "./resolver.ts";

/** Looks a name up with a real resolver. */
async function look(says: Says, family: Family = 4) {
  await using resolver = new LoopbackResolver({ "web.example.net": says });
  return await lookUp({
    name: "web.example.net",
    family,
    resolvers: [resolver.address],
    timeoutMs: says === "nothing at all" ? 100 : 20_000,
    ask: async ({ server, name, type, timeoutMs, signal }) => {
      const rest = { class: CLASS.IN, ecs: null, tcp: false, udpSize: 1232 };
      return (await runQuery({ ...rest, server, name, type, timeoutMs, signal })).message;
    },
    signal: new AbortController().signal,
  });
}

Deno.test("addresses come sorted, each once", async () => {
  deepEqual(await look({ a: ["192.0.2.9", "192.0.2.1", "192.0.2.9"], ttl: 30 }), {
    kind: "found",
    addresses: ["192.0.2.1", "192.0.2.9"],
    ttl: 30,
  });
});

Deno.test("an alias is followed, and its TTL counts", async () => {
  deepEqual(await look({ aaaa: ["2001:db8::1"], ttl: 7, alias: "cdn.example.org" }, 6), {
    kind: "found",
    addresses: ["2001:db8::1"],
    ttl: 7,
  });
});

Deno.test("0.0.0.0 is nowhere, and an IPv4 address in an IPv6 one isn't taken", async () => {
  deepEqual(await look({ a: ["0.0.0.0", "192.0.2.1"] }), {
    kind: "found",
    addresses: ["192.0.2.1"],
    ttl: 60,
  });
  deepEqual((await look({ aaaa: ["::ffff:192.0.2.1", "::"] }, 6)).kind, "empty");
});

/** What is made of these bytes, had they come from a resolver there. */
function read(
  bytes: Uint8Array,
  { family = 4, from = "192.0.2.53" }: { family?: Family; from?: string } = {},
) {
  return lookUp({
    name: "Web.Example.net",
    family,
    resolvers: [{ hostname: from, port: 53 }],
    timeoutMs: 100,
    ask: () => Promise.resolve().then(() => decodeMessage(bytes)),
    signal: new AbortController().signal,
  });
}

type Answer = Partial<Record<"name" | "type" | "class", string>> & { data: unknown; ttl?: number };

function packet(answers: readonly Answer[], authorities: readonly Answer[] = []): Uint8Array {
  const complete = (record: Answer) => ({ name: "web.example.net", type: "A", ttl: 60, ...record });
  return new Uint8Array(dnsPacket.encode({
    type: "response",
    questions: [{ name: "web.example.net", type: "A" }],
    answers: answers.map((record) => complete(record) as dnsPacket.Answer),
    authorities: authorities.map((record) => complete(record) as dnsPacket.Answer),
  }));
}

/** A record of another class whose data is whatever it is: no encoder makes one. */
function chaos(type: number, rdata: Uint8Array, section: "answers" | "authorities" = "answers"): Uint8Array {
  const counts = section === "answers" ? [1, 0, 0] : [0, 1, 0];
  return Uint8Array.of(
    ...[0, 0, 0x81, 0x80, 0, 1, ...counts.flatMap((count) => [0, count])],
    ...Buffer.from("\x03web\x07example\x03net\0\0\x01\0\x01", "latin1"),
    ...[0xc0, 12, 0, type, 0, 3, 0, 0, 0, 60, 0, rdata.length, ...rdata],
  );
}

for (const size of [0, 2, 3, 4, 16]) {
  Deno.test(`records of another class are no answer, with ${size} bytes of data as little as with none`, async () => {
    const data = new Uint8Array(size).fill(9);
    for (const family of [4, 6] as const) {
      const kinds = new Set(["empty", "failed"]);
      ok(kinds.has((await read(chaos(1, data), { family })).kind));
      ok(kinds.has((await read(chaos(28, data), { family })).kind));
      ok(kinds.has((await read(chaos(6, data, "authorities"), { family })).kind));
    }
  });
}

Deno.test("only the addresses at the end of the chain are the name's", async () => {
  const chain = [
    { name: "WEB.example.NET", type: "CNAME", data: "a.example.org", ttl: 50 },
    { name: "b.example.org", data: "192.0.2.2", ttl: 40 },
    { name: "a.example.org", type: "CNAME", data: "B.example.org", ttl: 30 },
    { name: "else.example.org", data: "192.0.2.66", ttl: 1 },
    { data: "192.0.2.67", ttl: 1 },
  ];
  deepEqual(await read(packet(chain)), { kind: "found", addresses: ["192.0.2.2"], ttl: 30 });
});

Deno.test("aliases in a circle are a resolver's failure", async () => {
  const circle = [
    { type: "CNAME", data: "a.example.org" },
    { name: "a.example.org", type: "CNAME", data: "web.example.net" },
  ];
  deepEqual(await read(packet(circle)), {
    kind: "failed",
    reason: "192.0.2.53:53: Its aliases form a loop, or lead further than 32 names",
  });
});

Deno.test("how long nothing stays nothing is said by the zone of the name, and by no other", async () => {
  const soa = (name: string, minimum: number) => ({
    name,
    type: "SOA",
    ttl: 900,
    data: { mname: "ns.example.net", rname: "h.example.net", serial: 1, minimum },
  });
  const ttl = async (bytes: Uint8Array) => {
    const look = await read(bytes);
    return look.kind === "empty" && look.ttl;
  };
  equal(await ttl(packet([], [soa("Example.net", 70)])), 70);
  equal(await ttl(packet([], [soa("example.com", 70)])), 0);
  equal(await ttl(packet([], [soa("ample.net", 70)])), 0);
});

const NOWHERE = [
  "0.0.0.0 0.1.2.3 127.0.0.1 127.9.9.9 169.254.169.254 224.0.0.1 240.0.0.1 255.255.255.255",
  ":: ::1 ::4 ::192.0.2.1 ::ffff:192.0.2.1 fe80::1 ff02::1",
].flatMap((list) => list.split(" "));
for (const address of NOWHERE) {
  Deno.test(`nobody is sent to ${address}`, async () => {
    const family = address.includes(":") ? 6 : 4;
    const bytes = packet([{ type: family === 6 ? "AAAA" : "A", data: address }]);
    const look = await read(bytes, { family });
    equal(look.kind, "empty");
    ok(look.kind === "empty" && look.reason.startsWith("its addresses aren't reachable for clients ("));
  });
}

for (
  const address of [
    "192.0.2.1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "fd00::1",
    "2001:db8::1",
  ]
) {
  Deno.test(`a member may stand at ${address}`, async () => {
    const family = address.includes(":") ? 6 : 4;
    const look = await read(packet([{ type: family === 6 ? "AAAA" : "A", data: address }]), { family });
    deepEqual(look, { kind: "found", addresses: [address], ttl: 60 });
  });
}

Deno.test("a resolver on this machine may speak of this machine", async () => {
  const bytes = packet([{ data: "127.0.0.1" }]);
  deepEqual((await read(bytes, { from: "127.0.0.53" })).kind, "found");
  deepEqual((await read(bytes, { from: "192.0.2.53" })).kind, "empty");
});

/** Answers that are nearly right: some bytes of a good one are others. */
const damagedAnswer = fc.tuple(
  fc.constantFrom(
    packet([{ data: "192.0.2.1" }]),
    packet([{ type: "CNAME", data: "a.example.org" }, { name: "a.example.org", data: "192.0.2.1" }]),
    chaos(1, Uint8Array.of(1, 2, 3)),
    chaos(6, new Uint8Array(), "authorities"),
  ),
  fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }),
  fc.nat(),
).map(([good, changes, size]) => {
  const bytes = good.slice(0, changes.length > 4 ? size % good.length : good.length);
  for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
  return bytes;
});

Deno.test("whatever comes from a resolver, it is a failure or something to answer, and never more than that", async () => {
  const faults = new Set<string>();
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(fc.uint8Array({ maxLength: 600 }), damagedAnswer),
      fc.constantFrom(4 as const, 6 as const),
      async (bytes, family) => {
        try {
          decodeMessage(bytes);
        } catch (error) {
          faults.add(error!.constructor.name);
        }
        const look: Look = await read(bytes, { family });
        if (look.kind !== "failed") ok(look.ttl >= 0);
        if (look.kind === "found") ok(look.addresses.every((address) => isUnicast(parseIp(address)!)));
      },
    ),
    { numRuns: 5000 },
  );
  deepEqual([...faults], ["SyntaxError"]);
});

Deno.test("no more addresses are taken than an answer should have", async () => {
  const found = await look({ a: Array.from({ length: 70 }, (_, i) => `192.0.2.${i + 1}`) });
  deepEqual(found.kind === "found" && found.addresses.length, ADDRESSES_MAX);
});

Deno.test("nothing is told from nobody knowing", async () => {
  deepEqual(await look("NXDOMAIN"), { kind: "empty", reason: "it doesn't exist (NXDOMAIN)", ttl: 60 });
  deepEqual(await look({ ttl: 9 }), { kind: "empty", reason: "it has no addresses (NODATA)", ttl: 9 });
  deepEqual((await look("SERVFAIL")).kind, "failed");
  deepEqual((await look("nothing at all")).kind, "failed");
});

Deno.test("the system's resolvers are the name servers of resolv.conf", () => {
  const text =
    "# comment\nsearch example.net\nnameserver 192.0.2.53\n nameserver  2001:db8::53 \nnameserver fe80::1%eth0\n";
  deepEqual(readResolvers(text).map(({ hostname }) => hostname), ["192.0.2.53", "2001:db8::53"]);
  deepEqual(systemResolvers("/nowhere/resolv.conf"), [{ hostname: "127.0.0.1", port: 53 }]);
});
