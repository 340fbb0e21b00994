/**
 * Small runs of what `prove discovery` does at length: registrations into a node that is a process of its own, and what
 * discovery costs answers that have nothing to do with it.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { until } from "../consul/server.ts";
import {
  FileRegistry,
  registrations,
  type RegistryKind,
  RunningNode,
  SHAPES,
} from "../prove/discovery/registrations.ts";
import { nowMs } from "../prove/stall/process.ts";
import { withAndWithout } from "../prove/discovery/without.ts";
import { testWith } from "../programs.ts";

const SMALL = { services: 100, seconds: 1, perSecond: 20 } as const;

/** Each registration is answered, and services are as before. Figures are of a machine that has other work. */
async function allAnswered(shape: keyof typeof SHAPES, registry: RegistryKind, instances: number) {
  const report = await registrations({ ...SMALL, shape: SHAPES[shape], registry, instances });
  equal(report.lost, 0);
  equal(report.tookMs.length, SMALL.seconds * SMALL.perSecond);
  deepEqual(report.service, ["10.0.0.99", "11.0.0.99"]);
  ok(report.turns.registering.longestMs > 0 && report.cpuSeconds.main > 0);
  return report;
}

const ON_LINUX = { ignore: Deno.build.os !== "linux" };

Deno.test({
  name: "instances of many addresses are registered in files and answered over UDP",
  ...ON_LINUX,
  fn: async () => {
    const { stream } = await allAnswered("many", "files", 1_000);
    equal(stream.answers, 2);
    equal(stream.isTruncated, false);
  },
});

Deno.test({
  name: "instances of one address are answered over UDP, and as many as a message holds over TCP",
  ...ON_LINUX,
  fn: async () => {
    const { stream } = await allAnswered("one-address", "files", 4_000);
    ok(stream.isTruncated);
    ok(stream.bytes < 65_535 && stream.bytes > 65_000, `${stream.bytes} bytes`);
  },
});

testWith(
  ["consul"],
  "instances of one product are registered in a Consul and answered over UDP",
  async () => {
    const { stream } = await allAnswered("one-product", "consul", 500);
    equal(stream.answers, 1);
  },
);

Deno.test({
  name: "a node with discovery and nodes without answer for the same service, and their time is compared",
  ...ON_LINUX,
  fn: async () => {
    const { discovery, chance } = await withAndWithout({
      ...{ queries: 100, slices: 2, starts: 1, services: 10, instances: 10 },
    });
    equal(discovery.all.length, 1);
    const ratios = [discovery, chance].flatMap(({ all, answering }) => [...all, ...answering]);
    ok(ratios.every((ratio) => ratio > 0 && Number.isFinite(ratio)));
  },
});

Deno.test({
  name: "a node says what its threads have in memory, and when a registration took its steps",
  ...ON_LINUX,
  fn: async () => {
    const folder = await Deno.makeTempDir();
    await using registry = await FileRegistry.create(folder, SHAPES.many, 10);
    {
      await using node = await RunningNode.start(folder, registry.settings, { services: 0 });
      const threads = await node.memory();
      deepEqual(threads.map(({ name }) => name).sort(), ["discovery dns", "dns streams", "dns udp", "main"]);
      ok(threads.every(({ heapUsed, heapTotal }) => heapUsed > 1 << 20 && heapTotal >= heapUsed));
      const sinceMs = nowMs();
      await registry.register(3, 4_000);
      const of = { file: registry.fileOf(3), id: registry.idIn(3), port: 4_000, sinceMs };
      await until(() => node.steps(of), ({ toldMs, lists }) => toldMs !== null && lists.length > 0);
      const { lists, readMs, toldMs } = await node.steps(of);
      ok(lists.every(([fromMs, toMs]) => fromMs <= toMs));
      ok(readMs.length > 0 && sinceMs <= readMs[0]! && readMs[0]! <= toldMs!);
    }
    await Deno.remove(folder, { recursive: true });
  },
});
