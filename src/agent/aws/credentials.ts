/**
 * Whose credentials sign requests to AWS, by the order that its own programs have: the profile that is named; the environment;
 * the profile `AWS_PROFILE` or `default` of the shared files; a token that a cluster has put into a file (web identity); the
 * container; the machine (IMDSv2).
 *
 * A profile has keys, or a role that is assumed with the keys of another profile or of one of the places above.
 *
 * @module
 */
import { RecordsRefused } from "../records.ts";
import { type AwsAnswer, fetchText } from "./fetch_text.ts";
import { textAt } from "./xml.ts";

/** What signs requests. */
export interface AwsCredentials {
  /** Names the key. */
  readonly accessKeyId: string;
  /** Signs. */
  readonly secretAccessKey: string;
  /** Of credentials that end. */
  readonly sessionToken?: string;
  /** Unix milliseconds of their end; `null` = they have none. */
  readonly untilMs: number | null;
}

/** A role, and what is said when it is assumed. */
export interface AwsRole {
  /** Its name, such as `arn:aws:iam::123456789012:role/dns`. */
  readonly arn: string;
  /** What the role's owner asks for; `null` = nothing. */
  readonly externalId: string | null;
  /** Named in the owner's logs. */
  readonly sessionName: string;
}

/** Where credentials are looked for. */
export interface CredentialOptions {
  /** Of `~/.aws`; `null` = whatever is there. */
  readonly profile: string | null;
  /** Where all services are asked instead of their own addresses; `null` = there. */
  readonly endpoint: string | null;
  /** The process's environment. */
  readonly env: (name: string) => string | undefined;
  /** Reads a text file. */
  readonly readFile: (path: string) => string;
  /** Assumes a role, with other credentials or with a token that needs no signature. */
  readonly assume: (
    role: AwsRole,
    own: AwsCredentials | { readonly webIdentityToken: string },
    signal: AbortSignal,
  ) => Promise<AwsCredentials>;
}

/** Longest wait for the machine's own service, which answers within a millisecond or isn't there. */
const METADATA_TIMEOUT_MS = 2_000;

/** Profiles that take their keys from one another. */
const PROFILES_MAX = 5;

/** Who assumes a role, unless the profile says it. */
export const SESSION_NAME = "pleiades-agent";

const METADATA = "http://169.254.169.254";
const CONTAINER = "http://169.254.170.2";

/** Where a container may be given credentials without encryption: on the machine itself, as AWS documents it. */
const CONTAINER_HOSTS = /^(127(\.\d+){3}|localhost|\[::1\]|169\.254\.170\.(2|23)|\[fd00:ec2::23\])$/;

/** Finds credentials; keeps none. */
export class CredentialChain {
  readonly #options: CredentialOptions;

  /** Looks nowhere yet. */
  constructor(options: CredentialOptions) {
    this.#options = options;
  }

  /** The first that are there. @throws {RecordsRefused} when something is set up wrongly */
  async find(signal: AbortSignal): Promise<AwsCredentials> {
    const { profile, env } = this.#options;
    if (profile !== null) return await this.#ofProfile(profile, "agent.awsProfile", signal);
    const named = env("AWS_PROFILE");
    return this.#ofEnvironment() ??
      (named ? await this.#ofProfile(named, "AWS_PROFILE", signal) : await this.#ofDefaultProfile(signal)) ??
      await this.#ofWebIdentity(signal) ??
      await this.#ofContainer(signal) ??
      await this.#ofMachine(signal);
  }

  /** What the machine says of itself, by IMDSv2: with a token, so that nothing that is forwarded by mistake is answered. */
  async metadata(path: string, signal: AbortSignal): Promise<string> {
    const { endpoint, env } = this.#options;
    const base = endpoint ?? (env("AWS_EC2_METADATA_SERVICE_ENDPOINT") || METADATA).replace(/\/$/, "");
    const terms = { timeoutMs: METADATA_TIMEOUT_MS, signal };
    const lifetime = { "x-aws-ec2-metadata-token-ttl-seconds": "300" };
    const token = await fetchText(`${base}/latest/api/token`, { method: "PUT", headers: lifetime }, terms);
    if (token.status !== 200) throw new Error(`the machine gave no token: status ${token.status}`);
    const headers = { "x-aws-ec2-metadata-token": token.body };
    const { status, body } = await fetchText(`${base}${path}`, { headers }, terms);
    if (status !== 200) throw new Error(`the machine answered ${path} with ${status}`);
    return body.trim();
  }

  #ofEnvironment(): AwsCredentials | null {
    const { env } = this.#options;
    const [accessKeyId, secretAccessKey] = [env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY")];
    if (!accessKeyId || !secretAccessKey) return null;
    return { accessKeyId, secretAccessKey, ...tokenOf(env("AWS_SESSION_TOKEN")), untilMs: null };
  }

  async #ofDefaultProfile(signal: AbortSignal): Promise<AwsCredentials | null> {
    const keys = this.#profile("default", null);
    if (!keys.has("aws_access_key_id") && !keys.has("role_arn")) return null;
    return await this.#ofProfile("default", "the profile default", signal);
  }

  /** @param key what names the profile, for people */
  async #ofProfile(name: string, key: string, signal: AbortSignal, deep = 0): Promise<AwsCredentials> {
    const keys = this.#profile(name, key);
    const [accessKeyId, secretAccessKey] = [
      keys.get("aws_access_key_id"),
      keys.get("aws_secret_access_key"),
    ];
    const [arn, source] = [keys.get("role_arn"), keys.get("source_profile")];
    // A profile may be its own source: its keys are those that assume its role.
    if (accessKeyId && secretAccessKey && (!arn || (deep > 0 && source === name))) {
      return { accessKeyId, secretAccessKey, ...tokenOf(keys.get("aws_session_token")), untilMs: null };
    }
    if (!arn) throw this.#noKeys(name, key);
    if (deep === PROFILES_MAX) {
      throw new RecordsRefused(
        `profiles take their keys from one another more than ${PROFILES_MAX} times (fix source_profile, ${key})`,
      );
    }
    const role = {
      arn,
      externalId: keys.get("external_id") || null,
      sessionName: keys.get("role_session_name") || SESSION_NAME,
    };
    const tokenFile = keys.get("web_identity_token_file");
    if (tokenFile) return await this.#withToken(role, tokenFile, signal);
    const own = source
      ? await this.#ofProfile(source, `source_profile of ${name}`, signal, deep + 1)
      : await this.#ofSource(keys.get("credential_source"), name, signal);
    return await this.#options.assume(role, own, signal);
  }

  async #ofSource(source: string | undefined, profile: string, signal: AbortSignal): Promise<AwsCredentials> {
    const found = source === "Environment"
      ? this.#ofEnvironment()
      : source === "EcsContainer"
      ? await this.#ofContainer(signal)
      : source === "Ec2InstanceMetadata"
      ? await this.#ofMachine(signal)
      : null;
    if (found !== null) return found;
    throw new RecordsRefused(
      `the profile ${profile} has a role_arn and nothing that assumes it (give it a source_profile, or a ` +
        "credential_source that is there: Environment, EcsContainer, Ec2InstanceMetadata)",
    );
  }

  async #ofWebIdentity(signal: AbortSignal): Promise<AwsCredentials | null> {
    const { env } = this.#options;
    const [file, arn] = [env("AWS_WEB_IDENTITY_TOKEN_FILE"), env("AWS_ROLE_ARN")];
    if (!file || !arn) return null;
    const sessionName = env("AWS_ROLE_SESSION_NAME") || SESSION_NAME;
    return await this.#withToken({ arn, externalId: null, sessionName }, file, signal);
  }

  /** The file is read each time, since its token is replaced by whoever put it there. */
  async #withToken(role: AwsRole, file: string, signal: AbortSignal): Promise<AwsCredentials> {
    return await this.#options.assume(role, { webIdentityToken: this.#text(file) }, signal);
  }

  async #ofContainer(signal: AbortSignal): Promise<AwsCredentials | null> {
    const { env, endpoint } = this.#options;
    const relative = env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const url = relative ? `${endpoint ?? CONTAINER}${relative}` : env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    if (!url) return null;
    const { protocol, hostname } = URL.parse(url) ?? { protocol: "", hostname: "" };
    if (protocol !== "https:" && !(protocol === "http:" && CONTAINER_HOSTS.test(hostname))) {
      throw new RecordsRefused(
        `AWS_CONTAINER_CREDENTIALS_FULL_URI ${url} is neither https nor on this machine (credentials would be told to all)`,
      );
    }
    const file = env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const authorization = file ? this.#text(file) : env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    const headers = authorization ? { authorization } : {};
    const answer = await fetchText(url, { headers }, { timeoutMs: METADATA_TIMEOUT_MS, signal });
    return ofService(answer, "the container");
  }

  async #ofMachine(signal: AbortSignal): Promise<AwsCredentials> {
    const path = "/latest/meta-data/iam/security-credentials/";
    try {
      if (this.#options.env("AWS_EC2_METADATA_DISABLED")?.toLowerCase() === "true") {
        throw new Error("AWS_EC2_METADATA_DISABLED is true");
      }
      const [role] = (await this.metadata(path, signal)).split("\n");
      return ofService({ status: 200, body: await this.metadata(`${path}${role}`, signal) }, "this machine");
    } catch (error) {
      signal.throwIfAborted();
      throw new Error(
        "no credentials of AWS are found: no agent.awsProfile, no AWS_ACCESS_KEY_ID, no profile default, no " +
          "container's, and this machine has none",
        { cause: error },
      );
    }
  }

  /** What the shared files say of a profile; keys of the first one count. @param key `null` = it needn't be there */
  #profile(name: string, key: string | null): ReadonlyMap<string, string> {
    const found = this.#files().toReversed().map((file) => {
      try {
        return profileIn(this.#options.readFile(file), name);
      } catch (error) {
        // Whose home this user may not see isn't this user's.
        if (error instanceof Deno.errors.NotFound || key === null) return new Map<string, string>();
        throw new RecordsRefused(`${file} can't be read (${key})`, { cause: error });
      }
    });
    return new Map(found.flatMap((each) => [...each]));
  }

  #files(): readonly [string, string] {
    const { env } = this.#options;
    const home = env("HOME") || "/root";
    return [
      env("AWS_SHARED_CREDENTIALS_FILE") || `${home}/.aws/credentials`,
      env("AWS_CONFIG_FILE") || `${home}/.aws/config`,
    ];
  }

  #noKeys(name: string, key: string): RecordsRefused {
    return new RecordsRefused(
      `there is no profile ${name} with keys in ${this.#files().join(" or ")} (fix ${key}; of a profile ` +
        "aws_access_key_id, aws_secret_access_key and aws_session_token are read, or role_arn with source_profile, " +
        "credential_source or web_identity_token_file)",
    );
  }

  #text(file: string): string {
    try {
      return this.#options.readFile(file).trim();
    } catch (error) {
      throw new RecordsRefused(`${file} can't be read, in which there should be a token for AWS`, {
        cause: error,
      });
    }
  }
}

/** Credentials in an answer of STS. @throws {RecordsRefused} when the role may not be assumed */
export function credentialsOfRole({ arn }: AwsRole, { status, body }: AwsAnswer): AwsCredentials {
  if (status === 403) {
    throw new RecordsRefused(
      `the role ${arn} may not be assumed: ${textAt(body, "Message") ?? "AccessDenied"} ` +
        "(fix agent.awsAssumeRoleArn, the role_arn of the profile, or what the role trusts)",
    );
  }
  const [accessKeyId, secretAccessKey, sessionToken, until] = [
    "AccessKeyId",
    "SecretAccessKey",
    "SessionToken",
    "Expiration",
  ].map((name) => textAt(body, name));
  if (status !== 200 || !accessKeyId || !secretAccessKey || !sessionToken) {
    throw new Error(`STS answered ${status}: ${textAt(body, "Code") ?? "nothing that is known"}`);
  }
  return { accessKeyId, secretAccessKey, sessionToken, untilMs: Date.parse(until ?? "") || null };
}

function tokenOf(sessionToken: string | undefined): { readonly sessionToken?: string } {
  return sessionToken ? { sessionToken } : {};
}

/** What the services of containers and machines give. */
function ofService({ status, body }: AwsAnswer, who: string): AwsCredentials {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    parsed = null;
  }
  const fields = new Map(Object.entries(parsed ?? {}));
  const [accessKeyId, secretAccessKey, sessionToken, until] = [
    "AccessKeyId",
    "SecretAccessKey",
    "Token",
    "Expiration",
  ].map((name) => String(fields.get(name) ?? ""));
  if (status !== 200 || !accessKeyId || !secretAccessKey) {
    throw new Error(`${who} gave no credentials of AWS (status ${status})`);
  }
  return { accessKeyId, secretAccessKey, ...tokenOf(sessionToken), untilMs: Date.parse(until!) || null };
}

/** The keys of a profile, in either file's spelling of its heading. */
function profileIn(text: string, profile: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  let isInside = false;
  for (const line of text.split("\n").map((each) => each.trim())) {
    const heading = /^\[(?:profile\s+)?([^\]]+)\]$/.exec(line)?.[1]?.trim();
    if (heading !== undefined) isInside = heading === profile;
    else if (isInside && !/^[#;]/.test(line) && line.includes("=")) {
      const [name, ...value] = line.split("=");
      found.set(name!.trim().toLowerCase(), value.join("=").replace(/\s[#;].*$/, "").trim());
    }
  }
  return found;
}
