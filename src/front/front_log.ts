/**
 * The balancer's log: one JSON object a line on stdout, in the form of Bunyan, as mname-balancer wrote it.
 *
 * @module
 */
import { describeError } from "../telemetry/log.ts";

/** Levels, from the least. */
export const FRONT_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal"] as const;

/** How much is said. */
export type FrontLevel = typeof FRONT_LEVELS[number];

/** Values that belong to a message. */
export type FrontFields = Readonly<Record<string, unknown>>;

/** Writes events. */
export type FrontLog =
  & Readonly<Record<FrontLevel, (message: string, fields?: FrontFields) => void>>
  & {
    /** A log that adds these fields to each of its lines. */
    with(fields: FrontFields): FrontLog;
  };

/** An event on its way to the thread that writes. */
export interface FrontEvent {
  /** How much it matters. */
  readonly level: FrontLevel;
  /** What happened. */
  readonly message: string;
  /** With what. */
  readonly fields: FrontFields;
}

/** A log whose events, from a level on, go to `take`. */
export function frontLog(level: FrontLevel, take: (event: FrontEvent) => void): FrontLog {
  const least = FRONT_LEVELS.indexOf(level);
  return logWith({});

  function logWith(fixed: FrontFields): FrontLog {
    const at = (level: FrontLevel) =>
      FRONT_LEVELS.indexOf(level) < least
        ? () => {}
        : (message: string, fields: FrontFields = {}) =>
          take({ level, message, fields: { ...fixed, ...fields } });
    const [trace, debug, info, warn, error, fatal] = FRONT_LEVELS.map(at) as [Say, Say, Say, Say, Say, Say];
    return { trace, debug, info, warn, error, fatal, with: (fields) => logWith({ ...fixed, ...fields }) };
  }
}

type Say = (message: string, fields?: FrontFields) => void;

/** What a line says of its process. */
export interface LineHead {
  /** Name of the machine. */
  readonly hostname: string;
  /** Of the process. */
  readonly pid: number;
}

/** The event as a line of Bunyan's, without its line feed; what comes from outside can't break it. */
export function bunyanLine(
  { level, message, fields }: FrontEvent,
  unixMs: number,
  { hostname, pid }: LineHead,
): string {
  const shown = Object.entries(fields).map(([name, value]) =>
    [name, value instanceof Error ? describeError(value) : value] as const
  );
  return JSON.stringify({
    ...{ name: "mname-balancer", hostname, pid, level: (FRONT_LEVELS.indexOf(level) + 1) * 10 },
    ...Object.fromEntries(shown),
    ...{ msg: message, time: new Date(unixMs).toISOString(), v: 0 },
  }).replace(/\p{Cc}/gu, (char) => `\\u00${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
