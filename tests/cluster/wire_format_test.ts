/** @module What nodes write to each other. */
import { deepEqual, equal, throws } from "node:assert/strict";
import {
  decodeEvent,
  decodeHeartbeat,
  decodeValue,
  encodeEvent,
  encodeHeartbeat,
  encodeValue,
  healthKey,
  type Heartbeat,
  isNoLaterValue,
  nodeOfSubject,
  parseHealthKey,
  VALUE_SIZE_MAX,
  wireNames,
} from "../../src/cluster/wire_format.ts";

const BOOT = "0123456789abcdef";
const HEARTBEAT: Heartbeat = { boot: BOOT, seq: 3, region: "fra", intervalMs: 10_000, kind: "alive" };
const MODEL = {
  ...{ generation: 7, digest: 281_474_976_710_655 },
  log: { entries: 5, behind: 0, pending: 1 },
};
const TARGETS = [{
  target: "tcp:443:4f53cda1",
  state: "healthy" as const,
  since: "2026-01-01T00:00:00.000Z",
}];
const bytes = (value: unknown) =>
  new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
const heartbeatWith = (fields: object) => bytes({ v: 1, ...HEARTBEAT, ...fields });

Deno.test("heartbeats, values and events are read as they were written", () => {
  deepEqual(decodeHeartbeat(encodeHeartbeat(HEARTBEAT, "a")), { v: 1, ...HEARTBEAT });
  deepEqual(decodeValue(encodeValue({ boot: BOOT, seq: 7, targets: TARGETS })), {
    ...{ v: 1, boot: BOOT, seq: 7, targets: TARGETS },
  });
  deepEqual(decodeEvent(encodeEvent(BOOT, [{ address: "2001:DB8::1", seq: 2, targets: TARGETS }])), [
    { address: "2001:db8::1", boot: BOOT, seq: 2, targets: TARGETS },
  ]);
});

Deno.test("a value's first bytes say whether it is a report that is known, where they are as they are written here", () => {
  const known = { boot: BOOT, seq: 70, targets: TARGETS };
  const isNoLater = (value: Uint8Array, seq: number, boot = BOOT) => isNoLaterValue(value, { boot, seq });
  deepEqual([69, 70, 71].map((seq) => isNoLater(encodeValue(known), seq)), [false, true, true]);
  equal(isNoLater(encodeValue({ ...known, boot: "0123456789abcde0" }), 70), false, "another boot's");
  equal(isNoLater(encodeValue({ ...known, boot: BOOT + "0" }), 70), false, "a longer boot's");
  equal(isNoLater(encodeValue({ ...known, boot: BOOT.slice(1) }), 70), false, "a shorter boot's");
  const largest = { ...known, boot: BOOT.repeat(2), seq: 999_999_999_999_999 };
  equal(isNoLater(encodeValue(largest), 999_999_999_999_999, BOOT.repeat(2)), true);
  for (
    const other of [
      { boot: BOOT, v: 1, seq: 70, targets: TARGETS },
      { v: 2, ...known },
      { v: 1, ...known, seq: 0 },
      { v: 1, ...known, seq: 70.5 },
      { v: 1, ...known, seq: 1e15 },
      { v: 1, ...known, seq: "70" },
      "",
      `{"v":1,"boot":"${BOOT}","seq":70`,
      `{"v":1,"boot":"${BOOT}","seq":,`,
    ]
  ) equal(isNoLater(bytes(other), Number.MAX_SAFE_INTEGER), false, JSON.stringify(other));
});

Deno.test("the formats have one spelling, which other versions and programs rely on", () => {
  const text = (written: Uint8Array) => new TextDecoder().decode(written);
  equal(
    text(encodeHeartbeat(HEARTBEAT, "a")),
    `{"v":1,"node":"a","boot":"${BOOT}","seq":3,"region":"fra","intervalMs":10000,"kind":"alive"}`,
  );
  equal(
    text(encodeHeartbeat({ ...HEARTBEAT, model: MODEL })),
    `{"v":1,"boot":"${BOOT}","seq":3,"region":"fra","intervalMs":10000,"kind":"alive",` +
      `"model":{"generation":7,"digest":281474976710655,"log":{"entries":5,"behind":0,"pending":1}}}`,
  );
  equal(
    text(encodeValue({ boot: BOOT, seq: 7, targets: TARGETS })),
    `{"v":1,"boot":"${BOOT}","seq":7,"targets":[{"target":"tcp:443:4f53cda1","state":"healthy","since":"2026-01-01T00:00:00.000Z"}]}`,
  );
  deepEqual(wireNames("prod", "fra1"), {
    heartbeat: "gslb.prod.membership.heartbeat.fra1",
    publicHeartbeat: "gslb.prod.membership.heartbeat",
    heartbeats: "gslb.prod.membership.heartbeat.*",
    health: { v4: "gslb.prod.health.fra1.v4", v6: "gslb.prod.health.fra1.v6" },
    healthEvents: "gslb.prod.health.*.*",
    healthBucket: "gslb_prod_health",
    membershipBucket: "gslb_prod_membership",
    logStream: "GSLB_PROD_LOG",
    logSubject: "gslb.prod.log",
    configBucket: "gslb_prod_config",
    discoveryBucket: "gslb_prod_discovery",
    inboxPrefix: "_INBOX.prod.fra1",
  });
});

Deno.test("what a later version adds is left alone", () => {
  deepEqual(decodeHeartbeat(heartbeatWith({ load: 0.5 })), { v: 1, ...HEARTBEAT });
  const later = { ...MODEL, zones: 3, log: { ...MODEL.log, term: 9 } };
  deepEqual(decodeHeartbeat(heartbeatWith({ model: later })), { v: 1, ...HEARTBEAT, model: MODEL });
  const alone = { generation: 7, digest: null, log: null };
  deepEqual(decodeHeartbeat(heartbeatWith({ model: alone })), { v: 1, ...HEARTBEAT, model: alone });
});

const WRONG: readonly (readonly [title: string, bytes: Uint8Array])[] = [
  ["another version", heartbeatWith({ v: 99 })],
  ["no version", bytes(HEARTBEAT)],
  ["a boot that isn't hex", heartbeatWith({ boot: "a.b c" })],
  ["a number that counts down", heartbeatWith({ seq: -1 })],
  ["a number that isn't whole", heartbeatWith({ seq: 1.5 })],
  ["a word that isn't known", heartbeatWith({ kind: "dead" })],
  ["a model that counts down", heartbeatWith({ model: { ...MODEL, generation: -1 } })],
  ["a long region", heartbeatWith({ region: "x".repeat(257) })],
  ["more bytes than it may have", heartbeatWith({ padding: "x".repeat(4096) })],
  ["no JSON", bytes("{")],
  ["nothing", new Uint8Array(0)],
  ["bytes that are no UTF-8", new Uint8Array([0xff, 0xfe])],
  ["a list in lists", bytes("[".repeat(2_000) + "]".repeat(2_000))],
  ["null", bytes("null")],
];

for (const [title, wrong] of WRONG) {
  Deno.test(`a heartbeat is refused that has ${title}`, () => void throws(() => decodeHeartbeat(wrong)));
}

Deno.test("values and events are refused that are too large, or say what isn't known", () => {
  const value = (fields: object) => bytes({ v: 1, boot: BOOT, seq: 1, targets: TARGETS, ...fields });
  throws(() => decodeValue(value({ padding: "x".repeat(VALUE_SIZE_MAX) })), RangeError);
  throws(() => decodeValue(value({ targets: Array(65).fill(TARGETS[0]) })));
  throws(() => decodeValue(value({ targets: [{ ...TARGETS[0], state: "unknown" }] })));
  throws(() => decodeValue(value({ targets: [{ ...TARGETS[0], target: "tcp:443" }] })));
  throws(() => decodeEvent(bytes({ v: 1, boot: BOOT, addresses: [{ address: "x", seq: 1, targets: [] }] })));
  throws(
    () => decodeEvent(bytes(`{"v":1,"boot":"${BOOT}","addresses":[],"x":"${"x".repeat(300_000)}"}`)),
    RangeError,
  );
});

Deno.test("of an event every report is looked at, but those that are known", () => {
  const right = { target: "tcp:443:4f53cda1", state: "healthy", since: "2026-11-22T00:00:00.000Z" };
  const report = { address: "192.0.2.7", seq: 3, targets: [right] };
  const read = (other: unknown, isKnown?: Parameters<typeof decodeEvent>[1]) =>
    decodeEvent(
      new TextEncoder().encode(
        JSON.stringify({ v: 1, boot: "0011223344556677", addresses: [report, other] }),
      ),
      isKnown,
    );
  equal(read({ ...report, later: 1, targets: [{ ...right, later: 1 }] }).length, 2);
  const wrongTargets = [
    { ...right, target: "tcp:443" },
    { ...right, target: 7 },
    { ...right, state: "unknown" },
    { ...right, since: "0".repeat(41) },
    { ...right, since: null },
    { target: right.target, state: "healthy" },
    null,
    "tcp",
  ];
  const wrong = [
    ...wrongTargets.map((each) => ({ ...report, targets: [right, each] })),
    ...[0, 1.5, -1, 2 ** 53, "3", null].map((seq) => ({ ...report, seq })),
    ...["", "192.0.2", "0".repeat(46), 7, null].map((address) => ({ ...report, address })),
    { ...report, targets: Array.from({ length: 65 }, () => right) },
    { ...report, targets: { length: 1, 0: right } },
    { address: report.address, seq: 3 },
    null,
    [],
    "192.0.2.7",
  ];
  for (const each of wrong) throws(() => read(each), JSON.stringify(each) ?? "nothing");
  const isKnown = (address: string, { boot, seq }: { readonly boot: string; readonly seq: number }) =>
    address === "192.0.2.7" && boot === "0011223344556677" && seq <= 3;
  deepEqual(
    read({ ...report, seq: 4 }, isKnown).map(({ seq }) => seq),
    [4],
  );
});

Deno.test("a key names a node and an address, and nothing else", () => {
  equal(healthKey("fra1", "192.0.2.1"), "fra1.c0000201");
  equal(healthKey("fra1", "2001:db8::1"), "fra1.20010db8000000000000000000000001");
  deepEqual(parseHealthKey("fra1.c0000201"), { node: "fra1", address: "192.0.2.1" });
  deepEqual(parseHealthKey("fra1.20010db8000000000000000000000001"), {
    node: "fra1",
    address: "2001:db8::1",
  });
  for (
    const key of [
      "fra1",
      "fra1.c000020",
      "fra1.C0000201",
      `fra1.${"a".repeat(65)}`,
      "a.b.c0000201",
      ".c0000201",
    ]
  ) {
    equal(parseHealthKey(key), null, key);
  }
});

Deno.test("a subject names the node that may write to it", () => {
  equal(nodeOfSubject("gslb.prod.membership.heartbeat.fra1"), "fra1");
  equal(nodeOfSubject("gslb.prod.health.fra1.v6"), "fra1");
});
