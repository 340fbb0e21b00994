/**
 * The terminal UI again and again: `again.ts DB URL`. Whenever it is left, a byte more is in `DB.left`, and it starts afresh, which
 * takes less than a process of its own.
 *
 * @module
 */
import { systemTerminal } from "../../src/cli/terminal.ts";
import { tui } from "../../src/tui/tui.ts";

/** What is read next: a run that is over would take it away from the one that has begun. */
let pending: Promise<Uint8Array | null> | null = null;

async function read(buffer: Uint8Array): Promise<number | null> {
  const mine = pending ??= next(buffer.length);
  const bytes = await mine;
  if (pending === mine) pending = null;
  buffer.set(bytes ?? []);
  return bytes?.length ?? null;
}

async function next(sizeMax: number): Promise<Uint8Array | null> {
  const buffer = new Uint8Array(sizeMax);
  const size = await Deno.stdin.read(buffer);
  return size === null ? null : buffer.subarray(0, size);
}

const [db = "", api = ""] = Deno.args;

if (import.meta.main) {
  for (;;) {
    await tui({ db, api }, systemTerminal, { read });
    Deno.writeTextFileSync(`${db}.left`, ".", { append: true });
  }
}
