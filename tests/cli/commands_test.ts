/** @module The table of commands: what its rows say is what their files add, and one more row is one more command. */
import { deepEqual, equal, match } from "node:assert/strict";
import { Command } from "commander";
import { run } from "../../main.ts";
import { type CommandFile, COMMANDS } from "../../src/cli/commands.ts";
import { capturedTerminal } from "./captured_terminal.ts";

for (const [, names, load] of COMMANDS) {
  Deno.test(`the file of ${names.join(", ")} adds just these commands`, async () => {
    const root = new Command("pleiades");
    const wholeTree = () => Promise.resolve(root);
    (await load()).register(root, { terminal: capturedTerminal(), done: () => {}, wholeTree });
    deepEqual(root.commands.map((command) => command.name()), names);
  });
}

const TOYS: CommandFile = ["Play:", ["toys"], () =>
  Promise.resolve({
    register: (root, { terminal, done }) => {
      root.command("toys <name>").description("what children want").action((name: string) => {
        terminal.out(name);
        done(3);
      });
    },
  })];

Deno.test("one more row is one more command, in the help and the completions too", async () => {
  const said = async (line: string) => {
    const terminal = capturedTerminal();
    const exitCode = await run(line.split(" "), terminal, [...COMMANDS, TOYS]);
    return [exitCode, terminal.stdout() + terminal.stderr()] as const;
  };
  deepEqual(await said("toys kite"), [3, "kite\n"]);
  match((await said("--help"))[1], /\nPlay:\n {2}toys <name> +what children want\n/);
  match((await said("--help"))[1], /\nOther:\n {2}completions [^]*\n {2}help \[command\]/);
  match((await said("completions bash"))[1], /'pleiades toys'/);
  deepEqual(await said("toy kite"), [2, "error: unknown command 'toy' (Did you mean toys?)\n"]);
});

Deno.test("where the first word is a command's name, only its file is loaded", async () => {
  const loaded: string[] = [];
  const commands = [...COMMANDS, TOYS].map(([heading, names, load]): CommandFile => [heading, names, () => {
    loaded.push(names[0]!);
    return load();
  }]);
  equal(await run(["toys", "kite"], capturedTerminal(), commands), 3);
  deepEqual(loaded, ["toys"]);
});
