/**
 * Where a command's words go: results to stdout, everything else to stderr. It is an argument of every command,
 * so that a test can read what a user would see.
 *
 * @module
 */

/** The two streams and the environment of one run of a command. */
export interface Terminal {
  /** Writes a result and a line feed to stdout. */
  out(text: string): void;
  /** Writes a remark or an error and a line feed to stderr. */
  err(text: string): void;
  /** Overwrites the line that stands on stderr, with nothing to take it away; absent where stderr is no terminal. */
  readonly status?: ((text: string) => void) | undefined;
  /** Shows a question on stderr and gives the line that is typed, `null` at the end; absent where stdin or stderr is no terminal. */
  readonly ask?: ((question: string) => string | null) | undefined;
  /** Characters of a line of stdout; absent where it is no terminal, or one without a size. */
  readonly columns?: number | undefined;
  /** An environment variable; an empty one counts as unset. */
  env(name: string): string | undefined;
  /** Whether stdout may carry colour: only on a terminal, and never under `NO_COLOR` (no-color.org). */
  readonly colour: boolean;
}

/** Whether the answer to a question is yes; none is no. */
export function isYes(answer: string | null): boolean {
  return /^y(es)?$/i.test(answer?.trim() ?? "");
}

/** The process's own streams. */
export const systemTerminal: Terminal = {
  out: (text) => writeAll(Deno.stdout, `${text}\n`),
  err: (text) => writeAll(Deno.stderr, `${text}\n`),
  get status() {
    // Back to the first column, and the line cleared (ECMA-48 §8.3.41).
    return Deno.stderr.isTerminal() ? (text: string) => writeAll(Deno.stderr, `\r\x1b[K${text}`) : undefined;
  },
  get ask() {
    return Deno.stdin.isTerminal() && Deno.stderr.isTerminal() ? askOnTerminal : undefined;
  },
  get columns() {
    // A pseudo-terminal that was given no size says 0.
    return Deno.stdout.isTerminal() ? Deno.consoleSize().columns || undefined : undefined;
  },
  env: (name) => Deno.env.get(name) || undefined,
  get colour() {
    return Deno.stdout.isTerminal() && !Deno.noColor;
  },
};

/** A terminal gives its input line by line (termios(3), canonical mode). */
function askOnTerminal(question: string): string | null {
  writeAll(Deno.stderr, question);
  const bytes = new Uint8Array(ANSWER_BYTES_MAX);
  const length = Deno.stdin.readSync(bytes);
  if (length === null) writeAll(Deno.stderr, "\n");
  return length === null ? null : new TextDecoder().decode(bytes.subarray(0, length)).trim();
}

/** The longest line of a terminal on Linux (termios(3)). */
const ANSWER_BYTES_MAX = 4_096;

/**
 * Writes all of it before it returns, so that a large result piped into a slow reader isn't cut at exit. A reader
 * that has gone (`… | head -1`) has seen enough: that ends the program, and is no failure.
 */
function writeAll(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  let bytes = new TextEncoder().encode(text);
  try {
    while (bytes.length > 0) bytes = bytes.subarray(stream.writeSync(bytes));
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) Deno.exit(0);
    throw error;
  }
}
