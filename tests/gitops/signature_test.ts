/**
 * Signatures of commits and tags, held against the verdicts of `git verify-commit` and `git verify-tag`; and what
 * becomes of signatures that were tampered with.
 *
 * @module
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { RepositoryWork } from "../../src/gitops/git_work.ts";
import { verifyCommit, verifyTag } from "../../src/gitops/signature.ts";
import { readSigners } from "../../src/gitops/signers.ts";
import type { Verdict } from "../../src/gitops/verdict.ts";
import { none } from "../source_text.ts";
import { KEPT_FOLDER, keptObjects, type SignedObject } from "./signed_objects.ts";
import { differences, judge } from "./verdicts.ts";

const KEPT = keptObjects();
const PAGE = Deno.readTextFileSync(new URL("../../docs/gitops-signatures.md", import.meta.url));

/** Signers of what is kept. */
const signers = await readSigners({
  keyring: `${KEPT_FOLDER}/keyring.asc`,
  allowedSigners: [...KEPT.fingerprints, `${KEPT_FOLDER}/allowed_signers`],
});

function verdictOf(object: SignedObject, now = KEPT.now): Promise<Verdict> {
  return judge(object, signers, now);
}

function kept(name: string): SignedObject {
  return KEPT.objects.find((each) => each.name === name)!;
}

Deno.test("verdicts are those of git verify-commit, or stricter where the page says so", async () => {
  ok(KEPT.objects.length >= 90);
  none(await differences(KEPT, signers));
  none(
    KEPT.objects.flatMap(({ differs }) =>
      differs === null || PAGE.includes(`| ${differs} `) ? [] : [differs]
    ),
  );
});

Deno.test("a good verdict names who signed, and with which key", async () => {
  const verdict = await verdictOf(kept("pgp ed25519"));
  equal(verdict.state, "good");
  deepEqual(verdict, {
    state: "good",
    kind: "pgp",
    signer: "Alice <alice@example.org>",
    fingerprint: KEPT.fingerprints[0],
  });
  const bySsh = await verdictOf(kept("ssh ed25519"));
  ok(bySsh.state === "good");
  deepEqual([bySsh.kind, bySsh.signer], ["ssh", "ed25519@example.org"]);
  match(bySsh.fingerprint, /^SHA256:[\w+/]{43}$/);
  const bySubkey = await verdictOf(kept("pgp subkey"));
  ok(bySubkey.state === "good");
  equal(bySubkey.signer, "Owner <o@example.org>");
  ok(!KEPT.fingerprints.includes(bySubkey.fingerprint));
});

/** What stands in the reason of a refusal. */
const REASONS: Readonly<Record<string, RegExp>> = {
  "pgp rsa1024": /kind rsaEncryptSign of 1024 bits/,
  "pgp dsa2048": /kind dsa/,
  "pgp secp256k1": /kind secp256k1/,
  "pgp key expired after it signed": /isn't valid now \(primary key is expired\)/,
  "pgp key revoked as superseded": /is revoked/,
  "pgp live subkey of a revoked key": /is revoked/,
  "pgp expired subkey of a live key": /subkey is expired/,
  "pgp subkey of a live key revoked": /is revoked/,
  "pgp signature older than its key": /older than its key/,
  "pgp rsa with SHA1": /hash below 256 bits/,
  "pgp over text": /isn't one over a binary document/,
  "pgp signature that has expired": /signature has expired/,
  "pgp stranger": /^Signed by the PGP key [0-9A-F]{16}, which isn't in gitops\.keyring$/,
  "pgp message changed": /changed after it was signed, or signed elsewhere/,
  "pgp two gpgsig headers": /signed twice/,
  "pgp signed by two keys at once": /more than one PGP signature/,
  "pgp inline message": /of no known kind/,
  "ssh rsa with 1,024 bits": /an RSA key of 1024 bits isn't accepted/,
  "ssh wrong namespace": /namespace "file" instead of "git"/,
  "ssh stranger": /^Signed by the SSH key SHA256:\S+, which isn't among gitops\.allowedSigners$/,
  "ssh key not allowed for git": /allowed_signers:\d+: this key may not sign/,
  "ssh key ended after it signed": /allowed_signers:\d+: this key isn't valid at 20/,
  "ssh certificate": /certificates \("ssh-ed25519-cert-v01@openssh\.com"\) aren't supported/,
  "ssh message changed": /changed after it was signed, or signed elsewhere/,
  "ssh text behind the armor": /damaged/,
  "x509": /X\.509, which isn't supported/,
  "no known kind of signature": /no known kind/,
};

Deno.test("a refusal says what is wrong", async () => {
  for (const [name, reason] of Object.entries(REASONS)) {
    const verdict = await verdictOf(kept(name));
    ok(verdict.state === "refused", name);
    match(verdict.reason, reason, name);
  }
});

Deno.test("a key must be valid at the moment that is handed in, not at that of the signature", async () => {
  const expired = kept("pgp key expired after it signed");
  equal((await verdictOf(expired, new Date("2024-08-01T00:00:00Z"))).state, "good");
  equal((await verdictOf(expired, new Date("2024-09-02T00:00:00Z"))).state, "refused");
  const ended = kept("ssh key ended after it signed");
  equal((await verdictOf(ended, new Date("2024-09-01T00:00:00Z"))).state, "good");
  equal((await verdictOf(ended, new Date("2024-09-01T00:00:01Z"))).state, "refused");
});

Deno.test("an SSH signature is refused for what isn't among the signed bytes, too", async () => {
  const text = new TextDecoder("latin1").decode(kept("ssh ed25519").object);
  const armor = /(?<=SSH SIGNATURE-----\n)[\s\S]*(?= -----END)/.exec(text)![0];
  const blob = atob(armor.replaceAll(/\s/g, ""));
  const rows: readonly (readonly [changed: string, reason: RegExp | null])[] = [
    [blob, null],
    [blob.replace("SSHSIG\0\0\0\x01", "SSHSIG\0\0\0\x02"), /damaged/],
    [blob.replace(/(?<=sha512[^]*)ssh-ed25519/, "ssh-ed25518"), /doesn't belong to this content/],
    [blob.replace("sha512", "sha384"), /the hash "sha384" isn't accepted/],
    [`${blob}x`, /damaged/],
    [blobOf("sk-\x1b[2J".repeat(100)), /^SSH keys on FIDO tokens \("(?:sk-\?\[2J)+s?k?-?\??"\)/],
    [FIDO_BLOB, /FIDO tokens \("sk-ssh-ed25519@openssh\.com"\) aren't supported/],
  ];
  for (const [changed, reason] of rows) {
    const commit = new TextEncoder().encode(text.replace(armor, ` ${btoa(changed)}\n`));
    const verdict = await verifyCommit(commit, signers, KEPT.now);
    if (reason === null) equal(verdict.state, "good");
    else {
      ok(verdict.state === "refused", String(reason));
      match(verdict.reason, reason);
    }
  }
});

const FIDO_BLOB = blobOf("sk-ssh-ed25519@openssh.com");

/** A signature by a key of this type. */
function blobOf(type: string): string {
  const key = string(type) + string("x".repeat(32)) + string("ssh:");
  return `SSHSIG\0\0\0\x01${[key, "git", "", "sha512", ""].map(string).join("")}`;
}

function string(text: string): string {
  return String.fromCharCode(0, 0, text.length >> 8, text.length & 0xff) + text;
}

Deno.test("no signed byte can be changed", async () => {
  for (
    const name of [
      "pgp ed25519",
      "pgp rsa2048",
      "pgp commit with a mergetag",
      "ssh ed25519",
      "ssh ecdsa with P-256",
      "tag ssh",
    ]
  ) {
    const { object, type } = kept(name);
    const [from, to] = signatureIn(object);
    for (let at = 0; at < object.length; at++) {
      if (at >= from && at < to) continue;
      const changed = object.slice();
      changed[at]! ^= 1 << at % 8;
      const verdict = await verdictOf({ ...kept(name), object: changed, type });
      ok(verdict.state !== "good", `${name}: byte ${at}`);
    }
  }
});

/** From the first byte of the signature to behind its last one. */
function signatureIn(object: Uint8Array): readonly [from: number, to: number] {
  const text = new TextDecoder("latin1").decode(object);
  const header = text.indexOf("\ngpgsig ");
  if (header < 0) return [text.lastIndexOf("-----BEGIN"), text.length];
  const last = /\n -----END (?:PGP|SSH) SIGNATURE-----\n/.exec(text.slice(header))!;
  return [header + 1, header + last.index + last[0].length];
}

Deno.test("nothing that is done to an object makes it throw, or say good of other content", async () => {
  const random = randomFrom(42);
  const goods = KEPT.objects.filter(({ isGoodForGit, differs, name }) =>
    isGoodForGit && differs === null && !/521|brainpool/.test(name)
  );
  for (let round = 0; round < 1_500; round++) {
    const original = goods[random(goods.length)]!;
    const object = mutated(original.object, random);
    const verdict = await verdictOf({ ...original, object });
    if (verdict.state !== "good") continue;
    // The signature itself may be written in other ways; what it signs may not.
    equal(signedPart(object), signedPart(original.object), `round ${round} of ${original.name}`);
  }
});

function mutated(
  object: Uint8Array<ArrayBuffer>,
  random: (below: number) => number,
): Uint8Array<ArrayBuffer> {
  const [at, length] = [random(object.length), random(40)];
  switch (random(5)) {
    case 0:
      return object.slice(0, at);
    case 1:
      return new Uint8Array([...object.subarray(0, at), ...object.subarray(at + length)]);
    case 2:
      return new Uint8Array([
        ...object.subarray(0, at),
        ...object.subarray(at, at + length),
        ...object.subarray(at),
      ]);
    case 3: {
      const from = random(object.length);
      return new Uint8Array([
        ...object.subarray(0, at),
        ...object.subarray(from, from + length),
        ...object.subarray(at),
      ]);
    }
    default: {
      const changed = object.slice();
      for (let i = 0; i < 3; i++) changed[random(changed.length)] = random(256);
      return changed;
    }
  }
}

/** The object without `gpgsig` headers or the signature at its end. */
function signedPart(object: Uint8Array): string {
  const text = new TextDecoder("latin1").decode(object);
  if (text.startsWith("object ")) return text.slice(0, text.lastIndexOf("\n-----BEGIN") + 1);
  const end = text.indexOf("\n\n") + 1 || text.length;
  return text.slice(0, end).replaceAll(/^gpgsig(-sha256)? .*\n(?: .*\n?)*/gm, "") + text.slice(end);
}

/** Numbers by a linear congruential generator, the same in each run. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
}

Deno.test("what is far too long is refused unread", async () => {
  const commit = (headers: string) => new TextEncoder().encode(`tree 1\n${headers}\nx\n`);
  const long = new Uint8Array(100 << 20).fill(32);
  long.set(commit("gpgsig -----BEGIN PGP SIGNATURE-----\n"));
  for (
    const [object, reason] of [
      [long, /commit has more than 1024 KiB/],
      [commit("x y\n".repeat(1_000_000)), /commit has more than 1024 KiB/],
      [
        commit(`gpgsig -----BEGIN PGP SIGNATURE-----\n${" x\n".repeat(10_000)}`),
        /signature has more than 16 KiB/,
      ],
      [commit("gpgsig x\n".repeat(100_000)), /signed twice/],
      [commit(`gpgsig -----BEGIN SSH SIGNATURE-----\n${" x\n".repeat(5_000)}`), /SSH signature is damaged/],
    ] as const
  ) {
    const verdict = await verifyCommit(object, signers, KEPT.now);
    ok(verdict.state === "refused");
    match(verdict.reason, reason);
  }
  equal((await verifyCommit(commit("x y\n".repeat(250_000)), signers, KEPT.now)).state, "unsigned");
  const tag = await verifyTag(long, signers, KEPT.now);
  ok(tag.state === "refused");
  match(tag.reason, /tag has more than/);
});

Deno.test("a good signature of a tag counts for the commit that it points at, if the settings say so", async () => {
  const bytes = (name: string) => kept(name).object;
  const look = async (tags: readonly string[], signedTags: boolean) => {
    await using work = new RepositoryWork({
      fetch: () => Promise.reject(new Error("isn't fetched")),
      commit: () => Promise.resolve(bytes("unsigned")),
      tags: () => Promise.resolve(tags.map(bytes)),
      descends: () => Promise.resolve("unknown"),
      files: async function* () {},
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }, () => KEPT.now);
    const terms = {
      keyring: `${KEPT_FOLDER}/keyring.asc`,
      allowedSigners: [...KEPT.fingerprints, `${KEPT_FOLDER}/allowed_signers`],
      signedTags,
    };
    return (await work.look("0".repeat(40), terms)).verdict?.state;
  };
  deepEqual(
    [
      await look(["tag unsigned", "tag ssh"], true),
      await look(["tag unsigned", "tag pgp"], true),
      await look(["tag pgp"], false),
      await look(["tag unsigned", "tag pgp renamed"], true),
      await look([], true),
    ],
    ["good", "good", "unsigned", "unsigned", "unsigned"],
  );
});
