/**
 * Whether a certificate and its private key can be served: the first look is ours, so that the words name the file
 * and the fix, the last word is that of the library that will use them.
 *
 * @module
 */

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
  if (!cert.includes("-----BEGIN CERTIFICATE-----")) {
    return { key: "certFile", reason: `is no PEM certificate (it begins with -----BEGIN CERTIFICATE-----)` };
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
