/**
 * A model as a tree of files, wherever the tree is: in a folder (`model_files.ts`) or in the objects of a repository. There is
 * one reader for both, so that the same files have the same problems at the same places.
 *
 * @module
 */
import { basename, dirname, extname, join, relative, resolve, sep } from "node:path";
import { fileFault } from "../input/file_fault.ts";
import type { YamlReading } from "../input/yaml_source.ts";
import type { ModelReader, ZoneFileReader } from "./model_reader.ts";
import type { RereadBytes } from "./places.ts";

/** How a stream is to be read; JSON is read as YAML. */
export type ModelFormat = "yaml" | "ndjson";

/** The files of a model. */
export interface ModelTree {
  /** What all of it is called in problems. */
  readonly name: string;
  /** Those that are to be read ({@linkcode isModelName}), in the order of their names. */
  files(): AsyncIterable<ModelFile> | Iterable<ModelFile>;
  /** Reads the zone files that they name. */
  readonly readZoneFile: ZoneFileReader;
}

/** A file of a model. What can't be read throws an `Error`, whose reason is told as a problem of the file. */
export interface ModelFile {
  /** What it is called in problems. */
  readonly name: string;
  /** Why it isn't read at all; `null` = it is. */
  readonly fault: string | null;
  /** How it is written. */
  format(): Promise<ModelFormat>;
  /** A file of YAML or JSON. */
  document(): Promise<YamlReading>;
  /** A file of NDJSON, from its begin. */
  chunks(): Promise<AsyncIterable<Uint8Array>>;
  /** Reads parts of it again. */
  readonly reread: RereadBytes;
}

/** Whether a file belongs to a model, by its way from the root: hidden ones don't, and those below hidden folders. */
export function isModelName(path: string): boolean {
  return MODEL_EXTENSIONS.has(extname(path)) && !path.split(sep).some((step) => step.startsWith("."));
}

const MODEL_EXTENSIONS: ReadonlySet<string> = new Set([".yaml", ".yml", ".ndjson", ".jsonl"]);

/** Reads all files of a tree; what is wrong with them is among the reader's problems. */
export async function addTree(reader: ModelReader, tree: ModelTree): Promise<void> {
  let isEmpty = true;
  for await (const file of tree.files()) {
    isEmpty = false;
    await addFile(reader, file);
  }
  if (!isEmpty) return;
  const message = "no *.yaml file is in this directory (write pools: and services: into one)";
  reader.addProblems([{ file: tree.name, line: 0, column: 0, message }]);
}

async function addFile(reader: ModelReader, file: ModelFile): Promise<void> {
  const refuse = (message: string) => reader.addProblems([{ file: file.name, line: 0, column: 0, message }]);
  if (file.fault !== null) return refuse(file.fault);
  try {
    if (await file.format() === "yaml") return reader.addDocument(await file.document());
    const lines = reader.openLines({ file: file.name, reread: file.reread });
    for await (const chunk of await file.chunks()) {
      lines.write(chunk);
      if (lines.stopped) return;
    }
    lines.end();
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    refuse(`can't be read: ${fileFault(cause)}`);
  }
}

/**
 * Finds the zone files that a model names; it must not lead out of the tree.
 *
 * @param root of the tree
 * @param read gives the text of a file, `null` = there is none; throws when it can't be read
 */
export function zoneFilesIn(
  root: string,
  read: (file: string) => { readonly text: string } | { readonly problem: string } | "outside" | null,
): ZoneFileReader {
  return (path, from) => {
    const file = join(dirname(from), path);
    const outside = `zone file ${path} is outside of ${root} (move it there; links may not lead out either)`;
    try {
      if (!isWithin(resolve(root), resolve(file))) return { problem: outside };
      const found = read(file);
      if (found === "outside") return { problem: outside };
      if (found === null) return { problem: missing(path, from) };
      return "text" in found
        ? { file, text: found.text }
        : { problem: `zone file ${path}: ${found.problem}` };
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) return { problem: missing(path, from) };
      if (!(cause instanceof Error)) throw cause;
      return { problem: `zone file ${path} can't be read: ${fileFault(cause)}` };
    }
  };
}

function missing(path: string, from: string): string {
  return `zone file ${path} doesn't exist (the path is relative to ${basename(from)})`;
}

/** Whether a path is a folder or below it; both absolute. */
export function isWithin(root: string, path: string): boolean {
  const way = relative(root, path);
  return way !== ".." && !way.startsWith(`..${sep}`) && resolve(root, way) === path;
}
