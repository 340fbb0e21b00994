/**
 * A real resolver in front: unbound with a stub zone towards a fleet, as strict as it can be set — minimal query
 * names (RFC 9156) and random letter case (draft-vixie-dnsext-dns0x20).
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Sample } from "../../src/dns/samples.ts";
import type { SocketAddress } from "../../src/ip.ts";
import { wireToName } from "../../src/wire/name.ts";
import { askTcp, askUdp } from "../dns/clients.ts";
import { Loopback } from "../dns/loopback.ts";
import { addresses, query, show } from "../dns/packets.ts";
import { testWith } from "../programs.ts";
import { Unbound } from "./unbound.ts";

const MANY = Array.from({ length: 100 }, (_, i) => `10.0.0.${i + 1}`);
const WORLD = {
  pools: [
    { name: "web", members: ["192.0.2.10", "2001:db8::10"] },
    { name: "pair", members: ["192.0.2.20", "192.0.2.21"] },
    { name: "large", maxAnswers: 0, members: MANY },
  ],
  services: {
    "www.example.com": "web",
    "*.apps.example.com": "web",
    "large.example.com": "large",
    "fresh.example.com": { pool: "pair", ttl: 0 },
    "deep.down.below.example.com": "web",
  },
  zones: {
    "example.com": `
$TTL 300
@      SOA ns1 hostmaster 7 3600 600 604800 60
@      NS  ns1
@      MX  10 mail
ns1    A   127.0.0.1
mail   A   192.0.2.25
alias  CNAME www
chain  CNAME alias
static CNAME mail
text   TXT "${"t".repeat(200)}" "${"u".repeat(200)}"
*.wild TXT "any"
`,
  },
};

const SOA = "ns example.com 60 SOA ns1.example.com 7";

const ROWS: readonly [what: string, question: [name: string, type: string], answer: string][] = [
  ["a service, IPv4", ["www.example.com", "A"], "NOERROR\nan www.example.com 30 A 192.0.2.10"],
  ["a service, IPv6", ["www.example.com", "AAAA"], "NOERROR\nan www.example.com 30 AAAA 2001:db8::10"],
  [
    "a wildcard service, two labels below",
    ["a.b.apps.example.com", "A"],
    "NOERROR\nan a.b.apps.example.com 30 A 192.0.2.10",
  ],
  [
    "a service below names that only exist because of it",
    ["deep.down.below.example.com", "A"],
    "NOERROR\nan deep.down.below.example.com 30 A 192.0.2.10",
  ],
  ["NODATA of a service: HTTPS", ["www.example.com", "HTTPS"], `NOERROR\n${SOA}`],
  ["NODATA of a name that only has names below it", ["below.example.com", "A"], `NOERROR\n${SOA}`],
  ["NXDOMAIN", ["nothing.example.com", "A"], `NXDOMAIN\n${SOA}`],
  ["NXDOMAIN far below", ["a.b.c.nothing.example.com", "AAAA"], `NXDOMAIN\n${SOA}`],
  [
    "an alias of a service",
    ["alias.example.com", "A"],
    "NOERROR\nan alias.example.com 300 CNAME www.example.com\nan www.example.com 30 A 192.0.2.10",
  ],
  [
    "an alias of an alias",
    ["chain.example.com", "AAAA"],
    "NOERROR\nan chain.example.com 300 CNAME alias.example.com\n" +
    "an alias.example.com 300 CNAME www.example.com\nan www.example.com 30 AAAA 2001:db8::10",
  ],
  [
    "an alias without the type asked for",
    ["static.example.com", "AAAA"],
    `NOERROR\nan static.example.com 300 CNAME mail.example.com\n${SOA}`,
  ],
  ["static records", ["example.com", "MX"], "NOERROR\nan example.com 300 MX 10 mail.example.com"],
  ["a wildcard record", ["x.y.wild.example.com", "TXT"], 'NOERROR\nan x.y.wild.example.com 300 TXT ["any"]'],
];

testWith(["unbound"], "unbound resolves the names of a fleet", async (test) => {
  const samples: Sample[] = [];
  await using node = await Loopback.start(WORLD, {
    samplesPerSecond: 1_000_000,
    onSample: (sample) => samples.push(sample),
  });
  await using resolver = await Unbound.start(strictly(node.address));

  for (const [what, [name, type], answer] of ROWS) {
    await test.step(what, async () => {
      assert.equal(withoutAges(show(await askUdp(resolver.address, query(name, type)))), answer);
    });
  }

  await test.step("an answer that is too large for UDP", async () => {
    const answer = await askTcp(resolver.address, query("large.example.com", "A"));
    assert.deepEqual(addresses(answer).sort(), [...MANY].sort());
  });

  await test.step("an answer that may not be cached follows health at once", async () => {
    for (const up of ["192.0.2.20", "192.0.2.21", "192.0.2.20"]) {
      node.world.health({ "192.0.2.20": up === "192.0.2.20", "192.0.2.21": up === "192.0.2.21" });
      assert.deepEqual(addresses(await askUdp(resolver.address, query("fresh.example.com", "A"))), [up]);
    }
  });

  await test.step("it did ask with minimal names, in random case, and again over TCP", async () => {
    // With its end a worker hands over the last samples.
    await node.fleet[Symbol.asyncDispose]();
    const asked = samples.map((sample) => wireToName(sample.query, 12));
    const lower = new Set(asked.map((name) => name.toLowerCase()));
    assert(lower.has("b.apps.example.com"), "the name between the zone and the service");
    assert(lower.has("down.below.example.com"), "the empty non-terminal");
    assert(samples.some(({ transport }) => transport === "tcp"));
    // When the case doesn't come back as sent, unbound asks again, and again, in lower case; by chance, a name of ten
    // letters is in lower case once in a thousand times.
    const inLowerCase = asked.filter((name) => name === name.toLowerCase());
    assert(inLowerCase.length <= 3, inLowerCase.join(" "));
  });
});

/** TTLs count down in a resolver's cache: those a little below a round number are given as that. */
function withoutAges(text: string): string {
  return text.replaceAll(/ (29[0-9]|2[0-9]|5[0-9]) (?=[A-Z]+ )/g, (_, ttl) => ` ${roundUp(Number(ttl))} `);
}

function roundUp(ttl: number): number {
  return ttl > 60 ? 300 : ttl > 30 ? 60 : 30;
}

/** Everything below example.com is asked of one fleet, as strictly as can be. */
function strictly({ hostname, port }: SocketAddress): string {
  return `
  qname-minimisation: yes
  qname-minimisation-strict: yes
  use-caps-for-id: yes
  minimal-responses: yes
stub-zone:
  name: "example.com"
  stub-addr: ${hostname}@${port}
`;
}
