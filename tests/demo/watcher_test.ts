/** @module What the watcher makes of answers, verdicts and commits, over a real store and a manual clock. */
import { deepEqual, equal } from "node:assert/strict";
import { Changes } from "../../src/change/commit.ts";
import type { DemoEvent } from "../../src/demo/narration.ts";
import { backendTarget, CHECK, sampleEdits } from "../../src/demo/sample.ts";
import { Watcher } from "../../src/demo/watcher.ts";
import { Events } from "../../src/events/events.ts";
import type { HealthState } from "../../src/health/verdict.ts";
import { newId } from "../../src/model/id.ts";
import { SERVICE_DEFAULTS } from "../../src/model/model.ts";
import { Store } from "../../src/store/store.ts";
import { encodeQuery } from "../../src/wire/message.ts";
import { TYPE } from "../../src/wire/record_type.ts";
import { ManualClock } from "../clock.ts";

const BACKENDS = [{ hostname: "192.0.2.1", port: 80 }, { hostname: "192.0.2.2", port: 80 }];
const QUERY = encodeQuery({ id: 1, name: "www.demo.test", type: TYPE.A });
/** The query with QR set: an answer without records. */
const ANSWER = QUERY.with(2, QUERY[2]! | 0x80);

interface Scene extends Disposable {
  readonly clock: ManualClock;
  readonly changes: Changes;
  readonly watcher: Watcher;
  /** What was told. */
  readonly events: DemoEvent[];
  /** Lets a follower take what has happened. */
  readonly taken: () => Promise<void>;
  /** What the drill heard. */
  readonly heard: string[];
  readonly judge: (index: number, state: HealthState, previous?: HealthState) => Promise<void>;
}

function scene(): Scene {
  const store = Store.memory();
  const clock = new ManualClock();
  const changes = new Changes({ store, clock });
  changes.commit(sampleEdits(BACKENDS, newId), { via: "demo", by: "", reason: "" });
  const ending = new AbortController();
  const events: DemoEvent[] = [];
  const heard: string[] = [];
  const watcher = new Watcher({ clock, tell: (event) => void events.push(event), signal: ending.signal });
  watcher.begin(store, { onVerdict: (address, state) => void heard.push(`${address} ${state}`) });
  const happened = new Events(clock);
  watcher.follow(happened);
  const taken = () => clock.advance(0);
  changes.subscribe(({ generation }) =>
    happened.emit({ kind: "commit", generation, via: "api", by: "", reason: "", touched: null })
  );
  return {
    clock,
    changes,
    watcher,
    events,
    heard,
    taken,
    judge: async (index, state, previous = "healthy") => {
      const target = backendTarget(BACKENDS[index]!).key;
      const error = state === "unhealthy" ? "connection refused" : null;
      const probed = { target, check: "http", address: "127.0.0.1", port: 80 };
      happened.emit({ kind: "health", ...probed, state, previous, error });
      await taken();
    },
    [Symbol.dispose]: () => {
      ending.abort();
      store.close();
    },
  };
}

const sample = (query: Uint8Array = QUERY) => ({
  unixMs: 0,
  transport: "udp" as const,
  client: "127.0.0.1",
  query,
  answer: ANSWER,
});

Deno.test("an answer is told with its reason, by what is believed at that moment", async () => {
  using on = scene();
  on.watcher.onSample(sample());
  await on.judge(0, "unhealthy");
  on.watcher.onSample(sample());
  const reasons = on.events.flatMap((event) => event.kind === "answer" ? [event.reason] : []);
  deepEqual(reasons, ["pool web, 2 of 2 up", "pool web, 1 of 2 up"]);
});

Deno.test("of many answers in a second ten are told, and then how many more there were", async () => {
  using on = scene();
  for (let i = 0; i < 25; i++) on.watcher.onSample(sample());
  equal(on.events.length, 10);
  await on.clock.advance(1000);
  deepEqual(on.events.at(-1), { kind: "more", count: 15 });
  on.watcher.onSample(sample());
  equal(on.events.at(-1)!.kind, "answer");
});

Deno.test("the demo's own queries and what is no message aren't told", () => {
  using on = scene();
  const options = [{ code: 65_044, data: new Uint8Array() }];
  const own = encodeQuery({ id: 1, name: "www.demo.test", type: TYPE.A, edns: { udpSize: 1232, options } });
  on.watcher.onSample(sample(own));
  on.watcher.onSample({ ...sample(), answer: new Uint8Array(3) });
  deepEqual(on.events, []);
});

Deno.test("a verdict is told with its evidence and handed to the drill", async () => {
  using on = scene();
  await on.judge(1, "unhealthy");
  await on.judge(1, "healthy", "unhealthy");
  const target = { target: "192.0.2.2:80", check: "http" };
  deepEqual(on.events, [
    { kind: "down", ...target, results: CHECK.fall, error: "connection refused" },
    { kind: "up", ...target, results: CHECK.rise },
  ]);
  deepEqual(on.heard, ["192.0.2.2 unhealthy", "192.0.2.2 healthy"]);
});

Deno.test("the first verdict on a target rests on one probe", async () => {
  using on = scene();
  await on.judge(1, "unhealthy", "unknown");
  equal(on.events[0]!.kind === "down" && on.events[0]!.results, 1);
});

Deno.test("a commit is told by who did what to which objects", async () => {
  using on = scene();
  const fields = { ...SERVICE_DEFAULTS, domain: "new.demo.test" };
  on.changes.commit([{ kind: "createService", id: newId(), fields }], { via: "api", by: "ann", reason: "" });
  await on.taken();
  deepEqual(on.events, [{ kind: "changed", what: "by api: created service new.demo.test", generation: 2 }]);
});

Deno.test("firstVerdicts() waits until each target was probed", async () => {
  using on = scene();
  let isDone = false;
  const done = on.watcher.firstVerdicts(BACKENDS.map((backend) => backendTarget(backend).key)).then(() => {
    isDone = true;
  });
  await on.judge(0, "healthy", "unknown");
  equal(isDone, false);
  await on.judge(1, "healthy", "unknown");
  await done;
});
