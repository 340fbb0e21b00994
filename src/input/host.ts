/**
 * What a `Host` header names (RFC 9110 §7.2): a host name or an address, with or without a port.
 *
 * The same text says which name TLS asks for, so only what TLS can ask for is a host here: labels of RFC 1123 §2.1,
 * underscores allowed, the last one not all digits.
 *
 * @module
 */
import { parseIp } from "../ip.ts";

/** A host, taken apart. */
export interface Host {
  /** A host name as it was written, or an address without brackets. */
  readonly name: string;
  /** 1–65535, or `null`. */
  readonly port: number | null;
}

/** Reads `www.example.org:8443`, `192.0.2.1` or `[2001:db8::1]:8443`; `null` when it is no such thing. */
export function parseHost(text: string): Host | null {
  const [, bracketed, plain = "", digits] = HOST.exec(text) ?? [];
  const port = digits === undefined ? null : Number(digits);
  if (port !== null && (port < 1 || port > 65_535)) return null;
  if (bracketed !== undefined) return parseIp(bracketed)?.length === 16 ? { name: bracketed, port } : null;
  return NAME.test(plain) || parseIp(plain)?.length === 4 ? { name: plain, port } : null;
}

const HOST = /^(?:\[([\da-f:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/i;
/** At most 253 characters; labels of 1–63 that neither begin nor end with a hyphen. */
const NAME =
  /^(?=.{1,253}$)(?!(?:.*\.)?\d+$)[a-z\d_](?:[a-z\d_-]{0,61}[a-z\d_])?(?:\.[a-z\d_](?:[a-z\d_-]{0,61}[a-z\d_])?)*$/i;
