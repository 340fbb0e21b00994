/**
 * SSH public keys (RFC 4253 §6.6, RFC 5656 §3.1, RFC 8709 §4) and what their algorithms sign.
 *
 * @module
 */

/** A public key. */
export interface SshKey {
  /** Such as `ssh-ed25519`. */
  readonly type: string;
  /** The key as it is written on a line of a file: it is this key if and only if this is equal. */
  readonly base64: string;
  /** `SHA256:` and 43 characters of base64, as `ssh-keygen -l` prints it. */
  readonly fingerprint: string;
  /** Why signatures by this kind of key can't be checked; `null` when they can. */
  readonly unsupported: string | null;
}

/**
 * Reads the blob of a key.
 *
 * @throws {SyntaxError} when it isn't one
 */
export async function readSshKey(blob: Uint8Array<ArrayBuffer>): Promise<SshKey> {
  const reader = new SshReader(blob);
  const type = reader.text();
  if (unsupportedType(type) === null) readParts(type, reader);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", blob));
  return {
    type,
    base64: encodeBase64(blob),
    fingerprint: `SHA256:${encodeBase64(hash).replace(/=+$/, "")}`,
    unsupported: unsupportedType(type),
  };
}

/** Types of keys whose signatures can be checked. */
export const SSH_KEY_TYPES = [
  "ssh-ed25519",
  "ssh-rsa",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
] as const;

const USE = `use ${SSH_KEY_TYPES.join(", ").replace("ssh-rsa", "ssh-rsa (from 2,048 bits)")}`;

function unsupportedType(type: string): string | null {
  if (SSH_KEY_TYPES.some((known) => known === type)) return null;
  const kind = type.endsWith("-cert-v01@openssh.com")
    ? "certificates"
    : type.startsWith("sk-")
    ? "keys on FIDO tokens"
    : "keys of this type";
  return `${kind} (${shown(type)}) aren't supported: ${USE}`;
}

/** Text out of a signature, for people: short, and without what would move their cursor. */
export function shown(text: string): string {
  return JSON.stringify(text.slice(0, 64).replace(/[^\x20-\x7e]/g, "?"));
}

/**
 * Checks a signature by a key of a supported type, over bytes that name what they are for.
 *
 * @param key blob of the key
 * @param signature blob: the name of the algorithm, and what it gave
 * @returns whether it is one by this key over these bytes; a sentence when it isn't even asked
 */
export async function verifySshBlob(
  key: Uint8Array<ArrayBuffer>,
  signature: Uint8Array<ArrayBuffer>,
  signed: Uint8Array<ArrayBuffer>,
): Promise<boolean | string> {
  const keyReader = new SshReader(key);
  const type = keyReader.text();
  const [first, second] = readParts(type, keyReader);
  const reader = new SshReader(signature);
  const algorithm = reader.text();
  const value = reader.bytes();
  reader.end();
  if (type === "ssh-rsa") {
    return await verifyRsa({ exponent: first, modulus: second }, { algorithm, value }, signed);
  }
  if (algorithm !== type) return false;
  if (type === "ssh-ed25519") {
    if (value.length !== 64) return false;
    const imported = await crypto.subtle.importKey("raw", second, "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", imported, value, signed);
  }
  return await verifyEcdsa(CURVES[type]!, second, value, signed);
}

/**
 * The two parts of a key of a supported type: exponent and modulus for RSA, else the name of the curve, empty for
 * Ed25519, and the point.
 */
function readParts(
  type: string,
  reader: SshReader,
): readonly [Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>] {
  const read = () => type === "ssh-rsa" ? reader.unsigned() : reader.bytes();
  const parts = [type === "ssh-ed25519" ? new Uint8Array() : read(), read()] as const;
  reader.end();
  const [first, second] = parts;
  const isWhole = type === "ssh-rsa"
    ? first.length > 0 && second.length > 0
    : type === "ssh-ed25519"
    ? second.length === 32
    : type === `ecdsa-sha2-${new TextDecoder().decode(first)}` &&
      second.length === 1 + 2 * CURVES[type]!.bytes;
  if (!isWhole) throw new SyntaxError("No such key");
  return parts;
}

async function verifyRsa(
  { exponent, modulus }: { readonly exponent: Uint8Array; readonly modulus: Uint8Array },
  { algorithm, value }: { readonly algorithm: string; readonly value: Uint8Array },
  signed: Uint8Array<ArrayBuffer>,
): Promise<boolean | string> {
  const hash = RSA_HASHES[algorithm];
  if (!hash) return `the algorithm ${shown(algorithm)} isn't accepted: sign with rsa-sha2-512`;
  const bits = bitLength(modulus);
  if (bits < 2048 || bits > 16_384) return `an RSA key of ${bits} bits isn't accepted: ${USE}`;
  if (value.length > modulus.length) return false;
  const jwk = { kty: "RSA", n: base64Url(modulus), e: base64Url(exponent) };
  const scheme = { name: "RSASSA-PKCS1-v1_5", hash };
  const imported = await crypto.subtle.importKey("jwk", jwk, scheme, false, ["verify"]);
  return await crypto.subtle.verify(scheme.name, imported, padded(value, modulus.length), signed);
}

async function verifyEcdsa(
  { name, bytes, hash }: Curve,
  point: Uint8Array<ArrayBuffer>,
  value: Uint8Array<ArrayBuffer>,
  signed: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  const halves = new SshReader(value);
  const [r, s] = [halves.unsigned(), halves.unsigned()];
  halves.end();
  if (r.length > bytes || s.length > bytes) return false;
  const raw = new Uint8Array([...padded(r, bytes), ...padded(s, bytes)]);
  if (name === P521) return await verifyP521(point, raw, signed);
  const imported = await crypto.subtle.importKey("raw", point, { name: "ECDSA", namedCurve: name }, false, [
    "verify",
  ]);
  return await crypto.subtle.verify({ name: "ECDSA", hash }, imported, raw, signed);
}

async function verifyP521(point: Uint8Array, raw: Uint8Array, signed: Uint8Array): Promise<boolean> {
  const { p521 } = await import("@noble/curves/nist.js");
  // Malleable signatures are valid ones for OpenSSH, too.
  const options = { prehash: true, lowS: false };
  return p521.utils.isValidPublicKey(point, false) && p521.verify(raw, signed, point, options);
}

const RSA_HASHES: Readonly<Record<string, string>> = { "rsa-sha2-256": "SHA-256", "rsa-sha2-512": "SHA-512" };

/** Deno's own cryptography doesn't have it. */
const P521 = "P-521";

interface Curve {
  readonly name: string;
  /** Of a coordinate. */
  readonly bytes: number;
  readonly hash: string;
}

const CURVES: Readonly<Record<string, Curve>> = {
  "ecdsa-sha2-nistp256": { name: "P-256", bytes: 32, hash: "SHA-256" },
  "ecdsa-sha2-nistp384": { name: "P-384", bytes: 48, hash: "SHA-384" },
  "ecdsa-sha2-nistp521": { name: P521, bytes: 66, hash: "SHA-512" },
};

/** Reads the parts of SSH's binary formats (RFC 4251 §5). What doesn't fit throws a `SyntaxError`. */
export class SshReader {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  #at = 0;

  /** Reads from the beginning. */
  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes;
  }

  /** So many bytes as they are. */
  raw(length: number): Uint8Array<ArrayBuffer> {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new SyntaxError("It ends too early");
    return this.#bytes.subarray(this.#at, this.#at = end);
  }

  /** An unsigned number of 32 bits. */
  uint32(): number {
    const bytes = this.raw(4);
    return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0);
  }

  /** A string of bytes behind its length. */
  bytes(): Uint8Array<ArrayBuffer> {
    return this.raw(this.uint32());
  }

  /** The same as text; a byte is a character. */
  text(): string {
    return new TextDecoder("latin1").decode(this.bytes());
  }

  /** A number that isn't negative, without zeros in front. */
  unsigned(): Uint8Array<ArrayBuffer> {
    const bytes = this.bytes();
    if (bytes[0]! & 0x80) throw new SyntaxError("A negative number");
    const first = bytes.findIndex((byte) => byte !== 0);
    return bytes.subarray(first < 0 ? bytes.length : first);
  }

  /** Nothing may be left. */
  end(): void {
    if (this.#at !== this.#bytes.length) throw new SyntaxError("It goes on behind its end");
  }
}

function bitLength(number: Uint8Array): number {
  return number.length === 0 ? 0 : number.length * 8 - Math.clz32(number[0]!) + 24;
}

function padded(number: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(length);
  out.set(number, length - number.length);
  return out;
}

function encodeBase64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

function base64Url(bytes: Uint8Array): string {
  return encodeBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}
