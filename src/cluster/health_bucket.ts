/**
 * The bucket in which every node keeps what its probes found, so that a node that comes later need not wait for news: it is
 * watched, and the watch is held against the bucket again and again.
 *
 * A watch isn't to be trusted: when a server has lost its store, and the bucket was made again, it delivers nothing and says
 * nothing (seen with nats-server 2.15). So every five seconds the stream is asked when it was made and what its last sequence
 * is. Another making, or a sequence that the watch doesn't reach until the next look without coming any further, ends the watch,
 * and another begins. One that comes further is only behind: to begin again would put it back, and with it, since all is
 * written again then, every other node.
 *
 * @module
 */
import {
  DeliverPolicy,
  jetstream,
  type JetStreamClient,
  jetstreamManager,
  type StreamInfo,
} from "@nats-io/jetstream";
import { type KV, Kvm } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/nats-core";
import { anySignal } from "../any_signal.ts";
import type { Clock } from "../clock.ts";
import { type ValueStore, ValueWriter } from "./value_writer.ts";
import { VALUE_SIZE_MAX } from "./wire_format.ts";

/** How long a request to JetStream may take, milliseconds; a bucket of ten thousand keys answers in a few. */
const REQUEST_TIMEOUT_MS = 3_000;

/** Wait after the first failure; it doubles, up to half of the time between looks. */
const RETRY_FIRST_MS = 100;

/** The buckets of a session. */
export interface Buckets {
  /** What each node's probes found. */
  readonly health: ValueStore;
  /** The nodes. */
  readonly membership: ValueStore;
}

/** What buckets are opened with. */
export interface BucketTerms {
  /** The name of one. */
  readonly healthBucket: string;
  /** The name of the other. */
  readonly membershipBucket: string;
  /** Where answers to this node's requests come in. */
  readonly inboxPrefix: string;
  /** JetStream domain; `null` = the server's own. */
  readonly domain: string | null;
  /** Servers that keep a copy of buckets that are made. */
  readonly replicas: number;
  /** How long a value is kept that isn't written again, milliseconds. */
  readonly healthAgeMs: number;
  /** The same of a node. */
  readonly membershipAgeMs: number;
  /** How often the watch is held against the bucket. */
  readonly lookMs: number;
}

/** What a watch tells. */
export interface WatchListener {
  /** A value came, of the snapshot or after it; the same may come again. */
  readonly entry: (key: string, data: Uint8Array) => void;
  /** All that there was when the watch began has come. */
  readonly caughtUp: () => void;
  /** Buckets are open and another watch begins: whatever is to be found in them must be written. */
  readonly opened: (buckets: Buckets) => void;
  /** Buckets can't be used, until they are opened again. */
  readonly failed: (error: unknown) => void;
  /** What isn't as it should be of a bucket, though it is used. */
  readonly remark: (text: string) => void;
}

/** Watches the bucket of one connection until `signal` is aborted; whatever fails is tried again. */
export async function watchBuckets(
  connection: NatsConnection,
  { terms, clock, listener, signal, isOverflowed }: {
    readonly terms: BucketTerms;
    readonly clock: Clock;
    readonly listener: WatchListener;
    readonly signal: AbortSignal;
    /** Whether values were dropped since it was asked last, so that the watch must begin again. */
    readonly isOverflowed: () => boolean;
  },
): Promise<void> {
  const { domain, inboxPrefix } = terms;
  // For as long as the connection lasts: what is under way is kept, whether or not a watch ends meanwhile.
  using writer = new ValueWriter(
    connection,
    { bucket: terms.healthBucket, domain, inboxPrefix, timeoutMs: REQUEST_TIMEOUT_MS },
    clock,
  );
  for (let failures = 0; !signal.aborted;) {
    const ended = new AbortController();
    const end = anySignal([signal, ended.signal]);
    try {
      // Whether there is JetStream is seen by what is asked first.
      const options = () => ({
        ...{ timeout: REQUEST_TIMEOUT_MS, checkAPI: false },
        ...(terms.domain !== null && { domain: terms.domain }),
      });
      const manager = await jetstreamManager(connection, options());
      const client = jetstream(connection, options());
      const membership = await openBuckets(new Kvm(client), terms);
      const info = (bucket: string) => manager.streams.info(`KV_${bucket}`);
      const [first, other] = await Promise.all([info(terms.healthBucket), info(terms.membershipBucket)]);
      const remarks = [
        shapeFault(first, { ageMs: terms.healthAgeMs, replicas: terms.replicas }),
        shapeFault(other, { ageMs: null, replicas: terms.replicas }),
      ];
      for (const remark of remarks) if (remark !== null) listener.remark(remark);
      const watch = await watchBucket(client, first, listener);
      if (first.state.messages === 0) listener.caughtUp();
      try {
        listener.opened({ health: writer, membership });
        failures = 0;
        while (!end.aborted) {
          await clock.sleep(terms.lookMs, end);
          if (end.aborted) break;
          await info(terms.membershipBucket);
          if (await watch.isDead(() => info(terms.healthBucket)) || isOverflowed()) break;
        }
      } finally {
        await watch[Symbol.asyncDispose]();
      }
    } catch (error) {
      if (signal.aborted) return;
      listener.failed(error);
      await clock.sleep(Math.min(RETRY_FIRST_MS * 2 ** failures++, terms.lookMs / 2), signal);
    } finally {
      ended.abort();
    }
  }
}

/** Makes the buckets where there are none; gives that of the nodes. */
async function openBuckets(kvm: Kvm, terms: BucketTerms): Promise<KV> {
  const { healthBucket, membershipBucket, healthAgeMs, membershipAgeMs, replicas } = terms;
  const open = async (name: string, ttl: number, description: string) => {
    const options = { history: 1, ttl, replicas, maxValueSize: VALUE_SIZE_MAX, description };
    try {
      return await kvm.create(name, options);
    } catch (error) {
      // Another node has made it in the meantime, with an age of its own.
      if (!/already in use/.test(String(error))) throw error;
      return await kvm.create(name, options);
    }
  };
  const [, membership] = await Promise.all([
    open(healthBucket, healthAgeMs, "Pleiades: what each node's probes found"),
    open(membershipBucket, membershipAgeMs, "Pleiades: the nodes"),
  ]);
  return membership;
}

/** What of a bucket makes it unfit or wasteful, with the fix; `null` = nothing. */
function shapeFault(
  { config }: StreamInfo,
  { ageMs, replicas }: { readonly ageMs: number | null; readonly replicas: number },
): string | null {
  const bucket = config.name.replace(/^KV_/, "");
  const hint = `(nats kv del ${bucket}, and nodes make it again)`;
  if (config.max_msgs_per_subject !== 1) {
    return `the bucket ${bucket} keeps a history of ${config.max_msgs_per_subject}, and 1 is enough ${hint}`;
  }
  if (config.max_msg_size !== -1 && config.max_msg_size < VALUE_SIZE_MAX) {
    return `the bucket ${bucket} takes values of ${config.max_msg_size} bytes, and they may have ${VALUE_SIZE_MAX} ${hint}`;
  }
  if (config.num_replicas < replicas) {
    return `the bucket ${bucket} has ${config.num_replicas} of ${replicas} replicas (nats stream edit ${config.name} ` +
      `--replicas ${replicas})`;
  }
  const livesMs = config.max_age / 1e6;
  if (ageMs !== null && livesMs !== 0 && livesMs < ageMs) {
    return `the bucket ${bucket} forgets after ${livesMs / 1000} s, and ${ageMs / 1000} s are needed ${hint}`;
  }
  return null;
}

/** A value that was delivered to a watch. */
export interface Delivered {
  /** Without the bucket's prefix. */
  readonly key: string;
  /** Empty = the key was deleted. */
  readonly value: Uint8Array;
  /** Its sequence in the stream. */
  readonly revision: number;
  /** How many wait behind it. */
  readonly pending: number;
}

/** What delivers to a watch, until it is stopped or ends by itself. */
export interface Delivery {
  /** Ends it. */
  readonly stop: () => void;
  /** Resolves when it has ended, by whatever. */
  readonly closed: () => Promise<unknown>;
}

/**
 * Begins to watch a bucket. The library's own watch keeps each value in a queue and an entry, of which a node that learns what others
 * find at ten thousand addresses each would make a hundred thousand.
 *
 * @param first of the bucket, before the watch begins
 */
export async function watchBucket(
  client: JetStreamClient,
  first: StreamInfo,
  listener: Pick<WatchListener, "entry" | "caughtUp">,
): Promise<Watch> {
  const prefix = first.config.name.replace(/^KV_/, "$KV.") + ".";
  const consumer = await client.consumers.getPushConsumer(first.config.name, {
    deliver_policy: DeliverPolicy.LastPerSubject,
    filter_subjects: `${prefix}>`,
  });
  const watch = new Watch(first, (await consumer.info(true)).num_pending, listener);
  watch.follow(
    await consumer.consume({
      callback: ({ subject, data, headers, info: { streamSequence: revision, pending } }) => {
        // Most values have no headers; that a key was deleted, or is too old, is said in them.
        const isGone = headers !== undefined && GONE.some((name) => headers.has(name));
        const value = isGone ? NOTHING : data;
        watch.take({ key: subject.slice(prefix.length), value, revision, pending });
      },
    }),
  );
  return watch;
}

const NOTHING = new Uint8Array(0);
/** Headers of what says that there is no value any more. */
const GONE = ["KV-Operation", "Nats-Marker-Reason"];

/** A watch, and how far it has come. */
export class Watch implements AsyncDisposable {
  readonly #first: StreamInfo;
  readonly #listener: Pick<WatchListener, "entry" | "caughtUp">;
  /** Values that there were when it began and that haven't come yet. */
  #kept: number;
  #delivery: Delivery | null = null;
  #reached = 0;
  #isCaughtUp = false;
  /** At the look before: what it should have come to. */
  #expected = 0;
  /** At the look before: how far it had come. */
  #before = 0;
  #isOver = false;

  /** Of which nothing has come. @param first of the bucket, before it began @param kept values that there were then */
  constructor(first: StreamInfo, kept: number, listener: Pick<WatchListener, "entry" | "caughtUp">) {
    this.#first = first;
    this.#kept = kept;
    this.#listener = listener;
  }

  /** Ends with what delivers to it. */
  follow(delivery: Delivery): void {
    this.#delivery = delivery;
    const over = () => void (this.#isOver = true);
    delivery.closed().then(over, over);
  }

  /** Whether it delivers no more, by what the server says of the bucket. */
  async isDead(ask: () => Promise<StreamInfo>): Promise<boolean> {
    // What comes behind the server's answer may be taken before it.
    const reached = this.#reached;
    const { created, state } = await ask();
    if (this.#isOver || created !== this.#first.created) return true;
    const [wasExpected, isStill] = [this.#expected, this.#reached === this.#before];
    this.#expected = state.last_seq;
    this.#before = this.#reached;
    // Of an empty bucket nothing comes; of what has gone from the end of another, the sequence is known from the start.
    if (state.messages === 0) return state.last_seq < reached;
    return (isStill && this.#reached < wasExpected) || state.last_seq < reached;
  }

  /** Tells of what came. */
  take({ key, value, revision, pending }: Delivered): void {
    if (this.#isOver) return;
    this.#reached = Math.max(this.#reached, revision);
    this.#kept--;
    this.#listener.entry(key, value);
    // While others write, more waits each time than when it began, and it is never nothing.
    if (this.#isCaughtUp || (pending !== 0 && this.#kept > 0)) return;
    this.#isCaughtUp = true;
    this.#reached = Math.max(this.#reached, this.#first.state.last_seq);
    this.#listener.caughtUp();
  }

  /** Tells no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    this.#delivery?.stop();
    // Why it ended doesn't matter any more.
    await this.#delivery?.closed().catch(() => {});
  }
}
