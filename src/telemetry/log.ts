/**
 * What the process says about itself: one line an event, JSON for machines or short text for a terminal.
 *
 * Every line is complete and single: line breaks and control characters inside values are escaped, so nothing that
 * comes from the network can forge a second line or move the cursor. Lines go to stderr; stdout is for results.
 *
 * @module
 */
import type { Clock } from "../clock.ts";

/** How much is said; each level includes the ones after it. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** Values that belong to a message; errors are rendered with their causes, `undefined` is left out. */
export interface LogFields {
  /** Any value under a name in camelCase. */
  readonly [name: string]: unknown;
  /** Taken: the line's own time. */
  readonly time?: never;
  /** Taken: the line's own level. */
  readonly level?: never;
  /** Taken: the line's own message. */
  readonly message?: never;
}

/** Writes events of one part of the program. */
export interface Logger {
  /** Details for someone who is looking for a fault. */
  debug(message: string, fields?: LogFields): void;
  /** What an operator wants to find in the log later. */
  info(message: string, fields?: LogFields): void;
  /** Something is wrong, and the program copes. */
  warn(message: string, fields?: LogFields): void;
  /** Something is wrong that a person must fix. */
  error(message: string, fields?: LogFields): void;
  /** A logger that adds these fields to each of its lines. */
  with(fields: LogFields): Logger;
}

/** What `createLogger` needs. */
export interface LoggerOptions {
  /** The lowest level that is written. */
  readonly level: LogLevel;
  /** `auto` = text on a terminal, else JSON. */
  readonly format: "auto" | "text" | "json";
  /** Stamps the lines. */
  readonly clock: Pick<Clock, "unixMs">;
  /** Takes one line without its line break; stderr when absent. */
  readonly write?: (line: string) => void;
  /** Whether a person watches; asked of stderr when absent. */
  readonly isTerminal?: boolean;
  /** Whether the environment forbids colour (`NO_COLOR`); asked of Deno when absent. */
  readonly noColor?: boolean;
}

/**
 * Creates the root logger.
 *
 * @example
 * ```ts
 * const log = createLogger({ level: "info", format: "auto", clock: systemClock });
 * log.with({ part: "health" }).warn("Member is down", { member: "192.0.2.10:443", error });
 * ```
 */
export function createLogger(options: LoggerOptions): Logger {
  const isTerminal = options.isTerminal ?? Deno.stderr.isTerminal();
  const asText = options.format === "text" || (options.format === "auto" && isTerminal);
  const colour = asText && isTerminal && !(options.noColor ?? Deno.noColor);
  const write = options.write ?? writeToStderr;
  const withStacks = options.level === "debug";
  const render = asText ? (event: Event) => renderText(event, colour) : renderJson;
  return loggerWith({});

  function loggerWith(fixed: LogFields): Logger {
    const at = (level: LogLevel) =>
      LEVELS.indexOf(level) < LEVELS.indexOf(options.level)
        ? () => {}
        : (message: string, fields: LogFields = {}) => {
          const shown = flatten({ ...fixed, ...fields }, withStacks);
          write(render({ unixMs: options.clock.unixMs(), level, message, fields: shown }));
        };
    return {
      debug: at("debug"),
      info: at("info"),
      warn: at("warn"),
      error: at("error"),
      with: (fields) => loggerWith({ ...fixed, ...fields }),
    };
  }
}

const LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** Where the fields of a text line begin, so that short messages line up. */
const MESSAGE_WIDTH = 36;

const COLOURS: Record<LogLevel, string> = { debug: "90", info: "36", warn: "33", error: "31" };

interface Event {
  readonly unixMs: number;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: ReadonlyMap<string, unknown>;
}

function renderJson({ unixMs, level, message, fields }: Event): string {
  const head = { time: new Date(unixMs).toISOString(), level, message };
  const pairs = [...Object.entries(head), ...fields].map(([name, value]) =>
    `${JSON.stringify(name)}:${stringify(value)}`
  );
  // JSON.stringify leaves DEL and the C1 controls as they are; a terminal obeys some of them.
  return `{${pairs.join(",")}}`.replace(/\p{Cc}/gu, (char) => `\\u00${char.charCodeAt(0).toString(16)}`);
}

function renderText({ unixMs, level, message, fields }: Event, colour: boolean): string {
  const paint = (code: string, text: string) => colour ? `\x1b[${code}m${text}\x1b[0m` : text;
  const time = new Date(unixMs).toISOString().slice(11, 23);
  const head = `${paint("90", time)} ${paint(COLOURS[level], level.toUpperCase().padEnd(5))}`;
  const pairs = [...fields].map(([name, value]) =>
    `${paint("90", `${escapeControls(name)}=`)}${textOf(value)}`
  );
  const said = escapeControls(message);
  return `${head} ${pairs.length === 0 ? said : `${said.padEnd(MESSAGE_WIDTH)} ${pairs.join(" ")}`}`;
}

function textOf(value: unknown): string {
  const text = typeof value === "string" ? value : stringify(value);
  const plain = text !== "" && !/[\s"=]/.test(text);
  return escapeControls(plain || typeof value !== "string" ? text : stringify(text));
}

function flatten(fields: LogFields, withStacks: boolean): ReadonlyMap<string, unknown> {
  const flat = new Map<string, unknown>();
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    flat.set(name, value instanceof Error ? describeError(value) : value);
    if (withStacks && value instanceof Error && value.stack) flat.set(`${name}Stack`, value.stack);
  }
  return flat;
}

/**
 * One line for an error and what caused it, outermost first: `cannot load zones: NotFound: no such file`.
 *
 * The name is left out for a plain `Error`, which says nothing by it.
 */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  // Five causes are deeper than any chain in this program; the bound also ends a cycle.
  for (let at = error; at !== undefined && at !== null && parts.length < 5;) {
    if (!(at instanceof Error)) {
      parts.push(String(at));
      break;
    }
    parts.push(at.name === "Error" || at.name === "" ? at.message : `${at.name}: ${at.message}`);
    at = at.cause;
  }
  return parts.join(": ");
}

/** JSON of anything: an error as its description, a bigint as its digits, a cycle as a plain string. */
function stringify(value: unknown): string {
  try {
    const text = JSON.stringify(value, (_key, part: unknown) => {
      if (typeof part === "bigint") return part.toString();
      return part instanceof Error ? describeError(part) : part;
    });
    return text ?? JSON.stringify(String(value));
  } catch {
    // Only a cycle or a throwing toJSON gets here, and an event must not be lost for it.
    return JSON.stringify(String(value));
  }
}

function escapeControls(text: string): string {
  return text.replace(/\p{Cc}/gu, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

function writeToStderr(line: string): void {
  const bytes = new TextEncoder().encode(`${line}\n`);
  try {
    for (let written = 0; written < bytes.length;) written += Deno.stderr.writeSync(bytes.subarray(written));
  } catch {
    // Nothing reads stderr any more (a closed pipe); answering queries matters more than saying so.
  }
}
