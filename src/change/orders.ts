/**
 * The thread of one long job on the database; `plan/worker.ts` is its entry, which knows the guard.
 *
 * An apply reads a model, compares it with the stored one and commits the difference, on a
 * connection of its own, while the main thread goes on with everything else.
 *
 * A rollback does the same with a model of the history, and messages of the cluster's log with what they do. Of edits that reach
 * very many pools it only makes a plan.
 *
 * It lives for one model. It asks before it takes the write lock, so that the main thread knows not to wait for it.
 * A digest only reads. Messages in: `Order`; out: `Report`.
 *
 * @module
 */
import { systemClock } from "../clock.ts";
import { StoreBusy } from "../store/database.ts";
import type { HistoryLimits } from "../store/history.ts";
import { Store } from "../store/store.ts";
import { Changes } from "./commit.ts";
import type { Guard, GuardRefusal } from "./guard.ts";
import {
  type Applied,
  type ApplyOptions,
  ChangeRefused,
  type Commit,
  type Edit,
  type Origin,
  type Problem,
  type RefusalKind,
  type RollbackOptions,
  type RolledBack,
} from "./edit.ts";
import { digestOf, type ModelDigest } from "./digest.ts";
import { LogJob } from "./log_job.ts";
import type { LogMessage, Taken, Whole } from "./log_message.ts";
import { trimHeap } from "./memory.ts";
import { beginImport, type ModelImport } from "./model_import.ts";
import type { Plan } from "./plan_report.ts";
import type { JudgedModel } from "./staged_model.ts";

/** From the main thread. */
export type Order =
  | { readonly kind: "digest"; readonly path: string }
  | { readonly kind: "start"; readonly path: string; readonly options: ThreadOptions }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "end" }
  | { readonly kind: "judge" }
  | { readonly kind: "commit" }
  | { readonly kind: "rollback"; readonly path: string; readonly options: ThreadRollback }
  | { readonly kind: "plan"; readonly path: string; readonly options: ThreadPlan }
  | { readonly kind: "log"; readonly path: string; readonly options: ThreadLog }
  /** The bytes that follow are the lines of this digest. */
  | { readonly kind: "part"; readonly digest: string }
  /** Leave everything as it is, and end. */
  | { readonly kind: "abort" };

/** What every job is given. */
export interface JobOptions {
  /** Whether only to say what would come of it. */
  readonly dryRun: boolean;
  /** One word; not 0 = undo what isn't committed yet. */
  readonly aborted: SharedArrayBuffer;
  /** How much history is kept. */
  readonly history: HistoryLimits;
  /** What the guard goes by (`Guard.portable`); `null` = there is none. */
  readonly guard: unknown;
}

/** `ApplyOptions` as they can be sent. */
export interface ThreadOptions extends Omit<ApplyOptions, "signal">, JobOptions {}

/** `RollbackOptions` as they can be sent. */
export interface ThreadRollback extends Omit<RollbackOptions, "signal">, JobOptions {}

/** Edits of which only a plan is wanted. */
export interface ThreadPlan extends JobOptions {
  /** In their order. */
  readonly edits: readonly Edit[];
  /** Who asks. */
  readonly origin: Origin;
}

/** Messages of the cluster's log, which may refer to parts that follow. */
export interface ThreadLog extends JobOptions {
  /** In their order. */
  readonly messages: readonly LogMessage[];
  /** What they are to this node, if they are the log from its begin. */
  readonly whole: Whole | null;
}

/** To the main thread. */
export type Report =
  | { readonly kind: "digest"; readonly digest: ModelDigest }
  /** So many bytes have been read. */
  | { readonly kind: "read"; readonly bytes: number }
  /** All was written, and a document is parsed; `judge` is awaited, and opens the database at the latest. */
  | { readonly kind: "parsed" }
  /** All is judged; `commit` is awaited. */
  | { readonly kind: "ready" }
  | { readonly kind: "done"; readonly applied: Applied }
  | {
    readonly kind: "refused";
    readonly refusal: RefusalKind;
    readonly problems: readonly Problem[];
    readonly guards: readonly GuardRefusal[];
  }
  | { readonly kind: "rolledBack"; readonly outcome: RolledBack }
  | { readonly kind: "planned"; readonly plan: Plan }
  | { readonly kind: "taken"; readonly taken: Taken; readonly commits: readonly Commit[] }
  | { readonly kind: "busy"; readonly message: string }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "closed" };

let guardOf: (portable: unknown) => Guard;
let options: ThreadOptions;
let job: JobOptions | undefined;
let path: string;
let store: Store | undefined;
let reading: ModelImport;
let log: LogJob | undefined;
let judged: JudgedModel;
/** Whether all that is written is gone in the end. */
let isScratch = false;
let closing = false;

/** The worker's global scope, as far as it is used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<Order>) => void) | null;
  postMessage(report: Report): void;
  close(): void;
}

const scope = globalThis as unknown as WorkerScope;

/** Takes orders from now on. @param guard makes the guard of what another thread's was made of */
export function serveOrders(guard: (portable: unknown) => Guard): void {
  guardOf = guard;
  let turn: Promise<void> = Promise.resolve();
  scope.onmessage = ({ data: order }) => void (turn = turn.then(() => take(order)));
}

/** One after the other. */
async function take(order: Order): Promise<void> {
  // What was sent before the main thread heard of the end.
  if (closing) return;
  if (isAborted()) return close();
  try {
    await obey(order);
  } catch (error) {
    report(failureOf(error));
    close();
  }
}

async function obey(order: Order): Promise<void> {
  switch (order.kind) {
    case "digest":
      store = Store.again(order.path);
      report({ kind: "digest", digest: digestOf(store) });
      return close();
    case "start":
      ({ path, options } = order);
      job = options;
      // Lines are staged in the database as they come, a document when it has been parsed.
      if (options.format === "ndjson") await open();
      reading = beginImport(() => store!, options);
      return;
    case "log":
      ({ path } = order);
      job = order.options;
      log = new LogJob(order.options);
      return;
    case "part":
      return log!.open(order.digest);
    case "bytes":
      (log ?? reading).write(order.bytes);
      return report({ kind: "read", bytes: order.bytes.length });
    case "end":
      (log ?? reading).end();
      return report({ kind: "parsed" });
    case "judge":
      await open();
      if (log === undefined) judged = reading.finish();
      return report({ kind: "ready" });
    case "commit":
      report(log === undefined ? { kind: "done", applied: commit() } : takeLog(log));
      return close();
    case "rollback":
      path = order.path;
      job = order.options;
      await open();
      report({ kind: "rolledBack", outcome: rollBack(order.options) });
      return close();
    case "plan":
      path = order.path;
      job = order.options;
      await open();
      report({ kind: "planned", plan: changesBy(job).dryRun(order.options.edits, order.options.origin) });
      return close();
    case "abort":
      return close();
  }
}

async function open(): Promise<void> {
  if (store) return;
  // A plan never takes the lock that others write under, however long it takes.
  isScratch = job!.dryRun;
  store = isScratch ? await Store.scratch(path) : Store.again(path);
  store.prepareForBulk();
}

function commit(): Applied {
  return changesBy(options).applyJudged(judged, options);
}

function takeLog(log: LogJob): Report {
  const changes = changesBy(job!);
  const commits: Commit[] = [];
  using _ = changes.subscribe((commit) => commits.push(commit));
  return { kind: "taken", taken: log.takenBy(store!, changes), commits };
}

function rollBack(options: ThreadRollback): RolledBack {
  return changesBy(options).rollbackHere(options);
}

function changesBy({ history, guard }: JobOptions): Changes {
  const changes = new Changes({ store: store!, clock: systemClock, history, isGivenUp: isAborted });
  if (guard !== null) changes.guardBy(guardOf(guard));
  return changes;
}

/** No message reaches a thread that doesn't turn: so the main thread writes the word, and we look at it. */
function isAborted(): boolean {
  return job !== undefined && Atomics.load(new Int32Array(job.aborted), 0) !== 0;
}

/** The connection is closed at any rate; what it kept in temporary files is gone with it. */
function close(): void {
  if (closing) return;
  closing = true;
  try {
    if (!store) return;
    store.database.endTransaction();
    if (!isScratch) store.checkpoint();
    store.close();
    trimHeap();
  } finally {
    report({ kind: "closed" });
    scope.close();
  }
}

function failureOf(error: unknown): Report {
  if (error instanceof ChangeRefused) {
    return { kind: "refused", refusal: error.kind, problems: error.problems, guards: error.guards };
  }
  if (error instanceof StoreBusy) return { kind: "busy", message: error.message };
  return { kind: "failed", message: error instanceof Error ? error.stack ?? error.message : String(error) };
}

function report(message: Report): void {
  scope.postMessage(message);
}
