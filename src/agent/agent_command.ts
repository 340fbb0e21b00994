/**
 * The command lines of `pleiades agent`. What they do is in `agent_commands.ts`, which is loaded when one of them runs.
 *
 * @module
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { type CommandContext, examples, milliseconds } from "../cli/command_line.ts";
import { signalled } from "../node/signals.ts";
import type { AgentFlags, BlockFlags } from "./commands.ts";

/** Adds the group `agent`; `done` gets the exit code of the command that ran. */
export function register(root: Command, { terminal, done }: CommandContext): void {
  const group = root.command("agent").description("keep this server's own address in the record of its name");
  const load = () => import("./commands.ts");

  addSettings(group.command("run"))
    .description("add this server to the record, probe the others, remove those that stay bad")
    .addHelpText("after", examples("pleiades agent run", "pleiades agent run -c agent.yaml"))
    .action(async (flags: AgentFlags) => {
      using stop = signalled(STOPPING);
      done(await (await load()).run(flags, { terminal, stopped: stop.promise }));
    });

  addSettings(group.command("block"))
    .description("keep a server from adding itself, until the time is over or the command is ended")
    .argument("<ip>", "its address")
    .addOption(
      new Option("--for <duration>", "from 1m to 1h").argParser(milliseconds).default(900_000, "15m"),
    )
    .addOption(new Option("--blockDuration <duration>").argParser(milliseconds).hideHelp())
    .addHelpText("after", examples("pleiades agent block 192.0.2.10 --for 30m -c agent.yaml"))
    .action(async (ip: string, flags: BlockFlags) => {
      using stop = signalled(STOPPING);
      done(await (await load()).blockServer(ip, flags, { terminal, stopped: stop.promise }));
    });

  addSettings(group.command("rolling-replace"))
    .description("replace the servers of a region, one after the other")
    .argument("<region...>", "1–3 regions of agent.regions", regions, [])
    .addHelpText(
      "after",
      examples("pleiades agent rolling-replace fra", "pleiades agent rolling-replace fra nyc"),
    )
    .action(async (names: string[], flags: AgentFlags) => {
      using stop = signalled(STOPPING);
      done(await (await load()).replaceServers(names, flags, { terminal, stopped: stop.promise }));
    });
}

const STOPPING = ["SIGTERM", "SIGINT"] as const;

function addSettings(command: Command): Command {
  return command
    .option("-c, --config <file>", "settings file; by default /etc/pleiades/config.yaml if it exists")
    .addOption(new Option("--configFile <file>").hideHelp());
}

function regions(name: string, before: readonly string[]): string[] {
  if (before.length >= REGIONS_MAX) throw new InvalidArgumentError(`Give 1–${REGIONS_MAX} regions.`);
  return [...before, name];
}

/** Regions of one run. */
const REGIONS_MAX = 3;
