/**
 * Files in the `allowed_signers` format of OpenSSH (ssh-keygen(1), ALLOWED SIGNERS), the one that Git knows as
 * `gpg.ssh.allowedSignersFile`.
 *
 * ```text
 * alice@example.org,bob@example.org namespaces="git",valid-before="20301231Z" ssh-ed25519 AAAAC3Nz… a comment
 * ```
 *
 * @module
 */
import { decodeBase64 } from "./armor.ts";
import { readSshKey, type SshKey } from "./ssh_key.ts";

/** A line: a key, and on which terms it counts. */
export interface AllowedSigner {
  /** The first of its principals. */
  readonly principal: string;
  /** Whose signatures this is about. */
  readonly key: SshKey;
  /** Patterns of what it may sign for; `null` = anything. */
  readonly namespaces: string | null;
  /** The first moment at which it counts; `null` = since ever. */
  readonly validAfter: Date | null;
  /** The last moment at which it counts; `null` = without end. */
  readonly validBefore: Date | null;
  /** Where it stands, `file:line`. */
  readonly at: string;
}

/**
 * Reads a file. Lines with `cert-authority` are left out, since certificates aren't supported.
 *
 * @param file how it is called in errors
 * @throws {SyntaxError} `file:line: what is wrong`
 */
export async function readAllowedSigners(text: string, file: string): Promise<AllowedSigner[]> {
  const signers: AllowedSigner[] = [];
  for (const [i, line] of text.split("\n").entries()) {
    const at = `${file}:${i + 1}`;
    const trimmed = line.trim();
    if (trimmed === "" || trimmed.startsWith("#")) continue;
    if (trimmed.length > LINE_LENGTH_MAX) {
      throw new SyntaxError(`${at}: the line has more than ${LINE_LENGTH_MAX} characters`);
    }
    const signer = await readLine(trimmed, at);
    if (signer) signers.push(signer);
  }
  return signers;
}

/** A line with an RSA key of 16,384 bits has 3,000 characters. */
const LINE_LENGTH_MAX = 16_384;

async function readLine(line: string, at: string): Promise<AllowedSigner | null> {
  const [principals, afterPrincipals] = nextField(line, at);
  if (isKeyType(principals)) {
    throw new SyntaxError(`${at}: the principals are missing: write who this is in front of the key`);
  }
  const hasOptions = !isKeyType(afterPrincipals.split(/\s/, 1)[0]!);
  const [optionsText, rest] = hasOptions ? nextField(afterPrincipals, at) : ["", afterPrincipals];
  const [type, base64] = rest.split(/\s+/, 2);
  if (base64 === undefined) {
    throw new SyntaxError(
      `${at}: there is no key: write principals, options if any, the type of the key, the key`,
    );
  }
  const key = await keyOf(type!, base64, at);
  const options = readOptions(optionsText, at);
  if (options["cert-authority"] !== undefined) return null;
  const [validAfter, validBefore] = [timeOf(options, "valid-after", at), timeOf(options, "valid-before", at)];
  if (validAfter && validBefore && validBefore <= validAfter) {
    throw new SyntaxError(`${at}: valid-before must be later than valid-after`);
  }
  const names = principals.replaceAll('"', "").split(",");
  return {
    principal: names.find((name) => name !== "" && !name.startsWith("!")) ?? key.fingerprint,
    key,
    namespaces: options["namespaces"] ?? null,
    validAfter,
    validBefore,
    at,
  };
}

/** Reads the key of a line of a file. */
async function keyOf(type: string, base64: string, at: string): Promise<SshKey> {
  const blob = decodeBase64(base64);
  try {
    const key = blob && await readSshKey(blob);
    if (key?.type === type) return key;
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
  }
  throw new SyntaxError(`${at}: the key can't be read: copy the line of the .pub file without breaking it`);
}

function isKeyType(word: string): boolean {
  return /^(ssh|ecdsa|sk|rsa|webauthn)-[\w@.-]+$/.test(word);
}

/** The next field, which ends at a blank that isn't between quotes, and what comes behind it. */
function nextField(text: string, at: string): readonly [field: string, rest: string] {
  const field = /^(?:"(?:\\.|[^"\\])*"|[^\s"])*/.exec(text)![0];
  const rest = text.slice(field.length);
  if (rest.startsWith('"')) throw new SyntaxError(`${at}: a quote isn't closed`);
  return [field, rest.trimStart()];
}

type Options = Readonly<Record<string, string>>;

const OPTIONS = ["cert-authority", "namespaces", "valid-after", "valid-before"];

function readOptions(text: string, at: string): Options {
  const options: Record<string, string> = {};
  for (OPTION.lastIndex = 0; OPTION.lastIndex < text.length;) {
    const [, name, value] = OPTION.exec(text) ?? [];
    const known = OPTIONS.find((each) => each === name?.toLowerCase());
    if (!known || (value === undefined) !== (known === "cert-authority")) {
      throw new SyntaxError(
        `${at}: ${JSON.stringify(text)} isn't understood: options are ${OPTIONS.join(", ")}`,
      );
    }
    if (known in options) throw new SyntaxError(`${at}: ${known} is there twice`);
    options[known] = value?.replaceAll('\\"', '"') ?? "";
  }
  return options;
}

/** An option with its value and the comma behind it. */
const OPTION = /([\w-]+)(?:="((?:\\.|[^"\\])*)")?(?:,|$)/y;

/** `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, in local time or, with `Z` behind it, in UTC. */
function timeOf(options: Options, name: string, at: string): Date | null {
  const text = options[name];
  if (text === undefined) return null;
  const match = /^(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?(z|utc)?$/i.exec(text);
  if (match) {
    const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0));
    const fields = [year!, month! - 1, day!, hour!, minute!, second!] as const;
    const isReal = new Date(Date.UTC(...fields)).toISOString().replaceAll(/\D/g, "").startsWith(
      text.replaceAll(/\D/g, ""),
    );
    if (isReal) return match[7] ? new Date(Date.UTC(...fields)) : new Date(...fields);
  }
  throw new SyntaxError(
    `${at}: ${name} ${JSON.stringify(text)} must be YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, with Z for UTC`,
  );
}
