/**
 * A log that can be waited for.
 *
 * @module
 */
import { createLogger, type Logger } from "../../src/telemetry/log.ts";

/** A logger, what it has written, and whoever waits for a line. */
export interface ListLogger {
  readonly log: Logger;
  readonly lines: readonly string[];
  /** Resolves when a line has this in it, past or to come. */
  readonly logged: (part: string) => Promise<void>;
}

/** A new one. */
export function listLogger(): ListLogger {
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  const log = createLogger({
    level: "debug",
    format: "json",
    clock: { unixMs: () => 0 },
    write: (line) => {
      lines.push(line);
      for (const look of waiting) look();
    },
  });
  const logged = (part: string) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (!lines.some((line) => line.includes(part))) return;
        waiting.delete(look);
        resolve();
      };
      waiting.add(look);
      look();
    });
  return { log, lines, logged };
}
