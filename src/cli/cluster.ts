/**
 * What `pleiades cluster key` does: keys are drawn and read here, with no node running.
 *
 * @module
 */
import { newKeyPair, privateKeyFault, publicKeyOf } from "../cluster/signing.ts";
import { fileFault } from "../input/file_fault.ts";
import { readShortFile, SECRET_BYTES_MAX } from "../input/regular_file.ts";
import { CommandFailed, type ExitCode } from "./failure.ts";
import type { Terminal } from "./terminal.ts";

/** Prints a private key and nothing else on stdout, so that it can go to a file. */
export async function newKey(terminal: Terminal): Promise<ExitCode> {
  const { privateKey, publicKey } = await newKeyPair();
  terminal.out(privateKey);
  terminal.err(`for state.signing.keys of every node: ${publicKey}`);
  return 0;
}

/** Prints the public key of a file's private one. @throws {CommandFailed} when the file has none */
export async function publicKey(file: string, terminal: Terminal): Promise<ExitCode> {
  const text = read(file);
  const fault = privateKeyFault(text);
  if (fault !== null) throw new CommandFailed(`${file}: the key ${fault}`, 1);
  terminal.out(await publicKeyOf(text));
  return 0;
}

function read(file: string): string {
  try {
    return new TextDecoder().decode(readShortFile(file, SECRET_BYTES_MAX)).trim();
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    throw new CommandFailed(`Cannot read the key's file ${file}: ${fileFault(cause)}`, 1, { cause });
  }
}
