/**
 * Writes values to a bucket, each with the server's word that it is kept.
 *
 * The library does that by a request of its own kind for each: a timer, a handful of promises and two errors with their stacks,
 * which nobody looks at. Of ten thousand values that is more than all that other nodes say meanwhile. So what the server says
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
  /** By the last part of where the server's word comes in; those that wait for longest come first. */
  readonly #waiting = new Map<string, Waiting>();
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

  put(key: string, value: Uint8Array): Promise<void> {
    return this.#write(key, value);
  }

  delete(key: string): Promise<void> {
    const deleted = headers();
    deleted.set("KV-Operation", "DEL");
    return this.#write(key, NOTHING, { headers: deleted });
  }

  /** Whatever the server hasn't spoken of has failed. */
  [Symbol.dispose](): void {
    this.#ending.abort();
    if (!this.#connection.isClosed()) this.#listening.unsubscribe();
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(new Error("the connection has ended"));
  }

  #write(key: string, value: Uint8Array, options: { readonly headers?: ReturnType<typeof headers> } = {}) {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    if (this.#ending.signal.aborted) return Promise.reject(new Error("the connection has ended"));
    const name = String(++this.#count);
    try {
      this.#connection.publish(this.#subject + key, value, { ...options, reply: this.#inbox + name });
    } catch (error) {
      return Promise.reject(error);
    }
    this.#waiting.set(name, { untilMs: this.#clock.monotonicMs() + this.#terms.timeoutMs, resolve, reject });
    if (!this.#isTiming) void this.#time();
    return promise;
  }

  #hear({ subject, data }: Msg): void {
    const name = subject.slice(this.#inbox.length);
    const waiting = this.#waiting.get(name);
    if (waiting === undefined) return;
    this.#waiting.delete(name);
    const fault = faultOf(data);
    if (fault === null) waiting.resolve();
    else waiting.reject(new Error(fault));
  }

  async #time(): Promise<void> {
    const { signal } = this.#ending;
    this.#isTiming = true;
    while (this.#waiting.size > 0 && !signal.aborted) {
      const [name, { untilMs, reject }] = this.#waiting.entries().next().value!;
      const leftMs = untilMs - this.#clock.monotonicMs();
      if (leftMs > 0) {
        await this.#clock.sleep(leftMs, signal);
        continue;
      }
      this.#waiting.delete(name);
      reject(new Error("timeout"));
    }
    this.#isTiming = false;
  }
}

const NOTHING = new Uint8Array(0);
const UTF8 = new TextDecoder();

/** Why a write isn't kept, as the server says; `null` = it is. */
function faultOf(data: Uint8Array): string | null {
  // Where there is no JetStream nobody answers, which the server says by nothing.
  if (data.length === 0) return "no JetStream";
  try {
    const { error } = JSON.parse(UTF8.decode(data)) as { readonly error?: { readonly description?: string } };
    return error === undefined ? null : error.description ?? "refused";
  } catch {
    return "the server's word can't be read";
  }
}
