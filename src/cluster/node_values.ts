/**
 * Values that nodes keep for each other for as long as they live: each node writes its own under its name, again and again,
 * and what isn't written any more is gone after a while. They are in the bucket `gslb_<cluster>_discovery`, keys
 * `<node>.<name>`.
 *
 * What others have counts by when it came, on the clock of this process: whatever clocks say elsewhere, and also where a server
 * has forgotten all. While there is no server, what was known last is kept: then it isn't the nodes who are silent.
 *
 * @module
 */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { type KV, Kvm } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/nats-core";
import type { Clock } from "../clock.ts";
import { natsFault } from "../nats/fault.ts";
import type { Logger } from "../telemetry/log.ts";
import { watchBucket } from "./health_bucket.ts";
import type { SharedValues, ValuesListener } from "./port.ts";
import { wireNames } from "./wire_format.ts";

/** What they are kept with. */
export interface NodeValuesNeeds {
  /** Where, and for how long. */
  readonly terms: {
    /** Id of the cluster. */
    readonly cluster: string;
    /** This node's name. */
    readonly node: string;
    /** JetStream domain; `null` = the server's own. */
    readonly domain: string | null;
    /** Servers that keep a copy of a bucket that is made. */
    readonly replicas: number;
    /** How long a value counts that isn't written again, milliseconds. */
    readonly ttlMs: number;
    /** How often the watch is held against the bucket, milliseconds. */
    readonly lookMs: number;
  };
  /** Paces, and ages what comes. */
  readonly clock: Pick<Clock, "monotonicMs" | "sleep">;
  /** Hears why values can't be kept. */
  readonly log: Logger;
}

/** How long a request may take, milliseconds. */
const REQUEST_TIMEOUT_MS = 3_000;
/** After a failure. */
const RETRY_MS = 500;
/** So many times in its life a value is written. */
const WRITES_PER_LIFE = 3;
/** A process that was stopped for longer than this hasn't heard what was said meanwhile. */
const STALL_MS = 500;
const KEY = /^([A-Za-z0-9_-]{1,63})\.([0-9a-z]{1,16})$/;

/** Values over one connection after the other. */
export class NodeValues implements SharedValues {
  readonly #needs: NodeValuesNeeds;
  readonly #own = new Map<string, Uint8Array>();
  /** When others' values came last, by their keys. */
  readonly #cameMs = new Map<string, number>();
  readonly #followed = Promise.withResolvers<ValuesListener>();
  #kv: KV | null = null;
  #isCaughtUp = false;
  #fault: string | null = null;

  /** Knows of none until a session begins, and something follows it. */
  constructor(needs: NodeValuesNeeds) {
    this.#needs = needs;
  }

  /** Writes a value of this node, or takes it back. */
  put(name: string, value: Uint8Array | null): void {
    if (value === null) this.#own.delete(name);
    else this.#own.set(name, value);
    void this.#write(name);
  }

  /** Tells what others have from now on; once. */
  follow(listener: ValuesListener): void {
    this.#followed.resolve(listener);
  }

  /** Writes and listens over one connection until the signal is aborted. */
  async session(connection: NatsConnection, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#needs;
    const gone = Promise.withResolvers<null>();
    signal.addEventListener("abort", () => gone.resolve(null), { once: true });
    const listener = await Promise.race([this.#followed.promise, gone.promise]);
    while (listener !== null && !signal.aborted) {
      try {
        await this.#watch(connection, listener, signal);
      } catch (error) {
        if (signal.aborted) return;
        const fault = natsFault(error, "NATS");
        if (fault !== this.#fault) {
          log.warn("Registrations can't be shared with other nodes", { reason: fault });
        }
        this.#fault = fault;
      }
      await clock.sleep(RETRY_MS, signal);
    }
  }

  async #watch(connection: NatsConnection, listener: ValuesListener, signal: AbortSignal): Promise<void> {
    const { clock, log, terms: { cluster, node, domain, replicas, ttlMs, lookMs } } = this.#needs;
    const options = () => ({
      ...{ timeout: REQUEST_TIMEOUT_MS, checkAPI: false },
      ...(domain !== null && { domain }),
    });
    const { discoveryBucket: bucket } = wireNames(cluster, node);
    const manager = await jetstreamManager(connection, options());
    const client = jetstream(connection, options());
    const kvm = new Kvm(client);
    const open = () =>
      kvm.create(bucket, {
        ...{ history: 1, ttl: ttlMs, replicas },
        description: "Pleiades: what is registered with each node",
      });
    const kv = await open().catch((error) => {
      // Another node has made it in the meantime.
      if (!/already in use/.test(String(error))) throw error;
      return open();
    });
    const info = () => manager.streams.info(`KV_${bucket}`);
    const first = await info();
    // Who was silent while nothing could be heard has all of its time from now on.
    for (const key of this.#cameMs.keys()) this.#cameMs.set(key, clock.monotonicMs());
    this.#isCaughtUp = false;
    const caughtUp = () => {
      this.#isCaughtUp = true;
      if (this.#fault !== null) log.info("Registrations are shared with other nodes again");
      this.#fault = null;
      listener.standing(true);
    };
    const entry = (key: string, value: Uint8Array) => this.#take(key, value, listener);
    const watch = await watchBucket(client, first, { entry, caughtUp });
    this.#kv = kv;
    try {
      if (first.state.messages === 0) caughtUp();
      // A bucket that was made with another age has that one.
      const ageMs = first.config.max_age / 1e6 || ttlMs;
      const everyMs = Math.min(ttlMs, ageMs) / WRITES_PER_LIFE;
      let lookedMs = clock.monotonicMs();
      for (let writtenMs = -Infinity; !signal.aborted;) {
        const fromMs = clock.monotonicMs();
        if (fromMs - writtenMs >= everyMs) {
          writtenMs = fromMs;
          await Promise.all([...this.#own.keys()].map((name) => this.#write(name)));
        }
        const waitMs = Math.min(lookMs, everyMs);
        await clock.sleep(waitMs, signal);
        if (signal.aborted) return;
        if (clock.monotonicMs() - lookedMs >= lookMs) {
          let now = first;
          if (await watch.isDead(async () => now = await info())) return;
          // What there was when the watch began may have been forgotten before it came.
          if (now.state.messages === 0) caughtUp();
          lookedMs = clock.monotonicMs();
        }
        this.#expire(clock.monotonicMs() - fromMs - waitMs, listener);
      }
    } finally {
      this.#kv = null;
      listener.standing(false);
      await watch[Symbol.asyncDispose]();
    }
  }

  /** Never rejects: it is written once more in a while. */
  async #write(name: string): Promise<void> {
    const { log, terms: { node } } = this.#needs;
    const kv = this.#kv;
    if (kv === null) return;
    const value = this.#own.get(name);
    const key = `${node}.${name}`;
    try {
      if (value === undefined) await kv.delete(key);
      else await kv.put(key, value);
    } catch (error) {
      const fault = natsFault(error, "NATS");
      if (this.#kv !== kv || fault === this.#fault) return;
      this.#fault = fault;
      log.warn("A registration can't be shared with other nodes", {
        bytes: value?.length ?? 0,
        reason: fault,
      });
    }
  }

  /** @param value empty = it was taken back */
  #take(key: string, value: Uint8Array, listener: ValuesListener): void {
    const [, node, name] = KEY.exec(key) ?? [];
    if (node === undefined || name === undefined) return value.length > 0 ? listener.stray(key) : undefined;
    if (node === this.#needs.terms.node) {
      // Of a process before this one; not of one that takes this one's place.
      if (value.length > 0 && !this.#own.has(name) && !this.#isCaughtUp) void this.#write(name);
      return;
    }
    if (value.length === 0) return this.#forget(key, listener);
    if (listener.value(node, name, value)) this.#cameMs.set(key, this.#needs.clock.monotonicMs());
    else this.#cameMs.delete(key);
  }

  #expire(lateMs: number, listener: ValuesListener): void {
    const { clock, terms: { ttlMs } } = this.#needs;
    const grantMs = lateMs > STALL_MS ? lateMs : 0;
    const nowMs = clock.monotonicMs();
    for (const [key, cameMs] of [...this.#cameMs]) {
      if (grantMs > 0) this.#cameMs.set(key, cameMs + grantMs);
      else if (nowMs - cameMs > ttlMs) this.#forget(key, listener);
    }
  }

  #forget(key: string, listener: ValuesListener): void {
    const [node, name] = key.split(".") as [string, string];
    if (this.#cameMs.delete(key)) listener.value(node, name, null);
  }
}
