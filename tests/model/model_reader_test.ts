/** @module Model documents: how they are merged, joined and checked against each other. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { modelFileSchema } from "../../src/model/model_reader.ts";
import type { Model } from "../../src/model/model.ts";
import { formatProblem, parseYaml } from "../../src/input/yaml_source.ts";
import { type ModelReading, readTexts } from "../change/read_model.ts";

function read(...texts: string[]): ModelReading {
  return readTexts(Object.fromEntries(texts.map((text, i) => [`${"abc"[i]}.yaml`, text])));
}

function readLines(...lines: string[]): ModelReading {
  return readTexts({ "bulk.ndjson": lines.join("\n") });
}

function modelOf({ model, problems }: ModelReading): Model {
  deepEqual(problems.map(formatProblem), []);
  return model!;
}

function problemsOf({ problems }: ModelReading): string[] {
  return problems.map(formatProblem);
}

Deno.test("documents are merged, and names joined across them in any order", () => {
  const model = modelOf(read(
    "services: [{ domain: www.example.com, pool: web }]",
    "pools: [{ name: web, onAllDown: fallback, fallbackPool: spare }]",
    "pools: [{ name: spare }]",
  ));
  const [spare, web] = model.pools;
  equal(model.services[0]!.poolId, web!.id);
  equal(web!.fallbackPoolId, spare!.id);
  equal(model.generation, 0);
});

Deno.test("a geo rule leads to the member of that address, however it is written", () => {
  const model = modelOf(read(`pools:
  - name: web
    members: [{ ipAddress: "2001:db8::1", port: 80 }]
    geoRules: [{ continent: eu, member: "2001:DB8:0::1" }]`));
  const [pool] = model.pools;
  equal(pool!.geoRules[0]!.memberId, pool!.members[0]!.id);
  equal(pool!.geoRules[0]!.continent, "EU");
});

Deno.test("null and a missing value mean that a key isn't set", () => {
  const model = modelOf(
    read("pools:\n  - name: web\n    healthCheck:\n    members: null\nservices:\nzones: ~\n"),
  );
  equal(model.pools[0]!.healthCheck, null);
  deepEqual(model.pools[0]!.members, []);
});

Deno.test("JSON is read as YAML, indented by tabs too", () => {
  equal(modelOf(read('{\n\t"pools": [\n\t\t{"name": "web"}\n\t]\n}')).pools[0]!.name, "web");
});

Deno.test("aliases repeat what is anchored", () => {
  const model = modelOf(read(`pools:
  - name: a
    healthCheck: &check { type: http, httpPath: /up }
  - name: b
    healthCheck: *check`));
  deepEqual(model.pools[1]!.healthCheck, model.pools[0]!.healthCheck);
});

Deno.test("a problem behind an alias is shown where it is written", () => {
  deepEqual(
    problemsOf(
      read(
        "pools:\n  - name: a\n    members: &m\n      - { ipAddress: 1.2.3, port: 1 }\n  - name: b\n    members: *m\n",
      ),
    ).map((text) => text.split(" ")[0]),
    ["a.yaml:4:22:"],
  );
});

Deno.test("loadbalancer and health make the fallback", () => {
  const model = modelOf(read(
    "loadbalancer: { algorithm: wrr, endpoints: 192.0.2.80, weights: { 192.0.2.80: 2 } }",
    "health: { type: tcp, port: 80, interval: 5s }",
  ));
  equal(model.fallback?.algorithm, "weighted-round-robin");
  equal(model.fallback?.healthCheck?.intervalMs, 5000);
  equal(modelOf(read("loadbalancer: {}\nhealth: {}\n")).fallback, null);
});

Deno.test("health without loadbalancer is refused, since pools have checks of their own", () => {
  match(
    problemsOf(read("health: { port: 80 }"))[0]!,
    /^a.yaml:1:9: health checks the endpoints of loadbalancer/,
  );
});

Deno.test("a name defined twice is reported with both places", () => {
  deepEqual(problemsOf(read("pools: [{ name: web }]", "pools:\n  - name: web\n")), [
    'b.yaml:2:11: pool "web" is defined twice (also at a.yaml:1:9); keep one',
  ]);
});

Deno.test("what refers to a broken pool isn't reported with it", () => {
  deepEqual(
    problemsOf(read("pools: [{ name: web, maxAnswers: 999 }]\nservices: [{ domain: a.example, pool: web }]")),
    [
      "a.yaml:1:34: maxAnswers must be 0–100, is 999",
    ],
  );
});

Deno.test("a circle of fallbacks is reported once; a pool that leads into it isn't", () => {
  const pool = (name: string, to: string) => `{ name: ${name}, onAllDown: fallback, fallbackPool: ${to} }`;
  const problems = problemsOf(read(`pools: [${pool("x", "a")}, ${pool("a", "b")}, ${pool("b", "a")}]`));
  equal(problems.length, 1);
  match(problems[0]!, /circle: a → b → a/);
});

Deno.test("a service at a delegation is served, one below it is not, one in a zone of ours below it is", () => {
  const zone = "@ SOA ns1.example.com. h 1 1h 10m 1w 1m\\n@ NS ns1.example.com.\\n";
  const problems = problemsOf(readLines(
    `{"zone": {"domain": "example.com", "text": "${zone}ns1 A 192.0.2.1\\nsub NS ns.example.net.\\nown NS ns1\\n"}}`,
    `{"zone": {"domain": "own.example.com", "text": "${zone}"}}`,
    `{"service": {"domain": "sub.example.com"}}`,
    `{"service": {"domain": "a.b.sub.example.com"}}`,
    `{"service": {"domain": "a.own.example.com"}}`,
    `{"zone": {"domain": "c.sub.example.com", "text": "${zone}"}}`,
    `{"service": {"domain": "c.sub.example.com"}}`,
  ));
  equal(problems.length, 1);
  match(problems[0]!, /^bulk.ndjson:4:24: service "a.b.sub.example.com" is below "sub.example.com"/);
});

Deno.test("problems of an inline zone are placed in the file that holds it, whatever its indentation", () => {
  const text = (indent: string) =>
    `zones:
  - domain: example.com
    text: |
${indent}@ SOA ns1 h 1 1h 10m 1w 1m
${indent}@ NS ns1
${indent}ns1 A nothing
`;
  match(problemsOf(read(text("      ")))[0]!, /^a.yaml:6:13: /);
  match(problemsOf(read(text("          ")))[0]!, /^a.yaml:6:17: /);
  match(
    problemsOf(read('zones: [{ domain: example.com, text: "@ A 1\\n" }]'))[0]!,
    /^a.yaml:1:38: line 1 of the text: /,
  );
});

Deno.test("zone files are read by whoever knows where they are", () => {
  const { problems } = readTexts(
    { "dir/m.yaml": "zones: [{ domain: example.com, file: z }]" },
    (path, from) => ({ file: `dir/${path}`, text: `; ${from}\n@ A nothing\n` }),
  );
  match(formatProblem(problems[0]!), /^dir\/z:2:5: /);
  match(problemsOf(read("zones: [{ domain: example.com, file: z }]"))[0]!, /can't be read from here/);
});

Deno.test("a million broken lines are reported as a thousand and a count", () => {
  const lines = Array.from({ length: 1500 }, () => "{");
  const problems = problemsOf(readLines(...lines));
  equal(problems.length, 1001);
  match(problems.at(-1)!, /no more than 1000 problems are shown/);
});

Deno.test("the schema of whole documents agrees with the reader", () => {
  const text =
    "pools: [{ name: a }]\nservices: [{ domain: a.example, pool: a }]\nloadbalancer: {}\nhealth: {}\n";
  ok(modelFileSchema.safeParse(parseYaml("a", text).source!.value).success);
  ok(!modelFileSchema.safeParse({ pool: [] }).success);
});
