/**
 * What the command lines of several commands share, so that the same flag is spelt, read and explained the same
 * everywhere. Like every file that builds the tree of commands it loads nothing but commander.
 *
 * @module
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { parseDuration } from "../input/duration.ts";
import { DEFAULT_API_URL } from "./api_url.ts";
import type { ExitCode } from "./failure.ts";
import type { Terminal } from "./terminal.ts";

/** What every command is given. */
export interface CommandContext {
  /** Where its words go. */
  readonly terminal: Terminal;
  /** Called once by the command that ran; commander's actions have no result of their own. */
  readonly done: (exitCode: ExitCode) => void;
  /** Loads the tree of all commands; that which a command is in may have no other. */
  readonly wholeTree: () => Promise<Command>;
}

/** Adds the options that say where the API is and who asks. */
export function addApiOptions(command: Command): Command {
  return command
    .option("--api <url>", `URL of the API (PLEIADES_API_URL, else ${DEFAULT_API_URL})`)
    .option("--token <token>", "bearer token (PLEIADES_API_TOKEN)");
}

/** How the options of a change differ from command to command. */
export interface WriteOptionsLayout {
  /** Whether it always needs a reason; whoever finds an override wants to know. */
  readonly needsReason?: boolean;
}

/** Adds what every change takes: whether it is only tried, what it is for, and whether guards may stop it. */
export function addWriteOptions(
  command: Command,
  { needsReason = false }: WriteOptionsLayout = {},
): Command {
  const reason = needsReason
    ? new Option("--reason <text>", "why, for those who find it (required)").makeOptionMandatory()
    : new Option("--reason <text>", "why, for the history");
  return command
    .addOption(reason)
    .option("--dry-run", "show what it would change, objects and answers; change nothing")
    .option("--force", "do it even if a guard would refuse it; needs --reason")
    .hook("preAction", () => {
      const { force, reason } = command.opts();
      if (force !== true || String(reason ?? "").trim() !== "") return;
      command.error("error: --force needs --reason TEXT, which the history keeps", { exitCode: 2 });
    });
}

/** Adds `-o`; the first format is the default. */
export function addOutputOption(command: Command, formats: readonly [string, ...string[]]): Command {
  return command.addOption(
    new Option("-o, --output <format>", "output format").choices(formats).default(formats[0]),
  );
}

/** Reads a duration flag into milliseconds. @throws {InvalidArgumentError} with the forms that are read */
export function milliseconds(text: string): number {
  const ms = parseDuration(text);
  if (ms === null) {
    throw new InvalidArgumentError("It must be a duration such as 250ms, 10s, 5m, 48h or 30d.");
  }
  return ms;
}

/** Reads the number of a generation. @throws {InvalidArgumentError} with where they are listed */
export function generationNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) {
    throw new InvalidArgumentError(`It must be a generation such as 12 ("pleiades history" lists them).`);
  }
  return Number(text);
}

/** Whole command lines, as they stand below the help of a command. */
export function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join("\n")}`;
}

/**
 * A command line in which `-config`, `-db` and the flags of `license issue` and of `agent`, with their value behind a space
 * or `=`, have two dashes: gslbd, gslbctl, their token generator and dnslb-ctl spell them with one, as Go programs do, where
 * ours would read a bundle of short flags.
 */
export function withTwoDashes(args: readonly string[]): string[] {
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  return args.map((arg, i) =>
    i < end && /^-(?:config|configFile|blockDuration|db|tier|rps|expire-in)(?:=|$)/.test(arg)
      ? `-${arg}`
      : arg
  );
}
