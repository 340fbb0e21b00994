/** @module Queries signed with a key that the node doesn't have, which is any: what is said, and what isn't well-formed. */
import { deepEqual, equal, match } from "node:assert/strict";
import { program } from "../programs.ts";
import { testEachTransport } from "./each_transport.ts";
import { query, show } from "./packets.ts";
import { World } from "./world.ts";

/** `example.` as a key's name. */
const KEY = "07" + hex("example") + "00";
const ALGORITHM = "0b" + hex("hmac-sha256") + "00";
const TIME_AND_FUDGE = "0000675a1b2c" + "012c";
const MAC = "ab".repeat(32);
/** Message identifier, no error, no other data. */
const REST = "0001" + "0000" + "0000";
const DATA = ALGORITHM + TIME_AND_FUDGE + "0020" + MAC + REST;
const QUESTION = query("www.example.com", "A");

function hex(text: string): string {
  return new TextEncoder().encode(text).toHex();
}

/** A TSIG record of this data. */
function record(
  data: string,
  { owner = KEY, type = "00fa", rrClass = "00ff", ttl = "00000000" } = {},
): string {
  return owner + type + rrClass + ttl + (data.length / 2).toString(16).padStart(4, "0") + data;
}

/** The query with these records in its additional section. */
function withAdditionals(question: Uint8Array, ...records: readonly string[]): Uint8Array {
  const packet = new Uint8Array([...question, ...Uint8Array.fromHex(records.join(""))]);
  packet[11] = packet[11]! + records.length;
  return packet;
}

function ask(packet: Uint8Array, options: { stream?: boolean } = {}): Uint8Array {
  const world = new World({
    pools: [{ name: "web", members: ["192.0.2.10"] }],
    services: { "www.example.com": "web" },
  });
  return world.ask(packet, options)!;
}

const REFUSED = ALGORITHM + TIME_AND_FUDGE + "0000" + "0001" + "0011" + "0000";

Deno.test("a key that isn't known is NOTAUTH, with a TSIG record that says BADKEY and has no MAC", () => {
  const answer = ask(withAdditionals(QUESTION, record(DATA)));
  const expected = Uint8Array.fromHex(record(REFUSED));
  equal(answer[3]! & 0xf, 9);
  deepEqual([...answer.subarray(4, 12)], [0, 1, 0, 0, 0, 0, 0, 1]);
  deepEqual(answer.subarray(QUESTION.length), expected);
});

Deno.test("the TSIG record comes behind the OPT record, and before what EDNS itself gets wrong", () => {
  for (const edns of [{ udpSize: 1232 }, { ednsVersion: 1 }]) {
    const question = query("www.example.com", "A", edns);
    const answer = ask(withAdditionals(question, record(DATA)));
    equal(answer[3]! & 0xf, 9);
    equal(answer[11], 2);
    deepEqual(
      answer.subarray(answer.length - record(REFUSED).length / 2),
      Uint8Array.fromHex(record(REFUSED)),
    );
  }
});

Deno.test("a signed transfer is told that its key isn't known, over TCP as well", () => {
  const answer = ask(withAdditionals(query("example.com", "AXFR"), record(DATA)), { stream: true });
  equal(answer[3]! & 0xf, 9);
});

Deno.test("a key's name that is a pointer to a label of the question stays one", () => {
  const answer = ask(withAdditionals(QUESTION, record(DATA, { owner: "c010" })));
  deepEqual(answer.subarray(QUESTION.length), Uint8Array.fromHex(record(REFUSED, { owner: "c010" })));
});

Deno.test("where the record doesn't fit, the client comes back over TCP", () => {
  const label = (length: number) => length.toString(16).padStart(2, "0") + "61".repeat(length);
  const long = label(63) + label(63) + label(63) + label(59) + "00";
  const packet = withAdditionals(
    query(`${"x".repeat(63)}.${"y".repeat(63)}.example.com`, "A"),
    record(long + TIME_AND_FUDGE + "0000" + REST, { owner: long }),
  );
  equal(show(ask(packet)), "NOTAUTH tc");
  equal(ask(packet, { stream: true })[11], 1);
});

Deno.test("a key's name that grows too long behind its pointer is malformed", () => {
  const [label, fits] = ["3f" + "61".repeat(63), "3f" + "61".repeat(63)];
  const question = query(`${"x".repeat(63)}.${"y".repeat(63)}.${"z".repeat(58)}.com`, "A"); // 192 bytes
  const rcode = (owner: string) =>
    ask(withAdditionals(question, record(DATA, { owner })), { stream: true })[3]! & 0xf;
  equal(rcode("c00c"), 9);
  equal(rcode("3e" + fits.slice(2, -2) + "c00c"), 9, "255 bytes");
  equal(rcode(label + "c00c"), 1, "256 bytes");
});

const MALFORMED: readonly [what: string, ...records: readonly string[]][] = [
  ["two records", record(DATA), record(DATA)],
  ["a record behind it", record(DATA), record("", { owner: "00", type: "0029", rrClass: "04d0" })],
  ["class IN", record(DATA, { rrClass: "0001" })],
  ["a TTL", record(DATA, { ttl: "00000001" })],
  ["an owner that points into a label", record(DATA, { owner: "c00d" })],
  ["an owner that points to itself", record(DATA, { owner: "c021" })],
  ["no data", record("")],
  ["an algorithm that is compressed", record("c00c" + DATA.slice(ALGORITHM.length))],
  ["a MAC beyond the end", record(DATA.replace("0020" + MAC, "ffff" + MAC))],
  ["bytes behind the last field", record(DATA + "00")],
  ["other data beyond the end", record(DATA.slice(0, -4) + "0001")],
];
for (const [what, ...records] of MALFORMED) {
  Deno.test(`a TSIG record is malformed: ${what}`, () => {
    equal(show(ask(withAdditionals(QUESTION, ...records))).split(/\s/)[0], "FORMERR");
  });
}

Deno.test("a TSIG record in the answer section of a query is malformed", () => {
  const packet = withAdditionals(QUESTION, record(DATA));
  packet[7] = 1;
  packet[11] = 0;
  equal(show(ask(packet)), "FORMERR");
});

testEachTransport(
  "kdig reads that its key isn't known, over UDP and TCP, with and without EDNS",
  async (start) => {
    await using node = await start({ zones: { "example.com": null } });
    const { hostname, port } = node.address;
    for (const how of [["+notcp"], ["+tcp"], ["+notcp", "+edns"]]) {
      const key = `hmac-sha256:example.:${btoa("a secret of this test")}`;
      const args = [`@${hostname}`, `-p${port}`, "-y", key, ...how, "example.com", "SOA"];
      const { stdout } = await new Deno.Command(program("kdig")!, { args }).output();
      const text = new TextDecoder().decode(stdout);
      match(text, /status: BADKEY;/);
      match(text, /TSIG PSEUDOSECTION:\nexample\. .*hmac-sha256\. \d+ 300 0 \d+ BADKEY 0/);
    }
  },
  ["kdig"],
);
