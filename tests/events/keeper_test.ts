/**
 * Events over a restart: what was kept comes back, what wasn't is told as lost, and a database that can't be written
 * harms nothing.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { EventKeeper, type EventMemory, GATHER_MS } from "../../src/events/keeper.ts";
import { StoreBusy } from "../../src/store/database.ts";
import { Store } from "../../src/store/store.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { ManualClock } from "../clock.ts";
import { Folder } from "../store/folder.ts";

const worker = { kind: "worker", reason: "died" } as const;

/** A keeper with a clock of its own, and what it logs. */
function keeperOf(memory: EventMemory | null, clock = new ManualClock(), isSuccessor = false) {
  const lines: string[] = [];
  const log = createLogger({ level: "warn", format: "json", clock, write: (line) => lines.push(line) });
  return { keeper: new EventKeeper({ memory, isSuccessor, clock, log }), clock, lines };
}

const kindsOf = ({ events }: EventKeeper) =>
  events.kept().map(({ event }) => event.kind === "node" ? event.state : event.kind);

Deno.test("a run that ends in order is continued by the next one, without a gap", async () => {
  using folder = new Folder();
  let seen: number;
  {
    using store = Store.open(folder.file("node.db"));
    const { keeper } = keeperOf(store.events);
    await using _ = keeper;
    keeper.events.emit(worker);
    seen = keeper.events.last;
    keeper.events.emit(worker);
  }
  using store = Store.open(folder.file("node.db"));
  const { keeper } = keeperOf(store.events);
  await using _ = keeper;
  deepEqual(kindsOf(keeper), ["starting", "worker", "worker", "stopped", "starting"]);
  const { events, lost } = keeper.events.since(seen);
  deepEqual([events.length, lost], [3, false]);
  ok(events.every(({ id }, i) => id > (events[i - 1]?.id ?? seen)), "ids ascend, on the same clock");
});

Deno.test("what happens in a process whose place is taken is told to no listener, who finds its place in the next one", async () => {
  using folder = new Folder();
  using store = Store.open(folder.file("node.db"));
  const { keeper: first } = keeperOf(store.events);
  await using _first = first;
  first.events.emit(worker);
  using _held = first.hold();
  first.events.emit(worker);
  const { keeper: next } = keeperOf(store.events, new ManualClock(), true);
  await using _next = next;
  deepEqual([kindsOf(first), kindsOf(next)], [["starting", "worker"], ["starting", "worker", "starting"]]);
  deepEqual(next.events.since(first.events.last).lost, false);
});

Deno.test("what a killed run hadn't written is lost, and every reader behind it is told so", async () => {
  using folder = new Folder();
  using store = Store.open(folder.file("node.db"));
  const first = keeperOf(store.events);
  first.keeper.events.emit(worker);
  const written = first.keeper.events.last;
  await first.clock.advance(GATHER_MS);
  first.keeper.events.emit(worker);
  const unwritten = first.keeper.events.last;
  // No end: as a kill leaves it.
  const { keeper } = keeperOf(store.events);
  const { events } = keeper;
  deepEqual(kindsOf(keeper), ["starting", "worker", "starting"]);
  for (const id of [written, unwritten]) equal(events.since(id).lost, true);
  equal(events.since(events.last).lost, false);
  await keeper[Symbol.asyncDispose]();
  await first.keeper[Symbol.asyncDispose]();
});

Deno.test("a database that is held by others is tried again, and is said once to be in the way", async () => {
  const written: number[] = [];
  let isBusy = true;
  const memory: EventMemory = {
    last: () => [],
    keep: (events) => {
      if (isBusy) throw new StoreBusy("held");
      written.push(...events.map(({ id }) => id));
    },
  };
  const { keeper, clock, lines } = keeperOf(memory);
  for (let turn = 0; turn < 5; turn++) {
    keeper.events.emit(worker);
    await clock.advance(2_000);
  }
  deepEqual([written.length, lines.length], [0, 1]);
  isBusy = false;
  await clock.advance(2_000);
  equal(written.length, 6);
  await keeper[Symbol.asyncDispose]();
  deepEqual(written, keeper.events.kept().map(({ id }) => id));
});

Deno.test("a run that ends while the database can't be written ends all the same", async () => {
  const memory: EventMemory = {
    last: () => {
      throw new Error("damaged");
    },
    keep: () => {
      throw new Error("full");
    },
  };
  const { keeper, lines } = keeperOf(memory);
  await keeper[Symbol.asyncDispose]();
  deepEqual([kindsOf(keeper), lines.length], [["starting", "stopped"], 2]);
});

Deno.test("without a database events are in memory alone", async () => {
  const { keeper } = keeperOf(null);
  await keeper[Symbol.asyncDispose]();
  deepEqual(kindsOf(keeper), ["starting", "stopped"]);
});

Deno.test("what isn't kept in memory any more isn't kept in the file", async () => {
  using store = Store.memory();
  const { keeper, clock } = keeperOf(store.events);
  for (let turn = 0; turn < 30; turn++) {
    for (let i = 0; i < 500; i++) keeper.events.emit(worker);
    await clock.advance(GATHER_MS);
  }
  await keeper[Symbol.asyncDispose]();
  deepEqual(store.events.last(20_000).map(({ id }) => id), keeper.events.kept().map(({ id }) => id));
  equal(keeper.events.kept().length, 10_000);
});
