/**
 * Tests of `src/wire/message.ts`.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import dnsPacket from "dns-packet";
import fc from "fast-check";
import { runs } from "../property_runs.ts";
import { formatPrefix, parsePrefix } from "../../src/ip.ts";
import { decodeMessage, encodeQuery, formatMessage } from "../../src/wire/message.ts";
import { CLASS, RCODE, TYPE } from "../../src/wire/record_type.ts";

type Packet = Parameters<typeof dnsPacket.encode>[0];

function encode(packet: Packet): Uint8Array {
  return new Uint8Array(dnsPacket.encode(packet));
}

/** An answer with compressed names, OPT with extended rcode and options, written by hand. */
const ANSWER = Uint8Array.fromHex(
  [
    "1234 8583 0001 0003 0001 0002", // qr aa rd ra NXDOMAIN (low bits)
    "03777777 076578616d706c65 03636f6d 00 0001 0001", // 12: www.example.com A
    "c00c 0005 0001 0000003c 0006 03776562 c010", // CNAME web.example.com, the name in rdata compressed
    "c02d 0001 0001 0000001e 0004 c0000201", // web.example.com A
    "c010 000f 0001 0000001e 0007 000a 026d78 c010", // example.com MX 10 mx
    "c010 0006 0001 00000e10 0018 c010 c010 00000001 00000002 00000003 00000004 0000003c",
    "c02d 001c 0001 0000001e 0010 20010db8000000000000000000000001",
    "00 0029 04d0 01008000 0018 0003 0002 6e31 0008 0007 0001 18 18 c00002 ffff 0003 616200",
  ].join("").replaceAll(" ", ""),
);

Deno.test("decodeMessage() reads sections, compressed names and the OPT record", () => {
  const message = decodeMessage(ANSWER);
  assert.equal(message.id, 0x1234);
  assert.deepEqual(message.flags, {
    qr: true,
    aa: true,
    tc: false,
    rd: true,
    ra: true,
    ad: false,
    cd: false,
  });
  assert.equal(message.rcode, 0x13);
  assert.deepEqual(message.questions, [{ name: "www.example.com", type: TYPE.A, class: CLASS.IN }]);
  assert.deepEqual(message.answers.map(({ name, ttl, data }) => [name, ttl, data]), [
    ["www.example.com", 60, "web.example.com."],
    ["web.example.com", 30, "192.0.2.1"],
    ["example.com", 30, "10 mx.example.com."],
  ]);
  assert.equal(message.answers[0]!.rdata.toHex(), "03776562076578616d706c6503636f6d00");
  assert.equal(message.authorities[0]!.data, "example.com. example.com. 1 2 3 4 60");
  assert.deepEqual(message.additionals.map(({ data }) => data), ["2001:db8::1"]);
  const edns = message.edns!;
  assert.deepEqual([edns.udpSize, edns.version, edns.do], [1232, 0, true]);
  assert.equal(formatPrefix(edns.ecs!.prefix), "192.0.2.0/24");
  assert.equal(edns.ecs!.scope, 24);
  assert.deepEqual(edns.nsid, new TextEncoder().encode("n1"));
  assert.deepEqual(edns.options.map(({ code }) => code), [3, 8, 65535]);
});

Deno.test("formatMessage() writes what dig writes", () => {
  assert.equal(
    formatMessage(decodeMessage(ANSWER)),
    `;; ->>HEADER<<- opcode: QUERY, status: RCODE19, id: 4660
;; flags: qr aa rd ra; QUERY: 1, ANSWER: 3, AUTHORITY: 1, ADDITIONAL: 2

;; OPT PSEUDOSECTION:
; EDNS: version: 0, flags: do; udp: 1232
; NSID: 6e 31 ("n1")
; CLIENT-SUBNET: 192.0.2.0/24/24
; OPT=65535: 61 62 00 ("ab.")
;; QUESTION SECTION:
;www.example.com.\t\tIN\tA

;; ANSWER SECTION:
www.example.com.\t60\tIN\tCNAME\tweb.example.com.
web.example.com.\t30\tIN\tA\t192.0.2.1
example.com.\t\t30\tIN\tMX\t10 mx.example.com.

;; AUTHORITY SECTION:
example.com.\t\t3600\tIN\tSOA\texample.com. example.com. 1 2 3 4 60

;; ADDITIONAL SECTION:
web.example.com.\t30\tIN\tAAAA\t2001:db8::1
`,
  );
});

Deno.test("encodeQuery() writes what dns-packet reads", () => {
  const bytes = encodeQuery({
    id: 4711,
    name: "Www.Example.com",
    type: TYPE.MX,
    edns: {
      udpSize: 1232,
      do: true,
      options: [{ code: 3, data: new Uint8Array() }],
      ecs: parsePrefix("192.0.2.0/23"),
    },
  });
  const packet = dnsPacket.decode(Buffer.from(bytes));
  assert.equal(packet.id, 4711);
  assert.equal(packet.flag_rd, true);
  assert.deepEqual(packet.questions, [{ name: "Www.Example.com", type: "MX", class: "IN" }]);
  const opt = packet.additionals![0] as unknown as Record<string, unknown>;
  assert.deepEqual([opt.udpPayloadSize, opt.flag_do, opt.ednsVersion], [1232, true, 0]);
  const [nsid, subnet] = opt.options as Record<string, unknown>[];
  assert.equal(nsid!.code, 3);
  assert.deepEqual([subnet!.family, subnet!.sourcePrefixLength, subnet!.scopePrefixLength, subnet!.ip], [
    1,
    23,
    0,
    "192.0.2.0",
  ]);
});

Deno.test("encodeQuery() and decodeMessage() agree", () => {
  for (const prefix of ["0.0.0.0/0", "192.0.2.1/32", "2001:db8::/33", "::/0", "10.0.0.0/9"]) {
    const bytes = encodeQuery({
      id: 1,
      name: "a.b",
      type: 65280,
      class: CLASS.CH,
      rd: false,
      edns: { udpSize: 512, version: 1, ecs: parsePrefix(prefix) },
    });
    const message = decodeMessage(bytes);
    assert.deepEqual(message.questions, [{ name: "a.b", type: 65280, class: CLASS.CH }]);
    assert.equal(message.flags.rd, false);
    assert.equal(message.edns!.version, 1);
    assert.deepEqual(message.edns!.ecs, { prefix: parsePrefix(prefix), scope: 0 });
  }
  assert.equal(decodeMessage(encodeQuery({ id: 1, name: ".", type: TYPE.NS })).edns, null);
});

Deno.test("decodeMessage() reads what dns-packet writes", () => {
  const message = decodeMessage(encode({
    type: "response",
    id: 7,
    flags: dnsPacket.AUTHORITATIVE_ANSWER | dnsPacket.TRUNCATED_RESPONSE | RCODE.NXDOMAIN,
    questions: [{ type: "SRV", name: "_x._tcp.example.org" }],
    answers: [
      { type: "SRV", name: "_x._tcp.example.org", ttl: 5, data: { port: 1, target: "t.example.org" } },
      { type: "TXT", name: "example.org", ttl: 5, data: ["a", "b c"] },
      { type: "CAA", name: "example.org", ttl: 5, data: { tag: "issue", value: "ca.example", flags: 0 } },
    ],
  } as Packet));
  assert.equal(message.rcode, RCODE.NXDOMAIN);
  assert.deepEqual([message.flags.aa, message.flags.tc, message.flags.qr], [true, true, true]);
  assert.deepEqual(message.answers.map(({ data }) => data), [
    "0 0 1 t.example.org.",
    '"a" "b c"',
    '0 issue "ca.example"',
  ]);
});

Deno.test("decodeMessage() refuses what isn't well-formed", () => {
  const question = "016100 0001 0001";
  const rows: [string, RegExp][] = [
    ["", /ends at byte 0/],
    ["1234 8000 0001 0000 0000 000", /ends at byte 11/],
    ["1234 8000 0001 0000 0000 0000", /isn't ended by a root label/],
    [`1234 8000 0001 0000 0000 0000 ${question} 00`, /1 bytes behind its last record/],
    ["1234 8000 0001 0000 0000 0000 c00c 0001 0001", /compression pointer at byte 12 leads to byte 12/],
    ["1234 8000 0001 0000 0000 0000 0161 c00c 0001 0001", /leads to byte 12/],
    ["1234 8000 0001 0000 0000 0000 c0ff 0001 0001", /leads to byte 255/],
    ["1234 8000 0001 0000 0000 0000 c0", /compression pointer/],
    ["1234 8000 0001 0000 0000 0000 40 00 0001 0001", /label octet 64/],
    [`1234 8000 0001 0001 0000 0000 ${question} c00c 0001 0001 00000000 0004 c00002`, /ends at byte/],
    [`1234 8000 0001 0001 0000 0000 ${question} c00c 0001 0001 00000000 0003 c00002`, /A data/],
    [`1234 8000 0001 0001 0000 0000 ${question} c00c 0005 0001 00000000 0003 c00c00`, /last field/],
    [`1234 8000 0001 0000 0000 0001 ${question} c00c 0029 0200 00000000 0000`, /OPT record has the owner a/],
    [`1234 8000 0001 0000 0000 0002 ${question} ${"00 0029 0200 00000000 0000".repeat(2)}`, /2 OPT records/],
    [`1234 8000 0001 0001 0000 0000 ${question} 00 0029 0200 00000000 0000`, /outside the additional/],
    [`1234 8000 0001 0000 0000 0001 ${question} 00 0029 0200 00000000 0003 000300`, /option ends early/],
    [`1234 8000 0001 0000 0000 0001 ${question} 00 0029 0200 00000000 0004 00030001`, /option ends early/],
    [subnet("0003 00 00"), /wrong family or length/],
    [subnet("0001 21 00 c0000201 80"), /wrong family or length/],
    [subnet("0001 18 21 c00002"), /wrong family or length/],
    [subnet("0001 18 00 c000"), /2 address bytes for \/24/],
    [subnet("0001 17 00 c00003"), /bits set behind/],
  ];
  for (const [hex, fault] of rows) {
    const digits = hex.replaceAll(" ", "");
    const bytes = Uint8Array.fromHex(digits.slice(0, digits.length & ~1));
    assert.throws(
      () => decodeMessage(bytes),
      (error) => error instanceof SyntaxError && fault.test(error.message),
      hex,
    );
  }
});

Deno.test("decodeMessage() throws nothing but SyntaxError on mutated messages, and shows the rest", () => {
  const mutation = fc.record({ at: fc.nat({ max: ANSWER.length - 1 }), byte: fc.nat({ max: 255 }) });
  fc.assert(
    fc.property(fc.array(mutation, { maxLength: 4 }), fc.nat({ max: ANSWER.length }), (mutations, length) => {
      const bytes = ANSWER.slice(0, length < 20 ? length : undefined);
      for (const { at, byte } of mutations) bytes[at] = byte;
      try {
        formatMessage(decodeMessage(bytes));
      } catch (error) {
        assert.ok(error instanceof SyntaxError, String(error));
      }
    }),
    { numRuns: runs(5_000) },
  );
});

/** An answer whose OPT record has a client subnet of that payload. */
function subnet(payload: string): string {
  const size = payload.replaceAll(" ", "").length / 2;
  const u16 = (value: number) => value.toString(16).padStart(4, "0");
  return `1234 8000 0000 0000 0000 0001 00 0029 0200 00000000 ${u16(size + 4)} 0008 ${u16(size)} ${payload}`;
}
