/**
 * Requests to services of AWS, signed and sent once each.
 *
 * Credentials are found by the chain of `credentials.ts`; a role may be assumed on top. What has an end is fetched again before
 * it, and goes on being used where that fails; what a service doesn't take any more is looked for again.
 *
 * @module
 */
import { AwsClient } from "aws4fetch";
import type { Clock } from "../../clock.ts";
import {
  type AwsCredentials,
  type AwsRole,
  CredentialChain,
  type CredentialOptions,
  credentialsOfRole,
  SESSION_NAME,
} from "./credentials.ts";
import { type AwsAnswer, fetchText } from "./fetch_text.ts";

/** What a session is made of. */
export interface AwsSessionOptions extends Omit<CredentialOptions, "assume"> {
  /** Assumed on top; `null` = none. */
  readonly roleArn: string | null;
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

/** Longest wait for one answer, milliseconds. */
const TIMEOUT_MS = 10_000;

/** Milliseconds before the end of credentials at which new ones are fetched. */
const RENEWAL_MS = 300_000;

/** Milliseconds after which it is tried again where that fails, as long as there are some that count. */
const RENEWAL_PAUSE_MS = 30_000;

/** What services say of credentials whose time is over, or that were replaced. */
const OUTDATED = /<Code>(ExpiredToken|ExpiredTokenException|InvalidClientTokenId|RequestExpired)</;

/** Signs and sends. */
export class AwsSession {
  readonly #options: AwsSessionOptions;
  readonly #chain: CredentialChain;
  #credentials: AwsCredentials | null = null;
  #renewAtMs = 0;

  /** Reads and sends nothing yet. */
  constructor(options: AwsSessionOptions) {
    this.#options = options;
    this.#chain = new CredentialChain({ ...options, assume: this.#assume.bind(this) });
  }

  /** Sends a request. @throws {Error} when there is no whole answer in time */
  async send(request: AwsRequest, signal: AbortSignal): Promise<AwsAnswer> {
    const answer = await this.#send(request, await this.#valid(signal), signal);
    // Files and services have newer ones by then.
    if (answer.status >= 400 && OUTDATED.test(answer.body)) this.#credentials = null;
    return answer;
  }

  /** The region that this machine is in, by its metadata. */
  async ownRegion(signal: AbortSignal): Promise<string> {
    return await this.#chain.metadata("/latest/meta-data/placement/region", signal);
  }

  /** @param credentials `null` = it isn't signed */
  async #send(
    { service, region, url, path, body, contentType }: AwsRequest,
    credentials: AwsCredentials | null,
    signal: AbortSignal,
  ): Promise<AwsAnswer> {
    const request = new Request(`${this.#options.endpoint ?? url}${path}`, {
      method: body === undefined ? "GET" : "POST",
      ...(body !== undefined && { body, headers: { "content-type": contentType ?? "application/xml" } }),
    });
    const terms = { timeoutMs: TIMEOUT_MS, signal };
    if (credentials === null) return await fetchText(request, {}, terms);
    const { accessKeyId, secretAccessKey, sessionToken } = credentials;
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
    const signed = await client.sign(request, { aws: { datetime } });
    return await fetchText(signed, {}, terms);
  }

  async #valid(signal: AbortSignal): Promise<AwsCredentials> {
    const { clock } = this.#options;
    const known = this.#credentials;
    const nowMs = clock.unixMs();
    const leftMs = known === null ? 0 : (known.untilMs ?? Infinity) - nowMs;
    if (known !== null && (leftMs > RENEWAL_MS || (leftMs > 0 && nowMs < this.#renewAtMs))) return known;
    try {
      return this.#credentials = await this.#fresh(signal);
    } catch (error) {
      signal.throwIfAborted();
      if (known === null || leftMs <= 0) throw error;
      this.#renewAtMs = nowMs + RENEWAL_PAUSE_MS;
      return known;
    }
  }

  async #fresh(signal: AbortSignal): Promise<AwsCredentials> {
    const { roleArn } = this.#options;
    const own = await this.#chain.find(signal);
    if (roleArn === null) return own;
    return await this.#assume({ arn: roleArn, externalId: null, sessionName: SESSION_NAME }, own, signal);
  }

  async #assume(
    role: AwsRole,
    own: AwsCredentials | { readonly webIdentityToken: string },
    signal: AbortSignal,
  ): Promise<AwsCredentials> {
    const token = "webIdentityToken" in own ? own.webIdentityToken : null;
    const form = new URLSearchParams({
      Action: token === null ? "AssumeRole" : "AssumeRoleWithWebIdentity",
      Version: "2011-06-15",
      RoleArn: role.arn,
      RoleSessionName: role.sessionName,
      ...(role.externalId !== null && { ExternalId: role.externalId }),
      ...(token !== null && { WebIdentityToken: token }),
    });
    const request = {
      service: "sts",
      region: "us-east-1",
      url: "https://sts.amazonaws.com",
      path: "/",
      body: String(form),
      contentType: "application/x-www-form-urlencoded",
    };
    const answer = await this.#send(request, "webIdentityToken" in own ? null : own, signal);
    return credentialsOfRole(role, answer);
  }
}
