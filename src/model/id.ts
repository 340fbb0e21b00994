/**
 * Ids of objects: 32 lower-case hex digits, 128 bits from the operating system's generator.
 *
 * @module
 */

/** A new id; it can't be guessed, and two never meet. */
export function newId(): string {
  let id = "";
  for (const byte of crypto.getRandomValues(new Uint8Array(16))) id += HEX[byte];
  return id;
}

/** Whether the text has the form of an id. */
export function isId(text: string): boolean {
  return /^[0-9a-f]{32}$/.test(text);
}

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));
