/**
 * Check of the program that a repository needs which isn't reached by HTTPS: `git` for a path, `ssh` for a host. That its URL
 * can be read is judged with the settings.
 *
 * @module
 */
import { RepositoryError } from "../gitops/repository.ts";
import { needProgram } from "../gitops/system_git.ts";
import { readRepositoryUrl } from "../input/repository_url.ts";
import type { Check } from "./check.ts";

/** Whether the repository's program is installed. */
export const repositoryProgram: Check = {
  id: "repository",
  looksAt: "the program that the repository needs",
  when: "both",
  look: ({ settings: { gitops } }) => {
    if (gitops === null) return [];
    try {
      needProgram(readRepositoryUrl(gitops.repoURL));
      return [];
    } catch (error) {
      if (!(error instanceof RepositoryError)) throw error;
      return [{
        level: "problem",
        subject: "gitops.repoURL",
        message: error.message,
        fix: "do that, or give the repository by https, which needs no other program",
      }];
    }
  },
};
