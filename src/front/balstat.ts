/**
 * `pleiades balstat`: what a balancer knows, read from the socket in its directory.
 *
 * @module
 */
import { join, resolve } from "node:path";
import { isJsonObject, type JsonObject } from "../cli/client.ts";
import { CommandFailed, type ExitCode } from "../cli/failure.ts";
import { printRows, textColumn } from "../cli/table.ts";
import type { Terminal } from "../cli/terminal.ts";
import { canonicalIp, parseIp } from "../ip.ts";
import { STATUS_NAME } from "./balancer.ts";
import { exposition } from "./exposition.ts";

/** What the command line of `balstat` says. */
export interface BalstatFlags {
  /** `-s`. */
  readonly sockets: string;
  /** `-o`. */
  readonly output: "table" | "json" | "prometheus";
}

/** What a balancer tells. */
export interface BalancerState {
  /** The balancer itself. */
  readonly balancer: JsonObject;
  /** In the order of ids. */
  readonly backends: readonly JsonObject[];
  /** In the order of addresses, IPv4 first. */
  readonly remotes: readonly JsonObject[];
}

/** Prints it. */
export async function balstat({ sockets, output }: BalstatFlags, terminal: Terminal): Promise<ExitCode> {
  const state = await stateAt(join(resolve(sockets), STATUS_NAME));
  if (output === "prometheus") terminal.out(exposition(state).trimEnd());
  else if (output === "json") terminal.out(JSON.stringify(state, null, 2));
  else {
    terminal.out("BACKENDS");
    const backends = state.backends.map((row) => ({
      ...row,
      object: `backend/${row["id"]}`,
      ok: row["ok"] ? 1 : 0,
    }));
    await printRows(
      backends,
      { columns: ["object", "id", "ok", "remotes", "path"].map(textColumn), output },
      terminal,
    );
    terminal.out("\nREMOTE PEERS");
    const remotes = state.remotes.map((row) => ({ ...row, object: `remote/${row["client"]}` }));
    await printRows(remotes, { columns: ["object", "primary", "client"].map(textColumn), output }, terminal);
  }
  return 0;
}

/** Longest wait for each part of what is told, milliseconds: one that is stopped would be waited for for ever. */
const PATIENCE_MS = 30_000;

/**
 * Reads all that a balancer tells.
 *
 * @throws {CommandFailed} where no balancer answers, or what answers is none
 */
export async function stateAt(path: string, patienceMs: number = PATIENCE_MS): Promise<BalancerState> {
  let text: string;
  try {
    using connection = await Deno.connect({ transport: "unix", path });
    text = await textOf(connection.readable, patienceMs);
  } catch (error) {
    const { message } = error as Error;
    throw new CommandFailed(
      `No balancer answers at ${path}: ${message} (is "pleiades balancer -s" running there?)`,
    );
  }
  const rows = text.split("\n").filter((line) => line !== "").map(rowOf);
  const [first] = of(rows, "balancer");
  if (first === undefined) throw new CommandFailed(`What answers at ${path} is no balancer`);
  return {
    balancer: first,
    backends: of(rows, "backend").sort((a, b) => Number(a["id"]) - Number(b["id"])),
    remotes: of(rows, "remote").sort((a, b) => keyOf(a) < keyOf(b) ? -1 : 1),
  };
}

async function textOf(stream: ReadableStream<Uint8Array>, patienceMs: number): Promise<string> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`it has said nothing for ${patienceMs} ms`)), patienceMs);
    });
    const { done, value } = await Promise.race([reader.read(), late]).finally(() => clearTimeout(timer));
    if (done) return text + decoder.decode();
    text += decoder.decode(value, { stream: true });
  }
}

function rowOf(line: string): JsonObject {
  try {
    const row: unknown = JSON.parse(line);
    return isJsonObject(row) ? row : {};
  } catch {
    return {};
  }
}

function of(rows: readonly JsonObject[], kind: string): JsonObject[] {
  return rows.flatMap((row) => {
    const value = row[kind];
    return isJsonObject(value) ? [value] : [];
  });
}

/** Addresses in the order of their numbers, the shorter ones first. */
function keyOf(row: JsonObject): string {
  const address = canonicalIp(String(row["client"]).split("/")[0]!) ?? "0.0.0.0";
  const bytes = parseIp(address)!;
  return `${bytes.length === 4 ? 0 : 1}${bytes.toHex()}`;
}
