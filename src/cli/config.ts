/**
 * What `pleiades config validate`, `init`, `schema` and `export` do: files are judged here, offline; a model comes from the
 * REST API.
 *
 * @module
 */
import { z } from "zod";
import { modelFileSchema } from "../model/model_reader.ts";
import { startFile } from "../settings/reference.ts";
import { schemaAsJson } from "../settings/keys.ts";
import { formatProblem } from "../input/yaml_source.ts";
import { ApiClient, type ClientOptions } from "./client.ts";
import type { ExitCode } from "./failure.ts";
import type { Terminal } from "./terminal.ts";
import { validatePaths } from "./validate.ts";

/** Flags of `config export`. */
export interface ExportFlags extends ClientOptions {
  /** `-o`. */
  readonly output: "yaml" | "ndjson" | "json";
  /** `--generation`: an earlier model; absent = the one in effect. */
  readonly generation?: number;
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

/** Prints the model of a running node, as it is or as it was. @throws {CommandFailed} when the API doesn't give it */
export async function exportConfig(flags: ExportFlags, terminal: Terminal): Promise<ExitCode> {
  const api = new ApiClient(flags, terminal);
  const path = flags.generation === undefined ? "/model" : `/history/${flags.generation}/model`;
  const response = await api.request("GET", path, undefined, {
    headers: { accept: MEDIA_TYPES[flags.output] },
  });
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

const MEDIA_TYPES = {
  yaml: "application/yaml",
  ndjson: "application/x-ndjson",
  json: "application/json",
} as const;
