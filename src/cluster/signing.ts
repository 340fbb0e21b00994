/**
 * Signatures on what a cluster's configuration is made of, so that who has a password of the server can't change answers.
 *
 * ```text
 * signed text  = "pleiades 1\n" cluster "\n" subject "\n" header "\n" … "\n" bytes      UTF-8, bytes as they are sent
 * header       = name ":" value        of those that are signed, in the order of their names
 * signature    = key id "." base64url(Ed25519(private key, signed text))               header Pleiades-Signature
 * key id       = the first 16 hexadecimal digits of SHA-256(public key)
 * public key   = "ed25519:" base64url(32 bytes)          RFC 8032 §5.1.5
 * private key  = "ed25519-private:" base64url(32 bytes, the seed)
 * ```
 *
 * The cluster and the subject are part of it: what was signed for one place counts in no other. That the same comes twice is
 * not seen here: what is signed has a stamp or a date in it, by which whoever takes it knows that it is old.
 *
 * @module
 */

/** The header that a signature is in. */
export const SIGNATURE_HEADER = "Pleiades-Signature";

/** What is said of a subject. */
export interface Message {
  /** Where it is said: the subject, or the key of a bucket. */
  readonly subject: string;
  /** As they are sent. */
  readonly bytes: Uint8Array;
  /** Headers of which the meaning of the bytes depends, if any. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Why a message isn't believed. */
export type SigningFault = "unsigned" | "malformed" | "foreign-key" | "forged";

/** What they mean, for people. */
export const SIGNING_FAULTS: Readonly<Record<SigningFault, string>> = {
  unsigned: "it isn't signed",
  malformed: "its signature can't be read",
  "foreign-key": "the key that signed it isn't among state.signing.keys",
  forged: "its signature doesn't match",
};

/** Signs, and checks what others signed. */
export interface Signing {
  /** The value of `SIGNATURE_HEADER`. @throws {Error} when this node has no key to sign by */
  sign(message: Message): Promise<string>;
  /** Why the message isn't believed; `null` = it is. */
  faultOf(message: Message, signature: string | undefined): Promise<SigningFault | null>;
  /** Whether this node has a key to sign by. */
  readonly canSign: boolean;
}

/** The header that signs a message; none where nothing is signed. */
export async function signatureOf(
  signing: Signing | null,
  message: Message,
): Promise<Record<string, string>> {
  return signing === null ? {} : { [SIGNATURE_HEADER]: await signing.sign(message) };
}

/** By which keys. */
export interface SigningTerms {
  /** Id of the cluster. */
  readonly cluster: string;
  /** The private key; `null` = this node only reads. */
  readonly key: string | null;
  /** Public keys that count; that of `key` counts as well. */
  readonly keys: readonly string[];
}

const PUBLIC_PREFIX = "ed25519:";
const PRIVATE_PREFIX = "ed25519-private:";
/** Of a public key, of a seed. */
const KEY_SIZE = 32;
const SIGNATURE_SIZE = 64;
/** What stands before a seed in PKCS #8 (RFC 8410 §7). */
const PKCS8_HEAD = Uint8Array.fromHex("302e020100300506032b657004220420");

/** A pair of keys as texts. */
export interface KeyPair {
  /** For one node's settings: `state.signing.key`. */
  readonly privateKey: string;
  /** For all nodes' settings: `state.signing.keys`. */
  readonly publicKey: string;
}

/** Draws a pair. */
export async function newKeyPair(): Promise<KeyPair> {
  const seed = crypto.getRandomValues(new Uint8Array(KEY_SIZE));
  const privateKey = `${PRIVATE_PREFIX}${base64url(seed)}`;
  return { privateKey, publicKey: await publicKeyOf(privateKey) };
}

/** The public key of a private one. @throws {SyntaxError} when it is none */
export async function publicKeyOf(privateKey: string): Promise<string> {
  const key = await importPrivate(privateKey, true);
  const { x } = await crypto.subtle.exportKey("jwk", key);
  return `${PUBLIC_PREFIX}${x}`;
}

/** Why a text is no public key, for people; `null` = it is one. */
export function publicKeyFault(text: string): string | null {
  return bytesOf(text, PUBLIC_PREFIX) === null
    ? `must be ${PUBLIC_PREFIX} and 43 characters, as pleiades cluster key new prints it`
    : null;
}

/** The same of a private key, which doesn't stand in the message. */
export function privateKeyFault(text: string): string | null {
  if (text.startsWith(PUBLIC_PREFIX)) return "is a public key; the private one is wanted";
  return bytesOf(text, PRIVATE_PREFIX) === null
    ? `must be ${PRIVATE_PREFIX} and 43 characters, as pleiades cluster key new prints it`
    : null;
}

/** Makes ready to sign and to check. @throws {SyntaxError} when a key is none */
export async function openSigning({ cluster, key, keys }: SigningTerms): Promise<Signing> {
  const own = key === null ? null : await ownKey(key);
  const known = new Map<string, CryptoKey>();
  for (const text of own === null ? keys : [...keys, own.publicKey]) {
    const bytes = bytesOf(text, PUBLIC_PREFIX);
    if (bytes === null) throw new SyntaxError(`A public key ${publicKeyFault(text)}`);
    known.set(await idOf(bytes), await crypto.subtle.importKey("raw", bytes, "Ed25519", false, ["verify"]));
  }
  return {
    canSign: own !== null,
    sign: async (message) => {
      if (own === null) throw new Error("This node has no key to sign by (state.signing.key)");
      const signature = await crypto.subtle.sign("Ed25519", own.key, signedText(cluster, message));
      return `${own.id}.${base64url(new Uint8Array(signature))}`;
    },
    faultOf: async (message, signature) => {
      if (signature === undefined || signature === "") return "unsigned";
      const parts = /^([0-9a-f]{16})\.([A-Za-z0-9_-]{86})$/.exec(signature);
      if (parts === null) return "malformed";
      const signer = known.get(parts[1]!);
      if (signer === undefined) return "foreign-key";
      const bytes = decoded(parts[2]!, SIGNATURE_SIZE);
      if (bytes === null) return "malformed";
      const isGenuine = await crypto.subtle.verify("Ed25519", signer, bytes, signedText(cluster, message));
      return isGenuine ? null : "forged";
    },
  };
}

async function ownKey(privateKey: string) {
  const publicKey = await publicKeyOf(privateKey);
  const id = await idOf(bytesOf(publicKey, PUBLIC_PREFIX)!);
  return { id, publicKey, key: await importPrivate(privateKey, false) };
}

async function importPrivate(text: string, extractable: boolean): Promise<CryptoKey> {
  const seed = bytesOf(text, PRIVATE_PREFIX);
  if (seed === null) throw new SyntaxError(`A private key ${privateKeyFault(text)}`);
  const pkcs8 = new Uint8Array([...PKCS8_HEAD, ...seed]);
  return await crypto.subtle.importKey("pkcs8", pkcs8, "Ed25519", extractable, ["sign"]);
}

async function idOf(publicKey: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", publicKey)).toHex().slice(0, 16);
}

function signedText(cluster: string, { subject, bytes, headers = {} }: Message): Uint8Array<ArrayBuffer> {
  const names = Object.keys(headers).sort();
  // No line feed can be in them: the server refuses it in a header or a subject.
  const lines = ["pleiades 1", cluster, subject, ...names.map((name) => `${name}:${headers[name]}`), "", ""];
  const head = new TextEncoder().encode(lines.join("\n"));
  const text = new Uint8Array(head.length + bytes.length);
  text.set(head);
  text.set(bytes, head.length);
  return text;
}

function bytesOf(text: string, prefix: string): Uint8Array<ArrayBuffer> | null {
  return text.startsWith(prefix) ? decoded(text.slice(prefix.length), KEY_SIZE) : null;
}

function decoded(text: string, size: number): Uint8Array<ArrayBuffer> | null {
  try {
    const bytes = Uint8Array.fromBase64(text, { alphabet: "base64url" });
    return bytes.length === size && base64url(bytes) === text ? bytes : null;
  } catch {
    return null; // no base64url
  }
}

function base64url(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}
