/**
 * What settings look at outside of this program.
 *
 * @module
 */
import { accessSync, constants, existsSync } from "node:fs";
import { homedir } from "node:os";
import { dirname } from "node:path";

/** The machine, as far as settings depend on it. */
export interface SettingsOutside {
  /** The bytes of a file. @throws {Error} when it can't be read */
  readFile(path: string): Uint8Array;
  /** Whether there is such a file. */
  exists(path: string): boolean;
  /** Whether this user may write into the folder, or make it. */
  isWritable(folder: string): boolean;
  /** The machine's name, perhaps with dots. */
  hostname(): string;
  /** The user's home folder. */
  homeFolder(): string;
  /** How many threads run at the same time. */
  processors(): number;
}

/** This machine. */
export const systemOutside: SettingsOutside = {
  readFile: (path) => Deno.readFileSync(path),
  exists: existsSync,
  isWritable,
  hostname: () => Deno.hostname(),
  homeFolder: homedir,
  processors: () => navigator.hardwareConcurrency,
};

function isWritable(folder: string): boolean {
  let existing = folder;
  while (!existsSync(existing)) existing = dirname(existing);
  try {
    accessSync(existing, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
