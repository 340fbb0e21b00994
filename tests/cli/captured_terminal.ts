/**
 * A terminal that keeps what it is told.
 *
 * @module
 */
import type { Terminal } from "../../src/cli/terminal.ts";

/** What a command printed. */
export interface CapturedTerminal extends Terminal {
  /** Everything on stdout. */
  readonly stdout: () => string;
  /** Everything on stderr. */
  readonly stderr: () => string;
}

/** One at which a person of that answer sits; `stderr()` has the questions. */
export function attendedTerminal(
  answer: string | null,
  environment: Readonly<Record<string, string>> = {},
): CapturedTerminal {
  const terminal = capturedTerminal(environment);
  return {
    ...terminal,
    status: () => {},
    columns: 80,
    ask: (question) => {
      terminal.err(question);
      return answer;
    },
  };
}

/** A terminal without colour, with that environment and nothing else in it. */
export function capturedTerminal(environment: Readonly<Record<string, string>> = {}): CapturedTerminal {
  const out: string[] = [];
  const err: string[] = [];
  return {
    out: (text) => void out.push(text),
    err: (text) => void err.push(text),
    env: (name) => environment[name],
    colour: false,
    stdout: () => out.map((text) => `${text}\n`).join(""),
    stderr: () => err.map((text) => `${text}\n`).join(""),
  };
}
