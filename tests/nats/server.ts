/**
 * A real nats-server on loopback that can be killed, wiped, stopped for a while and started again on its port.
 *
 * @module
 */
import { freePort } from "../free_port.ts";
import { run } from "../../scripts/process.ts";
import { program } from "../programs.ts";

/** How a server is started. */
export interface NatsServerOptions {
  /** What its configuration says besides listening and JetStream. */
  readonly config?: string;
  /** Whether it has JetStream, and of which domain; it has, and of none, when left out. */
  readonly jetStream?: boolean | { readonly domain: string };
  /** What stands before the port in its URL. */
  readonly scheme?: "nats" | "tls";
  /** What it listens on; `127.0.0.1` when left out. */
  readonly host?: string;
}

/** The server. */
export class NatsServer implements AsyncDisposable {
  /** Its port. */
  readonly port: number = freePort();
  readonly #options: NatsServerOptions;
  readonly #folder: string;
  #child: Deno.ChildProcess | null = null;
  #ended: Promise<unknown> = Promise.resolve();

  private constructor(options: NatsServerOptions, folder: string) {
    this.#options = options;
    this.#folder = folder;
  }

  /** Starts it; resolves when it takes connections. */
  static async start(options: NatsServerOptions = {}): Promise<NatsServer> {
    const server = await NatsServer.prepared(options);
    await server.start();
    return server;
  }

  /** One that doesn't run yet. */
  static async prepared(options: NatsServerOptions = {}): Promise<NatsServer> {
    return new NatsServer(options, await Deno.makeTempDir({ prefix: "pleiades-nats-" }));
  }

  /** Of its process; `null` = it doesn't run. */
  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /** As settings name it. */
  get url(): string {
    const { scheme = "nats", host = "127.0.0.1" } = this.#options;
    return `${scheme}://${host.includes(":") ? `[${host}]` : host}:${this.port}`;
  }

  /** Starts it, or starts it again with what its store holds. */
  async start(): Promise<void> {
    const { config = "", jetStream = true, host = "127.0.0.1" } = this.#options;
    const domain = typeof jetStream === "object" ? `, domain: ${jetStream.domain}` : "";
    const file = `${this.#folder}/server.conf`;
    await Deno.writeTextFile(
      file,
      `listen: "${host.includes(":") ? `[${host}]` : host}:${this.port}"\n` +
        (jetStream === false ? "" : `jetstream { store_dir: "${this.#folder}/store"${domain} }\n`) + config,
    );
    const child = new Deno.Command(program("nats-server")!, {
      args: ["-c", file],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.#child = child;
    const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
    this.#ended = (async () => {
      let said = "";
      for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
        said = (said + text).slice(-100_000);
        if (said.includes("Server is ready")) resolve();
      }
      await child.status;
      reject(new Error(`nats-server ended: ${said}`));
    })();
    await ready;
  }

  /** Ends it as a power failure would; with `wipe`, and all that it stored is lost. */
  async kill({ wipe = false } = {}): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#ended;
    this.#child = null;
    if (wipe) await Deno.remove(`${this.#folder}/store`, { recursive: true });
  }

  /** Whether it was started and not killed. */
  get isRunning(): boolean {
    return this.#child !== null;
  }

  /** Copies what it stores, as a backup; it doesn't run. */
  async keep(): Promise<void> {
    await run("rm", ["-rf", `${this.#folder}/backup`]);
    await run("cp", ["-r", `${this.#folder}/store`, `${this.#folder}/backup`]);
  }

  /** Puts the backup in the place of what it stores; it doesn't run. */
  async restore(): Promise<void> {
    await Deno.remove(`${this.#folder}/store`, { recursive: true });
    await run("cp", ["-r", `${this.#folder}/backup`, `${this.#folder}/store`]);
  }

  /** Sends it a signal, such as `SIGSTOP` and `SIGCONT`. */
  signal(signal: Deno.Signal): void {
    this.#child!.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child) await this.kill();
    await Deno.remove(this.#folder, { recursive: true });
  }
}
