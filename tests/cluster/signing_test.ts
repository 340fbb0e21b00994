/** @module Signatures on what a cluster's configuration is made of. */
import { deepEqual, equal, match, notEqual, rejects } from "node:assert/strict";
import {
  type Message,
  newKeyPair,
  openSigning,
  privateKeyFault,
  publicKeyFault,
  publicKeyOf,
} from "../../src/cluster/signing.ts";

const TEXT = new TextEncoder();
const MESSAGE: Message = {
  subject: "gslb.production.log",
  bytes: TEXT.encode("pools: []\n"),
  headers: { "Content-Type": "application/yaml", "Pleiades-Version": "7" },
};
/** RFC 8032 §7.1, test 1. */
const SEED = Uint8Array.fromHex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
const PUBLIC = Uint8Array.fromHex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");

Deno.test("a key pair is a seed and its public key, as RFC 8032 has them", async () => {
  const text = (bytes: Uint8Array) => bytes.toBase64({ alphabet: "base64url", omitPadding: true });
  equal(await publicKeyOf(`ed25519-private:${text(SEED)}`), `ed25519:${text(PUBLIC)}`);
  const [one, other] = [await newKeyPair(), await newKeyPair()];
  notEqual(one.privateKey, other.privateKey);
  deepEqual([publicKeyFault(one.publicKey), privateKeyFault(one.privateKey)], [null, null]);
  match(publicKeyFault(one.privateKey)!, /^must be ed25519: /);
  equal(privateKeyFault(one.publicKey), "is a public key; the private one is wanted");
  for (
    const text of ["", "x", `${one.publicKey}A`, one.publicKey.slice(0, -1), `${one.publicKey.slice(0, -1)}!`]
  ) {
    notEqual(publicKeyFault(text), null);
    await rejects(openSigning({ cluster: "c", key: null, keys: [text] }), SyntaxError);
  }
});

Deno.test("what a known key signed is believed, and nothing else", async () => {
  const { privateKey, publicKey } = await newKeyPair();
  const author = await openSigning({ cluster: "production", key: privateKey, keys: [] });
  const reader = await openSigning({ cluster: "production", key: null, keys: [publicKey] });
  const signature = await author.sign(MESSAGE);
  equal(await reader.faultOf(MESSAGE, signature), null);
  equal(await author.faultOf(MESSAGE, signature), null);
  const others: readonly Message[] = [
    { ...MESSAGE, subject: "gslb.production.config" },
    { ...MESSAGE, bytes: TEXT.encode("pools: [] ") },
    { ...MESSAGE, bytes: new Uint8Array(0) },
    { ...MESSAGE, headers: {} },
    { ...MESSAGE, headers: { ...MESSAGE.headers, "Pleiades-Version": "8" } },
    { ...MESSAGE, headers: { ...MESSAGE.headers, "Content-Encoding": "gzip" } },
  ];
  for (const other of others) equal(await reader.faultOf(other, signature), "forged");
  for (const none of [undefined, ""]) equal(await reader.faultOf(MESSAGE, none), "unsigned");
  for (const broken of ["x", `${signature}A`, signature.slice(1), signature.replace(".", ":")]) {
    equal(await reader.faultOf(MESSAGE, broken), "malformed");
  }
  const elsewhere = await openSigning({ cluster: "staging", key: null, keys: [publicKey] });
  equal(await elsewhere.faultOf(MESSAGE, signature), "forged");
  const stranger = await openSigning({
    cluster: "production",
    key: (await newKeyPair()).privateKey,
    keys: [],
  });
  equal(await reader.faultOf(MESSAGE, await stranger.sign(MESSAGE)), "foreign-key");
  await rejects(reader.sign(MESSAGE), { message: /no key to sign by/ });
  deepEqual([author.canSign, reader.canSign], [true, false]);
});

Deno.test("while one key replaces another, both count", async () => {
  const [old, next] = [await newKeyPair(), await newKeyPair()];
  const reader = await openSigning({ cluster: "c", key: null, keys: [next.publicKey, old.publicKey] });
  for (const { privateKey } of [old, next]) {
    const author = await openSigning({ cluster: "c", key: privateKey, keys: [] });
    equal(await reader.faultOf(MESSAGE, await author.sign(MESSAGE)), null);
  }
});
