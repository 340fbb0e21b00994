/** @module A number that stands for a model: the same on every node that has it. */
import { equal, match, notEqual } from "node:assert/strict";
import { Changes } from "../../src/change/commit.ts";
import { digestOf } from "../../src/change/digest.ts";
import { DigestGauge } from "../../src/change/digest_gauge.ts";
import { Store } from "../../src/store/store.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { Registry } from "../../src/telemetry/metrics.ts";
import { ManualClock, settle } from "../clock.ts";

const MODEL = `
pools:
  - name: web
    onAllDown: fallback
    fallbackPool: spare
    members:
      - { ipAddress: 192.0.2.1, port: 80, weight: 3 }
      - { ipAddress: 192.0.2.2, port: 80 }
    healthCheck: { type: tcp, intervalMs: 2000, timeoutMs: 500 }
    geoRules: [ { cidr: 198.51.100.0/24, member: 192.0.2.2 } ]
  - { name: spare, members: [ { ipAddress: 192.0.2.9, port: 80 } ] }
services: [ { domain: www.example.com, pool: web } ]
zones: [ { domain: example.org, text: "@ SOA ns1 hostmaster 1 1h 10m 1w 1m\\n@ NS ns1.example.net.\\n@ TXT hello\\n" } ]
loadbalancer: { endpoints: [ 192.0.2.80 ] }
`;

const OPTIONS = {
  file: "model.yaml",
  format: "yaml",
  origin: { via: "test", by: "", reason: "" },
  dryRun: false,
  ifGeneration: null,
} as const;

async function apply(store: Store, text: string): Promise<void> {
  const changes = new Changes({ store, clock: new ManualClock() });
  const { signal } = new AbortController();
  const applied = await changes.apply(new Blob([text]).stream(), { ...OPTIONS, signal });
  equal(applied.kind, "applied", JSON.stringify(applied));
}

Deno.test("two nodes that were fed one model have one digest, and other ids and generations", async () => {
  using one = Store.memory();
  using other = Store.memory();
  await apply(other, "pools: [ { name: before } ]");
  await apply(one, MODEL);
  await apply(other, MODEL);
  notEqual(one.pools.byName("web")!.id, other.pools.byName("web")!.id);
  notEqual(one.generation(), other.generation());
  equal(digestOf(one).value, digestOf(other).value);
});

for (
  const [from, to] of [
    ["weight: 3", "weight: 4"],
    ["fallbackPool: spare", "fallbackPool: other"],
    ["timeoutMs: 500", "timeoutMs: 600"],
    ["198.51.100.0/24", "198.51.100.0/25"],
    ["pool: web", "pool: spare"],
    ["TXT hello", "TXT hallo"],
    ["192.0.2.80", "192.0.2.81"],
  ] as const
) {
  Deno.test(`a model with ${to} in place of ${from} has another digest`, async () => {
    using one = Store.memory();
    using other = Store.memory();
    const more = "  - { name: other }\nservices:";
    await apply(one, MODEL.replace("services:", more));
    await apply(other, MODEL.replace("services:", more).replace(from, to));
    notEqual(digestOf(one).value, digestOf(other).value);
  });
}

Deno.test("a large model is read on a thread, and has no value meanwhile", async () => {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-digest-" });
  try {
    using store = Store.open(`${folder}/node.db`);
    const services = Array.from({ length: 1_500 }, (_, i) => `  - { domain: s${i}.example.com, pool: web }`);
    await apply(store, MODEL.replace(/services:.*/, `services:\n${services.join("\n")}`));
    const registry = new Registry({});
    const log = createLogger({ level: "warn", format: "text", clock: new ManualClock(), write: console.log });
    using _ = new DigestGauge({ store, clock: new ManualClock(), log, registry });
    const value = () => /^pleiades_config_digest (\d+)$/m.exec(registry.expose())?.[1];
    equal(value(), undefined);
    let seen = value();
    while (seen === undefined) {
      await settle();
      seen = value();
    }
    equal(seen, String(digestOf(store).value));
    match(seen, /^\d{1,15}$/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
