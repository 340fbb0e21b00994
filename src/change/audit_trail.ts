/**
 * What is to be found in the audit: changes, which are written with the change itself, and attempts that were refused,
 * which are written here, a moment after their answer.
 *
 * Refusing costs a client nothing, so it must not cost the node much: attempts that are alike become one row with their
 * number, a second has so many rows, and what is more than that is counted in one of them.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { Port } from "../port.ts";
import type { AuditLimits, AuditOutcome, AuditRecord } from "../store/audit.ts";
import { StoreBusy } from "../store/database.ts";
import type { Store } from "../store/store.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Origin } from "./edit.ts";

/** An attempt, as it is told of. */
export interface Attempt {
  /** Who wanted what. */
  readonly origin: Origin;
  /** What became of it. */
  readonly outcome: AuditOutcome;
  /** Of the answer. */
  readonly status: number;
  /** What was refused, and why. */
  readonly detail: string;
}

/** Where attempts are told of that make no commit. */
export interface AttemptListener {
  /** Keeps an attempt; never fails and never waits. */
  note(attempt: Attempt): void;
}

/** Where the node's audit is found. */
export const AUDIT: Port<AttemptListener> = new Port("audit");

/** Rows of a second: some 100 KB an hour of steady refusals, and a write of 2 ms. */
const ROWS_A_WRITE = 64;
/** How long attempts wait to be written, milliseconds. */
const WRITE_INTERVAL_MS = 1_000;
/** Longest texts that are kept, characters. */
const TEXT_MAX = 300;

/** Writes attempts to the audit, and keeps it within its limits. */
export class AuditTrail implements AttemptListener, AsyncDisposable {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #log: Logger;
  #limits: AuditLimits;
  /** What is to be written, by what makes two alike. */
  #waiting = new Map<string, AuditRecord>();
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;

  /** Begins to write; the store stays the caller's to close. */
  constructor(
    { store, clock, log, limits }: {
      readonly store: Store;
      readonly clock: Clock;
      readonly log: Logger;
      readonly limits: AuditLimits;
    },
  ) {
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
    this.#limits = limits;
    this.#running = this.#run();
  }

  /** Keeps so much from now on, and no more than that at once. */
  use(limits: AuditLimits): void {
    this.#limits = limits;
    this.#flushSafely();
  }

  /** Keeps an attempt; it is written within a second or so. */
  note({ origin, outcome, status, detail }: Attempt): void {
    const record: AuditRecord = {
      ...auditedChange(origin, this.#clock.unixMs()),
      ...{ outcome, status, detail: cut(detail) },
    };
    const key = [outcome, status, record.by, record.from, record.request, record.reason, record.detail].join(
      "\n",
    );
    const isFull = this.#waiting.size >= ROWS_A_WRITE && !this.#waiting.has(key);
    this.#add(isFull ? OTHERS : key, isFull ? { ...record, ...WITHOUT_PARTICULARS } : record);
  }

  /** Writes what waits; what can't be written now waits on. */
  flush(): void {
    const records = [...this.#waiting.values()];
    try {
      this.#store.audit.addNow(records, { ...this.#limits, nowMs: this.#clock.unixMs() });
      this.#waiting = new Map();
    } catch (error) {
      if (!(error instanceof StoreBusy)) throw error;
    }
  }

  /** Writes what is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#running;
    this.#flushSafely();
  }

  #add(key: string, record: AuditRecord): void {
    const known = this.#waiting.get(key);
    this.#waiting.set(key, known ? { ...record, count: known.count + 1 } : record);
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending;
    for (let rest = 0; !signal.aborted; rest--) {
      await this.#clock.sleep(WRITE_INTERVAL_MS, signal);
      if (this.#waiting.size === 0 && rest > 0) continue;
      this.#flushSafely();
      rest = TRIM_EVERY;
    }
  }

  /** A disk that is full must not end the writing for good. */
  #flushSafely(): void {
    try {
      this.flush();
    } catch (error) {
      this.#log.error("Refused attempts can't be written to the audit", { error });
    }
  }
}

/** Writes until the audit is looked through although there is nothing to write: a minute. */
const TRIM_EVERY = 60;

/** Stands for all attempts for which a second has no row any more. */
const OTHERS = "";
const WITHOUT_PARTICULARS = {
  by: "",
  tokenId: null,
  from: "",
  request: "",
  reason: "",
  detail: "more attempts of this second",
} as const;

/** A change as the audit keeps it, but for its generation. */
export function auditedChange({ via, by, reason, request }: Origin, at: number): AuditRecord {
  return {
    ...{ at, outcome: "done", by: cut(by), via, reason: cut(reason), status: null, detail: "", count: 1 },
    tokenId: request?.tokenId ?? null,
    from: request?.from ?? "",
    request: cut(request?.line ?? ""),
    generation: null,
  };
}

function cut(text: string): string {
  return text.length <= TEXT_MAX ? text : `${text.slice(0, TEXT_MAX - 1)}…`;
}
