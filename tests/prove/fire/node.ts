/**
 * A `serve` process with one name to answer, in a folder of its own.
 *
 * @module
 */
import { program } from "../../programs.ts";
import { call } from "../../rest.ts";
import { ServeProcess } from "../../serve_process.ts";

/** Below this zone nothing else exists. */
export const ZONE = "example.org";
/** What is answered, with one address. */
export const NAME = `www.${ZONE}`;

/** How a node differs from the ordinary. */
export interface NodeSettings {
  /** Below `dns:` in its settings. */
  readonly dns?: Readonly<Record<string, unknown>>;
  readonly workers?: number;
  /** Pools beside that of the name, as an apply takes them. */
  readonly pools?: readonly unknown[];
  /** Address of DNS; 127.0.0.1 unless told otherwise. */
  readonly hostname?: string;
}

/** A running node. Disposing kills it. */
export class Node implements AsyncDisposable {
  readonly serve: ServeProcess;
  readonly folder: string;

  private constructor(serve: ServeProcess, folder: string) {
    this.serve = serve;
    this.folder = folder;
  }

  /**
   * Starts it; resolves when its name is answered.
   *
   * @param prepare writes what the settings name into the node's folder
   */
  static async start(
    { dns = {}, workers = 1, pools = [], hostname = "127.0.0.1" }: NodeSettings,
    prepare: (folder: string) => Promise<void> = () => Promise.resolve(),
  ): Promise<Node> {
    const folder = await Deno.makeTempDir({ prefix: "pleiades-fire-" });
    await prepare(folder);
    const settings = `${folder}/settings.yaml`;
    await Deno.writeTextFile(
      settings,
      JSON.stringify({ workers, dns: { domain: ZONE, nameservers: "ns1.example.net", ...dns } }),
    );
    const serve = await ServeProcess.start({
      args: ["-c", settings, "--db", `${folder}/fire.db`, "--dns", `${hostname}:0`],
      executable: program("pleiades"),
    });
    await call(serve.api, {
      ...{ method: "POST", path: "/apply" },
      json: {
        pools: [{ name: "web", members: [{ ipAddress: "192.0.2.10", port: 443 }] }, ...pools],
        services: [{ domain: NAME, pool: "web" }],
      },
    });
    return new Node(serve, folder);
  }

  /** Descriptors that it has; 0 = the system doesn't say. */
  async descriptors(): Promise<number> {
    try {
      return (await Array.fromAsync(Deno.readDir(`/proc/${this.serve.pid}/fd`))).length;
    } catch {
      return 0;
    }
  }

  /** Memory in RAM, MB; 0 where the system doesn't say. */
  async megabytes(): Promise<number> {
    const status = await Deno.readTextFile(`/proc/${this.serve.pid}/status`).catch(() => "");
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1000;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.serve[Symbol.asyncDispose]();
    await Deno.remove(this.folder, { recursive: true });
  }
}
