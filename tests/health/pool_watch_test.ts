/** @module Pools that have too few members left, as they are noticed and told. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { Family } from "../../src/ip.ts";
import type { PoolState } from "../../src/health/pool_state.ts";
import { PoolWatch } from "../../src/health/pool_watch.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { Registry } from "../../src/telemetry/metrics.ts";
import { ManualClock } from "../clock.ts";

type Lack = Family | "health" | "members";

const STATE: PoolState = { name: "", members: 3, eligible: 0, answersWhenDown: "answering all" };

/** A watch over pools that lack what `down` says; those in `memberless` have no members in the model. */
function watchOver(down: Map<string, Lack>, memberless: ReadonlySet<string> = new Set()) {
  const clock = new ManualClock();
  const lines: string[] = [];
  const log = createLogger({ level: "info", format: "text", clock, write: (line) => lines.push(line) });
  const registry = new Registry({});
  let looks = 0;
  const watch = new PoolWatch({
    clock,
    log,
    registry,
    find: ({ from }, found) => {
      if (from === 0) looks++;
      for (const [id, lack] of down) found(id, lack);
      return null;
    },
    stateOf: (id) => memberless.has(id) ? null : { ...STATE, name: id, eligible: down.has(id) ? 0 : 2 },
  });
  /** Wakes the watch, and gives what it wrote without times and levels. */
  const look = async () => {
    lines.length = 0;
    watch.wake();
    await clock.advance(1_000);
    return lines.map((line) => line.slice("00:00:00.000 ".length).replace(/ +/g, " "));
  };
  const metrics = () => registry.expose().split("\n").filter((line) => /^pleiades_pools?_down/.test(line));
  return { watch, clock, look, metrics, looks: () => looks };
}

Deno.test("a pool that goes down is a warning with what is answered, and a remark when it is back", async () => {
  const down = new Map<string, Lack>();
  const { watch, look, metrics } = watchOver(down);
  await using _ = watch;
  deepEqual(await look(), []);
  deepEqual(metrics(), ["pleiades_pools_down 0"]);

  down.set("web", "health");
  deepEqual(await look(), ['WARN Pool is down pool=web healthy=0/3 answers="answering all"']);
  deepEqual(metrics(), [
    'pleiades_pool_down{pool="web",pool_id="web",family="all"} 1',
    "pleiades_pools_down 1",
  ]);
  deepEqual(watch.down.map(({ name }) => name), ["web"]);
  deepEqual(await look(), [], "it is said once");

  down.clear();
  deepEqual(await look(), ["INFO Pool is up again pool=web healthy=2/3"]);
  deepEqual(metrics(), ["pleiades_pools_down 0"]);
});

Deno.test("a family that is down while the other is up is told, and so is the other when it follows", async () => {
  const down = new Map<string, Lack>([["web", 4]]);
  const { watch, look, metrics } = watchOver(down);
  await using _ = watch;
  match((await look()).join(), /^WARN Pool is down for IPv4 pool=web/);
  equal(metrics()[0], 'pleiades_pool_down{pool="web",pool_id="web",family="v4"} 1');
  down.set("web", "health");
  match((await look()).join(), /^WARN Pool is down pool=web/);
});

Deno.test("a pool that was never filled isn't down, one whose members are all disabled is", async () => {
  const down = new Map<string, Lack>([["new", "members"], ["disabled", "members"]]);
  const { watch, look } = watchOver(down, new Set(["new"]));
  await using _ = watch;
  match((await look()).join(), /^WARN Pool is down pool=disabled[^,]*$/);
  equal(watch.count, 1);
});

Deno.test("however many pools are down, the log gets a few lines, and all are counted", async () => {
  const down = new Map<string, Lack>(Array.from({ length: 100_000 }, (_, i) => [`p${i}`, "health"]));
  const { watch, look } = watchOver(down);
  await using _ = watch;
  const lines = await look();
  equal(lines.length, 21);
  equal(lines.at(-1), "WARN More pools are down count=99980");
  equal(watch.count, 100_000);
  down.clear();
  const back = await look();
  deepEqual([back.length, back.at(-1)], [21, "INFO More pools are up again count=480"]);
});

Deno.test("many pools that are down are read a few at a time, and a watch that ends meanwhile is silent", async () => {
  const clock = new ManualClock();
  const lines: string[] = [];
  let tookMs = 0;
  let atOnce = 0;
  let mostAtOnce = 0;
  const watchOfMany = (read: () => void) =>
    new PoolWatch({
      clock: {
        monotonicMs: () => clock.monotonicMs() + tookMs,
        unixMs: () => clock.unixMs(),
        sleep: (ms, signal) => {
          atOnce = 0;
          return clock.sleep(ms, signal);
        },
      },
      log: createLogger({ level: "error", format: "text", clock, write: (line) => lines.push(line) }),
      registry: new Registry({}),
      find: (_, found) => {
        for (let i = 0; i < 400; i++) found(`p${i}`, "health");
        return null;
      },
      stateOf: (name) => {
        tookMs++;
        mostAtOnce = Math.max(mostAtOnce, ++atOnce);
        read();
        return { ...STATE, name };
      },
    });
  {
    await using watch = watchOfMany(() => {});
    watch.wake();
    await clock.advance(1);
    equal(watch.count, 400);
    ok(mostAtOnce <= 5, `${mostAtOnce} of a millisecond each in one turn`);
  }
  const reading = Promise.withResolvers<void>();
  const ended = watchOfMany(reading.resolve);
  ended.wake();
  const advanced = clock.advance(0);
  await reading.promise;
  await ended[Symbol.asyncDispose]();
  await advanced;
  equal(ended.count, 0);
  deepEqual(lines, []);
});

Deno.test("a storm of changes is one look a second", async () => {
  const { watch, clock, looks } = watchOver(new Map());
  await using _ = watch;
  for (let ms = 0; ms < 10_000; ms += 50) {
    watch.wake();
    await clock.advance(50);
  }
  ok(looks() <= 11, `${looks()} looks`);
});

Deno.test("a look that takes long is followed by a pause of twenty times as long", async () => {
  const clock = new ManualClock();
  let looks = 0;
  let tookMs = 0;
  await using watch = new PoolWatch({
    clock: {
      monotonicMs: () => clock.monotonicMs() + tookMs,
      unixMs: () => clock.unixMs(),
      sleep: (ms, signal) => clock.sleep(ms, signal),
    },
    log: createLogger({ level: "error", format: "text", clock, write: () => {} }),
    registry: new Registry({}),
    find: ({ from }) => {
      if (from === 0) looks++;
      tookMs += 100;
      return null;
    },
    stateOf: () => null,
  });
  for (let ms = 0; ms < 10_000; ms += 50) {
    watch.wake();
    await clock.advance(50);
  }
  ok(looks <= 6, `${looks} looks`);
});

Deno.test("a look that fails is told and doesn't end the watch", async () => {
  const clock = new ManualClock();
  const lines: string[] = [];
  let fails = true;
  await using watch = new PoolWatch({
    clock,
    log: createLogger({ level: "info", format: "text", clock, write: (line) => lines.push(line) }),
    registry: new Registry({}),
    find: (_, found) => {
      if (fails) throw new Error("out of order");
      found("web", "health");
      return null;
    },
    stateOf: () => ({ ...STATE, name: "web" }),
  });
  watch.wake();
  await clock.advance(1_000);
  fails = false;
  watch.wake();
  await clock.advance(1_000);
  deepEqual(lines.map((line) => /out of order|Pool is down/.exec(line)?.[0]), [
    "out of order",
    "Pool is down",
  ]);
});
