/**
 * Trusted keys: which files and fingerprints say which signatures count, and what is said of files that can't be read.
 *
 * @module
 */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { generateKey, readKey, readPrivateKey } from "openpgp";
import { verifyCommit } from "../../src/gitops/signature.ts";
import { readSigners, SIGNER_FILE_BYTES_MAX } from "../../src/gitops/signers.ts";
import { KEPT_FOLDER, keptObjects } from "./signed_objects.ts";

const KEPT = keptObjects();
const KEYRING = `${KEPT_FOLDER}/keyring.asc`;
const ALLOWED = `${KEPT_FOLDER}/allowed_signers`;
const ALICE = KEPT.fingerprints[0]!;
const PGP = kept("pgp ed25519"), SSH = kept("ssh ed25519"), SUBKEY = kept("pgp subkey");
const SSH_LINE = KEPT.allowedSigners.split("\n").find((line) => line.startsWith("ed25519@"))!;

function kept(name: string): Uint8Array<ArrayBuffer> {
  return KEPT.objects.find((each) => each.name === name)!.object;
}

/** A file of this content, for as long as it is used. */
function file(content: string | Uint8Array): { readonly path: string } & Disposable {
  const path = Deno.makeTempFileSync();
  Deno.writeFileSync(path, typeof content === "string" ? new TextEncoder().encode(content) : content);
  return { path, [Symbol.dispose]: () => Deno.removeSync(path) };
}

/** Whether this commit is good for signers from these settings. */
async function isGood(
  commit: Uint8Array,
  keyring: string | null,
  allowedSigners: readonly string[],
): Promise<boolean> {
  return (await verifyCommit(commit, await readSigners({ keyring, allowedSigners }), KEPT.now)).state ===
    "good";
}

Deno.test("only keys whose fingerprint is listed count, not all in the keyring", async () => {
  ok(await isGood(PGP, KEYRING, [ALICE]));
  ok(await isGood(PGP, KEYRING, [`0x${ALICE.toLowerCase().replaceAll(/(.{4})/g, "$1 ")}`]));
  ok(!await isGood(PGP, KEYRING, [KEPT.fingerprints[1]!]));
  ok(!await isGood(PGP, KEYRING, []));
  ok(!await isGood(PGP, KEYRING, [ALLOWED]));
  const { pgp, ssh, isEmpty } = await readSigners({ keyring: KEYRING, allowedSigners: [] });
  deepEqual([pgp.keys.length > 0, ssh.lines.length, isEmpty], [true, 0, true]);
});

Deno.test("a subkey counts by its own fingerprint or by that of its key", async () => {
  const all = await readSigners({ keyring: KEYRING, allowedSigners: KEPT.fingerprints });
  const owner = all.pgp.keys.find((key) => key.getUserIDs().includes("Owner <o@example.org>"))!;
  const [primary, first, second] = [owner, ...owner.subkeys].map((key) => key.getFingerprint());
  ok(await isGood(SUBKEY, KEYRING, [primary!]));
  ok(await isGood(SUBKEY, KEYRING, [first!]));
  ok(!await isGood(SUBKEY, KEYRING, [second!]));
});

Deno.test("an SSH key counts by a line of a file, or by its fingerprint", async () => {
  using lines = file(`# a comment\n\n${SSH_LINE}\n`);
  const { ssh: { lines: [line] } } = await readSigners({ keyring: null, allowedSigners: [lines.path] });
  const { fingerprint } = line!.key;
  equal(line!.principal, "ed25519@example.org");
  ok(await isGood(SSH, null, [lines.path]));
  ok(await isGood(SSH, null, [fingerprint]));
  ok(!await isGood(SSH, null, [fingerprint.replace(/.$/, (last) => last === "A" ? "B" : "A")]));
  // The terms of a line aren't overridden by a fingerprint.
  using ended = file(SSH_LINE.replace(" ", ' valid-before="20240101Z" '));
  ok(!await isGood(SSH, null, [ended.path, fingerprint]));
  using renewed = file(`${SSH_LINE.replace(" ", ' valid-before="20240101Z" ')}\n${SSH_LINE}\n`);
  ok(await isGood(SSH, null, [renewed.path]));
});

Deno.test("a revocation certificate counts from the moment it stands in the keyring", async () => {
  const dropped = `${KEPT.keyring}\n:comment of gpg\n${KEPT.revocation}`;
  for (const text of [dropped, KEPT.revocation + KEPT.keyring]) {
    using keyring = file(text);
    ok(!await isGood(PGP, keyring.path, [ALICE]));
    ok(await isGood(SUBKEY, keyring.path, KEPT.fingerprints));
  }
});

Deno.test("what two copies say of one key is put together", async () => {
  const { privateKey, publicKey } = await generateKey({
    userIDs: [{ email: "a@example.org" }],
    date: MADE,
    format: "armored",
  });
  const { signed, fingerprint } = await signedBy(privateKey);
  const revoked = (await (await readPrivateKey({ armoredKey: privateKey })).revoke({}, MADE)).toPublic()
    .armor();
  using plain = file(publicKey);
  using oldFirst = file(`${publicKey}\n${revoked}`);
  using oldLast = file(`${revoked}\n${publicKey}`);
  for (const [{ path }, state] of [[plain, "good"], [oldFirst, "refused"], [oldLast, "refused"]] as const) {
    const signers = await readSigners({ keyring: path, allowedSigners: [fingerprint] });
    equal(signers.pgp.keys.length, 1);
    equal((await verifyCommit(signed, signers, KEPT.now)).state, state);
  }
});

Deno.test("a key of version 6 may have no user; its fingerprint names it", async () => {
  const { privateKey, publicKey } = await generateKey({
    userIDs: [],
    date: MADE,
    config: { v6Keys: true },
    format: "armored",
  });
  const { signed, fingerprint } = await signedBy(privateKey);
  using keyring = file(publicKey);
  const signers = await readSigners({ keyring: keyring.path, allowedSigners: [fingerprint] });
  const name = fingerprint.toUpperCase();
  equal(name.length, 64);
  deepEqual(await verifyCommit(signed, signers, KEPT.now), {
    state: "good",
    kind: "pgp",
    signer: name,
    fingerprint: name,
  });
});

/** When keys are made here, which sign at once. */
const MADE = new Date("2025-01-01T00:00:00Z");

/** A commit signed by a key. */
async function signedBy(
  armored: string,
): Promise<{ readonly signed: Uint8Array; readonly fingerprint: string }> {
  const openpgp = await import("openpgp");
  const key = await openpgp.readPrivateKey({ armoredKey: armored });
  const payload = "tree 1\ncommitter A <a@example.org> 1 +0000\n\nx\n";
  const message = await openpgp.createMessage({ binary: new TextEncoder().encode(payload) });
  const signature = await openpgp.sign({
    message,
    signingKeys: key,
    date: MADE,
    detached: true,
    format: "armored",
  });
  const header = signature.replaceAll("\r", "").trim().replaceAll("\n", "\n ");
  const signed = new TextEncoder().encode(payload.replace("\n\n", `\ngpgsig ${header}\n\n`));
  return { signed, fingerprint: key.getFingerprint() };
}

Deno.test("a keyring may be binary", async () => {
  const [block] = KEPT.keyring.split("-----END");
  const binary = Uint8Array.from(
    atob(block!.slice(block!.indexOf("\n\n")).replace(/\n=.{4}\n$/, "").replaceAll("\n", "")),
    (char) => char.charCodeAt(0),
  );
  using keyring = file(binary);
  ok(await isGood(PGP, keyring.path, [ALICE]));
});

Deno.test("what can't be read is refused with its place", async () => {
  const { privateKey, publicKey } = await generateKey({
    userIDs: [{ email: "a@example.org" }],
    format: "armored",
  });
  const stranger = (await readKey({ armoredKey: publicKey })).getFingerprint().toUpperCase();
  const base64 = SSH_LINE.split(" ")[2]!;
  const rows: readonly (readonly [text: string, reason: RegExp])[] = [
    ["a b", /:1: there is no key/],
    ["\n\na", /:3: there is no key/],
    [`ssh-ed25519 ${base64}`, /:1: the principals are missing/],
    [`a ssh-rsa ${base64}`, /:1: the key can't be read/],
    [`a ssh-ed25519 ${base64.slice(0, 20)}`, /:1: the key can't be read/],
    ["a ssh-ed25519 !!!", /:1: the key can't be read/],
    [`a verified ssh-ed25519 ${base64}`, /:1: "verified" isn't understood/],
    [`a namespaces ssh-ed25519 ${base64}`, /:1: "namespaces" isn't understood/],
    [`a namespaces="git",,cert-authority ssh-ed25519 ${base64}`, /isn't understood/],
    [`a namespaces="git",namespaces="git" ssh-ed25519 ${base64}`, /:1: namespaces is there twice/],
    [`a namespaces="git ssh-ed25519 ${base64}`, /:1: a quote isn't closed/],
    [`a valid-before="2024" ssh-ed25519 ${base64}`, /:1: valid-before "2024" must be YYYYMMDD/],
    [`a valid-after="20240231" ssh-ed25519 ${base64}`, /:1: valid-after "20240231" must be/],
    [`a valid-after="20240201",valid-before="20240201" ssh-ed25519 ${base64}`, /must be later/],
    [`a ssh-ed25519 ${base64} ${"x".repeat(20_000)}`, /:1: the line has more than 16384 characters/],
    [`a ${'"\\'.repeat(8_000)}`, /:1: /],
  ];
  for (const [text, reason] of rows) {
    using lines = file(text);
    await rejects(readSigners({ keyring: null, allowedSigners: [lines.path] }), reason, text.slice(0, 80));
  }
  const keyrings: readonly (readonly [content: string | Uint8Array, reason: RegExp])[] = [
    [privateKey, /:1: this is a private key/],
    [(privateKey as string).replaceAll("PRIVATE KEY", "PUBLIC KEY"), /:1: it holds a private key/],
    [`\n${PRELUDE}\n\nAAAA\n`, /:2: the block is damaged/],
    [`${PRELUDE}\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----\n`, /:1: /],
    ["-----BEGIN PGP MESSAGE-----\n", /:1: "PGP MESSAGE" is no PGP public key/],
    [new Uint8Array([0xff, 1, 2, 3]), /: /],
    [new Uint8Array(SIGNER_FILE_BYTES_MAX + 1), /it has more than 4 MiB/],
  ];
  for (const [content, reason] of keyrings) {
    using keyring = file(content);
    await rejects(readSigners({ keyring: keyring.path, allowedSigners: [] }), reason);
  }
  await rejects(
    readSigners({ keyring: "/nowhere", allowedSigners: [] }),
    /^SyntaxError: \/nowhere: there is no such file$/,
  );
  await rejects(readSigners({ keyring: "/dev/zero", allowedSigners: [] }), /it is no regular file/);
  await rejects(
    readSigners({ keyring: null, allowedSigners: ["/nowhere"] }),
    /allowedSigners: \/nowhere: there is no/,
  );
  await rejects(
    readSigners({ keyring: null, allowedSigners: [ALICE.slice(-16)] }),
    /is the short id of a key/,
  );
  await rejects(
    readSigners({ keyring: null, allowedSigners: [`ssh-ed25519 ${base64}`] }),
    /is a key; give its fing/,
  );
  await rejects(
    readSigners({ keyring: null, allowedSigners: [ALICE] }),
    /isn't in gitops\.keyring, which isn't set/,
  );
  await rejects(readSigners({ keyring: KEYRING, allowedSigners: [stranger] }), /keyring\.asc: put it there/);
});

const PRELUDE = "-----BEGIN PGP PUBLIC KEY BLOCK-----";

/** Of a key on a FIDO token. */
const FIDO = btoa(
  `\0\0\0\x1ask-ssh-ed25519@openssh.com\0\0\0\x20${"x".repeat(32)}\0\0\0\x04ssh:`,
);

Deno.test("signers are empty when no signature can be good", async () => {
  using nothing = file("# nothing\n");
  using certified = file(SSH_LINE.replace(" ", " cert-authority "));
  using fido = file(`a sk-ssh-ed25519@openssh.com ${FIDO}\n`);
  for (const allowedSigners of [[], [nothing.path], [certified.path], [fido.path]]) {
    equal((await readSigners({ keyring: null, allowedSigners })).isEmpty, true);
  }
  equal((await readSigners({ keyring: null, allowedSigners: [ALLOWED] })).isEmpty, false);
  equal((await readSigners({ keyring: KEYRING, allowedSigners: [ALICE] })).isEmpty, false);
});

Deno.test("whatever stands in a file of signers is read or refused, in a moment", async () => {
  let state = 7;
  const random = (below: number) => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) % below;
  for (let round = 0; round < 400; round++) {
    const isLines = round % 10 !== 0;
    const text = isLines ? KEPT.allowedSigners : KEPT.keyring;
    const at = random(text.length);
    const broken = text.slice(0, at) + text.slice(random(text.length)).slice(0, random(60)) +
      text.slice(at + random(30));
    using changed = file(broken);
    try {
      await readSigners(
        isLines
          ? { keyring: null, allowedSigners: [changed.path] }
          : { keyring: changed.path, allowedSigners: [] },
      );
    } catch (cause) {
      ok(cause instanceof SyntaxError, String(cause));
      match(cause.message, /:\d+: /);
    }
  }
});
