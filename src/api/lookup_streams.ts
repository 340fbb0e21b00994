/**
 * Streams of look-ups (server-sent events). Thousands may follow one address: what they are told is put into bytes once, and
 * handed to some of them at a time, so that others have their turn in between.
 *
 * A stream holds no queue: it is told of the state of the moment when its client has taken the one before. One that is slow
 * misses states in between, and never the last.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { type Address, formatAddress } from "../discovery/address.ts";
import type { DiscoveryPort, Found } from "../discovery/port.ts";

/** What streams are made with. */
export interface LookupStreamsOptions {
  /** Paces. */
  readonly clock: Pick<Clock, "monotonicMs" | "sleep">;
  /** What an event says of a state, as JSON. */
  readonly encode: (state: Found) => string;
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
/** How often it is looked which of them do. */
const LOOK_MS = 1_000;
/** Streams that are told in a turn: each takes some tens of microseconds. */
const PORTION = 100;
const encoder = new TextEncoder();
const COMMENT = encoder.encode(": still here\n\n");

/** All streams of a node. */
export class LookupStreams {
  readonly #options: LookupStreamsOptions;
  readonly #topics = new Map<string, Topic>();
  readonly #subscribers = new Set<Subscriber>();
  /** Aborted when there is none any more. */
  #idle = new AbortController();
  #isKeeping = false;

  /** None yet. */
  constructor(options: LookupStreamsOptions) {
    this.#options = options;
  }

  /** How many there are. */
  get size(): number {
    return this.#subscribers.size;
  }

  /** Opens one. */
  open({ discovery, address, seen, signal }: LookupStreamOptions): LookupStream {
    const { clock } = this.#options;
    const key = formatAddress(address);
    let topic = this.#topics.get(key);
    if (!topic || topic.isEnded) {
      const made = topic = new Topic(discovery, address, this.#options);
      this.#topics.set(key, made);
      made.ended.then(() => {
        if (this.#topics.get(key) === made) this.#topics.delete(key);
      });
    }
    const subscriber = new Subscriber(topic, seen, clock);
    const end = () => {
      signal.removeEventListener("abort", end);
      this.#subscribers.delete(subscriber);
      if (this.#subscribers.size === 0) this.#idle.abort();
      subscriber.end();
    };
    signal.addEventListener("abort", end, { once: true });
    subscriber.ended.then(end);
    this.#subscribers.add(subscriber);
    if (signal.aborted || topic.isEnded) end();
    else void this.#keepAlive();
    return { body: subscriber.body, end, ended: subscriber.ended };
  }

  async #keepAlive(): Promise<void> {
    if (this.#isKeeping) return;
    this.#isKeeping = true;
    const { clock } = this.#options;
    while (this.#subscribers.size > 0) {
      if (this.#idle.signal.aborted) this.#idle = new AbortController();
      const { signal } = this.#idle;
      await clock.sleep(LOOK_MS, signal);
      await inPortions(this.#subscribers, (each) => each.comment(), { clock, signal });
    }
    this.#isKeeping = false;
  }
}

/** What is told of one address, as long as it is followed. */
class Topic {
  readonly subscribers = new Set<Subscriber>();
  /** Resolves when nothing follows it any more, or nothing will change. */
  readonly ended: Promise<void>;
  readonly #ending = new AbortController();
  /** Of the state that is told. */
  tag = "";
  event: Uint8Array = new Uint8Array(0);
  #isStale = false;

  constructor(discovery: DiscoveryPort, address: Address, options: LookupStreamsOptions) {
    this.ended = this.#run(discovery, address, options);
  }

  get isEnded(): boolean {
    return this.#ending.signal.aborted;
  }

  add(subscriber: Subscriber): void {
    this.subscribers.add(subscriber);
  }

  delete(subscriber: Subscriber): void {
    this.subscribers.delete(subscriber);
    if (this.subscribers.size === 0) this.#ending.abort();
  }

  async #run(
    discovery: DiscoveryPort,
    address: Address,
    { clock, encode }: LookupStreamsOptions,
  ): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted && !discovery.isEnded) {
      const changed = discovery.changed(address, signal);
      const state = discovery.lookUp(address);
      const { tag, isStale } = state;
      if (tag !== this.tag || isStale !== this.#isStale) {
        this.event = encoder.encode(`id: ${tag}\nevent: lookup\ndata: ${encode(state)}\n\n`);
      }
      this.#isStale = isStale;
      if (tag !== this.tag) {
        this.tag = tag;
        await inPortions(this.subscribers, (each) => each.wake(), { clock, signal });
      }
      await changed;
    }
    this.#ending.abort();
    for (const subscriber of [...this.subscribers]) subscriber.end();
  }
}

/** One client. */
class Subscriber {
  readonly body: ReadableStream<Uint8Array>;
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
    topic.add(this);
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

  /** There may be news. @returns whether it has something to do now */
  wake(): boolean {
    this.#waiting?.();
    return this.#waiting !== null;
  }

  /** Says something, if it was silent for too long. @returns likewise */
  comment(): boolean {
    if (this.#waiting === null || this.#clock.monotonicMs() - this.#saidMs < KEEPALIVE_MS) return false;
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
      const { tag, event } = this.#topic;
      if (tag !== this.#seen) {
        this.#seen = tag;
        return this.#say(controller, event);
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
  { clock, signal }: { readonly clock: Pick<Clock, "sleep">; readonly signal: AbortSignal },
): Promise<void> {
  let left = PORTION;
  for (const item of [...items]) {
    if (!visit(item) || --left > 0) continue;
    left = PORTION;
    await clock.sleep(0, signal);
  }
}
