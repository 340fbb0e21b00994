/**
 * The four services around real PowerDNS and real NATS: what has to be shown, line by line.
 *
 * @module
 */
import { deepEqual, equal } from "node:assert/strict";
import { NatsServer } from "../nats/server.ts";
import { testWith } from "../programs.ts";
import { addressBody, answersOf, Installation, until, zoneBody } from "./installation.ts";

testWith(
  ["nats-server", "pdns_server"],
  "what happens to a zone through the proxy happens on the secondary",
  async () => {
    await using nats = await NatsServer.start();
    await using installation = await Installation.start({ nats, secondaries: 1 });
    await using proxy = await installation.proxy();
    await using _provider = await installation.provider();
    await using syncer = await installation.syncer(0);
    const { powerDns } = installation.secondaries[0]!;
    equal((await installation.api("POST", "/zones", zoneBody("a.test."))).status, 201);
    await until(() => answersOf(powerDns, "a.test", "SOA"), (soa) => soa.length === 1);
    equal(
      (await installation.api("PATCH", "/zones/a.test.", addressBody("a.test.", "192.0.2.1"))).status,
      204,
    );
    await until(
      () => answersOf(powerDns, "www.a.test", "A"),
      (addresses) => addresses.join() === "192.0.2.1",
    );
    equal((await installation.api("DELETE", "/zones/a.test.")).status, 204);
    await until(() => powerDns.api("GET", "/zones"), ({ text }) => text === "[]");
    deepEqual(["create", "change", "delete"].map((type) => metricsOf(proxy, syncer, type)), [[1, 1], [1, 1], [
      1,
      1,
    ]]);
  },
);

function metricsOf(
  proxy: { metric(name: string): number },
  syncer: { metric(name: string): number },
  type: string,
): number[] {
  return [
    proxy.metric(`apiproxy_published_zone_events_total{event_type="${type}"}`),
    syncer.metric(`secondarysyncer_received_zone_events_total{event_type="${type}"}`),
  ];
}
