/**
 * The main thread's end of the thread that answers (`worker.ts`). One that dies is replaced by another one at the same address.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { formatSocketAddress, type SocketAddress } from "../ip.ts";
import { closeAbandoned } from "../sockets/batch_socket.ts";
import type { Logger } from "../telemetry/log.ts";
import { startThread } from "../thread.ts";
import type { Answering, AnsweringOptions } from "./answering.ts";
import type { Change } from "./catalog.ts";
import type { Sampled } from "./sampler.ts";
import type { TallyRow } from "./tally.ts";
import type { Order, Report } from "./worker.ts";

/** What a thread is made with. */
export interface AnswerThreadOptions {
  /** Where and what it answers. */
  readonly options: AnsweringOptions;
  /** All that makes the catalog at this moment. */
  readonly everything: () => readonly Change[];
  /** Hears what was answered. */
  readonly count: (rows: readonly TallyRow[]) => void;
  /** Gets exchanges that were copied. */
  readonly sampled: (sampled: Sampled) => void;
  /** Paces what is tried again. */
  readonly clock: Pick<Clock, "sleep">;
  /** Hears of faults. */
  readonly log: Logger;
}

/** Before a thread that died is replaced, and between attempts. */
const RETRY_MS = 1_000;

/** A thread that answers. */
export class AnswerThread implements Answering {
  /** Resolves when it answers; rejects with a message for people when the address can't be had. */
  readonly ready: Promise<void>;
  readonly #parts: AnswerThreadOptions;
  readonly #ending = new AbortController();
  readonly #settling = new Map<number, () => void>();
  #number = 0;
  #worker: Worker | null = null;
  #stopped = Promise.withResolvers<void>();
  #address: SocketAddress;
  #fd: number | null = null;
  #isReplacing = false;

  /** Starts it. */
  constructor(parts: AnswerThreadOptions) {
    this.#parts = parts;
    this.#address = parts.options.address;
    this.ready = this.#launch();
  }

  /** Where it listens really. */
  get address(): SocketAddress {
    return this.#address;
  }

  /** Makes changes to what is answered. */
  apply(changes: readonly Change[]): void {
    this.#order({ kind: "change", changes });
  }

  /** Resolves when all changes so far are in the answers; while there is no thread, at once. */
  settled(): Promise<void> {
    if (this.#worker === null) return Promise.resolve();
    const number = ++this.#number;
    return new Promise((resolve) => {
      this.#settling.set(number, resolve);
      this.#order({ kind: "settle", number });
    });
  }

  /** Answers no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    if (this.#worker === null) return;
    this.#order({ kind: "stop" });
    await this.#stopped.promise;
    this.#worker?.terminate();
    this.#worker = null;
    this.#settleAll();
  }

  #order(order: Order): void {
    this.#worker?.postMessage(order);
  }

  #launch(): Promise<void> {
    const { options, everything, count, sampled, log } = this.#parts;
    const listening = Promise.withResolvers<void>();
    const worker = startThread("discovery", "discovery dns");
    this.#worker = worker;
    worker.onmessage = ({ data: report }: MessageEvent<Report>) => {
      switch (report.kind) {
        case "listening":
          this.#address = report.address;
          this.#fd = report.fd;
          log.info("Discovery answers DNS", { address: formatSocketAddress(report.address) });
          return listening.resolve();
        case "failed":
          worker.terminate();
          this.#worker = null;
          return listening.reject(new Error(report.message));
        case "settled":
          this.#settling.get(report.number)?.();
          return void this.#settling.delete(report.number);
        case "answered":
          return count(report.rows);
        case "sampled":
          return sampled(report.sampled);
        case "fault":
          return log.warn(report.message, { reason: report.reason });
        case "stopped":
          return this.#stopped.resolve();
      }
    };
    worker.onerror = (event) => {
      event.preventDefault();
      log.error("The thread that answers DNS for discovery died; another one takes its place", {
        reason: event.message,
      });
      worker.terminate();
      this.#worker = null;
      if (this.#fd !== null) closeAbandoned([this.#fd]);
      this.#fd = null;
      this.#settleAll();
      this.#stopped.resolve();
      listening.reject(new Error(event.message));
      if (!this.#isReplacing) void this.#replace();
    };
    worker.postMessage(
      {
        kind: "start",
        options: { ...options, address: this.#address },
        changes: everything(),
      } satisfies Order,
    );
    return listening.promise;
  }

  async #replace(): Promise<void> {
    const { clock, log } = this.#parts;
    this.#isReplacing = true;
    for (let isReplaced = false; !isReplaced;) {
      await clock.sleep(RETRY_MS, this.#ending.signal);
      if (this.#ending.signal.aborted) return;
      this.#stopped = Promise.withResolvers();
      isReplaced = await this.#launch().then(() => true, (error) => {
        log.error("Discovery can't answer DNS", { error });
        return false;
      });
    }
    this.#isReplacing = false;
  }

  #settleAll(): void {
    for (const settle of this.#settling.values()) settle();
    this.#settling.clear();
  }
}
