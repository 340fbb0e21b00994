/**
 * Where model documents come from: a directory, a file, or a stream such as the body of a request.
 *
 * Nothing outside of the directory is read, whether `..` or a symbolic link leads there: a repository that
 * someone else may write to must not become a way to read this machine's files.
 *
 * @module
 */
import { dirname, extname, join } from "node:path";
import type { ModelReader, ZoneFileReader } from "./model_reader.ts";
import {
  addTree,
  isModelName,
  isWithin,
  type ModelFile,
  type ModelFormat,
  zoneFilesIn,
} from "./model_tree.ts";
import { expectRegular, readRegularFile } from "../input/regular_file.ts";
import { compareText, decodeText, readYaml } from "../input/yaml_source.ts";

/** What stands for stdin where a path is asked for, and its name in problems. */
export const STDIN = "-";

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
    const realRoot = Deno.realPathSync(this.#root);
    const { readZoneFile } = this;
    await addTree(reader, {
      name: this.#path,
      readZoneFile,
      files: () => files.map((file) => fileOnDisk(file, this.#isDirectory && leadsOut(file, realRoot))),
    });
  }
}

function fileOnDisk(file: string, isOutside: boolean): ModelFile {
  return {
    name: file,
    fault: isOutside ? "is a link that leads out of the directory (copy the file)" : null,
    format: () => formatOf(file),
    document: async () => readYaml(file, await Deno.readFile(file)),
    chunks: async () => (await Deno.open(file)).readable,
    reread: (offset, size) => bytesOf(file, offset, size),
  };
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
      else if (isModelName(name)) files.push(path);
    }
  };
  walk(directory);
  return files;
}

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
  return zoneFilesIn(root, (file) => {
    if (!isWithin(Deno.realPathSync(root), Deno.realPathSync(file))) return "outside";
    const decoded = decodeText(file, readRegularFile(file));
    return "text" in decoded ? decoded : { problem: decoded.problem.message };
  });
}
