/**
 * What was last believed of each probed target, and which members wait to come back, so that a restart doesn't begin
 * blind. Written apart from commits: these are observations, no changes of the model, and have no generation.
 *
 * @module
 */
import type { Out } from "../health/eligibility.ts";
import type { Verdict } from "../health/verdict.ts";
import type { Database } from "./database.ts";

/** A target's key (`desired/check_target.ts`) and what is believed of it. */
export type VerdictEntry = readonly [target: string, verdict: Verdict];

/** Reads and writes verdicts. */
export class Verdicts {
  readonly #database: Database;

  /** The connection stays its opener's to close. */
  constructor(database: Database) {
    this.#database = database;
  }

  /** Every stored verdict. */
  *each(): Generator<VerdictEntry> {
    for (const { target, ...verdict } of this.#database.iterate<Columns>(SELECT)) yield [target, verdict];
  }

  /** The verdict on a target, or `null`. */
  get(target: string): Verdict | null {
    const row = this.#database.get<Columns>(`${SELECT} WHERE target = ?`, target);
    if (!row) return null;
    const { target: _, ...verdict } = row;
    return verdict;
  }

  /**
   * Writes verdicts in one transaction. Meant for changes of state, some together; not for every probe's result.
   *
   * @throws {StoreBusy} when another process holds the file; nothing is lost by trying again later
   */
  save(entries: Iterable<VerdictEntry>): void {
    this.#write(entries, ([target, { state, since, lastError, latencyMs, checkedAt }]) => {
      this.#database.run(SAVE, target, state, since, lastError, latencyMs, checkedAt);
    });
  }

  /** Drops the verdicts on targets that nothing probes any more. */
  forget(targets: Iterable<string>): void {
    this.#write(targets, (target) => this.#database.run("DELETE FROM verdicts WHERE target = ?", target));
  }

  /** Who was out under a failback policy, by eligibility key (`desired/eligibility.ts`). */
  *eachOut(): Generator<readonly [standing: string, out: Out]> {
    const rows = this.#database.iterate<Out & { readonly standing: string }>(
      "SELECT standing, well_since AS wellSince FROM standings_out",
    );
    for (const { standing, wellSince } of rows) yield [standing, { wellSince }];
  }

  /**
   * Writes who is out in one transaction; `null` = in again.
   *
   * @throws {StoreBusy} when another process holds the file; nothing is lost by trying again later
   */
  saveOuts(outs: Iterable<readonly [standing: string, out: Out | null]>): void {
    this.#write(outs, ([standing, out]) => {
      if (out === null) this.#database.run("DELETE FROM standings_out WHERE standing = ?", standing);
      else this.#database.run(SAVE_OUT, standing, out.wellSince);
    });
  }

  /** While another thread writes, this waits for it: what is believed now is worth keeping then. */
  #write<Item>(items: Iterable<Item>, one: (item: Item) => void): void {
    const all = [...items];
    this.#database.whenFree(() =>
      this.#database.transact(() => {
        for (const item of all) one(item);
      })
    );
  }
}

interface Columns extends Verdict {
  readonly target: string;
}

const SELECT = "SELECT target, state, since, last_error AS lastError, latency_ms AS latencyMs, " +
  "checked_at AS checkedAt FROM verdicts";
const SAVE = "INSERT INTO verdicts (target, state, since, last_error, latency_ms, checked_at) " +
  "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (target) DO UPDATE SET state = excluded.state, since = excluded.since, " +
  "last_error = excluded.last_error, latency_ms = excluded.latency_ms, checked_at = excluded.checked_at";
const SAVE_OUT = "INSERT INTO standings_out (standing, well_since) VALUES (?, ?) " +
  "ON CONFLICT (standing) DO UPDATE SET well_since = excluded.well_since";
