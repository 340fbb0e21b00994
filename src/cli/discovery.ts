/**
 * `pleiades discovery`: looking services up, following them, and registering.
 *
 * @module
 */
import { systemClock } from "../clock.ts";
import { PROVIDER } from "../discovery/port.ts";
import { PROVIDER_BYTES_MAX, readProvider } from "../discovery/provider_file.ts";
import { writeProviderFile } from "../discovery/registration.ts";
import { countOf } from "../input/count.ts";
import { fileFault } from "../input/file_fault.ts";
import { readShortFile } from "../input/regular_file.ts";
import { formatProblem } from "../input/yaml_source.ts";
import { ApiRefusal } from "./api_refusal.ts";
import { ApiClient, type ClientOptions, isJsonObject, type JsonObject } from "./client.ts";
import { serverSentEvents } from "./event_stream.ts";
import { CommandFailed, type ExitCode, wrongUsage } from "./failure.ts";
import { type Column, type OutputFormat, printRows, textColumn } from "./table.ts";
import type { Terminal } from "./terminal.ts";

/** Flags of `lookup`. */
export interface LookupFlags extends ClientOptions {
  /** `-o`. */
  readonly output: OutputFormat;
}

/** Flags of `watch`. */
export interface WatchFlags extends LookupFlags {
  /** States after which it ends. */
  readonly changes?: number;
}

/** Flags of `register`. */
export interface RegisterFlags extends ClientOptions {
  /** Who registers. */
  readonly provider?: string;
  /** Writes there, without a node. */
  readonly directory?: string;
  /** Zone of the registrations, with `directory`. */
  readonly zone: string;
  /** What is run afterwards. */
  readonly reloadCommand?: string;
}

/** Three times as long as a node is silent at most. */
const IDLE_MS = 45_000;
/** Between two attempts to come back. */
const RETRY_MS = 1_000;
/** Milliseconds that a reload command may take. */
const RELOAD_MS = 30_000;

const COLUMNS: readonly Column[] = [
  ...["id", "node"].map(textColumn),
  {
    title: "ipAddresses",
    cell: ({ ipAddresses }) => Array.isArray(ipAddresses) ? ipAddresses.join(", ") : "",
  },
  ...["port", "priority", "weight", "provider"].map(textColumn),
];

/** Prints the instances at an address; 1 when there is none. */
export async function lookup(
  address: string,
  { output, ...options }: LookupFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  const found = await new ApiClient(options, terminal).get(`/lookup/${encodeURIComponent(address)}`);
  await print(found, output, terminal);
  return instancesOf(found).length > 0 ? 0 : 1;
}

/** Prints the instances at an address now and after every change, until `signal` is aborted; over restarts of the node. */
export async function watch(
  address: string,
  { output, changes = Infinity, ...options }: WatchFlags,
  terminal: Terminal,
  signal: AbortSignal = new AbortController().signal,
): Promise<ExitCode> {
  const api = new ApiClient(options, terminal);
  let lastId = "";
  let left = changes;
  for (let isReached = false; !signal.aborted;) {
    try {
      const body = await api.stream(`/lookup/${encodeURIComponent(address)}`, {
        accept: "text/event-stream",
        ...lastId !== "" && { "last-event-id": lastId },
      });
      isReached = true;
      for await (const { id, data } of serverSentEvents(body, { idleMs: IDLE_MS, signal })) {
        if (id === "") continue;
        lastId = id;
        const found: unknown = JSON.parse(data);
        if (isJsonObject(found)) await print(found, output, terminal);
        if (--left <= 0) return 0;
      }
    } catch (error) {
      if (signal.aborted) break;
      if (!isReached || (error instanceof ApiRefusal && error.status < 500)) throw error;
      terminal.err("note: the node doesn't answer; trying again");
    }
    await systemClock.sleep(RETRY_MS, signal);
  }
  return 0;
}

/**
 * Registers what a file says: with the node, or, with `--directory`, where a node or Consul will read it.
 *
 * @param reloadMs milliseconds that the reload command may take
 */
export async function registerFile(
  file: string,
  { provider = nameOf(file), directory, zone, reloadCommand, ...options }: RegisterFlags,
  terminal: Terminal,
  reloadMs: number = RELOAD_MS,
): Promise<ExitCode> {
  if (!PROVIDER.test(provider)) {
    throw wrongUsage(`Cannot use ${JSON.stringify(provider)} as a provider: give --provider NAME`);
  }
  const bytes = bytesOf(file);
  // A file for a directory of Consul has checks, which Consul runs.
  const terms = { provider, zone, node: "localhost", ips: [], ignoreScripts: true };
  const { problems, instances } = readProvider(file, bytes, terms);
  if (directory !== undefined && problems.length > 0) {
    for (const problem of problems) terminal.err(formatProblem(problem));
    return 1;
  }
  if (directory === undefined) {
    const api = new ApiClient(options, terminal);
    await api.send("PUT", `/providers/${provider}`, {
      text: new TextDecoder().decode(bytes),
      contentType: "application/json",
    });
  } else await writeProviderFile(directory, provider, bytes);
  if (reloadCommand !== undefined) await reload(reloadCommand, reloadMs);
  terminal.out(`ok: ${countOf(instances.length, "instance")} of ${provider}`);
  return 0;
}

function nameOf(file: string): string {
  return file.replace(/^.*[\\/]/, "").replace(/\.json$/, "");
}

function bytesOf(file: string): Uint8Array {
  try {
    return readShortFile(file, PROVIDER_BYTES_MAX);
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    throw new CommandFailed(`${file}: ${fileFault(cause)}`, 1, { cause });
  }
}

/** Runs a command of words; what was registered stays registered, whatever comes of it. */
async function reload(command: string, patienceMs: number): Promise<void> {
  const [program = "", ...args] = command.split(/\s+/).filter((word) => word !== "");
  const failed = (reason: string) => new CommandFailed(`It is registered, but ${command} ${reason}`);
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(program, { args, stdin: "null", signal: AbortSignal.timeout(patienceMs) })
      .spawn();
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    const isClosed = cause instanceof Deno.errors.NotCapable;
    throw failed(isClosed ? "isn't a program that pleiades may run" : `can't be run: ${fileFault(cause)}`);
  }
  const { success, code, signal } = await child.status;
  if (success) return;
  throw failed(signal === null ? `ended with ${code}` : `was ended after ${patienceMs / 1000} s`);
}

async function print(found: JsonObject, output: OutputFormat, terminal: Terminal): Promise<void> {
  if (output === "json") return terminal.out(JSON.stringify(found));
  if (found["stale"] === true) terminal.err("note: the registry can't be read; this is what it said last");
  await printRows(instancesOf(found), { columns: COLUMNS, output }, terminal);
}

function instancesOf(found: JsonObject): JsonObject[] {
  const instances = found["instances"];
  return Array.isArray(instances) ? instances.filter(isJsonObject) : [];
}
