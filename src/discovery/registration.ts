/**
 * Registering: a provider's state is written so that whoever reads the directory sees the file before or the one after, and
 * never half of it, whatever happens meanwhile.
 *
 * @module
 */

/** Files being written begin with this; those that a kill left behind are removed by the next registration. */
const TEMPORARY = ".registering-";

/**
 * Writes a provider's file: beside its place, onto the disk, and then into its place. Waiting for the disk keeps nothing else
 * waiting.
 *
 * @param placed called when the file is in its place; the directory isn't on the disk then
 * @throws {Error} of the system's; the file is then what it was, and nothing else is left
 */
export async function writeProviderFile(
  directory: string,
  provider: string,
  bytes: Uint8Array,
  placed: () => void = () => {},
): Promise<void> {
  const temporary = `${directory}/${TEMPORARY}${provider}`;
  try {
    // One place for each provider: what a kill has left is written over.
    using file = await Deno.open(temporary, { write: true, create: true, truncate: true, mode: 0o644 });
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
    await file.sync();
    Deno.renameSync(temporary, `${directory}/${provider}.json`);
  } catch (error) {
    removeIfThere(temporary);
    throw error;
  }
  placed();
  await syncDirectory(directory);
}

/** Removes a provider's file. @returns whether there was one */
export async function removeProviderFile(directory: string, provider: string): Promise<boolean> {
  if (!removeIfThere(`${directory}/${provider}.json`)) return false;
  await syncDirectory(directory);
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
async function syncDirectory(directory: string): Promise<void> {
  using folder = await Deno.open(directory, { read: true });
  await folder.sync();
}
