/**
 * DNS servers of npm's mname behind a balancer. The package is fetched by the registry's client when it isn't cached.
 *
 * @module
 */

/** Answers every query with the client's own address; `MNAME PATH`. */
const SERVER = `
import mname from "npm:mname@1.5.1";
const server = mname.createServer({});
server.on("query", (query, done) => {
  query.addAnswer(query.name(), new mname.ARecord(query.src.address), 30);
  query.respond();
  done();
});
server.listenBalancer({ path: Deno.args[0] }, () => console.log("listening"));
`;

/** Whether the package can be had. */
export async function hasMname(): Promise<boolean> {
  const args = ["cache", "--quiet", "--no-lock", "--no-config", "npm:mname@1.5.1"];
  const { success } = await new Deno.Command(Deno.execPath(), { args, stdout: "null", stderr: "null" })
    .output();
  return success;
}

/** A running server. Disposing kills it, and its file stays. */
export class MnameProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #stdout: ReadableStreamDefaultReader<Uint8Array>;

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#stdout = child.stdout.getReader();
  }

  /** Resolves when it listens. */
  static async start(path: string): Promise<MnameProcess> {
    const folder = await Deno.makeTempDir();
    const file = `${folder}/server.ts`;
    await Deno.writeTextFile(file, SERVER);
    const args = ["run", "-A", "--quiet", "--no-lock", "--no-config", "--no-check", file, path];
    const child = new Deno.Command(Deno.execPath(), { args, stdin: "null", stdout: "piped", stderr: "null" })
      .spawn();
    const process = new MnameProcess(child);
    const { done } = await process.#stdout.read();
    await Deno.remove(folder, { recursive: true });
    if (done) throw new Error("mname has ended");
    return process;
  }

  signal(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#stdout.cancel();
    await this.#child.status;
  }
}
