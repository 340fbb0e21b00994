/**
 * The digest of the model as a metric. A small model is read at a scrape; a large one on a thread of its own,
 * which takes a twentieth of its time at most, and meanwhile there is no value: none is better than an old one.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { Port } from "../port.ts";
import type { Store } from "../store/store.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Registry } from "../telemetry/metrics.ts";
import { startThread } from "../thread.ts";
import { digestOf, type ModelDigest } from "./digest.ts";
import type { Order, Report } from "./orders.ts";

/** What the gauge works with. */
export interface DigestGaugeOptions {
  /** The model. */
  readonly store: Store;
  /** Spaces the readings of a large model. */
  readonly clock: Pick<Clock, "monotonicMs">;
  /** Hears when a reading fails. */
  readonly log: Logger;
  /** Gets `pleiades_config_digest`. */
  readonly registry: Registry;
}

/** Pools, members or services up to which a model is read at once: some 20 ms. */
const SMALL_MAX = 1_000;
/** A large model is read again after so many times as long as it took. */
const IDLE_SHARE = 20;

/** What knows the digest of the model. */
export interface DigestPort {
  /** As `DigestGauge` has it. */
  readonly value: number | null;
}

/** Where it is offered. */
export const MODEL_DIGEST: Port<DigestPort> = new Port("digest of the model");

/** Keeps the metric. */
export class DigestGauge implements Disposable {
  readonly #options: DigestGaugeOptions;
  #known: ModelDigest | null = null;
  #worker: Worker | null = null;
  #nextMs = 0;

  /** Reads nothing until the first scrape. */
  constructor(options: DigestGaugeOptions) {
    this.#options = options;
    options.registry.gauge(
      "pleiades_config_digest",
      "A number that is equal on nodes whose models are equal; absent while a large model is read.",
      { labelNames: [], collect: () => this.#collect() },
    );
  }

  /** Ends a reading that is under way. */
  [Symbol.dispose](): void {
    this.#worker?.terminate();
    this.#worker = null;
  }

  /**
   * The digest of the model of now; `null` = it isn't known yet. To ask for it again and again takes a twentieth of the time
   * at most.
   */
  get value(): number | null {
    const { store, clock } = this.#options;
    const isKnown = () => this.#known?.generation === store.generation();
    if (!isKnown() && clock.monotonicMs() >= this.#nextMs) this.#read();
    return isKnown() ? this.#known!.value : null;
  }

  #collect(): (readonly [labelValues: readonly string[], value: number])[] {
    const { store } = this.#options;
    if (this.#known?.generation !== store.generation()) this.#read();
    return this.#known?.generation === store.generation() ? [[[], this.#known.value]] : [];
  }

  #read(): void {
    const { store, clock } = this.#options;
    if (store.path === ":memory:" || store.hasAtMost(SMALL_MAX)) {
      const beganMs = clock.monotonicMs();
      this.#known = digestOf(store);
      this.#nextMs = clock.monotonicMs() + (clock.monotonicMs() - beganMs) * IDLE_SHARE;
    } else if (this.#worker === null && clock.monotonicMs() >= this.#nextMs) this.#readOnThread();
  }

  #readOnThread(): void {
    const { store, clock, log } = this.#options;
    const worker = this.#worker = startThread("plan", "digest");
    const beganMs = clock.monotonicMs();
    const end = () => {
      worker.terminate();
      if (this.#worker === worker) this.#worker = null;
      this.#nextMs = clock.monotonicMs() + (clock.monotonicMs() - beganMs) * IDLE_SHARE;
    };
    const fail = (error: unknown) => {
      log.warn("Cannot read the model for its digest", { error });
      end();
    };
    worker.onmessage = ({ data: report }: MessageEvent<Report>) => {
      if (report.kind === "digest") this.#known = report.digest;
      else if (report.kind === "closed") end();
      else if ("message" in report) fail(report.message);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      fail(event.message);
    };
    worker.postMessage({ kind: "digest", path: store.path } satisfies Order);
  }
}
