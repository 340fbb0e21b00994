/**
 * Which of several checkers checks: the one that holds a key in a bucket of JetStream, which the server lets go when it isn't
 * written again in time.
 *
 * The holder goes by its own monotonic clock: when it was stopped for a while it knows that its time has passed before it says
 * anything. What was on its way then is told by the epoch, which each holder has higher than the one before: the time
 * at which it began, or one more than the epoch that it found.
 *
 * @module
 */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { JetStreamApiError, jserrors } from "@nats-io/jetstream/internal";
import { type KV, Kvm } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/nats-core";
import { z } from "zod";
import type { Clock } from "../clock.ts";
import type { Logger } from "../telemetry/log.ts";

/** The bucket, and its only key. */
const BUCKET = "pleiades_distribute";
const KEY = "checker";
/** How long a request to JetStream may take, milliseconds. */
const REQUEST_TIMEOUT_MS = 3_000;
/** How long a key lives that isn't written again, milliseconds. */
const LEASE_MS = 15_000;
/** How often it is written: two may be lost. */
const RENEW_MS = LEASE_MS / 4;

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
}

/** Who checks. */
export class Lease {
  readonly #needs: LeaseNeeds;
  #held: { readonly epoch: number | null; readonly untilMs: number } | null = null;
  #seen = 0;
  #letGo: (() => Promise<void>) | null = null;

  /** Not held. */
  constructor(needs: LeaseNeeds) {
    this.#needs = needs;
  }

  /** Whether this checker checks now, and under which epoch; `null` there = it is taken for the only one. */
  get held(): { readonly epoch: number | null } | null {
    if (this.#held === null || this.#needs.clock.monotonicMs() >= this.#held.untilMs) return null;
    return this.#held;
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
          ...{ history: 1, ttl: LEASE_MS, description: "Pleiades: which health checker checks" },
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
      await clock.sleep(RENEW_MS, ended);
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
    let { revision } = held;
    const { epoch } = held;
    this.#letGo = () => bucket.delete(KEY, { previousSeq: revision });
    const wasHeld = this.#held?.epoch === epoch;
    this.#held = { epoch, untilMs: fromMs + LEASE_MS };
    if (!wasHeld) {
      log.info("This checker checks", { epoch });
      onLead();
    }
    while (!ended.aborted) {
      await clock.sleep(RENEW_MS, ended);
      if (ended.aborted) return;
      const beganMs = clock.monotonicMs();
      try {
        revision = await bucket.update(KEY, JSON.stringify({ id, epoch }), revision);
      } catch (error) {
        this.#held = null;
        log.warn("This checker checks no more", { error });
        return;
      }
      this.#held = { epoch, untilMs: beganMs + LEASE_MS };
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
