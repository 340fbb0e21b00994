/**
 * Plans, differences and what a change has done, printed for people: within the width of the terminal, the worst first,
 * and never longer than a screen or two.
 *
 * @module
 */
import { refusalText } from "./api_refusal.ts";
import { isJsonObject } from "./client.ts";
import type {
  AddressShare,
  AnswerDifference,
  CountsByKind,
  Difference,
  ObjectChange,
  Plan,
  Replay,
} from "./plan_document.ts";
import { cellText } from "./table.ts";

/** How it is printed. */
export interface PlanLayout {
  /** Characters of a line; what doesn't fit goes on in the next one. */
  readonly columns: number;
  /** Whether signs may have colours. */
  readonly colour: boolean;
  /** What objects that fields refer to are called, by id. */
  readonly names: ReadonlyMap<string, string>;
  /** What shows the rest of a list that is cut, such as `-o json`. */
  readonly whole: string;
}

/** The command line that makes a plan come true. */
export interface NextStep {
  /** Where nothing would refuse it. */
  readonly plain: string;
  /** Where a guard would. */
  readonly forced: string;
}

/** Rows of a list; the rest is a number. */
export const ROWS_MAX = 20;
/** Addresses of an answer that are listed. */
const ADDRESSES_MAX = 6;
/** Characters of a field's value. */
const VALUE_MAX = 32;
/** Wider first columns push what follows into the next line. */
const NAME_COLUMN_MAX = 36;
const CLIENTS_COLUMN_MAX = 24;

/** A plan with what to do next; `null` = that is asked for. */
export function planText(plan: Plan, next: NextStep | null, layout: PlanLayout): string {
  if (!plan.changed) return `Nothing would change (still generation ${plan.generation})`;
  const parts = [
    differenceText(plan, layout),
    answersText(plan, layout),
    !plan.replay ? "" : replayText(plan.replay, layout),
    refusalsText(plan, layout),
    next === null ? "" : nextText(next, plan),
  ];
  return parts.filter((part) => part !== "").join("\n\n");
}

function nextText({ plain, forced }: NextStep, { refusals }: Plan): string {
  return refusals.length > 0 ? `To do it all the same: ${forced}` : `To do it: ${plain}`;
}

/** Objects that differ. */
export function differenceText(difference: Difference, layout: PlanLayout): string {
  return [countsLine(difference, layout), ...objectRows(difference, () => true, layout)]
    .filter((line) => line !== "").join("\n");
}

function countsLine({ objects }: Difference, layout: PlanLayout): string {
  return wrapped("", countsOfActions(objects), { ...layout, separator: "; " });
}

/** Objects that go, a line each. */
export function removalText(difference: Difference, layout: PlanLayout): string {
  return objectRows(difference, ({ action }) => action === "deleted", layout).join("\n");
}

/** What one should know before saying yes: how much changes, all that goes, and how many answers move. */
export function questionText(plan: Plan, layout: PlanLayout): string {
  return [countsLine(plan, layout), removalText(plan, layout), answersHead(plan.answers, layout)]
    .filter((line) => line !== "").join("\n");
}

/** `added: 1 pool, 2 members`, a line for each of the things that happened. */
export function countsText(objects: CountsByKind, layout: Pick<PlanLayout, "columns">): string {
  return ACTIONS.map(({ action, done }) => ({ done, counts: countsOfAction(objects, action) }))
    .filter(({ counts }) => counts.length > 0)
    .map(({ done, counts }) => wrapped(`${done}: `, counts, { ...layout, separator: ", " })).join("\n");
}

/** How many objects go. */
export function removals(objects: CountsByKind): number {
  return Object.values(objects).reduce((sum, { deleted }) => sum + deleted, 0);
}

type Action = ObjectChange["action"];

/** What happens, the worst first. */
const ACTIONS: readonly {
  readonly action: Action;
  readonly sign: string;
  readonly done: string;
  /** SGR: red, yellow, green. */
  readonly colour: number;
}[] = [
  { action: "deleted", sign: "-", done: "removed", colour: 31 },
  { action: "changed", sign: "~", done: "changed", colour: 33 },
  { action: "created", sign: "+", done: "added", colour: 32 },
];

function countsOfActions(objects: CountsByKind): string[] {
  return ACTIONS.map(({ action, done }) => ({ done, counts: countsOfAction(objects, action) }))
    .filter(({ counts }) => counts.length > 0)
    .map(({ done, counts }) => `${counts.join(", ")} ${done}`);
}

function countsOfAction(objects: CountsByKind, action: Action): string[] {
  return Object.entries(objects).filter(([, counts]) => counts[action] > 0)
    .map(([kind, counts]) => counted(counts[action], kindText(kind)));
}

/** `1 pool`, `12,000 services`. */
function counted(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** `healthCheck` as people say it. */
function kindText(kind: string): string {
  return kind.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

/** The table of objects, and how many more there are. */
function objectRows(
  { objects, changes }: Difference,
  isMeant: (change: Pick<ObjectChange, "action">) => boolean,
  layout: PlanLayout,
): string[] {
  const meant = ACTIONS.filter(isMeant);
  const sorted = meant.flatMap((each) => changes.filter(({ action }) => action === each.action));
  const rows = sorted.slice(0, ROWS_MAX);
  const total = Object.values(objects).reduce(
    (sum, counts) => sum + meant.reduce((all, { action }) => all + counts[action], 0),
    0,
  );
  const kinds = widest(rows.map(({ kind }) => kindText(kind)), Infinity);
  const names = widest(rows.map(({ name }) => cellText(name)), NAME_COLUMN_MAX);
  const lines = rows.map((change) => {
    const { sign, colour } = ACTIONS.find(({ action }) => action === change.action)!;
    const head = `  ${sign} ${kindText(change.kind).padEnd(kinds)}  ${cellText(change.name).padEnd(names)}  `;
    const details = detailsOf(change, layout);
    const whole = `${head}${details.join(", ")}`.trimEnd();
    const line = whole.length <= layout.columns || details.length === 0
      ? whole
      : `${head.trimEnd()}\n${wrapped("      ", details, { ...layout, separator: ", ", indent: 6 })}`;
    return layout.colour ? line.replace(sign, `\x1b[${colour}m${sign}\x1b[0m`) : line;
  });
  return [...lines, ...moreLine(Math.max(total, sorted.length) - rows.length, layout)];
}

function moreLine(more: number, { whole }: Pick<PlanLayout, "whole">): string[] {
  return more > 0 ? [`  and ${more.toLocaleString("en")} more (${whole} shows all it has)`] : [];
}

/** What is to be said of an object beside its name. */
function detailsOf(change: ObjectChange, layout: PlanLayout): string[] {
  if (change.with !== null) return [`with ${cellText(change.with)}`];
  return change.action === "changed" ? fieldsOf(change.before, change.after, layout) : [];
}

/** `weight 1 → 5` for each field that differs. */
function fieldsOf(
  before: unknown,
  after: unknown,
  { names }: Pick<PlanLayout, "names">,
  prefix = "",
): string[] {
  if (!isJsonObject(before) || !isJsonObject(after)) return [];
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((name) => {
    const [was, is] = [before[name] ?? null, after[name] ?? null];
    if (JSON.stringify(was) === JSON.stringify(is)) return [];
    if (isJsonObject(was) && isJsonObject(is)) return fieldsOf(was, is, { names }, `${prefix}${name}.`);
    if (isText(was) || isText(is)) return [`${prefix}${name} ${linesThatDiffer(was, is)}`];
    const value = (id: unknown) => names.get(String(id)) ?? valueText(id);
    return [`${prefix}${titleOf(name)} ${value(was)} → ${value(is)}`];
  });
}

/** A field as it is called in sentences: what it refers to stands there by name. */
function titleOf(field: string): string {
  return field === "seq" ? "order" : field.replace(/(?<=[a-z])Id$/, "");
}

/** Whether a value has several lines, as a zone. */
function isText(value: unknown): boolean {
  return typeof value === "string" && value.includes("\n");
}

/** `+2 -1 lines`, wherever they stand. */
function linesThatDiffer(before: unknown, after: unknown): string {
  const counts = new Map<string, number>();
  const count = (text: unknown, step: number) => {
    for (const line of typeof text === "string" ? text.split("\n") : []) {
      counts.set(line, (counts.get(line) ?? 0) + step);
    }
  };
  count(after, 1);
  count(before, -1);
  const added = [...counts.values()].reduce((sum, each) => sum + Math.max(0, each), 0);
  const removed = [...counts.values()].reduce((sum, each) => sum - Math.min(0, each), 0);
  return added + removed === 0 ? "in another order" : `+${added} -${removed} lines`;
}

function valueText(value: unknown): string {
  const text = Array.isArray(value) ? value.map(cellText).join(" ") : cellText(value);
  if (text === "") return "none";
  return text.length <= VALUE_MAX ? text : `${text.slice(0, VALUE_MAX - 1)}…`;
}

/** The answers that differ. */
function answersText({ answers }: Plan, layout: PlanLayout): string {
  const { services, differences, truncated } = answers;
  const head = answersHead(answers, layout);
  if (services === 0 && differences.length === 0) return head;
  const rows = differences.slice(0, ROWS_MAX);
  const labels = widest(rows.map(labelOf), NAME_COLUMN_MAX);
  const clients = widest(rows.map(clientsOf), CLIENTS_COLUMN_MAX);
  const lines = rows.map((row) => answerText(row, { ...layout, labels, clients }));
  const more = differences.length - rows.length;
  const rest = truncated
    ? [`  and more than ${more.toLocaleString("en")} others (${layout.whole} shows all it has)`]
    : moreLine(more, layout);
  return [head, ...lines, ...rest].join("\n");
}

function answersHead({ services, movedShare }: Plan["answers"], layout: PlanLayout): string {
  if (services === 0) return "No answer differs";
  const words = [
    `Answers of ${counted(services, "name")} differ`,
    `${percent(movedShare)} of all answers move (names count the same)`,
  ];
  return wrapped("", words, { ...layout, separator: "; " });
}

function labelOf({ name, type }: AnswerDifference): string {
  return cellText(`${name} ${type}`);
}

function clientsOf({ clients, share }: AnswerDifference): string {
  return share >= 1 ? cellText(clients) : `${cellText(clients)} (${percent(share)})`;
}

/** In one line where it fits, if need be out of line; else what is before and what is after have lines of their own. */
function answerText(
  row: AnswerDifference,
  { columns, labels, clients }: PlanLayout & { readonly labels: number; readonly clients: number },
): string {
  const heads = [
    `  ${labelOf(row).padEnd(labels)}  ${clientsOf(row).padEnd(clients)}`,
    `  ${labelOf(row)}  ${clientsOf(row)}`,
  ];
  const [before, after] = [sharesOf(row.before), sharesOf(row.after)];
  const whole = heads.map((head) => `${head}  ${before.join(", ")} → ${after.join(", ")}`)
    .find(({ length }) => length <= columns);
  if (whole !== undefined) return whole;
  return [
    heads[0]!.trimEnd(),
    wrapped("      before  ", before, { columns, separator: ", ", indent: 14 }),
    wrapped("      after   ", after, { columns, separator: ", ", indent: 14 }),
  ].join("\n");
}

/** With what answers begin, and how often; then what only comes behind, and how often there is nothing. */
function sharesOf(shares: readonly AddressShare[]): string[] {
  if (shares.length === 0) return ["no address"];
  const listed = shares.slice(0, ADDRESSES_MAX).map(({ address, share }) =>
    share === 0 ? `then ${cellText(address)}` : `${cellText(address)} ${percent(share)}`
  );
  const more = shares.length - listed.length;
  const nothing = 1 - shares.reduce((sum, { share }) => sum + share, 0);
  return [
    ...listed,
    ...(more > 0 ? [`and ${more} more`] : []),
    // Shares are sums of fractions.
    ...(nothing > 1e-6 ? [`no address ${percent(nothing)}`] : []),
  ];
}

function replayText(replay: Replay, layout: PlanLayout): string {
  const { columns } = layout;
  const { from, to, queries, share, errorBar, members } = replay;
  const words = [
    `${queries.toLocaleString("en")} recorded queries, ${minute(from)} to ${minute(to)}:`,
    `${percent(share)} (± ${percent(errorBar)}) would be answered differently`,
  ];
  const rows = members.slice(0, ROWS_MAX);
  const addresses = widest(rows.map(({ address }) => cellText(address)), Infinity);
  const lines = rows.map(({ address, before, after }) =>
    `  ${cellText(address).padEnd(addresses)}  ${percent(before)} → ${percent(after)}`
  );
  return [
    wrapped("", words, { columns, separator: " " }),
    ...lines,
    ...moreLine(members.length - rows.length, layout),
  ].join("\n");
}

/** `2026-01-31 03:00`, as it is recorded: in UTC. */
function minute(at: string): string {
  return cellText(at).replace("T", " ").replace(/:\d\d(?:\.\d+)?Z$/, " UTC");
}

function refusalsText({ refusals }: Plan, { columns }: PlanLayout): string {
  if (refusals.length === 0) return "";
  const lines = refusals.map((refusal) =>
    wrapped("  ", refusalText(refusal).split(" "), { columns, separator: " ", indent: 4 })
  );
  return [refusals.length === 1 ? "A guard refuses it:" : "Guards refuse it:", ...lines].join("\n");
}

/** A share as people say it; what is neither nothing nor all never looks so. */
function percent(share: number): string {
  const value = share * 100;
  if (value > 0 && value < 0.1) return "< 0.1 %";
  if (value < 100 && value > 99.9) return "> 99.9 %";
  return `${Number(value.toFixed(1))} %`;
}

function widest(texts: readonly string[], max: number): number {
  return Math.min(max, Math.max(0, ...texts.map(({ length }) => length)));
}

/** The head and the items behind it; an item that would make the line too long begins the next one. */
function wrapped(
  head: string,
  items: readonly string[],
  { columns, separator, indent = 2 }: {
    readonly columns: number;
    readonly separator: string;
    readonly indent?: number;
  },
): string {
  const lines: string[] = [];
  let line = head;
  for (const [i, item] of items.entries()) {
    const text = i < items.length - 1 ? `${item}${separator.trimEnd()}` : item;
    const gap = i === 0 ? "" : " ";
    if (line.length + gap.length + text.length <= columns || line.trim() === "") line += gap + text;
    else {
      lines.push(line.trimEnd());
      line = " ".repeat(indent) + text;
    }
  }
  return [...lines, line.trimEnd()].join("\n");
}
