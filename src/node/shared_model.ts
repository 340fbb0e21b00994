/**
 * What a node makes of the documents of its cluster: each becomes a commit by the path of every change, judged and guarded as
 * any other; and the stored model becomes one.
 *
 * @module
 */
import { ChangeRefused } from "../change/edit.ts";
import type { DocumentTaker, ModelText, Taken } from "../cluster/model_sharing.ts";
import type { ClusterDocument } from "../cluster/documents.ts";
import { formatProblem } from "../input/yaml_source.ts";
import { exportModel, streamedNdjson } from "../model/model_export.ts";
import { StoreBusy } from "../store/database.ts";
import type { Store } from "../store/store.ts";
import type { Ground } from "./ground.ts";

/** Objects of a kind up to which a model is published as YAML, which is made in one go: some 20 ms. */
const YAML_OBJECTS_MAX = 500;
/** Problems that are told of a document. */
const PROBLEMS_MAX = 3;

/** Nodes try to take a document one after the other, so far apart: the first does, unless it is gone or has no database. */
const TURN_MS = 1_000;
/** Commits that are looked through for the last document. */
const COMMITS_MAX = 1_000;

/** Takes documents over into the store. @param active the nodes that are there */
export function documentTaker(
  { store, changes, settings }: Pick<Ground, "store" | "changes" | "settings">,
  active: () => readonly { readonly node: string }[],
): DocumentTaker {
  return {
    take: (document, signal) => take(changes, document, signal),
    text: () => textOf(store),
    lastPublishedMs: () => lastPublishedMs(store),
    toPublish: () => {
      const applied = settings().gitops?.publish ? store.gitApplied.last() : null;
      return applied && { commit: applied.sha, version: String(applied.generation), atMs: applied.at };
    },
    turnMs: () => active().filter(({ node }) => node < settings().node.id).length * TURN_MS,
  };
}

async function take(
  changes: Ground["changes"],
  document: ClusterDocument,
  signal: AbortSignal,
): Promise<Taken> {
  const refused = (reason: string): Taken => ({ kind: "refused", reason });
  try {
    const applied = await changes.apply(ReadableStream.from(document.body(signal)), {
      file: "document",
      format: document.type === "application/x-ndjson" ? "ndjson" : "yaml",
      origin: { via: "cluster", by: "", reason: reasonOf(document) },
      dryRun: false,
      ifGeneration: null,
      signal,
    });
    if (applied.kind === "empty") return refused("The document's model is empty");
    if (applied.kind === "invalid") {
      const { problems } = applied;
      const more = problems.length > PROBLEMS_MAX ? ` (and ${problems.length - PROBLEMS_MAX} more)` : "";
      return refused(
        problems.slice(0, PROBLEMS_MAX).map((problem) => formatProblem(problem)).join("; ") + more,
      );
    }
    const { changed, commit: { generation } } = applied;
    return { kind: "applied", changed, generation };
  } catch (error) {
    if (error instanceof StoreBusy) return { kind: "busy", reason: error.message };
    if (error instanceof ChangeRefused) return refused(error.message);
    throw error;
  }
}

function reasonOf({ version, commit, publishedMs }: ClusterDocument): string {
  const names = [version && `version ${version}`, commit && `commit ${commit}`, published(publishedMs)];
  return `a document of the cluster: ${names.filter((name) => name !== "").join(", ")}`;
}

function published(ms: number): string {
  return `published ${new Date(ms).toISOString()}`;
}

/** Of the last one in the history, since that is kept with the model. */
function lastPublishedMs({ history }: Store): number {
  for (const { reason } of history.page({ limit: COMMITS_MAX }).items) {
    const date = /(?:^|^at [\w-]+: )a document of the cluster: .*published ([-0-9T:.]+Z)$/.exec(reason);
    if (date !== null) return Date.parse(date[1]!);
  }
  return 0;
}

function textOf(store: Store): ModelText {
  const encoder = new TextEncoder();
  const generation = store.generation();
  if (store.path === ":memory:" || store.hasAtMost(YAML_OBJECTS_MAX)) {
    const body = [encoder.encode(exportModel(store.model()))];
    return { generation, type: "application/yaml", body, [Symbol.dispose]: () => {} };
  }
  const frozen = store.frozen()!;
  return {
    generation: frozen.generation(),
    type: "application/x-ndjson",
    body: linesOf(frozen, encoder),
    [Symbol.dispose]: () => frozen.close(),
  };
}

/** Read over many turns, and of one generation all the same. */
function* linesOf(frozen: Store, encoder: TextEncoder): Generator<Uint8Array> {
  for (const text of streamedNdjson(frozen.inOrder())) yield encoder.encode(text);
}
