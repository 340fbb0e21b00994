/**
 * The whole model as the answer of a route: written object by object while it is sent, from the model as one commit left it, so
 * that no model is so large that checks of health and other requests wait for it.
 *
 * @module
 */
import type { Context } from "hono";
import { accepts } from "hono/accepts";
import {
  EMPTY_NDJSON,
  streamed,
  streamedJson,
  type StreamedModel,
  streamedNdjson,
  streamedYaml,
} from "../model/model_export.ts";
import { inSlices, type SliceTerms } from "../slices.ts";
import type { Store } from "../store/store.ts";
import { ApiProblem } from "./problem.ts";

/** Media types of the model. */
export const YAML = "application/yaml";
/** The default. */
export const JSON_TYPE = "application/json";
/** An object a line. */
export const NDJSON = "application/x-ndjson";

/** A model that is being read. */
export interface ReadModel extends Disposable {
  /** What is written. */
  readonly model: StreamedModel;
}

/** After so many characters a piece is sent: some slices' worth, since the first one of a piece comes at once. */
const PIECE_LENGTH = 64 * 1024;
/** Pools, members or services up to which a model is read in one go: some 20 ms. */
const READ_AT_ONCE_MAX = 1_000;
/** Each holds a connection to the database, and a log that can't be folded. */
const UNDER_WAY_MAX = 8;
/** In which time one has to be taken, however little of it at a time: over 1 Mbit/s a model of 70 MB is. */
export const TAKEN_MAX_MS = 600_000;

/** Of this process. */
let underWay = 0;

/**
 * The model of now, to be read once from one end to the other, and as it is at this moment however long that takes: a small one is
 * in memory, a large one is read from a connection of its own.
 */
export function modelOf(store: Store): ReadModel & { readonly generation: number } {
  if (store.path === ":memory:" || store.hasAtMost(READ_AT_ONCE_MAX)) {
    const model = store.model();
    return { generation: model.generation, model: streamed(model), [Symbol.dispose]: () => {} };
  }
  const frozen = store.frozen()!;
  return {
    generation: frozen.generation(),
    model: frozen.inOrder(),
    [Symbol.dispose]: () => frozen.close(),
  };
}

/**
 * A model in the format that the request accepts.
 *
 * @param clock says when others have their turn
 * @param read begins to read it; it is let go of when all is sent, the client is gone, or took longer than it may
 * @throws {ApiProblem} when very many are being sent already
 */
export async function modelAnswer(
  c: Context,
  clock: SliceTerms["clock"],
  read: () => ReadModel | Promise<ReadModel>,
): Promise<Response> {
  if (underWay >= UNDER_WAY_MAX) {
    throw new ApiProblem(
      503,
      `${UNDER_WAY_MAX} models are being sent already: try again when one of them is`,
    );
  }
  const format = accepts(c, { header: "Accept", supports: [JSON_TYPE, YAML, NDJSON], default: JSON_TYPE });
  underWay++;
  let reading: ReadModel;
  try {
    reading = await read();
  } catch (error) {
    underWay--;
    throw error;
  }
  const over = new AbortController();
  const end = () => {
    if (over.signal.aborted) return;
    over.abort();
    underWay--;
    reading[Symbol.dispose]();
  };
  const encoder = new TextEncoder();
  const texts = textsOf(format, reading.model);
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      clock.sleep(TAKEN_MAX_MS, over.signal).then(() => {
        if (over.signal.aborted) return;
        end();
        controller.error(
          new Error(`A model was taken too slowly: ${TAKEN_MAX_MS / 60_000} minutes are borne`),
        );
      });
    },
    async pull(controller) {
      try {
        const piece = await inSlices(pieceOf(texts), { clock, signal: over.signal });
        if (piece !== "") return controller.enqueue(encoder.encode(piece));
        end();
        controller.close();
      } catch (error) {
        end();
        throw error;
      }
    },
    cancel: end,
  }, { highWaterMark: 0 });
  c.header("Vary", "Accept");
  return c.body(body, 200, { "content-type": format });
}

function* textsOf(format: string, model: StreamedModel): Generator<string> {
  if (format === YAML) return yield* streamedYaml(model);
  if (format === JSON_TYPE) return yield* streamedJson(model);
  let isEmpty = true;
  for (const text of streamedNdjson(model)) {
    yield text;
    isEmpty = false;
  }
  if (isEmpty) yield EMPTY_NDJSON;
}

/** What is sent at once; nothing = that was all. */
function* pieceOf(texts: Iterator<string>): Generator<void, string> {
  let piece = "";
  while (piece.length < PIECE_LENGTH) {
    const { done, value } = texts.next();
    if (done) break;
    piece += value;
    yield;
  }
  return piece;
}
