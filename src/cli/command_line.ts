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

/** Whole command lines, as they stand below the help of a command. */
export function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join("\n")}`;
}

/**
 * A command line in which `-config` and `-db`, with their value behind a space or `=`, have two dashes: gslbd and gslbctl
 * spell them with one, as Go programs do, where ours would read a bundle of short flags.
 */
export function withTwoDashes(args: readonly string[]): string[] {
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  return args.map((arg, i) => i < end && /^-(?:config|db)(?:=|$)/.test(arg) ? `-${arg}` : arg);
}
