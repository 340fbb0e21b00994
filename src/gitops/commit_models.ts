/**
 * Models of commits, read from the objects of a repository by the reader of model directories: what is wrong with them is
 * what `config validate` would say of a checkout, at the same places.
 *
 * Text is parsed once for each content of a file, however many commits have it: of a model of 10,000 services that one
 * changes, all but one file come from memory.
 *
 * @module
 */
import { OfflineModel } from "../change/offline_model.ts";
import { exportNdjson } from "../model/model_export.ts";
import { addTree, isModelName, type ModelFile, type ModelTree, zoneFilesIn } from "../model/model_tree.ts";
import { formatOfHead } from "../model/model_files.ts";
import {
  compareText,
  decodeText,
  type FileProblem,
  readYaml,
  type YamlReading,
  type YamlSource,
} from "../input/yaml_source.ts";
import type { Repository, RepositoryFile } from "./repository.ts";

/** A model that was read, or every problem. */
export type CommitModel =
  | { readonly problems: readonly FileProblem[] }
  | { readonly problems: readonly []; readonly lines: Iterable<string> };

/** Where a model lies. */
export interface ModelPlace {
  /** Id of the commit. */
  readonly commit: string;
  /** Folder in it, without slashes around it; empty = all of it. */
  readonly prefix: string;
}

/** Reads models of commits. */
export class CommitModels {
  /** Documents of the commit that was read last, by what they are called and what is in them. */
  #documents = new Map<string, ParsedDocument>();

  /**
   * Reads the model of a commit; its problems are called by the paths of the repository.
   *
   * @throws {RepositoryError} when the commit can't be read, or is beyond a bound
   */
  async read(repository: Pick<Repository, "files">, { commit, prefix }: ModelPlace): Promise<CommitModel> {
    const files: RepositoryFile[] = [];
    for await (const file of repository.files(commit, prefix)) files.push(file);
    const byPath = new Map(files.map((file) => [file.path, file]));
    const models = files.filter(({ path }) =>
      isModelName(prefix === "" ? path : path.slice(prefix.length + 1))
    )
      .map((file) => ({ file, steps: file.path.split("/") }))
      .sort((a, b) => compareSteps(a.steps, b.steps));
    const before = this.#documents;
    this.#documents = new Map();
    const opened = models.map(({ file }) => this.#open(file, before));
    const texts = new Map<string, Uint8Array>();
    for (;;) {
      // Zone files are asked for in the middle of a turn: those that aren't at hand are read, and all begins again.
      const missing = new Set<string>();
      const readZoneFile = zoneFilesIn(prefix === "" ? "." : prefix, (path) => {
        if (!byPath.has(path)) return null;
        const bytes = texts.get(path);
        if (bytes === undefined) missing.add(path);
        const decoded = decodeText(path, bytes ?? new Uint8Array());
        return "text" in decoded ? decoded : { problem: decoded.problem.message };
      });
      const tree: ModelTree = { name: prefix === "" ? "." : prefix, files: () => opened, readZoneFile };
      using model = await OfflineModel.of((reader) => addTree(reader, tree), {
        readZoneFile,
        steering: null,
      });
      if (missing.size === 0) return told(model);
      for (const path of missing) texts.set(path, await byPath.get(path)!.read());
    }
  }

  #open(file: RepositoryFile, before: ReadonlyMap<string, ParsedDocument>): ModelFile {
    const { path, blob } = file;
    const key = `${blob} ${path}`;
    let bytes: Uint8Array | null = null;
    const load = async () => bytes ??= await file.read();
    return {
      name: path,
      fault: null,
      format: async () => {
        if (before.has(key) || this.#documents.has(key)) return "yaml";
        return /\.(ndjson|jsonl)$/.test(path) ? "ndjson" : formatOfHead(await load());
      },
      document: async () => {
        const document = this.#documents.get(key) ?? before.get(key) ??
          new ParsedDocument(path, await load());
        this.#documents.set(key, document);
        return document.reading();
      },
      chunks: async () => once(await load()),
      reread: (offset, size) => bytes?.subarray(offset, offset + size) ?? null,
    };
  }
}

/** A document as values; its text is parsed again when a problem has to be told where it is, which is seldom. */
class ParsedDocument {
  readonly #file: string;
  readonly #bytes: Uint8Array;
  readonly #reading: Omit<YamlReading, "source"> & { readonly value: unknown; readonly isReadable: boolean };

  constructor(file: string, bytes: Uint8Array) {
    this.#file = file;
    this.#bytes = bytes;
    const { source, problems } = readYaml(file, bytes);
    this.#reading = { problems, value: source?.value, isReadable: source !== null };
  }

  /** As `readYaml` gives it; whoever reads the value may change it. */
  reading(): YamlReading {
    const { problems, value, isReadable } = this.#reading;
    if (!isReadable) return { source: null, problems };
    let parsed: YamlSource | null = null;
    const source = () => parsed ??= readYaml(this.#file, this.#bytes).source!;
    return {
      problems,
      source: {
        file: this.#file,
        value: structuredClone(value),
        locate: (path, at) => source().locate(path, at),
        locateInText: (path, inner) => source().locateInText(path, inner),
      },
    };
  }
}

function told(model: OfflineModel): CommitModel {
  if (model.problems.length > 0) return { problems: model.problems };
  return { problems: [], lines: exportNdjson(model.model()) };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}

/** Folder by folder, as a disk is walked: so the first of two that have a name is the same one. */
function compareSteps(a: readonly string[], b: readonly string[]): number {
  for (let i = 0;; i++) {
    if (i >= a.length || i >= b.length) return a.length - b.length;
    const order = compareText(a[i]!, b[i]!);
    if (order !== 0) return order;
  }
}
