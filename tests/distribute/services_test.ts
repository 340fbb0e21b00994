/**
 * The four services around real PowerDNS and real NATS, over TLS and with the permissions that are shipped: what has to be shown,
 * line by line.
 *
 * @module
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import {
  encodeDataReply,
  encodeStateReply,
  readEvent,
  readStateRequest,
  serviceId,
} from "../../src/distribute/messages.ts";
import { ManualClock } from "../clock.ts";
import { testWith } from "../programs.ts";
import { anchorsOf, delvSays } from "./delv.ts";
import {
  addressBody,
  answersOf,
  connectAs,
  GuardedNats,
  Installation,
  startService,
  type TestService,
  until,
  zoneBody,
} from "./installation.ts";
import type { PowerDnsServer } from "./power_dns_server.ts";

const REQUESTS = "apiproxy_powerdns_api_requests_total";

const eventsOf = (proxy: TestService) =>
  ["create", "change", "delete"].map((type) =>
    proxy.metric(`apiproxy_published_zone_events_total{event_type="${type}"}`)
  );
const transfersOf = (syncer: TestService) => syncer.metric("secondarysyncer_transferred_zones_total");
const ordersOf = (checker: TestService, kind: "event" | "interval", type: string) =>
  checker.metric(
    kind === "event"
      ? `healthchecker_event_health_check_published_zone_events_total{event_type="${type}"}`
      : `healthchecker_interval_health_published_zone_events_total{event_type="${type}"}`,
  );
/** Zones that it has brought into step, in order. */
const inStepOf = (syncer: TestService): string[] =>
  syncer.lines.filter((line) => line.includes("Zone is in step")).map((line) => JSON.parse(line).zone);
/** Resolves when they work on nothing. */
const idle = async (...syncers: TestService[]) =>
  await until(
    () => syncers.map((syncer) => syncer.metric("secondarysyncer_worker_lock_count")),
    (running) => running.every((count) => count === 0),
  );
const has = async (server: PowerDnsServer, zone: string, address: string) =>
  await until(() => answersOf(server, `www.${zone}`, "A"), (addresses) => addresses.join() === address);
const isGone = async (server: PowerDnsServer, zone: string) =>
  await until(() => server.api("GET", `/zones/${zone}.`), ({ status }) => status === 404);

testWith(["delv", "dig", "nats-server", "pdns_server"], "zones are kept in step", async (test) => {
  await using nats = await GuardedNats.start();
  await using installation = await Installation.start({
    nats: nats.server,
    secondaries: 2,
    broker: (user) => nats.broker(user),
  });
  const [one, two] = installation.secondaries.map(({ powerDns }) => powerDns) as [
    PowerDnsServer,
    PowerDnsServer,
  ];
  // The first one, so that it hears all others say that they are there.
  const checker = await installation.checker();
  let proxy = await installation.proxy();
  const provider = await installation.provider();
  const another = await installation.provider();
  const first = await installation.syncer(0);
  let second = await installation.syncer(1);
  try {
    await test.step("spec line 1: a zone that is made gives one event; what the API refuses gives none", async () => {
      equal((await installation.api("POST", "/zones", zoneBody("a.test."))).status, 201);
      deepEqual(eventsOf(proxy), [1, 0, 0]);
      equal((await installation.api("POST", "/zones", zoneBody("a.test."))).status, 409);
      equal((await installation.api("POST", "/zones", zoneBody("b.test"))).status, 422);
      equal(
        (await installation.api("PATCH", "/zones/none.test.", addressBody("none.test.", "192.0.2.1"))).status,
        404,
      );
      deepEqual(eventsOf(proxy), [1, 0, 0]);
      equal(
        (await installation.api("PATCH", "/zones/a.test.", addressBody("a.test.", "192.0.2.1"))).status,
        204,
      );
      deepEqual(eventsOf(proxy), [1, 1, 0]);
      for (const server of [one, two]) await has(server, "a.test", "192.0.2.1");
    });

    await test.step("spec line 2: a wrong API key is answered by PowerDNS with 401, and no event goes out", async () => {
      const before = eventsOf(proxy);
      const wrong = { "X-API-Key": "wrong" };
      const { status, text } = await installation.api("POST", "/zones", zoneBody("wrong.test."), wrong);
      deepEqual([status, text], [401, "Unauthorized"]);
      equal((await installation.api("DELETE", "/zones/a.test.", undefined, wrong)).status, 401);
      deepEqual(eventsOf(proxy), before);
    });

    await test.step("spec line 3: reading gives no event, and where PowerDNS is down the answer is 502", async () => {
      const before = [...eventsOf(proxy), proxy.metric(REQUESTS)];
      const { status, text } = await installation.api("GET", "/zones/a.test.");
      deepEqual([status, JSON.parse(text).name], [200, "a.test."]);
      deepEqual([...eventsOf(proxy), proxy.metric(REQUESTS) - 1], before);
      await installation.primary.kill();
      equal((await installation.api("GET", "/zones")).status, 502);
      equal((await installation.api("DELETE", "/zones/a.test.")).status, 502);
      await installation.primary.start();
      deepEqual(eventsOf(proxy), before.slice(0, 3));
    });

    await test.step("spec line 4: four files are made at the first start, and a second one goes by them", async () => {
      const names = ["cacert.pem", "cakey.pem", "cert.pem", "key.pem"];
      const texts = () => names.map((name) => Deno.readTextFileSync(`${installation.folder}/${name}`));
      const before = texts();
      await proxy[Symbol.asyncDispose]();
      proxy = await installation.proxy();
      deepEqual(texts(), before);
      equal((await installation.api("GET", "/zones")).status, 200);
    });

    await test.step("spec line 5: an order to the id of one host is for that host alone", async () => {
      await idle(first, second);
      const before = [first, second].map(transfersOf);
      await orderOf(nats, installation, 1, "a.test.");
      await until(() => transfersOf(second), (count) => count === before[1]! + 1);
      equal(transfersOf(first), before[0]);
    });

    await test.step("spec line 6 and 7: what a secondary missed is done when it is back, and no other one transfers", async () => {
      await second[Symbol.asyncDispose]();
      equal((await installation.api("POST", "/zones", zoneBody("missed.test."))).status, 201);
      equal((await installation.api("DELETE", "/zones/a.test.")).status, 204);
      await until(() => answersOf(one, "missed.test", "SOA"), (soa) => soa.length === 1);
      await isGone(one, "a.test");
      await until(() => inStepOf(first), (zones) => zones.includes("missed.test."));
      await idle(first);
      const before = transfersOf(first);
      second = await installation.syncer(1);
      await until(() => answersOf(two, "missed.test", "SOA"), (soa) => soa.length === 1);
      await isGone(two, "a.test");
      equal(transfersOf(first), before);
      // One order each, be it of the check of its event or of that when a secondary is back.
      const orders = (type: string) => ordersOf(checker, "interval", type) + ordersOf(checker, "event", type);
      ok(orders("create") >= 1 && orders("delete") >= 1);
    });

    await test.step("spec line 8: a serial that differs is fetched, whether it is lower or higher", async () => {
      for (const serial of [1, 4_000_000_000]) {
        setSerial(two, "missed.test", serial);
        await second[Symbol.asyncDispose]();
        second = await installation.syncer(1);
        await until(
          () => serialOf(two, "missed.test"),
          (held) => held === serialOf(installation.primary, "missed.test"),
        );
      }
    });

    await test.step("spec line 9: a change of a zone that a secondary doesn't have makes it there", async () => {
      equal((await installation.primary.api("POST", "/zones", zoneBody("quiet.test."))).status, 201);
      await installation.api("PATCH", "/zones/quiet.test.", addressBody("quiet.test.", "192.0.2.9"));
      for (const server of [one, two]) await has(server, "quiet.test", "192.0.2.9");
    });

    await test.step("what a secondary has kept of answers goes with the transfer, at all names of the zone", async () => {
      const asked = async () => await answersOf(one, "www.quiet.test", "A");
      deepEqual(await asked(), ["192.0.2.9"]);
      const before = transfersOf(first);
      await installation.api("PATCH", "/zones/quiet.test.", addressBody("quiet.test.", "192.0.2.19"));
      await until(() => transfersOf(first), (count) => count > before);
      // PowerDNS keeps answers for twenty seconds.
      ok(await until(asked, (found) => found.join() === "192.0.2.19") < 10_000);
    });

    await test.step("spec line 10: an event is checked after its time, and orders go to those with another serial", async () => {
      const zone = "missed.test.";
      const serial = Number(serialOf(installation.primary, "missed.test"));
      await second[Symbol.asyncDispose]();
      // In its place one that loses events.
      const id = serviceId(installation.secondaries[1]!.host);
      const connection = await connectAs(nats, "ns3");
      const state = { serial: serial + 1, asked: new Array<string>(), askedMs: 0, orders: 0 };
      const lists: (readonly string[])[] = [];
      connection.subscribe(`zonestate.${id}`, {
        callback: (_, message) => {
          const request = readStateRequest(message.data);
          if ("zones" in request && request.zones !== null) lists.push(request.zones);
          if ("zones" in request && request.zones?.includes(zone)) {
            state.asked.push(request.withSignatures ? "signatures" : "serial");
            state.askedMs = performance.now();
          }
          message.respond(
            encodeStateReply(new Map([[zone, { serial: state.serial, isForeign: false }]]), Date.now()),
          );
        },
      });
      connection.subscribe(`zone.modified.${id}`, { callback: () => void state.orders++ });
      await connection.flush();
      try {
        await new Promise((resolve) => setTimeout(resolve, 300)); // Time is the subject: what was said before is looked at.
        [state.asked, state.orders, state.serial] = [[], 0, state.serial + 1];
        const before = ordersOf(checker, "event", "change");
        const saidMs = performance.now();
        await eventOf(nats, zone);
        await until(() => state.orders, (count) => count === 1);
        ok(state.askedMs - saidMs >= 99, `asked after ${state.askedMs - saidMs} ms`);
        state.serial++;
        // Where the event said a serial, signatures are looked at only if serials differ.
        await eventOf(nats, zone, serial);
        await until(() => state.orders, (count) => count === 2);
        ok(ordersOf(checker, "event", "change") >= before + 2);
        state.serial = serial;
        const askedFor = (what: string) => state.asked.filter((each) => each === what).length;
        const tell = async (events: number) => {
          for (let said = 0; said < events; said++) {
            const asked = askedFor("serial");
            await eventOf(nats, zone, serial);
            // Once more where another secondary is at work on the zone.
            await until(() => askedFor("serial"), (count) => count > asked);
          }
        };
        await tell(1);
        const known = askedFor("signatures");
        await tell(3);
        // A look at all zones, which there is now and then, may have asked for them.
        ok(askedFor("signatures") <= known + 1, state.asked.join());
        equal(state.orders, 2);
        // What is due at the same time is asked at once, of those that take it.
        const both = [zone, "quiet.test."];
        const askedTogether = async () => {
          lists.length = 0;
          const events = both.map((each) => ({ zone: each, changed_at: new Date(), serial }));
          await say(nats, "api-proxy", "zone.modified", ...events);
          await until(() => lists.flat(), (asked) => both.every((each) => asked.includes(each)));
          return lists.map(({ length }) => length);
        };
        await until(askedTogether, (lengths) => lengths.includes(2));
        const { host } = installation.secondaries[1]!;
        await say(nats, "ns3", `zonehello.${id}`, { service: "secondary-syncer", host, session: "older" });
        await until(askedTogether, (lengths) => !lengths.includes(2));
      } finally {
        // Later steps go on with the real one, however this one ends.
        await connection.close();
        second = await installation.syncer(1);
      }
    });

    await test.step("what a secondary missed that its serial doesn't show is looked at when it is back, where events are kept", async () => {
      const name = "again.test";
      const yaml = installation.yaml(
        "health-checker",
        installation.primary,
        "",
        "jetStream: off\nkeepEvents: 1d",
      );
      await using keeping = await startService("health-checker", { yaml, host: "ns1.example.net" });
      await until(() => keeping.lines.join("\n"), (text) => text.includes("JetStream keeps events"));
      const nameServers = (server: PowerDnsServer) =>
        server.rows(`SELECT content FROM records WHERE type = 'NS' AND name = '${name}'`).map((row) =>
          row["content"]
        );
      equal((await installation.api("POST", "/zones", zoneBody(`${name}.`))).status, 201);
      for (const server of [one, two]) {
        await until(() => nameServers(server), ([found]) => found === `ns1.${name}`);
      }
      await second[Symbol.asyncDispose]();
      equal((await installation.api("DELETE", `/zones/${name}.`)).status, 204);
      await isGone(one, name);
      const body = { ...zoneBody(`${name}.`), nameservers: ["other.test."] };
      equal((await installation.api("POST", "/zones", body)).status, 201);
      await until(() => nameServers(one), ([found]) => found === "other.test");
      equal(serialOf(two, name), serialOf(installation.primary, name));
      second = await installation.syncer(1);
      await until(() => nameServers(two), ([found]) => found === "other.test");
    });

    await test.step("spec line 12: the listener beside a secondary answers SOA and AXFR, and refuses the rest", async () => {
      const { axfrPort } = installation.secondaries[0]!;
      // What is transferred here isn't stored by PowerDNS, and nothing may wait for that.
      const change = addressBody("missed.test.", "192.0.2.12");
      equal((await installation.primary.api("PATCH", "/zones/missed.test.", change)).status, 204);
      const ask = async (...args: string[]) => {
        const { stdout } = await new Deno.Command("dig", {
          args: ["@127.0.0.1", "-p", String(axfrPort), ...args],
        }).output();
        return new TextDecoder().decode(stdout);
      };
      match(await ask("missed.test", "SOA"), /status: NOERROR[^]*missed\.test\.\s+\d+\s+IN\s+SOA/);
      match(await ask("+tcp", "missed.test", "SOA"), /status: NOERROR/);
      const transfer = await ask("missed.test", "AXFR");
      match(transfer, /XFR size: 4 records/);
      match(transfer, /www\.missed\.test\.\s+60\s+IN\s+A\s+192\.0\.2\.12/);
      match(await ask("missed.test", "A"), /status: REFUSED/);
      match(await ask("*.test", "SOA"), /status: REFUSED/);
    });

    await test.step("spec line 13: of two providers one answers each question", () => {
      const answered = [provider, another].map((each) => each.metric("zoneprovider_response_total"));
      const asked = [first, second].map((each) =>
        each.metric('secondarysyncer_zone_data_request_total{state="successful"}')
      );
      ok(answered.every((count) => count > 0), String(answered));
      ok(asked[0]! > 0);
    });

    await test.step("a checker knows which services there are", async () => {
      const services = [["api-proxy", "ns1"], ["zone-provider", "ns1"], ["secondary-syncer", "ns2"]] as const;
      for (const [service, host] of services) {
        const name = `healthchecker_known_services{service="${service}",host="${host}.example.net"}`;
        await until(() => checker.metric(name), (count) => count === 1);
      }
    });

    await test.step("spec line 14: services connect again by themselves when the broker is started again, also with nothing of what it stored", async () => {
      const services = [proxy, provider, another, checker, first, second];
      const connected = () => services.filter(({ running }) => running.isConnected()).length;
      for (const [i, wipe] of [false, true].entries()) {
        await nats.server.kill({ wipe });
        await until(connected, (count) => count === 0);
        await nats.server.start();
        await until(connected, (count) => count === services.length);
        const address = `192.0.2.${14 + i}`;
        for (const zone of ["quiet.test", "missed.test"]) {
          await installation.api("PATCH", `/zones/${zone}.`, addressBody(`${zone}.`, address));
          for (const server of [one, two]) await has(server, zone, address);
        }
        await until(() => checker.metric("healthchecker_leading"), (is) => is === 1);
      }
    });

    await test.step("spec line 15: a zone with NSEC gets NSEC3 within an interval, and one that has it is left alone", async () => {
      equal(
        (await installation.api("POST", "/zones", zoneBody("signed.test.", { dnssec: true }))).status,
        201,
      );
      await until(
        () => installation.primary.api("GET", "/zones/signed.test.?rrsets=false"),
        ({ text }) => JSON.parse(text).nsec3param === "1 0 0 -",
      );
      const cycles = checker.metric("healthchecker_ensure_nsec3_cyles_total");
      const set = () => checker.lines.filter((line) => line.includes("RFC 9276")).length;
      await until(
        () => checker.metric("healthchecker_ensure_nsec3_cyles_total"),
        (count) => count > cycles + 1,
      );
      equal(set(), 1);
      for (const server of [one, two]) {
        // PowerDNS keeps what it answers of parameters for a minute; what it has stored is looked at.
        const query = "SELECT m.content FROM domainmetadata m JOIN domains d ON d.id = m.domain_id " +
          "WHERE d.name = 'signed.test' AND m.kind = 'NSEC3PARAM'";
        await until(() => server.rows(query), ([row]) => row?.["content"] === "1 0 0 -");
      }
    });

    await test.step("spec line 11: on Thursdays at 01:00 signed zones are fetched again, and no others", async () => {
      const wednesday = Date.UTC(2026, 10, 18, 23, 59);
      const clock = new ManualClock(wednesday);
      await using weekly = await installation.checker({ clock, isAlone: true });
      await idle(first, second);
      const before = [first, second].map(transfersOf);
      await clock.advance(3_600_000);
      equal(weekly.metric("healthchecker_singing_sync_cycles_total"), 0);
      await clock.advance(61_000);
      equal(weekly.metric("healthchecker_singing_sync_cycles_total"), 1);
      const type = 'event_type="change"';
      equal(weekly.metric(`healthchecker_interval_signing_sync_published_zone_events_total{${type}}`), 2);
      for (const [i, syncer] of [first, second].entries()) {
        await until(() => transfersOf(syncer), (count) => count === before[i]! + 1);
        equal(inStepOf(syncer).at(-1), "signed.test.");
      }
    });

    await test.step("bad input: a body that can't be read goes on, is answered by PowerDNS, and gives no event", async () => {
      const before = [...eventsOf(proxy), proxy.metric(REQUESTS)];
      const bodies = ["{", "", "[]", "[".repeat(10_000), `{"name":1}`, "\u{0}".repeat(1_000_000)];
      for (const body of bodies) {
        const { status, text } = await installation.api("POST", "/zones", body);
        ok(status >= 400 && status < 500, `${status} ${text}`);
      }
      deepEqual([...eventsOf(proxy), proxy.metric(REQUESTS) - bodies.length], before);
    });

    await test.step("bad input: broken events are counted and ignored, and what comes behind them isn't", async () => {
      const brokenOf = () => [
        ...[first, second].map((syncer) =>
          syncer.metric('secondarysyncer_ignored_zone_events_total{reason="broken"}')
        ),
        checker.metric("healthchecker_broken_zone_events_total"),
      ];
      await idle(first, second);
      const before = brokenOf();
      const transfers = [first, second].map(transfersOf);
      const changed_at = new Date().toISOString();
      const broken = [
        ...["no JSON", "null", "[1]", "{}", { zone: "quiet.test." }, { zone: "", changed_at }],
        ...[{ zone: "*.test.", changed_at }, { zone: 7, changed_at }, { zone: "a..b.", changed_at }],
        ...[{ zone: "quiet.test.", changed_at: "yesterday" }, {
          zone: `${"a".repeat(64)}.test.`,
          changed_at,
        }],
      ].map((each) => typeof each === "string" ? each : JSON.stringify(each));
      for (const payload of broken) await say(nats, "api-proxy", "zone.modified", payload);
      await until(brokenOf, (counts) => counts.every((count, i) => count === before[i]! + broken.length));
      deepEqual([first, second].map(transfersOf), transfers);
      await installation.api("PATCH", "/zones/quiet.test.", addressBody("quiet.test.", "192.0.2.16"));
      for (const server of [one, two]) await has(server, "quiet.test", "192.0.2.16");
    });

    await test.step("bad input: a zone that PowerDNS refuses is named with its reason and tried again; others go on", async () => {
      one.sql(
        "CREATE TRIGGER refusal BEFORE INSERT ON domains WHEN NEW.name = 'refused.test' BEGIN SELECT RAISE(ABORT, 'full'); END",
      );
      equal((await installation.api("POST", "/zones", zoneBody("refused.test."))).status, 201);
      const faults = () =>
        first.lines.filter((line) => /isn't in step; .*refused\.test.*refuses POST/.test(line));
      await until(() => faults().length, (count) => count >= 2);
      match(faults()[0]!, /PowerDNS refuses POST .* with 500/);
      equal((await installation.api("POST", "/zones", zoneBody("taken.test."))).status, 201);
      for (const server of [one, two]) {
        await until(() => answersOf(server, "taken.test", "SOA"), (soa) => soa.length === 1);
      }
      equal(first.metric("secondarysyncer_failing_zones"), 1);
      one.sql("DROP TRIGGER refusal");
      await until(() => answersOf(one, "refused.test", "SOA"), (soa) => soa.length === 1);
      await until(() => first.metric("secondarysyncer_failing_zones"), (count) => count === 0);
    });

    await test.step("what a secondary has lost comes back by the timed check alone", async () => {
      const clock = new ManualClock(Date.UTC(2026, 10, 18, 12));
      await using timed = await installation.checker({ clock, isAlone: true });
      const cycles = () => timed.metric("healthchecker_interval_health_cycles_total");
      await until(cycles, (count) => count > 0);
      await idle(first, second);
      const before = cycles();
      equal((await two.api("DELETE", "/zones/quiet.test.")).status, 204);
      await clock.advance(3_599_000);
      deepEqual([cycles(), await answersOf(two, "quiet.test", "SOA")], [before, []]);
      await clock.advance(1_000);
      await has(two, "quiet.test", "192.0.2.16");
      equal(cycles(), before + 1);
    });

    await test.step("a zone that is fetched in vain goes where the primary has none of its name", async () => {
      const clock = new ManualClock(Date.UTC(2026, 10, 18, 12));
      await using timed = await installation.checker({ clock, isAlone: true });
      await until(() => timed.metric("healthchecker_interval_health_cycles_total"), (count) => count > 0);
      await eventOf(nats, "vain.test.");
      for (const syncer of [first, second]) {
        await until(() => syncer.lines.some((line) => /isn't in step; .*vain\.test/.test(line)), Boolean);
      }
      await clock.advance(3_600_000);
      for (const server of [one, two]) {
        await until(async () => {
          await clock.advance(1_000);
          return await server.api("GET", "/zones/vain.test.");
        }, ({ status }) => status === 404);
      }
      for (const syncer of [first, second]) {
        await until(() => syncer.metric("secondarysyncer_failing_zones"), (count) => count === 0);
      }
    });

    // From here on no step counts transfers: checks of these events may come late.
    await test.step("eight clients write at once: none is refused, and events of a zone come in its order", async () => {
      const connection = await connectAs(nats, "health-checker");
      const serials = new Map<string, number[]>([["quiet.test.", []], ["missed.test.", []]]);
      connection.subscribe("zone.modified", {
        callback: (_, { data }) => {
          const event = readEvent("modified", data);
          if ("zone" in event && event.serial !== null) serials.get(event.zone)?.push(event.serial);
        },
      });
      await connection.flush();
      const statuses: number[] = [];
      await Promise.all(Array.from({ length: 8 }, async (_, client) => {
        for (let i = 1; i <= 6; i++) {
          const zone = (client + i) % 2 === 0 ? "quiet.test." : "missed.test.";
          const body = addressBody(zone, `198.51.100.${client * 6 + i}`);
          statuses.push((await installation.api("PATCH", `/zones/${zone}`, body)).status);
        }
      }));
      deepEqual(statuses, Array(48).fill(204));
      await until(() => [...serials.values()].flat().length, (count) => count === 48);
      for (const all of serials.values()) deepEqual(all, [...new Set(all)].sort((a, b) => a - b));
      await connection.close();
      for (const zone of ["quiet.test", "missed.test"]) {
        for (const server of [one, two]) {
          await until(
            () => serialOf(server, zone),
            (serial) => serial === serialOf(installation.primary, zone),
          );
        }
      }
    });

    await test.step("a validating resolver takes what secondaries answer of a signed zone, and that a name isn't there", async () => {
      const zone = "valid.test.";
      const body = zoneBody(zone, { dnssec: true, nsec3param: "1 0 0 -" });
      equal((await installation.api("POST", "/zones", body)).status, 201);
      await installation.api("PATCH", `/zones/${zone}`, addressBody(zone, "192.0.2.15"));
      const anchors = await anchorsOf(installation, zone);
      for (const powerDns of [one, two]) {
        await has(powerDns, "valid.test", "192.0.2.15");
        const says = (name: string, type: string) => delvSays({ anchors, zone, powerDns, name, type });
        // PowerDNS may have looked before it was signed, and keeps what it saw for a minute.
        for (const [name, type] of [[zone, "SOA"], [`www.${zone}`, "A"]] as const) {
          await until(() => says(name, type), (said) => said.includes("; fully validated"));
        }
        await until(
          () => says(`none.${zone}`, "A"),
          (said) => said.includes("; negative response, fully validated"),
        );
        // By the keys of another zone it is taken for forged.
        const others = await anchorsOf(installation, "signed.test.", zone);
        const said = await delvSays({ anchors: others, zone, powerDns, name: zone, type: "SOA" });
        match(said, /resolution failed/);
        ok(!said.includes("fully validated"));
      }
      equal((await installation.api("DELETE", `/zones/${zone}`)).status, 204);
      for (const server of [one, two]) await isGone(server, "valid.test");
    });

    await test.step("bad input: a provider's answer about another zone isn't taken", async () => {
      const connection = await connectAs(nats, "zone-provider");
      const text = "other.test.\t60\tIN\tSOA\tns1.other.test. h.other.test. 9 10800 3600 604800 3600";
      connection.subscribe("zonedata.*", {
        queue: "worker",
        callback: (_, message) => {
          const reply = { zone: "other.test.", text, messages: [], isSigned: false, part: 0, parts: 1 };
          message.respond(encodeDataReply(reply, Date.now()));
        },
      });
      await connection.flush();
      const refused = () =>
        first.lines.filter((line) => line.includes("the answer is about other.test.")).length;
      await until(async () => {
        await orderOf(nats, installation, 0, "quiet.test.");
        return refused();
      }, (count) => count > 0);
      await connection.close();
      equal(serialOf(one, "quiet.test"), serialOf(installation.primary, "quiet.test"));
      equal((await one.api("GET", "/zones/other.test.")).status, 404);
    });

    await test.step("secondaries are found by what they say over NATS, and forgotten when they are silent", async () => {
      const clock = new ManualClock(Date.UTC(2026, 10, 18, 12));
      const yaml = installation.yaml("health-checker", installation.primary, "", "jetStream: off")
        .replace(/^secondaries: .*$/m, "secondaries: { source: nats }");
      await using finding = await startService("health-checker", { yaml, host: "ns1.example.net", clock });
      const answers = () => finding.text().includes('secondary_answers{secondary="ns3.example.net"} 1');
      equal(answers(), false);
      await second[Symbol.asyncDispose]();
      second = await installation.syncer(1);
      await until(answers, (is) => is);
      await second[Symbol.asyncDispose]();
      await until(async () => {
        await clock.advance(3_600_000);
        return finding.lines.some((line) => /A secondary has gone.*ns3/.test(line));
      }, (is) => is);
      equal(finding.text().includes('secondary="ns3.example.net"'), false);
      second = await installation.syncer(1);
    });
  } finally {
    for (const service of [first, second, provider, another, checker, proxy]) {
      await service[Symbol.asyncDispose]();
    }
  }
});

/** As a checker would say it. */
async function orderOf(
  nats: GuardedNats,
  installation: Installation,
  i: number,
  zone: string,
): Promise<void> {
  const subject = `zone.modified.${serviceId(installation.secondaries[i]!.host)}`;
  await say(nats, "health-checker", subject, { zone, changed_at: new Date().toISOString() });
}

/** As a proxy would say it. */
async function eventOf(nats: GuardedNats, zone: string, serial?: number): Promise<void> {
  await say(nats, "api-proxy", "zone.modified", { zone, changed_at: new Date().toISOString(), serial });
}

async function say(
  nats: GuardedNats,
  user: string,
  subject: string,
  ...payloads: readonly (object | string)[]
): Promise<void> {
  const connection = await connectAs(nats, user);
  for (const payload of payloads) {
    connection.publish(subject, typeof payload === "string" ? payload : JSON.stringify(payload));
  }
  await connection.flush();
  await connection.close();
}

/** As it is stored: what PowerDNS answers may be what it has kept. */
function serialOf(server: PowerDnsServer, zone: string): string | undefined {
  const [row] = server.rows(`SELECT content FROM records WHERE type = 'SOA' AND name = '${zone}'`);
  return String(row?.["content"]).split(" ")[2];
}

/** Changes what a secondary holds behind its back. */
function setSerial(server: PowerDnsServer, zone: string, serial: number): void {
  server.sql(
    `UPDATE records SET content = 'a.misconfigured.dns.server.invalid hostmaster.${zone} ${serial} 10800 3600 604800 3600' ` +
      `WHERE type = 'SOA' AND name = '${zone}'`,
  );
}
