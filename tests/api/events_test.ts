/**
 * Events over HTTP, from a whole node: lists, streams, coming back to them, and their ends.
 *
 * @module
 */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { type ServerSentEvent, serverSentEvents } from "../../src/cli/event_stream.ts";
import { TokenChanges } from "../../src/change/token_changes.ts";
import { systemClock } from "../../src/clock.ts";
import { Store } from "../../src/store/store.ts";
import { Folder } from "../store/folder.ts";
import { create, startTestNode, TEST_SETTINGS, type TestNode, until } from "../test_node.ts";

/** A stream that is read event by event. */
async function listen(
  { api }: Pick<TestNode, "api">,
  query = "",
  headers: Record<string, string> = {},
) {
  const ending = new AbortController();
  const { signal } = ending;
  const response = await fetch(`${api}/events${query}`, { headers, signal });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  const reading = serverSentEvents(response.body!, { idleMs: 60_000, signal });
  return {
    response,
    /** The next event; `null` = the stream has ended. */
    next: async (): Promise<ServerSentEvent | null> => (await reading.next()).value ?? null,
    [Symbol.asyncDispose]: async () => {
      ending.abort();
      await reading.return(undefined).catch(() => {}); // it says that it was aborted
    },
  };
}

async function list(
  { api }: Pick<TestNode, "api">,
  query = "",
): Promise<{ id: number; kind: string; at: string }[]> {
  const response = await fetch(`${api}/events${query}`, { headers: { accept: "application/json" } });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return await response.json();
}

async function listeners(site: TestNode): Promise<number> {
  const text = await (await fetch(new URL("/metrics", site.api))).text();
  return Number(/^pleiades_event_listeners\{.*\} (\d+)$/m.exec(text)![1]);
}

Deno.test("a stream tells what happens from now on, of the kinds that are asked for", async () => {
  await using site = await startTestNode();
  await using stream = await listen(site, "?kind=commit&kind=settings");
  const { headers } = stream.response;
  deepEqual([headers.get("content-type"), headers.get("cache-control")], ["text/event-stream", "no-store"]);
  site.node.events.emit({ kind: "worker", reason: "died" });
  await create(site, "/pools?reason=new", { name: "web" });
  const { id, event, data } = (await stream.next())!;
  const { at, ...rest } = JSON.parse(data);
  equal(event, "commit");
  match(at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  deepEqual(rest, {
    ...{ id: Number(id), kind: "commit", generation: 1, via: "api", by: "", reason: "new" },
    touched: { pools: 1, services: 0, zones: 0, fallback: false },
  });
});

Deno.test("a listener that comes back gets all that has happened meanwhile, over a restart too", async () => {
  using folder = new Folder();
  const database = { path: folder.file("node.db") };
  const ids: number[] = [];
  let lastId: string;
  {
    await using site = await startTestNode({ database });
    await using stream = await listen(site, "?kind=commit&lastEventId=" + site.node.events.last);
    await create(site, "/pools", { name: "one" });
    lastId = (await stream.next())!.id;
    await create(site, "/pools", { name: "two" });
  }
  await using site = await startTestNode({ database });
  await create(site, "/pools", { name: "three" });
  await using stream = await listen(site, "?kind=commit", { "last-event-id": lastId });
  for (let i = 0; i < 2; i++) {
    const { event, data } = (await stream.next())!;
    equal(event, "commit");
    ids.push(JSON.parse(data).generation);
  }
  deepEqual(ids, [2, 3]);
  const all = await list(site);
  deepEqual(all.filter(({ kind }) => kind === "node").length, 6);
  ok(all.every(({ id }, i) => id > (all[i - 1]?.id ?? 0)));
});

Deno.test("ids of another node or of none are told to have lost events, and then get what is kept", async () => {
  await using site = await startTestNode();
  for (const header of ["12", "9999999999999999", "abc-7", ""]) {
    await using stream = await listen(site, "?kind=node", { "last-event-id": header });
    const { id, event, data } = (await stream.next())!;
    deepEqual([id, event], ["", "lost"], header);
    equal(JSON.parse(data).until, site.node.events.last);
    equal(JSON.parse((await stream.next())!.data).state, "starting");
  }
});

Deno.test("the header of a client that comes back counts before what its URL said at first", async () => {
  await using site = await startTestNode();
  const seen = String(site.node.events.last);
  await create(site, "/pools", { name: "web" });
  await using stream = await listen(site, "?tail=100", { "last-event-id": seen });
  equal((await stream.next())!.event, "commit");
});

Deno.test("a list has what is kept: all of it, the last of a kind, from a time on, or behind an id", async () => {
  await using site = await startTestNode();
  await create(site, "/pools", { name: "one" });
  await create(site, "/pools", { name: "two" });
  const all = await list(site, "?tail=10000");
  equal(all.at(-1)!.kind, "commit");
  deepEqual(await list(site, "?tail=1&kind=change"), all.slice(-1));
  deepEqual((await list(site, "?tail=2&kind=node")).map(({ kind }) => kind), ["node", "node"]);
  deepEqual(await list(site, "?tail=0"), []);
  deepEqual(await list(site), all);
  deepEqual(await list(site, `?lastEventId=${all.at(-2)!.id}`), all.slice(-1));
  deepEqual(await list(site, `?since=${all[0]!.at}`), all);
  deepEqual(await list(site, "?since=2100-01-01T00:00:00Z"), []);
  const response = await fetch(`${site.api}/events?lastEventId=1`, {
    headers: { accept: "application/json" },
  });
  deepEqual([response.headers.get("pleiades-events-lost"), await response.json()], ["true", all]);
});

/** What is asked for wrongly, and what is said of it. */
const WRONG = [
  ["?kind=helth", "kind must be one of change, node, health, pool"],
  ["?lastEventId=x", "lastEventId must be the id of an event"],
  ["?since=yesterday", "since must be a time such as"],
  ["?tail=-1", "tail must be a whole number 0–10000"],
  ["?tail=10001", "tail must be a whole number 0–10000"],
  ["?tail=1&lastEventId=7", "Give one of lastEventId, since and tail"],
  ["?follow=true", "follow"],
] as const;

Deno.test("GET /events is refused with what is wrong with it", async (test) => {
  await using site = await startTestNode();
  for (const [query, said] of WRONG) {
    await test.step(query, () =>
      rejects(listen(site, query), (error: Error) => {
        match(error.message, /^400 /);
        ok(error.message.includes(said), error.message);
        return true;
      }));
  }
});

Deno.test("half of the connections may listen; one more is refused, and there is room again when one leaves", async () => {
  await using site = await startTestNode({ api: { ...TEST_SETTINGS.api, maxConnections: 4 } });
  {
    await using _one = await listen(site);
    await using _two = await listen(site);
    await rejects(listen(site), /^Error: 503 .*There are 2 streams of events already/);
    equal(await listeners(site), 2);
  }
  await until(() => listeners(site), (count) => count === 0);
  await using _ = await listen(site);
});

Deno.test("a HEAD of the stream is answered, and leaves nothing open", async () => {
  await using site = await startTestNode();
  const response = await fetch(`${site.api}/events`, { method: "HEAD" });
  deepEqual([response.status, await response.text()], [200, ""]);
  await until(() => listeners(site), (count) => count === 0);
});

Deno.test("a stream ends soon after the end of its token, whoever revokes it", async () => {
  using folder = new Folder();
  const path = folder.file("node.db");
  await using site = await startTestNode({ database: { path } });
  await using open = await listen(site, "?kind=override");
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
  const tokens = new TokenChanges({ store: site.node.store, clock: systemClock });
  const origin = { via: "test", by: "", reason: "" };
  const [admin, reader, other] = (["admin", "read", "operate"] as const).map((scope) =>
    tokens.create({ name: scope, scope, expiresAt: null }, origin)
  );
  // It was let in without a token, and one is asked for now.
  equal(await open.next(), null);
  const headers = bearer(reader!.secret);
  await using stream = await listen(site, "?kind=override", headers);
  await using second = await listen(site, "?kind=override", bearer(other!.secret));
  const startMs = performance.now();
  const deleted = await fetch(`${site.api}/tokens/${reader!.stored.id}`, {
    method: "DELETE",
    headers: bearer(admin!.secret),
  });
  equal(deleted.status, 204);
  equal(await stream.next(), null);
  const byApiMs = performance.now() - startMs;
  await rejects(listen(site, "?kind=override", headers), /^Error: 401 /);
  {
    using theirs = Store.open(path);
    new TokenChanges({ store: theirs, clock: systemClock }).revoke(other!.stored.id, origin);
  }
  const revokedMs = performance.now();
  equal(await second.next(), null);
  const byFileMs = performance.now() - revokedMs;
  // Long before the 15 s after which it would be written to in any case, on a busy machine, too.
  ok(Math.max(byApiMs, byFileMs) < 10_000, `${byApiMs} ms, ${byFileMs} ms`);
});

Deno.test("a stop ends streams in order, at once and with the last of what happened", async () => {
  const site = await startTestNode();
  await using stream = await listen(site);
  await using silent = await listen(site, "?kind=override");
  const startMs = performance.now();
  await site[Symbol.asyncDispose]();
  const { data } = (await stream.next())!;
  equal(JSON.parse(data).state, "stopping");
  deepEqual([await stream.next(), await silent.next()], [null, null]);
  ok(performance.now() - startMs < 1_500, "without the two seconds that requests get");
});

Deno.test("a listener that doesn't read keeps neither the others nor a stop waiting", async () => {
  const site = await startTestNode();
  const { hostname, port } = new URL(site.api);
  using deaf = await Deno.connect({ hostname, port: Number(port) });
  await deaf.write(
    new TextEncoder().encode(`GET /api/v1/events HTTP/1.1\r\nHost: ${hostname}:${port}\r\n\r\n`),
  );
  await until(() => listeners(site), (count) => count === 1);
  await using stream = await listen(site, "?kind=failure");
  const message = "x".repeat(500);
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 500; i++) site.node.events.emit({ kind: "failure", what: "internal", message });
    for (let read = 0; read < 500; read++) equal((await stream.next())!.event, "failure");
  }
  await site[Symbol.asyncDispose]();
});
