/**
 * The stream of events: what is kept, what is lost, and that followers are no matter to the emitter.
 *
 * @module
 */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { type EventBatch, Events } from "../../src/events/events.ts";
import { EVENT_KINDS, type NodeEvent } from "../../src/events/event.ts";
import { seededRng } from "../../src/clock.ts";
import { turnEventLoop } from "../../src/dns/event_loop.ts";
import { MANUAL_START_UNIX_MS, ManualClock } from "../clock.ts";

const clock = new ManualClock();
const commit = (generation: number): NodeEvent => ({
  ...{ kind: "commit", generation, via: "api", by: "", reason: "" },
  touched: null,
});
const generations = ({ events }: EventBatch) =>
  events.map(({ event }) => event.kind === "commit" ? event.generation : NaN);

Deno.test("since() gives what happened after an id, the oldest first, with its time", async () => {
  const clock = new ManualClock();
  const events = new Events(clock, { limits: { count: 8, length: 1e6 } });
  events.emit(commit(1));
  await clock.advance(5);
  events.emit(commit(2));
  const { events: all, lost, last } = events.since(events.origin);
  deepEqual(all.map(({ at }) => at - MANUAL_START_UNIX_MS), [0, 5]);
  deepEqual(all.map(({ id }) => id - events.origin), [1, 2]);
  deepEqual([lost, last], [false, events.last]);
  deepEqual(generations(events.since(events.origin + 1)), [2]);
  deepEqual(events.since(events.last), { events: [], lost: false, last: events.last });
});

Deno.test("since() says when events were lost, and gives those that are kept", () => {
  const events = new Events(clock, { limits: { count: 3, length: 1e6 } });
  for (let generation = 1; generation <= 7; generation++) events.emit(commit(generation));
  for (const seen of [0, 1, 2, 3]) {
    const batch = events.since(events.origin + seen);
    deepEqual([generations(batch), batch.lost], [[5, 6, 7], true], `after ${seen}`);
  }
  const batch = events.since(events.origin + 4);
  deepEqual([generations(batch), batch.lost], [[5, 6, 7], false]);
});

Deno.test("an id of a run that isn't kept is lost, and so is one of a clock that was ahead", async () => {
  const clock = new ManualClock();
  const before = new Events(clock);
  for (let generation = 1; generation <= 3; generation++) before.emit(commit(generation));
  await clock.advance(1);
  const events = new Events(clock);
  events.emit(commit(4));
  ok(before.last < events.origin);
  const batch = events.since(before.last);
  deepEqual([generations(batch), batch.lost], [[4], true]);
  deepEqual(events.since(events.last + 1).lost, true);
});

Deno.test("what is held back is told to nobody, and then as if it happened only then", async () => {
  const events = new Events(clock);
  events.emit(commit(1));
  const before = events.last;
  const ending = new AbortController();
  const told: number[] = [];
  const following = (async () => {
    for await (const batch of events.follow({ after: before, signal: ending.signal })) {
      told.push(...generations(batch));
      if (told.at(-1) === 3) ending.abort();
    }
  })();
  const held = events.hold();
  events.emit(commit(2));
  deepEqual([events.last, generations(events.since(before - 1)), events.kept().length], [before, [1], 1]);
  deepEqual(events.since(before), { events: [], lost: false, last: before });
  await turnEventLoop();
  deepEqual(told, []);
  held[Symbol.dispose]();
  equal(events.last, before + 1);
  events.emit(commit(3));
  await following;
  deepEqual(told, [2, 3]);
});

Deno.test("follow() gives what happens from now on, and ends with its signal", async () => {
  const events = new Events(clock);
  events.emit(commit(1));
  const ending = new AbortController();
  const seen: number[] = [];
  const following = (async () => {
    for await (const batch of events.follow({ signal: ending.signal })) seen.push(...generations(batch));
  })();
  events.emit(commit(2));
  events.emit(commit(3));
  await clock.advance(0);
  events.emit(commit(4));
  await clock.advance(0);
  ending.abort();
  await following;
  events.emit(commit(5));
  deepEqual(seen, [2, 3, 4]);
});

Deno.test("a follower that has seen an id goes on behind it", async () => {
  const events = new Events(clock);
  for (const generation of [1, 2, 3]) events.emit(commit(generation));
  const ending = new AbortController();
  for await (const batch of events.follow({ after: events.origin + 1, signal: ending.signal })) {
    deepEqual([generations(batch), batch.lost], [[2, 3], false]);
    ending.abort();
  }
});

Deno.test("a follower that is too slow is told that it lost events, and holds nothing up", async () => {
  const events = new Events(clock, { limits: { count: 4, length: 1e6 } });
  const ending = new AbortController();
  const batches: EventBatch[] = [];
  const isRead = Promise.withResolvers<void>();
  const following = (async () => {
    for await (const batch of events.follow({ signal: ending.signal })) {
      batches.push(batch);
      await isRead.promise;
      if (batches.length === 2) ending.abort();
    }
  })();
  events.emit(commit(1));
  await clock.advance(0);
  for (let generation = 2; generation <= 10; generation++) events.emit(commit(generation));
  isRead.resolve();
  await following;
  deepEqual(batches.map(generations), [[1], [7, 8, 9, 10]]);
  deepEqual(batches.map(({ lost }) => lost), [false, true]);
});

Deno.test("a follower that throws ends itself alone", async () => {
  const events = new Events(clock);
  const { signal } = new AbortController();
  const follow = async (onBatch: (batch: EventBatch) => void) => {
    for await (const batch of events.follow({ signal })) onBatch(batch);
  };
  const throwing = follow(() => {
    throw new Error("a follower's own fault");
  });
  const seen: number[] = [];
  follow((batch) => seen.push(...generations(batch)));
  events.emit(commit(1));
  await rejects(throwing, /own fault/);
  events.emit(commit(2));
  await clock.advance(0);
  deepEqual(seen, [1, 2]);
});

Deno.test("events take no more room than there is, however many happen", () => {
  const events = new Events(clock, { limits: { count: 4, length: 1e6 } });
  for (let generation = 1; generation <= 1_000; generation++) events.emit(commit(generation));
  equal(events.since(events.origin).events.length, 4);
  equal(events.last - events.origin, 1_000);
});

Deno.test("events take no more characters than there are, and the last one is kept whatever its size", () => {
  const events = new Events(clock, { limits: { count: 100, length: 300 } });
  for (let generation = 1; generation <= 10; generation++) events.emit(commit(generation));
  const { events: kept, lost } = events.since(events.origin);
  ok(lost && kept.length < 4, String(kept.length));
  events.emit({ kind: "failure", what: "internal", message: "x".repeat(1_000) });
  deepEqual(events.kept().map(({ event }) => event.kind), ["failure"]);
});

Deno.test("since() with a limit gives the oldest ones first, and goes on without loss", () => {
  const events = new Events(clock);
  for (let generation = 1; generation <= 5; generation++) events.emit(commit(generation));
  const first = events.since(events.origin, 2);
  deepEqual([generations(first), first.lost], [[1, 2], false]);
  const rest = events.since(first.last, 3);
  deepEqual([generations(rest), rest.lost, rest.last], [[3, 4, 5], false, events.last]);
});

Deno.test("an event as it is sent has its id and its time, and all that the event has", () => {
  const events = new Events(new ManualClock());
  events.emit({ kind: "worker", reason: "hung" });
  const { id, json } = events.kept()[0]!;
  deepEqual(JSON.parse(json), { id, at: "2026-01-01T00:00:00.000Z", kind: "worker", reason: "hung" });
});

Deno.test("random reads give exactly what is kept behind an id, over runs and evictions", () => {
  const rng = seededRng(7);
  let unixMs = MANUAL_START_UNIX_MS;
  const limits = { count: 20, length: 1e6 };
  let events = new Events({ unixMs: () => unixMs }, { limits });
  const issued: number[] = [];
  let forgotten = 0;
  for (let turn = 0; turn < 3_000; turn++) {
    if (rng() % 40 === 0) {
      unixMs += (rng() % 5) - 2; // the clock may be set back
      events = new Events({ unixMs: () => unixMs }, { before: events.kept(), limits });
    }
    events.emit(commit(turn));
    issued.push(events.last);
    forgotten = Math.max(0, issued.length - 20);
    const index = rng() % issued.length;
    const { events: some, lost } = events.since(issued[index]!);
    deepEqual(some.map(({ id }) => id), issued.slice(Math.max(index + 1, forgotten)));
    equal(lost, index + 1 < forgotten, `id ${index} of ${issued.length}`);
  }
});

Deno.test("docs/events.md has a row for each kind, and for no other", () => {
  const page = Deno.readTextFileSync(new URL("../../docs/events.md", import.meta.url));
  const table = page.slice(page.indexOf("## Kinds"), page.indexOf("## As a stream"));
  const rows = [...table.matchAll(/^\| `(\w+)`/gm)].map(([, kind]) => kind);
  deepEqual(rows, Object.keys(EVENT_KINDS));
});
