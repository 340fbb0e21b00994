/**
 * Every key: one table, by which keys are understood and from which `?` is made. What isn't in it does nothing.
 *
 * @module
 */

/** What is in front: a list, a dialogue or a form. */
export type Mode =
  | "pools"
  | "members"
  | "check"
  | "rules"
  | "services"
  | "history"
  | "site"
  | "filter"
  | "form"
  | "picker"
  | "confirm"
  | "text"
  | "help";

/** What a key is for. */
export type Command =
  | "up"
  | "down"
  | "pageUp"
  | "pageDown"
  | "first"
  | "last"
  | "left"
  | "right"
  | "open"
  | "back"
  | "create"
  | "rename"
  | "settings"
  | "delete"
  | "drain"
  | "explain"
  | "undo"
  | "assign"
  | "filter"
  | "members"
  | "check"
  | "rules"
  | "nextTab"
  | "previousTab"
  | "help"
  | "quit"
  | "suspend"
  | "redraw"
  | "save"
  | "toggle"
  | "clear"
  | "eraseBack"
  | "eraseForward"
  | "yes"
  | "no";

/** Some keys that do the same. */
export interface Binding {
  /** By their names (`key_decoder.ts`). */
  readonly keys: readonly string[];
  /** What they do. */
  readonly command: Command;
  /** The same for people. */
  readonly does: string;
}

const bind = (keys: string, command: Command, does: string): Binding => ({
  keys: keys.split(" "),
  command,
  does,
});

const MOVES: readonly Binding[] = [
  bind("up k", "up", "one up"),
  bind("down j", "down", "one down"),
  bind("page-up ctrl-b", "pageUp", "a screen up"),
  bind("page-down ctrl-f", "pageDown", "a screen down"),
  bind("home g", "first", "to the first"),
  bind("end G", "last", "to the last"),
];

const ANYWHERE: readonly Binding[] = [
  bind("ctrl-l", "redraw", "draw the screen again"),
  bind("ctrl-z", "suspend", "to the shell; fg comes back"),
  bind("ctrl-c", "quit", "leave"),
];

const UNDO = bind("u", "undo", "undo what was saved here last");

const TABS: readonly Binding[] = [
  bind("tab", "nextTab", "next tab"),
  bind("shift-tab", "previousTab", "tab before"),
  bind("? f1", "help", "all keys"),
  bind("q", "quit", "leave"),
  ...ANYWHERE,
];

const PARTS: readonly Binding[] = [
  bind("1", "members", "Members"),
  bind("2", "check", "Health Check"),
  bind("3", "rules", "Geo Rules"),
  bind("left h", "left", "part to the left"),
  bind("right l", "right", "part to the right"),
  bind("escape backspace", "back", "back to the pools"),
];

/** All keys of each mode, in the order of the help. */
export const KEYS: Readonly<Record<Mode, readonly Binding[]>> = {
  pools: [
    ...MOVES,
    bind("enter right l", "open", "open: Members, Health Check, Geo Rules"),
    bind("c", "create", "create a pool"),
    bind("r", "rename", "rename it"),
    bind("s", "settings", "change its settings"),
    bind("d", "drain", "drain it"),
    bind("x delete", "delete", "delete it"),
    bind("/", "filter", "show only names with …"),
    UNDO,
    ...TABS,
  ],
  members: [
    ...MOVES,
    ...PARTS,
    bind("enter", "open", "change the member"),
    bind("c", "create", "add a member"),
    bind("d", "drain", "drain it"),
    bind("x delete", "delete", "delete it"),
    UNDO,
    ...TABS,
  ],
  check: [
    ...PARTS,
    bind("enter c", "open", "change the check, or set one"),
    bind("x delete", "delete", "delete it"),
    UNDO,
    ...TABS,
  ],
  rules: [
    ...MOVES,
    ...PARTS,
    bind("enter", "open", "change the rule"),
    bind("c", "create", "add a rule"),
    bind("x delete", "delete", "delete it"),
    UNDO,
    ...TABS,
  ],
  services: [
    ...MOVES,
    bind("enter right l", "open", "change the service"),
    bind("c", "create", "create a service"),
    bind("p", "assign", "choose its pool"),
    bind("e", "explain", "explain the answer to a client"),
    bind("d", "drain", "drain its pool"),
    bind("x delete", "delete", "delete it"),
    bind("/", "filter", "show only names with …"),
    UNDO,
    ...TABS,
  ],
  history: [
    ...MOVES,
    bind("enter right l", "open", "what it changed"),
    bind("u", "undo", "undo this generation, and no other"),
    bind("/", "filter", "show only authors, ways and reasons with …"),
    ...TABS,
  ],
  site: [
    ...MOVES,
    bind("e", "explain", "explain the answer to a client"),
    UNDO,
    ...TABS,
  ],
  filter: [
    bind("enter", "save", "keep the filter"),
    bind("escape", "back", "show all again"),
    bind("backspace", "eraseBack", "erase a character"),
    bind("ctrl-u", "clear", "erase all"),
    ...ANYWHERE,
  ],
  form: [
    bind("down tab", "down", "next field"),
    bind("up shift-tab", "up", "field before"),
    bind("left", "left", "to the left; the value before"),
    bind("right", "right", "to the right; the next value"),
    bind("home", "first", "begin of the text"),
    bind("end", "last", "end of the text"),
    bind("space", "toggle", "a space; the next value; choose a pool"),
    bind("backspace", "eraseBack", "erase before the cursor"),
    bind("delete", "eraseForward", "erase under the cursor"),
    bind("ctrl-u", "clear", "erase the field"),
    bind("enter ctrl-s", "save", "save"),
    bind("escape", "back", "leave without saving"),
    bind("f1", "help", "all keys"),
    ...ANYWHERE,
  ],
  picker: [
    ...MOVES,
    bind("enter space", "open", "take it"),
    bind("/", "filter", "show only names with …"),
    bind("escape", "back", "leave it as it was"),
    bind("? f1", "help", "all keys"),
    ...ANYWHERE,
  ],
  confirm: [
    bind("y", "yes", "yes"),
    bind("n escape", "no", "no"),
    bind("left h", "left", "to No"),
    bind("right l", "right", "to Yes"),
    bind("enter", "open", "what is marked"),
    ...MOVES,
    bind("? f1", "help", "all keys"),
    ...ANYWHERE,
  ],
  text: [
    ...MOVES,
    bind("escape q enter", "back", "back"),
    bind("? f1", "help", "all keys"),
    ...ANYWHERE,
  ],
  help: [
    ...MOVES,
    bind("escape q enter ? f1", "back", "back"),
    ...ANYWHERE,
  ],
};

/** What a key does in a mode; `null` = nothing. */
export function commandOf(mode: Mode, key: string): Command | null {
  return BY_KEY.get(mode)?.get(key) ?? null;
}

const BY_KEY: ReadonlyMap<string, ReadonlyMap<string, Command>> = new Map(
  Object.entries(KEYS).map(([mode, bindings]) => [
    mode,
    new Map(bindings.flatMap(({ keys, command }) => keys.map((key) => [key, command] as const))),
  ]),
);

/** A key as it is printed on keyboards. */
export function keyLabel(key: string): string {
  return LABELS[key] ?? key.replace(/^ctrl-(.)$/, (_, letter: string) => `Ctrl-${letter.toUpperCase()}`);
}

const LABELS: Readonly<Record<string, string>> = {
  "up": "↑",
  "down": "↓",
  "left": "←",
  "right": "→",
  "page-up": "PgUp",
  "page-down": "PgDn",
  "home": "Home",
  "end": "End",
  "enter": "Enter",
  "escape": "Esc",
  "tab": "Tab",
  "shift-tab": "Shift-Tab",
  "space": "Space",
  "backspace": "Backspace",
  "delete": "Del",
  "f1": "F1",
};
