/**
 * Metrics by the names that dashboards know, and the dashboard and the alerts that ask for them.
 *
 * @module
 */
import { deepEqual, equal, match } from "node:assert/strict";
import {
  checkerMetrics,
  providerMetrics,
  proxyMetrics,
  syncerMetrics,
} from "../../src/distribute/metrics.ts";
import { Registry } from "../../src/telemetry/metrics.ts";
import { testWith } from "../programs.ts";
import { promtool } from "../telemetry/promtool.ts";

const file = (name: string) => Deno.readTextFileSync(new URL(`../../grafana/${name}`, import.meta.url));
const RULES = "distribute.rules.yml";

/** Names that the Go services have, spelt as they have them. */
const KNOWN = `apiproxy_powerdns_api_requests_total apiproxy_published_zone_events_total
  secondarysyncer_received_zone_events_total secondarysyncer_powerdns_api_call_total
  secondarysyncer_zone_data_request_total secondarysyncer_zone_state_request_total
  secondarysyncer_zone_state_response_total secondarysyncer_local_dns_proxy_queries_total
  secondarysyncer_worker_lock_count zoneprovider_request_total zoneprovider_response_total
  zoneprovider_powerdns_api_call_total zoneprovider_powerdns_dns_call_total zoneprovider_powerdns_dns_query_total
  healthchecker_event_health_check_received_zone_events_total
  healthchecker_event_health_check_published_zone_events_total
  healthchecker_interval_health_published_zone_events_total healthchecker_interval_health_cycles_total
  healthchecker_refresh_cycles_total healthchecker_singing_sync_cycles_total healthchecker_ensure_nsec3_cyles_total
  healthchecker_interval_signing_sync_published_zone_events_total healthchecker_actual_primary_zone_count
  healthchecker_actual_secondary_count healthchecker_actual_dnssec_primary_zone_count`.split(/\s+/);

/** Names of all that the services expose. */
function exposed(): ReadonlySet<string> {
  const registry = new Registry({});
  proxyMetrics(registry);
  providerMetrics(registry);
  syncerMetrics(registry, { running: () => 0, failing: () => 0 });
  checkerMetrics(
    registry,
    () => ({ zones: 0, signedZones: 0, secondaries: 1, looks: 0, isLeading: true, states: [], services: [] }),
  );
  const services = ["apiproxy", "zoneprovider", "secondarysyncer", "healthchecker"];
  return new Set([
    ...[...registry.expose().matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!),
    // Made where a service is started.
    ...["apiproxy_certificate_end_seconds", ...services.map((each) => `${each}_nats_connected`)],
  ]);
}

Deno.test("metrics have the names that dashboards of the Go services know", () => {
  const names = exposed();
  deepEqual(KNOWN.filter((name) => !names.has(name)), []);
});

Deno.test("the dashboard and the alerts ask for what services expose", () => {
  const names = exposed();
  const { panels }: { panels: { targets: { expr: string }[] }[] } = JSON.parse(file("distribute.json"));
  const asked = [...panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)), file(RULES)].join("\n");
  const found = asked.match(/\b(?:apiproxy|zoneprovider|healthchecker|secondarysyncer)_[a-z0-9_]+/g) ?? [];
  deepEqual(found.filter((name) => !names.has(name.replace(/_bucket$/, ""))), []);
});

testWith(["promtool"], "alerts fire when they should, and not in ordinary operation", async () => {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-distribute-rules-" });
  try {
    await Deno.writeTextFile(`${folder}/${RULES}`, file(RULES));
    await Deno.writeTextFile(`${folder}/test.yml`, JSON.stringify(ALERTS));
    const { code, output } = await promtool(["test", "rules", `${folder}/test.yml`], "");
    equal(code, 0, output);
    const { panels }: { panels: { title: string; targets: { expr: string }[] }[] } = JSON.parse(
      file("distribute.json"),
    );
    const rules = panels.flatMap(({ targets }) => targets).map(({ expr }, i) => ({
      ...{ record: `panel:${i}`, expr: expr.replaceAll("$__rate_interval", "1m") },
    }));
    const panelFile = JSON.stringify({ groups: [{ name: "panels", rules }] });
    const checked = await promtool(["check", "rules", "/dev/stdin"], panelFile);
    match(checked.output, /SUCCESS: \d+ rules found/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

const series = (rows: readonly (readonly [string, string])[]) =>
  rows.map(([series, values]) => ({ series, values }));
const expr = 'sum by (alertname) (ALERTS{alertstate="firing"})';

/** A sound installation, and one in which everything is wrong; one minute a sample. */
const ALERTS = {
  rule_files: [RULES],
  evaluation_interval: "1m",
  tests: [
    {
      interval: "1m",
      input_series: series([
        ['apiproxy_nats_connected{instance="a"}', "1x60"],
        ['healthchecker_leading{instance="a"}', "1x60"],
        ['healthchecker_leading{instance="b"}', "0x60"],
        ['healthchecker_secondary_answers{secondary="c"}', "1x60"],
        ['healthchecker_differing_zones{secondary="c"}', "0x30 9x15 0x15"],
        ['secondarysyncer_failing_zones{instance="c"}', "0x60"],
        ['secondarysyncer_ignored_zone_events_total{instance="c",reason="broken"}', "7x60"],
        ['healthchecker_waiting_checks{instance="a"}', "0x30 4000x20 0x10"],
        ['apiproxy_lost_zone_events_total{instance="a"}', "7x60"],
        ['apiproxy_certificate_end_seconds{instance="a"}', "7776000x60"],
      ]),
      promql_expr_test: [{ expr, eval_time: "60m", exp_samples: [] }],
    },
    {
      interval: "1m",
      input_series: series([
        ['secondarysyncer_nats_connected{instance="c"}', "0x60"],
        ['healthchecker_leading{instance="a"}', "0x60"],
        ['healthchecker_secondary_answers{secondary="c"}', "0x60"],
        ['healthchecker_differing_zones{secondary="c"}', "3x60"],
        ['secondarysyncer_failing_zones{instance="c"}', "3x60"],
        ['secondarysyncer_ignored_zone_events_total{instance="c",reason="broken"}', "0+7x60"],
        ['healthchecker_waiting_checks{instance="a"}', "4000x70"],
        ['apiproxy_lost_zone_events_total{instance="a"}', "0+7x60"],
        ['apiproxy_certificate_end_seconds{instance="a"}', "86400x60"],
      ]),
      promql_expr_test: [{
        expr,
        eval_time: "60m",
        exp_samples: ["Broken", "CertificateEnds", "ChecksLate", "EventsLost", "NatsDisconnected"]
          .concat("SecondaryUnheard", "Unchecked", "ZonesDiffer", "ZonesFail").map((name) => ({
            ...{ labels: `{alertname="Distribute${name}"}`, value: 1 },
          })),
      }],
    },
  ],
};
