/**
 * A model that comes as bytes: read, judged, and made ready to take the place of the stored one.
 *
 * NDJSON is staged line by line and never in memory as a whole; YAML and JSON are read as one document. Everything
 * happens in the turn of the caller, who decides on which thread that is.
 *
 * @module
 */
import { type ModelCounts, ModelReader, refuseZoneFiles } from "../model/model_reader.ts";
import {
  type LineObject,
  type LineSource,
  LineSplitter,
  type ModelLine,
  readLine,
} from "../model/model_line.ts";
import type { ModelFormat } from "../model/model_files.ts";
import type { PoolFile, ZoneFile } from "../model/model_schema.ts";
import { joinParts, repeated } from "../model/pool_parts.ts";
import { standInName } from "../model/salvage.ts";
import { type FileProblem, readYaml, sortProblems } from "../input/yaml_source.ts";
import { readZoneText } from "../model/zone_text.ts";
import { Staging } from "../store/staging.ts";
import type { Store } from "../store/store.ts";
import type { Draft } from "./draft.ts";
import { definedTwice, judgeStaged, type StagedProblem } from "./stage_model.ts";

/** A model that was read. */
export type Imported =
  | {
    /** Every problem; nothing can be done with the model. */
    readonly problems: readonly FileProblem[];
  }
  | {
    readonly problems: readonly [];
    readonly counts: ModelCounts;
    /** Whether nothing at all is in it. */
    readonly empty: boolean;
    /** Makes the model the stored one; call it once, before the import is disposed of. */
    readonly make: (draft: Draft) => void;
  };

/** Takes the bytes of one model. */
export interface ModelImport extends Disposable {
  /** Takes the next bytes, which may be used again when this returns. */
  write(bytes: Uint8Array): void;
  /** Judges what was written. */
  finish(): Imported;
}

/**
 * Begins to read a model; one at a time on each connection. `file` is its name in problems.
 *
 * @param opened asked for where the model is staged while it is read
 */
export function beginImport(
  opened: () => Store,
  { file, format }: { readonly file: string; readonly format: ModelFormat },
): ModelImport {
  return format === "ndjson" ? new LinesImport(opened(), file) : new DocumentImport(file);
}

/** More problems aren't kept: a million broken lines must not fill the memory with sentences. */
const PROBLEMS_MAX = 1_000;

class LinesImport implements ModelImport {
  readonly #store: Store;
  readonly #file: string;
  readonly #staging: Staging;
  readonly #lines: LineSplitter;
  readonly #problems: FileProblem[] = [];
  /** Collects the blocks of the fallback, which are few. */
  readonly #blocks = new ModelReader({ readZoneFile: refuseZoneFiles });
  #problemsUnseen = 0;

  constructor(store: Store, file: string) {
    this.#store = store;
    this.#file = file;
    // One transaction for all of the staging; it holds no lock, since nothing of the file is written in it.
    store.database.run("BEGIN");
    this.#staging = new Staging(store.database);
    this.#lines = new LineSplitter({
      file,
      take: (line) => this.#take(line),
      refuse: (problem) => this.#refuse([problem]),
    });
  }

  write(bytes: Uint8Array): void {
    this.#lines.write(bytes);
  }

  finish(): Imported {
    this.#lines.end();
    judgeStaged(this.#staging, (problem) => this.#report(problem));
    const { problems, model } = this.#blocks.finish();
    this.#refuse(problems);
    this.#store.database.run("COMMIT");
    if (this.#problems.length > 0) return { problems: this.#sortedProblems() };
    const { pools, members, services, zones } = this.#staging.counts;
    const fallback = model?.fallback ?? null;
    return {
      problems: [],
      counts: { pools, members, services, zones },
      empty: pools + services + zones === 0 && fallback === null,
      make: (draft) => {
        draft.replaceWith(this.#staging);
        draft.apply({ kind: "putFallback", fallback }, "/fallback");
      },
    };
  }

  [Symbol.dispose](): void {
    this.#store.database.endTransaction();
    this.#staging[Symbol.dispose]();
  }

  #take(line: ModelLine): void {
    const { object, problems, source } = readLine(line);
    this.#refuse(problems);
    if (object !== null) this.#stage(line, object, source);
  }

  /** What can be told of a broken object is staged as well, to be judged with the others: nothing of it is ever made. */
  #stage(line: ModelLine, object: LineObject, source: LineSource): void {
    const place = line.line;
    switch (object.kind) {
      case "pool":
        return this.#pool(object.value, { place, source });
      case "service": {
        const service = { ...object.value, givenId: null };
        const first = this.#staging.service(service, place);
        // What a repeated one refers to is judged all the same.
        if (first !== null) this.#staging.service({ ...service, domain: standInName(place) }, place);
        return this.#expectNew("services", { place, name: service.domain, first });
      }
      case "zone":
        return this.#zone(object.value, { place, source });
      case "loadbalancer":
      case "health":
        return this.#blocks.addLine(line);
      case "blank":
        return;
    }
  }

  #pool(pool: PoolFile, { place, source }: LinePlace): void {
    const { members, geoRules, problems } = joinParts(pool);
    for (const { path, other, message } of problems) {
      const at = source.locate(["pool", ...path]);
      if (other === null) this.#refuse([{ file: this.#file, ...at, message }]);
      else {
        const { line, column } = source.locate(["pool", ...other]);
        const first = `${this.#file}:${line}:${column}`;
        this.#refuse([{ file: this.#file, ...at, message: repeated(message, first) }]);
      }
    }
    const staged = {
      ...pool,
      givenId: null,
      members: members.map((member) => ({ ...member, givenId: null })),
      geoRules: geoRules.map((rule) => ({ ...rule, givenId: null })),
    };
    const first = this.#staging.pool(staged, place);
    if (first !== null) this.#staging.pool({ ...staged, name: standInName(place) }, place);
    this.#expectNew("pools", { place, name: pool.name, first });
  }

  #zone({ domain, file, text }: ZoneFile, { place, source }: LinePlace): void {
    if (text === null) {
      const reading = file === null ? null : refuseZoneFiles(file, this.#file);
      if (reading === null || !("problem" in reading)) return;
      const at = source.locate(["zone", "file"]);
      return this.#refuse([{ file: this.#file, ...at, message: reading.problem }]);
    }
    const { cuts, problems } = readZoneText(text, { domain });
    for (const { line, message } of problems) {
      const at = source.locate(["zone", "text"]);
      this.#refuse([{ file: this.#file, ...at, message: `line ${line} of the text: ${message}` }]);
    }
    const first = this.#staging.zone({ domain, text, cuts }, place);
    this.#expectNew("zones", { place, name: domain, first });
  }

  #expectNew(
    list: StagedProblem["list"],
    { place, name, first }: {
      readonly place: number;
      readonly name: string;
      readonly first: number | null;
    },
  ): void {
    if (first === null) return;
    this.#report(definedTwice({ list, place, name, first: `${this.#file}:${first}:1` }));
  }

  /** The text of the line is gone by the time its object is compared with others. */
  #report({ place, message }: StagedProblem): void {
    this.#refuse([{ file: this.#file, line: place, column: 1, message }]);
  }

  #refuse(problems: readonly FileProblem[]): void {
    for (const problem of problems) {
      if (this.#problems.length < PROBLEMS_MAX) this.#problems.push(problem);
      else this.#problemsUnseen++;
    }
  }

  #sortedProblems(): FileProblem[] {
    const sorted = sortProblems(this.#problems);
    if (this.#problemsUnseen === 0) return sorted;
    const message = `${this.#problemsUnseen} further problems aren't shown (mend these first)`;
    return [...sorted, { file: this.#file, line: 0, column: 0, message }];
  }
}

interface LinePlace {
  readonly place: number;
  readonly source: LineSource;
}

class DocumentImport implements ModelImport {
  readonly #file: string;
  readonly #parts: Uint8Array<ArrayBuffer>[] = [];

  constructor(file: string) {
    this.#file = file;
  }

  write(bytes: Uint8Array): void {
    this.#parts.push(bytes.slice());
  }

  finish(): Imported {
    const reader = new ModelReader({ readZoneFile: refuseZoneFiles });
    const { source, problems } = readYaml(this.#file, this.#joined());
    reader.addProblems(problems);
    if (source) reader.addDocument(source);
    const { counts } = reader;
    const reading = reader.finish();
    if (reading.model === null) return { problems: reading.problems };
    const { model } = reading;
    const { pools, services, zones, fallback } = model;
    return {
      problems: [],
      counts,
      empty: pools.length + services.length + zones.length === 0 && fallback === null,
      make: (draft) => void draft.apply({ kind: "replaceModel", model }, ""),
    };
  }

  [Symbol.dispose](): void {
    this.#parts.length = 0;
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
