/**
 * Webhooks: receivers outside that are told what happens, each in order and at its own pace.
 *
 * How far each has been told is kept once a second, by a key that says nothing of its address. So a restart goes on where
 * the run before ended; after a kill it may tell the last second once more, under the same ids.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { Clock, Rng } from "../clock.ts";
import { type KindName, kindsOf } from "../events/event.ts";
import type { Events } from "../events/events.ts";
import { Port } from "../port.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Registry } from "../telemetry/metrics.ts";
import type { PostOutcome } from "./post.ts";
import { Receiver, type ReceiverStatus, type ReceiverTerms } from "./receiver.ts";

/** What the settings say. */
export interface WebhookSettings {
  /** Receivers, in the order in which people count them. */
  readonly webhooks: readonly {
    readonly url: string;
    readonly secret: string;
    /** Kinds; `null` = all. */
    readonly events: readonly KindName[] | null;
  }[];
}

/** Where it is kept how far receivers have been told. */
export interface WebhookMemory {
  /** The id of the last event that each has got, by its key. */
  positions(): ReadonlyMap<string, number>;
  /**
   * Keeps these, and no others.
   *
   * @throws {Error} when it can't be done; it can be tried again
   */
  keepPositions(positions: ReadonlyMap<string, number>, how: { readonly wait: boolean }): void;
}

/** What webhooks are told with. */
export interface WebhooksOptions {
  /** Those of the start. */
  readonly settings: WebhookSettings;
  /** What happens. */
  readonly events: Events;
  /** `null` = nothing is kept: after a restart they begin with that. */
  readonly memory: WebhookMemory | null;
  /** Paces all of it. */
  readonly clock: Clock;
  /** Spreads attempts. */
  readonly rng: Rng;
  /** Hears of receivers that don't take events; never of their addresses. */
  readonly log: Logger;
  /** Gets the metrics. */
  readonly registry: Registry;
}

/** What a test came to. */
export interface TestResult {
  /** Of the receiver, from 1. */
  readonly number: number;
  /** Its host. */
  readonly host: string;
  /** What became of it. */
  readonly outcome: PostOutcome;
  /** How long that took. */
  readonly durationMs: number;
}

/** Where they are offered. */
export const WEBHOOKS: Port<Webhooks> = new Port("webhooks");

/** How often it is written how far receivers have been told: what a killed process tells once more. */
const KEEP_MS = 1_000;

/** All receivers of a node. */
export class Webhooks implements AsyncDisposable {
  readonly #options: WebhooksOptions;
  readonly #count: (what: "delivered" | "failed" | "refused" | "lost") => void;
  readonly #ending = new AbortController();
  readonly #keeping: Promise<void>;
  /** By their keys, in the order of the settings. */
  #receivers: ReadonlyMap<string, Receiver>;
  /** Those that a reload has taken away, until they have ended. */
  readonly #leaving = new Set<Promise<void>>();
  #isMoved = true;
  #isFailing = false;
  #isTesting = false;
  #isHeld = false;

  /** Begins to tell: where the run before ended, or this run began. */
  constructor(options: WebhooksOptions) {
    this.#options = options;
    const { registry, settings, memory, events } = options;
    const deliveries = registry.counter(
      "pleiades_webhook_deliveries_total",
      "Attempts to post an event to a webhook, and events that weren't posted.",
      ["result"],
    );
    const series = Object.fromEntries(
      (["delivered", "failed", "refused", "lost"] as const).map((each) => [each, deliveries.labels(each)]),
    );
    this.#count = (what) => series[what]!.inc();
    registry.gauge("pleiades_webhook_waiting", "Events that webhooks have yet to be told.", {
      collect: () => this.status().reduce((sum, { waiting }) => sum + waiting, 0),
    });
    const kept = memory?.positions() ?? new Map<string, number>();
    this.#receivers = this.#receiversOf(settings, (key) => kept.get(key) ?? events.origin);
    this.#keeping = this.#keep();
  }

  /** Takes other settings over: receivers that are still there go on, new ones begin with what happens now. */
  use(settings: WebhookSettings): void {
    const before = this.#receivers;
    this.#receivers = this.#receiversOf(settings, () => this.#options.events.last);
    this.#isMoved = true;
    for (const [key, receiver] of before) {
      if (this.#receivers.has(key)) continue;
      const leaving = receiver[Symbol.asyncDispose]().finally(() => this.#leaving.delete(leaving));
      this.#leaving.add(leaving);
    }
  }

  /** How they are, in the order of the settings. */
  status(): readonly ReceiverStatus[] {
    return [...this.#receivers.values()].map((receiver) => receiver.status());
  }

  /**
   * Posts a test event to those receivers, beside everything else.
   *
   * @param numbers of the receivers, from 1
   * @returns `null` = a test is under way already
   */
  async test(numbers: ReadonlySet<number>): Promise<readonly TestResult[] | null> {
    if (this.#isTesting) return null;
    this.#isTesting = true;
    try {
      const tested = [...this.#receivers.values()].map((receiver, i) => ({ receiver, number: i + 1 }))
        .filter(({ number }) => numbers.has(number));
      return await Promise.all(tested.map((each) => this.#testOne(each)));
    } finally {
      this.#isTesting = false;
    }
  }

  /** Tells nothing more, and keeps how far each has been told. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    const receivers = [...this.#receivers.values()];
    await Promise.all([
      ...receivers.map((receiver) => receiver[Symbol.asyncDispose]()),
      ...this.#leaving,
      this.#keeping,
    ]);
    this.#write({ wait: true });
  }

  /** Keeps how far each has been told, and nothing more until the result is disposed of, not even at the end. */
  hold(): Disposable {
    this.#write({ wait: true });
    this.#isHeld = true;
    return { [Symbol.dispose]: () => this.#isHeld = false };
  }

  async #testOne(
    { receiver, number }: { readonly receiver: Receiver; readonly number: number },
  ): Promise<TestResult> {
    const { clock } = this.#options;
    const startMs = clock.monotonicMs();
    const body = {
      at: new Date(clock.unixMs()).toISOString(),
      kind: "test",
      message: "A test of this webhook",
    };
    const outcome = await receiver.try({
      id: `test-${crypto.randomUUID()}`,
      kind: "test",
      body: JSON.stringify(body),
    });
    return { number, host: receiver.status().host, outcome, durationMs: clock.monotonicMs() - startMs };
  }

  /** Receivers of other settings; those that are there already are told of their terms. */
  #receiversOf({ webhooks }: WebhookSettings, positionOf: (key: string) => number): Map<string, Receiver> {
    const receivers = new Map<string, Receiver>();
    for (const { url, secret, events: names } of webhooks) {
      const terms: ReceiverTerms = { url, secret, kinds: kindsOf(names ?? []) };
      const key = keyOf(url, receivers);
      const known = this.#receivers?.get(key);
      known?.use(terms);
      receivers.set(key, known ?? this.#newReceiver(terms, positionOf(key)));
    }
    return receivers;
  }

  #newReceiver(terms: ReceiverTerms, position: number): Receiver {
    const { events, clock, rng, log } = this.#options;
    const onMoved = () => this.#isMoved = true;
    return new Receiver(terms, position, { events, clock, rng, log, count: this.#count, onMoved });
  }

  async #keep(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      await this.#options.clock.sleep(KEEP_MS, signal);
      if (this.#isMoved && !signal.aborted) this.#write({ wait: false });
    }
  }

  #write(how: { readonly wait: boolean }): void {
    if (this.#isHeld) return;
    const { memory, log } = this.#options;
    const positions = new Map([...this.#receivers].map(([key, { position }]) => [key, position]));
    try {
      memory?.keepPositions(positions, how);
      this.#isMoved = this.#isFailing = false;
    } catch (error) {
      // Once, until it works again.
      if (!this.#isFailing) {
        log.warn("Cannot keep in the database how far webhooks have been told", { error });
      }
      this.#isFailing = true;
    }
  }
}

/** Of an address, and of how many receivers before this one have the same. */
function keyOf(url: string, others: ReadonlyMap<string, unknown>): string {
  const digest = createHash("sha256").update(url).digest("hex");
  for (let number = 1;; number++) {
    const key = `${digest}-${number}`;
    if (!others.has(key)) return key;
  }
}
