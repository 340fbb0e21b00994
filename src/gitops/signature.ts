/**
 * Who signed a commit or a tag, as `git verify-commit` and `git verify-tag` say it; docs/gitops-signatures.md lists
 * where this is stricter.
 *
 * The signed bytes are the object as it is stored, without the signature itself: nothing is parsed and written again.
 * All that is read here comes from whoever can push, so it is bounded before it is looked at.
 *
 * @module
 */
import { verifyPgp } from "./pgp_signature.ts";
import type { Signers } from "./signers.ts";
import { verifySsh } from "./ssh_signature.ts";
import type { Verdict } from "./verdict.ts";

/** Longer commits and tags are refused unread. The longest messages of large projects have some 100 KiB. */
export const OBJECT_BYTES_MAX = 1 << 20;

/** Longer signatures are refused unread: one by RSA with 16,384 bits has 3 KiB. */
export const SIGNATURE_BYTES_MAX = 1 << 14;

/**
 * Judges the signature of a commit. Only this commit's own signature counts: a signed merge of unsigned parents is
 * good, and the signed tag inside of a merge (`mergetag`) is a part of what is signed.
 *
 * @param commit the whole object without the `commit <size>` in front
 * @param now time at which the key must be valid
 */
export function verifyCommit(commit: Uint8Array, signers: Signers, now: Date): Promise<Verdict> {
  return judge("commit", commit, splitCommit, { signers, now });
}

/** Judges the signature of a tag, as {@linkcode verifyCommit} does of a commit. */
export function verifyTag(tag: Uint8Array, signers: Signers, now: Date): Promise<Verdict> {
  return judge("tag", tag, splitTag, { signers, now });
}

/** What is signed, and the armored signatures of it. */
interface Split {
  readonly payload: Uint8Array<ArrayBuffer>;
  readonly signatures: readonly Uint8Array[];
}

async function judge(
  noun: "commit" | "tag",
  object: Uint8Array,
  split: (object: Uint8Array) => Split,
  { signers, now }: { readonly signers: Signers; readonly now: Date },
): Promise<Verdict> {
  if (object.length > OBJECT_BYTES_MAX) {
    return refused(`The ${noun} has more than ${OBJECT_BYTES_MAX >> 10} KiB: shorten its message`);
  }
  const { payload, signatures } = split(object);
  const [signature, second] = signatures;
  if (!signature) return { state: "unsigned" };
  if (second) return refused(`The ${noun} is signed twice: sign it once`);
  if (signature.length > SIGNATURE_BYTES_MAX) {
    return refused(`The signature has more than ${SIGNATURE_BYTES_MAX >> 10} KiB: sign the ${noun} again`);
  }
  const armored = latin1.decode(signature);
  if (armored.startsWith(PGP)) return await verifyPgp({ payload, armored }, signers.pgp, now);
  if (armored.startsWith(SSH)) {
    return await verifySsh({ payload, armored, signedAt: signedAt(payload, noun) }, signers.ssh, now);
  }
  return refused(
    armored.startsWith(X509)
      ? `The ${noun} is signed with X.509, which isn't supported: sign with GPG or SSH`
      : `The signature is of no known kind: sign the ${noun} with GPG or SSH`,
  );
}

function refused(reason: string): Verdict {
  return { state: "refused", reason };
}

const latin1 = new TextDecoder("latin1");
const PGP = "-----BEGIN PGP SIGNATURE-----";
const SSH = "-----BEGIN SSH SIGNATURE-----";
const X509 = "-----BEGIN SIGNED MESSAGE-----";
/** Lines that begin a signature in a tag, for Git. */
const BEGINNINGS = [PGP, SSH, X509, "-----BEGIN PGP MESSAGE-----"].map(bytesOf);

const LF = 10, SPACE = 32;

/**
 * Takes the signature out of a commit. A repository with SHA-256 signs in a header of its own; a commit that was
 * converted carries both, and neither is a part of what is signed (gitformat-signature).
 */
function splitCommit(commit: Uint8Array): Split {
  const tree = commit.indexOf(LF);
  const own = tree === "tree ".length + 64 ? SHA256_HEADER : SHA1_HEADER;
  const { rest, taken } = withoutHeaders(commit, [SHA1_HEADER, SHA256_HEADER]);
  return { payload: rest, signatures: taken.filter(({ name }) => name === own).map(({ value }) => value) };
}

/** Takes the signature off the end of a tag: it begins at the last line that looks like one. */
function splitTag(tag: Uint8Array): Split {
  let end = tag.length;
  for (let at = 0; at < tag.length; at = lineAfter(tag, at)) {
    if (BEGINNINGS.some((beginning) => startsWith(tag, at, beginning))) end = at;
  }
  const { rest } = withoutHeaders(tag.subarray(0, end), [SHA1_HEADER, SHA256_HEADER]);
  return { payload: rest, signatures: end < tag.length ? [tag.subarray(end)] : [] };
}

const SHA1_HEADER = bytesOf("gpgsig ");
const SHA256_HEADER = bytesOf("gpgsig-sha256 ");

/**
 * Takes headers of these names out of an object: the line, and those behind it that begin with a space. What follows
 * the empty line is the message and stays as it is.
 */
function withoutHeaders(
  object: Uint8Array,
  names: readonly Uint8Array[],
): {
  readonly rest: Uint8Array<ArrayBuffer>;
  readonly taken: readonly { readonly name: Uint8Array; readonly value: Uint8Array }[];
} {
  const rest = new Uint8Array(object.length);
  let length = 0;
  const keep = (from: number, to: number) => {
    rest.set(object.subarray(from, to), length);
    length += to - from;
  };
  const taken: { name: Uint8Array; value: Uint8Array }[] = [];
  for (let at = 0; at < object.length;) {
    if (object[at] === LF) {
      keep(at, object.length);
      break;
    }
    const end = lineAfter(object, at);
    const name = names.find((each) => startsWith(object, at, each));
    if (name) {
      const header = continued(object, at, name.length);
      taken.push({ name, value: header.value });
      at = header.end;
    } else {
      keep(at, end);
      at = end;
    }
  }
  return { rest: rest.subarray(0, length), taken };
}

/** The value of a header over all its lines, each without the space in front. */
function continued(
  object: Uint8Array,
  from: number,
  nameLength: number,
): { readonly value: Uint8Array; readonly end: number } {
  let end = lineAfter(object, from);
  const pieces = [object.subarray(from + nameLength, end)];
  while (object[end] === SPACE) {
    const next = lineAfter(object, end);
    pieces.push(object.subarray(end + 1, next));
    end = next;
  }
  const value = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let length = 0;
  for (const piece of pieces) {
    value.set(piece, length);
    length += piece.length;
  }
  return { value, end };
}

/** When the committer or the tagger says that this was signed; `null` where that can't be read. */
function signedAt(payload: Uint8Array, noun: "commit" | "tag"): Date | null {
  const header = bytesOf(noun === "commit" ? "committer " : "tagger ");
  for (let at = 0; at < payload.length && payload[at] !== LF; at = lineAfter(payload, at)) {
    if (!startsWith(payload, at, header)) continue;
    const seconds = /> (\d{1,11}) [+-]\d{4}$/.exec(
      latin1.decode(payload.subarray(at, lineAfter(payload, at))).trimEnd(),
    )?.[1];
    return seconds === undefined ? null : new Date(Number(seconds) * 1000);
  }
  return null;
}

/** Where the next line begins; the end of the object after the last one. */
function lineAfter(object: Uint8Array, at: number): number {
  const end = object.indexOf(LF, at);
  return end < 0 ? object.length : end + 1;
}

function startsWith(object: Uint8Array, at: number, text: Uint8Array): boolean {
  return text.every((byte, i) => object[at + i] === byte);
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
