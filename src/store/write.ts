/**
 * Writes of the model. Only `change/` imports this file: whoever else wants something changed hands an edit to it.
 *
 * A writer belongs to one transaction and stamps every row with the generation that this transaction will be.
 * Each write is paired with a record for the history; several writes of one object leave one record, from its
 * first state to its last.
 *
 * @module
 */
import type { Fallback, HealthCheck } from "../model/model.ts";
import { targetOf } from "../model/override.ts";
import { GEO_RULE, HEALTH_CHECK, MEMBER, POOL, SERVICE } from "./columns.ts";
import type { Database } from "./database.ts";
import type { GeoRuleRow } from "./geo_rules.ts";
import { type HistoryEntry, type HistoryLimits, type ObjectKind, SUMMARY } from "./history.ts";
import { forgetParts, lineOf, PartWriter, type RecordedChange } from "./history_parts.ts";
import type { MemberRow } from "./members.ts";
import type { OverrideRow } from "./overrides.ts";
import { clearForPast, placeMoved } from "./past.ts";
import type { PoolRow } from "./pools.ts";
import { type ChangeCounts, Replacement } from "./replacement.ts";
import { reversedDomain, type ServiceRow } from "./services.ts";
import type { Staging } from "./staging.ts";
import type { Store } from "./store.ts";
import type { ZoneRow } from "./zones.ts";

/** A row as a writer takes it: the revision is the writer's. */
export type Unstamped<Row> = Omit<Row, "revision">;

/**
 * Runs `work` with a writer for the next generation, in one transaction.
 *
 * @param keep whether the result is to be written; otherwise everything is undone
 * @throws {StoreBusy} when another process holds the file for too long
 */
export function write<Result>(
  store: Store,
  { work, keep }: {
    readonly work: (writer: Writer) => Result;
    readonly keep: (result: Result) => boolean;
  },
): Result {
  const { database } = store;
  return database.transact(() => {
    // What is written from here on is listed in the history, and isn't counted as written by hand (`schema.ts`).
    database.run("UPDATE meta SET committing = 1");
    return work(new Writer(database, store.generation() + 1));
  }, keep);
}

/** Makes one commit of several; what it isn't to keep, or throws, is undone, and those before it stay. */
export type Step = <Result>(
  work: (writer: Writer) => Result,
  keep: (result: Result) => boolean,
) => Result;

/**
 * Runs `work`, which makes several commits one after the other, in one transaction: others see all of them or none.
 *
 * @throws {StoreBusy} when another process holds the file for too long
 */
export function writeTogether<Result>(
  store: Store,
  work: (step: Step) => Result,
  /** Whether any of it is to stay. */
  { isKept = true } = {},
): Result {
  const { database } = store;
  return database.transact(() =>
    work((make, keep) => {
      database.run("SAVEPOINT step");
      try {
        database.run("UPDATE meta SET committing = 1");
        const result = make(new Writer(database, store.generation() + 1));
        if (!keep(result)) database.run("ROLLBACK TO step");
        return result;
      } catch (cause) {
        if (database.isTransaction) database.run("ROLLBACK TO step");
        throw cause;
      } finally {
        if (database.isTransaction) database.run("RELEASE step");
      }
    }), () => isKept);
}

/** Writes rows of one generation. */
export class Writer {
  /** The generation that this transaction makes. */
  readonly generation: number;
  readonly #database: Database;
  readonly #parts: PartWriter;

  /** For {@link write} only. */
  constructor(database: Database, generation: number) {
    this.#database = database;
    this.generation = generation;
    this.#parts = new PartWriter(database, generation);
  }

  /** Inserts or overwrites a pool's own fields. */
  putPool(pool: Unstamped<PoolRow>): void {
    this.#database.run(PUT_POOL, pool.id, ...POOL.valuesOf(pool), this.generation);
  }

  /** Deletes a pool with its members, check and rules; its services lose it. */
  deletePool(id: string): void {
    this.#database.run("DELETE FROM pools WHERE id = ?", id);
  }

  /** The place of a new member behind all others. */
  nextMemberSeq(): number {
    return this.#database.get<{ seq: number }>("SELECT coalesce(max(seq), 0) + 1 AS seq FROM members")!.seq;
  }

  /** Inserts a member at its place, or overwrites the one of its id, which keeps the place that it has. */
  putMember(member: Unstamped<MemberRow>): void {
    const { id, poolId, seq } = member;
    this.#database.run(PUT_MEMBER, id, ...MEMBER.valuesOf(member), poolId, this.generation, seq);
  }

  /** Deletes a member; rules that lead to it must be gone when the transaction ends. */
  deleteMember(id: string): void {
    this.#database.run("DELETE FROM members WHERE id = ?", id);
  }

  /** Inserts or overwrites a pool's check. */
  putHealthCheck(poolId: string, check: HealthCheck): void {
    this.#database.run(PUT_HEALTH_CHECK, poolId, ...HEALTH_CHECK.valuesOf(check), this.generation);
  }

  /** Deletes a pool's check. */
  deleteHealthCheck(poolId: string): void {
    this.#database.run("DELETE FROM health_checks WHERE pool_id = ?", poolId);
  }

  /** The place of a new geo rule behind all others. */
  nextGeoRuleSeq(): number {
    return this.#database.get<{ seq: number }>("SELECT coalesce(max(seq), 0) + 1 AS seq FROM geo_rules")!.seq;
  }

  /** Inserts a geo rule at its place, or overwrites the one of its id, which keeps the place that it has. */
  putGeoRule(rule: Unstamped<GeoRuleRow>): void {
    const { id, poolId, seq } = rule;
    this.#database.run(PUT_GEO_RULE, id, ...GEO_RULE.valuesOf(rule), poolId, this.generation, seq);
  }

  /** Deletes a geo rule. */
  deleteGeoRule(id: string): void {
    this.#database.run("DELETE FROM geo_rules WHERE id = ?", id);
  }

  /** Inserts or overwrites a service. */
  putService(service: Unstamped<ServiceRow>): void {
    const reversed = reversedDomain(service.domain);
    this.#database.run(PUT_SERVICE, service.id, ...SERVICE.valuesOf(service), reversed, this.generation);
  }

  /** Deletes a service. */
  deleteService(id: string): void {
    this.#database.run("DELETE FROM services WHERE id = ?", id);
  }

  /** Inserts an override. */
  putOverride(override: Unstamped<OverrideRow>): void {
    const { id, target, poolId, state, reason, owner, startsAt, expiresAt, drainMs, createdAt } = override;
    const covered = targetOf(override);
    this.#database.run(
      INSERT_OVERRIDE,
      id,
      target,
      poolId,
      covered.kind === "member" ? covered.id : null,
      state,
      reason,
      owner,
      startsAt,
      expiresAt,
      drainMs,
      createdAt,
      this.generation,
    );
  }

  /** Deletes an override. */
  deleteOverride(id: string): void {
    this.#database.run("DELETE FROM overrides WHERE id = ?", id);
  }

  /** Inserts or overwrites a zone and the cuts that its text holds. */
  putZone({ domain, text }: Unstamped<ZoneRow>, cuts: Iterable<string>): void {
    this.#database.run(PUT_ZONE, domain, text, this.generation);
    this.#database.run("DELETE FROM zone_cuts WHERE zone_domain = ?", domain);
    for (const cut of cuts) this.#database.run("INSERT INTO zone_cuts VALUES (?, ?)", domain, cut);
  }

  /** Deletes a zone and its cuts. */
  deleteZone(domain: string): void {
    this.#database.run("DELETE FROM zones WHERE domain = ?", domain);
  }

  /** Sets or clears what overrides the settings' fallback. */
  putFallback(fallback: Fallback | null): void {
    this.#database.run("UPDATE meta SET fallback = ?", fallback && JSON.stringify(fallback));
  }

  /** What lies between the stored model and the staged one; the caller disposes of it. */
  compare(staging: Staging): Replacement {
    return new Replacement(this.#database, staging);
  }

  /** Makes the stored model the staged one. */
  replace(replacement: Replacement): void {
    replacement.apply(this.generation);
  }

  /** The same, and keeps for the history what becomes of each object, where one by one would be too many. */
  replaceMany(replacement: Replacement): void {
    for (const lines of replacement.linesBefore()) this.#parts.add(lines);
    this.replace(replacement);
    for (const lines of replacement.linesAfter()) this.#parts.add(lines);
    this.summarize(replacement.counts);
  }

  /**
   * Makes room for objects that become what they were before: whatever came since is deleted. Within `put`, each other
   * object of that past must be put.
   */
  restore(put: () => void): void {
    clearForPast(this.#database);
    put();
    placeMoved(this.#database);
  }

  /** Keeps for the history what becomes of an object; the arguments are JSON, equal objects in equal text. */
  record(
    { kind, id, before, after }: {
      readonly kind: ObjectKind;
      readonly id: string;
      readonly before: string | null;
      readonly after: string | null;
    },
  ): void {
    this.#database.run(RECORD, this.generation, kind, id, before, after);
  }

  /** Keeps what becomes of an object in a part; once for each object of a generation, which is summarized then. */
  recordInParts(change: RecordedChange): void {
    this.#parts.add(new TextEncoder().encode(lineOf(change)));
  }

  /** Says how much was touched that isn't in rows. */
  summarize(counts: ChangeCounts): void {
    this.#database.run(RECORD, this.generation, SUMMARY, "", null, JSON.stringify(counts));
  }

  /**
   * Ends the generation with its entry in the history.
   *
   * @returns whether any object is different from before; if not, there is no entry and nothing worth keeping
   */
  conclude(
    { at, via, by, reason }: Omit<HistoryEntry, "generation">,
    limits: HistoryLimits,
  ): boolean {
    const { generation } = this;
    this.#parts.flush();
    this.#database.run("DELETE FROM history_changes WHERE generation = ? AND before IS after", generation);
    if (!this.#database.get("SELECT 1 FROM history_changes WHERE generation = ? LIMIT 1", generation)) {
      return false;
    }
    this.#database.run(ENTER, generation, at, via, by, reason, generation, generation);
    this.#database.run("UPDATE meta SET generation = ?, committing = 0", generation);
    this.#forget(limits);
    return true;
  }

  /**
   * Forgets the oldest entries while there are more than the limits allow, the new one never: whoever follows has yet to
   * read it. What one commit can't forget without holding others up is left to the next.
   */
  #forget(limits: HistoryLimits): void {
    this.#forgetEntries(limits);
    forgetParts(this.#database, FORGOTTEN_PARTS_MAX + this.#parts.written);
  }

  #forgetEntries({ keep, maxBytes }: HistoryLimits): void {
    let rows = 0;
    for (let entries = 0; entries < FORGOTTEN_ENTRIES_MAX && rows < FORGOTTEN_ROWS_MAX; entries++) {
      const oldest = this.#database.get<{ generation: number; kept: number }>(OLDEST);
      if (!oldest || oldest.generation === this.generation) return;
      if (oldest.generation > this.generation - keep && oldest.kept <= maxBytes) return;
      rows += this.#database.run("DELETE FROM history_changes WHERE generation = ?", oldest.generation);
      this.#database.run("DELETE FROM history WHERE generation = ?", oldest.generation);
    }
  }
}

/** Entries, and changes of them, that one commit forgets at most: some milliseconds. */
const FORGOTTEN_ENTRIES_MAX = 64;
const FORGOTTEN_ROWS_MAX = 1_000;
/** Parts that one commit deletes, beside as many as it writes: so they never become more than they were. */
const FORGOTTEN_PARTS_MAX = 8;

/** The entry with the size of what was recorded for it. */
const ENTER = `INSERT INTO history (generation, at, via, "by", reason, bytes, bytes_until) ` +
  "SELECT ?, ?, ?, ?, ?, size, size + coalesce((SELECT bytes_until FROM history ORDER BY generation DESC LIMIT 1), 0) " +
  "FROM (SELECT (SELECT coalesce(sum(coalesce(octet_length(before), 0) + coalesce(octet_length(after), 0)), 0) " +
  "FROM history_changes WHERE generation = ?) + " +
  "(SELECT coalesce(sum(octet_length(bytes)), 0) FROM history_parts WHERE generation = ?) AS size)";

/** The oldest entry, and the bytes of all that are kept. */
const OLDEST =
  "SELECT generation, (SELECT bytes_until FROM history ORDER BY generation DESC LIMIT 1) - bytes_until " +
  "+ bytes AS kept FROM history ORDER BY generation LIMIT 1";

const PUT_POOL = upsert("pools", "id", [...POOL.names, "revision"]);
const PUT_MEMBER = upsert("members", "id", [...MEMBER.names, "pool_id", "revision"], ["seq"]);
const PUT_HEALTH_CHECK = upsert("health_checks", "pool_id", [...HEALTH_CHECK.names, "revision"]);
const PUT_GEO_RULE = upsert("geo_rules", "id", [...GEO_RULE.names, "pool_id", "revision"], ["seq"]);
const PUT_SERVICE = upsert("services", "id", [...SERVICE.names, "reversed_domain", "revision"]);
const PUT_ZONE = upsert("zones", "domain", ["text", "revision"]);
const INSERT_OVERRIDE =
  "INSERT INTO overrides (id, target, pool_id, member_id, state, reason, owner, starts_at, " +
  "expires_at, drain_ms, created_at, revision) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
const RECORD = "INSERT INTO history_changes (generation, kind, id, before, after) VALUES (?, ?, ?, ?, ?) " +
  "ON CONFLICT (generation, kind, id) DO UPDATE SET after = excluded.after";

/** Never `REPLACE`: that deletes the old row first, and everything that goes with it. */
function upsert(
  table: string,
  key: string,
  columns: readonly string[],
  /** Columns that an existing row keeps. */
  kept: readonly string[] = [],
): string {
  const inserted = [key, ...columns, ...kept];
  return `INSERT INTO ${table} (${inserted.join(", ")}) VALUES (${inserted.map(() => "?").join(", ")}) ` +
    `ON CONFLICT (${key}) DO UPDATE SET ${columns.map((name) => `${name} = excluded.${name}`).join(", ")}`;
}
