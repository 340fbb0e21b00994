/**
 * Numbers of things in sentences.
 *
 * @module
 */

/** `1 zone`, `2 zones`: for nouns that take an s. */
export function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
