/**
 * Smart HTTP, with nothing but `fetch`: no program of the host is needed.
 *
 * Credentials go to the origin that the settings name and nowhere else: a redirect within it is followed, one that leads out of it is refused
 * by name. An answer is read as a stream, and whoever reads it bounds it.
 *
 * Source: Documentation/gitprotocol-http.txt of Git.
 *
 * @module
 */
import { VERSION } from "../version.ts";
import { PacketReader } from "./pkt_line.ts";
import { type RepositoryAuth, RepositoryError } from "./repository.ts";
import { type Connection, plainWords, type Transport } from "./upload_pack.ts";

/** What a repository over HTTPS is reached with. */
export interface HttpsOptions {
  /** Its URL, without a slash at the end. */
  readonly url: string;
  /** Credentials. */
  readonly auth: RepositoryAuth;
  /** Certificates (PEM) that are believed besides the system's. */
  readonly caCerts: readonly string[];
}

/** Redirects that are followed one after the other. */
const REDIRECTS_MAX = 3;

/** A repository over HTTPS. */
export class HttpsTransport implements Transport, Disposable {
  /** Each request says all it has to. */
  readonly isStateless = true;
  readonly #client: Deno.HttpClient;
  readonly #authorization: string | null;
  #url: string;

  /** Connects to nothing yet. */
  constructor({ url, auth, caCerts }: HttpsOptions) {
    this.#url = url;
    this.#client = Deno.createHttpClient({ caCerts: [...caCerts] });
    this.#authorization = authorizationOf(auth);
  }

  /** Begins a conversation. */
  open(signal: AbortSignal): Connection {
    const readers: PacketReader[] = [];
    const read = async (service: string, init: RequestInit) => {
      const reader = readerOf(await this.#fetch(service, { ...init, signal }));
      readers.push(reader);
      return reader;
    };
    return {
      greeting: () => read("info/refs?service=git-upload-pack", {}),
      request: (body) =>
        read("git-upload-pack", {
          method: "POST",
          body,
          headers: { "content-type": "application/x-git-upload-pack-request" },
        }),
      async [Symbol.asyncDispose]() {
        for (const reader of readers) await reader[Symbol.asyncDispose]();
      },
    };
  }

  /** Closes its connections. */
  [Symbol.dispose](): void {
    this.#client.close();
  }

  async #fetch(service: string, init: RequestInit): Promise<Response> {
    for (let redirects = 0;; redirects++) {
      const response = await this.#once(`${this.#url}/${service}`, init);
      if (response.status < 300 || response.status >= 400) return await accepted(response, service);
      await response.body?.cancel();
      this.#redirect(response.headers.get("location") ?? "", { service, redirects });
    }
  }

  async #once(url: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set("git-protocol", "version=2");
    headers.set("user-agent", `git/Pleiades-${VERSION}`);
    if (this.#authorization !== null) headers.set("authorization", this.#authorization);
    try {
      return await fetch(url, { ...init, headers, redirect: "manual", client: this.#client });
    } catch (error) {
      init.signal?.throwIfAborted();
      throw new RepositoryError("unreachable", `Can't reach ${new URL(url).host}: ${reasonOf(error)}`);
    }
  }

  /** Follows a redirect within the origin, which moves the whole repository. */
  #redirect(location: string, { service, redirects }: { service: string; redirects: number }): void {
    const from = new URL(this.#url);
    let to: URL;
    try {
      to = new URL(location, `${this.#url}/${service}`);
    } catch {
      throw new RepositoryError("unreachable", `${from.host} redirects to what isn't an address`);
    }
    const moved = `${to.origin}${to.pathname}`;
    const path = service.split("?")[0]!;
    if (to.origin !== from.origin || !moved.endsWith(`/${path}`) || to.username !== "") {
      const target = plainWords(moved.endsWith(`/${path}`) ? moved.slice(0, -path.length - 1) : moved);
      throw new RepositoryError(
        "denied",
        `${from.host} redirects to ${target}, which isn't followed: set gitops.repoURL to where the repository is`,
      );
    }
    if (redirects >= REDIRECTS_MAX) {
      throw new RepositoryError("unreachable", `${from.host} redirects again and again`);
    }
    this.#url = moved.slice(0, -path.length - 1);
  }
}

function authorizationOf({ user, password, token }: RepositoryAuth): string | null {
  const secret = token ?? password;
  if (secret === null) return null;
  // With a token hosts take any user, and some want one.
  const bytes = new TextEncoder().encode(`${user ?? "x-access-token"}:${secret}`);
  return `Basic ${bytes.toBase64()}`;
}

async function accepted(response: Response, service: string): Promise<Response> {
  const { status } = response;
  const type = response.headers.get("content-type")?.split(";")[0]?.trim() ?? "";
  const wanted = service === "git-upload-pack"
    ? "application/x-git-upload-pack-result"
    : "application/x-git-upload-pack-advertisement";
  if (status === 200 && type === wanted) return response;
  await response.body?.cancel();
  const { host } = new URL(response.url);
  if (status === 401 || status === 403) {
    throw new RepositoryError("denied", `${host} refuses access (${status}): see gitops.auth`);
  }
  if (status === 404 || status === 410) {
    throw new RepositoryError(
      "missing",
      `${host} has no such repository (${status}), or doesn't show it without the right gitops.auth`,
    );
  }
  if (status === 200) {
    throw new RepositoryError(
      "missing",
      `${host} answers, but not as a Git server does (smart HTTP): no such repository?`,
    );
  }
  throw new RepositoryError("unreachable", `${host} answers ${status}`);
}

function readerOf(response: Response): PacketReader {
  const { host } = new URL(response.url);
  const body = response.body ?? new ReadableStream({ start: (controller) => controller.close() });
  return new PacketReader(
    body,
    () => Promise.resolve(new RepositoryError("unreachable", `${host} ended its answer too early`)),
  );
}

/** The innermost cause in words; `fetch` names the whole address in those around it. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "failed";
  if (error.cause !== undefined) return reasonOf(error.cause);
  return plainWords(error.message.replaceAll(/\bfor url \([^)]*\)|\bhttps?:\/\/\S+/g, "")) || "failed";
}
