/**
 * What `pleiades config …` does: files are judged here, offline; the model goes to and comes from the REST API.
 *
 * @module
 */
import { z } from "zod";
import { modelFileSchema } from "../model/model_reader.ts";
import { countOf } from "../input/count.ts";
import { startFile } from "../settings/reference.ts";
import { schemaAsJson } from "../settings/keys.ts";
import { formatProblem } from "../input/yaml_source.ts";
import { ApiRefusal } from "./api_refusal.ts";
import { ApiClient, type ClientOptions, type JsonObject, writeQuery } from "./client.ts";
import { type ExitCode, wrongUsage } from "./failure.ts";
import { type ModelProblems, type ModelUpload, openModel } from "./model_upload.ts";
import { isTable, type OutputFormat, printObject } from "./table.ts";
import { Progress } from "./progress.ts";
import type { Terminal } from "./terminal.ts";
import { validatePaths } from "./validate.ts";

/** Flags of `config export`. */
export interface ExportFlags extends ClientOptions {
  /** `-o`. */
  readonly output: "yaml" | "ndjson" | "json";
}

/** Flags of `config apply`. */
export interface ApplyFlags extends ClientOptions {
  /** `--reason`. */
  readonly reason?: string;
  /** `-f`, another way to give the path. */
  readonly file?: string;
  /** `--force`, which is refused. */
  readonly force?: boolean;
  /** `--dry-run`. */
  readonly dryRun?: boolean;
  /** `-o`. */
  readonly output: OutputFormat;
}

/** Prints every problem of every path, or what is in it. @returns 1 when anything has a problem */
export async function validate(paths: readonly string[], terminal: Terminal): Promise<ExitCode> {
  let exitCode: ExitCode = 0;
  const validations = await validatePaths(paths, Deno.env.toObject());
  for (const [i, { problems, notes, summary }] of validations.entries()) {
    for (const note of notes) terminal.err(`note: ${formatProblem(note)}`);
    if (problems.length > 0) {
      exitCode = 1;
      for (const problem of problems) terminal.out(formatProblem(problem));
    } else terminal.out(`${paths.length > 1 ? `${paths[i]}: ` : ""}ok: ${summary}`);
  }
  return exitCode;
}

/** Prints a start file. */
export function init({ all = false }: { readonly all?: boolean }, terminal: Terminal): ExitCode {
  terminal.out(startFile({ rare: all }).trimEnd());
  return 0;
}

/** Prints a JSON Schema (2020-12). */
export function schema({ model = false }: { readonly model?: boolean }, terminal: Terminal): ExitCode {
  const json = model ? z.toJSONSchema(modelFileSchema, { io: "input" }) : schemaAsJson();
  terminal.out(JSON.stringify(json, null, 2));
  return 0;
}

/** Prints the model of a running node. @throws {CommandFailed} when the API doesn't give it */
export async function exportConfig(flags: ExportFlags, terminal: Terminal): Promise<ExitCode> {
  const api = new ApiClient(flags, terminal);
  const response = await api.request("GET", "/model", undefined, { accept: MEDIA_TYPES[flags.output] });
  const lines = response.body?.pipeThrough(new TextDecoderStream());
  let rest = "";
  for await (const chunk of lines ?? []) {
    const end = chunk.lastIndexOf("\n");
    if (end >= 0) terminal.out(rest + chunk.slice(0, end));
    rest = end >= 0 ? chunk.slice(end + 1) : rest + chunk;
  }
  if (rest !== "") terminal.out(rest);
  return 0;
}

/**
 * Hands a model to a running node. One file of NDJSON is judged there, line by line; every other model here first.
 *
 * @returns 1 after printing every problem
 * @throws {CommandFailed} when the API refuses it
 */
export async function apply(
  word: string | undefined,
  flags: ApplyFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  const path = word ?? flags.file;
  if (path === undefined) throw wrongUsage("Which model? (its path, or - for stdin)");
  if (flags.file !== undefined && flags.file !== path) {
    throw wrongUsage(`"${path}" and --file ${flags.file} differ: give one of them`);
  }
  if (flags.force) throw wrongUsage("--force isn't in this version, which has no guards to pass; remove it");
  const model = await openModel(path);
  if ("problems" in model) {
    for (const problem of model.problems) terminal.out(problem);
    return 1;
  }
  const sending = await send(model, flags, terminal);
  if ("problems" in sending) {
    for (const problem of sending.problems) terminal.out(problem.replace(/^body:/, `${path}:`));
    return 1;
  }
  if (!isTable(flags.output)) {
    await printObject(sending.applied, flags.output, terminal);
    return 0;
  }
  const { generation, changed, pools, members, services, zones } = sending.applied;
  const what = [
    countOf(Number(pools), "pool"),
    countOf(Number(members), "member"),
    countOf(Number(services), "service"),
    countOf(Number(zones), "zone"),
  ].join(", ");
  const done = changed ? `generation ${generation}` : `nothing changed, still generation ${generation}`;
  const foreseen = changed ? "would change the model" : "nothing would change";
  terminal.out(`ok: ${what} (${flags.dryRun ? foreseen : done})`);
  return 0;
}

/** A million services on a busy machine take minutes. */
const APPLY_TIMEOUT_MS = 900_000;

/** Sends a model and gives what the node made of it, or what it found wrong with the lines of a file. */
async function send(
  model: ModelUpload,
  flags: ApplyFlags,
  terminal: Terminal,
): Promise<{ readonly applied: JsonObject } | ModelProblems> {
  using progress = new Progress(terminal, model);
  using _ = interruptible(terminal, progress);
  const api = new ApiClient(flags, terminal, { timeoutMs: APPLY_TIMEOUT_MS });
  try {
    const applied = await api.send("POST", `/apply${writeQuery(flags)}`, {
      text: ReadableStream.from(encoded(model, progress)),
      contentType: MEDIA_TYPES.ndjson,
    });
    return { applied: applied ?? {} };
  } catch (error) {
    if (!(model.asInFile && error instanceof ApiRefusal && error.message.startsWith("body:"))) throw error;
    return { problems: error.message.split("\n") };
  }
}

async function* encoded({ blocks }: ModelUpload, progress: Progress): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  for await (const block of blocks) {
    const bytes = encoder.encode(block);
    yield bytes;
    progress.sent({ bytes: bytes.length, lines: block.split("\n").length - 1 });
  }
  progress.wait("committing…");
}

/** Ctrl-C ends the program and, with the connection, what the node was doing for it. */
function interruptible(terminal: Terminal, progress: Progress): Disposable {
  const end = () => {
    progress[Symbol.dispose]();
    terminal.err(
      "interrupted: the node undoes what it hasn't committed (GET /api/v1/history shows what it has)",
    );
    Deno.exit(130);
  };
  Deno.addSignalListener("SIGINT", end);
  return { [Symbol.dispose]: () => Deno.removeSignalListener("SIGINT", end) };
}

const MEDIA_TYPES = {
  yaml: "application/yaml",
  ndjson: "application/x-ndjson",
  json: "application/json",
} as const;
