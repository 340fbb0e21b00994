/**
 * A node's copy of the cluster's log: puts the entries of others into the model in their order, and keeps its own on top
 * until the log has them.
 *
 * ```text
 * the model = the log up to the head + every pending entry, in the order in which it was made
 *
 * an entry of another node comes:   undo what is pending → make the entry → make again what was pending
 * a pending entry is acknowledged:  it is the head; the model stays as it is
 * the broker has lost entries:      those after the last that it has are pending again
 * ```
 *
 * All of this is one transaction: DNS and the API see what was before or what comes after. An entry that doesn't fit the
 * model that it meets is left out by every node alike, since all of them have the same one there. A pending one that no
 * longer fits, or that a guard refuses now, is taken out and kept as a conflict.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { Listeners } from "../listeners.ts";
import type { RecordedChange } from "../store/history_parts.ts";
import type { LogConflict, LogEntry, LogMember, LogPosition, PendingEntry } from "../store/log.ts";
import type { Store } from "../store/store.ts";
import { auditedChange } from "./audit_trail.ts";
import type { Changes, MakeOne } from "./commit.ts";
import { ChangeRefused, type Origin } from "./edit.ts";
import { changesOf } from "./log_pending.ts";
import { modelAsChanges } from "./model_changes.ts";

/** One message of the log: entries that were published together, or a model that the log begins with. */
export interface LogMessage {
  /** Where the broker has it. */
  readonly sequence: number;
  /** The entry before the first one; empty = there was none. */
  readonly prev: string;
  /** Of the last of its entries. */
  readonly stamp: number;
  /** In their order. */
  readonly entries: readonly LogEntry[];
  /** `null` = it has entries. */
  readonly base: LogBase | null;
}

/** A whole model, with which a log begins whose entries before are lost. */
export interface LogBase {
  /** Of the entry that it counts as. */
  readonly id: string;
  /** The node that published it. */
  readonly node: string;
  /** Ids of the last entries that it has, the last one first. */
  readonly recent: readonly string[];
  /** Every object, as created. */
  readonly model: readonly RecordedChange[];
}

/** What became of a message. */
export type Taken =
  | { readonly kind: "taken"; readonly entries: number; readonly conflicts: readonly LogConflict[] }
  /** It doesn't follow the head: the broker has lost entries, or was given others. */
  | { readonly kind: "broken" }
  /** This node has a model of its own that isn't that of the log. */
  | { readonly kind: "foreign" };

/** A node's copy of the log. */
export class LogReplica {
  readonly #store: Store;
  readonly #changes: Changes;
  readonly #clock: Pick<Clock, "unixMs">;
  readonly #conflicts = new Listeners<LogConflict>();

  /** The store stays the caller's to close. */
  constructor(
    { store, changes, clock }: {
      readonly store: Store;
      readonly changes: Changes;
      readonly clock: Pick<Clock, "unixMs">;
    },
  ) {
    this.#store = store;
    this.#changes = changes;
    this.#clock = clock;
  }

  /** Keeps commits for the log from now on. */
  join(member: LogMember): void {
    this.#store.log.join(member);
  }

  /** How far this node has come. */
  position(): LogPosition {
    return this.#store.log.position();
  }

  /** Whether nothing was ever declared here, nor taken from a log. */
  isBlank(): boolean {
    const { head } = this.position();
    return head === "" && this.#store.log.pendingCount() === 0 && !this.#hasModel();
  }

  /** Whether there is a model that no log knows of. */
  hasOwnModel(): boolean {
    return this.position().head === "" && this.#store.log.pendingCount() === 0 && this.#hasModel();
  }

  /** What is to be published next. */
  pending(limit: number): PendingEntry[] {
    return this.#store.log.pending(limit);
  }

  /** How much is. */
  pendingCount(): number {
    return this.#store.log.pendingCount();
  }

  /** Calls the listener for each entry that no longer fits, until the result is disposed of. */
  onConflict(listener: (conflict: LogConflict) => void): Disposable {
    return this.#conflicts.add(listener);
  }

  /** The model with which a log may begin. */
  base(): Pick<LogBase, "recent" | "model"> {
    return { recent: this.#store.log.lastIds(RECENT_MAX), model: [...modelAsChanges(this.#store)] };
  }

  /** Whether an entry is the head or one of those that are kept before it. */
  knows(id: string): boolean {
    return this.position().head === id || this.#store.log.stampOf(id) !== null;
  }

  /** Notes that a sequence was read in which there is nothing for this node. */
  skip(position: Pick<LogPosition, "created" | "sequence">): void {
    this.#store.log.transact(() => this.#store.log.move(position));
  }

  /**
   * Goes back to an entry, which is the last one that the broker's log and this one have in common: those after it are
   * pending again. The model stays as it is.
   *
   * @returns how many are pending again
   */
  goBackTo(id: string, position: Pick<LogPosition, "created" | "sequence">): number {
    const { log } = this.#store;
    return log.transact(() => {
      const stamp = log.stampOf(id);
      const head = log.position();
      if (stamp === null) {
        log.move(position);
        return 0;
      }
      const lost = log.lose(stamp);
      log.move({ ...position, stamp, head: lost === 0 ? head.head : id });
      return lost;
    });
  }

  /**
   * Takes messages in their order.
   *
   * @throws {StoreBusy} when the database can't be written to; nothing is changed then
   */
  take(messages: readonly LogMessage[]): Taken {
    const conflicts: LogConflict[] = [];
    const taken = this.#changes.together<Taken>((make) => {
      const taking = new Taking(this.#store, make);
      let entries = 0;
      for (const [i, message] of messages.entries()) {
        const fault = this.#takeOne(message, taking);
        if (fault !== null && i === 0) return { kind: fault };
        // It is the first one of the next time.
        if (fault !== null) break;
        entries += message.entries.length;
        this.#store.log.move({ sequence: message.sequence });
      }
      for (const { entry, why } of taking.finish()) conflicts.push(this.#keepConflict(entry, why));
      return { kind: "taken", entries, conflicts };
    });
    for (const conflict of conflicts) this.#conflicts.tell(conflict);
    return taken;
  }

  #takeOne(message: LogMessage, taking: Taking): "broken" | "foreign" | null {
    const { base, entries } = message;
    const hasOwnModel = this.hasOwnModel();
    if (base !== null) return taking.begin(base, message, hasOwnModel);
    if (hasOwnModel) return "foreign";
    if (!taking.follows(message)) return "broken";
    for (const entry of entries) taking.take(entry);
    return null;
  }

  #keepConflict({ id, node, boot, at, via, by, reason, force, changes }: LogEntry, why: string): LogConflict {
    const entry = { id, node, boot, at, via, by, reason, force, changes };
    const conflict = { ...entry, why, foundAt: this.#clock.unixMs() };
    this.#store.log.addConflict(conflict);
    this.#store.audit.add({
      ...auditedChange(originOf(entry), conflict.foundAt),
      outcome: "refused",
      detail: `It doesn't fit what others changed before it: ${why}`,
      generation: null,
    });
    return conflict;
  }

  #hasModel(): boolean {
    const { zones } = this.#store;
    return !this.#store.hasAtMost(0) || zones.all().length > 0 || this.#store.fallback() !== null;
  }
}

/** Ids that a base has of the entries before it. */
const RECENT_MAX = 2_000;

/** What a base leaves behind among the entries. */
const NO_CHANGE = { boot: "", at: 0, via: "cluster", by: "", reason: "", force: false, changes: [] };

/** Who wanted a pending entry. */
function originOf({ via, by, reason }: LogEntry): Origin {
  return { via, by, reason };
}

/** Entries being taken, in one transaction. */
class Taking {
  readonly #store: Store;
  readonly #make: MakeOne;
  #pending: PendingEntry[];
  /** Pending entries that were undone and have to be made again. */
  #undone: PendingEntry[] = [];
  /** What undoes them, until it is made along with the first entry. */
  #undo: readonly RecordedChange[] = [];
  readonly #refused: { readonly entry: LogEntry; readonly why: string }[] = [];

  constructor(store: Store, make: MakeOne) {
    this.#store = store;
    this.#make = make;
    this.#pending = store.log.pending();
  }

  follows({ prev, entries }: LogMessage): boolean {
    const { head } = this.#store.log.position();
    return prev === head || entries.some(({ id }) => this.#store.log.stampOf(id) !== null);
  }

  take(entry: LogEntry): void {
    const { log } = this.#store;
    if (log.stampOf(entry.id) !== null) return;
    let { changes } = entry;
    if (this.#pending[0]?.id === entry.id && this.#undone.length === 0) {
      this.#pending.shift();
      log.settle(entry.id);
    } else {
      this.#undoPending();
      if (this.#undone.some(({ id }) => id === entry.id)) {
        this.#undone = this.#undone.filter(({ id }) => id !== entry.id);
        log.settle(entry.id);
      }
      const { node, by, reason } = entry;
      const said = reason === "" ? `at ${node}` : `at ${node}: ${reason}`;
      changes = this.#put(() => entry.changes, { by, reason: said }, entry);
    }
    const stamp = log.position().stamp + 1;
    log.keep(stamp, { ...entry, changes });
    log.move({ stamp, head: entry.id });
  }

  /** A whole model. @returns why it can't be taken; `null` = it was */
  begin(base: LogBase, { prev, stamp }: LogMessage, hasOwnModel: boolean): "foreign" | "broken" | null {
    const { log } = this.#store;
    const { recent, id } = base;
    if (log.stampOf(id) !== null) return null;
    const now = log.position();
    if (now.head === "" || prev !== now.head) {
      const common = recent.find((each) => log.stampOf(each) !== null);
      if (common === undefined && now.stamp >= stamp) return "broken";
      if (hasOwnModel && differenceTo(this.#store, base.model).length > 0) return "foreign";
      if (common !== undefined) {
        log.lose(log.stampOf(common)!);
        const undone = new Set(this.#undone.map((entry) => entry.id));
        this.#pending = log.pending().filter((entry) => !undone.has(entry.id));
      }
      this.#undoPending();
      this.#put(() => differenceTo(this.#store, base.model), {
        by: "",
        reason: "the cluster's log begins with this model",
      });
      log.forgetEntries();
    }
    log.keep(stamp, { ...NO_CHANGE, id, node: base.node });
    log.move({ stamp, head: id });
    return null;
  }

  /** Makes again what was undone. @returns what doesn't fit any more */
  finish(): readonly { readonly entry: LogEntry; readonly why: string }[] {
    const { log } = this.#store;
    this.#flushUndo();
    for (const entry of this.#undone) {
      try {
        const { changed, generation } = this.#make(entry.changes, originOf(entry), { force: entry.force });
        if (changed) log.repend(entry.id, generation, changesOf(this.#store, generation));
        else log.settle(entry.id);
      } catch (refusal) {
        if (!(refusal instanceof ChangeRefused)) throw refusal;
        log.settle(entry.id);
        this.#refused.push({ entry, why: refusal.message });
      }
    }
    return this.#refused;
  }

  #undoPending(): void {
    if (this.#pending.length === 0) return;
    this.#undone = [...this.#pending, ...this.#undone];
    this.#undo = undoing(this.#pending);
    this.#pending = [];
  }

  /** @returns what it did, which is nothing where it doesn't fit: every node finds the same, and goes on */
  #put(
    changes: () => readonly RecordedChange[],
    { by, reason }: Pick<Origin, "by" | "reason">,
    entry: LogEntry | null = null,
  ): readonly RecordedChange[] {
    this.#flushUndo();
    try {
      const { changed, generation } = this.#make(changes(), { via: "cluster", by, reason });
      return changed && entry !== null ? changesOf(this.#store, generation) : [];
    } catch (refusal) {
      if (!(refusal instanceof ChangeRefused) || entry === null) throw refusal;
      this.#refused.push({ entry, why: refusal.message });
      return [];
    }
  }

  #flushUndo(): void {
    if (this.#undo.length === 0) return;
    const undo = this.#undo;
    this.#undo = [];
    this.#make(undo, {
      via: "cluster",
      by: "",
      reason: "changes of this node are made again after those of others",
    });
  }
}

/** What makes of the model with all these entries the one before the first. */
function undoing(entries: readonly LogEntry[]): RecordedChange[] {
  const first = new Map<string, RecordedChange>();
  for (const { changes } of entries.toReversed()) {
    for (const { kind, id, before, after } of changes) {
      const key = `${kind} ${id}`;
      const newest = first.get(key);
      first.set(key, { kind, id, before: newest === undefined ? after : newest.before, after: before });
    }
  }
  return [...first.values()].filter(({ before, after }) => before !== after);
}

/** What makes of the stored model this one. */
function differenceTo(store: Store, model: readonly RecordedChange[]): RecordedChange[] {
  const wanted = new Map(model.map((change) => [`${change.kind} ${change.id}`, change]));
  const changes: RecordedChange[] = [];
  for (const { kind, id, after: before } of modelAsChanges(store)) {
    const key = `${kind} ${id}`;
    const after = wanted.get(key)?.after ?? null;
    wanted.delete(key);
    if (after !== before) changes.push({ kind, id, before, after });
  }
  return [...changes, ...wanted.values()];
}
