/**
 * A broker that is simulated: it carries what nodes say to each other, and keeps what they write to their buckets. While things
 * are rough it delivers late, twice, out of order or not at all.
 *
 * What it takes the place of is NATS and its library alone (`Carrier` of `src/cluster/cluster.ts`). On a connection that is made
 * again all comes in order up to the greeting, as it does over TCP.
 *
 * @module
 */
import type { NatsConnection } from "@nats-io/nats-core";
import type { Carrier } from "../../../src/cluster/cluster.ts";
import type { Buckets } from "../../../src/cluster/health_bucket.ts";
import type { Clock } from "../../../src/clock.ts";
import type { LinkNeeds } from "../../../src/nats/link.ts";
import type { Schedule } from "./clock.ts";

/** How the broker is at the moment. */
export interface Weather {
  /** Whether things are rough. */
  readonly isRough: boolean;
  /** Draws a number below the bound. */
  below(bound: number): number;
}

const FAIR_MS = 20;
const ROUGH_MS = 4_000;
/** One in so many is lost while things are rough, and as many come twice. */
const ONE_IN = 5;

type Callback = (error: Error | null, message: { subject: string; data: Uint8Array }) => void;
type Watching = (key: string, data: Uint8Array) => void;

/** What all nodes are connected to. */
export class Broker {
  readonly schedule: Schedule;
  readonly weather: Weather;
  /** What is in the bucket of what nodes find; ages aren't simulated, as all is written again far more often. */
  readonly kept = new Map<string, Uint8Array>();
  readonly connections = new Set<SimulatedConnection>();

  constructor(schedule: Schedule, weather: Weather) {
    this.schedule = schedule;
    this.weather = weather;
  }

  /** What a node is given in the place of NATS. */
  carrierOf(line: Line): Carrier {
    return {
      connect: (needs) => new SimulatedLink(this, line, needs),
      watch: async (connection, { terms, clock, listener, signal }) => {
        const own = connection as unknown as SimulatedConnection;
        while (!signal.aborted) {
          await clock.sleep(this.lateness(), signal);
          if (signal.aborted) return;
          listener.opened(this.#bucketsOf(own));
          own.watching = listener.entry;
          own.hasMissed = false;
          for (const [key, data] of this.kept) listener.entry(key, data);
          listener.caughtUp();
          // As the watch is held against the bucket: what it has missed is read again.
          do await clock.sleep(terms.lookMs, signal); while (!signal.aborted && !own.hasMissed);
        }
      },
    };
  }

  /** How late something comes. */
  lateness(): number {
    const { isRough } = this.weather;
    return 1 + this.weather.below(isRough ? ROUGH_MS : FAIR_MS);
  }

  /** Carries a message to all others that are connected now. */
  carry(from: SimulatedConnection, subject: string, data: Uint8Array): void {
    const isOrdered = !from.hasGreeted;
    if (/\.membership\.heartbeat\.[^.]+$/.test(subject)) from.hasGreeted = true;
    for (const to of this.connections) {
      if (to === from) continue;
      const deliver = () => to.hear(subject, data);
      if (isOrdered || !this.weather.isRough) this.#inOrder(from, to, deliver);
      else this.roughly(deliver);
    }
  }

  /** Has something come late, twice, or not at all; gives whether it does. */
  roughly(deliver: () => void): boolean {
    const { below, isRough } = {
      below: (bound: number) => this.weather.below(bound),
      isRough: this.weather.isRough,
    };
    if (isRough && below(ONE_IN) === 0) return false;
    for (let copies = isRough && below(ONE_IN) === 0 ? 2 : 1; copies > 0; copies--) {
      this.schedule.at(this.schedule.nowMs + this.lateness(), deliver);
    }
    return true;
  }

  #inOrder(from: SimulatedConnection, to: SimulatedConnection, deliver: () => void): void {
    const atMs = Math.max(from.lastMs.get(to) ?? 0, this.schedule.nowMs + this.lateness());
    from.lastMs.set(to, atMs);
    this.schedule.at(atMs, deliver);
  }

  #bucketsOf(own: SimulatedConnection): Buckets {
    const written = (key: string, data: Uint8Array): Promise<number> => {
      if (own.isClosed()) return Promise.reject(new Error("the connection is closed"));
      if (this.weather.isRough && this.weather.below(ONE_IN * 4) === 0) {
        return Promise.reject(new Error("timeout"));
      }
      if (data.length === 0) this.kept.delete(key);
      else this.kept.set(key, data);
      for (const to of this.connections) {
        // Its own writes come back to a node as well.
        const isComing = this.roughly(() => {
          if (!to.isClosed()) to.watching?.(key, data);
        });
        if (!isComing) to.hasMissed = true;
      }
      return Promise.resolve(1);
    };
    const health = {
      put: written,
      delete: async (key: string) => void await written(key, new Uint8Array(0)),
    };
    const membership = { put: () => Promise.resolve(1), delete: () => Promise.resolve() };
    // Nodes write and delete; the rest of the library's buckets they leave alone.
    return { health, membership } as unknown as Buckets;
  }
}

/** Whether a node can reach the broker. */
export class Line {
  #isCut = false;
  readonly #changed = new Set<() => void>();

  get isCut(): boolean {
    return this.#isCut;
  }

  /** Cuts it, or joins it again. */
  become(isCut: boolean): void {
    this.#isCut = isCut;
    for (const tell of [...this.#changed]) tell();
  }

  /** Resolves when it is so, or at the signal. */
  async until(isCut: boolean, signal: AbortSignal): Promise<void> {
    while (this.#isCut !== isCut && !signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#changed.add(resolve);
      signal.addEventListener("abort", () => resolve(), { once: true });
      await promise;
      this.#changed.delete(resolve);
    }
  }
}

/** Connects whenever the line is well. */
class SimulatedLink implements AsyncDisposable {
  readonly #broker: Broker;
  readonly #line: Line;
  readonly #needs: LinkNeeds;
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;
  #isConnected = false;

  constructor(broker: Broker, line: Line, needs: LinkNeeds) {
    this.#broker = broker;
    this.#line = line;
    this.#needs = needs;
    this.#running = this.#run(needs.clock);
  }

  use(): void {
    throw new Error("settings stay as they are");
  }

  status() {
    return { server: this.#isConnected ? "simulated" : null, fault: null };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#running;
  }

  async #run(clock: Clock): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      await this.#line.until(false, signal);
      await clock.sleep(this.#broker.lateness(), signal);
      if (signal.aborted || this.#line.isCut) continue;
      const connection = new SimulatedConnection(this.#broker);
      this.#broker.connections.add(connection);
      this.#isConnected = true;
      const session = this.#needs.session(connection as unknown as NatsConnection, connection.ended);
      await this.#line.until(true, signal);
      connection.close();
      this.#broker.connections.delete(connection);
      this.#isConnected = false;
      await session;
    }
  }
}

/** One connection, as far as nodes use it. */
class SimulatedConnection {
  /** When what was said last to another comes, so that it comes in order. */
  readonly lastMs = new Map<SimulatedConnection, number>();
  /** Whether the greeting was sent, and what belongs before it. */
  hasGreeted = false;
  watching: Watching | null = null;
  /** Whether the watch wasn't told of something. */
  hasMissed = false;
  readonly #broker: Broker;
  readonly #ending = new AbortController();
  readonly #subscriptions: {
    readonly tokens: readonly string[];
    readonly callback: Callback;
  }[] = [];

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  get ended(): AbortSignal {
    return this.#ending.signal;
  }

  close(): void {
    this.#ending.abort();
  }

  isClosed(): boolean {
    return this.#ending.signal.aborted;
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  publish(subject: string, data: Uint8Array): void {
    this.#broker.carry(this, subject, data);
  }

  subscribe(
    subject: string,
    { callback }: { readonly callback: Callback },
  ): void {
    this.#subscriptions.push({ tokens: subject.split("."), callback });
  }

  /** What is said of the connection itself: nothing. */
  async *status(): AsyncGenerator<never> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended.addEventListener("abort", () => resolve(), { once: true });
    if (!this.isClosed()) await promise;
    yield* [];
  }

  /** Takes a message in. */
  hear(subject: string, data: Uint8Array): void {
    if (this.isClosed()) return;
    const given = subject.split(".");
    for (const { tokens, callback } of this.#subscriptions) {
      if (tokens.length !== given.length) continue;
      if (tokens.every((token, i) => token === "*" || token === given[i])) callback(null, { subject, data });
    }
  }
}
