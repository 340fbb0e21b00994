/**
 * What is the same for all objects that have an id: how one is read, created, updated and deleted.
 *
 * A resource declares its routes, and makes its edits; here is what comes before and behind a commit: 404 and 412, the
 * answer of a dry run, the wait for DNS, `ETag` and `Location`.
 *
 * @module
 */
import type { Context } from "hono";
import type { Edit } from "../change/edit.ts";
import { etagOf, ifRevision } from "./conditional.ts";
import type { ApiParts } from "./ports.ts";
import { notFound } from "./problem.ts";
import { isDryRun, NO_WORDS, type OwnWords, planned, write } from "./write.ts";

/** One kind of object. */
export interface Kind<Row, Shown> {
  /** One of them, for messages. */
  readonly noun: string;
  /** Path of an object without its id. */
  readonly path: string;
  /** The stored object; `null` = there is none with this id. */
  readonly get: (id: string) => Row | null;
  /** What the API tells of an object. */
  readonly show: (row: Row) => Shown;
}

/** What every stored object has. */
export interface StoredObject {
  /** Its id. */
  readonly id: string;
  /** Its revision; 0 = it isn't stored yet. */
  readonly revision: number;
}

/** The edits that delete an object with an id. */
export type Deletion = Extract<Edit, { readonly kind: `delete${string}`; readonly id: string }>;

/** All objects of a kind. */
export class Collection<Row extends StoredObject, Shown> {
  readonly #parts: ApiParts;
  readonly #kind: Kind<Row, Shown>;

  /** Reads nothing yet. */
  constructor(parts: ApiParts, kind: Kind<Row, Shown>) {
    this.#parts = parts;
    this.#kind = kind;
  }

  /** The object with an id. @throws {ApiProblem} 404 */
  found(id: string): Row {
    return this.#kind.get(id) ?? notFound(this.#kind.noun, id);
  }

  /** Answers with one object. */
  read(c: Context, id: string): Shown {
    const row = this.found(id);
    c.header("ETag", etagOf(row.revision));
    return this.#kind.show(row);
  }

  /**
   * Creates an object; gives body and status of the answer.
   *
   * @param row what the edit makes
   * @param about what the object says of itself
   */
  async create(
    c: Context,
    row: Row,
    edit: Edit,
    about: OwnWords = NO_WORDS,
  ): Promise<[body: Shown, status: 200 | 201]> {
    const { path, show } = this.#kind;
    if (isDryRun(c)) {
      await planned(c, this.#parts, edit, about);
      return [show(row), 200];
    }
    const written = write(c, this.#parts, edit, about);
    const stored = this.found(row.id);
    c.header("ETag", etagOf(stored.revision));
    c.header("Location", `${path}/${row.id}`);
    await written.settled();
    return [show(stored), 201];
  }

  /**
   * Updates an object, if it is still the one that the client saw; gives the body of the answer.
   *
   * @param row what the edit makes of it, with the revision that it has
   */
  async update(c: Context, row: Row, edit: Edit): Promise<Shown> {
    const { show } = this.#kind;
    const written = write(c, this.#parts, { ...edit, ...ifRevision(c, row.revision) });
    if (written.dryRun) return show(row);
    const stored = this.found(row.id);
    c.header("ETag", etagOf(stored.revision));
    await written.settled();
    return show(stored);
  }

  /** Deletes an object, if it is still the one that the client saw. */
  async delete(c: Context, edit: Deletion): Promise<void> {
    const { revision } = this.found(edit.id);
    const asked = { ...edit, ...ifRevision(c, revision) };
    if (isDryRun(c)) await planned(c, this.#parts, asked);
    else await write(c, this.#parts, asked).settled();
  }
}
