/** @module How results are printed. */
import { deepEqual, equal } from "node:assert/strict";
import { printObject, printRows, textColumn } from "../../src/cli/table.ts";
import { capturedTerminal } from "./captured_terminal.ts";

const ESCAPE = String.fromCharCode(0x1b);

Deno.test("a table has a head, columns of one width, and - for what isn't there", async () => {
  const terminal = capturedTerminal();
  const rows = [{ name: "web", health: { state: "healthy" } }, { name: "a-long-name", health: null }];
  const columns = [textColumn("name"), textColumn("health.state")];
  await printRows(rows, { columns, output: "table" }, terminal);
  deepEqual(terminal.stdout().trimEnd().split("\n"), [
    "name         health.state",
    "web          healthy",
    "a-long-name  -",
  ]);
});

Deno.test("what a backend said can't write lines of its own or move the cursor", async () => {
  const terminal = capturedTerminal();
  await printObject({ lastError: `refused\n${ESCAPE}[2Jall is well` }, "table", terminal);
  equal(terminal.stdout().trimEnd().split("\n").length, 1);
  equal(terminal.stdout().includes(ESCAPE), false);
});
