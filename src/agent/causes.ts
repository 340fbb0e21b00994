/**
 * What went wrong, down to its cause, in one line.
 *
 * @module
 */

/** A message with those of its causes. */
export function withCauses(error: Error): string {
  return error.cause instanceof Error ? `${error.message}: ${withCauses(error.cause)}` : error.message;
}
