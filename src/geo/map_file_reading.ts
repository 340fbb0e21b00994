/**
 * From a map file's path to its table, on whatever thread this is.
 *
 * @module
 */
import { expectRegular } from "../input/regular_file.ts";
import { compileMapFile, MapFileFault } from "./map_file_table.ts";
import { fileFault } from "../input/file_fault.ts";
import type { FileProblem } from "../input/yaml_source.ts";

/** What became of a file; problems stand in the order of lines. */
export type MapFileReading =
  | { readonly kind: "compiled"; readonly table: SharedArrayBuffer }
  | {
    readonly kind: "faulty";
    readonly problems: readonly FileProblem[];
    /** Whether nothing was found wrong in it, but it can't be read at all. */
    readonly isUnreadable: boolean;
  };

/** Reads and compiles a map file; never rejects. */
export async function readMapFile(path: string): Promise<MapFileReading> {
  try {
    expectRegular(await Deno.stat(path));
    return { kind: "compiled", table: compileMapFile(await Deno.readFile(path)) };
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    return {
      kind: "faulty",
      problems: problemsOf(path, cause),
      isUnreadable: !(cause instanceof MapFileFault),
    };
  }
}

function problemsOf(file: string, cause: Error): FileProblem[] {
  if (cause instanceof MapFileFault) return cause.problems.map((problem) => ({ file, ...problem }));
  return [{ file, line: 0, column: 0, message: `can't be read: ${fileFault(cause)}` }];
}
