/**
 * What answers of resolvers say, and who is asked.
 *
 * @module
 */
import { deepEqual } from "node:assert/strict";
import { ADDRESSES_MAX, lookUp } from "../../src/names/lookup.ts";
import { readResolvers, systemResolvers } from "../../src/names/system_resolvers.ts";
import { runQuery } from "../../src/dns_client.ts";
import type { Family } from "../../src/ip.ts";
import { CLASS } from "../../src/wire/record_type.ts";
import { LoopbackResolver, type Says } from "./resolver.ts";

/** Looks a name up with a real resolver. */
async function look(says: Says, family: Family = 4) {
  await using resolver = new LoopbackResolver({ "web.example.net": says });
  return await lookUp({
    name: "web.example.net",
    family,
    resolvers: [resolver.address],
    timeoutMs: 100,
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
