/** @module Tests of geo rules, grouped by what they look for. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { type ClientRule, RuleGroups } from "../../src/balance/rule_groups.ts";
import { formatIp, maskBits } from "../../src/ip.ts";
import { runs } from "../property_runs.ts";
import { randomOf } from "./client_worlds.ts";

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
    const groups = new RuleGroups(rules);
    for (let i = 0; i < 40; i++) {
      const address = (cidrs.length > 0 ? random.pick(cidrs).bytes : new Uint8Array(size)).slice();
      address[random.below(size)]! ^= 1 << random.below(8);
      const at = `seed ${seed}, ${formatIp(address)}`;
      let node = groups.cidrRoot(size);
      let depth = 0;
      for (; node >= 0; depth++) {
        ok(depth < size * 8, at);
        node = groups.cidrChild(size, node, depth, address[depth >> 3]! >> (7 - (depth & 7)) & 1);
      }
      // Below a leaf nothing varies, and what is behind it is itself.
      equal(groups.cidrChild(size, node, depth, 1), node, at);
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
  const groups = new RuleGroups([
    ...Array.from({ length: 20 }, (_, i): ClientRule => ({ match: prefix(i), member: 1 })),
    // Two members for the same clients, in either order.
    ...[2, 1].map((member): ClientRule => ({ match: prefix(20), member })),
    ...[1, 2].map((member): ClientRule => ({ match: prefix(21), member })),
    { match: { kind: "asn", number: 7 }, member: 1 },
  ]);
  deepEqual(groups.naming("cidr").map(({ members }) => members), [[1], [1, 2]]);
  deepEqual(groups.naming("asn").map(({ members }) => members), [[1]]);
  deepEqual(groups.naming("country"), []);
  equal(groups.count, 23);
});
