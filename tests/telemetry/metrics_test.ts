/**
 * The registry's text, as Prometheus itself reads it where promtool is found.
 *
 * @module
 */
import assert from "node:assert/strict";
import { systemClock } from "../../src/clock.ts";
import { Registry } from "../../src/telemetry/metrics.ts";
import { registerProcessMetrics } from "../../src/telemetry/process.ts";
import { ManualClock } from "../clock.ts";
import { testWith } from "../programs.ts";
import { promtool } from "./promtool.ts";

Deno.test("expose() writes counters, gauges and histograms with the constant labels on each line", () => {
  const registry = node();
  const requests = registry.counter("pleiades_x_requests_total", "Requests.", ["transport"]);
  requests.labels("udp").inc();
  requests.labels("udp").inc(2);
  requests.labels("tcp").inc();
  registry.gauge("pleiades_x_generation", "Generation.").labels().set(7);
  const seconds = registry.histogram("pleiades_x_duration_seconds", "Duration.", [0.1, 1]).labels();
  for (const value of [0.05, 0.1, 0.5, 30]) seconds.observe(value);
  assert.deepEqual(registry.expose().split("\n").filter((line) => line.includes("_x_")), [
    "# HELP pleiades_x_duration_seconds Duration.",
    "# TYPE pleiades_x_duration_seconds histogram",
    'pleiades_x_duration_seconds_bucket{cluster="c1",node="n1",le="0.1"} 2',
    'pleiades_x_duration_seconds_bucket{cluster="c1",node="n1",le="1"} 3',
    'pleiades_x_duration_seconds_bucket{cluster="c1",node="n1",le="+Inf"} 4',
    'pleiades_x_duration_seconds_sum{cluster="c1",node="n1"} 30.65',
    'pleiades_x_duration_seconds_count{cluster="c1",node="n1"} 4',
    "# HELP pleiades_x_generation Generation.",
    "# TYPE pleiades_x_generation gauge",
    'pleiades_x_generation{cluster="c1",node="n1"} 7',
    "# HELP pleiades_x_requests_total Requests.",
    "# TYPE pleiades_x_requests_total counter",
    'pleiades_x_requests_total{cluster="c1",node="n1",transport="udp"} 3',
    'pleiades_x_requests_total{cluster="c1",node="n1",transport="tcp"} 1',
  ]);
});

Deno.test("without labels at all a series is its bare name", () => {
  const registry = new Registry({});
  registry.counter("pleiades_x_total", "X.");
  registry.histogram("pleiades_x_seconds", "X.", [1]).labels().observe(2);
  const text = registry.expose();
  assert.match(text, /^pleiades_x_total 0$/m);
  assert.match(text, /^pleiades_x_seconds_bucket\{le="1"\} 0$/m);
  assert.match(text, /^pleiades_x_seconds_sum 2$/m);
});

Deno.test("label values and help are escaped", () => {
  const registry = node();
  registry.counter("pleiades_x_total", "Back\\slash and\nline.", ["path"]).labels('a"b\\c\nd').inc();
  const text = registry.expose();
  assert.ok(text.includes('path="a\\"b\\\\c\\nd"'));
  assert.ok(text.includes("# HELP pleiades_x_total Back\\\\slash and\\nline."));
});

Deno.test("a family keeps no more series than its limit, and what it refuses is counted", () => {
  const registry = new Registry({}, 2);
  const family = registry.counter("pleiades_x_total", "X.", ["id"]);
  for (const id of ["a", "b", "c", "d", "a"]) family.labels(id).inc();
  const text = registry.expose();
  assert.match(text, /^pleiades_x_total\{id="a"\} 2$/m);
  assert.equal(text.includes('id="c"'), false);
  assert.match(text, /^pleiades_metrics_dropped_series_total\{metric="pleiades_x_total"\} 2$/m);
});

Deno.test("clear() forgets the series", () => {
  const registry = new Registry({});
  const family = registry.gauge("pleiades_x", "X.", ["id"]);
  for (const id of ["a", "b"]) family.labels(id).set(1);
  assert.equal(registry.expose().includes('id="b"'), true);
  family.clear();
  assert.equal(registry.expose().includes('id="b"'), false);
});

Deno.test("a callback gauge is asked at each scrape, and its old series go", () => {
  const registry = new Registry({});
  const pools = new Map([["p1", 3], ["p2", 4]]);
  registry.gauge("pleiades_x_pools", "Pools.", { collect: () => pools.size });
  registry.gauge("pleiades_x_members", "Members.", {
    labelNames: ["pool_id"],
    collect: () => [...pools].map(([id, members]) => [[id], members] as const),
  });
  assert.match(registry.expose(), /^pleiades_x_members\{pool_id="p1"\} 3$/m);
  pools.delete("p1");
  const text = registry.expose();
  assert.match(text, /^pleiades_x_pools 1$/m);
  assert.equal(text.includes('pool_id="p1"'), false);
  assert.match(text, /^pleiades_x_members\{pool_id="p2"\} 4$/m);
});

Deno.test("onCollect() and mirror() bring in what is counted elsewhere", () => {
  const registry = new Registry({});
  const total = registry.counter("pleiades_x_total", "X.").labels();
  const seconds = registry.histogram("pleiades_x_seconds", "X.", [1, 2]).labels();
  registry.onCollect(() => {
    total.mirror(42);
    seconds.mirror(Uint32Array.of(1, 2, 3), 9.5);
  });
  const text = registry.expose();
  assert.match(text, /^pleiades_x_total 42$/m);
  assert.match(text, /^pleiades_x_seconds_bucket\{le="2"\} 3$/m);
  assert.match(text, /^pleiades_x_seconds_count 6$/m);
});

Deno.test("infinite and missing values are written as Prometheus spells them", () => {
  const registry = new Registry({});
  const family = registry.gauge("pleiades_x", "X.", ["id"]);
  for (const [id, value] of [["a", Infinity], ["b", -Infinity], ["c", NaN], ["d", 1e-7]] as const) {
    family.labels(id).set(value);
  }
  assert.deepEqual(
    registry.expose().split("\n").filter((line) => line.startsWith("pleiades_x{")),
    [
      'pleiades_x{id="a"} +Inf',
      'pleiades_x{id="b"} -Inf',
      'pleiades_x{id="c"} NaN',
      'pleiades_x{id="d"} 1e-7',
    ],
  );
});

Deno.test("a wrong or taken name is refused when the family is made", () => {
  const registry = node();
  registry.gauge("pleiades_x", "X.");
  assert.throws(() => registry.gauge("pleiades_x", "X."), /"pleiades_x": the name is taken/);
  assert.throws(() => registry.gauge("Pleiades-x", "X."), /"Pleiades-x": its name must match/);
  assert.throws(() => registry.counter("pleiades_y", "X."), /"pleiades_y": it must end in _total/);
  assert.throws(() => registry.gauge("pleiades_z", "X.", ["node"]), /label "node" is taken/);
  assert.throws(() => registry.histogram("pleiades_h", "X.", [1], ["le"]), /label "le" is taken/);
  assert.throws(() => registry.histogram("pleiades_h", "X.", [2, 1]), /buckets \[2,1\] must ascend/);
});

Deno.test("the process's own metrics are there", () => {
  const registry = node();
  registerProcessMetrics(registry, { version: "1.2.3", clock: new ManualClock() });
  const text = registry.expose();
  assert.match(
    text,
    /pleiades_build_info\{cluster="c1",node="n1",version="1\.2\.3",deno="[^"]+",target="[^"]+"\} 1/,
  );
  assert.match(text, /pleiades_process_start_time_seconds\{[^}]*\} 1767225600\n/);
  assert.match(text, /pleiades_process_cpu_seconds_total\{[^}]*\} \d+(\.\d+)?\n/);
  assert.match(text, /pleiades_process_resident_memory_bytes\{[^}]*\} \d{7,}\n/);
});

testWith(["promtool"], "promtool check metrics accepts the text", async () => {
  const registry = node();
  registerProcessMetrics(registry, { version: "1.2.3", clock: new ManualClock() });
  registry.counter("pleiades_x_total", "X.", ["path"]).labels('a"b\\c\nd').inc();
  registry.histogram("pleiades_x_seconds", "X.", [0.1, 1], ["type"]).labels("tcp").observe(2);
  const { code, output } = await promtool(["check", "metrics"], registry.expose());
  assert.equal(code, 0, output);
  assert.equal(output.trim(), "");
});

function node(): Registry {
  return new Registry({ cluster: "c1", node: "n1" });
}

Deno.test("a registry goes on from what another one carried, whether its series are there yet or not", () => {
  const before = node();
  before.counter("pleiades_x_requests_total", "Requests.", ["transport"]).labels("udp").inc(5);
  before.histogram("pleiades_x_duration_seconds", "Duration.", [0.1, 1]).labels().observe(0.05);
  before.gauge("pleiades_x_generation", "Generation.").labels().set(7);
  const after = node();
  const seconds = after.histogram("pleiades_x_duration_seconds", "Duration.", [0.1, 1]).labels();
  seconds.observe(3);
  const carried = before.carry();
  after.goOnFrom(carried);
  const requests = after.counter("pleiades_x_requests_total", "Requests.", ["transport"]);
  const ofMetric = (name: string) => after.expose().split("\n").filter((line) => line.startsWith(`${name}{`));
  assert.deepEqual(ofMetric("pleiades_x_requests_total"), [
    'pleiades_x_requests_total{cluster="c1",node="n1",transport="udp"} 5',
  ]);
  requests.labels("udp").mirror(2);
  after.goOnFrom(carried); // a later call takes the place of an earlier one
  assert.deepEqual(ofMetric("pleiades_x_requests_total"), [
    'pleiades_x_requests_total{cluster="c1",node="n1",transport="udp"} 7',
  ]);
  assert.deepEqual(ofMetric("pleiades_x_duration_seconds_count"), [
    'pleiades_x_duration_seconds_count{cluster="c1",node="n1"} 2',
  ]);
  assert.deepEqual(ofMetric("pleiades_x_duration_seconds_sum"), [
    'pleiades_x_duration_seconds_sum{cluster="c1",node="n1"} 3.05',
  ]);
  assert.deepEqual(after.carry().pleiades_x_requests_total?.[0]?.sums, [7]);
  assert(!("pleiades_x_generation" in carried));
});

Deno.test("what was carried under other labels, of another node or with other buckets is left out", () => {
  const after = node();
  after.counter("pleiades_x_requests_total", "Requests.", ["transport"]);
  after.histogram("pleiades_x_duration_seconds", "Duration.", [0.1, 1]);
  after.goOnFrom({
    pleiades_x_requests_total: [
      { labels: 'cluster="c1",node="n2",transport="udp"', sums: [5] },
      { labels: 'cluster="c1",node="n1"', sums: [5] },
      { labels: 'cluster="c1",node="n1",transport="udp",more="1"', sums: [5] },
    ],
    pleiades_x_duration_seconds: [{ labels: 'cluster="c1",node="n1"', sums: [5, 5] }],
    pleiades_x_gone_total: [{ labels: 'cluster="c1",node="n1"', sums: [5] }],
  });
  assert(!after.expose().includes("requests_total{"));
  assert(!after.expose().includes(" 5\n"));
});

Deno.test("a text that is held stays as it was, and is made again afterwards", () => {
  const registry = node();
  const total = registry.counter("pleiades_x_requests_total", "Requests.").labels();
  {
    using _held = registry.holdText();
    total.inc();
    assert.match(registry.expose(), /requests_total\{.*\} 0\n/);
  }
  assert.match(registry.expose(), /requests_total\{.*\} 1\n/);
});

Deno.test("exposeInSlices() gives others their turn between what is collected, and one text to all that ask meanwhile", async () => {
  const manual = new ManualClock();
  let workedMs = 0;
  const clock = { monotonicMs: () => workedMs, sleep: manual.sleep.bind(manual) };
  const { signal } = new AbortController();
  const registry = new Registry({});
  const total = registry.gauge("pleiades_x", "X.");
  let begun = 0;
  registry.onCollect(function* () {
    const number = ++begun;
    for (let i = 0; i < 10; i++) {
      workedMs += 3;
      yield;
    }
    total.labels().set(number);
  });
  const texts = [registry.exposeInSlices({ clock, signal }), registry.exposeInSlices({ clock, signal })];
  assert.equal(workedMs, 6, "two steps are a slice");
  assert.match(registry.expose(), /^pleiades_x 2$/m, "who asks for all of it at once has it");
  await manual.advance(0);
  const [first, second] = await Promise.all(texts);
  assert.match(first!, /^pleiades_x 1$/m);
  assert.equal(first, second);
  assert.equal(begun, 2);
  const third = registry.exposeInSlices({ clock, signal });
  using _ = registry.holdText();
  await manual.advance(0);
  assert.match(await third, /^pleiades_x 4$/m);
  assert.equal(await registry.exposeInSlices({ clock, signal }), await third, "text that is held stays");
  assert.equal(begun, 4);
});

Deno.test("exposeInSlices() ends with its signal, and is there again for the next one", async () => {
  let nowMs = 0;
  const manual = new ManualClock();
  const clock = { monotonicMs: () => nowMs += 1_000, sleep: manual.sleep.bind(manual) };
  const ending = new AbortController();
  const registry = new Registry({});
  registry.onCollect(() => ending.abort(new Error("the node ends")));
  await assert.rejects(registry.exposeInSlices({ clock, signal: ending.signal }), {
    message: "the node ends",
  });
  const { signal } = new AbortController();
  assert.match(await registry.exposeInSlices({ clock: systemClock, signal }), /^# HELP /);
});
