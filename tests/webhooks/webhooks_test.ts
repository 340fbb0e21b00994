/**
 * Webhooks with real receivers on loopback and a clock that a test moves.
 *
 * @module
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { seededRng } from "../../src/clock.ts";
import type { NodeEvent } from "../../src/events/event.ts";
import { Events, EVENTS_MAX } from "../../src/events/events.ts";
import { Store } from "../../src/store/store.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { Registry } from "../../src/telemetry/metrics.ts";
import { ATTEMPT_MS } from "../../src/webhooks/post.ts";
import { type WebhookMemory, Webhooks, type WebhookSettings } from "../../src/webhooks/webhooks.ts";
import { ManualClock, settle } from "../clock.ts";
import { testWith } from "../programs.ts";
import { Folder } from "../store/folder.ts";
import { Hook } from "./hook.ts";

const SECRET = "canary-secret-7c0ffee1";
const worker: NodeEvent = { kind: "worker", reason: "died" };
const commit = (generation: number): NodeEvent => ({
  ...{ kind: "commit", generation, via: "api", by: "", reason: "" },
  touched: null,
});

/** A clock that knows how many attempts are under way. */
class AttemptClock extends ManualClock {
  underWay = 0;

  override async sleep(ms: number, signal: AbortSignal): Promise<void> {
    const isAttempt = ms === ATTEMPT_MS;
    if (isAttempt) this.underWay++;
    await super.sleep(ms, signal);
    if (isAttempt) this.underWay--;
  }

  /** Moves on when no attempt is under way any more: those are of real time. */
  async pass(ms: number): Promise<void> {
    do await settle(); while (this.underWay > 0);
    await this.advance(ms);
  }
}

/** Webhooks, and all that they are told with. */
function world(
  webhooks: WebhookSettings["webhooks"],
  { memory = null, clock = new AttemptClock(), events = new Events(clock) }: {
    readonly memory?: WebhookMemory | null;
    readonly clock?: AttemptClock;
    readonly events?: Events;
  } = {},
) {
  const lines: string[] = [];
  const log = createLogger({ level: "debug", format: "json", clock, write: (line) => lines.push(line) });
  const registry = new Registry({});
  const told = new Webhooks({
    settings: { webhooks },
    events,
    memory,
    clock,
    rng: seededRng(1),
    log,
    registry,
  });
  const count = (result: string) =>
    Number(new RegExp(`deliveries_total{result="${result}"} (\\d+)`).exec(registry.expose())?.[1]);
  return {
    told,
    events,
    clock,
    lines,
    registry,
    count,
    [Symbol.asyncDispose]: () => told[Symbol.asyncDispose](),
  };
}

const all = (url: string) => ({ url, secret: SECRET, events: null });
const bodies = ({ posts }: Hook) => posts.map(({ body }) => JSON.parse(body));

testWith(["openssl"], "a post is signed as openssl says, and says when it was sent", async () => {
  await using hook = new Hook();
  await using site = world([all(hook.url)]);
  site.events.emit(commit(1));
  await hook.got(1);
  const [{ id, kind, timestamp, signature, body }] = hook.posts as [Hook["posts"][number]];
  deepEqual([id, kind, timestamp], [String(site.events.last), "commit", "1767225600"]);
  equal(body, site.events.kept()[0]!.json);
  const openssl = new Deno.Command("openssl", {
    args: ["dgst", "-sha256", "-hmac", SECRET],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = openssl.stdin.getWriter();
  await writer.write(new TextEncoder().encode(`${timestamp}.${body}`));
  await writer.close();
  const { stdout } = await openssl.output();
  equal(signature, `sha256=${new TextDecoder().decode(stdout).trim().split(" ").at(-1)}`);
});

Deno.test("a receiver is told the kinds that it wants, in their order, and change is a name of commit", async () => {
  await using hook = new Hook();
  await using site = world([{ url: hook.url, secret: SECRET, events: ["change"] }]);
  for (let generation = 1; generation <= 200; generation++) {
    site.events.emit(worker);
    site.events.emit(commit(generation));
  }
  await hook.got(200);
  deepEqual(bodies(hook).map(({ generation }) => generation), Array.from({ length: 200 }, (_, i) => i + 1));
});

Deno.test("what fails is sent again, under the same id and later each time, before anything else", async () => {
  await using hook = new Hook();
  await using site = world([all(hook.url)]);
  hook.answer = () => new Response("no", { status: 503 });
  site.events.emit(commit(1));
  site.events.emit(commit(2));
  const atMs: number[] = [];
  for (let seen = 0; seen < 12;) {
    await site.clock.pass(500);
    for (; seen < hook.posts.length; seen++) atMs.push(site.clock.monotonicMs());
  }
  deepEqual([...new Set(hook.posts.map(({ id }) => id))], [String(site.events.last - 1)]);
  const waits = atMs.slice(1).map((ms, i) => ms - atMs[i]!);
  for (const [i, waited] of waits.entries()) {
    const longest = Math.min(300_000, 1_000 * 2 ** i);
    ok(waited >= longest / 2 - 500 && waited <= longest + 1_000, `wait ${i}: ${waited}`);
  }
  hook.answer = () => new Response(null, { status: 204 });
  const before = hook.posts.length;
  while (hook.posts.length < before + 2) await site.clock.pass(1_000);
  deepEqual(hook.posts.slice(before).map(({ id }) => Number(id)), [site.events.last - 1, site.events.last]);
  const said = site.lines.map((line) => JSON.parse(line).message);
  deepEqual(said, ["A webhook doesn't take events; trying again", "A webhook takes events again"]);
  deepEqual([site.count("delivered"), site.count("failed") >= 12], [2, true]);
});

Deno.test("a receiver that is down for an hour costs nothing, and gets it all in order when it is back", async () => {
  const hook = new Hook();
  const { port, url } = hook;
  await hook[Symbol.asyncDispose]();
  await using site = world([all(url)]);
  const before = Deno.memoryUsage().heapUsed;
  let generation = 0;
  while (site.clock.monotonicMs() < 3_600_000) {
    if (site.clock.monotonicMs() % 2_000 === 0) site.events.emit(commit(++generation));
    await site.clock.pass(1_000);
  }
  ok(generation === 1_800 && generation < EVENTS_MAX);
  ok(Deno.memoryUsage().heapUsed - before < 30 << 20, "what is kept, and no more");
  match(site.registry.expose(), /pleiades_webhook_waiting 1800\n/);
  const [{ failure, failingSince, waiting }] = site.told.status() as [ReturnType<Webhooks["status"]>[number]];
  match(failure!, /refused/i);
  deepEqual([failingSince !== null, waiting], [true, 1_800]);
  await using back = new Hook(port);
  while (back.posts.length < 1_800) await site.clock.pass(1_000);
  deepEqual(bodies(back).map(({ generation }) => generation), Array.from({ length: 1_800 }, (_, i) => i + 1));
});

Deno.test("what isn't kept any more is told as lost, and then comes what is kept", async () => {
  await using hook = new Hook();
  const clock = new AttemptClock();
  const events = new Events(clock, { limits: { count: 5, length: 1e6 } });
  await using site = world([{ url: hook.url, secret: SECRET, events: ["commit"] }], { clock, events });
  hook.answer = () => new Response(null, { status: 500 });
  for (let generation = 1; generation <= 300; generation++) {
    events.emit(commit(generation));
    if (generation === 1) await hook.got(1);
  }
  hook.answer = () => new Response();
  while (hook.posts.length < 8) await clock.pass(1_000);
  const taken = bodies(hook).slice(-6);
  deepEqual([taken[0].kind, taken[0].until], ["lost", events.last]);
  deepEqual(taken.slice(1).map(({ generation }) => generation), [296, 297, 298, 299, 300]);
  equal(site.count("lost"), 1);
});

Deno.test("a restart goes on where the run before ended; a new receiver begins with the run", async () => {
  using folder = new Folder();
  await using hook = new Hook();
  await using other = new Hook();
  const clock = new AttemptClock();
  let before: Events;
  {
    using store = Store.open(folder.file("node.db"));
    await using site = world([all(hook.url)], { clock, memory: store.webhookPositions });
    before = site.events;
    before.emit(commit(1));
    await hook.got(1);
    hook.answer = () => new Response(null, { status: 500 });
    before.emit(commit(2));
    await hook.got(2);
    const [key] = [...store.webhookPositions.positions().keys()];
    ok(key === undefined || !key.includes("127.0.0.1"));
  }
  await clock.advance(1);
  hook.answer = () => new Response();
  const events = new Events(clock, { before: before.kept() });
  using store = Store.open(folder.file("node.db"));
  events.emit(commit(3));
  await using _ = world([all(other.url), all(hook.url)], { clock, events, memory: store.webhookPositions });
  await hook.got(4);
  await other.got(1);
  deepEqual(bodies(hook).map(({ generation }) => generation), [1, 2, 2, 3]);
  equal(new Set(hook.posts.map(({ id }) => id)).size, 3);
  deepEqual(bodies(other).map(({ generation }) => generation), [3]);
});

Deno.test("a reload leaves receivers where they are, begins new ones with now, and forgets those that are gone", async () => {
  using store = Store.memory();
  await using stays = new Hook();
  await using comes = new Hook();
  await using goes = new Hook();
  const site = world([all(goes.url), all(stays.url)], { memory: store.webhookPositions });
  stays.answer = () => new Response(null, { status: 401 });
  goes.answer = () => new Response(null, { status: 500 });
  site.events.emit(commit(1));
  await stays.got(1);
  await goes.got(1);
  stays.answer = () => new Response();
  site.told.use({ webhooks: [{ ...all(stays.url), secret: "another" }, all(comes.url)] });
  await stays.got(2); // at once: the clock stands still
  site.events.emit(commit(2));
  await stays.got(3);
  await comes.got(1);
  deepEqual(bodies(comes).map(({ generation }) => generation), [2]);
  ok(stays.posts[0]!.signature !== stays.posts[1]!.signature);
  while (site.told.status().some(({ waiting }) => waiting > 0)) await settle();
  await site[Symbol.asyncDispose]();
  equal(goes.posts.length, 1);
  deepEqual([...store.webhookPositions.positions().values()], [site.events.last, site.events.last]);
});

Deno.test("two receivers may have the same address", async () => {
  await using hook = new Hook();
  await using site = world([
    { url: hook.url, secret: "one", events: ["commit"] },
    { url: hook.url, secret: "two", events: ["worker"] },
  ]);
  site.events.emit(commit(1));
  site.events.emit(worker);
  await hook.got(2);
  deepEqual(hook.posts.map(({ kind }) => kind).sort(), ["commit", "worker"]);
});

Deno.test("an event that the receiver finds fault with is given up after some attempts, for the next one's sake", async () => {
  await using hook = new Hook();
  await using site = world([all(hook.url)]);
  hook.answer = ({ body }) => new Response(null, { status: body.includes('"generation":1,') ? 422 : 200 });
  site.events.emit(commit(1));
  site.events.emit(commit(2));
  while (hook.posts.length < 6) await site.clock.pass(1_000);
  await hook.got(6);
  deepEqual(bodies(hook).map(({ generation }) => generation), [1, 1, 1, 1, 1, 2]);
  deepEqual([site.count("refused"), site.count("failed")], [1, 4]);
});

Deno.test("a test is posted beside what waits, to those that are meant", async () => {
  await using down = new Hook();
  await using up = new Hook();
  await using site = world([all(down.url), all(up.url)]);
  down.answer = () => new Response(null, { status: 500 });
  site.events.emit(commit(1));
  await up.got(1);
  await down.got(1);
  const results = await site.told.test(new Set([1, 2]));
  deepEqual(results!.map(({ number, host, outcome }) => [number, host, outcome.kind, outcome.status]), [
    [1, new URL(down.url).host, "failed", 500],
    [2, new URL(up.url).host, "delivered", 200],
  ]);
  match(up.posts.at(-1)!.id, /^test-/);
  deepEqual(bodies(up).at(-1).kind, "test");
  const both = await Promise.all([site.told.test(new Set([2])), site.told.test(new Set([2]))]);
  equal(both.filter((each) => each === null).length, 1);
});

Deno.test("webhooks end at once, whatever their receivers do", async () => {
  await using hook = new Hook();
  hook.answer = () => new Promise(() => {});
  const site = world([all(hook.url)]);
  site.events.emit(commit(1));
  await hook.got(1);
  await site[Symbol.asyncDispose]();
});
