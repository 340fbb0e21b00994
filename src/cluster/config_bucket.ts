/**
 * The bucket `gslb_<cluster>_config` of JetStream's key-value store: where a cluster's model is kept for nodes that come later.
 *
 * Values are written as messages of the bucket's stream, since the library's key-value client can't give them headers; other
 * clients see them as the keys that they are.
 *
 * @module
 */
import {
  jetstream,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  type StoredMsg,
} from "@nats-io/jetstream";
import { jserrors } from "@nats-io/jetstream/internal";
import { Kvm } from "@nats-io/kv";
import { headers as messageHeaders, type NatsConnection } from "@nats-io/nats-core";
import type { Clock } from "../clock.ts";
import { askedAgain } from "../nats/asked_again.ts";

/** How long a request to JetStream may take, milliseconds: with three replicas on other continents a value takes a second. */
export const REQUEST_TIMEOUT_MS = 10_000;

/** Names of values' metadata, and what they say. */
export type Headers = Readonly<Record<string, string>>;

/** A value of the bucket. */
export interface BucketEntry {
  /** What was written. */
  readonly value: Uint8Array;
  /** What was written beside it. */
  readonly headers: Headers;
  /** Of the server, which begins again when its store was lost. */
  readonly revision: number;
  /** When it was written, by the server's clock, Unix milliseconds. */
  readonly atMs: number;
}

/** A bucket that is open. */
export interface ConfigBucket {
  /** Bytes of the largest value. */
  readonly valueSizeMax: number;
  /** Writes a value; gives its revision. */
  put(key: string, value: Uint8Array, headers?: Headers): Promise<number>;
  /** Writes a value unless the key has another one than was seen (`null` = none) by now; gives its revision, `null` = it didn't. */
  putOver(key: string, value: Uint8Array, seen: Pick<BucketEntry, "revision"> | null): Promise<number | null>;
  /** The value of a key; `null` = it has none. */
  get(key: string): Promise<BucketEntry | null>;
  /** Differs after each write, and when the bucket was made again. */
  edition(): Promise<string>;
  /** The keys that a pattern of NATS names (`*`, `>`), without those that were deleted. */
  keys(pattern: string): Promise<readonly string[]>;
  /** Removes all that a pattern names, of which nothing stays. */
  remove(pattern: string): Promise<void>;
}

/** Which one. */
export interface ConfigBucketTerms {
  /** Its name. */
  readonly bucket: string;
  /** JetStream domain; `null` = the server's own. */
  readonly domain: string | null;
  /** Servers that keep a copy of what is made; 1 when left out. */
  readonly replicas?: number;
}

/** What asks again while servers elect a leader. */
export interface ConfigBucketNeeds {
  /** Paces it. */
  readonly clock: Pick<Clock, "sleep">;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** JetStream's code for a publication that expected another last sequence. */
const WRONG_LAST = 10_071;

/** Headers and framing of a message besides its value, bytes. */
const FRAME_SIZE = 4 * 1024;

/** Opens the bucket over a connection, and makes it when it is missing; what only reads is asked again while no answer comes. */
export async function openConfigBucket(
  connection: NatsConnection,
  { bucket, domain, replicas = 1 }: ConfigBucketTerms,
  needs: ConfigBucketNeeds,
): Promise<ConfigBucket> {
  // Whether there is JetStream is seen by what is asked first.
  const options = { timeout: REQUEST_TIMEOUT_MS, checkAPI: false, ...(domain !== null && { domain }) };
  const client = jetstream(connection, options);
  const manager = await client.jetstreamManager();
  // One that is there stays as it is: its replicas may have been chosen by hand, and this user may not make any.
  if (!await askedAgain(() => isThere(manager, `KV_${bucket}`), needs)) {
    await new Kvm(client).create(bucket, {
      ...{ history: 1, replicas, description: "Pleiades: the cluster's model" },
    });
  }
  return new NatsBucket({
    client,
    manager,
    needs,
    bucket,
    putPrefix: domain === null ? "" : `$JS.${domain}.API.`,
    valueSizeMax: (connection.info?.max_payload ?? 1 << 20) - FRAME_SIZE,
  });
}

class NatsBucket implements ConfigBucket {
  readonly valueSizeMax: number;
  readonly #client: JetStreamClient;
  readonly #manager: JetStreamManager;
  readonly #needs: ConfigBucketNeeds;
  readonly #stream: string;
  readonly #root: string;
  readonly #putPrefix: string;

  constructor({ client, manager, needs, bucket, putPrefix, valueSizeMax }: {
    readonly client: JetStreamClient;
    readonly manager: JetStreamManager;
    readonly needs: ConfigBucketNeeds;
    readonly bucket: string;
    readonly putPrefix: string;
    readonly valueSizeMax: number;
  }) {
    this.valueSizeMax = valueSizeMax;
    this.#client = client;
    this.#manager = manager;
    this.#needs = needs;
    this.#stream = `KV_${bucket}`;
    this.#root = `$KV.${bucket}.`;
    this.#putPrefix = putPrefix;
  }

  async put(key: string, value: Uint8Array, headers: Headers = {}): Promise<number> {
    const { seq } = await this.#client.publish(`${this.#putPrefix}${this.#root}${key}`, value, {
      timeout: REQUEST_TIMEOUT_MS,
      headers: headersOf(headers),
    });
    return seq;
  }

  async putOver(
    key: string,
    value: Uint8Array,
    seen: Pick<BucketEntry, "revision"> | null,
  ): Promise<number | null> {
    let revision = seen?.revision ?? 0;
    if (seen === null) {
      // Of a key that was deleted by hand the mark is still there, and counts as its last write.
      const last = await this.#lastOf(key);
      if (last !== null && !isDeletion(last.header)) return null;
      revision = last?.seq ?? 0;
    }
    try {
      const { seq } = await this.#client.publish(`${this.#putPrefix}${this.#root}${key}`, value, {
        timeout: REQUEST_TIMEOUT_MS,
        expect: { lastSubjectSequence: revision },
      });
      return seq;
    } catch (error) {
      if (isOvertaken(error)) return null;
      throw error;
    }
  }

  async get(key: string): Promise<BucketEntry | null> {
    const message = await this.#lastOf(key);
    if (message === null || isDeletion(message.header)) return null;
    return {
      value: message.data,
      headers: Object.fromEntries(message.header.keys().map((name) => [name, message.header.get(name)])),
      revision: message.seq,
      atMs: message.time.getTime(),
    };
  }

  async edition(): Promise<string> {
    const { created, state } = await this.#asked(() => this.#manager.streams.info(this.#stream));
    return `${created} ${state.last_seq} ${state.messages}`;
  }

  async keys(pattern: string): Promise<readonly string[]> {
    const { state } = await this.#asked(() =>
      this.#manager.streams.info(this.#stream, { subjects_filter: `${this.#root}${pattern}` })
    );
    return Object.keys(state.subjects ?? {}).map((subject) => subject.slice(this.#root.length));
  }

  async remove(pattern: string): Promise<void> {
    await this.#manager.streams.purge(this.#stream, { filter: `${this.#root}${pattern}` });
  }

  #lastOf(key: string): Promise<StoredMsg | null> {
    const subject = `${this.#root}${key}`;
    return this.#asked(() => this.#manager.direct.getMessage(this.#stream, { last_by_subj: subject }));
  }

  #asked<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
    return askedAgain(ask, this.#needs);
  }
}

/** Whether there is a stream of this name. @throws the server's refusal to say so */
export async function isThere(manager: JetStreamManager, stream: string): Promise<boolean> {
  try {
    await manager.streams.info(stream);
    return true;
  } catch (error) {
    if (error instanceof jserrors.StreamNotFoundError) return false;
    throw error;
  }
}

/** Whether JetStream refused a write since the key was written after it was read. */
export function isOvertaken(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === WRONG_LAST;
}

/** Of a message. */
export function headersOf(headers: Headers): ReturnType<typeof messageHeaders> {
  const made = messageHeaders();
  for (const [name, value] of Object.entries(headers)) made.set(name, value);
  return made;
}

/** Whether a message of a bucket's stream says that the key is gone. */
export function isDeletion(headers: { has(name: string): boolean } | undefined): boolean {
  return headers !== undefined && (headers.has("KV-Operation") || headers.has("Nats-Marker-Reason"));
}
