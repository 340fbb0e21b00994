/**
 * A shell at a terminal, as a person has it: what is typed goes through its line editor, and the tab key completes.
 *
 * `pleiades` is a program there that shows which words it was started with; names it asks the real one for.
 *
 * @module
 */
import { ROOT } from "../../scripts/process.ts";
import type { Shell } from "../../src/cli/completions.ts";
import { executableOrSources } from "../programs.ts";

/** Without the person's own set-up. */
const STARTS: Readonly<Record<Shell, string>> = {
  bash: "bash --noprofile --norc -i",
  zsh: "zsh -f -i",
  fish: "fish --no-config -i",
};

/** How its script is loaded, and its prompt set to something that nothing else prints. */
const SET_UPS: Readonly<Record<Shell, string>> = {
  bash: "source ./script; PS1='rea''dy> '",
  zsh: "source ./script; PS1='rea''dy> '",
  fish: "source ./script; function fish_prompt; echo -n 'rea''dy> '; end",
};

/** A shell. Disposing ends it. */
export class InteractiveShell implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #folder: string;
  readonly #keys: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reading: Promise<void>;
  #screen = "";
  #onOutput = () => {};

  private constructor(child: Deno.ChildProcess, folder: string) {
    this.#child = child;
    this.#folder = folder;
    this.#keys = child.stdin.getWriter();
    this.#reading = (async () => {
      for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
        this.#screen += text;
        this.#onOutput();
      }
    })();
  }

  /** Starts it in a folder with the file `settings.yaml`, with the script loaded. */
  static async start(shell: Shell, script: string, apiUrl: string): Promise<InteractiveShell> {
    const folder = await Deno.makeTempDir();
    const real = executableOrSources() ??
      `'${Deno.execPath()}' run -A --unstable-net --no-check '${ROOT}/main.ts'`;
    const program = `#!/bin/sh
if [ "$1" = __names ]; then exec ${real} "$@"; fi
printf 'started'; printf '<%s>' "$@"; echo .
`;
    await Deno.mkdir(`${folder}/bin`);
    await Deno.writeTextFile(`${folder}/bin/pleiades`, program, { mode: 0o755 });
    await Deno.writeTextFile(`${folder}/script`, script);
    await Deno.writeTextFile(`${folder}/settings.yaml`, "");
    const child = new Deno.Command("script", {
      args: ["-qfc", `stty cols 200 rows 50; exec ${STARTS[shell]}`, "/dev/null"],
      cwd: folder,
      env: {
        HOME: folder,
        XDG_CONFIG_HOME: folder,
        XDG_DATA_HOME: folder,
        TMPDIR: folder,
        PATH: `${folder}/bin:${Deno.env.get("PATH")}`,
        DENO_DIR: Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`,
        PLEIADES_API_URL: apiUrl,
        NO_COLOR: "1",
        TERM: "xterm",
        LC_ALL: "C.UTF-8",
      },
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const started = new InteractiveShell(child, folder);
    await started.#press(`${SET_UPS[shell]}\r`);
    await started.#shown(/ready> /);
    return started;
  }

  /** Types a line, presses tab and then enter; gives the words that the program was started with. */
  async completed(line: string): Promise<string[]> {
    this.#screen = "";
    await this.#press(`${line}\t`);
    await this.#press(" .\r");
    const [, words] = await this.#shown(/started((?:<[^>\n]*>)*)\.\r?\n/);
    await this.#shown(/\.\r?\n[\s\S]*ready> /);
    return [...words!.matchAll(/<([^>]*)>/g)].map(([, word]) => word!).filter((word) => word !== ".");
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#reading.catch(() => {});
    await this.#child.status;
    await this.#keys.abort().catch(() => {});
    while (!await removed(this.#folder));
  }

  async #press(keys: string): Promise<void> {
    await this.#keys.write(new TextEncoder().encode(keys));
  }

  /** Waits for the screen to have something; the runner's own patience is the limit. */
  async #shown(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.#screen);
      if (found !== null) return found;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onOutput = resolve;
      await promise;
    }
  }
}

/** Whether a folder could be removed: a shell that hears of its end writes its history, after its terminal is gone. */
async function removed(folder: string): Promise<boolean> {
  try {
    await Deno.remove(folder, { recursive: true });
    return true;
  } catch (error) {
    if (error instanceof Error && error.message.startsWith("Directory not empty")) return false;
    throw error;
  }
}
