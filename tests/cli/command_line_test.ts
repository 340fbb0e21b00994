/** @module How command lines are read: the spelling of gslbd's flags. */
import { deepEqual, equal, match } from "node:assert/strict";
import { meant, run } from "../../main.ts";
import { withTwoDashes } from "../../src/cli/command_line.ts";
import { capturedTerminal } from "./captured_terminal.ts";

const SPELLINGS: readonly (readonly [string, string])[] = [
  ["serve -config p.yaml -db p.db", "serve --config p.yaml --db p.db"],
  ["serve -config=p.yaml -db=p.db", "serve --config=p.yaml --db=p.db"],
  ["-db p.db backup x", "--db p.db backup x"],
  ["serve -c p.yaml --db p.db", "serve -c p.yaml --db p.db"],
  ["serve -configs -dbx", "serve -configs -dbx"],
  ["backup -- -db", "backup -- -db"],
];

for (const [typed, read] of SPELLINGS) {
  Deno.test(`${typed} is read as ${read}`, () => {
    deepEqual(withTwoDashes(typed.split(" ")), read.split(" "));
  });
}

for (const flag of [["-db", "/nowhere/p.db"], ["-db=/nowhere/p.db"], ["--db", "/nowhere/p.db"]]) {
  Deno.test(`backup takes ${flag.join(" ")}`, async () => {
    const terminal = capturedTerminal();
    equal(await run(["backup", "copy.db", ...flag], terminal), 1);
    match(terminal.stderr(), /No database is at \/nowhere\/p\.db/);
  });
}

for (const flag of [["-config", "/nowhere.yaml"], ["-config=/nowhere.yaml"]]) {
  Deno.test(`backup takes ${flag.join(" ")}`, async () => {
    const terminal = capturedTerminal();
    equal(await run(["backup", "copy.db", ...flag], terminal), 1);
    match(terminal.stderr(), /\/nowhere\.yaml: can't be read: there is no such file/);
  });
}

for (const name of ["gslbctl", "./gslbctl", "/usr/local/bin/gslbctl", "gslbctl.exe"]) {
  Deno.test(`a program called ${name} is the terminal UI`, () => {
    deepEqual(withTwoDashes(meant(name, ["-db", "p.db"])), ["tui", "--db", "p.db"]);
  });
}

for (const name of ["pleiades", "/opt/gslbctl/pleiades", "gslbctl-old"]) {
  Deno.test(`a program called ${name} is what it is told to be`, () => {
    deepEqual(meant(name, ["-db", "p.db"]), ["-db", "p.db"]);
  });
}
