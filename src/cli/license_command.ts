/**
 * The command lines of `pleiades license`. What they do is in `license.ts`, which is loaded when one of them runs.
 *
 * @module
 */
import { type Command, InvalidArgumentError } from "commander";
import { addOutputOption, type CommandContext, examples, milliseconds } from "./command_line.ts";
import type { IssueFlags, VerifyFlags } from "./license.ts";

/** Adds the group `license`; `done` gets the exit code of the command that ran. */
export function register(root: Command, { terminal, done }: CommandContext): void {
  const group = root.command("license").description(
    "tokens that say how many answers a second a node may give",
  );
  const load = () => import("./license.ts");

  addSecretOptions(group.command("issue"))
    .description("sign a token with the secret of the settings, and print it")
    .requiredOption("--tier <tier>", "free, or the name of what was paid for")
    .option("--rps <n>", "answers a second; only the tier free can do without", answersPerSecond)
    .requiredOption("--expire-in <duration>", "how long it counts from now on", lifetime)
    .option("--id <id>", "what names the token in logs and /status; by default a random one")
    .addHelpText(
      "after",
      examples(
        "pleiades license issue --tier paid --rps 1000 --expire-in 720h --secret-file secret > license",
        "pleiades license issue --tier free --expire-in 30d -c pleiades.yaml",
      ),
    )
    .action(async (flags: IssueFlags) => done((await load()).issue(flags, terminal)));

  addOutputOption(addSecretOptions(group.command("verify")), ["text", "json"])
    .description("say what a token is worth; exit code 1 if it doesn't count")
    .argument("[token]", "the token, or - for stdin; by default that of the settings")
    .addHelpText(
      "after",
      examples("pleiades license verify -c pleiades.yaml", "pleiades license verify - -o json < license"),
    )
    .action(async (token: string | undefined, flags: VerifyFlags) =>
      done(await (await load()).verify(token, flags, terminal))
    );
}

/** The secret itself is no flag: whoever lists processes would see it. */
function addSecretOptions(command: Command): Command {
  return command
    .option("--secret-file <file>", "file with the secret, instead of license.secret of the settings")
    .option("-c, --config <file>", "settings file; by default /etc/pleiades/config.yaml if it exists");
}

function answersPerSecond(text: string): number {
  if (/^[1-9]\d{0,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It must be a whole number of answers a second, 1 or more.");
}

function lifetime(text: string): number {
  const ms = milliseconds(text);
  if (ms >= 1000) return ms;
  throw new InvalidArgumentError("It must be 1s or more.");
}
