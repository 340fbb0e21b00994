/**
 * Every key of the table, typed into a real terminal: each does something that is seen, and no other does.
 *
 * @module
 */
import { equal } from "node:assert/strict";
import { ROOT } from "../../scripts/process.ts";
import { Changes } from "../../src/change/commit.ts";
import type { Edit } from "../../src/change/edit.ts";
import { systemClock } from "../../src/clock.ts";
import {
  HEALTH_CHECK_DEFAULTS,
  MEMBER_DEFAULTS,
  POOL_DEFAULTS,
  SERVICE_DEFAULTS,
} from "../../src/model/model.ts";
import { newId } from "../../src/model/id.ts";
import { Store } from "../../src/store/store.ts";
import { type Command, KEYS, type Mode } from "../../src/tui/keys.ts";
import { TmuxTerminal } from "./driver.ts";

/** All modes. */
export const MODES = Object.keys(KEYS) as Mode[];

/** More than two screens, so that every way of moving leads somewhere. */
const ROWS = 60;
const DOWN = Array.from({ length: 25 }, () => "down");

const POOL = [...DOWN, /^ Pools {2}26 of/m, "enter", /\[1 Members\][\s\S]*192\.0\.2\.1 /] as const;
const HISTORY = ["tab", "tab", /^ History {2}1 of/m] as const;

/** What leads to a mode from a start: keys, and what is to be seen before the next ones. */
const WAYS: Readonly<Record<Mode, readonly (string | RegExp)[]>> = {
  pools: [...DOWN, /^ Pools {2}26 of/m],
  members: [...POOL, ...DOWN, /^> 192\.0\.2\.26 /m],
  check: [...POOL, "2", /Type +tcp/],
  rules: [...POOL, "3", ...DOWN, /^> prefix +10\.25\.0\.0/m],
  services: ["tab", /^ Services {2}1 of/m, ...DOWN, /^ Services {2}26 of/m],
  history: [...HISTORY, ...DOWN, /^ History {2}26 of/m],
  site: ["shift-tab", /^ node-1 /m, ...DOWN, /^ node-2\d/m],
  filter: ["/", "p", "o", /^ Pools {2}1 of \d+ {2}filter: po▏/m],
  form: ["c", "z", "z", "z", "left", /> Name +zzz/],
  picker: [
    "tab",
    /^ Services/m,
    "c",
    "down",
    "space",
    /Choose a pool[\s\S]*> no pool/,
    ...DOWN,
    /^> pool-24 /m,
  ],
  confirm: [...DOWN, "x", /Delete pool pool-25\?[\s\S]*lines: ↓/],
  text: [...HISTORY, "end", /^ History {2}(\d+) of \1$/m, "enter", /^ Generation 1\b/m],
  help: ["?", /^ Keys\b/m],
};

/** The key that leads to where one is. */
const OWN_PART: Partial<Record<Mode, string>> = { members: "1", check: "2", rules: "3" };

/** What is typed before a key, so that it has something to do: to move, there must be somewhere to go. */
function before(mode: Mode, key: string, command: Command): readonly string[] {
  if (["up", "pageUp", "first"].includes(command) && mode !== "form") return ["end"];
  if (["down", "pageDown", "last"].includes(command) && mode !== "form") return ["home"];
  if (mode === "form" && ["right", "last", "eraseForward"].includes(command)) return ["home"];
  if (mode === "form" && ["left", "first", "eraseBack"].includes(command)) return ["end"];
  if (mode === "confirm" && command === "left") return ["right"];
  if (mode === "confirm" && command === "right") return ["left"];
  // What everything after it builds on can't be undone.
  if (mode === "history" && command === "undo") return ["home"];
  return OWN_PART[mode] === key ? ["right"] : [];
}

/** What leads back to where one was; `null` = nothing that is quicker than another start. */
function back(mode: Mode, command: Command): readonly string[] | null {
  switch (command) {
    case "nextTab":
      return ["shift-tab"];
    case "previousTab":
      return ["tab"];
    case "members":
    case "check":
    case "rules":
      return [OWN_PART[mode]!];
    case "left":
    case "right":
      return OWN_PART[mode] === undefined ? [] : [OWN_PART[mode]];
    case "undo":
      return mode === "history" ? ["escape"] : ["tab", "shift-tab"];
    case "assign":
      return ["escape", "escape"];
    case "open":
      return ["picker", "confirm"].includes(mode) ? null : ["escape"];
    case "back":
    case "save":
    case "yes":
    case "no":
    case "clear":
    case "quit":
      return null;
    case "create":
    case "rename":
    case "settings":
    case "delete":
    case "drain":
    case "explain":
    case "filter":
    case "help":
      return ["escape"];
    default:
      return [];
  }
}

/** Walks through some modes. @throws {Error} with what was seen at the first key that isn't as the table says */
export async function walkKeys(modes: readonly Mode[]): Promise<number> {
  const folder = await Deno.makeTempDir();
  await using node = serveSite();
  try {
    const path = `${folder}/pleiades.db`;
    fill(path);
    await using terminal = await TmuxTerminal.open();
    const program =
      `${Deno.execPath()} run -A --quiet --no-check --unstable-net ${ROOT}/tests/tui/again.ts ${path}`;
    await terminal.type(`clear; ${program} http://127.0.0.1:${node.addr.port}`);
    await terminal.press("Enter");
    const walk = new Walk(terminal, `${path}.left`);
    for (const mode of modes) await walk.through(mode);
    return walk.count;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Nothing else on the screen is like it. */
const MARK = "%%%%%%%%";

class Walk {
  count = 0;
  readonly #terminal: TmuxTerminal;
  readonly #left: string;

  constructor(terminal: TmuxTerminal, left: string) {
    this.#terminal = terminal;
    this.#left = left;
  }

  async through(mode: Mode): Promise<void> {
    await this.#reach(mode);
    await this.#othersDoNothing(mode);
    for (const { keys, command } of KEYS[mode]) {
      for (const key of keys) await this.#press(mode, key, command);
    }
    await this.#leave();
  }

  async #reach(mode: Mode): Promise<void> {
    await this.#terminal.sees(/^ Pools {2}1 of 6\d/m);
    await this.#terminal.sees(/node: connected/);
    // What is said at the start is gone after a look elsewhere, and the site is whole when its rate is known.
    await this.#terminal.press("BTab");
    await this.#terminal.sees(mode === "site" ? /answers a second/ : /^ Site\b/m);
    await this.#terminal.press("Tab");
    await this.#terminal.until(
      (screen) => /^ Pools {2}1 of/m.test(screen) && !/This is/.test(screen),
      "pools",
    );
    let keys: string[] = [];
    for (const step of WAYS[mode]) {
      if (typeof step === "string") keys.push(tmuxKey(step));
      else {
        await this.#terminal.press(...keys);
        await this.#terminal.sees(step);
        keys = [];
      }
    }
  }

  async #press(mode: Mode, key: string, command: Command): Promise<void> {
    this.count++;
    const terminal = this.#terminal;
    const first = before(mode, key, command);
    if (first.length > 0) {
      await terminal.press(...first.map(tmuxKey));
      await this.#settle();
    }
    const was = await terminal.looks();
    const isOther = async () => await terminal.looks() !== was;
    const isSame = async () => await terminal.looks() === was;
    const what = `${key} (${command}) to do something in ${mode}`;
    if (command === "quit") {
      await this.#leave(key);
    } else if (command === "suspend") {
      await terminal.press(tmuxKey(key));
      await terminal.sees(/Stopped/);
      await terminal.press("clear; fg", "Enter");
      await terminal.until(isSame, `what was there before ${key} in ${mode}`);
    } else if (command === "redraw") {
      await terminal.scribble(MARK);
      await terminal.press(tmuxKey(key));
      await terminal.until(isSame, what);
    } else {
      await terminal.press(tmuxKey(key));
      await terminal.until(isOther, what);
    }
    const way = OWN_PART[mode] === key ? [] : back(mode, command);
    if (way === null) {
      if (command !== "quit") await this.#leave();
      await this.#reach(mode);
    } else if (way.length > 0) {
      await terminal.press(...way.map(tmuxKey));
      await terminal.until(isSame, `what was there before ${key} in ${mode}`);
    }
  }

  /** All other keys at once. */
  async #othersDoNothing(mode: Mode): Promise<void> {
    const terminal = this.#terminal;
    const meant = new Set(KEYS[mode].flatMap(({ keys }) => keys));
    const takesText = mode === "form" || mode === "filter";
    const others = [...NAMED, ...takesText ? [] : PRINTED].filter((key) => !meant.has(key));
    const left = sizeOf(this.#left);
    const was = await terminal.looks();
    await terminal.press(...others.map(tmuxKey));
    await this.#settle();
    equal(await terminal.looks(), was, `one of ${others.join(" ")} does something in ${mode}`);
    equal(sizeOf(this.#left), left, `one of ${others.join(" ")} leaves ${mode}`);
  }

  /** Returns when all that was typed has been drawn: what stands on the screen from elsewhere goes with Ctrl-L. */
  async #settle(): Promise<void> {
    await this.#terminal.scribble(MARK);
    await this.#terminal.press("C-l");
    await this.#terminal.until((screen) => !screen.includes(MARK), "the screen drawn again");
  }

  async #leave(key = "ctrl-c"): Promise<void> {
    const left = sizeOf(this.#left);
    await this.#terminal.press(tmuxKey(key));
    await this.#terminal.until(() => sizeOf(this.#left) > left, `${key} to leave`);
  }
}

function sizeOf(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch {
    return 0;
  }
}

const NAMED: readonly string[] = [
  ..."up down left right page-up page-down home end enter escape tab shift-tab space backspace delete f1"
    .split(" "),
  // Ctrl-H, I, J and M are Backspace, Tab and Enter.
  ...[..."abcdefgklnopqrstuvwxyz"].map((letter) => `ctrl-${letter}`),
];
const PRINTED: readonly string[] = Array.from(
  { length: 0x7e - 0x20 },
  (_, i) => String.fromCharCode(0x21 + i),
);

const TMUX_KEYS: Readonly<Record<string, string>> = {
  ...{
    "up": "Up",
    "down": "Down",
    "left": "Left",
    "right": "Right",
    "page-up": "PPage",
    "page-down": "NPage",
  },
  ...{
    "home": "Home",
    "end": "End",
    "enter": "Enter",
    "escape": "Escape",
    "tab": "Tab",
    "shift-tab": "BTab",
  },
  ...{ "space": "Space", "backspace": "BSpace", "delete": "DC", "f1": "F1", ";": "\\;" },
};

function tmuxKey(key: string): string {
  return TMUX_KEYS[key] ?? key.replace(/^ctrl-/, "C-");
}

const KEEP_ALIVE_MS = 5_000;

/** A node as far as the terminal UI asks for one: so many nodes are in its cluster that they fill more than a screen. */
export function serveSite(): Deno.HttpServer<Deno.NetAddr> {
  const nodes = Array.from(
    { length: ROWS },
    (_, i) => ({ id: `node-${i}`, region: "eu", heartbeatAgeSeconds: 1 }),
  );
  const status = {
    ...{ ready: true, version: "0", generation: 1, uptimeSeconds: 1, node: { id: "node-0", region: "eu" } },
    ...{
      cluster: { id: "a" },
      dns: { answers: 0, workers: 1, listeners: [] },
      peers: { policy: "local", nodes },
    },
  };
  return Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, ({ url }) => {
    if (!url.includes("/events")) return Response.json(status);
    let timer: ReturnType<typeof setInterval> | null = null;
    const quiet = new ReadableStream<Uint8Array>({
      // As a node does, so that it isn't taken for gone.
      start: (controller) => {
        timer = setInterval(() => controller.enqueue(new TextEncoder().encode(":\n\n")), KEEP_ALIVE_MS);
      },
      cancel: () => clearInterval(timer!),
    });
    return new Response(quiet, { headers: { "content-type": "text/event-stream" } });
  });
}

function fill(path: string): void {
  using store = Store.open(path);
  const changes = new Changes({ store, clock: systemClock });
  const origin = { via: "api", by: "grace", reason: "" };
  const two = (i: number) => String(i).padStart(2, "0");
  const pools = Array.from({ length: ROWS }, () => newId());
  const members = Array.from({ length: ROWS }, () => newId());
  const edits: Edit[] = pools.map((id, i) => ({
    ...{ kind: "createPool", id, fields: { ...POOL_DEFAULTS, name: `pool-${two(i)}` } },
  }));
  for (const [i, id] of members.entries()) {
    const fields = { ...MEMBER_DEFAULTS, ipAddress: `192.0.2.${i + 1}`, port: 443 };
    edits.push({ kind: "createMember", id, poolId: pools[25]!, fields });
  }
  changes.commit(edits, origin);
  const more: Edit[] = [
    { kind: "putHealthCheck", poolId: pools[25]!, fields: HEALTH_CHECK_DEFAULTS },
    ...members.map((memberId, i): Edit => {
      const fields = { cidr: `10.${i}.0.0/16`, country: null, continent: null, asn: null, memberId };
      return { kind: "createGeoRule", id: newId(), poolId: pools[25]!, fields };
    }),
  ];
  changes.commit(more, origin);
  for (let i = 0; i < ROWS; i++) {
    const fields = { ...SERVICE_DEFAULTS, domain: `s${two(i)}.example.org`, poolId: pools[i]! };
    changes.commit([{ kind: "createService", id: newId(), fields }], origin);
  }
}
