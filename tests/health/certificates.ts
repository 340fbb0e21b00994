/**
 * Makes X.509 certificates at test time, good ones and wrong ones: ECDSA P-256, version 3 (RFC 5280).
 *
 * DER by hand is short, and unlike `openssl x509` it is on every machine and can date a certificate back.
 *
 * @module
 */

/** A certificate with its private key, both PEM. */
export interface Identity {
  readonly cert: string;
  readonly key: string;
}

/** What a certificate shall say. */
export interface CertificateRequest {
  /** DNS names of the subject alternative name. */
  readonly dnsNames?: readonly string[];
  /** IPv4 addresses of the subject alternative name. */
  readonly ipAddresses?: readonly string[];
  /** Default: an hour ago. */
  readonly notBefore?: Date;
  /** Default: in an hour. */
  readonly notAfter?: Date;
  /** X.509 version; 3 when left out. One of version 1 has no names but its subject. */
  readonly version?: 1 | 3;
}

/** An authority that lives as long as the test. */
export class TestAuthority {
  readonly #name: string;
  readonly #keys: CryptoKeyPair;
  /** The authority's own certificate, PEM. */
  readonly cert: string;

  private constructor(name: string, keys: CryptoKeyPair, cert: string) {
    this.#name = name;
    this.#keys = keys;
    this.cert = cert;
  }

  /** Creates an authority with a fresh key. */
  static async create(name: string): Promise<TestAuthority> {
    const keys = await generateKeys();
    const cert = await signed(keys, keys, { issuer: name, subject: name, isAuthority: true });
    return new TestAuthority(name, keys, cert);
  }

  /** A certificate signed by this authority. */
  async issue(request: CertificateRequest): Promise<Identity> {
    const keys = await generateKeys();
    const cert = await signed(this.#keys, keys, { ...request, issuer: this.#name, subject: "leaf" });
    return { cert, key: await privatePem(keys) };
  }
}

/** A certificate that nobody but itself vouches for. */
export async function selfSigned(request: CertificateRequest): Promise<Identity> {
  const keys = await generateKeys();
  const cert = await signed(keys, keys, { ...request, issuer: "self", subject: "self" });
  return { cert, key: await privatePem(keys) };
}

const HOUR_MS = 3_600_000;

interface Contents extends CertificateRequest {
  readonly issuer: string;
  readonly subject: string;
  readonly isAuthority?: boolean;
}

async function signed(signer: CryptoKeyPair, owner: CryptoKeyPair, contents: Contents): Promise<string> {
  const algorithm = sequence(oid("2a8648ce3d040302")); // ecdsa-with-SHA256
  const spki = new Uint8Array(await crypto.subtle.exportKey("spki", owner.publicKey));
  const notBefore = contents.notBefore ?? new Date(Date.now() - HOUR_MS);
  const notAfter = contents.notAfter ?? new Date(Date.now() + HOUR_MS);
  const serial = crypto.getRandomValues(new Uint8Array(8));
  serial[0]! &= 0x7f;
  serial[0]! |= 0x40;
  const isFirst = contents.version === 1;
  const body = sequence(
    ...(isFirst ? [] : [der(0xa0, der(0x02, [2]))]),
    der(0x02, serial),
    algorithm,
    name(contents.issuer),
    sequence(time(notBefore), time(notAfter)),
    name(contents.subject),
    spki,
    ...(isFirst ? [] : [der(0xa3, sequence(...extensions(contents)))]),
  );
  const raw = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, signer.privateKey, body);
  const half = (from: number) => integer(new Uint8Array(raw, from, 32));
  const signature = der(0x03, [0, ...sequence(half(0), half(32))]);
  return pem("CERTIFICATE", sequence(body, algorithm, signature));
}

function extensions({ isAuthority, dnsNames, ipAddresses }: Contents): Uint8Array<ArrayBuffer>[] {
  const constraints = sequence(...(isAuthority ? [der(0x01, [0xff])] : []));
  const all = [sequence(oid("551d13"), der(0x01, [0xff]), der(0x04, constraints))];
  const names = [
    ...(dnsNames ?? []).map((dnsName) => der(0x82, new TextEncoder().encode(dnsName))),
    ...(ipAddresses ?? []).map((address) => der(0x87, address.split(".").map(Number))),
  ];
  if (names.length > 0) all.push(sequence(oid("551d11"), der(0x04, sequence(...names))));
  return all;
}

function name(commonName: string): Uint8Array<ArrayBuffer> {
  const text = der(0x0c, new TextEncoder().encode(commonName));
  return sequence(der(0x31, sequence(oid("550403"), text)));
}

function time(date: Date): Uint8Array<ArrayBuffer> {
  const text = `${date.toISOString().replace(/[-:T]|\.\d+/g, "")}`;
  return der(0x18, new TextEncoder().encode(text));
}

function oid(hex: string): Uint8Array<ArrayBuffer> {
  return der(0x06, hex.match(/../g)!.map((pair) => parseInt(pair, 16)));
}

function integer(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const first = bytes.findIndex((byte) => byte !== 0);
  const digits = [...bytes.subarray(first)];
  return der(0x02, digits[0]! >= 0x80 ? [0, ...digits] : digits);
}

function sequence(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  return der(0x30, parts.flatMap((part) => [...part]));
}

function der(tag: number, contents: ArrayLike<number>): Uint8Array<ArrayBuffer> {
  const { length } = contents;
  const head = length < 128
    ? [tag, length]
    : length < 256
    ? [tag, 0x81, length]
    : [tag, 0x82, length >> 8, length & 255];
  return Uint8Array.from([...head, ...Array.from(contents)]);
}

async function generateKeys(): Promise<CryptoKeyPair> {
  return await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
}

async function privatePem(keys: CryptoKeyPair): Promise<string> {
  return pem("PRIVATE KEY", new Uint8Array(await crypto.subtle.exportKey("pkcs8", keys.privateKey)));
}

function pem(label: string, bytes: Uint8Array): string {
  const lines = btoa(String.fromCharCode(...bytes)).match(/.{1,64}/g)!;
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}
