/**
 * The terminal itself: entered and left in one piece, and drawn line by line, only those that differ.
 *
 * Whatever ends the program leaves the terminal as it was: raw mode off, the main screen, the cursor. So leaving is one call
 * that may come at any moment and more than once.
 *
 * @module
 */
import stringWidth from "string-width";

/** Other screen, cursor hidden, no wrapping, pastes marked (xterm's private modes). */
const ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[?2004h";
/** The way back; colours too. */
const LEAVE = "\x1b[0m\x1b[?2004l\x1b[?7h\x1b[?25h\x1b[?1049l";
/** A terminal that knows it shows what is between these at once; others pass over it. */
const [BEGIN, END] = ["\x1b[?2026h", "\x1b[?2026l"];

/** The process's terminal. */
export class Tty {
  #shown: readonly string[] = [];
  #isEntered = false;

  /** Whether both stdin and stdout are one. */
  static isThere(): boolean {
    return Deno.stdin.isTerminal() && Deno.stdout.isTerminal();
  }

  /** Characters and lines; one that says nothing counts as 80×24. */
  get size(): { readonly columns: number; readonly rows: number } {
    const { columns, rows } = Deno.consoleSize();
    return { columns: columns || 80, rows: rows || 24 };
  }

  /** Takes it over. */
  enter(): void {
    Deno.stdin.setRaw(true);
    this.#isEntered = true;
    this.#shown = [];
    write(ENTER);
  }

  /** Gives it back as it was; nothing where that is done already, or the terminal is gone. */
  leave(): void {
    if (!this.#isEntered) return;
    this.#isEntered = false;
    for (const step of [() => write(LEAVE), () => Deno.stdin.setRaw(false)]) {
      try {
        step();
      } catch {
        // A terminal that is gone needs nothing back.
      }
    }
  }

  /** Forgets what is on the screen, so that all of it is drawn again. */
  forget(): void {
    this.#shown = [];
  }

  /** Shows a frame. */
  draw(lines: readonly string[]): void {
    if (!this.#isEntered) return;
    const isNew = this.#shown.length !== lines.length;
    const { columns } = this.size;
    const changed = lines.flatMap((line, i) =>
      line === (isNew ? "" : this.#shown[i]) ? [] : [`\x1b[${i + 1};1H\x1b[0m${overwriting(line, columns)}`]
    );
    this.#shown = lines;
    if (changed.length > 0) write(`${BEGIN}${isNew ? "\x1b[0m\x1b[2J" : ""}${changed.join("")}\x1b[0m${END}`);
  }

  /**
   * Gives the terminal back and stops the process, and those that were started with it, as the shell's Ctrl-Z does. That may
   * take effect a moment later on, and goes on behind the call or somewhere after it: who goes on enters again.
   *
   * @returns `false` where the system's own function for it can't be had
   */
  suspend(): boolean {
    const raise = stopper();
    if (raise === null) return false;
    this.leave();
    raise();
    return true;
  }
}

/**
 * A line, and the end of what was there before. Over a slow link a line that was emptied first would be seen to be empty; and
 * at the last column, where nothing is left, emptying would take the last character.
 */
function overwriting(line: string, columns: number): string {
  return stringWidth(line) < columns ? `${line}\x1b[0m\x1b[K` : line;
}

/** `kill(0, SIGTSTP)` of the C library; Deno lets a program with fewer than all permissions send itself no signal. */
function stopper(): (() => void) | null {
  const file = { linux: "libc.so.6", darwin: "libSystem.B.dylib" }[Deno.build.os as string];
  if (file === undefined) return null;
  const SIGTSTP = Deno.build.os === "darwin" ? 18 : 20;
  try {
    const library = Deno.dlopen(file, { kill: { parameters: ["i32", "i32"], result: "i32" } });
    return () => {
      library.symbols.kill(0, SIGTSTP);
      library.close();
    };
  } catch {
    return null;
  }
}

function write(text: string): void {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
}
