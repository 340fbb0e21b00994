/**
 * Which of several checkers checks: the one that holds a key in a bucket of JetStream, which the server lets go when it isn't
 * written again in time.
 *
 * The holder goes by its own monotonic clock: when it was stopped for a while it knows that its time has passed before it says
 * anything. What was on its way then is told by the epoch, which each holder has higher than the one before: the time
 * at which it began, or one more than the epoch that it found, or that a secondary has told it of.
 *
 * @module
 */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { JetStreamApiError, jserrors } from "@nats-io/jetstream/internal";
import { type KV, Kvm } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/nats-core";
import { z } from "zod";
import { anySignal } from "../any_signal.ts";
import type { Clock } from "../clock.ts";
import type { Logger } from "../telemetry/log.ts";

/** The bucket, and its only key. */
const BUCKET = "pleiades_distribute";
const KEY = "checker";
/** How long a request to JetStream may take, milliseconds. */
const REQUEST_TIMEOUT_MS = 3_000;
/** How long a key lives that isn't written again, milliseconds, unless it is said otherwise. */
const LEASE_MS = 15_000;
/** Of that time, how often it is written, and looked at by those that don't hold it: two writes may be lost. */
const RENEW_SHARE = 1 / 4;
/** How far ahead an epoch may be that is outdone, milliseconds: what is said without bounds would use up all numbers. */
const AHEAD_MAX_MS = 366 * 86_400_000;

const VALUE = z.object({ id: z.string(), epoch: z.int().min(0) });

/** What a lease is made with. */
export interface LeaseNeeds {
  /** Drawn at each start of the process. */
  readonly id: string;
  /** Whether it is to be had; else this checker is taken for the only one. */
  readonly isWanted: boolean;
  /** Paces, and says when the time has passed. */
  readonly clock: Clock;
  /** Hears who checks. */
  readonly log: Logger;
  /** Told when this checker begins to check. */
  readonly onLead: () => void;
  /** How long a key lives that isn't written again, milliseconds; the first one to make the bucket settles it. */
  readonly leaseMs?: number;
}

/** Who checks. */
export class Lease {
  readonly #needs: LeaseNeeds;
  #held: { readonly epoch: number | null; readonly untilMs: number } | null = null;
  readonly #leaseMs: number;
  #seen = 0;
  /** Ends the wait until the key is written again. */
  #hurry = new AbortController();
  #letGo: (() => Promise<void>) | null = null;

  /** Not held. */
  constructor(needs: LeaseNeeds) {
    this.#needs = needs;
    this.#leaseMs = needs.leaseMs ?? LEASE_MS;
  }

  /** Whether this checker checks now, and under which epoch; `null` there = it is taken for the only one. */
  get held(): { readonly epoch: number | null } | null {
    if (this.#held === null || this.#needs.clock.monotonicMs() >= this.#held.untilMs) return null;
    return this.#held;
  }

  /**
   * A secondary has obeyed one of that epoch: if it is higher than ours, ours becomes higher still, as soon as the key is
   * written that we hold. Clocks differ, and go back.
   *
   * @param epoch `null` = it doesn't say
   */
  outdo(epoch: number | null): void {
    if (epoch === null || epoch <= this.#seen) return;
    if (epoch > this.#needs.clock.unixMs() + AHEAD_MAX_MS) return;
    this.#seen = epoch;
    if ((this.held?.epoch ?? Infinity) < epoch) this.#hurry.abort();
  }

  /** Lets it go, so that another one need not wait until its time has passed. */
  async release(): Promise<void> {
    const { held } = this;
    this.#held = null;
    if (held !== null) await this.#letGo?.().catch(() => {}); // its time passes
  }

  /** Takes it, and keeps it, as long as the connection lasts. */
  async keep(connection: NatsConnection, ended: AbortSignal): Promise<void> {
    const { clock, log, isWanted } = this.#needs;
    if (!isWanted) return this.#leadAlone();
    let told = "";
    while (!ended.aborted) {
      const fromMs = clock.monotonicMs();
      try {
        const options = { timeout: REQUEST_TIMEOUT_MS };
        // Before it is used: a server without JetStream says so at once.
        await jetstreamManager(connection, options);
        const bucket = await new Kvm(jetstream(connection, options)).create(BUCKET, {
          ...{ history: 1, ttl: this.#leaseMs, description: "Pleiades: which health checker checks" },
        });
        await this.#hold(bucket, fromMs, ended);
        told = "";
      } catch (error) {
        if (ended.aborted) return;
        if (error instanceof jserrors.JetStreamNotEnabled) return this.#leadAlone();
        const message = String(error);
        if (message !== told) log.warn("Cannot settle which checker checks", { error });
        told = message;
      }
      await clock.sleep(this.#leaseMs * RENEW_SHARE, ended);
    }
  }

  /** Writes the key until that fails. */
  async #hold(bucket: KV, fromMs: number, ended: AbortSignal): Promise<void> {
    const { id, clock, log, onLead } = this.#needs;
    const held = await this.#take(bucket);
    if (held === null) {
      // Another one holds it, though our time hasn't passed: what the server stored was lost.
      this.#held = null;
      return;
    }
    let { revision, epoch } = held;
    this.#letGo = () => bucket.delete(KEY, { previousSeq: revision });
    const wasHeld = this.#held?.epoch === epoch;
    this.#held = { epoch, untilMs: fromMs + this.#leaseMs };
    if (!wasHeld) {
      log.info("This checker checks", { epoch });
      onLead();
    }
    while (!ended.aborted) {
      this.#hurry = new AbortController();
      if (this.#seen <= epoch) {
        await clock.sleep(this.#leaseMs * RENEW_SHARE, anySignal([ended, this.#hurry.signal]));
      }
      if (ended.aborted) return;
      const beganMs = clock.monotonicMs();
      const before = epoch;
      if (this.#seen > epoch) epoch = this.#seen + 1;
      try {
        revision = await bucket.update(KEY, JSON.stringify({ id, epoch }), revision);
      } catch (error) {
        this.#held = null;
        log.warn("This checker checks no more", { error });
        return;
      }
      this.#held = { epoch, untilMs: beganMs + this.#leaseMs };
      if (epoch === before) continue;
      log.info("This checker checks", { epoch });
      onLead();
    }
  }

  /** `null` = another one holds it. */
  async #take(bucket: KV): Promise<{ readonly epoch: number; readonly revision: number } | null> {
    const { id, clock } = this.#needs;
    const entry = await bucket.get(KEY);
    if (entry !== null && entry.operation === "PUT") {
      const found = VALUE.safeParse(parsed(entry.string()));
      if (found.success) this.#seen = Math.max(this.#seen, found.data.epoch);
      const isOurs = found.success && found.data.id === id;
      if (!isOurs) return null;
      const revision = await bucket.update(KEY, entry.string(), entry.revision);
      return { epoch: found.data.epoch, revision };
    }
    const epoch = Math.max(clock.unixMs(), this.#seen + 1);
    try {
      return { epoch, revision: await bucket.create(KEY, JSON.stringify({ id, epoch })) };
    } catch (error) {
      // Another one was faster (wrong last sequence).
      if (error instanceof JetStreamApiError) return null;
      throw error;
    }
  }

  #leadAlone(): void {
    const { log, onLead } = this.#needs;
    const isNew = this.#held === null;
    this.#held = { epoch: null, untilMs: Infinity };
    if (!isNew) return;
    log.warn(
      "There is no JetStream by which checkers settle which of them checks: this must be the only one",
    );
    onLead();
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
