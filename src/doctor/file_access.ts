/**
 * Whether this process may use a file, as the kernel says: a file system that is mounted for reading only, for one, isn't to be
 * seen in a file's mode.
 *
 * @module
 */
import { access, constants } from "node:fs/promises";

/** Ways to use a file, to be joined by `|`. */
export const MAY: { readonly read: number; readonly write: number; readonly enter: number } = {
  read: constants.R_OK,
  write: constants.W_OK,
  enter: constants.X_OK,
};

/** Why this process can't use a file so; `null` = it can. */
export async function accessFault(path: string, ways: number): Promise<string | null> {
  const errno = errnoOfAccess(path, ways);
  if (errno !== null) return errno === 0 ? null : REASONS[errno] ?? `error ${errno} of the system`;
  try {
    await access(path, ways);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** EPERM, ENOENT, EACCES, EROFS. */
const REASONS: Readonly<Record<number, string>> = {
  1: "this user may not",
  2: "there is no such file",
  13: "this user may not",
  30: "its file system is mounted for reading only",
};

/** What access(2) says, 0 = yes; `null` where there is no such C library, or it may not be called. */
function errnoOfAccess(path: string, ways: number): number | null {
  if (Deno.build.os !== "linux") return null;
  try {
    const libc = Deno.dlopen("libc.so.6", {
      access: { parameters: ["buffer", "i32"], result: "i32" },
      __errno_location: { parameters: [], result: "pointer" },
    });
    const { access, __errno_location } = libc.symbols;
    const result = access(new TextEncoder().encode(`${path}\0`), ways);
    const errno = result === 0 ? 0 : new Deno.UnsafePointerView(__errno_location()!).getInt32();
    libc.close();
    return errno;
  } catch {
    return null;
  }
}
