/**
 * Keys and tokens of NATS' decentralized authentication, as `nsc` makes them.
 *
 * @module
 */
import { nkeys } from "@nats-io/nats-core/internal";

/** A key pair. */
export interface NatsKey {
  readonly publicKey: string;
  /** The private half. */
  readonly seed: string;
  readonly sign: (data: Uint8Array) => Uint8Array;
}

export const createOperator = (): NatsKey => keyOf(nkeys.createOperator());
export const createAccount = (): NatsKey => keyOf(nkeys.createAccount());
export const createUser = (): NatsKey => keyOf(nkeys.createUser());

function keyOf(pair: ReturnType<typeof nkeys.createUser>): NatsKey {
  return {
    publicKey: pair.getPublicKey(),
    seed: new TextDecoder().decode(pair.getSeed()),
    sign: (data) => pair.sign(data),
  };
}

/** A token by which `signer` says something of `subject`. */
export function encodeJwt(signer: NatsKey, subject: string, nats: object): string {
  const part = (value: object) => base64url(new TextEncoder().encode(JSON.stringify(value)));
  const claims = { jti: "test", iat: 1_767_225_600, iss: signer.publicKey, name: "test", sub: subject, nats };
  const signed = `${part({ typ: "JWT", alg: "ed25519-nkey" })}.${part(claims)}`;
  return `${signed}.${base64url(signer.sign(new TextEncoder().encode(signed)))}`;
}

function base64url(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}
