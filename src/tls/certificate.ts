/**
 * Certificates of our own: an authority, and servers that it vouches for. Keys are P-256, signatures ECDSA with SHA-256.
 *
 * Sources: RFC 5280 (certificates), RFC 5480 (keys), RFC 5758 §3.2 (signatures), RFC 6125 (names of servers).
 *
 * @module
 */
import { parseIp } from "../ip.ts";
import {
  bitString,
  integer,
  isTrue,
  joined,
  octetString,
  oid,
  sequence,
  set,
  tagged,
  time,
  utf8,
} from "./der.ts";

/** A certificate and its private key. */
export interface Certified {
  /** PEM. */
  readonly cert: string;
  /** PEM, PKCS #8. */
  readonly key: string;
}

/** How long a certificate is good for. */
export interface Validity {
  /** Unix milliseconds. */
  readonly fromMs: number;
  /** Unix milliseconds. */
  readonly untilMs: number;
}

const ECDSA = { name: "ECDSA", namedCurve: "P-256" } as const;
const SIGNING = { name: "ECDSA", hash: "SHA-256" } as const;
/** ecdsa-with-SHA256. */
const SIGNATURE_ALGORITHM = sequence(oid("1.2.840.10045.4.3.2"));
const COMMON_NAME = oid("2.5.4.3");
/** Bytes of a serial number: random, so that no two certificates of an authority have the same (RFC 5280 §4.1.2.2). */
const SERIAL_SIZE = 16;

/** Makes an authority. */
export async function makeAuthority(name: string, validity: Validity): Promise<Certified> {
  const keys = await crypto.subtle.generateKey(ECDSA, true, ["sign", "verify"]);
  const own = await keyIdentifier(keys.publicKey);
  return await certified(keys, {
    ...{ subject: name, issuer: name, signer: keys.privateKey, validity },
    extensions: [
      extension("2.5.29.19", sequence(isTrue(), integer(Uint8Array.of(0))), true), // basic constraints: CA, leaves only
      extension("2.5.29.15", bitString(Uint8Array.of(0x06), 1), true), // key usage: keyCertSign, cRLSign
      extension("2.5.29.14", octetString(own)), // subject key identifier
    ],
  });
}

/**
 * Makes the certificate of a server.
 *
 * @param host a name or an address, without brackets; the only one that the certificate is for
 * @throws {TypeError} when the authority's key can't be read
 */
export async function makeServer(
  host: string,
  { authority, validity }: {
    readonly authority: Certified & { readonly name: string };
    readonly validity: Validity;
  },
): Promise<Certified> {
  const keys = await crypto.subtle.generateKey(ECDSA, true, ["sign", "verify"]);
  const signer = await crypto.subtle.importKey("pkcs8", derOf(authority.key), ECDSA, true, ["sign"]);
  const issuer = await keyIdentifier(await publicOf(signer));
  const address = parseIp(host);
  const name = address === null
    ? tagged(0x82, new TextEncoder().encode(host)) // dNSName
    : tagged(0x87, address); // iPAddress
  return await certified(keys, {
    ...{ subject: host.slice(0, COMMON_NAME_MAX), issuer: authority.name, signer, validity },
    extensions: [
      extension("2.5.29.19", sequence(), true), // basic constraints: no CA
      extension("2.5.29.15", bitString(Uint8Array.of(0x80), 7), true), // key usage: digitalSignature
      extension("2.5.29.37", sequence(oid("1.3.6.1.5.5.7.3.1"))), // extended key usage: serverAuth
      extension("2.5.29.17", sequence(name)), // subject alternative name
      extension("2.5.29.14", octetString(await keyIdentifier(keys.publicKey))),
      extension("2.5.29.35", sequence(tagged(0x80, issuer))), // authority key identifier
    ],
  });
}

/** Characters of a common name (RFC 5280 appendix A.1); the name that counts is among the alternative ones. */
const COMMON_NAME_MAX = 64;

interface Content {
  readonly subject: string;
  readonly issuer: string;
  readonly signer: CryptoKey;
  readonly validity: Validity;
  readonly extensions: readonly Uint8Array[];
}

async function certified(keys: CryptoKeyPair, content: Content): Promise<Certified> {
  const { subject, issuer, signer, validity, extensions } = content;
  const spki = new Uint8Array(await crypto.subtle.exportKey("spki", keys.publicKey));
  const signed = sequence(
    tagged(0xa0, integer(Uint8Array.of(2))), // version 3
    integer(crypto.getRandomValues(new Uint8Array(SERIAL_SIZE))),
    SIGNATURE_ALGORITHM,
    nameOf(issuer),
    sequence(time(validity.fromMs), time(validity.untilMs)),
    nameOf(subject),
    spki,
    tagged(0xa3, sequence(...extensions)),
  );
  const signature = new Uint8Array(await crypto.subtle.sign(SIGNING, signer, joined([signed])));
  const half = signature.length / 2;
  const cert = sequence(
    signed,
    SIGNATURE_ALGORITHM,
    // The two numbers one behind the other (IEEE P1363) become a SEQUENCE of them (RFC 3279 §2.2.3).
    bitString(sequence(integer(signature.subarray(0, half)), integer(signature.subarray(half)))),
  );
  const key = new Uint8Array(await crypto.subtle.exportKey("pkcs8", keys.privateKey));
  return { cert: pem("CERTIFICATE", cert), key: pem("PRIVATE KEY", key) };
}

function nameOf(text: string): Uint8Array {
  return sequence(set(sequence(COMMON_NAME, utf8(text))));
}

function extension(id: string, value: Uint8Array, isCritical = false): Uint8Array {
  return sequence(oid(id), ...(isCritical ? [isTrue()] : []), octetString(value));
}

/** RFC 7093 §2: the first 160 bits of a SHA-256 of the key. */
async function keyIdentifier(key: CryptoKey): Promise<Uint8Array> {
  const raw = await crypto.subtle.exportKey("raw", key);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", raw)).subarray(0, 20);
}

async function publicOf(key: CryptoKey): Promise<CryptoKey> {
  const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", key);
  return await crypto.subtle.importKey("jwk", { kty, crv, x, y } as JsonWebKey, ECDSA, true, ["verify"]);
}

function pem(label: string, der: Uint8Array): string {
  const lines = der.toBase64().match(/.{1,64}/g)!;
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}

function derOf(text: string): Uint8Array<ArrayBuffer> {
  const base64 = /-----BEGIN PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END/.exec(text)?.[1];
  if (base64 === undefined) throw new TypeError("The authority's key is no PEM private key (PKCS #8)");
  return Uint8Array.fromBase64(base64);
}
