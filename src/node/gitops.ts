/**
 * GitOps as a part of a node.
 *
 * @module
 */
import { tmpdir } from "node:os";
import { GitState } from "../change/git_state.ts";
import { startGitops } from "../gitops/gitops.ts";
import type { Start } from "./part.ts";

/** Follows the repository of the settings; offered also where they have none, since a reload may name one. */
export const gitops: Start = (core) => {
  const { store } = core;
  if (store.readOnly) return null;
  const isTemporary = store.path === ":memory:";
  // Objects of the repository lie beside the database, or in a folder that ends with a database in memory.
  const folder = isTemporary ? `${tmpdir()}/pleiades-git-${crypto.randomUUID()}` : `${store.path}.git`;
  const part = startGitops({ ...core, state: new GitState(store), folder });
  return {
    ...part,
    [Symbol.asyncDispose]: async () => {
      await part[Symbol.asyncDispose]();
      if (isTemporary) await removeIfThere(folder);
    },
  };
};

async function removeIfThere(folder: string): Promise<void> {
  try {
    await Deno.remove(folder, { recursive: true });
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
  }
}
