/** @module Tests of what answers know of round trips. */
import { deepEqual, equal } from "node:assert/strict";
import { RoundTrips } from "../../src/health/round_trips.ts";
import { askFor, call, create, startTestNode, until } from "../test_node.ts";

/** Round trips of slots 1, 2 … by what their targets' last probes took; `said` is what was published. */
function watched(latencies: Record<string, number | null>) {
  const said: { slot: number; rttUs: number }[][] = [];
  const measured = Object.keys(latencies).map((key, i) => ({ slot: i + 1, key }));
  const trips = new RoundTrips({
    measured: () => measured,
    latencyMs: (key) => latencies[key]!,
    publish: (changes) => said.push([...changes]),
  });
  return { trips, said, measured };
}

Deno.test("a round trip is said when it is first known, and nothing of what wasn't measured", () => {
  const { trips, said } = watched({ a: 12, b: null });
  trips.look();
  deepEqual(said, [[{ slot: 1, rttUs: 12_000 }]]);
});

Deno.test("small changes and a single slow probe aren't said, a lasting change is", () => {
  const latencies = { a: 10 };
  const { trips, said } = watched(latencies);
  trips.look();
  latencies.a = 15;
  trips.look();
  latencies.a = 11;
  for (let i = 0; i < 50; i++) trips.look();
  equal(said.length, 1);
  latencies.a = 40;
  for (let i = 0; i < 50; i++) trips.look();
  const last = said.at(-1)![0]!.rttUs;
  equal(last > 32_000 && last <= 40_000, true, `${last} µs were said last`);
});

Deno.test("a slot that stands for another target is measured anew", () => {
  const { trips, said, measured } = watched({ a: 10, b: 10.5 });
  trips.look();
  measured.reverse().forEach((each, i) => each.slot = i + 1);
  trips.look();
  equal(said.length, 2);
});

Deno.test("a whole node answers with the member whose probes come back soonest", async () => {
  const at = (hostname: string, ms: number) =>
    Deno.serve({ hostname, port: 0, onListen: () => {} }, async () => {
      // Time is the subject: it is how far away the member is.
      await new Promise((resolve) => setTimeout(resolve, ms));
      return new Response();
    });
  await using near = at("127.0.0.1", 0);
  await using far = at("127.0.0.2", 60);
  await using node = await startTestNode();
  const pool = await create(node, "/pools", { name: "web", algorithm: "latency" });
  const check = { type: "http", intervalMs: 250, timeoutMs: 240 };
  equal((await call(node, "PUT", `/pools/${pool}/health-check`, check)).status, 201);
  for (const { hostname, port } of [far.addr, near.addr]) {
    await create(node, `/pools/${pool}/members`, { ipAddress: hostname, port });
  }
  await create(node, "/services", { domain: "www.example.com", poolId: pool });
  const tenAnswers = async () => {
    const seen = new Set<string>();
    for (let i = 0; i < 10; i++) seen.add((await askFor(node, "www.example.com")).join());
    return [...seen];
  };
  deepEqual(await until(tenAnswers, (seen) => seen.length === 1), ["127.0.0.1"]);
});
