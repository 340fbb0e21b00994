/**
 * What is known of who signed a commit or a tag.
 *
 * @module
 */

/** What was found out about the signature of a commit or a tag. */
export type Verdict = Good | Unsigned | Refused;

/** Signed by a key that is trusted now, over exactly these bytes. */
export interface Good {
  /** Tells verdicts apart. */
  readonly state: "good";
  /** What kind of key signed. */
  readonly kind: "pgp" | "ssh";
  /** Who that is: a user id of the OpenPGP key, or the first principal of the SSH key. */
  readonly signer: string;
  /** Of the key that signed: 40 or 64 upper-case hexadecimal digits (OpenPGP), or `SHA256:…` (SSH). */
  readonly fingerprint: string;
}

/** No signature at all. */
export interface Unsigned {
  /** Tells verdicts apart. */
  readonly state: "unsigned";
}

/** A signature that doesn't count. */
export interface Refused {
  /** Tells verdicts apart. */
  readonly state: "refused";
  /** One sentence without a final stop: what is wrong, and what to do. */
  readonly reason: string;
  /** As of {@linkcode Good}, as far as the key is known. */
  readonly fingerprint?: string;
}
