/**
 * What a node has of the cluster's log: the last entry that its model has, the entries before that one as far as they are
 * kept, those that the log hasn't yet, and those that no longer fitted.
 *
 * The model is always that of the log up to the last entry with every pending one on top. All of it is written in the
 * transaction that changes the model, so the two agree wherever the process ends.
 *
 * @module
 */
import type { Database } from "./database.ts";
import type { RecordedChange } from "./history_parts.ts";

/** One commit, as all nodes have it. */
export interface LogEntry {
  /** 32 lower-case hexadecimal digits; equal on all nodes. */
  readonly id: string;
  /** The node where it was made. */
  readonly node: string;
  /** The run of that node's process. */
  readonly boot: string;
  /** When, by that node's clock; Unix milliseconds. */
  readonly at: number;
  /** Its origin, as in the history. */
  readonly via: string;
  /** Who wanted it; may be empty. */
  readonly by: string;
  /** Why; may be empty. */
  readonly reason: string;
  /** Whether it is made though a guard would refuse it. */
  readonly force: boolean;
  /** Each object that it touched, once, as it was and as it is. */
  readonly changes: readonly RecordedChange[];
}

/** A commit that the log hasn't yet. */
export interface PendingEntry extends LogEntry {
  /** Of the model after it was made here. */
  readonly generation: number;
}

/** A commit that isn't in the model any more. */
export interface LogConflict extends LogEntry {
  /** When that was found, Unix milliseconds. */
  readonly foundAt: number;
  /** For people. */
  readonly why: string;
}

/** How far a node has come. */
export interface LogPosition {
  /** Entries of the log up to the head. */
  readonly stamp: number;
  /** Position of the last entry that the model has, by which all that come before it are named, too; empty = none. */
  readonly head: string;
  /** When the broker's stream was made, as it says; empty = none was seen. */
  readonly created: string;
  /** The broker's sequence up to which it was read. */
  readonly sequence: number;
}

/** Who takes part in a log. */
export interface LogMember {
  /** Id of the cluster. */
  readonly cluster: string;
  /** Id of the node. */
  readonly node: string;
  /** The run of its process. */
  readonly boot: string;
}

/** What is kept of an entry that this node never had. */
const NO_ENTRY: LogEntry = {
  ...{ id: "", node: "", boot: "", at: 0, via: "", by: "", reason: "", force: false, changes: [] },
};

/** Entries of the log that are kept behind the head. */
const KEPT_ENTRIES = 2_000;
/**
 * Pages that are written before the file itself is, 128 MiB. A write on one node is one on all, and the nodes wait for each other: with
 * SQLite's own 1,000 every eighth one waited for a disk on some node. Where there is a quiet moment before, it is written then.
 */
const CHECKPOINT_PAGES = 32_000;
/** Conflicts that are kept. */
const KEPT_CONFLICTS = 1_000;

/** Reads and writes it. */
export class LogTables {
  readonly #database: Database;

  /** The connection stays its opener's to close. */
  constructor(database: Database) {
    this.#database = database;
  }

  /** Who commits are kept for the log by; `null` = they aren't. */
  member(): LogMember | null {
    const row = this.#database.get<LogMember>("SELECT cluster, node, boot FROM log_state WHERE joined = 1");
    return row ? { ...row } : null;
  }

  /**
   * Keeps commits for the log from now on. What was kept of another cluster's log is forgotten.
   *
   * @param hasModel whether there is a model, which no log knows of where this is the first time
   * @returns at which generation commits were no longer kept; `null` = they always were
   */
  join({ cluster, node, boot }: LogMember, hasModel: boolean): number | null {
    const known = this.#database.get<{ cluster: string; leftAt: number | null }>(
      "SELECT cluster, left_at AS leftAt FROM log_state",
    );
    const isKnown = known?.cluster === cluster;
    if (!isKnown) this.#forget();
    this.#database.run(JOIN, cluster, node, boot, hasModel ? 1 : 0);
    this.#database.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    return isKnown ? known.leftAt : null;
  }

  /** Whether the model has what no log knows of. */
  hasOwnModel(): boolean {
    return this.#database.get("SELECT 1 FROM log_state WHERE own = 1") !== undefined;
  }

  /** Says whether it has. */
  setOwnModel(isOwn: boolean): void {
    this.#database.run("UPDATE log_state SET own = ?", isOwn ? 1 : 0);
  }

  /**
   * Keeps none any more; what was to be published still is when the node joins again.
   *
   * @throws {StoreBusy} when another process holds the database for too long
   */
  leave(): void {
    if (this.member() === null) return;
    this.#database.run("UPDATE log_state SET joined = 0, left_at = (SELECT generation FROM meta)");
  }

  /** How far this node has come. */
  position(): LogPosition {
    const row = this.#database.get<LogPosition>("SELECT stamp, head, created, sequence FROM log_state");
    return row ? { ...row } : { stamp: 0, head: "", created: "", sequence: 0 };
  }

  /** The node that wrote the last entry that is kept; empty = none is. */
  lastAuthor(): string {
    return this.#database.get<{ node: string }>("SELECT node FROM log_entries ORDER BY stamp DESC LIMIT 1")
      ?.node ?? "";
  }

  /** Says how far it has come. */
  move(position: Partial<LogPosition>): void {
    const { stamp, head, created, sequence } = { ...this.position(), ...position };
    this.#database.run(
      "UPDATE log_state SET stamp = ?, head = ?, created = ?, sequence = ?",
      ...[stamp, head, created, sequence],
    );
  }

  /** Stamp of a position that is kept behind the head; `null` = it isn't. */
  stampOf(position: string): number | null {
    return this.#database.get<{ stamp: number }>(
      "SELECT stamp FROM log_entries WHERE position = ? AND stamp > 0",
      position,
    )?.stamp ?? null;
  }

  /** Positions that are kept, the last one first, and behind them those that were passed. */
  positions(): string[] {
    return this.#database.all<{ position: string }>(
      "SELECT position FROM log_entries ORDER BY stamp DESC LIMIT ?",
      KEPT_ENTRIES,
    ).map(({ position }) => position);
  }

  /** Keeps an entry that the model has; the oldest ones are forgotten. */
  keep(stamp: number, position: string, entry: LogEntry): void {
    this.#database.run(
      `INSERT INTO log_entries (stamp, position, ${ENTRY}) VALUES (?, ?, ${ENTRY_VALUES})`,
      ...[stamp, position],
      ...valuesOf(entry),
    );
    this.#forgetBefore(stamp);
  }

  #forgetBefore(stamp: number): void {
    this.#database.run("DELETE FROM log_entries WHERE stamp > 0 AND stamp <= ?", stamp - KEPT_ENTRIES);
  }

  /**
   * Keeps positions whose entries this node never had, but for their model: by them other nodes tell that it is theirs.
   *
   * @param positions the last one first; those that are kept already stay
   */
  keepPassed(positions: readonly string[]): void {
    for (const [i, position] of positions.slice(0, KEPT_ENTRIES).entries()) {
      this.#database.run(
        `INSERT OR IGNORE INTO log_entries (stamp, position, ${ENTRY}) VALUES (?, ?, ${ENTRY_VALUES})`,
        ...[-1 - i, position],
        ...valuesOf(NO_ENTRY),
      );
    }
  }

  /** Keeps a pending entry as one that the model has: the log has it. */
  keepPending(stamp: number, position: string, id: string): void {
    this.#database.run(
      `INSERT INTO log_entries (stamp, position, ${ENTRY}) SELECT ?, ?, ${ENTRY} FROM log_pending WHERE id = ?`,
      ...[stamp, position, id],
    );
    this.settle(id);
    this.#forgetBefore(stamp);
  }

  /** Makes the entries after a stamp pending, before all that are: the log has lost them. @returns how many */
  lose(stamp: number): number {
    const count = this.#database.get<{ n: number }>(
      "SELECT count(*) AS n FROM log_entries WHERE stamp > ?",
      stamp,
    )!.n;
    const { first } = this.#database.get<{ first: number }>(
      "SELECT coalesce(min(place), 1) AS first FROM log_pending",
    )!;
    const { last } = this.#database.get<{ last: number }>(
      "SELECT coalesce(max(stamp), 0) AS last FROM log_entries",
    )!;
    this.#database.run(
      `INSERT OR IGNORE INTO log_pending (place, generation, ${ENTRY}) ` +
        `SELECT ? - 1 - (? - stamp), 0, ${ENTRY} FROM log_entries WHERE stamp > ?`,
      ...[first, last, stamp],
    );
    this.#database.run("DELETE FROM log_entries WHERE stamp > ?", stamp);
    return count;
  }

  /** Forgets the entries behind the head: none is given again to a server that lost it. */
  forgetEntries(): void {
    this.#database.run("DELETE FROM log_entries");
  }

  /**
   * Entries that the log hasn't yet, in their order. What they do is read when it is asked for, which must be before they
   * are settled: it may be megabytes.
   *
   * @param limit at most so many
   */
  pending(limit: number = Number.MAX_SAFE_INTEGER): PendingEntry[] {
    return this.#database.all<Omit<EntryRow, "changes"> & { readonly generation: number }>(
      `SELECT generation, ${ENTRY_BUT_CHANGES} FROM log_pending ORDER BY place LIMIT ?`,
      limit,
    ).map((row) => {
      const changesNow = () =>
        this.#database.get<{ changes: string }>("SELECT changes FROM log_pending WHERE id = ?", row.id)!
          .changes;
      let changes: PendingEntry["changes"] | undefined;
      return {
        ...row,
        force: row.force === 1,
        get changes() {
          return changes ??= JSON.parse(changesNow()) as PendingEntry["changes"];
        },
      };
    });
  }

  /** Bytes of what the first pending entries do. @param limit of so many */
  pendingSizes(limit: number): number[] {
    return this.#database.all<{ size: number }>(
      "SELECT octet_length(changes) AS size FROM log_pending ORDER BY place LIMIT ?",
      limit,
    ).map(({ size }) => size);
  }

  /** What a pending entry does, one object at a time: its text may be megabytes, and isn't taken apart as a whole. */
  *pendingChanges(id: string): Generator<RecordedChange> {
    const parts = this.#database.iterate<{ readonly bytes: Uint8Array }>(PENDING_PARTS, id, PART_SIZE);
    for (const text of objectsIn(parts)) yield JSON.parse(text) as RecordedChange;
  }

  /** How many there are. */
  pendingCount(): number {
    return this.#database.get<{ n: number }>("SELECT count(*) AS n FROM log_pending")!.n;
  }

  /** Id of the pending entry that a generation made; `null` = it made none, or the log has it. */
  pendingOf(generation: number): string | null {
    return this.#database.get<{ id: string }>(
      "SELECT id FROM log_pending WHERE generation = ?",
      generation,
    )?.id ?? null;
  }

  /** Whether an entry is pending. */
  isPending(id: string): boolean {
    return this.#database.get("SELECT 1 FROM log_pending WHERE id = ?", id) !== undefined;
  }

  /** Puts an entry behind those that are pending. */
  pend(generation: number, entry: LogEntry): void {
    this.#database.run(
      `INSERT INTO log_pending (generation, ${ENTRY}) VALUES (?, ${ENTRY_VALUES})`,
      generation,
      ...valuesOf(entry),
    );
  }

  /** Puts an entry before those that are pending. */
  pendFirst(generation: number, entry: LogEntry): void {
    this.#database.run(
      `INSERT INTO log_pending (place, generation, ${ENTRY}) ` +
        `SELECT coalesce(min(place), 1) - 1, ?, ${ENTRY_VALUES} FROM log_pending`,
      generation,
      ...valuesOf(entry),
    );
  }

  /** Says otherwise what a pending entry does, made on another model. */
  repend(id: string, generation: number, changes: readonly RecordedChange[]): void {
    this.#database.run(
      "UPDATE log_pending SET generation = ?, changes = ? WHERE id = ?",
      ...[generation, JSON.stringify(changes), id],
    );
  }

  /** Takes an entry away that is pending no more. */
  settle(id: string): void {
    this.#database.run("DELETE FROM log_pending WHERE id = ?", id);
  }

  /** Keeps what no longer fitted; the oldest are forgotten. */
  addConflict({ foundAt, why, ...entry }: LogConflict): void {
    this.#database.run(
      `INSERT INTO log_conflicts (found_at, why, ${ENTRY}) VALUES (?, ?, ${ENTRY_VALUES})`,
      ...[foundAt, why],
      ...valuesOf(entry),
    );
    this.#database.run(
      "DELETE FROM log_conflicts WHERE seq <= (SELECT max(seq) FROM log_conflicts) - ?",
      KEPT_CONFLICTS,
    );
  }

  /** The last ones, newest first. */
  conflicts(limit: number): LogConflict[] {
    return this.#database.all<EntryRow & { readonly foundAt: number; readonly why: string }>(
      `SELECT found_at AS foundAt, why, ${ENTRY} FROM log_conflicts ORDER BY seq DESC LIMIT ?`,
      limit,
    ).map((row) => ({ ...entryOf(row), foundAt: row.foundAt, why: row.why }));
  }

  /** Why an entry no longer fitted; `null` = it isn't among those that are kept. */
  conflictOf(id: string): string | null {
    return this.#database.get<{ why: string }>(
      "SELECT why FROM log_conflicts WHERE id = ? ORDER BY seq DESC LIMIT 1",
      id,
    )?.why ?? null;
  }

  /** How many are kept. */
  conflictCount(): number {
    return this.#database.get<{ n: number }>("SELECT count(*) AS n FROM log_conflicts")!.n;
  }

  /** Has the database written to by one transaction. */
  transact<Result>(work: () => Result): Result {
    return this.#database.transact(work);
  }

  #forget(): void {
    for (const table of ["log_state", "log_entries", "log_pending", "log_conflicts"]) {
      this.#database.run(`DELETE FROM ${table}`);
    }
  }
}

const JOIN = "INSERT INTO log_state (one, cluster, node, boot, joined, own) VALUES (1, ?, ?, ?, 1, ?) " +
  "ON CONFLICT (one) DO UPDATE SET node = excluded.node, boot = excluded.boot, joined = 1, left_at = NULL";

const ENTRY_BUT_CHANGES = 'id, node, boot, at, via, "by", reason, force';
const ENTRY = `${ENTRY_BUT_CHANGES}, changes`;
/** Bytes of a text that are read and taken apart in one step: a fraction of a millisecond. */
const PART_SIZE = 64 * 1024;
/**
 * The bytes of a text, a part at a time. As a subquery it is read once; SQLite's functions of JSON would take all of it apart
 * before they give the first object, which takes 2 ms for each megabyte.
 */
const PENDING_PARTS =
  "WITH RECURSIVE part (at) AS (SELECT 1 FROM log_pending WHERE id = ?1 UNION ALL SELECT at + ?2 FROM part " +
  "WHERE at + ?2 <= (SELECT octet_length(changes) FROM log_pending WHERE id = ?1)) " +
  "SELECT substr((SELECT CAST(changes AS BLOB) FROM log_pending WHERE id = ?1), at, ?2) AS bytes FROM part";
const ENTRY_VALUES = "?, ?, ?, ?, ?, ?, ?, ?, ?";

interface EntryRow extends Omit<LogEntry, "force" | "changes"> {
  readonly force: 0 | 1;
  /** JSON. */
  readonly changes: string;
}

function valuesOf({ id, node, boot, at, via, by, reason, force, changes }: LogEntry) {
  return [id, node, boot, at, via, by, reason, force ? 1 : 0, JSON.stringify(changes)];
}

function entryOf({ id, node, boot, at, via, by, reason, force, changes }: EntryRow): LogEntry {
  return { id, node, boot, at, via, by, reason, force: force === 1, changes: JSON.parse(changes) };
}

/** The objects of a list of changes, as text each. */
function* objectsIn(parts: Iterable<{ readonly bytes: Uint8Array }>): Generator<string> {
  const decoder = new TextDecoder();
  /** Of the object that isn't whole yet, but for the end in which the next one may begin. */
  let begun: string[] = [];
  let end = "";
  for (const { bytes } of parts) {
    const text = end + decoder.decode(bytes, { stream: true });
    let from = 0;
    for (const { index } of text.matchAll(BETWEEN)) {
      begun.push(text.slice(from, index + 1));
      // It begins with the bracket of the list, or with a comma.
      yield begun.join("").slice(1);
      begun = [];
      from = index + 1;
    }
    const to = Math.max(from, text.length - BETWEEN_LENGTH);
    begun.push(text.slice(from, to));
    end = text.slice(to);
  }
  const last = (begun.join("") + end).slice(1, -1);
  if (last !== "") yield last;
}

/**
 * Where one change ends and the next one begins: they hold nothing but texts, and within a text no quotation mark stands by
 * itself.
 */
const BETWEEN = /\},(?=\{"(?:kind|id|before|after)":)/g;
/** Characters of what it finds and looks ahead for, at most. */
const BETWEEN_LENGTH = '},{"before":'.length;
