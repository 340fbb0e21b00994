/**
 * What is done with a repository, apart from deciding: fetched, judged, read. It takes seconds of CPU for a large model, so
 * a node has it done on a thread of its own (`git_thread.ts`, `worker.ts`).
 *
 * @module
 */
import type { FileProblem } from "../input/yaml_source.ts";
import { CommitModels } from "./commit_models.ts";
import { subjectOf } from "./commit_text.ts";
import type { Repository } from "./repository.ts";
import { verifyCommit, verifyTag } from "./signature.ts";
import { readSigners, type SignerSettings } from "./signers.ts";
import type { Verdict } from "./verdict.ts";

/** What is known of a commit, apart from what is in it. */
export interface CommitFacts {
  /** First line of its message, without control characters. */
  readonly subject: string;
  /** Who signed it; `null` = that isn't asked for. */
  readonly verdict: Verdict | null;
}

/** How signatures are judged. */
export interface SignatureTerms extends SignerSettings {
  /** Whether a good signature of a tag that points at the commit counts as well. */
  readonly signedTags: boolean;
}

/** The model of a commit: problems, or bytes of NDJSON that are asked for part by part. */
export type ReadCommit =
  | { readonly kind: "invalid"; readonly problems: readonly FileProblem[] }
  | { readonly kind: "model"; readonly lines: ReadableStream<Uint8Array> };

/** Works on one repository; one call at a time. Failures are `RepositoryError`s, or of the signers' files. */
export interface GitWork extends AsyncDisposable {
  /** Whether it can be asked; one that was given up, or whose thread is gone, can't be ever again. */
  readonly isAlive: boolean;
  /** Brings the head of the branch here. @param known must be reached, so that ancestry can be judged */
  fetch(known: string | null, signal: AbortSignal): Promise<string>;
  /** Whether a commit is another one or comes after it. */
  descends(commit: string, ancestor: string): Promise<"yes" | "no" | "unknown">;
  /** Who made a commit, and why. @param terms `null` = signatures aren't looked at */
  look(commit: string, terms: SignatureTerms | null): Promise<CommitFacts>;
  /** Reads the model of a commit. */
  read(commit: string, prefix: string): Promise<ReadCommit>;
}

/** The work itself. */
export class RepositoryWork implements GitWork {
  readonly #repository: Repository;
  readonly #models = new CommitModels();
  readonly #now: () => Date;
  #isAlive = true;

  /** Takes the repository over. */
  constructor(repository: Repository, now: () => Date) {
    this.#repository = repository;
    this.#now = now;
  }

  /** Whether it can be asked. */
  get isAlive(): boolean {
    return this.#isAlive;
  }

  /** Brings the head of the branch here. */
  async fetch(known: string | null, signal: AbortSignal): Promise<string> {
    return (await this.#repository.fetch({ known, signal })).head;
  }

  /** Whether a commit is another one or comes after it. */
  descends(commit: string, ancestor: string): Promise<"yes" | "no" | "unknown"> {
    return this.#repository.descends(commit, ancestor);
  }

  /** Who made a commit, and why. */
  async look(commit: string, terms: SignatureTerms | null): Promise<CommitFacts> {
    const bytes = await this.#repository.commit(commit);
    return { subject: subjectOf(bytes), verdict: terms && await this.#verify(commit, bytes, terms) };
  }

  /** Reads the model of a commit. */
  async read(commit: string, prefix: string): Promise<ReadCommit> {
    const model = await this.#models.read(this.#repository, { commit, prefix });
    if (!("lines" in model)) return { kind: "invalid", problems: model.problems };
    return { kind: "model", lines: ReadableStream.from(encoded(model.lines)) };
  }

  /** Gives the repository up. */
  [Symbol.asyncDispose](): PromiseLike<void> {
    this.#isAlive = false;
    return this.#repository[Symbol.asyncDispose]();
  }

  async #verify(id: string, commit: Uint8Array, terms: SignatureTerms): Promise<Verdict> {
    const signers = await readSigners(terms);
    const now = this.#now();
    const own = await verifyCommit(commit, signers, now);
    if (own.state === "good" || !terms.signedTags) return own;
    for (const tag of await this.#repository.tags(id)) {
      const verdict = await verifyTag(tag, signers, now);
      if (verdict.state === "good") return verdict;
    }
    return own;
  }
}

async function* encoded(lines: Iterable<string>): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  for (const text of lines) yield await Promise.resolve(encoder.encode(text));
}
