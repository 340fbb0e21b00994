/**
 * One receiver of events: what it is to be told, in order, as often as it takes.
 *
 * There is no queue: a receiver is a place among the events that are kept, which outlives a restart as they do. While it is
 * down nothing grows; when it is back it gets what is kept since, and is told if some of it isn't any more.
 *
 * @module
 */
import { type Clock, rfc3339, type Rng } from "../clock.ts";
import type { EventKind } from "../events/event.ts";
import type { Events, RecordedEvent } from "../events/events.ts";
import type { Logger } from "../telemetry/log.ts";
import { type Post, post, type PostAddress, type PostOutcome } from "./post.ts";

/** What the settings say of a receiver. */
export interface ReceiverTerms extends PostAddress {
  /** Kinds that it wants; `null` = all. */
  readonly kinds: ReadonlySet<EventKind> | null;
}

/** What a receiver is told with. */
export interface ReceiverOptions {
  /** What happens. */
  readonly events: Events;
  /** Paces the attempts. */
  readonly clock: Clock;
  /** Spreads the attempts. */
  readonly rng: Rng;
  /** Hears when it doesn't take events, and when it does again. */
  readonly log: Logger;
  /** Told of each attempt, and of each gap. */
  readonly count: (what: PostResult) => void;
  /** Told when another event needn't be told any more. */
  readonly onMoved: () => void;
}

/** What is counted: `refused` = given up, since the receiver finds fault with it; `lost` = not kept any more. */
export type PostResult = "delivered" | "failed" | "refused" | "lost";

/** How a receiver is. */
export interface ReceiverStatus {
  /** Host and port of its address, which is all that is shown of it. */
  readonly host: string;
  /** What it wants; `null` = all. */
  readonly kinds: ReadonlySet<EventKind> | null;
  /** When it took an event last, Unix milliseconds; `null` = not in this run. */
  readonly lastDelivery: number | null;
  /** Since when it takes none; `null` = it does. */
  readonly failingSince: number | null;
  /** Why it took none at the last attempt; `null` = it did. */
  readonly failure: string | null;
  /** Events that it has yet to be told. */
  readonly waiting: number;
}

/** The first wait after a failure; each further one is twice as long. */
const RETRY_MIN_MS = 1_000;
/** The longest. */
const RETRY_MAX_MS = 300_000;
/** An event that the receiver finds fault with is given up after so many attempts, for the sake of the others. */
const REFUSALS_MAX = 5;
/** Events that are looked at together. */
const BATCH_MAX = 100;

/** Tells a receiver until it is disposed of. */
export class Receiver implements AsyncDisposable {
  readonly #options: ReceiverOptions;
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;
  #terms: ReceiverTerms;
  #position: number;
  #lastDelivery: number | null = null;
  #failingSince: number | null = null;
  #failure: string | null = null;
  /** Ends the wait for the next attempt. */
  #retrying = new AbortController();

  /** Begins behind an event. */
  constructor(terms: ReceiverTerms, position: number, options: ReceiverOptions) {
    this.#terms = terms;
    this.#position = position;
    this.#options = options;
    this.#running = this.#run();
  }

  /** The id of the last event that it needn't be told any more. */
  get position(): number {
    return this.#position;
  }

  /** Takes other terms over, and tries at once what has failed. */
  use(terms: ReceiverTerms): void {
    this.#terms = terms;
    this.#retrying.abort();
  }

  /** How it is. */
  status(): ReceiverStatus {
    const { events } = this.#options.events.since(this.#position);
    return {
      host: hostOf(this.#terms),
      kinds: this.#terms.kinds,
      lastDelivery: this.#lastDelivery,
      failingSince: this.#failingSince,
      failure: this.#failure,
      waiting: events.filter((event) => this.#isWanted(event)).length,
    };
  }

  /** Posts something at once, beside the events and once only. */
  async try(what: Post): Promise<PostOutcome> {
    const { clock } = this.#options;
    return await post(what, this.#terms, { clock, signal: this.#ending.signal });
  }

  /** Gives up what is under way; it is sent again by the next one, under the same id. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    this.#retrying.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { events, count, onMoved } = this.#options;
    const { signal } = this.#ending;
    while (!signal.aborted) {
      const batch = events.since(this.#position, BATCH_MAX);
      if (batch.lost) {
        count("lost");
        await this.#deliver(this.#lostPost(batch.last));
      }
      for (const event of batch.events) {
        if (this.#isWanted(event)) await this.#deliver(postOf(event));
        if (signal.aborted) return;
        this.#position = event.id;
        onMoved();
      }
      if (batch.events.length > 0) continue;
      this.#position = batch.last;
      await events.next(signal);
    }
  }

  #isWanted({ event }: RecordedEvent): boolean {
    const { kinds } = this.#terms;
    return kinds === null || kinds.has(event.kind);
  }

  #lostPost(until: number): Post {
    const after = this.#position;
    const at = rfc3339(this.#options.clock.unixMs());
    return {
      id: `lost-${after}-${until}`,
      kind: "lost",
      body: JSON.stringify({ at, kind: "lost", after, until }),
    };
  }

  /** Tries until it is taken, is given up, or the receiver is disposed of. */
  async #deliver(what: Post): Promise<void> {
    const { clock, count } = this.#options;
    const { signal } = this.#ending;
    for (let attempts = 1, refusals = 0;; attempts++) {
      this.#retrying = new AbortController(); // other terms may come while it is under way
      const outcome = await this.try(what);
      if (signal.aborted) return;
      if (outcome.kind === "delivered") {
        count("delivered");
        return this.#noteDelivered();
      }
      this.#noteFailed(outcome.reason);
      if (outcome.isRefused && ++refusals === REFUSALS_MAX) return this.#giveUp(what);
      count("failed");
      await clock.sleep(this.#waitMs(attempts), this.#retrying.signal);
      if (signal.aborted) return;
    }
  }

  /** Between half of it and all of it, so that not all come back at the same time. */
  #waitMs(attempts: number): number {
    const longest = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(attempts - 1, 20));
    return longest * (0.5 + this.#options.rng() / 2 ** 33);
  }

  #noteDelivered(): void {
    const { clock, log } = this.#options;
    this.#lastDelivery = clock.unixMs();
    if (this.#failingSince !== null) log.info("A webhook takes events again", { host: hostOf(this.#terms) });
    this.#failingSince = this.#failure = null;
  }

  #noteFailed(reason: string): void {
    const { clock, log } = this.#options;
    this.#failure = reason;
    if (this.#failingSince !== null) return;
    this.#failingSince = clock.unixMs();
    log.warn("A webhook doesn't take events; trying again", { host: hostOf(this.#terms), reason });
  }

  #giveUp({ id, kind }: Post): void {
    const { log, count } = this.#options;
    count("refused");
    log.warn("A webhook refuses an event, which is given up", {
      ...{ host: hostOf(this.#terms), reason: this.#failure, event: kind, id },
    });
  }
}

function postOf({ id, event, json }: RecordedEvent): Post {
  return { id: String(id), kind: event.kind, body: json };
}

function hostOf({ url }: PostAddress): string {
  return new URL(url).host;
}
