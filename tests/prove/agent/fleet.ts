/**
 * Servers that keep records of some names, each a process in a network of its own, and a watch on what is in these records.
 *
 * @module
 */
import { Rfc2136Records } from "../../../src/agent/records/rfc2136.ts";
import { systemClock } from "../../../src/clock.ts";
import type { SocketAddress } from "../../../src/ip.ts";
import { createLogger } from "../../../src/telemetry/log.ts";
import { KEY, KEY_SECRET, ZONE } from "../../agent/name_servers.ts";
import type { ServerNetworks } from "./networks.ts";

/** At which the servers answer. */
export const PORT = 8443;

/** A name. */
export interface KeptName {
  readonly fqdn: string;
  /** Numbers of servers by region; `null` = there are no regions. */
  readonly regions: Readonly<Record<string, readonly number[]>> | null;
}

/** What a fleet is made of. */
export interface FleetOptions {
  readonly networks: ServerNetworks;
  /** The network of its first server. */
  readonly from: number;
  readonly names: readonly KeptName[];
  /** Where the records are changed. */
  readonly primary: SocketAddress;
  /** With `cert` and `key` of the servers. */
  readonly folder: string;
}

/** Between looks at the records, milliseconds. */
const LOOK_MS = 40;

/** Servers, by number from 0. */
export class Fleet implements AsyncDisposable {
  readonly records: Rfc2136Records;
  /** Sizes of a record at all reads since its first server joined. */
  readonly sizes = new Map<string, number[]>();
  /** Called with each read of a name. */
  onRead: (fqdn: string, addresses: readonly string[]) => void = () => {};
  readonly #options: FleetOptions;
  readonly #running = new Map<number, Deno.ChildProcess>();
  readonly #now = new Map<string, readonly string[]>();
  #isOver = false;
  readonly #watching: Promise<unknown>;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.records = recordsAt(options.primary);
    this.#watching = Promise.all(options.names.map(({ fqdn }) => this.#watch(fqdn)));
  }

  address(server: number): string {
    const { networks, from } = this.#options;
    return networks.address(from + server);
  }

  /** What is in the record of a name. */
  addresses(fqdn: string): readonly string[] {
    return this.#now.get(fqdn) ?? [];
  }

  start(server: number): void {
    const { networks, from, names, folder } = this.#options;
    const configs = names.map((name, i) => {
      const file = `${folder}/${from + server}.${i}.yaml`;
      Deno.writeTextFileSync(file, this.#settings(name, server));
      return file;
    });
    const script = new URL("server.ts", import.meta.url).pathname;
    const log = `${folder}/${from + server}.log`;
    const program = [Deno.execPath(), "run", "-A", "--no-check", "--quiet", "--unstable-net", script];
    const args = [this.address(server), String(PORT), `${folder}/cert`, `${folder}/key`, ...configs];
    const child = new Deno.Command("ip", {
      args: [
        ...["netns", "exec", networks.namespace(from + server)],
        ...["sh", "-c", 'exec "$@" 2>> "$0"', log, ...program, ...args],
      ],
      stdin: "piped",
      stdout: "null",
      stderr: "inherit",
    }).spawn();
    this.#running.set(server, child);
  }

  /** Ends a server at once, and its agents with it. */
  async kill(server: number): Promise<void> {
    const child = this.#running.get(server)!;
    this.#running.delete(server);
    child.kill("SIGKILL");
    await child.stdin.close().catch(() => {});
    await child.status;
  }

  async tell(server: number, word: "hang" | "serve"): Promise<void> {
    const writer = this.#running.get(server)!.stdin.getWriter();
    await writer.write(new TextEncoder().encode(`${word}\n`));
    writer.releaseLock();
  }

  /** Whether these servers are in the record, and no others. */
  has(fqdn: string, ...servers: readonly number[]): boolean {
    const wanted = servers.map((server) => this.address(server)).toSorted();
    return JSON.stringify(this.addresses(fqdn).toSorted()) === JSON.stringify(wanted);
  }

  /** Lines in which an agent says that it removed its own address. */
  ownRemovals(): string[] {
    const { from, folder } = this.#options;
    const found: string[] = [];
    for (let server = 0;; server++) {
      const text = readIfThere(`${folder}/${from + server}.log`);
      if (text === null) return found;
      const lines = text.split("\n").filter((line) => line.includes("The record was changed"));
      found.push(...lines.filter((line) => JSON.parse(line).removed.includes(this.address(server))));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await this.#watching;
    for (const server of [...this.#running.keys()]) await this.kill(server);
  }

  #settings({ fqdn, regions }: KeptName, server: number): string {
    const entries = Object.entries(regions ?? {});
    const own = entries.find(([, servers]) => servers.includes(server))?.[0];
    const networks = entries.map(([name, servers]) =>
      `${name}: [${servers.map((each) => `${this.address(each)}/32`).join(", ")}]`
    );
    return [
      "log: { level: info, format: json }",
      "agent:",
      ...settingsAt(fqdn, this.#options.primary),
      ...(own === undefined ? [] : [`  region: ${own}`, `  regions: { ${networks.join(", ")} }`]),
      "",
    ].join("\n");
  }

  async #watch(fqdn: string): Promise<void> {
    const sizes: number[] = [];
    this.sizes.set(fqdn, sizes);
    while (!this.#isOver) {
      await systemClock.sleep(LOOK_MS, signal);
      // On a busy machine an answer may come too late; that says nothing of the record.
      const values = (await this.records.read(fqdn, "A", signal).catch(() => null))?.values;
      if (values === undefined) continue;
      this.#now.set(fqdn, values);
      if (sizes.length > 0 || values.length > 0) sizes.push(values.length);
      this.onRead(fqdn, values);
    }
  }
}

const signal = new AbortController().signal;

/** Lines of the block `agent`, in a file of settings. */
export function settingsAt(fqdn: string, { hostname, port }: SocketAddress): string[] {
  return [
    `  fqdn: ${fqdn}`,
    `  tcpPort: ${PORT}`,
    "  doTls: true",
    "  checkInterval: 5s",
    `  rfc2136: { server: "${hostname}:${port}", zone: ${ZONE}, keyName: agents, secret: "${KEY_SECRET}" }`,
  ];
}

/** Records that the proof itself reads and writes. */
export function recordsAt(
  server: SocketAddress,
  secondaries: readonly SocketAddress[] = [],
): Rfc2136Records {
  const log = createLogger({ level: "warn", format: "text", clock: systemClock });
  return new Rfc2136Records({ server, zone: ZONE, key: KEY, secondaries, clock: systemClock, log });
}

/** Seconds until something holds; `null` = it took too long. */
export async function until(holds: () => boolean, maxS: number): Promise<number | null> {
  const start = performance.now();
  const passedS = () => (performance.now() - start) / 1000;
  while (!holds()) {
    if (passedS() > maxS) return null;
    await systemClock.sleep(20, signal);
  }
  return passedS();
}

/** Says how a part of the proof came out. */
export function told(isGood: boolean, words: string): boolean {
  console.log(`${isGood ? "ok   " : "WRONG"} ${words}`);
  return isGood;
}

/** Seconds as they are told. */
export function seconds(s: number | null): string {
  return s === null ? "never" : `${s.toFixed(1)} s`;
}

function readIfThere(path: string): string | null {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}
