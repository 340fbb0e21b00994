/**
 * Requests to services of AWS: whose credentials sign them, and how long they may take.
 *
 * Credentials come from the profile that is named, else from the environment, else from the container, else from the
 * machine (IMDSv2); a role may be assumed on top. What has an end is fetched again before it.
 *
 * @module
 */
import { AwsClient } from "aws4fetch";
import type { Clock } from "../../clock.ts";
import { RecordsRefused } from "../records.ts";
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

/** What a session is made of. */
export interface AwsSessionOptions {
  /** Of `~/.aws`; `null` = whatever is there. */
  readonly profile: string | null;
  /** Assumed on top; `null` = none. */
  readonly roleArn: string | null;
  /** Where all services are asked instead of their own addresses; `null` = there. */
  readonly endpoint: string | null;
  /** The process's environment. */
  readonly env: (name: string) => string | undefined;
  /** Reads a text file. */
  readonly readFile: (path: string) => string;
  /** Time. */
  readonly clock: Pick<Clock, "unixMs">;
}

/** A request to a service. */
export interface AwsRequest {
  /** Such as `route53`. */
  readonly service: string;
  /** Such as `us-east-1`. */
  readonly region: string;
  /** Of the service, without a path. */
  readonly url: string;
  /** Path and query. */
  readonly path: string;
  /** By default GET without a body. */
  readonly body?: string;
  /** Of the body. */
  readonly contentType?: string;
}

/** An answer of a service. */
export interface AwsAnswer {
  /** HTTP's. */
  readonly status: number;
  /** Whole. */
  readonly body: string;
}

/** Longest wait for one answer, milliseconds. */
const TIMEOUT_MS = 10_000;

/** Longest wait for the machine's own service, which answers within a millisecond or isn't there. */
const METADATA_TIMEOUT_MS = 2_000;

/** Milliseconds before the end of credentials at which new ones are fetched. */
const RENEWAL_MS = 300_000;

/** Most bytes of an answer. */
const ANSWER_BYTES_MAX = 8 * 1024 * 1024;

const METADATA = "http://169.254.169.254";
const CONTAINER = "http://169.254.170.2";

/** Signs and sends. */
export class AwsSession {
  readonly #options: AwsSessionOptions;
  #credentials: AwsCredentials | null = null;

  /** Reads and sends nothing yet. */
  constructor(options: AwsSessionOptions) {
    this.#options = options;
  }

  /** Sends a request. @throws {Error} when there is no whole answer in time */
  async send(request: AwsRequest, signal: AbortSignal): Promise<AwsAnswer> {
    return await this.#send(request, await this.#valid(signal), signal);
  }

  /** The region that this machine is in, by its metadata. */
  async ownRegion(signal: AbortSignal): Promise<string> {
    return await this.#metadata("/latest/meta-data/placement/region", signal);
  }

  async #send(
    { service, region, url, path, body, contentType }: AwsRequest,
    { accessKeyId, secretAccessKey, sessionToken }: AwsCredentials,
    signal: AbortSignal,
  ): Promise<AwsAnswer> {
    const client = new AwsClient({
      accessKeyId,
      secretAccessKey,
      ...(sessionToken !== undefined && { sessionToken }),
      service,
      region,
      // By itself it sends a request up to eleven times; whoever asks here knows better when to ask again.
      retries: 0,
    });
    const datetime = new Date(this.#options.clock.unixMs()).toISOString().replaceAll(/[:-]|\.\d{3}/g, "");
    const request = new Request(`${this.#options.endpoint ?? url}${path}`, {
      method: body === undefined ? "GET" : "POST",
      ...(body !== undefined && { body, headers: { "content-type": contentType ?? "application/xml" } }),
    });
    const signed = await client.sign(request, { aws: { datetime } });
    return await fetchText(signed, {}, { timeoutMs: TIMEOUT_MS, signal });
  }

  async #valid(signal: AbortSignal): Promise<AwsCredentials> {
    const { clock, roleArn } = this.#options;
    const known = this.#credentials;
    if (known !== null && (known.untilMs === null || known.untilMs - clock.unixMs() > RENEWAL_MS)) {
      return known;
    }
    const own = await this.#own(signal);
    return this.#credentials = roleArn === null ? own : await this.#assume(roleArn, own, signal);
  }

  async #own(signal: AbortSignal): Promise<AwsCredentials> {
    const { profile, env } = this.#options;
    if (profile !== null) return this.#ofProfile(profile);
    const [accessKeyId, secretAccessKey] = [env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY")];
    if (accessKeyId && secretAccessKey) {
      return { accessKeyId, secretAccessKey, ...tokenOf(env("AWS_SESSION_TOKEN")), untilMs: null };
    }
    const relative = env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const full = env("AWS_CONTAINER_CREDENTIALS_FULL_URI") ?? (relative && `${CONTAINER}${relative}`);
    if (full) {
      const authorization = env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
      const headers = authorization === undefined ? {} : { authorization };
      const terms = { timeoutMs: METADATA_TIMEOUT_MS, signal };
      return ofService((await fetchText(full, { headers }, terms)).body, "the container");
    }
    const path = "/latest/meta-data/iam/security-credentials/";
    const role = await this.#metadata(path, signal);
    return ofService(await this.#metadata(`${path}${role.split("\n")[0]}`, signal), "this machine");
  }

  #ofProfile(profile: string): AwsCredentials {
    const { env, readFile } = this.#options;
    const home = env("HOME") ?? "/root";
    const files = [
      env("AWS_SHARED_CREDENTIALS_FILE") ?? `${home}/.aws/credentials`,
      env("AWS_CONFIG_FILE") ?? `${home}/.aws/config`,
    ];
    for (const file of files) {
      let text: string;
      try {
        text = readFile(file);
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) continue;
        throw new RecordsRefused(`${file} can't be read (agent.awsProfile)`, { cause: error });
      }
      const keys = profileIn(text, profile);
      const [accessKeyId, secretAccessKey] = [
        keys?.get("aws_access_key_id"),
        keys?.get("aws_secret_access_key"),
      ];
      if (accessKeyId && secretAccessKey) {
        return { accessKeyId, secretAccessKey, ...tokenOf(keys!.get("aws_session_token")), untilMs: null };
      }
    }
    throw new RecordsRefused(
      `there is no profile ${profile} with keys in ${
        files.join(" or ")
      } (fix agent.awsProfile; of a profile only ` +
        "aws_access_key_id, aws_secret_access_key and aws_session_token are read)",
    );
  }

  async #assume(roleArn: string, own: AwsCredentials, signal: AbortSignal): Promise<AwsCredentials> {
    const form = new URLSearchParams({
      Action: "AssumeRole",
      Version: "2011-06-15",
      RoleArn: roleArn,
      RoleSessionName: "pleiades-agent",
    });
    const request = {
      service: "sts",
      region: "us-east-1",
      url: "https://sts.amazonaws.com",
      path: "/",
      body: String(form),
      contentType: "application/x-www-form-urlencoded",
    };
    const { status, body } = await this.#send(request, own, signal);
    if (status === 403) {
      throw new RecordsRefused(
        `the role ${roleArn} may not be assumed: ${
          textAt(body, "Message") ?? "AccessDenied"
        } (fix agent.awsAssumeRoleArn)`,
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

  /** IMDSv2: a token is fetched first, so that no request that is forwarded by mistake gets an answer. */
  async #metadata(path: string, signal: AbortSignal): Promise<string> {
    const base = this.#options.endpoint ?? METADATA;
    const terms = { timeoutMs: METADATA_TIMEOUT_MS, signal };
    try {
      const headers = { "x-aws-ec2-metadata-token-ttl-seconds": "300" };
      const token = await fetchText(`${base}/latest/api/token`, { method: "PUT", headers }, terms);
      const answer = await fetchText(
        `${base}${path}`,
        { headers: { "x-aws-ec2-metadata-token": token.body } },
        terms,
      );
      if (answer.status === 200) return answer.body.trim();
      throw new Error(`status ${answer.status}`);
    } catch (error) {
      signal.throwIfAborted();
      throw new Error(
        "no credentials of AWS are found: no agent.awsProfile, no AWS_ACCESS_KEY_ID, and this machine has none",
        { cause: error },
      );
    }
  }
}

function tokenOf(sessionToken: string | undefined): { readonly sessionToken?: string } {
  return sessionToken ? { sessionToken } : {};
}

/** What the services of containers and machines give. */
function ofService(text: string, who: string): AwsCredentials {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
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
  if (!accessKeyId || !secretAccessKey) throw new Error(`${who} gave no credentials of AWS`);
  return { accessKeyId, secretAccessKey, ...tokenOf(sessionToken), untilMs: Date.parse(until!) || null };
}

/** The keys of a profile, in either file's spelling of its heading. */
function profileIn(text: string, profile: string): ReadonlyMap<string, string> | null {
  let found: Map<string, string> | null = null;
  let isInside = false;
  for (const line of text.split("\n").map((each) => each.trim())) {
    const heading = /^\[(?:profile\s+)?([^\]]+)\]$/.exec(line)?.[1]?.trim();
    if (heading !== undefined) isInside = heading === profile;
    else if (isInside && !/^[#;]/.test(line) && line.includes("=")) {
      const [name, ...value] = line.split("=");
      (found ??= new Map()).set(name!.trim().toLowerCase(), value.join("=").trim());
    }
  }
  return found;
}

async function fetchText(
  request: Request | string,
  init: RequestInit,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<AwsAnswer> {
  const { host } = new URL(typeof request === "string" ? request : request.url);
  const over = new AbortController();
  const end = () => over.abort();
  const timer = setTimeout(end, timeoutMs);
  signal.addEventListener("abort", end);
  try {
    signal.throwIfAborted();
    const response = await fetch(request, { ...init, redirect: "error", signal: over.signal });
    return { status: response.status, body: await textOf(response) };
  } catch (error) {
    signal.throwIfAborted();
    if (over.signal.aborted) throw new Error(`${host} didn't answer within ${timeoutMs} ms`);
    throw new Error(`${host} can't be asked`, { cause: error });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
  }
}

async function textOf(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  for await (const piece of response.body ?? []) {
    size += piece.length;
    if (size > ANSWER_BYTES_MAX) throw new Error(`the answer is longer than ${ANSWER_BYTES_MAX} bytes`);
    text += decoder.decode(piece, { stream: true });
  }
  return text + decoder.decode();
}
