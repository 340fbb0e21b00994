/**
 * What `pleiades license issue` and `verify` do: tokens are signed and judged here, with no node running.
 *
 * @module
 */
import { isExpired, issueToken, type License, rateOf, readToken } from "../license/token.ts";
import { secretFault } from "../settings/blocks/license.ts";
import { loadSettings } from "../settings/settings.ts";
import { fileFault } from "../input/file_fault.ts";
import { readShortFile, SECRET_BYTES_MAX } from "../input/regular_file.ts";
import { formatProblem } from "../input/yaml_source.ts";
import { CommandFailed, type ExitCode, wrongUsage } from "./failure.ts";
import type { Terminal } from "./terminal.ts";

/** Where the secret is. */
export interface SecretFlags {
  /** `--secret-file`; absent = the settings have it. */
  readonly secretFile?: string;
  /** `-c`; absent = the default file when it exists. */
  readonly config?: string;
}

/** Flags of `license issue`. */
export interface IssueFlags extends SecretFlags {
  /** `--tier`. */
  readonly tier: string;
  /** `--rps`: answers a second; absent = those of the tier. */
  readonly rps?: number;
  /** `--expire-in`, milliseconds. */
  readonly expireIn: number;
  /** `--id`; absent = a random one. */
  readonly id?: string;
}

/** Flags of `license verify`. */
export interface VerifyFlags extends SecretFlags {
  /** `-o`. */
  readonly output: "text" | "json";
}

/** Prints a token and nothing else. @throws {CommandFailed} when there is no secret, or the token would be refused */
export function issue(flags: IssueFlags, terminal: Terminal): ExitCode {
  const { tier, rps: maxRps = null, expireIn, id = crypto.randomUUID() } = flags;
  const [secret] = keysOf(flags).secrets;
  const iat = unixSeconds();
  const license: License = { tier, maxRps, iat, exp: iat + Math.floor(expireIn / 1000), id };
  try {
    terminal.out(issueToken(license, secret!));
  } catch (error) {
    if (error instanceof RangeError) throw wrongUsage(error.message);
    throw error;
  }
  return 0;
}

/** Prints what a token is worth. @returns 1 when it doesn't count, @throws {CommandFailed} when there is none, or no secret */
export async function verify(
  token: string | undefined,
  flags: VerifyFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  const { secrets, key } = keysOf(flags);
  const text = token === "-" ? (await new Response(Deno.stdin.readable).text()).trim() : token ?? key();
  const { license, reason } = readToken(text, secrets);
  const state = license === null ? "invalid" : isExpired(license, unixSeconds()) ? "expired" : "valid";
  terminal.out(
    flags.output === "json"
      ? JSON.stringify({ state, reason, ...license })
      : `${state}: ${license === null ? reason : wordsOf(license)}`,
  );
  return state === "valid" ? 0 : 1;
}

function wordsOf(license: License): string {
  const { tier, id, iat, exp } = license;
  const rate = `${rateOf(license)} answers a second`;
  return `tier ${tier}, ${rate}, from ${date(iat)} to ${date(exp)}, id ${id}`;
}

function date(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}

function unixSeconds(): number {
  return Math.floor(Date.now() / 1000);
}

interface Keys {
  /** One at least; the first one signs. */
  readonly secrets: readonly string[];
  /** The token of the settings. @throws {CommandFailed} when there is none */
  readonly key: () => string;
}

function keysOf({ secretFile, config }: SecretFlags): Keys {
  if (secretFile !== undefined && config === undefined) {
    const key = () => {
      throw wrongUsage("Which token? (as a word, - for stdin, or -c SETTINGS that have one)");
    };
    return { secrets: [secretIn(secretFile)], key };
  }
  const { settings, problems } = loadSettings({
    ...(config !== undefined && { file: config }),
    env: Deno.env.toObject(),
  });
  if (settings === null) throw new CommandFailed(problems.map(formatProblem).join("\n"));
  const { license } = settings;
  const secrets = secretFile === undefined ? license.secret : [secretIn(secretFile)];
  if (secrets.length === 0) {
    throw new CommandFailed(
      "No secret is set (license.secret in the settings, PLEIADES_LICENSE_SECRET, or --secret-file FILE)",
    );
  }
  const key = () => {
    if (license.key !== null) return license.key;
    throw new CommandFailed(
      `The settings have no token: ${
        license.keyFault ?? "license.key isn't set (give the token as a word, or -)"
      }`,
    );
  };
  return { secrets, key };
}

function secretIn(file: string): string {
  let secret: string;
  try {
    secret = new TextDecoder().decode(readShortFile(file, SECRET_BYTES_MAX)).trim();
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    throw new CommandFailed(`Cannot read the secret's file ${file}: ${fileFault(cause)}`, 1, { cause });
  }
  const fault = secretFault(secret);
  if (fault !== null) throw new CommandFailed(`The secret in ${file} ${fault}`);
  return secret;
}
