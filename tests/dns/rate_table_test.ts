/** @module The table in which all workers count answers. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { seededRng } from "../../src/clock.ts";
import { createRateTable, RateTable } from "../../src/dns/rate_table.ts";
import { parseIp } from "../../src/ip.ts";

const A = parseIp("192.0.2.1")!;

function table(): RateTable {
  return new RateTable(createRateTable(seededRng(1)));
}

Deno.test("answers are counted by subject, prefix and second", () => {
  const rates = table();
  const count = (subject: number, client: string, second: number, length = 24) =>
    rates.count(subject, parseIp(client)!, length, second);
  deepEqual([1, 2, 3].map(() => count(7, "192.0.2.1", 100)), [1, 2, 3]);
  equal(count(7, "192.0.2.255", 100), 4);
  equal(count(7, "192.0.3.1", 100), 1);
  equal(count(8, "192.0.2.1", 100), 1);
  equal(count(7, "192.0.2.1", 101), 1);
  equal(count(7, "192.0.2.1", 100), 2, "a worker whose clock is behind doesn't begin anew");
});

Deno.test("any prefix length counts the bits it says", () => {
  const rates = table();
  for (const length of [1, 31, 32, 33, 56, 63, 64, 65, 127, 128]) {
    const base = parseIp("2001:db8:1234:5678:9abc:def0:1234:5678")!;
    const other = base.slice();
    other[length - 1 >> 3]! ^= 0x80 >> (length - 1 & 7);
    const same = base.slice();
    if (length < 128) same[length >> 3]! ^= 0x80 >> (length & 7);
    equal(rates.count(length, base, length, 1), 1);
    equal(rates.count(length, same, length, 1), 2, `/${length}: a bit behind it`);
    equal(rates.count(length, other, length, 1), 1, `/${length}: its last bit`);
  }
});

Deno.test("an IPv4 prefix isn't the IPv6 prefix of the same bits", () => {
  const rates = table();
  rates.count(1, A, 32, 1);
  equal(rates.count(1, parseIp("c000:201::")!, 32, 1), 1);
});

Deno.test("workers share the counts", () => {
  const buffer = createRateTable(seededRng(1));
  const [one, other] = [new RateTable(buffer), new RateTable(buffer)];
  deepEqual([one, other, one, other].map((rates) => rates.count(1, A, 24, 1)), [1, 2, 3, 4]);
});

Deno.test("a flood of keys drives out what is counted little, never what is counted much", () => {
  const rates = table();
  for (let i = 0; i < 50; i++) rates.count(1, A, 24, 5);
  const flood = new Uint8Array(4);
  for (let i = 0; i < 500_000; i++) {
    new DataView(flood.buffer).setUint32(0, i << 8);
    rates.count(2, flood, 24, 5);
  }
  equal(rates.count(1, A, 24, 5), 51);
});

Deno.test("what was counted in a second that is over gives way first, however much that was", () => {
  const rates = table();
  const other = new Uint8Array(4);
  const countOthers = (subject: number, second: number) => {
    for (let i = 0; i < 100_000; i++) {
      new DataView(other.buffer).setUint32(0, i << 8);
      rates.count(subject, other, 24, second);
    }
  };
  for (let time = 0; time < 3; time++) countOthers(2, 5);
  rates.count(1, A, 24, 6);
  rates.count(1, A, 24, 6);
  countOthers(3, 6);
  equal(rates.count(1, A, 24, 6), 3);
});

Deno.test("ten thousand keys are counted side by side almost without loss", () => {
  const rates = table();
  const address = new Uint8Array(4);
  let lost = 0;
  for (let round = 1; round <= 3; round++) {
    for (let i = 0; i < 10_000; i++) {
      new DataView(address.buffer).setUint32(0, i << 8);
      if (rates.count(1, address, 24, 9) !== round) lost++;
    }
  }
  ok(lost < 30, `${lost} of 30000`);
});

Deno.test("counting ends below what there is room for", () => {
  const rates = table();
  let last = 0;
  for (let i = 0; i < 2_100_000; i++) last = rates.count(1, A, 24, 1);
  equal(last, 2_096_127);
  equal(rates.count(1, A, 24, 2), 1);
});

Deno.test("a clock that is set back begins a second anew", () => {
  const rates = table();
  rates.count(1, A, 24, 1_000_000);
  rates.count(1, A, 24, 1_000_000);
  equal(rates.count(1, A, 24, 1_000_000 - 60), 1);
});
