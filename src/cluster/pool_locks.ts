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
import { jetstream, JetStreamApiError, type JetStreamClient } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { z } from "zod";
import type { Clock } from "../clock.ts";
import { natsFault } from "../nats/fault.ts";
import { type ConfigBucket, openConfigBucket } from "./config_bucket.ts";
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
/** JetStream's code for a publication that expected another last sequence. */
const WRONG_LAST = 10_071;
/** Locks of which it is known when they were seen first. */
const SEEN_MAX = 10_000;

const WRITTEN = z.object({
  v: z.literal(1),
  values: z.array(z.string()),
  ttlSeconds: z.number().positive(),
});

/** Locks over one connection after the other. */
export class PoolLocks implements SharedLocks {
  readonly #needs: PoolLocksNeeds;
  /** When a revision of a key was seen first, by the monotonic clock. */
  readonly #seen = new Map<string, { readonly revision: number; readonly atMs: number }>();
  #place: { readonly bucket: ConfigBucket; readonly client: JetStreamClient } | null = null;
  #fault = "there is no connection to NATS";

  /** Knows of none until a session begins. */
  constructor(needs: PoolLocksNeeds) {
    this.#needs = needs;
  }

  /** Reads and writes over one connection until the signal is aborted. */
  async session(connection: NatsConnection, signal: AbortSignal): Promise<void> {
    const { cluster, node, domain, replicas, lookMs, clock } = this.#needs;
    while (!signal.aborted) {
      try {
        const bucket = await openConfigBucket(connection, {
          bucket: wireNames(cluster, node).configBucket,
          ...{ domain, replicas },
        });
        const client = jetstream(connection, {
          timeout: REQUEST_TIMEOUT_MS,
          ...(domain !== null && { domain }),
        });
        this.#place = { bucket, client };
        await untilAborted(signal);
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
    const key = keyOf(pool);
    const entry = await this.#ask(({ bucket }) => bucket.get(key));
    const revision = entry?.revision ?? 0;
    const none = { values: [], ttlSeconds: 1, tag: tagOf(revision) };
    const written = WRITTEN.safeParse(entry && parsed(entry.value)).data;
    if (written === undefined || written.values.length === 0) return none;
    const { values, ttlSeconds } = written;
    // No clock of a server's is believed: what is seen for the first time has all of its time before it.
    const ageMs = this.#needs.clock.monotonicMs() - this.#seenAt(key, revision);
    return ageMs >= LIVES * ttlSeconds * 1000 ? none : { values, ttlSeconds, tag: tagOf(revision) };
  }

  /** Replaces a lock if it still has a tag. @throws {LocksAway} */
  async write(pool: string, lock: Omit<TaggedLock, "tag">, tag: string): Promise<string | null> {
    const { cluster, node, domain } = this.#needs;
    const revision = /^\d{1,15}$/.test(tag) ? Number(tag) : -1;
    if (revision < 0) return null;
    const subject = `$KV.${wireNames(cluster, node).configBucket}.${keyOf(pool)}`;
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
        if (error instanceof JetStreamApiError && error.code === WRONG_LAST) return null;
        throw error;
      }
    });
  }

  #seenAt(key: string, revision: number): number {
    const seen = this.#seen.get(key);
    if (seen?.revision === revision) return seen.atMs;
    const atMs = this.#needs.clock.monotonicMs();
    this.#seen.delete(key);
    if (this.#seen.size >= SEEN_MAX) this.#seen.delete(this.#seen.keys().next().value!);
    this.#seen.set(key, { revision, atMs });
    return atMs;
  }

  async #ask<Answer>(
    ask: (place: { readonly bucket: ConfigBucket; readonly client: JetStreamClient }) => Promise<Answer>,
  ): Promise<Answer> {
    if (this.#place === null) throw new LocksAway(this.#fault);
    try {
      return await ask(this.#place);
    } catch (error) {
      throw new LocksAway(natsFault(error, "NATS"), { cause: error });
    }
  }
}

function keyOf(pool: string): string {
  return `lock.${new TextEncoder().encode(pool).toHex()}`;
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

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
