/**
 * What a state looks like. Ink lays it out and paints it; nothing is decided here, and nothing is kept between two frames.
 *
 * Every line is fitted by hand to the width of the terminal, so that a frame is as many lines as the terminal has. Colours are
 * the sixteen that every terminal lets its user choose, and none of them is the only sign of anything.
 *
 * @module
 */
import { Box, Text } from "ink";
import type { ReactElement } from "react";
import { keyLabel, KEYS } from "../keys.ts";
import type { ListState } from "../list.ts";
import { listHeight, modeOf, type OpenPool, PART_NAMES, SIZE_MIN, type State, TAB_NAMES } from "../model.ts";
import { cut, fit, harmless, wrapped } from "../screen_text.ts";
import { Dialogue } from "./dialogue.tsx";
import { checkLines, memberColumns, poolColumns, ruleColumns, serviceColumns } from "./columns.ts";
import { Line } from "./line.tsx";
import { Lines, List } from "./list.tsx";

/** A whole frame. */
export function Screen({ state }: { readonly state: State }): ReactElement {
  const { columns, rows } = state.size;
  if (columns < SIZE_MIN.columns || rows < SIZE_MIN.rows) return <TooSmall state={state} />;
  const overlay = state.overlays.at(-1);
  return (
    <Box flexDirection="column" width={columns}>
      <Header state={state} />
      {overlay === undefined ? <Body state={state} /> : <Dialogue state={state} overlay={overlay} />}
      <Line width={columns} text="" />
      <NoticeLine state={state} />
      <Line width={columns} text={hints(state)} dim />
    </Box>
  );
}

/** Nothing is lost meanwhile: what is typed and open stays as it is. */
function TooSmall({ state: { size: { columns, rows } } }: { readonly state: State }): ReactElement {
  const text =
    `${columns}×${rows} is too small: make it ${SIZE_MIN.columns}×${SIZE_MIN.rows}. Nothing is lost.`;
  const lines = wrapped(text, Math.max(8, columns)).slice(0, Math.max(1, rows));
  return (
    <Box flexDirection="column" width={columns}>
      {lines.map((line, i) => <Line key={i} width={columns} text={line} />)}
    </Box>
  );
}

function Header({ state }: { readonly state: State }): ReactElement {
  const { columns } = state.size;
  const names = { pools: "Pools", services: "Services", site: "Site" };
  const tabs = TAB_NAMES.map((tab) => tab === state.tab ? `[${names[tab]}]` : ` ${names[tab]} `).join(" ");
  const node = {
    connecting: "node: looking for one",
    connected: "node: connected",
    away: "no node",
    refused: "node refuses",
  }[state.server.state];
  const left = ` Pleiades  ${tabs}`;
  const right = `${node}  generation ${state.generation} `;
  const room = Math.max(0, columns - left.length - right.length - 2);
  const middle = fit(`   ${cutBegin(harmless(state.path), room - 3)}`, room);
  return (
    <Text bold wrap="truncate">
      {fit(`${left}${middle}  ${right}`, columns)}
    </Text>
  );
}

/** Of a path the end tells more. */
function cutBegin(text: string, width: number): string {
  return text.length <= width ? text : `…${text.slice(text.length - Math.max(0, width - 1))}`;
}

function Body({ state }: { readonly state: State }): ReactElement {
  const { columns } = state.size;
  const height = listHeight(state);
  if (state.tab === "site") return <Site state={state} />;
  if (state.tab === "services") {
    const { services } = state;
    const empty = services.filter === "" ? "There are no services yet: c creates one" : "No service matches";
    return (
      <List
        title={listTitle("Services", services, state.isFiltering)}
        list={services}
        columns={serviceColumns(state.server)}
        width={columns}
        height={height}
        empty={empty}
      />
    );
  }
  if (state.pool !== null) return <Pool pool={state.pool} state={state} />;
  const { pools } = state;
  const empty = pools.filter === "" ? "There are no pools yet: c creates one" : "No pool matches";
  return (
    <List
      title={listTitle("Pools", pools, state.isFiltering)}
      list={pools}
      columns={poolColumns(state.server)}
      width={columns}
      height={height}
      empty={empty}
    />
  );
}

function Pool({ pool, state }: { readonly pool: OpenPool; readonly state: State }): ReactElement {
  const { columns } = state.size;
  const height = listHeight(state);
  const names = { members: "Members", check: "Health Check", rules: "Geo Rules" };
  const parts = PART_NAMES.map((part, i) =>
    part === pool.part ? `[${i + 1} ${names[part]}]` : ` ${i + 1} ${names[part]} `
  );
  const title = ` Pool ${harmless(pool.name)}  ${parts.join(" ")}`;
  const { detail } = pool;
  if (detail === null) return <Lines title={title} lines={[" reading …"]} width={columns} height={height} />;
  if (pool.part === "check") {
    return <Lines title={title} lines={checkLines(detail.check)} width={columns} height={height} />;
  }
  const cursor = pool.cursors[pool.part];
  const top = Math.max(0, cursor - height + 1);
  if (pool.part === "members") {
    const list = { ...whole(detail.members), cursor, top };
    return (
      <List
        title={title}
        list={list}
        columns={memberColumns(state.server)}
        width={columns}
        height={height}
        empty="The pool has no members yet: c adds one"
      />
    );
  }
  return (
    <List
      title={title}
      list={{ ...whole(detail.rules), cursor, top }}
      columns={ruleColumns()}
      width={columns}
      height={height}
      empty="The pool has no geo rules: c adds one"
    />
  );
}

function Site({ state }: { readonly state: State }): ReactElement {
  const { server, size: { columns } } = state;
  const lines = server.state === "connected"
    ? [...server.status, "", "Events", ...server.events.toReversed()]
    : [
      `No node at ${server.url}: ${server.message || "looking for one"}`,
      "",
      "Pools and services can be changed all the same.",
    ];
  const shown = lines.flatMap((line) => wrapped(harmless(line), columns - 2)).slice(state.siteTop);
  return (
    <Lines
      title=" Site"
      lines={shown.map((line) => ` ${line}`)}
      width={columns}
      height={listHeight(state)}
    />
  );
}

function whole<Item>(rows: readonly Item[]): Omit<ListState<Item>, "cursor" | "top"> {
  return { filter: "", total: rows.length, offset: 0, rows, isRead: true };
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

function NoticeLine({ state }: { readonly state: State }): ReactElement {
  const { columns } = state.size;
  if (state.fault !== null) return <Line width={columns} text={` ! ${harmless(state.fault)}`} tone="bad" />;
  if (state.asked !== null) {
    const what = state.asked.terms.isPreview ? "working out what it would do …" : "saving …";
    const why = state.asked.isWaiting ? " another process is writing; it goes on by itself" : "";
    return <Line width={columns} text={` ${what}${why}`} />;
  }
  if (!state.isOpen) return <Line width={columns} text=" opening the database …" />;
  const { notice } = state;
  if (notice === null) return <Line width={columns} text="" />;
  return (
    <Line
      width={columns}
      text={` ${notice.tone === "bad" ? "! " : ""}${harmless(notice.text)}`}
      tone={notice.tone}
    />
  );
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
