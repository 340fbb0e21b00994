/** @module Tests of help, wrong usage and exit codes. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { run } from "../../main.ts";
import { commandTree } from "../../src/cli/command_tree.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { capturedTerminal } from "./captured_terminal.ts";

Deno.test("pleiades alone shows what to try first", async () => {
  const terminal = capturedTerminal();
  equal(await run([], terminal), 0);
  match(
    terminal.stdout(),
    /Three things to try first:\n {2}pleiades demo .*\n {2}pleiades config init .*\n {2}pleiades serve /,
  );
  equal(terminal.stderr(), "");
});

const WRONG: ReadonlyArray<readonly [string, RegExp]> = [
  ["pool list", /unknown command 'pool' \(Did you mean pools\?\)/],
  ["pools creat web", /unknown command 'creat' \(Did you mean create\?\)/],
  ["stauts --help", /unknown command 'stauts' \(Did you mean status\?\)/],
  ["config nosuch --help", /unknown command 'nosuch'/],
  ["help stauts", /unknown command 'stauts' \(Did you mean status\?\)/],
  ["help pools lst", /unknown command 'lst' \(Did you mean list\?\)/],
  ["pools", /pools needs one of: list, get, create, update, delete/],
  ["pools create", /missing required argument 'name'/],
  ["pools create web --max-answer 2", /unknown option '--max-answer' \(Did you mean --max-answers\?\)/],
  ["pools create web --max-answers two", /must be a whole number/],
  ["pools create web --algorithm rr", /Allowed choices are round-robin,/],
  ["pools list extra", /too many arguments/],
  ["members create --ip 192.0.2.1 --port 1", /required option '--pool <pool>' not specified/],
  ["members create --pool web --port 1", /Which member\? \(its ip as a word, or --ip\)/],
  ["members create 192.0.2.1 --pool web", /required option '--port <n>' not specified/],
  [
    "members create 192.0.2.1 --ip 192.0.2.2 --pool web --port 1",
    /"192\.0\.2\.1" and --ip 192\.0\.2\.2 differ: give one of them/,
  ],
  ["health-checks set web --interval 3", /must be a duration such as 250ms/],
  ["health-checks set", /Which pool\?/],
  ["pools list --api ftp://x", /Cannot use "ftp:\/\/x" as the address of the API/],
  ["completions tcsh", /Allowed choices are bash, zsh, fish/],
];

for (const [line, expected] of WRONG) {
  Deno.test(`wrong usage is one line and exit code 2: ${line}`, async () => {
    const terminal = capturedTerminal();
    equal(await run(line.split(" "), terminal), 2);
    match(terminal.stderr(), expected);
    match(terminal.stderr(), /^error: [^\n]+\n$/);
    equal(terminal.stdout(), "");
  });
}

for (
  const line of [
    "pools create --help",
    "help pools create",
    "pools --help",
    "--help",
    "help",
    "pools web --help",
  ]
) {
  Deno.test(`help is help: ${line}`, async () => {
    const terminal = capturedTerminal();
    equal(await run(line.split(" "), terminal), line === "pools web --help" ? 2 : 0);
  });
}

Deno.test("help shows what is required and what the defaults are, and no way to unset what isn't there yet", async () => {
  const helpOf = async (line: string) => {
    const terminal = capturedTerminal();
    await run([...line.split(" "), "--help"], terminal);
    return terminal.stdout().replaceAll(/\s+/g, " ");
  };
  match(await helpOf("pools create"), /--algorithm <text> how it chooses .*\(default round-robin\)/);
  match(await helpOf("health-checks set"), /--timeout <duration> .*\(default 2s\)/);
  const members = await helpOf("members create");
  match(members, /--pool <pool> its pool, by name or id \(required\)/);
  match(members, /whether it is answered at all; --no-enabled is the opposite \(default yes\)/);
  equal(/unset it|--no-ip|--no-target/.test(members), false, members);
  match(await helpOf("services update"), /--no-pool without --pool/);
  match(await helpOf("down"), /Examples: pleiades down [^\n]*failing/);
  equal(/pleiades drain region/.test(await helpOf("undo")), false);
});

Deno.test("every command explains itself, those that do something with an example", async () => {
  const terminal = capturedTerminal();
  equal(await run(["pools", "create", "--help"], terminal), 0);
  match(terminal.stdout(), /Examples:\n {2}pleiades pools create web/);
});

Deno.test("no help is wider than a terminal of 80 columns, but for what may be typed as it stands", async () => {
  let text = "";
  const terminal = { ...capturedTerminal(), out: (lines: string) => void (text += `${lines}\n`) };
  const root = await commandTree(COMMANDS, { terminal, done: () => {} });
  const wide: string[] = [];
  const look = (command: typeof root) => {
    text = "";
    command.configureHelp({ ...command.configureHelp(), helpWidth: 80 }).outputHelp();
    const [help = "", examples = ""] = text.split("\nExamples:\n");
    const prose = examples.split("\n").filter((line) => !line.startsWith("  "));
    wide.push(...[...help.split("\n"), ...prose].filter((line) => line.length > 80));
    for (const each of command.commands) look(each);
  };
  look(root);
  deepEqual(wide, []);
});

Deno.test("version tells the version as text and as JSON", async () => {
  const terminal = capturedTerminal();
  equal(await run(["version"], terminal), 0);
  match(terminal.stdout(), /^pleiades \d+\.\d+\.\d+ \(/);
  const json = capturedTerminal();
  equal(await run(["version", "-o", "json"], json), 0);
  ok("version" in JSON.parse(json.stdout()));
});
