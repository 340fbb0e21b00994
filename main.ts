/**
 * `pleiades`: reads the command line, loads the one command that was asked for, and turns what it returns or
 * throws into an exit code.
 *
 * Every command is behind a literal `import()`: the tree below costs milliseconds, and a command pays only for
 * itself. No expected error ever shows a stack; `PLEIADES_DEBUG=1` brings it back.
 *
 * @module
 */
import { Argument, Command, CommanderError, InvalidArgumentError, Option } from "commander";
import type { DatabaseOptions } from "./src/cli/backup.ts";
import { CommandFailed, type ExitCode } from "./src/cli/failure.ts";
import {
  addApiOptions,
  addOutputOption,
  examples,
  type Surroundings,
  withTwoDashes,
} from "./src/cli/command_line.ts";
import type { Shell } from "./src/cli/completions.ts";
import { addConfigCommand } from "./src/cli/config_command.ts";
import { addExplainCommands } from "./src/cli/explain_commands.ts";
import { NAME_KINDS, type NameKind } from "./src/cli/name_kinds.ts";
import { addQueryCommand } from "./src/cli/query_command.ts";
import { addOverrideCommands } from "./src/cli/override_commands.ts";
import { addResourceCommands } from "./src/cli/resource_commands.ts";
import { systemTerminal, type Terminal } from "./src/cli/terminal.ts";
import type { DemoFlags } from "./src/demo/demo.ts";
import type { ServeFlags } from "./src/node/serve.ts";
import { ServeSignals } from "./src/node/signals.ts";
import { VERSION } from "./src/version.ts";

const FIRST_STEPS = `
Three things to try first:
  pleiades demo                          a whole node with sample backends, gone when you press Ctrl-C
  pleiades config init > pleiades.yaml   a commented settings file to start from
  pleiades serve -c pleiades.yaml        the node itself

"pleiades COMMAND --help" shows the options of a command, with examples.`;

/** Runs one command line (without the program's name) and gives the exit code of INTERFACES §1. */
export async function run(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  const outcome: Outcome = { exitCode: 0 };
  const root = commandTree(terminal, outcome);
  if (args.length === 0) {
    root.outputHelp();
    return 0;
  }
  try {
    await root.parseAsync(withoutHelpForNothing(root, withTwoDashes(args)), { from: "user" });
    return outcome.exitCode;
  } catch (error) {
    return report(error, terminal);
  }
}

/** Without what asks for help where the command that it is about isn't there: that is an error, as without it. */
function withoutHelpForNothing(root: Command, args: readonly string[]): readonly string[] {
  const words = args[0] === "help" ? args.slice(1) : args;
  let at = root;
  for (const word of words) {
    const next = at.commands.find((each) => each.name() === word || each.aliases().includes(word));
    if (next !== undefined) at = next;
    else if (word.startsWith("-") || word === "help" || at.commands.length === 0) return args;
    else return words.filter((each) => each !== "--help" && each !== "-h");
  }
  return args;
}

/** What the command that ran came to; commander's actions have no result of their own. */
interface Outcome {
  exitCode: ExitCode;
}

/** The whole tree of commands. Commander's own words go to the same terminal, errors in one line. */
function commandTree(terminal: Terminal, outcome: Outcome): Command {
  const root = new Tree("pleiades")
    .description("Health-aware DNS global server load balancer")
    .addHelpText("after", FIRST_STEPS)
    .version(VERSION, "-V, --version", "the version alone")
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.out(text.trimEnd()),
      writeErr: (text) => terminal.err(text.trimEnd()),
      outputError: (text, write) => write(text.trim().replaceAll(/\s*\n\s*/g, " ")),
    });
  const done = (exitCode: ExitCode) => {
    outcome.exitCode = exitCode;
  };
  root.commandsGroup("Run:");
  addServe(root, { terminal, done });
  addDemo(root, { terminal, done });
  root.commandsGroup("Look:");
  addQueryCommand(root, { terminal, done });
  addConfigCommand(root, { terminal, done });
  addExplainCommands(root, { terminal, done });
  addStatus(root, { terminal, done });
  root.commandsGroup("Change:");
  addResourceCommands(root, { terminal, done });
  root.commandsGroup("Steer:");
  addOverrideCommands(root, { terminal, done });
  addFailBack(root, { terminal, done });
  root.commandsGroup("Keep:");
  addBackup(root, { terminal, done });
  root.commandsGroup("Other:");
  addCompletions(root, { terminal, done });
  addVersion(root, { terminal, done });
  root.helpCommand("help [command]", "the options of a command");
  return root;
}

function addServe(root: Command, { terminal, done }: Surroundings): void {
  root.command("serve")
    .description("a node: answers DNS, checks health, serves the API")
    .option("-c, --config <file>", "settings file; else /etc/pleiades/config.yaml when it exists")
    .option("--db <file>", "database file, or none")
    .addOption(
      new Option("--dns <addr:port>", "where to answer DNS; may be repeated; port 0 = any free one")
        .argParser((address, before: string[] = []) => [...before, address]),
    )
    .option("--api <addr:port>", "where the API listens; port 0 = any free one")
    .addOption(new Option("--workers <n>", "threads that answer DNS").argParser(workers))
    .addHelpText(
      "after",
      examples(
        "pleiades serve",
        "pleiades serve -c pleiades.yaml",
        "pleiades serve --db none --dns 127.0.0.1:5353 --dns [::1]:5353 --api 127.0.0.1:8080",
      ) + "\n\nSIGHUP reads the settings again, SIGTERM stops after the answers under way.",
    )
    .action(async (flags: ServeFlags) => {
      using signals = new ServeSignals(); // before the program itself is loaded, so that none finds nobody
      done(await (await import("./src/node/serve.ts")).serve(flags, { terminal, signals }));
    });
}

function addDemo(root: Command, { terminal, done }: Surroundings): void {
  root.command("demo")
    .description("a node with sample backends that come and go, told live; leaves nothing behind")
    .option("--dns <addr:port>", "where to answer DNS; else a free port on loopback")
    .option("--api <addr:port>", "where the API listens; else a free port on loopback")
    .option("--once", "stop and start a backend once, then end; exit code 1 when the answers were late")
    .addHelpText("after", examples("pleiades demo", "pleiades demo --once"))
    .action(async (flags: DemoFlags) =>
      done(await (await import("./src/demo/demo.ts")).demo(flags, terminal))
    );
}

function workers(text: string): number {
  if (!/^[1-9]\d{0,2}$/.test(text)) {
    throw new InvalidArgumentError("It must be a whole number from 1 to 999.");
  }
  return Number(text);
}

function addStatus(root: Command, { terminal, done }: Surroundings): void {
  const command = root.command("status").description("how the node is; exit code 1 when it doesn't answer");
  addOutputOption(addApiOptions(command), ["table", "json", "yaml"])
    .addHelpText(
      "after",
      examples("pleiades status", "pleiades status -o json --api http://ns1.example.org:8080"),
    )
    .action(async (options) => done(await (await import("./src/cli/status.ts")).status(options, terminal)));
}

function addFailBack(root: Command, { terminal, done }: Surroundings): void {
  const command = root.command("failback <member>")
    .description("answer a member again that is well and waits for it (failback: manual)")
    .option("--reason <text>", "why, for the node's log")
    .option("--dry-run", "check it, change nothing");
  addOutputOption(addApiOptions(command), ["table", "json", "yaml"])
    .addHelpText(
      "after",
      examples(
        'pleiades failback web/192.0.2.10 --reason "checked by hand"',
        "pleiades failback web/[2001:db8::10]:443",
        "pleiades failback 9f86d081884c7d659a2feaa0c55ad015",
      ),
    )
    .action(async (member: string, options) =>
      done(await (await import("./src/cli/failback.ts")).failBack(member, options, terminal))
    );
}

function addBackup(root: Command, { terminal, done }: Surroundings): void {
  const command = (name: string, description: string, file: string) =>
    root.command(name)
      .description(description)
      .argument("<file>", file)
      .option("--db <file>", "the database; else the one that the settings name")
      .option("-c, --config <file>", "settings file; else /etc/pleiades/config.yaml when it exists");
  command(
    "backup",
    "copy the database to a file, also while a node runs",
    "the copy; replaced when it exists",
  )
    .addHelpText("after", examples("pleiades backup /srv/backup/pleiades-$(date +%F).db"))
    .action(async (file: string, options: DatabaseOptions) =>
      done(await (await import("./src/cli/backup.ts")).backup(file, options, terminal))
    );
  command("restore", "put a backup in the place of the database; stop the node first", "what backup made")
    .addHelpText(
      "after",
      examples("pleiades restore pleiades-2026-01-31.db --db /var/lib/pleiades/pleiades.db"),
    )
    .action(async (file: string, options: DatabaseOptions) =>
      done(await (await import("./src/cli/backup.ts")).restore(file, options, terminal))
    );
}

function addCompletions(root: Command, { terminal, done }: Surroundings): void {
  root.command("completions")
    .description("a completion script for your shell")
    .addArgument(new Argument("<shell>", "which shell").choices(["bash", "zsh", "fish"]))
    .addHelpText(
      "after",
      examples("source <(pleiades completions bash)", "pleiades completions fish | source"),
    )
    .action(async (shell: Shell) =>
      done((await import("./src/cli/completions.ts")).completions(shell, root, terminal))
    );
  // What the scripts ask for names; nobody types it.
  root.command("__names", { hidden: true })
    .addArgument(new Argument("<kind>").choices([...NAME_KINDS]))
    .action(async (kind: NameKind) =>
      done(await (await import("./src/cli/completion_names.ts")).completionNames(kind, terminal))
    );
}

function addVersion(root: Command, { terminal, done }: Surroundings): void {
  addOutputOption(root.command("version"), ["text", "json"])
    .description("which version this is, and for what")
    .action(async (options: { output: "text" | "json" }) =>
      done((await import("./src/cli/version.ts")).version(options, terminal))
    );
}

/** A command that, called without the subcommand it needs, says so in one line instead of printing its help. */
class Tree extends Command {
  override createCommand(name?: string): Command {
    return new Tree(name);
  }

  override help(context?: unknown): never {
    const words = this.commands.map((command) => command.name()).filter((name) => name !== "help");
    if (isErrorContext(context)) this.error(`error: ${this.name()} needs one of: ${words.join(", ")}`);
    return super.help();
  }
}

function isErrorContext(context: unknown): boolean {
  return typeof context === "object" && context !== null && "error" in context && context.error === true;
}

/** Says what went wrong in a line per problem, and picks the exit code. */
function report(error: unknown, terminal: Terminal): ExitCode {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (terminal.env("PLEIADES_DEBUG") && error instanceof Error) terminal.err(error.stack ?? "");
  if (error instanceof CommandFailed) {
    for (const line of error.message.split("\n")) terminal.err(`error: ${line}`);
    return error.exitCode;
  }
  const message = error instanceof Error ? error.message : String(error);
  terminal.err(`error: ${message.trim().replaceAll(/\s*\n\s*/g, " ")}`);
  return 1;
}

if (import.meta.main) Deno.exit(await run(Deno.args, systemTerminal));
