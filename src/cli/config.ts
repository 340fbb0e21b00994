/**
 * What `pleiades config …` does: files are judged here, offline; the model goes to and comes from the REST API.
 *
 * @module
 */
import { z } from "zod";
import { modelFileSchema } from "../config/cluster_yaml.ts";
import { countOf } from "../config/count.ts";
import type { Model } from "../config/model.ts";
import { exportNdjson } from "../config/model_export.ts";
import { loadModel } from "../config/model_files.ts";
import { startFile } from "../config/reference.ts";
import { schemaAsJson } from "../config/settings_keys.ts";
import { remarkOnSteering } from "../config/steering.ts";
import { validatePath } from "../config/validate.ts";
import { formatProblem } from "../config/yaml_source.ts";
import { ApiClient, type ClientOptions } from "./client.ts";
import { CommandFailed, type ExitCode, wrongUsage } from "./failure.ts";
import type { Terminal } from "./terminal.ts";

/** Flags of `config export`. */
export interface ExportFlags extends ClientOptions {
  /** `-o`. */
  readonly output: "yaml" | "ndjson" | "json";
}

/** Flags of `config apply`. */
export interface ApplyFlags extends ClientOptions {
  /** `--reason`. */
  readonly reason?: string;
  /** `--force`. */
  readonly force?: boolean;
  /** `--dry-run`. */
  readonly dryRun?: boolean;
}

/** Prints every problem of every path, or what is in it. @returns 1 when anything has a problem */
export async function validate(paths: readonly string[], terminal: Terminal): Promise<ExitCode> {
  let exitCode: ExitCode = 0;
  for (const path of paths) {
    const { problems, summary } = await validatePath(path, Deno.env.toObject());
    if (problems.length > 0) {
      exitCode = 1;
      for (const problem of problems) terminal.out(formatProblem(problem));
    } else terminal.out(`${paths.length > 1 ? `${path}: ` : ""}ok: ${summary}`);
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
 * Checks a model here and hands it to a running node.
 *
 * @returns 1 after printing every problem
 * @throws {CommandFailed} when the API refuses it
 */
export async function apply(path: string, flags: ApplyFlags, terminal: Terminal): Promise<ExitCode> {
  if (flags.force && !flags.reason) {
    throw wrongUsage(`--force needs a reason for the history: --reason "why it must be"`);
  }
  const { reading } = await load(path);
  if (reading.model === null) {
    for (const problem of reading.problems) terminal.out(formatProblem(problem));
    return 1;
  }
  const applied = await new ApiClient(flags, terminal).send("POST", `/apply${query(flags)}`, {
    text: streamOf(reading.model),
    contentType: MEDIA_TYPES.ndjson,
  });
  const remark = remarkOnSteering(reading.model.pools);
  if (remark !== null) terminal.err(`remark: ${remark}`);
  const { generation, changed, pools, members, services, zones } = applied ?? {};
  const what = `${pools} pools, ${members} members, ${services} services, ${countOf(Number(zones), "zone")}`;
  if (flags.dryRun) {
    terminal.out(`ok: ${what} (${changed ? "would change the model" : "nothing would change"})`);
  } else {terminal.out(
      `ok: ${what} (${
        changed ? `generation ${generation}` : `nothing changed, still generation ${generation}`
      })`,
    );}
  return 0;
}

const MEDIA_TYPES = {
  yaml: "application/yaml",
  ndjson: "application/x-ndjson",
  json: "application/json",
} as const;

async function load(path: string) {
  try {
    return await loadModel(path);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new CommandFailed(`${path}: there is no such file or directory`, 1, { cause });
  }
}

function query({ reason, dryRun }: ApplyFlags): string {
  const parameters = new URLSearchParams();
  if (reason) parameters.set("reason", reason);
  if (dryRun) parameters.set("dryRun", "true");
  return parameters.size === 0 ? "" : `?${parameters}`;
}

/** Block by block, so that a large model isn't held a second time as text. */
function streamOf(model: Model): ReadableStream<Uint8Array> {
  return ReadableStream.from(exportNdjson(model)).pipeThrough(new TextEncoderStream());
}
