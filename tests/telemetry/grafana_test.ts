/**
 * The dashboard and the alerts hang together; Prometheus itself judges their expressions where promtool is found.
 *
 * @module
 */
import assert from "node:assert/strict";
import { exposition } from "../../src/front/exposition.ts";
import { grafanaMetricNames, type Panel, questionsOf, readDashboard, readRules } from "./grafana.ts";
import { testWith } from "../programs.ts";
import { promtool } from "./promtool.ts";

Deno.test("the dashboard can be pointed at a data source, a cluster and a node", async () => {
  const dashboard = await readDashboard();
  assert.equal(dashboard.uid, "pleiades");
  assert.deepEqual(dashboard.templating.list.map(({ name, type }) => [name, type]), [
    ["datasource", "datasource"],
    ["cluster", "query"],
    ["node", "query"],
  ]);
});

Deno.test("panels have ids of their own, lie inside the grid and don't overlap", async () => {
  const { panels } = await readDashboard();
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  for (const { title, gridPos } of panels) assert.ok(gridPos.x + gridPos.w <= 24, title);
  for (const panel of panels) {
    assert.deepEqual(
      panels.filter((other) => overlaps(panel, other)).map(({ title }) => title),
      [],
      panel.title,
    );
  }
});

Deno.test("every question of the dashboard is about the chosen clusters and nodes", async () => {
  for (const { where, expr } of questionsOf(await readDashboard())) {
    const metrics = expr.match(/\bpleiades_[a-z_]+/g) ?? [];
    const selectors = expr.match(/\bpleiades_[a-z_]+\{cluster=~"\.\*",node=~"\.\*"/g) ?? [];
    assert.ok(metrics.length > 0, where);
    assert.equal(selectors.length, metrics.length, `${where}: ${expr}`);
  }
});

Deno.test("the names of metrics are found, those of histograms as families", async () => {
  const names = await grafanaMetricNames();
  assert.ok(names.includes("pleiades_dns_requests_total"));
  assert.ok(names.includes("pleiades_health_failover_detection_seconds"));
  assert.ok(names.includes("pleiades_metrics_dropped_series_total"));
  assert.equal(names.some((name) => name.endsWith("_bucket")), false);
});

Deno.test("alerts about balancers go by what `balstat` exposes", async () => {
  const text = exposition({ balancer: {}, backends: [{ id: 5301 }], remotes: [] });
  const exposed = [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name!);
  const used = await grafanaMetricNames("balancer");
  assert.ok(used.length > 0);
  assert.deepEqual(used.filter((name) => !exposed.includes(name)), []);
});

testWith(["promtool"], "promtool check rules accepts the alerts", async () => {
  const { code, output } = await promtool(["check", "rules", "/dev/stdin"], await readRules());
  assert.equal(code, 0, output);
  assert.match(output, /SUCCESS: \d+ rules found/);
});

testWith(["promtool"], "Prometheus can parse every expression of the dashboard", async () => {
  const rules = questionsOf(await readDashboard()).map(({ expr }, i) => ({ record: `panel:${i}`, expr }));
  const file = JSON.stringify({ groups: [{ name: "panels", rules }] });
  const { code, output } = await promtool(["check", "rules", "/dev/stdin"], file);
  assert.equal(code, 0, output);
});

testWith(["promtool"], "alerts fire when they should, and not in ordinary operation", async () => {
  const directory = await Deno.makeTempDir({ prefix: "pleiades-rules-" });
  try {
    await Deno.writeTextFile(`${directory}/pleiades.rules.yml`, await readRules());
    await Deno.writeTextFile(`${directory}/test.yml`, JSON.stringify(ALERT_TESTS));
    await Deno.writeTextFile(`${directory}/slow.yml`, JSON.stringify(SLOW_ALERT_TESTS));
    const { code, output } = await promtool([
      "test",
      "rules",
      `${directory}/test.yml`,
      `${directory}/slow.yml`,
    ], "");
    assert.equal(code, 0, output);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

/** Series at one value a minute (`7x60` = sixty times), and all alerts that fire after half an hour. */
const ALERT_TESTS = {
  rule_files: ["pleiades.rules.yml"],
  // What they look at comes each minute.
  evaluation_interval: "5m",
  tests: [
    {
      // Balancer b has lost its servers, a one of two; node m has a balancer and doesn't answer it.
      interval: "1m",
      input_series: [
        { series: 'pleiades_balancer_backend_ok{instance="a",backend="5301"}', values: "1x60" },
        { series: 'pleiades_balancer_backend_ok{instance="a",backend="5302"}', values: "0x60" },
        { series: 'pleiades_balancer_backend_ok{instance="b",backend="5301"}', values: "0x60" },
        ...([["a", 0], ["b", 600]] as const).flatMap(([instance, each]) =>
          ["unserved", "stuck", "overflowed"].map((what) => ({
            series: `pleiades_balancer_udp_${what}_total{instance="${instance}"}`,
            values: `0+${each}x60`,
          }))
        ),
        { series: 'pleiades_dns_backend_answering{cluster="c",node="n"}', values: "0x60" },
        { series: 'pleiades_dns_backend_sessions_total{cluster="c",node="n"}', values: "0x60" },
        { series: 'pleiades_dns_backend_answering{cluster="c",node="m"}', values: "0x60" },
        { series: 'pleiades_dns_backend_sessions_total{cluster="c",node="m"}', values: "1x60" },
      ],
      promql_expr_test: [{
        expr:
          'sum by (alertname, instance, backend, node) (ALERTS{alertstate="firing",alertname=~".*B(alancer|ackend).*"})',
        eval_time: "30m",
        exp_samples: [
          '{alertname="PleiadesBalancerWithoutBackends", instance="b"}',
          '{alertname="PleiadesBalancerBackendDown", instance="a", backend="5302"}',
          '{alertname="PleiadesBalancerBackendDown", instance="b", backend="5301"}',
          '{alertname="PleiadesBalancerDrops", instance="b"}',
          '{alertname="PleiadesBackendSilent", node="m"}',
        ].map((labels) => ({ labels, value: 1 })),
      }],
    },
    {
      // Node m has twice what it can answer and what else limits tell of; node n has a little of all of it.
      interval: "1m",
      input_series: [
        ...([["n", 1], ["m", 30]] as const).flatMap(([node, each]) =>
          ([
            ["dns_overloaded_seconds_total", "", 1],
            ["dns_dropped_total", 'reason="stale"', 20],
            ["dns_dropped_total", 'reason="rate_limit"', 150],
            ["dns_limited_total", 'limit="rate"', 150],
            ["dns_limited_total", 'limit="allow"', 20],
            ["dns_cookies_total", 'cookie="invalid"', 50],
            ["dns_streams_cut_total", 'transport="tls",reason="handshake"', 20],
          ] as const).map(([name, labels, aMinute]) => ({
            series: `pleiades_${name}{cluster="c",node="${node}"${labels && `,${labels}`}}`,
            values: `0+${aMinute * each}x60`,
          }))
        ),
        { series: 'pleiades_dns_cookies_total{cluster="c",node="n",cookie="valid"}', values: "0+500x60" },
        { series: 'pleiades_dns_cookies_total{cluster="c",node="m",cookie="valid"}', values: "0+500x60" },
        { series: 'pleiades_dns_certificate_end_seconds{cluster="c",node="n"}', values: "0x60" },
        { series: 'pleiades_discovery_stale_seconds{cluster="c",node="n",zone="gg"}', values: "0x60" },
        { series: 'pleiades_discovery_stale_seconds{cluster="c",node="m",zone="gg"}', values: "0+60x60" },
        { series: 'pleiades_dns_certificate_end_seconds{cluster="c",node="m"}', values: "864000x60" },
      ],
      promql_expr_test: [{
        expr:
          'sum by (alertname, node, reason, transport) (ALERTS{alertstate="firing",alertname!="PleiadesAbsent"})',
        eval_time: "62m",
        exp_samples: [
          '{alertname="PleiadesAnswersLost", node="m", reason="stale"}',
          '{alertname="PleiadesOverloaded", node="m"}',
          '{alertname="PleiadesRateLimited", node="m"}',
          '{alertname="PleiadesClientsRefused", node="m"}',
          '{alertname="PleiadesCookiesForeign", node="m"}',
          '{alertname="PleiadesHandshakesFail", node="m", transport="tls"}',
          '{alertname="PleiadesDnsCertificateEnds", node="m"}',
          '{alertname="PleiadesRegistryStale", node="m"}',
        ].map((labels) => ({ labels, value: 1 })),
      }],
    },
    {
      // Node n follows the cluster's log and was away for a while; nodes m and o, of other clusters, don't.
      interval: "1m",
      input_series: [
        { series: 'pleiades_log_current{cluster="c",node="n"}', values: "1x20 0x2 1x20" },
        { series: 'pleiades_log_current{cluster="d",node="m"}', values: "0x60" },
        { series: 'pleiades_log_pending{cluster="c",node="n"}', values: "0x20 3x4 0x20" },
        { series: 'pleiades_log_pending{cluster="d",node="m"}', values: "2x60" },
        { series: 'pleiades_log_conflicts{cluster="c",node="n"}', values: "4x60" },
        { series: 'pleiades_log_conflicts{cluster="d",node="m"}', values: "0x25 1x40" },
        { series: 'pleiades_log_unreadable{cluster="c",node="n"}', values: "0x20 1x40" },
        { series: 'pleiades_log_unreadable{cluster="d",node="m"}', values: "0+1x60" },
        { series: 'pleiades_cluster_refused_total{cluster="c",node="n",reason="stale"}', values: "1x60" },
        { series: 'pleiades_cluster_refused_total{cluster="d",node="m",reason="forged"}', values: "0+1x60" },
        // The others' nodes aren't scraped here.
        { series: 'pleiades_state_models_differing{cluster="c",node="n"}', values: "0x20 1x5 0x40" },
        { series: 'pleiades_state_models_differing{cluster="e",node="o"}', values: "1x60" },
      ],
      promql_expr_test: [{
        expr:
          'sum by (alertname, cluster, node, reason) (ALERTS{alertstate="firing",alertname!="PleiadesAbsent"})',
        eval_time: "32m",
        exp_samples: [
          '{alertname="PleiadesLogNotFollowed", cluster="d", node="m"}',
          '{alertname="PleiadesChangesPending", cluster="d", node="m"}',
          '{alertname="PleiadesChangesUndone", cluster="d", node="m"}',
          '{alertname="PleiadesClusterRefuses", cluster="d", node="m", reason="forged"}',
          '{alertname="PleiadesClusterRefuses", cluster="d", node="m"}',
          '{alertname="PleiadesModelsDiffer", cluster="e"}',
        ].map((labels) => ({ labels, value: 1 })),
      }],
    },
    {
      interval: "1m",
      input_series: [
        {
          series: 'pleiades_pool_down{cluster="c",node="n",pool="dead",pool_id="1",family="all"}',
          values: "1x60",
        },
        // Another node of the same model has other ids and generations.
        {
          series: 'pleiades_pool_members_healthy{cluster="c",node="m",pool="fine",pool_id="9"}',
          values: "2x60",
        },
        { series: 'pleiades_config_generation{cluster="c",node="n"}', values: "7x60" },
        { series: 'pleiades_config_generation{cluster="c",node="m"}', values: "9x60" },
        { series: 'pleiades_config_digest{cluster="c",node="n"}', values: "281474976710655x60" },
        { series: 'pleiades_config_digest{cluster="c",node="m"}', values: "281474976710655x60" },
        // What a sound node has.
        { series: 'pleiades_health_blind{cluster="c",node="n"}', values: "0x60" },
        { series: 'pleiades_health_flip_guard_active{cluster="c",node="n"}', values: "0x60" },
        { series: 'pleiades_geoip_loads_total{cluster="c",node="n",result="error"}', values: "1x60" },
        { series: 'pleiades_map_file_loads_total{cluster="c",node="n",result="error"}', values: "1x60" },
        { series: 'pleiades_overrides_active{cluster="c",node="n",state="drain"}', values: "1x60" },
        {
          series: 'pleiades_query_log_dropped_total{cluster="c",node="n",reason="rate"}',
          values: "0+9x60",
        },
        { series: 'pleiades_internal_errors_total{cluster="c",node="n"}', values: "1x60" },
        {
          series: 'pleiades_http_connections_total{cluster="c",node="n",listener="api",result="accepted"}',
          values: "0+9x60",
        },
        // Idle ones make room for others, which is as it should be.
        {
          series: 'pleiades_http_connections_total{cluster="c",node="n",listener="api",result="evicted"}',
          values: "0+9x60",
        },
        {
          series: 'pleiades_http_connections_total{cluster="c",node="n",listener="api",result="refused"}',
          values: "3x60",
        },
        { series: 'up{job="pleiades",instance="n:8080"}', values: "1x60" },
        {
          series: 'pleiades_pool_members_total{cluster="c",node="n",pool="dead",pool_id="1"}',
          values: "2x60",
        },
        {
          series: 'pleiades_pool_members_healthy{cluster="c",node="n",pool="dead",pool_id="1"}',
          values: "0x60",
        },
        {
          series: 'pleiades_pool_members_total{cluster="c",node="n",pool="fine",pool_id="2"}',
          values: "2x60",
        },
        {
          series: 'pleiades_pool_members_healthy{cluster="c",node="n",pool="fine",pool_id="2"}',
          values: "2x60",
        },
        {
          series: 'pleiades_pool_members_total{cluster="c",node="n",pool="empty",pool_id="3"}',
          values: "0x60",
        },
        {
          series: 'pleiades_pool_members_healthy{cluster="c",node="n",pool="empty",pool_id="3"}',
          values: "0x60",
        },
        { series: 'pleiades_health_endpoints_total{cluster="c",node="n",family="v4"}', values: "4x60" },
        { series: 'pleiades_health_endpoints_healthy{cluster="c",node="n",family="v4"}', values: "2x60" },
        {
          series: 'pleiades_health_probes_total{cluster="c",node="n",type="tcp",result="success"}',
          values: "5x60",
        },
        {
          series: 'pleiades_health_probes_total{cluster="c",node="n",type="tcp",result="error"}',
          values: "0x60",
        },
        { series: 'pleiades_health_endpoints_total{cluster="c",node="m",family="v4"}', values: "4x60" },
        {
          series: 'pleiades_health_probes_total{cluster="c",node="m",type="tcp",result="success"}',
          values: "0+5x60",
        },
        {
          series: 'pleiades_health_probes_total{cluster="c",node="m",type="tcp",result="error"}',
          values: "0+1x60",
        },
        {
          series: 'pleiades_build_info{cluster="c",node="n",job="pleiades",instance="n:8080"}',
          values: "1x60",
        },
      ],
      // Asked as a series, since a test of the alert itself would compare every word of its annotations.
      promql_expr_test: [{
        expr: 'sum by (alertname, cluster, node, pool) (ALERTS{alertstate="firing"})',
        eval_time: "30m",
        exp_samples: [
          '{alertname="PleiadesPoolDown", cluster="c", node="n", pool="dead"}',
          '{alertname="PleiadesPoolDegraded", cluster="c", node="n", pool="dead"}',
          '{alertname="PleiadesProbesStopped", cluster="c", node="n"}',
          '{alertname="PleiadesProbesFailToStart", cluster="c", node="m"}',
        ].map((labels) => ({ labels, value: 1 })),
      }],
    },
    {
      // Agent k can't keep its record; m is removed by its peers, and sees them fail; n has a little of all of it.
      interval: "1m",
      input_series: ([
        ["n", 'rounds_total{outcome="failed"', "0+1x60"],
        ["n", 'rounds_total{outcome="quiet"', "0+1x60"],
        ["k", 'rounds_total{outcome="failed"', "0+5x60"],
        ["k", 'rounds_total{outcome="quiet"', "7x60"],
        ["n", 'rounds_total{outcome="conflict"', "1x60"],
        ["m", 'rounds_total{outcome="conflict"', "0+1x60"],
        ["n", "added_total{", "1x60"],
        ["m", "added_total{", "0+1x60"],
        ["n", "addresses{", "5x60"],
        ["n", "failing_peers{", "1x60"],
        ["m", "addresses{", "5x60"],
        ["m", "failing_peers{", "3x60"],
        ["m2", "addresses{", "2x60"],
        ["m2", "failing_peers{", "1x60"],
      ] as const).map(([node, name, values]) => ({
        series: `pleiades_agent_${name.replace("{", `{cluster="c",node="${node}",family="v4",`)}}`,
        values,
      })),
      promql_expr_test: [{
        expr: 'sum by (alertname, node, family) (ALERTS{alertstate="firing",alertname!="PleiadesAbsent"})',
        eval_time: "40m",
        exp_samples: [
          '{alertname="PleiadesAgentFails", node="k", family="v4"}',
          '{alertname="PleiadesAgentFlaps", node="m", family="v4"}',
          '{alertname="PleiadesAgentPeersFail", node="m", family="v4"}',
          '{alertname="PleiadesAgentConflicts", node="m", family="v4"}',
        ].map((labels) => ({ labels, value: 1 })),
      }],
    },
    {
      interval: "1m",
      input_series: [
        { series: 'pleiades_health_blind{cluster="c",node="n"}', values: "1x1600" },
        { series: 'pleiades_health_flip_guard_active{cluster="c",node="n"}', values: "1x1600" },
        { series: 'pleiades_overrides_active{cluster="c",node="n",state="drain"}', values: "1x1600" },
        {
          series: 'pleiades_geoip_build_timestamp_seconds{cluster="c",node="n",kind="city"}',
          values: "1x1600",
        },
        {
          series: 'pleiades_geoip_build_timestamp_seconds{cluster="c",node="m",kind="city"}',
          values: "0x1600",
        },
        { series: 'pleiades_geoip_loads_total{cluster="c",node="n",result="error"}', values: "0+1x1600" },
        { series: 'pleiades_map_file_loads_total{cluster="c",node="n",result="error"}', values: "0+1x1600" },
        {
          series: 'pleiades_query_log_dropped_total{cluster="c",node="n",reason="file"}',
          values: "0+9x1600",
        },
        { series: 'pleiades_internal_errors_total{cluster="c",node="n"}', values: "0x1555 1x45" },
        {
          series: 'pleiades_http_connections_total{cluster="c",node="n",listener="api",result="refused"}',
          values: "0+2x1600",
        },
        {
          series: 'pleiades_http_connections_total{cluster="c",node="n",listener="metrics",result="failed"}',
          values: "0+2x1600",
        },
        { series: 'pleiades_config_digest{cluster="c",node="n"}', values: "1x1600" },
        { series: 'pleiades_config_digest{cluster="c",node="m"}', values: "2x1600" },
        // Of two nodes one has gone.
        { series: 'up{job="pleiades",instance="n:8080"}', values: "1x1600" },
        { series: 'up{job="pleiades",instance="m:8080"}', values: "1x100 0x1500" },
        { series: 'up{job="other",instance="m:9090"}', values: "0x1600" },
        {
          series: 'pleiades_build_info{cluster="c",node="n",job="pleiades",instance="n:8080"}',
          values: "1x1600",
        },
        {
          series: 'pleiades_build_info{cluster="c",node="m",job="pleiades",instance="m:8080"}',
          values: "1x100",
        },
        {
          series: 'pleiades_pool_members_healthy{cluster="c",node="n",pool="web",pool_id="1"}',
          values: "2x1600",
        },
        {
          series: 'pleiades_pool_members_healthy{cluster="c",node="m",pool="web",pool_id="2"}',
          values: "1x1600",
        },
      ],
      promql_expr_test: [{
        expr:
          'sum by (alertname, cluster, node, pool, instance, reason, listener, result) (ALERTS{alertstate="firing"})',
        eval_time: "26h",
        exp_samples: [
          '{alertname="PleiadesBlind", cluster="c", node="n"}',
          '{alertname="PleiadesFlipGuardHolds", cluster="c", node="n"}',
          '{alertname="PleiadesOverridesForLong", cluster="c", node="n"}',
          '{alertname="PleiadesGeoipUnreadable", cluster="c", node="n"}',
          '{alertname="PleiadesMapFileUnreadable", cluster="c", node="n"}',
          '{alertname="PleiadesQueryLogIncomplete", cluster="c", node="n", reason="file"}',
          '{alertname="PleiadesInternalError", cluster="c", node="n"}',
          '{alertname="PleiadesHttpConnectionsLost", cluster="c", node="n", listener="api", result="refused"}',
          '{alertname="PleiadesHttpConnectionsLost", cluster="c", node="n", listener="metrics", result="failed"}',
          '{alertname="PleiadesModelsDiffer", cluster="c"}',
          '{alertname="PleiadesNodeMissing", instance="m:8080"}',
          '{alertname="PleiadesNodesDisagree", cluster="c", pool="web"}',
        ].map((labels) => ({ labels, value: 1 })),
      }],
    },
  ],
};

/** The same for what takes months: a look a day. */
const SLOW_ALERT_TESTS = {
  rule_files: ["pleiades.rules.yml"],
  evaluation_interval: "1d",
  tests: [
    {
      // In two months a database that was never replaced has become old.
      interval: "1d",
      input_series: [
        {
          series: 'pleiades_geoip_build_timestamp_seconds{cluster="c",node="n",kind="city"}',
          values: "1x70",
        },
        {
          series: 'pleiades_geoip_build_timestamp_seconds{cluster="c",node="m",kind="city"}',
          values: "0x70",
        },
        { series: 'pleiades_build_info{cluster="c",node="n"}', values: "1x70" },
      ],
      promql_expr_test: [{
        expr: 'sum by (alertname, cluster, node) (ALERTS{alertstate="firing",alertname="PleiadesGeoipOld"})',
        eval_time: "62d",
        exp_samples: [{ labels: '{alertname="PleiadesGeoipOld", cluster="c", node="n"}', value: 1 }],
      }],
    },
  ],
};

function overlaps(a: Panel, b: Panel): boolean {
  if (a === b) return false;
  const apart = a.gridPos.x + a.gridPos.w <= b.gridPos.x || b.gridPos.x + b.gridPos.w <= a.gridPos.x ||
    a.gridPos.y + a.gridPos.h <= b.gridPos.y || b.gridPos.y + b.gridPos.h <= a.gridPos.y;
  return !apart;
}
