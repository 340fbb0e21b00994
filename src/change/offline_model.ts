/**
 * Models of files, judged with no node running: staged in a database in memory, by the judge of every commit.
 *
 * @module
 */
import { systemClock } from "../clock.ts";
import type { FileProblem } from "../input/yaml_source.ts";
import type { Model } from "../model/model.ts";
import { addBytes, ModelFiles } from "../model/model_files.ts";
import type { ModelFormat } from "../model/model_tree.ts";
import { type ModelReader, refuseZoneFiles, type ZoneFileReader } from "../model/model_reader.ts";
import type { SteeringSettings } from "../model/steering.ts";
import { type Counts, Store } from "../store/store.ts";
import { Changes } from "./commit.ts";
import { type JudgedModel, StagedModel } from "./staged_model.ts";

/** A model that was read and judged; its holder disposes of it. */
export class OfflineModel implements Disposable {
  /** In printing order; none = it is fine. */
  readonly problems: readonly FileProblem[];
  /** What is in it; `null` where it has problems. */
  readonly counts: Counts | null;
  /** What steers less than it says, in printing order. */
  readonly notes: readonly FileProblem[];
  readonly #store: Store;
  readonly #staged: StagedModel;
  readonly #judged: JudgedModel;

  /**
   * Reads a model directory, or one file of a model.
   *
   * @param steering the settings that notes are made by; `null` = none are made
   * @throws {Deno.errors.NotFound} and other errors of the file system for `path` itself; what is wrong further
   * inside is among the problems
   */
  static async read(path: string, steering: SteeringSettings | null = null): Promise<OfflineModel> {
    const files = await ModelFiles.at(path);
    const { readZoneFile } = files;
    return await OfflineModel.of((reader) => files.addTo(reader), { readZoneFile, steering });
  }

  /** Reads what is at hand as bytes; `file` is its name in problems. Zone files can't be named in it. */
  static async readBytes(
    model: { readonly file: string; readonly bytes: Uint8Array; readonly format: ModelFormat },
    steering: SteeringSettings | null = null,
  ): Promise<OfflineModel> {
    const add = (reader: ModelReader) => addBytes(reader, model);
    return await OfflineModel.of(add, { readZoneFile: refuseZoneFiles, steering });
  }

  /** Judges what is given to the reader. */
  static async of(
    add: (reader: ModelReader) => Promise<void> | void,
    options: { readonly readZoneFile: ZoneFileReader; readonly steering: SteeringSettings | null },
  ): Promise<OfflineModel> {
    using resources = new DisposableStack();
    const store = resources.use(Store.memory());
    store.prepareForBulk();
    const staged = resources.use(new StagedModel(store, options));
    await add(staged.reader);
    const model = new OfflineModel(store, staged);
    resources.move();
    return model;
  }

  private constructor(store: Store, staged: StagedModel) {
    this.#store = store;
    this.#staged = staged;
    this.#judged = staged.finish();
    this.problems = this.#judged.problems;
    this.counts = "counts" in this.#judged ? this.#judged.counts : null;
    this.notes = this.counts === null ? [] : staged.reader.notes();
  }

  /** The model of files without problems; its ids are new. Call it once. */
  model(): Model {
    const origin = { via: "cli", by: "", reason: "" };
    const options = { origin, dryRun: false, ifGeneration: null };
    new Changes({ store: this.#store, clock: systemClock }).applyJudged(this.#judged, options);
    return this.#store.model();
  }

  /** Forgets the model. */
  [Symbol.dispose](): void {
    this.#staged[Symbol.dispose]();
    this.#store.close();
  }
}
