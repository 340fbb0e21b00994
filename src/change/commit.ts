/**
 * The one path of every change: edits are validated against the model, written with a history entry in one SQLite
 * transaction under the next generation, and published to subscribers.
 *
 * A commit is all or nothing, and costs what it touches: nothing here reads the whole model. A commit that leaves
 * every object as it was succeeds, but makes no history entry and no generation, and is not published; so repeating
 * a write, or applying the same files every minute, doesn't wake anyone.
 *
 * A whole model may come as a stream of bytes; a large one is read and committed on a thread of its own, and only
 * its outcome comes back here.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { Listeners } from "../listeners.ts";
import { HISTORY_LIMITS, type HistoryLimits } from "../store/history.ts";
import type { RecordedChange } from "../store/history_parts.ts";
import type { ChangeCounts } from "../store/replacement.ts";
import type { Store } from "../store/store.ts";
import { UNTOUCHED } from "../store/touched.ts";
import { type Step, write, type Writer, writeTogether } from "../store/write.ts";
import {
  applyOnThread,
  planOnThread,
  rollBackOnThread,
  takeLogOnThread,
  type ThreadOutcome,
} from "./apply_thread.ts";
import { Draft } from "./draft.ts";
import {
  type Applied,
  type ApplyOptions,
  ChangeRefused,
  type Commit,
  type Edit,
  type Origin,
  type RollbackOptions,
  type RolledBack,
  type Terms,
} from "./edit.ts";
import { type Examination, type Guard, type GuardRefusal, NOTHING_FORESEEN, type Proposal } from "./guard.ts";
import type { LogMessage, Taken, Whole } from "./log_message.ts";
import { pendForLog } from "./log_pending.ts";
import { beginImport } from "./model_import.ts";
import { rollbackTarget } from "./past.ts";
import { auditedChange } from "./audit_trail.ts";
import { emptyPlan, type Plan, planOf } from "./plan_report.ts";
import { reversed } from "./revert.ts";
import type { JudgedModel } from "./staged_model.ts";

/** A change that guards refused. */
export interface Refused {
  /** Who wanted it. */
  readonly origin: Origin;
  /** What they found. */
  readonly guards: readonly GuardRefusal[];
}

/** Commits edits to one store. */
export class Changes {
  readonly #store: Store;
  readonly #clock: Pick<Clock, "unixMs">;
  readonly #isGivenUp: () => boolean;
  #limits: HistoryLimits;
  #guard: Guard | null = null;
  #admission: Admission | null = null;
  readonly #listeners = new Set<(commit: Commit) => void>();
  readonly #refused = new Listeners<Refused>();
  /** The last apply that was asked for, which has ended or will end well. */
  #lastApply: Promise<unknown> = Promise.resolve();
  /** The same of dry runs, which may read a body that never comes: no apply waits for them. */
  #lastPlan: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> = Promise.resolve();
  /** Threads, from their start until they are gone. */
  readonly #threads = new Set<Promise<unknown>>();

  /**
   * The store stays the caller's to close; `history` says how much of it is kept. Where this thread is there for one job,
   * `isGivenUp` says whether it is still wanted: what isn't committed then is broken off with an `AbortError`.
   */
  constructor(
    { store, clock, history = HISTORY_LIMITS, isGivenUp = () => false }: {
      readonly store: Store;
      readonly clock: Pick<Clock, "unixMs">;
      readonly history?: HistoryLimits;
      readonly isGivenUp?: () => boolean;
    },
  ) {
    this.#store = store;
    this.#clock = clock;
    this.#limits = history;
    this.#isGivenUp = isGivenUp;
  }

  /** Keeps so much history from the next commit on. */
  use(history: HistoryLimits): void {
    this.#limits = history;
  }

  /** Has every change looked at before it is kept, from the next one on. */
  guardBy(guard: Guard): void {
    this.#guard = guard;
  }

  /**
   * Makes the edits, in their order, and tells every subscriber before it returns. References are judged when all
   * edits are made, so an edit may refer to what a later one creates.
   *
   * @throws {ChangeRefused} when the model after the edits would be wrong, or a guard refuses it; nothing is written
   * @throws {StoreBusy} when another process holds the database for too long; nothing is written
   */
  commit(edits: readonly Edit[], origin: Origin, terms: Terms = {}): Commit {
    try {
      this.#expectAdmitted(edits, origin);
      const { commit, changed } = this.#run(makerOf(edits), { origin, keep: true, ...terms });
      if (changed) this.#tell(commit);
      return commit;
    } catch (error) {
      this.#noteRefused(error, origin);
      throw error;
    }
  }

  /**
   * What `commit` would do, without doing it.
   *
   * @throws {ChangeRefused} when the model after the edits would be wrong
   */
  dryRun(edits: readonly Edit[], origin: Origin): Plan {
    return this.#run(makerOf(edits), { origin, keep: false }).plan!;
  }

  /**
   * What `commit` would do, without doing it: `dryRun`, on a thread of its own where an override covers so many pools that
   * this one couldn't do anything else for a while.
   *
   * @throws {ChangeRefused} when the model after the edits would be wrong
   * @throws the signal's reason
   */
  async plan(edits: readonly Edit[], origin: Origin, signal: AbortSignal): Promise<Plan> {
    if (this.#store.path === ":memory:" || !edits.some((edit) => this.#coversMany(edit))) {
      return this.dryRun(edits, origin);
    }
    this.#expectWritable();
    const planned = this.#lastPlan.then(() =>
      this.#onThread(planOnThread({
        ...{ edits, origin, signal },
        store: this.#store,
        history: this.#limits,
        guard: this.#guard?.portable() ?? null,
      }))
    );
    this.#lastPlan = planned.catch(() => {});
    return await planned;
  }

  #coversMany(edit: Edit): boolean {
    const { overrides } = this.#store;
    const override = edit.kind === "createOverride"
      ? { target: edit.fields.target, poolId: "" }
      : edit.kind === "deleteOverride"
      ? overrides.get(edit.id)
      : null;
    return override !== null && override.target.startsWith("region:") &&
      overrides.poolsCoveredBy(override).length > COVERED_HERE_MAX;
  }

  /**
   * Reads a model and makes it the stored one; one at a time, in the order of the calls, and dry runs likewise beside them.
   *
   * A large model, or a small one that takes the place of a large one, is handled by a thread of its own, so that this
   * one goes on with everything else. Other writes are possible until all of the model has been read; from then to
   * the commit they are refused with `StoreBusy`. A database in memory is no other thread's to open: there all is
   * done in one turn.
   *
   * @throws {ChangeRefused} when the model's generation isn't the one the author saw
   * @throws {StoreBusy} when another process holds the database
   * @throws the body's error, or the reason of an abort before the commit; nothing is changed then
   */
  apply(body: ReadableStream<Uint8Array>, options: ApplyOptions): Promise<Applied> {
    const applied = (options.dryRun ? this.#lastPlan : this.#lastApply).then(() =>
      this.#apply(body, options)
    );
    const over = applied.catch((error) => this.#noteRefused(error, options.origin));
    if (options.dryRun) this.#lastPlan = over;
    else this.#lastApply = over;
    return applied;
  }

  /** Resolves when no thread is left, of those that have begun; the database may be closed then. */
  async idle(): Promise<void> {
    await Promise.all(this.#threads);
  }

  /** Makes a model that was read and judged the stored one, in this turn. */
  applyJudged(
    judged: JudgedModel,
    { origin, dryRun, force = false, replayMs = 0, ifGeneration }: Pick<
      ApplyOptions,
      "origin" | "dryRun" | "force" | "replayMs" | "ifGeneration"
    >,
  ): Applied {
    if (!("make" in judged)) return { kind: "invalid", problems: judged.problems };
    if (judged.empty) return { kind: "empty" };
    const make = (draft: Draft) => {
      if (ifGeneration !== null && this.#store.generation() !== ifGeneration) throw stale(ifGeneration);
      judged.make(draft);
    };
    const { commit, changed, objects, plan } = this.#run(make, { origin, keep: !dryRun, force, replayMs });
    if (changed && !dryRun) this.#tell(commit);
    return { kind: "applied", commit, changed, counts: judged.counts, objects, plan };
  }

  /**
   * Makes the model of an earlier generation the stored one, as a commit of its own; overrides stay as they are, but for
   * those of what is deleted. Takes its place among the applies: one at a time, in the order of the calls, and on a thread
   * of its own where much was changed since.
   *
   * @throws {ChangeRefused} when that model can't be told, or would be refused today
   * @throws {StoreBusy} when another process holds the database
   * @throws the reason of an abort before the commit; nothing is changed then
   */
  rollback(options: RollbackOptions): Promise<RolledBack> {
    const rolledBack = this.#lastApply.then(() => this.#rollback(options));
    this.#lastApply = rolledBack.catch((error) =>
      this.#noteRefused(error, { ...options.origin, via: "rollback" })
    );
    return rolledBack;
  }

  /**
   * Has a thread take messages of the cluster's log (`LogReplica.take`), in their place among the applies.
   *
   * @param named digests that the messages refer to, and `part` reads
   * @throws {StoreBusy} when another process holds the database; nothing is changed then
   * @throws what `part` throws, and the signal's reason
   */
  takeLog(
    messages: readonly LogMessage[],
    options: {
      readonly whole: Whole | null;
      readonly named: readonly string[];
      readonly part: (digest: string) => AsyncIterable<Uint8Array>;
      readonly signal: AbortSignal;
    },
  ): Promise<Taken> {
    const taken = this.#lastApply.then(async () => {
      await this.#closing;
      const outcome = await this.#onThread(takeLogOnThread(messages, {
        ...options,
        store: this.#store,
        history: this.#limits,
        guard: this.#guard?.portable() ?? null,
      }));
      for (const commit of outcome.commits) this.#tell(commit);
      return outcome.taken;
    });
    this.#lastApply = taken.catch(() => {});
    return taken;
  }

  /** Does it in this turn. */
  rollbackHere(
    { to, ifGeneration, origin, dryRun, force = false }: Omit<RollbackOptions, "signal">,
  ): RolledBack {
    const { history } = this.#store;
    const target = rollbackTarget(history, to);
    const [before, reason] = [`to generation ${target}`, origin.reason];
    let objects: ChangeCounts = {};
    const make = (draft: Draft) => {
      if (ifGeneration !== undefined && this.#store.generation() !== ifGeneration) throw stale(ifGeneration);
      // Another process may have changed something in between.
      if (rollbackTarget(history, to) !== target) throw stale(target);
      objects = draft.restore(target);
    };
    const { commit, changed, plan } = this.#run(make, {
      force,
      origin: { ...origin, via: "rollback", reason: reason === "" ? before : `${before}: ${reason}` },
      keep: !dryRun,
    });
    if (changed && !dryRun) this.#tell(commit);
    return { commit, changed, to: target, objects, plan };
  }

  /**
   * Takes back what one generation did, as a commit of its own; whatever was changed since stays. Does it in this turn.
   *
   * @throws {ChangeRefused} `stale` when later generations touched the same objects; as `rollback` otherwise
   * @throws {StoreBusy} when another process holds the database
   */
  revertHere(
    { generation, origin, dryRun, force = false }: {
      /** Which one. */
      readonly generation: number;
    } & Pick<RollbackOptions, "origin" | "dryRun" | "force">,
  ): RolledBack {
    const [what, reason] = [`of generation ${generation}`, origin.reason];
    const { commit, changed, objects, plan } = this.#run(
      (draft) => draft.put(reversed(this.#store, generation)),
      {
        force,
        origin: { ...origin, via: "rollback", reason: reason === "" ? what : `${what}: ${reason}` },
        keep: !dryRun,
      },
    );
    if (changed && !dryRun) this.#tell(commit);
    return { commit, changed, to: generation - 1, objects, plan };
  }

  /**
   * Makes several commits as one: others see all of them or none, and subscribers are told when all are made.
   *
   * @throws {StoreBusy} when another process holds the database for too long; nothing is written
   */
  together<Result>(work: (make: MakeOne) => Result): Result {
    const made: Commit[] = [];
    const result = writeTogether(this.#store, (step) => work(this.#maker(step, made)));
    for (const commit of made) this.#tell(commit);
    return result;
  }

  /** What several commits would come to: nothing of them is kept, and no one is told. */
  tried<Result>(work: (make: MakeOne) => Result): Result {
    return writeTogether(this.#store, (step) => work(this.#maker(step, [])), { isKept: false });
  }

  #maker(step: Step, made: Commit[]): MakeOne {
    return (changes, origin, { force = false } = {}) => {
      const terms = { origin, force, keep: true, replayMs: 0, isOwn: false };
      const { commit, changed } = step(
        (writer) => this.#make(writer, (draft) => draft.put(changes), terms),
        (outcome) => outcome.changed,
      );
      if (changed) made.push(commit);
      return { changed, generation: commit.generation };
    };
  }

  /** Asks before each change that comes from here whether changes are taken at all. */
  admitBy(admission: Admission): Disposable {
    this.#admission = admission;
    return { [Symbol.dispose]: () => void (this.#admission = null) };
  }

  /** Calls the listener after each commit made here, in the same turn, until the result is disposed of. */
  subscribe(listener: (commit: Commit) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Calls the listener after each change that guards refused here, until the result is disposed of. */
  onRefused(listener: (refused: Refused) => void): Disposable {
    return this.#refused.add(listener);
  }

  async #apply(body: ReadableStream<Uint8Array>, options: ApplyOptions): Promise<Applied> {
    this.#expectWritable();
    if (!options.dryRun) this.#expectAdmitted(null, options.origin);
    options.signal.throwIfAborted();
    const bytes = body.getReader();
    const head = await readUpTo(bytes, this.#store.path === ":memory:" ? Infinity : HERE_BYTES_MAX);
    // A day's queries take seconds to be answered once more.
    const isQuick = (options.replayMs ?? 0) === 0 || this.#store.path === ":memory:";
    if (head.done && this.#isSmall() && isQuick) {
      options.signal.throwIfAborted();
      return this.#applyHere(head.chunks, options);
    }
    return await this.#applyOnThread(head, bytes, options);
  }

  async #rollback(options: RollbackOptions): Promise<RolledBack> {
    const { signal } = options;
    this.#expectWritable();
    if (!options.dryRun) this.#expectAdmitted(null, { ...options.origin, via: "rollback" });
    signal.throwIfAborted();
    const { history } = this.#store;
    const target = rollbackTarget(history, options.to);
    if (this.#store.path === ":memory:" || history.hasAtMostAfter(target, HERE_OBJECTS_MAX)) {
      return this.rollbackHere(options);
    }
    await this.#closing;
    const outcome = await this.#onThread(rollBackOnThread({
      ...options,
      store: this.#store,
      history: this.#limits,
      guard: this.#guard?.portable() ?? null,
    }));
    if (outcome.changed && !options.dryRun) this.#tell(outcome.commit);
    return outcome;
  }

  #applyHere(chunks: readonly Uint8Array[], options: ApplyOptions): Applied {
    using reading = beginImport(() => this.#store, options);
    for (const chunk of chunks) reading.write(chunk);
    reading.end();
    return this.applyJudged(reading.finish(), options);
  }

  async #applyOnThread(
    head: Head,
    rest: ReadableStreamDefaultReader<Uint8Array>,
    options: ApplyOptions,
  ): Promise<Applied> {
    await this.#closing;
    const applied = await this.#onThread(applyOnThread(joined(head, rest), {
      ...options,
      store: this.#store,
      history: this.#limits,
      guard: this.#guard?.portable() ?? null,
    }));
    if (applied.kind === "applied" && applied.changed && !options.dryRun) this.#tell(applied.commit);
    return applied;
  }

  /** What came of a thread's work; whoever writes next waits until it is gone. */
  async #onThread<Outcome>(begun: Promise<ThreadOutcome<Outcome>>): Promise<Outcome> {
    const gone = begun.then(({ closed }) => closed, () => {}).finally(() => this.#threads.delete(gone));
    this.#threads.add(gone);
    const { outcome, closed } = await begun;
    this.#closing = Promise.all([this.#closing, closed]).then(() => {});
    return outcome;
  }

  #expectWanted(): void {
    if (this.#isGivenUp()) throw new DOMException("The change was given up before its commit", "AbortError");
  }

  /** Whether the stored model is small enough to be compared in a turn of this thread. */
  #isSmall(): boolean {
    return this.#store.path === ":memory:" || this.#store.hasAtMost(HERE_OBJECTS_MAX);
  }

  #tell(commit: Commit): void {
    this.#store.noteTold(commit.generation);
    for (const listener of this.#listeners) callSafely(listener, commit);
  }

  #noteRefused(error: unknown, origin: Origin): void {
    if (error instanceof ChangeRefused && error.kind === "guarded") {
      callSafely((refused) => this.#refused.tell(refused), { origin, guards: error.guards });
    }
  }

  #expectAdmitted(edits: readonly Edit[] | null, origin: Origin): void {
    const refusal = UNGUARDED_WAYS.has(origin.via) ? null : this.#admission?.(edits, origin) ?? null;
    if (refusal !== null) throw refusal;
  }

  #expectWritable(): void {
    if (this.#store.readOnly) {
      throw new ChangeRefused("invalid", [{
        pointer: "",
        message:
          "This node has no database to change (database.path is none): set database.path and restart it",
      }]);
    }
  }

  #examine(proposal: Omit<Proposal, "store" | "before" | "expectWanted">): Examination {
    if (this.#guard === null || UNGUARDED_WAYS.has(proposal.origin.via)) return NOTHING_FORESEEN;
    const { poolIds, serviceIds, zoneDomains } = proposal.touched;
    const touched = poolIds.length + serviceIds.length + zoneDomains.length;
    using before = touched > TOUCHED_SMALL ? this.#store.committed() : null;
    const expectWanted = () => this.#expectWanted();
    return this.#guard.examine({ ...proposal, store: this.#store, before, expectWanted });
  }

  #run(
    make: (draft: Draft) => void,
    { origin, keep, force = false, replayMs = 0 }: {
      readonly origin: Origin;
      readonly keep: boolean;
      readonly replayMs?: number;
    } & Terms,
  ): Outcome {
    this.#expectWritable();
    const { git } = origin;
    const outcome = write<Outcome>(this.#store, {
      work: (writer) => this.#make(writer, make, { origin, keep, force, replayMs, isOwn: true }),
      keep: ({ changed }) => keep && changed,
    });
    const { changed, commit: { generation } } = outcome;
    if (keep && git && !changed) {
      this.#store.gitApplied.keep({ ...git, generation, at: this.#clock.unixMs() });
    }
    return outcome;
  }

  /** One generation, within a transaction. */
  #make(
    writer: Writer,
    make: (draft: Draft) => void,
    { origin, keep, force, replayMs, isOwn }: {
      readonly origin: Origin;
      readonly keep: boolean;
      readonly force: boolean;
      readonly replayMs: number;
      /** Whether it is wanted here and now, and not by the cluster's log. */
      readonly isOwn: boolean;
    },
  ): Outcome {
    const { git } = origin;
    const draft = new Draft({ store: this.#store, writer, nowMs: this.#clock.unixMs() });
    make(draft);
    this.#expectWanted();
    const { touched, all } = draft.conclude();
    const { via, by, reason } = origin;
    const { generation } = writer;
    const at = this.#clock.unixMs();
    const changed = writer.conclude({ at, via, by, reason }, this.#limits);
    if (!changed) {
      const before = generation - 1;
      const plan = keep ? null : emptyPlan(before, NOTHING_FORESEEN);
      return { changed, commit: { generation: before, ...UNTOUCHED }, objects: {}, plan };
    }
    if (keep && isOwn) this.#store.audit.add({ ...auditedChange(origin, at), generation });
    const objects = this.#store.history.counts(generation);
    const examination = force && keep
      ? NOTHING_FORESEEN
      : this.#examine({ origin, generation, counts: objects, touched: all, isPlan: !keep, replayMs });
    if (keep && examination.refusals.length > 0) throw guarded(examination);
    if (keep && git) this.#store.gitApplied.put({ ...git, generation, at });
    if (keep && isOwn) pendForLog(this.#store, { generation, origin, at, force });
    const plan = keep ? null : planOf(this.#store, generation, examination);
    return { changed, commit: { generation, ...touched }, objects, plan };
  }
}

/** Makes the changes of an entry of the cluster's log one of several commits. */
export type MakeOne = (
  changes: readonly RecordedChange[],
  origin: Origin,
  terms?: Terms,
) => { readonly changed: boolean; readonly generation: number };

/** Says why changes aren't taken now; `null` = they are. `edits` are `null` where a whole model is to be another one. */
export type Admission = (edits: readonly Edit[] | null, origin: Origin) => ChangeRefused | null;

/** Objects whose state before the change is taken from the history's entry of it. */
const TOUCHED_SMALL = 1_000;
/** What no one asks for isn't refused: an override that has ended has ended. */
const UNGUARDED_WAYS: ReadonlySet<string> = new Set(["expiry"]);

function guarded({ refusals }: Examination): ChangeRefused {
  return new ChangeRefused("guarded", refusals.map(({ message }) => ({ pointer: "", message })), refusals);
}

/** A body of this size, some 500 lines, is read and committed in less than a frame's time. */
const HERE_BYTES_MAX = 64 << 10;
/** Comparing with a stored model of this size takes some milliseconds. */
const HERE_OBJECTS_MAX = 2_000;

/** A plan of an override of so many pools takes a tenth of a second. */
const COVERED_HERE_MAX = 200;

function makerOf(edits: readonly Edit[]): (draft: Draft) => void {
  return (draft) => {
    for (const [i, edit] of edits.entries()) draft.apply(edit, edits.length > 1 ? `/${i}` : "");
  };
}

function stale(ifGeneration: number): ChangeRefused {
  const message =
    `The model was changed meanwhile: this one was made for generation ${ifGeneration}; read it again`;
  return new ChangeRefused("stale", [{ pointer: "", message }]);
}

/** The beginning of a body. */
interface Head {
  readonly chunks: readonly Uint8Array[];
  /** Whether that was all. */
  readonly done: boolean;
}

async function readUpTo(reader: ReadableStreamDefaultReader<Uint8Array>, bytesMax: number): Promise<Head> {
  const chunks: Uint8Array[] = [];
  for (let size = 0; size <= bytesMax;) {
    const { done, value } = await reader.read();
    if (done) return { chunks, done };
    chunks.push(value);
    size += value.length;
  }
  return { chunks, done: false };
}

async function* joined(
  { chunks, done }: Head,
  rest: ReadableStreamDefaultReader<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield* chunks;
  while (!done) {
    const next = await rest.read();
    if (next.done) return;
    yield next.value;
  }
}

interface Outcome {
  readonly commit: Commit;
  readonly changed: boolean;
  readonly objects: ChangeCounts;
  /** Of what isn't to be kept. */
  readonly plan: Plan | null;
}

/**
 * The commit is made, or refused: a listener that throws must neither undo that in the author's eyes nor hide it from
 * others.
 */
function callSafely<Told>(listener: (told: Told) => void, told: Told): void {
  try {
    listener(told);
  } catch (cause) {
    reportError(cause);
  }
}
