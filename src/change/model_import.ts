/**
 * A model that comes as bytes to a node: NDJSON is staged line by line and never in memory as a whole; YAML and JSON
 * are read as one document. Everything happens in the turn of the caller, who decides on which thread that is.
 *
 * @module
 */
import { refuseZoneFiles } from "../model/model_reader.ts";
import type { LineSplitter } from "../model/model_line.ts";
import type { ModelFormat } from "../model/model_tree.ts";
import { readYaml, type YamlReading } from "../input/yaml_source.ts";
import type { Store } from "../store/store.ts";
import { type JudgedModel, StagedModel } from "./staged_model.ts";

/** Takes the bytes of one model: `write` them all, then `end`, then `finish`. */
export interface ModelImport extends Disposable {
  /** Takes the next bytes, which may be used again when this returns. */
  write(bytes: Uint8Array): void;
  /** Says that these were all. */
  end(): void;
  /** Judges what was written. */
  finish(): JudgedModel;
}

/**
 * Begins to read a model; one at a time on each connection. `file` is its name in problems.
 *
 * @param opened asked for where the model is staged: lines from the begin, a document when it has been parsed, which
 * takes by far the most of its time
 */
export function beginImport(
  opened: () => Store,
  { file, format }: { readonly file: string; readonly format: ModelFormat },
): ModelImport {
  return format === "ndjson" ? new LinesImport(opened(), file) : new DocumentImport(opened, file);
}

class LinesImport implements ModelImport {
  readonly #staged: StagedModel;
  readonly #lines: LineSplitter;

  constructor(store: Store, file: string) {
    this.#staged = new StagedModel(store, { readZoneFile: refuseZoneFiles });
    this.#lines = this.#staged.reader.openLines({ file, reread: null });
  }

  write(bytes: Uint8Array): void {
    this.#lines.write(bytes);
  }

  end(): void {
    this.#lines.end();
  }

  finish(): JudgedModel {
    return this.#staged.finish();
  }

  [Symbol.dispose](): void {
    this.#staged[Symbol.dispose]();
  }
}

class DocumentImport implements ModelImport {
  readonly #opened: () => Store;
  readonly #file: string;
  readonly #parts: Uint8Array<ArrayBuffer>[] = [];
  #document: YamlReading | null = null;
  #staged: StagedModel | null = null;

  constructor(opened: () => Store, file: string) {
    this.#opened = opened;
    this.#file = file;
  }

  write(bytes: Uint8Array): void {
    this.#parts.push(bytes.slice());
  }

  end(): void {
    this.#document = readYaml(this.#file, this.#joined());
    this.#parts.length = 0;
  }

  finish(): JudgedModel {
    this.#staged = new StagedModel(this.#opened(), { readZoneFile: refuseZoneFiles });
    this.#staged.reader.addDocument(this.#document!);
    return this.#staged.finish();
  }

  [Symbol.dispose](): void {
    this.#staged?.[Symbol.dispose]();
  }

  #joined(): Uint8Array {
    const bytes = new Uint8Array(this.#parts.reduce((size, part) => size + part.length, 0));
    let at = 0;
    for (const part of this.#parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }
}
