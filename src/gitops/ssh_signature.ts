/**
 * Signatures made by `ssh-keygen -Y sign`, which is what Git uses with `gpg.format=ssh` (PROTOCOL.sshsig of OpenSSH).
 *
 * The signature carries the key. It is trusted when it is among the allowed signers, never because it is there.
 *
 * @module
 */
import { dearmor } from "./armor.ts";
import type { AllowedSigner } from "./allowed_signers.ts";
import { readSshKey, shown, type SshKey, SshReader, verifySshBlob } from "./ssh_key.ts";
import type { Verdict } from "./verdict.ts";

/** The SSH keys whose signatures count. */
export interface SshTrust {
  /** Lines of `allowed_signers` files, in their order. */
  readonly lines: readonly AllowedSigner[];
  /** Fingerprints of keys that count without such a line, `SHA256:…`. */
  readonly fingerprints: ReadonlySet<string>;
}

/** What Git signs for. */
const NAMESPACE = "git";

/** What was signed, and the signature. */
export interface SshSigned {
  /** The bytes that are signed. */
  readonly payload: Uint8Array<ArrayBuffer>;
  /** The signature, from its first line to its last. */
  readonly armored: string;
  /** When that was, as the commit or the tag says; `null` when it doesn't. */
  readonly signedAt: Date | null;
}

/** Judges a signature. The key must be valid now, and at the time which the commit itself names. */
export async function verifySsh(signed: SshSigned, trust: SshTrust, now: Date): Promise<Verdict> {
  const signature = await read(signed.armored);
  if (!signature) return refused("The SSH signature is damaged: sign again");
  const { key, namespace } = signature;
  const { fingerprint } = key;
  if (namespace !== NAMESPACE) {
    return refused(
      `The SSH signature is for the namespace ${
        shown(namespace)
      } instead of "${NAMESPACE}": let Git make it (gpg.format=ssh)`,
      fingerprint,
    );
  }
  if (key.unsupported) return refused(`SSH ${key.unsupported}`, fingerprint);
  const terms = termsOf(key, trust, [now, ...signed.signedAt ? [signed.signedAt] : []]);
  if (typeof terms === "string") return refused(terms, fingerprint);
  const isBy = await isSigned(signature, signed.payload);
  if (typeof isBy === "string") return refused(`The SSH signature doesn't count: ${isBy}`, fingerprint);
  if (isBy) return { state: "good", kind: "ssh", signer: terms.signer, fingerprint };
  return refused(
    "The SSH signature doesn't belong to this content: it was changed after it was signed, or signed elsewhere",
    fingerprint,
  );
}

function refused(reason: string, fingerprint?: string): Verdict {
  return { state: "refused", reason, ...fingerprint === undefined ? {} : { fingerprint } };
}

/** What a signature says of itself. */
interface SshSignature {
  readonly key: SshKey;
  readonly keyBlob: Uint8Array<ArrayBuffer>;
  readonly namespace: string;
  readonly hash: string;
  readonly value: Uint8Array<ArrayBuffer>;
}

const MAGIC = "SSHSIG";

async function read(armored: string): Promise<SshSignature | null> {
  // Older versions of OpenSSH refuse CRLF, so that all do.
  const blob = armored.includes("\r") ? null : dearmor(armored, "SSH SIGNATURE", { headers: false });
  if (!blob) return null;
  try {
    const reader = new SshReader(blob);
    if (new TextDecoder("latin1").decode(reader.raw(MAGIC.length)) !== MAGIC || reader.uint32() !== 1) {
      return null;
    }
    const keyBlob = reader.bytes();
    const namespace = reader.text();
    reader.bytes(); // reserved
    const parts = { namespace, hash: reader.text(), value: reader.bytes() };
    reader.end();
    return { key: await readSshKey(keyBlob), keyBlob, ...parts };
  } catch (cause) {
    if (cause instanceof SyntaxError) return null;
    throw cause;
  }
}

/** By which of its lines the key counts at all these times; a sentence when it doesn't. */
function termsOf(
  { base64, fingerprint }: SshKey,
  { lines, fingerprints }: SshTrust,
  times: readonly Date[],
): { readonly signer: string } | string {
  const own = lines.filter((line) => line.key.base64 === base64);
  if (own.length === 0) {
    if (fingerprints.has(fingerprint)) return { signer: fingerprint };
    return `Signed by the SSH key ${fingerprint}, which isn't among gitops.allowedSigners`;
  }
  const forGit = own.filter(({ namespaces }) => namespaces === null || matches(NAMESPACE, namespaces));
  if (forGit.length === 0) return `${own[0]!.at}: this key may not sign in the namespace "${NAMESPACE}"`;
  const valid = forGit.find((line) => times.every((time) => isValid(line, time)));
  if (valid) return { signer: valid.principal };
  const [first] = forGit;
  const time = times.find((each) => !isValid(first!, each)) ?? times[0]!;
  return `${
    first!.at
  }: this key isn't valid at ${time.toISOString()} (it must be now, and when the commit was signed)`;
}

function isValid({ validAfter, validBefore }: AllowedSigner, time: Date): boolean {
  return (validAfter === null || time >= validAfter) && (validBefore === null || time <= validBefore);
}

/** Whether one of the patterns matches and none of those with `!` does, as in `ssh_config` (ssh_config(5), PATTERNS). */
function matches(text: string, patterns: string): boolean {
  const hits = patterns.split(",").filter((pattern) => globOf(pattern.replace(/^!/, "")).test(text));
  return hits.length > 0 && !hits.some((pattern) => pattern.startsWith("!"));
}

function globOf(pattern: string): RegExp {
  const escaped = pattern.replaceAll(/[^*?\w]/g, "\\$&").replaceAll(/\*+/g, ".*").replaceAll("?", ".");
  return new RegExp(`^${escaped}$`, "s");
}

const HASHES: Readonly<Record<string, string>> = { sha256: "SHA-256", sha512: "SHA-512" };

async function isSigned(
  { keyBlob, namespace, hash, value }: SshSignature,
  payload: Uint8Array<ArrayBuffer>,
): Promise<boolean | string> {
  const algorithm = HASHES[hash];
  if (!algorithm) return `the hash ${shown(hash)} isn't accepted`;
  const digest = new Uint8Array(await crypto.subtle.digest(algorithm, payload));
  const text = (each: string) => lengthFirst(new TextEncoder().encode(each));
  const signed = new Uint8Array([
    ...new TextEncoder().encode(MAGIC),
    ...text(namespace),
    ...text(""), // reserved: what stands there in the signature is ignored (PROTOCOL.sshsig)
    ...text(hash),
    ...lengthFirst(digest),
  ]);
  try {
    return await verifySshBlob(keyBlob, value, signed);
  } catch (cause) {
    // What can't be taken apart, and what the cryptography of the runtime refuses: points that aren't on the curve.
    if (cause instanceof SyntaxError || cause instanceof DOMException) return "it is damaged";
    throw cause;
  }
}

function lengthFirst(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(4 + bytes.length);
  new DataView(out.buffer).setUint32(0, bytes.length);
  out.set(bytes, 4);
  return out;
}
