/**
 * Looks into the databases that settings name. This is apart from `loadSettings`, which answers in one turn: files of
 * hundreds of megabytes are read on a thread, and a node that reloads goes on meanwhile.
 *
 * @module
 */
import { databaseFault } from "../geo/database_fault.ts";
import { type FileProblem, sortProblems } from "../input/yaml_source.ts";
import type { LoadedSettings } from "./settings.ts";

/** Adds what is wrong with the databases; with any problem there are no settings. */
export async function judgeDatabases(
  loaded: LoadedSettings,
  faultOf: typeof databaseFault = databaseFault,
): Promise<LoadedSettings> {
  const problems: FileProblem[] = [];
  // One after the other: each takes the memory of its file.
  for (const { path, kind, shown, problem } of loaded.databases) {
    const fault = await faultOf(path, kind);
    if (fault === null) continue;
    const { isUnreadable, reason } = fault;
    problems.push(
      problem(`${shown} ${isUnreadable ? "can't be read" : "can't be used as a database"}: ${reason}`),
    );
  }
  if (problems.length === 0) return loaded;
  return {
    ...loaded,
    settings: null,
    problems: sortProblems([...loaded.problems, ...problems]),
    refusedDatabases: problems.length,
  };
}
