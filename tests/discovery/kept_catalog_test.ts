/**
 * What was read last, kept for the next run.
 *
 * @module
 */
import { deepEqual, equal, match, throws } from "node:assert/strict";
import { KeptCatalog, type KeptZone, readKept, writeKept } from "../../src/discovery/kept_catalog.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { ManualClock, settle } from "../clock.ts";
import { until } from "../consul/server.ts";

/** What foreign functions are called for. */
const LINUX = { ignore: Deno.build.os !== "linux" };

function zoneOf(count: number): KeptZone {
  return {
    ...{ zone: "gg", staleMs: 5, servers: [{ host: "a", ips: ["192.0.2.1"] }] },
    instances: Array.from({ length: count }, (_, i) => ({
      ...{
        id: `web1/${i}`,
        provider: "p",
        node: "web1",
        ips: ["192.0.2.2"],
        port: 80,
        priority: 0,
        weight: 1,
      },
      address: { service: "http", job: "web", env: "prod", product: "shop", zone: "gg" },
    })),
  };
}

Deno.test("readKept() gives what writeKept() wrote, as old as it is now, and nothing of a file that isn't whole", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/kept`;
  deepEqual(readKept(path, 0), []);
  const zones = [zoneOf(3), { ...zoneOf(0), zone: "fr" }];
  await writeKept(path, zones, { unixMs: 1_000 });
  deepEqual(readKept(path, 1_500), zones.map((zone) => ({ ...zone, staleMs: 505 })));
  deepEqual(readKept(path, 0), zones, "a clock that goes back makes nothing younger");
  equal(Deno.statSync(path).mode! & 0o777, 0o600);
  const whole = Deno.readTextFileSync(path);
  const lines = whole.trimEnd().split("\n");
  const wrong = [
    ...lines.map((_, i) => lines.filter((_, other) => other !== i).join("\n")),
    ...[
      "",
      "{",
      "[]",
      whole.replace('"port":80', '"port":0'),
      whole.replace("http.web", "web"),
      whole + lines[1],
    ],
    whole.replace(/"format":\d+/, '"format":0'),
  ];
  for (const text of wrong) {
    Deno.writeTextFileSync(path, text);
    throws(() => readKept(path, 0), Error, text);
  }
  Deno.removeSync(path);
  new Deno.Command("mkfifo", { args: [path] }).outputSync();
  throws(() => readKept(path, 0), /no regular file/);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("what changes is written ten seconds later at most, its date once a minute, and all of it at the end", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/kept`;
  const clock = new ManualClock();
  const lines: string[] = [];
  const log = createLogger({ level: "info", format: "json", clock, write: (line) => lines.push(line) });
  let zones: readonly KeptZone[] = [];
  const written = () =>
    readKept(path, clock.unixMs()).map(({ staleMs, instances }) => [staleMs, instances.length]);
  {
    await using keeper = new KeptCatalog({ path, zones: () => zones, clock, log });
    const goBy = async (ms: number) => {
      await clock.advance(ms);
      await until(() => clock.sleeperCount, (count) => count === 1);
    };
    keeper.note();
    await goBy(10_000);
    deepEqual(written(), [], "what was never read isn't written over what was");
    zones = [zoneOf(2)];
    keeper.note();
    await goBy(10_000);
    deepEqual(written(), [[5, 2]]);
    await goBy(50_000);
    deepEqual(written(), [[50_005, 2]]);
    await goBy(10_000);
    deepEqual(written(), [[5, 2]]);
    Deno.mkdirSync(`${path}.partial`);
    for (let i = 0; i < 3; i++) {
      keeper.note();
      await goBy(10_000);
    }
    equal(lines.length, 1, "a fault is said once");
    match(lines[0]!, /Cannot keep what is registered/);
    Deno.removeSync(`${path}.partial`);
    zones = [zoneOf(1)];
  }
  deepEqual(written(), [[5, 1]]);
  await Deno.remove(folder, { recursive: true });
});

Deno.test(
  "while the disk keeps what is written, others have their turn, and a stop waits for it",
  LINUX,
  async () => {
    const folder = await Deno.makeTempDir();
    const path = `${folder}/kept`;
    const clock = new ManualClock();
    const log = createLogger({ level: "info", format: "json", clock, write: () => {} });
    // Who writes into a pipe waits until somebody reads.
    new Deno.Command("mkfifo", { args: [`${path}.partial`] }).outputSync();
    const keeper = new KeptCatalog({ path, zones: () => [zoneOf(2)], clock, log });
    keeper.note();
    await clock.advance(10_000);
    let isStopped = false;
    const stopped = keeper[Symbol.asyncDispose]().then(() => isStopped = true);
    await settle();
    equal(isStopped, false);
    using _ = Deno.openSync(`${path}.partial`, { read: true, write: true });
    await stopped;
    equal(readKept(path, clock.unixMs())[0]!.instances.length, 2);
    await Deno.remove(folder, { recursive: true });
  },
);
