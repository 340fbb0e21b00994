/**
 * The parts of distribution that need no server: what is compared, what is queued, what is read.
 *
 * @module
 */
import { deepEqual, equal, match, ok, rejects, throws } from "node:assert/strict";
import { seededRng, systemClock } from "../../src/clock.ts";
import { ApiProxy, eventOf } from "../../src/distribute/api_proxy.ts";
import { compare, mustConfirm, type PrimaryZone } from "../../src/distribute/compare.ts";
import { type Header, HttpReader, passedOn, writeMessage } from "../../src/distribute/http_message.ts";
import {
  encodeDataRequest,
  encodeEvent,
  encodeStateFault,
  encodeStateReply,
  readDataReply,
  readEvent,
  readStateReply,
  type ZoneState,
} from "../../src/distribute/messages.ts";
import { providerMetrics, proxyMetrics } from "../../src/distribute/metrics.ts";
import { DnsListener } from "../../src/distribute/dns_listener.ts";
import { FramedReader } from "../../src/distribute/framed_reader.ts";
import { signingPaceMs } from "../../src/distribute/health_checker.ts";
import { ZoneQueue } from "../../src/distribute/queue.ts";
import { SerialQuery } from "../../src/distribute/serial_query.ts";
import { type Before, Transfers } from "../../src/distribute/transfers.ts";
import { ZoneProvider } from "../../src/distribute/zone_provider.ts";
import { TransferReader } from "../../src/distribute/zone_messages.ts";
import { ZoneTextReader } from "../../src/distribute/zone_text.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { TYPE } from "../../src/wire/record_type.ts";
import { encodeResponse, type WireRecord } from "../../src/wire/response.ts";
import { Registry } from "../../src/telemetry/metrics.ts";
import { ManualClock, settle } from "../clock.ts";
import { until } from "./installation.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const DAY_S = 86_400;

Deno.test("compare() orders what differs and nothing else", () => {
  const nowMs = 1_000 * DAY_S * 1_000;
  const now = nowMs / 1000;
  const signed = (fromDays: number, untilDays: number, keyTags = [1]) => ({
    ...{ fromSeconds: now + fromDays * DAY_S, untilSeconds: now + untilDays * DAY_S, keyTags },
  });
  const rows: readonly [PrimaryZone | null, ZoneState | null, string | null][] = [
    [{ serial: 1, isSigned: false }, { serial: 1, isForeign: false }, null],
    [{ serial: 1, isSigned: false }, { serial: 2, isForeign: false }, "modified serial"],
    [{ serial: 2, isSigned: false }, { serial: 1, isForeign: false }, "modified serial"],
    [{ serial: 0, isSigned: false }, { serial: 0, isForeign: false }, null],
    [{ serial: 0, isSigned: false }, { serial: null, isForeign: false }, "modified serial"],
    [{ serial: 4_294_967_295, isSigned: false }, { serial: 0, isForeign: false }, "modified serial"],
    [{ serial: 1, isSigned: false }, null, "add missing"],
    [null, { serial: 1, isForeign: false }, "delete extra"],
    [null, { serial: 1, isForeign: true }, null],
    [{ serial: 1, isSigned: false }, { serial: 9, isForeign: true }, null],
    [{ serial: 1, isSigned: true, signature: signed(-7, 14) }, { serial: 1, isForeign: false }, null],
    [
      { serial: 1, isSigned: true, signature: signed(-7, 14) },
      { serial: 1, isForeign: false, signature: signed(-7, 14) },
      null,
    ],
    [
      { serial: 1, isSigned: true, signature: signed(-7, 14) },
      { serial: 1, isForeign: false, signature: signed(-20, 1) },
      "modified expiring",
    ],
    // The primary has none that ends later: to fetch it again would change nothing.
    [
      { serial: 1, isSigned: true, signature: signed(-20, 1) },
      { serial: 1, isForeign: false, signature: signed(-20, 1) },
      null,
    ],
    [
      { serial: 1, isSigned: true, signature: signed(0, 21) },
      { serial: 1, isForeign: false, signature: signed(-7, 14) },
      "modified signatures",
    ],
    [
      { serial: 1, isSigned: true, signature: signed(-7, 14, [1, 2]) },
      { serial: 1, isForeign: false, signature: signed(-7, 14) },
      "modified keys",
    ],
    [
      { serial: 1, isSigned: true, signature: signed(-7, 14) },
      { serial: 1, isForeign: false, signature: null },
      "modified signatures",
    ],
    [
      { serial: 1, isSigned: false, signature: null, digest: "a" },
      { serial: 1, isForeign: false, signature: null, digest: "b" },
      "modified content",
    ],
  ];
  for (const [held, state, expected] of rows) {
    const { orders } = compare({
      primary: new Map(held === null ? [] : [["a.test.", held]]),
      secondary: new Map(state === null ? [] : [["a.test.", state]]),
      ...{ nowMs, remainingMs: 3 * DAY_S * 1000 },
    });
    const said = orders.map(({ kind, reason }) => `${kind} ${reason}`);
    deepEqual(said, expected === null ? [] : [expected], JSON.stringify([held, state]));
  }
});

Deno.test("mustConfirm() lets a fifth of the zones go without asking", () => {
  const deletes = (count: number) =>
    Array.from(
      { length: count },
      (_, i) => ({ kind: "delete" as const, zone: `${i}.`, reason: "extra" as const }),
    );
  deepEqual([0, 1, 20, 21, 100].map((count) => mustConfirm(deletes(count), 100)), [
    false,
    false,
    false,
    true,
    true,
  ]);
});

Deno.test("the signing sync takes its time with many zones, and no more than half an hour as long as it can", () => {
  const spread = (zones: number) => signingPaceMs(zones) * zones / 1000;
  deepEqual([1, 1_000, 18_000, 100_000, 180_000, 1_000_000].map(spread), [
    0.1,
    100,
    1_800,
    1_800,
    1_800,
    10_000,
  ]);
});

Deno.test("a job that waits goes into the one that takes its place, where both count", async () => {
  const done: string[] = [];
  const hold = Promise.withResolvers<void>();
  await using queue = new ZoneQueue<string>({
    ...{ workers: 1, clock: new ManualClock(), rng: seededRng(1), onFault: () => {} },
    join: (waiting, later) => waiting + later,
    run: async (_, job) => {
      done.push(job);
      await hold.promise;
    },
  });
  for (const job of ["1", "2", "3"]) queue.add("a.", job);
  hold.resolve();
  await settle();
  deepEqual(done, ["1", "23"]);
});

Deno.test("of a zone one job runs, and the latest waits; one that fails is tried again while others go on", async () => {
  const clock = new ManualClock();
  const done: string[] = [];
  const holds = new Map<string, PromiseWithResolvers<void>>();
  const faults: string[] = [];
  let running = 0;
  await using queue = new ZoneQueue<string>({
    ...{ workers: 2, clock, rng: seededRng(1) },
    run: async (zone, job) => {
      ok(++running <= 2);
      const hold = Promise.withResolvers<void>();
      holds.set(`${zone} ${job}`, hold);
      await hold.promise.finally(() => running--);
      done.push(`${zone} ${job}`);
    },
    onFault: (zone, job) => faults.push(`${zone} ${job}`),
  });
  for (const job of ["1", "2", "3"]) queue.add("a.", job);
  queue.add("b.", "1");
  await settle();
  deepEqual([...holds.keys()], ["a. 1", "b. 1"]);
  holds.get("a. 1")!.resolve();
  await settle();
  deepEqual([...holds.keys()], ["a. 1", "b. 1", "a. 3"]);
  holds.get("a. 3")!.reject(new Error("refused"));
  await settle();
  deepEqual([done, faults, queue.running], [["a. 1"], ["a. 3"], 1]);
  queue.add("c.", "1");
  await settle();
  holds.get("c. 1")!.resolve();
  holds.get("b. 1")!.resolve();
  await settle();
  holds.delete("a. 3");
  await clock.advance(500);
  holds.get("a. 3")!.resolve();
  await settle();
  deepEqual([done, queue.size], [
    ["a. 1", "c. 1", "b. 1", "a. 3"].toSorted((a, b) => done.indexOf(a) - done.indexOf(b)),
    0,
  ]);
});

Deno.test("broken events are refused in words", () => {
  const rows: readonly [string, RegExp][] = [
    ["", /no JSON/],
    ["[".repeat(10_000), /no JSON/],
    ["{}", /^zone:/],
    [`{"zone":"","changed_at":"2026-01-01T00:00:00Z"}`, /^zone: is no name of a zone: ""/],
    [`{"zone":"*.a.test.","changed_at":"2026-01-01T00:00:00Z"}`, /^zone: is no name/],
    [`{"zone":"a..test.","changed_at":"2026-01-01T00:00:00Z"}`, /^zone: is no name/],
    [`{"zone":"a.test.","changed_at":"yesterday"}`, /^changed_at: is no time/],
    [`{"zone":"a.test.","created_at":"2026-01-01T00:00:00Z"}`, /^changed_at is missing/],
    [`{"zone":"a.test.","changed_at":"2026-01-01T00:00:00Z","serial":-1}`, /^serial:/],
    [`{"zone":"a.test.","changed_at":"2026-01-01T00:00:00Z","epoch":"1"}`, /^epoch:/],
  ];
  for (const [text, fault] of rows) {
    const read = readEvent("modified", bytes(text));
    ok("fault" in read && fault.test(read.fault), `${text.slice(0, 80)}: ${JSON.stringify(read)}`);
  }
  const event = readEvent(
    "modified",
    bytes(`{"zone":"A.Test","changed_at":"2099-01-01T00:00:00.123456789+02:00"}`),
  );
  deepEqual("zone" in event && [event.zone, event.serial, event.epoch], ["a.test.", null, null]);
  const full = { kind: "delete" as const, zone: "a.test.", atMs: 0, serial: 4_294_967_295, epoch: 7 };
  deepEqual(readEvent("delete", encodeEvent(full)), full);
});

Deno.test("states come through, and one that can't be told isn't an empty one", () => {
  const states = new Map<string, ZoneState>([
    ["a.test.", { serial: 2_147_483_651, isForeign: false }],
    ["b.test.", { serial: null, isForeign: false }],
    ["c.test.", {
      ...{ serial: 0, isForeign: false, digest: "d", checkedSeconds: 9 },
      signature: { fromSeconds: 1, untilSeconds: 2, keyTags: [3] },
    }],
    ["d.test.", { serial: 4, isForeign: true }],
    ["e.test.", { serial: null, isForeign: false, isUnderWay: true }],
  ]);
  deepEqual(readStateReply(encodeStateReply(states, 0)), states);
  deepEqual(readStateReply(encodeStateFault("locked", 0)), { fault: "locked" });
  // As the Go services write it: signed.
  const go = readStateReply(
    bytes(`{"statemap":{"a.test.":-2147483645},"created_at":"2026-01-01T00:00:00Z"}`),
  );
  deepEqual(go, new Map([["a.test.", { serial: 2_147_483_651, isForeign: false }]]));
  ok("fault" in readStateReply(bytes(`{"statemap":{"a.test.":"1"}}`)));
  ok("fault" in readDataReply(bytes(`{"zone":"a.test."}`)));
});

Deno.test("what isn't exactly one zone is refused by name", () => {
  const soa = "a.test. 60 IN SOA ns1.a.test. h.a.test. 1 2 3 4 5";
  const read = (...texts: readonly string[]) => {
    const reader = new ZoneTextReader("a.test.");
    for (const text of texts) reader.add(text);
    return reader.finish().records.length;
  };
  equal(read(soa, "w.a.test. 60 IN A 192.0.2.1"), 1);
  equal(read(`${soa}\nw.a.test. 60 IN TYPE65534 \\# 2 abcd\nx.a.test. 60 IN TYPE65401 \\# 1 00\n${soa}`), 2);
  const rows: readonly [string, RegExp][] = [
    ["", /a\.test\. can't be taken: there is no SOA record/],
    ["w.a.test. 60 IN A 192.0.2.1", /doesn't begin with the SOA/],
    [`${soa}\n${soa.replace(" 1 2", " 9 2")}`, /second SOA record/],
    [`${soa}\n${soa}\nw.a.test. 60 IN A 192.0.2.1`, /behind the SOA record/],
    [`${soa}\nw.b.test. 60 IN A 192.0.2.1`, /w\.b\.test is outside/],
    [`${soa}\nw.${soa}`, /w\.a\.test has an SOA/],
    [soa.replace(" 1 2", " one 2"), /line 1/],
    [`${soa}\nw.a.test. 60 IN LUA A "x"`, /line 2/],
  ];
  for (const [text, fault] of rows) throws(() => read(text), fault, text);
});

Deno.test("messages behind their length are read however they come, and what is cut is none", async () => {
  const sizes = [1, 300, 4_094, 4_095, 65_535, 0, 7];
  const sent = sizes.map((size, i) => new Uint8Array(size).fill(i + 1));
  const stream = Uint8Array.from(sent.flatMap((each) => [each.length >> 8, each.length & 0xff, ...each]));
  for (const atOnce of [1, 2, 1_000, stream.length]) {
    let at = 0;
    const read = (into: Uint8Array) => {
      const part = stream.subarray(at, at + Math.min(atOnce, into.length));
      into.set(part);
      at += part.length;
      return Promise.resolve(part.length === 0 ? null : part.length);
    };
    const reader = new FramedReader({ read });
    for (const each of sent) deepEqual(await reader.next(), each);
    equal(await reader.next(), null);
  }
  let isRead = false;
  const cut = new FramedReader({
    read: (into) => {
      if (isRead) return Promise.resolve(null);
      isRead = true;
      into.set([0, 2, 1]);
      return Promise.resolve(3);
    },
  });
  equal(await cut.next(), null);
});

Deno.test("messages that aren't exactly one whole zone are refused by name", () => {
  const records = (zone: string, text: string) => {
    const reader = new ZoneTextReader(zone);
    reader.add(text);
    const { soa, records } = reader.finish();
    return [soa, ...records];
  };
  const soa = "a.test. 60 IN SOA ns1.a.test. h.a.test. 7 10800 3600 604800 3600\n";
  const [first, www, sub] = records(
    "a.test.",
    `${soa}www.a.test. 60 IN A 192.0.2.1\nx.WWW.a.test. 60 IN TXT "x"\n`,
  );
  const [later] = records("a.test.", soa.replace(" 7 ", " 8 "));
  const [below] = records("b.a.test.", soa.replace("a.test. 60", "b.a.test. 60"));
  const [outside] = records("test.", "test. 60 IN SOA ns1.a.test. h.a.test. 7 10800 3600 604800 3600\n");
  const message = (...answers: (WireRecord | undefined)[]) =>
    encodeResponse({
      ...{ id: 1, rd: false, aa: true, rcode: 0, edns: null, answers: answers.map((each) => each!) },
      question: { name: "a.test", type: TYPE.AXFR, class: 1 },
    });
  const read = (...messages: Uint8Array[]) => {
    const reader = new TransferReader("a.test.");
    for (const each of messages) reader.take(each);
    return reader.serial;
  };
  equal(read(message(first, www, sub, first)), 7);
  equal(read(message(first), message(www, sub), message(first)), 7);
  const cut = message(first, www, first).slice(0, -3);
  const refused = Uint8Array.from(message(first, first), (byte, i) => i === 3 ? byte | 5 : byte);
  const surplus = Uint8Array.of(...message(first, first), 0);
  const rows: readonly [Uint8Array[], RegExp][] = [
    [[message(first, www)], /its end is missing/],
    [[message(www, first)], /doesn't begin with the SOA record/],
    [[message(first, later)], /its SOA records differ/],
    [[message(first, below)], /a name below it has an SOA record/],
    [[message(first, outside)], /a record is outside the zone/],
    [[message(first, first, www)], /records behind the SOA record at the end/],
    [[message(first), message()], /a message is empty/],
    [[message(first, { ...www!, type: TYPE.OPT })], /a record is none of a zone/],
    [[cut], /a record isn't whole/],
    [[surplus], /goes on behind its last record/],
    [[refused], /it is answered with REFUSED/],
    [[new Uint8Array(11)], /no whole header/],
  ];
  for (const [messages, fault] of rows) {
    throws(() => read(...messages), { name: "SyntaxError", message: fault });
  }
});

Deno.test("which zone a request changed is read from its path or the answer, else there is no event", () => {
  const base = "/api/v1/servers/localhost/zones";
  const rows: readonly [string, string, string, string, string | null][] = [
    ["POST", base, `{"name":"a.test."}`, `{"name":"a.test."}`, "add a.test."],
    ["POST", `${base}?rrsets=false`, `{"id":"zz","name":"yy."}`, `{"id":"yy.","name":"yy."}`, "add yy."],
    ["POST", base, `{"name":"a.test."}`, "", "add a.test."],
    ["POST", base, `{"name":"a.","name":"B.test."}`, "{", "add b.test."],
    ["POST", base, "not JSON", "neither", "add null"],
    ["POST", base, "[".repeat(10_000), "", "add null"],
    ["PATCH", `${base}/A.TEST.`, "", "", "modified a.test."],
    ["PUT", `${base}/0=2F25.a.test.`, "", "", "modified 0/25.a.test."],
    ["PUT", `${base}/0%2F25.a.test`, "", "", "modified 0/25.a.test."],
    ["PATCH", `${base}/${"a".repeat(256)}.test.`, "", "", "modified null"],
    ["PATCH", `${base}/%ff`, "", "", "modified null"],
    ["DELETE", `${base}/a.test.`, "", "", "delete a.test."],
    ["PUT", `${base}/a.test./rectify`, "", "", "modified a.test."],
    ["POST", `${base}/a.test./metadata`, "", "", "modified a.test."],
    ["DELETE", `${base}/a.test./metadata/SOA-EDIT`, "", "", "modified a.test."],
    ["PUT", `${base}/a.test./cryptokeys/1`, "", "", "modified a.test."],
    ["GET", `${base}/a.test.`, "", "", null],
    ["PUT", `${base}/a.test./notify`, "", "", null],
    ["PUT", `${base}/a.test./axfr-retrieve`, "", "", null],
    ["PUT", "/api/v1/servers/localhost/cache/flush?domain=a.test.", "", "", null],
    ["POST", "/elsewhere/zones", `{"name":"a.test."}`, "", null],
  ];
  for (const [method, target, body, answer, expected] of rows) {
    const event = eventOf({ method, target, body: bytes(body) }, { body: bytes(answer) });
    equal(event && `${event.kind} ${event.zone}`, expected, `${method} ${target} ${body.slice(0, 40)}`);
  }
});

/** A connection whose other end has sent that, in pieces of that size. */
function socketOf(text: string, pieceSize = 7) {
  let rest = bytes(text);
  const written: Uint8Array[] = [];
  return {
    written: () => written.map((each) => new TextDecoder().decode(each)).join(""),
    read: (into: Uint8Array) => {
      const piece = rest.subarray(0, Math.min(pieceSize, into.length));
      rest = rest.subarray(piece.length);
      into.set(piece);
      return Promise.resolve(piece.length === 0 ? null : piece.length);
    },
    write: (data: Uint8Array) => {
      written.push(data.slice());
      return Promise.resolve(data.length);
    },
  };
}

Deno.test("a message goes on with its headers as they came, repeated ones too", async () => {
  const text =
    "PATCH /a%2e/..b HTTP/1.1\r\nHost: ns1\r\nX-A: 1\r\nx-a: 2\r\nConnection: close, X-Own\r\nX-Own: 3\r\n" +
    "Transfer-Encoding: chunked\r\n\r\n4;x=y\r\nwiki\r\n5\r\npedia\r\n0\r\nTrailer: 1\r\n\r\nGET";
  const reader = new HttpReader(socketOf(text));
  const head = (await reader.head())!;
  const { body, isCut } = await reader.body(head, { sizeMax: 100, toEnd: false });
  deepEqual([new TextDecoder().decode(body), isCut], ["wikipedia", false]);
  const passed: Header[] = [["Host", "ns1"], ["X-A", "1"], ["x-a", "2"]];
  deepEqual(passedOn(head.headers), passed);
  const out = socketOf("");
  await writeMessage(out, { startLine: head.startLine, headers: passed }, body);
  equal(
    out.written(),
    "PATCH /a%2e/..b HTTP/1.1\r\nHost: ns1\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 9\r\n\r\nwikipedia",
  );
});

Deno.test("bodies whose length can't be known, or that are too large, are refused", async () => {
  const rows: readonly [string, number | "cut"][] = [
    ["Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400],
    ["Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400],
    ["Content-Length: -3\r\n\r\n", 400],
    ["Content-Length: 101\r\n\r\n", 413],
    ["Transfer-Encoding: gzip\r\n\r\n", 501],
    ["Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400],
    [`Transfer-Encoding: chunked\r\n\r\n65\r\n${"x".repeat(101)}`, 413],
    ["Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n", 400],
    ["Content-Length: 9\r\n\r\nabc", "cut"],
    ["Transfer-Encoding: chunked\r\n\r\n3\r\nab", "cut"],
  ];
  for (const [text, expected] of rows) {
    const reader = new HttpReader(socketOf(`POST / HTTP/1.1\r\n${text}`));
    const reading = reader.head().then((head) => reader.body(head!, { sizeMax: 100, toEnd: false }));
    if (expected === "cut") equal((await reading).isCut, true, text);
    else await rejects(reading, { name: "HttpFault", status: expected }, text);
  }
  await rejects(new HttpReader(socketOf(`GET / HTTP/1.1\r\nA: ${"x".repeat(70_000)}`, 8_192)).head(), {
    status: 431,
  });
  await rejects(new HttpReader(socketOf("GET / HTTP/1.1\r\nA : 1\r\n\r\n")).head(), { status: 400 });
});

Deno.test("a change that was taken gives its event though the answer is cut behind its head, and a path with dots goes nowhere", async () => {
  const body = '{"name":"a.test."}';
  const upstream = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let asked = 0;
  const serving = (async () => {
    for await (const conn of upstream) {
      asked++;
      // All of it: a connection that is closed before that is reset, and what was answered is lost.
      const buffer = new Uint8Array(65_536);
      for (let text = ""; !text.endsWith(body);) {
        text += new TextDecoder().decode(buffer.subarray(0, await conn.read(buffer) ?? 0));
      }
      await conn.write(bytes('HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{"name":"a'));
      conn.close();
    }
  })();
  const told: string[] = [];
  let written = () => "";
  const events = { add: "zone.add", modified: "zone.modified", delete: "zone.delete" };
  const proxy = new ApiProxy({
    upstream: { hostname: "127.0.0.1", port: upstream.addr.port, isTls: false },
    writesAtOnce: 1,
    subjects: { events, zoneState: "", zoneData: "", zoneDataWildcard: "" },
    publish: (subject, data) => {
      match(written(), /^HTTP\/1\.1 201 /);
      told.push(`${subject} ${JSON.parse(new TextDecoder().decode(data)).zone}`);
    },
    ...{ clock: systemClock, metrics: proxyMetrics(new Registry({})) },
    log: createLogger({ level: "error", format: "json", clock: systemClock, write: () => {} }),
  });
  const answerTo = async (text: string) => {
    const socket = { ...socketOf(text), close: () => {} };
    written = socket.written;
    await proxy.serve(socket);
    return socket.written();
  };
  const zones = "/api/v1/servers/localhost/zones";
  const post = `POST ${zones} HTTP/1.1\r\nHost: ns1\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  match(await answerTo(post), /^HTTP\/1\.1 201 Created\r\n[^]*Content-Length: 100\r\n[^]*\{"name":"a$/);
  deepEqual([told, asked], [["zone.add a.test."], 1]);
  for (const path of [`${zones}/../config`, `${zones}/%2e%2E/config`, `${zones}/./a.test.`, "/.."]) {
    match(await answerTo(`DELETE ${path} HTTP/1.1\r\nHost: ns1\r\n\r\n`), /^HTTP\/1\.1 400 /, path);
  }
  deepEqual([told.length, asked], [1, 1]);
  upstream.close();
  await serving;
});

/** A PowerDNS as far as transfers see it, with one zone. @param answered the serial that it answers; `null` = it doesn't */
function fakePowerDns(
  clock: ManualClock,
  zone: { serial: number; lastCheck: number },
  answered: number | null = null,
) {
  const asked = { retrieve: 0, zone: 0, serial: 0, flush: 0 };
  const serials = {
    serial: () => {
      asked.serial++;
      return Promise.resolve(answered);
    },
  };
  const powerDns = {
    retrieve: () => Promise.resolve(void asked.retrieve++),
    flush: () => Promise.resolve(void asked.flush++),
    secondaryZone: (name: string) => {
      asked.zone++;
      return Promise.resolve({ name, kind: "Slave", dnssec: false, masters: [], ...zone });
    },
  };
  return { asked, transfers: new Transfers({ powerDns, serials, clock }) };
}

Deno.test("a transfer that PowerDNS doesn't store is given up, and the zone is worked on again", async () => {
  const clock = new ManualClock();
  const { signal } = new AbortController();
  const { transfers } = fakePowerDns(clock, { serial: 5, lastCheck: 0 });
  // Sent whole, and then something else is stored: by PowerDNS itself, or behind its back.
  transfers.begins("a.")(7);
  const outcome = transfers.stored("a.", { serial: 4, lastCheck: 0 }, signal);
  let isDone = false;
  outcome.then(() => isDone = true);
  await clock.advance(2_000);
  equal(isDone, false);
  await clock.advance(2_000);
  equal(await outcome, false);
  // Whoever comes next isn't kept waiting by it.
  equal(await transfers.stored("a.", { serial: 5, lastCheck: 0 }, signal), true);
  equal(transfers.size, 0);
});

Deno.test("that a transfer is stored shows in its serial, in the time of its storing, or in nothing for a while", async () => {
  const { signal } = new AbortController();
  const startS = new ManualClock().unixMs() / 1000;
  const rows: readonly [
    before: Before | null,
    found: { serial: number; lastCheck: number },
    isAtOnce: boolean,
  ][] = [
    [{ serial: 7, lastCheck: startS - 9 }, { serial: 7, lastCheck: startS }, true],
    // The time is that of a transfer before, in the same second.
    [{ serial: 7, lastCheck: startS }, { serial: 7, lastCheck: startS }, false],
    [{ serial: 7, lastCheck: startS - 9 }, { serial: 7, lastCheck: startS - 9 }, false],
    [null, { serial: 7, lastCheck: startS }, false],
    [null, { serial: 8, lastCheck: startS + 1 }, true],
  ];
  for (const [before, found, isAtOnce] of rows) {
    const clock = new ManualClock();
    const { transfers, asked } = fakePowerDns(clock, found);
    transfers.begins("a.")(7);
    const outcome = transfers.stored("a.", before, signal);
    await settle();
    equal(asked.zone, 0);
    await clock.advance(15);
    equal(asked.zone, 1);
    equal(transfers.size, isAtOnce ? 0 : 1, JSON.stringify([before, found]));
    await clock.advance(500);
    equal(await outcome, true);
  }
});

Deno.test("a serial that wasn't there before is looked for in answers first, and then in the API", async () => {
  const { signal } = new AbortController();
  const before = { serial: 6, lastCheck: 0 };
  // What is answered is all that is asked for. Other answers may have been kept while it was stored.
  {
    const clock = new ManualClock();
    const { transfers, asked } = fakePowerDns(clock, { serial: 6, lastCheck: 0 }, 7);
    transfers.begins("a.")(7);
    const outcome = transfers.stored("a.", before, signal);
    await clock.advance(15);
    equal(await outcome, true);
    deepEqual(asked, { retrieve: 0, zone: 0, serial: 1, flush: 1 });
    equal(transfers.size, 0);
  }
  // What it goes on to answer was kept before it has stored the zone.
  for (
    const found of [
      { serial: 7, lastCheck: 0 },
      // By PowerDNS itself, which has fetched what came after it.
      { serial: 8, lastCheck: new ManualClock().unixMs() / 1000 + 1 },
    ]
  ) {
    const clock = new ManualClock();
    const { transfers, asked } = fakePowerDns(clock, found, 6);
    transfers.begins("a.")(7);
    const outcome = transfers.stored("a.", before, signal);
    await clock.advance(500);
    equal(await outcome, true);
    deepEqual(asked, { retrieve: 0, zone: 1, serial: 4, flush: 1 });
  }
});

Deno.test("PowerDNS is told again until it comes, and what began before doesn't count", async () => {
  const clock = new ManualClock();
  const { signal } = new AbortController();
  const { transfers, asked } = fakePowerDns(clock, { serial: 5, lastCheck: 0 });
  const ownEnds = transfers.begins("a."); // by itself, before it was told
  const retrieved = transfers.retrieve("a.", signal);
  await settle();
  equal(asked.retrieve, 1);
  ownEnds(6);
  await clock.advance(250);
  equal(asked.retrieve, 2);
  const ends = transfers.begins("a.");
  await clock.advance(10_000);
  equal(asked.retrieve, 2);
  ends(7);
  const sent = (await retrieved)!;
  deepEqual([sent.serial, sent.tookMs], [7, 10_000]);
  const never = transfers.retrieve("b.", signal);
  await clock.advance(16_000);
  deepEqual([await never, asked.retrieve], [null, 8]);
  // Where it has stored the zone a moment ago it may just not be done with that.
  const again = transfers.retrieve("a.", signal, true);
  await clock.advance(30);
  equal(asked.retrieve, 10);
  transfers.begins("a.")(8);
  equal((await again)!.serial, 8);
});

/** A primary with zones of an SOA record each, over DNS; counts what is transferred. */
function fakePrimary(serialOfZone: (zone: string) => number | null) {
  const transferred: string[] = [];
  const soaOf = (zone: string) => {
    const serial = serialOfZone(zone);
    if (serial === null) return null;
    const text = `${zone} 60 IN SOA ns1.test. h.test. ${serial} 10800 3600 604800 3600`;
    const reader = new ZoneTextReader(zone);
    reader.add(text);
    return reader.finish();
  };
  const listener = new DnsListener({
    address: { hostname: "127.0.0.1", port: 0 },
    source: {
      soa: (zone) => Promise.resolve(soaOf(zone)).then((found) => found && [found.soa]),
      zone: (zone) => Promise.resolve(soaOf(zone)),
    },
    onQuery: () => {},
    onTransfer: (zone) => {
      transferred.push(zone);
      return () => {};
    },
    log: createLogger({ level: "error", format: "json", clock: systemClock, write: () => {} }),
  });
  return { listener, transferred };
}

Deno.test("what a provider has read of a zone since a change is given to all that ask for it, and nothing older", async () => {
  const held = new Map<string, number | null>([["a.test.", 1], ["b.test.", null]]);
  const { listener, transferred } = fakePrimary((zone) => held.get(zone) ?? null);
  const clock = new ManualClock();
  const registry = new Registry({});
  await using _listener = listener;
  await using provider = new ZoneProvider({
    dns: { server: listener.address, timeoutMs: 5_000 },
    ...{ clock, metrics: providerMetrics(registry) },
    log: createLogger({ level: "error", format: "json", clock: systemClock, write: () => {} }),
  });
  const events = { add: "zone.add", modified: "zone.modified", delete: "zone.delete" };
  const subjects = { events, zoneState: "", zoneData: "", zoneDataWildcard: "zonedata.*" };
  const { hear } = provider.subscription(subjects, () => ({ payloadMax: 1_048_576 }));
  const ask = (zone: string, changedMsAgo: number, asMessages = false) =>
    new Promise<string>((resolve) =>
      hear({
        subject: "zonedata.id",
        reply: "inbox",
        data: encodeDataRequest(
          { zone, onlySoa: false, inParts: true, asMessages, changedMsAgo },
          clock.unixMs(),
        ),
        respond: (data) => {
          const reply = readDataReply(data);
          if ("fault" in reply) return resolve(reply.fault), true;
          const transfer = new TransferReader(zone);
          for (const each of reply.messages) transfer.take(each);
          resolve(asMessages ? String(transfer.serial) : reply.text.split(" ")[2]!);
          return true;
        },
      })
    );
  // At once, from before the reading, and while it goes on.
  deepEqual(await Promise.all([ask("a.test.", 0), ask("a.test.", 0), ask("a.test.", 9)]), ["1", "1", "1"]);
  deepEqual(transferred, ["a.test."]);
  held.set("a.test.", 2);
  await clock.advance(50);
  equal(await ask("a.test.", 50), "1");
  equal(await ask("a.test.", 50, true), "1");
  equal(transferred.length, 1);
  equal(await ask("a.test.", 49), "2");
  equal(transferred.length, 2);
  // What couldn't be read isn't kept.
  ask("b.test.", 0);
  const failed = 'zoneprovider_powerdns_dns_query_total{qtype="AXFR",state="failed"} 1';
  await until(() => registry.expose().includes(failed), (is) => is);
  await settle();
  held.set("b.test.", 7);
  equal(await ask("b.test.", 1_000), "7");
});

Deno.test("a serial that is asked for over UDP is the one that is answered, and nothing else", async () => {
  const { listener } = fakePrimary((zone) => zone === "a.test." ? 4_000_000_000 : null);
  await using serials = new SerialQuery(listener.address);
  const silent = serials.serial("b.test.");
  deepEqual(await Promise.all([serials.serial("a.test."), serials.serial("a.test.")]), [
    4_000_000_000,
    4_000_000_000,
  ]);
  await listener[Symbol.asyncDispose]();
  let told: number | null | undefined;
  silent.then((serial) => told = serial);
  await serials[Symbol.asyncDispose]();
  await settle();
  equal(told, null);
  equal(await serials.serial("a.test."), null);
});
