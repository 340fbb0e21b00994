/** @module Tests of geo rules, grouped by what they look for. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { RuleGroups } from "../../src/balance/rule_groups.ts";
import { type ClientRule, encodeRules, type Kind, layRules } from "../../src/balance/rule_table.ts";
import { formatIp, maskBits } from "../../src/ip.ts";
import { runs } from "../property_runs.ts";
import { randomOf } from "./client_worlds.ts";

/** What is found, whether the rules were laid out before or not. */
function groupsOf(rules: readonly ClientRule[], { isLaidOut = true } = {}): RuleGroups {
  const table = encodeRules(rules);
  return new RuleGroups(isLaidOut ? layRules(table) : table);
}

interface Cidr {
  readonly bytes: Uint8Array;
  readonly bits: number;
}

/** Prefixes that share many of their bits: nested, beside each other, some of them twice. */
function prefixesOf(random: ReturnType<typeof randomOf>, size: 4 | 16): Cidr[] {
  const seeds = Array.from({ length: 3 }, () => new Uint8Array(size).map(() => random.below(256)));
  return Array.from({ length: random.below(60) }, () => {
    const bytes = random.pick(seeds).slice();
    if (random.below(2) === 0) bytes[random.below(size)]! ^= 1 << random.below(8);
    const bits = random.below(size * 8 + 1);
    return { bytes: maskBits(bytes, bits), bits };
  });
}

function holds({ bytes, bits }: Cidr, address: Uint8Array): boolean {
  return formatIp(maskBits(address, bits)) === formatIp(bytes);
}

Deno.test("the tree of prefixes leads to the longest one around an address, by way of none that differ below a leaf", () => {
  for (let seed = 1; seed <= runs(60); seed++) {
    const random = randomOf(seed);
    const size = random.pick([4, 16] as const);
    const cidrs = prefixesOf(random, size);
    const rules = cidrs.map(({ bytes, bits }, member): ClientRule => ({
      match: { kind: "cidr", prefix: [...bytes], bits },
      member,
    }));
    const groups = groupsOf(rules, { isLaidOut: seed % 2 === 0 });
    for (let i = 0; i < 40; i++) {
      const address = (cidrs.length > 0 ? random.pick(cidrs).bytes : new Uint8Array(size)).slice();
      address[random.below(size)]! ^= 1 << random.below(8);
      const at = `seed ${seed}, ${formatIp(address)}`;
      let node = groups.cidrRoot(size);
      let depth = 0;
      for (; node >= 0; depth++) {
        ok(depth < size * 8, at);
        node = groups.cidrChild(node, depth, address[depth >> 3]! >> (7 - (depth & 7)) & 1);
      }
      // Below a leaf nothing varies, and what is behind it is itself.
      equal(groups.cidrChild(node, depth, 1), node, at);
      const within = { bytes: maskBits(address, depth), bits: depth };
      ok(!cidrs.some((cidr) => cidr.bits > depth && holds(within, cidr.bytes)), `${at}: a leaf at ${depth}`);
      const around = cidrs.map((cidr, member) => ({ ...cidr, member })).filter((cidr) => holds(cidr, address))
        .toSorted((a, b) => b.bits - a.bits);
      const lengths = [...new Set(around.map(({ bits }) => bits))];
      const expected = lengths.map((length) =>
        around.filter(({ bits }) => bits === length).map(({ member }) => member).toSorted((a, b) => a - b)
      );
      const found: (readonly number[])[] = [];
      for (let group = groups.groupAt(node); group !== null; group = group.around) found.push(group.members);
      deepEqual(found, expected, at);
    }
  }
});

Deno.test("rules of a kind that name the same members are one, where it is only asked whom they name", () => {
  const prefix = (i: number) => ({ kind: "cidr", prefix: [10, i, 0, 0], bits: 16 }) as const;
  const groups = groupsOf([
    ...Array.from({ length: 20 }, (_, i): ClientRule => ({ match: prefix(i), member: 1 })),
    // Two members for the same clients, in either order.
    ...[2, 1].map((member): ClientRule => ({ match: prefix(20), member })),
    ...[1, 2].map((member): ClientRule => ({ match: prefix(21), member })),
    { match: { kind: "asn", number: 7 }, member: 1 },
  ]);
  const naming = (kind: Kind) =>
    Array.from({ length: groups.namingCount(kind) }, (_, i) => groups.namingAt(kind, i).members);
  deepEqual(naming("cidr"), [[1], [1, 2]]);
  deepEqual(naming("asn"), [[1]]);
  deepEqual(naming("country"), []);
  equal(groups.count, 23);
});

Deno.test("a rule is found again as it was, the first of those that count", () => {
  const rules: ClientRule[] = [
    { match: { kind: "continent", code: 0x4555 }, member: 3 },
    {
      match: { kind: "cidr", prefix: [0x20, 0x01, 0x0d, 0xb8, ...new Array<number>(12).fill(0)], bits: 32 },
      member: 2,
    },
    { match: { kind: "asn", number: 4_294_967_295 }, member: 1 },
    { match: { kind: "cidr", prefix: [198, 51, 100, 0], bits: 24 }, member: 1 },
    { match: { kind: "country", code: 0x4445 }, member: 0 },
    { match: { kind: "country", code: 0x4445 }, member: 2 },
    { match: { kind: "asn", number: 7 }, member: 2 },
    { match: { kind: "cidr", prefix: [0, 0, 0, 0], bits: 0 }, member: 3 },
  ];
  for (const isLaidOut of [true, false]) {
    const groups = groupsOf(rules, { isLaidOut });
    const every = () => true;
    const [asn, small] = [groups.named("asn", 4_294_967_295)!, groups.named("asn", 7)!];
    const [country, continent] = [groups.named("country", 0x4445)!, groups.named("continent", 0x4555)!];
    deepEqual(
      [asn, small, country, continent].map((group) => groups.ruleOf(group, every)),
      [2, 6, 4, 0].map((i) => rules[i]),
    );
    deepEqual(groups.ruleOf(country, (member) => member !== 0), rules[5]);
    equal(groups.ruleOf(country, () => false), null);
    // What stands for a country stands for no continent and no network.
    for (
      const [kind, value] of [["asn", 0x4445], ["country", 0x4555], ["continent", 0x4445], [
        "asn",
        -1,
      ]] as const
    ) {
      equal(groups.named(kind, value), null);
    }
    const leafOf = (address: readonly number[]) => {
      let node = groups.cidrRoot(address.length);
      for (let bit = 0; node >= 0; bit++) {
        node = groups.cidrChild(node, bit, address[bit >> 3]! >> (7 - (bit & 7)) & 1);
      }
      return groups.groupAt(node);
    };
    const ruleFor = (address: readonly number[]) => {
      const group = leafOf(address);
      return group && groups.ruleOf(group, every);
    };
    deepEqual(ruleFor([198, 51, 100, 9]), rules[3]);
    deepEqual(ruleFor([198, 51, 101, 9]), rules[7]);
    deepEqual(ruleFor([0x20, 0x01, 0x0d, 0xb8, ...new Array<number>(12).fill(1)]), rules[1]);
    equal(ruleFor(new Array<number>(16).fill(1)), null);
  }
  for (const none of [new Uint32Array(0), encodeRules([])]) {
    const groups = new RuleGroups(none);
    deepEqual([groups.count, groups.named("country", 0x4445), groups.groupAt(groups.cidrRoot(4))], [
      0,
      null,
      null,
    ]);
  }
});
