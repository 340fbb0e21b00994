/** @module Sets of addresses, against the plain look-up in each prefix. */
import { deepEqual, equal } from "node:assert/strict";
import { seededRng } from "../../src/clock.ts";
import { isEmpty, isInRanges, rangesOf } from "../../src/dns/prefix_ranges.ts";
import { maskBits, parseIp, parsePrefix, type Prefix, prefixContains } from "../../src/ip.ts";

const of = (...prefixes: string[]) => rangesOf(prefixes.map(parsePrefix));

const ROWS: readonly [prefixes: readonly string[], inside: readonly string[], outside: readonly string[]][] =
  [
    [["0.0.0.0/0"], ["0.0.0.0", "255.255.255.255"], ["::", "::1"]],
    [["::/0"], ["::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"], ["0.0.0.0", "192.0.2.1"]],
    [["192.0.2.0/24"], ["192.0.2.0", "192.0.2.255"], ["192.0.1.255", "192.0.3.0", "::c000:200"]],
    [["192.0.2.9"], ["192.0.2.9"], ["192.0.2.8", "192.0.2.10"]],
    [["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3"], ["10.0.0.0", "10.1.2.3", "10.255.255.255"], ["11.0.0.0"]],
    [["10.0.1.0/24", "10.0.0.0/24"], ["10.0.0.0", "10.0.1.255"], ["10.0.2.0", "9.255.255.255"]],
    [["2001:db8::/33", "2001:db8:ffff::1"], ["2001:db8:7fff::", "2001:db8:ffff::1"], [
      "2001:db8:8000::",
      "2001:db8:ffff::2",
    ]],
    [[], [], ["0.0.0.0", "::"]],
  ];
for (const [prefixes, inside, outside] of ROWS) {
  Deno.test(`ranges of ${prefixes.join(", ") || "nothing"}`, () => {
    const ranges = of(...prefixes);
    equal(isEmpty(ranges), prefixes.length === 0);
    deepEqual(inside.map((text) => isInRanges(ranges, parseIp(text)!)), inside.map(() => true));
    deepEqual(outside.map((text) => isInRanges(ranges, parseIp(text)!)), outside.map(() => false));
  });
}

Deno.test("random prefixes hold what each of them holds", () => {
  const rng = seededRng(1);
  const address = (size: 4 | 16) =>
    Uint8Array.from({ length: size }, (_, i) => i < size - 2 ? rng() & 1 : rng());
  for (let round = 0; round < 200; round++) {
    const prefixes = Array.from({ length: rng() % 20 }, (): Prefix => {
      const size = rng() % 2 === 0 ? 4 : 16;
      const length = rng() % (size * 8 + 1);
      return { family: size === 4 ? 4 : 6, bytes: maskBits(address(size), length), length };
    });
    const ranges = rangesOf(prefixes);
    for (let i = 0; i < 100; i++) {
      const one = address(i % 2 === 0 ? 4 : 16);
      equal(isInRanges(ranges, one), prefixes.some((prefix) => prefixContains(prefix, one)));
    }
  }
});
