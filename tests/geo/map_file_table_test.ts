/**
 * Tables of map files, held against a walk over all prefixes.
 *
 * @module
 */
import { deepEqual, equal, throws } from "node:assert/strict";
import fc from "fast-check";
import { compileMapFile, MapFile } from "../../src/geo/map_file_table.ts";
import { formatIp, formatPrefix, maskBits, parseIp } from "../../src/ip.ts";
import { oracleFind, oracleRules, tableFind } from "./map_file_oracle.ts";

Deno.test("find() gives the rule of the longest prefix, wherever it stands in the file", () => {
  const map = load(`
    10.1.0.0/16 192.0.2.1            # before the wider one
    0.0.0.0/0   192.0.2.9
    10.0.0.0/8  192.0.2.2,2001:db8::2
    10.1.2.3    192.0.2.3
    2001:db8::/32 2001:db8::1
    2001:db8:1::/48 192.0.2.1
  `);
  const rows: [address: string, addresses: string][] = [
    ["9.255.255.255", "192.0.2.9"],
    ["10.0.0.0", "192.0.2.2,2001:db8::2"],
    ["10.0.255.255", "192.0.2.2,2001:db8::2"],
    ["10.1.0.0", "192.0.2.1"],
    ["10.1.2.2", "192.0.2.1"],
    ["10.1.2.3", "192.0.2.3"],
    ["10.1.2.4", "192.0.2.1"],
    ["10.2.0.0", "192.0.2.2,2001:db8::2"],
    ["10.255.255.255", "192.0.2.2,2001:db8::2"],
    ["11.0.0.0", "192.0.2.9"],
    ["255.255.255.255", "192.0.2.9"],
    ["2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", ""],
    ["2001:db8::", "2001:db8::1"],
    ["2001:db8:1::", "192.0.2.1"],
    ["2001:db8:1:ffff:ffff:ffff:ffff:ffff", "192.0.2.1"],
    ["2001:db8:2::", "2001:db8::1"],
    ["2001:db9::", ""],
  ];
  deepEqual(rows.map(([address]) => [address, tableFind(map, parseIp(address)!)]), rows);
});

Deno.test("lines that name the same addresses share a rule, and neighbours with one rule are one range", () => {
  const map = load(
    "10.0.0.0/9 192.0.2.1,192.0.2.2\n10.128.0.0/9 192.0.2.2,192.0.2.1\n10.5.0.0/16 192.0.2.1,192.0.2.2",
  );
  equal(map.rules, 1);
  equal(map.prefixes, 3);
  equal(map.find(parseIp("10.0.0.0")!), map.find(parseIp("10.255.255.255")!));
});

Deno.test("an empty map file has no rule for anybody", () => {
  const map = load("# nothing\r\n\r\n");
  equal(map.prefixes, 0);
  for (const address of ["0.0.0.0", "255.255.255.255", "::", "2001:db8::1"]) {
    equal(map.rule(map.find(parseIp(address)!)), 0);
    equal(map.widest(parseIp(address)!, map.find(parseIp(address)!)), 0);
  }
});

Deno.test("origin() names the prefix and the line that decide", () => {
  const map = load("# head\n0.0.0.0/0 192.0.2.1\n10.0.0.0/8 192.0.2.1\n2001:db8::/32 192.0.2.2\n");
  const said = (address: string) => {
    const origin = map.origin(parseIp(address)!);
    return origin && `${origin.line} ${formatPrefix(origin.prefix)}`;
  };
  equal(said("10.9.9.9"), "3 10.0.0.0/8");
  equal(said("11.9.9.9"), "2 0.0.0.0/0");
  equal(said("2001:db8::9"), "4 2001:db8::/32");
  equal(said("2001:db9::9"), null);
});

Deno.test("a buffer that holds something else is refused", () => {
  throws(() => new MapFile(new SharedArrayBuffer(4)), /holds no compiled map file/);
  throws(() => new MapFile(new SharedArrayBuffer(400)), /holds no compiled map file/);
});

Deno.test("compileMapFile() throws all faults, the first one being its own", () => {
  throws(() => compileMapFile("\n  10.0.0.1/8 192.0.2.1\n10.0.0.0/8 x\n"), {
    name: "MapFileFault",
    line: 2,
    column: 3,
    message: `"10.0.0.1/8" has bits set behind its length (did you mean 10.0.0.0/8?)`,
  });
});

Deno.test("find() agrees with the oracle at every boundary of any file", () => {
  fc.assert(
    fc.property(mapText, (text) => {
      const map = load(text);
      const rules = oracleRules(text);
      for (const address of boundaries(rules.map(({ prefix }) => prefix))) {
        equal(tableFind(map, address), oracleFind(rules, address), `${formatIp(address)} in\n${text}`);
      }
    }),
    { numRuns: 300 },
  );
});

Deno.test("find() and findLast() give one range for a prefix just when all of it is under one rule", () => {
  fc.assert(
    fc.property(mapText, anAddress, fc.nat(128), (text, address, bits) => {
      const map = load(text);
      const rules = oracleRules(text);
      const length = Math.min(bits, address.length * 8);
      const prefix = maskBits(address, length);
      const inside = [prefix, lastOf(prefix, length), ...boundaries(rules.map(({ prefix }) => prefix))]
        .filter((other) => other.length === prefix.length && equalBits(other, prefix, length));
      const decisions = new Set(inside.map((other) => oracleFind(rules, other)));
      equal(map.find(prefix) === map.findLast(prefix, length), decisions.size === 1);
    }),
    { numRuns: 500 },
  );
});

Deno.test("widest() is the shortest prefix around an address that lies in one range", () => {
  fc.assert(
    fc.property(mapText, fc.array(anAddress, { minLength: 1, maxLength: 5 }), (text, addresses) => {
      const map = load(text);
      for (const address of [...addresses, ...boundaries(oracleRules(text).map(({ prefix }) => prefix))]) {
        const range = map.find(address);
        let length = 0;
        while (
          map.find(maskBits(address, length)) !== range ||
          map.findLast(maskBits(address, length), length) !== range
        ) {
          length++;
        }
        equal(map.widest(address, range), length, `${formatIp(address)} in\n${text}`);
      }
    }),
    { numRuns: 200 },
  );
});

function load(text: string): MapFile {
  return new MapFile(compileMapFile(text));
}

/** Few distinct bits, so that prefixes nest, touch and repeat their lists. */
const anAddress = fc.oneof(
  fc.array(fc.constantFrom(0, 1, 127, 128, 255), { minLength: 4, maxLength: 4 }),
  fc.array(fc.constantFrom(0, 1, 127, 128, 255), { minLength: 16, maxLength: 16 }),
).map((bytes) => parseIp(formatIp(new Uint8Array(bytes)))!);

/** Around two addresses and those that differ from them in one bit, so that prefixes nest and lie side by side. */
const aRule = fc.record({
  base: fc.nat(1),
  /** The bit that differs; "last" = the prefix is the neighbour of the one around the base. */
  flipped: fc.oneof(fc.constantFrom(null, "last" as const), fc.nat(127)),
  bits: fc.oneof(fc.nat(128), fc.constantFrom(0, 1, 8, 31, 32, 33, 34, 35, 64, 66, 127, 128)),
  to: fc.uniqueArray(fc.constantFrom("192.0.2.1", "192.0.2.2", "2001:db8::1"), { minLength: 1 }),
});

const mapText = fc.record({
  bases: fc.tuple(anAddress, anAddress),
  rules: fc.array(aRule, { maxLength: 12 }),
}).map(({ bases, rules }) => {
  const lines = rules.map(({ base, flipped, bits, to }) => {
    const length = Math.min(bits, bases[base]!.length * 8);
    const prefix = maskBits(flip(bases[base]!, flipped === "last" ? length - 1 : flipped), length);
    return [`${formatIp(prefix)}/${length}`, `${formatIp(prefix)}/${length} ${to.join(",")}`] as const;
  });
  // A masked ::ffff:0:0/96 and the like would be read as IPv4.
  return [...new Map(lines.filter(([prefix]) => !prefix.startsWith("::ffff:"))).values()].join("\n");
});

function flip(address: Uint8Array, bit: number | null): Uint8Array {
  const flipped = address.slice();
  if (bit !== null && bit >= 0 && bit < address.length * 8) flipped[bit >> 3]! ^= 0x80 >> (bit & 7);
  return flipped;
}

/** First and last address of each prefix, and their neighbours outside. */
function boundaries(
  prefixes: readonly { readonly bytes: Uint8Array; readonly length: number }[],
): Uint8Array[] {
  const ends = [0, 255].flatMap((byte) => [new Uint8Array(4).fill(byte), new Uint8Array(16).fill(byte)]);
  return [
    ...ends,
    ...prefixes.flatMap(({ bytes, length }) => {
      const last = lastOf(bytes, length);
      return [bytes, last, stepped(bytes, -1), stepped(last, 1)];
    }),
  ];
}

function lastOf(prefix: Uint8Array, length: number): Uint8Array {
  return prefix.map((byte, i) => byte | (0xff >> Math.max(0, Math.min(8, length - 8 * i))));
}

function stepped(address: Uint8Array, by: 1 | -1): Uint8Array {
  const result = address.slice();
  for (let i = result.length - 1; i >= 0; i--) {
    result[i]! += by;
    if (result[i] !== (by === 1 ? 0 : 255)) break;
  }
  return result;
}

function equalBits(a: Uint8Array, b: Uint8Array, length: number): boolean {
  const [left, right] = [maskBits(a, length), maskBits(b, length)];
  return left.every((byte, i) => byte === right[i]);
}

Deno.test("a range tells the address that it begins with", () => {
  const map = new MapFile(compileMapFile("192.0.2.0/24 203.0.113.1\n2001:db8::/32 203.0.113.1\n"));
  deepEqual(Array.from({ length: map.ranges }, (_, range) => formatIp(map.firstOf(range))), [
    "0.0.0.0",
    "192.0.2.0",
    "192.0.3.0",
    "::",
    "2001:db8::",
    "2001:db9::",
  ]);
});
