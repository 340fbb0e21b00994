/**
 * What people read of a commit.
 *
 * @module
 */

/** Characters of a subject that are kept. */
const SUBJECT_MAX = 120;
/** Bytes of a commit in which the begin of its message is looked for: its header holds signatures, which are small. */
const SEARCHED_MAX = 1 << 20;

/** The first line of a commit's message, without control characters and not longer than a line; may be empty. */
export function subjectOf(commit: Uint8Array): string {
  const text = new TextDecoder().decode(commit.subarray(0, SEARCHED_MAX));
  const begin = text.indexOf("\n\n");
  if (begin < 0) return "";
  const [line = ""] = text.slice(begin + 2).trimStart().split("\n", 1);
  const clean = line.replaceAll(/\p{C}/gu, "").trim();
  return clean.length <= SUBJECT_MAX ? clean : `${clean.slice(0, SUBJECT_MAX - 1)}…`;
}

/** As many digits of a commit's id as people need. */
export function shortId(sha: string): string {
  return sha.slice(0, 12);
}
