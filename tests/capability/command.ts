/**
 * The command line of the toy: `pleiades motd`.
 *
 * @module
 */
import type { Command } from "commander";
import { ApiClient } from "../../src/cli/client.ts";
import { addApiOptions, type CommandContext } from "../../src/cli/command_line.ts";

/** Adds the command. */
export function register(root: Command, { terminal, done }: CommandContext): void {
  addApiOptions(root.command("motd").description("the message of the day")).action(async (options) => {
    const { text, author } = await new ApiClient(options, terminal).get("/motd");
    terminal.out(`${text} (${author})`);
    done(0);
  });
}
