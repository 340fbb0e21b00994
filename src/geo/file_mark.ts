/**
 * When a file has changed, as far as one can tell without reading it.
 *
 * Who writes in place rather than by renaming may be in the middle of it when it is looked at; so a change counts when
 * the file has stayed the same from one look to the next.
 *
 * @module
 */
import { fileFault } from "../input/file_fault.ts";

/** A file at some time; two marks with the same text are of the same bytes. */
export interface FileMark {
  /** Times, size and number of the file; or why it can't be looked at. */
  readonly text: string;
  /** Bytes; 0 when it can't be looked at. */
  readonly size: number;
}

/** The time of the last change of anything is there for files that are replaced by others of the same size and age. */
export async function markOf(path: string): Promise<FileMark> {
  try {
    const { mtime, ctime, size, ino } = await Deno.stat(path);
    return { text: [mtime?.getTime(), ctime?.getTime(), size, ino].join(" "), size };
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    return { text: fileFault(cause), size: 0 };
  }
}
