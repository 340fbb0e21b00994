/**
 * The command lines of `distribute`. What they do is in `run.ts` and `status.ts`, which are loaded when one of them runs.
 *
 * @module
 */
import type { Command } from "commander";
import { addOutputOption, type CommandContext, examples } from "../cli/command_line.ts";
import type { OutputFormat } from "../cli/table.ts";

/** The services, and what each is for. */
const SERVICES = [
  ["api-proxy", "beside a primary: hand API requests on, and tell of the zones that they change"],
  ["zone-provider", "beside a primary: give zones to secondaries"],
  ["health-checker", "beside a primary: hold secondaries against it, and have them fetch what differs"],
  ["secondary-syncer", "beside a secondary: have its PowerDNS follow"],
] as const;

/** Adds the group `distribute`. */
export function register(root: Command, { terminal, done }: CommandContext): void {
  const group = root.command("distribute").description(
    "keep zones of PowerDNS in step, from a primary to secondaries",
  );
  for (const [service, description] of SERVICES) {
    addConfigOption(group.command(service))
      .description(description)
      .addHelpText(
        "after",
        examples(`pleiades distribute ${service} -c distribute.yaml`) + "\n\nSIGTERM stops it.",
      )
      .action(async (flags: { readonly config?: string }) => {
        done(await (await import("./run.ts")).run(service, flags, terminal));
      });
  }
  addOutputOption(addConfigOption(group.command("status")), ["table", "json", "yaml"])
    .description("show what each secondary holds of each zone; exit code 1 if one isn't in step")
    .addHelpText(
      "after",
      examples(
        "pleiades distribute status -c distribute.yaml",
        "pleiades distribute status -o json -c distribute.yaml",
      ),
    )
    .action(async (flags: { readonly config?: string; readonly output: OutputFormat }) => {
      done(await (await import("./status.ts")).status(flags, terminal));
    });
}

function addConfigOption(command: Command): Command {
  return command.option(
    "-c, --config <file>",
    "settings file; by default /etc/pleiades/config.yaml if it exists",
  );
}
