/** @module Updates against those of nsupdate, and what they refuse. */
import { deepEqual, equal, throws } from "node:assert/strict";
import { decodeMessage } from "../../src/wire/message.ts";
import { encodeUpdate } from "../../src/wire/update.ts";

const address = (last: number) => Uint8Array.of(192, 0, 2, last);
const www = { name: "www.example.org", type: 1 };

/** The same in plain bytes: nsupdate writes pointers where a name repeats. */
function records(bytes: Uint8Array) {
  const { questions, answers, authorities, additionals, opcode, id } = decodeMessage(bytes);
  const shown = (section: typeof answers) =>
    section.map(({ name, type, class: recordClass, ttl, rdata }) => [
      name,
      type,
      recordClass,
      ttl,
      rdata.toHex(),
    ]);
  return {
    id,
    opcode,
    questions,
    prerequisites: shown(answers),
    updates: shown(authorities),
    more: additionals.filter(({ type }) => type !== 250),
  };
}

Deno.test("encodeUpdate() says what nsupdate says: the set is absent, then has two addresses", () => {
  const nsupdate = Uint8Array.fromHex(
    "f35828000001000100030001076578616d706c65036f7267000006000103777777c00c000100fe000000000000c01d000100ff00000000" +
      "0000c01d00010001000000050004c0000201c01d00010001000000050004c0000202066167656e74730000fa00ff00000000003d0b68" +
      "6d61632d7368613235360000006b015e61012c0020cafd27061aba9095898119e4e7accb6bcc85e9256e392ffb5f52886e09ac84a2f3" +
      "5800000000",
  );
  const own = encodeUpdate({
    id: 0xf358,
    zone: "example.org",
    expected: [{ ...www, rdata: [] }],
    replaced: { ...www, rdata: [address(1), address(2)], ttl: 5 },
  });
  deepEqual(records(own), records(nsupdate));
});

Deno.test("encodeUpdate() says what knsupdate says: the set is one address, whatever its TTL", () => {
  const knsupdate = Uint8Array.fromHex(
    "3d1d28000001000100030001076578616d706c65036f7267000006000103777777c00c00010001000000000004c0000207c01d000100ff" +
      "000000000000c01d00010001000000050004c0000201c01d00010001000000050004c0000202066167656e74730000fa00ff00000000" +
      "003d0b686d61632d7368613235360000006b015e61012c00207fc9b579a182fb7591abdcc3c55542560d78c88ee1f2c86d08caa45e3b" +
      "e80aff3d1d00000000",
  );
  const own = encodeUpdate({
    id: 0x3d1d,
    zone: "example.org.",
    expected: [{ ...www, rdata: [address(7)] }],
    replaced: { ...www, rdata: [address(1), address(2)], ttl: 5 },
  });
  deepEqual(records(own), records(knsupdate));
});

Deno.test("encodeUpdate() asks without changing anything", () => {
  const own = encodeUpdate({ id: 1, zone: "example.org", expected: [{ ...www, rdata: [] }], replaced: null });
  deepEqual(records(own).updates, []);
  equal(own.length, 12 + 17 + 27);
});

Deno.test("encodeUpdate() refuses more records than a message can count", () => {
  const rdata = Array.from({ length: 65_536 }, () => address(1));
  throws(
    () => encodeUpdate({ id: 1, zone: "example.org", expected: [{ ...www, rdata }], replaced: null }),
    RangeError,
  );
});
