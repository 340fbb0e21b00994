/**
 * Every command of the shell, a line for each file that adds some. Like `main.ts` it may see everything; it loads
 * nothing until a command is asked for.
 *
 * @module
 */
import type { Command } from "commander";
import type { CommandContext } from "./command_line.ts";

/** All commands, in the order of the help. */
export const COMMANDS: readonly CommandFile[] = [
  ["Run:", ["serve"], () => import("../node/serve_command.ts")],
  ["Run:", ["agent"], () => import("../agent/agent_command.ts")],
  ["Run:", ["demo"], () => import("../demo/demo_command.ts")],
  ["Run:", ["balancer"], () => import("../front/balancer_command.ts")],
  ["Look:", ["balstat"], () => import("../front/balstat_command.ts")],
  ["Run:", ["distribute"], () => import("../distribute/distribute_command.ts")],
  ["Look:", ["query"], () => import("./query_command.ts")],
  ["Look:", ["config"], () => import("./config_command.ts")],
  ["Look:", ["explain", "budget"], () => import("./explain_commands.ts")],
  ["Look:", ["status"], () => import("./status_command.ts")],
  ["Look:", ["events"], () => import("./events_command.ts")],
  ["Look:", ["webhooks"], () => import("./webhook_commands.ts")],
  ["Look:", ["discovery"], () => import("./discovery_command.ts")],
  ["Look:", ["doctor"], () => import("./doctor_command.ts")],
  ["Change:", ["tui"], () => import("../tui/tui_command.ts")],
  ["Change:", ["plan", "history", "diff", "rollback"], () => import("./change_commands.ts")],
  [
    "Change:",
    ["pools", "members", "services", "health-checks", "geo-rules", "zones", "fallback"],
    () => import("./resource_commands.ts"),
  ],
  ["Change:", ["gitops"], () => import("./gitops_command.ts")],
  ["Steer:", ["drain", "up", "down", "undo", "overrides"], () => import("./override_commands.ts")],
  ["Steer:", ["failback"], () => import("./failback_command.ts")],
  ["Keep:", ["tokens"], () => import("./token_commands.ts")],
  ["Keep:", ["audit"], () => import("./audit_command.ts")],
  ["Keep:", ["backup", "restore"], () => import("./backup_commands.ts")],
  ["Keep:", ["cluster"], () => import("./cluster_command.ts")],
  ["Keep:", ["license"], () => import("./license_command.ts")],
  ["Other:", ["completions", "__names"], () => import("./completions_command.ts")],
  ["Other:", ["version"], () => import("./version_command.ts")],
];

/**
 * A file of commands: the heading above them in the help, their names, and how the file is loaded, which is a literal
 * `import()`, since no bundler finds another.
 */
export type CommandFile = readonly [
  heading: string,
  names: readonly string[],
  load: () => Promise<CommandModule>,
];

/** What a file of commands exports. It builds command lines, and loads what they do when one of them runs. */
export interface CommandModule {
  /** Adds the commands to the tree. */
  readonly register: (root: Command, context: CommandContext) => void;
}
