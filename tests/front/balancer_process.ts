/**
 * `pleiades balancer` as a process of its own.
 *
 * @module
 */

const MAIN = new URL("../../main.ts", import.meta.url).pathname;

/** A line of its log. */
export type BunyanLine = Readonly<Record<string, unknown>>;

/** How it is started. */
export interface BalancerProcessOptions {
  /** The executable; absent = the sources. */
  readonly executable?: string | null;
  /** Behind `-s DIR -p 0`. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** The words that run Pleiades, with these arguments. */
export function commandOf(executable: string | null, args: readonly string[]): readonly [string, string[]] {
  if (executable !== null) return [executable, [...args]];
  const flags = ["run", "-A", "--quiet", "--unstable-net", "--unstable-worker-options"];
  return [Deno.execPath(), [...flags, MAIN, ...args]];
}

/** A running balancer on a free port of 127.0.0.1. Disposing kills it. */
export class BalancerProcess implements AsyncDisposable {
  readonly lines: BunyanLine[] = [];
  readonly directory: string;
  port = 0;
  readonly #child: Deno.ChildProcess;
  readonly #reading: Promise<void>;
  #waiting: (() => void)[] = [];

  private constructor(child: Deno.ChildProcess, directory: string) {
    this.#child = child;
    this.directory = directory;
    this.#reading = this.#read();
  }

  /** Starts it; resolves when it listens. */
  static async start(
    directory: string,
    { executable = null, args = [], env = {} }: BalancerProcessOptions = {},
  ): Promise<BalancerProcess> {
    const [program, words] = commandOf(executable, [
      ...["balancer", "-b", "127.0.0.1", "-p", "0", "-s", directory],
      ...args,
    ]);
    const child = new Deno.Command(program, {
      args: words,
      env: { ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const process = new BalancerProcess(child, directory);
    process.port = Number((await process.line("listening"))["port"]);
    return process;
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** The first line with this message, `count` of them. @throws {Error} when it ends without */
  async line(message: string, count = 1): Promise<BunyanLine> {
    for (;;) {
      const found = this.lines.filter(({ msg }) => msg === message);
      if (found.length >= count) return found[count - 1]!;
      const ended = await Promise.race([
        new Promise<false>((resolve) => this.#waiting.push(() => resolve(false))),
        this.#reading.then(() => true),
      ]);
      if (ended) throw new Error(`it ended without "${message}": ${JSON.stringify(this.lines)}`);
    }
  }

  /** Ends it; its exit code. */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<number> {
    this.#child.kill(signal);
    await this.#reading;
    return (await this.#child.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // ended already
    }
    await this.#reading;
    await this.#child.status;
  }

  async #read(): Promise<void> {
    let rest = "";
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) this.lines.push(JSON.parse(line));
      for (const wake of this.#waiting.splice(0)) wake();
    }
  }
}
