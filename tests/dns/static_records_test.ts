/** @module What an answer with static records carries beside them, and with which of them it begins. */
import assert, { deepEqual, equal } from "node:assert/strict";
import { addresses, query, show } from "./packets.ts";
import { World } from "./world.ts";

const APEX = "@ SOA ns.o. h.o. 1 3600 600 604800 60\n@ NS ns1\nns1 A 192.0.2.53\n";

function ask(text: string, question: string, { udpSize = 1232, ...world } = {}): string {
  const [name, type] = question.split(" ") as [string, string];
  return show(
    new World({ zones: { "p.test": APEX + text }, ...world }).ask(query(name, type, { udpSize })),
  ).replace(/\nar OPT.*/, "");
}

/** Title, records of the zone beside its apex, question, lines of the additional section. */
const ADDED: readonly [title: string, text: string, question: string, added: readonly string[]][] = [
  ["a zone's servers", "ns1 AAAA 2001:db8::53", "p.test NS", [
    "ns1.p.test 300 A 192.0.2.53",
    "ns1.p.test 300 AAAA 2001:db8::53",
  ]],
  ["exchanges", "@ MX 10 a\n@ MX 20 b\na A 192.0.2.1\nb A 192.0.2.2", "p.test MX", [
    "a.p.test 300 A 192.0.2.1",
    "b.p.test 300 A 192.0.2.2",
  ]],
  ["a target that is named twice, once", "s SRV 1 1 80 a\ns SRV 1 1 443 a\na A 192.0.2.1", "s.p.test SRV", [
    "a.p.test 300 A 192.0.2.1",
  ]],
  ["the target of an HTTPS record", "w HTTPS 1 a alpn=h3\na A 192.0.2.1", "w.p.test UNKNOWN_65", [
    "a.p.test 300 A 192.0.2.1",
  ]],
  ["of a wildcard's record", "*.w MX 1 a\na A 192.0.2.1", "x.w.p.test MX", ["a.p.test 300 A 192.0.2.1"]],
  ["behind a CNAME", "c CNAME m\nm MX 1 a\na A 192.0.2.1", "c.p.test MX", ["a.p.test 300 A 192.0.2.1"]],
  ["a server below a cut, which has glue", "@ NS ns.c\nc NS ns.c\nns.c A 192.0.2.9", "p.test NS", [
    "ns.c.p.test 300 A 192.0.2.9",
    "ns1.p.test 300 A 192.0.2.53",
  ]],
  ["nothing of a name below a DNAME", "@ MX 1 x.d\nd DNAME e", "p.test MX", []],
  ["nothing of another domain", "@ MX 1 a.o.\n", "p.test MX", []],
  ["nothing of a name that isn't there", "@ MX 1 a", "p.test MX", []],
  ["nothing of a name that ends as the apex does by chance", "@ MX 1 xp.test.", "p.test MX", []],
  ["nothing where the target is the owner itself", "w HTTPS 1 . alpn=h3", "w.p.test UNKNOWN_65", []],
];
for (const [title, text, question, added] of ADDED) {
  Deno.test(`addresses are added: ${title}`, () => {
    const lines = ask(text, question).split("\n").filter((line) => line.startsWith("ar "));
    deepEqual(lines.sort(), added.map((line) => `ar ${line}`).sort());
  });
}

Deno.test("a steered target's addresses aren't added, and take no turn", () => {
  const world = new World({
    pools: [{ name: "web", members: ["192.0.2.1", "192.0.2.2"] }],
    services: { "a.p.test": "web" },
    zones: { "p.test": `${APEX}@ MX 10 a\na AAAA 2001:db8::1` },
  });
  equal(show(world.ask(query("p.test", "MX"))), "NOERROR aa\nan p.test 300 MX 10 a.p.test");
  deepEqual(addresses(world.ask(query("a.p.test", "A"))), ["192.0.2.1"]);
});

Deno.test("addresses in a zone beside aren't added, though it is served here", () => {
  const world = new World({ zones: { "p.test": `${APEX}@ MX 1 ns1.q.test.`, "q.test": APEX } });
  equal(show(world.ask(query("p.test", "MX"))), "NOERROR aa\nan p.test 300 MX 1 ns1.q.test");
});

Deno.test("addresses in a zone below are those of that zone", () => {
  const child = "@ SOA ns.o. h.o. 1 3600 600 604800 60\n@ NS ns.o.\na A 192.0.2.7\n";
  const world = new World({ zones: { "p.test": `${APEX}@ MX 1 a.c\nc NS ns.o.`, "c.p.test": child } });
  assert.match(show(world.ask(query("p.test", "MX"))), /\nar a\.c\.p\.test 300 A 192\.0\.2\.7$/);
});

Deno.test("addresses that don't fit are left out, RRset by RRset, and nothing is truncated", () => {
  const many = Array.from({ length: 30 }, (_, i) => `a A 192.0.2.${i}`).join("\n");
  const text = `@ MX 1 a\n@ MX 2 b\n${many}\nb A 198.51.100.1`;
  const plain = show(new World({ zones: { "p.test": APEX + text } }).ask(query("p.test", "MX")));
  assert.match(plain, /^NOERROR aa\nan .*\nan .*\nar b\.p\.test 300 A 198\.51\.100\.1$/);
  equal(ask(text, "p.test MX").match(/^ar /gm)!.length, 31);
});

Deno.test("the addresses of so many names are added, and no more", () => {
  const text = Array.from({ length: 20 }, (_, i) => `@ MX ${i} m${i}\nm${i} A 192.0.2.${i}`).join("\n");
  const world = new World({ zones: { "p.test": APEX + text } });
  const answer = show(world.ask(query("p.test", "MX"), { stream: true }));
  equal(answer.match(/^an /gm)!.length, 20);
  equal(answer.match(/^ar /gm)!.length, 16);
});

const THREE = 'w A 192.0.2.1\nw A 192.0.2.2\nw A 192.0.2.3\nt TXT a\nt TXT bb\nt TXT ""\nc CNAME w\n';

function rotating(rotate = true): World {
  return new World({ zones: { "p.test": APEX + THREE } }, { rotate });
}

Deno.test("an answer of several records begins with another one by the query's identifier", () => {
  const world = rotating();
  const first = (id: number) => addresses(world.ask(query("w.p.test", "A", { id })));
  deepEqual(first(0), ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
  deepEqual(first(1), ["192.0.2.2", "192.0.2.3", "192.0.2.1"]);
  deepEqual(first(2), ["192.0.2.3", "192.0.2.1", "192.0.2.2"]);
  deepEqual(first(0xffff), first(0xffff % 3));
});

Deno.test("records of any length rotate, behind a CNAME as well", () => {
  const world = rotating();
  const texts = show(world.ask(query("t.p.test", "TXT", { id: 1 }))).split("\n").slice(1);
  deepEqual(texts.map((line) => line.replace(/.*TXT /, "")), ['["bb"]', '[""]', '["a"]']);
  deepEqual(addresses(world.ask(query("c.p.test", "A", { id: 2 })))[0], "192.0.2.3");
});

Deno.test("over all identifiers each record comes first equally often", () => {
  const world = rotating();
  const counts = new Map<string, number>();
  for (let id = 0; id < 0x10000; id += 7) {
    const [first] = addresses(world.ask(query("w.p.test", "A", { id })));
    counts.set(first!, (counts.get(first!) ?? 0) + 1);
  }
  const [least, most] = [Math.min(...counts.values()), Math.max(...counts.values())];
  assert(counts.size === 3 && most - least <= 1, `${[...counts]}`);
});

Deno.test("nothing rotates where it is switched off", () => {
  const world = rotating(false);
  for (let id = 0; id < 6; id++) {
    deepEqual(addresses(world.ask(query("w.p.test", "A", { id })))[0], "192.0.2.1");
  }
});
