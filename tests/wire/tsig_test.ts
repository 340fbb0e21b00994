/** @module Signatures that other programs made: nsupdate of BIND, knsupdate and Knot's and BIND's servers. */
import { deepEqual, equal, throws } from "node:assert/strict";
import { signMessage, type TsigKey, verifyAnswer } from "../../src/wire/tsig.ts";

const secret = Uint8Array.fromBase64("c2VjcmV0IG9mIHRoZSBhZ2VudHMsIDMyIGJ5dGVzIQ==");
const SHA256: TsigKey = { name: "agents", algorithm: "hmac-sha256", secret };
const SHA512: TsigKey = { ...SHA256, algorithm: "hmac-sha512" };

/** 2026-11-21T09:03:29Z, when they were made. */
const SIGNED_AT = 0x6b015e61;

const REQUESTS: readonly (readonly [who: string, key: TsigKey, hex: string])[] = [
  [
    "nsupdate with SHA-256",
    SHA256,
    "f35828000001000100030001076578616d706c65036f7267000006000103777777c00c000100fe000000000000c01d000100ff00000000" +
    "0000c01d00010001000000050004c0000201c01d00010001000000050004c0000202066167656e74730000fa00ff00000000003d0b686d" +
    "61632d7368613235360000006b015e61012c0020cafd27061aba9095898119e4e7accb6bcc85e9256e392ffb5f52886e09ac84a2f35800" +
    "000000",
  ],
  [
    "nsupdate with SHA-512",
    SHA512,
    "179628000001000100030001076578616d706c65036f7267000006000103777777c00c00010001000000000004c0000207c01d000100ff" +
    "000000000000c01d00010001000000050004c0000201c01d00010001000000050004c0000202066167656e74730000fa00ff0000000000" +
    "5d0b686d61632d7368613531320000006b015e61012c00407e9e9158b331fb242edde7854b3fa75849dd45469522a88fd518c6b64db96b" +
    "4fa3ff888734870673a318b7f681e472cd64ded59d83c9fe2b359703f36c161b62179600000000",
  ],
  [
    "knsupdate with SHA-256",
    SHA256,
    "3d1d28000001000100030001076578616d706c65036f7267000006000103777777c00c00010001000000000004c0000207c01d000100ff" +
    "000000000000c01d00010001000000050004c0000201c01d00010001000000050004c0000202066167656e74730000fa00ff0000000000" +
    "3d0b686d61632d7368613235360000006b015e61012c00207fc9b579a182fb7591abdcc3c55542560d78c88ee1f2c86d08caa45e3be80a" +
    "ff3d1d00000000",
  ],
];

for (const [who, key, hex] of REQUESTS) {
  Deno.test(`signMessage() gives the bytes of ${who}`, () => {
    const signed = Uint8Array.fromHex(hex);
    const at = hex.indexOf("066167656e747300") / 2;
    const message = signed.slice(0, at);
    message[11] = 0;
    equal(signMessage(message, key, SIGNED_AT).bytes.toHex(), hex);
  });
}

/** The answers to one query, and what that was signed with. */
const ANSWERS = {
  knot: {
    mac: "ce521a822196e3f56eb8275e2dec9ef3b0b29df7c8582515d39555bbd5c4eb8b",
    hex:
      "123484000001000100000001076578616d706c65036f72670000060001c00c00060001000000050026026e73c00c0a686f73746d6173" +
      "746572c00c0000000100000e10000002580001518000000005066167656e74730000fa00ff00000000003d0b686d61632d7368613235" +
      "360000006b015e7d012c0020241c35437d6a2922e361d2659bb5e48bc059cb0051138f32de5ff117d59b0d94123400000000",
  },
  bind: {
    mac: "ce521a822196e3f56eb8275e2dec9ef3b0b29df7c8582515d39555bbd5c4eb8b",
    hex:
      "123484000001000100010002076578616d706c65036f72670000060001c00c00060001000000050026026e73c00c0a686f73746d6173" +
      "746572c00c0000000100000e10000002580001518000000005c00c00020001000000050002c029c029000100010000000500047f0000" +
      "01066167656e74730000fa00ff00000000003d0b686d61632d7368613235360000006b015e7d012c0020b430f20dbed251af821b3691" +
      "5fa895bcb0553d835774a4c7565114ed391efbe8123400000000",
  },
} as const;

for (const [who, { mac, hex }] of Object.entries(ANSWERS)) {
  const answer = Uint8Array.fromHex(hex);
  const requestMac = Uint8Array.fromHex(mac);

  Deno.test(`verifyAnswer() believes ${who}, and nothing else with its signature`, () => {
    const verdict = { isGenuine: true, error: 0, signedAt: 0x6b015e7d, serverUnixSeconds: null };
    deepEqual(verifyAnswer(answer, SHA256, requestMac), verdict);
    equal(verifyAnswer(answer, { ...SHA256, name: "AGENTS." }, requestMac)?.isGenuine, true);
    equal(verifyAnswer(answer, { ...SHA256, name: "others" }, requestMac)?.isGenuine, false);
    equal(verifyAnswer(answer, { ...SHA256, secret: secret.slice(1) }, requestMac)?.isGenuine, false);
    equal(verifyAnswer(answer, SHA256, requestMac.slice(1))?.isGenuine, false);
  });

  Deno.test(`verifyAnswer() believes no answer of ${who} in which a bit differs, and fails only by SyntaxError`, () => {
    for (let bit = 0; bit < answer.length * 8; bit++) {
      const changed = answer.slice();
      changed[bit >> 3]! ^= 1 << (bit & 7);
      // The message's own id isn't covered: the original one in the record is. Nor is the case of the key's name.
      const isCovered = bit >= 16;
      try {
        const verdict = verifyAnswer(changed, SHA256, requestMac);
        if (isCovered && verdict?.isGenuine) equal(caseOnly(answer, changed), true, `bit ${bit}`);
      } catch (error) {
        equal(error instanceof SyntaxError, true, String(error));
      }
    }
    for (let size = 0; size < answer.length; size++) {
      throws(() => {
        if (verifyAnswer(answer.slice(0, size), SHA256, requestMac) === null) {
          throw new SyntaxError("unsigned");
        }
      }, SyntaxError);
    }
  });
}

Deno.test("verifyAnswer() tells what the server's clock says when ours is wrong", () => {
  const answer = Uint8Array.fromHex(
    "123480090001000000000001076578616d706c65036f72670000060001066167656e74730000fa00ff0000000000430b686d61632d7368" +
      "613235360000006b015ced012c0020fdebcbc3d6071cb1c5141f82ca41bfc004cced54a483e86eecc618e082c83b8a12340012000600" +
      "006b015e7d",
  );
  const mac = Uint8Array.fromHex("b04949e19316dab7da2257dcf290cd618283ce4f99d7ed5879463784b7328739");
  const verdict = { isGenuine: true, error: 18, signedAt: 0x6b015ced, serverUnixSeconds: 0x6b015e7d };
  deepEqual(verifyAnswer(answer, SHA256, mac), verdict);
});

Deno.test("verifyAnswer() believes no refusal, which is unsigned, and tells its code", () => {
  const answer = Uint8Array.fromHex(
    "123480090001000000000001076578616d706c65036f72670000060001066167656e74730000fa00ff00000000001d0b686d61632d7368" +
      "613235360000006b015e7d012c0000123400100000",
  );
  const verdict = verifyAnswer(answer, SHA256, new Uint8Array(32));
  deepEqual(verdict, { isGenuine: false, error: 16, signedAt: 0x6b015e7d, serverUnixSeconds: null });
});

Deno.test("verifyAnswer() gives null for what isn't signed", () => {
  const unsigned = Uint8Array.fromHex("1234800500010000000000000377777700 00010001".replace(" ", ""));
  equal(verifyAnswer(unsigned, SHA256, new Uint8Array(32)), null);
});

/** Whether two messages differ in the case of letters only. */
function caseOnly(a: Uint8Array, b: Uint8Array): boolean {
  const lower = (bytes: Uint8Array) => new TextDecoder("latin1").decode(bytes).toLowerCase();
  return lower(a) === lower(b);
}
