/**
 * A model on its way to a node: one file of NDJSON goes as it is, block by block, and is judged there; everything else
 * is read and judged here first.
 *
 * @module
 */
import { dirname } from "node:path";
import { fileFault } from "../input/file_fault.ts";
import { OfflineModel } from "../change/offline_model.ts";
import { formatOf, formatOfHead, STDIN, zoneFilesBelow } from "../model/model_files.ts";
import { exportNdjson } from "../model/model_export.ts";
import { readLine } from "../model/model_line.ts";
import { formatProblem } from "../input/yaml_source.ts";
import { CommandFailed } from "./failure.ts";

/** A model that can be sent. */
export interface ModelUpload {
  /** Whole lines of NDJSON. */
  readonly blocks: AsyncIterable<string> | Iterable<string>;
  /** How many bytes there will be; `null` = not known yet. */
  readonly bytesTotal: number | null;
  /** Whether the lines are those of the file, so that problems may be named after it. */
  readonly asInFile: boolean;
}

/** Every problem of a model that can't be sent, each on a line. */
export interface ModelProblems {
  /** As editors understand them. */
  readonly problems: readonly string[];
}

/**
 * Opens a model directory or file, or what comes on stdin.
 *
 * @throws {CommandFailed} when there is none
 */
export async function openModel(
  path: string,
  stdin: () => ReadableStream<Uint8Array> = () => Deno.stdin.readable,
): Promise<ModelUpload | ModelProblems> {
  try {
    if (path === STDIN) return await openStream(stdin());
    const { isFile, size } = await Deno.stat(path);
    if (isFile && await formatOf(path) === "ndjson") {
      const { readable } = await Deno.open(path);
      return { blocks: blocksOf(readable, path), bytesTotal: size, asInFile: true };
    }
    return uploadOf(await OfflineModel.read(path));
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    throw new CommandFailed(`Cannot read "${path}": ${fileFault(cause)}`, 1, { cause });
  }
}

/** The same model twice: what is sent the first time is kept for the second, whatever becomes of the files. */
export function kept(model: ModelUpload): { readonly first: ModelUpload; again(): ModelUpload } {
  const blocks: string[] = [];
  async function* keeping() {
    for await (const block of model.blocks) {
      blocks.push(block);
      yield block;
    }
  }
  return { first: { ...model, blocks: keeping() }, again: () => ({ ...model, blocks }) };
}

function uploadOf(read: OfflineModel): ModelUpload | ModelProblems {
  using model = read;
  if (model.problems.length > 0) return { problems: model.problems.map(formatProblem) };
  return { blocks: exportNdjson(model.model()), bytesTotal: null, asInFile: false };
}

/** The first bytes say how it is written. */
async function openStream(stream: ReadableStream<Uint8Array>): Promise<ModelUpload | ModelProblems> {
  const [head, whole] = stream.tee();
  const reader = head.getReader();
  const { value = new Uint8Array(0) } = await reader.read();
  void reader.cancel();
  if (formatOfHead(value) === "ndjson") {
    return { blocks: blocksOf(whole, STDIN), bytesTotal: null, asInFile: true };
  }
  const bytes = new Uint8Array(await new Response(whole).arrayBuffer());
  return uploadOf(await OfflineModel.readBytes({ file: STDIN, bytes, format: "yaml" }));
}

/** The text cut at ends of lines; the few lines that need a second look get it. */
async function* blocksOf(bytes: ReadableStream<Uint8Array>, path: string): AsyncGenerator<string> {
  const look = (block: string) => NAMES_FILE.test(block) ? withTexts(block, path) : block;
  let rest = "";
  for await (const chunk of bytes.pipeThrough(new TextDecoderStream("utf-8", { fatal: true }))) {
    const end = chunk.lastIndexOf("\n") + 1;
    if (end > 0) yield look(rest + chunk.slice(0, end));
    rest = end > 0 ? chunk.slice(end) : rest + chunk;
  }
  if (rest !== "") yield look(rest);
}

/** What may be a zone whose records lie in a file beside. */
const NAMES_FILE = /"file"/;

function withTexts(block: string, path: string): string {
  return block.split("\n").map((text) => {
    if (!NAMES_FILE.test(text)) return text;
    const { object, problems } = readLine({ file: path, line: 0, text }, { place: 0 });
    return problems.length === 0 && object?.kind === "zone" && object.value.file !== null
      ? JSON.stringify({ zone: withText(object.value.domain, object.value.file, path) })
      : text;
  }).join("\n");
}

function withText(domain: string, file: string, path: string): { domain: string; text: string } {
  const reading = zoneFilesBelow(dirname(path))(file, path);
  if ("problem" in reading) throw new CommandFailed(`${path}: zone ${domain}: ${reading.problem}`, 1);
  return { domain, text: reading.text };
}
