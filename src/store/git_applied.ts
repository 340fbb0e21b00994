/**
 * Which commit of Git the model was made of last. It is written in the transaction that makes the model, so the two agree
 * wherever the process ends.
 *
 * @module
 */
import type { Database } from "./database.ts";

/** A commit of Git, as far as a model was made of it. */
export interface GitCommit {
  /** Address of the repository, without credentials. */
  readonly repository: string;
  /** Branch that it was the head of. */
  readonly branch: string;
  /** Folder of the model; empty = the whole tree. */
  readonly pathPrefix: string;
  /** Its id: 40 or 64 lower-case hexadecimal digits. */
  readonly sha: string;
  /** Who signed it; empty = that wasn't asked for. */
  readonly signer: string;
  /** Of the key; empty like `signer`. */
  readonly fingerprint: string;
}

/** The commit that was applied last. */
export interface AppliedCommit extends GitCommit {
  /** Of the model that was made of it. */
  readonly generation: number;
  /** When, Unix milliseconds. */
  readonly at: number;
}

/** Reads and writes it. */
export class GitApplied {
  readonly #database: Database;

  /** The connection stays its opener's to close. */
  constructor(database: Database) {
    this.#database = database;
  }

  /** The last one; `null` = there is none. */
  last(): AppliedCommit | null {
    const row = this.#database.get<AppliedCommit>(
      `SELECT repository, branch, path_prefix AS pathPrefix, sha, signer, fingerprint, generation, at ` +
        "FROM git_applied",
    );
    return row ? { ...row } : null;
  }

  /** Makes this one the last; within a transaction it is kept or undone with it. */
  put({ repository, branch, pathPrefix, sha, signer, fingerprint, generation, at }: AppliedCommit): void {
    this.#database.run(
      "INSERT INTO git_applied VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (one) DO UPDATE SET " +
        "repository = excluded.repository, branch = excluded.branch, path_prefix = excluded.path_prefix, " +
        "sha = excluded.sha, signer = excluded.signer, fingerprint = excluded.fingerprint, " +
        "generation = excluded.generation, at = excluded.at",
      ...[repository, branch, pathPrefix, sha, signer, fingerprint, generation, at],
    );
  }

  /**
   * The same in a transaction of its own: the model was that of the commit already.
   *
   * @throws {StoreBusy} when another process holds the database for too long
   */
  keep(commit: AppliedCommit): void {
    this.#database.transact(() => this.put(commit));
  }
}
