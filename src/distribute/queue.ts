/**
 * Work on zones: a few at a time, and of one zone one after the other.
 *
 * Of a zone there is at most one job that runs and one that waits: a later one takes the place of that which waits, since what
 * it would have fetched is older. A job that fails is tried again, later and later, until another one takes its place; others
 * go on meanwhile.
 *
 * @module
 */
import type { Clock, Rng } from "../clock.ts";

/** Wait before a job that failed is tried again, milliseconds; it doubles. */
const WAIT_FIRST_MS = 500;
/** The longest wait. */
const WAIT_MAX_MS = 60_000;

/** What jobs are run with. */
export interface QueueNeeds<Job> {
  /** Jobs that run at the same time. */
  readonly workers: number;
  /** Does a job; what it throws has it done again. */
  readonly run: (zone: string, job: Job, signal: AbortSignal) => Promise<void>;
  /** What takes the place of a job that waits when there is a later one; the later one, where this is left out. */
  readonly join?: (waiting: Job, later: Job) => Job;
  /** Told of a job that failed. */
  readonly onFault: (zone: string, job: Job, error: unknown) => void;
  /** Paces what is tried again. */
  readonly clock: Clock;
  /** Spreads it. */
  readonly rng: Rng;
}

interface Line<Job> {
  /** The latest that is to be done; `null` = nothing waits. */
  waiting: Job | null;
  /** Jobs that failed one after the other. */
  failures: number;
  /** Ends the wait before another try: there is a later job. `null` = none is waited for. */
  hurry: AbortController | null;
  /** Whether none is to be waited for after the job that runs. */
  isHurried: boolean;
}

/** The work on all zones. */
export class ZoneQueue<Job> implements AsyncDisposable {
  readonly #needs: QueueNeeds<Job>;
  readonly #lines = new Map<string, Line<Job>>();
  /** Zones whose job may run as soon as a worker is free, in order. */
  readonly #ready: string[] = [];
  readonly #ending = new AbortController();
  readonly #under = new Set<Promise<void>>();
  #running = 0;

  /** Nothing is to be done. */
  constructor(needs: QueueNeeds<Job>) {
    this.#needs = needs;
  }

  /** Jobs that run now. */
  get running(): number {
    return this.#running;
  }

  /** Zones whose last job failed, and is tried again. */
  get failing(): number {
    return [...this.#lines.values()].filter(({ failures }) => failures > 0).length;
  }

  /** Zones of which something runs or waits. */
  get size(): number {
    return this.#lines.size;
  }

  /** Those zones. */
  zones(): Iterable<string> {
    return this.#lines.keys();
  }

  /** Whether something of a zone runs or waits. */
  has(zone: string): boolean {
    return this.#lines.has(zone);
  }

  /** Has a job done; takes the place of one of the same zone that waits. */
  add(zone: string, job: Job): void {
    if (this.#ending.signal.aborted) return;
    const line = this.#lines.get(zone);
    if (line === undefined) {
      this.#lines.set(zone, { waiting: job, failures: 0, hurry: null, isHurried: false });
      this.#ready.push(zone);
    } else {
      const { join } = this.#needs;
      line.waiting = line.waiting === null || join === undefined ? job : join(line.waiting, job);
      line.hurry?.abort();
    }
    this.#start();
  }

  /** Tries at once what waits for another try: the cause of its fault may be gone. */
  hurry(): void {
    for (const line of this.#lines.values()) {
      line.failures = 0;
      line.isHurried = true;
      line.hurry?.abort();
    }
  }

  /** Ends what runs. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    this.#ready.length = 0;
    for (const line of this.#lines.values()) line.hurry?.abort();
    await Promise.all(this.#under);
  }

  #start(): void {
    while (this.#running < this.#needs.workers && this.#ready.length > 0) {
      const zone = this.#ready.shift()!;
      this.#running++;
      const work = this.#work(zone).finally(() => this.#under.delete(work));
      this.#under.add(work);
    }
  }

  async #work(zone: string): Promise<void> {
    const line = this.#lines.get(zone)!;
    const job = line.waiting!;
    line.waiting = null;
    line.isHurried = false;
    const isDone = await this.#try(zone, job);
    this.#running--;
    this.#start();
    if (this.#ending.signal.aborted) return;
    if (isDone) line.failures = 0;
    else {
      line.waiting ??= job;
      if (line.waiting === job) await this.#pause(line);
    }
    if (this.#ending.signal.aborted) return;
    if (line.waiting === null) this.#lines.delete(zone);
    else {
      this.#ready.push(zone);
      this.#start();
    }
  }

  async #try(zone: string, job: Job): Promise<boolean> {
    const { run, onFault } = this.#needs;
    const { signal } = this.#ending;
    try {
      await run(zone, job, signal);
      return true;
    } catch (error) {
      if (!signal.aborted) onFault(zone, job, error);
      return false;
    }
  }

  async #pause(line: Line<Job>): Promise<void> {
    const { clock, rng } = this.#needs;
    const longestMs = Math.min(WAIT_FIRST_MS * 2 ** Math.min(line.failures++, 10), WAIT_MAX_MS);
    if (line.isHurried) return;
    line.hurry = new AbortController();
    await clock.sleep(longestMs * (0.5 + rng() / 2 ** 33), line.hurry.signal);
    line.hurry = null;
  }
}
