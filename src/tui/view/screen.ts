/**
 * What a state looks like. Nothing is decided here, and nothing is kept between two frames; `frame.tsx` paints it.
 *
 * Colours are the sixteen that every terminal lets its user choose, on the background that the terminal has, and none of them is
 * the only sign of anything.
 *
 * @module
 */
import { keyLabel, KEYS } from "../keys.ts";
import type { ListState } from "../list.ts";
import {
  linesOfSite,
  listHeight,
  modeOf,
  type OpenPool,
  PART_NAMES,
  SIZE_MIN,
  type State,
  TAB_NAMES,
} from "../model.ts";
import { cut, fit, harmless, wrapped } from "../screen_text.ts";
import {
  checkLines,
  historyColumns,
  memberColumns,
  poolColumns,
  ruleColumns,
  serviceColumns,
} from "./columns.ts";
import { dialogueLines } from "./dialogue.ts";
import { type Line, lineOf } from "./line.ts";
import { listLines, textInstead } from "./list.ts";

/** A whole frame. */
export function screenLines(state: State): Line[] {
  const { columns, rows } = state.size;
  if (columns < SIZE_MIN.columns || rows < SIZE_MIN.rows) return tooSmall(state);
  const overlay = state.overlays.at(-1);
  return [
    header(state),
    ...overlay === undefined ? body(state) : dialogueLines(state, overlay),
    lineOf("", columns),
    noticeLine(state),
    lineOf(hints(state), columns, { dim: true }),
  ];
}

/** Nothing is lost meanwhile: what is typed and open stays as it is. */
function tooSmall({ size: { columns, rows } }: State): Line[] {
  const text =
    `${columns}×${rows} is too small: make it ${SIZE_MIN.columns}×${SIZE_MIN.rows}. Nothing is lost.`;
  return wrapped(text, Math.max(8, columns)).slice(0, Math.max(1, rows)).map((line) => lineOf(line, columns));
}

function header(state: State): Line {
  const { columns } = state.size;
  const names = { pools: "Pools", services: "Services", history: "History", site: "Site" };
  const tabs = TAB_NAMES.map((tab) => tab === state.tab ? `[${names[tab]}]` : ` ${names[tab]} `).join("");
  const node = {
    connecting: "node: looking for one",
    connected: "node: connected",
    away: "no node",
    refused: "node refuses",
  }[state.server.state];
  const left = ` Pleiades ${tabs}`;
  const right = `${node}  generation ${state.generation} `;
  const room = Math.max(0, columns - left.length - right.length - 2);
  const middle = room < PATH_MIN
    ? " ".repeat(room)
    : fit(` ${cutBegin(harmless(state.path), room - 1)}`, room);
  return lineOf(`${left}${middle}  ${right}`, columns, { bold: true });
}

/** Cells below which nothing of a path can be told. */
const PATH_MIN = 6;

/** Of a path the end tells more. */
function cutBegin(text: string, width: number): string {
  return text.length <= width ? text : `…${text.slice(text.length - Math.max(0, width - 1))}`;
}

function body(state: State): Line[] {
  const size = { width: state.size.columns, height: listHeight(state) };
  const emptyOf = (list: ListState<unknown>, empty: string, noun: string) =>
    list.filter === "" ? empty : `No ${noun} matches`;
  switch (state.tab) {
    case "site": {
      const lines = linesOfSite(state).slice(state.siteTop);
      return textInstead({ title: " Site", lines, ...size });
    }
    case "services":
      return listLines({
        title: listTitle("Services", state.services, state.isFiltering),
        list: state.services,
        columns: serviceColumns(state.services.rows),
        empty: emptyOf(state.services, "There are no services yet: c creates one", "service"),
        ...size,
      });
    case "history":
      return listLines({
        title: listTitle("History", state.history, state.isFiltering),
        list: state.history,
        columns: historyColumns(),
        empty: emptyOf(state.history, "Nothing was changed yet", "change"),
        ...size,
      });
    case "pools":
      if (state.pool !== null) return poolLines(state.pool, state);
      return listLines({
        title: listTitle("Pools", state.pools, state.isFiltering),
        list: state.pools,
        columns: poolColumns(state.server),
        empty: emptyOf(state.pools, "There are no pools yet: c creates one", "pool"),
        ...size,
      });
  }
}

function poolLines(pool: OpenPool, state: State): Line[] {
  const size = { width: state.size.columns, height: listHeight(state) };
  const names = { members: "Members", check: "Health Check", rules: "Geo Rules" };
  const parts = PART_NAMES.map((part, i) =>
    part === pool.part ? `[${i + 1} ${names[part]}]` : ` ${i + 1} ${names[part]} `
  );
  const title = ` Pool ${harmless(pool.name)}  ${parts.join(" ")}`;
  const { detail } = pool;
  if (detail === null) return textInstead({ title, lines: [" reading …"], ...size });
  if (pool.part === "check") return textInstead({ title, lines: checkLines(detail.check), ...size });
  const cursor = pool.cursors[pool.part];
  const place = { cursor, top: Math.max(0, cursor - size.height + 1) };
  return pool.part === "members"
    ? listLines({
      title,
      list: { ...whole(detail.members), ...place },
      columns: memberColumns(state.server),
      empty: "The pool has no members yet: c adds one",
      ...size,
    })
    : listLines({
      title,
      list: { ...whole(detail.rules), ...place },
      columns: ruleColumns(),
      empty: "The pool has no geo rules: c adds one",
      ...size,
    });
}

function whole<Item>(rows: readonly Item[]): Omit<ListState<Item>, "cursor" | "top"> {
  return { filter: "", total: rows.length, offset: 0, rows, isRead: true, generation: 0 };
}

function listTitle(
  name: string,
  { cursor, total, filter, isRead }: ListState<unknown>,
  isFiltering: boolean,
): string {
  const place = !isRead ? "reading …" : total === 0 ? "none" : `${cursor + 1} of ${total}`;
  const filtered = isFiltering
    ? `  filter: ${harmless(filter)}▏`
    : filter === ""
    ? ""
    : `  filter: ${harmless(filter)}`;
  return ` ${name}  ${place}${filtered}`;
}

function noticeLine(state: State): Line {
  const { columns } = state.size;
  if (state.fault !== null) return lineOf(` ! ${harmless(state.fault)}`, columns, { tone: "bad" });
  if (state.asked !== null) {
    const what = state.asked.terms.isPreview ? "working out what it would do …" : "saving …";
    const why = state.asked.isWaiting ? " another process is writing; it goes on by itself" : "";
    return lineOf(` ${what}${why}`, columns);
  }
  if (!state.isOpen) return lineOf(" opening the database …", columns);
  const { notice } = state;
  if (notice === null) return lineOf("", columns);
  const mark = notice.tone === "bad" ? "! " : "";
  return lineOf(` ${mark}${harmless(notice.text)}`, columns, { tone: notice.tone });
}

/** As many keys as fit, of those that do most, and where the others are. */
function hints(state: State): string {
  const mode = modeOf(state);
  const all = KEYS[mode].filter(({ command }) => !COMMON.includes(command));
  const help = mode === "form" ? "F1 keys" : mode === "filter" ? "" : "? keys";
  let line = help === "" ? "" : ` ${help}`;
  for (const { keys, does } of all) {
    const longer = `${line}  ${keyLabel(keys[0]!)} ${does.replace(/[:,;].*/, "")}`;
    if (longer.length > state.size.columns - 1) break;
    line = longer;
  }
  return cut(line, state.size.columns);
}

/** What people try without being told. */
const COMMON: readonly string[] = [
  ...[
    "up",
    "down",
    "pageUp",
    "pageDown",
    "first",
    "last",
    "left",
    "right",
    "help",
    "redraw",
    "suspend",
    "members",
    "check",
  ],
  ...["rules", "eraseBack", "eraseForward"],
];
