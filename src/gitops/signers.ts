/**
 * Who may sign: the keys that the settings trust, read from their files.
 *
 * @module
 */

/** Where the trusted keys come from. */
export interface SignerSettings {
  /** Path of a file of OpenPGP public keys; `null` without one. */
  readonly keyring: string | null;
  /** Fingerprints, or paths of files in the `allowed_signers` format of OpenSSH. */
  readonly allowedSigners: readonly string[];
}

/** Keys whose signatures count, as they were when they were read. */
export interface Signers {
  /** No signature at all can be good. */
  readonly isEmpty: boolean;
}

/**
 * Reads the trusted keys.
 *
 * @throws {SyntaxError} with the place, `file:line` where there is one, of what can't be read
 */
export function readSigners(_settings: SignerSettings): Promise<Signers> {
  return Promise.reject(new SyntaxError("Not in this version"));
}
