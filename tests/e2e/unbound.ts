/**
 * A real resolver for tests: unbound in the foreground, on a free port of 127.0.0.1.
 *
 * @module
 */
import type { SocketAddress } from "../../src/ip.ts";
import { program } from "../programs.ts";
import { freePort } from "../free_port.ts";

/** A running unbound. */
export class Unbound implements AsyncDisposable {
  readonly address: SocketAddress;
  readonly #child: Deno.ChildProcess;
  readonly #folder: string;

  private constructor(child: Deno.ChildProcess, port: number, folder: string) {
    this.#child = child;
    this.address = { hostname: "127.0.0.1", port };
    this.#folder = folder;
  }

  /**
   * Starts it; resolves when it serves.
   *
   * @param rules more of the server clause, and where it asks: `unbound.conf(5)`
   */
  static async start(rules: string): Promise<Unbound> {
    const folder = await Deno.makeTempDir({ prefix: "unbound-" });
    const port = freePort();
    await Deno.writeTextFile(`${folder}/unbound.conf`, configuration({ port, folder, rules }));
    const child = new Deno.Command(program("unbound")!, {
      args: ["-d", "-c", `${folder}/unbound.conf`],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const log = new TextDecoder();
    let said = "";
    for await (const bytes of child.stderr.values({ preventCancel: true })) {
      said += log.decode(bytes, { stream: true });
      if (said.includes("start of service")) return new Unbound(child, port, folder);
    }
    throw new Error(`Cannot start unbound: ${said}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill();
    await this.#child.stderr.cancel();
    await this.#child.status;
    await Deno.remove(this.#folder, { recursive: true });
  }
}

function configuration(
  { port, folder, rules }: { readonly port: number; readonly folder: string; readonly rules: string },
): string {
  return `
remote-control:
  control-enable: no
server:
  interface: 127.0.0.1
  port: ${port}
  directory: "${folder}"
  pidfile: ""
  chroot: ""
  username: ""
  use-syslog: no
  logfile: ""
  verbosity: 1
  num-threads: 1
  module-config: "iterator"
  do-not-query-localhost: no
${rules}
`;
}
