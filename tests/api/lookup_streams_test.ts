/**
 * Streams of look-ups over a catalog that is changed by hand.
 *
 * @module
 */
import { deepEqual, equal } from "node:assert/strict";
import { LookupStreams } from "../../src/api/lookup_streams.ts";
import type { Address } from "../../src/discovery/address.ts";
import type { DiscoveryPort, Found } from "../../src/discovery/port.ts";
import { ManualClock } from "../clock.ts";

const ADDRESS: Address = { service: "http", job: "web", env: "prod", product: "shop", zone: "gg" };

/** Discovery in which one address has a tag. */
class Tagged {
  tag = "1";
  isEnded = false;
  isStale = false;
  encoded = 0;
  #news = Promise.withResolvers<void>();

  become(tag: string): void {
    this.tag = tag;
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }

  async changed(_: Address, signal: AbortSignal): Promise<void> {
    const gone = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => gone.resolve(), { once: true });
    await Promise.race([this.#news.promise, gone.promise]);
  }

  lookUp(): Found {
    return { ...{ address: "a", rcode: "NOERROR", instances: [] }, isStale: this.isStale, tag: this.tag };
  }
}

class World {
  readonly clock = new ManualClock();
  readonly tagged = new Tagged();
  readonly streams = new LookupStreams({
    clock: this.clock,
    encode: ({ tag, isStale }) => `${++this.tagged.encoded} ${tag} ${isStale}`,
    answer: ({ tag }, isKnown) => new Response(`${tag} ${isKnown}`),
  });
  readonly client = new AbortController();

  /** Waits for another tag than one. */
  wait(seen: string, seconds = 30) {
    const discovery = this.tagged as unknown as DiscoveryPort;
    return this.streams.wait({
      ...{ discovery, address: ADDRESS, waitMs: 1000 * seconds, signal: this.client.signal },
      isKnown: ({ tag }) => tag === seen,
    });
  }

  open(seen = "") {
    const discovery = this.tagged as unknown as DiscoveryPort;
    const stream = this.streams.open({ discovery, address: ADDRESS, seen, signal: this.client.signal });
    const reader = stream.body.getReader();
    return {
      ...stream,
      cancel: () => reader.cancel(),
      next: async () => {
        const { done, value } = await reader.read();
        return done ? null : new TextDecoder().decode(value).split("\n").slice(0, -2).join("|");
      },
    };
  }
}

Deno.test("all who follow an address are told the same bytes, made once, and the state of the moment", async () => {
  const world = new World();
  const [quick, slow, back] = [world.open(), world.open(), world.open("1")];
  equal(await quick.next(), "id: 1|event: lookup|data: 1 1 false");
  const news = [quick.next(), back.next()];
  world.tagged.become("2");
  deepEqual(await Promise.all(news), Array(2).fill("id: 2|event: lookup|data: 2 2 false"));
  const third = quick.next();
  world.tagged.become("3");
  equal(await third, "id: 3|event: lookup|data: 3 3 false");
  equal(await slow.next(), "id: 3|event: lookup|data: 3 3 false", "it has missed what was in between");
  world.tagged.isStale = true;
  world.tagged.become("3");
  await world.clock.advance(0);
  equal(await world.open().next(), "id: 3|event: lookup|data: 4 3 true");
  equal(world.streams.size, 4);
  world.client.abort();
  deepEqual(await Promise.all([quick.next(), slow.next(), back.next()]), [null, null, null]);
  equal(world.streams.size, 0);
  equal(world.clock.sleeperCount, 0);
});

Deno.test("a stream that says nothing for fifteen seconds says that it is there", async () => {
  const world = new World();
  const stream = world.open("1");
  const next = stream.next();
  await world.clock.advance(14_000);
  const other = world.open("1");
  const later = other.next();
  await world.clock.advance(1_000);
  equal(await next, ": still here");
  const ended = stream.next();
  stream.end();
  equal(await ended, null);
  await world.clock.advance(14_000);
  equal(await later, ": still here");
  await other.cancel();
  equal(world.streams.size, 0);
});

Deno.test("hundreds are told in portions, and those who come or go meanwhile as well", async () => {
  const world = new World();
  const all = Array.from({ length: 250 }, () => world.open("1"));
  const told = all.map((stream) => stream.next());
  await world.clock.advance(0);
  world.tagged.become("2");
  await Promise.resolve();
  all[249]!.end();
  const late = world.open("1").next();
  await world.clock.advance(0);
  const words = await Promise.all(told);
  equal(words.filter((text) => text?.startsWith("id: 2")).length, 249);
  equal(words[249], null);
  equal((await late)?.slice(0, 5), "id: 2");
  world.client.abort();
});

Deno.test("when nothing will change any more, streams end, also those that come then", async () => {
  const world = new World();
  const stream = world.open("1");
  const next = stream.next();
  world.tagged.isEnded = true;
  world.tagged.become("1");
  equal(await next, null);
  equal(await world.open().next(), null);
  equal(world.streams.size, 0);
});

Deno.test("questions that wait get one answer for all when there is news, and each its own end of time", async () => {
  const world = new World();
  const waiting = Array.from({ length: 250 }, () => world.wait("1"));
  await world.clock.advance(29_999);
  const late = world.wait("2", 2);
  world.tagged.become("2");
  await world.clock.advance(0);
  const told = await Promise.all(waiting);
  const answers = new Set(told.map(({ answer }) => answer));
  equal(answers.size, 1);
  equal(await [...answers][0]!.response().text(), "2 false");
  await Promise.all(told.map(({ next }) => next));
  const other = world.wait("2", 60);
  await world.clock.advance(2_000);
  equal(await (await late).answer.response().text(), "2 true");
  world.client.abort();
  equal(await (await other).answer.response().text(), "2 true");
  equal(world.clock.sleeperCount, 0);
});

Deno.test("a question that knows a state in between is told of the one that is there again", async () => {
  const world = new World();
  const first = world.wait("1");
  world.tagged.tag = "2";
  const between = world.wait("2");
  world.tagged.become("1");
  equal(await (await between).answer.response().text(), "1 false");
  world.tagged.isEnded = true;
  world.tagged.become("1");
  equal(await (await first).answer.response().text(), "1 true", "nothing will change any more");
  equal(await (await world.wait("1")).answer.response().text(), "1 true");
});
