/**
 * The directory of the backends' sockets, as it is.
 *
 * @module
 */

/** Entries that are read at most: more than there can be backends, and no reason to read for ever. */
const ENTRIES_MAX = 16_384;

/** What is in a directory. */
export interface Listing {
  /** In no order. */
  readonly names: readonly string[];
  /** Whether these are all. */
  readonly isWhole: boolean;
}

/** Lists it. @throws {Error} when it can't be read */
export async function listDirectory(path: string): Promise<Listing> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(path)) {
    if (names.length === ENTRIES_MAX) return { names, isWhole: false };
    names.push(name);
  }
  return { names, isWhole: true };
}

/** Whether there is a file of this name. */
export function isAlreadyThere(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
