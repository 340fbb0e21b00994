/**
 * Who follows look-ups: by streams (server-sent events), and by questions that wait for another state than the one that is
 * known. Thousands may follow one address: what they are told is put into bytes once, and handed to some of them at a time, so
 * that others have their turn in between.
 *
 * A stream holds no queue: it is told of the state of the moment when its client has taken the one before. One that is slow
 * misses states in between, and never the last.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { type Address, formatAddress } from "../discovery/address.ts";
import type { DiscoveryPort, Found } from "../discovery/port.ts";
import { type LaterAnswer, SharedAnswer } from "./shared_answer.ts";

/** What streams are made with. */
export interface LookupStreamsOptions {
  /** Paces. */
  readonly clock: Pick<Clock, "monotonicMs" | "sleep">;
  /** What an event says of a state, as JSON. */
  readonly encode: (state: Found) => string;
  /** What a question that has waited is answered; with the state, unless it is known. */
  readonly answer: (state: Found, isKnown: boolean) => Response;
}

/** What one stream follows. */
export interface LookupStreamOptions {
  /** Where it is looked up. */
  readonly discovery: DiscoveryPort;
  /** What is. */
  readonly address: Address;
  /** Tag of the state that the client has; empty = none. */
  readonly seen: string;
  /** Aborted when the client is gone. */
  readonly signal: AbortSignal;
}

/** What one question waits for. */
export interface LookupPollOptions extends Omit<LookupStreamOptions, "seen"> {
  /** Whether the client has a state. */
  readonly isKnown: (state: Found) => boolean;
  /** For how long it waits, milliseconds; a second at least. */
  readonly waitMs: number;
}

/** A stream, and how to end it from outside. */
export interface LookupStream {
  /** The events. */
  readonly body: ReadableStream<Uint8Array>;
  /** Ends it; once more does nothing. */
  readonly end: () => void;
  /** Resolves when it has ended. */
  readonly ended: Promise<void>;
}

/** A stream that says nothing for so long is sent a comment, so that proxies and listeners know that it lives. */
const KEEPALIVE_MS = 15_000;
/** How often it is looked which of them do, at least. */
const LOOK_MS = 1_000;
/** Clients that are told in a turn: each takes some tens of microseconds. */
const PORTION = 100;
/** Questions that are let in again in a turn: each takes some hundred microseconds. */
const NEXT_PORTION = 20;
const encoder = new TextEncoder();
const COMMENT = encoder.encode(": still here\n\n");

/** A client that follows a topic. */
interface Follower {
  /** When it has waited for long enough; on the clock that never jumps. */
  readonly untilMs: number;
  /** There may be news. @returns whether it has something to do now */
  wake(): boolean;
  /** Time has passed. @returns likewise */
  look(nowMs: number): boolean;
  /** Nothing will change any more, or its client is gone. */
  end(): void;
}

/** All who follow look-ups of a node. */
export class LookupStreams {
  readonly #options: LookupStreamsOptions;
  readonly #topics = new Map<string, Topic>();
  readonly #followers = new Set<Follower>();
  #streams = 0;
  /** Aborted when there is none any more. */
  #idle = new AbortController();
  #isLooking = false;

  /** None yet. */
  constructor(options: LookupStreamsOptions) {
    this.#options = options;
  }

  /** How many streams there are. */
  get size(): number {
    return this.#streams;
  }

  /** Opens a stream. */
  open({ discovery, address, seen, signal }: LookupStreamOptions): LookupStream {
    const topic = this.#topicOf(discovery, address);
    const subscriber = new Subscriber(topic, seen, this.#options.clock);
    this.#streams++;
    subscriber.ended.then(() => this.#streams--);
    const end = this.#follow(topic, subscriber, subscriber.ended, signal);
    return { body: subscriber.body, end, ended: subscriber.ended };
  }

  /** Waits for another state than those that are known; for that of the moment when the time is over, or nothing will change. */
  wait({ discovery, address, isKnown, waitMs, signal }: LookupPollOptions): Promise<LaterAnswer> {
    const topic = this.#topicOf(discovery, address);
    const poll = new Poll(topic, isKnown, this.#options.clock.monotonicMs() + waitMs);
    this.#follow(topic, poll, poll.answer, signal);
    return poll.answer;
  }

  #topicOf(discovery: DiscoveryPort, address: Address): Topic {
    const key = formatAddress(address);
    const known = this.#topics.get(key);
    if (known && !known.isEnded) return known;
    const topic = new Topic(discovery, address, this.#options);
    this.#topics.set(key, topic);
    topic.ended.then(() => {
      if (this.#topics.get(key) === topic) this.#topics.delete(key);
    });
    return topic;
  }

  /** @returns what ends it */
  #follow(topic: Topic, follower: Follower, ended: Promise<unknown>, signal: AbortSignal): () => void {
    const forget = () => {
      signal.removeEventListener("abort", end);
      this.#followers.delete(follower);
      if (this.#followers.size === 0) this.#idle.abort();
    };
    const end = () => {
      forget();
      follower.end();
    };
    signal.addEventListener("abort", end, { once: true });
    ended.then(forget);
    this.#followers.add(follower);
    if (signal.aborted || topic.isEnded) end();
    else void this.#look();
    return end;
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    const { clock } = this.#options;
    while (this.#followers.size > 0) {
      if (this.#idle.signal.aborted) this.#idle = new AbortController();
      const { signal } = this.#idle;
      let untilMs = Infinity;
      for (const follower of this.#followers) untilMs = Math.min(untilMs, follower.untilMs);
      // Who comes meanwhile waits for longer than this.
      await clock.sleep(Math.min(LOOK_MS, Math.max(0, untilMs - clock.monotonicMs())), signal);
      const nowMs = clock.monotonicMs();
      await inPortions(this.#followers, (each) => each.look(nowMs), { clock, signal });
    }
    this.#isLooking = false;
  }
}

/** What is told of one address, as long as it is followed. */
class Topic {
  readonly followers = new Set<Follower>();
  /** Resolves when nothing follows it any more, or nothing will change. */
  readonly ended: Promise<void>;
  readonly #discovery: DiscoveryPort;
  readonly #address: Address;
  readonly #options: LookupStreamsOptions;
  readonly #ending = new AbortController();
  #state: Found;
  #event: Uint8Array | null = null;
  #news: SharedAnswer | null = null;
  #noNews: SharedAnswer | null = null;

  constructor(discovery: DiscoveryPort, address: Address, options: LookupStreamsOptions) {
    this.#discovery = discovery;
    this.#address = address;
    this.#options = options;
    this.#state = discovery.lookUp(address);
    this.ended = this.#run();
  }

  get isEnded(): boolean {
    return this.#ending.signal.aborted;
  }

  /** What is told. */
  get state(): Found {
    return this.#state;
  }

  /** The same for streams. */
  get event(): Uint8Array {
    const { encode } = this.#options;
    return this.#event ??= encoder.encode(
      `id: ${this.#state.tag}\nevent: lookup\ndata: ${encode(this.#state)}\n\n`,
    );
  }

  /** The same for who has waited for it. */
  answer(isKnown: boolean): SharedAnswer {
    const { answer } = this.#options;
    const state = this.#state;
    return isKnown
      ? this.#noNews ??= new SharedAnswer(() => answer(state, true))
      : this.#news ??= new SharedAnswer(() => answer(state, false));
  }

  delete(follower: Follower): void {
    this.followers.delete(follower);
    if (this.followers.size === 0) this.#ending.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending;
    const { clock } = this.#options;
    while (!signal.aborted && !this.#discovery.isEnded) {
      const changed = this.#discovery.changed(this.#address, signal);
      this.#take(this.#discovery.lookUp(this.#address));
      const told: Poll[] = [];
      const tell = (each: Follower) => {
        const isTold = each.wake();
        if (isTold && each instanceof Poll) told.push(each);
        return isTold;
      };
      await inPortions(this.followers, tell, { clock, signal });
      void this.#letIn(told);
      await changed;
    }
    this.#ending.abort();
    for (const follower of [...this.followers]) follower.end();
  }

  /** Who was told asks again at once; until all were told, that would take the time of the others. */
  async #letIn(told: readonly Poll[]): Promise<void> {
    const { clock } = this.#options;
    const { signal } = new AbortController();
    await inPortions(told, (each) => each.letIn(), { clock, signal, portion: NEXT_PORTION });
  }

  #take(state: Found): void {
    const { tag, isStale } = this.#state;
    if (state.tag !== tag || state.isStale !== isStale) this.#event = this.#news = this.#noNews = null;
    this.#state = state;
  }
}

/** One question that waits. */
class Poll implements Follower {
  readonly answer: Promise<LaterAnswer>;
  readonly untilMs: number;
  readonly #topic: Topic;
  readonly #isKnown: (state: Found) => boolean;
  readonly #say: (answer: LaterAnswer) => void;
  readonly #next = Promise.withResolvers<void>();
  #isEnded = false;

  constructor(topic: Topic, isKnown: (state: Found) => boolean, untilMs: number) {
    ({ promise: this.answer, resolve: this.#say } = Promise.withResolvers<LaterAnswer>());
    this.untilMs = untilMs;
    this.#topic = topic;
    this.#isKnown = isKnown;
    topic.followers.add(this);
  }

  wake(): boolean {
    const isNews = !this.#isKnown(this.#topic.state);
    if (isNews) this.#answer(false);
    return isNews;
  }

  /** Its client may ask again. @returns whether that is something to do */
  letIn(): boolean {
    this.#next.resolve();
    return true;
  }

  look(nowMs: number): boolean {
    const isOver = nowMs >= this.untilMs;
    if (isOver) this.end();
    return isOver;
  }

  end(): void {
    this.#answer(this.#isKnown(this.#topic.state));
    this.letIn();
  }

  #answer(isKnown: boolean): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#topic.delete(this);
    this.#say({ answer: this.#topic.answer(isKnown), next: this.#next.promise });
  }
}

/** One stream. */
class Subscriber implements Follower {
  readonly body: ReadableStream<Uint8Array>;
  readonly untilMs = Infinity;
  readonly #topic: Topic;
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #ended = Promise.withResolvers<void>();
  #seen: string;
  /** Ends the wait of a client that has taken all; `null` = it hasn't. */
  #waiting: (() => void) | null = null;
  #saidMs: number;
  #isQuiet = false;
  #isEnded = false;
  #isCancelled = false;

  constructor(topic: Topic, seen: string, clock: Pick<Clock, "monotonicMs">) {
    this.#topic = topic;
    this.#clock = clock;
    this.#seen = seen;
    this.#saidMs = clock.monotonicMs();
    topic.followers.add(this);
    this.body = new ReadableStream<Uint8Array>({
      pull: (controller) => this.#pull(controller),
      cancel: () => {
        this.#isCancelled = true;
        this.end();
      },
    }, { highWaterMark: 0 });
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  wake(): boolean {
    const isNews = this.#isEnded || this.#isQuiet || this.#topic.state.tag !== this.#seen;
    if (isNews) this.#waiting?.();
    return isNews && this.#waiting !== null;
  }

  look(nowMs: number): boolean {
    if (this.#waiting === null || nowMs - this.#saidMs < KEEPALIVE_MS) return false;
    this.#isQuiet = true;
    return this.wake();
  }

  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#topic.delete(this);
    this.#ended.resolve();
    this.wake();
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    for (;;) {
      if (this.#isEnded) {
        if (!this.#isCancelled) controller.close();
        return;
      }
      const { state: { tag } } = this.#topic;
      if (tag !== this.#seen) {
        this.#seen = tag;
        return this.#say(controller, this.#topic.event);
      }
      if (this.#isQuiet) return this.#say(controller, COMMENT);
      await new Promise<void>((resolve) => this.#waiting = resolve);
      this.#waiting = null;
    }
  }

  #say(controller: ReadableStreamDefaultController<Uint8Array>, bytes: Uint8Array): void {
    this.#isQuiet = false;
    this.#saidMs = this.#clock.monotonicMs();
    controller.enqueue(bytes);
  }
}

/** Each of them, so that only some do something in a turn of the event loop. @param visit says whether one does */
async function inPortions<Item>(
  items: Iterable<Item>,
  visit: (item: Item) => boolean,
  { clock, signal, portion = PORTION }: {
    readonly clock: Pick<Clock, "sleep">;
    readonly signal: AbortSignal;
    readonly portion?: number;
  },
): Promise<void> {
  let left = portion;
  for (const item of [...items]) {
    if (!visit(item) || --left > 0) continue;
    left = portion;
    await clock.sleep(0, signal);
  }
}
