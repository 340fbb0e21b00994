/**
 * Locks of pools that all nodes of a cluster share: keys `lock.<pool>` of the bucket that the cluster's model is in, where
 * `<pool>` is the pool's name as hexadecimal digits.
 *
 * The server compares the revision of the key and writes, or does nothing, so of two that would take a lock one gets it,
 * whichever nodes they ask. Nodes keep nothing of it: one that starts again, and another one, know what there is. A key stays
 * when its lock is given back, without strings, so that no revision comes twice.
 *
 * @module
 */
import { jetstream, type JetStreamClient, type JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { z } from "zod";
import type { Clock } from "../clock.ts";
import { natsFault } from "../nats/fault.ts";
import { isDeletion, isOvertaken, openConfigBucket } from "./config_bucket.ts";
import { LocksAway, type SharedLocks, type TaggedLock } from "./port.ts";
import { wireNames } from "./wire_format.ts";

/** What they are kept with. */
export interface PoolLocksNeeds {
  /** Id of the cluster. */
  readonly cluster: string;
  /** This node's name. */
  readonly node: string;
  /** How many servers of a cluster of them keep a bucket that is made. */
  readonly replicas: number;
  /** JetStream domain; `null` = the server's own. */
  readonly domain: string | null;
  /** How long a bucket that can't be opened is left alone, milliseconds. */
  readonly lookMs: number;
  /** Measures how long a lock has been there. */
  readonly clock: Pick<Clock, "monotonicMs" | "sleep">;
}

/** How long a request may take, milliseconds: less than whoever asks waits. */
const REQUEST_TIMEOUT_MS = 3_000;
/** Longer than this many times its TTL no lock is refreshed any more. */
const LIVES = 5;
/** Locks of which it is known when they were seen first. */
const SEEN_MAX = 10_000;

const WRITTEN = z.object({
  v: z.literal(1),
  values: z.array(z.string()),
  ttlSeconds: z.number().positive(),
});

/** What a connection is used by. */
interface Place {
  readonly client: JetStreamClient;
  readonly manager: JetStreamManager;
}

/** Locks over one connection after the other. */
export class PoolLocks implements SharedLocks {
  readonly #needs: PoolLocksNeeds;
  /** When a key's last write was seen first, by the monotonic clock. */
  readonly #seen = new Map<string, { readonly write: string; readonly atMs: number }>();
  #place: Place | null = null;
  /** Aborted where a request fails: the bucket may have been deleted, and is made again. */
  #failed = new AbortController();
  #fault = "there is no connection to NATS";

  /** Knows of none until a session begins. */
  constructor(needs: PoolLocksNeeds) {
    this.#needs = needs;
  }

  /** Reads and writes over one connection until the signal is aborted. */
  async session(connection: NatsConnection, signal: AbortSignal): Promise<void> {
    const { domain, replicas, lookMs, clock } = this.#needs;
    while (!signal.aborted) {
      try {
        const bucket = { bucket: bucketOf(this.#needs), domain, replicas };
        await openConfigBucket(connection, bucket, { clock, signal });
        const options = { timeout: REQUEST_TIMEOUT_MS, ...(domain !== null && { domain }) };
        const client = jetstream(connection, options);
        this.#place = { client, manager: await client.jetstreamManager() };
        this.#failed = new AbortController();
        await untilAborted(signal, this.#failed.signal);
      } catch (error) {
        this.#fault = natsFault(error, "NATS");
        await clock.sleep(lookMs, signal);
      } finally {
        this.#place = null;
      }
    }
    this.#fault = "there is no connection to NATS";
  }

  /** A pool's lock. @throws {LocksAway} */
  async read(pool: string): Promise<TaggedLock> {
    const subject = subjectOf(this.#needs, pool);
    const message = await this.#ask(({ manager }) =>
      manager.direct.getMessage(`KV_${bucketOf(this.#needs)}`, { last_by_subj: subject })
    );
    // Of a key that was deleted by hand the mark is still there, and counts as its last write.
    const revision = message?.seq ?? 0;
    const none = { values: [], ttlSeconds: 1, tag: tagOf(revision) };
    if (message === null || isDeletion(message.header)) return none;
    const written = WRITTEN.safeParse(parsed(message.data)).data;
    if (written === undefined || written.values.length === 0) return none;
    const { values, ttlSeconds } = written;
    // No clock of a server's is believed: what is seen for the first time has all of its time before it.
    const ageMs = this.#needs.clock.monotonicMs() -
      this.#seenAt(subject, `${revision} ${message.time.getTime()}`);
    return ageMs >= LIVES * ttlSeconds * 1000 ? none : { values, ttlSeconds, tag: tagOf(revision) };
  }

  /** Replaces a lock if it still has a tag. @throws {LocksAway} */
  async write(pool: string, lock: Omit<TaggedLock, "tag">, tag: string): Promise<string | null> {
    const { domain } = this.#needs;
    const revision = /^\d{1,15}$/.test(tag) ? Number(tag) : -1;
    if (revision < 0) return null;
    const subject = subjectOf(this.#needs, pool);
    const bytes = new TextEncoder().encode(JSON.stringify({ v: 1, ...lock }));
    return await this.#ask(async ({ client }) => {
      try {
        const { seq } = await client.publish(
          domain === null ? subject : `$JS.${domain}.API.${subject}`,
          bytes,
          {
            timeout: REQUEST_TIMEOUT_MS,
            expect: { lastSubjectSequence: revision },
          },
        );
        return tagOf(seq);
      } catch (error) {
        if (isOvertaken(error)) return null;
        throw error;
      }
    });
  }

  #seenAt(subject: string, write: string): number {
    const seen = this.#seen.get(subject);
    if (seen?.write === write) return seen.atMs;
    const atMs = this.#needs.clock.monotonicMs();
    this.#seen.delete(subject);
    if (this.#seen.size >= SEEN_MAX) this.#seen.delete(this.#seen.keys().next().value!);
    this.#seen.set(subject, { write, atMs });
    return atMs;
  }

  async #ask<Answer>(ask: (place: Place) => Promise<Answer>): Promise<Answer> {
    if (this.#place === null) throw new LocksAway(this.#fault);
    try {
      return await ask(this.#place);
    } catch (error) {
      this.#failed.abort();
      throw new LocksAway(natsFault(error, "NATS"), { cause: error });
    }
  }
}

/** Names the bucket, and the subject of a pool's key in it. */
type Named = Pick<PoolLocksNeeds, "cluster" | "node">;

function bucketOf({ cluster, node }: Named): string {
  return wireNames(cluster, node).configBucket;
}

function subjectOf(named: Named, pool: string): string {
  return `$KV.${bucketOf(named)}.lock.${new TextEncoder().encode(pool).toHex()}`;
}

function tagOf(revision: number): string {
  return String(revision);
}

function parsed(value: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(value));
  } catch {
    return null;
  }
}

/** Until one of them is aborted. */
async function untilAborted(...signals: readonly AbortSignal[]): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = () => resolve();
  for (const signal of signals) {
    if (signal.aborted) end();
    else signal.addEventListener("abort", end);
  }
  await promise;
  for (const signal of signals) signal.removeEventListener("abort", end);
}
