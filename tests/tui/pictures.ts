/**
 * `deno run -A --unstable-net tests/tui/pictures.ts`: draws `docs/images/tui-*.svg` from the real terminal UI in a real
 * terminal of sixteen colours, on a dark and on a light ground.
 *
 * @module
 */
import { DARK, drawing, LIGHT } from "../../scripts/picture.ts";
import { ROOT } from "../../scripts/process.ts";
import { FILLING, observe } from "./captures.ts";
import { TmuxTerminal } from "./driver.ts";
import { serveSite } from "./key_walk.ts";
import { DeskFixture } from "./store_fixture.ts";

/** Each picture: the keys that lead to it, what is to be seen then, and the ground that it is on. */
const PICTURES = {
  members: {
    title: "the members of a pool, one of them unhealthy",
    keys: ["End", "Enter"],
    seen: /unhealthy/,
    look: { ground: "dark", palette: DARK },
  },
  delete: {
    title: "what a delete takes along, and what clients get after",
    keys: ["Escape", "x"],
    seen: /What clients get/,
    look: { ground: "light", palette: LIGHT },
  },
} as const;

if (import.meta.main) {
  await using fixture = new DeskFixture(FILLING);
  observe(fixture);
  await using node = serveSite();
  await using terminal = await TmuxTerminal.open({ env: { TERM: "xterm" } });
  const program = `${Deno.execPath()} run -A --quiet --no-check --unstable-net ${ROOT}/main.ts tui`;
  const flags = `--db pleiades.db --api http://127.0.0.1:${node.addr.port}`;
  await terminal.type(`cd ${fixture.folder}; clear; ${program} ${flags}`);
  await terminal.press("Enter");
  await terminal.sees(/node: connected[\s\S]*2 of 3/);
  for (const [name, { title, keys, seen, look: { ground, palette } }] of Object.entries(PICTURES)) {
    await terminal.press(...keys);
    await terminal.sees(seen);
    const picture = drawing(await terminal.painted(), {
      title: `pleiades tui: ${title}`,
      columns: 80,
      palette,
    });
    Deno.writeTextFileSync(`${ROOT}/docs/images/tui-${name}-${ground}.svg`, picture);
    console.log(`docs/images/tui-${name}-${ground}.svg`);
  }
}
