/**
 * What a state looks like. Nothing is decided here, and nothing is kept between two frames; `frame.tsx` paints it, and what is drawn
 * before Ink is there isn't painted.
 *
 * Colours are the sixteen that every terminal lets its user choose, on the background that the terminal has, and none of them is
 * the only sign of anything.
 *
 * @module
 */
import { addressOf } from "../../model/model.ts";
import { keyLabel, KEYS } from "../keys.ts";
import { type ListState, scrolled } from "../list.ts";
import {
  linesOfSite,
  listHeight,
  modeOf,
  type Notice,
  type OpenPool,
  PART_NAMES,
  SIZE_MIN,
  type State,
  TAB_NAMES,
} from "../state.ts";
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
import { listLines, listTitle, textInstead } from "./list.ts";

/** The lines of a frame without weight and colours, as many as the terminal has. */
export function plainFrame(state: State): string[] {
  const lines = screenLines(state);
  return Array.from(
    { length: state.size.rows },
    (_, i) => lines[i]?.map(({ text }) => text).join("").trimEnd() ?? "",
  );
}

/** A whole frame. */
export function screenLines(state: State): Line[] {
  const { columns, rows } = state.size;
  if (columns < SIZE_MIN.columns || rows < SIZE_MIN.rows) return tooSmall(state);
  const overlay = state.overlays.at(-1);
  return [
    header(state),
    ...overlay === undefined ? body(state) : dialogueLines(state, overlay),
    ...noticeLines(state),
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
    case "site":
      return textInstead({ title: " Site", lines: linesOfSite(state), top: state.siteTop, ...size });
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
  const top = pool.tops[pool.part];
  return pool.part === "members"
    ? listLines({
      title,
      list: scrolled({ ...whole(detail.members), cursor, top }, size.height),
      columns: memberColumns(state),
      empty: "The pool has no members yet: c adds one",
      ...size,
    })
    : listLines({
      title,
      list: scrolled({ ...whole(detail.rules), cursor, top }, size.height),
      columns: ruleColumns(),
      empty: "The pool has no geo rules: c adds one",
      ...size,
    });
}

function whole<Item>(rows: readonly Item[]): Omit<ListState<Item>, "cursor" | "top"> {
  return { filter: "", total: rows.length, offset: 0, rows, isRead: true, generation: 0 };
}

/** A short notice stands below an empty line, and a long one takes that line as well: what to do is at its end. */
function noticeLines(state: State): Line[] {
  const { columns } = state.size;
  const { text, tone } = noticeOf(state);
  const mark = tone === "bad" ? "! " : "";
  const [first = "", ...rest] = wrapped(harmless(`${mark}${text}`), columns - 2);
  if (rest.length === 0) return [lineOf("", columns), lineOf(` ${first}`, columns, { tone })];
  return [first, `${" ".repeat(mark.length)}${rest.join(" ")}`].map((line) =>
    lineOf(` ${line}`, columns, { tone })
  );
}

/** What is wrong with the file comes before all, and what is being done before what was done. */
function noticeOf(state: State): Notice {
  const plain = (text: string): Notice => ({ text, tone: "plain" });
  if (state.fault !== null) return { text: state.fault, tone: "bad" };
  if (state.asked !== null) {
    const what = state.asked.terms.isPreview ? "working out what it would do …" : "saving …";
    return plain(
      `${what}${state.asked.isWaiting ? " another process is writing; it goes on by itself" : ""}`,
    );
  }
  if (!state.isOpen) return plain("opening the database …");
  return state.notice ?? plain(errorOfMarked(state));
}

/** Why the member that is marked is unhealthy: a column has no room for it. */
function errorOfMarked({ tab, pool, overlays, server }: State): string {
  if (tab !== "pools" || pool?.part !== "members" || overlays.length > 0) return "";
  const member = pool.detail?.members[pool.cursors.members];
  const error = server.state === "connected" ? member?.health.error ?? null : null;
  return member === undefined || error === null ? "" : `${addressOf(member)}: ${error}`;
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
