/**
 * Tests of `src/wire/zone_file.ts`.
 *
 * @module
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import { nameToWire, wireToAbsoluteName, wireToName } from "../../src/wire/name.ts";
import { formatRdata } from "../../src/wire/rdata.ts";
import { typeName } from "../../src/wire/record_type.ts";
import { checkZone, parseZoneFile, PROBLEMS_MAX, type ZoneRecord } from "../../src/wire/zone_file.ts";

const OPTIONS = { origin: "example.com", defaultTtl: 60 };

const APEX = `@ 3600 SOA ns1 hostmaster 1 1h 10m 1w 5m
@ 3600 NS ns1
`;

/** Owner, TTL, type and data of each record, and what is wrong as `line:column: message`. */
function read(text: string): { records: string[]; problems: string[] } {
  const { records, problems } = parseZoneFile(text, OPTIONS);
  return {
    records: records.map(show),
    problems: problems.map(({ line, column, message }) => `${line}:${column}: ${message}`),
  };
}

/** What `checkZone` makes of `text` with a good apex behind it. */
function check(text: string): { records: string[]; problems: string[] } {
  const { records, problems } = parseZoneFile(`${text}\n${APEX}`, OPTIONS);
  assert.deepEqual(problems, []);
  const checked = checkZone("Example.com", records);
  return {
    records: checked.records.slice(0, -2).map(show),
    problems: checked.problems.map(({ line, message }) => `${line}: ${message}`),
  };
}

function show({ owner, ttl, type, rdata }: ZoneRecord): string {
  return `${wireToName(owner)} ${ttl} ${typeName(type)} ${formatRdata(type, rdata)}`;
}

Deno.test("parseZoneFile() reads the forms of RFC 1035 §5", () => {
  const { records, problems } = read(`; a comment
$TTL 1h ; RFC 2308
@   IN SOA ns1 host\\.master (
        2024010101 ; serial
        1h 15m     ; refresh and retry
        1w 300 )   ; expire and negative
    IN NS ns1
    30 NS ns2.example.net.
NS1 300 IN A 192.0.2.1
    IN 300 AAAA 2001:db8::1
www CNAME @\r
*.wild TXT "a;b" c\\;d "e (f" \\"g
$ORIGIN sub.example.com.
a ( A
 192.0.2.2 ) ; done
$ORIGIN deep
b A 192.0.2.3
\\@ type1 \\# 4 (c000
   0204)
c (
 A
192.0.2.5
)`);
  assert.deepEqual(problems, []);
  assert.deepEqual(records, [
    "example.com 3600 SOA ns1.example.com. host\\.master.example.com. 2024010101 3600 900 604800 300",
    "example.com 3600 NS ns1.example.com.",
    "example.com 30 NS ns2.example.net.",
    "ns1.example.com 300 A 192.0.2.1",
    "ns1.example.com 300 AAAA 2001:db8::1",
    "www.example.com 3600 CNAME example.com.",
    '*.wild.example.com 3600 TXT "a;b" "c;d" "e (f" "\\"g"',
    "a.sub.example.com 3600 A 192.0.2.2",
    "b.deep.sub.example.com 3600 A 192.0.2.3",
    "\\@.deep.sub.example.com 3600 A 192.0.2.4",
    "c.deep.sub.example.com 3600 A 192.0.2.5",
  ]);
});

Deno.test("parseZoneFile() places each record on the line where it begins, owners lower-case", () => {
  const { records } = parseZoneFile("\n\nWWW TXT (\n a\n)\n A 192.0.2.1\n", OPTIONS);
  assert.deepEqual(records.map(({ line }) => line), [3, 6]);
  assert.deepEqual(records[0]!.owner, nameToWire("www.example.com"));
});

Deno.test("a record without a TTL has that of $TTL, else of the record before, else the default", () => {
  const { records } = read(
    "a A 192.0.2.1\na 5 A 192.0.2.2\na A 192.0.2.3\n$TTL 7\na A 192.0.2.4\na 9 A 192.0.2.5\na A 192.0.2.6",
  );
  assert.deepEqual(records.map((record) => record.split(" ")[1]), ["60", "5", "5", "7", "9", "7"]);
});

Deno.test("parseZoneFile() shows every problem with line, column and a mend", () => {
  const { records, problems } = read(`  A 192.0.2.1
www A 192.0.2.256
    AAAA 192.0.2.1
a..b A 192.0.2.1
    A 192.0.2.1
www 1y A 192.0.2.1
www CH A 192.0.2.1
www IN IN A 192.0.2.1
www
www 60 IN
www NOSUCH x
www "A" 192.0.2.1
"www" A 192.0.2.1
www OPT x
www MX 10
$INCLUDE other.zone
$GENERATE 1-9 h$ A 192.0.2.$
$TTL
$TTL soon
$TTL 1h 2h
$ORIGIN
$ORIGIN a..b
$NOPE
www A 192.0.2.1 )
www TXT "no end
ok A 192.0.2.9
`);
  assert.deepEqual(records.slice(1), [
    'www.example.com 3600 TXT "no end"',
    "ok.example.com 3600 A 192.0.2.9",
  ]);
  assert.deepEqual(problems, [
    "1:3: the first record has no owner; begin the line with a name or @",
    '2:7: "192.0.2.256" is no IPv4 address; write one such as 192.0.2.1',
    '3:10: "192.0.2.1" is no IPv6 address; write one such as 2001:db8::1',
    '4:1: Cannot read the name "a..b": a label is empty; write one dot between labels',
    '6:5: "1y" is no TTL; write seconds up to 2147483647, or a time such as 1h30m',
    "7:5: the class CH isn't served; write IN or nothing",
    '8:8: "IN" is no record type; a type not known by name is written TYPE123',
    "9:4: the record's type is missing, such as A or CNAME",
    "10:10: the record's type is missing, such as A or CNAME",
    '11:5: "NOSUCH" is no record type; a type not known by name is written TYPE123',
    '12:5: "A" is no record type; a type not known by name is written TYPE123',
    "13:1: Cannot read the name www: remove the quotes",
    "14:5: OPT can't be the type of a record in a zone; remove the record",
    "15:10: the mail exchange of the MX record is missing",
    "16:1: $INCLUDE isn't supported; put the file's records here",
    "17:1: $GENERATE isn't supported; write the records it stands for, or use a wildcard",
    "18:1: $TTL needs a time, such as 1h",
    '19:6: "soon" is no TTL; write seconds up to 2147483647, or a time such as 1h30m',
    '20:9: "2h" is too much for $TTL; remove it',
    "21:1: $ORIGIN needs a name",
    '22:9: Cannot read the name "a..b": a label is empty; write one dot between labels',
    '23:1: "$NOPE" is no directive; there are $ORIGIN and $TTL',
    '24:17: ")" without a "(" before it; remove it',
    '25:9: the quote is never closed on this line; add the "',
  ]);
});

Deno.test("an unclosed parenthesis doesn't hide the faults behind it", () => {
  const { records, problems } = read("@ SOA ns1 h ( 1 2\n  3 4 5\nwww A 192.0.2.1\nwww A nowhere\n");
  assert.deepEqual(records, ["www.example.com 60 A 192.0.2.1"]);
  assert.deepEqual(problems.map((problem) => problem.slice(0, 4)), ["1:13", "4:7:"]);
});

Deno.test("parseZoneFile() refuses what no other server reads", () => {
  assert.deepEqual(read("\ufeffwww A 192.0.2.1").problems, [
    "1:1: the file begins with a byte-order mark, which no other server reads; save it as UTF-8 without one",
  ]);
  assert.deepEqual(read("www ( TXT ( a )\n b )\nok A 192.0.2.1").problems, [
    '1:11: "(" inside of parentheses; remove it and its ")"',
  ]);
  assert.deepEqual(read("(www A 192.0.2.1)\n (\n TXT a )").problems, [
    '1:1: a record begins with its owner, or with white space, not with "("; move the parenthesis',
  ]);
});

Deno.test("parseZoneFile() stops at PROBLEMS_MAX problems", () => {
  assert.equal(read("www NOSUCH\n".repeat(PROBLEMS_MAX + 5)).problems.length, PROBLEMS_MAX);
  assert.equal(read(")".repeat(PROBLEMS_MAX + 5)).problems.length, PROBLEMS_MAX);
});

Deno.test("a message is never as long as a faulty line, and keeps its fault and mend", () => {
  const [problem] = read(`${"a".repeat(1_000_000)} A 192.0.2.1`).problems;
  assert.match(problem!, /^1:1: Cannot read the name "a+…a+": a label is longer than 63 bytes$/);
  assert.ok(problem!.length < 320);
});

Deno.test("parseZoneFile() takes deep nesting and long lines without recursion", () => {
  const { problems } = read("(".repeat(200_000));
  assert.ok(problems.includes('1:1: "(" is never closed; add the ")"'));
  assert.equal(read(`www TXT ${"(".repeat(100_000)}a${")".repeat(100_000)}`).problems.length, 1);
  assert.equal(read(`${"a.".repeat(100_000)} A 192.0.2.1`).problems.length, 1);
  assert.equal(read("(\n".repeat(100_000)).problems.length, 6);
});

Deno.test("parseZoneFile() and checkZone() take 100,000 lines", () => {
  const text = Array.from({ length: 100_000 }, (_, i) => `h${i} 300 IN A 192.0.2.${i % 256}`).join("\n");
  const { records, problems } = parseZoneFile(APEX + text, OPTIONS);
  assert.equal(problems.length, 0);
  assert.deepEqual(checkZone("example.com", records).problems, []);
  assert.equal(records.length, 100_002);
});

Deno.test("parseZoneFile() never throws on random text, and places every problem inside it", () => {
  const piece = fc.oneof(
    fc.string({ maxLength: 6 }),
    fc.constantFrom(
      ...' |\n|\n|(|)|;|"|\\|@|$|a|A|MX|TXT|60|IN|192.0.2.1|$TTL|$ORIGIN|\\#|SVCB|alpn="h2'.split("|"),
    ),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
      const text = pieces.join(" ");
      const lines = text.split("\n");
      const { records, problems } = parseZoneFile(text, OPTIONS);
      for (const { line, column } of problems) {
        assert.ok(line >= 1 && line <= lines.length, `line ${line} of ${JSON.stringify(text)}`);
        assert.ok(
          column >= 1 && column <= lines[line - 1]!.length + 1,
          `${line}:${column} ${JSON.stringify(text)}`,
        );
      }
      checkZone("example.com", records);
    }),
    { numRuns: 5000 },
  );
});

Deno.test("records survive being written and read again", () => {
  const label = fc.uint8Array({ minLength: 1, maxLength: 20 });
  const owner = fc.array(label, { minLength: 1, maxLength: 4 })
    .map((labels) => new Uint8Array([...labels.flatMap((bytes) => [bytes.length, ...bytes]), 0]));
  const txt = fc.uint8Array({ minLength: 1, maxLength: 255 });
  fc.assert(fc.property(owner, txt, fc.nat({ max: 0x7fffffff }), (name, bytes, ttl) => {
    const line = `${wireToAbsoluteName(name)} ${ttl} TXT ${
      formatRdata(16, new Uint8Array([bytes.length, ...bytes]))
    }`;
    const { records, problems } = parseZoneFile(line, OPTIONS);
    assert.deepEqual(problems, []);
    assert.deepEqual([...records[0]!.rdata.subarray(1)], [...bytes]);
    assert.equal(records[0]!.ttl, ttl);
    assert.deepEqual(
      parseZoneFile(show(records[0]!), { ...OPTIONS, origin: "." }).records,
      records,
    );
  }));
});

Deno.test("checkZone() accepts a zone with glue, a delegation, wildcards and aliases", () => {
  const { problems } = check(`www CNAME web
web A 192.0.2.1
* A 192.0.2.2
sub NS ns.sub
sub NS ns.example.net.
sub DS 1 8 2 ${"ab".repeat(32)}
ns.sub A 192.0.2.3
ns.sub AAAA 2001:db8::1
_sip._tcp SRV 0 0 5060 web
`);
  assert.deepEqual(problems, []);
});

Deno.test("checkZone() wants exactly one SOA and an NS at the apex", () => {
  const checkAll = (text: string) =>
    checkZone("example.com", parseZoneFile(text, OPTIONS).records).problems.map(({ line, message }) =>
      `${line}: ${message}`
    );
  assert.deepEqual(checkAll(""), [
    "1: the zone example.com has no SOA record; add one such as @ SOA ns1 hostmaster 1 1h 10m 1w 1m",
    "1: the zone example.com has no NS record at its apex; add one such as @ NS ns1",
  ]);
  assert.deepEqual(checkAll("@ SOA a b 1 2 3 4 5\n@ SOA a b 2 2 3 4 5\n@ NS a\nwww SOA a b 1 2 3 4 5"), [
    "2: the zone example.com has a second SOA record; the first is on line 1; remove one",
    "4: SOA record at www.example.com: only the apex of the zone has one; remove it",
  ]);
});

Deno.test("checkZone() names what a zone may not hold", () => {
  const rows: [string, string[]][] = [
    ["www.example.net. A 192.0.2.1", [
      "1: www.example.net is outside the zone example.com; remove the record, or its final dot if it has one",
    ]],
    ["xexample.com. A 192.0.2.1", [
      "1: xexample.com is outside the zone example.com; remove the record, or its final dot if it has one",
    ]],
    ["www A 192.0.2.1\nwww CNAME a\nwww TXT x", [
      "1: A record at www.example.com: no other record is allowed beside the CNAME on line 2",
      "3: TXT record at www.example.com: no other record is allowed beside the CNAME on line 2",
    ]],
    ["www CNAME a\nwww CNAME b", [
      "2: www.example.com has a second CNAME record; the first is on line 1; remove one",
    ]],
    ["sub NS ns.example.net.\nsub TXT x\na.sub TXT x\n*.sub NS a\nb.a.sub MX 1 a", [
      "2: TXT record at sub.example.com: the name is delegated; move it into the zone delegated to",
      "3: TXT record at a.sub.example.com: sub.example.com is delegated, and below it only A and AAAA are allowed",
      "4: NS record at *.sub.example.com: a wildcard can't have one; name each host",
      "5: MX record at b.a.sub.example.com: sub.example.com is delegated, and below it only A and AAAA are allowed",
    ]],
    ["* NS ns1", ["1: NS record at *.example.com: a wildcard can't have one; name each host"]],
    [`@ DS 1 8 2 ${"ab".repeat(32)}`, [
      "1: DS record at example.com: it belongs in the parent zone; move it there",
    ]],
    [`www DS 1 8 2 ${"ab".repeat(32)}`, [
      "1: DS record at www.example.com: the name isn't delegated; add its NS records or remove it",
    ]],
    ["old DNAME new\nwww.old A 192.0.2.1", [
      "2: A record at www.old.example.com: it is below the DNAME record of old.example.com; remove one of them",
    ]],
  ];
  for (const [text, problems] of rows) assert.deepEqual(check(text).problems, problems, text);
});

Deno.test("checkZone() drops duplicates, names compared in any case, and keeps the order", () => {
  const { records } = check("b A 192.0.2.1\na MX 1 X\nB A 192.0.2.1\na MX 1 x\na MX 2 x");
  assert.deepEqual(records, [
    "b.example.com 60 A 192.0.2.1",
    "a.example.com 60 MX 1 X.example.com.",
    "a.example.com 60 MX 2 x.example.com.",
  ]);
});

Deno.test("checkZone() gives a set of records its lowest TTL", () => {
  const { records } = check("a 300 A 192.0.2.1\na 60 A 192.0.2.2\na 900 TXT x");
  assert.deepEqual(records, [
    "a.example.com 60 A 192.0.2.1",
    "a.example.com 60 A 192.0.2.2",
    'a.example.com 900 TXT "x"',
  ]);
});
