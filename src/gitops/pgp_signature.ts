/**
 * Signatures by OpenPGP keys, and the keyring that holds those keys.
 *
 * The library checks the mathematics and the bindings between keys. What makes a key count is decided here, as GnuPG
 * decides it: it must be valid *now*, not when it signed. A key that has expired or was revoked since, for whichever
 * reason, signs nothing any more, since the time in a signature is only what its maker says.
 *
 * @module
 */
import type { Key, PublicKey, SignaturePacket, Subkey } from "openpgp";
import { dearmor } from "./armor.ts";
import type { Verdict } from "./verdict.ts";

/** The OpenPGP keys whose signatures count. */
export interface PgpTrust {
  /** Each key once, with all that the keyring says of it. */
  readonly keys: readonly PublicKey[];
  /** Of those that count: fingerprints of keys, or of subkeys for these alone; upper-case hexadecimal digits. */
  readonly fingerprints: ReadonlySet<string>;
}

/** What was signed, and the signature. */
export interface PgpSigned {
  /** The bytes that are signed. */
  readonly payload: Uint8Array<ArrayBuffer>;
  /** The signature, from its first line to its last. */
  readonly armored: string;
}

/** Judges a signature. */
export async function verifyPgp(signed: PgpSigned, trust: PgpTrust, now: Date): Promise<Verdict> {
  const signature = await readSignature(signed.armored);
  if (typeof signature === "string") return refused(signature);
  const issuer = signature.issuerKeyID;
  const found = trust.keys.flatMap((owner) => owner.getKeys(issuer).map((key) => ({ owner, key })));
  if (found.length === 0) {
    return refused(`Signed by the PGP key ${hexOf(issuer)}, which isn't in gitops.keyring`);
  }
  let verdict: Verdict | null = null;
  // Ids have 64 bits: two keys may have the same one.
  for (const each of found) {
    verdict = await judge(signature, signed.payload, each, { trust, now });
    if (verdict.state === "good") break;
  }
  return verdict!;
}

function refused(reason: string, fingerprint?: string): Verdict {
  return { state: "refused", reason, ...fingerprint === undefined ? {} : { fingerprint } };
}

function hexOf(id: { toHex(): string }): string {
  return id.toHex().toUpperCase();
}

/** The one signature in the block; a sentence when there isn't exactly one over a document. */
async function readSignature(armored: string): Promise<SignaturePacket | string> {
  const blob = dearmor(armored, "PGP SIGNATURE", { headers: true });
  const openpgp = await import("openpgp");
  const packets = blob &&
    await openpgp.readSignature({ binarySignature: blob }).then(({ packets }) => packets, () => null);
  const [signature, second] = packets ?? [];
  if (!(signature instanceof openpgp.SignaturePacket) || signature.created === null) {
    return "The PGP signature is damaged, or of a version that isn't supported: sign again";
  }
  if (second) return "There is more than one PGP signature: sign with one key";
  if (signature.hashAlgorithm === null || !STRONG_HASHES.has(signature.hashAlgorithm)) {
    return "The PGP signature is over a hash below 256 bits, which can be forged: sign with SHA-256 or better";
  }
  if (signature.signatureType !== openpgp.enums.signature.binary) {
    return "The PGP signature isn't one over a binary document: let Git make it";
  }
  return signature;
}

/** SHA-256, SHA-384, SHA-512, SHA3-256 and SHA3-512 (RFC 9580 §9.5). */
const STRONG_HASHES: ReadonlySet<number> = new Set([8, 9, 10, 12, 14]);

async function judge(
  signature: SignaturePacket,
  payload: Uint8Array<ArrayBuffer>,
  { owner, key }: { readonly owner: PublicKey; readonly key: Key | Subkey },
  { trust, now }: { readonly trust: PgpTrust; readonly now: Date },
): Promise<Verdict> {
  const [fingerprint, primary] = [fingerprintOf(key), fingerprintOf(owner)];
  if (!trust.fingerprints.has(fingerprint) && !trust.fingerprints.has(primary)) {
    return refused(
      `Signed by the PGP key ${fingerprint}, which isn't among gitops.allowedSigners`,
      fingerprint,
    );
  }
  const fault = faultOfKind(owner) ?? faultOfKind(key) ?? await faultOfKey(owner, key, now) ??
    faultOfTimes(signature, key, now) ?? await faultOfSignature(signature, payload, key);
  return fault
    ? refused(fault, fingerprint)
    : { state: "good", kind: "pgp", signer: await nameOf(owner, now), fingerprint };
}

/** Why no key of this kind counts. */
function faultOfKind(key: Key | Subkey): string | null {
  const { algorithm, bits, curve } = key.getAlgorithmInfo();
  const isAccepted = algorithm.startsWith("rsa")
    ? bits! >= 2048
    : algorithm !== "dsa" && curve !== "secp256k1";
  if (isAccepted) return null;
  const kind = curve ?? (bits === undefined ? algorithm : `${algorithm} of ${bits} bits`);
  return `PGP keys of the kind ${kind} aren't accepted: sign with Ed25519, with RSA from 2,048 bits, or with ECDSA`;
}

/** Why these bytes aren't signed by this key. */
async function faultOfSignature(
  signature: SignaturePacket,
  payload: Uint8Array<ArrayBuffer>,
  key: Key | Subkey,
): Promise<string | null> {
  const openpgp = await import("openpgp");
  const [literal] = (await openpgp.createMessage({ binary: payload })).packets;
  try {
    // At the time that it names itself, a signature is neither of the future nor expired: times are judged apart.
    const time = signature.created!;
    await signature.verify(key.keyPacket, openpgp.enums.signature.binary, literal!, time, true);
    return null;
  } catch (cause) {
    const reason = reasonOf(cause);
    return `The PGP signature doesn't belong to this content (${reason}): it was changed after it was signed, or signed elsewhere`;
  }
}

function faultOfTimes(signature: SignaturePacket, key: Key | Subkey, now: Date): string | null {
  if (signature.created! < key.getCreationTime()) {
    return "The PGP signature is older than its key: sign again";
  }
  return signature.getExpirationTime() <= now ? "The PGP signature has expired: sign again" : null;
}

/** Why the key doesn't count now. */
async function faultOfKey(owner: PublicKey, key: Key | Subkey, now: Date): Promise<string | null> {
  if (await owner.isRevoked(undefined, undefined, EVER)) return revoked(owner);
  if ("bindingSignatures" in key) {
    for (const binding of key.bindingSignatures) {
      if (await key.isRevoked(binding, owner.keyPacket, EVER)) return revoked(key);
    }
  }
  try {
    const signing = await owner.getSigningKey(key.getKeyID(), now);
    if (fingerprintOf(signing) === fingerprintOf(key)) return null;
    return `The PGP key ${fingerprintOf(key)} isn't one for signing: sign with another one`;
  } catch (cause) {
    return `The PGP key ${fingerprintOf(key)} isn't valid now (${
      reasonOf(cause)
    }): sign with another one, or renew it in gitops.keyring`;
  }
}

function revoked(key: Key | Subkey): string {
  return `The PGP key ${fingerprintOf(key)} is revoked: sign with another one`;
}

/** The last moment that there is: a revocation counts however its own time is set. */
const EVER = new Date(8.64e15);

/** What the library says, without the sentences in which it wraps its reasons. */
function reasonOf(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : String(cause);
  const [line] = message.replace(/^(?:Could not [^:]*: )+/, "").split("\n");
  return line!.slice(0, 120).replace(/\.$/, "").replace(/^[A-Z](?=[a-z])/, (first) => first.toLowerCase());
}

async function nameOf(owner: PublicKey, now: Date): Promise<string> {
  // Keys of version 6 may have no user.
  const name = await owner.getPrimaryUser(now).then(({ user }) => user.userID?.userID, () => null);
  // Control characters would move the cursor of whoever reads the log.
  return (name ?? fingerprintOf(owner)).slice(0, 256).replaceAll(/\p{Cc}/gu, "?");
}

function fingerprintOf(key: Key | Subkey): string {
  return key.getFingerprint().toUpperCase();
}

/**
 * Reads a keyring: public keys, armored, in one block or several, or binary. A revocation certificate may stand in a
 * block of its own, behind or in front of the key. What is said of one key in several places is put together.
 *
 * @param file how it is called in errors
 * @throws {SyntaxError} `file:line: what is wrong`, the line being the first of its block
 */
export async function readKeyring(bytes: Uint8Array<ArrayBuffer>, file: string): Promise<PublicKey[]> {
  const openpgp = await import("openpgp");
  const keys = new Map<string, PublicKey>();
  const revocations: SignaturePacket[] = [];
  for (const { at, packets } of blocksOf(bytes, file)) {
    try {
      if (tagOf(packets) === openpgp.enums.packet.signature) {
        const { packets: found } = await openpgp.readSignature({ binarySignature: packets });
        revocations.push(...found);
        continue;
      }
      for (const key of await openpgp.readKeys({ binaryKeys: packets })) {
        if (key.isPrivate()) {
          throw new SyntaxError("it holds a private key; give the public one (gpg --armor --export)");
        }
        const [name, known] = [fingerprintOf(key), keys.get(fingerprintOf(key))];
        keys.set(name, known ? await known.update(key, EVER) : key);
      }
    } catch (cause) {
      throw new SyntaxError(`${at}: ${reasonOf(cause)}`, { cause });
    }
  }
  for (const revocation of revocations) {
    for (const key of keys.values()) {
      // Whether the key made it is checked where it is judged.
      if (key.getKeyID().equals(revocation.issuerKeyID)) key.revocationSignatures.push(revocation);
    }
  }
  return [...keys.values()];
}

const LABEL = "PGP PUBLIC KEY BLOCK";

function* blocksOf(
  bytes: Uint8Array<ArrayBuffer>,
  file: string,
): Generator<{ readonly at: string; readonly packets: Uint8Array<ArrayBuffer> }> {
  if (bytes[0]! & 0x80) return yield { at: file, packets: bytes };
  const lines = new TextDecoder("latin1").decode(bytes).split("\n").map((line) => line.trimEnd());
  for (let i = 0; i < lines.length; i++) {
    const label = /^-----BEGIN (.*)-----$/.exec(lines[i]!)?.[1];
    if (label === undefined) continue;
    const at = `${file}:${i + 1}`;
    if (label === "PGP PRIVATE KEY BLOCK") {
      throw new SyntaxError(`${at}: this is a private key; give the public one (gpg --armor --export)`);
    }
    if (label !== LABEL) throw new SyntaxError(`${at}: ${JSON.stringify(label)} is no PGP public key`);
    const end = lines.indexOf(`-----END ${LABEL}-----`, i);
    const packets = end < 0 ? null : dearmor(lines.slice(i, end + 1).join("\n"), LABEL, { headers: true });
    if (!packets) {
      throw new SyntaxError(`${at}: the block is damaged: export the key again (gpg --armor --export)`);
    }
    yield { at, packets };
    i = end;
  }
}

/** The type of the first packet (RFC 9580 §4.2). */
function tagOf([first = 0]: Uint8Array): number {
  return first & 0x40 ? first & 0x3f : (first & 0x3f) >> 2;
}
