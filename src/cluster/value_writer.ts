/**
 * Writes values to a bucket, each with the server's word that it is kept.
 *
 * The library does that by a request of its own kind for each: a timer, a handful of promises and two errors with their stacks,
 * which aren't looked at. Of ten thousand values that is more than all that other nodes say meanwhile. So what the server says
 * comes in at one inbox, and one timer waits for all.
 *
 * @module
 */
import { createInbox, headers, type Msg, type NatsConnection } from "@nats-io/nats-core";
import type { Clock } from "../clock.ts";

/** Where nodes write what others read. */
export interface ValueStore {
  /** Writes a value. @throws {Error} when it isn't kept */
  put(key: string, value: Uint8Array): Promise<unknown>;
  /** Deletes it. @throws {Error} when it stays */
  delete(key: string): Promise<void>;
}

/** What is written with. */
export interface ValueWriterTerms {
  /** Name of the bucket. */
  readonly bucket: string;
  /** JetStream domain; `null` = the server's own. */
  readonly domain: string | null;
  /** Where the server's words come in, as the server's permissions have it. */
  readonly inboxPrefix: string;
  /** How long the server may take, milliseconds. */
  readonly timeoutMs: number;
}

/** A write that the server hasn't spoken of yet. */
interface Waiting {
  readonly name: string;
  readonly untilMs: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Writes over one connection, until it is disposed of. */
export class ValueWriter implements ValueStore, Disposable {
  readonly #connection: NatsConnection;
  readonly #terms: ValueWriterTerms;
  readonly #clock: Clock;
  readonly #ending = new AbortController();
  readonly #inbox: string;
  readonly #subject: string;
  readonly #listening: { unsubscribe(): void };
  /**
   * The last part of where the server's word comes in begins with the place. A map that changes all the time would keep what
   * was in it alive: it is made again and again, and each knows the next.
   */
  readonly #waiting: (Waiting | null)[] = [];
  readonly #free: number[] = [];
  #isTiming = false;
  #count = 0;

  /** Begins to listen. */
  constructor(connection: NatsConnection, terms: ValueWriterTerms, clock: Clock) {
    const { bucket, domain, inboxPrefix } = terms;
    this.#connection = connection;
    this.#terms = terms;
    this.#clock = clock;
    this.#inbox = `${createInbox(inboxPrefix)}.`;
    this.#subject = `${domain === null ? "" : `$JS.${domain}.API.`}$KV.${bucket}.`;
    this.#listening = connection.subscribe(`${this.#inbox}*`, {
      callback: (error, message) => {
        if (error === null) this.#hear(message);
      },
    });
  }

  /** Writes a value. @throws {Error} when it isn't kept, or the server doesn't say in time that it is */
  put(key: string, value: Uint8Array): Promise<void> {
    return this.#write(key, value);
  }

  /** Deletes it. @throws {Error} likewise */
  delete(key: string): Promise<void> {
    const deleted = headers();
    deleted.set("KV-Operation", "DEL");
    return this.#write(key, NOTHING, { headers: deleted });
  }

  /** Whatever the server hasn't spoken of has failed. */
  [Symbol.dispose](): void {
    this.#ending.abort();
    if (!this.#connection.isClosed()) this.#listening.unsubscribe();
    for (const waiting of this.#waiting.splice(0)) waiting?.reject(new Error("the connection has ended"));
  }

  #write(key: string, value: Uint8Array, options: { readonly headers?: ReturnType<typeof headers> } = {}) {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    if (this.#ending.signal.aborted) return Promise.reject(new Error("the connection has ended"));
    const place = this.#free.at(-1) ?? this.#waiting.length;
    const name = `${place}-${++this.#count}`;
    try {
      this.#connection.publish(this.#subject + key, value, { ...options, reply: this.#inbox + name });
    } catch (error) {
      return Promise.reject(error);
    }
    this.#free.pop();
    const untilMs = this.#clock.monotonicMs() + this.#terms.timeoutMs;
    this.#waiting[place] = { name, untilMs, resolve, reject };
    if (!this.#isTiming) void this.#time();
    return promise;
  }

  #hear({ subject, data }: Msg): void {
    const name = subject.slice(this.#inbox.length);
    const place = parseInt(name);
    const waiting = this.#waiting[place];
    // Of another one that had the place before it may come late.
    if (waiting?.name !== name) return;
    this.#release(place);
    const fault = faultOf(data);
    if (fault === null) waiting.resolve();
    else waiting.reject(new Error(fault));
  }

  #release(place: number): void {
    this.#waiting[place] = null;
    this.#free.push(place);
  }

  async #time(): Promise<void> {
    const { signal } = this.#ending;
    this.#isTiming = true;
    for (;;) {
      const nowMs = this.#clock.monotonicMs();
      let nextMs = Infinity;
      for (const [place, waiting] of this.#waiting.entries()) {
        if (waiting === null) continue;
        if (waiting.untilMs > nowMs) nextMs = Math.min(nextMs, waiting.untilMs);
        else {
          this.#release(place);
          waiting.reject(new Error("timeout"));
        }
      }
      if (nextMs === Infinity) break;
      await this.#clock.sleep(nextMs - nowMs, signal);
      if (signal.aborted) break;
    }
    this.#isTiming = false;
  }
}

const NOTHING = new Uint8Array(0);
const UTF8 = new TextDecoder();

/** Why a write isn't kept, as the server says; `null` = it is. */
function faultOf(data: Uint8Array): string | null {
  // Where there is no JetStream no server keeps it, which is said by nothing at all.
  if (data.length === 0) return "no JetStream";
  try {
    const { error } = JSON.parse(UTF8.decode(data)) as { readonly error?: { readonly description?: string } };
    return error === undefined ? null : error.description ?? "refused";
  } catch {
    return "the server's word can't be read";
  }
}
