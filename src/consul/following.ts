/**
 * Following what Consul says: a question that is asked again and again, blocked until there is news.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { type ConsulAnswer, type ConsulQuestion, isNothing } from "./client.ts";

/** What is followed, and who follows it. */
export interface Following {
  /** What is asked next; the index is ours. */
  readonly question: () => Omit<ConsulQuestion, "index">;
  /** Asks. */
  readonly ask: (question: ConsulQuestion) => Promise<ConsulAnswer>;
  /** Gets each answer; whatever it throws counts as a fault. @returns whether to go on */
  readonly take: (answer: ConsulAnswer, news: News) => boolean | Promise<boolean>;
  /** Gets each fault, and waits before the next question. */
  readonly fail: (cause: unknown) => Promise<void>;
  /** Ends it; the question that is asked then is the asker's to end. */
  readonly signal: AbortSignal;
  /** Paces what doesn't block. */
  readonly clock: Pick<Clock, "sleep">;
}

/** How an answer came. */
export interface News {
  /** Whether it was waited for. */
  readonly isAwaited: boolean;
}

/** Before the next question where an answer has no index: one that doesn't block would be asked without end. */
const PAUSE_MS = 250;

/** Follows, until it is ended or `take` has enough; never rejects but with what `fail` throws. */
export async function follow({ question, ask, take, fail, signal, clock }: Following): Promise<void> {
  let index = 0;
  while (!signal.aborted) {
    try {
      const next = { ...question(), index };
      const isAwaited = index > 0;
      const first = await ask(next);
      // What comes from a stream doesn't say that it was filtered: a token that is deleted may empty it.
      const answer = isAwaited && isNothing(first.document) ? await ask({ ...next, index: 0 }) : first;
      index = answer.index;
      if (!await take(answer, { isAwaited })) return;
      if (index === 0) await clock.sleep(PAUSE_MS, signal);
    } catch (cause) {
      if (signal.aborted) return;
      index = 0;
      await fail(cause);
    }
  }
}
