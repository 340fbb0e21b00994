/** @module Updates at real servers: what they take, what they refuse, and what is said of that. */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { CheckLoop } from "../../src/agent/loop.ts";
import { NO_RECORDS, type RecordManager } from "../../src/agent/records.ts";
import { type Rfc2136Options, Rfc2136Records } from "../../src/agent/records/rfc2136.ts";
import { systemClock } from "../../src/clock.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { signMessage } from "../../src/wire/tsig.ts";
import { testWith } from "../programs.ts";
import { runs } from "../property_runs.ts";
import { KEY, KEY_SHA512, NameServer, STRANGER, ZONE } from "./name_servers.ts";
import { draws } from "./world.ts";

const signal = new AbortController().signal;
const log = createLogger({ level: "error", format: "json", clock: systemClock, write: () => {} });

for (const [make, programs] of [["knot", ["knotd"]], ["bind", ["named"]]] as const) {
  testWith(programs, `records at ${make}`, async (test) => {
    await using server = await NameServer.start(make);
    const recordsWith = (options: Partial<Rfc2136Options> = {}) =>
      new Rfc2136Records({
        server: server.address,
        zone: ZONE,
        key: KEY,
        secondaries: [],
        clock: systemClock,
        log,
        ...options,
      });
    const records = recordsWith();
    const read = (name: string) => records.read(name, "A", signal);
    const terms = { ttl: 5, wait: false };

    await test.step("are written, read, and deleted", async () => {
      const name = `one.${ZONE}`;
      deepEqual(await read(name), NO_RECORDS);
      const two = ["192.0.2.1", "192.0.2.2"];
      equal(await records.write(name, "A", two, { ...terms, expected: NO_RECORDS }, signal), "written");
      const set = await read(name);
      deepEqual([set.values.toSorted(), set.ttl], [two, 5]);
      equal(
        await records.write(name, "A", ["192.0.2.3"], { ttl: 7, wait: true, expected: set }, signal),
        "written",
      );
      deepEqual(await read(name), { values: ["192.0.2.3"], ttl: 7 });
      equal(await records.delete(name, "A", await read(name), signal), "written");
      equal(await records.delete(name, "A", NO_RECORDS, signal), "written");
      deepEqual(await read(name), NO_RECORDS);
    });

    await test.step("are written over IPv6 and with the other HMAC; texts of any length come back", async () => {
      const sha512 = recordsWith({ key: KEY_SHA512 });
      const expected = NO_RECORDS;
      equal(
        await sha512.write(`six.${ZONE}`, "AAAA", ["2001:db8::1"], { ...terms, expected }, signal),
        "written",
      );
      deepEqual((await sha512.read(`six.${ZONE}`, "AAAA", signal)).values, ["2001:db8::1"]);
      const texts = ["OwnerId=0a1b2c3d", `Note=${"é".repeat(200)}`];
      equal(await sha512.write(`_blocked.${ZONE}`, "TXT", texts, { ...terms, expected }, signal), "written");
      deepEqual((await sha512.read(`_blocked.${ZONE}`, "TXT", signal)).values.toSorted(), texts.toSorted());
    });

    await test.step("don't change when they aren't what was read", async () => {
      const name = `stale.${ZONE}`;
      equal(
        await records.write(name, "A", ["192.0.2.1"], { ...terms, expected: NO_RECORDS }, signal),
        "written",
      );
      const set = await read(name);
      for (const values of [[], ["192.0.2.1", "192.0.2.2"], ["192.0.2.2"]]) {
        const expected = { values, ttl: 5 };
        equal(await records.write(name, "A", ["192.0.2.9"], { ...terms, expected }, signal), "changed");
        if (values.length > 0) equal(await records.delete(name, "A", expected, signal), "changed");
      }
      deepEqual(await read(name), set);
    });

    await test.step("an empty set is never sent", async () => {
      const serial = await server.serial();
      const set = await read(`stale.${ZONE}`);
      await rejects(records.write(`stale.${ZONE}`, "A", [], { ...terms, expected: set }, signal), RangeError);
      equal(await server.serial(), serial);
    });

    await test.step("a check changes nothing", async () => {
      const serial = await server.serial();
      await records.check(`stale.${ZONE}`, "A", signal);
      await records.check(`none.${ZONE}`, "A", signal);
      equal(await server.serial(), serial);
    });

    await test.step("what is set up wrongly is said in a line that names the key", async () => {
      const name = `one.${ZONE}`;
      const says = async (options: Partial<Rfc2136Options>, words: RegExp, fqdn = name) => {
        const error = await recordsWith(options).check(fqdn, "A", signal).then(() => null, (error) => error);
        match(String(error), words);
        ok(!String(error).includes("\n"));
      };
      await says(
        { key: { ...KEY, secret: new Uint8Array(32) } },
        /RecordsRefused: .* \(fix agent\.rfc2136\.secret\)/,
      );
      await says(
        { key: { ...KEY, name: "unknown" } },
        /RecordsRefused: .*key unknown by hmac-sha256.*keyName/,
      );
      await says(
        { key: { ...KEY, algorithm: "hmac-sha512" } },
        /RecordsRefused: .*key agents by hmac-sha512/,
      );
      await says({ key: STRANGER }, /RecordsRefused: .*key stranger/);
      for (const [offS, words] of [[400, "400 s ahead of it"], [-400, "400 s behind it"]] as const) {
        const clock = { ...systemClock, unixMs: () => systemClock.unixMs() + offS * 1000 };
        const error: unknown = await recordsWith({ clock }).check(name, "A", signal).catch((error) => error);
        match(String(error), /RecordsRefused: .*(set the clock)/);
        // A second may have passed.
        match(String(error), new RegExp(words.replace("400", "(399|400|401)")));
      }
      await says(
        {},
        /www\.example\.net isn't in the zone example\.org \(fix agent\.fqdn or/,
        "www.example.net",
      );
      await says({}, /alias\.example\.org is an alias \(CNAME\)/, `alias.${ZONE}`);
      await says({}, /www\.wild\.example\.org A comes from a wildcard/, `www.wild.${ZONE}`);
      await says({ zone: "org" }, /RecordsRefused: .*agent\.rfc2136\.zone/);
    });

    await test.step("a hundred addresses fit; of more BIND says no, and how to change that", async () => {
      const name = `many.${ZONE}`;
      const addresses = Array.from({ length: 101 }, (_, i) => `198.51.100.${i}`);
      const write = async (count: number) => {
        const expected = await read(name);
        return await records.write(name, "A", addresses.slice(0, count), { ...terms, expected }, signal);
      };
      equal(await write(100), "written");
      if (make === "bind") {
        await rejects(write(101), /failed to write 101 addresses \(BIND takes 100 of a type/);
      } else equal(await write(101), "written");
      equal((await read(name)).values.length, make === "bind" ? 100 : 101);
    });

    await test.step("servers that join at once lose nothing, and no reader sees an empty set", async () => {
      const fqdn = `join.${ZONE}`;
      const addresses = Array.from({ length: 8 }, (_, i) => `192.0.2.${i + 1}`);
      const seen: number[] = [];
      let isOver = false;
      const reading = (async () => {
        while (!isOver) seen.push((await read(fqdn)).values.length);
      })();
      const loops = addresses.map((self, i) =>
        new CheckLoop({
          fqdn,
          self,
          intervalMs: 5_000,
          limits: { minimumFailures: 3, maximumFailures: 60 },
          records,
          probe: () => Promise.resolve(null),
          clock: systemClock,
          rng: draws(i + 1),
          log,
        })
      );
      for (let round = 0; round < 3; round++) {
        await Promise.all(loops.map((loop) => loop.round(signal)));
        if ((await read(fqdn)).values.length === addresses.length) break;
      }
      isOver = true;
      await reading;
      deepEqual((await read(fqdn)).values.toSorted(), addresses);
      const first = seen.findIndex((size) => size > 0);
      ok(first >= 0 && seen.slice(first).every((size) => size > 0));
    });

    await test.step("quiet rounds read once each, and the server's serial number stays", async () => {
      const fqdn = `quiet.${ZONE}`;
      let reads = 0;
      const counted: RecordManager = {
        read: (...of) => (reads++, records.read(...of)),
        write: (...of) => records.write(...of),
        delete: (...of) => records.delete(...of),
      };
      const loop = new CheckLoop({
        fqdn,
        self: "192.0.2.1",
        intervalMs: 600_000, // so that no read takes too long to be quiet
        limits: { minimumFailures: 3, maximumFailures: 60 },
        records: counted,
        probe: () => Promise.resolve(null),
        clock: systemClock,
        rng: draws(1),
        log,
      });
      equal((await loop.round(signal)).outcome, "written");
      const serial = await server.serial();
      reads = 0;
      for (let round = 0; round < runs(5); round++) equal((await loop.round(signal)).outcome, "quiet");
      deepEqual([reads, await server.serial()], [runs(5), serial]);
    });

    await test.step("two servers that remove each other leave one", async () => {
      const fqdn = `split.${ZONE}`;
      const both = ["192.0.2.1", "192.0.2.2"];
      equal(await records.write(fqdn, "A", both, { ...terms, expected: NO_RECORDS }, signal), "written");
      const loops = both.map((self, i) =>
        new CheckLoop({
          fqdn,
          self,
          intervalMs: 5_000,
          limits: { minimumFailures: 1, maximumFailures: 60 },
          records,
          probe: () => Promise.resolve("connection refused"),
          clock: systemClock,
          rng: draws(i + 1),
          log,
        })
      );
      for (let round = 0; round < 10; round++) {
        await Promise.all(loops.map((loop) => loop.round(signal)));
        equal((await read(fqdn)).values.length, 1);
      }
    });
  });
}

testWith(["knotd"], "a secondary can't be updated, and a change is waited for there", async () => {
  await using primary = await NameServer.start("knot");
  await using secondary = await NameServer.start("knot", { primary: primary.address });
  const options = { zone: ZONE, key: KEY, clock: systemClock, log };
  const wrong = new Rfc2136Records({ ...options, server: secondary.address, secondaries: [] });
  await rejects(wrong.check(`www.${ZONE}`, "A", signal), /isn't the primary/);
  const serial = await secondary.serial();
  const clock = { ...systemClock, sleep: () => Promise.reject(new Error("waits for the secondary")) };
  const waiting = new Rfc2136Records({
    ...options,
    clock,
    server: primary.address,
    secondaries: [secondary.address],
  });
  // Nothing tells the secondary of the change, so it is behind when it is looked at.
  const terms = { ttl: 5, wait: true, expected: NO_RECORDS };
  await rejects(waiting.write(`www.${ZONE}`, "A", ["192.0.2.1"], terms, signal), /waits for the secondary/);
  equal(await secondary.serial(), serial);
  // One that has the very serial number of the change isn't waited for.
  const level = new Rfc2136Records({
    ...options,
    clock,
    server: primary.address,
    secondaries: [primary.address],
  });
  equal(await level.write(`level.${ZONE}`, "A", ["192.0.2.1"], terms, signal), "written");
});

Deno.test("an answer that another has signed, or that was signed for another question, isn't believed", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const server = { hostname: "127.0.0.1", port: listener.addr.port };
  const records = new Rfc2136Records({
    ...{ server, zone: ZONE, key: KEY, secondaries: [], clock: systemClock, log },
  });
  for (const key of [{ ...KEY, secret: new Uint8Array(32) }, KEY]) {
    const refused = rejects(
      records.read(`www.${ZONE}`, "A", signal),
      /RecordsRefused: .* answered NOERROR with a wrong signature/,
    );
    using connection = await listener.accept();
    const asked = new Uint8Array(512);
    await connection.read(asked);
    const answer = Uint8Array.of(asked[2]!, asked[3]!, 0x84, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    // What was asked belongs to what is signed (RFC 8945 §5.3), and isn't in it here.
    const { bytes } = signMessage(answer, key, Math.floor(systemClock.unixMs() / 1000));
    await connection.write(Uint8Array.of(bytes.length >> 8, bytes.length, ...bytes));
    await refused;
  }
});

Deno.test("a server that says nothing, or another thing, fails the call in time", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const records = new Rfc2136Records({
    server: { hostname: "127.0.0.1", port },
    zone: ZONE,
    key: KEY,
    secondaries: [],
    clock: systemClock,
    log,
    timeoutMs: 100,
  });
  const silent = rejects(records.read(`www.${ZONE}`, "A", signal), /didn't answer within 100 ms/);
  using _first = await listener.accept();
  await silent;
  for (const bytes of [[0, 3, 1, 2, 3], [0, 12, ...new Array<number>(12).fill(0)], [0xff, 0xff, 1]]) {
    const wrong = rejects(records.read(`www.${ZONE}`, "A", signal));
    const connection = await listener.accept();
    await connection.read(new Uint8Array(512));
    await connection.write(Uint8Array.from(bytes));
    connection.close();
    await wrong;
  }
  const stop = new AbortController();
  const stopped = rejects(records.read(`www.${ZONE}`, "A", stop.signal), /AbortError/);
  using _last = await listener.accept();
  stop.abort();
  await stopped;
});
