/**
 * What settings look at outside of this program.
 *
 * @module
 */
import { accessSync, constants, existsSync } from "node:fs";
import { homedir } from "node:os";
import { dirname } from "node:path";
import { expectRegular, readRegularFile, readShortFile } from "../input/regular_file.ts";

/** The machine, as far as settings depend on it. */
export interface SettingsOutside {
  /** The bytes of a file, as many as it may have. @throws {Error} when it can't be read, or is longer */
  readFile(path: string, bytesMax?: number): Uint8Array;
  /** Makes sure that a file could be read, without doing it. @throws {Error} when it can't be */
  expectReadable(path: string): void;
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
  /** Why TLS can't be served with these PEM texts; `null` = it can. */
  tlsRefusal(cert: string, key: string): string | null;
}

/** This machine. */
export const systemOutside: SettingsOutside = {
  readFile: (path, bytesMax) =>
    bytesMax === undefined ? readRegularFile(path) : readShortFile(path, bytesMax),
  expectReadable,
  exists: existsSync,
  isWritable,
  hostname: () => Deno.hostname(),
  homeFolder: homedir,
  processors: () => navigator.hardwareConcurrency,
  tlsRefusal,
};

function expectReadable(path: string): void {
  expectRegular(Deno.statSync(path)); // before it is opened: that alone waits for the other end of a pipe
  Deno.openSync(path).close();
}

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

/** Listens for a moment on loopback: nothing less reads a certificate as a server does. */
function tlsRefusal(cert: string, key: string): string | null {
  try {
    Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key }).close();
    return null;
  } catch (error) {
    const isOfNetwork = error instanceof Deno.errors.AddrNotAvailable;
    return isOfNetwork || !(error instanceof Error) ? null : error.message;
  }
}
