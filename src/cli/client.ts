/**
 * A small client of the REST API, for commands: it knows where the API is, follows pages, and turns every way of
 * failing into a sentence that says what to try.
 *
 * @module
 */
import { ApiRefusal, GuardRefusal, type Refusal } from "./api_refusal.ts";
import { DEFAULT_API_URL } from "./api_url.ts";
import { CommandFailed, wrongUsage } from "./failure.ts";
import { authorName } from "./login_name.ts";
import type { Terminal } from "./terminal.ts";

/** A JSON object as the API gives it. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether a value that JSON can have is an object, and no list. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What every write takes beside what it is about. */
export interface WriteFlags {
  /** Only try it, and show what it would change. */
  readonly dryRun?: boolean | undefined;
  /** Do it even where a guard would refuse it; the command line sees to it that there is a reason. */
  readonly force?: boolean | undefined;
  /** Kept in the history. */
  readonly reason?: string | undefined;
}

/** The query of a write. Begins with `?` unless it is empty. */
export function writeQuery({ dryRun = false, force = false, reason = "" }: WriteFlags): string {
  const parameters = new URLSearchParams();
  if (dryRun) parameters.set("dryRun", "true");
  if (force) parameters.set("force", "true");
  if (reason !== "") parameters.set("reason", reason);
  return parameters.size > 0 ? `?${parameters}` : "";
}

/** An object with the tag under which the API knows this state of it. */
export interface Tagged {
  /** The object. */
  readonly object: JsonObject;
  /** `ETag`; `null` when the API gave none. */
  readonly etag: string | null;
}

/** The options that every client command takes. */
export interface ClientOptions {
  /** Where the API listens, without `/api/v1`. */
  readonly api?: string | undefined;
  /** Bearer token. */
  readonly token?: string | undefined;
}

/**
 * A body to send: JSON, or text or a stream with its media type, or none; with `ifMatch`, only over the state of that
 * `ETag`.
 */
export type RequestBody =
  & (
    | { readonly json: unknown; readonly text?: never }
    | {
      readonly json?: never;
      readonly text: string | ReadableStream<Uint8Array>;
      readonly contentType: string;
    }
    | { readonly json?: never; readonly text?: never }
  )
  & { readonly ifMatch?: string | null };

/** What a request carries beside its body, and what ends it. */
export interface RequestTerms {
  /** Besides those that every request has. */
  readonly headers?: HeadersInit;
  /** By default it ends when the answer isn't there in time. */
  readonly signal?: AbortSignal;
}

/** Longest wait for an answer. */
const TIMEOUT_MS = 120_000;

/** A method that changes something. */
export type WriteMethod = "POST" | "PUT" | "PATCH" | "DELETE";

/** Speaks to one API. */
export class ApiClient {
  readonly #base: string;
  readonly #token: string | undefined;
  readonly #terminal: Pick<Terminal, "env" | "err">;
  readonly #timeoutMs: number;

  /**
   * Takes the address from the options, else from `PLEIADES_API_URL` and `PLEIADES_API_TOKEN`, else the default.
   *
   * @throws {CommandFailed} exit code 2, when the address is no http or https URL
   */
  constructor(
    options: ClientOptions,
    terminal: Pick<Terminal, "env" | "err">,
    { timeoutMs = TIMEOUT_MS }: { readonly timeoutMs?: number } = {},
  ) {
    this.#terminal = terminal;
    this.#timeoutMs = timeoutMs;
    const url = options.api ?? terminal.env("PLEIADES_API_URL") ?? DEFAULT_API_URL;
    this.#base = baseOf(url);
    this.#token = options.token ?? terminal.env("PLEIADES_API_TOKEN");
  }

  /** Gets one object. `path` begins behind `/api/v1`. */
  async get(path: string): Promise<JsonObject> {
    return objectOf(await (await this.request("GET", path)).json());
  }

  /**
   * Gets one object with its `ETag`, to send it back on condition that it hasn't changed.
   *
   * Asks for the plain bytes: a server that compresses on the way makes the tag a weak one, which `If-Match` never
   * matches (RFC 9110 §13.1.1).
   */
  async getTagged(path: string): Promise<Tagged> {
    const response = await this.request("GET", path, undefined, {
      headers: { "accept-encoding": "identity" },
    });
    return { object: objectOf(await response.json()), etag: response.headers.get("etag") };
  }

  /** Gets one object, `null` when there is none (404). */
  async getIfPresent(path: string): Promise<JsonObject | null> {
    try {
      return await this.get(path);
    } catch (error) {
      if (error instanceof ApiRefusal && error.status === 404) return null;
      throw error;
    }
  }

  /** Gets text, such as a zone. */
  async getText(path: string): Promise<string> {
    return await (await this.request("GET", path)).text();
  }

  /** Gets a collection, page after page (`Link: …; rel="next"`, RFC 8288): all of it, or its first `max` objects. */
  async list(path: string, max: number = Infinity): Promise<JsonObject[]> {
    const items: JsonObject[] = [];
    for (let next: string | null = path; next !== null && items.length < max;) {
      const response = await this.request("GET", next);
      const page: unknown = await response.json();
      if (!Array.isArray(page)) throw new CommandFailed(`${this.#base} sent no list for ${next}`);
      items.push(...page.map(objectOf));
      next = nextPage(response);
    }
    return items.slice(0, max);
  }

  /**
   * Opens a stream that may go on for as long as both sides like; only its beginning is waited for with an end.
   *
   * @throws {CommandFailed} as `request`
   */
  async stream(path: string, headers: HeadersInit): Promise<ReadableStream<Uint8Array>> {
    const beginning = new AbortController();
    const timer = setTimeout(() => beginning.abort(new DOMException("", "TimeoutError")), this.#timeoutMs);
    try {
      const { body } = await this.request("GET", path, undefined, { headers, signal: beginning.signal });
      if (body === null) throw new CommandFailed(`${this.#base} sent nothing for ${path}`);
      return body;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Sends a change; gives what the API made of it, `null` for an answer without content. */
  async send(method: WriteMethod, path: string, body?: RequestBody): Promise<JsonObject | null> {
    const response = await this.request(method, path, body);
    if (response.headers.get("pleiades-settled") === "false") {
      this.#terminal.err("stored; some workers have yet to answer from it");
    }
    const remark = response.headers.get("pleiades-remark");
    if (remark !== null) this.#terminal.err(`note: ${remark}`);
    const text = await response.text();
    return text === "" || !isJson(response) ? null : objectOf(JSON.parse(text));
  }

  /**
   * One request; a status of 400 or above is thrown.
   *
   * @throws {CommandFailed} a line per wrong field, or what to do when nothing listens
   */
  async request(
    method: string,
    path: string,
    body?: RequestBody,
    { headers: more = {}, signal = AbortSignal.timeout(this.#timeoutMs) }: RequestTerms = {},
  ): Promise<Response> {
    const headers = new Headers(more);
    if (!headers.has("accept")) {
      headers.set("accept", "application/json, text/dns;q=0.9, application/problem+json");
    }
    if (this.#token !== undefined) headers.set("authorization", `Bearer ${this.#token}`);
    else if (method !== "GET") this.#sign(headers);
    if (body?.text !== undefined) headers.set("content-type", body.contentType);
    else if (body?.json !== undefined) headers.set("content-type", "application/json");
    if (body?.ifMatch) headers.set("if-match", body.ifMatch);
    const payload = body?.text ?? (body?.json === undefined ? null : JSON.stringify(body.json));
    const response = await this.#fetch(`${this.#base}/api/v1${path}`, {
      method,
      headers,
      body: payload,
      signal,
    });
    if (!response.ok) {
      throw await failureOf(response, { base: this.#base, hasToken: this.#token !== undefined });
    }
    return response;
  }

  /** Without a token it is who typed the command that stands beside the change. */
  #sign(headers: Headers): void {
    const name = authorName(this.#terminal);
    if (name !== null) headers.set("pleiades-user", encodeURIComponent(name));
  }

  async #fetch(url: string, init: RequestInit): Promise<Response> {
    try {
      return await fetch(url, { ...init, redirect: "error" });
    } catch (cause) {
      throw new CommandFailed(unreachable(this.#base, { cause, timeoutMs: this.#timeoutMs }), 1, { cause });
    }
  }
}

function baseOf(url: string): string {
  const parsed = URL.parse(url.includes("://") ? url : `http://${url}`);
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) {
    throw wrongUsage(`Cannot use "${url}" as the address of the API: give one such as ${DEFAULT_API_URL}`);
  }
  return `${parsed.origin}${parsed.pathname}`.replace(/\/+$/, "").replace(/\/api\/v1$/, "");
}

/** The path of the next page behind `/api/v1`, or `null`. */
function nextPage(response: Response): string | null {
  const target = /<([^>]*)>\s*;\s*rel="?next"?/.exec(response.headers.get("link") ?? "")?.[1];
  if (target === undefined) return null;
  const { pathname, search } = new URL(target, response.url);
  return `${pathname.replace(/^.*?\/api\/v1/, "")}${search}`;
}

function unreachable(
  base: string,
  { cause, timeoutMs }: { readonly cause: unknown; readonly timeoutMs: number },
): string {
  const reason = innermost(cause);
  if (cause instanceof DOMException && cause.name === "TimeoutError") {
    return `${base} didn't answer within ${timeoutMs / 1000} s`;
  }
  if (/refused/i.test(reason)) {
    return `Nothing listens at ${base} (is "pleiades serve" running? --api or PLEIADES_API_URL name another address)`;
  }
  if (/certificate|UnknownIssuer/i.test(reason)) {
    return `Cannot trust the certificate of ${base} (DENO_CERT=FILE.pem adds an authority): ${
      lastPart(reason)
    }`;
  }
  return `Cannot reach ${base}: ${lastPart(reason)}`;
}

/** The message of the error at the bottom: some versions of Deno say only `fetch failed` at the top. */
function innermost(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : innermost(error.cause);
}

/** The innermost reason of a chain such as `error sending request …: client error (Connect): dns error: …`. */
function lastPart(reason: string): string {
  return reason.split(": ").at(-1) ?? reason;
}

async function failureOf(
  response: Response,
  { base, hasToken }: { readonly base: string; readonly hasToken: boolean },
): Promise<ApiRefusal> {
  const text = await response.text();
  if (!isJson(response)) {
    return new ApiRefusal(
      response.status,
      `${base} answered ${response.status} (is this the API of a Pleiades node?)`,
    );
  }
  const problem = objectOf(JSON.parse(text));
  const refusals = response.status === 409 ? refusalsOf(problem) : [];
  if (refusals.length > 0) return new GuardRefusal(refusals);
  const fields = Array.isArray(problem["errors"]) ? problem["errors"].map(objectOf).map(fieldLine) : [];
  const detail = String(problem["detail"] ?? problem["title"] ?? `status ${response.status}`);
  const hint = response.status === 401 && !hasToken ? " (--token or PLEIADES_API_TOKEN)" : "";
  return new ApiRefusal(response.status, fields.length > 0 ? fields.join("\n") : `${detail}${hint}`);
}

/** What guards found; empty when the conflict is another one. */
function refusalsOf({ guards }: JsonObject): Refusal[] {
  if (!Array.isArray(guards)) return [];
  return guards.map(objectOf).map(({ guard, message, names }) => ({
    guard: String(guard),
    message: String(message),
    names: Array.isArray(names) ? names.map(String) : [],
  }));
}

/** A wrong field's line begins with its name, unless the message has it anyway. */
function fieldLine({ pointer, message }: JsonObject): string {
  const field = String(pointer ?? "").split("/").at(-1) ?? "";
  const text = String(message ?? "is wrong");
  return field === "" || text.includes(field) ? text : `${field}: ${text}`;
}

function isJson(response: Response): boolean {
  return /[/+]json\b/.test(response.headers.get("content-type") ?? "");
}

function objectOf(value: unknown): JsonObject {
  if (!isJsonObject(value)) throw new CommandFailed("The API sent something other than a JSON object");
  return value;
}
