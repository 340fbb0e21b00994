/**
 * A Deno process that is spoken to in lines.
 *
 * @module
 */
import { fileURLToPath } from "node:url";

/** A running script. Disposing of it ends its input and waits until it is gone. */
export class LineProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: ReadableStreamDefaultReader<string>;
  #pending = "";

  /** Starts a script beside this file, or at any `file:` URL, with all permissions and these flags of `deno run`. */
  constructor(script: string | URL, args: readonly string[], flags: readonly string[] = []) {
    const path = fileURLToPath(new URL(script, import.meta.url));
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", ...flags, path, ...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#output = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Process id. */
  get pid(): number {
    return this.#child.pid;
  }

  /** Sends one line; fails when the process is gone. */
  async send(line: string): Promise<void> {
    await this.#input.write(new TextEncoder().encode(`${line}\n`));
  }

  /** The next line that the process wrote, or `null` at the end of its output. */
  async receive(): Promise<string | null> {
    for (;;) {
      const end = this.#pending.indexOf("\n");
      if (end >= 0) {
        const line = this.#pending.slice(0, end);
        this.#pending = this.#pending.slice(end + 1);
        return line;
      }
      const { value, done } = await this.#output.read();
      if (done) return null;
      this.#pending += value;
    }
  }

  /** Sends one line and waits for the line that answers it. */
  async ask(line: string): Promise<string | null> {
    await this.send(line);
    return await this.receive();
  }

  /** `kill -9`, without waiting. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** Reads what is left of the output and waits for the end. */
  async [Symbol.asyncDispose](): Promise<void> {
    // A process that was killed has closed its input already.
    await this.#input.close().catch(() => {});
    while (await this.receive() !== null);
    await this.#child.status;
  }
}
