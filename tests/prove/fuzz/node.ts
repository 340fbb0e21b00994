/**
 * A `serve` process that answers from the world of `mutate.ts`, on one transport.
 *
 * @module
 */
import { program } from "../../programs.ts";
import { COLLECTING } from "../../resident_memory.ts";
import { call } from "../../rest.ts";
import { ServeProcess } from "../../serve_process.ts";
import type { Declared } from "../../dns/world.ts";
import { FUZZED } from "../../dns/mutate.ts";

/** Anything else is an error, or said by the run time, which from Deno 2.9 on has a word on its own future. */
const ORDINARY = /"level":"(debug|info|warn)"|^Deno\.serve: request\.signal aborts|^$/;

/** How UDP is served. */
export type Transport = "linux" | "portable";

/** How a node differs from the ordinary. */
export interface NodeDifference {
  /** First address to listen on. */
  readonly dns: string;
  /** Limits of streams. */
  readonly tcp: Readonly<Record<string, unknown>>;
  /** Other settings below `dns:`. */
  readonly more: Readonly<Record<string, unknown>>;
  /** Whether its memory is judged. */
  readonly isMeasured: boolean;
}

/** A running node in a folder of its own. Disposing kills it. */
export class FuzzedNode implements AsyncDisposable {
  readonly process: ServeProcess;
  readonly #folder: string;
  /** How it ended, `null` = it wasn't disposed of yet. */
  #status: Deno.CommandStatus | null = null;

  private constructor(process: ServeProcess, folder: string) {
    this.process = process;
    this.#folder = folder;
  }

  /** Starts it; resolves when the world is in the answers. */
  static async start(
    transport: Transport,
    { dns = "127.0.0.1:0", tcp = {}, more = {}, isMeasured = false }: Partial<NodeDifference> = {},
  ): Promise<FuzzedNode> {
    const folder = await Deno.makeTempDir({ prefix: "pleiades-fuzz-" });
    const settings = `${folder}/settings.yaml`;
    await Deno.writeTextFile(settings, JSON.stringify(settingsOf(FUZZED, { transport, tcp, more })));
    const process = await ServeProcess.start({
      args: ["-c", settings, "--db", `${folder}/fuzz.db`, "--dns", dns],
      env: isMeasured ? COLLECTING : {},
      executable: program("pleiades"),
    });
    const node = new FuzzedNode(process, folder);
    await declare(process.api, FUZZED);
    return node;
  }

  /**
   * What it said is wrong, such as a worker that died or a query that it failed at, or how it ended by itself; `null` =
   * nothing. All is known when it was disposed of.
   */
  complaint(): string | null {
    const line = this.process.lines.find((line) => !ORDINARY.test(line));
    if (line !== undefined) return `it said ${line}`;
    return this.#status === null || this.#status.signal === "SIGKILL"
      ? null
      : `it ended with code ${this.#status.code}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]();
    this.#status = await this.process.ended();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** Nothing is hidden: what is only said when configured can go wrong, too. */
function settingsOf(
  { zones = {}, nameservers = [] }: Declared,
  { transport, tcp, more }: { readonly transport: Transport } & Pick<NodeDifference, "tcp" | "more">,
) {
  const domain = Object.keys(zones).filter((domain) => zones[domain] === null);
  return {
    dns: {
      ...more,
      transport,
      tcp,
      domain,
      nameservers,
      nsid: "node-1",
      chaos: { version: "1.2.3", id: "node-1" },
    },
  };
}

async function declare(api: string, { pools = [], services = {}, zones = {} }: Declared): Promise<void> {
  const json = {
    pools: pools.map(({ members, ...pool }) => ({
      ...pool,
      members: members.map((member) => ({
        port: 80,
        ...(typeof member === "string" ? { ipAddress: member } : member),
      })),
    })),
    services: Object.entries(services).map(([domain, to]) => ({
      domain,
      ...(to === null || typeof to === "string" ? { pool: to } : to),
    })),
    zones: Object.entries(zones).flatMap(([domain, text]) => text === null ? [] : { domain, text }),
  };
  await call(api, { method: "POST", path: "/apply", json });
}
