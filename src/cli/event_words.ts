/**
 * Events in words, one line each.
 *
 * @module
 */
import { countOf } from "../input/count.ts";
import { isJsonObject, type JsonObject } from "./client.ts";
import { cellText } from "./table.ts";
import { wallTime } from "./wall_time.ts";

/** What happened. */
export function eventWords(event: JsonObject): string {
  const words = WORDS[String(event["kind"])] ?? rest;
  return cellText(words(event)).trim();
}

const WORDS: Readonly<Record<string, (event: JsonObject) => string>> = {
  node: ({ state, lost }) =>
    `${text(state)}${lost === true ? "; the last events of the run before are lost" : ""}`,
  health: ({ check, address, port, state, previous, error }) =>
    `${endpoint(address, port)} ${text(check)} ${text(state)}, was ${text(previous)}${behind(error)}`,
  policy: ({ change, check, address, port, state, own, reason }) => {
    const at = `${endpoint(address, port)} ${text(check)}`;
    return change === "begun"
      ? `${at} counts as ${text(state)}, while this node finds it ${text(own)}${behind(reason)}`
      : `${at} counts as this node finds it again: ${text(state)}`;
  },
  pool: ({ name, isDown, family }) => {
    const which = family === null ? "" : ` of IPv${text(family)}`;
    return isDown === true
      ? `${text(name)} has too few members${which}`
      : `${text(name)} has enough members again`;
  },
  guard: ({ change, targets, until, outcome }) => {
    const end = until === null ? "" : ` until ${wallTime(until)}`;
    return `${text(change)}${outcome === null ? "" : ` (${text(outcome)})`}: ${
      countOf(Number(targets), "target")
    }${end}`;
  },
  commit: ({ generation, via, by, reason, touched }) =>
    `generation ${text(generation)}${author(via, by)}${behind(reason)}${touchedWords(touched)}`,
  refusal: ({ via, by, guards }) =>
    `refused${author(via, by)}: ${
      (Array.isArray(guards) ? guards : []).filter(isJsonObject)
        .map(({ guard, message }) => `${text(message)} [${text(guard)}]`).join("; ")
    }`,
  conflict: ({ node, via, by, why }) => `undone${author(via, by)} at ${text(node)}: ${text(why)}`,
  override: ({ change, state, target, owner, reason, expiresAt }) => {
    const end = change === "begun" ? ` until ${wallTime(expiresAt)}` : "";
    return `${text(change)}: ${text(state)} ${text(target)}${end}${author("", owner)}${behind(reason)}`;
  },
  settings: ({ outcome, needingRestart }) => {
    const keys = Array.isArray(needingRestart) ? needingRestart.map(text) : [];
    return `${text(outcome)}${keys.length === 0 ? "" : `; these wait for a start: ${keys.join(", ")}`}`;
  },
  gitops: ({ change, commit, signer, message }) => {
    // What is wrong with a commit names it.
    if (change === "refused" || change === "failed" || change === "drifted") {
      return `${text(change)}: ${text(message)}`;
    }
    const by = text(signer) === "" ? "" : `, signed by ${text(signer)}`;
    return `${text(change)}: commit ${text(commit).slice(0, 12)}${by}${behind(message)}`;
  },
  worker: ({ reason }) => `a DNS worker ${text(reason)}, another takes its place`,
  token: ({ change, name, scope }) => `${text(change)}: ${text(name)}, ${text(scope)}`,
  attempt: ({ from, count, statuses, since }) => {
    const each = isJsonObject(statuses) ? Object.entries(statuses) : [];
    const words = each.map(([status, number]) => `${text(number)} × ${status}`).join(", ");
    const source = text(from) === "" ? "others" : text(from);
    return `${countOf(Number(count), "request")} refused from ${source} since ${wallTime(since)}: ${words}`;
  },
  failure: ({ what, message }) => `${text(what)}: ${text(message)}`,
};

/** Of a kind that a newer node has. */
function rest(event: JsonObject): string {
  const { id: _, at: __, kind: ___, ...fields } = event;
  return JSON.stringify(fields);
}

const text = (value: unknown): string => value === null || value === undefined ? "" : String(value);

function behind(value: unknown): string {
  return text(value) === "" ? "" : `: ${text(value)}`;
}

function author(via: unknown, by: unknown): string {
  const way = via === null ? " from another process" : text(via) === "" ? "" : ` via ${text(via)}`;
  return text(by) === "" ? way : `${way} by ${text(by)}`;
}

function endpoint(address: unknown, port: unknown): string {
  return text(address).includes(":") ? `[${text(address)}]:${text(port)}` : `${text(address)}:${text(port)}`;
}

function touchedWords(touched: unknown): string {
  if (!isJsonObject(touched)) return "";
  const counts = (["pool", "service", "zone"] as const).map((noun) =>
    [noun, Number(touched[`${noun}s`] ?? 0)] as const
  )
    .filter(([, count]) => count > 0).map(([noun, count]) => countOf(count, noun));
  if (touched["fallback"] === true) counts.push("the fallback");
  return counts.length === 0 ? "" : ` (${counts.join(", ")})`;
}
