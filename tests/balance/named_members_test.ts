/** @module Tests of what a map file says of members, before, while and after it is walked over. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { NamedByMap } from "../../src/balance/named_by_map.ts";
import { NamedMembers } from "../../src/balance/named_members.ts";
import { compileMapFile, MapFile } from "../../src/geo/map_file_table.ts";
import { canonicalIp, formatIp, maskBits, parseIp } from "../../src/ip.ts";
import { tableRule } from "../geo/map_file_oracle.ts";
import { runs } from "../property_runs.ts";
import { randomOf } from "./client_worlds.ts";

/** A map file that names 16 addresses, and five members that have some of these; in all but a few lines others are named. */
function worldOf(seed: number, aLineIn = 1) {
  const random = randomOf(seed);
  const family = random.pick([4, 6] as const);
  const addresses = Array.from({ length: 16 }, (_, i) => i % 2 === 0 ? `192.0.2.${i}` : `2001:db8::${i}`);
  const ours = Array.from({ length: 5 }, () => random.pick(addresses));
  const others = addresses.filter((address) => !ours.includes(address));
  const lines = new Map(
    Array.from({ length: 300 }, () => {
      const from = random.below(aLineIn) === 0 ? addresses : others;
      const named = Array.from({ length: 1 + random.below(3) }, () => random.pick(from));
      return [random.prefix(family, 4, 12), [...new Set(named)].join()];
    }),
  );
  const text = [...lines].map(([prefix, named]) => `${prefix} ${named}\n`).join("");
  const members = ours.map((address, i) => ({ index: 2 * i, address: parseIp(address)! }));
  return { random, family, members, map: new MapFile(compileMapFile(text)) };
}

/** Who of the members is named for a range, by their texts. */
function namedAt({ map, members }: ReturnType<typeof worldOf>, range: number): number[] {
  const named = tableRule(map, map.rule(range)).split(",");
  return members.filter(({ address }) => named.includes(canonicalIp(formatIp(address))!)).map(({ index }) =>
    index
  );
}

Deno.test("members are named as the file says, however much of it was walked over", () => {
  for (let seed = 1; seed <= runs(10); seed++) {
    const world = worldOf(seed);
    const { map, members, random } = world;
    const named = new NamedMembers(map, members);
    const expected = Array.from({ length: map.ranges }, (_, range) => namedAt(world, range));
    const isRight = (part: string) => {
      for (let i = 0; i < 200; i++) {
        const range = random.below(map.ranges);
        deepEqual(named.sets[named.setAt(range)], expected[range], `seed ${seed}, ${part}, range ${range}`);
      }
    };
    isRight("before");
    for (let isMore = true; isMore; isRight("meanwhile")) isMore = named.walk(1 + random.below(200));
    ok(named.isWalked);
    equal(named.walk(1), false);
    const changes = expected.flatMap((now, range) =>
      range > 0 && now.join() === expected[range - 1]!.join() ? [] : [range]
    );
    equal(named.changes, changes.length, `seed ${seed}`);
    deepEqual(changes.map((_, i) => named.rangeOfChange(i)), changes, `seed ${seed}`);
    deepEqual(
      changes.map((_, i) => named.sets[named.setAtChange(i)]),
      changes.map((range) => expected[range]),
    );
  }
});

Deno.test("a prefix in which others are named is never taken for one, and soon is where none are", () => {
  const found = { before: 0, after: 0, all: 0 };
  for (let seed = 1; seed <= runs(20); seed++) {
    const world = worldOf(seed, 60);
    const { map, members, random, family } = world;
    const named = new NamedMembers(map, members);
    // One of the members is none of those to choose from.
    const positions = [0, -1, 1, -1, 2, -1, -1, -1, 3];
    const by = new NamedByMap(map, named, positions);
    const seenAt = (range: number) => namedAt(world, range).filter((index) => positions[index]! >= 0).join();
    const prefixes = Array.from({ length: 30 }, () => {
      const bits = random.below(8);
      const first = maskBits(new Uint8Array(family === 4 ? 4 : 16).map(() => random.below(256)), bits);
      const [from, last] = [map.find(first), map.findLast(first, bits)];
      const seen = new Set(Array.from({ length: last - from + 1 }, (_, i) => seenAt(from + i)));
      return { first, bits, isSame: seen.size === 1, isWide: last - from > 32 };
    });
    const look = (state: "before" | "after") => {
      for (const { first, bits, isSame, isWide } of prefixes) {
        const says = by.isSame(first, bits);
        if (says) ok(isSame, `seed ${seed}, ${state}: ${formatIp(first)}/${bits}`);
        if (says && isWide) found[state]++;
      }
    };
    found.all += prefixes.filter(({ isSame, isWide }) => isSame && isWide).length;
    look("before");
    while (named.walk(50));
    look("after");
  }
  equal(found.before, 0, "none of many ranges");
  deepEqual([found.after, found.all > 0], [found.all, true]);
});

Deno.test("what is needed to walk over a file is let go of when it was", () => {
  const text = Array.from(
    { length: 5_000 },
    (_, i) => `10.${i >> 8}.${i & 255}.0/24 192.0.2.${1 + i % 200}\n`,
  ).join("");
  const map = new MapFile(compileMapFile(text));
  const named = new NamedMembers(map, [{ index: 0, address: parseIp("192.0.2.7")! }]);
  ok(named.bytes > 4 * map.rules);
  while (named.walk(1000));
  // Where it is named first, and not any more, each time.
  equal(named.changes, 1 + 2 * 25);
  ok(named.bytes < 4096, `${named.bytes} bytes`);
});
