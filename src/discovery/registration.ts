/**
 * Registering: a provider's state is written so that whoever reads the directory sees the file before or the one after, and
 * never half of it, whatever happens meanwhile.
 *
 * @module
 */
import { createFile } from "./created_file.ts";

/** Files being written begin with this; those that a kill left behind are removed by the next registration. */
const TEMPORARY = ".registering-";

/**
 * Writes a provider's file: beside its place, onto the disk, and then into its place. Waiting for the disk keeps nothing else
 * waiting, and that a rename does as well as a write.
 *
 * @param placed called when the file is in its place, with its number; the directory isn't on the disk then
 * @throws {Error} of the system's; the file is then what it was, and nothing else is left
 */
export async function writeProviderFile(
  directory: string,
  provider: string,
  bytes: Uint8Array,
  placed: (ino: number | null) => void = () => {},
): Promise<void> {
  const temporary = `${directory}/${TEMPORARY}${provider}`;
  let ino: number | null;
  try {
    // One place for each provider: what a kill has left is written over.
    using file = await createFile(temporary, 0o644);
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
    await file.sync();
    ({ ino } = await file.stat());
    await Deno.rename(temporary, `${directory}/${provider}.json`);
  } catch (error) {
    await removeIfThere(temporary);
    throw error;
  }
  placed(ino);
  await syncDirectory(directory);
}

/** Removes a provider's file. @returns whether there was one */
export async function removeProviderFile(directory: string, provider: string): Promise<boolean> {
  if (!await removeIfThere(`${directory}/${provider}.json`)) return false;
  await syncDirectory(directory);
  return true;
}

async function removeIfThere(path: string): Promise<boolean> {
  try {
    await Deno.remove(path);
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
