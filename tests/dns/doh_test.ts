/** @module For how long an answer over HTTPS may be kept. */
import { equal } from "node:assert/strict";
import { freshnessOf } from "../../src/dns/doh.ts";
import { TYPE } from "../../src/wire/record_type.ts";

type Ttls = readonly (readonly [type: number, ttl: number])[];

/** An answer to www with these records, each of the name that was asked for. */
function answer(rcode: number, answers: Ttls, authority: Ttls = []): Uint8Array {
  const records = [...answers, ...authority].flatMap(([type, ttl]) => [
    ...[0xc0, 12, type >> 8, type & 255, 0, 1, 0, 0, ttl >> 8, ttl & 255, 0, 4, 192, 0, 2, 1],
  ]);
  const head = [0, 1, 0x84, rcode, 0, 1, 0, answers.length, 0, authority.length, 0, 0];
  return Uint8Array.of(...head, 3, 119, 119, 119, 0, 0, 1, 0, 1, ...records);
}

for (
  const [what, given, seconds] of [
    ["the least of several", answer(0, [[TYPE.A, 60], [TYPE.A, 5], [TYPE.A, 30]]), 5],
    ["the least of an alias and what it leads to", answer(0, [[TYPE.CNAME, 20], [TYPE.A, 300]]), 20],
    ["that of the answers, whatever stands beside them", answer(0, [[TYPE.A, 60]], [[TYPE.SOA, 5]]), 60],
    ["not at all of a TTL of 0", answer(0, [[TYPE.A, 0]]), 0],
    ["the SOA's of a name that isn't there", answer(3, [], [[TYPE.SOA, 900]]), 900],
    ["the SOA's of a type that isn't there", answer(0, [], [[TYPE.NS, 5], [TYPE.SOA, 900]]), 900],
    ["none of a referral", answer(0, [], [[TYPE.NS, 900]]), null],
    ["none of a failure", answer(2, [[TYPE.A, 60]]), null],
    ["none of a refusal", answer(5, [], [[TYPE.SOA, 60]]), null],
    ["none of nothing", answer(0, []), null],
  ] as const
) {
  Deno.test(`for how long an answer over HTTPS may be kept: ${what}`, () =>
    equal(freshnessOf(given), seconds));
}
