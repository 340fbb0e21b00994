/** @module Repositories as tests open them, and what they expect of them. */
import { equal, ok } from "node:assert/strict";
import { openRepository } from "../../src/gitops/remote_repository.ts";
import {
  BOUNDS,
  type Bounds,
  type Repository,
  type RepositoryAuth,
  RepositoryError,
  type RepositoryFault,
} from "../../src/gitops/repository.ts";

const NO_AUTH: RepositoryAuth = {
  user: null,
  password: null,
  token: null,
  sshKeyPath: null,
  knownHostsPath: null,
};
/** A signal that never comes. */
export const signal = new AbortController().signal;

/** How a repository is reached in a test. */
export interface Way {
  readonly url: string;
  readonly auth?: Partial<RepositoryAuth>;
  readonly caCerts?: readonly string[];
}

/** What a repository is opened with in a test. */
export interface OpenTerms extends Way {
  readonly folder: string;
  readonly bounds?: Partial<Bounds>;
  readonly branch?: string;
}

/** Opens a repository, with the usual bounds where none are given. */
export function open(
  { url, folder, auth = {}, bounds = {}, branch = "main", caCerts = [] }: OpenTerms,
): Repository {
  return openRepository({
    url,
    branch,
    folder,
    auth: { ...NO_AUTH, ...auth },
    bounds: { ...BOUNDS, ...bounds },
    caCerts,
  });
}

/** Path and content of all files. */
export async function contents(
  repository: Repository,
  commit: string,
  prefix = "",
): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for await (const file of repository.files(commit, prefix)) {
    found[file.path] = new TextDecoder().decode(await file.read());
  }
  return found;
}

/** What is expected of a failure: its kind, and what it says. */
export function failure(reason: RepositoryFault, message: RegExp) {
  return (error: unknown) => {
    ok(error instanceof RepositoryError, String(error));
    equal(`${error.reason}: ${message.test(error.message)}`, `${reason}: true`, error.message);
    return true;
  };
}
