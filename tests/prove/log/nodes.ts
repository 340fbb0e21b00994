/** @module Real nodes of one cluster, each a process with a database of its own. */
import { ServeProcess } from "../../serve_process.ts";
import { NatsServer } from "../../nats/server.ts";

/** What `/status` says of the log. */
export interface LogState {
  readonly current: boolean;
  readonly entries: number;
  readonly head: string;
  readonly pending: number;
  readonly conflicts: readonly { readonly node: string; readonly why: string }[];
}

/** A write's answer. */
export interface Written {
  readonly status: number;
  /** Whether the log hadn't it yet. */
  readonly isPending: boolean;
  readonly tookMs: number;
  readonly body: { readonly id?: string };
}

/** One of them. */
export class ClusterNode implements AsyncDisposable {
  readonly name: string;
  readonly process: ServeProcess;

  constructor(name: string, process: ServeProcess) {
    this.name = name;
    this.process = process;
  }

  /** Sends a write; a 503 is tried again, as it asks for. */
  async write(method: string, path: string, body?: unknown): Promise<Written> {
    const fromMs = performance.now();
    const response = await fetch(`${this.process.api}${path}`, {
      method,
      headers: { "content-type": "application/json" },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      isPending: response.headers.get("pleiades-log") === "pending",
      tookMs: performance.now() - fromMs,
      body: text === "" ? {} : JSON.parse(text),
    };
  }

  /** How its part in the log stands. */
  async log(): Promise<LogState> {
    const response = await fetch(`${this.process.api}/status`);
    return (await response.json() as { readonly log: LogState }).log;
  }

  /** The whole model as text. */
  async export(): Promise<string> {
    const response = await fetch(`${this.process.api}/model`, {
      headers: { accept: "application/x-ndjson" },
    });
    return await response.text();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.process[Symbol.asyncDispose]();
  }
}

/** A server and nodes. */
export class LogCluster implements AsyncDisposable {
  readonly server: NatsServer;
  readonly nodes: ClusterNode[] = [];
  readonly #folder: string;

  private constructor(server: NatsServer, folder: string) {
    this.server = server;
    this.#folder = folder;
  }

  /** Starts a server with default settings, and the nodes. */
  static async start(names: readonly string[]): Promise<LogCluster> {
    const folder = await Deno.makeTempDir({ prefix: "pleiades-log-" });
    const cluster = new LogCluster(await NatsServer.start(), folder);
    try {
      for (const name of names) await cluster.add(name);
      await cluster.agreed();
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Starts one more. */
  async add(name: string): Promise<ClusterNode> {
    const settings = `${this.#folder}/${name}.yaml`;
    await Deno.writeTextFile(
      settings,
      `cluster: { id: proof }\nnode: { id: ${name} }\ndns: { domain: example.org }\n` +
        `database: { path: ${this.#folder}/${name}.db }\n` +
        `state: { nats: { servers: ["${this.server.url}"] } }\n`,
    );
    const node = new ClusterNode(name, await ServeProcess.start({ args: ["-c", settings] }));
    this.nodes.push(node);
    return node;
  }

  /** Resolves when all have the same log and nothing is pending. @returns how long that took, milliseconds */
  async agreed(): Promise<number> {
    const fromMs = performance.now();
    for (;;) {
      const states = await Promise.all(this.nodes.map((node) => node.log()));
      const heads = new Set(states.map(({ head }) => head));
      if (heads.size === 1 && states.every(({ current, pending }) => current && pending === 0)) {
        return performance.now() - fromMs;
      }
    }
  }

  /** Whether the exports of all are the same bytes. */
  async hasOneModel(): Promise<boolean> {
    return new Set(await Promise.all(this.nodes.map((node) => node.export()))).size === 1;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.nodes.toReversed()) await node[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** The value below which a share of the values is, of those that were measured. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(Math.ceil(sorted.length * share) - 1, 0)] ?? 0;
}
