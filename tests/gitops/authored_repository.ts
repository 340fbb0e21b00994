/**
 * A repository of the system's git in a folder, to which tests commit, and a reader of it that asks git for each object: what
 * follows a repository is tested without the way there.
 *
 * @module
 */
import { type Repository, RepositoryError } from "../../src/gitops/repository.ts";

/** Of all commits; so ids are the same in each run. */
const WHO = {
  GIT_AUTHOR_NAME: "Alice",
  GIT_AUTHOR_EMAIL: "alice@example.org",
  GIT_AUTHOR_DATE: "2026-01-31T03:00:00Z",
  GIT_COMMITTER_NAME: "Alice",
  GIT_COMMITTER_EMAIL: "alice@example.org",
  GIT_COMMITTER_DATE: "2026-01-31T03:00:00Z",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_GLOBAL: "/dev/null",
};

/** Files by path; `null` = the file goes. */
export type Files = Readonly<Record<string, string | null>>;

/** A repository with a work tree. */
export class AuthoredRepository implements Disposable {
  readonly folder: string;

  /** Makes an empty one, whose branch is `main`. */
  constructor() {
    this.folder = Deno.makeTempDirSync({ prefix: "pleiades-git-test-" });
    this.git("init", "--quiet", "--initial-branch=main");
  }

  /** Runs git there, and gives what it printed. */
  git(...args: string[]): string {
    return new TextDecoder().decode(gitIn(this.folder, args)).trim();
  }

  /** Writes files and commits them; gives the id. */
  commit(files: Files, message = "A change"): string {
    for (const [path, text] of Object.entries(files)) {
      const file = `${this.folder}/${path}`;
      if (text === null) Deno.removeSync(file);
      else {
        Deno.mkdirSync(file.slice(0, file.lastIndexOf("/")), { recursive: true });
        Deno.writeTextFileSync(file, text);
      }
    }
    this.git("add", "--all");
    this.git("commit", "--quiet", "--allow-empty", "--message", message);
    return this.git("rev-parse", "HEAD");
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.folder, { recursive: true });
  }
}

/** Reads a branch of it; `fails` = what a fetch fails with. */
export class LocalRepository implements Repository {
  readonly #folder: string;
  readonly #branch: string;
  /** What the next fetches fail with; `null` = they don't. */
  fault: RepositoryError | null = null;
  /** How often was fetched. */
  fetches = 0;
  /** Contents that were read, by path. */
  readonly read: string[] = [];

  constructor({ folder }: Pick<AuthoredRepository, "folder">, branch = "main") {
    this.#folder = folder;
    this.#branch = branch;
  }

  async fetch(): Promise<{ readonly head: string }> {
    this.fetches++;
    await Promise.resolve();
    if (this.fault !== null) throw this.fault;
    return { head: this.#text("rev-parse", `refs/heads/${this.#branch}`) };
  }

  commit(id: string): Promise<Uint8Array> {
    return Promise.resolve(this.#run("cat-file", "commit", id));
  }

  tags(): Promise<readonly Uint8Array[]> {
    return Promise.resolve([]);
  }

  descends(commit: string, ancestor: string): Promise<"yes" | "no" | "unknown"> {
    try {
      this.#run("merge-base", "--is-ancestor", ancestor, commit);
      return Promise.resolve("yes");
    } catch {
      return Promise.resolve("no");
    }
  }

  async *files(commit: string, prefix: string) {
    await Promise.resolve();
    const rows = this.#text("ls-tree", "-r", commit, ...prefix === "" ? [] : [`${prefix}/`]).split("\n");
    for (const row of rows.filter((row) => row !== "")) {
      const [mode, , blob, path] = row.split(/[ \t]/) as [string, string, string, string];
      if (mode !== "100644") throw new RepositoryError("name", `${path} has the mode ${mode}`);
      yield {
        path,
        blob,
        read: () => {
          this.read.push(path);
          return Promise.resolve(this.#run("cat-file", "blob", blob));
        },
      };
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  #text(...args: string[]): string {
    return new TextDecoder().decode(this.#run(...args)).trim();
  }

  #run(...args: string[]): Uint8Array {
    return gitIn(this.#folder, args);
  }
}

function gitIn(folder: string, args: readonly string[]): Uint8Array {
  const { code, stdout, stderr } = new Deno.Command("git", { args: [...args], cwd: folder, env: WHO })
    .outputSync();
  if (code !== 0) throw new Error(`git ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return stdout;
}
