/**
 * Who may sign: the keys that the settings trust, read from their files.
 *
 * Files are read whole each time, so that a key that is taken out, or a revocation certificate that is dropped in,
 * counts from the next poll on.
 *
 * @module
 */
import { fileFault } from "../input/file_fault.ts";
import { expectRegular } from "../input/regular_file.ts";
import { type AllowedSigner, readAllowedSigners } from "./allowed_signers.ts";
import { type PgpTrust, readKeyring } from "./pgp_signature.ts";
import type { SshTrust } from "./ssh_signature.ts";

/** Where the trusted keys come from. */
export interface SignerSettings {
  /** Path of a file of OpenPGP public keys; `null` without one. */
  readonly keyring: string | null;
  /**
   * Fingerprints of OpenPGP keys in the keyring (40 or 64 hexadecimal digits), fingerprints of SSH keys (`SHA256:…`),
   * and paths of files in the `allowed_signers` format of OpenSSH.
   */
  readonly allowedSigners: readonly string[];
}

/** Keys whose signatures count, as they were when they were read. */
export interface Signers {
  /** No signature at all can be good. */
  readonly isEmpty: boolean;
  /** Of the keyring. */
  readonly pgp: PgpTrust;
  /** Of `allowed_signers` files, and by their fingerprints. */
  readonly ssh: SshTrust;
}

/** Larger files are refused: a key with many signatures has some 100 KiB, a line of an SSH key 1 KiB. */
export const SIGNER_FILE_BYTES_MAX = 4 << 20;

/**
 * Reads the trusted keys.
 *
 * @throws {SyntaxError} with the place, `file:line` where there is one, of what can't be read
 */
export async function readSigners({ keyring, allowedSigners }: SignerSettings): Promise<Signers> {
  const pgpFingerprints = new Set<string>();
  const sshFingerprints = new Set<string>();
  const lines: AllowedSigner[] = [];
  for (const entry of allowedSigners) {
    const digits = entry.replace(/^0x/i, "").replaceAll(/[\s:]/g, "");
    if (/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/i.test(digits)) pgpFingerprints.add(digits.toUpperCase());
    else if (/^SHA256:[A-Za-z0-9+/]{43}=?$/.test(entry)) sshFingerprints.add(entry.replace(/=$/, ""));
    else lines.push(...await readAllowedSigners(textOf(await readFile(entry, notAFile(entry))), entry));
  }
  const keys = keyring === null ? [] : await readKeyring(await readFile(keyring, keyring), keyring);
  const held = new Set(keys.flatMap((key) => key.getKeys()).map((key) => key.getFingerprint().toUpperCase()));
  for (const fingerprint of pgpFingerprints) {
    if (held.has(fingerprint)) continue;
    throw new SyntaxError(
      `gitops.allowedSigners: the PGP key ${fingerprint} isn't in ${
        keyring ?? "gitops.keyring, which isn't set"
      }: put it there (gpg --armor --export ${fingerprint})`,
    );
  }
  const usable = lines.some(({ key }) => key.unsupported === null);
  return {
    isEmpty: pgpFingerprints.size === 0 && sshFingerprints.size === 0 && !usable,
    pgp: { keys, fingerprints: pgpFingerprints },
    ssh: { lines, fingerprints: sshFingerprints },
  };
}

/** How an entry is called when it can't be read as a file: it may have been meant as something else. */
function notAFile(entry: string): string {
  const short = entry.slice(0, 80);
  if (/^(?:0x)?[0-9a-f]{8,39}$/i.test(entry)) {
    return `gitops.allowedSigners: ${short} is the short id of a key, which anyone can make; give the whole fingerprint (40 digits), or a file`;
  }
  if (/^(ssh|ecdsa|sk)-\S+\s/.test(entry)) {
    return `gitops.allowedSigners: ${short} is a key; give its fingerprint (ssh-keygen -l), or a file with "name ${short}"`;
  }
  return `gitops.allowedSigners: ${short}`;
}

async function readFile(path: string, name: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const info = await Deno.stat(path);
    expectRegular(info);
    if (info.size > SIGNER_FILE_BYTES_MAX) {
      throw new RangeError(`it has more than ${SIGNER_FILE_BYTES_MAX >> 20} MiB`);
    }
    return await Deno.readFile(path);
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    throw new SyntaxError(`${name}: ${fileFault(cause)}`, { cause });
  }
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
