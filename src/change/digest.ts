/**
 * A number that stands for the whole model: equal on nodes whose models are equal, whatever their ids and generations.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { canonicalTexts } from "../model/model_export.ts";
import type { Store } from "../store/store.ts";

/** The number, and for which commit it holds. */
export interface ModelDigest {
  /** The generation that was read. */
  readonly generation: number;
  /** 48 bits, which JSON and Prometheus carry exactly. */
  readonly value: number;
}

/** Reads the whole model, an object at a time, as one commit left it. */
export function digestOf(store: Store): ModelDigest {
  const hash = createHash("sha256");
  store.database.run("BEGIN");
  try {
    const texts = canonicalTexts(store.inOrder());
    for (const text of texts) hash.update(text).update("\n");
    return { generation: store.generation(), value: hash.digest().readUIntBE(0, 6) };
  } finally {
    store.database.endTransaction();
  }
}
