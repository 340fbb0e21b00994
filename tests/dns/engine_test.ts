/** @module The engine row by row: question, state of the world, answer. */
import assert from "node:assert/strict";
import { READ_MAX } from "../../src/dns/engine.ts";
import { HEALTH_CHECK_DEFAULTS } from "../../src/model/model.ts";
import { addresses, type Asked, query, show } from "./packets.ts";
import { World } from "./world.ts";

const ZONE = `
$TTL 300
@        SOA ns1 hostmaster 7 3600 600 604800 60
@        NS  ns1
@        MX  10 mail
ns1      A   192.0.2.1
mail     A   192.0.2.25
         AAAA 2001:db8::25
alias    CNAME mail
steered  CNAME www
chain1   CNAME chain2
chain2   CNAME mail
loop1    CNAME loop2
loop2    CNAME loop1
outside  CNAME www.example.net.
dangling CNAME nowhere
deep.ent TXT "below an empty non-terminal"
*.wild   A   192.0.2.99
*.wild   TXT "any"
sub      NS  ns.sub
sub      NS  ns1
ns.sub   A   192.0.2.53
         AAAA 2001:db8::53
sub      DS  1 13 2 0000000000000000000000000000000000000000000000000000000000000000
www      TXT "text beside a service"
six      AAAA 2001:db8::6
`;

/** The apex of a zone that is served by somebody else's name server. */
const APEX = "@ SOA ns.o. h.o. 1 3600 600 604800 60\n@ NS ns.o.\n";

function example(): World {
  return new World({
    pools: [
      { name: "web", members: ["192.0.2.10", "192.0.2.11", "2001:db8::10"] },
      { name: "four", members: ["192.0.2.44"] },
    ],
    services: {
      "www.example.com": "web",
      "*.apps.example.com": "four",
      "six.example.com": "four",
      "empty.example.com": null,
      "own.example.org": { pool: "four", ttl: 5 },
    },
    zones: { "example.com": ZONE },
  });
}

const SOA = "ns example.com 60 SOA ns1.example.com 7";

const ROWS: readonly [question: string, answer: string, asked?: Asked][] = [
  // Services
  ["www.example.com A", "NOERROR aa\nan www.example.com 30 A 192.0.2.10"],
  ["www.example.com AAAA", "NOERROR aa\nan www.example.com 30 AAAA 2001:db8::10"],
  ["WwW.eXaMpLe.CoM A", "NOERROR aa\nan WwW.eXaMpLe.CoM 30 A 192.0.2.10"],
  ["www.example.com TXT", 'NOERROR aa\nan www.example.com 300 TXT ["text beside a service"]'],
  ["www.example.com HTTPS", `NOERROR aa\n${SOA}`],
  ["www.example.com MX", `NOERROR aa\n${SOA}`],
  ["six.example.com A", "NOERROR aa\nan six.example.com 30 A 192.0.2.44"],
  ["six.example.com AAAA", "NOERROR aa\nan six.example.com 300 AAAA 2001:db8::6"],
  ["empty.example.com A", `NOERROR aa\n${SOA}`],
  ["any.apps.example.com A", "NOERROR aa\nan any.apps.example.com 30 A 192.0.2.44"],
  ["a.b.apps.example.com A", "NOERROR aa\nan a.b.apps.example.com 30 A 192.0.2.44"],
  ["any.apps.example.com TXT", `NOERROR aa\n${SOA}`],
  ["apps.example.com A", `NOERROR aa\n${SOA}`],
  // A service outside every zone is a zone of its own
  ["own.example.org A", "NOERROR aa\nan own.example.org 5 A 192.0.2.44"],
  ["own.example.org AAAA", "NOERROR aa\nns own.example.org 30 SOA own.example.org 1"],
  ["own.example.org SOA", "NOERROR aa\nan own.example.org 30 SOA own.example.org 1"],
  ["x.own.example.org A", "NXDOMAIN aa\nns own.example.org 30 SOA own.example.org 1"],
  ["example.org A", "REFUSED"],
  ["example.net A", "REFUSED"],
  [". NS", "REFUSED"],
  // Static records
  ["example.com SOA", "NOERROR aa\nan example.com 300 SOA ns1.example.com 7"],
  [
    "example.com NS",
    "NOERROR aa\nan example.com 300 NS ns1.example.com\nar ns1.example.com 300 A 192.0.2.1",
  ],
  [
    "example.com MX",
    "NOERROR aa\nan example.com 300 MX 10 mail.example.com\n" +
    "ar mail.example.com 300 A 192.0.2.25\nar mail.example.com 300 AAAA 2001:db8::25",
  ],
  ["mail.example.com AAAA", "NOERROR aa\nan mail.example.com 300 AAAA 2001:db8::25"],
  ["nothing.example.com A", `NXDOMAIN aa\n${SOA}`],
  ["ent.example.com A", `NOERROR aa\n${SOA}`],
  ["x.ent.example.com A", `NXDOMAIN aa\n${SOA}`],
  // CNAME
  ["alias.example.com CNAME", "NOERROR aa\nan alias.example.com 300 CNAME mail.example.com"],
  [
    "alias.example.com A",
    "NOERROR aa\nan alias.example.com 300 CNAME mail.example.com\nan mail.example.com 300 A 192.0.2.25",
  ],
  [
    "steered.example.com A",
    "NOERROR aa\nan steered.example.com 300 CNAME www.example.com\nan www.example.com 30 A 192.0.2.10",
  ],
  [
    "chain1.example.com AAAA",
    "NOERROR aa\nan chain1.example.com 300 CNAME chain2.example.com\n" +
    "an chain2.example.com 300 CNAME mail.example.com\nan mail.example.com 300 AAAA 2001:db8::25",
  ],
  ["alias.example.com TXT", `NOERROR aa\nan alias.example.com 300 CNAME mail.example.com\n${SOA}`],
  ["outside.example.com A", "NOERROR aa\nan outside.example.com 300 CNAME www.example.net"],
  ["dangling.example.com A", `NXDOMAIN aa\nan dangling.example.com 300 CNAME nowhere.example.com\n${SOA}`],
  // Wildcards (RFC 4592)
  ["a.wild.example.com A", "NOERROR aa\nan a.wild.example.com 300 A 192.0.2.99"],
  ["a.b.wild.example.com A", "NOERROR aa\nan a.b.wild.example.com 300 A 192.0.2.99"],
  ["*.wild.example.com A", "NOERROR aa\nan *.wild.example.com 300 A 192.0.2.99"],
  ["a.wild.example.com AAAA", `NOERROR aa\n${SOA}`],
  ["wild.example.com A", `NOERROR aa\n${SOA}`],
  // Delegations
  [
    "sub.example.com A",
    "NOERROR\nns sub.example.com 300 NS ns.sub.example.com\nns sub.example.com 300 NS ns1.example.com\n" +
    "ar ns.sub.example.com 300 A 192.0.2.53\nar ns.sub.example.com 300 AAAA 2001:db8::53\nar ns1.example.com 300 A 192.0.2.1",
  ],
  [
    "x.y.sub.example.com TXT",
    "NOERROR\nns sub.example.com 300 NS ns.sub.example.com\nns sub.example.com 300 NS ns1.example.com\n" +
    "ar ns.sub.example.com 300 A 192.0.2.53\nar ns.sub.example.com 300 AAAA 2001:db8::53\nar ns1.example.com 300 A 192.0.2.1",
  ],
  // ANY (RFC 8482)
  ["www.example.com ANY", 'NOERROR aa\nan www.example.com 3600 HINFO {"cpu":"RFC8482","os":""}'],
  ["nothing.example.com ANY", `NXDOMAIN aa\n${SOA}`],
  // Transfers, classes
  ["example.com AXFR", "REFUSED"],
  ["www.example.com A", "REFUSED", { class: "HS" }],
  ["version.bind TXT", "REFUSED", { class: "CH" }],
  // EDNS
  ["www.example.com A", "NOERROR aa\nan www.example.com 30 A 192.0.2.10\nar OPT 1232 rcode+0", {
    udpSize: 4096,
  }],
  ["www.example.com A", "NOERROR aa\nan www.example.com 30 A 192.0.2.10\nar OPT 1232 rcode+0 do", {
    dnssecOk: true,
  }],
  ["www.example.com A", "NOERROR\nar OPT 1232 rcode+1", { ednsVersion: 1 }],
  ["www.example.com A", "NOERROR aa\nan www.example.com 30 A 192.0.2.10\nar OPT 1232 rcode+0", {
    nsid: true,
  }],
];

Deno.test("answer() says what the RFCs say, row by row", async (t) => {
  for (const [question, expected, asked] of ROWS) {
    const [name, type] = question.split(" ") as [string, string];
    await t.step(`${question}${asked ? ` ${JSON.stringify(asked)}` : ""}`, () => {
      assert.equal(show(example().ask(query(name, type, asked))), expected);
    });
  }
});

const LOOPS: readonly [title: string, text: string, question: string, chain: readonly string[]][] = [
  ["of two", "a CNAME b\nb CNAME a", "a", ["a b", "b a"]],
  ["entered from outside", "in CNAME a\na CNAME B\nb CNAME A", "in", ["in a", "a B", "B A"]],
  ["of one name", "self CNAME self", "self", ["self self"]],
  ["by a wildcard", "*.w CNAME x.w", "q.w", ["q.w x.w", "x.w x.w"]],
];
for (const [title, text, question, chain] of LOOPS) {
  Deno.test(`answer() says each record of a loop of CNAMEs once: ${title}`, () => {
    const world = new World({ zones: { "p.test": `${APEX}${text}` } });
    const records = chain.map((each) => each.split(" ").map((name) => `${name}.p.test`))
      .map(([owner, target]) => `an ${owner} 300 CNAME ${target}`);
    assert.equal(show(world.ask(query(`${question}.p.test`, "A"))), ["NOERROR aa", ...records].join("\n"));
  });
}

Deno.test("answer() gives the DS record from the parent's side of a cut", () => {
  const answer = example().ask(query("sub.example.com", "DS"))!;
  assert.equal(answer[7], 1, "one answer");
  assert.equal(answer[2]! & 4, 4, "authoritative");
});

Deno.test("answer() echoes the client subnet with scope 0, and only to trusted resolvers", () => {
  const asked = query("www.example.com", "A", { ecs: "198.51.100.0/24" });
  assert.match(show(example().ask(asked)), /OPT 1232 rcode\+0 8:00011800c63364$/);
  const picky = new World({ services: { "a.example": null } }, {
    ecs: { enabled: true, trusted: [{ family: 4, bytes: new Uint8Array([10, 0, 0, 0]), length: 8 }] },
  });
  const other = query("a.example", "A", { ecs: "198.51.100.0/24" });
  assert.match(show(picky.ask(other, { client: "10.1.2.3" })), /8:00011800c63364$/);
  assert.match(show(picky.ask(other, { client: "11.1.2.3" })), /OPT 1232 rcode\+0$/);
});

Deno.test("answer() tells version, identity and NSID only when configured", () => {
  const world = new World({ services: { "a.example": null } }, {
    nsid: "fra-1",
    chaos: { version: "1.0", id: "fra-1" },
  });
  assert.equal(
    show(world.ask(query("version.bind", "TXT", { class: "CH" }))),
    'NOERROR aa\nan version.bind 0 TXT ["1.0"]',
  );
  assert.equal(
    show(world.ask(query("id.server", "TXT", { class: "CH" }))),
    'NOERROR aa\nan id.server 0 TXT ["fra-1"]',
  );
  assert.equal(show(world.ask(query("other.bind", "TXT", { class: "CH" }))), "REFUSED");
  assert.match(show(world.ask(query("a.example", "A", { nsid: true }))), /OPT 1232 rcode\+0 3:6672612d31$/);
});

/** Header fields and tails that are wrong in one way each. */
const MALFORMED: readonly [what: string, change: (packet: Uint8Array) => Uint8Array, answer: string][] = [
  ["11 bytes", (packet) => packet.slice(0, 11), "nothing"],
  ["a response", (packet) => packet.with(2, 0x80), "nothing"],
  ["opcode STATUS", (packet) => packet.with(2, 0x10), "NOTIMP"],
  ["opcode UPDATE", (packet) => packet.with(2, 0x28), "NOTIMP"],
  ["no question", (packet) => packet.with(5, 0), "FORMERR"],
  ["two questions", (packet) => packet.with(5, 2), "FORMERR"],
  ["a cut question", (packet) => packet.slice(0, 20), "FORMERR"],
  ["a compressed question", (packet) => packet.with(12, 0xc0), "FORMERR"],
  ["a label of 64 bytes", (packet) => packet.with(12, 64), "FORMERR"],
  ["a record that isn't there", (packet) => packet.with(11, 1), "FORMERR"],
  ["trailing bytes", (packet) => new Uint8Array([...packet, 1, 2, 3]), "NOERROR"],
];

Deno.test("answer() refuses malformed packets as they deserve", async (t) => {
  for (const [what, change, expected] of MALFORMED) {
    await t.step(what, () => {
      const answer = example().ask(change(query("www.example.com", "A")) as Uint8Array);
      assert.equal(answer === null ? "nothing" : show(answer).split(/[\s]/)[0], expected);
    });
  }
});

Deno.test("answer() refuses client subnets of bad family, length, scope and spare bits", () => {
  const good = query("www.example.com", "A", { ecs: "198.51.100.0/24" });
  const at = good.length - 7; // family, source, scope, three bytes of address
  for (const [offset, byte] of [[1, 3], [2, 33], [2, 16], [2, 23], [3, 1]] as const) {
    const bad = good.slice();
    bad[at + offset] = byte;
    if (offset === 2 && byte === 23) bad[bad.length - 1] = 1;
    assert.match(show(example().ask(bad)), /^FORMERR/, `byte ${offset} = ${byte}`);
  }
});

Deno.test("answer() keeps within 512 bytes without EDNS, within 1232 with it, and sets TC", () => {
  const members = Array.from({ length: 90 }, (_, i) => `192.0.2.${i + 1}`);
  const world = new World({
    pools: [{ name: "big", maxAnswers: 0, members }],
    services: { "big.example": "big" },
  });
  const plain = world.ask(query("big.example", "A"))!;
  assert.equal(show(plain), "NOERROR aa tc");
  const edns = world.ask(query("big.example", "A", { udpSize: 4096 }))!;
  assert.equal(show(edns), "NOERROR aa tc\nar OPT 1232 rcode+0");
  const stream = world.ask(query("big.example", "A"), { stream: true })!;
  assert.equal(addresses(stream).length, 90);
});

Deno.test("answer() truncates a referral whose glue doesn't fit", () => {
  const servers = Array.from({ length: 13 }, (_, i) => `ns${i}.sub`);
  const world = new World({
    zones: {
      "example.com": [
        "@ SOA ns1 hostmaster 7 3600 600 604800 60",
        "@ NS ns1",
        "ns1 A 192.0.2.1",
        ...servers.map((server) => `sub NS ${server}`),
        ...servers.flatMap((
          server,
          i,
        ) => [`${server} A 192.0.2.${i + 1}`, `${server} AAAA 2001:db8::${i + 1}`]),
      ].join("\n"),
    },
  });
  const plain = show(world.ask(query("www.sub.example.com", "A"))!);
  assert.match(plain, /^NOERROR tc\n/);
  assert.equal(plain.match(/^ns /gm)!.length, 13);
  const stream = show(world.ask(query("www.sub.example.com", "A"), { stream: true })!);
  assert.match(stream, /^NOERROR\n/);
  assert.equal(stream.match(/^ar /gm)!.length, 26);
});

Deno.test("answer() says in full who owns glue that no compression pointer reaches", () => {
  const label = (character: string) => character.repeat(63);
  const servers = Array.from(
    { length: 80 },
    (_, i) => `n${i}.${label("x")}.${label("y")}.${label("z")}.c`,
  );
  const text = servers.flatMap((server, i) => [`c NS ${server}`, `${server} A 192.0.2.${i}`]).join("\n");
  const world = new World({ zones: { "p.test": `${APEX}${text}` } });
  const answer = world.ask(query("a.c.p.test", "A"), { stream: true })!;
  assert.ok(answer.length > 0x4000);
  const glue = show(answer).split("\n").filter((line) => line.startsWith("ar "));
  assert.deepEqual(
    glue.toSorted(),
    servers.map((server, i) => `ar ${server}.p.test 300 A 192.0.2.${i}`).sort(),
  );
});

Deno.test("answer() truncates a referral for in-domain glue alone, and writes that first", () => {
  const many = Array.from({ length: 40 }, (_, i) => `big A 192.0.2.${i}`);
  const few = Array.from({ length: 40 }, (_, i) => `ns.c A 198.51.100.${i}`);
  const ask = (lines: readonly string[]) => {
    const world = new World({ zones: { "p.test": `${APEX}c NS big\nc NS ns.c\n${lines.join("\n")}` } });
    return show(world.ask(query("x.c.p.test", "A")));
  };
  assert.equal(
    ask([...many, "ns.c A 192.0.2.53"]),
    "NOERROR\nns c.p.test 300 NS big.p.test\nns c.p.test 300 NS ns.c.p.test\nar ns.c.p.test 300 A 192.0.2.53",
  );
  assert.match(ask(["big A 192.0.2.1", ...few]), /^NOERROR tc\n/);
});

Deno.test("answer() refers behind a CNAME that leads below a cut", () => {
  const text = "a CNAME x.c\nc NS ns.c\nns.c A 192.0.2.53\n*.w CNAME c\n";
  const world = new World({ zones: { "p.test": `${APEX}${text}` } });
  const referral = "ns c.p.test 300 NS ns.c.p.test\nar ns.c.p.test 300 A 192.0.2.53";
  assert.equal(
    show(world.ask(query("a.p.test", "A"))),
    `NOERROR aa\nan a.p.test 300 CNAME x.c.p.test\n${referral}`,
  );
  assert.equal(
    show(world.ask(query("b.w.p.test", "A"))),
    `NOERROR aa\nan b.w.p.test 300 CNAME c.p.test\n${referral}`,
  );
});

Deno.test("answer() rotates exactly, for each family and service on its own", () => {
  const members = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2"];
  const world = new World({
    pools: [{ name: "web", members }],
    services: { "a.example": "web", "b.example": "web" },
  });
  const first = (name: string, type: string) => addresses(world.ask(query(name, type)))[0];
  const seen = Array.from(
    { length: 6 },
    () => [first("a.example", "A"), first("a.example", "AAAA"), first("b.example", "A")],
  );
  assert.deepEqual(seen.map((row) => row[0]), [
    "192.0.2.1",
    "192.0.2.2",
    "192.0.2.3",
    "192.0.2.1",
    "192.0.2.2",
    "192.0.2.3",
  ]);
  assert.deepEqual(seen.map((row) => row[1]!.at(-1)), ["1", "2", "1", "2", "1", "2"]);
  assert.deepEqual(seen.map((row) => row[2]), seen.map((row) => row[0]));
});

Deno.test("answer() leaves out unhealthy and disabled members, and takes them back", () => {
  const world = new World({
    pools: [{ name: "web", members: ["192.0.2.1", "192.0.2.2", { ipAddress: "192.0.2.3", enabled: false }] }],
    services: { "a.example": "web" },
  });
  const ask = () => addresses(world.ask(query("a.example", "A")))[0];
  world.health({ "192.0.2.1": false });
  assert.deepEqual([ask(), ask(), ask()], ["192.0.2.2", "192.0.2.2", "192.0.2.2"]);
  world.health({ "192.0.2.1": true });
  assert.deepEqual(new Set([ask(), ask()]), new Set(["192.0.2.1", "192.0.2.2"]));
});

const DOWN = { "192.0.2.1": false, "192.0.2.2": false, "2001:db8::1": false };

Deno.test("onAllDown decides when no member of any family is healthy", async (t) => {
  const world = (onAllDown: "all" | "none" | "last-healthy" | "fallback") =>
    new World({
      pools: [
        {
          name: "web",
          onAllDown,
          fallbackPoolId: onAllDown === "fallback" ? "rest" : null,
          members: Object.keys(DOWN),
        },
        { name: "rest", members: ["198.51.100.1"] },
      ],
      services: { "a.example": "web" },
    });
  const ask = (w: World, type = "A") => addresses(w.ask(query("a.example", type)));
  await t.step("all: every enabled member of the family", () => {
    const w = world("all");
    w.health(DOWN);
    assert.deepEqual([...ask(w), ...ask(w), ...ask(w, "AAAA")], ["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
  });
  await t.step("none: NODATA", () => {
    const w = world("none");
    w.health(DOWN);
    assert.match(show(w.ask(query("a.example", "A"))), /^NOERROR aa\nns a.example 30 SOA/);
  });
  await t.step("last-healthy: those that went down last", () => {
    const w = world("last-healthy");
    w.health({ "192.0.2.1": false, "2001:db8::1": false });
    w.boardMs += HEALTH_CHECK_DEFAULTS.intervalMs + 1;
    w.health({ "192.0.2.2": false });
    assert.deepEqual([...ask(w), ...ask(w)], ["192.0.2.2", "192.0.2.2"]);
  });
  await t.step("last-healthy: who went down within one interval of the last did so with it", () => {
    const w = world("last-healthy");
    w.health({ "192.0.2.1": false, "2001:db8::1": false });
    w.boardMs += HEALTH_CHECK_DEFAULTS.intervalMs;
    w.health({ "192.0.2.2": false });
    assert.deepEqual([...ask(w), ...ask(w)], ["192.0.2.1", "192.0.2.2"]);
  });
  await t.step("fallback: the other pool", () => {
    const w = world("fallback");
    w.health(DOWN);
    assert.deepEqual(ask(w), ["198.51.100.1"]);
  });
  await t.step("while the other family is healthy the dead one is NODATA", () => {
    const w = world("all");
    w.health({ "192.0.2.1": false, "192.0.2.2": false });
    assert.deepEqual(ask(w), []);
    assert.deepEqual(ask(w, "AAAA"), ["2001:db8::1"]);
  });
});

Deno.test("the static fallback answers names that don't exist otherwise, inside the zones only", () => {
  const world = new World({
    zones: { "example.com": ZONE },
    services: { "empty.example.com": null },
    fallback: { endpoints: ["203.0.113.1"] },
  });
  const ask = (name: string, type = "A") => show(world.ask(query(name, type)));
  assert.equal(ask("nowhere.example.com"), "NOERROR aa\nan nowhere.example.com 30 A 203.0.113.1");
  assert.equal(ask("empty.example.com"), "NOERROR aa\nan empty.example.com 30 A 203.0.113.1");
  assert.equal(ask("nowhere.example.com", "AAAA"), `NOERROR aa\n${SOA}`);
  assert.equal(ask("nowhere.example.com", "HTTPS"), `NOERROR aa\n${SOA}`);
  assert.equal(ask("ent.example.com"), `NOERROR aa\n${SOA}`);
  assert.equal(ask("a.wild.example.com"), "NOERROR aa\nan a.wild.example.com 300 A 192.0.2.99");
  assert.equal(ask("example.net"), "REFUSED");
});

Deno.test("a zone without a file has a made-up SOA and the configured name servers", () => {
  const world = new World({
    zones: { "gslb.example": null },
    nameservers: ["ns1.example.net"],
    generation: 42,
  });
  const ask = (name: string, type: string) => show(world.ask(query(name, type)));
  assert.equal(ask("gslb.example", "SOA"), "NOERROR aa\nan gslb.example 30 SOA ns1.example.net 42");
  assert.equal(ask("gslb.example", "NS"), "NOERROR aa\nan gslb.example 30 NS ns1.example.net");
  assert.equal(ask("x.gslb.example", "A"), "NXDOMAIN aa\nns gslb.example 30 SOA ns1.example.net 42");
});

Deno.test("the scope is the widest of all pools of a chain, not the last one's", () => {
  const world = new World({
    pools: [
      {
        name: "fenced",
        members: ["192.0.2.1", "192.0.2.2"],
        geoRules: [{ cidr: "10.0.0.0/8", member: 0 }],
        geofence: true,
        onAllDown: "fallback",
        fallbackPoolId: "far",
      },
      { name: "far", members: ["192.0.2.9"] },
    ],
    services: { "www.example.com": "fenced" },
  });
  world.health({ "192.0.2.1": false });
  const ask = (ecs: string) => world.ask(query("www.example.com", "A", { ecs }));
  assert.deepEqual(addresses(ask("10.1.2.0/24")), ["192.0.2.9"]);
  assert.match(show(ask("10.1.2.0/24")), / 8:000118080a0102$/m, "source 24, scope 8");
});

Deno.test("a zone that is served here wins over its parent's delegation to it", () => {
  const world = new World({
    zones: { "example.com": ZONE, "sub.example.com": "@ SOA ns h 3 1 1 1 5\n@ NS ns\nns A 192.0.2.77\n" },
  });
  assert.equal(
    show(world.ask(query("ns.sub.example.com", "A"))),
    "NOERROR aa\nan ns.sub.example.com 300 A 192.0.2.77",
  );
  assert.match(show(world.ask(query("x.sub.example.com", "A"))), /^NXDOMAIN aa\nns sub.example.com 5 SOA/);
});

/** A parent and its child on one node, and what is asked of both: title, parent, child's domain, question, answer. */
const FAMILIES: readonly [title: string, parent: string, child: string, question: string, answer: string][] =
  [
    [
      "the DS record of a served child comes from its parent",
      `c NS ns.o.\nc DS 1 13 2 ${"AB".repeat(32)}`,
      "c",
      "c.p.test DS",
      "NOERROR aa\nan c.p.test 300 DS",
    ],
    [
      "without a DS record the parent's side says so",
      "c NS ns.o.",
      "c",
      "c.p.test DS",
      "NOERROR aa\nns p.test 60 SOA ns.o 1",
    ],
    [
      "a child that nobody delegates has none either",
      "",
      "c",
      "c.p.test DS",
      "NOERROR aa\nns p.test 60 SOA ns.o 1",
    ],
    [
      "the DS record of a child below a delegation is up to who is delegated to",
      "b NS ns.b\nns.b A 192.0.2.53",
      "c.b",
      "c.b.p.test DS",
      "NOERROR\nns b.p.test 300 NS ns.b.p.test\nar ns.b.p.test 300 A 192.0.2.53",
    ],
    [
      "the DS record of a child is found behind a CNAME",
      `a CNAME c\nc NS ns.o.\nc DS 1 13 2 ${"AB".repeat(32)}`,
      "c",
      "a.p.test DS",
      "NOERROR aa\nan a.p.test 300 CNAME c.p.test\nan c.p.test 300 DS",
    ],
    [
      "names between a parent and its child exist",
      "b.a NS ns.o.",
      "b.a",
      "a.p.test A",
      "NOERROR aa\nns p.test 60 SOA ns.o 1",
    ],
    [
      "names between a parent and its child exist, delegated or not",
      "",
      "c.b.a",
      "a.p.test A",
      "NOERROR aa\nns p.test 60 SOA ns.o 1",
    ],
    [
      "names between a parent and its child keep wildcards away",
      "b.a NS ns.o.\n* A 192.0.2.1",
      "b.a",
      "a.p.test A",
      "NOERROR aa\nns p.test 60 SOA ns.o 1",
    ],
    [
      "names beside a child, below one in between, don't exist",
      "b.a NS ns.o.\n* A 192.0.2.1",
      "b.a",
      "x.a.p.test A",
      "NXDOMAIN aa\nns p.test 60 SOA ns.o 1",
    ],
    [
      "names between a parent and its child that are delegated away stay so",
      "a NS ns.o.",
      "c.b.a",
      "b.a.p.test A",
      "NOERROR\nns a.p.test 300 NS ns.o",
    ],
    [
      "a parent's glue counts for its delegations though it lies in a served child",
      "c NS ns.c\nns.c A 192.0.2.53\nd NS ns.c",
      "c",
      "x.d.p.test A",
      "NOERROR\nns d.p.test 300 NS ns.c.p.test\nar ns.c.p.test 300 A 192.0.2.53",
    ],
  ];
for (const [title, parent, child, question, expected] of FAMILIES) {
  Deno.test(`zones on one node: ${title}`, () => {
    const world = new World({
      zones: { "p.test": `${APEX}${parent}`, [`${child}.p.test`]: APEX.replace(" 1 ", " 2 ") },
    });
    const [name, type] = question.split(" ") as [string, string];
    const answer = show(world.ask(query(name, type)));
    assert.equal(answer.replace(/ DS .*/, " DS"), expected);
  });
}

Deno.test("names above a served child stay when a service below them goes", () => {
  const world = new World({
    pools: [{ name: "web", members: ["192.0.2.1"] }],
    services: { "x.a.p.test": "web" },
    zones: { "p.test": APEX, "b.a.p.test": APEX },
  });
  world.tables!.removeService("x.a.p.test");
  assert.match(show(world.ask(query("x.a.p.test", "A"))), /^NXDOMAIN aa/);
  assert.match(show(world.ask(query("a.p.test", "A"))), /^NOERROR aa/);
});

const REDIRECTS: readonly [question: string, answer: string][] = [
  [
    "www.d.p.test A",
    "NOERROR aa\nan d.p.test 300 DNAME e.p.test\nan www.d.p.test 300 CNAME www.e.p.test\n" +
    "an www.e.p.test 300 A 192.0.2.1",
  ],
  [
    "WwW.D.p.test A",
    "NOERROR aa\nan D.p.test 300 DNAME e.p.test\nan WwW.D.p.test 300 CNAME WwW.e.p.test\n" +
    "an WwW.e.p.test 300 A 192.0.2.1",
  ],
  [
    "x.y.d.p.test A",
    "NXDOMAIN aa\nan d.p.test 300 DNAME e.p.test\nan x.y.d.p.test 300 CNAME x.y.e.p.test\n" +
    "ns p.test 60 SOA ns.o 1",
  ],
  ["x.d.p.test CNAME", "NOERROR aa\nan d.p.test 300 DNAME e.p.test\nan x.d.p.test 300 CNAME x.e.p.test"],
  ["x.d.p.test ANY", "NOERROR aa\nan d.p.test 300 DNAME e.p.test\nan x.d.p.test 300 CNAME x.e.p.test"],
  ["d.p.test DNAME", "NOERROR aa\nan d.p.test 300 DNAME e.p.test"],
  [
    "in.in.back.p.test DNAME",
    "NOERROR aa\nan in.back.p.test 300 DNAME back.p.test\nan in.in.back.p.test 300 CNAME in.back.p.test",
  ],
  ["d.p.test TXT", "NOERROR aa\nns p.test 60 SOA ns.o 1"],
  ["d.p.test A", "NOERROR aa\nan d.p.test 300 A 192.0.2.4"],
  [
    "to.p.test A",
    "NOERROR aa\nan to.p.test 300 CNAME www.d.p.test\nan d.p.test 300 DNAME e.p.test\n" +
    "an www.d.p.test 300 CNAME www.e.p.test\nan www.e.p.test 300 A 192.0.2.1",
  ],
  ["x.out.p.test A", "NOERROR aa\nan out.p.test 300 DNAME o\nan x.out.p.test 300 CNAME x.o"],
  // A service below it is steered, as it would be below a wildcard
  ["svc.d.p.test A", "NOERROR aa\nan svc.d.p.test 30 A 192.0.2.10"],
  ["svc.d.p.test TXT", "NOERROR aa\nns p.test 60 SOA ns.o 1"],
  // Each record of a loop once
  [
    "x.self.p.test A",
    "NOERROR aa\nan self.p.test 300 DNAME self.p.test\nan x.self.p.test 300 CNAME x.self.p.test",
  ],
  [
    "x.l1.p.test A",
    "NOERROR aa\nan l1.p.test 300 DNAME l2.p.test\nan x.l1.p.test 300 CNAME x.l2.p.test\n" +
    "an l2.p.test 300 DNAME l1.p.test\nan x.l2.p.test 300 CNAME x.l1.p.test",
  ],
];
for (const [question, expected] of REDIRECTS) {
  Deno.test(`answer() follows a DNAME: ${question}`, () => {
    const text = "d DNAME e\nd A 192.0.2.4\nwww.e A 192.0.2.1\nto CNAME www.d\nout DNAME o.\n" +
      "self DNAME self\nl1 DNAME l2\nl2 DNAME l1\nin.back DNAME back";
    const world = new World({
      pools: [{ name: "web", members: ["192.0.2.10"] }],
      services: { "svc.d.p.test": "web" },
      zones: { "p.test": `${APEX}${text}` },
    });
    const [name, type] = question.split(" ") as [string, string];
    assert.equal(show(world.ask(query(name, type))), expected);
  });
}

Deno.test("answer() says YXDOMAIN where a DNAME makes a name too long, also by growing in a circle", () => {
  const long = `${"t".repeat(60)}.`.repeat(3);
  const world = new World({ zones: { "p.test": `${APEX}d DNAME ${long}o.\ng DNAME ${"g".repeat(60)}.g\n` } });
  const ask = (name: string) => show(world.ask(query(name, "A"), { stream: true })).split("\n");
  const fits = "x".repeat(63);
  assert.equal(ask(`${fits}.d.p.test`)[0], "NOERROR aa");
  const [status, ...records] = ask(`${fits}.yyyyy.d.p.test`);
  assert.equal(status, "YXDOMAIN aa");
  assert.deepEqual(records, [`an d.p.test 300 DNAME ${long}o`]);
  const circle = ask("x.g.p.test");
  assert.equal(circle[0], "YXDOMAIN aa");
  assert.equal(circle.filter((line) => line.includes(" DNAME ")).length, 1);
});

Deno.test("health and rotation outlive a reload", () => {
  const declared = {
    pools: [{ name: "web", members: ["192.0.2.1", "192.0.2.2", "192.0.2.3"] }],
    services: { "a.example": "web" },
  };
  const world = new World(declared);
  const ask = () => addresses(world.ask(query("a.example", "A")))[0];
  world.health({ "192.0.2.3": false });
  assert.equal(ask(), "192.0.2.1");
  world.declare({ ...declared, services: { "0.example": "web", ...declared.services } });
  assert.equal(ask(), "192.0.2.2");
  assert.equal(ask(), "192.0.2.1");
});

Deno.test("queries that are read together are answered as each by itself", () => {
  const zone =
    "$TTL 30\n@ SOA ns.example. host.example. 1 2 3 4 5\n@ NS ns.example.\nwww A 192.0.2.1\n*.any TXT x\n";
  const declared = {
    zones: { "z.example": zone },
    pools: [{ name: "web", members: ["192.0.2.1", "192.0.2.2", "192.0.2.3"] }],
    services: { "a.example": "web", "b.example": "web" },
  };
  const names = ["a.example", "www.z.example", "gone.z.example", "x.any.z.example", "elsewhere", "b.example"];
  const packets = Array.from(
    { length: READ_MAX },
    (_, i) => query(names[i % names.length]!, i % 4 === 0 ? "TXT" : "A"),
  );
  packets[3] = packets[3]!.subarray(0, 9); // too short to be a query
  const [alone, together] = [new World(declared), new World(declared)];
  const client = { stream: false, address: () => new Uint8Array([192, 0, 2, 53]) };
  const answerOf = (size: number, out: Uint8Array) => size === 0 ? null : out.slice(0, size).toHex();
  const expected = packets.map((packet) => {
    const out = new Uint8Array(1232);
    return answerOf(alone.engine.answer(packet, packet.length, client, out, out.length), out);
  });
  for (const [number, packet] of packets.entries()) together.engine.read(number, packet, packet.length);
  together.engine.fetch(packets.length);
  const answers = packets.map((packet, number) => {
    const out = new Uint8Array(1232);
    return answerOf(together.engine.answerRead(number, packet, packet.length, client, out, out.length), out);
  });
  assert.deepEqual(answers, expected);
});
