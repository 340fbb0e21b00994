/**
 * A whole model from its first byte to the transaction that makes it the stored one: read, staged, judged.
 *
 * There is no other way for a model as a whole, whether it comes as documents or as lines, to be validated or to be
 * applied; so the same fault is found by the same judge, and told in the same words.
 *
 * @module
 */
import { ModelReader, type ZoneFileReader } from "../model/model_reader.ts";
import type { SteeringSettings } from "../model/steering.ts";
import type { FileProblem } from "../input/yaml_source.ts";
import { Staging } from "../store/staging.ts";
import type { Counts, Store } from "../store/store.ts";
import type { Draft } from "./draft.ts";
import { judgeStaged } from "./judge.ts";

/** What was found when all of a model was read. */
export type JudgedModel =
  | {
    /** Every problem, in printing order; nothing can be done with the model. */
    readonly problems: readonly FileProblem[];
  }
  | {
    readonly problems: readonly [];
    /** What is in it. */
    readonly counts: Counts;
    /** Whether nothing at all is in it. */
    readonly empty: boolean;
    /** Makes the model the stored one; call it once, before the staged model is disposed of. */
    readonly make: (draft: Draft) => void;
  };

/** A model on its way; there is one at a time on each connection. */
export class StagedModel implements Disposable {
  /** To be given everything that belongs to the model. */
  readonly reader: ModelReader;
  readonly #store: Store;
  readonly #staging: Staging;

  /**
   * Begins with nothing read.
   *
   * @param store where it is staged; stays the caller's
   * @param options.steering what notes are made by; `null` = none are made
   */
  constructor(
    store: Store,
    options: { readonly readZoneFile: ZoneFileReader; readonly steering?: SteeringSettings | null },
  ) {
    this.#store = store;
    // One transaction for all of the staging; it holds no lock, since nothing of the file is written in it.
    store.database.run("BEGIN");
    this.#staging = new Staging(store.database);
    this.reader = new ModelReader({ ...options, sink: this.#staging });
  }

  /** Judges what was read. */
  finish(): JudgedModel {
    const { reader } = this;
    const fallback = reader.finish();
    this.#staging.seal();
    for (const problem of judgeStaged(this.#staging)) {
      if (reader.problems.isFull) break;
      reader.report(problem);
    }
    this.#store.database.run("COMMIT");
    if (reader.problems.size > 0) return { problems: reader.problems.sorted() };
    const { pools, members, services, zones } = this.#staging.counts;
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

  /** Takes the staged objects away. */
  [Symbol.dispose](): void {
    this.#store.database.endTransaction();
    this.#staging[Symbol.dispose]();
  }
}
