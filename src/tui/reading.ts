/**
 * What is read a screen at a time: texts, questions with what one should know before, the keys, and the site. All of it is in
 * lines of the terminal's width here, so that who scrolls comes to the last line and no further.
 *
 * @module
 */
import { keyLabel, KEYS, type Mode } from "./keys.ts";
import type { Preview } from "./messages.ts";
import { fit, harmless, wrapped } from "./screen_text.ts";

/** Lines of a text. */
export function textLines(lines: readonly string[], columns: number): string[] {
  return lines.flatMap((line) => wrapped(harmless(line), columns - 2)).map((line) => ` ${line}`);
}

/** What one should know before one says yes; what speaks against it comes first. */
export function questionLines(preview: Preview | null, columns: number): string[] {
  if (preview === null) return ["  working out what it would do …"];
  const guards = preview.guards.map(({ guard, message }) => `! ${message} [${guard}]`);
  return [...guards.length > 0 ? ["A guard would refuse this:", ...guards, ""] : [], ...preview.lines]
    .flatMap((line) => wrapped(harmless(line), columns - 4)).map((line) => `  ${line}`);
}

/** The keys of a mode, a line for each thing that they do. */
export function helpLines(mode: Mode): string[] {
  return KEYS[mode].map(({ keys, does }) => `  ${fit(keys.map(keyLabel).join(" "), 16)}  ${does}`);
}

/** A node of the site. */
export interface NodeItem {
  /** Its id. */
  readonly id: string;
  /** May be empty. */
  readonly region: string;
  /** When it was heard last, in words. */
  readonly heard: string;
  /** How its model stands to that of the node that answers, in words; empty = it doesn't say. */
  readonly model: string;
}

/** What is known of the site. */
export interface Site {
  /** Whether a node answers, and what. */
  readonly state: "connecting" | "connected" | "away" | "refused";
  /** Where it is looked for. */
  readonly url: string;
  /** Why it doesn't answer. */
  readonly message: string;
  /** Lines about the node. */
  readonly status: readonly string[];
  /** The nodes that share what they find, the one that answers included. */
  readonly nodes: readonly NodeItem[];
  /** Answers a second of the node that answers; `null` = not known yet. */
  readonly rate: number | null;
  /** The newest last. */
  readonly events: readonly string[];
}

/** The site. */
export function siteLines({ state, url, message, ...site }: Site, columns: number): string[] {
  if (state !== "connected") {
    return textLines([
      state === "refused"
        ? `The node at ${url} refuses: ${message}`
        : `No node at ${url}: ${message || "looking for one"}`,
      "",
      "Pools and services can be changed all the same.",
    ], columns);
  }
  const { status, nodes, rate, events } = site;
  const row = ({ id, region, heard, model }: Record<keyof NodeItem, string>) =>
    ` ${fit(harmless(id), 20)}  ${fit(harmless(region || "-"), 14)}  ${fit(heard, 16)}  ${model || "-"}`;
  const head = row({ id: "NODE", region: "REGION", heard: "HEARD", model: "MODEL" });
  return textLines([
    ...status,
    ...rate === null ? [] : [`rate         ${rate.toFixed(1)} answers a second`],
  ], columns).concat(
    nodes.length === 0 ? [] : ["", head],
    nodes.map(row),
    ["", " Events"],
    textLines(events.length === 0 ? ["none yet"] : events.toReversed(), columns),
  );
}
