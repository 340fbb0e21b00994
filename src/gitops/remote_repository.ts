/**
 * A branch of a repository, fetched over HTTPS, SSH or from a path into a store, and read from there.
 *
 * Of a new commit only itself and its files are fetched. Its history follows if it is asked for: commits alone where the other side can leave
 * files out, and in growing depth, since the commit that is looked for is nearly always one of the last. Where it can't be reached within
 * the bounds the answer is "unknown", which is no failure: the files are here, and whoever asked says what to do.
 *
 * @module
 */
import { anySignal } from "../any_signal.ts";
import { readRepositoryUrl, type Remote, RepositoryUrlFault } from "../input/repository_url.ts";
import { HttpsTransport } from "./https_transport.ts";
import { ObjectStore } from "./object_store.ts";
import type { GitObject } from "./pack.ts";
import {
  type Bounds,
  type Repository,
  RepositoryError,
  type RepositoryFile,
  type RepositoryOptions,
} from "./repository.ts";
import { needProgram, ProgramTransport } from "./system_git.ts";
import { filesBelow, type TreeSource } from "./tree.ts";
import {
  type Conversation,
  type PackRequest,
  plainWords,
  type Transport,
  UploadPack,
} from "./upload_pack.ts";

/** How deep history is fetched to find a commit in it; the last one is what Git takes for "all". */
const DEPTHS = [50, 1000, 0x7fffffff];
/** Annotated tags of one commit. */
const TAGS_MAX = 100;
/** Time that work takes until others have their turn. */
const TURN_MS = 20;

/**
 * Opens a repository; nothing is fetched yet.
 *
 * @throws {RepositoryError} `url`, `name` or `program`: what would keep any fetch from working
 */
export function openRepository(options: RepositoryOptions): Repository {
  const remote = remoteOf(options.url);
  judgeBranch(options.branch);
  needProgram(remote);
  return new RemoteRepository(options, transportOf(remote, options));
}

function remoteOf(url: string): Remote {
  try {
    return readRepositoryUrl(url);
  } catch (error) {
    if (!(error instanceof RepositoryUrlFault)) throw error;
    throw new RepositoryError("url", error.message);
  }
}

function transportOf(
  remote: Remote,
  { auth, caCerts = [] }: RepositoryOptions,
): Transport & Partial<Disposable> {
  if (remote.kind !== "https") return new ProgramTransport({ remote, auth });
  if (!remote.isEncrypted && (auth.password !== null || auth.token !== null)) {
    throw new RepositoryError(
      "url",
      "The URL of the repository begins with http://, which would show the credentials: use https://",
    );
  }
  return new HttpsTransport({ url: remote.url, auth, caCerts });
}

/** Refuses what Git wouldn't take for the name of a branch (git-check-ref-format). */
function judgeBranch(branch: string): void {
  const isName = branch !== "" && !/[\p{Cc} ~^:?*[\\]|\.\.|@\{|\/\/|^[-/.]|[/.]$|\.lock$/u.test(branch);
  if (!isName) {
    throw new RepositoryError("name", `No branch can be called ${JSON.stringify(plainWords(branch))}`);
  }
}

/** What a piece of work over the network goes by. */
interface Terms {
  readonly signal: AbortSignal;
  readonly breathe: () => Promise<void>;
}

class RemoteRepository implements Repository {
  readonly #branch: string;
  readonly #bounds: Bounds;
  readonly #transport: Transport & Partial<Disposable>;
  readonly #uploadPack: UploadPack;
  readonly #store: ObjectStore;
  readonly #ended = new AbortController();
  /** Parents of the commits that were looked at. */
  readonly #parents = new Map<string, readonly string[]>();
  /** Whether something that must be in the store isn't, or isn't as it must be. */
  #isStoreBroken = false;

  constructor(
    { url, branch, folder, bounds }: RepositoryOptions,
    transport: Transport & Partial<Disposable>,
  ) {
    this.#branch = branch;
    this.#bounds = bounds;
    this.#transport = transport;
    this.#uploadPack = new UploadPack(transport, bounds.refBytes);
    this.#store = new ObjectStore({ folder, source: url, bounds });
  }

  fetch(
    { known, signal }: { readonly known: string | null; readonly signal: AbortSignal },
  ): Promise<{ readonly head: string }> {
    return this.#bounded(signal, async (terms) => {
      if (this.#isStoreBroken) this.#store.clear();
      this.#isStoreBroken = false;
      const head = await this.#fetchHead(terms);
      if (known !== null) await this.#reach(known, { ...terms, head });
      return { head };
    });
  }

  commit(id: string): Promise<Uint8Array> {
    return Promise.resolve().then(() => this.#commit(id).bytes);
  }

  tags(commit: string): Promise<readonly Uint8Array[]> {
    return this.#bounded(null, async (terms) => {
      await using talk = await this.#uploadPack.talk(terms.signal);
      const refs = await talk.refs("refs/tags/");
      const ids = [...new Set(refs.filter(({ peeled }) => peeled === commit).map(({ id }) => id))];
      if (ids.length > TAGS_MAX) {
        throw new RepositoryError(
          "bound",
          `The commit has ${ids.length} annotated tags, at most ${TAGS_MAX}`,
        );
      }
      const wants = ids.filter((id) => !this.#store.has(id));
      if (wants.length > 0) await this.#take(talk, { wants, depth: 1, isHistoryOnly: false }, terms);
      return ids.flatMap((id) => {
        const tag = this.#read(id);
        return tag?.kind === "tag" && pointsAt(tag, commit) ? [tag.bytes] : [];
      });
    });
  }

  descends(commit: string, ancestor: string): Promise<"yes" | "no" | "unknown"> {
    return Promise.resolve().then(() => this.#descends(commit, ancestor));
  }

  async *files(commit: string, prefix: string): AsyncIterable<RepositoryFile> {
    const source: TreeSource = {
      hash: this.#store.hash,
      read: (id, count) => this.#read(id, count),
      lacking: (what) => this.#lacking(what),
    };
    const root = treeOf(this.#commit(commit));
    if (root === null) throw this.#lacking("The commit");
    yield* filesBelow(source, { root, prefix, bounds: this.#bounds });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    this.#transport[Symbol.dispose]?.();
    return Promise.resolve();
  }

  /** The commit that the branch names, with all its files in the store. */
  async #fetchHead(terms: Terms): Promise<string> {
    try {
      return await this.#fetchHeadOnce(terms);
    } catch (error) {
      // The branch was moved by force after it was looked up; what it names now is there.
      if (!(error instanceof RepositoryError && /not our ref/.test(error.message))) throw error;
      return await this.#fetchHeadOnce(terms);
    }
  }

  async #fetchHeadOnce(terms: Terms): Promise<string> {
    await using talk = await this.#uploadPack.talk(terms.signal);
    const name = `refs/heads/${this.#branch}`;
    const head = (await talk.refs(name)).find((ref) => ref.name === name)?.id;
    if (head === undefined) {
      throw new RepositoryError("missing", `The repository has no branch ${this.#branch}`);
    }
    if (talk.hash !== this.#store.hash) this.#store.clear(talk.hash);
    if (this.#store.complete.includes(head)) return head;
    const isFull = this.#store.isFull;
    await this.#take(talk, { wants: [head], depth: 1, isHistoryOnly: false, isAlone: isFull }, terms);
    if (this.#read(head)?.kind !== "commit") {
      throw new RepositoryError(
        "damaged",
        `The Git server didn't send the commit that ${this.#branch} names`,
      );
    }
    if (isFull) this.#store.keepLast(head);
    else this.#store.addComplete(head);
    return head;
  }

  /** Fetches history until it is clear whether a commit is among the ancestors of the head, or the bounds are reached. */
  async #reach(known: string, { head, ...terms }: Terms & { readonly head: string }): Promise<void> {
    for (const depth of DEPTHS) {
      if (this.#descends(head, known) !== "unknown" || this.#store.isFull) return;
      try {
        await using talk = await this.#uploadPack.talk(terms.signal);
        await this.#take(talk, { wants: [head], depth, isHistoryOnly: true }, terms);
      } catch (error) {
        // Too much history to be sure is an answer, not a failure.
        if (error instanceof RepositoryError && error.reason === "bound") return;
        throw error;
      }
    }
  }

  async #take(
    talk: Conversation,
    { isAlone = false, ...request }: Omit<PackRequest, "haves"> & { readonly isAlone?: boolean },
    { breathe }: Terms,
  ): Promise<void> {
    const haves = isAlone ? [] : this.#store.complete;
    await this.#store.add(talk.pack({ ...request, haves }), breathe);
  }

  #descends(commit: string, ancestor: string): "yes" | "no" | "unknown" {
    const seen = new Set([commit]);
    let isWhole = true;
    // A set is gone through in the order in which it grows, so this is breadth first.
    for (const id of seen) {
      if (id === ancestor) return "yes";
      if (seen.size > this.#bounds.commits) return "unknown";
      const parents = this.#parentsOf(id);
      if (parents === null) isWhole = false;
      else parents.forEach((parent) => seen.add(parent));
    }
    return isWhole ? "no" : "unknown";
  }

  /** `null` = the commit isn't here. */
  #parentsOf(id: string): readonly string[] | null {
    const known = this.#parents.get(id);
    if (known !== undefined) return known;
    const object = this.#read(id);
    if (object?.kind !== "commit") return null;
    const parents = headers(object, "parent");
    if (this.#parents.size < this.#bounds.commits) this.#parents.set(id, parents);
    return parents;
  }

  #commit(id: string): GitObject {
    const object = this.#read(id);
    if (object?.kind === "commit") return object;
    throw new RepositoryError("missing", `The commit ${id} isn't in the store`);
  }

  #read(id: string, count: (bytes: number) => void = () => {}): GitObject | null {
    try {
      return this.#store.read(id, count);
    } catch (error) {
      if (error instanceof RepositoryError && error.reason === "damaged") this.#isStoreBroken = true;
      throw error;
    }
  }

  /** What isn't in the store although a commit has it: either it was left out, or it was never sent. */
  #lacking(what: string): RepositoryError {
    const { objectBytes } = this.#bounds;
    if (this.#store.hasLeftOut) {
      return new RepositoryError(
        "bound",
        `The repository is too large: ${what} has more than ${objectBytes} bytes (objectBytes)`,
      );
    }
    this.#isStoreBroken = true;
    return new RepositoryError("damaged", `${what} is missing from what the Git server sent`);
  }

  /** Runs work over the network within its time, and says in our words why it failed. */
  async #bounded<Result>(
    caller: AbortSignal | null,
    work: (terms: Terms) => Promise<Result>,
  ): Promise<Result> {
    const { timeMs } = this.#bounds;
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), timeMs);
    const ended = anySignal([this.#ended.signal, ...caller === null ? [] : [caller]]);
    const signal = anySignal([ended, late.signal]);
    try {
      signal.throwIfAborted();
      return await work({ signal, breathe: breathing(signal) });
    } catch (error) {
      this.#uploadPack.forget();
      if (ended.aborted) throw new RepositoryError("aborted", "The fetch was ended");
      if (late.signal.aborted) {
        throw new RepositoryError("unreachable", `The fetch takes more than ${timeMs / 1000} s (timeMs)`);
      }
      if (error instanceof Error && !(error instanceof RepositoryError) && /os error/.test(error.message)) {
        throw new RepositoryError("disk", `Can't write the store: ${plainWords(error.message)}`, {
          cause: error,
        });
      }
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Lets others have their turn every now and then, and ends with the signal. */
function breathing(signal: AbortSignal): () => Promise<void> {
  let untilMs = performance.now() + TURN_MS;
  return async () => {
    if (performance.now() < untilMs) return;
    await new Promise((resolve) => setTimeout(resolve, 0));
    signal.throwIfAborted();
    untilMs = performance.now() + TURN_MS;
  };
}

/** The lines of a commit or a tag before its message, as far as they are of a kind. */
function headers({ bytes }: GitObject, key: string): string[] {
  const end = indexOfBlankLine(bytes);
  // Of a message nothing is read, which may have any encoding.
  const lines = new TextDecoder("latin1").decode(bytes.subarray(0, end)).split("\n");
  return lines.filter((line) => line.startsWith(`${key} `)).map((line) => line.slice(key.length + 1));
}

function indexOfBlankLine(bytes: Uint8Array): number {
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) {
    if (bytes[at + 1] === 10) return at;
  }
  return bytes.length;
}

function treeOf(commit: GitObject): string | null {
  return headers(commit, "tree")[0] ?? null;
}

function pointsAt(tag: GitObject, commit: string): boolean {
  return headers(tag, "object")[0] === commit && headers(tag, "type")[0] === "commit";
}
