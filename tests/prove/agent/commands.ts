/**
 * `pleiades agent` as a process of its own, as an operator runs it and ends it by Ctrl-C.
 *
 * @module
 */
import { ROOT } from "../../../scripts/process.ts";

/** A command that runs. */
export class AgentCommand implements AsyncDisposable {
  readonly lines: string[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #reading: Promise<unknown>;
  #hear: () => void = () => {};
  #isOver = false;

  constructor(...args: readonly string[]) {
    const program = ["run", "-A", "--no-check", "--quiet", "--unstable-net", `${ROOT}/main.ts`, "agent"];
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [...program, ...args],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#reading = Promise.all([this.#read(this.#child.stdout), this.#read(this.#child.stderr)])
      .then(() => this.#isOver = true).then(() => this.#hear());
  }

  /** Waits for a line; `false` = it ended without. */
  async says(words: RegExp): Promise<boolean> {
    while (!this.lines.some((line) => words.test(line))) {
      if (this.#isOver) return false;
      await new Promise<void>((resolve) => this.#hear = resolve);
    }
    return true;
  }

  signal(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Its exit code, when it has ended. */
  async ended(): Promise<number> {
    const { code } = await this.#child.status;
    await this.#reading;
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isOver) this.#child.kill("SIGKILL");
    await this.ended();
  }

  async #read(output: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    let rest = "";
    for await (const piece of output.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + piece).split("\n");
      rest = lines.pop()!;
      this.lines.push(...lines);
      this.#hear();
    }
  }
}
