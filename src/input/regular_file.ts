/**
 * Files that are read whole: regular ones only, since a pipe or a device may be waited for without end.
 *
 * @module
 */

/** Longer files are taken for a mistake: the largest databases of places have a few hundred MiB. */
export const FILE_BYTES_MAX = 2 ** 31 - 1;

/**
 * The bytes of a file.
 *
 * @throws {Error} when it can't be read, is no regular file, or is too long
 */
export function readRegularFile(path: string): Uint8Array {
  expectRegular(Deno.statSync(path));
  return Deno.readFileSync(path);
}

/**
 * Refuses what can't be read whole: pipes and devices, which have no end, folders, and files that are too long.
 *
 * @throws {Error} with what it is instead
 */
export function expectRegular({ isFile, isDirectory, size }: Deno.FileInfo): void {
  if (isDirectory) throw new Deno.errors.IsADirectory("Is a directory");
  if (!isFile) throw new Error("it is no regular file (a pipe or a device has no end)");
  if (size > FILE_BYTES_MAX) throw new Error(`it has more than ${FILE_BYTES_MAX >> 20} MiB`);
}
