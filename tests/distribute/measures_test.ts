/**
 * What serials don't show, what mustn't be touched, and what comes in parts: around real PowerDNS and real NATS.
 *
 * @module
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { NatsConnectionImpl } from "@nats-io/nats-core/internal";
import { serviceId } from "../../src/distribute/messages.ts";
import { useDenoTransport } from "../../src/nats/transport.ts";
import { testWith } from "../programs.ts";
import {
  addressBody,
  answersOf,
  GuardedNats,
  Installation,
  passwordOf,
  startService,
  type TestService,
  until,
  zoneBody,
} from "./installation.ts";
import { keptInStep } from "./kept_in_step.ts";

const transfersOf = (syncer: TestService) => syncer.metric("secondarysyncer_transferred_zones_total");
const cyclesOf = (checker: TestService) => checker.metric("healthchecker_singing_sync_cycles_total");
/** Resolves when it has checked signatures twice more, the second time with nothing left to be ordered. */
const checkedTwice = async (checker: TestService) => {
  const before = cyclesOf(checker);
  await until(() => cyclesOf(checker), (cycles) => cycles >= before + 3);
};
const reasonsOf = (checker: TestService, zone: string): string[] =>
  checker.lines.filter((line) => line.includes("isn't in step")).map((line) => JSON.parse(line))
    .filter((line) => line.zone === zone).map(({ reason }) => reason);

testWith(
  ["nats-server", "pdns_server"],
  "what serials don't show is found, fetched once, and named",
  async (test) => {
    await using nats = await GuardedNats.start();
    await using installation = await Installation.start({
      nats: nats.server,
      secondaries: 1,
      broker: (user) => nats.broker(user),
      checks:
        "eventCheckWaitTime: 1h\nnsec3CheckInterval: 1h\nperiodicalCheckInterval: 1h\nsignatureCheckInterval: 150ms",
    });
    const { powerDns } = installation.secondaries[0]!;
    await using _proxy = await installation.proxy();
    await using _provider = await installation.provider();
    await using syncer = await installation.syncer(0);
    await using checker = await installation.checker();
    await installation.api(
      "POST",
      "/zones",
      zoneBody("signed.test.", { dnssec: true, nsec3param: "1 0 0 -" }),
    );
    await installation.api("POST", "/zones", zoneBody("plain.test."));
    await until(() => transfersOf(syncer), (count) => count === 2);
    await checkedTwice(checker);

    await test.step("a signature that ends soon is fetched again although the serial is equal", async () => {
      const before = transfersOf(syncer);
      const [row] = powerDns.rows(
        "SELECT content FROM records WHERE type = 'RRSIG' AND content LIKE 'SOA %'",
      );
      const aged = String(row!["content"]).split(" ");
      aged[4] = new Date(Date.now() + 3_600_000).toISOString().replaceAll(/[-:T]|\.\d+Z/g, "");
      powerDns.sql(
        `UPDATE records SET content = '${aged.join(" ")}' WHERE type = 'RRSIG' AND content LIKE 'SOA %'`,
      );
      await until(() => reasonsOf(checker, "signed.test."), (reasons) => reasons.includes("expiring"));
      await until(() => transfersOf(syncer), (count) => count > before);
      await checkedTwice(checker);
      equal(transfersOf(syncer), before + 1);
    });

    await test.step("a change on a secondary is undone", async () => {
      equal(
        (await powerDns.api("PATCH", "/zones/plain.test.", addressBody("plain.test.", "192.0.2.66"))).status,
        204,
      );
      await until(() => reasonsOf(checker, "plain.test."), (reasons) => reasons.at(-1) === "content");
      await until(
        () => powerDns.rows("SELECT * FROM records WHERE content = '192.0.2.66'"),
        (rows) => rows.length === 0,
      );
    });

    await test.step("a zone that was made again with the same serial is fetched", async () => {
      await checkedTwice(checker);
      const { primary } = installation;
      equal((await primary.api("DELETE", "/zones/plain.test.")).status, 204);
      equal(
        (await primary.api("POST", "/zones", { ...zoneBody("plain.test."), nameservers: ["other.test."] }))
          .status,
        201,
      );
      await until(
        () => powerDns.rows("SELECT content FROM records WHERE type = 'NS' AND name = 'plain.test'"),
        ([row]) => row?.["content"] === "other.test",
      );
    });

    await test.step("after a restart of the primary, which signs with other bytes, nothing is fetched", async () => {
      await checkedTwice(checker);
      const before = transfersOf(syncer);
      await installation.primary.kill();
      await installation.primary.start();
      await checkedTwice(checker);
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

    await test.step("a secondary whose API is down gets no orders", async () => {
      await checkedTwice(checker);
      const orders = checker.lines.filter((line) => line.includes("isn't in step")).length;
      await powerDns.kill();
      await checkedTwice(checker);
      equal(checker.lines.filter((line) => line.includes("isn't in step")).length, orders);
      ok(checker.lines.some((line) => line.includes("can't say what it holds")));
      await powerDns.start();
    });
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
    const { refused, faults, differing, quietTransfers } = await keptInStep({
      ...{ zones: 6, secondaries: 1, rate: 50, calmSeconds: 0.2, faultSeconds: 1, faultEveryMs: 100 },
      ...{ periodicMs: 500, executable: null, isValidated: false, onStep: () => {} },
    });
    deepEqual({ refused, differing, quietTransfers }, { refused: [], differing: [], quietTransfers: 0 });
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
    useDenoTransport();
    const connection = await NatsConnectionImpl.connect({
      ...{
        servers: [nats.server.url.replace("tls://", "")],
        user: "health-checker",
        pass: passwordOf("health-checker"),
      },
      tls: { ca: await Deno.readTextFile(`${nats.folder}/ca.pem`) },
    });
    const order = { zone: "stale.test.", created_at: new Date().toISOString(), epoch: epochOf(first) - 1 };
    connection.publish(`zone.add.${serviceId(installation.secondaries[0]!.host)}`, JSON.stringify(order));
    await connection.close();
    await until(stale, (count) => count === 1);
    equal((await installation.secondaries[0]!.powerDns.api("GET", "/zones/stale.test.")).status, 404);
  },
);

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
  useDenoTransport();
  const id = serviceId("ns2.example.net");
  const subjects = ["zone.add", "zone.modified", "zone.delete"].flatMap((each) => [each, `${each}.ID2`])
    .concat(
      "zonedata.ID2",
      "zonestate.ID2",
      "zonehello.ID2",
      `_INBOX_ID2.x`,
      "$JS.API.STREAM.DELETE.KV_pleiades_distribute",
    );
  const ca = await Deno.readTextFile(`${nats.folder}/ca.pem`);
  for (const [user, may] of Object.entries(MAY)) {
    const connection = await NatsConnectionImpl.connect({
      ...{ servers: [nats.server.url.replace("tls://", "")], user, pass: passwordOf(user), tls: { ca } },
    });
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
