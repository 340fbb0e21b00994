/**
 * The words of the demo: what happens, one event a line, in at most the width of the terminal.
 *
 * Everything here is a pure function of its arguments. Colour marks what kind of event a line tells; nothing is said by
 * colour alone.
 *
 * @module
 */
import type { SampleService } from "./sample.ts";

/** What can happen. */
export type DemoEvent =
  /** A client was answered. */
  | {
    readonly kind: "answer";
    /** Address, or client subnet and address of the resolver. */
    readonly client: string;
    /** Name and type. */
    readonly question: string;
    /** Addresses or other data, or an RCODE. */
    readonly answer: string;
    readonly reason: string;
  }
  /** More clients were answered than are listed. */
  | { readonly kind: "more"; readonly count: number }
  /** A backend was stopped or started; `boundMs` is when the answers must show it. */
  | { readonly kind: "stopped" | "started"; readonly backend: string; readonly boundMs: number }
  /** A target is unhealthy; so many failures in a row showed it. */
  | {
    readonly kind: "down";
    readonly target: string;
    readonly check: string;
    readonly results: number;
    readonly error: string;
  }
  /** A target is healthy; so many successes in a row showed it. */
  | { readonly kind: "up"; readonly target: string; readonly check: string; readonly results: number }
  /** An address left the answers or came back, as DNS itself says. */
  | {
    readonly kind: "gone" | "back";
    readonly address: string;
    /** Since the backend was stopped or started. */
    readonly afterMs: number;
    readonly boundMs: number;
    /** What is answered now. */
    readonly now: readonly Answers[];
  }
  /** The answers don't show in time what they should. */
  | {
    readonly kind: "late";
    readonly address: string;
    readonly wanted: "gone" | "back";
    readonly boundMs: number;
  }
  /** An address stays although its backend is down, because every other is down too. */
  | {
    readonly kind: "kept";
    readonly address: string;
    readonly afterMs: number;
    /** Those that had left the answers, and are answered again for the same reason. */
    readonly again: readonly string[];
    readonly now: readonly Answers[];
  }
  /** A backend was stopped or started before the answers showed that it had been the opposite. */
  | { readonly kind: "unnoticed"; readonly backend: string; readonly act: "stopped" | "started" }
  /** The model was changed. */
  | { readonly kind: "changed"; readonly what: string; readonly generation: number }
  /** A remark. */
  | { readonly kind: "remark"; readonly text: string };

/** All addresses that a name is answered with, over several questions. */
export interface Answers {
  /** The name. */
  readonly domain: string;
  /** Each once, in order of their text. */
  readonly addresses: readonly string[];
}

/** How a line is shown. */
export interface Look {
  /** Whether escape sequences are allowed. */
  readonly colour: boolean;
  /** Columns; longer lines are broken between words. */
  readonly width: number;
}

/** One event as one line, broken where the terminal ends and then indented; `time` comes first. */
export function narrate(event: DemoEvent, time: string, look: Look): string {
  const { text, tone, below = [] } = wordsFor(event);
  const width = Math.max(look.width - INDENT.length, WIDTH_MIN);
  const head = wrap(text, width).map((line) => paint(TONES[tone], line, look));
  const tail = below.flatMap((line) => wrap(line, width)).map((line) => paint(TONES.quiet, line, look));
  return `${paint(TONES.quiet, time, look)}  ${[...head, ...tail].join(`\n${INDENT}`)}`;
}

/** As long as `08:00:00` and two spaces. */
const INDENT = " ".repeat(10);
/** Narrower, and there would be a word a line. */
const WIDTH_MIN = 30;

type Tone = "plain" | "quiet" | "bad" | "good" | "act";

/** ECMA-48 SGR parameters. */
const TONES: Readonly<Record<Tone, string>> = { plain: "", quiet: "2", bad: "1;31", good: "1;32", act: "33" };

interface Words {
  readonly text: string;
  readonly tone: Tone;
  /** Lines of their own below the text. */
  readonly below?: readonly string[];
}

function wordsFor(event: DemoEvent): Words {
  switch (event.kind) {
    case "answer": {
      const { client, question, answer, reason } = event;
      return { text: `${client} asked ${question} → ${answer} · ${reason}`, tone: "plain" };
    }
    case "more":
      return { text: `… and ${event.count} more answers in this second`, tone: "quiet" };
    case "stopped":
    case "started":
      return wordsForAct(event);
    case "down":
    case "up":
      return wordsForVerdict(event);
    case "gone":
    case "back":
      return wordsForProof(event);
    case "late":
      return {
        text:
          `LATE ${event.address} is ${event.wanted === "gone" ? "still" : "not yet"} answered, although ` +
          `${seconds(event.boundMs)} have passed`,
        tone: "bad",
      };
    case "kept":
      return {
        text: `KEPT ${event.address} has been down for ${seconds(event.afterMs)}, but so are all others: ` +
          `a doubtful address is better than none (onAllDown: all)${backIn(event.again)}`,
        tone: "bad",
        below: nowLines(event.now),
      };
    case "unnoticed": {
      const missed = event.act === "started" ? "absence" : "return";
      return { text: `${event.backend} ${event.act} before the answers noticed its ${missed}`, tone: "act" };
    }
    case "changed":
      return { text: `CHANGED ${event.what} (generation ${event.generation})`, tone: "act" };
    case "remark":
      return { text: event.text, tone: "quiet" };
  }
}

function backIn(again: readonly string[]): string {
  if (again.length === 0) return "";
  return `, so ${again.join(" and ")} ${again.length === 1 ? "is" : "are"} answered again, too`;
}

function wordsForAct({ kind, backend, boundMs }: Of<"stopped" | "started">): Words {
  const promise = kind === "stopped" ? "must leave the answers" : "must be back";
  return { text: `${backend} ${kind}: ${promise} within ${seconds(boundMs)}`, tone: "act" };
}

function wordsForVerdict(event: Of<"down" | "up">): Words {
  const { target, check, results } = event;
  const checks = results === 1 ? `the ${check} check` : `${results} ${check} checks in a row`;
  return event.kind === "down"
    ? { text: `DOWN ${target} failed ${checks}: ${event.error}`, tone: "bad" }
    : { text: `UP ${target} passed ${checks}`, tone: "good" };
}

function wordsForProof({ kind, address, afterMs, boundMs, now }: Of<"gone" | "back">): Words {
  const [text, tone] = kind === "gone"
    ? [`GONE ${address} left the answers ${seconds(afterMs)} after its stop`, "bad"] as const
    : [`BACK ${address} answered again ${seconds(afterMs)} after its start`, "good"] as const;
  return { text: `${text} (bound ${seconds(boundMs)})`, tone, below: nowLines(now) };
}

type Of<Kind extends DemoEvent["kind"]> = Extract<DemoEvent, { kind: Kind }>;

function nowLines(now: readonly Answers[]): string[] {
  const widest = Math.max(...now.map(({ domain }) => domain.length));
  return now.map(({ domain, addresses }) =>
    `${domain.padEnd(widest)} → ${addresses.join(" ") || "no address"}`
  );
}

/** Where the node can be reached, and how its user can ask it. */
export interface Introduction {
  /** Of Pleiades. */
  readonly version: string;
  /** Such as `127.0.0.1:5300`. */
  readonly dns: string;
  /** Such as `http://127.0.0.1:8053`. */
  readonly api: string;
  /** What is served. */
  readonly services: readonly SampleService[];
  /** Number and address of each. */
  readonly backends: readonly string[];
  /** Commands to try, ready to paste. */
  readonly tries: readonly string[];
  /** Lines about what comes next. */
  readonly next: readonly string[];
}

/** What is said when the node answers. */
export function introduce(introduction: Introduction, look: Look): string {
  const { version, dns, api, services, backends, tries, next } = introduction;
  const bold = (text: string) => paint("1", text, look);
  const label = (text: string) => `  ${paint("2", text.padEnd(9), look)}`;
  return [
    `${bold("Pleiades")} ${version}, a whole node on a throw-away database`,
    "",
    `${label("DNS")} ${bold(dns)} over UDP and TCP`,
    `${label("API")} ${bold(`${api}/api/v1`)}`,
    `${label("API docs")} ${bold(`${api}/docs/api`)}`,
    `${label("metrics")} ${bold(`${api}/metrics`)}`,
    `${label("backends")} ${wrap(backends.join("  "), look.width - 12).join(`\n${" ".repeat(12)}`)}`,
    "",
    ...services.map(({ domain, about }) => `  ${bold(domain.padEnd(15))} ${about}`),
    "",
    "Try this in another terminal:",
    ...tries.map((line) => `  ${paint("36", line, look)}`),
    "",
    ...next.flatMap((line) => wrap(line, look.width)),
    "",
  ].join("\n");
}

/** `1.73 s`; two digits, since the bounds differ in the first. */
function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2).replace(/0$/, "")} s`;
}

function paint(code: string, text: string, { colour }: Look): string {
  return colour && code !== "" ? `\x1b[${code}m${text}\x1b[0m` : text;
}

/** Breaks text between words; a word that is too long stays whole. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/ (?! )/)) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
