/**
 * Judging from a heartbeat whether a thread turns.
 *
 * A thread moves its word on the live board each time its event loop comes round; another one looks at the word now
 * and then. A word that hasn't moved is no proof: the machine may be slow, the process stopped, the laptop asleep.
 * So what is summed is not time that has passed but time in which the looking thread itself was running: a look adds
 * the interval between looks at most, however late it comes.
 *
 * @module
 */

/** How often to look, and what may be borne. */
export interface Patience {
  /** Milliseconds between looks. */
  readonly lookMs: number;
  /** Without a beat for so long a thread is not counted on. */
  readonly quietMs: number;
  /** Without a beat and without any work done for so long it hangs. */
  readonly hungMs: number;
  /** Without a beat for so long it hangs, however much work it does: nothing reaches it any more. */
  readonly deafMs: number;
}

/** How a thread is. */
export type Pulse = "turning" | "quiet" | "hung";

/** Watches one thread. */
export class PulseWatch {
  readonly #patience: Patience;
  #beats: number | null = null;
  #work = 0;
  #lookedMs = 0;
  #sinceBeatMs = 0;
  #sinceWorkMs = 0;

  /** Knows nothing yet. */
  constructor(patience: Patience) {
    this.#patience = patience;
  }

  /** Milliseconds without a beat, as far as this thread was there to see it. */
  get sinceBeatMs(): number {
    return this.#sinceBeatMs;
  }

  /** Forgets everything: another thread, or another word, is watched from now on. */
  restart(): void {
    this.#beats = null;
    this.#sinceBeatMs = 0;
    this.#sinceWorkMs = 0;
  }

  /** Whether the word has moved since the last look. */
  hasMoved(beats: number): boolean {
    return this.#beats !== null && beats !== this.#beats;
  }

  /**
   * Looks.
   *
   * @param nowMs a clock that never goes back
   * @param beats the thread's word
   * @param work anything that moves while it works
   */
  look(nowMs: number, beats: number, work: number): Pulse {
    const { lookMs, quietMs, hungMs, deafMs } = this.#patience;
    const passedMs = Math.min(nowMs - this.#lookedMs, lookMs);
    const isFirst = this.#beats === null;
    const hasBeaten = isFirst || beats !== this.#beats;
    const hasWorked = hasBeaten || work !== this.#work;
    this.#lookedMs = nowMs;
    this.#beats = beats;
    this.#work = work;
    this.#sinceBeatMs = hasBeaten ? 0 : this.#sinceBeatMs + passedMs;
    this.#sinceWorkMs = hasWorked ? 0 : this.#sinceWorkMs + passedMs;
    if (this.#sinceWorkMs >= hungMs || this.#sinceBeatMs >= deafMs) return "hung";
    return this.#sinceBeatMs >= quietMs ? "quiet" : "turning";
  }
}
