/**
 * The command lines of `gitops`. What they do is in `gitops.ts`, which is loaded when one of them runs.
 *
 * @module
 */
import type { Command } from "commander";
import { addApiOptions, addOutputOption, type CommandContext, examples } from "./command_line.ts";

/** Adds the commands. */
export function register(root: Command, { terminal, done }: CommandContext): void {
  const gitops = root.command("gitops").description("the repository that the model comes from");
  const status = gitops.command("status").description(
    "the commit that is applied, what is wrong, what was changed by another way; exit code 1 if it isn't synced",
  );
  addOutputOption(addApiOptions(status), ["table", "json", "yaml"])
    .addHelpText("after", examples("pleiades gitops status"))
    .action(async (options) => done(await (await import("./gitops.ts")).gitopsStatus(options, terminal)));
  const sync = gitops.command("sync").description("look at the repository at once, and say what came of it");
  addOutputOption(addApiOptions(sync), ["table", "json", "yaml"])
    .option(
      "--force",
      "apply a commit that guards refuse or that rewrites the branch, and undo what was changed by another way",
    )
    .option("--reason <text>", "why; kept in the history")
    .addHelpText(
      "after",
      examples("pleiades gitops sync", 'pleiades gitops sync --force --reason "the other site is gone"'),
    )
    .action(async (options) => done(await (await import("./gitops.ts")).gitopsSync(options, terminal)));
}
