/**
 * Streams of events: what a listener gets, in which pieces, and what becomes of one that is slow, gone or one too many.
 *
 * @module
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { NodeEvent } from "../../src/events/event.ts";
import { Events } from "../../src/events/events.ts";
import { BEHIND_MS, EventStreams, KEEPALIVE_MS, type StreamTerms } from "../../src/events/streams.ts";
import { Registry } from "../../src/telemetry/metrics.ts";
import { ManualClock, settle } from "../clock.ts";

const worker: NodeEvent = { kind: "worker", reason: "died" };
const settings: NodeEvent = { kind: "settings", outcome: "refused", needingRestart: [] };

/** Events with a clock of their own, and their listeners. */
function world({ max = 10 }: { readonly max?: number } = {}) {
  const clock = new ManualClock();
  const events = new Events(clock);
  const registry = new Registry({});
  const stopping = new AbortController();
  const streams = new EventStreams({ events, clock, registry, max, stopping: stopping.signal });
  const listen = (terms: Partial<StreamTerms> = {}) =>
    streams.open({ after: events.last, kinds: null, signal: new AbortController().signal, ...terms });
  const isOpen = (count: number) => registry.expose().includes(`pleiades_event_listeners ${count}\n`);
  return { clock, events, registry, stopping, listen, isOpen };
}

/** Reads piece by piece. */
function readerOf(stream: ReadableStream<Uint8Array> | null) {
  const reader = stream!.getReader();
  return {
    next: async () => {
      const { value, done } = await reader.read();
      return done ? null : new TextDecoder().decode(value);
    },
    cancel: () => reader.cancel(),
  };
}

const idsIn = (text: string | null) =>
  [...(text ?? "").matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id));

Deno.test("a listener is greeted at once, and gets what happens as id, kind and JSON", async () => {
  const { events, listen, clock } = world();
  const reader = readerOf(listen());
  equal(await reader.next(), "retry: 1000\n\n");
  const piece = reader.next();
  events.emit(worker);
  await clock.advance(200);
  const { id, json } = events.kept()[0]!;
  equal(await piece, `id: ${id}\nevent: worker\ndata: ${json}\n\n`);
});

Deno.test("what happens within a tenth of a second behind something goes together", async () => {
  const { events, listen, clock } = world();
  const reader = readerOf(listen());
  await reader.next();
  const first = reader.next();
  await settle();
  events.emit(worker);
  equal(idsIn(await first).length, 1);
  const second = reader.next();
  events.emit(worker);
  await clock.advance(50);
  events.emit(worker);
  await clock.advance(49);
  const pending = Symbol();
  equal(await Promise.race([second, settle().then(() => pending)]), pending);
  await clock.advance(1);
  equal(idsIn(await second).length, 2);
});

Deno.test("a listener of some kinds gets no others, and a sign of life while they happen", async () => {
  const { events, listen, clock } = world();
  const reader = readerOf(listen({ kinds: new Set(["settings"]) }));
  await reader.next();
  const piece = reader.next();
  for (let i = 0; i < 20; i++) {
    events.emit(worker);
    await clock.advance(KEEPALIVE_MS / 20);
  }
  equal(await piece, ": keepalive\n\n");
  const next = reader.next();
  events.emit(settings);
  await clock.advance(200);
  match((await next)!, /^id: \d+\nevent: settings\n/);
});

Deno.test("who comes back gets all that happened since, in pieces of bounded size", async () => {
  const { events, listen } = world();
  events.emit(worker);
  const seen = events.last;
  for (let i = 0; i < 5_000; i++) events.emit(worker);
  const reader = readerOf(listen({ after: seen }));
  await reader.next();
  const ids: number[] = [];
  while (ids.length < 5_000) {
    const piece = (await reader.next())!;
    ok(piece.length < 70_000, String(piece.length));
    ids.push(...idsIn(piece));
  }
  deepEqual(ids, events.since(seen).events.map(({ id }) => id));
});

Deno.test("who comes back with an id that isn't kept is told first, and then gets what is kept", async () => {
  const { events, listen } = world();
  events.emit(worker);
  const reader = readerOf(listen({ after: 77 }));
  await reader.next();
  equal(
    (await reader.next())!.split("\n\n")[0],
    `event: lost\ndata: {"after":77,"until":${events.last}}`,
  );
});

Deno.test("a listener that stays behind for long is cut and told so; one that catches up isn't", async () => {
  const { events, listen, clock, registry } = world();
  const big: NodeEvent = { kind: "failure", what: "internal", message: "x".repeat(1_000) };
  const burst = () => {
    for (let i = 0; i < 1_500; i++) events.emit(big);
  };
  const slow = readerOf(listen());
  const quick = readerOf(listen());
  for (const reader of [slow, quick]) await reader.next();
  burst();
  const ids: number[] = [];
  while (ids.length < 1_500) ids.push(...idsIn(await quick.next()));
  await clock.advance(BEHIND_MS + 1);
  match((await slow.next())!, /^event: cut\ndata: \{"reason":/);
  equal(await slow.next(), null);
  match(registry.expose(), /pleiades_event_listeners_cut_total 1\n/);
});

Deno.test("a burst behind a long silence cuts none that waits for it", async () => {
  const { events, listen, clock } = world();
  const reader = readerOf(listen());
  await reader.next();
  const piece = reader.next();
  await clock.advance(BEHIND_MS + 1_000);
  for (let i = 0; i < 1_500; i++) {
    events.emit({ kind: "failure", what: "internal", message: "x".repeat(1_000) });
  }
  ok(idsIn(await piece).length > 0);
});

Deno.test("what was there before a listener came doesn't make it slow", async () => {
  const { events, listen, clock } = world();
  const big: NodeEvent = { kind: "failure", what: "internal", message: "x".repeat(1_000) };
  for (let i = 0; i < 3_000; i++) events.emit(big);
  const reader = readerOf(listen({ after: events.floor }));
  await reader.next();
  const ids: number[] = [];
  while (ids.length < 3_000) {
    await clock.advance(BEHIND_MS);
    ids.push(...idsIn(await reader.next()));
  }
});

Deno.test("one listener too many isn't let in; each that ends makes room, whichever way it ends", async () => {
  const { events, listen, isOpen, clock } = world({ max: 3 });
  const gone = new AbortController();
  const [cancelled, aborted] = [readerOf(listen()), readerOf(listen({ signal: gone.signal }))];
  readerOf(listen());
  equal(listen(), null);
  await aborted.next();
  const waiting = aborted.next();
  await settle();
  gone.abort();
  equal(await waiting, null);
  await cancelled.cancel();
  await cancelled.cancel();
  ok(isOpen(1));
  // One that is gone before it came takes no place.
  equal(await readerOf(listen({ signal: AbortSignal.abort() })).next(), "retry: 1000\n\n");
  ok(isOpen(1));
  events.emit(worker);
  await clock.advance(1_000);
});

Deno.test("when the node stops, a listener gets the last of it, and its stream ends", async () => {
  const { events, listen, stopping, isOpen } = world();
  const reader = readerOf(listen());
  await reader.next();
  const piece = reader.next();
  await settle();
  stopping.abort();
  events.emit({ kind: "node", state: "stopping", lost: false });
  match((await piece)!, /event: node\n.*"stopping"/);
  equal(await reader.next(), null);
  ok(isOpen(0));
});
