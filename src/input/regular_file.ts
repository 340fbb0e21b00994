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

/** Longest file that holds a secret or a token, bytes: what is longer is another file. */
export const SECRET_BYTES_MAX: number = 64 << 10;
/** Longest PEM file, bytes: a chain of certificates has some KiB. */
export const PEM_BYTES_MAX: number = 1 << 20;

/**
 * The bytes of a file that can't be long; no more than `bytesMax` and one are read, whatever becomes of it meanwhile.
 *
 * @param room where they stand if it is enough: who reads without end leaves nothing to be collected
 * @throws {Error} when it can't be read, is no regular file, or is longer
 */
export function readShortFile(
  path: string,
  bytesMax: number,
  room: Uint8Array<ArrayBuffer> = new Uint8Array(0),
): Uint8Array {
  const info = Deno.statSync(path);
  expectRegular(info, bytesMax); // before it is opened: that alone waits for the other end of a pipe
  using file = Deno.openSync(path);
  // Room for what it says that it has: to clear what it may have takes milliseconds where that is megabytes.
  let bytes = info.size < room.length
    ? room.subarray(0, bytesMax + 1)
    : new Uint8Array(Math.min(bytesMax, Math.max(info.size, ROOM_MIN)) + 1);
  let size = 0;
  for (let count: number | null = 0; count !== null && size <= bytesMax; size += count ?? 0) {
    if (size === bytes.length) bytes = grown(bytes, bytesMax + 1);
    count = file.readSync(bytes.subarray(size));
  }
  if (size > bytesMax) throw tooLong(bytesMax);
  return bytes.buffer === room.buffer ? bytes.subarray(0, size) : bytes.slice(0, size);
}

/** Some files say that they have nothing, and have some bytes (proc(5)). */
const ROOM_MIN = 4 << 10;

function grown(bytes: Uint8Array, sizeMax: number): Uint8Array<ArrayBuffer> {
  const more = new Uint8Array(Math.min(sizeMax, 2 * bytes.length));
  more.set(bytes);
  return more;
}

/**
 * Refuses what can't be read whole: pipes and devices, which have no end, folders, and files that are too long.
 *
 * @throws {Error} with what it is instead
 */
export function expectRegular(
  { isFile, isDirectory, size }: Deno.FileInfo,
  bytesMax: number = FILE_BYTES_MAX,
): void {
  if (isDirectory) throw new Deno.errors.IsADirectory("Is a directory");
  if (!isFile) throw new Error("it is no regular file (a pipe or a device has no end)");
  if (size > bytesMax) throw tooLong(bytesMax);
}

function tooLong(bytesMax: number): Error {
  const [size, unit] = bytesMax < 1 << 20 ? [bytesMax >> 10, "KiB"] : [bytesMax >> 20, "MiB"];
  return new Error(`it has more than ${size} ${unit}`);
}
