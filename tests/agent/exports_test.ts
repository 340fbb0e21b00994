/** @module What a program of its own gets: enough to keep a record somewhere else, and nothing of commands or settings. */
import { deepEqual, ok } from "node:assert/strict";
import * as agent from "../../src/agent/exports.ts";
import { MemoryRecords } from "./memory_records.ts";

Deno.test("a program keeps its address behind a provider of its own", async () => {
  const records: agent.RecordManager = new MemoryRecords();
  const registry = new agent.Registry({});
  const stop = new AbortController();
  const running = agent.runAgent(
    {
      fqdn: "www.example.org",
      addresses: ["192.0.2.1", "2001:db8::1"],
      intervalMs: 5_000,
      limits: { minimumFailures: 3, maximumFailures: 60 },
    },
    {
      records,
      probe: () => Promise.resolve(null),
      clock: agent.systemClock,
      rng: agent.systemRng,
      log: agent.createLogger({ level: "error", format: "json", clock: agent.systemClock, write: () => {} }),
      registry,
    },
    stop.signal,
  );
  const values = async (type: "A" | "AAAA") =>
    (await records.read("www.example.org", type, stop.signal)).values;
  while ((await values("A")).length === 0 || (await values("AAAA")).length === 0);
  deepEqual([await values("A"), await values("AAAA")], [["192.0.2.1"], ["2001:db8::1"]]);
  while (!/added_total\{family="v6"\} 1/.test(registry.expose())) await Promise.resolve();
  stop.abort();
  await running;
});

Deno.test("what is exported are the agent's parts, by their names", () => {
  const names = Object.keys(agent);
  const wanted = [
    ...["runAgent", "CheckLoop", "block", "rollingReplace", "Lock", "connectionProbe", "RecordsRefused"],
    ...["RestRecords", "Rfc2136Records", "Route53Records", "Ec2Instances", "AwsSession"],
    ...["commandDestroyer", "webhookDestroyer", "EVERY_REGION", "PRESERVE"],
  ];
  ok(
    wanted.every((name) => names.includes(name)),
    `missing: ${wanted.filter((each) => !names.includes(each))}`,
  );
});
