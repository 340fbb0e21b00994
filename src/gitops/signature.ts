/**
 * Who signed a commit or a tag.
 *
 * @module
 */
import type { Signers } from "./signers.ts";
import type { Verdict } from "./verdict.ts";

/**
 * Judges the signature of a commit.
 *
 * @param commit the whole object without the `commit <size>` in front
 * @param now time at which the key must be valid
 */
export function verifyCommit(_commit: Uint8Array, _signers: Signers, _now: Date): Promise<Verdict> {
  return Promise.resolve({ state: "unsigned" });
}

/** Judges the signature of a tag, as {@linkcode verifyCommit} does of a commit. */
export function verifyTag(_tag: Uint8Array, _signers: Signers, _now: Date): Promise<Verdict> {
  return Promise.resolve({ state: "unsigned" });
}
