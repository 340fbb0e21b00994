/**
 * A terminal that a test types into and reads from: a server of tmux of its own, with one session that runs a shell.
 *
 * Nothing here sleeps for a guess: a test waits for what it wants to see.
 *
 * @module
 */
import { pause } from "../clock.ts";
import { program } from "../programs.ts";

/** What isn't seen by then isn't coming; the machine may be busy. */
const PATIENCE_MS = 120_000;

/** How a terminal is made. */
export interface TerminalOptions {
  readonly columns?: number;
  readonly rows?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** A terminal with a shell in it. Disposing ends all that runs there. */
export class TmuxTerminal implements AsyncDisposable {
  readonly #tmux: string;
  readonly #socket: string;

  private constructor(tmux: string, socket: string) {
    this.#tmux = tmux;
    this.#socket = socket;
  }

  /** Opens one; the shell's prompt is `$ `. */
  static async open({ columns = 80, rows = 24, env = {} }: TerminalOptions = {}): Promise<TmuxTerminal> {
    const terminal = new TmuxTerminal(program("tmux")!, `pleiades-${crypto.randomUUID()}`);
    const shell = [
      ...[
        "env",
        "-i",
        `PATH=${Deno.env.get("PATH")}`,
        `HOME=${Deno.env.get("HOME") ?? "/"}`,
        "USER=ada",
        "PS1=$ ",
      ],
      ...["TERM=screen-256color", "LANG=C.UTF-8", "DENO_NO_UPDATE_CHECK=1"],
      ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
      ...[program("bash")!, "--norc", "--noprofile"],
    ];
    const size = ["-x", String(columns), "-y", String(rows)];
    await terminal.#run("-u", "new-session", "-d", "-s", "t", ...size, ...shell);
    try {
      await terminal.sees(/^\$$/m);
      return terminal;
    } catch (error) {
      await terminal.close();
      throw error;
    }
  }

  /** Types keys by tmux's names (`Enter`, `C-c`, `BTab`); whatever is no name is typed as it is. */
  async press(...keys: readonly string[]): Promise<void> {
    await this.#run("send-keys", "-t", "t", ...keys);
  }

  /** Types text as it is. */
  async type(text: string): Promise<void> {
    await this.#run("send-keys", "-t", "t", "-l", text);
  }

  /** Sends bytes, as hexadecimal numbers. */
  async send(...bytes: readonly number[]): Promise<void> {
    await this.#run("send-keys", "-t", "t", "-H", ...bytes.map((byte) => byte.toString(16)));
  }

  /** The screen as text, without the spaces at the ends of lines. */
  async screen(): Promise<string> {
    const text = await this.#run("capture-pane", "-p", "-t", "t");
    return text.split("\n").map((line) => line.trimEnd()).join("\n").trimEnd();
  }

  /** The screen with its colours. */
  async painted(): Promise<string> {
    return (await this.#run("capture-pane", "-p", "-e", "-t", "t")).trimEnd();
  }

  /** What the screen looks like, whichever way it came to that: text and its style, without what ends lines unseen. */
  async looks(): Promise<string> {
    const on = new Set<string>();
    const lines = (await this.painted()).split("\n").map((line) => {
      const runs: [style: string, text: string][] = [];
      for (const [, codes, text] of line.matchAll(PARTS)) {
        if (text === undefined) { for (const code of codes!.split(";")) turn(on, code); }
        else runs.push([[...on].sort().join(), text]);
      }
      // Only inverse spaces are seen.
      const last = runs.at(-1);
      if (last !== undefined && !on.has("7")) last[1] = last[1].trimEnd();
      return runs.filter(([, text]) => text !== "");
    });
    return JSON.stringify(lines);
  }

  /** Waits until the screen has it, and gives the screen. @throws {Error} with the screen when it doesn't come */
  async sees(wanted: RegExp): Promise<string> {
    return await this.until((screen) => wanted.test(screen), String(wanted));
  }

  /** The same for any condition. */
  async until(test: (screen: string) => boolean | Promise<boolean>, what: string): Promise<string> {
    const end = performance.now() + PATIENCE_MS;
    for (let turn = 0;; turn++) {
      const screen = await this.screen();
      if (await test(screen)) return screen;
      if (performance.now() > end) throw new Error(`The screen never had ${what}:\n${screen}`);
      await pause(turn);
    }
  }

  /** Whether the alternate screen is on, and the cursor is shown. */
  async modes(): Promise<{ readonly alternate: boolean; readonly cursor: boolean }> {
    const line = await this.#run("display-message", "-p", "-t", "t", "#{alternate_on} #{cursor_flag}");
    const [alternate, cursor] = line.trim().split(" ");
    return { alternate: alternate === "1", cursor: cursor === "1" };
  }

  /** Writes on the screen past the program, as another one that shares the terminal does; again where it was drawn over. */
  async scribble(text: string): Promise<void> {
    const tty = (await this.#run("display-message", "-p", "-t", "t", "#{pane_tty}")).trim();
    await this.until(async (screen) => {
      if (screen.includes(text)) return true;
      await Deno.writeTextFile(tty, `\x1b[12;1H${text}`);
      return false;
    }, text);
  }

  /** From now on keeps in a file what the program sends. */
  async keep(path: string): Promise<void> {
    await Deno.writeTextFile(path, "");
    await this.#run("pipe-pane", "-t", "t", `exec cat >> '${path}'`);
  }

  /** Gives the terminal another size. */
  async resize(columns: number, rows: number): Promise<void> {
    await this.#run("resize-window", "-t", "t", "-x", String(columns), "-y", String(rows));
  }

  /** The process at the end of the line of those that the shell has started; the program under test. */
  async shellPid(): Promise<number> {
    return Number((await this.#run("display-message", "-p", "-t", "t", "#{pane_pid}")).trim());
  }

  /** Takes the terminal away, as a connection that breaks does. */
  async close(): Promise<void> {
    await this.#run("kill-server");
  }

  /** Ends all of it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close().catch(() => {}); // it may be closed already
  }

  async #run(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await new Deno.Command(this.#tmux, {
      args: ["-L", this.#socket, "-f", "/dev/null", ...args],
    }).output();
    if (code !== 0) throw new Error(`tmux ${args[0]}: ${new TextDecoder().decode(stderr)}`);
    return new TextDecoder().decode(stdout);
  }
}

/** A change of style (SGR of ECMA-48), or text. */
const PARTS = new RegExp(String.raw`\x1b\[([\d;]*)m|([^\x1b]+)`, "g");

/** Codes that end others, by those which they end. */
const ENDS: Readonly<Record<string, RegExp>> = {
  "": /./,
  "0": /./,
  "22": /^[12]$/,
  "27": /^7$/,
  "39": /^[39][0-7]$/,
  "49": /^(?:4|10)[0-7]$/,
};

function turn(on: Set<string>, code: string): void {
  const ended = ENDS[code];
  if (ended === undefined) on.add(code);
  else for (const each of on) if (ended.test(each)) on.delete(each);
}
