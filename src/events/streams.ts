/**
 * Events as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html) to any number of
 * listeners within a bound.
 *
 * A listener holds a place among the events and no queue: what it gets is read there when it has taken what it got before,
 * so that one that doesn't read costs a chunk of memory, whatever happens meanwhile. One that stays behind for long is cut
 * and told so; it comes back with the id that it saw last, and misses nothing that is kept.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { Port } from "../port.ts";
import type { Registry } from "../telemetry/metrics.ts";
import type { EventKind } from "./event.ts";
import type { Events, RecordedEvent } from "./events.ts";

/** How often something is sent at least, so that proxies and listeners know that the stream lives. */
export const KEEPALIVE_MS = 15_000;
/** Characters of events that may happen before a listener takes them. */
export const BEHIND_MAX = 1 << 20;
/** For how long there may be more of them: a burst that is soon taken cuts none. */
export const BEHIND_MS = 10_000;
/** Pause behind events. */
const GATHER_MS_MIN = 100;
/**
 * The same with many listeners, for each of them: to hand something over takes some 0.1 ms of the thread on which changes
 * and probes are, so that all of them together take a tenth of it.
 */
const GATHER_MS_PER_LISTENER = 1;
/** Bytes that are handed over at once, more or less. */
const CHUNK_BYTES = 64 << 10;
/** Events that are looked at for a chunk. */
const BATCH_MAX = 500;

/** What streams are made of. */
export interface EventStreamsOptions {
  /** What happens. */
  readonly events: Events;
  /** Paces the streams. */
  readonly clock: Clock;
  /** Gets the metrics. */
  readonly registry: Registry;
  /** How many listeners there may be. */
  readonly max: number;
  /** When aborted, streams end behind what has happened until then. */
  readonly stopping: AbortSignal;
}

/** What a listener wants. */
export interface StreamTerms {
  /** The id of the event that it saw last. */
  readonly after: number;
  /** `null` = all. */
  readonly kinds: ReadonlySet<EventKind> | null;
  /** Aborted when it is gone, or may not listen any more. */
  readonly signal: AbortSignal;
  /** Called once, when it listens no more. */
  readonly onEnd?: () => void;
}

/** Where they are offered. */
export const EVENT_STREAMS: Port<EventStreams> = new Port("streams of events");

/** The listeners of a node. */
export class EventStreams {
  /** What happens. */
  readonly events: Events;
  /** How many listeners there may be. */
  readonly max: number;
  readonly #options: EventStreamsOptions;
  readonly #cut: { inc(): void };
  #open = 0;

  /** None listens yet. */
  constructor(options: EventStreamsOptions) {
    const { events, max, registry } = options;
    this.#options = options;
    this.events = events;
    this.max = max;
    registry.gauge("pleiades_event_listeners", "Open streams of events.", { collect: () => this.#open });
    this.#cut = registry.counter(
      "pleiades_event_listeners_cut_total",
      "Streams of events that were ended because their listener didn't keep up.",
    ).labels();
  }

  /** A stream of events, which ends with the node or with its signal; `null` = there are too many already. */
  open(terms: StreamTerms): ReadableStream<Uint8Array> | null {
    if (this.#open >= this.max) return null;
    this.#open++;
    const listener = new Listener(this.#options, terms, {
      gatherMs: () => Math.max(GATHER_MS_MIN, this.#open * GATHER_MS_PER_LISTENER),
      onCut: () => this.#cut.inc(),
      onEnd: () => {
        this.#open--;
        terms.onEnd?.();
      },
    });
    return new ReadableStream({
      pull: async (controller) => {
        const bytes = await listener.next();
        if (bytes !== null) return controller.enqueue(bytes);
        listener.end();
        controller.close();
      },
      cancel: () => listener.end(),
    }, { highWaterMark: 0 });
  }
}

/** What a listener has to do with the others. */
interface Company {
  /** How long events gather before it is given more. */
  readonly gatherMs: () => number;
  /** It was too slow. */
  readonly onCut: () => void;
  /** It listens no more; once. */
  readonly onEnd: () => void;
}

/** One listener. */
class Listener {
  readonly #options: EventStreamsOptions;
  readonly #terms: StreamTerms;
  readonly #company: Company;
  readonly #ending = new AbortController();
  /** The id of the last event that it needn't be given. */
  #seen: number;
  /** Characters of this run up to there. */
  #taken: number;
  #isGreeted = false;
  #isCut = false;
  /** Until then events gather, since it has just been given all there was. */
  #gatherUntilMs = -Infinity;
  /** When something was handed over last. */
  #handedMs: number;
  /** When it was last known to wait for what comes. */
  #readyMs: number;
  /** Since when it is too far behind; `null` = it isn't. */
  #behindMs: number | null = null;

  constructor(options: EventStreamsOptions, terms: StreamTerms, company: Company) {
    this.#options = options;
    this.#terms = terms;
    this.#company = company;
    this.#seen = terms.after;
    this.#taken = options.events.emitted;
    this.#handedMs = this.#readyMs = options.clock.monotonicMs();
    const { signal } = terms;
    signal.addEventListener("abort", this.#onGone);
    if (signal.aborted) this.end();
  }

  /** Ends it; once more is as good as once. */
  end(): void {
    if (this.#ending.signal.aborted) return;
    this.#terms.signal.removeEventListener("abort", this.#onGone);
    this.#ending.abort();
    this.#company.onEnd();
  }

  /** What it is to be sent next; `null` = nothing more. */
  async next(): Promise<Uint8Array | null> {
    const bytes = await this.#next();
    this.#handedMs = this.#readyMs = this.#options.clock.monotonicMs();
    return bytes;
  }

  readonly #onGone = () => this.end();

  async #next(): Promise<Uint8Array | null> {
    const { stopping, clock, events } = this.#options;
    if (!this.#isGreeted) {
      this.#isGreeted = true;
      return GREETING;
    }
    while (!this.#ending.signal.aborted && !this.#isCut) {
      if (this.#isTooSlow()) {
        this.#isCut = true;
        this.#company.onCut();
        return CUT;
      }
      // Of many that come one by one, some go together.
      const earlyMs = this.#gatherUntilMs - clock.monotonicMs();
      if (earlyMs > 0) await this.#wait((signal) => clock.sleep(earlyMs, signal));
      const frames = this.#take();
      if (frames !== null) return frames;
      if (this.#seen < events.last) continue;
      if (stopping.aborted) return null;
      const leftMs = this.#handedMs + KEEPALIVE_MS - clock.monotonicMs();
      if (leftMs <= 0) return KEEPALIVE;
      await this.#wait((signal) => Promise.race([events.next(signal), clock.sleep(leftMs, signal)]));
    }
    return null;
  }

  /** Frames of the next events, `null` where none of them is wanted. */
  #take(): Uint8Array | null {
    const { events, clock } = this.#options;
    const { kinds } = this.#terms;
    const batch = events.since(this.#seen, BATCH_MAX);
    const pieces: Uint8Array[] = [];
    let size = 0;
    let last = batch.last;
    for (const event of batch.events) {
      last = event.id;
      this.#taken = Math.max(this.#taken, event.end);
      if (kinds !== null && !kinds.has(event.event.kind)) continue;
      const frame = frameOf(event);
      pieces.push(frame);
      size += frame.length;
      if (size >= CHUNK_BYTES) break;
    }
    if (batch.lost) pieces.unshift(lostFrame(this.#seen, last));
    this.#seen = last;
    if (pieces.length === 0) return null;
    if (last === events.last) this.#gatherUntilMs = clock.monotonicMs() + this.#company.gatherMs();
    return joined(pieces);
  }

  /** Whether too much has happened for too long that it hasn't taken; what was there before it came doesn't count. */
  #isTooSlow(): boolean {
    const { events, clock } = this.#options;
    if (events.emitted - this.#taken <= BEHIND_MAX) {
      this.#behindMs = null;
      return false;
    }
    this.#behindMs ??= this.#readyMs;
    return clock.monotonicMs() - this.#behindMs > BEHIND_MS;
  }

  /** Waits for something, or until nothing more is to come. */
  async #wait(until: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const waking = new AbortController();
    const wake = () => waking.abort();
    const ends = [this.#ending.signal, this.#options.stopping];
    if (ends.some(({ aborted }) => aborted)) return;
    for (const end of ends) end.addEventListener("abort", wake);
    await until(waking.signal);
    wake();
    for (const end of ends) end.removeEventListener("abort", wake);
    this.#readyMs = this.#options.clock.monotonicMs();
  }
}

/** Encoded once for all listeners. */
const frames = new WeakMap<RecordedEvent, Uint8Array>();

function frameOf(recorded: RecordedEvent): Uint8Array {
  let frame = frames.get(recorded);
  if (frame === undefined) {
    frame = frameText({ id: recorded.id, event: recorded.event.kind, json: recorded.json });
    frames.set(recorded, frame);
  }
  return frame;
}

/** Says that between two events some are missing that aren't kept any more. It has no id: only events have one. */
function lostFrame(after: number, until: number): Uint8Array {
  return frameText({ event: "lost", json: JSON.stringify({ after, until }) });
}

function frameText({ id, event, json }: { id?: number; event: string; json: string }): Uint8Array {
  const head = id === undefined ? "" : `id: ${id}\n`;
  return encoder.encode(`${head}event: ${event}\ndata: ${json}\n\n`);
}

const encoder = new TextEncoder();
/** How long clients wait before they come back, milliseconds. */
const GREETING = encoder.encode("retry: 1000\n\n");
const KEEPALIVE = encoder.encode(": keepalive\n\n");
const CUT = frameText({
  event: "cut",
  json: JSON.stringify({ reason: "This listener didn't keep up; come back with the id of the last event" }),
});

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  if (pieces.length === 1) return pieces[0]!;
  const whole = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
