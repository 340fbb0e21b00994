/**
 * Changes as the terminal UI makes them: by the one path of every change, and looked at as a node looks at them.
 *
 * It is loaded with the first one: the schemas of all fields take longer to load than the first screen may wait.
 *
 * @module
 */
import { Changes } from "../change/commit.ts";
import { ChangeRefused, type Origin } from "../change/edit.ts";
import { namedChanges } from "../change/plan_report.ts";
import { wallTimeOfSecond } from "../cli/wall_time.ts";
import type { Clock } from "../clock.ts";
import { AnswerGuard, type PortableGuard } from "../plan/answer_guard.ts";
import type { Store } from "../store/store.ts";
import { authorWords, countWords, objectLine, previewOf } from "./change_words.ts";
import { editsOf } from "./intents.ts";
import type { Answer, ChangeTerms, Intent, Question } from "./messages.ts";

/** Where a change is made, and in which name. */
export interface ChangeContext {
  /** Its database. */
  readonly store: Store;
  /** Stamps it. */
  readonly clock: Pick<Clock, "unixMs">;
  /** For the history. */
  readonly author: string;
  /** By which settings it is looked at; `null` = it isn't. */
  readonly guard: PortableGuard | null;
}

/**
 * Makes a change, or says what it would do. What is wrong with it is an answer.
 *
 * @throws {StoreBusy} when another process holds the database
 */
export function changeAt(
  { store, clock, author, guard }: ChangeContext,
  { intent, terms }: Extract<Question, { kind: "change" }>,
): Answer {
  const nowMs = clock.unixMs();
  const changes = new Changes({ store, clock });
  if (guard !== null) changes.guardBy(guardAt(store, guard, nowMs));
  const origin: Origin = { via: "tui", by: author, reason: terms.reason };
  try {
    if (intent.kind === "undo") return undone(changes, intent.generation, { terms, origin });
    const edits = editsOf(intent, store, { author, nowMs, isPreview: terms.isPreview });
    if (terms.isPreview) return { kind: "preview", preview: previewOf(changes.dryRun(edits, origin)) };
    const before = store.generation();
    const { generation } = changes.commit(edits, origin, { force: terms.force });
    return { kind: "done", generation, changed: generation !== before };
  } catch (error) {
    if (!(error instanceof ChangeRefused)) throw error;
    const { kind, problems, guards } = error;
    const since = kind === "stale" ? sinceShown(store, intent) : null;
    return { kind: "refused", refusal: kind, problems, guards, since };
  }
}

/** Health is that of the last verdicts; where clients are isn't known here, so that geography isn't weighed. */
function guardAt({ verdicts }: Store, guard: PortableGuard, nowMs: number): AnswerGuard {
  const out = {
    get: (key: string) => {
      const verdict = verdicts.get(key);
      return verdict?.state === "unhealthy" ? verdict.since ?? 0 : undefined;
    },
  };
  return AnswerGuard.of({ ...guard, nowMs, health: { ...guard.health, out } });
}

function undone(
  changes: Changes,
  generation: number,
  { terms: { isPreview, force }, origin: { by, reason } }: {
    readonly terms: ChangeTerms;
    readonly origin: Origin;
  },
): Answer {
  const { commit, changed, plan } = changes.revertHere({
    ...{ generation, origin: { by, reason }, dryRun: isPreview, force },
  });
  if (plan !== null) return { kind: "preview", preview: previewOf(plan) };
  return { kind: "done", generation: commit.generation, changed };
}

/** Who changed the object that a stale form is about. */
function sinceShown(rows: Store, intent: Intent): string | null {
  const row = intent.kind === "pool" && intent.id !== null
    ? rows.pools.get(intent.id)
    : intent.kind === "service" && intent.id !== null
    ? rows.services.get(intent.id)
    : intent.kind === "member" && intent.id !== null
    ? rows.members.get(intent.id)
    : intent.kind === "geoRule" && intent.id !== null
    ? rows.geoRules.get(intent.id)
    : intent.kind === "healthCheck"
    ? rows.healthChecks.get(intent.poolId)
    : null;
  const entry = row === null ? null : rows.history.get(row.revision);
  return entry === null ? null : `changed by ${authorWords(entry)} as generation ${entry.generation}`;
}

/** What a commit did, a line an object. */
export function linesOfCommit(store: Store, generation: number): string[] {
  const { history } = store;
  const entry = history.get(generation);
  if (entry === null) return [`Generation ${generation} isn't kept any more`];
  const { changes, truncated } = namedChanges(history.changes(generation), store);
  const lines = changes.map(objectLine);
  const counts = countWords(history.counts(generation));
  return [
    `${wallTimeOfSecond(new Date(entry.at))}, ${authorWords(entry)}${
      entry.reason === "" ? "" : `: ${entry.reason}`
    }`,
    counts,
    "",
    ...lines.length === 0 && counts !== "" ? ["An older release kept only their number."] : lines,
    ...truncated ? ["and more, which pleiades config history shows"] : [],
  ];
}
