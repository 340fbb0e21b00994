/**
 * Models from texts: read, judged, and given as they are stored.
 *
 * @module
 */
import { Changes } from "../../src/change/commit.ts";
import type { Applied } from "../../src/change/edit.ts";
import { StagedModel } from "../../src/change/staged_model.ts";
import { type FileProblem, formatProblem } from "../../src/input/yaml_source.ts";
import type { Model } from "../../src/model/model.ts";
import { exportNdjson } from "../../src/model/model_export.ts";
import { addBytes } from "../../src/model/model_files.ts";
import { refuseZoneFiles, type ZoneFileReader } from "../../src/model/model_reader.ts";
import { Store } from "../../src/store/store.ts";
import { ManualClock } from "../clock.ts";
import { ORIGIN } from "./samples.ts";

/** What became of texts. */
export interface ModelReading {
  /** `null` = it has problems. */
  readonly model: Model | null;
  /** In printing order. */
  readonly problems: readonly FileProblem[];
}

/** Reads texts by the names of their files: `.ndjson` as lines, others as YAML. */
export function readTexts(
  texts: Readonly<Record<string, string | Uint8Array>>,
  readZoneFile: ZoneFileReader = refuseZoneFiles,
): ModelReading {
  using store = Store.memory();
  using staged = new StagedModel(store, { readZoneFile });
  for (const [file, text] of Object.entries(texts)) {
    const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
    addBytes(staged.reader, { file, bytes, format: file.endsWith(".ndjson") ? "ndjson" : "yaml" });
  }
  const judged = staged.finish();
  if (judged.problems.length > 0) return { model: null, problems: judged.problems };
  new Changes({ store, clock: new ManualClock() }).applyJudged(judged, {
    origin: ORIGIN,
    dryRun: false,
    ifGeneration: null,
  });
  return { model: { ...store.model(), generation: 0 }, problems: [] };
}

/** The model of texts without problems. */
export function modelOf(texts: Readonly<Record<string, string>>): Model {
  const { model, problems } = readTexts(texts);
  if (model === null) throw new Error(problems.map(formatProblem).join("\n"));
  return model;
}

/** Applies a model as its export, or plans to. */
export function applyModel(
  changes: Changes,
  model: Model,
  { dryRun = false }: { readonly dryRun?: boolean } = {},
): Promise<Applied> {
  return changes.apply(ReadableStream.from(exportNdjson(model)).pipeThrough(new TextEncoderStream()), {
    file: "body",
    format: "ndjson",
    origin: ORIGIN,
    dryRun,
    ifGeneration: null,
    signal: new AbortController().signal,
  });
}
