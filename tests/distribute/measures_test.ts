/**
 * What serials don't show, what mustn't be touched, and what comes in parts: around real PowerDNS and real NATS.
 *
 * @module
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { NatsConnectionImpl } from "@nats-io/nats-core/internal";
import { jetstreamManager } from "@nats-io/jetstream";
import { type Clock, systemClock } from "../../src/clock.ts";
import { KeptEvents } from "../../src/distribute/kept_events.ts";
import { encodeEvent, serviceId } from "../../src/distribute/messages.ts";
import { useDenoTransport } from "../../src/nats/transport.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { ManualClock } from "../clock.ts";
import { freePort } from "../free_port.ts";
import { NatsServer } from "../nats/server.ts";
import { testWith } from "../programs.ts";
import {
  addressBody,
  answersOf,
  connectAs,
  GuardedNats,
  Installation,
  type ServiceKind,
  startService,
  type TestService,
  until,
  zoneBody,
} from "./installation.ts";
import { deleteIntoTransfers, orphansOf } from "./deletes.ts";
import { keptInStep } from "./kept_in_step.ts";

const transfersOf = (syncer: TestService) => syncer.metric("secondarysyncer_transferred_zones_total");
/** Resolves when it works on nothing. */
const idle = async (syncer: TestService) =>
  await until(() => syncer.metric("secondarysyncer_worker_lock_count"), (running) => running === 0);

/** Between two checks of signatures, keys and content, and from what one finds to its order. */
const [SIGNATURE_CHECK_MS, EVENT_CHECK_MS] = [3_600_000, 600_000];
/** A wait of such a length is one for another try, or between two zones. */
const SHORT_MS = 5_000;
const CHECKS =
  "eventCheckWaitTime: 10m\nnsec3CheckInterval: 7d\nperiodicalCheckInterval: 7d\nsignatureCheckInterval: 1h";

/** A checker that looks at zones when it is told to, and at no other time. */
class ToldChecker {
  readonly #clock: ManualClock;
  readonly #checker: TestService;

  constructor(checker: TestService, clock: ManualClock) {
    this.#checker = checker;
    this.#clock = clock;
  }

  /** Has it look at each zone in full, and again at those that differ; what it has ordered, zone and reason. */
  async check(): Promise<string[]> {
    const { length } = this.#orders();
    await this.look();
    await this.#clock.advance(EVENT_CHECK_MS);
    await this.#looked();
    return this.#orders().slice(length);
  }

  /** Has it look at each zone in full. */
  async look(): Promise<void> {
    const cycles = () => this.#checker.metric("healthchecker_singing_sync_cycles_total");
    const before = cycles();
    const failed = () =>
      this.#checker.lines.filter((line) => line.includes("A check failed; it comes again")).length;
    let seen = -1;
    await until(async () => {
      const count = failed();
      // At first, and where it failed: it comes again in its time.
      if (count > seen) await this.#clock.advance(SIGNATURE_CHECK_MS);
      else await this.#pass();
      seen = count;
      return cycles();
    }, (count) => count > before);
    await this.#looked();
  }

  /** Has it check until it has ordered that, and nothing else. */
  async finds(order: RegExp): Promise<void> {
    const found: string[] = [];
    await until(async () => found.push(...await this.check()), (count) => count > 0);
    equal(found.length, 1, found.join());
    match(found[0]!, order);
  }

  async #looked(): Promise<void> {
    await until(async () => {
      await this.#pass();
      return this.#checker.metric("healthchecker_waiting_checks");
    }, (count) => count === 0);
  }

  /** Its time goes on as far as its short waits need it. */
  async #pass(): Promise<void> {
    const waitMs = this.#clock.nextWakeMs ?? Infinity;
    if (waitMs <= SHORT_MS) await this.#clock.advance(waitMs);
  }

  #orders(): string[] {
    return this.#checker.lines.filter((line) => line.includes("isn't in step")).map((line) => {
      const { zone, reason } = JSON.parse(line);
      return `${zone} ${reason}`;
    });
  }
}

/** Now, or four days ago where a Thursday's signing sync would come within the next days. */
function noThursdaySoon(): number {
  const untilMs = 7 * 86_400_000 - (Date.now() - 3_600_000) % (7 * 86_400_000);
  return untilMs < 3 * 86_400_000 ? Date.now() - 4 * 86_400_000 : Date.now();
}

testWith(
  ["nats-server", "pdns_server"],
  "what serials don't show is found, fetched once, and named",
  async (test) => {
    await using nats = await GuardedNats.start();
    await using installation = await Installation.start({
      nats: nats.server,
      secondaries: 1,
      broker: (user) => nats.broker(user),
      checks: CHECKS,
    });
    const { powerDns } = installation.secondaries[0]!;
    await using _proxy = await installation.proxy();
    await using _provider = await installation.provider();
    const clock = new ManualClock(noThursdaySoon());
    // Before the syncer, which it hears then: what it does at that is over before there is a zone.
    await using checker = await installation.checker({ clock, isAlone: true });
    await using syncer = await installation.syncer(0);
    await until(
      () => syncer.metric('secondarysyncer_zone_state_response_total{state="successful"}'),
      (count) => count > 0,
    );
    const told = new ToldChecker(checker, clock);
    await installation.api(
      "POST",
      "/zones",
      zoneBody("signed.test.", { dnssec: true, nsec3param: "1 0 0 -" }),
    );
    await installation.api("POST", "/zones", zoneBody("plain.test."));
    await until(() => transfersOf(syncer), (count) => count === 2);
    await idle(syncer);
    deepEqual(await told.check(), []);
    /** What was ordered is fetched, once, and looked at again. */
    const fetchedOnce = async (before: number) => {
      await until(() => transfersOf(syncer), (count) => count > before);
      await idle(syncer);
      deepEqual(await told.check(), []);
      equal(transfersOf(syncer), before + 1);
    };

    await test.step("a signature that ends soon is fetched again although the serial is equal", async () => {
      const before = transfersOf(syncer);
      const [row] = powerDns.rows(
        "SELECT content FROM records WHERE type = 'RRSIG' AND content LIKE 'SOA %'",
      );
      const aged = String(row!["content"]).split(" ");
      aged[4] = new Date(clock.unixMs() + 3_600_000).toISOString().replaceAll(/[-:T]|\.\d+Z/g, "");
      powerDns.sql(
        `UPDATE records SET content = '${aged.join(" ")}' WHERE type = 'RRSIG' AND content LIKE 'SOA %'`,
      );
      await told.finds(/^signed\.test\. expiring$/);
      await fetchedOnce(before);
    });

    await test.step("a key that was added, whose event is lost, is found in signatures, and fetched once", async () => {
      const before = transfersOf(syncer);
      const key = { keytype: "zsk", active: true, published: true, algorithm: "ecdsa256" };
      equal((await installation.primary.api("POST", "/zones/signed.test./cryptokeys", key)).status, 201);
      await told.finds(/^signed\.test\. (?:keys|content)$/);
      await fetchedOnce(before);
    });

    await test.step("a zone whose serial is edited in answers is fetched once, and one of serial 0 is", async () => {
      const edited = { dnssec: true, nsec3param: "1 0 0 -", soa_edit: "INCEPTION-INCREMENT" };
      const before = transfersOf(syncer);
      equal((await installation.api("POST", "/zones", zoneBody("edited.test.", edited))).status, 201);
      equal((await installation.api("POST", "/zones", zoneBody("zero.test."))).status, 201);
      await until(() => transfersOf(syncer), (count) => count >= before + 2);
      await idle(syncer);
      deepEqual(await told.check(), []);
      equal(transfersOf(syncer), before + 2);
      installation.primary.sql(
        "UPDATE records SET content = 'ns1.zero.test hostmaster.zero.test 0 10800 3600 604800 3600' " +
          "WHERE type = 'SOA' AND name = 'zero.test'",
      );
      await told.finds(/^zero\.test\. serial$/);
      await until(() => answersOf(powerDns, "zero.test", "SOA"), ([soa]) => soa?.split(" ")[2] === "0");
      await fetchedOnce(before + 2);
    });

    await test.step("a zone that is looked at between its making and its event is fetched once", async () => {
      const before = transfersOf(syncer);
      equal((await installation.primary.api("POST", "/zones", zoneBody("fresh.test."))).status, 201);
      await told.look();
      const connection = await connectAs(nats, "api-proxy");
      const event = { zone: "fresh.test.", created_at: new Date().toISOString() };
      connection.publish("zone.add", JSON.stringify(event));
      await connection.flush();
      await connection.close();
      await fetchedOnce(before);
    });

    await test.step("a zone that a secondary is at work on isn't ordered besides", async () => {
      powerDns.sql(
        "CREATE TRIGGER refusal BEFORE INSERT ON domains WHEN NEW.name = 'stuck.test' BEGIN SELECT RAISE(ABORT, 'full'); END",
      );
      const before = transfersOf(syncer);
      equal((await installation.api("POST", "/zones", zoneBody("stuck.test."))).status, 201);
      await until(() => syncer.metric("secondarysyncer_failing_zones"), (count) => count === 1);
      deepEqual(await told.check(), []);
      powerDns.sql("DROP TRIGGER refusal");
      await fetchedOnce(before);
    });

    await test.step("a change on a secondary is undone", async () => {
      equal(
        (await powerDns.api("PATCH", "/zones/plain.test.", addressBody("plain.test.", "192.0.2.66"))).status,
        204,
      );
      const before = transfersOf(syncer);
      await told.finds(/^plain\.test\. content$/);
      await fetchedOnce(before);
      deepEqual(powerDns.rows("SELECT * FROM records WHERE content = '192.0.2.66'"), []);
    });

    await test.step("a zone that was made again with the same serial is fetched", async () => {
      const { primary } = installation;
      equal((await primary.api("DELETE", "/zones/plain.test.")).status, 204);
      equal(
        (await primary.api("POST", "/zones", { ...zoneBody("plain.test."), nameservers: ["other.test."] }))
          .status,
        201,
      );
      const before = transfersOf(syncer);
      await told.finds(/^plain\.test\. content$/);
      await fetchedOnce(before);
      const query = "SELECT content FROM records WHERE type = 'NS' AND name = 'plain.test'";
      deepEqual(powerDns.rows(query).map((row) => row["content"]), ["other.test"]);
    });

    await test.step("in a quiet hour nothing is fetched, nor after a restart of the primary, which signs with other bytes", async () => {
      const before = transfersOf(syncer);
      await installation.primary.kill();
      await installation.primary.start();
      // The periodic check and that of NSEC3 come besides, by their own times.
      const yaml = installation.yaml("health-checker", installation.primary, "", "jetStream: off")
        .replaceAll("Interval: 7d", "Interval: 15m");
      const itsClock = new ManualClock(noThursdaySoon());
      await using hourly = await startService("health-checker", {
        ...{ yaml, host: "ns1.example.net", clock: itsClock },
      });
      const cycles = () => hourly.metric("healthchecker_interval_health_cycles_total");
      await until(async () => {
        await itsClock.advance(60_000);
        return cycles();
      }, (count) => count > 4);
      deepEqual(await new ToldChecker(hourly, itsClock).check(), []);
      deepEqual(await told.check(), []);
      equal(transfersOf(syncer), before);
    });

    await test.step("a zone that a secondary holds for itself is left alone, and named", async () => {
      await powerDns.api("POST", "/zones", zoneBody("own.test."));
      equal((await installation.api("POST", "/zones", zoneBody("own.test."))).status, 201);
      await until(() => syncer.lines.join("\n"), (text) => /isn't kept in step \(Native/.test(text));
      equal((await installation.api("DELETE", "/zones/own.test.")).status, 204);
      await until(
        () => syncer.lines.filter((line) => line.includes("(Native")).length,
        (count) => count >= 2,
      );
      equal((await powerDns.api("GET", "/zones/own.test.?rrsets=false")).status, 200);
    });

    await test.step("a primary whose list of zones is empty, cut short or can't be read has none deleted", async () => {
      const lists = [
        ["empty", () => new Response("[]")],
        ["short", (text: string) => new Response(JSON.stringify(JSON.parse(text).slice(1)))],
        ["unreadable", () => new Response("Internal Server Error", { status: 500 })],
      ] as const;
      let answer: (text: string) => Response = (text) => new Response(text);
      let listed = 0;
      await using broken = Deno.serve(
        { hostname: "127.0.0.1", port: 0, onListen: () => {} },
        async (request) => {
          const { pathname, search } = new URL(request.url);
          const path = pathname.replace("/api/v1/servers/localhost", "");
          const { status, text } = await installation.primary.api(request.method, path + search);
          if (path !== "/zones") return new Response(text, { status });
          listed++;
          return answer(text);
        },
      );
      const yaml = installation.yaml("health-checker", installation.primary, "", "jetStream: off")
        .replace(installation.primary.url, `http://127.0.0.1:${broken.addr.port}`)
        .replace("periodicalCheckInterval: 7d", "periodicalCheckInterval: 20ms")
        .replace("eventCheckWaitTime: 10m", "eventCheckWaitTime: 10ms")
        .replace("signatureCheckInterval: 1h", "signatureCheckInterval: 100ms");
      await using deceived = await startService("health-checker", { yaml, host: "ns1.example.net" });
      const zones = async () => (await powerDns.api("GET", "/zones")).text.split('"name":').length;
      const before = await zones();
      for (const [what, list] of lists) {
        answer = list;
        const from = listed;
        await until(() => listed, (count) => count >= from + 4);
        equal(await zones(), before, what);
      }
      equal(
        deceived.metric('healthchecker_interval_health_published_zone_events_total{event_type="delete"}'),
        0,
      );
    });

    await test.step("a zone larger than a message comes in parts, and a serial beyond 2³¹ is taken", async () => {
      const rrsets = Array.from({ length: 4_000 }, (_, i) => ({
        ...{ name: `host-${i}.large.test.`, type: "TXT", ttl: 60 },
        records: [{ content: `"${"x".repeat(240)}-${i}"`, disabled: false }],
      }));
      equal((await installation.api("POST", "/zones", zoneBody("large.test.", { rrsets }))).status, 201);
      const count = "SELECT count(*) AS n FROM records WHERE name LIKE '%.large.test'";
      await until(() => powerDns.rows(count), ([row]) => row?.["n"] === 4_000);
      const serial = 2_147_483_651;
      await installation.api("PATCH", "/zones/plain.test.", {
        rrsets: [{
          ...{ name: "plain.test.", type: "SOA", ttl: 60, changetype: "REPLACE" },
          records: [{
            content: `ns1.test. hostmaster.test. ${serial} 10800 3600 604800 3600`,
            disabled: false,
          }],
        }],
      });
      await until(
        () => answersOf(powerDns, "plain.test", "SOA"),
        ([soa]) => Number(soa?.split(" ")[2]) >= serial,
      );
    });

    await test.step("zones that are deleted while they are transferred leave no records behind", async () => {
      await deleteIntoTransfers(installation, { nats, rounds: 8 });
      await idle(syncer);
      equal(orphansOf([powerDns]), 0);
      const query = "SELECT name FROM domains WHERE name LIKE 'd_.test'";
      deepEqual(powerDns.rows(query), []);
    });

    await test.step("a secondary whose API is down gets no orders", async () => {
      await idle(syncer);
      const isUnsure = () => checker.lines.some((line) => line.includes("can't say what it holds"));
      deepEqual([await told.check(), isUnsure()], [[], false]);
      await powerDns.kill();
      deepEqual([await told.check(), isUnsure()], [[], true]);
      await powerDns.start();
    });
  },
);

/** What primaries are to be told where another one may have changed the database: docs/distribute.md. */
const REREADS = ["zone-cache-refresh-interval=0", "zone-metadata-cache-ttl=0", "dnssec-key-cache-ttl=0"];

testWith(
  ["nats-server", "pdns_server"],
  "of two primaries with one database each takes changes, gives zones and checks, also alone",
  async () => {
    await using nats = await GuardedNats.start();
    await using installation = await Installation.start({
      ...{ nats: nats.server, secondaries: 1, broker: (user) => nats.broker(user), checks: CHECKS },
      primary: REREADS,
    });
    const { primary, url } = installation;
    const { powerDns } = installation.secondaries[0]!;
    await using another = await primary.startAnother();
    const anotherUrl = `https://127.0.0.1:${freePort()}`;
    /** A service beside the other primary. */
    const beside = (service: ServiceKind, brokerLines = "", clock: Clock = systemClock) => {
      const yaml = installation.yaml(service, another, "", brokerLines).replace(url, anotherUrl);
      return startService(service, { yaml, host: "ns1.example.net", clock });
    };
    const api = async (at: string, method: string, path: string, body: object) =>
      (await installation.api(method, path, body, {}, at)).status;
    const leading = (checker: TestService) => checker.metric("healthchecker_leading");
    await using ours = new AsyncDisposableStack();
    const checker = ours.use(await installation.checker());
    const provider = ours.use(await installation.provider());
    ours.use(await installation.proxy());
    await until(() => leading(checker), (is) => is === 1);
    await using _proxy = await beside("api-proxy");
    await using itsProvider = await beside("zone-provider");
    await using itsChecker = await beside("health-checker");
    const clock = new ManualClock(noThursdaySoon());
    await using told = await beside("health-checker", "jetStream: off", clock);
    await using syncer = await installation.syncer(0);
    // Both that check have heard it come, and have looked, before there is a zone.
    const answered = 'secondarysyncer_zone_state_response_total{state="successful"}';
    await until(() => syncer.metric(answered), (count) => count >= 2);
    const arrives = async (zone: string, address: string) => {
      await until(() => answersOf(powerDns, `www.${zone}`, "A"), (found) => found.join() === address);
      await idle(syncer);
    };
    const given = () => [provider, itsProvider].map((each) => each.metric("zoneprovider_response_total"));

    // Whichever is asked, and whichever of the two has stored and signed it.
    for (let i = 0; given().some((count) => count === 0); i++) {
      const zone = `z${i}.test.`;
      const [one, other] = i % 2 === 0 ? [url, anotherUrl] : [anotherUrl, url];
      const body = zoneBody(zone, { dnssec: true, nsec3param: "1 0 0 -" });
      equal(await api(one, "POST", "/zones", body), 201);
      equal(await api(other, "PATCH", `/zones/${zone}`, addressBody(zone, "192.0.2.1")), 204);
      await arrives(zone, "192.0.2.1");
    }
    // Both hold the same for the same, though each signs with bytes of its own.
    const before = transfersOf(syncer);
    deepEqual(await new ToldChecker(told, clock).check(), []);
    equal(transfersOf(syncer), before);
    deepEqual([leading(checker), leading(itsChecker)], [1, 0]);

    await ours.disposeAsync();
    await primary.kill();
    equal(await api(anotherUrl, "PATCH", "/zones/z0.test.", addressBody("z0.test.", "192.0.2.2")), 204);
    await arrives("z0.test.", "192.0.2.2");
    equal(await api(anotherUrl, "POST", "/zones", zoneBody("late.test.")), 201);
    await until(() => answersOf(powerDns, "late.test", "SOA"), (soa) => soa.length === 1);
    await until(() => leading(itsChecker), (is) => is === 1);
  },
);

testWith(
  ["nats-server", "pdns_server"],
  "of several primaries with a replicated database one may have a change later than the other",
  async () => {
    await using nats = await GuardedNats.start();
    await using installation = await Installation.start({
      ...{ nats: nats.server, secondaries: 2, broker: (user) => nats.broker(user) },
    });
    // The second primary: what replication would bring is brought by its own API, a little later.
    const [{ powerDns }, { powerDns: other }] = installation.secondaries as [
      Installation["secondaries"][number],
      Installation["secondaries"][number],
    ];
    await using _proxy = await installation.proxy();
    await using _provider = await startService("zone-provider", {
      yaml: installation.yaml("zone-provider", other),
      host: "ns1.example.net",
    });
    await using syncer = await installation.syncer(0);
    const behind = () => syncer.lines.filter((line) => /a provider gives serial \d+ of/.test(line)).length;
    equal((await other.api("POST", "/zones", zoneBody("a.test."))).status, 201);
    equal((await installation.api("POST", "/zones", zoneBody("a.test."))).status, 201);
    await until(() => answersOf(powerDns, "a.test", "SOA"), (soa) => soa.length === 1);
    const change = addressBody("a.test.", "192.0.2.7");
    equal((await installation.api("PATCH", "/zones/a.test.", change)).status, 204);
    await until(behind, (count) => count > 0);
    deepEqual(await answersOf(powerDns, "www.a.test", "A"), []);
    equal((await other.api("PATCH", "/zones/a.test.", change)).status, 204);
    await until(() => answersOf(powerDns, "www.a.test", "A"), (found) => found.join() === "192.0.2.7");
  },
);

testWith(
  ["nats-server", "pdns_server"],
  "zones are the same after services, the broker and name servers have ended at random, and nothing is fetched twice",
  async () => {
    const { refused, lost, faults, differing, quietTransfers, orphans } = await keptInStep({
      ...{ zones: 6, secondaries: 1, rate: 50, calmSeconds: 0.2, faultSeconds: 1, faultEveryMs: 100 },
      ...{
        periodicMs: 400,
        executable: null,
        isValidated: false,
        hasThursday: false,
        largeNames: 0,
        deletes: 0,
        onStep: () => {},
      },
    });
    deepEqual({ refused, lost, differing }, { refused: [], lost: [], differing: [] });
    deepEqual({ quietTransfers, orphans }, { quietTransfers: 0, orphans: 0 });
    ok(faults.size > 1);
  },
);

testWith(
  ["nats-server", "pdns_server"],
  "of two checkers one checks, and orders of the one before are ignored",
  async () => {
    await using nats = await GuardedNats.start();
    await using installation = await Installation.start({
      nats: nats.server,
      secondaries: 1,
      broker: (user) => nats.broker(user),
    });
    await using syncer = await installation.syncer(0);
    const leading = (checker: TestService) => checker.metric("healthchecker_leading");
    const asked = () => syncer.metric("secondarysyncer_zone_state_request_total");
    const first = await installation.checker();
    await until(() => leading(first), (is) => is === 1);
    await using second = await installation.checker();
    await until(asked, (count) => count > 0);
    equal(leading(second), 0);
    const epochOf = (checker: TestService): number =>
      JSON.parse(checker.lines.find((line) => line.includes("This checker checks"))!).epoch;
    await first[Symbol.asyncDispose]();
    await until(() => leading(second), (is) => is === 1);
    ok(epochOf(second) > epochOf(first));
    const stale = () => syncer.metric('secondarysyncer_ignored_zone_events_total{reason="stale"}');
    const connection = await connectAs(nats, "health-checker");
    const order = { zone: "stale.test.", created_at: new Date().toISOString(), epoch: epochOf(first) - 1 };
    connection.publish(`zone.add.${serviceId(installation.secondaries[0]!.host)}`, JSON.stringify(order));
    await connection.close();
    await until(stale, (count) => count === 1);
    const isThere = async (zone: string) =>
      (await installation.secondaries[0]!.powerDns.api("GET", `/zones/${zone}`)).status === 200;
    equal(await isThere("stale.test."), false);

    // One before had a clock that was ahead, and its key has gone: whoever checks now hears of it from the secondary.
    const ahead = Date.now() + 3_600_000;
    const deleted = (zone: string, epoch?: number) =>
      JSON.stringify({ zone, deleted_at: new Date().toISOString(), epoch });
    equal((await installation.primary.api("POST", "/zones", zoneBody("missing.test."))).status, 201);
    const checkers = await connectAs(nats, "health-checker");
    checkers.publish(
      `zone.delete.${serviceId(installation.secondaries[0]!.host)}`,
      deleted("none.test.", ahead),
    );
    await checkers.flush();
    await checkers.close();
    const proxies = await connectAs(nats, "api-proxy");
    proxies.publish("zone.delete", deleted("none.test."));
    await proxies.flush();
    await proxies.close();
    await until(() => isThere("missing.test."), (is) => is);
    ok(second.lines.some((line) => line.includes(`"epoch":${ahead + 1}`)));
  },
);

testWith(["nats-server"], "zones with events are found by the time of their events", async () => {
  await using server = await NatsServer.start();
  useDenoTransport();
  const connection = await NatsConnectionImpl.connect({
    servers: [`127.0.0.1:${server.port}`],
    reconnect: false,
  });
  const events = { add: "zone.add", modified: "zone.modified", delete: "zone.delete" };
  const lines: string[] = [];
  const log = createLogger({
    ...{ level: "info", format: "json", clock: systemClock },
    write: (line) => void lines.push(line),
  });
  const subjects = { events, zoneState: "", zoneData: "", zoneDataWildcard: "" };
  await new KeptEvents({ subjects, keptMs: 60_000, log }).use(connection, new AbortController().signal);
  const kept = new KeptEvents({ subjects, keptMs: 3_600_000, log });
  equal(await kept.zonesSince(null), null);
  // With each connection; the stream is there, by other settings first.
  for (let i = 0; i < 2; i++) await kept.use(connection, new AbortController().signal);
  const { streams } = await jetstreamManager(connection);
  const times: number[] = [];
  for (let i = 0; i < 8; i++) {
    const event = { kind: "modified" as const, zone: `z${i}.test.`, atMs: 0, serial: null, epoch: null };
    connection.publish("zone.modified", i === 2 ? "no event" : encodeEvent(event));
    const stored = { ms: 0 };
    await until(
      async () =>
        stored.ms = (await streams.getMessage("pleiades_zone_events", { seq: i + 1 }))?.time.getTime() ?? 0,
      (ms) => ms > 0,
    );
    times.push(stored.ms);
    await until(() => Date.now(), (now) => now > stored.ms + 1);
  }
  const since = async (ms: number | null) =>
    [...(await kept.zonesSince(ms))!].map((zone) => zone[1]).sort().join("");
  deepEqual([await since(null), await since(times[5]!), await since(times[7]! + 1)], ["0134567", "567", ""]);
  await streams.purge("pleiades_zone_events", { seq: 4 });
  deepEqual([await since(null), await since(0), await since(times[4]!)], ["34567", "34567", "4567"]);
  deepEqual(lines, []);
  await connection.close();
});

/** What each password may say; nothing else of these. */
const MAY: Readonly<Record<string, readonly string[]>> = {
  "api-proxy": ["zone.add", "zone.modified", "zone.delete"],
  "zone-provider": [],
  "health-checker": [
    "zone.modified",
    "zone.add.ID2",
    "zone.modified.ID2",
    "zone.delete.ID2",
    "zonestate.ID2",
  ],
  ns2: ["zonedata.ID2", "zonehello.ID2"],
  ns3: [],
};

testWith(["nats-server"], "a captured password can say no more than its service says", async () => {
  await using nats = await GuardedNats.start();
  const id = serviceId("ns2.example.net");
  const subjects = ["zone.add", "zone.modified", "zone.delete"].flatMap((each) => [each, `${each}.ID2`])
    .concat(
      "zonedata.ID2",
      "zonestate.ID2",
      "zonehello.ID2",
      `_INBOX_ID2.x`,
      "$JS.API.STREAM.DELETE.KV_pleiades_distribute",
    );
  for (const [user, may] of Object.entries(MAY)) {
    const connection = await connectAs(nats, user);
    const refused: string[] = [];
    const hearing = (async () => {
      for await (const status of connection.status()) {
        const [, subject] = status.type === "error" ? /to "([^"]*)"/.exec(status.error.message) ?? [] : [];
        if (subject !== undefined) refused.push(subject.replace(id, "ID2"));
      }
    })();
    for (const subject of subjects) connection.publish(subject.replace("ID2", id), "{}");
    connection.subscribe("_INBOX_0.>", { callback: () => {} });
    await until(() => refused.length, (count) => count === subjects.length - may.length + 1);
    deepEqual(
      subjects.filter((subject) => !refused.includes(subject)),
      [...may].sort((a, b) => subjects.indexOf(a) - subjects.indexOf(b)),
      user,
    );
    await connection.close();
    await hearing;
  }
  const plain = NatsConnectionImpl.connect({
    servers: [`127.0.0.1:${nats.server.port}`],
    user: "ns2",
    pass: "of-ns2",
  });
  match(String(await plain.then(() => "connected", String)), /UnknownIssuer|certificate/);
});
