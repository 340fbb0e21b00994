/**
 * Registering: a provider's state is written so that whoever reads the directory sees the file before or the one after, and
 * never half of it, whatever happens meanwhile.
 *
 * @module
 */

/** Files being written begin with this; those that a kill left behind are removed by the next registration. */
const TEMPORARY = ".registering-";

/**
 * Writes a provider's file: beside its place, onto the disk, and then into its place.
 *
 * @throws {Error} of the system's; the file is then what it was, and nothing else is left
 */
export function writeProviderFile(directory: string, provider: string, bytes: Uint8Array): void {
  const temporary = `${directory}/${TEMPORARY}${provider}`;
  try {
    // One place for each provider: what a kill has left is written over.
    using file = Deno.openSync(temporary, { write: true, create: true, truncate: true, mode: 0o644 });
    for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
    file.syncSync();
    Deno.renameSync(temporary, `${directory}/${provider}.json`);
  } catch (error) {
    removeIfThere(temporary);
    throw error;
  }
  syncDirectory(directory);
}

/** Removes a provider's file. @returns whether there was one */
export function removeProviderFile(directory: string, provider: string): boolean {
  if (!removeIfThere(`${directory}/${provider}.json`)) return false;
  syncDirectory(directory);
  return true;
}

function removeIfThere(path: string): boolean {
  try {
    Deno.removeSync(path);
    return true;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return false;
    throw cause;
  }
}

/** Without it a file may be in its place, and not be there after a loss of power. */
function syncDirectory(directory: string): void {
  using folder = Deno.openSync(directory, { read: true });
  folder.syncSync();
}
