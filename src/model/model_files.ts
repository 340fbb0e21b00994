/**
 * Where model documents come from: a directory, a file, or a stream such as the body of a request.
 *
 * Nothing outside of the directory is read, whether `..` or a symbolic link leads there: a repository that
 * someone else may write to must not become a way to read this machine's files.
 *
 * @module
 */
import { basename, dirname, extname, join, relative, resolve, sep } from "node:path";
import type { ModelReader, ZoneFileReader } from "./model_reader.ts";
import { fileFault } from "../input/file_fault.ts";
import { expectRegular, readRegularFile } from "../input/regular_file.ts";
import { compareText, decodeText, readYaml } from "../input/yaml_source.ts";

/** What stands for stdin where a path is asked for, and its name in problems. */
export const STDIN = "-";

/** How a stream is to be read; JSON is read as YAML. */
export type ModelFormat = "yaml" | "ndjson";

/** A model directory, or one file of a model. */
export class ModelFiles {
  /** Reads the zone files that it names. */
  readonly readZoneFile: ZoneFileReader;
  readonly #path: string;
  readonly #root: string;
  readonly #isDirectory: boolean;

  /**
   * Looks what is at the path.
   *
   * @throws {Deno.errors.NotFound} and other errors of the file system
   */
  static async at(path: string): Promise<ModelFiles> {
    return new ModelFiles(path, (await Deno.stat(path)).isDirectory);
  }

  private constructor(path: string, isDirectory: boolean) {
    this.#path = path;
    this.#isDirectory = isDirectory;
    this.#root = isDirectory ? path : dirname(path);
    this.readZoneFile = zoneFilesBelow(this.#root);
  }

  /**
   * Reads every `*.yaml`, `*.yml` and `*.ndjson` below the directory, hidden ones left out, or the file.
   *
   * @throws errors of the file system for the path itself; what is wrong further inside is among the reader's problems
   */
  async addTo(reader: ModelReader): Promise<void> {
    const files = this.#isDirectory ? modelFilesBelow(this.#path) : [this.#path];
    if (files.length === 0) {
      const message = "no *.yaml file is in this directory (write pools: and services: into one)";
      reader.addProblems([{ file: this.#path, line: 0, column: 0, message }]);
    }
    const realRoot = Deno.realPathSync(this.#root);
    for (const file of files) {
      if (this.#isDirectory && leadsOut(file, realRoot)) {
        const message = "is a link that leads out of the directory (copy the file)";
        reader.addProblems([{ file, line: 0, column: 0, message }]);
      } else await addFile(reader, file);
    }
  }
}

/** Reads bytes that are at hand as a whole. */
export function addBytes(
  reader: ModelReader,
  { file, bytes, format }: {
    readonly file: string;
    readonly bytes: Uint8Array;
    readonly format: ModelFormat;
  },
): void {
  if (format === "yaml") return reader.addDocument(readYaml(file, bytes));
  const reread = (offset: number, size: number) => bytes.subarray(offset, offset + size);
  const lines = reader.openLines({ file, reread });
  lines.write(bytes);
  lines.end();
}

/**
 * How a file is written: its name says it, or its first bytes do.
 *
 * @throws {Error} when it can't be read, or is no regular file
 */
export async function formatOf(path: string): Promise<ModelFormat> {
  expectRegular(await Deno.stat(path));
  if ([".ndjson", ".jsonl"].includes(extname(path))) return "ndjson";
  using file = await Deno.open(path);
  const head = new Uint8Array(HEAD_SIZE);
  const size = await file.read(head) ?? 0;
  return formatOfHead(head.subarray(0, size));
}

const HEAD_SIZE = 1024;

/** How what begins like this is written. */
export function formatOfHead(bytes: Uint8Array): ModelFormat {
  const text = new TextDecoder().decode(bytes.subarray(0, HEAD_SIZE));
  return /^\s*\{\s*"(?:pool|service|zone)"\s*:/.test(text) ? "ndjson" : "yaml";
}

async function addFile(reader: ModelReader, file: string): Promise<void> {
  try {
    const format = await formatOf(file);
    if (format === "ndjson") {
      const lines = reader.openLines({ file, reread: (offset, size) => bytesOf(file, offset, size) });
      const { readable } = await Deno.open(file);
      for await (const chunk of readable) {
        lines.write(chunk);
        if (lines.stopped) return;
      }
      lines.end();
    } else reader.addDocument(readYaml(file, await Deno.readFile(file)));
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    reader.addProblems([{ file, line: 0, column: 0, message: `can't be read: ${fileFault(cause)}` }]);
  }
}

/** `null` when the file isn't what it was: then the line has to do. */
function bytesOf(file: string, offset: number, size: number): Uint8Array | null {
  try {
    using opened = Deno.openSync(file);
    opened.seekSync(offset, Deno.SeekMode.Start);
    const bytes = new Uint8Array(size);
    return opened.readSync(bytes) === size ? bytes : null;
  } catch {
    return null;
  }
}

/** Hidden entries are left out: `.git`, and the `..data` of a mounted Kubernetes ConfigMap, which repeats its files. */
function modelFilesBelow(directory: string): string[] {
  const root = Deno.realPathSync(directory);
  const files: string[] = [];
  const visited = new Set<string>();
  const walk = (folder: string) => {
    const real = Deno.realPathSync(folder);
    // A link to a folder above would be walked for ever.
    if (visited.has(real) || !isWithin(root, real)) return;
    visited.add(real);
    for (const { name } of [...Deno.readDirSync(folder)].sort((a, b) => compareText(a.name, b.name))) {
      if (name.startsWith(".")) continue;
      const path = join(folder, name);
      if (isDirectory(path)) walk(path);
      else if (MODEL_EXTENSIONS.has(extname(name))) files.push(path);
    }
  };
  walk(directory);
  return files;
}

const MODEL_EXTENSIONS: ReadonlySet<string> = new Set([".yaml", ".yml", ".ndjson", ".jsonl"]);

/** What is wrong in a file is quoted in problems, so not even that may come from outside. */
function leadsOut(file: string, realRoot: string): boolean {
  try {
    return !isWithin(realRoot, Deno.realPathSync(file));
  } catch {
    // A dangling link leads nowhere; reading it says so.
    return false;
  }
}

function isDirectory(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    // A dangling link: as a file it is reported when it is read.
    return false;
  }
}

/** Reads zone files that a model names, none from outside of `root`. */
export function zoneFilesBelow(root: string): ZoneFileReader {
  return (path, from) => {
    const file = join(dirname(from), path);
    try {
      if (!isWithin(resolve(root), resolve(file))) return { problem: outside(path, root) };
      if (!isWithin(Deno.realPathSync(root), Deno.realPathSync(file))) {
        return { problem: outside(path, root) };
      }
      const decoded = decodeText(file, readRegularFile(file));
      return "text" in decoded
        ? { file, text: decoded.text }
        : { problem: `zone file ${path}: ${decoded.problem.message}` };
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) {
        return { problem: `zone file ${path} doesn't exist (the path is relative to ${basename(from)})` };
      }
      if (!(cause instanceof Error)) throw cause;
      return { problem: `zone file ${path} can't be read: ${fileFault(cause)}` };
    }
  };
}

function outside(path: string, root: string): string {
  return `zone file ${path} is outside of ${root} (move it there; links may not lead out either)`;
}

function isWithin(root: string, path: string): boolean {
  const way = relative(root, path);
  return way !== ".." && !way.startsWith(`..${sep}`) && resolve(root, way) === path;
}
