/**
 * What the services say and hear over NATS, on whichever connection there is: subscriptions are made again on each, events wait
 * for the next one while there is none, and requests fail.
 *
 * @module
 */
import { createInbox, type Msg, type NatsConnection } from "@nats-io/nats-core";
import { anySignal } from "../any_signal.ts";
import type { Clock, Rng } from "../clock.ts";
import { isFlushed, type LinkTerms, NatsLink } from "../nats/link.ts";
import type { LogFields, Logger } from "../telemetry/log.ts";

/** Bytes of events that wait for a connection; the oldest are given up first, and the periodic check finds what they said. */
const WAITING_SIZE_MAX = 10 * 1024 * 1024;
/** Longest wait at the end until what was said has left, milliseconds. */
const LAST_MS = 2_000;
/** Bytes that one answer of several parts may have. */
const PARTS_SIZE_MAX = 512 * 1024 * 1024;

/** What a broker is made with. */
export interface BrokerNeeds {
  /** How servers are connected to. */
  readonly terms: LinkTerms;
  /** Paces. */
  readonly clock: Clock;
  /** Spreads. */
  readonly rng: Rng;
  /** Hears of connections and refusals. */
  readonly log: Logger;
  /** Told of each event that is given up because too many wait for a connection. */
  readonly onLost?: () => void;
}

/** What was said. */
export interface Message {
  /** What it was said on. */
  readonly subject: string;
  /** What was said. */
  readonly data: Uint8Array;
  /** Where an answer is wanted; absent = nowhere. */
  readonly reply?: string;
  /** Answers; whether an answer is wanted. */
  respond(data: Uint8Array): boolean;
}

/** What is listened to. */
export interface Subscription {
  /** May have wildcards. */
  readonly subject: string;
  /** Of those with the same queue one hears each message; absent = all do. */
  readonly queue?: string;
  /** Must not throw. */
  readonly hear: (message: Message) => void;
}

/** Where the answers of one connection come. */
interface Inbox {
  readonly prefix: string;
  /** Of the next question. */
  next: number;
  /** What hears answers, by subject; told `null` when none will come. */
  readonly hearing: Map<string, (message: Msg | null) => void>;
}

/** A server that is connected to, for ever. */
export class Broker implements AsyncDisposable {
  readonly #needs: BrokerNeeds;
  readonly #subscriptions: readonly Subscription[];
  readonly #onConnect: (connection: NatsConnection, ended: AbortSignal) => void;
  readonly #link: NatsLink;
  #connection: NatsConnection | null = null;
  /** Aborted when that connection has ended. */
  #ended: AbortSignal = AbortSignal.abort();
  #waiting: { readonly subject: string; readonly data: Uint8Array }[] = [];
  #waitingSize = 0;
  #inbox: Inbox = { prefix: "", next: 0, hearing: new Map() };

  /** Begins to connect. @param onConnect called with each connection, when subscriptions are made */
  constructor(
    needs: BrokerNeeds,
    subscriptions: readonly Subscription[],
    onConnect: (connection: NatsConnection, ended: AbortSignal) => void = () => {},
  ) {
    this.#needs = needs;
    this.#subscriptions = subscriptions;
    this.#onConnect = onConnect;
    this.#link = new NatsLink({
      ...needs,
      log: inOwnWords(needs.log),
      session: (connection, ended) => this.#session(connection, ended),
    });
  }

  /** Whether there is a connection. */
  get isConnected(): boolean {
    return this.#connection !== null;
  }

  /** Why there is none; `null` = there is one, or none was tried yet. */
  get fault(): string | null {
    const { fault } = this.#link.status();
    return fault && ownKeys(fault);
  }

  /** Says something, now or with the next connection. */
  publish(subject: string, data: Uint8Array): void {
    if (this.#connection?.isClosed() === false) return this.#connection.publish(subject, data);
    this.#waiting.push({ subject, data });
    this.#waitingSize += data.length + subject.length;
    while (this.#waitingSize > WAITING_SIZE_MAX) {
      const oldest = this.#waiting.shift()!;
      this.#waitingSize -= oldest.data.length + oldest.subject.length;
      this.#needs.onLost?.();
    }
  }

  /** Says something on this connection or not at all. */
  publishNow(subject: string, data: Uint8Array): void {
    if (this.#connection?.isClosed() === false) this.#connection.publish(subject, data);
  }

  /** Bytes of the largest message that the server takes. */
  get payloadMax(): number {
    return this.#connection?.info?.max_payload ?? 1024 * 1024;
  }

  /**
   * Asks, and waits for the whole answer.
   *
   * @param isWhole told each message that comes; whether it was the last one
   * @returns whether the answer came; `false` = not in time, or there is no connection
   */
  async request(
    subject: string,
    data: Uint8Array,
    { timeoutMs, isWhole, signal }: {
      /** Longest wait between two messages. */
      readonly timeoutMs: number;
      readonly isWhole: (data: Uint8Array) => boolean;
      readonly signal: AbortSignal;
    },
  ): Promise<boolean> {
    const connection = this.#connection;
    // A connection that has closed is there until its session has ended.
    if (connection === null || connection.isClosed()) return false;
    const { prefix, hearing } = this.#inbox;
    const done = Promise.withResolvers<boolean>();
    let size = 0;
    let timer = setTimeout(() => done.resolve(false), timeoutMs);
    const reply = `${prefix}.${this.#inbox.next++}`;
    hearing.set(reply, (message) => {
      clearTimeout(timer);
      // Without a responder the server says so (status 503), with no data.
      if (message === null || (message.headers?.code ?? 0) >= 400) return done.resolve(false);
      size += message.data.length;
      if (size > PARTS_SIZE_MAX) return done.resolve(false);
      if (isWhole(message.data)) return done.resolve(true);
      timer = setTimeout(() => done.resolve(false), timeoutMs);
    });
    const end = () => done.resolve(false);
    const ends = [signal, this.#ended];
    for (const each of ends) each.addEventListener("abort", end);
    try {
      if (ends.some(({ aborted }) => aborted)) return false;
      connection.publish(subject, data, { reply });
      return await done.promise;
    } finally {
      hearing.delete(reply);
      for (const each of ends) each.removeEventListener("abort", end);
      clearTimeout(timer);
    }
  }

  /** Closes the connection when what was said has left. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#connection !== null) {
      const end = anySignal([this.#ended, AbortSignal.timeout(LAST_MS)]);
      await isFlushed(this.#connection, end).catch(() => {}); // it ends anyway
    }
    await this.#link[Symbol.asyncDispose]();
  }

  /** One subscription for all answers, rather than one that is made and ended for each question. */
  #listen(connection: NatsConnection): void {
    const prefix = createInbox(this.#needs.terms.inboxPrefix);
    const hearing: Inbox["hearing"] = new Map();
    this.#inbox = { prefix, next: 0, hearing };
    connection.subscribe(`${prefix}.*`, {
      callback: (error, message) => {
        if (error === null) return hearing.get(message.subject)?.(message);
        this.#needs.log.error("NATS refuses", { subject: `${prefix}.*`, error });
        for (const hear of [...hearing.values()]) hear(null);
      },
    });
  }

  async #session(connection: NatsConnection, ended: AbortSignal): Promise<void> {
    for (const { subject, queue, hear } of this.#subscriptions) {
      connection.subscribe(subject, {
        ...(queue !== undefined && { queue }),
        callback: (error, message) => {
          if (error === null) hear(message);
          else this.#needs.log.error("NATS refuses", { subject, error });
        },
      });
    }
    this.#listen(connection);
    // What was said while there was no server, in its order, before anything else.
    if (!await isFlushed(connection, ended)) return;
    this.#connection = connection;
    this.#ended = ended;
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingSize = 0;
    for (const { subject, data } of waiting) connection.publish(subject, data);
    try {
      this.#onConnect(connection, ended);
      this.#tellRefusals(connection).catch(() => {}); // it ends with the connection
      await new Promise<void>((resolve) => {
        if (ended.aborted) return resolve();
        ended.addEventListener("abort", () => resolve(), { once: true });
      });
    } finally {
      this.#connection = null;
    }
  }

  async #tellRefusals(connection: NatsConnection): Promise<void> {
    const told = new Set<string>();
    for await (const status of connection.status()) {
      if (status.type !== "error" || told.has(status.error.message)) continue;
      if (told.size < TOLD_MAX) told.add(status.error.message);
      this.#needs.log.error("NATS refuses", { error: status.error });
    }
  }
}

/** More refusals than there are subjects. */
const TOLD_MAX = 64;

/** What the link says of connections, with the keys that are set here. */
function inOwnWords(log: Logger): Logger {
  const own = (fields: LogFields | undefined): LogFields | undefined =>
    typeof fields?.["reason"] === "string" ? { ...fields, reason: ownKeys(fields["reason"]) } : fields;
  return {
    debug: (message, fields) => log.debug(message, own(fields)),
    info: (message, fields) => log.info(message, own(fields)),
    warn: (message, fields) => log.warn(message, own(fields)),
    error: (message, fields) => log.error(message, own(fields)),
    with: (fields) => inOwnWords(log.with(fields)),
  };
}

/** Faults of NATS name the keys of a node. */
function ownKeys(fault: string): string {
  return fault.replaceAll("state.nats.auth", "distribute.messageBroker.username and .password")
    .replaceAll("state.nats.", "distribute.messageBroker.");
}
