/**
 * The audit as a part of a node.
 *
 * @module
 */
import { AUDIT, AuditTrail } from "../change/audit_trail.ts";
import { AttemptSummaries } from "../events/attempts.ts";
import type { Settings } from "../settings/settings.ts";
import type { Start } from "./part.ts";

/** How often attempts are looked at that are to be told of, milliseconds. */
const LOOK_MS = 1_000;

/** Keeps refused attempts, and the audit within its limits; tells of attempts as events. */
export const audit: Start = ({ store, clock, log, settings, ports, events }) => {
  const limitsOf = ({ audit: { keep, maxAge } }: Settings) => ({ keep, maxAgeMs: maxAge });
  const trail = new AuditTrail({ store, clock, log, limits: limitsOf(settings()) });
  const summaries = new AttemptSummaries(clock);
  const tell = (isEnd: boolean) => {
    for (const event of summaries.take({ isEnd })) events.emit(event);
  };
  const offered = ports.offer(AUDIT, {
    note: (attempt) => {
      trail.note(attempt);
      if (attempt.outcome !== "refused") return;
      summaries.note({ from: attempt.origin.request?.from ?? "", status: attempt.status });
    },
  });
  const ending = new AbortController();
  const telling = (async () => {
    while (!ending.signal.aborted) {
      await clock.sleep(LOOK_MS, ending.signal);
      tell(ending.signal.aborted);
    }
  })();
  return {
    name: "audit",
    prepare: (next) => () => trail.use(limitsOf(next)),
    [Symbol.asyncDispose]: async () => {
      offered[Symbol.dispose]();
      ending.abort();
      await telling;
      await trail[Symbol.asyncDispose]();
    },
  };
};
