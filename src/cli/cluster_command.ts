/**
 * The command lines of `pleiades cluster`. What they do is in `cluster.ts`, which is loaded when one of them runs.
 *
 * @module
 */
import type { Command } from "commander";
import { type CommandContext, examples } from "./command_line.ts";

/** Adds the group `cluster`; `done` gets the exit code of the command that ran. */
export function register(root: Command, { terminal, done }: CommandContext): void {
  const group = root.command("cluster").description("what the nodes of a cluster share");
  const key = group.command("key").description("keys that sign what nodes publish");
  key.command("new")
    .description("draw a key: the private one on stdout, for one node; the public one on stderr, for all")
    .addHelpText("after", examples("(umask 077; pleiades cluster key new > cluster.key)"))
    .action(async () => done(await (await import("./cluster.ts")).newKey(terminal)));
  key.command("public")
    .description("print the public key of a private one")
    .requiredOption("--key-file <file>", "file with the private key")
    .addHelpText("after", examples("pleiades cluster key public --key-file cluster.key"))
    .action(async (flags: { keyFile: string }) =>
      done(await (await import("./cluster.ts")).publicKey(flags.keyFile, terminal))
    );
}
