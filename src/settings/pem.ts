/**
 * Whether a certificate and its private key can be served: the first look is ours, so that the words name the file
 * and the fix, the last word is that of the library that will use them.
 *
 * @module
 */

/** Whether a text holds a certificate. */
export function isPemCertificate(text: string): boolean {
  return text.includes("-----BEGIN CERTIFICATE-----");
}

/** What is wrong, and with which of the two files. */
export interface PemFault {
  /** The key of the settings that names it. */
  readonly key: "certFile" | "keyFile";
  /** What is wrong, and the fix. */
  readonly reason: string;
}

/** What is wrong with a pair of PEM texts; `null` = it can be served. */
export function pemFault(
  { cert, key }: { readonly cert: string; readonly key: string },
  refusal: (cert: string, key: string) => string | null,
): PemFault | null {
  if (!isPemCertificate(cert)) {
    return { key: "certFile", reason: `is no PEM certificate (it begins with -----BEGIN CERTIFICATE-----)` };
  }
  // Before anything else reads it: the library aborts the process on one that it is to show as a client's.
  if (isX509Version1(cert)) {
    return {
      key: "certFile",
      reason: "is a certificate of X.509 version 1, and TLS wants version 3 (openssl x509 -req … -extfile …)",
    };
  }
  if (key.includes("ENCRYPTED")) {
    return {
      key: "keyFile",
      reason: "is encrypted, and a service can't ask for the passphrase (openssl pkey -in … -out …)",
    };
  }
  if (!/-----BEGIN (?:RSA |EC )?PRIVATE KEY-----/.test(key)) {
    return { key: "keyFile", reason: "is no PEM private key (it begins with -----BEGIN PRIVATE KEY-----)" };
  }
  const refused = refusal(cert, key);
  if (refused === null) return null;
  if (/KeyMismatch/.test(refused)) {
    return { key: "keyFile", reason: "is not the key of the certificate in certFile" };
  }
  return /peer certificate|No certificates/.test(refused)
    ? { key: "certFile", reason: `holds a certificate that can't be read: ${refused}` }
    : { key: "keyFile", reason: `can't be used: ${refused}` };
}

/** RFC 5280 §4.1: `[0] EXPLICIT Version DEFAULT v1` comes first in what is signed, and is left out of version 1. */
function isX509Version1(pem: string): boolean {
  const base64 = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END/.exec(pem)?.[1];
  if (base64 === undefined) return false;
  let der: Uint8Array;
  try {
    der = Uint8Array.fromBase64(base64);
  } catch {
    return false; // what is no base64 is refused by whoever decodes it
  }
  // Certificate ::= SEQUENCE { tbsCertificate SEQUENCE { …
  const inside = contentOf(der, 0);
  const first = inside === null ? null : contentOf(der, inside);
  return first !== null && der[first] !== 0xa0;
}

/** Where the content of a SEQUENCE begins; `null` = there is none at `at`. X.690 §8.1.3. */
function contentOf(der: Uint8Array, at: number): number | null {
  const length = der[at + 1];
  if (der[at] !== 0x30 || length === undefined) return null;
  return at + 2 + (length < 0x80 ? 0 : length & 0x7f);
}
