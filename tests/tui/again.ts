/**
 * The terminal UI again and again: `again.ts DB URL`. Whenever it is left, a byte more is in `DB.left`, and it starts afresh, which
 * takes less than a process of its own.
 *
 * @module
 */
import { systemTerminal } from "../../src/cli/terminal.ts";
import { tui } from "../../src/tui/tui.ts";

const [db = "", api = ""] = Deno.args;

if (import.meta.main) {
  for (;;) {
    await tui({ db, api }, systemTerminal);
    Deno.writeTextFileSync(`${db}.left`, ".", { append: true });
  }
}
