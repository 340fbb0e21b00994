/**
 * A node's copy of the cluster's log: puts the entries of others into the model in their order, and keeps its own on top
 * until the log has them.
 *
 * ```text
 * the model = the log up to the head + every pending entry, in the order in which it was made
 *
 * an entry of another node comes:   undo what is pending → make the entry → make again what was pending
 *                                   (where the two are apart, `log_apart.ts`: make the entry)
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
import { createHash } from "node:crypto";
import type { Clock } from "../clock.ts";
import { Listeners } from "../listeners.ts";
import type { RecordedChange } from "../store/history_parts.ts";
import type { LogConflict, LogEntry, LogMember, LogPosition, PendingEntry } from "../store/log.ts";
import {
  filled,
  LineReader,
  type LogBase,
  type LogMessage,
  type MessageEntry,
  partsNamed,
  type Taken,
  type Whole,
} from "./log_message.ts";
import { MODEL_KINDS } from "../store/past.ts";
import type { Store } from "../store/store.ts";
import { auditedChange } from "./audit_trail.ts";
import type { Changes, MakeOne } from "./commit.ts";
import { ChangeRefused, type Origin, type Terms } from "./edit.ts";
import { Reach } from "./log_apart.ts";
import { nowOf } from "./log_changes.ts";
import { Fitting } from "./log_fitting.ts";
import { lackingIn, piecesOf } from "./log_lacking.ts";
import { changesOf, ENTRY_LENGTH_MAX, newEntryId } from "./log_pending.ts";
import { modelAsChanges } from "./model_changes.ts";

/** Something that is read over a while; who is given it disposes of it. */
export interface Held<Value> extends Disposable {
  /** It. */
  readonly value: Value;
}

function held<Value>(value: Value, end: () => void = () => {}): Held<Value> {
  return { value, [Symbol.dispose]: end };
}

/** The model of a position. */
export interface HeadModel {
  /** Where the log had it. */
  readonly position: LogPosition;
  /** Positions before it, the last one first. */
  readonly recent: readonly string[];
  /** Every object, as created; read once. */
  readonly changes: Iterable<RecordedChange>;
}

/** Pending entries of which the size is looked at, and bytes that are much. */
const MUCH_COUNT = 2_000;
const MUCH_SIZE = 2 << 20;

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

  /**
   * Keeps commits for the log from now on. What was changed while they weren't kept is one entry that is pending.
   *
   * @throws {StoreBusy} when another process holds the database for too long
   */
  join(member: LogMember): void {
    const { log } = this.#store;
    log.transact(() => {
      const leftAt = log.join(member, this.#hasModel());
      if (leftAt !== null && leftAt < this.#store.generation()) this.#pendSince(leftAt, member);
    });
  }

  #pendSince(leftAt: number, { node, boot }: LogMember): void {
    const { log, history } = this.#store;
    const generation = this.#store.generation();
    // The generation of a restored backup may be another one of the same number, and history may not go so far back.
    if (history.reach(leftAt).kind !== "kept") return log.setOwnModel(true);
    using between = history.between({ from: leftAt, to: generation });
    const changes = MODEL_KINDS.flatMap((kind) => [...between.of(kind)])
      .filter(({ before, after }) => before !== after);
    if (changes.length === 0) return;
    const origin = { ...OUTSIDE_ENTRY, at: this.#clock.unixMs() };
    log.pend(generation, { id: newEntryId(), node, boot, ...origin, changes });
  }

  /** How far this node has come. */
  position(): LogPosition {
    return this.#store.log.position();
  }

  /** The node that wrote the last entry that the model has; empty = there is none. */
  lastAuthor(): string {
    return this.#store.log.lastAuthor();
  }

  /** Whether nothing was ever declared here, nor taken from a log. */
  isBlank(): boolean {
    return this.position().head === "" && this.#store.log.pendingCount() === 0 && !this.hasOwnModel();
  }

  /** Whether there is a model that no log knows of. */
  hasOwnModel(): boolean {
    return this.#store.log.hasOwnModel();
  }

  /**
   * What is to be published next, as far as it fits one message; or one entry that is too large for any, without what it does.
   *
   * @param sizeMax bytes of what they do
   */
  pending(
    { countMax, sizeMax }: { readonly countMax: number; readonly sizeMax: number },
  ): { readonly entries: MessageEntry[]; readonly large: PendingEntry | null } {
    const { log } = this.#store;
    const sizes = log.pendingSizes(countMax);
    let [count, size] = [0, 0];
    while (count < sizes.length && size + sizes[count]! <= sizeMax) size += sizes[count++]!;
    const isLarge = count === 0 && sizes.length > 0;
    const entries = sizes.length === 0 ? [] : log.pending(Math.max(count, 1));
    return isLarge
      ? { entries: [], large: entries[0]! }
      : { entries: entries.map((entry) => messageEntry(entry, entry.changes)), large: null };
  }

  /** What a pending entry does, as it is at this moment. */
  pendingChanges(id: string): Held<Iterable<RecordedChange>> {
    const frozen = this.#store.frozen();
    // Only one connection sees what is in memory: then it is read at once.
    if (frozen === null) return held([...this.#store.log.pendingChanges(id)]);
    return held(frozen.log.pendingChanges(id), () => frozen.close());
  }

  /** Whether what is pending is so much that it takes long to make it again. */
  hasMuchPending(): boolean {
    const { log } = this.#store;
    return log.pendingSizes(MUCH_COUNT).reduce((sum, size) => sum + size, 0) > MUCH_SIZE;
  }

  /** How much is. */
  pendingCount(): number {
    return this.#store.log.pendingCount();
  }

  /** How many are kept that no longer fitted. */
  conflictCount(): number {
    return this.#store.log.conflictCount();
  }

  /** Calls the listener for each entry that no longer fits, until the result is disposed of. */
  onConflict(listener: (conflict: LogConflict) => void): Disposable {
    return this.#conflicts.add(listener);
  }

  /** The model of this node's head, without what is pending: a log may begin with it, and a node that comes later. */
  model(): Held<HeadModel> {
    const frozen = this.#store.frozen();
    const store = frozen ?? this.#store;
    const { log } = store;
    const changes = modelWithout(store, log.pending());
    const head = { position: log.position(), recent: log.positions() };
    return frozen === null
      ? held({ ...head, changes: [...changes] })
      : held({ ...head, changes }, () => frozen.close());
  }

  /** The last position of a message, or before it, to which this node can go back; `null` = none. */
  knownOf(message: LogMessage): string | null {
    const known = positionsOf(message).findLast((position) => this.#knows(position));
    // A model has what its node took, of which this one may lack the end: all else of this node's is in it.
    return known ?? message.base?.recent.find((position) => this.#knows(position)) ?? null;
  }

  /** The position of who has taken a message, and nothing after it. */
  endOf(message: Omit<LogMessage, "sequence">): string {
    return positionsOf(message).at(-1)!;
  }

  /**
   * A message whose entries are too many to be taken at once, in parts that may be taken one after the other. What of it was
   * taken already isn't in them.
   *
   * @param before the sequence of the message before it
   * @param objectsMax objects that a part has, unless one entry has more
   */
  partsOf(
    message: LogMessage,
    { before, objectsMax }: { readonly before: number; readonly objectsMax: number },
  ): LogMessage[] {
    const { sequence, stamp, entries, base } = message;
    const objects = entries.reduce((sum, { changes }) => sum + changes.length, 0);
    if (base !== null || objects <= objectsMax) return [message];
    const positions = positionsOf(message);
    const parts: LogMessage[] = [];
    let size = 0;
    let from = Math.max(positions.indexOf(this.position().head), 0);
    for (let i = from; i < entries.length; i++) {
      size += entries[i]!.changes.length;
      const isLast = i === entries.length - 1;
      if (size < objectsMax && !isLast) continue;
      parts.push({
        sequence: isLast ? sequence : before,
        prev: positions[from]!,
        stamp: stamp - (entries.length - 1 - i),
        entries: entries.slice(from, i + 1),
        base,
      });
      [from, size] = [i + 1, 0];
    }
    return parts.length === 0 ? [message] : parts;
  }

  #knows(position: string): boolean {
    const { log } = this.#store;
    // What begins with nothing is another log to a node that has something of one.
    if (position === "") return this.position().head === "";
    return this.position().head === position || log.stampOf(position) !== null;
  }

  /** Notes that a sequence was read in which there is nothing for this node. */
  skip(position: Pick<LogPosition, "created" | "sequence">): void {
    this.#store.log.transact(() => this.#store.log.move(position));
  }

  /**
   * Goes back to a position, which is the last one that the broker's log and this one have in common: the entries after it
   * are pending again. The model stays as it is.
   *
   * @returns how many are pending again
   */
  goBackTo(position: string, at: Pick<LogPosition, "created" | "sequence">): number {
    const { log } = this.#store;
    return log.transact(() => {
      const stamp = position === "" ? 0 : log.stampOf(position);
      const lost = stamp === null ? 0 : log.lose(stamp);
      log.move({ ...at, head: position, ...(stamp !== null && { stamp }) });
      return lost;
    });
  }

  /**
   * Takes messages in their order that refer to something, or do much: on a thread of its own.
   *
   * @param whole as in `take`
   * @param part reads the lines that a digest names
   * @throws {StoreBusy} when the database can't be written to; nothing is changed then
   * @throws what `part` throws, and the signal's reason
   */
  async takeLarge(
    messages: readonly LogMessage[],
    { whole = null, part, signal }: {
      readonly whole?: Whole | null;
      readonly part: (digest: string) => AsyncIterable<Uint8Array>;
      readonly signal: AbortSignal;
    },
  ): Promise<Taken> {
    const needed = whole !== null ? messages : messages.map((message) => this.#withoutNeedless(message));
    const named = partsNamed(needed);
    if (this.#store.path !== ":memory:") {
      const taken = await this.#changes.takeLog(needed, { whole, named, part, signal });
      if (taken.kind === "taken") { for (const conflict of taken.conflicts) this.#conflicts.tell(conflict); }
      return taken;
    }
    const parts = new Map<string, readonly RecordedChange[]>();
    for (const digest of named) {
      const lines = new LineReader();
      for await (const bytes of part(digest)) lines.write(bytes);
      parts.set(digest, lines.end());
    }
    return this.take(filled(needed, parts), { whole });
  }

  /** Who is where a model was published has it. */
  #withoutNeedless(message: LogMessage): LogMessage {
    const { prev, base } = message;
    if (base === null || prev === "" || prev !== this.position().head) return message;
    return { ...message, base: { ...base, model: [], parts: null } };
  }

  /**
   * Takes messages in their order, which have all in them that they refer to.
   *
   * @param whole what they are to this node, if they are the log from its begin; `null` = they follow what it has
   * @throws {StoreBusy} when the database can't be written to; nothing is changed then
   */
  take(messages: readonly LogMessage[], { whole = null }: { readonly whole?: Whole | null } = {}): Taken {
    const conflicts: LogConflict[] = [];
    const taken = this.#changes.together<Taken>((make) => {
      // What no log knows of is never given up for one.
      if (whole !== null && this.hasOwnModel()) return { kind: "foreign" };
      const taking = new Taking(this.#store, make, this.#clock.unixMs());
      if (whole !== null) taking.beginAgain(whole);
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
      for (const { entry, why } of taking.overwritten) conflicts.push(this.#keepOverwritten(entry, why));
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
    const from = positionsOf(message).indexOf(this.position().head);
    if (from < 0) return "broken";
    for (const entry of entries.slice(from)) taking.take(entry);
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

  /** What another node's author may want to know: it was said here before, and published after it. */
  #keepOverwritten(
    { id, node, boot, at, via, by, reason, force, changes }: LogEntry,
    why: string,
  ): LogConflict {
    const conflict = { ...{ id, node, boot, at, via, by, reason, force, changes }, why };
    const kept = { ...conflict, foundAt: this.#clock.unixMs() };
    this.#store.log.addConflict(kept);
    return kept;
  }

  #hasModel(): boolean {
    const { zones } = this.#store;
    return !this.#store.hasAtMost(0) || zones.all().length > 0 || this.#store.fallback() !== null;
  }
}

/** The position that a message follows, and those of its entries. */
export function positionsOf({ prev, entries, base }: Omit<LogMessage, "sequence">): string[] {
  if (base !== null) return [prev, base.position ?? positionAfter(prev, base.id)];
  const positions = [prev];
  for (const { id } of entries) positions.push(positionAfter(positions.at(-1)!, id));
  return positions;
}

/** Two nodes at one position have taken the same entries in the same order. */
function positionAfter(position: string, id: string): string {
  return createHash("sha256").update(`${position} ${id}`).digest("hex").slice(0, 32);
}

/** A guard was asked where an entry was made, and is asked again where one is made again. */
const UNGUARDED: Terms = { force: true };

/** What is said of what a node had from another log. */
const BROUGHT_ENTRY = {
  ...{ via: "cluster", by: "", force: true },
  reason: "this node had it from another log, and this one lacks it",
};

/** What is said of all that was changed on a node between two times that it kept commits for the log. */
const OUTSIDE_ENTRY = {
  ...{ via: "cluster", by: "", force: false },
  reason: "changed while the node wasn't in the cluster",
};

/** How the history names an entry of another node. */
function saidOf({ node, by, reason }: LogEntry): Pick<Origin, "by" | "reason"> {
  return { by, reason: reason === "" ? `at ${node}` : `at ${node}: ${reason}` };
}

/** Why a model takes the place of another one. */
const ANOTHER_LOG = { by: "", reason: "the cluster's log begins with this model" };

/** What a base leaves behind among the entries, beside what it changed. */
const BASE_ENTRY = { boot: "", at: 0, via: "cluster", ...ANOTHER_LOG, force: true };

/** Of more pending entries it isn't told what they touch, which takes some 50 µs each: making one again takes milliseconds. */
const APART_MAX = 1_000;

/** Entries that no author wanted as a whole: each has what many did. */
const OF_MANY: ReadonlySet<string> = new Set(
  [BASE_ENTRY, BROUGHT_ENTRY, OUTSIDE_ENTRY].map(({ reason }) => reason),
);

function isOfMany({ via, reason }: LogEntry): boolean {
  return via === "cluster" && OF_MANY.has(reason);
}

/** Who wanted a pending entry. */
function originOf({ via, by, reason }: LogEntry): Origin {
  return { via, by, reason };
}

/** Entries being taken, in one transaction. */
class Taking {
  readonly #store: Store;
  readonly #make: MakeOne;
  readonly #nowMs: number;
  #pending: PendingEntry[];
  /** What they touch; `null` = that can't be told, `undefined` = not told yet. */
  #reach: Reach | null | undefined;
  /** Pending entries that were undone and have to be made again. */
  #undone: PendingEntry[] = [];
  /** What undoes them, until it is made along with the first entry. */
  #undo: readonly RecordedChange[] = [];
  /** Entries that were made while pending ones were undone. */
  readonly #foreign: LogEntry[] = [];
  readonly #refused: { readonly entry: LogEntry; readonly why: string }[] = [];
  readonly #overwritten: { readonly entry: LogEntry; readonly why: string }[] = [];
  /** The model that this node had from another log. */
  #had: readonly RecordedChange[] = [];

  constructor(store: Store, make: MakeOne, nowMs: number) {
    this.#store = store;
    this.#make = make;
    this.#nowMs = nowMs;
    this.#pending = store.log.pending();
  }

  take(entry: LogEntry): void {
    const { log } = this.#store;
    const now = log.position();
    const [stamp, head] = [now.stamp + 1, positionAfter(now.head, entry.id)];
    if (this.#pending[0]?.id === entry.id && this.#undone.length === 0) {
      this.#pending.shift();
      this.#reach = undefined;
      log.keepPending(stamp, head, entry.id);
    } else if (!this.#takeApart(entry, { stamp, head })) {
      this.#undoPending();
      if (this.#undone.some(({ id }) => id === entry.id)) {
        this.#undone = this.#undone.filter(({ id }) => id !== entry.id);
        log.settle(entry.id);
      }
      const changes = this.#put(() => entry.changes, saidOf(entry), entry);
      log.keep(stamp, head, { ...entry, changes });
      if (this.#undone.length > 0) this.#foreign.push({ ...entry, changes });
    }
    log.move({ stamp, head });
  }

  /** Makes it on top of what is pending, if that comes to the same. @returns whether it did */
  #takeApart(entry: LogEntry, { stamp, head }: Pick<LogPosition, "stamp" | "head">): boolean {
    if (this.#undone.length > 0 || this.#pending.length === 0) return false;
    if (this.#pending.some(({ id }) => id === entry.id)) return false;
    const reach = this.#pendingReach();
    if (reach === null || !Reach.of(this.#store, entry.changes)?.isApartFrom(reach)) return false;
    try {
      const { changed, generation } = this.#make(
        entry.changes,
        { via: "cluster", ...saidOf(entry) },
        UNGUARDED,
      );
      const changes = changed ? changesOf(this.#store, generation) : [];
      this.#store.log.keep(stamp, head, { ...entry, changes });
      return true;
    } catch (refusal) {
      if (refusal instanceof ChangeRefused) return false;
      throw refusal;
    }
  }

  #pendingReach(): Reach | null {
    if (this.#reach === undefined) {
      const isFew = this.#pending.length <= APART_MAX;
      this.#reach = isFew ? Reach.of(this.#store, this.#pending.flatMap(({ changes }) => changes)) : null;
    }
    return this.#reach;
  }

  /** Has nothing in the model, and nothing taken: a log begins. What is pending is made again. */
  beginAgain(whole: Whole): void {
    this.#undoPending();
    this.#flushUndo();
    if (whole === "another") this.#had = [...modelAsChanges(this.#store)];
    this.#put(() => differenceTo(this.#store, []), ANOTHER_LOG);
    this.#store.log.forgetEntries();
    this.#store.log.move({ stamp: 0, head: "" });
  }

  /** A whole model. @returns why it can't be taken; `null` = it was */
  begin(
    base: LogBase,
    { prev, stamp }: Pick<LogMessage, "prev" | "stamp">,
    hasOwnModel: boolean,
  ): "foreign" | "broken" | null {
    const { log } = this.#store;
    const { id } = base;
    const [now, head] = [log.position(), base.position ?? positionAfter(prev, id)];
    const common = base.recent.find((each) => each === now.head || log.stampOf(each) !== null);
    if (common === undefined && now.head !== "" && now.stamp >= stamp) return "broken";
    // It was taken, and comes once more.
    if (base.position === null && (head === now.head || log.stampOf(head) !== null)) return "broken";
    let changes: LogEntry["changes"] = [];
    // Whoever is where its node was has its model.
    if (now.head === "" || prev !== now.head) {
      if (hasOwnModel && !this.#isModel(base)) return "foreign";
      if (common !== undefined && common !== now.head) this.#lose(log.stampOf(common)!);
      this.#undoPending();
      this.#flushUndo();
      if (common === undefined && now.head !== "") this.#had = [...modelAsChanges(this.#store)];
      changes = this.#put(() => differenceTo(this.#store, base.model), ANOTHER_LOG);
      // Before it lies what other nodes may never have had.
      if (common === undefined) log.forgetEntries();
    }
    log.keep(stamp, head, { ...BASE_ENTRY, id, node: base.node, changes });
    if (common === undefined) log.keepPassed(base.recent);
    log.move({ stamp, head });
    log.setOwnModel(false);
    return null;
  }

  #isModel(base: LogBase): boolean {
    return differenceTo(this.#store, base.model).length === 0;
  }

  #lose(stamp: number): void {
    const { log } = this.#store;
    log.lose(stamp);
    const undone = new Set(this.#undone.map(({ id }) => id));
    this.#pending = log.pending().filter(({ id }) => !undone.has(id));
    this.#reach = undefined;
  }

  /** Makes again what was undone. @returns what doesn't fit any more */
  finish(): readonly { readonly entry: LogEntry; readonly why: string }[] {
    const { log } = this.#store;
    this.#flushUndo();
    this.#bring();
    for (const entry of this.#undone) {
      // Another node may have brought the same, and others may have changed it since.
      const changes = entry.reason === BROUGHT_ENTRY.reason
        ? lackingIn(this.#store, entry.changes)
        : entry.changes;
      let why = this.#makeAgain(entry, changes);
      if (why !== null && isOfMany(entry)) why = this.#makeAgain(entry, this.#fittingOf(entry, changes));
      if (why !== null) {
        log.settle(entry.id);
        this.#refused.push({ entry, why });
      }
    }
    return this.#refused;
  }

  /** @returns why it doesn't fit; `null` = it is made */
  #makeAgain(entry: LogEntry, changes: readonly RecordedChange[]): string | null {
    const { log } = this.#store;
    try {
      const { changed, generation } = this.#make(changes, originOf(entry), { force: entry.force });
      if (changed) this.#findOverwritten({ ...entry, changes });
      if (changed) log.repend(entry.id, generation, changesOf(this.#store, generation));
      else log.settle(entry.id);
      return null;
    } catch (refusal) {
      if (refusal instanceof ChangeRefused) return refusal.message;
      throw refusal;
    }
  }

  /** Of an entry that doesn't fit, and that no author wanted as a whole, whatever does; the rest is left out. */
  #fittingOf(entry: LogEntry, changes: readonly RecordedChange[]): readonly RecordedChange[] {
    const fitting = new Fitting((piece) => {
      const { changed, generation } = this.#make(piece, originOf(entry), { force: entry.force });
      return changed ? changesOf(this.#store, generation) : [];
    });
    const left = fitting.put(piecesOf(changes));
    // What is there by the same name and another id takes the place of what doesn't fit because of it.
    const created = left.flatMap(({ piece }) => piece.filter(({ before }) => before === null));
    fitting.put(piecesOf(lackingIn(this.#store, created)));
    for (const { piece, why } of left) {
      const missing = piece.filter(({ kind, id, before }) =>
        before !== null || kind === "override" || nowOf(this.#store, kind, id) === null
      );
      if (missing.length > 0) this.#refused.push({ entry: { ...entry, changes: missing }, why });
    }
    // Others take it as a whole, and so must this node.
    this.#undo = undoing([{ changes: fitting.changes() }]);
    this.#flushUndo();
    return fitting.changes();
  }

  /** Has pending, before all else, what this node had from another log and this one lacks. */
  #bring(): void {
    const lacking = lackingIn(this.#store, this.#had);
    if (lacking.length === 0) return;
    const whole = this.#brought(lacking);
    const pieces = whole === null ? piecesOf(lacking) : [];
    const brought = whole === null
      ? pieces.map((piece) => this.#brought(piece) ?? this.#noteNotBrought(piece))
      : [whole];
    for (const each of brought.toReversed()) {
      if (each !== null) this.#store.log.pendFirst(each.generation, each.entry);
    }
  }

  /** @returns `null` = it doesn't fit, or is more than an entry may have */
  #brought(
    changes: readonly RecordedChange[],
  ): { readonly generation: number; readonly entry: LogEntry } | null {
    if (changes.reduce((sum, { after }) => sum + after!.length, 0) > ENTRY_LENGTH_MAX) return null;
    const entry = this.#broughtEntry(changes);
    try {
      const { generation } = this.#make(changes, originOf(entry), UNGUARDED);
      return { generation, entry: { ...entry, changes: changesOf(this.#store, generation) } };
    } catch (refusal) {
      if (!(refusal instanceof ChangeRefused)) throw refusal;
      return null;
    }
  }

  #noteNotBrought(changes: readonly RecordedChange[]): null {
    const why = "this node had it from another log, and it doesn't fit the model of this one";
    this.#refused.push({ entry: this.#broughtEntry(changes), why });
    return null;
  }

  #broughtEntry(changes: readonly RecordedChange[]): LogEntry {
    const { node, boot } = this.#store.log.member()!;
    return { ...BROUGHT_ENTRY, id: newEntryId(), node, boot, at: this.#nowMs, changes };
  }

  /** Of others' entries, whatever a pending one makes otherwise that was made before its author saw them. */
  get overwritten(): readonly { readonly entry: LogEntry; readonly why: string }[] {
    return this.#overwritten;
  }

  #findOverwritten({ node, by, changes }: LogEntry): void {
    if (this.#foreign.length === 0) return;
    const mine = new Map(changes.map((change) => [`${change.kind} ${change.id}`, change]));
    for (const entry of this.#foreign) {
      for (const theirs of entry.changes) {
        const own = mine.get(`${theirs.kind} ${theirs.id}`);
        const fields = own === undefined ? [] : fieldsOfBoth(own, theirs);
        if (fields.length === 0) continue;
        const name = `${theirs.kind} ${theirs.id}`;
        const author = by === "" ? `made at ${node}` : `of ${by} at ${node}`;
        const why =
          `${fields.join(", ")} of ${name}: a change ${author} before it was known there says otherwise, ` +
          "and stands";
        this.#overwritten.push({ entry, why });
      }
    }
  }

  #undoPending(): void {
    if (this.#pending.length === 0) return;
    this.#flushUndo();
    this.#undone = [...this.#pending, ...this.#undone];
    this.#undo = undoing(this.#pending);
    this.#pending = [];
    this.#reach = undefined;
  }

  /** @returns what it did, which is nothing where it doesn't fit: every node finds the same, and goes on */
  #put(
    changes: () => readonly RecordedChange[],
    { by, reason }: Pick<Origin, "by" | "reason">,
    entry: LogEntry | null = null,
  ): readonly RecordedChange[] {
    this.#flushUndo();
    try {
      const { changed, generation } = this.#make(changes(), { via: "cluster", by, reason }, UNGUARDED);
      return changed ? changesOf(this.#store, generation) : [];
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
    const reason = "changes of this node are made again after those of others";
    this.#make(undo, { via: "cluster", by: "", reason }, UNGUARDED);
  }
}

/** The fields that two changes of an object both set, and not to the same. */
function fieldsOfBoth(mine: RecordedChange, theirs: RecordedChange): string[] {
  const { kind } = mine;
  if (kind === "zone" || kind === "fallback" || kind === "override") return [];
  const texts = [mine.before, mine.after, theirs.before, theirs.after];
  if (texts.includes(null)) return [];
  const [before, after, was, is] = texts.map((json) => JSON.parse(json!) as Record<string, unknown>);
  const differ = (one: unknown, other: unknown) => JSON.stringify(one) !== JSON.stringify(other);
  return Object.keys(after!).filter((key) =>
    differ(before![key], after![key]) && differ(was![key], is![key]) && differ(after![key], is![key])
  );
}

/** What makes of the model with all these entries the one before the first. */
function undoing(entries: readonly Pick<LogEntry, "changes">[]): RecordedChange[] {
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

/** Every object of a store as created, as it was before these entries. */
function* modelWithout(store: Store, entries: readonly LogEntry[]): Generator<RecordedChange> {
  const undone = new Map(undoing(entries).map((change) => [`${change.kind} ${change.id}`, change]));
  for (const change of modelAsChanges(store)) {
    const key = `${change.kind} ${change.id}`;
    const { after } = undone.get(key) ?? change;
    undone.delete(key);
    if (after !== null) yield { ...change, after };
  }
  for (const { kind, id, after } of undone.values()) {
    if (after !== null) yield { kind, id, before: null, after };
  }
}

/** An entry as a message has it. */
export function messageEntry(
  { id, node, boot, at, via, by, reason, force }: LogEntry,
  changes: LogEntry["changes"],
  parts: string | null = null,
): MessageEntry {
  return { id, node, boot, at, via, by, reason, force, changes, parts };
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
