/**
 * `pleiades serve` as a process of its own, for what only a process can show: signals, kills, restarts, start times.
 *
 * @module
 */
import { V8_FLAGS } from "../scripts/v8_flags.ts";
import { parseSocketAddress, type SocketAddress } from "../src/ip.ts";
import { executableOrSources } from "./programs.ts";

/** How a process is started. */
export interface ServeOptions {
  /** Arguments behind `serve`; DNS and API listen on free ports of 127.0.0.1 unless they say otherwise. */
  readonly args?: readonly string[];
  /** Whether DNS and API listen where the settings say instead. */
  readonly listensBySettings?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  /** The executable to run; `null` = the sources; absent = the executable where there is one. */
  readonly executable?: string | null;
  /** Runs the sources, and says what they may do, as flags of `deno run`; absent = everything. */
  readonly deno?: readonly string[];
  /** A program and its arguments that run it, such as `setpriv(1)`. */
  readonly wrapped?: readonly string[];
  /** Files that it may have open, as the kernel's soft and hard limit (`prlimit(1)`); absent = this process's. */
  readonly openFiles?: `${number}:${number}`;
  /** Whether anything is typed into it. */
  readonly stdin?: "null" | "piped";
  /** Whether what it prints is read; its log goes elsewhere. */
  readonly stdout?: "null" | "piped";
  /** The folder to run it in, with no environment but `env`; absent = this process's. */
  readonly aloneIn?: string;
}

const ROOT = new URL("..", import.meta.url);

/** The command line that runs Pleiades: the executable where there is one, or the sources on this Deno. */
export function pleiades(
  args: readonly string[],
  options: Pick<ServeOptions, "stdin" | "stdout"> = {},
): Deno.Command {
  return commandOf(args, options);
}

function commandOf(args: readonly string[], options: ServeOptions): Deno.Command {
  const { env = {}, stdin = "null", stdout = "null", aloneIn, openFiles, deno, wrapped = [] } = options;
  const { executable = deno === undefined ? executableOrSources() : null } = options;
  const line = executable ? [executable, ...args] : [
    Deno.execPath(),
    "run",
    ...deno ?? ["-A"],
    "--unstable-net",
    V8_FLAGS,
    new URL("main.ts", ROOT).pathname,
    ...args,
  ];
  const limited = [
    ...wrapped,
    ...openFiles === undefined ? [] : ["prlimit", `--nofile=${openFiles}`],
    ...line,
  ];
  return new Deno.Command(limited[0]!, {
    args: limited.slice(1),
    env: { ...env },
    ...(aloneIn !== undefined && { cwd: aloneIn, clearEnv: true }),
    stdin,
    stdout,
    stderr: "piped",
  });
}

/** A running `pleiades serve`. Disposing kills it. */
export class ServeProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #waiting: {
    readonly test: (line: string) => boolean;
    readonly resolve: (line: string) => void;
  }[] = [];
  readonly #reading: Promise<void>;
  /** Every line of its log so far. */
  readonly lines: string[] = [];
  /** First address that answers DNS. */
  dns!: SocketAddress;
  /** Base of the API, such as `http://127.0.0.1:40123/api/v1`. */
  api!: string;

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#reading = this.#read();
  }

  /**
   * Starts it; resolves when it answers DNS and its API listens.
   *
   * @throws {Error} with the log when it ends instead
   */
  static async start(options: ServeOptions = {}): Promise<ServeProcess> {
    const process = ServeProcess.spawn(options);
    await process.ready();
    return process;
  }

  /** Starts it and waits for nothing: for starts that fail, or that something happens to. */
  static spawn(options: ServeOptions = {}): ServeProcess {
    const args = options.args ?? [];
    const given = (flag: string, value: string) =>
      options.listensBySettings || args.includes(flag) ? [] : [flag, value];
    const command = commandOf(
      ["serve", ...given("--dns", "127.0.0.1:0"), ...given("--api", "127.0.0.1:0"), ...args],
      { ...options, env: { PLEIADES_LOG_FORMAT: "json", ...options.env } },
    );
    return new ServeProcess(command.spawn());
  }

  /**
   * Resolves when it answers DNS and its API listens.
   *
   * @throws {Error} with the log when it ends instead
   */
  async ready(): Promise<void> {
    const line = await Promise.race([
      this.line((text) => text.includes('"Pleiades answers DNS"')),
      this.#child.status.then(async () => {
        await this.#reading;
        throw new Error(`serve ended before it answered:\n${this.lines.join("\n")}`);
      }),
    ]);
    const ready = JSON.parse(line) as { readonly dns: readonly string[]; readonly api: string | null };
    this.dns = parseSocketAddress(ready.dns[0]!);
    this.api = `${ready.api}/api/v1`;
  }

  /** Process id. */
  get pid(): number {
    return this.#child.pid;
  }

  /** The first line, past or to come, that passes the test. */
  line(test: (line: string) => boolean): Promise<string> {
    const seen = this.lines.find(test);
    return seen === undefined ? this.nextLine(test) : Promise.resolve(seen);
  }

  /** The first line to come that passes the test. */
  nextLine(test: (line: string) => boolean): Promise<string> {
    return new Promise((resolve) => this.#waiting.push({ test, resolve }));
  }

  /** Sends a signal. */
  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** How it ended, once its whole log is read. */
  async ended(): Promise<Deno.CommandStatus> {
    await this.#reading;
    return await this.#child.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.ended();
  }

  async #read(): Promise<void> {
    let rest = "";
    for await (const text of this.#child.stderr.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) this.#hear(line);
    }
  }

  #hear(line: string): void {
    this.lines.push(line);
    for (const waiting of this.#waiting.filter(({ test }) => test(line))) {
      this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
      waiting.resolve(line);
    }
  }
}
