/** @module How results are printed. */
import { deepEqual, equal, match } from "node:assert/strict";
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

Deno.test("a table that is to fit ends where the terminal's line does, a wide one doesn't", async () => {
  const rows = [{ name: "web", why: "down by its check: connection refused", id: "1".repeat(32) }];
  const columns = [textColumn("name"), textColumn("why"), { ...textColumn("id"), isWide: true }];
  const printed = async (output: "table" | "wide", width: number) => {
    const terminal = capturedTerminal();
    await printRows(rows, { columns, output, fits: true }, { ...terminal, columns: width });
    return terminal.stdout().trimEnd().split("\n")[1];
  };
  equal(await printed("table", 30), "web   down by its check: conn…");
  equal(await printed("table", 80), "web   down by its check: connection refused");
  equal(await printed("table", 4), "web   down by its…");
  equal(await printed("wide", 30), `web   down by its check: connection refused  ${"1".repeat(32)}`);
});

Deno.test("where a table is too wide its widest columns are cut, and short ones stay whole", async () => {
  const terminal = capturedTerminal();
  const rows = [{
    pool: "web",
    address: `${"long.".repeat(12)}example.net`,
    health: "unhealthy",
    why: "x".repeat(60),
  }];
  const columns = ["pool", "address", "health", "why"].map(textColumn);
  await printRows(rows, { columns, output: "table", fits: true }, { ...terminal, columns: 80 });
  const [, line = ""] = terminal.stdout().split("\n");
  equal(line.length, 80);
  match(line, /^web {3}(long\.)+.*… {2}unhealthy {2}x+…$/);
});
